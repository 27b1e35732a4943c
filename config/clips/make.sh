#!/usr/bin/env bash
# Speaks the clips of this folder with espeak-ng: the texts of README.md, and two chime notes before
# the identity, which is played before each of the others.
# Run once, results are committed. A bureau records its own (README.md).
# Needs espeak-ng and ffmpeg.
set -euo pipefail
export LC_ALL=C.UTF-8
cd "$(dirname "${BASH_SOURCE[0]}")"

rate=22050
# A word of espeak-ng's is a syllable or two of Chinese: this makes four and a half syllables a second,
# an announcer's pace.
words_per_minute=225
# Not `cmn`: that voice reads Latin letters as English, and espeak-ng's Chinese dictionary answers in
# Pinyin, so half of the words would be spelled out letter by letter.
voice=cmn-latn-pinyin
# Seconds, without the identity. The daemon tells how long a warning took; nobody listens to a longer one.
longest=9

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

seconds_of() { ffprobe -v error -show_entries format=duration -of csv=p=0 "$1"; }

# A falling third, as in stations: people look up before the first word.
ffmpeg -v error -bitexact \
    -f lavfi -i "aevalsrc=0.4*sin(2*PI*784*t)*exp(-4*t):s=$rate:d=0.45" \
    -f lavfi -i "aevalsrc=0.4*sin(2*PI*622*t)*exp(-4*t):s=$rate:d=0.75" \
    -filter_complex "[0][1]concat=n=2:v=0:a=1" "$work/chime.wav"

# The texts are the lines "name | text" of the table in README.md, so that they are written once.
# shellcheck disable=SC2016 # the backquotes are Markdown
sed -n 's/^| `\([a-z_]*\)\.wav` | \([^|]*[^ |]\) *|.*$/\1\t\2/p' README.md |
    while IFS=$'\t' read -r name text; do
        espeak-ng -v "$voice" -s "$words_per_minute" -w "$work/espeak.wav" "$text"
        ffmpeg -v error -y -bitexact -nostdin -i "$work/espeak.wav" \
            -af silenceremove=start_periods=1:start_threshold=-50dB "$work/speech.wav"
        spoken=$(seconds_of "$work/speech.wav")
        # EBU R 128, -16 LUFS: as loud as speech gets on a horn loudspeaker without clipping. Measuring it
        # takes more than three seconds, which a short text gets by being said over and over.
        chime=
        if [[ $name == identity ]]; then chime="[speech];[0][speech]concat=n=2:v=0:a=1"; fi
        ffmpeg -v error -y -bitexact -nostdin -i "$work/chime.wav" -i "$work/speech.wav" \
            -filter_complex "[1]aresample=$rate,aloop=3:size=$((rate * longest)),
                loudnorm=I=-16:TP=-2:LRA=7,atrim=end=$spoken,aresample=$rate$chime,apad=pad_dur=0.3" \
            -ac 1 -ar "$rate" -c:a pcm_s16le "$name.wav"
        seconds=$(seconds_of "$name.wav")
        echo "$name.wav: $seconds s"
        if [[ ${seconds%.*} -ge $longest ]]; then
            echo "error: $name.wav is longer than $longest s" >&2
            exit 1
        fi
    done

#!/usr/bin/env bash
# Makes what the yardstick plays and what it compares with, once, in .setup/bench:
#
#   main.mp4  a street camera's main stream: 1920x1080, 25/s, H.264 High, 4 Mbit/s, a key frame
#             every two seconds, no B frames
#   sub.mp4   the same scene as its substream: 640x360, 512 kbit/s
#   yolox-nano-416.toml, yolox-nano-256x416.toml
#             cards of YOLOX-Nano as published, and with an input in the picture's own shape
#
# YOLOX-Nano is not part of the project: YOLOX=FILE says where it lies. It is model/yolox_nano.onnx
# of github.com/Kazuhito00/YOLOX-ONNX-TFLite-Sample, 3,660,092 bytes; the sha256 in
# tests/data/cards/yolox-nano-416.toml says whether it is that one. Left out, it is looked for where
# the project's third-party test data lie: beside the repository.
#
# Every frame carries its number: 16 squares of 1/60 of the width along the top edge; white,
# black, twelve bits (highest first), their parity, white.
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
out=$root/.setup/bench
street=/usr/share/doc/opencv-doc/examples/data/vtest.avi
yolox=${YOLOX:-$root/../shared/data/models/yolox_nano_416.onnx}
card=$root/tests/data/cards/yolox-nano-416.toml
frames=1500
onnx=onnx==1.23.2

say() { echo "yardstick: $*" >&2; }

# ffmpeg's filters that draw frame n's number.
number() {
    local square=32 bit weight parity=0 white=t=fill:color=white
    local box=y=0:w=$square:h=$square
    printf 'drawbox=x=0:y=0:w=%d:h=%d:t=fill:color=black' $((16 * square)) $square
    for bit in 0 15; do printf ',drawbox=x=%d:%s:%s' $((bit * square)) $box $white; done
    for bit in {0..11}; do
        weight=$((1 << (11 - bit)))
        parity="$parity+gt(bitand(n\\,$weight)\\,0)"
        printf ",drawbox=x=%d:%s:%s:enable='bitand(n\\,%d)'" \
            $(((bit + 2) * square)) $box $white $weight
    done
    printf ",drawbox=x=%d:%s:%s:enable='mod(%s\\,2)'" $((14 * square)) $box $white "$parity"
}

clips() {
    [[ -s $out/main.mp4 && -s $out/sub.mp4 ]] && return
    [[ -s $street ]] || { say "$street is missing: install opencv-doc (make setup)"; exit 1; }
    command -v ffmpeg >/dev/null || { say "ffmpeg is missing (make setup)"; exit 1; }
    say "coding the clips, once"
    local code="-frames:v $frames -an -c:v libx264 -preset veryfast -profile:v high -pix_fmt yuv420p"
    local shape=bframes=0:keyint=50:min-keyint=50:scenecut=0:ref=1:repeat-headers=1
    # shellcheck disable=SC2086 # words, not one word
    ffmpeg -nostdin -v error -y -i "$street" -filter_complex "
        [0]crop=768:432,scale=1920:1080:flags=bicubic,framerate=25,unsharp=5:5:0.6,
        noise=alls=6:allf=t,$(number),split[main][half];[half]scale=640:360:flags=area[sub]" \
        -map '[main]' $code -b:v 4M -maxrate 4M -bufsize 4M -x264-params $shape "$out/main.part.mp4" \
        -map '[sub]' $code -b:v 512k -maxrate 512k -bufsize 512k -x264-params $shape "$out/sub.part.mp4"
    mv "$out/main.part.mp4" "$out/main.mp4"
    mv "$out/sub.part.mp4" "$out/sub.mp4"
}

# The card of a YOLOX-Nano: name, file, height of the input.
write_card() {
    local sum
    sum=$(sha256sum "$2" | cut -d' ' -f1)
    sed -e "s|^name = \"yolox.*|name = \"$1\"|" -e "s|^file = .*|file = \"$2\"|" \
        -e "s|^sha256 = .*|sha256 = \"$sum\"|" -e "s|^height = .*|height = $3|" \
        "$card" >"$out/$1.toml"
}

models() {
    [[ -s $out/yolox-nano-256x416.toml ]] && return
    if [[ ! -s $yolox ]]; then
        say "no YOLOX-Nano at ${yolox#"$root/"}. It is model/yolox_nano.onnx of" \
            "github.com/Kazuhito00/YOLOX-ONNX-TFLite-Sample; say where you have it: make bench YOLOX=FILE"
        [[ -z ${YOLOX:-} ]] || exit 1
        say "its rows are left out"
        return
    fi
    local wanted
    wanted=$(sed -n 's/^sha256 = "\(.*\)"$/\1/p' "$card")
    if ! sha256sum --status -c <<<"$wanted  $yolox"; then
        say "$yolox is another file than the one of the figures: its sha256 is not $wanted"
        exit 1
    fi
    write_card yolox-nano-416 "$yolox" 416
    say "giving YOLOX-Nano an input of 256x416, once"
    local venv
    venv=$(mktemp -d)
    # shellcheck disable=SC2064 # the folder of now
    trap "rm -rf '$venv'" EXIT
    if ! { python3 -m venv "$venv" && "$venv/bin/pip" install -q "$onnx"; } >&2; then
        say "python's $onnx cannot be had: the rows with an input of 256x416 are left out"
        return
    fi
    "$venv/bin/python" "$root/benches/yardstick/reshape.py" "$yolox" "$out/yolox-nano-256x416.onnx" 256 416
    write_card yolox-nano-256x416 "$out/yolox-nano-256x416.onnx" 256
}

mkdir -p "$out"
clips
models

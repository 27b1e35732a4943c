//! A spoken warning: a WAV file read once and kept, or a text that was spoken for once; before it
//! the bureau's identity, in the same sound.
//!
//! RIFF/WAVE with one `fmt ` and one `data` chunk, 16-bit PCM, one or two channels (Microsoft
//! "Multimedia Programming Interface and Data Specifications 1.0", Waveform Audio File Format).

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::WarnError;
use crate::types::sha256_hex;

/// Largest clip: three minutes of 48 kHz mono.
pub(super) const BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Sample rates a loudspeaker is fed with, Hz.
const RATES: std::ops::RangeInclusive<u32> = 8_000..=96_000;
/// Loudness of a clip, decibels against full scale (see `Sound::loudness`).
const LOUDNESS_MIN: f64 = -30.0;
const LOUDNESS_MAX: f64 = -8.0;
/// A difference that nobody hears, decibels: such a clip is played as it was recorded.
const SAME_LOUDNESS: f64 = 1.0;
/// What makes a clip as loud as the others.
pub(super) const LOUDNORM: &str = "ffmpeg -i IN -af loudnorm=I=-18:TP=-2 -ac 1 -c:a pcm_s16le OUT";
/// Samples of a thousand that may be at full scale.
const CUT_MAX: f64 = 2.0;
/// `WAVE_FORMAT_PCM`.
const PCM: u16 = 1;
/// Bytes of one 16-bit sample.
const SAMPLE_BYTES: u32 = 2;

/// A clip in memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Clip {
    path: PathBuf,
    sha256: String,
    identity_sha256: Option<String>,
    text: Option<String>,
    duration: Duration,
    sound: Sound,
}

/// 16-bit little-endian samples, channels interleaved.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Sound {
    pub(super) rate: u32,
    pub(super) channels: u16,
    pub(super) samples: Vec<u8>,
}

impl Sound {
    /// Bytes of one moment: a sample of every channel.
    pub(super) fn frame_bytes(&self) -> u32 {
        u32::from(self.channels) * SAMPLE_BYTES
    }

    /// Time that `bytes` bytes take.
    pub(super) fn time_of(&self, bytes: usize) -> Duration {
        let frames = bytes as u64 / u64::from(self.frame_bytes());
        let nanos = u128::from(frames) * 1_000_000_000 / u128::from(self.rate);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The same, quieter: `volume` 0.0–1.0.
    pub(super) fn at(&self, volume: f64) -> Self {
        self.scaled(volume.clamp(0.0, 1.0))
    }

    /// As loud as `other`, or as loud as it gets without being cut off; `None` for silence.
    pub(super) fn as_loud_as(&self, other: &Self) -> Option<Self> {
        let peak = self.values().map(i16::unsigned_abs).max().unwrap_or(0);
        let (have, want) = (self.loudness().0, other.loudness().0);
        let room = f64::from(i16::MAX) / f64::from(peak);
        (peak > 0).then(|| self.scaled(10_f64.powf((want - have) / 20.0).min(room)))
    }

    fn scaled(&self, gain: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        let scaled = |sample: i16| (f64::from(sample) * gain).round() as i16;
        Self {
            samples: self
                .values()
                .flat_map(|sample| scaled(sample).to_le_bytes())
                .collect(),
            ..*self
        }
    }

    /// As a WAV file.
    pub(super) fn wav(&self) -> Vec<u8> {
        let size = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
        let frame = self.frame_bytes();
        let mut bytes = b"RIFF".to_vec();
        bytes.extend(size(36 + self.samples.len()));
        bytes.extend(b"WAVEfmt ");
        bytes.extend(16_u32.to_le_bytes());
        bytes.extend(PCM.to_le_bytes());
        bytes.extend(self.channels.to_le_bytes());
        bytes.extend(self.rate.to_le_bytes());
        bytes.extend((self.rate * frame).to_le_bytes());
        bytes.extend((self.channels * 2).to_le_bytes());
        bytes.extend(16_u16.to_le_bytes());
        bytes.extend(b"data");
        bytes.extend(size(self.samples.len()));
        bytes.extend(&self.samples);
        bytes
    }

    /// Every sample, channels in turn.
    fn values(&self) -> impl Iterator<Item = i16> {
        let pairs = self.samples.chunks_exact(2);
        pairs.map(|b| i16::from_le_bytes([b[0], b[1]]))
    }

    /// How loud it is where it is loud, decibels against full scale: the mean square of its
    /// samples without pauses (frames of 50 ms more than 20 dB below the loudest). And how many
    /// of a thousand samples are cut off at full scale.
    pub(super) fn loudness(&self) -> (f64, f64) {
        const PAUSE: f64 = 0.01;
        let values: Vec<f64> = self.values().map(f64::from).collect();
        let frame = usize::try_from(self.rate / 20 * u32::from(self.channels)).unwrap_or(1);
        let mean = |frame: &[f64]| frame.iter().map(|v| v * v).sum::<f64>() / count(frame.len());
        let powers: Vec<f64> = values.chunks(frame.max(1)).map(mean).collect();
        let loudest = powers.iter().copied().fold(0.0, f64::max);
        let loud: Vec<f64> = powers
            .into_iter()
            .filter(|p| *p > loudest * PAUSE)
            .collect();
        let power = loud.iter().sum::<f64>() / count(loud.len());
        let cut = values.iter().filter(|v| v.abs() >= 32_767.0).count();
        let full = f64::from(i16::MAX).powi(2);
        (
            10.0 * (power / full).log10(),
            1_000.0 * count(cut) / count(values.len()),
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "a clip is 16 MiB at most")]
fn count(n: usize) -> f64 {
    n.max(1) as f64
}

impl std::fmt::Debug for Clip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = self
            .text
            .as_deref()
            .map_or(self.path.display().to_string(), ToOwned::to_owned);
        write!(f, "Clip({what} {:?})", self.duration)
    }
}

impl Clip {
    /// Reads and checks a clip.
    ///
    /// # Errors
    /// The file cannot be read, is too large, is not 16-bit PCM WAV, or holds no sound.
    pub fn read(path: &Path) -> Result<Self, WarnError> {
        let unreadable = |source| WarnError::Unreadable {
            path: path.display().to_string(),
            source,
        };
        let format = |what: String| WarnError::Format {
            path: path.display().to_string(),
            what,
        };
        let file = File::open(path).map_err(unreadable)?;
        if !file.metadata().map_err(unreadable)?.is_file() {
            return Err(format("not a file".to_owned()));
        }
        let mut bytes = Vec::new();
        file.take(BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > BYTES_MAX {
            return Err(format("too large".to_owned()));
        }
        let sound = parse(&bytes).map_err(format)?;
        Ok(Self {
            path: path.to_owned(),
            sha256: sha256_hex(&bytes),
            identity_sha256: None,
            text: None,
            duration: sound.time_of(sound.samples.len()),
            sound,
        })
    }

    /// A text that was spoken.
    pub(super) fn spoken(text: &str, sound: Sound) -> Self {
        Self {
            path: PathBuf::new(),
            sha256: sha256_hex(&sound.wav()),
            identity_sha256: None,
            text: Some(text.to_owned()),
            duration: sound.time_of(sound.samples.len()),
            sound,
        }
    }

    /// Whether the two can be one sound.
    ///
    /// # Errors
    /// They have not the same rate and channels; how to mend it.
    pub(super) fn check_alike(&self, identity: &Self) -> Result<(), WarnError> {
        let (rate, channels) = (self.sound.rate, self.sound.channels);
        let wanted = (identity.sound.rate, identity.sound.channels);
        if (rate, channels) == wanted {
            return Ok(());
        }
        Err(WarnError::Unlike {
            path: self.path.display().to_string(),
            have: (rate, channels),
            identity: identity.path.display().to_string(),
            wanted,
        })
    }

    /// The same as loud as `identity`, or as loud as it gets without being cut off; unchanged beside one
    /// that is itself too quiet or too loud.
    pub(super) fn levelled(mut self, identity: &Self) -> Self {
        let wanted = identity.sound.loudness().0;
        let apart = (self.sound.loudness().0 - wanted).abs();
        let sane = (LOUDNESS_MIN..=LOUDNESS_MAX).contains(&wanted);
        if sane && apart > SAME_LOUDNESS {
            self.sound = self.sound.as_loud_as(&identity.sound).unwrap_or(self.sound);
        }
        self
    }

    /// The same with `identity` before it, in one sound; they are alike.
    pub(super) fn after(&self, identity: &Self) -> Self {
        let samples = [&identity.sound.samples[..], &self.sound.samples].concat();
        let sound = Sound {
            samples,
            ..self.sound
        };
        Self {
            identity_sha256: Some(identity.sha256.clone()),
            duration: sound.time_of(sound.samples.len()),
            sound,
            path: self.path.clone(),
            sha256: self.sha256.clone(),
            text: self.text.clone(),
        }
    }

    /// SHA-256, lower-case hex, of the file's bytes, or of the WAV file a spoken text would be;
    /// without the identity.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// SHA-256 of the file with the identity that is played before it, lower-case hex.
    pub fn identity_sha256(&self) -> Option<&str> {
        self.identity_sha256.as_deref()
    }

    /// The text, where one was spoken.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// How long it is, with the identity.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// How long and how loud it is; what is wrong with its loudness, otherwise. An announcement
    /// that is much quieter than others, or clipped, is not understood in the street.
    pub fn describe(&self) -> Result<String, String> {
        let name = self.path.display();
        let (loudness, cut) = self.sound.loudness();
        if !(LOUDNESS_MIN..=LOUDNESS_MAX).contains(&loudness) {
            return Err(format!(
                "{name}: {loudness:.0} dB, not {LOUDNESS_MIN} to {LOUDNESS_MAX} dB; make it anew: {LOUDNORM}"
            ));
        }
        if cut > CUT_MAX {
            return Err(format!(
                "{name}: {cut:.0} ‰ of it is cut off at full scale; make it anew: {LOUDNORM}"
            ));
        }
        Ok(format!(
            "{:.1} s at {loudness:.0} dB",
            self.duration.as_secs_f64()
        ))
    }

    pub(super) fn sound(&self) -> &Sound {
        &self.sound
    }
}

/// The sound in a WAV file; what is wrong otherwise.
pub(super) fn parse(bytes: &[u8]) -> Result<Sound, String> {
    let riff = bytes.get(..4) == Some(b"RIFF") && bytes.get(8..12) == Some(b"WAVE");
    if !riff {
        return Err("not a WAV file".to_owned());
    }
    let mut rest = bytes.get(12..).unwrap_or_default();
    let mut format = None;
    while let Some((name, size, body)) = chunk(rest) {
        match name {
            b"fmt " => format = Some(parse_format(body)?),
            b"data" => {
                let (rate, channels) = format.ok_or("sound before its format")?;
                let samples = body.get(..size).ok_or_else(|| {
                    format!("cut off: {size} bytes announced, {} there", body.len())
                })?;
                return whole(rate, channels, samples);
            }
            _ => {}
        }
        // Chunks begin at even places.
        rest = body.get(size.next_multiple_of(2)..).unwrap_or_default();
    }
    Err("no sound in it".to_owned())
}

/// Name, announced size, and everything behind the header of the first chunk.
fn chunk(bytes: &[u8]) -> Option<(&[u8; 4], usize, &[u8])> {
    let (name, rest) = bytes.split_first_chunk::<4>()?;
    let (size, body) = rest.split_first_chunk::<4>()?;
    Some((name, usize::try_from(u32::from_le_bytes(*size)).ok()?, body))
}

/// Rate and channels of a `fmt ` chunk.
fn parse_format(body: &[u8]) -> Result<(u32, u16), String> {
    let (fields, _) = body.split_first_chunk::<16>().ok_or("format cut off")?;
    let [tag, _, channels, _, r0, r1, ..] = [0, 1, 2, 3, 4, 6, 8].map(|at| {
        let low = fields.get(at).copied().unwrap_or_default();
        let high = fields.get(at + 1).copied().unwrap_or_default();
        u16::from_le_bytes([low, high])
    });
    let bits = u16::from_le_bytes([fields[14], fields[15]]);
    let rate = u32::from(r0) | u32::from(r1) << 16;
    if tag != PCM || bits != 16 {
        return Err(format!(
            "not 16-bit PCM (format {tag:#06x}, {bits} bits a sample)"
        ));
    }
    if !(1..=2).contains(&channels) {
        return Err(format!("{channels} channels; one or two are played"));
    }
    if !RATES.contains(&rate) {
        return Err(format!("{rate} Hz; 8,000 to 96,000 are played"));
    }
    Ok((rate, channels))
}

/// Whole frames only.
fn whole(rate: u32, channels: u16, samples: &[u8]) -> Result<Sound, String> {
    let mut sound = Sound {
        rate,
        channels,
        samples: samples.to_vec(),
    };
    let frame = usize::try_from(sound.frame_bytes()).unwrap_or(usize::MAX);
    sound.samples.truncate(samples.len() / frame * frame);
    if sound.samples.is_empty() {
        return Err("no sound in it".to_owned());
    }
    Ok(sound)
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    /// A WAV file of these samples.
    pub(in crate::warn) fn wav(rate: u32, channels: u16, samples: &[i16]) -> Vec<u8> {
        let sound = Sound {
            rate,
            channels,
            samples: samples.iter().flat_map(|s| s.to_le_bytes()).collect(),
        };
        sound.wav()
    }

    /// What reading these bytes as a clip says.
    fn read(bytes: &[u8]) -> Result<Clip, String> {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(bytes).expect("room");
        Clip::read(file.path()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_clip_knows_its_length_and_its_hash() {
        let bytes = wav(16_000, 1, &[7; 8_000]);
        let clip = read(&bytes).expect("a clip");
        assert_eq!(clip.duration(), Duration::from_millis(500));
        assert_eq!(clip.sha256().len(), 64);
        assert_eq!(clip.sound().samples.len(), 16_000);
        assert_eq!(
            read(&wav(8_000, 2, &[1; 8_000])).map(|c| c.duration()),
            Ok(Duration::from_millis(500))
        );
    }

    #[test]
    fn other_chunks_are_passed_over() {
        let plain = wav(16_000, 1, &[1, 2, 3]);
        let mut bytes = plain[..12].to_vec();
        bytes.extend(b"LIST\x03\0\0\0abc\0");
        bytes.extend(&plain[12..]);
        assert_eq!(read(&bytes).map(|c| c.sound().samples.len()), Ok(6));
    }

    #[test]
    fn what_is_no_clip_is_refused_and_says_how_to_make_one() {
        let good = wav(16_000, 1, &[1; 100]);
        let changed = |at: usize, to: u8| {
            let mut bytes = good.clone();
            bytes[at] = to;
            bytes
        };
        for (bytes, what) in [
            (Vec::new(), "not a WAV file"),
            (b"text, not sound".to_vec(), "not a WAV file"),
            (good[..20].to_vec(), "format cut off"),
            (good[..36].to_vec(), "no sound"),
            (wav(16_000, 1, &[]), "no sound"),
            (
                good[..100].to_vec(),
                "cut off: 200 bytes announced, 56 there",
            ),
            (changed(20, 3), "not 16-bit PCM (format 0x0003"),
            (changed(34, 8), "8 bits a sample"),
            (changed(22, 6), "6 channels"),
            (wav(4_000, 1, &[1; 9]), "4000 Hz"),
            (
                vec![0; usize::try_from(BYTES_MAX).expect("small") + 1],
                "too large",
            ),
        ] {
            let said = read(&bytes).expect_err(what);
            assert!(said.contains(what), "{said} does not say {what}");
            assert!(said.contains("ffmpeg"), "{said}");
        }
        let missing = Clip::read(Path::new("/nonexistent/clip.wav")).expect_err("missing");
        assert!(missing.to_string().contains("/nonexistent/clip.wav"));
        let folder = Clip::read(Path::new("/")).expect_err("a folder");
        assert!(folder.to_string().contains("not a file"), "{folder}");
    }

    #[test]
    fn loudness_is_judged_without_its_pauses() {
        let tone = |amplitude: f64, share: u32| {
            let samples = (0..16_000_u32).map(|n| {
                let loud = n % 4_000 < 40 * share;
                let wave = (f64::from(n) * 0.3).sin() * amplitude * f64::from(u8::from(loud));
                #[expect(clippy::cast_possible_truncation, reason = "clips as a recorder does")]
                let sample = wave as i16;
                sample
            });
            read(&wav(16_000, 1, &samples.collect::<Vec<_>>())).expect("a clip")
        };
        // A sine of half the full scale has 9 dB less than full scale, pauses or not.
        for share in [100, 20] {
            let said = tone(16_384.0, share).describe().expect("well");
            assert_eq!(said, "1.0 s at -9 dB");
        }
        for (amplitude, why) in [(300.0, "-44 dB, not -30 to -8 dB"), (60_000.0, "-1 dB")] {
            let said = tone(amplitude, 100).describe().expect_err(why);
            assert!(said.contains(why) && said.contains("ffmpeg"), "{said}");
        }
    }

    #[test]
    fn the_shipped_clips_are_as_loud_as_they_should_be() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/clips");
        let read = |name| Clip::read(&folder.join(name)).expect("a shipped clip");
        let identity = read("identity.wav");
        identity.describe().expect("the identity");
        for name in ["street_vending.wav", "out_of_store.wav", "test.wav"] {
            let clip = read(name);
            clip.describe().expect(name);
            clip.check_alike(&identity).expect(name);
        }
    }

    #[test]
    fn the_identity_comes_first_in_the_same_sound() {
        let clip = |rate, channels, samples: &[i16]| read(&wav(rate, channels, samples));
        let identity = clip(16_000, 1, &[1, 2]).expect("a clip");
        let warning = clip(16_000, 1, &[3, 4, 5]).expect("a clip");
        warning.check_alike(&identity).expect("alike");
        let said = warning.after(&identity);
        assert_eq!(said.sound.values().collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert_eq!(said.sha256(), warning.sha256());
        assert_eq!(said.identity_sha256(), Some(identity.sha256()));
        assert_eq!(said.duration(), Duration::from_nanos(312_500));
        for (rate, channels) in [(22_050, 1), (16_000, 2)] {
            let other = clip(rate, channels, &[1, 2]).expect("a clip");
            let error = other
                .check_alike(&identity)
                .expect_err("unlike")
                .to_string();
            assert!(error.contains("-ar 16000 -ac 1"), "{error}");
        }
    }

    #[test]
    fn a_text_is_made_as_loud_as_the_identity_and_never_cut_off() {
        let tone = |amplitude: f64| {
            let samples = (0..16_000_u32).map(|n| (f64::from(n) * 0.3).sin() * amplitude);
            #[expect(clippy::cast_possible_truncation, reason = "within a sample's range")]
            let samples: Vec<i16> = samples.map(|sample| sample as i16).collect();
            parse(&wav(16_000, 1, &samples)).expect("a sound")
        };
        for (have, want) in [(3_000.0, 12_000.0), (12_000.0, 3_000.0)] {
            let made = tone(have).as_loud_as(&tone(want)).expect("a sound");
            assert!((made.loudness().0 - tone(want).loudness().0).abs() < 0.1);
        }
        // One loud moment leaves no room for the rest.
        let mut peaked = tone(3_000.0);
        peaked.samples[..2].copy_from_slice(&i16::MAX.to_le_bytes());
        let made = peaked.as_loud_as(&tone(12_000.0)).expect("a sound");
        assert!(made == peaked);
        assert!(tone(0.0).as_loud_as(&tone(3_000.0)).is_none(), "silence");
    }

    #[test]
    fn a_clip_written_again_is_the_same() {
        let bytes = wav(22_050, 2, &[5, -5, 32_767, -32_768]);
        let sound = parse(&bytes).expect("a clip");
        assert!(parse(&sound.wav()) == Ok(sound.clone()));
        let half: Vec<i16> = sound.at(0.5).values().collect();
        assert_eq!(half, [3, -3, 16_384, -16_384]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), places in any::<[u8; 4]>()) {
            drop(parse(&bytes));
            let mut torn = wav(16_000, 1, &[1; 50]);
            torn.append(&mut bytes);
            for place in places {
                if let Some(byte) = torn.get_mut(usize::from(place)) {
                    *byte ^= 0xFF;
                }
            }
            if let Ok(sound) = parse(&torn) {
                prop_assert!(!sound.samples.is_empty());
            }
        }
    }
}

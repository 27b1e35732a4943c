//! A spoken warning: a WAV file read once and kept.
//!
//! RIFF/WAVE with one `fmt ` and one `data` chunk, 16-bit PCM, one or two channels (Microsoft
//! "Multimedia Programming Interface and Data Specifications 1.0", Waveform Audio File Format).

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::WarnError;

/// Largest clip: three minutes of 48 kHz mono.
pub(super) const BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Sample rates a loudspeaker is fed with, Hz.
const RATES: std::ops::RangeInclusive<u32> = 8_000..=96_000;
/// `WAVE_FORMAT_PCM`.
const PCM: u16 = 1;
/// Bytes of one 16-bit sample.
const SAMPLE_BYTES: u32 = 2;

/// A clip in memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Clip {
    path: PathBuf,
    sha256: String,
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
}

impl std::fmt::Debug for Clip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clip({} {:?})", self.path.display(), self.duration)
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
            sha256: Sha256::digest(&bytes)
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect(),
            duration: sound.time_of(sound.samples.len()),
            sound,
        })
    }

    /// Where it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// SHA-256 of the file's bytes, lower-case hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// How long it is.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    pub(super) fn sound(&self) -> &Sound {
        &self.sound
    }
}

/// The sound in a WAV file; what is wrong otherwise.
fn parse(bytes: &[u8]) -> Result<Sound, String> {
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
        let data: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        let size = |n: usize| u32::try_from(n).expect("small").to_le_bytes();
        let mut bytes = b"RIFF".to_vec();
        bytes.extend(size(36 + data.len()));
        bytes.extend(b"WAVEfmt ");
        bytes.extend(16_u32.to_le_bytes());
        bytes.extend(PCM.to_le_bytes());
        bytes.extend(channels.to_le_bytes());
        bytes.extend(rate.to_le_bytes());
        bytes.extend((rate * u32::from(channels) * 2).to_le_bytes());
        bytes.extend((channels * 2).to_le_bytes());
        bytes.extend(16_u16.to_le_bytes());
        bytes.extend(b"data");
        bytes.extend(size(data.len()));
        bytes.extend(data);
        bytes
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
            (good[..20].to_vec(), "no sound"),
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

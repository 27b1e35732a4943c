//! A text spoken by the program espeak-ng, in Mandarin or English.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::clip::{self, Clip};
use super::program::{self, Running};
use super::{WarnError, convert};

/// The program, and the Debian package it is in.
const ESPEAK: &str = "espeak-ng";
/// The longest text takes a second.
const WITHIN: Duration = Duration::from_secs(20);
/// Voice and words a minute (to espeak-ng a word of Chinese is a syllable or two) for a text with
/// Chinese characters. Not `cmn`: that voice spells half of them out as English letters.
const MANDARIN: [&str; 2] = ["cmn-latn-pinyin", "225"];
/// The same for one without.
const ENGLISH: [&str; 2] = ["en", "150"];
/// Where a WAV file without other chunks has the size of its sound, and where that begins.
const SIZE_AT: usize = 40;
const SOUND_AT: usize = 44;

/// Speaks texts, each after the bureau's identity.
#[derive(Clone, Debug)]
pub struct Voice {
    identity: Arc<Clip>,
}

impl Voice {
    /// A voice that first says who speaks.
    ///
    /// # Errors
    /// espeak-ng is not installed.
    pub(super) fn find(identity: Arc<Clip>) -> Result<Self, WarnError> {
        program::check_installed(ESPEAK)?;
        Ok(Self { identity })
    }

    /// The identity and `text` as one clip, equally loud.
    ///
    /// # Errors
    /// espeak-ng fails, or makes no sound of it.
    pub async fn speak(&self, text: &str) -> Result<Arc<Clip>, String> {
        let speaking = tokio::time::timeout(WITHIN, espeak(text));
        let wav = speaking
            .await
            .unwrap_or_else(|_elapsed| Err(format!("{ESPEAK} hangs")))?;
        let (identity, text) = (Arc::clone(&self.identity), text.to_owned());
        let made = tokio::task::spawn_blocking(move || {
            let sound = convert::alike(&clip::parse(&wav)?, identity.sound())?;
            let silent = || format!("{ESPEAK} makes no sound of this text");
            let sound = sound.as_loud_as(identity.sound()).ok_or_else(silent)?;
            Ok(Arc::new(Clip::spoken(&text, sound).after(&identity)))
        });
        made.await.map_err(|error| error.to_string())?
    }
}

/// What espeak-ng makes of `text`: a WAV file.
async fn espeak(text: &str) -> Result<Vec<u8>, String> {
    let [voice, pace] = if text.chars().any(is_chinese) {
        MANDARIN
    } else {
        ENGLISH
    };
    // The text comes by its input: on the command line every user of the machine could read it.
    let command = [ESPEAK, "-v", voice, "-s", pace, "--stdin", "--stdout"];
    let command = command.map(ToOwned::to_owned);
    let mut running = Running::start(&command, [Stdio::piped(), Stdio::piped()])?;
    // What it says beside is nobody's; a full pipe would make it wait.
    drop(running.child.stderr.take());
    let failed = |error: std::io::Error| format!("{ESPEAK}: {error}");
    let mut input = running.child.stdin.take().ok_or("it has no input")?;
    input.write_all(text.as_bytes()).await.map_err(failed)?;
    drop(input);
    let output = running.child.stdout.take().ok_or("it has no output")?;
    let mut wav = Vec::new();
    let mut output = output.take(clip::BYTES_MAX);
    output.read_to_end(&mut wav).await.map_err(failed)?;
    let status = running.child.wait().await.map_err(failed)?;
    if !status.success() {
        return Err(format!("{ESPEAK}: {status}"));
    }
    sized(wav).ok_or_else(|| format!("{ESPEAK} made no WAV file"))
}

/// CJK Unified Ideographs with Extension A, compatibility ideographs, and the planes beyond.
fn is_chinese(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

/// The same with its true size: who writes into a pipe announces as much as a file can hold.
fn sized(mut wav: Vec<u8>) -> Option<Vec<u8>> {
    let size = u32::try_from(wav.len().checked_sub(SOUND_AT)?).ok()?;
    let place = wav.get_mut(SIZE_AT..SOUND_AT)?;
    place.copy_from_slice(&size.to_le_bytes());
    Some(wav)
}

#[cfg(test)]
mod tests {
    use super::super::clip::Sound;
    use super::*;

    fn identity(rate: u32, channels: u16) -> Arc<Clip> {
        let samples = (0..rate * u32::from(channels)).flat_map(|n| {
            i16::try_from(n * 7_919 % 8_000)
                .expect("small")
                .to_le_bytes()
        });
        let sound = Sound {
            rate,
            channels,
            samples: samples.collect(),
        };
        Arc::new(Clip::spoken("", sound))
    }

    #[tokio::test]
    async fn mandarin_and_english_are_spoken_after_the_identity() {
        gstreamer::init().expect("GStreamer");
        for (text, rate, channels) in [
            ("请您收摊，谢谢配合。", 22_050, 1),
            ("Please leave this place.", 48_000, 2),
        ] {
            let identity = identity(rate, channels);
            let voice = Voice::find(Arc::clone(&identity)).expect("espeak-ng (run: make setup)");
            let clip = voice.speak(text).await.expect(text);
            assert_eq!(clip.text(), Some(text));
            assert_eq!(clip.identity_sha256(), Some(identity.sha256()));
            let sound = clip.sound();
            assert_eq!((sound.rate, sound.channels), (rate, channels));
            let (first, spoken) = sound.samples.split_at(identity.sound().samples.len());
            assert!(first == identity.sound().samples);
            let spoken = Sound {
                samples: spoken.to_vec(),
                ..*sound
            };
            let length = spoken.time_of(spoken.samples.len()).as_secs_f64();
            assert!((1.0..5.0).contains(&length), "{text}: {length} s");
            let louder = spoken.loudness().0 - identity.sound().loudness().0;
            assert!(
                louder.abs() < 1.0,
                "{text}: {louder} dB louder than the identity"
            );
            assert_eq!(clip.sha256(), Clip::spoken(text, spoken).sha256());
        }
    }

    #[tokio::test]
    async fn what_cannot_be_spoken_is_said() {
        gstreamer::init().expect("GStreamer");
        let voice = Voice::find(identity(16_000, 1)).expect("espeak-ng (run: make setup)");
        let why = voice.speak("。。。").await.expect_err("nothing to say");
        assert!(why.contains("no sound"), "{why}");
        assert_eq!(sized(vec![0; 20]), None);
    }

    #[test]
    fn the_language_is_that_of_the_letters() {
        for (text, chinese) in [
            ("请收摊", true),
            ("Road 5", false),
            ("WiFi 关", true),
            ("，。", false),
        ] {
            assert_eq!(text.chars().any(is_chinese), chinese, "{text}");
        }
    }
}

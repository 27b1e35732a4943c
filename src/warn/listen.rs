//! A microphone while something is said: a program that writes what it hears, or a camera.
//!
//! Either gives 16-bit little-endian samples, one channel, 16 kHz, without a header, for as long as
//! it is listened to. A camera is heard by who has it: [`Listening`] is the way there.

use std::convert::Infallible;
use std::fmt;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use super::Clip;
use super::clip::Sound;
use super::echo;
use super::program::Running;
use crate::clock;
use crate::config::Microphone;
use crate::types::Heard;

/// Samples a second.
const RATE: u32 = 16_000;
/// A microphone that gives nothing for this long is none.
pub(super) const BEGINS_WITHIN: Duration = Duration::from_secs(4);
/// The clip arrives no later than this after playing began: the delays of loudspeaker, network and
/// microphone.
const DELAY_MAX: Duration = Duration::from_secs(3);
/// Nor earlier than this before: a sink tells its position in whole buffers.
const EARLY_MAX: Duration = Duration::from_millis(200);
/// A recording that is not longer than the clip by this much cannot hold it: the microphone gave
/// out meanwhile.
const SLACK: Duration = Duration::from_secs(1);
/// More is not kept: four minutes.
const BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes in a millisecond: sixteen samples of two.
const BYTES_A_MS: usize = 32;
/// Taken from the program at once.
const PIECE: usize = 4_096;

/// What a camera hears, piece by piece, until it is dropped; why there is nothing, or no more of it, is
/// the last.
pub type Sounds = mpsc::Receiver<Result<Vec<u8>, String>>;

/// The way to what cameras hear, by their names; `None` for one that is not there.
#[derive(Clone)]
pub struct Listening(Arc<Open>);

/// Begins to listen to a camera.
type Open = dyn Fn(&str) -> Option<Sounds> + Send + Sync;

impl Listening {
    /// Through `open`, which does not wait.
    pub fn new(open: impl Fn(&str) -> Option<Sounds> + Send + Sync + 'static) -> Self {
        Self(Arc::new(open))
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listening")
    }
}

/// Whether a camera gives sound, as soon as it must; what is told of it.
///
/// # Errors
/// Why it does not.
pub async fn gives_sound(sounds: Sounds) -> Result<String, String> {
    let began = clock::now();
    Ear::begun(Source::Camera(sounds)).await?;
    let took = clock::now().since(began).as_secs_f64();
    Ok(format!("gives sound, the first after {took:.1} s"))
}

/// Where sound comes from.
enum Source {
    /// A program that writes it, and ends with this.
    Program(Running),
    Camera(Sounds),
}

impl Source {
    fn open(microphone: &Microphone, cameras: Option<&Listening>) -> Result<Self, String> {
        if !microphone.camera.is_empty() {
            let sounds = cameras.and_then(|cameras| (cameras.0)(&microphone.camera));
            let sounds = sounds.ok_or("there is no way to this camera")?;
            return Ok(Self::Camera(sounds));
        }
        let mut running = Running::start(&microphone.command, [Stdio::null(), Stdio::piped()])?;
        // What it says is nobody's; a full pipe would make it wait.
        drop(running.child.stderr.take());
        Ok(Self::Program(running))
    }

    /// The next piece; why there is none any more, otherwise.
    async fn next(&mut self) -> Result<Vec<u8>, String> {
        match self {
            Self::Program(running) => {
                let output = running.child.stdout.as_mut().ok_or("it has no output")?;
                let mut piece = vec![0; PIECE];
                let read = output.read(&mut piece).await.unwrap_or(0);
                piece.truncate(read);
                let ended = || "the microphone's program ended".to_owned();
                (read > 0).then_some(piece).ok_or_else(ended)
            }
            Self::Camera(sounds) => {
                let ended = || Err("the camera gives no more sound".to_owned());
                sounds.recv().await.unwrap_or_else(ended)
            }
        }
    }
}

/// A microphone that listens; it ends when dropped.
pub(super) struct Ear {
    source: Source,
    taken: Vec<u8>,
    /// Where in `taken` playing was ordered.
    ordered: usize,
    /// Why no more comes.
    ended: Option<String>,
}

impl Ear {
    /// Opens the microphone and waits for its first sound.
    pub(super) async fn open(
        microphone: &Microphone,
        cameras: Option<&Listening>,
    ) -> Result<Self, String> {
        Self::begun(Source::open(microphone, cameras)?).await
    }

    async fn begun(source: Source) -> Result<Self, String> {
        let mut ear = Self {
            source,
            taken: Vec::new(),
            ordered: 0,
            ended: None,
        };
        let first = tokio::time::timeout(BEGINS_WITHIN, ear.take()).await;
        if first.is_err() {
            let secs = BEGINS_WITHIN.as_secs();
            return Err(format!("the microphone gives nothing within {secs} s"));
        }
        match ear.ended {
            None => Ok(ear),
            Some(why) => Err(why),
        }
    }

    /// Playing is ordered now.
    pub(super) fn order(&mut self) {
        self.ordered = self.taken.len();
    }

    /// Listens for as long as it is polled.
    pub(super) async fn listen(&mut self) -> Infallible {
        while self.ended.is_none() {
            self.take().await;
        }
        std::future::pending().await
    }

    /// Listens for the last of it, and says whether `clip` was heard, which began to be played
    /// `opening` after the order. `None`: the microphone gave out while it listened, and nobody knows
    /// what the vendor heard.
    pub(super) async fn judge(mut self, clip: Arc<Clip>, opening: Duration) -> Option<Heard> {
        drop(tokio::time::timeout(DELAY_MAX, self.listen()).await);
        let early = opening.min(EARLY_MAX);
        let before = usize::try_from(opening.saturating_sub(early).as_millis()).unwrap_or_default();
        let from = (self.ordered + before * BYTES_A_MS).next_multiple_of(2);
        let samples = self.taken.split_off(from.min(self.taken.len()));
        drop(self.source);
        let recording = Sound {
            rate: RATE,
            channels: 1,
            samples,
        };
        let lasted = recording.time_of(recording.samples.len());
        let whole = lasted >= early + clip.duration() + SLACK;
        let found = move || echo::find(clip.sound(), &recording, early + DELAY_MAX);
        let found = tokio::task::spawn_blocking(found).await.ok().flatten();
        if found.is_none() && !whole {
            let why = self.ended;
            tracing::warn!(?lasted, why, "the microphone gave out while it listened");
            return None;
        }
        Some(found.map_or(Heard::PlayedNotHeard, |found| heard(found, early)))
    }

    /// Takes what is there.
    async fn take(&mut self) {
        match self.source.next().await {
            Ok(piece) => {
                let room = BYTES_MAX.saturating_sub(self.taken.len());
                self.taken.extend(piece.iter().take(room));
            }
            Err(why) => self.ended = Some(why),
        }
    }
}

/// What was found in a recording that begins `early` before playing.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "decibels and thousandths"
)]
fn heard(found: echo::Found, early: Duration) -> Heard {
    let delay = found.delay.saturating_sub(early);
    Heard::PlayedHeard {
        level_db: found.level_db.round() as i32,
        delay_ms: u32::try_from(delay.as_millis()).unwrap_or(u32::MAX),
        correlation_permille: (found.alike * 1_000.0).round() as u32,
    }
}

//! A microphone while something is said: a program that writes what it hears.
//!
//! The program writes 16-bit little-endian samples, one channel, 16 kHz, without a header, for as
//! long as it runs (`arecord`, or `ffmpeg` on a camera's audio).

use std::convert::Infallible;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::ChildStdout;

use super::Clip;
use super::clip::Sound;
use super::echo;
use super::program::Running;
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

/// A microphone that listens; it ends when dropped.
pub(super) struct Ear {
    running: Running,
    output: ChildStdout,
    taken: Vec<u8>,
    /// Where in `taken` playing was ordered.
    ordered: usize,
}

impl Ear {
    /// Starts the program and waits for its first sound.
    pub(super) async fn open(command: &[String]) -> Result<Self, String> {
        let mut running = Running::start(command, [Stdio::null(), Stdio::piped()])?;
        // What it says is nobody's; a full pipe would make it wait.
        drop(running.child.stderr.take());
        let output = running.child.stdout.take().ok_or("it has no output")?;
        let mut ear = Self {
            running,
            output,
            taken: Vec::new(),
            ordered: 0,
        };
        match tokio::time::timeout(BEGINS_WITHIN, ear.take()).await {
            Ok(true) => Ok(ear),
            Ok(false) => Err("the microphone's program ended".to_owned()),
            Err(_elapsed) => Err("the microphone gives nothing".to_owned()),
        }
    }

    /// Playing is ordered now.
    pub(super) fn order(&mut self) {
        self.ordered = self.taken.len();
    }

    /// Listens for as long as it is polled.
    pub(super) async fn listen(&mut self) -> Infallible {
        while self.take().await {}
        // The program has ended: nothing more comes.
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
        drop(self.running);
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
            tracing::warn!(?lasted, "the microphone gave out while it listened");
            return None;
        }
        Some(found.map_or(Heard::PlayedNotHeard, |found| heard(found, early)))
    }

    /// Takes what is there; false when the program has ended.
    async fn take(&mut self) -> bool {
        let mut piece = [0; PIECE];
        match self.output.read(&mut piece).await {
            Ok(0) | Err(_) => false,
            Ok(n) => {
                let room = BYTES_MAX.saturating_sub(self.taken.len());
                self.taken.extend(piece.iter().take(n.min(room)));
                true
            }
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

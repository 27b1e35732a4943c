//! What is made to sound: words, or the tone of a horn.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::horn::Horn;
use super::listen::BEGINS_WITHIN;
use super::play::Output;
use super::{Clip, LETTING_GO, Listening, Said, Speaker, Toots};
use crate::clock;
use crate::config::Drive;
use crate::types::{Heard, Violation};

/// What is made to sound.
#[derive(Clone, Debug)]
pub enum Utterance {
    /// Words, after the identity.
    Words(Arc<Clip>),
    /// A horn's tone, which tells nobody what to do.
    Tone(Drive),
}

impl Utterance {
    /// The clip with the words; `None` for a tone.
    pub fn clip(&self) -> Option<&Clip> {
        match self {
            Self::Words(clip) => Some(clip),
            Self::Tone(_) => None,
        }
    }
}

impl Speaker {
    /// The same with the way to the vehicle, for a loudspeaker that is its horn.
    #[must_use]
    pub fn through(mut self, toots: Toots) -> Self {
        if let Some(horn) = &mut self.horn {
            horn.calls = Some(toots);
        }
        self
    }

    /// The same with the way to what cameras hear, for a microphone that is one's.
    #[must_use]
    pub fn hearing(mut self, cameras: Listening) -> Self {
        self.cameras = Some(cameras);
        self
    }

    /// What sounds for `violation`: its clip, or a tone of a horn; why nothing does, otherwise.
    pub fn warning(&self, violation: Violation) -> Result<Utterance, String> {
        match &self.horn {
            Some(horn) if violation.warns_first() => Ok(Utterance::Tone(horn.drive)),
            _ => self.clip(violation).map(Utterance::Words),
        }
    }

    /// From an order to the last sound of `what`, at the longest: until the microphone gives something,
    /// the loudspeaker is open, and a clip that hangs is cut off.
    pub fn lasts(&self, what: &Utterance) -> Duration {
        let listens = if self.microphone.listens() {
            BEGINS_WITHIN
        } else {
            Duration::ZERO
        };
        let opens = (self.output.as_ref()).map_or(Duration::ZERO, Output::opens_within);
        match what {
            Utterance::Words(clip) => listens + opens + clip.duration() + self.margin + LETTING_GO,
            Utterance::Tone(_) => self.horn.as_ref().map_or(Duration::ZERO, Horn::lasts),
        }
    }

    /// Makes it sound, as [`Speaker::say`] does; a horn knows no volume.
    pub async fn utter(&mut self, what: Utterance, volume: f64, stop: &CancellationToken) -> Said {
        match what {
            Utterance::Words(clip) => self.say(clip, volume, stop).await,
            Utterance::Tone(_) => self.toot(stop).await,
        }
    }

    async fn toot(&self, stop: &CancellationToken) -> Said {
        let ordered = clock::now();
        let Some(horn) = &self.horn else {
            return Said::nothing(ordered, "the loudspeaker is no horn");
        };
        let tooted = horn.sound(stop).await;
        let heard = Some(if tooted.sounded.is_zero() {
            Heard::NotPlayed
        } else {
            Heard::NoMicrophone
        });
        Said {
            at: tooted.began.unwrap_or(ordered),
            played: tooted.sounded,
            failure: tooted.failure,
            heard,
        }
    }
}

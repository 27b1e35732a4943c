//! What is made to sound: words, or the tone of a horn.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Clip, Said, Speaker, Toots};
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

    /// What sounds for `violation`: its clip, or a tone of a horn; why nothing does, otherwise.
    pub fn warning(&self, violation: Violation) -> Result<Utterance, String> {
        match &self.horn {
            Some(horn) if violation.warns_first() => Ok(Utterance::Tone(horn.drive)),
            _ => self.clip(violation).map(Utterance::Words),
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
        let heard = if tooted.sounded.is_zero() {
            Heard::NotPlayed
        } else {
            Heard::NoMicrophone
        };
        Said {
            at: tooted.began.unwrap_or(ordered),
            played: tooted.sounded,
            failure: tooted.failure,
            heard,
        }
    }
}

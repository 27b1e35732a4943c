//! Says a warning aloud, and whether it was played to its end; and whether it may be said at all.
//!
//! [`Governor`] rules on every announcement before it is made (`governor.rs`).
//! [`Speaker::open`] reads the clips once; [`Speaker::say`] plays one of them ([`play`], on a
//! thread of its own, so that a wedged sound driver blocks nobody) and measures what the sink
//! really played. On the network ([`http`], [`isapi`], [`onvif`]) that is what went out at its own
//! pace and what the device says to it.
//!
//! **Invariants.** One warning at a time. A report without a failure means that a real audio
//! sink, not a stand-in, took the whole clip in no less than its own time. The bytes played are
//! the bytes hashed, at one volume: a clip is kept in memory from the start, as loud as the
//! identity. `say` answers within the clip's length plus the margin (a loudspeaker that is
//! opened first has six seconds more), and within a second of a stop, whatever the driver does.
//!
//! Where there is a microphone ([`listen`]), the clip is looked for in what it took up ([`echo`]): an
//! amplifier switched off or a cut cable is noticed.
//!
//! Every clip begins with the bureau's identity, in the same sound. A text is spoken by espeak-ng
//! ([`Voice`]); what comes of it is a clip like any other.

mod card;
mod clip;
mod convert;
mod echo;
mod error;
mod governor;
mod horn;
mod http;
mod isapi;
mod listen;
mod look;
mod onvif;
mod play;
mod probe;
mod program;
mod speakers;
mod speech;
mod utter;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

pub use clip::Clip;
pub use error::WarnError;
pub use governor::{Ask, By, Governor, Hush, Ledger, Stop, Travel, UnknownZone, tells_the_hour};
pub use horn::Toots;
pub use listen::{Listening, Sounds, gives_sound};
pub use look::look_at_clips;
pub use probe::Probed;
pub use program::told as told_by_program;
pub use speakers::{Speakers, Voices};
pub use speech::Voice;
pub use utter::Utterance;

use self::horn::Horn;
use self::http::Http;
use self::isapi::Isapi;
use self::listen::Ear;
use self::onvif::Onvif;
use self::play::{Output, Played, Until, Watch};
use self::program::Input;
use crate::clock;
use crate::config::{self, SpeakerKind};
use crate::http::CURL;
use crate::types::{Heard, Stamp, Violation};

/// After a stop or a time-out the sink has this long to fall silent; then it is left behind.
const LETTING_GO: Duration = Duration::from_millis(600);
/// What is said where there is no loudspeaker.
const NO_SPEAKER: &str = "no loudspeaker is configured";
/// What is said of a clip that a person stopped.
const STOPPED: &str = "stopped before the end";
/// What is said of a text or clip that a horn is to say.
const HORN: &str = "the loudspeaker is a horn, which cannot speak";
/// What is said of a clip that is not among those of the configuration.
const NO_SUCH_CLIP: &str = "this box has no such clip";
/// What is said of a clip that was played and is not in what the microphone took up.
const NOT_HEARD: &str = "the microphone did not hear it";

/// The loudspeaker, with its clips.
#[derive(Debug)]
pub struct Speaker {
    /// `None`: there is none that speaks, and every warning is reported as not played.
    output: Option<Output>,
    /// A vehicle's horn, instead.
    horn: Option<Horn>,
    /// Who listens.
    microphone: config::Microphone,
    /// The way to what cameras hear; `None` where nobody has one, as in `lingmou check`.
    cameras: Option<Listening>,
    margin: Duration,
    /// What comes before everything that is said.
    identity: Option<Arc<Clip>>,
    street_vending: Option<Arc<Clip>>,
    out_of_store: Option<Arc<Clip>>,
    /// The player left behind by a time-out, until it lets go of the sink.
    stuck: Option<oneshot::Receiver<Played>>,
}

/// What was said, and whether it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// When playing began, or was refused.
    pub at: Stamp,
    /// How long the sink really played.
    pub played: Duration,
    /// `None` when it was played to its end; otherwise why not.
    pub failure: Option<String>,
    /// What a microphone says of it; `None` when there is one and it says nothing.
    pub heard: Option<Heard>,
}

impl Said {
    /// Nothing was said, for `why`.
    pub fn nothing(at: Stamp, why: impl Into<String>) -> Self {
        Self {
            at,
            played: Duration::ZERO,
            failure: Some(why.into()),
            heard: Some(Heard::NotPlayed),
        }
    }
}

impl Speaker {
    /// Reads the clips and looks whether GStreamer has what is needed. The device is not opened
    /// yet: see [`Speaker::probe`].
    ///
    /// # Errors
    /// A clip that cannot be played, or a part that is not installed.
    pub fn open(config: &config::Warn) -> Result<Self, WarnError> {
        let output = match config.speaker.kind {
            SpeakerKind::None | SpeakerKind::Mavlink => None,
            SpeakerKind::Local => Some(Output::Local(config.speaker.device.clone())),
            SpeakerKind::File if config.speaker.path.as_os_str().is_empty() => {
                return Err(WarnError::NoPath);
            }
            SpeakerKind::File => Some(Output::File(config.speaker.path.clone())),
            SpeakerKind::Command => Some(Output::Program(config.speaker.command.clone())),
            SpeakerKind::Http => Some(Output::Http(Http::new(&config.speaker))),
            SpeakerKind::Hikvision => Some(Output::Isapi(Isapi::new(&config.speaker))),
            SpeakerKind::Onvif => Some(Output::Onvif(Onvif::new(&config.speaker))),
        };
        let horn = (config.speaker.kind == SpeakerKind::Mavlink).then(|| Horn::new(&config.horn));
        let mut speaker = Self {
            output,
            horn,
            microphone: config.microphone.clone(),
            cameras: None,
            margin: Duration::try_from_secs_f64(config.margin_secs).unwrap_or_default(),
            identity: None,
            street_vending: None,
            out_of_store: None,
            stuck: None,
        };
        if let Some(output) = &speaker.output {
            play::check_installed(output)?;
            if let Output::Http(_) | Output::Isapi(_) = output {
                program::check_installed(CURL)?;
            }
            let identity = Clip::read(&config.identity)?;
            let introduced = |path: &Path| {
                let clip = Clip::read(path)?;
                clip.check_alike(&identity)?;
                let clip = clip.levelled(&identity).after(&identity);
                Ok::<_, WarnError>(Some(Arc::new(clip)))
            };
            speaker.street_vending = introduced(&config.street_vending)?;
            speaker.out_of_store = introduced(&config.out_of_store)?;
            speaker.identity = Some(Arc::new(identity));
        }
        Ok(speaker)
    }

    /// What speaks texts for this loudspeaker; why nothing does, otherwise.
    pub fn voice(&self) -> Result<Voice, String> {
        if self.horn.is_some() {
            return Err(HORN.to_owned());
        }
        let identity = self.identity.clone().ok_or(NO_SPEAKER)?;
        Voice::find(identity).map_err(|error| error.to_string())
    }

    /// Looks at the loudspeaker without playing, for `lingmou check`: what it really is.
    ///
    /// # Errors
    /// [`WarnError::Silent`]: there is none, it does not answer, or it is a stand-in that nobody hears.
    pub async fn probe(&mut self) -> Result<Probed, WarnError> {
        let ready = match &self.output {
            None if self.horn.is_some() => {
                return Ok(Probed::Untried(
                    "the vehicle's horn, not sounded".to_owned(),
                ));
            }
            None => Err(NO_SPEAKER.to_owned()),
            Some(Output::File(path)) => probe::folder(path),
            Some(Output::Local(device)) => probe::card(device.clone()).await,
            Some(Output::Program(command)) => {
                let there = program::look_at(command).map_err(WarnError::Silent)?;
                return Ok(Probed::Untried(there));
            }
            Some(Output::Http(http)) => http.probe().await,
            Some(Output::Isapi(isapi)) => isapi.probe().await,
            Some(Output::Onvif(onvif)) => onvif.probe().await,
        };
        ready.map(Probed::Ready).map_err(WarnError::Silent)
    }

    /// The clip for `violation`; why there is none, otherwise.
    pub fn clip(&self, violation: Violation) -> Result<Arc<Clip>, String> {
        let clip = match violation {
            Violation::StreetVending => &self.street_vending,
            Violation::OutOfStore => &self.out_of_store,
            Violation::Spillage => &None,
        };
        let none = || match self.output {
            None => NO_SPEAKER.to_owned(),
            Some(_) => format!("there is no clip for {}", violation.name()),
        };
        clip.clone().ok_or_else(none)
    }

    /// The clip whose file, without the identity, has this SHA-256, lower-case hex; why it cannot
    /// be said, otherwise.
    pub fn clip_of(&self, sha256: &str) -> Result<Arc<Clip>, String> {
        let clips = [&self.street_vending, &self.out_of_store];
        let mut clips = clips.into_iter().flatten();
        let clip = clips.find(|clip| clip.sha256() == sha256).cloned();
        clip.ok_or_else(|| {
            let why = match (&self.output, &self.horn) {
                (Some(_), _) => NO_SUCH_CLIP,
                (None, Some(_)) => HORN,
                (None, None) => NO_SPEAKER,
            };
            why.to_owned()
        })
    }

    /// Plays `clip` at `volume` (0.0–1.0) and tells what the sink played, and what a microphone
    /// says of it. A clip that the microphone did not hear has a failure.
    ///
    /// Returns when the clip has ended, or cannot go on, or is the margin over its time, or
    /// within a second of `stop`; with a microphone some seconds after the end.
    pub async fn say(&mut self, clip: Arc<Clip>, volume: f64, stop: &CancellationToken) -> Said {
        let Some(output) = self.output.clone() else {
            return Said::nothing(clock::now(), NO_SPEAKER);
        };
        let mut ear = tokio::select! {
            ear = self.ear() => ear,
            () = stop.cancelled() => return Said::nothing(clock::now(), STOPPED),
        };
        if let Some(ear) = &mut ear {
            ear.order();
        }
        let ordered = clock::now();
        let playing = self.play(Arc::clone(&clip), (output, volume), stop);
        let played = match &mut ear {
            None => playing.await,
            Some(ear) => tokio::select! {
                played = playing => played,
                never = ear.listen() => match never {},
            },
        };
        // The sink tells its position in whole buffers, which may reach back before the order.
        let began = (played.began).filter(|began| began.boot_ns > ordered.boot_ns);
        let began = began.unwrap_or(ordered);
        let none = (!self.microphone.listens()).then_some(Heard::NoMicrophone);
        let heard = match ear {
            _ if played.sounded.is_zero() => Some(Heard::NotPlayed),
            Some(ear) if played.failure.is_none() => tokio::select! {
                heard = ear.judge(clip, began.since(ordered)) => heard,
                // All of it sounded; who stops it does not wait for whether it was heard.
                () = stop.cancelled() => None,
            },
            Some(_) | None => none,
        };
        let unheard = (heard == Some(Heard::PlayedNotHeard)).then(|| NOT_HEARD.to_owned());
        Said {
            at: began,
            heard,
            played: played.sounded,
            failure: played.failure.or(unheard),
        }
    }

    /// The microphone, when there is one that works.
    async fn ear(&self) -> Option<Ear> {
        if !self.microphone.listens() {
            return None;
        }
        let ear = Ear::open(&self.microphone, self.cameras.as_ref()).await;
        ear.inspect_err(|why| tracing::warn!(why, "nobody listens whether the warning is heard"))
            .ok()
    }

    async fn play(
        &mut self,
        clip: Arc<Clip>,
        (output, volume): (Output, f64),
        stop: &CancellationToken,
    ) -> Played {
        let until = Until {
            limit: clip.duration() + self.margin,
            stop,
        };
        match output {
            Output::Program(command) => {
                let input = Input {
                    bytes: clip.sound().at(volume).wav(),
                    pace: None,
                    length: clip.duration(),
                };
                program::play(&command, input, until).await
            }
            Output::Http(http) => http.play(&clip, volume, until).await,
            Output::Isapi(isapi) => isapi.play(&clip, volume, until).await,
            Output::Onvif(onvif) => onvif.play(&clip, volume, until).await,
            Output::Local(_) | Output::File(_) => self.stream(clip, (output, volume), stop).await,
        }
    }

    /// Plays through GStreamer, on a thread that may hang.
    async fn stream(
        &mut self,
        clip: Arc<Clip>,
        (output, volume): (Output, f64),
        stop: &CancellationToken,
    ) -> Played {
        if let Some(left) = &mut self.stuck
            && left.try_recv() == Err(oneshot::error::TryRecvError::Empty)
        {
            return Played::refused("the sound output still hangs in an earlier warning");
        }
        self.stuck = None;
        let limit = clip.duration() + self.margin;
        let watch = Arc::new(Watch::default());
        let (done, mut answer) = oneshot::channel();
        let watched = Arc::clone(&watch);
        let started = spawn(move || {
            // Nobody waits any more when this player was left behind; then its report is old.
            drop(done.send(play::play(&clip, &output, volume, &watched)));
        });
        if let Err(e) = started {
            return Played::refused(&format!("no thread for the loudspeaker: {e}"));
        }
        let why = tokio::select! {
            played = &mut answer => return played.unwrap_or_else(|_| Played::refused("the player died")),
            () = stop.cancelled() => STOPPED.to_owned(),
            () = tokio::time::sleep(limit) => format!(
                "the sound output hangs: not at the end {:.1} s after the clip's own length",
                self.margin.as_secs_f64()
            ),
        };
        watch.halt();
        let mut played = match tokio::time::timeout(LETTING_GO, &mut answer).await {
            Ok(Ok(played)) => played,
            Ok(Err(_)) => Played::refused("the player died"),
            Err(_elapsed) => {
                self.stuck = Some(answer);
                watch.left_behind()
            }
        };
        played.failure = Some(why);
        played
    }
}

/// A thread, not a blocking task: a player that hangs must not hold up the end of the runtime.
fn spawn(work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name("speaker".to_owned())
        .spawn(work)
        .map(drop)
}

#[cfg(test)]
mod tests;

//! What the mouth is asked, and what it answers.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::clock;
use crate::journal::kind;
use crate::types::{CaseId, Heard, Stamp, Violation, WarnReport};
use crate::warn::{By, Clip, Said, Speaker, Speakers, Stop, Utterance};

/// Why nobody was warned by a horn.
const TONE: &str = "a horn's tone tells nobody what to do";

/// A warning to be played.
#[derive(Clone, Debug)]
pub(in crate::daemon) struct Shout {
    pub(in crate::daemon) case: CaseId,
    pub(in crate::daemon) violation: Violation,
    /// Name of the zone.
    pub(in crate::daemon) zone: String,
    /// Capture time of the frame that led to it.
    pub(in crate::daemon) at: Stamp,
}

/// What a person orders.
#[derive(Debug)]
pub(in crate::daemon) enum Request {
    /// Say something.
    Speak {
        /// What.
        what: Words,
        /// Where this camera looks; `None`: from `[warn.speaker]`.
        camera: Option<String>,
        /// Who orders it, as it was proved.
        by: String,
        /// Hears what became of it.
        answer: oneshot::Sender<Answer>,
    },
    /// Fall silent now, and stay so for the configured time.
    Stop {
        /// Who orders it.
        by: String,
        /// Hears that it was done.
        answer: oneshot::Sender<Stopped>,
    },
}

/// What is to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum Words {
    /// One of the clips this box has, by the SHA-256 of its file.
    Clip(String),
    /// A text that was spoken.
    Text(Arc<Clip>),
}

/// What became of an order to speak.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::daemon) struct Answer {
    /// SHA-256 of the clip's file; empty when there is none.
    pub(in crate::daemon) clip_sha256: String,
    /// SHA-256 of the identity's file, which came first.
    pub(in crate::daemon) identity_sha256: Option<String>,
    /// The text, where one was spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::daemon) text: Option<String>,
    /// How long it sounded, milliseconds.
    pub(in crate::daemon) played_ms: u64,
    /// Why it was not to be said.
    pub(in crate::daemon) hushed: Option<String>,
    /// Why it was not said to its end.
    pub(in crate::daemon) failure: Option<String>,
    /// What a microphone says of it; `null` when there is one and it says nothing.
    pub(in crate::daemon) heard: Option<Heard>,
    /// The journal line that records it.
    pub(in crate::daemon) journal_n: Option<u64>,
}

/// What a stop did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(in crate::daemon) struct Stopped {
    /// Whether something sounded.
    pub(in crate::daemon) sounded: bool,
    /// The journal line that records it.
    pub(in crate::daemon) journal_n: Option<u64>,
}

/// What the status shows.
#[derive(Clone, Debug, Default, Serialize)]
pub(in crate::daemon) struct VoiceState {
    /// Whether something sounds at this moment.
    pub(in crate::daemon) speaking: bool,
    /// The last time that somebody stopped the loudspeaker, in this run or an earlier one.
    #[serde(skip)]
    pub(in crate::daemon) stopped: Option<Stop>,
    /// Stops so far, in this run.
    pub(in crate::daemon) stops: u64,
    /// Said, or sounded as a tone, in this run.
    pub(in crate::daemon) said: u64,
    /// Not to be said at that time and place, in this run.
    pub(in crate::daemon) hushed: u64,
    /// Could not be said, in this run.
    pub(in crate::daemon) failed: u64,
    /// Why the last one could not be said; `None` when it could. One that was ended on purpose tells
    /// nothing of the loudspeaker.
    pub(in crate::daemon) trouble: Option<String>,
    /// Whether the microphone left open if the last one that was said was heard.
    pub(in crate::daemon) unheard: bool,
}

impl VoiceState {
    /// As the status shows it at `now`.
    pub(in crate::daemon) fn snapshot(&self, now: Stamp) -> Value {
        let mut shown = json!(self);
        let stopped = self.stopped.as_ref();
        let stopped = stopped.and_then(|stop| Some((stop.by(), stop.left(now)?)));
        shown["stopped_by"] = json!(stopped.map(|(by, _)| by));
        let secs = |left: Duration| left.as_secs() + u64::from(left.subsec_nanos() > 0);
        shown["silent_secs"] = json!(stopped.map(|(_, left)| secs(left)));
        shown
    }
}

/// What is wanted, whoever wants it.
pub(super) struct Want {
    pub(super) case: Option<CaseId>,
    /// The zone a rule speaks to; empty for a person, whose orders count as a place of their own.
    pub(super) zone: String,
    /// The camera by which a person has it said.
    pub(super) camera: Option<String>,
    pub(super) by: By,
}

impl Want {
    /// The loudspeaker that says it.
    pub(super) fn speaker<'a>(&self, speakers: &'a mut Speakers) -> &'a mut Speaker {
        match &self.camera {
            Some(camera) => speakers.at(camera),
            None => speakers.of(&self.zone),
        }
    }

    /// Names of the zones in which that is heard.
    pub(super) fn heard_in<'a>(&self, speakers: &'a Speakers) -> &'a [String] {
        match &self.camera {
            Some(camera) => speakers.zones_at(camera),
            None => speakers.zones_with(&self.zone),
        }
    }

    /// What else a journal line says of it: the camera a person named.
    pub(super) fn name(&self, body: &mut Value) {
        if let Some(camera) = &self.camera {
            body["camera"] = camera.as_str().into();
        }
    }
}

impl Shout {
    pub(super) fn want(&self) -> Want {
        Want {
            case: Some(self.case),
            zone: self.zone.clone(),
            camera: None,
            by: By::Rule,
        }
    }
}

/// What became of it.
pub(super) struct Told {
    pub(super) said: Said,
    /// What was to be said, where it is there.
    pub(super) what: Option<Utterance>,
    pub(super) hushed: Option<String>,
    /// Whether it was ended, or not begun any more, for a reason other than the loudspeaker: a person's
    /// stop, a vehicle that drives off, quiet hours that came.
    pub(super) ended: bool,
}

impl Told {
    /// It was not even begun.
    pub(super) fn unplayed(why: &str) -> Self {
        Self {
            said: Said::nothing(clock::now(), why),
            what: None,
            hushed: None,
            ended: false,
        }
    }

    /// It was not to be said, for `why`.
    pub(super) fn hush(&mut self, why: String) {
        self.said.failure = Some(format!("not to be said: {why}"));
        self.hushed = Some(why);
    }

    /// The journal line that records it.
    pub(super) fn line(&self, want: &Want) -> (&'static str, Value) {
        let said = &self.said;
        let kind = match (&self.hushed, &said.failure) {
            (Some(_), _) => kind::WARNING_HUSHED,
            (None, None) if self.is_tone() => kind::WARNING_TONE,
            (None, None) => kind::WARNING_PLAYED,
            (None, Some(_)) => kind::WARNING_FAILED,
        };
        let mut body = json!({
            "case": want.case,
            "zone": want.zone,
            "by": want.by,
            "at": clock::rfc3339_ms(said.at.utc_ns),
            "clip_sha256": self.clip_sha256(),
        });
        want.name(&mut body);
        if let Some(what) = &self.what {
            name(&mut body, what);
        }
        if let Some(why) = &self.hushed {
            body["why"] = why.as_str().into();
        } else {
            body["played_ms"] = millis(said.played).into();
            body["failure"] = json!(said.failure);
            body["heard"] = json!(said.heard);
        }
        (kind, body)
    }

    fn clip(&self) -> Option<&Clip> {
        self.what.as_ref().and_then(Utterance::clip)
    }

    fn is_tone(&self) -> bool {
        matches!(self.what, Some(Utterance::Tone(_)))
    }

    fn clip_sha256(&self) -> String {
        let clip = self.clip();
        clip.map_or_else(String::new, |clip| clip.sha256().to_owned())
    }

    fn identity_sha256(&self) -> Option<String> {
        self.clip()?.identity_sha256().map(ToOwned::to_owned)
    }

    /// For judgement: a tone was no warning, whether it sounded or not, so the case ends like one that
    /// was not to be warned.
    pub(super) fn report(self, case: CaseId, journal_n: Option<u64>) -> WarnReport {
        let hushed = self.hushed.clone();
        let hushed = hushed.or_else(|| self.is_tone().then(|| TONE.to_owned()));
        WarnReport {
            case,
            at: self.said.at,
            played: self.said.played,
            clip_sha256: self.clip_sha256(),
            identity_sha256: self.identity_sha256(),
            failure: self.said.failure.or_else(|| hushed.clone()),
            journal_n,
            hushed,
            heard: self.said.heard,
        }
    }

    pub(super) fn answer(self, journal_n: Option<u64>) -> Answer {
        Answer {
            clip_sha256: self.clip_sha256(),
            identity_sha256: self.identity_sha256(),
            text: self.clip().and_then(Clip::text).map(ToOwned::to_owned),
            played_ms: millis(self.said.played),
            hushed: self.hushed,
            failure: self.said.failure,
            heard: self.said.heard,
            journal_n,
        }
    }
}

/// What else a journal line says of what sounds: the identity that comes first, and the text of
/// one that was spoken; or what makes the tone.
pub(super) fn name(body: &mut Value, what: &Utterance) {
    let clip = match what {
        Utterance::Words(clip) => clip,
        Utterance::Tone(drive) => {
            body["tone"] = json!(drive);
            return;
        }
    };
    body["identity_sha256"] = json!(clip.identity_sha256());
    body["length_ms"] = millis(clip.duration()).into();
    if let Some(text) = clip.text() {
        body["text"] = text.into();
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

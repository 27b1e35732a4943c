//! The mouth: says warnings and what persons order, one after the other, and reports what became
//! of each, of those too that it could not take.
//!
//! ```text
//! keeper ─Shout─▶        ┌ hushed ──▶ journal, report
//!                 ruling ┤
//! command ─Request─▶     └ journal (charged) ──▶ loudspeaker ──▶ journal, report
//! ```
//! **Invariants.** Nothing sounds that the governor did not allow and that the journal was not told
//! before, as long as the journal can be written; when it cannot, the charge is kept in memory and
//! the warning is made all the same: teaching does not need evidence. One thing is said at a time.
//! A stop is obeyed at any moment, also while something sounds.

mod words;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::config::{self, Config, SpeakerKind, TelemetrySource};
use crate::ingest::Camera;
use crate::journal::{Head, kind};
use crate::store::{Store, StoreError};
use crate::telemetry::{Call, Poses, TelemetryState};
use crate::types::{Stamp, WarnReport, lock};
use crate::warn::{Ask, By, Clip, Governor, Listening, Said, Speakers, Travel, Utterance};

use words::{Told, Want};

pub(super) use words::{Answer, Request, Shout, Stopped, VoiceState, Words};

/// A warning that waited longer than this behind others is not played: whoever it was meant for
/// may have gone.
const STALE_AFTER: Duration = Duration::from_secs(30);
/// How often it is looked whether the vehicle drives while something sounds.
const ROAD_EVERY: Duration = Duration::from_millis(500);
/// Why a warning is not played while the daemon ends.
const STOPPING: &str = "the daemon was stopping; it was not begun";
/// Calls to a vehicle's horn: the end of each is waited for.
const TOOTS: usize = 1;

/// Where the keeper hands warnings over; it never waits here.
pub(super) struct Mouthpiece {
    shouts: Sender<Shout>,
    reports: Sender<WarnReport>,
    store: Store,
}

impl Mouthpiece {
    /// Warnings go to `shouts`; what cannot be taken, to `reports` and the store's journal.
    pub(super) fn new(shouts: Sender<Shout>, reports: Sender<WarnReport>, store: Store) -> Self {
        Self {
            shouts,
            reports,
            store,
        }
    }

    /// Hands a warning over. One that cannot be taken is journalled and reported as not played at
    /// once, so that its case does not wait for a report that cannot come.
    pub(super) fn give(&self, shout: Shout) {
        let case = shout.case;
        let (shout, why) = match self.shouts.try_send(shout) {
            Ok(()) => return,
            Err(TrySendError::Closed(shout)) => (shout, STOPPING),
            Err(TrySendError::Full(shout)) => (shout, "the loudspeaker's queue is full"),
        };
        tracing::error!(%case, why, "a warning is not played");
        let told = Told::unplayed(why);
        let (kind, body) = told.line(&shout.want());
        let n = noted(self.store.note(clock::now(), kind, body));
        if self.reports.try_send(told.report(case, n)).is_err() {
            tracing::warn!(%case, "nobody hears that a warning was not played");
        }
    }
}

/// A vehicle's horn: how it is driven, and the calls for it.
type Horn = (config::Horn, Receiver<Call>);

/// The loudspeakers with the way to what the cameras hear, and, where one is a vehicle's horn, what its
/// calls come out of.
pub(super) fn joined(
    speakers: Speakers,
    config: &Config,
    cameras: &Arc<Vec<Camera>>,
) -> (Speakers, Option<Horn>) {
    let speakers = speakers.hearing(&ears(cameras));
    if config.warn.speaker.kind != SpeakerKind::Mavlink {
        return (speakers, None);
    }
    let (calls, calls_in) = channel(TOOTS);
    let horn = (config.warn.horn.clone(), calls_in);
    (speakers.through(calls), Some(horn))
}

/// The way to what the cameras hear.
fn ears(cameras: &Arc<Vec<Camera>>) -> Listening {
    let cameras = Arc::clone(cameras);
    Listening::new(move |name| {
        let camera = cameras.iter().find(|camera| camera.name() == name);
        camera.map(Camera::listen)
    })
}

/// Everything the mouth works with.
pub(super) struct Mouth {
    pub(super) speakers: Speakers,
    pub(super) governor: Governor,
    pub(super) reports: Sender<WarnReport>,
    pub(super) requests: Receiver<Request>,
    pub(super) store: Store,
    pub(super) poses: Arc<Poses>,
    /// What satellites say of the clock.
    pub(super) telemetry: Arc<TelemetryState>,
    /// Where the position comes from, and whether a camera of the box moves.
    pub(super) moves: (TelemetrySource, bool),
    pub(super) state: Arc<Mutex<VoiceState>>,
    pub(super) stop: CancellationToken,
}

impl Mouth {
    /// Speaks until `stop` or until the keeper has ended; then says of each warning that still waits
    /// that it was not begun.
    pub(super) async fn run(mut self, mut shouts: Receiver<Shout>) {
        // A stop of an earlier run may still hold.
        self.state().stopped = self.governor.last_stop();
        self.serve(&mut shouts).await;
        // What the keeper gives from now on, it journals itself.
        shouts.close();
        while let Some(shout) = shouts.recv().await {
            self.tell(&shout.want(), &Told::unplayed(STOPPING)).await;
        }
    }

    async fn serve(&mut self, shouts: &mut Receiver<Shout>) {
        loop {
            let request = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                Some(request) = self.requests.recv() => request,
                shout = shouts.recv() => {
                    let Some(shout) = shout else { return };
                    if !self.shout(shout).await {
                        return;
                    }
                    continue;
                }
            };
            match request {
                Request::Speak {
                    what,
                    camera,
                    by,
                    answer,
                } => self.speak(what, (camera, by), answer).await,
                Request::Stop { by, answer } => {
                    self.silence((by, clock::now()), false, answer).await;
                }
            }
        }
    }

    /// A warning; false when nobody hears what became of it any more.
    async fn shout(&mut self, shout: Shout) -> bool {
        let want = shout.want();
        let speaker = want.speaker(&mut self.speakers);
        let told = if clock::now().since(shout.at) > STALE_AFTER {
            let mut told = Told::unplayed("it waited too long behind other warnings");
            told.what = speaker.warning(shout.violation).ok();
            told
        } else {
            let what = speaker.warning(shout.violation);
            self.say(&want, what).await
        };
        let n = self.tell(&want, &told).await;
        self.reports.send(told.report(shout.case, n)).await.is_ok()
    }

    async fn speak(
        &mut self,
        what: Words,
        (camera, by): (Option<String>, String),
        answer: oneshot::Sender<Answer>,
    ) {
        let want = Want {
            case: None,
            zone: String::new(),
            camera,
            by: By::Person(by),
        };
        let clip = match what {
            Words::Clip(sha256) => want.speaker(&mut self.speakers).clip_of(&sha256),
            Words::Text(clip) => Ok(clip),
        };
        let told = self.say(&want, clip.map(Utterance::Words)).await;
        let n = self.tell(&want, &told).await;
        // Who asked may have gone meanwhile; the journal has it.
        drop(answer.send(told.answer(n)));
    }

    /// Says it, if the governor allows.
    async fn say(&mut self, want: &Want, what: Result<Utterance, String>) -> Told {
        let at = self.now();
        let speaker = want.speaker(&mut self.speakers);
        let ask = Ask {
            at,
            lasts: (what.as_ref()).map_or(Duration::ZERO, |what| speaker.lasts(what)),
            zone: &want.zone,
            heard_in: want.heard_in(&self.speakers),
            case: want.case,
            by: &want.by,
            travel: self.travel(at),
        };
        let mut told = Told::unplayed("");
        told.what = what.as_ref().ok().cloned();
        if let Err(hush) = self.governor.rule(&ask) {
            tracing::info!(zone = %want.zone, why = %hush, "nothing is said");
            told.hush(hush.to_string());
            return told;
        }
        match what {
            Ok(what) => {
                let sha256 = what.clip().map_or("", Clip::sha256);
                let mut charge = self.governor.charge(&ask, sha256);
                want.name(&mut charge);
                words::name(&mut charge, &what);
                self.note(kind::WARNING_BEGUN, charge).await;
                // A disk may have kept that line waiting into other hours.
                let at = self.now();
                match self.governor.hour(&Ask { at, ..ask }) {
                    Ok(volume) => (told.said, told.ended) = self.sound(want, what, volume).await,
                    Err(hush) => {
                        (told.said.failure, told.ended) = (Some(hush.to_string()), true);
                    }
                }
            }
            Err(why) => told.said.failure = Some(why),
        }
        told
    }

    /// Plays it, and hears requests meanwhile: a stop ends it, and so does a vehicle that drives off;
    /// another order to speak has to wait for another time. What was said, and whether it was ended
    /// like that.
    async fn sound(&mut self, want: &Want, what: Utterance, volume: f64) -> (Said, bool) {
        self.state().speaking = true;
        let halt = self.stop.child_token();
        let mut stops: Vec<((String, Stamp), oneshot::Sender<Stopped>)> = Vec::new();
        let mut hushed = None;
        let mut said = {
            let speaker = want.speaker(&mut self.speakers);
            let saying = speaker.utter(what, volume, &halt);
            tokio::pin!(saying);
            let mut road = interval(ROAD_EVERY);
            loop {
                tokio::select! {
                    said = &mut saying => break said,
                    _ = road.tick(), if hushed.is_none() => {
                        let at = self.telemetry.doubt(clock::now());
                        let (source, moving) = self.moves;
                        let travel = Travel::of(source, moving, self.poses.at(at).as_ref());
                        if let Err(hush) = self.governor.goes_on(&want.by, travel) {
                            tracing::info!(zone = %want.zone, why = %hush, "cut off");
                            hushed = Some(hush.to_string());
                            halt.cancel();
                        }
                    }
                    Some(request) = self.requests.recv() => match request {
                        Request::Stop { by, answer } => {
                            halt.cancel();
                            stops.push(((by, clock::now()), answer));
                        }
                        Request::Speak { answer, .. } => {
                            let busy = Told::unplayed("something else is being said");
                            drop(answer.send(busy.answer(None)));
                        }
                    },
                }
            }
        };
        self.state().speaking = false;
        if let (Some(why), Some(failure)) = (hushed, &mut said.failure) {
            *failure = why;
        }
        // Who stopped it while only the microphone was waited for has cut nothing off.
        let cut_off = said.failure.is_some() && !said.played.is_zero();
        for (order, answer) in stops {
            self.silence(order, cut_off, answer).await;
        }
        let ended = said.failure.is_some() && halt.is_cancelled();
        (said, ended)
    }

    /// A person's stop, ordered at that moment: from then on nothing is said.
    async fn silence(
        &mut self,
        (by, at): (String, Stamp),
        sounded: bool,
        answer: oneshot::Sender<Stopped>,
    ) {
        tracing::warn!(by, sounded, "the loudspeaker was stopped");
        let mut body = self.governor.stop(at, &By::Person(by));
        body["sounded"] = sounded.into();
        let journal_n = self.note(kind::WARNING_STOPPED, body).await;
        {
            let mut state = self.state();
            state.stops += 1;
            state.stopped = self.governor.last_stop();
        }
        let _gone: Result<(), Stopped> = answer.send(Stopped { sounded, journal_n });
    }

    /// Journals what became of it; the number of the line.
    async fn tell(&self, want: &Want, told: &Told) -> Option<u64> {
        {
            let mut state = self.state();
            match (&told.hushed, &told.said.failure) {
                (Some(_), _) => state.hushed += 1,
                (None, None) => {
                    state.said += 1;
                    state.trouble = None;
                    state.unheard = told.said.heard.is_none();
                }
                (None, Some(why)) => {
                    state.failed += 1;
                    // Who ends it has not found the loudspeaker broken.
                    if !told.ended {
                        state.trouble = Some(why.clone());
                    }
                }
            }
        }
        let (kind, body) = told.line(want);
        self.note(kind, body).await
    }

    /// Number of the journal line; `None` when the journal cannot take it.
    async fn note(&self, kind: &'static str, body: Value) -> Option<u64> {
        let store = self.store.clone();
        let line = tokio::task::spawn_blocking(move || store.note(clock::now(), kind, body));
        line.await.ok().and_then(noted)
    }

    fn travel(&self, at: Stamp) -> Travel {
        let (source, moving) = self.moves;
        Travel::of(source, moving, self.poses.at(at).as_ref())
    }

    /// Now, and how wrong that may be: as wrong as satellites say, if they do.
    fn now(&self) -> Stamp {
        self.telemetry.doubt(clock::now())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, VoiceState> {
        lock(&self.state)
    }
}

fn noted(line: Result<Head, StoreError>) -> Option<u64> {
    line.inspect_err(|error| tracing::error!(%error, "the journal does not take what was said"))
        .ok()
        .map(|head| head.n)
}

#[cfg(test)]
mod tests;

//! Who the cameras are, by their own word: each is asked over ONVIF when its stream has come to play.
//!
//! A camera is put in another's place only while it is away. So a new connection makes what was told
//! before unknown, and the camera is asked again, on a thread of its own: the video waits for nothing.
//! One that does not answer is asked again ever more rarely, for its pages may come up after its video.
//! One that refuses the password is left alone until it is connected anew, and for longer than cameras
//! lock an account.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::config;
use crate::ingest::{Camera, CameraState, IngestError, Onvif, OnvifFault, Phase};
use crate::journal::kind;
use crate::store::{Store, StoreError};
use crate::types::{Nameplate, lock};

/// How often the streams are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// A camera is not asked again before, however often it is connected; and the first pause after silence.
const AGAIN: Duration = Duration::from_mins(1);
/// The longest pause after silence.
const AGAIN_MAX: Duration = Duration::from_hours(1);
/// After a password was refused: cameras lock an account for half an hour.
const AFTER_REFUSAL: Duration = Duration::from_mins(32);

/// The cameras in their order; shared by who asks, who states and who shows.
#[derive(Debug)]
pub(super) struct Nameplates(Vec<Place>);

/// Where a camera is to be.
#[derive(Debug)]
struct Place {
    camera: String,
    /// The serial number that is configured; empty when none is.
    configured: String,
    /// `None` when it is not asked.
    onvif: Option<Onvif>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The connection that counts: how many came before it.
    connection: Option<u64>,
    /// What was answered on it; `None` before that.
    answer: Option<Result<Nameplate, OnvifFault>>,
    is_asked: bool,
    /// When it is to be asked, boot clock; `None`: not on this connection.
    ask_ns: Option<u64>,
    /// Before that it is not asked on another connection either.
    earliest_ns: u64,
    /// The next pause after silence.
    pause: Duration,
    /// What the journal knows of it.
    noted: Option<Nameplate>,
}

impl State {
    /// Takes in that the stream plays on this connection. Whether it is to be asked now.
    fn plays(&mut self, connection: u64, now_ns: u64) -> bool {
        if self.connection != Some(connection) {
            self.connection = Some(connection);
            self.answer = None;
            self.pause = AGAIN;
            self.ask_ns = Some(self.earliest_ns);
        }
        let due = !self.is_asked && self.ask_ns.is_some_and(|ask_ns| ask_ns <= now_ns);
        self.is_asked |= due;
        due
    }

    /// Takes in the answer to what was asked on `connection`; whether it is news.
    fn heard(
        &mut self,
        connection: u64,
        answer: Result<Nameplate, OnvifFault>,
        now_ns: u64,
    ) -> bool {
        let after = |pause: Duration| now_ns.saturating_add(ns(pause));
        let wait = match answer {
            Err(OnvifFault::Refused(_)) => AFTER_REFUSAL,
            _ => AGAIN,
        };
        self.is_asked = false;
        self.earliest_ns = after(wait);
        if self.connection != Some(connection) {
            // It may have been another camera.
            self.ask_ns = Some(self.earliest_ns);
            return false;
        }
        self.ask_ns = None;
        if matches!(answer, Err(OnvifFault::Silent { .. })) {
            self.ask_ns = Some(after(self.pause));
            self.pause = self.pause.saturating_mul(2).min(AGAIN_MAX);
        }
        let is_news = self.answer.as_ref() != Some(&answer);
        self.answer = Some(answer);
        is_news
    }

    fn told(&self) -> Option<&Nameplate> {
        self.answer.as_ref()?.as_ref().ok()
    }
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Nameplates {
    pub(super) fn new(cameras: &[config::Camera]) -> Result<Self, IngestError> {
        let place = |camera: &config::Camera| {
            Ok(Place {
                camera: camera.name.clone(),
                configured: camera.serial.trim().to_owned(),
                onvif: Onvif::of(camera)?,
                state: Mutex::default(),
            })
        };
        cameras
            .iter()
            .map(place)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// What the camera told of itself on the connection of which `state` tells.
    pub(super) fn told(&self, index: usize, state: &CameraState) -> Option<Nameplate> {
        let known = lock(&self.0.get(index)?.state);
        let is_new = is_new(known.connection, state);
        known.told().filter(|_| !is_new).cloned()
    }

    /// What the status shows of a camera.
    pub(super) fn snapshot(&self, index: usize) -> Value {
        let Some(place) = self.0.get(index) else {
            return Value::Null;
        };
        let state = lock(&place.state);
        let (word, why) = match &state.answer {
            _ if place.onvif.is_none() => ("off", None),
            None => ("not_asked", None),
            Some(Ok(_)) => ("told", None),
            Some(Err(fault @ OnvifFault::Silent { .. })) => ("silent", Some(fault.to_string())),
            Some(Err(fault)) => ("refused", Some(fault.to_string())),
        };
        json!({
            "state": word,
            "why": why,
            "told": state.told(),
            "stranger": state.told().and_then(|told| place.stranger(told)),
        })
    }
}

/// Whether another connection plays than this one.
fn is_new(connection: Option<u64>, state: &CameraState) -> bool {
    state.main.phase == Phase::Playing && connection != Some(state.main.reconnects)
}

impl Place {
    /// What is wrong when it is another camera than the configured one.
    fn stranger(&self, told: &Nameplate) -> Option<String> {
        let serial = told.serial.as_deref()?;
        told.is_other_than(&self.configured).then(|| {
            format!(
                "another camera than configured: it tells serial {serial}, configured is {}; packages \
                 are leads; look at it, then correct serial",
                self.configured
            )
        })
    }

    /// Asks on a thread of its own, where it is due.
    fn look(nameplates: &Arc<Nameplates>, index: usize, state: &CameraState) {
        let Some(place) = nameplates.0.get(index) else {
            return;
        };
        let playing = state.main.phase == Phase::Playing;
        let (connection, now_ns) = (state.main.reconnects, clock::boot_ns());
        let Some(onvif) = place.onvif.clone().filter(|_| playing) else {
            return;
        };
        if !lock(&place.state).plays(connection, now_ns) {
            return;
        }
        let nameplates = Arc::clone(nameplates);
        let asking = thread::Builder::new().name(format!("onvif-{}", place.camera));
        let started = asking.spawn(move || {
            let answer = onvif.ask();
            if let Some(place) = nameplates.0.get(index) {
                place.heard(connection, answer);
            }
        });
        if let Err(error) = started {
            let silent = OnvifFault::Silent {
                url: String::new(),
                why: error.to_string(),
            };
            place.heard(connection, Err(silent));
        }
    }

    fn heard(&self, connection: u64, answer: Result<Nameplate, OnvifFault>) {
        let told = answer.clone();
        if !lock(&self.state).heard(connection, answer, clock::boot_ns()) {
            return;
        }
        let camera = &self.camera;
        match told {
            Err(fault @ OnvifFault::Silent { .. }) => tracing::debug!(camera, %fault, "not told"),
            Err(fault) => tracing::warn!(camera, %fault, "the camera does not say who it is"),
            Ok(told) => match self.stranger(&told) {
                None => tracing::info!(camera, ?told, "the camera says who it is"),
                Some(why) => tracing::error!(camera, why),
            },
        }
    }

    /// Writes down who it is, when it is not who it was.
    fn note(&self, store: &Store) -> Result<(), StoreError> {
        let state = lock(&self.state);
        let news = state
            .told()
            .filter(|told| state.noted.as_ref() != Some(told));
        let Some(told) = news.cloned() else {
            return Ok(());
        };
        drop(state);
        let configured = Some(self.configured.as_str()).filter(|serial| !serial.is_empty());
        let known = told.serial.as_ref().and(configured);
        let body = json!({
            "camera": self.camera,
            "manufacturer": told.manufacturer,
            "model": told.model,
            "firmware": told.firmware,
            "serial": told.serial,
            "configured": configured,
            "as_configured": known.map(|serial| !told.is_other_than(serial)),
        });
        store.note(clock::now(), kind::CAMERA_TOLD, body)?;
        lock(&self.state).noted = Some(told);
        Ok(())
    }
}

/// Looks which camera is to be asked, and writes down what they told, until `stop`.
pub(super) async fn ask(
    nameplates: Arc<Nameplates>,
    cameras: Arc<Vec<Camera>>,
    store: Store,
    stop: CancellationToken,
) {
    let mut pace = tokio::time::interval(LOOK);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = pace.tick() => {}
        }
        let (nameplates, cameras) = (Arc::clone(&nameplates), Arc::clone(&cameras));
        let turn = move |store: &Store| {
            for (index, camera) in cameras.iter().enumerate() {
                Place::look(&nameplates, index, &camera.state());
            }
            nameplates.0.iter().try_for_each(|place| place.note(store))
        };
        // What the journal does not take is tried again in a second; the record says why it does not.
        drop(store.blocking(turn).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: u64 = 60_000_000_000;

    fn plate(serial: &str) -> Nameplate {
        Nameplate {
            serial: Some(serial.to_owned()),
            ..Nameplate::default()
        }
    }

    fn silent() -> Result<Nameplate, OnvifFault> {
        Err(OnvifFault::Silent {
            url: String::new(),
            why: "nobody".to_owned(),
        })
    }

    fn refused() -> Result<Nameplate, OnvifFault> {
        Err(OnvifFault::Refused("401".to_owned()))
    }

    #[test]
    fn a_camera_is_asked_once_for_each_connection_and_not_each_second() {
        let mut state = State::default();
        assert!(state.plays(0, 0));
        assert!(!state.plays(0, 1), "it is being asked");
        assert!(state.heard(0, Ok(plate("1")), 2));
        assert!(!state.plays(0, 600 * MIN), "it is known");
        assert_eq!(state.told(), Some(&plate("1")));
        // Another connection: nobody knows whether it is the same camera.
        assert!(state.plays(1, 600 * MIN));
        assert_eq!(state.told(), None);
        assert!(state.heard(1, Ok(plate("1")), 600 * MIN));
        assert!(
            !state.plays(2, 601 * MIN - 1),
            "a stream that comes and goes"
        );
        assert_eq!(state.told(), None);
        assert!(state.plays(2, 601 * MIN));
        // What is answered after it was taken away is not of the one that is there now.
        assert!(!state.plays(3, 601 * MIN + 1));
        assert!(!state.heard(2, Ok(plate("1")), 601 * MIN + 2));
        assert_eq!(state.told(), None);
        assert!(state.plays(3, 603 * MIN));
    }

    #[test]
    fn one_that_is_silent_is_asked_ever_more_rarely_and_heard_of_once() {
        let mut state = State::default();
        let mut now_ns = 0;
        for (mins, news) in [(1, true), (2, false), (4, false), (8, false)] {
            assert!(state.plays(0, now_ns));
            assert_eq!(state.heard(0, silent(), now_ns), news);
            assert!(!state.plays(0, now_ns + mins * MIN - 1));
            now_ns += mins * MIN;
        }
        for _ in 0..9 {
            assert!(state.plays(0, now_ns));
            assert!(!state.heard(0, silent(), now_ns));
            now_ns += 60 * MIN;
        }
        assert!(state.plays(0, now_ns));
        assert!(state.heard(0, Ok(plate("1")), now_ns));
        assert!(!state.plays(0, now_ns + 600 * MIN));
    }

    #[test]
    fn a_wrong_password_is_tried_once_and_not_before_a_lock_of_half_an_hour_ends() {
        let mut state = State::default();
        assert!(state.plays(0, 0));
        assert!(state.heard(0, refused(), 0));
        assert!(!state.plays(0, 600 * MIN), "nothing has changed");
        assert!(state.plays(1, 600 * MIN));
        assert!(state.heard(1, refused(), 600 * MIN));
        for connection in 2..40 {
            assert!(!state.plays(connection, (600 + connection) * MIN - 10 * MIN));
        }
        assert!(state.plays(40, 632 * MIN));
    }

    #[test]
    fn what_was_told_is_of_the_connection_that_plays() {
        let camera = config::Camera {
            url: "rtsp://10.0.0.21/1".to_owned(),
            serial: "A".to_owned(),
            ..config::Camera::default()
        };
        let nameplates = Nameplates::new(&[camera]).unwrap();
        let place = &nameplates.0[0];
        let told = |phase, reconnects| {
            let mut state = CameraState::default();
            (state.main.phase, state.main.reconnects) = (phase, reconnects);
            nameplates.told(0, &state)
        };
        assert_eq!(nameplates.snapshot(0)["state"], "not_asked");
        assert!(lock(&place.state).plays(0, 0));
        place.heard(0, Ok(plate("B")));
        assert_eq!(told(Phase::Playing, 0), Some(plate("B")));
        let shown = nameplates.snapshot(0);
        let stranger = shown["stranger"].as_str().unwrap();
        assert!(stranger.starts_with("another camera than configured: it tells serial B, "));
        assert_eq!(
            (&shown["state"], &shown["told"]["serial"]),
            (&json!("told"), &json!("B"))
        );
        // What it showed before it went away it showed under that name; whoever comes has none yet.
        assert_eq!(told(Phase::Failed, 1), Some(plate("B")));
        assert_eq!(told(Phase::Playing, 1), None);
    }
}

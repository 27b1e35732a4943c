//! What commands ask for, done.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock;
use crate::command::{Settings, Verb};
use crate::config::Loaded;
use crate::ingest::Phase;
use crate::journal::kind;
use crate::status::alarms;
use crate::store::{Ended, State, Store, StoreError};
use crate::types::{CaseId, Violation};
use crate::warn::Voices;
use crate::witness::{Asked, Fate};

use super::super::alarms::Noted;
use super::super::asks::{Ask, Ways, What};
use super::super::capture::package_id;
use super::super::gauges::Gauges;
use super::super::mouth::{Request, Words};
use super::reboot::Reboots;
use super::{Errand, blocking, ended};

/// A camera that plays gives a frame within this; one that was just started connects.
const FRAME_WITHIN: Duration = Duration::from_secs(10);

/// What errands are done with.
pub(super) struct Errands {
    pub(super) gauges: Arc<Gauges>,
    pub(super) loaded: Loaded,
    pub(super) settings: Settings,
    /// Told when the daemon shall start again.
    pub(super) again: CancellationToken,
    /// The ways to loudspeaker and eye.
    pub(super) ways: Ways,
    /// What speaks texts.
    pub(super) voices: Voices,
    /// Restarts of the whole box that were ordered.
    pub(super) reboots: Reboots,
    /// Takes packages to be sent with everything the link's profile holds back.
    pub(super) wanted: Sender<CaseId>,
}

impl Errands {
    pub(super) fn store(&self) -> Store {
        self.gauges.store.clone()
    }

    pub(super) fn is_on_trial(&self, command: Uuid) -> bool {
        self.settings.is_on_trial(command)
    }

    /// Does it; `None` when what becomes of it shows only later.
    pub(super) async fn carry(&self, errand: Errand) -> Option<Ended> {
        let Errand {
            id,
            verb,
            by,
            sha256,
            at,
        } = errand;
        let done = match verb {
            Verb::Report {} => self.snapshot().await,
            Verb::Evict { package } => self.evict(id, package, &by).await,
            Verb::Resend { package } => self.resend(id, package, &by).await,
            Verb::RuleRestore { rule } => self.restore(&rule, &by).await,
            Verb::ConfigSet { toml } => return self.try_out(id, toml).await,
            Verb::CertInstall { pem } => return self.install(id, pem, by).await,
            Verb::CertRequest {} => self.requests().await,
            Verb::Speak {
                clip_sha256,
                camera,
            } => self.speak(clip_sha256, camera, by).await,
            Verb::Say { text, camera } => self.say(&text, camera, by).await,
            Verb::Stop {} => self.silence(by).await,
            Verb::Fetch { package } => self.fetch(id, package, &by).await,
            Verb::Capture { camera } => {
                let asked = Asked {
                    by,
                    command: id,
                    command_sha256: sha256,
                    at,
                };
                self.capture(&camera, asked).await
            }
            Verb::Reboot {} => self.reboot(id, by).await,
            Verb::AlarmAcknowledge { alarm } => self.acknowledge(id, &alarm, by).await,
            Verb::Recheck { camera } => self.look(&camera, What::Recheck).await,
        };
        Some(match done {
            Ok(result) => Ended {
                outcome: Fate::Done,
                why: None,
                result: Some(result),
            },
            Err(ended) => ended,
        })
    }

    /// The status. It asks the store, which may be busy with its disk.
    async fn snapshot(&self) -> Result<Value, Ended> {
        let gauges = Arc::clone(&self.gauges);
        let asked = tokio::task::spawn_blocking(move || gauges.snapshot()).await;
        asked.map_err(|error| ended(Fate::Failed, error.to_string()))
    }

    /// Marks the alarms of this name: somebody has taken note of them.
    async fn acknowledge(&self, id: Uuid, name: &str, by: String) -> Result<Value, Ended> {
        let now = alarms(&self.snapshot().await?);
        let named = now.iter().filter(|alarm| alarm.name == name);
        let texts: Vec<String> = named.map(|alarm| alarm.text.clone()).collect();
        if texts.is_empty() {
            let names: Vec<&str> = now.iter().map(|alarm| alarm.name.as_str()).collect();
            let why = match names.as_slice() {
                [] => format!("there is no alarm {name:?}, and no other"),
                names => format!("there is no alarm {name:?}; there is {}", names.join(", ")),
            };
            return Err(ended(Fate::Refused, why));
        }
        let at = clock::now();
        let body = json!({ "alarm": name, "texts": texts, "command": id, "by": by });
        let store = self.store();
        let said = blocking(move || store.note(at, kind::ALARM_ACKNOWLEDGED, body)).await;
        said.map_err(|error| ended(Fate::Failed, error.to_string()))?;
        let noted = Noted {
            by,
            at: clock::rfc3339_ms(at.utc_ns),
        };
        for alarm in now.into_iter().filter(|alarm| alarm.name == name) {
            self.gauges.acknowledged.mark(&alarm, noted.clone());
        }
        Ok(json!({ "texts": texts }))
    }

    /// Looks whether alarms that are marked are over, as long as there are any.
    pub(super) async fn look_at_alarms(&self) {
        if self.gauges.acknowledged.any() {
            // The status tells the marks which alarms there are.
            drop(self.snapshot().await);
        }
    }

    /// Has a package made of what the camera shows now.
    async fn capture(&self, camera: &str, asked: Asked) -> Result<Value, Ended> {
        let config = &self.loaded.config;
        let before = Duration::try_from_secs_f64(config.evidence.clip_before_secs);
        let what = What::Capture {
            id: package_id(&config.device.id, asked.command),
            asked,
            before: before.unwrap_or_default(),
        };
        self.look(camera, what).await
    }

    /// Asks something of the camera's next frame.
    async fn look(&self, name: &str, what: What) -> Result<Value, Ended> {
        let camera = self.camera(name)?;
        let (answer, told) = oneshot::channel();
        let within_ns = u64::try_from(FRAME_WITHIN.as_nanos()).unwrap_or(u64::MAX);
        let ask = Ask {
            camera,
            until_ns: clock::boot_ns().saturating_add(within_ns),
            what,
            answer,
        };
        // Whether the eye has ended or dropped it, nobody answers.
        drop(self.ways.eye.send(ask).await);
        told.await.unwrap_or_else(|_nobody| {
            let state = self.gauges.cameras[camera].state();
            let phase = json!(state.phase);
            let (phase, within) = (phase.as_str().unwrap_or_default(), FRAME_WITHIN.as_secs());
            let cause = state
                .cause
                .map_or_else(String::new, |why| format!(": {why}"));
            let why = format!("camera {name} gave no frame within {within} s ({phase}{cause})");
            Err(ended(Fate::Refused, why))
        })
    }

    /// Index of a camera in the configuration.
    fn camera(&self, name: &str) -> Result<usize, Ended> {
        let cameras = &self.loaded.config.camera;
        let found = cameras.iter().position(|camera| camera.name == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = cameras.iter().map(|camera| camera.name.as_str()).collect();
            let why = format!("there is no camera {name:?}; there is {}", names.join(", "));
            ended(Fate::Refused, why)
        })
    }

    /// Has a package sent with its video, once the link may carry it.
    async fn fetch(&self, id: Uuid, package: CaseId, by: &str) -> Result<Value, Ended> {
        let store = self.store();
        let state = blocking(move || store.state(package)).await;
        let state = state.map_err(|error| ended(Fate::Failed, error.to_string()))?;
        let refused = |why: &str| Err(ended(Fate::Refused, why));
        match state {
            None => refused("nothing is kept under this id"),
            Some(State::Receipted | State::Pruned) => refused("a receiver has all of it already"),
            Some(State::Refused) => refused("a receiver has refused it"),
            Some(State::Damaged) => refused("it is damaged, or was evicted"),
            Some(state) => {
                let Ok(room) = self.wanted.try_reserve() else {
                    let why = "too many packages are asked for just now";
                    return Err(ended(Fate::Failed, why));
                };
                // In the store first: a restart forgets the other.
                let (store, by) = (self.store(), by.to_owned());
                let want = move || store.want(clock::now(), package, (id, &by));
                let wanted = blocking(want).await;
                wanted.map_err(|error| ended(Fate::Failed, error.to_string()))?;
                room.send(package);
                Ok(json!({ "state": state }))
            }
        }
    }

    async fn evict(&self, id: Uuid, package: CaseId, by: &str) -> Result<Value, Ended> {
        let (store, by) = (self.store(), by.to_owned());
        let evicted = blocking(move || store.evict(clock::now(), package, (id, &by))).await;
        let bytes = evicted.map_err(|error| not_done(&error))?;
        Ok(json!({ "bytes": bytes }))
    }

    /// Has a package that a receiver has refused sent once more, or all of them.
    async fn resend(&self, id: Uuid, package: Option<CaseId>, by: &str) -> Result<Value, Ended> {
        let (store, by) = (self.store(), by.to_owned());
        let requeued = blocking(move || {
            let (at, by) = (clock::now(), Some((id, by.as_str())));
            match package {
                Some(package) => store.requeue(at, package, by).map(u64::from),
                None => store.requeue_all(at, by),
            }
        });
        let packages = requeued.await.map_err(|error| not_done(&error))?;
        Ok(json!({ "packages": packages }))
    }

    /// Has a text said, after the identity.
    async fn say(&self, text: &str, camera: Option<String>, by: String) -> Result<Value, Ended> {
        self.knows(camera.as_deref())?;
        let voice = self.voices.at(camera.as_deref());
        let voice = voice.map_err(|why| ended(Fate::Unsupported, why))?;
        // Before the mouth is asked, so that it hears a stop meanwhile.
        let clip = voice.speak(text).await;
        let clip = clip.map_err(|why| ended(Fate::Failed, why))?;
        self.utter(Words::Text(clip), camera, by).await
    }

    /// Has a clip played.
    async fn speak(
        &self,
        clip_sha256: String,
        camera: Option<String>,
        by: String,
    ) -> Result<Value, Ended> {
        self.knows(camera.as_deref())?;
        self.utter(Words::Clip(clip_sha256), camera, by).await
    }

    /// Whether a camera that is named is there.
    fn knows(&self, camera: Option<&str>) -> Result<(), Ended> {
        camera.map_or(Ok(()), |name| self.camera(name).map(drop))
    }

    /// Has something said; what the governor does not allow is refused with its reason.
    async fn utter(&self, what: Words, camera: Option<String>, by: String) -> Result<Value, Ended> {
        let (answer, told) = oneshot::channel();
        let order = Request::Speak {
            what,
            camera,
            by,
            answer,
        };
        self.ask(order).await?;
        let told = told.await.map_err(|_gone| mouth_ended())?;
        match (&told.hushed, &told.failure) {
            (Some(why), _) => Err(ended(Fate::Refused, why)),
            (None, Some(why)) => Err(ended(Fate::Failed, why)),
            (None, None) => Ok(json!(told)),
        }
    }

    async fn silence(&self, by: String) -> Result<Value, Ended> {
        let (answer, told) = oneshot::channel();
        self.ask(Request::Stop { by, answer }).await?;
        let told = told.await.map_err(|_gone| mouth_ended())?;
        Ok(json!(told))
    }

    async fn ask(&self, request: Request) -> Result<(), Ended> {
        let asked = self.ways.mouth.send(request).await;
        asked.map_err(|_gone| mouth_ended())
    }

    async fn restore(&self, rule: &str, by: &str) -> Result<Value, Ended> {
        let known = Violation::ALL
            .into_iter()
            .find(|known| known.name() == rule);
        let Some(known) = known else {
            return Err(ended(Fate::Refused, format!("there is no rule {rule:?}")));
        };
        let (store, objections) = (self.store(), Arc::clone(&self.gauges.objections));
        let by = by.to_owned();
        let restored =
            blocking(move || objections.restore(&store, clock::now(), (known, &by))).await;
        let tally = restored.map_err(|error| ended(Fate::Failed, error.to_string()))?;
        Ok(json!({ "judged": tally.judged, "rejected": tally.rejected }))
    }

    /// Names of the cameras that play.
    pub(super) fn playing(&self) -> Vec<String> {
        let cameras = self
            .loaded
            .config
            .camera
            .iter()
            .zip(self.gauges.cameras.iter());
        cameras
            .filter(|(_, camera)| camera.state().phase == Phase::Playing)
            .map(|(config, _)| config.name.clone())
            .collect()
    }

    /// What is not back of upload and `cameras`, in words; a camera that is no longer configured
    /// is not waited for.
    pub(super) fn missing(&self, cameras: &[String]) -> Option<String> {
        if !self.gauges.upload.snapshot().connected {
            return Some("the upload was not connected".to_owned());
        }
        let playing = self.playing();
        let configured =
            |name: &&String| self.loaded.config.camera.iter().any(|c| c.name == **name);
        let missing = cameras
            .iter()
            .filter(configured)
            .find(|name| !playing.contains(name));
        missing.map(|name| format!("camera {name} did not play"))
    }
}

/// What the store says to something that was asked of a package.
fn not_done(error: &StoreError) -> Ended {
    let fate = match error {
        StoreError::Unknown(_) | StoreError::Step { .. } => Fate::Refused,
        _ => Fate::Failed,
    };
    ended(fate, error.to_string())
}

fn mouth_ended() -> Ended {
    ended(Fate::Failed, "the box is stopping")
}

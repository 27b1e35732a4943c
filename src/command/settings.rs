//! Configurations sent by an administrator: kept, tried, and given up again.
//!
//! ```text
//! STORE/config/<sha256>.toml   every configuration that was sent
//! STORE/config/<sha256>.crt    every certificate that was sent (`certificates`)
//! STORE/config/state.json      which is in force, which is on trial, what became of the last
//! ```
//! The file on the box stays as it is. What was sent stands in its place as long as the file is the
//! one that was there when it came: whoever edits the file on the spot has the last word. A trial
//! is marked as begun before the daemon starts with it; a start that finds one begun ends it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::trial::{Outcome, Trial};
use crate::config::{Config, KeyName, Keys, Loaded, Mistakes};
use crate::disk::{self, DiskError};
use crate::store::{InUse, in_use};
use crate::witness::sha256_hex;

/// Folder of the store.
const FOLDER: &str = "config";
/// Name of the state.
const STATE: &str = "state.json";
/// What is said for the file of a configuration that was sent: the one on the box is another.
const SENT: &str = "the configuration sent";
/// Longest reason kept, characters.
const WHY_MAX: usize = 2000;

/// Why a configuration cannot be read, tried or kept.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file has mistakes.
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
    /// It would change what cannot be changed from afar.
    #[error("{0} cannot be changed from afar")]
    Fixed(&'static str),
    /// Another is on trial.
    #[error("another configuration or certificate is on trial just now")]
    OnTrial,
    /// The disk does not take it.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A file on the box cannot be read.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Active {
    pub(super) sha256: String,
    pub(super) command: Uuid,
    pub(super) base_sha256: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// The configuration.
    pub(super) active: Option<Active>,
    #[serde(default)]
    pub(super) certificates: BTreeMap<KeyName, Active>,
    pub(super) trial: Option<Trial>,
    /// What nobody has been told yet.
    pub(super) ended: Vec<Outcome>,
}

/// Where the configuration in force comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The file on the box.
    File,
    /// A command; [`Chosen::trial`] says whether it is on trial.
    Command(Uuid),
}

impl From<Loaded> for Chosen {
    /// The file on the box, as it was read.
    fn from(loaded: Loaded) -> Self {
        Self {
            loaded,
            origin: Origin::File,
            trial: None,
            owed: None,
        }
    }
}

/// The configuration to run with.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The configuration.
    pub loaded: Loaded,
    /// Where it comes from.
    pub origin: Origin,
    /// What is on trial: the configuration, or a certificate.
    pub trial: Option<Trial>,
    /// How a trial ended of which the disk took no word: until it does, nothing else can be tried.
    pub owed: Option<Outcome>,
}

/// Something that was sent, as it was kept, or why it does not hold; an error when the disk does not
/// give it at this moment.
pub(super) type Read<T> = Result<Result<T, String>, DiskError>;

/// The configurations of one store.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file on the box.
    file: PathBuf,
    dir: PathBuf,
}

impl Settings {
    /// Those for the file on the box and its store.
    pub fn new(file: &Path, store: &Path) -> Self {
        Self {
            file: file.to_owned(),
            dir: store.join(FOLDER),
        }
    }

    /// Reads the file on the box and chooses what to run with. To be called once for each start: a
    /// trial is begun by it, and one that was begun before is ended. On a disk that takes no word of
    /// that no trial is begun; the box starts all the same. What the disk does not give at this moment
    /// is not in force for this run, and stays kept.
    pub fn choose(file: &Path) -> Result<Chosen, SettingsError> {
        let base = Config::read(file)?;
        let store = &base.config.store.dir;
        if in_use(store) != InUse::No {
            // A daemon is running: its trial is none of ours.
            return Ok(base.into());
        }
        let settings = Self::new(file, store);
        let before = match settings.read() {
            Ok(state) => state,
            Err(error) => {
                tracing::error!(%error, "what was sent cannot be read: the file on the box it is");
                return Ok(base.into());
            }
        };
        let (mut state, mut written) = (before.clone(), before.clone());
        match state.trial.as_mut() {
            Some(trial) if trial.certificate.is_none() && trial.base_sha256 != base.sha256 => {
                state.end_trial(Some("the file on the box was changed"));
            }
            Some(trial) if !trial.begun => {
                trial.begun = true;
                match settings.write(&state) {
                    Ok(()) => written = state.clone(),
                    // Not noted as begun, a trial that cuts the box off would never end.
                    Err(error) => {
                        state.end_trial(Some(&format!("it could not be begun: {error}")));
                    }
                }
            }
            _ => state.end_trial(Some("the box was started again during the trial")),
        }
        let (mut loaded, origin) = settings.configuration(&mut state, base);
        let tried = state.trial.clone();
        let keys = &mut loaded.config.keys;
        keys.sent = settings.certificates(&mut state, tried.as_ref(), keys);
        let mut owed = None;
        if state != written
            && let Err(error) = settings.write(&state)
        {
            tracing::warn!(%error, "what became of a trial is told once the disk takes it");
            let tried = before.trial.map(|trial| trial.command);
            let of_trial = |ended: &&Outcome| Some(ended.command) == tried;
            owed = state.ended.iter().find(of_trial).cloned();
        }
        Ok(Chosen {
            loaded,
            origin,
            trial: state.trial,
            owed,
        })
    }

    /// The configuration on trial, the one that is kept, or `base`, the file on the box.
    fn configuration(&self, state: &mut State, base: Loaded) -> (Loaded, Origin) {
        if let Some(trial) = state.trial.as_ref().filter(|t| t.certificate.is_none()) {
            match self
                .load(&trial.sha256)
                .unwrap_or_else(|e| Err(e.to_string()))
            {
                Ok(loaded) => return (loaded, Origin::Command(trial.command)),
                Err(why) => state.end_trial(Some(&why)),
            }
        }
        let Some(active) = state.active.clone() else {
            return (base, Origin::File);
        };
        match self.still_holds(&active, &base) {
            Ok(Ok(loaded)) => (loaded, Origin::Command(active.command)),
            Err(error) => {
                tracing::error!(%error, "the configuration that was sent cannot be read just now");
                (base, Origin::File)
            }
            Ok(Err(why)) => {
                state.active = None;
                state.ended.push(Outcome {
                    certificate: None,
                    sha256: active.sha256,
                    command: active.command,
                    why: Some(short(&why)),
                });
                (base, Origin::File)
            }
        }
    }

    /// Keeps `toml` for a trial at the next start. `now` is the configuration in force.
    pub fn try_out(
        &self,
        toml: &str,
        now: &Loaded,
        command: Uuid,
        cameras: Vec<String>,
    ) -> Result<Trial, SettingsError> {
        let next = self.parse(toml)?;
        fixed(&now.config, &next.config)?;
        let trial = Trial {
            certificate: None,
            sha256: next.sha256,
            command,
            limit_secs: now.config.commands.trial_secs,
            cameras,
            base_sha256: digest_of(&self.file)?,
            begun: false,
        };
        self.put_on_trial(trial, toml.as_bytes())
    }

    /// Keeps `bytes` for `trial`, unless there is one already.
    pub(super) fn put_on_trial(&self, trial: Trial, bytes: &[u8]) -> Result<Trial, SettingsError> {
        let mut state = self.read()?;
        if state.trial.is_some() {
            return Err(SettingsError::OnTrial);
        }
        disk::create_dir(&self.dir)?;
        self.put(&self.kept(&trial.sha256, trial.certificate), bytes)?;
        state.trial = Some(trial.clone());
        self.write(&state)?;
        Ok(trial)
    }

    /// The configuration that is in force, or why it is not any more.
    fn still_holds(&self, active: &Active, base: &Loaded) -> Read<Loaded> {
        if active.base_sha256 != base.sha256 {
            return Ok(Err("the file on the box was changed".to_owned()));
        }
        self.load(&active.sha256)
    }

    fn load(&self, sha256: &str) -> Read<Loaded> {
        let bytes = match self.bytes(sha256, None)? {
            Ok(bytes) => bytes,
            Err(why) => return Ok(Err(why)),
        };
        let text = String::from_utf8(bytes).map_err(|error| error.to_string());
        Ok(text.and_then(|text| self.parse(&text).map_err(|e| e.to_string())))
    }

    /// Reads what was sent as if it were the file on the box: its paths are relative to that. The
    /// mistakes are not that file's, and are not told as its.
    fn parse(&self, text: &str) -> Result<Loaded, Mistakes> {
        Config::parse(&self.file, text).map_err(|mut mistakes| {
            let files = mistakes.list.iter_mut().map(|mistake| &mut mistake.file);
            for file in files.chain([&mut mistakes.path]) {
                if *file == self.file {
                    *file = SENT.into();
                }
            }
            mistakes
        })
    }

    /// The configuration that stands in for `base`, the file on the box: the command that brought
    /// it, and where it is kept. For whoever only looks.
    pub fn stand_in_for(base: &Loaded) -> Option<(Uuid, PathBuf)> {
        let settings = Self::new(&base.path, &base.config.store.dir);
        let active = settings.read().ok()?.active?;
        let holds = matches!(settings.still_holds(&active, base), Ok(Ok(_)));
        holds.then(|| (active.command, settings.kept(&active.sha256, None)))
    }

    /// What was sent, whole.
    pub(super) fn bytes(&self, sha256: &str, certificate: Option<KeyName>) -> Read<Vec<u8>> {
        let path = self.kept(sha256, certificate);
        match disk::read(&path) {
            Ok(bytes) if sha256_hex(&bytes) == sha256 => Ok(Ok(bytes)),
            Ok(_) => Ok(Err(format!("{} was changed", path.display()))),
            Err(error) if is_gone(&error) => Ok(Err(error.to_string())),
            Err(error) => Err(error),
        }
    }

    /// A state that is not there, or is none, says that nothing was sent. One that the disk does not
    /// give may say anything: nobody writes another in its place.
    pub(super) fn read(&self) -> Result<State, DiskError> {
        match disk::read(&self.dir.join(STATE)) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
            Err(error) if is_gone(&error) => Ok(State::default()),
            Err(error) => Err(error),
        }
    }

    pub(super) fn write(&self, state: &State) -> Result<(), SettingsError> {
        let bytes = serde_json::to_vec_pretty(state).expect("invariant: the state is plain data");
        disk::create_dir(&self.dir)?;
        self.put(&self.dir.join(STATE), &bytes)
    }

    fn put(&self, path: &Path, bytes: &[u8]) -> Result<(), SettingsError> {
        Ok(disk::replace(&self.dir.join("draft"), path, bytes)?)
    }

    /// Where what was sent lies.
    pub(super) fn kept(&self, sha256: &str, certificate: Option<KeyName>) -> PathBuf {
        let kind = certificate.map_or("toml", |_| "crt");
        self.dir.join(format!("{sha256}.{kind}"))
    }
}

impl State {
    pub(super) fn end_trial(&mut self, why: Option<&str>) {
        if let Some(trial) = self.trial.take() {
            self.ended.push(Outcome {
                certificate: trial.certificate,
                sha256: trial.sha256,
                command: trial.command,
                why: why.map(short),
            });
        }
    }
}

pub(super) fn is_gone(error: &DiskError) -> bool {
    error.source.kind() == ErrorKind::NotFound
}

pub(super) fn short(why: &str) -> String {
    why.chars().take(WHY_MAX).collect()
}

/// SHA-256 of a file on the box.
pub(super) fn digest_of(path: &Path) -> Result<String, SettingsError> {
    let bytes = std::fs::read(path).map_err(|source| SettingsError::File {
        path: path.to_owned(),
        source,
    })?;
    Ok(sha256_hex(&bytes))
}

/// What must stay: who the box is, where its store and keys are, and that it can be told otherwise.
fn fixed(now: &Config, next: &Config) -> Result<(), SettingsError> {
    // Certificates that were sent are in no file.
    let keys = Keys {
        sent: next.keys.sent.clone(),
        ..now.keys.clone()
    };
    let same = [
        ("[device] id", now.device.id == next.device.id),
        ("[store] dir", now.store.dir == next.store.dir),
        ("[store] run_dir", now.store.run_dir == next.store.run_dir),
        ("[keys]", keys == next.keys),
        ("[upload] enabled", next.upload.enabled),
        ("[commands] enabled", next.commands.enabled),
    ];
    match same.iter().find(|(_, same)| !same) {
        Some((what, _)) => Err(SettingsError::Fixed(what)),
        None => Ok(()),
    }
}

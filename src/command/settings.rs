//! Configurations sent by an administrator: kept, tried, and given up again.
//!
//! ```text
//! STORE/config/<sha256>.toml   every configuration that was sent
//! STORE/config/state.json      which is in force, which is on trial, what became of the last
//! ```
//! The file on the box stays as it is. What was sent stands in its place as long as the file is the
//! one that was there when it came: whoever edits the file on the spot has the last word. A trial
//! is marked as begun before the daemon starts with it; a start that finds one begun ends it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::{Config, Loaded, Mistakes};
use crate::store::disk::{self, DiskError};
use crate::store::{InUse, in_use};
use crate::witness::sha256_hex;

/// Folder of the store.
const FOLDER: &str = "config";
/// Name of the state.
const STATE: &str = "state.json";
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
    #[error("another configuration is on trial just now")]
    OnTrial,
    /// The disk does not take it.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file on the box cannot be read.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// A configuration on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// The command that brought it.
    pub command: Uuid,
    /// How long it may take until everything is back, seconds.
    pub limit_secs: u64,
    /// The cameras that were playing before.
    pub cameras: Vec<String>,
    /// SHA-256 of the file on the box when it came.
    base_sha256: String,
    /// Whether the daemon has started with it.
    begun: bool,
}

/// What became of a configuration that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// The command that brought it.
    pub command: Uuid,
    /// Why it is not in force; `None`: it is kept.
    pub why: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Active {
    sha256: String,
    command: Uuid,
    base_sha256: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    active: Option<Active>,
    trial: Option<Trial>,
    /// What nobody has been told yet.
    ended: Vec<Outcome>,
}

/// Where the configuration in force comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The file on the box.
    File,
    /// A command.
    Command(Uuid),
    /// A command, and it is on trial.
    Trial(Trial),
}

impl From<Loaded> for Chosen {
    /// The file on the box, as it was read.
    fn from(loaded: Loaded) -> Self {
        Self {
            loaded,
            origin: Origin::File,
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
}

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
    /// trial is begun by it, and one that was begun before is ended.
    pub fn choose(file: &Path) -> Result<Chosen, SettingsError> {
        let base = Config::read(file)?;
        let store = &base.config.store.dir;
        if in_use(store) != InUse::No {
            // A daemon is running: its trial is none of ours.
            return Ok(base.into());
        }
        let settings = Self::new(file, store);
        let mut state = settings.read();
        if let Some(trial) = state.trial.as_mut().filter(|trial| !trial.begun) {
            trial.begun = true;
            let trial = trial.clone();
            settings.write(&state)?;
            match settings.load(&trial.sha256) {
                Ok(loaded) => {
                    let origin = Origin::Trial(trial);
                    return Ok(Chosen { loaded, origin });
                }
                Err(why) => state.end_trial(Some(&why)),
            }
        } else {
            state.end_trial(Some("the box was started again during the trial"));
        }
        let chosen = match state.active.clone() {
            None => None,
            Some(active) => match settings.still_holds(&active, &base) {
                Ok(loaded) => Some(Chosen {
                    loaded,
                    origin: Origin::Command(active.command),
                }),
                Err(why) => {
                    state.active = None;
                    state.ended.push(Outcome {
                        sha256: active.sha256,
                        command: active.command,
                        why: Some(short(&why)),
                    });
                    None
                }
            },
        };
        if state != settings.read() {
            settings.write(&state)?;
        }
        Ok(chosen.unwrap_or_else(|| base.into()))
    }

    /// Keeps `toml` for a trial at the next start. `now` is the configuration in force.
    pub fn try_out(
        &self,
        toml: &str,
        now: &Loaded,
        command: Uuid,
        cameras: Vec<String>,
    ) -> Result<Trial, SettingsError> {
        let next = Config::parse(&self.file, toml)?;
        fixed(&now.config, &next.config)?;
        let mut state = self.read();
        if state.trial.is_some() {
            return Err(SettingsError::OnTrial);
        }
        let base = std::fs::read(&self.file).map_err(|source| SettingsError::File {
            path: self.file.clone(),
            source,
        })?;
        disk::create_dir(&self.dir)?;
        self.put(&self.text_file(&next.sha256), toml.as_bytes())?;
        let trial = Trial {
            sha256: next.sha256,
            command,
            limit_secs: now.config.commands.trial_secs,
            cameras,
            base_sha256: sha256_hex(&base),
            begun: false,
        };
        state.trial = Some(trial.clone());
        self.write(&state)?;
        Ok(trial)
    }

    /// The trial went well: from now on this is the configuration.
    pub fn keep(&self) -> Result<(), SettingsError> {
        let mut state = self.read();
        if let Some(trial) = &state.trial {
            state.active = Some(Active {
                sha256: trial.sha256.clone(),
                command: trial.command,
                base_sha256: trial.base_sha256.clone(),
            });
        }
        state.end_trial(None);
        self.write(&state)
    }

    /// The trial did not go well: the next start is with what was in force before.
    pub fn roll_back(&self, why: &str) -> Result<(), SettingsError> {
        let mut state = self.read();
        state.end_trial(Some(why));
        self.write(&state)
    }

    /// What became of configurations, and nobody has been told yet.
    pub fn ended(&self) -> Vec<Outcome> {
        self.read().ended
    }

    /// Whether `command` is on trial.
    pub fn is_on_trial(&self, command: Uuid) -> bool {
        self.read()
            .trial
            .is_some_and(|trial| trial.command == command)
    }

    /// All that [`Settings::ended`] gave is told.
    pub fn told(&self) -> Result<(), SettingsError> {
        let mut state = self.read();
        state.ended.clear();
        self.write(&state)
    }

    fn still_holds(&self, active: &Active, base: &Loaded) -> Result<Loaded, String> {
        if active.base_sha256 != base.sha256 {
            return Err("the file on the box was changed".to_owned());
        }
        self.load(&active.sha256)
    }

    fn load(&self, sha256: &str) -> Result<Loaded, String> {
        let path = self.text_file(sha256);
        let bytes = disk::read(&path).map_err(|error| error.to_string())?;
        if sha256_hex(&bytes) != sha256 {
            return Err(format!("{} was changed", path.display()));
        }
        let text = String::from_utf8(bytes).map_err(|error| error.to_string())?;
        // Read as if it were the file on the box: its paths are relative to that.
        Config::parse(&self.file, &text).map_err(|mistakes| mistakes.to_string())
    }

    /// A state that cannot be read is none: the file on the box is always there.
    fn read(&self) -> State {
        let bytes = disk::read(&self.dir.join(STATE)).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    fn write(&self, state: &State) -> Result<(), SettingsError> {
        let bytes = serde_json::to_vec_pretty(state).expect("invariant: the state is plain data");
        disk::create_dir(&self.dir)?;
        self.put(&self.dir.join(STATE), &bytes)
    }

    fn put(&self, path: &Path, bytes: &[u8]) -> Result<(), SettingsError> {
        Ok(disk::replace(&self.dir.join("draft"), path, bytes)?)
    }

    fn text_file(&self, sha256: &str) -> PathBuf {
        self.dir.join(format!("{sha256}.toml"))
    }
}

impl State {
    fn end_trial(&mut self, why: Option<&str>) {
        if let Some(trial) = self.trial.take() {
            self.ended.push(Outcome {
                sha256: trial.sha256,
                command: trial.command,
                why: why.map(short),
            });
        }
    }
}

fn short(why: &str) -> String {
    why.chars().take(WHY_MAX).collect()
}

/// What must stay: who the box is, where its store and keys are, and that it can be told otherwise.
fn fixed(now: &Config, next: &Config) -> Result<(), SettingsError> {
    let same = [
        ("[device] id", now.device.id == next.device.id),
        ("[store] dir", now.store.dir == next.store.dir),
        ("[store] run_dir", now.store.run_dir == next.store.run_dir),
        ("[keys]", now.keys == next.keys),
        ("[upload] enabled", next.upload.enabled),
        ("[commands] enabled", next.commands.enabled),
    ];
    match same.iter().find(|(_, same)| !same) {
        Some((what, _)) => Err(SettingsError::Fixed(what)),
        None => Ok(()),
    }
}

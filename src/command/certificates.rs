//! Certificates sent by an administrator, kept and tried like configurations: in `STORE/config/`, as
//! `<sha256>.crt`.
//!
//! What was sent stands in for the file in `[keys] dir` as long as that is the one it was sent for:
//! here too whoever changes the file on the spot has the last word. No private key is ever kept
//! here.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::settings::{Read, Settings, SettingsError, State, digest_of, is_gone, short};
use super::trial::{Outcome, Trial};
use crate::config::{KeyName, Keys, Loaded, StandIn};
use crate::disk;
use crate::witness::sha256_hex;

impl Settings {
    /// Keeps `pem`, which may take the place of the certificate for `key`, for a trial at the next
    /// start. `now` is the configuration in force.
    pub fn try_certificate(
        &self,
        (pem, key): (&str, KeyName),
        now: &Loaded,
        (command, cameras): (Uuid, Vec<String>),
    ) -> Result<Trial, SettingsError> {
        let trial = Trial {
            certificate: Some(key),
            sha256: sha256_hex(pem.as_bytes()),
            command,
            limit_secs: now.config.commands.trial_secs,
            cameras,
            base_sha256: digest_of(&now.config.keys.file(key))?,
            begun: false,
        };
        self.put_on_trial(trial, pem.as_bytes())
    }

    /// Puts the certificates that were sent in their places, for whoever only looks at `loaded`.
    pub fn show_certificates(loaded: &mut Loaded) {
        let settings = Self::new(&loaded.path, &loaded.config.store.dir);
        let mut state = settings.read().unwrap_or_default();
        loaded.config.keys.sent = settings.certificates(&mut state, None, &loaded.config.keys);
    }

    /// The certificates that stand in for files of `keys`, one of them perhaps on `trial`. What does
    /// not hold any more is taken out of `state`, a trial of it ended.
    pub(super) fn certificates(
        &self,
        state: &mut State,
        trial: Option<&Trial>,
        keys: &Keys,
    ) -> BTreeMap<KeyName, StandIn> {
        let mut sent = BTreeMap::new();
        for key in KeyName::ALL {
            if let Some(active) = state.certificates.get(&key) {
                let (sha256, command) = (active.sha256.clone(), active.command);
                match self.stand_in((key, &sha256), (command, &active.base_sha256), keys) {
                    Ok(Ok(stand_in)) => drop(sent.insert(key, stand_in)),
                    Err(error) => {
                        tracing::error!(%error, "a certificate that was sent cannot be read just now");
                    }
                    Ok(Err(why)) => {
                        state.certificates.remove(&key);
                        state.ended.push(Outcome {
                            certificate: Some(key),
                            sha256,
                            command,
                            why: Some(short(&why)),
                        });
                    }
                }
            }
        }
        if let Some((key, trial)) = trial.and_then(|trial| Some((trial.certificate?, trial))) {
            let base = (trial.command, trial.base_sha256.as_str());
            let stand_in = self.stand_in((key, &trial.sha256), base, keys);
            match stand_in.unwrap_or_else(|error| Err(error.to_string())) {
                Ok(stand_in) => drop(sent.insert(key, stand_in)),
                Err(why) => state.end_trial(Some(&why)),
            }
        }
        sent
    }

    /// The kept certificate `sha256`, when it is whole and the file it was sent for is still there.
    fn stand_in(
        &self,
        (key, sha256): (KeyName, &str),
        (command, base_sha256): (Uuid, &str),
        keys: &Keys,
    ) -> Read<StandIn> {
        let file = keys.file(key);
        let there = match disk::read(&file) {
            Ok(bytes) => sha256_hex(&bytes) == base_sha256,
            Err(error) if is_gone(&error) => false,
            Err(error) => return Err(error),
        };
        if !there {
            return Ok(Err("the file on the box was changed".to_owned()));
        }
        let whole = self.bytes(sha256, Some(key))?;
        Ok(whole.map(|_| StandIn {
            path: self.kept(sha256, Some(key)),
            stands_for: base_sha256.to_owned(),
            command,
        }))
    }
}

//! Configurations and certificates sent from afar, put on trial; and the requests that certificates
//! are made from.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::clock;
use crate::command::{Settings, SettingsError};
use crate::config::{KeyName, Loaded};
use crate::disk;
use crate::journal::kind;
use crate::store::Ended;
use crate::witness::{Fate, Roots, successor};

use super::{Errands, blocking, ended};

/// What a line says of a trial that begins.
type Line = (&'static str, Value);

impl Errands {
    /// Puts a configuration on trial; refused when it has mistakes.
    pub(super) async fn try_out(&self, id: Uuid, toml: String) -> Option<Ended> {
        let cameras = self.playing();
        self.begin_trial(move |settings, loaded| {
            let trial = settings.try_out(&toml, loaded, id, cameras);
            let trial = trial.map_err(|error| not_tried(&error))?;
            let body = json!({
                "sha256": trial.sha256, "command": id, "limit_secs": trial.limit_secs,
            });
            Ok((kind::CONFIG_TRIAL, body))
        })
        .await
    }

    /// Puts a certificate for one of the box's own keys on trial; refused when it may not take the
    /// place of the one in force.
    pub(super) async fn install(&self, id: Uuid, pem: String, by: String) -> Option<Ended> {
        let cameras = self.playing();
        self.begin_trial(move |settings, loaded| {
            let config = &loaded.config;
            let roots = Roots::load(&config.keys.dir.join("roots.crt"));
            let roots = roots.map_err(|error| ended(Fate::Failed, error.to_string()))?;
            let as_who = (config.device.id.as_str(), clock::now());
            let found = successor(pem.as_bytes(), &config.keys, &roots, as_who);
            let found = found.map_err(|fault| ended(Fate::Refused, fault.to_string()))?;
            let trial = settings.try_certificate((&pem, found.key), loaded, (id, cameras));
            let trial = trial.map_err(|error| not_tried(&error))?;
            let body = json!({
                "name": found.key.name(),
                "certificate_sha256": found.next.certificate_sha256,
                "before_sha256": found.before.certificate_sha256,
                "subject": found.next.subject,
                "not_after": found.next.not_after,
                "command": id,
                "by": by,
                "limit_secs": trial.limit_secs,
            });
            Ok((kind::CERT_TRIAL, body))
        })
        .await
    }

    /// Has `put` keep something for a trial, journals what it says, and has the daemon start again
    /// with it.
    async fn begin_trial(
        &self,
        put: impl FnOnce(&Settings, &Loaded) -> Result<Line, Ended> + Send + 'static,
    ) -> Option<Ended> {
        let (settings, loaded, store) = (self.settings.clone(), self.loaded.clone(), self.store());
        let begun = blocking(move || match put(&settings, &loaded) {
            Ok((kind, body)) => store.note(clock::now(), kind, body).map(|_| Ok(())),
            Err(ended) => Ok(Err(ended)),
        });
        match begun.await {
            Ok(Ok(())) => {
                tracing::warn!("starting again with what is on trial");
                self.again.cancel();
                None
            }
            Ok(Err(ended)) => Some(ended),
            Err(error) => Some(ended(Fate::Failed, error.to_string())),
        }
    }

    /// The requests that enrolling left beside the keys, for the certificate office.
    pub(super) async fn requests(&self) -> Result<Value, Ended> {
        let dir = self.loaded.config.keys.dir.clone();
        let read = move || {
            let request = |key: KeyName| {
                let bytes = disk::read(&dir.join(format!("{}.csr", key.name()))).ok()?;
                let text = String::from_utf8(bytes).ok()?;
                Some((key.name().to_owned(), Value::String(text)))
            };
            Ok(KeyName::ALL.into_iter().filter_map(request).collect())
        };
        let found: Result<Map<String, Value>, _> = blocking(read).await;
        match found {
            Ok(found) if !found.is_empty() => Ok(Value::Object(found)),
            Ok(_) => {
                let why = "no request lies beside the keys; `lingmou enroll` on the box makes it";
                Err(ended(Fate::Failed, why))
            }
            Err(error) => Err(ended(Fate::Failed, error.to_string())),
        }
    }
}

fn not_tried(error: &SettingsError) -> Ended {
    let fate = match error {
        SettingsError::Mistakes(_) | SettingsError::Fixed(_) => Fate::Refused,
        _ => Fate::Failed,
    };
    ended(fate, error.to_string())
}

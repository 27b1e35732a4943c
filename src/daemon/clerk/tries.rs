//! Configurations and certificates sent from afar, put on trial; and the requests that certificates
//! are made from.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::clock;
use crate::command::{Settings, SettingsError};
use crate::config::{Config, KeyName, Loaded};
use crate::disk;
use crate::journal::kind;
use crate::store::{Ended, Store};
use crate::witness::{Fate, Successor, SuccessorFault, Trust, successor};

use super::{Errands, blocking, ended};

/// What a line says of a trial that begins.
type Line = (&'static str, Value);

impl Errands {
    /// Puts a configuration on trial; refused when it has mistakes.
    pub(super) async fn try_out(&self, id: Uuid, toml: String) -> Option<Ended> {
        let cameras = self.playing();
        self.begin_trial(id, move |settings, loaded| {
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
        let trust = Arc::clone(&self.gauges.trust);
        self.begin_trial(id, move |settings, loaded| {
            let found = judged(&pem, &loaded.config, &trust)?;
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
        id: Uuid,
        put: impl FnOnce(&Settings, &Loaded) -> Result<Line, Ended> + Send + 'static,
    ) -> Option<Ended> {
        let (settings, loaded, store) = (self.settings.clone(), self.loaded.clone(), self.store());
        let begun = blocking(move || {
            let put = || put(&settings, &loaded);
            Ok(begin(&settings, &store, id, put))
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

/// The certificate `pem` as a successor; else why it is not tried. By roots of yesterday it is not said to
/// lead nowhere: then their file is at fault, and the same certificate may be sent again.
fn judged(pem: &str, config: &Config, trust: &Trust) -> Result<Successor, Ended> {
    let roots = trust.anew();
    let as_who = (config.device.id.as_str(), clock::now());
    let found = successor(pem.as_bytes(), &config.keys, &roots, as_who);
    found.map_err(|fault| match (&fault, trust.trouble()) {
        (SuccessorFault::Chain(_), Some(trouble)) => ended(
            Fate::Failed,
            format!("{fault}; but not by the files as they are: {trouble}"),
        ),
        _ => ended(Fate::Refused, fault.to_string()),
    })
}

/// Has `put` keep something for a trial and journals what it says. What is told to have failed is not
/// on trial: the next start would begin it.
fn begin(
    settings: &Settings,
    store: &Store,
    command: Uuid,
    put: impl FnOnce() -> Result<Line, Ended>,
) -> Result<(), Ended> {
    let begun = put().and_then(|(kind, body)| {
        let noted = store.note(clock::now(), kind, body);
        noted.map_err(|error| ended(Fate::Failed, error.to_string()))
    });
    match begun {
        Ok(_) => Ok(()),
        // The disk keeps it, whatever it said: so it is tried, and how it ends has its own line.
        Err(_) if settings.take_back(command) => Ok(()),
        Err(failed) => Err(failed),
    }
}

fn not_tried(error: &SettingsError) -> Ended {
    let fate = match error {
        SettingsError::Mistakes(_) | SettingsError::Fixed(_) => Fate::Refused,
        _ => Fate::Failed,
    };
    ended(fate, error.to_string())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::io::Errno;

    use tokio_util::sync::CancellationToken;

    use super::super::trial::Watch;
    use super::*;
    use crate::command::{Origin, Outcome};
    use crate::config::Keys;
    use crate::disk::fault::{self, Mode};
    use crate::pki::{TestPki, TestPkiPlan};

    const COMMAND: Uuid = Uuid::from_u128(7);

    /// A box with its file and store, and nothing sent yet.
    struct Pole {
        dir: tempfile::TempDir,
        loaded: Loaded,
        settings: Settings,
    }

    impl Pole {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("lingmou.toml");
            let text = "[[camera]]\nname = \"gate\"\nurl = \"rtsp://h/\"\n\
                        [model]\ncard = \"card.toml\"\n[store]\ndir = \"store\"\n";
            fs::create_dir(dir.path().join("keys")).unwrap();
            for name in [
                "keys/evidence.crt",
                "keys/transport.crt",
                "keys/roots.crt",
                "card.toml",
            ] {
                disk::write_new(&dir.path().join(name), b"").unwrap();
            }
            disk::write_new(&file, text.as_bytes()).unwrap();
            let loaded = Config::read(&file).unwrap();
            let store = &loaded.config.store.dir;
            let settings = Settings::new(&file, store);
            fs::create_dir(store).unwrap();
            Self {
                dir,
                loaded,
                settings,
            }
        }

        fn text(&self) -> String {
            let file = fs::read_to_string(self.dir.path().join("lingmou.toml"));
            format!("{}\n# next\n", file.unwrap())
        }

        fn try_out(&self) -> Result<Line, Ended> {
            let text = self.text();
            let tried = self
                .settings
                .try_out(&text, &self.loaded, COMMAND, Vec::new());
            let trial = tried.map_err(|error| not_tried(&error))?;
            Ok((kind::CONFIG_TRIAL, json!({ "sha256": trial.sha256 })))
        }

        fn choose(&self) -> crate::command::Chosen {
            Settings::choose(&self.dir.path().join("lingmou.toml")).unwrap()
        }

        fn state(&self) -> Vec<u8> {
            let state = self.loaded.config.store.dir.join("config/state.json");
            fs::read(state).unwrap()
        }
    }

    /// The bureau adds a root, and its file is half copied when the first certificate under it comes.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's own files")]
    fn by_roots_of_yesterday_no_certificate_is_said_to_lead_nowhere() {
        const DEVICE: &str = "LM-TEST-1";
        let dir = tempfile::tempdir().unwrap();
        let [ours, other] =
            ["ours", "other"].map(|name| TestPki::create(&dir.path().join(name), DEVICE).unwrap());
        let mut plan = TestPkiPlan::from_now();
        plan.not_after += 86_400;
        let key = ours.device.join("evidence.key");
        let pem = other.certify(&key, ("evidence", DEVICE), plan).unwrap();
        let mut config = Config {
            keys: Keys {
                dir: ours.device.clone(),
                ..Keys::default()
            },
            ..Config::default()
        };
        DEVICE.clone_into(&mut config.device.id);
        let roots = ours.device.join("roots.crt");
        let trust = Trust::of_box(&roots).unwrap();
        let both = [&ours, &other].map(|pki| fs::read_to_string(pki.root()).unwrap());
        let answer = |pem: &str| {
            let ended = judged(pem, &config, &trust).unwrap_err();
            (ended.outcome, ended.why.unwrap())
        };
        let by_roots = "by this box's roots.crt: ";
        let (fate, why) = answer(&pem);
        assert_eq!(fate, Fate::Refused, "{why}");
        assert!(why.starts_with(by_roots), "{why}");
        let half = both[0].len() / 2;
        fs::write(&roots, &both[0].as_bytes()[..half]).unwrap();
        let (fate, why) = answer(&pem);
        assert_eq!(fate, Fate::Failed, "{why}");
        let file = format!("{}: ", roots.display());
        assert!(why.starts_with(by_roots) && why.contains(&file), "{why}");
        // What no root could mend is refused all the same.
        let (fate, why) = answer("no certificate");
        assert_eq!(fate, Fate::Refused, "{why}");
        fs::write(&roots, both.concat()).unwrap();
        assert_eq!(
            judged(&pem, &config, &trust).unwrap().key,
            KeyName::Evidence
        );
    }

    #[test]
    fn what_is_told_to_have_failed_is_not_tried() {
        for mode in [Mode::Once(Errno::NOSPC), Mode::Forever(Errno::NOSPC)] {
            for n in 0.. {
                let pole = Pole::new();
                let (store, settings) = (&pole.loaded.config.store, &pole.settings);
                let (store, _) = Store::open(store, "LM-TEST-1").unwrap();
                fault::plan(n, mode);
                let begun = begin(settings, &store, COMMAND, || pole.try_out());
                let through = fault::clear();
                let on_trial = settings.on_trial().is_some();
                assert_eq!(begun.is_ok(), on_trial, "{mode:?} {n}: {begun:?}");
                if through {
                    begun.unwrap();
                    break;
                }
            }
        }
    }

    #[test]
    fn what_was_sent_is_told_apart_from_the_file_on_the_box() {
        let pole = Pole::new();
        assert_eq!(Settings::stand_in_for(&pole.loaded), None, "nothing was");
        pole.try_out().unwrap();
        assert_eq!(Settings::stand_in_for(&pole.loaded), None, "it is tried");
        pole.choose();
        pole.settings.keep().unwrap();
        let (command, kept) = Settings::stand_in_for(&pole.loaded).unwrap();
        assert_eq!(command, COMMAND);
        assert_eq!(fs::read_to_string(kept).unwrap(), pole.text());

        let wrong = pole.text().replace("\"gate\"", "5");
        let tried = pole
            .settings
            .try_out(&wrong, &pole.loaded, COMMAND, Vec::new());
        let said = tried.unwrap_err().to_string();
        assert!(
            said.starts_with("the configuration sent:2: camera[0].name: "),
            "{said}"
        );

        let file = pole.dir.path().join("lingmou.toml");
        let edited = Config::parse(&file, &format!("{}# edited\n", pole.text())).unwrap();
        assert_eq!(Settings::stand_in_for(&edited), None, "the file counts");
    }

    /// Everything is back, and the disk is full for the one second in which that is to be written.
    #[test]
    fn what_passed_its_trial_is_kept_though_the_disk_did_not_take_that_at_once() {
        let pole = Pole::new();
        pole.try_out().unwrap();
        let chosen = pole.choose();
        assert!(chosen.trial.is_some());
        let mut watch = Watch {
            trial: chosen.trial,
            owed: None,
            settings: pole.settings.clone(),
            again: CancellationToken::new(),
            began_ns: 0,
            well_since_ns: None,
            passed: false,
        };
        let at = |secs: u64| secs * 1_000_000_000;
        assert!(!watch.is_over(None, at(1)), "not yet for long enough");
        fault::plan(0, Mode::Once(Errno::NOSPC));
        assert!(!watch.is_over(None, at(7)), "nobody is told");
        assert!(!fault::clear(), "it was to fail");
        // A camera that fails now, long after the trial's time, was back when it counted.
        let late = at(100_000);
        assert!(watch.is_over(Some("camera gate did not play".to_owned()), late));
        assert!(!watch.again.is_cancelled());
        let again = pole.choose();
        assert_eq!(
            (again.origin, again.trial),
            (Origin::Command(COMMAND), None)
        );
        assert_eq!(pole.settings.ended()[0].why, None, "it is told as kept");
    }

    /// A configuration was sent and kept; then its disk does not give one of its files, once.
    #[test]
    fn what_cannot_be_read_for_a_moment_throws_away_nothing_that_was_sent() {
        let kept = || {
            let pole = Pole::new();
            pole.try_out().unwrap();
            pole.choose();
            pole.settings.keep().unwrap();
            pole
        };
        let pole = kept();
        let before = pole.state();
        let of_trial = Outcome {
            certificate: None,
            sha256: String::new(),
            command: COMMAND,
            why: None,
        };
        let calls: [&dyn Fn() -> bool; 5] = [
            &|| pole.settings.keep().is_ok(),
            &|| pole.settings.roll_back("why").is_ok(),
            &|| pole.settings.told().is_ok(),
            &|| pole.settings.end(&of_trial).is_ok(),
            &|| pole.try_out().is_ok(),
        ];
        for (call, run) in calls.iter().enumerate() {
            fault::plan_reading(0, Errno::IO);
            let done = run();
            assert!(!fault::clear_reading(), "it was to fail");
            assert!(!done && pole.state() == before, "call {call}");
        }
        fault::plan_reading(0, Errno::IO);
        assert!(pole.settings.is_on_trial(COMMAND), "it may be");
        for n in 0.. {
            fault::plan_reading(n, Errno::IO);
            let chosen = pole.choose();
            let through = fault::clear_reading();
            assert!(pole.state() == before, "reading {n}");
            if through {
                assert_eq!(chosen.origin, Origin::Command(COMMAND));
                assert!(n >= 2, "state and configuration are read");
                break;
            }
        }
    }
}

//! The journal's own affairs: what a run begins and ends with, what clock and certificates do
//! meanwhile, and the signature under the head.
//!
//! One task, once a second. What the journal cannot take is tried again the next second; nothing
//! here holds up anything else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock::{self, Reading};
use crate::config::{KeyName, Keys, Loaded};
use crate::journal::kind;
use crate::store::{Store, StoreError};
use crate::types::CaseId;
use crate::witness::{Identity, Installed, Roots, Trust, sha256_hex};

use super::capture;
use super::clock_watch::{ClockState, ClockWatch};
use super::dossier::Facts;
use super::past::{LastRun, Past};
use super::terms::Terms;

/// How often the clock is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often the certificates are looked at.
const CERTIFICATES: Duration = Duration::from_mins(1);
/// How often the head is signed, whether or not anything happened.
const CHECKPOINT: Duration = Duration::from_hours(1);

/// Keeps the record.
pub(super) struct Recorder {
    store: Store,
    identity: Arc<Identity>,
    trust: Arc<Trust>,
    /// Whom the certificates were last held against.
    roots: Arc<Roots>,
    keys: Keys,
    /// The command that brought the evidence certificate in force; `None`: it is the box's file.
    evidence_sent: Option<Uuid>,
    watch: ClockWatch,
    clock: Arc<ClockState>,
    /// SHA-256 of the certificates last said to be installed, by name.
    certificates: BTreeMap<String, String>,
    /// Why no verifier takes what the evidence certificate signs, as the journal last said; `None`: it does.
    untrusted: Option<String>,
    /// How long they hold.
    pub(super) terms: Arc<Terms>,
    /// Boot clock, nanoseconds.
    look_at_certificates: u64,
    /// Boot clock, nanoseconds.
    checkpoint: u64,
    /// What went wrong last, said once.
    trouble: Option<String>,
}

/// Writes the lines a run begins with. `open`: whether the book has a case open.
pub(super) fn begin(
    store: &Store,
    loaded: &Loaded,
    (facts, trust): (&Facts, &Arc<Trust>),
    past: Past,
    open: impl Fn(CaseId) -> bool,
) -> Result<Recorder, StoreError> {
    say_boot(store, loaded, facts, past.last_run)?;
    past.hits.settle(store, &open)?;
    capture::clear(store, open)?;
    let mut recorder = Recorder {
        store: store.clone(),
        identity: Arc::clone(&facts.identity),
        trust: Arc::clone(trust),
        roots: trust.now(),
        keys: loaded.config.keys.clone(),
        evidence_sent: loaded
            .config
            .keys
            .sent(KeyName::Evidence)
            .map(|s| s.command),
        watch: past.clock,
        clock: Arc::clone(&facts.clock_state),
        certificates: past.certificates,
        untrusted: past.untrusted,
        terms: Arc::default(),
        look_at_certificates: 0,
        checkpoint: 0,
        trouble: None,
    };
    let reading = clock::reading();
    if let Some(errno) = reading.trust.errno {
        tracing::error!("{}", clock::unreadable(errno));
    }
    recorder.tell_clock(&reading, true)?;
    recorder.tell_certificates()?;
    recorder.tell_trust()?;
    Ok(recorder)
}

fn say_boot(
    store: &Store,
    loaded: &Loaded,
    facts: &Facts,
    last_run: LastRun,
) -> Result<(), StoreError> {
    let now = clock::now();
    let boot = json!({
        "boot_id": clock::boot_id(),
        "device": loaded.config.device.id,
        "version": env!("CARGO_PKG_VERSION"),
        "program": facts.binary_sha256,
        "last_run": last_run,
    });
    store.note(now, kind::BOOT, boot)?;
    let calendar = &loaded.calendar.sha256;
    let config = json!({ "sha256": loaded.sha256, "calendar_sha256": calendar });
    store.note(now, kind::CONFIG_LOADED, config)?;
    let model = &facts.model;
    let model =
        json!({ "name": model.name, "sha256": model.sha256, "card_sha256": model.card_sha256 });
    store.note(now, kind::MODEL_LOADED, model)?;
    Ok(())
}

/// Writes the lines a run ends with.
pub(super) fn end(store: &Store, identity: &Identity) {
    if let Err(error) = store.end(identity) {
        tracing::warn!(%error, "the stop could not be journalled and signed");
    }
}

/// Keeps the record until `stop`.
pub(super) async fn run(mut recorder: Recorder, stop: CancellationToken) {
    let mut pace = tokio::time::interval(LOOK);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = pace.tick() => {}
        }
        let turned = tokio::task::spawn_blocking(move || {
            recorder.turn();
            recorder
        });
        match turned.await {
            Ok(back) => recorder = back,
            // Only when the runtime ends.
            Err(_stopped) => return,
        }
    }
}

impl Recorder {
    fn turn(&mut self) {
        let trouble = self.look().err().map(|error| error.to_string());
        if trouble != self.trouble
            && let Some(why) = &trouble
        {
            tracing::error!(why, "the journal cannot be kept up");
        }
        self.trouble = trouble;
    }

    fn look(&mut self) -> Result<(), StoreError> {
        let now = clock::reading();
        self.tell_clock(&now, false)?;
        let roots = self.trust.now();
        if now.boot_ns >= self.look_at_certificates || !Arc::ptr_eq(&roots, &self.roots) {
            self.look_at_certificates = 0;
            self.roots = roots;
            self.tell_certificates()?;
            self.tell_trust()?;
            self.look_at_certificates = later(&now, CERTIFICATES);
        }
        let is_due = now.boot_ns >= self.checkpoint;
        if is_due && self.identity.check_signing(clock::now()).is_ok() {
            self.store.checkpoint(&self.identity)?;
            self.checkpoint = later(&now, CHECKPOINT);
        }
        Ok(())
    }

    /// Says what the clock did, and corrects what was sealed by a clock that was wrong.
    fn tell_clock(&mut self, now: &Reading, start: bool) -> Result<(), StoreError> {
        if let Some(line) = self.watch.line(now, start) {
            let head = self.store.note(clock::now(), kind::CLOCK, json!(line))?;
            self.watch.take(head.n, line);
            self.clock.set_last_step(self.watch.last_step());
        }
        while let Some(due) = self.watch.due().cloned() {
            // The correction counts once it is signed: at once.
            self.checkpoint = 0;
            let (first, last) = due.lines();
            let packages = self.store.sealed_between(first, last)?;
            for body in due.bodies(clock::boot_id(), &packages) {
                let noted = body.clone();
                self.store
                    .note(clock::now(), kind::CLOCK_CORRECTED, noted)?;
                self.watch.corrected(&body);
            }
        }
        Ok(())
    }

    /// Says which certificates are in place, when they are others than before, and when one ends.
    fn tell_certificates(&mut self) -> Result<(), StoreError> {
        let transport = self.keys.certificate(KeyName::Transport);
        let transport_sent = self.keys.sent(KeyName::Transport).map(|s| s.command);
        let found = [
            (
                KeyName::Evidence.name(),
                Installed::of(self.identity.certificate_der()).ok(),
                self.evidence_sent,
            ),
            // One that is not there, or not readable, is the upload's to complain about.
            (
                KeyName::Transport.name(),
                Installed::read(&transport).ok(),
                transport_sent,
            ),
        ];
        for (name, certificate, command) in found {
            let Some(certificate) = certificate else {
                continue;
            };
            self.terms.take(name, (&certificate, command), clock::now());
            let sha256 = certificate.certificate_sha256.clone();
            let before = self.certificates.get(name);
            if before == Some(&sha256) {
                continue;
            }
            let body = json!({
                "name": name,
                "certificate_sha256": sha256,
                "before_sha256": before,
                "subject": certificate.subject,
                "not_after": certificate.not_after,
                "command": command,
            });
            self.store.note(clock::now(), kind::CERT_INSTALLED, body)?;
            self.certificates.insert(name.to_owned(), sha256);
        }
        Ok(())
    }

    /// Says when no verifier with the box's roots and lists takes what is signed here any more, and when
    /// one does again. Out of the certificate's time nothing is signed, and the clock may not be set: what
    /// was said then stays.
    fn tell_trust(&mut self) -> Result<(), StoreError> {
        let now = clock::now();
        if self.identity.check_validity(now).is_err() {
            return Ok(());
        }
        let judged = self.identity.check_chain(&self.roots, now);
        let why = judged.err().map(|fault| fault.to_string());
        let name = KeyName::Evidence.name();
        self.terms.judge(name, why.as_deref());
        if why != self.untrusted {
            let sha256 = sha256_hex(self.identity.certificate_der());
            let body = json!({ "name": name, "certificate_sha256": sha256, "why": why });
            self.store.note(now, kind::CERT_UNTRUSTED, body)?;
            self.untrusted = why;
        }
        Ok(())
    }
}

fn later(now: &Reading, by: Duration) -> u64 {
    let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
    now.boot_ns.saturating_add(by)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;
    use crate::journal;
    use crate::pki::{TestPki, TestPkiPlan};
    use crate::types::Stamp;

    const DEVICE: &str = "LM-TEST-1";

    struct Kit {
        dir: tempfile::TempDir,
        pki: TestPki,
        store: Store,
    }

    impl Kit {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let pki = TestPki::create(&dir.path().join("pki"), DEVICE).unwrap();
            let store = open(&dir.path().join("store"));
            Self { dir, pki, store }
        }

        fn recorder(&self) -> Recorder {
            let past = Past::read(&self.store).unwrap();
            let roots = self.pki.device.join("roots.crt");
            let trust = Arc::new(Trust::of_box(&roots).unwrap());
            Recorder {
                store: self.store.clone(),
                identity: Arc::new(Identity::load(&self.pki.device, "evidence").unwrap()),
                roots: trust.now(),
                trust,
                keys: Keys {
                    dir: self.pki.device.clone(),
                    ..Keys::default()
                },
                evidence_sent: None,
                watch: past.clock,
                clock: Arc::default(),
                certificates: past.certificates,
                untrusted: past.untrusted,
                terms: Arc::default(),
                look_at_certificates: 0,
                checkpoint: 0,
                trouble: None,
            }
        }

        fn lines(&self, kind: &str) -> Vec<serde_json::Value> {
            let journal = self.dir.path().join("store/journal");
            let all = journal::tail(&journal, 9_999).unwrap();
            let of_kind = all.into_iter().filter(|e| e.kind == kind);
            of_kind.map(|e| e.body).collect()
        }

        fn audit(&self) -> journal::Audit {
            let roots = crate::witness::Roots::load(&self.pki.root()).unwrap();
            journal::audit(&self.dir.path().join("store"), &roots, Some(DEVICE)).unwrap()
        }
    }

    fn open(dir: &Path) -> Store {
        let config = config::Store {
            dir: dir.to_owned(),
            keep_free_mib: 0,
            ..config::Store::default()
        };
        Store::open(&config, DEVICE).unwrap().0
    }

    fn reading(secs: u64, moved_ms: i64, synced: bool) -> Reading {
        Reading {
            boot_ns: secs * 1_000_000_000,
            offset_ns: (1_785_542_400_000 + moved_ms) * 1_000_000,
            trust: clock::Trust {
                synced,
                max_error_us: synced.then_some(1500),
                source: None,
                errno: None,
            },
        }
    }

    #[test]
    fn certificates_are_told_when_they_change_and_only_then() {
        let kit = Kit::new();
        let names = || -> Vec<String> {
            let lines = kit.lines(kind::CERT_INSTALLED);
            let name = |line: &serde_json::Value| line["name"].as_str().unwrap().to_owned();
            lines.iter().map(name).collect()
        };
        for _run in 0..2 {
            let mut recorder = kit.recorder();
            recorder.tell_certificates().unwrap();
            recorder.tell_certificates().unwrap();
            assert_eq!(names(), ["evidence", "transport"]);
        }
        let other = TestPki::create(&kit.dir.path().join("other"), DEVICE).unwrap();
        let mut recorder = kit.recorder();
        recorder.keys.dir = other.device.clone();
        recorder.tell_certificates().unwrap();
        assert_eq!(names(), ["evidence", "transport", "transport"]);
        let lines = kit.lines(kind::CERT_INSTALLED);
        let line = &lines[2];
        assert_eq!(line["before_sha256"], lines[1]["certificate_sha256"]);
        assert!(lines[1]["before_sha256"].is_null());
        let subject = line["subject"].as_str().unwrap();
        assert!(subject.contains("CN=LM-TEST-1"), "{subject}");
        assert_eq!(line["certificate_sha256"].as_str().unwrap().len(), 64);
        assert!(line["not_after"].as_str().unwrap().ends_with('Z'));
    }

    /// The bureau's list names this box while it runs, or before it starts; then that was a mistake.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's own files")]
    fn a_box_on_its_own_list_says_so_until_it_is_off_it() {
        let kit = Kit::new();
        let list = kit.pki.device.join("revoked.crl");
        let ours = kit.pki.device.join("evidence.crt");
        let whys = || -> Vec<serde_json::Value> {
            let lines = kit.lines(kind::CERT_UNTRUSTED);
            lines.iter().map(|line| line["why"].clone()).collect()
        };
        let alarms = |recorder: &Recorder| -> Vec<String> {
            let status = json!({
                "clock": { "synced": true },
                "certificates": recorder.terms.snapshot(clock::now()),
            });
            let raised = crate::status::alarms(&status).into_iter();
            let raised = raised.filter(|alarm| alarm.name == "evidence certificate");
            raised.map(|alarm| alarm.text).collect()
        };
        let mut recorder = kit.recorder();
        recorder.look().unwrap();
        assert_eq!((whys(), alarms(&recorder)), (vec![], vec![]));
        // 2026-01-01.
        let revoked = kit.pki.revoke(&[(&ours, 1_767_225_600)]).unwrap();
        std::fs::write(&list, revoked).unwrap();
        let why = "a certificate was revoked on 2026-01-01";
        recorder.look().unwrap();
        for mut recorder in [recorder, kit.recorder()] {
            recorder.look().unwrap();
            assert_eq!(whys(), [why], "said once, by whichever run");
            let [alarm] = &alarms(&recorder)[..] else {
                panic!("no alarm, or several");
            };
            assert!(alarm.starts_with(why), "{alarm}");
        }
        let line = &kit.lines(kind::CERT_UNTRUSTED)[0];
        let installed = kit.lines(kind::CERT_INSTALLED).swap_remove(0);
        for key in ["name", "certificate_sha256"] {
            assert_eq!(line[key], installed[key]);
        }
        assert!(kit.lines(kind::CHECKPOINT).len() > 1, "it goes on signing");
        std::fs::remove_file(&list).unwrap();
        let mut recorder = kit.recorder();
        recorder.look().unwrap();
        assert_eq!(whys(), [json!(why), json!(null)]);
        assert_eq!(alarms(&recorder), [""; 0]);
    }

    /// A journal that nobody signs grows on: the next certificate signs these lines too.
    #[test]
    fn after_the_certificate_s_end_nothing_is_signed_and_the_status_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let now = u64::try_from(clock::now().utc_ns / 1_000_000_000).unwrap();
        let plan = TestPkiPlan {
            not_before: now - 7200,
            not_after: now - 3600,
        };
        let pki = TestPki::create_planned(&dir.path().join("pki"), DEVICE, plan).unwrap();
        let store = open(&dir.path().join("store"));
        let kit = Kit { dir, pki, store };
        let mut recorder = kit.recorder();
        recorder.look().unwrap();
        end(&kit.store, &recorder.identity);
        assert_eq!(kit.lines(kind::SHUTDOWN).len(), 1);
        assert_eq!(kit.lines(kind::CHECKPOINT).len(), 0);
        let told = recorder.terms.snapshot(clock::now());
        for name in ["evidence", "transport"] {
            assert_eq!(told[name]["expired"], true, "{told}");
        }
    }

    #[test]
    fn a_clock_found_wrong_is_corrected_and_signed_at_once() {
        let kit = Kit::new();
        let mut recorder = kit.recorder();
        recorder.tell_clock(&reading(10, 0, false), true).unwrap();
        recorder.tell_clock(&reading(11, 0, false), false).unwrap();
        assert_eq!(kit.lines(kind::CLOCK).len(), 1, "nothing changed");
        recorder.checkpoint = u64::MAX;
        recorder
            .tell_clock(&reading(60, 9000, true), false)
            .unwrap();
        let corrected = kit.lines(kind::CLOCK_CORRECTED);
        assert_eq!(corrected.len(), 1);
        assert_eq!(corrected[0]["offset_us"], 9_000_000);
        assert_eq!(corrected[0]["packages"], json!([]));
        let step = recorder.clock.last_step().unwrap();
        assert_eq!(step, "2026-08-01T00:01:09.000Z");
        recorder.look().unwrap();
        let audit = kit.audit();
        assert!(audit.holds(), "{:?}", audit.faults);
        assert_eq!(audit.checkpoints, 1, "signed, though the hour is not over");
    }

    /// The server was wrong, and the kernel did not know.
    #[test]
    fn a_jump_while_synchronised_names_the_packages_sealed_before_it() {
        let kit = Kit::new();
        let mut recorder = kit.recorder();
        recorder.tell_clock(&reading(10, 0, true), true).unwrap();
        let sealed = crate::store::tests::case(1);
        crate::store::tests::keep_and_seal(&kit.store, sealed);
        recorder.checkpoint = u64::MAX;
        let jump = reading(60, 9000, true);
        recorder.tell_clock(&jump, false).unwrap();
        let corrected = kit.lines(kind::CLOCK_CORRECTED);
        assert_eq!(corrected.len(), 1);
        assert_eq!(corrected[0]["offset_us"], 9_000_000);
        assert_eq!(corrected[0]["packages"], json!([sealed]));
        assert_eq!(corrected[0]["from"], "2026-08-01T00:00:10.000Z");
        assert_eq!(corrected[0]["to"], "2026-08-01T00:01:00.000Z");
        assert_eq!(recorder.checkpoint, 0, "signed at once");
    }

    /// After twenty quiet days somebody stops the daemon, sets the clock right and starts it again.
    #[test]
    fn a_jump_while_nothing_ran_corrects_the_run_before() {
        let kit = Kit::new();
        let mut recorder = kit.recorder();
        recorder.tell_clock(&reading(10, 0, true), true).unwrap();
        let note = |now: &Reading, kind| {
            let at = Stamp {
                utc_ns: now.offset_ns.saturating_add_unsigned(now.boot_ns),
                boot_ns: now.boot_ns,
                error_ns: 0,
            };
            kit.store.note(at, kind, json!({})).unwrap();
        };
        let days = 20 * 86_400;
        note(&reading(days, 0, true), kind::SHUTDOWN);
        let now = reading(days + 60, 9000, true);
        note(&now, kind::STORE_REBUILT);
        note(&now, kind::BOOT);
        kit.recorder().tell_clock(&now, true).unwrap();
        let corrected = kit.lines(kind::CLOCK_CORRECTED);
        assert_eq!(corrected.len(), 1, "{corrected:?}");
        assert_eq!(corrected[0]["offset_us"], 9_000_000);
        // What the kernel admits, a minute without discipline, and no more than what is corrected.
        assert_eq!(corrected[0]["error_us"], 1500 + 60 * 500 + 9_000_000);
    }

    #[test]
    fn a_run_ends_with_a_signature_under_its_last_word() {
        let kit = Kit::new();
        let identity = Identity::load(&kit.pki.device, "evidence").unwrap();
        end(&kit.store, &identity);
        let audit = kit.audit();
        assert!(audit.holds(), "{:?}", audit.faults);
        let signed = audit.signed.unwrap();
        assert_eq!((signed.n, audit.head.n), (1, 2), "then the line about it");
        assert_eq!(kit.lines(kind::CHECKPOINT)[0]["n"], 1);
        assert!(!kit.store.has_unsigned());
        assert_eq!(Past::read(&kit.store).unwrap().last_run, LastRun::Closed);
    }
}

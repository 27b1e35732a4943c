//! Examines what comes down, and signs what goes up. Everything here may wait for the disk.

use std::collections::HashSet;
use std::sync::Arc;

use uuid::Uuid;

use crate::clock;
use crate::command::{AHEAD_MAX_SECS, Decision, Standing, Verb, decide, line};
use crate::journal::kind;
use crate::store::{ReplyDue, Store, StoreError, Taken, UnderWay, VerdictFacts};
use crate::types::Stamp;
use crate::witness::{Command, CommandError, Fate, Identity, Notice, Reply, Trust, sha256_hex};

use super::objections::{Objections, facts};
use super::{ERRANDS_MAX, Errands, ended};

/// What every examination needs.
#[derive(Clone)]
pub(super) struct Office {
    /// This box.
    pub(super) device: String,
    /// Who vouches for people.
    pub(super) trust: Arc<Trust>,
    /// Whether commands are carried out at all.
    pub(super) enabled: bool,
    pub(super) store: Store,
    pub(super) identity: Arc<Identity>,
    pub(super) objections: Arc<Objections>,
}

/// What is to be done after a message was examined.
pub(super) enum Step {
    /// Nothing, or it is in the rows already.
    Nothing,
    /// A reply that was given before is given again.
    Again(Uuid),
    /// The errand.
    Carry(Errand),
    /// A reply that is kept nowhere: to a verdict, which may come again.
    Tell(Vec<u8>),
    /// It is nothing to answer.
    Stranger(&'static str, String),
}

/// A command on its way to be done.
pub(super) struct Errand {
    pub(super) id: Uuid,
    pub(super) verb: Verb,
    /// Subject of the signer's certificate.
    pub(super) by: String,
    /// SHA-256 of the signed command.
    pub(super) sha256: String,
    /// When the box accepted it, RFC 3339 UTC.
    pub(super) at: String,
}

impl Office {
    /// Examines what claims to be a command: by the clock when it is `synced`, else by the nonces.
    pub(super) fn command(
        &self,
        p7m: &[u8],
        (synced, nonces): (bool, &[String; 2]),
    ) -> Result<Step, StoreError> {
        let (command, commander) = match Command::open(p7m, &self.trust.anew()) {
            Ok(opened) => opened,
            Err(why) => return Ok(Step::Stranger(kind::COMMAND_REFUSED, why.to_string())),
        };
        let sha256 = sha256_hex(p7m);
        // Done twice it harms nobody, and a disk that fails must not keep a loudspeaker going.
        let is_stop = Verb::read(&command.verb, &command.args) == Ok(Verb::Stop {});
        let asked = self.store.command(command.id, &commander.signer.subject);
        let (known, seq) = match asked {
            Err(error) if is_stop => {
                tracing::error!(%error, "whether a stop was obeyed before is not known");
                (None, None)
            }
            asked => asked?,
        };
        let now = clock::now();
        let standing = Standing {
            device: &self.device,
            now_ms: now.utc_ms(),
            synced,
            nonces: [&nonces[0], &nonces[1]],
            known: known.as_ref(),
            seq,
        };
        let decision = match decide(&command, &commander, &sha256, &standing) {
            Decision::Carry(_) if !self.enabled => {
                let why = "[commands] enabled is false on this box".to_owned();
                Decision::Refuse(Fate::Refused, why)
            }
            decision => decision,
        };
        let line = line(&command, &commander, &sha256);
        match decision {
            Decision::Ignore(why) => Ok(Step::Stranger(kind::COMMAND_REFUSED, why)),
            Decision::Repeat => Ok(Step::Again(command.id)),
            Decision::Refuse(fate, why) => {
                tracing::warn!(
                    signer = line.signer,
                    verb = line.verb,
                    why,
                    "command refused"
                );
                self.store.command_refused(now, &line, (fate, &why))?;
                Ok(Step::Nothing)
            }
            Decision::Carry(verb) => {
                tracing::info!(signer = line.signer, verb = line.verb, "command");
                match self.store.command_received(now, &line, p7m) {
                    Err(error) if is_stop => {
                        tracing::error!(%error, "a stop is obeyed that cannot be written down");
                    }
                    received => received?,
                }
                Ok(Step::Carry(Errand {
                    id: command.id,
                    verb,
                    by: line.signer,
                    sha256,
                    at: clock::rfc3339_ms(now.utc_ns),
                }))
            }
        }
    }

    /// Examines what claims to be a verdict.
    pub(super) fn verdict(&self, p7m: &[u8], synced: bool) -> Result<Step, StoreError> {
        let stranger = |why: String| Ok(Step::Stranger(kind::VERDICT_REFUSED, why));
        let (notice, signer) = match Notice::open(p7m, &self.trust.anew()) {
            Ok(opened) => opened,
            Err(why) => return stranger(why.to_string()),
        };
        if notice.device != self.device {
            return stranger(format!("verdict: it is for device {:?}", notice.device));
        }
        let now = clock::now();
        let facts = facts(&notice, signer);
        let (fate, why) = match to_come(facts.at_ms, (synced, now.utc_ms())) {
            Some(why) => (Fate::Refused, Some(why)),
            None => self.take(now, &facts)?,
        };
        let mut reply = Reply::new(&self.device, (&sha256_hex(p7m), notice.id.0), fate, now);
        reply.why = why;
        let signed = self.identity.check_signing(now).map_err(CommandError::from);
        Ok(
            match signed.and_then(|()| reply.sign(&self.identity, now)) {
                Ok(bytes) => Step::Tell(bytes),
                Err(error) => {
                    tracing::warn!(%error, "a verdict is kept and cannot be answered");
                    Step::Nothing
                }
            },
        )
    }

    /// Keeps a verdict; what is answered to it.
    fn take(&self, now: Stamp, facts: &VerdictFacts) -> Result<(Fate, Option<String>), StoreError> {
        Ok(match self.store.verdict(now, facts) {
            Ok(Taken::New { rule, model }) => {
                self.objections.heard(&self.store, now, (&rule, &model))?;
                (Fate::Done, None)
            }
            Ok(Taken::Known { rule, model }) => {
                self.objections.heard(&self.store, now, (&rule, &model))?;
                (Fate::Done, Some("it was known".to_owned()))
            }
            Ok(Taken::Overtaken(at_ms)) => {
                let newer = clock::rfc3339_ms(at_ms.saturating_mul(1_000_000));
                let why = format!(
                    "another verdict of yours on this package is of {newer}, and counts: give it once \
                     more with a later time"
                );
                (Fate::Refused, Some(why))
            }
            Err(error @ (StoreError::Unknown(_) | StoreError::OtherSignature(_))) => {
                (Fate::Refused, Some(error.to_string()))
            }
            Err(error) => return Err(error),
        })
    }

    /// The signed reply to `id`; `None` while it is under way.
    pub(super) fn reply(&self, id: Uuid) -> Result<Option<Vec<u8>>, StoreError> {
        match self.store.reply(id)? {
            Some(due) => self.signed(due),
            None => Ok(None),
        }
    }

    /// Signed replies that no broker has taken yet, at most `max`, without those to `skip`.
    pub(super) fn due(
        &self,
        skip: &HashSet<Uuid>,
        max: usize,
    ) -> Result<Vec<(Uuid, Vec<u8>)>, StoreError> {
        let due = self.store.replies_due(max.saturating_add(skip.len()))?;
        let due = due.into_iter().filter(|id| !skip.contains(id));
        due.take(max)
            .filter_map(|id| {
                let bytes = self.reply(id);
                bytes.map(|bytes| Some((id, bytes?))).transpose()
            })
            .collect()
    }

    /// The reply as it was signed before, or signed and kept now; `None` while the key cannot sign, or its certificate
    /// does not hold.
    fn signed(&self, due: ReplyDue) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(bytes) = due.reply {
            return Ok(Some(bytes));
        }
        let now = clock::now();
        let mut reply = Reply::new(&self.device, (&due.sha256, due.id), due.outcome, now);
        (reply.why, reply.result) = (due.why, due.result);
        if self.identity.check_signing(now).is_err() {
            // Nobody would believe it: it waits for another certificate, or for the clock.
            return Ok(None);
        }
        let signed = reply.sign(&self.identity, now).or_else(|error| {
            // What is too large is told without its result; what cannot be signed now, later.
            reply.result = None;
            reply.why = Some(error.to_string());
            reply.sign(&self.identity, now)
        });
        match signed {
            Ok(bytes) => {
                self.store.keep_reply(due.id, &bytes)?;
                Ok(Some(bytes))
            }
            Err(error) => {
                tracing::warn!(%error, "a reply cannot be signed");
                Ok(None)
            }
        }
    }

    /// The errands of commands that were cut short; what may not be repeated, or not any more, is ended
    /// here. `synced`: the box's clock can tell what is late.
    pub(super) fn left_over(
        &self,
        errands: &Errands,
        synced: bool,
    ) -> Result<Vec<Errand>, StoreError> {
        let mut again = Vec::new();
        for left in self.store.commands_open()? {
            let id = left.id;
            if errands.is_on_trial(id) {
                continue;
            }
            if let Some(ended) = errands.reboots.became(id, clock::boot_id(), clock::now()) {
                self.store.command_done(clock::now(), id, &ended)?;
                continue;
            }
            match self.once_more(left, synced) {
                Some(errand) if again.len() < ERRANDS_MAX => again.push(errand),
                _ => {
                    let why =
                        "the box was started again meanwhile; whether it was done is not known";
                    let interrupted = ended(Fate::Interrupted, why);
                    self.store.command_done(clock::now(), id, &interrupted)?;
                }
            }
        }
        Ok(again)
    }

    /// The errand of a command that was cut short, where doing it now harms nobody.
    fn once_more(&self, left: UnderWay, synced: bool) -> Option<Errand> {
        let p7m = left.signed?;
        let (command, commander) = Command::open(&p7m, &self.trust.anew()).ok()?;
        let verb = Verb::read(&command.verb, &command.args).ok()?;
        let in_time = || {
            let until_ms = command.not_after_ms();
            synced && until_ms.is_some_and(|until_ms| clock::now().utc_ms() < until_ms)
        };
        let harmless = verb.may_be_repeated() && (!verb.is_of_its_moment() || in_time());
        harmless.then(|| Errand {
            id: left.id,
            verb,
            by: commander.signer.subject,
            sha256: sha256_hex(&p7m),
            at: left
                .at
                .unwrap_or_else(|| clock::rfc3339_ms(clock::now().utc_ns)),
        })
    }
}

/// Why a verdict that names this time is not taken: it would overrule every one given until then. A
/// clock that nobody vouches for does not judge another.
fn to_come(at_ms: i64, (synced, now_ms): (bool, i64)) -> Option<String> {
    let ahead = at_ms.saturating_sub(now_ms) > AHEAD_MAX_SECS * 1000;
    (synced && ahead).then(|| {
        let at = clock::rfc3339_ms(at_ms.saturating_mul(1_000_000));
        format!("its time, {at}, is more than {AHEAD_MAX_SECS} s ahead of the box's clock")
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use rustix::io::Errno;
    use serde_json::json;

    use super::*;
    use crate::config;
    use crate::disk::fault::{self, Mode};
    use crate::pki::TestPki;
    use crate::store::Commanded;
    use crate::witness::Rank;

    const DEVICE: &str = "LM-TEST-1";

    /// The office of a box whose store is below `dir`, and who may command it.
    pub(in crate::daemon::clerk) fn office(dir: &Path) -> (Office, TestPki) {
        let pki = TestPki::create(&dir.join("pki"), DEVICE).unwrap();
        let settings = config::Store {
            dir: dir.join("store"),
            ..config::Store::default()
        };
        let (store, _) = Store::open(&settings, DEVICE).unwrap();
        let objections = Objections::read(&store, &config::Commands::default(), "model").unwrap();
        let office = Office {
            device: DEVICE.to_owned(),
            trust: Arc::new(Trust::of_box(&pki.device.join("roots.crt")).unwrap()),
            enabled: true,
            store,
            identity: Arc::new(Identity::load(&pki.device, "evidence").unwrap()),
            objections: Arc::new(objections),
        };
        (office, pki)
    }

    /// A command that was refused; its id.
    pub(in crate::daemon::clerk) fn refused(store: &Store, n: u128) -> Uuid {
        let id = Uuid::from_u128(n);
        let commanded = Commanded {
            id,
            sha256: sha256_hex(&n.to_be_bytes()),
            signer: "CN=operator-1,OU=operate".to_owned(),
            certificate_sha256: sha256_hex(b"certificate"),
            role: Rank::Operate,
            seq: 1,
            verb: "report".to_owned(),
            args: json!({}),
        };
        let refused = store.command_refused(clock::now(), &commanded, (Fate::Refused, "no"));
        refused.unwrap();
        id
    }

    /// A command that is good for so many seconds.
    fn asking(id: u64, (verb, args): (&str, serde_json::Value), secs: i64) -> Command {
        let (v, kind) = Command::HEAD;
        Command {
            v,
            kind: kind.to_owned(),
            id: Uuid::from_u128(id.into()),
            device: DEVICE.to_owned(),
            seq: id,
            verb: verb.to_owned(),
            args,
            not_after: clock::rfc3339_ms(clock::now().utc_ns + secs * 1_000_000_000),
            nonce: Some("here".to_owned()),
        }
    }

    /// On a disk that takes nothing more warnings go on, so a stop must be obeyed; what else is
    /// ordered waits until it can be written down.
    #[test]
    fn a_stop_is_obeyed_on_a_disk_that_takes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (office, pki) = office(dir.path());
        let operator = Identity::load(&pki.operators[1], "operator").unwrap();
        let signed = |id, verb| asking(id, (verb, json!({})), 60).sign(&operator, clock::now());
        let nonces = ["here".to_owned(), "before".to_owned()];
        let (stop, report) = (signed(1, "stop").unwrap(), signed(2, "report").unwrap());
        let ask = |p7m: &[u8]| office.command(p7m, (false, &nonces));
        fault::plan(0, Mode::Forever(Errno::IO));
        let (obeyed, waits) = (ask(&stop), ask(&report));
        fault::clear();
        assert!(matches!(obeyed, Ok(Step::Carry(errand)) if errand.verb == (Verb::Stop {})));
        assert!(waits.is_err());
        // With the disk back it is one command like any other: written down, and done once.
        assert!(matches!(ask(&stop), Ok(Step::Carry(_))));
        assert!(matches!(ask(&stop), Ok(Step::Again(_))));
        assert!(matches!(ask(&report), Ok(Step::Carry(_))));
    }

    /// Who has left dates his command back to before that day. A clock that nobody sets does not see it.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's own file")]
    fn who_is_on_the_list_commands_no_box_whose_clock_is_not_synchronised() {
        const DAY_NS: i64 = 24 * 3600 * 1_000_000_000;
        let dir = tempfile::tempdir().unwrap();
        let (office, pki) = office(dir.path());
        let [_, left, stays] = &pki.operators;
        let now = clock::now();
        let of_his_time = now.shifted_ns(-DAY_NS / 48);
        let on = u64::try_from(now.utc_ns / 1_000_000_000).unwrap();
        let list = pki.revoke(&[(&left.join("operator.crt"), on)]).unwrap();
        std::fs::write(pki.device.join("revoked.crl"), list).unwrap();
        let nonces = ["here".to_owned(), "before".to_owned()];
        for (id, keys, obeyed) in [(1, left, false), (2, stays, true)] {
            let operator = Identity::load(keys, "operator").unwrap();
            let command = asking(id, ("stop", json!({})), -3600);
            let signed = command.sign(&operator, of_his_time).unwrap();
            match office.command(&signed, (false, &nonces)).unwrap() {
                Step::Carry(_) => assert!(obeyed),
                Step::Stranger(_, why) => assert!(!obeyed && why.contains("revoked on"), "{why}"),
                _ => panic!("neither done nor refused"),
            }
        }
    }

    /// Half a list is no reason to let a loudspeaker go on.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's own file")]
    fn a_stop_is_obeyed_though_the_list_is_half_copied() {
        let dir = tempfile::tempdir().unwrap();
        let (office, pki) = office(dir.path());
        let list = pki.revoke(&[]).unwrap();
        std::fs::write(
            pki.device.join("revoked.crl"),
            &list.as_bytes()[..list.len() / 2],
        )
        .unwrap();
        let operator = Identity::load(&pki.operators[1], "operator").unwrap();
        let stop = asking(1, ("stop", json!({})), 60).sign(&operator, clock::now());
        let nonces = ["here".to_owned(), "before".to_owned()];
        let step = office.command(&stop.unwrap(), (false, &nonces));
        assert!(matches!(step, Ok(Step::Carry(_))));
        assert!(office.trust.trouble().unwrap().contains("revoked.crl"));
    }

    /// A power cut in the middle; the box comes back at once, or on another day.
    #[test]
    fn what_a_crash_cut_short_is_not_done_when_its_time_is_over() {
        const HOUR: i64 = 3600;
        const ACCEPTED: &str = "2026-08-07T09:00:00.000Z";
        let dir = tempfile::tempdir().unwrap();
        let (office, pki) = office(dir.path());
        let operator = Identity::load(&pki.operators[1], "operator").unwrap();
        let case = json!({ "package": Uuid::from_u128(9) });
        let gate = json!({ "camera": "gate" });
        let table = [
            ("capture", &gate, HOUR, true, true),
            ("capture", &gate, -HOUR, true, false),
            ("capture", &gate, HOUR, false, false),
            ("stop", &json!({}), -HOUR, true, false),
            ("evict", &case, -HOUR, false, true),
            ("fetch", &case, -HOUR, true, true),
            ("say", &json!({ "text": "x" }), HOUR, true, false),
        ];
        for (verb, args, secs, synced, again) in table {
            let command = asking(7, (verb, args.clone()), secs);
            let signed = command.sign(&operator, clock::now()).unwrap();
            let left = UnderWay {
                id: command.id,
                signed: Some(signed),
                at: Some(ACCEPTED.to_owned()),
            };
            let errand = office.once_more(left, synced);
            let at = errand.map(|errand| errand.at);
            let expected = again.then(|| ACCEPTED.to_owned());
            assert_eq!(at, expected, "{verb} {secs} {synced}");
        }
    }

    #[test]
    fn a_verdict_of_a_time_to_come_is_not_taken_by_a_clock_that_knows() {
        let now_ms = 1_785_549_784_567;
        for (ahead_ms, synced, taken) in [
            (-3_600_000, true, true),
            (AHEAD_MAX_SECS * 1000, true, true),
            (AHEAD_MAX_SECS * 1000 + 1, true, false),
            (3_600_000, false, true),
        ] {
            let why = to_come(now_ms + ahead_ms, (synced, now_ms));
            assert_eq!(why.is_none(), taken, "{ahead_ms} {synced}: {why:?}");
        }
    }
}

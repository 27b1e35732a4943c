//! What becomes of a command that somebody with a certificate has signed. Pure.

use super::AHEAD_MAX_SECS;
use super::verb::{Misunderstood, Verb, told};
use crate::store::{Commanded, Known};
use crate::witness::{Command, Commander, Fate};

/// What the box knows when a command comes.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// This box.
    pub device: &'a str,
    /// Now, UTC milliseconds.
    pub now_ms: i64,
    /// Whether that is to be trusted.
    pub synced: bool,
    /// The nonces that hold: the present one, and the one before for as long as it may be quoted.
    pub nonces: [&'a str; 2],
    /// The command of the same id that came before.
    pub known: Option<&'a Known>,
    /// The highest number its signer has used.
    pub seq: Option<u64>,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is nothing to answer: counted, and now and then a line.
    Ignore(String),
    /// It came before: the reply is given again, once there is one.
    Repeat,
    /// It is answered that it is not done, and why.
    Refuse(Fate, String),
    /// It is done.
    Carry(Verb),
}

/// Decides. `sha256` is that of the signed bytes.
pub fn decide(
    command: &Command,
    commander: &Commander,
    sha256: &str,
    standing: &Standing<'_>,
) -> Decision {
    if command.device != standing.device {
        return Decision::Ignore(format!("it is for device {:?}", command.device));
    }
    match standing.known {
        Some(known) if known.sha256 == sha256 => return Decision::Repeat,
        Some(_) => {
            let why = format!("another command had the id {}", command.id);
            return Decision::Ignore(why);
        }
        None => {}
    }
    if let Err(why) = in_time(command, commander, standing) {
        return Decision::Refuse(Fate::Refused, why);
    }
    if let Some(seq) = standing.seq.filter(|seq| command.seq <= *seq) {
        let why = format!(
            "number {} was used already; the last was {seq}",
            command.seq
        );
        return Decision::Refuse(Fate::Refused, why);
    }
    let verb = match Verb::read(&command.verb, &command.args) {
        Ok(verb) => verb,
        Err(error @ Misunderstood::Verb(_)) => {
            return Decision::Refuse(Fate::Unsupported, error.to_string());
        }
        Err(error) => return Decision::Refuse(Fate::Refused, error.to_string()),
    };
    if commander.rank < verb.needs() {
        let why = format!(
            "{} needs a certificate for {}, this one is for {}",
            command.verb,
            verb.needs().name(),
            commander.rank.name()
        );
        return Decision::Refuse(Fate::Refused, why);
    }
    Decision::Carry(verb)
}

/// Whether the command is fresh: by the clock where it can be trusted, else by the nonce.
fn in_time(
    command: &Command,
    commander: &Commander,
    standing: &Standing<'_>,
) -> Result<(), String> {
    const AHEAD_MS: i64 = AHEAD_MAX_SECS * 1000;
    if !standing.synced {
        let quoted = command.nonce.as_deref();
        let fresh = quoted.is_some_and(|quoted| standing.nonces.contains(&quoted));
        return if fresh {
            Ok(())
        } else {
            Err(
                "the box's clock is not synchronised, and the command does not quote the nonce \
                 of its present state"
                    .to_owned(),
            )
        };
    }
    let not_after = command.not_after_ms().unwrap_or(i64::MIN);
    if not_after <= standing.now_ms {
        return Err(format!("it was good until {}", command.not_after));
    }
    if not_after - standing.now_ms > AHEAD_MS {
        let why = format!("not_after is more than {AHEAD_MAX_SECS} s ahead of the box's clock");
        return Err(why);
    }
    // The chain was checked at the time the signature names: that must be now, or a certificate
    // that has run out could sign for ever.
    let signed_ms = commander.signer.signing_time.saturating_mul(1000);
    if (signed_ms - standing.now_ms).abs() > 2 * AHEAD_MS {
        return Err("it was not signed just now".to_owned());
    }
    Ok(())
}

/// The journal line of a command.
pub fn line(command: &Command, commander: &Commander, sha256: &str) -> Commanded {
    Commanded {
        id: command.id,
        sha256: sha256.to_owned(),
        signer: commander.signer.subject.clone(),
        certificate_sha256: commander.signer.certificate_sha256.clone(),
        role: commander.rank,
        seq: command.seq,
        verb: command.verb.clone(),
        args: told(&command.args),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::witness::{Rank, Signer};

    const DEVICE: &str = "LM-TEST-1";
    /// 2026-08-01T02:03:04Z.
    const NOW_MS: i64 = 1_785_549_784_000;
    const SHA: &str = "of the command";

    fn command() -> Command {
        let (v, kind) = Command::HEAD;
        Command {
            v,
            kind: kind.to_owned(),
            id: Uuid::from_u128(7),
            device: DEVICE.to_owned(),
            seq: 41,
            verb: "report".to_owned(),
            args: json!({}),
            not_after: "2026-08-01T02:05:04Z".to_owned(),
            nonce: None,
        }
    }

    fn commander(rank: Rank) -> Commander {
        let signer = Signer {
            subject: "CN=operator-1".to_owned(),
            issuer: String::new(),
            common_name: Some("operator-1".to_owned()),
            serial_number: None,
            organizational_unit: Some(rank.name().to_owned()),
            organization: None,
            certificate_sha256: String::new(),
            not_after: i64::MAX,
            signing_time: NOW_MS / 1000,
        };
        Commander { signer, rank }
    }

    fn standing() -> Standing<'static> {
        Standing {
            device: DEVICE,
            now_ms: NOW_MS,
            synced: true,
            nonces: ["present", "before"],
            known: None,
            seq: Some(40),
        }
    }

    /// What is changed in command and standing, and what the refusal says; empty: it is done.
    type Row = (fn(&mut Command), fn(&mut Standing<'_>), &'static str);

    #[test]
    fn what_becomes_of_a_command() {
        let table: [Row; 15] = [
            (|_| (), |_| (), ""),
            (|_| (), |s| s.seq = None, ""),
            (|_| (), |s| s.seq = Some(41), "number 41 was used already"),
            (|_| (), |s| s.seq = Some(99), "the last was 99"),
            (
                |c| c.not_after = "2026-08-01T02:03:04Z".to_owned(),
                |_| (),
                "it was good until",
            ),
            (
                |c| c.not_after = "2026-08-01T02:08:04Z".to_owned(),
                |_| (),
                "",
            ),
            (
                |c| c.not_after = "2026-08-01T02:08:05Z".to_owned(),
                |_| (),
                "more than 300 s ahead",
            ),
            (|c| c.nonce = Some("old".to_owned()), |_| (), ""),
            (|_| (), |s| s.synced = false, "does not quote the nonce"),
            (
                |c| c.nonce = Some("old".to_owned()),
                |s| s.synced = false,
                "does not quote the nonce",
            ),
            (
                |c| {
                    c.nonce = Some("present".to_owned());
                    c.not_after = "1970-01-01T00:00:00Z".to_owned();
                },
                |s| s.synced = false,
                "",
            ),
            (
                |c| c.nonce = Some("before".to_owned()),
                |s| s.synced = false,
                "",
            ),
            (
                |c| c.verb = "update".to_owned(),
                |_| (),
                "does not know the verb",
            ),
            (|c| c.args = json!({ "x": 1 }), |_| (), "do not fit report"),
            (
                |c| c.verb = "stop".to_owned(),
                |_| (),
                "needs a certificate for operate",
            ),
        ];
        for (change, other, words) in table {
            let (mut command, mut standing) = (command(), standing());
            change(&mut command);
            other(&mut standing);
            let decided = decide(&command, &commander(Rank::View), SHA, &standing);
            match decided {
                Decision::Carry(_) => assert_eq!(words, "", "{command:?}"),
                Decision::Refuse(_, why) => {
                    assert!(!words.is_empty() && why.contains(words), "{why}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_certificate_that_has_run_out_cannot_sign_in_the_past() {
        let mut old = commander(Rank::Admin);
        old.signer.signing_time -= 601;
        let decided = decide(&command(), &old, SHA, &standing());
        let refused = matches!(&decided, Decision::Refuse(Fate::Refused, why)
            if why.contains("not signed just now"));
        assert!(refused, "{decided:?}");
    }

    #[test]
    fn what_came_before_is_repeated_and_what_is_not_ours_ignored() {
        let known = |sha256: &str| Known {
            sha256: sha256.to_owned(),
            outcome: None,
        };
        let (same, other) = (known(SHA), known("other"));
        let after = |known| Standing {
            known: Some(known),
            seq: Some(41),
            now_ms: NOW_MS + 9_999_999,
            ..standing()
        };
        let admin = commander(Rank::Admin);
        let decided = |command: &Command, standing| decide(command, &admin, SHA, &standing);
        assert_eq!(decided(&command(), after(&same)), Decision::Repeat);
        let clash = decided(&command(), after(&other));
        assert!(matches!(clash, Decision::Ignore(_)), "{clash:?}");
        let mut elsewhere = command();
        elsewhere.device = "LM-TEST-2".to_owned();
        let ignored = decided(&elsewhere, after(&same));
        assert!(matches!(ignored, Decision::Ignore(_)), "{ignored:?}");
    }

    #[test]
    fn each_verb_asks_for_its_rank() {
        for (rank, verb, args, may) in [
            (Rank::View, "report", json!({}), true),
            (Rank::View, "stop", json!({}), false),
            (Rank::Operate, "stop", json!({}), true),
            (Rank::Operate, "say", json!({ "text": "x" }), false),
            (Rank::Operate, "config.set", json!({ "toml": "" }), false),
            (Rank::Admin, "config.set", json!({ "toml": "" }), true),
            (Rank::Admin, "say", json!({ "text": "x" }), true),
        ] {
            let mut command = command();
            (command.verb, command.args) = (verb.to_owned(), args);
            let decided = decide(&command, &commander(rank), SHA, &standing());
            let carried = matches!(decided, Decision::Carry(_));
            assert_eq!(carried, may, "{} {verb}", rank.name());
        }
    }
}

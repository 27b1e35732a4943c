//! Commands, their replies and verdicts on their way back: every way to tamper, and strangers'
//! bytes.

use lingmou::witness::{
    Command, CommandError, Fate, Form, Notice, NoticeError, Rank, Reply, Ruling, SignatureError,
};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;
use uuid::Uuid;

use super::*;

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
        not_after: "2026-08-01T02:08:04Z".to_owned(),
        nonce: None,
    }
}

fn notice(kit: &Kit) -> Notice {
    let (v, kind) = Notice::HEAD;
    Notice {
        v,
        kind: kind.to_owned(),
        id: Statement::parse(&kit.sealed.statement).unwrap().id,
        device: DEVICE.to_owned(),
        sig_sha256: kit.sealed.sig_sha256(),
        verdict: Ruling::Rejected,
        reason: "摊位在店内".to_owned(),
        at: "2026-08-02T09:00:00Z".to_owned(),
        reviewer: "reviewer-1".to_owned(),
    }
}

fn person(kit: &Kit, rank: usize) -> Identity {
    Identity::load(&kit.pki.operators[rank], "operator").unwrap()
}

#[test]
fn a_command_says_who_may_what() {
    let kit = Kit::new();
    for (place, rank) in [Rank::View, Rank::Operate, Rank::Admin]
        .into_iter()
        .enumerate()
    {
        let p7m = command().sign(&person(&kit, place), AT).unwrap();
        let (opened, commander) = Command::open(&p7m, &kit.roots).unwrap();
        assert_eq!(opened, command());
        assert_eq!(commander.rank, rank);
        assert_eq!(
            commander.signer.signing_time,
            i64::try_from(AT_SECS).unwrap()
        );
    }
    assert!(Rank::View < Rank::Operate && Rank::Operate < Rank::Admin);
}

#[test]
fn nobody_else_commands() {
    let kit = Kit::new();
    let bytes = serde_json::to_vec(&command()).unwrap();
    for (dir, name) in [
        (&kit.pki.device, "evidence"),
        (&kit.pki.receiver, "receiver"),
        (&kit.pki.reviewers[0], "reviewer"),
    ] {
        let identity = Identity::load(dir, name).unwrap();
        let p7m = identity.sign(&bytes, Form::Attached, AT).unwrap();
        let refused = Command::open(&p7m, &kit.roots);
        let purpose = matches!(
            refused,
            Err(CommandError::Signature(SignatureError::Purpose(_)))
        );
        assert!(purpose, "{name}: {refused:?}");
    }
    // The same words by somebody of another bureau.
    let other = Kit::new();
    let p7m = command().sign(&person(&other, 2), AT).unwrap();
    let refused = Command::open(&p7m, &kit.roots);
    let chain = matches!(
        refused,
        Err(CommandError::Signature(SignatureError::Chain(_)))
    );
    assert!(chain, "{refused:?}");
}

#[test]
fn what_is_no_command_is_refused_by_name() {
    let kit = Kit::new();
    let admin = person(&kit, 2);
    let table: [(&str, serde_json::Value, &str); 11] = [
        ("v", json!(2), "version 2"),
        ("type", json!("lingmou.receipt"), "lingmou.receipt"),
        ("device", json!(""), "device"),
        ("device", json!("x".repeat(65)), "device"),
        ("seq", json!(0), "seq"),
        ("seq", json!(1_u64 << 53), "seq"),
        ("seq", json!(-1), "invalid value"),
        ("verb", json!("v".repeat(65)), "verb"),
        ("not_after", json!("tomorrow"), "not_after"),
        ("nonce", json!(""), "nonce"),
        ("unless", json!("it rains"), "unknown field"),
    ];
    for (field, value, words) in table {
        let mut document = serde_json::to_value(command()).unwrap();
        document[field] = value;
        let bytes = serde_json::to_vec(&document).unwrap();
        let p7m = admin.sign(&bytes, Form::Attached, AT).unwrap();
        let error = Command::open(&p7m, &kit.roots).unwrap_err().to_string();
        assert!(error.contains(words), "{field}: {error}");
    }
    let mut large = command();
    large.args = json!({ "toml": "x".repeat(lingmou::witness::CONTENT_MAX) });
    let refused = large.sign(&admin, AT);
    assert_eq!(refused, Err(CommandError::TooLarge));
    let bytes = serde_json::to_vec(&large).unwrap();
    let p7m = admin.sign(&bytes, Form::Attached, AT).unwrap();
    assert!(Command::open(&p7m, &kit.roots).is_err());
}

#[test]
fn a_reply_is_the_box_own_and_names_what_it_answers() {
    let kit = Kit::new();
    let p7m = command().sign(&person(&kit, 0), AT).unwrap();
    let asked = (&*sha256_hex(&p7m), command().id);
    let reply = Reply::new(DEVICE, asked, Fate::Done, AT);
    let signed = reply.sign(&kit.evidence, AT).unwrap();
    let opened = Reply::open(&signed, &kit.roots, DEVICE).unwrap();
    assert_eq!(opened, reply);
    assert!(opened.answers(&p7m) && !opened.answers(&signed));

    let elsewhere = Reply::open(&signed, &kit.roots, "LC-POLE-0008").unwrap_err();
    assert!(
        matches!(elsewhere, CommandError::Device { .. }),
        "{elsewhere}"
    );
    let other = kit.pki.add_device("LC-POLE-0008").unwrap();
    let other = Identity::load(&other, "evidence").unwrap();
    let forged = reply.sign(&other, AT).unwrap();
    let refused = Reply::open(&forged, &kit.roots, DEVICE).unwrap_err();
    assert!(matches!(refused, CommandError::Device { .. }), "{refused}");
    let boss = reply.sign(&person(&kit, 2), AT).unwrap();
    let refused = Reply::open(&boss, &kit.roots, DEVICE).unwrap_err();
    assert!(matches!(refused, CommandError::Signature(_)), "{refused}");
}

#[test]
fn a_verdict_is_a_reviewers_own() {
    let kit = Kit::new();
    let [first, second] = kit.pki.reviewers.each_ref();
    let first = Identity::load(first, "reviewer").unwrap();
    let p7m = notice(&kit).sign(&first, AT).unwrap();
    let (opened, signer) = Notice::open(&p7m, &kit.roots).unwrap();
    assert_eq!(opened, notice(&kit));
    assert_eq!(signer.common_name.as_deref(), Some("reviewer-1"));

    let second = Identity::load(second, "reviewer").unwrap();
    let in_other_name = notice(&kit).sign(&second, AT).unwrap();
    let refused = Notice::open(&in_other_name, &kit.roots).unwrap_err();
    assert_eq!(refused, NoticeError::Field("reviewer"));
    let bytes = serde_json::to_vec(&notice(&kit)).unwrap();
    let boss = person(&kit, 2).sign(&bytes, Form::Attached, AT).unwrap();
    let refused = Notice::open(&boss, &kit.roots).unwrap_err();
    assert!(matches!(refused, NoticeError::Signature(_)), "{refused}");
    for (field, value) in [
        ("reason", json!("")),
        ("reason", json!("x".repeat(2001))),
        ("at", json!("yesterday")),
        ("verdict", json!("accept")),
        ("type", json!("lingmou.review")),
    ] {
        let mut document = serde_json::to_value(notice(&kit)).unwrap();
        document[field] = value;
        let bytes = serde_json::to_vec(&document).unwrap();
        let p7m = first.sign(&bytes, Form::Attached, AT).unwrap();
        assert!(Notice::open(&p7m, &kit.roots).is_err(), "{field}");
    }
}

#[test]
fn every_flipped_byte_of_a_command_is_found() {
    let kit = Kit::new();
    let p7m = command().sign(&person(&kit, 1), AT).unwrap();
    for place in 0..p7m.len() {
        let mut changed = p7m.clone();
        changed[place] ^= 0x01;
        assert!(Command::open(&changed, &kit.roots).is_err(), "byte {place}");
    }
}

#[test]
fn strangers_bytes_are_no_command_reply_or_verdict() {
    let kit = Kit::new();
    let config = ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let signed = command().sign(&person(&kit, 1), AT).unwrap();
    let garbage = proptest::collection::vec((any::<Index>(), any::<u8>()), 1..20);
    let bytes = proptest::collection::vec(any::<u8>(), 0..3000);
    proptest!(config, |(bytes in bytes, garbage in garbage, cut: Index)| {
        let mut changed = signed.clone();
        for (place, byte) in garbage {
            changed[place.index(signed.len())] = byte;
        }
        for bytes in [&bytes[..], &changed[..cut.index(changed.len())]] {
            prop_assert!(Command::open(bytes, &kit.roots).is_err());
            prop_assert!(Reply::open(bytes, &kit.roots, DEVICE).is_err());
            prop_assert!(Notice::open(bytes, &kit.roots).is_err());
        }
        if changed != signed {
            prop_assert!(Command::open(&changed, &kit.roots).is_err());
        }
    });
}

/// Whatever a person with a certificate signs, reading it ends in a command or an error.
#[test]
fn signed_nonsense_never_panics() {
    let kit = Kit::new();
    let admin = person(&kit, 2);
    let config = ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(text in r#"[\[\]{}:,"0-9a-z\\ ]{0,200}"#, seq: u64, verb in ".{0,80}")| {
        let mut document = command();
        document.seq = seq;
        document.verb = verb;
        for bytes in [text.into_bytes(), serde_json::to_vec(&document).unwrap()] {
            let p7m = admin.sign(&bytes, Form::Attached, AT).unwrap();
            if let Ok((opened, _)) = Command::open(&p7m, &kit.roots) {
                prop_assert_eq!(opened, document.clone());
            }
        }
    });
}

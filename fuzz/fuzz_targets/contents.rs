//! What somebody with a key may write: the first byte says which document, the rest is signed by who
//! signs such ones, and read. A key in the wrong hands must not stop the other side either.

#![no_main]

#[path = "common/mod.rs"]
#[allow(dead_code, reason = "each target uses its own part")]
mod common;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lingmou::clock;
use lingmou::command::Verb;
use lingmou::witness::{
    CheckId, Checkpoint, Command, Container, Form, Identity, JournalLines, Language, Manifest,
    ManifestEntry, Notice, Receipt, Reply, SIGNATURE, STATEMENT, SigReference, Statement, seal, verify,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use common::{Kit, seed, signed, with};

static KIT: LazyLock<Kit> = LazyLock::new(Kit::new);

const DEVICE: &str = "LC-POLE-0007";

fn seeds() {
    let (id, at) = ("0198f0a2-0000-7000-8000-000000000001", "2026-08-01T02:03:04Z");
    let sha256 = "5e".repeat(32);
    let documents = [
        json!({ "v": 1, "type": "lingmou.command", "id": id, "device": DEVICE, "seq": 1, "verb": "fetch",
                "args": { "package": id }, "not_after": at, "nonce": "0123456789abcdef" }),
        json!({ "v": 1, "type": "lingmou.verdict", "id": id, "device": DEVICE, "sig_sha256": sha256,
                "verdict": "rejected", "reason": "无证据", "at": at, "reviewer": "reviewer-1" }),
        json!({ "v": 1, "type": "lingmou.reply", "device": DEVICE, "to": sha256, "id": id,
                "outcome": "refused", "why": "late", "result": null, "at": at }),
        json!({ "v": 1, "type": "lingmou.receipt", "id": id, "device": DEVICE, "seq": 1,
                "sig_sha256": sha256, "verdict": "stored", "copies": 2,
                "head": { "n": 3, "hash": sha256 }, "at": at, "receiver": "evidence-receiver-1" }),
        json!({ "v": 1, "type": "lingmou.checkpoint", "device": DEVICE, "n": 812, "head": sha256,
                "at": at, "boot_id": id, "nv_counter": null }),
        json!({ "v": 1, "type": "lingmou.review", "id": id, "sig_sha256": sha256,
                "verdict": "accept", "reason": "seen", "reviewer": "reviewer-1", "at": at }),
    ];
    for (kind, document) in (0_u8..).zip(documents) {
        let text = document.to_string();
        seed("contents", &format!("document-{kind}"), &[&[kind], text.as_bytes()].concat());
    }
    let verbs = [
        ("report", json!({})),
        ("speak", json!({ "clip_sha256": sha256 })),
        ("say", json!({ "text": "请离开" })),
        ("config.set", json!({ "toml": "[device]\n" })),
        ("rule.restore", json!({ "rule": "spillage" })),
    ];
    for (verb, args) in verbs {
        let command = json!({ "v": 1, "type": "lingmou.command", "id": id, "device": DEVICE, "seq": 2,
                              "verb": verb, "args": args, "not_after": at });
        let text = command.to_string();
        seed("contents", verb, &[&[0], text.as_bytes()].concat());
    }
    let statement = KIT.package.get(STATEMENT).unwrap_or_default();
    seed("contents", "statement", &[&[6], statement].concat());
    let chain = KIT.package.get(lingmou::witness::CHAIN).unwrap_or_default();
    seed("contents", "lines", &[&[7], chain].concat());
}

/// `content` in the signature of `identity`.
fn by(identity: &Identity, content: &[u8]) -> Vec<u8> {
    signed(identity, content, Form::Attached)
}

/// A command is the verb that it says, and is written as it was read.
fn command(content: &[u8]) {
    let Ok((command, _)) = Command::open(&by(&KIT.admin, content), &KIT.roots) else { return };
    let again = serde_json::to_vec(&command).expect("it is plain data");
    let again = Command::open(&by(&KIT.admin, &again), &KIT.roots);
    assert_eq!(again.map(|(command, _)| command).ok().as_ref(), Some(&command));
    if let Ok(verb) = Verb::read(&command.verb, &command.args) {
        let (name, args) = verb.parts();
        assert_eq!(name, command.verb);
        let again: (String, Value) = Verb::read(&name, &args).expect("it can be read again").parts();
        assert_eq!(again, (name, args));
    }
}

/// The good package with this review of it, by a reviewer.
fn reviewed(document: &[u8]) -> Container {
    let entry = |name: &str, bytes: &[u8]| ManifestEntry {
        name: name.to_owned(),
        media_type: "application/octet-stream".to_owned(),
        sha256: Sha256::digest(bytes).into(),
    };
    let signature = KIT.package.get(SIGNATURE).unwrap_or_default();
    let name = "META-INF/review003.json";
    let manifest = Manifest {
        signature: SigReference::signature(3),
        entries: vec![entry(SIGNATURE, signature), entry(name, document)],
    };
    let manifest = manifest.to_xml().expect("a manifest");
    let signature = signed(&KIT.reviewer, &manifest, Form::Detached);
    let package = with(&KIT.package, name, document);
    let package = with(&package, "META-INF/ASiCManifest003.xml", &manifest);
    with(&package, "META-INF/signature003.p7s", &signature)
}

/// A package whose device stated this; its files are not there.
fn stated(content: &[u8]) -> Option<Container> {
    let statement = Statement::parse(content).ok()?;
    let sealed = seal(&statement, &KIT.device, clock::now()).ok()?;
    let mut package = Container::new();
    for (name, bytes) in sealed.parts() {
        package.insert(name, bytes.to_vec()).expect("a legal name");
    }
    Some(package)
}

/// Whatever is stated, both pages and the report can be written.
fn told(package: &Container) {
    let verdict = verify(package, &KIT.roots);
    assert!(verdict.check(CheckId::Signature).is_some());
    for language in [Language::Chinese, Language::English] {
        let _page = verdict.page(language);
        let _report = verdict.report(Some(package), language, clock::now());
    }
}

fuzz_target!(init: seeds(), |data: &[u8]| {
    let Some((kind, content)) = data.split_first() else { return };
    match kind % 8 {
        0 => command(content),
        1 => drop(Notice::open(&by(&KIT.reviewer, content), &KIT.roots)),
        2 => drop(Reply::open(&by(&KIT.device, content), &KIT.roots, DEVICE)),
        3 => {
            let p7m = by(&KIT.receiver, content);
            if let Ok((receipt, _)) = Receipt::open(&p7m, &KIT.roots) {
                told(&with(&KIT.package, lingmou::witness::RECEIPT, &p7m));
                assert_eq!(Receipt::read(&p7m).ok(), Some(receipt));
            }
        }
        4 => drop(Checkpoint::open(&by(&KIT.device, content), &KIT.roots)),
        5 => told(&reviewed(content)),
        6 => {
            if let Some(package) = stated(content) {
                told(&package);
            }
        }
        _ => drop(JournalLines::parse(content)),
    }
});

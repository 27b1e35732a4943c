//! One thing changed at a time: each is refused, and for the right reason.

use lingmou::pki::TestPki;
use lingmou::witness::{
    CheckId, Container, Form, Identity, MANIFEST, MIMETYPE, Manifest, RECEIPT, Receipt, Roots,
    SIGNATURE, Sealed, Status, seal, verify,
};
use lingmou::witness::{Language, ReceiptVerdict};
use tempfile::TempDir;

use super::{AT, DEVICE, Kit, assemble, case, files, openssl_sign, receipt, statement};

fn refused(what: &str, container: &Container, roots: &Roots, expected: CheckId) {
    let verdict = verify(container, roots);
    let page = verdict.page(Language::English);
    assert!(!verdict.valid(), "{what} was accepted\n{page}");
    let failed: Vec<_> = verdict.failed().collect();
    assert!(failed.contains(&expected), "{what}: {failed:?}\n{page}");
}

/// `bytes` with one bit in their middle flipped.
fn flipped(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}

#[test]
fn every_changed_or_missing_file_is_found() {
    let kit = Kit::new();
    for (name, content) in kit.package.files() {
        let (changed, missing) = match name {
            MIMETYPE => (CheckId::Container, CheckId::Container),
            MANIFEST => (CheckId::Signature, CheckId::Manifest),
            SIGNATURE => (CheckId::Signature, CheckId::Signature),
            RECEIPT => (CheckId::Receipt, CheckId::Receipt),
            _ => (CheckId::Files, CheckId::Files),
        };
        let change = kit.with(name, Some(&flipped(content)));
        refused(name, &change, &kit.roots, changed);
        refused(name, &kit.with(name, Some(b"")), &kit.roots, changed);
        if name != RECEIPT {
            refused(name, &kit.with(name, None), &kit.roots, missing);
        }
    }
}

#[test]
fn every_change_of_the_manifest_breaks_the_signature() {
    let kit = Kit::new();
    let manifest = Manifest::parse(&kit.sealed.manifest).unwrap();
    for index in 0..manifest.entries.len() {
        let mut digest = manifest.clone();
        digest.entries[index].sha256[31] ^= 1;
        let mut name = manifest.clone();
        name.entries[index].name = "frames/09-other.jpg".to_owned();
        let mut kind = manifest.clone();
        kind.entries[index].media_type = "text/plain".to_owned();
        let mut fewer = manifest.clone();
        fewer.entries.remove(index);
        for (what, changed) in [
            ("digest", digest),
            ("name", name),
            ("type", kind),
            ("less", fewer),
        ] {
            let container = kit.with(MANIFEST, Some(&changed.to_xml().unwrap()));
            refused(what, &container, &kit.roots, CheckId::Signature);
        }
    }
}

#[test]
fn additions_renames_and_swaps_are_found() {
    let kit = Kit::new();
    for name in ["frames/04-extra.jpg", "META-INF/anything.txt"] {
        let mut added = kit.package.clone();
        added.insert(name, vec![1]).unwrap();
        refused(name, &added, &kit.roots, CheckId::Nothing);
    }
    let clip = kit.package.get("clip.mp4").unwrap();
    let mut renamed = kit.with("clip.mp4", None);
    renamed.insert("clip2.mp4", clip.to_vec()).unwrap();
    refused("renamed", &renamed, &kit.roots, CheckId::Files);
    refused("renamed", &renamed, &kit.roots, CheckId::Nothing);
    let found = kit.package.get("frames/01-found.jpg").unwrap();
    let longer = kit.with("clip.mp4", Some(b"x"));
    let failed: Vec<_> = verify(&longer, &kit.roots).failed().collect();
    assert_eq!(failed, [CheckId::Files], "the statement is not to blame");
    let swapped = kit.with("frames/02-warned.jpg", Some(found));
    refused("swapped", &swapped, &kit.roots, CheckId::Files);
}

#[test]
fn later_additions_that_nothing_vouches_for_are_named() {
    let kit = Kit::new();
    let mut later = kit.package.clone();
    let names = ["receipt003.p7m", "checkpoint.p7m"];
    for name in names {
        later.insert(&format!("META-INF/{name}"), vec![1]).unwrap();
    }
    let verdict = verify(&later, &kit.roots);
    assert!(verdict.valid());
    let nothing = verdict.check(CheckId::Nothing).unwrap();
    assert_eq!(nothing.status, Status::Pass);
    assert_eq!(nothing.findings.len(), names.len(), "{nothing:?}");
}

/// The package signed anew, without its receipt.
fn signed_by(kit: &Kit, p7s: &[u8]) -> Container {
    assemble(&Sealed {
        signature: p7s.to_vec(),
        ..kit.sealed.clone()
    })
}

#[test]
fn another_signer_is_refused_for_the_right_reason() {
    let kit = Kit::new();
    let dir = TempDir::new().unwrap();
    let foreign = TestPki::create(dir.path(), DEVICE).unwrap();
    let foreign_roots = Roots::load(&foreign.root()).unwrap();
    refused("foreign root", &kit.package, &foreign_roots, CheckId::Chain);
    let thief = Identity::load(&foreign.device, "evidence").unwrap();
    let p7s = thief
        .sign(&kit.sealed.manifest, Form::Detached, AT)
        .unwrap();
    refused(
        "foreign signer",
        &signed_by(&kit, &p7s),
        &kit.roots,
        CheckId::Chain,
    );

    let p7s = openssl_sign(&kit.pki.device, "transport", &kit.sealed.manifest, "-cades");
    refused(
        "TLS certificate",
        &signed_by(&kit, &p7s),
        &kit.roots,
        CheckId::Purpose,
    );
    let p7s = kit
        .receiver
        .sign(&kit.sealed.manifest, Form::Detached, AT)
        .unwrap();
    refused(
        "receiver",
        &signed_by(&kit, &p7s),
        &kit.roots,
        CheckId::Purpose,
    );

    let other = kit.pki.add_device("LC-POLE-0008").unwrap();
    let other = Identity::load(&other, "evidence").unwrap();
    let p7s = other
        .sign(&kit.sealed.manifest, Form::Detached, AT)
        .unwrap();
    refused(
        "other device",
        &signed_by(&kit, &p7s),
        &kit.roots,
        CheckId::Device,
    );
    let in_anothers_name = seal(&statement(DEVICE), &other, AT);
    assert!(
        in_anothers_name.is_err(),
        "a device seals in its own name only"
    );

    let p7s = kit
        .evidence
        .sign(b"another manifest", Form::Detached, AT)
        .unwrap();
    refused(
        "another package",
        &signed_by(&kit, &p7s),
        &kit.roots,
        CheckId::Signature,
    );
    let p7s = kit
        .evidence
        .sign(&kit.sealed.manifest, Form::Attached, AT)
        .unwrap();
    refused(
        "attached",
        &signed_by(&kit, &p7s),
        &kit.roots,
        CheckId::Signature,
    );
}

#[test]
fn a_receipt_for_anything_else_is_refused() {
    let kit = Kit::new();
    let good = receipt(&kit.sealed);
    let change = |edit: fn(&mut Receipt)| {
        let mut receipt = good.clone();
        edit(&mut receipt);
        receipt.sign(&kit.receiver, AT).unwrap()
    };
    let table = [
        ("number", change(|r| r.seq += 1)),
        ("device", change(|r| r.device = "LC-POLE-0008".to_owned())),
        ("signature", change(|r| r.sig_sha256 = "00".repeat(32))),
        ("case", change(|r| r.id = case(2))),
        (
            "receiver",
            change(|r| r.receiver = "evidence-receiver-2".to_owned()),
        ),
        ("version", change(|r| r.v = 2)),
        ("kind", change(|r| r.kind = "lingmou.command".to_owned())),
        ("the device's own", good.sign(&kit.evidence, AT).unwrap()),
    ];
    for (what, p7m) in table {
        let container = kit.with(RECEIPT, Some(&p7m));
        refused(what, &container, &kit.roots, CheckId::Receipt);
    }
    let refusal = change(|r| r.verdict = ReceiptVerdict::Refused);
    let verdict = verify(&kit.with(RECEIPT, Some(&refusal)), &kit.roots);
    let check = verdict.check(CheckId::Receipt).unwrap();
    assert_eq!(check.status, Status::Unknown);
    assert!(
        verdict.valid(),
        "a refusal does not make the evidence false"
    );
}

#[test]
fn statement_and_manifest_must_list_the_same() {
    let kit = Kit::new();
    let full = Manifest::parse(&kit.sealed.manifest).unwrap();
    let mut short = statement(DEVICE);
    let dropped = short.files.pop().unwrap();
    let part = seal(&short, &kit.evidence, AT).unwrap();
    let mut mixed = Manifest::parse(&part.manifest).unwrap();
    mixed
        .entries
        .push(full.entry(&dropped.name).unwrap().clone());
    let manifest = mixed.to_xml().unwrap();
    let lying = Sealed {
        signature: kit.evidence.sign(&manifest, Form::Detached, AT).unwrap(),
        manifest,
        statement: part.statement,
    };
    refused(
        "unlisted",
        &assemble(&lying),
        &kit.roots,
        CheckId::Statement,
    );

    let mut wrong_size = statement(DEVICE);
    wrong_size.files[0].size += 1;
    let sealed = seal(&wrong_size, &kit.evidence, AT).unwrap();
    refused("size", &assemble(&sealed), &kit.roots, CheckId::Statement);
    assert_eq!(files().len(), wrong_size.files.len());
}

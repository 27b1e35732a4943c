//! What `lingmou verify` says of changes beyond those that both verifiers are asked about (`both.rs`).

use lingmou::pki::TestPki;
use lingmou::witness::{
    CheckId, Container, Form, Identity, Language, MANIFEST, Manifest, RECEIPT, ReceiptVerdict,
    Roots, Sealed, Status, seal, verify,
};
use tempfile::TempDir;

use super::{AT, DEVICE, Kit, assemble, files, receipt, statement};

fn refused(what: &str, container: &Container, roots: &Roots, expected: CheckId) {
    let verdict = verify(container, roots);
    let page = verdict.page(Language::English);
    assert!(!verdict.valid(), "{what} was accepted\n{page}");
    let failed: Vec<_> = verdict.failed().collect();
    assert!(failed.contains(&expected), "{what}: {failed:?}\n{page}");
}

#[test]
fn a_name_or_type_changed_in_the_manifest_breaks_the_signature() {
    let kit = Kit::new();
    let manifest = Manifest::parse(&kit.sealed.manifest).unwrap();
    for index in 0..manifest.entries.len() {
        let mut name = manifest.clone();
        name.entries[index].name = "frames/09-other.jpg".to_owned();
        let mut kind = manifest.clone();
        kind.entries[index].media_type = "text/plain".to_owned();
        for (what, changed) in [("name", name), ("type", kind)] {
            let container = kit.with(MANIFEST, Some(&changed.to_xml().unwrap()));
            refused(what, &container, &kit.roots, CheckId::Signature);
        }
    }
}

#[test]
fn a_renamed_file_is_one_too_few_and_one_too_many() {
    let kit = Kit::new();
    let clip = kit.package.get("clip.mp4").unwrap();
    let mut renamed = kit.with("clip.mp4", None);
    renamed.insert("clip2.mp4", clip.to_vec()).unwrap();
    refused("renamed", &renamed, &kit.roots, CheckId::Files);
    refused("renamed", &renamed, &kit.roots, CheckId::Nothing);
    let longer = kit.with("clip.mp4", Some(b"x"));
    let failed: Vec<_> = verify(&longer, &kit.roots).failed().collect();
    assert_eq!(failed, [CheckId::Files], "the statement is not to blame");
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

#[test]
fn nobody_vouches_for_another_bureau_s_device_or_seals_in_another_s_name() {
    let kit = Kit::new();
    let dir = TempDir::new().unwrap();
    let foreign = TestPki::create(dir.path(), DEVICE).unwrap();
    let foreign_roots = Roots::load(&foreign.root()).unwrap();
    refused("foreign root", &kit.package, &foreign_roots, CheckId::Chain);
    let other = kit.pki.add_device("LC-POLE-0008").unwrap();
    let other = Identity::load(&other, "evidence").unwrap();
    assert!(seal(&statement(DEVICE), &other, AT).is_err());
}

#[test]
fn a_refusal_does_not_make_the_evidence_false() {
    let kit = Kit::new();
    let mut refusal = receipt(&kit.sealed);
    refusal.verdict = ReceiptVerdict::Refused;
    let refusal = refusal.sign(&kit.receiver, AT).unwrap();
    let verdict = verify(&kit.with(RECEIPT, Some(&refusal)), &kit.roots);
    let check = verdict.check(CheckId::Receipt).unwrap();
    assert_eq!(check.status, Status::Unknown);
    assert!(verdict.valid());
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

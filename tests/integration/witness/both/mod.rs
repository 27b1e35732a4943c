//! One thing changed at a time in a package that has everything: refused for the right reason by
//! `lingmou verify` and by `docs/verify.sh` alike. The untouched one is valid by both.

mod files;
mod manifests;
mod pruned;
mod receipts;
mod reviews;
mod signatures;
mod statements;

use lingmou::witness::{
    CHAIN, CheckId, Container, Form, Grade, Identity, LATER_RECEIPT, Language, MANIFEST, MIMETYPE,
    Manifest, RECEIPT, Receipt, ReviewVerdict, SIGNATURE, STATEMENT, Sealed, SigReference,
    Statement, seal, verify,
};

use super::{
    AT, DEVICE, Kit, MANIFEST_2, STAMP, add_review, assemble, case, covered, files, openssl_sign,
    put, receipt, said_by, statement, succeed, verify_sh,
};

const MANIFEST_4: &str = "META-INF/ASiCManifest004.xml";
const REVIEW_3: &str = "META-INF/review003.json";

/// The line with which the script refuses what `check` refuses.
fn line(check: CheckId) -> &'static str {
    match check {
        CheckId::Container => "FAIL  container",
        CheckId::Manifest | CheckId::Signature | CheckId::Chain | CheckId::Purpose => {
            "FAIL  device's signature"
        }
        CheckId::Files => "FAIL  every listed file",
        CheckId::Nothing => "FAIL  no file outside",
        CheckId::Statement | CheckId::Grade => "FAIL  statement agrees",
        CheckId::Device => "FAIL  statement is by the device",
        CheckId::Receipt => "FAIL  receipt",
        CheckId::Journal => "FAIL  journal",
        CheckId::Stamp => {
            "FAIL  META-INF/ASiCManifest002.xml|FAIL    time-stamp|FAIL  no file outside"
        }
        CheckId::Review => "FAIL  META-INF/ASiCManifest00|FAIL    review|FAIL  no file outside",
        CheckId::Time => "informs only",
    }
}

/// Both verifiers refuse `package`, each naming `expected`.
pub(super) fn refused(what: &str, kit: &Kit, package: &Container, expected: CheckId) {
    let verdict = verify(package, &kit.roots);
    let page = verdict.page(Language::English);
    assert!(!verdict.valid(), "{what} was accepted\n{page}");
    let failed: Vec<_> = verdict.failed().collect();
    assert!(failed.contains(&expected), "{what}: {failed:?}\n{page}");
    let (code, said) = kit.script(package);
    assert_eq!(code, Some(1), "{what}: the script says\n{said}");
    let named = line(expected).split('|').any(|part| said.contains(part));
    assert!(named, "{what}: {expected:?}: the script says\n{said}");
}

pub(super) fn accepted(what: &str, kit: &Kit, package: &Container) {
    let verdict = verify(package, &kit.roots);
    assert!(
        verdict.valid(),
        "{what}\n{}",
        verdict.page(Language::English)
    );
    let (code, said) = kit.script(package);
    assert_eq!(code, Some(0), "{what}: the script says\n{said}");
}

/// `package` with one file replaced, or removed when `bytes` is `None`.
pub(super) fn with(package: &Container, name: &str, bytes: Option<&[u8]>) -> Container {
    let mut changed = Container::new();
    for (other, content) in package.files().filter(|(other, _)| *other != name) {
        changed.insert(other, content.to_vec()).unwrap();
    }
    if let Some(bytes) = bytes {
        changed.insert(name, bytes.to_vec()).unwrap();
    }
    changed
}

/// Which check must refuse a change of file `name`; `gone` when it is missing.
fn guard(name: &str, gone: bool) -> CheckId {
    match name {
        MIMETYPE => CheckId::Container,
        MANIFEST if gone => CheckId::Manifest,
        MANIFEST | SIGNATURE => CheckId::Signature,
        RECEIPT | CHAIN if gone => CheckId::Stamp,
        // Who reviewed has signed that it was there.
        STAMP if gone => CheckId::Review,
        RECEIPT => CheckId::Receipt,
        CHAIN => CheckId::Journal,
        MANIFEST_2 | STAMP => CheckId::Stamp,
        name if name.starts_with("META-INF/") => CheckId::Review,
        _ => CheckId::Files,
    }
}

/// `bytes` with one bit in their middle flipped.
pub(super) fn flipped(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}

/// The sealed package with another signature.
pub(super) fn signed_by(kit: &Kit, p7s: &[u8]) -> Container {
    assemble(&Sealed {
        signature: p7s.to_vec(),
        ..kit.sealed.clone()
    })
}

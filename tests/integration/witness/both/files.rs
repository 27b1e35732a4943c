//! Whole files changed, emptied, removed, added, or taken from another package.

use lingmou::witness::{LatestBy, Status};

use super::*;

fn each_file(change: fn(&[u8]) -> Option<Vec<u8>>) {
    let kit = Kit::new();
    let full = kit.full();
    for (name, content) in full.files() {
        let changed = change(content);
        let package = with(&full, name, changed.as_deref());
        refused(name, &kit, &package, guard(name, changed.is_none()));
    }
}

#[test]
fn a_flipped_bit_in_any_file() {
    each_file(|bytes| Some(flipped(bytes)));
}

#[test]
fn any_file_emptied() {
    each_file(|_| Some(Vec::new()));
}

#[test]
fn any_file_removed() {
    each_file(|_| None);
}

#[test]
fn the_untouched_package_and_each_stage_before_it() {
    let kit = Kit::new();
    accepted("sealed", &kit, &assemble(&kit.sealed));
    accepted("receipted", &kit, &kit.package);
    let mut reviewed = kit.package.clone();
    add_review(&mut reviewed, &kit.pki.reviewers[0], ReviewVerdict::Reject);
    accepted("rejected, which is another question", &kit, &reviewed);
    let full = kit.full();
    accepted("full", &kit, &full);
    let verdict = verify(&full, &kit.roots);
    let unknown = verdict.checks.iter().filter(|c| c.status != Status::Pass);
    let unknown: Vec<_> = unknown.map(|c| c.id).collect();
    assert_eq!(unknown, [CheckId::Grade], "it states none");
    put(kit.dir.path(), "full.asice", &full.to_zip());
    let (code, said) = verify_sh(&kit.dir.path().join("full.asice"), &kit.pki.root());
    assert_eq!(code, Some(0), "{said}");
    for part in ["time-stamp", "journal unbroken", "accept by reviewer-2"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

/// A receipted package with its journal and a time-stamp, and no review.
fn stamped(kit: &Kit) -> Container {
    let mut stamped = kit.package.clone();
    for (name, bytes) in kit.full().files() {
        if [RECEIPT, CHAIN, MANIFEST_2, STAMP].contains(&name) {
            stamped = with(&stamped, name, Some(bytes));
        }
    }
    stamped
}

/// Nobody has signed how a token is written, and openssl does not ask.
#[test]
fn a_time_stamp_with_more_to_it() {
    let kit = Kit::new();
    let stamped = stamped(&kit);
    let token = stamped.get(STAMP).unwrap();
    let [high, low] = u16::try_from(token.len() - 4).unwrap().to_be_bytes();
    // Its version is 3, because its content is no plain data.
    let at = token.windows(3).position(|w| w == [2, 1, 3]).unwrap();
    let mut version = token.to_vec();
    version[at + 2] = 1;
    for (what, token) in [
        ("a byte behind", [token, b"\n"].concat()),
        ("twice", token.repeat(2)),
        (
            "a longer length",
            [&[0x30, 0x83, 0, high, low], &token[4..]].concat(),
        ),
        ("version 1", version),
    ] {
        let package = with(&stamped, STAMP, Some(&token));
        refused(what, &kit, &package, CheckId::Stamp);
    }
}

/// Before a review nobody has signed that there was a stamp. Without its token it is one that has
/// not come yet, and the package claims no more than without.
#[test]
fn a_stamp_taken_out_before_any_review_only_leaves_the_time_less_bounded() {
    let kit = Kit::new();
    let stamped = stamped(&kit);
    accepted("stamped", &kit, &stamped);
    assert!(verify(&stamped, &kit.roots).stamp.is_some());
    let without = with(&stamped, STAMP, None);
    accepted("without", &kit, &without);
    let verdict = verify(&without, &kit.roots);
    assert_eq!(verdict.stamp, None);
    let check = verdict.check(CheckId::Stamp).unwrap();
    assert_eq!(check.status, Status::Unknown);
    let by = verdict.bounds.latest.map(|latest| latest.by);
    assert_eq!(by, Some(LatestBy::Receipt));
}

#[test]
fn files_added_or_swapped_within_the_package() {
    let kit = Kit::new();
    let full = kit.full();
    for name in [
        "frames/04-extra.jpg",
        "META-INF/anything.txt",
        "META-INF/receipt000.p7m",
        "verify.sh",
    ] {
        let mut added = full.clone();
        added.insert(name, vec![1]).unwrap();
        refused(name, &kit, &added, CheckId::Nothing);
    }
    for name in ["META-INF/review009.json", "META-INF/signature009.p7s"] {
        let mut added = full.clone();
        added.insert(name, vec![1]).unwrap();
        refused(name, &kit, &added, CheckId::Review);
    }
    // Nor does it help to have the foreign file listed, stamped or reviewed.
    let mut listed = kit.package.clone();
    listed.insert("frames/04-extra.jpg", vec![1]).unwrap();
    let manifest = Manifest {
        signature: SigReference::time_stamp(1),
        entries: [SIGNATURE, "frames/04-extra.jpg"]
            .map(|name| covered(&listed, name))
            .to_vec(),
    };
    let manifest = manifest.to_xml().unwrap();
    let mut stamped = with(&listed, MANIFEST_2, Some(&manifest));
    refused("listed, stamp awaited", &kit, &stamped, CheckId::Nothing);
    stamped.insert(STAMP, kit.stamp(&manifest)).unwrap();
    refused("listed and stamped", &kit, &stamped, CheckId::Nothing);
    let found = full.get("frames/01-found.jpg").unwrap();
    let swapped = with(&full, "frames/02-warned.jpg", Some(found));
    refused("picture for picture", &kit, &swapped, CheckId::Files);
    let review = full.get("META-INF/review004.json").unwrap();
    let swapped = with(&full, REVIEW_3, Some(review));
    refused("review for review", &kit, &swapped, CheckId::Review);
}

/// Another package of the same device, receipted.
fn another(kit: &Kit) -> Container {
    let mut other = statement(DEVICE);
    (other.id, other.seq) = (case(2), 124);
    let sealed = seal(&other, &kit.evidence, AT).unwrap();
    let mut receipt = receipt(&sealed);
    (receipt.id, receipt.seq) = (case(2), 124);
    let mut package = assemble(&sealed);
    let p7m = receipt.sign(&kit.receiver, AT).unwrap();
    package.insert(RECEIPT, p7m).unwrap();
    package
}

#[test]
fn parts_of_another_package() {
    let kit = Kit::new();
    let full = kit.full();
    let other = another(&kit);
    for (name, expected) in [
        (STATEMENT, CheckId::Files),
        (MANIFEST, CheckId::Signature),
        (SIGNATURE, CheckId::Signature),
        (RECEIPT, CheckId::Receipt),
    ] {
        let theirs = other.get(name).unwrap();
        refused(name, &kit, &with(&full, name, Some(theirs)), expected);
    }
    // A whole head in another's place: everything that came later names the first.
    let mut moved = full.clone();
    for name in [STATEMENT, MANIFEST, SIGNATURE] {
        moved = with(&moved, name, other.get(name));
    }
    refused("head", &kit, &moved, CheckId::Receipt);
    refused("head", &kit, &moved, CheckId::Journal);
    refused("head", &kit, &moved, CheckId::Review);
    let stamp = kit.stamp(b"another manifest");
    refused(
        "stamp",
        &kit,
        &with(&full, STAMP, Some(&stamp)),
        CheckId::Stamp,
    );
}

/// What says ASiC-E and something beside it.
#[test]
fn a_mimetype_with_more_to_it() {
    let kit = Kit::new();
    let said = kit.package.get(MIMETYPE).unwrap();
    let parts = said.split_at(15);
    for (what, more) in [
        ("white space", [said, b" \n"].concat()),
        (
            "bytes that text loses",
            [parts.0, b"\0\0", parts.1].concat(),
        ),
    ] {
        let package = with(&kit.package, MIMETYPE, Some(&more));
        refused(what, &kit, &package, CheckId::Container);
    }
}

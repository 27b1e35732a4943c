//! One thing changed at a time in a package that has everything: refused for the right reason by
//! `lingmou verify` and by `docs/verify.sh` alike. The untouched one is valid by both.

use std::path::Path;
use std::process::Command;

use const_oid::db::rfc5912;
use der::{Any, Tag};

use lingmou::pki::{TestPki, TestPkiPlan};
use lingmou::witness::{
    Asked, CHAIN, CheckId, Condition, Container, Form, Grade, Grading, Identity, LATER_RECEIPT,
    Language, LatestBy, MANIFEST, MIMETYPE, Manifest, Model, RECEIPT, Receipt, ReceiptVerdict,
    ReviewVerdict, Roots, SIGNATURE, STATEMENT, Sealed, SigReference, Statement, Status, seal,
    sha256_hex, verify,
};
use tempfile::TempDir;

use super::sm2::reshaped;
use super::{
    AT, AT_SECS, DAY_SECS, DEVICE, Kit, MANIFEST_2, STAMP, add_review, assemble, case, covered,
    files, issue, journal_lines, make_key, openssl_sign, put, put_all, receipt, said_by, statement,
    succeed, verify_sh, verifying,
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

/// `bytes` with one bit in their middle flipped.
pub(super) fn flipped(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
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

/// Before a review nobody has signed that there was a stamp. Without its token it is one that has
/// not come yet, and the package claims no more than without.
#[test]
fn a_stamp_taken_out_before_any_review_only_leaves_the_time_less_bounded() {
    let kit = Kit::new();
    let mut stamped = kit.package.clone();
    for (name, bytes) in kit.full().files() {
        if [RECEIPT, CHAIN, MANIFEST_2, STAMP].contains(&name) {
            stamped = with(&stamped, name, Some(bytes));
        }
    }
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
fn any_entry_of_any_manifest() {
    let kit = Kit::new();
    let full = kit.full();
    for (name, expected) in [
        (MANIFEST, CheckId::Signature),
        (MANIFEST_2, CheckId::Stamp),
        (MANIFEST_4, CheckId::Review),
    ] {
        let manifest = Manifest::parse(full.get(name).unwrap()).unwrap();
        for index in 0..manifest.entries.len() {
            let mut digest = manifest.clone();
            digest.entries[index].sha256[31] ^= 1;
            let mut fewer = manifest.clone();
            fewer.entries.remove(index);
            for (what, changed) in [("digest", digest), ("less", fewer)] {
                let what = format!("{name} entry {index}: {what}");
                let package = with(&full, name, Some(&changed.to_xml().unwrap()));
                refused(&what, &kit, &package, expected);
            }
        }
    }
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

#[test]
fn a_manifest_that_names_two_signatures_covers_nothing() {
    let kit = Kit::new();
    let mut full = kit.full();
    let manifest = Manifest {
        signature: SigReference::time_stamp(5),
        entries: vec![covered(&full, SIGNATURE)],
    };
    let manifest = String::from_utf8(manifest.to_xml().unwrap()).unwrap();
    let forged = "<asic:SigReference URI=\"frames/99-forged.jpg\" MimeType=\"x/y\"/>";
    let (before, after) = manifest.split_once("<asic:SigReference").unwrap();
    let manifest = format!("{before}{forged}<asic:SigReference{after}");
    full.insert("frames/99-forged.jpg", vec![1]).unwrap();
    full.insert("META-INF/ASiCManifest005.xml", manifest.into_bytes())
        .unwrap();
    refused("two signatures", &kit, &full, CheckId::Nothing);
}

#[test]
fn a_line_without_its_end_is_a_line_of_the_journal_too() {
    let kit = Kit::new();
    // No stamp covers it yet.
    let mut chain = kit.full().get(CHAIN).unwrap().to_vec();
    accepted("as it is", &kit, &with(&kit.package, CHAIN, Some(&chain)));
    chain.extend(b"{\"n\":99,\"kind\":\"clock.corrected\"}");
    let longer = with(&kit.package, CHAIN, Some(&chain));
    refused("one line more", &kit, &longer, CheckId::Journal);
}

/// `receiver test` with the name `x` is not `receiver` with the name `test x`.
#[test]
fn a_role_is_told_from_a_name_that_goes_on_like_it() {
    let kit = Kit::new();
    let dir = kit.folder("trainee");
    for kind in ["crt", "key"] {
        std::fs::copy(
            kit.root.with_extension(kind),
            dir.join(format!("ca.{kind}")),
        )
        .unwrap();
    }
    make_key(&dir, "EC P-256", "ee.key");
    put(&dir, "receipt.p7m", kit.package.get(RECEIPT).unwrap());
    let read = "openssl cms -verify -noverify -inform DER -in receipt.p7m -out receipt.json";
    succeed(&dir, read);
    let receipt = std::fs::read_to_string(dir.join("receipt.json")).unwrap();
    for (subject, told, is_receiver) in [
        ("/OU=receiver test/CN=x", "test x", false),
        ("/OU=receiver/CN=test x", "test x", true),
        (
            r#"/OU=receiver/CN=Room 2, "x" \\ {y}"#,
            r#"Room 2, \"x\" \\ {y}"#,
            true,
        ),
        ("/OU=receiver/CN=Room 2, x", "Room 2", false),
        ("/OU=receiver/CN=Room 2 \\+ x", "Room 2 + x", true),
        ("/OU=receiver+CN=test x", "test x", false),
    ] {
        let receipt = receipt.replace("evidence-receiver-1", told);
        let ask = "req -new -key ee.key -out ee.csr -addext extendedKeyUsage=1.3.6.1.5.5.7.3.36";
        let mut openssl = Command::new("openssl");
        openssl
            .args(ask.split(' '))
            .args(["-multivalue-rdn", "-subj", subject]);
        let (code, said) = said_by(openssl.current_dir(&dir));
        assert_eq!(code, Some(0), "{said}");
        issue(&dir, "ca", "ee");
        let p7m = openssl_sign(&dir, "ee", receipt.as_bytes(), "-cades -nodetach");
        let package = with(&kit.package, RECEIPT, Some(&p7m));
        if is_receiver {
            accepted(subject, &kit, &package);
        } else {
            refused(subject, &kit, &package, CheckId::Receipt);
        }
    }
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

#[test]
fn journal_lines_missing_changed_or_of_another_package() {
    let kit = Kit::new();
    let full = kit.full();
    let lines = journal_lines(&kit.sealed.sig_sha256());
    let (first, second) = lines.split_once('\n').unwrap();
    for (what, chain) in [
        ("gap", second.to_owned()),
        ("cut", format!("{first}\n")),
        ("changed", lines.replace("02:04:00", "02:04:01")),
        ("other package", journal_lines(&"ab".repeat(32))),
        ("reordered", format!("{second}{first}\n")),
        ("doubled", format!("{first}\n{lines}")),
    ] {
        let package = with(&full, CHAIN, Some(chain.as_bytes()));
        refused(what, &kit, &package, CheckId::Journal);
    }
}

/// The sealed package with another signature.
pub(super) fn signed_by(kit: &Kit, p7s: &[u8]) -> Container {
    assemble(&Sealed {
        signature: p7s.to_vec(),
        ..kit.sealed.clone()
    })
}

#[test]
fn somebody_else_s_signature() {
    let kit = Kit::new();
    let manifest = &kit.sealed.manifest;
    let dir = TempDir::new().unwrap();
    let foreign = TestPki::create(dir.path(), DEVICE).unwrap();
    let sign = |dir: &std::path::Path, name| {
        let identity = Identity::load(dir, name).unwrap();
        identity.sign(manifest, Form::Detached, AT).unwrap()
    };
    let other_device = kit.pki.add_device("LC-POLE-0008").unwrap();
    let tls = openssl_sign(&kit.pki.device, "transport", manifest, "-cades");
    let attached = kit.evidence.sign(manifest, Form::Attached, AT).unwrap();
    for (what, p7s, expected) in [
        (
            "foreign root",
            sign(&foreign.device, "evidence"),
            CheckId::Chain,
        ),
        ("TLS certificate", tls, CheckId::Purpose),
        (
            "other device",
            sign(&other_device, "evidence"),
            CheckId::Device,
        ),
        ("content inside", attached, CheckId::Signature),
    ] {
        refused(what, &kit, &signed_by(&kit, &p7s), expected);
    }
    // A receiver's certificate is for documents, but names no device.
    let p7s = sign(&kit.pki.receiver, "receiver");
    let verdict = verify(&signed_by(&kit, &p7s), &kit.roots);
    assert_eq!(verdict.failed().next(), Some(CheckId::Purpose));
    assert_eq!(kit.script(&signed_by(&kit, &p7s)).0, Some(1));
    let by_device = receipt(&kit.sealed).sign(&kit.evidence, AT).unwrap();
    let package = kit.with(RECEIPT, Some(&by_device));
    refused("the device's own receipt", &kit, &package, CheckId::Receipt);
}

#[test]
fn a_receipt_for_anything_else() {
    let kit = Kit::new();
    let change = |edit: fn(&mut Receipt)| {
        let mut receipt = receipt(&kit.sealed);
        edit(&mut receipt);
        receipt.sign(&kit.receiver, AT).unwrap()
    };
    for (what, p7m) in [
        ("a number left out", change(|r| r.seq += 1)),
        ("device", change(|r| r.device = "LC-POLE-0008".to_owned())),
        ("signature", change(|r| r.sig_sha256 = "00".repeat(32))),
        ("case", change(|r| r.id = case(2))),
        (
            "receiver",
            change(|r| r.receiver = "evidence-receiver-2".to_owned()),
        ),
        ("version", change(|r| r.v = 2)),
        ("kind", change(|r| r.kind = "lingmou.command".to_owned())),
    ] {
        let package = kit.with(RECEIPT, Some(&p7m));
        refused(what, &kit, &package, CheckId::Receipt);
    }
}

/// The later receipt is opened whether or not the first is there.
#[test]
fn a_later_receipt_alone_must_be_one() {
    let kit = Kit::new();
    let sealed = assemble(&kit.sealed);
    let later = |p7m: &[u8]| with(&sealed, LATER_RECEIPT, Some(p7m));
    refused("garbage", &kit, &later(b"x"), CheckId::Receipt);
    let mut other = receipt(&kit.sealed);
    other.seq += 1;
    let other = other.sign(&kit.receiver, AT).unwrap();
    refused("another's", &kit, &later(&other), CheckId::Receipt);
    let good = receipt(&kit.sealed).sign(&kit.receiver, AT).unwrap();
    accepted("a good one", &kit, &later(&good));
    let verdict = verify(&later(&good), &kit.roots);
    assert_eq!(verdict.check(CheckId::Nothing).unwrap().findings, []);
}

/// openssl prints a signature as text, and what nobody signed in it can look like anything.
#[test]
fn what_nobody_signed_in_a_signature_tells_nobody_anything() {
    let kit = Kit::new();
    let genuine = &kit.sealed.signature;
    let text = "\n    signerInfos:\n : signingTime\n UTCTIME:Aug  1 00:00:00 2026 GMT\n \
                unsignedAttrs:\n <ABSENT>\n crls:\n <ABSENT>\n";
    let text = || Some(Any::new(Tag::Utf8String, text.as_bytes()).unwrap());
    let of_digest = reshaped(genuine, |data, signer| {
        signer.digest_alg.parameters = text();
        let told = Any::encode_from(&signer.digest_alg).unwrap();
        data.digest_algorithms = vec![told].try_into().unwrap();
    });
    let of_value = reshaped(genuine, |_, signer| {
        signer.signature_algorithm.parameters = text();
    });
    let of_another = reshaped(genuine, |_, signer| {
        signer.signature_algorithm.oid = rfc5912::ECDSA_WITH_SHA_384;
    });
    // The outermost length in one byte more than it takes: BER, and no DER.
    let length = genuine.len() - 4;
    let [high, low] = u16::try_from(length).unwrap().to_be_bytes();
    let ber = [&[0x30, 0x83, 0, high, low], &genuine[4..]].concat();
    for (what, p7s) in [
        ("the digest's parameters", of_digest),
        ("the signature's parameters", of_value),
        ("another digest named with the key", of_another),
        ("twice", genuine.repeat(2)),
        ("a byte behind", [genuine.as_slice(), b"\n"].concat()),
        ("a longer length", ber),
    ] {
        refused(what, &kit, &signed_by(&kit, &p7s), CheckId::Signature);
    }
}

/// A manifest that only looks like one to whoever searches it for words.
#[test]
fn a_manifest_that_is_no_xml() {
    let kit = Kit::new();
    let listed = covered(&kit.package, SIGNATURE);
    let xml = Manifest {
        signature: SigReference::time_stamp(9),
        entries: vec![listed],
    };
    let xml = String::from_utf8(xml.to_xml().unwrap()).unwrap();
    let name = "META-INF/ASiCManifest005.xml";
    accepted(
        "one that awaits its stamp",
        &kit,
        &with(&kit.package, name, Some(xml.as_bytes())),
    );
    for (what, changed) in [
        ("words before", format!("it was another stall {xml}")),
        (
            "words within",
            xml.replace("<asic:DataObj", "another stall <asic:DataObj"),
        ),
        (
            "a second name",
            xml.replace("MimeType=\"app", "URI=\"clip.mp4\" MimeType=\"app"),
        ),
        ("cut off", xml.replace("</asic:ASiCManifest>", "")),
        (
            "a byte that no text has",
            xml.replace("</asic:A", "</asic\0:A"),
        ),
        (
            "another prefix",
            xml.replace("asic:", "a:").replace(":asic=", ":a="),
        ),
        ("stamp 000", xml.replace("timestamp009", "timestamp000")),
        (
            "a stamp of no type",
            xml.replace("application/vnd.etsi.timestamp-token", ""),
        ),
        (
            "words for a type",
            xml.replace("application/octet-stream", "see: the other stall"),
        ),
    ] {
        assert_ne!(changed, xml, "{what}");
        let package = with(&kit.package, name, Some(changed.as_bytes()));
        let verdict = verify(&package, &kit.roots);
        assert!(
            !verdict.valid(),
            "{what}\n{}",
            verdict.page(Language::English)
        );
        let (code, said) = kit.script(&package);
        assert_eq!(code, Some(1), "{what}: {said}");
    }
}

/// Without a receipt nobody has signed where the journal goes on to.
#[test]
fn journal_lines_without_a_receipt_are_told_as_such() {
    let kit = Kit::new();
    let lines = journal_lines(&kit.sealed.sig_sha256());
    let package = with(&assemble(&kit.sealed), CHAIN, Some(lines.as_bytes()));
    accepted("lines", &kit, &package);
    let (_, said) = kit.script(&package);
    assert!(said.contains("nobody has signed its end"), "{said}");
    let (begin, rest) = lines.split_once("\"at\"").unwrap();
    let elsewhere = lines.replacen("\"n\":3", "\"n\":2", 1);
    for (what, lines) in [
        (
            "words that look like a line",
            format!("{begin}no line \"at\"{rest}"),
        ),
        (
            "lines from elsewhere",
            elsewhere.lines().next().unwrap().to_owned() + "\n",
        ),
        ("its last newline is gone", lines.trim_end().to_owned()),
        (
            "a byte that no text has",
            lines.replacen("\"at\"", "\"at\0\"", 1),
        ),
    ] {
        let package = with(&package, CHAIN, Some(lines.as_bytes()));
        refused(what, &kit, &package, CheckId::Journal);
    }
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

/// A package with the review `document`, signed by whoever has `keys`.
fn reviewed(kit: &Kit, document: &str) -> Container {
    let identity = Identity::load(&kit.pki.reviewers[0], "reviewer").unwrap();
    let mut package = with(&kit.package, REVIEW_3, Some(document.as_bytes()));
    let manifest = Manifest {
        signature: SigReference::signature(3),
        entries: [SIGNATURE, REVIEW_3]
            .map(|name| covered(&package, name))
            .to_vec(),
    };
    let manifest = manifest.to_xml().unwrap();
    let signature = identity.sign(&manifest, Form::Detached, AT).unwrap();
    package
        .insert("META-INF/ASiCManifest003.xml", manifest)
        .unwrap();
    package
        .insert("META-INF/signature003.p7s", signature)
        .unwrap();
    package
}

/// Other people's tools write reviews too: both verifiers read the same in each, or refuse it.
#[test]
fn reviews_that_other_tools_write() {
    let kit = Kit::new();
    let sig = kit.sealed.sig_sha256();
    let good = format!(
        "{{\"v\":1,\"type\":\"lingmou.review\",\"id\":\"{}\",\"sig_sha256\":\"{sig}\",\
         \"verdict\":\"reject\",\"reason\":\"the wrong \\\"stall\\\" 王\",\
         \"reviewer\":\"reviewer-1\",\"at\":\"2026-08-01T02:03:04Z\"}}",
        case(1)
    );
    let spaced = good.replace("\":", "\" : ").replace(',', " ,\n  ");
    let noted = good.replace("\"verdict\"", "\"desk\":{\"room\":12},\"verdict\"");
    for (what, document) in [("plain", &good), ("spaced", &spaced), ("with more", &noted)] {
        let package = reviewed(&kit, document);
        accepted(what, &kit, &package);
        let (_, said) = kit.script(&package);
        assert!(
            said.contains("reject by reviewer-1, 2026-08-01T02:03:04Z"),
            "{said}"
        );
        let page = verify(&package, &kit.roots).page(Language::English);
        assert!(page.contains("REJECTED by reviewer-1"), "{page}");
    }
    let earlier =
        "\"earlier\":{\"verdict\":\"accept\",\"at\":\"2026-07-01T00:00:00Z\"},\"verdict\"";
    for (what, from, to) in [
        ("the journal's word", "\"reject\"", "\"rejected\""),
        (
            "a time in words",
            "2026-08-01T02:03:04Z",
            "1 August, in the morning",
        ),
        ("a day that is none", "2026-08-01T", "2026-02-30T"),
        ("a time of another zone", "02:03:04Z", "10:03:04+08:00"),
        ("words behind", "04Z\"}", "04Z\"} <-- but accept it"),
        ("two verdicts", "04Z\"}", "04Z\",\"verdict\":\"accept\"}"),
        ("an earlier verdict", "\"verdict\"", earlier),
        ("a list", "\"verdict\"", "\"seen\":[1],\"verdict\""),
        ("escaped", "王", "\\u738b"),
        ("a version in quotes", "\"v\":1", "\"v\":\"1\""),
        ("no reason", "\"reason\"", "\"because\""),
        ("a newline in a word", "wrong ", "wrong\n"),
        ("a byte that no text has", "wrong ", "wrong\0"),
    ] {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good, "{what}");
        refused(what, &kit, &reviewed(&kit, &changed), CheckId::Review);
    }
}

/// What anybody can add beside the signatures keeps nobody from adding a review.
#[test]
fn a_receipt_of_nobody_keeps_no_reviewer_out() {
    let kit = Kit::new();
    let mut package = kit.package.clone();
    package.insert("META-INF/receipt999.p7m", vec![1]).unwrap();
    accepted("a receipt of nobody", &kit, &package);
    add_review(&mut package, &kit.pki.reviewers[0], ReviewVerdict::Reject);
    accepted("and a review", &kit, &package);
}

/// The sealed package with another statement, signed by its device all the same.
fn restated(kit: &Kit, statement: &str) -> Container {
    assemble(&resealed(kit, statement))
}

fn resealed(kit: &Kit, statement: &str) -> Sealed {
    let statement = statement.as_bytes().to_vec();
    let package = with(&kit.package, STATEMENT, Some(&statement));
    let mut manifest = Manifest::parse(&kit.sealed.manifest).unwrap();
    manifest.entries[0].sha256 = covered(&package, STATEMENT).sha256;
    let manifest = manifest.to_xml().unwrap();
    let signature = kit.evidence.sign(&manifest, Form::Detached, AT).unwrap();
    Sealed {
        statement,
        manifest,
        signature,
    }
}

/// The same with one thing in the statement replaced.
fn replaced(kit: &Kit, old: &str, new: &str) -> Container {
    let statement = String::from_utf8(kit.sealed.statement.clone()).unwrap();
    assert!(statement.contains(old), "{old}");
    restated(kit, &statement.replacen(old, new, 1))
}

/// Whoever reads a version that he does not know must not guess what its fields mean.
#[test]
fn a_statement_of_another_version_or_kind() {
    let kit = Kit::new();
    for (old, new) in [
        ("\"v\": 1", "\"v\": 2"),
        ("lingmou.evidence", "lingmou.else"),
    ] {
        refused(new, &kit, &replaced(&kit, old, new), CheckId::Statement);
    }
}

/// The device's signature makes no statement of what lacks a field or tells no time.
#[test]
fn a_statement_without_a_field_or_with_times_that_are_none() {
    let kit = Kit::new();
    // Under another name it is missing, and everything else is as it was.
    for key in [
        "seq",
        "prev",
        "tz",
        "violation",
        "rule",
        "confirmed",
        "warning",
        "clock",
        "utc",
        "boottime_ns",
        "synced",
        "software",
        "version",
    ] {
        let package = replaced(&kit, &format!("\"{key}\":"), "\"other\":");
        refused(key, &kit, &package, CheckId::Statement);
    }
    let seen = "\"first_seen\": \"2026-08-01T02:01:00.100Z\"";
    let utc = format!("\"utc\": \"{}\"", lingmou::clock::rfc3339_ms(AT.utc_ns));
    let picture = "\"at\": \"2026-08-01T02:02:00Z\"";
    let (zone, short) = (seen.replace('Z', "+08:00"), picture.replace(":00Z", "Z"));
    let (utc, zone, short) = (utc.as_str(), zone.as_str(), short.as_str());
    let whole = "\"utc\": \"2026-08-01T02:03:04Z\"";
    accepted("no fraction", &kit, &replaced(&kit, utc, whole));
    for (old, new) in [
        (seen, "\"first_seen\": \"this morning\""),
        (seen, "\"first_seen\": \"2026-02-30T02:01:00.100Z\""),
        (seen, "\"first_seen\": null"),
        (seen, "\"first_seen\": 1785549784"),
        (seen, zone),
        (utc, "\"utc\": \"2026-08-01 02:03:04Z\""),
        (utc, "\"utc\": \"\""),
        (picture, "\"at\": \"2026-08-01T25:02:00Z\""),
        (picture, short),
        ("\"last_step\": null", "\"last_step\": \"never\""),
        ("\"prev\": \"3b", "\"prev\": \"3B"),
        ("\"binary_sha256\": null", "\"binary_sha256\": \"none\""),
    ] {
        refused(new, &kit, &replaced(&kit, old, new), CheckId::Statement);
    }
}

/// Packages are older than the digest of the model's card, and valid.
#[test]
fn a_model_without_the_digest_of_its_card_and_with_one() {
    let kit = Kit::new();
    let mut named = statement(DEVICE);
    named.software.model = Some(Model {
        name: "nano".to_owned(),
        sha256: "d0".repeat(32),
        card_sha256: Some("d1".repeat(32)),
        threshold: 0.5,
    });
    let text = String::from_utf8(named.to_bytes().unwrap()).unwrap();
    let card = format!("\"card_sha256\": \"{}\",", "d1".repeat(32));
    assert!(text.contains(&card), "{text}");
    let told = |instead: &str| restated(&kit, &text.replacen(&card, instead, 1));
    accepted("told", &kit, &told(&card));
    accepted("unknown", &kit, &told("\"card_sha256\": null,"));
    accepted("older", &kit, &told(""));
    for digest in ["\"the card's\"", "\"D1\"", "7"] {
        let package = told(&format!("\"card_sha256\": {digest},"));
        refused(digest, &kit, &package, CheckId::Statement);
    }
}

/// What a person asked for claims nothing, and names who asked.
#[test]
fn a_capture_that_claims_something() {
    let kit = Kit::new();
    let mut capture = statement(DEVICE);
    capture.kind = "lingmou.capture".to_owned();
    (capture.violation, capture.warning) = (None, Vec::new());
    capture.asked = Some(Asked {
        by: "CN=operator-1,OU=operate".to_owned(),
        command: case(9).0,
        command_sha256: "9a".repeat(32),
        at: "2026-08-01T02:03:04.120Z".to_owned(),
    });
    let asked = String::from_utf8(capture.to_bytes().unwrap()).unwrap();
    accepted("asked for", &kit, &restated(&kit, &asked));
    for (old, new) in [
        ("lingmou.capture", "lingmou.evidence"),
        ("\"by\"", "\"for\""),
        ("02:03:04.120Z", "soon"),
        ("\"violation\": null", "\"violation\": {}"),
    ] {
        let changed = asked.replacen(old, new, 1);
        assert_ne!(changed, asked, "{old}");
        refused(new, &kit, &restated(&kit, &changed), CheckId::Statement);
    }
}

/// openssl trusts what is installed on the machine as well, unless it is told not to.
#[test]
fn a_root_of_the_machine_is_none_of_the_bureau_s() {
    let kit = Kit::new();
    let machine = kit.folder("machine");
    let foreign = TestPki::create(&kit.folder("foreign"), DEVICE).unwrap();
    std::fs::copy(foreign.root(), machine.join("public.crt")).unwrap();
    succeed(&machine, "openssl rehash .");
    let thief = Identity::load(&foreign.device, "evidence").unwrap();
    let p7s = thief.sign(&kit.sealed.manifest, Form::Detached, lingmou::clock::now());
    let case = kit.folder("case");
    put_all(&case, &signed_by(&kit, &p7s.unwrap()));
    let judged = |root: &Path| {
        let programs = TempDir::new().unwrap();
        let mut script = verifying(programs.path(), &case, root);
        said_by(script.env("SSL_CERT_DIR", &machine))
    };
    let (code, said) = judged(&kit.root);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(line(CheckId::Chain)), "{said}");
    let (code, said) = judged(&foreign.root());
    assert_eq!(code, Some(0), "it is good where that root is given: {said}");
}

/// Why a box signs nothing after its certificate's end: nobody takes it.
#[test]
fn what_was_sealed_after_the_certificate_s_end() {
    let dir = TempDir::new().unwrap();
    // openssl does not count the last second itself.
    for (not_after, valid) in [(AT_SECS + 1, true), (AT_SECS - 1, false)] {
        let plan = TestPkiPlan {
            not_before: AT_SECS - 9_000 * DAY_SECS,
            not_after,
        };
        let folder = dir.path().join(valid.to_string());
        let pki = TestPki::create_planned(&folder, DEVICE, plan).unwrap();
        let identity = Identity::load(&pki.device, "evidence").unwrap();
        let package = assemble(&seal(&statement(DEVICE), &identity, AT).unwrap());
        let verdict = verify(&package, &Roots::load(&pki.root()).unwrap());
        let failed: Vec<_> = verdict.failed().collect();
        let expected: &[CheckId] = if valid { &[] } else { &[CheckId::Chain] };
        assert_eq!(failed, expected, "{}", verdict.page(Language::English));
        put_all(&folder.join("case"), &package);
        let (code, said) = verify_sh(&folder.join("case"), &pki.root());
        assert_eq!(code, Some(i32::from(!valid)), "{said}");
        assert_eq!(said.contains(line(CheckId::Chain)), !valid, "{said}");
    }
}

/// What the device signed of its files is held against them in every word.
#[test]
fn a_statement_that_tells_another_size_or_type() {
    let kit = Kit::new();
    accepted(
        "the same words",
        &kit,
        &replaced(&kit, "\"size\"", "\"size\""),
    );
    for (what, old, new) in [
        ("size", "\"size\": 301", "\"size\": 302"),
        ("no size", "\"size\": 301,", ""),
        ("type", "\"video/mp4\"", "\"video/webm\""),
        ("name", "02-warned.jpg", "02-again.jpg"),
    ] {
        refused(what, &kit, &replaced(&kit, old, new), CheckId::Statement);
    }
}

/// `package` without what a box removes after the receipt.
fn stripped(package: &Container) -> Container {
    let mut left = Container::new();
    let head = |name: &str| [MIMETYPE, STATEMENT].contains(&name) || name.starts_with("META");
    for (name, bytes) in package.files().filter(|(name, _)| head(name)) {
        left.insert(name, bytes.to_vec()).unwrap();
    }
    left
}

/// The packages of a box whose receipts have come, and of whoever takes the same out of one.
#[test]
fn a_package_without_its_pictures_is_not_checked_and_never_valid() {
    let kit = Kit::new();
    let full = kit.full();
    let pruned = stripped(&full);
    for package in [&pruned, &stripped(&kit.package)] {
        let verdict = verify(package, &kit.roots);
        assert!(!verdict.valid() && verdict.undecided());
        assert_eq!(verdict.failed().count(), 0);
        for (language, headline, has_it) in [
            (
                Language::English,
                "NOT CHECKED",
                "the receiver has the package whole",
            ),
            (Language::Chinese, "未能核验", "接收端存有完整证据包"),
        ] {
            let page = verdict.page(language).replace("\n    ", "");
            let flat: String = page.split_whitespace().collect();
            let has_it: String = has_it.split_whitespace().collect();
            assert!(page.contains(headline) && flat.contains(&has_it), "{page}");
            let report = verdict.report(Some(package), language, AT);
            assert!(
                report.contains(headline) && !report.contains("<img"),
                "{report}"
            );
        }
        let (code, said) = kit.script(package);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("are not here"), "{said}");
    }
    // Nobody has signed that he has it; something is left; and what is left was changed.
    refused(
        "no receipt",
        &kit,
        &stripped(&assemble(&kit.sealed)),
        CheckId::Files,
    );
    let mut refusal = receipt(&kit.sealed);
    refusal.verdict = ReceiptVerdict::Refused;
    let refusal = refusal.sign(&kit.receiver, AT).unwrap();
    let refusal = with(&stripped(&kit.package), RECEIPT, Some(&refusal));
    refused("refused", &kit, &refusal, CheckId::Files);
    let left = with(&pruned, "clip.mp4", full.get("clip.mp4"));
    refused("the clip is left", &kit, &left, CheckId::Files);
    refused(
        "no clip",
        &kit,
        &with(&full, "clip.mp4", None),
        CheckId::Files,
    );
    for name in [STATEMENT, MANIFEST, SIGNATURE, RECEIPT, CHAIN] {
        let changed = with(&pruned, name, Some(&flipped(pruned.get(name).unwrap())));
        assert!(!verify(&changed, &kit.roots).undecided(), "{name}");
        refused(name, &kit, &changed, guard(name, false));
    }
}

#[test]
fn a_package_without_its_pictures_and_without_a_word_for_them() {
    let kit = Kit::new();
    let shorn = stripped(&kit.package);
    // A receipt that says nothing vouches for no picture, and what comes after it is looked at all the same.
    let told_by = |package: &Container| {
        let (code, said) = kit.script(package);
        assert!(code == Some(1) && said.ends_with("NOT VALID\n"), "{said}");
        said
    };
    let no_receipt = with(&shorn, RECEIPT, Some(b"no receipt"));
    refused("no receipt", &kit, &no_receipt, CheckId::Receipt);
    refused("no receipt", &kit, &no_receipt, CheckId::Files);
    let said = told_by(&no_receipt);
    assert!(said.contains("or stored by the receiver"), "{said}");
    assert!(said.contains("no file outside the signatures"), "{said}");
    let later = with(&no_receipt, LATER_RECEIPT, shorn.get(RECEIPT));
    let said = told_by(&later);
    assert!(
        said.contains("FAIL  every listed file"),
        "a later one: {said}"
    );
    // Only what the device listed may be gone.
    let never = with(&kit.package, "frames/99-never.jpg", Some(&[1]));
    let manifest = Manifest {
        signature: SigReference::time_stamp(1),
        entries: [SIGNATURE, "frames/99-never.jpg"]
            .map(|name| covered(&never, name))
            .to_vec(),
    };
    let awaited = with(&shorn, MANIFEST_2, Some(&manifest.to_xml().unwrap()));
    refused("never was", &kit, &awaited, CheckId::Stamp);
}

/// What a device signs of files that are gone is held against its list as before.
#[test]
fn a_package_without_its_pictures_that_contradicts_itself() {
    let kit = Kit::new();
    let pruned = |sealed: &Sealed| {
        let mut left = Container::new();
        for (name, bytes) in sealed.parts() {
            left.insert(name, bytes.to_vec()).unwrap();
        }
        let p7m = receipt(sealed).sign(&kit.receiver, AT).unwrap();
        left.insert(RECEIPT, p7m).unwrap();
        left
    };
    let (code, said) = kit.script(&pruned(&kit.sealed));
    assert_eq!(code, Some(2), "{said}");
    let ok = "  ok    statement agrees with the list and with itself";
    assert!(said.contains(ok), "{said}");
    let statement = String::from_utf8(kit.sealed.statement.clone()).unwrap();
    let hash = sha256_hex(&[0xda; 302]);
    for (what, old, new) in [
        ("type", "\"video/mp4\"", "\"video/webm\""),
        ("name", "02-warned.jpg", "02-again.jpg"),
        ("digest", hash.as_str(), "ab".repeat(32).as_str()),
        (
            "time",
            "\"first_seen\": \"2026",
            "\"first_seen\": \"late 2026",
        ),
    ] {
        assert!(statement.contains(old), "{what}");
        let sealed = resealed(&kit, &statement.replacen(old, new, 1));
        refused(what, &kit, &pruned(&sealed), CheckId::Statement);
    }
    let wrong = graded(Grade::Evidence, false);
    let wrong = seal(&wrong, &kit.evidence, AT).unwrap();
    refused("grade", &kit, &pruned(&wrong), CheckId::Grade);
}

/// A statement whose conditions are all met, or all but one, with the grade that it names.
fn graded(grade: Grade, pass: bool) -> Statement {
    let mut graded = statement(DEVICE);
    let condition = |id: &&str| Condition {
        id: (*id).to_owned(),
        value: None,
        limit: "any".to_owned(),
        pass: Some(*id != "clock" || pass),
    };
    let conditions = lingmou::witness::CONDITIONS.iter().map(condition).collect();
    graded.grade = Some(Grading { grade, conditions });
    graded
}

#[test]
fn a_grade_that_does_not_follow() {
    let kit = Kit::new();
    let graded = |grade, pass| assemble(&seal(&graded(grade, pass), &kit.evidence, AT).unwrap());
    accepted("evidence", &kit, &graded(Grade::Evidence, true));
    accepted("lead", &kit, &graded(Grade::Lead, false));
    let wrong = graded(Grade::Evidence, false);
    refused("a lead called evidence", &kit, &wrong, CheckId::Grade);
    let wrong = graded(Grade::Lead, true);
    refused("evidence called a lead", &kit, &wrong, CheckId::Grade);
    let lead = graded(Grade::Lead, false);
    let text = String::from_utf8(lead.get(STATEMENT).unwrap().to_vec()).unwrap();
    let raised = text.replace("\"grade\": \"lead\"", "\"grade\": \"evidence\"");
    let raised = with(&lead, STATEMENT, Some(raised.as_bytes()));
    refused("raised afterwards", &kit, &raised, CheckId::Files);
    assert!(files().len() > 1);
}

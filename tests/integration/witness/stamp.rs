//! Time-stamps and journal lines in a package: against `openssl ts` both ways, and every way to
//! tamper with them.

use std::path::Path;

use lingmou::pki::{TestPki, TestPkiPlan};
use lingmou::witness::{
    CHAIN, ChainFault, CheckId, Container, Finding, Identity, JournalCopy, JournalLines, Language,
    Manifest, ManifestEntry, RECEIPT, Receipt, Roots, SIGNATURE, STAMPED, STATEMENT, SigReference,
    SignatureError, StampError, StampQuery, Status, TIMESTAMP, check_stamp, reject_query,
    sha256_hex, verify,
};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::{
    AT, AT_SECS, DAY_SECS, DEVICE, Kit, issue, make_key, put, put_all, receipt, run, script,
    statement, succeed,
};

const CONTENT: &[u8] = b"what is stamped";

/// Writes the configuration of an authority with `tsa.key` and `tsa.crt` of `keys`.
fn authority(dir: &Path, keys: &Path, more: &str) {
    let config = format!(
        "[tsa]\ndefault_tsa = t\n[t]\nserial = {0}/serial\nsigner_cert = {1}/tsa.crt\n\
         signer_key = {1}/tsa.key\nsigner_digest = sha256\ndefault_policy = 1.2.3.4\n{more}\n",
        dir.display(),
        keys.display(),
    );
    put(dir, "serial", b"01\n");
    put(dir, "tsa.cnf", config.as_bytes());
}

/// What an authority of openssl answers.
fn reply(dir: &Path, query: &[u8]) -> Vec<u8> {
    put(dir, "q", query);
    succeed(dir, "openssl ts -reply -config tsa.cnf -queryfile q -out r");
    std::fs::read(dir.join("r")).unwrap()
}

/// The token over `content` of the kit's own authority.
fn token(kit: &Kit, content: &[u8]) -> Vec<u8> {
    let dir = kit.dir.path();
    authority(dir, &kit.pki.tsa, "digests = sha256\naccuracy = secs:1");
    let query = StampQuery::new(content, 7);
    let (token, _) = query
        .accept(&reply(dir, &query.to_der()), &kit.roots)
        .unwrap();
    token
}

#[test]
fn every_form_of_token_that_openssl_writes_is_understood_and_the_other_way_round() {
    let kit = Kit::new();
    let dir = kit.dir.path();
    let root = kit.pki.root();
    let table = [
        ("", None),
        ("ess_cert_id_alg = sha1", None),
        ("ess_cert_id_alg = sha256", None),
        (
            "accuracy = secs:1, millisecs:500, microsecs:100",
            Some(1_500_100),
        ),
        (
            "ordering = yes\ntsa_name = yes\ness_cert_id_chain = yes",
            None,
        ),
        ("clock_precision_digits = 6", None),
    ];
    for (more, accuracy_us) in table {
        authority(
            dir,
            &kit.pki.tsa,
            &format!("digests = sha256, sha512\n{more}"),
        );
        let query = StampQuery::new(CONTENT, 42);
        put(dir, "q", &query.to_der());
        let text = succeed(dir, "openssl ts -query -in q -text");
        assert!(text.contains("Hash Algorithm: sha256"), "{text}");
        assert!(text.contains("Certificate required: yes"), "{text}");
        let answer = reply(dir, &query.to_der());
        let (token, stamp) = query.accept(&answer, &kit.roots).unwrap();
        assert_eq!(stamp.accuracy_us, accuracy_us, "{more}");
        assert_eq!(stamp.policy, "1.2.3.4");
        assert!(stamp.authority.contains("CN="), "{stamp:?}");
        assert_eq!(
            check_stamp(&token, CONTENT, &kit.roots),
            Ok(stamp),
            "{more}"
        );
        put(dir, "data", CONTENT);
        put(dir, "token.tst", &token);
        let verified = succeed(
            dir,
            &format!(
                "openssl ts -verify -data data -in token.tst -token_in -CAfile {}",
                root.display()
            ),
        );
        assert!(verified.contains("Verification: OK"), "{verified}");
        // A query of openssl's own, with a nonce or without one.
        for options in ["-cert", "-cert -no_nonce"] {
            succeed(
                dir,
                &format!("openssl ts -query -data data -sha256 {options} -out q"),
            );
            let asked = std::fs::read(dir.join("q")).unwrap();
            reply(dir, &asked);
            succeed(dir, "openssl ts -reply -in r -token_out -out token.tst");
            let token = std::fs::read(dir.join("token.tst")).unwrap();
            check_stamp(&token, CONTENT, &kit.roots).unwrap();
        }
    }
}

#[test]
fn authorities_on_other_keys_and_below_an_issuing_ca_are_understood() {
    const STAMPS: &str = "extendedKeyUsage=critical,timeStamping";
    const CA: &str = "basicConstraints=critical,CA:TRUE";
    let table = [
        ("RSA 2048", CA.to_owned(), true),
        ("EC P-384", CA.to_owned(), true),
        (
            "EC P-256",
            format!("{CA} -addext extendedKeyUsage=timeStamping"),
            true,
        ),
        (
            "EC P-256",
            format!("{CA} -addext extendedKeyUsage=1.3.6.1.5.5.7.3.36"),
            false,
        ),
    ];
    for (kind, ca, trusted) in table {
        let dir = TempDir::new().unwrap();
        let dir = dir.path();
        for key in ["root.key", "ca.key", "tsa.key"] {
            make_key(dir, kind, key);
        }
        succeed(
            dir,
            &format!(
                "openssl req -x509 -new -key root.key -subj /CN=Root -days 3650 -out root.crt -addext {CA}"
            ),
        );
        succeed(
            dir,
            &format!("openssl req -new -key ca.key -subj /CN=Issuing -out ca.csr -addext {ca}"),
        );
        issue(dir, "root", "ca");
        succeed(
            dir,
            &format!(
                "openssl req -new -key tsa.key -subj /CN=Stamper -out tsa.csr -addext {STAMPS}"
            ),
        );
        issue(dir, "ca", "tsa");
        let certs = format!("digests = sha256\ncerts = {}/ca.crt", dir.display());
        authority(dir, dir, &certs);
        let query = StampQuery::new(CONTENT, 1);
        let roots = Roots::load(&dir.join("root.crt")).unwrap();
        let found = query.accept(&reply(dir, &query.to_der()), &roots);
        match found {
            Ok((_, stamp)) => assert!(trusted && stamp.authority == "CN=Stamper", "{kind} {ca}"),
            Err(StampError::Signature(SignatureError::Chain(fault))) => {
                assert!(!trusted, "{kind} {ca}: {fault}");
            }
            Err(other) => panic!("{kind} {ca}: {other}"),
        }
    }
}

/// A token over the same time-stamp information, but signed with `name.key` of `keys`.
fn signed_by(dir: &Path, token: &[u8], keys: &Path, name: &str) -> Vec<u8> {
    put(dir, "token.tst", token);
    succeed(
        dir,
        "openssl cms -verify -noverify -binary -inform DER -in token.tst -out info.der",
    );
    let keys = keys.display();
    succeed(
        dir,
        &format!(
            "openssl cms -sign -binary -cades -nodetach -outform DER -md sha256 \
             -econtent_type id-smime-ct-TSTInfo -in info.der -out forged.tst \
             -signer {keys}/{name}.crt -inkey {keys}/{name}.key"
        ),
    );
    std::fs::read(dir.join("forged.tst")).unwrap()
}

#[test]
fn a_stamp_is_refused_for_the_right_reason() {
    let kit = Kit::new();
    let dir = kit.dir.path();
    let good = token(&kit, CONTENT);
    check_stamp(&good, CONTENT, &kit.roots).unwrap();
    assert_eq!(
        check_stamp(&good, b"something else", &kit.roots),
        Err(StampError::OtherContent)
    );
    let query = StampQuery::new(CONTENT, 7);
    let answer = reply(dir, &query.to_der());
    assert_eq!(
        StampQuery::new(CONTENT, 1 << 40).accept(&answer, &kit.roots),
        Err(StampError::OtherNonce)
    );
    let foreign = TempDir::new().unwrap();
    let foreign = TestPki::create(foreign.path(), DEVICE).unwrap();
    let foreign = Roots::load(&foreign.root()).unwrap();
    assert_eq!(
        check_stamp(&good, CONTENT, &foreign),
        Err(SignatureError::Chain(ChainFault::Forged).into()),
        "of the same name, but another root"
    );
    // The same words from the authority's key, made by another tool, are believed …
    let again = signed_by(dir, &good, &kit.pki.tsa, "tsa");
    check_stamp(&again, CONTENT, &kit.roots).unwrap();
    // … and from nobody else's.
    for (keys, name) in [
        (&kit.pki.device, "transport"),
        (&kit.pki.device, "evidence"),
        (&kit.pki.receiver, "receiver"),
    ] {
        let forged = signed_by(dir, &good, keys, name);
        assert_eq!(
            check_stamp(&forged, CONTENT, &kit.roots),
            Err(StampError::NotStamper),
            "{name}"
        );
    }
    for (what, bytes) in [
        ("nothing", Vec::new()),
        ("an answer", answer),
        ("a signature", kit.sealed.signature.clone()),
        ("a receipt", kit.package.get(RECEIPT).unwrap().to_vec()),
    ] {
        let found = check_stamp(&bytes, CONTENT, &kit.roots);
        assert!(
            matches!(found, Err(StampError::Signature(SignatureError::Form(_)))),
            "{what}: {found:?}"
        );
    }
}

#[test]
fn an_authority_that_refuses_is_quoted() {
    let kit = Kit::new();
    let dir = kit.dir.path();
    authority(dir, &kit.pki.tsa, "digests = sha512");
    let query = StampQuery::new(CONTENT, 7);
    put(dir, "q", &query.to_der());
    run(dir, "openssl ts -reply -config tsa.cnf -queryfile q -out r");
    let answer = std::fs::read(dir.join("r")).unwrap();
    let Err(StampError::Rejected(why)) = query.accept(&answer, &kit.roots) else {
        panic!("accepted");
    };
    assert!(
        why.contains("not supported") && why.contains("status 2"),
        "{why}"
    );
    put(dir, "r", &reject_query("nobody here"));
    let text = succeed(dir, "openssl ts -reply -in r -text");
    assert!(
        text.contains("nobody here"),
        "ours is read by openssl: {text}"
    );
}

#[test]
fn an_authority_is_judged_at_the_moment_it_names() {
    let now = AT_SECS - 40 * DAY_SECS;
    for (from, to, fault) in [
        (
            now - 900 * DAY_SECS,
            now - 800 * DAY_SECS,
            ChainFault::Expired,
        ),
        (
            AT_SECS + 9_000 * DAY_SECS,
            AT_SECS + 9_001 * DAY_SECS,
            ChainFault::NotYetValid,
        ),
    ] {
        let dir = TempDir::new().unwrap();
        let plan = TestPkiPlan {
            not_before: from,
            not_after: to,
        };
        let pki = TestPki::create_planned(dir.path(), DEVICE, plan).unwrap();
        let dir = dir.path();
        authority(dir, &pki.tsa, "digests = sha256");
        let query = StampQuery::new(CONTENT, 7);
        let answer = reply(dir, &query.to_der());
        let roots = Roots::load(&pki.root()).unwrap();
        assert_eq!(
            query.accept(&answer, &roots).err(),
            Some(SignatureError::Chain(fault).into())
        );
    }
}

#[test]
fn every_flipped_byte_and_every_cut_of_a_token_is_found() {
    let kit = Kit::new();
    let good = token(&kit, CONTENT);
    for place in 0..good.len() {
        for mask in [0x01, 0x80, 0xff] {
            let mut flipped = good.clone();
            flipped[place] ^= mask;
            let found = check_stamp(&flipped, CONTENT, &kit.roots);
            assert!(found.is_err(), "byte {place} mask {mask:02x}");
        }
        assert!(check_stamp(&good[..place], CONTENT, &kit.roots).is_err());
    }
}

#[test]
fn arbitrary_bytes_do_not_panic() {
    let kit = Kit::new();
    let good = token(&kit, CONTENT);
    let query = StampQuery::new(CONTENT, 7);
    let config = ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let garbage = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..9);
    proptest!(config, |(bytes: Vec<u8>, garbage in garbage)| {
        prop_assert!(check_stamp(&bytes, CONTENT, &kit.roots).is_err());
        prop_assert!(query.accept(&bytes, &kit.roots).is_err());
        prop_assert!(StampQuery::parse(&bytes).is_err());
        prop_assert!(JournalLines::parse(&bytes).is_err());
        let mut garbled = good.clone();
        for (place, byte) in garbage {
            garbled[place.index(good.len())] = byte;
        }
        let found = check_stamp(&garbled, CONTENT, &kit.roots);
        prop_assert!(found.is_err() || garbled == good);
        let mut package = kit.package.clone();
        for name in [CHAIN, STAMPED, TIMESTAMP, "META-INF/ASiCManifest003.xml"] {
            package.insert(name, bytes.clone()).unwrap();
        }
        prop_assert!(!verify(&package, &kit.roots).valid());
    });
}

/// Journal lines of these kinds, the first being number 3 behind the line that the statement of
/// [`statement`] names; and their head.
fn journal(kinds: &[&str], sig_sha256: &str) -> (Vec<u8>, JournalCopy) {
    let mut bytes = Vec::new();
    let mut head = JournalCopy {
        n: statement(DEVICE).journal.n - 1,
        hash: statement(DEVICE).journal.prev,
    };
    for kind in kinds {
        let n = head.n + 1;
        let line = format!(
            "{{\"n\":{n},\"at\":\"2026-08-01T02:03:05.000Z\",\"kind\":\"{kind}\",\
             \"prev\":\"{}\",\"body\":{{\"sig_sha256\":\"{sig_sha256}\"}}}}",
            head.hash
        );
        head = JournalCopy {
            n,
            hash: sha256_hex(line.as_bytes()),
        };
        bytes.extend(line.as_bytes());
        bytes.push(b'\n');
    }
    (bytes, head)
}

/// The kit's package with everything that is added later.
fn completed(kit: &Kit) -> Container {
    let sig_sha256 = kit.sealed.sig_sha256();
    let (chain, head) = journal(&["package.sealed", "clock", "boot"], &sig_sha256);
    let receiver = Identity::load(&kit.pki.receiver, "receiver").unwrap();
    let receipt = Receipt {
        head: Some(head),
        ..receipt(&kit.sealed)
    };
    let mut package = kit.with(RECEIPT, Some(&receipt.sign(&receiver, AT).unwrap()));
    package.insert(CHAIN, chain).unwrap();
    stamp(kit, &mut package, &[SIGNATURE, RECEIPT, CHAIN]);
    package
}

/// Adds a manifest over the files `covered` and the stamp over it.
fn stamp(kit: &Kit, package: &mut Container, covered: &[&str]) {
    let entry = |name: &&str| ManifestEntry {
        name: (*name).to_owned(),
        media_type: "application/octet-stream".to_owned(),
        sha256: Sha256::digest(package.get(name).unwrap()).into(),
    };
    let manifest = Manifest {
        signature: SigReference::time_stamp(1),
        entries: covered.iter().map(entry).collect(),
    };
    let manifest = manifest.to_xml().unwrap();
    package.insert(TIMESTAMP, token(kit, &manifest)).unwrap();
    package.insert(STAMPED, manifest).unwrap();
}

#[test]
fn a_completed_package_is_valid_and_shows_both_bounds() {
    let kit = Kit::new();
    let package = completed(&kit);
    let verdict = verify(&package, &kit.roots);
    let page = verdict.page(Language::English);
    assert!(verdict.valid(), "{page}");
    for id in [CheckId::Journal, CheckId::Stamp, CheckId::Nothing] {
        let check = verdict.check(id).unwrap();
        assert_eq!(
            (check.status, check.findings.len()),
            (Status::Pass, 0),
            "{page}"
        );
    }
    let stamp = verdict.stamp.as_ref().unwrap();
    assert_eq!(stamp.accuracy_us, Some(1_000_000));
    assert!(
        page.contains("(trusted time-stamp by") && page.contains("error 1000 ms"),
        "{page}"
    );
    let chinese = verdict.page(Language::Chinese);
    assert!(chinese.contains("（可信时间戳："), "{chinese}");
    let zip = Container::from_zip(&package.to_zip(), lingmou::witness::Limits::PACKAGE).unwrap();
    assert_eq!(zip, package);
}

/// The package with one file replaced, or removed when `bytes` is `None`.
fn replaced(package: &Container, name: &str, bytes: Option<Vec<u8>>) -> Container {
    let mut changed = Container::new();
    for (other, content) in package.files().filter(|(other, _)| *other != name) {
        changed.insert(other, content.to_vec()).unwrap();
    }
    if let Some(bytes) = bytes {
        changed.insert(name, bytes).unwrap();
    }
    changed
}

/// What was changed, in which file, to what (`None`: taken out), and the check that finds it.
type Tampering = (&'static str, &'static str, Option<Vec<u8>>, CheckId);

fn each_is_refused(kit: &Kit, package: &Container, table: Vec<Tampering>) {
    for (what, name, bytes, expected) in table {
        let verdict = verify(&replaced(package, name, bytes), &kit.roots);
        let page = verdict.page(Language::English);
        assert!(!verdict.valid(), "{what}\n{page}");
        assert!(verdict.failed().any(|id| id == expected), "{what}\n{page}");
    }
}

#[test]
fn journal_lines_cannot_be_changed_cut_or_swapped() {
    let kit = Kit::new();
    let package = completed(&kit);
    let chain = String::from_utf8(package.get(CHAIN).unwrap().to_vec()).unwrap();
    let lines: Vec<&str> = chain.split_inclusive('\n').collect();
    let kinds = ["package.sealed", "clock", "boat"];
    let (other, _) = journal(&kinds, &kit.sealed.sig_sha256());
    let changed = chain.replace("clock", "clack");
    let longer = format!("{chain}{}", lines[2]);
    let table = [
        ("a word in a line", changed.into_bytes()),
        ("a line out", [lines[0], lines[2]].concat().into_bytes()),
        ("the last line off", lines[..2].concat().into_bytes()),
        ("the first line off", lines[1..].concat().into_bytes()),
        ("a line more", longer.into_bytes()),
        ("another history", other),
        ("no lines", Vec::new()),
    ];
    let table = table.map(|(what, bytes)| (what, CHAIN, Some(bytes), CheckId::Journal));
    each_is_refused(&kit, &package, table.into());
    let gone = ("the lines taken out", CHAIN, None, CheckId::Stamp);
    each_is_refused(&kit, &package, vec![gone]);
}

#[test]
fn what_is_stamped_cannot_be_changed_cut_or_swapped() {
    let kit = Kit::new();
    let package = completed(&kit);
    let old_receipt = kit.package.get(RECEIPT).unwrap().to_vec();
    let flipped = |name: &str| {
        let mut bytes = package.get(name).unwrap().to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        Some(bytes)
    };
    let cut = Some(package.get(TIMESTAMP).unwrap()[..99].to_vec());
    let others = Some(token(&kit, CONTENT));
    let stamp = CheckId::Stamp;
    let table = vec![
        ("another receipt", RECEIPT, Some(old_receipt), stamp),
        (
            "a receipt changed",
            RECEIPT,
            flipped(RECEIPT),
            CheckId::Receipt,
        ),
        ("the receipt taken out", RECEIPT, None, stamp),
        ("the manifest changed", STAMPED, flipped(STAMPED), stamp),
        (
            "not a manifest",
            STAMPED,
            Some(vec![b'<']),
            CheckId::Nothing,
        ),
        ("the manifest taken out", STAMPED, None, stamp),
        ("the stamp changed", TIMESTAMP, flipped(TIMESTAMP), stamp),
        ("the stamp cut", TIMESTAMP, cut, stamp),
        ("another's stamp", TIMESTAMP, others, stamp),
    ];
    each_is_refused(&kit, &package, table);
}

#[test]
fn a_stamp_that_is_not_about_this_package_does_not_count() {
    let kit = Kit::new();
    let mut package = kit.package.clone();
    stamp(&kit, &mut package, &[RECEIPT, STATEMENT]);
    let verdict = verify(&package, &kit.roots);
    let check = verdict.check(CheckId::Stamp).unwrap();
    let name = SIGNATURE.to_owned();
    assert_eq!(check.findings, [Finding::NotCovered { name }]);
    assert!(!verdict.valid());
    assert_eq!(verdict.stamp, None);
}

#[test]
fn what_has_not_come_yet_is_unknown_and_nothing_worse() {
    let kit = Kit::new();
    let package = completed(&kit);
    let status = |package: &Container, id| {
        let verdict = verify(package, &kit.roots);
        assert!(verdict.valid(), "{}", verdict.page(Language::English));
        let check = verdict.check(id).unwrap();
        (check.status, check.findings.clone())
    };
    let unknown = |finding| (Status::Unknown, vec![finding]);
    assert_eq!(
        status(&kit.package, CheckId::Stamp),
        unknown(Finding::NoStamp)
    );
    assert_eq!(
        status(&kit.package, CheckId::Journal),
        unknown(Finding::NoJournalLines)
    );
    let waiting = replaced(&package, TIMESTAMP, None);
    assert_eq!(
        status(&waiting, CheckId::Stamp),
        unknown(Finding::StampAwaited)
    );
    assert_eq!(
        status(&waiting, CheckId::Nothing),
        (Status::Pass, Vec::new())
    );
    // Lines without a receipt that names their end prove nothing yet.
    let mut early = kit.package.clone();
    early
        .insert(CHAIN, package.get(CHAIN).unwrap().to_vec())
        .unwrap();
    assert_eq!(
        status(&early, CheckId::Journal),
        unknown(Finding::JournalHeadUnknown)
    );
    let name = CHAIN.to_owned();
    assert_eq!(
        status(&early, CheckId::Nothing),
        (Status::Pass, vec![Finding::AdditionUnchecked { name }])
    );
}

#[test]
fn the_commands_in_the_public_page_check_what_was_added() {
    let kit = Kit::new();
    let package = completed(&kit);
    let dir = kit.folder("page");
    std::fs::copy(kit.pki.root(), dir.join("root.crt")).unwrap();
    let case = dir.join("case");
    put(&case, "check.sh", script("additions").as_bytes());
    put_all(&case, &package);
    let text = succeed(&case, "sh -e check.sh");
    for (part, times) in [
        ("Verification: OK", 1),
        ("Time stamp: ", 1),
        ("same META-INF/signature001.p7s", 1),
        ("same ", 3),
        ("CHANGED", 0),
        ("BROKEN", 0),
    ] {
        assert_eq!(text.matches(part).count(), times, "{part}: {text}");
    }
    let chain = package.get(CHAIN).unwrap();
    let head = JournalLines::parse(chain).unwrap().head().hash.clone();
    assert!(text.contains(&format!("head {head}")), "{text}");

    let changed = String::from_utf8(chain.to_vec())
        .unwrap()
        .replacen("clock", "clack", 1);
    put(&case, CHAIN, changed.as_bytes());
    let text = succeed(&case, "sh -e check.sh");
    assert!(
        text.contains("BROKEN") && text.contains("CHANGED META-INF/chain.jsonl"),
        "{text}"
    );
}

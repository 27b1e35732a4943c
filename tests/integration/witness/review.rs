//! Reviews: made by the command, read by us and by openssl, and every way in which one does not
//! count.

use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use lingmou::pki::{TestPki, TestPkiPlan};
use lingmou::witness::{
    CheckId, Container, Form, Identity, Language, Limits, Opinion, REASON_MAX, ReviewError,
    ReviewVerdict, SIGNATURE, Status, review, verify, verify_path,
};
use tempfile::TempDir;

use super::{AT, AT_SECS, DEVICE, Kit, add_review, put, put_all, succeed, verify_sh};

/// `lingmou review` with the keys that lie in `keys` as `NAME.key` and `NAME.crt`.
fn command(kit: &Kit, package: &Path, keys: &Path, name: &str, more: &[&str]) -> Output {
    let mut command = Command::cargo_bin("lingmou").unwrap();
    command.arg("review").arg(package).args(more);
    command.arg("--roots").arg(kit.pki.root());
    command.args(["--reason", "as seen"]);
    command.arg("--key").arg(keys.join(format!("{name}.key")));
    command.arg("--cert").arg(keys.join(format!("{name}.crt")));
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

#[test]
fn two_people_review_a_folder_and_nothing_signed_changes() {
    let kit = Kit::new();
    let dir = kit.folder("package");
    put_all(&dir, &kit.package);
    for (reviewer, verdict) in kit.pki.reviewers.iter().zip(["accept", "reject"]) {
        let output = command(&kit, &dir, reviewer, "reviewer", &["--verdict", verdict]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    }
    let after = Container::from_dir(&dir).unwrap();
    for (name, bytes) in kit.package.files() {
        assert_eq!(after.get(name), Some(bytes), "{name}");
    }
    assert_eq!(after.files().count(), kit.package.files().count() + 6);
    let verdict = verify_path(&dir, &kit.roots).unwrap();
    assert!(verdict.valid(), "{}", verdict.page(Language::English));
    let told: Vec<_> = verdict
        .reviews
        .iter()
        .map(|r| {
            (
                r.level,
                r.review.as_ref().map(|r| (r.verdict, r.reviewer.as_str())),
            )
        })
        .collect();
    let expected = [
        (Some(1), Some((ReviewVerdict::Accept, "reviewer-1"))),
        (Some(2), Some((ReviewVerdict::Reject, "reviewer-2"))),
    ];
    assert_eq!(told, expected);
    let english = verdict.page(Language::English);
    for part in [
        "first: accepted by reviewer-1",
        "second: REJECTED by reviewer-2",
    ] {
        assert!(english.contains(part), "{part}\n{english}");
    }
    let chinese = verdict.page(Language::Chinese);
    assert!(
        chinese.contains("初审：通过") && chinese.contains("复审：不通过"),
        "{chinese}"
    );
    let (code, text) = verify_sh(&dir, &kit.pki.root());
    assert_eq!(code, Some(0), "{text}");

    // The same person again is nobody new.
    let again = &kit.pki.reviewers[0];
    let output = command(&kit, &dir, again, "reviewer", &["--verdict", "accept"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("has reviewed it already"),
        "{}",
        said(&output)
    );
    assert_eq!(
        Container::from_dir(&dir).unwrap(),
        after,
        "nothing was written"
    );
}

#[test]
fn openssl_verifies_a_review() {
    let kit = Kit::new();
    let mut package = kit.package.clone();
    add_review(&mut package, &kit.pki.reviewers[0], ReviewVerdict::Accept);
    let dir = kit.folder("review");
    put_all(&dir, &package);
    let root = kit.pki.root();
    let text = succeed(
        &dir,
        &format!(
            "openssl cms -verify -binary -cades -inform DER -in META-INF/signature003.p7s \
             -content META-INF/ASiCManifest003.xml -CAfile {} -purpose any -out signed.xml",
            root.display()
        ),
    );
    assert!(text.contains("erification successful"), "{text}");
    let manifest = std::fs::read_to_string(dir.join("signed.xml")).unwrap();
    for part in [SIGNATURE, "META-INF/review003.json"] {
        assert!(manifest.contains(part), "{part}: {manifest}");
    }
}

#[test]
fn a_file_is_never_changed_and_the_new_one_is_the_old_with_additions() {
    let kit = Kit::new();
    put(kit.dir.path(), "case.asice", &kit.zip);
    let file = kit.dir.path().join("case.asice");
    let reviewer = &kit.pki.reviewers[0];
    let output = command(&kit, &file, reviewer, "reviewer", &["--verdict", "accept"]);
    assert_eq!(output.status.code(), Some(2), "without --out");
    let out = kit.dir.path().join("reviewed.asice");
    let more = ["--verdict", "accept", "--out", out.to_str().unwrap()];
    let output = command(&kit, &file, reviewer, "reviewer", &more);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(std::fs::read(&file).unwrap(), kit.zip);
    let zip = std::fs::read(&out).unwrap();
    let reviewed = Container::from_zip(&zip, Limits::PACKAGE).unwrap();
    assert_eq!(reviewed.to_zip(), zip, "written as every package is");
    for (name, bytes) in kit.package.files() {
        assert_eq!(reviewed.get(name), Some(bytes), "{name}");
    }
    assert!(verify(&reviewed, &kit.roots).valid());
    let output = command(&kit, &file, reviewer, "reviewer", &more);
    assert_eq!(output.status.code(), Some(2), "nothing is written over");
    assert_eq!(std::fs::read(&out).unwrap(), zip);
}

#[test]
fn a_package_that_is_not_valid_can_only_be_rejected() {
    let kit = Kit::new();
    let dir = kit.folder("package");
    put_all(&dir, &kit.with("clip.mp4", Some(b"x")));
    let reviewer = &kit.pki.reviewers[0];
    let output = command(&kit, &dir, reviewer, "reviewer", &["--verdict", "accept"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("clip.mp4 was changed"),
        "{}",
        said(&output)
    );
    let output = command(&kit, &dir, reviewer, "reviewer", &["--verdict", "reject"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let verdict = verify_path(&dir, &kit.roots).unwrap();
    assert!(!verdict.valid());
    assert_eq!(verdict.check(CheckId::Review).unwrap().status, Status::Pass);
}

#[test]
fn the_wrong_certificate_is_refused_before_anything_is_written() {
    let kit = Kit::new();
    let dir = kit.folder("package");
    put_all(&dir, &kit.package);
    let foreign = TempDir::new().unwrap();
    let foreign = TestPki::create(foreign.path(), DEVICE).unwrap();
    let plan = TestPkiPlan {
        not_before: AT_SECS - 1000,
        not_after: AT_SECS - 999,
    };
    let expired = TempDir::new().unwrap();
    let expired = TestPki::create_planned(expired.path(), DEVICE, plan).unwrap();
    for (what, keys, name, code) in [
        ("organizationalUnit", &kit.pki.receiver, "receiver", 2),
        ("organizationalUnit", &kit.pki.device, "evidence", 2),
        ("documentSigning", &kit.pki.device, "transport", 2),
        ("expired on", &expired.reviewers[0], "reviewer", 2),
        ("would not count", &foreign.reviewers[0], "reviewer", 1),
    ] {
        let output = command(&kit, &dir, keys, name, &["--verdict", "accept"]);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{what}: {}",
            said(&output)
        );
        assert!(said(&output).contains(what), "{what}: {}", said(&output));
        assert_eq!(Container::from_dir(&dir).unwrap(), kit.package, "{what}");
    }
}

#[test]
fn a_reason_is_needed_and_bounded() {
    let kit = Kit::new();
    let identity = Identity::load(&kit.pki.reviewers[0], "reviewer").unwrap();
    let with = |reason: &str| {
        let opinion = Opinion {
            verdict: ReviewVerdict::Accept,
            reason,
        };
        review(&kit.package, opinion, &identity, AT)
    };
    for reason in ["", " \n", &"字".repeat(REASON_MAX + 1)] {
        assert!(matches!(with(reason), Err(ReviewError::Reason)));
    }
    assert!(with(&"字".repeat(REASON_MAX)).is_ok());
    let nothing = review(
        &Container::new(),
        Opinion {
            verdict: ReviewVerdict::Reject,
            reason: "empty",
        },
        &identity,
        AT,
    );
    assert!(matches!(nothing, Err(ReviewError::Nothing)));
}

/// The package with the review `made`, its document replaced by `text` and signed `by` somebody.
fn resigned(kit: &Kit, made: &[(String, Vec<u8>); 3], text: &str, by: &Identity) -> Container {
    use base64ct::{Base64, Encoding as _};
    use sha2::{Digest, Sha256};
    let digest = |bytes: &[u8]| Base64::encode_string(&Sha256::digest(bytes));
    let [(document, original), (signature, _), (manifest, own)] = made;
    let own = String::from_utf8(own.clone()).unwrap();
    let xml = own.replace(&digest(original), &digest(text.as_bytes()));
    let p7s = by.sign(xml.as_bytes(), Form::Detached, AT).unwrap();
    let mut package = kit.package.clone();
    package.insert(document, text.as_bytes().to_vec()).unwrap();
    package.insert(manifest, xml.into_bytes()).unwrap();
    package.insert(signature, p7s).unwrap();
    package
}

/// A review that somebody else signed, or that says something else than it should.
#[test]
fn a_review_that_does_not_fit_does_not_count() {
    let kit = Kit::new();
    let reviewer = Identity::load(&kit.pki.reviewers[0], "reviewer").unwrap();
    let receiver = &kit.receiver;
    let opinion = Opinion {
        verdict: ReviewVerdict::Accept,
        reason: "as seen",
    };
    let made = review(&kit.package, opinion, &reviewer, AT).unwrap();
    let original = String::from_utf8(made[0].1.clone()).unwrap();
    let sealed_again = |text: &str, by: &Identity| resigned(&kit, &made, text, by);
    let fine = verify(&sealed_again(&original, &reviewer), &kit.roots);
    assert!(fine.valid(), "{}", fine.page(Language::English));
    let sig = kit.sealed.sig_sha256();
    for (what, text, by) in [
        (
            "another package's",
            original.replace(&sig, &"00".repeat(32)),
            &reviewer,
        ),
        (
            "another name",
            original.replace("reviewer-1", "reviewer-2"),
            &reviewer,
        ),
        (
            "another version",
            original.replace("\"v\": 1", "\"v\": 2"),
            &reviewer,
        ),
        (
            "another kind",
            original.replace("lingmou.review", "x"),
            &reviewer,
        ),
        (
            "another case",
            original.replace("0001\"", "0002\""),
            &reviewer,
        ),
        (
            "a third verdict",
            original.replace("accept", "perhaps"),
            &reviewer,
        ),
        (
            "no time",
            original.replace("2026-08-01T", "yesterday "),
            &reviewer,
        ),
        ("a receiver's", original.clone(), receiver),
        ("the device's", original.clone(), &kit.evidence),
    ] {
        assert!(
            text != original || what.ends_with("'s"),
            "{what} changes nothing"
        );
        let verdict = verify(&sealed_again(&text, by), &kit.roots);
        let failed: Vec<_> = verdict.failed().collect();
        assert_eq!(failed, [CheckId::Review], "{what}");
        assert!(verdict.reviews[0].review.is_none(), "{what}");
    }
}

/// A power cut within the command leaves a review without its end; the next run names what to remove.
#[test]
fn what_is_left_of_a_review_is_named() {
    let kit = Kit::new();
    let dir = kit.folder("package");
    put_all(&dir, &kit.package);
    put(&dir, "META-INF/review003.json", b"{");
    let reviewer = &kit.pki.reviewers[0];
    let attempt = |verdict| command(&kit, &dir, reviewer, "reviewer", &["--verdict", verdict]);
    for verdict in ["accept", "reject"] {
        let output = attempt(verdict);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let words = said(&output);
        assert!(
            words.contains("remove META-INF/review003.json and review it again"),
            "{words}"
        );
    }
    std::fs::remove_file(dir.join("META-INF/review003.json")).unwrap();
    assert_eq!(attempt("accept").status.code(), Some(0));
}

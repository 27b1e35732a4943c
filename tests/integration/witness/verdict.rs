//! What the verifier says of packages that are as they should be.

use lingmou::types::Stamp;
use lingmou::witness::{
    After, Check, CheckId, Language, Status, seal, verify, verify_head, verify_zip,
};

use super::{AT, DEVICE, Kit, assemble, statement};

#[test]
fn the_untouched_package_is_valid_in_every_form() {
    let kit = Kit::new();
    let whole = verify(&kit.package, &kit.roots);
    let page = whole.page(Language::English);
    assert!(whole.valid(), "{page}");
    let missing = |c: &&Check| c.status == Status::Unknown && CheckId::OPTIONAL.contains(&c.id);
    let told = whole.checks.iter().filter(|c| !missing(c));
    assert!(told.clone().all(|c| c.status == Status::Pass), "{page}");
    assert_eq!(
        told.count(),
        CheckId::ALL.len() - 4,
        "all but the receipt is missing"
    );
    assert_eq!(verify_zip(&kit.zip, &kit.roots), whole);
    let signer = whole.signer.unwrap();
    assert_eq!(signer.serial_number.as_deref(), Some(DEVICE));
    assert_eq!(signer.signing_time, 1_785_549_784);

    let before = assemble(&kit.sealed);
    let verdict = verify(&before, &kit.roots);
    assert!(verdict.valid(), "without its receipt");
    assert_eq!(
        verdict.check(CheckId::Receipt).unwrap().status,
        Status::Unknown
    );

    let head = before.head();
    assert!(
        !verify(&head, &kit.roots).valid(),
        "a head is not a package"
    );
    let verdict = verify_head(&head, &kit.roots);
    assert!(verdict.valid(), "{}", verdict.page(Language::English));
    assert_eq!(
        verdict.check(CheckId::Files).unwrap().status,
        Status::Unknown
    );
}

#[test]
fn contradicting_times_are_told_but_do_not_unmake_the_signature() {
    let kit = Kit::new();
    let time_at = |statement, at| {
        let sealed = seal(&statement, &kit.evidence, at).unwrap();
        let verdict = verify(&assemble(&sealed), &kit.roots);
        assert!(verdict.valid());
        verdict.check(CheckId::Time).unwrap().status
    };
    let time = |statement| time_at(statement, AT);
    let mut late = statement(DEVICE);
    late.after = Some(After {
        receipt_sha256: "5e".repeat(32),
        server_time: "2026-08-02T00:00:00Z".to_owned(),
    });
    assert_eq!(time(late), Status::Fail);
    let unsynced = Stamp {
        error_ns: Stamp::ERROR_UNKNOWN,
        ..AT
    };
    assert_eq!(time_at(statement(DEVICE), unsynced), Status::Unknown);
    assert_eq!(time(statement(DEVICE)), Status::Pass);
    let mut ahead = statement(DEVICE);
    ahead.clock.utc = "2026-08-01T02:03:08Z".to_owned();
    assert_eq!(time(ahead.clone()), Status::Fail);
    ahead.clock.max_error_us = Some(2_000_000);
    assert_eq!(time(ahead.clone()), Status::Pass, "as far as is known");
    ahead.clock.max_error_us = None;
    assert_eq!(time(ahead), Status::Pass, "nobody knows");
}

#[test]
fn the_page_speaks_both_languages() {
    let kit = Kit::new();
    let verdict = verify(&kit.package, &kit.roots);
    let chinese = verdict.page(Language::Chinese);
    let english = verdict.page(Language::English);
    let marks =
        |page: &str, marks: &str| page.lines().filter(|l| l.trim().starts_with(marks)).count();
    assert_eq!(
        marks(&chinese, "【"),
        marks(&english, "["),
        "{chinese}{english}"
    );
    for page in [&chinese, &english] {
        assert!(!page.contains(['{', '}']), "a placeholder was left: {page}");
        assert!(page.contains(DEVICE) && page.contains("0198f0a2"), "{page}");
    }
    assert!(
        english.starts_with("Evidence package check\nVALID"),
        "{english}"
    );
    assert!(!chinese.contains("VALID"), "{chinese}");
    let json = serde_json::to_value(&verdict).unwrap();
    assert_eq!(json["valid"], true);
    assert_eq!(json["checks"][0]["id"], "container");
    assert_eq!(json["statement"]["seq"], 123);
}

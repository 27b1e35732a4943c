//! What a device signs of itself: versions, fields, times, sizes and grades that are none.

use lingmou::witness::{Asked, Condition, Grading, Model};

use super::*;

/// The sealed package with another statement, signed by its device all the same.
pub(super) fn restated(kit: &Kit, statement: &str) -> Container {
    assemble(&resealed(kit, statement))
}

pub(super) fn resealed(kit: &Kit, statement: &str) -> Sealed {
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

/// A statement whose conditions are all met, or all but one, with the grade that it names.
pub(super) fn graded(grade: Grade, pass: bool) -> Statement {
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

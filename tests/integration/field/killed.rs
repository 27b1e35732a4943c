//! kill −9 of the real program in the middle of a case.

use super::*;

/// The person at the kerb is found within five seconds of footage; this is three times that.
const FOOTAGE_UNITS: u64 = 150;

#[tokio::test(flavor = "multi_thread")]
async fn a_case_in_its_grace_time_outlives_a_kill() {
    let camera = camera();
    let field = Field::start(&camera.url(STREAM), &|profile| {
        profile["judge"]["street_vending"]["grace_secs"] = value(6.0);
    })
    .await;
    let daemon = field.daemon();
    until(&field, "a case in its grace time", async || {
        field.open_case("grace").is_some()
    })
    .await;
    daemon.kill();
    let case = field.open_case("grace").expect("the book is durable")["id"].clone();
    assert!(!field.package(&case).exists(), "sealed too early");

    let mut daemon = field.daemon();
    let package = field.package(&case);
    until(&field, "its receipt", async || {
        package.join("META-INF/receipt001.p7m").is_file()
    })
    .await;
    daemon.signal(Signal::TERM);
    let status = daemon.ended(DEADLINE).await.unwrap();
    assert_eq!(status.code(), Some(0), "{}", field.log());

    field.audit(&package);
    assert_eq!(field.journal_of("package.sealed", &case).len(), 1);
    assert_eq!(field.journal_of("case.discarded", &case).len(), 0);
    assert_eq!(field.journal_of("warning.played", &case).len(), 1);
    assert_eq!(field.journal_of("warning.failed", &case).len(), 0);
    let statement = fs::read_to_string(package.join("evidence.json")).unwrap();
    let statement: Value = serde_json::from_str(&statement).unwrap();
    assert_eq!(statement["warning"].as_array().unwrap().len(), 1);
    let names: Vec<&str> = statement["files"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|file| file["name"].as_str())
        .filter(|name| name.starts_with("frames/") && !name.contains("marked"))
        .collect();
    assert_eq!(
        names,
        [
            "frames/01-found.jpg",
            "frames/02-warned.jpg",
            "frames/03-again.jpg"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_killed_in_its_warning_is_discarded_and_nobody_is_warned_twice() {
    let camera = camera();
    let field = Field::start(&camera.url(STREAM), &|_| ()).await;
    let daemon = field.daemon();
    let spoken = field.dir.path().join("spoken.wav");
    until(&field, "a warning that plays", async || {
        let begun = fs::metadata(&spoken).is_ok_and(|file| file.len() > 1_000);
        begun && field.open_case("warning").is_some()
    })
    .await;
    daemon.kill();
    let case = field.open_case("warning").expect("the book is durable");
    let (id, area) = (case["id"].clone(), case["area"].clone());

    let _daemon = field.daemon();
    until(&field, "the discarded case", async || {
        !field.journal_of("case.discarded", &id).is_empty()
    })
    .await;
    let discarded = field.journal_of("case.discarded", &id);
    let why = discarded[0]["body"]["why"].as_str().unwrap();
    assert!(why.contains("nobody knows if it was heard"), "{why}");
    // The footage has begun anew: the same person comes to stand at the same place.
    until(&field, "the person seen standing again", async || {
        let status = field.status().await;
        status["cameras"]["street"]["main"]["units_in"]
            .as_u64()
            .is_some_and(|units| units >= FOOTAGE_UNITS)
    })
    .await;
    assert_eq!(field.journal_of("case.discarded", &id).len(), 1);
    assert_eq!(field.journal_of("warning.played", &id).len(), 0);
    assert!(!field.package(&id).exists());
    let book = field.book();
    let here = ["open", "closed"]
        .iter()
        .flat_map(|list| book[list].as_array().unwrap())
        .filter(|other| overlap(&other["area"], &area) >= 0.3)
        .count();
    assert_eq!(here, 1, "warned again at the same place: {book:#}");
}

/// Intersection over union of two areas of the book.
fn overlap(a: &Value, b: &Value) -> f64 {
    let side = |area: &Value, key: &str| area[key].as_f64().unwrap();
    let size = |area: &Value| {
        (side(area, "x1") - side(area, "x0")) * (side(area, "y1") - side(area, "y0"))
    };
    let span = |low: &str, high: &str| {
        let end = side(a, high).min(side(b, high));
        (end - side(a, low).max(side(b, low))).max(0.0)
    };
    let both = span("x0", "x1") * span("y0", "y1");
    both / (size(a) + size(b) - both)
}

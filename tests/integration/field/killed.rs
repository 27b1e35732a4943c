//! kill −9 of the real program in the middle of a case.

use serde_json::json;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_case_in_its_grace_time_outlives_a_kill() {
    // Who is warned stays: of passers-by another may stand there at the second look, and no package comes.
    let film = tempfile::tempdir().unwrap();
    let camera = camera_of(&standing(film.path()), 0);
    let field = Field::start(&camera.url(STREAM), &|profile| {
        profile["judge"]["street_vending"]["grace_secs"] = value(6.0);
    })
    .await;
    command::reviewers_reject_what_was_sealed(&field);
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
    let ended = told(&field, &case);
    assert!(
        ["persisted", "corrected"].contains(&ended.as_str()),
        "{ended}"
    );
    let runs = field.journal("boot");
    let runs: Vec<&Value> = runs.iter().map(|line| &line["body"]["last_run"]).collect();
    assert_eq!(runs, ["none", "not_closed"]);
    the_journal_holds(&field);
    let statement = fs::read_to_string(package.join("evidence.json")).unwrap();
    let statement: Value = serde_json::from_str(&statement).unwrap();
    assert_eq!(statement["warning"].as_array().unwrap().len(), 1);
    // Reviewers had objected to the rule: a lead, by that alone or by more, over the kill.
    let grading = &statement["grade"];
    assert_eq!(grading["grade"], "lead", "{grading}");
    let conditions = grading["conditions"].as_array().unwrap();
    let objections = conditions.iter().find(|c| c["id"] == "objections");
    let objections = objections.expect("it is stated why");
    assert_eq!(
        (&objections["value"], &objections["pass"]),
        (&json!("rejected 2, judged 2"), &json!(false))
    );
    let names: Vec<&str> = statement["files"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|file| file["name"].as_str())
        .filter(|name| name.starts_with("frames/"))
        .filter(|name| !name.contains("-marked") && !name.contains("-close"))
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
    assert!(why.contains("known whether the warning was heard"), "{why}");
    // The footage has begun anew: the same person comes to stand at the same place.
    until(&field, "the place left in peace", async || {
        let hits = field.journal_of("rule.hit", &id);
        hits.iter()
            .any(|hit| hit["body"]["outcome"] == "cooling_down")
    })
    .await;
    assert_eq!(field.journal_of("case.discarded", &id).len(), 1);
    assert_eq!(field.journal_of("warning.played", &id).len(), 0);
    assert_eq!(told(&field, &id), "discarded");
    assert!(!field.package(&id).exists());
    let book = field.book();
    let here = ["open", "closed"]
        .iter()
        .flat_map(|list| book[list].as_array().unwrap())
        .filter(|other| overlap(&other["area"], &area) >= 0.3)
        .count();
    assert_eq!(here, 1, "warned again at the same place: {book:#}");
}

/// How the journal says the case ended, over the kill: it was opened once and ended once.
fn told(field: &Field, case: &Value) -> String {
    let hits = field.journal_of("rule.hit", case);
    let outcome = |line: &Value| line["body"]["outcome"].as_str().unwrap().to_owned();
    let mut outcomes: Vec<String> = hits.iter().map(outcome).collect();
    outcomes.retain(|outcome| !["belongs", "cooling_down"].contains(&outcome.as_str()));
    assert_eq!(outcomes.len(), 2, "{hits:#?}");
    assert_eq!(outcomes[0], "opened");
    outcomes.remove(1)
}

/// The chain is whole and signed up to the word that the daemon ended.
pub(super) fn the_journal_holds(field: &Field) {
    let roots = Roots::load(&field.pki.root()).unwrap();
    let store = field.dir.path().join("device");
    let audit = lingmou::journal::audit(&store, &roots, Some(DEVICE)).unwrap();
    assert!(audit.holds(), "{:?}", audit.faults);
    let ended = field.journal("shutdown");
    assert_eq!(ended.last().unwrap()["n"], audit.signed.unwrap().n);
}

/// Intersection over union of two areas of the book.
pub(super) fn overlap(a: &Value, b: &Value) -> f64 {
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

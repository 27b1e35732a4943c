//! kill −9 of the real program, of its broker and of its receiver at random moments in a loop, while
//! four people stand at the kerb before its camera, are warned, and warned no more while the place rests.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::killed::overlap;
use super::*;
use crate::crash::{kills, seeded};
use crate::hands::Dice;
use crate::kill_loop::{Ends, Process, audit, receiver};

/// Kills where the environment says nothing else.
const KILLS_ORDINARY: u32 = 6;
/// Kills of one box; then another begins, with a budget of announcements that is not used up.
const KILLS_OF_A_BOX: u32 = 20;
/// Whom a kill is for.
const VICTIMS: [&str; 4] = ["box", "box", "broker", "receiver"];
/// The next line of the journal that a kill waits for, if any, and within how many milliseconds after it
/// comes. So most of a case's life is hit: looks and pictures, the warning, the time to correct, the
/// second look, the seal, the sending; without a line: the start.
const AIMS: [(Option<&str>, u64); 6] = [
    (None, 3_000),
    (Some("rule.hit"), 200),
    (Some("warning.begun"), 1_500),
    (Some("warning.played"), 3_000),
    (Some("package.sealed"), 300),
    (Some("package.receipted"), 300),
];
/// How long a kill waits for its line at most.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a place rests: longer than anything here goes without looking at the book.
const REST: SignedDuration = SignedDuration::from_secs(6);
/// Times in the journal are told in milliseconds by a clock that may be slewed meanwhile.
const ROUNDED: SignedDuration = SignedDuration::from_millis(100);
#[tokio::test(flavor = "multi_thread")]
async fn random_kills_lose_nothing_of_the_whole_daemon_and_warn_nobody_twice() {
    let dir = tempfile::tempdir().unwrap();
    let film = standing(dir.path());
    let mut dice = seeded();
    let mut left = kills(KILLS_ORDINARY);
    let mut told = BTreeMap::new();
    while left > 0 {
        let now = left.min(KILLS_OF_A_BOX);
        left -= now;
        one_box(dir.path(), &film, (now, &mut dice), &mut told).await;
    }
    println!("{told:?}; none lost, none twice, none half signed, nobody warned twice");
}

/// The life of one box over so many kills, and what must be true after it.
async fn one_box(
    dir: &Path,
    film: &Path,
    (kills, dice): (u32, &mut Dice),
    told: &mut BTreeMap<String, u32>,
) {
    let camera = camera_of(film, 0);
    let edit = |profile: &mut DocumentMut| fast(profile, dir);
    let own = |pki: &TestPki| [pki.device.clone(), pki.receiver.clone()];
    let mut field = Field::without_receiver(&camera.url(STREAM), &edit, own).await;
    let mut count = |what: String| *told.entry(what).or_default() += 1;
    let mut receiver = take(&field);
    let mut daemon = field.daemon();
    let mut watch = Watch::default();
    watch.wait_for(&field, "boot", 1).await;
    for _ in 0..kills {
        let (line, within_ms) = AIMS[pick(dice, AIMS.len())];
        if let Some(line) = line {
            watch.wait_a_while_for(&field, line).await;
        }
        sleep(Duration::from_millis(dice.below(within_ms))).await;
        let victim = VICTIMS[pick(dice, VICTIMS.len())];
        match victim {
            "box" => {
                let ended = daemon.ended(Duration::ZERO).await;
                assert!(ended.is_none(), "by itself: {ended:?}\n{}", field.log());
                daemon.kill();
                watch.look(&field);
                phases(&field).into_iter().for_each(&mut count);
                daemon = field.daemon();
            }
            "broker" => {
                field.broker.kill().unwrap();
                field.broker.restart().await.unwrap();
            }
            _ => {
                receiver.kill();
                receiver = take(&field);
            }
        }
        count(format!("{victim} killed"));
    }
    // After all that it goes on.
    let before = lines(&field, "package.sealed");
    watch.wait_for(&field, "package.sealed", before + 1).await;
    end_in_order(&field, daemon).await;
    watch.look(&field);
    // Nobody is seen any more: what is left is sent.
    drop(camera);
    let boots = lines(&field, "boot");
    let daemon = field.daemon();
    watch.wait_for(&field, "boot", boots + 1).await;
    until(&field, "every receipt", async || {
        let receipt = |id: &String| field.packages().join(id).join(witness::RECEIPT);
        sealed(&field).iter().all(|id| receipt(id).is_file())
    })
    .await;
    end_in_order(&field, daemon).await;
    drop(receiver);
    for id in nothing_is_lost(&field) {
        watch.sealed.insert(id);
        count("packages".to_owned());
    }
    watch.judge(&field);
}

/// Which of so many.
fn pick(dice: &mut Dice, of: usize) -> usize {
    usize::try_from(dice.below(of as u64)).unwrap()
}

/// The receiver, as a process, with an authority for time-stamps.
fn take(field: &Field) -> Process {
    let dir = field.dir.path();
    let authority = tsa::command(&dir.join("tsa"), &field.pki).unwrap();
    let more = ["--tsa-command".to_owned(), authority.join(" ")];
    receiver((&field.receiver_keys, dir), field.broker.port(), &more)
}

pub(super) async fn end_in_order(field: &Field, mut daemon: Daemon) {
    daemon.signal(Signal::TERM);
    let status = daemon.ended(DEADLINE).await.unwrap();
    assert!(status.success(), "{status}\n{}", field.log());
}

/// What the box was doing when it was killed, by its durable book: each open case's phase.
fn phases(field: &Field) -> Vec<String> {
    let book = field.book();
    let open = book["open"].as_array().into_iter().flatten();
    let mut phases: Vec<String> = open
        .filter_map(|case| Some(format!("in {}", case["phase"]["phase"].as_str()?)))
        .collect();
    if sealed(field)
        .iter()
        .any(|id| !field.packages().join(id).join(witness::RECEIPT).is_file())
    {
        phases.push("with a package unsent".to_owned());
    }
    if phases.is_empty() {
        phases.push("idle".to_owned());
    }
    phases
}

/// The journal's lines of `kind`, without reading them.
pub(super) fn lines(field: &Field, kind: &str) -> usize {
    field
        .journal_text()
        .matches(&format!("\"kind\":\"{kind}\""))
        .count()
}

/// The packages that the journal says are sealed; none is said twice.
pub(super) fn sealed(field: &Field) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for kind in ["package.sealed", "package.adopted"] {
        for line in field.journal(kind) {
            let id = line["body"]["id"].as_str().unwrap().to_owned();
            assert!(ids.insert(id), "sealed twice: {line}");
        }
    }
    ids
}

/// Cases are over in seconds, and come again as soon as a place has rested.
pub(super) fn fast(profile: &mut DocumentMut, dir: &Path) {
    let rule = &mut profile["judge"]["street_vending"];
    rule["dwell_secs"] = value(1.0);
    rule["grace_secs"] = value(1.0);
    rule["cool_down_secs"] = value(REST.as_secs_f64());
    let [identity, warning] = clips(dir).map(|path| path.to_string_lossy().into_owned());
    profile["warn"]["identity"] = value(identity);
    profile["warn"]["street_vending"] = value(warning.as_str());
    profile["warn"]["out_of_store"] = value(warning);
    for (budget, times) in [
        ("per_place_hour", 60),
        ("per_place_day", 60),
        ("per_hour", 60),
    ] {
        profile["warn"]["budget"][budget] = value(times);
    }
    profile["evidence"]["clip_before_secs"] = value(2.0);
    profile["evidence"]["clip_after_secs"] = value(1.0);
    let (lat, lon) = CENTRE;
    profile["telemetry"]["source"] = value("fixed");
    profile["telemetry"]["lat"] = value(lat);
    profile["telemetry"]["lon"] = value(lon);
}

/// Beginnings of the demonstration's identity and warning, a second in all.
fn clips(dir: &Path) -> [PathBuf; 2] {
    [("identity.wav", "0.4"), ("test.wav", "0.6")].map(|(name, secs)| {
        let (from, to) = (root().join("config/clips").join(name), dir.join(name));
        let [from, to_text] = [&from, &to].map(|path| path.to_str().unwrap());
        tool(
            "ffmpeg",
            &["-v", "error", "-y", "-i", from, "-t", secs, to_text],
        );
        to
    })
}

/// What the journal says of a case.
struct Story {
    zone: String,
    opened: Timestamp,
    /// How it ended, and when.
    end: Option<(String, Timestamp)>,
}

/// What was seen of the box from outside.
#[derive(Default)]
struct Watch {
    /// Where each case stands in the picture, as the durable book had it.
    places: BTreeMap<String, Value>,
    /// The packages that were found in the end.
    sealed: BTreeSet<String>,
}

impl Watch {
    fn look(&mut self, field: &Field) {
        let book = field.book();
        for (list, id) in [("open", "id"), ("closed", "case")] {
            for case in book[list].as_array().into_iter().flatten() {
                let id = case[id].as_str().unwrap().to_owned();
                self.places.entry(id).or_insert(case["area"].clone());
            }
        }
    }

    /// Waits until the journal has so many lines of `kind`.
    async fn wait_for(&mut self, field: &Field, kind: &str, wanted: usize) {
        until(field, kind, async || {
            self.look(field);
            lines(field, kind) >= wanted
        })
        .await;
    }

    /// Waits for another line of `kind`; not for ever, for it may not come before somebody is killed.
    async fn wait_a_while_for(&mut self, field: &Field, kind: &str) {
        let before = lines(field, kind);
        let patience = Instant::now() + PATIENCE;
        while lines(field, kind) == before && Instant::now() < patience {
            self.look(field);
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Holds the journal and the packages against what must be true of every case.
    fn judge(&self, field: &Field) {
        let stories = stories(field);
        let book = field.book();
        let open: BTreeSet<&str> = book["open"]
            .as_array()
            .unwrap()
            .iter()
            .map(|case| case["id"].as_str().unwrap())
            .collect();
        for (id, story) in &stories {
            let ended = story.end.as_ref().map(|(outcome, _)| outcome.as_str());
            assert_eq!(ended.is_none(), open.contains(id.as_str()), "{id}");
            let of_package = self.sealed.contains(id).then(|| {
                let path = field.packages().join(id).join(witness::STATEMENT);
                let statement: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
                let warnings = statement["warning"].as_array().unwrap();
                assert_eq!(warnings.len(), 1, "{id}");
                statement["violation"]["outcome"].clone()
            });
            let makes_one = ended.is_some_and(|end| ["persisted", "corrected"].contains(&end));
            assert_eq!(of_package.is_some(), makes_one, "{id} {ended:?}");
            if let Some(outcome) = of_package {
                assert_eq!(outcome.as_str(), ended, "{id}");
            }
        }
        let told = |id: &String| stories.contains_key(id);
        assert!(self.sealed.iter().all(told), "packages of no case");
        self.nobody_is_warned_twice(field, &stories);
    }

    fn nobody_is_warned_twice(&self, field: &Field, stories: &BTreeMap<String, Story>) {
        let count = |kind: &str| {
            let mut cases = BTreeMap::new();
            for line in field.journal(kind) {
                let case = line["body"]["case"].as_str().unwrap().to_owned();
                *cases.entry(case).or_insert(0) += 1;
            }
            cases
        };
        let begun: BTreeMap<String, u32> = count("warning.begun");
        let (played, failed) = (count("warning.played"), count("warning.failed"));
        for (id, times) in &begun {
            let failed = failed.get(id).copied().unwrap_or(0);
            assert!(*times <= 1 + failed, "{id} was warned {times} times");
        }
        assert!(played.values().all(|times| *times == 1), "{played:?}");
        let warned = || stories.iter().filter(|(id, _)| begun.contains_key(*id));
        for (id, story) in warned() {
            let place = self.places.get(id).expect("warned before the book had it");
            for (other, before) in warned().filter(|(_, it)| it.opened < story.opened) {
                let same = before.zone == story.zone && overlap(&self.places[other], place) >= 0.3;
                let rested = match &before.end {
                    _ if !same => true,
                    // Who came instead of one that was warned was not.
                    Some((outcome, _)) if outcome == "replaced" => true,
                    Some((_, at)) => story.opened.duration_since(*at) + ROUNDED >= REST,
                    None => false,
                };
                assert!(
                    rested,
                    "{id} was warned at the place of {other}, which had not rested: {} at {place}, \
                     after {} to {:?} at {}",
                    story.opened, before.opened, before.end, self.places[other],
                );
            }
        }
    }
}

/// Every case that the journal tells of: opened once, ended at most once.
fn stories(field: &Field) -> BTreeMap<String, Story> {
    let mut stories = BTreeMap::new();
    for line in field.journal("rule.hit") {
        let text = |key: &str| line["body"][key].as_str().unwrap().to_owned();
        let (case, outcome) = (text("case"), text("outcome"));
        let at: Timestamp = text("at").parse().unwrap();
        match outcome.as_str() {
            "belongs" | "cooling_down" => {}
            "opened" => {
                let story = Story {
                    zone: text("zone"),
                    opened: at,
                    end: None,
                };
                assert!(
                    stories.insert(case, story).is_none(),
                    "opened twice: {line}"
                );
            }
            _ => {
                let story = stories.get_mut(&case);
                let story = story.unwrap_or_else(|| panic!("never opened: {line}"));
                assert_eq!(story.end, None, "ended twice: {line}");
                story.end = Some((outcome, at));
            }
        }
    }
    stories
}

/// Journal and store are whole over all kills, and each package is there once, here and at the
/// receiver; which they are.
pub(super) fn nothing_is_lost(field: &Field) -> BTreeSet<String> {
    let runs = field.journal("boot");
    let runs: Vec<&str> = runs
        .iter()
        .map(|line| line["body"]["last_run"].as_str().unwrap())
        .collect();
    let (first, [killed @ .., after_the_end]) = runs.split_first().expect("it ran") else {
        panic!("{runs:?}");
    };
    assert_eq!((*first, *after_the_end), ("none", "closed"));
    assert!(killed.iter().all(|end| *end == "not_closed"), "{runs:?}");
    for kind in [
        "book.lost",
        "capture.refused",
        "case.dropped",
        "head.foreign",
        "journal.lost",
        "package.damaged",
        "package.failed",
        "store.rebuilt",
    ] {
        assert_eq!(field.journal(kind), Vec::<Value>::new());
    }
    let discarded = field.journal("case.discarded");
    let ids: BTreeSet<&str> = discarded
        .iter()
        .map(|line| line["body"]["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), discarded.len(), "{discarded:#?}");
    killed::the_journal_holds(field);
    let dir = field.dir.path();
    let (store, all) = audit(
        &Ends {
            device: DEVICE,
            store: &dir.join("device"),
            receiver: dir,
            roots: &field.pki.root(),
        },
        &sealed(field),
    );
    let book = field.book();
    let open = book["open"].to_string();
    for case in store.open_cases().unwrap() {
        assert!(
            open.contains(&case.to_string()),
            "{case}: a draft of no case"
        );
    }
    all
}

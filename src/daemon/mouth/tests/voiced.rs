//! Book and governor as the daemon joins them, over random histories: what is ordered is carried out, the
//! book saved, the warning given to the mouth, charged in the journal, played and reported back, and between any
//! two of these the process may end or the power fail.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use jiff::tz::TimeZone;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as Settings, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;

use super::STALE_AFTER;
use crate::config::{self, Budget, Calendar, Camera, Config, Zone, ZoneKind};
use crate::judge::tests::scene;
use crate::judge::{Ended, Judge};
use crate::types::{CaseId, HitOutcome, Order, Outcome, Point, Role, Stamp, WarnReport};
use crate::warn::{Ask, By, Governor, Hush, Ledger, Travel};

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3600;
/// An error bound as NTP gives it.
const GOOD: u64 = 20_000_000;
/// When the world begins, UTC: nine in the morning in Shanghai.
const BEGINS: i64 = 1_790_125_200;
/// Places on the street, each a zone of its own.
const PLACES: u8 = 3;
const COOL_DOWN: u64 = 300;
/// A warning sounds for so long.
const SOUNDS: u64 = 5;
/// A box takes so long to start.
const STARTS: u64 = 40;
const BUDGET: Budget = Budget {
    per_case: 2,
    per_place_hour: 2,
    per_place_day: 4,
    per_hour: 3,
    per_day: 6,
    per_night: 2,
};

/// Where a run may be cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cut {
    /// Between two orders of a step, or behind the last: the book does not know of them.
    Carried,
    /// The book is saved, and nobody was told to speak.
    Saved,
    /// The warning is charged, and nothing has sounded.
    Charged,
    /// It sounds.
    Sounding,
    /// It has sounded, and the book does not know.
    Sounded,
    /// Between two steps.
    Idle,
}

/// How a run ends: the process alone, or the box, whose clock then is wrong by so many seconds where
/// nobody vouches for it.
#[derive(Clone, Copy, Debug)]
enum Fall {
    Process,
    Power { wrong_by: Option<i64> },
}

/// What becomes of a warning that the governor allows.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Heard,
    Silent,
    /// Some of it sounded.
    Broken,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Come {
        place: u8,
    },
    Go {
        place: u8,
    },
    /// The camera looks so often, every two seconds.
    Look {
        times: u8,
    },
    /// Nobody looks for so many minutes.
    Pass {
        minutes: u8,
    },
    /// The mouth takes the next warning.
    Speak(Ending),
    /// The clock is set right, and the journal says so.
    ClockSet,
    /// The run ends where it next comes to this.
    Cut(Cut, Fall),
}

fn history() -> impl Strategy<Value = Vec<Event>> {
    let place = || 0..PLACES;
    let ending =
        prop_oneof![6 => Just(Ending::Heard), 1 => Just(Ending::Silent), 1 => Just(Ending::Broken)];
    let cut = prop_oneof![
        Just(Cut::Carried),
        Just(Cut::Saved),
        Just(Cut::Charged),
        Just(Cut::Sounding),
        Just(Cut::Sounded),
        Just(Cut::Idle),
    ];
    let wrong_by = prop_oneof![Just(None), (-100_000_i64..100_000).prop_map(Some)];
    let fall = prop_oneof![
        Just(Fall::Process),
        wrong_by.prop_map(|wrong_by| Fall::Power { wrong_by }),
    ];
    let event = prop_oneof![
        4 => place().prop_map(|place| Event::Come { place }),
        1 => place().prop_map(|place| Event::Go { place }),
        9 => (4_u8..14).prop_map(|times| Event::Look { times }),
        3 => (2_u8..12).prop_map(|minutes| Event::Pass { minutes }),
        9 => ending.prop_map(Event::Speak),
        1 => Just(Event::ClockSet),
        1 => (cut, fall).prop_map(|(cut, fall)| Event::Cut(cut, fall)),
    ];
    proptest::collection::vec(event, 30..80)
}

/// A line of the journal that the governor is told of at the start.
enum Line {
    Begun(Value),
    Clock(i64),
}

/// What sounded.
struct Sound {
    at: u64,
    zone: String,
    case: CaseId,
}

/// What happened in a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Sounded,
    /// At a place at which it had before.
    SoundedAgain,
    /// After a boot that was not the first.
    SoundedInALaterBoot,
    OverBudget,
    Ended(&'static str),
    Cut(Cut),
}

struct World {
    config: Config,
    judge: Judge,
    governor: Governor,
    /// True time, seconds since the world began.
    t: u64,
    boot: u64,
    booted: u64,
    wrong_by: Option<i64>,
    /// On the disk.
    book: Option<String>,
    journal: Vec<Line>,
    opened: BTreeSet<CaseId>,
    ended: HashMap<CaseId, Ended>,
    /// In memory.
    shouts: VecDeque<(CaseId, String, Stamp)>,
    /// How the run is to be cut off.
    plan: Option<(Cut, Fall)>,
    /// Where something stands.
    things: BTreeSet<u8>,
    sounds: Vec<Sound>,
    heard: BTreeSet<CaseId>,
    seen: BTreeSet<Seen>,
}

fn config(quiet: bool) -> Config {
    let mut config = Config::default();
    config.camera.push(Camera {
        name: "cam0".to_owned(),
        ..Camera::default()
    });
    for place in 0..PLACES {
        let (x0, x1) = (left(place) - 0.05, left(place) + 0.2);
        let corners = [(x0, 0.5), (x1, 0.5), (x1, 1.0), (x0, 1.0)];
        config.zone.push(Zone {
            name: format!("zone{place}"),
            camera: "cam0".to_owned(),
            kind: ZoneKind::NoVending,
            polygon: corners.map(|(x, y)| Point { x, y }).to_vec(),
            ..Zone::default()
        });
    }
    let vending = &mut config.judge.street_vending;
    (vending.dwell_secs, vending.grace_secs) = (10.0, 30.0);
    vending.cool_down_secs = 300.0;
    config.warn.budget = BUDGET;
    if !quiet {
        config.warn.quiet_from.clone_from(&config.warn.quiet_to);
    }
    config
}

/// The left edge of what stands at a place.
fn left(place: u8) -> f32 {
    f32::from(place) * 0.3 + 0.1
}

fn judge(config: &Config, boot: u64) -> Judge {
    let known = Role::ALL.into_iter().collect();
    let calendar = Calendar::plain(TimeZone::UTC);
    Judge::new(config, &calendar, known, &boot.to_string()).unwrap()
}

fn governor(config: &config::Warn, boot: u64, journal: &[Line]) -> Governor {
    let mut ledger = Ledger::new(&boot.to_string());
    for line in journal {
        match line {
            Line::Begun(body) => ledger.recall_said(body),
            Line::Clock(utc_by) => ledger.no_later_than(*utc_by),
        }
    }
    Governor::new(config, "Asia/Shanghai", ledger).unwrap()
}

impl World {
    fn new(quiet: bool) -> Self {
        let config = config(quiet);
        Self {
            judge: judge(&config, 0),
            governor: governor(&config.warn, 0, &[]),
            config,
            t: 100,
            boot: 0,
            booted: 0,
            wrong_by: None,
            book: None,
            journal: Vec::new(),
            opened: BTreeSet::new(),
            ended: HashMap::new(),
            shouts: VecDeque::new(),
            plan: None,
            things: BTreeSet::new(),
            sounds: Vec::new(),
            heard: BTreeSet::new(),
            seen: BTreeSet::new(),
        }
    }

    fn now(&self) -> Stamp {
        let utc = BEGINS + i64::try_from(self.t).unwrap() + self.wrong_by.unwrap_or(0);
        Stamp {
            utc_ns: utc * 1_000_000_000,
            boot_ns: (self.t - self.booted) * SECOND,
            error_ns: self.wrong_by.map_or(GOOD, |_| Stamp::ERROR_UNKNOWN),
        }
    }

    fn live(&mut self, event: Event) -> Result<(), TestCaseError> {
        match event {
            Event::Come { place } => drop(self.things.insert(place)),
            Event::Go { place } => drop(self.things.remove(&place)),
            Event::Look { times } => {
                for _ in 0..times {
                    self.t += 2;
                    self.look()?;
                }
            }
            Event::Pass { minutes } => self.t += u64::from(minutes) * 60,
            Event::Speak(ending) => self.speak(ending)?,
            Event::ClockSet => {
                self.wrong_by = None;
                let now = self.now();
                let utc_by = now.utc_ns.saturating_add_unsigned(now.error_ns);
                self.journal.push(Line::Clock(utc_by));
            }
            Event::Cut(cut, fall) => self.plan = Some((cut, fall)),
        }
        self.is_cut(Cut::Idle)?;
        Ok(())
    }

    /// Eye and keeper: one look, what it orders, and the book.
    fn look(&mut self) -> Result<(), TestCaseError> {
        let things = self.things.iter();
        let things: Vec<_> = things
            .map(|place| (u64::from(*place), Role::Stall, left(*place), 0.8))
            .collect();
        let mut seen = scene(0.0, &things);
        seen.at = self.now();
        for track in &mut seen.tracks {
            (track.first_seen, track.last_seen) = (seen.at, seen.at);
        }
        let orders = self.judge.step(&seen);
        if orders.is_empty() {
            return Ok(());
        }
        let book = self.judge.book();
        let (warnings, others): (Vec<_>, Vec<_>) = orders
            .into_iter()
            .partition(|order| matches!(order, Order::Warn { .. }));
        for order in &others {
            self.carry(order)?;
            if self.is_cut(Cut::Carried)? {
                return Ok(());
            }
        }
        self.book = Some(book);
        if self.is_cut(Cut::Saved)? {
            return Ok(());
        }
        for order in warnings {
            if let Order::Warn { case, zone, .. } = order {
                self.shouts.push_back((case, zone, seen.at));
            }
        }
        Ok(())
    }

    /// What an order leaves on the disk.
    fn carry(&mut self, order: &Order) -> Result<(), TestCaseError> {
        let case = order.case();
        let rests =
            matches!(order, Order::Hit { hit, .. } if hit.outcome == HitOutcome::CoolingDown);
        prop_assert_eq!(self.ended.contains_key(&case), rests, "{:?}", order);
        match order {
            Order::Hit { hit, .. } if hit.outcome == HitOutcome::Opened => {
                prop_assert!(self.opened.insert(case), "opened twice");
            }
            Order::Seal { record, .. } => {
                prop_assert!(self.heard.contains(&case), "sealed unheard: {:?}", record);
                self.seen.insert(Seen::Ended(record.outcome.name()));
                prop_assert!(record.outcome != Outcome::Recorded);
                self.ended.insert(case, Ended::Sealed);
            }
            Order::Discard { .. } => {
                self.seen.insert(Seen::Ended("discarded"));
                self.ended.insert(case, Ended::Discarded);
            }
            _ => {}
        }
        Ok(())
    }

    /// The mouth: the next warning, and what became of it.
    fn speak(&mut self, ending: Ending) -> Result<(), TestCaseError> {
        let Some((case, zone, since)) = self.shouts.pop_front() else {
            return Ok(());
        };
        let at = self.now();
        let mut report = WarnReport {
            failure: Some("not played".to_owned()),
            ..WarnReport::in_full(case, at, Duration::ZERO)
        };
        let ask = Ask {
            at,
            lasts: Duration::from_secs(SOUNDS),
            zone: &zone,
            heard_in: &[],
            case: Some(case),
            by: &By::Rule,
            travel: Travel::Fixed,
        };
        match self.governor.rule(&ask) {
            _ if at.since(since) > STALE_AFTER => {}
            Err(why) => {
                if matches!(why, Hush::Budget { .. }) {
                    self.seen.insert(Seen::OverBudget);
                }
                report.hushed = Some(why.to_string());
            }
            Ok(_) => {
                let line = self.governor.charge(&ask, "");
                self.journal.push(Line::Begun(line));
                if self.is_cut(Cut::Charged)? {
                    return Ok(());
                }
                if !matches!(ending, Ending::Silent) {
                    self.sounds(case, zone)?;
                    report.played = Duration::from_secs(SOUNDS);
                }
                if self.is_cut(Cut::Sounding)? {
                    return Ok(());
                }
                if matches!(ending, Ending::Heard) {
                    report.failure = None;
                    self.heard.insert(case);
                }
                self.t += SOUNDS;
                if self.is_cut(Cut::Sounded)? {
                    return Ok(());
                }
            }
        }
        self.judge.hear(report);
        Ok(())
    }

    /// Something sounds, and holds against what the street was promised.
    fn sounds(&mut self, case: CaseId, zone: String) -> Result<(), TestCaseError> {
        let t = self.t;
        let count = |secs: u64, of: &dyn Fn(&Sound) -> bool| {
            let young = self.sounds.iter().filter(|s| t - s.at < secs);
            u32::try_from(young.filter(|s| of(s)).count()).unwrap()
        };
        let here = |s: &Sound| s.zone == zone;
        for (limit, said) in [
            (1, count(COOL_DOWN, &here)),
            (1, count(u64::MAX, &|s| s.case == case)),
            (BUDGET.per_place_hour, count(HOUR, &here)),
            (BUDGET.per_place_day, count(24 * HOUR, &here)),
            (BUDGET.per_hour, count(HOUR, &|_| true)),
            (BUDGET.per_day, count(24 * HOUR, &|_| true)),
        ] {
            prop_assert!(said < limit, "{} of {} at {}", said, limit, zone);
        }
        let warn = &self.config.warn;
        let local = (BEGINS / 3600 + 8 + i64::try_from(t / HOUR).unwrap()).rem_euclid(24);
        prop_assert!(warn.quiet_from == warn.quiet_to || (7..22).contains(&local));
        let again = self.sounds.iter().any(here);
        let later = self.boot > 0;
        let told = [
            Some(Seen::Sounded),
            again.then_some(Seen::SoundedAgain),
            later.then_some(Seen::SoundedInALaterBoot),
        ];
        self.seen.extend(told.into_iter().flatten());
        self.sounds.push(Sound { at: t, zone, case });
        Ok(())
    }

    /// Whether the run ends here; if so the next one has begun.
    fn is_cut(&mut self, here: Cut) -> Result<bool, TestCaseError> {
        let Some((_, fall)) = self.plan.take_if(|(cut, _)| *cut == here) else {
            return Ok(false);
        };
        self.seen.insert(Seen::Cut(here));
        if let Fall::Power { wrong_by } = fall {
            self.boot += 1;
            self.booted = self.t;
            self.t += STARTS;
            self.wrong_by = wrong_by;
        }
        self.shouts.clear();
        self.judge = judge(&self.config, self.boot);
        if let Some(saved) = &self.book {
            let ended = |case| self.ended.get(&case).copied();
            prop_assert_eq!(self.judge.resume(saved, ended).unwrap(), 0);
        }
        self.governor = governor(&self.config.warn, self.boot, &self.journal);
        // What was opened and is not in the book is told to have ended.
        let lost = self
            .opened
            .iter()
            .filter(|case| !self.judge.is_open(**case));
        for case in lost {
            self.ended.entry(*case).or_insert(Ended::Discarded);
        }
        Ok(true)
    }

    fn holds(&self) -> Result<(), TestCaseError> {
        for case in &self.opened {
            let over = self.ended.contains_key(case);
            prop_assert!(over != self.judge.is_open(*case), "ended, or open");
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// No sound without budget, none within the cool-down at one place, nothing sealed that was not heard, and
    /// a case ends once.
    #[test]
    fn whatever_is_cut_off_nobody_is_warned_twice_or_beyond_the_budget(
        quiet in any::<bool>(),
        events in history(),
    ) {
        let mut world = World::new(quiet);
        for event in events {
            world.live(event)?;
            world.holds()?;
        }
    }
}

/// A property of histories in which nothing is said would hold for any book and any governor.
#[test]
fn histories_warn_and_seal_and_are_cut_off_everywhere() {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Settings::default(), rng);
    let mut histories: BTreeMap<Seen, u32> = BTreeMap::new();
    for n in 0..64 {
        let mut world = World::new(n % 2 == 0);
        for event in history().new_tree(&mut runner).unwrap().current() {
            world.live(event).unwrap();
        }
        for seen in world.seen {
            *histories.entry(seen).or_default() += 1;
        }
    }
    for (seen, least) in [
        (Seen::Sounded, 32),
        (Seen::SoundedAgain, 8),
        (Seen::SoundedInALaterBoot, 8),
        (Seen::OverBudget, 4),
        (Seen::Ended("persisted"), 16),
        (Seen::Ended("corrected"), 3),
        (Seen::Ended("discarded"), 16),
        (Seen::Cut(Cut::Carried), 8),
        (Seen::Cut(Cut::Saved), 4),
        (Seen::Cut(Cut::Charged), 4),
        (Seen::Cut(Cut::Sounding), 4),
        (Seen::Cut(Cut::Sounded), 3),
        (Seen::Cut(Cut::Idle), 8),
    ] {
        let found = histories.get(&seen).copied().unwrap_or_default();
        assert!(found >= least, "{seen:?} in {found}: {histories:?}");
    }
}

//! The book's invariants over random histories of a street: things that come, stay and go,
//! lorries, loudspeakers that work or do not, drop-outs, restarts and reboots.

use std::collections::BTreeMap;

use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as Settings, TestRunner};

use super::*;

/// Where a thing may stand: places that do not overlap.
const PLACES: u8 = 4;

/// What may happen on a street.
#[derive(Clone, Debug)]
enum Event {
    /// A thing comes to a place, to stay.
    Come { role: Role, place: u8 },
    /// Whatever stands at a place goes.
    Go { place: u8 },
    /// The camera looks so often, so many seconds apart.
    Look { times: u8, secs: f64 },
    /// A lorry drives through, and may lose something at a place.
    Lorry { loses: Option<u8> },
    /// No picture for so many seconds.
    Dark { secs: f64 },
    /// What became of the warnings that were ordered.
    Told(Ending),
    /// Another process, of the same boot or of another.
    Restart { same_boot: bool },
}

/// What became of a warning.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Heard,
    Unheard,
    Hushed,
}

fn history() -> impl Strategy<Value = Vec<Event>> {
    let role = prop_oneof![Just(Role::Stall), Just(Role::Furniture), Just(Role::Debris)];
    let place = 0..PLACES;
    let come = (role, place.clone()).prop_map(|(role, place)| Event::Come { role, place });
    let look = (1_u8..30, 0.2_f64..2.5).prop_map(|(times, secs)| Event::Look { times, secs });
    let lorry = proptest::option::of(place.clone()).prop_map(|loses| Event::Lorry { loses });
    let told = prop_oneof![
        6 => Just(Ending::Heard),
        2 => Just(Ending::Unheard),
        1 => Just(Ending::Hushed),
    ];
    let event = prop_oneof![
        4 => come,
        2 => place.prop_map(|place| Event::Go { place }),
        10 => look,
        2 => lorry,
        1 => (1.0_f64..2000.0).prop_map(|secs| Event::Dark { secs }),
        5 => told.prop_map(Event::Told),
        1 => any::<bool>().prop_map(|same_boot| Event::Restart { same_boot }),
    ];
    proptest::collection::vec(event, 10..80)
}

/// A street with its judge, and what is known of its cases from what was ordered.
struct World {
    judge: Judge,
    t: f64,
    boots: u32,
    /// When this boot began; the clock since boot counts from there.
    begun: f64,
    things: BTreeMap<u8, Role>,
    waiting: Vec<CaseId>,
    heard: HashMap<CaseId, bool>,
    opened: HashSet<CaseId>,
    ended: HashMap<CaseId, HitOutcome>,
    suppressed: HashMap<(CaseId, HitOutcome), Stamp>,
    /// How its pictures say that a case ends.
    pictured: HashMap<CaseId, Outcome>,
    outcomes: HashSet<HitOutcome>,
}

impl World {
    fn new() -> Self {
        Self {
            judge: judging(&config(), all_roles(), "boot-0").unwrap(),
            t: 0.0,
            boots: 0,
            begun: 0.0,
            things: BTreeMap::new(),
            waiting: Vec::new(),
            heard: HashMap::new(),
            opened: HashSet::new(),
            ended: HashMap::new(),
            suppressed: HashMap::new(),
            pictured: HashMap::new(),
            outcomes: HashSet::new(),
        }
    }

    fn live(&mut self, event: &Event) -> Result<(), TestCaseError> {
        match *event {
            Event::Come { role, place } => {
                self.things.insert(place, role);
            }
            Event::Go { place } => {
                self.things.remove(&place);
            }
            Event::Look { times, secs } => {
                for _ in 0..times {
                    self.t += secs;
                    self.look(None)?;
                }
            }
            Event::Lorry { loses } => {
                for step in 0..20_u8 {
                    self.t += 0.2;
                    let x = f32::from(step) * 0.05;
                    if let Some(place) = loses.filter(|p| x > left(*p) + 0.15) {
                        self.things.entry(place).or_insert(Role::Debris);
                    }
                    self.look(Some(x))?;
                }
            }
            Event::Dark { secs } => self.t += secs,
            Event::Told(ending) => {
                for case in self.waiting.drain(..) {
                    let works = matches!(ending, Ending::Heard);
                    let heard = report(case, self.t, works);
                    self.judge.hear(WarnReport {
                        at: in_boot(heard.at, self.begun),
                        hushed: matches!(ending, Ending::Hushed).then(|| "quiet hours".to_owned()),
                        ..heard
                    });
                    self.heard.insert(case, works);
                }
            }
            Event::Restart { same_boot } => {
                if !same_boot {
                    self.boots += 1;
                    // A box takes a while to start.
                    self.begun = self.t;
                    self.t += 40.0;
                }
                let saved = self.judge.book();
                let boot = format!("boot-{}", self.boots);
                self.judge = judging(&config(), all_roles(), &boot).unwrap();
                self.judge.resume(&saved, |_| None).unwrap();
                self.waiting.clear();
            }
        }
        Ok(())
    }

    fn look(&mut self, lorry: Option<f32>) -> Result<(), TestCaseError> {
        let things = self.things.iter();
        let things = things.map(|(place, role)| (u64::from(*place), *role, left(*place), 0.8));
        let lorry = lorry.map(|x| (99, Role::Truck, x, 0.8));
        let things: Vec<Thing> = things.chain(lorry).collect();
        let seen = seen_in_boot(scene(self.t, &things), self.begun);
        for order in self.judge.step(&seen) {
            self.take(&order)?;
        }
        prop_assert!(self.judge.open_cases() <= super::super::OPEN_CASES_MAX);
        let ended = |case: &&CaseId| self.ended.contains_key(case);
        let open = self.opened.iter().filter(|case| !ended(case));
        prop_assert!(open.clone().all(|case| self.judge.is_open(*case)));
        prop_assert_eq!(
            open.count(),
            self.judge.open_cases(),
            "opened, ended or open"
        );
        prop_assert!(self.ended.keys().all(|case| !self.judge.is_open(*case)));
        Ok(())
    }

    fn take(&mut self, order: &Order) -> Result<(), TestCaseError> {
        let case = order.case();
        let suppressed = matches!(order, Order::Hit { hit, .. }
            if hit.outcome == HitOutcome::CoolingDown);
        prop_assert_eq!(self.ended.contains_key(&case), suppressed, "{:?}", order);
        if let Some(hit) = order.hit() {
            self.outcomes.insert(hit.outcome);
            let opens = hit.outcome == HitOutcome::Opened;
            prop_assert_eq!(opens, self.opened.insert(case), "{:?}", order);
            let ends = matches!(order, Order::Seal { .. } | Order::Discard { .. });
            prop_assert_eq!(hit.outcome.ends(), ends, "{:?}", order);
            if ends {
                self.ended.insert(case, hit.outcome);
            } else if !opens {
                let key = (case, hit.outcome);
                let before = self.suppressed.insert(key, hit.at);
                let apart = before.map(|before| (hit.at.utc_ns - before.utc_ns) as f64 / 1e9);
                prop_assert!(apart.is_none_or(|secs| secs >= 60.0), "{:?}", order);
            }
        }
        prop_assert!(
            self.opened.contains(&case),
            "{:?} before its opening",
            order
        );
        let heard = self.heard.get(&case) == Some(&true);
        match order {
            Order::Warn { .. } => self.waiting.push(case),
            Order::Seal { record, .. } => {
                let recorded = record.outcome == Outcome::Recorded;
                prop_assert_eq!(recorded, record.violation == Violation::Spillage);
                let pictured = self.pictured.get(&case);
                prop_assert!(
                    pictured.is_none_or(|o| *o == record.outcome),
                    "{:?}",
                    record
                );
                prop_assert!(heard || recorded, "sealed unheard: {:?}", record);
                prop_assert_eq!(record.warning.is_some(), !recorded);
                let looked = record.looked_again.zip(record.warning.as_ref());
                let apart = looked.map(|(looked, w)| looked.utc_ns - w.at.utc_ns);
                let late = apart.is_some_and(|ns| ns as f64 / 1e9 > 30.0 + 30.0 * 60.0);
                prop_assert!(!late, "the second look is too late: {:?}", record);
            }
            Order::Snap { kind, outcome, .. } => {
                prop_assert!(*kind != ShotKind::Again || outcome.is_some(), "{:?}", order);
                self.pictured.extend(outcome.map(|outcome| (case, outcome)));
                let proves = matches!(kind, ShotKind::Warned | ShotKind::Again);
                prop_assert!(!proves || heard, "{:?}", order);
            }
            Order::Clip { from, to, .. } => prop_assert!(from.utc_ns <= to.utc_ns),
            Order::Discard { .. } | Order::Hit { .. } => {}
        }
        Ok(())
    }
}

/// The left edge of what stands at a place.
fn left(place: u8) -> f32 {
    f32::from(place) * 0.2 + 0.1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_case_ends_once_and_is_never_sealed_unheard(events in history()) {
        let mut world = World::new();
        for event in &events {
            world.live(event)?;
        }
    }
}

/// A property of histories in which nothing happens would hold for any book.
#[test]
fn histories_come_to_every_end() {
    use HitOutcome::{
        Belongs, CoolingDown, Corrected, Discarded, Hushed, Opened, Persisted, Recorded,
    };
    let mut runner = TestRunner::new_with_rng(
        Settings::default(),
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let mut outcomes: HashMap<HitOutcome, u32> = HashMap::new();
    for _ in 0..64 {
        let mut world = World::new();
        for event in history().new_tree(&mut runner).unwrap().current() {
            world.live(&event).unwrap();
        }
        for outcome in world.outcomes {
            *outcomes.entry(outcome).or_default() += 1;
        }
    }
    for outcome in [
        Opened,
        Belongs,
        CoolingDown,
        Corrected,
        Persisted,
        Recorded,
        Discarded,
        Hushed,
    ] {
        let histories = outcomes.get(&outcome).copied().unwrap_or_default();
        assert!(histories >= 3, "{outcome:?} in {histories}: {outcomes:?}");
    }
}

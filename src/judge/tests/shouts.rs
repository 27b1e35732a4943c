//! Over any history of looks, reports, kills and reboots, each with a boot clock of its own and a clock of the
//! world that may be wrong until it is set: who was warned, a stall or a shop with all it
//! puts out, is not warned again while his place rests, by none of the two cameras that announce it, nor by
//! the other one as long as his case is open; and nobody is warned a second time for one case but when the
//! first did not sound.

use super::*;

#[derive(Clone, Debug)]
enum Turn {
    Look {
        /// Whether the stall is seen, each of three things before the shop, and the stall by the other camera.
        there: [bool; 5],
        secs: f64,
    },
    /// The loudspeaker reports; this long it sounded, seconds.
    Report { fails: bool, sounded: f64 },
    /// Killed; `late`: before the last step's book was saved, so that its orders come again.
    Killed { late: bool, reboot: Option<Wrong> },
    /// The clock is set right.
    ClockSet,
}

/// By how many seconds a clock is wrong that nobody vouches for; `None`: it is right, and known to be.
type Wrong = Option<f64>;

/// The clocks of a box: of its boot, and of the world.
#[derive(Clone, Copy)]
struct Clocks {
    /// When this boot began.
    begun: f64,
    wrong: Wrong,
}

impl Clocks {
    fn tell(self, t: f64) -> Stamp {
        let mut told = in_boot(at(t), self.begun);
        if let Some(secs) = self.wrong {
            told.utc_ns += (secs * 1e9) as i64;
            told.error_ns = Stamp::ERROR_UNKNOWN;
        }
        told
    }

    fn scene(self, t: f64, things: &[Thing]) -> Scene {
        let mut scene = scene(t, things);
        scene.at = self.tell(t);
        for track in &mut scene.tracks {
            (track.first_seen, track.last_seen) = (scene.at, scene.at);
        }
        scene
    }
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let there = [0.9, 0.9, 0.8, 0.3, 0.9].map(proptest::bool::weighted);
    let look = (there, 0.2_f64..2.9);
    let look = look.prop_map(|(there, secs)| Turn::Look { there, secs });
    let sounded = prop_oneof![Just(0.0), 0.0_f64..8.0];
    let report = (proptest::bool::weighted(0.3), sounded);
    let report = report.prop_map(|(fails, sounded)| Turn::Report { fails, sounded });
    let day = 86_400.0;
    let wrong = prop_oneof![1 => Just(None), 2 => (-day..day).prop_map(Some)];
    let killed = (any::<bool>(), proptest::option::of(wrong));
    let turn = prop_oneof![
        40 => look,
        8 => report,
        2 => killed.prop_map(|(late, reboot)| Turn::Killed { late, reboot }),
        1 => Just(Turn::ClockSet),
    ];
    proptest::collection::vec(turn, 100..500)
}

/// What is known of the warnings of a history.
#[derive(Default)]
struct Shouts {
    /// Cases that were ordered to be warned and have no report yet.
    waiting: Vec<CaseId>,
    /// Cases whose last warning failed before it sounded for a second.
    unheard: HashSet<CaseId>,
    /// Cases that were warned, and in which zone.
    warned: HashMap<CaseId, String>,
    /// When each case ended, and in which zone.
    ended: HashMap<CaseId, (String, f64)>,
}

/// The stall, and what the shop puts out.
const THINGS: [Thing; 4] = [
    STALL,
    (2, Role::Furniture, 0.1, 0.8),
    (3, Role::Furniture, 0.6, 0.8),
    (4, Role::Furniture, 0.8, 0.8),
];

/// The zone by which the other camera sees the kerb.
const ACROSS: &str = "across";

/// The first zone of a place.
fn place(zone: &str) -> &str {
    if zone == ACROSS { "kerb" } else { zone }
}

/// The street, and a camera more that looks at its kerb from across.
fn from_two_sides() -> Config {
    let mut config = config();
    config.judge.out_of_store.cool_down_secs = config.judge.street_vending.cool_down_secs;
    config.camera.push(config::Camera {
        name: "cam1".to_owned(),
        ..Default::default()
    });
    "P-7".clone_into(&mut config.zone[0].public_id);
    let mut across = config.zone[0].clone();
    (across.name, across.camera) = (ACROSS.to_owned(), "cam1".to_owned());
    config.zone.push(across);
    config
}

impl Shouts {
    fn take(&mut self, t: f64, order: &Order, cool_down: f64) -> Result<(), TestCaseError> {
        let case = order.case();
        if let Order::Warn { zone, .. } = order {
            let again = self.warned.insert(case, zone.clone()).is_some();
            prop_assert!(!again || self.unheard.remove(&case), "twice for {case}");
            let mut open = self
                .warned
                .iter()
                .filter(|(c, _)| !self.ended.contains_key(c));
            let other = open.find(|(c, there)| **c != case && place(there) == place(zone));
            prop_assert!(other.is_none(), "while {other:?} is open, at {t}");
            let here = (self.ended.iter()).filter(|(_, (there, _))| place(there) == place(zone));
            for (other, (_, end)) in here {
                prop_assert!(
                    t - end >= cool_down - 0.001,
                    "{other} ended at {end}, now {t}"
                );
            }
            self.waiting.push(case);
        }
        if let Some(hit) = order.hit().filter(|h| h.outcome.ends()) {
            self.ended.entry(case).or_insert((hit.zone, t));
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn nobody_is_warned_again_while_his_place_rests(turns in turns()) {
        let config = from_two_sides();
        let cool_down = config.judge.street_vending.cool_down_secs;
        let mut judge = judging(&config, all_roles(), "boot-0").unwrap();
        let mut shouts = Shouts::default();
        let (mut t, mut boots) = (0.0, 0);
        let mut clocks = Clocks { begun: -1_000.0, wrong: None };
        let mut saved = judge.book();
        let mut before = saved.clone();
        let mut warns = false;
        for turn in turns {
            match turn {
                Turn::Look { there, secs } => {
                    t += secs;
                    let things = THINGS.into_iter().zip(there).filter(|(_, there)| *there);
                    let things: Vec<Thing> = things.map(|(thing, _)| thing).collect();
                    let mut orders = judge.step(&clocks.scene(t, &things));
                    for order in &orders {
                        shouts.take(t, order, cool_down)?;
                    }
                    // Then the other camera.
                    t += 0.1;
                    let across = there[4].then_some(STALL);
                    let across = Scene {
                        camera: 1,
                        ..clocks.scene(t, across.as_slice())
                    };
                    let seen = judge.step(&across);
                    for order in &seen {
                        shouts.take(t, order, cool_down)?;
                    }
                    orders.extend(seen);
                    if !orders.is_empty() {
                        before = std::mem::replace(&mut saved, judge.book());
                        // A warning is played only when the book that knows of it is saved.
                        warns = orders.iter().any(|o| matches!(o, Order::Warn { .. }));
                    }
                }
                Turn::Report { fails, sounded } => {
                    for case in shouts.waiting.drain(..) {
                        judge.hear(WarnReport {
                            at: clocks.tell(t),
                            played: Duration::from_secs_f64(sounded),
                            ..report(case, t, !fails)
                        });
                        if fails && sounded < 1.0 {
                            shouts.unheard.insert(case);
                        }
                    }
                }
                Turn::Killed { late, reboot } => {
                    if let Some(wrong) = reboot {
                        boots += 1;
                        // A box takes a while to start.
                        clocks = Clocks { begun: t, wrong };
                        t += 20.0;
                    }
                    let book = if late && !warns { &before } else { &saved };
                    judge = judging(&config, all_roles(), &format!("boot-{boots}")).unwrap();
                    judge.resume(book, |case| shouts.ended.contains_key(&case).then_some(Ended::Discarded)).unwrap();
                    saved = book.clone();
                    before = saved.clone();
                    shouts.waiting.clear();
                }
                Turn::ClockSet => clocks.wrong = None,
            }
        }
    }
}

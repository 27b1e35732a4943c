//! Another vendor at the place of one that was warned is another vendor.

use super::*;
use crate::types::Appearance;

const CELLS: usize = Appearance::CELLS;

/// What the stall `which` looks like: cells of any colour. Of `columns` of its columns something
/// else is seen, what `before` looks like.
fn mixed(which: u64, before: u64, columns: usize) -> Appearance {
    let mean = |which: u64, channel: usize, y: usize, x: usize| {
        let cell = ((channel * CELLS + y) * CELLS + x) as u64;
        let mixed = (which * 1009 + cell + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        40 + (mixed >> 57) as u8
    };
    let seen = |x| if x < columns { before } else { which };
    let means = std::array::from_fn(|channel| {
        std::array::from_fn(|y| std::array::from_fn(|x| mean(seen(x), channel, y, x)))
    });
    Appearance::new(means).unwrap()
}

pub(super) fn look(which: u64) -> Appearance {
    mixed(which, which, 0)
}

/// The stall's place from `from` to `to`, five looks a second; every warning is heard.
fn play(
    judge: &mut Judge,
    from: f64,
    to: f64,
    seen: impl Fn(f64) -> Option<Option<Appearance>>,
) -> Vec<(f64, Order)> {
    let (mut orders, mut t) = (Vec::new(), from);
    while t < to {
        let appearance = seen(t);
        let things: Vec<Thing> = appearance.iter().map(|_| STALL).collect();
        let mut scene = scene(t, &things);
        for track in &mut scene.tracks {
            track.appearance = appearance.flatten();
        }
        for order in judge.step(&scene) {
            if let Order::Warn { case, .. } = &order {
                judge.hear(report(*case, t, true));
            }
            orders.push((t, order));
        }
        t += 0.2;
    }
    orders
}

/// How the first case ended: what became of it, when, and the condition with its answer.
fn end(orders: &[(f64, Order)]) -> (HitOutcome, f64, Option<(String, bool)>) {
    let ended = |(t, order): &(f64, Order)| {
        let hit = match order {
            Order::Seal { record, .. } => record.hit(),
            Order::Discard { hit, .. } => (**hit).clone(),
            _ => return None,
        };
        let gate = hit.gates.into_iter().find(|g| g.gate == "same_subject");
        Some((hit.outcome, *t, gate.map(|g| (g.value, g.pass))))
    };
    orders.iter().find_map(ended).expect("an end")
}

fn new() -> Judge {
    judging(&config(), all_roles(), "boot-a").unwrap()
}

#[test]
fn who_comes_to_the_place_of_one_who_was_warned_has_a_case_of_his_own() {
    let mut judge = new();
    // The first is warned at 10 s and goes at 20 s; the second comes at 26 s and stays.
    let orders = play(&mut judge, 0.0, 140.0, |t| match t {
        _ if t < 20.0 => Some(Some(look(1))),
        _ if t < 26.0 => None,
        _ => Some(Some(look(2))),
    });
    let told: Vec<String> = orders.iter().map(|(_, o)| word(o)).collect();
    let gone = "discard what was warned has gone; another thing stands at its place";
    assert_eq!(
        told[..],
        [
            "hit Opened",
            "snap found",
            "warn",
            "snap warned",
            "clip",
            gone,
            "hit Opened",
            "snap found",
            "warn",
            "snap warned",
            "clip",
            "snap again",
            "seal persisted",
            "hit CoolingDown",
        ],
        "each has his own warning and his own grace time"
    );
    let (outcome, at, gate) = end(&orders);
    let (value, pass) = gate.unwrap();
    assert_eq!((outcome, pass), (HitOutcome::Replaced, false));
    assert!(value.starts_with("alike "), "{value}");
    assert!(
        (50.0..51.0).contains(&at),
        "ten seconds for a second look: {at}"
    );
    let records = orders.iter().filter_map(|(_, o)| match o {
        Order::Seal { record, .. } => Some(record),
        _ => None,
    });
    let records: Vec<_> = records.collect();
    let [record] = records[..] else {
        panic!("one package: {records:?}")
    };
    assert_eq!(record.likeness, Some(1000));
    let (first_seen, warned) = (record.first_seen, record.warning.as_ref().unwrap().at);
    assert!(
        first_seen.since(super::at(26.0)) < Duration::from_secs(1),
        "the second's own"
    );
    assert!(
        warned.since(super::at(50.0)) < Duration::from_secs(2),
        "the second's own"
    );
}

#[test]
fn the_second_look_asks_what_stands_there_looks_like() {
    type Seen = fn(f64) -> Option<Option<Appearance>>;
    let plays: [(&str, Seen, HitOutcome, &str, f64); 7] = [
        (
            "the same",
            |_| Some(Some(look(1))),
            HitOutcome::Persisted,
            "yes",
            41.0,
        ),
        (
            "the same behind customers, who now and then step aside",
            |t| {
                let hidden = (t as u64 % 5) < 4;
                let customer = if t < 30.0 { 7 } else { 8 };
                Some(Some(mixed(1, customer, if hidden { 6 } else { 1 })))
            },
            HitOutcome::Persisted,
            "yes",
            45.0,
        ),
        (
            "half of it is another's",
            |t| Some(Some(mixed(1, 7, if t < 40.0 { 0 } else { 4 }))),
            HitOutcome::Persisted,
            "no",
            51.0,
        ),
        (
            "by night",
            |t| Some(Some(look(1)).filter(|_| t < 30.0)),
            HitOutcome::Persisted,
            "not known",
            51.0,
        ),
        (
            "always too small",
            |_| Some(None),
            HitOutcome::Persisted,
            "not known",
            41.0,
        ),
        (
            "another",
            |t| Some(Some(look(if t < 22.0 { 1 } else { 2 }))),
            HitOutcome::Replaced,
            "no",
            51.0,
        ),
        (
            "nothing",
            |t| Some(Some(look(1))).filter(|_| t < 20.0),
            HitOutcome::Corrected,
            "not asked",
            51.0,
        ),
    ];
    for (name, seen, outcome, answer, until) in plays {
        let orders = play(&mut new(), 0.0, 60.0, seen);
        let (became, at, gate) = end(&orders);
        assert_eq!(became, outcome, "{name}");
        let answered = match &gate {
            None => "not asked",
            Some((value, false)) if value == "not known" => "not known",
            Some((_, false)) => "no",
            Some((_, true)) => "yes",
        };
        assert_eq!(answered, answer, "{name}: {gate:?}");
        assert!((until - 1.2..until).contains(&at), "{name}: {at}");
    }
}

#[test]
fn a_look_or_two_of_the_one_who_was_warned_do_not_make_another_him() {
    type Seen = fn(f64) -> bool;
    let plays: [(&str, Seen); 2] = [
        ("he is seen as he leaves", |t| t < 40.5),
        ("one look is alike by chance", |t| {
            t < 22.0 || (45.1..45.3).contains(&t)
        }),
    ];
    for (name, first) in plays {
        let orders = play(&mut new(), 0.0, 60.0, |t| {
            Some(Some(look(if first(t) { 1 } else { 2 })))
        });
        let (became, at, gate) = end(&orders);
        assert_eq!(became, HitOutcome::Replaced, "{name}");
        assert!(gate.is_some_and(|(_, pass)| !pass), "{name}");
        assert!((49.8..51.0).contains(&at), "{name}: {at}");
    }
}

#[test]
fn one_look_may_tell_another_and_never_that_it_is_the_same() {
    for (seen, outcome, answer) in [
        (1, HitOutcome::Persisted, "not known"),
        (2, HitOutcome::Replaced, "alike "),
    ] {
        // In the second look it is seen well enough but once.
        let orders = play(&mut new(), 0.0, 60.0, |t| {
            let well = (43.9..44.1).contains(&t);
            let first = (t < 38.0).then(|| look(1));
            Some(first.or(well.then(|| look(seen))))
        });
        let (became, at, gate) = end(&orders);
        assert_eq!(became, outcome, "{seen}");
        let (value, pass) = gate.unwrap();
        assert!(value.starts_with(answer) && !pass, "{seen}: {value}");
        assert!((49.8..51.0).contains(&at), "{seen}: {at}");
    }
}

#[test]
fn the_book_keeps_what_a_subject_looks_like() {
    for (kept, outcome) in [(true, HitOutcome::Replaced), (false, HitOutcome::Persisted)] {
        let mut judge = new();
        drop(play(&mut judge, 0.0, 20.0, |_| Some(Some(look(1)))));
        let mut book: serde_json::Value = serde_json::from_str(&judge.book()).unwrap();
        let case = book["open"][0].as_object_mut().unwrap();
        assert!(case["looks"].as_array().unwrap().len() >= 3);
        if !kept {
            // A book of before there were any.
            case.remove("looks");
        }
        let mut judge = new();
        judge.resume(&book.to_string(), |_| None).unwrap();
        let orders = play(&mut judge, 24.0, 60.0, |_| Some(Some(look(2))));
        assert_eq!(end(&orders).0, outcome, "kept: {kept}");
    }
}

#[test]
fn who_asks_is_told_whether_it_looks_the_same() {
    for (now, pass) in [(1, true), (2, false)] {
        let mut judge = new();
        drop(play(&mut judge, 0.0, 20.0, |_| Some(Some(look(1)))));
        let mut scene = scene(21.0, &[STALL]);
        scene.tracks[0].appearance = Some(look(now));
        judge.step(&scene);
        let told = judge.recheck(&scene);
        let gate = told[0].gates.last().unwrap();
        assert_eq!((gate.gate.as_str(), gate.pass), ("same_subject", pass));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Whatever is seen there, look by look: it has persisted as evidence only when it looks the same in three
    /// looks and in the one that is pictured, and not at all when it is another.
    #[test]
    fn nothing_persists_that_looks_like_another(
        one in 0_u64..1000, other in 0_u64..1000,
        columns in proptest::collection::vec(0_usize..=CELLS, 1..60),
    ) {
        let before = look(one);
        let now = |t: f64| mixed(one, other, columns[(t * 5.0).round() as usize % columns.len()]);
        let orders = play(&mut new(), 0.0, 52.0, |t| Some(Some(if t < 30.0 { before } else { now(t) })));
        let (outcome, ended, gate) = end(&orders);
        let warned = |(_, o): &&(f64, Order)| matches!(o, Order::Snap { kind: ShotKind::Warned, .. });
        let (warned, _) = orders.iter().find(warned).expect("a warning");
        let mut looks = Vec::new();
        let mut t = 0.0;
        while t <= ended {
            if at(t).since(at(*warned)) >= Duration::from_secs(30) {
                looks.push(before.likeness(&now(t)));
            }
            t += 0.2;
        }
        let pictured = *looks.last().expect("looks");
        looks.sort_unstable();
        let likeness = pictured.min(looks[looks.len() - 3]);
        let another = likeness < Appearance::OTHER_BELOW;
        prop_assert_eq!(outcome == HitOutcome::Replaced, another, "{}", likeness);
        prop_assert_eq!(outcome == HitOutcome::Persisted, !another, "{}", likeness);
        let (value, pass) = gate.unwrap();
        prop_assert_eq!(pass, likeness >= Appearance::SAME_MIN, "{}", value);
    }
}

/// A book of before has the best look alone, of which nobody knows which it was.
#[test]
fn a_second_look_of_an_older_book_goes_on() {
    let mut judge = new();
    drop(play(&mut judge, 0.0, 40.7, |t| {
        Some(Some(look(if t < 40.0 { 1 } else { 2 })))
    }));
    let mut book: serde_json::Value = serde_json::from_str(&judge.book()).unwrap();
    let phase = book["open"][0]["phase"].as_object_mut().unwrap();
    assert_eq!(phase["phase"], "looking");
    phase.remove("best").unwrap();
    phase.insert("alike".to_owned(), 900.into());
    let mut judge = new();
    assert_eq!(judge.resume(&book.to_string(), |_| None).unwrap(), 0);
    let orders = play(&mut judge, 40.8, 60.0, |_| Some(Some(look(2))));
    assert_eq!(end(&orders).0, HitOutcome::Replaced);
}

#[test]
fn looks_are_remembered_four_seconds_apart_and_the_latest_six() {
    let mut looks = crate::judge::likeness::Looks::default();
    for (t, appearance) in [
        (0.0, Some(look(0))),
        (3.9, Some(look(1))),
        (4.0, None),
        (5.0, Some(look(2))),
        (8.9, Some(look(3))),
        (9.0, Some(look(4))),
    ] {
        looks.take(at(t), appearance);
    }
    assert!(looks.all() == [0, 2, 4].map(look));
    for n in 5_u8..9 {
        looks.take(at(f64::from(n) * 4.0), Some(look(n.into())));
    }
    assert!(
        looks.all() == [8, 2, 4, 5, 6, 7].map(look),
        "the oldest goes"
    );
}

//! The horn: what is said to the vehicle, and what to who called.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const VEHICLE: Option<(u8, u8)> = Some((1, 1));
const ACCEPTED: MavResult = MavResult::MAV_RESULT_ACCEPTED;

fn at(ms: u64) -> Stamp {
    Stamp {
        utc_ns: 0,
        boot_ns: ms * 1_000_000,
        error_ns: 0,
    }
}

/// A horn that nobody was told anything of yet, and the way to call it.
fn fresh(drive: Drive) -> (Horn, mpsc::Sender<Call>) {
    let (calls, calls_in) = mpsc::channel(1);
    let config = config::Horn {
        drive,
        number: 9,
        ..config::Horn::default()
    };
    (Horn::new(config, calls_in), calls)
}

/// One that the vehicle said is off, as at every start.
fn horn(drive: Drive) -> (Horn, mpsc::Sender<Call>) {
    let (mut horn, calls) = fresh(drive);
    if drive != Drive::Tune {
        assert_eq!(said(horn.due(at(0), VEHICLE, true)), "off 0");
        horn.answered(ACCEPTED, at(0));
    }
    (horn, calls)
}

fn call(calls: &mpsc::Sender<Call>) -> oneshot::Receiver<Tooted> {
    let (done, answer) = oneshot::channel();
    let called = calls.try_send((Duration::from_secs(2), done));
    called.expect("room for a call");
    answer
}

fn failure(answer: &mut oneshot::Receiver<Tooted>) -> String {
    let tooted = answer.try_recv().expect("told");
    tooted.failure.expect("it went wrong")
}

/// `on` or `off` and the confirmation, or the tune; empty: nothing.
fn said(message: Option<MavMessage>) -> String {
    match message {
        Some(MavMessage::COMMAND_LONG(order)) => {
            let on = [1.0, 1900.0].contains(&order.param2);
            format!("{} {}", if on { "on" } else { "off" }, order.confirmation)
        }
        Some(MavMessage::PLAY_TUNE_V2(tune)) => {
            format!("tune {}", tune.tune.to_str().expect("text"))
        }
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

#[test]
fn it_is_on_for_its_time_and_told_when_it_is_off() {
    for drive in [Drive::Relay, Drive::Servo] {
        let (mut horn, calls) = horn(drive);
        let mut answer = call(&calls);
        assert_eq!(said(horn.due(at(1_000), VEHICLE, true)), "on 0");
        assert_eq!(said(horn.due(at(1_100), VEHICLE, true)), "", "an answer");
        horn.answered(ACCEPTED, at(1_200));
        assert_eq!(said(horn.due(at(3_100), VEHICLE, true)), "");
        assert_eq!(said(horn.due(at(3_200), VEHICLE, true)), "off 0");
        assert!(answer.try_recv().is_err(), "it may still sound");
        horn.answered(ACCEPTED, at(3_300));
        let tooted = answer.try_recv().expect("told");
        assert_eq!((tooted.began, tooted.failure), (Some(at(1_200)), None));
        assert_eq!(tooted.sounded, Duration::from_secs(2));
        assert!(horn.last(at(3_400), (1, 1)).is_none());
    }
}

#[test]
fn a_vehicle_that_is_silent_is_told_off_all_the_same_and_called_no_more() {
    let (mut horn, calls) = horn(Drive::Relay);
    let mut answer = call(&calls);
    let orders = (0..10).map(|n| said(horn.due(at(1_000 + n * 700), VEHICLE, true)));
    let orders: Vec<String> = orders.collect();
    let all = [
        "on 0", "on 1", "on 2", "off 0", "off 1", "off 2", "off 3", "", "", "",
    ];
    assert_eq!(orders, all);
    let why = failure(&mut answer);
    assert!(why.contains("does not answer"), "{why}");
    assert_eq!(said(horn.due(at(11_000), VEHICLE, true)), "off 4");

    let mut answer = call(&calls);
    assert_eq!(said(horn.due(at(12_000), VEHICLE, true)), "");
    let why = failure(&mut answer);
    assert!(why.contains("not confirm that its horn is off"), "{why}");
}

#[test]
fn a_vehicle_that_refuses_has_not_sounded_it() {
    let (mut horn, calls) = horn(Drive::Relay);
    let mut answer = call(&calls);
    assert_eq!(said(horn.due(at(12_000), VEHICLE, true)), "on 0");
    horn.answered(MavResult::MAV_RESULT_IN_PROGRESS, at(12_600));
    assert_eq!(said(horn.due(at(12_700), VEHICLE, true)), "");
    horn.answered(MavResult::MAV_RESULT_DENIED, at(12_800));
    let why = failure(&mut answer);
    assert!(why.contains("denied"), "{why}");
    assert_eq!(said(horn.due(at(13_000), VEHICLE, true)), "off 0");
    // *Off* is not taken back by a refusal.
    horn.answered(MavResult::MAV_RESULT_TEMPORARILY_REJECTED, at(13_100));
    assert_eq!(said(horn.due(at(13_700), VEHICLE, true)), "off 1");
    horn.answered(ACCEPTED, at(13_800));
    assert_eq!(said(horn.due(at(20_000), VEHICLE, true)), "");
}

#[test]
fn a_vehicle_that_is_not_heard_is_not_called_and_is_told_off() {
    let (mut horn, calls) = horn(Drive::Relay);
    for vehicle in [None, VEHICLE] {
        let mut answer = call(&calls);
        assert_eq!(said(horn.due(at(1_000), vehicle, false)), "");
        let why = failure(&mut answer);
        assert!(why.contains("not heard"), "{why}");
    }
    let _answer = call(&calls);
    assert_eq!(said(horn.due(at(2_000), VEHICLE, true)), "on 0");
    horn.answered(ACCEPTED, at(2_000));
    assert_eq!(said(horn.due(at(4_000), VEHICLE, false)), "off 0");
}

#[test]
fn off_that_nobody_confirms_is_said() {
    let (mut horn, calls) = horn(Drive::Relay);
    let mut answer = call(&calls);
    assert_eq!(said(horn.due(at(1_000), VEHICLE, true)), "on 0");
    horn.answered(ACCEPTED, at(1_000));
    for n in 0..4 {
        let order = said(horn.due(at(3_000 + n * 700), VEHICLE, true));
        assert_eq!(order, format!("off {n}"));
    }
    let tooted = answer.try_recv().expect("told");
    assert_eq!(tooted.sounded, Duration::from_secs(2));
    assert!(tooted.failure.expect("not off").contains("may still sound"));
    assert!(horn.last(at(6_000), (1, 1)).is_some());
}

#[test]
fn a_late_answer_to_on_is_none_to_off() {
    let (mut horn, calls) = horn(Drive::Relay);
    let answer = call(&calls);
    assert_eq!(said(horn.due(at(1_000), VEHICLE, true)), "on 0");
    assert_eq!(said(horn.due(at(1_700), VEHICLE, true)), "on 1");
    horn.answered(ACCEPTED, at(1_800));
    drop(answer);
    assert_eq!(said(horn.due(at(1_900), VEHICLE, true)), "off 0");
    horn.answered(ACCEPTED, at(2_000));
    assert_eq!(said(horn.due(at(2_600), VEHICLE, true)), "off 1");
    horn.answered(ACCEPTED, at(2_700));
    assert_eq!(said(horn.due(at(9_000), VEHICLE, true)), "");
}

#[test]
fn who_called_and_went_has_it_switched_off_at_once() {
    for (drive, on, off) in [
        (Drive::Relay, "on 0", "off 0"),
        (Drive::Tune, "tune MFT120L4O3CGL2C", "tune "),
    ] {
        let (mut horn, calls) = horn(drive);
        let answer = call(&calls);
        assert_eq!(said(horn.due(at(1_000), VEHICLE, true)), on);
        if drive == Drive::Relay {
            horn.answered(ACCEPTED, at(1_000));
        }
        drop(answer);
        assert_eq!(said(horn.due(at(1_100), VEHICLE, true)), off);
    }
}

#[test]
fn a_tune_is_cut_short_three_times_at_the_end_of_its_time() {
    let (mut horn, calls) = horn(Drive::Tune);
    let mut answer = call(&calls);
    let orders = (0..10).map(|n| said(horn.due(at(1_000 + n * 1_000), VEHICLE, true)));
    let orders: Vec<String> = orders.filter(|order| !order.is_empty()).collect();
    assert_eq!(orders, ["tune MFT120L4O3CGL2C", "tune ", "tune ", "tune "]);
    let tooted = answer.try_recv().expect("told");
    assert_eq!(tooted.failure, None);
    assert_eq!(tooted.sounded, Duration::from_secs(2));
    assert!(horn.last(at(11_000), (1, 1)).is_none());
}

/// A vehicle on a link that loses and delays.
#[derive(Default)]
struct Far {
    sounds: bool,
    /// When its answers arrive, milliseconds, in order.
    answers: VecDeque<u64>,
}

impl Far {
    fn hear(&mut self, message: Option<MavMessage>, ms: u64, link: Link) {
        let order = said(message);
        if order.is_empty() || link.loses_order {
            return;
        }
        self.sounds = order.starts_with("on");
        if !link.loses_answer {
            let before = self.answers.back().copied().unwrap_or_default();
            self.answers.push_back(before.max(ms + link.delay_ms));
        }
    }
}

/// What the link does to what is said at one moment.
#[derive(Clone, Copy, Debug)]
struct Link {
    loses_order: bool,
    loses_answer: bool,
    delay_ms: u64,
}

const GOOD: Link = Link {
    loses_order: false,
    loses_answer: false,
    delay_ms: 100,
};

fn bad_link() -> impl Strategy<Value = Link> {
    (
        prop::bool::weighted(0.4),
        prop::bool::weighted(0.4),
        0..2_000_u64,
    )
        .prop_map(|(loses_order, loses_answer, delay_ms)| Link {
            loses_order,
            loses_answer,
            delay_ms,
        })
}

proptest! {
    /// Whatever the link loses and delays: who called is told that all went well only when the horn
    /// is off, and in the end it is.
    #[test]
    fn it_is_off_when_it_is_told_so_and_in_the_end(
        links in prop::collection::vec(bad_link(), 200),
        called in prop::collection::vec((0..200_usize, 1..60_usize), 1..4),
    ) {
        let (mut horn, calls) = fresh(Drive::Relay);
        let mut far = Far { sounds: true, ..Far::default() };
        let mut waits: Vec<(usize, oneshot::Receiver<Tooted>)> = Vec::new();
        for step in 0..700 {
            let ms = step as u64 * 100;
            let link = links.get(step).copied().unwrap_or(GOOD);
            for (from, patience) in &called {
                let (done, answer) = oneshot::channel();
                if *from == step && calls.try_send((Duration::from_millis(300), done)).is_ok() {
                    waits.push((from + patience, answer));
                }
            }
            waits.retain(|(until, _)| *until > step);
            while far.answers.front().is_some_and(|due| *due <= ms) {
                far.answers.pop_front();
                horn.answered(ACCEPTED, at(ms));
            }
            for (_, answer) in &mut waits {
                if let Ok(tooted) = answer.try_recv() {
                    prop_assert!(tooted.failure.is_some() || !far.sounds);
                }
            }
            let order = horn.due(at(ms), VEHICLE, true);
            far.hear(order, ms, link);
        }
        prop_assert!(!far.sounds);
        prop_assert!(horn.last(at(70_000), (1, 1)).is_none());
    }
}

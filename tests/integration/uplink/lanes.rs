//! What goes first over a narrow link, and how much is in hand.

use std::collections::BTreeSet;

use super::hand::{HandReceiver, Heard, ranges};
use super::profiles::{age, fetch};
use super::relay::Relay;
use super::*;

/// 1 Mbit/s in bytes a second.
const MEGABIT: u32 = 125_000;
/// What may go before a fresh head: a window of one-second pieces less the place that video
/// leaves free, the state and checkpoint before it, TLS, and what the relay has read ahead.
const AHEAD_MAX: u64 = 4 * MEGABIT as u64;

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_head_overtakes_an_older_packages_video_within_a_window() {
    let bench = Bench::new().await;
    let relay = Relay::start(bench.broker.port()).await;
    let receiver = bench.receiver();
    let upload = bench.upload_by(config::Upload {
        port: relay.port(),
        ..bench.upload_config()
    });
    let old = bench.seal(12 * MIB);
    // Past its pictures, with the pieces grown to the link.
    bench.mid_transfer(2 * MIB).await;
    relay.limit(MEGABIT);
    bench
        .mid_transfer(2 * MIB + 12 * MEGABIT as usize / 4)
        .await;
    let announced = |id: CaseId| {
        bench.events(|event| matches!(event, Event::Announced { id: it, .. } if *it == id)) > 0
    };
    for _ in 0..2 {
        let before = relay.up();
        let fresh = bench.seal(1000);
        until("the fresh head", || announced(fresh)).await;
        let ahead = relay.up() - before;
        assert!(ahead <= AHEAD_MAX, "{ahead} bytes went before a fresh head");
        bench.receipted(&[fresh]).await;
        let state = bench.store.state(old).unwrap();
        assert_ne!(state, Some(State::Receipted), "its pictures overtook too");
    }
    relay.limit(0);
    bench.receipted(&[old]).await;
    upload.stop().await;
    receiver.stop().await;
    assert_eq!(bench.store.counts().unwrap().pending.packages, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_eight_are_in_hand_the_newest_and_the_oldest() {
    let bench = Bench::new().await;
    let ids: Vec<CaseId> = (0..12).map(|_| bench.seal(1000)).collect();
    let mut receiver = HandReceiver::new(&bench).await;
    let upload = bench.upload();
    let mut heads = Vec::new();
    for _ in 0..8 {
        heads.push(receiver.head().await.0);
    }
    let newest = ids.iter().rev().take(7);
    let expected: Vec<CaseId> = newest.chain(ids.first()).copied().collect();
    assert_eq!(heads, expected, "one place is the oldest's");
    assert_eq!(bench.snapshot().hands, 8);
    // Silence ends the tries; nothing is lost.
    until("the cause", || {
        bench.cause() == "the receiver does not answer"
    })
    .await;
    upload.stop().await;
    assert_eq!(bench.store.counts().unwrap().pending.packages, 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_all_hands_at_video_a_fresh_package_still_finds_one() {
    let bench = Bench::new().await;
    let relay = Relay::start(bench.broker.port()).await;
    let ids: Vec<CaseId> = (0..8).map(|_| bench.seal(MIB)).collect();
    // Also when a person waits for that video.
    fetch(&bench, &ids);
    let mut receiver = HandReceiver::new(&bench).await;
    let upload = bench.upload_by(config::Upload {
        port: relay.port(),
        ..bench.upload_config()
    });
    for _ in &ids {
        receiver.head().await;
    }
    relay.limit(MEGABIT);
    for &id in &ids {
        let (_, video) = ranges(&bench, id);
        receiver.want(id, video, false).await;
    }
    assert!(matches!(receiver.hear().await, Heard::Piece(_)));
    let fresh = bench.seal(1000);
    loop {
        match receiver.hear().await {
            Heard::Head(id, late) => {
                assert_eq!((id, late), (fresh, None));
                break;
            }
            Heard::Piece(_) => {}
            Heard::Finished(id) => panic!("{id} was finished before the fresh head came"),
        }
    }
    assert_eq!(bench.snapshot().hands, 8);
    upload.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_for_leaves_places_for_what_is_fresh() {
    let bench = Bench::new().await;
    let ids: Vec<CaseId> = (0..12).map(|_| bench.seal(1000)).collect();
    age(&bench, &ids);
    fetch(&bench, &ids);
    let mut receiver = HandReceiver::new(&bench).await;
    // Nothing that is late goes by itself: drawn by lot between nothing and a third of a year.
    let upload = bench.upload_by(config::Upload {
        drain_delay_secs: 10_000_000,
        ..bench.upload_config()
    });
    let mut heads = BTreeSet::new();
    for _ in 0..4 {
        heads.insert(receiver.head().await.0);
    }
    assert_eq!(heads, ids.iter().take(4).copied().collect(), "the oldest");
    let fresh = bench.seal(1000);
    assert_eq!(receiver.head().await, (fresh, None));
    upload.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_its_while_gives_its_place_to_what_is_fresh_or_asked_for() {
    let bench = Bench::new().await;
    let ids: Vec<CaseId> = (0..8).map(|_| bench.seal(1000)).collect();
    age(&bench, &ids);
    let mut receiver = HandReceiver::new(&bench).await;
    // Drawn by lot between nothing and a third of a year.
    let upload = bench.upload_by(config::Upload {
        drain_delay_secs: 10_000_000,
        ..bench.upload_config()
    });
    until("six that wait", || bench.snapshot().hands == 6).await;
    // Those that are not among the six: the newest and the oldest are.
    let asked = [ids[1], ids[2]];
    for id in asked {
        receiver.want(id, Vec::new(), true).await;
    }
    let mut heard = BTreeSet::new();
    for _ in asked {
        match receiver.hear().await {
            Heard::Finished(id) => heard.insert(id),
            other => panic!("{other:?}"),
        };
    }
    assert_eq!(heard, BTreeSet::from(asked));
    assert_eq!(bench.snapshot().hands, 6, "two are left for what is fresh");
    for _ in 0..4 {
        let fresh = bench.seal(1000);
        assert_eq!(receiver.head().await, (fresh, None));
    }
    assert_eq!(bench.snapshot().hands, 8);
    assert_eq!(bench.cause(), "", "none had to be given up for it");
    upload.stop().await;
}

/// The evidence disk that was mounted anew queues what is in hand.
#[tokio::test(flavor = "multi_thread")]
async fn a_package_in_hand_is_not_taken_once_more() {
    let bench = Bench::new().await;
    let first = bench.seal(1000);
    let mut receiver = HandReceiver::new(&bench).await;
    let upload = bench.upload();
    assert_eq!(receiver.head().await.0, first);
    bench.store.step(first, State::Queued).unwrap();
    let second = bench.seal(1000);
    assert_eq!(receiver.head().await.0, second);
    assert_eq!(bench.snapshot().hands, 2);
    upload.stop().await;
}

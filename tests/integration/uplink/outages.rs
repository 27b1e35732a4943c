//! Broker, receiver or box stops, is killed or stands still while packages are on their way.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_down_at_start_is_waited_for() {
    let mut bench = Bench::new().await;
    bench.broker.kill().unwrap();
    let id = bench.seal(100_000);
    let (upload, receiver) = (bench.upload(), bench.receiver());
    until("the cause", || bench.cause().contains("refused")).await;
    let down = |e: &Event| {
        matches!(
            e,
            Event::Disconnected {
                why: LinkError::Refused { .. }
            }
        )
    };
    until("the receiver's cause", || bench.events(down) > 0).await;
    bench.broker.restart().await.unwrap();
    bench.receipted(&[id]).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&[id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_killed_in_the_middle_costs_nothing_but_time() {
    let mut bench = Bench::new().await;
    let (upload, receiver) = (bench.upload(), bench.receiver());
    let id = bench.seal(48 * MIB);
    for share in [4, 2] {
        bench.mid_transfer(MIB * share).await;
        bench.broker.kill().unwrap();
        assert_ne!(bench.store.state(id).unwrap(), Some(State::Receipted));
        until("the end noticed", || !bench.snapshot().connected).await;
        bench.broker.restart().await.unwrap();
        until("the connection back", || bench.snapshot().connected).await;
    }
    bench.receipted(&[id]).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&[id]);
    let sent = bench.snapshot().sent_bytes;
    assert!(
        sent < (54 * MIB) as u64,
        "resumed, not begun again: {sent} bytes sent"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_killed_in_the_middle_goes_on_where_it_was() {
    let bench = Bench::new().await;
    let (upload, receiver) = (bench.upload(), bench.receiver());
    let id = bench.seal(48 * MIB);
    bench.mid_transfer(20 * MIB).await;
    receiver.kill().await;
    assert_ne!(bench.store.state(id).unwrap(), Some(State::Receipted));
    let receiver = bench.receiver();
    bench.receipted(&[id]).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&[id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_stands_still_is_noticed_and_left() {
    let bench = Bench::new().await;
    let (upload, receiver) = (bench.upload(), bench.receiver());
    let id = bench.seal(48 * MIB);
    bench.mid_transfer(4 * MIB).await;
    signal(bench.broker.pid(), Signal::STOP);
    let stopped = Instant::now();
    until("the stall noticed", || !bench.snapshot().connected).await;
    let noticed = stopped.elapsed().as_secs();
    assert!(noticed <= 45, "only after {noticed} s");
    signal(bench.broker.pid(), Signal::CONT);
    bench.receipted(&[id]).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&[id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_receiver_packages_wait() {
    let bench = Bench::new().await;
    let ids = [bench.seal(1000), bench.seal(1000)];
    let upload = bench.upload();
    until("the cause", || bench.cause() == "no receiver is listening").await;
    assert!(!bench.snapshot().needs_a_person);
    assert_eq!(bench.store.counts().unwrap().pending.packages, 2);
    let receiver = bench.receiver();
    bench.receipted(&ids).await;
    assert_eq!(bench.cause(), "");
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_in_the_middle_is_quick_and_loses_nothing() {
    let bench = Bench::new().await;
    let receiver = bench.receiver();
    let upload = bench.upload();
    let id = bench.seal(48 * MIB);
    bench.mid_transfer(4 * MIB).await;
    let asked = Instant::now();
    upload.stop().await;
    assert!(asked.elapsed() < Duration::from_secs(7));
    assert_eq!(bench.store.state(id).unwrap(), Some(State::Queued));
    let upload = bench.upload();
    bench.receipted(&[id]).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&[id]);
}

/// Kills broker, receiver and device in turn at arbitrary moments while packages flow.
#[tokio::test(flavor = "multi_thread")]
async fn eighteen_kills_lose_nothing_and_double_nothing() {
    let mut bench = Bench::new().await;
    let (mut upload, mut receiver) = (bench.upload(), bench.receiver());
    let mut ids = Vec::new();
    let mut dice = noise(20_260_801, 64).into_iter();
    for round in 0..18_u8 {
        ids.push(bench.seal(6 * MIB));
        // Anywhere from "nothing sent yet" to "all sent, receipt on its way".
        let bytes = usize::from(dice.next().unwrap()) * 25_000;
        let newest = *ids.last().unwrap();
        until("the moment", || {
            let done = bench.store.state(newest).unwrap() == Some(State::Receipted);
            let hand = bench.snapshot().in_hand;
            done || hand.is_some_and(|hand| hand.acknowledged >= bytes as u64)
        })
        .await;
        match round % 3 {
            0 => {
                bench.broker.kill().unwrap();
                bench.broker.restart().await.unwrap();
            }
            1 => {
                receiver.kill().await;
                receiver = bench.receiver();
            }
            _ => {
                upload.kill().await;
                bench.reopen().await;
                upload = bench.upload();
            }
        }
    }
    bench.receipted(&ids).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&ids);
}

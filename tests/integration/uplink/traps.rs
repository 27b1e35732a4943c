//! What brokers and MQTT libraries do to a sender: each trap of the design, by a real broker where
//! it can be brought to do it, else by one that follows a script.

use lingmou::command::{AskError, Client};
use lingmou::witness::{Fate, Reply};

use super::hand::ranges;
use super::relay::{Loss, Relay};
use super::script::Script;
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_forbidden_stops_and_alarms_until_it_is_permitted() {
    let bench = Bench::new().await;
    let acl = bench.dir.path().join("broker").join("acl");
    let right = fs::read_to_string(&acl).unwrap();
    let wrong = right.replace("pattern write ev1/%u/n\n", "");
    assert_ne!(wrong, right);
    let reload = |text: &str| {
        fs::write(&acl, text).unwrap();
        signal(bench.broker.pid(), Signal::HUP);
    };
    reload(&wrong);
    let id = bench.seal(1000);
    let receiver = bench.receiver();
    let upload = bench.upload();
    until("the alarm", || {
        let snapshot = bench.snapshot();
        snapshot.needs_a_person && bench.cause().contains("does not permit ev1/LM-TEST-1/n")
    })
    .await;
    assert_eq!(bench.store.state(id).unwrap(), Some(State::Queued));
    reload(&right);
    bench.receipted(&[id]).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&[id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_receiver_heads_are_tried_and_pictures_held() {
    let bench = Bench::new().await;
    let upload = bench.upload();
    let first = bench.seal(1000);
    until("the cause", || bench.cause() == "no receiver is listening").await;
    assert_eq!(
        bench.snapshot().cause_secs.map(|secs| secs < 600),
        Some(true)
    );
    let before = bench.snapshot().sent_bytes;
    // Fresh, so it does not wait for the pause to end.
    let second = bench.seal(1000);
    until("the second head", || {
        bench.snapshot().sent_bytes > before + 2000 && bench.snapshot().hands == 0
    })
    .await;
    assert!(bench.snapshot().sent_bytes < 60_000, "no picture");
    let due = bench.store.counts().unwrap();
    assert_eq!(due.oldest_due_ms, due.oldest_pending_ms);
    assert!(due.oldest_due_ms.is_some());
    let receiver = bench.receiver();
    bench.receipted(&[first, second]).await;
    assert_eq!(bench.snapshot().cause_secs, None);
    assert_eq!(bench.store.counts().unwrap().oldest_due_ms, None);
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&[first, second]);
}

/// How often the upload gave a package up for a while.
fn attempts(bench: &Bench, id: CaseId) -> u32 {
    let path = bench.dir.path().join("store").join("q.db");
    let conn = rusqlite::Connection::open(path).unwrap();
    let sql = "SELECT attempts FROM package WHERE id = ?1";
    conn.query_row(sql, [id.to_string()], |row| row.get(0))
        .unwrap()
}

/// What a person asked for is no reason to ring at a door where nobody is: it waits like the rest.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_receiver_what_was_asked_for_is_not_offered_again_and_again() {
    const ROUNDS: u32 = 20;
    let bench = Bench::new().await;
    let asked = bench.seal(1000);
    super::profiles::fetch(&bench, &[asked]);
    let upload = bench.upload();
    until("the first try", || attempts(&bench, asked) > 0).await;
    // Each of these goes at once, being fresh: time enough to try the other again.
    for _ in 0..ROUNDS {
        let fresh = bench.seal(1000);
        until("a fresh one's try", || attempts(&bench, fresh) > 0).await;
    }
    // The pauses grow: more than ten minutes pass before there are so many.
    let tries = attempts(&bench, asked);
    assert!(tries <= ROUNDS / 2, "{tries} tries");
    upload.stop().await;
    let receiver = bench.receiver();
    let upload = bench.upload();
    bench.receipted(&[asked]).await;
    upload.stop().await;
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_takes_one_at_a_time_is_given_one_at_a_time() {
    let mut bench = Bench::new().await;
    let config = bench.dir.path().join("broker").join("mosquitto.conf");
    let text = fs::read_to_string(&config).unwrap();
    let narrow = text.replace("max_inflight_messages 20", "max_inflight_messages 1");
    fs::write(&config, narrow).unwrap();
    bench.broker.kill().unwrap();
    bench.broker.restart().await.unwrap();
    let endpoint = bench.endpoint(&bench.pki.device, DEVICE);
    let device = Pipe::connect(&endpoint, None).await.unwrap();
    assert_eq!(device.window(), 1);
    device.close().await;
    let (upload, receiver) = (bench.upload(), bench.receiver());
    let ids = [bench.seal(300_000), bench.seal(300_000)];
    bench.receipted(&ids).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&ids);
}

/// A receiver's word, as the scripted broker brings it.
fn want(id: CaseId, missing: Vec<Range>) -> Vec<u8> {
    let want = Want {
        id: id.to_string(),
        sink: RECEIVER.to_owned(),
        missing,
        max_chunk: None,
        video: false,
    };
    serde_json::to_vec(&want).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_takes_no_more_at_present_is_not_pressed() {
    let bench = Bench::new().await;
    let id = bench.seal(1000);
    let (pictures, video) = ranges(&bench, id);
    let mut broker = Script::start(&bench).await;
    let down = Topic::new(DEVICE, Subject::Want).to_string();
    let all = [pictures.clone(), video].concat();
    broker.publish_after("n", &down, want(id, pictures));
    // What is under way when the first is not taken is at most a window, and at least that one: so
    // often it may have to ask.
    for _ in 0..4 {
        broker.publish_after("f/", &down, want(id, all.clone()));
    }
    broker.refuse_next(4);
    let upload = bench.upload_by(config::Upload {
        port: broker.port(),
        ..bench.upload_config()
    });
    assert!(!broker.next("c/").await);
    until("the cause", || {
        bench.cause() == "the broker takes no more at present"
    })
    .await;
    assert_eq!(bench.snapshot().hands, 1, "it stays in hand");
    assert!(bench.snapshot().connected, "and the connection stands");
    // Not piece after piece: it asks what has arrived, and goes on from there.
    assert!(broker.next("f/").await);
    while !broker.next("c/").await {}
    upload.stop().await;
}

/// Its acknowledgements say that it has every message, and nobody ever gets the question.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_broker_acknowledges_and_drops_is_sent_again() {
    let bench = Bench::new().await;
    let id = bench.seal(1000);
    let (pictures, _) = ranges(&bench, id);
    let mut broker = Script::start(&bench).await;
    let down = Topic::new(DEVICE, Subject::Want).to_string();
    broker.publish_after("n", &down, want(id, pictures));
    let upload = bench.upload_by(config::Upload {
        port: broker.port(),
        ..bench.upload_config()
    });
    assert!(broker.next("f/").await);
    let sent = || bench.store.state(id).unwrap() == Some(State::Sent);
    until("the broker to have it all", sent).await;
    until("the end of the wait", || {
        bench.cause() == "the receiver does not answer"
    })
    .await;
    assert!(broker.next("n").await, "its head goes again");
    upload.stop().await;
    assert_eq!(bench.store.state(id).unwrap(), Some(State::Queued));
    let (receiver, upload) = (bench.receiver(), bench.upload());
    bench.receipted(&[id]).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&[id]);
}

/// What is on the way when a modem drops never left the box: no line may say otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn a_package_is_called_sent_when_the_broker_has_acknowledged_all_of_it() {
    let bench = Bench::new().await;
    let id = bench.seal(1000);
    let (pictures, _) = ranges(&bench, id);
    let some = |from| want(id, vec![Range(pictures[0].0.clone(), from, from + 1000)]);
    let mut broker = Script::start(&bench).await;
    let down = Topic::new(DEVICE, Subject::Want).to_string();
    broker.publish_after("n", &down, some(0));
    broker.publish_after("f/", &down, some(1000));
    broker.withhold(true);
    let upload = bench.upload_by(config::Upload {
        port: broker.port(),
        ..bench.upload_config()
    });
    assert!(broker.next("f/").await);
    // Another piece: it is done with the question.
    assert!(broker.next("c/").await);
    assert_eq!(bench.store.state(id).unwrap(), Some(State::Sending));
    broker.withhold(false);
    let sent = || bench.store.state(id).unwrap() == Some(State::Sent);
    until("the broker to have it all", sent).await;
    upload.stop().await;
    assert_eq!(bench.journalled("package.sent"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_given_out_by_a_broker_for_five_minutes_and_no_longer() {
    let bench = Bench::new().await;
    let mut broker = Script::start(&bench).await;
    let endpoint = Endpoint {
        port: broker.port(),
        ..bench.endpoint(&bench.pki.operators[0], "viewer-1")
    };
    let roots = Roots::load(&bench.pki.root()).unwrap();
    let mut client = Client::connect(&endpoint, roots, DEVICE).await.unwrap();
    for (subject, kind, expiry) in [
        (Subject::Command, "d/cmd", Some(300)),
        (Subject::Verdict, "d/verdict", None),
    ] {
        let asked = client.ask(subject, b"signed", Duration::from_secs(1));
        assert!(matches!(asked.await, Err(AskError::Silent { .. })));
        assert_eq!(broker.expiry(kind).await, expiry, "{kind}");
    }
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_swallows_everything_is_left_by_the_kernels_time_out() {
    let bench = Bench::new().await;
    let relay = Relay::start(bench.broker.port()).await;
    let receiver = bench.receiver();
    let upload = bench.upload_by(config::Upload {
        port: relay.port(),
        // A ping that is not answered would tell sooner.
        keep_alive_secs: 60,
        ..bench.upload_config()
    });
    let id = bench.seal(48 * MIB);
    bench.mid_transfer(4 * MIB).await;
    relay.lose(Loss::All);
    until("the end noticed", || !bench.snapshot().connected).await;
    let cause = bench.cause();
    assert!(cause.contains("timed out"), "not the watchdog: {cause}");
    relay.lose(Loss::None);
    bench.receipted(&[id]).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&[id]);
}

/// 64 kbit/s and three segments in ten lost.
#[tokio::test(flavor = "multi_thread")]
async fn over_a_narrow_and_losing_link_a_package_comes_whole() {
    let bench = Bench::new().await;
    let relay = Relay::start(bench.broker.port()).await;
    let receiver = bench.receiver();
    let upload = bench.upload_by(config::Upload {
        port: relay.port(),
        ..bench.upload_config()
    });
    until("the connection", || bench.snapshot().connected).await;
    relay.limit(8_000);
    relay.lose(Loss::Third);
    let id = bench.seal(1000);
    for _ in 0..5 {
        // Ten minutes at most: connections may break on the way.
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline && bench.store.state(id).unwrap() != Some(State::Receipted)
        {
            sleep(Duration::from_millis(50)).await;
        }
    }
    bench.receipted(&[id]).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&[id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interface_that_is_not_there_is_named() {
    let bench = Bench::new().await;
    let upload = bench.upload_by(config::Upload {
        interface: "lm-none0".to_owned(),
        ..bench.upload_config()
    });
    until("the cause", || {
        bench.cause().contains("network interface lm-none0")
    })
    .await;
    upload.stop().await;
    let receiver = bench.receiver();
    let upload = bench.upload_by(config::Upload {
        interface: "lo".to_owned(),
        ..bench.upload_config()
    });
    let id = bench.seal(1000);
    bench.receipted(&[id]).await;
    upload.stop().await;
    receiver.stop().await;
}

/// Two consoles with one certificate: the broker ends the connection of the one for that of the other.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_thrown_out_while_he_waited_has_his_reply_all_the_same() {
    const COMMAND: &[u8] = b"signed";
    let bench = Bench::new().await;
    let console = async || {
        let roots = Roots::load(&bench.pki.root()).unwrap();
        let endpoint = bench.endpoint(&bench.pki.operators[0], "viewer-1");
        Client::connect(&endpoint, roots, DEVICE).await.unwrap()
    };
    let keys = bench.endpoint(&bench.pki.device, DEVICE);
    let mut device = Pipe::connect(&keys, None).await.unwrap();
    device.subscribe(&Topic::all_down(DEVICE)).await.unwrap();
    let mut first = console().await;
    // A box that takes the command, and answers only when it comes again.
    let answers = async {
        let identity = Identity::load(&bench.pki.device, "evidence").unwrap();
        let topic = Topic::new(DEVICE, Subject::Result).to_string();
        let message = device.recv().await.unwrap();
        device.done(&message).unwrap();
        assert_eq!(message.payload(), COMMAND);
        console().await.close().await;
        loop {
            let message = device.recv().await.unwrap();
            device.done(&message).unwrap();
            assert_eq!(message.payload(), COMMAND, "the same signed bytes");
            let to = witness::sha256_hex(message.payload());
            let reply = Reply::new(DEVICE, (&to, Uuid::nil()), Fate::Done, clock::now());
            let reply = reply.sign(&identity, clock::now()).unwrap();
            device.publish(&topic, reply, false).await.unwrap();
        }
    };
    let asked = tokio::select! {
        asked = first.ask(Subject::Command, COMMAND, DEADLINE) => asked,
        () = answers => unreachable!(),
    };
    assert_eq!(asked.unwrap().reply.outcome, Fate::Done);
    first.close().await;
}

//! The way to the broker, its limits, and what it says of a device to others.

use lingmou::link::message::{Presence, PresenceState};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_way_is_told_apart() {
    let mut bench = Bench::new().await;
    let fails = async |endpoint: &Endpoint| Pipe::connect(endpoint, None).await.err().unwrap();
    let right = bench.endpoint(&bench.pki.device, DEVICE);
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let not_tls = Endpoint {
        port: plain.local_addr().unwrap().port(),
        ..right.clone()
    };
    let shut = tokio::spawn(async move {
        let (stream, _) = plain.accept().await.unwrap();
        drop(stream);
    });
    let error = fails(&not_tls).await;
    assert!(matches!(error, LinkError::Tls { .. }), "{error}");
    shut.await.unwrap();
    let no_name = Endpoint {
        host: "no host".to_owned(),
        ..right.clone()
    };
    let error = fails(&no_name).await;
    assert!(matches!(error, LinkError::NotResolved { .. }), "{error}");
    bench.broker.kill().unwrap();
    let error = fails(&right).await;
    assert!(matches!(error, LinkError::Refused { .. }), "{error}");
    assert!(!error.needs_a_person());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_brokers_limits_are_obeyed_and_its_refusals_heard() {
    let mut bench = Bench::new().await;
    let config = bench.dir.path().join("broker").join("mosquitto.conf");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(
        &config,
        text.replace("max_packet_size 262144", "max_packet_size 20000"),
    )
    .unwrap();
    bench.broker.kill().unwrap();
    bench.broker.restart().await.unwrap();

    let device = Pipe::connect(&bench.endpoint(&bench.pki.device, DEVICE), None)
        .await
        .unwrap();
    let foreign = device
        .publish("ev1/LM-TEST-2/n", vec![1], false)
        .await
        .unwrap();
    let what = "ev1/LM-TEST-2/n".to_owned();
    assert_eq!(foreign.await, Err(LinkError::NotAuthorised { what }));
    let own_receipt = device.publish("ev1/LM-TEST-1/d/receipt", vec![1], false);
    let refused = own_receipt.await.unwrap().await;
    assert!(matches!(refused, Err(LinkError::NotAuthorised { .. })));
    let topic = "ev1/LM-TEST-1/n";
    let large = device.publish(topic, vec![0; 20_000], false).await;
    assert!(matches!(
        large,
        Err(LinkError::TooLarge { bytes: 20_000, .. })
    ));
    let fits = vec![0; device.payload_max(topic)];
    let ack = device.publish(topic, fits, false).await.unwrap();
    assert_eq!(ack.await, Ok(Acked::NobodyListens));
    device.close().await;

    let (upload, receiver) = (bench.upload(), bench.receiver());
    let id = bench.seal(300_000);
    bench.receipted(&[id]).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&[id]);
}

/// The state retained for the device.
async fn presence(observer: &mut Pipe) -> Presence {
    let message = observer.recv().await.unwrap();
    assert_eq!(message.topic(), "ev1/LM-TEST-1/state");
    serde_json::from_slice(message.payload()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_says_whether_a_device_left_or_was_cut_off() {
    let bench = Bench::new().await;
    let mut observer = bench.as_receiver().await;
    observer.subscribe("ev1/+/state").await.unwrap();
    bench.seal(1000);
    let upload = bench.upload();
    let ready = presence(&mut observer).await;
    assert_eq!((ready.state, ready.bd), (PresenceState::Ready, 1));
    assert_eq!(ready.queued, Some(1));
    assert!(ready.cert_days.is_some_and(|days| days > 4000));
    assert!(ready.head.is_some_and(|head| head.len() == 64));
    upload.stop().await;
    let gone = presence(&mut observer).await;
    assert_eq!(gone.state, PresenceState::Stopping);

    let upload = bench.upload();
    assert_eq!(presence(&mut observer).await.state, PresenceState::Ready);
    upload.kill().await;
    let lost = presence(&mut observer).await;
    assert_eq!(lost, Presence::bare(PresenceState::Lost, 1));
    observer.close().await;
}

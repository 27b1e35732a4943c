//! What a receiver refuses to start with, and the figures it serves.

use super::*;

/// Trying again for ever would not help.
#[tokio::test]
async fn what_only_a_person_can_mend_is_said_at_a_receivers_start() {
    let dir = TempDir::new().unwrap();
    let pki = TestPki::create(&dir.path().join("pki"), DEVICE).unwrap();
    let right = || config::Receive {
        name: RECEIVER.to_owned(),
        host: "127.0.0.1".to_owned(),
        keys: pki.receiver.clone(),
        dir: dir.path().join("received"),
        ..config::Receive::default()
    };
    let program = |name: &str| config::Receive {
        tsa_command: vec![name.to_owned()],
        ..right()
    };
    let no_program = pki.receiver.join("receiver.crt");
    let host = config::Receive {
        host: "http://broker.bureau.lan".to_owned(),
        ..right()
    };
    let name = config::Receive {
        name: "other".to_owned(),
        ..right()
    };
    for (config, words) in [
        (host, "--host \"http://broker.bureau.lan\" is not a host"),
        (name, "transport.crt is for \"receiver-1\""),
        (program("no-such-program"), "no program \"no-such-program\""),
        (program(no_program.to_str().unwrap()), "that could be run"),
    ] {
        let refused = receive::run(config, |_| {}, CancellationToken::new()).await;
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
    let stop = CancellationToken::new();
    stop.cancel();
    receive::run(program("sh"), |_| {}, stop).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_served_on_loopback_only() {
    let bench = Bench::new().await;
    let outside = config::Receive {
        metrics: Some("0.0.0.0:0".parse().unwrap()),
        ..bench.receive_config()
    };
    let refused = receive::run(outside, |_| {}, CancellationToken::new()).await;
    assert!(matches!(refused, Err(ReceiveError::Metrics { .. })));

    let (config, addr) = with_figures(&bench);
    let receiver = bench.start(config).await;
    let upload = bench.upload();
    let id = bench.seal(100_000);
    bench.receipted(&[id]).await;
    let has = |line: &str| told(addr, line);
    for line in [
        r#"lingmou_receive_packages_total{result="stored"} 1"#,
        "lingmou_receive_connected 1",
        "lingmou_receive_packages 1",
        "lingmou_receive_devices 1",
    ] {
        // The gauges follow within seconds.
        until(line, || has(line)).await;
    }
    let page = request(addr, "GET /metrics");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(
        page.contains("lingmou_receive_piece_bytes_total 260001"),
        "{page}"
    );
    assert!(request(addr, "GET /").starts_with("HTTP/1.1 404 "));
    assert!(request(addr, "POST /metrics").starts_with("HTTP/1.1 405 "));
    upload.stop().await;
    receiver.stop().await;
}

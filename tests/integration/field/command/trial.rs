//! Configurations from afar: kept, rolled back, and cut short by a kill.

use super::*;

fn origin(status: &Value, kind: &str) -> bool {
    status["configuration"] == kind || status["configuration"][kind] != Value::Null
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_works_is_kept_until_somebody_edits_the_file() {
    let field = Field::start(NO_CAMERA, &|_| ()).await;
    let mut daemon = field.daemon();
    connected(&field).await;
    assert!(origin(&field.status().await, "file"));
    let next = changed(&field, |document| {
        document["evidence"]["jpeg_quality"] = value(71);
    });
    let sha256 = witness::sha256_hex(&fs::read(&next).unwrap());
    let next = next.to_string_lossy().into_owned();
    let (outcome, why) = answer(&field, ADMIN, &["config-set", &next]).await;
    assert_eq!(outcome, "done", "{why}");
    for kind in ["config.trial", "config.kept"] {
        assert_eq!(field.journal(kind)[0]["body"]["sha256"], *sha256, "{kind}");
    }
    assert!(
        daemon.ended(Duration::ZERO).await.is_none(),
        "the same process"
    );
    daemon.kill();

    let daemon = field.daemon();
    connected(&field).await;
    let status = field.status().await;
    assert!(origin(&status, "command"), "{:#}", status["configuration"]);
    let loaded = field.journal("config.loaded");
    assert_eq!(loaded.last().unwrap()["body"]["sha256"], *sha256);
    daemon.kill();

    let mut text = fs::read_to_string(field.config()).unwrap();
    text.push_str("# a technician was here\n");
    fs::write(field.config(), text).unwrap();
    let _daemon = field.daemon();
    connected(&field).await;
    let status = field.status().await;
    assert!(origin(&status, "file"), "{:#}", status["configuration"]);
    until(&field, "the line that says so", async || {
        field.journal("config.rolled_back").len() == 1
    })
    .await;
    let why = &field.journal("config.rolled_back")[0]["body"]["why"];
    assert_eq!(why, "the file on the box was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_without_a_way_back_rolls_back_by_itself() {
    let field = Field::start(NO_CAMERA, &|profile| {
        profile["commands"]["trial_secs"] = value(10);
    })
    .await;
    let mut daemon = field.daemon();
    connected(&field).await;
    let port = i64::from(free_tcp_port());
    let cut_off = changed(&field, |document| {
        document["upload"]["port"] = value(port);
    });
    let cut_off = cut_off.to_string_lossy().into_owned();
    let (outcome, why) = answer(&field, ADMIN, &["config-set", &cut_off]).await;
    assert_eq!(outcome, "failed", "{why}");
    assert!(
        why.contains("the upload was not connected within 10 s"),
        "{why}"
    );
    assert_eq!(field.journal("config.rolled_back").len(), 1);
    assert!(origin(&field.status().await, "file"));
    assert!(
        daemon.ended(Duration::ZERO).await.is_none(),
        "the same process"
    );
    let (outcome, _) = answer(&field, VIEW, &["report"]).await;
    assert_eq!(outcome, "done", "it can be commanded again");

    // One that cannot even be started with.
    let broken = field.dir.path().join("broken.wav");
    fs::write(&broken, "no sound").unwrap();
    let broken = broken.to_string_lossy().into_owned();
    let mute = changed(&field, |document| {
        document["warn"]["street_vending"] = value(broken);
    });
    let mute = mute.to_string_lossy().into_owned();
    let (outcome, why) = answer(&field, ADMIN, &["config-set", &mute]).await;
    assert_eq!(outcome, "failed", "{why}");
    assert!(why.contains("could not start with it"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_cut_short_by_a_kill_is_over() {
    let field = Field::start(NO_CAMERA, &|profile| {
        profile["commands"]["trial_secs"] = value(600);
    })
    .await;
    let daemon = field.daemon();
    connected(&field).await;
    let port = i64::from(free_tcp_port());
    let cut_off = changed(&field, |document| {
        document["upload"]["port"] = value(port);
    });
    let toml = fs::read_to_string(cut_off).unwrap();
    let mut client = client(&field, ADMIN, "admin-1").await;
    let nonce = client.state().and_then(|state| state.nonce.clone());
    let set = asking(7, "config.set", json!({ "toml": toml }), nonce);
    let signed = sign(&field, ADMIN, &set);
    let topic = Topic::new(DEVICE, Subject::Command).to_string();
    let keys = &field.pki.operators[OPERATE];
    let pipe = Pipe::connect(&endpoint(&field, keys, "operator-1"), None)
        .await
        .unwrap();
    let acked = pipe
        .publish(&topic, signed.clone(), false)
        .await
        .unwrap()
        .await;
    assert_eq!(acked.unwrap(), Acked::Taken);
    pipe.close().await;
    until(&field, "the trial", async || {
        let trial = field.status().await["trial"].clone();
        (&trial["command"], &trial["begun"]) == (&json!(set.id), &json!(true))
    })
    .await;
    daemon.kill();

    let _daemon = field.daemon();
    connected(&field).await;
    assert!(origin(&field.status().await, "file"));
    let asked = client
        .ask(Subject::Command, &signed, DEADLINE)
        .await
        .unwrap();
    assert_eq!(asked.reply.outcome, Fate::Failed);
    let why = asked.reply.why.unwrap();
    assert!(why.contains("started again during the trial"), "{why}");
    assert_eq!(field.journal("config.rolled_back").len(), 1);
    client.close().await;
}

//! A restart of the whole box, and who answers for it.

use lingmou::store::Commanded;

use super::*;

/// The store as a box left it that was told to restart by each of `commands`, and came to the
/// restart for `begun`, in another boot.
fn ordered_before(field: &Field, commands: &[&Asking], begun: Uuid) {
    let store = store(field);
    let by = "CN=admin-1".to_owned();
    for command in commands {
        let line = Commanded {
            id: command.id,
            sha256: sha256_hex(command.id.as_bytes()),
            signer: by.clone(),
            certificate_sha256: String::new(),
            role: witness::Rank::Admin,
            seq: command.seq,
            verb: command.verb.clone(),
            args: json!({}),
        };
        let signed = sign(field, ADMIN, command);
        store
            .command_received(clock::now(), &line, &signed)
            .unwrap();
    }
    let line = json!({ "command": begun, "by": by, "boot_id": "another" });
    store.note(clock::now(), "reboot.begun", line).unwrap();
}

/// A box that is told to restart: by a program that only leaves a file, so that the box stays up.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_answered_by_the_boot_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let left = dir.path().join("left");
    let field = Field::start(NO_CAMERA, &|profile| {
        let words = ["/usr/bin/touch", left.to_str().unwrap()];
        profile["commands"]["reboot"] = value(toml_edit::Array::from_iter(words));
    })
    .await;
    // One that was ordered in another boot, and one before it of which nobody knows.
    let [other, unknown] = [7, 6].map(|seq| asking(seq, "reboot", json!({}), None));
    ordered_before(&field, &[&unknown, &other], other.id);
    let daemon = field.daemon();
    connected(&field).await;
    let ends = || {
        let lines = field.journal("command.done");
        let ends = lines.into_iter().map(|line| {
            let body = &line["body"];
            (body["id"].clone(), body["outcome"].clone())
        });
        ends.collect::<Vec<_>>()
    };
    until(&field, "both answered", async || ends().len() == 2).await;
    assert!(ends().contains(&(json!(other.id), json!("done"))));
    assert!(ends().contains(&(json!(unknown.id), json!("interrupted"))));
    assert!(!left.exists(), "what was ordered before is not done again");

    // It is told, its program runs, and the next start finds the same boot.
    let keys = &field.pki.operators[ADMIN];
    let mut client = client(&field, ADMIN, "admin-1").await;
    let nonce = client.state().and_then(|state| state.nonce.clone());
    let reboot = asking(8, "reboot", json!({}), nonce);
    let signed = sign(&field, ADMIN, &reboot);
    client.close().await;
    let pipe = Pipe::connect(&endpoint(&field, keys, "admin-1"), None)
        .await
        .unwrap();
    let topic = Topic::new(DEVICE, Subject::Command).to_string();
    let acked = pipe.publish(&topic, signed.clone(), false).await.unwrap();
    assert_eq!(acked.await.unwrap(), Acked::Taken);
    pipe.close().await;
    until(&field, "the program run", async || left.exists()).await;
    let begun = field.journal("reboot.begun").pop().unwrap()["body"].clone();
    assert_eq!(begun["command"], json!(reboot.id));
    assert_eq!(begun["boot_id"], clock::boot_id());
    assert!(begun["by"].to_string().contains("CN=admin-1"));
    daemon.kill();
    fs::remove_file(&left).unwrap();
    let _daemon = field.daemon();
    connected(&field).await;
    client = self::client(&field, ADMIN, "admin-1").await;
    let asked = client.ask(Subject::Command, &signed, DEADLINE).await;
    let reply = asked.unwrap().reply;
    assert_eq!(reply.outcome, Fate::Failed);
    assert!(reply.why.unwrap().contains("but the box was not"));
    assert!(!left.exists(), "it is not told again");
    client.close().await;
}

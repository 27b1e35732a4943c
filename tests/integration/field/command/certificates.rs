//! Certificates from afar: tried, kept, rolled back, refused.

use lingmou::config::KeyName;
use lingmou::pki::TestPkiPlan;
use lingmou::witness::Usage;

use super::*;

/// A certificate by `pki` for the box's key `key`, that ends after the box's own.
fn renewed(field: &Field, pki: &TestPki, key: KeyName) -> String {
    let mut plan = TestPkiPlan::from_now();
    plan.not_after += 86_400;
    let file = field.pki.device.join(format!("{}.key", key.name()));
    pki.certify(&file, (key.name(), DEVICE), plan).unwrap()
}

/// What is answered to a certificate by `pki` for the box's key `key`.
pub(in crate::field) async fn install(
    field: &Field,
    pki: &TestPki,
    key: KeyName,
) -> (String, String) {
    let file = field.dir.path().join(format!("next-{}.crt", key.name()));
    fs::write(&file, renewed(field, pki, key)).unwrap();
    let file = file.to_string_lossy().into_owned();
    answer(field, ADMIN, &["cert-install", &file]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_renewed_from_afar_and_an_unfit_one_rolls_back() {
    let field = Field::start(NO_CAMERA, &|profile| {
        profile["commands"]["trial_secs"] = value(20);
    })
    .await;
    // The box trusts a root of which the broker knows nothing.
    let other = TestPki::create(&field.dir.path().join("other"), DEVICE).unwrap();
    let roots = field.pki.device.join("roots.crt");
    let both = [&field.pki.root(), &other.root()].map(|file| fs::read_to_string(file).unwrap());
    fs::write(&roots, both.concat()).unwrap();
    fs::write(field.pki.device.join("transport.csr"), "a request").unwrap();
    let daemon = field.daemon();
    connected(&field).await;
    let (_, reply) = told(&field, &field.pki.operators[VIEW], &["cert-request"]).await;
    assert_eq!(reply["result"], json!({ "transport": "a request" }));

    let (outcome, why) = install(&field, &other, KeyName::Transport).await;
    assert_eq!(outcome, "failed", "{why}");
    assert!(
        why.contains("the certificate before is in force again"),
        "{why}"
    );
    assert_eq!(field.journal("cert.rolled_back").len(), 1);
    let sent = async |key: KeyName| {
        let status = field.status().await;
        status["certificates"][key.name()]["command"].clone()
    };
    assert_eq!(sent(KeyName::Transport).await, Value::Null);

    for key in [KeyName::Transport, KeyName::Evidence] {
        // The reply to the second is the first that is signed with it.
        let (outcome, why) = install(&field, &field.pki, key).await;
        assert_eq!((&*outcome, &*why), ("done", ""), "{key:?}");
        let trial = field.journal("cert.trial").pop().unwrap()["body"].clone();
        let installed = field.journal("cert.installed").pop().unwrap()["body"].clone();
        assert_eq!(trial["name"], key.name());
        assert!(trial["by"].to_string().contains("CN=admin-1"), "{trial}");
        for fact in [
            "name",
            "certificate_sha256",
            "before_sha256",
            "not_after",
            "command",
        ] {
            assert_eq!(trial[fact], installed[fact], "{fact}");
        }
        assert_eq!(sent(key).await, trial["command"]);
    }
    assert_eq!(field.journal("cert.kept").len(), 2);
    let same = field.dir.path().join("next-transport.crt");
    let words = ["cert-install", &same.to_string_lossy()];
    let (outcome, why) = answer(&field, ADMIN, &words).await;
    assert_eq!(outcome, "refused", "{why}");
    assert!(why.contains("no later than the one in force"), "{why}");
    daemon.kill();
    check_names_what_was_sent(&field);

    // Packages under both arrive, over a connection with the new one.
    let next = field.dir.path().join("next-evidence.crt");
    let key = field.pki.device.join("evidence.key");
    let new = Identity::load_from(&key, &next, Usage::Evidence).unwrap();
    let packages = {
        let store = store(&field);
        [seal(&field, &store), seal_as(&store, &new)]
    };
    let _daemon = field.daemon();
    until(&field, "both receipts", async || {
        field.receipted().len() == packages.len()
    })
    .await;
    for id in packages {
        assert!(field.receipted().contains(&field.package(&json!(id))));
    }
    assert!(sent(KeyName::Evidence).await.is_string());
}

/// `lingmou check` while no daemon runs: by its own connection, which the broker takes.
fn check_names_what_was_sent(field: &Field) {
    let out = Command::new(env!("CARGO_BIN_EXE_lingmou"))
        .args(["check", "--online", "--json", "--config"])
        .arg(field.config())
        .output()
        .unwrap();
    let said = String::from_utf8(out.stdout).unwrap();
    let findings: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (what, words) in [
        ("evidence key", "sent by command"),
        ("transport key", "sent by command"),
        ("broker", "accepts this box"),
    ] {
        let finding = findings.iter().find(|f| f["what"] == what).unwrap();
        assert_eq!(finding["ok"], true, "{finding}");
        assert!(finding["word"].to_string().contains(words), "{finding}");
    }
}

//! What reviewers decided comes back: a rule that is objected to, and a forger.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_reviewers_object_to_makes_leads_only() {
    let field = Field::start(NO_CAMERA, &|profile| {
        profile["commands"]["objections_least"] = value(2);
        profile["commands"]["objections_window"] = value(2);
    })
    .await;
    let packages = {
        let store = store(&field);
        [(); 3].map(|()| field.package(&json!(seal(&field, &store))))
    };
    let _daemon = field.daemon();
    connected(&field).await;
    let verdict = async |reviewer: usize, package: usize, verdict: &str| {
        let package = packages[package].to_string_lossy().into_owned();
        let words = [
            "verdict",
            &package,
            "--verdict",
            verdict,
            "--reason",
            "摊位在店内",
        ];
        told(&field, &field.pki.reviewers[reviewer], &words).await
    };
    let rule = async || field.status().await["objections"]["rules"]["street_vending"].clone();
    let (code, reply) = verdict(0, 0, "reject").await;
    assert_eq!((code, &reply["outcome"]), (Some(0), &json!("done")));
    assert_eq!(rule().await["leads_only"], false, "one says little");
    verdict(0, 1, "reject").await;
    let told_rule = rule().await;
    let expected = json!({ "leads_only": true, "judged": 2, "rejected": 2 });
    assert_eq!(told_rule, expected);
    let line = &field.journal("rule.leads_only")[0]["body"];
    assert_eq!(
        (&line["leads_only"], &line["by"]),
        (&json!(true), &Value::Null)
    );
    let received = &field.journal("verdict.received")[0]["body"];
    assert_eq!(received["rule"], "street_vending");
    assert!(
        received["reviewer"]
            .as_str()
            .unwrap()
            .contains("CN=reviewer-1")
    );

    a_forged_verdict_is_told_and_not_answered(&field, &packages[2]).await;

    // Verdicts that accept bring it back: of the newest two none is rejected.
    verdict(0, 2, "accept").await;
    assert_eq!(rule().await["leads_only"], true, "one of two");
    verdict(1, 1, "accept").await;
    assert_eq!(
        rule().await,
        json!({ "leads_only": false, "judged": 2, "rejected": 0 })
    );
    assert_eq!(field.journal("rule.leads_only").len(), 2);
}

/// A stranger's verdict, in a known reviewer's name.
async fn a_forged_verdict_is_told_and_not_answered(field: &Field, package: &Path) {
    let other = TestPki::create(&field.dir.path().join("other"), DEVICE).unwrap();
    let forged = field.dir.path().join("forged");
    fs::create_dir(&forged).unwrap();
    for (from, name) in [
        (&other.reviewers[0], "reviewer.key"),
        (&other.reviewers[0], "reviewer.crt"),
        (&field.pki.reviewers[0], "transport.key"),
        (&field.pki.reviewers[0], "transport.crt"),
        (&field.pki.reviewers[0], "roots.crt"),
    ] {
        fs::copy(from.join(name), forged.join(name)).unwrap();
    }
    let broker = format!("127.0.0.1:{}", field.broker.port());
    let forger = tokio::process::Command::new(env!("CARGO_BIN_EXE_lingmou"))
        .args([
            "command", "--device", DEVICE, "--wait", "2", "--broker", &broker,
        ])
        .arg("--keys")
        .arg(&forged)
        .arg("verdict")
        .arg(package)
        .args(["--verdict", "accept", "--reason", "x"])
        .output()
        .await
        .unwrap();
    assert_eq!(forger.status.code(), Some(2), "nobody answers a stranger");
    let refused = field.journal("verdict.refused");
    assert!(
        refused[0]["body"]["why"]
            .as_str()
            .unwrap()
            .contains("not trusted")
    );
}

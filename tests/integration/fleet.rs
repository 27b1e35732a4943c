//! `lingmou simulate`, small: the program's own receivers as processes, and one of them killed.

use std::process::Command;

#[test]
fn a_fleet_loses_nothing_when_a_receiver_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_lingmou"))
        .args(["simulate", "--devices", "6", "--packages", "4", "--json"])
        .args(["--kill-receiver", "--dir"])
        .arg(dir.path().join("fleet"))
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{words}");
    let report: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    for (what, expected) in [
        ("packages", 24),
        ("receipted", 24),
        ("lost", 0),
        ("doubled", 0),
    ] {
        assert_eq!(report[what], expected, "{what}: {report}");
    }
    assert_eq!(report["killed"], "receiver-2", "{report}");
    let costs = report["costs"].as_array().unwrap();
    let who: Vec<&str> = costs.iter().map(|c| c["who"].as_str().unwrap()).collect();
    let expected = [
        "mosquitto",
        "receiver-1",
        "receiver-2",
        "all boxes together",
    ];
    assert_eq!(who, expected);
    for cost in costs {
        assert!(cost["peak_mib"].as_f64().unwrap() > 0.0, "{cost}");
    }
}

//! The shipped file and the profiles: every key with its default, and nothing wrong but what a box brings.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;

#[test]
fn the_shipped_file_holds_every_key_with_its_default() {
    let switched_off: Config = toml::from_str(&shipped()).expect("parses");
    assert_eq!(switched_off, Config::default());

    let on: Config = toml::from_str(&shipped_whole()).expect("parses with its examples on");
    let camera = Camera {
        name: "front".to_owned(),
        ..Camera::default()
    };
    assert_eq!(on.camera, [camera]);
    assert_eq!(on.zone.len(), 1);
    assert_eq!(
        (on.zone[0].name.as_str(), on.zone[0].kind),
        ("pavement", ZoneKind::default())
    );

    let all = Config {
        camera: vec![Camera::default()],
        zone: vec![Zone::default()],
        telemetry: Telemetry {
            alt_m: Some(0.0),
            ..Telemetry::default()
        },
        warn: Warn {
            hours: vec![Hours::default()],
            outlet: vec![Outlet::default()],
            ..Warn::default()
        },
        ..Config::default()
    };
    let [mut wanted, mut written] = [BTreeSet::new(), BTreeSet::new()];
    let defaults = toml::Value::try_from(&all).expect("serialises");
    keys(&defaults, "", &mut wanted);
    let text: toml::Value = toml::from_str(&shipped_whole()).expect("parses");
    keys(&text, "", &mut written);
    assert_eq!(written, wanted);
}

#[test]
fn the_shipped_file_lacks_only_what_a_box_brings() {
    let error =
        Config::parse(&house().join("config/lingmou.toml"), &shipped()).expect_err("no camera yet");
    let keys: Vec<&str> = error.list.iter().map(|m| m.key.as_str()).collect();
    assert!(keys.contains(&"camera"), "{error}");
    assert!(
        error
            .list
            .iter()
            .all(|m| m.key == "camera" || m.what.starts_with("no such")),
        "{error}"
    );
}

#[test]
fn the_profiles_lack_only_files_of_the_box() {
    for name in ["pole", "patrol-car", "drone"] {
        let path = house().join(format!("config/profiles/{name}.toml"));
        if let Err(error) = Config::read(&path) {
            let on_the_box = |m: &Mistake| {
                m.key == "keys.dir" || m.key.ends_with("password_file") || m.key == "model.card"
            };
            assert!(
                error
                    .list
                    .iter()
                    .all(|m| on_the_box(m) && m.what.starts_with("no such")),
                "{error}"
            );
        }
    }
}

/// A vendor who is promised five minutes must not be looked at again after two.
#[test]
fn each_grace_time_is_what_the_clip_says() {
    let page = std::fs::read_to_string(house().join("config/clips/README.md")).expect("the page");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let minutes: BTreeMap<&str, Option<f64>> = rows
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            (cells[0].trim_end_matches('`'), cells[3].parse().ok())
        })
        .collect();
    let mut promises = 0;
    for name in [
        "lingmou",
        "profiles/pole",
        "profiles/patrol-car",
        "profiles/drone",
        "profiles/demo",
    ] {
        let path = house().join(format!("config/{name}.toml"));
        let text = std::fs::read_to_string(&path).expect("a shipped file");
        let config: Config = toml::from_str(&text).expect("its keys are known");
        let (vending, shop) = (&config.judge.street_vending, &config.judge.out_of_store);
        for (clip, grace_secs) in [
            (&config.warn.street_vending, vending.grace_secs),
            (&config.warn.out_of_store, shop.grace_secs),
        ] {
            let clip = clip
                .file_name()
                .and_then(|name| name.to_str())
                .expect("a file");
            // One that asks for nothing promises no time.
            if let Some(minutes) = minutes[clip] {
                let promised = Duration::from_secs_f64(minutes * 60.0);
                let given = Duration::from_secs_f64(grace_secs);
                assert_eq!(given, promised, "{name}: {clip}");
                promises += 1;
            }
        }
    }
    assert_eq!(promises, 8, "the demonstration's clip asks for nothing");
}

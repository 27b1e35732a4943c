//! `replay --what-if key=value`: the same recording under another configuration.

use std::path::Path;

use anyhow::Context as _;
use toml::{Table, Value};

use crate::config::{Config, Loaded};

use super::out;

/// What may be changed: all that decides what is made of the same detections.
const MAY: [&str; 5] = [
    "judge.",
    "zone.",
    "guard.",
    "background.",
    "device.time_zone",
];
/// Of a camera no more: the others decide what is detected.
const MAY_OF_CAMERA: [&str; 2] = [".mount", ".clock_area"];
/// How that is told.
const ASK: &str = "judge.…, zone.NAME.…, guard.…, background.…, camera.NAME.mount, \
                   camera.NAME.clock_area and device.time_zone can be asked about; for example \
                   --what-if judge.street_vending.dwell_secs=30, or --what-if \
                   'zone.kerb.hours=[\"07:00-22:00\"]'";

/// Why a key cannot be asked about; `None` when it can.
fn refusal(key: &str) -> Option<&'static str> {
    let of_camera = |end: &&str| key.starts_with("camera.") && key.ends_with(*end);
    let may = MAY.iter().any(|start| key.starts_with(start));
    if may || MAY_OF_CAMERA.iter().any(of_camera) {
        return None;
    }
    Some(match key.split('.').next().unwrap_or_default() {
        "warn" => {
            "a replay has every warning heard out: loudspeakers, hours and budgets decide nothing in it"
        }
        "evidence" => "a replay makes no pictures, so nothing is decided by what they are worth",
        "model" | "camera" => {
            "it decides what is detected: change it in a copy of the file, and replay with that"
        }
        _ => "it decides nothing in a replay",
    })
}

/// The configuration of `path` with `changes` (`judge.street_vending.dwell_secs=30`, or
/// `zone.kerb.hours=["07:00-22:00"]` with a zone's name) made.
pub(super) fn changed(path: &Path, changes: &[String]) -> anyhow::Result<Loaded> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut table: Table = toml::from_str(&text)?;
    for change in changes {
        let wrong = |why: &str| out::Hint::error(format!("--what-if {change}: {why}"), ASK);
        let (key, value) = change.split_once('=').ok_or_else(|| wrong("no = in it"))?;
        let key = key.trim();
        if let Some(why) = refusal(key) {
            return Err(wrong(why));
        }
        let read = toml::from_str::<Table>(&format!("value = {value}"));
        let read = read.ok().and_then(|mut t| t.remove("value"));
        let value = read.unwrap_or_else(|| Value::String(value.trim().to_owned()));
        set(&mut table, key, value)
            .ok_or_else(|| wrong("there is no such zone, camera or table"))?;
    }
    let text = toml::to_string(&table)?;
    Config::parse_elsewhere(path, &text).map_err(|mistakes| {
        let first = mistakes.list.first();
        let words = first.map_or_else(String::new, |m| format!("{}: {}", m.key, m.what));
        let hint = first.map_or_else(String::new, |m| format!("expected {}", m.expected));
        out::Hint::error(format!("--what-if {}: {words}", changes.join(" ")), hint)
    })
}

/// Sets the value of a dotted key; a list of tables is entered by the name of one.
fn set(table: &mut Table, key: &str, value: Value) -> Option<()> {
    let Some((first, rest)) = key.split_once('.') else {
        table.insert(key.to_owned(), value);
        return Some(());
    };
    let inner = table
        .entry(first)
        .or_insert_with(|| Value::Table(Table::new()));
    match inner {
        Value::Table(inner) => set(inner, rest, value),
        Value::Array(list) => {
            let (name, rest) = rest.split_once('.')?;
            let named = |t: &&mut Table| t.get("name").and_then(Value::as_str) == Some(name);
            let one = list
                .iter_mut()
                .filter_map(Value::as_table_mut)
                .find(named)?;
            set(one, rest, value)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_asked_is_refused_with_why_and_with_what_can() {
        for (key, why) in [
            ("judge.calendar", None),
            ("zone.kerb.hours", None),
            ("guard.enabled", None),
            ("background.still_secs", None),
            ("camera.street.mount", None),
            ("camera.street.clock_area", None),
            ("device.time_zone", None),
            ("camera.street.url", Some("what is detected")),
            ("model.card", Some("what is detected")),
            ("warn.budget.per_hour", Some("every warning heard out")),
            ("evidence.focus_min", Some("makes no pictures")),
            ("device.id", Some("decides nothing")),
            ("upload.host", Some("decides nothing")),
        ] {
            let told = refusal(key);
            assert_eq!(told.is_some(), why.is_some(), "{key}: {told:?}");
            assert!(told.unwrap_or("").contains(why.unwrap_or("")), "{told:?}");
        }
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("lingmou.toml");
        drop(std::fs::File::create(&file).expect("a file"));
        let error = changed(&file, &["warn.margin_secs=1".to_owned()]).expect_err("refused");
        let hint = error.downcast_ref::<out::Hint>().expect("a hint");
        let hint = &hint.hint;
        assert!(hint.contains("background.…"), "{hint}");
    }

    #[test]
    fn keys_are_set_where_they_belong() {
        let text = "[[zone]]\nname = \"a\"\n[[zone]]\nname = \"kerb\"\ninertia = 0.5\n";
        for (key, wanted) in [
            (
                "judge.street_vending.dwell_secs",
                Some("[judge.street_vending]\ndwell_secs = 7\n"),
            ),
            ("zone.kerb.inertia", Some("inertia = 7\nname = \"kerb\"\n")),
            ("zone.curb.inertia", None),
            ("zone.kerb", None),
            ("zone.kerb.inertia.x", None),
        ] {
            let mut table: Table = toml::from_str(text).expect("parses");
            let done = set(&mut table, key, Value::Integer(7));
            assert_eq!(done.is_some(), wanted.is_some(), "{key}");
            if let Some(wanted) = wanted {
                let told = toml::to_string(&table).expect("a table");
                assert!(told.contains(wanted), "{key}: {told}");
            }
        }
    }
}

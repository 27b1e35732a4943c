//! `replay --what-if key=value`: the same recording under another configuration.

use std::path::Path;

use anyhow::Context as _;
use toml::{Table, Value};

use crate::config::{Config, Loaded};

use super::out;

/// What may be changed: nothing else changes what judgement makes of the same detections.
const MAY: [&str; 2] = ["judge.", "zone."];

/// The configuration of `path` with `changes` (`judge.street_vending.dwell_secs=30`, or
/// `zone.kerb.hours=["07:00-22:00"]` with a zone's name) made.
pub(super) fn changed(path: &Path, changes: &[String]) -> anyhow::Result<Loaded> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut table: Table = toml::from_str(&text)?;
    for change in changes {
        let wrong = |why: &str| {
            let hint = "for example --what-if judge.street_vending.dwell_secs=30, or --what-if \
                        'zone.kerb.hours=[\"07:00-22:00\"]'";
            out::Hint::error(format!("--what-if {change}: {why}"), hint)
        };
        let (key, value) = change.split_once('=').ok_or_else(|| wrong("no = in it"))?;
        let key = key.trim();
        if !MAY.iter().any(|start| key.starts_with(start)) {
            return Err(wrong("only judge.… and zone.NAME.… can be asked about"));
        }
        let read = toml::from_str::<Table>(&format!("value = {value}"));
        let read = read.ok().and_then(|mut t| t.remove("value"));
        let value = read.unwrap_or_else(|| Value::String(value.trim().to_owned()));
        set(&mut table, key, value).ok_or_else(|| wrong("there is no such zone or table"))?;
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

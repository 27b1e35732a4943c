//! What is shipped holds every key; what is wrong is told all at once.

mod features;
mod permits;
mod reading;
mod shipped;
mod sound;
mod zones;

use std::collections::BTreeSet;

use super::*;

fn house() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn shipped() -> String {
    std::fs::read_to_string(house().join("config/lingmou.toml")).expect("the shipped file")
}

/// The shipped file with its example tables switched on: `#key = …`, not `# words`.
fn shipped_whole() -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => {
            key.to_owned()
        }
        _ => line.to_owned(),
    };
    shipped().lines().map(line).collect::<Vec<_>>().join("\n")
}

fn keys(value: &toml::Value, prefix: &str, found: &mut BTreeSet<String>) {
    match value {
        toml::Value::Table(table) => {
            for (name, value) in table {
                keys(value, &format!("{prefix}.{name}"), found);
            }
        }
        toml::Value::Array(list) if list.iter().all(toml::Value::is_table) && !list.is_empty() => {
            for value in list {
                keys(value, prefix, found);
            }
        }
        _ => {
            found.insert(prefix.to_owned());
        }
    }
}

/// The page for `text`, as if it were in a folder where nothing else is.
fn page(text: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("lingmou.toml");
    let page = match Config::parse(&path, text) {
        Ok(_) => "no mistake".to_owned(),
        Err(mistakes) => mistakes.to_string(),
    };
    page.replace(&folder.path().display().to_string(), "/etc/lingmou")
}

//! `lingmou store repair`: what a start of the daemon does, by hand and explained.

use serde_json::json;

use crate::config;
use crate::store::{Database, Finding, Healed, Recovery, Store, StoreError};

use super::super::{Answer, out};

pub(super) fn run(config: &config::Store, device: &str, json: bool) -> anyhow::Result<Answer> {
    let (store, recovery) = Store::open(config, device).map_err(|error| match error {
        StoreError::Locked { .. } => {
            let hint = "systemctl stop lingmou; its next start repairs by itself, too";
            out::Hint::error(error.to_string(), hint)
        }
        other => other.into(),
    })?;
    let mut healed = Vec::new();
    for finding in store.check()? {
        if let Finding::Package { id, .. } = finding {
            healed.push((id, store.heal(id)?));
        }
    }
    let left = store.check()?;
    let well = left.is_empty();
    if json {
        let value = json!({ "recovery": recovery, "healed": healed, "left": left });
        out::data(&format!("{value:#}"));
    } else {
        let mut lines = explain(&recovery);
        for (id, healed) in &healed {
            lines.push(match healed {
                Healed::Whole(files) if files.is_empty() => {
                    format!("{id} is whole again and was queued")
                }
                Healed::Whole(files) => {
                    format!(
                        "{id} is whole: {} came from the second copy",
                        files.join(", ")
                    )
                }
                Healed::Not(why) => format!("{id} cannot be mended: {why}"),
            });
        }
        if lines.is_empty() {
            lines.push("there was nothing to repair".to_owned());
        }
        out::data(&lines.join("\n"));
        for finding in &left {
            out::data(&format!("! {finding}"));
        }
    }
    Ok(if well { Answer::Yes } else { Answer::No })
}

/// What opening the store did, in sentences.
fn explain(recovery: &Recovery) -> Vec<String> {
    let mut lines = Vec::new();
    match &recovery.database {
        Database::Sound => {}
        Database::New => lines.push("the store is new".to_owned()),
        Database::Rebuilt { why } => lines.push(format!(
            "the database was made again from packages/ and journal/ ({why}); if there was a broken \
             one, it is kept beside it as q.db.broken-*"
        )),
    }
    for id in &recovery.adopted {
        lines.push(format!(
            "{id} was taken in: it was complete, and had no row"
        ));
    }
    for id in &recovery.whole_again {
        lines.push(format!("{id} is whole again and was queued"));
    }
    for id in &recovery.damaged {
        lines.push(format!("{id} is damaged: kept as it is, not sent"));
    }
    for name in &recovery.foreign {
        lines.push(format!(
            "packages/{name} is no package of this store: left alone"
        ));
    }
    for (count, what) in [
        (
            recovery.requeued as u64,
            "packages on their way were queued again",
        ),
        (
            recovery.drafts_lost as u64,
            "files of open cases were missing or changed: let go",
        ),
        (
            recovery.leftovers as u64,
            "leftovers in staging/ were removed: no row knew them",
        ),
        (
            recovery.journal_repairs,
            "torn ends of the journal were set aside as torn-*",
        ),
    ] {
        if count > 0 {
            lines.push(format!("{count} {what}"));
        }
    }
    if let Some(broken) = &recovery.journal_broken {
        lines.push(format!(
            "{broken}; that is never mended, the chain goes on behind it"
        ));
    }
    lines
}

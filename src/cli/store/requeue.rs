//! `lingmou store requeue`: what a receiver has refused is offered once more.

use serde_json::json;

use crate::clock;
use crate::config;
use crate::store::{Store, StoreError};

use super::super::places::CaseArg;
use super::super::{Answer, out};

const EXAMPLES: &str = "\
Examples:
  lingmou store requeue --refused
  lingmou store requeue 0198f0a2-0000-7000-8000-000000000001

Exit code: 0 done, 2 could not be done.";

/// Which packages
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// These packages
    #[arg(value_name = "ID", required_unless_present = "refused")]
    id: Vec<CaseArg>,
    /// All that a receiver has refused
    #[arg(long, conflicts_with = "id")]
    refused: bool,
}

pub(super) fn run(
    (config, device): (&config::Store, &str),
    which: &Args,
    json: bool,
) -> anyhow::Result<Answer> {
    let (store, _) = Store::open(config, device).map_err(|error| match error {
        StoreError::Locked { .. } => {
            let hint = "systemctl stop lingmou; or, beside the running daemon, an administrator's \
                        `lingmou command … resend`";
            out::Hint::error(error.to_string(), hint)
        }
        other => other.into(),
    })?;
    let now = clock::now();
    let requeued = if which.refused {
        store.requeue_all(now, None)?
    } else {
        let mut requeued = 0;
        for id in &which.id {
            requeued += u64::from(store.requeue(now, id.0, None)?);
        }
        requeued
    };
    out::data(&if json {
        json!({ "requeued": requeued }).to_string()
    } else {
        format!("{requeued} packages were refused and are in the queue again")
    });
    Ok(Answer::Yes)
}

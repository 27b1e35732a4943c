//! `lingmou journal spoke`: did the loudspeaker play at that time, and if not, why not?

mod page;

use std::path::PathBuf;

use jiff::SignedDuration;

use crate::journal;
use crate::journal::spoke::Account;
use crate::witness::Roots;

use super::{Answer, Local, StoreDir, moment, out, there};

const EXAMPLES: &str = "\
Examples:
  lingmou journal spoke --from 2026-08-01T06:00 --to 2026-08-01T07:00
  lingmou journal spoke --from 2026-08-01 --store /mnt/box/lingmou --roots roots.crt

Exit code: 0 it sounded, 1 it did not, or that is not known, 2 could not look.";

/// Did the loudspeaker play in that time, what was not said, and why
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    place: StoreDir,
    /// From this moment: local time (2026-08-01T06:10, 2026-08-01) or RFC 3339
    #[arg(long, value_name = "TIME")]
    from: String,
    /// Before this moment; by default one day later
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    #[command(flatten)]
    local: Local,
    /// Root certificates, a PEM file or a folder of them: a NO then needs the box's signature
    #[arg(long, value_name = "PATH")]
    roots: Option<PathBuf>,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Answer> {
    let zone = args.local.zone()?;
    let from = moment(&args.from, &zone)?;
    let to = match &args.to {
        Some(to) => moment(to, &zone)?,
        None => from.checked_add(SignedDuration::from_hours(24))?,
    };
    if to <= from {
        let hint = "--to must be later than --from";
        return Err(out::Hint::error("no time lies between the two", hint));
    }
    let journal = there(&args.place.store)?;
    let mut account = Account::new(from, to);
    let broken = journal::walk(&journal, &mut |entry| account.take(&entry))?;
    account.end();
    account.broken = broken.map(|broken| broken.to_string());
    if let Some(roots) = &args.roots {
        let roots = Roots::load(roots)?;
        account.vouch(&journal::audit(&args.place.store, &roots, None)?);
    }
    if args.json {
        out::data(&page::json(&account, &args.local.time_zone).to_string());
    } else {
        out::data(&page::page(&account, &zone));
    }
    Ok(if account.sounded() {
        Answer::Yes
    } else {
        Answer::No
    })
}

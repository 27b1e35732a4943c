//! `lingmou run`: the daemon.

use std::path::PathBuf;

use crate::{config, daemon};

use super::{Answer, log, runtime};

const EXAMPLES: &str = "\
Examples:
  lingmou run --config /etc/lingmou/lingmou.toml
  lingmou -v run --config lingmou.toml          with a talkative log

Under systemd the log goes to the journal: journalctl -u lingmou -f
SIGTERM or Ctrl-C stops in order; a second one stops at once.";

/// Run the daemon
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The configuration file
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "/etc/lingmou/lingmou.toml"
    )]
    config: PathBuf,
}

pub(super) fn run(args: &Args, verbose: u8) -> anyhow::Result<Answer> {
    log::start(verbose);
    let loaded = config::Config::read(&args.config)?;
    runtime()?.block_on(async {
        let stop = daemon::stop_on_signals()?;
        daemon::run(&loaded, stop).await
    })?;
    Ok(Answer::Yes)
}

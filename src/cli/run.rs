//! `lingmou run`: the daemon.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::command::Settings;
use crate::daemon::{self, End};

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
    let chosen = Settings::choose(&args.config)?;
    let ended = runtime()?.block_on(async {
        let stop = daemon::stop_on_signals()?;
        daemon::run(&chosen, stop).await
    });
    match (ended, &chosen.trial) {
        (Ok(End::Stopped), _) => Ok(Answer::Yes),
        (Ok(End::Again), _) => again(),
        (Err(error), Some(_)) => {
            let why = format!("the box could not start with it: {error:#}");
            tracing::error!(why, "what is on trial is given up");
            let store = &chosen.loaded.config.store.dir;
            Settings::new(&args.config, store).roll_back(&why)?;
            again()
        }
        (Err(error), _) => Err(error),
    }
}

/// Starts this program again in this process's place, so that nothing of the run before is left.
/// Comes back only when that is not possible.
fn again() -> anyhow::Result<Answer> {
    let error = Command::new("/proc/self/exe")
        .args(std::env::args_os().skip(1))
        .exec();
    Err(error).context("the program cannot be started again")
}

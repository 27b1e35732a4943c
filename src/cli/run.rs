//! `lingmou run`: the daemon.

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Runtime;

use crate::command::Settings;
use crate::daemon::{self, End};

use super::places::ConfigFile;
use super::{Answer, log, runtime};

const EXAMPLES: &str = "\
Examples:
  lingmou run --config /etc/lingmou/lingmou.toml
  lingmou -v run --config lingmou.toml          # with a talkative log

Under systemd the log goes to the journal: journalctl -u lingmou -f
SIGTERM or Ctrl-C stops in order; a second one stops at once.
Exit code: 0 it was stopped, 2 it could not begin.";

/// What still hangs when everything ended in order, or ran out of its time, is given this long.
const LEFT_BEHIND_AFTER: Duration = Duration::from_secs(1);

/// Run the daemon
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    file: ConfigFile,
}

pub(super) fn run(args: &Args, verbose: u8) -> anyhow::Result<Answer> {
    log::start(verbose);
    let chosen = Settings::choose(&args.file.config)?;
    let ended = to_the_end(runtime()?, async {
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
            Settings::new(&args.file.config, store).roll_back(&why)?;
            again()
        }
        (Err(error), _) => Err(error),
    }
}

/// Does the work and ends the runtime, whatever still hangs in it: dropping it would wait for a thread
/// that hangs in a dead disk, and nobody would listen to a second signal.
fn to_the_end<T>(runtime: Runtime, work: impl Future<Output = T>) -> T {
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(LEFT_BEHIND_AFTER);
    done
}

/// Starts this program again in this process's place, so that nothing of the run before is left.
/// Comes back only when that is not possible.
fn again() -> anyhow::Result<Answer> {
    let error = Command::new("/proc/self/exe")
        .args(std::env::args_os().skip(1))
        .exec();
    Err(error).context("the program cannot be started again")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn what_hangs_at_the_end_does_not_keep_the_program() {
        let (never, hangs) = sync_channel::<()>(1);
        let (say, heard) = sync_channel(1);
        std::thread::spawn(move || {
            let work = async {
                tokio::task::spawn_blocking(move || hangs.recv());
                "done"
            };
            say.send(to_the_end(runtime().unwrap(), work)).unwrap();
        });
        assert_eq!(heard.recv_timeout(Duration::from_mins(1)), Ok("done"));
        drop(never);
    }
}

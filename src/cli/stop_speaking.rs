//! `lingmou stop-speaking`: the loudspeaker of the running daemon, silent now.

use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::status;

use super::places::RunDir;
use super::{Answer, out, runtime};

const EXAMPLES: &str = "\
Examples:
  lingmou stop-speaking                 # silent now, and for [warn] stop_secs after it
  sudo lingmou stop-speaking            # when you are not the daemon's own user
  kill -USR1 PID                        # the same, without this program

What is being said breaks off within a second, and nothing more is said, whoever orders it, until
the time is over; a restart does not end it. The journal keeps who stopped what
(lingmou journal spoke). Exit code: 0 it is silent, 2 it could not be told.";

/// How long the daemon may take to say that it is done.
const WITHIN: Duration = Duration::from_secs(5);
/// How often it is asked.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Silence the loudspeaker at once, and for the configured time
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    place: RunDir,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Answer> {
    let words = runtime()?.block_on(async {
        let before = status::ask(&args.place.run_dir).await?;
        tell(&before)?;
        tokio::time::timeout(WITHIN, done(args, stops(&before)))
            .await
            .context("the daemon was told and has not said that it is silent")?
    })?;
    out::data(&words);
    Ok(Answer::Yes)
}

fn stops(status: &Value) -> u64 {
    status["voice"]["stops"].as_u64().unwrap_or_default()
}

/// Sends the signal to the daemon that answered.
fn tell(status: &Value) -> anyhow::Result<()> {
    let pid = status["pid"]
        .as_i64()
        .and_then(|pid| i32::try_from(pid).ok());
    let pid = pid
        .and_then(Pid::from_raw)
        .context("the daemon does not say its process id")?;
    kill_process(pid, Signal::USR1).map_err(|error| {
        out::Hint::error(
            format!("process {} cannot be told: {error}", pid.as_raw_nonzero()),
            "only the daemon's own user and root may: sudo lingmou stop-speaking",
        )
    })
}

/// Waits until the daemon counts one stop more.
async fn done(args: &Args, before: u64) -> anyhow::Result<String> {
    loop {
        let now = status::ask(&args.place.run_dir).await?;
        if stops(&now) > before {
            let left = now["voice"]["silent_secs"].as_u64().unwrap_or_default();
            return Ok(format!("silent for {left} s"));
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

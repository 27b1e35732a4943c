//! A whole small town on loopback: everything the daemon talks to, started for a demonstration.
//!
//! The RTSP server plays the camera, the vehicle flies, the broker carries, the receiver signs;
//! between them runs the real daemon, unchanged. The tests use the same peers.
//!
//! **Invariants.** Loopback and free ports only; every process, thread and folder it makes it
//! also ends or names. The demonstration shows what the daemon does, it does none of it.
//!
//! **Not here.** Nothing a field installation runs: builds without the feature `demo` leave this
//! module out.

pub mod broker;
pub mod fleet;
mod footage;
mod profile;
pub mod rtsp;
mod town;
pub mod tsa;
pub mod vehicle;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::types::CaseId;
use crate::witness::{self, Container, Roots, Statement, Verdict};

pub use footage::Footage;
use town::Town;

/// Longest demonstration: two rounds of the footage and the cases' own times.
const LONGEST: Duration = Duration::from_mins(4);
/// After the first package, others that are already under way are waited for this long.
const LAST_CALL: Duration = Duration::from_secs(45);
/// Packages after which enough has been shown.
const ENOUGH: usize = 2;
/// Events that wait to be told.
const EVENTS: usize = 64;

/// A package that went the whole way.
#[derive(Debug)]
pub struct Shown {
    /// The case.
    pub id: CaseId,
    /// Where the device keeps it.
    pub package: PathBuf,
    /// Where the receiver keeps it.
    pub received: PathBuf,
    /// What it states.
    pub statement: Statement,
    /// What the verifier says.
    pub verdict: Verdict,
}

/// What was shown.
#[derive(Debug)]
pub struct Show {
    /// The folder of everything that was made.
    pub dir: PathBuf,
    /// The root certificate that packages are checked against.
    pub roots: PathBuf,
    /// The packages, in the order of their receipts.
    pub shown: Vec<Shown>,
    /// Whether it was stopped from outside before it was over.
    pub stopped: bool,
}

/// Runs the demonstration in `dir` on `footage` until enough is shown or `stop`; tells its
/// progress to `say`.
pub async fn run(
    dir: &Path,
    footage: &Footage,
    say: impl Fn(&str) + Send + Sync + 'static,
    stop: CancellationToken,
) -> anyhow::Result<Show> {
    let say = Arc::new(say);
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    say(&format!("everything is in {}", dir.display()));
    let (events, mut stored) = mpsc::channel(EVENTS);
    let mut town = Town::start(dir, footage, Arc::clone(&say) as Arc<_>, events).await?;
    let mut found = Vec::new();
    let deadline = tokio::time::sleep(LONGEST);
    tokio::pin!(deadline);
    let mut last_call: Option<tokio::time::Instant> = None;
    let stopped = loop {
        let call = last_call.unwrap_or_else(far_away);
        tokio::select! {
            () = stop.cancelled() => break true,
            () = &mut deadline => break false,
            () = tokio::time::sleep_until(call) => break false,
            ended = town.daemon_ended() => {
                ended?;
                anyhow::bail!("the daemon ended by itself");
            }
            package = stored.recv() => {
                let Some(package) = package else { break false };
                found.push(package);
                last_call.get_or_insert_with(|| tokio::time::Instant::now() + LAST_CALL);
                if found.len() >= ENOUGH {
                    break false;
                }
            }
        }
    };
    // The device files its copy of the receipt a moment after the receiver has sent it, and then
    // asks for the time-stamp.
    town.filed(&found).await;
    say("stopping");
    let (device, roots) = (town.packages(), town.roots());
    town.stop().await?;
    let shown = found
        .into_iter()
        .map(|(id, received)| show(&device, &roots, id, received));
    let shown = shown.collect::<anyhow::Result<_>>()?;
    Ok(Show {
        dir: dir.to_owned(),
        roots,
        shown,
        stopped,
    })
}

/// A moment no demonstration reaches.
fn far_away() -> tokio::time::Instant {
    tokio::time::Instant::now() + LONGEST + LONGEST
}

fn show(device: &Path, roots: &Path, id: CaseId, received: PathBuf) -> anyhow::Result<Shown> {
    let package = device.join(id.to_string());
    let container = Container::open(&package)?;
    let statement = container
        .get(witness::STATEMENT)
        .context("a package without a statement")?;
    let statement = Statement::parse(statement)?;
    let verdict = witness::verify(&container, &Roots::load(roots)?);
    Ok(Shown {
        id,
        package,
        received,
        statement,
        verdict,
    })
}

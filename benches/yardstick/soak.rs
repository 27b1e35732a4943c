//! The daemon over hours: what it holds in memory, minute by minute.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::ensure;

use super::daemon::{self, Street};
use super::process::{Process, lines};
use super::stage::Stage;

/// How long, and on what
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Minutes
    #[arg(long, default_value_t = 60)]
    minutes: u32,
    /// The model's card; the shipped model when left out
    #[arg(long)]
    card: Option<PathBuf>,
}

/// Runs `lingmou run` on one 1080p main stream and prints a line each minute.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shipped = || root.join("models/efficientdet-lite0.toml");
    let card = args.card.clone().unwrap_or_else(shipped);
    let stage = Stage::open(&root.join(".setup/bench"), 1)?;
    let dir = tempfile::tempdir()?;
    let urls = [stage.url(0, false)];
    let config = daemon::configure(
        dir.path(),
        &card,
        (&urls, &[], false),
        Street::SomebodyStays,
    )?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_lingmou"));
    command.arg("run").arg("--config").arg(config);
    command.stderr(Stdio::null());
    let (mut process, out) = Process::start(&mut command)?;
    let (end, ended) = sync_channel::<()>(1);
    // Ends with the daemon, which says nothing.
    let reader = std::thread::spawn(move || {
        lines(out, |_| ());
        drop(end);
    });
    println!(
        "| minute | RSS MiB | peak MiB | anonymous MiB | CPU s | looks | pictures | packages |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for minute in 1..=args.minutes {
        let minute_over = ended.recv_timeout(Duration::from_mins(1));
        ensure!(
            minute_over == Err(RecvTimeoutError::Timeout) && process.runs(),
            "the daemon ended by itself in minute {minute}"
        );
        let (memory, cpu) = (process.memory()?, process.cpu_secs()?);
        let status = daemon::ask(dir.path())?;
        let number = |pointer| daemon::number(&status, pointer);
        println!(
            "| {minute} | {:.1} | {:.1} | {:.1} | {cpu:.0} | {} | {} | {} |",
            memory.resident,
            memory.peak,
            memory.anonymous,
            number("/eye/detected")?,
            number("/keeper/pictures")?,
            number("/keeper/sealed")?,
        );
    }
    drop(process);
    ensure!(reader.join().is_ok(), "the daemon's output was not read");
    Ok(())
}

//! `lingmou simulate`: a fleet on this machine.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use crate::demo::fleet::{self, FleetPlan, FleetReport};

use super::{Answer, log, out, runtime};

const EXAMPLES: &str = "\
Examples:
  lingmou simulate --devices 10
  lingmou simulate --devices 100 --kill-receiver
  lingmou simulate --devices 500 --packages 5 --json

Makes keys and sealed packages for so many boxes, starts a broker (mosquitto with TLS and client
certificates) and receivers that share a folder, and sends everything by the real protocol.
In the end each package must lie once in the folder and verify. The figures are of this machine
with everything on it: boxes, broker and receivers share its processors and its disk.
docs/RECEIVER.md says what they mean for a larger fleet.
Exit code: 0 nothing was lost and nothing is there twice, 1 something, 2 it could not be run.";

/// Send packages of many boxes through a broker to receivers, on this machine, and count
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// How many boxes
    #[arg(long, value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=5000))]
    devices: u32,
    /// How many packages each of them sends; two pictures each
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    packages: u32,
    /// How many receivers share the folder
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u32).range(1..=8))]
    receivers: u32,
    /// Kill the last of the receivers when about half of the packages have their receipts
    #[arg(long)]
    kill_receiver: bool,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    limit_secs: u64,
    /// Folder for everything it makes; by default a new one below the system's temporary folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, verbose: u8) -> anyhow::Result<Answer> {
    log::start_quiet(verbose);
    let dir = match &args.dir {
        Some(dir) => std::path::absolute(dir).context("the folder's name")?,
        None => std::env::temp_dir().join(format!("lingmou-fleet-{}", std::process::id())),
    };
    let plan = FleetPlan {
        devices: args.devices,
        packages: args.packages,
        receivers: args.receivers,
        kill_receiver: args.kill_receiver,
        limit: Duration::from_secs(args.limit_secs),
        dir: dir.clone(),
        program: std::env::current_exe().context("where this program is")?,
    };
    let report = runtime()?.block_on(fleet::run(plan, |text| out::word(&format!("  {text}"))))?;
    out::data(&if args.json {
        serde_json::to_string_pretty(&report)?
    } else {
        page(&report)
    });
    if args.dir.is_none() && report.good() {
        std::fs::remove_dir_all(&dir).with_context(|| format!("removing {}", dir.display()))?;
    } else {
        out::word(&format!("everything is in {}", dir.display()));
    }
    Ok(if report.good() {
        Answer::Yes
    } else {
        Answer::No
    })
}

fn page(r: &FleetReport) -> String {
    let mut text = String::new();
    let mut say = |label: &str, words: String| {
        writeln!(text, "{label:<20} {words}").expect("invariant: a String takes everything");
    };
    say("boxes", r.devices.to_string());
    say(
        "packages",
        format!(
            "{}, receipted {}, LOST {}, TWICE {}",
            r.packages, r.receipted, r.lost, r.doubled
        ),
    );
    if let Some(killed) = &r.killed {
        say("killed in between", killed.clone());
    }
    say(
        "time",
        format!(
            "{:.1} s, {:.1} packages/s, {:.2} MiB/s",
            r.seconds,
            r.packages_per_s,
            r.payload_mib / r.seconds.max(1e-3)
        ),
    );
    if let [_, _, ..] = r.receipted_each_10_s[..] {
        let each = r.receipted_each_10_s.iter().map(u64::to_string);
        let each = each.collect::<Vec<_>>().join(", ");
        say("in each 10 s", format!("{each} packages"));
    }
    say(
        "bytes",
        format!(
            "{:.1} MiB of files, {:.1} MiB sent over TLS",
            r.payload_mib, r.sent_mib
        ),
    );
    let [half, most, all] = r.receipt_ms;
    say(
        "head to receipt",
        format!("half within {half} ms, 99 % within {most} ms, all within {all} ms"),
    );
    say("heads sent again", r.heads_again.to_string());
    for cost in &r.costs {
        say(
            &cost.who,
            format!(
                "{:.1} s of processor, {:.0} MiB at most",
                cost.cpu_s, cost.peak_mib
            ),
        );
    }
    say("load before", format!("{:.1}", r.load_before));
    text
}

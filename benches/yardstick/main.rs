//! The yardstick: what the daemon costs on live cameras, against what decoding and inference
//! alone cost in the same run.
//!
//! This process plays the cameras. Each system is a process of its own, whose CPU time and
//! memory the kernel tells: `decode` (GStreamer's RTSP client and decoder alone), `watch` (the
//! daemon's own stages, joined by its own `Sight`, which say what they saw and when) and
//! `lingmou run`, the daemon itself. `infer` measures the model alone.
//!
//! Not cargo's harness: `cargo bench --bench yardstick -- --help`; clips and models come from
//! `prepare.sh`. docs/PERFORMANCE.md reads the table.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its table"
)]

mod barcode;
mod daemon;
mod limit;
mod plan;
mod process;
mod soak;
mod stage;
mod table;
mod watch;

use clap::{Parser, Subcommand};

/// Measure the daemon against the live limit
#[derive(Debug, Parser)]
struct Args {
    /// Passed by cargo
    #[arg(long, hide = true, global = true)]
    bench: bool,
    #[command(flatten)]
    plan: plan::Args,
    #[command(subcommand)]
    part: Option<Part>,
}

/// The parts that run as processes of their own
#[derive(Debug, Subcommand)]
enum Part {
    /// Receive and decode a stream, nothing else
    Decode {
        /// Where the stream is
        url: String,
    },
    /// Run a model on noise; prints the least CPU milliseconds of one inference
    Infer {
        /// The model's card
        card: std::path::PathBuf,
    },
    /// Watch cameras as the daemon does; prints a line for each look and each picture:
    /// `D camera frame seconds objects` and `E camera track seconds bytes sha256`
    Watch(watch::Args),
    /// Run the daemon for an hour and print what it holds in memory each minute
    Soak(soak::Args),
}

fn main() -> anyhow::Result<()> {
    match Args::parse() {
        Args {
            part: None, plan, ..
        } => plan::run(&plan),
        Args {
            part: Some(part), ..
        } => match part {
            Part::Decode { url } => limit::decode(&url),
            Part::Infer { card } => limit::infer(&card),
            Part::Watch(args) => watch::run(&args),
            Part::Soak(args) => soak::run(&args),
        },
    }
}

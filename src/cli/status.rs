//! `lingmou status`: what the running daemon does and lacks.

use std::fmt::Write;
use std::path::PathBuf;

use serde_json::Value;

use crate::status;

use super::{Answer, out, runtime};

const EXAMPLES: &str = "\
Examples:
  lingmou status
  lingmou status --json | jq .cameras
  watch -n 5 lingmou status

Exit code: 0 all well, 1 something needs attention, 2 no daemon answers.";

/// Show what the running daemon does and lacks
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The daemon's run folder, `store.run_dir` of its configuration
    #[arg(long, value_name = "DIR", default_value = "/run/lingmou")]
    run_dir: PathBuf,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Answer> {
    let status = runtime()?.block_on(status::ask(&args.run_dir))?;
    let (page, well) = page(&status);
    if args.json {
        out::data(&serde_json::to_string_pretty(&status)?);
    } else {
        out::data(&page);
    }
    Ok(if well { Answer::Yes } else { Answer::No })
}

/// One screen for a human, and whether all is well.
fn page(status: &Value) -> (String, bool) {
    let mut page = String::new();
    let mut troubles: Vec<String> = Vec::new();
    let mut line = |label: &str, text: String| {
        writeln!(page, "{label:<12}{text}").expect("invariant: a String takes everything");
    };
    line(
        "device",
        format!(
            "{}  {}  up {} s  {}",
            text(&status["device"]),
            text(&status["program"]),
            text(&status["up_secs"]),
            text(&status["at"]),
        ),
    );
    let clock = &status["clock"];
    if clock["synced"] == Value::Bool(true) {
        line("clock", format!("synchronised, error below {} us", text(&clock["max_error_us"])));
    } else {
        line("clock", "NOT synchronised".to_owned());
        troubles.push("the clock is not synchronised: packages say so".to_owned());
    }
    for (name, camera) in status["cameras"].as_object().into_iter().flatten() {
        let main = &camera["main"];
        line(
            &format!("camera {name}"),
            format!(
                "{}  {} {}x{}  {} in  {} looked at  {} dropped  {} reconnects",
                text(&camera["phase"]),
                text(&main["codec"]),
                text(&main["width"]),
                text(&main["height"]),
                text(&main["units_in"]),
                text(&main["offered"]),
                text(&camera["dropped"]),
                text(&main["reconnects"]),
            ),
        );
        if let Some(cause) = camera["cause"].as_str() {
            troubles.push(format!("camera {name}: {cause}"));
        }
    }
    let eye = &status["eye"];
    line(
        "eye",
        format!(
            "{} detections  {} open cases  latency p50 {} ms, p95 {} ms",
            text(&eye["detected"]),
            text(&eye["open_cases"]),
            text(&eye["latency_ms_p50"]),
            text(&eye["latency_ms_p95"]),
        ),
    );
    line("position", position(&status["telemetry"]));
    let pending = &status["store"]["pending"];
    line(
        "store",
        format!(
            "{} packages ({} bytes) only on this box, oldest {}",
            text(&pending["packages"]),
            text(&pending["bytes"]),
            text(&status["store"]["oldest_pending_ms"]),
        ),
    );
    for trouble in [&status["keeper"]["trouble"], &status["store_trouble"]] {
        if let Some(why) = trouble.as_str() {
            troubles.push(format!("store: {why}"));
        }
    }
    let upload = &status["upload"];
    let connected = upload["connected"] == Value::Bool(true);
    line(
        "upload",
        format!(
            "{}  {} receipted  {} refused",
            if connected { "connected" } else { "not connected" },
            text(&upload["receipted"]),
            text(&upload["refused"]),
        ),
    );
    if let (false, Some(cause)) = (connected, upload["cause"].as_str()) {
        troubles.push(format!("upload: {cause}"));
    }
    for trouble in &troubles {
        page.push_str("! ");
        page.push_str(trouble);
        page.push('\n');
    }
    (page, troubles.is_empty())
}

fn position(telemetry: &Value) -> String {
    let known = |key: &str| text(&telemetry[key]);
    format!("{}  connected {}  last heard {} ms ago", known("source"), known("connected"), known("last_message_age_ms"))
}

/// A value as a word; `-` when it is not there.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

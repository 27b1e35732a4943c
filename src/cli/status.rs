//! `lingmou status`: what the running daemon does and lacks.

use std::fmt::Write;

use serde_json::Value;

use crate::status::{self, Alarm};

use super::places::RunDir;
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
    #[command(flatten)]
    place: RunDir,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Answer> {
    let status = runtime()?.block_on(status::ask(&args.place.run_dir))?;
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
    let mut page = Page::default();
    page.line(
        "device",
        &[&status["device"], &status["program"], &status["at"]],
        "",
    );
    page.line("up", &[&status["up_secs"]], "s");
    page.clock(&status["clock"]);
    page.certificates(&status["certificates"]);
    page.configuration(&status["configuration"]);
    for (name, camera) in status["cameras"].as_object().into_iter().flatten() {
        page.camera(name, camera);
    }
    page.eye(&status["eye"]);
    let telemetry = &status["telemetry"];
    page.say("position", &position(telemetry));
    page.voice(&status["voice"]);
    page.store(status);
    page.upload(status);
    page.objections(&status["objections"]["rules"]);
    if status["trial"].is_object() {
        let key = status["trial"]["certificate"].as_str();
        let what = key.map_or_else(
            || "configuration".to_owned(),
            |key| format!("{key} certificate"),
        );
        page.say("on trial", &what);
    }
    let alarms = status::alarms(status);
    for alarm in &alarms {
        page.alarm(alarm, &status["alarms"]);
    }
    (page.text, alarms.is_empty())
}

/// The screen as it is written.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn say(&mut self, label: &str, words: &str) {
        writeln!(self.text, "{label:<18} {words}").expect("invariant: a String takes everything");
    }

    fn line(&mut self, label: &str, values: &[&Value], unit: &str) {
        let words: Vec<_> = values.iter().map(|v| text(v)).collect();
        self.say(label, format!("{} {unit}", words.join("  ")).trim_end());
    }

    /// A time-stamp that does not come holds nothing else up: it is told, and is no trouble.
    fn stamps(&mut self, stamps: &Value, cause: &Value) {
        let mut words = format!(
            "{} packages stamped  {} to come",
            text(&stamps["kept"]),
            text(&stamps["due"])
        );
        if let Some(cause) = cause.as_str() {
            words.push_str(": ");
            words.push_str(cause);
        }
        self.say("time-stamps", &words);
    }

    /// What needs attention, and who took note of it as the daemon tells in `told`.
    fn alarm(&mut self, alarm: &Alarm, told: &Value) {
        let same = |t: &&Value| t["name"] == *alarm.name && t["text"] == *alarm.text;
        let noted = told.as_array().and_then(|all| all.iter().find(same));
        let noted = noted.map(|told| &told["acknowledged"]);
        let noted = noted.filter(|noted| noted.is_object()).map(|noted| {
            let (by, at) = (text(&noted["by"]), text(&noted["at"]));
            format!(" (acknowledged by {by}, {at})")
        });
        let (Alarm { name, text }, noted) = (alarm, noted.unwrap_or_default());
        writeln!(self.text, "! {name}: {text}{noted}")
            .expect("invariant: a String takes everything");
    }

    /// What the loudspeaker said and did not say since the start.
    fn voice(&mut self, voice: &Value) {
        let mut words = format!(
            "said {}  not to be said {}  failed {}",
            text(&voice["said"]),
            text(&voice["hushed"]),
            text(&voice["failed"]),
        );
        if let Some(by) = voice["stopped_by"].as_str() {
            let left = text(&voice["silent_secs"]);
            words = format!("{words}  stopped by {by}, silent for {left} s");
        }
        self.say("voice", &words);
    }

    fn clock(&mut self, clock: &Value) {
        if clock["synced"] == Value::Bool(true) {
            let error = text(&clock["max_error_us"]);
            self.say("clock", &format!("synchronised, error below {error} us"));
        } else {
            self.say("clock", "NOT synchronised");
        }
    }

    /// Until when the certificates hold.
    fn certificates(&mut self, certificates: &Value) {
        let mut ends = Vec::new();
        for (name, term) in certificates.as_object().into_iter().flatten() {
            let sent = if term["command"].is_string() {
                " (sent by command)"
            } else {
                ""
            };
            ends.push(format!("{name} until {}{sent}", text(&term["not_after"])));
        }
        if !ends.is_empty() {
            self.say("certificates", &ends.join("  "));
        }
    }

    /// Where the configuration comes from, when it is not the file on the box.
    fn configuration(&mut self, origin: &Value) {
        if let Some(command) = origin["command"].as_str() {
            let words = format!("sent by command {command}; the file on the box is not in force");
            self.say("configuration", &words);
        }
    }

    fn camera(&mut self, name: &str, camera: &Value) {
        let main = &camera["main"];
        let words = format!(
            "{}  {} {}x{}  {} in  {} handed over  {} dropped  {} reconnects",
            text(&camera["phase"]),
            text(&main["codec"]),
            text(&main["width"]),
            text(&main["height"]),
            text(&main["units_in"]),
            text(if camera["sub"].is_null() {
                &main["offered"]
            } else {
                &camera["sub"]["offered"]
            }),
            text(&camera["dropped"]),
            text(&main["reconnects"]),
        );
        self.say(&format!("camera {name}"), &words);
    }

    fn eye(&mut self, eye: &Value) {
        let words = format!(
            "{} detections  {} open cases  latency p50 {} ms, p95 {} ms",
            text(&eye["detected"]),
            text(&eye["open_cases"]),
            text(&eye["latency_ms_p50"]),
            text(&eye["latency_ms_p95"]),
        );
        self.say("eye", &words);
    }

    fn store(&mut self, status: &Value) {
        let pending = &status["store"]["pending"];
        let words = format!(
            "{} packages ({} bytes) only on this box; {} bytes free",
            text(&pending["packages"]),
            text(&pending["bytes"]),
            text(&status["store"]["free_bytes"]),
        );
        self.say("store", &words);
        if let Some(lost @ 1..) = status["files_lost"].as_u64() {
            let words = format!(
                "{lost} files of open cases since the start; lingmou journal show --kind case.dropped"
            );
            self.say("lost", &words);
        }
        self.losses(&status["losses"]);
        self.mirror(&status["mirror"]);
    }

    /// What could not be kept since the start, when there is any of it.
    fn losses(&mut self, losses: &Value) {
        let refused = losses["refused"].as_object().into_iter().flatten();
        let refused: u64 = refused.filter_map(|(_, count)| count.as_u64()).sum();
        let [failed, clips] =
            ["failed", "clips_left_out"].map(|what| losses[what].as_u64().unwrap_or(0));
        if refused + failed + clips > 0 {
            let words = format!(
                "{refused} times evidence was refused by the store, {failed} cases cannot be sealed, {clips} clips \
                 left out for want of room, since the start; lingmou journal show --kind capture.refused"
            );
            self.say("not kept", &words);
        }
    }

    /// What the link may carry, once there was one.
    fn link(&mut self, link: &Value) {
        if !link.is_null() {
            self.say("link", &link_words(link));
        }
    }

    /// The second copy, where one is configured.
    fn mirror(&mut self, mirror: &Value) {
        if mirror.is_null() {
            return;
        }
        let words = format!(
            "{} packages, {} to come",
            text(&mirror["mirroring"]["copied"]),
            text(&mirror["mirroring"]["due"]),
        );
        self.say("second copy", &words);
    }

    fn upload(&mut self, status: &Value) {
        let upload = &status["upload"];
        let connected = upload["connected"] == Value::Bool(true);
        let words = format!(
            "{}  {} receipted  {} refused",
            if connected {
                "connected"
            } else {
                "not connected"
            },
            text(&upload["receipted"]),
            text(&upload["refused"]),
        );
        let cause = upload["cause"].as_str().map(|why| format!("  {why}"));
        self.say("upload", &(words + &cause.unwrap_or_default()));
        self.link(&upload["link"]);
        self.stamps(&status["store"]["stamps"], &upload["stamp_cause"]);
    }

    /// What reviewers say of the rules, as far as they said anything.
    fn objections(&mut self, rules: &Value) {
        for (rule, told) in rules.as_object().into_iter().flatten() {
            let (rejected, judged) = (text(&told["rejected"]), text(&told["judged"]));
            let leads_only = told["leads_only"] == Value::Bool(true);
            if judged == "0" && !leads_only {
                continue;
            }
            let mut words = format!("{rule}: {rejected} of {judged} packages rejected");
            let parts = told["rejected"].as_u64().zip(told["judged"].as_u64());
            if let Some((rejected, judged)) = parts.filter(|(_, judged)| *judged > 0) {
                let percent = rejected.saturating_mul(100) / judged;
                write!(words, " ({percent} %)").expect("invariant: a String takes everything");
            }
            self.say("reviewers", &words);
        }
    }
}

fn link_words(link: &Value) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    let why = match link["why"].as_str() {
        Some("quiet_hours") => " (quiet hours)",
        Some("budget_spent") => " (the day's budget is used up)",
        Some("budget_unknown") => " (what was used of the day's budget cannot be read)",
        _ => "",
    };
    let mib = |key: &str| link[key].as_f64().map(|bytes| bytes / MIB);
    let today = mib("today_bytes").zip(mib("budget_bytes"));
    let today = today.map(|(used, budget)| format!("  {used:.1} of {budget:.0} MiB today"));
    let held = link["held"].as_u64().filter(|&held| held > 0);
    let held = held.map(|held| format!("  {held} packages wait for a wider link"));
    let profile = text(&link["profile"]);
    let (today, held) = (today.unwrap_or_default(), held.unwrap_or_default());
    format!("{profile}{why}{today}{held}")
}

fn position(telemetry: &Value) -> String {
    if telemetry["source"] == "none" {
        return "none configured".to_owned();
    }
    let age = &telemetry["last_message_age_ms"];
    let heard = match age.as_u64() {
        Some(ms) => format!("heard {ms} ms ago"),
        None => "nothing heard yet".to_owned(),
    };
    format!(
        "{}  fix {}  {heard}",
        text(&telemetry["source"]),
        text(&telemetry["fix"])
    )
}

/// A value as a word; `-` when it is not there.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_reviewers_say_is_told_as_a_share() {
        let mut page = Page::default();
        page.objections(&json!({
            "out_of_store": {"leads_only": true, "judged": 0, "rejected": 0},
            "spillage": {"leads_only": false, "judged": 0, "rejected": 0},
            "street_vending": {"leads_only": false, "judged": 12, "rejected": 3},
        }));
        let lines: Vec<_> = page.text.lines().map(str::trim_end).collect();
        let expected = [
            "reviewers          out_of_store: 0 of 0 packages rejected",
            "reviewers          street_vending: 3 of 12 packages rejected (25 %)",
        ];
        assert_eq!(lines, expected);
    }
}

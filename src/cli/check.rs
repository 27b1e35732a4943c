//! `lingmou check`: everything that can be wrong, before it is needed.

mod folders;
mod passwords;
mod zones;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use crate::clock;
use crate::command::Settings;
use crate::config::{self, Config, KeyName, Loaded, Span};
use crate::daemon;
use crate::develop::Developer;
use crate::ingest::{self, Camera, Credentials, Phase, Slots};
use crate::judge::Judge;
use crate::link::{Endpoint, Pipe};
use crate::perceive::{Card, Detector, known_roles};
use crate::status::{self, StatusError};
use crate::warn::{self, Speaker};
use crate::witness::Roots;

use super::places::ConfigFile;
use super::{Answer, log, out, runtime};

const EXAMPLES: &str = "\
Examples:
  lingmou check                                       # what the unit runs before each start
  lingmou check --config lingmou.toml --online        # also cameras, broker and loudspeaker
  lingmou check --config lingmou.toml --json

Every mistake is said at once, with its line, what was expected and how to mend it.
Exit code: 0 nothing wrong, 1 something is wrong.";

/// How long a camera may take to show its first frame.
const CAMERA_WITHIN: Duration = Duration::from_secs(15);
/// How often its state is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Check configuration, keys, model and clips; with --online also cameras, broker, loudspeaker
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    file: ConfigFile,
    /// Also try cameras, broker and loudspeaker
    #[arg(long)]
    online: bool,
    /// Print the findings as JSON lines
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
struct Finding {
    what: String,
    /// What it is, or what is wrong with it.
    word: Result<String, String>,
}

pub(super) fn run(args: &Args, verbose: u8) -> anyhow::Result<Answer> {
    log::start_quiet(verbose);
    let mut loaded = match Config::read(&args.file.config) {
        Ok(loaded) => loaded,
        Err(mistakes) => {
            say_mistakes(args, &mistakes);
            return Ok(Answer::No);
        }
    };
    Settings::show_certificates(&mut loaded);
    let word = Ok::<_, String>(configuration(&loaded));
    let mut findings = vec![finding("configuration", word)];
    offline(&loaded, &mut findings);
    if args.online {
        runtime()?.block_on(online(&loaded, &mut findings));
    }
    let well = findings.iter().all(|f| f.word.is_ok());
    for f in &findings {
        let (ok, word) = match &f.word {
            Ok(word) => (true, word),
            Err(word) => (false, word),
        };
        if args.json {
            out::data(&json!({ "what": f.what, "ok": ok, "word": word }).to_string());
        } else {
            out::data(&format!(
                "{}  {:<19}{word}",
                if ok { "ok   " } else { "WRONG" },
                f.what
            ));
        }
    }
    Ok(if well { Answer::Yes } else { Answer::No })
}

fn say_mistakes(args: &Args, mistakes: &crate::config::Mistakes) {
    if !args.json {
        out::data(&mistakes.to_string());
        return;
    }
    for m in &mistakes.list {
        let line = json!({
            "what": "configuration", "ok": false, "file": m.file.display().to_string(), "line": m.line, "key": m.key,
            "word": m.what, "expected": m.expected, "fix": m.fix,
        });
        out::data(&line.to_string());
    }
}

fn finding<E: std::fmt::Display>(what: &str, word: Result<String, E>) -> Finding {
    Finding {
        what: what.to_owned(),
        word: word.map_err(|e| e.to_string()),
    }
}

/// The same for what `key` names: what is wrong comes with the place in the file.
fn finding_at<E: std::fmt::Display>(
    loaded: &Loaded,
    key: &str,
    what: &str,
    word: Result<String, E>,
) -> Finding {
    let placed = |error: E| format!("{}: {key}: {error}", loaded.place(key));
    finding(what, word.map_err(placed))
}

/// The file that is checked, and whether it is the one that counts.
fn configuration(loaded: &Loaded) -> String {
    let file = loaded.path.display();
    match Settings::stand_in_for(loaded) {
        None => file.to_string(),
        Some((command, kept)) => format!(
            "{file}, which is NOT in force: {} (sent by command {command}) stands in for it until \
             it is changed",
            kept.display()
        ),
    }
}

/// Everything that needs no network.
fn offline(loaded: &Loaded, findings: &mut Vec<Finding>) {
    let config = &loaded.config;
    findings.push(finding("clock", clock_now()));
    findings.extend(folders::folders(loaded));
    let ready = ingest::init().map(|()| "every element is there".to_owned());
    findings.push(finding("GStreamer", ready));
    let keys = "keys.dir";
    findings.push(finding_at(loaded, keys, "evidence key", identity(config)));
    if config.upload.enabled {
        let sent = sent(config, KeyName::Transport);
        let days = daemon::transport_days(config);
        let word = days.map(|days| format!("valid for {days} more days{sent}"));
        findings.push(finding_at(loaded, keys, "transport key", word));
    }
    let roots = Roots::load(&config.keys.dir.join("roots.crt"));
    let word = roots.map(|r| format!("{} of them", r.count()));
    findings.push(finding_at(loaded, keys, "root certificates", word));
    models(loaded, findings);
    clips(loaded, findings);
    findings.extend(passwords::speakers(loaded));
    findings.push(finding("quiet hours", Ok::<_, String>(quiet_hours(config))));
    findings.push(finding("captions", captions(config)));
    findings.extend(zones::worth(config));
    findings.extend(zones::overlaps(loaded));
    findings.extend(zones::roving_permits(loaded));
    findings.extend(passwords::cameras(loaded));
}

/// The model, and whether it sees what is to be judged.
fn models(loaded: &Loaded, findings: &mut Vec<Finding>) {
    let config = &loaded.config;
    let detector =
        Card::read(&config.model.card).and_then(|card| Detector::open(&config.model, card));
    if let Ok(d) = &detector {
        let known = known_roles(config, d.card());
        let judge = Judge::new(config, &loaded.calendar, known, clock::boot_id());
        let word = judge.map(|_| "the model sees what they judge".to_owned());
        findings.push(finding_at(loaded, "model.card", "rules", word));
    }
    let word = detector.map(|d| format!("{} on {:?}", d.card().name(), d.providers()));
    findings.push(finding_at(loaded, "model.card", "model", word));
}

/// The clips, and what speaks texts; a fault with the place in the file that names the clip.
fn clips(loaded: &Loaded, findings: &mut Vec<Finding>) {
    let config = &loaded.config.warn;
    let words = match warn::look_at_clips(config) {
        Ok(words) => words,
        Err(faults) => {
            let told =
                |(key, why)| Err::<String, _>(format!("{}: {key}: {why}", loaded.place(key)));
            findings.extend(
                faults
                    .into_iter()
                    .map(|fault| finding("clips", told(fault))),
            );
            return;
        }
    };
    findings.push(finding("clips", Ok::<_, String>(words)));
    findings.push(spoken_texts("spoken texts", config));
    for outlet in &config.outlet {
        let what = format!("spoken texts of {}", outlet.cameras.join(", "));
        findings.push(spoken_texts(&what, &config.at(outlet)));
    }
}

fn spoken_texts(what: &str, config: &config::Warn) -> Finding {
    let voice = Speaker::open(config).map(|speaker| match speaker.voice() {
        Ok(_) => "espeak-ng".to_owned(),
        Err(why) => format!("none: {why}"),
    });
    finding(what, voice)
}

/// Whether the clock would do now; it may be set later, so one that is not set is no mistake.
fn clock_now() -> Result<String, String> {
    let trust = clock::trust();
    match (trust.errno, trust.max_error_us) {
        (Some(errno), _) => Err(clock::unreadable(errno)),
        (None, Some(us)) => Ok(format!("synchronised, wrong by {} ms at most", us / 1000)),
        (None, None) => Ok(
            "NOT synchronised now (chronyc tracking): until it is, packages are leads only"
                .to_owned(),
        ),
    }
}

fn identity(config: &Config) -> anyhow::Result<String> {
    let identity = daemon::evidence_identity(config)?;
    identity.check_validity(clock::now())?;
    let roots = Roots::load(&config.keys.dir.join("roots.crt"))?;
    identity
        .check_chain(&roots, clock::now())
        .with_context(|| {
            let path = config.keys.certificate(KeyName::Evidence);
            let path = path.display();
            format!("{path}: no verifier with roots.crt will take what it signs")
        })?;
    let days = (identity.not_after() - clock::now().utc_ns / 1_000_000_000) / 86_400;
    let device = identity.device_id();
    let sent = sent(config, KeyName::Evidence);
    Ok(format!(
        "belongs to {device}, valid for {days} more days{sent}"
    ))
}

/// Where the certificate in force comes from, when it is not the file in the folder of keys.
fn sent(config: &Config, key: KeyName) -> String {
    let sent = config.keys.sent(key);
    sent.map_or_else(String::new, |sent| {
        format!(" (sent by command {})", sent.command)
    })
}

/// When the loudspeaker is silent by itself.
fn quiet_hours(config: &Config) -> String {
    let warn = &config.warn;
    if !warn.needs_the_hour() {
        return "none: it may speak at any hour, also while the clock is not synchronised"
            .to_owned();
    }
    let quiet = match Span::between(&warn.quiet_from, &warn.quiet_to) {
        None => "as in [[warn.hours]]".to_owned(),
        Some(_) => format!("{} to {}", warn.quiet_from, warn.quiet_to),
    };
    format!("{quiet}; while the clock is not synchronised nobody is warned")
}

fn captions(config: &Config) -> Result<String, String> {
    let developer = Developer::new(&config.evidence).map_err(|e| e.to_string())?;
    if developer.has_cjk() {
        Ok("Chinese".to_owned())
    } else {
        Err("no font with Chinese characters; install fonts-wqy-microhei".to_owned())
    }
}

/// Cameras, broker, loudspeaker.
async fn online(loaded: &Loaded, findings: &mut Vec<Finding>) {
    let config = &loaded.config;
    let slots = Arc::new(Slots::new(config.camera.len()));
    for (index, camera) in config.camera.iter().enumerate() {
        let what = format!("camera {} live", camera.name);
        let started = Credentials::read(camera).and_then(|secrets| {
            Camera::start(index, camera, secrets, Duration::ZERO, Arc::clone(&slots))
        });
        let word = match started {
            Ok(camera) => first_frame(&camera).await,
            Err(error) => Err(error.to_string()),
        };
        findings.push(Finding { what, word });
    }
    if config.upload.enabled {
        findings.push(finding("broker", uplink(config).await));
    }
    findings.push(loudspeaker("loudspeaker", &config.warn).await);
    for outlet in &config.warn.outlet {
        let what = format!("loudspeaker of {}", outlet.cameras.join(", "));
        findings.push(loudspeaker(&what, &config.warn.at(outlet)).await);
    }
}

async fn loudspeaker(what: &str, config: &config::Warn) -> Finding {
    match Speaker::open(config) {
        Ok(mut speaker) => finding(what, speaker.probe().await),
        Err(error) => finding(what, Err::<String, _>(error)),
    }
}

async fn first_frame(camera: &Camera) -> Result<String, String> {
    let looking = async {
        loop {
            let state = camera.state();
            if state.phase == Phase::Playing && state.main.width > 0 {
                let main = &state.main;
                let codec = main.codec.map_or("?", ingest::Codec::name);
                return Ok(format!("{codec} {}x{}", main.width, main.height));
            }
            if let (Phase::Failed | Phase::Stalled, Some(cause)) = (state.phase, state.cause) {
                return Err(cause);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let none = || Err(format!("no frame within {} s", CAMERA_WITHIN.as_secs()));
    tokio::time::timeout(CAMERA_WITHIN, looking)
        .await
        .unwrap_or_else(|_elapsed| none())
}

/// The broker, as the running daemon finds it. A second connection with this box's certificate would
/// throw the daemon out, so there is one only where none is running for certain.
async fn uplink(config: &Config) -> Result<String, String> {
    match status::ask(&config.store.run_dir).await {
        Ok(status) => running_upload(&status),
        Err(StatusError::NoDaemon { .. }) => broker(config).await,
        Err(error) => Err(error.to_string()),
    }
}

/// The upload of the daemon that is running with this configuration.
fn running_upload(status: &serde_json::Value) -> Result<String, String> {
    let upload = &status["upload"];
    if upload["connected"] == serde_json::Value::Bool(true) {
        return Ok("the running daemon is connected".to_owned());
    }
    let cause = upload["cause"].as_str().unwrap_or("no cause told");
    Err(format!("the running daemon is not connected: {cause}"))
}

/// A connection of this box's own: no daemon is running that it could throw out.
async fn broker(config: &Config) -> Result<String, String> {
    let pipe = Pipe::connect(&Endpoint::of(config), None)
        .await
        .map_err(|e| e.to_string())?;
    pipe.close().await;
    Ok(format!(
        "{}:{} accepts this box",
        config.upload.host, config.upload.port
    ))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_daemon_that_does_not_answer_keeps_its_connection() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.store.run_dir = dir.path().to_owned();
        let daemon = UnixListener::bind(dir.path().join("status.sock")).unwrap();
        let daemon = std::thread::spawn(move || {
            let (mut caller, _) = daemon.accept().unwrap();
            caller.write_all(b"busy").unwrap();
        });
        let word = uplink(&config).await.expect_err("nobody knows");
        daemon.join().unwrap();
        assert!(word.contains("does not answer"), "{word}");
    }
}

//! `lingmou check`: everything that can be wrong, before it is needed.

mod folders;
mod nameplate;
mod online;
mod passwords;
mod zones;

use anyhow::Context as _;
use serde_json::json;

use crate::clock;
use crate::command::Settings;
use crate::config::{self, Config, KeyName, Loaded, Mistakes, Span, Survey};
use crate::daemon;
use crate::develop::Developer;
use crate::ingest;
use crate::judge::Judge;
use crate::perceive::{Card, Detector};
use crate::warn::{self, Speaker};
use crate::witness::Roots;

use super::places::ConfigFile;
use super::{Answer, log, out, runtime};

const EXAMPLES: &str = "\
Examples:
  lingmou check                                       # what the unit runs before each start
  lingmou check --config lingmou.toml --online        # also cameras, broker and loudspeaker
  lingmou check --config lingmou.toml --json

Every mistake is said at once, with its line, what was expected and how to mend it. What can be
looked at in spite of them is; a line that begins with -- says what was not, and why.
--online plays nothing: a sound card, a camera's or Hikvision's loudspeaker is opened or asked, an
HTTP horn has to answer, a horn's vehicle and a listening camera to be heard; no program is started.
Exit code: 0 nothing wrong, 1 something is wrong.";

/// The keys that say what clips there are.
const CLIPS: [&str; 5] = [
    "warn.identity",
    "warn.street_vending",
    "warn.out_of_store",
    "warn.speaker.kind",
    "warn.outlet",
];
/// The tables that say what is judged where, and what it is worth.
const ZONES: [&str; 9] = [
    "zone",
    "camera",
    "judge",
    "site",
    "telemetry",
    "evidence",
    "warn.speaker",
    "warn.outlet",
    "device.time_zone",
];

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
    word: Word,
}

/// What was found.
#[derive(Debug)]
enum Word {
    /// What it is.
    Good(String),
    /// What is wrong with it.
    Wrong(String),
    /// Why nobody knows: it was not looked at.
    Untried(String),
}

impl<E: std::fmt::Display> From<Result<String, E>> for Word {
    fn from(word: Result<String, E>) -> Self {
        word.map_or_else(|error| Self::Wrong(error.to_string()), Self::Good)
    }
}

/// Everything that was looked at so far.
struct Findings<'a> {
    survey: &'a Survey,
    list: Vec<Finding>,
}

impl Findings<'_> {
    /// Adds what `look` says of `what`, which depends on `keys`; a fault stands at the first of them.
    fn see<E: std::fmt::Display>(
        &mut self,
        what: &str,
        keys: &[&str],
        look: impl FnOnce(&Config) -> Result<String, E>,
    ) {
        if self.may_see(what, keys) {
            let loaded = &self.survey.loaded;
            let key = keys.first().copied().unwrap_or_default();
            let found = finding_at(loaded, key, what, look(&loaded.config));
            self.list.push(found);
        }
    }

    /// Whether none of `keys` is wrong; otherwise adds that `what` is not looked at.
    fn may_see(&mut self, what: &str, keys: &[&str]) -> bool {
        let Some(bad) = keys.iter().find_map(|key| self.survey.spoilt(key)) else {
            return true;
        };
        self.list.push(Finding {
            what: what.to_owned(),
            word: Word::Untried(format!("not looked at until {bad} is mended")),
        });
        false
    }
}

pub(super) fn run(args: &Args, verbose: u8) -> anyhow::Result<Answer> {
    log::start_for_findings(verbose);
    let mut survey = match Config::survey(&args.file.config) {
        Ok(survey) => survey,
        Err(mistakes) => {
            say_mistakes(args, &mistakes);
            say(args, &nothing_else(args));
            return Ok(Answer::No);
        }
    };
    if survey.spoilt("store.dir").is_none() {
        Settings::show_certificates(&mut survey.loaded);
    }
    let mut findings = Findings {
        survey: &survey,
        list: Vec::new(),
    };
    if let Some(mistakes) = &survey.mistakes {
        say_mistakes(args, mistakes);
    } else {
        let word = Word::Good(configuration(&survey.loaded));
        findings.list.push(finding("configuration", word));
    }
    offline(&mut findings);
    if args.online {
        runtime()?.block_on(online::online(&mut findings));
    }
    findings.list.iter().for_each(|found| say(args, found));
    let wrong = |found: &Finding| matches!(found.word, Word::Wrong(_));
    let well = survey.mistakes.is_none() && !findings.list.iter().any(wrong);
    Ok(if well { Answer::Yes } else { Answer::No })
}

fn say(args: &Args, found: &Finding) {
    let (mark, ok, word) = match &found.word {
        Word::Good(word) => ("ok   ", Some(true), word),
        Word::Wrong(word) => ("WRONG", Some(false), word),
        Word::Untried(word) => ("--   ", None, word),
    };
    if args.json {
        out::data(&json!({ "what": found.what, "ok": ok, "word": word }).to_string());
    } else {
        out::data(&format!("{mark}  {:<18} {word}", found.what));
    }
}

/// What is said where no configuration can be made of the file.
fn nothing_else(args: &Args) -> Finding {
    let live = if args.online {
        ", cameras, broker, loudspeakers"
    } else {
        ""
    };
    Finding {
        what: "everything else".to_owned(),
        word: Word::Untried(format!(
            "not looked at until the file can be read: keys, model, clips, passwords{live}"
        )),
    }
}

fn say_mistakes(args: &Args, mistakes: &Mistakes) {
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

fn finding(what: &str, word: impl Into<Word>) -> Finding {
    Finding {
        what: what.to_owned(),
        word: word.into(),
    }
}

/// The same for what `key` names: what is wrong comes with the place in the file.
fn finding_at(loaded: &Loaded, key: &str, what: &str, word: impl Into<Word>) -> Finding {
    let word = match word.into() {
        Word::Wrong(error) => Word::Wrong(format!("{}: {key}: {error}", loaded.place(key))),
        word => word,
    };
    finding(what, word)
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
fn offline(findings: &mut Findings<'_>) {
    let loaded = &findings.survey.loaded;
    findings.list.push(finding("clock", clock_now()));
    folders::folders(findings);
    let ready = ingest::init().map(|()| "every element is there".to_owned());
    findings.list.push(finding("GStreamer", ready));
    let key = ["keys.dir", "keys", "device.id", "store.dir"];
    findings.see("evidence key", &key, identity);
    if loaded.config.upload.enabled {
        let keys = [&key[..], &["upload"]].concat();
        findings.see("transport key", &keys, |config| {
            let sent = sent(config, KeyName::Transport);
            daemon::transport_days(config).map(|days| format!("valid for {days} more days{sent}"))
        });
    }
    findings.see("root certificates", &["keys.dir"], |config| {
        let roots = Roots::load_with_revoked(&config.keys.dir.join("roots.crt"));
        roots.map(|r| format!("{} of them", r.count()))
    });
    models(findings);
    clips(findings);
    passwords::speakers(findings);
    findings.see("quiet hours", &["warn"], |config| {
        Ok::<_, String>(quiet_hours(config))
    });
    findings.see("captions", &["evidence.font", "evidence"], captions);
    if findings.may_see("zones", &ZONES) {
        findings.list.extend(zones::worth(&loaded.config));
        findings.list.extend(zones::overlaps(loaded));
        findings.list.extend(zones::shared_places(loaded));
        findings.list.extend(zones::wide_inertia(loaded));
        findings.list.extend(zones::slow_roads(loaded));
        findings.list.extend(zones::roving_permits(loaded));
    }
    passwords::cameras(findings);
}

/// The model, and whether it sees what is to be judged.
fn models(findings: &mut Findings<'_>) {
    let loaded = &findings.survey.loaded;
    let config = &loaded.config;
    let card = "model.card";
    let open = || Card::read(&config.model.card).and_then(|c| Detector::open(&config.model, c));
    let detector = findings.may_see("model", &["model"]).then(open);
    let judged = [card, "model", "judge", "zone", "camera", "background"];
    if findings.may_see("rules", &judged)
        && let Some(detector) = &detector
    {
        let word = match detector {
            Ok(detector) => {
                let known = detector.card().roles();
                let judge = Judge::new(config, &loaded.calendar, known, clock::boot_id());
                Word::from(judge.map(|_| "the model sees what they judge".to_owned()))
            }
            Err(_) => Word::Untried("not looked at until the model is mended".to_owned()),
        };
        let found = finding_at(loaded, card, "rules", word);
        findings.list.push(found);
        if let Ok(detector) = detector {
            let known = detector.card().roles();
            let blind = zones::unseen_permits(loaded, known);
            findings.list.extend(blind);
        }
    }
    if let Some(detector) = detector {
        let word = detector.map(|d| format!("{} on {}", d.card().name(), json!(d.providers())));
        let found = finding_at(loaded, card, "model", word);
        findings.list.push(found);
    }
}

/// The clips, and what speaks texts; a fault with the place in the file that names the clip.
fn clips(findings: &mut Findings<'_>) {
    if !findings.may_see("clips", &CLIPS) {
        return;
    }
    let loaded = &findings.survey.loaded;
    let config = &loaded.config.warn;
    let words = match warn::look_at_clips(config) {
        Ok(words) => words,
        Err(faults) => {
            let told = |(key, why)| finding_at(loaded, key, "clips", Err::<String, _>(why));
            findings.list.extend(faults.into_iter().map(told));
            return;
        }
    };
    findings.list.push(finding("clips", Ok::<_, String>(words)));
    findings.see("spoken texts", &["warn.speaker"], |config| {
        spoken_texts(&config.warn)
    });
    for (i, outlet) in config.outlet.iter().enumerate() {
        let what = format!("spoken texts of {}", outlet.cameras.join(", "));
        let key = format!("warn.outlet[{i}].speaker");
        findings.see(&what, &[&key], |_| spoken_texts(&config.at(outlet)));
    }
}

fn spoken_texts(config: &config::Warn) -> Result<String, warn::WarnError> {
    Speaker::open(config).map(|speaker| match speaker.voice() {
        Ok(_) => "espeak-ng".to_owned(),
        Err(why) => format!("none: {why}"),
    })
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
    let roots = Roots::load_with_revoked(&config.keys.dir.join("roots.crt"))?;
    identity
        .check_chain(&roots, clock::now())
        .with_context(|| {
            let path = config.keys.certificate(KeyName::Evidence);
            let path = path.display();
            format!("{path}: no verifier with roots.crt will take what it signs")
        })?;
    let days = (identity.not_after() - clock::now().utc_ns / 1_000_000_000) / 86_400;
    let (device, sent) = (identity.device_id(), sent(config, KeyName::Evidence));
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
    match developer.lacks() {
        None => Ok("Chinese".to_owned()),
        Some(lack) => Err(lack.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::TestPki;

    /// 2026-01-01, Unix seconds.
    const DAY: u64 = 1_767_225_600;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's own file")]
    fn a_box_whose_certificate_was_revoked_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let pki = TestPki::create(dir.path(), "LM-TEST-1").unwrap();
        let mut config = Config::default();
        config.device.id = "LM-TEST-1".to_owned();
        config.keys.dir.clone_from(&pki.device);
        let said = identity(&config).unwrap();
        assert!(said.starts_with("belongs to LM-TEST-1, "), "{said}");
        let list = pki.revoke(&[(&pki.device.join("evidence.crt"), DAY)]);
        std::fs::write(pki.device.join("revoked.crl"), list.unwrap()).unwrap();
        let said = format!("{:#}", identity(&config).unwrap_err());
        assert!(said.contains("evidence.crt: no verifier"), "{said}");
        assert!(said.ends_with("was revoked on 2026-01-01"), "{said}");
    }
}

//! `lingmou command`: has a box do something, and shows its signed reply.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::clock;
use crate::command::{AHEAD_MAX_SECS, AskError, Asked, Client, Verb};
use crate::link::Endpoint;
use crate::link::message::{Presence, Subject, is_name};
use crate::types::{CaseId, Stamp};
use crate::witness::{
    self, Command, Container, Fate, Identity, Notice, REASON_MAX, Roots, Ruling, SIGNATURE,
    STATEMENT, Statement, sha256_hex,
};

use super::out::Hint;
use super::{Answer, log, out, runtime};

const EXAMPLES: &str = "\
Examples:
  lingmou command --device LM-0007 --broker broker.bureau.lan:8883 --keys keys report
  lingmou command --device LM-0007 --keys keys fetch 0198f0a2-…      send this package's video too
  lingmou command --device LM-0007 --keys keys capture gate          what camera gate shows now
  lingmou command --device LM-0007 --keys keys recheck gate          what is seen of its open cases
  lingmou command --device LM-0007 --keys keys stop                  silence the loudspeaker
  lingmou command --device LM-0007 --keys keys say '前方施工，请您绕行'   in Mandarin or English
  lingmou command --device LM-0007 --keys keys say '…' --camera gate  where camera gate looks
  lingmou command --device LM-0007 --keys keys config-set new.toml   tried, kept or rolled back
  lingmou command --device LM-0007 --keys keys cert-install new.crt  tried, kept or rolled back
  lingmou command --device LM-0007 --keys keys evict 0198f0a2-…      give up its pictures and video
  lingmou command --device LM-0007 --keys keys resend                what a receiver refused, again
  lingmou command --device LM-0007 --keys keys verdict packages/ID --verdict reject --reason '…'

KEYS holds transport.key and transport.crt (the connection), roots.crt, and operator.key and
operator.crt, whose organizationalUnit says what they may: view (report, fetch, cert-request),
operate (also capture, recheck, acknowledge, speak, stop) or admin (everything). A verdict is
signed with reviewer.key.

Every command has a number and an end: it is done once, however often it arrives, and refused when
it comes too late. The reply is signed by the box; nothing else is believed.
Exit code: 0 done, 1 the box replied that it was not done, 2 no reply.";

/// How long a reply is waited for, seconds: ordinarily, and until something was tried or the box is
/// back.
const REPLY_SECS: u64 = 30;
const TRIAL_SECS: u64 = 300;

/// Have a box do something, or tell it a reviewer's verdict, and show its signed reply
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The box
    #[arg(long, value_name = "ID")]
    device: String,
    /// The broker
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8883")]
    broker: String,
    /// Folder with the keys and certificates
    #[arg(long, value_name = "DIR")]
    keys: PathBuf,
    /// How long to wait for the reply; unless given 30, and 300 for a restart, and for a
    /// configuration or certificate, whose reply comes when its trial has ended
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u64>,
    /// Number of the command, above every one before; the time, unless given
    #[arg(long, value_name = "N")]
    seq: Option<u64>,
    /// Print the reply as JSON
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// How the box is: everything `lingmou status --json` says
    Report,
    /// Send a package with everything the link's profile holds back
    Fetch {
        /// The package
        #[arg(value_name = "ID")]
        package: Uuid,
    },
    /// Make a package of what a camera shows now: a lead that names you, of no violation
    Capture {
        /// The camera's name
        camera: String,
    },
    /// Look again at once at the open cases of a camera and say what is seen; no case's course changes
    Recheck {
        /// The camera's name
        camera: String,
    },
    /// Take note of an alarm: it stays, marked with your name, until it is over
    Acknowledge {
        /// Its name: what stands before the colon in `lingmou status`
        #[arg(value_name = "NAME")]
        alarm: String,
    },
    /// Play one of the clips the box has
    Speak {
        /// SHA-256 of the clip
        clip_sha256: String,
        #[command(flatten)]
        place: Place,
    },
    /// Say a text of your own, after the bureau's identity
    Say {
        /// The text, 1 to 200 characters; in Mandarin when a Chinese character is in it, else in
        /// English
        text: String,
        #[command(flatten)]
        place: Place,
    },
    /// Stop speaking
    Stop,
    /// Try a configuration; without cameras and broker back in time the box returns to the one
    /// before
    ConfigSet {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Give the requests from which a certificate office makes certificates for the box's keys
    CertRequest,
    /// Try a certificate for one of the box's two keys, told by the key it is for; without broker and
    /// cameras back in time the box returns to the one before
    CertInstall {
        /// PEM: the certificate, then its issuers; never a key
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Restart the whole box, for a driver or modem that hangs; where [commands] reboot names how
    Reboot,
    /// Remove pictures and video of a package that no receiver has signed for; statement and
    /// signatures stay
    Evict {
        /// The package
        #[arg(value_name = "ID")]
        package: Uuid,
    },
    /// Send once more what a receiver has refused, when the reason is put right there
    Resend {
        /// The package; all that are refused, unless given
        #[arg(value_name = "ID")]
        package: Option<Uuid>,
    },
    /// Let a rule make evidence again that reviewers objected to
    RuleRestore {
        /// `street_vending`, `out_of_store` or `spillage`
        rule: String,
    },
    /// Tell the box what a reviewer decided on one of its packages
    Verdict(VerdictArgs),
}

/// Where a person has something said.
#[derive(Debug, clap::Args)]
struct Place {
    /// From the loudspeaker whose warnings are for where this camera looks; by default from
    /// [warn.speaker]
    #[arg(long, value_name = "NAME")]
    camera: Option<String>,
}

#[derive(Debug, clap::Args)]
struct VerdictArgs {
    /// Package directory or .asice file, as it was received
    #[arg(value_name = "PACKAGE")]
    package: PathBuf,
    /// accept or reject
    #[arg(long, value_name = "VERDICT", value_parser = ["accept", "reject"])]
    verdict: String,
    /// Why, in a sentence or two
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(super) fn run(args: &Args, verbose: u8) -> anyhow::Result<Answer> {
    log::start_quiet(verbose);
    if !is_name(&args.device) {
        let what = format!("{:?} is not the id of a box", args.device);
        return Err(Hint::error(what, "it is [device] id in its configuration"));
    }
    let roots = Roots::load(&args.keys.join("roots.crt"))?;
    let now = clock::now();
    let signs = match args.what {
        What::Verdict(_) => "reviewer",
        _ => "operator",
    };
    let identity = Identity::load(&args.keys, signs)?;
    identity.check_validity(now)?;
    let endpoint = endpoint(args)?;
    let asked = runtime()?.block_on(async {
        let mut client = Client::connect(&endpoint, roots, &args.device).await?;
        let (subject, signed) = match &args.what {
            What::Verdict(verdict) => {
                let notice = notice(args, verdict, (&identity, now))?;
                (Subject::Verdict, notice.sign(&identity, now)?)
            }
            what => {
                let in_doubt = |state: &&Presence| state.clock_synced != Some(true);
                let state = client.state().filter(in_doubt);
                let nonce = state.and_then(|state| state.nonce.clone());
                let command = command(args, &verb(what)?, (nonce, now));
                (Subject::Command, command.sign(&identity, now)?)
            }
        };
        let wait = match &args.what {
            What::ConfigSet { .. } | What::CertInstall { .. } | What::Reboot => TRIAL_SECS,
            _ => REPLY_SECS,
        };
        let within = Duration::from_secs(args.wait.unwrap_or(wait));
        let asked = client.ask(subject, &signed, within).await;
        client.close().await;
        asked.map_err(hinted)
    })?;
    Ok(show(args, &asked))
}

fn hinted(error: AskError) -> anyhow::Error {
    let hint = match &error {
        AskError::Link(_) => return error.into(),
        AskError::Away { .. } => "is the box running, and its link up?",
        AskError::Silent { .. } => {
            "its journal says what became of it: lingmou journal show --kind command.received; a \
             box answers nobody whose certificate is not under its roots"
        }
    };
    Hint::error(error.to_string(), hint)
}

/// The connection: as whoever `transport.crt` is for.
fn endpoint(args: &Args) -> anyhow::Result<Endpoint> {
    let parts = args.broker.rsplit_once(':');
    let parts = parts.and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = parts.with_context(|| format!("{:?} is not HOST:PORT", args.broker))?;
    let installed = witness::Installed::read(&args.keys.join("transport.crt"))?;
    let name = installed.common_name.filter(|name| is_name(name));
    Ok(Endpoint {
        host: host.to_owned(),
        port,
        keys: args.keys.clone(),
        client_id: name.context("transport.crt has no common name that could be a client's")?,
        keep_alive: Duration::from_secs(30),
        interface: String::new(),
        sent: None,
    })
}

fn verb(what: &What) -> anyhow::Result<Verb> {
    Ok(match what {
        What::Report => Verb::Report {},
        What::Fetch { package } => Verb::Fetch {
            package: CaseId(*package),
        },
        What::Capture { camera } => Verb::Capture {
            camera: camera.clone(),
        },
        What::Recheck { camera } => Verb::Recheck {
            camera: camera.clone(),
        },
        What::Acknowledge { alarm } => Verb::AlarmAcknowledge {
            alarm: alarm.clone(),
        },
        What::Speak { clip_sha256, place } => Verb::Speak {
            clip_sha256: clip_sha256.clone(),
            camera: place.camera.clone(),
        },
        What::Say { text, place } => Verb::Say {
            text: text.clone(),
            camera: place.camera.clone(),
        },
        What::Stop => Verb::Stop {},
        What::ConfigSet { file } => Verb::ConfigSet { toml: text(file)? },
        What::CertRequest => Verb::CertRequest {},
        What::CertInstall { file } => Verb::CertInstall {
            pem: certificate(file)?,
        },
        What::Reboot => Verb::Reboot {},
        What::Evict { package } => Verb::Evict {
            package: CaseId(*package),
        },
        What::Resend { package } => Verb::Resend {
            package: package.map(CaseId),
        },
        What::RuleRestore { rule } => Verb::RuleRestore { rule: rule.clone() },
        What::Verdict(_) => anyhow::bail!("a verdict is signed by a reviewer"),
    })
}

fn text(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The text of a certificate; a file with a private key in it does not leave this machine.
fn certificate(file: &Path) -> anyhow::Result<String> {
    let pem = text(file)?;
    if witness::has_private_key(pem.as_bytes()) {
        let what = format!("{} has a private key in it", file.display());
        let hint = "the box keeps its keys: send the certificate alone, as the office returned it";
        return Err(Hint::error(what, hint));
    }
    Ok(pem)
}

fn command(args: &Args, verb: &Verb, (nonce, now): (Option<String>, Stamp)) -> Command {
    let (v, kind) = Command::HEAD;
    let (verb, verb_args) = verb.parts();
    // Good for most of the time a box allows, so that the two clocks may differ a little.
    let good_ns = (AHEAD_MAX_SECS - 60) * 1_000_000_000;
    let micros = u64::try_from(now.utc_ns / 1000).unwrap_or(1);
    Command {
        v,
        kind: kind.to_owned(),
        id: Uuid::now_v7(),
        device: args.device.clone(),
        seq: args.seq.unwrap_or(micros),
        verb,
        args: verb_args,
        not_after: clock::rfc3339_ms(now.utc_ns.saturating_add(good_ns)),
        nonce,
    }
}

/// The verdict on the package, which need not be whole here: what counts is the box's signature.
fn notice(
    args: &Args,
    verdict: &VerdictArgs,
    (identity, now): (&Identity, Stamp),
) -> anyhow::Result<Notice> {
    let reason = verdict.reason.trim();
    if reason.is_empty() || reason.chars().count() > REASON_MAX {
        anyhow::bail!("the reason must have 1 to {REASON_MAX} characters");
    }
    let container = Container::open(&verdict.package)?;
    let lacks = |name| format!("{} has no {name}", verdict.package.display());
    let signature = container.get(SIGNATURE).with_context(|| lacks(SIGNATURE))?;
    let statement = container.get(STATEMENT).with_context(|| lacks(STATEMENT))?;
    let statement = Statement::parse(statement)?;
    if statement.device.id != args.device {
        let what = format!(
            "the package is by {}, not {}",
            statement.device.id, args.device
        );
        return Err(Hint::error(what, "tell --device whose package it is"));
    }
    let (v, kind) = Notice::HEAD;
    Ok(Notice {
        v,
        kind: kind.to_owned(),
        id: statement.id,
        device: args.device.clone(),
        sig_sha256: sha256_hex(signature),
        verdict: match verdict.verdict.as_str() {
            "accept" => Ruling::Accepted,
            _ => Ruling::Rejected,
        },
        reason: reason.to_owned(),
        at: clock::rfc3339_ms(now.utc_ns),
        reviewer: identity.common_name(),
    })
}

/// Prints the reply; what was not done is the answer no.
fn show(args: &Args, asked: &Asked) -> Answer {
    let reply = &asked.reply;
    if args.json {
        out::data(&format!("{:#}", json!(reply)));
    } else {
        let why = reply
            .why
            .as_deref()
            .map_or_else(String::new, |why| format!(": {why}"));
        out::word(&format!("{} {}{why}", reply.device, reply.outcome.name()));
        if let Some(result) = reply
            .result
            .as_ref()
            .filter(|result| **result != Value::Null)
        {
            out::data(&format!("{result:#}"));
        }
    }
    if reply.outcome == Fate::Done {
        Answer::Yes
    } else {
        Answer::No
    }
}

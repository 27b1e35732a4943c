//! `lingmou command`: has a box do something, and shows its signed reply.

mod verbs;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::clock;
use crate::command::{AHEAD_MAX_SECS, AskError, Asked, Client, Verb};
use crate::link::Endpoint;
use crate::link::message::{Presence, Subject, is_name};
use crate::types::Stamp;
use crate::witness::{
    self, Command, Container, Fate, Identity, Notice, REASON_MAX, Roots, Ruling, SIGNATURE,
    STATEMENT, Statement, sha256_hex,
};

use super::out::Hint;
use super::{Answer, log, out, runtime};
use verbs::{VerdictArgs, What};

const EXAMPLES: &str = "\
Examples:
  lingmou command --device LM-0007 --broker broker.lan:8883 --keys keys report
  lingmou command --device LM-0007 --broker broker.lan:8883 --keys keys capture gate
  lingmou command --device LM-0007 --broker broker.lan:8883 --keys keys config-set new.toml
  lingmou command verdict packages/ID --verdict reject --reason 'a shop' \\
      --device LM-0007 --broker broker.lan:8883 --keys keys

Each command has its own --help with an example. Options may stand before it or behind it; --device
and --keys are always needed.

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
    #[arg(long, global = true, value_name = "ID")]
    device: Option<String>,
    /// The broker
    #[arg(
        long,
        global = true,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:8883"
    )]
    broker: String,
    /// Folder with the keys and certificates
    #[arg(long, global = true, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// How long to wait for the reply; unless given 30, and 300 for a restart, and for a
    /// configuration or certificate, whose reply comes when its trial has ended
    #[arg(long, global = true, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..))]
    wait: Option<u64>,
    /// Number of the command, above every one before; the time, unless given
    #[arg(long, global = true, value_name = "N")]
    seq: Option<u64>,
    /// Print the reply as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

impl Args {
    /// The box and the folder with the keys, which clap cannot demand: they may stand anywhere.
    fn needed(&self) -> anyhow::Result<(&str, &Path)> {
        let lacks = |option: &str, hint: &str| Hint::error(format!("{option} is missing"), hint);
        let device = self.device.as_deref();
        let device = device.ok_or_else(|| lacks("--device", "which box? --device ID"))?;
        let keys = self.keys.as_deref();
        let keys = keys.ok_or_else(|| lacks("--keys", "whose keys? --keys DIR"))?;
        Ok((device, keys))
    }
}

pub(super) fn run(args: &Args, verbose: u8) -> anyhow::Result<Answer> {
    log::start_quiet(verbose);
    let (device, keys) = args.needed()?;
    if !is_name(device) {
        let what = format!("{device:?} is not the id of a box");
        return Err(Hint::error(what, "it is [device] id in its configuration"));
    }
    let roots = Roots::load(&keys.join("roots.crt"))?;
    let now = clock::now();
    let signs = match args.what {
        What::Verdict(_) => "reviewer",
        _ => "operator",
    };
    let identity = Identity::load(keys, signs)?;
    identity.check_validity(now)?;
    let endpoint = endpoint(&args.broker, keys)?;
    let asked = runtime()?.block_on(async {
        let mut client = Client::connect(&endpoint, roots, device).await?;
        let (subject, signed) = match &args.what {
            What::Verdict(verdict) => {
                let notice = notice(device, verdict, (&identity, now))?;
                (Subject::Verdict, notice.sign(&identity, now)?)
            }
            what => {
                let in_doubt = |state: &&Presence| state.clock_synced != Some(true);
                let state = client.state().filter(in_doubt);
                let nonce = state.and_then(|state| state.nonce.clone());
                let command = command((device, args.seq), &what.verb()?, (nonce, now));
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
fn endpoint(broker: &str, keys: &Path) -> anyhow::Result<Endpoint> {
    let parts = broker.rsplit_once(':');
    let parts = parts.and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = parts.with_context(|| format!("{broker:?} is not HOST:PORT"))?;
    let installed = witness::Installed::read(&keys.join("transport.crt"))?;
    let name = installed.common_name.filter(|name| is_name(name));
    Ok(Endpoint {
        host: host.to_owned(),
        port,
        keys: keys.to_owned(),
        client_id: name.context("transport.crt has no common name that could be a client's")?,
        keep_alive: Duration::from_secs(30),
        interface: String::new(),
        sent: None,
    })
}

fn command(
    (device, seq): (&str, Option<u64>),
    verb: &Verb,
    (nonce, now): (Option<String>, Stamp),
) -> Command {
    let (v, kind) = Command::HEAD;
    let (verb, verb_args) = verb.parts();
    // Good for most of the time a box allows, so that the two clocks may differ a little.
    let good_ns = (AHEAD_MAX_SECS - 60) * 1_000_000_000;
    let micros = u64::try_from(now.utc_ns / 1000).unwrap_or(1);
    Command {
        v,
        kind: kind.to_owned(),
        id: Uuid::now_v7(),
        device: device.to_owned(),
        seq: seq.unwrap_or(micros),
        verb,
        args: verb_args,
        not_after: clock::rfc3339_ms(now.utc_ns.saturating_add(good_ns)),
        nonce,
    }
}

/// The verdict on the package, which need not be whole here: what counts is the box's signature.
fn notice(
    device: &str,
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
    if statement.device.id != device {
        let what = format!("the package is by {}, not {device}", statement.device.id);
        return Err(Hint::error(what, "tell --device whose package it is"));
    }
    let (v, kind) = Notice::HEAD;
    Ok(Notice {
        v,
        kind: kind.to_owned(),
        id: statement.id,
        device: device.to_owned(),
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

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
    self, Command, Container, Fate, Identity, Notice, REASON_MAX, Review, ReviewVerdict, Roots,
    Ruling, SIGNATURE, STATEMENT, Statement, sha256_hex,
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
    let roots = Roots::load_with_revoked(&keys.join("roots.crt"))?;
    let now = clock::now();
    let signs = match args.what {
        What::Verdict(_) => "reviewer",
        _ => "operator",
    };
    let identity = Identity::load(keys, signs)?;
    identity.check_validity(now)?;
    let endpoint = endpoint(&args.broker, keys)?;
    let notice = match &args.what {
        What::Verdict(verdict) => Some(notice(device, verdict, &roots, (&identity, now))?),
        _ => None,
    };
    let asked = runtime()?.block_on(async {
        let mut client = Client::connect(&endpoint, roots, device).await?;
        let (subject, signed) = match (&args.what, notice) {
            (_, Some(notice)) => (Subject::Verdict, notice.sign(&identity, now)?),
            (what, None) => {
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
    roots: &Roots,
    (identity, now): (&Identity, Stamp),
) -> anyhow::Result<Notice> {
    let container = Container::open(&verdict.package)?;
    let lacks = |name| format!("{} has no {name}", verdict.package.display());
    let signature = container.get(SIGNATURE).with_context(|| lacks(SIGNATURE))?;
    let statement = container.get(STATEMENT).with_context(|| lacks(STATEMENT))?;
    let statement = Statement::parse(statement)?;
    if statement.device.id != device {
        let what = format!("the package is by {}, not {device}", statement.device.id);
        return Err(Hint::error(what, "tell --device whose package it is"));
    }
    let reviewer = identity.common_name();
    let reviews = witness::verify(&container, roots).reviews.into_iter();
    let mut own = reviews.filter_map(|reviewed| reviewed.review);
    let own = own.find(|review| review.reviewer == reviewer);
    let said = verdict.verdict.as_deref().zip(verdict.reason.as_deref());
    let Opinion {
        verdict,
        reason,
        at,
    } = opinion(own, said, now)?;
    let (v, kind) = Notice::HEAD;
    Ok(Notice {
        v,
        kind: kind.to_owned(),
        id: statement.id,
        device: device.to_owned(),
        sig_sha256: sha256_hex(signature),
        verdict,
        reason,
        at,
        reviewer,
    })
}

/// What a reviewer decided, and when.
#[derive(Debug, PartialEq, Eq)]
struct Opinion {
    verdict: Ruling,
    reason: String,
    at: String,
}

/// What is told to the box: the reviewer's `own` review as it lies in the package, with its time, however
/// late and often it is told; or what he `said` just now of a package without one.
fn opinion(own: Option<Review>, said: Option<(&str, &str)>, now: Stamp) -> anyhow::Result<Opinion> {
    let said = said.map(|(verdict, reason)| match verdict {
        "accept" => (Ruling::Accepted, reason.trim()),
        _ => (Ruling::Rejected, reason.trim()),
    });
    let own = own.map(|review| Opinion {
        verdict: match review.verdict {
            ReviewVerdict::Accept => Ruling::Accepted,
            ReviewVerdict::Reject => Ruling::Rejected,
        },
        reason: review.reason,
        at: review.at,
    });
    let opinion = match (own, said) {
        (Some(own), None) => own,
        (Some(own), Some((verdict, _))) if own.verdict != verdict => {
            let what = format!(
                "your review in the package is another: {}",
                own.verdict.name()
            );
            return Err(Hint::error(what, "without --verdict that review is told"));
        }
        (own, Some((verdict, reason))) => Opinion {
            verdict,
            reason: reason.to_owned(),
            at: own.map_or_else(|| clock::rfc3339_ms(now.utc_ns), |own| own.at),
        },
        (None, None) => {
            let what = "no review of yours that holds is in the package";
            let hint = "review it first (lingmou review), or say --verdict and --reason";
            return Err(Hint::error(what, hint));
        }
    };
    let length = opinion.reason.chars().count();
    if !(1..=REASON_MAX).contains(&length) {
        anyhow::bail!("the reason must have 1 to {REASON_MAX} characters");
    }
    Ok(opinion)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::CaseId;

    /// A verdict that is told late, or once more, is no newer than the review that it tells of.
    #[test]
    fn what_is_told_is_the_review_in_the_package_with_its_time() {
        const REVIEWED: &str = "2026-08-02T09:00:00.000Z";
        let now = Stamp {
            // 2026-08-03T16:05:00Z
            utc_ns: 1_785_773_100_000_000_000,
            boot_ns: 0,
            error_ns: 0,
        };
        let told = |own: bool, said| {
            let own = own.then(|| Review {
                v: 1,
                kind: "lingmou.review".to_owned(),
                id: CaseId(Uuid::from_u128(1)),
                sig_sha256: String::new(),
                verdict: ReviewVerdict::Reject,
                reason: "wrong shop".to_owned(),
                reviewer: "reviewer-1".to_owned(),
                at: REVIEWED.to_owned(),
            });
            opinion(own, said, now)
        };
        for (own, said, expected) in [
            (true, None, Some(("wrong shop", REVIEWED))),
            (
                true,
                Some(("reject", " other words ")),
                Some(("other words", REVIEWED)),
            ),
            (true, Some(("accept", "x")), None),
            (
                false,
                Some(("reject", "x")),
                Some(("x", "2026-08-03T16:05:00.000Z")),
            ),
            (false, Some(("reject", " ")), None),
            (false, None, None),
        ] {
            let opinion = told(own, said).ok();
            let expected = expected.map(|(reason, at)| Opinion {
                verdict: Ruling::Rejected,
                reason: reason.to_owned(),
                at: at.to_owned(),
            });
            assert_eq!(opinion, expected, "{own} {said:?}");
        }
    }
}

//! `lingmou receive`: the other end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::receive::Event;
use crate::types::CaseId;
use crate::{config, daemon, receive};

use super::{Answer, log, out, runtime};

const EXAMPLES: &str = "\
Examples:
  lingmou receive --name rx1 --host broker.bureau.lan --keys /etc/lingmou/receiver \\
      --dir /srv/evidence
  lingmou receive --name rx1 --host broker.bureau.lan --keys /etc/lingmou/receiver \\
      --dir /srv/evidence --copy-to /media/second --metrics 127.0.0.1:9464 \\
      --tsa-command 'openssl ts -reply -queryfile /dev/stdin -config /etc/lingmou/tsa.cnf'

Verifies each package, writes it to DIR/packages/DEVICE/ID and signs a receipt; only that receipt
ends the device's duty to keep. Boxes then ask for an RFC 3161 time-stamp over the receipt; with
--tsa-command it is fetched for them. Any number of receivers may work behind one broker, each with
a name and keys of its own; on one machine they may share DIR. `lingmou archive` answers what is
kept. docs/RECEIVER.md says how to run a pilot, docs/BROKER.md how to set up the broker.
Exit code: 0 it was stopped, 2 it could not begin.";

/// Receive packages from a broker, verify and keep them, and sign receipts
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Name of this receiver, unique in its group; the common name of its transport.crt
    #[arg(long, value_name = "NAME")]
    name: String,
    /// The broker
    #[arg(long, value_name = "HOST")]
    host: String,
    /// Its port
    #[arg(long, value_name = "PORT", default_value_t = 8883)]
    port: u16,
    /// Folder with receiver.key, receiver.crt, transport.key, transport.crt, roots.crt
    #[arg(long, value_name = "DIR")]
    keys: PathBuf,
    /// Lists of revoked certificates (RFC 5280), PEM or DER. Read again when the file changes: put a newer
    /// one in its place by a rename
    #[arg(long, value_name = "FILE")]
    crl: Option<PathBuf>,
    /// Where packages are written; receivers of the group may share it
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Make a second copy on the medium mounted here (`lingmou archive prepare-copies`). A receipt
    /// says two copies when the second was read back. While the medium is away receipts say one,
    /// and the copies are made when it is back
    #[arg(long, value_name = "DIR")]
    copy_to: Option<PathBuf>,
    /// Serve figures for Prometheus on this loopback address and port, at /metrics
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Command that answers time-stamp queries: RFC 3161 query on its standard input, answer on its
    /// standard output, DER both; split at spaces, no shell. Without it boxes get no time-stamps
    #[arg(long, value_name = "COMMAND")]
    tsa_command: Option<String>,
    /// Sign receipts though nothing synchronises this machine's clock, for a network without a time
    /// server: the time in each receipt, and in what boxes state later, is then as right as somebody set it
    #[arg(long)]
    any_clock: bool,
    /// Print each event as a JSON line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, verbose: u8) -> anyhow::Result<Answer> {
    log::start(verbose);
    let config = config::Receive {
        name: args.name.clone(),
        host: args.host.clone(),
        port: args.port,
        keys: args.keys.clone(),
        crl: args.crl.clone(),
        dir: args.dir.clone(),
        copy_to: args.copy_to.clone(),
        metrics: args.metrics,
        any_clock: args.any_clock,
        tsa_command: args
            .tsa_command
            .iter()
            .flat_map(|line| line.split_whitespace())
            .map(ToOwned::to_owned)
            .collect(),
    };
    let json = args.json;
    let tell = move |event: Event| {
        let (word, facts) = word(&event);
        out::told(&if json { facts.to_string() } else { word });
    };
    runtime()?.block_on(async {
        let stop = daemon::stop_on_signals()?;
        receive::run(config, tell, stop).await?;
        anyhow::Ok(())
    })?;
    Ok(Answer::Yes)
}

/// That a head came late, in words behind others.
pub(super) fn came_late(late: Option<u64>) -> String {
    late.map_or_else(String::new, |secs| {
        format!(", history: it came {secs} s late")
    })
}

fn announced(
    (device, id, seq): (&str, CaseId, u64),
    bytes: u64,
    late: Option<u64>,
) -> (String, Value) {
    let history = came_late(late);
    (
        format!("{device}: announced {id} (seq {seq}, {bytes} bytes{history})"),
        json!({ "event": "announced", "device": device, "id": id, "seq": seq, "bytes": bytes, "late": late }),
    )
}

fn not_whole(
    (device, id, why): (&str, CaseId, &str),
    (event, is, then): (&str, &str, &str),
) -> (String, Value) {
    (
        format!("{device}: WHAT {is} HERE OF {id} {is} BROKEN, {then}: {why}"),
        json!({ "event": event, "device": device, "id": id, "why": why }),
    )
}

fn stored(
    (device, id, seq): (&str, CaseId, u64),
    (path, copies): (&Path, u32),
    late: Option<u64>,
) -> (String, Value) {
    let (path, history) = (path.display().to_string(), came_late(late));
    let unit = if copies == 1 { "copy" } else { "copies" };
    (
        format!("{device}: stored {id} (seq {seq}, {copies} {unit}{history}) in {path}"),
        json!({ "event": "stored", "device": device, "id": id, "seq": seq, "path": path,
            "copies": copies, "late": late }),
    )
}

/// An event as a line for a human, and as JSON.
fn word(event: &Event) -> (String, Value) {
    match event {
        Event::Connected { peer } => (
            format!("connected to {peer}"),
            json!({ "event": "connected", "peer": peer }),
        ),
        Event::Disconnected { why } => (
            format!("disconnected: {why}"),
            json!({ "event": "disconnected", "why": why.to_string() }),
        ),
        Event::Presence { device, presence } => (
            format!("{device}: {:?}", presence.state),
            json!({ "event": "presence", "device": device, "presence": presence }),
        ),
        Event::Announced {
            device,
            id,
            seq,
            bytes,
            late,
        } => announced((device, *id, *seq), *bytes, *late),
        Event::Broken { device, id, why } => {
            let told = ("broken", "IS", "it is taken again when its box offers it");
            not_whole((device, *id, why), told)
        }
        Event::Mended { device, id, why } => {
            let told = ("mended", "WAS", "its second copy took its place");
            not_whole((device, *id, why), told)
        }
        Event::Stored {
            device,
            id,
            seq,
            path,
            copies,
            late,
        } => stored((device, *id, *seq), (path, *copies), *late),
        Event::Refused { device, id, why } => (
            format!("{device}: refused {id}: {why}"),
            json!({ "event": "refused", "device": device, "id": id, "why": why }),
        ),
        Event::Stamped { device } => (
            format!("{device}: time-stamp sent"),
            json!({ "event": "stamped", "device": device }),
        ),
        Event::Unstamped { device, why } => (
            format!("{device}: no time-stamp: {why}"),
            json!({ "event": "unstamped", "device": device, "why": why }),
        ),
        Event::Checkpoint { device, n } => (
            format!("{device}: journal signed up to line {n}"),
            json!({ "event": "checkpoint", "device": device, "n": n }),
        ),
        Event::HeadRefused {
            device,
            why,
            refused,
        } => (
            format!("{device}: JOURNAL REFUSED: {why} ({refused} so far)"),
            json!({ "event": "head_refused", "device": device, "why": why, "refused": refused }),
        ),
        Event::Ignored { topic, why } => (
            format!("ignored {topic}: {why}"),
            json!({ "event": "ignored", "topic": topic, "why": why }),
        ),
        Event::Trouble { why } => (
            format!("trouble: {why}"),
            json!({ "event": "trouble", "why": why }),
        ),
    }
}

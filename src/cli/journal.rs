//! `lingmou journal`: reads, checks and cuts out of a device's journal. Changes nothing in it.

mod spoke;
mod verify;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::disk::{create_dir, is_folder, write_new};
use crate::journal::{self, AtHand, Entry, Proof, ProofError, SEGMENTS, kind};
use crate::types::CaseId;
use crate::witness::{Container, Roots, SIGNATURE, STATEMENT, Statement, read_at_most, sha256_hex};

use super::places::StoreDir;
use super::{Answer, out};

/// Largest signature read; ours have some 3 KiB.
const SIGNATURE_MAX: u64 = 256 << 10;

const EXAMPLES: &str = "\
Examples:
  lingmou journal verify --roots /etc/lingmou/keys/roots.crt
  lingmou journal show --kind rule.hit --from 2026-08-01
  lingmou journal show --case 0198f0a2-0000-7000-8000-000000000001
  lingmou journal spoke --from 2026-08-01T06:00 --to 2026-08-01T07:00
  lingmou journal prove CASE.asice --roots roots.crt --out proof

--store is the folder that holds journal/ and checkpoints/: the daemon's, running or not, or a
copy of it. Exit code: 0 it holds and is signed, 1 not (or nothing was found), 2 could not look.";

const VERIFY: &str = "\
Example:
  lingmou journal verify --store /mnt/box/lingmou --roots roots.crt --device LC-POLE-0007

Exit code: 0 it holds and is signed, 1 it does not hold or nobody signed it, 2 could not look.";
const SHOW: &str = "\
Examples:
  lingmou journal show --from 2026-08-01 --to 2026-08-02 --kind rule.hit
  lingmou journal show --case 0198f0a2-0000-7000-8000-000000000001 --json

Exit code: 0 shown, 1 there is no such line, 2 could not look.";
const PROVE: &str = "\
Example:
  lingmou journal prove case.asice --store /mnt/box/lingmou --roots roots.crt --out proof

Exit code: 0 proved, 1 not proved, and why, 2 could not look.";

/// Read, check and prove from the journal of a box
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    #[command(after_help = VERIFY)]
    Verify(VerifyArgs),
    #[command(after_help = SHOW)]
    Show(ShowArgs),
    Spoke(spoke::Args),
    #[command(after_help = PROVE)]
    Prove(ProveArgs),
}

// Not a doc comment: clap would make it the words about the command.
#[derive(Debug, clap::Args)]
struct Local {
    /// The time zone of local times
    #[arg(long, value_name = "NAME", default_value = "Asia/Shanghai")]
    time_zone: String,
}

impl Local {
    fn zone(&self) -> anyhow::Result<TimeZone> {
        TimeZone::get(&self.time_zone).map_err(|error| {
            let what = format!("time zone {:?}: {error}", self.time_zone);
            out::Hint::error(what, "an IANA name like Asia/Shanghai")
        })
    }
}

/// Check the whole chain and every checkpoint
#[derive(Debug, clap::Args)]
struct VerifyArgs {
    #[command(flatten)]
    place: StoreDir,
    /// Root certificates: a PEM file, or a folder of them
    #[arg(long, value_name = "PATH")]
    roots: PathBuf,
    /// Whose journal it must be; by default the device it names itself
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Print lines, oldest first
#[derive(Debug, clap::Args)]
struct ShowArgs {
    #[command(flatten)]
    place: StoreDir,
    /// Not before this moment: local time (2026-08-01T06:10, 2026-08-01) or RFC 3339
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before this moment
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    #[command(flatten)]
    local: Local,
    /// Only this kind, or all that begin with it and a dot
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Only what names this case or package
    #[arg(long, value_name = "ID")]
    case: Option<String>,
    /// Print the lines as they stand in the journal
    #[arg(long)]
    json: bool,
}

/// Print the lines from a package's own to the next checkpoint, and that checkpoint
#[derive(Debug, clap::Args)]
struct ProveArgs {
    /// The package's id, its folder, or its .asice file
    #[arg(value_name = "PACKAGE")]
    package: String,
    #[command(flatten)]
    place: StoreDir,
    /// Root certificates: a PEM file, or a folder of them
    #[arg(long, value_name = "PATH")]
    roots: PathBuf,
    /// Write chain.jsonl and checkpoint.p7m there instead
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Answer> {
    match &args.command {
        Command::Verify(args) => verify::run(args),
        Command::Show(args) => show(args),
        Command::Spoke(args) => spoke::run(args),
        Command::Prove(args) => prove(args),
    }
}

/// A moment as RFC 3339, or by the clock on the wall.
fn moment(text: &str, zone: &TimeZone) -> anyhow::Result<Timestamp> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let local = text.parse::<DateTime>().ok();
    let moment = local.and_then(|local| zone.to_timestamp(local).ok());
    moment.ok_or_else(|| {
        out::Hint::error(
            format!("{text:?} is not a moment"),
            "local time as 2026-08-01T06:10, a day as 2026-08-01, or RFC 3339",
        )
    })
}

pub(super) fn there(store: &Path) -> anyhow::Result<PathBuf> {
    let journal = store.join(SEGMENTS);
    if journal.is_dir() {
        return Ok(journal);
    }
    Err(out::Hint::error(
        format!("{} holds no journal", store.display()),
        "give the folder that has journal/ in it: --store DIR",
    ))
}

fn show(args: &ShowArgs) -> anyhow::Result<Answer> {
    let times = args.times()?;
    let journal = there(&args.place.store)?;
    let mut found = false;
    let mut trouble = None;
    let broken = journal::walk(&journal, &mut |entry| {
        if !args.wants(&times, &entry) || trouble.is_some() {
            return;
        }
        found = true;
        if !args.json {
            out::data(&line(&entry));
            return;
        }
        match journal::read_line(&journal, &entry.place) {
            Ok(bytes) => out::data(&String::from_utf8_lossy(&bytes)),
            Err(error) => trouble = Some(error),
        }
    })?;
    if let Some(error) = trouble {
        return Err(error.into());
    }
    if let Some(broken) = broken {
        out::word(&format!("warning: {broken}"));
    }
    Ok(if found { Answer::Yes } else { Answer::No })
}

impl ShowArgs {
    /// From when to when, where that is asked.
    fn times(&self) -> anyhow::Result<[Option<Timestamp>; 2]> {
        let zone = self.local.zone()?;
        let exact = |text: &Option<String>| text.as_ref().map(|text| moment(text, &zone));
        Ok([exact(&self.from).transpose()?, exact(&self.to).transpose()?])
    }

    fn wants(&self, [from, to]: &[Option<Timestamp>; 2], entry: &Entry) -> bool {
        let at: Option<Timestamp> = entry.at.parse().ok();
        let since = from.is_none_or(|from| at.is_some_and(|at| at >= from));
        let until = to.is_none_or(|to| at.is_some_and(|at| at < to));
        let of_kind = self.kind.as_ref().is_none_or(|kind| {
            let rest = entry.kind.strip_prefix(kind.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        let about = self
            .case
            .as_ref()
            .is_none_or(|case| names(&entry.body, case));
        since && until && of_kind && about
    }
}

/// Whether the body names the case or package.
pub(super) fn names(body: &Value, case: &str) -> bool {
    let listed = body["packages"].as_array();
    body["id"] == case
        || body["case"] == case
        || listed.is_some_and(|ids| ids.iter().any(|id| id == case))
}

/// A line for a human.
fn line(entry: &Entry) -> String {
    let mut text = format!("{:>8} {} {:<18}", entry.head.n, entry.at, entry.kind);
    let mut put = |words: &str| text.push_str(words);
    let none = serde_json::Map::new();
    for (key, value) in entry.body.as_object().unwrap_or(&none) {
        match value {
            Value::Null => {}
            Value::String(word) => put(&format!(" {key}={word}")),
            other => put(&format!(" {key}={other}")),
        }
    }
    plain(&text)
}

/// Text from elsewhere on a terminal: what could steer it is written out.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            plain.extend(c.escape_unicode());
        } else {
            plain.push(c);
        }
    }
    plain
}

fn prove(args: &ProveArgs) -> anyhow::Result<Answer> {
    let store = &args.place.store;
    there(store)?;
    let roots = Roots::load(&args.roots)?;
    let package = package(&args.package, store)?;
    let proof = match journal::prove(store, &roots, &package) {
        Ok(proof) => proof,
        Err(ProofError::Journal(error @ journal::JournalError::Disk(_))) => {
            return Err(error.into());
        }
        Err(no) => {
            out::word(&plain(&format!("not proved: {no}")));
            return Ok(Answer::No);
        }
    };
    if let Some(dir) = &args.out {
        write(dir, &proof)?;
    } else {
        out::data(&String::from_utf8_lossy(&proof.lines));
        out::data(&serde_json::to_string(&proof.signed)?);
    }
    say(&proof, &package);
    Ok(Answer::Yes)
}

/// Writes the proof into a folder, never over anything.
fn write(dir: &Path, proof: &Proof) -> anyhow::Result<()> {
    create_dir(dir)?;
    for (name, bytes) in [
        ("chain.jsonl", &proof.lines),
        ("checkpoint.p7m", &proof.p7m),
    ] {
        write_new(&dir.join(name), bytes)?;
        out::data(&dir.join(name).display().to_string());
    }
    Ok(())
}

/// What is proved, in words.
fn say(proof: &Proof, package: &AtHand) {
    let s = &proof.signed;
    let (n, signed, at, device) = (proof.n, s.n, plain(&s.at), plain(&s.device));
    out::word(&format!(
        "package {}\n  line {n} of {}: signature {}{}\n  {} lines lead to line {signed}, hash {}\n  \
         signed by device {device} at {at}",
        package.id,
        plain(&proof.at),
        plain(&proof.sig_sha256),
        if package.sig_sha256.is_some() {
            " (the package's own)"
        } else {
            " (no package is here to hold it against)"
        },
        proof.count,
        s.head,
    ));
    for correction in &proof.corrections {
        let bound = |key: &str| correction[key].as_str().unwrap_or("?");
        out::word(&plain(&format!(
            "  its clock was found wrong later ({}): add {} microseconds to its times, give or \
             take {}, if by its own clock it was signed from {} to {}",
            kind::CLOCK_CORRECTED,
            correction["offset_us"],
            correction["error_us"],
            bound("from"),
            bound("to"),
        )));
    }
}

/// SHA-256 of the signature of the package in `folder`.
fn signature_of(folder: &Path) -> anyhow::Result<String> {
    let path = folder.join(SIGNATURE);
    let why = match read_at_most(&path, SIGNATURE_MAX) {
        Ok(Some(bytes)) => return Ok(sha256_hex(&bytes)),
        Ok(None) => format!("it is longer than {SIGNATURE_MAX} bytes"),
        Err(error) => error.to_string(),
    };
    Err(out::Hint::error(
        format!("cannot read {}: {why}", path.display()),
        "give another copy of the package: its folder or its .asice file",
    ))
}

/// What is at hand of the package.
fn package(text: &str, store: &Path) -> anyhow::Result<AtHand> {
    if let Ok(id) = uuid::Uuid::parse_str(text) {
        let id = CaseId(id);
        let folder = store.join("packages").join(id.to_string());
        // A copy of the journal alone has no package; one that is here is held against its line.
        let sig_sha256 = is_folder(&folder).then(|| signature_of(&folder));
        return Ok(AtHand {
            id,
            sig_sha256: sig_sha256.transpose()?,
            device: None,
        });
    }
    let container = Container::open(Path::new(text))?;
    let part = |name: &str| {
        let bytes = container.get(name);
        bytes.ok_or_else(|| {
            out::Hint::error(
                format!("{text} is no evidence package: it has no {name}"),
                "give a package's folder, its .asice file or its id",
            )
        })
    };
    let statement = Statement::parse(part(STATEMENT)?)?;
    Ok(AtHand {
        id: statement.id,
        sig_sha256: Some(sha256_hex(part(SIGNATURE)?)),
        device: Some(statement.device.id),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_local_or_exact() {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let utc = |text: &str| text.parse::<Timestamp>().unwrap();
        for (text, wanted) in [
            ("2026-08-01T06:10", "2026-07-31T22:10:00Z"),
            ("2026-08-01", "2026-07-31T16:00:00Z"),
            ("2026-08-01 06:10", "2026-07-31T22:10:00Z"),
            ("2026-08-01T06:10:00Z", "2026-08-01T06:10:00Z"),
        ] {
            assert_eq!(moment(text, &zone).unwrap(), utc(wanted), "{text}");
        }
        for wrong in ["", "06:10", "2026-13-01"] {
            assert!(moment(wrong, &zone).is_err(), "{wrong}");
        }
    }

    /// The same words mean the same time to both subcommands that take them.
    #[test]
    fn a_day_is_the_same_day_for_every_subcommand() {
        use clap::Parser as _;

        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            args: Args,
        }
        for words in [
            "show --from 2026-08-01 --to 2026-08-01T06:10",
            "show --from 2026-07-31T16:00:00Z --to 2026-07-31T22:10:00Z",
        ] {
            let cli = Cli::parse_from(["journal"].into_iter().chain(words.split(' ')));
            let Command::Show(show) = cli.args.command else {
                panic!("{words}");
            };
            let told = show.times().unwrap().map(|at| at.unwrap().to_string());
            assert_eq!(
                told,
                ["2026-07-31T16:00:00Z", "2026-07-31T22:10:00Z"],
                "{words}"
            );
        }
    }
}

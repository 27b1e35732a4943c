//! `lingmou archive`: questions to what the receivers keep.

use std::path::PathBuf;

use anyhow::Context;
use serde::Serialize;

use crate::clock;
use crate::receive::archive::{Announced, Archive, Broken, DeviceSum, Gap, Kept, Missing, Refusal};
use crate::receive::{prepare_copies, remove};

use super::out::Hint;
use super::receive::came_late;
use super::{Answer, log, out};

const EXAMPLES: &str = "\
Examples:
  lingmou archive missing --dir /srv/evidence               # of any box
  lingmou archive missing --dir /srv/evidence --device LC-POLE-0007
  lingmou archive check --dir /srv/evidence                 # is everything still whole?
  lingmou archive devices --dir /srv/evidence
  lingmou archive packages --dir /srv/evidence --device LC-POLE-0007 --json
  lingmou archive packages --dir /srv/rx1 --dir /srv/rx2    # two receivers, asked as one
  lingmou archive announced --dir /srv/evidence
  lingmou archive prepare-copies /media/second --dir /srv/evidence
  lingmou archive remove LC-POLE-0007/0198f0a2-0000-7000-8000-000000000001 --dir /srv/evidence \\
    --copy-to /media/second --why '90 days are over'

Reads what lies in the folder of `lingmou receive`, beside running receivers or without them. The
index (DIR/index.db) is brought level with the packages first, and made again when it is gone.
What was announced comes whole when somebody asks its box for it: lingmou command … fetch ID.
Exit code: 0 told, or nothing is missing or broken, 1 something is, 2 could not look.";

const PACKAGES: &str = "\
Example:
  lingmou archive packages --dir /srv/evidence --device LC-POLE-0007 --json

Exit code: 0 told, 2 could not look.";
const DEVICES: &str = "\
Example:
  lingmou archive devices --dir /srv/evidence

Exit code: 0 told, 2 could not look.";
const MISSING: &str = "\
Example:
  lingmou archive missing --dir /srv/evidence --device LC-POLE-0007

Exit code: 0 nothing is missing, 1 something is, 2 could not look.";
const CHECK: &str = "\
Example:
  lingmou archive check --dir /srv/evidence

Looks at files and receipts, not at who signed: that is lingmou verify. RECEIVER.md says how a
broken package is mended.
Exit code: 0 every package is whole, 1 one is not, 2 could not look.";
const REFUSED: &str = "\
Example:
  lingmou archive refused --dir /srv/evidence

Exit code: 0 told, 2 could not look.";
const ANNOUNCED: &str = "\
Example:
  lingmou archive announced --dir /srv/evidence --json

Exit code: 0 told, 2 could not look.";
const REMOVE: &str = "\
Example:
  lingmou archive remove LC-POLE-0007/0198f0a2-0000-7000-8000-000000000001 --dir /srv/evidence \\
    --copy-to /media/second --why '90 days are over'

Nothing is removed when one of the packages is not known, or a copy would stay. A package that
somebody took away without a word can be named afterwards.
Exit code: 0 removed, 2 not, or not all: the same command does the rest.";
const COPIES: &str = "\
Example:
  lingmou archive prepare-copies /media/second --dir /srv/evidence

Exit code: 0 prepared, or it was already, 2 could not be done.";

/// Ask what the receivers keep: packages, devices, refusals, and which numbers are missing
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, clap::Subcommand)]
enum Question {
    /// Every package with its number, case, place and copies; also those gone or removed
    #[command(after_help = PACKAGES)]
    Packages(Of),
    /// Every device: last heard, how many packages are kept, how many numbers are missing
    #[command(after_help = DEVICES)]
    Devices(Of),
    /// Numbers of which no package is here, with what is known about them
    #[command(after_help = MISSING)]
    Missing(Of),
    /// Hash every package, read from the disk: is what was stored still whole? Takes long
    #[command(after_help = CHECK)]
    Check(Of),
    /// Packages that were refused, with the reason
    #[command(after_help = REFUSED)]
    Refused(Of),
    /// Packages known by their head and not here whole: their ids, and what is here
    #[command(after_help = ANNOUNCED)]
    Announced(Of),
    /// Remove packages on purpose, with their second copies, so that none is missing
    #[command(after_help = REMOVE)]
    Remove {
        /// Packages, as device and id; they cannot be had back
        #[arg(value_name = "DEVICE/ID", required = true)]
        packages: Vec<String>,
        /// The receivers' folder
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// The medium for second copies; must be named when there are some of these packages
        #[arg(long, value_name = "DIR")]
        copy_to: Option<PathBuf>,
        /// Why, in a few words: kept for good in DIR/removed/DEVICE.jsonl
        #[arg(long, value_name = "WORDS")]
        why: String,
    },
    /// Prepare another medium for second copies (lingmou receive --copy-to)
    #[command(after_help = COPIES)]
    PrepareCopies {
        /// Where the medium is mounted
        medium: PathBuf,
        /// The receivers' folder, which must be on another disk
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
    },
}

/// Of which folders and device.
#[derive(Debug, clap::Args)]
struct Of {
    /// Folder of `lingmou receive`; give several to ask receivers with folders of their own as one
    #[arg(long, value_name = "DIR", required = true)]
    dir: Vec<PathBuf>,
    /// Only this device
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// Print each as a JSON line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, verbose: u8) -> anyhow::Result<Answer> {
    log::start_for_findings(verbose);
    match &args.question {
        Question::Packages(of) => {
            of.each(Archive::packages, package)?;
        }
        Question::Devices(of) => {
            of.each(|archive, name| Ok(vec![archive.device(name)?]), device)?;
        }
        Question::Missing(of) => {
            if of.each(Archive::missing, missing)? > 0 {
                return Ok(Answer::No);
            }
            if !of.json {
                out::word("no number is missing");
            }
        }
        Question::Check(of) => {
            if of.each(Archive::broken, broken)? > 0 {
                return Ok(Answer::No);
            }
            if !of.json {
                out::word("every package is whole");
            }
        }
        Question::Refused(of) => {
            of.each(Archive::refusals, refusal)?;
        }
        Question::Announced(of) => {
            of.each(Archive::announced, announced)?;
        }
        Question::Remove {
            packages,
            dir,
            copy_to,
            why,
        } => {
            let word = (why.as_str(), clock::now());
            for one in remove(dir, copy_to.as_deref(), packages, word)? {
                out::data(&format!(
                    "{} {:>6}  {} removed",
                    one.device, one.seq, one.id
                ));
            }
        }
        Question::PrepareCopies { medium, dir } => {
            prepare_copies(medium, dir).context("the medium cannot be prepared")?;
            let medium = medium.display();
            out::data(&format!(
                "prepared; start receivers with --copy-to {medium}"
            ));
        }
    }
    Ok(Answer::Yes)
}

impl Of {
    /// Prints what `ask` says of each device; how much it was.
    fn each<T: Serialize>(
        &self,
        ask: impl Fn(&Archive, &str) -> Result<Vec<T>, crate::receive::ReceiveError>,
        line: impl Fn(&T) -> String,
    ) -> anyhow::Result<usize> {
        let archive = Archive::open(&self.dir, clock::now())?;
        let known = archive.devices()?;
        let names = match &self.device {
            // Of a box nobody knows, "nothing is missing" would be no answer.
            Some(name) if !known.contains(name) => {
                return Err(Hint::error(
                    format!("no receiver has ever heard of {name}"),
                    format!("devices here: {}", known.join(", ")),
                ));
            }
            Some(name) => vec![name.clone()],
            None => known,
        };
        let mut count = 0;
        for name in names {
            for one in ask(&archive, &name)? {
                count += 1;
                out::data(&if self.json {
                    serde_json::to_string(&one)?
                } else {
                    line(&one)
                });
            }
        }
        Ok(count)
    }
}

fn package(p: &Kept) -> String {
    let copies = match (&p.removed, &p.gone, p.copies) {
        (Some(why), ..) => format!("removed: {why}"),
        (_, Some(since), _) => format!("GONE, noticed {since}"),
        (_, None, 1) => "1 copy".to_owned(),
        (_, None, copies) => format!("{copies} copies"),
    };
    let place = p.site.as_deref().or(p.zone.as_deref()).unwrap_or("-");
    let grade = p.grade.as_deref().unwrap_or("-");
    format!(
        "{} {:>6}  {}  {}  {} {} {grade}  {place}  {} bytes  {copies}{}",
        p.device,
        p.seq,
        p.id,
        p.at,
        p.kind,
        p.outcome,
        p.bytes,
        came_late(p.late)
    )
}

fn device(sum: &DeviceSum) -> String {
    let seen = &sum.seen;
    format!(
        "{}  last heard {} ({})  {} packages, {} bytes, up to number {}: {} missing, {} refused; \
         journal signed up to line {}",
        seen.device,
        seen.seen
            .as_deref()
            .unwrap_or("not since the index was made"),
        seen.state.as_deref().unwrap_or("state not known"),
        sum.packages,
        sum.bytes,
        seen.seq_max,
        sum.missing,
        sum.refused,
        seen.journal_n.map_or("-".to_owned(), |n| n.to_string()),
    )
}

fn missing(m: &Missing) -> String {
    let numbers = if m.from == m.to {
        number(m.from)
    } else {
        format!("{} to {}", m.from, m.to)
    };
    let what = match &m.gap {
        Gap::NeverCame => "never came".to_owned(),
        Gap::Announced { id, pictures } => {
            let here = if *pictures {
                "all but its video is here"
            } else {
                "and is not here"
            };
            format!("{id} was announced, {here} (lingmou archive announced)")
        }
        Gap::Gone { id, since, .. } => {
            format!("{id} was stored and IS GONE from its folder, noticed {since}")
        }
        Gap::Refused { id, why } => format!("{id} was refused: {why}"),
        Gap::Unreadable { id, why } => {
            format!("{id} lies in its place and CANNOT BE READ (lingmou archive check): {why}")
        }
        Gap::Doubled { ids } => {
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            format!("is the number of SEVERAL packages: {}", ids.join(", "))
        }
    };
    format!("{}: {numbers} {what}", m.device)
}

/// A number, which may be one that cannot be read.
fn number(seq: u64) -> String {
    match seq {
        0 => "?".to_owned(),
        seq => seq.to_string(),
    }
}

fn announced(a: &Announced) -> String {
    let here = match (&a.receiver, a.pictures) {
        (Some(receiver), true) => format!("all but its video is with {receiver}"),
        (Some(receiver), false) => format!("its head is with {receiver}"),
        (None, _) => "forgotten here, its box has it".to_owned(),
    };
    format!(
        "{} {:>6}  {}  {}  {} {}  {here}{}",
        a.device,
        a.seq,
        a.id,
        a.at,
        a.kind,
        a.outcome,
        came_late(a.late)
    )
}

fn broken(b: &Broken) -> String {
    format!(
        "{} {:>6}  {}  IS BROKEN in {}: {}",
        b.device,
        number(b.seq),
        b.id,
        b.place.display(),
        b.why
    )
}

fn refusal(r: &Refusal) -> String {
    format!(
        "{} {:>6}  {}  {}  by {}: {}",
        r.device, r.seq, r.id, r.at, r.receiver, r.why
    )
}

//! `lingmou archive`: questions to what the receivers keep.

use std::path::PathBuf;

use anyhow::Context;
use serde::Serialize;

use crate::clock;
use crate::receive::archive::{Archive, DeviceSum, Gap, Kept, Missing, Refusal};
use crate::receive::prepare_copies;

use super::out::Hint;
use super::{Answer, out};

const EXAMPLES: &str = "\
Examples:
  lingmou archive missing --dir /srv/evidence               # of any box
  lingmou archive missing --dir /srv/evidence --device LC-POLE-0007
  lingmou archive devices --dir /srv/evidence
  lingmou archive packages --dir /srv/evidence --device LC-POLE-0007 --json
  lingmou archive packages --dir /srv/rx1 --dir /srv/rx2    # two receivers, asked as one
  lingmou archive prepare-copies /media/second --dir /srv/evidence

Reads what lies in the folder of `lingmou receive`, beside running receivers or without them. The
index (DIR/index.db) is brought level with the packages first, and made again when it is gone.
Exit code: 0 told, or nothing is missing, 1 something is missing, 2 could not look.";

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
const REFUSED: &str = "\
Example:
  lingmou archive refused --dir /srv/evidence

Exit code: 0 told, 2 could not look.";
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
    /// Every package with its number, case, place and copies; also those that are gone
    #[command(after_help = PACKAGES)]
    Packages(Of),
    /// Every device: last heard, how many packages are kept, how many numbers are missing
    #[command(after_help = DEVICES)]
    Devices(Of),
    /// Numbers of which no package is here, with what is known about them
    #[command(after_help = MISSING)]
    Missing(Of),
    /// Packages that were refused, with the reason
    #[command(after_help = REFUSED)]
    Refused(Of),
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

pub(super) fn run(args: &Args) -> anyhow::Result<Answer> {
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
        Question::Refused(of) => {
            of.each(Archive::refusals, refusal)?;
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
    let copies = match (&p.gone, p.copies) {
        (Some(since), _) => format!("GONE, noticed {since}"),
        (None, 1) => "1 copy".to_owned(),
        (None, copies) => format!("{copies} copies"),
    };
    let place = p.site.as_deref().or(p.zone.as_deref()).unwrap_or("-");
    let grade = p.grade.as_deref().unwrap_or("-");
    format!(
        "{} {:>6}  {}  {}  {} {} {grade}  {place}  {} bytes  {copies}",
        p.device, p.seq, p.id, p.at, p.kind, p.outcome, p.bytes
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
        m.from.to_string()
    } else {
        format!("{} to {}", m.from, m.to)
    };
    let what = match &m.gap {
        Gap::NeverCame => "never came".to_owned(),
        Gap::Gone { id, since, .. } => {
            format!("{id} was stored and IS GONE from its folder, noticed {since}")
        }
        Gap::Refused { id, why } => format!("{id} was refused: {why}"),
        Gap::Doubled { ids } => {
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            format!("is the number of SEVERAL packages: {}", ids.join(", "))
        }
    };
    format!("{}: {numbers} {what}", m.device)
}

fn refusal(r: &Refusal) -> String {
    format!(
        "{} {:>6}  {}  {}  by {}: {}",
        r.device, r.seq, r.id, r.at, r.receiver, r.why
    )
}

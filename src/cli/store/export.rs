//! `lingmou store export`: packages as files for elsewhere.

use std::path::PathBuf;

use anyhow::Context;
use serde_json::json;

use crate::store::{Export, Listed, View};

use super::super::places::CaseArg;
use super::super::{Answer, out};
use super::size;

const EXAMPLES: &str = "\
Examples:
  lingmou store export /media/usb
  lingmou store export /media/usb --id 0198f0a2-0000-7000-8000-000000000001

Exit code: 0 all are there, 1 some were left out, and why, 2 could not be done.";

/// Which packages, and where to
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The folder to write into; made when it is missing
    into: PathBuf,
    /// Only this package; may be given several times
    #[arg(long, value_name = "ID")]
    id: Vec<CaseArg>,
}

pub(super) fn run(view: &View, args: &Args, json: bool) -> anyhow::Result<Answer> {
    let into = &args.into;
    std::fs::create_dir_all(into).with_context(|| format!("cannot make {}", into.display()))?;
    let all = view.packages()?;
    let wanted: Vec<&Listed> = if args.id.is_empty() {
        all.iter().collect()
    } else {
        let find = |CaseArg(id): &CaseArg| {
            let found = all.iter().find(|package| package.id == *id);
            found.with_context(|| format!("there is no package {id}"))
        };
        args.id.iter().map(find).collect::<Result<_, _>>()?
    };
    let (mut written, mut there, mut left, mut bytes) = (0, 0, 0, 0);
    for (number, package) in (1..).zip(&wanted) {
        let (name, export) = view.export(package, into).map_err(|error| {
            let hint = "make room or check the medium, then call it again: it goes on from here";
            out::Hint::error(error.to_string(), hint)
        })?;
        let word = match &export {
            Export::Written(size) => {
                written += 1;
                bytes += size;
                "written"
            }
            Export::There => {
                there += 1;
                "there already"
            }
            Export::Left(_) => {
                left += 1;
                "LEFT OUT"
            }
        };
        let why = if let Export::Left(why) = &export {
            why
        } else {
            ""
        };
        if json {
            let line = json!({ "id": package.id, "file": name, "became": word, "why": why });
            out::data(&line.to_string());
        } else {
            let line = format!("{number}/{}  {name}  {word}  {why}", wanted.len());
            out::word(line.trim_end());
        }
    }
    if !json {
        let size = size(bytes);
        out::data(&format!(
            "{written} written and read back ({size}), {there} there already, {left} left out"
        ));
    }
    Ok(if left == 0 { Answer::Yes } else { Answer::No })
}

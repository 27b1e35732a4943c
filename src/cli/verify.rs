//! `lingmou verify`: checks packages, offline.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;

use crate::clock;
use crate::witness::{
    self, Among, Container, ContainerError, Language, PAGE_COLUMNS, Roots, Verdict, credentials,
    tell_credentials,
};

use super::{Answer, out};

/// Narrowest and widest page: below it reads badly, above the eye loses the line.
const COLUMNS: std::ops::RangeInclusive<usize> = 40..=100;

const EXAMPLES: &str = "\
Examples:
  lingmou verify case.asice --roots roots.crt
  lingmou verify packages/*/ --roots /etc/lingmou/keys/roots.crt --lang en
  lingmou verify case.asice --roots roots.crt --json
  lingmou verify case.asice --roots roots.crt --report case.html    # to print for the case file
  lingmou verify case.asice --roots roots.crt --crl revoked.crl     # a box was stolen

A package is the directory the daemon keeps or the .asice file made of it.
docs/verify.sh comes to the same verdict with unzip and openssl alone (what it leaves to this
program: docs/EVIDENCE.md). Of a package whose receipt has come a box keeps statement and
signatures only: it cannot be checked here, the receiver's can.
Exit code: 0 all valid, 1 at least one is not valid, 2 at least one is not there or no package,
could not be read, or is not whole here; the others are judged all the same.";

/// Check evidence packages against the bureau's root certificates; needs no network
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Package directories or .asice files
    #[arg(required = true, value_name = "PACKAGE")]
    packages: Vec<PathBuf>,
    /// Root certificates: a PEM file, or a folder of them
    #[arg(long, value_name = "PATH")]
    roots: PathBuf,
    /// Lists of revoked certificates (RFC 5280), PEM or DER: what was signed with such a certificate counts
    /// when receipt or time-stamp says that it was there before
    #[arg(long, value_name = "FILE")]
    crl: Vec<PathBuf>,
    /// Print the verdicts as JSON, one line per package
    #[arg(long)]
    json: bool,
    /// Also write a report with the pictures, one HTML file to print; for one package
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Language of page and report: zh or en; by default the locale's
    #[arg(long, value_name = "LANG", value_parser = ["zh", "en"])]
    lang: Option<String>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Answer> {
    if args.report.is_some() && args.packages.len() > 1 {
        anyhow::bail!("a report is about one package; give one with --report");
    }
    let mut roots = Roots::load(&args.roots)?;
    for list in &args.crl {
        roots = roots.with_revoked(list)?;
    }
    for doubt in roots.doubts_of_lists(clock::now()) {
        out::word(&doubt);
    }
    let language = Language::of_locale(&args.lang.clone().unwrap_or_else(locale));
    let (mut all_valid, mut all_checked) = (true, true);
    let mut among = Among::default();
    for package in &args.packages {
        let (verdict, container) = match judge(package, &roots) {
            Ok(judged) => judged,
            Err(error) => {
                out::error(&error.into());
                all_checked = false;
                continue;
            }
        };
        all_checked &= !verdict.undecided();
        all_valid &= verdict.valid() || verdict.undecided();
        among.add(&verdict);
        let c2pa = container
            .as_ref()
            .and_then(|c| credentials(c, &verdict, &roots));
        if args.json {
            let valid = verdict.valid();
            let line = json!({ "package": package.display().to_string(), "valid": valid, "undecided": verdict.undecided(), "verdict": verdict, "c2pa": c2pa });
            out::data(&line.to_string());
        } else {
            let page = verdict.page_within(language, columns());
            out::data(&format!("{}\n{page}", package.display()));
            out::data(&tell_credentials(c2pa.as_deref(), language));
        }
        if let Some(file) = &args.report {
            write_report(
                file,
                &verdict.report(container.as_ref(), language, clock::now()),
            )?;
        }
    }
    if !args.json {
        among.tell(language).iter().for_each(|line| out::data(line));
    }
    Ok(match (all_checked, all_valid) {
        (false, _) => Answer::InPart,
        (true, true) => Answer::Yes,
        (true, false) => Answer::No,
    })
}

/// Reads the package once and judges what was read: the same bytes are then shown.
fn judge(package: &Path, roots: &Roots) -> Result<(Verdict, Option<Container>), ContainerError> {
    match Container::open(package) {
        Ok(container) => Ok((witness::verify(&container, roots), Some(container))),
        Err(error @ (ContainerError::Io { .. } | ContainerError::NoPackage(_))) => Err(error),
        Err(error) => Ok((Verdict::unreadable(&error), None)),
    }
}

fn write_report(path: &Path, html: &str) -> anyhow::Result<()> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a report that a power cut takes is made again from the package"
    )]
    std::fs::write(path, html).with_context(|| format!("cannot write {}", path.display()))?;
    out::word(&format!("The report is in {}.", path.display()));
    Ok(())
}

/// Columns of the terminal the page goes to; of paper when it goes elsewhere.
fn columns() -> usize {
    rustix::termios::tcgetwinsize(std::io::stdout()).map_or(PAGE_COLUMNS, |size| {
        usize::from(size.ws_col).clamp(*COLUMNS.start(), *COLUMNS.end())
    })
}

/// The locale of messages, as POSIX orders the variables.
pub(super) fn locale() -> String {
    ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .filter_map(std::env::var_os)
        .find(|v| !v.is_empty())
        .map(|v| v.to_string_lossy().into_owned())
        .unwrap_or_default()
}

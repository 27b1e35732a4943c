//! `lingmou review`: adds a reviewer's signed verdict to a package.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::clock;
use crate::disk;
use crate::witness::{
    self, CheckId, Container, Identity, Opinion, ReviewVerdict, Reviewed, Roots, Usage, Verdict,
};

use super::out::Hint;
use super::{Answer, out};

const EXAMPLES: &str = "\
Examples:
  lingmou review case.asice --roots roots.crt --verdict accept --reason 'stall and warning seen' \\
      --key reviewer.key --cert reviewer.crt --out case.reviewed.asice
  lingmou review packages/ID --roots roots.crt --verdict reject --reason 'wrong shop' \\
      --key reviewer.key --cert reviewer.crt

The review is added in META-INF; what the device signed is not touched. A second review is the
same command with the second person's key. A package that is not valid can only be rejected.
Exit code: 0 added, 1 not added because of what the package or the certificate is, 2 could not
be done.";

/// Add a reviewer's verdict to a package, signed with the reviewer's key
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Package directory or .asice file
    #[arg(value_name = "PACKAGE")]
    package: PathBuf,
    /// Root certificates: a PEM file, or a folder of them
    #[arg(long, value_name = "PATH")]
    roots: PathBuf,
    /// accept or reject
    #[arg(long, value_name = "VERDICT", value_parser = ["accept", "reject"])]
    verdict: String,
    /// Why, in a sentence or two; it stands in the package for good
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The reviewer's private key, PKCS#8 PEM, mode 0600
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The reviewer's certificate, OU = reviewer
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// Write the reviewed package here as an .asice file and leave PACKAGE as it is; needed when
    /// PACKAGE is a file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Answer> {
    let roots = Roots::load(&args.roots)?;
    let identity = Identity::load_from(&args.key, &args.cert, Usage::Reviewer)?;
    let now = clock::now();
    identity.check_validity(now)?;
    let package = std::fs::metadata(&args.package);
    let folder = package
        .with_context(|| format!("cannot read {}", args.package.display()))?
        .is_dir();
    if !folder && args.out.is_none() {
        return Err(Hint::error(
            format!("{} is a file", args.package.display()),
            "a file is never changed; say with --out where the reviewed package shall be written",
        ));
    }
    let container = Container::open(&args.package)?;
    let verdict = if args.verdict == "accept" {
        ReviewVerdict::Accept
    } else {
        ReviewVerdict::Reject
    };
    let before = witness::verify(&container, &roots);
    let left = left_over(&container, &before);
    if !left.is_empty() {
        out::word(&format!(
            "error: the package holds part of a review that was not written to its end; remove {} and \
             review it again",
            left.join(" and ")
        ));
        return Ok(Answer::No);
    }
    if !before.valid() && verdict == ReviewVerdict::Accept {
        out::word(&format!(
            "error: the package is not valid ({}); it can only be rejected",
            failed(&before)
        ));
        return Ok(Answer::No);
    }
    let opinion = Opinion {
        verdict,
        reason: &args.reason,
    };
    let files = witness::review(&container, opinion, &identity, now)?;
    let mut reviewed = container;
    for (name, bytes) in &files {
        reviewed.insert(name, bytes.clone())?;
    }
    let after = witness::verify(&reviewed, &roots);
    let Some(added) = holds(&before, &after) else {
        return Ok(Answer::No);
    };
    match &args.out {
        Some(path) => write(path, &reviewed.to_zip())?,
        None => add(&args.package, &files)?,
    }
    let place = args.out.as_ref().unwrap_or(&args.package);
    let review = added.review.as_ref();
    out::word(&format!(
        "{} by {} added to {} (review {} of this package).",
        args.verdict,
        review.map_or("", |r| r.reviewer.as_str()),
        place.display(),
        added.level.unwrap_or_default()
    ));
    Ok(Answer::Yes)
}

/// Files of reviews that a power cut kept from being written to their end: their manifest is written
/// last. What lacks anything else was taken apart by somebody, and is not to be removed.
fn left_over(package: &Container, before: &Verdict) -> Vec<String> {
    let there = |name: &String| package.get(name).is_some();
    let reviews = before.reviews.iter();
    let files = reviews.map(|r| witness::review_files(r.number));
    let cut = files.filter(|[.., manifest]| !there(manifest));
    cut.flatten().filter(there).collect()
}

/// The review that was added, when the verifier accepts it as one more person's.
fn holds<'a>(before: &Verdict, after: &'a Verdict) -> Option<&'a Reviewed> {
    let added = after.reviews.last()?;
    let levels = before.reviews.iter().filter_map(|r| r.level).max();
    if added.level.is_none() {
        let check = after.check(CheckId::Review);
        let why = check.map_or("", |check| check.detail.as_str());
        out::word(&format!("error: the review would not count: {why}"));
        return None;
    }
    if added.level <= levels {
        out::word("error: this person has reviewed it already; a second review needs another");
        return None;
    }
    Some(added)
}

fn failed(verdict: &Verdict) -> String {
    let failed = verdict.checks.iter().filter(|c| !c.detail.is_empty());
    let failed = failed.filter(|c| verdict.failed().any(|id| id == c.id));
    let words: Vec<&str> = failed.map(|c| c.detail.as_str()).collect();
    words.join("; ")
}

/// Writes a new file durably.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    disk::write_new(path, bytes)?;
    path.parent().map_or(Ok(()), disk::sync_dir)?;
    Ok(())
}

/// Adds the review's files to a folder durably; all of them or none.
fn add(folder: &Path, files: &[(String, Vec<u8>)]) -> anyhow::Result<()> {
    let mut written = Vec::new();
    let done = files.iter().try_for_each(|(name, bytes)| {
        let path = folder.join(name);
        written.push(path.clone());
        disk::write_new(&path, bytes)
    });
    let done = done.and_then(|()| disk::sync_dir(&folder.join("META-INF")));
    if let Err(error) = done {
        // The last may be somebody else's, who was faster: it is not ours to remove.
        if error.source.kind() == std::io::ErrorKind::AlreadyExists {
            written.pop();
        }
        for path in &written {
            disk::remove_file(path).context("a half-written review is left; remove it by hand")?;
        }
        return Err(error.into());
    }
    Ok(())
}

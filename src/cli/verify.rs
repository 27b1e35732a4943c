//! `lingmou verify`: checks packages, offline.

use std::path::PathBuf;

use serde_json::json;

use crate::witness::{self, Container, Language, Roots, credentials, tell_credentials};

use super::{Answer, out};

const EXAMPLES: &str = "\
Examples:
  lingmou verify case.asice --roots roots.crt
  lingmou verify packages/*/ --roots /etc/lingmou/keys/roots.crt --lang en
  lingmou verify case.asice --roots roots.crt --json

A package is the directory the daemon keeps or the .asice file made of it.
Exit code: 0 all valid, 1 at least one is not valid, 2 could not be checked.";

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
    /// Print the verdicts as JSON, one line per package
    #[arg(long)]
    json: bool,
    /// Language of the page: zh or en; by default the locale's
    #[arg(long, value_name = "LANG", value_parser = ["zh", "en"])]
    lang: Option<String>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Answer> {
    let roots = Roots::load(&args.roots)?;
    let language = Language::of_locale(&args.lang.clone().unwrap_or_else(locale));
    let mut all_valid = true;
    for package in &args.packages {
        let verdict = witness::verify_path(package, &roots)?;
        all_valid &= verdict.valid();
        let container = Container::open(package).ok();
        let c2pa = container.and_then(|c| credentials(&c, &verdict, &roots));
        if args.json {
            let valid = verdict.valid();
            let line =
                json!({ "package": package, "valid": valid, "verdict": verdict, "c2pa": c2pa });
            out::data(&line.to_string());
        } else {
            out::data(&format!(
                "{}\n{}",
                package.display(),
                verdict.page(language)
            ));
            out::data(&tell_credentials(c2pa.as_deref(), language));
        }
    }
    Ok(if all_valid { Answer::Yes } else { Answer::No })
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

//! `lingmou demo`: the whole way on this machine.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::daemon;
use crate::demo::{self, Footage, Show, Shown};
use crate::witness::{Condition, Grade, Grading, Language};

use super::verify::locale;
use super::{Answer, log, out, runtime};

const EXAMPLES: &str = "\
Examples:
  lingmou demo
  lingmou demo --dir /tmp/my-demo --lang en

Starts a camera (real street footage over RTSP), a vehicle (MAVLink), a broker (mosquitto with
TLS and client certificates) and a receiver on free ports of this machine, and the daemon
between them. A person who stands still stands in for a stall. After about a minute it
prints each case's story, where its pictures are, and the verifier's page. Ctrl-C ends it.
Exit code: 0 a package went the whole way and is valid, 1 none did, 2 it could not be shown.";

/// Where coded footage is kept between demonstrations, when run from a checkout.
const CACHE: &str = ".setup/demo";

/// See the whole way work: camera, case, warning, evidence, receipt, verifier
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Folder for everything it makes; by default a new one below the system's temporary folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Language of the verifier's page: zh or en; by default the locale's
    #[arg(long, value_name = "LANG", value_parser = ["zh", "en"])]
    lang: Option<String>,
}

pub(super) fn run(args: &Args, verbose: u8) -> anyhow::Result<Answer> {
    log::start_quiet(verbose);
    let dir = match &args.dir {
        Some(dir) => std::path::absolute(dir).context("the folder's name")?,
        None => std::env::temp_dir().join(format!("lingmou-demo-{}", std::process::id())),
    };
    let cache = PathBuf::from(CACHE);
    let cache = if cache.parent().is_some_and(std::path::Path::is_dir) {
        cache
    } else {
        dir.clone()
    };
    let footage = Footage::street(&cache, &|text| out::word(text))?;
    let show = runtime()?.block_on(async {
        let stop = daemon::stop_on_signals()?;
        demo::run(&dir, &footage, |text| out::word(&format!("  {text}")), stop).await
    })?;
    let language = Language::of_locale(&args.lang.clone().unwrap_or_else(locale));
    for shown in &show.shown {
        out::told(&story(shown));
        out::told(&shown.verdict.page(language));
    }
    out::told(&farewell(&show));
    let good = !show.shown.is_empty() && show.shown.iter().all(|s| s.verdict.valid());
    Ok(if good { Answer::Yes } else { Answer::No })
}

/// One case as a person would tell it.
fn story(shown: &Shown) -> String {
    let s = &shown.statement;
    let mut text = format!("\nCase {}\n", shown.id);
    let mut line = |words: String| {
        writeln!(text, "  {words}").expect("invariant: a String takes everything");
    };
    if let Some(violation) = &s.violation {
        let (at, kind) = (&violation.first_seen, violation.kind.name());
        line(format!("{at}  first seen: {kind}"));
    }
    for w in &s.warning {
        let heard = w
            .failure
            .as_ref()
            .map_or("played to its end".to_owned(), Clone::clone);
        line(format!("{}  warned: {heard}, {} ms", w.at, w.played_ms));
    }
    if let Some(violation) = &s.violation {
        let (at, outcome) = (&violation.confirmed, violation.outcome.name());
        line(format!("{at}  looked again: {outcome}"));
    }
    if let Some(p) = &s.position {
        let (lat, lon) = (f64::from(p.lat_e7) / 1e7, f64::from(p.lon_e7) / 1e7);
        line(format!(
            "at {lat:.6}, {lon:.6} (WGS-84), measured {} ms apart",
            p.age_ms
        ));
    }
    for o in &s.omitted {
        line(format!("missing: {} ({})", o.what, o.why));
    }
    if let Some(grading) = &s.grade {
        line(worth(grading));
    }
    line(format!("package   {}", shown.package.display()));
    for file in s.files.iter().filter(|f| f.media_type == "image/jpeg") {
        line(format!(
            "picture   {}",
            shown.package.join(&file.name).display()
        ));
    }
    line(format!("receiver  {}", shown.received.display()));
    text
}

/// The grade, and for a lead everything that stands against it.
fn worth(grading: &Grading) -> String {
    if grading.grade == Grade::Evidence {
        return "grade: evidence, every condition is met".to_owned();
    }
    let reason = |c: &Condition| {
        let found = c.value.as_deref().unwrap_or("not known");
        format!("{} {found}, wanted {}", c.id, c.limit)
    };
    let reasons: Vec<String> = grading.against().map(reason).collect();
    format!("grade: a lead, not evidence: {}", reasons.join("; "))
}

fn farewell(show: &Show) -> String {
    let dir = show.dir.display();
    let Some(first) = show.shown.first() else {
        let why = if show.stopped {
            "It was stopped."
        } else {
            "Nobody stood still long enough."
        };
        return format!("No package was made. {why} Everything is in {dir}; -v says more.");
    };
    let steps = next_steps(&first.package, &show.roots);
    format!("Try next:\n{steps}Everything is in {dir}; remove it when you have seen enough.")
}

/// What to do with the package, as it can be pasted: after `make demo` no shell knows the program by
/// its name.
fn next_steps(package: &Path, roots: &Path) -> String {
    let program = std::env::current_exe().unwrap_or_else(|_e| PathBuf::from("lingmou"));
    let [program, package, roots] = [program.as_path(), package, roots].map(pasted);
    format!(
        "\x20 {program} verify {package} --roots {roots} --lang en\n\
         \x20 openssl cms -verify -binary -inform DER -in {package}/META-INF/signature001.p7s \\\n\
         \x20   -content {package}/META-INF/ASiCManifest001.xml -CAfile {roots} \\\n\
         \x20   -no-CApath -no-CAstore -purpose any -out /dev/null\n\
         \x20 exiftool {package}/frames/*.jpg\n\
         \x20 ffplay {package}/clip.mp4\n\
         \x20 change one byte of a picture and verify again\n"
    )
}

/// A path as a shell takes it.
fn pasted(path: &Path) -> String {
    let path = path.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@".contains(c);
    if path.chars().all(plain) {
        return path.into_owned();
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_try_next_can_be_pasted() {
        let steps = next_steps(Path::new("/tmp/a b/case"), Path::new("/o'c/root.crt"));
        let program = std::env::current_exe().unwrap();
        let first = format!(
            "  {} verify '/tmp/a b/case' --roots '/o'\\''c/root.crt' --lang en\n",
            pasted(&program)
        );
        assert!(steps.starts_with(&first), "{steps}");
        assert!(
            steps.contains("exiftool '/tmp/a b/case'/frames/*.jpg"),
            "{steps}"
        );
        let plain = Path::new("/opt/lingmou-0.1/lingmou");
        assert_eq!(pasted(plain), plain.to_string_lossy());
    }
}

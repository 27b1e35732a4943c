//! The log: to journald when systemd started us, else to standard error.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::os::fd::AsFd;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts the log. `verbose` is the number of `-v`.
pub(super) fn start(verbose: u8) {
    begin(verbose, "info");
}

/// Starts the log of a command that tells its own progress: warnings only, unless asked.
pub(super) fn start_quiet(verbose: u8) {
    begin(verbose, "warn");
}

/// Starts the log of a command whose findings say what is wrong: errors only, unless asked.
pub(super) fn start_for_findings(verbose: u8) {
    begin(verbose, "error");
}

fn begin(verbose: u8, least: &str) {
    let ours = match verbose {
        0 => least,
        1 => "debug",
        _ => "trace",
    };
    // Libraries only at debug level when asked twice: rumqttc and zbus are talkative.
    let others = match verbose {
        0 if least == "error" => least,
        0 | 1 => "warn",
        _ => "debug",
    };
    let filter = EnvFilter::new(format!("{others},lingmou={ours}"));
    let registry = tracing_subscriber::registry().with(filter);
    let journald = under_systemd()
        .then(|| tracing_journald::layer().ok())
        .flatten();
    if let Some(layer) = journald {
        registry.with(layer).init();
    } else {
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(coloured(std::io::stderr().is_terminal(), std::env::var_os))
            .with_target(false);
        registry.with(layer).init();
    }
}

/// Whether lines have colours: on a terminal that shows them, unless asked not to
/// (<https://no-color.org>).
fn coloured(terminal: bool, set: impl Fn(&'static str) -> Option<OsString>) -> bool {
    let no_colour = set("NO_COLOR").is_some_and(|value| !value.is_empty());
    terminal && !no_colour && set("TERM").is_none_or(|term| term != "dumb")
}

/// Whether standard error is journald's. The variable is inherited by whatever a unit or a desktop's
/// terminal starts, so the stream it names counts, as systemd.exec(5) has it.
fn under_systemd() -> bool {
    let stream = std::env::var_os("JOURNAL_STREAM");
    stream.is_some_and(|stream| is_stream(&stream, std::io::stderr()))
}

/// Whether `file` is the one that `stream` names: `DEVICE:INODE`, both decimal.
fn is_stream(stream: &OsStr, file: impl AsFd) -> bool {
    let file = rustix::fs::fstat(file);
    file.is_ok_and(|file| stream == OsStr::new(&format!("{}:{}", file.st_dev, file.st_ino)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inherited_stream_is_not_this_one() {
        let [ours, other] = [(); 2].map(|()| tempfile::tempfile().unwrap());
        let id = |file| {
            let file = rustix::fs::fstat(file).unwrap();
            format!("{}:{}", file.st_dev, file.st_ino)
        };
        assert!(is_stream(id(&ours).as_ref(), &ours));
        for stream in [id(&other).as_str(), "", "1:1", "9"] {
            assert!(!is_stream(stream.as_ref(), &ours), "{stream}");
        }
    }

    #[test]
    fn colours_are_for_terminals_whose_owner_wants_them() {
        for (terminal, no_color, term, wanted) in [
            (true, None, Some("xterm"), true),
            (true, None, None, true),
            (true, Some(""), Some("xterm"), true),
            (true, Some("1"), Some("xterm"), false),
            (true, None, Some("dumb"), false),
            (false, None, Some("xterm"), false),
        ] {
            let set = |name| match name {
                "NO_COLOR" => no_color.map(OsString::from),
                _ => term.map(OsString::from),
            };
            let found = coloured(terminal, set);
            assert_eq!(found, wanted, "{terminal} {no_color:?} {term:?}");
        }
    }
}

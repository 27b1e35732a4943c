//! The one place that writes to standard output and standard error.

use std::io::Write;

/// Exit code of a program whose reader went away, as shells give it to one killed by SIGPIPE.
const READER_GONE: i32 = 141;

/// Writes data to standard output, which is what the command was called for: when it cannot be
/// written the program ends. A reader that went away (`| head`) is no error worth words.
#[expect(clippy::exit, reason = "what cannot be told must not look like done")]
pub(super) fn data(text: &str) {
    let Err(error) = put(&mut std::io::stdout().lock(), text) else {
        return;
    };
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        std::process::exit(READER_GONE);
    }
    word(&format!("error: the output cannot be written: {error}"));
    std::process::exit(2);
}

/// Writes what a service or a show tells as it goes on, to standard output: it works on when
/// nobody reads.
pub(super) fn told(text: &str) {
    lossy(&mut std::io::stdout().lock(), text);
}

/// Writes a word about the work to standard error.
pub(super) fn word(text: &str) {
    lossy(&mut std::io::stderr().lock(), text);
}

/// Says an error once, with its causes and, where the text has one, a hint.
pub(super) fn error(error: &anyhow::Error) {
    let mut lines = vec![format!("error: {error}")];
    let mut said = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // A library that repeats its source in its own message needs no second line.
        if !said.contains(&cause) {
            lines.push(format!("caused by: {cause}"));
        }
        said = cause;
    }
    if let Some(hint) = error.downcast_ref::<Hint>() {
        lines.push(format!("hint: {}", hint.hint));
    }
    word(&lines.join("\n"));
}

fn lossy(to: &mut dyn Write, text: &str) {
    if put(to, text).is_err() {
        tracing::debug!("nobody reads the output");
    }
}

fn put(to: &mut dyn Write, text: &str) -> std::io::Result<()> {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    to.write_all(format!("{text}{end}").as_bytes())?;
    to.flush()
}

/// An error with a word on what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(super) struct Hint {
    pub(super) what: String,
    pub(super) hint: String,
}

impl Hint {
    /// An error of this tool with its hint.
    pub(super) fn error(what: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self {
            what: what.into(),
            hint: hint.into(),
        })
    }
}

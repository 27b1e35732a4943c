//! The one place that writes to standard output and standard error.

use std::io::Write;

/// Writes data to standard output. A reader that went away (`| head`) ends the program quietly
/// at the next write of the caller; that is not an error worth words.
pub(super) fn data(text: &str) {
    put(&mut std::io::stdout().lock(), text);
}

/// Writes a word about the work to standard error.
pub(super) fn word(text: &str) {
    put(&mut std::io::stderr().lock(), text);
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
    put(&mut std::io::stderr().lock(), &lines.join("\n"));
}

fn put(to: &mut dyn Write, text: &str) {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    if to.write_all(format!("{text}{end}").as_bytes()).is_err() {
        tracing::debug!("nobody reads the output");
    }
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

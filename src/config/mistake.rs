//! What is wrong in a file, told so that a technician can mend it without a manual.

use std::fmt;
use std::path::{Path, PathBuf};

use super::source::Source;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file it is in.
    pub file: PathBuf,
    /// The line, counted from 1; 0 when it concerns the file as a whole.
    pub line: usize,
    /// The key, e.g. `camera[0].url`; empty when no key is to blame.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What to do.
    pub fix: String,
    /// Nothing is wrong in the text: a file or folder it names is not on this machine.
    pub absent: bool,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}:", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        write!(f, " {}", self.what)?;
        write!(
            f,
            "\n    expected: {}\n    fix: {}",
            self.expected, self.fix
        )
    }
}

/// Every mistake found, in the order of files and lines. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    /// The configuration file that was read.
    pub path: PathBuf,
    /// The mistakes.
    pub list: Vec<Mistake>,
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in &self.list {
            writeln!(f, "{mistake}")?;
        }
        let count = self.list.len();
        let s = if count == 1 { "" } else { "s" };
        write!(f, "{count} mistake{s} in {}", self.path.display())
    }
}

impl std::error::Error for Mistakes {}

/// Gathers mistakes of one file.
pub(super) struct Finder<'a> {
    /// The file.
    pub(super) file: &'a Path,
    /// Found so far.
    pub(super) list: Vec<Mistake>,
    /// Keys already known to be wrong: what follows from them is not said again.
    pub(super) spoilt: Vec<String>,
    /// Line and name of statements that are not TOML.
    pub(super) broken: Vec<(usize, String)>,
}

impl<'a> Finder<'a> {
    pub(super) fn new(file: &'a Path) -> Self {
        Self {
            file,
            list: Vec::new(),
            spoilt: Vec::new(),
            broken: Vec::new(),
        }
    }

    /// Notes a mistake at `line`: `[what, expected, fix]`.
    pub(super) fn note(&mut self, line: usize, key: &str, [what, expected, fix]: [String; 3]) {
        self.list.push(Mistake {
            file: self.file.to_owned(),
            line,
            key: key.to_owned(),
            what,
            expected,
            fix,
            absent: false,
        });
    }

    /// Whether `key` or the table it is in is known to be wrong.
    pub(super) fn is_spoilt(&self, key: &str) -> bool {
        self.spoilt.iter().any(|bad| is_within(key, bad))
    }

    /// Every key that is wrong, by the mistakes that `count` and by what is no TOML. A statement that
    /// shows no key spoils its whole table.
    pub(super) fn spoilt_keys(
        &self,
        source: &Source,
        count: impl Fn(&Mistake) -> bool,
    ) -> Vec<String> {
        let noted = self.list.iter().filter(|m| !m.key.is_empty() && count(m));
        let noted = noted.map(|m| m.key.clone()).chain(self.spoilt.clone());
        let broken = self.broken.iter().map(|(line, statement)| {
            let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
            let table = source.table_at(*line);
            if let Some(header) = statement.strip_prefix('[') {
                let header = header.trim_start_matches(['[', ' ']);
                header
                    .split(|c| !letter(c))
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            } else if table.is_empty() {
                statement.clone()
            } else if statement.chars().all(letter) {
                format!("{table}.{statement}")
            } else {
                table.to_owned()
            }
        });
        noted.chain(broken).collect()
    }
}

/// Whether `key` is `outer`, or stands in that table or list.
pub(super) fn is_within(key: &str, outer: &str) -> bool {
    key.strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The candidate that was probably meant by `word`.
pub(super) fn meant<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    /// A longer way than a third of the word is another word.
    const LETTERS_PER_SLIP: usize = 3;
    let word = word.to_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .map(|c| {
            let shares_start = word.len() > 2 && (c.starts_with(&word) || word.starts_with(c));
            // Two letters swapped are one slip.
            let slips = if shares_start {
                1
            } else {
                strsim::osa_distance(&word, c)
            };
            (slips, c)
        })
        .min_by_key(|(slips, _)| *slips)
        .filter(|(slips, c)| {
            let letters = word.chars().count().max(c.chars().count());
            *slips <= letters.div_ceil(LETTERS_PER_SLIP)
        })
        .map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_are_recognised() {
        let keys = ["url", "user", "password_file", "detect_rate", "stall_secs"];
        for (typed, wanted) in [
            ("detect_rte", Some("detect_rate")),
            ("Detect-Rate", Some("detect_rate")),
            ("password", Some("password_file")),
            ("usr", Some("user")),
            ("user_name", Some("user")),
            ("stall_sec", Some("stall_secs")),
            ("colour", None),
        ] {
            assert_eq!(meant(typed, keys), wanted, "{typed}");
        }
        assert_eq!(meant("sotre", ["site", "store"]), Some("store"));
        assert_eq!(meant("路口", ["车站"]), None);
    }

    #[test]
    fn what_follows_from_a_wrong_key_is_not_said_again() {
        let mut finder = Finder::new(Path::new("x"));
        finder.spoilt.push("camera[1].name".to_owned());
        finder.spoilt.push("zone[0]".to_owned());
        for (key, spoilt) in [
            ("camera[1].name", true),
            ("camera[1].names", false),
            ("camera[11].name", false),
            ("zone[0].polygon", true),
            ("zone", false),
        ] {
            assert_eq!(finder.is_spoilt(key), spoilt, "{key}");
        }
    }
}

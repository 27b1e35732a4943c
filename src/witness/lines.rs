//! `META-INF/chain.jsonl`: the device's journal from a package's own line to the line that the
//! receiver has signed.
//!
//! The lines are the journal's, byte for byte: each carries its number and the SHA-256 of the
//! line before it. So whoever holds the receipt can see that nothing was put in or taken out
//! between the sealing and the receipt. What the lines say is not looked at, but for the one
//! that names the package.

use serde::Deserialize;
use serde_json::Value;

use super::facts::JournalPoint;
use super::finding::Finding;
use super::receipt::JournalCopy;
use super::sha256_hex;
use super::verdict::{Check, CheckId};

/// Largest `chain.jsonl` that is read, bytes: some thirty thousand lines. A store puts in far less
/// (`store::additions`).
const CHAIN_MAX: usize = 8 << 20;
/// Kind of the line that says a package was sealed, when it is the line its statement names.
const SEALED: &str = "package.sealed";
/// Kind of that line when a crash came between: then it stands further on.
const ADOPTED: &str = "package.adopted";

/// Why journal lines do not prove what they should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinesError {
    /// There are more than 8 MiB.
    #[error("it is longer than 8 MiB")]
    TooLong,
    /// Something is not a journal line, or the last one has no newline.
    #[error("it holds something that is not a journal line")]
    Form,
    /// A line does not follow the one before.
    #[error("a line does not follow the one before it")]
    Broken,
    /// It does not begin where the statement says.
    #[error("it does not begin at the line that the statement names")]
    Elsewhere,
    /// No line names the package.
    #[error("no line in it names this package")]
    Unnamed,
    /// It does not end at the line the receiver has signed.
    #[error("it does not end at the line that the receiver has signed")]
    OtherHead,
}

/// A journal line as it stands in the file (`docs/EVIDENCE.md`, the journal).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalLine {
    /// Its number.
    pub n: u64,
    /// UTC as written, RFC 3339.
    pub at: String,
    /// What happened.
    pub kind: String,
    /// SHA-256 of the line before, lower-case hex.
    pub prev: String,
    /// The particulars.
    pub body: Value,
}

/// Journal lines that follow one another.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalLines {
    lines: Vec<JournalLine>,
    head: JournalCopy,
}

impl JournalLines {
    /// Reads the bytes of `chain.jsonl`: at least one line, each ended by a newline, each
    /// following the one before it.
    pub fn parse(bytes: &[u8]) -> Result<Self, LinesError> {
        let mut lines = Vec::new();
        let head = follow(bytes, |line| lines.push(line))?;
        Ok(Self { lines, head })
    }

    /// [`JournalLines::parse`] and [`JournalLines::check`] in one, which holds a line at a time: a
    /// thousand lines that were read take several times the room of their bytes.
    ///
    /// # Errors
    /// As there.
    pub fn prove(
        bytes: &[u8],
        point: &JournalPoint,
        sig_sha256: &str,
        head: &JournalCopy,
    ) -> Result<(), LinesError> {
        let mut way = Way::default();
        let last = follow(bytes, |line| way.pass(&line, point, sig_sha256))?;
        way.end(&last, head)
    }

    /// The lines, oldest first.
    pub fn lines(&self) -> &[JournalLine] {
        &self.lines
    }

    /// Number and hash of the last line.
    pub fn head(&self) -> &JournalCopy {
        &self.head
    }

    /// Checks that the lines lead from the place the statement names (`point`) over the line
    /// about the package with the signature `sig_sha256` to `head`.
    pub fn check(
        &self,
        point: &JournalPoint,
        sig_sha256: &str,
        head: &JournalCopy,
    ) -> Result<(), LinesError> {
        let mut way = Way::default();
        for line in &self.lines {
            way.pass(line, point, sig_sha256);
        }
        way.end(&self.head, head)
    }
}

/// Reads lines that follow one another and shows each; gives number and hash of the last.
fn follow(bytes: &[u8], mut show: impl FnMut(JournalLine)) -> Result<JournalCopy, LinesError> {
    if bytes.len() > CHAIN_MAX {
        return Err(LinesError::TooLong);
    }
    let mut head: Option<JournalCopy> = None;
    for whole in bytes.split_inclusive(|&b| b == b'\n') {
        let text = whole.strip_suffix(b"\n").ok_or(LinesError::Form)?;
        let line: JournalLine = serde_json::from_slice(text).map_err(|_other| LinesError::Form)?;
        let follows = head
            .as_ref()
            .is_none_or(|head| line.n.checked_sub(1) == Some(head.n) && line.prev == head.hash);
        if !follows {
            return Err(LinesError::Broken);
        }
        head = Some(JournalCopy {
            n: line.n,
            hash: sha256_hex(text),
        });
        show(line);
    }
    head.ok_or(LinesError::Form)
}

/// What lines have shown so far of the way from a package to a signed head.
#[derive(Default)]
struct Way {
    /// Whether the first of them is the one that the statement names; `None` before it.
    begun: Option<bool>,
    /// Whether one of them names the package.
    named: bool,
}

impl Way {
    /// The next line.
    fn pass(&mut self, line: &JournalLine, point: &JournalPoint, sig_sha256: &str) {
        self.begun
            .get_or_insert_with(|| line.n == point.n && line.prev == point.prev);
        let kind = line.kind.as_str();
        let placed = (kind == SEALED && line.n == point.n) || kind == ADOPTED;
        self.named |=
            placed && line.body.get("sig_sha256").and_then(Value::as_str) == Some(sig_sha256);
    }

    /// The last line was `last`; it should be `head`.
    fn end(&self, last: &JournalCopy, head: &JournalCopy) -> Result<(), LinesError> {
        if self.begun != Some(true) {
            return Err(LinesError::Elsewhere);
        }
        if !self.named {
            return Err(LinesError::Unnamed);
        }
        if last != head {
            return Err(LinesError::OtherHead);
        }
        Ok(())
    }
}

/// The check of a package's journal lines: the statement names the line before them (`point`), the
/// receipt the last of them (`head`). Without a head they prove nothing, but must still be this
/// package's.
pub(super) fn judge(
    lines: Option<&Result<JournalLines, LinesError>>,
    point: &JournalPoint,
    sig_sha256: &str,
    head: Option<&JournalCopy>,
) -> Check {
    let unknown = |finding| Check::unknown(CheckId::Journal, vec![finding]);
    let proof = match (lines, head) {
        (None, _) => return unknown(Finding::NoJournalLines),
        (Some(Err(error)), _) => Err(*error),
        (Some(Ok(lines)), None) => match lines.check(point, sig_sha256, lines.head()) {
            Ok(()) => return unknown(Finding::JournalHeadUnknown),
            error => error,
        },
        (Some(Ok(lines)), Some(head)) => lines.check(point, sig_sha256, head),
    };
    match proof {
        Ok(()) => Check::pass(CheckId::Journal),
        Err(error) => Check::fail(CheckId::Journal, vec![error.into()]),
    }
}

#[cfg(test)]
mod tests {
    use super::LinesError as E;
    use super::*;

    const SIG: &str = "5151515151515151515151515151515151515151515151515151515151515151";

    /// A line that follows `prev`.
    fn line(n: u64, kind: &str, prev: &str) -> String {
        format!(
            "{{\"n\":{n},\"at\":\"2026-08-01T02:03:04.567Z\",\"kind\":\"{kind}\",\
             \"prev\":\"{prev}\",\"body\":{{\"sig_sha256\":\"{SIG}\"}}}}"
        )
    }

    /// Lines of these kinds from number 5 on, and the hash of each.
    fn journal(kinds: &[&str]) -> (Vec<u8>, Vec<String>) {
        let mut bytes = Vec::new();
        let mut prev = "0".repeat(64);
        let mut hashes = Vec::new();
        for (n, kind) in (5..).zip(kinds) {
            let text = line(n, kind, &prev);
            prev = sha256_hex(text.as_bytes());
            hashes.push(prev.clone());
            bytes.extend(text.as_bytes());
            bytes.push(b'\n');
        }
        (bytes, hashes)
    }

    fn check(kinds: &[&str], point: u64, sig: &str, cut: usize) -> Result<(), LinesError> {
        let (bytes, hashes) = journal(kinds);
        let lines = JournalLines::parse(&bytes)?;
        let point = JournalPoint {
            n: point,
            prev: "0".repeat(64),
        };
        let head = JournalCopy {
            n: 4 + hashes.len() as u64 - cut as u64,
            hash: hashes[hashes.len() - 1 - cut].clone(),
        };
        let checked = lines.check(&point, sig, &head);
        let proved = JournalLines::prove(&bytes, &point, sig, &head);
        assert_eq!(checked, proved, "a line at a time or all of them");
        checked
    }

    #[test]
    fn lines_prove_the_package_they_name_up_to_the_signed_head() {
        /// Kinds of the lines, number and signature stated, lines behind the receipt's head.
        type Row<'a> = (&'a [&'a str], u64, &'a str, usize, Result<(), E>);
        let other = "1".repeat(64);
        let table: [Row<'_>; 8] = [
            (&[SEALED], 5, SIG, 0, Ok(())),
            (&[SEALED, "clock", "shutdown"], 5, SIG, 0, Ok(())),
            (&["boot", ADOPTED], 5, SIG, 0, Ok(())),
            (&["boot", SEALED], 5, SIG, 0, Err(E::Unnamed)),
            (&["boot", "clock"], 5, SIG, 0, Err(E::Unnamed)),
            (&[SEALED], 5, &other, 0, Err(E::Unnamed)),
            (&[SEALED], 6, SIG, 0, Err(E::Elsewhere)),
            (&[SEALED, "clock"], 5, SIG, 1, Err(E::OtherHead)),
        ];
        for (kinds, point, sig, cut, expected) in table {
            assert_eq!(check(kinds, point, sig, cut), expected, "{kinds:?} {point}");
        }
    }

    #[test]
    fn what_does_not_follow_is_not_read() {
        let (bytes, _) = journal(&[SEALED, "clock", "boot"]);
        let text = String::from_utf8(bytes.clone()).expect("JSON");
        let lines: Vec<&str> = text.lines().collect();
        let joined = |lines: &[&str]| format!("{}\n", lines.join("\n")).into_bytes();
        let changed = text.replacen("clock", "clack", 1).into_bytes();
        for (what, bytes, expected) in [
            ("nothing", Vec::new(), E::Form),
            ("no newline", bytes[..bytes.len() - 1].to_vec(), E::Form),
            ("a line left out", joined(&[lines[0], lines[2]]), E::Broken),
            (
                "two lines swapped",
                joined(&[lines[1], lines[0]]),
                E::Broken,
            ),
            ("a word changed", changed, E::Broken),
            ("an empty line", b"\n".to_vec(), E::Form),
            ("too long", vec![b'\n'; CHAIN_MAX + 1], E::TooLong),
        ] {
            assert_eq!(JournalLines::parse(&bytes), Err(expected), "{what}");
        }
        assert_eq!(JournalLines::parse(&bytes).map(|l| l.lines().len()), Ok(3));
    }
}

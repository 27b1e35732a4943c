//! One line of the journal: built and read, without touching the disk.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock;
use crate::types::Stamp;
use crate::witness::sha256_hex;

/// Longest line with its newline, bytes: far above anything written, small enough to hold.
pub(super) const LINE_MAX: usize = 64 * 1024;

/// Integers above are not exact in every JSON reader (I-JSON, RFC 7493 section 2.2).
const N_MAX: u64 = 1 << 53;

/// The last line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its number; 0 when there is none yet.
    pub n: u64,
    /// SHA-256 of its bytes without the newline, lower-case hex; 64 zeros when there is none.
    pub sha256: String,
}

impl Head {
    /// The head of a journal without lines.
    pub fn none() -> Self {
        Self {
            n: 0,
            sha256: "0".repeat(64),
        }
    }
}

/// A line as it stands in the file; the order of the fields is the order in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    /// Number, from 1.
    pub(super) n: u64,
    /// UTC, RFC 3339 with milliseconds.
    pub(super) at: String,
    /// What happened.
    pub(super) kind: String,
    /// SHA-256 of the line before, lower-case hex.
    pub(super) prev: String,
    /// The particulars.
    pub(super) body: Value,
}

/// Builds the line that follows `head`: its bytes with the newline, and the new head.
/// `None` when it would be longer than [`LINE_MAX`].
pub(super) fn build(head: &Head, at: Stamp, kind: &str, body: Value) -> Option<(Vec<u8>, Head)> {
    let line = Line {
        n: head.n + 1,
        at: clock::rfc3339_ms(at.utc_ns),
        kind: kind.to_owned(),
        prev: head.sha256.clone(),
        body,
    };
    let mut bytes = serde_json::to_vec(&line).expect("invariant: a JSON value serialises");
    if bytes.len() >= LINE_MAX {
        return None;
    }
    let sha256 = sha256_hex(&bytes);
    bytes.push(b'\n');
    Some((bytes, Head { n: line.n, sha256 }))
}

/// Reads one line (without its newline); `None` when it is not one.
pub(super) fn parse(bytes: &[u8]) -> Option<Line> {
    let line: Line = serde_json::from_slice(bytes).ok()?;
    (line.n > 0 && line.n < N_MAX).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Stamp = Stamp {
        utc_ns: 1_785_549_784_567_000_000,
        boot_ns: 1,
        error_ns: 0,
    };

    #[test]
    fn a_line_is_what_the_format_says() {
        let (bytes, head) = build(
            &Head::none(),
            AT,
            "boot",
            serde_json::json!({"a": "字", "b": 1}),
        )
        .unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(
            text,
            format!(
                "{{\"n\":1,\"at\":\"2026-08-01T02:03:04.567Z\",\"kind\":\"boot\",\"prev\":\"{}\",\
                 \"body\":{{\"a\":\"字\",\"b\":1}}}}\n",
                "0".repeat(64)
            )
        );
        assert_eq!(head.n, 1);
        assert_eq!(head.sha256, sha256_hex(text.trim_end().as_bytes()));
        assert_eq!(parse(text.trim_end().as_bytes()).unwrap().n, 1);
    }

    #[test]
    fn a_newline_in_the_body_stays_inside_the_line() {
        let (bytes, _) = build(&Head::none(), AT, "x", serde_json::json!({"why": "a\nb"})).unwrap();
        assert_eq!(bytes.split(|&b| b == b'\n').count(), 2);
    }

    #[test]
    fn what_is_not_a_line_is_refused() {
        for text in [
            "",
            "{",
            "\0\0\0",
            "[]",
            r#"{"n":1}"#,
            r#"{"n":0,"at":"","kind":"","prev":"","body":{}}"#,
            r#"{"n":9007199254740992,"at":"","kind":"","prev":"","body":{}}"#,
            r#"{"n":1,"at":"","kind":"","prev":"","body":{},"more":1}"#,
        ] {
            assert!(parse(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn a_line_too_long_is_refused() {
        let body = serde_json::json!({"why": "x".repeat(LINE_MAX)});
        assert!(build(&Head::none(), AT, "x", body).is_none());
    }
}

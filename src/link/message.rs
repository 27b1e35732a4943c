//! Topics and messages of the upload protocol, version `ev1`, as both ends speak it.
//!
//! | topic | direction | payload |
//! |---|---|---|
//! | `ev1/{dev}/state` | up, retained, will | [`Presence`] |
//! | `ev1/{dev}/n` | up | head: zip of mimetype, evidence.json, META-INF |
//! | `ev1/{dev}/c/{sink}/{sha256}/{offset}` | up | bytes of a blob |
//! | `ev1/{dev}/f/{sink}` | up | [`Finished`] |
//! | `ev1/{dev}/j` | up | CMS over a checkpoint of the journal |
//! | `ev1/{dev}/ts` | up | RFC 3161 query, DER |
//! | `ev1/{dev}/r` | up | CMS over the answer to a command or verdict |
//! | `ev1/{dev}/d/want` | down | [`Want`] |
//! | `ev1/{dev}/d/receipt` | down | CMS over a receipt |
//! | `ev1/{dev}/d/tst` | down | RFC 3161 answer, DER |
//! | `ev1/{dev}/d/cmd` | down | CMS over a command |
//! | `ev1/{dev}/d/verdict` | down | CMS over a reviewer's verdict |

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest device id or receiver name.
const NAME_MAX: usize = 64;
/// First level of every topic: the protocol and its version.
const ROOT: &str = "ev1";

/// Whether `name` can stand in a topic and in a path: `[A-Za-z0-9-]`, 1 to 64.
pub fn is_name(name: &str) -> bool {
    (1..=NAME_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Whether `text` is a SHA-256 as written everywhere here: 64 lower-case hex digits.
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// What a topic is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The device's state.
    State,
    /// The head of a package.
    Head,
    /// Bytes of a blob.
    Chunk {
        /// Receiver it is for.
        sink: String,
        /// The blob, by its hash.
        sha256: String,
        /// First byte.
        offset: u64,
    },
    /// All sent; what is missing?
    Finished {
        /// Receiver it is for.
        sink: String,
    },
    /// A signed checkpoint of the journal.
    Journal,
    /// What a receiver still wants.
    Want,
    /// A signed receipt.
    Receipt,
    /// A query for a time-stamp.
    StampQuery,
    /// The answer to one.
    Stamp,
    /// A signed command.
    Command,
    /// A reviewer's signed verdict.
    Verdict,
    /// The signed answer to one of the two.
    Result,
}

/// A topic: which device, and what about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// The device id.
    pub device: String,
    /// What about it.
    pub subject: Subject,
}

impl Topic {
    /// The topic of `subject` for `device`.
    pub fn new(device: &str, subject: Subject) -> Self {
        Self {
            device: device.to_owned(),
            subject,
        }
    }

    /// What a device subscribes: everything sent down to it.
    pub fn all_down(device: &str) -> String {
        format!("{ROOT}/{device}/d/#")
    }

    /// What receivers subscribe, in this order: the pieces meant for `sink` alone, states,
    /// checkpoints, queries for time-stamps, and last the heads that make devices send pieces
    /// (these two shared, each goes to one of the receivers).
    pub fn for_receiver(sink: &str) -> [String; 6] {
        [
            format!("{ROOT}/+/c/{sink}/#"),
            format!("{ROOT}/+/f/{sink}"),
            format!("{ROOT}/+/state"),
            format!("{ROOT}/+/j"),
            format!("$share/rx/{ROOT}/+/ts"),
            format!("$share/rx/{ROOT}/+/n"),
        ]
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ROOT}/{}/", self.device)?;
        match &self.subject {
            Subject::State => f.write_str("state"),
            Subject::Head => f.write_str("n"),
            Subject::Chunk {
                sink,
                sha256,
                offset,
            } => write!(f, "c/{sink}/{sha256}/{offset}"),
            Subject::Finished { sink } => write!(f, "f/{sink}"),
            Subject::Journal => f.write_str("j"),
            Subject::Want => f.write_str("d/want"),
            Subject::Receipt => f.write_str("d/receipt"),
            Subject::StampQuery => f.write_str("ts"),
            Subject::Stamp => f.write_str("d/tst"),
            Subject::Command => f.write_str("d/cmd"),
            Subject::Verdict => f.write_str("d/verdict"),
            Subject::Result => f.write_str("r"),
        }
    }
}

/// A topic that is not ours or is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a topic of the upload protocol")]
pub struct NotOurs;

impl FromStr for Topic {
    type Err = NotOurs;

    fn from_str(text: &str) -> Result<Self, NotOurs> {
        let levels: Vec<&str> = text.splitn(7, '/').collect();
        let [ROOT, device, rest @ ..] = levels.as_slice() else {
            return Err(NotOurs);
        };
        let subject = match rest {
            ["state"] => Subject::State,
            ["n"] => Subject::Head,
            ["c", sink, sha256, offset] if is_name(sink) && is_sha256(sha256) => Subject::Chunk {
                sink: (*sink).to_owned(),
                sha256: (*sha256).to_owned(),
                offset: decimal(offset).ok_or(NotOurs)?,
            },
            ["f", sink] if is_name(sink) => Subject::Finished {
                sink: (*sink).to_owned(),
            },
            ["j"] => Subject::Journal,
            ["d", "want"] => Subject::Want,
            ["d", "receipt"] => Subject::Receipt,
            ["ts"] => Subject::StampQuery,
            ["d", "tst"] => Subject::Stamp,
            ["d", "cmd"] => Subject::Command,
            ["d", "verdict"] => Subject::Verdict,
            ["r"] => Subject::Result,
            _ => return Err(NotOurs),
        };
        if !is_name(device) {
            return Err(NotOurs);
        }
        Ok(Self::new(device, subject))
    }
}

/// Plain decimal digits only: one spelling for one number.
fn decimal(text: &str) -> Option<u64> {
    let plain = text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
    plain.then(|| text.parse().ok()).flatten()
}

/// A range of bytes of a blob: its hash, first byte, byte after the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range(
    /// SHA-256 of the blob, lower-case hex.
    pub String,
    /// First byte.
    pub u64,
    /// The byte after the last.
    pub u64,
);

/// `d/want`: what `sink` lacks of package `id`. Unsigned: it can only make the device send its
/// own data to its own topic again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// The package.
    pub id: String,
    /// The receiver that asks.
    pub sink: String,
    /// What it asks for now; it may ask for more later.
    pub missing: Vec<Range>,
    /// Largest piece it wants, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_chunk: Option<u64>,
    /// Somebody asks for the video: it is sent over a metered link too. May come at any time, for
    /// a package the device no longer has in hand too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub video: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// The user property of a head whose package was sealed a while before: its age in seconds when
/// it was sent. A platform shows it as history, not as news. Not signed: what counts as the time
/// of the evidence is in the statement.
pub const LATE: &str = "late";

/// `f/{sink}`: everything asked for was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// The package.
    pub id: String,
}

/// The words of a device about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PresenceState {
    /// Connected and able to send.
    Ready,
    /// The connection broke (said by the broker, as the will).
    Lost,
    /// Going down in order.
    Stopping,
}

/// `state`: what is retained of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// How it is.
    pub state: PresenceState,
    /// Counts connections, so that a late will is not taken for the present connection's.
    pub bd: u64,
    /// Number of the newest journal line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// Hash of the newest journal line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// Whether the device's clock is disciplined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_synced: Option<bool>,
    /// Packages not yet receipted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued: Option<u64>,
    /// Bytes of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_bytes: Option<u64>,
    /// Bytes free on the store's disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
    /// The store's fill, of what it may hold, percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill_percent: Option<u64>,
    /// What could not be kept since the start: pictures, clips and cases that the store refused, clips
    /// left out for want of room, files that the disk lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_kept: Option<u64>,
    /// Days until the transport certificate ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_days: Option<i64>,
    /// Why nothing is judged, nobody is warned and nothing is signed: the evidence certificate does
    /// not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// Software version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sw: Option<String>,
    /// What a command must quote while the device's clock is not synchronised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// Some of the packages whose receipts say fewer copies than the device waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<String>,
}

impl Presence {
    /// Only the state, as the will carries it.
    pub fn bare(state: PresenceState, bd: u64) -> Self {
        Self {
            state,
            bd,
            n: None,
            head: None,
            clock_synced: None,
            queued: None,
            queued_bytes: None,
            free_bytes: None,
            fill_percent: None,
            not_kept: None,
            cert_days: None,
            held: None,
            sw: None,
            nonce: None,
            copies: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(offset: u64) -> Topic {
        Topic::new(
            "LC-POLE-0007",
            Subject::Chunk {
                sink: "rx1".to_owned(),
                sha256: "0f".repeat(32),
                offset,
            },
        )
    }

    #[test]
    fn every_topic_is_read_back_as_written() {
        let dev = "LC-POLE-0007";
        let finished = Subject::Finished {
            sink: "rx1".to_owned(),
        };
        for topic in [
            Topic::new(dev, Subject::State),
            Topic::new(dev, Subject::Head),
            Topic::new(dev, Subject::Journal),
            Topic::new(dev, Subject::Want),
            Topic::new(dev, Subject::Receipt),
            Topic::new(dev, Subject::StampQuery),
            Topic::new(dev, Subject::Stamp),
            Topic::new(dev, Subject::Command),
            Topic::new(dev, Subject::Verdict),
            Topic::new(dev, Subject::Result),
            Topic::new(dev, finished),
            chunk(0),
            chunk(u64::MAX),
        ] {
            assert_eq!(topic.to_string().parse(), Ok(topic));
        }
    }

    #[test]
    fn what_could_leave_its_place_is_not_a_topic() {
        let sha = "0f".repeat(32);
        for bad in [
            String::new(),
            "ev1".to_owned(),
            "ev2/a/n".to_owned(),
            "ev1//n".to_owned(),
            "ev1/../n".to_owned(),
            "ev1/a b/n".to_owned(),
            format!("ev1/{}/n", "a".repeat(65)),
            format!("ev1/a/c/rx1/{sha}/-1"),
            format!("ev1/a/c/rx1/{sha}/+1"),
            format!("ev1/a/c/rx1/{sha}/01"),
            format!("ev1/a/c/rx1/{sha}/"),
            format!("ev1/a/c/rx1/{sha}/18446744073709551616"),
            format!("ev1/a/c/rx1/{}/0", "0F".repeat(32)),
            "ev1/a/c/rx1/../0".to_owned(),
            format!("ev1/a/c/../{sha}/0"),
            format!("ev1/a/c/rx1/{sha}/0/1"),
            "ev1/a/n/".to_owned(),
            "ev1/a/d/want/x".to_owned(),
        ] {
            assert_eq!(bad.parse::<Topic>(), Err(NotOurs), "{bad}");
        }
    }

    #[test]
    fn a_want_is_written_as_the_protocol_says() {
        let want = Want {
            id: "i".to_owned(),
            sink: "rx1".to_owned(),
            missing: vec![Range("ab".to_owned(), 5, 9)],
            max_chunk: None,
            video: false,
        };
        let text = |want: &Want| serde_json::to_string(want).expect("plain data");
        let plain = r#"{"id":"i","sink":"rx1","missing":[["ab",5,9]]}"#;
        assert_eq!(text(&want), plain);
        assert_eq!(serde_json::from_str::<Want>(plain).ok(), Some(want.clone()));
        let asked = Want {
            video: true,
            ..want
        };
        let expected = r#"{"id":"i","sink":"rx1","missing":[["ab",5,9]],"video":true}"#;
        assert_eq!(text(&asked), expected);
    }
}

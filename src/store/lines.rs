//! The journal lines the store writes, and reads back when it starts.
//!
//! They carry all that cannot be found in a package's own directory, so that a database can be
//! made again from `packages/` and `journal/` alone.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::journal::Entry;
use crate::types::CaseId;
use crate::witness::{Fate, Grade, JournalCopy, Rank};

pub(super) use crate::journal::kind::{
    CASE_DISCARDED as DISCARDED, CASE_DROPPED as DROPPED, COMMAND_DONE,
    COMMAND_RECEIVED as COMMANDED, COMMAND_REFUSED, JOURNAL_LOST as LINES_LOST,
    MIRROR_COPIED as COPIED, MIRROR_MISSING, PACKAGE_ADOPTED as ADOPTED,
    PACKAGE_DAMAGED as DAMAGED, PACKAGE_EVICTED as EVICTED, PACKAGE_PRUNED as PRUNED,
    PACKAGE_RECEIPTED as RECEIPTED, PACKAGE_REFUSED as REFUSED, PACKAGE_REQUEUED as REQUEUED,
    PACKAGE_RESTORED as RESTORED, PACKAGE_SEALED as SEALED, PACKAGE_SENT as SENT,
    PACKAGE_WANTED as WANTED, RULE_LEADS_ONLY as LEADS_ONLY, STAMP, STORE_REBUILT as REBUILT,
    VERDICT_RECEIVED as JUDGED,
};

/// Body of [`SEALED`] and [`ADOPTED`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sealed {
    /// The package.
    pub(super) id: CaseId,
    /// Its number on this device.
    pub(super) seq: i64,
    /// `violation.kind` of its statement.
    pub(super) kind: String,
    /// When it happened, UTC milliseconds.
    pub(super) occurred_ms: i64,
    /// Of an adopted package: `violation.confirmed` of its statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) confirmed: Option<String>,
    /// SHA-256 of `META-INF/ASiCManifest001.xml`.
    pub(super) manifest_sha256: String,
    /// SHA-256 of `META-INF/signature001.p7s`.
    pub(super) sig_sha256: String,
    /// `grade.grade` of its statement; not said of packages without one, nor by older programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) grade: Option<Grade>,
    /// Why it is a lead: the conditions that are not met, or not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) against: Vec<String>,
}

impl Sealed {
    /// Since when it counts as sealed, UTC milliseconds, when it was adopted at `adopted_ms`: the moment
    /// itself nobody wrote down, but it was soon after its outcome, and not when the box was started next.
    pub(super) fn known_ms(&self, adopted_ms: i64) -> i64 {
        let confirmed = self.confirmed.as_ref().and_then(|at| at.parse().ok());
        match confirmed.map_or(self.occurred_ms, jiff::Timestamp::as_millisecond) {
            known @ 1.. => known.min(adopted_ms),
            _ => adopted_ms,
        }
    }
}

/// Body of [`RECEIPTED`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Receipted {
    /// The package.
    pub(super) id: CaseId,
    /// SHA-256 of `META-INF/receipt001.p7m`, or of a later one.
    pub(super) receipt_sha256: String,
    /// The receiver's time, as it signed it.
    pub(super) server_time: String,
    /// How many copies the receiver keeps; not said by boxes of the first version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) copies: Option<u32>,
    /// The journal line the receipt names as the last the receiver has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) head: Option<JournalCopy>,
}

/// Body of [`STAMP`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamped {
    /// The package.
    pub(super) id: CaseId,
    /// SHA-256 of `META-INF/timestamp001.tst`.
    pub(super) token_sha256: String,
    /// The authority's time.
    pub(super) at: String,
    /// How far that may be off, microseconds.
    pub(super) accuracy_us: Option<u64>,
    /// The authority, by the subject of its certificate.
    pub(super) authority: String,
}

/// Body of [`REFUSED`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refused {
    /// The package.
    pub(super) id: CaseId,
    /// SHA-256 of the signed refusal.
    pub(super) refusal_sha256: String,
    /// The receiver's reason.
    pub(super) why: String,
}

/// Body of [`REQUEUED`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Requeued {
    /// The package.
    pub(super) id: CaseId,
    /// The command; `null`: it was done on the box.
    pub(super) command: Option<Uuid>,
    /// Subject of the certificate that signed it.
    pub(super) by: Option<String>,
}

/// Body of [`PRUNED`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pruned {
    /// The package.
    pub(super) id: CaseId,
    /// The files that were removed.
    pub(super) files: Vec<String>,
    /// Their bytes.
    pub(super) bytes: u64,
}

/// Body of [`RESTORED`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Restored {
    /// The package.
    pub(super) id: CaseId,
    /// The files that came back from the second medium; none when the package was whole again by
    /// itself.
    pub(super) files: Vec<String>,
}

/// Body of [`COPIED`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Copied {
    /// The package.
    pub(super) id: CaseId,
    /// The medium.
    pub(super) medium: uuid::Uuid,
}

/// Body of [`EVICTED`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Evicted {
    /// The package.
    pub(super) id: CaseId,
    /// The files that were removed.
    pub(super) files: Vec<String>,
    /// Their bytes.
    pub(super) bytes: u64,
    /// The command.
    pub(super) command: Uuid,
    /// Subject of the administrator's certificate.
    pub(super) by: String,
}

/// Body of [`WANTED`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wanted {
    /// The package.
    pub(super) id: CaseId,
    /// The command.
    pub(super) command: Uuid,
    /// Subject of the certificate that signed it.
    pub(super) by: String,
}

/// Body of [`DISCARDED`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Discarded {
    /// The case.
    pub(super) id: CaseId,
    /// Why.
    pub(super) why: String,
}

/// Body of [`COMMANDED`] and, with a reason, of [`COMMAND_REFUSED`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commanded {
    /// The command.
    pub id: Uuid,
    /// SHA-256 of the signed command.
    pub sha256: String,
    /// Subject of the signer's certificate.
    pub signer: String,
    /// SHA-256 of the signer's certificate.
    pub certificate_sha256: String,
    /// What the certificate permits.
    pub role: Rank,
    /// The signer's number.
    pub seq: u64,
    /// What to do.
    pub verb: String,
    /// With what; of something large its hash.
    pub args: Value,
}

/// Body of [`COMMAND_DONE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CommandEnd {
    /// The command.
    pub(super) id: Uuid,
    /// What became of it.
    pub(super) outcome: Fate,
    /// Why, unless it was simply done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<String>,
}

/// What [`COMMAND_REFUSED`] says beside the command.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Refusal {
    /// Refused, or not supported.
    pub(super) outcome: Fate,
    /// Why.
    pub(super) why: String,
}

/// Body of [`JUDGED`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Judged {
    /// The package.
    pub(super) id: CaseId,
    /// SHA-256 of the device's signature.
    pub(super) sig_sha256: String,
    /// `accepted` or `rejected`.
    pub(super) verdict: String,
    /// The reviewer's words.
    pub(super) reason: String,
    /// Subject of the reviewer's certificate.
    pub(super) reviewer: String,
    /// The reviewer's time, UTC milliseconds.
    pub(super) at_ms: i64,
    /// `violation.kind` of the statement.
    pub(super) rule: String,
    /// SHA-256 of the model; empty when not stated.
    pub(super) model: String,
    /// Announced number of the place; empty when there is none.
    pub(super) place: String,
}

/// Body of [`LEADS_ONLY`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeadsOnly {
    /// `violation.kind`.
    pub rule: String,
    /// Whether it makes leads only from now on.
    pub leads_only: bool,
    /// Packages judged, of those that were looked at.
    pub judged: u64,
    /// Packages rejected among them.
    pub rejected: u64,
    /// Subject of the administrator who decided it; `null` when the count did.
    pub by: Option<String>,
    /// Whether verdicts before this line count no more.
    pub counted_anew: bool,
}

/// A line that says something about a package, an open case, a command or a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It was sealed or adopted.
    Sealed(Sealed),
    /// It was receipted.
    Receipted(Receipted),
    /// It was refused.
    Refused(Refused),
    /// It was refused, and a person had it queued again.
    Requeued(CaseId),
    /// Its pictures and video were removed.
    Pruned(CaseId),
    /// The second medium has it.
    Copied(Copied),
    /// It was time-stamped.
    Stamped(Stamped),
    /// Its pictures and video were removed by an administrator.
    Evicted(Evicted),
    /// It was made whole again.
    Restored(CaseId),
    /// A person asked for it with its video.
    Wanted(CaseId),
    /// What was kept of the open case was thrown away.
    Discarded(CaseId),
    /// A command came; the reason when it was refused.
    Commanded(Commanded, Option<Refusal>),
    /// A command ended.
    CommandEnd(CommandEnd),
    /// A verdict came.
    Judged(Judged),
    /// A rule makes leads only, or evidence again.
    LeadsOnly(LeadsOnly),
}

/// What a line says of these; `None` for lines about anything else, and for lines of
/// ours that rot made unreadable, or such that no row could hold them: neither may keep the store
/// from opening.
pub(super) fn read(entry: &Entry) -> Option<Said> {
    said(entry).filter(|said| match said {
        Said::Sealed(line) => line.seq > 0 && [64, 0].contains(&line.sig_sha256.len()),
        Said::Commanded(line, refusal) => {
            line.sha256.len() == 64 && (line.seq > 0 || refusal.is_some())
        }
        Said::Judged(line) => ["accepted", "rejected"].contains(&line.verdict.as_str()),
        _ => true,
    })
}

fn said(entry: &Entry) -> Option<Said> {
    fn body<T: DeserializeOwned>(body: &Value) -> Option<T> {
        T::deserialize(body).ok()
    }
    match entry.kind.as_str() {
        SEALED | ADOPTED => body(&entry.body).map(Said::Sealed),
        RECEIPTED => body(&entry.body).map(Said::Receipted),
        REFUSED => body(&entry.body).map(Said::Refused),
        REQUEUED => body(&entry.body).map(|line: Requeued| Said::Requeued(line.id)),
        PRUNED => body(&entry.body).map(|line: Pruned| Said::Pruned(line.id)),
        COPIED => body(&entry.body).map(Said::Copied),
        STAMP => body(&entry.body).map(Said::Stamped),
        EVICTED => body(&entry.body).map(Said::Evicted),
        RESTORED => body(&entry.body).map(|line: Restored| Said::Restored(line.id)),
        WANTED => body(&entry.body).map(|line: Wanted| Said::Wanted(line.id)),
        DISCARDED => body(&entry.body).map(|line: Discarded| Said::Discarded(line.id)),
        COMMANDED => body(&entry.body).map(|line| Said::Commanded(line, None)),
        COMMAND_REFUSED => {
            let refusal: Refusal = body(&entry.body)?;
            body(&entry.body).map(|line| Said::Commanded(line, Some(refusal)))
        }
        COMMAND_DONE => body(&entry.body).map(Said::CommandEnd),
        JUDGED => body(&entry.body).map(Said::Judged),
        LEADS_ONLY => body(&entry.body).map(Said::LeadsOnly),
        _ => None,
    }
}

/// A body as JSON.
pub(super) fn body(of: &impl Serialize) -> Value {
    serde_json::to_value(of).expect("invariant: a line's body is plain data")
}

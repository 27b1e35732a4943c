//! What the index has of each package, announcement, refusal and device.

use std::path::PathBuf;

use serde::Serialize;

use super::head::Head;
use crate::clock;
use crate::types::{CaseId, Stamp};
use crate::witness::{Grade, Receipt, Statement};

/// `outcome` of a package that a person asked for.
const ASKED: &str = "asked";

/// A stored package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// The device.
    pub device: String,
    /// The package.
    pub id: CaseId,
    /// Its number on the device.
    pub seq: u64,
    /// SHA-256 of its signature, lower-case hex.
    pub sig_sha256: String,
    /// Its violation; `capture` when a person asked for it.
    pub kind: String,
    /// How the case ended; `asked` when there was none.
    pub outcome: String,
    /// `evidence` or `lead`; `null` for packages older than grades.
    pub grade: Option<String>,
    /// When the outcome was established, or the picture taken that was asked for, RFC 3339 UTC.
    pub at: String,
    /// The announced number of the place, or else its name.
    pub site: Option<String>,
    /// The zone in which it was seen.
    pub zone: Option<String>,
    /// Latitude (WGS-84), degrees × 10⁷.
    pub lat_e7: Option<i32>,
    /// Longitude (WGS-84), degrees × 10⁷.
    pub lon_e7: Option<i32>,
    /// Bytes of the files its statement lists.
    pub bytes: u64,
    /// Who signed its receipt.
    pub receiver: Option<String>,
    /// When, RFC 3339 UTC.
    pub stored: Option<String>,
    /// Copies that were read back, over all folders asked.
    pub copies: u32,
    /// When it was noticed that it is not in its folder any more, RFC 3339 UTC.
    pub gone: Option<String>,
    /// Why it was removed on purpose; `null`: nobody said so.
    pub removed: Option<String>,
    /// How old it was when its head came, seconds, if it came late by its box's clock: history, not news.
    /// `null`: it came in time, or an index that was made anew does not know.
    pub late: Option<u64>,
}

impl Kept {
    /// What the index has of a package; `copied`: its second copy was read back.
    pub(super) fn of(
        statement: &Statement,
        sig_sha256: String,
        receipt: &Receipt,
        copied: bool,
    ) -> Self {
        let site = statement.site.as_ref();
        let violation = statement.violation.as_ref();
        let position = statement.position.as_ref();
        let files = statement.files.iter();
        let grade = statement.grade.as_ref().map(|grading| match grading.grade {
            Grade::Evidence => "evidence",
            Grade::Lead => "lead",
        });
        Self {
            device: statement.device.id.clone(),
            id: statement.id,
            seq: statement.seq,
            sig_sha256,
            kind: statement.about().to_owned(),
            outcome: outcome(statement),
            grade: grade.map(ToOwned::to_owned),
            at: statement.at().to_owned(),
            site: site.and_then(|site| site.public_id.clone().or(site.name.clone())),
            zone: violation.and_then(|v| v.zone.clone()),
            lat_e7: position.map(|position| position.lat_e7),
            lon_e7: position.map(|position| position.lon_e7),
            bytes: files.fold(0, |sum: u64, file| sum.saturating_add(file.size)),
            receiver: Some(receipt.receiver.clone()),
            stored: Some(receipt.at.clone()),
            copies: 1 + u32::from(copied),
            gone: None,
            removed: None,
            late: None,
        }
    }
}

/// A package of which a verified head came, and which is not here whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Announced {
    /// The device.
    pub device: String,
    /// The package.
    pub id: CaseId,
    /// Its number on the device.
    pub seq: u64,
    /// SHA-256 of its signature, lower-case hex.
    pub sig_sha256: String,
    /// Its violation; `capture` when a person asked for it.
    pub kind: String,
    /// How the case ended; `asked` when there was none.
    pub outcome: String,
    /// When the outcome was established, or the picture taken that was asked for, RFC 3339 UTC.
    pub at: String,
    /// When its head came, or a new index found it, RFC 3339 UTC.
    pub heard: String,
    /// The receiver that has what is here of it; `null`: all but this was forgotten.
    pub receiver: Option<String>,
    /// Whether everything but video is here.
    pub pictures: bool,
    /// How late its head came, as in [`Kept`].
    pub late: Option<u64>,
}

impl Announced {
    /// What the index has of a package whose head came `at`, and `late`, before anything of it is looked for.
    pub(super) fn of(head: &Head, late: Option<u64>, at: Stamp) -> Self {
        let statement = &head.statement;
        Self {
            device: statement.device.id.clone(),
            id: statement.id,
            seq: statement.seq,
            sig_sha256: head.sig_sha256.clone(),
            kind: statement.about().to_owned(),
            outcome: outcome(statement),
            at: statement.at().to_owned(),
            heard: clock::rfc3339_ms(at.utc_ns),
            receiver: None,
            pictures: false,
            late,
        }
    }
}

/// How the case of a package ended.
fn outcome(statement: &Statement) -> String {
    let violation = statement.violation.as_ref();
    violation.map_or(ASKED, |v| v.outcome.name()).to_owned()
}

/// A package that is there and not whole any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// The device.
    pub device: String,
    /// The package.
    pub id: CaseId,
    /// Its number on the device; 0 when that cannot be read either.
    pub seq: u64,
    /// Where it lies.
    pub place: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

/// A package that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The device.
    pub device: String,
    /// The package, as its head claims.
    pub id: CaseId,
    /// Its number, as its head claims.
    pub seq: u64,
    /// SHA-256 of its signature, lower-case hex.
    pub sig_sha256: String,
    /// Why.
    pub why: String,
    /// When, RFC 3339 UTC.
    pub at: String,
    /// Who refused.
    pub receiver: String,
}

impl Refusal {
    pub(super) fn of(receipt: &Receipt) -> Self {
        Self {
            device: receipt.device.clone(),
            id: receipt.id,
            seq: receipt.seq,
            sig_sha256: receipt.sig_sha256.clone(),
            why: receipt.why.clone().unwrap_or_default(),
            at: receipt.at.clone(),
            receiver: receipt.receiver.clone(),
        }
    }
}

/// A device as the receivers know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// The device.
    pub device: String,
    /// When it was last heard, RFC 3339 UTC; `null`: not since the index was made.
    pub seen: Option<String>,
    /// What it said of itself last: `ready`, `lost`, `stopping`.
    pub state: Option<String>,
    /// The largest number it announced.
    pub seq_max: u64,
    /// The newest line of its journal that it signed for.
    pub journal_n: Option<u64>,
}

/// News of a device that the index is to keep.
#[derive(Clone, Debug, Default)]
pub(super) struct News {
    /// When it was last heard, RFC 3339; empty when it was not.
    pub(super) seen: String,
    /// What it said of itself last.
    pub(super) state: Option<String>,
    /// The largest number of a verified head.
    pub(super) seq: u64,
    /// The newest signed line of its journal.
    pub(super) journal: Option<(u64, String)>,
}

impl News {
    /// Joins what was not told before.
    pub(super) fn join(&mut self, untold: Self) {
        self.state = self.state.take().or(untold.state);
        self.seq = self.seq.max(untold.seq);
        self.journal = self.journal.take().max(untold.journal);
        if self.seen < untold.seen {
            self.seen = untold.seen;
        }
    }
}

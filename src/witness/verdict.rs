//! What a judgement over a package is made of: named checks, findings, facts.

use serde::Serialize;

use super::container::ContainerError;
use super::finding::Finding;
use super::quality::{Quality, qualities};
use super::receipt::Receipt;
use super::review::Reviewed;
use super::signer::Signer;
use super::statement::Statement;
use super::timestamp::TimeStamp;
use super::wording;

/// The checks, in the order in which they are made and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckId {
    /// It is an ASiC-E container with legal names, none twice.
    Container,
    /// The manifest is readable and covers the statement.
    Manifest,
    /// The signature over the manifest is right and bound to its certificate.
    Signature,
    /// The certificate led to a trusted root when it signed.
    Chain,
    /// The certificate was issued for evidence.
    Purpose,
    /// Every signed file is there and unchanged.
    Files,
    /// There is no file outside the signature.
    Nothing,
    /// The statement is readable and lists the same files as the manifest.
    Statement,
    /// The statement's device is the certificate's.
    Device,
    /// The receipt, when there is one, is a receiver's and for this package.
    Receipt,
    /// The journal lines, when there are some, lead from the package to the receipt's head.
    Journal,
    /// The time-stamp, when there is one, is an authority's and over this package.
    Stamp,
    /// The times told do not contradict each other.
    Time,
    /// Every review, when there is one, holds.
    Review,
    /// The grade stated follows from the conditions stated.
    Grade,
}

impl CheckId {
    /// Every check, in order.
    pub const ALL: [Self; 15] = [
        Self::Container,
        Self::Manifest,
        Self::Signature,
        Self::Chain,
        Self::Purpose,
        Self::Files,
        Self::Nothing,
        Self::Statement,
        Self::Device,
        Self::Receipt,
        Self::Journal,
        Self::Stamp,
        Self::Time,
        Self::Review,
        Self::Grade,
    ];

    /// What may be missing from a valid package: it comes later, or older packages lack it.
    pub const OPTIONAL: [Self; 5] = [
        Self::Receipt,
        Self::Journal,
        Self::Stamp,
        Self::Review,
        Self::Grade,
    ];
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It holds.
    Pass,
    /// It does not hold.
    Fail,
    /// It cannot be said from what is there.
    Unknown,
}

/// One check with its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Which.
    pub id: CheckId,
    /// The same as an English sentence that holds when it passes.
    pub what: String,
    /// Whether the package is valid only when it passes. Unknown does not count as passed,
    /// except for a receipt, journal lines, a time-stamp, a review or a grade that are not there
    /// and, in a head, for files that have not come.
    pub required: bool,
    /// How it ended.
    pub status: Status,
    /// Why, in English; empty for a plain pass.
    pub detail: String,
    /// Why, for programs and translations.
    pub findings: Vec<Finding>,
}

impl Check {
    /// A check that ended with `status`.
    fn new(id: CheckId, status: Status, findings: Vec<Finding>) -> Self {
        Self {
            id,
            what: wording::what(id),
            required: id != CheckId::Time,
            status,
            detail: wording::detail(&findings),
            findings,
        }
    }

    pub(super) fn pass(id: CheckId) -> Self {
        Self::new(id, Status::Pass, Vec::new())
    }

    /// Passes, but something is worth saying.
    pub(super) fn pass_noting(id: CheckId, findings: Vec<Finding>) -> Self {
        Self::new(id, Status::Pass, findings)
    }

    pub(super) fn fail(id: CheckId, findings: Vec<Finding>) -> Self {
        Self::new(id, Status::Fail, findings)
    }

    pub(super) fn unknown(id: CheckId, findings: Vec<Finding>) -> Self {
        Self::new(id, Status::Unknown, findings)
    }

    pub(super) fn not_reached(id: CheckId) -> Self {
        Self::unknown(id, vec![Finding::NotReached])
    }
}

/// Whose clock says that the package was there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LatestBy {
    /// The receiver's.
    Receipt,
    /// A time-stamping authority's.
    TimeStamp,
}

/// A moment at which the package was there already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Latest {
    /// RFC 3339.
    pub at: String,
    /// Who says so.
    pub by: LatestBy,
}

/// What a later line of the device's journal says about its clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Correction {
    /// Number of the line.
    pub n: u64,
    /// To be added to the times the device stated, microseconds.
    pub offset_us: i64,
    /// How far the corrected times may be off, microseconds.
    pub error_us: u64,
}

/// Between which moments the device signed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bounds {
    /// The receiver's time of the last receipt the device knew, RFC 3339.
    pub earliest: Option<String>,
    /// signingTime by the device's own clock, RFC 3339.
    pub signed: Option<String>,
    /// The error of that clock then, as stated, microseconds; `null` when nobody vouches for it.
    pub error_us: Option<u64>,
    /// By how much the device later found that clock wrong; the last word on it.
    pub correction: Option<Correction>,
    /// The earliest moment at which somebody else saw the signature.
    pub latest: Option<Latest>,
}

/// The judgement over a package. The facts are what the package says; they count only as far as
/// [`Verdict::valid`] says so.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Whether every required check passed. Not [`Verdict::undecided`] and not valid is refuted.
    pub valid: bool,
    /// Every check, in order.
    pub checks: Vec<Check>,
    /// The four qualities the law asks for, and what speaks for each.
    pub qualities: Vec<Quality>,
    /// When it was signed.
    pub bounds: Bounds,
    /// SHA-256 of the signature, lower-case hex.
    pub sig_sha256: Option<String>,
    /// Who signed.
    pub signer: Option<Signer>,
    /// What is stated.
    pub statement: Option<Statement>,
    /// The receipt, when it holds.
    pub receipt: Option<Receipt>,
    /// The later receipt, which says more copies, when it holds.
    pub later_receipt: Option<Receipt>,
    /// The earliest time-stamp that holds.
    pub stamp: Option<TimeStamp>,
    /// Every review that was added, those that do not hold as well.
    pub reviews: Vec<Reviewed>,
}

impl Verdict {
    /// The verdict over a container that cannot be read.
    pub fn unreadable(error: &ContainerError) -> Self {
        let why = error.to_string();
        let checks = CheckId::ALL.map(|id| match id {
            CheckId::Container => {
                Check::fail(id, vec![Finding::ContainerUnreadable { why: why.clone() }])
            }
            _ => Check::not_reached(id),
        });
        Self {
            valid: false,
            qualities: qualities(&checks, None),
            checks: checks.into(),
            bounds: Bounds::default(),
            sig_sha256: None,
            signer: None,
            statement: None,
            receipt: None,
            later_receipt: None,
            reviews: Vec::new(),
            stamp: None,
        }
    }

    /// Draws the conclusions from checks and facts. What a package states of itself counts only
    /// when it is valid.
    pub(super) fn concluded(mut self, correction: Option<Correction>) -> Self {
        let statement = self.statement.as_ref();
        let stated = statement.and_then(|s| s.grade.as_ref());
        self.qualities = qualities(&self.checks, stated.filter(|_| self.valid));
        let signed = self.signer.as_ref().map(|s| s.signing_time);
        self.bounds = Bounds {
            earliest: statement.and_then(|s| Some(s.after.as_ref()?.server_time.clone())),
            signed: signed.map(|s| crate::clock::rfc3339_ms(s.saturating_mul(1_000_000_000))),
            error_us: statement.and_then(|s| s.sealed.as_ref()?.max_error_us),
            correction,
            latest: self.latest(),
        };
        self
    }

    /// A time-stamp before a receipt: a receiver is the bureau's own, an authority is not.
    fn latest(&self) -> Option<Latest> {
        let stamp = self.stamp.as_ref().map(|stamp| Latest {
            at: stamp.at.clone(),
            by: LatestBy::TimeStamp,
        });
        let receipt = self.receipt.as_ref().map(|receipt| Latest {
            at: receipt.at.clone(),
            by: LatestBy::Receipt,
        });
        stamp.or(receipt)
    }

    /// Whether every required check passed.
    pub fn valid(&self) -> bool {
        self.valid
    }

    /// Whether it is neither valid nor refuted: nothing failed, but what was signed is not all here.
    pub fn undecided(&self) -> bool {
        let refutes = |check: &Check| check.required && check.status == Status::Fail;
        !self.valid && !self.checks.iter().any(refutes)
    }

    /// The check `id`; every verdict has every check.
    pub fn check(&self, id: CheckId) -> Option<&Check> {
        self.checks.iter().find(|check| check.id == id)
    }

    /// The checks that failed.
    pub fn failed(&self) -> impl Iterator<Item = CheckId> {
        self.checks
            .iter()
            .filter(|check| check.status == Status::Fail)
            .map(|check| check.id)
    }
}

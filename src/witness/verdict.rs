//! What a judgement over a package is made of: named checks, findings, facts.

use serde::Serialize;

use super::container::ContainerError;
use super::finding::Finding;
use super::receipt::Receipt;
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
}

impl CheckId {
    /// Every check, in order.
    pub const ALL: [Self; 13] = [
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
    /// except for a receipt, journal lines or a time-stamp that have not come and, in a head, for
    /// files that have not.
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

/// The judgement over a package. The facts are what the package says; they count only as far as
/// [`Verdict::valid`] says so.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Whether every required check passed.
    pub valid: bool,
    /// Every check, in order.
    pub checks: Vec<Check>,
    /// SHA-256 of the signature, lower-case hex.
    pub sig_sha256: Option<String>,
    /// Who signed.
    pub signer: Option<Signer>,
    /// What is stated.
    pub statement: Option<Statement>,
    /// The receipt, when it holds.
    pub receipt: Option<Receipt>,
    /// The earliest time-stamp that holds.
    pub stamp: Option<TimeStamp>,
}

impl Verdict {
    /// The verdict over a container that cannot be read.
    pub(super) fn unreadable(error: &ContainerError) -> Self {
        let why = error.to_string();
        let checks = CheckId::ALL.map(|id| match id {
            CheckId::Container => {
                Check::fail(id, vec![Finding::ContainerUnreadable { why: why.clone() }])
            }
            _ => Check::not_reached(id),
        });
        Self {
            valid: false,
            checks: checks.into(),
            sig_sha256: None,
            signer: None,
            statement: None,
            receipt: None,
            stamp: None,
        }
    }

    /// Whether every required check passed.
    pub fn valid(&self) -> bool {
        self.valid
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

//! A reviewer's verdict on its way back to the box that made the package.
//!
//! It says what the review in the package says (`review`), without the package: the box has that
//! already, and only learns from it how often its rules are objected to.

use serde::{Deserialize, Serialize};

use super::chain::Roots;
use super::cms::{Form, SignatureError};
use super::identity::Identity;
use super::key::SignError;
use super::opened::check_attached;
use super::review::REASON_MAX;
use super::signer::{Signer, Usage};
use crate::types::{CaseId, Stamp};

/// Value of `type`.
const KIND: &str = "lingmou.verdict";
/// Value of `v`.
const VERSION: u32 = 1;

/// Why a notice does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoticeError {
    /// Its signature or signer is not right.
    #[error("verdict: {0}")]
    Signature(#[from] SignatureError),
    /// It cannot be signed now; try again.
    #[error("verdict: {0}")]
    Sign(#[from] SignError),
    /// It is not the JSON this version defines.
    #[error("verdict: {0}")]
    Json(String),
    /// It is of another type or version.
    #[error("verdict: type {kind:?} version {v} is not supported by this program")]
    Version {
        /// Its `type`.
        kind: String,
        /// Its `v`.
        v: u32,
    },
    /// One of its fields cannot be one, or names somebody else than its signer.
    #[error("verdict: its {0} cannot be one")]
    Field(&'static str),
}

/// What a reviewer decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    /// The package may be used.
    Accepted,
    /// It may not.
    Rejected,
}

impl Ruling {
    /// The word in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
        }
    }
}

/// The notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Format version, 1.
    pub v: u32,
    /// `lingmou.verdict`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The package.
    pub id: CaseId,
    /// The box that made it.
    pub device: String,
    /// SHA-256 of the box's signature, lower-case hex.
    pub sig_sha256: String,
    /// Accepted or rejected.
    pub verdict: Ruling,
    /// Why, in the reviewer's words.
    pub reason: String,
    /// The reviewer's time, RFC 3339 UTC.
    pub at: String,
    /// commonName of the reviewer's certificate.
    pub reviewer: String,
}

impl Notice {
    /// `v` and `type` of what this program writes.
    pub const HEAD: (u32, &str) = (VERSION, KIND);

    /// Signs the notice; gives the CMS.
    pub fn sign(&self, identity: &Identity, at: Stamp) -> Result<Vec<u8>, NoticeError> {
        let bytes = serde_json::to_vec(self).map_err(|e| NoticeError::Json(e.to_string()))?;
        Ok(identity.sign(&bytes, Form::Attached, at)?)
    }

    /// Opens a notice signed by a reviewer for whom `roots` vouch.
    pub fn open(p7m: &[u8], roots: &Roots) -> Result<(Self, Signer), NoticeError> {
        let (bytes, signer) = check_attached(p7m, roots, Usage::Reviewer)?;
        let notice: Self =
            serde_json::from_slice(&bytes).map_err(|e| NoticeError::Json(e.to_string()))?;
        if (notice.v, notice.kind.as_str()) != Self::HEAD {
            return Err(NoticeError::Version {
                kind: notice.kind,
                v: notice.v,
            });
        }
        let long = notice.reason.chars().count();
        let fields = [
            ("reason", (1..=REASON_MAX).contains(&long)),
            ("at", notice.at_ms().is_some()),
            (
                "reviewer",
                signer.common_name.as_ref() == Some(&notice.reviewer),
            ),
        ];
        match fields.iter().find(|(_, fits)| !fits) {
            Some((field, _)) => Err(NoticeError::Field(field)),
            None => Ok((notice, signer)),
        }
    }

    /// `at`, UTC milliseconds.
    pub fn at_ms(&self) -> Option<i64> {
        let time: jiff::Timestamp = self.at.parse().ok()?;
        Some(time.as_millisecond())
    }
}

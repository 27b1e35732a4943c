//! The receiver's receipt: its signature under "I stored exactly this package".

use serde::{Deserialize, Serialize};

use super::chain::Roots;
use super::cms::{Form, SignatureError};
use super::finding::Finding;
use super::identity::Identity;
use super::key::SignError;
use super::opened::{check_attached, form, open};
use super::plain;
use super::signer::{Signer, Usage};
use crate::types::{CaseId, Stamp};

/// Value of `type`.
const KIND: &str = "lingmou.receipt";
/// Value of `v`.
const VERSION: u32 = 1;

/// Why a receipt does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Its signature or signer is not right.
    #[error("receipt: {0}")]
    Signature(#[from] SignatureError),
    /// It cannot be signed now; try again.
    #[error("receipt: {0}")]
    Sign(#[from] SignError),
    /// It is not the JSON this version defines.
    #[error("receipt: {0}")]
    Json(String),
    /// It is of another type or version.
    #[error("receipt: type {kind:?} version {v} is not supported by this program")]
    Version {
        /// Its `type`.
        kind: String,
        /// Its `v`.
        v: u32,
    },
    /// It names another package, device, number or signature, or another receiver signed it.
    #[error("receipt: its {field} is {found:?}, expected {expected:?}")]
    Other {
        /// The field that differs.
        field: &'static str,
        /// What the receipt says.
        found: String,
        /// What was expected.
        expected: String,
    },
}

impl ReceiptError {
    pub(super) fn finding(&self) -> Finding {
        match self {
            Self::Other {
                field,
                found,
                expected,
            } => Finding::ReceiptNames {
                field: (*field).to_owned(),
                found: found.clone(),
                expected: expected.clone(),
            },
            Self::Signature(error) => error.into(),
            other => Finding::ReceiptUnusable {
                why: other.to_string(),
            },
        }
    }
}

/// What the receiver decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptVerdict {
    /// It checked and stored the package.
    Stored,
    /// It will not take the package; `why` says so.
    Refused,
}

/// How far the receiver holds the device's journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalCopy {
    /// Number of the last line.
    pub n: u64,
    /// SHA-256 of the last line, lower-case hex.
    pub hash: String,
}

/// The receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Format version, 1.
    pub v: u32,
    /// `lingmou.receipt`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The package.
    pub id: CaseId,
    /// Its device.
    pub device: String,
    /// Its number.
    pub seq: u64,
    /// SHA-256 of its signature's bytes, lower-case hex.
    pub sig_sha256: String,
    /// Stored or refused.
    pub verdict: ReceiptVerdict,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How many copies the receiver keeps.
    pub copies: u32,
    /// The journal head the receiver has, when it keeps one.
    pub head: Option<JournalCopy>,
    /// The receiver's time, RFC 3339 UTC.
    pub at: String,
    /// commonName of the receiver's certificate.
    pub receiver: String,
}

impl Receipt {
    /// `v` and `type` of what this program writes.
    pub const HEAD: (u32, &str) = (VERSION, KIND);

    /// Signs the receipt; gives the bytes of `META-INF/receipt001.p7m`.
    pub fn sign(&self, identity: &Identity, at: Stamp) -> Result<Vec<u8>, ReceiptError> {
        let bytes = serde_json::to_vec(self).map_err(|e| ReceiptError::Json(e.to_string()))?;
        Ok(identity.sign(&bytes, Form::Attached, at)?)
    }

    /// Opens a receipt signed by a receiver that `roots` vouch for.
    pub fn open(p7m: &[u8], roots: &Roots) -> Result<(Self, Signer), ReceiptError> {
        let (bytes, signer) = check_attached(p7m, roots, Usage::Receiver)?;
        let receipt = Self::parse(&bytes)?;
        let signed_by = signer.common_name.as_deref().unwrap_or_default();
        same("receiver", &receipt.receiver, signed_by)?;
        Ok((receipt, signer))
    }

    /// Reads a receipt without asking who may sign one: for an index of receipts that were
    /// checked when they were kept.
    pub fn read(p7m: &[u8]) -> Result<Self, ReceiptError> {
        let content = open(p7m, None)?.content;
        Self::parse(&content.ok_or_else(|| form("it carries no content"))?)
    }

    fn parse(bytes: &[u8]) -> Result<Self, ReceiptError> {
        let receipt: Self =
            serde_json::from_slice(bytes).map_err(|e| ReceiptError::Json(e.to_string()))?;
        if let Some(fault) = plain::fault(bytes) {
            return Err(ReceiptError::Json(fault.to_owned()));
        }
        if (receipt.v, receipt.kind.as_str()) == Self::HEAD {
            return Ok(receipt);
        }
        Err(ReceiptError::Version {
            kind: receipt.kind,
            v: receipt.v,
        })
    }

    /// Checks that the receipt is for this very package.
    pub fn check_names(
        &self,
        id: CaseId,
        device: &str,
        seq: u64,
        sig_sha256: &str,
    ) -> Result<(), ReceiptError> {
        same("id", &self.id.to_string(), &id.to_string())?;
        same("device", &self.device, device)?;
        same("seq", &self.seq.to_string(), &seq.to_string())?;
        same("sig_sha256", &self.sig_sha256, sig_sha256)
    }
}

fn same(field: &'static str, found: &str, expected: &str) -> Result<(), ReceiptError> {
    if found == expected {
        return Ok(());
    }
    Err(ReceiptError::Other {
        field,
        found: found.to_owned(),
        expected: expected.to_owned(),
    })
}

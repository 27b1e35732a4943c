//! A checkpoint: the device's signature under "this is the last line of my journal".

use serde::{Deserialize, Serialize};

use super::chain::Roots;
use super::cms::{Form, SignatureError};
use super::identity::Identity;
use super::opened::{check_attached, form, open};
use super::seal::SealError;
use super::signer::{Signer, Usage};
use crate::clock;
use crate::types::{Stamp, UNKNOWN_BOOT};

/// Value of `type`.
const KIND: &str = "lingmou.checkpoint";
/// Value of `v`.
const VERSION: u32 = 1;
/// Numbers above are not exact in every JSON reader (I-JSON, RFC 7493 section 2.2).
const N_MAX: u64 = 1 << 53;

/// Why a checkpoint does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Its signature or signer is not right.
    #[error("checkpoint: {0}")]
    Signature(#[from] SignatureError),
    /// It is not the JSON this version defines.
    #[error("checkpoint: {0}")]
    Json(String),
    /// It is of another type or version.
    #[error("checkpoint: type {kind:?} version {v} is not supported by this program")]
    Version {
        /// Its `type`.
        kind: String,
        /// Its `v`.
        v: u32,
    },
    /// It speaks of another device than the one whose certificate signed it.
    #[error("checkpoint: it is of device {named:?}, and device {signer:?} signed it")]
    Device {
        /// Its `device`.
        named: String,
        /// serialNumber of the certificate.
        signer: String,
    },
    /// Its number or hash cannot be one.
    #[error("checkpoint: its {0} cannot be one")]
    Field(&'static str),
}

/// The checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Format version, 1.
    pub v: u32,
    /// `lingmou.checkpoint`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The device.
    pub device: String,
    /// Number of the last line.
    pub n: u64,
    /// SHA-256 of the last line without its newline, lower-case hex.
    pub head: String,
    /// When it was signed, RFC 3339 UTC.
    pub at: String,
    /// The kernel's identifier of the boot.
    pub boot_id: Option<String>,
    /// A counter that can only rise, kept by the key's chip; `None` where there is none.
    pub nv_counter: Option<u64>,
}

impl Checkpoint {
    /// Signs the line `n` with hash `head`; gives the bytes of the `.p7m`.
    pub fn sign(
        identity: &Identity,
        (n, head): (u64, &str),
        boot_id: &str,
        at: Stamp,
    ) -> Result<Vec<u8>, SealError> {
        let checkpoint = Self {
            v: VERSION,
            kind: KIND.to_owned(),
            device: identity.device_id().to_owned(),
            n,
            head: head.to_owned(),
            at: clock::rfc3339_ms(at.utc_ns),
            boot_id: Some(boot_id.to_owned()).filter(|id| id != UNKNOWN_BOOT),
            nv_counter: None,
        };
        let bytes = serde_json::to_vec(&checkpoint).expect("invariant: a checkpoint is plain data");
        Ok(identity.sign(&bytes, Form::Attached, at)?)
    }

    /// Opens a checkpoint signed by the device it names, for which `roots` vouch.
    pub fn open(p7m: &[u8], roots: &Roots) -> Result<(Self, Signer), CheckpointError> {
        let (bytes, signer) = check_attached(p7m, roots, Usage::Evidence)?;
        let checkpoint = Self::parse(&bytes, &signer)?;
        Ok((checkpoint, signer))
    }

    /// Reads a checkpoint without asking who vouches for its device: one that was checked when it was
    /// kept, and whose root may have gone since.
    pub fn read(p7m: &[u8]) -> Result<Self, CheckpointError> {
        let opened = open(p7m, None)?;
        let content = opened.content.as_deref();
        let bytes = content.ok_or_else(|| form("it carries no content"))?;
        Self::parse(bytes, &opened.signer)
    }

    fn parse(bytes: &[u8], signer: &Signer) -> Result<Self, CheckpointError> {
        let checkpoint: Self =
            serde_json::from_slice(bytes).map_err(|e| CheckpointError::Json(e.to_string()))?;
        if (checkpoint.v, checkpoint.kind.as_str()) != (VERSION, KIND) {
            return Err(CheckpointError::Version {
                kind: checkpoint.kind,
                v: checkpoint.v,
            });
        }
        let signed_by = signer.serial_number.as_deref().unwrap_or_default();
        if checkpoint.device != signed_by {
            return Err(CheckpointError::Device {
                signer: signed_by.to_owned(),
                named: checkpoint.device,
            });
        }
        if checkpoint.n >= N_MAX {
            return Err(CheckpointError::Field("n"));
        }
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if checkpoint.head.len() != 64 || !checkpoint.head.bytes().all(hex) {
            return Err(CheckpointError::Field("head"));
        }
        Ok(checkpoint)
    }
}

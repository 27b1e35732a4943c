//! A person's signed command to a box, and the box's signed reply.
//!
//! Both are JSON in CMS, attached. Here is form and signature only: whether a command is timely,
//! new and allowed is for `command` to decide, which knows the time and what came before.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::chain::Roots;
use super::cms::{Form, SignatureError};
use super::identity::Identity;
use super::key::SignError;
use super::opened::check_attached;
use super::sha256_hex;
use super::signer::{Signer, Usage};
use crate::clock;
use crate::types::Stamp;

/// Value of `v` of both.
const VERSION: u32 = 1;
/// Value of `type` of a command.
const COMMAND: &str = "lingmou.command";
/// Value of `type` of a reply.
const REPLY: &str = "lingmou.reply";
/// Largest command or reply read, bytes without its signature: a configuration file is the most
/// either carries, and brokers take messages of 256 KiB.
pub const CONTENT_MAX: usize = 128 << 10;
/// Numbers above are not exact in every JSON reader (I-JSON, RFC 7493 section 2.2).
const SEQ_MAX: u64 = 1 << 53;
/// Longest verb, device id and nonce, characters.
const WORD_MAX: usize = 64;

/// What a person may have a box do. Each may all that the ones before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rank {
    /// Look.
    View,
    /// Look and speak recorded words.
    Operate,
    /// Everything.
    Admin,
}

impl Rank {
    /// The organizationalUnit of the certificate, and the word in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }

    fn of(unit: &str) -> Option<Self> {
        let all = [Self::View, Self::Operate, Self::Admin];
        all.into_iter().find(|rank| rank.name() == unit)
    }
}

/// Why a command or a reply does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Its signature or signer is not right.
    #[error("{0}")]
    Signature(#[from] SignatureError),
    /// It cannot be signed now; try again.
    #[error("{0}")]
    Sign(#[from] SignError),
    /// It is larger than [`CONTENT_MAX`].
    #[error("it is larger than {} KiB", CONTENT_MAX >> 10)]
    TooLarge,
    /// It is not the JSON this version defines.
    #[error("{0}")]
    Json(String),
    /// It is of another type or version.
    #[error("type {kind:?} version {v} is not supported by this program")]
    Version {
        /// Its `type`.
        kind: String,
        /// Its `v`.
        v: u32,
    },
    /// One of its fields cannot be one.
    #[error("its {0} cannot be one")]
    Field(&'static str),
    /// The reply is of another device than the one that was commanded.
    #[error("it is of device {named:?}, signed by {signer:?}, and {expected:?} was asked")]
    Device {
        /// Its `device`.
        named: String,
        /// serialNumber of the certificate.
        signer: String,
        /// The device that was asked.
        expected: String,
    },
}

/// The command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Format version, 1.
    pub v: u32,
    /// `lingmou.command`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `UUIDv7`: the same command is answered once, and the answer repeated.
    pub id: Uuid,
    /// The box it is for.
    pub device: String,
    /// Rises with each command of its signer.
    pub seq: u64,
    /// What to do.
    pub verb: String,
    /// What the verb needs.
    pub args: Value,
    /// After this it is refused, RFC 3339 UTC; at most five minutes ahead.
    pub not_after: String,
    /// The nonce of the box's state; what counts while the box's clock is not synchronised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
}

/// Who signed a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commander {
    /// The certificate.
    pub signer: Signer,
    /// What it permits.
    pub rank: Rank,
}

impl Command {
    /// `v` and `type` of what this program writes.
    pub const HEAD: (u32, &str) = (VERSION, COMMAND);

    /// Signs the command; gives the CMS.
    pub fn sign(&self, identity: &Identity, at: Stamp) -> Result<Vec<u8>, CommandError> {
        sign(self, identity, at)
    }

    /// Opens a command signed by somebody who may command boxes, for whom `roots` vouch.
    pub fn open(p7m: &[u8], roots: &Roots) -> Result<(Self, Commander), CommandError> {
        let (bytes, signer) = check_attached(p7m, roots, Usage::Operator)?;
        let command: Self = read(&bytes)?;
        head((command.v, &command.kind), Self::HEAD)?;
        let short = |text: &str| (1..=WORD_MAX).contains(&text.len());
        let fields = [
            ("device", short(&command.device)),
            ("seq", (1..SEQ_MAX).contains(&command.seq)),
            ("verb", short(&command.verb)),
            ("not_after", command.not_after_ms().is_some()),
            ("nonce", command.nonce.as_deref().is_none_or(short)),
        ];
        if let Some((field, _)) = fields.iter().find(|(_, fits)| !fits) {
            return Err(CommandError::Field(field));
        }
        let unit = signer.organizational_unit.as_deref().unwrap_or_default();
        let rank = Rank::of(unit).ok_or(CommandError::Field("signer's organizationalUnit"))?;
        Ok((command, Commander { signer, rank }))
    }

    /// `not_after`, UTC milliseconds.
    pub fn not_after_ms(&self) -> Option<i64> {
        let time: jiff::Timestamp = self.not_after.parse().ok()?;
        Some(time.as_millisecond())
    }
}

/// What became of a command or a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It was done.
    Done,
    /// It is not allowed, too late, or was not understood; nothing was done.
    Refused,
    /// This box cannot do it.
    Unsupported,
    /// It was tried and did not work.
    Failed,
    /// The box was restarted meanwhile: nobody knows whether it was done.
    Interrupted,
}

impl Fate {
    /// Every fate.
    pub const ALL: [Self; 5] = [
        Self::Done,
        Self::Refused,
        Self::Unsupported,
        Self::Failed,
        Self::Interrupted,
    ];

    /// The word in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Unsupported => "unsupported",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The reply of the box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Format version, 1.
    pub v: u32,
    /// `lingmou.reply`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The box.
    pub device: String,
    /// SHA-256 of the CMS this answers, lower-case hex.
    pub to: String,
    /// The command's id; a verdict's is its package's.
    pub id: Uuid,
    /// What became of it.
    pub outcome: Fate,
    /// Why, unless it was simply done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What was asked for, where the verb gives something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// The box's time, RFC 3339 UTC.
    pub at: String,
}

impl Reply {
    /// The reply of `device` at `at` to the command or verdict `id`, whose CMS has the SHA-256
    /// `to`.
    pub fn new(device: &str, (to, id): (&str, Uuid), outcome: Fate, at: Stamp) -> Self {
        Self {
            v: VERSION,
            kind: REPLY.to_owned(),
            device: device.to_owned(),
            to: to.to_owned(),
            id,
            outcome,
            why: None,
            result: None,
            at: clock::rfc3339_ms(at.utc_ns),
        }
    }

    /// Signs the reply; gives the CMS.
    pub fn sign(&self, identity: &Identity, at: Stamp) -> Result<Vec<u8>, CommandError> {
        sign(self, identity, at)
    }

    /// Opens the reply of `device`, for whose certificate `roots` vouch.
    pub fn open(p7m: &[u8], roots: &Roots, device: &str) -> Result<Self, CommandError> {
        let (bytes, signer) = check_attached(p7m, roots, Usage::Evidence)?;
        let reply: Self = read(&bytes)?;
        head((reply.v, &reply.kind), (VERSION, REPLY))?;
        let signed_by = signer.serial_number.unwrap_or_default();
        if reply.device != device || signed_by != device {
            return Err(CommandError::Device {
                named: reply.device,
                signer: signed_by,
                expected: device.to_owned(),
            });
        }
        Ok(reply)
    }

    /// Whether it answers the message with these bytes.
    pub fn answers(&self, p7m: &[u8]) -> bool {
        self.to == sha256_hex(p7m)
    }
}

fn sign(
    document: &impl Serialize,
    identity: &Identity,
    at: Stamp,
) -> Result<Vec<u8>, CommandError> {
    let bytes = serde_json::to_vec(document).map_err(|e| CommandError::Json(e.to_string()))?;
    if bytes.len() > CONTENT_MAX {
        return Err(CommandError::TooLarge);
    }
    Ok(identity.sign(&bytes, Form::Attached, at)?)
}

fn read<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, CommandError> {
    if bytes.len() > CONTENT_MAX {
        return Err(CommandError::TooLarge);
    }
    serde_json::from_slice(bytes).map_err(|e| CommandError::Json(e.to_string()))
}

fn head(found: (u32, &str), expected: (u32, &str)) -> Result<(), CommandError> {
    if found == expected {
        return Ok(());
    }
    Err(CommandError::Version {
        kind: found.1.to_owned(),
        v: found.0,
    })
}

//! The head of a package: checked before anything is written.

use std::path::Path;

use super::ReceiveError;
use crate::link::message::is_sha256;
use crate::witness::{Container, Limits, Roots, Statement, Status, Verdict, verify, verify_head};

/// Longest reason given, characters.
const WHY_MAX: usize = 500;

/// A head whose statement and signature can be named; verified unless it comes in a refusal.
#[derive(Clone)]
pub(super) struct Head {
    /// What it states.
    pub(super) statement: Statement,
    /// SHA-256 of its signature, lower-case hex.
    pub(super) sig_sha256: String,
    /// When it was signed, Unix seconds, and how far that clock might be off, microseconds; `None` when
    /// nobody vouched for the clock.
    pub(super) signed: Option<(i64, u64)>,
}

/// A head that is not taken.
pub(super) enum HeadError {
    /// It cannot even be said whose it is: nobody can be answered.
    Unreadable(String),
    /// It is refused, and its device can be told so.
    Refused {
        /// What it claims to be.
        head: Box<Head>,
        /// Why.
        why: String,
    },
}

impl Head {
    /// Reads and verifies the head that came on `device`'s topic.
    pub(super) fn open(zip: &[u8], device: &str, roots: &Roots) -> Result<Self, HeadError> {
        let container = Container::from_zip(zip, Limits::HEAD)
            .map_err(|error| HeadError::Unreadable(error.to_string()))?
            .head();
        let mut verdict = verify_head(&container, roots);
        let unreadable = |verdict: &Verdict| HeadError::Unreadable(failures(verdict));
        let Some(statement) = verdict.statement.take() else {
            return Err(unreadable(&verdict));
        };
        let Some(sig_sha256) = verdict.sig_sha256.take() else {
            return Err(unreadable(&verdict));
        };
        if statement.device.id != device {
            let why = format!("it is of device {:?}", statement.device.id);
            return Err(HeadError::Unreadable(why));
        }
        let sealing = statement.sealed.as_ref();
        let error_us = sealing.and_then(|sealing| sealing.max_error_us);
        let signed = verdict.signer.as_ref().map(|signer| signer.signing_time);
        let head = Self {
            statement,
            sig_sha256,
            signed: signed.zip(error_us),
        };
        if !verdict.valid() {
            return Err(HeadError::Refused {
                head: Box::new(head),
                why: failures(&verdict),
            });
        }
        match head.unfit() {
            Some(why) => Err(HeadError::Refused {
                head: Box::new(head),
                why,
            }),
            None => Ok(head),
        }
    }

    /// Verified, and yet nothing we could ask for or file.
    fn unfit(&self) -> Option<String> {
        let files = &self.statement.files;
        let bad = files.iter().find(|file| !is_sha256(&file.sha256));
        bad.map(|file| format!("{}: its SHA-256 is not one", file.name))
    }
}

/// The four files of the head as they came.
pub(super) fn parts(zip: &[u8]) -> Result<Container, ReceiveError> {
    Container::from_zip(zip, Limits::HEAD)
        .map(|container| container.head())
        .map_err(|error| ReceiveError::Disk(format!("head.zip: {error}")))
}

/// Verifies the whole package in `dir`; the inner error is for the device.
pub(super) fn check(dir: &Path, roots: &Roots) -> Result<Result<(), String>, ReceiveError> {
    let container = Container::from_dir(dir)
        .map_err(|error| ReceiveError::Disk(format!("{}: {error}", dir.display())))?;
    let verdict = verify(&container, roots);
    Ok(if verdict.valid() {
        Ok(())
    } else {
        Err(failures(&verdict))
    })
}

/// The failed checks, with what was found, for machines and engineers.
fn failures(verdict: &Verdict) -> String {
    let failed = verdict.checks.iter();
    let failed = failed.filter(|check| check.status == Status::Fail);
    let mut text = String::new();
    for check in failed {
        let found = serde_json::to_string(&check.findings).unwrap_or_default();
        let name = format!("{:?}", check.id).to_lowercase();
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(&name);
        text.push(' ');
        text.push_str(&found);
    }
    // Findings quote what came: keep a receipt small whatever that is.
    text.chars().take(WHY_MAX).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::types::Stamp;
    use crate::witness::{ASIC_E, Clock, MIMETYPE, SIGNATURE, STATEMENT, sha256_hex};

    /// A head that lists these files, as `frames/00.jpg` and so on.
    pub(in crate::receive) fn head(files: &[&[u8]]) -> Head {
        let files: Vec<_> = files.iter().map(|bytes| ("image/jpeg", *bytes)).collect();
        head_of(&files)
    }

    /// A head that lists these files, each with its media type.
    pub(in crate::receive) fn head_of(files: &[(&str, &[u8])]) -> Head {
        Head {
            statement: serde_json::from_value(statement(files)).unwrap(),
            sig_sha256: String::new(),
            signed: None,
        }
    }

    /// The same as it comes, under a made-up signature.
    pub(in crate::receive) fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut container = Container::new();
        let statement = statement(files).to_string();
        let parts = [
            (MIMETYPE, ASIC_E),
            (STATEMENT, statement.as_str()),
            (SIGNATURE, "signature"),
        ];
        for (name, text) in parts {
            container.insert(name, text.into()).unwrap();
        }
        container.to_zip()
    }

    fn statement(files: &[(&str, &[u8])]) -> serde_json::Value {
        let entry = |(n, (media_type, bytes)): (usize, &(&str, &[u8]))| {
            json!({
                "name": format!("frames/{n:02}.jpg"), "type": media_type,
                "size": bytes.len(), "sha256": sha256_hex(bytes),
            })
        };
        let files: Vec<_> = files.iter().enumerate().map(entry).collect();
        let at = Stamp {
            utc_ns: 1_785_549_784_567_000_000,
            boot_ns: 7,
            error_ns: 0,
        };
        json!({
            "v": 1, "type": "lingmou.capture", "id": "0198f0a2-0000-7000-8000-000000000001",
            "device": {"id": "LM-1", "tz": "Asia/Shanghai"}, "seq": 1,
            "journal": {"n": 1, "prev": "0".repeat(64)}, "warning": [], "clock": Clock::at(at),
            "asked": {
                "by": "CN=operator-1", "command": "0198f0a2-0000-7000-8000-000000000002",
                "command_sha256": "0".repeat(64), "at": "2026-08-01T02:03:04Z",
            },
            "camera": {"id": "cam0"}, "software": {"name": "lingmou", "version": "0"},
            "files": files,
        })
    }
}

//! Checks of what came after the sealing: receipt, journal lines, time-stamp, and whether all
//! times told fit together.

use super::finding::Finding;
use super::lines::{self, JournalLine};
use super::receipt::ReceiptVerdict;
use super::statement::Statement;
use super::timestamp::TimeStamp;
use super::verdict::{Check, CheckId, Correction, Status};
use super::verify::Examination;
use super::{SIGNATURE, sha256_hex};

/// Kind of the journal line that says how far the clock was off, and for which packages.
const CORRECTED: &str = "clock.corrected";

impl Examination<'_> {
    pub(super) fn check_receipt(&self) -> Check {
        let given: Vec<_> = [&self.receipt, &self.later_receipt]
            .into_iter()
            .flatten()
            .collect();
        if given.is_empty() {
            return Check::unknown(CheckId::Receipt, vec![Finding::NoReceipt]);
        }
        if let Some(error) = given.iter().find_map(|receipt| receipt.as_ref().err()) {
            return Check::fail(CheckId::Receipt, vec![error.finding()]);
        }
        let (Ok(statement), Some(signature)) = (&self.statement, self.container.get(SIGNATURE))
        else {
            return Check::not_reached(CheckId::Receipt);
        };
        let sig_sha256 = sha256_hex(signature);
        for (receipt, _) in given.into_iter().flatten() {
            let Statement {
                id, seq, device, ..
            } = statement;
            if let Err(error) = receipt.check_names(*id, &device.id, *seq, &sig_sha256) {
                return Check::fail(CheckId::Receipt, vec![error.finding()]);
            }
        }
        match &self.receipt {
            Some(Ok((receipt, _))) if receipt.verdict == ReceiptVerdict::Refused => {
                let why = receipt.why.clone().unwrap_or_default();
                Check::unknown(CheckId::Receipt, vec![Finding::ReceiptRefuses { why }])
            }
            Some(_) => Check::pass(CheckId::Receipt),
            // The later one says how many copies there are; it is the first that all else is bound to.
            None => Check::unknown(CheckId::Receipt, vec![Finding::NoReceipt]),
        }
    }

    pub(super) fn check_journal(&self) -> Check {
        let (Ok(statement), Some(signature)) = (&self.statement, self.container.get(SIGNATURE))
        else {
            return Check::not_reached(CheckId::Journal);
        };
        let head = match &self.receipt {
            Some(Ok((receipt, _))) => receipt.head.as_ref(),
            _ => None,
        };
        let sig_sha256 = sha256_hex(signature);
        lines::judge(self.lines.as_ref(), &statement.journal, &sig_sha256, head)
    }

    /// What the journal, where it holds, says about the clock this package was sealed by.
    pub(super) fn correction(&self) -> Option<Correction> {
        if self.check_journal().status != Status::Pass {
            return None;
        }
        let statement = self.statement.as_ref().ok()?;
        let id = statement.id.to_string();
        let signed = self.signature.as_ref().ok()?.signer.signing_time;
        let lines = self.lines.as_ref()?.as_ref().ok()?.lines();
        let about = |line: &&JournalLine| {
            let boot = line.body["boot_id"].as_str();
            let named = line.body["packages"].as_array();
            line.kind == CORRECTED
                && boot == statement.device.boot_id.as_deref()
                && is_about(&line.body, signed)
                && named.is_some_and(|ids| ids.iter().any(|named| *named == *id))
        };
        let line = lines.iter().rev().find(about)?;
        Some(Correction {
            n: line.n,
            offset_us: line.body["offset_us"].as_i64()?,
            error_us: line.body["error_us"].as_u64()?,
        })
    }

    /// When somebody else had signed that the device's signature is there, Unix seconds: the first receipt
    /// that is for this package, or the earliest time-stamp.
    pub(super) fn there_by(&self) -> Option<i64> {
        let receipt = match (&self.receipt, self.check_receipt().status) {
            (Some(Ok((receipt, _))), Status::Pass) => unix(&receipt.at),
            _ => None,
        };
        let stamp = self.additions.earliest().and_then(TimeStamp::latest);
        receipt.into_iter().chain(stamp).min()
    }

    /// The last known receipt before sealing, sealing before this package's receipt, as far as
    /// the stated clock error lets one say.
    pub(super) fn check_time(&self) -> Check {
        let (Ok(statement), Ok(opened)) = (&self.statement, &self.signature) else {
            return Check::not_reached(CheckId::Time);
        };
        let sealing = statement.sealed.as_ref();
        let Some(error_us) = sealing.and_then(|s| s.max_error_us) else {
            return Check::unknown(CheckId::Time, vec![Finding::ClockUnsynced]);
        };
        let secs = |error_us: u64| i64::try_from(error_us / 1_000_000).unwrap_or(i64::MAX / 4);
        // signingTime is told in whole seconds, and either side may be off by its error.
        let slack = secs(error_us) + 2;
        let sealed = opened.signer.signing_time;
        let mut findings = Vec::new();
        let after = statement.after.as_ref().and_then(|a| unix(&a.server_time));
        if after.is_some_and(|earlier| earlier.saturating_sub(slack) > sealed) {
            findings.push(contradiction("after.server_time", "signingTime"));
        }
        let stored = match &self.receipt {
            Some(Ok((receipt, _))) => unix(&receipt.at),
            _ => None,
        };
        if stored.is_some_and(|later| sealed.saturating_sub(slack) > later) {
            findings.push(contradiction("signingTime", "receipt.at"));
        }
        let stamped = self.additions.earliest().and_then(TimeStamp::latest);
        if stamped.is_some_and(|later| sealed.saturating_sub(slack) > later) {
            findings.push(contradiction("signingTime", "genTime"));
        }
        // That was read earlier, perhaps when nobody vouched for the clock.
        let earlier = statement.clock.max_error_us.zip(unix(&statement.clock.utc));
        let earliest = earlier.map(|(error_us, utc)| utc.saturating_sub(slack + secs(error_us)));
        if earliest.is_some_and(|earliest| earliest > sealed) {
            findings.push(contradiction("clock.utc", "signingTime"));
        }
        if findings.is_empty() {
            Check::pass(CheckId::Time)
        } else {
            Check::fail(CheckId::Time, findings)
        }
    }
}

/// Whether a time that the box told, Unix seconds, is of the time that a line `clock.corrected` with
/// this body is about. The line is written a little after the clock was set: it also names what
/// was signed in between, by the clock that was right already.
fn is_about(body: &serde_json::Value, told: i64) -> bool {
    let bound = |key: &str| body[key].as_str().and_then(unix);
    let (from, to) = (bound("from"), bound("to"));
    from.is_some_and(|from| from <= told) && to.is_some_and(|to| told <= to)
}

fn contradiction(earlier: &str, later: &str) -> Finding {
    Finding::TimeContradiction {
        earlier: earlier.to_owned(),
        later: later.to_owned(),
    }
}

fn unix(rfc3339: &str) -> Option<i64> {
    rfc3339
        .parse::<jiff::Timestamp>()
        .ok()
        .map(jiff::Timestamp::as_second)
}

//! How long the box's certificates hold, and whether a verifier takes them: said in the log some days
//! before the end and at it, and when it changes, and in the status all the time.
//!
//! After the end of the evidence certificate no verifier takes what is signed, because nobody vouches
//! for the key any more: nothing is judged, nobody is warned and nothing is signed (`eye`, `keeper`).
//! One that a verifier would not take for another reason, because it is on the box's list of revoked ones
//! say, goes on signing: the list may be wrong, and what is not sealed cannot be had later (decision 0073).
//! After the end of the transport certificate no broker takes a connection, and packages wait on the disk.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::types::{Stamp, lock};
use crate::witness::Installed;

/// Days before the end at which it is said; 0 is the end.
const SAID_AT: [i64; 6] = [0, 1, 7, 14, 30, 60];
const DAY_NS: i64 = 86_400 * 1_000_000_000;

/// The certificates in place, as last read.
#[derive(Debug, Default)]
pub(super) struct Terms(Mutex<BTreeMap<&'static str, Term>>);

#[derive(Debug)]
struct Term {
    certificate: Installed,
    /// The command that brought it; `None`: it is the box's file.
    command: Option<Uuid>,
    /// UTC, nanoseconds.
    end_ns: i64,
    /// Which of [`SAID_AT`] was said last.
    said: Option<i64>,
    /// Why no verifier takes what it signs.
    untrusted: Option<String>,
}

impl Term {
    fn new(certificate: Installed, command: Option<Uuid>) -> Option<Self> {
        let end: jiff::Timestamp = certificate.not_after.parse().ok()?;
        let end_ns = end.as_second().saturating_mul(1_000_000_000);
        Some(Self {
            certificate,
            command,
            end_ns,
            said: None,
            untrusted: None,
        })
    }

    /// The least of [`SAID_AT`] that has been reached.
    fn due(&self, now: Stamp) -> Option<i64> {
        let left_ns = self.end_ns.saturating_sub(now.utc_ns);
        SAID_AT.into_iter().find(|days| left_ns < days * DAY_NS)
    }

    fn days_left(&self, now: Stamp) -> i64 {
        self.end_ns.saturating_sub(now.utc_ns).div_euclid(DAY_NS)
    }
}

impl Terms {
    /// Takes in the certificate in place under `name`, and the command that brought it. Gives the days of [`SAID_AT`] once when
    /// they are reached, after saying so in the log.
    pub(super) fn take(
        &self,
        name: &'static str,
        (certificate, command): (&Installed, Option<Uuid>),
        now: Stamp,
    ) -> Option<i64> {
        let mut terms = lock(&self.0);
        let known = terms
            .get(name)
            .map(|term| (&term.certificate, term.command));
        if known != Some((certificate, command)) {
            terms.insert(name, Term::new(certificate.clone(), command)?);
        }
        let term = terms.get_mut(name)?;
        let due = term.due(now)?;
        if term.said.is_some_and(|said| said <= due) {
            return None;
        }
        term.said = Some(due);
        let (not_after, days_left) = (&term.certificate.not_after, term.days_left(now));
        if due > 0 {
            tracing::warn!(name, not_after, days_left, "a certificate ends soon");
        } else {
            tracing::error!(name, not_after, "a certificate has ended");
        }
        Some(due)
    }

    /// Takes in why no verifier takes what the certificate `name` signs; `None`: one does.
    pub(super) fn judge(&self, name: &str, why: Option<&str>) {
        let mut terms = lock(&self.0);
        let Some(term) = terms.get_mut(name) else {
            return;
        };
        if term.untrusted.as_deref() == why {
            return;
        }
        term.untrusted = why.map(ToOwned::to_owned);
        if let Some(why) = why {
            tracing::error!(
                name,
                why,
                "no verifier with roots.crt, and the list beside it, takes what this certificate signs"
            );
        } else {
            tracing::info!(name, "a verifier takes what this certificate signs again");
        }
    }

    /// For the status: by name `not_after`, `days_left`, `expired`, why it is `untrusted`, and the
    /// `command` that brought it.
    pub(super) fn snapshot(&self, now: Stamp) -> Value {
        let terms = lock(&self.0);
        let told = terms.iter().map(|(name, term)| {
            let said = json!({
                "not_after": term.certificate.not_after,
                "days_left": term.days_left(now),
                "expired": term.due(now) == Some(0),
                "untrusted": term.untrusted,
                "command": term.command,
            });
            ((*name).to_owned(), said)
        });
        Value::Object(told.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END_SECS: i64 = 1_785_542_400;

    fn certificate(not_after: &str) -> Installed {
        Installed {
            certificate_sha256: String::new(),
            subject: "CN=x".to_owned(),
            common_name: None,
            not_after: not_after.to_owned(),
        }
    }

    /// So many seconds before the end.
    fn before(secs: i64) -> Stamp {
        Stamp {
            utc_ns: (END_SECS - secs) * 1_000_000_000,
            boot_ns: 0,
            error_ns: 0,
        }
    }

    #[test]
    fn an_end_is_said_once_at_each_of_its_days_and_the_status_says_it_all_the_time() {
        let terms = Terms::default();
        let one = certificate("2026-08-01T00:00:00.000Z");
        let day = 86_400;
        for (secs_left, said, days_left, expired) in [
            (61 * day, None, 61, false),
            (60 * day, None, 60, false),
            (60 * day - 1, Some(60), 59, false),
            (31 * day, None, 31, false),
            (29 * day, Some(30), 29, false),
            (29 * day, None, 29, false),
            // Off for weeks: only the nearest is said.
            (day / 2, Some(1), 0, false),
            (0, None, 0, false),
            (-1, Some(0), -1, true),
            (-9 * day, None, -9, true),
        ] {
            let now = before(secs_left);
            assert_eq!(
                terms.take("evidence", (&one, None), now),
                said,
                "{secs_left}"
            );
            let told = &terms.snapshot(now)["evidence"];
            assert_eq!(told["days_left"], days_left, "{secs_left}");
            assert_eq!(told["expired"], expired, "{secs_left}");
        }
        // Another one, or another name, begins anew.
        let next = certificate("2027-08-01T00:00:00Z");
        assert_eq!(terms.take("evidence", (&next, None), before(-day)), None);
        assert_eq!(terms.snapshot(before(-day))["evidence"]["days_left"], 364);
        assert_eq!(terms.take("transport", (&one, None), before(-day)), Some(0));
    }
}

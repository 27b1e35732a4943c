//! Restarts of the whole box by command: how many, and what became of one.
//!
//! ```text
//! line reboot.begun, with the boot's id ─▶ the program ─▶ the system ends us like everybody
//!   ─▶ the next start compares the ids, and answers
//! ```
//! Nothing is done again by itself: a line without an answer is looked at, not carried out, so that
//! no crash makes a box that restarts for ever.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::clock;
use crate::journal::kind;
use crate::store::Ended;
use crate::types::{Stamp, is_same_boot, lock};
use crate::warn::told_by_program;
use crate::witness::Fate;

use super::{Errands, blocking, ended};

/// How often a day a box is restarted by command.
const PER_DAY: usize = 3;
const DAY_MS: i64 = 86_400_000;
/// A system that goes down on order has ended this program within this time.
const DOWN_WITHIN: Duration = Duration::from_mins(2);
/// A new boot later than this after the order may have another cause, milliseconds.
const BACK_WITHIN_MS: i64 = 3_600_000;
/// Orders remembered: those that count for the day, and those that are not answered yet.
const REMEMBERED: usize = 2 * PER_DAY;

/// Body of the line [`kind::REBOOT_BEGUN`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::daemon) struct Begun {
    /// The command.
    command: Uuid,
    /// Who gave it: the subject of the certificate.
    by: String,
    /// The boot that is to end.
    boot_id: String,
}

/// What was ordered lately, with the UTC milliseconds of each order.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Reboots(Mutex<VecDeque<(i64, Begun)>>);

impl Reboots {
    /// Takes in an order that is in the journal; `at` as its line tells it, RFC 3339.
    pub(in crate::daemon) fn recall(&self, at: &str, begun: Begun) {
        let at: Option<Timestamp> = at.parse().ok();
        let at_ms = at.map_or(i64::MIN, Timestamp::as_millisecond);
        let mut orders = self.lock();
        orders.push_back((at_ms, begun));
        if orders.len() > REMEMBERED {
            orders.pop_front();
        }
    }

    /// Whether another may be ordered. An order that seems to lie ahead counts: the clock may have
    /// been set back.
    fn allowed(&self, now: Stamp) -> Result<(), String> {
        let since = now.utc_ms() - DAY_MS;
        let lately = self.lock().iter().filter(|(at, _)| *at > since).count();
        if lately < PER_DAY {
            return Ok(());
        }
        Err(format!(
            "the box was told to restart {PER_DAY} times within 24 hours; more often does not help"
        ))
    }

    /// What became of the order of `command`, seen from a start under `boot_id`; `None` when there
    /// was no such order.
    pub(super) fn became(&self, command: Uuid, boot_id: &str, now: Stamp) -> Option<Ended> {
        let orders = self.lock();
        let (at_ms, begun) = orders.iter().find(|(_, begun)| begun.command == command)?;
        let after_ms = now.utc_ms().saturating_sub(*at_ms);
        let told = |outcome, why: &str| Ended {
            outcome,
            why: Some(why.to_owned()),
            result: None,
        };
        let same_boot = is_same_boot(&begun.boot_id, boot_id);
        Some(if same_boot == Some(true) {
            let why = "the program was started again, but the box was not";
            told(Fate::Failed, why)
        } else if same_boot.is_none() {
            let why = "whether the box was started again is not known: the kernel hides the id of \
                       the boot";
            told(Fate::Interrupted, why)
        } else if after_ms > BACK_WITHIN_MS {
            let why = "the box was started again so much later that it may have another cause";
            told(Fate::Interrupted, why)
        } else {
            Ended {
                outcome: Fate::Done,
                why: None,
                result: Some(json!({ "boot_id_before": begun.boot_id, "boot_id": boot_id })),
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(i64, Begun)>> {
        lock(&self.0)
    }
}

impl Errands {
    /// Has the whole box restarted: the system then ends this program as at any shutdown, and the next
    /// start says what became of it. Comes back only when that fails.
    pub(super) async fn reboot(&self, command: Uuid, by: String) -> Result<Value, Ended> {
        let program = &self.loaded.config.commands.reboot;
        if program.is_empty() {
            let why = "[commands] reboot names no program on this box";
            return Err(ended(Fate::Unsupported, why));
        }
        let at = clock::now();
        let allowed = self.reboots.allowed(at);
        allowed.map_err(|why| ended(Fate::Refused, why))?;
        let begun = Begun {
            command,
            by,
            boot_id: clock::boot_id().to_owned(),
        };
        // Counted first: a program that fails all the time is not tried for ever.
        self.reboots
            .recall(&clock::rfc3339_ms(at.utc_ns), begun.clone());
        let store = self.store();
        let said = blocking(move || store.note(at, kind::REBOOT_BEGUN, json!(begun))).await;
        said.map_err(|error| ended(Fate::Failed, error.to_string()))?;
        tracing::warn!("the whole box is restarted by command");
        let down = async {
            told_by_program(program).await?;
            tokio::time::sleep(DOWN_WITHIN).await;
            Ok::<(), String>(())
        };
        let secs = DOWN_WITHIN.as_secs();
        let why = match tokio::time::timeout(2 * DOWN_WITHIN, down).await {
            Ok(Err(why)) => why,
            Ok(Ok(())) => format!("the box was still up {secs} s after it was told to restart"),
            Err(_elapsed) => "the program that restarts the box does not end".to_owned(),
        };
        Err(ended(Fate::Failed, why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDERED: &str = "2026-08-01T02:03:04Z";
    const ORDERED_MS: i64 = 1_785_549_784_000;

    fn begun(command: u128) -> Begun {
        Begun {
            command: Uuid::from_u128(command),
            by: "CN=admin-1".to_owned(),
            boot_id: "before".to_owned(),
        }
    }

    fn after(ms: i64) -> Stamp {
        Stamp {
            utc_ns: (ORDERED_MS + ms) * 1_000_000,
            boot_ns: 0,
            error_ns: 0,
        }
    }

    #[test]
    fn only_another_boot_soon_after_the_order_is_its_doing() {
        let reboots = Reboots::default();
        reboots.recall(ORDERED, begun(7));
        // Command, boot, milliseconds after the order, outcome.
        let table = [
            (7, "before", 20_000, Some(Fate::Failed)),
            (7, "now", 90_000, Some(Fate::Done)),
            // Without a battery the clock is behind until it is set.
            (7, "now", -500_000_000, Some(Fate::Done)),
            (7, "now", BACK_WITHIN_MS, Some(Fate::Done)),
            (7, "now", BACK_WITHIN_MS + 1, Some(Fate::Interrupted)),
            // The kernel hides which boot it is.
            (7, "unknown", 90_000, Some(Fate::Interrupted)),
            (8, "now", 90_000, None),
        ];
        for (command, boot_id, ms, outcome) in table {
            let became = reboots.became(Uuid::from_u128(command), boot_id, after(ms));
            let told = became.as_ref().map(|ended| ended.outcome);
            assert_eq!(told, outcome, "{command} {boot_id} {ms}");
            let result = became.and_then(|ended| ended.result);
            let ids = json!({ "boot_id_before": "before", "boot_id": "now" });
            assert_eq!(
                result,
                (outcome == Some(Fate::Done)).then_some(ids),
                "{boot_id} {ms}"
            );
        }
    }

    #[test]
    fn three_a_day_over_restarts_and_a_clock_that_was_set_back() {
        let reboots = Reboots::default();
        for n in 1..=3 {
            assert_eq!(reboots.allowed(after(0)), Ok(()), "the {n}th");
            reboots.recall(ORDERED, begun(n));
        }
        for (ms, allowed) in [
            (0, false),
            (-DAY_MS, false),
            (DAY_MS - 1, false),
            (DAY_MS, true),
        ] {
            assert_eq!(reboots.allowed(after(ms)).is_ok(), allowed, "{ms}");
        }
        // What it remembers is bounded, and the newest is among it.
        for n in 4..100 {
            reboots.recall(ORDERED, begun(n));
        }
        assert_eq!(reboots.lock().len(), REMEMBERED);
        let newest = reboots.became(Uuid::from_u128(99), "now", after(1));
        assert_eq!(newest.map(|ended| ended.outcome), Some(Fate::Done));
    }
}

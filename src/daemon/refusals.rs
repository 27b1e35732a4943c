//! Evidence that could not be kept, counted for the status and the journal: a line when it begins, a
//! line with the count when it is over, and one an hour between; not one per picture. It is over when
//! something was kept again and a new case would be too.

use std::time::Duration;

use serde_json::{Value, json};

use crate::clock;
use crate::journal::kind;
use crate::store::{Level, StoreError};
use crate::types::{Order, Stamp};

use super::keeper::Keeper;

/// How often a trouble that goes on is told.
const AGAIN_AFTER: Duration = Duration::from_hours(1);
/// How often the journal is tried while it cannot be written itself.
const TRY_AFTER: Duration = Duration::from_secs(30);

/// One time of trouble.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Since when, and of what kind it was the last time.
    since: Option<(Stamp, &'static str)>,
    /// Orders refused since then.
    count: u64,
    told: Option<Stamp>,
    tried: Option<Stamp>,
}

/// The kind of trouble that keeps evidence from being kept; `None` for any other error.
fn trouble(error: &StoreError) -> Option<&'static str> {
    match error {
        StoreError::Full { .. } => Some("full"),
        StoreError::Shut { .. } => Some("quota"),
        StoreError::ReadOnly(_) => Some("read_only"),
        StoreError::Io(_) => Some("failing"),
        _ => None,
    }
}

impl Refusals {
    /// Takes in how an order went; gives the line that is due, told by [`Refusals::told`].
    pub(super) fn take(&mut self, done: Result<(), &StoreError>, now: Stamp) -> Option<Value> {
        match (done.err().and_then(trouble), self.since) {
            (None, None) => return None,
            (None, Some(_)) if done.is_err() => return None,
            (None, Some(_)) => return self.due(now, true),
            (Some(kind), began) => {
                let since = began.map_or(now, |(since, _)| since);
                self.since = Some((since, kind));
            }
        }
        self.count += 1;
        self.due(now, false)
    }

    fn due(&mut self, now: Stamp, over: bool) -> Option<Value> {
        let (since, kind) = self.since?;
        let rested = |at: Option<Stamp>, pause| at.is_none_or(|at| now.since(at) >= pause);
        let again = rested(self.told, AGAIN_AFTER) && rested(self.tried, TRY_AFTER);
        if !(over || again) {
            return None;
        }
        self.tried = Some(now);
        Some(json!({
            "disk": kind,
            "refused": self.count,
            "since": clock::rfc3339_ms(since.utc_ns),
            "over": over,
        }))
    }

    /// Whether evidence could not be kept when it was tried last.
    fn lasts(&self) -> bool {
        self.since.is_some()
    }

    /// The line that [`Refusals::take`] gave at `now` is in the journal.
    pub(super) fn told(&mut self, now: Stamp, over: bool) {
        if over {
            *self = Self::default();
        } else {
            self.told = Some(now);
        }
    }
}

impl Keeper {
    /// Counts how often evidence could not be kept. `kept`: the order did keep something; a case of
    /// which nothing is there ends well without.
    pub(super) fn count_refused(
        &mut self,
        order: &Order,
        done: Result<(), &StoreError>,
        kept: bool,
    ) {
        let keeps = matches!(
            order,
            Order::Snap { .. } | Order::Clip { .. } | Order::Seal { .. }
        );
        let over = done.is_ok();
        if !keeps || (over && self.refusals.lasts() && !(kept && self.takes_new_cases())) {
            return;
        }
        if let Some(kind) = done.err().and_then(trouble) {
            self.store
                .lose(|losses| *losses.refused.entry(kind).or_default() += 1);
        }
        let now = clock::now();
        let line = self.refusals.take(done, now);
        if let Some(line) = line
            && self.store.note(now, kind::CAPTURE_REFUSED, line).is_ok()
        {
            self.refusals.told(now, over);
        }
    }

    /// A case that had begun is finished in a store that is full; no other would begin.
    fn takes_new_cases(&self) -> bool {
        let room = self.store.room();
        room.is_ok_and(|room| room.level() < Level::Shut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Stamp {
        Stamp {
            utc_ns: 0,
            boot_ns: secs * 1_000_000_000,
            error_ns: 0,
        }
    }

    #[test]
    fn a_trouble_is_told_when_it_begins_each_hour_and_when_it_is_over() {
        type Row<'a> = (u64, Result<(), &'a StoreError>, bool, Option<(u64, bool)>);

        let full = StoreError::Full { free: 0, need: 1 };
        let other = StoreError::Invariant(String::new());
        let mut refusals = Refusals::default();
        // Moment, what the store said, whether the journal takes a line, the line's count.
        let table: [Row<'_>; 13] = [
            (0, Ok(()), true, None),
            (1, Err(&other), true, None),
            (2, Err(&full), false, Some((1, false))),
            (3, Err(&full), true, None),
            (33, Err(&full), true, Some((3, false))),
            (34, Err(&full), true, None),
            (35, Err(&other), true, None),
            (3632, Err(&full), true, None),
            (3633, Err(&full), true, Some((6, false))),
            (3700, Ok(()), false, Some((6, true))),
            (3701, Ok(()), true, Some((6, true))),
            (3702, Ok(()), true, None),
            (3703, Err(&full), true, Some((1, false))),
        ];
        for (secs, done, taken, expected) in table {
            let line = refusals.take(done, at(secs));
            let told = line.as_ref().map(|line| {
                assert_eq!(line["disk"], "full");
                let over = line["over"].as_bool().unwrap();
                (line["refused"].as_u64().unwrap(), over)
            });
            assert_eq!(told, expected, "at {secs} s");
            if let Some((_, over)) = told
                && taken
            {
                refusals.told(at(secs), over);
            }
        }
    }

    /// A disk that fills up and then fails: who reads the newest line must not look for room.
    #[test]
    fn each_line_names_the_trouble_that_was_met_last() {
        let full = StoreError::Full { free: 0, need: 1 };
        let failing = StoreError::Io(String::new());
        let mut refusals = Refusals::default();
        let mut disk = |secs, done: Result<(), &StoreError>| {
            let line = refusals.take(done, at(secs));
            if let Some(line) = &line {
                refusals.told(at(secs), line["over"] == true);
            }
            line.map(|line| line["disk"].as_str().unwrap().to_owned())
        };
        assert_eq!(disk(0, Err(&full)).as_deref(), Some("full"));
        assert_eq!(disk(1, Err(&failing)), None);
        assert_eq!(disk(3600, Err(&failing)).as_deref(), Some("failing"));
        assert_eq!(disk(3601, Err(&full)), None);
        assert_eq!(disk(3602, Ok(())).as_deref(), Some("full"));
        assert_eq!(disk(3603, Err(&failing)).as_deref(), Some("failing"));
    }
}

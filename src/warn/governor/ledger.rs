//! What was said and stopped, as the journal tells it.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::types::{CaseId, Stamp, is_same_boot};

/// Announcements remembered: more than the largest budget of a day.
const SAID_MAX: usize = 512;

/// Who wants something to be said, or stops it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A rule, by itself.
    Rule,
    /// A person: the name as it was proved, or the way the order came.
    Person(String),
}

impl By {
    pub(super) fn is_person(&self) -> bool {
        matches!(self, Self::Person(_))
    }
}

impl std::fmt::Display for By {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rule => f.write_str("a rule"),
            Self::Person(name) => f.write_str(name),
        }
    }
}

/// The moment of a line by every clock, and who is behind it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Line {
    by: By,
    utc_us: i64,
    boottime_us: u64,
    /// `null`: nobody vouched for the clock.
    max_error_us: Option<u64>,
}

impl Line {
    pub(super) fn new(at: Stamp, by: &By) -> Self {
        Self {
            by: by.clone(),
            utc_us: at.utc_ns.div_euclid(1_000),
            boottime_us: at.boot_ns / 1_000,
            max_error_us: (at.error_ns != Stamp::ERROR_UNKNOWN).then_some(at.error_ns / 1_000),
        }
    }

    /// UTC nanoseconds at the latest, where the clock was vouched for.
    fn utc_by(&self) -> Option<i64> {
        let by_us = self.utc_us.checked_add_unsigned(self.max_error_us?);
        by_us?.checked_mul(1_000)
    }
}

/// An announcement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Said {
    pub(super) zone: String,
    pub(super) case: Option<CaseId>,
    pub(super) clip_sha256: String,
    /// Whether it was, or may have been, in quiet hours.
    pub(super) night: bool,
}

/// When a line was written, as far as it is known. How long ago that was is asked anew each time: a
/// clock that was not set when the journal was read may be by now.
#[derive(Clone, Copy, Debug)]
struct Moment {
    /// Whether it was in this boot; `None`: the kernel does not tell boots apart.
    this_boot: Option<bool>,
    /// On the clock of its own boot, nanoseconds.
    boot_ns: u64,
    /// UTC nanoseconds at the latest, as its own clock told or the next that was vouched for.
    utc_by: Option<i64>,
}

impl Moment {
    fn now(at: Stamp, line: &Line) -> Self {
        Self {
            this_boot: Some(true),
            boot_ns: at.boot_ns,
            utc_by: line.utc_by(),
        }
    }

    /// How long before `now` it was: exact within one boot, otherwise the least that it can be.
    fn age(self, now: Stamp) -> Duration {
        let in_one_boot = now.boot_ns.saturating_sub(self.boot_ns);
        let by_boot = match self.this_boot {
            Some(true) => return Duration::from_nanos(in_one_boot),
            // Before this boot began.
            Some(false) => now.boot_ns,
            None => in_one_boot,
        };
        let utc_by = self.utc_by.filter(|_| now.error_ns != Stamp::ERROR_UNKNOWN);
        let by_utc = utc_by.map_or(0, |by| {
            // As young as both clocks allow.
            let age = now.utc_ns.saturating_sub(by);
            u64::try_from(age.saturating_sub_unsigned(now.error_ns)).unwrap_or(0)
        });
        Duration::from_nanos(by_boot.max(by_utc))
    }
}

/// A person's stop.
#[derive(Clone, Debug)]
pub struct Stop {
    by: String,
    when: Moment,
    lasts: Duration,
}

impl Stop {
    /// Who stopped the loudspeaker.
    pub fn by(&self) -> &str {
        &self.by
    }

    /// How long that still holds; `None` when it is over.
    pub fn left(&self, now: Stamp) -> Option<Duration> {
        let left = self.lasts.checked_sub(self.when.age(now))?;
        (!left.is_zero()).then_some(left)
    }
}

/// Everything said and stopped that may still count.
#[derive(Debug)]
pub struct Ledger {
    boot_id: String,
    said: VecDeque<(Moment, Said)>,
    stopped: Option<(Moment, String)>,
}

impl Ledger {
    /// Nothing was said yet, in the boot `boot_id`.
    pub fn new(boot_id: &str) -> Self {
        Self {
            boot_id: boot_id.to_owned(),
            said: VecDeque::new(),
            stopped: None,
        }
    }

    /// Takes in a line about an announcement that was charged ([`super::Governor::charge`]).
    pub fn recall_said(&mut self, body: &Value) {
        let said = Said::deserialize(body).ok();
        if let (Some((when, _)), Some(said)) = (self.recall(body), said) {
            self.keep(when, said);
        }
    }

    /// Takes in a line about a stop ([`super::Governor::stop`]).
    pub fn recall_stopped(&mut self, body: &Value) {
        if let Some((when, line)) = self.recall(body) {
            self.stopped = Some((when, line.by.to_string()));
        }
    }

    /// Takes in that the journal's next line was written no later than `utc_ns`, by a clock that was
    /// vouched for. Lines stand in true order: what nobody could date before was not later either.
    pub fn no_later_than(&mut self, utc_ns: i64) {
        let said = self.said.iter_mut().map(|(when, _)| when);
        let stopped = self.stopped.iter_mut().map(|(when, _)| when);
        for when in said.chain(stopped) {
            when.utc_by.get_or_insert(utc_ns);
        }
    }

    fn recall(&mut self, body: &Value) -> Option<(Moment, Line)> {
        let line = Line::deserialize(body).ok()?;
        let boot_id = body.get("boot_id").and_then(Value::as_str);
        let utc_by = line.utc_by();
        if let Some(utc_ns) = utc_by {
            self.no_later_than(utc_ns);
        }
        let when = Moment {
            this_boot: boot_id.and_then(|id| is_same_boot(id, &self.boot_id)),
            boot_ns: line.boottime_us.saturating_mul(1_000),
            utc_by,
        };
        Some((when, line))
    }

    pub(super) fn say(&mut self, at: Stamp, line: &Line, said: Said) -> Value {
        let body = self.body(line, Some(&said));
        self.keep(Moment::now(at, line), said);
        body
    }

    pub(super) fn stop(&mut self, at: Stamp, line: &Line) -> Value {
        self.stopped = Some((Moment::now(at, line), line.by.to_string()));
        self.body(line, None)
    }

    /// What was said within `time` before `now`.
    pub(super) fn within(&self, now: Stamp, time: Duration) -> impl Iterator<Item = &Said> {
        let young = move |when: Moment| when.age(now) < time;
        let said = self.said.iter();
        said.filter(move |(when, _)| young(*when))
            .map(|(_, said)| said)
    }

    /// The last stop, which holds for `lasts`.
    pub(super) fn stopped(&self, lasts: Duration) -> Option<Stop> {
        let (when, by) = self.stopped.clone()?;
        Some(Stop { by, when, lasts })
    }

    fn keep(&mut self, when: Moment, said: Said) {
        if self.said.len() == SAID_MAX {
            self.said.pop_front();
        }
        self.said.push_back((when, said));
    }

    fn body(&self, line: &Line, said: Option<&Said>) -> Value {
        let mut body = serde_json::to_value(line).expect("invariant: plain data");
        let said = serde_json::to_value(said).expect("invariant: plain data");
        if let (Value::Object(body), Value::Object(said)) = (&mut body, said) {
            body.extend(said);
        }
        body["boot_id"] = self.boot_id.as_str().into();
        body
    }
}

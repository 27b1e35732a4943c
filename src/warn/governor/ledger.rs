//! What was said and stopped, as the journal tells it.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::types::{CaseId, Stamp};

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

/// When something was, on the clock of the boot that counts now: negative before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct When(i64);

impl When {
    fn age(self, now: Stamp) -> Duration {
        let now = i64::try_from(now.boot_ns).unwrap_or(i64::MAX);
        Duration::from_nanos(u64::try_from(now.saturating_sub(self.0)).unwrap_or(0))
    }
}

/// Everything said and stopped that may still count.
#[derive(Debug)]
pub struct Ledger {
    boot_id: String,
    /// Now, when an earlier run's lines are read.
    read_at: Stamp,
    said: VecDeque<(When, Said)>,
    stopped: Option<(When, String)>,
}

impl Ledger {
    /// Nothing was said yet, in the boot `boot_id`, at `now`.
    pub fn new(boot_id: &str, now: Stamp) -> Self {
        Self {
            boot_id: boot_id.to_owned(),
            read_at: now,
            said: VecDeque::new(),
            stopped: None,
        }
    }

    /// Takes in a line about an announcement that was charged ([`super::Governor::charge`]).
    pub fn recall_said(&mut self, body: &Value) {
        let said = Said::deserialize(body).ok();
        if let (Some(when), Some(said)) = (self.when(body), said) {
            self.keep(when, said);
        }
    }

    /// Takes in a line about a stop ([`super::Governor::stop`]).
    pub fn recall_stopped(&mut self, body: &Value) {
        let by = Line::deserialize(body).ok().map(|line| line.by.to_string());
        if let (Some(when), Some(by)) = (self.when(body), by) {
            self.stopped = Some((when, by));
        }
    }

    /// When the line was, as this boot counts: by the boot clock within one boot; in another by
    /// UTC where both ends are vouched for; otherwise as late as it can have been.
    fn when(&self, body: &Value) -> Option<When> {
        let line = Line::deserialize(body).ok()?;
        let nanos = |us: u64| i64::try_from(us.saturating_mul(1_000)).unwrap_or(i64::MAX);
        if body.get("boot_id").and_then(Value::as_str) == Some(self.boot_id.as_str()) {
            return Some(When(nanos(line.boottime_us)));
        }
        let now = i64::try_from(self.read_at.boot_ns).unwrap_or(i64::MAX);
        let trusted = self.read_at.error_ns != Stamp::ERROR_UNKNOWN;
        let age = line.max_error_us.filter(|_| trusted).map_or(0, |error| {
            let age = self
                .read_at
                .utc_ns
                .saturating_sub(line.utc_us.saturating_mul(1_000));
            // As young as both clocks allow.
            let error = nanos(error).saturating_add_unsigned(self.read_at.error_ns);
            age.saturating_sub(error).max(0)
        });
        Some(When(now.saturating_sub(age)))
    }

    pub(super) fn say(&mut self, at: Stamp, line: &Line, said: Said) -> Value {
        let body = self.body(line, Some(&said));
        self.keep(of(at), said);
        body
    }

    pub(super) fn stop(&mut self, at: Stamp, line: &Line) -> Value {
        self.stopped = Some((of(at), line.by.to_string()));
        self.body(line, None)
    }

    /// What was said within `time` before `now`.
    pub(super) fn within(&self, now: Stamp, time: Duration) -> impl Iterator<Item = &Said> {
        let young = move |when: &When| when.age(now) < time;
        let said = self.said.iter();
        said.filter(move |(when, _)| young(when))
            .map(|(_, said)| said)
    }

    /// Who stopped it, and what is left of `time` since.
    pub(super) fn stopped(&self, now: Stamp, time: Duration) -> Option<(String, Duration)> {
        let (when, by) = self.stopped.as_ref()?;
        let left = time.checked_sub(when.age(now))?;
        (!left.is_zero()).then(|| (by.clone(), left))
    }

    fn keep(&mut self, when: When, said: Said) {
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

fn of(at: Stamp) -> When {
    When(i64::try_from(at.boot_ns).unwrap_or(i64::MAX))
}

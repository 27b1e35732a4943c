//! Did the loudspeaker play in a certain time? What the lines say of it, and whether a *no* can be
//! believed: lines are in true order, but their times are only as good as the clock that told them.

#[cfg(test)]
pub(crate) mod tests;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;

use super::{Audit, Entry, kind};

/// A loudspeaker may take this long until it begins.
const BEGINS_WITHIN: SignedDuration = SignedDuration::from_secs(10);

/// What happened at the loudspeaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    /// Said to its end.
    Said,
    /// A horn's tone sounded.
    Tone,
    /// Not said, or not to its end.
    BrokenOff,
    /// Begun, and the box went down before it said what became of it.
    CutOff,
    /// Not to be said.
    Hushed,
    /// A person stopped the loudspeaker.
    Stopped,
}

impl What {
    /// Whether something sounded, or may have.
    pub(crate) fn sounded(self, played_ms: u64) -> bool {
        match self {
            Self::Said | Self::Tone | Self::CutOff => true,
            Self::BrokenOff => played_ms > 0,
            Self::Hushed | Self::Stopped => false,
        }
    }
}

/// Something that happened at the loudspeaker.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) at: Timestamp,
    pub(crate) what: What,
    /// The journal line that says it.
    pub(crate) n: u64,
    pub(crate) played_ms: u64,
    /// When it was over at the latest; `None`: nobody knows.
    until: Option<Timestamp>,
    pub(crate) body: Value,
}

/// Whether the loudspeaker played in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Played {
    /// It did, or may have.
    Yes,
    /// It did not: every line of that time is there and can be believed.
    No,
    /// No line says so, but not all that could say it are there.
    NotKnown,
}

/// What the box has signed of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signed {
    /// Nobody asked.
    NotAsked,
    /// Everything up to this line.
    UpTo(u64),
}

/// The journal's answer for a time.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) events: Vec<Event>,
    /// Begun, and what became of it not read yet.
    begun: Option<Event>,
    /// First and last line that a synchronised clock has told.
    pub(crate) first: Option<Timestamp>,
    pub(crate) last: Option<Timestamp>,
    /// Whether the clock was synchronised, as last said.
    synced: bool,
    /// A boot has begun, and of its clock nothing was said yet.
    booting: bool,
    /// The last line before this one that a synchronised clock has told. Lines stand in the order
    /// of true time, whatever they say themselves.
    trusted: Option<Timestamp>,
    /// Whether none of the lines that no synchronised clock has told, or one that was set, can be of
    /// the time asked for.
    pub(crate) vouched: bool,
    /// How near to the time asked for something sounded that is not of it, as the lines tell it.
    nearest: Option<SignedDuration>,
    /// The first trusted line that is not before the end of the time asked for.
    reached: Option<u64>,
    pub(crate) signed: Signed,
    /// Where the chain of lines is broken; set by whoever walked it.
    pub(crate) broken: Option<String>,
}

impl Account {
    /// Of `from` up to, and not with, `to`.
    pub(crate) fn new(from: Timestamp, to: Timestamp) -> Self {
        Self {
            from,
            to,
            events: Vec::new(),
            begun: None,
            first: None,
            last: None,
            synced: false,
            booting: false,
            trusted: None,
            vouched: true,
            nearest: None,
            reached: None,
            signed: Signed::NotAsked,
            broken: None,
        }
    }

    /// Takes the next line of the journal.
    pub(crate) fn take(&mut self, entry: &Entry) {
        let Ok(at) = entry.at.parse::<Timestamp>() else {
            return;
        };
        let began = entry.body["at"].as_str().and_then(|at| at.parse().ok());
        let began: Timestamp = began.unwrap_or(at);
        let played_ms = entry.body["played_ms"].as_u64().unwrap_or_default();
        let event = |what| Event {
            at: began,
            what,
            n: entry.head.n,
            played_ms,
            until: Some(later(began, millis(played_ms))),
            body: entry.body.clone(),
        };
        match entry.kind.as_str() {
            kind::CLOCK => self.clock(at, &entry.body),
            kind::BOOT => {
                self.cut_off(Some(at));
                self.booting = true;
            }
            kind::WARNING_BEGUN => {
                self.cut_off(Some(at));
                // How much of it sounded nobody knows: all of it, as far as its length is told.
                let length = entry.body["length_ms"].as_u64().map(millis);
                self.begun = Some(Event {
                    until: length.map(|length| later(later(began, BEGINS_WITHIN), length)),
                    ..event(What::CutOff)
                });
            }
            kind::WARNING_PLAYED => self.ended(event(What::Said)),
            kind::WARNING_TONE => self.ended(event(What::Tone)),
            kind::WARNING_FAILED => self.ended(event(What::BrokenOff)),
            kind::WARNING_HUSHED => self.keep(event(What::Hushed)),
            kind::WARNING_STOPPED => self.keep(event(What::Stopped)),
            _ => {}
        }
        let told_at_work = !kind::BEFORE_BOOT.contains(&entry.kind.as_str());
        if self.synced && !self.booting && told_at_work {
            self.trusted = Some(at);
            if at >= self.to {
                self.reached.get_or_insert(entry.head.n);
            }
            self.first = Some(self.first.map_or(at, |first| first.min(at)));
            self.last = Some(self.last.map_or(at, |last| last.max(at)));
        }
    }

    /// The clock is synchronised from `at` on, or is not. What was told in between lies, whatever
    /// times it has, between the last trusted line before and the first after. And when a trusted
    /// clock was set, all that was told before may be of an hour that is off by that.
    fn clock(&mut self, at: Timestamp, body: &Value) {
        let synced = body["synced"] == true;
        if synced && !self.synced && at > self.from {
            self.doubt();
        }
        let step = body["step_us"].as_i64().map(SignedDuration::from_micros);
        if let Some(step) = step.filter(|_| self.synced) {
            if self.nearest.is_some_and(|nearest| nearest <= step.abs()) {
                self.vouched = false;
            }
            if step.is_negative() {
                // How far the lines reach is told by the right clock.
                (self.last, self.reached) = (None, None);
            }
        }
        (self.synced, self.booting) = (synced, false);
    }

    /// Lines that no synchronised clock has told begin with the last trusted one.
    fn doubt(&mut self) {
        if self.trusted.is_none_or(|trusted| trusted < self.to) {
            self.vouched = false;
        }
    }

    /// What was begun has ended.
    fn ended(&mut self, event: Event) {
        self.begun = None;
        self.keep(event);
    }

    /// What was begun was never told to have ended; it had, `by` then.
    fn cut_off(&mut self, by: Option<Timestamp>) {
        if let Some(begun) = self.begun.take() {
            let until = begun.until.or(by);
            self.keep(Event { until, ..begun });
        }
    }

    /// That was the last line.
    pub(crate) fn end(&mut self) {
        self.cut_off(None);
        if !self.synced || self.booting {
            self.doubt();
        }
    }

    /// Keeps what began in the time asked for, or still sounded at its beginning.
    fn keep(&mut self, event: Event) {
        let still = event.until.is_none_or(|until| until > self.from);
        if event.at < self.to && (event.at >= self.from || still) {
            self.events.push(event);
        } else if event.what.sounded(event.played_ms) {
            let gap = if event.at < self.from {
                self.from.duration_since(event.until.unwrap_or(event.at))
            } else {
                event.at.duration_since(self.to)
            };
            let nearest = self.nearest.map_or(gap, |nearest| nearest.min(gap));
            self.nearest = Some(nearest);
        }
    }

    /// Takes in what holds of the chain and its signatures.
    pub(crate) fn vouch(&mut self, audit: &Audit) {
        let signed = audit.signed.as_ref();
        self.signed = Signed::UpTo(signed.map_or(0, |signed| signed.n));
        self.broken = self.broken.take().or_else(|| audit.faults.first().cloned());
    }

    /// Whether a line says that something sounded, or may have.
    pub(crate) fn sounded(&self) -> bool {
        self.events.iter().any(|e| e.what.sounded(e.played_ms))
    }

    pub(crate) fn played(&self) -> Played {
        match (self.sounded(), self.covered()) {
            (true, _) => Played::Yes,
            (false, true) => Played::No,
            (false, false) => Played::NotKnown,
        }
    }

    /// Whether all lines of the time asked for are there: there are some from before and from
    /// after, none is missing in the chain, none can be of another time than it says, and, where that
    /// was asked, the box has signed them.
    pub(crate) fn covered(&self) -> bool {
        self.spanned() && self.vouched && self.broken.is_none() && self.is_signed() != Some(false)
    }

    /// Whether there are lines of a synchronised clock from before and from after.
    pub(crate) fn spanned(&self) -> bool {
        self.first.is_some_and(|first| first <= self.from) && self.reached.is_some()
    }

    /// Whether the box has signed every line up to the end of the time asked for; `None`: nobody asked.
    pub(crate) fn is_signed(&self) -> Option<bool> {
        match self.signed {
            Signed::NotAsked => None,
            Signed::UpTo(n) => Some(self.reached.is_some_and(|reached| reached <= n)),
        }
    }
}

fn millis(ms: u64) -> SignedDuration {
    SignedDuration::from_millis(i64::try_from(ms).unwrap_or(i64::MAX))
}

/// Saturates at the end of the calendar.
fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

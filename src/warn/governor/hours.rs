//! The hours of the day: when it is quiet, and how loud it may be.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::config::{self, Day, Span};
use crate::types::Stamp;

/// A clock this far off does not tell the hour.
pub(super) const ERROR_MAX_NS: u64 = 30 * 60 * 1_000_000_000;
const MINUTE_NS: i64 = 60 * 1_000_000_000;

/// The time zone is not known here.
#[derive(Debug, thiserror::Error)]
#[error("time zone {0:?} is not known here; the package tzdata must be installed")]
pub struct UnknownZone(String);

/// Quiet hours and volumes.
#[derive(Debug)]
pub(super) struct Hours {
    zone: TimeZone,
    volume: f64,
    quiet: Option<Span>,
    more: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    zones: Vec<String>,
    days: Vec<Day>,
    span: Span,
    volume: f64,
}

impl Entry {
    fn holds(&self, date: Date, minute: u16) -> bool {
        let began = self.span.began(date, minute);
        began.is_some_and(|day| self.days.is_empty() || self.days.iter().any(|d| d.is(day)))
    }

    fn concerns(&self, zone: &str) -> bool {
        self.zones.is_empty() || self.zones.iter().any(|z| z == zone)
    }
}

impl Hours {
    pub(super) fn new(config: &config::Warn, zone: &str) -> Result<Self, UnknownZone> {
        let entry = |h: &config::Hours| {
            Some(Entry {
                zones: h.zones.clone(),
                days: h.days.iter().filter_map(|day| Day::parse(day)).collect(),
                span: Span::between(&h.from, &h.to)?,
                volume: h.volume.clamp(0.0, 1.0),
            })
        };
        Ok(Self {
            zone: TimeZone::get(zone).map_err(|_unknown| UnknownZone(zone.to_owned()))?,
            volume: config.volume.clamp(0.0, 1.0),
            quiet: Span::between(&config.quiet_from, &config.quiet_to),
            more: config.hours.iter().filter_map(entry).collect(),
        })
    }

    /// The volume in `zone` from a moment on for so long; for a person the hours that are silent do
    /// not count. `None` when it depends on the hour and the clock does not tell it.
    pub(super) fn volume(
        &self,
        (at, lasts): (Stamp, Duration),
        zone: &str,
        person: bool,
    ) -> Option<f64> {
        let concerned = || self.more.iter().filter(|e| e.concerns(zone));
        if self.quiet.is_none() && concerned().next().is_none() {
            return Some(self.volume);
        }
        let moments = self.moments(at, lasts)?;
        let quiet = moments.iter().any(|&m| self.is_quiet(m));
        let mut volume = if quiet && !person { 0.0 } else { self.volume };
        for entry in concerned() {
            let counts = !person || entry.volume > 0.0;
            if counts
                && moments
                    .iter()
                    .any(|&(date, minute)| entry.holds(date, minute))
            {
                volume = volume.min(entry.volume);
            }
        }
        Some(volume)
    }

    /// The lowest volume that is a sound at all, for a person at an unknown hour.
    pub(super) fn lowest(&self, zone: &str) -> f64 {
        let others = self.more.iter().filter(|e| e.concerns(zone));
        others
            .map(|e| e.volume)
            .filter(|&v| v > 0.0)
            .fold(self.volume, f64::min)
    }

    /// Whether `at` is in quiet hours, or may be.
    pub(super) fn is_night(&self, at: Stamp) -> bool {
        let Some(moments) = self.moments(at, Duration::ZERO) else {
            return self.quiet.is_some();
        };
        moments.iter().any(|&m| self.is_quiet(m))
    }

    fn is_quiet(&self, (_, minute): (Date, u16)) -> bool {
        self.quiet.is_some_and(|span| span.contains(minute))
    }

    /// Days and minutes, local time, from the earliest that `at` can be to the latest that it is
    /// `lasts` later; `None` when the clock does not tell the hour.
    fn moments(&self, at: Stamp, lasts: Duration) -> Option<Vec<(Date, u16)>> {
        let error = i64::try_from(at.error_ns).ok()?;
        if at.error_ns > ERROR_MAX_NS {
            return None;
        }
        let lasts = i64::try_from(lasts.as_nanos()).ok()?;
        let first = at.utc_ns.checked_sub(error)?;
        let last = at.utc_ns.checked_add(error)?.checked_add(lasts)?;
        let local = |utc_ns: i64| {
            let utc = Timestamp::from_nanosecond(utc_ns.into()).ok()?;
            let local = utc.to_zoned(self.zone.clone());
            let minute =
                u16::try_from(local.hour()).ok()? * 60 + u16::try_from(local.minute()).ok()?;
            Some((local.date(), minute))
        };
        let minutes = std::iter::successors(Some(first), |ns| ns.checked_add(MINUTE_NS));
        let minutes = minutes.take_while(|ns| *ns < last);
        minutes.chain([last]).map(local).collect()
    }
}

//! The calendar: holidays, and what is permitted where and when. A file of its own, because the
//! bureau writes it and the technician does not.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::hours::{Day, Times};
use crate::types::{Area, Point, Role, RoleSet, Stamp};

/// The file `judge.calendar` names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CalendarFile {
    /// Days on which people do not work though the week says so, `YYYY-MM-DD`.
    pub(super) holidays: Vec<String>,
    /// Days on which people work though the week says otherwise.
    pub(super) workdays: Vec<String>,
    /// `[[permit]]`
    pub(super) permit: Vec<PermitEntry>,
}

/// `[[permit]]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PermitEntry {
    /// The bureau's number of it, unique; the journal names it.
    pub(super) id: String,
    /// The zones it is for.
    pub(super) zones: Vec<String>,
    /// What may stand there; empty: whatever the rule looks for.
    pub(super) roles: Vec<Role>,
    /// The part of the zone it is for, three corners or more; empty: the whole zone.
    pub(super) place: Vec<Point>,
    /// The days; empty: every day.
    pub(super) days: Vec<Day>,
    /// The hours, `HH:MM-HH:MM`; empty: the whole day.
    pub(super) hours: Vec<String>,
    /// First day, `YYYY-MM-DD`; empty: it has no beginning.
    pub(super) from: String,
    /// Last day; empty: it has no end.
    pub(super) until: String,
}

/// Local time, days on which people work, and permits: what judgement needs to know of the world
/// outside the picture, resolved once so that it reads neither clock nor file.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    /// SHA-256 of the file's bytes, lower-case hex; `None` without a file.
    pub sha256: Option<String>,
    time_zone: TimeZone,
    holidays: BTreeSet<Date>,
    workdays: BTreeSet<Date>,
    permits: Vec<Permit>,
}

/// One permit, ready to be asked.
#[derive(Clone, Debug, PartialEq)]
struct Permit {
    id: String,
    zones: Vec<String>,
    roles: RoleSet,
    place: Vec<Point>,
    times: Times,
    days: (Date, Date),
}

impl Calendar {
    /// The calendar of a file that was checked, in `time_zone`.
    pub(super) fn new(file: &CalendarFile, time_zone: TimeZone, sha256: Option<String>) -> Self {
        Self {
            sha256,
            time_zone,
            holidays: file.holidays.iter().filter_map(|d| day(d)).collect(),
            workdays: file.workdays.iter().filter_map(|d| day(d)).collect(),
            permits: file.permit.iter().map(Permit::new).collect(),
        }
    }

    /// A calendar without holidays and permits.
    pub fn plain(time_zone: TimeZone) -> Self {
        Self::new(&CalendarFile::default(), time_zone, None)
    }

    /// Local time of a moment, at both ends of what its clock may be off; `None` when nobody vouches
    /// for the clock.
    pub fn local(&self, at: Stamp) -> Option<[DateTime; 2]> {
        let at = Some(at).filter(|at| at.error_ns != Stamp::ERROR_UNKNOWN)?;
        let (utc, error) = (i128::from(at.utc_ns), i128::from(at.error_ns));
        let local = |utc: i128| {
            let at = Timestamp::from_nanosecond(utc).ok()?;
            Some(self.time_zone.to_datetime(at))
        };
        Some([local(utc - error)?, local(utc + error)?])
    }

    /// Whether `times` hold at local time `at`.
    pub fn hold(&self, times: &Times, at: DateTime) -> bool {
        times.hold(at, |date| self.is_workday(date), |_| true)
    }

    /// The permit that covers a thing of `roles` at `area` in `zone`. What is in doubt is permitted:
    /// what is permitted at one end of what the clock may be off, or, when the time is not known,
    /// at any time; and a thing of no known class, which may be what any of its permits is for.
    pub fn permit(
        &self,
        zone: &str,
        roles: RoleSet,
        area: Area,
        at: Option<[DateTime; 2]>,
    ) -> Option<&str> {
        let is_for = |permit: &&Permit| permit.roles.is_empty() || permit.roles.meets(roles);
        let covers = |permit: &&Permit| {
            let here = permit.place.is_empty() || area.foot().is_in(&permit.place);
            let (first, last) = permit.days;
            let within = |date: Date| (first..=last).contains(&date);
            let hold = |at| permit.times.hold(at, |date| self.is_workday(date), within);
            let now = at.is_none_or(|ends| ends.into_iter().any(hold));
            permit.zones.iter().any(|z| z == zone) && here && now
        };
        let mut covering = self.permits.iter().filter(covers);
        let named = covering.clone().find(is_for);
        let permit = named.or_else(|| covering.next().filter(|_| roles.is_only(Role::Object)));
        permit.map(|p| p.id.as_str())
    }

    /// Numbers of the permits for `zone`, with what each names; nothing is whatever the rule looks for.
    pub fn permits_in<'a>(&'a self, zone: &'a str) -> impl Iterator<Item = (&'a str, RoleSet)> {
        let for_zone = move |permit: &&Permit| permit.zones.iter().any(|z| z == zone);
        let permits = self.permits.iter().filter(for_zone);
        permits.map(|permit| (permit.id.as_str(), permit.roles))
    }

    /// Whether people work on that day.
    pub(super) fn is_workday(&self, date: Date) -> bool {
        let weekend = matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday);
        self.workdays.contains(&date) || !weekend && !self.holidays.contains(&date)
    }
}

impl Permit {
    fn new(entry: &PermitEntry) -> Self {
        Self {
            id: entry.id.clone(),
            zones: entry.zones.clone(),
            roles: entry.roles.iter().copied().collect(),
            place: entry.place.clone(),
            times: Times::new(&entry.days, &entry.hours),
            days: entry.dates(),
        }
    }
}

impl PermitEntry {
    /// First and last day.
    pub(super) fn dates(&self) -> (Date, Date) {
        let first = day(&self.from).unwrap_or(Date::MIN);
        (first, day(&self.until).unwrap_or(Date::MAX))
    }
}

/// The day `text` names.
pub(super) fn day(text: &str) -> Option<Date> {
    text.parse().ok()
}

//! Checks of the calendar: what its days, hours and permits mean, and whether two permits speak of
//! the same thing at the same time.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span as Time, Unit};

use super::Checker;
use super::polygon::{fault, overlap};
use crate::config::calendar::{Calendar, CalendarFile, PermitEntry};
use crate::config::hours::Span;
use crate::config::mistake::meant;
use crate::config::{Config, ZoneKind};
use crate::types::RoleSet;

/// So many days are looked at one by one; more hold every kind of day there is.
const DAYS_MAX: i32 = 400;
const WEEK: [Weekday; 7] = [
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
    Weekday::Sunday,
];

pub(super) fn check(file: &CalendarFile, config: &Config, checker: &mut Checker<'_, '_>) {
    for (key, days) in [("holidays", &file.holidays), ("workdays", &file.workdays)] {
        for day in days {
            checker.day(key, day);
        }
    }
    if let Some(day) = file.workdays.iter().find(|d| file.holidays.contains(d)) {
        checker.say(
            "workdays",
            format!("\"{day}\" is a holiday as well"),
            "a day in one of the two lists",
            "remove it from one of them",
        );
    }
    let calendar = Calendar::new(file, TimeZone::UTC, None);
    for (i, permit) in file.permit.iter().enumerate() {
        one(permit, i, config, checker);
        let days = |date| !on(permit, date, &calendar).is_empty();
        let (first, last) = permit.dates();
        let few = few((first, last)).filter(|_| first <= last);
        if few.is_some_and(|dates| !dates.into_iter().any(days)) {
            checker.say(
                &format!("permit[{i}]"),
                "it never holds: none of its days lies between from and until",
                "days on which it holds",
                "look at days, from and until, and at the holidays of this file",
            );
        }
    }
    let ids: Vec<&str> = file.permit.iter().map(|p| p.id.as_str()).collect();
    checker.unique(&ids, |i| format!("permit[{i}].id"));
    for (i, permit) in file.permit.iter().enumerate() {
        let earlier = file.permit[..i].iter().zip(0..);
        if let Some((other, n)) = earlier
            .into_iter()
            .find(|(p, _)| same(p, permit, &calendar))
        {
            let line = checker.source.line_of(&format!("permit[{n}]"));
            checker.say(
                &format!("permit[{i}]"),
                format!("it overlaps with \"{}\" of line {line}", other.id),
                "one permit for one thing, place and time",
                "narrow its zones, roles, place, days or hours, or remove one of them",
            );
        }
    }
}

fn one(permit: &PermitEntry, i: usize, config: &Config, checker: &mut Checker<'_, '_>) {
    let key = |name: &str| format!("permit[{i}].{name}");
    if permit.id.is_empty() {
        let fix = "for example id = \"WB-2026-017\"";
        checker.say(&key("id"), "missing", "the number of the permit", fix);
    }
    if permit.zones.is_empty() {
        let fix = "for example zones = [\"shop-12\"]";
        checker.say(&key("zones"), "missing", "zones of the configuration", fix);
    }
    let judged = |kind: ZoneKind| matches!(kind, ZoneKind::NoVending | ZoneKind::ShopFront);
    let zones = || config.zone.iter().filter(|z| judged(z.kind));
    let known = || zones().map(|z| z.name.as_str());
    for name in permit.zones.iter().map(String::as_str) {
        if !known().any(|zone| zone == name) {
            let fix = meant(name, known()).map_or_else(
                || "name a zone of kind no_vending or shop_front".to_owned(),
                |name| format!("did you mean \"{name}\"?"),
            );
            checker.say(
                &key("zones"),
                format!("there is no such zone \"{name}\""),
                format!("a zone ({})", known().collect::<Vec<_>>().join(", ")),
                fix,
            );
        }
    }
    let roving = zones().find(|z| permit.zones.contains(&z.name) && !config.is_in_place(z));
    if !permit.place.is_empty()
        && let Some(zone) = roving
    {
        checker.say(
            &key("place"),
            format!(
                "the camera of zone \"{}\" moves, and the place with it",
                zone.name
            ),
            "a place only in zones of cameras that stand still",
            "leave it out: the permit then holds in the whole zone, wherever the box is",
        );
    }
    if !permit.place.is_empty()
        && let Some([what, fix]) = fault(&permit.place)
    {
        let expected = "three or more corners [x, y], 0 to 1 from the top left, in order";
        checker.say(&key("place"), what, expected, fix);
    }
    for hours in &permit.hours {
        checker.hours(&key("hours"), hours);
    }
    checker.day(&key("from"), &permit.from);
    checker.day(&key("until"), &permit.until);
    let (first, last) = permit.dates();
    if first > last {
        let fix = "exchange from and until";
        checker.say(
            &key("until"),
            "it ends before it begins",
            "a later day",
            fix,
        );
    }
}

/// Whether two permits cover one thing at one moment.
fn same(a: &PermitEntry, b: &PermitEntry, calendar: &Calendar) -> bool {
    let roles = |p: &PermitEntry| p.roles.iter().copied().collect::<RoleSet>();
    let things = a.roles.is_empty() || b.roles.is_empty() || roles(a).meets(roles(b));
    let places = a.place.is_empty() || b.place.is_empty() || overlap(&a.place, &b.place);
    a.zones.iter().any(|zone| b.zones.contains(zone)) && things && places && meet(a, b, calendar)
}

/// Whether there is a minute in which both hold.
fn meet(a: &PermitEntry, b: &PermitEntry, calendar: &Calendar) -> bool {
    let (a_days, b_days) = (a.dates(), b.dates());
    let (first, last) = (a_days.0.max(b_days.0), a_days.1.min(b_days.1));
    let common = |a: &[Minutes], b: &[Minutes]| {
        let meet = |x: &Minutes, y: &Minutes| x.start.max(y.start) < x.end.min(y.end);
        a.iter().any(|x| b.iter().any(|y| meet(x, y)))
    };
    if let Some(dates) = few((first, last)) {
        let both = |date| common(&on(a, date, calendar), &on(b, date, calendar));
        return dates.into_iter().any(both);
    }
    // A day is told by its weekday, by whether people work on it, and by whether they did the day
    // before: that day's nights reach into it.
    let works = [true, false];
    let kinds = WEEK.into_iter().flat_map(|weekday| {
        let kinds = works
            .into_iter()
            .flat_map(move |today| works.map(|before| (today, before)));
        kinds.map(move |(today, before)| (weekday, today, before))
    });
    kinds.into_iter().any(|(weekday, today, before)| {
        let [a, b] = [a, b].map(|permit| {
            let days = (
                is_for(permit, weekday, today),
                is_for(permit, weekday.previous(), before),
            );
            minutes(permit, days)
        });
        common(&a, &b)
    })
}

/// The days from the first to the one after the last, into which its night reaches; `None` when these
/// are many.
fn few((first, last): (Date, Date)) -> Option<Vec<Date>> {
    let last = last.tomorrow().ok()?;
    let days = first.until((Unit::Day, last)).ok()?.get_days();
    (days <= DAYS_MAX).then(|| {
        first
            .series(Time::new().days(1))
            .take_while(|date| *date <= last)
            .collect()
    })
}

/// Minutes of a day.
type Minutes = std::ops::Range<u16>;

/// The minutes of a date on which a permit holds.
fn on(permit: &PermitEntry, date: Date, calendar: &Calendar) -> Vec<Minutes> {
    let (first, last) = permit.dates();
    let holds = |date: Date| {
        (first..=last).contains(&date) && is_for(permit, date.weekday(), calendar.is_workday(date))
    };
    let before = date.yesterday().is_ok_and(holds);
    minutes(permit, (holds(date), before))
}

fn is_for(permit: &PermitEntry, weekday: Weekday, work: bool) -> bool {
    permit.days.is_empty() || permit.days.iter().any(|day| day.is(weekday, work))
}

/// The minutes of a day on which a permit holds, which is for that day or not, and for the day before.
fn minutes(permit: &PermitEntry, (today, yesterday): (bool, bool)) -> Vec<Minutes> {
    let whole = ["00:00-24:00".to_owned()];
    let hours: &[String] = if permit.hours.is_empty() {
        &whole
    } else {
        &permit.hours
    };
    let mut list = Vec::new();
    for span in hours.iter().filter_map(|h| Span::parse(h)) {
        let [first, next] = span.parts();
        list.extend(Some(first).filter(|part| today && !part.is_empty()));
        list.extend(Some(next).filter(|part| yesterday && !part.is_empty()));
    }
    list
}

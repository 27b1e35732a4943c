//! Checks of the calendar: what its days, hours and permits mean, and whether two permits speak of
//! the same thing at the same time.

use jiff::civil::Weekday;

use super::Checker;
use super::polygon::{fault, overlap};
use crate::config::calendar::{CalendarFile, PermitEntry};
use crate::config::hours::Span;
use crate::config::mistake::meant;
use crate::config::{Config, ZoneKind};
use crate::types::RoleSet;

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
    for (i, permit) in file.permit.iter().enumerate() {
        one(permit, i, config, checker);
    }
    let ids: Vec<&str> = file.permit.iter().map(|p| p.id.as_str()).collect();
    checker.unique(&ids, |i| format!("permit[{i}].id"));
    for (i, permit) in file.permit.iter().enumerate() {
        let earlier = file.permit[..i].iter().zip(0..);
        if let Some((other, n)) = earlier.into_iter().find(|(p, _)| same(p, permit)) {
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
fn same(a: &PermitEntry, b: &PermitEntry) -> bool {
    let roles = |p: &PermitEntry| p.roles.iter().copied().collect::<RoleSet>();
    let things = a.roles.is_empty() || b.roles.is_empty() || roles(a).meets(roles(b));
    let places = a.place.is_empty() || b.place.is_empty() || overlap(&a.place, &b.place);
    let (a_days, b_days) = (a.dates(), b.dates());
    a.zones.iter().any(|zone| b.zones.contains(zone))
        && things
        && places
        && a_days.0 <= b_days.1
        && b_days.0 <= a_days.1
        && times_meet(a, b)
}

/// Whether there is a kind of day with a minute on which both hold.
fn times_meet(a: &PermitEntry, b: &PermitEntry) -> bool {
    // A day is told by its weekday, by whether people work on it, and by whether they did the day
    // before: that day's nights reach into it.
    let works = [true, false];
    WEEK.into_iter().any(|weekday| {
        works.iter().any(|&work| {
            works.iter().any(|&before| {
                let [a, b] = [a, b].map(|p| spans(p, weekday, work, before));
                let meet = |x: &std::ops::Range<u16>, y: &std::ops::Range<u16>| {
                    x.start.max(y.start) < x.end.min(y.end)
                };
                a.iter().any(|x| b.iter().any(|y| meet(x, y)))
            })
        })
    })
}

/// The minutes of such a day on which a permit holds.
fn spans(
    permit: &PermitEntry,
    weekday: Weekday,
    work: bool,
    before: bool,
) -> Vec<std::ops::Range<u16>> {
    let on = |weekday: Weekday, work: bool| {
        permit.days.is_empty() || permit.days.iter().any(|d| d.is(weekday, work))
    };
    let (today, yesterday) = (on(weekday, work), on(weekday.previous(), before));
    let whole = ["00:00-24:00".to_owned()];
    let hours: &[String] = if permit.hours.is_empty() {
        &whole
    } else {
        &permit.hours
    };
    let mut list = Vec::new();
    for span in hours.iter().filter_map(|h| Span::parse(h)) {
        let [first, next] = span.parts();
        list.extend(Some(first).filter(|_| today));
        list.extend(Some(next).filter(|_| yesterday));
    }
    list
}

//! Checks of `[warn]`: loudspeaker, clips, how often and when it may speak.

use super::Checker;
use crate::config::mistake::meant;
use crate::config::{Config, Day, Hours, SpeakerKind, minute_of_day};

pub(super) fn check(config: &Config, checker: &mut Checker<'_, '_>) {
    let warn = &config.warn;
    for (key, value) in [
        ("warn.volume", warn.volume),
        ("warn.margin_secs", warn.margin_secs),
        ("warn.speed_max_kmh", warn.speed_max_kmh),
        ("warn.stop_secs", warn.stop_secs),
    ] {
        checker.range(key, value);
    }
    let budget = &warn.budget;
    for (key, value) in [
        ("warn.budget.per_case", budget.per_case),
        ("warn.budget.per_place_hour", budget.per_place_hour),
        ("warn.budget.per_place_day", budget.per_place_day),
        ("warn.budget.per_hour", budget.per_hour),
        ("warn.budget.per_day", budget.per_day),
        ("warn.budget.per_night", budget.per_night),
    ] {
        checker.range(key, f64::from(value));
    }
    time(checker, "warn.quiet_from", &warn.quiet_from);
    time(checker, "warn.quiet_to", &warn.quiet_to);
    for (i, entry) in warn.hours.iter().enumerate() {
        hours(config, &format!("warn.hours[{i}]"), entry, checker);
    }
    if warn.speaker.kind == SpeakerKind::File && warn.speaker.path.as_os_str().is_empty() {
        checker.say(
            "warn.speaker.path",
            "missing",
            "the file that takes the sound, because kind = \"file\"",
            "for example path = \"spoken.wav\"",
        );
    }
    if warn.speaker.kind == SpeakerKind::None {
        return;
    }
    // Both are read at start, whichever rule is switched off.
    for (key, path) in [
        ("warn.street_vending", &warn.street_vending),
        ("warn.out_of_store", &warn.out_of_store),
    ] {
        checker.file(key, path, "name the recorded warning, a WAV file");
    }
}

fn hours(config: &Config, table: &str, entry: &Hours, checker: &mut Checker<'_, '_>) {
    let key = |name: &str| format!("{table}.{name}");
    time(checker, &key("from"), &entry.from);
    time(checker, &key("to"), &entry.to);
    if minute_of_day(&entry.from).is_some() && entry.from == entry.to {
        checker.say(
            &key("to"),
            format!("\"{}\" is also the beginning", entry.to),
            "another time than from",
            "from = \"00:00\" and to = \"24:00\" are the whole day",
        );
    }
    checker.range(&key("volume"), entry.volume);
    for day in entry.days.iter().filter(|day| Day::parse(day).is_none()) {
        checker.say(
            &key("days"),
            format!("\"{day}\" is not a day"),
            "mon, tue, wed, thu, fri, sat, sun or YYYY-MM-DD",
            "for example days = [\"2027-06-07\", \"2027-06-08\"]",
        );
    }
    let known: Vec<&str> = config.zone.iter().map(|zone| zone.name.as_str()).collect();
    for zone in entry.zones.iter().filter(|z| !known.contains(&z.as_str())) {
        let fix = match meant(zone, known.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "the name of a [[zone]], or leave zones out for all".to_owned(),
        };
        let what = format!("there is no zone \"{zone}\"");
        checker.say(&key("zones"), what, "names of zones", fix);
    }
}

fn time(checker: &mut Checker<'_, '_>, key: &str, text: &str) {
    if minute_of_day(text).is_none() {
        checker.say(
            key,
            format!("\"{text}\" is not a time of day"),
            "HH:MM, from 00:00 to 24:00",
            "for example \"07:00\"",
        );
    }
}

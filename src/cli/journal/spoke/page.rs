//! The answer in words and as JSON.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::super::plain;
use crate::journal::spoke::{Account, Event, Played, Signed, What};

pub(super) fn json(account: &Account, zone: &str) -> Value {
    let event = |event: &Event| {
        json!({
            "at": event.at.to_string(),
            "what": event.what,
            "n": event.n,
            "body": event.body,
        })
    };
    json!({
        "from": account.from.to_string(),
        "to": account.to.to_string(),
        "time_zone": zone,
        "sounded": account.sounded(),
        "covered": account.covered(),
        "clock_vouched": account.vouched,
        "broken": account.broken,
        "signed": account.is_signed(),
        "events": account.events.iter().map(event).collect::<Vec<_>>(),
    })
}

/// The answer for a human, in local time.
pub(super) fn page(account: &Account, zone: &TimeZone) -> String {
    let local = |at: Timestamp| {
        let local = at.to_zoned(zone.clone());
        local.strftime("%Y-%m-%d %H:%M:%S").to_string()
    };
    let line = |event: &Event| format!("{}  {}", local(event.at), words(event));
    let mut page: Vec<String> = account.events.iter().map(line).collect();
    let (from, to) = (local(account.from), local(account.to));
    let played = account.played();
    let (answer, did) = match played {
        Played::Yes => ("YES", "sounded, or may have"),
        Played::No => ("NO", "did not sound"),
        Played::NotKnown => ("NOT KNOWN", "did not sound as far as it is known"),
    };
    page.push(format!(
        "{answer}: from {from} to {to} the loudspeaker {did}"
    ));
    if !account.spanned() {
        let end = |at: Option<Timestamp>| at.map_or("-".to_owned(), local);
        let (first, last) = (end(account.first), end(account.last));
        page.push(format!(
            "! a synchronised clock tells only of {first} to {last}: what lies outside is not known"
        ));
    }
    if !account.vouched {
        let words = "! the clock was not synchronised all that time, or was set: what stands at \
                     another hour may belong here; look at the hours before and after as well";
        page.push(words.to_owned());
    }
    match account.signed {
        Signed::NotAsked if played == Played::No => page.push(
            "! without --roots nobody is asked to vouch for it: whoever has this copy can have \
             written it"
                .to_owned(),
        ),
        Signed::UpTo(n) if account.is_signed() == Some(false) => page.push(format!(
            "! the box has signed no more than {n} lines: whoever has this copy can have written \
             the others"
        )),
        Signed::NotAsked | Signed::UpTo(_) => {}
    }
    if let Some(broken) = &account.broken {
        page.push(plain(&format!(
            "! lines were changed or taken out: {broken}"
        )));
    }
    page.join("\n")
}

fn words(event: &Event) -> String {
    let text = |key: &str| event.body[key].as_str().filter(|text| !text.is_empty());
    let mut words = format!("{:<10}", word(event));
    let mut put = |more: String| {
        words.push(' ');
        words.push_str(&more);
    };
    if event.played_ms > 0 {
        put(format!(
            "{}.{} s",
            event.played_ms / 1_000,
            event.played_ms % 1_000 / 100
        ));
    }
    if let Some(zone) = text("zone") {
        put(format!("in zone {zone}"));
    }
    if let Some(camera) = text("camera") {
        put(format!("where {camera} looks"));
    }
    match event.body["by"]["person"].as_str() {
        Some(person) => put(format!("by {person}")),
        None => put("by a rule".to_owned()),
    }
    if let Some(case) = text("case") {
        put(format!("for case {case}"));
    }
    if let Some(why) = text("why").or_else(|| text("failure")) {
        put(format!("({why})"));
    }
    if event.what == What::CutOff {
        put("(the box went down; how much sounded is not known)".to_owned());
    }
    put(format!("[line {}]", event.n));
    plain(&words)
}

fn word(event: &Event) -> &'static str {
    match event.what {
        What::Said => "said",
        What::Tone => "a tone",
        What::BrokenOff if event.played_ms == 0 => "not played",
        What::BrokenOff => "broken off",
        What::CutOff => "cut off",
        What::Hushed => "not said",
        What::Stopped => "stopped",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::kind;
    use crate::journal::spoke::tests::{synced, told};

    fn shanghai() -> TimeZone {
        TimeZone::get("Asia/Shanghai").unwrap()
    }

    #[test]
    fn a_quiet_morning_is_a_no_with_its_reasons() {
        let by_rule = json!({ "zone": "kerb", "by": "rule", "why": "quiet hours" });
        let account = told(&[
            synced("05:00"),
            ("06:10", kind::WARNING_HUSHED, by_rule),
            ("08:00", kind::CHECKPOINT, json!({})),
        ]);
        assert_eq!(
            page(&account, &shanghai()),
            "2026-11-26 06:10:00  not said   in zone kerb by a rule (quiet hours) [line 2]\n\
             NO: from 2026-11-26 06:00:00 to 2026-11-26 07:00:00 the loudspeaker did not sound\n\
             ! without --roots nobody is asked to vouch for it: whoever has this copy can have written it"
        );
        assert!(!account.sounded());
    }

    #[test]
    fn what_was_cut_off_is_told_without_what_could_steer_a_terminal() {
        let begun = json!({ "zone": "kerb", "by": { "person": "officer\u{1b}[2J" } });
        let account = told(&[
            synced("05:00"),
            ("06:10", kind::WARNING_BEGUN, begun),
            ("06:12", kind::BOOT, json!({})),
            ("08:00", kind::CHECKPOINT, json!({})),
        ]);
        let page = page(&account, &shanghai());
        assert!(page.starts_with("2026-11-26 06:10:00  cut off"), "{page}");
        assert!(page.contains("by officer\\u{1b}[2J"), "{page}");
        assert!(page.contains("\nYES:"), "{page}");
    }

    #[test]
    fn how_far_the_box_has_signed_is_told() {
        let lines = [synced("05:00"), ("07:00", kind::CHECKPOINT, json!({}))];
        for (signed, known) in [(1, false), (2, true)] {
            let mut account = told(&lines);
            account.signed = Signed::UpTo(signed);
            assert_eq!(json(&account, "")["signed"], json!(known));
            let page = page(&account, &shanghai());
            assert_eq!(page.starts_with("NO:"), known, "{page}");
            let told = format!("signed no more than {signed} lines");
            assert_eq!(page.contains(&told), !known, "{page}");
        }
    }

    #[test]
    fn what_is_not_known_is_said() {
        let account = told(&[("06:30", kind::CLOCK, json!({ "synced": false }))]);
        let page = page(&account, &shanghai());
        assert!(page.contains("tells only of - to -"), "{page}");
        assert!(page.contains("NOT KNOWN: from "), "{page}");
        assert!(page.contains("the clock was not synchronised"));
    }

    #[test]
    fn of_a_broken_journal_nothing_is_said_for_certain() {
        let mut account = told(&[synced("05:00"), ("08:00", kind::CHECKPOINT, json!({}))]);
        assert!(account.covered());
        account.broken = Some("00000001.jsonl line 2".to_owned());
        let facts = json(&account, "Asia/Shanghai");
        assert_eq!(
            (&facts["covered"], &facts["sounded"]),
            (&json!(false), &json!(false))
        );
        assert_eq!(facts["broken"], "00000001.jsonl line 2");
        let page = page(&account, &shanghai());
        assert!(page.starts_with("NOT KNOWN"), "{page}");
        assert!(page.contains("taken out: 00000001.jsonl line 2"), "{page}");
    }
}

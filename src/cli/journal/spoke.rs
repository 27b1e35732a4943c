//! `lingmou journal spoke`: did the loudspeaker play at that time, and if not, why not?

use std::path::PathBuf;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use crate::journal::{self, Entry, kind};

use super::{Answer, out, plain, there};

/// Did the loudspeaker play in that time, what was not said, and why
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The daemon's store, `store.dir` of its configuration, or a copy
    #[arg(long, value_name = "DIR", default_value = "/var/lib/lingmou")]
    store: PathBuf,
    /// From this moment: local time (2026-08-01T06:10, 2026-08-01) or RFC 3339
    #[arg(long, value_name = "TIME")]
    from: String,
    /// Before this moment; by default one day later
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// The time zone of local times
    #[arg(long, value_name = "NAME", default_value = "Asia/Shanghai")]
    time_zone: String,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

/// What happened at the loudspeaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum What {
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
    fn sounded(self, played_ms: u64) -> bool {
        match self {
            Self::Said | Self::Tone | Self::CutOff => true,
            Self::BrokenOff => played_ms > 0,
            Self::Hushed | Self::Stopped => false,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Said => "said",
            Self::Tone => "a tone",
            Self::BrokenOff => "broken off",
            Self::CutOff => "cut off",
            Self::Hushed => "not said",
            Self::Stopped => "stopped",
        }
    }
}

#[derive(Debug)]
struct Event {
    at: Timestamp,
    what: What,
    /// The journal line that says it.
    n: u64,
    played_ms: u64,
    body: Value,
}

/// The journal's answer for a time.
#[derive(Debug)]
struct Account {
    from: Timestamp,
    to: Timestamp,
    events: Vec<Event>,
    /// Begun, and what became of it not read yet.
    begun: Option<Event>,
    /// First and last line that a synchronised clock has told.
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    /// Whether the clock was synchronised, as last said.
    synced: bool,
    /// A boot has begun, and of its clock nothing was said yet.
    booting: bool,
    /// The last line before this one that a synchronised clock has told. Lines stand in the order
    /// of true time, whatever they say themselves.
    trusted: Option<Timestamp>,
    /// Whether none of the lines that no synchronised clock has told can be of the time asked for.
    vouched: bool,
    /// Where the chain of lines is broken.
    broken: Option<String>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Answer> {
    let zone = TimeZone::get(&args.time_zone).map_err(|error| {
        let what = format!("time zone {:?}: {error}", args.time_zone);
        out::Hint::error(what, "an IANA name like Asia/Shanghai")
    })?;
    let from = moment(&args.from, &zone)?;
    let to = match &args.to {
        Some(to) => moment(to, &zone)?,
        None => from.checked_add(SignedDuration::from_hours(24))?,
    };
    if to <= from {
        let hint = "--to must be later than --from";
        return Err(out::Hint::error("no time lies between the two", hint));
    }
    let journal = there(&args.store)?;
    let mut account = Account::new(from, to);
    let broken = journal::walk(&journal, &mut |entry| account.take(&entry))?;
    account.end();
    account.broken = broken.map(|broken| broken.to_string());
    if args.json {
        out::data(&account.json(&args.time_zone).to_string());
    } else {
        out::data(&account.page(&zone));
    }
    Ok(if account.sounded() {
        Answer::Yes
    } else {
        Answer::No
    })
}

/// A moment as RFC 3339, or by the clock on the wall.
fn moment(text: &str, zone: &TimeZone) -> anyhow::Result<Timestamp> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let local = text.parse::<DateTime>().ok();
    let moment = local.and_then(|local| zone.to_timestamp(local).ok());
    moment.ok_or_else(|| {
        out::Hint::error(
            format!("{text:?} is not a moment"),
            "local time as 2026-08-01T06:10, a day as 2026-08-01, or RFC 3339",
        )
    })
}

impl Account {
    fn new(from: Timestamp, to: Timestamp) -> Self {
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
            broken: None,
        }
    }

    fn take(&mut self, entry: &Entry) {
        let Ok(at) = entry.at.parse::<Timestamp>() else {
            return;
        };
        let began = entry.body["at"].as_str().and_then(|at| at.parse().ok());
        let played_ms = entry.body["played_ms"].as_u64().unwrap_or_default();
        let event = |what| Event {
            at: began.unwrap_or(at),
            what,
            n: entry.head.n,
            played_ms,
            body: entry.body.clone(),
        };
        match entry.kind.as_str() {
            kind::CLOCK => self.clock(at, entry.body["synced"] == true),
            kind::BOOT => {
                self.cut_off();
                self.booting = true;
            }
            kind::WARNING_BEGUN => {
                self.cut_off();
                self.begun = Some(event(What::CutOff));
            }
            kind::WARNING_PLAYED => self.ended(event(What::Said)),
            kind::WARNING_TONE => self.ended(event(What::Tone)),
            kind::WARNING_FAILED => self.ended(event(What::BrokenOff)),
            kind::WARNING_HUSHED => self.keep(event(What::Hushed)),
            kind::WARNING_STOPPED => self.keep(event(What::Stopped)),
            _ => {}
        }
        if self.synced && !self.booting {
            self.trusted = Some(at);
            self.first = Some(self.first.map_or(at, |first| first.min(at)));
            self.last = Some(self.last.map_or(at, |last| last.max(at)));
        }
    }

    /// The clock is synchronised from `at` on, or is not. What was told in between lies, whatever
    /// times it has, between the last trusted line before and the first after.
    fn clock(&mut self, at: Timestamp, synced: bool) {
        if synced && !self.synced && at > self.from {
            self.doubt();
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

    /// What was begun was never told to have ended.
    fn cut_off(&mut self) {
        if let Some(begun) = self.begun.take() {
            self.keep(begun);
        }
    }

    fn end(&mut self) {
        self.cut_off();
        if !self.synced || self.booting {
            self.doubt();
        }
    }

    /// Keeps what began in the time asked for, or still sounded at its beginning.
    fn keep(&mut self, event: Event) {
        let length =
            SignedDuration::from_millis(i64::try_from(event.played_ms).unwrap_or(i64::MAX));
        let until = event.at.checked_add(length).unwrap_or(event.at);
        if event.at < self.to && (event.at >= self.from || until > self.from) {
            self.events.push(event);
        }
    }

    fn sounded(&self) -> bool {
        self.events.iter().any(|e| e.what.sounded(e.played_ms))
    }

    /// Whether all lines of the time asked for are there: there are some from before and from
    /// after, none can have been taken out, and none can be of another time than it says.
    fn covered(&self) -> bool {
        self.spanned() && self.vouched && self.broken.is_none()
    }

    fn spanned(&self) -> bool {
        self.first.is_some_and(|first| first <= self.from)
            && self.last.is_some_and(|last| last >= self.to)
    }

    fn json(&self, zone: &str) -> Value {
        let event = |event: &Event| {
            json!({
                "at": event.at.to_string(),
                "what": event.what,
                "n": event.n,
                "body": event.body,
            })
        };
        json!({
            "from": self.from.to_string(),
            "to": self.to.to_string(),
            "time_zone": zone,
            "sounded": self.sounded(),
            "covered": self.covered(),
            "clock_vouched": self.vouched,
            "broken": self.broken,
            "events": self.events.iter().map(event).collect::<Vec<_>>(),
        })
    }

    /// The answer for a human, in local time.
    fn page(&self, zone: &TimeZone) -> String {
        let local = |at: Timestamp| {
            let local = at.to_zoned(zone.clone());
            local.strftime("%Y-%m-%d %H:%M:%S").to_string()
        };
        let line = |event: &Event| format!("{}  {}", local(event.at), event.words());
        let mut page: Vec<String> = self.events.iter().map(line).collect();
        let (from, to) = (local(self.from), local(self.to));
        let (answer, did) = match (self.sounded(), self.covered()) {
            (true, _) => ("YES", "sounded, or may have"),
            (false, true) => ("NO", "did not sound"),
            (false, false) => ("NOT KNOWN", "did not sound as far as it is known"),
        };
        page.push(format!(
            "{answer}: from {from} to {to} the loudspeaker {did}"
        ));
        if !self.spanned() {
            let end = |at: Option<Timestamp>| at.map_or("-".to_owned(), local);
            let (first, last) = (end(self.first), end(self.last));
            page.push(format!(
                "! a synchronised clock tells only of {first} to {last}: what lies outside is not known"
            ));
        }
        if !self.vouched {
            let words = "! the clock was not synchronised all that time: what stands at another hour may \
                         belong here; look at the hours before and after as well";
            page.push(words.to_owned());
        }
        if let Some(broken) = &self.broken {
            page.push(plain(&format!(
                "! lines were changed or taken out: {broken}"
            )));
        }
        page.join("\n")
    }
}

impl Event {
    fn words(&self) -> String {
        let text = |key: &str| self.body[key].as_str().filter(|text| !text.is_empty());
        let mut words = format!("{:<10}", self.what.word());
        let mut put = |more: String| {
            words.push(' ');
            words.push_str(&more);
        };
        if self.played_ms > 0 {
            put(format!(
                "{}.{} s",
                self.played_ms / 1_000,
                self.played_ms % 1_000 / 100
            ));
        }
        if let Some(zone) = text("zone") {
            put(format!("in zone {zone}"));
        }
        if let Some(camera) = text("camera") {
            put(format!("where {camera} looks"));
        }
        match self.body["by"]["person"].as_str() {
            Some(person) => put(format!("by {person}")),
            None => put("by a rule".to_owned()),
        }
        if let Some(case) = text("case") {
            put(format!("for case {case}"));
        }
        if let Some(why) = text("why").or_else(|| text("failure")) {
            put(format!("({why})"));
        }
        if self.what == What::CutOff {
            put("(the box went down; how much sounded is not known)".to_owned());
        }
        put(format!("[line {}]", self.n));
        plain(&words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Head;

    fn at(local: &str) -> Timestamp {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        moment(&format!("2026-11-26T{local}"), &zone).unwrap()
    }

    fn entry(n: u64, local: &str, kind: &str, body: Value) -> Entry {
        Entry {
            head: Head {
                n,
                sha256: String::new(),
            },
            at: at(local).to_string(),
            kind: kind.to_owned(),
            body,
            place: crate::journal::Place {
                segment: 1,
                offset: 0,
                len: 0,
            },
        }
    }

    /// The page for `06:00` to `07:00` of these lines.
    fn page(lines: &[(&str, &str, Value)]) -> (String, bool) {
        let mut account = Account::new(at("06:00"), at("07:00"));
        for (n, (local, kind, body)) in (1..).zip(lines) {
            account.take(&entry(n, local, kind, body.clone()));
        }
        account.end();
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        (account.page(&zone), account.sounded())
    }

    fn synced(local: &str) -> (&str, &str, Value) {
        (local, kind::CLOCK, json!({ "synced": true }))
    }

    #[test]
    fn a_quiet_morning_is_a_no_with_its_reasons() {
        let by_rule = json!({ "zone": "kerb", "by": "rule", "why": "quiet hours" });
        let (page, sounded) = page(&[
            synced("05:00"),
            ("06:10", kind::WARNING_HUSHED, by_rule),
            ("08:00", kind::CHECKPOINT, json!({})),
        ]);
        assert_eq!(
            page,
            "2026-11-26 06:10:00  not said   in zone kerb by a rule (quiet hours) [line 2]\n\
             NO: from 2026-11-26 06:00:00 to 2026-11-26 07:00:00 the loudspeaker did not sound"
        );
        assert!(!sounded);
    }

    #[test]
    fn what_was_begun_and_never_told_counts_as_sounded() {
        let begun = json!({ "zone": "kerb", "by": { "person": "officer\u{1b}[2J" } });
        for after in [
            ("06:12", kind::BOOT, json!({})),
            ("06:12", kind::WARNING_BEGUN, begun.clone()),
        ] {
            let (page, sounded) = page(&[
                synced("05:00"),
                ("06:10", kind::WARNING_BEGUN, begun.clone()),
                after,
                (
                    "06:13",
                    kind::WARNING_FAILED,
                    json!({ "at": at("06:12").to_string(), "by": "rule" }),
                ),
                ("08:00", kind::CHECKPOINT, json!({})),
            ]);
            assert!(page.starts_with("2026-11-26 06:10:00  cut off"), "{page}");
            assert!(page.contains("by officer\\u{1b}[2J"), "{page}");
            assert!(sounded);
        }
    }

    #[test]
    fn what_still_sounds_at_the_beginning_counts_and_what_is_over_does_not() {
        let said = |local: &str| json!({ "at": at(local).to_string(), "by": "rule", "played_ms": 7_000, "failure": null });
        for (began, counts) in [("05:59:58", true), ("05:59:50", false), ("07:00:00", false)] {
            let (_, sounded) = page(&[
                synced("05:00"),
                ("05:59:49", kind::WARNING_BEGUN, json!({ "by": "rule" })),
                ("06:00:05", kind::WARNING_PLAYED, said(began)),
            ]);
            assert_eq!(sounded, counts, "{began}");
        }
    }

    #[test]
    fn what_is_not_known_is_said() {
        let (page, _) = page(&[("06:30", kind::CLOCK, json!({ "synced": false }))]);
        assert!(page.contains("tells only of - to -"), "{page}");
        assert!(page.contains("NOT KNOWN: from "), "{page}");
        assert!(page.contains("the clock was not synchronised"));
    }

    /// Lines stand in true order; what each says of its time is only as good as its clock.
    #[test]
    fn a_clock_that_was_wrong_makes_no_false_no() {
        let line = |words: &'static str| {
            let (what, local) = words.split_once(' ').unwrap();
            let body = json!({ "at": at(local).to_string(), "by": "rule", "played_ms": 7_000 });
            match what {
                "good" => synced(local),
                "bad" => (local, kind::CLOCK, json!({ "synced": false })),
                "boot" => (local, kind::BOOT, json!({})),
                "said" => (local, kind::WARNING_PLAYED, body),
                _ => (local, kind::CHECKPOINT, json!({})),
            }
        };
        for (lines, answer) in [
            // Ahead by three hours: what it says of 09:10 was said at 06:15. And behind.
            (
                "good 05:00, boot 09:00, bad 09:00, said 09:10, good 06:25, then 08:00",
                "NOT KNOWN",
            ),
            (
                "good 05:00, boot 01:00, bad 01:00, said 01:10, good 06:25, then 08:00",
                "NOT KNOWN",
            ),
            // Over before the time asked for, as the trusted lines round it prove.
            (
                "good 05:00, boot 09:00, bad 09:00, said 09:10, good 05:30, then 08:00",
                "NO:",
            ),
            // The last that a synchronised clock told is of 05:30, whatever came before it says.
            (
                "good 05:00, boot 09:00, bad 09:00, said 09:10, good 05:30",
                "NOT KNOWN",
            ),
            ("good 05:00, boot 07:00, bad 07:30, then 08:00", "NOT KNOWN"),
            ("good 05:00, boot 08:00", "NOT KNOWN"),
            ("good 05:00, boot 06:30, good 06:31, then 08:00", "NO:"),
        ] {
            let told: Vec<_> = lines.split(", ").map(line).collect();
            let (page, _) = page(&told);
            let answers = page.lines().any(|line| line.starts_with(answer));
            assert!(answers, "{lines}: {page}");
        }
    }

    #[test]
    fn of_a_broken_journal_nothing_is_said_for_certain() {
        let mut account = Account::new(at("06:00"), at("07:00"));
        let lines = [synced("05:00"), ("08:00", kind::CHECKPOINT, json!({}))];
        for (n, (local, kind, body)) in (1..).zip(lines) {
            account.take(&entry(n, local, kind, body));
        }
        account.end();
        assert!(account.covered());
        account.broken = Some("00000001.jsonl line 2".to_owned());
        let facts = account.json("Asia/Shanghai");
        assert_eq!(
            (&facts["covered"], &facts["sounded"]),
            (&json!(false), &json!(false))
        );
        assert_eq!(facts["broken"], "00000001.jsonl line 2");
        let page = account.page(&TimeZone::get("Asia/Shanghai").unwrap());
        assert!(page.starts_with("NOT KNOWN"), "{page}");
        assert!(page.contains("taken out: 00000001.jsonl line 2"), "{page}");
    }

    #[test]
    fn moments_are_local_or_exact() {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let utc = |text: &str| text.parse::<Timestamp>().unwrap();
        for (text, wanted) in [
            ("2026-08-01T06:10", "2026-07-31T22:10:00Z"),
            ("2026-08-01", "2026-07-31T16:00:00Z"),
            ("2026-08-01 06:10", "2026-07-31T22:10:00Z"),
            ("2026-08-01T06:10:00Z", "2026-08-01T06:10:00Z"),
        ] {
            assert_eq!(moment(text, &zone).unwrap(), utc(wanted), "{text}");
        }
        for wrong in ["", "06:10", "2026-13-01"] {
            assert!(moment(wrong, &zone).is_err(), "{wrong}");
        }
    }
}

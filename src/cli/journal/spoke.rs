//! `lingmou journal spoke`: did the loudspeaker play at that time, and if not, why not?

mod page;

use std::path::PathBuf;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::journal::{self, Audit, Entry, kind};
use crate::witness::Roots;

use super::{Answer, StoreDir, out, there};

/// Did the loudspeaker play in that time, what was not said, and why
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: StoreDir,
    /// From this moment: local time (2026-08-01T06:10, 2026-08-01) or RFC 3339
    #[arg(long, value_name = "TIME")]
    from: String,
    /// Before this moment; by default one day later
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// The time zone of local times
    #[arg(long, value_name = "NAME", default_value = "Asia/Shanghai")]
    time_zone: String,
    /// Root certificates, a PEM file or a folder of them: a NO then needs the box's signature
    #[arg(long, value_name = "PATH")]
    roots: Option<PathBuf>,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

/// A loudspeaker may take this long until it begins.
const BEGINS_WITHIN: SignedDuration = SignedDuration::from_secs(10);

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
    /// When it was over at the latest; `None`: nobody knows.
    until: Option<Timestamp>,
    body: Value,
}

/// What the box has signed of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signed {
    /// Nobody asked.
    NotAsked,
    /// Everything up to this line.
    UpTo(u64),
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
    /// Whether none of the lines that no synchronised clock has told, or one that was set, can be of
    /// the time asked for.
    vouched: bool,
    /// How near to the time asked for something sounded that is not of it, as the lines tell it.
    nearest: Option<SignedDuration>,
    /// The first trusted line that is not before the end of the time asked for.
    reached: Option<u64>,
    signed: Signed,
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
    let journal = there(&args.place.store)?;
    let mut account = Account::new(from, to);
    let broken = journal::walk(&journal, &mut |entry| account.take(&entry))?;
    account.end();
    account.broken = broken.map(|broken| broken.to_string());
    if let Some(roots) = &args.roots {
        let roots = Roots::load(roots)?;
        account.vouch(&journal::audit(&args.place.store, &roots, None)?);
    }
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
            nearest: None,
            reached: None,
            signed: Signed::NotAsked,
            broken: None,
        }
    }

    fn take(&mut self, entry: &Entry) {
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
        if self.synced && !self.booting {
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

    fn end(&mut self) {
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
    fn vouch(&mut self, audit: &Audit) {
        let signed = audit.signed.as_ref();
        self.signed = Signed::UpTo(signed.map_or(0, |signed| signed.n));
        self.broken = self.broken.take().or_else(|| audit.faults.first().cloned());
    }

    fn sounded(&self) -> bool {
        self.events.iter().any(|e| e.what.sounded(e.played_ms))
    }

    /// Whether all lines of the time asked for are there: there are some from before and from
    /// after, none is missing in the chain, none can be of another time than it says, and, where that
    /// was asked, the box has signed them.
    fn covered(&self) -> bool {
        self.spanned() && self.vouched && self.broken.is_none() && self.is_signed() != Some(false)
    }

    fn spanned(&self) -> bool {
        self.first.is_some_and(|first| first <= self.from) && self.reached.is_some()
    }

    /// Whether the box has signed every line up to the end of the time asked for; `None`: nobody asked.
    fn is_signed(&self) -> Option<bool> {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

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
             NO: from 2026-11-26 06:00:00 to 2026-11-26 07:00:00 the loudspeaker did not sound\n\
             ! without --roots nobody is asked to vouch for it: whoever has this copy can have written it"
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

    /// Of a clip of 7 s the power may have cut off the last.
    #[test]
    fn what_the_power_cut_off_may_have_sounded_to_its_end() {
        let length = |ms: Value| json!({ "by": "rule", "length_ms": ms });
        for (began, length, boot, counts) in [
            ("05:59:58", length(json!(7_000)), "06:20", true),
            ("05:59:42", length(json!(7_000)), "06:20", false),
            // Older lines tell no length: it was over when the box began anew.
            ("05:59:42", length(Value::Null), "06:20", true),
            ("05:59:42", length(Value::Null), "05:59:50", false),
        ] {
            let (page, sounded) = page(&[
                synced("05:00"),
                (began, kind::WARNING_BEGUN, length),
                (boot, kind::BOOT, json!({})),
                synced("06:21"),
                ("08:00", kind::CHECKPOINT, json!({})),
            ]);
            assert_eq!(sounded, counts, "{began}, {boot}: {page}");
            let answer = if counts { "\nYES:" } else { "NO:" };
            assert!(format!("\n{page}").contains(answer), "{page}");
        }
    }

    #[test]
    fn a_no_is_known_as_far_as_the_box_has_signed() {
        let lines = [
            synced("05:00"),
            ("07:00", kind::CHECKPOINT, json!({})),
            ("08:00", kind::CHECKPOINT, json!({})),
        ];
        for (signed, known) in [(0, false), (1, false), (2, true), (3, true)] {
            let mut account = Account::new(at("06:00"), at("07:00"));
            for (n, (local, kind, body)) in (1..).zip(lines.clone()) {
                account.take(&entry(n, local, kind, body));
            }
            account.end();
            account.signed = Signed::UpTo(signed);
            assert_eq!(account.json("")["signed"], json!(known));
            let page = account.page(&TimeZone::UTC);
            assert_eq!(page.starts_with("NO:"), known, "{page}");
            let told = format!("signed no more than {signed} lines");
            assert_eq!(page.contains(&told), !known, "{page}");
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
                "ahead" | "back" => {
                    let us = 1_200_000_000_i64 * if what == "back" { -1 } else { 1 };
                    let body = json!({ "change": "step", "synced": true, "step_us": us });
                    (local, kind::CLOCK, body)
                }
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
            // Trusted and twenty minutes behind: what it says of 05:55 was said at 06:15. And ahead.
            (
                "good 05:00, said 05:55, ahead 06:30, then 08:00",
                "NOT KNOWN",
            ),
            (
                "good 05:00, said 07:15, back 07:30, then 08:00",
                "NOT KNOWN",
            ),
            ("good 05:00, said 05:20, ahead 06:30, then 08:00", "NO:"),
            // That it was trusted does not say since when it was wrong.
            (
                "good 05:00, said 05:55, bad 05:56, good 05:57, ahead 06:30, then 08:00",
                "NOT KNOWN",
            ),
            // It reaches no further than the right clock says.
            ("good 05:00, then 07:10, back 06:55", "NOT KNOWN"),
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

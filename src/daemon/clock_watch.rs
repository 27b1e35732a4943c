//! What the clock did, as lines for the journal, and what a clock found wrong means for what was
//! sealed meanwhile. Decides only: readings and earlier lines in, lines out.
//!
//! ```text
//! a span: one offset between UTC and boot clock, one word on whether somebody vouches for it
//!      │ ended by a line with another offset or another word
//!      ▼
//! synchronised, and the offset is not the span's: a correction
//!      ▼
//! synchronised, and the offset moved again: one more
//! ```
//! A clock that is synchronised may be so by a server that is wrong. Then its times are found wrong
//! when it is set right, and right times are found wrong when it is set wrong: each jump says of
//! all those once more what is to be added, and the last word counts.
//!
//! **Invariants.** The offset is compared with the one that was told last, so many small jumps
//! are told as soon as they add up. What somebody vouched for is not called wrong by a jump that
//! stated errors explain, or the drift of a time without discipline. What a run leaves half-told is found in its lines by the next run of
//! the same boot. Spans are bounded ([`SPANS_MAX`]), and so is what is said of each.

use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::{self, ClockSource, Reading};
use crate::types::{CaseId, is_same_boot, lock};

/// A clock that was set by at least this much did a step, microseconds.
const STEP_US: u64 = 100_000;
/// The boot clock runs wrong by at most this while nobody disciplines it, parts per million: what
/// the kernel itself assumes (`MAXFREQ` of its NTP code).
const DRIFT_PPM: u64 = 500;
/// Spans remembered; a clock set this often has the oldest left uncorrected.
const SPANS_MAX: usize = 64;
/// Corrections of one span. Whether the last of them is right nobody knows who does not look on; but a
/// clock that is set to and fro for ever must not fill the journal.
const CORRECTIONS_MAX: u8 = 16;
/// Packages named in one line.
const NAMED_MAX: usize = 500;

/// Why a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Change {
    /// The daemon started.
    Start,
    /// The clock is disciplined now.
    Synced,
    /// Nobody disciplines it any more.
    Unsynced,
    /// It was set by a jump.
    Step,
}

/// Body of a line of kind `clock`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ClockLine {
    change: Change,
    synced: bool,
    max_error_us: Option<u64>,
    source: Option<ClockSource>,
    /// How far it was set since the line before in this boot; `None` when it was not.
    step_us: Option<i64>,
    /// UTC minus time since boot.
    offset_us: i64,
    boottime_us: u64,
    boot_id: String,
}

impl ClockLine {
    /// When it was written at the latest, UTC nanoseconds; `None` when nobody vouched for the clock.
    pub(super) fn utc_by_ns(&self) -> Option<i64> {
        let us = self.offset_us.checked_add_unsigned(self.boottime_us)?;
        let by_us = us.checked_add_unsigned(self.max_error_us?)?;
        by_us.checked_mul(1_000)
    }

    /// How wrong a trusted clock is at most.
    fn error_us(&self) -> u64 {
        self.max_error_us.unwrap_or(0)
    }

    /// UTC of the line by its own clock, RFC 3339.
    fn utc(&self) -> String {
        utc(self.boottime_us, self.offset_us)
    }
}

fn utc(boottime_us: u64, offset_us: i64) -> String {
    let us = offset_us.saturating_add_unsigned(boottime_us);
    clock::rfc3339_ms(us.saturating_mul(1000))
}

/// A time in which UTC and boot clock kept one distance, and in which the clock was trusted or not.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    /// The lines that bound it.
    first_n: u64,
    last_n: u64,
    offset_us: i64,
    synced: bool,
    /// How wrong the clock was at most that vouched for it, then or later; `None` when none did.
    stated_us: Option<u64>,
    began_us: u64,
    ended_us: u64,
    /// Up to when somebody disciplined it, as far as a program saw: its beginning when nobody did.
    disciplined_us: u64,
    /// The offset by which it was corrected last.
    corrected_us: Option<i64>,
    /// How often it was.
    corrections: u8,
}

impl Span {
    /// One that begins with line `n`.
    fn new(n: u64, line: &ClockLine) -> Self {
        Self {
            first_n: n,
            last_n: n,
            offset_us: line.offset_us,
            synced: line.synced,
            stated_us: line.synced.then(|| line.error_us()),
            began_us: line.boottime_us,
            ended_us: line.boottime_us,
            disciplined_us: line.boottime_us,
            corrected_us: None,
            corrections: 0,
        }
    }

    /// Whether the line belongs to it.
    fn goes_on(&self, line: &ClockLine) -> bool {
        line.synced == self.synced && line.offset_us.abs_diff(self.offset_us) < STEP_US
    }

    /// How far the trusted clock of the line is from what holds of its times so far.
    fn apart_us(&self, line: &ClockLine) -> u64 {
        let held = self.corrected_us.unwrap_or(self.offset_us);
        line.offset_us.abs_diff(held)
    }
}

/// By how much an undisciplined boot clock is off at most after so long.
fn drift_us(us: u64) -> u64 {
    us / 1_000_000 * DRIFT_PPM
}

/// What a trusted clock says about a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Correction {
    span: Span,
    /// To be added to every UTC of the span.
    offset_us: i64,
    error_us: u64,
}

/// The clock of this boot as the journal tells it.
#[derive(Debug)]
pub(super) struct ClockWatch {
    boot_id: String,
    told: Option<ClockLine>,
    open: Option<Span>,
    closed: Vec<Span>,
    due: Vec<Correction>,
    /// Time since boot up to which the run that wrote the last line is known to have looked at the
    /// clock, which went on as told.
    looked_us: u64,
    /// Whether that run goes on, as far as its lines tell.
    at_work: bool,
    /// Time since boot up to which the clock was last disciplined, as far as this program saw.
    disciplined_us: u64,
    last_step: Option<String>,
}

impl ClockWatch {
    /// Knows nothing yet of the boot `boot_id`.
    pub(super) fn new(boot_id: &str) -> Self {
        Self {
            boot_id: boot_id.to_owned(),
            told: None,
            open: None,
            closed: Vec::new(),
            due: Vec::new(),
            looked_us: 0,
            at_work: false,
            disciplined_us: 0,
            last_step: None,
        }
    }

    /// The line that is due at `now`; `change` is [`Change::Start`] for the first of a run.
    pub(super) fn line(&self, now: &Reading, start: bool) -> Option<ClockLine> {
        let offset_us = now.offset_ns.div_euclid(1000);
        let step = self.told.as_ref();
        let step = step.map(|told| offset_us.saturating_sub(told.offset_us));
        let step = step.filter(|us| us.unsigned_abs() >= STEP_US);
        let synced = now.trust.synced;
        let change = match (start, self.told.as_ref().map(|told| told.synced), step) {
            (true, ..) | (_, None, _) => Change::Start,
            (_, Some(false), _) if synced => Change::Synced,
            (_, Some(true), _) if !synced => Change::Unsynced,
            (_, _, Some(_)) => Change::Step,
            (_, _, None) => return None,
        };
        Some(ClockLine {
            change,
            synced,
            max_error_us: now.trust.max_error_us,
            source: now.trust.source,
            step_us: step,
            offset_us,
            boottime_us: now.boot_ns / 1000,
            boot_id: self.boot_id.clone(),
        })
    }

    /// A line begins another run. What it writes before its word on the clock says nothing of that.
    pub(super) fn begin(&mut self) {
        self.at_work = false;
    }

    /// A run at work wrote a line of another kind, `at` by its clock: until then the clock went on as the
    /// run told last, since it looks once a second and says what changes.
    pub(super) fn looked(&mut self, at: &str) {
        let Some(told) = self.told.as_ref().filter(|_| self.at_work) else {
            return;
        };
        if let Ok(at) = at.parse::<jiff::Timestamp>() {
            let since_boot_us = at.as_microsecond().saturating_sub(told.offset_us);
            let since_boot_us = u64::try_from(since_boot_us).unwrap_or(0);
            self.looked_us = self.looked_us.max(since_boot_us);
        }
    }

    /// The line is line `n` of the journal. Lines of another boot say nothing here.
    pub(super) fn take(&mut self, n: u64, line: ClockLine) {
        if is_same_boot(&line.boot_id, &self.boot_id) != Some(true) {
            return;
        }
        if line.step_us.is_some() {
            self.last_step = Some(line.utc());
        }
        if self.told.as_ref().is_some_and(|told| told.synced) {
            // Between two runs nobody looked.
            let looked_us = self.looked_us.min(line.boottime_us);
            let starts = line.change == Change::Start;
            self.disciplined_us = if starts { looked_us } else { line.boottime_us };
        }
        (self.looked_us, self.at_work) = (line.boottime_us, true);
        if let Some(mut span) = self.open.take() {
            span.last_n = n;
            span.ended_us = line.boottime_us;
            if span.synced {
                span.disciplined_us = self.disciplined_us;
            }
            if span.goes_on(&line) {
                self.open = Some(span);
            } else {
                if self.closed.len() == SPANS_MAX {
                    self.closed.remove(0);
                }
                self.closed.push(span);
            }
        }
        if line.synced {
            self.correct(&line);
        }
        self.open.get_or_insert_with(|| Span::new(n, &line));
        self.told = Some(line);
    }

    /// Corrects the spans that the trusted clock of the line contradicts, each so often and no more. One
    /// whose distance drift explains is forgotten: from here on no jump tells anything of it. But where its own
    /// time was nearer than what was said of it, that is not left as the last word: the error says how wide
    /// it is.
    fn correct(&mut self, line: &ClockLine) {
        let due = &mut self.due;
        let drifted_us = drift_us(line.boottime_us.saturating_sub(self.disciplined_us));
        let doubt_us = line.error_us().saturating_add(drifted_us);
        self.closed.retain_mut(|span| {
            let apart_us = span.apart_us(line);
            let stated_us = span.stated_us.replace(line.error_us());
            if apart_us < STEP_US {
                return true;
            }
            let explained = stated_us.is_some_and(|us| apart_us <= us.saturating_add(doubt_us));
            if explained && line.offset_us.abs_diff(span.offset_us) >= apart_us {
                return false;
            }
            due.push(correction(span.clone(), line));
            span.corrected_us = Some(line.offset_us);
            span.corrections += 1;
            span.corrections < CORRECTIONS_MAX
        });
    }

    /// A correction that still has to be written.
    pub(super) fn due(&self) -> Option<&Correction> {
        self.due.first()
    }

    /// A line of kind `clock.corrected` is in the journal.
    pub(super) fn corrected(&mut self, body: &Value) {
        let last = body["part"] == body["parts"];
        if last && body["boot_id"] == self.boot_id {
            let is_said = |c: &Correction| {
                body["first_n"] == c.span.first_n && body["offset_us"] == c.offset_us
            };
            self.due.retain(|c| !is_said(c));
        }
    }

    /// When the clock was last set by a jump in this boot, RFC 3339; `None` when nobody saw one.
    pub(super) fn last_step(&self) -> Option<String> {
        self.last_step.clone()
    }
}

/// Nobody disciplined the boot clock from when that was last seen. Before that somebody did who is now
/// found wrong: he may have led it away slowly, and then by no more than he is off now.
fn correction(span: Span, line: &ClockLine) -> Correction {
    let offset_us = line.offset_us.saturating_sub(span.offset_us);
    let alone_us = line.boottime_us.saturating_sub(span.disciplined_us);
    let led_us = span.disciplined_us.saturating_sub(span.began_us);
    let astray_us = drift_us(led_us).min(offset_us.unsigned_abs());
    Correction {
        offset_us,
        error_us: (line.error_us())
            .saturating_add(drift_us(alone_us))
            .saturating_add(astray_us),
        span,
    }
}

impl Correction {
    /// Numbers of the lines between which its packages were sealed.
    pub(super) fn lines(&self) -> (u64, u64) {
        (self.span.first_n, self.span.last_n)
    }

    /// Bodies of the lines that say so, each naming a part of `packages`.
    pub(super) fn bodies(&self, boot_id: &str, packages: &[CaseId]) -> Vec<Value> {
        let span = &self.span;
        let none: &[CaseId] = &[];
        let parts: Vec<&[CaseId]> = if packages.is_empty() {
            vec![none]
        } else {
            packages.chunks(NAMED_MAX).collect()
        };
        let body = |(part, named): (usize, &&[CaseId])| {
            json!({
                "boot_id": boot_id,
                "from": utc(span.began_us, span.offset_us),
                "to": utc(span.ended_us, span.offset_us),
                "offset_us": self.offset_us,
                "error_us": self.error_us,
                "packages": named,
                "first_n": span.first_n,
                "last_n": span.last_n,
                "part": part + 1,
                "parts": parts.len(),
            })
        };
        parts.iter().enumerate().map(body).collect()
    }
}

/// What statements say about the clock beside its error.
#[derive(Debug, Default)]
pub(super) struct ClockState {
    last_step: Mutex<Option<String>>,
}

impl ClockState {
    /// When the clock was last set by a jump, RFC 3339.
    pub(super) fn last_step(&self) -> Option<String> {
        lock(&self.last_step).clone()
    }

    pub(super) fn set_last_step(&self, at: Option<String>) {
        *lock(&self.last_step) = at;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use uuid::Uuid;

    use super::*;
    use crate::clock::Trust;

    const BOOT: &str = "boot-a";
    /// 2026-08-01T00:00:00Z minus the time since boot, milliseconds.
    const OFFSET_MS: i64 = 1_785_542_400_000;

    fn reading(boot_secs: u64, moved_ms: i64, synced: bool) -> Reading {
        Reading {
            boot_ns: boot_secs * 1_000_000_000,
            offset_ns: (OFFSET_MS + moved_ms) * 1_000_000,
            trust: Trust {
                synced,
                max_error_us: synced.then_some(2000),
                source: None,
                errno: None,
            },
        }
    }

    #[test]
    fn a_line_is_due_when_the_clock_is_set_or_its_trust_changes() {
        use Change::{Start, Step, Synced, Unsynced};
        // Told before, now: (moved by milliseconds, synchronised); what is told, and the step.
        let table = [
            (None, (0, false), Some((Start, None))),
            (None, (0, true), Some((Start, None))),
            (Some((0, true)), (0, true), None),
            (Some((0, false)), (0, false), None),
            (Some((0, true)), (99, true), None),
            (Some((0, true)), (-99, true), None),
            (Some((0, true)), (100, true), Some((Step, Some(100)))),
            (Some((0, true)), (-100, true), Some((Step, Some(-100)))),
            (
                Some((0, false)),
                (86_400_000, false),
                Some((Step, Some(86_400_000))),
            ),
            (Some((0, false)), (50, true), Some((Synced, None))),
            (Some((0, false)), (5000, true), Some((Synced, Some(5000)))),
            (Some((0, true)), (0, false), Some((Unsynced, None))),
            (Some((0, true)), (-200, false), Some((Unsynced, Some(-200)))),
        ];
        for (before, (moved, synced), expected) in table {
            let mut watch = ClockWatch::new(BOOT);
            if let Some((moved, synced)) = before {
                let line = watch.line(&reading(10, moved, synced), false).unwrap();
                watch.take(1, line);
            }
            let line = watch.line(&reading(11, moved, synced), false);
            let found = line.map(|l| (l.change, l.step_us.map(|us| us / 1000)));
            assert_eq!(found, expected, "{before:?} then {moved} ms, {synced}");
        }
    }

    #[test]
    fn small_jumps_are_told_when_they_add_up() {
        let mut watch = ClockWatch::new(BOOT);
        let start = watch.line(&reading(0, 0, true), true).unwrap();
        watch.take(1, start);
        for secs in 1..=3 {
            let now = reading(secs, 30 * i64::try_from(secs).unwrap(), true);
            assert_eq!(watch.line(&now, false), None);
        }
        let line = watch.line(&reading(4, 120, true), false).unwrap();
        assert_eq!(line.step_us, Some(120_000));
    }

    /// Runs readings through a watch that writes what is due at once; gives the lines.
    fn run(watch: &mut ClockWatch, n: &mut u64, readings: &[Reading]) -> Vec<(u64, ClockLine)> {
        let mut lines = Vec::new();
        for (i, now) in readings.iter().enumerate() {
            if let Some(line) = watch.line(now, i == 0) {
                // Other lines come between.
                *n += 10;
                watch.take(*n, line.clone());
                lines.push((*n, line));
            }
        }
        lines
    }

    #[test]
    fn a_clock_found_wrong_corrects_what_was_sealed_meanwhile() {
        let mut watch = ClockWatch::new(BOOT);
        let readings = [
            reading(100, 0, false),
            reading(200, 0, false),
            // Somebody sets it by hand, an hour ahead; then it is synchronised.
            reading(300, 3_600_000, false),
            reading(400, 5000, true),
        ];
        run(&mut watch, &mut 0, &readings);
        let ids: Vec<CaseId> = (0..2).map(|n| CaseId(Uuid::from_u128(n))).collect();
        let mut bodies = Vec::new();
        while let Some(due) = watch.due().cloned() {
            for body in due.bodies(BOOT, &ids) {
                watch.corrected(&body);
                bodies.push(body);
            }
        }
        let [first, second] = bodies.as_slice() else {
            panic!("{bodies:?}")
        };
        assert_eq!(first["offset_us"], 5_000_000);
        assert_eq!(first["from"], "2026-08-01T00:01:40.000Z");
        assert_eq!(first["to"], "2026-08-01T00:05:00.000Z");
        // 2 ms that the kernel admits, and 500 parts per million of 300 s.
        assert_eq!(first["error_us"], 2000 + 300 * 500);
        assert_eq!(
            (&first["first_n"], &first["last_n"]),
            (&json!(10), &json!(20))
        );
        assert_eq!(second["offset_us"], 5_000_000 - 3_600_000_000_i64);
        assert_eq!(
            (&second["first_n"], &second["last_n"]),
            (&json!(20), &json!(30))
        );
        assert_eq!(second["packages"], json!(ids));
        assert_eq!(
            watch.last_step().as_deref(),
            Some("2026-08-01T00:06:45.000Z")
        );
    }

    /// The daemon is stopped, somebody mends the time server and sets the clock, and starts it again:
    /// what the run before said last is when the clock was last looked at.
    #[test]
    fn a_clock_that_is_set_right_between_two_runs_corrects_the_run_before() {
        const DAYS: u64 = 20 * 86_400;
        let begun = reading(10, 0, true);
        // When the run before last wrote something, whether that was at work, for how long it was away;
        // by how much the clock was found wrong, and whether that is said.
        for (wrote, at_work, away_secs, moved_ms, found) in [
            (Some(DAYS), true, 60, 9000, true),
            (Some(DAYS), true, 60, 100, true),
            // Drift explains it: the clock may have been right all the time.
            (Some(DAYS), true, 18_600, 9000, false),
            (None, true, 60, 9000, false),
            (Some(DAYS), false, 60, 9000, false),
        ] {
            let mut watch = ClockWatch::new(BOOT);
            watch.begin();
            watch.take(10, watch.line(&begun, true).unwrap());
            if !at_work {
                watch.begin();
            }
            if let Some(secs) = wrote {
                let ms = OFFSET_MS + i64::try_from(secs).unwrap() * 1000;
                watch.looked(&clock::rfc3339_ms(ms * 1_000_000));
                watch.looked("no time");
            }
            watch.begin();
            let again = reading(DAYS + away_secs, moved_ms, true);
            watch.take(20, watch.line(&again, true).unwrap());
            let told = watch.due().map(|c| c.error_us);
            // 2 ms that the kernel admits, a minute alone; before that no more than what is corrected.
            let error_us = 2000 + away_secs * 500 + moved_ms.unsigned_abs() * 1000;
            let wanted = found.then_some(error_us);
            assert_eq!(told, wanted, "{wrote:?} {at_work} {away_secs} {moved_ms}");
            let moved = found.then_some((moved_ms, 10, 20));
            assert_eq!(said(&mut watch), Vec::from_iter(moved));
        }
    }

    /// Writes what is due: line by line the offset and its bounds, by the numbers of the lines.
    fn said(watch: &mut ClockWatch) -> Vec<(i64, u64, u64)> {
        let mut said = Vec::new();
        while let Some(due) = watch.due().cloned() {
            let (first, last) = due.lines();
            said.push((due.offset_us / 1000, first, last));
            let bodies = due.bodies(BOOT, &[]);
            for body in &bodies {
                watch.corrected(body);
            }
        }
        said
    }

    /// A server that is wrong by an hour for a day, then right again, and wrong once more, and right.
    #[test]
    fn a_clock_found_wrong_while_it_was_synchronised_corrects_what_was_sealed_by_it() {
        let mut watch = ClockWatch::new(BOOT);
        let mut n = 0;
        let (hour, day) = (3_600_000, 86_400);
        let mut then = |now: Reading| {
            n += 10;
            watch.take(n, watch.line(&now, false).unwrap());
            said(&mut watch)
        };
        assert_eq!(then(reading(10, 0, true)), []);
        // Nobody knows that it is now that the clock is wrong.
        assert_eq!(then(reading(day, -hour, true)), [(-hour, 10, 20)]);
        let (back, wrong) = ((0, 10, 20), (hour, 20, 30));
        assert_eq!(then(reading(2 * day, 0, true)), [back, wrong]);
        let (again, right) = ((0, 20, 30), (-hour, 30, 40));
        let first = (-hour, 10, 20);
        assert_eq!(then(reading(3 * day, -hour, true)), [first, again, right]);
        let (second, third) = ((0, 30, 40), (hour, 40, 50));
        let at_last = [back, wrong, second, third];
        assert_eq!(then(reading(4 * day, 0, true)), at_last);
    }

    #[test]
    fn a_clock_that_is_set_to_and_fro_for_ever_does_not_fill_the_journal() {
        let mut watch = ClockWatch::new(BOOT);
        let mut times = BTreeMap::new();
        for n in 0..100 {
            let moved = i64::try_from(n % 2).unwrap() * 3_600_000;
            let line = watch.line(&reading(10 * n, moved, true), false);
            watch.take(n, line.unwrap());
            for (_, first, _) in said(&mut watch) {
                *times.entry(first).or_insert(0) += 1;
            }
        }
        assert_eq!(times.values().max(), Some(&CORRECTIONS_MAX));
        assert!(watch.closed.len() <= usize::from(CORRECTIONS_MAX));
    }

    /// A wrong server had the time before it called wrong. Then nobody disciplines the clock for so long that
    /// drift explains the way back.
    #[test]
    fn a_false_correction_is_not_the_last_word_where_drift_explains_the_way_back() {
        let day = 86_400;
        // For so long nobody disciplines it; where the clock is found then; whether that is said of the time
        // before the wrong server.
        for (secs, moved_ms, found) in [
            (60, 0, true),
            (18_600, 0, true),
            (18_600, -3_000, true),
            // It drifted, and the server was right: what was said holds, and closer than that.
            (18_600, -8_700, false),
        ] {
            let mut watch = ClockWatch::new(BOOT);
            let mut n = 0;
            let readings = [reading(10, 0, true), reading(day, -9_000, true)];
            run(&mut watch, &mut n, &readings);
            assert_eq!(said(&mut watch), [(-9_000, 10, 20)]);
            for now in [
                reading(2 * day, -9_000, false),
                reading(2 * day + secs, moved_ms, true),
            ] {
                n += 10;
                watch.take(n, watch.line(&now, false).unwrap());
            }
            let first = watch.due.iter().find(|c| c.lines() == (10, 20));
            let told = first.map(|c| c.offset_us / 1000);
            assert_eq!(told, found.then_some(moved_ms), "{secs} s, {moved_ms} ms");
            let error_us = first.map_or(u64::MAX, |c| c.error_us);
            assert!(error_us >= 2000 + secs * 500, "{secs} s: {error_us}");
        }
    }

    /// chrony sets the clock, and for a moment the kernel says that nobody does.
    #[test]
    fn a_moment_without_synchronisation_at_the_jump_changes_nothing() {
        let mut watch = ClockWatch::new(BOOT);
        let mut n = 0;
        let readings = [
            reading(10, 0, true),
            reading(5000, 9000, false),
            reading(5002, 9000, true),
        ];
        run(&mut watch, &mut n, &readings);
        assert_eq!(said(&mut watch), [(9000, 10, 20)]);
    }

    #[test]
    fn what_stated_errors_or_drift_explain_is_no_clock_found_wrong() {
        // For so long nobody disciplined it, then it was set by so much; what is said of the time before.
        for (secs, moved_ms, error_us, found) in [
            (2, 200, 2000, true),
            (2, 200, 199_000, false),
            // 500 parts per million of half an hour are 900 ms.
            (1800, 800, 2000, false),
            (1800, 1000, 2000, true),
        ] {
            let mut watch = ClockWatch::new(BOOT);
            let mut n = 0;
            let mut before = reading(10, 0, true);
            before.trust.max_error_us = Some(error_us);
            let lapse = [
                before,
                reading(5000, 0, false),
                reading(5000 + secs, moved_ms, true),
            ];
            run(&mut watch, &mut n, &lapse);
            let said = said(&mut watch);
            let before = said.iter().filter(|(_, first, _)| *first == 10);
            assert_eq!(
                before.count() == 1,
                found,
                "{secs} s, {moved_ms} ms: {said:?}"
            );
            let meanwhile = said.iter().filter(|(_, first, _)| *first == 20);
            assert_eq!(meanwhile.count(), 1, "nobody vouched for that: {said:?}");
        }
    }

    #[test]
    fn a_clock_that_was_right_all_the_time_corrects_nothing() {
        let mut watch = ClockWatch::new(BOOT);
        let readings = [
            reading(100, 0, false),
            reading(200, 99, true),
            reading(300, 0, false),
            reading(400, 0, true),
        ];
        run(&mut watch, &mut 0, &readings);
        assert_eq!(watch.due(), None);
    }

    #[test]
    fn the_next_run_of_the_boot_finds_in_the_lines_what_this_one_left() {
        let mut n = 0;
        let before = run(
            &mut ClockWatch::new(BOOT),
            &mut n,
            &[reading(100, 0, false)],
        );
        let mut resumed = |lines: &[(u64, ClockLine)], boot: &str, now: Reading| {
            let mut watch = ClockWatch::new(boot);
            for (n, line) in lines {
                // As it stands in the journal.
                let text = serde_json::to_string(line).unwrap();
                watch.take(*n, serde_json::from_str(&text).unwrap());
            }
            let new = run(&mut watch, &mut n, &[now]);
            (watch, new)
        };
        // Synchronised while the daemon was down.
        let (watch, new) = resumed(&before, BOOT, reading(200, 7000, true));
        assert_eq!(watch.due().unwrap().offset_us, 7_000_000);
        assert_eq!(new[0].1.change, Change::Start);
        assert_eq!(new[0].1.step_us, Some(7_000_000));
        assert_eq!(watch.last_step().unwrap(), new[0].1.utc());
        // Killed before the correction was written; the next run knows.
        let lines = [before.clone(), new].concat();
        let (mut watch, _) = resumed(&lines, BOOT, reading(300, 7000, true));
        let due = watch.due().unwrap().clone();
        watch.corrected(&due.bodies(BOOT, &[])[0]);
        assert_eq!(watch.due(), None);
        // Still not synchronised: one span over both runs.
        let (watch, _) = resumed(&before, BOOT, reading(200, 10, false));
        assert_eq!(watch.open.as_ref().unwrap().first_n, 10);
        assert_eq!(watch.closed, []);
        // Another boot has another boot clock.
        let (watch, new) = resumed(&before, "boot-b", reading(5, 7000, true));
        assert_eq!((watch.due(), watch.last_step()), (None, None));
        assert_eq!(new[0].1.step_us, None);
    }

    #[test]
    fn many_packages_are_named_in_several_lines() {
        let mut watch = ClockWatch::new(BOOT);
        run(
            &mut watch,
            &mut 0,
            &[reading(1, 0, false), reading(2, 1000, true)],
        );
        let ids: Vec<CaseId> = (0..1001).map(|n| CaseId(Uuid::from_u128(n))).collect();
        let due = watch.due().unwrap().clone();
        let bodies = due.bodies(BOOT, &ids);
        assert_eq!(bodies.len(), 3);
        for body in &bodies {
            assert!(body.to_string().len() < 40_000, "a line takes 64 KiB");
            assert!(watch.due().is_some(), "not before the last");
            watch.corrected(body);
        }
        assert_eq!(watch.due(), None);
        let named: Vec<Value> = bodies
            .iter()
            .flat_map(|b| b["packages"].as_array().unwrap().clone())
            .collect();
        assert_eq!(json!(named), json!(ids));
    }

    #[test]
    fn spans_are_bounded() {
        let mut watch = ClockWatch::new(BOOT);
        let wild: Vec<Reading> = (0..200)
            .map(|i| reading(i, i64::try_from(i % 2).unwrap() * 9000, false))
            .collect();
        run(&mut watch, &mut 0, &wild);
        assert_eq!(watch.closed.len(), SPANS_MAX);
    }
}

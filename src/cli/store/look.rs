//! `lingmou store status`, `pending` and `check`: looking, and nothing else.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::clock;
use crate::store::{Counts, InUse, Level, Room, State, StateCount, View};

use super::super::{Answer, out};
use super::{moment, size};

/// The present rate is that of so many days.
const RATE_DAYS: i64 = 7;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// A rate over less time than this says nothing, milliseconds.
const RATE_MIN_MS: i64 = 60 * 60 * 1000;

/// One screen, line by line, with what needs attention.
#[derive(Default)]
struct Page {
    text: String,
    troubles: Vec<String>,
}

impl Page {
    fn say(&mut self, label: &str, words: &str) {
        writeln!(self.text, "{label:<18} {words}").expect("invariant: a String takes everything");
    }

    fn print(mut self, json: Option<&Value>) -> Answer {
        let well = self.troubles.is_empty();
        for trouble in &self.troubles {
            writeln!(self.text, "! {trouble}").expect("invariant: a String takes everything");
        }
        out::data(&json.map_or(self.text, |value| format!("{value:#}")));
        if well { Answer::Yes } else { Answer::No }
    }
}

pub(super) fn status(view: &View, json: bool) -> anyhow::Result<Answer> {
    let (room, counts, mirroring) = (view.room()?, view.counts()?, view.mirroring()?);
    let mut page = Page::default();
    page.say("store", &view.config().dir.display().to_string());
    let in_use = view.in_use();
    page.say(
        "daemon",
        &match in_use {
            InUse::No => "not running".to_owned(),
            InUse::By(None) => "running".to_owned(),
            InUse::By(Some(pid)) => format!("running, process {pid}"),
        },
    );
    fill(&mut page, view, room);
    for (state, count) in &counts.states {
        page.say(state.name(), &packages(*count));
    }
    page.say("open cases", &counts.open_cases.to_string());
    page.say("only on this box", &packages(counts.pending));
    let trouble = view.mirror_trouble()?;
    let mirror = &view.config().mirror;
    if !mirror.as_os_str().is_empty() {
        let words = format!(
            "{} packages at {}, {} to come ({})",
            mirroring.copied,
            mirror.display(),
            mirroring.due,
            size(mirroring.due_bytes),
        );
        page.say("second copy", &words);
    }
    page.troubles.extend(trouble.clone());
    for (state, what) in [
        (
            State::Damaged,
            "damaged; `lingmou store check` says why, `repair` tries to mend",
        ),
        (
            State::Refused,
            "refused by the receiver; its reason is in the journal (package.refused), `requeue` has \
             them sent once more",
        ),
    ] {
        if let Some(count) = counts.states.get(&state) {
            page.troubles
                .push(format!("{} packages are {what}", count.packages));
        }
    }
    let pid = match in_use {
        InUse::By(pid) => pid,
        InUse::No => None,
    };
    let value = json!({
        "dir": view.config().dir.display().to_string(), "device": view.device()?, "running": in_use != InUse::No,
        "pid": pid, "room": room, "percent": room.percent(), "level": room.level(),
        "ballast_owed": view.ballast_owed(), "counts": counts, "mirror": mirror,
        "mirroring": mirroring, "mirror_trouble": trouble, "troubles": page.troubles,
    });
    Ok(page.print(json.then_some(&value)))
}

fn fill(page: &mut Page, view: &View, room: Room) {
    let words = format!("{} % of {}", room.percent(), size(room.quota));
    page.say("fill", &words);
    let level = match room.level() {
        Level::Ample => None,
        Level::Filling => Some("pictures and video of receipted packages are removed early"),
        Level::Tight => Some("new packages come without video"),
        Level::Shut => Some("NO NEW PACKAGES are made; warnings go on"),
    };
    if let Some(what) = level {
        page.troubles
            .push(format!("the store is {} % full: {what}", room.percent()));
    }
    let owed = view.ballast_owed();
    page.say(
        "ballast",
        &match owed {
            0 => "in place".to_owned(),
            owed => format!(
                "{} missing; the daemon makes it when there is room",
                size(owed)
            ),
        },
    );
}

fn packages(count: StateCount) -> String {
    format!("{} packages, {}", count.packages, size(count.bytes))
}

/// How long there is room for, were nothing received from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outlook {
    /// Bytes sealed a day at the present rate; `None` when too little is known.
    bytes_a_day: Option<u64>,
    /// Whole days until no new packages are made.
    days_left: Option<u64>,
}

/// `sealed`: bytes sealed in the last [`RATE_DAYS`], and when the first package of all was.
fn outlook(room: Room, sealed: (u64, Option<i64>), now_ms: i64) -> Outlook {
    let (bytes, first_ms) = sealed;
    let window = first_ms.map(|ms| now_ms.saturating_sub(ms).min(RATE_DAYS * DAY_MS));
    let window = window.filter(|ms| *ms >= RATE_MIN_MS);
    let per_day = window.map(|ms| {
        let day = u128::from(bytes) * u128::from(DAY_MS.unsigned_abs());
        u64::try_from(day / u128::from(ms.unsigned_abs())).unwrap_or(u64::MAX)
    });
    Outlook {
        bytes_a_day: per_day,
        days_left: per_day.and_then(|rate| room.left().checked_div(rate)),
    }
}

pub(super) fn pending(view: &View, json: bool) -> anyhow::Result<Answer> {
    let now_ms = clock::now().utc_ms();
    let (room, counts) = (view.room()?, view.counts()?);
    let sealed = view.sealed_since(now_ms - RATE_DAYS * DAY_MS)?;
    let outlook = outlook(room, sealed, now_ms);
    let answer = if counts.pending.packages == 0 {
        Answer::Yes
    } else {
        Answer::No
    };
    if json {
        let value = json!({
            "pending": counts.pending, "oldest_ms": counts.oldest_pending_ms,
            "bytes_a_day": outlook.bytes_a_day, "days_left": outlook.days_left,
            "percent": room.percent(), "last_receipt": counts.last_receipt,
            "last_receipt_ms": counts.last_receipt_ms, "states": counts.states,
        });
        out::data(&format!("{value:#}"));
        return Ok(answer);
    }
    out::data(&pending_page(&counts, room, outlook));
    Ok(answer)
}

fn pending_page(counts: &Counts, room: Room, outlook: Outlook) -> String {
    let mut page = Page::default();
    page.say("only on this box", &packages(counts.pending));
    for (state, count) in &counts.states {
        if !matches!(state, State::Receipted | State::Pruned) {
            page.say(&format!("  {state}"), &packages(*count));
        }
    }
    let oldest = counts.oldest_pending_ms.map(moment);
    page.say("oldest", oldest.as_deref().unwrap_or("-"));
    let room_words = match (outlook.days_left, outlook.bytes_a_day) {
        (Some(days), Some(rate)) => format!(
            "{days} days at the present rate ({} a day), if nothing is received meanwhile",
            size(rate)
        ),
        (None, Some(_)) => "nothing was sealed in the last days".to_owned(),
        _ => "the present rate is not known yet".to_owned(),
    };
    page.say(
        "room left",
        &format!("{} ({} % full)", size(room.left()), room.percent()),
    );
    page.say("lasts", &room_words);
    let receipt = counts.last_receipt_ms.map(moment);
    page.say("last receipt", receipt.as_deref().unwrap_or("none yet"));
    page.text
}

pub(super) fn check(view: &View, json: bool) -> anyhow::Result<Answer> {
    let mut told = 0;
    let findings = view.check(&mut |done, of| {
        let percent = done * 100 / of.max(1);
        if !json && percent >= told + 10 {
            told = percent;
            out::word(&format!("{done} of {of} packages read"));
        }
    })?;
    for finding in &findings {
        out::data(&if json {
            json!({ "finding": finding, "what": finding.to_string() }).to_string()
        } else {
            finding.to_string()
        });
    }
    if findings.is_empty() {
        if !json {
            out::data("every package, the journal and the database are as they should be");
        }
        return Ok(Answer::Yes);
    }
    Ok(Answer::No)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_there_is_room() {
        let room = Room {
            used: 200,
            quota: 1000,
        };
        let now = 100 * DAY_MS;
        for (name, bytes, first, rate, days) in [
            ("nothing ever", 0, None, None, None),
            ("a minute old", 10, Some(now - 60_000), None, None),
            ("half a day", 50, Some(now - DAY_MS / 2), Some(100), Some(7)),
            ("for long", 700, Some(0), Some(100), Some(7)),
            ("quiet week", 0, Some(0), Some(0), None),
            ("slow", 7, Some(0), Some(1), Some(750)),
            ("clock set back", 7, Some(now + 1), None, None),
        ] {
            let found = outlook(room, (bytes, first), now);
            let expected = Outlook {
                bytes_a_day: rate,
                days_left: days,
            };
            assert_eq!(found, expected, "{name}");
        }
    }
}

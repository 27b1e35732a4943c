//! Times of day and the days on which they hold: of zones, permits, loudspeaker and link.

use jiff::civil::{Date, DateTime, Weekday};
use serde::{Deserialize, Serialize};

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// A day, by its name or by what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
    /// A day on which people work: Monday to Friday but for listed holidays, and listed days.
    Workday,
    /// Every other day.
    Holiday,
}

impl Day {
    /// Whether a day of this weekday, on which people work or not, is one.
    pub(super) fn is(self, weekday: Weekday, workday: bool) -> bool {
        match self {
            Self::Mon => weekday == Weekday::Monday,
            Self::Tue => weekday == Weekday::Tuesday,
            Self::Wed => weekday == Weekday::Wednesday,
            Self::Thu => weekday == Weekday::Thursday,
            Self::Fri => weekday == Weekday::Friday,
            Self::Sat => weekday == Weekday::Saturday,
            Self::Sun => weekday == Weekday::Sunday,
            Self::Workday => workday,
            Self::Holiday => !workday,
        }
    }
}

/// A stretch of a day, in minutes since midnight; one that ends no later than it begins runs
/// past midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    from: u16,
    to: u16,
}

impl Span {
    /// Reads `HH:MM-HH:MM`, 00:00 to 24:00; `None` when it is not that, or is no time at all.
    pub fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once('-')?;
        Self::between(from.trim(), to.trim())
    }

    /// From one time of day, `HH:MM`, to another; `None` when one is none, or both are the same.
    /// What begins at 24:00 is the night of the day that ends then, all of it on the next.
    pub fn between(from: &str, to: &str) -> Option<Self> {
        let (from, to) = (minute_of_day(from)?, minute_of_day(to)?);
        let same = from == to || (from, to) == (DAY, 0);
        (!same).then_some(Self { from, to })
    }

    /// Whether `minute` of the day, 0 to 1439, lies within.
    pub fn contains(self, minute: u16) -> bool {
        self.parts().iter().any(|part| part.contains(&minute))
    }

    /// The day on which the span began that holds `minute` of `date`; `None` when none does.
    pub fn began(self, date: Date, minute: u16) -> Option<Date> {
        let [first, next] = self.parts();
        if first.contains(&minute) {
            return Some(date);
        }
        next.contains(&minute)
            .then(|| date.yesterday().ok())
            .flatten()
    }

    /// The minutes it takes of the day it begins on, and those it takes of the next.
    pub(super) fn parts(self) -> [std::ops::Range<u16>; 2] {
        if self.to > self.from {
            [self.from..self.to, 0..0]
        } else {
            [self.from..DAY, 0..self.to]
        }
    }
}

/// Minutes since midnight of a time of day as `HH:MM`, `24:00` included.
pub fn minute_of_day(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |digits: &str| {
        let plain = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse::<u16>().ok()).flatten()
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let whole = hours * 60 + minutes;
    (minutes < 60 && whole <= 24 * 60).then_some(whole)
}

/// Days and the hours of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    days: Vec<Day>,
    spans: Vec<Span>,
}

impl Times {
    /// No days: every day. No hours: the whole day. What is no time is passed over; the
    /// configuration's check refuses it.
    pub fn new(days: &[Day], hours: &[String]) -> Self {
        Self {
            days: days.to_vec(),
            spans: hours.iter().filter_map(|h| Span::parse(h)).collect(),
        }
    }

    /// Whether they hold at every time.
    pub fn is_always(&self) -> bool {
        self.days.is_empty() && self.spans.is_empty()
    }

    /// Whether they hold at local time `at`. What runs past midnight belongs to the day it began
    /// on. `workday` says on which days people work, `within` which days come into question.
    pub fn hold(
        &self,
        at: DateTime,
        workday: impl Fn(Date) -> bool,
        within: impl Fn(Date) -> bool,
    ) -> bool {
        let fits = |date: Date| {
            let one = |day: &Day| day.is(date.weekday(), workday(date));
            within(date) && (self.days.is_empty() || self.days.iter().any(one))
        };
        let today = at.date();
        if self.spans.is_empty() {
            return fits(today);
        }
        #[expect(clippy::cast_sign_loss, reason = "hours and minutes of a clock")]
        let now = at.hour() as u16 * 60 + at.minute() as u16;
        self.spans
            .iter()
            .any(|span| span.began(today, now).is_some_and(fits))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn times_of_day() {
        for (text, minute) in [
            ("00:00", Some(0)),
            ("07:05", Some(425)),
            ("24:00", Some(1440)),
            ("24:01", None),
            ("7:05", None),
            ("07:60", None),
            ("+7:05", None),
            ("", None),
            ("0705", None),
        ] {
            assert_eq!(minute_of_day(text), minute, "{text}");
        }
    }

    #[test]
    fn hours_are_read_or_refused() {
        for (text, wanted) in [
            ("07:00-22:00", Some((420, 1320))),
            ("18:00 - 02:00", Some((1080, 120))),
            ("00:00-24:00", Some((0, 1440))),
            ("22:00-06:00-07:00", None),
            ("+1:00-02:00", None),
            ("24:00-06:00", Some((1440, 360))),
            ("24:00-24:00", None),
            ("24:00-00:00", None),
            ("07:00-07:00", None),
            ("7:00-22:00", None),
            ("07:60-22:00", None),
            ("25:00-26:00", None),
            ("07.00-22.00", None),
            ("07:00", None),
            ("", None),
        ] {
            let read = Span::parse(text).map(|s| (s.from, s.to));
            assert_eq!(read, wanted, "{text}");
        }
    }

    #[test]
    fn a_span_contains_its_minutes() {
        for (text, within, without) in [
            ("07:30-09:00", &[450, 539][..], &[449, 540, 0, 1439][..]),
            ("22:00-06:00", &[1320, 1439, 0, 359], &[1319, 360, 720]),
            ("18:00-24:00", &[1080, 1439], &[1079, 0]),
            ("00:00-00:01", &[0], &[1, 1439]),
            ("00:00-24:00", &[0, 1439], &[]),
            ("24:00-06:00", &[0, 180, 359], &[360, 1439]),
        ] {
            let span = Span::parse(text).expect("a span");
            assert!(within.iter().all(|&m| span.contains(m)), "{text}");
            assert!(!without.iter().any(|&m| span.contains(m)), "{text}");
        }
    }

    #[test]
    fn times_hold_on_their_days_and_past_midnight() {
        // 2026-10-01 is a Thursday and, here, a holiday.
        let feast = date(2026, 10, 1);
        let workday =
            |d: Date| d != feast && !matches!(d.weekday(), Weekday::Saturday | Weekday::Sunday);
        let check = |days: &[Day], hours: &[&str], (d, h, m): (i8, i8, i8), wanted: bool| {
            let hours: Vec<String> = hours.iter().map(|&h| h.to_owned()).collect();
            let at = date(2026, 10, d).at(h, m, 0, 0);
            let hold = Times::new(days, &hours).hold(at, workday, |_| true);
            assert_eq!(hold, wanted, "{days:?} {hours:?} {at}");
        };
        check(&[], &[], (2, 3, 0), true);
        check(&[], &["07:00-22:00"], (2, 6, 59), false);
        check(&[], &["07:00-22:00"], (2, 7, 0), true);
        check(&[], &["07:00-22:00"], (2, 22, 0), false);
        check(&[Day::Workday], &[], (1, 12, 0), false);
        check(&[Day::Holiday], &[], (1, 12, 0), true);
        check(&[Day::Thu], &[], (1, 12, 0), true);
        check(&[Day::Sat, Day::Sun], &[], (2, 12, 0), false);
        check(&[Day::Fri], &["18:00-02:00"], (2, 23, 0), true);
        check(&[Day::Fri], &["18:00-02:00"], (3, 1, 59), true);
        check(&[Day::Fri], &["18:00-02:00"], (2, 1, 0), false);
        check(&[Day::Fri], &["18:00-02:00"], (3, 2, 0), false);
        // Saturday's night market that begins when Saturday ends: Sunday, 4 October.
        check(&[Day::Sat], &["24:00-02:00"], (4, 1, 0), true);
        check(&[Day::Sat], &["24:00-02:00"], (4, 2, 0), false);
        check(&[Day::Sat], &["24:00-02:00"], (3, 1, 0), false);
    }
}

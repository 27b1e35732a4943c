//! Times of day and the days on which they hold: of zones and of permits.

use jiff::civil::{Date, DateTime, Weekday};
use serde::{Deserialize, Serialize};

use super::warn::minute_of_day;

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
pub(super) struct Span {
    from: u16,
    to: u16,
}

impl Span {
    /// Reads `HH:MM-HH:MM`, 00:00 to 24:00; `None` when it is not that, or is no time at all.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once('-')?;
        let minute = |text: &str| minute_of_day(text.trim());
        let (from, to) = (minute(from)?, minute(to)?);
        (from != to && from < DAY).then_some(Self { from, to })
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
        self.spans.iter().any(|span| {
            let [first, next] = span.parts();
            first.contains(&now) && fits(today)
                || next.contains(&now) && today.yesterday().is_ok_and(fits)
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn hours_are_read_or_refused() {
        for (text, wanted) in [
            ("07:00-22:00", Some((420, 1320))),
            ("18:00 - 02:00", Some((1080, 120))),
            ("00:00-24:00", Some((0, 1440))),
            ("24:00-06:00", None),
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
    }
}

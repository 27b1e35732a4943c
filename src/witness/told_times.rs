//! Moments in words: when a package was signed, between which bounds, and by whose clock.

use super::told::{Fact, Told};
use super::verdict::{Latest, LatestBy};

impl Told<'_> {
    /// The moment of signing between its bounds.
    pub(super) fn times(&self) -> Vec<Fact> {
        let bounds = &self.verdict.bounds;
        let told = |time: &Option<String>, line| {
            let time = time.as_ref().map(|time| self.moment(time));
            let time = time.map(|time| self.words.line(line, &[("time", time)]));
            time.unwrap_or_else(|| self.unknown())
        };
        let latest = bounds.latest.as_ref().map(|latest| self.latest(latest));
        let signed = bounds.signed.as_ref().map(|time| self.moment(time));
        let error = bounds
            .error_us
            .map(|us| format!("{} ms", us.div_ceil(1000)));
        let time = ("time", signed.unwrap_or_else(|| self.unknown()));
        let signed = match error {
            Some(error) => self.words.line("signed_at_line", &[time, ("error", error)]),
            None => self.words.line("signed_at_unsure", &[time]),
        };
        let mut times = vec![
            ("earliest", told(&bounds.earliest, "earliest_line")),
            ("signed_at", signed),
        ];
        times.extend(self.corrected());
        times.push(("latest", latest.unwrap_or_else(|| self.unknown())));
        times
    }

    /// The time of signing as the device itself corrected it later.
    fn corrected(&self) -> Option<Fact> {
        let correction = self.verdict.bounds.correction.as_ref()?;
        let signed = self.verdict.signer.as_ref()?.signing_time;
        let corrected = signed
            .saturating_mul(1_000_000_000)
            .saturating_add(correction.offset_us.saturating_mul(1000));
        let fields = [
            ("time", self.moment(&crate::clock::rfc3339_ms(corrected))),
            (
                "error",
                format!("{} ms", correction.error_us.div_ceil(1000)),
            ),
            (
                "offset",
                format!("{} ms", correction.offset_us.div_euclid(1000)),
            ),
            ("n", correction.n.to_string()),
        ];
        Some(("corrected", self.words.line("corrected_line", &fields)))
    }

    fn latest(&self, latest: &Latest) -> String {
        let time = ("time", self.moment(&latest.at));
        let Some(stamp) = self
            .verdict
            .stamp
            .as_ref()
            .filter(|_| latest.by == LatestBy::TimeStamp)
        else {
            return self.words.line("latest_by_receipt", &[time]);
        };
        let error = stamp
            .accuracy_us
            .map(|us| format!("{} ms", us.div_ceil(1000)));
        let fields = [
            time,
            ("authority", stamp.authority.clone()),
            ("error", error.unwrap_or_else(|| self.unknown())),
        ];
        self.words.line("latest_by_stamp", &fields)
    }

    /// An RFC 3339 time as `2026-08-01 10:03:04.567 +08:00`; what is not one, as it is.
    pub(super) fn moment(&self, rfc3339: &str) -> String {
        rfc3339.parse::<jiff::Timestamp>().map_or_else(
            |_| rfc3339.to_owned(),
            |time| {
                let zoned = time.to_zoned(self.zone.clone());
                zoned.strftime("%Y-%m-%d %H:%M:%S%.3f %:z").to_string()
            },
        )
    }
}

//! The verdict as one page for a human being.

use jiff::tz::TimeZone;

use super::facts::Warning;
use super::statement::Statement;
use super::verdict::Verdict;
use super::wording::{Language, Wording, name_of, word};

/// A line of the page: the key of its label, and its text.
type Line = (&'static str, String);

impl Verdict {
    /// One page of plain text, lines ended by newlines: the judgement, every check, the facts.
    /// Times are told in the device's own time zone where this system knows it.
    pub fn page(&self, language: Language) -> String {
        let words = Wording::of(language);
        let headline = if self.valid {
            &words.valid
        } else {
            &words.invalid
        };
        let mut lines = vec![words.title.clone(), headline.clone(), String::new()];
        for check in &self.checks {
            let status = name_of(&check.status);
            let id = name_of(&check.id);
            let mut line = format!(
                "{} {}",
                word(&words.status, &status),
                word(&words.check, &id)
            );
            if !check.findings.is_empty() {
                line.push_str(&words.colon);
                line.push_str(&words.findings(&check.findings));
            }
            lines.push(line);
        }
        lines.push(String::new());
        let page = Page {
            verdict: self,
            words,
            zone: self.zone(),
        };
        for (key, text) in page.facts() {
            lines.push(format!("{}{}{text}", word(&words.fact, key), words.colon));
        }
        lines.push(String::new());
        lines.join("\n")
    }

    fn zone(&self) -> TimeZone {
        self.statement
            .as_ref()
            .and_then(|statement| TimeZone::get(&statement.device.tz).ok())
            .unwrap_or(TimeZone::UTC)
    }
}

struct Page<'a> {
    verdict: &'a Verdict,
    words: &'a Wording,
    zone: TimeZone,
}

impl Page<'_> {
    fn facts(&self) -> Vec<Line> {
        let mut facts = Vec::new();
        if let Some(signer) = &self.verdict.signer {
            let fields = [
                ("subject", signer.subject.clone()),
                ("certificate", signer.certificate_sha256.clone()),
            ];
            facts.push(("signer", self.words.line("signer_line", &fields)));
        }
        if let Some(statement) = &self.verdict.statement {
            facts.extend(self.stated(statement));
        }
        facts.push(("receipt", self.receipt()));
        facts
    }

    fn stated(&self, statement: &Statement) -> Vec<Line> {
        let case = [
            ("id", statement.id.to_string()),
            ("seq", statement.seq.to_string()),
        ];
        let mut facts = vec![
            ("case", self.words.line("case_line", &case)),
            ("what", self.what(statement)),
            ("signed_at", self.signed_at(statement)),
            ("bounds", self.bounds(statement)),
            ("where", self.place(statement)),
        ];
        for warning in &statement.warning {
            facts.push(("warning", self.warning(warning)));
        }
        if statement.warning.is_empty() {
            facts.push(("warning", self.words.none.clone()));
        }
        for omitted in &statement.omitted {
            let fields = [("what", omitted.what.clone()), ("why", omitted.why.clone())];
            facts.push(("omitted", self.words.line("omitted_line", &fields)));
        }
        facts.push(("files", statement.files.len().to_string()));
        facts
    }

    fn what(&self, statement: &Statement) -> String {
        let facts = &statement.violation;
        let violation = word(&self.words.violation, facts.kind.name());
        let outcome = word(&self.words.outcome, facts.outcome.name());
        let fields = [
            ("violation", violation.to_owned()),
            ("outcome", outcome.to_owned()),
            ("first", self.moment(&facts.first_seen)),
            ("confirmed", self.moment(&facts.confirmed)),
        ];
        self.words.line("what_line", &fields)
    }

    fn signed_at(&self, statement: &Statement) -> String {
        let error = statement.clock.max_error_us;
        let error = error.map(|us| format!("{} ms", us.div_ceil(1000)));
        let time = self.verdict.signer.as_ref().map(|signer| {
            let nanoseconds = signer.signing_time.saturating_mul(1_000_000_000);
            self.moment(&crate::clock::rfc3339_ms(nanoseconds))
        });
        let fields = [
            ("time", time.unwrap_or_else(|| self.unknown())),
            ("error", error.unwrap_or_else(|| self.unknown())),
        ];
        self.words.line("signed_at_line", &fields)
    }

    fn bounds(&self, statement: &Statement) -> String {
        let earliest = statement
            .after
            .as_ref()
            .map(|a| self.moment(&a.server_time));
        if let Some(stamp) = &self.verdict.stamp {
            let error = stamp
                .accuracy_us
                .map(|us| format!("{} ms", us.div_ceil(1000)));
            let fields = [
                ("earliest", earliest.unwrap_or_else(|| self.unknown())),
                ("latest", self.moment(&stamp.at)),
                ("authority", stamp.authority.clone()),
                ("error", error.unwrap_or_else(|| self.unknown())),
            ];
            return self.words.line("bounds_stamped_line", &fields);
        }
        let latest = self.verdict.receipt.as_ref().map(|r| self.moment(&r.at));
        let fields = [
            ("earliest", earliest.unwrap_or_else(|| self.unknown())),
            ("latest", latest.unwrap_or_else(|| self.unknown())),
        ];
        self.words.line("bounds_line", &fields)
    }

    fn place(&self, statement: &Statement) -> String {
        let site = statement.site.as_ref();
        let site = site.and_then(|site| site.name.clone().or_else(|| site.public_id.clone()));
        let site = ("site", site.unwrap_or_else(|| self.unknown()));
        let Some(position) = &statement.position else {
            return self.words.line("where_unknown", &[site]);
        };
        let metres = |mm: u32| format!("{}.{} m", mm / 1000, mm % 1000 / 100);
        let accuracy = position.h_acc_mm.map(metres);
        let fields = [
            ("lat", degrees(position.lat_e7)),
            ("lon", degrees(position.lon_e7)),
            ("accuracy", accuracy.unwrap_or_else(|| self.unknown())),
            site,
        ];
        self.words.line("where_line", &fields)
    }

    fn warning(&self, warning: &Warning) -> String {
        let time = ("time", self.moment(&warning.at));
        let tenths = warning.played_ms / 100;
        let seconds = ("seconds", format!("{}.{}", tenths / 10, tenths % 10));
        match &warning.failure {
            None => self.words.line("warning_played", &[time, seconds]),
            Some(why) => {
                let why = ("why", why.clone());
                self.words.line("warning_failed", &[time, seconds, why])
            }
        }
    }

    fn receipt(&self) -> String {
        let Some(receipt) = &self.verdict.receipt else {
            return self.words.none.clone();
        };
        let fields = [
            ("receiver", receipt.receiver.clone()),
            ("time", self.moment(&receipt.at)),
            ("copies", receipt.copies.to_string()),
        ];
        self.words.line("receipt_line", &fields)
    }

    fn unknown(&self) -> String {
        self.words.unknown_fact.clone()
    }

    /// An RFC 3339 time as `2026-08-01 10:03:04.567 +08:00`; what is not one, as it is.
    fn moment(&self, rfc3339: &str) -> String {
        rfc3339.parse::<jiff::Timestamp>().map_or_else(
            |_| rfc3339.to_owned(),
            |time| {
                let zoned = time.to_zoned(self.zone.clone());
                zoned.strftime("%Y-%m-%d %H:%M:%S%.3f %:z").to_string()
            },
        )
    }
}

/// Degrees × 10⁷ as decimal degrees, exactly.
fn degrees(e7: i32) -> String {
    let sign = if e7 < 0 { "-" } else { "" };
    let magnitude = e7.unsigned_abs();
    format!(
        "{sign}{}.{:07}",
        magnitude / 10_000_000,
        magnitude % 10_000_000
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees_are_exact() {
        for (e7, text) in [
            (361_600_001, "36.1600001"),
            (-5, "-0.0000005"),
            (i32::MIN, "-214.7483648"),
            (0, "0.0000000"),
        ] {
            assert_eq!(degrees(e7), text);
        }
    }
}

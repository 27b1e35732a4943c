//! The facts of a verdict in words, for the page and the report alike.

use jiff::tz::TimeZone;

use super::facts::Warning;
use super::grade::{Condition, Grading};
use super::quality::Part;
use super::receipt::ReceiptVerdict;
use super::review::{Review, Reviewed};
use super::statement::Statement;
use super::verdict::{Status, Verdict};
use super::wording::{Wording, name_of, word};
use crate::types::{Heard, is_old};

/// A fact: the key of its label, and its text.
pub(super) type Fact = (&'static str, String);

/// Tells a verdict in one language.
pub(super) struct Told<'a> {
    pub(super) verdict: &'a Verdict,
    pub(super) words: &'static Wording,
    pub(super) zone: TimeZone,
}

impl<'a> Told<'a> {
    /// Times are told in the device's own time zone where this system knows it.
    pub(super) fn new(verdict: &'a Verdict, words: &'static Wording) -> Self {
        let stated = verdict.statement.as_ref();
        let zone = stated.and_then(|s| TimeZone::get(&s.device.tz).ok());
        Self {
            verdict,
            words,
            zone: zone.unwrap_or(TimeZone::UTC),
        }
    }

    /// Whether it is valid, in a sentence.
    pub(super) fn headline(&self) -> &'static str {
        if self.verdict.valid {
            &self.words.valid
        } else if self.verdict.undecided() {
            &self.words.undecided
        } else {
            &self.words.invalid
        }
    }

    /// The mark of a status.
    pub(super) fn mark(&self, status: Status) -> String {
        word(&self.words.status, &name_of(&status)).to_owned()
    }

    /// What speaks for a quality, with what was found.
    pub(super) fn part(&self, part: &Part) -> String {
        match part {
            Part::Check(id) => {
                let name = name_of(id);
                let what = word(&self.words.check, &name);
                match self.verdict.check(*id) {
                    Some(check) if !check.findings.is_empty() => {
                        let found = self.words.findings(&check.findings);
                        format!("{what}{}{found}", self.words.colon)
                    }
                    _ => what.to_owned(),
                }
            }
            Part::Condition(id) => {
                let stated = self.grading().map(|g| &g.conditions);
                let found = stated.and_then(|all| all.iter().find(|c| c.id == *id));
                match found {
                    _ if !self.verdict.valid => self.unsaid(id, "not_verified"),
                    None => self.unsaid(id, "not_stated"),
                    Some(condition) => self.condition(condition),
                }
            }
        }
    }

    fn unsaid(&self, id: &str, why: &'static str) -> String {
        let what = word(&self.words.condition, id);
        let why = word(&self.words.fact, why);
        format!("{what}{}{why}", self.words.colon)
    }

    fn condition(&self, condition: &Condition) -> String {
        let told = |value: &str| {
            // What a warning failed of is a reason.
            let spoken = condition.id == "warning";
            let reason = self.words.reasons.known(value).filter(|_| spoken);
            reason.unwrap_or_else(|| self.words.phrased(value))
        };
        let value = condition.value.as_deref().map(told);
        let fields = [
            (
                "what",
                word(&self.words.condition, &condition.id).to_owned(),
            ),
            ("value", value.unwrap_or_else(|| self.unknown())),
            ("limit", self.words.phrased(&condition.limit)),
        ];
        self.words.line("condition_line", &fields)
    }

    fn grading(&self) -> Option<&'a Grading> {
        self.verdict.statement.as_ref()?.grade.as_ref()
    }

    /// Every fact, in the order shown.
    pub(super) fn facts(&self) -> Vec<Fact> {
        let mut facts = Vec::new();
        let stated = self.verdict.statement.as_ref();
        if let Some(statement) = stated {
            let case = [
                ("id", statement.id.to_string()),
                ("seq", statement.seq.to_string()),
            ];
            facts.push(("case", self.words.line("case_line", &case)));
        }
        if let Some(signer) = &self.verdict.signer {
            let fields = [
                ("subject", signer.subject.clone()),
                ("issuer", signer.issuer.clone()),
                ("certificate", signer.certificate_sha256.clone()),
            ];
            facts.push(("signer", self.words.line("signer_line", &fields)));
        }
        if let Some(statement) = stated {
            facts.push(("what", self.what(statement)));
            facts.push(("why", self.why(statement)));
            facts.push(("detector", self.detector(statement)));
            facts.push(self.settings(statement));
        }
        facts.extend(self.times());
        if let Some(statement) = stated {
            facts.push(("where", self.place(statement)));
            facts.push(self.camera(&statement.camera));
            facts.extend(self.warnings(statement));
            facts.extend(self.grade());
        }
        facts.extend(self.reviews());
        facts.push(("receipt", self.receipt()));
        if let Some(statement) = stated {
            facts.extend(self.files(statement));
        }
        facts
    }

    fn what(&self, statement: &Statement) -> String {
        let Some(facts) = &statement.violation else {
            return word(&self.words.fact, "what_asked").to_owned();
        };
        let violation = word(&self.words.violation, facts.kind.name());
        let outcome = word(&self.words.outcome, facts.outcome.name());
        let fields = [
            ("violation", violation.to_owned()),
            ("outcome", outcome.to_owned()),
        ];
        self.words.line("what_line", &fields)
    }

    /// Why it fired: rule, zone, how long; or who asked.
    fn why(&self, statement: &Statement) -> String {
        let Some(facts) = &statement.violation else {
            return self.asked(statement);
        };
        let seconds = facts.dwell_s.map(|s| format!("{s} s"));
        let zone = facts.zone.clone();
        let fields = [
            ("rule", word(&self.words.rule, &facts.rule).to_owned()),
            ("zone", zone.unwrap_or_else(|| self.unknown())),
            ("camera", statement.camera.id.clone()),
            ("first", self.moment(&facts.first_seen)),
            ("confirmed", self.moment(&facts.confirmed)),
            ("dwell", seconds.unwrap_or_else(|| self.unknown())),
        ];
        self.words.line("why_line", &fields)
    }

    fn asked(&self, statement: &Statement) -> String {
        let Some(asked) = &statement.asked else {
            return self.unknown();
        };
        let fields = [
            ("by", asked.by.clone()),
            ("command", asked.command.to_string()),
            ("camera", statement.camera.id.clone()),
            ("time", self.moment(&asked.at)),
        ];
        self.words.line("why_asked", &fields)
    }

    fn detector(&self, statement: &Statement) -> String {
        let software = &statement.software;
        let program = format!("{} {}", software.name, software.version);
        let Some(model) = &software.model else {
            let unknown = ("model", self.unknown());
            return self
                .words
                .line("detector_unknown", &[unknown, ("program", program)]);
        };
        let fields = [
            ("model", model.name.clone()),
            ("sha256", model.sha256.chars().take(16).collect()),
            ("threshold", model.threshold.to_string()),
            ("program", program),
        ];
        self.words.line("detector_line", &fields)
    }

    fn place(&self, statement: &Statement) -> String {
        let site = statement.site.as_ref();
        let named = site.map(|s| {
            let parts = [s.public_id.as_deref(), s.name.as_deref()];
            parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
        });
        let named = named.filter(|text| !text.is_empty());
        let approval = site.and_then(|s| s.approval.clone());
        let site = ("site", named.unwrap_or_else(|| self.unknown()));
        let approval = ("approval", approval.unwrap_or_else(|| self.unknown()));
        let Some(position) = &statement.position else {
            return self.words.line("where_unknown", &[site, approval]);
        };
        let metres = |mm: u32| format!("{}.{} m", mm / 1000, mm % 1000 / 100);
        let accuracy = position.h_acc_mm.map(metres);
        let fields = [
            ("lat", degrees(position.lat_e7)),
            ("lon", degrees(position.lon_e7)),
            ("accuracy", accuracy.unwrap_or_else(|| self.unknown())),
            ("age", format!("{} s", position.age_ms.div_ceil(1000))),
            site,
            approval,
        ];
        let old = is_old(position.age_ms);
        let line = if old { "where_then" } else { "where_line" };
        self.words.line(line, &fields)
    }

    fn warnings(&self, statement: &Statement) -> Vec<Fact> {
        if statement.warning.is_empty() {
            return vec![("warning", self.words.none.clone())];
        }
        let warnings = statement.warning.iter();
        warnings.map(|w| ("warning", self.warning(w))).collect()
    }

    fn warning(&self, warning: &Warning) -> String {
        let time = ("time", self.moment(&warning.at));
        let tenths = warning.played_ms / 100;
        let seconds = ("seconds", format!("{}.{}", tenths / 10, tenths % 10));
        if let Some(why) = &warning.failure {
            let fields = [time, seconds, ("why", self.words.reasons.told(why))];
            return self.words.line("warning_failed", &fields);
        }
        let fixed = |name: &str| word(&self.words.fact, name).to_owned();
        let heard = match (warning.heard, warning.acknowledged_by_amp) {
            (
                Some(Heard::PlayedHeard {
                    level_db,
                    delay_ms,
                    correlation_permille,
                }),
                _,
            ) => {
                let fields = [
                    ("level", level_db.to_string()),
                    ("delay", delay_ms.to_string()),
                    ("likeness", (correlation_permille / 10).to_string()),
                ];
                self.words.line("heard_by_microphone", &fields)
            }
            (Some(Heard::PlayedNotHeard), _) => fixed("heard_not_by_microphone"),
            (_, Some(true)) => fixed("heard_by_amp"),
            (_, Some(false)) => fixed("heard_not"),
            (_, None) => fixed("heard_unknown"),
        };
        let heard = ("heard", heard);
        self.words.line("warning_played", &[time, seconds, heard])
    }

    /// The grade, and each condition that speaks against evidence.
    fn grade(&self) -> Vec<Fact> {
        let Some(grading) = self.grading() else {
            return vec![("grade", word(&self.words.fact, "not_stated").to_owned())];
        };
        let all = grading.conditions.len();
        let against: Vec<&Condition> = grading.against().collect();
        let fields = [
            (
                "grade",
                word(&self.words.grade, &name_of(&grading.grade)).to_owned(),
            ),
            ("met", (all - against.len()).to_string()),
            ("all", all.to_string()),
        ];
        let mut facts = vec![("grade", self.words.line("grade_line", &fields))];
        let told = against.into_iter().map(|c| ("against", self.condition(c)));
        facts.extend(told);
        facts
    }

    fn reviews(&self) -> Vec<Fact> {
        if self.verdict.reviews.is_empty() {
            return vec![("review", self.words.none.clone())];
        }
        let reviews = self.verdict.reviews.iter();
        reviews.map(|r| ("review", self.review(r))).collect()
    }

    fn review(&self, reviewed: &Reviewed) -> String {
        let Reviewed {
            review: Some(review),
            ..
        } = reviewed
        else {
            return self.words.findings(&reviewed.findings);
        };
        let Review {
            verdict, reason, ..
        } = review;
        let level = match reviewed.level {
            Some(1) => "review_first",
            Some(2) => "review_second",
            _ => "review_further",
        };
        let fields = [
            ("level", word(&self.words.fact, level).to_owned()),
            (
                "verdict",
                word(&self.words.review, &name_of(verdict)).to_owned(),
            ),
            ("reviewer", review.reviewer.clone()),
            ("time", self.moment(&review.at)),
            ("reason", reason.clone()),
        ];
        self.words.line("review_line", &fields)
    }

    fn receipt(&self) -> String {
        let Some(receipt) = &self.verdict.receipt else {
            return self.words.none.clone();
        };
        let by = ("receiver", receipt.receiver.clone());
        let time = ("time", self.moment(&receipt.at));
        if receipt.verdict == ReceiptVerdict::Refused {
            let why = receipt.why.as_deref().unwrap_or_default();
            let why = ("why", self.words.reasons.told(why));
            return self.words.line("receipt_refused", &[by, time, why]);
        }
        let newest = self.verdict.later_receipt.as_ref().unwrap_or(receipt);
        let copies = ("copies", newest.copies.to_string());
        self.words.line("receipt_line", &[by, time, copies])
    }

    fn files(&self, statement: &Statement) -> Vec<Fact> {
        let omitted = statement.omitted.iter().map(|omitted| {
            let reasons = &self.words.reasons;
            let what = reasons.known(&omitted.what);
            let fields = [
                ("what", what.unwrap_or_else(|| omitted.what.clone())),
                ("why", reasons.told(&omitted.why)),
            ];
            ("omitted", self.words.line("omitted_line", &fields))
        });
        let mut facts: Vec<Fact> = omitted.collect();
        if facts.is_empty() {
            facts.push(("omitted", self.words.none.clone()));
        }
        facts.push(("files", statement.files.len().to_string()));
        facts
    }

    pub(super) fn unknown(&self) -> String {
        self.words.unknown_fact.clone()
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
    use crate::witness::statement::tests::sparse;
    use crate::witness::wording::Language;
    use crate::witness::{ContainerError, Position};

    #[test]
    fn a_position_of_another_moment_comes_with_its_age() {
        let place = |age_ms| {
            let mut verdict = Verdict::unreadable(&ContainerError::Form(String::new()));
            let mut statement = sparse();
            statement.position = Some(Position {
                lat_e7: 361_600_000,
                lon_e7: 1_204_300_000,
                datum: "WGS-84".to_owned(),
                h_acc_mm: Some(2_000),
                fix: "3d".to_owned(),
                sats: None,
                source: "mavlink".to_owned(),
                age_ms,
            });
            verdict.statement = Some(statement);
            [Language::English, Language::Chinese].map(|language| {
                let told = Told::new(&verdict, Wording::of(language));
                let facts = told.facts();
                let place = facts.into_iter().find(|(key, _)| *key == "where");
                place.expect("a place").1
            })
        };
        let [english, chinese] = place(5_000);
        assert!(
            english.starts_with("36.1600000, 120.4300000 (WGS-84), ± 2.0 m; "),
            "{english}"
        );
        assert!(
            chinese.starts_with("36.1600000，120.4300000（WGS-84），± 2.0 m；"),
            "{chinese}"
        );
        let [english, chinese] = place(54_001);
        assert!(
            english.contains("± 2.0 m, but 55 s before or after; "),
            "{english}"
        );
        assert!(
            chinese.contains("± 2.0 m，测得时刻前后相差 55 s；"),
            "{chinese}"
        );
    }

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

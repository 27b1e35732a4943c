//! The verdict as one page for a human being, worded by `config/wording/*.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::facts::Warning;
use super::finding::Finding;
use super::statement::Statement;
use super::verdict::{CheckId, Verdict};

/// The language of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Simplified Chinese.
    Chinese,
    /// English.
    English,
}

impl Language {
    /// The language of a POSIX locale name such as `zh_CN.UTF-8`; English unless Chinese.
    pub fn of_locale(locale: &str) -> Self {
        if locale.starts_with("zh") {
            Self::Chinese
        } else {
            Self::English
        }
    }
}

type Words = BTreeMap<String, String>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wording {
    title: String,
    valid: String,
    invalid: String,
    unknown_fact: String,
    none: String,
    status: Words,
    check: Words,
    finding: Words,
    fact: Words,
    violation: Words,
    outcome: Words,
}

static CHINESE: LazyLock<Wording> =
    LazyLock::new(|| Wording::read(include_str!("../../config/wording/zh.toml")));
static ENGLISH: LazyLock<Wording> =
    LazyLock::new(|| Wording::read(include_str!("../../config/wording/en.toml")));

impl Wording {
    fn read(toml: &str) -> Self {
        toml::from_str(toml).expect("invariant: the shipped wording is complete (tested)")
    }

    fn of(language: Language) -> &'static Self {
        match language {
            Language::Chinese => &CHINESE,
            Language::English => &ENGLISH,
        }
    }

    fn finding(&self, finding: &Finding) -> String {
        let value =
            serde_json::to_value(finding).expect("invariant: a finding is strings and numbers");
        let mut text = String::new();
        let mut fields = Vec::new();
        for (key, value) in value.as_object().into_iter().flatten() {
            let plain = match value {
                serde_json::Value::String(s) => s.clone(),
                other => other.to_string(),
            };
            if key == "code" {
                word(&self.finding, &plain).clone_into(&mut text);
            } else {
                fields.push((key.as_str(), plain));
            }
        }
        fill(&text, &fields)
    }

    fn line(&self, key: &str, fields: &[(&str, String)]) -> String {
        fill(word(&self.fact, key), fields)
    }
}

/// The word for `key`, or the key itself.
fn word<'a>(words: &'a Words, key: &'a str) -> &'a str {
    words.get(key).map_or(key, String::as_str)
}

/// Puts the fields into the template, once: a value is never searched for placeholders.
fn fill(template: &str, fields: &[(&str, String)]) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let (key, tail) = after.split_once('}').unwrap_or((after, ""));
        if let Some((_, value)) = fields.iter().find(|(name, _)| *name == key) {
            text.push_str(&harmless(value));
        }
        rest = tail;
    }
    text.push_str(rest);
    text
}

/// `value` without what could repaint a terminal or turn the reading direction: what a foreign
/// package brings in is shown, not obeyed.
fn harmless(value: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    value
        .chars()
        .filter(|c| !c.is_control() && !turns(*c))
        .collect()
}

/// The English sentence of a check.
pub(super) fn what(id: CheckId) -> String {
    word(&ENGLISH.check, &name_of(&id)).to_owned()
}

/// The English text of findings.
pub(super) fn detail(findings: &[Finding]) -> String {
    let texts: Vec<_> = findings.iter().map(|f| ENGLISH.finding(f)).collect();
    texts.join("; ")
}

impl Verdict {
    /// One page of plain text, lines ended by newlines.
    pub fn page(&self, language: Language) -> String {
        let words = Wording::of(language);
        let headline = if self.valid {
            &words.valid
        } else {
            &words.invalid
        };
        let mut lines = vec![words.title.clone(), headline.clone(), String::new()];
        for check in &self.checks {
            let (status, id) = (name_of(&check.status), name_of(&check.id));
            let findings: Vec<_> = check.findings.iter().map(|f| words.finding(f)).collect();
            let tail = if findings.is_empty() {
                String::new()
            } else {
                format!(" - {}", findings.join("; "))
            };
            lines.push(format!(
                "{} {}{tail}",
                word(&words.status, &status),
                word(&words.check, &id)
            ));
        }
        lines.push(String::new());
        for (key, text) in self.facts(words) {
            lines.push(format!("{}: {text}", word(&words.fact, key)));
        }
        lines.push(String::new());
        lines.join("\n")
    }

    fn facts(&self, words: &Wording) -> Vec<(&'static str, String)> {
        let mut facts = Vec::new();
        if let Some(signer) = &self.signer {
            facts.push((
                "signer",
                words.line(
                    "signer_line",
                    &[
                        ("subject", signer.subject.clone()),
                        ("certificate", signer.certificate_sha256.clone()),
                    ],
                ),
            ));
        }
        if let Some(statement) = &self.statement {
            facts.extend(self.stated(statement, words));
        }
        let receipt = self.receipt.as_ref().map_or_else(
            || words.none.clone(),
            |receipt| {
                words.line(
                    "receipt_line",
                    &[
                        ("receiver", receipt.receiver.clone()),
                        ("time", receipt.at.clone()),
                        ("copies", receipt.copies.to_string()),
                    ],
                )
            },
        );
        facts.push(("receipt", receipt));
        facts
    }

    fn stated(&self, statement: &Statement, words: &Wording) -> Vec<(&'static str, String)> {
        let unknown = || words.unknown_fact.clone();
        let error = statement
            .clock
            .max_error_us
            .map(|us| format!("{} ms", us.div_ceil(1000)));
        let signed = self.signer.as_ref().map(|signer| {
            crate::clock::rfc3339_ms(signer.signing_time.saturating_mul(1_000_000_000))
        });
        let mut facts = vec![
            (
                "case",
                words.line(
                    "case_line",
                    &[
                        ("id", statement.id.to_string()),
                        ("seq", statement.seq.to_string()),
                    ],
                ),
            ),
            (
                "what",
                words.line(
                    "what_line",
                    &[
                        (
                            "violation",
                            word(&words.violation, statement.violation.kind.name()).to_owned(),
                        ),
                        (
                            "outcome",
                            word(&words.outcome, statement.violation.outcome.name()).to_owned(),
                        ),
                        ("first", statement.violation.first_seen.clone()),
                        ("confirmed", statement.violation.confirmed.clone()),
                    ],
                ),
            ),
            (
                "signed_at",
                words.line(
                    "signed_at_line",
                    &[
                        ("time", signed.unwrap_or_else(unknown)),
                        ("error", error.unwrap_or_else(unknown)),
                    ],
                ),
            ),
            ("bounds", self.bounds(statement, words)),
            ("where", place(statement, words)),
        ];
        facts.extend(
            statement
                .warning
                .iter()
                .map(|w| ("warning", warning(w, words))),
        );
        if statement.warning.is_empty() {
            facts.push(("warning", words.none.clone()));
        }
        for omitted in &statement.omitted {
            let fields = [("what", omitted.what.clone()), ("why", omitted.why.clone())];
            facts.push(("omitted", words.line("omitted_line", &fields)));
        }
        facts.push(("files", statement.files.len().to_string()));
        facts
    }

    fn bounds(&self, statement: &Statement, words: &Wording) -> String {
        let unknown = || words.unknown_fact.clone();
        let earliest = statement
            .after
            .as_ref()
            .map(|after| after.server_time.clone());
        let latest = self.receipt.as_ref().map(|receipt| receipt.at.clone());
        words.line(
            "bounds_line",
            &[
                ("earliest", earliest.unwrap_or_else(unknown)),
                ("latest", latest.unwrap_or_else(unknown)),
            ],
        )
    }
}

/// The name a unit variant has in JSON.
fn name_of<T: serde::Serialize>(variant: &T) -> String {
    serde_json::to_value(variant)
        .ok()
        .and_then(|value| value.as_str().map(ToOwned::to_owned))
        .unwrap_or_default()
}

fn place(statement: &Statement, words: &Wording) -> String {
    let site = statement
        .site
        .as_ref()
        .and_then(|site| site.name.clone())
        .unwrap_or_else(|| words.none.clone());
    let Some(position) = &statement.position else {
        return format!("{}, {site}", words.unknown_fact);
    };
    let accuracy = position.h_acc_mm.map_or_else(
        || words.unknown_fact.clone(),
        |mm| format!("{}.{} m", mm / 1000, mm % 1000 / 100),
    );
    words.line(
        "where_line",
        &[
            ("lat", degrees(position.lat_e7)),
            ("lon", degrees(position.lon_e7)),
            ("accuracy", accuracy),
            ("site", site),
        ],
    )
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

fn warning(warning: &Warning, words: &Wording) -> String {
    let time = ("time", warning.at.clone());
    match &warning.failure {
        None => {
            let tenths = warning.played_ms / 100;
            let seconds = format!("{}.{}", tenths / 10, tenths % 10);
            words.line("warning_played", &[time, ("seconds", seconds)])
        }
        Some(why) => words.line("warning_failed", &[time, ("why", why.clone())]),
    }
}

//! The words of the verifier's page: `config/wording/*.toml`, compiled in.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::finding::Finding;
use super::reason::Reasons;
use super::verdict::CheckId;

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

/// One language's words. Tables are keyed by the names that variants have in JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wording {
    pub(super) title: String,
    pub(super) valid: String,
    pub(super) invalid: String,
    pub(super) undecided: String,
    pub(super) unknown_fact: String,
    pub(super) colon: String,
    pub(super) none: String,
    pub(super) claims: String,
    pub(super) status: Words,
    pub(super) check: Words,
    pub(super) finding: Words,
    pub(super) fact: Words,
    pub(super) violation: Words,
    pub(super) outcome: Words,
    pub(super) rule: Words,
    pub(super) quality: Words,
    pub(super) condition: Words,
    pub(super) grade: Words,
    pub(super) review: Words,
    pub(super) moment: Words,
    pub(super) report: Words,
    pub(super) credential: Words,
    /// Words of the device's own English in the values of conditions, with this language's.
    #[serde(default)]
    pub(super) phrase: Words,
    /// Reasons that devices and this program word in English, in this language.
    #[serde(skip)]
    pub(super) reasons: Reasons,
}

static CHINESE: LazyLock<Wording> = LazyLock::new(|| Wording {
    reasons: Reasons::read(include_str!("../../config/wording/reasons-zh.toml")),
    ..Wording::read(include_str!("../../config/wording/zh.toml"))
});
static ENGLISH: LazyLock<Wording> =
    LazyLock::new(|| Wording::read(include_str!("../../config/wording/en.toml")));

impl Wording {
    fn read(toml: &str) -> Self {
        toml::from_str(toml).expect("invariant: the shipped wording is complete (tested)")
    }

    pub(super) fn of(language: Language) -> &'static Self {
        match language {
            Language::Chinese => &CHINESE,
            Language::English => &ENGLISH,
        }
    }

    /// The sentence of a finding, its fields filled in.
    pub(super) fn finding(&self, finding: &Finding) -> String {
        let value =
            serde_json::to_value(finding).expect("invariant: a finding is strings and numbers");
        let fields: Vec<(&str, String)> = value
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                let reason = (key == "why").then(|| self.reasons.told(&text));
                (key.as_str(), reason.unwrap_or(text))
            })
            .collect();
        let code = value["code"].as_str().unwrap_or_default();
        fill(word(&self.finding, code), &fields)
    }

    /// The sentences of findings, on one line.
    pub(super) fn findings(&self, findings: &[Finding]) -> String {
        let sentences: Vec<_> = findings.iter().map(|f| self.finding(f)).collect();
        sentences.join("; ")
    }

    /// What a device wrote about a condition, in this language as far as its words are known;
    /// names and what else it wrote freely stay.
    pub(super) fn phrased(&self, text: &str) -> String {
        let mut phrases: Vec<_> = self.phrase.iter().collect();
        // The longest first: one phrase may be part of another.
        phrases.sort_by_key(|(english, _)| std::cmp::Reverse(english.len()));
        phrases
            .into_iter()
            .fold(text.to_owned(), |text, (english, ours)| {
                text.replace(english.as_str(), ours)
            })
    }

    /// A line of facts, its fields filled in.
    pub(super) fn line(&self, key: &str, fields: &[(&str, String)]) -> String {
        fill(word(&self.fact, key), fields)
    }
}

/// The English sentence of a check.
pub(super) fn what(id: CheckId) -> String {
    word(&ENGLISH.check, &name_of(&id)).to_owned()
}

/// The English text of findings.
pub(super) fn detail(findings: &[Finding]) -> String {
    ENGLISH.findings(findings)
}

/// The word for `key`, or the key itself.
pub(super) fn word<'a>(words: &'a Words, key: &'a str) -> &'a str {
    words.get(key).map_or(key, String::as_str)
}

/// The name a unit variant has in JSON.
pub(super) fn name_of<T: Serialize>(variant: &T) -> String {
    match serde_json::to_value(variant) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

/// Puts the fields into the template, once: a value is never searched for placeholders.
pub(super) fn fill(template: &str, fields: &[(&str, String)]) -> String {
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
pub(super) fn harmless(value: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    value
        .chars()
        .filter(|c| !c.is_control() && !turns(*c))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::types::{Outcome, Violation};

    /// The placeholders of a template.
    fn placeholders(template: &str) -> BTreeSet<&str> {
        template
            .split('{')
            .skip(1)
            .filter_map(|part| part.split_once('}'))
            .map(|(key, _)| key)
            .collect()
    }

    #[test]
    fn both_languages_word_the_same_things() {
        let tables = |w: &'static Wording| {
            [
                &w.status,
                &w.check,
                &w.finding,
                &w.fact,
                &w.violation,
                &w.outcome,
                &w.rule,
                &w.quality,
                &w.condition,
                &w.grade,
                &w.review,
                &w.moment,
                &w.report,
                &w.credential,
            ]
        };
        for (chinese, english) in tables(&CHINESE).into_iter().zip(tables(&ENGLISH)) {
            assert!(chinese.keys().eq(english.keys()));
            for (key, template) in english {
                assert_eq!(placeholders(template), placeholders(&chinese[key]), "{key}");
            }
        }
    }

    #[test]
    fn every_check_violation_and_outcome_has_its_word() {
        for id in CheckId::ALL {
            assert!(ENGLISH.check.contains_key(&name_of(&id)), "{id:?}");
        }
        for kind in [
            Violation::StreetVending,
            Violation::Spillage,
            Violation::OutOfStore,
        ] {
            assert!(ENGLISH.violation.contains_key(kind.name()), "{kind:?}");
        }
        for outcome in [Outcome::Corrected, Outcome::Persisted, Outcome::Recorded] {
            assert!(ENGLISH.outcome.contains_key(outcome.name()), "{outcome:?}");
        }
    }

    #[test]
    fn every_finding_has_its_sentence() {
        // The source is the only list of variants; each becomes a key in snake case.
        let source = include_str!("finding.rs");
        let body = source.split_once("pub enum Finding {").expect("the enum").1;
        let body = body.split_once("\n}").expect("its end").0;
        let mut count = 0;
        for line in body
            .lines()
            .filter(|line| line.starts_with("    ") && !line.starts_with("     "))
        {
            let name = line.trim().trim_end_matches([',', '{', ' ']);
            if !name.chars().next().is_some_and(char::is_uppercase) {
                continue;
            }
            let mut key = String::new();
            for c in name.chars() {
                if c.is_uppercase() && !key.is_empty() {
                    key.push('_');
                }
                key.extend(c.to_lowercase());
            }
            assert!(ENGLISH.finding.contains_key(&key), "{key}");
            count += 1;
        }
        assert_eq!(count, ENGLISH.finding.len());
    }

    #[test]
    fn what_a_package_says_is_shown_not_obeyed() {
        let fields = [
            ("name", "a{why}\u{1b}[2J\nVALID\u{202e}b".to_owned()),
            ("why", "x".to_owned()),
        ];
        assert_eq!(
            fill("<{name}> {why} {nothing}{", &fields),
            "<a{why}[2JVALIDb> x "
        );
    }

    #[test]
    fn a_chinese_locale_gets_chinese() {
        for (locale, language) in [
            ("zh_CN.UTF-8", Language::Chinese),
            ("zh", Language::Chinese),
            ("en_GB.UTF-8", Language::English),
            ("C", Language::English),
            ("", Language::English),
        ] {
            assert_eq!(Language::of_locale(locale), language, "{locale}");
        }
    }
}

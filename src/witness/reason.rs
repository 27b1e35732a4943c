//! Reasons that a device or this program worded in English, read in the language of a page:
//! `config/wording/reasons-zh.toml`, compiled in.
//!
//! Devices write reasons into what they sign, so they are known by their words and not by a type.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::wording::fill;

/// Longest reason that is looked at: a hostile package may bring any text.
const LEN_MAX: usize = 1000;
/// How many names stand before a reason at most, as in `frames/01-found.jpg: listed twice`.
const NAMES_MAX: usize = 4;

/// The reasons of one language; none for English.
#[derive(Debug, Default)]
pub(super) struct Reasons(Vec<Reason>);

#[derive(Debug)]
struct Reason {
    /// The English words, between what is filled in.
    english: Vec<String>,
    /// The same in this language.
    ours: String,
}

impl Reasons {
    pub(super) fn read(toml: &str) -> Self {
        let words: BTreeMap<String, String> =
            toml::from_str(toml).expect("invariant: the shipped reasons are read (tested)");
        let mut reasons: Vec<Reason> = words
            .into_iter()
            .map(|(english, ours)| Reason {
                english: english.split("{}").map(str::to_owned).collect(),
                ours,
            })
            .collect();
        // Whoever says more himself is asked first: another may leave the same words open.
        reasons
            .sort_by_key(|reason| Reverse(reason.english.iter().map(String::len).sum::<usize>()));
        Self(reasons)
    }

    /// `text` in this language; what a library or the kernel said, as it is and in quotes.
    pub(super) fn told(&self, text: &str) -> String {
        if self.0.is_empty() || text.is_empty() {
            return text.to_owned();
        }
        self.known(text).unwrap_or_else(|| quoted(text))
    }

    /// `text` in this language, when its words are known.
    pub(super) fn known(&self, text: &str) -> Option<String> {
        if text.len() > LEN_MAX {
            return None;
        }
        self.worded(text).or_else(|| self.named(text))
    }

    fn worded(&self, text: &str) -> Option<String> {
        let fits = |reason: &Reason| Some((reason.parts(text)?, reason.ours.clone()));
        let (parts, ours) = self.0.iter().find_map(fits)?;
        let mut fields = Vec::new();
        for (i, part) in parts.into_iter().enumerate() {
            fields.push((format!("{}", i + 1), part.to_owned()));
            fields.push((format!("{}?", i + 1), self.told(part)));
        }
        let fields: Vec<_> = fields
            .iter()
            .map(|(k, v)| (k.as_str(), v.clone()))
            .collect();
        Some(fill(&ours, &fields))
    }

    /// A name before a reason, or a reason before what a library said.
    fn named(&self, text: &str) -> Option<String> {
        let mut colons = text.match_indices(": ").take(NAMES_MAX);
        colons.find_map(|(at, colon)| {
            let (head, tail) = (text.get(..at)?, text.get(at + colon.len()..)?);
            match (self.worded(head), self.worded(tail)) {
                (None, None) => None,
                (None, Some(tail)) => Some(format!("{head}：{tail}")),
                (Some(head), told) => {
                    Some(format!("{head}：{}", told.unwrap_or_else(|| quoted(tail))))
                }
            }
        })
    }
}

fn quoted(text: &str) -> String {
    format!("“{text}”")
}

impl Reason {
    /// What `text` fills in, when it is this reason.
    fn parts<'t>(&self, text: &'t str) -> Option<Vec<&'t str>> {
        let (first, others) = self.english.split_first()?;
        let mut rest = text.strip_prefix(first.as_str())?;
        let Some((last, between)) = others.split_last() else {
            return rest.is_empty().then(Vec::new);
        };
        let mut parts = Vec::new();
        for words in between {
            let (part, behind) = rest.split_once(words.as_str())?;
            parts.push(part);
            rest = behind;
        }
        parts.push(rest.strip_suffix(last.as_str())?);
        Some(parts)
    }
}

#[cfg(test)]
mod tests {
    use crate::witness::wording::{Language, Wording};

    #[test]
    fn a_reason_is_read_whole_named_or_within_another() {
        let chinese = &Wording::of(Language::Chinese).reasons;
        for (english, ours) in [
            ("this box has no such clip", "本机没有该段语音"),
            (
                "not a readable package: clip.mp4 is cut off",
                "clip.mp4 不完整",
            ),
            (
                "evidence.json: clock.max_error_us: 2^53 or more (RFC 7493)",
                "evidence.json：clock.max_error_us：不小于 2^53（RFC 7493）",
            ),
            (
                "evidence.json: files: clip.mp4: listed twice",
                "evidence.json：files：clip.mp4：列出两次",
            ),
            (
                "evidence.json: missing field `clock` at line 3 column 1",
                "evidence.json：“missing field `clock` at line 3 column 1”",
            ),
            (
                "META-INF/ASiCManifest002.xml: the manifest is not of the form this program \
                 knows: SigReference is missing",
                "META-INF/ASiCManifest002.xml：形式不符：缺少 SigReference",
            ),
            (
                "whether the camera took all of it is not known: Broken pipe (os error 32)",
                "无法得知摄像机是否全部收到：“Broken pipe (os error 32)”",
            ),
            (
                "not to be said: said 3 times at this place in an hour already",
                "不应播放：一小时内在此处已播放 3 次",
            ),
            ("Resource busy", "“Resource busy”"),
            ("", ""),
        ] {
            assert_eq!(chinese.told(english), ours);
            assert_eq!(
                Wording::of(Language::English).reasons.told(english),
                english
            );
        }
    }

    /// A package of a stranger holds any text, as often as he likes: reading it comes to an end, and
    /// what is long is not looked at.
    #[test]
    fn a_hostile_reason_is_soon_read() {
        let chinese = &Wording::of(Language::Chinese).reasons;
        for (text, times) in [
            ("receipt: ", 110),
            (": ", 499),
            ("receipt: ", 100_000),
            ("a is a ", 140),
            ("{1?}", 200),
        ] {
            let text = text.repeat(times);
            let told = chinese.told(&text);
            assert!(told.len() < text.len() * 4, "{times} times {text:.9}");
            if text.len() > super::LEN_MAX {
                assert_eq!(told, super::quoted(&text));
            }
        }
    }
}

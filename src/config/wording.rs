//! The words officers read in captions: Chinese, and ASCII where no font can write Chinese.

use std::sync::LazyLock;

use serde::Deserialize;

use super::mistake::Finder;
use crate::types::{Outcome, Role, ShotKind, Violation};

/// What a caption may speak of; `{name}` in a template stands for it.
const PLACEHOLDERS: [&str; 16] = [
    "time",
    "clock_error",
    "clock_unknown",
    "bureau",
    "device",
    "place",
    "place_id",
    "camera",
    "zone",
    "position",
    "accuracy",
    "violation",
    "moment",
    "outcome",
    "case",
    "check",
];

/// A wording file (`config/wording/caption-*.toml`).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wording {
    /// Between the parts of one caption line.
    separator: String,
    /// Caption lines, each of parts; a part of which a placeholder is empty is left out.
    caption: Vec<Vec<String>>,
    /// Said when nobody vouches for the clock.
    clock_unknown: String,
    violation: ViolationWords,
    moment: MomentWords,
    outcome: OutcomeWords,
    role: RoleWords,
    /// Whether facts that are not ASCII are left out.
    #[serde(skip)]
    ascii_only: bool,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ViolationWords {
    street_vending: String,
    spillage: String,
    out_of_store: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct MomentWords {
    before: String,
    moved: String,
    plate: String,
    found: String,
    warned: String,
    again: String,
    peak: String,
    after: String,
    /// Added later: a file of the technician's own may not have it, and then it is left out.
    #[serde(default)]
    asked: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutcomeWords {
    corrected: String,
    persisted: String,
    recorded: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleWords {
    person: String,
    stall: String,
    goods: String,
    furniture: String,
    umbrella: String,
    tricycle: String,
    truck: String,
    vehicle: String,
    debris: String,
    plate: String,
    object: String,
}

impl Wording {
    /// The Chinese words that are built in.
    pub fn chinese() -> &'static Self {
        static WORDS: LazyLock<Wording> =
            LazyLock::new(|| built_in(include_str!("../../config/wording/caption-zh.toml")));
        &WORDS
    }

    /// The ASCII words for a box without a Chinese font.
    pub fn ascii() -> &'static Self {
        static WORDS: LazyLock<Wording> = LazyLock::new(|| Wording {
            ascii_only: true,
            ..built_in(include_str!("../../config/wording/caption-en.toml"))
        });
        &WORDS
    }

    /// Whether it is for a box that cannot write Chinese.
    pub fn is_ascii(&self) -> bool {
        self.ascii_only
    }

    /// The name of a violation.
    pub fn violation(&self, violation: Violation) -> &str {
        match violation {
            Violation::StreetVending => &self.violation.street_vending,
            Violation::Spillage => &self.violation.spillage,
            Violation::OutOfStore => &self.violation.out_of_store,
        }
    }

    /// The name of a moment.
    pub fn moment(&self, kind: ShotKind) -> &str {
        match kind {
            ShotKind::Before => &self.moment.before,
            ShotKind::Moved => &self.moment.moved,
            ShotKind::Plate => &self.moment.plate,
            ShotKind::Found => &self.moment.found,
            ShotKind::Warned => &self.moment.warned,
            ShotKind::Again => &self.moment.again,
            ShotKind::Peak => &self.moment.peak,
            ShotKind::After => &self.moment.after,
            ShotKind::Asked => &self.moment.asked,
        }
    }

    /// The name of an outcome.
    pub fn outcome(&self, outcome: Outcome) -> &str {
        match outcome {
            Outcome::Corrected => &self.outcome.corrected,
            Outcome::Persisted => &self.outcome.persisted,
            Outcome::Recorded => &self.outcome.recorded,
        }
    }

    /// What is said when nobody vouches for the clock.
    pub fn clock_unknown(&self) -> &str {
        &self.clock_unknown
    }

    /// The name of a role, for the label of a box.
    pub fn role(&self, role: Role) -> &str {
        match role {
            Role::Person => &self.role.person,
            Role::Stall => &self.role.stall,
            Role::Goods => &self.role.goods,
            Role::Furniture => &self.role.furniture,
            Role::Umbrella => &self.role.umbrella,
            Role::Tricycle => &self.role.tricycle,
            Role::Truck => &self.role.truck,
            Role::Vehicle => &self.role.vehicle,
            Role::Debris => &self.role.debris,
            Role::Plate => &self.role.plate,
            Role::Object => &self.role.object,
        }
    }

    /// The caption with `facts` (name, value) filled in. What is empty or not given takes its
    /// part of the line with it; a line without parts is left out.
    pub fn caption(&self, facts: &[(&str, &str)]) -> Vec<String> {
        let known = |value: &str| !value.is_empty() && (!self.ascii_only || value.is_ascii());
        let line = |parts: &Vec<String>| {
            let parts: Vec<String> = parts.iter().filter_map(|p| fill(p, facts, known)).collect();
            (!parts.is_empty()).then(|| parts.join(&self.separator))
        };
        self.caption.iter().filter_map(line).collect()
    }

    /// Notes placeholders nobody fills, and a caption that would accuse whoever obeyed: the second look
    /// of what was corrected shows an empty place, and with the name of the violation under it alone says
    /// the opposite.
    pub(super) fn check(&self, finder: &mut Finder<'_>, line: impl Fn(&str) -> usize) {
        let parts = || self.caption.iter().flatten();
        let names = |wanted| parts().any(|p| placeholders(p).any(|name| name == wanted));
        if names("violation") && !names("outcome") {
            let told = [
                "names {violation} and not {outcome}",
                "also how it ended, or a picture of what was corrected accuses",
                "add \"{outcome}\" behind \"{moment}\"",
            ];
            finder.note(line("caption"), "caption", told.map(str::to_owned));
        }
        for part in self.caption.iter().flatten() {
            for name in placeholders(part).filter(|name| !PLACEHOLDERS.contains(name)) {
                let told = [
                    format!("unknown placeholder {{{name}}}"),
                    format!("one of {}", PLACEHOLDERS.join(", ")),
                    super::mistake::meant(name, PLACEHOLDERS).map_or_else(
                        || "remove it".to_owned(),
                        |right| format!("did you mean {{{right}}}?"),
                    ),
                ];
                finder.note(line("caption"), "caption", told);
            }
        }
    }
}

fn built_in(text: &str) -> Wording {
    toml::from_str(text).expect("invariant: the built-in wording is tested")
}

fn placeholders(part: &str) -> impl Iterator<Item = &str> {
    part.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}

/// `part` with its placeholders filled; `None` when one of them is not known.
fn fill(part: &str, facts: &[(&str, &str)], known: impl Fn(&str) -> bool) -> Option<String> {
    let mut filled = part.to_owned();
    for name in placeholders(part) {
        let (_, value) = facts.iter().find(|(n, v)| *n == name && known(v))?;
        filled = filled.replace(&format!("{{{name}}}"), value);
    }
    Some(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_fact_takes_its_part_of_the_line_with_it() {
        let check = |facts: &[(&str, &str)], wanted: &[&str]| {
            let mut words = Wording::chinese().clone();
            words.separator = " · ".to_owned();
            words.caption = vec![
                vec!["{violation}".to_owned(), "{moment}".to_owned()],
                vec!["{place}（{place_id}）".to_owned(), "{camera}".to_owned()],
                vec!["{case}".to_owned()],
            ];
            assert_eq!(words.caption(facts), wanted);
        };
        check(&[], &[]);
        check(&[("moment", "首次发现"), ("place", "路口")], &["首次发现"]);
        check(
            &[
                ("violation", "占道经营"),
                ("moment", "复查"),
                ("place", "路口"),
                ("place_id", "7"),
                ("camera", ""),
                ("case", "1"),
            ],
            &["占道经营 · 复查", "路口（7）", "1"],
        );
    }

    #[test]
    fn a_caption_that_names_the_violation_names_the_outcome() {
        for (caption, wanted) in [
            (["{violation}", "{moment}"], Some("{outcome}")),
            (["{violation}", "{outcome}"], None),
            (["{moment}", "{time}"], None),
        ] {
            let mut words = Wording::chinese().clone();
            words.caption = vec![caption.map(str::to_owned).to_vec()];
            let mut finder = Finder::new(std::path::Path::new("words.toml"));
            words.check(&mut finder, |_| 7);
            let told = finder.list.first().map(|m| (m.line, m.fix.as_str()));
            assert_eq!(told.map(|(line, _)| line), wanted.map(|_| 7), "{caption:?}");
            assert!(wanted.is_none_or(|w| told.is_some_and(|(_, fix)| fix.contains(w))));
        }
    }

    #[test]
    fn the_built_in_words_are_whole() {
        for words in [Wording::chinese(), Wording::ascii()] {
            let mut finder = Finder::new(std::path::Path::new("built-in"));
            words.check(&mut finder, |_| 0);
            assert_eq!(finder.list, []);
            for role in Role::ALL {
                assert!(!words.role(role).is_empty());
            }
            let facts = PLACEHOLDERS.map(|name| (name, "1"));
            assert!(words.caption(&facts).len() >= 3);
        }
        let facts = PLACEHOLDERS.map(|name| (name, if name == "place" { "路口" } else { "1" }));
        let lines = Wording::ascii().caption(&facts);
        assert!(lines.iter().all(|l| l.is_ascii()), "{lines:?}");
    }
}

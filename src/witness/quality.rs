//! What a record must be to count (行政处罚法 art. 41: 真实、清晰、完整、准确), and which checks
//! and conditions speak for each.
//!
//! Checks are what the verifier found itself. Conditions are what the device measured and signed;
//! they count only in a package that is valid.

use serde::Serialize;

use super::grade::{CONDITIONS, Condition, Grading};
use super::verdict::{Check, CheckId, Status};

/// One of the four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum QualityId {
    /// 真实: from this device, unchanged.
    Authentic,
    /// 清晰: what matters can be seen.
    Clear,
    /// 完整: nothing that belongs to it is missing.
    Complete,
    /// 准确: time, place and judgement are right.
    Accurate,
}

/// What speaks for a quality.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A check of the verifier.
    Check(CheckId),
    /// A condition of the statement's grade, by its id.
    Condition(String),
}

/// One quality, as far as it can be said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Quality {
    /// Which.
    pub id: QualityId,
    /// Fails when a part does; unknown when one that must be known is.
    pub status: Status,
    /// What speaks for it, in the order shown.
    pub parts: Vec<(Part, Status)>,
}

type Row = (QualityId, &'static [CheckId], &'static [&'static str]);

/// The mapping. A check may speak for two qualities: a missing file makes a record neither
/// authentic nor complete. Site, approval and basis are not here: they are what art. 41 asks of
/// the installation, not of the record; nor are `asked`, `objections` and `same_camera`, which say why
/// a package can only be a lead.
const MAP: [Row; 4] = [
    (
        QualityId::Authentic,
        &[
            CheckId::Container,
            CheckId::Signature,
            CheckId::Chain,
            CheckId::Purpose,
            CheckId::Device,
            CheckId::Files,
            CheckId::Nothing,
            CheckId::Journal,
            CheckId::Review,
        ],
        &[],
    ),
    (
        QualityId::Clear,
        &[],
        &["focus", "exposure", "subject_size", "close_up"],
    ),
    (
        QualityId::Complete,
        &[CheckId::Manifest, CheckId::Files, CheckId::Statement],
        &["pictures", "spacing", "clip", "complete", "warning"],
    ),
    (
        QualityId::Accurate,
        &[
            CheckId::Time,
            CheckId::Receipt,
            CheckId::Stamp,
            CheckId::Grade,
        ],
        &["clock", "position", "camera_still", "same_subject"],
    ),
];

/// The four qualities from what was checked and what is stated.
pub(super) fn qualities(checks: &[Check], stated: Option<&Grading>) -> Vec<Quality> {
    MAP.iter().map(|row| quality(row, checks, stated)).collect()
}

fn quality((id, own, told): &Row, checks: &[Check], stated: Option<&Grading>) -> Quality {
    let status_of = |id: CheckId| {
        let check = checks.iter().find(|check| check.id == id);
        check.map_or(Status::Unknown, |check| check.status)
    };
    let mut parts: Vec<(Part, Status)> = own
        .iter()
        .map(|id| (Part::Check(*id), status_of(*id)))
        .collect();
    for name in *told {
        let same = |c: &&Condition| c.id == *name;
        let found = stated.and_then(|s| s.conditions.iter().find(same));
        // Not every package has to state it: one that does not lacks nothing.
        if found.is_none() && !CONDITIONS.contains(name) {
            continue;
        }
        let status = found.map_or(Status::Unknown, |c| status(c.pass));
        parts.push((Part::Condition((*name).to_owned()), status));
    }
    Quality {
        id: *id,
        status: combined(&parts),
        parts,
    }
}

fn status(pass: Option<bool>) -> Status {
    match pass {
        Some(true) => Status::Pass,
        Some(false) => Status::Fail,
        None => Status::Unknown,
    }
}

fn combined(parts: &[(Part, Status)]) -> Status {
    let optional = |part: &Part| matches!(part, Part::Check(id) if CheckId::OPTIONAL.contains(id));
    if parts.iter().any(|(_, status)| *status == Status::Fail) {
        Status::Fail
    } else if parts
        .iter()
        .any(|(part, status)| *status == Status::Unknown && !optional(part))
    {
        Status::Unknown
    } else {
        Status::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::witness::Grade;

    #[test]
    fn every_check_and_every_condition_of_a_record_speaks_for_a_quality() {
        for id in CheckId::ALL {
            assert!(MAP.iter().any(|(_, own, _)| own.contains(&id)), "{id:?}");
        }
        let of_the_installation = ["site", "approval", "basis"];
        for name in CONDITIONS {
            let mapped = MAP.iter().any(|(_, _, told)| told.contains(&name));
            assert_ne!(mapped, of_the_installation.contains(&name), "{name}");
        }
    }

    /// Whoever is said to have persisted was the one that was warned, or the record is not accurate.
    #[test]
    fn whether_it_was_the_same_subject_speaks_only_where_it_is_stated() {
        let stated = |pass: Option<Option<bool>>| {
            let mut names: Vec<_> = CONDITIONS.iter().map(|id| (*id, Some(true))).collect();
            names.extend(pass.map(|pass| ("same_subject", pass)));
            let conditions = names.into_iter().map(|(id, pass)| Condition {
                id: id.to_owned(),
                value: None,
                limit: String::new(),
                pass,
            });
            Grading {
                grade: Grade::Lead,
                conditions: conditions.collect(),
            }
        };
        let checks = CheckId::ALL.map(Check::pass);
        for (pass, expected) in [
            (None, Status::Pass),
            (Some(Some(true)), Status::Pass),
            (Some(Some(false)), Status::Fail),
            (Some(None), Status::Unknown),
        ] {
            let all = qualities(&checks, Some(&stated(pass)));
            let accurate = all.iter().find(|q| q.id == QualityId::Accurate).unwrap();
            assert_eq!(accurate.status, expected, "{pass:?}");
            let part = Part::Condition("same_subject".to_owned());
            let told = accurate.parts.iter().any(|(is, _)| *is == part);
            assert_eq!(told, pass.is_some(), "{pass:?}");
        }
    }

    #[test]
    fn one_failure_outweighs_and_only_the_optional_may_be_unknown() {
        use Status::{Fail, Pass, Unknown};
        let table = [
            (vec![Pass, Pass], Pass),
            (vec![Pass, Unknown], Unknown),
            (vec![Unknown, Fail], Fail),
            (vec![], Pass),
        ];
        for (statuses, expected) in table {
            let part = |s: &Status| (Part::Condition("focus".to_owned()), *s);
            let parts: Vec<_> = statuses.iter().map(part).collect();
            assert_eq!(combined(&parts), expected, "{statuses:?}");
        }
        let receipt = [(Part::Check(CheckId::Receipt), Unknown)];
        assert_eq!(combined(&receipt), Pass);
    }
}

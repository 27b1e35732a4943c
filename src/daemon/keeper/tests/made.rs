//! Orders, records and files made up for a purpose, and what became of them.

use super::*;
use crate::types::Hit;

/// Where the subject is.
pub(super) const PLACE: Area = Area {
    x0: 0.2,
    y0: 0.5,
    x1: 0.4,
    y1: 0.7,
};

/// A case by its number.
pub(super) fn case(n: u128) -> CaseId {
    CaseId(uuid::Uuid::from_u128(n))
}

pub(super) fn record(at: Stamp) -> CaseRecord {
    CaseRecord {
        violation: Violation::Spillage,
        camera: 0,
        zone: "lane".to_owned(),
        first_seen: at,
        confirmed: at,
        warning: None,
        looked_again: None,
        outcome: Outcome::Recorded,
        prior: None,
        likeness: None,
        gates: Vec::new(),
        crossed: false,
    }
}

pub(super) fn draft(name: &str, size: usize) -> Draft {
    Draft {
        name: name.to_owned(),
        media_type: "image/jpeg".to_owned(),
        at: None,
        pts_ns: None,
        bytes: vec![1; size],
    }
}

pub(super) fn told(outcome: HitOutcome, at: Stamp) -> Hit {
    Hit {
        outcome,
        ..record(at).hit()
    }
}

/// A picture of the subject.
pub(super) fn snap(
    (case, zone): (CaseId, &str),
    violation: Violation,
    kind: ShotKind,
    at: Stamp,
) -> Order {
    Order::Snap {
        case,
        violation,
        kind,
        at,
        subject: Some(PLACE),
        place: PLACE,
        zone: zone.to_owned(),
        outcome: None,
    }
}

pub(super) fn seal(case: CaseId, record: CaseRecord) -> Order {
    Order::Seal {
        case,
        record: Box::new(record),
    }
}

pub(super) fn opens_with_a_picture(case: CaseId, at: Stamp) -> Vec<Order> {
    vec![
        Order::Hit {
            case,
            hit: Box::new(told(HitOutcome::Opened, at)),
        },
        snap((case, "lane"), Violation::Spillage, ShotKind::Peak, at),
    ]
}

/// What the package of a case states.
pub(super) fn stated(town: &Town, case: CaseId) -> Statement {
    let folder = town.keeper.store.package_dir(case);
    let statement = std::fs::read(folder.join(STATEMENT)).unwrap();
    Statement::parse(&statement).unwrap()
}

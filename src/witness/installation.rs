//! What article 41 of the Administrative Penalty Law asks of an installation before it records
//! anything: the announced place, the review, the provision.

use jiff::civil::Date;

use super::assess::condition;
use super::facts::{Law, Site};
use super::grade::Condition;

/// What article 41 asks before anything is recorded; the configuration alone tells it.
pub fn installation(place: Option<&Site>, law: Option<&Law>, today: Date) -> [Condition; 3] {
    [site(place), approval(place, today), basis(law)]
}

pub(super) fn site(site: Option<&Site>) -> Condition {
    let id = site.and_then(|s| s.public_id.as_deref());
    let name = site.and_then(|s| s.name.as_deref());
    let words: Vec<&str> = id.into_iter().chain(name).collect();
    let value = (!words.is_empty()).then(|| words.join(" "));
    let pass = id.is_some() && name.is_some();
    condition("site", value, "announced number and name", Some(pass))
}

pub(super) fn approval(site: Option<&Site>, today: Date) -> Condition {
    let limit = format!("stated, not expired on {today}");
    let Some(approval) = site.and_then(|s| s.approval.as_deref()) else {
        return condition("approval", None, limit, Some(false));
    };
    let until = site.and_then(|s| s.approval_until.as_deref());
    let Some(until) = until else {
        return condition("approval", Some(approval.to_owned()), limit, Some(true));
    };
    // What is not a date is no approval that holds today.
    let holds = until.parse::<Date>().is_ok_and(|last| today <= last);
    let value = format!("{approval}, until {until}");
    condition("approval", Some(value), limit, Some(holds))
}

/// "As laws and administrative regulations provide": without one that allows it, no evidence.
pub(super) fn basis(law: Option<&Law>) -> Condition {
    let basis = law.and_then(|law| law.basis.clone());
    let stated = Some(basis.is_some());
    condition("basis", basis, "stated by the bureau", stated)
}

//! Evidence or lead: the conditions of a package, and what follows from them.
//!
//! One pure function, [`grade`], which a verifier repeats with the conditions as stated. Whatever
//! is missing or unknown makes a lead: an officer may then look, and nobody is fined for what was
//! not seen well. How the conditions are found is in `assess`.

use serde::{Deserialize, Serialize};

/// The conditions of evidence by their ids. All must be stated, and all must pass.
pub const CONDITIONS: [&str; 15] = [
    "clock",
    "site",
    "approval",
    "basis",
    "pictures",
    "spacing",
    "close_up",
    "focus",
    "exposure",
    "subject_size",
    "warning",
    "position",
    "camera_still",
    "clip",
    "complete",
];

/// What a package is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// Every condition is met; review decides.
    Evidence,
    /// At least one is not, or nobody knows: a reason to look, not to fine.
    Lead,
}

/// One condition, held against what is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Which one; see [`CONDITIONS`].
    pub id: String,
    /// What was found; `null` when it is not known.
    pub value: Option<String>,
    /// What is demanded.
    pub limit: String,
    /// Whether it is met; `null` when nobody knows.
    pub pass: Option<bool>,
}

/// The grade of a package with its conditions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grading {
    /// What follows from the conditions.
    pub grade: Grade,
    /// Every condition.
    pub conditions: Vec<Condition>,
}

impl Grading {
    /// Whether the grade stated is the one that follows from the conditions stated.
    pub fn follows(&self) -> bool {
        self.grade == grade(&self.conditions)
    }

    /// The conditions that are not met or not known: why it is a lead.
    pub fn against(&self) -> impl Iterator<Item = &Condition> {
        self.conditions.iter().filter(|c| c.pass != Some(true))
    }
}

/// What follows from the conditions: evidence when each of [`CONDITIONS`] is stated once and
/// every condition stated, known here or not, is met; in every other case a lead.
pub fn grade(conditions: &[Condition]) -> Grade {
    let once = |id: &&str| conditions.iter().filter(|c| c.id == *id).count() == 1;
    let met = conditions.iter().all(|c| c.pass == Some(true));
    if met && CONDITIONS.iter().all(once) {
        Grade::Evidence
    } else {
        Grade::Lead
    }
}

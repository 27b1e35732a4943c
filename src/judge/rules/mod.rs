//! The rules: is a violation going on?
//!
//! A rule looks at scenes and names suspicions; what is done about them is the book's business.
//!
//! **Invariants.** A rule is deterministic: the same scenes give the same suspicions. It keeps
//! bounded memory. It names a suspicion in every scene in which it holds, not only in the first.
//!
//! **Not here.** Warning, waiting, looking again, cool-downs (`judge::book`).

mod lingering;
mod spillage;

use crate::config::Config;
use crate::types::{Area, Role, RoleSet, Scene, Stamp, Violation};

use super::JudgeError;

/// One rule's word that something is going on in this scene.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Suspicion {
    pub(super) violation: Violation,
    /// Name of the zone.
    pub(super) zone: String,
    /// The subject in this scene.
    pub(super) area: Area,
    /// The roles by which the subject is known again.
    pub(super) roles: RoleSet,
    /// Since when it goes on.
    pub(super) since: Stamp,
    /// The moment that led to it, when it is not this one (the truck before its debris), with
    /// the area to show.
    pub(super) before: Option<(Stamp, Area)>,
    /// Another moment at which that was somewhere else, as far away as it was seen.
    pub(super) moved: Option<(Stamp, Area)>,
}

/// Says whether a violation is going on.
pub(super) trait Rule: Send {
    /// Takes in one scene and names what is going on in it.
    fn look(&mut self, scene: &Scene) -> Vec<Suspicion>;
}

/// The rules that are enabled and have a zone. `known` are the roles the model can see.
pub(super) fn all(config: &Config, known: RoleSet) -> Result<Vec<Box<dyn Rule>>, JudgeError> {
    let mut rules: Vec<Box<dyn Rule>> = Vec::new();
    if let Some(rule) = lingering::Lingering::vending(config, known)? {
        rules.push(Box::new(rule));
    }
    if let Some(rule) = lingering::Lingering::shopfront(config, known)? {
        rules.push(Box::new(rule));
    }
    if let Some(rule) = spillage::Spillage::new(config, known)? {
        rules.push(Box::new(rule));
    }
    Ok(rules)
}

/// Refuses a rule that could never see its subject.
fn demand(known: RoleSet, any_of: &[Role], rule: &'static str) -> Result<RoleSet, JudgeError> {
    let wanted: RoleSet = any_of.iter().copied().collect();
    if known.meets(wanted) {
        return Ok(wanted);
    }
    Err(JudgeError::NoRole {
        rule,
        wanted: any_of.to_vec(),
    })
}

//! What reviewers say of the rules, and which rules make leads only because of it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use serde_json::{Value, json};

use crate::command::Limits;
use crate::config::Commands;
use crate::store::{LeadsOnly, Store, StoreError, Tally, VerdictFacts};
use crate::types::{Stamp, Violation, lock};
use crate::witness::{Notice, Ruling, Signer};

/// The rules as reviewers see them.
#[derive(Debug)]
pub(in crate::daemon) struct Objections {
    limits: Limits,
    window: u64,
    /// SHA-256 of the model in use: verdicts on what another model saw say nothing about this one.
    model: String,
    rules: Mutex<BTreeMap<String, (bool, Tally)>>,
}

impl Objections {
    /// As the store has them.
    pub(in crate::daemon) fn read(
        store: &Store,
        config: &Commands,
        model: &str,
    ) -> Result<Self, StoreError> {
        let objections = Self {
            limits: Limits::new(config),
            window: config.objections_window,
            model: model.to_owned(),
            rules: Mutex::default(),
        };
        let fallen = store.leads_only()?;
        for rule in Violation::ALL.map(Violation::name) {
            let tally = store.tally(rule, model, objections.window)?;
            let leads_only = fallen.get(rule).copied().unwrap_or_default();
            objections
                .lock()
                .insert(rule.to_owned(), (leads_only, tally));
        }
        Ok(objections)
    }

    /// Why packages of this rule are leads only; `None` when they are not.
    pub(in crate::daemon) fn against(&self, rule: Violation) -> Option<Tally> {
        let rules = self.lock();
        let (leads_only, tally) = rules.get(rule.name())?;
        leads_only.then_some(*tally)
    }

    /// A verdict on a package of `rule`, as `model` saw it, was kept: the rule may fall or return.
    pub(super) fn heard(
        &self,
        store: &Store,
        now: Stamp,
        (rule, model): (&str, &str),
    ) -> Result<(), StoreError> {
        let judged = Violation::ALL.iter().any(|known| known.name() == rule);
        if model != self.model || !judged {
            return Ok(());
        }
        let tally = store.tally(rule, model, self.window)?;
        let before = self.lock().get(rule).is_some_and(|(fallen, _)| *fallen);
        let after = self.limits.leads_only(before, tally);
        if after != before {
            tracing::warn!(
                rule,
                leads_only = after,
                "reviewers' objections change a rule"
            );
            let line = LeadsOnly {
                rule: rule.to_owned(),
                leads_only: after,
                judged: tally.judged,
                rejected: tally.rejected,
                by: None,
                counted_anew: false,
            };
            store.set_leads_only(now, &line)?;
        }
        self.lock().insert(rule.to_owned(), (after, tally));
        Ok(())
    }

    /// An administrator lets a rule make evidence again; what was said before counts no more.
    pub(super) fn restore(
        &self,
        store: &Store,
        now: Stamp,
        (rule, by): (Violation, &str),
    ) -> Result<Tally, StoreError> {
        let rule = rule.name();
        let tally = store.tally(rule, &self.model, self.window)?;
        let line = LeadsOnly {
            rule: rule.to_owned(),
            leads_only: false,
            judged: tally.judged,
            rejected: tally.rejected,
            by: Some(by.to_owned()),
            counted_anew: true,
        };
        store.set_leads_only(now, &line)?;
        self.lock()
            .insert(rule.to_owned(), (false, Tally::default()));
        Ok(tally)
    }

    /// For the status: the rules, and everything that was said per model and place.
    pub(in crate::daemon) fn snapshot(&self, store: &Store) -> Value {
        let rules: BTreeMap<String, Value> = self
            .lock()
            .iter()
            .map(|(rule, (leads_only, tally))| {
                let told = json!({
                    "leads_only": leads_only, "judged": tally.judged, "rejected": tally.rejected,
                });
                (rule.clone(), told)
            })
            .collect();
        json!({ "rules": rules, "all": store.objections().ok() })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (bool, Tally)>> {
        lock(&self.rules)
    }
}

/// A notice that was checked, as the store keeps it.
pub(super) fn facts(notice: &Notice, signer: Signer) -> VerdictFacts {
    VerdictFacts {
        id: notice.id,
        sig_sha256: notice.sig_sha256.clone(),
        reviewer: signer.subject,
        rejected: notice.verdict == Ruling::Rejected,
        reason: notice.reason.clone(),
        at_ms: notice.at_ms().unwrap_or_default(),
    }
}

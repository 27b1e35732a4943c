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
    /// As the verdicts in the store have them: a crash may have come between the last of them and what
    /// follows from it ([`Objections::settle`]).
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
            let before = fallen.get(rule).copied().unwrap_or_default();
            let leads_only = objections.limits.leads_only(before, tally);
            objections
                .lock()
                .insert(rule.to_owned(), (leads_only, tally));
        }
        Ok(objections)
    }

    /// Writes down what follows from the verdicts of earlier runs and was not written then.
    pub(super) fn settle(&self, store: &Store, now: Stamp) -> Result<(), StoreError> {
        let mut rules = Violation::ALL.map(Violation::name).into_iter();
        rules.try_for_each(|rule| self.weigh(store, now, rule))
    }

    /// Why packages of this rule are leads only; `None` when they are not.
    pub(in crate::daemon) fn against(&self, rule: Violation) -> Option<Tally> {
        let rules = self.lock();
        let (leads_only, tally) = rules.get(rule.name())?;
        leads_only.then_some(*tally)
    }

    /// A verdict on a package of `rule`, as `model` saw it, is kept: the rule may fall or return. Also of
    /// one that was known: what followed from it may not have been written then.
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
        self.weigh(store, now, rule)
    }

    /// Holds the verdicts on a rule against the limits, and writes down what changes by it.
    fn weigh(&self, store: &Store, now: Stamp, rule: &str) -> Result<(), StoreError> {
        let tally = store.tally(rule, &self.model, self.window)?;
        let before = store.leads_only()?.get(rule).copied().unwrap_or_default();
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
            if let Err(error) = store.set_leads_only(now, &line) {
                // Not written down it holds all the same where it is for the vendor.
                self.lock().insert(rule.to_owned(), (true, tally));
                return Err(error);
            }
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

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;
    use crate::disk::fault::{self, Mode};
    use crate::store::tests::{NOW, case, folder, keep_and_seal, open, sig};

    const RULE: &str = "street_vending";

    /// A package of the rule, and a reviewer's word on it in the store, of which nothing follows yet.
    fn judged(store: &Store, n: u8, rejected: bool) {
        keep_and_seal(store, case(n));
        let facts = VerdictFacts {
            id: case(n),
            sig_sha256: sig(store, case(n)),
            reviewer: "CN=reviewer-1".to_owned(),
            rejected,
            reason: "why".to_owned(),
            at_ms: 10,
        };
        store.verdict(NOW, &facts).unwrap();
    }

    fn read(store: &Store) -> Objections {
        let limits = Commands {
            objections_least: 2,
            ..Commands::default()
        };
        Objections::read(store, &limits, "").unwrap()
    }

    /// A crash, or a disk that failed once, between the verdict and what follows from it.
    #[test]
    fn a_rule_falls_and_returns_though_the_word_of_it_was_not_written() {
        let dir = folder();
        let store = open(dir.path());
        let objections = read(&store);
        let (vending, lines) = (Violation::StreetVending, || store.leads_only().unwrap());
        let heard = |objections: &Objections| objections.heard(&store, NOW, (RULE, ""));
        for n in 1..=2 {
            judged(&store, n, true);
        }
        fault::plan(0, Mode::Once(Errno::NOSPC));
        heard(&objections).unwrap_err();
        assert!(!fault::clear(), "it was to fail");
        assert!(
            objections.against(vending).is_some(),
            "for the vendor at once"
        );
        assert!(lines().is_empty());
        // The verdict comes again, because nobody was answered.
        heard(&objections).unwrap();
        assert!(lines()[RULE]);

        // Killed before it was even tried: many more that accept, and a start.
        for n in 3..=50 {
            judged(&store, n, false);
        }
        let objections = read(&store);
        assert_eq!(objections.against(vending), None);
        assert!(
            lines()[RULE],
            "a start reads, and writes once the journal says that it began"
        );
        objections.settle(&store, NOW).unwrap();
        assert!(!lines()[RULE]);
    }
}

//! Why judgement did what it did on a recording: each thing a rule looked at, with the conditions
//! of the moment at which it came nearest to a hit.

use std::time::Duration;

use serde_json::{Value, json};

use crate::clock;
use crate::judge::Finding;
use crate::types::{CaseId, HitOutcome, Order, Stamp};

/// A thing not found for this long will not be found again as the same.
const GONE_AFTER: Duration = Duration::from_mins(1);

/// One thing, from when it was first found to when it was last.
struct Episode {
    last: Stamp,
    /// As it was when most of its conditions were met; of equal moments the last.
    best: Finding,
    became: Option<(CaseId, HitOutcome)>,
}

/// What was found, thing by thing.
#[derive(Default)]
pub(super) struct Reasons {
    episodes: Vec<Episode>,
}

impl Reasons {
    /// Takes in what was found in the scene of moment `at`, and what was ordered then. Gives what
    /// is to be said of things that are gone.
    pub(super) fn take(&mut self, at: Stamp, findings: &[Finding], orders: &[Order]) -> Vec<Value> {
        for finding in findings {
            self.add(at, finding);
        }
        for order in orders {
            if let Order::Hit { case, hit } = order {
                let same = |e: &&mut Episode| {
                    let f = &e.best;
                    let same = (f.violation, &f.zone, f.since);
                    // Of two that came at one moment, the one that hit.
                    f.is_hit() && same == (hit.violation, &hit.zone, hit.since)
                };
                if let Some(episode) = self.episodes.iter_mut().find(same) {
                    episode.became = episode.became.or(Some((*case, hit.outcome)));
                }
            }
        }
        let gone = |e: &mut Episode| at.since(e.last) >= GONE_AFTER;
        let gone = self.episodes.extract_if(.., gone);
        gone.map(|e| e.told()).collect()
    }

    /// What is to be said of the rest.
    pub(super) fn end(self) -> Vec<Value> {
        self.episodes.iter().map(Episode::told).collect()
    }

    fn add(&mut self, at: Stamp, finding: &Finding) {
        let key = |f: &Finding| (f.violation, f.zone.clone(), f.thing);
        let known = self.episodes.iter_mut();
        let known = known.into_iter().find(|e| key(&e.best) == key(finding));
        let Some(episode) = known else {
            self.episodes.push(Episode {
                last: at,
                best: finding.clone(),
                became: None,
            });
            return;
        };
        episode.last = at;
        if failing(finding) <= failing(&episode.best) {
            episode.best = finding.clone();
        }
    }
}

fn failing(finding: &Finding) -> usize {
    finding.gates.iter().filter(|g| !g.pass).count()
}

impl Episode {
    fn told(&self) -> Value {
        let f = &self.best;
        let became = match self.became {
            Some((_, outcome)) => json!(outcome),
            // At a place of which the same was told just before, for another thing that stands there.
            None if f.is_hit() => json!("told_before"),
            None => json!("near_miss"),
        };
        json!({ "explain": {
            "violation": f.violation,
            "zone": f.zone,
            "roles": f.roles,
            "since": clock::rfc3339_ms(f.since.utc_ns),
            "until": clock::rfc3339_ms(self.last.utc_ns),
            "became": became,
            "case": self.became.map(|b| b.0),
            "permit": f.permit,
            "gates": f.gates,
        }})
    }
}

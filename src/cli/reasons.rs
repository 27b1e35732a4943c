//! Why judgement did what it did on a recording: each thing a rule looked at, with the conditions
//! of the moment at which it opened a case, or was told of otherwise, or else came nearest to a hit.

use std::time::Duration;

use serde_json::{Value, json};

use crate::clock;
use crate::judge::Finding;
use crate::types::{CaseId, HitOutcome, Stamp};

/// A thing not found for this long will not be found again as the same.
const GONE_AFTER: Duration = Duration::from_mins(1);

/// One thing, from when it was first found to when it was last.
struct Episode {
    last: Stamp,
    /// As it was when most of its conditions were met; of equal moments the last.
    best: Finding,
    /// What became of its hits, each as it was when that was told.
    told: Vec<Told>,
}

/// What became of a hit.
struct Told {
    at: Stamp,
    case: CaseId,
    outcome: HitOutcome,
    finding: Finding,
}

/// What was found, thing by thing.
#[derive(Default)]
pub(super) struct Reasons {
    episodes: Vec<Episode>,
}

impl Reasons {
    /// Takes in what was found in the scene of moment `at`, and what became of it. Gives what is to
    /// be said of things that are gone.
    pub(super) fn take(&mut self, at: Stamp, findings: &[Finding]) -> Vec<Value> {
        for finding in findings {
            self.add(at, finding);
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
        let known = self.episodes.iter();
        let known = known.into_iter().position(|e| key(&e.best) == key(finding));
        let index = known.unwrap_or_else(|| {
            self.episodes.push(Episode {
                last: at,
                best: finding.clone(),
                told: Vec::new(),
            });
            self.episodes.len() - 1
        });
        let episode = &mut self.episodes[index];
        episode.last = at;
        if failing(finding) <= failing(&episode.best) {
            episode.best = finding.clone();
        }
        episode
            .told
            .extend(finding.became.map(|(case, outcome)| Told {
                at,
                case,
                outcome,
                finding: finding.clone(),
            }));
    }
}

fn failing(finding: &Finding) -> usize {
    finding.gates.iter().filter(|g| !g.pass).count()
}

impl Episode {
    /// The line of the thing: the case it opened, or else what was told of it last; and, where more
    /// than that became of it, all of it.
    fn told(&self) -> Value {
        let opened = |t: &&Told| t.outcome == HitOutcome::Opened;
        let chosen = self.told.iter().find(opened).or(self.told.last());
        let f = chosen.map_or(&self.best, |t| &t.finding);
        let became = match chosen {
            Some(told) => json!(told.outcome),
            // At a place of which the same was told just before, for another thing that stands there.
            None if f.is_hit() => json!("told_before"),
            None => json!("near_miss"),
        };
        let mut line = json!({
            "violation": f.violation,
            "zone": f.zone,
            "roles": f.roles,
            "since": clock::rfc3339_ms(f.since.utc_ns),
            "until": clock::rfc3339_ms(self.last.utc_ns),
            "became": became,
            "case": chosen.map(|t| t.case),
            "permit": f.permit,
            "gates": f.gates,
        });
        if self.told.len() > 1 {
            line["told"] = self.told.iter().map(Told::told).collect();
        }
        json!({ "explain": line })
    }
}

impl Told {
    fn told(&self) -> Value {
        json!({
            "at": clock::rfc3339_ms(self.at.utc_ns),
            "became": self.outcome,
            "case": self.case,
            "permit": self.finding.permit,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::tests::explained;

    /// What is said of each thing: what became of it, whether a case is named, and what else was told.
    fn lines(explained: impl Iterator<Item = (Stamp, Vec<Finding>)>) -> Vec<(Value, Value, Value)> {
        let mut reasons = Reasons::default();
        let mut lines = Vec::new();
        for (at, findings) in explained {
            lines.extend(reasons.take(at, &findings));
        }
        lines.extend(reasons.end());
        let parts = |line: &Value| {
            let line = &line["explain"];
            (
                line["became"].clone(),
                line["case"].clone(),
                line["told"].clone(),
            )
        };
        lines.iter().map(parts).collect()
    }

    #[test]
    fn of_two_stalls_that_came_at_one_moment_each_is_told_of_its_own_case() {
        let told = lines(explained(12.0, "", 2));
        let became: Vec<_> = told.iter().map(|(became, ..)| became.clone()).collect();
        assert_eq!(became, ["opened", "opened"]);
        assert!(told.iter().all(|(_, case, _)| case.is_string()), "{told:?}");
        assert_ne!(told[0].1, told[1].1, "two cases");
    }

    #[test]
    fn who_was_licensed_and_is_warned_when_that_ends_is_told_both() {
        // 07:15 is at 100 s; the dwell is ten seconds.
        let permit = "[[permit]]\nid = \"P1\"\nzones = [\"kerb\"]\nhours = [\"06:00-07:15\"]\n";
        let told = lines(explained(112.0, permit, 1));
        let [(became, _, both)] = told.as_slice() else {
            panic!("one thing: {told:?}")
        };
        assert_eq!(became, "opened");
        let both = both.as_array().expect("more than one");
        let both: Vec<_> = both.iter().map(|t| (&t["became"], &t["permit"])).collect();
        let (p1, none) = (json!("P1"), Value::Null);
        let wanted = [json!("permitted"), json!("opened")];
        assert_eq!(both, [(&wanted[0], &p1), (&wanted[1], &none)]);
    }
}

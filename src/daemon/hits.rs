//! What became of each hit of a rule, line by line in the journal, and never a hit without a word.
//!
//! The line of an opening is written before the case is, the line of an end when the end is a
//! fact. What a crash left between the two is said at the next start ([`Told::settle`]). While the
//! journal cannot be written, lines wait in memory; what no longer fits is counted, and the count
//! is written in its place.

use std::collections::{BTreeMap, VecDeque};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock;
use crate::config::Camera;
use crate::journal::kind;
use crate::judge::Ended;
use crate::store::{Store, StoreError};
use crate::types::{CaseId, Hit, HitOutcome};
use crate::witness::{STATEMENT, Statement};

use super::keeper::Keeper;

/// Lines that wait for a journal that cannot be written.
const WAITING_MAX: usize = 256;
/// Discarded cases remembered when the journal is read back: more than can be open at one time.
const DISCARDED_MAX: usize = 1024;

/// Writes what became of hits.
pub(super) struct Hits {
    store: Store,
    /// The configured ones; then nobody, for what is of none of them; then those that only ends name.
    cameras: Vec<Option<String>>,
    waiting: VecDeque<Value>,
    lost: u64,
}

impl Hits {
    pub(super) fn new(store: Store, cameras: &[Camera]) -> Self {
        Self {
            store,
            cameras: cameras
                .iter()
                .map(|c| Some(c.name.clone()))
                .chain([None])
                .collect(),
            waiting: VecDeque::new(),
            lost: 0,
        }
    }

    /// The index by which a hit names this camera: one that is not configured any more has its own.
    pub(super) fn camera(&mut self, name: &str) -> usize {
        let mut all = self.cameras.iter();
        let known = all.position(|known| known.as_deref() == Some(name));
        known.unwrap_or_else(|| {
            self.cameras.push(Some(name.to_owned()));
            self.cameras.len() - 1
        })
    }

    /// Tells what became of a hit. After an error the line waits for [`Hits::flush`].
    pub(super) fn tell(
        &mut self,
        case: CaseId,
        hit: &Hit,
        why: Option<&str>,
    ) -> Result<(), StoreError> {
        if self.waiting.len() == WAITING_MAX {
            self.waiting.pop_front();
            self.lost += 1;
        }
        self.waiting.push_back(self.body(case, hit, why));
        self.flush()
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        if self.lost > 0 {
            let body = json!({ "outcome": "lost", "count": self.lost });
            self.store.note(clock::now(), kind::RULE_HIT, body)?;
            self.lost = 0;
        }
        while let Some(body) = self.waiting.front() {
            self.store
                .note(clock::now(), kind::RULE_HIT, body.clone())?;
            self.waiting.pop_front();
        }
        Ok(())
    }

    fn body(&self, case: CaseId, hit: &Hit, why: Option<&str>) -> Value {
        let mut body = json!({
            "outcome": hit.outcome,
            "case": case,
            "violation": hit.violation,
            "camera": self.cameras.get(hit.camera),
            "zone": hit.zone,
            "since": clock::rfc3339_ms(hit.since.utc_ns),
            "at": clock::rfc3339_ms(hit.at.utc_ns),
            "why": why,
        });
        if let Some(permit) = &hit.permit {
            body["permit"] = json!(permit);
        }
        if !hit.gates.is_empty() {
            body["gates"] = json!(hit.gates);
        }
        body
    }
}

impl Keeper {
    /// Tells what became of a hit; while the journal cannot take it, it waits.
    pub(super) fn tell(&mut self, case: CaseId, hit: &Hit, why: Option<&str>) {
        let told = self.hits.tell(case, hit, why);
        self.untold(told);
    }

    /// Writes the lines that had to wait.
    pub(super) fn tell_waiting(&mut self) {
        let told = self.hits.flush();
        self.untold(told);
    }

    /// A line that waits is trouble; one that was written ends nobody else's.
    fn untold(&self, told: Result<(), StoreError>) {
        if told.is_err() {
            self.note(told, "what became of a hit could not be journalled");
        }
    }
}

/// What the journal says of cases.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Opened, and no end told; the opening's line.
    open: BTreeMap<CaseId, Value>,
    /// The last that were told to be thrown away, and how they ended.
    discarded: VecDeque<(CaseId, Ended)>,
}

/// The part of a line of [`kind::RULE_HIT`] that is read back.
#[derive(Deserialize)]
struct Line {
    case: CaseId,
    outcome: HitOutcome,
}

impl Told {
    /// Takes in a line of kind `rule.hit`.
    pub(super) fn take(&mut self, body: Value) {
        // A count of lost lines is about no case.
        let Ok(line) = Line::deserialize(&body) else {
            return;
        };
        if line.outcome == HitOutcome::Opened {
            self.open.insert(line.case, body);
        } else if line.outcome.ends() {
            self.open.remove(&line.case);
        }
        if line.outcome.keeps_nothing() {
            if self.discarded.len() == DISCARDED_MAX {
                self.discarded.pop_front();
            }
            let ended = match line.outcome {
                HitOutcome::Reminded => Ended::Reminded,
                _ => Ended::Discarded,
            };
            self.discarded.push_back((line.case, ended));
        }
    }

    /// How the case ended, if it was told to be thrown away: the book may not have lived to know.
    pub(super) fn ended(&self, case: CaseId) -> Option<Ended> {
        let told = self.discarded.iter().find(|(told, _)| *told == case);
        told.map(|(_, ended)| *ended)
    }

    /// Ends what a crash left half-told: openings without an end whose case the book does not have
    /// open (`open`), and drafts of these, or of cases that were thrown away. A picture may be kept
    /// before the book that knows of its case.
    pub(super) fn settle(
        self,
        store: &Store,
        open: impl Fn(CaseId) -> bool,
    ) -> Result<(), StoreError> {
        let drafts = store.open_cases()?;
        let mut over: Vec<CaseId> = drafts
            .iter()
            .copied()
            .filter(|c| self.ended(*c).is_some())
            .collect();
        for (case, mut body) in self.open {
            if open(case) {
                continue;
            }
            let (outcome, at, why) = end_of(store, case)?;
            if let Some(body) = body.as_object_mut() {
                body.remove("gates");
            }
            body["outcome"] = outcome;
            body["why"] = why.into();
            body["at"] = at.into();
            store.note(clock::now(), kind::RULE_HIT, body)?;
            over.extend(drafts.contains(&case).then_some(case));
        }
        for case in over.into_iter().filter(|case| !open(*case)) {
            let why = "the daemon ended before its files were thrown away";
            store.discard(case, why, None)?;
        }
        Ok(())
    }
}

/// How a case ended whose end was not told, when (as its package says, else now), and how that is known.
fn end_of(store: &Store, case: CaseId) -> Result<(Value, String, &'static str), StoreError> {
    let now = clock::rfc3339_ms(clock::now().utc_ns);
    if store.state(case)?.is_none() {
        let why = "the daemon ended before the case was kept";
        return Ok((json!(HitOutcome::Discarded), now, why));
    }
    let statement = std::fs::read(store.package_dir(case).join(STATEMENT)).ok();
    let statement = statement.and_then(|bytes| Statement::parse(&bytes).ok());
    let violation = statement.and_then(|s| s.violation);
    let outcome = violation.as_ref().map(|v| HitOutcome::from(v.outcome));
    let at = violation.map_or(now, |v| v.confirmed);
    Ok((json!(outcome), at, "found sealed after a restart"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::past::Past;
    use super::*;
    use crate::config;
    use crate::journal;
    use crate::types::{Stamp, Violation};

    const AT: Stamp = Stamp {
        utc_ns: 1_785_549_784_567_000_000,
        boot_ns: 1,
        error_ns: 0,
    };

    fn open(dir: &Path) -> Store {
        let config = config::Store {
            dir: dir.to_owned(),
            keep_free_mib: 0,
            ..config::Store::default()
        };
        Store::open(&config, "LM-TEST-1").unwrap().0
    }

    fn case(n: u128) -> CaseId {
        CaseId(uuid::Uuid::from_u128(n))
    }

    fn hit(outcome: HitOutcome) -> Hit {
        Hit {
            outcome,
            violation: Violation::StreetVending,
            camera: 0,
            zone: "kerb".to_owned(),
            since: AT,
            at: AT,
            permit: None,
            gates: Vec::new(),
        }
    }

    fn lines(dir: &Path) -> Vec<Value> {
        let all = journal::tail(&dir.join("journal"), 9_999).unwrap();
        let hits = all.into_iter().filter(|e| e.kind == kind::RULE_HIT);
        hits.map(|e| e.body).collect()
    }

    #[test]
    fn what_a_crash_left_half_told_is_told_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let mut hits = Hits::new(store.clone(), &[]);
        let told = [
            (1, HitOutcome::Opened),
            (2, HitOutcome::Opened),
            (3, HitOutcome::Opened),
            (2, HitOutcome::Persisted),
            (3, HitOutcome::Discarded),
            (2, HitOutcome::CoolingDown),
            (4, HitOutcome::Opened),
            (5, HitOutcome::Opened),
            (5, HitOutcome::Reminded),
        ];
        for (n, outcome) in told {
            hits.tell(case(n), &hit(outcome), None).unwrap();
        }
        let read = Past::read(&store).unwrap().hits;
        let ended = [2, 3, 5].map(|n| read.ended(case(n)));
        assert_eq!(ended, [None, Some(Ended::Discarded), Some(Ended::Reminded)]);
        read.settle(&store, |id| id == case(4)).unwrap();
        let after = lines(dir.path());
        let (_, new) = after.split_at(told.len());
        assert_eq!(new.len(), 1, "{new:?}");
        assert_eq!(new[0]["case"], json!(case(1)));
        assert_eq!(new[0]["outcome"], "discarded");
        assert_eq!(new[0]["zone"], "kerb");
        let again = Past::read(&store).unwrap().hits;
        again.settle(&store, |id| id == case(4)).unwrap();
        assert_eq!(lines(dir.path()).len(), after.len(), "once");
    }

    #[test]
    fn what_a_crash_left_of_a_case_the_book_never_knew_is_thrown_away_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let mut hits = Hits::new(store.clone(), &[]);
        for n in [1, 2] {
            hits.tell(case(n), &hit(HitOutcome::Opened), None).unwrap();
            // As before the first picture: what was measured goes before the picture with the book.
            store.save_draft_note(case(n), "{}").unwrap();
        }
        let settle = || {
            let read = Past::read(&store).unwrap().hits;
            read.settle(&store, |id| id == case(2)).unwrap();
        };
        settle();
        assert_eq!(store.open_cases().unwrap(), [case(2)]);
        let told = lines(dir.path());
        let ended = told.iter().filter(|line| line["outcome"] == "discarded");
        let ended: Vec<_> = ended.map(|line| line["case"].clone()).collect();
        assert_eq!(ended, [json!(case(1))]);
        settle();
        assert_eq!(lines(dir.path()).len(), told.len(), "once");
    }

    #[test]
    fn lines_wait_for_the_disk_and_what_does_not_fit_is_counted() {
        use crate::disk::fault;
        use rustix::io::Errno;

        let dir = tempfile::tempdir().unwrap();
        let mut hits = Hits::new(open(dir.path()), &[]);
        fault::plan(0, fault::Mode::Forever(Errno::NOSPC));
        for n in 0..WAITING_MAX as u128 + 3 {
            hits.tell(case(n), &hit(HitOutcome::Opened), None)
                .unwrap_err();
        }
        fault::clear();
        hits.flush().unwrap();
        let told = lines(dir.path());
        assert_eq!(told.len(), WAITING_MAX + 1);
        assert_eq!(told[0], json!({ "outcome": "lost", "count": 3 }));
        assert_eq!(told[1]["case"], json!(case(3)));
    }
}

//! Which numbers of a device are missing.

use std::collections::{BTreeMap, BTreeSet};

use super::archive::{Gap, Missing};
use super::unread::Unread;
use crate::types::CaseId;

/// The numbers of one device.
#[derive(Default)]
pub(super) struct Numbers {
    /// The largest that is known of.
    pub(super) max: u64,
    /// The packages under each number, by id and signature.
    pub(super) there: BTreeMap<u64, BTreeSet<(CaseId, String)>>,
    /// What is known of some that are not there.
    pub(super) known: BTreeMap<u64, Gap>,
    /// Those of packages that were removed on purpose.
    pub(super) removed: BTreeSet<u64>,
    /// What lies here and cannot be read, when its number is not known, or another package has it.
    pub(super) unplaced: Vec<(u64, Gap)>,
}

impl Numbers {
    /// Notes what cannot be read in one of the folders, unless another has it.
    pub(super) fn unread(&mut self, unread: Vec<Unread>) {
        for Unread { id, seq, why } in unread {
            if self.there.values().flatten().any(|(there, _)| *there == id) {
                continue;
            }
            let gap = Gap::Unreadable { id, why };
            if seq == 0 || self.there.contains_key(&seq) {
                self.unplaced.push((seq, gap));
            } else {
                self.max = self.max.max(seq);
                self.known.insert(seq, gap);
            }
        }
    }

    /// Those that no package here has, or several.
    pub(super) fn missing(&self, device: &str) -> Vec<Missing> {
        let mut found = Vec::new();
        let mut say = |from, to, gap| {
            found.push(Missing {
                device: device.to_owned(),
                from,
                to,
                gap,
            });
        };
        for (seq, gap) in &self.unplaced {
            say(*seq, *seq, gap.clone());
        }
        let mut next = 1;
        let told = self.there.keys().chain(self.known.keys());
        let told = told.chain(&self.removed);
        let told: BTreeSet<u64> = told.copied().filter(|seq| *seq > 0).collect();
        let told = told.range(..=self.max);
        for &seq in told {
            if next < seq {
                say(next, seq - 1, Gap::NeverCame);
            }
            match (self.there.get(&seq), self.known.get(&seq)) {
                (Some(ids), _) if ids.len() > 1 => {
                    let ids = ids.iter().map(|(id, _)| *id).collect();
                    say(seq, seq, Gap::Doubled { ids });
                }
                (None, Some(gap)) => say(seq, seq, gap.clone()),
                _ => {}
            }
            next = seq + 1;
        }
        if next <= self.max {
            say(next, self.max, Gap::NeverCame);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> CaseId {
        CaseId(uuid::Uuid::from_u128(n))
    }

    fn there(ids: &[u128]) -> BTreeSet<(CaseId, String)> {
        ids.iter().map(|n| (id(*n), n.to_string())).collect()
    }

    #[test]
    fn every_number_without_a_package_is_told_once() {
        let refused = Gap::Refused {
            id: id(5),
            why: "chain".to_owned(),
        };
        let numbers = Numbers {
            max: 1 << 53,
            there: BTreeMap::from([
                (2, there(&[2])),
                (3, there(&[3, 33])),
                (5, there(&[50])),
                (8, there(&[8])),
            ]),
            // Of 5 another package is there: that it was refused once is no gap. The last is a
            // claim beyond anything that was verified.
            known: BTreeMap::from([
                (5, refused.clone()),
                (6, refused.clone()),
                (u64::MAX, refused),
            ]),
            // Another under 6 went on purpose; that one was refused all the same.
            removed: BTreeSet::from([6, 10]),
            ..Numbers::default()
        };
        let told: Vec<_> = numbers
            .missing("LM-1")
            .into_iter()
            .map(|m| {
                (
                    m.from,
                    m.to,
                    serde_json::to_value(m.gap).unwrap()["what"].clone(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (1, 1, "never_came".into()),
                (3, 3, "doubled".into()),
                (4, 4, "never_came".into()),
                (6, 6, "refused".into()),
                (7, 7, "never_came".into()),
                (9, 9, "never_came".into()),
                (11, 1 << 53, "never_came".into()),
            ]
        );
        assert_eq!(Numbers::default().missing("LM-2"), []);
    }
}

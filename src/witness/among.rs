//! What is not among several packages of a device: a word beside the verdicts, and none itself.
//!
//! A device numbers its packages without gaps. So a number between two that were given is a package that was
//! not: left out by whoever gave them, or lost. The receivers know (`archive missing`); a verifier
//! can only say that it was not shown.

use std::collections::{BTreeMap, BTreeSet};

use super::verdict::Verdict;
use super::wording::{Language, Wording};

/// Gaps named; the others are counted in one mark.
const NAMED_MAX: usize = 20;

/// The numbers of the packages that were checked, by device.
#[derive(Debug, Default)]
pub struct Among {
    of: BTreeMap<String, Numbers>,
}

#[derive(Debug, Default)]
struct Numbers {
    /// Of valid packages.
    valid: BTreeSet<u64>,
    /// Of the others, as they claim.
    claimed: BTreeSet<u64>,
}

impl Among {
    /// Notes one package.
    pub fn add(&mut self, verdict: &Verdict) {
        let Some(statement) = &verdict.statement else {
            return;
        };
        let numbers = self.of.entry(statement.device.id.clone()).or_default();
        if verdict.valid() {
            numbers.valid.insert(statement.seq);
        } else {
            numbers.claimed.insert(statement.seq);
        }
    }

    /// A line for each device with numbers between those of its valid packages that no package has.
    pub fn tell(&self, language: Language) -> Vec<String> {
        let told = self.of.iter().filter_map(|(device, numbers)| {
            let gaps = numbers.gaps();
            if gaps.is_empty() {
                return None;
            }
            let more = (gaps.len() > NAMED_MAX).then(|| "…".to_owned());
            let named = gaps.iter().take(NAMED_MAX).map(|&(from, to)| {
                if from == to {
                    from.to_string()
                } else {
                    format!("{from}–{to}")
                }
            });
            let named: Vec<String> = named.chain(more).collect();
            let fields = [("device", device.clone()), ("numbers", named.join(", "))];
            Some(Wording::of(language).line("not_among", &fields))
        });
        told.collect()
    }
}

impl Numbers {
    /// First and last number of each gap.
    fn gaps(&self) -> Vec<(u64, u64)> {
        let (Some(&first), Some(&last)) = (self.valid.first(), self.valid.last()) else {
            return Vec::new();
        };
        let all = self.valid.iter().chain(self.claimed.range(first..=last));
        let all: Vec<u64> = all.copied().collect::<BTreeSet<_>>().into_iter().collect();
        let pairs = all.iter().zip(all.iter().skip(1));
        let gaps = pairs.filter(|(one, next)| *next - *one > 1);
        gaps.map(|(one, next)| (one + 1, next - 1)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_between_valid_packages_is_missed() {
        let numbers = |valid: &[u64], claimed: &[u64]| Numbers {
            valid: valid.iter().copied().collect(),
            claimed: claimed.iter().copied().collect(),
        };
        for (valid, claimed, gaps) in [
            (&[][..], &[1, 9][..], &[][..]),
            (&[7], &[1, 9], &[]),
            (&[2, 3, 4], &[], &[]),
            // A number that somebody made up makes no gap, and fills one: that package is shown.
            (&[2, 4, 8], &[5, 1 << 53], &[(3, 3), (6, 7)]),
        ] {
            assert_eq!(
                numbers(valid, claimed).gaps(),
                gaps,
                "{valid:?} {claimed:?}"
            );
        }
        let of = (1..=30).map(|n| 2 * n).collect();
        let numbers = Numbers {
            valid: of,
            ..Numbers::default()
        };
        let among = Among {
            of: BTreeMap::from([("LM-1".to_owned(), numbers)]),
        };
        let [line] = &among.tell(Language::English)[..] else {
            panic!("one device");
        };
        assert!(line.contains("LM-1") && line.contains(" 41, …"), "{line}");
        assert!(!line.contains("43"), "{line}");
    }
}

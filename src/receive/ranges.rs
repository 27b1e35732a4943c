//! Which bytes of a blob have arrived.

use serde::{Deserialize, Serialize};

/// A set of byte positions, kept as sorted, disjoint, non-touching half-open intervals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Adds `from..to`.
    pub(super) fn add(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        let first = self.0.partition_point(|&(_, end)| end < from);
        let last = self.0.partition_point(|&(start, _)| start <= to);
        let (mut start, mut end) = (from, to);
        for &(s, e) in self.0.get(first..last).unwrap_or_default() {
            start = start.min(s);
            end = end.max(e);
        }
        self.0.splice(first..last, [(start, end)]);
    }

    /// Whether all of `from..to` is in the set.
    pub(super) fn covers(&self, from: u64, to: u64) -> bool {
        from >= to || self.0.iter().any(|&(s, e)| s <= from && to <= e)
    }

    /// What of `0..size` is not in the set, in order.
    pub(super) fn missing(&self, size: u64) -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        let mut at = 0;
        for &(start, end) in &self.0 {
            if at >= size {
                break;
            }
            if start > at {
                gaps.push((at, start.min(size)));
            }
            at = end;
        }
        if at < size {
            gaps.push((at, size));
        }
        gaps
    }

    /// How many intervals it takes to say this.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The same set from what a file said: sorted and joined, nothing beyond `size`.
    pub(super) fn cleaned(&self, size: u64) -> Self {
        let mut clean = Self::default();
        for &(from, to) in &self.0 {
            clean.add(from, to.min(size));
        }
        clean
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn touching_pieces_join() {
        let mut r = Ranges::default();
        r.add(0, 4);
        r.add(8, 12);
        r.add(4, 8);
        assert_eq!(r, Ranges(vec![(0, 12)]));
        assert_eq!(r.missing(20), vec![(12, 20)]);
        assert_eq!(r.missing(10), vec![]);
    }

    proptest! {
        /// Against the obvious model: one flag per byte.
        #[test]
        fn any_pieces_in_any_order_give_the_same_set(
            pieces in proptest::collection::vec((0_u8..64, 0_u8..20), 0..24)
        ) {
            let mut ranges = Ranges::default();
            let mut flags = [false; 96];
            for (from, len) in pieces {
                ranges.add(u64::from(from), u64::from(from) + u64::from(len));
                for flag in flags.iter_mut().skip(usize::from(from)).take(usize::from(len)) {
                    *flag = true;
                }
            }
            let mut expected = Vec::new();
            for (at, flag) in (0..80_u64).zip(flags) {
                prop_assert_eq!(ranges.covers(at, at + 1), flag);
                if !flag {
                    match expected.last_mut() {
                        Some((_, end)) if *end == at => *end = at + 1,
                        _ => expected.push((at, at + 1)),
                    }
                }
            }
            prop_assert_eq!(ranges.missing(80), expected);
            for pair in ranges.0.windows(2) {
                prop_assert!(pair[0].1 < pair[1].0, "sorted, disjoint, not touching");
            }
            prop_assert_eq!(ranges.cleaned(96), ranges);
        }
    }
}

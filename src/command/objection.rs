//! When a rule that reviewers object to makes leads only. Pure.

use crate::config::Commands;
use crate::store::Tally;

/// The limits of `[commands]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Above this share of rejections: leads only.
    max: f64,
    /// At or below this share: evidence again.
    back: f64,
    /// Fewer verdicts than this change nothing.
    least: u64,
}

impl Limits {
    /// The limits in force.
    pub fn new(config: &Commands) -> Self {
        Self {
            max: config.objections_max,
            back: config.objections_back,
            least: config.objections_least,
        }
    }

    /// Whether a rule with these verdicts makes leads only, when it did so before or not. Between
    /// the two limits, and with too few verdicts, it stays as it is.
    pub fn leads_only(self, before: bool, tally: Tally) -> bool {
        if tally.judged < self.least.max(1) {
            return before;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let share = tally.rejected as f64 / tally.judged as f64;
        if share > self.max {
            true
        } else if share <= self.back {
            false
        } else {
            before
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_falls_back_and_returns_with_a_gap_between() {
        let limits = Limits {
            max: 0.3,
            back: 0.1,
            least: 10,
        };
        for (before, rejected, judged, after) in [
            (false, 9, 9, false),
            (true, 0, 9, true),
            (false, 3, 10, false),
            (false, 4, 10, true),
            (true, 4, 10, true),
            (true, 2, 10, true),
            (false, 2, 10, false),
            (true, 1, 10, false),
            (true, 0, 50, false),
            (false, 50, 50, true),
        ] {
            let tally = Tally { judged, rejected };
            let told = limits.leads_only(before, tally);
            assert_eq!(told, after, "{before} {rejected}/{judged}");
        }
    }
}

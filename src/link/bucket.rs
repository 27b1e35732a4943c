//! A token bucket: how much of something may pass in a time.

use std::time::Duration;

use tokio::time::Instant;

/// Lets bytes pass at a rate, and so many at once. A message larger than what is there passes
/// too, and those after it wait the longer.
#[derive(Clone, Debug)]
pub struct Bucket {
    per_sec: f64,
    most: f64,
    level: f64,
    at: Instant,
}

impl Bucket {
    /// A full bucket: `per_sec` bytes a second, at most `most` at once; both above zero.
    pub fn new(per_sec: u32, most: u32, now: Instant) -> Self {
        let most = f64::from(most.max(1));
        Self {
            per_sec: f64::from(per_sec.max(1)),
            most,
            level: most,
            at: now,
        }
    }

    /// When the next message may pass: now, or later.
    pub fn ready_at(&self, now: Instant) -> Instant {
        let level = self.level(now);
        if level > 0.0 {
            return now;
        }
        // A millisecond more, so that rounding never leaves it empty at that moment.
        now + Duration::from_secs_f64(-level / self.per_sec) + Duration::from_millis(1)
    }

    /// So many bytes pass now.
    pub fn take(&mut self, bytes: u64, now: Instant) {
        // A message is far below this.
        let bytes = f64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
        self.level = self.level(now) - bytes;
        self.at = now.max(self.at);
    }

    fn level(&self, now: Instant) -> f64 {
        let secs = now.saturating_duration_since(self.at).as_secs_f64();
        (self.level + secs * self.per_sec).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Over any time no more passes than the rate, one filling and one message more.
        #[test]
        fn no_more_passes_than_the_rate(
            sizes in prop::collection::vec(1_u32..50_000, 1..60),
            idle in prop::collection::vec(0_u64..3_000, 60),
        ) {
            let begun = Instant::now();
            let (rate, most) = (10_000_u32, 20_000_u32);
            let mut bucket = Bucket::new(rate, most, begun);
            let (mut now, mut passed) = (begun, 0.0);
            for (&size, &idle) in sizes.iter().zip(&idle) {
                now = bucket.ready_at(now + Duration::from_millis(idle));
                bucket.take(u64::from(size), now);
                passed += f64::from(size);
                let secs = now.duration_since(begun).as_secs_f64();
                let bound = f64::from(rate) * secs + f64::from(most) + f64::from(size);
                prop_assert!(passed <= bound, "{passed} of {bound} after {secs} s");
            }
        }
    }

    #[test]
    fn a_full_bucket_lets_pass_at_once_and_an_empty_one_says_when() {
        let now = Instant::now();
        let mut bucket = Bucket::new(1000, 500, now);
        assert_eq!(bucket.ready_at(now), now);
        bucket.take(2500, now);
        let at = bucket.ready_at(now);
        assert!((2000..2010).contains(&at.duration_since(now).as_millis()));
        assert_eq!(bucket.ready_at(at), at);
        assert_eq!(bucket.ready_at(now), at, "asking changes nothing");
    }
}

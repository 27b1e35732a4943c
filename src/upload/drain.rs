//! After an outage: what waited goes at a limited rate and begins after a while of its own, so
//! that a fleet that returns at once does not overwhelm the broker. What is fresh is not slowed.

use std::time::Duration;

use tokio::time::Instant;

use crate::config;
use crate::link::{Bucket, spread};

/// Bytes in the unit of `drain_kib_s`.
const KIB: u32 = 1024;

/// The way out of the backlog, for one connection.
#[derive(Debug)]
pub(super) struct Drain {
    /// Nothing before this moment.
    from: Instant,
    /// `None`: as fast as the link is.
    bucket: Option<Bucket>,
}

impl Drain {
    /// For a connection made `now`.
    pub(super) fn new(config: &config::Upload, now: Instant) -> Self {
        let rate = config.drain_kib_s.saturating_mul(KIB);
        Self {
            from: now + spread(Duration::from_secs(config.drain_delay_secs)),
            // A second's worth at once: less than a piece would never be saved up.
            bucket: (rate > 0).then(|| Bucket::new(rate, rate, now)),
        }
    }

    /// When the next message of the backlog may go: `now`, or later.
    pub(super) fn ready_at(&self, now: Instant) -> Instant {
        let bucket = self.bucket.as_ref();
        bucket.map_or(now, |b| b.ready_at(now)).max(self.from)
    }

    /// A message of the backlog went.
    pub(super) fn take(&mut self, bytes: u64, now: Instant) {
        if let Some(bucket) = &mut self.bucket {
            bucket.take(bytes, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backlog_begins_late_and_goes_slowly() {
        let now = Instant::now();
        let config = config::Upload {
            drain_kib_s: 1,
            drain_delay_secs: 10,
            ..config::Upload::default()
        };
        let mut drain = Drain::new(&config, now);
        let begin = drain.ready_at(now);
        assert!(begin <= now + Duration::from_secs(10));
        assert_eq!(drain.ready_at(begin), begin);
        drain.take(1024 + 4096, begin);
        let next = drain.ready_at(begin);
        let waited = next.duration_since(begin).as_millis();
        assert!((3000..=4010).contains(&waited), "{waited} ms");
        let free = Drain::new(
            &config::Upload {
                drain_kib_s: 0,
                drain_delay_secs: 0,
                ..config
            },
            now,
        );
        assert_eq!(free.ready_at(now), now);
    }
}

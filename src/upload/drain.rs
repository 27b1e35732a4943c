//! After an outage: what waited goes at a limited rate and begins after a while of its own, so
//! that a fleet that returns at once does not overwhelm the broker. What is fresh is not slowed.
//! Where the link alone drops, again and again, the while is waited once: else a link that never holds
//! for long would hardly carry anything.

use std::time::Duration;

use tokio::time::Instant;

use crate::config;
use crate::link::{Bucket, spread};

/// Bytes in the unit of `drain_kib_s`.
const KIB: u32 = 1024;

/// Without a broker for so long, others were too, and come back now as well.
const AWAY: Duration = Duration::from_mins(2);

/// When the backlog may begin, over all connections.
#[derive(Debug, Default)]
pub(super) struct Lot {
    /// Drawn for the first connection, and for each after a long time without.
    from: Option<Instant>,
    /// When the last connection ended.
    left: Option<Instant>,
}

impl Lot {
    /// A connection is made `now`.
    fn connected(&mut self, delay: Duration, now: Instant) -> Instant {
        let lasts = self.left.is_some_and(|left| now < left + AWAY);
        let drawn = self.from.filter(|_| lasts);
        *self
            .from
            .insert(drawn.unwrap_or_else(|| now + spread(delay)))
    }

    /// It has ended.
    pub(super) fn left(&mut self, now: Instant) {
        self.left = Some(now);
    }
}

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
    pub(super) fn new(config: &config::Upload, lot: &mut Lot, now: Instant) -> Self {
        let rate = config.drain_kib_s.saturating_mul(KIB);
        let delay = Duration::from_secs(config.drain_delay_secs);
        Self {
            from: lot.connected(delay, now),
            // A second's worth at once: less than a piece would never be saved up.
            bucket: (rate > 0).then(|| Bucket::new(rate, rate, now)),
        }
    }

    /// When the backlog may begin.
    pub(super) fn from(&self) -> Instant {
        self.from
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
        let mut drain = Drain::new(&config, &mut Lot::default(), now);
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
            &mut Lot::default(),
            now,
        );
        assert_eq!(free.ready_at(now), now);
    }

    #[test]
    fn a_link_that_drops_each_minute_waits_its_while_once() {
        let config = config::Upload {
            drain_kib_s: 0,
            drain_delay_secs: 30,
            ..config::Upload::default()
        };
        let (begun, mut lot) = (Instant::now(), Lot::default());
        let from = |lot: &mut Lot, now| Drain::new(&config, lot, now).ready_at(begun);
        let first = from(&mut lot, begun);
        let mut now = begun;
        for _ in 0..60 {
            now += Duration::from_secs(10);
            lot.left(now);
            now += Duration::from_secs(50);
            assert_eq!(from(&mut lot, now), first);
        }
        // A broker that was away: the fleet returns.
        lot.left(now);
        now += AWAY;
        assert!(from(&mut lot, now) >= now);
    }
}

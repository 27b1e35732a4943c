//! How fast the link takes pieces, and so how large they should be: about a second's worth, so
//! that on a slow link nothing waits long behind the window.

use tokio::time::Instant;

/// Smallest piece: below it the overhead of messages wins.
pub(super) const PIECE_MIN: u64 = 16 * 1024;
/// A piece should take about this long, seconds.
const PIECE_SECS: f64 = 1.0;
/// A measurement takes at least so long, seconds: acknowledgements come in bursts, and two at the
/// same moment do not mean that the link is infinitely fast.
const SPAN_SECS: f64 = 0.5;
/// Weight of the newest measurement.
const NEWEST: f64 = 0.3;

/// The measured rate.
#[derive(Debug, Default)]
pub(super) struct Rate {
    bytes_per_sec: Option<f64>,
    /// Bytes acknowledged and seconds gone by, with something under way, since the measurement
    /// before.
    span: (u64, f64),
    last: Option<Instant>,
}

impl Rate {
    /// A piece of `bytes`, handed over at `sent`, was acknowledged at `now`. The window overlaps:
    /// what counts is the time since the piece before it, if that was still under way.
    pub(super) fn acknowledged(&mut self, bytes: u64, sent: Instant, now: Instant) {
        let since = self.last.map_or(sent, |last| last.max(sent));
        self.last = Some(now);
        let (all, secs) = &mut self.span;
        *all += bytes;
        *secs += now.saturating_duration_since(since).as_secs_f64();
        if *secs < SPAN_SECS {
            return;
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "what passes in a span is far below 2^52 bytes"
        )]
        let measured = *all as f64 / *secs;
        self.span = (0, 0.0);
        let before = self.bytes_per_sec.unwrap_or(measured);
        self.bytes_per_sec = Some(before + NEWEST * (measured - before));
    }

    /// Size of the next piece: about a second's worth, from [`PIECE_MIN`] to `max`.
    pub(super) fn piece(&self, max: u64) -> u64 {
        let Some(rate) = self.bytes_per_sec else {
            return PIECE_MIN.min(max);
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float to integer cast saturates, and the rate is positive"
        )]
        let worth = (rate * PIECE_SECS) as u64;
        worth.max(PIECE_MIN).min(max)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pieces_grow_and_shrink_with_the_link() {
        let mut rate = Rate::default();
        let mut now = Instant::now();
        assert_eq!(rate.piece(200_000), PIECE_MIN);
        for _ in 0..100 {
            let sent = now;
            now += Duration::from_millis(100);
            rate.acknowledged(10_000, sent, now);
        }
        let piece = rate.piece(200_000);
        assert!(
            (99_000..=101_000).contains(&piece),
            "100 kB/s gives {piece}"
        );
        for _ in 0..40 {
            let sent = now;
            now += Duration::from_secs(2);
            rate.acknowledged(16_000, sent, now);
        }
        assert_eq!(rate.piece(200_000), PIECE_MIN, "64 kbit/s");
        assert_eq!(rate.piece(1000), 1000, "the broker's limit wins");
    }

    /// A window of four, whose acknowledgements come together every two seconds.
    #[tokio::test(start_paused = true)]
    async fn acknowledgements_in_bursts_do_not_look_like_a_fast_link() {
        let mut rate = Rate::default();
        let mut now = Instant::now();
        for _ in 0..20 {
            let sent = now;
            now += Duration::from_secs(2);
            for _ in 0..4 {
                rate.acknowledged(16_384, sent, now);
            }
            assert!(rate.piece(200_000) <= 33_000, "32 kB/s");
        }
        assert!(rate.piece(200_000) >= 30_000);
    }

    /// Idle time is not slowness.
    #[tokio::test(start_paused = true)]
    async fn only_time_with_something_under_way_counts() {
        let mut rate = Rate::default();
        let mut now = Instant::now();
        for _ in 0..40 {
            now += Duration::from_mins(1);
            let sent = now;
            now += Duration::from_millis(100);
            rate.acknowledged(10_000, sent, now);
        }
        assert!((99_000..=101_000).contains(&rate.piece(200_000)));
    }
}

//! How long to wait before trying again.

use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

/// Capped exponential back-off with jitter: a fleet whose broker comes back must not return as
/// one.
#[derive(Clone, Debug)]
pub struct Pause {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Pause {
    /// Pauses of about `first`, twice that, … up to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest: longest.max(first),
            next: first,
        }
    }

    /// The next pause: between half and all of the present step, evenly spread.
    pub fn step(&mut self) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(self.longest);
        full / 2 + (full / 2).mul_f64(fraction())
    }

    /// Starts again from the first pause.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

/// A random part of `longest`, evenly spread: a fleet that returns at once must not begin as one.
pub fn spread(longest: Duration) -> Duration {
    longest.mul_f64(fraction())
}

/// A random number in `0.0..1.0`.
fn fraction() -> f64 {
    let mut bytes = [0_u8; 4];
    // Without randomness all pauses are the longest of their step: still correct.
    if SystemRandom::new().fill(&mut bytes).is_err() {
        return 1.0;
    }
    f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_within_their_jitter() {
        let mut pause = Pause::new(Duration::from_secs(1), Duration::from_secs(5));
        for full in [1.0, 2.0, 4.0, 5.0, 5.0] {
            let p = pause.step().as_secs_f64();
            assert!((full / 2.0..=full).contains(&p), "{p} for a step of {full}");
        }
        pause.reset();
        assert!(pause.step() <= Duration::from_secs(1));
    }

    #[test]
    fn a_cap_below_the_first_pause_does_not_win() {
        let mut pause = Pause::new(Duration::from_secs(1), Duration::ZERO);
        assert!(pause.step() >= Duration::from_millis(500));
    }
}

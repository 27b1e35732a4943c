//! The last minute of poses, asked by the time of a frame.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use super::{narrowed, scaled};
use crate::types::{Attitude, Placed, Pose, PoseSource, Stamp, lock};

/// How far back the ring reaches, and how far from the nearest measurement it still answers.
const KEEP_NS: u64 = 60_000_000_000;

/// No more poses than this are kept, whatever the source's rate (60 s at 100 Hz).
const POSES_MAX: usize = 6_000;

/// Two neighbours further apart than this are not joined by a line: a car at 20 m/s turns a
/// street corner in that time. gpsd reports once a second, so one lost report is bridged.
const JOIN_NS: u64 = 2_500_000_000;

/// A minute of poses by time since boot, shared between the telemetry task and the eye.
#[derive(Debug, Default)]
pub struct Poses {
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    /// Ascending `at.boot_ns`, no two equal.
    measured: VecDeque<Pose>,
    /// The surveyed place of a pole; true at any time.
    surveyed: Option<Pose>,
}

impl Poses {
    /// An empty ring.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps `pose` in its place by time since boot.
    ///
    /// A pose of the same moment as one already kept replaces it, one older than the ring is
    /// dropped, and a pose from the configuration ([`PoseSource::Fixed`]) is kept for ever.
    pub fn put(&self, pose: Pose) {
        let mut ring = self.lock();
        if pose.source == PoseSource::Fixed {
            ring.surveyed = Some(pose);
        } else {
            ring.insert(pose);
        }
    }

    /// Forgets what was measured: who measures now is another.
    pub(super) fn forget(&self) {
        self.lock().measured.clear();
    }

    /// Where the box was at `stamp`.
    ///
    /// Between two measurements at most 2.5 s apart: linear for position, height and speed, the
    /// shorter way round for angles; what only one neighbour knows stays unknown, and fix,
    /// accuracy, dilution and satellites are the worse neighbour's; the satellites' time is the nearer
    /// one's, moved by the boot clock. Otherwise the nearest measurement with its age: a pose is never carried on beyond the last one. `None` when
    /// nothing was measured within a minute of `stamp`.
    ///
    /// A surveyed place answers when no measurement does; it has no age.
    pub fn at(&self, stamp: Stamp) -> Option<Placed> {
        let ring = self.lock();
        ring.measured_at(stamp).or_else(|| {
            ring.surveyed.map(|pose| Placed {
                pose: Pose { at: stamp, ..pose },
                age_ms: 0,
                interpolated: false,
            })
        })
    }

    /// What answers of every moment within `reach` of `stamp` as this does now, for whoever asks later.
    #[must_use]
    pub fn round(&self, stamp: Stamp, reach: Duration) -> Self {
        let reach_ns = u64::try_from(reach.as_nanos()).unwrap_or(u64::MAX);
        let from_ns = stamp.boot_ns.saturating_sub(reach_ns);
        let to_ns = stamp.boot_ns.saturating_add(reach_ns);
        let ring = self.lock();
        let count = |earlier: &dyn Fn(u64) -> bool| {
            (ring.measured).partition_point(|pose| earlier(pose.at.boot_ns))
        };
        // With the neighbour on each side: a moment at the edge lies between the two.
        let first = count(&|ns| ns < from_ns).saturating_sub(1);
        let end = (count(&|ns| ns <= to_ns) + 1).min(ring.measured.len());
        Self {
            ring: Mutex::new(Ring {
                measured: ring.measured.range(first..end).copied().collect(),
                surveyed: ring.surveyed,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        lock(&self.ring)
    }
}

impl Ring {
    fn insert(&mut self, pose: Pose) {
        let moment = pose.at.boot_ns;
        let newest = self.measured.back().map_or(moment, |p| p.at.boot_ns);
        let horizon = newest.max(moment).saturating_sub(KEEP_NS);
        if moment < horizon {
            return;
        }
        let place = self.measured.partition_point(|p| p.at.boot_ns < moment);
        match self.measured.get_mut(place) {
            Some(same) if same.at.boot_ns == moment => *same = pose,
            _ => self.measured.insert(place, pose),
        }
        while self.measured.len() > POSES_MAX
            || self
                .measured
                .front()
                .is_some_and(|p| p.at.boot_ns < horizon)
        {
            self.measured.pop_front();
        }
    }

    fn measured_at(&self, stamp: Stamp) -> Option<Placed> {
        let moment = stamp.boot_ns;
        let place = self.measured.partition_point(|p| p.at.boot_ns < moment);
        let after = self.measured.get(place);
        let before = place.checked_sub(1).and_then(|i| self.measured.get(i));
        if let (Some(a), Some(b)) = (before, after)
            && b.at.boot_ns != moment
            && b.at.boot_ns - a.at.boot_ns <= JOIN_NS
        {
            return Some(between(a, b, stamp));
        }
        let nearest = [before, after]
            .into_iter()
            .flatten()
            .min_by_key(|p| p.at.boot_ns.abs_diff(moment))?;
        let age_ns = nearest.at.boot_ns.abs_diff(moment);
        (age_ns <= KEEP_NS).then(|| Placed {
            pose: *nearest,
            age_ms: age_ns.div_ceil(1_000_000),
            interpolated: false,
        })
    }
}

/// The pose at `stamp`, which lies strictly between `a` and `b`.
fn between(a: &Pose, b: &Pose, stamp: Stamp) -> Placed {
    let (from_a, to_b) = (
        stamp.boot_ns - a.at.boot_ns,
        b.at.boot_ns.saturating_sub(stamp.boot_ns),
    );
    #[expect(
        clippy::cast_precision_loss,
        reason = "both are below the joining limit, far inside the exact range of f64"
    )]
    let t = from_a as f64 / (from_a + to_b) as f64;
    let nearer = if from_a <= to_b { a } else { b };
    let told_us = both(a.satellite_us, b.satellite_us, |x, y| {
        if from_a <= to_b {
            x.saturating_add_unsigned(from_a / 1_000)
        } else {
            y.saturating_sub_unsigned(to_b / 1_000)
        }
    });
    let pose = Pose {
        at: stamp,
        lat_e7: line(a.lat_e7, b.lat_e7, t),
        lon_e7: longitude(a.lon_e7, b.lon_e7, t),
        alt_mm: both(a.alt_mm, b.alt_mm, |x, y| line(x, y, t)),
        h_acc_mm: both(a.h_acc_mm, b.h_acc_mm, u32::max),
        hdop_e2: both(a.hdop_e2, b.hdop_e2, u16::max),
        pdop_e2: both(a.pdop_e2, b.pdop_e2, u16::max),
        satellite_us: told_us,
        fix: a.fix.min(b.fix),
        sats: both(a.sats, b.sats, u8::min),
        heading_deg: both(a.heading_deg, b.heading_deg, |x, y| compass(x, y, t)),
        speed_mps: both(a.speed_mps, b.speed_mps, |x, y| straight(x, y, t)),
        attitude: both(a.attitude, b.attitude, |x, y| turned(x, y, t)),
        camera: both(a.camera, b.camera, |x, y| turned(x, y, t)),
        source: nearer.source,
        sysid: nearer.sysid,
    };
    Placed {
        pose,
        age_ms: from_a.min(to_b).div_ceil(1_000_000),
        interpolated: true,
    }
}

fn both<T>(a: Option<T>, b: Option<T>, join: impl FnOnce(T, T) -> T) -> Option<T> {
    a.zip(b).map(|(x, y)| join(x, y))
}

/// `a` at `t = 0`, `b` at `t = 1`.
fn line(a: i32, b: i32, t: f64) -> i32 {
    scaled(f64::from(a) + (f64::from(b) - f64::from(a)) * t, 1.0)
}

/// Like [`line`], the shorter way round the globe; degrees × 10⁷.
fn longitude(a: i32, b: i32, t: f64) -> i32 {
    const TURN: f64 = 3_600_000_000.0;
    let way = (f64::from(b) - f64::from(a) + TURN / 2.0).rem_euclid(TURN) - TURN / 2.0;
    scaled(
        (f64::from(a) + way * t + TURN / 2.0).rem_euclid(TURN) - TURN / 2.0,
        1.0,
    )
}

fn straight(a: f32, b: f32, t: f64) -> f32 {
    narrowed(f64::from(a) + (f64::from(b) - f64::from(a)) * t)
}

/// The way from `a` to `b` in degrees, −180..180.
fn way(a: f32, b: f32) -> f64 {
    (f64::from(b) - f64::from(a) + 180.0).rem_euclid(360.0) - 180.0
}

/// A compass angle between two, 0..360.
fn compass(a: f32, b: f32, t: f64) -> f32 {
    let angle = narrowed((f64::from(a) + way(a, b) * t).rem_euclid(360.0));
    if angle >= 360.0 { 0.0 } else { angle }
}

/// An angle between two, −180..180.
fn signed(a: f32, b: f32, t: f64) -> f32 {
    narrowed((f64::from(a) + way(a, b) * t + 180.0).rem_euclid(360.0) - 180.0)
}

/// Each angle by itself: exact for the small steps between two reports, and free of the
/// ambiguities of a rotation through the nadir.
fn turned(a: Attitude, b: Attitude, t: f64) -> Attitude {
    Attitude {
        roll_deg: signed(a.roll_deg, b.roll_deg, t),
        pitch_deg: straight(a.pitch_deg, b.pitch_deg, t),
        yaw_deg: compass(a.yaw_deg, b.yaw_deg, t),
    }
}

#[cfg(test)]
mod tests;

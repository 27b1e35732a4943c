//! The newest frame of each camera, handed out in turn.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::types::{Frame, lock};

/// One slot per camera. A newer frame replaces an older one, which is counted as dropped.
///
/// [`Slots::take`] goes round the cameras, so that a fast camera never starves a slow one.
#[derive(Debug)]
pub struct Slots {
    inner: Mutex<Inner>,
    filled: Condvar,
}

#[derive(Debug)]
struct Inner {
    slots: Vec<Slot>,
    /// The camera asked first by the next `take`.
    next: usize,
    closed: bool,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    frame: Option<Frame>,
    dropped: u64,
}

impl Slots {
    /// Empty slots for that many cameras.
    pub fn new(cameras: usize) -> Self {
        Self {
            inner: Mutex::new(Inner {
                slots: vec![Slot::default(); cameras],
                next: 0,
                closed: false,
            }),
            filled: Condvar::new(),
        }
    }

    /// Puts the newest frame of its camera, replacing and counting the one still there.
    ///
    /// A frame of a camera without a slot, or after [`Slots::close`], is dropped.
    pub fn put(&self, frame: Frame) {
        let mut inner = self.lock();
        if inner.closed {
            return;
        }
        let Some(slot) = inner.slots.get_mut(frame.camera) else {
            return;
        };
        let old = slot.frame.replace(frame);
        slot.dropped += u64::from(old.is_some());
        drop(inner);
        self.filled.notify_one();
        // `old` gives its buffer back to the decoder only here, outside the lock.
        drop(old);
    }

    /// The frame of the next camera in turn; waits at most `wait` for one.
    ///
    /// `None` when none came in time or the slots are closed and empty.
    pub fn take(&self, wait: Duration) -> Option<Frame> {
        let (mut inner, _) = self
            .filled
            .wait_timeout_while(self.lock(), wait, |inner| {
                !inner.closed && inner.slots.iter().all(|slot| slot.frame.is_none())
            })
            .unwrap_or_else(PoisonError::into_inner);
        let count = inner.slots.len();
        let from = inner.next;
        for camera in (0..count).map(|i| (from + i) % count) {
            if let Some(frame) = inner.slots.get_mut(camera)?.frame.take() {
                inner.next = (camera + 1) % count;
                return Some(frame);
            }
        }
        None
    }

    /// Frames of this camera that were replaced before anyone took them.
    pub fn dropped(&self, camera: usize) -> u64 {
        self.lock().slots.get(camera).map_or(0, |slot| slot.dropped)
    }

    /// Wakes every waiter; frames put from now on are dropped.
    pub fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;
    use crate::types::{Colours, Image, PixelFormat, Plane, Stamp, TimeSource};

    fn frame(camera: usize, number: u64) -> Frame {
        Frame {
            camera,
            number,
            at: Stamp {
                utc_ns: 0,
                boot_ns: 0,
                error_ns: 0,
            },
            time_source: TimeSource::Arrival,
            pts_ns: 0,
            image: Image {
                format: PixelFormat::I420,
                colours: Colours::usual(2),
                width: 2,
                height: 2,
                planes: [Plane::default(); 3],
                data: Arc::new(Vec::new()),
            },
        }
    }

    fn taken(slots: &Slots) -> Option<(usize, u64)> {
        slots.take(Duration::ZERO).map(|f| (f.camera, f.number))
    }

    #[test]
    fn the_newest_replaces_and_the_older_is_counted() {
        let slots = Slots::new(1);
        for number in 0..4 {
            slots.put(frame(0, number));
        }
        assert_eq!(taken(&slots), Some((0, 3)));
        assert_eq!(slots.dropped(0), 3);
        assert_eq!(taken(&slots), None);
    }

    #[test]
    fn a_fast_camera_does_not_starve_the_others() {
        let slots = Slots::new(3);
        let mut seen = Vec::new();
        for round in 0..3 {
            for camera in 0..3 {
                slots.put(frame(camera, round));
            }
            slots.put(frame(0, round + 100));
            seen.extend(taken(&slots).map(|(camera, _)| camera));
        }
        assert_eq!(seen, [0, 1, 2]);
    }

    #[test]
    fn an_unknown_camera_is_ignored() {
        let slots = Slots::new(1);
        slots.put(frame(7, 0));
        assert_eq!(taken(&slots), None);
        assert_eq!(slots.dropped(7), 0);
        assert!(Slots::new(0).take(Duration::ZERO).is_none());
    }

    #[test]
    fn close_wakes_who_waits() {
        let slots = Arc::new(Slots::new(1));
        let waiter = {
            let slots = Arc::clone(&slots);
            thread::spawn(move || slots.take(Duration::from_mins(1)).is_none())
        };
        slots.close();
        assert!(waiter.join().unwrap());
        slots.put(frame(0, 0));
        assert_eq!(taken(&slots), None);
    }

    #[test]
    fn a_put_wakes_who_waits() {
        let slots = Arc::new(Slots::new(2));
        let waiter = {
            let slots = Arc::clone(&slots);
            thread::spawn(move || slots.take(Duration::from_mins(1)).map(|f| f.camera))
        };
        slots.put(frame(1, 0));
        assert_eq!(waiter.join().unwrap(), Some(1));
    }
}

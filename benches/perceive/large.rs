//! How often a look has a frame's worth of memory allocated, once everything is warm.
//!
//! The program's own allocations are counted, of a megabyte and more: a 1080p frame has three, an
//! input tensor of 320x320 has 1.2. What GStreamer's pools and ONNX Runtime's arena hold is theirs,
//! outside Rust's allocator, and is not seen here.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use lingmou::config::{Camera, Config, Mount, Zone};
use lingmou::ingest::Recording;
use lingmou::perceive::{Detector, Sight};
use lingmou::types::{Point, Role};
use lingmou::{clock, ingest};

/// An allocation of so many bytes is counted.
const LARGE: usize = 1_000_000;
/// Looks that are not counted, and looks that are, at five a second: buffers grow in the first, and the
/// background is learned.
const WARM: usize = 150;
const LOOKS: usize = 100;
/// Looks in a second.
const RATE: f64 = 5.0;

/// How often something large was allocated.
static COUNT: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The system's allocator, with a count of what is large.
struct Counting;

impl Counting {
    fn note(size: usize) {
        if size >= LARGE {
            COUNT.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[expect(unsafe_code, reason = "there is no other way to count allocations")]
// SAFETY: each call goes on to the system's allocator as it came; the count touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::note(layout.size());
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::note(layout.size());
        // SAFETY: as promised by the caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::note(size);
        // SAFETY: as promised by the caller; it came from the system's allocator.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as promised by the caller; it came from the system's allocator.
        unsafe { System.dealloc(old, layout) }
    }
}

/// Looks at the street as the daemon's eye does, from the decoder to the tracks, and prints the row.
pub(crate) fn row(detector: &mut Detector) {
    let film = Path::new(env!("CARGO_MANIFEST_DIR")).join(".setup/bench/main.mp4");
    if !film.is_file() {
        println!(
            "(no row of large allocations: benches/yardstick/prepare.sh makes the film it needs)"
        );
        return;
    }
    ingest::init().unwrap();
    let mut film = Recording::open(&film, clock::now(), RATE).unwrap();
    let mut sight = Sight::new(&config(), 0, None, detector.card().score_threshold());
    let (mut before, mut things) = (0, 0);
    for n in 0..WARM + LOOKS {
        if n == WARM {
            before = COUNT.load(Ordering::Relaxed);
        }
        let frame = film.next().unwrap().expect("a minute of film");
        sight.look(&frame);
        let mut found = detector.detect(&frame.image).unwrap();
        things += black_box(sight.see(&frame, &mut found)).tracks.len();
    }
    let all = COUNT.load(Ordering::Relaxed);
    println!(
        "allocated with a megabyte or more in {LOOKS} looks, decode to tracks: {} times, 0 expected \
         ({before} until then; {things} things tracked; GStreamer's pools and ONNX Runtime's arena not counted)",
        all - before
    );
}

/// A fixed camera with everything on that a look may do.
fn config() -> Config {
    let mut config = Config::default();
    config.background.enabled = true;
    config.camera.push(Camera {
        name: "street".to_owned(),
        mount: Mount::Fixed,
        ..Camera::default()
    });
    let corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)];
    config.zone.push(Zone {
        name: "kerb".to_owned(),
        camera: "street".to_owned(),
        // Whoever may be warned is described.
        roles: vec![Role::Person],
        polygon: corners.map(|(x, y)| Point { x, y }).to_vec(),
        ..Zone::default()
    });
    config
}

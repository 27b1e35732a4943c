//! What a look at one frame costs besides the inference, and against it.
//!
//! CPU time of this process, best of many, one thread; compare ratios, not milliseconds. Takes
//! the shipped model, or the one named by its card's path as the first argument.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints its table and stops where it cannot go on"
)]

#[path = "perceive/large.rs"]
mod large;

use std::hint::black_box;
use std::path::{Path, PathBuf};

use lingmou::perceive::{Card, Decoder, Detector, Fit, Letterbox, MotionGate, Raw, Sight, Tracker};
use lingmou::types::{Area, Detection, Frame, Image, PixelFormat, Point, Role, Stamp, TimeSource};
use lingmou::{clock, config};
use rustix::time::{ClockId, clock_gettime};

const WIDTH: usize = 1920;
const HEIGHT: usize = 1080;
/// Cheap things are repeated this often; the inference a tenth of it.
const ROUNDS: usize = 400;

fn main() {
    println!("\n## Seeing");
    // Cargo passes `--bench`; a path is ours.
    let named = std::env::args().skip(1).find(|a| !a.starts_with('-'));
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/efficientdet-lite0.toml");
    let path = named.map_or(shipped, PathBuf::from);
    let card = Card::read(&path).unwrap_or_else(|e| {
        println!("no model to compare with: {e}");
        std::process::abort()
    });

    let pixels = noise(WIDTH * HEIGHT * 3 / 2);
    let mut copy = vec![0; pixels.len()];
    let memcpy = best(ROUNDS, || {
        copy.copy_from_slice(&pixels);
        black_box(&copy);
    });
    let planar = image(PixelFormat::I420, pixels.clone());
    let interleaved = image(PixelFormat::Nv12, pixels);

    let input = card.input().clone();
    let mut letterbox = Letterbox::new(input.clone());
    let mut tensor = vec![0.0; 3 * input.width * input.height];
    let i420 = best(ROUNDS, || {
        black_box(letterbox.draw(&planar, &mut tensor)).unwrap();
    });
    let nv12 = best(ROUNDS, || {
        black_box(letterbox.draw(&interleaved, &mut tensor)).unwrap();
    });

    let mut gate = MotionGate::new();
    let motion = best(ROUNDS, || {
        black_box(gate.hold_back(clock::now(), &planar, true));
    });
    let [guard, background] = view_cost(config::Mount::Fixed, &planar);
    let [drift, _] = view_cost(config::Mount::Moving, &planar);
    let decode = decode_cost(&card);
    let track = track_cost();

    let settings = config::Model::default();
    let before = resident_mib();
    let mut detector = Detector::open(&settings, card).unwrap();
    let whole = best(ROUNDS / 10, || {
        black_box(detector.detect(&planar)).unwrap();
    });
    let inference = whole - i420;
    println!("{}x{} to {}x{}", WIDTH, HEIGHT, input.width, input.height);
    println!(
        "{:<34}{:>9}{:>12}{:>14}",
        "step", "CPU ms", "x memcpy", "% inference"
    );
    let rows = [
        ("copy of the frame", memcpy),
        ("letterbox, I420", i420),
        ("letterbox, NV12", nv12),
        ("decode, 50 boxes", decode.unwrap_or(f64::NAN)),
        ("track, 50 boxes", track),
        ("motion gate", motion),
        ("view of a fixed camera", guard),
        ("view and motion of a moving one", drift),
        ("background", background),
        ("inference and its decoding", inference),
    ];
    for (step, ms) in rows.into_iter().filter(|(_, ms)| !ms.is_nan()) {
        let (copies, share) = (ms / memcpy, 100.0 * ms / inference);
        println!("{step:<34}{ms:>9.3}{copies:>12.2}{share:>14.2}");
    }
    let after = resident_mib();
    println!(
        "resident: {before} MiB before the model, {after} MiB after {} frames",
        ROUNDS / 10
    );
    large::row(&mut detector);
}

/// Smallest CPU time of `rounds` calls, milliseconds.
fn best(rounds: usize, mut work: impl FnMut()) -> f64 {
    let mut least = f64::INFINITY;
    for _ in 0..rounds {
        let start = cpu_ms();
        work();
        least = least.min(cpu_ms() - start);
    }
    least
}

/// CPU time of this process, milliseconds.
#[expect(clippy::cast_precision_loss, reason = "seconds of a benchmark")]
fn cpu_ms() -> f64 {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    t.tv_sec as f64 * 1e3 + t.tv_nsec as f64 / 1e6
}

/// Resident memory of this process.
fn resident_mib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024
}

/// Bytes without pattern.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect()
}

fn image(format: PixelFormat, data: Vec<u8>) -> Image {
    Image::packed(format, WIDTH, HEIGHT, data)
}

/// A look at the view and what comes with it, and the search for new things.
fn view_cost(mount: config::Mount, image: &Image) -> [f64; 2] {
    let mut config = config::Config::default();
    config.background.enabled = true;
    config.camera.push(config::Camera {
        name: "cam".to_owned(),
        mount,
        ..config::Camera::default()
    });
    config.zone.push(config::Zone::default());
    let zone = &mut config.zone[0];
    "cam".clone_into(&mut zone.camera);
    zone.polygon = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
        .map(|(x, y)| Point { x, y })
        .to_vec();
    let mut sight = Sight::new(&config, 0, None, 0.4);
    let mut frame = Frame {
        camera: 0,
        number: 0,
        at: Stamp {
            utc_ns: 0,
            boot_ns: 0,
            error_ns: 0,
        },
        time_source: TimeSource::Recording,
        pts_ns: 0,
        image: image.clone(),
    };
    // The first is held against nothing: it costs less than all others.
    sight.look(&frame);
    let view = best(ROUNDS, || {
        frame.at.boot_ns += 500_000_000;
        black_box(sight.look(&frame));
    });
    let things = best(ROUNDS, || {
        frame.at.boot_ns += 500_000_000;
        sight.pass(frame.at);
    });
    [view, things]
}

/// Decoding of outputs as the default model gives them: faint everywhere, fifty things in it.
fn decode_cost(card: &Card) -> Option<f64> {
    const BOXES: usize = 19_206;
    let classes = card.labels().len();
    let boxes_dim = i64::try_from(BOXES).unwrap();
    let shapes = [
        vec![1, boxes_dim, 4],
        vec![1, boxes_dim, i64::try_from(classes).unwrap()],
    ];
    // Another layout than EfficientDet's: its share is in the inference's line.
    let decoder = Decoder::new(card, &shapes).ok()?;
    let faint = |b: u8| f32::from(b) / 2550.0;
    let mut scores: Vec<f32> = noise(BOXES * classes).into_iter().map(faint).collect();
    let mut boxes = vec![0.0; BOXES * 4];
    for i in 0..50 {
        let at = i * (BOXES / 50);
        scores[at * classes] = 0.9;
        let x = f32::from(u8::try_from(i).unwrap()) / 64.0;
        boxes[at * 4..at * 4 + 4].copy_from_slice(&[x, 0.1, x + 0.1, 0.4]);
    }
    let fit = Fit::new((WIDTH, HEIGHT), card.input());
    Some(best(ROUNDS, || {
        let raw = [
            Raw {
                shape: &shapes[0],
                data: &boxes,
            },
            Raw {
                shape: &shapes[1],
                data: &scores,
            },
        ];
        black_box(decoder.decode(&raw, fit));
    }))
}

/// One update with fifty things that all walk.
fn track_cost() -> f64 {
    let mut tracker = Tracker::new(0.4);
    let mut frame = 0_u16;
    best(ROUNDS, || {
        frame += 1;
        let seen: Vec<Detection> = (0..50_u16)
            .map(|i| {
                let x = (f32::from(i) / 50.0 + f32::from(frame) * 0.004).fract();
                let y = f32::from(i % 5) * 0.15;
                Detection {
                    label: 0,
                    roles: [Role::Person].into_iter().collect(),
                    score: 0.8,
                    area: Area {
                        x0: x,
                        y0: y,
                        x1: x + 0.03,
                        y1: y + 0.15,
                    },
                }
            })
            .collect();
        let at = Stamp {
            utc_ns: 0,
            boot_ns: u64::from(frame) * 200_000_000,
            error_ns: 0,
        };
        black_box(tracker.update(at, &seen));
    })
}

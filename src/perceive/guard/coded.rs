//! The guard on films that were coded and decoded again, as a camera's are: when something changed for
//! certain, where the picture hangs behind a coder that does not, and on a quiet street.

use std::path::Path;
use std::process::Command;

use super::super::film::{Street, at_ms, picture};
use super::*;
use crate::types::PixelFormat;

const WIDTH: usize = 640;
const HEIGHT: usize = 360;
/// Frames a second, and from which on the picture may hang.
const RATE: u64 = 2;
const HANGS: u64 = 20;
const FRAMES: u64 = 60;

/// Somebody of ten by thirty pixels who walks through, who is hardly lighter than the street.
fn walker(x: usize, y: usize, frame: u64, from: u64) -> bool {
    let left = usize::try_from(frame.saturating_sub(from)).unwrap() * 40;
    frame >= from && (left..left + 10).contains(&x) && (200..230).contains(&y)
}

/// A street at night with a sensor's noise, where somebody walks by from each of `walks` on; a clock of
/// seconds is written above. From `hangs` on the sensor gives one picture, and the clock goes on.
fn shot(street: &Street, frame: u64, walks: &[u64], hangs: u64) -> Image {
    let seen = frame.min(hangs);
    let noise = usize::try_from(seen).unwrap();
    let second = frame / RATE;
    picture(WIDTH, HEIGHT, |x, y| {
        if (20..180).contains(&x) && (8..28).contains(&y) {
            let digit = (x as u64 / 10 + second).is_multiple_of(3);
            return if digit { 235 } else { 16 };
        }
        let person = walks.iter().any(|from| walker(x, y, seen, *from));
        let albedo = if person {
            190.0
        } else {
            street.albedo(x + 200, y + 60)
        };
        street.lit(albedo, (0.35, 12.0), 9.0, (x, y, noise))
    })
}

/// A film as it leaves the sensor: luma, frame by frame.
fn film(of: impl Fn(u64) -> Image) -> Vec<u8> {
    let mut frames = Vec::new();
    for image in (0..FRAMES).map(of) {
        for y in 0..HEIGHT {
            frames.extend_from_slice(image.row(0, y, WIDTH).unwrap());
        }
    }
    frames
}

/// The film coded by `coder` and decoded again.
#[expect(clippy::disallowed_methods, reason = "a test's own file, for ffmpeg")]
fn coded(dir: &Path, coder: &[&str], film: &[u8]) -> Vec<Image> {
    let [raw, coded, out] = ["in.gray", "film.mp4", "out.gray"].map(|name| dir.join(name));
    std::fs::write(&raw, film).unwrap();
    let run = |args: &[&str]| {
        let mut ffmpeg = Command::new("ffmpeg");
        let done = ffmpeg.args(["-v", "error", "-y"]).args(args).status();
        assert!(done.unwrap().success());
    };
    let [from, film, shown] = [&raw, &coded, &out].map(|path| path.to_str().unwrap());
    let grey = ["-f", "rawvideo", "-pix_fmt", "gray"];
    let size = [
        "-s", "640x360", "-r", "2", "-i", from, "-c:v", "libx264", "-g", "4",
    ];
    run(&[&grey[..], &size, coder, &["-pix_fmt", "yuv420p", film]].concat());
    run(&[&["-i", film][..], &grey, &[shown]].concat());
    let decoded = std::fs::read(&out).unwrap();
    let frames = decoded.chunks_exact(WIDTH * HEIGHT);
    let image = |luma: &[u8]| {
        let mut planes = luma.to_vec();
        planes.resize(WIDTH * HEIGHT * 3 / 2, 128);
        Image::packed(PixelFormat::Nv12, WIDTH, HEIGHT, planes)
    };
    frames.map(image).collect()
}

/// The seconds in which the guard saw something change for certain; and it told of nothing else.
fn changes(frames: &[Image]) -> Vec<u64> {
    let config = config::Guard::default();
    let mut guard = Guard::new(&config, &config::Camera::default(), true, None);
    let mut luma = Luma::new();
    let mut seconds = Vec::new();
    for (frame, image) in (0..).zip(frames) {
        luma.draw(image);
        let at = at_ms(frame * 1000 / RATE);
        let watched = guard.look(at, image, &luma);
        assert_eq!((watched.view, watched.changed), (View::Good, None));
        if guard.changed() == Change::At(at) {
            seconds.push(frame / RATE);
        }
    }
    seconds.dedup();
    seconds
}

#[test]
fn a_picture_that_hangs_behind_a_coder_does_not_change_and_one_in_which_somebody_walks_does() {
    let dir = tempfile::tempdir().unwrap();
    let street = Street::new();
    // He is in the middle of the picture when it hangs.
    let hangs = film(|n| shot(&street, n, &[8], HANGS));
    // A quiet night: nothing for certain, until somebody walks by, and each time.
    let lives = film(|n| shot(&street, n, &[20, 44], FRAMES));
    for coder in [
        &["-b:v", "800k"][..],
        &["-b:v", "60k", "-maxrate", "60k", "-bufsize", "60k"],
        &["-crf", "23"],
        &["-crf", "32", "-preset", "ultrafast"],
    ] {
        let told = |film: &[u8]| changes(&coded(dir.path(), coder, film));
        let (hung, seen) = (HANGS / RATE, told(&hangs));
        assert!(seen.iter().any(|at| *at < hung), "{coder:?}: {seen:?}");
        assert!(seen.iter().all(|at| *at <= hung), "{coder:?}: {seen:?}");
        let walks = told(&lives);
        let first = walks.iter().all(|at| *at >= 20 / RATE);
        let near = |from: u64| walks.iter().any(|at| (from..from + 6).contains(at));
        assert!(first && near(10) && near(22), "{coder:?}: {walks:?}");
    }
}

//! Rendered stalls at one place of a street: which are the same, and which are not.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "the numbers of these tests are small"
)]

use super::super::film::hash;
use super::*;

const SIZE: (usize, usize) = (320, 240);
/// Where the stall stands: left, top, right, bottom, pixels.
const BOX: [usize; 4] = [100, 80, 200, 180];

fn area([x0, y0, x1, y1]: [usize; 4]) -> Area {
    let share = |v: usize, size: usize| v as f32 / size as f32;
    Area {
        x0: share(x0, SIZE.0),
        y0: share(y0, SIZE.1),
        x1: share(x1, SIZE.0),
        y1: share(y1, SIZE.1),
    }
}

/// A picture from a function of pixels to luma, blue and red chroma.
fn picture(format: PixelFormat, pixel: impl Fn(usize, usize) -> [f32; 3]) -> Image {
    let (width, height) = SIZE;
    let sample = |c: usize, x, y| pixel(x, y)[c].clamp(0.0, 255.0) as u8;
    let at = |i: usize, width: usize| (i % width, i / width);
    let luma = (0..width * height)
        .map(|i| at(i, width))
        .map(|(x, y)| sample(0, x, y));
    let mut data: Vec<u8> = luma.collect();
    let quarter = width * height / 4;
    let chroma = |c: usize, i: usize| {
        let (x, y) = at(i, width / 2);
        sample(c, 2 * x, 2 * y)
    };
    match format {
        PixelFormat::I420 => {
            data.extend((0..2 * quarter).map(|i| chroma(1 + i / quarter, i % quarter)));
        }
        PixelFormat::Nv12 => data.extend((0..2 * quarter).map(|i| chroma(1 + i % 2, i / 2))),
    }
    Image::packed(format, width, height, data)
}

/// Patches of paint in blocks of `block` pixels.
fn paint(x: usize, y: usize, block: usize, which: usize) -> [f32; 3] {
    let one = |channel| f32::from(hash(x / block, y / block, which * 3 + channel));
    [
        40.0 + one(0) * 0.6,
        108.0 + one(1) * 0.16,
        108.0 + one(2) * 0.16,
    ]
}

/// The street, and on it the stall `which`, drawn within its box as far as a thing fills one.
fn street(which: usize) -> impl Fn(usize, usize) -> [f32; 3] {
    move |x, y| {
        let [x0, y0, x1, y1] = BOX;
        let stall = (x0 + 6..x1 - 6).contains(&x) && (y0 + 8..y1 - 2).contains(&y);
        if which > 0 && stall {
            paint(x - x0, y - y0, 17, which)
        } else {
            let [luma, ..] = paint(x, y, 23, 0);
            [luma * 0.5 + 60.0, 128.0, 127.0]
        }
    }
}

fn look(pixel: impl Fn(usize, usize) -> [f32; 3]) -> Appearance {
    describe(&picture(PixelFormat::I420, pixel), area(BOX)).expect("an appearance")
}

#[test]
fn a_stall_is_the_same_in_other_light_and_behind_a_passer_by() {
    type Change = fn(usize, usize, [f32; 3]) -> [f32; 3];
    let changes: [(&str, Change); 6] = [
        ("nothing but noise", |x, y, [l, u, v]| {
            let noise = f32::from(hash(x, y, 99)) / 32.0 - 4.0;
            [l + noise, u + noise / 2.0, v - noise / 2.0]
        }),
        ("a cloud", |_, _, [l, u, v]| [l * 0.6, u, v]),
        ("the sun comes out", |_, _, [l, u, v]| [l * 1.4, u, v]),
        ("lamps of another colour", |_, _, [l, u, v]| {
            [l * 0.8 + 10.0, u - 9.0, v + 7.0]
        }),
        (
            "the shadow of a house over half of it",
            |x, _, [l, u, v]| [if x < 145 { l * 0.55 } else { l }, u, v],
        ),
        ("a passer-by before a quarter of it", |x, _, pixel| {
            if (110..135).contains(&x) {
                [50.0, 124.0, 133.0]
            } else {
                pixel
            }
        }),
    ];
    let known = look(street(1));
    for (name, change) in changes {
        let now = look(|x, y| change(x, y, street(1)(x, y)));
        let alike = known.likeness(&now);
        assert!(alike >= Appearance::SAME_MIN, "{name}: {alike}");
        let other = known.likeness(&look(|x, y| change(x, y, street(2)(x, y))));
        assert!(
            other < Appearance::OTHER_BELOW,
            "another stall, {name}: {other}"
        );
    }
}

#[test]
fn boxes_tremble() {
    let image = picture(PixelFormat::I420, street(1));
    let known = describe(&image, area(BOX)).unwrap();
    for [x0, y0, x1, y1] in [
        [5, 0, 5, 0],
        [0, 6, 0, -4_isize],
        [-6, -5, 6, 5],
        [4, 4, -4, -4],
    ] {
        let off = [(BOX[0], x0), (BOX[1], y0), (BOX[2], x1), (BOX[3], y1)];
        let off = off.map(|(side, by)| side.saturating_add_signed(by));
        let alike = known.likeness(&describe(&image, area(off)).unwrap());
        assert!(alike >= Appearance::SAME_MIN, "{off:?}: {alike}");
    }
}

/// Forty stalls, two by two, none the same: what is told same would be a false accusation.
#[test]
fn of_many_stalls_none_is_taken_for_another() {
    let all: Vec<Appearance> = (1..=40).map(|which| look(street(which))).collect();
    let mut highest = 0;
    for (n, one) in all.iter().enumerate() {
        for other in &all[n + 1..] {
            highest = highest.max(one.likeness(other));
        }
    }
    assert!(highest < Appearance::SAME_MIN, "{highest}");
}

#[test]
fn the_layout_of_the_planes_is_nothing_to_it() {
    for which in 1..4 {
        let [a, b] = [PixelFormat::I420, PixelFormat::Nv12]
            .map(|format| describe(&picture(format, street(which)), area(BOX)));
        assert!(a.is_some());
        assert_eq!(a, b);
    }
}

#[test]
fn what_is_small_dark_or_outside_has_none() {
    let image = picture(PixelFormat::Nv12, street(1));
    let night = picture(PixelFormat::I420, |x, y| {
        let [luma, ..] = street(1)(x, y);
        [16.0 + luma / 40.0, 128.0, 128.0]
    });
    let whole = |image: &Image, x0, y0, x1, y1| describe(image, Area { x0, y0, x1, y1 });
    assert_eq!(describe(&night, area(BOX)), None);
    assert_eq!(
        describe(&image, area([100, 80, 123, 180])),
        None,
        "23 pixels"
    );
    assert!(describe(&image, area([100, 80, 124, 180])).is_some());
    assert_eq!(whole(&image, f32::NAN, 0.0, f32::NAN, 1.0), None);
    assert_eq!(whole(&image, 2.0, 2.0, 3.0, 3.0), None);
    let mut cut = image.clone();
    cut.planes[1].offset = usize::MAX - 10;
    assert_eq!(describe(&cut, area(BOX)), None);
    let painted = picture(PixelFormat::I420, |x, y| paint(x, y, 30, 1));
    let all = whole(&painted, 0.0, 0.0, 1.0, 1.0);
    assert!(all.is_some());
    assert_eq!(
        whole(&painted, -1.0, -1.0, 2.0, 2.0),
        all,
        "cut to the picture"
    );
}

//! The letterbox against a plain restatement of what it does, and against what it is for.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "the numbers of these tests are small"
)]

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::types::{self, Matrix, Range};

fn input(width: usize, height: usize) -> Input {
    Input {
        name: "image".to_owned(),
        width,
        height,
        colour: Colour::Rgb,
        mean: [0.0; 3],
        std: [1.0; 3],
        pad: 127,
        align: Align::TopLeft,
    }
}

/// A picture from a function of plane and sample position, with `slack` unused bytes per row.
fn picture(
    format: PixelFormat,
    (width, height): (usize, usize),
    slack: usize,
    sample: &dyn Fn(usize, usize, usize) -> u8,
) -> Image {
    let mut data = Vec::new();
    let mut planes = [types::Plane::default(); 3];
    let count = if format == PixelFormat::I420 { 3 } else { 2 };
    for (p, plane) in planes.iter_mut().enumerate().take(count) {
        let (w, h) = if p == 0 {
            (width, height)
        } else {
            (width.div_ceil(2), height.div_ceil(2))
        };
        plane.offset = data.len();
        let len = data.len();
        for y in 0..h {
            for x in 0..w {
                if p > 0 && format == PixelFormat::Nv12 {
                    data.extend([sample(1, x, y), sample(2, x, y)]);
                } else {
                    data.push(sample(p, x, y));
                }
            }
            data.extend(std::iter::repeat_n(0xAA, slack));
        }
        plane.stride = (data.len() - len) / h;
    }
    Image {
        format,
        colours: Colours::usual(height),
        width,
        height,
        planes,
        data: Arc::new(data),
    }
}

fn draw(image: &Image, input: &Input) -> (Fit, Vec<f32>) {
    let mut tensor = vec![f32::NAN; 3 * input.width * input.height];
    let fit = Letterbox::new(input.clone())
        .draw(image, &mut tensor)
        .expect("a good picture");
    (fit, tensor)
}

/// One sample of a plane at a fractional position, as the module's text says, in plain words.
fn reference_sample(
    plane: &dyn Fn(usize, usize) -> u8,
    size: (usize, usize),
    at: [(f64, f64); 2],
) -> f64 {
    let taps = |(position, shrink): (f64, f64), size: usize| -> [(usize, f64); 2] {
        let last = size as f64 - 1.0;
        if shrink >= 2.0 {
            let apart = (shrink / 2.0).round().min(last);
            let first = (position - apart / 2.0).round().clamp(0.0, last);
            [
                (first as usize, 0.5),
                ((first + apart).min(last) as usize, 0.5),
            ]
        } else {
            let position = position.clamp(0.0, last);
            let rest = position.fract();
            let next = (position.floor() + 1.0).min(last);
            [(position as usize, 1.0 - rest), (next as usize, rest)]
        }
    };
    let mut sum = 0.0;
    for (y, wy) in taps(at[1], size.1) {
        for (x, wx) in taps(at[0], size.0) {
            sum += f64::from(plane(x, y)) * wx * wy;
        }
    }
    sum
}

/// What the tensor should hold at a pixel of the picture's part, RGB 0..255.
fn reference(
    size: (usize, usize),
    fit: Fit,
    (x, y): (usize, usize),
    sample: &dyn Fn(usize, usize, usize) -> u8,
) -> [f64; 3] {
    let shrink = (
        size.0 as f64 / fit.width as f64,
        size.1 as f64 / fit.height as f64,
    );
    let at = (
        (x as f64 + 0.5) * shrink.0 - 0.5,
        (y as f64 + 0.5) * shrink.1 - 0.5,
    );
    let luma = reference_sample(
        &|x, y| sample(0, x, y),
        size,
        [(at.0, shrink.0), (at.1, shrink.1)],
    );
    let half = (size.0.div_ceil(2), size.1.div_ceil(2));
    let chroma_at = [
        (at.0 / 2.0, shrink.0 / 2.0),
        (at.1 / 2.0 - 0.25, shrink.1 / 2.0),
    ];
    let u = reference_sample(&|x, y| sample(1, x, y), half, chroma_at) - 128.0;
    let v = reference_sample(&|x, y| sample(2, x, y), half, chroma_at) - 128.0;
    // The coefficients as the textbooks print them.
    let y = 1.164_384 * (luma - 16.0);
    let rgb = if size.1 > 576 {
        [
            y + 1.792_741 * v,
            y - 0.213_249 * u - 0.532_909 * v,
            y + 2.112_402 * u,
        ]
    } else {
        [
            y + 1.596_027 * v,
            y - 0.391_762 * u - 0.812_968 * v,
            y + 2.017_232 * u,
        ]
    };
    rgb.map(|c| c.clamp(0.0, 255.0))
}

/// Rounding of a blended row (half a level) through the largest colour factor, with the weights'.
const TOLERANCE: f64 = 3.5;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn it_draws_what_the_plain_restatement_draws(
        (w, h) in (1_usize..120, 1_usize..90),
        (cw, ch) in (16_usize..80, 16_usize..80),
        seed in any::<u64>(),
        slack in 0_usize..3,
        nv12 in any::<bool>(),
        centre in any::<bool>(),
    ) {
        let size = (2 * w, 2 * h);
        let noise = move |p: usize, x: usize, y: usize| {
            let mixed = (seed ^ (p * 7919 + x * 104_729 + y * 1_299_709) as u64)
                .wrapping_mul(0x9E37_79B9_7F4A_7C15);
            (mixed >> 56) as u8
        };
        let format = if nv12 { PixelFormat::Nv12 } else { PixelFormat::I420 };
        let canvas = Input {
            align: if centre { Align::Centre } else { Align::TopLeft },
            ..input(cw, ch)
        };
        let (fit, tensor) = draw(&picture(format, size, slack, &noise), &canvas);
        prop_assert!(fit.x + fit.width <= cw && fit.y + fit.height <= ch);
        prop_assert!(fit.width == cw || fit.height == ch);
        for y in 0..ch {
            for x in 0..cw {
                let inside = (fit.x..fit.x + fit.width).contains(&x)
                    && (fit.y..fit.y + fit.height).contains(&y);
                let expected = if inside {
                    reference(size, fit, (x - fit.x, y - fit.y), &noise)
                } else {
                    [127.0; 3]
                };
                for (c, expected) in expected.into_iter().enumerate() {
                    let got = f64::from(tensor[(c * ch + y) * cw + x]);
                    prop_assert!(
                        (got - expected).abs() <= TOLERANCE,
                        "{:?} of {:?} on {:?} at {:?} channel {}: {} for {}",
                        fit, size, (cw, ch), (x, y), c, got, expected
                    );
                }
            }
        }
    }

    #[test]
    fn any_geometry_and_any_planes_give_a_picture_or_an_error(
        (width, height) in (0_usize..70, 0_usize..70),
        offsets in proptest::array::uniform3(0_usize..5000),
        strides in proptest::array::uniform3(prop_oneof![0_usize..200, Just(usize::MAX)]),
        bytes in 0_usize..6000,
        nv12 in any::<bool>(),
    ) {
        let image = Image {
            format: if nv12 { PixelFormat::Nv12 } else { PixelFormat::I420 },
            colours: Colours::usual(height),
            width,
            height,
            planes: std::array::from_fn(|p| types::Plane {
                offset: offsets[p],
                stride: strides[p],
            }),
            data: Arc::new(vec![100_u8; bytes]),
        };
        let mut tensor = vec![0.0; 3 * 32 * 32];
        let drawn = Letterbox::new(input(32, 32)).draw(&image, &mut tensor);
        let expected = matches!(drawn, Ok(_) | Err(ModelError::Frame { .. }));
        prop_assert!(expected);
    }

    #[test]
    fn a_box_drawn_on_the_canvas_comes_back_to_where_it_was(
        (sw, sh) in (2_usize..4000, 2_usize..3000),
        (x, y, w, h) in (0.0_f32..0.8, 0.0_f32..0.8, 0.01_f32..0.2, 0.01_f32..0.2),
        centre in any::<bool>(),
    ) {
        let canvas = Input {
            align: if centre { Align::Centre } else { Align::TopLeft },
            ..input(416, 416)
        };
        let fit = Fit::new((sw, sh), &canvas);
        let on = |v: f32, side: usize, start: usize| v * side as f32 + start as f32;
        let back = fit.to_picture([
            on(x, fit.width, fit.x),
            on(y, fit.height, fit.y),
            on(x + w, fit.width, fit.x),
            on(y + h, fit.height, fit.y),
        ]);
        let off = (back.x0 - x).abs() + (back.y0 - y).abs() + (back.x1 - x - w).abs() + (back.y1 - y - h).abs();
        prop_assert!(off < 1e-2, "{back:?}");
    }
}

#[test]
fn pictures_fit_with_their_proportions_kept() {
    let table = [
        ((1920, 1080), (416, 416), Align::TopLeft, (0, 0, 416, 234)),
        ((1920, 1080), (416, 416), Align::Centre, (0, 91, 416, 234)),
        ((1920, 1080), (416, 234), Align::Centre, (0, 0, 416, 234)),
        ((768, 576), (320, 320), Align::TopLeft, (0, 0, 320, 240)),
        ((1080, 1920), (416, 256), Align::Centre, (136, 0, 144, 256)),
        ((64, 64), (640, 640), Align::TopLeft, (0, 0, 640, 640)),
        ((4000, 2), (32, 32), Align::TopLeft, (0, 0, 32, 1)),
    ];
    for (source, (cw, ch), align, expected) in table {
        let fit = Fit::new(
            source,
            &Input {
                align,
                ..input(cw, ch)
            },
        );
        assert_eq!(
            (fit.x, fit.y, fit.width, fit.height),
            expected,
            "{source:?}"
        );
    }
}

#[test]
fn pure_colours_come_out_pure_in_the_order_and_range_asked_for() {
    let (sd, hd) = (Colours::usual(480), Colours::usual(1080));
    let full = |matrix| Colours {
        range: Range::Full,
        matrix,
    };
    let uhd = Colours {
        matrix: Matrix::Bt2020,
        ..hd
    };
    // (Y, U, V) of full red, green, blue as the standards' tables have them.
    let table = [
        (sd, [81, 90, 240], [255.0, 0.0, 0.0]),
        (sd, [145, 54, 34], [0.0, 255.0, 0.0]),
        (sd, [41, 240, 110], [0.0, 0.0, 255.0]),
        (hd, [63, 102, 240], [255.0, 0.0, 0.0]),
        (hd, [173, 42, 26], [0.0, 255.0, 0.0]),
        (hd, [32, 240, 118], [0.0, 0.0, 255.0]),
        (uhd, [74, 97, 240], [255.0, 0.0, 0.0]),
        (uhd, [164, 47, 25], [0.0, 255.0, 0.0]),
        (uhd, [29, 240, 119], [0.0, 0.0, 255.0]),
        (full(Matrix::Bt601), [76, 85, 255], [255.0, 0.0, 0.0]),
        (full(Matrix::Bt601), [150, 44, 21], [0.0, 255.0, 0.0]),
        (full(Matrix::Bt709), [54, 99, 255], [255.0, 0.0, 0.0]),
        (full(Matrix::Bt709), [18, 255, 116], [0.0, 0.0, 255.0]),
        (sd, [16, 128, 128], [0.0, 0.0, 0.0]),
        (sd, [235, 128, 128], [255.0, 255.0, 255.0]),
        (sd, [255, 128, 128], [255.0, 255.0, 255.0]),
        (sd, [0, 128, 128], [0.0, 0.0, 0.0]),
        (full(Matrix::Bt709), [0, 128, 128], [0.0, 0.0, 0.0]),
        (full(Matrix::Bt709), [16, 128, 128], [16.0, 16.0, 16.0]),
        (full(Matrix::Bt709), [255, 128, 128], [255.0, 255.0, 255.0]),
    ];
    let canvas = Input {
        colour: Colour::Bgr,
        mean: [10.0, 20.0, 30.0],
        std: [2.0, 4.0, 0.5],
        ..input(16, 16)
    };
    // One letterbox for all: cameras of one size and of many colours take turns.
    let mut letterbox = Letterbox::new(canvas.clone());
    let mut tensor = vec![f32::NAN; 3 * 16 * 16];
    for (colours, yuv, rgb) in table {
        for format in [PixelFormat::I420, PixelFormat::Nv12] {
            let image = Image {
                colours,
                ..picture(format, (64, 64), 0, &|p, _, _| yuv[p])
            };
            letterbox.draw(&image, &mut tensor).expect("a good picture");
            for (c, channel) in [2, 1, 0].into_iter().enumerate() {
                let expected: f32 = (rgb[channel] - canvas.mean[c]) / canvas.std[c];
                let got = tensor[c * 256];
                assert!(
                    (got - expected).abs() * canvas.std[c] < 3.0,
                    "{colours:?} {yuv:?} plane {c}: {got} for {expected}"
                );
            }
        }
    }
}

/// Independent of how taps are chosen: a slope must come out as the same slope, not shifted.
#[test]
fn a_slope_is_not_shifted_by_scaling() {
    for (size, canvas) in [
        ((1920, 1080), (416, 234)),
        ((1920, 1080), (320, 180)),
        ((640, 360), (416, 234)),
        ((768, 576), (320, 240)),
        ((320, 180), (640, 360)),
    ] {
        let ramp = |at: usize, side: usize| (16.0 + 219.0 * (at as f64 + 0.5) / side as f64) as u8;
        for down in [false, true] {
            let sample = |p: usize, x: usize, y: usize| match p {
                0 if down => ramp(y, size.1),
                0 => ramp(x, size.0),
                _ => 128,
            };
            let image = picture(PixelFormat::I420, size, 0, &sample);
            let (fit, tensor) = draw(&image, &input(canvas.0, canvas.1));
            let side = if down { fit.height } else { fit.width };
            let mut off = 0.0;
            for i in 0..side {
                let index = if down { i * canvas.0 } else { i };
                let expected = 255.0 * (i as f64 + 0.5) / side as f64;
                off += f64::from(tensor[index]) - expected;
            }
            // Half a level of the bytes themselves is cut off by the ramp above.
            let mean = off / side as f64 + 0.58;
            assert!(
                mean.abs() < 0.35,
                "{size:?} to {canvas:?}: shifted by {mean} levels"
            );
        }
    }
}

#[test]
fn fine_stripes_do_not_come_out_as_wide_ones() {
    // Stripes one output pixel apart in the source's columns: the box sees grey, neighbours
    // would see whatever phase they hit.
    let size = (1920, 1080);
    let stripes = |p: usize, x: usize, _: usize| match p {
        0 if (x * 416 / 960).is_multiple_of(2) => 16,
        0 => 235,
        _ => 128,
    };
    let image = picture(PixelFormat::I420, size, 0, &stripes);
    let (fit, tensor) = draw(&image, &input(416, 416));
    let row = &tensor[..fit.width];
    let swing = row.iter().fold(0.0_f32, |m, v| m.max((v - 127.5).abs()));
    let mean = row.iter().sum::<f32>() / 416.0;
    assert!((mean - 127.5).abs() < 12.0, "mean {mean}");
    let strong = row.iter().filter(|v| (**v - 127.5).abs() > 64.0).count();
    assert!(
        strong < 416 / 4,
        "{strong} of 416 pixels swing, up to {swing}"
    );
}

#[test]
fn cameras_of_many_sizes_take_turns_on_one_canvas() {
    let canvas = input(32, 32);
    let mut tensor = vec![f32::NAN; 3 * 32 * 32];
    let mut letterbox = Letterbox::new(canvas);
    let white = |p: usize, _: usize, _: usize| if p == 0 { 235 } else { 128 };
    // More sizes than are remembered, each seen again after it was forgotten.
    for round in 0..3 {
        for n in 0..PLANS_MAX + 2 {
            let wide = (n + round) % 2 == 0;
            let size = if wide {
                (64 + 4 * n, 32 + 2 * n)
            } else {
                (32 + 2 * n, 64 + 4 * n)
            };
            letterbox
                .draw(&picture(PixelFormat::I420, size, 0, &white), &mut tensor)
                .expect("a good picture");
            let bar = if wide { 31 * 32 } else { 31 };
            assert!((tensor[0] - 255.0).abs() < 1.0, "{size:?}");
            assert_eq!(tensor[bar].to_bits(), 127.0_f32.to_bits(), "{size:?}");
            assert!(letterbox.plans.len() <= PLANS_MAX);
        }
    }
}

//! The guard on films: a street, its light, and what people do to cameras.

use super::super::film::{Street, at_ms, hash, picture};
use std::sync::Arc;

use super::*;

const WIDTH: usize = 320;
const HEIGHT: usize = 180;
/// One frame a second.
const STEP_MS: u64 = 1000;

/// How a frame is made: where the camera looks, the light, and what else is done to it.
#[derive(Clone, Copy)]
struct Shot {
    from: (usize, usize),
    light: (f32, f32),
    noise: f32,
    still: bool,
    paint: fn(usize, usize, u8) -> u8,
}

const DAY: Shot = Shot {
    from: (100, 100),
    light: (1.0, 0.0),
    noise: 4.0,
    still: false,
    paint: |_, _, luma| luma,
};

fn shoot(street: &Street, shot: Shot, frame: usize) -> Image {
    let frame = if shot.still { 0 } else { frame };
    picture(WIDTH, HEIGHT, |x, y| {
        let albedo = street.albedo(x + shot.from.0, y + shot.from.1);
        (shot.paint)(
            x,
            y,
            street.lit(albedo, shot.light, shot.noise, (x, y, frame)),
        )
    })
}

fn camera() -> config::Camera {
    config::Camera {
        clock_area: vec![0.0, 0.0, 0.25, 0.1],
        ..config::Camera::default()
    }
}

fn guard(fixed: bool, reference: Option<Reference>) -> Guard {
    let camera = config::Camera::default();
    Guard::new(&config::Guard::default(), &camera, fixed, reference)
}

/// A film of a guard: what it said, with the second in which it said it.
#[derive(Clone)]
struct Film {
    street: Arc<Street>,
    guard: Guard,
    frame: usize,
    said: Vec<(u64, View)>,
    learned: usize,
}

impl Film {
    fn of(guard: Guard) -> Self {
        Self {
            street: Arc::new(Street::new()),
            guard,
            frame: 0,
            said: Vec::new(),
            learned: 0,
        }
    }

    fn seconds(&self) -> u64 {
        self.frame as u64 * STEP_MS / 1000
    }

    fn image(&mut self, image: &Image) {
        let mut luma = Luma::new();
        luma.draw(image);
        let at = at_ms(self.frame as u64 * STEP_MS);
        let watched = self.guard.look(at, image, &luma);
        if let Some(why) = watched.changed {
            assert!(!why.is_empty());
            self.said.push((self.seconds(), watched.view));
        }
        self.learned += usize::from(watched.learned);
        self.frame += 1;
    }

    fn show(&mut self, secs: u64, of: impl Fn(usize) -> Shot) {
        for _ in 0..secs * 1000 / STEP_MS {
            let image = shoot(&self.street, of(self.frame), self.frame);
            self.image(&image);
        }
    }
}

/// A film whose guard has taken its reference by day.
fn by_day() -> Film {
    let mut film = Film::of(guard(true, None));
    film.show(66, |_| DAY);
    assert_eq!((film.learned, &film.said), (1, &vec![]), "the reference");
    film
}

#[test]
fn what_is_done_to_a_camera_is_told_and_its_end_too() {
    type Paint = fn(usize, usize, u8) -> u8;
    let turned = |dx: usize, dy: usize| Shot {
        from: (DAY.from.0 + dx, DAY.from.1 + dy),
        ..DAY
    };
    let painted = |paint: Paint| Shot { paint, ..DAY };
    let table: [(&str, Shot, View); 8] = [
        ("turned a little", turned(16, 0), View::Moved),
        ("tilted", turned(0, 14), View::Moved),
        ("turned away", turned(800, 190), View::Moved),
        ("a bag over it", painted(|_, _, _| 38), View::Covered),
        (
            "a hand before it",
            painted(|x, y, l| if x < 30 && y < 30 { l } else { 20 + l / 64 }),
            View::Covered,
        ),
        (
            "a torch",
            painted(|x, _, l| if x < 240 { 255 } else { l }),
            View::Blinded,
        ),
        ("it froze", Shot { still: true, ..DAY }, View::Frozen),
        (
            "pole hit, then dark",
            Shot {
                light: (0.0, 9.0),
                ..turned(500, 0)
            },
            View::Covered,
        ),
    ];
    let day = by_day();
    for (name, shot, view) in table {
        let mut film = day.clone();
        let begun = film.seconds();
        film.show(if view == View::Frozen { 90 } else { 20 }, |_| shot);
        let ended = film.seconds();
        film.show(20, |_| DAY);
        let (views, times): (Vec<_>, Vec<_>) = film.said.iter().map(|(at, v)| (*v, *at)).unzip();
        assert_eq!(views, [view, View::Good], "{name}: {:?}", film.said);
        let within = if view == View::Frozen {
            80..=90
        } else {
            9..=16
        };
        assert!(within.contains(&(times[0] - begun)), "{name}: {times:?}");
        assert!((9..=18).contains(&(times[1] - ended)), "{name}: {times:?}");
        assert_eq!(film.learned, 1, "{name}: nothing was learned from it");
    }
}

#[test]
fn a_camera_turned_while_the_box_was_off_is_told_at_once() {
    let kept = by_day().guard.reference().expect("taken").text();
    let kept = || Reference::read(&kept);
    let mut film = Film::of(guard(true, kept()));
    film.show(3, |_| DAY);
    assert_eq!(film.said, [], "nobody touched it");
    let mut film = Film::of(guard(true, kept()));
    let elsewhere = Shot {
        from: (700, 220),
        ..DAY
    };
    film.show(3, |_| elsewhere);
    assert_eq!(film.said, [(0, View::Moved)]);
    film.show(40, |_| elsewhere);
    film.show(20, |_| DAY);
    assert_eq!(film.said.len(), 2);
    assert_eq!(film.said[1].1, View::Good);
}

#[test]
fn the_street_does_nothing_to_its_camera() {
    // Light, rain, passing lorries and headlights, each for a minute and a half.
    fn rain(x: usize, y: usize, luma: u8) -> u8 {
        if hash(x / 2, y / 9, 77) > 247 {
            luma.saturating_add(50)
        } else {
            luma
        }
    }
    fn lorry(x: usize, y: usize, luma: u8) -> u8 {
        if (40..220).contains(&x) && y > 40 {
            hash(x / 9, y / 9, 5) / 2 + 60
        } else {
            luma
        }
    }
    fn headlights(x: usize, y: usize, luma: u8) -> u8 {
        if x.abs_diff(160) < 100 && y.abs_diff(120) < 60 {
            255
        } else {
            luma
        }
    }
    type Of = fn(usize) -> Shot;
    let table: [(&str, Of); 6] = [
        ("a cloud", |f| Shot {
            light: if f / 10 % 2 == 0 {
                (0.6, 0.0)
            } else {
                (1.0, 0.0)
            },
            ..DAY
        }),
        ("exposure", |f| Shot {
            light: if f / 3 % 2 == 0 {
                (1.2, -20.0)
            } else {
                (0.8, 30.0)
            },
            ..DAY
        }),
        ("rain", |_| Shot { paint: rain, ..DAY }),
        ("a lorry that waits", |_| Shot {
            paint: lorry,
            ..DAY
        }),
        ("headlights", |_| Shot {
            paint: headlights,
            ..DAY
        }),
        ("swaying", |f| Shot {
            from: (100 + f % 3, 100),
            ..DAY
        }),
    ];
    let day = by_day();
    for (name, of) in table {
        let mut film = day.clone();
        film.show(45, of);
        assert_eq!(film.said, [], "{name}");
    }
}

#[test]
fn the_evening_is_learned_and_a_turn_at_night_still_told() {
    // The lamps of the night light other things than the sun did: half of the street's slopes
    // turn round, and most of the rest fades.
    fn at_night(x: usize, y: usize, luma: u8) -> u8 {
        let lamp = hash(x / 23, y / 19, 9);
        (luma / 20).saturating_add(lamp / 3).saturating_add(10)
    }
    fn dusk(street: &Street, shot: Shot, step: u8, frame: usize) -> Image {
        let day = shoot(street, Shot { noise: 6.0, ..shot }, frame);
        picture(WIDTH, HEIGHT, |x, y| {
            let day = day.row(0, y, WIDTH).map_or(0, |row| row[x]);
            let night = at_night(x + shot.from.0, y, day);
            let part = |luma: u8, n: u8| u16::from(luma) * u16::from(n);
            u8::try_from((part(day, 9 - step) + part(night, step)) / 9).unwrap_or(255)
        })
    }
    let mut film = by_day();
    // It goes over into its night in steps of half a minute.
    for step in [0, 2, 4, 5, 6, 7, 8, 9] {
        for _ in 0..30 {
            let image = dusk(&film.street, DAY, step, film.frame);
            film.image(&image);
        }
    }
    assert_eq!(film.said, [], "learned {} times", film.learned);
    assert!(film.learned > 1, "the night is another look");
    let turned = Shot {
        from: (116, 100),
        ..DAY
    };
    for _ in 0..15 {
        let image = dusk(&film.street, turned, 9, film.frame);
        film.image(&image);
    }
    let views: Vec<View> = film.said.iter().map(|(_, v)| *v).collect();
    assert_eq!(views, [View::Moved]);
}

#[test]
fn a_lens_out_of_focus_is_told_in_any_light() {
    fn blurred(street: &Street, shot: Shot, frame: usize) -> Image {
        let rows = |x: usize, y: usize| (0..7).map(|d| street.albedo(x + d, y)).sum::<f32>() / 7.0;
        picture(WIDTH, HEIGHT, |x, y| {
            let albedo = rows(x + shot.from.0, y + shot.from.1);
            street.lit(albedo, shot.light, shot.noise, (x, y, frame))
        })
    }
    let day = by_day();
    for light in [(1.0, 0.0), (0.8, 30.0)] {
        let mut film = day.clone();
        for _ in 0..15 {
            let image = blurred(&film.street, Shot { light, ..DAY }, film.frame);
            film.image(&image);
        }
        let views: Vec<View> = film.said.iter().map(|(_, v)| *v).collect();
        assert_eq!(views, [View::Unfocused], "{light:?}");
    }
}

#[test]
fn a_clock_that_stands_is_told_and_one_that_goes_is_not() {
    let config = config::Guard::default();
    for (goes, expected) in [(true, vec![]), (false, vec![View::ClockStuck])] {
        let mut film = Film::of(Guard::new(&config, &camera(), true, None));
        for _ in 0..100 {
            let minute = if goes { film.frame / 60 } else { 0 };
            let day = shoot(&film.street, DAY, film.frame);
            let image = picture(WIDTH, HEIGHT, |x, y| {
                if x < 80 && y < 18 {
                    if hash(x / 8, y / 6, minute) > 127 {
                        230
                    } else {
                        16
                    }
                } else {
                    day.row(0, y, WIDTH).map_or(0, |row| row[x])
                }
            });
            film.image(&image);
        }
        let views: Vec<View> = film.said.iter().map(|(_, v)| *v).collect();
        assert_eq!(views, expected);
    }
}

#[test]
fn a_moving_camera_has_no_reference_and_is_never_moved() {
    let mut film = Film::of(guard(false, None));
    film.show(80, |f| Shot {
        from: (100 + 9 * f, 100),
        ..DAY
    });
    assert_eq!((&film.said, film.learned), (&vec![], 0));
    film.show(20, |_| Shot {
        paint: |_, _, _| 40,
        ..DAY
    });
    assert_eq!(film.said.len(), 1, "but it is covered like any other");
    assert!(film.guard.reference().is_none());
}

#[test]
fn a_reference_survives_its_text_and_nothing_else_is_one() {
    let film = by_day();
    let reference = film.guard.reference().expect("taken");
    let text = reference.text();
    assert_eq!(Reference::read(&text).as_ref(), Some(reference));
    assert_eq!(reference.looks(), 1);
    for broken in [
        "",
        "7",
        r#"{"v":1,"looks":[]}"#,
        &text.replace("\"v\":1", "\"v\":2"),
        &text.replace("\"height\":45", "\"height\":44"),
    ] {
        assert_eq!(Reference::read(broken), None, "{broken:.40}");
    }
}

#[test]
fn a_minute_without_the_camera_is_no_minute_of_looking() {
    let away = 61;
    let mut film = Film::of(guard(true, None));
    film.show(2, |_| DAY);
    film.frame += away;
    film.show(59, |_| DAY);
    assert!(
        film.guard.reference().is_none(),
        "the first minute is not over"
    );
    film.show(6, |_| DAY);
    assert_eq!((film.learned, &film.said), (1, &vec![]));
    assert!(!film.guard.doubts());

    // One bad look before it and one after are not a minute of bad ones.
    let covered = |_| Shot {
        paint: |_, _, _| 38,
        ..DAY
    };
    film.show(1, covered);
    film.frame += away;
    film.show(9, covered);
    assert_eq!(film.said, []);
    assert!(
        film.guard.doubts(),
        "what is not seen now need not have gone"
    );
    film.show(3, covered);
    let views: Vec<View> = film.said.iter().map(|(_, view)| *view).collect();
    assert_eq!(views, [View::Covered]);
}

#[test]
fn a_camera_that_is_looked_at_slowly_has_a_reference_too() {
    let mut film = Film::of(guard(true, None));
    for _ in 0..9 {
        film.show(1, |_| DAY);
        film.frame += 9;
    }
    assert_eq!(film.learned, 1);
}

//! The background on films: what stands there new, and everything that does not.

use std::sync::Arc;

use super::super::film::{Street, at_ms, hash, picture};
use super::*;
use crate::config::{Camera, Zone};

const WIDE: usize = 320;
const HIGH: usize = 180;
/// One frame a second.
const STEP_MS: u64 = 1000;
/// The film's first frames, in which the background is learned.
const WARM_UP: usize = 30;

/// A pixel of what is in front of the street at (x, y) in a frame; `None` where the street is seen.
type Front = fn(usize, usize, usize) -> Option<f32>;

/// What the detector knows in a frame.
type Known = fn(usize) -> Vec<(Role, [f32; 4])>;

/// A film: light by frame, what is in front, and what the detector knows.
#[derive(Clone, Copy)]
struct Film {
    light: fn(usize, usize, usize) -> (f32, f32),
    front: Front,
    known: Known,
}

const STILL: Film = Film {
    light: |_, _, _| (1.0, 0.0),
    front: |_, _, _| None,
    known: |_| Vec::new(),
};

/// A cart of 50 by 40 pixels at (x, y): light and dark boards.
fn cart(x: usize, y: usize, at: (usize, usize)) -> Option<f32> {
    let inside = (at.0..at.0 + 50).contains(&x) && (at.1..at.1 + 40).contains(&y);
    let light = (x / 7).is_multiple_of(2);
    inside.then_some(if light { 190.0 } else { 40.0 })
}

fn config(kind: ZoneKind) -> Config {
    let mut config = Config::default();
    config.camera.push(Camera {
        name: "cam".to_owned(),
        ..Camera::default()
    });
    let corners = [(0.0, 0.3), (1.0, 0.3), (1.0, 1.0), (0.0, 1.0)];
    config.zone.push(Zone::default());
    let zone = &mut config.zone[0];
    (zone.camera, zone.kind) = ("cam".to_owned(), kind);
    zone.polygon = corners.map(|(x, y)| Point { x, y }).to_vec();
    config
}

fn detection((role, [x0, y0, x1, y1]): (Role, [f32; 4])) -> Detection {
    Detection {
        label: 0,
        roles: [role].into_iter().collect(),
        score: 0.4,
        area: Area { x0, y0, x1, y1 },
    }
}

/// Shows `frames` frames; gives the things of each.
fn show(film: Film, kind: ZoneKind, frames: usize) -> Vec<Vec<Detection>> {
    let street = Arc::new(Street::new());
    let mut background = Background::new(&config(kind), "cam").expect("it has a zone");
    let mut luma = Luma::new();
    let mut shown = Vec::new();
    for frame in 0..frames {
        let image = picture(WIDE, HIGH, |x, y| {
            let albedo = (film.front)(x, y, frame).unwrap_or_else(|| street.albedo(x + 90, y + 60));
            street.lit(albedo, (film.light)(x, y, frame), 4.0, (x, y, frame))
        });
        luma.draw(&image);
        let known = (film.known)(frame).into_iter();
        let known: Vec<Detection> = known.map(detection).collect();
        shown.push(background.look(at_ms(frame as u64 * STEP_MS), &luma, &known));
    }
    shown
}

/// The seconds after the warm-up in which there were things.
fn seconds(shown: &[Vec<Detection>]) -> Vec<usize> {
    let frames = shown
        .iter()
        .enumerate()
        .filter(|(_, things)| !things.is_empty());
    frames.map(|(n, _)| n.saturating_sub(WARM_UP)).collect()
}

#[test]
fn a_cart_that_is_put_down_is_found_and_its_leaving_is_seen() {
    // It comes at 0 s after the warm-up and goes at 60 s.
    let film = Film {
        front: |x, y, frame| {
            let there = (WARM_UP..WARM_UP + 60).contains(&frame);
            cart(x, y, (140, 100)).filter(|_| there)
        },
        ..STILL
    };
    let shown = show(film, ZoneKind::NoVending, WARM_UP + 80);
    let told = seconds(&shown);
    let (first, last) = (told[0], told[told.len() - 1]);
    assert!((5..=12).contains(&first), "{first}");
    assert!((60..=65).contains(&last), "{last}");
    assert_eq!(told.len(), last - first + 1, "throughout");
    let place = Area {
        x0: 140.0 / 320.0,
        y0: 100.0 / 180.0,
        x1: 190.0 / 320.0,
        y1: 140.0 / 180.0,
    };
    for things in shown.iter().skip(WARM_UP + 20).take(30) {
        let [thing] = things[..] else {
            panic!("{things:?}")
        };
        assert!(thing.roles.has(Role::Object) && thing.label == UNNAMED);
        assert!(thing.area.iou(place) > 0.6, "{thing:?}");
        assert!(thing.score > 0.99, "sure by now");
    }
}

#[test]
fn what_lies_on_the_road_is_debris_and_may_be_small() {
    let film = Film {
        front: |x, y, frame| {
            let lump = (100..109).contains(&x) && (120..128).contains(&y);
            (lump && frame >= WARM_UP).then_some(if x % 4 < 2 { 220.0 } else { 30.0 })
        },
        ..STILL
    };
    let shown = show(film, ZoneKind::Road, WARM_UP + 20);
    let last = &shown[WARM_UP + 19];
    assert_eq!(last.len(), 1);
    assert!(last[0].roles.has(Role::Debris));
    assert!(
        show(film, ZoneKind::NoVending, WARM_UP + 20)[WARM_UP + 19].is_empty(),
        "no stall"
    );
}

fn near(x: usize, at: usize, reach: usize) -> bool {
    x.abs_diff(at) < reach
}

/// Nothing is said in any of the films.
fn innocent(films: &[(&str, Film)]) {
    for (name, film) in films {
        // On a road the least is enough to be told.
        let shown = show(*film, ZoneKind::Road, WARM_UP + 80);
        assert_eq!(seconds(&shown), [0; 0], "{name}");
    }
}

#[test]
fn light_that_changes_is_nothing_new() {
    innocent(&[
        (
            "the sun goes down",
            Film {
                light: |_, _, frame| (0.993_f32.powi(i32::try_from(frame).unwrap_or(0)), 0.0),
                ..STILL
            },
        ),
        (
            "clouds",
            Film {
                light: |_, _, frame| {
                    if (frame / 8).is_multiple_of(2) {
                        (1.0, 0.0)
                    } else {
                        (0.55, 0.0)
                    }
                },
                ..STILL
            },
        ),
        (
            "the shadow of a house wanders",
            Film {
                light: |x, y, frame| {
                    if x + y / 4 > 60 + frame {
                        (1.0, 0.0)
                    } else {
                        (0.5, 0.0)
                    }
                },
                ..STILL
            },
        ),
        (
            "lorries and their shadows",
            Film {
                light: |x, _, frame| {
                    if near(x, frame * 37 % 700, 60) {
                        (0.5, 0.0)
                    } else {
                        (1.0, 0.0)
                    }
                },
                front: |x, y, frame| {
                    let lorry = near(x, frame * 37 % 700, 40) && (60..130).contains(&y);
                    lorry.then_some(if y < 100 { 180.0 } else { 30.0 })
                },
                ..STILL
            },
        ),
        (
            "headlights",
            Film {
                light: |x, y, frame| {
                    if near(x, frame * 23 % 500, 30) && near(y, 120, 25) {
                        (1.0, 120.0)
                    } else {
                        (0.3, 0.0)
                    }
                },
                ..STILL
            },
        ),
    ]);
}

#[test]
fn weather_and_whoever_is_known_are_nothing_new() {
    innocent(&[
        (
            "rain",
            Film {
                front: |x, y, frame| {
                    (hash(x / 2, (y + frame * 31) / 12, frame) > 246).then_some(200.0)
                },
                ..STILL
            },
        ),
        (
            "a tree in the wind",
            Film {
                front: |x, y, frame| {
                    let tree = (200..260).contains(&x) && (70..140).contains(&y);
                    let leaf = hash((x + [0, 3, 7, 4][frame % 4]) / 6, y / 6, 3);
                    tree.then_some(60.0 + f32::from(leaf) * 0.4)
                },
                ..STILL
            },
        ),
        (
            "a person who waits and a car that is parked, both known",
            Film {
                front: |x, y, frame| {
                    let person = (60..76).contains(&x) && (90..150).contains(&y);
                    let car = (180..260).contains(&x) && (90..140).contains(&y);
                    ((person || car) && frame > WARM_UP).then_some(if (y / 9).is_multiple_of(2) {
                        200.0
                    } else {
                        30.0
                    })
                },
                known: |frame| {
                    // The detector sees the person in one look of six.
                    let mut seen = vec![(Role::Vehicle, [0.56, 0.5, 0.82, 0.79])];
                    if frame.is_multiple_of(6) {
                        seen.push((Role::Person, [0.18, 0.49, 0.24, 0.84]));
                    }
                    seen
                },
                ..STILL
            },
        ),
        ("nothing at all", STILL),
        (
            "a cart outside every zone",
            Film {
                front: |x, y, frame| cart(x, y, (100, 5)).filter(|_| frame > WARM_UP),
                ..STILL
            },
        ),
    ]);
}

#[test]
fn what_was_there_from_the_start_is_background_and_leaves_no_ghost() {
    let film = Film {
        front: |x, y, frame| cart(x, y, (140, 100)).filter(|_| frame < WARM_UP + 5),
        ..STILL
    };
    assert_eq!(
        seconds(&show(film, ZoneKind::NoVending, WARM_UP + 40)),
        [0; 0]
    );
    // Nor does a car that the detector knew from the first frame on and that drives away.
    let film = Film {
        known: |frame| {
            let there = frame < WARM_UP + 5;
            let car = (Role::Vehicle, [0.43, 0.54, 0.6, 0.79]);
            vec![car].into_iter().filter(|_| there).collect()
        },
        ..film
    };
    assert_eq!(
        seconds(&show(film, ZoneKind::NoVending, WARM_UP + 40)),
        [0; 0]
    );
}

#[test]
fn a_thing_behind_a_passer_by_is_not_said_to_be_seen() {
    let film = Film {
        front: |x, y, frame| cart(x, y, (140, 100)).filter(|_| frame >= WARM_UP),
        known: |frame| {
            let before = (WARM_UP + 20..WARM_UP + 25).contains(&frame);
            let person = (Role::Person, [0.4, 0.4, 0.65, 0.9]);
            vec![person].into_iter().filter(|_| before).collect()
        },
        ..STILL
    };
    let shown = show(film, ZoneKind::NoVending, WARM_UP + 32);
    let seen: Vec<bool> = shown[WARM_UP + 16..]
        .iter()
        .map(|t| !t.is_empty())
        .collect();
    assert!(seen[..4].iter().all(|s| *s), "before");
    assert!(!seen[4..9].iter().any(|s| *s), "hidden");
    assert!(seen[9..].iter().all(|s| *s), "and there again at once");
}

#[test]
fn what_has_stood_for_long_belongs_to_the_street() {
    let street = Street::new();
    let mut config = config(ZoneKind::NoVending);
    config.background.absorb_secs = 60.0;
    let mut background = Background::new(&config, "cam").expect("it has a zone");
    let mut luma = Luma::new();
    let (mut told, mut absorbed) = (Vec::new(), Vec::new());
    for frame in 0..WARM_UP + 90 {
        let image = picture(WIDE, HIGH, |x, y| {
            let front = cart(x, y, (140, 100)).filter(|_| frame >= WARM_UP);
            let albedo = front.unwrap_or_else(|| street.albedo(x + 90, y + 60));
            street.lit(albedo, (1.0, 0.0), 4.0, (x, y, frame))
        });
        luma.draw(&image);
        told.push(background.look(at_ms(frame as u64 * STEP_MS), &luma, &[]));
        absorbed.push(background.absorbed());
    }
    // It is said once, and where.
    let areas: Vec<Area> = absorbed.concat();
    let stood = told.iter().rev().find_map(|things| things.first());
    assert!(areas.len() == 1 && areas[0].iou(stood.expect("it stood").area) > 0.9);
    let last = seconds(&told).last().copied().unwrap_or_default();
    assert!((58..=66).contains(&last), "{last}");
    let when = absorbed.iter().position(|areas| !areas.is_empty());
    assert_eq!(when, Some(WARM_UP + last + 1));
}

#[test]
fn it_says_since_when_it_is_learned() {
    let mut background =
        Background::new(&config(ZoneKind::NoVending), "cam").expect("it has a zone");
    let mut luma = Luma::new();
    let mut look = |background: &mut Background, frame: u64, shift: usize| {
        let board = |x: usize, y: usize| {
            if ((x + shift) / 8 + y / 8).is_multiple_of(2) {
                200
            } else {
                40
            }
        };
        luma.draw(&picture(WIDE, HIGH, board));
        background.look(at_ms(frame * STEP_MS), &luma, &[]);
        background.since()
    };
    assert_eq!(background.since(), None);
    let learned = 30;
    for frame in 0..learned {
        assert_eq!(look(&mut background, frame, 0), Some(at_ms(0)));
    }
    // After a bad view, and when all of the picture is another.
    background.forget();
    let again = Some(at_ms(learned * STEP_MS));
    for frame in learned..2 * learned {
        assert_eq!(look(&mut background, frame, 0), again);
    }
    let mut other = None;
    for frame in 2 * learned..2 * learned + 5 {
        other = look(&mut background, frame, 8);
    }
    assert!(other.unwrap().boot_ns >= at_ms(2 * learned * STEP_MS).boot_ns);
}

/// Looks a second apart while the background is learned, then so many milliseconds.
fn ms_of(frame: usize, step_ms: u64) -> u64 {
    let learning = frame.min(WARM_UP) as u64;
    learning * STEP_MS + (frame as u64 - learning) * step_ms
}

/// Shows a road of plain asphalt until something is found on it; gives the seconds after the warm-up at
/// which it came to light, and at which it was found.
fn dated(film: Film, step_ms: u64) -> (f32, f32) {
    let street = Arc::new(Street::new());
    let mut background = Background::new(&config(ZoneKind::Road), "cam").expect("it has a zone");
    let mut luma = Luma::new();
    for frame in 0..WARM_UP + 240 {
        let image = picture(WIDE, HIGH, |x, y| {
            let ground = || match (y, street.albedo(x + 90, y + 60)) {
                (0..80, houses) => houses,
                (_, grain) => 90.0 + grain * 0.05,
            };
            let albedo = (film.front)(x, y, frame).unwrap_or_else(ground);
            street.lit(albedo, (1.0, 0.0), 3.0, (x, y, frame))
        });
        luma.draw(&image);
        let known = (film.known)(frame).into_iter();
        let known: Vec<Detection> = known.map(detection).collect();
        let at = at_ms(ms_of(frame, step_ms));
        let things = background.look(at, &luma, &known);
        if let Some(thing) = things.first() {
            let came = background.came(thing.area).expect("it was just found");
            let begun = at_ms(WARM_UP as u64 * STEP_MS);
            return (
                came.since(begun).as_secs_f32(),
                at.since(begun).as_secs_f32(),
            );
        }
    }
    panic!("nothing is found");
}

/// What lies on the road, brighter than it by so much.
fn lump(x: usize, y: usize, by: f32) -> Option<f32> {
    let inside = (100..110).contains(&x) && (120..128).contains(&y);
    inside.then_some(95.0 + by)
}

/// The plain side of a truck over it.
fn side(x: usize, y: usize) -> Option<f32> {
    let inside = (60..140).contains(&x) && (70..150).contains(&y);
    inside.then_some(40.0)
}

const OVER: (Role, [f32; 4]) = (
    Role::Truck,
    [60.0 / 320.0, 70.0 / 180.0, 140.0 / 320.0, 150.0 / 180.0],
);

/// At five looks a second the first truck is over the place in looks 10 to 14 and loses something
/// there, which comes to light at three seconds.
const FIRST: std::ops::Range<usize> = WARM_UP + 10..WARM_UP + 15;

#[test]
fn a_date_outlives_the_next_truck_that_is_not_seen_in_one_look_or_stands_there() {
    fn front(
        x: usize,
        y: usize,
        frame: usize,
        second: std::ops::Range<usize>,
        by: f32,
    ) -> Option<f32> {
        let over = FIRST.contains(&frame) || second.contains(&frame);
        let lies = frame >= FIRST.start + 3;
        let body = side(x, y).filter(|_| over);
        body.or_else(|| lump(x, y, by).filter(|_| lies))
    }
    const PASSES: std::ops::Range<usize> = WARM_UP + 70..WARM_UP + 75;
    const STANDS: std::ops::Range<usize> = WARM_UP + 70..WARM_UP + 95;
    // In the middle of its passing.
    let missed = |frame: usize| {
        let seen = FIRST.contains(&frame) || (PASSES.contains(&frame) && frame != PASSES.start + 2);
        vec![OVER].into_iter().filter(|_| seen).collect()
    };
    let stood = |frame: usize| {
        let seen = FIRST.contains(&frame) || STANDS.contains(&frame);
        vec![OVER].into_iter().filter(|_| seen).collect()
    };
    let films: [(&str, Front, Known); 4] = [
        (
            "missed, bright",
            |x, y, n| front(x, y, n, PASSES, 35.0),
            missed,
        ),
        (
            "missed, white",
            |x, y, n| front(x, y, n, PASSES, 120.0),
            missed,
        ),
        (
            "stood, dark",
            |x, y, n| front(x, y, n, STANDS, -35.0),
            stood,
        ),
        (
            "stood, bright",
            |x, y, n| front(x, y, n, STANDS, 35.0),
            stood,
        ),
    ];
    let told = films.map(|(name, front, known)| {
        let film = Film {
            front,
            known,
            ..STILL
        };
        (name, dated(film, 200))
    });
    for (name, (came, found)) in told {
        assert!((2.9..5.0).contains(&came), "{name}: {told:?}");
        // Ten seconds behind the second truck.
        assert!(found > 24.0, "{name}: {told:?}");
    }
}

#[test]
fn a_date_is_forgotten_when_the_street_was_seen_again() {
    let film = Film {
        // A passer-by whom the detector does not know; three seconds later something falls.
        front: |x, y, frame| {
            let passes = (WARM_UP + 10..WARM_UP + 15).contains(&frame);
            let lies = frame >= WARM_UP + 30;
            lump(x, y, 100.0).filter(|_| passes || lies)
        },
        ..STILL
    };
    let (came, _) = dated(film, 200);
    assert!((5.9..7.0).contains(&came), "{came}");
}

/// Of more than [`config::Background::told_secs`] the rule makes nothing, and the check refuses
/// cameras that are looked at more rarely.
#[test]
fn what_a_truck_lost_is_told_in_time_as_rarely_as_looks_may_be() {
    let film = Film {
        front: |x, y, frame| {
            let lies = || lump(x, y, 60.0).filter(|_| frame > FIRST.start);
            side(x, y).filter(|_| FIRST.contains(&frame)).or_else(lies)
        },
        known: |frame| {
            vec![OVER]
                .into_iter()
                .filter(|_| FIRST.contains(&frame))
                .collect()
        },
        ..STILL
    };
    let apart = Duration::from_secs_f64(config::Background::APART_SECS);
    let apart = u64::try_from(apart.as_millis()).unwrap();
    let late = |step_ms| {
        let (came, found) = dated(film, step_ms);
        f64::from(found - came)
    };
    let told = config::Background::default().told_secs();
    // One more look makes a track of it.
    let look = config::Background::APART_SECS;
    assert!(late(apart) + look <= told, "{}", late(apart));
    assert!(late(apart + 1000) > told, "{}", late(apart + 1000));
}

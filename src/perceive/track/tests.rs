//! Tracking, as short films of boxes.
#![expect(
    clippy::cast_precision_loss,
    reason = "the numbers of these tests are small"
)]

use proptest::prelude::*;

use super::*;
use crate::types::{Role, RoleSet};

/// The card's threshold in these films; the floor is half of it.
const THRESHOLD: f32 = 0.4;
const STRONG: f32 = 0.8;
const WEAK: f32 = 0.25;

/// Five frames a second.
fn at(frame: u64) -> Stamp {
    at_ms(frame * 200)
}

fn at_ms(ms: u64) -> Stamp {
    Stamp {
        utc_ns: 0,
        boot_ns: 1_000_000_000 + ms * 1_000_000,
        error_ns: 0,
    }
}

/// A thing of 0.05 by 0.2 whose left upper corner is at (x, y).
fn thing(role: Role, x: f32, y: f32, score: f32) -> Detection {
    let roles: RoleSet = [role].into_iter().collect();
    Detection {
        label: role as u16,
        roles,
        score,
        area: Area {
            x0: x,
            y0: y,
            x1: x + 0.05,
            y1: y + 0.2,
        },
    }
}

fn person(x: f32, score: f32) -> Detection {
    thing(Role::Person, x, 0.4, score)
}

fn ids(tracks: &[Track]) -> Vec<u64> {
    tracks.iter().map(|t| t.id).collect()
}

/// Shows `frames` frames and gives the last answer.
fn film(
    tracker: &mut Tracker,
    frames: std::ops::Range<u64>,
    of: impl Fn(u64) -> Vec<Detection>,
) -> Vec<Track> {
    frames.fold(Vec::new(), |_, n| tracker.update(at(n), &of(n)))
}

#[test]
fn a_thing_is_reported_from_its_third_match_on() {
    let mut tracker = Tracker::new(THRESHOLD);
    for (frame, expected) in [(0, 0), (1, 0), (2, 1), (3, 1)] {
        let tracks = tracker.update(at(frame), &[person(0.5, STRONG)]);
        assert_eq!(tracks.len(), expected, "frame {frame}");
        for track in tracks {
            assert_eq!((track.first_seen, track.last_seen), (at(0), at(frame)));
            assert_eq!(u64::from(track.hits), frame + 1);
        }
    }
}

#[test]
fn a_walker_keeps_its_id() {
    let mut tracker = Tracker::new(THRESHOLD);
    // Three quarters of its own width per frame: without the speed nothing would overlap enough.
    let walk = |n: u64| {
        vec![person(
            0.02 + 0.015 * n as f32 + 0.0007 * (n * n) as f32,
            STRONG,
        )]
    };
    let tracks = film(&mut tracker, 0..25, walk);
    assert_eq!(ids(&tracks), [1]);
    assert_eq!(tracks[0].hits, 25);
}

#[test]
fn two_who_pass_each_other_keep_their_ids() {
    let mut tracker = Tracker::new(THRESHOLD);
    let pass = |n: u64| {
        let step = 0.02 * n as f32;
        vec![
            thing(Role::Person, 0.1 + step, 0.40, STRONG),
            thing(Role::Person, 0.7 - step, 0.44, STRONG - 0.1),
        ]
    };
    let tracks = film(&mut tracker, 0..30, pass);
    assert_eq!(ids(&tracks), [1, 2]);
    assert!(tracks[0].detection.area.x0 > 0.6 && tracks[1].detection.area.x0 < 0.2);
}

#[test]
fn on_a_moving_camera_what_stands_keeps_its_id() {
    // The picture moves by a tenth of its width a frame, this way and that: more than the thing is
    // wide, and no speed foretells it.
    let offset = |n: u64| if n.is_multiple_of(3) { 0.1 } else { 0.0 };
    let reported = |carried: bool| {
        let mut tracker = Tracker::new(THRESHOLD);
        let mut tracks = Vec::new();
        for n in 0..40 {
            if carried && n > 0 {
                tracker.carry(&Motion {
                    x: [1.0, 0.0, offset(n) - offset(n - 1)],
                    ..Motion::NONE
                });
            }
            // Hidden for two frames in the middle.
            let hidden = (20..22).contains(&n);
            let seen = thing(Role::Stall, 0.4 + offset(n), 0.4, STRONG);
            tracks = tracker.update(
                at(n),
                if hidden {
                    &[]
                } else {
                    std::slice::from_ref(&seen)
                },
            );
        }
        tracks
    };
    let followed = reported(true);
    assert_eq!(ids(&followed), [1]);
    assert_eq!(followed[0].last_seen, at(39));
    assert!(ids(&reported(false)) != [1], "without it, it is lost");
}

#[test]
fn weak_boxes_continue_a_track_and_never_start_one() {
    let mut tracker = Tracker::new(THRESHOLD);
    let weak = film(&mut tracker, 0..10, |_| vec![person(0.5, WEAK)]);
    assert_eq!(weak, []);
    film(&mut tracker, 10..13, |_| vec![person(0.5, STRONG)]);
    let tracks = film(&mut tracker, 13..60, |_| vec![person(0.5, WEAK)]);
    assert_eq!(ids(&tracks), [1]);
    assert_eq!(tracks[0].last_seen, at(59));
}

#[test]
fn a_strong_box_goes_before_a_weak_one() {
    let mut tracker = Tracker::new(THRESHOLD);
    film(&mut tracker, 0..5, |_| vec![person(0.5, STRONG)]);
    let tracks = tracker.update(at(5), &[person(0.51, STRONG), person(0.5, WEAK)]);
    assert_eq!(tracks[0].detection, person(0.51, STRONG));
    assert_eq!(tracks.len(), 1);
}

#[test]
fn what_stands_and_is_hidden_keeps_its_id_and_what_walks_does_not() {
    // Hidden for six seconds: longer than a walker is held, shorter than a stall.
    let hidden = |n: u64| (30..60).contains(&n);
    let mut tracker = Tracker::new(THRESHOLD);
    let stall = |n: u64| {
        let breathing = if n.is_multiple_of(2) { 0.003 } else { 0.0 };
        let mut seen = vec![];
        if !hidden(n) {
            seen.push(thing(Role::Stall, 0.5 + breathing, 0.4, STRONG));
        }
        seen
    };
    film(&mut tracker, 0..45, stall);
    let meanwhile = tracker.update(at(45), &[]);
    assert_eq!(ids(&meanwhile), [1], "still reported while hidden");
    assert_eq!(meanwhile[0].last_seen, at(29));
    let tracks = film(&mut tracker, 46..64, stall);
    assert_eq!(ids(&tracks), [1]);
    assert_eq!(tracks[0].first_seen, at(0));

    let mut tracker = Tracker::new(THRESHOLD);
    let walker = |n: u64| {
        if hidden(n) {
            vec![]
        } else {
            vec![person(0.1 + 0.01 * n as f32, STRONG)]
        }
    };
    let tracks = film(&mut tracker, 0..70, walker);
    assert_eq!(ids(&tracks), [2]);
}

#[test]
fn who_walks_by_a_hidden_thing_does_not_become_it() {
    let mut tracker = Tracker::new(THRESHOLD);
    film(&mut tracker, 0..30, |_| vec![person(0.5, STRONG)]);
    // The standing person is hidden; four seconds later another one walks across the place,
    // a little nearer to the camera.
    film(&mut tracker, 30..50, |_| vec![]);
    let across = |n: u64| {
        vec![thing(
            Role::Person,
            0.3 + 0.02 * (n - 50) as f32,
            0.47,
            STRONG,
        )]
    };
    let tracks = film(&mut tracker, 50..60, across);
    let standing = tracks.iter().find(|t| t.id == 1).expect("still held");
    assert_eq!(standing.last_seen, at(29));
    // And wakes under its own id when it is seen again.
    let tracks = tracker.update(at(60), &[person(0.502, STRONG)]);
    let standing = tracks.iter().find(|t| t.id == 1).expect("awake");
    assert_eq!(standing.last_seen, at(60));
}

#[test]
fn what_left_is_forgotten_in_time() {
    let mut tracker = Tracker::new(THRESHOLD);
    film(&mut tracker, 0..30, |n| {
        let mut seen = vec![thing(Role::Stall, 0.5, 0.4, STRONG)];
        seen.push(person(0.1 + 0.01 * n as f32, STRONG));
        seen
    });
    let alive = |seconds: u64, tracker: &mut Tracker| {
        ids(&tracker.update(at_ms(5800 + seconds * 1000), &[]))
    };
    assert_eq!(alive(1, &mut tracker), [1, 2]);
    assert_eq!(alive(2, &mut tracker), [1, 2]);
    assert_eq!(alive(3, &mut tracker), [1]);
    assert_eq!(alive(14, &mut tracker), [1]);
    assert_eq!(alive(16, &mut tracker), [0; 0]);
}

#[test]
fn key_frames_seconds_apart_are_followed_too() {
    let mut tracker = Tracker::new(THRESHOLD);
    let mut tracks = Vec::new();
    for n in 0..10 {
        tracks = tracker.update(at_ms(n * 4000), &[thing(Role::Stall, 0.5, 0.4, STRONG)]);
    }
    assert_eq!(ids(&tracks), [1]);
    // One key frame without it is no loss, though four seconds pass.
    tracker.update(at_ms(40_000), &[]);
    let tracks = tracker.update(at_ms(44_000), &[thing(Role::Stall, 0.5, 0.4, STRONG)]);
    assert_eq!(ids(&tracks), [1]);
}

#[test]
fn a_thing_is_what_its_roles_say_whatever_the_label() {
    let mut tracker = Tracker::new(THRESHOLD);
    let tracks = film(&mut tracker, 0..6, |n| {
        let mut seen = thing(Role::Truck, 0.5, 0.4, STRONG);
        seen.label = 5 + u16::from(n.is_multiple_of(2));
        vec![seen]
    });
    assert_eq!(ids(&tracks), [1]);
    // A person at the same place is somebody else.
    let tracks = film(&mut tracker, 6..10, |_| vec![person(0.5, STRONG)]);
    assert_eq!(ids(&tracks), [1, 2]);
}

#[test]
fn the_number_of_tracks_is_bounded() {
    let mut tracker = Tracker::new(THRESHOLD);
    for n in 0..40_u64 {
        // Nothing ever matches: everything is new in every frame.
        let seen: Vec<Detection> = (0..128_u64)
            .map(|i| {
                let x = ((i * 37 + n * 61) % 128) as f32 / 128.0;
                thing(Role::Person, x, (n % 4) as f32 * 0.25, STRONG)
            })
            .collect();
        tracker.update(at(n), &seen);
        assert!(tracker.followed.len() <= TRACKS_MAX);
    }
}

fn any_detection() -> impl Strategy<Value = Detection> {
    (
        0.0_f32..0.9,
        0.0_f32..0.9,
        0.001_f32..0.4,
        0.001_f32..0.4,
        0.2_f32..1.0,
        0_usize..3,
    )
        .prop_map(|(x0, y0, w, h, score, role)| Detection {
            label: 0,
            roles: [Role::ALL[role]].into_iter().collect(),
            score,
            area: Area {
                x0,
                y0,
                x1: x0 + w,
                y1: y0 + h,
            }
            .clamped(),
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_film_keeps_the_invariants(
        frames in proptest::collection::vec(
            (0_u64..5000, proptest::collection::vec(any_detection(), 0..12)),
            0..40,
        ),
    ) {
        let mut tracker = Tracker::new(THRESHOLD);
        let mut twin = Tracker::new(THRESHOLD);
        let mut now = 0;
        let mut firsts = std::collections::BTreeMap::new();
        for (step, seen) in frames {
            // Time may also stand still.
            now += step;
            let tracks = tracker.update(at_ms(now), &seen);
            prop_assert_eq!(&twin.update(at_ms(now), &seen), &tracks, "deterministic");
            prop_assert!(tracks.is_sorted_by(|a, b| a.id < b.id), "ids are unique");
            let matched: Vec<&Track> = tracks.iter().filter(|t| seen.contains(&t.detection) && t.last_seen == at_ms(now)).collect();
            prop_assert!(matched.len() <= seen.len());
            for t in &tracks {
                prop_assert!(t.hits >= 3 && t.last_seen.boot_ns >= t.first_seen.boot_ns);
                let first = firsts.entry(t.id).or_insert(t.first_seen);
                prop_assert_eq!(*first, t.first_seen, "a track's beginning does not change");
            }
        }
    }
}

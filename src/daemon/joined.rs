//! Background, tracker and rule joined as the eye joins them, on rendered films and with the shipped
//! limits: a truck drives through, and something lies there afterwards, or does not.

mod stalls;

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::config::{Calendar, Camera, Config, Mount, Zone, ZoneKind};
use crate::judge::Judge;
use crate::perceive::Sight;
use crate::perceive::film::{Street, at_ms, picture};
use crate::types::{
    Area, Detection, Frame, HitOutcome, Order, Point, Role, ShotKind, Stamp, TimeSource,
};

const WIDE: usize = 320;
const HIGH: usize = 180;
/// One frame a second while the background is learned, then five.
const STEPS_MS: [u64; 2] = [1000, 200];
const LEARNED_MS: u64 = 25_000;
/// A film goes on for so long after the last that happens, seconds.
const GOES_ON: f32 = 35.0;
/// The truck comes when the background has been learned.
const COMES: f32 = 30.0;
/// It drives so many pixels a second.
const SPEED: f32 = 100.0;
const LONG: f32 = 80.0;
/// Its box from top to bottom, pixels.
const BODY: (usize, usize) = (60, 130);
/// The road, from this row on, is plain asphalt.
const ROAD: usize = 90;
/// What is lost, and where it lies.
const LUMP: [usize; 4] = [100, 112, 109, 120];
/// Its boards, light and dark.
const BOARDS: [f32; 2] = [220.0, 30.0];
/// Who stands over it has driven for so long, seconds.
const STOPS: f32 = 1.5;
/// When it falls from the first truck: under its bed.
const FALLS: f32 = 31.5;

/// A mover that comes into the picture at a moment, and whether the detector sees it then.
#[derive(Clone, Copy)]
struct Mover {
    role: Role,
    comes: f32,
    seen: fn(u64) -> bool,
    /// How long it stands over what is lost, seconds.
    stands: f32,
}

const TRUCK: Mover = Mover {
    role: Role::Truck,
    comes: COMES,
    seen: |_| true,
    stands: 0.0,
};

impl Mover {
    /// Its left and right edge, pixels, perhaps beyond the picture.
    fn sides(self, t: f32) -> (f32, f32) {
        let drives = t - self.comes;
        let drives = drives.min(STOPS.max(drives - self.stands));
        let front = drives * SPEED;
        (front - LONG, front)
    }

    fn detected(self, t: f32) -> Option<Detection> {
        let (left, right) = self.sides(t);
        let share = |x: f32| (x / 320.0).clamp(0.0, 1.0);
        let (x0, x1) = (share(left), share(right));
        (x1 > 0.01 && x0 < 0.99).then(|| Detection {
            label: 0,
            roles: [self.role].into_iter().collect(),
            score: 0.8,
            area: Area {
                x0,
                y0: 60.0 / 180.0,
                x1,
                y1: 130.0 / 180.0,
            },
        })
    }
}

/// A film of a road.
struct Film {
    movers: Vec<Mover>,
    /// From when on something lies there.
    lies: Option<f32>,
    boards: [f32; 2],
    /// How far a mover's shadow reaches before and behind it, pixels.
    shadow: f32,
}

fn film(movers: &[Mover], lies: Option<f32>) -> Film {
    Film {
        movers: movers.to_vec(),
        lies,
        boards: BOARDS,
        shadow: 0.0,
    }
}

/// One fixed camera whose picture is a zone of this kind from a third down.
fn config(kind: ZoneKind) -> Config {
    let mut config = Config::default();
    config.background.enabled = true;
    config.camera.push(Camera {
        name: "cam".to_owned(),
        mount: Mount::Fixed,
        ..Camera::default()
    });
    let corners = [(0.0, 0.3), (1.0, 0.3), (1.0, 1.0), (0.0, 1.0)];
    config.zone.push(Zone {
        name: "lane".to_owned(),
        camera: "cam".to_owned(),
        kind,
        polygon: corners.map(|(x, y)| Point { x, y }).to_vec(),
        ..Zone::default()
    });
    config
}

/// A frame of the camera, `ms` milliseconds after the film's beginning.
fn frame(number: u64, ms: u64, pixel: impl Fn(usize, usize) -> u8) -> Frame {
    Frame {
        camera: 0,
        number,
        at: at_ms(ms),
        time_source: TimeSource::Recording,
        pts_ns: 0,
        image: picture(WIDE, HIGH, pixel),
    }
}

/// What the camera sees of the street when nothing is on it: houses, and a road of plain asphalt.
fn ground(street: &Street) -> Vec<f32> {
    let albedo = |i: usize| {
        let (x, y) = (i % WIDE, i / WIDE);
        match (y, street.albedo(x + 90, y + 60)) {
            (0..ROAD, houses) => houses,
            (_, grain) => 85.0 + grain * 0.05,
        }
    };
    (0..WIDE * HIGH).map(albedo).collect()
}

impl Film {
    /// The pixels of a frame, over the `ground` of the film's camera.
    #[expect(clippy::cast_precision_loss, reason = "pixels of a picture")]
    fn pixels(
        &self,
        (street, ground): (&Street, &[f32]),
        t: f32,
        frame: u64,
    ) -> impl Fn(usize, usize) -> u8 {
        let sides: Vec<(f32, f32)> = self.movers.iter().map(|m| m.sides(t)).collect();
        let lies = self.lies.is_some_and(|from| t >= from);
        let [bright, dark] = self.boards;
        let [x0, y0, x1, y1] = LUMP;
        let frame = usize::try_from(frame).unwrap();
        move |x, y| {
            let at = x as f32;
            let within = |margin: f32| {
                let mut sides = sides.iter();
                sides.any(|(left, right)| left - margin <= at && at < right + margin)
            };
            let in_row = (BODY.0..BODY.1).contains(&y);
            let lump = lies && (y0..y1).contains(&y) && (x0..x1).contains(&x);
            let albedo = if in_row && within(0.0) {
                [30.0, 180.0][usize::from(y < 100)]
            } else if lump {
                [dark, bright][usize::from(x % 4 < 2)]
            } else {
                ground[y * WIDE + x]
            };
            let shade = self.shadow > 0.0 && (40..170).contains(&y) && within(self.shadow);
            let light = if shade { 0.5 } else { 1.0 };
            street.lit(albedo, (light, 0.0), 4.0, (x, y, frame))
        }
    }

    fn ends_ms(&self) -> u64 {
        let last = self.movers.iter().map(|m| m.comes + m.stands);
        let last = last.chain(self.lies).fold(COMES, f32::max);
        let ends = Duration::from_secs_f32(last + GOES_ON);
        u64::try_from(ends.as_millis()).unwrap()
    }

    /// What is ordered of it.
    fn judged(&self) -> Vec<Order> {
        self.dated().into_iter().map(|(_, order)| order).collect()
    }

    /// The same with the moment of each.
    #[expect(clippy::cast_precision_loss, reason = "a film of a minute")]
    fn dated(&self) -> Vec<(Stamp, Order)> {
        let config = config(ZoneKind::Road);
        let street = Street::new();
        let ground = ground(&street);
        let mut sight = Sight::new(&config, 0, None, 0.4);
        let known = Role::ALL.into_iter().collect();
        let calendar = Calendar::plain(TimeZone::UTC);
        let mut judge = Judge::new(&config, &calendar, known, "boot-a").unwrap();
        let mut orders = Vec::new();
        let [slow, fast] = STEPS_MS;
        let learning = (0..LEARNED_MS / slow).map(|n| n * slow);
        let driving = (0..(self.ends_ms() - LEARNED_MS) / fast).map(|n| LEARNED_MS + n * fast);
        for (number, ms) in (0..).zip(learning.chain(driving)) {
            let t = ms as f32 / 1000.0;
            let pixels = self.pixels((&street, &ground), t, number);
            let frame = frame(number, ms, pixels);
            sight.look(&frame);
            let seen = self.movers.iter().filter(|m| (m.seen)(number));
            let mut found = seen.filter_map(|m| m.detected(t)).collect();
            let ordered = judge.step(&sight.see(&frame, &mut found));
            orders.extend(ordered.into_iter().map(|order| (frame.at, order)));
        }
        orders
    }
}

/// When a case opened, and the moment of which the truck over the place is to be shown.
fn blamed(orders: &[Order]) -> Option<(Stamp, Stamp)> {
    let opened = orders.iter().find_map(|order| {
        let hit = order.hit()?;
        (hit.outcome == HitOutcome::Opened).then_some(hit.at)
    })?;
    let before = orders.iter().find_map(|order| match order {
        Order::Snap {
            kind: ShotKind::Before,
            at,
            ..
        } => Some(*at),
        _ => None,
    });
    Some((opened, before.expect("the truck is shown")))
}

/// The clip begins before the truck came, at 30 s, and the camera keeps as much.
fn the_clip_shows_the_truck(orders: &[(Stamp, Order)], opened: Stamp) {
    let clip = orders.iter().find_map(|(cut, order)| match order {
        Order::Clip { from, to, .. } => Some((*cut, *from, *to)),
        _ => None,
    });
    let (cut, from, to) = clip.expect("cut");
    let config = config(ZoneKind::Road);
    let secs = |secs| Duration::try_from_secs_f64(secs).unwrap();
    let evidence = &config.evidence;
    let (before, after) = (
        secs(evidence.clip_before_secs),
        secs(evidence.clip_after_secs),
    );
    // The tracker takes some looks to call it one.
    let earlier = at_ms(30_000).since(from);
    assert!(
        earlier <= before && earlier + Duration::from_secs(1) >= before,
        "{earlier:?} before the truck"
    );
    assert!(to.since(opened) >= after && cut.boot_ns > to.boot_ns);
    assert!(super::looked_back(&config, 0) >= cut.since(from));
}

#[test]
fn what_a_truck_loses_is_found_before_the_background_and_the_truck_blamed() {
    for (name, seen) in [
        ("seen in each look", (|_| true) as fn(u64) -> bool),
        ("missed in each third look", |n| !n.is_multiple_of(3)),
    ] {
        let truck = Mover { seen, ..TRUCK };
        let dated = film(&[truck], Some(FALLS)).dated();
        let orders: Vec<Order> = dated.iter().map(|(_, order)| order.clone()).collect();
        let (opened, before) = blamed(&orders).expect(name);
        the_clip_shows_the_truck(&dated, opened);
        let over = at_ms(31_000)..=at_ms(31_900);
        let (from, to) = (over.start().boot_ns, over.end().boot_ns);
        assert!((from..=to).contains(&before.boot_ns), "{name}: {before:?}");
        // Ten seconds behind the truck, six to stand, two to settle, and the looks between.
        let late = opened.since(at_ms(31_900));
        let usual = Duration::from_secs(18)..Duration::from_secs(23);
        assert!(usual.contains(&late), "{name}: {late:?}");
    }
}

#[test]
fn who_lost_nothing_before_the_background_is_not_blamed() {
    let later = |role, comes| Mover {
        role,
        comes,
        ..TRUCK
    };
    let shaded = Film {
        shadow: 60.0,
        ..film(&[TRUCK], None)
    };
    let films = [
        ("a truck that loses nothing", film(&[TRUCK], None)),
        ("its long shadow", shaded),
        ("what fell from somewhere else", film(&[], Some(FALLS))),
        (
            "a truck that drives over what lies there",
            film(&[later(Role::Truck, 38.0)], Some(FALLS)),
        ),
        (
            "a second truck, before it was told whose it is",
            film(&[TRUCK, later(Role::Truck, 43.0)], Some(FALLS)),
        ),
        (
            "a car behind it",
            film(&[TRUCK, later(Role::Vehicle, 33.0)], Some(FALLS)),
        ),
        ("a truck long before it", film(&[TRUCK], Some(COMES + 15.0))),
    ];
    for (name, film) in films {
        assert_eq!(blamed(&film.judged()), None, "{name}");
    }
}

/// The first truck lost it. The second comes thirteen seconds later; the detector misses it in one look in
/// the middle of its passing, in which its plain side is like the road, or it stands over the place.
#[test]
fn who_comes_after_what_was_lost_is_not_blamed_by_a_look_that_missed_him() {
    let missed = Mover {
        comes: 43.0,
        // At 44.4 s.
        seen: |number| number != LEARNED_MS / STEPS_MS[0] + 97,
        ..TRUCK
    };
    let stood = Mover {
        comes: 43.0,
        stands: 5.0,
        ..TRUCK
    };
    let [bright, dark] = [[125.0; 2], [60.0; 2]];
    let films = [
        ("missed", missed, BOARDS),
        ("missed", missed, bright),
        ("stood", stood, bright),
        ("stood", stood, dark),
    ];
    let told = films.map(|(name, second, boards)| {
        let two = Film {
            boards,
            ..film(&[TRUCK, second], Some(FALLS))
        };
        (name, boards, blamed(&two.judged()))
    });
    assert!(
        told.iter().all(|(_, _, blamed)| blamed.is_none()),
        "{told:#?}"
    );
    // What he loses himself is found so late, and so pale.
    for boards in [bright, dark] {
        let alone = Film {
            boards,
            ..film(&[stood], Some(stood.comes + STOPS))
        };
        assert!(blamed(&alone.judged()).is_some(), "{boards:?}");
    }
}

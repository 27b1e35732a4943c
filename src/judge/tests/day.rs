//! A day on a street: hundreds of passers-by, ten innocent scenes, three offences. Made by a small
//! generator whose numbers are always the same, so that the day is too. The daemon's keeper lives
//! through the same day, with packages, journal and governor (`daemon::keeper`).

use crate::types::Role::{
    Debris, Furniture, Goods, Object, Person, Plate, Stall, Tricycle, Truck, Umbrella, Vehicle,
};

use super::*;
use crate::types::Hit;

const HOUR: f64 = 3600.0;
const PASSERS_BY: u64 = 400;
/// From six in the morning to ten at night, one look a second.
const DAY_SECS: u32 = 16 * 3600;

/// A thing that is there from one moment to another, and where.
struct Actor {
    role: Role,
    from: f64,
    to: f64,
    /// Left, top, right, bottom when it comes.
    area: [f32; 4],
    /// How far it goes to the right a second.
    speed: f32,
}

impl Actor {
    fn at(&self, t: f64) -> Option<Area> {
        let way = (t - self.from) as f32 * self.speed;
        let [x0, y0, x1, y1] = self.area;
        (self.from..self.to).contains(&t).then_some(Area {
            x0: x0 + way,
            y0,
            x1: x1 + way,
            y1,
        })
    }
}

fn still(role: Role, from: f64, minutes: f64, area: [f32; 4]) -> Actor {
    Actor {
        role,
        from,
        to: from + minutes * 60.0,
        area,
        speed: 0.0,
    }
}

/// Numbers that look like chance: Knuth's MMIX generator, the upper bits.
struct Chance(u64);

impl Chance {
    fn share(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1_u64 << 24) as f64
    }
}

/// People who walk along the pavement, at walking pace, at any time of the day.
fn passers_by() -> Vec<Actor> {
    let mut chance = Chance(20_260_529);
    let one = |_| {
        let from = chance.share() * f64::from(DAY_SECS);
        let speed = 0.05 + chance.share() as f32 * 0.05;
        let y = 0.66 + chance.share() as f32 * 0.08;
        Actor {
            role: Person,
            from,
            to: from + f64::from(1.0 / speed),
            area: [0.0, y - 0.3, 0.05, y],
            speed,
        }
    };
    (0..PASSERS_BY).map(one).collect()
}

fn innocent() -> Vec<Actor> {
    let person = |from, minutes, x: f32| still(Person, from, minutes, [x, 0.4, x + 0.05, 0.7]);
    let mut day = vec![
        // 1: a courier's tricycle with parcels, left for half an hour.
        still(Tricycle, HOUR, 30.0, [0.2, 0.5, 0.32, 0.7]),
        still(Goods, HOUR, 30.0, [0.3, 0.62, 0.38, 0.7]),
        // 2: a family under its umbrella.
        still(Umbrella, 2.0 * HOUR, 20.0, [0.18, 0.3, 0.36, 0.52]),
        person(2.0 * HOUR, 20.0, 0.22),
        person(2.0 * HOUR, 20.0, 0.28),
        // 3: a dog and its owner on the kerb.
        still(Object, 3.0 * HOUR, 15.0, [0.24, 0.62, 0.32, 0.7]),
        person(3.0 * HOUR, 15.0, 0.26),
        // 4: a parked bicycle, its owner beside it.
        still(Vehicle, 3.5 * HOUR, 25.0, [0.2, 0.55, 0.32, 0.7]),
        still(Object, 3.5 * HOUR, 25.0, [0.2, 0.55, 0.32, 0.7]),
        person(3.5 * HOUR, 25.0, 0.3),
        // 5: a barrier of the water works, nobody at it.
        still(Object, 5.0 * HOUR, 90.0, [0.1, 0.5, 0.3, 0.7]),
        // 6: a stall that passes through and rests for half a minute.
        still(Stall, 6.0 * HOUR, 0.5, [0.2, 0.5, 0.35, 0.7]),
        // 7: crates of a delivery, taken in within the dwell.
        still(Goods, 6.5 * HOUR, 1.5, [0.7, 0.55, 0.8, 0.7]),
        // 8: the shop's own shelf, inside the line all day.
        still(Goods, 0.0, 900.0, [0.85, 0.45, 0.95, 0.58]),
        // 9: tables in the hours of their permit: six to nine in the evening.
        still(Furniture, 12.1 * HOUR, 170.0, [0.6, 0.55, 0.75, 0.7]),
        still(Object, 12.1 * HOUR, 170.0, [0.6, 0.55, 0.75, 0.7]),
        // 10: a truck and, long before it, a plastic bag that lay there.
        still(Debris, 9.0 * HOUR, 60.0, [0.6, 0.82, 0.66, 0.87]),
    ];
    // A queue at the bus stop, with a suitcase.
    day.extend((0..6).map(|n| person(4.5 * HOUR, 12.0, 0.1 + n as f32 * 0.06)));
    day.push(still(Object, 4.5 * HOUR, 12.0, [0.2, 0.64, 0.24, 0.7]));
    // Lorries that lose nothing, one over the bag.
    day.extend([1.5, 4.0, 9.5, 11.0, 13.0].map(|hour| lorry(hour * HOUR)));
    day
}

fn lorry(from: f64) -> Actor {
    Actor {
        role: Truck,
        from,
        to: from + 9.0,
        area: [0.0, 0.5, 0.15, 0.85],
        speed: 0.1,
    }
}

fn offences() -> Vec<Actor> {
    vec![
        // Eight: a tricycle, goods and who sells them; they stay for a quarter of an hour.
        still(Tricycle, 2.5 * HOUR, 15.0, [0.2, 0.5, 0.32, 0.7]),
        still(Goods, 2.5 * HOUR, 15.0, [0.3, 0.62, 0.38, 0.7]),
        still(Person, 2.5 * HOUR, 15.0, [0.24, 0.4, 0.29, 0.7]),
        // Two: crates before the shop, taken in after the warning.
        still(Goods, 8.0 * HOUR, 6.0, [0.7, 0.55, 0.8, 0.7]),
        // Four: a lorry loses gravel.
        lorry(10.0 * HOUR),
        Actor {
            role: Plate,
            area: [0.05, 0.78, 0.09, 0.8],
            ..lorry(10.0 * HOUR)
        },
        still(Debris, 10.0 * HOUR + 6.0, 20.0, [0.4, 0.82, 0.46, 0.87]),
    ]
}

/// Kerb, shop and road, with their usual times.
pub(crate) fn street() -> Loaded {
    let zone = |name: &str, kind: &str, [x0, y0, x1, y1]: [f32; 4]| {
        format!(
            "[[zone]]\nname = \"{name}\"\ncamera = \"cam0\"\nkind = \"{kind}\"\n\
             polygon = [[{x0}, {y0}], [{x1}, {y0}], [{x1}, {y1}], [{x0}, {y1}]]\n"
        )
    };
    let text = [
        "[device]\ntime_zone = \"Asia/Shanghai\"\n[[camera]]\nname = \"cam0\"\nurl = \"rtsp://h/\"\n\
         [model]\ncard = \"card.toml\"\n[judge]\ncalendar = \"calendar.toml\"\n\
         [judge.street_vending]\nroles = [\"stall\", \"umbrella\", \"tricycle\", \"goods\", \"object\"]\n\
         [judge.out_of_store]\nroles = [\"goods\", \"furniture\", \"object\"]\n",
        &zone("kerb", "no_vending", [0.0, 0.5, 0.5, 0.75]),
        &zone("shop", "shop_front", [0.5, 0.5, 1.0, 0.75]),
        "threshold = [[0.5, 0.6], [1.0, 0.6]]\nhours = [\"07:00-22:00\"]\n",
        &zone("lane", "road", [0.0, 0.76, 1.0, 1.0]),
    ];
    let permit = "[[permit]]\nid = \"WB-17\"\nzones = [\"shop\"]\nroles = [\"furniture\"]\n\
                  hours = [\"18:00-21:00\"]\n";
    places::read(&text.concat(), permit)
}

/// The day of 29 May 2026 in Qingdao, one scene a second, with the seconds since six.
pub(crate) fn scenes() -> impl Iterator<Item = (f64, Scene)> {
    let mut actors = passers_by();
    actors.extend(innocent());
    actors.extend(offences());
    // At 0 seconds of the other tests it is 07:13:20.
    let six = -4400.0;
    (0..DAY_SECS).map(move |second| {
        let t = f64::from(second);
        let mut scene = scene(six + t, &[]);
        for (id, actor) in actors.iter().enumerate() {
            if let Some(area) = actor.at(t) {
                let thing = (id as u64, actor.role, 0.0, 0.5);
                let mut track = super::scene(six + t, &[thing]).tracks.remove(0);
                track.detection.area = area;
                scene.tracks.push(track);
            }
        }
        (t, scene)
    })
}

/// Orders with the seconds since six.
type Orders = Vec<(f64, Order)>;
/// Each hit: violation, zone, and since when, UTC nanoseconds.
type Hits = HashSet<(Violation, String, i64)>;

/// What the judge ordered in the day, and what the rules said.
fn live() -> (Orders, Hits) {
    let Loaded {
        config, calendar, ..
    } = street();
    let mut judge = Judge::new(&config, &calendar, all_roles(), "boot-a").unwrap();
    let (mut orders, mut hits) = (Vec::new(), HashSet::new());
    for (t, scene) in scenes() {
        for order in judge.step(&scene) {
            if let Order::Warn { case, .. } = &order {
                let heard = WarnReport {
                    at: scene.at,
                    ..report(*case, 0.0, true)
                };
                judge.hear(heard);
            }
            orders.push((t, order));
        }
        let found = judge.findings().iter().filter(|f| f.is_hit());
        hits.extend(found.map(|f| (f.violation, f.zone.clone(), f.since.utc_ns)));
    }
    (orders, hits)
}

#[test]
fn a_day_gives_its_three_offences_and_nothing_else() {
    let (day, hits) = live();
    let seals = day.iter().filter_map(|(t, o)| match o {
        Order::Seal { record, .. } => {
            Some(((t / HOUR) as u32 + 6, record.violation, record.outcome))
        }
        _ => None,
    });
    assert_eq!(
        seals.collect::<Vec<_>>(),
        [
            (8, Violation::StreetVending, Outcome::Persisted),
            (14, Violation::OutOfStore, Outcome::Corrected),
            (16, Violation::Spillage, Outcome::Recorded),
        ]
    );
    let told: Vec<_> = day.iter().filter_map(|(_, o)| o.hit()).collect();
    let count = |outcome| told.iter().filter(|h| h.outcome == outcome).count();
    assert_eq!(count(HitOutcome::Opened), 3);
    assert_eq!(count(HitOutcome::Permitted), 1, "the tables, once");
    let warned = day.iter().filter(|(_, o)| matches!(o, Order::Warn { .. }));
    assert_eq!(warned.count(), 2, "one shout a case, none for the lorry");
    let said = |h: &Hit| (h.violation, h.zone.clone(), h.since.utc_ns);
    let said: Hits = told.iter().map(said).collect();
    assert_eq!(said, hits, "every hit is told, and no other");
    assert_eq!(live(), (day, hits), "to the bit");
}

//! Judgement as a whole: scene tables, and the book's invariants over random histories.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "small made-up numbers"
)]

mod cases;
pub(crate) mod day;
mod drives;
mod edges;
mod episodes;
mod held;
mod histories;
mod likeness;
mod places;
mod recheck;
mod resumed;
mod rules;
mod second_look;
mod shops;
mod shouts;
mod spills;
mod twice;
mod waits;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::{Ended, Finding, Judge, JudgeError};
use crate::config::{self, Calendar, Config, Loaded, Zone, ZoneKind};
use crate::types::{
    Area, CaseId, Change, Detection, HitOutcome, Motion, Moved, Order, Outcome, Point, Role,
    RoleSet, Scene, ShotKind, Stamp, Track, View, Violation, WarnReport,
};

const SECOND: u64 = 1_000_000_000;
/// A moment well after boot, so that "before" exists.
const START_SECS: f64 = 10_000.0;

pub(crate) fn at(secs: f64) -> Stamp {
    let boot_ns = Duration::from_secs_f64(START_SECS + secs).as_nanos() as u64;
    Stamp {
        utc_ns: 1_780_000_000 * SECOND as i64 + boot_ns as i64,
        boot_ns,
        error_ns: 1000,
    }
}

fn config() -> Config {
    let mut config = Config::default();
    config.camera.push(config::Camera {
        name: "cam0".to_owned(),
        ..Default::default()
    });
    let polygon = [(0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)];
    for (name, kind) in [
        ("kerb", ZoneKind::NoVending),
        ("shop", ZoneKind::ShopFront),
        ("lane", ZoneKind::Road),
    ] {
        config.zone.push(Zone {
            name: name.to_owned(),
            camera: "cam0".to_owned(),
            kind,
            polygon: polygon.iter().map(|&(x, y)| Point { x, y }).collect(),
            ..Zone::default()
        });
    }
    let judge = &mut config.judge;
    (
        judge.street_vending.dwell_secs,
        judge.street_vending.grace_secs,
    ) = (10.0, 30.0);
    judge.street_vending.cool_down_secs = 100.0;
    (judge.out_of_store.dwell_secs, judge.out_of_store.grace_secs) = (20.0, 30.0);
    config
}

/// Judgement on a street in UTC without permits.
fn judging(config: &Config, known: RoleSet, boot: &str) -> Result<Judge, JudgeError> {
    Judge::new(config, &Calendar::plain(TimeZone::UTC), known, boot)
}

fn all_roles() -> RoleSet {
    Role::ALL.into_iter().collect()
}

/// A thing in the picture: track id, role, left edge, bottom edge.
type Thing = (u64, Role, f32, f32);

pub(crate) fn scene(secs: f64, things: &[Thing]) -> Scene {
    let now = at(secs);
    let track = |&(id, role, x0, y1): &Thing| Track {
        id,
        detection: Detection {
            label: 0,
            roles: [role].into_iter().collect(),
            score: 0.9,
            area: Area {
                x0,
                y0: y1 - 0.2,
                x1: x0 + 0.1,
                y1,
            },
        },
        first_seen: now,
        came: None,
        last_seen: now,
        hits: 5,
        appearance: None,
    };
    Scene {
        camera: 0,
        at: now,
        tracks: things.iter().map(track).collect(),
        passing: Vec::new(),
        roleless: Vec::new(),
        place: None,
        view: View::Good,
        doubted: false,
        changed: Change::NotWatched,
        aspect: 16.0 / 9.0,
        moved: Moved::Still,
        background_since: None,
        absorbed: Vec::new(),
        held: Duration::ZERO,
    }
}

/// The same moment by the clock of a boot that began at `begun`, which counts from nought.
fn in_boot(mut moment: Stamp, begun: f64) -> Stamp {
    moment.boot_ns -= at(begun).boot_ns;
    moment
}

/// The same scene in another boot.
fn seen_in_boot(mut scene: Scene, begun: f64) -> Scene {
    scene.at = in_boot(scene.at, begun);
    for track in &mut scene.tracks {
        (track.first_seen, track.last_seen) = (scene.at, scene.at);
    }
    scene
}

/// Runs scenes at five a second from `from` to `to`, answering every warning at once.
struct Street {
    judge: Judge,
    orders: Vec<(f64, Order)>,
    speaker_works: bool,
}

impl Street {
    fn new() -> Self {
        Self {
            judge: judging(&config(), all_roles(), "boot-a").unwrap(),
            orders: Vec::new(),
            speaker_works: true,
        }
    }

    fn run(&mut self, from: f64, to: f64, things: impl Fn(f64) -> Vec<Thing>) {
        let mut t = from;
        while t < to {
            for order in self.judge.step(&scene(t, &things(t))) {
                if let Order::Warn { case, .. } = &order {
                    self.judge.hear(report(*case, t, self.speaker_works));
                }
                self.orders.push((t, order));
            }
            t += 0.2;
        }
    }

    /// What was ordered; what the journal is told is [`Street::hits`].
    fn told(&self) -> Vec<String> {
        let orders = self.orders.iter().map(|(_, o)| o);
        let orders = orders.filter(|o| !matches!(o, Order::Hit { .. }));
        orders.map(word).collect()
    }

    /// What the journal is told of hits, with the case, counted from 1.
    fn hits(&self) -> Vec<(HitOutcome, usize)> {
        let mut cases: Vec<CaseId> = Vec::new();
        let mut hits = Vec::new();
        for (order, hit) in self.orders.iter().filter_map(|(_, o)| Some((o, o.hit()?))) {
            if !cases.contains(&order.case()) {
                cases.push(order.case());
            }
            let number = cases.iter().position(|c| *c == order.case()).unwrap() + 1;
            hits.push((hit.outcome, number));
        }
        hits
    }
}

fn report(case: CaseId, t: f64, works: bool) -> WarnReport {
    WarnReport {
        clip_sha256: "00".repeat(32),
        failure: (!works).then(|| "no sound card".to_owned()),
        ..WarnReport::in_full(case, at(t), Duration::from_secs(if works { 5 } else { 0 }))
    }
}

fn word(order: &Order) -> String {
    match order {
        Order::Snap { kind, subject, .. } => {
            format!(
                "snap {}{}",
                kind.name(),
                if subject.is_some() { "" } else { " empty" }
            )
        }
        Order::Clip { .. } => "clip".to_owned(),
        Order::Warn { .. } => "warn".to_owned(),
        Order::Seal { record, .. } => format!("seal {}", record.outcome.name()),
        Order::Discard { why, .. } => format!("discard {why}"),
        Order::Hit { hit, .. } => format!("hit {:?}", hit.outcome),
    }
}

const STALL: Thing = (1, Role::Stall, 0.4, 0.8);

/// What the rules find while stalls stand side by side for so many seconds under `permits`,
/// scene by scene.
pub(crate) fn explained(
    secs: f64,
    permits: &str,
    stalls: usize,
) -> impl Iterator<Item = (Stamp, Vec<Finding>)> {
    let loaded = places::read(places::STREET, permits);
    let judge = Judge::new(&loaded.config, &loaded.calendar, all_roles(), "boot-a");
    let mut judge = judge.unwrap();
    let things = [STALL, (2, Role::Stall, 0.7, 0.8)];
    (0..(secs * 5.0) as u32).map(move |step| {
        let scene = scene(f64::from(step) * 0.2, &things[..stalls]);
        judge.step(&scene);
        (scene.at, judge.findings().to_vec())
    })
}

/// Sixteen stalls at a time, at places that overlap too little to be the same.
fn rows_of_stalls(t: f64) -> Vec<Thing> {
    let row = (t / 11.0) as u8;
    let bottom = 0.55 + f32::from(row) * 0.11;
    let track = |i: u8| u64::from(row) * 16 + u64::from(i);
    (0..16)
        .map(|i| (track(i), Role::Stall, f32::from(i) * 0.06, bottom))
        .collect()
}

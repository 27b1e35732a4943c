//! Checks of zones.

use std::collections::BTreeSet;

use super::Checker;
use super::polygon::fault;
use crate::config::hours::Span;
use crate::config::mistake::meant;
use crate::config::{Config, Zone, ZoneKind};
use crate::types::Point;

/// A threshold line shorter than this share of the picture is a slip.
const LINE_MIN: f32 = 0.02;

pub(super) fn check(config: &Config, checker: &mut Checker<'_, '_>) {
    let cameras: Vec<&str> = config.camera.iter().map(|c| c.name.as_str()).collect();
    for (i, zone) in config.zone.iter().enumerate() {
        let key = |name: &str| format!("zone[{i}].{name}");
        checker.name(&key("name"), &zone.name);
        camera(zone, &key("camera"), &cameras, checker);
        if let Some([what, fix]) = fault(&zone.polygon) {
            checker.say(
                &key("polygon"),
                what,
                "three or more corners [x, y], 0 to 1 from the top left, in order round the zone",
                fix,
            );
        }
        for hours in &zone.hours {
            checker.hours(&key("hours"), hours);
        }
        checker.range(&key("inertia"), zone.inertia);
        checker.range(&key("margin"), zone.margin);
        checker.day(&key("approval_until"), &zone.approval_until);
        threshold((config, zone), &key("threshold"), checker);
    }
    let names: Vec<&str> = config.zone.iter().map(|z| z.name.as_str()).collect();
    checker.unique(&names, |i| format!("zone[{i}].name"));
}

fn camera(zone: &Zone, key: &str, cameras: &[&str], checker: &mut Checker<'_, '_>) {
    // Without any camera, that is the mistake.
    if cameras.is_empty() || cameras.contains(&zone.camera.as_str()) {
        return;
    }
    let known: BTreeSet<&str> = cameras.iter().copied().collect();
    let known: Vec<&str> = known.into_iter().collect();
    let fix = meant(&zone.camera, cameras.iter().copied()).map_or_else(
        || "name the camera the zone is drawn on".to_owned(),
        |name| format!("did you mean \"{name}\"?"),
    );
    checker.say(
        key,
        format!("there is no camera \"{}\"", zone.camera),
        format!("a camera of this file ({})", known.join(", ")),
        fix,
    );
}

fn threshold((config, zone): (&Config, &Zone), key: &str, checker: &mut Checker<'_, '_>) {
    let expected = "two points [x, y] of the threshold, 0 to 1 from the top left";
    let fix = "for example threshold = [[0.20, 0.60], [0.80, 0.62]]";
    let inside = |p: &Point| (0.0..=1.0).contains(&p.x) && (0.0..=1.0).contains(&p.y);
    let what = match zone.threshold.as_slice() {
        [] => return,
        _ if zone.kind != ZoneKind::ShopFront => {
            let fix = "kind = \"shop_front\", or remove the line";
            return checker.say(key, "only a shop has a threshold", "a shop_front zone", fix);
        }
        _ if !config.is_in_place(zone) => {
            let what = "the camera moves, and the line with it";
            let fix = "leave it out, or judge shops by a camera that stands still";
            return checker.say(
                key,
                what,
                "a threshold only where the camera stands still",
                fix,
            );
        }
        [a, b] if !inside(a) || !inside(b) => "a point is outside the picture".to_owned(),
        [a, b] if (a.x - b.x).hypot(a.y - b.y) < LINE_MIN => {
            "the two points are as good as the same".to_owned()
        }
        [_, _] => return,
        more => format!("{} points", more.len()),
    };
    checker.say(key, what, expected, fix);
}

impl Checker<'_, '_> {
    /// `hours` must be a stretch of a day.
    pub(super) fn hours(&mut self, key: &str, hours: &str) {
        if Span::parse(hours).is_none() {
            self.say(
                key,
                format!("\"{hours}\" is no time of day"),
                "HH:MM-HH:MM, 00:00 to 24:00, past midnight where the end is the smaller",
                "for example hours = [\"07:00-12:00\", \"18:00-02:00\"]",
            );
        }
    }

    /// `day` must be a day, or empty.
    pub(super) fn day(&mut self, key: &str, day: &str) {
        if !day.is_empty() && day.parse::<jiff::civil::Date>().is_err() {
            self.say(
                key,
                format!("\"{day}\" is not a day"),
                "a day as YYYY-MM-DD, or empty",
                "for example \"2027-12-31\"",
            );
        }
    }
}

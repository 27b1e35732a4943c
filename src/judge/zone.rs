//! Zones: polygons a thing's foot stands in or not, and lines it stands beyond or not.

use crate::config::{self, Config, Side, Times, ZoneKind, share_ground};
use crate::types::{Area, Point, Role, RoleSet, Scene};

/// A zone of one camera, ready to be asked.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    /// Its name in the configuration.
    pub(super) name: String,
    /// Index of its camera.
    pub(super) camera: usize,
    /// When it is judged.
    pub(super) times: Times,
    /// What its rule looks for in it.
    pub(super) roles: RoleSet,
    /// The shop's threshold, when one is drawn.
    pub(super) threshold: Option<Threshold>,
    polygon: Vec<Point>,
    inertia: f32,
}

/// A shop's threshold line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Threshold {
    line: (Point, Point),
    side: Side,
    /// So far beyond it nothing is said yet.
    pub(super) margin: f32,
    /// How much less is enough for what was beyond it before.
    pub(super) inertia: f32,
}

impl Zone {
    /// The zones of one kind, with the rule's `roles` where they have none of their own. A zone
    /// whose camera is unknown is left out: the configuration's own check names it.
    pub(super) fn of_kind(config: &Config, kind: ZoneKind, roles: &[Role]) -> Vec<Self> {
        let zones = config.zone.iter().filter(|z| z.kind == kind);
        zones
            .filter_map(|z| {
                let camera = config.camera.iter().position(|c| c.name == z.camera)?;
                let roles = if z.roles.is_empty() { roles } else { &z.roles };
                Some(Self {
                    name: z.name.clone(),
                    camera,
                    times: z.times(),
                    roles: roles.iter().copied().collect(),
                    threshold: Threshold::of(z),
                    polygon: z.polygon.clone(),
                    inertia: share(z.inertia),
                })
            })
            .collect()
    }

    /// Whether the thing stands in the zone: the middle of its lower edge lies inside. What
    /// `stood` there before is out only when it is out by more than the zone's inertia.
    pub(super) fn holds(&self, area: Area, stood: bool) -> bool {
        let foot = area.foot();
        foot.is_in(&self.polygon) || stood && self.distance(foot) <= self.inertia
    }

    /// Whether any part of the area is in the zone.
    pub(super) fn meets(&self, area: Area) -> bool {
        let Area { x0, y0, x1, y1 } = area;
        let corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)].map(|(x, y)| Point { x, y });
        share_ground(&self.polygon, &corners)
    }

    fn distance(&self, point: Point) -> f32 {
        let next = self.polygon.iter().cycle().skip(1);
        let sides = self.polygon.iter().zip(next);
        let far = |(a, b): (&Point, &Point)| point.distance_to(*a, *b);
        sides.map(far).fold(f32::INFINITY, f32::min)
    }
}

impl Threshold {
    fn of(zone: &config::Zone) -> Option<Self> {
        let [a, b] = zone.threshold.as_slice() else {
            return None;
        };
        Some(Self {
            line: (*a, *b),
            side: zone.forbidden_side,
            margin: share(zone.margin),
            // What is on the shop's side of the line is in the shop, wherever it was before.
            inertia: share(zone.inertia.min(zone.margin)),
        })
    }

    /// How far a thing's foot is beyond the line on its forbidden side, share of the picture;
    /// negative on the shop's side.
    pub(super) fn beyond(&self, area: Area) -> f32 {
        let ((a, b), p) = (self.line, area.foot());
        let (dx, dy) = (b.x - a.x, b.y - a.y);
        // With y pointing down, what is on the right hand gives a positive product.
        let right = (dx * (p.y - a.y) - dy * (p.x - a.x)) / dx.hypot(dy);
        match self.side {
            Side::Right => right,
            Side::Left => -right,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a share the configuration keeps within 0 to 1"
)]
fn share(value: f64) -> f32 {
    value as f32
}

/// The privacy masks: nothing in them is judged.
#[derive(Debug)]
pub(super) struct Masks(Vec<(usize, Vec<Point>)>);

impl Masks {
    pub(super) fn of(config: &Config) -> Self {
        let masks = Zone::of_kind(config, ZoneKind::Private, &[]);
        Self(masks.into_iter().map(|z| (z.camera, z.polygon)).collect())
    }

    /// The scene in which what has its foot or its middle in a mask only passes; `None` when it has no masks.
    pub(super) fn applied(&self, scene: &Scene) -> Option<Scene> {
        self.0.iter().find(|(camera, _)| *camera == scene.camera)?;
        let mut scene = scene.clone();
        let camera = scene.camera;
        let hidden = (scene.tracks).extract_if(.., |track| self.hide(camera, track.detection.area));
        scene.passing.extend(hidden);
        Some(scene)
    }

    /// Whether a thing has its foot or its middle in a mask of the camera.
    pub(super) fn hide(&self, camera: usize, area: Area) -> bool {
        let mut here = self.0.iter().filter(|(of, _)| *of == camera);
        here.any(|(_, mask)| area.foot().is_in(mask) || area.centre().is_in(mask))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polygon(points: &[(f32, f32)]) -> Vec<Point> {
        points.iter().map(|&(x, y)| Point { x, y }).collect()
    }

    /// A thing whose foot is at `x`, `y`.
    fn thing(x: f32, y: f32) -> Area {
        Area {
            x0: x - 0.05,
            y0: y - 0.3,
            x1: x + 0.05,
            y1: y,
        }
    }

    #[test]
    fn a_point_is_inside_or_not() {
        let square = polygon(&[(0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8)]);
        let notch = polygon(&[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5), (0.0, 1.0)]);
        for (shape, x, y, inside) in [
            (&square, 0.5, 0.5, true),
            (&square, 0.1, 0.5, false),
            (&square, 0.9, 0.5, false),
            (&square, 0.5, 0.81, false),
            (&notch, 0.5, 0.25, true),
            (&notch, 0.5, 0.75, false),
            (&notch, 0.1, 0.8, true),
            (&Vec::new(), 0.5, 0.5, false),
        ] {
            let found = Point { x, y }.is_in(shape);
            assert_eq!(found, inside, "{x} {y} in {shape:?}");
        }
    }

    fn zone() -> Zone {
        let mut config = Config::default();
        config.camera.push(config::Camera::default());
        config.zone.push(config::Zone {
            kind: ZoneKind::ShopFront,
            polygon: polygon(&[(0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)]),
            inertia: 0.02,
            threshold: polygon(&[(0.2, 0.6), (0.8, 0.6)]),
            ..config::Zone::default()
        });
        Zone::of_kind(&config, ZoneKind::ShopFront, &[]).remove(0)
    }

    #[test]
    fn it_is_the_foot_that_counts_and_it_may_tremble() {
        let zone = zone();
        for (y, new, known) in [
            (0.60, true, true),
            (0.49, false, true),
            (0.47, false, false),
            (0.40, false, false),
        ] {
            let area = thing(0.5, y);
            let found = (zone.holds(area, false), zone.holds(area, true));
            assert_eq!(found, (new, known), "foot at {y}");
        }
    }

    #[test]
    fn a_thing_is_beyond_the_threshold_or_in_the_shop() {
        let right = zone().threshold.expect("drawn");
        let left = Threshold {
            side: Side::Left,
            ..right
        };
        let steep = Threshold {
            line: (Point { x: 0.5, y: 0.0 }, Point { x: 0.5, y: 1.0 }),
            ..right
        };
        for (threshold, x, y, wanted) in [
            (right, 0.5, 0.7, 0.1),
            (right, 0.5, 0.5, -0.1),
            (left, 0.5, 0.5, 0.1),
            // Walking down the picture, the right hand is at its left.
            (steep, 0.3, 0.5, 0.2),
            (steep, 0.6, 0.5, -0.1),
        ] {
            let found = threshold.beyond(thing(x, y));
            assert!((found - wanted).abs() < 1e-5, "{x} {y}: {found}");
        }
    }

    #[test]
    fn a_mask_hides_what_is_in_it() {
        let mut config = Config::default();
        config.camera.push(config::Camera::default());
        config.zone.push(config::Zone {
            kind: ZoneKind::Private,
            polygon: polygon(&[(0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5)]),
            ..config::Zone::default()
        });
        let masks = Masks::of(&config);
        let hidden = |x: f32, y: f32| {
            let scene = super::super::tests::scene(0.0, &[(1, Role::Stall, x, y)]);
            masks.applied(&scene).is_some_and(|s| s.tracks.is_empty())
        };
        assert!(hidden(0.2, 0.4), "foot inside");
        assert!(hidden(0.2, 0.55), "middle inside");
        assert!(!hidden(0.2, 0.9) && !hidden(0.7, 0.4));
        assert!(masks.hide(0, thing(0.2, 0.4)) && !masks.hide(1, thing(0.2, 0.4)));
    }
}

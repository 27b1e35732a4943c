//! Zones: polygons a thing's foot stands in or not.

use crate::config;
use crate::types::{Area, Point};

/// A zone of one camera, ready to be asked.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    /// Its name in the configuration.
    pub(super) name: String,
    /// Index of its camera.
    pub(super) camera: usize,
    polygon: Vec<Point>,
}

impl Zone {
    /// The zones of one kind. A zone whose camera is unknown is left out: the configuration's
    /// own check names it.
    pub(super) fn of_kind(config: &config::Config, kind: config::ZoneKind) -> Vec<Self> {
        config
            .zone
            .iter()
            .filter(|z| z.kind == kind)
            .filter_map(|z| {
                let camera = config.camera.iter().position(|c| c.name == z.camera)?;
                Some(Self {
                    name: z.name.clone(),
                    camera,
                    polygon: z.polygon.clone(),
                })
            })
            .collect()
    }

    /// Whether the thing stands in the zone: the middle of its lower edge lies inside.
    pub(super) fn holds(&self, area: Area) -> bool {
        contains(&self.polygon, area.foot())
    }
}

/// Even-odd rule: a ray from `p` to the right crosses the outline an odd number of times.
fn contains(polygon: &[Point], p: Point) -> bool {
    let Some(last) = polygon.last() else {
        return false;
    };
    let mut inside = false;
    let mut a = *last;
    for &b in polygon {
        if (a.y > p.y) != (b.y > p.y) {
            let x = a.x + (p.y - a.y) * (b.x - a.x) / (b.y - a.y);
            if p.x < x {
                inside = !inside;
            }
        }
        a = b;
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polygon(points: &[(f32, f32)]) -> Vec<Point> {
        points.iter().map(|&(x, y)| Point { x, y }).collect()
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
            assert_eq!(
                contains(shape, Point { x, y }),
                inside,
                "{x} {y} in {shape:?}"
            );
        }
    }

    #[test]
    fn it_is_the_foot_that_counts() {
        let zone = Zone {
            name: "z".to_owned(),
            camera: 0,
            polygon: polygon(&[(0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)]),
        };
        assert!(
            zone.holds(Area {
                x0: 0.4,
                y0: 0.1,
                x1: 0.6,
                y1: 0.6
            }),
            "feet below the line"
        );
        assert!(
            !zone.holds(Area {
                x0: 0.4,
                y0: 0.1,
                x1: 0.6,
                y1: 0.4
            }),
            "feet above the line"
        );
    }
}

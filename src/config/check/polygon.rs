//! Whether a zone's corners make a zone, and whether two zones have ground in common.

use crate::types::Point;

/// Smaller than a hundredth of the width by a hundredth of the height is a slip.
const AREA_MIN: f32 = 0.0001;
/// A coordinate above this was meant in pixels.
const PIXELS_FROM: f32 = 2.0;
/// What is nearer to a border than this share of the picture is on it.
const BORDER: f32 = 1e-4;

/// What is wrong with the polygon and how to mend it; `None` when it is sound.
pub(super) fn fault(corners: &[Point]) -> Option<[String; 2]> {
    if corners.len() < 3 {
        let what = format!("{} corners make no area", corners.len());
        return Some([what, "add corners".to_owned()]);
    }
    let inside = |v: f32| (0.0..=1.0).contains(&v);
    if let Some((i, p)) = corners
        .iter()
        .enumerate()
        .find(|(_, p)| !inside(p.x) || !inside(p.y))
    {
        let what = format!("corner {} [{}, {}] is outside the picture", i + 1, p.x, p.y);
        let fix = if p.x >= PIXELS_FROM || p.y >= PIXELS_FROM {
            "divide pixels by the width and height of the picture"
        } else {
            "move it onto the edge, 0 or 1"
        };
        return Some([what, fix.to_owned()]);
    }
    if let Some((a, b)) = crossing(corners) {
        let what = format!(
            "the sides after corner {} and corner {} cross",
            a + 1,
            b + 1
        );
        return Some([what, "write the corners in order round the zone".to_owned()]);
    }
    let area = area(corners);
    (area < AREA_MIN).then(|| {
        let what = format!("its area is {:.4} % of the picture", area * 100.0);
        [what, "draw it larger: 0.01 % at least".to_owned()]
    })
}

/// Whether two polygons have ground in common; a border in common is none.
pub(crate) fn overlap(a: &[Point], b: &[Point]) -> bool {
    let crossed = sides(a).any(|x| sides(b).any(|y| cross(x, y)));
    let meets = |a: &[Point], b: &[Point]| points_of(a).any(|p| is_within(p, b));
    crossed || meets(a, b) || meets(b, a)
}

fn sides(corners: &[Point]) -> impl Iterator<Item = (Point, Point)> {
    let next = corners.iter().copied().cycle().skip(1);
    corners.iter().copied().zip(next)
}

/// The corners, the middles of the sides, and points inside: of two polygons of one shape and place
/// nothing else is inside the other.
fn points_of(corners: &[Point]) -> impl Iterator<Item = Point> {
    let middle = |(a, b): (Point, Point)| Point {
        x: f32::midpoint(a.x, b.x),
        y: f32::midpoint(a.y, b.y),
    };
    let next = sides(corners).skip(1).chain(sides(corners).take(1));
    let inner = sides(corners).zip(next).map(move |((a, b), (_, c))| Point {
        x: (a.x + b.x + c.x) / 3.0,
        y: (a.y + b.y + c.y) / 3.0,
    });
    let inner = inner.filter(|p| is_within(*p, corners));
    let outline = corners.iter().copied().chain(sides(corners).map(middle));
    outline.chain(inner)
}

/// Whether a point is inside, and not on the border.
fn is_within(point: Point, corners: &[Point]) -> bool {
    let on = |(a, b): (Point, Point)| point.distance_to(a, b) <= BORDER;
    point.is_in(corners) && !sides(corners).any(on)
}

/// Gauss's area formula.
fn area(corners: &[Point]) -> f32 {
    let next = corners.iter().cycle().skip(1);
    let twice: f32 = corners
        .iter()
        .zip(next)
        .map(|(a, b)| a.x * b.y - b.x * a.y)
        .sum();
    twice.abs() / 2.0
}

/// The first two sides that cross, by the number of the corner each begins at.
fn crossing(corners: &[Point]) -> Option<(usize, usize)> {
    let n = corners.len();
    let side = |i: usize| (corners[i], corners[(i + 1) % n]);
    let pairs = (0..n).flat_map(|i| (i + 2..n).map(move |j| (i, j)));
    pairs
        .filter(|&(i, j)| (j + 1) % n != i)
        .find(|&(i, j)| cross(side(i), side(j)))
}

/// Whether two segments have a point in common that is inside both.
fn cross((a, b): (Point, Point), (c, d): (Point, Point)) -> bool {
    let turn = |p: Point, q: Point, r: Point| (q.x - p.x) * (r.y - p.y) - (q.y - p.y) * (r.x - p.x);
    turn(a, b, c) * turn(a, b, d) < 0.0 && turn(c, d, a) * turn(c, d, b) < 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polygons_overlap_or_not() {
        let square = |x: f32, y: f32, side: f32| {
            let (x1, y1) = (x + side, y + side);
            [(x, y), (x1, y), (x1, y1), (x, y1)].map(|(x, y)| Point { x, y })
        };
        let one = square(0.2, 0.2, 0.3);
        for (other, wanted) in [
            (square(0.4, 0.4, 0.3), true),
            (square(0.3, 0.3, 0.1), true),
            (square(0.1, 0.1, 0.8), true),
            (square(0.6, 0.2, 0.3), false),
            (one, true),
            (square(0.5, 0.2, 0.3), false),
            (square(0.5, 0.3, 0.3), false),
            (square(0.2, 0.45, 0.3), true),
        ] {
            assert_eq!(overlap(&one, &other), wanted, "{other:?}");
            assert_eq!(overlap(&other, &one), wanted, "{other:?}");
        }
    }

    #[test]
    fn polygons() {
        let check = |corners: &[(f32, f32)], wanted: Option<&str>| {
            let corners: Vec<Point> = corners.iter().map(|&(x, y)| Point { x, y }).collect();
            let what = fault(&corners).map(|[what, _]| what);
            let agrees = match (&what, wanted) {
                (Some(what), Some(wanted)) => what.contains(wanted),
                (None, None) => true,
                _ => false,
            };
            assert!(agrees, "{corners:?}: {what:?}, wanted {wanted:?}");
        };
        check(&[(0.1, 0.1), (0.9, 0.1), (0.5, 0.9)], None);
        check(&[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)], None);
        // Concave is sound.
        check(&[(0.0, 0.0), (1.0, 0.0), (0.5, 0.2), (0.0, 1.0)], None);
        check(&[], Some("0 corners"));
        check(&[(0.1, 0.1), (0.9, 0.9)], Some("2 corners"));
        check(
            &[(0.1, 0.1), (1.2, 0.1), (0.5, 0.9)],
            Some("corner 2 [1.2, 0.1]"),
        );
        check(&[(0.1, 0.1), (f32::NAN, 0.1), (0.5, 0.9)], Some("outside"));
        check(
            &[(0.1, 0.1), (0.9, 0.9), (0.9, 0.1), (0.1, 0.9)],
            Some("after corner 1 and corner 3 cross"),
        );
        check(&[(0.1, 0.1), (0.105, 0.1), (0.1, 0.105)], Some("its area"));
        check(&[(0.1, 0.1), (0.5, 0.5), (0.9, 0.9)], Some("its area"));
    }
}

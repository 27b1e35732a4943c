//! Decoding: planned outputs, and any floats at all.
#![expect(
    clippy::cast_possible_truncation,
    reason = "the numbers of these tests are small"
)]

use proptest::prelude::*;

use super::*;
use crate::types::Role;

const CANVAS: (f32, f32) = (64.0, 32.0);
/// The picture fills the canvas.
const FULL: Fit = Fit {
    x: 0,
    y: 0,
    width: 64,
    height: 32,
};

/// Person, nothing, truck.
fn decoder(layout: Layout) -> Decoder {
    let roles = |r: &[Role]| r.iter().copied().collect::<RoleSet>();
    Decoder {
        layout,
        canvas: CANVAS,
        floor: 0.2,
        nms_iou: 0.5,
        roles: vec![
            roles(&[Role::Person]),
            RoleSet::EMPTY,
            roles(&[Role::Truck]),
        ],
    }
}

fn raw(data: &[f32]) -> Raw<'_> {
    Raw { shape: &[], data }
}

/// Label, score in percent, edges in canvas pixels, rounded.
fn plain(found: &[Detection]) -> Vec<(u16, i32, [i32; 4])> {
    let int = |x: f32| x.round() as i32;
    found
        .iter()
        .map(|d| {
            let a = d.area;
            let edges = [a.x0 * 64.0, a.y0 * 32.0, a.x1 * 64.0, a.y1 * 32.0];
            (d.label, int(d.score * 100.0), edges.map(int))
        })
        .collect()
}

#[test]
fn efficientdet_boxes_are_fractions_of_the_canvas() {
    let boxes = [
        0.25, 0.25, 0.5, 0.75, // a person
        0.5, 0.5, 1.0, 1.0, // a truck
        0.2, 0.2, 0.3, 0.3, // rather a thing without a role than a truck
        0.0, 0.0, 0.1, 0.1, // as a person below the floor
        0.9, 0.9, 1.5, 1.5, // reaches out of the picture
        0.5, 0.5, 0.4, 0.9, // left of its own left edge
    ];
    let scores = [
        0.9, 0.0, 0.1, //
        0.1, 0.3, 0.6, //
        0.1, 0.95, 0.6, //
        0.19, 0.9, 0.0, //
        0.3, 0.0, 0.0, //
        0.8, 0.0, 0.0, //
    ];
    let found = decoder(Layout::EfficientDet).decode(&[raw(&boxes), raw(&scores)], FULL);
    assert_eq!(
        plain(&found),
        [
            (0, 90, [16, 8, 32, 24]),
            (2, 60, [32, 16, 64, 32]),
            (0, 30, [58, 29, 64, 32]),
            (1, 95, [13, 6, 19, 10]),
            (1, 90, [0, 0, 6, 3]),
        ]
    );
}

#[test]
fn yolox_cells_are_offsets_and_logarithms() {
    let cells = yolo::cells(&[16, 32], 64, 32);
    assert_eq!(cells.len(), 4 * 2 + 2);
    let mut data = vec![0.0; cells.len() * 8];
    // Level 16, row 1, column 2: centre (2.5, 1.0) cells, twice as wide as a cell.
    data[6 * 8..7 * 8].copy_from_slice(&[0.5, 0.0, 2.0_f32.ln(), 0.0, 0.9, 0.5, 0.0, 0.2]);
    // Level 32, column 1: centre (1.5, 0.5) cells.
    data[9 * 8..10 * 8].copy_from_slice(&[0.5, 0.5, 0.0, -(2.0_f32.ln()), 0.8, 0.0, 0.5, 0.9]);
    let found = decoder(Layout::Yolox(cells)).decode(&[raw(&data)], FULL);
    assert_eq!(
        plain(&found),
        [(2, 72, [32, 8, 64, 24]), (0, 45, [24, 8, 56, 24])]
    );
}

#[test]
fn yolo_rows_and_columns_say_the_same() {
    let boxes = [
        [16.0, 16.0, 8.0, 16.0],
        [48.0, 16.0, 16.0, 8.0],
        [32.0, 8.0, 8.0, 8.0],
    ];
    let classes = [[0.9, 0.3, 0.5], [0.1, 0.3, 0.4], [0.1, 0.9, 0.4]];
    let mut rows = Vec::new();
    for (b, c) in boxes.iter().zip(&classes) {
        rows.extend(b.iter().chain(&[1.0]).chain(c).copied());
    }
    let mut columns = Vec::new();
    for i in 0..4 {
        columns.extend(boxes.iter().map(|b| b[i]));
    }
    for i in 0..3 {
        columns.extend(classes.iter().map(|c| c[i]));
    }
    let expected = [
        (0, 90, [12, 8, 20, 24]),
        (2, 40, [40, 12, 56, 20]),
        (1, 90, [28, 4, 36, 12]),
    ];
    let by_rows = decoder(Layout::YoloRows).decode(&[raw(&rows)], FULL);
    assert_eq!(plain(&by_rows), expected);
    let by_columns = decoder(Layout::YoloColumns { boxes: 3 }).decode(&[raw(&columns)], FULL);
    assert_eq!(plain(&by_columns), expected);
}

#[test]
fn end_to_end_rows_are_taken_as_they_are() {
    let rows = [
        4.0, 4.0, 12.0, 12.0, 0.7, 2.0, //
        4.0, 4.0, 12.0, 12.0, 0.9, 1.0, // no role
        4.0, 4.0, 12.0, 12.0, 0.9, 7.0, // no such class
        4.0, 4.0, 12.0, 12.0, 0.9, -1.0, //
        4.0, 4.0, 12.0, 12.0, 0.0, 0.0, // unused row
        1.0, 2.0, 3.0, // half a row
    ];
    let found = decoder(Layout::EndToEnd).decode(&[raw(&rows)], FULL);
    let expected = [(2, 70, [4, 4, 12, 12]), (1, 90, [4, 4, 12, 12])];
    assert_eq!(plain(&found), expected);
    assert_eq!(decoder(Layout::EndToEnd).decode(&[raw(&[])], FULL), []);
}

#[test]
fn what_is_no_number_is_no_detection() {
    let bad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
    for bad in bad {
        for place in 0..5 {
            let mut row = [4.0, 4.0, 12.0, 12.0, 0.7, 2.0];
            row[place] = bad;
            let good = [20.0, 4.0, 28.0, 12.0, 0.5, 0.0];
            let both = [row, good].concat();
            let found = decoder(Layout::EndToEnd).decode(&[raw(&both)], FULL);
            // An infinite score is out of range, but it is above the floor: it counts as 1.
            let expected = if place == 4 && bad > 0.0 { 2 } else { 1 };
            assert_eq!(found.len(), expected, "{bad} at {place}: {found:?}");
            assert!(found.iter().all(|d| (0.0..=1.0).contains(&d.score)));
        }
    }
}

#[test]
fn of_two_words_for_one_thing_the_better_stays() {
    let roles: RoleSet = [Role::Truck].into_iter().collect();
    let area = Area {
        x0: 0.1,
        y0: 0.1,
        x1: 0.5,
        y1: 0.5,
    };
    let bus = Detection {
        label: 5,
        roles,
        score: 0.8,
        area,
    };
    let truck = Detection {
        label: 7,
        score: 0.6,
        ..bus
    };
    let driver = Detection {
        label: 0,
        roles: [Role::Person].into_iter().collect(),
        score: 0.5,
        ..bus
    };
    let mut found = vec![truck, driver, bus];
    suppress(&mut found, 0.5);
    assert_eq!(found, [bus, driver]);
}

#[test]
fn what_has_no_role_crowds_nobody_out() {
    let rows: Vec<f32> = (0..60 * 30_u16)
        .flat_map(|n| {
            let (x, y) = (f32::from(n % 60), f32::from(n / 60));
            [x, y, x + 1.0, y + 1.0, 0.9, 1.0]
        })
        .chain([4.0, 4.0, 12.0, 12.0, 0.3, 0.0])
        .collect();
    let found = decoder(Layout::EndToEnd).decode(&[raw(&rows)], FULL);
    assert_eq!(found.len(), DETECTIONS_MAX);
    assert_eq!(plain(&found[..1]), [(0, 30, [4, 4, 12, 12])]);
}

#[test]
fn shapes_are_held_to_the_labels() {
    let ok = |r: Result<(), String>| r.is_ok();
    assert!(ok(efficientdet::check(&[1, 9, 4], &[1, 9, 3], 3)));
    assert!(!ok(efficientdet::check(&[1, 9, 4], &[1, 8, 3], 3)));
    assert!(!ok(efficientdet::check(&[1, 9, 4], &[1, 9, 4], 3)));
    assert!(!ok(efficientdet::check(&[9, 4], &[9, 3], 3)));
    assert!(ok(yolo::check_grid(&[1, 42, 8], 42, 3)));
    assert!(!ok(yolo::check_grid(&[1, 42, 8], 40, 3)));
    assert!(!ok(yolo::check_grid(&[1, 42, 4], 42, 3)));
    assert!(!ok(yolo::check_grid(&[], 42, 3)));
    assert!(matches!(
        yolo::layout(&[1, 100, 8], 3),
        Ok(Layout::YoloRows)
    ));
    assert!(matches!(
        yolo::layout(&[1, 7, 100], 3),
        Ok(Layout::YoloColumns { boxes: 100 })
    ));
    assert!(yolo::layout(&[1, 100, 9], 3).is_err());
    assert!(yolo::layout(&[1, -1, -1], 3).is_err());
    assert!(ok(end_to_end::check(&[300, 6])) && ok(end_to_end::check(&[1, 0, 6])));
    assert!(!ok(end_to_end::check(&[2, 300, 6])));
}

/// Floats as a broken model gives them: mostly plausible, some not numbers at all.
fn any_float() -> impl Strategy<Value = f32> {
    prop_oneof![
        6 => 0.0_f32..1.0,
        2 => -100.0_f32..2000.0,
        1 => any::<f32>(),
    ]
}

/// Every layout.
fn layouts() -> Vec<Layout> {
    vec![
        Layout::EfficientDet,
        Layout::Yolox(yolo::cells(&[8, 16], 64, 32)),
        Layout::YoloRows,
        Layout::YoloColumns { boxes: 11 },
        Layout::EndToEnd,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_floats_give_boxes_inside_the_picture(
        a in proptest::collection::vec(any_float(), 0..400),
        b in proptest::collection::vec(any_float(), 0..400),
        (x, y) in (0_usize..10, 0_usize..10),
    ) {
        let fit = Fit { x, y, width: 64 - 2 * x, height: 32 - 2 * y };
        for layout in layouts() {
            let decoder = decoder(layout);
            let found = decoder.decode(&[raw(&a), raw(&b)], fit);
            prop_assert!(found.len() <= DETECTIONS_MAX);
            let roleless = found.iter().position(|d| d.roles.is_empty());
            let (first, last) = found.split_at(roleless.unwrap_or(found.len()));
            prop_assert!(last.iter().all(|d| d.roles.is_empty()));
            prop_assert!([first, last].iter().all(|d| d.is_sorted_by(|a, b| a.score >= b.score)));
            for d in &found {
                let Area { x0, y0, x1, y1 } = d.area;
                prop_assert!(0.0 <= x0 && x0 < x1 && x1 <= 1.0, "{d:?}");
                prop_assert!(0.0 <= y0 && y0 < y1 && y1 <= 1.0, "{d:?}");
                prop_assert!((0.2..=1.0).contains(&d.score) && d.label < 3, "{d:?}");
            }
            let mut again = found.clone();
            suppress(&mut again, 0.5);
            prop_assert_eq!(&again, &found, "suppressing twice changes nothing");
            prop_assert_eq!(decoder.decode(&[raw(&a), raw(&b)], fit), found, "same in, same out");
        }
    }

    #[test]
    fn a_quick_no_is_never_wrong(
        scores in proptest::collection::vec(any_float(), 0..100),
        floor in 0.01_f32..1.0,
    ) {
        prop_assert_eq!(any_reaches(&scores, floor), scores.iter().any(|s| *s >= floor));
    }
}

//! Films with drawn things on real footage, and what becomes of them: each of the three rules from
//! pixels to orders, and two of them through the running daemon to a receipt.
//!
//! The street is the demonstration's, without its colours. What is drawn on it in a pure colour is
//! seen by the detector of coloured patches (`tests/data/models/colours.onnx`, made by `generate.py` there), which no processor
//! rounds differently; so what is expected can be written down.

use lingmou::witness::{FileEntry, Statement};

use super::golden::{Story, replay, stories};
use super::*;

/// A patch of one colour in the film.
#[derive(Clone, Copy)]
struct Patch {
    colour: &'static str,
    width: u32,
    height: u32,
    /// Left and top edge in pixels; ffmpeg's expressions of the time `t`.
    x: &'static str,
    y: &'static str,
    /// Seconds of the film.
    from: f64,
    to: f64,
}

const GREEN: &str = "0x00E000";
const CYAN: &str = "0x00E0E0";
const BLUE: &str = "0x0000E0";
const RED: &str = "0xE00000";
const YELLOW: &str = "0xE0E000";
const MAGENTA: &str = "0xE000E0";
/// A moment behind the end of every film.
const END: f64 = 1e6;

/// Goods 3 m before the shop.
const GOODS: Patch = patch(GREEN, (96, 80), ("160", "330"), 2.0, END);
/// A lorry from left to right, its number plate, and what lies behind it when it has gone; late enough
/// that a camera connected at the beginning has the seconds before it.
const LORRY: Patch = patch(RED, (220, 120), ("(t-9)*160-230", "400"), 9.0, 15.5);
const PLATE: Patch = patch(YELLOW, (44, 14), ("(t-9)*160-224", "490"), 9.0, 15.5);
const RUBBLE: Patch = patch(MAGENTA, (60, 26), ("330", "494"), 11.4, END);
/// A tricycle with goods on it, and who sells them; who stands there for some seconds attends to what
/// is put beside.
const TRICYCLE: Patch = patch(CYAN, (90, 70), ("300", "350"), 2.0, END);
const WARES: Patch = patch(GREEN, (40, 40), ("350", "380"), 2.0, END);
const SELLER: Patch = patch(BLUE, (30, 90), ("400", "335"), 0.0, END);

const fn patch(
    colour: &'static str,
    (width, height): (u32, u32),
    (x, y): (&'static str, &'static str),
    from: f64,
    to: f64,
) -> Patch {
    Patch {
        colour,
        width,
        height,
        x,
        y,
        from,
        to,
    }
}

/// Draws `patches`, in this order from the ground up, into `secs` of the street.
fn draw(to: &Path, secs: u32, patches: &[Patch]) {
    let street = footage();
    let secs = secs.to_string();
    let mut args = vec!["-v", "error", "-i", street.path().to_str().unwrap()];
    let sources: Vec<String> = patches
        .iter()
        .map(|p| format!("color={}:s={}x{}:r=10", p.colour, p.width, p.height))
        .collect();
    for source in &sources {
        args.extend(["-f", "lavfi", "-i", source]);
    }
    let layers = patches.iter().enumerate().map(|(i, p)| {
        let Patch { x, y, from, to, .. } = p;
        let over = i + 1;
        format!(
            ";[{i}o][{over}]overlay=x='{x}':y='{y}':enable='between(t,{from},{to})':shortest=1[{over}o]"
        )
    });
    let filter = format!("[0]hue=s=0[0o]{}", layers.collect::<String>());
    let last = format!("[{}o]", patches.len());
    args.extend(["-filter_complex", &filter, "-map", &last, "-t", &secs]);
    args.extend(["-c:v", "libx264", "-preset", "veryfast", "-qp", "22"]);
    args.extend(["-bf", "0", "-g", "20", "-threads", "1"]);
    args.push(to.to_str().unwrap());
    tool("ffmpeg", &args);
}

/// The demonstration's profile for a camera that stands still before a shop, a road and a pavement,
/// and the detector of coloured patches.
fn drawn(profile: &mut DocumentMut) {
    let zones = r#"
[telemetry]
source = "fixed"
lat = 36.128
lon = 120.3
accuracy_m = 0.5

[[zone]]
name = "shop"
camera = "street"
kind = "shop_front"
polygon = [[0.10, 0.50], [0.36, 0.50], [0.36, 0.85], [0.10, 0.85]]
threshold = [[0.10, 0.60], [0.36, 0.60]]

[[zone]]
name = "road"
camera = "street"
kind = "road"
polygon = [[0.05, 0.80], [0.95, 0.80], [0.95, 0.98], [0.05, 0.98]]

[[zone]]
name = "pavement"
camera = "street"
kind = "no_vending"
polygon = [[0.38, 0.60], [0.75, 0.60], [0.75, 0.79], [0.38, 0.79]]

[judge.street_vending]
roles = ["stall", "umbrella", "tricycle", "goods"]
dwell_secs = 4.0
grace_secs = 3.0

[judge.out_of_store]
dwell_secs = 3.0
grace_secs = 3.0
law = { basis = "test", discretion = "50-500", announcement = "test 1" }

[judge.spillage]
law = { basis = "test" }
"#;
    let ours: DocumentMut = zones.parse().unwrap();
    for table in ["telemetry", "zone", "judge"] {
        profile[table] = ours[table].clone();
    }
    let card = root().join("tests/data/cards/colours.toml");
    profile["model"]["card"] = value(card.to_string_lossy().into_owned());
    profile["camera"][0]["mount"] = value("fixed");
}

/// What a replay of a film with these patches tells.
fn judged(secs: u32, patches: &[Patch]) -> Vec<Story> {
    let dir = tempfile::tempdir().unwrap();
    let mut profile = profile(dir.path(), Path::new("keys-are-not-here"));
    drawn(&mut profile);
    fs::write(dir.path().join("lingmou.toml"), profile.to_string()).unwrap();
    draw(&dir.path().join("street.mp4"), secs, patches);
    stories(&replay(dir.path(), &[]).0)
}

fn story(found: i64, orders: &[&str], outcome: &str) -> Story {
    Story {
        found,
        orders: orders.iter().map(|&o| o.to_owned()).collect(),
        outcome: outcome.to_owned(),
    }
}

/// Second, orders and outcome of each rule, with what is drawn known to the pixel.
#[test]
fn drawn_offences_are_found_and_their_nearest_neighbours_are_not() {
    let warned = [
        "snap found",
        "warn",
        "snap warned",
        "clip",
        "snap again",
        "seal",
    ];
    let shop = judged(24, &[GOODS]);
    assert_eq!(shop, [story(5, &warned, "persisted")]);
    let taken_in = Patch { to: 8.0, ..GOODS };
    let corrected = judged(24, &[taken_in]);
    assert_eq!(corrected, [story(5, &warned, "corrected")]);
    // A seller counts who has stayed beside it: half of the time is reached after eight seconds.
    let stall = judged(24, &[TRICYCLE, WARES, SELLER]);
    assert_eq!(stall, [story(10, &warned, "persisted")]);
    let spilled = [
        "snap moved",
        "snap plate",
        "snap before",
        "snap peak",
        "clip",
        "snap after",
        "seal",
    ];
    let road = judged(26, &[RUBBLE, LORRY, PLATE]);
    assert_eq!(road, [story(15, &spilled, "recorded")]);

    let none: [Story; 0] = [];
    let inside = Patch { y: "250", ..GOODS };
    assert_eq!(judged(12, &[inside]), none, "behind the threshold");
    let no_seller = [TRICYCLE, WARES];
    assert_eq!(judged(12, &no_seller), none, "nobody attends to it");
    let passes = |p: Patch, x| Patch { x, ..p };
    let rides = [
        passes(TRICYCLE, "100+t*40"),
        passes(WARES, "150+t*40"),
        passes(SELLER, "200+t*40"),
    ];
    assert_eq!(judged(12, &rides), none, "it rides past");
    let before = Patch {
        from: 0.0,
        ..RUBBLE
    };
    assert_eq!(judged(22, &[before, LORRY, PLATE]), none, "it lay there");
    assert_eq!(judged(22, &[LORRY, PLATE]), none, "nothing fell");
}

/// The package that the running daemon made of `film`, receipted and audited, and its folder.
async fn package_of(film: &[Patch]) -> (Field, PathBuf, Statement) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("film.mp4");
    draw(&path, 40, film);
    let camera = camera_of(&path, 0);
    let field = Field::start(&camera.url(STREAM), &drawn).await;
    let daemon = field.daemon();
    until(&field, "a receipt", async || !field.receipted().is_empty()).await;
    drop(daemon);
    let package = field.receipted().remove(0);
    field.audit(&package);
    let statement = fs::read(package.join("evidence.json")).unwrap();
    let statement = Statement::parse(&statement).unwrap();
    assert_eq!(statement.omitted, []);
    (field, package, statement)
}

/// The share of a picture's pixels in `area` (x, y, width, height) that have this colour, by ffmpeg.
fn share_of(picture: &Path, [r, g, b]: [bool; 3]) -> f64 {
    let out = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(picture)
        .args(["-pix_fmt", "rgb24", "-f", "rawvideo", "-"])
        .output()
        .unwrap();
    assert!(out.status.success(), "{out:?}");
    let is = |value: u8, there: bool| if there { value > 150 } else { value < 90 };
    let pixels = out.stdout.as_chunks::<3>().0;
    let all = pixels.len();
    let ours = pixels
        .iter()
        .filter(|p| is(p[0], r) && is(p[1], g) && is(p[2], b))
        .count();
    assert!(all > 0);
    #[expect(clippy::cast_precision_loss, reason = "pixels of a picture")]
    let share = ours as f64 / all as f64;
    share
}

fn pictures(statement: &Statement) -> Vec<&str> {
    let jpeg = |f: &&FileEntry| f.media_type == "image/jpeg";
    let files = statement.files.iter().filter(jpeg);
    files.map(|f| f.name.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn goods_before_a_shop_go_the_whole_way() {
    let (field, package, statement) = package_of(&[GOODS]).await;
    let violation = statement.violation.as_ref().unwrap();
    assert_eq!(violation.kind.name(), "out_of_store");
    assert_eq!(violation.outcome.name(), "persisted");
    assert_eq!(statement.warning.len(), 1);
    assert_eq!(field.journal("package.sealed").len(), 1);
    for name in pictures(&statement) {
        let close = name.ends_with("-close.jpg");
        let green = share_of(&package.join(name), [false, true, false]);
        assert!(
            if close { green > 0.1 } else { green > 0.01 },
            "{name}: {green}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_load_goes_the_whole_way() {
    let (field, package, statement) = package_of(&[RUBBLE, LORRY, PLATE]).await;
    let violation = statement.violation.as_ref().unwrap();
    assert_eq!(violation.kind.name(), "spillage");
    assert_eq!(violation.outcome.name(), "recorded");
    assert_eq!(statement.warning, [], "it is recorded at once");
    assert_eq!(field.journal("warning.begun").len(), 0);
    // The lorry and its plate are in full in the pictures that are said to show them; what it lost
    // lies there when it has gone.
    let share = |name: &str, colour| share_of(&package.join("frames").join(name), colour);
    let (red, yellow, magenta) = (
        [true, false, false],
        [true, true, false],
        [true, false, true],
    );
    assert!(share("02-plate.jpg", yellow) > 0.001);
    for close in [
        "01-moved-close.jpg",
        "02-plate-close.jpg",
        "03-before-close.jpg",
    ] {
        let part = share(close, red);
        assert!(part > 0.1, "{close}: {part}");
    }
    for close in ["04-peak-close.jpg", "05-after-close.jpg"] {
        let part = share(close, magenta);
        assert!(part > 0.02, "{close}: {part}");
        let part = share(close, red);
        assert!(part < 0.01, "{close}: {part}");
    }
}

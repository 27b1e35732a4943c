//! The detector against the real ONNX Runtime: miniature models in every layout, bad ones of
//! every kind, the shipped cards, and real models on real footage where both are at hand.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::skip::skipped;
use lingmou::config;
use lingmou::config::ExecutionProvider;
use lingmou::perceive::{Card, Detector, ModelError, NO_REPORTS};
use lingmou::types::{Area, Detection, Image, PixelFormat, Role};
use sha2::{Digest, Sha256};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn mini(file: &str) -> PathBuf {
    root().join("tests/data/models").join(file)
}

/// `[model]` as shipped, with the runtime looked for below the project's root.
fn settings() -> config::Model {
    config::Model {
        execution_providers: vec![ExecutionProvider::Cpu],
        ..config::Model::default()
    }
}

/// A card for a miniature model.
struct Draft {
    model: PathBuf,
    format: &'static str,
    width: usize,
    input: &'static str,
    output: &'static str,
    labels: u16,
}

impl Draft {
    fn new(file: &str, format: &'static str) -> Self {
        Self {
            model: mini(file),
            format,
            width: 64,
            input: "image",
            output: match format {
                "efficientdet" => "boxes = \"boxes\"\nscores = \"scores\"",
                "yolox" => "output = \"output\"\nstrides = [8, 16, 32]",
                _ => "output = \"output\"",
            },
            labels: 3,
        }
    }

    /// Writes the card and its model into `dir`.
    fn write(&self, dir: &Path) -> PathBuf {
        let bytes = fs::read(&self.model).unwrap();
        let hash = sha256(&bytes);
        put(&dir.join("mini.onnx"), &bytes);
        let mut text = format!(
            "version = 1\nname = \"mini\"\nfile = \"mini.onnx\"\nsha256 = \"{hash}\"\n\
             format = \"{}\"\nsource = \"tests\"\nlicence = \"Apache-2.0\"\n\
             score_threshold = 0.4\nnms_iou = 0.5\n\
             [input]\nname = \"{}\"\nwidth = {}\nheight = 32\ncolour = \"rgb\"\n\
             mean = [0.0, 0.0, 0.0]\nstd = [1.0, 1.0, 1.0]\npad = 127\nalign = \"top_left\"\n\
             [output]\n{}\n",
            self.format, self.input, self.width, self.output
        );
        for index in 0..self.labels {
            let roles = ["[\"person\"]", "[\"truck\"]"];
            let roles = roles.get(usize::from(index)).unwrap_or(&"[]");
            text += &label(index, roles);
        }
        let card = dir.join("mini.toml");
        put(&card, text.as_bytes());
        card
    }

    fn open(&self) -> Result<Detector, ModelError> {
        let dir = tempfile::tempdir().unwrap();
        Detector::open(&settings(), Card::read(&self.write(dir.path()))?)
    }
}

fn label(index: u16, roles: &str) -> String {
    format!("[[label]]\nindex = {index}\nname = \"c{index}\"\nroles = {roles}\n")
}

/// Lower-case hex.
fn sha256(bytes: &[u8]) -> String {
    let mut hex = String::new();
    for byte in Sha256::digest(bytes) {
        write!(hex, "{byte:02x}").unwrap();
    }
    hex
}

fn put(path: &Path, bytes: &[u8]) {
    let mut file = fs::File::create(path).unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
}

/// A frame of one grey.
fn grey(format: PixelFormat, width: usize, height: usize, luma: u8) -> Image {
    let mut data = vec![luma; width * height];
    data.resize(width * height * 3 / 2, 128);
    Image::packed(format, width, height, data)
}

fn close(area: Area, x0: f32, y0: f32, x1: f32, y1: f32) -> bool {
    let same = |a: f32, b: f32| (a - b).abs() < 1e-3;
    same(area.x0, x0) && same(area.y0, y0) && same(area.x1, x1) && same(area.y1, y1)
}

#[test]
fn every_layout_finds_the_same_things_in_a_bright_frame_and_none_in_a_black_one() {
    let layouts = [
        ("efficientdet.onnx", "efficientdet"),
        ("dynamic_input.onnx", "efficientdet"),
        ("yolox.onnx", "yolox"),
        ("yolo_rows.onnx", "yolo"),
        ("yolo_columns.onnx", "yolo"),
        ("end_to_end.onnx", "end_to_end"),
    ];
    for (file, format) in layouts {
        let mut detector = Draft::new(file, format).open().unwrap();
        assert_eq!(detector.providers(), [ExecutionProvider::Cpu], "{file}");
        // The order matters: an output bound once must follow the frame, also from none to some.
        for (pixels, luma) in [
            (PixelFormat::I420, 16),
            (PixelFormat::I420, 235),
            (PixelFormat::Nv12, 235),
            (PixelFormat::Nv12, 16),
            (PixelFormat::I420, 235),
        ] {
            let found = detector.detect(&grey(pixels, 128, 64, luma)).unwrap();
            if luma == 16 {
                assert_eq!(found, [], "{file} {pixels:?}: black");
                continue;
            }
            let labels: Vec<u16> = found.iter().map(|d| d.label).collect();
            // What has no role comes last, however sure the model is.
            assert_eq!(labels, [0, 1, 2], "{file} {pixels:?}: {found:?}");
            assert!((found[0].score - 0.9).abs() < 0.01, "{file}: {found:?}");
            assert!(
                close(found[0].area, 0.125, 0.125, 0.375, 0.875),
                "{file}: {found:?}"
            );
            assert!(
                close(found[1].area, 0.625, 0.25, 0.875, 0.75),
                "{file}: {found:?}"
            );
            assert!(found[0].roles.has(Role::Person) && found[1].roles.has(Role::Truck));
            assert!(found[2].roles.is_empty() && found[2].score > found[1].score);
        }
    }
}

#[test]
fn a_new_picture_size_is_followed_and_the_bars_are_left_out() {
    let mut detector = Draft::new("yolox.onnx", "yolox").open().unwrap();
    // 2:1 fills the canvas; 1:1 covers its left half, where the first box lies, and a part of the last.
    let wide = detector.detect(&grey(PixelFormat::I420, 128, 64, 235));
    assert_eq!(wide.unwrap().len(), 3);
    let square = detector
        .detect(&grey(PixelFormat::I420, 64, 64, 235))
        .unwrap();
    let labels: Vec<u16> = square.iter().map(|d| d.label).collect();
    assert_eq!(labels, [0, 2], "{square:?}");
    assert!(
        close(square[0].area, 0.25, 0.125, 0.75, 0.875),
        "{square:?}"
    );
    let wide = detector.detect(&grey(PixelFormat::I420, 1280, 640, 235));
    assert_eq!(wide.unwrap().len(), 3);
}

#[test]
fn a_bad_frame_is_refused_and_the_next_one_is_good() {
    let mut detector = Draft::new("efficientdet.onnx", "efficientdet")
        .open()
        .unwrap();
    let good = grey(PixelFormat::I420, 128, 64, 235);
    let mut empty = good.clone();
    (empty.width, empty.height) = (0, 0);
    let mut short = good.clone();
    short.height = 66;
    let mut strided = good.clone();
    strided.planes[2].stride = usize::MAX;
    let mut huge = good.clone();
    huge.width = 1 << 20;
    for bad in [empty, short, strided, huge] {
        let error = detector.detect(&bad).unwrap_err();
        assert!(
            matches!(error, ModelError::Frame { .. }),
            "{bad:?}: {error}"
        );
        assert_eq!(detector.detect(&good).unwrap().len(), 3, "after {bad:?}");
    }
}

/// Opens each draft and looks for the words in its refusal.
fn refused(table: &[(Draft, [&str; 2])]) {
    for (draft, expected) in table {
        let error = draft.open().expect_err("must be refused").to_string();
        for part in expected {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
        assert!(error.contains("mini.onnx"), "names no file: {error}");
    }
}

#[test]
fn what_is_no_model_or_wants_another_input_is_refused_with_a_reason() {
    let good = || Draft::new("efficientdet.onnx", "efficientdet");
    let (mut name, mut size) = (good(), good());
    name.input = "images";
    size.width = 96;
    refused(&[
        (
            Draft::new("text.onnx", "efficientdet"),
            ["is not an ONNX model", "text file"],
        ),
        (
            Draft::new("unknown_operator.onnx", "yolo"),
            ["refuses", "Frobnicate"],
        ),
        (name, ["calls the input \"images\"", "the model \"image\""]),
        (size, ["float32 [1, 3, 32, 96]", "64"]),
        (
            Draft::new("byte_input.onnx", "efficientdet"),
            ["float32", "u8"],
        ),
    ]);
}

#[test]
fn what_gives_other_outputs_than_its_card_says_is_refused_with_a_reason() {
    let with_labels = |file, format, labels| Draft {
        labels,
        ..Draft::new(file, format)
    };
    let with_output = |file, format, output| Draft {
        output,
        ..Draft::new(file, format)
    };
    let (file, format) = ("efficientdet.onnx", "efficientdet");
    refused(&[
        (
            with_output(file, format, "boxes = \"boxes\"\nscores = \"score\""),
            ["names the output \"score\"", "\"scores\""],
        ),
        (
            with_output(file, format, "boxes = \"scores\"\nscores = \"boxes\""),
            ["wants boxes [1, N, 4]", "[1, 4, 3]"],
        ),
        (
            with_labels(file, format, 2),
            ["knows 3 classes, its card has 2 labels", "[[label]]"],
        ),
        (
            with_labels("yolox.onnx", "yolox", 4),
            ["knows 3 classes, its card has 4 labels", "[[label]]"],
        ),
        (
            with_output(
                "yolox.onnx",
                "yolox",
                "output = \"output\"\nstrides = [8, 16]",
            ),
            ["make 40 cells", "gives 42"],
        ),
        (
            with_labels("yolo_columns.onnx", "yolo", 2),
            ["wants [1, N, 7] or [1, 6, N]", "[1, 7, 4]"],
        ),
        (
            Draft::new("yolo_rows.onnx", "end_to_end"),
            ["wants [N, 6]", "[1, 4, 8]"],
        ),
    ]);
}

#[test]
fn a_provider_that_is_not_there_falls_back_to_the_cpu() {
    for provider in [
        ExecutionProvider::Xnnpack,
        ExecutionProvider::Cuda,
        ExecutionProvider::Tensorrt,
        ExecutionProvider::Acl,
        ExecutionProvider::Rknpu,
        ExecutionProvider::Cann,
    ] {
        let dir = tempfile::tempdir().unwrap();
        let card = Draft::new("yolox.onnx", "yolox").write(dir.path());
        let settings = config::Model {
            execution_providers: vec![provider, ExecutionProvider::Cpu],
            ..settings()
        };
        let mut detector = Detector::open(&settings, Card::read(&card).unwrap()).unwrap();
        assert_eq!(detector.providers().last(), Some(&ExecutionProvider::Cpu));
        let frame = grey(PixelFormat::Nv12, 128, 64, 235);
        assert_eq!(detector.detect(&frame).unwrap().len(), 3, "{provider:?}");
    }
}

#[test]
fn a_runtime_that_is_not_there_names_where_it_was_looked_for() {
    // In a process of its own nothing is loaded yet; here another test may have been first, and
    // then the loaded runtime stays. Both are right; a wrong library is never taken.
    let dir = tempfile::tempdir().unwrap();
    let card = Card::read(&Draft::new("yolox.onnx", "yolox").write(dir.path())).unwrap();
    let absent = dir.path().join("libonnxruntime.so");
    let settings = config::Model {
        runtime: absent.clone(),
        ..settings()
    };
    if let Err(error) = Detector::open(&settings, card) {
        let text = error.to_string();
        assert!(text.contains(&absent.display().to_string()), "{text}");
        assert!(text.contains("make setup"), "{text}");
    }
}

/// Both halves: the program says it by itself, whatever it is started with, and what does not say it gets no
/// runtime (decision 0076).
#[test]
fn no_runtime_is_loaded_that_was_not_told_to_report_to_nobody() {
    let (name, value) = NO_REPORTS;
    if std::env::var_os(name).is_none() {
        let dir = tempfile::tempdir().unwrap();
        let card = Card::read(&Draft::new("yolox.onnx", "yolox").write(dir.path())).unwrap();
        let error = Detector::open(&settings(), card).unwrap_err();
        assert!(matches!(error, ModelError::Reports), "{error}");
        assert!(error.to_string().contains(&format!("{name}={value}")));
        return;
    }
    let mut untold = Command::new(std::env::current_exe().unwrap());
    let this = "perceive::no_runtime_is_loaded_that_was_not_told_to_report_to_nobody";
    let run = untold.args(["--exact", this]).env_remove(name).output();
    let run = run.unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{said}");

    let mut program = Command::new(env!("CARGO_BIN_EXE_lingmou"));
    let config = "config/profiles/pole.toml";
    program.args(["check", "--json", "--config", config]);
    let run = program.env(name, "0").current_dir(root()).output();
    let said = String::from_utf8(run.unwrap().stdout).unwrap();
    let model = said
        .lines()
        .find(|l| l.contains(r#""what":"model","ok":true"#));
    assert!(model.is_some(), "{said}");
}

/// The one that is set up could not if it wanted: it names no function that finds a host.
#[test]
fn the_runtime_that_is_set_up_can_reach_nobody() {
    let library = fs::read(root().join(".setup/onnxruntime/libonnxruntime.so"));
    let library = library.expect("ONNX Runtime (run: make setup)");
    let names = |word: &[u8]| library.windows(word.len()).any(|w| w == word);
    assert!(names(b"\0malloc\0"), "no table of names");
    assert!(!names(b"\0getaddrinfo\0") && !names(b"\0gethostbyname\0"));
}

#[test]
fn the_detector_can_live_on_its_own_thread() {
    fn is_send<T: Send>() {}
    is_send::<Detector>();
    is_send::<Card>();
}

/// Every `models/*.toml`: its hash, labels and tensors are what it says.
#[test]
fn every_shipped_card_is_true() {
    let entries = fs::read_dir(root().join("models")).unwrap();
    let mut cards: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    cards.retain(|path| path.extension().is_some_and(|e| e == "toml"));
    cards.sort();
    assert!(!cards.is_empty());
    for path in cards {
        let card = Card::read(&path).unwrap_or_else(|e| panic!("{e}"));
        assert!(!card.roles().is_empty(), "{}", path.display());
        assert!(!card.source().is_empty() && !card.licence().is_empty());
        let mut detector = Detector::open(&settings(), card).unwrap_or_else(|e| panic!("{e}"));
        let grey = grey(PixelFormat::I420, 1920, 1080, 128);
        assert_eq!(detector.detect(&grey).unwrap(), [], "{}", path.display());
    }
}

/// A frame of Debian's opencv-doc footage, as decoded.
fn street(at_secs: u32) -> Image {
    let clip = "/usr/share/doc/opencv-doc/examples/data/vtest.avi";
    let out = Command::new("ffmpeg")
        .args(["-v", "error", "-ss", &at_secs.to_string(), "-i", clip])
        .args([
            "-frames:v",
            "1",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "yuv420p",
            "-",
        ])
        .output()
        .expect("ffmpeg (run: make setup)");
    let (width, height) = (768, 576);
    assert_eq!(
        out.stdout.len(),
        width * height * 3 / 2,
        "{clip} (run: make setup)"
    );
    Image::packed(PixelFormat::I420, width, height, out.stdout)
}

/// The shipped model, and another layout where its file lies beside the project.
#[test]
fn real_models_find_people_on_real_footage() {
    let mut cards = vec![root().join("models/efficientdet-lite0.toml")];
    let theirs = root().join("../shared/data/models/yolox_nano_416.onnx");
    if theirs.exists() {
        cards.push(root().join("tests/data/cards/yolox-nano-416.toml"));
    } else {
        skipped(&format!("{} is not there", theirs.display()));
    }
    let frame = street(12);
    for card in cards {
        let file = card.display();
        let mut detector = Detector::open(&settings(), Card::read(&card).unwrap()).unwrap();
        let found = detector.detect(&frame).unwrap();
        let people: Vec<&Detection> = found
            .iter()
            .filter(|d| d.roles.has(Role::Person) && d.score >= 0.35)
            .collect();
        println!("{file}: {} people", people.len());
        assert!(people.len() >= 4, "{file}: {found:?}");
        let upright = people
            .iter()
            .filter(|p| p.area.height() * 576.0 > p.area.width() * 768.0);
        assert!(
            upright.count() * 4 >= people.len() * 3,
            "{file}: {people:?}"
        );
    }
}

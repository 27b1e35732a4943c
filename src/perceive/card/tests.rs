//! Cards, good and bad.

use std::fs::File;
use std::io::Write as _;

use super::*;
use crate::types::{Role, sha256_hex};

/// SHA-256 of `MODEL`.
const HASH: &str = "9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4";
const MODEL: &[u8] = b"model";

const GOOD: &str = r#"version = 1
name = "mini"
file = "mini.onnx"
sha256 = "HASH"
format = "yolox"
source = "https://example.org"
licence = "Apache-2.0"
score_threshold = 0.4
nms_iou = 0.5
[input]
name = "images"
width = 64
height = 32
colour = "bgr"
mean = [0.0, 0.0, 0.0]
std = [1.0, 1.0, 1.0]
pad = 114
align = "centre"
[output]
output = "output"
strides = [8, 16]
[[label]]
index = 1
name = "truck"
roles = ["truck", "vehicle"]
[[label]]
index = 0
name = "kite"
roles = []
"#;

/// Reads a card of this text, beside a model.
fn read(text: &str) -> Result<Card, ModelError> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let put = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = dir.path().join(name);
        let mut file = File::create(&path).expect("a new file");
        file.write_all(bytes).expect("room for it");
        path
    };
    put("mini.onnx", MODEL);
    put("empty.onnx", b"");
    Card::read(&put("mini.toml", text.replace("HASH", HASH).as_bytes()))
}

#[test]
fn a_good_card_says_what_it_says() {
    let mut card = read(GOOD).expect("a good card");
    assert_eq!(card.name(), "mini");
    assert_eq!(card.sha256(), HASH);
    let text = GOOD.replace("HASH", HASH);
    assert_eq!(card.own_sha256(), sha256_hex(text.as_bytes()));
    assert_eq!((card.input().width, card.input().height), (64, 32));
    assert_eq!(card.input().align, Align::Centre);
    assert_eq!(
        (card.label(0), card.label(1), card.label(2)),
        ("kite", "truck", "")
    );
    assert!(card.roles().has(Role::Truck) && card.roles().has(Role::Vehicle));
    assert!(!card.roles().has(Role::Person));
    assert_eq!(card.score_floor().to_bits(), 0.2_f32.to_bits());
    assert_eq!(card.format().outputs(), ["output"]);
    assert_eq!(card.take_bytes(), MODEL);
}

/// What is replaced by what in [`GOOD`], the error, and what it must say besides the card's name.
const BAD: [(&str, &str, &str, &str); 24] = [
    ("version = 1", "version = 2", "CardVersion", "version = 1"),
    ("name = \"mini\"", "name = 3", "CardSyntax", "line 2"),
    ("pad = 114", "pad = 114\ngamma = 2", "CardSyntax", "gamma"),
    ("pad = 114", "pad = 300", "CardSyntax", "300"),
    ("pad = 114\n", "", "CardSyntax", "pad"),
    ("\"bgr\"", "\"grey\"", "CardSyntax", "grey"),
    ("\"yolox\"", "\"ssd\"", "UnknownFormat", "end_to_end"),
    ("\"vehicle\"", "\"lorry\"", "UnknownRole", "tricycle"),
    ("index = 0", "index = 1", "DuplicateLabel", "twice"),
    ("index = 1", "index = 2", "MissingLabel", "index 1"),
    ("index = 0", "index = 70000", "CardSyntax", "70000"),
    ("\"truck\", \"vehicle\"", "", "NoRoles", "roles"),
    ("0.4", "1.5", "CardValue", "score_threshold"),
    ("0.4", "nan", "CardValue", "score_threshold"),
    ("nms_iou = 0.5", "nms_iou = 0.0", "CardValue", "nms_iou"),
    ("width = 64", "width = 0", "CardValue", "input.width"),
    ("height = 32", "height = 9000", "CardValue", "4096"),
    ("std = [1.0,", "std = [0.0,", "CardValue", "input.std"),
    ("[8, 16]", "[8, 24]", "CardValue", "64x32"),
    ("strides = [8, 16]\n", "", "CardValue", "needs this key"),
    ("\"yolox\"", "\"yolo\"", "CardValue", "output.strides"),
    ("\"HASH\"", "\"ABC\"", "CardValue", "hexadecimal"),
    ("mini.onnx", "absent.onnx", "ModelUnreadable", "absent.onnx"),
    ("mini.onnx", "empty.onnx", "ModelUnreadable", "empty"),
];

#[test]
fn a_bad_card_is_refused_and_says_where_and_what_to_do() {
    for (from, to, variant, says) in BAD {
        let text = GOOD.replace(from, to);
        assert_ne!(text, GOOD, "{from} is not in the card");
        let error = read(&text).expect_err(to);
        let message = error.to_string();
        let kind = format!("{error:?}");
        assert!(kind.starts_with(variant), "{from} -> {to}: {kind}");
        assert!(
            message.contains(says),
            "{from} -> {to}: {says:?} not in {message}"
        );
        assert!(message.contains("mini.toml"), "names no card: {message}");
    }
}

#[test]
fn one_changed_byte_in_the_model_is_found() {
    let text = GOOD.replace("HASH", &HASH.replace("93", "94"));
    let error = read(&text).expect_err("another hash");
    assert!(matches!(error, ModelError::WrongHash { .. }), "{error:?}");
    let message = error.to_string();
    assert!(
        message.contains(HASH) && message.contains("mini.onnx"),
        "{message}"
    );
}

#[test]
fn a_card_that_is_not_there_is_named() {
    let error = Card::read(Path::new("/nowhere/at-all.toml")).expect_err("no file");
    assert!(matches!(error, ModelError::CardUnreadable { .. }));
    assert!(error.to_string().contains("/nowhere/at-all.toml"));
}

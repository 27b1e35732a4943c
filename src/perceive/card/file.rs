//! Reads a card's file and the model it names.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::types::{Role, RoleSet, sha256_hex};

use super::super::error::{ModelError, role_name};
use super::{Card, Format, Input, Label};

/// The card version read here.
const VERSION: u32 = 1;
/// Smallest and largest side of a model's input, pixels.
const SIDE: std::ops::RangeInclusive<usize> = 16..=4096;

/// Reads the card at `path` and its model; see [`Card::read`].
pub(super) fn read(path: &Path) -> Result<Card, ModelError> {
    let text = fs::read_to_string(path).map_err(|source| ModelError::CardUnreadable {
        path: path.to_owned(),
        source,
    })?;
    let raw: RawCard = toml::from_str(&text).map_err(|e| ModelError::CardSyntax {
        path: path.to_owned(),
        message: e.to_string().trim_end().to_owned(),
    })?;
    if raw.version != VERSION {
        return Err(ModelError::CardVersion {
            path: path.to_owned(),
            found: raw.version,
        });
    }
    check_numbers(path, &raw)?;
    let format = format(path, &raw)?;
    let labels = labels(path, &raw.label)?;
    let model = path.parent().unwrap_or(Path::new("")).join(&raw.file);
    let bytes = read_model(path, &model, &raw.sha256)?;
    Ok(Card {
        path: path.to_owned(),
        model,
        bytes,
        name: raw.name,
        sha256: raw.sha256,
        own_sha256: sha256_hex(text.as_bytes()),
        source: raw.source,
        licence: raw.licence,
        format,
        score_threshold: raw.score_threshold,
        nms_iou: raw.nms_iou,
        input: raw.input,
        labels,
    })
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCard {
    version: u32,
    name: String,
    file: PathBuf,
    sha256: String,
    format: String,
    source: String,
    licence: String,
    score_threshold: f32,
    nms_iou: f32,
    input: Input,
    output: RawOutput,
    #[serde(default)]
    label: Vec<RawLabel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOutput {
    boxes: Option<String>,
    scores: Option<String>,
    output: Option<String>,
    strides: Option<Vec<usize>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLabel {
    index: u16,
    name: String,
    roles: Vec<String>,
}

/// Refuses numbers that would make every result meaningless.
fn check_numbers(path: &Path, raw: &RawCard) -> Result<(), ModelError> {
    let input = &raw.input;
    let fraction = |x: f32| x > 0.0 && x < 1.0;
    let side = |x: usize| SIDE.contains(&x);
    let sides = format!("must be {} to {} pixels", SIDE.start(), SIDE.end());
    let hex = raw.sha256.len() == 64
        && (raw.sha256.bytes()).all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let checks: [(bool, &'static str, &str); 8] = [
        (hex, "sha256", "must be 64 lower-case hexadecimal digits"),
        (
            fraction(raw.score_threshold),
            "score_threshold",
            "must lie between 0.0 and 1.0",
        ),
        (
            fraction(raw.nms_iou),
            "nms_iou",
            "must lie between 0.0 and 1.0",
        ),
        (side(input.width), "input.width", &sides),
        (side(input.height), "input.height", &sides),
        (
            input.mean.iter().all(|m| m.is_finite()),
            "input.mean",
            "must be three plain numbers",
        ),
        (
            input.std.iter().all(|s| s.is_normal()),
            "input.std",
            "must be three numbers other than zero",
        ),
        (
            !raw.name.is_empty(),
            "name",
            "must not be empty: evidence names the model by it",
        ),
    ];
    match checks.into_iter().find(|(good, ..)| !good) {
        None => Ok(()),
        Some((_, key, problem)) => Err(value(path, key, problem)),
    }
}

/// One value out of its range.
fn value(path: &Path, key: &'static str, problem: impl Into<String>) -> ModelError {
    ModelError::CardValue {
        path: path.to_owned(),
        key,
        problem: problem.into(),
    }
}

/// The output layout; refuses keys that another layout would want.
fn format(path: &Path, raw: &RawCard) -> Result<Format, ModelError> {
    let out = &raw.output;
    let given = [
        ("output.boxes", out.boxes.is_some()),
        ("output.scores", out.scores.is_some()),
        ("output.output", out.output.is_some()),
        ("output.strides", out.strides.is_some()),
    ];
    let wanted: &[&str] = match raw.format.as_str() {
        "efficientdet" => &["output.boxes", "output.scores"],
        "yolox" => &["output.output", "output.strides"],
        "yolo" | "end_to_end" => &["output.output"],
        found => {
            return Err(ModelError::UnknownFormat {
                path: path.to_owned(),
                found: found.to_owned(),
            });
        }
    };
    for (key, there) in given {
        if there != wanted.contains(&key) {
            let verb = if there { "does not have" } else { "needs" };
            let problem = format!("format = {:?} {verb} this key", raw.format);
            return Err(value(path, key, problem));
        }
    }
    let output = out.output.clone();
    Ok(match (out.boxes.clone(), out.scores.clone(), output) {
        (Some(boxes), Some(scores), _) => Format::EfficientDet { boxes, scores },
        (.., Some(output)) => match &out.strides {
            Some(strides) => Format::Yolox {
                strides: check_strides(path, strides, &raw.input)?,
                output,
            },
            None if raw.format == "yolo" => Format::Yolo { output },
            None => Format::EndToEnd { output },
        },
        _ => return Err(value(path, "output", "names no tensor")),
    })
}

/// A grid cell must divide the canvas, or the cells cannot be counted.
fn check_strides(path: &Path, strides: &[usize], input: &Input) -> Result<Vec<usize>, ModelError> {
    let divides =
        |s: &usize| *s > 0 && input.width.is_multiple_of(*s) && input.height.is_multiple_of(*s);
    if strides.is_empty() || !strides.iter().all(divides) {
        let problem = format!(
            "each must divide the input's {}x{} pixels",
            input.width, input.height
        );
        return Err(value(path, "output.strides", problem));
    }
    Ok(strides.to_vec())
}

/// The labels by index, without hole or double.
fn labels(path: &Path, raw: &[RawLabel]) -> Result<Vec<Label>, ModelError> {
    let roles_by_name: BTreeMap<String, Role> =
        Role::ALL.into_iter().map(|r| (role_name(r), r)).collect();
    let mut by_index = BTreeMap::new();
    for label in raw {
        let roles = (label.roles.iter())
            .map(|found| {
                let role = roles_by_name.get(found).copied();
                role.ok_or_else(|| ModelError::UnknownRole {
                    path: path.to_owned(),
                    index: label.index,
                    found: found.clone(),
                })
            })
            .collect::<Result<RoleSet, _>>()?;
        let entry = Label {
            name: label.name.clone(),
            roles,
        };
        if by_index.insert(label.index, entry).is_some() {
            return Err(ModelError::DuplicateLabel {
                path: path.to_owned(),
                index: label.index,
            });
        }
    }
    for (expected, index) in (0..).zip(by_index.keys()) {
        if *index != expected {
            return Err(ModelError::MissingLabel {
                path: path.to_owned(),
                index: expected,
            });
        }
    }
    if by_index.values().all(|label| label.roles.is_empty()) {
        return Err(ModelError::NoRoles {
            path: path.to_owned(),
        });
    }
    Ok(by_index.into_values().collect())
}

/// Reads the model and compares its hash.
fn read_model(card: &Path, model: &Path, expected: &str) -> Result<Vec<u8>, ModelError> {
    let unreadable = |source| ModelError::ModelUnreadable {
        card: card.to_owned(),
        path: model.to_owned(),
        source,
    };
    let bytes = fs::read(model).map_err(unreadable)?;
    if bytes.is_empty() {
        return Err(unreadable(std::io::Error::new(
            ErrorKind::UnexpectedEof,
            "the file is empty",
        )));
    }
    let actual = sha256_hex(&bytes);
    if actual == expected {
        Ok(bytes)
    } else {
        Err(ModelError::WrongHash {
            card: card.to_owned(),
            path: model.to_owned(),
            expected: expected.to_owned(),
            actual,
        })
    }
}

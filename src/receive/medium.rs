//! The marker that makes a medium one for second copies, and tells it from another.

use std::path::Path;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ReceiveError;
use crate::disk::{self, DiskError};

/// The file that marks a medium as one for second copies.
pub(super) const MARKER: &str = "lingmou-copies.json";
/// Value of `type` in it.
const KIND: &str = "lingmou.copies";

/// What is in it.
#[derive(Serialize, Deserialize)]
struct Marker {
    v: u32,
    #[serde(rename = "type")]
    kind: String,
    /// Which medium it is; media that were prepared by the first versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<Uuid>,
}

/// Which medium is at `dir`, as far as its marker says, or why there is none.
pub(super) fn recognise(dir: &Path) -> Result<Option<Uuid>, String> {
    let path = dir.join(MARKER);
    let text = std::fs::read(&path).map_err(|error| {
        format!(
            "no medium for second copies at {}: it is not in place, or was never prepared \
             (lingmou archive prepare-copies): {error}",
            dir.display()
        )
    })?;
    match serde_json::from_slice(&text) {
        Ok(Marker { v: 1, kind, id }) if kind == KIND => Ok(id),
        _ => Err(format!("{} is not a marker of ours", path.display())),
    }
}

/// Prepares the medium mounted at `medium` for the second copies of the receivers' folder `dir`. One
/// that is prepared stays what it is; one whose marker has no id gets one.
///
/// # Errors
/// It is not there, cannot be written, lies on the disk of `dir`, or its marker is none of ours.
pub fn prepare_copies(medium: &Path, dir: &Path) -> Result<(), ReceiveError> {
    use std::os::unix::fs::MetadataExt as _;

    let device = |path: &Path| {
        let meta = std::fs::metadata(path);
        meta.map(|meta| meta.dev())
            .map_err(|error| ReceiveError::Disk(format!("{}: {error}", path.display())))
    };
    if !medium.is_dir() {
        return Err(ReceiveError::NoFolder(medium.to_owned()));
    }
    if device(medium)? == device(dir)? {
        return Err(ReceiveError::SameDisk(medium.to_owned()));
    }
    let place = medium.join(MARKER);
    if place.exists() && recognise(medium).map_err(ReceiveError::Disk)?.is_some() {
        return Ok(());
    }
    Ok(mark(medium)?)
}

/// Writes a marker with an id of its own.
pub(super) fn mark(medium: &Path) -> Result<(), DiskError> {
    let marker = Marker {
        v: 1,
        kind: KIND.to_owned(),
        id: Some(Uuid::now_v7()),
    };
    let text = serde_json::to_vec(&marker).expect("invariant: strings and a number serialise");
    let draft = medium.join("lingmou-copies.draft");
    disk::replace(&draft, &medium.join(MARKER), &text)
}

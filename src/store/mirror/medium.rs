//! Which medium this is, and whether it is there at all.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::disk::{self, DiskError};
use crate::journal::CHECKPOINTS;

/// Name of the file that marks a medium as one for second copies.
const MARKER: &str = "lingmou-mirror.json";
/// Value of `type` in it.
const KIND: &str = "lingmou.mirror";
/// The folders a medium has; whoever mirrors makes none of them.
const FOLDERS: [&str; 4] = ["packages", "journal", CHECKPOINTS, "staging"];

/// Why a folder is no medium for the second copy.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// There is no marker: nothing is mounted there, or it was never prepared.
    #[error(
        "no second medium at {}: it is not in place, or was never prepared (lingmou store \
         mirror-init DIR)", .0.display()
    )]
    Absent(PathBuf),
    /// Nothing can be mounted there.
    #[error("there is no folder {}; mount the medium there first", .0.display())]
    NoFolder(PathBuf),
    /// The marker is not one.
    #[error("{} cannot be read: {why}", path.display())]
    Unreadable {
        /// The marker.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// It is there and does not answer.
    #[error(
        "the second medium at {} does not answer: a network that is away, or a disk that hangs",
        .0.display()
    )]
    Silent(PathBuf),
    /// It has the copies of another box.
    #[error("the medium at {} belongs to device {found}, not {device}; put in the right one", dir.display())]
    OtherDevice {
        /// The medium.
        dir: PathBuf,
        /// Whose it is.
        found: String,
        /// Who wants it.
        device: String,
    },
    /// It lies on the disk that it is to be a copy of.
    #[error(
        "{} is on the same disk as the store: a second copy there would be lost with the first; \
         mount the other medium first", .0.display()
    )]
    SameDisk(PathBuf),
    /// The medium cannot be written.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// The marker's content.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    v: u32,
    #[serde(rename = "type")]
    kind: String,
    device: String,
    id: Uuid,
}

/// A person, or the start of the daemon, waits no longer for a medium to be looked at.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// Looks which medium is at `dir`, for the box `device`, on a thread that is left behind when it hangs
/// there: nobody has to wait for a second copy.
pub fn recognise_in_time(dir: &Path, device: &str) -> Result<Uuid, MirrorError> {
    let (tell, told) = mpsc::sync_channel(1);
    let (place, ours) = (dir.to_owned(), device.to_owned());
    let thread = std::thread::Builder::new().name("second medium".to_owned());
    let looking = thread.spawn(move || {
        if tell.send(recognise(&place, &ours)).is_err() {
            tracing::debug!("the second medium answered too late");
        }
    });
    if let Err(error) = looking {
        let why = error.to_string();
        let path = dir.join(MARKER);
        return Err(MirrorError::Unreadable { path, why });
    }
    told.recv_timeout(ANSWERS_WITHIN)
        .unwrap_or_else(|_late| Err(MirrorError::Silent(dir.to_owned())))
}

/// Looks which medium is at `dir`, for the box `device`.
pub(super) fn recognise(dir: &Path, device: &str) -> Result<Uuid, MirrorError> {
    let path = dir.join(MARKER);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(MirrorError::Absent(dir.to_owned()));
        }
        Err(e) => {
            let why = e.to_string();
            return Err(MirrorError::Unreadable { path, why });
        }
    };
    let marker: Marker = match serde_json::from_slice(&text) {
        Ok(marker) => marker,
        Err(e) => {
            let why = e.to_string();
            return Err(MirrorError::Unreadable { path, why });
        }
    };
    if (marker.v, marker.kind.as_str()) != (1, KIND) {
        let why = format!("it is a {} of version {}", marker.kind, marker.v);
        return Err(MirrorError::Unreadable { path, why });
    }
    if marker.device != device {
        return Err(MirrorError::OtherDevice {
            dir: dir.to_owned(),
            found: marker.device,
            device: device.to_owned(),
        });
    }
    Ok(marker.id)
}

/// Prepares the medium mounted at `dir` for the second copy of the store at `store`, and gives
/// its id. One that is prepared for this device already stays as it is.
pub fn mirror_init(dir: &Path, store: &Path, device: &str) -> Result<Uuid, MirrorError> {
    let device_of = |path: &Path| std::fs::metadata(path).map(|meta| meta.dev());
    let Ok(medium) = device_of(dir) else {
        return Err(MirrorError::NoFolder(dir.to_owned()));
    };
    if device_of(store).is_ok_and(|disk| disk == medium) {
        return Err(MirrorError::SameDisk(dir.to_owned()));
    }
    prepare(dir, device)
}

/// Makes folders and marker, the marker last.
pub(in crate::store) fn prepare(dir: &Path, device: &str) -> Result<Uuid, MirrorError> {
    match recognise(dir, device) {
        Err(MirrorError::Absent(_)) => {}
        done => return done,
    }
    for folder in FOLDERS {
        disk::create_dir(&dir.join(folder))?;
    }
    let marker = Marker {
        v: 1,
        kind: KIND.to_owned(),
        device: device.to_owned(),
        id: Uuid::now_v7(),
    };
    let text = serde_json::to_vec(&marker).expect("invariant: strings and a number serialise");
    disk::replace(&dir.join("staging/marker"), &dir.join(MARKER), &text)?;
    Ok(marker.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_medium_is_known_by_its_marker() {
        let dir = tempfile::tempdir().unwrap();
        let absent = recognise(dir.path(), "A").unwrap_err();
        assert!(absent.to_string().contains("mirror-init"), "{absent}");
        let id = prepare(dir.path(), "A").unwrap();
        assert_eq!(recognise(dir.path(), "A").unwrap(), id);
        assert_eq!(prepare(dir.path(), "A").unwrap(), id, "it stays what it is");
        let other = prepare(dir.path(), "B").unwrap_err();
        assert!(
            other.to_string().contains("belongs to device A, not B"),
            "{other}"
        );
        for text in [
            "",
            "{}",
            r#"{"v":2,"type":"lingmou.mirror","device":"A","id":"x"}"#,
        ] {
            disk::remove_file(&dir.path().join(MARKER)).unwrap();
            disk::write_new(&dir.path().join(MARKER), text.as_bytes()).unwrap();
            let error = recognise(dir.path(), "A").unwrap_err();
            assert!(matches!(error, MirrorError::Unreadable { .. }), "{error}");
        }
    }

    #[test]
    fn a_folder_beside_the_store_is_no_other_medium() {
        let dir = tempfile::tempdir().unwrap();
        let (store, medium) = (dir.path().join("store"), dir.path().join("medium"));
        std::fs::create_dir(&store).unwrap();
        let absent = mirror_init(&medium, &store, "A").unwrap_err();
        assert!(matches!(absent, MirrorError::NoFolder(_)), "{absent}");
        std::fs::create_dir(&medium).unwrap();
        let same = mirror_init(&medium, &store, "A").unwrap_err();
        assert!(matches!(same, MirrorError::SameDisk(_)), "{same}");
        assert_eq!(disk::list(&medium).unwrap(), [""; 0]);
    }
}

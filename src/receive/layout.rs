//! Where things lie in a receiver's folder, which any number of receivers may share.
//!
//! ```text
//! packages/DEVICE/ID/       whole packages, each there in one step
//! refused/DEVICE/ID.p7m     signed refusals
//! removed/DEVICE.jsonl      what somebody removed on purpose
//! broken/DEVICE/ID.N        what was left of a package that was not whole any more and came again
//! heads/NAME/DEVICE.p7m     the newest checkpoint of a device's journal that receiver NAME took
//! incoming/NAME/DEVICE/ID/  what receiver NAME is taking
//! incoming/NAME.mended/DEVICE/ID/  what it brings back from the second medium
//! incoming/NAME.lock        held while receiver NAME runs
//! index.db                  made again from all of this when it is gone
//! ```

use std::path::{Path, PathBuf};

use crate::disk;
use crate::link::message::is_name;
use crate::types::CaseId;
use crate::witness::SIGNATURE;

use super::ReceiveError;

/// End of the names of signed things.
pub(super) const SIGNED: &str = ".p7m";
/// End of the names of the folders in `incoming` for what is brought back from the second medium.
const MENDED: &str = ".mended";

/// The folder of whole packages, of the first and of the second copy.
pub(super) fn packages(dir: &Path) -> PathBuf {
    dir.join("packages")
}

/// Where a whole package lies.
pub(super) fn place(dir: &Path, device: &str, id: CaseId) -> PathBuf {
    under(&packages(dir), device, id)
}

/// Where a package lies in a folder with a folder for each device.
pub(super) fn under(folder: &Path, device: &str, id: CaseId) -> PathBuf {
    folder.join(device).join(id.to_string())
}

/// The folder of refusals.
pub(super) fn refused(dir: &Path) -> PathBuf {
    dir.join("refused")
}

/// The folder that tells what was removed on purpose.
pub(super) fn all_removed(dir: &Path) -> PathBuf {
    dir.join("removed")
}

/// The file that tells it of a device.
pub(super) fn removed(dir: &Path, device: &str) -> PathBuf {
    all_removed(dir).join(format!("{device}.jsonl"))
}

/// The folder of what was left of broken packages.
pub(super) fn broken(dir: &Path) -> PathBuf {
    dir.join("broken")
}

/// What was set aside of a package.
pub(super) fn set_aside(
    dir: &Path,
    device: &str,
    id: CaseId,
) -> Result<Vec<PathBuf>, ReceiveError> {
    let (folder, of) = (broken(dir).join(device), format!("{id}."));
    let names = list(&folder)?.into_iter();
    let ours = names.filter(|name| name.starts_with(&of));
    Ok(ours.map(|name| folder.join(name)).collect())
}

/// The folder with a folder of journal heads for each receiver.
pub(super) fn heads(dir: &Path) -> PathBuf {
    dir.join("heads")
}

/// The folder with a folder of unfinished packages for each receiver.
pub(super) fn incoming(dir: &Path) -> PathBuf {
    dir.join("incoming")
}

/// Where what receiver NAME brings back from the second medium lies until it is whole; no name of a receiver.
pub(super) fn mended(dir: &Path, name: &str) -> PathBuf {
    incoming(dir).join(format!("{name}{MENDED}"))
}

/// What receivers have begun to bring back of a package.
pub(super) fn half_mended(
    dir: &Path,
    device: &str,
    id: CaseId,
) -> Result<Vec<PathBuf>, ReceiveError> {
    let incoming = incoming(dir);
    let names = list(&incoming)?.into_iter();
    let ours = names.filter(|name| name.ends_with(MENDED));
    Ok(ours
        .map(|name| under(&incoming.join(name), device, id))
        .collect())
}

/// The file that keeps a second receiver of the same name out.
pub(super) fn lock(dir: &Path, name: &str) -> PathBuf {
    incoming(dir).join(format!("{name}.lock"))
}

/// The names of `folder` that are folders and could be of a device or receiver; none when there
/// is no `folder`.
pub(super) fn named(folder: &Path) -> Result<Vec<String>, ReceiveError> {
    let mut names = list(folder)?;
    names.retain(|name| is_name(name) && folder.join(name).is_dir());
    Ok(names)
}

/// The packages in the folder of a device that are there with their signature.
pub(super) fn ids(folder: &Path) -> Result<Vec<CaseId>, ReceiveError> {
    let names = list(folder)?;
    let mut ids: Vec<CaseId> = names.iter().filter_map(|name| id(name)).collect();
    ids.retain(|id| folder.join(id.to_string()).join(SIGNATURE).is_file());
    Ok(ids)
}

/// Whatever lies in the folder of a device under the id of a package, whole or not.
pub(super) fn ids_of_any(folder: &Path) -> Result<Vec<CaseId>, ReceiveError> {
    Ok(list(folder)?.iter().filter_map(|name| id(name)).collect())
}

/// The refusals in the folder of a device.
pub(super) fn refusals(folder: &Path) -> Result<Vec<CaseId>, ReceiveError> {
    let names = list(folder)?;
    let stems = names.iter().filter_map(|name| name.strip_suffix(SIGNED));
    Ok(stems.filter_map(id).collect())
}

/// The id a name spells, in the one way we write it.
pub(super) fn id(name: &str) -> Option<CaseId> {
    let id = CaseId(uuid::Uuid::parse_str(name).ok()?);
    (id.to_string() == name).then_some(id)
}

fn list(folder: &Path) -> Result<Vec<String>, ReceiveError> {
    if folder.is_dir() {
        Ok(disk::list(folder)?)
    } else {
        Ok(Vec::new())
    }
}

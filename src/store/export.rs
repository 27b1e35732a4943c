//! Packages as files for elsewhere: one deterministic `.asice` each, read back after writing.

use std::path::Path;

use super::{Listed, State, View, check};
use crate::disk::{self, DiskError};
use crate::witness::{Container, Limits, sha256_hex};

/// What became of one package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Export {
    /// Written and read back; its bytes.
    Written(u64),
    /// It was there already, byte for byte.
    There,
    /// It cannot be exported as it is here, because of this.
    Left(String),
}

/// The name of a package's file, and what became of it.
pub type Exported = (String, Export);

impl View {
    /// Exports `package` into the folder `into`, as `ID.asice`. The same package gives the same
    /// bytes, so that an export that was cut off is simply called again; one that has more
    /// additions now is written anew, at once or not at all. Nothing is marked in the store.
    ///
    /// The error is the folder's, and the next package will meet it too.
    pub fn export(&self, package: &Listed, into: &Path) -> Result<Exported, DiskError> {
        let name = format!("{}.asice", package.id);
        let container = match self.exportable(package) {
            Ok(container) => container,
            Err(why) => return Ok((name, Export::Left(why))),
        };
        let zip = container.to_zip();
        let sha256 = sha256_hex(&zip);
        let place = into.join(&name);
        if disk::digest(&place).is_ok_and(|(_, there)| there == sha256) {
            return Ok((name, Export::There));
        }
        disk::replace(&into.join(format!(".{name}.part")), &place, &zip)?;
        let same = disk::digest_from_medium(&place).is_ok_and(|(_, there)| there == sha256);
        let whole = same
            && disk::read(&place).is_ok_and(|bytes| {
                Container::from_zip(&bytes, Limits::PACKAGE).is_ok_and(|read| read == container)
            });
        if whole {
            return Ok((name, Export::Written(zip.len() as u64)));
        }
        Ok((
            name,
            Export::Left("it does not read back as it was written".to_owned()),
        ))
    }

    fn exportable(&self, package: &Listed) -> Result<Container, String> {
        if package.state == State::Pruned {
            let why = "pruned: pictures and video are with the receiver only";
            return Err(why.to_owned());
        }
        let files = self.files(package.id).map_err(|error| error.to_string())?;
        let dir = self.package_dir(package.id);
        check::package(&dir, package, &files).map_err(|unlike| unlike.why)?;
        Container::from_dir(&dir).map_err(|error| error.to_string())
    }
}

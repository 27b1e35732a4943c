//! Whether a package that lies in its place is still as it was signed.
//!
//! A disk may lose a file without a word. So nothing is said of a package that was there before, no old
//! receipt and no new one, until everything its statement lists was hashed, read from the disk and not from
//! memory. One that is not whole counts for nothing: it is taken again, and what is left of it is set
//! aside (decision 0057). Receipts are no part of this: one that does not hold is signed anew ([`super::signing`]).

use std::path::Path;

use super::office::Office;
use super::{ReceiveError, layout};
use crate::disk::{self, DiskError};
use crate::types::{CaseId, lock};
use crate::witness::{
    ASIC_E, Container, MANIFEST, MIMETYPE, RECEIPT, Receipt, SIGNATURE, STATEMENT, Statement,
    is_signed, sha256_hex,
};

/// Hashes the package at `place`; the inner error says what is wrong with it.
///
/// # Errors
/// Nothing can be said of it at the moment.
pub(super) fn check(place: &Path) -> Result<Result<(), String>, DiskError> {
    let head = match head(place)? {
        Ok(head) => head,
        Err(why) => return Ok(Err(why)),
    };
    let statement = head.get(STATEMENT).unwrap_or_default();
    let statement = match Statement::parse(statement) {
        Ok(statement) => statement,
        Err(error) => return Ok(Err(format!("{STATEMENT}: {error}"))),
    };
    for file in &statement.files {
        let path = place.join(&file.name);
        match disk::digest_from_medium(&path) {
            Ok(found) if found == (file.size, file.sha256.clone()) => {}
            Ok(_) => return Ok(Err(format!("{} is not what was signed", file.name))),
            Err(error) if disk::is_passing(&error) => return Err(DiskError::reading(&path, error)),
            Err(error) => return Ok(Err(format!("{}: {error}", file.name))),
        }
    }
    Ok(Ok(()))
}

/// Whether the package at `place` has a receipt that can be read.
pub(super) fn check_receipt(place: &Path) -> Result<(), String> {
    let read = disk::read(&place.join(RECEIPT)).map_err(|error| error.to_string())?;
    let read = Receipt::read(&read).map_err(|error| format!("{RECEIPT}: {error}"));
    read.map(drop)
}

/// Whether what lies at `place`, whole or not, is held together by another signature than this.
pub(super) fn is_another(place: &Path, sig_sha256: &str) -> Result<bool, DiskError> {
    let signature = head(place)?.ok();
    let signature = signature.and_then(|head| head.get(SIGNATURE).map(sha256_hex));
    Ok(signature.is_some_and(|found| found != sig_sha256))
}

/// The parts that hold a package together; the inner error says why they do not.
fn head(place: &Path) -> Result<Result<Container, String>, DiskError> {
    let mut head = Container::new();
    for name in [MIMETYPE, STATEMENT, MANIFEST, SIGNATURE] {
        let bytes = match disk::read(&place.join(name)) {
            Ok(bytes) => bytes,
            Err(error) if disk::is_passing(&error.source) => return Err(error),
            Err(error) => return Ok(Err(format!("{name}: {}", error.source))),
        };
        if let Err(error) = head.insert(name, bytes) {
            return Ok(Err(error.to_string()));
        }
    }
    let ours = head.get(MIMETYPE) == Some(ASIC_E.as_bytes()) && is_signed(&head);
    Ok(if ours {
        Ok(head)
    } else {
        Err("its signature does not hold it together".to_owned())
    })
}

impl Office {
    /// Sets aside what lies in the place of a package and is not whole any more.
    pub(super) fn make_way(
        &self,
        device: &str,
        id: CaseId,
        sig_sha256: &str,
    ) -> Result<(), ReceiveError> {
        let place = self.place(device, id);
        if !place.exists() || is_another(&place, sig_sha256)? || check(&place)?.is_ok() {
            return Ok(());
        }
        let broken = layout::broken(&self.dir);
        for folder in [&broken, &broken.join(device)] {
            disk::create_dir(folder)?;
        }
        let names = disk::list(&broken.join(device))?;
        let ours = names
            .iter()
            .filter_map(|name| name.strip_prefix(&format!("{id}.")));
        let last = ours.filter_map(|n| n.parse::<u64>().ok()).max();
        let n = last.map_or(1, |last| last.saturating_add(1));
        let aside = broken.join(device).join(format!("{id}.{n}"));
        tracing::warn!(device, %id, aside = %aside.display(), "a broken package is set aside");
        disk::publish(&place, &aside)?;
        lock(&self.broken).remove(&(device.to_owned(), id));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::super::tests::with_pictures;
    use super::*;
    use crate::disk::fault;
    use crate::pki::TestPki;

    #[test]
    fn what_cannot_be_read_for_a_moment_is_not_called_broken() {
        let dir = tempfile::tempdir().unwrap();
        let pki = TestPki::create(&dir.path().join("pki"), "LM-1").unwrap();
        let place = dir.path().join("package");
        disk::create_dir(&place).unwrap();
        for (name, bytes) in with_pictures(&pki, 1, &[b"one picture"]).files() {
            disk::write_under(&place, name, bytes).unwrap();
        }
        assert_eq!(check(&place).unwrap(), Ok(()));
        // The four parts of the head, then the picture.
        for n in 0..5 {
            fault::plan_reading(n, Errno::MFILE);
            assert!(check(&place).is_err(), "reading {n}");
            assert!(!fault::clear_reading(), "reading {n} was to fail");
            fault::plan_reading(n, Errno::IO);
            assert!(check(&place).unwrap().is_err(), "reading {n}");
            assert!(!fault::clear_reading(), "reading {n} was to fail");
        }
        assert_eq!(check(&place).unwrap(), Ok(()));
    }
}

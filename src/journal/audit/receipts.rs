//! What receivers signed about the journal: the heads in the receipts of the packages beside it.
//! Whoever cuts lines off takes the checkpoints over them too, and cannot make the receivers unsign.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Audit, Head, read_bounded};
use crate::disk::{self, DiskError};
use crate::witness::{LATER_RECEIPT, RECEIPT, Receipt, Roots};

/// The store's folder of packages.
const PACKAGES: &str = "packages";
/// Largest receipt read; a receiver's are below 3 kB.
const RECEIPT_MAX: u64 = 256 << 10;

/// Heads still to be met on the way along the chain, by number and hash.
pub(super) struct Receipts(BTreeMap<(u64, String), Told>);

/// Where a head stands.
struct Told {
    package: String,
    device: String,
    receiver: String,
}

impl Receipts {
    /// The heads in the store at `dir`. A receipt that does not hold says nothing: the package's
    /// own check is for that.
    pub(super) fn list(dir: &Path, roots: &Roots) -> Result<Self, DiskError> {
        let dir = dir.join(PACKAGES);
        let packages = if dir.is_dir() {
            disk::list(&dir)?
        } else {
            Vec::new()
        };
        let mut heads = BTreeMap::new();
        for package in packages {
            for name in [RECEIPT, LATER_RECEIPT] {
                let path = dir.join(&package).join(name);
                let Ok(Some(bytes)) = read_bounded(&path, RECEIPT_MAX) else {
                    continue;
                };
                let Ok((receipt, _)) = Receipt::open(&bytes, roots) else {
                    continue;
                };
                if let Some(head) = receipt.head {
                    heads.entry((head.n, head.hash)).or_insert_with(|| Told {
                        package: package.clone(),
                        device: receipt.device,
                        receiver: receipt.receiver,
                    });
                }
            }
        }
        Ok(Self(heads))
    }

    /// Takes in the next line of the chain, which is `device`'s.
    pub(super) fn line(&mut self, line: &Head, device: Option<&str>, audit: &mut Audit) {
        while let Some(next) = self.0.first_entry().filter(|e| e.key().0 <= line.n) {
            let ((n, hash), told) = next.remove_entry();
            if device.is_some_and(|device| device != told.device) {
                continue;
            }
            if (n, &hash) == (line.n, &line.sha256) {
                audit.receipts += 1;
            } else {
                let why = format!("another line {n} than the journal has: it was rewritten");
                audit.fault(told.fault(&why));
            }
        }
    }

    /// The chain has ended; what is still ahead are lines that are not there.
    pub(super) fn rest(self, device: Option<&str>, audit: &mut Audit) {
        let last = audit.head.n;
        for ((n, _), told) in self.0 {
            if device.is_none_or(|device| device == told.device) {
                let why = format!(
                    "line {n}, but the journal ends with line {last}: its last lines were cut off"
                );
                audit.fault(told.fault(&why));
            }
        }
    }
}

impl Told {
    fn fault(&self, what: &str) -> String {
        let (package, receiver) = (&self.package, &self.receiver);
        format!("{PACKAGES}/{package}: receiver {receiver} has signed for {what}")
    }
}

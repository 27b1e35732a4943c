//! Makes evidence that proves itself, and checks it: statement, manifest, signature, container.
//!
//! A package is an ASiC-E container (ETSI EN 319 162-1): files, a manifest with their SHA-256,
//! and a CAdES baseline signature (ETSI EN 319 122-1) over the manifest. [`seal`] makes the three
//! signed parts, [`Container`] holds the files, [`verify`] judges a container against [`Roots`]
//! and says so as a [`Verdict`]. Receipts of the receiver are CMS too ([`Receipt`]), and so is the device's
//! signature under its journal ([`Checkpoint`]), a person's command with the device's reply ([`Command`],
//! [`Reply`]) and a reviewer's verdict on its way back ([`Notice`]).
//! `docs/EVIDENCE.md` describes the format for outsiders.
//!
//! **Invariants.** Bytes are signed, never structures: what was written once is never serialised
//! again. A fact that is not known is `null`, never a guess. Foreign input never panics and is
//! never held beyond its stated limit. A private key is never printed.
//!
//! **Not here.** No clock (callers pass the moment), no network, no keeping of packages
//! (`store`), no making of key files (`pki`). Files are read only to load keys, roots and
//! containers; a key in a token is reached by `token` alone.

mod additions;
mod afterwards;
mod among;
mod assess;
mod attributes;
#[cfg(any(test, feature = "demo"))]
mod bare;
#[cfg(feature = "c2pa")]
pub mod c2pa;
mod chain;
mod checkpoint;
mod cms;
mod command;
mod container;
mod credential;
mod facts;
mod finding;
mod grade;
mod identity;
mod installation;
mod installed;
mod key;
mod layout;
mod lines;
mod manifest;
mod moments;
mod name;
mod notice;
mod opened;
mod page;
mod plain;
mod quality;
mod reason;
mod receipt;
mod report;
mod review;
mod revoked;
mod seal;
mod signer;
mod statement;
mod successor;
mod suite;
mod timestamp;
#[cfg(feature = "pkcs11")]
mod token;
mod told;
mod told_means;
mod told_times;
mod trust;
mod verdict;
mod verify;
mod wording;
mod zip_end;

pub(crate) use additions::{is_addition, whole_reviews};
pub use among::Among;
pub use assess::{Seen, assess};
pub use chain::{ChainFault, Roots};
pub use checkpoint::{Checkpoint, CheckpointError};
#[cfg(any(test, feature = "demo"))]
pub(crate) use cms::der_time;
pub use cms::{Form, SignatureError};
pub use command::{CONTENT_MAX, Command, CommandError, Commander, Fate, Rank, Reply};
pub use container::{Container, ContainerError, Limits};
pub use credential::{Credential, CredentialState, FileCredential, credentials, tell_credentials};
pub(crate) use facts::known;
pub use facts::{
    After, Altitude, Asked, Camera, Clock, Device, Heading, HeadingOf, JournalPoint, Law, Mavlink,
    Model, Omitted, Position, SealingClock, Site, Software, ViolationFacts, Warning,
};
pub use finding::Finding;
pub use grade::{CONDITIONS, Condition, Grade, Grading, grade};
pub(crate) use identity::read_at_most;
pub use identity::{Identity, KeyError};
pub use installation::installation;
pub use installed::Installed;
pub(crate) use key::{Key, enrol_token, load_key};
pub use key::{SignError, check_private};
pub use lines::{JournalLine, JournalLines, LinesError};
pub use manifest::{Manifest, ManifestEntry, ManifestError, SealKind, SigReference};
pub use moments::Moments;
pub use name::{NameError, check_name};
pub use notice::{Notice, NoticeError, Ruling};
pub use opened::{check_attached, check_detached};
pub use page::PAGE_COLUMNS;
pub use quality::{Part, Quality, QualityId};
pub use receipt::{JournalCopy, Receipt, ReceiptError, ReceiptVerdict};
pub use review::{Opinion, REASON_MAX, Review, ReviewError, ReviewVerdict, Reviewed};
pub use review::{names as review_files, review};
pub use seal::{SealError, Sealed, seal};
pub use signer::{PurposeFault, Signer, Usage};
pub use statement::{ABOUT_CAPTURE, FileEntry, Statement, StatementError};
pub use successor::{Successor, SuccessorFault, has_private_key, successor};
pub use timestamp::{StampError, StampQuery, TimeStamp, check_stamp, reject_query};
pub use trust::Trust;
pub use verdict::{Bounds, Check, CheckId, Correction, Latest, LatestBy, Status, Verdict};
pub use verify::{is_signed, verify, verify_head, verify_path, verify_zip};
pub use wording::Language;

pub use crate::types::sha256_hex;

/// Name of the entry that says what the container is.
pub const MIMETYPE: &str = "mimetype";
/// Content of [`MIMETYPE`] (ETSI EN 319 162-1 section A.1).
pub const ASIC_E: &str = "application/vnd.etsi.asic-e+zip";
/// Name of the statement.
pub const STATEMENT: &str = "evidence.json";
/// Name of the manifest the device signs.
pub const MANIFEST: &str = "META-INF/ASiCManifest001.xml";
/// Name of the device's signature.
pub const SIGNATURE: &str = "META-INF/signature001.p7s";
/// Name of the receiver's receipt.
pub const RECEIPT: &str = "META-INF/receipt001.p7m";
/// Name of a later receipt, which says more copies than the first.
pub const LATER_RECEIPT: &str = "META-INF/receipt002.p7m";
/// Name of the journal lines from the package to the head its receipt names.
pub const CHAIN: &str = "META-INF/chain.jsonl";
/// Name of the manifest of what the time-stamp covers.
pub const STAMPED: &str = "META-INF/ASiCManifest002.xml";
/// Name of the time-stamp over [`STAMPED`].
pub const TIMESTAMP: &str = "META-INF/timestamp001.tst";

/// The check code of a file: the first twelve digits of its SHA-256, in groups of four. It stands
/// in the caption of a marked copy and names the original, so that a printed copy can be held
/// against the package.
pub fn check_code(sha256_hex: &str) -> String {
    let digits: Vec<char> = sha256_hex.chars().take(12).collect();
    let groups = digits.chunks(4).map(|group| group.iter().collect());
    groups.collect::<Vec<String>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_code_is_read_in_groups() {
        let sha256 = sha256_hex(b"picture");
        assert_eq!(check_code(&sha256), "2cea 274d 0bed");
        assert_eq!(check_code("abc"), "abc");
        assert_eq!(check_code(""), "");
    }
}

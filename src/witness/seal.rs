//! Seals a case: statement, manifest, signature.

use sha2::{Digest, Sha256};

use super::cms::Form;
use super::facts::SealingClock;
use super::identity::Identity;
use super::key::SignError;
use super::manifest::{Manifest, ManifestEntry, ManifestError, SigReference};
use super::statement::{Statement, StatementError};
use super::{ASIC_E, MANIFEST, MIMETYPE, SIGNATURE, STATEMENT, sha256_hex};
use crate::types::Stamp;

/// Why a case cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The configuration names another device than the certificate.
    #[error(
        "the configuration says device {configured:?}, the evidence certificate says \
         {certified:?}; make them equal"
    )]
    Device {
        /// `device.id` of the statement.
        configured: String,
        /// serialNumber of the certificate.
        certified: String,
    },
    /// The statement holds an impossible fact.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// A file cannot be listed.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The key cannot sign now. Nothing is wrong with the case: try again.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// The three signed parts of a package; its other files are what the statement lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Bytes of `evidence.json`.
    pub statement: Vec<u8>,
    /// Bytes of `META-INF/ASiCManifest001.xml`.
    pub manifest: Vec<u8>,
    /// Bytes of `META-INF/signature001.p7s`.
    pub signature: Vec<u8>,
}

impl Sealed {
    /// Name and content of what the store adds to the files it already holds, in the order in
    /// which they should be written.
    pub fn parts(&self) -> [(&'static str, &[u8]); 4] {
        [
            (MIMETYPE, ASIC_E.as_bytes()),
            (STATEMENT, &self.statement),
            (MANIFEST, &self.manifest),
            (SIGNATURE, &self.signature),
        ]
    }

    /// SHA-256 of the signature, by which journal and receipt name the package.
    pub fn sig_sha256(&self) -> String {
        sha256_hex(&self.signature)
    }
}

/// Writes and signs the statement, with how wrong the clock may be that tells `at`, and the manifest
/// of the files it lists.
pub fn seal(statement: &Statement, identity: &Identity, at: Stamp) -> Result<Sealed, SealError> {
    if statement.device.id != identity.device_id() {
        return Err(SealError::Device {
            configured: statement.device.id.clone(),
            certified: identity.device_id().to_owned(),
        });
    }
    let sealed = Some(SealingClock::at(at));
    let bytes = Statement {
        sealed,
        ..statement.clone()
    }
    .to_bytes()?;
    let mut entries = vec![ManifestEntry {
        name: STATEMENT.to_owned(),
        media_type: "application/json".to_owned(),
        sha256: Sha256::digest(&bytes).into(),
    }];
    for file in &statement.files {
        entries.push(ManifestEntry {
            name: file.name.clone(),
            media_type: file.media_type.clone(),
            sha256: unhex(&file.sha256).ok_or_else(|| StatementError::Fact {
                field: format!("files: {}", file.name),
                why: "sha256 is not 64 hex digits",
            })?,
        });
    }
    let manifest = Manifest {
        signature: SigReference::signature(1),
        entries,
    }
    .to_xml()?;
    let signature = identity.sign(&manifest, Form::Detached, at)?;
    Ok(Sealed {
        statement: bytes,
        manifest,
        signature,
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |c: u8| char::from(c).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
    }
    Some(bytes)
}

//! What a certificate in place says of itself, for the journal.

use std::path::Path;

use const_oid::db::rfc4519::CN;
use der::Decode as _;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Serialize;
use x509_cert::Certificate;

use super::identity::{FILE_MAX, KeyError, read_bounded};
use super::sha256_hex;
use super::signer::{only, seconds};

/// A certificate in place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Installed {
    /// SHA-256 of its DER, lower-case hex.
    pub certificate_sha256: String,
    /// The whole subject, RFC 4514.
    pub subject: String,
    /// Subject commonName; `None` when absent or given twice.
    pub common_name: Option<String>,
    /// End of its validity, RFC 3339 UTC.
    pub not_after: String,
}

impl Installed {
    /// The first certificate of a PEM file.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let pem = read_bounded(path, FILE_MAX)?;
        let der = CertificateDer::from_pem_slice(&pem).map_err(|_unreadable| {
            KeyError::NoCertificate {
                path: path.to_owned(),
            }
        })?;
        Self::of(&der).map_err(|error| KeyError::Certificate {
            path: path.to_owned(),
            why: error.to_string(),
        })
    }

    /// The certificate in DER.
    pub fn of(der: &[u8]) -> der::Result<Self> {
        let tbs = Certificate::from_der(der)?.tbs_certificate;
        let not_after = seconds(tbs.validity.not_after.to_unix_duration());
        Ok(Self {
            certificate_sha256: sha256_hex(der),
            subject: tbs.subject.to_string(),
            common_name: only(&tbs.subject, CN),
            not_after: crate::clock::rfc3339_ms(not_after.saturating_mul(1_000_000_000)),
        })
    }
}

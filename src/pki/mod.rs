//! Makes keys and requests for a device, and a whole small PKI for tests and the demo.
//!
//! [`enroll`] makes the two keys of a box and the requests its bureau's CA answers with
//! certificates. `TestPki` plays that CA: root, devices, receiver, broker, operator, reviewers
//! and time-stamper, each in its own folder. Its root key lies in the open, so it is in no build
//! without the feature `demo`.
//!
//! **Invariants.** A key is never overwritten. Key files are born with mode 0600; a private key
//! is never printed. Transport and evidence keys are two keys, with certificates that cannot
//! stand in for each other.
//!
//! **Not here.** No loading of keys for signing (`witness::Identity`), no TLS (`link`).

mod enroll;
mod file;
#[cfg(any(test, feature = "demo"))]
mod test_pki;
mod x509;

use std::path::PathBuf;

use const_oid::ObjectIdentifier;
use p256::elliptic_curve::zeroize::Zeroizing;
use rcgen::string::PrintableString;
use rcgen::{DistinguishedName, DnType, DnValue};
use ring::rand::{SecureRandom as _, SystemRandom};

pub use enroll::{Enrolled, enroll};
#[cfg(any(test, feature = "demo"))]
pub use test_pki::{TestPki, TestPkiPlan, TestSm2};

use crate::witness::Key;

/// extendedKeyUsage documentSigning (RFC 9336).
const DOCUMENT_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.36");
/// extendedKeyUsage of a C2PA claim's signer.
const C2PA_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.62558.2.1");
/// Bytes of an SM2 private key.
const SM2_KEY_BYTES: usize = 32;

/// Why keys, requests or certificates cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The device id cannot be one.
    #[error("device id {0:?} must be 1 to 64 of A-Z a-z 0-9 and -")]
    DeviceId(String),
    /// The organisation's name cannot be one.
    #[error("organisation {0:?} must be 1 to 64 characters (X.520 upper bound)")]
    Organisation(String),
    /// A file cannot be written or read.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An existing key cannot be used.
    #[error(transparent)]
    Key(#[from] crate::witness::KeyError),
    /// The key cannot sign the request.
    #[error(transparent)]
    Sign(#[from] crate::witness::SignError),
    /// A name does not fit into a certificate.
    #[error("a request or certificate cannot be encoded: {0}")]
    Encode(der::Error),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers for a key")]
    Random,
    /// The generator refused.
    #[error("making {what} failed: {source}")]
    Generate {
        /// What was being made.
        what: &'static str,
        /// Why.
        source: rcgen::Error,
    },
}

/// Marks where the generator refused.
fn generate(what: &'static str) -> impl FnOnce(rcgen::Error) -> PkiError {
    move |source| PkiError::Generate { what, source }
}

/// A new SM2 key, and the PEM text of its file.
fn new_sm2_key() -> Result<(Key, Zeroizing<String>), PkiError> {
    let mut secret = Zeroizing::new([0; SM2_KEY_BYTES]);
    // Of 2^256 numbers some 2^224 are no key.
    loop {
        SystemRandom::new()
            .fill(&mut *secret)
            .map_err(|_unspecified| PkiError::Random)?;
        let key = Key::sm2_from_bytes(&*secret);
        if let Some((key, pem)) = key.and_then(|key| key.sm2_to_pem().map(|pem| (key, pem))) {
            return Ok((key, pem));
        }
    }
}

/// Refuses ids that could not stand in a topic, a file name or a certificate.
fn check_device_id(id: &str) -> Result<(), PkiError> {
    let plain = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if plain && (1..=64).contains(&id.len()) {
        Ok(())
    } else {
        Err(PkiError::DeviceId(id.to_owned()))
    }
}

/// A subject: organisation, then what else is given, then the common name.
fn subject(
    organisation: &str,
    serial: Option<&str>,
    unit: Option<&str>,
    common_name: &str,
) -> Result<DistinguishedName, PkiError> {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, organisation);
    if let Some(unit) = unit {
        name.push(DnType::OrganizationalUnitName, unit);
    }
    if let Some(serial) = serial {
        // X.520 section 6.2.9: serialNumber is a PrintableString.
        let serial = PrintableString::try_from(serial).map_err(generate("a subject"))?;
        name.push(
            DnType::CustomDnType(vec![2, 5, 4, 5]),
            DnValue::PrintableString(serial),
        );
    }
    name.push(DnType::CommonName, common_name);
    Ok(name)
}

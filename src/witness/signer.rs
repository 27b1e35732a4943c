//! Who signed, and whether the certificate was issued for that.

use std::time::Duration;

use const_oid::db::rfc4519::{CN, O, OU, SERIAL_NUMBER};
use der::asn1::{ObjectIdentifier, PrintableStringRef, TeletexStringRef, Utf8StringRef};
use der::{Any, Tag, Tagged};
use serde::{Deserialize, Serialize};
use x509_cert::Certificate;
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage};
use x509_cert::name::Name;

use super::sha256_hex;

/// extendedKeyUsage documentSigning (RFC 9336).
pub(super) const DOCUMENT_SIGNING: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.36");

/// What a signature is meant to prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// A device vouches for a package: documentSigning, subject serialNumber = device id.
    Evidence,
    /// A receiver vouches that it stored a package: documentSigning, OU = `receiver`.
    Receiver,
    /// An officer vouches for the review of a package: documentSigning, OU = `reviewer`.
    Reviewer,
    /// A person commands a box: documentSigning, OU = `view`, `operate` or `admin`.
    Operator,
}

impl Usage {
    /// Whose signatures count by an organizationalUnit.
    const BY_UNIT: [Self; 3] = [Self::Receiver, Self::Reviewer, Self::Operator];

    /// The organizationalUnits that give the right; a device's certificate needs none.
    fn roles(self) -> &'static [&'static str] {
        match self {
            Self::Evidence => &[],
            Self::Receiver => &["receiver"],
            Self::Reviewer => &["reviewer"],
            Self::Operator => &["view", "operate", "admin"],
        }
    }
}

/// What the certificate of a signature says about its holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signer {
    /// The whole subject, RFC 4514.
    pub subject: String,
    /// The whole issuer, RFC 4514.
    pub issuer: String,
    /// Subject commonName; `None` when absent or given twice.
    pub common_name: Option<String>,
    /// Subject serialNumber (a device's id); `None` when absent or given twice.
    pub serial_number: Option<String>,
    /// Subject organizationalUnit (a person's or receiver's role); as above.
    pub organizational_unit: Option<String>,
    /// Subject organization; as above.
    pub organization: Option<String>,
    /// SHA-256 of the certificate, lower-case hex.
    pub certificate_sha256: String,
    /// End of the certificate's validity, Unix seconds.
    pub not_after: i64,
    /// When the signer says it signed (CMS signingTime), Unix seconds.
    pub signing_time: i64,
}

impl Signer {
    pub(super) fn new(certificate: &Certificate, der: &[u8], signing_time: Duration) -> Self {
        let subject = &certificate.tbs_certificate.subject;
        Self {
            subject: subject.to_string(),
            issuer: certificate.tbs_certificate.issuer.to_string(),
            common_name: only(subject, CN),
            serial_number: only(subject, SERIAL_NUMBER),
            organizational_unit: only(subject, OU),
            organization: only(subject, O),
            certificate_sha256: sha256_hex(der),
            not_after: seconds(
                certificate
                    .tbs_certificate
                    .validity
                    .not_after
                    .to_unix_duration(),
            ),
            signing_time: seconds(signing_time),
        }
    }
}

pub(super) fn seconds(since_1970: Duration) -> i64 {
    i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX)
}

/// The value of attribute `oid`, when the name holds it exactly once: a second one would let two
/// readers see two holders.
pub(super) fn only(name: &Name, oid: ObjectIdentifier) -> Option<String> {
    let mut values = values(name, oid);
    let value = values.next()?;
    values.next().is_none().then(|| text(value))?
}

/// Every value of attribute `oid`.
fn values(name: &Name, oid: ObjectIdentifier) -> impl Iterator<Item = &Any> {
    let attributes = name.0.iter().flat_map(|rdn| rdn.0.iter());
    attributes
        .filter(move |attribute| attribute.oid == oid)
        .map(|attribute| &attribute.value)
}

/// The text of a value; `None` when it is of another kind.
fn text(value: &Any) -> Option<String> {
    let text = match value.tag() {
        Tag::Utf8String => value
            .decode_as::<Utf8StringRef<'_>>()
            .ok()?
            .as_str()
            .to_owned(),
        Tag::PrintableString => value
            .decode_as::<PrintableStringRef<'_>>()
            .ok()?
            .as_str()
            .to_owned(),
        Tag::TeletexString => value
            .decode_as::<TeletexStringRef<'_>>()
            .ok()?
            .as_str()
            .to_owned(),
        _ => return None,
    };
    Some(text)
}

/// Why a certificate was not issued for what it is used for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PurposeFault {
    /// A TLS certificate, for example.
    #[error("extendedKeyUsage lacks documentSigning (1.3.6.1.5.5.7.3.36)")]
    NotDocuments,
    /// keyUsage forbids signatures.
    #[error("keyUsage does not allow signatures")]
    NotSignatures,
    /// Not a device's certificate.
    #[error("the subject has no (single) serialNumber, so it names no device")]
    NoDevice,
    /// A person's or a receiver's certificate, whatever serialNumber it has.
    #[error("the subject's organizationalUnit is `{0}`, so it is no device's")]
    NotDevice(&'static str),
    /// Of another role, or of none.
    #[error("the subject's organizationalUnit is not `{}`", .0.join("`, `"))]
    Role(&'static [&'static str]),
    /// An extension cannot be read.
    #[error("{0} is unreadable")]
    Unreadable(&'static str),
}

/// Checks that the signer's certificate was issued for `usage`.
pub(super) fn check_purpose(certificate: &Certificate, usage: Usage) -> Result<(), PurposeFault> {
    let tbs = &certificate.tbs_certificate;
    match tbs.get::<ExtendedKeyUsage>() {
        Ok(Some((_, purposes))) if purposes.0.contains(&DOCUMENT_SIGNING) => {}
        Ok(_) => return Err(PurposeFault::NotDocuments),
        Err(_) => return Err(PurposeFault::Unreadable("extendedKeyUsage")),
    }
    match tbs.get::<KeyUsage>() {
        Ok(None) => {}
        Ok(Some((_, bits))) if bits.digital_signature() || bits.non_repudiation() => {}
        Ok(Some(_)) => return Err(PurposeFault::NotSignatures),
        Err(_) => return Err(PurposeFault::Unreadable("keyUsage")),
    }
    // Readers of text write such parts in one line, and each takes another attribute for the first.
    if tbs.subject.0.iter().any(|part| part.0.len() > 1) {
        return Err(PurposeFault::Unreadable(
            "a subject with two attributes in one part",
        ));
    }
    let unit = only(&tbs.subject, OU).unwrap_or_default();
    match usage.roles() {
        [] if only(&tbs.subject, SERIAL_NUMBER).is_none() => Err(PurposeFault::NoDevice),
        // Staff numbers are serialNumbers too: who may review must not be able to make evidence.
        [] => role_of(&tbs.subject).map_or(Ok(()), |role| Err(PurposeFault::NotDevice(role))),
        roles if !roles.contains(&unit.as_str()) => Err(PurposeFault::Role(roles)),
        _ => Ok(()),
    }
}

/// The first role that the subject's organizationalUnits give, however many there are.
fn role_of(subject: &Name) -> Option<&'static str> {
    let mut roles = Usage::BY_UNIT.iter().flat_map(|usage| usage.roles());
    let units: Vec<String> = values(subject, OU).filter_map(text).collect();
    roles
        .find(|role| units.iter().any(|unit| unit.as_str() == **role))
        .copied()
}

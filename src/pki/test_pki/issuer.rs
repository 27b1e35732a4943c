//! Certificates signed by a key that `rcgen` does not know: SM2.

use std::time::Duration;

use der::asn1::{BitString, OctetString};
use der::{Encode as _, EncodePem as _};
use p256::pkcs8::LineEnding;
use sha2::{Digest as _, Sha256};
use x509_cert::certificate::{Certificate, TbsCertificate, Version};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, KeyUsage, KeyUsages, SubjectKeyIdentifier,
};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::Validity;

use crate::pki::PkiError;
use crate::pki::x509::{Holder, extension, signing_extensions};
use crate::witness::{Key, der_time};

/// A CA's name and key.
pub(super) struct Issuer {
    pub(super) key: Key,
    name: Name,
}

/// From when to when a certificate is valid, since 1970.
pub(super) type Span = (Duration, Duration);

impl Issuer {
    /// A root with its PEM certificate.
    pub(super) fn root(
        holder: &Holder<'_>,
        key: Key,
        span: Span,
    ) -> Result<(Self, String), PkiError> {
        let root = Self {
            name: holder.name().map_err(PkiError::Encode)?,
            key,
        };
        let extensions = || {
            let basic = BasicConstraints {
                ca: true,
                path_len_constraint: Some(1),
            };
            let usage = KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign);
            Ok(vec![extension(true, &basic)?, extension(true, &usage)?])
        };
        let pem = root.sign(root.name.clone(), &root.key, span, extensions())?;
        Ok((root, pem))
    }

    /// A PEM certificate for signing documents.
    pub(super) fn issue(
        &self,
        holder: &Holder<'_>,
        key: &Key,
        span: Span,
    ) -> Result<String, PkiError> {
        let extensions = || {
            let basic = BasicConstraints {
                ca: false,
                path_len_constraint: None,
            };
            let mut extensions = signing_extensions()?;
            extensions.push(extension(true, &basic)?);
            Ok(extensions)
        };
        let name = holder.name().map_err(PkiError::Encode)?;
        self.sign(name, key, span, extensions())
    }

    fn sign(
        &self,
        subject: Name,
        key: &Key,
        (from, to): Span,
        extensions: der::Result<Vec<Extension>>,
    ) -> Result<String, PkiError> {
        let part = || {
            let mut extensions = extensions?;
            let own = SubjectKeyIdentifier(key_identifier(key)?);
            extensions.push(extension(false, &own)?);
            let issuers = AuthorityKeyIdentifier {
                key_identifier: Some(key_identifier(&self.key)?),
                authority_cert_issuer: None,
                authority_cert_serial_number: None,
            };
            extensions.push(extension(false, &issuers)?);
            der::Result::Ok(TbsCertificate {
                version: Version::V3,
                serial_number: SerialNumber::new(key_identifier(key)?.as_bytes())?,
                signature: self.key.suite().signature_algorithm(),
                issuer: self.name.clone(),
                validity: Validity {
                    not_before: der_time(from)?,
                    not_after: der_time(to)?,
                },
                subject,
                subject_public_key_info: key.public(),
                issuer_unique_id: None,
                subject_unique_id: None,
                extensions: Some(extensions),
            })
        };
        let part = part().map_err(PkiError::Encode)?;
        let signature = self.key.sign(&part.to_der().map_err(PkiError::Encode)?)?;
        let pem = || {
            Certificate {
                signature_algorithm: part.signature.clone(),
                tbs_certificate: part,
                signature: BitString::from_bytes(&signature)?,
            }
            .to_pem(LineEnding::LF)
        };
        pem().map_err(PkiError::Encode)
    }
}

/// The first 19 bytes of the SHA-256 of the public key: an identifier as in RFC 7093 section 2,
/// short enough to be a serial number too.
fn key_identifier(key: &Key) -> der::Result<OctetString> {
    let digest = Sha256::digest(key.public().subject_public_key.raw_bytes());
    OctetString::new(digest[..19].to_vec())
}

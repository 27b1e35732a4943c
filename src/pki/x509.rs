//! Requests and certificates signed by keys that `rcgen` does not know: SM2, and keys in a token.

use std::time::Duration;

use const_oid::AssociatedOid;
use const_oid::db::rfc4519;
use der::asn1::{Any, BitString, OctetString, PrintableStringRef, SetOfVec, Utf8StringRef};
use der::{Encode, EncodePem as _};
use p256::pkcs8::LineEnding;
use sha2::{Digest as _, Sha256};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::certificate::{Certificate, TbsCertificate, Version};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages,
    SubjectKeyIdentifier,
};
use x509_cert::name::{Name, RelativeDistinguishedName};
use x509_cert::request::{self, CertReq, CertReqInfo, ExtensionReq};
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::Validity;

use super::{C2PA_SIGNING, DOCUMENT_SIGNING, PkiError};
use crate::witness::{Key, der_time};

/// Whom a certificate is for; the parts as in [`super::subject`].
pub(super) struct Holder<'a> {
    pub(super) organisation: &'a str,
    pub(super) unit: Option<&'a str>,
    pub(super) serial: Option<&'a str>,
    pub(super) common_name: &'a str,
}

impl Holder<'_> {
    fn name(&self) -> der::Result<Name> {
        let utf8 = |text| Any::encode_from(&Utf8StringRef::new(text)?);
        let mut parts = vec![(rfc4519::O, utf8(self.organisation)?)];
        if let Some(unit) = self.unit {
            parts.push((rfc4519::OU, utf8(unit)?));
        }
        if let Some(serial) = self.serial {
            // X.520 section 6.2.9: serialNumber is a PrintableString.
            let serial = Any::encode_from(&PrintableStringRef::new(serial)?)?;
            parts.push((rfc4519::SERIAL_NUMBER, serial));
        }
        parts.push((rfc4519::CN, utf8(self.common_name)?));
        let part = |(oid, value)| {
            let attribute = AttributeTypeAndValue { oid, value };
            SetOfVec::try_from(vec![attribute]).map(RelativeDistinguishedName)
        };
        let parts: der::Result<Vec<_>> = parts.into_iter().map(part).collect();
        Ok(Name::from(parts?))
    }
}

/// A PEM request for a certificate that signs evidence.
pub(super) fn evidence_request(holder: &Holder<'_>, key: &Key) -> Result<String, PkiError> {
    let info = request_info(holder, key).map_err(PkiError::Encode)?;
    let signed = info.to_der().map_err(PkiError::Encode)?;
    let signature = key.sign(&signed)?;
    let pem = || {
        CertReq {
            info,
            algorithm: key.suite().signature_algorithm(),
            signature: BitString::from_bytes(&signature)?,
        }
        .to_pem(LineEnding::LF)
    };
    pem().map_err(PkiError::Encode)
}

fn request_info(holder: &Holder<'_>, key: &Key) -> der::Result<CertReqInfo> {
    let wanted = ExtensionReq(signing_extensions()?);
    Ok(CertReqInfo {
        version: request::Version::V1,
        subject: holder.name()?,
        public_key: key.public(),
        attributes: SetOfVec::try_from(vec![wanted.try_into()?])?,
    })
}

/// What a certificate for evidence, receipts and reviews says of its use.
fn signing_extensions() -> der::Result<Vec<Extension>> {
    let usage = KeyUsage(KeyUsages::DigitalSignature | KeyUsages::NonRepudiation);
    let purposes = ExtendedKeyUsage(vec![DOCUMENT_SIGNING, C2PA_SIGNING]);
    Ok(vec![extension(true, &usage)?, extension(false, &purposes)?])
}

fn extension<T: AssociatedOid + Encode>(critical: bool, value: &T) -> der::Result<Extension> {
    Ok(Extension {
        extn_id: T::OID,
        critical,
        extn_value: OctetString::new(value.to_der()?)?,
    })
}

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

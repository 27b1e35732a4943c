//! Requests signed by keys that `rcgen` does not know: SM2, and keys in a token.

use const_oid::AssociatedOid;
use const_oid::db::rfc4519;
use der::asn1::{Any, BitString, OctetString, PrintableStringRef, SetOfVec, Utf8StringRef};
use der::{Encode, EncodePem as _};
use p256::pkcs8::LineEnding;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage, KeyUsages};
use x509_cert::name::{Name, RelativeDistinguishedName};
use x509_cert::request::{self, CertReq, CertReqInfo, ExtensionReq};

use super::{C2PA_SIGNING, DOCUMENT_SIGNING, PkiError};
use crate::witness::Key;

/// Whom a certificate is for; the parts as in [`super::subject`].
pub(super) struct Holder<'a> {
    pub(super) organisation: &'a str,
    pub(super) unit: Option<&'a str>,
    pub(super) serial: Option<&'a str>,
    pub(super) common_name: &'a str,
}

impl Holder<'_> {
    pub(super) fn name(&self) -> der::Result<Name> {
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
pub(super) fn signing_extensions() -> der::Result<Vec<Extension>> {
    let usage = KeyUsage(KeyUsages::DigitalSignature | KeyUsages::NonRepudiation);
    let purposes = ExtendedKeyUsage(vec![DOCUMENT_SIGNING, C2PA_SIGNING]);
    Ok(vec![extension(true, &usage)?, extension(false, &purposes)?])
}

pub(super) fn extension<T: AssociatedOid + Encode>(
    critical: bool,
    value: &T,
) -> der::Result<Extension> {
    Ok(Extension {
        extn_id: T::OID,
        critical,
        extn_value: OctetString::new(value.to_der()?)?,
    })
}

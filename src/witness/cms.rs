//! Makes CAdES baseline B signatures (ETSI EN 319 122-1 section 6, RFC 5652).
//!
//! Written over the plain types of the `cms` crate: its builder fits neither hardware tokens nor
//! SM2. Signed attributes: contentType, messageDigest, signingTime,
//! signingCertificateV2 (RFC 5035).

use std::time::Duration;

use cms::cert::IssuerAndSerialNumber;
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{
    EncapsulatedContentInfo, SignedAttributes, SignerIdentifier, SignerInfo, SignerInfos,
};
use const_oid::db::rfc5911;
use der::asn1::{GeneralizedTime, ObjectIdentifier, OctetString, SetOfVec, UtcTime};
use der::{Any, Decode, Encode, Sequence, Tag};
use spki::AlgorithmIdentifierOwned;
use x509_cert::Certificate;
use x509_cert::attr::Attribute;
use x509_cert::ext::pkix::name::{GeneralName, GeneralNames};
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::Time;

use super::chain::ChainFault;
use super::key::{Key, SignError};
use super::signer::PurposeFault;
use crate::config::Suite;

/// Whether the signature carries what it signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The content lies beside the signature (`.p7s`).
    Detached,
    /// The content lies inside (`.p7m`).
    Attached,
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It is not a CMS signature of the form we accept.
    #[error("not a readable CAdES signature: {0}")]
    Form(String),
    /// The content is not what was signed.
    #[error("the signed content was changed")]
    Content,
    /// The signature value does not fit the certificate's key.
    #[error("the signature was not made with the key of its certificate")]
    Value,
    /// signingCertificateV2 names another certificate.
    #[error("the signature names another certificate than the one it carries")]
    Certificate,
    /// The certificate does not lead to a trusted root.
    #[error("the signer is not trusted: {0}")]
    Chain(#[from] ChainFault),
    /// The certificate was issued for something else.
    #[error("the signer's certificate is not for this purpose: {0}")]
    Purpose(#[from] PurposeFault),
}

/// `SignedData` (RFC 5652 section 5.1) with certificates and CRLs left as they came. The `cms`
/// crate would take them apart and sort them by another rule than DER's (X.690 section 11.6).
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct SignedData {
    pub(super) version: CmsVersion,
    pub(super) digest_algorithms: SetOfVec<AlgorithmIdentifierOwned>,
    pub(super) encap_content_info: EncapsulatedContentInfo,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) certificates: Option<SetOfVec<Any>>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) crls: Option<SetOfVec<Any>>,
    pub(super) signer_infos: SignerInfos,
}

/// `ESSCertIDv2` (RFC 5035 section 4).
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct EssCertIdV2 {
    #[asn1(optional = "true")]
    pub(super) hash_algorithm: Option<AlgorithmIdentifierOwned>,
    pub(super) cert_hash: OctetString,
    #[asn1(optional = "true")]
    issuer_serial: Option<IssuerSerial>,
}

/// `IssuerSerial` (RFC 5035 section 5).
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct IssuerSerial {
    issuer: GeneralNames,
    serial_number: SerialNumber,
}

/// `SigningCertificateV2` (RFC 5035 section 3); policies are not used.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct SigningCertificateV2 {
    pub(super) certs: Vec<EssCertIdV2>,
    #[asn1(optional = "true")]
    policies: Option<Vec<Any>>,
}

/// `ESSCertID` (RFC 2634 section 5.4.1), with SHA-1.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct EssCertId {
    pub(super) cert_hash: OctetString,
    #[asn1(optional = "true")]
    issuer_serial: Option<IssuerSerial>,
}

/// `SigningCertificate` (RFC 2634 section 5.4); only read, in time-stamp tokens.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct SigningCertificate {
    pub(super) certs: Vec<EssCertId>,
    #[asn1(optional = "true")]
    policies: Option<Vec<Any>>,
}

/// Signs `content` at `at` (since 1970) with `key`, whose certificate is `leaf`, the first of
/// the certificates of `chain` (DER).
pub(super) fn sign(
    (key, leaf, chain): (&Key, &Certificate, &[Vec<u8>]),
    content: &[u8],
    form: Form,
    at: Duration,
) -> Result<Vec<u8>, SignError> {
    const ENCODES: &str =
        "invariant: a certificate that was parsed encodes, and content is below 256 MiB";
    let own = chain.first().map_or(&[][..], Vec::as_slice);
    let suite = key.suite();
    let attributes = signed_attributes(suite, (leaf, own), content, at).expect(ENCODES);
    let value = key.sign(&attributes.to_der().expect(ENCODES))?;
    let signer = signer_info(suite, leaf, attributes, &value).expect(ENCODES);
    Ok(signed_data(signer, chain, content, form).expect(ENCODES))
}

fn signer_info(
    suite: Suite,
    leaf: &Certificate,
    attributes: SignedAttributes,
    value: &[u8],
) -> der::Result<SignerInfo> {
    Ok(SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
            issuer: leaf.tbs_certificate.issuer.clone(),
            serial_number: leaf.tbs_certificate.serial_number.clone(),
        }),
        digest_alg: suite.digest_algorithm(),
        signed_attrs: Some(attributes),
        signature_algorithm: suite.signature_algorithm(),
        signature: OctetString::new(value)?,
        unsigned_attrs: None,
    })
}

fn signed_data(
    signer: SignerInfo,
    chain: &[Vec<u8>],
    content: &[u8],
    form: Form,
) -> der::Result<Vec<u8>> {
    let econtent = match form {
        Form::Detached => None,
        Form::Attached => Some(Any::new(Tag::OctetString, content)?),
    };
    let certificates = chain.iter().map(|der| Any::from_der(der));
    let certificates = certificates.collect::<der::Result<Vec<_>>>()?;
    let data = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::try_from(vec![signer.digest_alg.clone()])?,
        encap_content_info: EncapsulatedContentInfo {
            econtent_type: rfc5911::ID_DATA,
            econtent,
        },
        certificates: Some(SetOfVec::try_from(certificates)?),
        crls: None,
        signer_infos: SignerInfos(SetOfVec::try_from(vec![signer])?),
    };
    ContentInfo {
        content_type: rfc5911::ID_SIGNED_DATA,
        content: Any::encode_from(&data)?,
    }
    .to_der()
}

fn signed_attributes(
    suite: Suite,
    (leaf, leaf_der): (&Certificate, &[u8]),
    content: &[u8],
    at: Duration,
) -> der::Result<SignedAttributes> {
    let certificate = SigningCertificateV2 {
        certs: vec![EssCertIdV2 {
            // DEFAULT sha256: absent in DER.
            hash_algorithm: (suite != Suite::Es256).then(|| suite.digest_algorithm()),
            cert_hash: OctetString::new(suite.digest(leaf_der))?,
            issuer_serial: Some(IssuerSerial {
                issuer: vec![GeneralName::DirectoryName(
                    leaf.tbs_certificate.issuer.clone(),
                )],
                serial_number: leaf.tbs_certificate.serial_number.clone(),
            }),
        }],
        policies: None,
    };
    let digest = OctetString::new(suite.digest(content))?;
    // `SetOfVec` sorts as DER asks (X.690 section 11.6).
    SetOfVec::try_from(vec![
        attribute(
            rfc5911::ID_CONTENT_TYPE,
            Any::encode_from(&rfc5911::ID_DATA)?,
        )?,
        attribute(rfc5911::ID_MESSAGE_DIGEST, Any::encode_from(&digest)?)?,
        attribute(rfc5911::ID_SIGNING_TIME, Any::encode_from(&der_time(at)?)?)?,
        attribute(
            rfc5911::ID_AA_SIGNING_CERTIFICATE_V_2,
            Any::encode_from(&certificate)?,
        )?,
    ])
}

fn attribute(oid: ObjectIdentifier, value: Any) -> der::Result<Attribute> {
    Ok(Attribute {
        oid,
        values: SetOfVec::try_from(vec![value])?,
    })
}

/// `UTCTime` through 2049, `GeneralizedTime` after (RFC 5652 section 11.3, RFC 5280 section
/// 4.1.2.5), in whole seconds.
pub(crate) fn der_time(at: Duration) -> der::Result<Time> {
    let whole = Duration::from_secs(at.as_secs());
    let time = GeneralizedTime::from_unix_duration(whole)?;
    Ok(if time.to_date_time().year() <= UtcTime::MAX_YEAR {
        Time::UtcTime(UtcTime::from_unix_duration(whole)?)
    } else {
        Time::GeneralTime(time)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_time_changes_its_form_with_the_year_2050() {
        // 2049-12-31T23:59:59Z and the next second.
        let last = Duration::from_millis(2_524_607_999_999);
        assert!(matches!(der_time(last), Ok(Time::UtcTime(_))));
        let next = last + Duration::from_millis(1);
        assert!(matches!(der_time(next), Ok(Time::GeneralTime(_))));
        assert!(matches!(der_time(Duration::ZERO), Ok(Time::UtcTime(_))));
    }
}

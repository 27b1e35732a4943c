//! CAdES baseline B signatures over CMS (ETSI EN 319 122-1 section 6, RFC 5652).
//!
//! Written over the plain types of the `cms` crate: its builder fits neither hardware tokens nor
//! SM2, which later suites need. Signed attributes: contentType, messageDigest, signingTime,
//! signingCertificateV2 (RFC 5035). What is verified is DER only: what does not encode back to
//! the same bytes is refused, so nothing can hide in an encoding.

use std::time::Duration;

use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedAttributes, SignedData, SignerIdentifier,
    SignerInfo, SignerInfos,
};
use const_oid::db::{rfc5911, rfc5912};
use der::asn1::{GeneralizedTime, ObjectIdentifier, OctetString, SetOfVec, UtcTime};
use der::{Any, Decode, Encode, Sequence, Tag};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use sha2::{Digest, Sha256, Sha384, Sha512};
use spki::AlgorithmIdentifierOwned;
use webpki::EndEntityCert;
use x509_cert::Certificate;
use x509_cert::attr::Attribute;
use x509_cert::ext::pkix::SubjectKeyIdentifier;
use x509_cert::ext::pkix::name::{GeneralName, GeneralNames};
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::Time;

use super::chain::{Roots, Signer, Usage, check_chain, check_purpose};

/// Largest signature read: our own are below 2 kB, a long chain adds a few more.
const SIGNATURE_MAX: usize = 256 << 10;
/// Most certificates carried in one signature.
const CERTIFICATES_MAX: usize = 16;

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
    Chain(String),
    /// The certificate was issued for something else.
    #[error("the signer's certificate is not for this purpose: {0}")]
    Purpose(String),
}

/// `ESSCertIDv2` (RFC 5035 section 4).
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct EssCertIdV2 {
    #[asn1(optional = "true")]
    hash_algorithm: Option<AlgorithmIdentifierOwned>,
    cert_hash: OctetString,
    #[asn1(optional = "true")]
    issuer_serial: Option<IssuerSerial>,
}

/// `IssuerSerial` (RFC 5035 section 5).
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct IssuerSerial {
    issuer: GeneralNames,
    serial_number: SerialNumber,
}

/// `SigningCertificateV2` (RFC 5035 section 3); policies are not used.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct SigningCertificateV2 {
    certs: Vec<EssCertIdV2>,
    #[asn1(optional = "true")]
    policies: Option<Vec<Any>>,
}

/// Signs `content` at `at` (since 1970) with `key`, whose certificate is the first of `chain`.
pub(super) fn sign(
    key: &SigningKey,
    chain: &[Certificate],
    content: &[u8],
    form: Form,
    at: Duration,
) -> der::Result<Vec<u8>> {
    let leaf = chain.first().ok_or(der::ErrorKind::Failed)?;
    let attributes = signed_attributes(leaf, content, at)?;
    let value: DerSignature = key.sign(&attributes.to_der()?);
    let sha256 = algorithm(rfc5912::ID_SHA_256);
    let signer = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
            issuer: leaf.tbs_certificate.issuer.clone(),
            serial_number: leaf.tbs_certificate.serial_number.clone(),
        }),
        digest_alg: sha256.clone(),
        signed_attrs: Some(attributes),
        signature_algorithm: algorithm(rfc5912::ECDSA_WITH_SHA_256),
        signature: OctetString::new(value.as_bytes())?,
        unsigned_attrs: None,
    };
    let econtent = match form {
        Form::Detached => None,
        Form::Attached => Some(Any::new(Tag::OctetString, content)?),
    };
    let certificates = chain.iter().cloned().map(CertificateChoices::Certificate);
    let data = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::try_from(vec![sha256])?,
        encap_content_info: EncapsulatedContentInfo {
            econtent_type: rfc5911::ID_DATA,
            econtent,
        },
        certificates: Some(CertificateSet(SetOfVec::from_iter(certificates)?)),
        crls: None,
        signer_infos: SignerInfos(SetOfVec::try_from(vec![signer])?),
    };
    ContentInfo {
        content_type: rfc5911::ID_SIGNED_DATA,
        content: Any::encode_from(&data)?,
    }
    .to_der()
}

/// An algorithm without parameters, as RFC 5754 sections 2 and 3.3 want for SHA-2 and ECDSA.
fn algorithm(oid: ObjectIdentifier) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned {
        oid,
        parameters: None,
    }
}

fn signed_attributes(
    leaf: &Certificate,
    content: &[u8],
    at: Duration,
) -> der::Result<SignedAttributes> {
    let certificate = SigningCertificateV2 {
        certs: vec![EssCertIdV2 {
            // DEFAULT sha256: absent in DER.
            hash_algorithm: None,
            cert_hash: OctetString::new(Sha256::digest(leaf.to_der()?).to_vec())?,
            issuer_serial: Some(IssuerSerial {
                issuer: vec![GeneralName::DirectoryName(
                    leaf.tbs_certificate.issuer.clone(),
                )],
                serial_number: leaf.tbs_certificate.serial_number.clone(),
            }),
        }],
        policies: None,
    };
    let digest = OctetString::new(Sha256::digest(content).to_vec())?;
    // `SetOfVec` sorts as DER asks (X.690 section 11.6).
    SetOfVec::try_from(vec![
        attribute(
            rfc5911::ID_CONTENT_TYPE,
            Any::encode_from(&rfc5911::ID_DATA)?,
        )?,
        attribute(rfc5911::ID_MESSAGE_DIGEST, Any::encode_from(&digest)?)?,
        attribute(rfc5911::ID_SIGNING_TIME, Any::encode_from(&cms_time(at)?)?)?,
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

/// `UTCTime` through 2049, `GeneralizedTime` after (RFC 5652 section 11.3).
fn cms_time(at: Duration) -> der::Result<Time> {
    let whole = Duration::from_secs(at.as_secs());
    let time = GeneralizedTime::from_unix_duration(whole)?;
    Ok(if time.to_date_time().year() <= UtcTime::MAX_YEAR {
        Time::UtcTime(UtcTime::from_unix_duration(whole)?)
    } else {
        Time::GeneralTime(time)
    })
}

/// A signature whose mathematics is right; whether its signer is trusted is the next question.
#[derive(Debug)]
pub(super) struct Opened {
    certificate: Certificate,
    certificate_der: Vec<u8>,
    others: Vec<CertificateDer<'static>>,
    signing_time: Duration,
    pub(super) content: Option<Vec<u8>>,
    pub(super) signer: Signer,
}

impl Opened {
    /// Checks chain and purpose.
    pub(super) fn trust(&self, roots: &Roots, usage: Usage) -> Result<(), SignatureError> {
        self.chain(roots)?;
        self.purpose(usage)
    }

    /// Checks that the certificate led to one of `roots` when it signed.
    pub(super) fn chain(&self, roots: &Roots) -> Result<(), SignatureError> {
        check_chain(
            &self.certificate_der,
            &self.others,
            roots,
            self.signing_time,
        )
    }

    /// Checks that the certificate was issued for `usage`.
    pub(super) fn purpose(&self, usage: Usage) -> Result<(), SignatureError> {
        check_purpose(&self.certificate, usage).map_err(SignatureError::Purpose)
    }
}

/// Checks a detached signature over `content` and its signer.
pub fn check_detached(
    signature: &[u8],
    content: &[u8],
    roots: &Roots,
    usage: Usage,
) -> Result<Signer, SignatureError> {
    let opened = open(signature, Some(content))?;
    opened.trust(roots, usage)?;
    Ok(opened.signer)
}

/// Checks a signature that carries its content, and its signer; gives the content.
pub fn check_attached(
    p7m: &[u8],
    roots: &Roots,
    usage: Usage,
) -> Result<(Vec<u8>, Signer), SignatureError> {
    let opened = open(p7m, None)?;
    opened.trust(roots, usage)?;
    let content = opened
        .content
        .ok_or_else(|| form("it carries no content"))?;
    Ok((content, opened.signer))
}

fn form(why: impl Into<String>) -> SignatureError {
    SignatureError::Form(why.into())
}

fn not_der(error: der::Error) -> SignatureError {
    form(format!("not DER ({error})"))
}

/// Checks form, digest, certificate binding and signature value.
///
/// `content` is given for a detached signature and `None` for an attached one.
pub(super) fn open(signature: &[u8], content: Option<&[u8]>) -> Result<Opened, SignatureError> {
    let data = parse(signature)?;
    let content = match (&data.encap_content_info.econtent, content) {
        (None, Some(beside)) => (beside.to_vec(), None),
        (Some(inside), None) => {
            let inside = inside
                .decode_as::<OctetString>()
                .map_err(not_der)?
                .into_bytes();
            (inside.clone(), Some(inside))
        }
        (Some(_), Some(_)) => return Err(form("it carries a content of its own")),
        (None, None) => return Err(form("it carries no content")),
    };
    let [info] = data.signer_infos.0.as_slice() else {
        return Err(form("it must have exactly one signer"));
    };
    let (certificate, others) = pick(&data, &info.sid)?;
    let certificate_der = certificate.to_der().map_err(not_der)?;
    let attributes = info
        .signed_attrs
        .as_ref()
        .ok_or_else(|| form("it has no signed attributes"))?;
    let signing_time =
        check_attributes(attributes, &info.digest_alg, &content.0, &certificate_der)?;
    check_value(info, attributes, &certificate_der)?;
    let signer = Signer::new(&certificate, &certificate_der, signing_time);
    Ok(Opened {
        certificate,
        certificate_der,
        others,
        signing_time,
        content: content.1,
        signer,
    })
}

fn parse(signature: &[u8]) -> Result<SignedData, SignatureError> {
    if signature.len() > SIGNATURE_MAX {
        return Err(form("it is larger than 256 KiB"));
    }
    let info = ContentInfo::from_der(signature).map_err(not_der)?;
    if info.content_type != rfc5911::ID_SIGNED_DATA {
        return Err(form("its content type is not signedData"));
    }
    let data: SignedData = info.content.decode_as().map_err(not_der)?;
    let again = ContentInfo {
        content_type: info.content_type,
        content: Any::encode_from(&data).map_err(not_der)?,
    };
    if again.to_der().map_err(not_der)? != signature {
        return Err(form("its encoding is not canonical DER"));
    }
    if !matches!(data.version, CmsVersion::V1 | CmsVersion::V3)
        || data.encap_content_info.econtent_type != rfc5911::ID_DATA
    {
        return Err(form("its version or content type is not supported"));
    }
    Ok(data)
}

/// The signer's certificate, and the others to build a chain from.
fn pick(
    data: &SignedData,
    sid: &SignerIdentifier,
) -> Result<(Certificate, Vec<CertificateDer<'static>>), SignatureError> {
    let set = data
        .certificates
        .as_ref()
        .ok_or_else(|| form("it carries no certificate"))?;
    if set.0.len() > CERTIFICATES_MAX {
        return Err(form("it carries more than 16 certificates"));
    }
    let mut signer = None;
    let mut others = Vec::new();
    for choice in set.0.iter() {
        let CertificateChoices::Certificate(certificate) = choice else {
            return Err(form("it carries something else than X.509 certificates"));
        };
        if signer.is_none() && is_named(certificate, sid) {
            signer = Some(certificate.clone());
        } else {
            others.push(CertificateDer::from(certificate.to_der().map_err(not_der)?));
        }
    }
    let signer = signer.ok_or_else(|| form("it does not carry its signer's certificate"))?;
    Ok((signer, others))
}

fn is_named(certificate: &Certificate, sid: &SignerIdentifier) -> bool {
    let tbs = &certificate.tbs_certificate;
    match sid {
        SignerIdentifier::IssuerAndSerialNumber(named) => {
            named.issuer == tbs.issuer && named.serial_number == tbs.serial_number
        }
        SignerIdentifier::SubjectKeyIdentifier(named) => {
            matches!(tbs.get::<SubjectKeyIdentifier>(), Ok(Some((_, own))) if own == *named)
        }
    }
}

/// The single value of the single attribute `oid`.
fn single(attributes: &SignedAttributes, oid: ObjectIdentifier) -> Result<&Any, SignatureError> {
    let mut found = attributes.iter().filter(|attribute| attribute.oid == oid);
    let missing = || form(format!("signed attribute {oid} is missing or repeated"));
    let attribute = found.next().ok_or_else(missing)?;
    match (attribute.values.as_slice(), found.next()) {
        ([value], None) => Ok(value),
        _ => Err(missing()),
    }
}

/// Checks the signed attributes; gives signingTime since 1970.
fn check_attributes(
    attributes: &SignedAttributes,
    digest_algorithm: &AlgorithmIdentifierOwned,
    content: &[u8],
    certificate: &[u8],
) -> Result<Duration, SignatureError> {
    let kind: ObjectIdentifier = single(attributes, rfc5911::ID_CONTENT_TYPE)?
        .decode_as()
        .map_err(not_der)?;
    if kind != rfc5911::ID_DATA {
        return Err(form("the signed content type is another one"));
    }
    let claimed: OctetString = single(attributes, rfc5911::ID_MESSAGE_DIGEST)?
        .decode_as()
        .map_err(not_der)?;
    if claimed.as_bytes() != digest(digest_algorithm.oid, content)? {
        return Err(SignatureError::Content);
    }
    let named: SigningCertificateV2 = single(attributes, rfc5911::ID_AA_SIGNING_CERTIFICATE_V_2)?
        .decode_as()
        .map_err(not_der)?;
    let first = named.certs.first().ok_or(SignatureError::Certificate)?;
    let hash = first
        .hash_algorithm
        .as_ref()
        .map_or(rfc5912::ID_SHA_256, |algorithm| algorithm.oid);
    if first.cert_hash.as_bytes() != digest(hash, certificate)? {
        return Err(SignatureError::Certificate);
    }
    let time = single(attributes, rfc5911::ID_SIGNING_TIME)?;
    let time = time.to_der().and_then(|der| Time::from_der(&der));
    Ok(time.map_err(not_der)?.to_unix_duration())
}

fn digest(algorithm: ObjectIdentifier, bytes: &[u8]) -> Result<Vec<u8>, SignatureError> {
    match algorithm {
        rfc5912::ID_SHA_256 => Ok(Sha256::digest(bytes).to_vec()),
        rfc5912::ID_SHA_384 => Ok(Sha384::digest(bytes).to_vec()),
        rfc5912::ID_SHA_512 => Ok(Sha512::digest(bytes).to_vec()),
        other => Err(form(format!("digest algorithm {other} is not supported"))),
    }
}

/// Verifies the signature value over the DER of the signed attributes (RFC 5652 section 5.4).
fn check_value(
    info: &SignerInfo,
    attributes: &SignedAttributes,
    certificate: &[u8],
) -> Result<(), SignatureError> {
    let message = attributes.to_der().map_err(not_der)?;
    let certificate = CertificateDer::from(certificate);
    let end = EndEntityCert::try_from(&certificate)
        .map_err(|e| form(format!("the signer's certificate is not usable ({e:?})")))?;
    let candidates = value_algorithms(info.signature_algorithm.oid, info.digest_alg.oid)?;
    let fits = candidates.iter().any(|algorithm| {
        end.verify_signature(*algorithm, &message, info.signature.as_bytes())
            .is_ok()
    });
    if fits {
        Ok(())
    } else {
        Err(SignatureError::Value)
    }
}

/// ECDSA with SHA-256 on either curve.
static ECDSA_SHA256: [&dyn SignatureVerificationAlgorithm; 2] = [
    webpki::ring::ECDSA_P256_SHA256,
    webpki::ring::ECDSA_P384_SHA256,
];
/// ECDSA with SHA-384 on either curve.
static ECDSA_SHA384: [&dyn SignatureVerificationAlgorithm; 2] = [
    webpki::ring::ECDSA_P256_SHA384,
    webpki::ring::ECDSA_P384_SHA384,
];
static RSA_SHA256: [&dyn SignatureVerificationAlgorithm; 1] =
    [webpki::ring::RSA_PKCS1_2048_8192_SHA256];
static RSA_SHA384: [&dyn SignatureVerificationAlgorithm; 1] =
    [webpki::ring::RSA_PKCS1_2048_8192_SHA384];
static RSA_SHA512: [&dyn SignatureVerificationAlgorithm; 1] =
    [webpki::ring::RSA_PKCS1_2048_8192_SHA512];

/// The algorithms that a pair of CMS identifiers may mean, one per kind of key.
fn value_algorithms(
    signature: ObjectIdentifier,
    digest: ObjectIdentifier,
) -> Result<&'static [&'static dyn SignatureVerificationAlgorithm], SignatureError> {
    use rfc5912 as oid;
    match (signature, digest) {
        (oid::ECDSA_WITH_SHA_256, oid::ID_SHA_256) => Ok(&ECDSA_SHA256),
        (oid::ECDSA_WITH_SHA_384, oid::ID_SHA_384) => Ok(&ECDSA_SHA384),
        (oid::RSA_ENCRYPTION | oid::SHA_256_WITH_RSA_ENCRYPTION, oid::ID_SHA_256) => {
            Ok(&RSA_SHA256)
        }
        (oid::RSA_ENCRYPTION | oid::SHA_384_WITH_RSA_ENCRYPTION, oid::ID_SHA_384) => {
            Ok(&RSA_SHA384)
        }
        (oid::RSA_ENCRYPTION | oid::SHA_512_WITH_RSA_ENCRYPTION, oid::ID_SHA_512) => {
            Ok(&RSA_SHA512)
        }
        (other, _) => Err(form(format!(
            "signature algorithm {other} is not supported"
        ))),
    }
}

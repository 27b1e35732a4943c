//! Who may sign what: roots, certificate chains, purposes.
//!
//! Path building is rustls-webpki's (RFC 5280 section 6: signatures, names, validity,
//! basicConstraints, pathLen, name constraints, unknown critical extensions). Added here is what
//! a TLS library does not ask: keyUsage of the CAs, path length and validity of the root, and
//! the purpose of the signer.

use std::path::Path;
use std::time::Duration;

use const_oid::db::rfc4519::{CN, O, OU, SERIAL_NUMBER};
use der::asn1::{ObjectIdentifier, PrintableStringRef, TeletexStringRef, Utf8StringRef};
use der::{Decode, Tag, Tagged};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use serde::{Deserialize, Serialize};
use webpki::{EndEntityCert, VerifiedPath};
use x509_cert::Certificate;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use x509_cert::name::Name;

use super::cms::SignatureError;
use super::identity::KeyError;
use super::sha256_hex;

/// extendedKeyUsage documentSigning (RFC 9336).
pub(crate) const DOCUMENT_SIGNING: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.36");
/// DER value octets of [`DOCUMENT_SIGNING`], as webpki wants them.
const DOCUMENT_SIGNING_OCTETS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 36];
/// organizationalUnit of a certificate that may sign receipts.
const RECEIVER: &str = "receiver";
/// Largest file of certificates read.
const PEM_MAX: u64 = 1 << 20;

/// Algorithms a certificate may be signed with.
static CHAIN_ALGORITHMS: [&dyn SignatureVerificationAlgorithm; 11] = [
    webpki::ring::ECDSA_P256_SHA256,
    webpki::ring::ECDSA_P256_SHA384,
    webpki::ring::ECDSA_P384_SHA256,
    webpki::ring::ECDSA_P384_SHA384,
    webpki::ring::ED25519,
    webpki::ring::RSA_PKCS1_2048_8192_SHA256,
    webpki::ring::RSA_PKCS1_2048_8192_SHA384,
    webpki::ring::RSA_PKCS1_2048_8192_SHA512,
    webpki::ring::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    webpki::ring::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    webpki::ring::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
];

/// What a signature is meant to prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// A device vouches for a package: documentSigning, subject serialNumber = device id.
    Evidence,
    /// A receiver vouches that it stored a package: documentSigning, OU = `receiver`.
    Receiver,
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
pub(crate) fn only(name: &Name, oid: ObjectIdentifier) -> Option<String> {
    let mut values = name
        .0
        .iter()
        .flat_map(|rdn| rdn.0.iter())
        .filter(|attribute| attribute.oid == oid);
    let value = &values.next()?.value;
    if values.next().is_some() {
        return None;
    }
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

/// One trusted root.
#[derive(Debug)]
struct Root {
    anchor: TrustAnchor<'static>,
    not_before: Duration,
    not_after: Duration,
    path_len: Option<u8>,
}

/// The roots a verifier trusts.
#[derive(Debug)]
pub struct Roots(Vec<Root>);

impl Roots {
    /// Reads a PEM file, or every `*.crt` and `*.pem` file of a folder.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let io = |source| KeyError::Read {
            path: path.to_owned(),
            source,
        };
        if !std::fs::metadata(path).map_err(io)?.is_dir() {
            return Self::from_pem(&read(path)?, path);
        }
        let mut files = Vec::new();
        for entry in std::fs::read_dir(path).map_err(io)? {
            let file = entry.map_err(io)?.path();
            let extension = file.extension().and_then(|e| e.to_str());
            if matches!(extension, Some("crt" | "pem")) {
                files.push(file);
            }
        }
        files.sort();
        let mut roots = Vec::new();
        for file in &files {
            roots.extend(Self::from_pem(&read(file)?, file)?.0);
        }
        if roots.is_empty() {
            return Err(KeyError::NoCertificate {
                path: path.to_owned(),
            });
        }
        Ok(Self(roots))
    }

    /// Reads PEM text; `path` only names it in errors.
    pub fn from_pem(pem: &[u8], path: &Path) -> Result<Self, KeyError> {
        let mut roots = Vec::new();
        for section in CertificateDer::pem_slice_iter(pem) {
            let der = section.map_err(|error| KeyError::Certificate {
                path: path.to_owned(),
                why: error.to_string(),
            })?;
            roots.push(root(&der).map_err(|why| KeyError::Root {
                path: path.to_owned(),
                why,
            })?);
        }
        if roots.is_empty() {
            return Err(KeyError::NoCertificate {
                path: path.to_owned(),
            });
        }
        Ok(Self(roots))
    }

    /// How many roots there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, KeyError> {
    super::identity::read_bounded(path, PEM_MAX)
}

fn root(der: &CertificateDer<'_>) -> Result<Root, String> {
    let certificate = Certificate::from_der(der).map_err(|e| format!("not a certificate ({e})"))?;
    let subject = certificate.tbs_certificate.subject.to_string();
    let (_, basic) = certificate
        .tbs_certificate
        .get::<BasicConstraints>()
        .map_err(|e| format!("{subject}: basicConstraints unreadable ({e})"))?
        .unwrap_or((
            false,
            BasicConstraints {
                ca: false,
                path_len_constraint: None,
            },
        ));
    if !basic.ca {
        return Err(format!(
            "{subject} is not a CA certificate; give the bureau's root, not the device's own"
        ));
    }
    if !may_sign_certificates(&certificate) {
        return Err(format!("{subject} may not sign certificates (keyUsage)"));
    }
    let anchor = webpki::anchor_from_trusted_cert(der)
        .map_err(|e| format!("{subject}: {e}"))?
        .to_owned();
    let validity = &certificate.tbs_certificate.validity;
    Ok(Root {
        anchor,
        not_before: validity.not_before.to_unix_duration(),
        not_after: validity.not_after.to_unix_duration(),
        path_len: basic.path_len_constraint,
    })
}

/// Whether keyUsage, where given, allows to sign certificates (RFC 5280 section 4.2.1.3).
fn may_sign_certificates(certificate: &Certificate) -> bool {
    match certificate.tbs_certificate.get::<KeyUsage>() {
        Ok(Some((_, usage))) => usage.key_cert_sign(),
        Ok(None) => true,
        Err(_unreadable) => false,
    }
}

/// Checks that the chain of `signer` ended in one of `roots` when it signed.
pub(super) fn check_chain(
    signer: &[u8],
    others: &[CertificateDer<'_>],
    roots: &Roots,
    at: Duration,
) -> Result<(), SignatureError> {
    let signer = CertificateDer::from(signer);
    let fail = |e: webpki::Error| SignatureError::Chain(why(&e));
    let end = EndEntityCert::try_from(&signer).map_err(fail)?;
    let (anchors, lengths): (Vec<_>, Vec<_>) = roots
        .0
        .iter()
        .filter(|root| root.not_before <= at && at <= root.not_after)
        .map(|root| (root.anchor.clone(), root.path_len))
        .unzip();
    let ca_rules = |path: &VerifiedPath<'_>| {
        let mut count = 0_usize;
        for ca in path.intermediate_certificates() {
            count += 1;
            let ca =
                Certificate::from_der(&ca.der()).map_err(|_unreadable| webpki::Error::BadDer)?;
            if !may_sign_certificates(&ca) {
                return Err(webpki::Error::EndEntityUsedAsCa);
            }
        }
        let limit = anchors
            .iter()
            .position(|anchor| anchor == path.anchor())
            .and_then(|index| lengths[index]);
        match limit {
            Some(limit) if count > usize::from(limit) => {
                Err(webpki::Error::PathLenConstraintViolated)
            }
            _ => Ok(()),
        }
    };
    end.verify_for_usage(
        &CHAIN_ALGORITHMS,
        &anchors,
        others,
        UnixTime::since_unix_epoch(at),
        // The signer's own purpose is demanded by `check_purpose`; here an issuing CA that
        // limits itself to other purposes is refused.
        webpki::KeyUsage::required_if_present(DOCUMENT_SIGNING_OCTETS),
        None,
        Some(&ca_rules),
    )
    .map(|_path| ())
    .map_err(fail)
}

fn why(error: &webpki::Error) -> String {
    match error {
        webpki::Error::UnknownIssuer => "no trusted root issued it".to_owned(),
        webpki::Error::CertExpired { .. } => "a certificate had expired when it signed".to_owned(),
        webpki::Error::CertNotValidYet { .. } => {
            "a certificate was not yet valid when it signed".to_owned()
        }
        webpki::Error::InvalidSignatureForPublicKey => {
            "a certificate is not signed by its issuer".to_owned()
        }
        webpki::Error::EndEntityUsedAsCa => "an issuer is not a CA".to_owned(),
        webpki::Error::CaUsedAsEndEntity => "the signer's certificate is a CA's".to_owned(),
        webpki::Error::RequiredEkuNotFoundContext(_) => {
            "an issuer or the signer is limited to other purposes".to_owned()
        }
        other => format!("{other:?}"),
    }
}

/// Checks that the signer's certificate was issued for `usage`.
pub(crate) fn check_purpose(certificate: &Certificate, usage: Usage) -> Result<(), String> {
    let tbs = &certificate.tbs_certificate;
    match tbs.get::<ExtendedKeyUsage>() {
        Ok(Some((_, purposes))) if purposes.0.contains(&DOCUMENT_SIGNING) => {}
        Ok(_) => {
            return Err("extendedKeyUsage lacks documentSigning (1.3.6.1.5.5.7.3.36)".to_owned());
        }
        Err(error) => return Err(format!("extendedKeyUsage is unreadable ({error})")),
    }
    match tbs.get::<KeyUsage>() {
        Ok(None) => {}
        Ok(Some((_, bits))) if bits.digital_signature() || bits.non_repudiation() => {}
        Ok(Some(_)) => return Err("keyUsage does not allow signatures".to_owned()),
        Err(error) => return Err(format!("keyUsage is unreadable ({error})")),
    }
    match usage {
        Usage::Evidence if only(&tbs.subject, SERIAL_NUMBER).is_none() => {
            Err("the subject has no (single) serialNumber, so it names no device".to_owned())
        }
        Usage::Receiver if only(&tbs.subject, OU).as_deref() != Some(RECEIVER) => {
            Err("the subject's organizationalUnit is not `receiver`".to_owned())
        }
        Usage::Evidence | Usage::Receiver => Ok(()),
    }
}

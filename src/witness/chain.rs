//! Which roots are trusted, and whether a certificate led to one.
//!
//! Path building is rustls-webpki's (RFC 5280 section 6: signatures, names, validity,
//! basicConstraints, pathLen, name constraints, unknown critical extensions). Added here is what
//! a TLS library does not ask: keyUsage and purposes of the issuers, path length and validity of
//! the root. SM2 is taught to it by `suite`.

use std::path::Path;
use std::time::Duration;

use der::Decode;
use der::asn1::ObjectIdentifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, VerifiedPath};
use x509_cert::Certificate;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};

use super::identity::{KeyError, read_bounded};
use super::revoked::{List, date, first_revoked};
use super::signer::DOCUMENT_SIGNING;
use super::suite::{SM2_ALGORITHM, SM2_ALGORITHM_NULL};

/// anyExtendedKeyUsage (RFC 5280 section 4.2.1.12).
const ANY_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
/// Largest file of certificates read.
const PEM_MAX: u64 = 1 << 20;

/// Algorithms a certificate may be signed with.
pub(super) static CHAIN_ALGORITHMS: [&dyn SignatureVerificationAlgorithm; 13] = [
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
    &SM2_ALGORITHM,
    &SM2_ALGORITHM_NULL,
];

/// One trusted root.
#[derive(Debug)]
struct Root {
    der: Vec<u8>,
    anchor: TrustAnchor<'static>,
    not_before: Duration,
    not_after: Duration,
    path_len: Option<u8>,
}

/// The roots a verifier trusts.
#[derive(Debug)]
pub struct Roots {
    roots: Vec<Root>,
    /// Lists of what these and others have revoked.
    pub(super) revoked: Vec<List>,
}

impl Roots {
    /// Reads a PEM file, or every `*.crt` and `*.pem` file of a folder.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let io = |source| KeyError::Read {
            path: path.to_owned(),
            source,
        };
        if !std::fs::metadata(path).map_err(io)?.is_dir() {
            return Self::from_pem(&read_bounded(path, PEM_MAX)?, path);
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
            roots.extend(Self::from_pem(&read_bounded(file, PEM_MAX)?, file)?.roots);
        }
        if roots.is_empty() {
            return Err(KeyError::NoCertificate {
                path: path.to_owned(),
            });
        }
        Ok(Self::of(roots))
    }

    fn of(roots: Vec<Root>) -> Self {
        let revoked = Vec::new();
        Self { roots, revoked }
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
        Ok(Self::of(roots))
    }

    /// Every root, DER.
    pub(super) fn ders(&self) -> impl Iterator<Item = &[u8]> {
        self.roots.iter().map(|root| &*root.der)
    }

    /// Every root as PEM (RFC 7468), for readers that take nothing else.
    #[cfg(feature = "c2pa")]
    pub(super) fn to_pem(&self) -> String {
        let pem = |root: &Root| {
            der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, &root.der)
                .expect("invariant: a label of letters and a certificate below 1 MiB encode")
        };
        self.roots.iter().map(pem).collect()
    }

    /// Whether one of them is this certificate.
    pub(super) fn holds(&self, der: &[u8]) -> bool {
        self.roots.iter().any(|root| root.der == der)
    }

    /// How many roots there are.
    pub fn count(&self) -> usize {
        self.roots.len()
    }
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
        der: der.to_vec(),
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

/// Whether extendedKeyUsage, where an issuer has one, lets it issue for `wanted`.
fn may_issue_for(certificate: &Certificate, wanted: ObjectIdentifier) -> bool {
    match certificate.tbs_certificate.get::<ExtendedKeyUsage>() {
        Ok(Some((_, purposes))) => purposes
            .0
            .iter()
            .any(|purpose| [wanted, ANY_PURPOSE].contains(purpose)),
        Ok(None) => true,
        Err(_unreadable) => false,
    }
}

/// Why a certificate does not lead to a trusted root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// No root, valid at that time, issued it.
    #[error("no trusted root, valid when it signed, issued its certificate")]
    UnknownIssuer,
    /// Signed after the end of a certificate.
    #[error("a certificate had expired when it signed")]
    Expired,
    /// Signed before the start of a certificate.
    #[error("a certificate was not yet valid when it signed")]
    NotYetValid,
    /// A certificate is forged.
    #[error("a certificate is not signed by its issuer")]
    Forged,
    /// An issuer is not a CA, or not one for this.
    #[error("an issuer was not allowed to issue this certificate")]
    IssuerNotAllowed,
    /// A CA signs certificates, not evidence.
    #[error("the signer's certificate is a CA's")]
    SignerIsCa,
    /// What leads nowhere says nothing.
    #[error("it carries a certificate that the way to the root does not need")]
    Surplus,
    /// Its issuer had revoked it, on that day, when it signed.
    #[error("a certificate was revoked on {0}")]
    Revoked(String),
    /// Anything else, as the library names it.
    #[error("{0}")]
    Other(String),
}

impl From<webpki::Error> for ChainFault {
    fn from(error: webpki::Error) -> Self {
        use webpki::Error as E;
        match error {
            E::UnknownIssuer => Self::UnknownIssuer,
            E::CertExpired { .. } => Self::Expired,
            E::CertNotValidYet { .. } => Self::NotYetValid,
            E::InvalidSignatureForPublicKey => Self::Forged,
            E::EndEntityUsedAsCa | E::PathLenConstraintViolated => Self::IssuerNotAllowed,
            E::CaUsedAsEndEntity => Self::SignerIsCa,
            other => Self::Other(format!("{other:?}")),
        }
    }
}

/// Lets every purpose pass: the signer's is demanded by `check_purpose`, the issuers' below.
struct AnyPurpose;

impl webpki::ExtendedKeyUsageValidator for AnyPurpose {
    fn validate(&self, _purposes: webpki::KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}

/// Checks that the chain of `signer` ended in one of `roots` when it signed (`at`, since 1970),
/// over issuers that may issue for `purpose`; gives these, the root last.
pub(super) fn check_chain(
    signer: &[u8],
    others: &[CertificateDer<'_>],
    roots: &Roots,
    (at, purpose): (Duration, ObjectIdentifier),
) -> Result<Vec<CertificateDer<'static>>, ChainFault> {
    let signer = CertificateDer::from(signer);
    let end = EndEntityCert::try_from(&signer)?;
    let valid = |root: &&Root| root.not_before <= at && at <= root.not_after;
    let valid: Vec<&Root> = roots.roots.iter().filter(valid).collect();
    let anchors: Vec<_> = valid.iter().map(|root| root.anchor.clone()).collect();
    let root_of = |path: &VerifiedPath<'_>| {
        let root = valid.iter().find(|root| root.anchor == *path.anchor());
        root.copied().ok_or(webpki::Error::UnknownIssuer)
    };
    let issuers_may =
        |path: &VerifiedPath<'_>| check_issuers(path, root_of(path)?.path_len, purpose);
    let path = end.verify_for_usage(
        &CHAIN_ALGORITHMS,
        &anchors,
        others,
        UnixTime::since_unix_epoch(at),
        AnyPurpose,
        None,
        Some(&issuers_may),
    )?;
    let way = path.intermediate_certificates();
    let mut way: Vec<_> = way.map(|issuer| issuer.der().into_owned()).collect();
    way.push(CertificateDer::from(root_of(&path)?.der.clone()));
    Ok(way)
}

/// Checks the same for a signature over documents, and that nothing of `others` is left over: it would
/// say nothing, and one signature could be carried in as many forms. One of the roots may lie there:
/// whether an issuer is needed is then a question of which roots are given. Gives when the first
/// certificate of the chain was revoked, since 1970, by a list that came with the roots.
pub(super) fn check_document_chain(
    signer: &[u8],
    others: &[CertificateDer<'static>],
    roots: &Roots,
    at: Duration,
) -> Result<Option<Duration>, ChainFault> {
    let mut chain = check_chain(signer, others, roots, (at, DOCUMENT_SIGNING))?;
    let needed = |der: &CertificateDer<'static>| chain.contains(der) || roots.holds(der);
    if !others.iter().all(needed) {
        return Err(ChainFault::Surplus);
    }
    chain.insert(0, CertificateDer::from(signer.to_vec()));
    Ok(first_revoked(&chain, &roots.revoked)?)
}

/// Refuses what was revoked by the time `by`, since 1970.
pub(super) fn check_not_revoked(on: Option<Duration>, by: Duration) -> Result<(), ChainFault> {
    match on {
        Some(on) if on <= by => Err(ChainFault::Revoked(date(on.as_secs()))),
        _ => Ok(()),
    }
}

/// What webpki does not ask of issuers; `limit` is the root's pathLenConstraint.
fn check_issuers(
    path: &VerifiedPath<'_>,
    limit: Option<u8>,
    purpose: ObjectIdentifier,
) -> Result<(), webpki::Error> {
    let mut count = 0_usize;
    for issuer in path.intermediate_certificates() {
        count += 1;
        let issuer =
            Certificate::from_der(&issuer.der()).map_err(|_unreadable| webpki::Error::BadDer)?;
        if !may_sign_certificates(&issuer) || !may_issue_for(&issuer, purpose) {
            return Err(webpki::Error::EndEntityUsedAsCa);
        }
    }
    match limit {
        Some(limit) if count > usize::from(limit) => Err(webpki::Error::PathLenConstraintViolated),
        _ => Ok(()),
    }
}

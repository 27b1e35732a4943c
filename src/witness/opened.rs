//! Reads and checks CMS signatures: form, digest, binding to the certificate, value.
//!
//! DER only: what does not encode back to the same bytes is refused, so nothing can hide in an
//! encoding. Whether the signer is trusted is `chain`'s question. Time-stamp tokens are such
//! signatures too, over another type of content; what that content says is `timestamp`'s matter.

use std::time::Duration;

use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{SignedAttributes, SignerIdentifier, SignerInfo};
use const_oid::db::{rfc5911, rfc5912};
use der::asn1::{ObjectIdentifier, OctetString};
use der::{Any, Decode, Encode};
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use sha2::{Digest, Sha256, Sha384, Sha512};
use sm3::Sm3;
use webpki::EndEntityCert;
use x509_cert::Certificate;
use x509_cert::ext::pkix::SubjectKeyIdentifier;
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::attributes::{check_attributes, check_named, signing_time};
use super::chain::{ChainFault, Roots, check_chain, check_document_chain, check_not_revoked};
use super::cms::{SignatureError, SignedData};
use super::signer::{PurposeFault, Signer, Usage, check_purpose};
use super::suite::{SM2_ALGORITHM, SM2_WITH_SM3, SM3};

/// Largest signature read: our own are below 2 kB, a long chain adds a few more.
const SIGNATURE_MAX: usize = 256 << 10;
/// Most certificates carried in one signature.
const CERTIFICATES_MAX: usize = 16;

/// id-ct-TSTInfo (RFC 3161 section 2.4.2).
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");

/// What is signed, which decides what the signature must say of itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Profile {
    /// Anything of ours, CAdES baseline.
    Data,
    /// A time-stamp token.
    Token,
}

impl Profile {
    pub(super) fn content_type(self) -> ObjectIdentifier {
        match self {
            Self::Data => rfc5911::ID_DATA,
            Self::Token => TST_INFO,
        }
    }
}

/// A signature whose mathematics is right; whether its signer is trusted is the next question.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) certificate: Certificate,
    certificate_der: Vec<u8>,
    others: Vec<CertificateDer<'static>>,
    signing_time: Duration,
    pub(super) content: Option<Vec<u8>>,
    pub(super) signer: Signer,
}

impl Opened {
    /// Checks purpose and chain, and that nothing of it was revoked when it signed, by its own time. A command
    /// is of this moment, and a box whose clock nobody sets cannot see that its time is: so who commands must
    /// not be on a list at all.
    fn trust(&self, roots: &Roots, usage: Usage) -> Result<(), SignatureError> {
        self.purpose(usage)?;
        let by = match usage {
            Usage::Operator => Duration::MAX,
            Usage::Evidence | Usage::Receiver | Usage::Reviewer => self.signing_time,
        };
        let revoked = self.chain(roots)?;
        Ok(check_not_revoked(revoked, by)?)
    }

    /// Checks that the certificate led to one of `roots` when it signed, and that no other certificate is
    /// carried than that took; gives when the first of them was revoked, since 1970.
    pub(super) fn chain(&self, roots: &Roots) -> Result<Option<Duration>, ChainFault> {
        check_document_chain(
            &self.certificate_der,
            &self.others,
            roots,
            self.signing_time,
        )
    }

    /// Checks that the certificate led to one of `roots` at `at` (since 1970), over issuers that
    /// may issue for `purpose`.
    pub(super) fn chain_at(
        &self,
        roots: &Roots,
        at: Duration,
        purpose: ObjectIdentifier,
    ) -> Result<(), ChainFault> {
        check_chain(&self.certificate_der, &self.others, roots, (at, purpose)).map(drop)
    }

    /// Checks that the certificate was issued for `usage`.
    pub(super) fn purpose(&self, usage: Usage) -> Result<(), PurposeFault> {
        check_purpose(&self.certificate, usage)
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

pub(super) fn form(why: impl Into<String>) -> SignatureError {
    SignatureError::Form(why.into())
}

pub(super) fn not_der(error: der::Error) -> SignatureError {
    form(format!("not DER ({error})"))
}

/// Checks form, digest, certificate binding and signature value.
///
/// `content` is given for a detached signature and `None` for an attached one.
pub(super) fn open(signature: &[u8], content: Option<&[u8]>) -> Result<Opened, SignatureError> {
    open_as(Profile::Data, signature, content)
}

/// Checks the same of a time-stamp token (RFC 3161 section 2.4.2), which carries its content.
/// Its own time is in the content: the signingTime it may have is not looked at.
pub(super) fn open_token(token: &[u8]) -> Result<Opened, SignatureError> {
    open_as(Profile::Token, token, None)
}

fn open_as(
    profile: Profile,
    signature: &[u8],
    content: Option<&[u8]>,
) -> Result<Opened, SignatureError> {
    let data = parse(signature, profile)?;
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
    check_versions(&data, info, profile)?;
    let (certificate, certificate_der, others) = pick(&data, &info.sid)?;
    let attributes = info
        .signed_attrs
        .as_ref()
        .ok_or_else(|| form("it has no signed attributes"))?;
    check_attributes(attributes, &info.digest_alg, &content.0, profile)?;
    check_named(attributes, &certificate_der, profile)?;
    let signing_time = match profile {
        Profile::Data => signing_time(attributes)?,
        Profile::Token => Duration::ZERO,
    };
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

fn parse(signature: &[u8], profile: Profile) -> Result<SignedData, SignatureError> {
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
    let again = again.to_der().map_err(not_der)?;
    let canonical = match profile {
        Profile::Data => again == signature,
        // openssl leaves the certificates of a token in the order given. Nothing else can differ
        // and leave the length: all other sets have one element, or are signed as sorted.
        Profile::Token => again.len() == signature.len(),
    };
    if !canonical {
        return Err(form("its encoding is not canonical DER"));
    }
    if data.encap_content_info.econtent_type != profile.content_type() {
        return Err(form("its content is of another type"));
    }
    Ok(data)
}

/// Checks what repeats facts that are told elsewhere (RFC 5652 sections 5.1 and 5.3), so that no
/// byte of a signature can be changed unnoticed.
fn check_versions(
    data: &SignedData,
    info: &SignerInfo,
    profile: Profile,
) -> Result<(), SignatureError> {
    let expected = match info.sid {
        SignerIdentifier::IssuerAndSerialNumber(_) => CmsVersion::V1,
        SignerIdentifier::SubjectKeyIdentifier(_) => CmsVersion::V3,
    };
    let whole = match profile {
        Profile::Data => expected,
        // Any content but data makes the whole version 3.
        Profile::Token => CmsVersion::V3,
    };
    if info.version != expected || data.version != whole {
        return Err(form("its version does not fit its signer identifier"));
    }
    if data.digest_algorithms.as_slice() != [info.digest_alg.clone()] {
        return Err(form("its digest algorithms are not the signer's"));
    }
    // Nobody's signature covers these, and a package is named by the hash of its signature.
    let value = &info.signature_algorithm;
    let of_rsa = value.oid == rfc5912::RSA_ENCRYPTION || RSA_WITH_SHA_2.contains(&value.oid);
    let plain = is_bare(&info.digest_alg, true) && is_bare(value, of_rsa);
    let beside = info.unsigned_attrs.is_some() || data.crls.is_some();
    if !plain || (profile == Profile::Data && beside) {
        return Err(form("it carries what nobody has signed"));
    }
    Ok(())
}

/// Whether an algorithm has no parameters, or NULL where those who write them differ (RFC 5754
/// sections 2 and 3.2).
fn is_bare(algorithm: &AlgorithmIdentifierOwned, or_null: bool) -> bool {
    let parameters = algorithm.parameters.as_ref();
    parameters.is_none_or(|any| or_null && any.is_null())
}

type Picked = (Certificate, Vec<u8>, Vec<CertificateDer<'static>>);

/// The signer's certificate with its DER, and the others to build a chain from.
fn pick(data: &SignedData, sid: &SignerIdentifier) -> Result<Picked, SignatureError> {
    let set = data
        .certificates
        .as_ref()
        .ok_or_else(|| form("it carries no certificate"))?;
    if set.len() > CERTIFICATES_MAX {
        return Err(form("it carries more than 16 certificates"));
    }
    let mut signer = None;
    let mut others = Vec::new();
    for any in set.iter() {
        let der = any.to_der().map_err(not_der)?;
        let certificate = Certificate::from_der(&der).map_err(not_der)?;
        if signer.is_none() && is_named(&certificate, sid) {
            signer = Some((certificate, der));
        } else {
            others.push(CertificateDer::from(der));
        }
    }
    let (certificate, der) =
        signer.ok_or_else(|| form("it does not carry its signer's certificate"))?;
    Ok((certificate, der, others))
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

/// The digest of `bytes` by the algorithm of this identifier.
pub(super) fn digest(algorithm: ObjectIdentifier, bytes: &[u8]) -> Result<Vec<u8>, SignatureError> {
    match algorithm {
        rfc5912::ID_SHA_256 => Ok(Sha256::digest(bytes).to_vec()),
        rfc5912::ID_SHA_384 => Ok(Sha384::digest(bytes).to_vec()),
        rfc5912::ID_SHA_512 => Ok(Sha512::digest(bytes).to_vec()),
        SM3 => Ok(Sm3::digest(bytes).to_vec()),
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
/// RSA named together with its digest.
const RSA_WITH_SHA_2: [ObjectIdentifier; 3] = [
    rfc5912::SHA_256_WITH_RSA_ENCRYPTION,
    rfc5912::SHA_384_WITH_RSA_ENCRYPTION,
    rfc5912::SHA_512_WITH_RSA_ENCRYPTION,
];
static SM2_SM3: [&dyn SignatureVerificationAlgorithm; 1] = [&SM2_ALGORITHM];
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
        (SM2_WITH_SM3, SM3) => Ok(&SM2_SM3),
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

#[cfg(test)]
mod tests {
    use cms::signed_data::SignerInfos;
    use der::Tag;
    use der::asn1::SetOfVec;

    use super::*;
    use crate::pki::TestPki;
    use crate::types::Stamp;
    use crate::witness::{Form, Identity};

    const AT: Stamp = Stamp {
        utc_ns: 1_785_549_784_567_000_000,
        boot_ns: 1,
        error_ns: 0,
    };

    /// The signature with its parts changed, in the only DER they have.
    fn changed(signature: &[u8], change: impl Fn(&mut SignedData, &mut SignerInfo)) -> Vec<u8> {
        let mut data = parse(signature, Profile::Data).unwrap();
        let [info] = data.signer_infos.0.as_slice() else {
            panic!("one signer");
        };
        let mut info = info.clone();
        change(&mut data, &mut info);
        data.signer_infos = SignerInfos(SetOfVec::try_from(vec![info]).unwrap());
        let info = ContentInfo {
            content_type: rfc5911::ID_SIGNED_DATA,
            content: Any::encode_from(&data).unwrap(),
        };
        info.to_der().unwrap()
    }

    /// A package is named by the hash of its signature: a second form of it would be a second
    /// package, valid and denied by receipt and journal.
    #[test]
    fn what_nobody_signed_is_not_carried() {
        let dir = tempfile::tempdir().unwrap();
        let pki = TestPki::create(dir.path(), "LM-TEST-1").unwrap();
        let identity = Identity::load(&pki.device, "evidence").unwrap();
        let p7s = identity.sign(b"content", Form::Detached, AT).unwrap();
        let opened = |p7s: &[u8]| open(p7s, Some(b"content")).map(drop);
        assert_eq!(opened(&p7s), Ok(()));
        assert_eq!(changed(&p7s, |_, _| ()), p7s);
        let unsigned = changed(&p7s, |_, info| {
            info.unsigned_attrs = info.signed_attrs.clone();
        });
        let crls = changed(&p7s, |data, _| {
            data.crls = data.certificates.clone();
        });
        let anything = || Some(Any::new(Tag::Utf8String, "x".repeat(70_000).into_bytes()).unwrap());
        let of_digests = changed(&p7s, |data, info| {
            info.digest_alg.parameters = anything();
            data.digest_algorithms = vec![info.digest_alg.clone()].try_into().unwrap();
        });
        let of_value = changed(&p7s, |_, info| {
            info.signature_algorithm.parameters = anything();
        });
        let null_of_value = changed(&p7s, |_, info| {
            info.signature_algorithm.parameters = Some(Any::null());
        });
        for (what, p7s) in [
            ("unsigned attributes", unsigned),
            ("revocation lists", crls),
            ("the digest's parameters", of_digests),
            ("the signature's parameters", of_value),
            ("NULL for ECDSA's", null_of_value),
        ] {
            let refused = Err(form("it carries what nobody has signed"));
            assert_eq!(opened(&p7s), refused, "{what}");
        }
    }

    /// Forms that those who write signatures may choose between say the same.
    #[test]
    fn the_digest_may_be_named_with_null() {
        let dir = tempfile::tempdir().unwrap();
        let pki = TestPki::create(dir.path(), "LM-TEST-1").unwrap();
        let identity = Identity::load(&pki.device, "evidence").unwrap();
        let p7s = identity.sign(b"content", Form::Detached, AT).unwrap();
        let null = changed(&p7s, |data, info| {
            info.digest_alg.parameters = Some(Any::null());
            data.digest_algorithms = vec![info.digest_alg.clone()].try_into().unwrap();
        });
        assert_ne!(null, p7s);
        assert!(open(&null, Some(b"content")).is_ok());
    }

    /// Of the two values that fit, ours is the one with the smaller `s`; the other is read, because
    /// signatures made before have it, and so do openssl's.
    #[test]
    fn a_signature_is_made_in_one_form_and_read_in_both() {
        use p256::ecdsa::Signature;

        let dir = tempfile::tempdir().unwrap();
        let pki = TestPki::create(dir.path(), "LM-TEST-1").unwrap();
        let identity = Identity::load(&pki.device, "evidence").unwrap();
        for n in 0..16_u8 {
            let p7s = identity.sign(&[n], Form::Detached, AT).unwrap();
            let twin = changed(&p7s, |_, info| {
                let made = Signature::from_der(info.signature.as_bytes()).unwrap();
                assert_eq!(made.normalize_s(), None, "the smaller s");
                let (r, s) = made.split_scalars();
                let twin = Signature::from_scalars(r.to_bytes(), (-s).to_bytes()).unwrap();
                info.signature = OctetString::new(twin.to_der().as_bytes()).unwrap();
            });
            assert_ne!(twin, p7s);
            assert!(open(&twin, Some(&[n])).is_ok());
        }
    }
}

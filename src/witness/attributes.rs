//! What a signature says of itself in its signed attributes (RFC 5652 section 11).

use std::time::Duration;

use cms::signed_data::SignedAttributes;
use const_oid::db::{rfc5911, rfc5912};
use der::asn1::{ObjectIdentifier, OctetString};
use der::{Any, Decode, Encode};
use spki::AlgorithmIdentifierOwned;
use x509_cert::time::Time;

use super::cms::{SignatureError, SigningCertificate, SigningCertificateV2};
use super::opened::{Profile, digest, form, not_der};

/// The single value of the single attribute `oid`; `None` when there is no such attribute.
fn optional(
    attributes: &SignedAttributes,
    oid: ObjectIdentifier,
) -> Result<Option<&Any>, SignatureError> {
    let mut found = attributes.iter().filter(|attribute| attribute.oid == oid);
    let Some(attribute) = found.next() else {
        return Ok(None);
    };
    match (attribute.values.as_slice(), found.next()) {
        ([value], None) => Ok(Some(value)),
        _ => Err(form(format!("signed attribute {oid} is repeated"))),
    }
}

/// The single value of the single attribute `oid`.
fn single(attributes: &SignedAttributes, oid: ObjectIdentifier) -> Result<&Any, SignatureError> {
    optional(attributes, oid)?.ok_or_else(|| form(format!("signed attribute {oid} is missing")))
}

/// Checks the signed attributes that bind type and digest of the content.
pub(super) fn check_attributes(
    attributes: &SignedAttributes,
    digest_algorithm: &AlgorithmIdentifierOwned,
    content: &[u8],
    profile: Profile,
) -> Result<(), SignatureError> {
    let kind: ObjectIdentifier = single(attributes, rfc5911::ID_CONTENT_TYPE)?
        .decode_as()
        .map_err(not_der)?;
    if kind != profile.content_type() {
        return Err(form("the signed content type is another one"));
    }
    let claimed: OctetString = single(attributes, rfc5911::ID_MESSAGE_DIGEST)?
        .decode_as()
        .map_err(not_der)?;
    if claimed.as_bytes() != digest(digest_algorithm.oid, content)? {
        return Err(SignatureError::Content);
    }
    Ok(())
}

/// Checks that the signed attributes name the certificate: by signingCertificateV2 (RFC 5035),
/// in a token by the older signingCertificate with its SHA-1 alone as well (RFC 2634), which is
/// what many time-stampers still write. That hash guards no content; the key does.
pub(super) fn check_named(
    attributes: &SignedAttributes,
    certificate: &[u8],
    profile: Profile,
) -> Result<(), SignatureError> {
    let newer = optional(attributes, rfc5911::ID_AA_SIGNING_CERTIFICATE_V_2)?;
    if profile == Profile::Token
        && let Some(older) = optional(attributes, rfc5911::ID_AA_SIGNING_CERTIFICATE)?
    {
        let named: SigningCertificate = older.decode_as().map_err(not_der)?;
        let first = named.certs.first().ok_or(SignatureError::Certificate)?;
        if first.cert_hash.as_bytes() != sha1(certificate) {
            return Err(SignatureError::Certificate);
        }
        if newer.is_none() {
            return Ok(());
        }
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
    Ok(())
}

/// signingTime, since 1970.
pub(super) fn signing_time(attributes: &SignedAttributes) -> Result<Duration, SignatureError> {
    let time = single(attributes, rfc5911::ID_SIGNING_TIME)?;
    let time = time.to_der().and_then(|der| Time::from_der(&der));
    Ok(time.map_err(not_der)?.to_unix_duration())
}

fn sha1(bytes: &[u8]) -> Vec<u8> {
    use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
    digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec()
}

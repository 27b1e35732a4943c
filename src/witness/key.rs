//! Private keys: where they lie, who may read them, and signing with them.

use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use const_oid::db::rfc5912::{ID_EC_PUBLIC_KEY, SECP_256_R_1};
use der::asn1::BitString;
use der::{Any, Decode, SecretDocument};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::elliptic_curve::zeroize::Zeroizing;
use p256::pkcs8::PrivateKeyInfo;
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use super::identity::{FILE_MAX, KeyError};
use super::suite::{SM2_CURVE, SM2_SIGNER, is_sm2, to_der};
use crate::config::{self, Suite};

/// Label of a PKCS#8 private key (RFC 7468 section 10).
const PKCS8: &str = "PRIVATE KEY";

/// Why a signature could not be made this time. Nothing was signed; trying again is right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key cannot sign: {why}")]
pub struct SignError {
    /// Why, and what to do.
    pub(super) why: String,
}

/// A private key. It is never printed.
pub(crate) enum Key {
    /// In memory, wiped when dropped (`p256`).
    Es256(SigningKey),
    /// In memory.
    Sm2(Box<sm2::dsa::SigningKey>),
    /// In a token.
    #[cfg(feature = "pkcs11")]
    Token(Box<super::token::TokenKey>),
}

impl Key {
    pub(crate) fn suite(&self) -> Suite {
        match self {
            Self::Es256(_) => Suite::Es256,
            Self::Sm2(_) => Suite::Sm2,
            #[cfg(feature = "pkcs11")]
            Self::Token(_) => Suite::Es256,
        }
    }

    /// A key made of 32 random bytes; `None` for the few that are none.
    pub(crate) fn sm2_from_bytes(bytes: &[u8]) -> Option<Self> {
        let secret = sm2::SecretKey::from_slice(bytes).ok()?;
        sm2_key(&secret).ok()
    }

    /// PKCS#8 PEM of an SM2 key, for the file it is kept in; `None` for any other.
    pub(crate) fn sm2_to_pem(&self) -> Option<Zeroizing<String>> {
        let Self::Sm2(key) = self else { return None };
        let secret = sm2::SecretKey::from(key.as_nonzero_scalar());
        sm2::pkcs8::EncodePrivateKey::to_pkcs8_pem(&secret, sm2::pkcs8::LineEnding::LF).ok()
    }

    /// The other half, for a request or certificate.
    pub(crate) fn public(&self) -> SubjectPublicKeyInfoOwned {
        let point = match self {
            Self::Es256(key) => key
                .verifying_key()
                .to_encoded_point(false)
                .as_bytes()
                .to_vec(),
            Self::Sm2(key) => key.verifying_key().to_sec1_bytes().to_vec(),
            #[cfg(feature = "pkcs11")]
            Self::Token(key) => key.public().to_encoded_point(false).as_bytes().to_vec(),
        };
        let encodes = "invariant: a point of 65 bytes encodes";
        SubjectPublicKeyInfoOwned {
            algorithm: AlgorithmIdentifierOwned {
                oid: ID_EC_PUBLIC_KEY,
                parameters: Some(Any::from(self.suite().curve())),
            },
            subject_public_key: BitString::from_bytes(&point).expect(encodes),
        }
    }

    /// Whether `public` is this key's other half.
    pub(super) fn fits(&self, public: &SubjectPublicKeyInfoOwned) -> bool {
        let carried = public.subject_public_key.raw_bytes();
        match self {
            Self::Es256(key) => p256_key(public).as_ref() == Some(key.verifying_key()),
            Self::Sm2(key) => {
                is_sm2(public)
                    && sm2::PublicKey::from_sec1_bytes(carried)
                        .is_ok_and(|point| point.as_affine() == key.verifying_key().as_affine())
            }
            #[cfg(feature = "pkcs11")]
            Self::Token(key) => p256_key(public).as_ref() == Some(key.public()),
        }
    }

    /// DER `ECDSA-Sig-Value` or `SM2Signature` over `message`, hashed with the suite's digest.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        match self {
            Self::Es256(key) => {
                let signature: Signature = key.try_sign(message).map_err(|e| failed(&e))?;
                Ok(low_der(&signature))
            }
            Self::Sm2(key) => {
                let signature: sm2::dsa::Signature =
                    key.try_sign(message).map_err(|e| failed(&e))?;
                Ok(to_der(&signature.to_bytes()))
            }
            #[cfg(feature = "pkcs11")]
            Self::Token(key) => key.sign(message),
        }
    }
}

/// The DER of an ECDSA signature, which (r, s) and (r, n − s) verify alike (SEC 1 section 4.1.4): of
/// the two always the one with the smaller `s`. `docs/EVIDENCE.md` says what that is good for.
pub(super) fn low_der(signature: &Signature) -> Vec<u8> {
    let low = signature.normalize_s().unwrap_or(*signature);
    low.to_der().as_bytes().to_vec()
}

/// The scheme's own refusal, of which it says no more (about once in 2^256 signatures).
fn failed(error: &p256::ecdsa::Error) -> SignError {
    SignError {
        why: error.to_string(),
    }
}

/// The public key when it is on P-256.
pub(super) fn p256_key(public: &SubjectPublicKeyInfoOwned) -> Option<VerifyingKey> {
    let curve = public.algorithm.parameters.as_ref()?.decode_as().ok()?;
    let is_p256 = public.algorithm.oid == ID_EC_PUBLIC_KEY && SECP_256_R_1 == curve;
    let point = public.subject_public_key.raw_bytes();
    is_p256.then(|| VerifyingKey::from_sec1_bytes(point).ok())?
}

fn sm2_key(secret: &sm2::SecretKey) -> Result<Key, String> {
    sm2::dsa::SigningKey::new(SM2_SIGNER, secret)
        .map(|key| Key::Sm2(Box::new(key)))
        .map_err(|e| format!("not an SM2 private key ({e})"))
}

/// Whether a key file of this mode and owner is private enough.
///
/// systemd hands out credentials as root's 0440 with an access list for the one service user;
/// the group bits are then that list's mask, not the group's right.
fn is_private(mode: u32, uid: u32, gid: u32) -> bool {
    let others = mode & 0o077;
    others == 0 || (mode == 0o440 && uid == 0 && gid == 0)
}

/// Reads a private key, refusing one that others may read.
pub(crate) fn load_key(path: &Path) -> Result<Key, KeyError> {
    let text = read_private(path)?;
    parse_key(&text).map_err(|why| KeyError::KeyForm {
        path: path.to_owned(),
        why,
    })
}

/// Opens the key in the token; `None` when it is not the other half of `public`.
#[cfg(feature = "pkcs11")]
pub(super) fn open_token(
    place: &config::Token,
    public: &SubjectPublicKeyInfoOwned,
) -> Result<Option<Key>, KeyError> {
    let Some(public) = p256_key(public) else {
        return Ok(None);
    };
    let key = super::token::TokenKey::open(place, public)?;
    Ok(key.map(|key| Key::Token(Box::new(key))))
}

/// Opens the key in the token, made there when it is not; the second says whether it was made.
#[cfg(feature = "pkcs11")]
pub(crate) fn enrol_token(place: &config::Token) -> Result<(Key, bool), KeyError> {
    let (key, made) = super::token::TokenKey::enrol(place)?;
    Ok((Key::Token(Box::new(key)), made))
}

/// Without the feature no token can be opened.
#[cfg(not(feature = "pkcs11"))]
pub(crate) fn enrol_token(_place: &config::Token) -> Result<(Key, bool), KeyError> {
    Err(without_pkcs11())
}

#[cfg(not(feature = "pkcs11"))]
fn without_pkcs11() -> KeyError {
    let why = "this program was built without PKCS#11 (Cargo feature pkcs11)".to_owned();
    KeyError::Token { why }
}

/// Without the feature no token can be opened.
#[cfg(not(feature = "pkcs11"))]
pub(super) fn open_token(
    _place: &config::Token,
    _public: &SubjectPublicKeyInfoOwned,
) -> Result<Option<Key>, KeyError> {
    Err(without_pkcs11())
}

/// Refuses a file with a private key that others may read; what kind of key it is stays open.
pub fn check_private(path: &Path) -> Result<(), KeyError> {
    read_private(path).map(drop)
}

/// Reads a file with a secret, refusing one that others may read.
pub(super) fn read_private(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    let read = |source| KeyError::Read {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => KeyError::Missing {
            path: path.to_owned(),
        },
        _ => read(source),
    })?;
    let meta = file.metadata().map_err(read)?;
    let mode = meta.mode() & 0o7777;
    if !is_private(mode, meta.uid(), meta.gid()) {
        return Err(KeyError::Permissions {
            path: path.to_owned(),
            mode,
        });
    }
    if meta.len() > FILE_MAX {
        return Err(KeyError::TooLarge {
            path: path.to_owned(),
            max: FILE_MAX,
        });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_MAX)
        .read_to_string(&mut text)
        .map_err(read)?;
    Ok(text)
}

fn parse_key(pem: &str) -> Result<Key, String> {
    const CONVERT: &str = "convert it with `openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW`";
    let (label, document) = SecretDocument::from_pem(pem.trim_start())
        .map_err(|e| format!("not a PEM private key ({e}); expected `BEGIN PRIVATE KEY`"))?;
    match label {
        PKCS8 => {}
        "ENCRYPTED PRIVATE KEY" => {
            return Err(format!(
                "the key is encrypted with a passphrase, which no daemon can type; {CONVERT}"
            ));
        }
        "EC PRIVATE KEY" | "EC PARAMETERS" => {
            return Err(format!("the key is not PKCS#8; {CONVERT}"));
        }
        other => return Err(format!("found `{other}` where `{PKCS8}` was expected")),
    }
    let info = PrivateKeyInfo::from_der(document.as_bytes())
        .map_err(|e| format!("not a PKCS#8 private key ({e})"))?;
    if info.algorithm.oid != ID_EC_PUBLIC_KEY {
        return Err(format!(
            "algorithm {} is not supported; an EC key on P-256 (or SM2) is needed",
            info.algorithm.oid
        ));
    }
    match info.algorithm.parameters_oid() {
        Ok(SECP_256_R_1) => {
            let secret = p256::SecretKey::try_from(info)
                .map_err(|e| format!("not a P-256 private key ({e})"))?;
            Ok(Key::Es256(SigningKey::from(&secret)))
        }
        Ok(SM2_CURVE) => {
            let secret = sm2::SecretKey::try_from(info)
                .map_err(|e| format!("not an SM2 private key ({e})"))?;
            sm2_key(&secret)
        }
        Ok(curve) => Err(format!(
            "curve {curve} is not supported; P-256 is needed (or SM2)"
        )),
        Err(_explicit) => Err("the curve is not named; P-256 is needed (or SM2)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_private_when_its_owner_alone_may_read_it() {
        let table = [
            (0o600, 1000, 1000, true),
            (0o400, 1000, 1000, true),
            (0o440, 0, 0, true),
            (0o440, 1000, 1000, false),
            (0o440, 0, 1000, false),
            (0o640, 0, 0, false),
            (0o444, 0, 0, false),
            (0o604, 0, 0, false),
            (0o700, 0, 0, true),
        ];
        for (mode, uid, gid, private) in table {
            assert_eq!(is_private(mode, uid, gid), private, "{mode:o} {uid} {gid}");
        }
    }
}

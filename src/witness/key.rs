//! Private keys: where they lie, who may read them, and signing with them.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use const_oid::db::rfc5912::{ID_EC_PUBLIC_KEY, SECP_256_R_1};
use der::{Decode, SecretDocument};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::elliptic_curve::zeroize::Zeroizing;
use p256::pkcs8::PrivateKeyInfo;
use spki::SubjectPublicKeyInfoOwned;

use super::identity::{FILE_MAX, KeyError};
use crate::config::Suite;

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
}

impl Key {
    pub(super) fn suite(&self) -> Suite {
        match self {
            Self::Es256(_) => Suite::Es256,
        }
    }

    /// Whether `public` is this key's other half.
    pub(super) fn fits(&self, public: &SubjectPublicKeyInfoOwned) -> bool {
        let carried = public.subject_public_key.raw_bytes();
        match self {
            Self::Es256(key) => p256::PublicKey::from_sec1_bytes(carried)
                .is_ok_and(|p| p == key.verifying_key().into()),
        }
    }

    /// DER `ECDSA-Sig-Value` over `message`, hashed with the suite's digest.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        match self {
            Self::Es256(key) => {
                let signature: DerSignature = key
                    .try_sign(message)
                    .map_err(|e| SignError { why: e.to_string() })?;
                Ok(signature.as_bytes().to_vec())
            }
        }
    }
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
    let read = |source| KeyError::Read {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(read)?;
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
    parse_key(&text).map_err(|why| KeyError::KeyForm {
        path: path.to_owned(),
        why,
    })
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
            "algorithm {} is not supported; an EC key on P-256 is needed",
            info.algorithm.oid
        ));
    }
    match info.algorithm.parameters_oid() {
        Ok(SECP_256_R_1) => {}
        Ok(curve) => return Err(format!("curve {curve} is not supported; P-256 is needed")),
        Err(_explicit) => return Err("the curve is not named; P-256 is needed".to_owned()),
    }
    let secret =
        p256::SecretKey::try_from(info).map_err(|e| format!("not a P-256 private key ({e})"))?;
    Ok(Key::Es256(SigningKey::from(&secret)))
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

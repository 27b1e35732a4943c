//! A certificate with its private key.

use std::fmt;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use const_oid::db::rfc4519::{CN, SERIAL_NUMBER};
use const_oid::db::rfc5912::{ID_EC_PUBLIC_KEY, SECP_256_R_1};
use der::{Decode, SecretDocument};
use p256::SecretKey;
use p256::ecdsa::SigningKey;
use p256::elliptic_curve::zeroize::Zeroizing;
use p256::pkcs8::PrivateKeyInfo;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_cert::Certificate;

use super::cms::{self, Form};
use super::signer::{PurposeFault, Usage, check_purpose, only, seconds};
use crate::types::Stamp;

/// Largest key or certificate file read.
const FILE_MAX: u64 = 64 << 10;
/// Label of a PKCS#8 private key (RFC 7468 section 10).
const PKCS8: &str = "PRIVATE KEY";

/// Why a key, certificate or root cannot be used, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("{path}: {source}", path = path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is far larger than a key or certificate is.
    #[error("{path}: larger than {max} bytes, so not a key or certificate", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        max: u64,
    },
    /// Others than the owner may read the key.
    #[error(
        "{path}: mode {mode:04o} lets others read the private key; run `chmod 600 {path}`, and \
         replace the key if it lay open",
        path = path.display()
    )]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The private key has another form.
    #[error("{path}: {why}", path = path.display())]
    KeyForm {
        /// The file.
        path: PathBuf,
        /// What it is instead, and how to convert it.
        why: String,
    },
    /// There is no certificate in the file or folder.
    #[error("{path}: no PEM certificate found", path = path.display())]
    NoCertificate {
        /// The file or folder.
        path: PathBuf,
    },
    /// A certificate cannot be read.
    #[error("{path}: certificate unreadable: {why}", path = path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A root is not one.
    #[error("{path}: not usable as a root: {why}", path = path.display())]
    Root {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Certificate and key do not belong together.
    #[error(
        "{certificate} does not belong to {key}; install the certificate that the CA made from \
         this key's request, its own certificate first",
        certificate = certificate.display(),
        key = key.display()
    )]
    Mismatch {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// The certificate was issued for something else.
    #[error("{path}: {fault}; ask the CA for a certificate of the right kind", path = path.display())]
    Purpose {
        /// The certificate file.
        path: PathBuf,
        /// What is missing.
        fault: PurposeFault,
    },
    /// The certificate's time is over.
    #[error("{path}: expired on {not_after}; have it renewed", path = path.display())]
    Expired {
        /// The certificate file.
        path: PathBuf,
        /// RFC 3339.
        not_after: String,
    },
    /// The certificate's time has not come, or the clock is wrong.
    #[error("{path}: valid only from {not_before}; check the clock", path = path.display())]
    NotYetValid {
        /// The certificate file.
        path: PathBuf,
        /// RFC 3339.
        not_before: String,
    },
}

/// A certificate (with the chain that came with it) and its private key.
pub struct Identity {
    /// Wiped from memory when dropped (`p256`).
    key: SigningKey,
    leaf: Certificate,
    /// DER, own certificate first.
    chain: Vec<Vec<u8>>,
    path: PathBuf,
    device_id: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.device_id)
    }
}

impl Identity {
    /// Loads `NAME.key` and `NAME.crt` of `dir`: `"receiver"` for receipts, any other name for
    /// evidence. Validity in time is asked for by [`Identity::check_validity`].
    pub fn load(dir: &Path, name: &str) -> Result<Self, KeyError> {
        let usage = if name == "receiver" {
            Usage::Receiver
        } else {
            Usage::Evidence
        };
        Self::load_from(
            &dir.join(format!("{name}.key")),
            &dir.join(format!("{name}.crt")),
            usage,
        )
    }

    /// Loads a PKCS#8 PEM key and a PEM certificate (own first, then its issuers) from where
    /// they lie, e.g. a systemd credential.
    pub fn load_from(key: &Path, certificate: &Path, usage: Usage) -> Result<Self, KeyError> {
        let secret = load_key(key)?;
        let (leaf, chain) = load_chain(certificate)?;
        let tbs = &leaf.tbs_certificate;
        let carried = tbs.subject_public_key_info.subject_public_key.raw_bytes();
        if p256::PublicKey::from_sec1_bytes(carried) != Ok(secret.public_key()) {
            return Err(KeyError::Mismatch {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
            });
        }
        check_purpose(&leaf, usage).map_err(|fault| KeyError::Purpose {
            path: certificate.to_owned(),
            fault,
        })?;
        let device_id = only(&tbs.subject, SERIAL_NUMBER)
            .or_else(|| only(&tbs.subject, CN))
            .unwrap_or_default();
        Ok(Self {
            key: SigningKey::from(&secret),
            path: certificate.to_owned(),
            device_id,
            leaf,
            chain,
        })
    }

    /// The own certificate.
    pub fn certificate_der(&self) -> &[u8] {
        self.chain.first().map_or(&[], Vec::as_slice)
    }

    /// Subject serialNumber, the device id; a receiver without one answers its commonName.
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// Subject commonName, empty when absent.
    pub fn common_name(&self) -> String {
        only(&self.leaf.tbs_certificate.subject, CN).unwrap_or_default()
    }

    /// Start of validity, Unix seconds.
    pub fn not_before(&self) -> i64 {
        seconds(
            self.leaf
                .tbs_certificate
                .validity
                .not_before
                .to_unix_duration(),
        )
    }

    /// End of validity, Unix seconds.
    pub fn not_after(&self) -> i64 {
        seconds(
            self.leaf
                .tbs_certificate
                .validity
                .not_after
                .to_unix_duration(),
        )
    }

    /// Whether the certificate is valid at `at`. A box whose certificate has run out still
    /// seals: the receiver and the reviewer decide, so this is a question, not a condition.
    pub fn check_validity(&self, at: Stamp) -> Result<(), KeyError> {
        let now = at.utc_ns.div_euclid(1_000_000_000);
        if now > self.not_after() {
            return Err(KeyError::Expired {
                path: self.path.clone(),
                not_after: date(self.not_after()),
            });
        }
        if now < self.not_before() {
            return Err(KeyError::NotYetValid {
                path: self.path.clone(),
                not_before: date(self.not_before()),
            });
        }
        Ok(())
    }

    /// CMS `SignedData` in DER, CAdES-B-B, sha256WithECDSA, with the certificates. `at` is told
    /// in whole seconds; a moment before 1970 is told as 1970.
    pub fn sign(&self, content: &[u8], form: Form, at: Stamp) -> Vec<u8> {
        let since_1970 = Duration::from_nanos(u64::try_from(at.utc_ns).unwrap_or(0));
        cms::sign(
            (&self.key, &self.leaf, &self.chain),
            content,
            form,
            since_1970,
        )
        .expect("invariant: a certificate that was parsed encodes, and content is below 256 MiB")
    }
}

fn date(unix_secs: i64) -> String {
    crate::clock::rfc3339_ms(unix_secs.saturating_mul(1_000_000_000))
}

/// Reads a file of at most `max` bytes.
pub(super) fn read_bounded(path: &Path, max: u64) -> Result<Vec<u8>, KeyError> {
    let read = |source| KeyError::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(max + 1).read_to_end(&mut bytes))
        .map_err(read)?;
    if bytes.len() as u64 > max {
        return Err(KeyError::TooLarge {
            path: path.to_owned(),
            max,
        });
    }
    Ok(bytes)
}

/// Whether a key file of this mode and owner is private enough.
///
/// systemd hands out credentials as root's 0440 with an access list for the one service user;
/// the group bits are then that list's mask, not the group's right.
fn is_private(mode: u32, uid: u32, gid: u32) -> bool {
    let others = mode & 0o077;
    others == 0 || (mode == 0o440 && uid == 0 && gid == 0)
}

/// Reads a P-256 private key, refusing one that others may read.
pub(crate) fn load_key(path: &Path) -> Result<SecretKey, KeyError> {
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

fn parse_key(pem: &str) -> Result<SecretKey, String> {
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
    SecretKey::try_from(info).map_err(|e| format!("not a P-256 private key ({e})"))
}

/// The own certificate, and the DER of all in the file, own first.
fn load_chain(path: &Path) -> Result<(Certificate, Vec<Vec<u8>>), KeyError> {
    let bytes = read_bounded(path, FILE_MAX)?;
    let fail = |why: String| KeyError::Certificate {
        path: path.to_owned(),
        why,
    };
    let mut leaf = None;
    let mut chain = Vec::new();
    for section in CertificateDer::pem_slice_iter(&bytes) {
        let der = section.map_err(|e| fail(e.to_string()))?;
        let certificate = Certificate::from_der(&der).map_err(|e| fail(e.to_string()))?;
        leaf.get_or_insert(certificate);
        chain.push(der.to_vec());
    }
    let leaf = leaf.ok_or_else(|| KeyError::NoCertificate {
        path: path.to_owned(),
    })?;
    Ok((leaf, chain))
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

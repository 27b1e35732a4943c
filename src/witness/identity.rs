//! A certificate with its private key.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use const_oid::db::rfc4519::{CN, SERIAL_NUMBER};
use der::Decode;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_cert::Certificate;

use super::cms::{self, Form};
use super::key::{Key, SignError, load_key, open_token};
use super::signer::{PurposeFault, Usage, check_purpose, only, seconds};
use crate::config::{KeyName, Keys, Suite, secret_file};
use crate::types::Stamp;

/// Largest key or certificate file read.
pub(super) const FILE_MAX: u64 = 64 << 10;

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
    /// The key is not there.
    #[error("{path}: no such file; {made}", path = path.display(), made = who_makes(path))]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file is far larger than a key or certificate is.
    #[error("{path}: larger than {max} bytes, so not a key or certificate", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        max: u64,
    },
    /// Others than the owner may read the key, or the PIN of one.
    #[error(
        "{path}: mode {mode:04o} lets others read the secret in it; run `chmod 600 {path}`, and \
         replace the secret if it lay open",
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
    /// The key in the token cannot be used.
    #[error("evidence key in the token: {why}")]
    Token {
        /// Why, and what to do.
        why: String,
    },
    /// Key and certificate are of another suite than the configuration says.
    #[error(
        "{path}: is for suite {found}, keys.suite says {configured}; correct it or enrol again",
        path = path.display()
    )]
    Suite {
        /// The certificate file.
        path: PathBuf,
        /// What it is for.
        found: Suite,
        /// What the configuration says.
        configured: Suite,
    },
    /// A list of revoked certificates that cannot be used.
    #[error("{path}: {1}", path = .0.display())]
    RevokedList(PathBuf, String),
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

/// Where a key that is not there comes from.
fn who_makes(path: &Path) -> &'static str {
    match path.file_stem().and_then(|stem| stem.to_str()) {
        Some("receiver" | "operator" | "reviewer") => {
            "docs/RECEIVER.md has the lines that make the keys of the bureau"
        }
        _ => "`lingmou enroll` makes the keys of a box, systemd may bring them as credentials",
    }
}

/// A certificate (with the chain that came with it) and its private key.
pub struct Identity {
    key: Key,
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
    /// Loads the evidence key and certificate of a box: from a token, a systemd credential or the
    /// folder, as `keys` says; the certificate in force at this moment.
    pub fn open(keys: &Keys) -> Result<Self, KeyError> {
        let certificate = keys.certificate(KeyName::Evidence);
        let identity = if keys.token.is_used() {
            let (leaf, chain) = load_chain(&certificate)?;
            let public = &leaf.tbs_certificate.subject_public_key_info;
            let key = open_token(&keys.token, public)?.ok_or_else(|| KeyError::Mismatch {
                certificate: certificate.clone(),
                key: "the key in the token".into(),
            })?;
            Self::join(key, (leaf, chain), certificate, Usage::Evidence)?
        } else {
            let key = secret_file(&keys.dir.join("evidence.key"));
            Self::load_from(&key, &certificate, Usage::Evidence)?
        };
        if identity.suite() != keys.suite {
            return Err(KeyError::Suite {
                path: identity.path,
                found: identity.key.suite(),
                configured: keys.suite,
            });
        }
        Ok(identity)
    }

    /// Loads `NAME.key` and `NAME.crt` of `dir`: `"receiver"`, `"reviewer"` and `"operator"` are
    /// that role's, any other name is a device's. Validity in time is asked for by
    /// [`Identity::check_validity`].
    pub fn load(dir: &Path, name: &str) -> Result<Self, KeyError> {
        let usage = match name {
            "receiver" => Usage::Receiver,
            "reviewer" => Usage::Reviewer,
            "operator" => Usage::Operator,
            _ => Usage::Evidence,
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
        let private = load_key(key)?;
        let (leaf, chain) = load_chain(certificate)?;
        if !private.fits(&leaf.tbs_certificate.subject_public_key_info) {
            return Err(KeyError::Mismatch {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
            });
        }
        Self::join(private, (leaf, chain), certificate.to_owned(), usage)
    }

    fn join(
        key: Key,
        (leaf, chain): (Certificate, Vec<Vec<u8>>),
        path: PathBuf,
        usage: Usage,
    ) -> Result<Self, KeyError> {
        if let Err(fault) = check_purpose(&leaf, usage) {
            return Err(KeyError::Purpose { path, fault });
        }
        let tbs = &leaf.tbs_certificate;
        let device_id = only(&tbs.subject, SERIAL_NUMBER)
            .or_else(|| only(&tbs.subject, CN))
            .unwrap_or_default();
        Ok(Self {
            key,
            leaf,
            chain,
            path,
            device_id,
        })
    }

    /// The own certificate.
    pub fn certificate_der(&self) -> &[u8] {
        self.chain.first().map_or(&[], Vec::as_slice)
    }

    /// Every certificate that came with the key, DER, the own one first.
    pub(super) fn certificates(&self) -> &[Vec<u8>] {
        &self.chain
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

    /// Whether the certificate is valid at `at`. A key signs at any moment, so this is a question:
    /// whoever signs for a box asks first ([`Identity::check_signing`]).
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

    /// The algorithms it signs with.
    pub fn suite(&self) -> Suite {
        self.key.suite()
    }

    /// CMS `SignedData` in DER, CAdES-B-B, with the certificates. `at` is told in whole seconds;
    /// a moment before 1970 is told as 1970.
    pub fn sign(&self, content: &[u8], form: Form, at: Stamp) -> Result<Vec<u8>, SignError> {
        cms::sign(
            (&self.key, &self.leaf, &self.chain),
            content,
            form,
            since_1970(at),
        )
    }

    /// The bare signature over `message`, hashed here with the suite's digest: DER
    /// `ECDSA-Sig-Value` (RFC 3279 section 2.2.3) or `SM2Signature` (GM/T 0009), which look alike.
    pub fn sign_raw(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.key.sign(message)
    }
}

fn date(unix_secs: i64) -> String {
    crate::clock::rfc3339_ms(unix_secs.saturating_mul(1_000_000_000))
}

/// A moment before 1970 is 1970.
pub(super) fn since_1970(at: Stamp) -> Duration {
    Duration::from_nanos(u64::try_from(at.utc_ns).unwrap_or(0))
}

/// Reads a file of at most `max` bytes.
pub(super) fn read_bounded(path: &Path, max: u64) -> Result<Vec<u8>, KeyError> {
    match read_at_most(path, max) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(KeyError::TooLarge {
            path: path.to_owned(),
            max,
        }),
        Err(source) => Err(KeyError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Reads a file of at most `max` bytes; `None` when it is longer.
pub(crate) fn read_at_most(path: &Path, max: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(max + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= max).then_some(bytes))
}

/// The own certificate, and the DER of all that came with it, own first.
pub(super) type Chain = (Certificate, Vec<Vec<u8>>);

/// The certificates of a PEM file.
pub(super) fn load_chain(path: &Path) -> Result<Chain, KeyError> {
    let bytes = read_bounded(path, FILE_MAX)?;
    let chain = parse_chain(&bytes).map_err(|why| KeyError::Certificate {
        path: path.to_owned(),
        why,
    })?;
    chain.ok_or_else(|| KeyError::NoCertificate {
        path: path.to_owned(),
    })
}

/// The certificates of a PEM text; `None` when there is none.
pub(super) fn parse_chain(pem: &[u8]) -> Result<Option<Chain>, String> {
    let mut leaf = None;
    let mut chain = Vec::new();
    for section in CertificateDer::pem_slice_iter(pem) {
        let der = section.map_err(|e| e.to_string())?;
        let certificate = Certificate::from_der(&der).map_err(|e| e.to_string())?;
        leaf.get_or_insert(certificate);
        chain.push(der.to_vec());
    }
    Ok(leaf.map(|leaf| (leaf, chain)))
}

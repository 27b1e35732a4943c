//! `[keys]`: what the box signs with.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[keys]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// Folder with the files `lingmou enroll` makes and the bureau's CA returns:
    /// `evidence.key`, `evidence.crt`, `transport.key`, `transport.crt`, `roots.crt`.
    pub dir: PathBuf,
}

impl Default for Keys {
    fn default() -> Self {
        Self { dir: "keys".into() }
    }
}

/// The algorithms of a signature: curve, signature scheme and the digest it is made over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suite {
    /// ECDSA on NIST P-256 with SHA-256 (FIPS 186-5, RFC 5754).
    #[default]
    Es256,
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Es256 => "es256",
        })
    }
}

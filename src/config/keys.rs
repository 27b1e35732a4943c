//! `[keys]`: what the box signs with.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::types::sha256_hex;

/// `[keys]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// Folder with the files `lingmou enroll` makes and the bureau's CA returns:
    /// `evidence.key`, `evidence.crt`, `transport.key`, `transport.crt`, `roots.crt`.
    pub dir: PathBuf,
    /// What evidence is signed with; key and certificate must be of this kind.
    pub suite: Suite,
    /// `[keys.token]`: where the evidence key is when it is not a file in `dir`.
    pub token: Token,
    /// Certificates that stand in for those in `dir`; nobody writes them into a file, they come by
    /// command.
    #[serde(skip)]
    pub sent: BTreeMap<KeyName, StandIn>,
}

/// One of the box's two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyName {
    /// Signs evidence.
    Evidence,
    /// Connects to the broker.
    Transport,
}

impl KeyName {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Evidence, Self::Transport];

    /// What files and lines call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Evidence => "evidence",
            Self::Transport => "transport",
        }
    }
}

/// A certificate in place of the one in the folder of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandIn {
    /// Where it lies.
    pub path: PathBuf,
    /// SHA-256 of the file it stands in for: whoever puts another there has the last word.
    pub stands_for: String,
    /// The command that brought it.
    pub command: Uuid,
}

impl StandIn {
    /// Whether `file` is still the one it stands in for.
    pub fn holds_for(&self, file: &Path) -> bool {
        std::fs::read(file).is_ok_and(|bytes| sha256_hex(&bytes) == self.stands_for)
    }
}

impl Keys {
    /// The certificate of `key` as it lies in the folder.
    pub fn file(&self, key: KeyName) -> PathBuf {
        self.dir.join(format!("{}.crt", key.name()))
    }

    /// What stands in for that file at this moment.
    pub fn sent(&self, key: KeyName) -> Option<&StandIn> {
        let sent = self.sent.get(&key)?;
        sent.holds_for(&self.file(key)).then_some(sent)
    }

    /// The certificate in force at this moment.
    pub fn certificate(&self, key: KeyName) -> PathBuf {
        self.sent(key)
            .map_or_else(|| self.file(key), |sent| sent.path.clone())
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            dir: "keys".into(),
            suite: Suite::default(),
            token: Token::default(),
            sent: BTreeMap::new(),
        }
    }
}

/// `[keys.token]`: the evidence key in an HSM, USB token, secure element or TPM.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Token {
    /// The PKCS#11 library of the token's maker; empty: the evidence key is a file.
    pub module: PathBuf,
    /// Label of the token (`CKA_LABEL` of the token); empty: any.
    pub label: String,
    /// Serial number of the token; empty: any.
    pub serial: String,
    /// Label of the key (`CKA_LABEL`); empty: any.
    pub key_label: String,
    /// Identifier of the key (`CKA_ID`), hexadecimal; empty: any.
    pub key_id: String,
    /// The file with the PIN.
    pub pin_file: PathBuf,
}

impl Token {
    /// Whether the evidence key is in a token.
    pub fn is_used(&self) -> bool {
        !self.module.as_os_str().is_empty()
    }

    /// The bytes of `key_id`; `None` when it is not pairs of hexadecimal digits.
    pub fn key_id_bytes(&self) -> Option<Vec<u8>> {
        let digits: Option<Vec<u8>> = self
            .key_id
            .chars()
            .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
            .collect();
        let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
        Some(digits.chunks_exact(2).map(|p| p[0] << 4 | p[1]).collect())
    }
}

/// The algorithms of a signature: curve, signature scheme and the digest it is made over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suite {
    /// ECDSA on NIST P-256 with SHA-256 (FIPS 186-5, RFC 5754).
    #[default]
    Es256,
    /// SM2 with SM3 (GB/T 32918.2-2016, GB/T 32905-2016).
    Sm2,
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Es256 => "es256",
            Self::Sm2 => "sm2",
        })
    }
}

/// Where the secret that should lie at `path` lies: the systemd credential of the same name, when
/// the service was given one (`LoadCredential=`), else `path` itself.
pub fn secret_file(path: &Path) -> PathBuf {
    let given = std::env::var_os("CREDENTIALS_DIRECTORY")
        .zip(path.file_name())
        .map(|(dir, name)| Path::new(&dir).join(name));
    given
        .filter(|file| file.exists())
        .unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_ids_are_pairs_of_hexadecimal_digits() {
        for (key_id, bytes) in [
            ("", Some(vec![])),
            ("01", Some(vec![1])),
            ("aBc0", Some(vec![0xab, 0xc0])),
            ("1", None),
            ("0x01", None),
            ("g0", None),
            ("\u{96f6}\u{96f6}", None),
        ] {
            let token = Token {
                key_id: key_id.to_owned(),
                ..Token::default()
            };
            assert_eq!(token.key_id_bytes(), bytes, "{key_id}");
        }
    }
}

//! Bytes as text: digests in hexadecimal digits, and base64 in JSON.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};

/// SHA-256 of `bytes` as 64 lower-case hexadecimal digits. By `ring`, which uses the processor's
/// own instructions on x86 and ARM: megabytes of pictures and video go through here.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("invariant: writing to a String cannot fail");
            text
        })
}

/// Bytes as base64 in JSON, by `#[serde(with = "base64")]`.
pub mod base64 {
    use base64ct::{Base64, Encoding as _};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    /// Writes them.
    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&Base64::encode_string(bytes))
    }

    /// Reads them; what is no base64 is an error.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        Base64::decode_vec(&text).map_err(D::Error::custom)
    }
}

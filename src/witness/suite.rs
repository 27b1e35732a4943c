//! The algorithms of the two suites, and SM2 signatures.
//!
//! SM2 with SM3 is GB/T 32918.2-2016 (GM/T 0003.2-2012); the identifiers are GM/T 0006's; how
//! a signature is put into DER and with which signer id it is made is GM/T 0009's. OpenSSL
//! checks the same with `-sigopt distid:1234567812345678`.

use const_oid::db::rfc5912;
use der::asn1::{ObjectIdentifier, Uint};
use der::{Decode, Encode, Sequence};
use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};
use sha2::{Digest, Sha256};
use sm2::dsa::signature::Verifier as _;
use sm2::dsa::{Signature, VerifyingKey};
use sm3::Sm3;
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use crate::config::Suite;

/// The SM2 curve (GM/T 0006: 1.2.156.10197.1.301).
pub(crate) const SM2_CURVE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.156.10197.1.301");
/// The digest SM3 (GM/T 0006: 1.2.156.10197.1.401).
pub(super) const SM3: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.156.10197.1.401");
/// SM2 signature over SM3 (GM/T 0006: 1.2.156.10197.1.501).
pub(super) const SM2_WITH_SM3: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.156.10197.1.501");
/// Who signs, as SM2 hashes it in; the one that GM/T 0009-2012 section 10 sets for all.
pub(super) const SM2_SIGNER: &str = "1234567812345678";
/// Bytes of `r` and of `s`.
const HALF: usize = 32;

impl Suite {
    /// The suite's digest of `bytes`.
    pub(super) fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Es256 => Sha256::digest(bytes).to_vec(),
            Self::Sm2 => Sm3::digest(bytes).to_vec(),
        }
    }

    /// The digest's identifier.
    pub(super) fn digest_algorithm(self) -> AlgorithmIdentifierOwned {
        bare(match self {
            Self::Es256 => rfc5912::ID_SHA_256,
            Self::Sm2 => SM3,
        })
    }

    /// The identifier of a signature in CMS, certificates and requests.
    pub(crate) fn signature_algorithm(self) -> AlgorithmIdentifierOwned {
        bare(match self {
            Self::Es256 => rfc5912::ECDSA_WITH_SHA_256,
            Self::Sm2 => SM2_WITH_SM3,
        })
    }

    /// The identifier of the curve.
    pub(crate) fn curve(self) -> ObjectIdentifier {
        match self {
            Self::Es256 => rfc5912::SECP_256_R_1,
            Self::Sm2 => SM2_CURVE,
        }
    }
}

/// An algorithm without parameters, as RFC 5754 sections 2 and 3.3 want for SHA-2 and ECDSA and
/// OpenSSL writes for SM2 and SM3.
fn bare(oid: ObjectIdentifier) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned {
        oid,
        parameters: None,
    }
}

/// `ECDSA-Sig-Value` (RFC 3279 section 2.2.3), which `SM2Signature` (GM/T 0009) equals.
#[derive(Sequence)]
struct Value {
    r: Uint,
    s: Uint,
}

/// `r` and `s`, 32 bytes each, as DER.
pub(super) fn to_der(raw: &[u8; 2 * HALF]) -> Vec<u8> {
    let (r, s) = raw.split_at(HALF);
    let value = Uint::new(r).and_then(|r| {
        let s = Uint::new(s)?;
        Value { r, s }.to_der()
    });
    value.expect("invariant: two numbers of 32 bytes encode")
}

/// The two numbers of a DER signature, 32 bytes each.
fn from_der(der: &[u8]) -> Option<[u8; 2 * HALF]> {
    let value = Value::from_der(der).ok()?;
    let mut raw = [0; 2 * HALF];
    for (number, place) in [value.r, value.s].iter().zip(raw.chunks_exact_mut(HALF)) {
        let bytes = number.as_bytes();
        let start = HALF.checked_sub(bytes.len())?;
        place.get_mut(start..)?.copy_from_slice(bytes);
    }
    Some(raw)
}

/// Whether the key is a point on the SM2 curve by its identifiers.
pub(super) fn is_sm2(public: &SubjectPublicKeyInfoOwned) -> bool {
    public.algorithm.oid == rfc5912::ID_EC_PUBLIC_KEY
        && public
            .algorithm
            .parameters
            .as_ref()
            .and_then(|curve| curve.decode_as::<ObjectIdentifier>().ok())
            == Some(SM2_CURVE)
}

/// SM2 with SM3 as webpki asks for it: so the paths of SM2 certificates are checked by the same
/// code as all others.
#[derive(Debug)]
pub(super) struct Sm2 {
    signature: AlgorithmIdentifier,
}

/// id-ecPublicKey on the SM2 curve, the content of its `AlgorithmIdentifier`.
const SM2_KEY_DER: &[u8] = &[
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, // 1.2.840.10045.2.1
    0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d, // 1.2.156.10197.1.301
];
/// 1.2.156.10197.1.501 without parameters, the same way.
const SM2_SIGNATURE_DER: &[u8] = &[0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x75];
/// The same with NULL for parameters.
const SM2_SIGNATURE_NULL_DER: &[u8] = &[
    0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x75, 0x05, 0x00,
];

/// As OpenSSL and we write it.
pub(super) static SM2_ALGORITHM: Sm2 = Sm2 {
    signature: AlgorithmIdentifier::from_slice(SM2_SIGNATURE_DER),
};
/// As some CAs write it.
pub(super) static SM2_ALGORITHM_NULL: Sm2 = Sm2 {
    signature: AlgorithmIdentifier::from_slice(SM2_SIGNATURE_NULL_DER),
};

impl SignatureVerificationAlgorithm for Sm2 {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let verify = || {
            let signature = Signature::from_bytes(&from_der(signature)?).ok()?;
            let key = VerifyingKey::from_sec1_bytes(SM2_SIGNER, public_key).ok()?;
            key.verify(message, &signature).ok()
        };
        verify().ok_or(InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        AlgorithmIdentifier::from_slice(SM2_KEY_DER)
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_identifiers_are_those_of_the_names() {
        let content = |first: ObjectIdentifier, second: Option<ObjectIdentifier>| {
            let mut der = first.to_der().unwrap();
            der.extend(second.iter().flat_map(|oid| oid.to_der().unwrap()));
            der
        };
        let key = content(rfc5912::ID_EC_PUBLIC_KEY, Some(SM2_CURVE));
        assert_eq!(SM2_KEY_DER, key);
        assert_eq!(SM2_SIGNATURE_DER, content(SM2_WITH_SM3, None));
        let null = [SM2_SIGNATURE_DER, &[0x05, 0x00]].concat();
        assert_eq!(SM2_SIGNATURE_NULL_DER, null);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn a_signature_in_der_is_read_back(raw in any::<[u8; 64]>(), zeros in 0usize..33) {
            let mut raw = raw;
            raw[..zeros].fill(0);
            prop_assert_eq!(from_der(&to_der(&raw)), Some(raw));
        }

        #[test]
        fn foreign_bytes_are_no_signature(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(raw) = from_der(&bytes) {
                prop_assert_eq!(to_der(&raw), bytes, "only DER is read");
            }
        }
    }
}

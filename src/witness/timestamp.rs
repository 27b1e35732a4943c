//! Trusted time from outside (RFC 3161): the query, the answer, the token in a package.
//!
//! A token says that a time-stamping authority had the SHA-256 of some bytes at a moment: those
//! bytes, and all whose digests are in them, cannot be younger. The authority never sees them.

use std::time::Duration;

use const_oid::db::rfc5912::{ID_KP_TIME_STAMPING, ID_SHA_256};
use der::asn1::{BitString, Int, ObjectIdentifier, OctetString};
use der::{Any, Decode, Encode, Sequence, Tag, Tagged};
use serde::Serialize;
use sha2::{Digest, Sha256};
use spki::AlgorithmIdentifierOwned;
use x509_cert::Certificate;
use x509_cert::ext::Extensions;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage};
use x509_tsp::{Accuracy, MessageImprint, TimeStampReq, TspVersion};

use super::chain::Roots;
use super::cms::SignatureError;
use super::opened::{Opened, open_token};
use crate::types::hex;

/// Largest answer read: a token with a long chain is below 10 kB.
const ANSWER_MAX: usize = 256 << 10;
/// Largest query read; ours have about 70 bytes.
const QUERY_MAX: usize = 1 << 10;
/// Longest reason of an authority that is passed on, characters.
const WHY_MAX: usize = 300;
/// `PKIStatus` rejection (RFC 3161 section 2.4.2).
const REJECTION: u8 = 2;

/// Why a time-stamp does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// It is not what RFC 3161 defines.
    #[error("not a readable time-stamp: {0}")]
    Form(String),
    /// The authority would not stamp; its own words.
    #[error("the time-stamping authority refused: {0}")]
    Rejected(String),
    /// It is over other bytes.
    #[error("the time-stamp is over something else")]
    OtherContent,
    /// It answers another query.
    #[error("the time-stamp answers another query")]
    OtherNonce,
    /// The signer is no time-stamping authority.
    #[error(
        "its certificate is not a time-stamping authority's (extendedKeyUsage timeStamping, \
         critical and alone)"
    )]
    NotStamper,
    /// Its signature or signer is not right.
    #[error("time-stamp: {0}")]
    Signature(#[from] SignatureError),
}

/// What a time-stamp that holds says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TimeStamp {
    /// genTime, RFC 3339 UTC: the authority had the digest then.
    pub at: String,
    /// How far that may be off either way, microseconds, where the authority says so.
    pub accuracy_us: Option<u64>,
    /// Subject of the authority's certificate, RFC 4514.
    pub authority: String,
    /// Under which policy of the authority, a dotted object identifier.
    pub policy: String,
    /// The authority's number of the stamp, lower-case hex.
    pub serial: String,
    /// SHA-256 of the authority's certificate, lower-case hex.
    pub certificate_sha256: String,
}

impl TimeStamp {
    /// The latest moment it allows, Unix seconds.
    pub(super) fn latest(&self) -> Option<i64> {
        let accuracy = self.accuracy_us.unwrap_or(0).div_ceil(1_000_000);
        let at: jiff::Timestamp = self.at.parse().ok()?;
        at.as_second().checked_add(i64::try_from(accuracy).ok()?)
    }
}

/// `TSTInfo` (RFC 3161 section 2.4.2). The crate's own reads no fractions of a second, which the
/// standard allows and authorities use.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct TstInfo {
    version: TspVersion,
    policy: ObjectIdentifier,
    message_imprint: MessageImprint,
    serial_number: Int,
    gen_time: Any,
    #[asn1(optional = "true")]
    accuracy: Option<Accuracy>,
    #[asn1(default = "Default::default")]
    ordering: bool,
    #[asn1(optional = "true")]
    nonce: Option<Int>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    tsa: Option<GeneralName>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    extensions: Option<Extensions>,
}

/// `TimeStampResp` with the token left as it came: it is kept byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct Answer {
    status: AnswerStatus,
    #[asn1(optional = "true")]
    token: Option<Any>,
}

/// `PKIStatusInfo` (RFC 3161 section 2.4.2).
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct AnswerStatus {
    status: u8,
    #[asn1(optional = "true")]
    texts: Option<Vec<String>>,
    #[asn1(optional = "true")]
    failure: Option<BitString>,
}

fn form(why: impl Into<String>) -> StampError {
    StampError::Form(why.into())
}

fn not_der(error: der::Error) -> StampError {
    form(format!("not DER ({error})"))
}

/// A query for a stamp over given bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StampQuery {
    imprint: Vec<u8>,
    nonce: Int,
}

impl StampQuery {
    /// A query over `content`. `random` tells its answer from those to other queries.
    pub fn new(content: &[u8], random: u64) -> Self {
        // Positive and of eight bytes, whatever was drawn.
        let nonce = (random >> 2) | (1 << 62);
        Self {
            imprint: Sha256::digest(content).to_vec(),
            nonce: Int::new(&nonce.to_be_bytes())
                .expect("invariant: eight bytes are not too long for an integer"),
        }
    }

    /// The DER of the `TimeStampReq`: version 1, SHA-256, nonce, certificates asked for.
    pub fn to_der(&self) -> Vec<u8> {
        let encoded = OctetString::new(self.imprint.as_slice()).and_then(|hashed_message| {
            TimeStampReq {
                version: TspVersion::V1,
                message_imprint: MessageImprint {
                    hash_algorithm: AlgorithmIdentifierOwned {
                        oid: ID_SHA_256,
                        parameters: None,
                    },
                    hashed_message,
                },
                req_policy: None,
                nonce: Some(self.nonce.clone()),
                cert_req: true,
                extensions: None,
            }
            .to_der()
        });
        encoded.expect("invariant: a digest and eight bytes encode")
    }

    /// Reads a query as [`StampQuery::to_der`] writes it: what a receiver relays is nothing else.
    pub fn parse(der: &[u8]) -> Result<Self, StampError> {
        if der.len() > QUERY_MAX {
            return Err(form("a query of more than 1 KiB"));
        }
        let query = TimeStampReq::from_der(der).map_err(not_der)?;
        let read = Self {
            imprint: query.message_imprint.hashed_message.as_bytes().to_vec(),
            nonce: query.nonce.ok_or_else(|| form("a query without a nonce"))?,
        };
        if read.imprint.len() != 32 || read.to_der() != der {
            return Err(form("a query of another form than ours"));
        }
        Ok(read)
    }

    /// Takes the authority's answer to this query; gives the token to be kept and what it says.
    pub fn accept(&self, answer: &[u8], roots: &Roots) -> Result<(Vec<u8>, TimeStamp), StampError> {
        let token = token_of(answer)?;
        let (opened, info) = read(&token)?;
        if info.nonce.as_ref() != Some(&self.nonce) {
            return Err(StampError::OtherNonce);
        }
        let stamp = judge((&opened, &info), &self.imprint, roots)?;
        Ok((token, stamp))
    }
}

/// Checks the token of a package over `content`.
pub fn check_stamp(token: &[u8], content: &[u8], roots: &Roots) -> Result<TimeStamp, StampError> {
    let (opened, info) = read(token)?;
    judge((&opened, &info), &Sha256::digest(content), roots)
}

/// The answer of whoever relays queries and cannot have one stamped: a rejection that says why.
pub fn reject_query(why: &str) -> Vec<u8> {
    let answer = Answer {
        status: AnswerStatus {
            status: REJECTION,
            texts: Some(vec![why.chars().take(WHY_MAX).collect()]),
            failure: None,
        },
        token: None,
    };
    answer
        .to_der()
        .expect("invariant: a short text and a number encode")
}

/// The token in an answer that grants one.
fn token_of(answer: &[u8]) -> Result<Vec<u8>, StampError> {
    if answer.len() > ANSWER_MAX {
        return Err(form("an answer of more than 256 KiB"));
    }
    let answer = Answer::from_der(answer).map_err(not_der)?;
    match (answer.status.status, answer.token) {
        // Granted, and granted with modifications: what was modified shows in the token.
        (0 | 1, Some(token)) => token.to_der().map_err(not_der),
        (0 | 1, None) => Err(form("granted, and yet no token")),
        (status, _) => Err(StampError::Rejected(reason(
            status,
            answer.status.texts,
            answer.status.failure,
        ))),
    }
}

/// What an authority says about a refusal, in its own words as far as it has some.
fn reason(status: u8, texts: Option<Vec<String>>, failure: Option<BitString>) -> String {
    let mut words = texts.unwrap_or_default();
    words.push(format!("status {status}"));
    if let Some(failure) = failure {
        words.push(format!("failInfo {}", hex(failure.raw_bytes())));
    }
    words.join("; ").chars().take(WHY_MAX).collect()
}

fn read(token: &[u8]) -> Result<(Opened, TstInfo), StampError> {
    let mut opened = open_token(token)?;
    let content = opened.content.take().unwrap_or_default();
    let info = TstInfo::from_der(&content).map_err(not_der)?;
    Ok((opened, info))
}

/// Holds an opened token against the digest it must be over, and its signer against `roots`.
fn judge(
    (opened, info): (&Opened, &TstInfo),
    imprint: &[u8],
    roots: &Roots,
) -> Result<TimeStamp, StampError> {
    let over = &info.message_imprint;
    if over.hash_algorithm.oid != ID_SHA_256 || over.hashed_message.as_bytes() != imprint {
        return Err(StampError::OtherContent);
    }
    let mut extensions = info.extensions.iter().flatten();
    if let Some(unknown) = extensions.find(|extension| extension.critical) {
        return Err(form(format!(
            "unknown critical extension {}",
            unknown.extn_id
        )));
    }
    check_stamper(&opened.certificate)?;
    if let Some(GeneralName::DirectoryName(name)) = &info.tsa
        && *name != opened.certificate.tbs_certificate.subject
    {
        return Err(form("it names another authority than its certificate"));
    }
    let at = gen_time(&info.gen_time)?;
    let since_1970 = u64::try_from(at.as_second()).map_err(|_early| form("before 1970"))?;
    opened
        .chain_at(roots, Duration::from_secs(since_1970), ID_KP_TIME_STAMPING)
        .map_err(SignatureError::Chain)?;
    Ok(TimeStamp {
        at: format!("{at:.3}"),
        accuracy_us: info.accuracy.as_ref().map(microseconds).transpose()?,
        authority: opened.signer.subject.clone(),
        policy: info.policy.to_string(),
        serial: hex(info.serial_number.as_bytes()),
        certificate_sha256: opened.signer.certificate_sha256.clone(),
    })
}

/// RFC 3161 section 2.3: for time-stamping, and for nothing else.
fn check_stamper(certificate: &Certificate) -> Result<(), StampError> {
    let tbs = &certificate.tbs_certificate;
    let purpose = match tbs.get::<ExtendedKeyUsage>() {
        Ok(Some((critical, purposes))) => critical && purposes.0 == [ID_KP_TIME_STAMPING],
        Ok(None) | Err(_) => false,
    };
    let signs = match tbs.get::<KeyUsage>() {
        Ok(Some((_, bits))) => bits.digital_signature() || bits.non_repudiation(),
        Ok(None) => true,
        Err(_unreadable) => false,
    };
    if purpose && signs {
        Ok(())
    } else {
        Err(StampError::NotStamper)
    }
}

/// `YYYYMMDDhhmmss[.f…]Z` (RFC 3161 section 2.4.2).
fn gen_time(value: &Any) -> Result<jiff::Timestamp, StampError> {
    let wrong = || form("genTime is not a UTC time");
    let text = std::str::from_utf8(value.value()).map_err(|_not_text| wrong())?;
    let bare = text.strip_suffix('Z').ok_or_else(wrong)?;
    let (whole, fraction) = bare.split_once('.').unwrap_or((bare, "0"));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let plain = whole.len() == 14 && digits(whole);
    let fine = (1..=9).contains(&fraction.len()) && digits(fraction);
    if value.tag() != Tag::GeneralizedTime || !plain || !fine {
        return Err(wrong());
    }
    let (date, time) = whole.split_at(8);
    let spelt = format!("{date}T{time}.{fraction}Z");
    spelt.parse().map_err(|_impossible| wrong())
}

fn microseconds(accuracy: &Accuracy) -> Result<u64, StampError> {
    let part = |value: Option<i16>| u64::try_from(value.unwrap_or(0)).ok();
    let total = accuracy.seconds.unwrap_or(0).checked_mul(1_000_000);
    let millis = part(accuracy.millis).map(|ms| ms * 1000);
    total
        .zip(millis)
        .zip(part(accuracy.micros))
        .and_then(|((total, millis), micros)| total.checked_add(millis + micros))
        .ok_or_else(|| form("its accuracy is out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_back_and_nothing_else_is() {
        for random in [0, 1, u64::MAX] {
            let query = StampQuery::new(b"content", random);
            let der = query.to_der();
            assert_eq!(StampQuery::parse(&der), Ok(query));
            assert!(der.len() < 80, "{}", der.len());
            for end in 0..der.len() {
                assert!(StampQuery::parse(&der[..end]).is_err());
            }
        }
        // Without a nonce, and without asking for certificates.
        let mut query = TimeStampReq::from_der(&StampQuery::new(b"x", 7).to_der()).expect("ours");
        query.cert_req = false;
        assert!(StampQuery::parse(&query.to_der().expect("legal")).is_err());
        query.nonce = None;
        assert!(StampQuery::parse(&query.to_der().expect("legal")).is_err());
    }

    #[test]
    fn a_rejection_keeps_its_words() {
        let answer = reject_query("no authority here");
        let error = token_of(&answer).expect_err("a rejection");
        assert_eq!(
            error,
            StampError::Rejected("no authority here; status 2".to_owned())
        );
        let granted = Answer {
            status: AnswerStatus {
                status: 0,
                texts: None,
                failure: None,
            },
            token: None,
        };
        let granted = granted.to_der().expect("legal");
        assert!(matches!(token_of(&granted), Err(StampError::Form(_))));
    }

    #[test]
    fn the_moment_is_read_with_and_without_fractions() {
        let read = |text: &str| {
            let value = Any::new(Tag::GeneralizedTime, text.as_bytes()).expect("short");
            gen_time(&value).map(|at| format!("{at:.6}"))
        };
        for (text, expected) in [
            ("20260801020304Z", Some("2026-08-01T02:03:04.000000Z")),
            ("20260801020304.5Z", Some("2026-08-01T02:03:04.500000Z")),
            (
                "20260801020304.123456Z",
                Some("2026-08-01T02:03:04.123456Z"),
            ),
            ("20260801020304", None),
            ("20260801020304.Z", None),
            ("202608010203Z", None),
            ("20261301020304Z", None),
            ("20260801020304+0800", None),
            ("2026080102030 Z", None),
            ("", None),
        ] {
            assert_eq!(read(text).ok().as_deref(), expected, "{text}");
        }
        let other = Any::new(Tag::Utf8String, "20260801020304Z".as_bytes()).expect("short");
        assert!(gen_time(&other).is_err());
    }

    #[test]
    fn the_accuracy_is_a_sum() {
        let of = |seconds, millis, micros| {
            microseconds(&Accuracy {
                seconds,
                millis,
                micros,
            })
            .ok()
        };
        assert_eq!(of(None, None, None), Some(0));
        assert_eq!(of(Some(1), Some(500), Some(100)), Some(1_500_100));
        assert_eq!(of(Some(u64::MAX), None, None), None);
        assert_eq!(of(None, Some(-1), None), None);
    }
}

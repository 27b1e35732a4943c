//! A reviewer's verdict over a sealed package (二级审核): made, and read again.
//!
//! A review is three more files in `META-INF`: `reviewNNN.json` says who decided what,
//! `ASiCManifestNNN.xml` covers it together with the device's signature, every earlier review's and
//! the time-stamp when it has come, `signatureNNN.p7s` is the reviewer's signature over that. Nothing
//! that was there is touched, so the device's signature stays what it was.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::additions::{Addition, Additions};
use super::chain::Roots;
use super::cms::Form;
use super::container::Container;
use super::finding::Finding;
use super::identity::Identity;
use super::key::SignError;
use super::manifest::{Manifest, ManifestEntry, ManifestError, SigReference, numbered};
use super::opened::check_detached;
use super::signer::{Signer, Usage};
use super::statement::{Statement, is_utc};
use super::verdict::{Check, CheckId};
use super::{SIGNATURE, STAMPED, TIMESTAMP, plain, sha256_hex};
use crate::types::{CaseId, Stamp};

/// Value of `type`.
const KIND: &str = "lingmou.review";
/// Value of `v`.
const VERSION: u32 = 1;
/// Media type of a signature in a manifest.
const SIGNATURE_TYPE: &str = "application/pkcs7-signature";
/// Largest review read: a reason is a few sentences.
const BYTES_MAX: usize = 16 << 10;
/// Longest reason, characters.
pub const REASON_MAX: usize = 2000;
/// Numbers a review may have; 2 is kept for the time-stamp's manifest, which the device may write
/// later.
const NUMBERS: std::ops::RangeInclusive<u16> = 3..=999;

/// What a reviewer decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewVerdict {
    /// It may be used.
    Accept,
    /// It may not be used; `reason` says why.
    Reject,
}

/// `META-INF/reviewNNN.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Format version, 1.
    pub v: u32,
    /// `lingmou.review`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The package.
    pub id: CaseId,
    /// SHA-256 of the device's signature, lower-case hex.
    pub sig_sha256: String,
    /// Accepted or rejected.
    pub verdict: ReviewVerdict,
    /// Why, in the reviewer's words.
    pub reason: String,
    /// commonName of the reviewer's certificate.
    pub reviewer: String,
    /// The reviewer's time, RFC 3339 UTC.
    pub at: String,
}

/// Why a review cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// There is nothing to name: no readable statement, or no signature.
    #[error("the package has no readable statement or no signature, so nothing can be reviewed")]
    Nothing,
    /// The reason is empty or too long.
    #[error("the reason must have 1 to {REASON_MAX} characters, and be text")]
    Reason,
    /// Every number is taken.
    #[error("the package has {} manifests already", NUMBERS.end())]
    Full,
    /// The manifest cannot be written.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The key did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// One review of a package, as far as it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reviewed {
    /// Its number, NNN.
    pub number: u16,
    /// 1 for the first review, 2 for the second, by another person; `None` when it does not hold.
    pub level: Option<u32>,
    /// What it says; `None` when it does not hold.
    pub review: Option<Review>,
    /// Who signed it; `None` when it does not hold.
    pub signer: Option<Signer>,
    /// Why it does not hold.
    pub findings: Vec<Finding>,
}

/// What a reviewer says.
#[derive(Clone, Copy, Debug)]
pub struct Opinion<'a> {
    /// Accepted or rejected.
    pub verdict: ReviewVerdict,
    /// Why.
    pub reason: &'a str,
}

/// The names of review `number`: document, signature, manifest.
pub fn names(number: u16) -> [String; 3] {
    [
        format!("META-INF/review{number:03}.json"),
        format!("META-INF/signature{number:03}.p7s"),
        format!("META-INF/ASiCManifest{number:03}.xml"),
    ]
}

/// The number of the next review: behind every other, whatever else anybody put into META-INF.
fn next_number(container: &Container) -> Option<u16> {
    let last = container.files().filter_map(|(name, _)| review_file(name));
    let next = last.max().map_or(0, |n| n + 1).max(*NUMBERS.start());
    (next..=*NUMBERS.end()).find(|number| {
        names(*number)
            .iter()
            .all(|name| container.get(name).is_none())
    })
}

/// Writes a review of `container` by the holder of `identity`: the files to add, in the order
/// in which they should be written, the one that makes them count last. Whether the review holds
/// is for [`super::verify`] to say, of a container that has these files too.
pub fn review(
    container: &Container,
    opinion: Opinion<'_>,
    identity: &Identity,
    at: Stamp,
) -> Result<[(String, Vec<u8>); 3], ReviewError> {
    let signature = container.get(SIGNATURE).ok_or(ReviewError::Nothing)?;
    let statement = container.get(super::STATEMENT).map(Statement::parse);
    let Some(Ok(statement)) = statement else {
        return Err(ReviewError::Nothing);
    };
    let reason = opinion.reason.trim();
    let readable = |c: char| !c.is_control() || c == '\n' || c == '\t';
    if reason.is_empty() || reason.chars().count() > REASON_MAX || !reason.chars().all(readable) {
        return Err(ReviewError::Reason);
    }
    let number = next_number(container).ok_or(ReviewError::Full)?;
    let [document_name, signature_name, manifest_name] = names(number);
    let document = Review {
        v: VERSION,
        kind: KIND.to_owned(),
        id: statement.id,
        sig_sha256: sha256_hex(signature),
        verdict: opinion.verdict,
        reason: reason.to_owned(),
        reviewer: identity.common_name(),
        at: crate::clock::rfc3339_ms(at.utc_ns),
    };
    let mut document =
        serde_json::to_vec_pretty(&document).expect("invariant: a review is strings and numbers");
    document.push(b'\n');
    let mut entries = vec![entry(SIGNATURE, SIGNATURE_TYPE, signature)];
    for name in reviewers_signatures(container, number) {
        let bytes = container.get(&name).unwrap_or_default();
        entries.push(entry(&name, SIGNATURE_TYPE, bytes));
    }
    // A stamp proves itself but nobody misses it: from here on it cannot be taken out unseen.
    if let (Some(stamped), Some(token)) = (container.get(STAMPED), container.get(TIMESTAMP)) {
        entries.push(entry(STAMPED, "text/xml", stamped));
        let media_type = SigReference::time_stamp(1).media_type;
        entries.push(entry(TIMESTAMP, &media_type, token));
    }
    entries.push(entry(&document_name, "application/json", &document));
    let manifest = Manifest {
        signature: SigReference::signature(number),
        entries,
    };
    let manifest = manifest.to_xml()?;
    let signature = identity.sign(&manifest, Form::Detached, at)?;
    Ok([
        (document_name, document),
        (signature_name, signature),
        (manifest_name, manifest),
    ])
}

fn entry(name: &str, media_type: &str, bytes: &[u8]) -> ManifestEntry {
    ManifestEntry {
        name: name.to_owned(),
        media_type: media_type.to_owned(),
        sha256: Sha256::digest(bytes).into(),
    }
}

/// The number of a file that only a review has.
fn review_file(name: &str) -> Option<u16> {
    numbered(name, "META-INF/review", ".json")
        .or_else(|| numbered(name, "META-INF/signature", ".p7s").filter(|n| *n > 1))
}

/// The signatures of the reviews numbered below `number`.
fn reviewers_signatures(container: &Container, number: u16) -> BTreeSet<String> {
    let signatures = container.files().map(|(name, _)| name);
    signatures
        .filter(|name| {
            let n = numbered(name, "META-INF/signature", ".p7s");
            n.is_some_and(|n| n > 1 && n < number)
        })
        .map(str::to_owned)
        .collect()
}

/// What the reader of a review holds it against.
#[derive(Clone, Copy)]
pub(super) struct Reviewing<'a> {
    pub(super) container: &'a Container,
    pub(super) roots: &'a Roots,
    pub(super) statement: Option<&'a Statement>,
}

impl Reviewing<'_> {
    /// Judges every review among the `signed` manifests, gives levels to those that hold, and
    /// vouches for their files; a review's file without its manifest is one that does not hold.
    pub(super) fn all(
        &self,
        signed: &[Addition<'_>],
        additions: &mut Additions<'_>,
    ) -> Vec<Reviewed> {
        let mut reviews = Vec::new();
        let mut numbers = BTreeSet::new();
        for addition in signed {
            let Some((_, number)) = addition.manifest.signature.kind() else {
                continue;
            };
            numbers.insert(number);
            let reviewed = self.read(number, Some(addition));
            if reviewed.findings.is_empty() {
                additions.vouch(addition);
            }
            reviews.push(reviewed);
        }
        let files = self.container.files().map(|(name, _)| name);
        let orphans: BTreeSet<u16> = files.filter_map(review_file).collect();
        let orphans = orphans.difference(&numbers);
        reviews.extend(orphans.map(|number| self.read(*number, None)));
        rank(&mut reviews);
        reviews
    }

    /// Reads review `number`.
    fn read(&self, number: u16, addition: Option<&Addition<'_>>) -> Reviewed {
        let opened = match addition {
            Some(addition) => self.open(number, addition),
            None => Err(self.lacking(number)),
        };
        let (review, signer, findings) = match opened {
            Ok((review, signer)) => (Some(review), Some(signer), Vec::new()),
            Err(mut faults) => {
                let [name, ..] = names(number);
                faults.insert(0, Finding::ReviewRefused { name });
                (None, None, faults)
            }
        };
        Reviewed {
            number,
            level: None,
            review,
            signer,
            findings,
        }
    }

    /// What is wrong with a review whose manifest is not among those that can be read.
    fn lacking(&self, number: u16) -> Vec<Finding> {
        let [document, _, manifest] = names(number);
        vec![if self.container.get(&manifest).is_none() {
            Finding::PartMissing { name: manifest }
        } else {
            Finding::NotCovered { name: document }
        }]
    }

    fn open(&self, number: u16, addition: &Addition<'_>) -> Result<(Review, Signer), Vec<Finding>> {
        let [_, _, manifest_name] = names(number);
        if addition.name != manifest_name {
            let name = addition.name.to_owned();
            return Err(vec![Finding::NotCovered { name }]);
        }
        let mut faults = addition.faults(self.container);
        match self.judge(number, addition) {
            Ok(opened) if faults.is_empty() => return Ok(opened),
            Ok(_) => {}
            Err(fault) => faults.push(fault),
        }
        Err(faults)
    }

    fn judge(&self, number: u16, addition: &Addition<'_>) -> Result<(Review, Signer), Finding> {
        let [document_name, signature_name, _] = names(number);
        let signature = self.part(&signature_name)?;
        let signer = check_detached(signature, addition.bytes, self.roots, Usage::Reviewer)
            .map_err(|e| Finding::from(&e))?;
        let mut must = reviewers_signatures(self.container, number);
        must.insert(document_name.clone());
        if let Some(name) = must
            .into_iter()
            .find(|n| addition.manifest.entry(n).is_none())
        {
            return Err(Finding::NotCovered { name });
        }
        let review = parse(self.part(&document_name)?)?;
        let id = self.statement.map(|s| s.id.to_string());
        let reviewer = signer.common_name.clone().unwrap_or_default();
        same("id", &review.id.to_string(), &id.unwrap_or_default())?;
        let sig_sha256 = self.part(SIGNATURE).map(sha256_hex)?;
        same("sig_sha256", &review.sig_sha256, &sig_sha256)?;
        same("reviewer", &review.reviewer, &reviewer)?;
        Ok((review, signer))
    }

    fn part(&self, name: &str) -> Result<&[u8], Finding> {
        self.container
            .get(name)
            .ok_or_else(|| Finding::PartMissing {
                name: name.to_owned(),
            })
    }
}

/// Whether every review holds; nobody need have reviewed.
pub(super) fn check_reviews(reviews: &[Reviewed]) -> Check {
    let findings: Vec<Finding> = reviews.iter().flat_map(|r| r.findings.clone()).collect();
    if !findings.is_empty() {
        Check::fail(CheckId::Review, findings)
    } else if reviews.is_empty() {
        Check::unknown(CheckId::Review, vec![Finding::NoReview])
    } else {
        Check::pass(CheckId::Review)
    }
}

/// Numbers the reviews that hold: the next level needs another person.
pub(super) fn rank(reviews: &mut [Reviewed]) {
    let mut persons: Vec<String> = Vec::new();
    reviews.sort_by_key(|r| r.number);
    for reviewed in reviews {
        let Some(signer) = &reviewed.signer else {
            continue;
        };
        if !persons.contains(&signer.subject) {
            persons.push(signer.subject.clone());
        }
        let place = persons.iter().position(|p| *p == signer.subject);
        reviewed.level = place.and_then(|p| u32::try_from(p + 1).ok());
    }
}

fn parse(bytes: &[u8]) -> Result<Review, Finding> {
    let unreadable = |why: String| Finding::ReviewUnreadable { why };
    if bytes.len() > BYTES_MAX {
        return Err(unreadable("larger than 16 KiB".to_owned()));
    }
    let review: Review = serde_json::from_slice(bytes).map_err(|e| unreadable(e.to_string()))?;
    if let Some(fault) = plain::fault(bytes) {
        return Err(unreadable(fault.to_owned()));
    }
    if (review.v, review.kind.as_str()) != (VERSION, KIND) {
        return Err(unreadable(format!(
            "type {:?} version {} is not supported by this program",
            review.kind, review.v
        )));
    }
    if !is_utc(&review.at) {
        return Err(unreadable("at: not an RFC 3339 time in UTC".to_owned()));
    }
    Ok(review)
}

fn same(field: &str, found: &str, expected: &str) -> Result<(), Finding> {
    if found == expected {
        return Ok(());
    }
    Err(Finding::ReviewNames {
        field: field.to_owned(),
        found: found.to_owned(),
        expected: expected.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_a_reviewers_number_but_a_review() {
        for (files, number) in [
            (
                &["META-INF/ASiCManifest002.xml", "frames/001.jpg"][..],
                Some(3),
            ),
            (
                &["META-INF/receipt999.p7m", "META-INF/timestamp998.tst"],
                Some(3),
            ),
            (&["META-INF/ASiCManifest003.xml"], Some(4)),
            (
                &["META-INF/review010.json", "META-INF/ASiCManifest011.xml"],
                Some(12),
            ),
            (&["META-INF/signature999.p7s"], None),
        ] {
            let mut container = Container::new();
            for name in files {
                container.insert(name, Vec::new()).expect("a plain name");
            }
            assert_eq!(next_number(&container), number, "{files:?}");
        }
    }

    #[test]
    fn a_second_level_needs_a_second_person() {
        let reviewed = |number, person: Option<&str>| Reviewed {
            number,
            level: None,
            review: None,
            signer: person.map(|name| Signer {
                subject: name.to_owned(),
                issuer: String::new(),
                common_name: Some(name.to_owned()),
                serial_number: None,
                organizational_unit: None,
                organization: None,
                certificate_sha256: String::new(),
                not_after: 0,
                signing_time: 0,
            }),
            findings: Vec::new(),
        };
        let mut reviews = vec![
            reviewed(5, Some("b")),
            reviewed(2, Some("a")),
            reviewed(3, None),
            reviewed(4, Some("a")),
        ];
        rank(&mut reviews);
        let levels: Vec<_> = reviews.iter().map(|r| (r.number, r.level)).collect();
        assert_eq!(
            levels,
            [(2, Some(1)), (3, None), (4, Some(1)), (5, Some(2))]
        );
    }
}

//! Lists of certificates that were revoked before their end (RFC 5280 section 5).
//!
//! A list says something of a certificate when its issuer's key signed both, whatever other list there is
//! of that name: of a root the signature is checked when the list is read too. What a list says goes on
//! when its own time is over, but then it may lack the newest, which is told. The date is held against
//! the time of signing. A thief writes any time into what he signs, so a package counts by what others
//! have signed of it: see [`super::verify`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use der::asn1::BitString;
use der::{Any, Decode, Encode, Sequence};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use webpki::{CertRevocationList, EndEntityCert, OwnedCertRevocationList};
use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::name::Name;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_cert::time::Time;

use super::chain::{CHAIN_ALGORITHMS, Roots};
use super::identity::{KeyError, read_bounded};
use crate::clock;
use crate::types::Stamp;

/// Largest file read: some hundred thousand revoked certificates.
const FILE_MAX: u64 = 16 << 20;
/// How a file in PEM begins, sooner or later.
const PEM: &[u8] = b"-----BEGIN ";

/// A list of revoked certificates, and what is told of it.
#[derive(Debug)]
pub(super) struct List {
    crl: CertRevocationList<'static>,
    /// What its issuer signed of it, and the signature.
    body: Vec<u8>,
    signature: Vec<u8>,
    file: PathBuf,
    issuer: Name,
    /// Whether one of the roots issued it.
    of_root: bool,
    /// When a newer one was to be there, since 1970.
    until: Option<Duration>,
}

/// A list taken apart as far as its signature needs, its bytes as they came.
#[derive(Sequence)]
struct Signed {
    list: Any,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
}

impl Roots {
    /// The same, with the list or lists of revoked certificates in this file, PEM or DER.
    pub fn with_revoked(mut self, path: &Path) -> Result<Self, KeyError> {
        let list = |why: String| {
            let shows = format!("`openssl crl -noout -text -in {}`", path.display());
            KeyError::RevokedList(path.to_owned(), format!("{why}; {shows} shows a good one"))
        };
        let bytes = read_bounded(path, FILE_MAX)?;
        let is_pem = bytes.windows(PEM.len()).any(|window| window == PEM);
        let ders: Vec<Vec<u8>> = if is_pem {
            let sections = CertificateRevocationListDer::pem_slice_iter(&bytes);
            let ders = sections.map(|section| section.map(|der| der.to_vec()));
            let ders: Result<Vec<_>, _> = ders.collect();
            ders.map_err(|error| list(error.to_string()))?
        } else {
            vec![bytes]
        };
        if ders.is_empty() {
            return Err(list("there is none in it".to_owned()));
        }
        for der in &ders {
            let read = self.list(der, path).map_err(list)?;
            self.revoked.push(read);
        }
        Ok(self)
    }

    /// Reads roots, and beside them, where there is one, the list `revoked.crl`.
    pub fn load_with_revoked(path: &Path) -> Result<Self, KeyError> {
        let roots = Self::load(path)?;
        let lists = beside(path);
        if lists.exists() {
            roots.with_revoked(&lists)
        } else {
            Ok(roots)
        }
    }

    /// What a person should know of the lists at `at`.
    pub fn doubts_of_lists(&self, at: Stamp) -> Vec<String> {
        let now = u64::try_from(at.utc_ns).map_or(Duration::ZERO, Duration::from_nanos);
        let mut doubts = Vec::new();
        for list in &self.revoked {
            let (file, issuer) = (list.file.display(), &list.issuer);
            if let Some(until) = list.until.filter(|until| *until < now) {
                let on = date(until.as_secs());
                doubts.push(format!(
                    "{file}: a newer list was to be there by {on}; what was revoked since is not known"
                ));
            }
            if !list.of_root {
                doubts.push(format!(
                    "{file}: its issuer, {issuer}, is none of the roots; it says nothing of what others issued"
                ));
            }
        }
        doubts
    }

    /// Reads a list; its signature must hold when a root of its issuer's name is known.
    fn list(&self, der: &[u8], path: &Path) -> Result<List, String> {
        let unreadable =
            |error: der::Error| format!("not a list of revoked certificates ({error})");
        let told = CertificateList::from_der(der).map_err(unreadable)?;
        let told = told.tbs_cert_list;
        let crl = OwnedCertRevocationList::from_der(der)
            .map_err(|error| format!("a list of a form that is not taken: {error:?}"))?;
        let signed = Signed::from_der(der).map_err(unreadable)?;
        let body = signed.list.to_der().map_err(unreadable)?;
        let signature = signed.signature.raw_bytes().to_vec();
        let (mut of_root, mut holds) = (false, false);
        for root in self.ders() {
            let certificate = Certificate::from_der(root).map_err(unreadable)?;
            if certificate.tbs_certificate.subject == told.issuer {
                of_root = true;
                let root = CertificateDer::from(root);
                let root = EndEntityCert::try_from(&root);
                holds |= root.is_ok_and(|root| is_signed_by(&root, &body, &signature));
            }
        }
        if of_root && !holds {
            return Err("it is not signed by the root whose name it bears".to_owned());
        }
        Ok(List {
            crl: crl.into(),
            body,
            signature,
            file: path.to_owned(),
            issuer: told.issuer,
            of_root,
            until: told.next_update.map(Time::to_unix_duration),
        })
    }
}

/// Where a box has the lists whose roots are in this file.
pub(super) fn beside(roots: &Path) -> PathBuf {
    roots.with_file_name("revoked.crl")
}

fn is_signed_by(issuer: &EndEntityCert<'_>, body: &[u8], signature: &[u8]) -> bool {
    let mut ways = CHAIN_ALGORITHMS.iter();
    ways.any(|with| issuer.verify_signature(*with, body, signature).is_ok())
}

/// When the first certificate of a chain was revoked, since 1970; `None`: no list names one that the same
/// key signed. Each of the `chain` is issued by the next, and the last is a root.
pub(super) fn first_revoked(
    chain: &[CertificateDer<'_>],
    lists: &[List],
) -> Result<Option<Duration>, webpki::Error> {
    let chain: Result<Vec<_>, _> = chain.iter().map(EndEntityCert::try_from).collect();
    let mut days = Vec::new();
    for pair in chain?.windows(2) {
        let [certificate, issuer] = pair else {
            continue;
        };
        let named = lists.iter();
        for list in named.filter(|list| list.crl.issuer() == certificate.issuer()) {
            if let Some(revoked) = list.crl.find_serial(certificate.serial())?
                && is_signed_by(issuer, &list.body, &list.signature)
            {
                days.push(Duration::from_secs(revoked.revocation_date.as_secs()));
            }
        }
    }
    Ok(days.into_iter().min())
}

/// The day, UTC, of a time since 1970.
pub(super) fn date(secs: u64) -> String {
    let ns = i64::try_from(secs)
        .unwrap_or(0)
        .saturating_mul(1_000_000_000);
    clock::rfc3339_ms(ns).chars().take(10).collect()
}

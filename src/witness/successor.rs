//! Whether a verifier would take what the box's own certificate signs, and whether another may take its
//! place.

use std::time::Duration;

use const_oid::db::rfc4519::{CN, SERIAL_NUMBER};
use const_oid::db::rfc5280::ID_KP_CLIENT_AUTH;
use der::Encode as _;
use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::ext::pkix::ExtendedKeyUsage;

use super::chain::{ChainFault, Roots, check_chain, check_document_chain, check_not_revoked};
use super::identity::{FILE_MAX, Identity, load_chain, parse_chain, since_1970};
use super::installed::Installed;
use super::key::SignError;
use super::signer::{PurposeFault, Usage, check_purpose, only, seconds};
use crate::clock;
use crate::config::{KeyName, Keys};
use crate::types::Stamp;

impl Identity {
    /// Whether a verifier may believe what is signed at `at`: none does outside of the certificate's
    /// time.
    pub fn check_signing(&self, at: Stamp) -> Result<(), SignError> {
        self.check_validity(at).map_err(|error| SignError {
            why: error.to_string(),
        })
    }

    /// Checks that a verifier with these `roots` would take what is signed about `at`: the certificate
    /// leads to one of them, nothing on the way was revoked, and the file holds no other certificate than
    /// that takes. Whether it is valid at `at` is [`Identity::check_validity`]'s: a clock may not be set yet.
    pub fn check_chain(&self, roots: &Roots, at: Stamp) -> Result<(), ChainFault> {
        let valid = self.not_before()..=self.not_after();
        let now = at.utc_ns.div_euclid(1_000_000_000);
        let secs = if valid.contains(&now) {
            now
        } else {
            *valid.start()
        };
        let others = self.certificates().iter().skip(1).cloned();
        let others: Vec<_> = others.map(CertificateDer::from).collect();
        let at = Duration::from_secs(u64::try_from(secs).unwrap_or(0));
        let revoked = check_document_chain(self.certificate_der(), &others, roots, at)?;
        check_not_revoked(revoked, at)
    }
}

/// Why a certificate may not take the place of the one in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SuccessorFault {
    /// There is a private key in the text. Whoever sent it has shown it to everybody on the way.
    #[error(
        "there is a private key in it: keys are made on the box and never travel; this one is \
         burnt"
    )]
    PrivateKey,
    /// It is no PEM certificate.
    #[error("it holds no PEM certificate that can be read: {0}")]
    Unreadable(String),
    /// It was made for another key.
    #[error(
        "it is for neither key of this box; have it made from the request of this box, whose \
         own certificate comes first"
    )]
    OtherKey,
    /// It was not issued for what the key is used for.
    #[error("for the {} key: {fault}", .key.name())]
    Purpose {
        /// The key it is for.
        key: KeyName,
        /// What is missing.
        fault: PurposeFault,
    },
    /// It is not for TLS clients.
    #[error("for the transport key: extendedKeyUsage lacks clientAuth (1.3.6.1.5.5.7.3.2)")]
    NotClient,
    /// It names another holder.
    #[error("its subject names {found:?}, this box is {device:?}")]
    Holder {
        /// commonName of a transport certificate, serialNumber of an evidence certificate.
        found: String,
        /// The box.
        device: String,
    },
    /// It does not hold now.
    #[error("it holds from {from} to {to}, and it is {now} by the box's clock")]
    NotNow {
        /// RFC 3339.
        from: String,
        /// RFC 3339.
        to: String,
        /// RFC 3339.
        now: String,
    },
    /// It ends no later than the one in force.
    #[error("it ends on {to}, no later than the one in force ({before})")]
    NoLater {
        /// RFC 3339.
        to: String,
        /// RFC 3339.
        before: String,
    },
    /// It does not lead to one of the box's roots.
    #[error("by this box's roots.crt: {0}")]
    Chain(ChainFault),
}

/// A certificate that may take the place of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Successor {
    /// The key both are for.
    pub key: KeyName,
    /// The new one.
    pub next: Installed,
    /// The one in force.
    pub before: Installed,
}

/// Looks whether `pem` (the certificate first, then its issuers) may take the place of the
/// certificate in force of one of `keys`, on the box `device` at `at`. Which one is told by the public
/// key.
pub fn successor(
    pem: &[u8],
    keys: &Keys,
    roots: &Roots,
    (device, at): (&str, Stamp),
) -> Result<Successor, SuccessorFault> {
    use SuccessorFault as Fault;

    if has_private_key(pem) {
        return Err(Fault::PrivateKey);
    }
    let unreadable = |why: String| Fault::Unreadable(why);
    if pem.len() as u64 > FILE_MAX {
        return Err(unreadable(format!("larger than {FILE_MAX} bytes")));
    }
    let chain = parse_chain(pem).map_err(unreadable)?;
    let (next, chain) = chain.ok_or_else(|| unreadable("there is none".to_owned()))?;
    let public = &next.tbs_certificate.subject_public_key_info;
    let own = KeyName::ALL.into_iter().find_map(|key| {
        // One that is not there, or not readable, has no successor.
        let (own, _) = load_chain(&keys.certificate(key)).ok()?;
        (own.tbs_certificate.subject_public_key_info == *public).then_some((key, own))
    });
    let (key, before) = own.ok_or(Fault::OtherKey)?;
    check_holder(&next, key, device)?;
    check_times(&next, &before, at)?;
    let others: Vec<_> = chain
        .iter()
        .skip(1)
        .map(|der| CertificateDer::from(der.clone()))
        .collect();
    let signer = chain.first().map_or(&[][..], Vec::as_slice);
    let since_1970 = since_1970(at);
    let leads_up = match key {
        KeyName::Evidence => {
            let revoked = check_document_chain(signer, &others, roots, since_1970);
            revoked.and_then(|on| check_not_revoked(on, since_1970))
        }
        KeyName::Transport => {
            let at = (since_1970, ID_KP_CLIENT_AUTH);
            check_chain(signer, &others, roots, at).map(drop)
        }
    };
    leads_up.map_err(Fault::Chain)?;
    let told = |certificate: &Certificate| {
        let der = certificate
            .to_der()
            .map_err(|e| unreadable(e.to_string()))?;
        Installed::of(&der).map_err(|e| unreadable(e.to_string()))
    };
    Ok(Successor {
        key,
        next: told(&next)?,
        before: told(&before)?,
    })
}

/// Whether a private key, encrypted or not, is in a PEM text (RFC 7468).
pub fn has_private_key(pem: &[u8]) -> bool {
    const MARK: &[u8] = b"PRIVATE KEY-----";
    pem.windows(MARK.len()).any(|part| part == MARK)
}

/// Whether it was issued for what the key does, to this box.
fn check_holder(next: &Certificate, key: KeyName, device: &str) -> Result<(), SuccessorFault> {
    let tbs = &next.tbs_certificate;
    let named = match key {
        KeyName::Evidence => {
            let purpose = check_purpose(next, Usage::Evidence);
            purpose.map_err(|fault| SuccessorFault::Purpose { key, fault })?;
            SERIAL_NUMBER
        }
        KeyName::Transport => {
            let purposes = tbs.get::<ExtendedKeyUsage>().ok().flatten();
            if !purposes.is_some_and(|(_, p)| p.0.contains(&ID_KP_CLIENT_AUTH)) {
                return Err(SuccessorFault::NotClient);
            }
            CN
        }
    };
    let found = only(&tbs.subject, named).unwrap_or_default();
    if found == device {
        return Ok(());
    }
    let device = device.to_owned();
    Err(SuccessorFault::Holder { found, device })
}

/// Whether it holds now, and longer than the one in force.
fn check_times(next: &Certificate, before: &Certificate, at: Stamp) -> Result<(), SuccessorFault> {
    let rfc3339 = |secs: i64| clock::rfc3339_ms(secs.saturating_mul(1_000_000_000));
    let end = |certificate: &Certificate| {
        let validity = &certificate.tbs_certificate.validity;
        seconds(validity.not_after.to_unix_duration())
    };
    let from = &next.tbs_certificate.validity.not_before;
    let (from, to) = (seconds(from.to_unix_duration()), end(next));
    let now = at.utc_ns.div_euclid(1_000_000_000);
    if !(from..=to).contains(&now) {
        return Err(SuccessorFault::NotNow {
            from: rfc3339(from),
            to: rfc3339(to),
            now: rfc3339(now),
        });
    }
    if to <= end(before) {
        return Err(SuccessorFault::NoLater {
            to: rfc3339(to),
            before: rfc3339(end(before)),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::pki::{TestPki, TestPkiPlan};

    const DEVICE: &str = "LM-TEST-1";

    /// From and to, in days from `now`, Unix seconds.
    fn plan(now: i64, (from, to): (i64, i64)) -> TestPkiPlan {
        let at = |days: i64| u64::try_from(now + days * 86_400).unwrap();
        TestPkiPlan {
            not_before: at(from),
            not_after: at(to),
        }
    }

    fn check(pem: &str, dir: &Path, expected: Result<KeyName, &str>) {
        let keys = Keys {
            dir: dir.to_owned(),
            ..Keys::default()
        };
        let roots = Roots::load(&dir.join("roots.crt")).unwrap();
        let found = successor(pem.as_bytes(), &keys, &roots, (DEVICE, clock::now()));
        match (found, expected) {
            (Ok(found), Ok(key)) => {
                assert_eq!(found.key, key);
                assert!(found.next.not_after > found.before.not_after);
                assert_eq!(found.next.subject, found.before.subject);
            }
            (Err(fault), Err(words)) => assert!(fault.to_string().contains(words), "{fault}"),
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }

    /// Whose authority certifies which key, as what and for whom, from when to when.
    type Row<'a> = (
        &'a TestPki,
        &'a Path,
        (&'a str, &'a str),
        (i64, i64),
        Result<KeyName, &'a str>,
    );

    #[test]
    fn what_may_take_a_certificates_place() {
        const EVIDENCE: (&str, &str) = ("evidence", DEVICE);
        const TRANSPORT: (&str, &str) = ("transport", DEVICE);
        const YEAR: (i64, i64) = (-1, 365);
        let dir = tempfile::tempdir().unwrap();
        let now = clock::now().utc_ns / 1_000_000_000;
        let folder = dir.path().join("pki");
        let pki = TestPki::create_planned(&folder, DEVICE, plan(now, (-30, 30))).unwrap();
        let other = TestPki::create(&dir.path().join("other"), DEVICE).unwrap();
        let own = &pki.device;
        let [evidence, transport] = KeyName::ALL.map(|k| own.join(format!("{}.key", k.name())));
        let strange = other.device.join("transport.key");
        let (e, t) = (evidence.as_path(), transport.as_path());
        let elsewhere = "\"LM-TEST-2\", this box is \"LM-TEST-1\"";
        let sooner = "no later than the one in force";
        let table: [Row<'_>; 14] = [
            (&pki, t, TRANSPORT, YEAR, Ok(KeyName::Transport)),
            (&pki, e, EVIDENCE, YEAR, Ok(KeyName::Evidence)),
            // A day more is enough, the same day is not.
            (&pki, t, TRANSPORT, (-1, 31), Ok(KeyName::Transport)),
            (&pki, t, TRANSPORT, (-1, 30), Err(sooner)),
            (&pki, t, TRANSPORT, (-1, 29), Err(sooner)),
            (&pki, t, TRANSPORT, (1, 365), Err("by the box's clock")),
            (&pki, t, TRANSPORT, (-365, -1), Err("by the box's clock")),
            (&pki, &strange, TRANSPORT, YEAR, Err("for neither key")),
            (&pki, t, EVIDENCE, YEAR, Err("lacks clientAuth")),
            (&pki, e, TRANSPORT, YEAR, Err("lacks documentSigning")),
            (&pki, t, ("transport", "LM-TEST-2"), YEAR, Err(elsewhere)),
            (&pki, e, ("evidence", "LM-TEST-2"), YEAR, Err(elsewhere)),
            (&other, t, TRANSPORT, YEAR, Err("by this box's roots.crt")),
            (&other, e, EVIDENCE, YEAR, Err("by this box's roots.crt")),
        ];
        for (by, key, whom, days, expected) in table {
            let pem = by.certify(key, whom, plan(now, days)).unwrap();
            check(&pem, own, expected);
        }
        let good = pki.certify(t, TRANSPORT, plan(now, YEAR)).unwrap();
        // What the signatures would carry in vain, and be refused for.
        let beside = std::fs::read_to_string(other.device.join("evidence.crt")).unwrap();
        let pem = pki.certify(e, EVIDENCE, plan(now, YEAR)).unwrap();
        check(&format!("{pem}{beside}"), own, Err("does not need"));
        let secret = std::fs::read_to_string(t).unwrap();
        check(&format!("{good}{secret}"), own, Err("never travel"));
        check("", own, Err("there is none"));
        check(&good.replace('M', "!"), own, Err("no PEM certificate"));
        let long = " ".repeat(usize::try_from(FILE_MAX).unwrap());
        check(&format!("{long}{good}"), own, Err("larger than"));
    }
}

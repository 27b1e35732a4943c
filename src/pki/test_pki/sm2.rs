//! The SM2 part of the test PKI: a root of its own, and whoever signs below it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::issuer::Issuer;
use super::{ORGANISATION, TestPki};
use crate::pki::file::{make_dir, write_key, write_public};
use crate::pki::x509::Holder;
use crate::pki::{PkiError, check_device_id, new_sm2_key};
use crate::witness::Key;

/// End of the SM2 root's validity, 2100-01-01, seconds since 1970.
const ROOT_END_SECS: u64 = 4_102_444_800;

/// Where the SM2 parties' files lie. Each folder's `roots.crt` holds both roots, because the
/// connection to the broker stays with the other suite: TLS here knows no SM2.
#[derive(Clone, Debug)]
pub struct TestSm2 {
    /// `root.crt`, `root.key`.
    pub ca: PathBuf,
    /// `evidence.*` on SM2, `transport.*` not.
    pub device: PathBuf,
    /// `receiver.*` on SM2, `transport.*` not.
    pub receiver: PathBuf,
    /// `reviewer.*` on SM2.
    pub reviewer: PathBuf,
}

impl TestPki {
    /// Makes a root, a device, a receiver and a reviewer with SM2 keys, in folders below `sm2/`.
    pub fn add_sm2(&self, device_id: &str) -> Result<TestSm2, PkiError> {
        check_device_id(device_id)?;
        let dir = self.dir().join("sm2");
        let sm2 = TestSm2 {
            ca: dir.join("ca"),
            device: dir.join("device"),
            receiver: dir.join("receiver"),
            reviewer: dir.join("reviewer"),
        };
        let key = save_key(&sm2.ca, "root")?;
        let span = (Duration::ZERO, Duration::from_secs(ROOT_END_SECS));
        let (issuer, root) = Issuer::root(&holder(None, None, "Lingmou Test SM2 Root"), key, span)?;
        write_public(&sm2.ca.join("root.crt"), &root)?;

        let evidence = holder(Some(device_id), None, "evidence-signer");
        self.sign_sm2(&issuer, &sm2.device, "evidence", &evidence)?;
        let receiver = holder(None, Some("receiver"), "evidence-receiver-1");
        self.sign_sm2(&issuer, &sm2.receiver, "receiver", &receiver)?;
        let reviewer = holder(None, Some("reviewer"), "reviewer-1");
        self.sign_sm2(&issuer, &sm2.reviewer, "reviewer", &reviewer)?;

        self.issue_transport(&sm2.device, device_id)?;
        self.issue_transport(&sm2.receiver, "receiver-1")?;
        let roots = format!("{}{root}", self.root_pem());
        for party in [&sm2.device, &sm2.receiver, &sm2.reviewer] {
            write_public(&party.join("roots.crt"), &roots)?;
        }
        Ok(sm2)
    }

    fn sign_sm2(
        &self,
        issuer: &Issuer,
        dir: &Path,
        name: &str,
        holder: &Holder<'_>,
    ) -> Result<(), PkiError> {
        let key = save_key(dir, name)?;
        let certificate = issuer.issue(holder, &key, self.span())?;
        write_public(&dir.join(format!("{name}.crt")), &certificate)
    }
}

fn holder<'a>(serial: Option<&'a str>, unit: Option<&'a str>, common_name: &'a str) -> Holder<'a> {
    Holder {
        organisation: ORGANISATION,
        unit,
        serial,
        common_name,
    }
}

/// Makes an SM2 key and writes it as `NAME.key`.
fn save_key(dir: &Path, name: &str) -> Result<Key, PkiError> {
    let (key, pem) = new_sm2_key()?;
    make_dir(dir)?;
    write_key(&dir.join(format!("{name}.key")), &pem)?;
    Ok(key)
}

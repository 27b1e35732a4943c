//! A certification authority for tests and the demo. Not for the field: its root key lies
//! unprotected beside the others.

mod issuer;
mod sm2;

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use der::DecodePem as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    CustomExtension, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SanType, date_time_ymd,
};
use x509_cert::Certificate;

use super::file::{self, make_dir, write_key, write_public};
use super::{C2PA_SIGNING, DOCUMENT_SIGNING, PkiError, check_device_id, generate, subject};

pub use sm2::TestSm2;

/// Organisation of every certificate.
const ORGANISATION: &str = "Lingmou Test Bureau";
/// organizationalUnit and name of those who may command boxes.
const OPERATORS: [(&str, &str); 3] = [
    ("view", "viewer-1"),
    ("operate", "operator-1"),
    ("admin", "admin-1"),
];
/// How long certificates are valid unless asked otherwise: 12 years, as for evidence keys.
const VALID_SECS: u64 = 12 * 365 * 24 * 3600;
/// Certificates begin to be valid this long before now, for clocks that differ.
const BEFORE_SECS: u64 = 3600;

/// When the certificates of a [`TestPki`] are valid; the root is valid from 1970 to 2100, so
/// that only the certificate under test is out of its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestPkiPlan {
    /// Start, Unix seconds.
    pub not_before: u64,
    /// End, Unix seconds.
    pub not_after: u64,
}

impl TestPkiPlan {
    /// Valid from an hour ago for twelve years.
    pub fn from_now() -> Self {
        let now = u64::try_from(crate::clock::now().utc_ns).unwrap_or(0) / 1_000_000_000;
        Self {
            not_before: now.saturating_sub(BEFORE_SECS),
            not_after: now.saturating_add(VALID_SECS),
        }
    }
}

/// The authority and where each party's files lie. Every party's folder holds `roots.crt`.
pub struct TestPki {
    issuer: CertifiedIssuer<'static, KeyPair>,
    plan: TestPkiPlan,
    dir: PathBuf,
    /// `root.crt`, `root.key`.
    pub ca: PathBuf,
    /// `evidence.*`, `transport.*`.
    pub device: PathBuf,
    /// `receiver.*` (signs receipts), `transport.*` (MQTT client).
    pub receiver: PathBuf,
    /// `server.*` for `127.0.0.1`, `::1` and `localhost`.
    pub broker: PathBuf,
    /// `operator.*` (signs commands), `transport.*` (MQTT client), of those who may look, operate
    /// and administer.
    pub operators: [PathBuf; 3],
    /// `reviewer.*` (signs reviews), `transport.*`, first and second level.
    pub reviewers: [PathBuf; 2],
    /// `tsa.*` (RFC 3161 time-stamps), and `tsa.cnf` for `openssl ts -reply -config`.
    pub tsa: PathBuf,
}

impl std::fmt::Debug for TestPki {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TestPki({})", self.dir.display())
    }
}

impl TestPki {
    /// Makes every party's keys and certificates below `dir`, valid from now.
    pub fn create(dir: &Path, device_id: &str) -> Result<Self, PkiError> {
        Self::create_planned(dir, device_id, TestPkiPlan::from_now())
    }

    /// The same with other times.
    pub fn create_planned(
        dir: &Path,
        device_id: &str,
        plan: TestPkiPlan,
    ) -> Result<Self, PkiError> {
        let ca = dir.join("ca");
        make_dir(&ca)?;
        let issuer = root(&ca)?;
        let pki = Self {
            issuer,
            plan,
            ca,
            device: dir.join("device"),
            receiver: dir.join("receiver"),
            broker: dir.join("broker"),
            operators: OPERATORS.map(|(_, name)| dir.join(name)),
            reviewers: ["reviewer-1", "reviewer-2"].map(|name| dir.join(name)),
            tsa: dir.join("tsa"),
            dir: dir.to_owned(),
        };
        pki.make_device(&pki.device, device_id)?;
        pki.make_receiver()?;
        pki.make_broker()?;
        for ((unit, name), dir) in OPERATORS.iter().zip(&pki.operators) {
            pki.make_person(dir, ("operator", unit), name)?;
            pki.issue_transport(dir, name)?;
        }
        for (level, dir) in pki.reviewers.iter().enumerate() {
            let name = format!("reviewer-{}", level + 1);
            pki.make_person(dir, ("reviewer", "reviewer"), &name)?;
            pki.issue_transport(dir, &name)?;
        }
        pki.make_tsa()?;
        Ok(pki)
    }

    /// The root certificate, PEM.
    pub fn root(&self) -> PathBuf {
        self.ca.join("root.crt")
    }

    /// Makes one more device; its files lie in a folder named like it.
    pub fn add_device(&self, device_id: &str) -> Result<PathBuf, PkiError> {
        check_device_id(device_id)?;
        let dir = self.dir.join(device_id);
        self.make_device(&dir, device_id)?;
        Ok(dir)
    }

    /// Makes one more receiver, which connects and signs as `name`; its files lie in a folder of
    /// that name.
    pub fn add_receiver(&self, name: &str) -> Result<PathBuf, PkiError> {
        check_device_id(name)?;
        let dir = self.dir.join(name);
        self.make_person(&dir, ("receiver", "receiver"), name)?;
        self.issue_transport(&dir, name)?;
        Ok(dir)
    }

    /// A certificate, PEM, for the key in the file `key`, such as `who` has under `kind`:
    /// `"evidence"`, else transport.
    pub fn certify(
        &self,
        key: &Path,
        (kind, who): (&str, &str),
        plan: TestPkiPlan,
    ) -> Result<String, PkiError> {
        let params = match kind {
            "evidence" => signing(subject(ORGANISATION, Some(who), None, "evidence-signer")?),
            _ => client(subject(ORGANISATION, None, None, who)?),
        };
        let text = std::fs::read_to_string(key).map_err(|source| file::error(key, source))?;
        let key = KeyPair::from_pem(&text).map_err(generate("a certificate"))?;
        self.sign(params, &key, plan)
    }

    /// A list of revoked certificates, PEM: their files, each with when it was revoked, Unix seconds.
    pub fn revoke(&self, certificates: &[(&Path, u64)]) -> Result<String, PkiError> {
        let at = |secs| date_time_ymd(1970, 1, 1) + Duration::from_secs(secs);
        let entry = |(path, on): &(&Path, u64)| {
            let text = std::fs::read(path).map_err(|source| file::error(path, source))?;
            let certificate = Certificate::from_pem(text).map_err(PkiError::Encode)?;
            let serial = certificate.tbs_certificate.serial_number;
            Ok(RevokedCertParams {
                serial_number: serial.as_bytes().to_vec().into(),
                revocation_time: at(*on),
                reason_code: None,
                invalidity_date: None,
            })
        };
        let entries: Result<Vec<_>, PkiError> = certificates.iter().map(entry).collect();
        let params = CertificateRevocationListParams {
            this_update: at(self.plan.not_before),
            next_update: at(self.plan.not_after),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: entries?,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer);
        let pem = list.and_then(|list| list.pem());
        pem.map_err(generate("a list of revoked certificates"))
    }

    /// Signs what `params` say, with the times of `plan`.
    fn sign(
        &self,
        mut params: CertificateParams,
        key: &KeyPair,
        plan: TestPkiPlan,
    ) -> Result<String, PkiError> {
        let at = |secs| date_time_ymd(1970, 1, 1) + Duration::from_secs(secs);
        params.not_before = at(plan.not_before);
        params.not_after = at(plan.not_after);
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        let certificate = params
            .signed_by(key, &self.issuer)
            .map_err(generate("a certificate"))?;
        Ok(certificate.pem())
    }

    fn dir(&self) -> &Path {
        &self.dir
    }

    fn root_pem(&self) -> String {
        self.issuer.pem()
    }

    /// From when to when certificates are valid, since 1970.
    fn span(&self) -> (Duration, Duration) {
        let TestPkiPlan {
            not_before,
            not_after,
        } = self.plan;
        (
            Duration::from_secs(not_before),
            Duration::from_secs(not_after),
        )
    }

    /// Makes `transport.*` of `name` in `dir`.
    fn issue_transport(&self, dir: &Path, name: &str) -> Result<(), PkiError> {
        let name = subject(ORGANISATION, None, None, name)?;
        self.issue(dir, "transport", client(name))
    }

    fn make_device(&self, dir: &Path, device_id: &str) -> Result<(), PkiError> {
        check_device_id(device_id)?;
        let name = subject(ORGANISATION, Some(device_id), None, "evidence-signer")?;
        self.issue(dir, "evidence", signing(name))?;
        self.issue_transport(dir, device_id)
    }

    fn make_receiver(&self) -> Result<(), PkiError> {
        let role = ("receiver", "receiver");
        self.make_person(&self.receiver, role, "evidence-receiver-1")?;
        self.issue_transport(&self.receiver, "receiver-1")
    }

    fn make_broker(&self) -> Result<(), PkiError> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()])
            .map_err(generate("the broker's certificate"))?;
        let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let v6 = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);
        params.subject_alt_names.push(SanType::IpAddress(v4));
        params.subject_alt_names.push(SanType::IpAddress(v6));
        params.distinguished_name = subject(ORGANISATION, None, None, "localhost")?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(&self.broker, "server", params)
    }

    /// Somebody whose signature counts by the organizationalUnit `unit`; the files are called
    /// `file`.
    fn make_person(
        &self,
        dir: &Path,
        (file, unit): (&str, &str),
        name: &str,
    ) -> Result<(), PkiError> {
        let name = subject(ORGANISATION, None, Some(unit), name)?;
        self.issue(dir, file, signing(name))
    }

    fn make_tsa(&self) -> Result<(), PkiError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(ORGANISATION, None, None, "Lingmou Test TSA")?;
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::ContentCommitment,
        ];
        // RFC 3161 section 2.3 wants timeStamping alone and critical:
        // SEQUENCE { OID 1.3.6.1.5.5.7.3.8 }.
        let content = vec![0x30, 0x0a, 0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 3, 8];
        let mut purpose = CustomExtension::from_oid_content(&[2, 5, 29, 37], content);
        purpose.set_criticality(true);
        params.custom_extensions = vec![purpose];
        self.issue(&self.tsa, "tsa", params)?;
        write_public(&self.tsa.join("serial"), "01\n")?;
        write_public(&self.tsa.join("tsa.cnf"), &tsa_config(&self.tsa))
    }

    /// Makes `NAME.key` and `NAME.crt` in `dir`, and `roots.crt` beside them.
    fn issue(&self, dir: &Path, name: &str, params: CertificateParams) -> Result<(), PkiError> {
        let key = KeyPair::generate().map_err(generate("a key"))?;
        let certificate = self.sign(params, &key, self.plan)?;
        make_dir(dir)?;
        write_key(&dir.join(format!("{name}.key")), &key.serialize_pem())?;
        write_public(&dir.join(format!("{name}.crt")), &certificate)?;
        write_public(&dir.join("roots.crt"), &self.issuer.pem())
    }
}

fn root(dir: &Path) -> Result<CertifiedIssuer<'static, KeyPair>, PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(ORGANISATION, None, None, "Lingmou Test Root")?;
    params.not_before = date_time_ymd(1970, 1, 1);
    params.not_after = date_time_ymd(2100, 1, 1);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().map_err(generate("a key"))?;
    write_key(&dir.join("root.key"), &key.serialize_pem())?;
    let issuer =
        CertifiedIssuer::self_signed(params, key).map_err(generate("the root certificate"))?;
    write_public(&dir.join("root.crt"), &issuer.pem())?;
    Ok(issuer)
}

/// What `openssl ts -reply -config` needs to answer with this key. The policy is nobody's: an
/// arc that RFC 3161's examples use as well.
fn tsa_config(dir: &Path) -> String {
    let dir = std::path::absolute(dir).unwrap_or_else(|_no_folder| dir.to_owned());
    let dir = dir.display();
    format!(
        "[tsa]\ndefault_tsa = test\n\n[test]\nserial = {dir}/serial\n\
         signer_cert = {dir}/tsa.crt\nsigner_key = {dir}/tsa.key\nsigner_digest = sha256\n\
         default_policy = 1.2.3.4\ndigests = sha256, sha384, sha512\ness_cert_id_chain = no\n\
         ess_cert_id_alg = sha256\n"
    )
}

/// documentSigning (RFC 9336) and the C2PA claim-signing purpose.
fn evidence_purposes() -> Vec<ExtendedKeyUsagePurpose> {
    [DOCUMENT_SIGNING, C2PA_SIGNING]
        .map(|oid| ExtendedKeyUsagePurpose::Other(oid.arcs().map(u64::from).collect()))
        .to_vec()
}

fn signing(name: DistinguishedName) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::ContentCommitment,
    ];
    params.extended_key_usages = evidence_purposes();
    params
}

fn client(name: DistinguishedName) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

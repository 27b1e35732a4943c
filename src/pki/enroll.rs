//! The keys of a new box and the requests for their certificates.

use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};

use super::file::{self, make_dir, write_key, write_public};
use super::{PkiError, check_device_id, evidence_purposes, generate, subject};

/// Longest organisation name, characters (X.520 ub-organization-name).
const ORGANISATION_MAX: usize = 64;

/// What [`enroll`] left in the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// Requests to carry to the CA: evidence, then transport.
    pub requests: [PathBuf; 2],
    /// Keys made now; one that was there already is kept and not listed.
    pub new_keys: Vec<PathBuf>,
}

/// Makes `evidence.key`, `transport.key` and a request (`.csr`) for each in `dir`.
///
/// A key that is there is kept, so running it again after an interruption, or to get the
/// requests once more, is safe. The requests ask for: evidence - serialNumber = device id,
/// digitalSignature and nonRepudiation, documentSigning; transport - CN = device id, clientAuth.
pub fn enroll(dir: &Path, device_id: &str, organisation: &str) -> Result<Enrolled, PkiError> {
    check_device_id(device_id)?;
    if !(1..=ORGANISATION_MAX).contains(&organisation.chars().count()) {
        return Err(PkiError::Organisation(organisation.to_owned()));
    }
    make_dir(dir)?;
    let mut new_keys = Vec::new();

    let mut evidence = CertificateParams::default();
    evidence.distinguished_name = subject(organisation, Some(device_id), None, "evidence-signer")?;
    evidence.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::ContentCommitment,
    ];
    evidence.extended_key_usages = evidence_purposes();
    let evidence = request(dir, "evidence", &evidence, &mut new_keys)?;

    let mut transport = CertificateParams::default();
    transport.distinguished_name = subject(organisation, None, None, device_id)?;
    transport.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    transport.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let transport = request(dir, "transport", &transport, &mut new_keys)?;

    Ok(Enrolled {
        requests: [evidence, transport],
        new_keys,
    })
}

fn request(
    dir: &Path,
    name: &str,
    params: &CertificateParams,
    new_keys: &mut Vec<PathBuf>,
) -> Result<PathBuf, PkiError> {
    let path = dir.join(format!("{name}.key"));
    let key = if path.exists() {
        crate::witness::load_key(&path)?;
        let text = std::fs::read_to_string(&path).map_err(|source| file::error(&path, source))?;
        KeyPair::from_pem(&text).map_err(generate("a request"))?
    } else {
        let key = KeyPair::generate().map_err(generate("a key"))?;
        write_key(&path, &key.serialize_pem())?;
        new_keys.push(path);
        key
    };
    let request = params
        .serialize_request(&key)
        .and_then(|request| request.pem())
        .map_err(generate("a request"))?;
    let path = dir.join(format!("{name}.csr"));
    write_public(&path, &request)?;
    Ok(path)
}

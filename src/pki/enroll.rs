//! The keys of a new box and the requests for their certificates.

use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};

use super::file::{self, make_dir, write_key, write_public};
use super::x509::{Holder, evidence_request};
use super::{PkiError, check_device_id, generate, new_sm2_key, subject};
use crate::config::{Keys, Suite};
use crate::witness::{Key, KeyError, load_key};

/// Longest organisation name, characters (X.520 ub-organization-name).
const ORGANISATION_MAX: usize = 64;

/// What [`enroll`] left in the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// Requests to carry to the CA: evidence, then transport.
    pub requests: [PathBuf; 2],
    /// Where the keys are that were made now; one that was there already is kept and not listed.
    pub new_keys: Vec<String>,
}

/// Makes an evidence key and a transport key as `keys` says, and a request (`.csr`) for each in
/// its folder.
///
/// A key that is there is kept, so running it again after an interruption, or to get the
/// requests once more, is safe. The requests ask for: evidence - serialNumber = device id,
/// digitalSignature and nonRepudiation, documentSigning; transport - CN = device id, clientAuth.
/// The transport key is on P-256 in every suite.
pub fn enroll(keys: &Keys, device_id: &str, organisation: &str) -> Result<Enrolled, PkiError> {
    check_device_id(device_id)?;
    if !(1..=ORGANISATION_MAX).contains(&organisation.chars().count()) {
        return Err(PkiError::Organisation(organisation.to_owned()));
    }
    let dir = &keys.dir;
    make_dir(dir)?;
    let mut new_keys = Vec::new();

    let holder = Holder {
        organisation,
        unit: None,
        serial: Some(device_id),
        common_name: "evidence-signer",
    };
    let key = evidence_key(keys, &mut new_keys)?;
    let evidence = dir.join("evidence.csr");
    write_public(&evidence, &evidence_request(&holder, &key)?)?;

    let mut params = CertificateParams::default();
    params.distinguished_name = subject(organisation, None, None, device_id)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = transport_key(&dir.join("transport.key"), &mut new_keys)?;
    let request = params
        .serialize_request(&key)
        .and_then(|request| request.pem())
        .map_err(generate("a request"))?;
    let transport = dir.join("transport.csr");
    write_public(&transport, &request)?;

    Ok(Enrolled {
        requests: [evidence, transport],
        new_keys,
    })
}

fn evidence_key(keys: &Keys, new_keys: &mut Vec<String>) -> Result<Key, PkiError> {
    if keys.token.is_used() {
        let (key, made) = crate::witness::enrol_token(&keys.token)?;
        if made {
            new_keys.push("evidence key in the token".to_owned());
        }
        return Ok(key);
    }
    let path = keys.dir.join("evidence.key");
    if !path.exists() {
        let pem = match keys.suite {
            Suite::Es256 => KeyPair::generate()
                .map_err(generate("a key"))?
                .serialize_pem()
                .into(),
            Suite::Sm2 => new_sm2_key()?.1,
        };
        write_key(&path, &pem)?;
        new_keys.push(path.display().to_string());
    }
    let key = load_key(&path)?;
    if key.suite() != keys.suite {
        return Err(PkiError::Key(KeyError::Suite {
            found: key.suite(),
            configured: keys.suite,
            path,
        }));
    }
    Ok(key)
}

fn transport_key(path: &Path, new_keys: &mut Vec<String>) -> Result<KeyPair, PkiError> {
    if path.exists() {
        // Refuses a key that others may read, and one of another kind.
        load_key(path)?;
        let text = std::fs::read_to_string(path).map_err(|source| file::error(path, source))?;
        return KeyPair::from_pem(&text).map_err(generate("a request"));
    }
    let key = KeyPair::generate().map_err(generate("a key"))?;
    write_key(path, &key.serialize_pem())?;
    new_keys.push(path.display().to_string());
    Ok(key)
}

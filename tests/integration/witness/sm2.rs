//! Packages signed with SM2 and SM3, and what stock OpenSSL says of them.

use std::path::{Path, PathBuf};

use lingmou::config::{self, Suite};
use lingmou::pki::{TestSm2, enroll};
use lingmou::types::Stamp;
use lingmou::witness::{
    ChainFault, Form, Identity, Language, MANIFEST, PurposeFault, Roots, SIGNATURE, SignatureError,
    Usage, check_attached, check_detached, seal, verify,
};
use tempfile::TempDir;

use super::{AT, DEVICE, Kit, assemble, put, put_all, receipt, run, set_mode, statement, succeed};

/// OpenSSL's way to say with which signer id SM2 signs.
const ID: &str = "distid:1234567812345678";

/// A PKI with SM2 parties, and the roots of both suites.
fn sm2_kit() -> (Kit, TestSm2, Roots) {
    let kit = Kit::new();
    let sm2 = kit.pki.add_sm2(DEVICE).unwrap();
    let roots = Roots::load(&sm2.device.join("roots.crt")).unwrap();
    assert_eq!(roots.count(), 2);
    (kit, sm2, roots)
}

fn evidence(dir: &Path) -> Identity {
    Identity::load(dir, "evidence").unwrap()
}

#[test]
fn an_sm2_package_with_its_receipt_is_valid() {
    let (kit, sm2, roots) = sm2_kit();
    let device = evidence(&sm2.device);
    assert_eq!((device.suite(), device.device_id()), (Suite::Sm2, DEVICE));
    let sealed = seal(&statement(DEVICE), &device, AT).unwrap();
    let mut package = assemble(&sealed);
    let receiver = Identity::load(&sm2.receiver, "receiver").unwrap();
    let p7m = receipt(&sealed).sign(&receiver, AT).unwrap();
    package.insert(lingmou::witness::RECEIPT, p7m).unwrap();
    let verdict = verify(&package, &roots);
    assert!(verdict.valid(), "{}", verdict.page(Language::English));

    let foreign = verify(&package, &kit.roots);
    assert!(!foreign.valid(), "the other root vouches for nobody here");
}

#[test]
fn the_commands_for_sm2_in_the_public_page_work_as_printed() {
    let (kit, sm2, _) = sm2_kit();
    let sealed = seal(&statement(DEVICE), &evidence(&sm2.device), AT).unwrap();
    let dir = kit.folder("page");
    put(&dir, "check.sh", super::script("sm2").as_bytes());
    std::fs::copy(sm2.ca.join("root.crt"), dir.join("root.crt")).unwrap();
    let case = dir.join("case");
    put_all(&case, &assemble(&sealed));
    let text = succeed(&dir, "sh -e check.sh");
    for said in ["device.crt: OK", "Verified OK", "same digest"] {
        assert!(text.contains(said), "{said}: {text}");
    }

    // The same commands see a changed manifest, another key's signature and a foreign root.
    let mut changed = sealed.manifest.clone();
    changed[400] ^= 1;
    put(&case, MANIFEST, &changed);
    let text = succeed(&dir, "sh check.sh");
    assert!(
        text.contains("CHANGED") && !text.contains("same digest"),
        "{text}"
    );
    put(&case, MANIFEST, &sealed.manifest);
    let mut changed = sealed.signature.clone();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    put(&case, SIGNATURE, &changed);
    let text = String::from_utf8_lossy(&run(&dir, "sh check.sh").stdout).into_owned();
    assert!(!text.contains("Verified OK"), "{text}");
    put(&case, SIGNATURE, &sealed.signature);
    std::fs::copy(kit.pki.root(), dir.join("root.crt")).unwrap();
    let text = String::from_utf8_lossy(&run(&dir, "sh check.sh").stdout).into_owned();
    assert!(!text.contains("device.crt: OK"), "{text}");
}

#[test]
fn an_sm2_signature_is_bound_to_its_content_key_and_role() {
    let (kit, sm2, roots) = sm2_kit();
    let device = evidence(&sm2.device);
    let p7s = device.sign(b"content", Form::Detached, AT).unwrap();
    let check = |p7s: &[u8], content: &[u8], usage| {
        check_detached(p7s, content, &roots, usage).map(|signer| signer.serial_number)
    };
    let signer = check(&p7s, b"content", Usage::Evidence);
    assert_eq!(signer, Ok(Some(DEVICE.to_owned())));
    let other = check(&p7s, b"Content", Usage::Evidence);
    assert_eq!(other, Err(SignatureError::Content));
    let receiver = check(&p7s, b"content", Usage::Receiver);
    let role = SignatureError::Purpose(PurposeFault::Role(&["receiver"]));
    assert_eq!(receiver, Err(role));
    for place in 0..p7s.len() {
        let mut changed = p7s.clone();
        changed[place] ^= 1;
        let fault = check(&changed, b"content", Usage::Evidence);
        assert!(fault.is_err(), "byte {place} can be changed");
    }
    let reviewer = Identity::load(&sm2.reviewer, "reviewer").unwrap();
    let p7m = reviewer.sign(b"{}", Form::Attached, AT).unwrap();
    check_attached(&p7m, &roots, Usage::Reviewer).unwrap();
    // A key of one suite does not go with a certificate of the other.
    let mixed = kit.folder("mixed");
    std::fs::copy(sm2.device.join("evidence.key"), mixed.join("evidence.key")).unwrap();
    std::fs::copy(
        kit.pki.device.join("evidence.crt"),
        mixed.join("evidence.crt"),
    )
    .unwrap();
    let error = Identity::load(&mixed, "evidence").unwrap_err().to_string();
    assert!(error.contains("does not belong"), "{error}");
}

#[test]
fn the_bare_signature_is_the_suites() {
    let (kit, sm2, _) = sm2_kit();
    let dir = kit.dir.path();
    put(dir, "message", b"a message");
    for (identity, certificate, options) in [
        (&kit.evidence, "device/evidence.crt", "-sha256".to_owned()),
        (
            &evidence(&sm2.device),
            "sm2/device/evidence.crt",
            format!("-sm3 -sigopt {ID}"),
        ),
    ] {
        put(dir, "value", &identity.sign_raw(b"a message").unwrap());
        succeed(
            dir,
            &format!("openssl x509 -in {certificate} -noout -pubkey -out pub"),
        );
        let text = succeed(
            dir,
            &format!("openssl dgst {options} -verify pub -signature value message"),
        );
        assert!(text.contains("Verified OK"), "{certificate}: {text}");
    }
}

#[test]
fn an_sm2_enrolment_is_answered_by_an_openssl_ca() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path();
    let keys = config::Keys {
        dir: dir.join("keys"),
        suite: Suite::Sm2,
        ..config::Keys::default()
    };
    enroll(&keys, DEVICE, "Bureau").unwrap();
    let text = succeed(
        &keys.dir,
        &format!("openssl req -verify -noout -text -in evidence.csr -vfyopt {ID}"),
    );
    for part in ["erify OK", DEVICE, "SM2", "1.3.6.1.5.5.7.3.36"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let again = enroll(&keys, DEVICE, "Bureau").unwrap();
    assert!(again.new_keys.is_empty());
    let other = config::Keys {
        suite: Suite::Es256,
        ..keys.clone()
    };
    let error = enroll(&other, DEVICE, "Bureau").unwrap_err().to_string();
    assert!(
        error.contains("is for suite sm2, keys.suite says es256"),
        "{error}"
    );

    let ca = SmCa::new(dir, "basicConstraints=critical,CA:TRUE");
    ca.answer("root", &keys.dir.join("evidence"));
    let identity = Identity::open(&keys).unwrap();
    let p7s = identity.sign(b"content", Form::Detached, lingmou::clock::now());
    let roots = Roots::load(&dir.join("root.crt")).unwrap();
    check_detached(&p7s.unwrap(), b"content", &roots, Usage::Evidence).unwrap();
    let error = Identity::open(&other).unwrap_err().to_string();
    assert!(
        error.contains("is for suite sm2, keys.suite says es256"),
        "{error}"
    );
}

/// An SM2 CA made by openssl.
struct SmCa(PathBuf);

impl SmCa {
    fn new(dir: &Path, extensions: &str) -> Self {
        let ca = Self(dir.to_owned());
        ca.key("root");
        let extensions = addext(extensions);
        succeed(
            dir,
            &format!(
                "openssl req -x509 -new -key root.key -sm3 -sigopt {ID} -subj /CN=Root -days 3650 \
                 -out root.crt{extensions}"
            ),
        );
        ca
    }

    fn key(&self, name: &str) {
        let command = format!("openssl genpkey -algorithm SM2 -out {name}.key");
        succeed(&self.0, &command);
        set_mode(&self.0.join(format!("{name}.key")), 0o600);
    }

    /// A key and a request for it.
    fn ask(&self, name: &str, subject: &str, extensions: &str) {
        self.key(name);
        let extensions = addext(extensions);
        succeed(
            &self.0,
            &format!(
                "openssl req -new -key {name}.key -sm3 -sigopt {ID} -subj {subject} \
                 -out {name}.csr{extensions}"
            ),
        );
    }

    /// Has `issuer` answer `NAME.csr` with `NAME.crt`.
    fn answer(&self, issuer: &str, name: &Path) {
        let name = name.display();
        succeed(
            &self.0,
            &format!(
                "openssl x509 -req -in {name}.csr -CA {issuer}.crt -CAkey {issuer}.key \
                 -CAcreateserial -copy_extensions copyall -days 3650 -sm3 -sigopt {ID} \
                 -vfyopt {ID} -out {name}.crt"
            ),
        );
    }
}

fn addext(list: &str) -> String {
    list.split_whitespace()
        .flat_map(|extension| [" -addext ", extension])
        .collect()
}

#[test]
fn an_sm2_path_is_judged_like_any_other() {
    const CA: &str = "basicConstraints=critical,CA:TRUE";
    const EE: &str = "extendedKeyUsage=1.3.6.1.5.5.7.3.36";
    let ca = |more: &str| format!("{CA} {more}");
    let ee = |more: &str| format!("{EE} {more}");
    let fault = |fault: ChainFault| Some(SignatureError::from(fault));
    let not_allowed = fault(ChainFault::IssuerNotAllowed);
    let unknown = || ChainFault::Other("UnsupportedCriticalExtension".to_owned());
    // The signer's own certificate is looked at before its way to a root is.
    let unusable = "the signer's certificate is not usable (UnsupportedCriticalExtension)";
    let table = [
        (CA, ca(""), ee(""), None),
        (CA, ca("keyUsage=critical,keyCertSign"), ee(""), None),
        (CA, ca(EE), ee(""), None),
        (
            CA,
            "keyUsage=keyCertSign".to_owned(),
            ee(""),
            not_allowed.clone(),
        ),
        (
            CA,
            ca("keyUsage=digitalSignature"),
            ee(""),
            not_allowed.clone(),
        ),
        (
            CA,
            ca("extendedKeyUsage=clientAuth"),
            ee(""),
            not_allowed.clone(),
        ),
        (
            CA,
            ca("1.2.3.4=critical,DER:0500"),
            ee(""),
            fault(unknown()),
        ),
        (
            CA,
            ca(""),
            ee("1.2.3.4=critical,DER:0500"),
            Some(SignatureError::Form(unusable.to_owned())),
        ),
        (CA, ca(""), ee(CA), fault(ChainFault::SignerIsCa)),
        (
            "basicConstraints=critical,CA:TRUE,pathlen:0",
            ca(""),
            ee(""),
            not_allowed,
        ),
    ];
    for (root, issuing, ee, wanted) in table {
        let dir = TempDir::new().unwrap();
        let extensions = (root, issuing.as_str(), ee.as_str());
        let found = three_levels(dir.path(), extensions, soon(), |_| ());
        assert_eq!(found, wanted, "{root} / {issuing} / {ee}");
    }
}

/// In an hour: whatever is made until then is valid by then, however slow the machine.
fn soon() -> Stamp {
    lingmou::clock::now().shifted_ns(3600 * 1_000_000_000)
}

/// Makes root, issuing CA and signer, and says what is wrong with a signature that carries its
/// chain, made at `at`; `spoil` may change the files before.
fn three_levels(
    dir: &Path,
    (root, issuing, ee): (&str, &str, &str),
    at: Stamp,
    spoil: impl FnOnce(&SmCa),
) -> Option<SignatureError> {
    let ca = SmCa::new(dir, root);
    ca.ask("ca", "/CN=Issuing", issuing);
    ca.answer("root", Path::new("ca"));
    ca.ask("evidence", "/CN=x/serialNumber=LC-1", ee);
    ca.answer("ca", Path::new("evidence"));
    spoil(&ca);
    let mut chain = std::fs::read(dir.join("evidence.crt")).unwrap();
    chain.extend(std::fs::read(dir.join("ca.crt")).unwrap());
    put(dir, "evidence.crt", &chain);
    let p7s = evidence(dir).sign(b"content", Form::Detached, at);
    let roots = Roots::load(&dir.join("root.crt")).unwrap();
    check_detached(&p7s.unwrap(), b"content", &roots, Usage::Evidence).err()
}

#[test]
fn forged_and_untimely_sm2_paths_are_refused() {
    let plain = (
        "basicConstraints=critical,CA:TRUE",
        "basicConstraints=critical,CA:TRUE",
        "extendedKeyUsage=1.3.6.1.5.5.7.3.36",
    );
    let now = soon();
    // A CA of the same name and another key.
    let dir = TempDir::new().unwrap();
    let fault = three_levels(dir.path(), plain, now, |ca| {
        ca.ask("ca", "/CN=Issuing", plain.1);
        ca.answer("root", Path::new("ca"));
    });
    assert_eq!(fault, Some(ChainFault::Forged.into()));
    // A root of the same name and another key.
    let dir = TempDir::new().unwrap();
    let fault = three_levels(dir.path(), plain, now, |ca| {
        SmCa::new(&ca.0, plain.0);
    });
    assert_eq!(fault, Some(ChainFault::Forged.into()));
    // An issuing CA that ends before the signer's certificate does.
    let in_two_days = now.shifted_ns(2 * 24 * 3600 * 1_000_000_000);
    let dir = TempDir::new().unwrap();
    let fault = three_levels(dir.path(), plain, in_two_days, |ca| {
        succeed(
            &ca.0,
            &format!(
                "openssl x509 -req -in ca.csr -CA root.crt -CAkey root.key -CAcreateserial \
                 -copy_extensions copyall -days 1 -sm3 -sigopt {ID} -vfyopt {ID} -out ca.crt"
            ),
        );
    });
    assert_eq!(fault, Some(ChainFault::Expired.into()));
}

#[test]
fn an_sm2_signer_is_judged_at_the_time_of_signing() {
    const YEAR_NS: i64 = 365 * 24 * 3600 * 1_000_000_000;
    let (_kit, sm2, roots) = sm2_kit();
    let device = evidence(&sm2.device);
    for (years, fault) in [
        (-26, Some(ChainFault::NotYetValid)),
        (-24, None),
        (54, None),
        (56, Some(ChainFault::Expired)),
    ] {
        let at = AT.shifted_ns(years * YEAR_NS);
        let p7s = device.sign(b"content", Form::Detached, at).unwrap();
        let found = check_detached(&p7s, b"content", &roots, Usage::Evidence).err();
        assert_eq!(found, fault.map(SignatureError::Chain), "{years} years");
    }
}

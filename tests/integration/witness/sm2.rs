//! Packages signed with SM2 and SM3, and what stock OpenSSL says of them.

use std::path::{Path, PathBuf};

use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{EncapsulatedContentInfo, SignerInfo, SignerInfos};
use const_oid::db::rfc5911;
use der::asn1::SetOfVec;
use der::{Any, Decode as _, Encode as _, Sequence, Tag, TagNumber};
use lingmou::config::{self, Suite};
use lingmou::pki::{TestPki, TestSm2, enroll};
use lingmou::types::Stamp;
use lingmou::witness::{
    ChainFault, CheckId, Form, Identity, Language, MANIFEST, PurposeFault, RECEIPT, Roots,
    SIGNATURE, SignatureError, Usage, check_attached, check_detached, seal, verify,
};
use tempfile::TempDir;

use super::both::{accepted, flipped, refused, signed_by, with};
use super::{
    AT, DEVICE, Kit, assemble, put, put_all, receipt, run, said_by, set_mode, statement, succeed,
    verify_sh, verifying,
};

const YEAR_NS: i64 = 365 * 24 * 3600 * 1_000_000_000;
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

/// A kit whose device, receiver and first reviewer sign with SM2. Its time-stamp authority and
/// second reviewer do not.
fn sm2_signers() -> Kit {
    let (mut kit, sm2, roots) = sm2_kit();
    kit.evidence = evidence(&sm2.device);
    kit.receiver = Identity::load(&sm2.receiver, "receiver").unwrap();
    kit.pki.reviewers[0].clone_from(&sm2.reviewer);
    kit.sealed = seal(&statement(DEVICE), &kit.evidence, AT).unwrap();
    kit.package = assemble(&kit.sealed);
    let p7m = receipt(&kit.sealed).sign(&kit.receiver, AT).unwrap();
    kit.package.insert(RECEIPT, p7m).unwrap();
    (kit.root, kit.roots) = (sm2.device.join("roots.crt"), roots);
    kit
}

#[test]
fn an_sm2_package_is_valid_by_both_verifiers_with_all_that_comes_later() {
    let kit = sm2_signers();
    let suite = kit.evidence.suite();
    assert_eq!((suite, kit.evidence.device_id()), (Suite::Sm2, DEVICE));
    accepted("receipted", &kit, &kit.package);
    accepted("full", &kit, &kit.full());
    let es256 = Roots::load(&kit.pki.root()).unwrap();
    let foreign = verify(&kit.package, &es256);
    assert!(!foreign.valid(), "the other root vouches for nobody here");
    let case = kit.folder("case");
    put_all(&case, &kit.package);
    assert_eq!(verify_sh(&case, &kit.pki.root()).0, Some(1));
}

/// `SignedData` (RFC 5652 section 5.1) whose certificates are any values.
#[derive(Sequence)]
pub(super) struct Data {
    version: CmsVersion,
    pub(super) digest_algorithms: SetOfVec<Any>,
    content: EncapsulatedContentInfo,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) certificates: Option<SetOfVec<Any>>,
    signer_infos: SignerInfos,
}

impl Data {
    fn read(p7s: &[u8]) -> Self {
        let info = ContentInfo::from_der(p7s).unwrap();
        info.content.decode_as().unwrap()
    }

    fn signer(&self) -> SignerInfo {
        self.signer_infos.0.as_slice()[0].clone()
    }
}

/// The signature with its parts changed.
pub(super) fn reshaped(p7s: &[u8], change: impl FnOnce(&mut Data, &mut SignerInfo)) -> Vec<u8> {
    let mut data = Data::read(p7s);
    let mut signer = data.signer();
    change(&mut data, &mut signer);
    data.signer_infos = SignerInfos(vec![signer].try_into().unwrap());
    let info = ContentInfo {
        content_type: rfc5911::ID_SIGNED_DATA,
        content: Any::encode_from(&data).unwrap(),
    };
    info.to_der().unwrap()
}

/// What the device signed once, dressed up as its signature over this manifest: the attributes
/// that it did sign are hidden in a certificate of another format, where whoever takes the first
/// thing that looks like signed attributes finds them.
fn dressed_up(kit: &Kit) -> Vec<u8> {
    let once = kit.evidence.sign(b"signed once", Form::Detached, AT);
    let once = Data::read(&once.unwrap()).signer();
    let mut hidden = once.signed_attrs.unwrap().to_der().unwrap();
    // A set there, [0] in a signature.
    hidden[0] = 0xa0;
    let other = [rfc5911::ID_DATA.to_der().unwrap(), hidden].concat();
    let tag = Tag::ContextSpecific {
        constructed: true,
        number: TagNumber::N3,
    };
    reshaped(&kit.sealed.signature, |data, signer| {
        let certificates = data.certificates.as_mut().unwrap();
        certificates.insert(Any::new(tag, other).unwrap()).unwrap();
        signer.signature = once.signature;
    })
}

#[test]
fn an_sm2_package_that_was_tampered_with_is_refused_by_both_verifiers() {
    let kit = sm2_signers();
    let full = kit.full();
    for (name, expected) in [
        ("frames/01-found.jpg", CheckId::Files),
        (MANIFEST, CheckId::Signature),
        (SIGNATURE, CheckId::Signature),
        (RECEIPT, CheckId::Receipt),
        ("META-INF/signature003.p7s", CheckId::Review),
        ("META-INF/review003.json", CheckId::Review),
    ] {
        let changed = flipped(full.get(name).unwrap());
        refused(name, &kit, &with(&full, name, Some(&changed)), expected);
    }
    let mut value = kit.sealed.signature.clone();
    *value.last_mut().unwrap() ^= 1;
    let manifest = &kit.sealed.manifest;
    let strangers = kit.folder("strangers");
    let strangers = TestPki::create(&strangers, DEVICE).unwrap();
    let stranger = evidence(&strangers.add_sm2(DEVICE).unwrap().device);
    let sign = |identity: &Identity, content: &[u8], form, years: i64| {
        let at = AT.shifted_ns(years * YEAR_NS);
        identity.sign(content, form, at).unwrap()
    };
    let device = &kit.evidence;
    let once = sign(device, b"signed once", Form::Detached, 0);
    // The attributes of another signature, changed to fit: openssl does not look at the value then.
    let unsigned = reshaped(&sign(device, manifest, Form::Detached, 0), |_, signer| {
        signer.signature = Data::read(&once).signer().signature;
    });
    let forged = [unsigned.as_slice(), &once].concat();
    let behind = [once.as_slice(), &unsigned].concat();
    let told = reshaped(&unsigned, |_, signer| {
        let text = "\n  900:d=5  hl=2 l=   0 cons: cont [ 0 ]";
        let text = Any::new(Tag::Utf8String, text.as_bytes()).unwrap();
        signer.signature_algorithm.parameters = Some(text);
    });
    for (what, p7s, expected) in [
        ("value", value, CheckId::Signature),
        ("a forgery before a genuine one", forged, CheckId::Signature),
        ("a genuine one before a forgery", behind, CheckId::Signature),
        ("attributes told in a parameter", told, CheckId::Signature),
        ("dressed up", dressed_up(&kit), CheckId::Signature),
        (
            "foreign root of the same name",
            sign(&stranger, manifest, Form::Detached, 0),
            CheckId::Chain,
        ),
        (
            "signed after the certificate's end",
            sign(device, manifest, Form::Detached, 56),
            CheckId::Chain,
        ),
        (
            "another package",
            sign(device, b"another manifest", Form::Detached, 0),
            CheckId::Signature,
        ),
        (
            "content inside",
            sign(device, manifest, Form::Attached, 0),
            CheckId::Signature,
        ),
    ] {
        refused(what, &kit, &signed_by(&kit, &p7s), expected);
    }
    // A receiver's certificate is for documents, but names no device.
    let p7s = sign(&kit.receiver, manifest, Form::Detached, 0);
    let verdict = verify(&signed_by(&kit, &p7s), &kit.roots);
    assert_eq!(verdict.failed().next(), Some(CheckId::Purpose));
    assert_eq!(kit.script(&signed_by(&kit, &p7s)).0, Some(1));
}

/// Some distributions leave SM2 out of their openssl: then nothing is known, and nothing is called
/// false.
#[test]
fn the_script_says_that_its_openssl_knows_no_sm2() {
    let kit = sm2_signers();
    let (case, without) = (kit.folder("case"), kit.folder("without"));
    put_all(&case, &kit.package);
    let mut script = verifying(&without, &case, &kit.root);
    let whole = std::fs::read_link(without.join("openssl")).unwrap();
    std::fs::remove_file(without.join("openssl")).unwrap();
    let whole = whole.display();
    let openssl = format!("#!/bin/bash\n[ \"$1\" = list ] || exec {whole} \"$@\"\n");
    put(&without, "openssl", openssl.as_bytes());
    set_mode(&without.join("openssl"), 0o755);
    let (code, said) = said_by(&mut script);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("knows no SM2"), "{said}");
}

/// An openssl that gives the signer id only to the certificate it is asked about needs to be
/// asked level by level.
#[test]
fn an_sm2_path_over_an_issuing_authority_is_followed_by_both_verifiers() {
    for (basic, valid) in [
        ("CA:TRUE", true),
        ("CA:FALSE", false),
        ("CA:TRUE extendedKeyUsage=1.3.6.1.5.5.7.3.36", true),
        ("CA:TRUE extendedKeyUsage=clientAuth", false),
    ] {
        let dir = TempDir::new().unwrap();
        let dir = dir.path();
        let extensions = (
            "basicConstraints=critical,CA:TRUE",
            format!("basicConstraints=critical,{basic}"),
            "extendedKeyUsage=1.3.6.1.5.5.7.3.36",
        );
        make_three_levels(dir, (extensions.0, &extensions.1, extensions.2), |_| ());
        let sealed = seal(&statement("LC-1"), &evidence(dir), soon()).unwrap();
        let package = assemble(&sealed);
        let verdict = verify(&package, &Roots::load(&dir.join("root.crt")).unwrap());
        assert_eq!(
            verdict.valid(),
            valid,
            "{}",
            verdict.page(Language::English)
        );
        put_all(&dir.join("case"), &package);
        let (code, said) = verify_sh(&dir.join("case"), &dir.join("root.crt"));
        assert_eq!(code, Some(i32::from(!valid)), "{said}");
    }
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

/// What is wrong with a signature, made at `at`, of the signer that [`make_three_levels`] makes.
fn three_levels(
    dir: &Path,
    extensions: (&str, &str, &str),
    at: Stamp,
    spoil: impl FnOnce(&SmCa),
) -> Option<SignatureError> {
    make_three_levels(dir, extensions, spoil);
    let p7s = evidence(dir).sign(b"content", Form::Detached, at);
    let roots = Roots::load(&dir.join("root.crt")).unwrap();
    check_detached(&p7s.unwrap(), b"content", &roots, Usage::Evidence).err()
}

/// Makes root, issuing CA and signer `LC-1`, whose file carries its chain; `spoil` may change the
/// files before.
fn make_three_levels(
    dir: &Path,
    (root, issuing, ee): (&str, &str, &str),
    spoil: impl FnOnce(&SmCa),
) {
    let ca = SmCa::new(dir, root);
    ca.ask("ca", "/CN=Issuing", issuing);
    ca.answer("root", Path::new("ca"));
    ca.ask("evidence", "/CN=x/serialNumber=LC-1", ee);
    ca.answer("ca", Path::new("evidence"));
    spoil(&ca);
    let mut chain = std::fs::read(dir.join("evidence.crt")).unwrap();
    chain.extend(std::fs::read(dir.join("ca.crt")).unwrap());
    put(dir, "evidence.crt", &chain);
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

//! What openssl says of our signatures, and we of openssl's.

use lingmou::pki::{TestPki, TestPkiPlan};
use lingmou::witness::{
    ChainFault, Form, Identity, MANIFEST, PurposeFault, RECEIPT, Roots, SIGNATURE, SignatureError,
    Usage, check_attached, check_detached,
};
use std::path::Path;
use tempfile::TempDir;

use super::{
    AT, AT_SECS, DAY_SECS, DEVICE, Kit, issue, make_key, openssl_sign, put, put_all, run, succeed,
};

#[test]
fn openssl_accepts_the_signature_and_refuses_a_changed_manifest() {
    let kit = Kit::new();
    let dir = kit.folder("package");
    put_all(&dir, &kit.package);
    let root = kit.pki.root();
    let command = format!(
        "openssl cms -verify -binary -inform DER -in {SIGNATURE} -content {MANIFEST} \
         -CAfile {} -purpose any -out out.bin",
        root.display()
    );
    for options in ["", "-cades"] {
        let text = succeed(&dir, &format!("{command} {options}"));
        assert!(text.contains("erification successful"), "{text}");
    }
    let signed = std::fs::read(dir.join("out.bin")).unwrap();
    assert_eq!(signed, kit.sealed.manifest);

    let mut changed = kit.sealed.manifest;
    changed[400] ^= 1;
    put(&dir, MANIFEST, &changed);
    assert!(!run(&dir, &command).status.success());
}

#[test]
fn openssl_sees_the_cades_attributes_in_der_order() {
    let kit = Kit::new();
    put(kit.dir.path(), "s.p7s", &kit.sealed.signature);
    let text = succeed(
        kit.dir.path(),
        "openssl cms -cmsout -print -inform DER -in s.p7s",
    );
    // X.690 section 11.6: sorted by their encodings, here by their lengths.
    let attributes = [
        "object: contentType",
        "object: signingTime",
        "object: messageDigest",
        "object: id-smime-aa-signingCertificateV2",
    ];
    let places = attributes.map(|attribute| text.find(attribute));
    assert!(places.iter().all(Option::is_some), "{text}");
    assert!(places.is_sorted(), "{places:?}\n{text}");
    assert!(text.contains("UTCTIME:Aug  1 02:03:04 2026 GMT"), "{text}");
    assert!(text.contains("algorithm: ecdsa-with-SHA256"), "{text}");
    assert!(text.contains("eContent: <ABSENT>"), "{text}");
}

#[test]
fn openssl_reads_the_receipt() {
    let kit = Kit::new();
    put(kit.dir.path(), "r.p7m", kit.package.get(RECEIPT).unwrap());
    let root = kit.pki.root();
    let text = succeed(
        kit.dir.path(),
        &format!(
            "openssl cms -verify -binary -inform DER -in r.p7m -CAfile {} -purpose any",
            root.display()
        ),
    );
    assert!(text.contains(&kit.sealed.sig_sha256()), "{text}");
}

#[test]
fn signatures_made_by_openssl_are_judged_alike() {
    let kit = Kit::new();
    let check = |name: &str, options: &str| {
        let p7s = openssl_sign(&kit.pki.device, name, b"content", options);
        check_detached(&p7s, b"content", &kit.roots, Usage::Evidence).map(|s| s.serial_number)
    };
    assert_eq!(check("evidence", "-cades"), Ok(Some(DEVICE.to_owned())));
    let keyid = check("evidence", "-cades -keyid");
    assert_eq!(keyid, Ok(Some(DEVICE.to_owned())));
    let transport = check("transport", "-cades");
    let expected = SignatureError::Purpose(PurposeFault::NotDocuments);
    assert_eq!(transport, Err(expected));
    for options in ["", "-cades -nodetach", "-cades -nocerts", "-noattr"] {
        let odd = check("evidence", options);
        assert!(
            matches!(odd, Err(SignatureError::Form(_))),
            "{options}: {odd:?}"
        );
    }
}

#[test]
fn a_chain_carried_in_our_signature_is_der_and_openssl_follows_it() {
    let dir = TempDir::new().unwrap();
    let extension = "basicConstraints=critical,CA:TRUE keyUsage=critical,keyCertSign";
    let roots = three_levels(dir.path(), "basicConstraints=critical,CA:TRUE", extension);
    succeed(dir.path(), "cp ee.crt evidence.crt");
    succeed(dir.path(), "cp ee.key evidence.key");
    let mut chain = std::fs::read(dir.path().join("ee.crt")).unwrap();
    chain.extend(std::fs::read(dir.path().join("ca.crt")).unwrap());
    put(dir.path(), "evidence.crt", &chain);
    let identity = Identity::load(dir.path(), "evidence").unwrap();
    let now = lingmou::clock::now();
    let p7s = identity.sign(b"content", Form::Detached, now).unwrap();
    check_detached(&p7s, b"content", &roots, Usage::Evidence).unwrap();
    put(dir.path(), "content", b"content");
    put(dir.path(), "ours.p7s", &p7s);
    succeed(
        dir.path(),
        "openssl cms -verify -binary -cades -inform DER -in ours.p7s -content content \
         -CAfile root.crt -purpose any -out out.bin",
    );
    // openssl writes DER: what it makes of ours must be the same bytes.
    succeed(
        dir.path(),
        "openssl cms -cmsout -inform DER -in ours.p7s -outform DER -out again.p7s",
    );
    assert_eq!(std::fs::read(dir.path().join("again.p7s")).unwrap(), p7s);
}

#[test]
fn roots_and_signers_on_other_algorithms_are_understood() {
    let kit = Kit::new();
    for kind in ["RSA 2048", "EC P-384", "EC P-256"] {
        let dir = TempDir::new().unwrap();
        let dir = dir.path();
        make_key(dir, kind, "ca.key");
        succeed(
            dir,
            "openssl req -x509 -new -key ca.key -subj /CN=Other -days 3650 \
             -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign \
             -out ca.crt",
        );
        make_key(dir, kind, "ee.key");
        succeed(
            dir,
            "openssl req -new -key ee.key -subj /CN=x/serialNumber=LC-1 -out ee.csr \
             -addext extendedKeyUsage=1.3.6.1.5.5.7.3.36",
        );
        issue(dir, "ca", "ee");
        let p7s = openssl_sign(dir, "ee", b"content", "-cades");
        let roots = Roots::load(&dir.join("ca.crt")).unwrap();
        let signer = check_detached(&p7s, b"content", &roots, Usage::Evidence).unwrap();
        assert_eq!(signer.serial_number.as_deref(), Some("LC-1"), "{kind}");
        let foreign = check_detached(&p7s, b"content", &kit.roots, Usage::Evidence);
        let expected = SignatureError::Chain(ChainFault::UnknownIssuer);
        assert_eq!(foreign, Err(expected), "{kind}");
    }
}

/// Makes `root`, `ca` below it and `ee` for evidence below that; extensions are separated by
/// spaces.
pub(super) fn three_levels(dir: &Path, root: &str, ca: &str) -> Roots {
    for name in ["root", "ca", "ee"] {
        make_key(dir, "EC P-256", &format!("{name}.key"));
    }
    let extensions = |list: &str| -> String {
        let one = |extension| format!(" -addext {extension}");
        list.split_whitespace().map(one).collect()
    };
    succeed(
        dir,
        &format!(
            "openssl req -x509 -new -key root.key -subj /CN=Root -days 3650 -out root.crt{}",
            extensions(root)
        ),
    );
    succeed(
        dir,
        &format!(
            "openssl req -new -key ca.key -subj /CN=Issuing -out ca.csr{}",
            extensions(ca)
        ),
    );
    issue(dir, "root", "ca");
    succeed(
        dir,
        "openssl req -new -key ee.key -subj /CN=x/serialNumber=LC-1 -out ee.csr \
         -addext extendedKeyUsage=1.3.6.1.5.5.7.3.36",
    );
    issue(dir, "ca", "ee");
    Roots::load(&dir.join("root.crt")).unwrap()
}

#[test]
fn an_issuing_ca_must_be_one_and_for_this() {
    const CA: &str = "basicConstraints=critical,CA:TRUE";
    let table = [
        (CA, CA.to_owned(), true),
        (CA, format!("{CA} keyUsage=critical,keyCertSign"), true),
        (
            CA,
            format!("{CA} extendedKeyUsage=1.3.6.1.5.5.7.3.36"),
            true,
        ),
        (CA, "basicConstraints=critical,CA:FALSE".to_owned(), false),
        (
            CA,
            format!("{CA} keyUsage=critical,digitalSignature"),
            false,
        ),
        (CA, format!("{CA} extendedKeyUsage=clientAuth"), false),
        (CA, format!("{CA} 1.2.3.4=critical,DER:0500"), false),
        (
            "basicConstraints=critical,CA:TRUE,pathlen:0",
            CA.to_owned(),
            false,
        ),
    ];
    for (root, ca, trusted) in table {
        let dir = TempDir::new().unwrap();
        let roots = three_levels(dir.path(), root, &ca);
        let p7s = openssl_sign(dir.path(), "ee", b"content", "-cades -certfile ca.crt");
        match check_detached(&p7s, b"content", &roots, Usage::Evidence) {
            Ok(_) => assert!(trusted, "{root} / {ca}"),
            Err(SignatureError::Chain(fault)) => assert!(!trusted, "{root} / {ca}: {fault}"),
            Err(other) => panic!("{root} / {ca}: {other}"),
        }
    }
}

#[test]
fn a_certificate_that_leads_nowhere_is_not_carried() {
    const CA: &str = "basicConstraints=critical,CA:TRUE";
    let dir = TempDir::new().unwrap();
    let dir = dir.path();
    let roots = three_levels(dir, CA, CA);
    let other = TestPki::create(&dir.join("other"), DEVICE).unwrap();
    let surplus = std::fs::read(other.device.join("evidence.crt")).unwrap();
    let read = |name: &str| std::fs::read(dir.join(name)).unwrap();
    put(dir, "surplus.pem", &[read("ca.crt"), surplus].concat());
    put(
        dir,
        "whole.pem",
        &[read("ca.crt"), read("root.crt")].concat(),
    );
    let both = Roots::from_pem(&read("whole.pem"), Path::new("whole.pem")).unwrap();
    let judged = |carried: &str, roots: &Roots| {
        let options = format!("-cades -certfile {carried}");
        let p7s = openssl_sign(dir, "ee", b"content", &options);
        check_detached(&p7s, b"content", roots, Usage::Evidence).err()
    };
    let surplus = Some(SignatureError::Chain(ChainFault::Surplus));
    assert_eq!(judged("surplus.pem", &roots), surplus);
    // The root itself, and an issuer that is trusted itself, say nothing that is not known.
    assert_eq!(judged("whole.pem", &roots), None);
    assert_eq!(judged("ca.crt", &both), None);

    // The box is told before it signs the first package, whatever its clock says.
    let own = |certificates: &[u8], roots: &Roots, at| {
        put(
            dir,
            "own.crt",
            &[read("ee.crt").as_slice(), certificates].concat(),
        );
        let own = (dir.join("ee.key"), dir.join("own.crt"));
        let identity = Identity::load_from(&own.0, &own.1, Usage::Evidence).unwrap();
        identity.check_chain(roots, at).err()
    };
    let years = |n: i64| AT.shifted_ns(n * 365 * 24 * 3600 * 1_000_000_000);
    for at in [AT, years(-30), years(60)] {
        assert_eq!(own(&read("ca.crt"), &roots, at), None);
        let fault = own(&read("surplus.pem"), &roots, at);
        assert_eq!(fault, Some(ChainFault::Surplus));
        let fault = own(&[], &roots, at);
        assert_eq!(fault, Some(ChainFault::UnknownIssuer));
    }
}

#[test]
fn the_chain_is_judged_at_the_time_of_signing() {
    const SECOND: i64 = 1_000_000_000;
    const DAY: i64 = 24 * 3600 * SECOND;
    let dir = TempDir::new().unwrap();
    let plan = TestPkiPlan {
        not_before: AT_SECS,
        not_after: AT_SECS + DAY_SECS,
    };
    let pki = TestPki::create_planned(dir.path(), DEVICE, plan).unwrap();
    let identity = Identity::load(&pki.device, "evidence").unwrap();
    let roots = Roots::load(&pki.root()).unwrap();
    let table = [
        (-SECOND, Some(ChainFault::NotYetValid)),
        (0, None),
        (DAY, None),
        (DAY + SECOND, Some(ChainFault::Expired)),
    ];
    for (shift, fault) in table {
        let at = AT.shifted_ns(shift);
        let p7s = identity.sign(b"content", Form::Detached, at).unwrap();
        let found = check_detached(&p7s, b"content", &roots, Usage::Evidence).err();
        assert_eq!(found, fault.clone().map(SignatureError::Chain), "{shift}");
        assert_eq!(
            identity.check_validity(at).is_err(),
            fault.is_some(),
            "{shift}"
        );
    }
}

#[test]
fn a_role_cannot_be_played_by_another() {
    let kit = Kit::new();
    let (operator, reviewer) = (&["view", "operate", "admin"][..], &["reviewer"][..]);
    let [viewer, operating, admin] = &kit.pki.operators;
    let roles = [
        (Usage::Evidence, &kit.pki.device, "evidence", &[][..]),
        (
            Usage::Receiver,
            &kit.pki.receiver,
            "receiver",
            &["receiver"][..],
        ),
        (Usage::Operator, viewer, "operator", operator),
        (Usage::Operator, operating, "operator", operator),
        (Usage::Operator, admin, "operator", operator),
        (Usage::Reviewer, &kit.pki.reviewers[0], "reviewer", reviewer),
        (Usage::Reviewer, &kit.pki.reviewers[1], "reviewer", reviewer),
    ];
    for (own, dir, name, _) in roles {
        let identity = Identity::load(dir, name).unwrap();
        let p7m = identity.sign(b"{}", Form::Attached, AT).unwrap();
        for (asked, _, role, units) in roles {
            let expected = match asked {
                _ if asked == own => None,
                Usage::Evidence => Some(SignatureError::Purpose(PurposeFault::NoDevice)),
                _ => Some(SignatureError::Purpose(PurposeFault::Role(units))),
            };
            let fault = check_attached(&p7m, &kit.roots, asked).err();
            assert_eq!(fault, expected, "{name} as {role}");
        }
    }
    let names = kit.pki.reviewers.each_ref().map(|dir| {
        let identity = Identity::load(dir, "reviewer").unwrap();
        identity.common_name()
    });
    assert_eq!(names, ["reviewer-1", "reviewer-2"]);
}

#[test]
fn the_brokers_and_time_stampers_certificates_work() {
    let kit = Kit::new();
    let dir = kit.dir.path();
    for name in ["-verify_ip 127.0.0.1", "-verify_hostname localhost"] {
        succeed(
            dir,
            &format!(
                "openssl verify -CAfile ca/root.crt -purpose sslserver {name} broker/server.crt"
            ),
        );
    }
    succeed(
        dir,
        "openssl verify -CAfile ca/root.crt -purpose sslclient device/transport.crt",
    );
    succeed(
        dir,
        "openssl verify -CAfile ca/root.crt -x509_strict device/evidence.crt",
    );

    put(dir, "data", b"stamp me");
    succeed(dir, "openssl ts -query -data data -sha256 -cert -out q");
    succeed(
        dir,
        "openssl ts -reply -config tsa/tsa.cnf -queryfile q -out r",
    );
    let text = succeed(
        dir,
        "openssl ts -verify -data data -in r -CAfile ca/root.crt",
    );
    assert!(text.contains("Verification: OK"), "{text}");
}

#[test]
fn the_commands_in_the_public_page_work_as_printed() {
    let kit = Kit::new();
    let dir = kit.folder("page");
    put(&dir, "check.sh", super::script("package").as_bytes());
    std::fs::copy(kit.pki.root(), dir.join("root.crt")).unwrap();
    put(&dir, "case.asice", &kit.zip);
    // Later releases of OpenSSL print names without blanks.
    let text = succeed(&dir, "sh -e check.sh").replace(" = ", "=");
    let listed = 1 + super::files().len();
    assert_eq!(text.matches("same ").count(), listed, "{text}");
    assert!(!text.contains("CHANGED"), "{text}");
    let signature = kit.sealed.sig_sha256();
    for (part, times) in [
        ("erification successful", 2),
        ("serialNumber=LC-POLE-0007", 1),
        ("1.3.6.1.5.5.7.3.36", 1),
        (signature.as_str(), 2),
    ] {
        assert_eq!(text.matches(part).count(), times, "{part}: {text}");
    }

    std::fs::remove_dir_all(dir.join("case")).unwrap();
    put(&dir, "case.asice", &kit.full().to_zip());
    succeed(&dir, "sh -e check.sh");
    put(
        &dir.join("case"),
        "more.sh",
        super::script("reviews").as_bytes(),
    );
    let text = succeed(&dir.join("case"), "sh -e more.sh").replace(" = ", "=");
    for part in [
        "erification successful",
        "OU=reviewer",
        "\"verdict\": \"accept\"",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }

    std::fs::remove_dir_all(dir.join("case")).unwrap();
    let changed = kit.with("detections.jsonl", Some(b"{\"more\":1}\n"));
    put(&dir, "case.asice", &changed.to_zip());
    let text = succeed(&dir, "sh -e check.sh");
    assert!(
        text.contains("CHANGED detections.jsonl"),
        "the last one, too: {text}"
    );
}

/// Staff numbers are serialNumbers too: whoever reviews or receives must not make evidence.
#[test]
fn a_person_s_certificate_with_a_serial_number_is_no_device_s() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path();
    make_key(dir, "EC P-256", "ca.key");
    make_key(dir, "EC P-256", "ee.key");
    succeed(
        dir,
        "openssl req -x509 -new -key ca.key -subj /CN=Root -days 3650 -out ca.crt \
         -addext basicConstraints=critical,CA:TRUE",
    );
    let roots = Roots::load(&dir.join("ca.crt")).unwrap();
    for (units, role) in [
        ("/OU=reviewer", Some("reviewer")),
        ("/OU=receiver", Some("receiver")),
        ("/OU=view", Some("view")),
        ("/OU=operate", Some("operate")),
        ("/OU=admin", Some("admin")),
        ("/OU=poles/OU=reviewer", Some("reviewer")),
        ("/OU=poles", None),
        ("", None),
    ] {
        succeed(
            dir,
            &format!(
                "openssl req -new -key ee.key -subj {units}/CN=x/serialNumber=LC-1 -out ee.csr \
                 -addext extendedKeyUsage=1.3.6.1.5.5.7.3.36"
            ),
        );
        issue(dir, "ca", "ee");
        let p7s = openssl_sign(dir, "ee", b"content", "-cades");
        let found = check_detached(&p7s, b"content", &roots, Usage::Evidence).err();
        let fault = role.map(|role| SignatureError::Purpose(PurposeFault::NotDevice(role)));
        assert_eq!(found, fault, "{units}");
    }
}

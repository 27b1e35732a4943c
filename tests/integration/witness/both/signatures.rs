//! The device's signature: by somebody else, too late, or with words in it that nobody signed.

use std::path::Path;

use const_oid::db::rfc5912;
use der::{Any, Decode as _, Tag, TagNumber};
use lingmou::pki::{TestPki, TestPkiPlan};
use lingmou::witness::Roots;
use tempfile::TempDir;

use super::super::sm2::reshaped;
use super::super::{AT_SECS, DAY_SECS, put_all, verifying};
use super::*;

#[test]
fn somebody_else_s_signature() {
    let kit = Kit::new();
    let manifest = &kit.sealed.manifest;
    let dir = TempDir::new().unwrap();
    let foreign = TestPki::create(dir.path(), DEVICE).unwrap();
    let sign = |dir: &std::path::Path, name| {
        let identity = Identity::load(dir, name).unwrap();
        identity.sign(manifest, Form::Detached, AT).unwrap()
    };
    let other_device = kit.pki.add_device("LC-POLE-0008").unwrap();
    let tls = openssl_sign(&kit.pki.device, "transport", manifest, "-cades");
    let attached = kit.evidence.sign(manifest, Form::Attached, AT).unwrap();
    for (what, p7s, expected) in [
        (
            "foreign root",
            sign(&foreign.device, "evidence"),
            CheckId::Chain,
        ),
        ("TLS certificate", tls, CheckId::Purpose),
        (
            "other device",
            sign(&other_device, "evidence"),
            CheckId::Device,
        ),
        ("content inside", attached, CheckId::Signature),
    ] {
        refused(what, &kit, &signed_by(&kit, &p7s), expected);
    }
    // A receiver's certificate is for documents, but names no device.
    let p7s = sign(&kit.pki.receiver, "receiver");
    let verdict = verify(&signed_by(&kit, &p7s), &kit.roots);
    assert_eq!(verdict.failed().next(), Some(CheckId::Purpose));
    assert_eq!(kit.script(&signed_by(&kit, &p7s)).0, Some(1));
    let by_device = receipt(&kit.sealed).sign(&kit.evidence, AT).unwrap();
    let package = kit.with(RECEIPT, Some(&by_device));
    refused("the device's own receipt", &kit, &package, CheckId::Receipt);
}

/// openssl prints a signature as text, and what nobody signed in it can look like anything.
#[test]
fn what_nobody_signed_in_a_signature_tells_nobody_anything() {
    let kit = Kit::new();
    let genuine = &kit.sealed.signature;
    let text = "\n    signerInfos:\n : signingTime\n UTCTIME:Aug  1 00:00:00 2026 GMT\n \
                unsignedAttrs:\n <ABSENT>\n crls:\n <ABSENT>\n";
    let text = || Some(Any::new(Tag::Utf8String, text.as_bytes()).unwrap());
    let of_digest = reshaped(genuine, |data, signer| {
        signer.digest_alg.parameters = text();
        let told = Any::encode_from(&signer.digest_alg).unwrap();
        data.digest_algorithms = vec![told].try_into().unwrap();
    });
    let of_value = reshaped(genuine, |_, signer| {
        signer.signature_algorithm.parameters = text();
    });
    let of_another = reshaped(genuine, |_, signer| {
        signer.signature_algorithm.oid = rfc5912::ECDSA_WITH_SHA_384;
    });
    // The outermost length in one byte more than it takes: BER, and no DER.
    let length = genuine.len() - 4;
    let [high, low] = u16::try_from(length).unwrap().to_be_bytes();
    let ber = [&[0x30, 0x83, 0, high, low], &genuine[4..]].concat();
    for (what, p7s) in [
        ("the digest's parameters", of_digest),
        ("the signature's parameters", of_value),
        ("another digest named with the key", of_another),
        ("twice", genuine.repeat(2)),
        ("a byte behind", [genuine.as_slice(), b"\n"].concat()),
        ("a longer length", ber),
    ] {
        refused(what, &kit, &signed_by(&kit, &p7s), CheckId::Signature);
    }
}

/// Certificates are nobody's to add: a package is named by the hash of its signature.
#[test]
fn a_certificate_that_leads_nowhere() {
    let kit = Kit::new();
    let foreign = TestPki::create(&kit.folder("foreign"), DEVICE).unwrap();
    let other_device = kit.pki.add_device("LC-POLE-0008").unwrap();
    let der = |dir: &Path, name: &str| {
        succeed(
            dir,
            &format!("openssl x509 -in {name} -outform DER -out it.der"),
        );
        Any::from_der(&std::fs::read(dir.join("it.der")).unwrap()).unwrap()
    };
    let other_format = Tag::ContextSpecific {
        constructed: true,
        number: TagNumber::N3,
    };
    let content = der(&other_device, "evidence.crt").value().to_vec();
    for (what, extra, expected) in [
        (
            "a foreign root",
            der(foreign.root().parent().unwrap(), "root.crt"),
            CheckId::Chain,
        ),
        (
            "another device's",
            der(&other_device, "evidence.crt"),
            CheckId::Chain,
        ),
        (
            "of another format",
            Any::new(other_format, content).unwrap(),
            CheckId::Signature,
        ),
    ] {
        let p7s = reshaped(&kit.sealed.signature, |data, _| {
            let certificates = data.certificates.as_mut().unwrap();
            certificates.insert(extra).unwrap();
        });
        refused(what, &kit, &signed_by(&kit, &p7s), expected);
    }
    let root = der(kit.root.parent().unwrap(), "root.crt");
    let p7s = reshaped(&kit.sealed.signature, |data, _| {
        data.certificates.as_mut().unwrap().insert(root).unwrap();
    });
    accepted("the trusted root", &kit, &signed_by(&kit, &p7s));
}

/// openssl trusts what is installed on the machine as well, unless it is told not to.
#[test]
fn a_root_of_the_machine_is_none_of_the_bureau_s() {
    let kit = Kit::new();
    let machine = kit.folder("machine");
    let foreign = TestPki::create(&kit.folder("foreign"), DEVICE).unwrap();
    std::fs::copy(foreign.root(), machine.join("public.crt")).unwrap();
    succeed(&machine, "openssl rehash .");
    let thief = Identity::load(&foreign.device, "evidence").unwrap();
    let p7s = thief.sign(&kit.sealed.manifest, Form::Detached, lingmou::clock::now());
    let case = kit.folder("case");
    put_all(&case, &signed_by(&kit, &p7s.unwrap()));
    let judged = |root: &Path| {
        let programs = TempDir::new().unwrap();
        let mut script = verifying(programs.path(), &case, root);
        said_by(script.env("SSL_CERT_DIR", &machine))
    };
    let (code, said) = judged(&kit.root);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(line(CheckId::Chain)), "{said}");
    let (code, said) = judged(&foreign.root());
    assert_eq!(code, Some(0), "it is good where that root is given: {said}");
}

/// Why a box signs nothing after its certificate's end: nobody takes it.
#[test]
fn what_was_sealed_after_the_certificate_s_end() {
    let dir = TempDir::new().unwrap();
    // openssl does not count the last second itself.
    for (not_after, valid) in [(AT_SECS + 1, true), (AT_SECS - 1, false)] {
        let plan = TestPkiPlan {
            not_before: AT_SECS - 9_000 * DAY_SECS,
            not_after,
        };
        let folder = dir.path().join(valid.to_string());
        let pki = TestPki::create_planned(&folder, DEVICE, plan).unwrap();
        let identity = Identity::load(&pki.device, "evidence").unwrap();
        let package = assemble(&seal(&statement(DEVICE), &identity, AT).unwrap());
        let verdict = verify(&package, &Roots::load(&pki.root()).unwrap());
        let failed: Vec<_> = verdict.failed().collect();
        let expected: &[CheckId] = if valid { &[] } else { &[CheckId::Chain] };
        assert_eq!(failed, expected, "{}", verdict.page(Language::English));
        put_all(&folder.join("case"), &package);
        let (code, said) = verify_sh(&folder.join("case"), &pki.root());
        assert_eq!(code, Some(i32::from(!valid)), "{said}");
        assert_eq!(said.contains(line(CheckId::Chain)), !valid, "{said}");
    }
}

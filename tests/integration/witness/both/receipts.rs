//! The receiver's receipt, and the lines of the journal that it closes.

use std::process::Command;

use super::super::{issue, journal_lines, make_key};
use super::*;

#[test]
fn a_line_without_its_end_is_a_line_of_the_journal_too() {
    let kit = Kit::new();
    // No stamp covers it yet.
    let mut chain = kit.full().get(CHAIN).unwrap().to_vec();
    accepted("as it is", &kit, &with(&kit.package, CHAIN, Some(&chain)));
    chain.extend(b"{\"n\":99,\"kind\":\"clock.corrected\"}");
    let longer = with(&kit.package, CHAIN, Some(&chain));
    refused("one line more", &kit, &longer, CheckId::Journal);
}

/// `receiver test` with the name `x` is not `receiver` with the name `test x`.
#[test]
fn a_role_is_told_from_a_name_that_goes_on_like_it() {
    let kit = Kit::new();
    let dir = kit.folder("trainee");
    for kind in ["crt", "key"] {
        std::fs::copy(
            kit.root.with_extension(kind),
            dir.join(format!("ca.{kind}")),
        )
        .unwrap();
    }
    make_key(&dir, "EC P-256", "ee.key");
    put(&dir, "receipt.p7m", kit.package.get(RECEIPT).unwrap());
    let read = "openssl cms -verify -noverify -inform DER -in receipt.p7m -out receipt.json";
    succeed(&dir, read);
    let receipt = std::fs::read_to_string(dir.join("receipt.json")).unwrap();
    for (subject, told, is_receiver) in [
        ("/OU=receiver test/CN=x", "test x", false),
        ("/OU=receiver/CN=test x", "test x", true),
        (
            r#"/OU=receiver/CN=Room 2, "x" \\ {y}"#,
            r#"Room 2, \"x\" \\ {y}"#,
            true,
        ),
        ("/OU=receiver/CN=Room 2, x", "Room 2", false),
        ("/OU=receiver/CN=Room 2 \\+ x", "Room 2 + x", true),
        ("/OU=receiver+CN=test x", "test x", false),
    ] {
        let receipt = receipt.replace("evidence-receiver-1", told);
        let ask = "req -new -key ee.key -out ee.csr -addext extendedKeyUsage=1.3.6.1.5.5.7.3.36";
        let mut openssl = Command::new("openssl");
        openssl
            .args(ask.split(' '))
            .args(["-multivalue-rdn", "-subj", subject]);
        let (code, said) = said_by(openssl.current_dir(&dir));
        assert_eq!(code, Some(0), "{said}");
        issue(&dir, "ca", "ee");
        let p7m = openssl_sign(&dir, "ee", receipt.as_bytes(), "-cades -nodetach");
        let package = with(&kit.package, RECEIPT, Some(&p7m));
        if is_receiver {
            accepted(subject, &kit, &package);
        } else {
            refused(subject, &kit, &package, CheckId::Receipt);
        }
    }
}

#[test]
fn journal_lines_missing_changed_or_of_another_package() {
    let kit = Kit::new();
    let full = kit.full();
    let lines = journal_lines(&kit.sealed.sig_sha256());
    let (first, second) = lines.split_once('\n').unwrap();
    for (what, chain) in [
        ("gap", second.to_owned()),
        ("cut", format!("{first}\n")),
        ("changed", lines.replace("02:04:00", "02:04:01")),
        ("other package", journal_lines(&"ab".repeat(32))),
        ("reordered", format!("{second}{first}\n")),
        ("doubled", format!("{first}\n{lines}")),
    ] {
        let package = with(&full, CHAIN, Some(chain.as_bytes()));
        refused(what, &kit, &package, CheckId::Journal);
    }
}

#[test]
fn a_receipt_for_anything_else() {
    let kit = Kit::new();
    let change = |edit: fn(&mut Receipt)| {
        let mut receipt = receipt(&kit.sealed);
        edit(&mut receipt);
        receipt.sign(&kit.receiver, AT).unwrap()
    };
    for (what, p7m) in [
        ("a number left out", change(|r| r.seq += 1)),
        ("device", change(|r| r.device = "LC-POLE-0008".to_owned())),
        ("signature", change(|r| r.sig_sha256 = "00".repeat(32))),
        ("case", change(|r| r.id = case(2))),
        (
            "receiver",
            change(|r| r.receiver = "evidence-receiver-2".to_owned()),
        ),
        ("version", change(|r| r.v = 2)),
        ("kind", change(|r| r.kind = "lingmou.command".to_owned())),
    ] {
        let package = kit.with(RECEIPT, Some(&p7m));
        refused(what, &kit, &package, CheckId::Receipt);
    }
}

/// The later receipt is opened whether or not the first is there.
#[test]
fn a_later_receipt_alone_must_be_one() {
    let kit = Kit::new();
    let sealed = assemble(&kit.sealed);
    let later = |p7m: &[u8]| with(&sealed, LATER_RECEIPT, Some(p7m));
    refused("garbage", &kit, &later(b"x"), CheckId::Receipt);
    let mut other = receipt(&kit.sealed);
    other.seq += 1;
    let other = other.sign(&kit.receiver, AT).unwrap();
    refused("another's", &kit, &later(&other), CheckId::Receipt);
    let good = receipt(&kit.sealed).sign(&kit.receiver, AT).unwrap();
    accepted("a good one", &kit, &later(&good));
    let verdict = verify(&later(&good), &kit.roots);
    assert_eq!(verdict.check(CheckId::Nothing).unwrap().findings, []);
}

/// Without a receipt nobody has signed where the journal goes on to.
#[test]
fn journal_lines_without_a_receipt_are_told_as_such() {
    let kit = Kit::new();
    let lines = journal_lines(&kit.sealed.sig_sha256());
    let package = with(&assemble(&kit.sealed), CHAIN, Some(lines.as_bytes()));
    accepted("lines", &kit, &package);
    let (_, said) = kit.script(&package);
    assert!(said.contains("nobody has signed its end"), "{said}");
    let (begin, rest) = lines.split_once("\"at\"").unwrap();
    let elsewhere = lines.replacen("\"n\":3", "\"n\":2", 1);
    let sealed = lines.lines().next().unwrap();
    let (begin_of_sealed, body) = sealed.split_once("\"body\":{").unwrap();
    let name = body.split_once(',').unwrap().0;
    let with_body = |body: &str| format!("{begin_of_sealed}\"body\":{body}}}\n");
    let longest = format!("{{{name},\"a\":\"{}\"}}", "x".repeat(8 << 20));
    for (what, lines) in [
        (
            "words that look like a line",
            format!("{begin}no line \"at\"{rest}"),
        ),
        (
            "lines from elsewhere",
            elsewhere.lines().next().unwrap().to_owned() + "\n",
        ),
        ("its last newline is gone", lines.trim_end().to_owned()),
        (
            "named within something else",
            with_body(&format!("{{\"a\":{{{name}}}}}")),
        ),
        (
            "named, and then another",
            with_body(&format!("{{{name},\"sig_sha256\":\"ab\"}}")),
        ),
        (
            "a bracket without its other",
            lines.replacen(",[],{}]", ",[],{}]]", 1),
        ),
        (
            "a word that is none",
            lines.replacen("\"why\":null", "\"why\":nul", 1),
        ),
        (
            "a number that none is",
            lines.replacen("-1.5e-7", "-01.5e-7", 1),
        ),
        (
            "200 brackets",
            lines.replacen(
                "[],{}",
                &format!("{}{}", "[".repeat(200), "]".repeat(200)),
                1,
            ),
        ),
        ("more than 8 MiB", with_body(&longest)),
        (
            "a byte that no text has",
            lines.replacen("\"at\"", "\"at\0\"", 1),
        ),
    ] {
        let package = with(&package, CHAIN, Some(lines.as_bytes()));
        refused(what, &kit, &package, CheckId::Journal);
    }
}

//! Packages without what a box removes after the receipt.

use lingmou::witness::{ReceiptVerdict, sha256_hex};

use super::statements::{graded, resealed};
use super::*;

/// `package` without what a box removes after the receipt.
fn stripped(package: &Container) -> Container {
    let mut left = Container::new();
    let head = |name: &str| [MIMETYPE, STATEMENT].contains(&name) || name.starts_with("META");
    for (name, bytes) in package.files().filter(|(name, _)| head(name)) {
        left.insert(name, bytes.to_vec()).unwrap();
    }
    left
}

/// The packages of a box whose receipts have come, and of whoever takes the same out of one.
#[test]
fn a_package_without_its_pictures_is_not_checked_and_never_valid() {
    let kit = Kit::new();
    let full = kit.full();
    let pruned = stripped(&full);
    for package in [&pruned, &stripped(&kit.package)] {
        let verdict = verify(package, &kit.roots);
        assert!(!verdict.valid() && verdict.undecided());
        assert_eq!(verdict.failed().count(), 0);
        for (language, headline, has_it) in [
            (
                Language::English,
                "NOT CHECKED",
                "the receiver has the package whole",
            ),
            (Language::Chinese, "未能核验", "接收端存有完整证据包"),
        ] {
            let page = verdict.page(language).replace("\n    ", "");
            let flat: String = page.split_whitespace().collect();
            let has_it: String = has_it.split_whitespace().collect();
            assert!(page.contains(headline) && flat.contains(&has_it), "{page}");
            let report = verdict.report(Some(package), language, AT);
            assert!(
                report.contains(headline) && !report.contains("<img"),
                "{report}"
            );
        }
        let (code, said) = kit.script(package);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("are not here"), "{said}");
    }
    // Nobody has signed that he has it; something is left; and what is left was changed.
    refused(
        "no receipt",
        &kit,
        &stripped(&assemble(&kit.sealed)),
        CheckId::Files,
    );
    let mut refusal = receipt(&kit.sealed);
    refusal.verdict = ReceiptVerdict::Refused;
    let refusal = refusal.sign(&kit.receiver, AT).unwrap();
    let refusal = with(&stripped(&kit.package), RECEIPT, Some(&refusal));
    refused("refused", &kit, &refusal, CheckId::Files);
    let left = with(&pruned, "clip.mp4", full.get("clip.mp4"));
    refused("the clip is left", &kit, &left, CheckId::Files);
    refused(
        "no clip",
        &kit,
        &with(&full, "clip.mp4", None),
        CheckId::Files,
    );
    for name in [STATEMENT, MANIFEST, SIGNATURE, RECEIPT, CHAIN] {
        let changed = with(&pruned, name, Some(&flipped(pruned.get(name).unwrap())));
        assert!(!verify(&changed, &kit.roots).undecided(), "{name}");
        refused(name, &kit, &changed, guard(name, false));
    }
}

#[test]
fn a_package_without_its_pictures_and_without_a_word_for_them() {
    let kit = Kit::new();
    let shorn = stripped(&kit.package);
    // A receipt that says nothing vouches for no picture, and what comes after it is looked at all the same.
    let told_by = |package: &Container| {
        let (code, said) = kit.script(package);
        assert!(code == Some(1) && said.ends_with("NOT VALID\n"), "{said}");
        said
    };
    let no_receipt = with(&shorn, RECEIPT, Some(b"no receipt"));
    refused("no receipt", &kit, &no_receipt, CheckId::Receipt);
    refused("no receipt", &kit, &no_receipt, CheckId::Files);
    let said = told_by(&no_receipt);
    assert!(said.contains("or stored by the receiver"), "{said}");
    assert!(said.contains("no file outside the signatures"), "{said}");
    let later = with(&no_receipt, LATER_RECEIPT, shorn.get(RECEIPT));
    let said = told_by(&later);
    assert!(
        said.contains("FAIL  every listed file"),
        "a later one: {said}"
    );
    // Only what the device listed may be gone.
    let never = with(&kit.package, "frames/99-never.jpg", Some(&[1]));
    let manifest = Manifest {
        signature: SigReference::time_stamp(1),
        entries: [SIGNATURE, "frames/99-never.jpg"]
            .map(|name| covered(&never, name))
            .to_vec(),
    };
    let awaited = with(&shorn, MANIFEST_2, Some(&manifest.to_xml().unwrap()));
    refused("never was", &kit, &awaited, CheckId::Stamp);
}

/// What a device signs of files that are gone is held against its list as before.
#[test]
fn a_package_without_its_pictures_that_contradicts_itself() {
    let kit = Kit::new();
    let pruned = |sealed: &Sealed| {
        let mut left = Container::new();
        for (name, bytes) in sealed.parts() {
            left.insert(name, bytes.to_vec()).unwrap();
        }
        let p7m = receipt(sealed).sign(&kit.receiver, AT).unwrap();
        left.insert(RECEIPT, p7m).unwrap();
        left
    };
    let (code, said) = kit.script(&pruned(&kit.sealed));
    assert_eq!(code, Some(2), "{said}");
    let ok = "  ok    statement agrees with the list and with itself";
    assert!(said.contains(ok), "{said}");
    let statement = String::from_utf8(kit.sealed.statement.clone()).unwrap();
    let hash = sha256_hex(&[0xda; 302]);
    for (what, old, new) in [
        ("type", "\"video/mp4\"", "\"video/webm\""),
        ("name", "02-warned.jpg", "02-again.jpg"),
        ("digest", hash.as_str(), "ab".repeat(32).as_str()),
        (
            "time",
            "\"first_seen\": \"2026",
            "\"first_seen\": \"late 2026",
        ),
    ] {
        assert!(statement.contains(old), "{what}");
        let sealed = resealed(&kit, &statement.replacen(old, new, 1));
        refused(what, &kit, &pruned(&sealed), CheckId::Statement);
    }
    let wrong = graded(Grade::Evidence, false);
    let wrong = seal(&wrong, &kit.evidence, AT).unwrap();
    refused("grade", &kit, &pruned(&wrong), CheckId::Grade);
}

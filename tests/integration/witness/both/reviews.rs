//! Reviews, as other people's tools write them too.

use super::*;

/// A package with the review `document`, signed by whoever has `keys`.
fn reviewed(kit: &Kit, document: &str) -> Container {
    let identity = Identity::load(&kit.pki.reviewers[0], "reviewer").unwrap();
    let mut package = with(&kit.package, REVIEW_3, Some(document.as_bytes()));
    let manifest = Manifest {
        signature: SigReference::signature(3),
        entries: [SIGNATURE, REVIEW_3]
            .map(|name| covered(&package, name))
            .to_vec(),
    };
    let manifest = manifest.to_xml().unwrap();
    let signature = identity.sign(&manifest, Form::Detached, AT).unwrap();
    package
        .insert("META-INF/ASiCManifest003.xml", manifest)
        .unwrap();
    package
        .insert("META-INF/signature003.p7s", signature)
        .unwrap();
    package
}

/// Other people's tools write reviews too: both verifiers read the same in each, or refuse it.
#[test]
fn reviews_that_other_tools_write() {
    let kit = Kit::new();
    let sig = kit.sealed.sig_sha256();
    let good = format!(
        "{{\"v\":1,\"type\":\"lingmou.review\",\"id\":\"{}\",\"sig_sha256\":\"{sig}\",\
         \"verdict\":\"reject\",\"reason\":\"the wrong \\\"stall\\\" 王\",\
         \"reviewer\":\"reviewer-1\",\"at\":\"2026-08-01T02:03:04Z\"}}",
        case(1)
    );
    let spaced = good.replace("\":", "\" : ").replace(',', " ,\n  ");
    let noted = good.replace("\"verdict\"", "\"desk\":{\"room\":12},\"verdict\"");
    for (what, document) in [("plain", &good), ("spaced", &spaced), ("with more", &noted)] {
        let package = reviewed(&kit, document);
        accepted(what, &kit, &package);
        let (_, said) = kit.script(&package);
        assert!(
            said.contains("reject by reviewer-1, 2026-08-01T02:03:04Z"),
            "{said}"
        );
        let page = verify(&package, &kit.roots).page(Language::English);
        assert!(page.contains("REJECTED by reviewer-1"), "{page}");
    }
    let earlier =
        "\"earlier\":{\"verdict\":\"accept\",\"at\":\"2026-07-01T00:00:00Z\"},\"verdict\"";
    for (what, from, to) in [
        ("the journal's word", "\"reject\"", "\"rejected\""),
        (
            "a time in words",
            "2026-08-01T02:03:04Z",
            "1 August, in the morning",
        ),
        ("a day that is none", "2026-08-01T", "2026-02-30T"),
        ("a time of another zone", "02:03:04Z", "10:03:04+08:00"),
        ("words behind", "04Z\"}", "04Z\"} <-- but accept it"),
        ("two verdicts", "04Z\"}", "04Z\",\"verdict\":\"accept\"}"),
        ("an earlier verdict", "\"verdict\"", earlier),
        ("a list", "\"verdict\"", "\"seen\":[1],\"verdict\""),
        ("escaped", "王", "\\u738b"),
        ("a version in quotes", "\"v\":1", "\"v\":\"1\""),
        ("no reason", "\"reason\"", "\"because\""),
        ("a newline in a word", "wrong ", "wrong\n"),
        ("a byte that no text has", "wrong ", "wrong\0"),
    ] {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good, "{what}");
        refused(what, &kit, &reviewed(&kit, &changed), CheckId::Review);
    }
}

/// What anybody can add beside the signatures keeps nobody from adding a review.
#[test]
fn a_receipt_of_nobody_keeps_no_reviewer_out() {
    let kit = Kit::new();
    let mut package = kit.package.clone();
    package.insert("META-INF/receipt999.p7m", vec![1]).unwrap();
    accepted("a receipt of nobody", &kit, &package);
    add_review(&mut package, &kit.pki.reviewers[0], ReviewVerdict::Reject);
    accepted("and a review", &kit, &package);
}

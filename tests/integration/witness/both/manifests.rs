//! Manifests: an entry changed or left out, and what only looks like one.

use super::*;

#[test]
fn any_entry_of_any_manifest() {
    let kit = Kit::new();
    let full = kit.full();
    for (name, expected) in [
        (MANIFEST, CheckId::Signature),
        (MANIFEST_2, CheckId::Stamp),
        (MANIFEST_4, CheckId::Review),
    ] {
        let manifest = Manifest::parse(full.get(name).unwrap()).unwrap();
        for index in 0..manifest.entries.len() {
            let mut digest = manifest.clone();
            digest.entries[index].sha256[31] ^= 1;
            let mut fewer = manifest.clone();
            fewer.entries.remove(index);
            for (what, changed) in [("digest", digest), ("less", fewer)] {
                let what = format!("{name} entry {index}: {what}");
                let package = with(&full, name, Some(&changed.to_xml().unwrap()));
                refused(&what, &kit, &package, expected);
            }
        }
    }
}

#[test]
fn a_manifest_that_names_two_signatures_covers_nothing() {
    let kit = Kit::new();
    let mut full = kit.full();
    let manifest = Manifest {
        signature: SigReference::time_stamp(5),
        entries: vec![covered(&full, SIGNATURE)],
    };
    let manifest = String::from_utf8(manifest.to_xml().unwrap()).unwrap();
    let forged = "<asic:SigReference URI=\"frames/99-forged.jpg\" MimeType=\"x/y\"/>";
    let (before, after) = manifest.split_once("<asic:SigReference").unwrap();
    let manifest = format!("{before}{forged}<asic:SigReference{after}");
    full.insert("frames/99-forged.jpg", vec![1]).unwrap();
    full.insert("META-INF/ASiCManifest005.xml", manifest.into_bytes())
        .unwrap();
    refused("two signatures", &kit, &full, CheckId::Nothing);
}

/// A manifest that only looks like one to whoever searches it for words.
#[test]
fn a_manifest_that_is_no_xml() {
    let kit = Kit::new();
    let listed = covered(&kit.package, SIGNATURE);
    let xml = Manifest {
        signature: SigReference::time_stamp(9),
        entries: vec![listed],
    };
    let xml = String::from_utf8(xml.to_xml().unwrap()).unwrap();
    let name = "META-INF/ASiCManifest005.xml";
    accepted(
        "one that awaits its stamp",
        &kit,
        &with(&kit.package, name, Some(xml.as_bytes())),
    );
    for (what, changed) in [
        ("words before", format!("it was another stall {xml}")),
        (
            "words within",
            xml.replace("<asic:DataObj", "another stall <asic:DataObj"),
        ),
        (
            "a second name",
            xml.replace("MimeType=\"app", "URI=\"clip.mp4\" MimeType=\"app"),
        ),
        ("cut off", xml.replace("</asic:ASiCManifest>", "")),
        (
            "a byte that no text has",
            xml.replace("</asic:A", "</asic\0:A"),
        ),
        (
            "another prefix",
            xml.replace("asic:", "a:").replace(":asic=", ":a="),
        ),
        ("stamp 000", xml.replace("timestamp009", "timestamp000")),
        ("a line before", format!("\n{xml}")),
        (
            "a name in two lines",
            xml.replace("META-INF/signature", "META-INF/\nsignature"),
        ),
        ("a word in two lines", xml.replace("asic:Sig", "asic:Sig\n")),
        (
            "more than 256 KiB",
            xml.replacen("\n  <", &format!("\n{}<", " ".repeat(256 << 10)), 1),
        ),
        (
            "a stamp of no type",
            xml.replace("application/vnd.etsi.timestamp-token", ""),
        ),
        (
            "words for a type",
            xml.replace("application/octet-stream", "see: the other stall"),
        ),
    ] {
        assert_ne!(changed, xml, "{what}");
        let package = with(&kit.package, name, Some(changed.as_bytes()));
        let verdict = verify(&package, &kit.roots);
        assert!(
            !verdict.valid(),
            "{what}\n{}",
            verdict.page(Language::English)
        );
        let (code, said) = kit.script(&package);
        assert_eq!(code, Some(1), "{what}: {said}");
    }
}

/// What is called like a manifest, but for its number, is a file like any other.
#[test]
fn a_manifest_of_another_name() {
    let kit = Kit::new();
    let awaiting = Manifest {
        signature: SigReference::time_stamp(9),
        entries: vec![covered(&kit.package, SIGNATURE)],
    };
    let awaiting = awaiting.to_xml().unwrap();
    for number in ["", "5", "1000", "foo"] {
        let name = format!("META-INF/ASiCManifest{number}.xml");
        let package = with(&kit.package, &name, Some(&awaiting));
        refused(&name, &kit, &package, CheckId::Nothing);
    }
}

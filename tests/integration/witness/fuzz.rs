//! Flipped, cut, garbled and arbitrary bytes.

use lingmou::witness::{
    Container, Language, Limits, Manifest, STATEMENT, Statement, Usage, check_detached, verify,
    verify_zip,
};
use proptest::prelude::*;
use proptest::sample::Index;

use super::Kit;

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// A flipped bit is found, or the files that come out are the same byte for byte: then it hit
/// zip housekeeping (a date, a version) that says nothing about the case.
#[test]
fn one_flipped_bit_is_found_or_changes_nothing() {
    let kit = Kit::new();
    proptest!(cases(400), |(place: Index, bit in 0_u32..8)| {
        let mut zip = kit.zip.clone();
        zip[place.index(kit.zip.len())] ^= 1_u8 << bit;
        if verify_zip(&zip, &kit.roots).valid() {
            let read = Container::from_zip(&zip, Limits::PACKAGE).unwrap();
            prop_assert!(read == kit.package);
        }
    });
}

#[test]
fn every_flipped_byte_of_a_signature_is_found() {
    let kit = Kit::new();
    for place in 0..kit.sealed.signature.len() {
        for mask in [0x01, 0x80, 0xff] {
            let mut p7s = kit.sealed.signature.clone();
            p7s[place] ^= mask;
            let found = check_detached(&p7s, &kit.sealed.manifest, &kit.roots, Usage::Evidence);
            assert!(found.is_err(), "byte {place} mask {mask:02x}");
        }
    }
}

#[test]
fn cut_or_garbled_packages_do_not_panic() {
    let kit = Kit::new();
    let garbage = proptest::collection::vec((any::<Index>(), any::<u8>()), 0..20);
    proptest!(cases(200), |(cut: Index, garbage in garbage)| {
        let mut zip = kit.zip.clone();
        for (place, byte) in garbage {
            zip[place.index(kit.zip.len())] = byte;
        }
        let verdict = verify_zip(&zip, &kit.roots);
        prop_assert!(verdict.page(Language::Chinese).ends_with('\n'));
        let cut = &zip[..cut.index(kit.zip.len())];
        prop_assert!(!verify_zip(cut, &kit.roots).valid());
    });
}

#[test]
fn arbitrary_bytes_do_not_panic() {
    let kit = Kit::new();
    let bytes = proptest::collection::vec(any::<u8>(), 0..2000);
    proptest!(cases(400), |(bytes in bytes)| {
        prop_assert!(!verify_zip(&bytes, &kit.roots).valid());
        prop_assert!(check_detached(&bytes, b"", &kit.roots, Usage::Evidence).is_err());
        prop_assert!(Manifest::parse(&bytes).is_err());
        prop_assert!(Statement::parse(&bytes).is_err());
    });
}

#[test]
fn garbled_parts_do_not_panic() {
    let kit = Kit::new();
    proptest!(cases(300), |(place: Index, byte: u8)| {
        let mut statement = kit.sealed.statement.clone();
        let at = place.index(statement.len());
        statement[at] = byte;
        let package = kit.with(STATEMENT, Some(&statement));
        let verdict = verify(&package, &kit.roots);
        prop_assert_eq!(verdict.valid(), statement == kit.sealed.statement);
        prop_assert!(verdict.page(Language::English).ends_with('\n'));
        let mut manifest = kit.sealed.manifest.clone();
        let at = place.index(manifest.len());
        manifest[at] = byte;
        if let Ok(parsed) = Manifest::parse(&manifest) {
            let again = Manifest::parse(&parsed.to_xml().unwrap()).unwrap();
            prop_assert_eq!(again, parsed);
        }
    });
}

/// Receipt, journal lines, time-stamp and reviews: one byte of theirs changed is found, and
/// neither page nor report stumbles over it.
#[test]
fn a_changed_byte_in_what_came_later_is_found() {
    let kit = Kit::new();
    let full = kit.full();
    let later: Vec<&str> = full
        .files()
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("META-INF/"))
        .collect();
    proptest!(cases(300), |(file: Index, place: Index, byte: u8)| {
        let name = later[file.index(later.len())];
        let mut package = Container::new();
        for (other, content) in full.files() {
            let mut content = content.to_vec();
            if other == name {
                let at = place.index(content.len());
                content[at] = byte;
            }
            package.insert(other, content).unwrap();
        }
        let verdict = verify(&package, &kit.roots);
        prop_assert_eq!(verdict.valid(), package == full, "{}", name);
        prop_assert!(verdict.page(Language::Chinese).ends_with('\n'));
        let report = verdict.report(Some(&package), Language::English, super::AT);
        prop_assert!(report.ends_with("</html>\n"));
    });
}

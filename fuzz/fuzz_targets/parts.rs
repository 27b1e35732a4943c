//! One part of a good package replaced by strangers' bytes: the first byte says which.

#![no_main]

#[path = "common/mod.rs"]
#[allow(dead_code, reason = "each target uses its own part")]
mod common;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lingmou::witness::{MANIFEST, Manifest, RECEIPT, STATEMENT, Statement, verify};

use common::{Kit, PARTS, seed, with};

static KIT: LazyLock<Kit> = LazyLock::new(Kit::new);

fn seeds() {
    for (i, name) in (0..).zip(PARTS) {
        let bytes = KIT.package.get(name).unwrap_or_default();
        seed("parts", &format!("part-{i}"), &[&[i], bytes].concat());
    }
}

fuzz_target!(init: seeds(), |data: &[u8]| {
    let Some((which, bytes)) = data.split_first() else { return };
    let name = PARTS[usize::from(*which) % PARTS.len()];
    let changed = KIT.package.get(name) != Some(bytes);
    let verdict = verify(&with(&KIT.package, name, bytes), &KIT.roots);
    // The package is signed by a key the fuzzer has not: one changed byte and it is not valid.
    // (A signature may carry one certificate more and still be right; what is added later proves
    // itself or is only named.)
    let unseen = changed && verdict.valid() && [STATEMENT, MANIFEST].contains(&name);
    assert!(!unseen, "{name} was changed unseen");
    assert!(name != RECEIPT || !verdict.valid(), "nobody signed this receipt");
    if let Ok(statement) = Statement::parse(bytes) {
        let again = statement.to_bytes().expect("what was read can be written");
        assert_eq!(Statement::parse(&again).ok(), Some(statement));
    }
    if let Ok(manifest) = Manifest::parse(bytes) {
        let again = manifest.to_xml().expect("what was read can be written");
        assert_eq!(Manifest::parse(&again).ok(), Some(manifest));
    }
});

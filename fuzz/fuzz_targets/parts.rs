//! One part of a good package replaced by strangers' bytes: the first byte says which.

#![no_main]

#[path = "common/mod.rs"]
#[allow(dead_code, reason = "each target uses its own part")]
mod common;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lingmou::witness::{Manifest, Statement, TIMESTAMP, verify};

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
    let verdict = verify(&with(&KIT.package, name, bytes), &KIT.roots);
    // Signed, chained or stamped by keys the fuzzer has not: one changed byte and it is not valid.
    // Only a time-stamp may carry one certificate more, over which it says nothing.
    let same = KIT.package.get(name) == Some(bytes);
    assert!(!same || verdict.valid(), "the package is good");
    assert!(same || name == TIMESTAMP || !verdict.valid(), "{name} was changed unseen");
    if let Ok(statement) = Statement::parse(bytes) {
        let again = statement.to_bytes().expect("what was read can be written");
        assert_eq!(Statement::parse(&again).ok(), Some(statement));
    }
    if let Ok(manifest) = Manifest::parse(bytes) {
        let again = manifest.to_xml().expect("what was read can be written");
        assert_eq!(Manifest::parse(&again).ok(), Some(manifest));
    }
});

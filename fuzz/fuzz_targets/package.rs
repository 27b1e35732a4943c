//! A whole package as a zip. Most of what is mutated fails a checksum of the zip; what is behind
//! it is `parts`' target.

#![no_main]

#[path = "common/mod.rs"]
#[allow(dead_code, reason = "each target uses its own part")]
mod common;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lingmou::witness::{Container, Limits, verify_head, verify_zip};

use common::{Kit, seed};

static KIT: LazyLock<Kit> = LazyLock::new(Kit::new);

fn seeds() {
    let whole = KIT.package.to_zip();
    assert!(
        verify_zip(&whole, &KIT.roots).valid(),
        "the seed is a valid package"
    );
    seed("package", "whole", &whole);
    seed("package", "head", &KIT.package.head().to_zip());
    seed("package", "empty", &Container::new().to_zip());
    let cut = whole.len() / 2;
    seed("package", "cut", &whole[..cut]);
}

fuzz_target!(init: seeds(), |data: &[u8]| {
    let verdict = verify_zip(data, &KIT.roots);
    match Container::from_zip(data, Limits::PACKAGE) {
        Err(_) => assert!(!verdict.valid(), "what cannot be read is not valid"),
        Ok(container) => {
            // Whatever is read once is written in one way, and read back the same.
            let again = Container::from_zip(&container.to_zip(), Limits::PACKAGE);
            assert_eq!(again.ok().as_ref(), Some(&container));
            let _head = verify_head(&container.head(), &KIT.roots);
        }
    }
    // No page and no report may fail over what a stranger wrote.
    let _json = serde_json::to_string(&verdict).expect("a verdict is JSON");
});

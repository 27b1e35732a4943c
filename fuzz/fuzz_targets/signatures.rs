//! CMS signatures and receipts, as strangers send them over the link.

#![no_main]

#[path = "common/mod.rs"]
#[allow(dead_code, reason = "each target uses its own part")]
mod common;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lingmou::witness::{Form, Receipt, Usage, check_attached, check_detached};

use common::{Kit, seed};

static KIT: LazyLock<Kit> = LazyLock::new(Kit::new);

/// What was signed once, so that the fuzzer starts from a signature that is right.
const CONTENT: &[u8] = b"{\"v\":1}";

fn seeds() {
    let detached = KIT.signed(CONTENT, Form::Detached);
    let attached = KIT.signed(CONTENT, Form::Attached);
    assert!(check_detached(&detached, CONTENT, &KIT.roots, Usage::Evidence).is_ok());
    assert!(check_attached(&attached, &KIT.roots, Usage::Evidence).is_ok());
    seed("signatures", "detached", &detached);
    seed("signatures", "attached", &attached);
    let receipt = KIT
        .receiver
        .sign(CONTENT, Form::Attached, lingmou::clock::now());
    seed(
        "signatures",
        "receipt",
        &receipt.expect("a key in a file signs"),
    );
}

fuzz_target!(init: seeds(), |data: &[u8]| {
    for usage in [Usage::Evidence, Usage::Receiver] {
        let _signer = check_detached(data, CONTENT, &KIT.roots, usage);
        if let Ok((content, _)) = check_attached(data, &KIT.roots, usage) {
            assert_eq!(content, CONTENT, "only this was ever signed");
        }
    }
    assert!(Receipt::open(data, &KIT.roots).is_err(), "nobody signed a receipt");
});

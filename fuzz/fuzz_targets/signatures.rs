//! CMS signatures, receipts, checkpoints, time-stamps and their queries, as strangers send them
//! over the link.

#![no_main]

#[path = "common/mod.rs"]
#[allow(dead_code, reason = "each target uses its own part")]
mod common;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lingmou::clock;
use lingmou::witness::{
    Checkpoint, Command, Form, Notice, Receipt, Reply, StampQuery, Usage, check_attached, check_detached, check_stamp,
};

use common::{Kit, seed};

static KIT: LazyLock<Kit> = LazyLock::new(Kit::new);

/// All that is ever signed here: neither a receipt nor a checkpoint, so none may be read.
const CONTENT: &[u8] = b"{\"v\":1,\"type\":\"lingmou.checkpoint\",\"n\":-1}";

fn seeds() {
    let detached = KIT.signed(CONTENT, Form::Detached);
    let attached = KIT.signed(CONTENT, Form::Attached);
    assert!(check_detached(&detached, CONTENT, &KIT.roots, Usage::Evidence).is_ok());
    assert!(check_attached(&attached, &KIT.roots, Usage::Evidence).is_ok());
    seed("signatures", "detached", &detached);
    seed("signatures", "attached", &attached);
    let receiver = KIT.receiver.sign(CONTENT, Form::Attached, clock::now());
    seed("signatures", "query", &StampQuery::new(CONTENT, 7).to_der());
    seed("signatures", "receiver", &receiver.expect("a key in a file signs"));
}

fuzz_target!(init: seeds(), |data: &[u8]| {
    for usage in [Usage::Evidence, Usage::Receiver] {
        let _signer = check_detached(data, CONTENT, &KIT.roots, usage);
        if let Ok((content, _)) = check_attached(data, &KIT.roots, usage) {
            assert_eq!(content, CONTENT, "only this was ever signed");
        }
    }
    assert!(check_stamp(data, CONTENT, &KIT.roots).is_err(), "nobody stamped anything");
    assert!(StampQuery::new(CONTENT, 7).accept(data, &KIT.roots).is_err());
    if let Ok(query) = StampQuery::parse(data) {
        assert_eq!(StampQuery::parse(&query.to_der()).ok(), Some(query));
    }
    assert!(Receipt::open(data, &KIT.roots).is_err(), "nobody signed a receipt");
    assert!(Checkpoint::open(data, &KIT.roots).is_err(), "nobody signed a checkpoint");
    assert!(Command::open(data, &KIT.roots).is_err(), "nobody signed a command");
    assert!(Notice::open(data, &KIT.roots).is_err(), "nobody signed a verdict");
    assert!(Reply::open(data, &KIT.roots, "LM-FUZZ-1").is_err(), "nobody signed a reply");
});

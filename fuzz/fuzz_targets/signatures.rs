//! CMS signatures, receipts, checkpoints, time-stamps and their queries, as strangers send them
//! over the link.

#![no_main]

#[path = "common/mod.rs"]
#[allow(dead_code, reason = "each target uses its own part")]
mod common;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lingmou::witness::{
    Checkpoint, Command, Form, Notice, RECEIPT, Receipt, Reply, STAMPED, StampQuery, TIMESTAMP, Usage,
    check_attached, check_detached, check_stamp,
};

use common::{Kit, NONCE, seed, signed};

static KIT: LazyLock<Kit> = LazyLock::new(Kit::new);

/// What is signed here besides the package and its receipt: no checkpoint, so none may be read.
const CONTENT: &[u8] = b"{\"v\":1,\"type\":\"lingmou.checkpoint\",\"n\":-1}";

/// A file of the good package.
fn part(name: &str) -> &'static [u8] {
    KIT.package.get(name).unwrap_or_default()
}

fn seeds() {
    let detached = signed(&KIT.device, CONTENT, Form::Detached);
    let attached = signed(&KIT.device, CONTENT, Form::Attached);
    assert!(check_detached(&detached, CONTENT, &KIT.roots, Usage::Evidence).is_ok());
    assert!(check_attached(&attached, &KIT.roots, Usage::Evidence).is_ok());
    assert!(check_stamp(part(TIMESTAMP), part(STAMPED), &KIT.roots).is_ok());
    seed("signatures", "detached", &detached);
    seed("signatures", "attached", &attached);
    seed("signatures", "query", &StampQuery::new(CONTENT, NONCE).to_der());
    seed("signatures", "token", part(TIMESTAMP));
    seed("signatures", "answer", &KIT.answer);
    seed("signatures", "receipt", part(RECEIPT));
    for (name, identity) in [("receiver", &KIT.receiver), ("admin", &KIT.admin), ("reviewer", &KIT.reviewer)] {
        seed("signatures", name, &signed(identity, CONTENT, Form::Attached));
    }
}

fuzz_target!(init: seeds(), |data: &[u8]| {
    for usage in [Usage::Evidence, Usage::Receiver, Usage::Operator, Usage::Reviewer] {
        let _signer = check_detached(data, CONTENT, &KIT.roots, usage);
        if let Ok((content, _)) = check_attached(data, &KIT.roots, usage) {
            let receipt = usage == Usage::Receiver && Receipt::read(data).is_ok();
            assert!(content == CONTENT || receipt, "only this was ever signed");
        }
    }
    if let Ok((receipt, _)) = Receipt::open(data, &KIT.roots) {
        assert_eq!(Receipt::read(part(RECEIPT)).ok(), Some(receipt), "one receipt was signed");
    }
    assert!(check_stamp(data, CONTENT, &KIT.roots).is_err(), "nobody stamped this");
    let query = StampQuery::new(part(STAMPED), NONCE);
    let (stamp, answered) = (check_stamp(data, part(STAMPED), &KIT.roots), query.accept(data, &KIT.roots));
    for said in [stamp.ok(), answered.ok().map(|(_, stamp)| stamp)].into_iter().flatten() {
        let one = check_stamp(part(TIMESTAMP), part(STAMPED), &KIT.roots);
        assert_eq!(one.ok(), Some(said), "one stamp was made");
    }
    if let Ok(query) = StampQuery::parse(data) {
        assert_eq!(StampQuery::parse(&query.to_der()).ok(), Some(query));
    }
    assert!(Checkpoint::open(data, &KIT.roots).is_err(), "nobody signed a checkpoint");
    assert!(Command::open(data, &KIT.roots).is_err(), "nobody signed a command");
    assert!(Notice::open(data, &KIT.roots).is_err(), "nobody signed a verdict");
    assert!(Reply::open(data, &KIT.roots, "LM-FUZZ-1").is_err(), "nobody signed a reply");
});

//! `lingmou journal verify`: whether chain and checkpoints hold, and how far somebody signed.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::journal::{self, Audit};
use crate::witness::Roots;

use super::{Answer, VerifyArgs, out, plain, there};
pub(super) fn run(args: &VerifyArgs) -> anyhow::Result<Answer> {
    let store = &args.place.store;
    there(store)?;
    let roots = Roots::load(&args.roots)?;
    let audit = journal::audit(store, &roots, args.device.as_deref())?;
    if args.json {
        out::data(&facts(&audit).to_string());
    } else {
        out::data(&page(&audit));
    }
    // A chain without a signature can be made anew by anybody.
    Ok(if audit.holds() && audit.signed.is_some() {
        Answer::Yes
    } else {
        Answer::No
    })
}

fn facts(audit: &Audit) -> Value {
    let signed = audit.signed.as_ref();
    json!({
        "holds": audit.holds(),
        "segments": audit.segments,
        "lines": audit.lines,
        "head": audit.head,
        "last_at": audit.last_at,
        "checkpoints": audit.checkpoints,
        "receipts": audit.receipts,
        "signed_up_to": signed.map(|s| s.n),
        "signed_at": signed.map(|s| &s.at),
        "device": signed.map(|s| &s.device),
        "torn_bytes": audit.torn,
        "faults": audit.faults,
        "more_faults": audit.more_faults,
    })
}

/// The result for a human.
fn page(audit: &Audit) -> String {
    let mut page = String::new();
    let mut say = |label: &str, words: &str| {
        writeln!(page, "{label:<12} {words}").expect("invariant: a String takes everything");
    };
    let (lines, segments) = (audit.lines, audit.segments);
    let last = audit.last_at.as_deref().unwrap_or("-");
    say(
        "journal",
        &format!("{lines} lines, {segments} segments, the last line of {last}"),
    );
    say(
        "head",
        &format!("line {}, {}", audit.head.n, audit.head.sha256),
    );
    match &audit.signed {
        Some(s) => {
            let (n, at, device) = (s.n, plain(&s.at), plain(&s.device));
            let count = audit.checkpoints;
            say(
                "signed",
                &format!("up to line {n}, at {at}, by {device} ({count} checkpoints)"),
            );
            let after = audit.head.n.saturating_sub(n);
            if after > 0 {
                let words = "lines after it: whoever had this copy can have written them";
                say("not signed", &format!("{after} {words}"));
            }
        }
        None => say(
            "not signed",
            &format!("none of {lines} lines: no checkpoint holds"),
        ),
    }
    if audit.receipts > 0 {
        let words = "lines that receivers named in signed receipts are in it";
        say("receipts", &format!("{} {words}", audit.receipts));
    }
    if audit.torn > 0 {
        let words = "bytes of a line that is being written, or that a power cut left";
        say("unfinished", &format!("{} {words}", audit.torn));
    }
    for fault in &audit.faults {
        say("BROKEN", &plain(fault));
    }
    if audit.more_faults > 0 {
        say("BROKEN", &format!("and {} more", audit.more_faults));
    }
    let verdict = match (audit.holds(), &audit.signed) {
        (true, Some(s)) => format!("it holds up to line {}", s.n),
        (true, None) => {
            "ITS CHAIN HOLDS, BUT NOBODY SIGNED IT: anybody can have made it".to_owned()
        }
        (false, _) => "IT DOES NOT HOLD".to_owned(),
    };
    say("verdict", &verdict);
    page
}

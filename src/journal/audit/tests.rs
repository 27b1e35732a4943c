//! A journal and its checkpoints in foreign hands.

#![expect(
    clippy::disallowed_methods,
    reason = "a test's files need not be durable"
)]

use std::fs;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::clock;
use crate::config;
use crate::journal::line;
use crate::pki::TestPki;
use crate::store::Store;
use crate::types::{CaseId, Stamp};
use crate::witness::{Identity, JournalCopy, RECEIPT, Receipt, ReceiptVerdict};

const DEVICE: &str = "LM-TEST-1";
const SEGMENT: &str = "journal/00000001.jsonl";
const AT: Stamp = Stamp {
    utc_ns: 1_785_549_784_567_000_000,
    boot_ns: 1,
    error_ns: 0,
};

/// A store with a journal of nine lines, in a folder that a test may spoil.
struct Kit {
    dir: TempDir,
    roots: Roots,
    device: Identity,
    other: Identity,
    receiver: Identity,
}

/// Keys are slow to make: one set for all.
static KEYS: LazyLock<(TempDir, TestPki, PathBuf)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let pki = TestPki::create(dir.path(), DEVICE).unwrap();
    let other = pki.add_device("LM-TEST-2").unwrap();
    (dir, pki, other)
});

impl Kit {
    /// Lines 1 boot, 2 and 3, 4 checkpoint of 3, 5 to 7, 8 checkpoint of 7, 9.
    fn new() -> Self {
        let (_, pki, other) = &*KEYS;
        let kit = Self {
            dir: tempfile::tempdir().unwrap(),
            roots: Roots::load(&pki.root()).unwrap(),
            device: Identity::load(&pki.device, "evidence").unwrap(),
            other: Identity::load(other, "evidence").unwrap(),
            receiver: Identity::load(&pki.receiver, "receiver").unwrap(),
        };
        let config = config::Store {
            dir: kit.dir.path().to_owned(),
            keep_free_mib: 0,
            ..config::Store::default()
        };
        let (store, _) = Store::open(&config, DEVICE).unwrap();
        let note = |kind: &str, body: Value| store.note(AT, kind, body).unwrap();
        note(kind::BOOT, json!({ "device": DEVICE }));
        note("test", json!({ "i": 2 }));
        note("test", json!({ "i": 3 }));
        store.checkpoint(&kit.device).unwrap();
        for i in 5..=7 {
            note("test", json!({ "i": i }));
        }
        store.checkpoint(&kit.device).unwrap();
        note("test", json!({ "i": 9 }));
        kit
    }

    fn audit(&self) -> Audit {
        audit(self.dir.path(), &self.roots, None).unwrap()
    }

    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path(SEGMENT)).unwrap();
        text.lines().map(ToOwned::to_owned).collect()
    }

    fn write(&self, lines: &[String]) {
        fs::write(self.path(SEGMENT), format!("{}\n", lines.join("\n"))).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn checkpoint(&self, n: u64) -> PathBuf {
        self.dir.path().join(CHECKPOINTS).join(checkpoint_name(n))
    }

    /// Puts a package there whose receipt, signed by `signer`, names line `n` of `device`'s journal.
    fn receipt(&self, package: u128, signer: &Identity, (device, n): (&str, usize)) {
        let id = CaseId(uuid::Uuid::from_u128(package));
        let receipt = Receipt {
            v: Receipt::HEAD.0,
            kind: Receipt::HEAD.1.to_owned(),
            id,
            device: device.to_owned(),
            seq: 1,
            sig_sha256: "ab".repeat(32),
            verdict: ReceiptVerdict::Stored,
            why: None,
            copies: 1,
            head: Some(JournalCopy {
                n: n as u64,
                hash: sha256_hex(self.lines()[n - 1].as_bytes()),
            }),
            at: "2026-08-01T02:05:31Z".to_owned(),
            receiver: "evidence-receiver-1".to_owned(),
        };
        let path = self.path(&format!("packages/{id}/{RECEIPT}"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, receipt.sign(signer, clock::now()).unwrap()).unwrap();
    }

    /// The same lines as whoever holds the box, but not the key, would chain them anew.
    fn rewrite(&self, change: impl Fn(u64, &mut Value)) {
        let mut head = Head::none();
        let mut text = Vec::new();
        for old in self.lines() {
            let mut old: Value = serde_json::from_str(&old).unwrap();
            change(head.n + 1, &mut old["body"]);
            let kind = old["kind"].as_str().unwrap().to_owned();
            let at: jiff::Timestamp = old["at"].as_str().unwrap().parse().unwrap();
            let at = Stamp {
                utc_ns: at.as_millisecond() * 1_000_000,
                ..AT
            };
            let (bytes, new) = line::build(&head, at, &kind, old["body"].take()).unwrap();
            text.extend(bytes);
            head = new;
        }
        fs::write(self.path(SEGMENT), text).unwrap();
    }
}

#[test]
fn an_untouched_journal_holds_up_to_its_newest_checkpoint() {
    let kit = Kit::new();
    let audit = kit.audit();
    assert_eq!(audit.faults, [""; 0]);
    assert_eq!((audit.lines, audit.head.n, audit.checkpoints), (9, 9, 2));
    let signed = audit.signed.unwrap();
    assert_eq!((signed.n, signed.device.as_str()), (7, DEVICE));
    assert_eq!(signed.head, sha256_hex(kit.lines()[6].as_bytes()));
    assert!(audit.last_at.is_some());
    let named = super::audit(kit.dir.path(), &kit.roots, Some("LM-TEST-2")).unwrap();
    assert_eq!(named.faults.len(), 2, "it is not that device's");
    assert_eq!(named.signed, None);
}

type Spoil = fn(&Kit);

/// What is done, and what is said of it.
const SPOILT: [(&str, Spoil, &[&str]); 17] = [
    (
        "a line changed",
        |kit| {
            let mut lines = kit.lines();
            lines[1] = lines[1].replace("\"i\":2", "\"i\":7");
            kit.write(&lines);
        },
        &["00000001.jsonl line 3 (n = 3): `prev` is not"],
    ),
    (
        "the signed line changed",
        |kit| {
            let mut lines = kit.lines();
            lines[6] = lines[6].replace("\"i\":7", "\"i\":8");
            kit.write(&lines);
        },
        &[
            "line 8 (n = 8): `prev` is not",
            "000000000007.p7m: it signs another line 7",
        ],
    ),
    (
        "a line removed",
        |kit| {
            let mut lines = kit.lines();
            lines.remove(4);
            kit.write(&lines);
        },
        &["line 5 (n = 5): the number does not follow"],
    ),
    (
        "a signed line removed",
        |kit| {
            let mut lines = kit.lines();
            lines.remove(6);
            kit.write(&lines);
        },
        &[
            "the number does not follow",
            "it signs line 7, which the journal does not have",
        ],
    ),
    (
        "two lines swapped",
        |kit| {
            let mut lines = kit.lines();
            lines.swap(4, 5);
            kit.write(&lines);
        },
        &["line 5 (n = 5): the number does not follow"],
    ),
    (
        "the last lines cut off",
        |kit| kit.write(&kit.lines()[..5]),
        &[
            "000000000007.p7m: it signs line 7, but the journal ends with line 5: its last lines were cut off",
        ],
    ),
    (
        "the last lines cut off with the checkpoint over them, after a receiver had it",
        |kit| {
            kit.receipt(1, &kit.receiver, (DEVICE, 7));
            kit.write(&kit.lines()[..4]);
            fs::remove_file(kit.checkpoint(7)).unwrap();
        },
        &[
            "0001: receiver evidence-receiver-1 has signed for line 7, but the journal ends with line 4",
        ],
    ),
    (
        "the same, and others in their place",
        |kit| {
            kit.receipt(1, &kit.receiver, (DEVICE, 7));
            kit.rewrite(|n, body| {
                if n == 5 {
                    body["i"] = json!(55);
                }
            });
            fs::remove_file(kit.checkpoint(7)).unwrap();
            kit.write(&kit.lines()[..7]);
        },
        &["0001: receiver evidence-receiver-1 has signed for another line 7 than the journal has"],
    ),
    (
        "everything rewritten without the key",
        |kit| {
            kit.rewrite(|n, body| {
                if n == 2 {
                    body["i"] = json!(77);
                }
            });
        },
        &[
            "000000000003.p7m: it signs another line 3 than the journal has",
            "000000000007.p7m: it signs another line 7",
        ],
    ),
    (
        "checkpoints swapped",
        |kit| {
            let (a, b) = (kit.checkpoint(3), kit.checkpoint(7));
            let (at_a, at_b) = (fs::read(&a).unwrap(), fs::read(&b).unwrap());
            fs::write(a, at_b).unwrap();
            fs::write(b, at_a).unwrap();
        },
        &[
            "000000000003.p7m: it is the checkpoint of line 7",
            "000000000003.p7m is another one than line 4 names",
            "000000000007.p7m: it is the checkpoint of line 3",
        ],
    ),
    (
        "a checkpoint removed",
        |kit| fs::remove_file(kit.checkpoint(3)).unwrap(),
        &["line 4 names a checkpoint, but cannot read"],
    ),
    (
        "a checkpoint signed anew over the same line",
        |kit| {
            let line = sha256_hex(kit.lines()[2].as_bytes());
            let p7m = Checkpoint::sign(&kit.device, (3, &line), "b", clock::now()).unwrap();
            fs::write(kit.checkpoint(3), p7m).unwrap();
        },
        &["000000000003.p7m is another one than line 4 names"],
    ),
    (
        "a foreign device's checkpoint",
        |kit| {
            let line = sha256_hex(kit.lines()[8].as_bytes());
            let p7m = Checkpoint::sign(&kit.other, (9, &line), "b", clock::now()).unwrap();
            fs::write(kit.checkpoint(9), p7m).unwrap();
        },
        &["000000000009.p7m: it is of device LM-TEST-2, the journal of LM-TEST-1"],
    ),
    (
        "a checkpoint of nobody we trust",
        |kit| {
            let dir = kit.path("elsewhere");
            let pki = TestPki::create(&dir, DEVICE).unwrap();
            let stranger = Identity::load(&pki.device, "evidence").unwrap();
            let line = sha256_hex(kit.lines()[8].as_bytes());
            let p7m = Checkpoint::sign(&stranger, (9, &line), "b", clock::now()).unwrap();
            fs::write(kit.checkpoint(9), p7m).unwrap();
        },
        &["000000000009.p7m: checkpoint: the signer is not trusted"],
    ),
    (
        "a byte of a checkpoint changed",
        |kit| {
            let mut p7m = fs::read(kit.checkpoint(7)).unwrap();
            let at = p7m.windows(6).position(|w| w == b"\"n\":7,").unwrap();
            p7m[at + 4] = b'6';
            fs::write(kit.checkpoint(7), p7m).unwrap();
        },
        &[
            "000000000007.p7m is another",
            "000000000007.p7m: checkpoint: the signed content",
        ],
    ),
    (
        "something strange beside them",
        |kit| fs::write(kit.path("checkpoints/7.p7m"), "x").unwrap(),
        &["checkpoints/7.p7m is no checkpoint's name"],
    ),
    (
        "a segment that is none of ours",
        |kit| {
            let file = fs::File::create(kit.path("journal/00000002.jsonl")).unwrap();
            file.set_len(1 << 40).unwrap();
        },
        &["00000002.jsonl line 1 (n = 10): longer than a segment may be"],
    ),
];

#[test]
fn what_was_done_to_it_is_named() {
    for (what, spoil, named) in SPOILT {
        let kit = Kit::new();
        spoil(&kit);
        let faults = kit.audit().faults;
        for words in named {
            let found = faults.iter().filter(|fault| fault.contains(words)).count();
            assert_eq!(found, 1, "{what}: {words:?} in {faults:#?}");
        }
    }
}

#[test]
fn a_receipt_counts_when_a_receiver_signed_it_for_this_device() {
    let kit = Kit::new();
    kit.receipt(1, &kit.receiver, (DEVICE, 3));
    kit.receipt(2, &kit.receiver, (DEVICE, 7));
    kit.receipt(3, &kit.device, (DEVICE, 8));
    kit.receipt(4, &kit.receiver, ("LM-TEST-2", 9));
    let audit = kit.audit();
    assert_eq!(audit.faults, [""; 0]);
    assert_eq!(audit.receipts, 2);
    // What does not count accuses nobody either.
    kit.write(&kit.lines()[..7]);
    let audit = kit.audit();
    assert_eq!(audit.faults, [""; 0]);
    assert_eq!((audit.receipts, audit.head.n), (2, 7));
}

#[test]
fn what_no_checkpoint_signs_yet_can_be_rewritten_and_is_said_to_be_unsigned() {
    let kit = Kit::new();
    kit.rewrite(|n, body| {
        if n == 9 {
            body["i"] = json!(99);
        }
    });
    // The lines up to 8 are the same, bytes and all.
    let audit = kit.audit();
    assert_eq!(audit.faults, [""; 0]);
    assert_eq!((audit.signed.unwrap().n, audit.head.n), (7, 9));
}

#[test]
fn a_line_that_is_being_written_is_no_fault() {
    let kit = Kit::new();
    let mut text = fs::read(kit.path(SEGMENT)).unwrap();
    text.extend(b"{\"n\":10,\"at\":\"2026");
    fs::write(kit.path(SEGMENT), text).unwrap();
    let audit = kit.audit();
    assert_eq!((audit.faults.len(), audit.torn, audit.head.n), (0, 18, 9));
}

#[test]
fn a_folder_without_checkpoints_is_a_journal_that_nobody_signed() {
    let kit = Kit::new();
    kit.write(&kit.lines()[..3]);
    fs::remove_dir_all(kit.path(CHECKPOINTS)).unwrap();
    let audit = kit.audit();
    assert!(audit.holds() && audit.signed.is_none());
    fs::remove_dir_all(kit.path(SEGMENTS)).unwrap();
    super::audit(kit.dir.path(), &kit.roots, None).unwrap_err();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Up to the line that is signed not a byte can be changed, taken or put in unnoticed.
    #[test]
    fn nothing_signed_can_be_touched(at in any::<prop::sample::Index>(), to in any::<u8>(), how in 0..3) {
        static KIT: LazyLock<Kit> = LazyLock::new(Kit::new);
        let copy = tempfile::tempdir().unwrap();
        let mut text = fs::read(KIT.path(SEGMENT)).unwrap();
        let signed: usize = KIT.lines()[..7].iter().map(|l| l.len() + 1).sum();
        let at = at.index(signed - 1);
        let before = text.clone();
        match how {
            0 => text[at] = to,
            1 => { text.remove(at); }
            _ => text.insert(at, to),
        }
        fs::create_dir(copy.path().join(SEGMENTS)).unwrap();
        fs::create_dir(copy.path().join(CHECKPOINTS)).unwrap();
        fs::write(copy.path().join(SEGMENT), &text).unwrap();
        for n in [3, 7] {
            let name = checkpoint_name(n);
            let to = copy.path().join(CHECKPOINTS).join(name);
            fs::copy(KIT.checkpoint(n), to).unwrap();
        }
        let audit = audit(copy.path(), &KIT.roots, None).unwrap();
        prop_assert_eq!(audit.holds(), text == before, "{:?}", audit.faults);
    }

    /// Whatever lies there: an answer, and never that somebody signed it.
    #[test]
    fn arbitrary_bytes_are_answered(
        segments in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..3),
        lines in prop::collection::vec("(\\{\"n\":[0-9]{1,3},\"at\":\".{0,5}\",\"kind\":\"(boot|checkpoint)\",\"prev\":\"[0-9a-f]{0,64}\",\"body\":(\\{\"n\":3\\}|\\[\\]|7)\\}\n)?", 0..4),
        p7m in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(SEGMENTS)).unwrap();
        fs::create_dir(dir.path().join(CHECKPOINTS)).unwrap();
        for (i, bytes) in segments.iter().enumerate() {
            let name = segment::file_name(u32::try_from(i).unwrap() + 1);
            let bytes = [lines.concat().into_bytes(), bytes.clone()].concat();
            fs::write(dir.path().join(SEGMENTS).join(name), bytes).unwrap();
        }
        fs::write(dir.path().join(CHECKPOINTS).join(checkpoint_name(3)), p7m).unwrap();
        let (_, pki, _) = &*KEYS;
        let roots = Roots::load(&pki.root()).unwrap();
        let audit = audit(dir.path(), &roots, None).unwrap();
        prop_assert!(!audit.holds() && audit.signed.is_none());
    }
}

//! The hands that a store is given in these tests: what the daemon's keeper and the receiver do,
//! one after the other, with real keys. Also compiled into `tests/powercut`.

use std::path::Path;

use lingmou::clock;
use lingmou::config;
use lingmou::store::{Draft, ReceiptFacts, SealContext, State, Store, StoreError, Wish};
use lingmou::types::{CaseId, Outcome, Stamp, Violation};
use lingmou::witness::{
    Camera, Clock, Device, Identity, Receipt, ReceiptVerdict, Sealed, Software, Statement,
    ViolationFacts, seal,
};

/// The device whose store it is.
pub(crate) const DEVICE: &str = "LM-CRASH-1";

/// Random numbers that a printed seed brings back (`SplitMix64`, Steele, Lea and Flood 2014).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

/// So long after now that every receipted package is old.
pub(crate) fn in_a_year() -> Stamp {
    const YEAR_NS: i64 = 366 * 24 * 3600 * 1_000_000_000;
    clock::now().shifted_ns(YEAR_NS)
}

fn drafts(bytes: usize) -> Vec<Draft> {
    [
        ("frames/01-found.jpg", "image/jpeg"),
        ("frames/02-warned.jpg", "image/jpeg"),
        ("frames/03-again.jpg", "image/jpeg"),
        ("clip.mp4", "video/mp4"),
    ]
    .into_iter()
    .map(|(name, media_type)| Draft {
        name: name.to_owned(),
        media_type: media_type.to_owned(),
        at: Some(clock::now()),
        pts_ns: None,
        bytes: name.bytes().cycle().take(bytes).collect(),
    })
    .collect()
}

/// A statement that says no more than it must.
pub(crate) fn blank(device: &str, id: CaseId, at: Stamp, context: &SealContext) -> Statement {
    let (v, kind) = Statement::HEAD;
    let now = clock::rfc3339_ms(at.utc_ns);
    Statement {
        v,
        kind: kind.to_owned(),
        id,
        device: Device {
            id: device.to_owned(),
            model: None,
            tz: "Asia/Shanghai".to_owned(),
            boot_id: None,
        },
        seq: context.seq,
        journal: context.journal.clone(),
        after: context.last_receipt.clone(),
        site: None,
        violation: Some(ViolationFacts {
            kind: Violation::StreetVending,
            rule: "warn-then-recheck".to_owned(),
            outcome: Outcome::Persisted,
            zone: None,
            first_seen: now.clone(),
            confirmed: now,
            dwell_s: None,
            prior: None,
            law: None,
        }),
        asked: None,
        sealed: None,
        warning: Vec::new(),
        clock: Clock::at(at),
        position: None,
        heading: None,
        altitude: None,
        mavlink: None,
        camera: Camera {
            id: "cam0".to_owned(),
            rtsp: None,
            onvif_serial: None,
            codec: None,
            clip: None,
        },
        software: Software {
            name: "lingmou".to_owned(),
            version: "0".to_owned(),
            binary_sha256: None,
            config_sha256: None,
            model: None,
        },
        omitted: Vec::new(),
        grade: None,
        files: context.files.clone(),
    }
}

/// What the daemon's keeper and the receiver do, one after the other.
pub(crate) struct Hands {
    pub(crate) store: Store,
    evidence: Identity,
    receiver: Identity,
    /// The receiver's clock minus the boot clock: nobody sets the one by setting this box's.
    receiver_offset_ns: i64,
}

impl Hands {
    /// Opens the store; the keys of device and receiver are in folders of `keys`.
    pub(crate) fn open(keys: &Path, config: &config::Store) -> Result<Self, StoreError> {
        let (store, _) = Store::open(config, DEVICE)?;
        Ok(Self {
            store,
            evidence: Identity::load(&keys.join("device"), "evidence").unwrap(),
            receiver: Identity::load(&keys.join("receiver"), "receiver").unwrap(),
            receiver_offset_ns: clock::reading().offset_ns,
        })
    }

    /// Keeps three pictures and a clip of so many bytes each, as they come.
    pub(crate) fn keep(&self, id: CaseId, bytes: usize) -> Result<(), StoreError> {
        let drafts = drafts(bytes);
        let (pictures, clip) = drafts.split_at(3);
        self.store.keep(id, pictures, Some(&format!("open {id}")))?;
        self.store.keep(id, clip, Some(&format!("clipped {id}")))
    }

    /// Seals the case with the device's real key.
    pub(crate) fn seal(&self, id: CaseId) -> Result<(), StoreError> {
        let at = clock::now();
        let make = |context| -> Result<Sealed, _> {
            seal(&blank(DEVICE, id, at, &context), &self.evidence, at)
        };
        self.store.seal(id, make, Some("none open"))
    }

    /// Sends the next package that is due, and keeps the receiver's real receipt for it.
    pub(crate) fn receipt(&self) -> Option<CaseId> {
        let due = self
            .store
            .next_of(clock::now(), &Wish::default())
            .unwrap()?;
        self.store.step(due.id, State::Sending).unwrap();
        self.store.step(due.id, State::Sent).unwrap();
        let here = clock::now();
        let at = Stamp {
            utc_ns: self
                .receiver_offset_ns
                .saturating_add_unsigned(here.boot_ns),
            ..here
        };
        let (v, kind) = Receipt::HEAD;
        let receipt = Receipt {
            v,
            kind: kind.to_owned(),
            id: due.id,
            device: DEVICE.to_owned(),
            seq: due.seq,
            sig_sha256: due.sig_sha256.clone(),
            verdict: ReceiptVerdict::Stored,
            why: None,
            copies: 2,
            head: None,
            at: clock::rfc3339_ms(at.utc_ns),
            receiver: self.receiver.common_name(),
        };
        let p7m = receipt.sign(&self.receiver, at).unwrap();
        let facts = ReceiptFacts {
            sig_sha256: receipt.sig_sha256,
            server_time: receipt.at,
            copies: receipt.copies,
            head: receipt.head,
        };
        self.store.receipted(due.id, &p7m, &facts).unwrap();
        Some(due.id)
    }
}

//! Small packages that are real: pictures, statement, signature.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use turbojpeg::{Image, PixelFormat, Subsamp};
use uuid::Uuid;

use crate::clock;
use crate::types::{CaseId, Outcome, Stamp, Violation};
use crate::witness::{self, Container, FileEntry, Identity, Statement, ViolationFacts, sha256_hex};

/// Width and height of the pictures.
const SIZE: (usize, usize) = (640, 360);
/// Pictures of a package.
const PICTURES: [&str; 2] = ["frames/01-found.jpg", "frames/02-again.jpg"];

/// Pictures that all packages share.
pub(super) struct Album(Vec<(FileEntry, Arc<Vec<u8>>)>);

impl Album {
    /// Takes the pictures.
    pub(super) fn new() -> anyhow::Result<Self> {
        let pictures = PICTURES.iter().zip(1..).map(|(name, seed)| {
            let bytes = picture(seed)?;
            let entry = FileEntry {
                name: (*name).to_owned(),
                media_type: "image/jpeg".to_owned(),
                size: bytes.len() as u64,
                sha256: sha256_hex(&bytes),
                at: None,
                pts_ns: None,
                capture_source: None,
                of: None,
                quality: None,
            };
            Ok((entry, Arc::new(bytes)))
        });
        Ok(Self(pictures.collect::<anyhow::Result<_>>()?))
    }
}

/// Grain as of a street at dusk: it does not compress to nothing.
fn picture(seed: u32) -> anyhow::Result<Vec<u8>> {
    let (width, height) = SIZE;
    let mut x = seed | 1;
    let grain = std::iter::repeat_with(|| {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        96 + x.to_le_bytes()[1] / 8
    });
    let pixels: Vec<u8> = grain.take(width * height * 3).collect();
    let image = Image {
        pixels: pixels.as_slice(),
        width,
        pitch: width * 3,
        height,
        format: PixelFormat::RGB,
    };
    let jpeg = turbojpeg::compress(image, 85, Subsamp::Sub2x2).context("encoding a picture")?;
    Ok(jpeg.to_vec())
}

/// A sealed package in memory.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) device: String,
    pub(super) id: CaseId,
    pub(super) seq: u64,
    pub(super) sig_sha256: String,
    /// The head as it is announced.
    pub(super) head: Arc<Vec<u8>>,
    /// The files by their hash.
    pub(super) files: BTreeMap<String, Arc<Vec<u8>>>,
}

impl Made {
    /// Bytes of its files.
    pub(super) fn payload(&self) -> u64 {
        self.files.values().map(|bytes| bytes.len() as u64).sum()
    }
}

/// Seals `count` packages with the keys of one box.
pub(super) fn seal_some(
    keys: &Path,
    device: &str,
    count: u32,
    album: &Album,
) -> anyhow::Result<Vec<Made>> {
    let identity = Identity::load(keys, "evidence")?;
    let seal = |seq| {
        let (id, at) = (CaseId(Uuid::now_v7()), clock::now());
        let files = album.0.iter().map(|(entry, _)| entry.clone()).collect();
        let statement = statement((device, id, seq), files, at);
        let sealed = witness::seal(&statement, &identity, at)?;
        let mut head = Container::new();
        for (name, bytes) in sealed.parts() {
            head.insert(name, bytes.to_vec())?;
        }
        let by_hash =
            |(entry, bytes): &(FileEntry, Arc<Vec<u8>>)| (entry.sha256.clone(), Arc::clone(bytes));
        Ok(Made {
            device: device.to_owned(),
            id,
            seq,
            sig_sha256: sealed.sig_sha256(),
            head: Arc::new(head.to_zip()),
            files: album.0.iter().map(by_hash).collect(),
        })
    };
    (1..=u64::from(count)).map(seal).collect()
}

/// What such a box can state: little. It has no journal, so its packages stand at its beginning.
fn statement(
    (device, id, seq): (&str, CaseId, u64),
    files: Vec<FileEntry>,
    at: Stamp,
) -> Statement {
    let violation = ViolationFacts {
        rule: "simulated".to_owned(),
        ..ViolationFacts::bare(Violation::StreetVending, Outcome::Persisted, at)
    };
    let mut statement = Statement::bare(device, id, violation, at);
    statement.device.model = Some("simulated".to_owned());
    (statement.seq, statement.journal.n, statement.files) = (seq, 0, files);
    "none".clone_into(&mut statement.camera.id);
    "lingmou simulate".clone_into(&mut statement.software.name);
    statement
}

//! Keeping and sealing a package, against writing the same bytes durably and nothing else.
//!
//! Five pictures and a clip of ten seconds. `write + fsync` is what no safe way can do without;
//! on top of it the store hashes every byte twice (when it comes, and as it lies on the disk when
//! it is sealed), holds two transactions and a journal line, and signs. Wall time is the disk's,
//! CPU time ours: both are told. The two are run in turn, so that a busy disk is busy for both.
//!
//! `originals encoded, kept and sealed` is the keeper's way with a case whose frames are at hand, but for
//! marked copies, cut-outs and the clip's remux: encode, C2PA where it is built in, a `keep` for each
//! picture and one for the clip, whose bytes are made up, seal. From the trigger on, with all of that and
//! with the choice among the ring's frames, a case is measured in `seal/case.rs`.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

#[path = "seal/case.rs"]
mod case;
mod common;
#[path = "../tests/integration/hands.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "the tests use more of it, and fail by panicking"
)]
mod hands;

use std::path::Path;

use lingmou::clock;
use lingmou::config;
use lingmou::develop::{Developer, Exif};
use lingmou::disk;
use lingmou::pki::TestPki;
use lingmou::store::{Draft, Store};
#[cfg(feature = "c2pa")]
use lingmou::types::Violation;
use lingmou::types::{CaseId, Image, PixelFormat};
#[cfg(feature = "c2pa")]
use lingmou::witness::c2pa;
use lingmou::witness::{Form, Identity, seal, sha256_hex};
use uuid::Uuid;

use common::{cpu_ms, least, table};
use hands::blank;

const DEVICE: &str = "LM-BENCH-1";
const PICTURES: usize = 5;
/// A 1080p picture of a street at quality 90.
const PICTURE_BYTES: usize = 600 * 1024;
/// Ten seconds at 4 Mbit/s.
const CLIP_BYTES: usize = 5_000_000;
const RUNS: u32 = 12;

fn main() -> anyhow::Result<()> {
    println!("\n## Sealing");
    // Not /tmp, which may be memory: the build folder is on the disk.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let pki = TestPki::create(&dir.path().join("pki"), DEVICE)?;
    let identity = Identity::load(&pki.device, "evidence")?;
    let config = config::Store {
        dir: dir.path().join("store"),
        keep_free_mib: 0,
        ..config::Store::default()
    };
    let (store, _) = Store::open(&config, DEVICE)?;
    let files = files();
    let bytes: usize = files.iter().map(|file| file.bytes.len()).sum();

    let mut runs = 0;
    let mut plain = || {
        runs += 1;
        write_plainly(&dir.path().join(format!("plain-{runs}")), &files)
    };
    let [plain_cost, safe_cost] =
        costs([&mut plain, &mut || keep_and_seal(&store, &identity, &files)])?;
    let mut developer = Developer::new(&config::Evidence::default())?;
    let image = image();
    let whole = cost(&mut || encode_keep_and_seal(&store, &identity, (&mut developer, &image)))?;
    let hash = least(RUNS, || {
        files
            .iter()
            .map(|f| sha256_hex(&f.bytes).len())
            .sum::<usize>()
    });
    let sign = least(RUNS, || {
        identity
            .sign(b"a manifest", Form::Detached, clock::now())
            .map(|signature| signature.len())
    });

    let title =
        |what| format!("{what} of a package, {PICTURES} pictures and a clip, {bytes} bytes");
    table(
        &title("CPU"),
        "write + fsync",
        &[
            ("write + fsync", plain_cost.cpu_ms),
            ("SHA-256 of the files", hash),
            ("one signature", sign),
            ("keep and seal", safe_cost.cpu_ms),
        ],
    );
    println!(
        "\nwall ms: write + fsync {:.1}, keep and seal {:.1}: × {:.2}",
        plain_cost.wall_ms,
        safe_cost.wall_ms,
        safe_cost.wall_ms / plain_cost.wall_ms
    );
    println!(
        "originals encoded, kept and sealed: {:.1} ms wall, {:.1} ms CPU",
        whole.wall_ms, whole.cpu_ms
    );
    #[cfg(feature = "c2pa")]
    credentials(&identity, (&mut developer, &image))?;
    case::table(dir.path())
}

/// What some work cost, or the least of [`RUNS`] runs, CPU and wall time each by itself.
#[derive(Clone, Copy)]
struct Cost {
    cpu_ms: f64,
    wall_ms: f64,
}

type Work<'a> = &'a mut dyn FnMut() -> anyhow::Result<()>;

/// The cost of each of `works`, run in turn.
fn costs<const N: usize>(works: [Work<'_>; N]) -> anyhow::Result<[Cost; N]> {
    let mut costs = [Cost::MOST; N];
    let mut works = works;
    for _ in 0..RUNS {
        for (cost, work) in costs.iter_mut().zip(&mut works) {
            *cost = cost.lesser(Cost::of(work)?);
        }
    }
    Ok(costs)
}

fn cost(work: Work<'_>) -> anyhow::Result<Cost> {
    costs([work]).map(|[cost]| cost)
}

impl Cost {
    const NONE: Self = Self {
        cpu_ms: 0.0,
        wall_ms: 0.0,
    };
    const MOST: Self = Self {
        cpu_ms: f64::INFINITY,
        wall_ms: f64::INFINITY,
    };

    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a benchmark")]
    fn of(work: Work<'_>) -> anyhow::Result<Self> {
        let (cpu, wall) = (cpu_ms(), clock::boot_ns());
        work()?;
        Ok(Self {
            cpu_ms: cpu_ms() - cpu,
            wall_ms: (clock::boot_ns() - wall) as f64 / 1e6,
        })
    }

    fn and(self, more: Self) -> Self {
        Self {
            cpu_ms: self.cpu_ms + more.cpu_ms,
            wall_ms: self.wall_ms + more.wall_ms,
        }
    }

    fn lesser(self, other: Self) -> Self {
        Self {
            cpu_ms: self.cpu_ms.min(other.cpu_ms),
            wall_ms: self.wall_ms.min(other.wall_ms),
        }
    }
}

/// What one case leaves: pictures and clip.
fn files() -> Vec<Draft> {
    let draft = |name: String, media_type: &str, bytes: usize| Draft {
        bytes: name.bytes().cycle().take(bytes).collect(),
        name,
        media_type: media_type.to_owned(),
        at: Some(clock::now()),
        pts_ns: None,
    };
    let pictures =
        (1..=PICTURES).map(|n| draft(format!("frames/0{n}.jpg"), "image/jpeg", PICTURE_BYTES));
    let clip = draft("clip.mp4".to_owned(), "video/mp4", CLIP_BYTES);
    pictures.chain([clip]).collect()
}

/// The same bytes in as many files, each durable.
fn write_plainly(dir: &Path, files: &[Draft]) -> anyhow::Result<()> {
    disk::create_dir(dir)?;
    for file in files {
        disk::write_under(dir, &file.name, &file.bytes)?;
    }
    Ok(())
}

/// A case's files kept as they come, then sealed.
fn keep_and_seal(store: &Store, identity: &Identity, files: &[Draft]) -> anyhow::Result<()> {
    let case = CaseId(Uuid::now_v7());
    store.keep(case, files, None)?;
    let at = clock::now();
    store.seal(
        case,
        |context| seal(&blank(DEVICE, case, at, &context), identity, at),
        None,
    )?;
    Ok(())
}

/// What the keeper does with a case's originals, and with the case at its end.
fn encode_keep_and_seal(
    store: &Store,
    identity: &Identity,
    (developer, image): (&mut Developer, &Image),
) -> anyhow::Result<()> {
    let case = CaseId(Uuid::now_v7());
    let files = files();
    let book = "{}";
    for mut file in files {
        if file.media_type == "image/jpeg" {
            file.bytes = developer.original(image, &exif(case))?;
        }
        #[cfg(feature = "c2pa")]
        if file.media_type == "image/jpeg" {
            file.bytes = c2pa::embed(identity, &file.bytes, &claim(case, &file.name))?;
        }
        store.keep(case, &[file], Some(book))?;
    }
    let at = clock::now();
    let make = |context| seal(&blank(DEVICE, case, at, &context), identity, at);
    store.seal(case, make, Some(book))?;
    Ok(())
}

/// Time and bytes of the manifests.
#[cfg(feature = "c2pa")]
fn credentials(
    identity: &Identity,
    (developer, image): (&mut Developer, &Image),
) -> anyhow::Result<()> {
    let case = CaseId(Uuid::now_v7());
    let name = "frames/01.jpg";
    let original = developer.original(image, &exif(case))?;
    let with = c2pa::embed(identity, &original, &claim(case, name))?;
    let marked = c2pa::Claim {
        origin: c2pa::Origin::Picture {
            name,
            bytes: &with,
            change: c2pa::Change::Drawn,
        },
        ..claim(case, "frames/01-marked.jpg")
    };
    let copy = c2pa::embed(identity, &original, &marked)?;
    table(
        &format!(
            "CPU of C2PA manifests; {} bytes more in an original, {} in a marked copy",
            with.len() - original.len(),
            copy.len() - original.len()
        ),
        "encoding alone",
        &[
            (
                "encoding alone",
                least(RUNS, || developer.original(image, &exif(case))),
            ),
            (
                "manifest of an original",
                least(RUNS, || {
                    c2pa::embed(identity, &original, &claim(case, name))
                }),
            ),
            (
                "manifest of a marked copy",
                least(RUNS, || c2pa::embed(identity, &original, &marked)),
            ),
        ],
    );
    Ok(())
}

#[cfg(feature = "c2pa")]
fn claim(package: CaseId, name: &str) -> c2pa::Claim<'_> {
    c2pa::Claim {
        name,
        media_type: "image/jpeg",
        package,
        kind: Some(Violation::StreetVending),
        at: clock::now(),
        placed: None,
        origin: c2pa::Origin::Camera,
    }
}

/// A 1080p picture that costs the encoder about what a street does.
fn image() -> Image {
    let (width, height) = (1920, 1080);
    let mut noise = 1_u32;
    let luma = (0..width * height).map(|i| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [grain, ..] = noise.to_be_bytes();
        u8::try_from((i % width / 8 + i / width) % 200).unwrap_or(0) + grain / 16
    });
    let mut bytes: Vec<u8> = luma.collect();
    bytes.resize(width * height * 3 / 2, 128);
    Image::packed(PixelFormat::I420, width, height, bytes)
}

fn exif(case: CaseId) -> Exif {
    Exif {
        at: clock::now(),
        time_zone: jiff::tz::TimeZone::UTC,
        placed: None,
        make: "Bureau".to_owned(),
        model: DEVICE.to_owned(),
        software: "lingmou".to_owned(),
        comment: String::new(),
        image_unique_id: case.0,
    }
}

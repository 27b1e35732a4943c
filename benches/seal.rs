//! Keeping and sealing a package, against writing the same bytes durably and nothing else.
//!
//! Five pictures and a clip of ten seconds. `write + fsync` is what no safe way can do without;
//! on top of it the store hashes every byte, holds two transactions and a journal line, and
//! signs. Wall time is the disk's, CPU time ours: both are told.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

mod common;

use std::path::Path;

use lingmou::clock;
use lingmou::config;
use lingmou::pki::TestPki;
use lingmou::store::{Draft, SealContext, Store, disk};
use lingmou::types::{CaseId, Outcome, Violation};
use lingmou::witness::{
    Camera, Clock, Device, Form, Identity, Software, Statement, ViolationFacts, seal, sha256_hex,
};
use uuid::Uuid;

use common::{cpu_ms, least, table};

const DEVICE: &str = "LM-BENCH-1";
const PICTURES: usize = 5;
/// A 1080p picture of a street at quality 90.
const PICTURE_BYTES: usize = 600 * 1024;
/// Ten seconds at 4 Mbit/s.
const CLIP_BYTES: usize = 5_000_000;
const RUNS: u32 = 12;

fn main() -> anyhow::Result<()> {
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
    let plain_cost = cost(&mut plain)?;
    let safe_cost = cost(&mut || keep_and_seal(&store, &identity, &files))?;
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
    Ok(())
}

/// The least of [`RUNS`] runs, each by itself.
struct Cost {
    cpu_ms: f64,
    wall_ms: f64,
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a benchmark")]
fn cost(work: &mut dyn FnMut() -> anyhow::Result<()>) -> anyhow::Result<Cost> {
    let mut cost = Cost {
        cpu_ms: f64::INFINITY,
        wall_ms: f64::INFINITY,
    };
    for _ in 0..RUNS {
        let (cpu, wall) = (cpu_ms(), clock::boot_ns());
        work()?;
        cost.cpu_ms = cost.cpu_ms.min(cpu_ms() - cpu);
        cost.wall_ms = cost.wall_ms.min((clock::boot_ns() - wall) as f64 / 1e6);
    }
    Ok(cost)
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
        |context| seal(&statement(case, context), identity, at),
        None,
    )?;
    Ok(())
}

fn statement(id: CaseId, context: SealContext) -> Statement {
    let (v, kind) = Statement::HEAD;
    let at = clock::now();
    let now = clock::rfc3339_ms(at.utc_ns);
    Statement {
        v,
        kind: kind.to_owned(),
        id,
        device: Device {
            id: DEVICE.to_owned(),
            model: None,
            tz: "Asia/Shanghai".to_owned(),
            boot_id: None,
        },
        seq: context.seq,
        journal: context.journal,
        after: context.last_receipt,
        site: None,
        violation: ViolationFacts {
            kind: Violation::StreetVending,
            rule: "warn-then-recheck".to_owned(),
            outcome: Outcome::Persisted,
            zone: None,
            first_seen: now.clone(),
            confirmed: now,
            dwell_s: None,
        },
        warning: Vec::new(),
        clock: Clock::at(at),
        position: None,
        heading: None,
        altitude: None,
        mavlink: None,
        camera: Camera {
            id: "bench".to_owned(),
            rtsp: None,
            onvif_serial: None,
            codec: None,
            clip: None,
        },
        software: Software {
            name: "lingmou".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            binary_sha256: None,
            config_sha256: None,
            model: None,
        },
        omitted: Vec::new(),
        grade: None,
        files: context.files,
    }
}

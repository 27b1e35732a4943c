//! One case through the daemon's own keeper: from the order that opens it to the package on the disk.
//!
//! The camera is a file of 1080p25 H.264, played in real time until the ring is full and the film is over,
//! so that nothing else runs when the orders come. They are of moments that are past by then, and so
//! nothing waits for frames, for the ten seconds between pictures or for the rest of the clip: what is
//! measured is the work. Each picture is the best of up to seven frames round its moment, decoded from
//! the ring, as an original, a close-up and a marked copy.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use lingmou::config::Config;
use lingmou::daemon::rehearsal::Rehearsal;
use lingmou::pki::TestPki;
use lingmou::types::{
    Area, CaseId, CaseRecord, Frame, Heard, Hit, HitOutcome, Order, Outcome, Role, RoleSet,
    ShotKind, Violation, WarnReport,
};
use lingmou::witness::{STATEMENT, Statement};
use lingmou::{disk, ingest};
use uuid::Uuid;

use super::{Cost, DEVICE, RUNS};

/// Found, warned, looked again: so long after the film's first frame. Ten seconds lie between, and the
/// clip round the first, five seconds on both sides, is in the film.
const MOMENTS: [Duration; 3] = [
    Duration::from_secs(7),
    Duration::from_millis(17_200),
    Duration::from_millis(27_400),
];
/// As long as the ring holds.
const FILM_SECS: &str = "29";
/// The film is over when no frame comes for so long.
const OVER: Duration = Duration::from_secs(3);
/// Half the clip, as configured.
const HALF_CLIP_NS: i64 = 5_000_000_000;
/// Who stands in the zone, and who passes.
const THINGS: [[f32; 4]; 4] = [
    [0.45, 0.36, 0.61, 0.53],
    [0.10, 0.30, 0.14, 0.48],
    [0.70, 0.25, 0.74, 0.42],
    [0.82, 0.55, 0.88, 0.80],
];

/// Measures it and prints a table; says so where there is no film.
pub(crate) fn table(dir: &Path) -> anyhow::Result<()> {
    let street = Path::new(env!("CARGO_MANIFEST_DIR")).join(".setup/bench/main.mp4");
    if !street.is_file() {
        println!(
            "\n(no row from a trigger to the sealed package: benches/yardstick/prepare.sh makes the film)"
        );
        return Ok(());
    }
    ingest::init()?;
    let film = cut(&street, dir)?;
    let mut case = Rehearsal::open(&Config::read(&configure(dir, &film)?)?)?;
    let moments = play(&case)?;
    let mut least = [Cost::MOST; 4];
    let mut package = PathBuf::new();
    for _ in 0..RUNS {
        let id = CaseId(Uuid::now_v7());
        let parts = carry(&mut case, id, &moments)?;
        let whole = parts.iter().fold(Cost::NONE, |sum, part| sum.and(*part));
        let [pictures, clip, seal] = parts;
        for (least, cost) in least.iter_mut().zip([pictures, clip, seal, whole]) {
            *least = least.lesser(cost);
        }
        package = case.package(id);
    }
    let (jpegs, bytes) = whole(&package)?;
    println!(
        "\n### From the trigger to the sealed package: {jpegs} JPEG of {} moments, a clip of ten seconds, {bytes} bytes\n\n\
         | part | CPU ms | wall ms |\n|---|---|---|",
        MOMENTS.len()
    );
    let names = ["pictures", "clip", "seal", "trigger to sealed"];
    for (name, cost) in names.into_iter().zip(least) {
        println!("| {name} | {:.1} | {:.1} |", cost.cpu_ms, cost.wall_ms);
    }
    println!("\n(without what the rules wait for; least of {RUNS}, each part by itself)");
    Ok(())
}

/// The beginning of the street, as it is coded.
fn cut(street: &Path, dir: &Path) -> anyhow::Result<PathBuf> {
    let film = dir.join("film.mp4");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-i"]).arg(street);
    ffmpeg.args(["-t", FILM_SECS, "-c", "copy"]).arg(&film);
    let made = ffmpeg
        .status()
        .context("ffmpeg is missing (make setup)")?
        .success();
    ensure!(made, "ffmpeg could not cut {}", street.display());
    Ok(film)
}

/// Keys and a configuration below `dir`; gives the configuration's path.
fn configure(dir: &Path, film: &Path) -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pki = TestPki::create(&dir.join("case-keys"), DEVICE)?;
    let text = format!(
        "[device]\nid = '{DEVICE}'\n\
         [keys]\ndir = '{keys}'\n\
         [model]\ncard = '{root}/models/efficientdet-lite0.toml'\n\
         [evidence]\nc2pa = {c2pa}\n\
         [warn]\nidentity = '{root}/config/clips/identity.wav'\n\
         street_vending = '{root}/config/clips/test.wav'\nout_of_store = '{root}/config/clips/test.wav'\n\
         [warn.speaker]\nkind = 'file'\npath = '{dir}/spoken.wav'\n\
         [store]\ndir = '{dir}/case-store'\nrun_dir = '{dir}/run'\n\
         [upload]\nenabled = false\n\
         [[camera]]\nname = 'street'\nkind = 'file'\npath = '{film}'\nrepeat = false\n\
         [[zone]]\nname = 'kerb'\ncamera = 'street'\nkind = 'no_vending'\n\
         polygon = [[0.4, 0.3], [0.7, 0.3], [0.7, 0.6], [0.4, 0.6]]\n",
        keys = pki.device.display(),
        root = root.display(),
        c2pa = cfg!(feature = "c2pa"),
        dir = dir.display(),
        film = film.display(),
    );
    let path = dir.join("case.toml");
    disk::write_new(&path, text.as_bytes())?;
    Ok(path)
}

/// Lets the film play to its end; gives the frames of the moments.
fn play(case: &Rehearsal) -> anyhow::Result<Vec<Frame>> {
    let mut first = None;
    let mut moments: Vec<Frame> = Vec::new();
    while let Some(frame) = case.frame(OVER) {
        let first = *first.get_or_insert(frame.at);
        let next = MOMENTS.get(moments.len());
        if next.is_some_and(|next| frame.at.since(first) >= *next) {
            moments.push(frame);
        }
    }
    ensure!(moments.len() == MOMENTS.len(), "the film is too short");
    Ok(moments)
}

/// Has the case carried out; gives what pictures, clip and seal cost.
fn carry(case: &mut Rehearsal, id: CaseId, moments: &[Frame]) -> anyhow::Result<[Cost; 3]> {
    let [found, warned, again] = moments else {
        anyhow::bail!("three moments");
    };
    let person: RoleSet = [Role::Person].into_iter().collect();
    let seen = THINGS.map(|[x0, y0, x1, y1]| (Area { x0, y0, x1, y1 }, person));
    let record = record(id, moments);
    let opened = Hit {
        outcome: HitOutcome::Opened,
        ..record.hit()
    };
    let opened = Order::Hit {
        case: id,
        hit: Box::new(opened),
    };
    let snap = |kind, frame: &Frame| Order::Snap {
        case: id,
        violation: Violation::StreetVending,
        kind,
        at: frame.at,
        subject: Some(seen[0].0),
        place: seen[0].0,
        zone: record.zone.clone(),
        outcome: (kind == ShotKind::Again).then_some(Outcome::Persisted),
    };
    let pictures = [
        (found, vec![opened, snap(ShotKind::Found, found)]),
        (warned, vec![snap(ShotKind::Warned, warned)]),
        (again, vec![snap(ShotKind::Again, again)]),
    ];
    let clip = Order::Clip {
        case: id,
        violation: Violation::StreetVending,
        from: found.at.shifted_ns(-HALF_CLIP_NS),
        to: found.at.shifted_ns(HALF_CLIP_NS),
    };
    let seal = Order::Seal {
        case: id,
        record: Box::new(record.clone()),
    };
    let mut steps = pictures.into_iter();
    Ok([
        Cost::of(&mut || steps.try_for_each(|(frame, orders)| case.carry(frame, &seen, orders)))?,
        Cost::of(&mut || case.carry(warned, &seen, vec![clip.clone()]))?,
        Cost::of(&mut || case.carry(again, &seen, vec![seal.clone()]))?,
    ])
}

/// Who was warned and stayed.
fn record(case: CaseId, moments: &[Frame]) -> CaseRecord {
    let at = |n: usize| moments[n].at;
    CaseRecord {
        violation: Violation::StreetVending,
        camera: 0,
        zone: "kerb".to_owned(),
        first_seen: at(0).shifted_ns(-HALF_CLIP_NS),
        confirmed: at(0),
        warning: Some(WarnReport {
            case,
            at: at(1),
            played: Duration::from_secs(5),
            clip_sha256: "00".repeat(32),
            identity_sha256: None,
            failure: None,
            journal_n: None,
            hushed: None,
            heard: Some(Heard::NoMicrophone),
        }),
        looked_again: Some(at(2)),
        outcome: Outcome::Persisted,
        prior: None,
        likeness: Some(990),
        gates: Vec::new(),
        crossed: false,
    }
}

/// How many pictures the package holds, and its bytes; nothing may be missing in it.
fn whole(package: &Path) -> anyhow::Result<(usize, u64)> {
    let statement = Statement::parse(&std::fs::read(package.join(STATEMENT))?)?;
    let missing = &statement.omitted;
    ensure!(missing.is_empty(), "something is missing: {missing:?}");
    let files = &statement.files;
    let clip = files.iter().any(|file| file.name == "clip.mp4");
    let jpegs = files.iter().filter(|file| file.of.is_some()).count();
    ensure!(
        clip && jpegs == 3 * MOMENTS.len(),
        "{jpegs} pictures, clip: {clip}"
    );
    Ok((jpegs, files.iter().map(|file| file.size).sum()))
}

//! The store against kill −9, a second process, and a disk that really is full.
//!
//! The processes that are killed are this test program itself, told by an environment variable
//! to run [`child_entry`] as a daemon would: keep, seal with a real key, send, receipt.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use crate::skip::skipped;
use lingmou::clock;
use lingmou::config;
use lingmou::journal;
use lingmou::pki::TestPki;
use lingmou::store::{Database, Healed, Level, MirrorStep, State, Store, StoreError, mirror_init};
use lingmou::types::CaseId;
use lingmou::witness::{Roots, verify_path};
use uuid::Uuid;

use crate::hands::{DEVICE, Dice, Hands, in_a_year};

/// Tells a copy of this program that it is the child, and where its folder is.
const CHILD: &str = "LINGMOU_TEST_CRASH_CHILD";

/// Tells it to look after its store as well.
const CARE_CHILD: &str = "LINGMOU_TEST_CRASH_CARE_CHILD";

/// Kills in a loop, where [`KILLS`] says nothing else.
const KILLS_ORDINARY: u32 = 30;

/// Says how many kills each loop has: `make kill-loop KILLS=100`.
const KILLS: &str = "LINGMOU_TEST_KILLS";

/// Brings back the moments of an earlier run by the seed it printed.
const SEED: &str = "LINGMOU_TEST_SEED";

/// A child that says nothing for this long has hung.
const SILENCE_MAX: Duration = Duration::from_mins(1);

pub(super) fn store_config(dir: &Path) -> config::Store {
    config::Store {
        dir: dir.join("store"),
        keep_free_mib: 0,
        ballast_mib: 0,
        ..config::Store::default()
    }
}

/// The same with everything that looks after a store: ballast, second copy, pruning.
fn care_config(dir: &Path) -> config::Store {
    config::Store {
        ballast_mib: 2,
        mirror: dir.join("medium"),
        ..store_config(dir)
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var_os(variable)?;
    let number = text.to_str().and_then(|text| text.parse().ok());
    Some(number.unwrap_or_else(|| panic!("{variable} must be a number")))
}

/// How often a loop kills; `ordinary` unless the environment says more or less.
pub(super) fn kills(ordinary: u32) -> u32 {
    number(KILLS).map_or(ordinary, |kills| u32::try_from(kills).unwrap())
}

/// Dice with a different seed every run, which they print, or with the one that is asked for.
pub(super) fn seeded() -> Dice {
    let seed = number(SEED).unwrap_or_else(|| clock::now().utc_ns.unsigned_abs());
    println!("moments of the kills: {SEED}={seed}");
    Dice(seed)
}

pub(super) fn keys(dir: &Path) -> PathBuf {
    dir.join("keys")
}

/// The store at `dir`, in use.
pub(super) fn hands_on(dir: &Path) -> Hands {
    Hands::open(&keys(dir), &store_config(dir)).unwrap()
}

/// Not a test by itself: a child that seals, receipts, mirrors and prunes, until it is killed.
#[test]
fn care_child_entry() {
    let Some(dir) = std::env::var_os(CARE_CHILD) else {
        return;
    };
    let dir = Path::new(&dir);
    let hands = Hands::open(&keys(dir), &care_config(dir)).unwrap();
    let mut out = std::io::stdout();
    let mut say = |what: &str, id: CaseId| {
        writeln!(out, "{what} {id}").unwrap();
        out.flush().unwrap();
    };
    loop {
        let id = CaseId(Uuid::now_v7());
        hands.keep(id, 20_000).unwrap();
        hands.seal(id).unwrap();
        say("sealed", id);
        if let Some(id) = hands.receipt() {
            say("receipted", id);
        }
        let step = hands.store.mirror_step().unwrap();
        let troubled = matches!(step, MirrorStep::Missing(_) | MirrorStep::Failed(_));
        assert!(!troubled, "{step:?}");
        hands.store.care(in_a_year(), true).unwrap();
    }
}

/// Not a test by itself: the life of a child, until it is killed.
#[test]
fn child_entry() {
    let Some(dir) = std::env::var_os(CHILD) else {
        return;
    };
    let hands = hands_on(Path::new(&dir));
    let mut out = std::io::stdout();
    let mut say = |what: &str, id: CaseId| {
        writeln!(out, "{what} {id}").unwrap();
        out.flush().unwrap();
    };
    for round in 0.. {
        let id = CaseId(Uuid::now_v7());
        hands.keep(id, 40_000).unwrap();
        if round % 5 == 4 {
            hands.store.discard(id, "for a change", None).unwrap();
            continue;
        }
        hands.seal(id).unwrap();
        say("sealed", id);
        if round % 2 == 1
            && let Some(id) = hands.receipt()
        {
            say("receipted", id);
        }
    }
}

fn spawn(dir: &Path) -> Child {
    spawn_as("crash::child_entry", CHILD, dir)
}

fn spawn_as(entry: &str, variable: &str, dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", entry, "--nocapture"])
        .env(variable, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Kills a child some time after its start or its first word, returns what it promised.
fn run_and_kill(mut child: Child, from_first_word: bool, after: Duration) -> Vec<(String, CaseId)> {
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (words, promised) = sync_channel(1024);
    let reader = std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            let Some((what, id)) = line.split_once(' ') else {
                continue;
            };
            if let ("sealed" | "receipted", Ok(id)) = (what, Uuid::parse_str(id)) {
                words.send((what.to_owned(), CaseId(id))).unwrap();
            }
        }
    });
    let mut got = Vec::new();
    if from_first_word {
        got.push(promised.recv_timeout(SILENCE_MAX).unwrap());
    }
    let end = clock::boot_ns() + u64::try_from(after.as_nanos()).unwrap();
    loop {
        let left = Duration::from_nanos(end.saturating_sub(clock::boot_ns()));
        match promised.recv_timeout(left) {
            Ok(word) => got.push(word),
            Err(RecvTimeoutError::Timeout) => break,
            Err(RecvTimeoutError::Disconnected) => panic!("the child ended by itself"),
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    got.extend(promised.try_iter());
    got
}

pub(super) fn with_keys() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    TestPki::create(&keys(dir.path()), DEVICE).unwrap();
    dir
}

#[test]
fn nothing_sealed_is_lost_to_kill_9() {
    let dir = with_keys();
    let roots = Roots::load(&keys(dir.path()).join("ca/root.crt")).unwrap();
    let mut dice = seeded();
    let mut promised = BTreeMap::new();
    let (mut adopted, mut leftovers, mut delays) = (0, 0, Vec::new());
    let kills = kills(KILLS_ORDINARY);
    for kill in 0..kills {
        let after = Duration::from_micros(dice.below(200_000));
        delays.push(after.as_micros());
        for (what, id) in run_and_kill(spawn(dir.path()), kill % 3 != 0, after) {
            promised.insert(id, what);
        }
        let (store, recovery) = Store::open(&store_config(dir.path()), DEVICE).unwrap();
        assert!(!matches!(recovery.database, Database::Rebuilt { .. }));
        assert_eq!(recovery.damaged, []);
        assert!(recovery.adopted.len() <= 1, "{recovery:?}");
        adopted += recovery.adopted.len();
        leftovers += recovery.leftovers;
        assert!(store.open_cases().unwrap().len() <= 1);
        for case in store.open_cases().unwrap() {
            store.discard(case, "its process was killed", None).unwrap();
        }
        for (id, what) in &promised {
            let state = store.state(*id).unwrap();
            let expected = if what == "receipted" {
                [State::Receipted, State::Receipted]
            } else {
                [State::Queued, State::Receipted]
            };
            assert!(
                state.is_some_and(|s| expected.contains(&s)),
                "{id} {what} {state:?}"
            );
        }
    }
    let (store, _) = Store::open(&store_config(dir.path()), DEVICE).unwrap();
    assert_eq!(store.check().unwrap(), []);
    journal::verify(&dir.path().join("store/journal")).unwrap();
    let packages = std::fs::read_dir(dir.path().join("store/packages")).unwrap();
    let mut count = 0;
    for package in packages {
        let verdict = verify_path(&package.unwrap().path(), &roots).unwrap();
        assert!(verdict.valid(), "{verdict:?}");
        count += 1;
    }
    assert!(count >= promised.len());
    println!(
        "{kills} kills, {} packages promised, {count} there and VALID, {adopted} adopted, \
         {leftovers} leftovers removed, 0 lost; delays in µs: {delays:?}",
        promised.len()
    );
}

#[test]
fn a_second_process_is_kept_out_until_the_first_dies() {
    let dir = with_keys();
    let mut child = spawn(dir.path());
    let mut words = BufReader::new(child.stdout.take().unwrap()).lines();
    let busy = words
        .by_ref()
        .map_while(Result::ok)
        .any(|line| line.starts_with("sealed "));
    assert!(busy);
    let error = Store::open(&store_config(dir.path()), DEVICE).unwrap_err();
    assert!(matches!(error, StoreError::Locked { pid, .. } if pid == Some(child.id())));
    child.kill().unwrap();
    child.wait().unwrap();
    Store::open(&store_config(dir.path()), DEVICE).unwrap();
}

/// A file system of a few megabytes, unmounted when dropped; `None` without the right to mount.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=6m", "lingmou-test"])
            .arg(at)
            .stderr(Stdio::null())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let gone = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(gone.is_ok_and(|status| status.success()));
    }
}

#[test]
fn a_full_disk_loses_nothing_that_is_sealed() {
    let dir = with_keys();
    let Some(disk) = SmallDisk::mount(&dir.path().join("store")) else {
        skipped("mounting a small disk needs root");
        return;
    };
    let hands = hands_on(dir.path());
    let foreign = dir.path().join("store/foreign");
    let mut file = std::fs::File::create(&foreign).unwrap();
    file.write_all(&vec![0; 1 << 20]).unwrap();
    let mut sealed = Vec::new();
    let refused = loop {
        let id = CaseId(Uuid::now_v7());
        match hands.keep(id, 60_000).and_then(|()| hands.seal(id)) {
            Ok(()) => sealed.push(id),
            // It is a fact already, and with a little room goes the rest of its way.
            Err(_) if hands.store.package_dir(id).exists() => {
                file.set_len((1 << 20) - (1 << 16)).unwrap();
                sealed.push(id);
            }
            Err(error) => break (id, error),
        }
    };
    let no_room =
        |error: &StoreError| matches!(error, StoreError::Full { .. } | StoreError::Shut { .. });
    assert!(no_room(&refused.1), "{:?}", refused.1);
    assert!(sealed.len() > 5, "{}", sealed.len());
    let whole = |store: &Store| {
        for id in &sealed {
            assert_eq!(store.state(*id).unwrap(), Some(State::Queued));
        }
        assert_eq!(store.check().unwrap(), []);
    };
    whole(&hands.store);
    // To the last byte, so that neither journal nor database can write.
    while file.write_all(&[0; 1024]).is_ok() {}
    let note = || {
        hands
            .store
            .note(clock::now(), "boot", serde_json::json!({}))
    };
    // The last page of the journal's file has room for some lines yet.
    while note().is_ok() {}
    for _ in 0..2 {
        let result = note();
        assert!(matches!(result, Err(StoreError::Full { .. })), "{result:?}");
        let result = hands.keep(refused.0, 60_000);
        assert!(result.as_ref().is_err_and(no_room), "{result:?}");
    }
    whole(&hands.store);
    drop(hands);
    let result = Store::open(&store_config(dir.path()), DEVICE).map(|_| ());
    assert!(matches!(result, Err(StoreError::Full { .. })), "{result:?}");
    drop(file);
    std::fs::remove_file(&foreign).unwrap();
    let (store, recovery) = Store::open(&store_config(dir.path()), DEVICE).unwrap();
    assert_eq!(recovery.database, Database::Sound);
    store.discard(refused.0, "no room", None).unwrap();
    whole(&store);
    println!("full after {} packages, none lost", sealed.len());
    drop(store);
    drop(disk);
}

/// A second medium at `dir/medium`: a folder on another disk, mounted there. `None` where there
/// is no other disk, or no right to mount.
struct Medium {
    shelf: tempfile::TempDir,
    place: PathBuf,
}

impl Medium {
    fn new(dir: &Path) -> Option<Self> {
        let medium = Self {
            shelf: tempfile::tempdir_in("/dev/shm").ok()?,
            place: dir.join("medium"),
        };
        std::fs::create_dir(&medium.place).unwrap();
        medium.put_in().then_some(medium)
    }

    fn put_in(&self) -> bool {
        let mut mount = Command::new("mount");
        mount.arg("--bind").arg(self.shelf.path()).arg(&self.place);
        mount
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    fn pull(&self) -> bool {
        let mut umount = Command::new("umount");
        let gone = umount
            .arg("--lazy")
            .arg(&self.place)
            .stderr(Stdio::null())
            .status();
        gone.is_ok_and(|status| status.success())
    }
}

impl Drop for Medium {
    fn drop(&mut self) {
        self.pull();
    }
}

/// Steps until the second medium has everything.
fn catch_up(store: &Store) -> u32 {
    for copied in 0.. {
        match store.mirror_step().unwrap() {
            MirrorStep::Copied(_) | MirrorStep::Restored(_) => {}
            MirrorStep::Idle => return copied,
            other => panic!("{other:?}"),
        }
    }
    unreachable!("the medium is full before")
}

#[test]
fn nothing_is_lost_to_kill_9_while_mirroring_and_pruning() {
    let dir = with_keys();
    let Some(medium) = Medium::new(dir.path()) else {
        skipped("a second medium needs /dev/shm and the right to mount");
        return;
    };
    let config = care_config(dir.path());
    drop(Store::open(&config, DEVICE).unwrap());
    mirror_init(&medium.place, &config.dir, DEVICE).unwrap();
    let roots = Roots::load(&keys(dir.path()).join("ca/root.crt")).unwrap();
    let mut dice = seeded();
    let mut promised = BTreeMap::new();
    let mut delays = Vec::new();
    let kills = kills(KILLS_ORDINARY / 2);
    for kill in 0..kills {
        let after = Duration::from_micros(dice.below(200_000));
        delays.push(after.as_micros());
        let child = spawn_as("crash::care_child_entry", CARE_CHILD, dir.path());
        promised.extend(
            run_and_kill(child, kill % 3 != 0, after)
                .into_iter()
                .map(|(w, id)| (id, w)),
        );
        let (store, recovery) = Store::open(&config, DEVICE).unwrap();
        assert_eq!(recovery.damaged, []);
        for case in store.open_cases().unwrap() {
            store.discard(case, "its process was killed", None).unwrap();
        }
        for (id, what) in &promised {
            let state = store.state(*id).unwrap();
            let answered = matches!(state, Some(State::Receipted | State::Pruned));
            let waits = what == "sealed" && state == Some(State::Queued);
            assert!(answered || waits, "{id} {what} {state:?}");
        }
        assert_eq!(store.check().unwrap(), []);
    }
    let (store, _) = Store::open(&config, DEVICE).unwrap();
    catch_up(&store);
    let pruned = store
        .counts()
        .unwrap()
        .states
        .get(&State::Pruned)
        .map_or(0, |c| c.packages);
    assert!(pruned > 0, "the children came to prune");
    let copies = medium.place.join("packages");
    for id in promised.keys() {
        let verdict = verify_path(&copies.join(id.to_string()), &roots).unwrap();
        assert!(verdict.valid(), "{verdict:?}");
    }
    journal::verify(&medium.place.join("journal")).unwrap();
    println!(
        "{kills} kills, {} packages promised, {pruned} pruned, every copy VALID; delays in µs: {delays:?}",
        promised.len(),
    );
}

#[test]
fn a_medium_that_is_pulled_and_returned_is_caught_up() {
    let dir = with_keys();
    let Some(medium) = Medium::new(dir.path()) else {
        skipped("a second medium needs /dev/shm and the right to mount");
        return;
    };
    let hands = Hands::open(&keys(dir.path()), &care_config(dir.path())).unwrap();
    let seal = || {
        let id = CaseId(Uuid::now_v7());
        hands
            .keep(id, 20_000)
            .and_then(|()| hands.seal(id))
            .unwrap();
        id
    };
    mirror_init(&medium.place, &dir.path().join("store"), DEVICE).unwrap();
    let first = seal();
    assert_eq!(catch_up(&hands.store), 1);
    assert!(medium.pull());
    let second = seal();
    for _ in 0..2 {
        let step = hands.store.mirror_step().unwrap();
        assert!(matches!(step, MirrorStep::Missing(_)), "{step:?}");
    }
    let left = std::fs::read_dir(&medium.place).unwrap().count();
    assert_eq!(left, 0, "the mount point is not filled");
    let here = mirror_init(&medium.place, &dir.path().join("store"), DEVICE);
    assert!(
        here.is_err(),
        "a folder on the store's own disk is no medium"
    );
    assert!(medium.put_in());
    assert_eq!(catch_up(&hands.store), 1);
    // And it gives back what rots here.
    for id in [first, second] {
        std::fs::remove_file(hands.store.package_dir(id).join("clip.mp4")).unwrap();
        assert!(
            matches!(hands.store.heal(id).unwrap(), Healed::Whole(files) if files == ["clip.mp4"])
        );
    }
    assert_eq!(hands.store.check().unwrap(), []);
}

/// What does not fit is not written to be found too much, and what is there stays.
#[test]
fn a_medium_without_room_is_left_alone() {
    let dir = with_keys();
    let place = dir.path().join("medium");
    let Some(disk) = SmallDisk::mount(&place) else {
        skipped("mounting a small disk needs root");
        return;
    };
    let hands = Hands::open(&keys(dir.path()), &care_config(dir.path())).unwrap();
    mirror_init(&place, &dir.path().join("store"), DEVICE).unwrap();
    let mut copied = 0;
    let why = loop {
        let id = CaseId(Uuid::now_v7());
        hands
            .keep(id, 200_000)
            .and_then(|()| hands.seal(id))
            .unwrap();
        match hands.store.mirror_step().unwrap() {
            MirrorStep::Copied(_) => copied += 1,
            MirrorStep::Failed(why) => break why,
            other => panic!("{other:?}"),
        }
    };
    assert!(why.contains("has no room for a package of"), "{why}");
    assert!(copied > 1);
    let names = |folder: &str| std::fs::read_dir(place.join(folder)).unwrap().count();
    assert_eq!((names("staging"), names("packages")), (0, copied));
    drop(disk);
}

#[test]
fn on_a_disk_that_is_really_full_the_ballast_takes_the_last_words() {
    let dir = with_keys();
    let Some(disk) = SmallDisk::mount(&dir.path().join("store")) else {
        skipped("mounting a small disk needs root");
        return;
    };
    let config = config::Store {
        ballast_mib: 64,
        ..store_config(dir.path())
    };
    let hands = Hands::open(&keys(dir.path()), &config).unwrap();
    assert_eq!(
        hands.store.care(clock::now(), false).unwrap().ballast_owed,
        0
    );
    let ballast = dir.path().join("store/ballast");
    let eighth = std::fs::metadata(&ballast).unwrap().len();
    assert_eq!(eighth, 6 * 1024 * 1024 / 8, "a small disk gets a small one");
    let id = CaseId(Uuid::now_v7());
    hands.keep(id, 60_000).unwrap();
    let foreign = dir.path().join("store/foreign");
    let mut file = std::fs::File::create(&foreign).unwrap();
    while file.write_all(&[0; 1024]).is_ok() {}
    // Full to the last byte; what was seen to its end is sealed all the same.
    hands.seal(id).unwrap();
    assert!(!ballast.exists());
    for _ in 0..100 {
        hands
            .store
            .note(clock::now(), "boot", serde_json::json!({}))
            .unwrap();
    }
    let refused = hands.keep(CaseId(Uuid::now_v7()), 60_000);
    assert!(refused.is_err(), "its room is not for new evidence");
    let care = hands.store.care(clock::now(), true).unwrap();
    assert_eq!((care.level, care.ballast_owed), (Level::Shut, eighth));
    drop(file);
    std::fs::remove_file(&foreign).unwrap();
    let care = hands.store.care(clock::now(), true).unwrap();
    assert_eq!((care.level, care.ballast_owed), (Level::Ample, 0));
    hands.keep(CaseId(Uuid::now_v7()), 60_000).unwrap();
    assert_eq!(hands.store.check().unwrap(), []);
    drop(hands);
    drop(disk);
}

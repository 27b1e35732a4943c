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

use lingmou::clock;
use lingmou::config;
use lingmou::journal;
use lingmou::pki::TestPki;
use lingmou::store::{Database, Draft, ReceiptFacts, SealContext, State, Store, StoreError};
use lingmou::types::{CaseId, Outcome, Stamp, Violation};
use lingmou::witness::{
    Camera, Clock, Device, Identity, Receipt, ReceiptVerdict, Roots, Sealed, Software, Statement,
    ViolationFacts, seal, verify_path,
};
use uuid::Uuid;

const DEVICE: &str = "LM-CRASH-1";

/// Tells a copy of this program that it is the child, and where its folder is.
const CHILD: &str = "LINGMOU_TEST_CRASH_CHILD";

/// Kills in the loop.
const KILLS: u32 = 30;

/// A child that says nothing for this long has hung.
const SILENCE_MAX: Duration = Duration::from_mins(1);

fn store_config(dir: &Path) -> config::Store {
    config::Store {
        dir: dir.join("store"),
        keep_free_mib: 0,
        ..config::Store::default()
    }
}

fn keys(dir: &Path) -> PathBuf {
    dir.join("keys")
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

fn statement(id: CaseId, context: SealContext, at: Stamp) -> Statement {
    let (v, kind) = Statement::HEAD;
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
            confirmed: now.clone(),
            dwell_s: None,
        },
        warning: Vec::new(),
        clock: Clock {
            utc: now,
            boottime_ns: at.boot_ns,
            source: None,
            synced: false,
            max_error_us: None,
            gnss_minus_system_us: None,
            last_step: None,
            capture_source: None,
        },
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
        files: context.files,
    }
}

/// What the daemon's keeper and the receiver do, one after the other.
struct Hands {
    store: Store,
    evidence: Identity,
    receiver: Identity,
}

impl Hands {
    fn new(dir: &Path) -> Self {
        let (store, _) = Store::open(&store_config(dir), DEVICE).unwrap();
        Self {
            store,
            evidence: Identity::load(&keys(dir).join("device"), "evidence").unwrap(),
            receiver: Identity::load(&keys(dir).join("receiver"), "receiver").unwrap(),
        }
    }

    fn keep(&self, id: CaseId, bytes: usize) -> Result<(), StoreError> {
        let drafts = drafts(bytes);
        let (pictures, clip) = drafts.split_at(3);
        self.store.keep(id, pictures, Some(&format!("open {id}")))?;
        self.store.keep(id, clip, Some(&format!("clipped {id}")))
    }

    fn seal(&self, id: CaseId) -> Result<(), StoreError> {
        let at = clock::now();
        let make = |context| -> Result<Sealed, _> {
            seal(&statement(id, context, at), &self.evidence, at)
        };
        self.store.seal(id, make, Some("none open"))
    }

    fn receipt(&self) -> Option<CaseId> {
        let due = self.store.next_due(clock::now()).unwrap()?;
        self.store.step(due.id, State::Sending).unwrap();
        self.store.step(due.id, State::Sent).unwrap();
        let at = clock::now();
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

/// Not a test by itself: the life of a child, until it is killed.
#[test]
fn child_entry() {
    let Some(dir) = std::env::var_os(CHILD) else {
        return;
    };
    let hands = Hands::new(Path::new(&dir));
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
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child_entry", "--nocapture"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Starts a child, kills it some time after its start or its first word, returns what it
/// promised.
fn run_and_kill(dir: &Path, from_first_word: bool, after: Duration) -> Vec<(String, CaseId)> {
    let mut child = spawn(dir);
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

fn with_keys() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    TestPki::create(&keys(dir.path()), DEVICE).unwrap();
    dir
}

#[test]
fn nothing_sealed_is_lost_to_kill_9() {
    let dir = with_keys();
    let roots = Roots::load(&keys(dir.path()).join("ca/root.crt")).unwrap();
    // A different moment every run; the moments themselves are printed.
    let mut random = clock::now().utc_ns.unsigned_abs() | 1;
    let mut promised = BTreeMap::new();
    let (mut adopted, mut leftovers, mut delays) = (0, 0, Vec::new());
    for kill in 0..KILLS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let after = Duration::from_micros(random % 200_000);
        delays.push(after.as_micros());
        for (what, id) in run_and_kill(dir.path(), kill % 3 != 0, after) {
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
        "{KILLS} kills, {} packages promised, {count} there and VALID, {adopted} adopted, \
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
        println!("skipped: mounting a small disk needs root");
        return;
    };
    let hands = Hands::new(dir.path());
    let ballast = dir.path().join("store/ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    file.write_all(&vec![0; 1 << 20]).unwrap();
    let mut sealed = Vec::new();
    let refused = loop {
        let id = CaseId(Uuid::now_v7());
        match hands.keep(id, 60_000).and_then(|()| hands.seal(id)) {
            Ok(()) => sealed.push(id),
            Err(error) => break (id, error),
        }
    };
    assert!(
        matches!(refused.1, StoreError::Full { .. }),
        "{:?}",
        refused.1
    );
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
        assert!(matches!(result, Err(StoreError::Full { .. })), "{result:?}");
    }
    whole(&hands.store);
    drop(hands);
    let result = Store::open(&store_config(dir.path()), DEVICE).map(|_| ());
    assert!(matches!(result, Err(StoreError::Full { .. })), "{result:?}");
    drop(file);
    std::fs::remove_file(&ballast).unwrap();
    let (store, recovery) = Store::open(&store_config(dir.path()), DEVICE).unwrap();
    assert_eq!(recovery.database, Database::Sound);
    store.discard(refused.0, "no room", None).unwrap();
    whole(&store);
    println!("full after {} packages, none lost", sealed.len());
    drop(store);
    drop(disk);
}

//! What goes wrong in the field while the daemon runs: the rest goes on, the status says so, and
//! it heals by itself.

use std::io::Write as _;

use super::*;
use crate::skip::skipped;

/// Told to stop, the daemon ends within this time.
const STOPS_WITHIN: Duration = Duration::from_secs(10);

/// The page of `lingmou status` and its exit code.
pub(super) fn status_page(field: &Field) -> (String, Option<i32>) {
    let out = Command::new(env!("CARGO_BIN_EXE_lingmou"))
        .args(["status", "--run-dir"])
        .arg(field.run_dir())
        .output()
        .unwrap();
    let page = String::from_utf8(out.stdout).unwrap();
    (page, out.status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_camera_and_a_dead_broker_stop_nobody_else() {
    let live = camera();
    let port = free_tcp_port();
    let mut field = Field::start(&live.url(STREAM), &|profile| {
        let mut dead = profile["camera"][0].as_table().unwrap().clone();
        dead["name"] = value("dead");
        dead["url"] = value(format!("rtsp://127.0.0.1:{port}{STREAM}"));
        let cameras = profile["camera"].as_array_of_tables_mut().unwrap();
        cameras.push(dead);
        with_a_loudspeaker_at_one_camera_and_a_horn_for_the_other(profile);
    })
    .await;
    field.broker.kill().unwrap();
    let mut daemon = field.daemon();
    until(&field, "a package sealed on the box", async || {
        field.status().await["keeper"]["sealed"].as_u64() >= Some(1)
    })
    .await;
    let status = field.status().await;
    assert_eq!(status["cameras"]["street"]["phase"], "playing");
    assert_ne!(status["cameras"]["dead"]["phase"], "playing");
    assert_eq!(status["upload"]["connected"], false);
    assert!(field.receipted().is_empty());
    assert!(field.dir.path().join(STREET_SPEAKER).is_file());
    assert_eq!(field.journal("warning.tone").len(), 0);
    let (page, code) = status_page(&field);
    assert_eq!(code, Some(1), "{page}");
    for trouble in ["\n! camera dead: ", "\n! upload: "] {
        assert!(page.contains(trouble), "{page}");
    }
    assert!(!page.contains("\n! camera street"), "{page}");

    field.broker.restart().await.unwrap();
    until(
        &field,
        "the receipt, now that the broker is there",
        async || !field.receipted().is_empty(),
    )
    .await;
    let _revived = camera_at(port);
    until(&field, "the camera that came back", async || {
        field.status().await["cameras"]["dead"]["phase"] == "playing"
    })
    .await;
    whom_a_horn_sounded_for_is_not_accused(&field).await;
    daemon.signal(Signal::TERM);
    let status = daemon.ended(STOPS_WITHIN).await;
    assert_eq!(status.and_then(|s| s.code()), Some(0), "{}", field.log());
    for package in field.receipted() {
        field.audit(&package);
    }
}

/// Who stands at the kerb by the camera `street` is spoken to by its own loudspeaker; for who
/// stands there by the camera `dead` the vehicle's horn sounds.
fn with_a_loudspeaker_at_one_camera_and_a_horn_for_the_other(profile: &mut DocumentMut) {
    let zones = profile["zone"].as_array_of_tables_mut().unwrap();
    let mut yard = zones.get(0).unwrap().clone();
    yard["name"] = value("yard");
    yard["camera"] = value("dead");
    zones.push(yard);
    profile["warn"]["speaker"]["kind"] = value("mavlink");
    add_street_speaker(profile);
}

/// A tone has told nobody anything: its case ends like one that was not to be warned, without a
/// package, and every warning that was played was for the other zone.
async fn whom_a_horn_sounded_for_is_not_accused(field: &Field) {
    until(field, "the horn", async || {
        !field.journal("warning.tone").is_empty()
    })
    .await;
    let tone = &field.journal("warning.tone")[0]["body"];
    assert_eq!(
        (&tone["zone"], &tone["tone"]),
        (&"yard".into(), &"relay".into())
    );
    let case = &tone["case"];
    let hushed = |line: &Value| line["body"]["outcome"] == "hushed";
    until(field, "the end of its case", async || {
        field.journal_of("rule.hit", case).iter().any(hushed)
    })
    .await;
    assert!(!field.package(case).exists());
    for played in field.journal("warning.played") {
        assert_eq!(played["body"]["zone"], "kerb", "{played}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_camera_that_is_away_at_start_is_a_state_and_comes_up_later() {
    let port = free_tcp_port();
    let url = format!("rtsp://127.0.0.1:{port}{STREAM}");
    let field = Field::start(&url, &|profile| {
        profile["guard"]["bad_secs"] = value(1.0);
        profile["guard"]["good_secs"] = value(1.0);
    })
    .await;
    let mut daemon = field.daemon();
    until(
        &field,
        "a refusal, and the broker all the same",
        async || {
            let status = field.status().await;
            status["cameras"]["street"]["phase"] == "failed"
                && status["upload"]["connected"] == true
        },
    )
    .await;
    let status = field.status().await;
    let camera = &status["cameras"]["street"];
    let cause = camera["cause"].as_str().unwrap_or_default();
    assert!(cause.contains("refuses the connection"), "{cause}");
    let (page, code) = status_page(&field);
    assert_eq!(code, Some(1), "{page}");
    assert!(page.contains("\n! camera street: "), "{page}");

    let film = bagged(field.dir.path());
    let _camera = camera_of(&film, port);
    until(&field, "the camera, now that it is there", async || {
        field.status().await["cameras"]["street"]["phase"] == "playing"
    })
    .await;
    through_a_covered_lens_nobody_is_judged(&field).await;
    daemon.signal(Signal::TERM);
    let status = daemon.ended(STOPS_WITHIN).await;
    assert_eq!(status.and_then(|s| s.code()), Some(0), "{}", field.log());
}

/// The camera came back with its lens in a bag: an alarm, and people who stand at the kerb are
/// neither warned nor recorded until the bag is off. `golden.rs` shows that the model sees them.
async fn through_a_covered_lens_nobody_is_judged(field: &Field) {
    let alarm = "\n! camera street: its view is covered since ";
    until(field, "the alarm", async || {
        let (page, code) = status_page(field);
        page.contains(alarm) && code == Some(1)
    })
    .await;
    until(field, "a case, now that the bag is off", async || {
        !field.journal("rule.hit").is_empty()
    })
    .await;
    let hit = &field.journal("rule.hit")[0];
    let before = |line: &Value| line["n"].as_u64() < hit["n"].as_u64();
    // On a slow machine the film has begun anew meanwhile.
    let [bad, good] = ["view.bad", "view.good"].map(|kind| {
        let mut lines = field.journal(kind);
        lines.retain(before);
        lines
    });
    assert_eq!(bad.len(), good.len(), "{bad:?} {good:?}");
    let time = |text: &Value| text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let (since, good) = (time(&hit["body"]["since"]), good.last().expect("one"));
    assert!(since >= time(&good["body"]["at"]), "{hit} {good}");
    assert!(field.status().await["eye"]["detected"].as_u64() >= Some(1));
}

/// What the daemon tells systemd up to and including `last`.
fn notices(socket: &std::os::unix::net::UnixDatagram, last: &str) -> Vec<String> {
    let mut told = Vec::new();
    let mut buffer = [0; 4096];
    while !told.iter().any(|word: &String| word == last) {
        let length = socket.recv(&mut buffer).expect(last);
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        told.extend(text.lines().map(str::to_owned));
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_over_many_unknown_packages_asks_systemd_for_time() {
    let field = Field::start("rtsp://127.0.0.1:9/", &|_| ()).await;
    let packages = field.dir.path().join("device/packages");
    for n in 0..3_u32 {
        let id = format!("0198f0a2-0000-7000-8000-00000000000{n}");
        fs::create_dir_all(packages.join(id)).unwrap();
    }
    let path = field.dir.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let variables = [
        ("NOTIFY_SOCKET", path.clone()),
        ("WATCHDOG_USEC", PathBuf::from("600000")),
    ];
    let mut daemon = field.daemon_with(&variables);
    let told = notices(&socket, "READY=1");
    let place = |word: &str| told.iter().position(|t| t.starts_with(word));
    let [more, status] = ["EXTEND_TIMEOUT_USEC=", "STATUS="].map(place);
    assert!(more.is_some() && status.is_some(), "{told:?}");
    assert!(told[status.unwrap()].ends_with("0 of 3"), "{told:?}");
    // At work, though its camera is away: the watchdog is told, and again.
    for _ in 0..2 {
        notices(&socket, "WATCHDOG=1");
    }
    daemon.signal(Signal::TERM);
    notices(&socket, "STOPPING=1");
    assert!(daemon.ended(STOPS_WITHIN).await.is_some());
}

/// A disk of its own; gone when dropped.
struct Disk(PathBuf);

impl Disk {
    /// `None` when we may not mount.
    fn mount(dir: &Path, name: &str) -> Option<Self> {
        let (image, place) = (dir.join("disk.img"), dir.join(name));
        fs::create_dir_all(&place).unwrap();
        fs::File::create(&image)
            .unwrap()
            .set_len(128 << 20)
            .unwrap();
        let made = Command::new("mkfs.ext4")
            .args(["-q", "-F"])
            .arg(&image)
            .output();
        let disk = Self(place);
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-o", "loop"]).args([&image, &disk.0]).output();
        let well =
            |ran: std::io::Result<std::process::Output>| ran.is_ok_and(|out| out.status.success());
        (well(made) && well(mounted)).then_some(disk)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

/// A disk that does not answer until this is dropped: whoever writes to it hangs in the kernel.
struct Frozen<'a>(&'a Disk);

impl<'a> Frozen<'a> {
    fn new(disk: &'a Disk) -> Self {
        let frozen = Self(disk);
        assert!(frozen.order("--freeze"));
        frozen
    }

    fn order(&self, word: &str) -> bool {
        let status = Command::new("fsfreeze").arg(word).arg(&self.0.0).status();
        status.is_ok_and(|status| status.success())
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        assert!(self.order("--unfreeze"), "the disk stays frozen");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_stage_hangs_systemd_is_told_nothing_and_afterwards_again() {
    const WATCHDOG: Duration = Duration::from_millis(600);
    let live = camera();
    let field = Field::start(&live.url(STREAM), &|profile| {
        profile["store"]["ballast_mib"] = value(0);
    })
    .await;
    let Some(disk) = Disk::mount(field.dir.path(), "device") else {
        skipped("a disk that hangs needs the right to mount (root)");
        return;
    };
    let path = field.dir.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let variables = [
        ("NOTIFY_SOCKET", path.clone()),
        ("WATCHDOG_USEC", WATCHDOG.as_micros().to_string().into()),
    ];
    let mut daemon = field.daemon_with(&variables);
    notices(&socket, "READY=1");
    until(&field, "a case that is being warned", async || {
        field.open_case("warning").is_some()
    })
    .await;
    notices(&socket, "WATCHDOG=1");
    let frozen = Frozen::new(&disk);
    // So long it is quiet only when nobody feeds it.
    socket.set_read_timeout(Some(WATCHDOG * 5)).unwrap();
    let deadline = Instant::now() + DEADLINE;
    while socket.recv(&mut [0; 4096]).is_ok() {
        assert!(Instant::now() < deadline, "it is fed\n{}", field.log());
    }
    let told = field.log();
    assert!(
        told.contains("a stage is stuck; the watchdog is told no more"),
        "{told}"
    );
    assert!(told.contains("stage=\"keeper\""), "{told}");
    drop(frozen);
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    for _ in 0..2 {
        notices(&socket, "WATCHDOG=1");
    }
    daemon.signal(Signal::TERM);
    notices(&socket, "STOPPING=1");
    assert!(daemon.ended(STOPS_WITHIN).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let live = camera();
    let field = Field::start(&live.url(STREAM), &|_| ()).await;
    let mut daemon = field.daemon();
    until(&field, "the daemon's answer", async || {
        field.status().await["device"] == DEVICE
    })
    .await;
    // Held still, it hears both before it can have ended in order after the first.
    for signal in [Signal::STOP, Signal::TERM, Signal::INT, Signal::CONT] {
        daemon.signal(signal);
    }
    let status = daemon.ended(STOPS_WITHIN).await.expect("it ends");
    assert_eq!(status.code(), Some(130), "{status}\n{}", field.log());
}

/// A file system of its own in memory; gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` when we may not mount.
    fn mount(at: &Path, mib: u32) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let size = format!("size={mib}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "lingmou-test"])
            .arg(at)
            .output();
        mounted
            .is_ok_and(|out| out.status.success())
            .then(|| Self(at.to_owned()))
    }

    /// Fills it but for `left` bytes.
    fn fill(&self, left: usize) {
        let mut ballast = fs::File::create(self.0.join("filler")).unwrap();
        let block = vec![0; 64 * 1024];
        while ballast.write_all(&block).is_ok() {}
        let length = ballast.metadata().unwrap().len();
        ballast.set_len(length.saturating_sub(left as u64)).unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the killed daemon may still be letting go.
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_capture_but_not_warnings_and_heals() {
    let live = camera();
    let field = Field::start(&live.url(STREAM), &|profile| {
        profile["judge"]["street_vending"]["grace_secs"] = value(4.0);
        // With a ballast the end would find room.
        profile["store"]["ballast_mib"] = value(0);
    })
    .await;
    let device = field.dir.path().join("device");
    let Some(disk) = SmallDisk::mount(&device, 64) else {
        skipped("a full disk needs the right to mount (root)");
        return;
    };
    let mut daemon = field.daemon();
    until(&field, "a case that is being warned", async || {
        field.open_case("warning").is_some()
    })
    .await;
    disk.fill(0);
    let case = field.open_case("warning").expect("still played")["id"].clone();
    until(&field, "an end that waits for room", async || {
        field.status().await["keeper"]["waiting"].as_u64() >= Some(1)
    })
    .await;
    let status = field.status().await;
    let trouble = status["keeper"]["trouble"].as_str().unwrap_or_default();
    assert!(trouble.contains("full"), "{status:#}");
    assert_eq!(status["cameras"]["street"]["phase"], "playing");
    let (page, code) = status_page(&field);
    assert_eq!(code, Some(1), "{page}");
    assert!(page.contains("\n! store: "), "{page}");
    assert!(!field.package(&case).exists());

    disk.free();
    let package = field.package(&case);
    until(&field, "the receipt, now that there is room", async || {
        package.join("META-INF/receipt001.p7m").is_file()
    })
    .await;
    until(&field, "a status without trouble", async || {
        field.status().await["keeper"]["trouble"].is_null()
    })
    .await;
    daemon.signal(Signal::TERM);
    daemon.ended(STOPS_WITHIN).await.expect("it stops");
    field.audit(&package);
    let statement = fs::read_to_string(package.join("evidence.json")).unwrap();
    let statement: Value = serde_json::from_str(&statement).unwrap();
    // The warning was played although nothing could be written, and what is missing is said.
    assert_eq!(statement["warning"][0]["failure"], Value::Null);
    let omitted = statement["omitted"].to_string();
    for missing in ["warned", "again", "clip.mp4"] {
        assert!(omitted.contains(missing), "{missing}: {omitted}");
    }
}

/// A disk that is a folder elsewhere, mounted at its place; pulled for good when dropped.
struct Pluggable {
    shelf: PathBuf,
    place: PathBuf,
}

impl Pluggable {
    /// `None` when we may not mount.
    fn plug(dir: &Path, name: &str) -> Option<Self> {
        let disk = Self {
            shelf: dir.join("shelf"),
            place: dir.join(name),
        };
        fs::create_dir_all(&disk.shelf).unwrap();
        fs::create_dir_all(&disk.place).unwrap();
        disk.put_back().then_some(disk)
    }

    fn put_back(&self) -> bool {
        let mut mount = Command::new("mount");
        mount.arg("--bind").args([&self.shelf, &self.place]);
        mount.output().is_ok_and(|out| out.status.success())
    }

    fn pull(&self) -> bool {
        let mut umount = Command::new("umount");
        umount.arg("--lazy").arg(&self.place);
        umount.output().is_ok_and(|out| out.status.success())
    }
}

impl Drop for Pluggable {
    fn drop(&mut self) {
        self.pull();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pulled_disk_stops_capture_but_not_warnings_and_comes_back() {
    let live = camera();
    let field = Field::start(&live.url(STREAM), &|_| ()).await;
    let Some(disk) = Pluggable::plug(field.dir.path(), "device") else {
        skipped("a disk that can be pulled needs the right to mount (root)");
        return;
    };
    let mut daemon = field.daemon();
    until(&field, "the first look after the store", async || {
        field.status().await["disk"]["care"].is_object()
    })
    .await;
    let spoken = field.dir.path().join("spoken.wav");
    assert!(!spoken.exists(), "nothing was said before");
    assert!(disk.pull());
    until(&field, "the alarm", async || {
        let status = field.status().await;
        let trouble = status["disk"]["trouble"].as_str().unwrap_or_default();
        trouble.contains("taken away")
    })
    .await;
    until(&field, "a warning all the same", async || spoken.exists()).await;
    let left = fs::read_dir(&disk.place).unwrap().count();
    assert_eq!(left, 0, "nothing is begun in the mount point");
    let (page, code) = status_page(&field);
    assert_eq!(code, Some(1), "{page}");
    assert!(page.contains("\n! store: "), "{page}");

    assert!(disk.put_back());
    until(&field, "a status without trouble", async || {
        let status = field.status().await;
        status["disk"]["trouble"].is_null() && status["disk"]["care"].is_object()
    })
    .await;
    until(&field, "a package, now that the disk is back", async || {
        !field.receipted().is_empty()
    })
    .await;
    daemon.signal(Signal::TERM);
    daemon.ended(STOPS_WITHIN).await.expect("it stops");
    for package in field.receipted() {
        field.audit(&package);
    }
}

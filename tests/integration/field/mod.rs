//! The field on one machine: a camera, a vehicle, a broker, a receiver, and the real program
//! between them, as a process that can be told to stop or killed.

#![expect(
    clippy::disallowed_methods,
    reason = "a test's files need not be durable"
)]

mod command;
mod demo;
mod device;
mod drawn;
mod ears;
mod failing;
mod flow;
mod golden;
mod kill_loop;
mod killed;
mod online;
mod secrets;
mod sm2;
mod stand_in;
mod start;
mod stepped;
mod stranger;
#[cfg(feature = "pkcs11")]
mod token;
mod trouble;

use std::fs;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lingmou::config;
use lingmou::demo::Footage;
use lingmou::demo::broker::{Broker, BrokerKeys};
use lingmou::demo::rtsp::{Door, Mount, RtspServer, Show};
use lingmou::demo::tsa;
use lingmou::demo::vehicle::Vehicle;
use lingmou::ingest::Codec;
use lingmou::pki::TestPki;
use lingmou::receive::{self, Event};
use lingmou::status;
use lingmou::witness::{self, Roots, verify_path};
use rusqlite::{Connection, OpenFlags};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use toml_edit::{DocumentMut, value};

const DEVICE: &str = "LM-DEMO-0001";
const RECEIVER: &str = "receiver-1";
const STREAM: &str = "/street";
/// Where the vehicle circles.
const CENTRE: (f64, f64) = (36.128_0, 120.300_0);
/// How long the lens is in its bag.
const BAGGED_SECS: u32 = 7;
/// Longer than anything here takes on a machine that is busy with other things.
const DEADLINE: Duration = Duration::from_mins(3);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Street footage in which people stand at the kerb from second 2 to 18.
fn footage() -> Footage {
    Footage::street(&root().join(".setup/demo"), &|_| ()).expect("the footage (run: make setup)")
}

/// Waits until `holds`; says what was awaited, and what the daemon said, when it never does.
async fn until(field: &Field, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds().await {
        assert!(
            Instant::now() < deadline,
            "never came: {what}\nbook: {:#}\nlog:\n{}",
            field.book(),
            field.log()
        );
        sleep(Duration::from_millis(20)).await;
    }
}

/// Everything round the daemon. Peers end when dropped.
struct Field {
    dir: TempDir,
    pki: TestPki,
    broker: Broker,
    events: Arc<Mutex<Vec<Event>>>,
    stop_receiver: CancellationToken,
    /// The receiver's folder of keys; its roots are what packages are held against.
    receiver_keys: PathBuf,
    _vehicle: Vehicle,
}

/// What a test may change in the demonstration's profile.
type Edit<'a> = &'a dyn Fn(&mut DocumentMut);

impl Field {
    /// Starts the peers and writes the configuration: the demonstration's, with `edit`.
    async fn start(camera: &str, edit: Edit<'_>) -> Self {
        let own = |pki: &TestPki| [pki.device.clone(), pki.receiver.clone()];
        Self::start_as(camera, edit, own).await
    }

    /// The same with the folders of keys that `keys` gives: the device's, the receiver's.
    async fn start_as(
        camera: &str,
        edit: Edit<'_>,
        keys: impl FnOnce(&TestPki) -> [PathBuf; 2],
    ) -> Self {
        let field = Self::without_receiver(camera, edit, keys).await;
        field.receive();
        field
    }

    /// The same, and nobody receives.
    async fn without_receiver(
        camera: &str,
        edit: Edit<'_>,
        keys: impl FnOnce(&TestPki) -> [PathBuf; 2],
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pki = TestPki::create(&dir.path().join("pki"), DEVICE).unwrap();
        let brokers = BrokerKeys::of(&pki);
        let [device_keys, receiver_keys] = keys(&pki);
        let broker = Broker::start(&dir.path().join("broker"), &brokers, &[RECEIVER])
            .await
            .unwrap();
        let mavlink = free_udp_port();
        let vehicle = Vehicle::start((Ipv4Addr::LOCALHOST, mavlink).into(), CENTRE).unwrap();
        let field = Self {
            dir,
            pki,
            broker,
            events: Arc::default(),
            stop_receiver: CancellationToken::new(),
            receiver_keys,
            _vehicle: vehicle,
        };
        let edit: Edit<'_> = &|profile| {
            profile["keys"]["dir"] = value(device_keys.to_string_lossy().into_owned());
            edit(profile);
        };
        field.configure(camera, mavlink, edit);
        field
    }

    fn configure(&self, camera: &str, mavlink: u16, edit: Edit<'_>) {
        let mut profile = profile(self.dir.path(), &self.pki.device);
        profile["camera"][0]["url"] = value(camera);
        profile["telemetry"]["mavlink"]["address"] = value(format!("udpin:127.0.0.1:{mavlink}"));
        profile["upload"]["port"] = value(i64::from(self.broker.port()));
        profile["upload"]["retry_max_secs"] = value(1);
        edit(&mut profile);
        fs::write(self.config(), profile.to_string()).unwrap();
    }

    fn receive(&self) {
        let config = config::Receive {
            name: RECEIVER.to_owned(),
            host: "127.0.0.1".to_owned(),
            port: self.broker.port(),
            keys: self.receiver_keys.clone(),
            dir: self.dir.path().join("received"),
            tsa_command: tsa::command(&self.dir.path().join("tsa"), &self.pki).unwrap(),
            any_clock: true,
            ..config::Receive::default()
        };
        let events = Arc::clone(&self.events);
        let on_event = move |event| events.lock().unwrap().push(event);
        tokio::spawn(receive::run(config, on_event, self.stop_receiver.clone()));
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("lingmou.toml")
    }

    fn run_dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    /// The program, started as systemd would.
    fn daemon(&self) -> Daemon {
        self.daemon_with(&[])
    }

    /// The same, with these variables in its environment.
    fn daemon_with(&self, variables: &[(&str, PathBuf)]) -> Daemon {
        let log = self.dir.path().join("daemon.log");
        Daemon::start(&self.config(), &log, variables, &[])
    }

    /// The same with everything in its log that it can say.
    fn talkative_daemon(&self) -> Daemon {
        let log = self.dir.path().join("daemon.log");
        Daemon::start(&self.config(), &log, &[], &["-vv"])
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("daemon.log")).unwrap_or_default()
    }

    /// What the daemon says of itself; `null` while it does not answer.
    async fn status(&self) -> Value {
        status::ask(&self.run_dir()).await.unwrap_or_default()
    }

    /// The case book as it is durable; `null` while there is none.
    fn book(&self) -> Value {
        let read = || {
            let path = self.dir.path().join("device/q.db");
            let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
            let text: String = db
                .query_row("SELECT v FROM meta WHERE k = 'book'", [], |row| row.get(0))
                .ok()?;
            serde_json::from_str(&text).ok()
        };
        read().unwrap_or_default()
    }

    /// The first open case in `phase`.
    fn open_case(&self, phase: &str) -> Option<Value> {
        let book = self.book();
        let open = book["open"].as_array()?;
        open.iter()
            .find(|case| case["phase"]["phase"] == phase)
            .cloned()
    }

    /// The journal as it is on the disk.
    fn journal_text(&self) -> String {
        let dir = self.dir.path().join("device/journal");
        let mut paths: Vec<_> = fs::read_dir(dir)
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        paths
            .iter()
            .filter_map(|p| fs::read_to_string(p).ok())
            .collect()
    }

    /// The journal's lines of `kind`, in order.
    fn journal(&self, kind: &str) -> Vec<Value> {
        let text = self.journal_text();
        text.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|line| line["kind"] == kind)
            .collect()
    }

    /// The journal's lines of `kind` that are about `case`.
    fn journal_of(&self, kind: &str, case: &Value) -> Vec<Value> {
        let mut lines = self.journal(kind);
        lines.retain(|line| line["body"]["case"] == *case || line["body"]["id"] == *case);
        lines
    }

    /// Folders of the packages with their receipts on the device.
    fn receipted(&self) -> Vec<PathBuf> {
        fs::read_dir(self.packages())
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path())
            .filter(|package| package.join("META-INF/receipt001.p7m").is_file())
            .collect()
    }

    /// The device's folder of packages.
    fn packages(&self) -> PathBuf {
        self.dir.path().join("device/packages")
    }

    fn package(&self, case: &Value) -> PathBuf {
        self.packages().join(case.as_str().unwrap())
    }

    /// The receiver's copy.
    fn copy(&self, package: &Path) -> PathBuf {
        let received = self.dir.path().join("received/packages").join(DEVICE);
        received.join(package.file_name().unwrap())
    }

    /// The verifier's word on a package and the shell's, and every file equal at the receiver but
    /// those that came after its receipt.
    fn audit(&self, package: &Path) {
        let trusted = self.receiver_keys.join("roots.crt");
        let roots = Roots::load(&trusted).unwrap();
        for path in [package, &self.copy(package)] {
            let verdict = verify_path(path, &roots).unwrap();
            let failed: Vec<_> = verdict.failed().collect();
            assert!(verdict.valid(), "{}: {failed:?}", path.display());
            let (code, said) = crate::witness::verify_sh(path, &trusted);
            assert_eq!(code, Some(0), "{}: {said}", path.display());
        }
        let later = [witness::CHAIN, witness::STAMPED, witness::TIMESTAMP].map(Path::new);
        for (name, bytes) in contents(package) {
            if later.contains(&name.as_path()) {
                continue;
            }
            let other = fs::read(self.copy(package).join(&name)).unwrap_or_default();
            assert!(bytes == other, "{} differs at the receiver", name.display());
        }
    }
}

impl Drop for Field {
    fn drop(&mut self) {
        self.stop_receiver.cancel();
    }
}

/// The demonstration's profile with everything it names written into `dir`.
fn profile(dir: &Path, keys: &Path) -> DocumentMut {
    let shipped = fs::read_to_string(root().join("config/profiles/demo.toml")).unwrap();
    let mut profile: DocumentMut = shipped.parse().unwrap();
    let text = |path: PathBuf| value(path.to_string_lossy().into_owned());
    let clip = text(root().join("config/clips/test.wav"));
    profile["model"]["card"] = text(root().join("models/efficientdet-lite0.toml"));
    profile["warn"]["identity"] = text(root().join("config/clips/identity.wav"));
    profile["warn"]["street_vending"] = clip.clone();
    profile["warn"]["out_of_store"] = clip;
    profile["keys"]["dir"] = text(keys.to_owned());
    profile["store"]["dir"] = text(dir.join("device"));
    profile["store"]["run_dir"] = text(dir.join("run"));
    profile["store"]["keep_free_mib"] = value(16);
    profile
}

/// A loudspeaker of the camera `street`'s own, that writes into a file of this name.
const STREET_SPEAKER: &str = "at-street.wav";

/// Adds that loudspeaker to the profile.
fn add_street_speaker(profile: &mut DocumentMut) {
    let table = format!(
        "[[warn.outlet]]\ncameras = [\"street\"]\n[warn.outlet.speaker]\nkind = \"file\"\npath = {STREET_SPEAKER:?}\n"
    );
    let outlet: DocumentMut = table.parse().unwrap();
    profile["warn"]["outlet"] = outlet["warn"]["outlet"].clone();
}

/// Every file below `dir` with its path there.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = PathBuf::from(path.file_name().unwrap());
        if path.is_dir() {
            let inside = contents(&path).into_iter();
            all.extend(inside.map(|(inner, bytes)| (name.join(inner), bytes)));
        } else {
            all.push((name, fs::read(&path).unwrap()));
        }
    }
    all
}

/// A running `lingmou run`; killed when dropped.
struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts it with its log appended to `log`, these variables in its environment, and these words.
    fn start(config: &Path, log: &Path, variables: &[(&str, PathBuf)], words: &[&str]) -> Self {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_lingmou"))
            .args(["run", "--config"])
            .arg(config)
            .args(words)
            .current_dir(root())
            .env_remove("NOTIFY_SOCKET")
            .env_remove("JOURNAL_STREAM")
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child }
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// As a power cut ends it.
    fn kill(mut self) {
        self.signal(Signal::KILL);
        self.child.wait().unwrap();
    }

    /// How it ended, when it did within `within`.
    async fn ended(&mut self, within: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Fails when it has ended already, which is as well.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Makes a film of a lens in a bag with a hole, through which people are seen who stand at the
/// kerb, and after [`BAGGED_SECS`] of the same street without the bag.
fn bagged(dir: &Path) -> PathBuf {
    let film = dir.join("bagged.mp4");
    let street = footage();
    let cloth = [
        "0:0:iw*0.475:ih",
        "iw*0.605:0:iw:ih",
        "0:0:iw:ih*0.28",
        "0:ih*0.5:iw:ih",
    ];
    let cloth = cloth
        .map(|area| format!("drawbox={area}:gray:fill"))
        .join(",");
    let begin = 2;
    let end = begin + BAGGED_SECS;
    let filter = format!(
        "split[a][b];[a]trim={begin}:{end},setpts=PTS-STARTPTS,{cloth}[bag];\
         [b]trim={begin}:12,setpts=PTS-STARTPTS[street];[bag][street]concat"
    );
    let [from, to] = [street.path(), &film].map(|path| path.to_str().unwrap());
    let args = [
        "-v", "error", "-i", from, "-vf", &filter, "-c:v", "libx264", "-preset", "veryfast", "-qp",
        "22", "-bf", "0", "-g", "20", "-threads", "1", to,
    ];
    tool("ffmpeg", &args);
    film
}

/// Makes a film of ten seconds in which four people stand at the kerb all the time.
fn standing(dir: &Path) -> PathBuf {
    let film = dir.join("standing.mp4");
    let street = footage();
    let [from, to] = [street.path(), &film].map(|path| path.to_str().unwrap());
    let args = [
        "-v", "error", "-ss", "4", "-i", from, "-t", "10", "-c:v", "libx264", "-preset",
        "veryfast", "-qp", "22", "-bf", "0", "-g", "10", "-threads", "1", to,
    ];
    tool("ffmpeg", &args);
    film
}

/// A camera that shows the footage from its beginning to each new viewer.
fn camera() -> RtspServer {
    camera_at(0)
}

/// The same on this port.
fn camera_at(port: u16) -> RtspServer {
    camera_of(footage().path(), port)
}

/// A camera that shows `film`.
fn camera_of(film: &Path, port: u16) -> RtspServer {
    let mount = Mount {
        path: STREAM.to_owned(),
        show: Show::Clip(film.to_owned(), Codec::H264),
    };
    let door = Door {
        port,
        ..Door::default()
    };
    RtspServer::start_behind(door, &[mount]).unwrap()
}

fn free_udp_port() -> u16 {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.local_addr().unwrap().port()
}

fn free_tcp_port() -> u16 {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.local_addr().unwrap().port()
}

/// Runs a tool of the set-up and gives its standard output.
fn tool(program: &str, args: &[&str]) -> String {
    let out = Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e} (run: make setup)"));
    let words = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{program} {args:?}: {words}");
    assert_eq!(words.trim(), "", "{program} {args:?}");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

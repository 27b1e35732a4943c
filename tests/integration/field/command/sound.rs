//! The box's own sound output, through a real sound server: its stand-in for a sound card takes what
//! is said, and who records it there tells what it was, and when it ended.

use std::io::{ErrorKind, Read as _};
use std::os::unix::net::UnixStream;

use lingmou::types::Stamp;
use toml_edit::Array;

use super::*;
use crate::skip::skipped;

/// The stand-in.
const CARD: &str = "horn";
/// Samples a second, as of the shipped clips: nothing is resampled on the way.
const RATE: usize = 22_050;
/// So many samples are compared at once: a machine that is busy may leave out some.
const PIECE: usize = RATE / 20;

/// A sound server of this test's own.
struct SoundServer {
    child: Child,
    address: String,
}

impl SoundServer {
    /// Starts one with its socket and all it writes in `dir`; `None` where there is none.
    async fn start(dir: &Path) -> Option<Self> {
        let socket = dir.join("sound");
        let card = format!("module-null-sink sink_name={CARD} rate={RATE} channels=1 format=s16le");
        let door = format!(
            "module-native-protocol-unix auth-anonymous=1 socket={}",
            socket.display()
        );
        let started = Command::new("pulseaudio")
            .args(["-n", "--daemonize=no", "--use-pid-file=no"])
            .args(["--exit-idle-time=-1", "-L", &card, "-L", &door])
            .env("HOME", dir)
            .env("XDG_RUNTIME_DIR", dir)
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .env_remove("DISPLAY")
            .stdin(Stdio::null())
            .stderr(fs::File::create(dir.join("sound.log")).unwrap())
            .spawn();
        let child = match started {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                skipped("no sound server (Debian package pulseaudio)");
                return None;
            }
            started => started.unwrap(),
        };
        let mut server = Self {
            child,
            address: format!("unix:{}", socket.display()),
        };
        let deadline = Instant::now() + DEADLINE;
        while UnixStream::connect(&socket).is_err() {
            let log = || fs::read_to_string(dir.join("sound.log")).unwrap_or_default();
            let ended = server.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "no sound server: {ended:?}\n{}",
                log()
            );
            sleep(Duration::from_millis(20)).await;
        }
        Some(server)
    }

    /// A program that records what the card plays, at this rate.
    fn recorder(&self, rate: usize) -> Vec<String> {
        let words = format!(
            "/usr/bin/parec --server={} --device={CARD}.monitor --raw --format=s16le \
             --rate={rate} --channels=1 --latency-msec=50",
            self.address
        );
        words.split(' ').map(ToOwned::to_owned).collect()
    }
}

impl Drop for SoundServer {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    drop(child.kill());
    drop(child.wait());
}

/// What was recorded, with the moment at which each piece came.
type Taken = Vec<(Stamp, Vec<i16>)>;

/// Records what the card plays.
struct Recorder {
    child: Child,
    taken: Arc<Mutex<Taken>>,
}

impl Recorder {
    fn start(server: &SoundServer) -> Self {
        let command = server.recorder(RATE);
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = child.stdout.take().unwrap();
        let taken = Arc::new(Mutex::new(Taken::new()));
        let shared = Arc::clone(&taken);
        std::thread::spawn(move || {
            let (mut piece, mut rest) = ([0; 2_048], Vec::new());
            while let Ok(n @ 1..) = output.read(&mut piece) {
                rest.extend_from_slice(&piece[..n]);
                let whole = rest.len() / 2 * 2;
                let bytes = rest.drain(..whole).collect::<Vec<u8>>();
                let samples = bytes.chunks_exact(2);
                let samples = samples.map(|b| i16::from_le_bytes([b[0], b[1]])).collect();
                shared.lock().unwrap().push((clock::now(), samples));
            }
        });
        Self { child, taken }
    }

    /// Samples that are no silence, and when the last of them came.
    fn sounded(&self) -> (usize, Option<Stamp>) {
        let taken = self.taken.lock().unwrap();
        let loud = |samples: &[i16]| samples.iter().filter(|sample| **sample != 0).count();
        let last = taken.iter().rev().find(|(_, samples)| loud(samples) > 0);
        let all = taken.iter().map(|(_, samples)| loud(samples)).sum();
        (all, last.map(|(at, _)| *at))
    }

    /// When the last of it came, silence too.
    fn newest(&self) -> Option<Stamp> {
        Some(self.taken.lock().unwrap().last()?.0)
    }

    /// All of it; from here on it begins anew.
    fn take(&self) -> Vec<i16> {
        let taken = std::mem::take(&mut *self.taken.lock().unwrap());
        taken.into_iter().flat_map(|(_, samples)| samples).collect()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// What is said for the shipped clip of this name.
fn said(name: &str) -> Vec<i16> {
    let samples = |name: &str| {
        let wav = fs::read(root().join("config/clips").join(name)).unwrap();
        let samples = wav[HEADER..].chunks_exact(2);
        let samples = samples.map(|b| i16::from_le_bytes([b[0], b[1]]));
        samples.collect::<Vec<_>>()
    };
    [samples("identity.wav"), samples(name)].concat()
}

/// How many in a hundred of the pieces of `clip` are in `taken`, to the bit and one after the other.
fn found(clip: &[i16], taken: &[i16]) -> usize {
    let pieces = clip.chunks_exact(PIECE);
    let pieces: Vec<_> = pieces.filter(|p| p.iter().any(|s| *s != 0)).collect();
    let (mut from, mut found) = (0, 0);
    for piece in &pieces {
        let mut windows = taken[from..].windows(PIECE);
        if let Some(at) = windows.position(|window| window == *piece) {
            from += at + PIECE;
            found += 1;
        }
    }
    found * 100 / pieces.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_comes_out_of_the_sound_server_is_heard_and_stops_by_command() {
    let dir = tempfile::tempdir().unwrap();
    let Some(server) = SoundServer::start(dir.path()).await else {
        return;
    };
    let field = Field::start(NO_CAMERA, &|profile| {
        let warn = &mut profile["warn"];
        warn["speed_max_kmh"] = value(0.0);
        // As it is in the file.
        warn["volume"] = value(1.0);
        warn["speaker"].as_table_mut().unwrap().remove("path");
        warn["speaker"]["kind"] = value("local");
        warn["speaker"]["device"] = value(CARD);
        warn["microphone"]["command"] = value(Array::from_iter(server.recorder(16_000)));
    })
    .await;
    let _daemon = field.daemon_with(&[("PULSE_SERVER", PathBuf::from(&server.address))]);
    connected(&field).await;
    let recorder = Recorder::start(&server);
    until(&field, "a recording", async || recorder.newest().is_some()).await;

    let wav = fs::read(root().join("config/clips/test.wav")).unwrap();
    let sha256 = witness::sha256_hex(&wav);
    let words = ["speak", sha256.as_str()];
    let (told, why) = answer(&field, OPERATE, &words).await;
    assert_eq!(told, "done", "{why}");
    let played = field.journal("warning.played").remove(0)["body"].clone();
    assert_eq!(played["heard"]["heard"], "played_heard", "{played}");
    let clip = said("test.wav");
    let share = found(&clip, &recorder.take());
    assert!(share >= 90, "{share} % of the clip came out");

    let speaking = answer(&field, OPERATE, &words);
    let stopping = async {
        until(&field, "it sounds", async || {
            recorder.sounded().0 > RATE / 5
        })
        .await;
        answer(&field, OPERATE, &["stop"]).await
    };
    let ((told, why), (stopped, _)) = tokio::join!(speaking, stopping);
    assert_eq!((&*told, &*why), ("failed", "stopped before the end"));
    assert_eq!(stopped, "done");
    let received = field.journal("command.received");
    let stop = received.iter().find(|line| line["body"]["verb"] == "stop");
    let ordered: jiff::Timestamp = stop.unwrap()["at"].as_str().unwrap().parse().unwrap();
    let late = |at: Stamp| at.utc_ms() - ordered.as_millisecond();
    // So long that sound which went on would have come.
    let waited = async || recorder.newest().is_some_and(|at| late(at) > 2_000);
    until(&field, "what comes after the stop", waited).await;
    let (samples, last) = recorder.sounded();
    let late = late(last.unwrap());
    assert!(late <= 1_000, "it sounded {late} ms after the order");
    assert!(samples < clip.len() * 9 / 10, "{samples} of {}", clip.len());
}

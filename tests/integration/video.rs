//! Video from real streams: an RTSP server on loopback, files, and what goes wrong with both.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use lingmou::clock;
use lingmou::config::{self, CameraKind, DetectOn, RtspTransport};
use lingmou::demo::rtsp::{Door, Mount, RtspServer, Show};
use lingmou::ingest::{Camera, CameraState, Codec, Credentials, Fault, Phase, Secret, Slots, init};
use lingmou::types::{Frame, Stamp, TimeSource};

mod clips;
mod colours;
pub(crate) mod device;
mod files;
mod network;
mod pictures;
mod refused;
mod ring;
mod udp;

/// Longer than any reconnection on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// How far back pictures and clips are asked for.
const BACK: Duration = Duration::from_secs(10);

const PASSWORD: &str = "p@ss/#?:%20 密码&\"";

/// Makes a clip with a key frame each second, 25 frames per second.
fn clip(dir: &Path, name: &str, codec: Codec, size: (u32, u32), frames: u32) -> PathBuf {
    let path = dir.join(name);
    let encoder = match codec {
        Codec::H264 => "x264enc speed-preset=ultrafast key-int-max=25 bframes=0 ! h264parse",
        Codec::H265 => {
            "x265enc speed-preset=ultrafast key-int-max=25 option-string=bframes=0 ! h265parse"
        }
    };
    encode(&path, encoder, size, frames);
    path
}

fn encode(path: &Path, encoder: &str, (width, height): (u32, u32), frames: u32) {
    let path = path.display();
    let launch = format!(
        "videotestsrc pattern=ball num-buffers={frames} \
         ! video/x-raw,format=I420,width={width},height={height},framerate=25/1 \
         ! {encoder} ! mp4mux faststart=true ! filesink location={path}"
    );
    play(&launch);
}

/// Plays a pipeline to its end.
fn play(launch: &str) {
    init().unwrap();
    let pipeline = gst::parse::launch(launch).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let patience = gst::ClockTime::try_from(PATIENCE).unwrap();
    let end = pipeline
        .bus()
        .unwrap()
        .timed_pop_filtered(patience, &ends)
        .unwrap();
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
    pipeline.set_state(gst::State::Null).unwrap();
}

fn h264(dir: &Path) -> PathBuf {
    clip(dir, "h264.mp4", Codec::H264, (320, 240), 50)
}

fn mount(path: &str, clip: &Path, codec: Codec) -> Mount {
    Mount {
        path: path.to_owned(),
        show: Show::Clip(clip.to_owned(), codec),
    }
}

fn serve(clip: &Path) -> RtspServer {
    RtspServer::start(&[mount("/main", clip, Codec::H264)]).unwrap()
}

fn login(password: &str) -> Credentials {
    Credentials {
        user: "admin".to_owned(),
        password: Secret::new(password),
    }
}

fn rtsp(url: String) -> config::Camera {
    config::Camera {
        name: "gate".to_owned(),
        url,
        stall_secs: 3.0,
        ..config::Camera::default()
    }
}

fn file(path: PathBuf) -> config::Camera {
    config::Camera {
        name: "clip".to_owned(),
        kind: CameraKind::File,
        path,
        ..config::Camera::default()
    }
}

/// A camera with the slots it fills.
struct Rig {
    camera: Camera,
    slots: Arc<Slots>,
}

impl Rig {
    fn new(config: &config::Camera) -> Self {
        Self::with(config, Credentials::default())
    }

    fn with(config: &config::Camera, credentials: Credentials) -> Self {
        logged();
        let slots = Arc::new(Slots::new(1));
        let camera = Camera::start(0, config, credentials, BACK, Arc::clone(&slots)).unwrap();
        Self { camera, slots }
    }

    /// Waits until the state is as wanted.
    fn until(&self, what: &str, wanted: impl Fn(&CameraState) -> bool) -> CameraState {
        let start = clock::now();
        loop {
            let state = self.camera.state();
            if wanted(&state) {
                return state;
            }
            assert!(
                clock::now().since(start) < PATIENCE,
                "never {what}: {state:#?}"
            );
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    fn fails_with(&self, fault: &Fault) -> CameraState {
        let name = format!("{fault:?}");
        self.until(&name, |state| state.main.fault.as_ref() == Some(fault))
    }

    fn frame(&self) -> Frame {
        let frame = self.slots.take(PATIENCE);
        frame.unwrap_or_else(|| panic!("no frame: {:#?}", self.camera.state()))
    }

    fn frames(&self, count: usize) -> Vec<Frame> {
        (0..count).map(|_| self.frame()).collect()
    }
}

/// Everything logged by this program.
fn logged() -> &'static Mutex<Vec<u8>> {
    static LOG: OnceLock<Mutex<Vec<u8>>> = OnceLock::new();
    LOG.get_or_init(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(|| LogWriter)
            .finish();
        // Of all modules of this program only this one keeps a log.
        tracing::subscriber::set_global_default(subscriber).unwrap();
        Mutex::default()
    })
}

struct LogWriter;

impl std::io::Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        logged().lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn luma(frame: &Frame) -> Vec<u8> {
    let image = &frame.image;
    (0..image.height)
        .flat_map(|y| image.row(0, y, image.width).unwrap().to_vec())
        .collect()
}

#[test]
fn rtsp_plays_and_hands_out_frames_at_the_rate() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(&h264(dir.path()));
    let rig = Rig::new(&rtsp(server.url("/main")));
    let frames = rig.frames(6);
    for pair in frames.windows(2) {
        let step = pair[1].at.since(pair[0].at);
        assert!(step > Duration::ZERO && pair[1].number > pair[0].number);
        let pts_ms = (pair[1].pts_ns - pair[0].pts_ns) / 1_000_000;
        assert!(
            (150..=450).contains(&pts_ms),
            "{pts_ms} ms at 5 frames per second"
        );
    }
    let first = &frames[0];
    assert_eq!((first.image.width, first.image.height), (320, 240));
    assert!(luma(first).iter().any(|&p| p > 200), "the ball is white");
    let age = clock::now().since(frames[5].at);
    assert!(age < Duration::from_secs(5), "{age:?}");
    let state = rig.until("playing", |s| s.phase == Phase::Playing);
    assert_eq!((state.main.codec, state.cause), (Some(Codec::H264), None));
    assert_eq!((state.main.width, state.main.height), (320, 240));
    assert!(state.main.decoder.is_some());
    assert!(state.main.units_in >= state.main.decoded && state.main.decoded > state.main.offered);
    assert!(state.ring_secs > 0.5 && state.ring_bytes > 0);
}

#[test]
fn the_cameras_clock_is_used_while_it_agrees() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(&h264(dir.path()));
    let rig = Rig::new(&rtsp(server.url("/main")));
    let state = rig.until("sender report", |s| s.main.camera_behind_ms.is_some());
    let behind = state.main.camera_behind_ms.unwrap();
    // Server and camera share one clock here.
    assert!((-100..2000).contains(&behind), "{behind} ms");
    rig.until("camera time", |s| {
        s.main.time_source == Some(TimeSource::RtcpSenderReport)
    });
}

#[test]
fn a_substream_is_detected_on_and_the_main_stream_gives_the_picture() {
    let dir = tempfile::tempdir().unwrap();
    let main = h264(dir.path());
    let sub = clip(dir.path(), "sub.mp4", Codec::H264, (160, 120), 50);
    let mounts = [
        mount("/main", &main, Codec::H264),
        mount("/sub", &sub, Codec::H264),
    ];
    let server = RtspServer::start(&mounts).unwrap();
    let rig = Rig::new(&config::Camera {
        substream_url: server.url("/sub"),
        ..rtsp(server.url("/main"))
    });
    rig.until("both play", |s| {
        s.ring_secs > 1.0
            && s.sub
                .as_ref()
                .is_some_and(|sub| sub.phase == Phase::Playing)
    });
    drop(rig.frame());
    let seen = rig.frame();
    assert_eq!((seen.image.width, seen.image.height), (160, 120));
    let full = rig.camera.full_frame(seen.at).unwrap();
    assert_eq!((full.image.width, full.image.height), (320, 240));
    assert!(full.at.boot_ns.abs_diff(seen.at.boot_ns) < 500_000_000);
    let state = rig.camera.state();
    assert_eq!((state.main.decoded, state.main.decoder), (0, None));
}

#[test]
fn key_frame_mode_decodes_key_frames_only_and_at_once() {
    let dir = tempfile::tempdir().unwrap();
    // B frames: a decoder would hold each key frame back until the one after the next. In H.265 they
    // may come after a key frame and refer to what is before it.
    let clip = |name: &str, encoder: &str| {
        let path = dir.path().join(name);
        encode(&path, encoder, (320, 240), 50);
        path
    };
    let h264 = "x264enc speed-preset=fast key-int-max=25 bframes=2 b-adapt=false ! h264parse";
    let h265 = "x265enc speed-preset=ultrafast key-int-max=25 option-string=bframes=2:open-gop=1 \
                ! h265parse";
    let mounts = [
        mount("/h264", &clip("b264.mp4", h264), Codec::H264),
        mount("/h265", &clip("b265.mp4", h265), Codec::H265),
    ];
    let server = RtspServer::start(&mounts).unwrap();
    for path in ["/h264", "/h265"] {
        let rig = Rig::new(&config::Camera {
            detect_on: DetectOn::KeyFrames,
            ..rtsp(server.url(path))
        });
        for pair in rig.frames(4).windows(2) {
            let step = pair[1].at.since(pair[0].at).as_millis();
            assert!(
                (800..=1400).contains(&step),
                "{path}: one a second, {step} ms"
            );
        }
        let newest = rig.frame();
        let age = clock::now().since(newest.at);
        assert!(age < Duration::from_millis(900), "{path}: {age:?} old");
        let full = rig.camera.full_frame(newest.at).unwrap();
        assert!(luma(&full) == luma(&newest), "{path}: the very picture");
        let state = rig.camera.state();
        assert!(state.main.decoded < state.main.units_in / 10, "{state:#?}");
        assert_eq!(state.main.decoded, state.main.offered);
    }
}

#[test]
fn a_stall_is_seen_and_outlived() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(&h264(dir.path()));
    let rig = Rig::new(&rtsp(server.url("/main")));
    drop(rig.frame());
    server.stall("/main", true);
    let state = rig.until("stalled", |s| s.phase == Phase::Stalled);
    assert!(matches!(state.main.fault, Some(Fault::Stalled(_))));
    server.stall("/main", false);
    let state = rig.until("playing again", |s| s.phase == Phase::Playing);
    assert!(state.main.reconnects >= 1);
    assert_eq!((state.cause, state.main.fault), (None, None));
}

#[test]
fn a_server_that_restarts_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let source = h264(dir.path());
    let server = serve(&source);
    let rig = Rig::new(&rtsp(server.url("/main")));
    let before = rig.frame();
    let port = server.port();
    drop(server);
    rig.until("failed", |s| s.phase == Phase::Failed);
    let door = Door {
        port,
        ..Door::default()
    };
    let mounts = [mount("/main", &source, Codec::H264)];
    let _server = RtspServer::start_behind(door, &mounts).unwrap();
    rig.until("playing again", |s| s.phase == Phase::Playing);
    let after = rig.frames(2).pop().unwrap();
    assert!(after.at.boot_ns > before.at.boot_ns && after.number > before.number);
    assert!(after.pts_ns > before.pts_ns, "the ring's time goes on");
    // A clip over the gap is one piece, and says that it is not the whole.
    let clip = rig.camera.clip(before.at, clock::now()).unwrap();
    assert!(clip.interrupted.is_some());
}

#[test]
fn the_picture_size_may_change_in_mid_stream() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(&h264(dir.path()));
    let other = clip(dir.path(), "other.mp4", Codec::H264, (642, 362), 50);
    let rig = Rig::new(&rtsp(server.url("/main")));
    drop(rig.frame());
    server.change("/main", &other, Codec::H264).unwrap();
    let state = rig.until("the new size", |s| s.main.width == 642);
    assert_eq!((state.main.height, state.main.reconnects), (362, 0));
    let frame = loop {
        let frame = rig.frame();
        if frame.image.width != 320 {
            break frame;
        }
    };
    assert_eq!((frame.image.width, frame.image.height), (642, 362));
    let full = rig.camera.full_frame(frame.at).unwrap();
    assert!(luma(&full) == luma(&frame));
    assert_eq!(rig.camera.clip(frame.at, frame.at).unwrap().width, 642);
}

#[test]
fn stop_is_quick_in_every_state() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(&h264(dir.path()));
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    let playing = Rig::new(&rtsp(server.url("/main")));
    drop(playing.frame());
    let hanging = Rig::new(&rtsp(format!("rtsp://127.0.0.1:{silent_port}/")));
    // The knock and the connection proper: from then on the camera hangs.
    drop((silent.accept().unwrap(), silent.accept().unwrap()));
    let away = Rig::new(&rtsp("rtsp://camera.invalid/".to_owned()));
    for (rig, what) in [(playing, "playing"), (hanging, "hanging"), (away, "away")] {
        let start = clock::now();
        rig.camera.stop();
        let took = clock::now().since(start);
        assert!(took < Duration::from_millis(1500), "{what}: {took:?}");
    }
}

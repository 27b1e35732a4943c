//! Video from real streams: an RTSP server on loopback, files, and what goes wrong with both.

use std::fmt::Write as _;
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
use lingmou::ingest::{
    Camera, CameraState, Codec, Credentials, Fault, IngestError, Phase, Recording, Secret, Slots,
    init,
};
use lingmou::types::{Frame, Stamp, TimeSource};

mod colours;
mod device;
mod network;
mod queue;
mod ring;

/// Longer than any reconnection on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

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
        let evidence = config::Evidence::default();
        let camera = Camera::start(0, config, credentials, &evidence, Arc::clone(&slots)).unwrap();
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
        // Another test module may have been first; then this log stays empty.
        drop(tracing::subscriber::set_global_default(subscriber));
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
fn h265_plays_and_its_clip_is_bit_exact() {
    let dir = tempfile::tempdir().unwrap();
    let source = clip(dir.path(), "h265.mp4", Codec::H265, (320, 240), 50);
    let server = RtspServer::start(&[mount("/main", &source, Codec::H265)]).unwrap();
    let rig = Rig::new(&rtsp(server.url("/main")));
    clip_is_bit_exact(&rig, &source, Codec::H265);
}

#[test]
fn a_clip_over_rtsp_is_bit_exact_and_decodes() {
    let dir = tempfile::tempdir().unwrap();
    let source = h264(dir.path());
    let server = serve(&source);
    let rig = Rig::new(&rtsp(server.url("/main")));
    clip_is_bit_exact(&rig, &source, Codec::H264);
}

/// B frames come in another order than they are shown in. From a file, because the times that
/// RTP's jitter buffer gives them on a busy machine may themselves swap.
#[test]
fn a_clip_with_b_frames_is_bit_exact_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    for (name, codec, encoder) in [
        (
            "b264.mp4",
            Codec::H264,
            "x264enc speed-preset=fast key-int-max=25 bframes=2 b-adapt=false ! h264parse",
        ),
        (
            "b265.mp4",
            Codec::H265,
            "x265enc speed-preset=ultrafast key-int-max=25 ! h265parse",
        ),
    ] {
        let source = dir.path().join(name);
        encode(&source, encoder, (320, 240), 150);
        let rig = Rig::new(&file(source.clone()));
        clip_is_bit_exact(&rig, &source, codec);
    }
}

/// The NAL units of an elementary stream without delimiters and parameter sets, which a muxer
/// may move, as hex lines.
fn payload_nals(path: &Path, codec: Codec) -> Vec<String> {
    let format = match codec {
        Codec::H264 => "h264",
        Codec::H265 => "hevc",
    };
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-an", "-c", "copy", "-f", format, "-"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    nals(&output.stdout)
        .into_iter()
        .filter(|nal| match codec {
            Codec::H264 => !matches!(nal[0] & 31, 7..=9),
            Codec::H265 => !matches!(nal[0] >> 1 & 63, 32..=35),
        })
        .map(|nal| {
            nal.iter().fold(String::new(), |mut hex, byte| {
                write!(hex, "{byte:02x}").unwrap();
                hex
            })
        })
        .collect()
}

/// Splits at start codes.
fn nals(bytes: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> = bytes
        .windows(3)
        .enumerate()
        .filter(|(_, w)| *w == [0, 0, 1])
        .map(|(i, _)| i)
        .collect();
    let ends = starts.iter().skip(1).copied().chain([bytes.len() + 1]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| {
            let nal = &bytes[start + 3..(end).min(bytes.len())];
            let length = nal.iter().rposition(|&b| b != 0).map_or(0, |i| i + 1);
            &nal[..length]
        })
        .filter(|nal| !nal.is_empty())
        .collect()
}

fn clip_is_bit_exact(rig: &Rig, source: &Path, codec: Codec) {
    rig.until("five seconds kept", |s| s.ring_secs > 5.0);
    let to = clock::now();
    let from = to.shifted_ns(-3_500_000_000);
    let clip = rig.camera.clip(from, to).unwrap();
    assert_eq!((clip.codec, clip.width, clip.height), (codec, 320, 240));
    assert!(
        clip.whole,
        "{:?}..{:?} of {from:?}..{to:?}",
        clip.first, clip.last
    );
    assert!(clip.first.boot_ns <= from.boot_ns);
    let path = source.with_extension("cut.mp4");
    std::fs::File::create(&path)
        .unwrap()
        .write_all(&clip.mp4)
        .unwrap();
    decodes_fully(&path, clip.frames);
    a_browser_takes_it(&path, codec);

    // Every frame is one of the source's, in its order, round and round.
    let sent = payload_nals(source, codec);
    let kept = payload_nals(&path, codec);
    assert!(kept.len() >= clip.frames && clip.frames >= 85);
    let shown: Vec<&String> = kept.iter().filter(|nal| sent.contains(nal)).collect();
    assert_eq!(
        shown.len(),
        kept.len(),
        "no other NAL unit than the source's"
    );
    let place = |nal: &String| sent.iter().position(|s| s == nal).unwrap();
    let jumps = kept
        .windows(2)
        .filter(|pair| place(&pair[1]) != place(&pair[0]) + 1)
        .count();
    assert!(jumps <= kept.len() / sent.len() + 1, "{jumps} jumps");
}

/// One plain MP4 file, coded under the name that every browser knows.
fn a_browser_takes_it(path: &Path, codec: Codec) {
    let tag = Command::new("ffprobe")
        .args(["-v", "warning", "-select_streams", "v"])
        .args(["-show_entries", "stream=codec_tag_string", "-of", "csv=p=0"])
        .arg(path)
        .output()
        .unwrap();
    let wanted = match codec {
        Codec::H264 => "avc1",
        Codec::H265 => "hvc1",
    };
    assert_eq!(String::from_utf8_lossy(&tag.stdout).trim(), wanted);
    let bytes = std::fs::read(path).unwrap();
    let fragments = bytes.windows(4).filter(|w| w == b"moof").count();
    assert_eq!(fragments, 0, "not in fragments");
}

/// The words in every SEI unit we put into a stream.
const SEI_UUID: &[u8; 16] = b"lingmou-test-sei";

/// `source` with a user-data SEI unit of its own (H.264 annex D.1.7, H.265 annex D.2.7) before
/// each picture, as a camera that signs its video would send.
fn with_sei(source: &Path, codec: Codec) -> PathBuf {
    let format = match codec {
        Codec::H264 => "h264",
        Codec::H265 => "hevc",
    };
    let plain = source.with_extension(format);
    let signed = source.with_extension(format!("sei.{format}"));
    let made = source.with_extension("sei.mp4");
    let ffmpeg = |args: &[&str], from: &Path, to: &Path| {
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-y"])
            .args(args)
            .arg("-i")
            .arg(from)
            .args(["-an", "-c", "copy"])
            .arg(to)
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}");
    };
    ffmpeg(&[], source, &plain);
    let mut stream = Vec::new();
    let bytes = std::fs::read(&plain).unwrap();
    for (n, nal) in nals(&bytes).into_iter().enumerate() {
        let header: &[u8] = match codec {
            Codec::H264 => &[6],
            Codec::H265 => &[39 << 1, 1],
        };
        if is_picture(nal[0], codec) {
            let words = [SEI_UUID.as_slice(), format!("unit {n}").as_bytes()].concat();
            stream.extend([0, 0, 0, 1]);
            stream.extend(header);
            stream.extend([5, u8::try_from(words.len()).unwrap()]);
            stream.extend(words);
            stream.push(0x80);
        }
        stream.extend([0, 0, 0, 1]);
        stream.extend(nal);
    }
    std::fs::File::create(&signed)
        .unwrap()
        .write_all(&stream)
        .unwrap();
    ffmpeg(&["-f", format, "-framerate", "25"], &signed, &made);
    made
}

/// Whether a NAL unit that begins with `first` holds (a slice of) a picture.
fn is_picture(first: u8, codec: Codec) -> bool {
    match codec {
        Codec::H264 => matches!(first & 31, 1 | 5),
        Codec::H265 => first >> 1 & 63 < 32,
    }
}

#[test]
fn sei_units_survive_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    for codec in [Codec::H264, Codec::H265] {
        let plain = clip(
            dir.path(),
            &format!("{}.mp4", codec.name()),
            codec,
            (320, 240),
            50,
        );
        let source = with_sei(&plain, codec);
        let uuid = SEI_UUID.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        let ours = |path: &Path| -> Vec<String> {
            let mut all = payload_nals(path, codec);
            all.retain(|nal| nal.contains(&uuid));
            all
        };
        assert_eq!(ours(&source).len(), 50, "the source carries them");
        let server = RtspServer::start(&[mount("/main", &source, codec)]).unwrap();
        let rig = Rig::new(&rtsp(server.url("/main")));
        clip_is_bit_exact(&rig, &source, codec);
        let cut = source.with_extension("cut.mp4");
        let mut pictures = payload_nals(&cut, codec);
        pictures.retain(|nal| {
            is_picture(
                u8::from_str_radix(nal.get(..2).unwrap(), 16).unwrap(),
                codec,
            )
        });
        assert_eq!(ours(&cut).len(), pictures.len(), "one before each picture");
        assert!(pictures.len() >= 85);
    }
}

/// The luma of one frame of a file, by its number.
fn frame_of(path: &Path, number: usize) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-vf", &format!("select=eq(n\\,{number}),extractplanes=y")])
        .args(["-frames:v", "1", "-f", "rawvideo", "-"])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && words.is_empty(), "{words}");
    output.stdout
}

/// When the frames of a file are shown, nanoseconds.
fn times_of(path: &Path) -> Vec<u64> {
    let probed = Command::new("ffprobe")
        .args(["-v", "warning", "-show_entries", "frame=pts_time"])
        .args(["-of", "csv=p=0"])
        .arg(path)
        .output()
        .unwrap();
    let seconds = String::from_utf8_lossy(&probed.stdout);
    let seconds = seconds
        .lines()
        .filter_map(|l| l.trim_matches(',').parse().ok());
    seconds
        .map(|s| u64::try_from(Duration::from_secs_f64(s).as_nanos()).unwrap())
        .collect()
}

#[test]
fn a_picture_has_its_place_in_the_clip() {
    let dir = tempfile::tempdir().unwrap();
    let served = h264(dir.path());
    let server = serve(&served);
    let reordered = dir.path().join("b264.mp4");
    let encoder = "x264enc speed-preset=fast key-int-max=25 bframes=2 b-adapt=false ! h264parse";
    encode(&reordered, encoder, (320, 240), 150);
    // A picture that comes before its time, as those do that B frames refer to, is dated when it
    // came; a live camera's own time is smoothed by less than half a frame.
    for (camera, apart_ms) in [(rtsp(server.url("/main")), 20), (file(reordered), 120)] {
        let rig = Rig::new(&camera);
        // Until the camera tells its own time, pictures are dated by their arrival.
        rig.until("a steady time", |s| {
            let source = s.main.time_source;
            source.is_some_and(|source| source != TimeSource::Arrival)
        });
        let steady = clock::now();
        rig.until("four seconds kept", |s| {
            s.ring_secs > 4.0 && clock::now().since(steady) > Duration::from_secs(5)
        });
        let to = clock::now();
        let picture = rig
            .camera
            .full_frame(to.shifted_ns(-1_500_000_000))
            .unwrap();
        let clip = rig.camera.clip(to.shifted_ns(-3_000_000_000), to).unwrap();
        let path = dir.path().join("place.mp4");
        std::fs::File::create(&path)
            .unwrap()
            .write_all(&clip.mp4)
            .unwrap();
        let place = picture.pts_ns - clip.first_pts_ns;
        let utc = u64::try_from(picture.at.utc_ns - clip.first.utc_ns).unwrap();
        let apart = place.abs_diff(utc) / 1_000_000;
        assert!(apart < apart_ms, "UTC says the same: {place} {utc}");
        let times = times_of(&path);
        let nearest = (0..times.len())
            .min_by_key(|&n| times[n].abs_diff(place))
            .unwrap();
        assert!(
            times[nearest].abs_diff(place) < 2_000_000,
            "{place} {times:?}"
        );
        assert!(
            frame_of(&path, nearest) == luma(&picture),
            "frame {nearest}"
        );
    }
}

#[test]
fn frames_round_a_moment_are_those_of_the_stream() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(&h264(dir.path()));
    let rig = Rig::new(&rtsp(server.url("/main")));
    rig.until("four seconds kept", |s| s.ring_secs > 4.0);
    let moment = clock::now().shifted_ns(-2_000_000_000);
    let round = |ms| {
        rig.camera
            .frames_round(moment, Duration::from_millis(ms), 7)
    };
    let frames = round(600).unwrap();
    assert!((5..=7).contains(&frames.len()), "{} frames", frames.len());
    let own = rig.camera.full_frame(moment).unwrap();
    assert!(
        frames.iter().any(|f| f.pts_ns == own.pts_ns),
        "the moment's own"
    );
    assert!(frames.windows(2).all(|two| two[0].pts_ns < two[1].pts_ns));
    for frame in &frames {
        assert!(frame.at.boot_ns.abs_diff(moment.boot_ns) <= 600_000_000);
        let alone = rig.camera.full_frame(frame.at).unwrap();
        assert!(luma(frame) == luma(&alone) && frame.pts_ns == alone.pts_ns);
    }
    assert_eq!(
        round(0).map_or(0, |f| f.len()),
        0,
        "no frame at that very nanosecond"
    );
    // Of what has not come yet nothing can be given; of what has gone neither.
    let gone = moment.shifted_ns(-3_600_000_000_000);
    assert!(
        rig.camera
            .frames_round(gone, Duration::from_millis(600), 7)
            .is_err()
    );
    let now = clock::now();
    let frames = rig
        .camera
        .frames_round(now, Duration::from_millis(600), 7)
        .unwrap();
    assert!(frames.iter().all(|f| f.at.boot_ns <= clock::boot_ns()));
}

/// Decodes without a word of complaint, from time 0, with rising times, index before data.
fn decodes_fully(path: &Path, frames: usize) {
    let bytes = std::fs::read(path).unwrap();
    let find = |tag: &[u8]| bytes.windows(4).position(|w| w == tag).unwrap();
    assert!(
        find(b"moov") < find(b"mdat"),
        "a browser needs the index first"
    );
    let probed = Command::new("ffprobe")
        .args([
            "-v",
            "warning",
            "-show_entries",
            "frame=pts_time",
            "-of",
            "csv=p=0",
        ])
        .arg(path)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&probed.stderr);
    assert!(probed.status.success() && words.is_empty(), "{words}");
    let times: Vec<f64> = String::from_utf8_lossy(&probed.stdout)
        .lines()
        .filter_map(|line| line.trim_matches(',').parse().ok())
        .collect();
    assert_eq!(times.len(), frames, "{times:?}");
    assert!(times[0].abs() < 0.001, "starts at {}", times[0]);
    let rises = times.windows(2).all(|pair| pair[1] > pair[0]);
    assert!(rises, "{times:?}");
}

#[test]
fn a_full_frame_is_the_very_frame_detection_saw() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(&h264(dir.path()));
    let rig = Rig::new(&rtsp(server.url("/main")));
    for seen in rig.frames(4) {
        let full = rig.camera.full_frame(seen.at).unwrap();
        assert_eq!(
            (full.pts_ns, full.time_source),
            (seen.pts_ns, seen.time_source)
        );
        assert!(luma(&full) == luma(&seen), "decoded twice, the same pixels");
    }
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
    let source = dir.path().join("b.mp4");
    // B frames: a decoder would hold each key frame back until the one after the next.
    let encoder = "x264enc speed-preset=fast key-int-max=25 bframes=2 b-adapt=false ! h264parse";
    encode(&source, encoder, (320, 240), 50);
    let server = serve(&source);
    let rig = Rig::new(&config::Camera {
        detect_on: DetectOn::KeyFrames,
        ..rtsp(server.url("/main"))
    });
    for pair in rig.frames(4).windows(2) {
        let step = pair[1].at.since(pair[0].at).as_millis();
        assert!((800..=1400).contains(&step), "one a second, {step} ms");
    }
    let newest = rig.frame();
    let age = clock::now().since(newest.at);
    assert!(age < Duration::from_millis(900), "{age:?} old");
    let state = rig.camera.state();
    assert!(state.main.decoded < state.main.units_in / 10, "{state:#?}");
    assert_eq!(state.main.decoded, state.main.offered);
}

#[test]
fn udp_plays_too() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(&h264(dir.path()));
    let rig = Rig::new(&config::Camera {
        transport: RtspTransport::Udp,
        ..rtsp(server.url("/main"))
    });
    rig.frames(3);
    assert_eq!(rig.camera.state().main.reconnects, 0);
}

const PASSWORD: &str = "p@ss/#?:%20 密码&\"";

fn guarded(clip: &Path) -> RtspServer {
    let door = Door {
        login: Some(("admin".to_owned(), PASSWORD.to_owned())),
        ..Door::default()
    };
    RtspServer::start_behind(door, &[mount("/main", clip, Codec::H264)]).unwrap()
}

fn login(password: &str) -> Credentials {
    Credentials {
        user: "admin".to_owned(),
        password: Secret::new(password),
    }
}

#[test]
fn any_character_may_be_in_a_password_and_no_log_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = guarded(&h264(dir.path()));
    let rig = Rig::with(&rtsp(server.url("/main")), login(PASSWORD));
    drop(rig.frame());
    let state = rig.camera.state();
    drop(server);
    rig.until("gone", |s| s.phase != Phase::Playing);
    let told = format!("{state:?} {:?} {:?}", rig.camera.state(), rig.camera);
    let log = String::from_utf8_lossy(&logged().lock().unwrap()).into_owned();
    for text in [told, log] {
        assert!(!text.contains("p@ss") && !text.contains("密码"), "{text}");
    }
}

#[test]
fn a_wrong_password_is_told_from_all_else() {
    let dir = tempfile::tempdir().unwrap();
    let server = guarded(&h264(dir.path()));
    for wrong in ["wrong-secret", ""] {
        let rig = Rig::with(&rtsp(server.url("/main")), login(wrong));
        let state = rig.fails_with(&Fault::Unauthorized);
        assert_eq!(state.phase, Phase::Failed);
        assert!(state.cause.unwrap().contains("wrong user or password"));
    }
    let rig = Rig::new(&rtsp(server.url("/main")));
    rig.fails_with(&Fault::Unauthorized);
    assert!(!String::from_utf8_lossy(&logged().lock().unwrap()).contains("wrong-secret"));
}

#[test]
fn a_wrong_path_and_nobody_listening_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(&h264(dir.path()));
    Rig::new(&rtsp(server.url("/nothing"))).fails_with(&Fault::NotFound);
    let url = server.url("/main");
    drop(server);
    Rig::new(&rtsp(url)).fails_with(&Fault::Refused);
}

#[test]
fn a_port_that_is_not_rtsp_is_said() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let rig = Rig::new(&rtsp(format!("rtsp://127.0.0.1:{port}/")));
    rig.fails_with(&Fault::NoAnswer);
}

#[test]
fn motion_jpeg_is_refused_by_name() {
    let server = RtspServer::start(&[Mount {
        path: "/jpeg".to_owned(),
        show: Show::MotionJpeg,
    }])
    .unwrap();
    let rig = Rig::new(&rtsp(server.url("/jpeg")));
    let state = rig.fails_with(&Fault::Codec("Motion JPEG".to_owned()));
    assert!(state.cause.unwrap().contains("set the camera to H.264"));
}

#[test]
fn a_url_with_a_password_is_refused_without_repeating_it() {
    logged();
    let slots = Arc::new(Slots::new(1));
    let config = rtsp("rtsp://admin:tell-nobody@127.0.0.1/".to_owned());
    let evidence = config::Evidence::default();
    let error = Camera::start(0, &config, Credentials::default(), &evidence, slots).unwrap_err();
    assert!(matches!(error, IngestError::Config { .. }));
    assert!(!format!("{error} {error:?}").contains("tell-nobody"));
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
    assert!(!clip.whole);
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

#[test]
fn a_file_plays_in_real_time_to_its_end_or_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let path = h264(dir.path());
    let start = clock::now();
    let once = Rig::new(&file(path.clone()));
    let first = once.frame();
    assert_eq!(first.time_source, TimeSource::Recording);
    let state = once.until("ended", |s| s.phase == Phase::Ended);
    let took = clock::now().since(start).as_secs_f64();
    assert!(took > 1.8, "two seconds of video in {took} s");
    assert_eq!(
        (state.main.units_in, state.main.fault),
        (50, Some(Fault::EndOfFile))
    );
    let clip = once.camera.clip(start, clock::now()).unwrap();
    assert_eq!(clip.frames, 50);

    let looped = Rig::new(&config::Camera {
        repeat: true,
        ..file(path)
    });
    looped.until("played twice", |s| s.main.units_in > 110);
}

#[test]
fn broken_files_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let whole = std::fs::read(h264(dir.path())).unwrap();
    let make = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::File::create(&path)
            .unwrap()
            .write_all(bytes)
            .unwrap();
        path
    };
    let text = make(
        "text.mp4",
        b"this is a letter, not a film\n".repeat(50).as_slice(),
    );
    let empty = make("empty.mp4", b"");
    let headless = make("headless.mp4", &whole[whole.len() / 2..]);
    let xvid = dir.path().join("xvid.avi");
    let made = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc=size=160x120:rate=25:duration=1",
        ])
        .args(["-c:v", "mpeg4"])
        .arg(&xvid)
        .status()
        .unwrap();
    assert!(made.success());
    for (path, fault) in [
        (
            dir.path().join("nothing"),
            Fault::Unreadable("no such file".to_owned()),
        ),
        (text, Fault::NotARecording),
        (empty, Fault::NotARecording),
        (headless, Fault::NotARecording),
        (xvid, Fault::Codec("MPEG-4".to_owned())),
    ] {
        Rig::new(&file(path.clone())).fails_with(&fault);
        let error = Recording::open(&path, clock::now(), 5.0)
            .and_then(|mut recording| recording.next())
            .unwrap_err();
        let IngestError::Recording { fault: found, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(found, fault);
    }
}

#[test]
fn a_capture_device_that_is_not_there_is_said() {
    let rig = Rig::new(&config::Camera {
        kind: CameraKind::V4l2,
        path: "/dev/no-such-video".into(),
        ..config::Camera::default()
    });
    let state = rig.until("failed", |s| s.phase == Phase::Failed);
    assert!(
        matches!(state.main.fault, Some(Fault::Unreadable(_))),
        "{state:#?}"
    );
}

#[test]
fn a_truncated_file_plays_up_to_the_cut() {
    let dir = tempfile::tempdir().unwrap();
    let whole = std::fs::read(h264(dir.path())).unwrap();
    let path = dir.path().join("cut.mp4");
    let cut = &whole[..whole.len() * 2 / 3];
    std::fs::File::create(&path)
        .unwrap()
        .write_all(cut)
        .unwrap();
    let rig = Rig::new(&file(path.clone()));
    drop(rig.frame());
    let state = rig.until("over", |s| matches!(s.phase, Phase::Ended | Phase::Failed));
    assert!(
        state.main.units_in > 10 && state.main.units_in < 50,
        "{state:#?}"
    );
    let mut recording = Recording::open(&path, clock::now(), 25.0).unwrap();
    let mut frames = 0;
    while recording.next().unwrap().is_some() {
        frames += 1;
    }
    assert!((10..50).contains(&frames), "{frames}");
}

#[test]
fn damaged_video_does_not_stop_the_stream() {
    let dir = tempfile::tempdir().unwrap();
    let source = h264(dir.path());
    let mut bytes = std::fs::read(&source).unwrap();
    let data = bytes.windows(4).position(|w| w == b"mdat").unwrap() + 200;
    for i in (data..bytes.len() - 8).step_by(97) {
        bytes[i] ^= 0x55;
    }
    std::fs::File::create(&source)
        .unwrap()
        .write_all(&bytes)
        .unwrap();
    let rig = Rig::new(&config::Camera {
        repeat: true,
        ..file(source)
    });
    rig.until("still receiving", |s| s.main.units_in > 20);
}

/// As from a camera whose one key frame was before we came (intra refresh, "smart" coding).
#[test]
fn video_without_a_key_frame_is_not_called_playing() {
    let dir = tempfile::tempdir().unwrap();
    let whole = clip(dir.path(), "whole.mp4", Codec::H264, (320, 240), 25);
    let plain = dir.path().join("plain.h264");
    let source = dir.path().join("headless.mp4");
    let ffmpeg = |args: &[&str], from: &Path, to: &Path| {
        let status = Command::new("ffmpeg")
            .args(["-v", "error", "-y"])
            .args(args)
            .arg("-i")
            .arg(from)
            .args(["-an", "-c", "copy", "-copyinkf"])
            .arg(to)
            .status()
            .unwrap();
        assert!(status.success());
    };
    ffmpeg(&[], &whole, &plain);
    let stream = std::fs::read(&plain).unwrap();
    let kept = nals(&stream).into_iter().filter(|nal| nal[0] & 31 != 5);
    let headless: Vec<u8> = kept.flat_map(|nal| [&[0, 0, 0, 1], nal].concat()).collect();
    std::fs::File::create(&plain)
        .unwrap()
        .write_all(&headless)
        .unwrap();
    ffmpeg(&["-f", "h264", "-framerate", "25"], &plain, &source);
    let rig = Rig::new(&config::Camera {
        repeat: true,
        ..file(source)
    });
    let state = rig.until("two rounds received", |s| s.main.units_in > 40);
    assert_eq!((state.phase, state.main.offered), (Phase::Connecting, 0));
}

#[test]
fn a_recording_replays_the_same_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = h264(dir.path());
    let start = Stamp {
        utc_ns: 1_785_549_784_000_000_000,
        boot_ns: 7_000_000_000,
        error_ns: 0,
    };
    let replay = || {
        let mut recording = Recording::open(&path, start, 5.0).unwrap();
        let mut frames = Vec::new();
        while let Some(frame) = recording.next().unwrap() {
            frames.push((frame.number, frame.at, luma(&frame)));
        }
        frames
    };
    let frames = replay();
    let numbers: Vec<u64> = frames.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, (0..50).step_by(5).collect::<Vec<_>>());
    for (number, at, _) in &frames {
        let since = i64::try_from(number * 40_000_000).unwrap();
        assert_eq!(*at, start.shifted_ns(since));
    }
    assert!(frames == replay());
}

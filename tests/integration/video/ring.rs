//! An eye that cannot keep up: what it misses is dropped evenly, and no evidence is.

use gstreamer_app as gst_app;
use gstreamer_video as gst_video;
use lingmou::ingest::IngestError;
use lingmou::types::Image;

use super::*;

const WIDTH: usize = 640;
const HEIGHT: usize = 360;
/// Squares of a frame's number along the top edge, the highest bit first.
const BITS: usize = 10;
const SIDE: usize = 32;
const STEP: Duration = Duration::from_millis(40);

/// A clip of which every frame carries its number in its pixels, a key frame each second.
fn numbered(dir: &Path, frames: usize) -> PathBuf {
    init().unwrap();
    let path = dir.join("numbered.mp4");
    let launch = format!(
        "appsrc name=in format=time block=true ! x264enc speed-preset=ultrafast key-int-max=25 bframes=0 \
         ! h264parse ! mp4mux ! filesink location={}",
        path.display()
    );
    let pipeline = gst::parse::launch(&launch).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let source = pipeline.by_name("in").unwrap();
    let source = source.downcast::<gst_app::AppSrc>().unwrap();
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, 640, 360)
        .fps(gst::Fraction::new(25, 1))
        .build()
        .unwrap();
    source.set_caps(Some(&info.to_caps().unwrap()));
    pipeline.set_state(gst::State::Playing).unwrap();
    for number in 0..frames {
        let mut pixels = vec![128; WIDTH * HEIGHT * 3 / 2];
        for (i, luma) in pixels[..WIDTH * HEIGHT].iter_mut().enumerate() {
            let (x, y) = (i % WIDTH, i / WIDTH);
            let bit = x / SIDE;
            *luma = match (bit < BITS, y < SIDE) {
                (true, true) if number >> (BITS - 1 - bit) & 1 == 1 => 235,
                (_, true) => 16,
                _ => 60 + u8::try_from((x + y + number) % 64).unwrap(),
            };
        }
        let mut buffer = gst::Buffer::from_mut_slice(pixels);
        let pts = gst::ClockTime::try_from(STEP * u32::try_from(number).unwrap()).unwrap();
        buffer.get_mut().unwrap().set_pts(pts);
        source.push_buffer(buffer).unwrap();
    }
    source.end_of_stream().unwrap();
    let patience = gst::ClockTime::try_from(PATIENCE).unwrap();
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline.bus().unwrap();
    let end = end.timed_pop_filtered(patience, &ends).unwrap();
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
    pipeline.set_state(gst::State::Null).unwrap();
    path
}

fn number(image: &Image) -> usize {
    let white = |bit: usize| image.row(0, SIDE / 2, WIDTH).unwrap()[bit * SIDE + SIDE / 2] > 125;
    (0..BITS).fold(0, |n, bit| n * 2 + usize::from(white(bit)))
}

/// Frames from `a` to the later `b`, by their presentation times.
fn steps_between(a: &Frame, b: &Frame) -> usize {
    let step = u64::try_from(STEP.as_nanos()).unwrap();
    usize::try_from((b.pts_ns - a.pts_ns + step / 2) / step).unwrap()
}

/// Cameras that share one set of slots.
struct Street {
    cameras: Vec<Camera>,
    slots: Arc<Slots>,
}

impl Street {
    fn open(configs: &[config::Camera]) -> Self {
        logged();
        let slots = Arc::new(Slots::new(configs.len()));
        let start = |(index, config)| {
            let login = Credentials::default();
            Camera::start(index, config, login, BACK, Arc::clone(&slots)).unwrap()
        };
        let cameras = configs.iter().enumerate().map(start).collect();
        Self { cameras, slots }
    }

    fn dropped(&self) -> Vec<u64> {
        self.cameras.iter().map(|c| c.state().dropped).collect()
    }

    /// One turn of an eye that is so slow that meanwhile every camera loses `more` frames.
    fn slow_turn(&self, more: u64) -> Vec<Frame> {
        let before = self.dropped();
        let start = clock::now();
        while self
            .dropped()
            .iter()
            .zip(&before)
            .any(|(now, b)| *now < b + more)
        {
            assert!(clock::now().since(start) < PATIENCE, "{:?}", self.dropped());
            std::thread::park_timeout(Duration::from_millis(5));
        }
        let take = |_| self.slots.take(PATIENCE).expect("every slot is filled");
        (0..self.cameras.len()).map(take).collect()
    }
}

#[test]
fn an_overloaded_eye_misses_evenly_and_no_evidence_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let clip = numbered(dir.path(), 500);
    let config = config::Camera {
        detect_rate: 25.0,
        ..file(clip)
    };
    let street = Street::open(&vec![config; 4]);
    let (mut looks, mut pictures) = ([0; 4], 0);
    let mut last: Vec<Option<Frame>> = vec![None; 4];
    for _ in 0..5 {
        for frame in street.slow_turn(4) {
            looks[frame.camera] += 1;
            let before = last[frame.camera].replace(frame.clone());
            let Some(before) = before else { continue };
            let (from, to) = (number(&before.image), number(&frame.image));
            assert!(to > from + 4, "frames between {from} and {to} were dropped");
            // A picture of every frame between the two, none of which the eye ever had.
            for missed in from + 1..to {
                let steps = u32::try_from(missed - from).unwrap();
                let at = before
                    .at
                    .shifted_ns((STEP * steps).as_nanos().try_into().unwrap());
                let full = street.cameras[frame.camera].full_frame(at).unwrap();
                // The pixels are those of its own time, which is the one asked for; a thread that
                // was held up between two clocks may make it the neighbour's.
                assert_eq!(number(&full.image), from + steps_between(&before, &full));
                assert!(number(&full.image).abs_diff(missed) <= 1, "{missed}");
                assert_eq!((full.image.width, full.image.height), (WIDTH, HEIGHT));
                pictures += 1;
            }
        }
    }
    assert_eq!(looks, [5; 4], "every camera had its turn in every round");
    assert!(pictures >= 4 * 4 * 4, "{pictures}");
    for camera in &street.cameras {
        let state = camera.state();
        // What was handed over was looked at, dropped and counted, or lies in the slot.
        let seen = state.main.offered - state.dropped;
        assert!((5..=6).contains(&seen), "{state:?}");
    }
}

#[test]
fn who_waits_finds_the_moment_still_there() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(&h264(dir.path()));
    let slots = Arc::new(Slots::new(1));
    let (config, login) = (rtsp(server.url("/main")), Credentials::default());
    let camera = Camera::start(0, &config, login, Duration::ZERO, Arc::clone(&slots)).unwrap();
    let rig = Rig { camera, slots };
    rig.until("some kept", |s| s.ring_secs > 2.0);
    let (at, waiting) = (rig.frame().at, rig.camera.hold());
    // Twice as long as a moment is kept that nobody waits for.
    rig.until("long ago", |_| {
        clock::now().since(at) > Duration::from_secs(10)
    });
    assert_eq!(rig.camera.full_frame(at).unwrap().at, at);
    drop(waiting);
    rig.until("gone", |s| s.ring_secs < 8.0);
    let gone = rig.camera.full_frame(at).unwrap_err();
    assert!(matches!(gone, IngestError::NotKept { .. }), "{gone}");
}

#[test]
fn with_a_substream_the_picture_is_the_main_streams_at_that_moment() {
    let dir = tempfile::tempdir().unwrap();
    let main = numbered(dir.path(), 500);
    let sub = clip(dir.path(), "sub.mp4", Codec::H264, (160, 120), 50);
    let mounts = [
        mount("/main", &main, Codec::H264),
        mount("/sub", &sub, Codec::H264),
    ];
    let server = RtspServer::start(&mounts).unwrap();
    let street = Street::open(&[config::Camera {
        substream_url: server.url("/sub"),
        detect_rate: 25.0,
        ..rtsp(server.url("/main"))
    }]);
    let mut frames: Vec<Frame> = (0..3).flat_map(|_| street.slow_turn(5)).collect();
    let last = frames.pop().unwrap();
    let first = frames.pop().unwrap();
    assert_eq!(first.image.width, 160);
    // Pictures of moments the eye never had a frame of: one frame of the main stream each, whose
    // numbers rise with the moments asked for. How exactly is the network's and its times' affair.
    let base = street.cameras[0].full_frame(first.at).unwrap();
    let between = last.at.since(first.at);
    let mut at = first.at;
    let mut seen = Vec::new();
    while at.since(first.at) + STEP < between {
        at = at.shifted_ns(40_000_000);
        let full = street.cameras[0].full_frame(at).unwrap();
        assert_eq!((full.image.width, full.image.height), (WIDTH, HEIGHT));
        assert!(full.at.boot_ns.abs_diff(at.boot_ns) < 200_000_000);
        let steps = number(&full.image).checked_sub(*seen.last().unwrap_or(&number(&base.image)));
        assert!(
            steps.is_some_and(|steps| steps <= 8),
            "{steps:?} after {seen:?}"
        );
        seen.push(number(&full.image));
    }
    assert!(seen.len() >= 4, "{seen:?}");
    seen.dedup();
    assert!(seen.len() >= 4, "a picture of each moment: {seen:?}");
}

#[test]
fn when_the_main_stream_is_gone_there_is_no_picture_of_a_moment_since() {
    let dir = tempfile::tempdir().unwrap();
    let main = clip(dir.path(), "main.mp4", Codec::H264, (320, 240), 50);
    let sub = clip(dir.path(), "sub.mp4", Codec::H264, (160, 120), 50);
    let server = RtspServer::start(&[mount("/main", &main, Codec::H264)]).unwrap();
    let other = RtspServer::start(&[mount("/sub", &sub, Codec::H264)]).unwrap();
    let rig = Rig::new(&config::Camera {
        substream_url: other.url("/sub"),
        ..rtsp(server.url("/main"))
    });
    rig.until("both play", |s| {
        let sub = s
            .sub
            .as_ref()
            .is_some_and(|sub| sub.phase == Phase::Playing);
        s.ring_secs > 2.0 && sub
    });
    drop(server);
    let last = rig
        .until("gone", |s| s.main.phase > Phase::Connecting)
        .main
        .last;
    let last = last.expect("there were pictures");
    // Detection goes on, and what it saw last of the main stream is no picture of what it sees now.
    let seen = loop {
        let seen = rig.frame();
        if seen.at.since(last) > Duration::from_secs(2) {
            break seen;
        }
    };
    assert_eq!(seen.image.width, 160);
    let refused = rig.camera.full_frame(seen.at).unwrap_err();
    assert!(matches!(refused, IngestError::NotKept { .. }), "{refused}");
    let kept = last.shifted_ns(-1_000_000_000);
    let full = rig.camera.full_frame(kept).unwrap();
    assert_eq!(full.image.width, 320);
    assert!(full.at.boot_ns.abs_diff(kept.boot_ns) <= 1_000_000_000);
}

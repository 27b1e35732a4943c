//! A full-size picture is the very frame of its moment, and has its place in the clip.

use std::sync::Weak;

use super::*;

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

/// A camera of this codec, and what serves it.
fn played(dir: &Path, codec: Codec) -> (RtspServer, Rig) {
    let name = format!("{}.mp4", codec.name());
    let source = clip(dir, &name, codec, (320, 240), 50);
    let server = RtspServer::start(&[mount("/main", &source, codec)]).unwrap();
    let rig = Rig::new(&rtsp(server.url("/main")));
    (server, rig)
}

#[test]
fn frames_round_a_moment_are_those_of_the_stream() {
    let dir = tempfile::tempdir().unwrap();
    for codec in [Codec::H264, Codec::H265] {
        let (_server, rig) = played(dir.path(), codec);
        frames_are_the_stream_s(&rig);
    }
}

fn frames_are_the_stream_s(rig: &Rig) {
    rig.until("four seconds kept", |s| s.ring_secs > 4.0);
    let moment = clock::now().shifted_ns(-2_000_000_000);
    // Of those given before nothing is kept: a full picture is megabytes.
    let mut given = Vec::<Weak<_>>::new();
    let mut alone = |frame: Frame| {
        let kept = given.iter().filter(|data| data.strong_count() > 0);
        assert_eq!(kept.count(), 0, "frames that nobody holds any more");
        given.push(Arc::downgrade(&frame.image.data));
    };
    let reach = Duration::from_millis(600);
    rig.camera
        .frames_round(moment, reach, 7, &mut alone)
        .unwrap();
    let round = |at: Stamp, ms| {
        let (mut frames, reach) = (Vec::new(), Duration::from_millis(ms));
        let told = rig.camera.frames_round(at, reach, 7, |f| frames.push(f));
        told.map(|()| frames)
    };
    let frames = round(moment, 600).unwrap();
    assert_eq!(frames.len(), given.len());
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
        round(moment, 0).map_or(0, |f| f.len()),
        0,
        "no frame at that very nanosecond"
    );
    // Of what has not come yet nothing can be given; of what has gone neither.
    let gone = moment.shifted_ns(-3_600_000_000_000);
    assert!(round(gone, 600).is_err());
    let frames = round(clock::now(), 600).unwrap();
    assert!(frames.iter().all(|f| f.at.boot_ns <= clock::boot_ns()));
}

#[test]
fn a_full_frame_is_the_very_frame_detection_saw() {
    let dir = tempfile::tempdir().unwrap();
    for codec in [Codec::H264, Codec::H265] {
        let (_server, rig) = played(dir.path(), codec);
        for seen in rig.frames(4) {
            let full = rig.camera.full_frame(seen.at).unwrap();
            assert_eq!(
                (full.pts_ns, full.time_source),
                (seen.pts_ns, seen.time_source)
            );
            assert!(luma(&full) == luma(&seen), "decoded twice, the same pixels");
        }
        assert_eq!(rig.camera.state().main.codec, Some(codec));
    }
}

//! Clips are the very bytes the camera sent: both codecs, B frames, and what a camera signs.

use std::fmt::Write as _;

use super::*;

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

/// The camera hangs for a while, too short for the stream to be given up: what is kept before and
/// after is one piece, and says what is missing in it.
#[test]
fn a_clip_over_a_pause_without_a_reconnection_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(&h264(dir.path()));
    let rig = Rig::new(&config::Camera {
        stall_secs: 30.0,
        ..rtsp(server.url("/main"))
    });
    rig.until("two seconds kept", |s| s.ring_secs > 2.0);
    let from = clock::now().shifted_ns(-1_000_000_000);
    server.stall("/main", true);
    let begun = clock::now();
    let pause = Duration::from_millis(1800);
    rig.until("the pause over", |_| clock::now().since(begun) > pause);
    server.stall("/main", false);
    let kept = rig.camera.state().ring_secs;
    rig.until("two seconds more kept", |s| s.ring_secs > kept + 3.8);
    let clip = rig.camera.clip(from, clock::now()).unwrap();
    assert_eq!(rig.camera.state().main.reconnects, 0);
    assert!(
        clip.first.boot_ns <= from.boot_ns,
        "both sides of the pause"
    );
    let told = clip.interrupted.expect("not the whole");
    assert!(told.starts_with("no picture came for "), "{told}");
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
pub(super) fn nals(bytes: &[u8]) -> Vec<&[u8]> {
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

pub(super) fn clip_is_bit_exact(rig: &Rig, source: &Path, codec: Codec) {
    rig.until("five seconds kept", |s| s.ring_secs > 5.0);
    let to = clock::now();
    let from = to.shifted_ns(-3_500_000_000);
    let clip = rig.camera.clip(from, to).unwrap();
    assert_eq!((clip.codec, clip.width, clip.height), (codec, 320, 240));
    assert_eq!(
        clip.interrupted, None,
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

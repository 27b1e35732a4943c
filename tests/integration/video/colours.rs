//! Streams that say how their colours are meant, up to the picture of evidence.

use jiff::tz::TimeZone;
use lingmou::develop::{Developer, Exif};
use lingmou::types::{Colours, Matrix, Range};
use uuid::Uuid;

use super::*;

/// One colour, coded without visible loss as a stream of this colorimetry, with or without
/// saying so in the stream.
fn patch(dir: &Path, name: &str, rgb: [u8; 3], colorimetry: &str) -> PathBuf {
    let path = dir.join(name);
    let [r, g, b] = rgb.map(u32::from);
    let argb = 0xff00_0000 | r << 16 | g << 8 | b;
    let launch = format!(
        "videotestsrc pattern=solid-color foreground-color={argb} num-buffers=25 \
         ! video/x-raw,format=RGB,width=320,height=240,framerate=25/1 \
         ! videoconvert ! video/x-raw,format=I420,colorimetry=(string){colorimetry} \
         ! x264enc speed-preset=ultrafast quantizer=4 pass=quant key-int-max=25 bframes=0 \
         ! h264parse ! mp4mux ! filesink location={}",
        path.display()
    );
    play(&launch);
    path
}

fn evidence(developer: &mut Developer, frame: &Frame) -> [u8; 3] {
    let exif = Exif {
        at: frame.at,
        time_zone: TimeZone::UTC,
        placed: None,
        make: String::new(),
        model: String::new(),
        software: String::new(),
        comment: String::new(),
        image_unique_id: Uuid::nil(),
    };
    let jpeg = developer.original(&frame.image, &exif).unwrap();
    let picture = turbojpeg::decompress(&jpeg, turbojpeg::PixelFormat::RGB).unwrap();
    let at = picture.height / 2 * picture.pitch + picture.width / 2 * 3;
    picture.pixels[at..at + 3].try_into().unwrap()
}

#[test]
fn evidence_shows_the_colours_the_camera_saw_whatever_it_sends() {
    let dir = tempfile::tempdir().unwrap();
    let mut developer = Developer::new(&config::Evidence::default()).unwrap();
    let colours = |range, matrix| Colours { range, matrix };
    // GStreamer's numbers: range, matrix, transfer function, primaries.
    for (number, (colorimetry, wanted)) in [
        ("2:4:5:4", colours(Range::Limited, Matrix::Bt601)),
        ("2:3:5:1", colours(Range::Limited, Matrix::Bt709)),
        ("1:4:5:4", colours(Range::Full, Matrix::Bt601)),
        ("1:3:5:1", colours(Range::Full, Matrix::Bt709)),
    ]
    .into_iter()
    .enumerate()
    {
        for rgb in [[200, 40, 40], [30, 160, 60], [235, 235, 235], [10, 10, 10]] {
            let name = format!("{number}-{}.mp4", rgb[0]);
            let path = patch(dir.path(), &name, rgb, colorimetry);
            // From a file, and as a camera sends it: without a container.
            let server = serve(&path);
            let looped = config::Camera {
                repeat: true,
                ..file(path)
            };
            for config in [looped, rtsp(server.url("/main"))] {
                let rig = Rig::new(&config);
                let seen = rig.frame();
                let full = rig.camera.full_frame(seen.at).unwrap();
                for frame in [seen, full] {
                    assert_eq!(frame.image.colours, wanted, "{colorimetry} {config:?}");
                    let shown = evidence(&mut developer, &frame);
                    let off = shown.iter().zip(rgb).map(|(s, w)| s.abs_diff(w)).max();
                    assert!(off <= Some(5), "{colorimetry} {rgb:?}: {shown:?}");
                }
            }
        }
    }
}

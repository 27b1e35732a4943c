//! Capture devices plugged into the box.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use gstreamer as gst;
use gstreamer::prelude::*;

use super::codec::element;
use super::pipeline::caps_filter;
use super::{Codec, Fault};

/// What a device is made to give.
pub(super) enum Gives {
    /// Coded video, behind this filter.
    Units(Codec, gst::Element),
    /// Pictures.
    Pictures {
        /// What brings them to pixels; nothing for those that are.
        head: Vec<gst::Element>,
        /// Why there is no clip.
        no_clip: &'static str,
    },
}

/// The device, open: only then it tells its formats.
pub(super) fn open(path: &Path) -> Result<gst::Element, Fault> {
    openable(path)?;
    let device = gst::ElementFactory::make("v4l2src")
        .property("device", path.to_string_lossy().as_ref())
        .build()
        .map_err(|error| Fault::Pipeline(error.to_string()))?;
    match device.set_state(gst::State::Ready) {
        Ok(_) => Ok(device),
        Err(_) => Err(Fault::Unreadable(
            "not a capture device, or another program uses it".to_owned(),
        )),
    }
}

/// Whether a capture device lies there that this user may use; GStreamer says neither.
fn openable(path: &Path) -> Result<(), Fault> {
    let file = std::fs::File::options().read(true).write(true).open(path);
    let kind = file.and_then(|file| file.metadata());
    let kind = kind.map_err(|error| Fault::of_device_file(&error))?;
    if kind.file_type().is_char_device() {
        Ok(())
    } else {
        Err(Fault::Unreadable("a file, not a capture device".to_owned()))
    }
}

/// The best of what an open device offers at its `pad`: H.264, H.265, Motion JPEG, raw pictures;
/// `rate` of them a second, or more, where it can.
pub(super) fn gives(pad: &gst::Pad, rate: f64) -> Result<Gives, Fault> {
    let offered = pad.query_caps(None);
    let offers = |name| offered.iter().any(|s| s.name() == name);
    let only = |name| caps_filter(&asked(&offered, name, rate));
    for (codec, name) in [(Codec::H264, "video/x-h264"), (Codec::H265, "video/x-h265")] {
        if offers(name) {
            return Ok(Gives::Units(codec, only(name)?));
        }
    }
    Ok(if offers("image/jpeg") {
        Gives::Pictures {
            head: vec![only("image/jpeg")?, element("jpegdec")?],
            no_clip: "the capture device gives Motion JPEG, not H.264 or H.265",
        }
    } else if offers("video/x-raw") {
        Gives::Pictures {
            head: vec![only("video/x-raw")?],
            no_clip: "the capture device gives raw pictures, not H.264 or H.265",
        }
    } else {
        return Err(Fault::no_device_format());
    })
}

/// The format `name`, fast enough where the device has that. By itself GStreamer takes the largest
/// picture, and of that a camera may give two a second.
fn asked(offered: &gst::Caps, name: &str, rate: f64) -> gst::Caps {
    let least = gst::Fraction::approximate_f64(rate).unwrap_or(gst::Fraction::new(1, 1));
    let fast = gst::FractionRange::new(least, gst::Fraction::new(i32::MAX, 1));
    let fast = gst::Caps::builder(name).field("framerate", fast).build();
    if offered.can_intersect(&fast) {
        fast
    } else {
        gst::Caps::new_empty_simple(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is made of a device that offers `caps`: codec or `None`, and the caps asked of it.
    fn given(caps: &str) -> Result<(Option<Codec>, String), Fault> {
        let caps: gst::Caps = caps.parse().unwrap();
        let (source, always) = (gst::PadDirection::Src, gst::PadPresence::Always);
        let template = gst::PadTemplate::new("src", source, always, &caps).unwrap();
        let asked = |filter: &gst::Element| filter.property::<gst::Caps>("caps").to_string();
        Ok(match gives(&gst::Pad::from_template(&template), 5.0)? {
            Gives::Units(codec, filter) => (Some(codec), asked(&filter)),
            Gives::Pictures { head, .. } => (None, asked(&head[0])),
        })
    }

    #[test]
    fn the_best_of_what_a_device_offers_is_taken() {
        super::super::init().unwrap();
        for (caps, codec, asked) in [
            (
                "video/x-h265, stream-format=byte-stream",
                Some(Codec::H265),
                "video/x-h265",
            ),
            (
                "image/jpeg; video/x-h265",
                Some(Codec::H265),
                "video/x-h265",
            ),
            (
                "video/x-h265; video/x-h264",
                Some(Codec::H264),
                "video/x-h264",
            ),
            ("video/x-raw; image/jpeg", None, "image/jpeg"),
            ("video/x-raw, format=YUY2", None, "video/x-raw"),
        ] {
            let (found, begins) = given(caps).unwrap();
            assert!(
                found == codec && begins.starts_with(asked),
                "{caps}: {begins}"
            );
        }
    }

    #[test]
    fn a_large_picture_that_comes_too_rarely_is_not_taken() {
        super::super::init().unwrap();
        let large = "video/x-raw, width=3840, framerate={ (fraction)1/1, (fraction)2/1 }";
        let asked: gst::Caps = given(&format!("{large}; video/x-raw, width=1920, framerate=5/1"))
            .unwrap()
            .1
            .parse()
            .unwrap();
        let fits = |offer: &str| asked.can_intersect(&offer.parse::<gst::Caps>().unwrap());
        assert!(!fits(large), "{asked}");
        assert!(fits("video/x-raw, width=1920, framerate=5/1"), "{asked}");
        // Where nothing is fast enough, the largest it is.
        assert_eq!(given(large).unwrap().1, "video/x-raw");
    }

    #[test]
    fn a_device_of_whose_formats_none_is_known_is_said() {
        super::super::init().unwrap();
        let bayer = "video/x-bayer, format=grbg, width=640, height=480";
        assert_eq!(given(bayer), Err(Fault::no_device_format()));
    }
}

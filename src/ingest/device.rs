//! Capture devices plugged into the box.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use gstreamer as gst;
use gstreamer::prelude::*;

use super::Fault;
use super::codec::element;
use super::pipeline::caps_filter;

/// What a device is made to give.
pub(super) enum Gives {
    /// H.264, behind this filter.
    Units(gst::Element),
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

/// The best of what an open device offers at its `pad`: H.264, Motion JPEG, raw pictures.
pub(super) fn gives(pad: &gst::Pad) -> Result<Gives, Fault> {
    let offered = pad.query_caps(None);
    let offers = |name| offered.iter().any(|s| s.name() == name);
    let only = |name| caps_filter(&gst::Caps::new_empty_simple(name));
    if offers("video/x-h264") {
        return Ok(Gives::Units(only("video/x-h264")?));
    }
    Ok(if offers("image/jpeg") {
        Gives::Pictures {
            head: vec![only("image/jpeg")?, element("jpegdec")?],
            no_clip: "the capture device gives Motion JPEG, not H.264",
        }
    } else {
        Gives::Pictures {
            head: Vec::new(),
            no_clip: "the capture device gives raw pictures, not H.264",
        }
    })
}

//! The demonstration's footage: a real street camera, as H.264.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use gstreamer as gst;
use gstreamer::prelude::*;

/// Where Debian's `opencv-doc` keeps its fixed street camera with pedestrians.
const DEBIAN: &str = "/usr/share/doc/opencv-doc/examples/data/vtest.avi";
/// Recoding the footage takes seconds; longer means that it hangs.
const RECODE_WITHIN: gst::ClockTime = gst::ClockTime::from_seconds(180);

/// A clip an RTSP server can stream as it is.
#[derive(Clone, Debug)]
pub struct Footage(PathBuf);

impl Footage {
    /// The street camera of Debian's `opencv-doc`, coded as H.264 once and kept in `cache`.
    pub fn street(cache: &Path, say: &dyn Fn(&str)) -> anyhow::Result<Self> {
        let kept = cache.join("street.mp4");
        if !kept.is_file() {
            if !Path::new(DEBIAN).is_file() {
                bail!("{DEBIAN} is missing: install the Debian package opencv-doc (make setup)");
            }
            std::fs::create_dir_all(cache)
                .with_context(|| format!("cannot make {}", cache.display()))?;
            say("coding the footage as H.264, once");
            // A name of its own: another demonstration may be coding into the same cache.
            let fresh = cache.join(format!("street.part-{}.mp4", std::process::id()));
            recode(Path::new(DEBIAN), &fresh)?;
            crate::disk::rename(&fresh, &kept)?;
        }
        Ok(Self(kept))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// A key frame every two seconds and no B frames: what a street camera sends. One thread and a
/// fixed quantiser, so that the clip is the same on every machine.
fn recode(from: &Path, to: &Path) -> anyhow::Result<()> {
    gst::init()?;
    let pipeline = gst::parse::launch(
        "filesrc name=from ! decodebin ! videoconvert ! video/x-raw,format=I420 \
         ! x264enc pass=quant quantizer=22 threads=1 key-int-max=20 bframes=0 speed-preset=veryfast \
         ! video/x-h264,profile=high ! h264parse ! mp4mux faststart=true ! filesink name=to",
    )
    .context("GStreamer plugins are missing (make setup)")?;
    let bin = pipeline
        .downcast_ref::<gst::Bin>()
        .context("not a pipeline")?;
    for (name, path) in [("from", from), ("to", to)] {
        let element = bin
            .by_name(name)
            .context("invariant: the element was just named")?;
        element.set_property("location", path.to_string_lossy().as_ref());
    }
    let bus = pipeline.bus().context("a pipeline has a bus")?;
    pipeline.set_state(gst::State::Playing)?;
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(RECODE_WITHIN, &ends);
    pipeline.set_state(gst::State::Null)?;
    match message.as_ref().map(|m| m.view()) {
        Some(gst::MessageView::Eos(_)) => Ok(()),
        Some(gst::MessageView::Error(e)) => bail!("the footage cannot be coded: {}", e.error()),
        _ => bail!("coding the footage did not end"),
    }
}

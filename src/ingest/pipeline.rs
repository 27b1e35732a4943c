//! Builds the GStreamer pipeline of one session.
//!
//! RTSP: `rtspsrc ! depayloader ! parser ! capsfilter ! decoder ! videoconvert ! appsink`;
//! a file puts `filesrc ! parsebin ! clocksync` before the parser; a stream that is only kept
//! ends in `fakesink` after the capsfilter. Probes between capsfilter and decoder keep the
//! access units. No queue: jitter buffer, parser and decoder share one thread.
//! `videoconvert` passes I420 and NV12 through untouched.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use crate::config::RtspTransport;

use super::codec::{element, parser};
use super::device::{self, Gives};
use super::faults::UDP_SILENCE_SECS;
use super::found::Found;
use super::intake::Intake;
use super::knock::Endpoint;
use super::picture::sink;
use super::tls::trust;
use super::{Codec, Credentials, Fault};

/// A camera that accepts the connection answers requests within this, microseconds.
const ANSWER_WITHIN_US: u64 = 5_000_000;

/// Packets are put in order within this, milliseconds. TCP keeps order by itself.
const UDP_REORDER_MS: u32 = 200;

/// Room for a burst of a large key frame in the kernel.
const UDP_BUFFER_BYTES: i32 = 2 * 1024 * 1024;

/// Name of the message that wakes the watcher.
const WAKE: &str = "lingmou-wake";

/// Where a stream comes from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A network camera.
    Rtsp {
        url: String,
        endpoint: Endpoint,
        credentials: Credentials,
        transport: RtspTransport,
        /// Certificates that `rtsps://` trusts; empty for the system's.
        roots: PathBuf,
    },
    /// A recording, played in real time.
    File { path: PathBuf, repeat: bool },
    /// A local capture device.
    Device {
        path: PathBuf,
        /// Pictures a second that are to be had of it.
        rate: f64,
    },
}

/// A built pipeline; dropping it releases everything.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) pipeline: gst::Pipeline,
    pub(super) bus: gst::Bus,
    /// Explains any error that follows from it.
    pub(super) found: Found,
}

impl Session {
    /// Builds the pipeline, not yet playing. `banned`: decoders that have failed before.
    pub(super) fn build(
        source: &Source,
        intake: &Arc<Intake>,
        banned: Vec<String>,
    ) -> Result<Self, Fault> {
        let session = Self::empty()?;
        let joint = Joint {
            pipeline: session.pipeline.downgrade(),
            intake: Arc::clone(intake),
            banned,
            found: session.found.clone(),
        };
        match source {
            Source::Rtsp { .. } => joint.rtsp(&session.pipeline, source)?,
            Source::File { path, .. } => joint.file(&session.pipeline, path)?,
            Source::Device { path, rate } => joint.device(&session.pipeline, path, *rate)?,
        }
        Ok(session)
    }

    /// Nothing in it yet.
    pub(super) fn empty() -> Result<Self, Fault> {
        let pipeline = gst::Pipeline::new();
        let bus = pipeline
            .bus()
            .ok_or_else(|| Fault::Pipeline("a pipeline without a bus".to_owned()))?;
        Ok(Self {
            pipeline,
            bus,
            found: Found::default(),
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Err(error) = self.pipeline.set_state(gst::State::Null) {
            tracing::debug!(%error, "pipeline does not stop");
        }
    }
}

/// Wakes whoever waits on the bus.
pub(super) fn wake(bus: &gst::Bus) {
    let message = gst::message::Application::new(gst::Structure::new_empty(WAKE));
    if let Err(error) = bus.post(message) {
        tracing::debug!(%error, "bus takes no message");
    }
}

/// Joins what a source turns out to carry to the rest of the pipeline.
struct Joint {
    /// Weak: the pipeline owns the callbacks that own this.
    pipeline: gst::glib::WeakRef<gst::Pipeline>,
    intake: Arc<Intake>,
    banned: Vec<String>,
    found: Found,
}

impl Joint {
    fn rtsp(self, pipeline: &gst::Pipeline, source: &Source) -> Result<(), Fault> {
        let rtspsrc = rtspsrc(source, &self.found)?;
        self.select_stream(&rtspsrc);
        rtspsrc.connect_pad_added(move |rtspsrc, pad| {
            let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
            let joined = Codec::of(&caps).and_then(|codec| self.join_rtp(pad, codec));
            self.found.report(rtspsrc, joined);
        });
        pipeline
            .add(&rtspsrc)
            .map_err(|error| Fault::Pipeline(error.to_string()))
    }

    /// Asks the camera for its first H.264 or H.265 stream and for nothing else: no sound, no
    /// metadata.
    fn select_stream(&self, rtspsrc: &gst::Element) {
        let found = self.found.clone();
        let chosen = AtomicBool::new(false);
        rtspsrc.connect("select-stream", false, move |values| {
            let caps = values.get(2).and_then(|v| v.get::<gst::Caps>().ok());
            let video = caps.filter(|caps| is_video(caps) && !chosen.load(Ordering::Relaxed));
            let wanted = video.is_some_and(|caps| found.note(Codec::of(&caps)));
            if wanted {
                chosen.store(true, Ordering::Relaxed);
                found.forget_codec();
            }
            Some(wanted.to_value())
        });
    }

    fn join_rtp(&self, pad: &gst::Pad, codec: Codec) -> Result<(), Fault> {
        self.join(pad, codec, vec![element(codec.depayloader())?])
    }

    /// A pipeline gets clock and base time with the change to playing, which comes after the
    /// elements behind `parsebin` have begun to work: on a busy box a short file rushed through
    /// before that, without a time. So it has its clock from the start, and its time begins with
    /// the first stream.
    fn file(self, pipeline: &gst::Pipeline, path: &Path) -> Result<(), Fault> {
        let found = self.found.clone();
        let clock = gst::SystemClock::obtain();
        pipeline.use_clock(Some(&clock));
        pipeline
            .set_clock(Some(&clock))
            .map_err(|error| Fault::Pipeline(error.to_string()))?;
        pipeline.set_start_time(gst::ClockTime::NONE);
        open_file(pipeline, path, &found, move |pad, codec| {
            if let Some(pipeline) = self.pipeline.upgrade() {
                pipeline.set_base_time(clock.time());
            }
            self.join(pad, codec, vec![element("clocksync")?])
        })
    }

    fn device(self, pipeline: &gst::Pipeline, path: &Path, rate: f64) -> Result<(), Fault> {
        let device = device::open(path)?;
        add(pipeline, std::slice::from_ref(&device))?;
        let pad = device.static_pad("src").ok_or(Fault::NoVideo)?;
        self.join_device(&pad, device::gives(&pad, rate)?)
    }

    /// Another device may be plugged in than before.
    fn join_device(&self, pad: &gst::Pad, gives: Gives) -> Result<(), Fault> {
        match gives {
            Gives::Units(codec, filter) => {
                self.intake.status.facts().no_clip = None;
                self.join(pad, codec, vec![filter])
            }
            Gives::Pictures { head, no_clip } => {
                let mut facts = self.intake.status.facts();
                facts.no_clip = Some(no_clip.to_owned());
                (facts.codec, facts.decoder) = (None, None);
                drop(facts);
                self.chain(pad, &[head, self.pictures()?].concat())
            }
        }
    }

    /// Links `head`, the parser and what follows behind `pad`.
    fn join(&self, pad: &gst::Pad, codec: Codec, head: Vec<gst::Element>) -> Result<(), Fault> {
        let parser = parser(codec)?;
        let filter = caps_filter(&codec.unit_caps())?;
        if let Some(src) = filter.static_pad("src") {
            let intake = Arc::clone(&self.intake);
            let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
            src.add_probe(kinds, move |pad, info| {
                if let Some(buffer) = info.buffer() {
                    return intake.unit(pad, buffer);
                }
                if let Some(event) = info.event().and_then(|event| intake.event(event)) {
                    info.data = Some(gst::PadProbeData::Event(event));
                }
                gst::PadProbeReturn::Ok
            });
        }
        let tail = if self.intake.slots.is_some() {
            let decoder = codec.open_decoder(&self.banned)?;
            let name = decoder.factory().map(|factory| factory.name().to_string());
            self.intake.status.facts().decoder = name;
            [vec![decoder], self.pictures()?].concat()
        } else {
            let sink = element("fakesink")?;
            sink.set_property("sync", false);
            sink.set_property("async", false);
            sink.set_property("enable-last-sample", false);
            vec![sink]
        };
        self.chain(pad, &[head, vec![parser, filter], tail].concat())
    }

    /// What brings decoded pictures to the intake.
    fn pictures(&self) -> Result<Vec<gst::Element>, Fault> {
        let intake = Arc::clone(&self.intake);
        let callbacks = gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                if let (Ok(sample), Some(pad)) = (sink.pull_sample(), sink.static_pad("sink")) {
                    intake.frame(&pad, &sample);
                }
                Ok(gst::FlowSuccess::Ok)
            })
            .build();
        Ok(vec![element("videoconvert")?, sink(callbacks).upcast()])
    }

    fn chain(&self, pad: &gst::Pad, elements: &[gst::Element]) -> Result<(), Fault> {
        // A pipeline that is gone needs nothing more.
        match self.pipeline.upgrade() {
            Some(pipeline) => chain(&pipeline, pad, elements),
            None => Ok(()),
        }
    }
}

/// What asks the camera at `source` for its streams.
pub(super) fn rtspsrc(source: &Source, found: &Found) -> Result<gst::Element, Fault> {
    let Source::Rtsp {
        url,
        endpoint,
        credentials,
        transport,
        roots,
    } = source
    else {
        return Err(Fault::NoVideo);
    };
    let (protocols, latency) = match transport {
        RtspTransport::Tcp => ("tcp", 0),
        RtspTransport::Udp => ("udp", UDP_REORDER_MS),
    };
    let rtspsrc = gst::ElementFactory::make("rtspsrc")
        .property("location", url)
        .property_from_str("protocols", protocols)
        .property("latency", latency)
        .property("tcp-timeout", ANSWER_WITHIN_US)
        .property("timeout", UDP_SILENCE_SECS * 1_000_000)
        .property("udp-buffer-size", UDP_BUFFER_BYTES)
        .property("do-retransmission", false)
        .property("add-reference-timestamp-meta", true)
        .property("user-agent", concat!("lingmou/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Fault::Pipeline(error.to_string()))?;
    if !credentials.user.is_empty() {
        rtspsrc.set_property("user-id", &credentials.user);
        rtspsrc.set_property("user-pw", credentials.password.expose());
    }
    if endpoint.tls {
        trust(&rtspsrc, roots, found)?;
    }
    Ok(rtspsrc)
}

fn is_video(caps: &gst::CapsRef) -> bool {
    caps.structure(0).is_some_and(|s| {
        let media = s.get::<&str>("media").unwrap_or_default();
        media == "video" || s.name().starts_with("video/") || s.name().starts_with("image/")
    })
}

/// `filesrc ! parsebin`, which finds the container and gives each stream parsed. The first
/// video stream is given to `join`; without one, or of another codec, that is reported.
pub(super) fn open_file(
    pipeline: &gst::Pipeline,
    path: &Path,
    found: &Found,
    join: impl Fn(&gst::Pad, Codec) -> Result<(), Fault> + Send + Sync + 'static,
) -> Result<(), Fault> {
    let file = element("filesrc")?;
    file.set_property("location", path);
    let parsebin = element("parsebin")?;
    add(pipeline, &[file.clone(), parsebin.clone()])?;
    let seen = Arc::new(AtomicBool::new(false));
    let (say, has_video) = (found.clone(), Arc::clone(&seen));
    parsebin.connect_pad_added(move |parsebin, pad| {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        if is_video(&caps) && !has_video.swap(true, Ordering::Relaxed) {
            say.report(
                parsebin,
                Codec::of(&caps).and_then(|codec| join(pad, codec)),
            );
        }
    });
    let say = found.clone();
    parsebin.connect_no_more_pads(move |parsebin| {
        // Without any pad it is no recording at all, and an error says so.
        if !seen.load(Ordering::Relaxed) && !parsebin.src_pads().is_empty() {
            say.report(parsebin, Err(Fault::NoVideo));
        }
    });
    file.link(&parsebin)
        .map_err(|error| Fault::Pipeline(error.to_string()))
}

pub(super) fn caps_filter(caps: &gst::Caps) -> Result<gst::Element, Fault> {
    let filter = element("capsfilter")?;
    filter.set_property("caps", caps);
    Ok(filter)
}

/// Adds the elements that are not yet in, links them one after the other behind `pad`, and lets them run.
pub(super) fn chain(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    elements: &[gst::Element],
) -> Result<(), Fault> {
    let words = |error: gst::glib::BoolError| Fault::Pipeline(error.to_string());
    for element in elements.iter().filter(|element| element.parent().is_none()) {
        pipeline.add(element).map_err(words)?;
    }
    gst::Element::link_many(elements).map_err(words)?;
    let first = elements
        .first()
        .and_then(|element| element.static_pad("sink"));
    let first = first.ok_or_else(|| Fault::Pipeline("nothing to link".to_owned()))?;
    for element in elements.iter().rev() {
        element.sync_state_with_parent().map_err(words)?;
    }
    pad.link(&first)
        .map_err(|error| Fault::Pipeline(error.to_string()))?;
    Ok(())
}

fn add(pipeline: &gst::Pipeline, elements: &[gst::Element]) -> Result<(), Fault> {
    pipeline
        .add_many(elements)
        .map_err(|error| Fault::Pipeline(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Slots;
    use super::super::intake::Purpose;
    use super::super::state::Status;
    use super::super::time::Clockwork;
    use super::*;

    /// What is looked at, and what hands it on.
    fn intake() -> (Arc<Slots>, Arc<Intake>) {
        super::super::init().unwrap();
        let slots = Arc::new(Slots::new(1));
        let purpose = Purpose {
            camera: 0,
            ring: None,
            slots: Some(Arc::clone(&slots)),
            key_frames_only: false,
            detect_rate: 5.0,
            clockwork: Clockwork::Live,
        };
        let intake = Intake::new(purpose, Arc::new(Status::default()));
        (slots, Arc::new(intake))
    }

    /// A session in which `device` gives what it gives.
    fn plugged(device: &gst::Element, intake: &Arc<Intake>) -> Session {
        let session = Session::empty().unwrap();
        add(&session.pipeline, std::slice::from_ref(device)).unwrap();
        let joint = Joint {
            pipeline: session.pipeline.downgrade(),
            intake: Arc::clone(intake),
            banned: Vec::new(),
            found: session.found.clone(),
        };
        let pad = device.static_pad("src").unwrap();
        let gives = device::gives(&pad, 5.0).unwrap();
        joint.join_device(&pad, gives).unwrap();
        session
    }

    #[test]
    fn another_device_than_before_may_give_a_clip_again() {
        let (_, intake) = intake();
        for (caps, is_coded) in [
            ("video/x-h264, stream-format=byte-stream", true),
            ("video/x-raw, format=YUY2, width=64, height=48", false),
            ("video/x-h264, stream-format=byte-stream", true),
        ] {
            let device = caps_filter(&caps.parse().unwrap()).unwrap();
            let _session = plugged(&device, &intake);
            let facts = intake.status.facts();
            assert_eq!(facts.no_clip.is_none(), is_coded, "{caps}");
            assert_eq!(facts.decoder.is_some(), is_coded, "{caps}");
        }
    }

    /// A driver's memory, which tells whether anybody still holds it.
    struct Memory(Arc<[u8]>);

    impl AsRef<[u8]> for Memory {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    #[test]
    fn a_picture_holds_no_buffer_of_its_device() {
        let (slots, intake) = intake();
        let raw = "video/x-raw, format=I420, width=64, height=48, framerate=30/1";
        let feed = gst_app::AppSrc::builder().format(gst::Format::Time).build();
        let device = caps_filter(&raw.parse().unwrap()).unwrap();
        let session = plugged(&device, &intake);
        add(&session.pipeline, &[feed.clone().upcast()]).unwrap();
        feed.set_caps(Some(&raw.parse().unwrap()));
        feed.link(&device).unwrap();
        session.pipeline.set_state(gst::State::Playing).unwrap();
        let held: Arc<[u8]> = vec![90; 64 * 48 * 3 / 2].into();
        let mut buffer = gst::Buffer::from_slice(Memory(Arc::clone(&held)));
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
        feed.push_buffer(buffer).unwrap();
        let frame = slots.take(Duration::from_mins(1)).expect("a picture");
        drop(session);
        assert_eq!(Arc::strong_count(&held), 1, "the device is held open");
        // It is whole, and its size is known though there are no access units.
        assert_eq!(frame.image.row(0, 47, 64).unwrap(), [90; 64]);
        let facts = intake.status.facts();
        assert_eq!((facts.width, facts.height), (64, 48));
    }
}

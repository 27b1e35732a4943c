//! A recording, decoded as fast as it is asked for, with its own time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use crate::types::{Frame, Stamp, TimeSource};

use super::codec::{element, init, parser};
use super::found::Found;
use super::gate::Pace;
use super::picture::{Shape, image, offer_video_meta, sink_caps};
use super::pipeline::{caps_filter, chain, open_file};
use super::promise;
use super::{Codec, Fault, IngestError};

/// How often a quiet pipeline is looked at.
const LOOK_EVERY: gst::ClockTime = gst::ClockTime::from_seconds(1);

/// Opening a file or decoding a frame takes milliseconds; this many looks in vain mean stuck.
const LOOKS_MAX: u32 = 20;

/// Decoded frames waiting for who asks; bounds memory and read-ahead.
const AHEAD_MAX: u32 = 2;

/// A file being replayed. Its times come from the file alone, so a replay is the same each time.
#[derive(Debug)]
pub struct Recording {
    path: PathBuf,
    pipeline: gst::Pipeline,
    sink: gst_app::AppSink,
    found: Found,
    start: Stamp,
    first_pts_ns: Option<u64>,
    pace: Pace,
    decoded: u64,
    cut_off: bool,
}

impl Recording {
    /// Opens a file with H.264 or H.265 video. `start` is the capture time of its first frame,
    /// `rate` how many frames per second of the recording are handed out.
    pub fn open(path: &Path, start: Stamp, rate: f64) -> Result<Self, IngestError> {
        init()?;
        let pipeline = gst::Pipeline::new();
        let sink = gst_app::AppSink::builder()
            .caps(&sink_caps())
            .sync(false)
            .enable_last_sample(false)
            .max_buffers(AHEAD_MAX)
            .build();
        offer_video_meta(&sink);
        let recording = Self {
            path: path.to_owned(),
            pipeline,
            sink,
            found: Found::default(),
            start,
            first_pts_ns: None,
            pace: Pace::new(rate),
            decoded: 0,
            cut_off: false,
        };
        // In the pipeline from the start: a sink that is not started says end of stream.
        let added = recording.pipeline.add(&recording.sink);
        added.map_err(|error| recording.fails(Fault::Pipeline(error.to_string())))?;
        recording.join().map_err(|fault| recording.fails(fault))?;
        if recording.pipeline.set_state(gst::State::Playing).is_err() {
            let fault = recording.fault().unwrap_or(Fault::NotARecording);
            return Err(recording.fails(fault));
        }
        Ok(recording)
    }

    /// How long it is, where the file says so.
    pub fn duration(&self) -> Option<Duration> {
        let whole: Option<gst::ClockTime> = self.pipeline.query_duration();
        whole.map(|whole| Duration::from_nanos(whole.nseconds()))
    }

    /// Whether it broke off before its end, or is damaged there; known once [`next`](Self::next) has
    /// given `None`.
    pub fn is_cut_off(&self) -> bool {
        self.cut_off
    }

    /// The next frame due, or `None` at the end of the recording.
    #[expect(
        clippy::should_implement_trait,
        reason = "an Iterator's item would hide that an error ends it"
    )]
    pub fn next(&mut self) -> Result<Option<Frame>, IngestError> {
        let mut looks = LOOKS_MAX;
        while looks > 0 {
            if let Some(sample) = self.sink.try_pull_sample(LOOK_EVERY) {
                looks = LOOKS_MAX;
                if let Some(frame) = self.frame(&sample) {
                    return Ok(Some(frame));
                }
            } else if let Some(fault) = self.fault() {
                return self.end(fault);
            } else {
                looks -= 1;
            }
        }
        Err(self.fails(Fault::Stalled(u64::from(LOOKS_MAX) * LOOK_EVERY.seconds())))
    }

    /// The frame of a sample, when it is due and whole.
    fn frame(&mut self, sample: &gst::Sample) -> Option<Frame> {
        let buffer = sample.buffer()?;
        let pts_ns = buffer.pts()?.nseconds();
        let number = self.decoded;
        self.decoded += 1;
        let first_ns = *self.first_pts_ns.get_or_insert(pts_ns);
        if !self.pace.is_due(pts_ns) || buffer.flags().contains(gst::BufferFlags::CORRUPTED) {
            return None;
        }
        let shape = Shape::of(sample.caps()?)?;
        let since_ns = i64::try_from(pts_ns.saturating_sub(first_ns)).ok()?;
        Some(Frame {
            camera: 0,
            number,
            at: self.start.shifted_ns(since_ns),
            time_source: TimeSource::Recording,
            pts_ns,
            image: image(sample.buffer_owned()?, &shape)?,
        })
    }

    /// Tells the end of a recording from a failure.
    fn end(&mut self, fault: Fault) -> Result<Option<Frame>, IngestError> {
        let played = self.decoded > 0;
        match fault {
            // A recording cut off by a power failure is replayed up to there.
            Fault::NotARecording | Fault::EndOfFile if played => {
                self.cut_off = fault == Fault::NotARecording || promise::is_cut_off(&self.path);
                Ok(None)
            }
            Fault::EndOfFile => Err(self.fails(Fault::NoVideo)),
            fault => Err(self.fails(fault)),
        }
    }

    /// Why no frame comes, when that is known.
    fn fault(&self) -> Option<Fault> {
        if let Some(fault) = self.found.take() {
            return Some(fault);
        }
        let bus = self.pipeline.bus()?;
        if let Some(message) = bus.pop_filtered(&[gst::MessageType::Error])
            && let gst::MessageView::Error(error) = message.view()
        {
            return Some(Fault::of_file(&error.error()));
        }
        self.sink.is_eos().then_some(Fault::EndOfFile)
    }

    fn fails(&self, fault: Fault) -> IngestError {
        IngestError::Recording {
            path: self.path.clone(),
            fault,
        }
    }

    /// Links the file's video, once it is known, to the decoder and the sink.
    fn join(&self) -> Result<(), Fault> {
        let pipeline = self.pipeline.downgrade();
        let sink = self.sink.downgrade();
        open_file(
            &self.pipeline,
            &self.path,
            &self.found,
            move |pad, codec| match (pipeline.upgrade(), sink.upgrade()) {
                (Some(pipeline), Some(sink)) => tail(&pipeline, pad, codec, sink),
                _ => Ok(()),
            },
        )
    }
}

fn tail(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    codec: Codec,
    sink: gst_app::AppSink,
) -> Result<(), Fault> {
    let elements = [
        parser(codec)?,
        caps_filter(&codec.unit_caps())?,
        codec.open_decoder(&[])?,
        element("videoconvert")?,
        sink.upcast(),
    ];
    chain(pipeline, pad, &elements)
}

impl Drop for Recording {
    fn drop(&mut self) {
        if let Err(error) = self.pipeline.set_state(gst::State::Null) {
            tracing::debug!(%error, "pipeline does not stop");
        }
    }
}

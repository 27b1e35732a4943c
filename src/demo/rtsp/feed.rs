//! A clip in memory, and the thread that sends it in real time.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_rtsp_server as rtsp_server;
use rtsp_server::prelude::*;

use crate::clock;
use crate::ingest::Codec;
use crate::types::lock;

use super::ServeError;

/// Reading a clip into memory takes milliseconds per second of video.
const READ_WITHIN: gst::ClockTime = gst::ClockTime::from_seconds(20);

/// A feeder this late was stalled, not slow.
const SKIP_AFTER_NS: u64 = 1_000_000_000;

/// How a codec's elements and access units are called.
pub(super) fn names(codec: Codec) -> (&'static str, &'static str) {
    match codec {
        Codec::H264 => (
            "h264",
            "video/x-h264,stream-format=byte-stream,alignment=au",
        ),
        Codec::H265 => (
            "h265",
            "video/x-h265,stream-format=byte-stream,alignment=au",
        ),
    }
}

/// A clip's access units in decoding order.
#[derive(Debug)]
struct Reel {
    /// Each with its decoding time from the start of the clip, nanoseconds.
    units: Vec<(u64, gst::Buffer)>,
    /// Time until the clip begins again.
    length_ns: u64,
}

/// Reads every access unit of a clip into memory, parameter sets before each key frame.
fn read_clip(path: &Path, codec: Codec) -> Result<Reel, ServeError> {
    let fails = |why: String| ServeError::Clip {
        path: path.to_owned(),
        codec,
        why,
    };
    let (name, caps) = names(codec);
    let launch = format!(
        "filesrc name=file ! parsebin ! {name}parse config-interval=-1 ! {caps} \
         ! appsink name=sink sync=false"
    );
    let element = gst::parse::launch(&launch).map_err(|error| fails(error.to_string()))?;
    let pipeline = element
        .downcast::<gst::Pipeline>()
        .map_err(|element| fails(format!("{} is no pipeline", element.name())))?;
    if let Some(file) = pipeline.by_name("file") {
        file.set_property("location", path);
    }
    let sink = pipeline
        .by_name("sink")
        .and_then(|sink| sink.downcast::<gst_app::AppSink>().ok())
        .ok_or_else(|| fails("no sink".to_owned()))?;
    let mut buffers = Vec::new();
    if pipeline.set_state(gst::State::Playing).is_ok() {
        while let Some(sample) = sink.try_pull_sample(READ_WITHIN) {
            buffers.extend(sample.buffer_owned());
        }
    }
    pipeline
        .set_state(gst::State::Null)
        .map_err(|error| fails(error.to_string()))?;
    reel(buffers).ok_or_else(|| fails("no video frame read".to_owned()))
}

/// Brings the times of a clip to its start.
fn reel(buffers: Vec<gst::Buffer>) -> Option<Reel> {
    let decoding = |buffer: &gst::Buffer| buffer.dts_or_pts().map(gst::ClockTime::nseconds);
    let first_ns = decoding(buffers.first()?)?;
    let last_ns = decoding(buffers.last()?)?;
    let step_ns = (last_ns - first_ns) / (buffers.len() as u64 - 1).max(1);
    let units = buffers
        .into_iter()
        .filter_map(|buffer| Some((decoding(&buffer)?.saturating_sub(first_ns), buffer)))
        .collect();
    Some(Reel {
        units,
        length_ns: last_ns - first_ns + step_ns,
    })
}

/// Feeds the connections of one path.
#[derive(Debug)]
pub(super) struct Feed {
    state: Mutex<FeedState>,
    changed: Condvar,
}

#[derive(Debug)]
struct FeedState {
    reel: Arc<Reel>,
    /// When each access unit of the reel was last sent; shorter until all were.
    sent_ns: Vec<u64>,
    stalled: bool,
    stopped: bool,
}

impl Feed {
    /// Reads a clip to be fed.
    pub(super) fn read(path: &Path, codec: Codec) -> Result<Self, ServeError> {
        Ok(Self {
            state: Mutex::new(FeedState {
                reel: Arc::new(read_clip(path, codec)?),
                sent_ns: Vec::new(),
                stalled: false,
                stopped: false,
            }),
            changed: Condvar::new(),
        })
    }

    /// Stops or resumes sending; whoever is connected stays so.
    pub(super) fn stall(&self, stalled: bool) {
        self.lock().stalled = stalled;
        self.changed.notify_all();
    }

    /// Ends the threads that feed.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Goes on with another clip.
    pub(super) fn change(&self, path: &Path, codec: Codec) -> Result<(), ServeError> {
        let reel = Arc::new(read_clip(path, codec)?);
        let mut state = self.lock();
        state.reel = reel;
        state.sent_ns.clear();
        Ok(())
    }

    /// When the access unit of that number was last sent, on the boot clock.
    pub(super) fn sent_ns(&self, unit: usize) -> Option<u64> {
        self.lock().sent_ns.get(unit).copied()
    }

    /// Notes that the access unit of that number is sent now.
    fn note_sent(&self, unit: usize) {
        let mut state = self.lock();
        if state.sent_ns.len() <= unit {
            state.sent_ns.resize(unit + 1, 0);
        }
        state.sent_ns[unit] = clock::boot_ns();
    }

    /// Starts feeding a medium that was just made; its thread ends with the medium.
    pub(super) fn run(feed: &Arc<Self>, media: &rtsp_server::RTSPMedia) {
        let source = media
            .element()
            .downcast::<gst::Bin>()
            .ok()
            .and_then(|bin| bin.by_name("src"))
            .and_then(|source| source.downcast::<gst_app::AppSrc>().ok());
        let Some(source) = source else {
            return;
        };
        let feed = Arc::clone(feed);
        let spawned = thread::Builder::new()
            .name("rtsp-feed".to_owned())
            .spawn(move || feed.push_all(&source));
        if let Err(error) = spawned {
            tracing::error!(%error, "no thread to feed the RTSP server");
        }
    }

    /// Pushes the reel, over and over, in real time, until nobody takes it any more.
    fn push_all(&self, source: &gst_app::AppSrc) {
        let mut round_ns = clock::boot_ns();
        let start_ns = round_ns;
        loop {
            let reel = Arc::clone(&self.lock().reel);
            let mut broken_off_ns = None;
            for (number, (at_ns, unit)) in reel.units.iter().enumerate() {
                if !Arc::ptr_eq(&reel, &self.lock().reel) {
                    broken_off_ns = Some(round_ns + at_ns);
                    break;
                }
                let Some(late_ns) = self.wait_until(round_ns + at_ns) else {
                    return;
                };
                if late_ns > SKIP_AFTER_NS {
                    // What a camera did not send while it hung, it never sends.
                    round_ns += late_ns;
                }
                let time = gst::ClockTime::from_nseconds(round_ns + at_ns - start_ns);
                let ahead = unit
                    .pts()
                    .zip(unit.dts())
                    .map(|(pts, dts)| pts.saturating_sub(dts));
                let mut buffer = unit.copy();
                let mutable = buffer.make_mut();
                mutable.set_dts(time);
                mutable.set_pts(time + ahead.unwrap_or_default());
                self.note_sent(number);
                if source.push_buffer(buffer).is_err() {
                    return;
                }
            }
            round_ns = broken_off_ns.unwrap_or(round_ns + reel.length_ns);
        }
    }

    /// Waits for the moment and for the end of a stall. How late it then is, nanoseconds;
    /// `None` when stopped.
    fn wait_until(&self, due_ns: u64) -> Option<u64> {
        let mut state = self.lock();
        while !state.stopped {
            let now_ns = clock::boot_ns();
            if now_ns >= due_ns && !state.stalled {
                return Some(now_ns - due_ns);
            }
            let wait = if state.stalled {
                Duration::MAX
            } else {
                Duration::from_nanos(due_ns - now_ns)
            };
            (state, _) = self
                .changed
                .wait_timeout(state, wait)
                .unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, FeedState> {
        lock(&self.state)
    }
}

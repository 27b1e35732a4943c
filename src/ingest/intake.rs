//! What happens to each access unit and each frame, on the pipeline's own thread.

use std::sync::{Arc, Mutex, MutexGuard};

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::clock;
use crate::types::{Frame, lock};

use super::clip::size;
use super::gate::{Gate, Pace};
use super::picture::{Shape, image};
use super::ring::{Ring, Run, Unit};
use super::state::{Status, count};
use super::time::{Clockwork, Moment, Times, Timing};
use super::{Codec, Slots};

/// Seconds from the NTP era (1900) to the Unix epoch (RFC 5905 figure 4).
const NTP_TO_UNIX_SECS: u64 = 2_208_988_800;

/// Where a stream's units and frames go. Lives as long as the stream, over all its sessions.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) camera: usize,
    pub(super) status: Arc<Status>,
    /// Keeps untouched access units, unless this is the stream detection runs on.
    pub(super) ring: Option<Arc<Mutex<Ring>>>,
    /// Gets frames, unless this stream is only kept.
    pub(super) slots: Option<Arc<Slots>>,
    key_frames_only: bool,
    clockwork: Clockwork,
    flow: Mutex<Flow>,
}

/// State of one session; touched by one streaming thread at a time.
#[derive(Debug)]
struct Flow {
    session: u64,
    number: u64,
    times: Times,
    gate: Gate,
    pace: Pace,
    run: Option<Run>,
    shape: Option<(gst::Caps, Shape)>,
}

/// What `Intake::new` needs, one field per fact.
#[derive(Debug)]
pub(super) struct Purpose {
    pub(super) camera: usize,
    pub(super) ring: Option<Arc<Mutex<Ring>>>,
    pub(super) slots: Option<Arc<Slots>>,
    pub(super) key_frames_only: bool,
    pub(super) detect_rate: f64,
    pub(super) clockwork: Clockwork,
}

impl Intake {
    pub(super) fn new(purpose: Purpose, status: Arc<Status>) -> Self {
        let flow = Flow {
            session: 0,
            number: 0,
            times: Times::new(purpose.clockwork),
            gate: Gate::new(purpose.key_frames_only),
            pace: Pace::beside_key_frames(purpose.detect_rate),
            run: None,
            shape: None,
        };
        Self {
            camera: purpose.camera,
            status,
            ring: purpose.ring,
            slots: purpose.slots,
            key_frames_only: purpose.key_frames_only,
            clockwork: purpose.clockwork,
            flow: Mutex::new(flow),
        }
    }

    /// Forgets what belonged to the session before.
    pub(super) fn begin_session(&self) {
        let mut flow = self.flow();
        let last_out_ns = flow.times.last_out_ns();
        flow.session += 1;
        flow.times = Times::new(self.clockwork);
        flow.times.follow(last_out_ns);
        flow.gate = Gate::new(self.key_frames_only);
        flow.run = None;
        flow.shape = None;
    }

    /// Keeps an access unit; tells whether the decoder is to have it.
    pub(super) fn unit(&self, pad: &gst::Pad, buffer: &gst::Buffer) -> gst::PadProbeReturn {
        let status = &self.status;
        count(&status.units_in, 1);
        count(&status.bytes_in, u64::try_from(buffer.size()).unwrap_or(0));
        let Some(timing) = timing(pad, buffer.pts()) else {
            return gst::PadProbeReturn::Drop;
        };
        let key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let mut flow = self.flow();
        let moment = flow
            .times
            .note(clock::now(), timing.with_camera(camera_utc_ns(buffer)));
        flow.note_caps(pad, status);
        flow.number += 1;
        if let (Some(ring), Some(run)) = (&self.ring, &flow.run) {
            let unit = Unit {
                pts_ns: moment.pts_ns,
                at: moment.at,
                source: moment.source,
                key,
                number: flow.number,
                data: buffer.clone(),
            };
            lock(ring).push(run, unit);
        }
        self.publish(moment, &flow.times);
        if self.slots.is_none() {
            return gst::PadProbeReturn::Ok;
        }
        let admitted = flow.gate.admits(key, moment.late_ns);
        drop(flow);
        if admitted {
            return gst::PadProbeReturn::Ok;
        }
        count(&status.skipped, 1);
        gst::PadProbeReturn::Drop
    }

    /// Tells the decoder in key-frame mode that it gets nothing else.
    ///
    /// Without their successors a decoder that reorders would keep each key frame back until
    /// the second or third after it; the flag makes it give out every frame at once.
    pub(super) fn event(&self, event: &gst::Event) -> Option<gst::Event> {
        let gst::EventView::Segment(segment) = event.view() else {
            return None;
        };
        if !self.key_frames_only {
            return None;
        }
        let mut segment = segment.segment().clone();
        segment.set_flags(segment.flags() | gst::SegmentFlags::TRICKMODE_KEY_UNITS);
        Some(
            gst::event::Segment::builder(&segment)
                .seqnum(event.seqnum())
                .build(),
        )
    }

    /// Hands a decoded frame to the slots when it is due. Frames that are not due, and damaged
    /// ones, are not even mapped.
    pub(super) fn frame(&self, pad: &gst::Pad, sample: &gst::Sample) {
        let status = &self.status;
        let (Some(slots), Some(buffer)) = (&self.slots, sample.buffer()) else {
            return;
        };
        let Some(timing) = timing(pad, buffer.pts()) else {
            return;
        };
        let number = status
            .decoded
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut flow = self.flow();
        let recalled = flow.times.recall(timing.raw_pts_ns);
        // A device without access units has its frames timed here.
        let moment = recalled.unwrap_or_else(|| flow.times.note(clock::now(), timing));
        if !flow.pace.is_due(moment.pts_ns) {
            return;
        }
        if buffer.flags().contains(gst::BufferFlags::CORRUPTED) {
            count(&status.damaged, 1);
            return;
        }
        let has_units = flow.run.is_some();
        let picture = flow.shape_of(sample, status).and_then(|shape| {
            let buffer = sample.buffer_owned()?;
            // A capture device's own buffer holds it open: pulled and put back it would get
            // another name, and nothing would come to let go of the old one.
            let buffer = if has_units {
                buffer
            } else {
                buffer.copy_deep().ok()?
            };
            image(buffer, shape)
        });
        let Some(image) = picture else {
            count(&status.damaged, 1);
            return;
        };
        let moment = flow.times.hand_out(moment);
        if recalled.is_none() {
            self.publish(moment, &flow.times);
        }
        drop(flow);
        count(&status.offered, 1);
        slots.put(Frame {
            camera: self.camera,
            number,
            at: moment.at,
            time_source: moment.source,
            pts_ns: moment.pts_ns,
            image,
        });
    }

    fn publish(&self, moment: Moment, times: &Times) {
        let mut facts = self.status.facts();
        facts.last = Some((moment.at, moment.source));
        facts.doubt.take(moment.at);
        facts.camera_behind_ns = times.camera_behind_ns();
    }

    fn flow(&self) -> MutexGuard<'_, Flow> {
        lock(&self.flow)
    }
}

impl Flow {
    /// Begins a new run when the stream's format is another one.
    fn note_caps(&mut self, pad: &gst::Pad, status: &Status) {
        let Some(caps) = pad.current_caps() else {
            return;
        };
        if self.run.as_ref().is_some_and(|run| run.caps == caps) {
            return;
        }
        let Ok(codec) = Codec::of(&caps) else {
            return;
        };
        let mut facts = status.facts();
        facts.codec = Some(codec);
        (facts.width, facts.height) = size(&caps);
        drop(facts);
        self.run = Some(Run {
            codec,
            caps,
            session: self.session,
        });
    }

    fn shape_of(&mut self, sample: &gst::Sample, status: &Status) -> Option<&Shape> {
        let caps = sample.caps_owned()?;
        if self.shape.as_ref().is_none_or(|(known, _)| *known != caps) {
            let shape = Shape::of(&caps)?;
            if self.run.is_none() {
                // Pictures without access units: nobody else says how large they are.
                let mut facts = status.facts();
                (facts.width, facts.height) = size(&caps);
            }
            self.shape = Some((caps, shape));
        }
        self.shape.as_ref().map(|(_, shape)| shape)
    }
}

/// Running times of a buffer at a pad; `None` for a buffer without a time.
fn timing(pad: &gst::Pad, pts: Option<gst::ClockTime>) -> Option<Timing> {
    let pts = pts?;
    let segment = pad.sticky_event::<gst::event::Segment>(0)?;
    let segment = segment.segment().downcast_ref::<gst::ClockTime>()?;
    let running = segment.to_running_time(pts)?;
    let element = pad.parent_element()?;
    let now = element.current_running_time()?;
    Some(Timing {
        raw_pts_ns: pts.nseconds(),
        running_ns: running.nseconds(),
        running_now_ns: now.nseconds(),
        camera_utc_ns: None,
    })
}

/// The camera's UTC that the jitter buffer put on a buffer, once sender reports told it.
fn camera_utc_ns(buffer: &gst::BufferRef) -> Option<i64> {
    buffer
        .iter_meta::<gst::ReferenceTimestampMeta>()
        .find(|meta| {
            meta.reference()
                .structure(0)
                .is_some_and(|s| s.name() == "timestamp/x-ntp")
        })
        .and_then(|meta| ntp_to_unix_ns(meta.timestamp().nseconds()))
}

fn ntp_to_unix_ns(ntp_ns: u64) -> Option<i64> {
    let unix = ntp_ns.checked_sub(NTP_TO_UNIX_SECS * 1_000_000_000)?;
    i64::try_from(unix).ok()
}

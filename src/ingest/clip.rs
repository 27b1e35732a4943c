//! Cuts kept access units into an MP4 file, bit for bit.

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use crate::types::Stamp;

use super::Codec;
use super::codec::element;
use super::ring::{Stretch, Unit};

/// Writing a clip takes milliseconds; a muxer that is silent this long is stuck.
const MUX_WITHIN: gst::ClockTime = gst::ClockTime::from_seconds(10);

/// Smallest time between two frames of a clip.
const STEP_NS: u64 = 1_000_000;

/// A piece of video as the camera coded it, in an MP4 file that a browser plays.
#[derive(Clone, Debug)]
pub struct Clip {
    /// The file. Its presentation times start at 0.
    pub mp4: Vec<u8>,
    /// How the video is coded.
    pub codec: Codec,
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Frames in it.
    pub frames: usize,
    /// Capture time of the first frame, a key frame at or before the start asked for.
    pub first: Stamp,
    /// Presentation time of that frame in the ring: a picture's own `pts_ns` less this is the
    /// picture's place in the file.
    pub first_pts_ns: u64,
    /// Capture time of the last frame.
    pub last: Stamp,
    /// Whether the whole time asked for is covered; false after an interruption.
    pub whole: bool,
}

/// Size of the pictures, from the parser's caps.
pub(super) fn size(caps: &gst::CapsRef) -> (u32, u32) {
    let side = |field| {
        caps.structure(0)
            .and_then(|s| s.get::<i32>(field).ok())
            .and_then(|v| u32::try_from(v).ok())
            .unwrap_or(0)
    };
    (side("width"), side("height"))
}

/// Muxes a stretch. The error is for a human.
pub(super) fn mux(stretch: &Stretch) -> Result<Vec<u8>, String> {
    let pipeline = gst::Pipeline::new();
    let source = gst_app::AppSrc::builder()
        .caps(&stretch.run.caps)
        .format(gst::Format::Time)
        .build();
    let parser = element(stretch.run.codec.parser()).map_err(|fault| fault.to_string())?;
    let muxer = gst::ElementFactory::make("mp4mux")
        .property("faststart", true)
        .build()
        .map_err(|error| error.to_string())?;
    let sink = gst_app::AppSink::builder().sync(false).build();
    let chain = [source.upcast_ref(), &parser, &muxer, sink.upcast_ref()];
    pipeline
        .add_many(chain)
        .map_err(|error| error.to_string())?;
    gst::Element::link_many(chain).map_err(|error| error.to_string())?;
    let written = write(&pipeline, &source, &sink, &stretch.units);
    pipeline
        .set_state(gst::State::Null)
        .map_err(|error| error.to_string())?;
    written
}

fn write(
    pipeline: &gst::Pipeline,
    source: &gst_app::AppSrc,
    sink: &gst_app::AppSink,
    units: &[Unit],
) -> Result<Vec<u8>, String> {
    pipeline
        .set_state(gst::State::Playing)
        .map_err(|error| error.to_string())?;
    for buffer in timed(units) {
        source
            .push_buffer(buffer)
            .map_err(|flow| flow.to_string())?;
    }
    source.end_of_stream().map_err(|flow| flow.to_string())?;
    let mut mp4 = Vec::new();
    while let Some(sample) = sink.try_pull_sample(MUX_WITHIN) {
        let map = sample
            .buffer()
            .and_then(|buffer| buffer.map_readable().ok());
        mp4.extend_from_slice(map.as_deref().unwrap_or_default());
    }
    if sink.is_eos() && !mp4.is_empty() {
        return Ok(mp4);
    }
    Err(bus_error(pipeline).unwrap_or_else(|| "the muxer wrote nothing".to_owned()))
}

/// The first error on the bus.
pub(super) fn bus_error(pipeline: &gst::Pipeline) -> Option<String> {
    let message = pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
    match message.view() {
        gst::MessageView::Error(error) => Some(error.error().message().to_owned()),
        _ => None,
    }
}

/// References to the units' bytes with new times, presentation from 0.
///
/// RTP carries presentation times only. Decoding times are the same set of times in rising
/// order, moved early enough that none is later than its presentation.
pub(super) fn timed(units: &[Unit]) -> Vec<gst::Buffer> {
    let shown = spread(units);
    let mut decoded = shown.clone();
    decoded.sort_unstable();
    let first = decoded.first().copied().unwrap_or(0);
    let late = |(shown, decoded): (&u64, &u64)| decoded.saturating_sub(*shown);
    let lead = shown.iter().zip(&decoded).map(late).max().unwrap_or(0);
    let steps = decoded.windows(2).map(|pair| pair[1] - pair[0]);
    let last_step = steps.clone().next_back().unwrap_or(0);
    let steps = steps.chain(std::iter::once(last_step));
    let times = shown.iter().zip(&decoded).zip(steps);
    units
        .iter()
        .zip(times)
        .map(|(unit, ((shown, decoded), step))| {
            let mut buffer = unit.data.copy();
            let mutable = buffer.make_mut();
            mutable.set_pts(gst::ClockTime::from_nseconds(shown - first + lead));
            mutable.set_dts(gst::ClockTime::from_nseconds(decoded - first));
            mutable.set_duration(gst::ClockTime::from_nseconds(step));
            mutable.unset_flags(gst::BufferFlags::DISCONT);
            buffer
        })
        .collect()
}

/// Presentation times, no two of them less than [`STEP_NS`] apart: when the jitter buffer
/// adjusts to a burst, two frames may get the same time, which no MP4 file can hold.
fn spread(units: &[Unit]) -> Vec<u64> {
    let mut times: Vec<u64> = units.iter().map(|unit| unit.pts_ns).collect();
    let mut order: Vec<usize> = (0..times.len()).collect();
    order.sort_by_key(|&i| times[i]);
    let mut floor = 0;
    for i in order {
        times[i] = times[i].max(floor);
        floor = times[i] + STEP_NS;
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::TimeSource;

    fn times(pts: &[u64]) -> Vec<(u64, u64)> {
        gst::init().unwrap();
        let at = Stamp {
            utc_ns: 0,
            boot_ns: 0,
            error_ns: 0,
        };
        let units: Vec<Unit> = pts
            .iter()
            .map(|&pts_ms| Unit {
                pts_ns: pts_ms * STEP_NS,
                at,
                source: TimeSource::Arrival,
                key: false,
                number: 0,
                data: gst::Buffer::new(),
            })
            .collect();
        timed(&units)
            .iter()
            .map(|b| (b.dts().unwrap().mseconds(), b.pts().unwrap().mseconds()))
            .collect()
    }

    #[test]
    fn decoding_times_rise_and_never_pass_presentation() {
        assert_eq!(times(&[100, 140, 180]), [(0, 0), (40, 40), (80, 80)]);
        // I P B B: the B frames are shown before the P frame they follow.
        assert_eq!(
            times(&[100, 220, 140, 180]),
            [(0, 40), (40, 160), (80, 80), (120, 120)]
        );
        assert_eq!(times(&[100, 100, 101]), [(0, 0), (1, 1), (2, 2)]);
        assert!(times(&[]).is_empty());
    }
}

//! Cuts kept access units into an MP4 file, bit for bit.

use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use crate::types::Stamp;

use super::Codec;
use super::codec::element;
use super::ring::{Stretch, Unit};

/// Writing a clip takes milliseconds; a muxer that is silent this long is stuck.
const MUX_WITHIN: gst::ClockTime = gst::ClockTime::from_seconds(10);

/// A clip may begin or end this far from what was asked, and one picture come so much later than is
/// usual after the one before it, and it still be called whole.
///
/// Half a second more than usual, and no multiple of it: a camera of one picture a second is as whole
/// as one of 25, and of both half a second is long enough for somebody to step into the picture or out
/// of it. What a radio delays is not seen here: a unit's time is read from its RTP time, and follows
/// the arrival only when that is off by a second. Then the clip shows a picture that stands, which is
/// a pause to whoever looks at it.
const WHOLE_WITHIN: Duration = Duration::from_millis(500);

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
    /// What keeps it from showing the whole time asked for, for a human; `None` when it shows it.
    pub interrupted: Option<String>,
}

/// Why a stretch does not show the whole time from `from` to `to`; `None` when it does.
pub(super) fn interruption(stretch: &Stretch, from: Stamp, to: Stamp) -> Option<String> {
    let units = &stretch.units;
    let mut shown: Vec<(u64, Stamp)> = units.iter().map(|unit| (unit.pts_ns, unit.at)).collect();
    shown.sort_by_key(|(pts_ns, _)| *pts_ns);
    let (&(first_ns, first), &(_, last)) = shown.first().zip(shown.last())?;
    let secs = |d: Duration| d.as_secs_f64();
    let missing = first.since(from);
    if missing > WHOLE_WITHIN {
        return Some(format!("its first {:.1} s are missing", secs(missing)));
    }
    let step = |pair: &[(u64, Stamp)]| Duration::from_nanos(pair[1].0 - pair[0].0);
    let mut steps: Vec<Duration> = shown.windows(2).map(step).collect();
    steps.sort_unstable();
    // The median: what is lost or late in between does not move it.
    let usual = steps.get(steps.len() / 2).copied().unwrap_or_default();
    let longest = shown.windows(2).max_by_key(|pair| step(pair));
    let pause = longest.filter(|pair| step(pair) > usual + WHOLE_WITHIN);
    if let Some(pair) = pause {
        let (pause, into) = (step(pair), Duration::from_nanos(pair[0].0 - first_ns));
        return Some(format!(
            "no picture came for {:.1} s, {:.1} s after its beginning",
            secs(pause),
            secs(into)
        ));
    }
    // The first unit follows on nothing; a later one with this flag comes after something lost.
    let lost = |unit: &Unit| unit.data.flags().contains(gst::BufferFlags::DISCONT);
    if units.iter().skip(1).any(lost) {
        return Some("a part of it was lost on the way from the camera".to_owned());
    }
    // Whenever a camera is asked, its last picture is up to a usual step old.
    let missing = to.since(last);
    (missing > usual + WHOLE_WITHIN).then(|| format!("its last {:.1} s are missing", secs(missing)))
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
    use crate::ingest::ring::Run;
    use crate::types::TimeSource;

    fn stamp(ms: u64) -> Stamp {
        Stamp {
            utc_ns: 0,
            boot_ns: ms * STEP_NS,
            error_ns: 0,
        }
    }

    fn units(pts: impl IntoIterator<Item = u64>) -> Vec<Unit> {
        gst::init().unwrap();
        let unit = |pts_ms| Unit {
            pts_ns: pts_ms * STEP_NS,
            at: stamp(pts_ms),
            source: TimeSource::Arrival,
            key: false,
            number: 0,
            data: gst::Buffer::new(),
        };
        pts.into_iter().map(unit).collect()
    }

    fn times(pts: &[u64]) -> Vec<(u64, u64)> {
        timed(&units(pts.iter().copied()))
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

    fn stretch(units: Vec<Unit>) -> Stretch {
        let run = Run {
            codec: Codec::H264,
            caps: Codec::H264.unit_caps(),
            session: 0,
        };
        Stretch { run, units }
    }

    #[test]
    fn a_clip_with_a_hole_is_not_whole() {
        let every = |step: u64| (0..=10_000 / step).map(move |n| n * step);
        let without = |from: u64, to: u64| {
            let kept = move |ms: &u64| !(from..to).contains(ms);
            every(40).filter(kept).collect::<Vec<_>>()
        };
        let late = |ms: u64| if ms == 5_000 { ms + 480 } else { ms };
        let b_frames = [0, 120, 40, 80, 240, 160, 200];
        for (what, shown, to, wanted) in [
            ("25 a second", every(40).collect(), 10_000, None),
            ("one a second", every(1000).collect(), 10_900, None),
            (
                "one a second, one late",
                every(1000).map(late).collect(),
                10_900,
                None,
            ),
            ("one each two seconds", every(2000).collect(), 10_900, None),
            ("half a second without", without(4_000, 4_480), 10_000, None),
            ("in another order", b_frames.to_vec(), 240, None),
            (
                "more than half a second without",
                without(4_000, 4_560),
                10_000,
                Some("no picture came for 0.6 s, 4.0 s after its beginning"),
            ),
            (
                "two seconds without",
                without(2_000, 4_000),
                10_000,
                Some("no picture came for 2.0 s, 2.0 s after its beginning"),
            ),
            (
                "of one a second, the fifth is missing",
                every(1000).filter(|ms| *ms != 5_000).collect(),
                10_000,
                Some("no picture came for 2.0 s, 4.0 s after its beginning"),
            ),
            (
                "the end is missing",
                without(9_000, 11_000),
                10_000,
                Some("its last 1.0 s are missing"),
            ),
            (
                "the beginning is missing",
                without(0, 1_000),
                10_000,
                Some("its first 1.0 s are missing"),
            ),
            (
                "the beginning, and two seconds more",
                without(0, 1_000)
                    .into_iter()
                    .filter(|ms| !(2_000..4_000).contains(ms))
                    .collect(),
                10_000,
                Some("its first 1.0 s are missing"),
            ),
        ] {
            let stretch = stretch(units(shown));
            let told = interruption(&stretch, stamp(0), stamp(to));
            assert_eq!(told.as_deref(), wanted, "{what}");
        }
    }

    /// The depayloader and the parser that the cameras' streams go through, and between them and the
    /// encoder a packet less.
    #[test]
    fn a_clip_of_which_packets_were_lost_is_not_whole() {
        for lost in [None, Some(20), Some(60)] {
            let units = over_rtp(lost);
            assert!(units.len() >= 48, "{}", units.len());
            let last = units.last().unwrap().at;
            let told = interruption(&stretch(units), stamp(0), last);
            let wanted = lost.map(|_| "a part of it was lost on the way from the camera");
            assert_eq!(told.as_deref(), wanted, "packet {lost:?}");
        }
    }

    /// Two seconds of video over RTP, without the packet of this number.
    fn over_rtp(lost: Option<usize>) -> Vec<Unit> {
        gst::init().unwrap();
        let launch = "videotestsrc pattern=ball num-buffers=50 \
             ! video/x-raw,format=I420,width=320,height=240,framerate=25/1 \
             ! x264enc speed-preset=ultrafast key-int-max=25 bframes=0 ! rtph264pay mtu=600 \
             ! identity name=way ! rtph264depay ! h264parse config-interval=-1 \
             ! video/x-h264,stream-format=byte-stream,alignment=au ! appsink name=sink sync=false";
        let pipeline = gst::parse::launch(launch).unwrap();
        let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
        let number = std::sync::atomic::AtomicUsize::new(0);
        let way = pipeline.by_name("way").unwrap().static_pad("src").unwrap();
        way.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if lost == Some(number) {
                return gst::PadProbeReturn::Drop;
            }
            gst::PadProbeReturn::Ok
        });
        let sink = pipeline.by_name("sink").unwrap();
        let sink = sink.downcast::<gst_app::AppSink>().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let mut got = Vec::new();
        while let Some(sample) = sink.try_pull_sample(MUX_WITHIN) {
            got.extend(sample.buffer_owned());
        }
        pipeline.set_state(gst::State::Null).unwrap();
        let first = got[0].pts().unwrap();
        let shown: Vec<u64> = got
            .iter()
            .map(|data| (data.pts().unwrap() - first).mseconds())
            .collect();
        let mut units = units(shown);
        for (unit, data) in units.iter_mut().zip(got) {
            unit.data = data;
        }
        units
    }
}

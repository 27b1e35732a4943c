//! From a decoder's buffer to an [`Image`], without a copy; and pictures on demand.

use std::collections::HashMap;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use crate::types::{Colours, Image, Matrix, PixelFormat, Plane, Range};

use super::Fault;
use super::bans::Bans;
use super::clip::{bus_error, timed};
use super::codec::{element, open};
use super::ring::Stretch;

/// Decoding one group of pictures takes well under a second; this long means stuck.
const DECODE_WITHIN: Duration = Duration::from_secs(10);

/// Software that tells what it had to make up: when it has no picture, there is none.
const LAST_WORD: &str = "avdec_";

/// The formats an [`Image`] can have.
const FORMATS: [&str; 2] = ["I420", "NV12"];

/// What all pictures of one stretch of a stream share.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    info: gst_video::VideoInfo,
    colours: Colours,
}

impl Shape {
    /// Reads the caps of decoded video; `None` when they are none.
    pub(super) fn of(caps: &gst::CapsRef) -> Option<Self> {
        let info = gst_video::VideoInfo::from_caps(caps).ok()?;
        Some(Self {
            colours: colours(caps, usize::try_from(info.height()).ok()?),
            info,
        })
    }
}

/// Range and matrix as the stream says; what it does not say is as usual for so many `rows`.
///
/// Read from the caps' own words: `VideoInfo` replaces a statement that is not complete by its
/// defaults as a whole, and would lose the range of a camera that says nothing but that.
fn colours(caps: &gst::CapsRef, rows: usize) -> Colours {
    use gst_video::{VideoColorMatrix as M, VideoColorRange as R};
    let said = caps
        .structure(0)
        .and_then(|s| s.get::<&str>("colorimetry").ok())
        .and_then(|words| words.parse::<gst_video::VideoColorimetry>().ok());
    let Some(said) = said else {
        return Colours::usual(rows);
    };
    Colours {
        range: match said.range() {
            R::Range0_255 => Range::Full,
            _ => Range::Limited,
        },
        matrix: match said.matrix() {
            // Their weights differ by less than a hundredth.
            M::Bt601 | M::Fcc => Matrix::Bt601,
            M::Bt709 | M::Smpte240m => Matrix::Bt709,
            M::Bt2020 => Matrix::Bt2020,
            _ => Matrix::usual(rows),
        },
    }
}

/// Wraps a decoded buffer. `None` when it is no picture an [`Image`] can hold: another format,
/// no pixels, or planes outside the buffer.
pub(super) fn image(buffer: gst::Buffer, shape: &Shape) -> Option<Image> {
    let info = &shape.info;
    let format = match info.format() {
        gst_video::VideoFormat::I420 => PixelFormat::I420,
        gst_video::VideoFormat::Nv12 => PixelFormat::Nv12,
        _ => return None,
    };
    let mut planes = [Plane::default(); 3];
    {
        let meta = buffer.meta::<gst_video::VideoMeta>();
        let (offsets, strides) = match &meta {
            Some(meta) => (meta.offset(), meta.stride()),
            None => (info.offset(), info.stride()),
        };
        for ((plane, offset), stride) in planes.iter_mut().zip(offsets).zip(strides) {
            plane.offset = *offset;
            plane.stride = usize::try_from(*stride).ok()?;
        }
    }
    // 4:2:0 shares a colour sample between two columns and two rows: an odd last one goes.
    let width = usize::try_from(info.width()).ok()? & !1;
    let height = usize::try_from(info.height()).ok()? & !1;
    let image = Image {
        format,
        colours: shape.colours,
        width,
        height,
        planes,
        data: Arc::new(buffer.into_mapped_buffer_readable().ok()?),
    };
    fits(&image).then_some(image)
}

/// Whether the picture has pixels and every row lies within the bytes.
fn fits(image: &Image) -> bool {
    let (w, h) = (image.width, image.height);
    let last = |plane, rows: usize, len| rows > 0 && image.row(plane, rows - 1, len).is_some();
    let colour = match image.format {
        PixelFormat::I420 => last(1, h / 2, w / 2) && last(2, h / 2, w / 2),
        PixelFormat::Nv12 => last(1, h / 2, w),
    };
    w > 0 && last(0, h, w) && colour
}

/// What a decoder's output is brought to: nothing is converted when it is one of these already.
pub(super) fn sink_caps() -> gst::Caps {
    gst_video::VideoCapsBuilder::new()
        .format_list(
            FORMATS
                .iter()
                .filter_map(|f| f.parse::<gst_video::VideoFormat>().ok()),
        )
        .build()
}

/// Tells the decoder that we read plane offsets and strides from the buffer's meta, so that a
/// hardware decoder with padded rows need not copy them tight.
pub(super) fn offer_video_meta(sink: &impl IsA<gst::Element>) {
    let Some(pad) = sink.static_pad("sink") else {
        return;
    };
    pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |_, info| {
        match info.query_mut().map(gst::QueryRef::view_mut) {
            Some(gst::QueryViewMut::Allocation(allocation)) => {
                allocation.add_allocation_meta::<gst_video::VideoMeta>(None);
                gst::PadProbeReturn::Handled
            }
            _ => gst::PadProbeReturn::Ok,
        }
    });
}

/// Takes decoded pictures as they come. Holds none for a preroll and none as its last sample, but what it handed
/// out until the next one comes, as any `appsink`.
pub(super) fn sink(callbacks: gst_app::AppSinkCallbacks) -> gst_app::AppSink {
    let sink = gst_app::AppSink::builder()
        .caps(&sink_caps())
        .sync(false)
        .async_(false)
        .enable_last_sample(false)
        .callbacks(callbacks)
        .build();
    offer_video_meta(&sink);
    sink
}

/// Decodes the last unit of the stretch; the picture is a copy. The error is for a human.
pub(super) fn decode_last(stretch: &Stretch, bans: &Bans) -> Result<Image, String> {
    let last = stretch.units.len().saturating_sub(1);
    let mut found = None;
    decode(stretch, &[last], bans, &mut |_, image| {
        found = Some(image.copied());
    })?;
    found.ok_or_else(|| "the decoder did not give this frame".to_owned())
}

/// Decodes the stretch and hands on the units with these indexes, in the order in which they are
/// shown and each before the next is asked for; one the decoder does not give, or gives as damaged,
/// is left out. The error is for a human.
///
/// They lie in the decoder's own buffers. Of its pool all stay as long as one is held: whoever keeps a
/// picture [copies](Image::copied) it.
///
/// Where a decoder gives nothing the next one is tried, up to libav's; when that one finds something,
/// those before it are among `bans`.
pub(super) fn decode(
    stretch: &Stretch,
    wanted: &[usize],
    bans: &Bans,
    take: &mut dyn FnMut(usize, Image),
) -> Result<(), String> {
    let mut banned = bans.names();
    // libav is never passed over: what ranks below it does not tell what it had to make up.
    banned.retain(|name| !name.starts_with(LAST_WORD));
    let mut decoders = stretch.run.codec.decoders(&banned);
    if decoders.is_empty() {
        decoders = stretch.run.codec.decoders(&[]);
    }
    decode_by(&decoders, stretch, wanted, bans, take)
}

/// The same by the first of these that gives a picture.
fn decode_by(
    decoders: &[gst::ElementFactory],
    stretch: &Stretch,
    wanted: &[usize],
    bans: &Bans,
    take: &mut dyn FnMut(usize, Image),
) -> Result<(), String> {
    let mut told = Err(Fault::NoDecoder.to_string());
    let mut failed = Vec::new();
    for factory in decoders {
        let Some(decoder) = open(factory) else {
            continue;
        };
        let mut given = false;
        told = decode_with(&decoder, stretch, wanted, &mut |index, image| {
            given = true;
            take(index, image);
        });
        if told.is_ok() && given {
            for name in failed {
                bans.add(name);
            }
            break;
        }
        let name = factory.name().to_string();
        if name.starts_with(LAST_WORD) || wanted.is_empty() {
            break;
        }
        failed.push(name);
    }
    told
}

fn decode_with(
    decoder: &gst::Element,
    stretch: &Stretch,
    wanted: &[usize],
    take: &mut dyn FnMut(usize, Image),
) -> Result<(), String> {
    let pipeline = gst::Pipeline::new();
    let source = gst_app::AppSrc::builder()
        .caps(&stretch.run.caps)
        .format(gst::Format::Time)
        .build();
    let words = |fault: Fault| fault.to_string();
    let convert = element("videoconvert").map_err(words)?;
    let buffers = timed(&stretch.units);
    let time = |&index: &usize| Some((buffers.get(index)?.pts()?, index));
    let (sink, frames) = wicket(wanted.iter().filter_map(time).collect());
    let chain = [source.upcast_ref(), decoder, &convert, sink.upcast_ref()];
    pipeline
        .add_many(chain)
        .map_err(|error| error.to_string())?;
    gst::Element::link_many(chain).map_err(|error| error.to_string())?;
    let told = pull(&pipeline, &source, buffers, (wanted.len(), frames), take);
    pipeline
        .set_state(gst::State::Null)
        .map_err(|error| error.to_string())?;
    told
}

/// What comes through a [`wicket`].
enum Passes {
    Frame(usize, gst::Sample),
    /// Whoever asks again has done with the frame before.
    Done,
    End,
}

/// A sink that lets the frames of these times through, one at a time: the next is decoded when the one
/// before was looked at, and of the decoder's buffers only that one is in use, besides those of the frames
/// it still refers to. A decoder that goes on beside the looks takes two more, megabytes each.
fn wicket(
    mut wanted: HashMap<gst::ClockTime, usize>,
) -> (gst_app::AppSink, mpsc::Receiver<Passes>) {
    // Without room: to give is to wait until it is taken.
    let (give, frames) = mpsc::sync_channel(0);
    let end = give.clone();
    let mut pass = move |sink: &gst_app::AppSink| {
        let sample = sink.pull_sample().ok()?;
        let time = sample.buffer().and_then(gst::BufferRef::pts);
        if let Some(index) = time.and_then(|time| wanted.remove(&time)) {
            give.send(Passes::Frame(index, sample)).ok()?;
            give.send(Passes::Done).ok()?;
        }
        Some(gst::FlowSuccess::Ok)
    };
    let callbacks = gst_app::AppSinkCallbacks::builder()
        // Nobody takes any more.
        .new_sample(move |sink| pass(sink).ok_or(gst::FlowError::Flushing))
        .eos(move |_| {
            let _nobody_waits = end.send(Passes::End).is_err();
        })
        .build();
    (sink(callbacks), frames)
}

fn pull(
    pipeline: &gst::Pipeline,
    source: &gst_app::AppSrc,
    buffers: Vec<gst::Buffer>,
    (mut due, frames): (usize, mpsc::Receiver<Passes>),
    take: &mut dyn FnMut(usize, Image),
) -> Result<(), String> {
    pipeline
        .set_state(gst::State::Playing)
        .map_err(|error| error.to_string())?;
    for buffer in buffers {
        source
            .push_buffer(buffer)
            .map_err(|flow| flow.to_string())?;
    }
    source.end_of_stream().map_err(|flow| flow.to_string())?;
    let mut given = false;
    while due > 0
        && let Ok(passes) = frames.recv_timeout(DECODE_WITHIN)
    {
        let (index, sample) = match passes {
            Passes::Frame(index, sample) => (index, sample),
            Passes::Done => continue,
            Passes::End => break,
        };
        due -= 1;
        let (buffer, shape) = (sample.buffer_owned(), sample.caps().and_then(Shape::of));
        drop(sample);
        let Some(buffer) = buffer else {
            continue;
        };
        // As of the live stream: what the decoder had to make up is no picture of anything.
        if buffer.flags().contains(gst::BufferFlags::CORRUPTED) {
            continue;
        }
        let image = shape
            .and_then(|shape| image(buffer, &shape))
            .ok_or_else(|| "the decoder gave no usable picture".to_owned())?;
        given = true;
        take(index, image);
    }
    match bus_error(pipeline).filter(|_| !given) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::Codec;
    use crate::ingest::ring::{Run, Unit};
    use crate::types::{Stamp, TimeSource};

    fn decoded(
        format: gst_video::VideoFormat,
        width: u32,
        height: u32,
        cut: usize,
    ) -> Option<Image> {
        gst::init().unwrap();
        let info = gst_video::VideoInfo::builder(format, width, height)
            .build()
            .unwrap();
        let shape = Shape::of(&info.to_caps().unwrap()).unwrap();
        image(gst::Buffer::with_size(info.size() - cut).unwrap(), &shape)
    }

    #[test]
    fn only_whole_planar_pictures_pass() {
        use gst_video::VideoFormat::{I420, Nv12, Rgb};
        for (format, width, height, cut, size) in [
            (I420, 64, 48, 0, Some((64, 48))),
            (Nv12, 64, 48, 0, Some((64, 48))),
            (I420, 65, 49, 0, Some((64, 48))),
            (I420, 1, 1, 0, None),
            (I420, 64, 48, 1, None),
            (Nv12, 64, 48, 1, None),
            (Rgb, 64, 48, 0, None),
        ] {
            let image = decoded(format, width, height, cut);
            assert_eq!(
                image.map(|i| (i.width, i.height)),
                size,
                "{format:?} {width}x{height}"
            );
        }
    }

    /// Two groups of pictures of 15 units each, as the ring would hold them.
    fn two_groups() -> Stretch {
        gst::init().unwrap();
        let launch = "videotestsrc pattern=ball num-buffers=30 \
             ! video/x-raw,format=I420,width=160,height=120,framerate=25/1 \
             ! x264enc speed-preset=ultrafast key-int-max=15 bframes=0 ! h264parse config-interval=-1 \
             ! video/x-h264,stream-format=byte-stream,alignment=au ! appsink name=sink sync=false";
        let pipeline = gst::parse::launch(launch).unwrap();
        let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
        let sink = pipeline.by_name("sink").unwrap();
        let sink = sink.downcast::<gst_app::AppSink>().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let (mut units, mut caps) = (Vec::new(), None);
        while let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_seconds(10)) {
            caps = sample.caps_owned();
            let data = sample.buffer_owned().unwrap();
            let number = units.len() as u64;
            units.push(Unit {
                pts_ns: number * 40_000_000,
                at: Stamp {
                    utc_ns: 0,
                    boot_ns: number * 40_000_000,
                    error_ns: 0,
                },
                source: TimeSource::Arrival,
                key: !data.flags().contains(gst::BufferFlags::DELTA_UNIT),
                number,
                data,
            });
        }
        pipeline.set_state(gst::State::Null).unwrap();
        let run = Run {
            codec: Codec::H264,
            caps: caps.unwrap(),
            session: 0,
        };
        Stretch { run, units }
    }

    #[test]
    fn what_the_decoder_had_to_make_up_is_no_picture() {
        let given = |stretch: &Stretch, wanted: &[usize]| {
            let mut given = Vec::new();
            decode(stretch, wanted, &Bans::default(), &mut |i, _| given.push(i)).unwrap();
            given
        };
        let whole = two_groups();
        assert_eq!(whole.units.iter().filter(|unit| unit.key).count(), 2);
        assert_eq!(given(&whole, &[3, 20]), [3, 20]);
        // Parameter sets without the picture they came with: what follows refers to nothing.
        let mut headless = two_groups();
        let first = &mut headless.units[0];
        let map = first.data.map_readable().unwrap();
        let slice = map
            .windows(4)
            .position(|w| w[..3] == [0, 0, 1] && w[3] & 31 == 5);
        let sets = map[..slice.unwrap()].to_vec();
        drop(map);
        let next = headless.units.remove(1);
        let joined = [
            sets.as_slice(),
            next.data.map_readable().unwrap().as_slice(),
        ]
        .concat();
        headless.units[0].data = gst::Buffer::from_slice(joined);
        assert_eq!(given(&headless, &[3, 20]), [20]);
        headless.units.truncate(4);
        let refused = decode_last(&headless, &Bans::default()).unwrap_err();
        assert!(refused.contains("did not give"), "{refused}");
    }

    #[test]
    fn a_decoder_that_fails_is_no_reason_to_have_no_picture() {
        let stretch = two_groups();
        // It opens, and hands on what no picture can be made of.
        let broken = gst::ElementFactory::find("identity").unwrap();
        let sound = stretch.run.codec.decoders(&[]);
        let bans = Bans::default();
        let mut given = Vec::new();
        let mut take = |index, _| given.push(index);
        let alone = std::slice::from_ref(&broken);
        let alone = decode_by(alone, &stretch, &[3], &bans, &mut take);
        assert!(alone.is_err(), "{alone:?}");
        assert!(bans.names().is_empty(), "perhaps there is no picture");
        let decoders = [vec![broken], sound].concat();
        decode_by(&decoders, &stretch, &[3, 20], &bans, &mut take).unwrap();
        assert_eq!(given, [3, 20]);
        assert_eq!(bans.names(), ["identity"]);
    }

    #[test]
    fn colours_are_read_as_far_as_they_are_said() {
        gst::init().unwrap();
        let colours = |range, matrix| Colours { range, matrix };
        let (limited, full) = (Range::Limited, Range::Full);
        for (rows, words, wanted) in [
            (480, None, Colours::usual(480)),
            (2160, None, colours(limited, Matrix::Bt709)),
            (1080, Some("bt709"), colours(limited, Matrix::Bt709)),
            (1080, Some("bt601"), colours(limited, Matrix::Bt601)),
            (2160, Some("bt2020"), colours(limited, Matrix::Bt2020)),
            // GStreamer's numbers: range, matrix, transfer, primaries; 0 is not said.
            (1080, Some("1:3:5:1"), colours(full, Matrix::Bt709)),
            (480, Some("1:4:0:0"), colours(full, Matrix::Bt601)),
            (1080, Some("1:0:0:0"), colours(full, Matrix::Bt709)),
            (480, Some("1:0:0:0"), colours(full, Matrix::Bt601)),
            (480, Some("0:3:0:0"), colours(limited, Matrix::Bt709)),
            (1080, Some("nonsense"), Colours::usual(1080)),
        ] {
            let mut caps = gst::Caps::builder("video/x-raw")
                .field("format", "I420")
                .field("width", 64)
                .field("height", rows);
            if let Some(words) = words {
                caps = caps.field("colorimetry", words);
            }
            let shape = Shape::of(&caps.build()).unwrap();
            assert_eq!(shape.colours, wanted, "{rows} {words:?}");
        }
    }
}

//! A sound in the form a network loudspeaker wants, or another sound has.

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::clip::Sound;
use super::play::{feed, make, said, source};

/// Bytes a second of G.711 (ITU-T G.711): 8 kHz, one byte a sample.
pub(super) const G711_RATE: usize = 8_000;
/// Converting takes a fraction of the clip's length; a part that hangs is given up.
const STEP: gst::ClockTime = gst::ClockTime::from_seconds(10);

/// The two laws by which G.711 squeezes a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Law {
    /// Mu-law (PCMU).
    Mu,
    /// A-law (PCMA).
    A,
}

impl Law {
    /// As one says it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Mu => "G.711 mu-law",
            Self::A => "G.711 A-law",
        }
    }

    /// GStreamer's element for it.
    pub(super) fn encoder(self) -> &'static str {
        match self {
            Self::Mu => "mulawenc",
            Self::A => "alawenc",
        }
    }
}

/// The same as [`g711`], on a thread that may wait.
pub(super) async fn g711_aside(sound: Sound, law: Law) -> Result<Vec<u8>, String> {
    let converting = tokio::task::spawn_blocking(move || g711(&sound, law));
    let converted = converting.await;
    converted.unwrap_or_else(|_panic| Err("the sound could not be converted".to_owned()))
}

/// `sound` as G.711, 8 kHz, one channel, without a header.
fn g711(sound: &Sound, law: Law) -> Result<Vec<u8>, String> {
    let caps = gst::Caps::builder("audio/x-raw")
        .field("rate", 8_000)
        .field("channels", 1)
        .build();
    converted(sound, &caps, make(law.encoder())?)
}

/// `sound` at the rate and with the channels of `other`.
pub(super) fn alike(sound: &Sound, other: &Sound) -> Result<Sound, String> {
    let caps = gst::Caps::builder("audio/x-raw")
        .field("format", "S16LE")
        .field("layout", "interleaved")
        .field(
            "rate",
            i32::try_from(other.rate).map_err(|e| e.to_string())?,
        )
        .field("channels", i32::from(other.channels))
        .build();
    Ok(Sound {
        samples: converted(sound, &caps, make("identity")?)?,
        ..*other
    })
}

/// The bytes of `sound` made into `caps` and put through `last`.
fn converted(sound: &Sound, caps: &gst::Caps, last: gst::Element) -> Result<Vec<u8>, String> {
    let source = source(sound)?;
    let filter = make("capsfilter")?;
    filter.set_property("caps", caps);
    let sink = gst_app::AppSink::builder().sync(false).build();
    let pipeline = gst::Pipeline::new();
    let chain: [gst::Element; 6] = [
        source.clone().upcast(),
        make("audioconvert")?,
        make("audioresample")?,
        filter,
        last,
        sink.clone().upcast(),
    ];
    pipeline
        .add_many(&chain)
        .and_then(|()| gst::Element::link_many(&chain))
        .map_err(|e| e.to_string())?;
    feed(&source, sound)?;
    let bytes = pulled(&pipeline, &sink);
    super::card::let_go(pipeline.upcast_ref());
    bytes
}

/// Everything that comes out of `sink`.
fn pulled(pipeline: &gst::Pipeline, sink: &gst_app::AppSink) -> Result<Vec<u8>, String> {
    pipeline
        .set_state(gst::State::Playing)
        .map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    while let Some(sample) = sink.try_pull_sample(STEP) {
        let buffer = sample.buffer().ok_or("a sample without sound")?;
        let map = buffer.map_readable().map_err(|e| e.to_string())?;
        bytes.extend_from_slice(&map);
    }
    if sink.is_eos() && !bytes.is_empty() {
        return Ok(bytes);
    }
    let error = pipeline
        .bus()
        .and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
    match error.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Error(error)) => Err(said(error)),
        _ => Err("the sound could not be converted".to_owned()),
    }
}

/// `bytes` over `secs` seconds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a clip is 16 MiB at most"
)]
pub(super) fn per_second(bytes: usize, secs: f64) -> usize {
    (bytes as f64 / secs).ceil() as usize
}

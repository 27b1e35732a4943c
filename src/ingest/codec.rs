//! The two codecs, the elements they need, and who decodes them.

use gstreamer as gst;
use gstreamer::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Fault, IngestError};

/// How the video is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// ITU-T H.264, AVC.
    H264,
    /// ITU-T H.265, HEVC.
    H265,
}

impl Codec {
    /// The name used in files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "h265",
        }
    }

    /// Reads the caps of a stream: RTP or elementary. The error names the foreign codec.
    pub(super) fn of(caps: &gst::CapsRef) -> Result<Self, Fault> {
        let Some(s) = caps.structure(0) else {
            return Err(Fault::NoVideo);
        };
        // RTP names its payload; while a stream is offered its media type is yet unknown.
        if let Ok(encoding) = s.get::<&str>("encoding-name") {
            return match encoding {
                "H264" => Ok(Self::H264),
                "H265" => Ok(Self::H265),
                "JPEG" => Err(Fault::Codec("Motion JPEG".to_owned())),
                other => Err(Fault::Codec(other.to_owned())),
            };
        }
        let version = s.get::<i32>("mpegversion").unwrap_or_default();
        Err(Fault::Codec(match s.name().as_str() {
            "video/x-h264" => return Ok(Self::H264),
            "video/x-h265" => return Ok(Self::H265),
            "image/jpeg" => "Motion JPEG".to_owned(),
            "video/mpeg" => format!("MPEG-{version}"),
            "video/x-raw" => "not coded".to_owned(),
            other => other
                .trim_start_matches("video/")
                .trim_start_matches("x-")
                .to_owned(),
        }))
    }

    pub(super) fn depayloader(self) -> &'static str {
        match self {
            Self::H264 => "rtph264depay",
            Self::H265 => "rtph265depay",
        }
    }

    pub(super) fn parser(self) -> &'static str {
        match self {
            Self::H264 => "h264parse",
            Self::H265 => "h265parse",
        }
    }

    /// Whole access units with start codes: what every decoder takes, and the only form that
    /// keeps parameter sets where the camera put them.
    pub(super) fn unit_caps(self) -> gst::Caps {
        let name = match self {
            Self::H264 => "video/x-h264",
            Self::H265 => "video/x-h265",
        };
        gst::Caps::builder(name)
            .field("stream-format", "byte-stream")
            .field("alignment", "au")
            .build()
    }

    /// The decoders of this box, best rank first, as GStreamer ranks them: hardware above
    /// software where the box has it. `banned` ones have failed before.
    pub(super) fn decoders(self, banned: &[String]) -> Vec<gst::ElementFactory> {
        let kind = gst::ElementFactoryType::DECODER | gst::ElementFactoryType::MEDIA_VIDEO;
        let caps = self.unit_caps();
        let mut found: Vec<gst::ElementFactory> =
            gst::ElementFactory::factories_with_type(kind, gst::Rank::MARGINAL)
                .into_iter()
                .filter(|factory| factory.can_sink_any_caps(&caps))
                .filter(|factory| !banned.iter().any(|name| factory.name() == name.as_str()))
                .collect();
        found.sort_by_key(|factory| std::cmp::Reverse(factory.rank()));
        found
    }

    /// The first decoder that opens, in order of rank.
    pub(super) fn open_decoder(self, banned: &[String]) -> Result<gst::Element, Fault> {
        let decoders = self.decoders(banned);
        decoders.iter().find_map(open).ok_or(Fault::NoDecoder)
    }
}

/// A decoder of this kind; `None` when it does not open.
pub(super) fn open(factory: &gst::ElementFactory) -> Option<gst::Element> {
    let decoder = factory.create().build().ok()?;
    opens(&decoder).then(|| {
        tune(&decoder);
        decoder
    })
}

/// The parser. Parameter sets are repeated before every key frame that lacks them, so that a
/// clip can begin at any of them; nothing else is changed. It is not told what a container says
/// of colours, which is a muxer's word and often wrong in range, so that it reads the camera's own
/// in the stream.
pub(super) fn parser(codec: Codec) -> Result<gst::Element, Fault> {
    let parser = element(codec.parser())?;
    parser.set_property("config-interval", -1i32);
    if let Some(sink) = parser.static_pad("sink") {
        sink.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
            if let Some(gst::EventView::Caps(said)) = info.event().map(|event| event.view()) {
                let mut caps = said.caps_owned();
                for structure in caps.make_mut().iter_mut() {
                    structure.remove_field("colorimetry");
                }
                let event = gst::event::Caps::new(&caps);
                info.data = Some(gst::PadProbeData::Event(event));
            }
            gst::PadProbeReturn::Ok
        });
    }
    Ok(parser)
}

/// Hardware decoders are registered whenever their library is there; only opening tells.
fn opens(decoder: &gst::Element) -> bool {
    let opened = decoder.set_state(gst::State::Ready).is_ok();
    if !opened && decoder.set_state(gst::State::Null).is_err() {
        tracing::debug!(decoder = %decoder.name(), "decoder does not close");
    }
    opened
}

/// Sets a libav decoder to what costs least.
///
/// One thread: more add 9–20 % CPU and a frame of latency each. No direct rendering: libav keeps
/// its reference frames mapped for writing, so that GStreamer must copy every one of them into
/// fresh memory when it is given out (seen in 1.22); copying into a recycled buffer is cheaper.
fn tune(decoder: &gst::Element) {
    if decoder.find_property("max-threads").is_some() {
        decoder.set_property_from_str("max-threads", "1");
    }
    if decoder.find_property("direct-rendering").is_some() {
        decoder.set_property("direct-rendering", false);
    }
}

/// Elements used by name, with the Debian package that holds them.
const NEEDED: [(&str, &str); 20] = [
    ("filesrc", "libgstreamer1.0-0"),
    ("fakesink", "libgstreamer1.0-0"),
    ("capsfilter", "libgstreamer1.0-0"),
    ("clocksync", "libgstreamer1.0-0"),
    ("appsink", "gstreamer1.0-plugins-base"),
    ("appsrc", "gstreamer1.0-plugins-base"),
    ("parsebin", "gstreamer1.0-plugins-base"),
    ("videoconvert", "gstreamer1.0-plugins-base"),
    ("decodebin", "gstreamer1.0-plugins-base"),
    ("audiorate", "gstreamer1.0-plugins-base"),
    ("audioconvert", "gstreamer1.0-plugins-base"),
    ("audioresample", "gstreamer1.0-plugins-base"),
    ("rtspsrc", "gstreamer1.0-plugins-good"),
    ("rtpbin", "gstreamer1.0-plugins-good"),
    ("rtph264depay", "gstreamer1.0-plugins-good"),
    ("rtph265depay", "gstreamer1.0-plugins-good"),
    ("qtdemux", "gstreamer1.0-plugins-good"),
    ("mp4mux", "gstreamer1.0-plugins-good"),
    ("h264parse", "gstreamer1.0-plugins-bad"),
    ("h265parse", "gstreamer1.0-plugins-bad"),
];

/// Starts GStreamer and looks whether every element is there.
///
/// Costs little when called again.
pub fn init() -> Result<(), IngestError> {
    gst::init().map_err(|error| IngestError::Framework(error.to_string()))?;
    let mut missing: Vec<String> = NEEDED
        .iter()
        .filter(|(element, _)| gst::ElementFactory::find(element).is_none())
        .map(|(element, package)| format!("{element} ({package})"))
        .collect();
    for (codec, name) in [(Codec::H264, "H.264"), (Codec::H265, "H.265")] {
        if codec.decoders(&[]).is_empty() {
            missing.push(format!("a decoder for {name} (gstreamer1.0-libav)"));
        }
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(IngestError::Missing(missing.join(", ")))
    }
}

/// Makes an element that [`init`] has seen.
pub(super) fn element(name: &'static str) -> Result<gst::Element, Fault> {
    gst::ElementFactory::make(name)
        .build()
        .map_err(|error| Fault::Pipeline(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_are_known_by_their_caps() {
        init().unwrap();
        for (caps, expected) in [
            ("application/x-rtp,encoding-name=H264", Ok(Codec::H264)),
            ("application/x-unknown,encoding-name=H265", Ok(Codec::H265)),
            ("video/x-h265", Ok(Codec::H265)),
            ("application/x-rtp,encoding-name=JPEG", Err("Motion JPEG")),
            ("application/x-rtp,encoding-name=VP8", Err("VP8")),
            ("video/mpeg,mpegversion=4", Err("MPEG-4")),
            ("video/x-vp9", Err("vp9")),
        ] {
            let caps: gst::Caps = caps.parse().unwrap();
            let expected = expected.map_err(|name| Fault::Codec(name.to_owned()));
            assert_eq!(Codec::of(&caps), expected);
        }
    }

    #[test]
    fn decoders_come_by_rank_and_banned_ones_not_at_all() {
        init().unwrap();
        let ranks: Vec<_> = Codec::H264
            .decoders(&[])
            .iter()
            .map(PluginFeatureExtManual::rank)
            .collect();
        assert!(ranks.is_sorted_by(|a, b| a >= b));
        let first = Codec::H264.open_decoder(&[]).unwrap();
        let name = first.factory().unwrap().name().to_string();
        first.set_state(gst::State::Null).unwrap();
        let rest = Codec::H264.decoders(std::slice::from_ref(&name));
        assert!(rest.iter().all(|f| f.name() != name.as_str()));
    }
}

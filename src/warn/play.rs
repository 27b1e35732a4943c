//! One playing of one clip through GStreamer, on the thread of the caller.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use tokio_util::sync::CancellationToken;

use super::WarnError;
use super::card;
use super::clip::{Clip, Sound};
use super::convert::Law;
use super::http::Http;
use super::isapi::{self, Isapi};
use super::onvif::{self, Onvif};
use crate::clock;
use crate::types::Stamp;

/// How often position and the halt flag are looked at.
const LOOK: gst::ClockTime = gst::ClockTime::from_mseconds(50);
/// Sound is handed over in pieces of this length.
const PIECE: Duration = Duration::from_millis(40);
/// A position may lag by this much at the end.
const SLACK: Duration = Duration::from_millis(150);
/// A sink that takes a clip in less than this part of its length did not play it.
const RUSHED: f64 = 0.9;

/// Where the sound goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// The system's sound output, or the named device of it.
    Local(String),
    /// A WAV file.
    File(PathBuf),
    /// A program that plays what it reads.
    Program(Vec<String>),
    /// A loudspeaker with a network address.
    Http(Http),
    /// A loudspeaker that speaks ISAPI.
    Isapi(Isapi),
    /// A camera's loudspeaker.
    Onvif(Onvif),
}

impl Output {
    /// What it may take before the time a clip has begins to count.
    pub(super) fn opens_within(&self) -> Duration {
        match self {
            Self::Onvif(_) => onvif::OPEN_WITHIN,
            Self::Isapi(_) => isapi::OPEN_WITHIN,
            Self::Local(_) | Self::File(_) | Self::Program(_) | Self::Http(_) => Duration::ZERO,
        }
    }
}

/// How long a sink may take, at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until<'a> {
    /// From the first sound on.
    pub(super) limit: Duration,
    /// When this is cancelled it falls silent.
    pub(super) stop: &'a CancellationToken,
}

/// What came of it.
#[derive(Debug, PartialEq)]
pub(super) struct Played {
    /// When the sink began.
    pub(super) began: Option<Stamp>,
    /// How much of the clip the sink played.
    pub(super) sounded: Duration,
    /// Why it did not play all of it.
    pub(super) failure: Option<String>,
}

impl Played {
    pub(super) fn refused(why: &str) -> Self {
        Self {
            began: None,
            sounded: Duration::ZERO,
            failure: Some(why.to_owned()),
        }
    }
}

/// What player and caller tell each other while it plays.
#[derive(Debug, Default)]
pub(super) struct Watch {
    halt: AtomicBool,
    sounded_ns: AtomicU64,
}

impl Watch {
    /// Tells the player to end.
    pub(super) fn halt(&self) {
        self.halt.store(true, Ordering::Release);
    }

    /// What is known of a player that does not end: what it had played when it was last seen.
    pub(super) fn left_behind(&self) -> Played {
        Played {
            began: None,
            sounded: Duration::from_nanos(self.sounded_ns.load(Ordering::Acquire)),
            failure: None,
        }
    }
}

/// Looks whether every element is installed.
pub(super) fn check_installed(output: &Output) -> Result<(), WarnError> {
    const BASE: &str = "gstreamer1.0-plugins-base";
    const GOOD: &str = "gstreamer1.0-plugins-good";
    gst::init()?;
    let mut needed = vec![
        ("appsrc", BASE),
        ("audioconvert", BASE),
        ("audioresample", BASE),
        ("volume", BASE),
    ];
    match output {
        Output::Local(_) => needed.push(("autoaudiosink", GOOD)),
        Output::File(_) => needed.push(("wavenc", GOOD)),
        Output::Http(_) => needed.push((Law::Mu.encoder(), GOOD)),
        Output::Isapi(_) | Output::Onvif(_) => {
            needed.extend([Law::Mu, Law::A].map(|law| (law.encoder(), GOOD)));
        }
        Output::Program(_) => {}
    }
    needed
        .into_iter()
        .find(|(element, _)| gst::ElementFactory::find(element).is_none())
        .map_or(Ok(()), |(element, package)| {
            Err(WarnError::Element { element, package })
        })
}

/// Plays `clip` to its end, or until it is told to end. Blocks; a sound driver may block it for ever.
pub(super) fn play(clip: &Clip, output: &Output, volume: f64, watch: &Watch) -> Played {
    match Playing::new(clip, output, volume) {
        Ok(playing) => playing.run(clip.duration(), watch),
        Err(why) => Played::refused(&why),
    }
}

/// A pipeline; stopped when dropped.
struct Playing {
    pipeline: gst::Pipeline,
    bus: gst::Bus,
    /// For a file: nanoseconds of sound that went through the pacing element.
    paced_ns: Option<Arc<AtomicU64>>,
    /// For a sound card: its sink, to be looked at again once it plays.
    sink: Option<gst::Element>,
}

impl Drop for Playing {
    fn drop(&mut self) {
        card::let_go(self.pipeline.upcast_ref());
    }
}

impl Playing {
    fn new(clip: &Clip, output: &Output, volume: f64) -> Result<Self, String> {
        let sound = clip.sound();
        let source = source(sound)?;
        let gain = make("volume")?;
        gain.set_property("volume", volume);
        let mut chain: Vec<gst::Element> = vec![
            source.clone().upcast(),
            make("audioconvert")?,
            make("audioresample")?,
            gain,
        ];
        let (mut paced_ns, mut sound_card) = (None, None);
        match output {
            Output::File(path) => {
                let pacer = make("identity")?;
                pacer.set_property("sync", true);
                paced_ns = Some(count(&pacer)?);
                let file = make("filesink")?;
                file.set_property("location", path);
                chain.extend([pacer, make("wavenc")?, file]);
            }
            Output::Local(device) => {
                let sink = card::open(device)?;
                sound_card = Some(sink.clone());
                chain.push(sink);
            }
            Output::Program(_) | Output::Http(_) | Output::Isapi(_) | Output::Onvif(_) => {
                return Err("not played through GStreamer".to_owned());
            }
        }
        let pipeline = gst::Pipeline::new();
        let bus = pipeline.bus().ok_or("the pipeline has no bus")?;
        let playing = Self {
            pipeline,
            bus,
            paced_ns,
            sink: sound_card,
        };
        playing
            .pipeline
            .add_many(&chain)
            .and_then(|()| gst::Element::link_many(&chain))
            .map_err(|e| e.to_string())?;
        feed(&source, sound)?;
        Ok(playing)
    }

    /// Plays; `length` is the clip's.
    fn run(self, length: Duration, watch: &Watch) -> Played {
        let mut began: Option<Stamp> = None;
        let mut played = Duration::ZERO;
        let failure = if self.pipeline.set_state(gst::State::Playing).is_err() {
            Some(self.last_error())
        } else {
            loop {
                let message = self.bus.timed_pop(LOOK);
                played = played.max(self.position()).min(length);
                let ns = u64::try_from(played.as_nanos()).unwrap_or(u64::MAX);
                watch.sounded_ns.store(ns, Ordering::Release);
                if began.is_none() && played > Duration::ZERO {
                    began = Some(clock::now().shifted_ns(-nanos(played)));
                    // Only now does a sound server tell which of its devices it plays to.
                    if let Some(Err(why)) = self.sink.as_ref().map(card::vet) {
                        break Some(why);
                    }
                }
                match message.as_ref().map(|m| m.view()) {
                    Some(gst::MessageView::Eos(_)) => {
                        let took = began.map_or(Duration::ZERO, |b| clock::now().since(b));
                        break shortfall(length, played, took);
                    }
                    Some(gst::MessageView::Error(error)) => break Some(said(error)),
                    _ if watch.halt.load(Ordering::Acquire) => break Some("halted".to_owned()),
                    _ => {}
                }
            }
        };
        Played {
            began,
            sounded: played,
            failure,
        }
    }

    /// How much the sink played: by its own clock where it has one.
    fn position(&self) -> Duration {
        let ns = match &self.paced_ns {
            Some(paced) => paced.load(Ordering::Acquire),
            None => self
                .pipeline
                .query_position::<gst::ClockTime>()
                .map_or(0, gst::ClockTime::nseconds),
        };
        Duration::from_nanos(ns)
    }

    /// The error behind a failed change of state.
    fn last_error(&self) -> String {
        match self
            .bus
            .pop_filtered(&[gst::MessageType::Error])
            .as_ref()
            .map(|m| m.view())
        {
            Some(gst::MessageView::Error(error)) => said(error),
            _ => "the sound output does not start".to_owned(),
        }
    }
}

/// Why what was played is not the whole clip in its own time; `None` when it is.
pub(super) fn shortfall(length: Duration, played: Duration, took: Duration) -> Option<String> {
    if played + SLACK < length {
        return Some(format!(
            "the sink ended after {:.2} s of {:.2} s",
            played.as_secs_f64(),
            length.as_secs_f64()
        ));
    }
    (took + SLACK < length.mul_f64(RUSHED)).then(|| {
        format!(
            "the sink took {:.2} s of sound in {:.2} s, so nobody heard it",
            length.as_secs_f64(),
            took.as_secs_f64()
        )
    })
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

pub(super) fn said(error: &gst::message::Error) -> String {
    let who = error
        .src()
        .map_or_else(|| "GStreamer".into(), gst::prelude::GstObjectExt::name);
    format!("{who}: {}", error.error())
}

pub(super) fn make(element: &str) -> Result<gst::Element, String> {
    gst::ElementFactory::make(element)
        .build()
        .map_err(|e| e.to_string())
}

/// A source of exactly the clip's samples.
pub(super) fn source(sound: &Sound) -> Result<gst_app::AppSrc, String> {
    let count = |n: u32| i32::try_from(n).map_err(|e| e.to_string());
    let caps = gst::Caps::builder("audio/x-raw")
        .field("format", "S16LE")
        .field("layout", "interleaved")
        .field("rate", count(sound.rate)?)
        .field("channels", i32::from(sound.channels))
        .build();
    Ok(gst_app::AppSrc::builder()
        .caps(&caps)
        .format(gst::Format::Time)
        .max_bytes(super::clip::BYTES_MAX)
        .build())
}

/// Hands the whole clip over, in timed pieces; the source holds at most a clip.
pub(super) fn feed(source: &gst_app::AppSrc, sound: &Sound) -> Result<(), String> {
    let time = |bytes| {
        let ns = u64::try_from(sound.time_of(bytes).as_nanos()).unwrap_or(u64::MAX);
        gst::ClockTime::from_nseconds(ns)
    };
    let rate = u128::from(sound.rate);
    let frames = usize::try_from(PIECE.as_millis() * rate / 1_000).unwrap_or(1);
    let bytes = frames.max(1) * usize::try_from(sound.frame_bytes()).unwrap_or(2);
    let mut start = 0;
    for piece in sound.samples.chunks(bytes) {
        let mut buffer = gst::Buffer::from_slice(piece.to_vec());
        let end = start + piece.len();
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(time(start));
            buffer.set_duration(time(end) - time(start));
        }
        source.push_buffer(buffer).map_err(|e| e.to_string())?;
        start = end;
    }
    source.end_of_stream().map_err(|e| e.to_string())?;
    Ok(())
}

/// Counts the sound that leaves `element`.
fn count(element: &gst::Element) -> Result<Arc<AtomicU64>, String> {
    let pad = element.static_pad("src").ok_or("identity has no source")?;
    let counted = Arc::new(AtomicU64::new(0));
    let ns = Arc::clone(&counted);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer()
            && let (Some(pts), Some(duration)) = (buffer.pts(), buffer.duration())
        {
            ns.fetch_max((pts + duration).nseconds(), Ordering::AcqRel);
        }
        gst::PadProbeReturn::Ok
    })
    .ok_or("identity takes no probe")?;
    Ok(counted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_clip_in_its_own_time_was_heard() {
        let s = Duration::from_secs_f64;
        for (length, played, took, heard) in [
            (4.0, 4.0, 4.1, true),
            (4.0, 3.9, 4.0, true),
            (4.0, 3.8, 4.0, false),
            (4.0, 4.0, 9.0, true),
            (4.0, 4.0, 0.1, false),
            (4.0, 4.0, 3.0, false),
            (4.0, 0.0, 0.0, false),
        ] {
            let shortfall = shortfall(s(length), s(played), s(took));
            assert_eq!(shortfall.is_none(), heard, "{length} {played} {took}");
        }
    }
}

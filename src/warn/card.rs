//! The sound card behind GStreamer's sinks, and whether there is one.

use gstreamer as gst;
use gstreamer::prelude::*;

use super::play::{make, said};

/// Sinks that end at a sound card. `autoaudiosink` falls back on `fakesink` with no more than a
/// warning when there is none, and would let a silent box swear that it warned; `openalsink`
/// may end at a null device.
const REAL_SINKS: [&str; 6] = [
    "pulsesink",
    "alsasink",
    "pipewiresink",
    "oss4sink",
    "osssink",
    "jackaudiosink",
];

/// The name of PulseAudio's and PipeWire's own stand-in for a missing sound card.
const NULL_DEVICE: &str = "auto_null";

/// Opens the sound output and says what it is; why not, otherwise.
pub(super) fn probe(device: &str) -> Result<String, String> {
    let sink = opened(device)?;
    let found = vet(&sink);
    let_go(&sink);
    found
}

/// The sink for the sound card, its device open; the system's default when `device` is empty.
pub(super) fn open(device: &str) -> Result<gst::Element, String> {
    let sink = opened(device)?;
    vet(&sink).inspect_err(|_| let_go(&sink))?;
    Ok(sink)
}

/// A named device is looked for in the sound server first, then in ALSA.
fn opened(device: &str) -> Result<gst::Element, String> {
    if device.is_empty() {
        return ready(make("autoaudiosink")?);
    }
    let mut failures = Vec::new();
    for name in ["pulsesink", "alsasink"] {
        let opened = make(name).and_then(|sink| {
            sink.set_property("device", device);
            ready(sink)
        });
        match opened {
            Ok(sink) => return Ok(sink),
            Err(why) => failures.push(format!("{name}: {why}")),
        }
    }
    Err(format!(
        "sound device `{device}` cannot be opened ({}); list the devices with `pactl list \
         short sinks` or `aplay -L`",
        failures.join("; ")
    ))
}

/// Brings a sink to where its device is open.
fn ready(sink: gst::Element) -> Result<gst::Element, String> {
    let bus = gst::Bus::new();
    sink.set_bus(Some(&bus));
    let opened = sink.set_state(gst::State::Ready);
    sink.set_bus(None);
    if opened.is_ok() {
        return Ok(sink);
    }
    let_go(&sink);
    match bus
        .pop_filtered(&[gst::MessageType::Error])
        .as_ref()
        .map(|m| m.view())
    {
        Some(gst::MessageView::Error(error)) => Err(said(error)),
        _ => Err("cannot be opened".to_owned()),
    }
}

/// Closes what was opened. It may hang; then only the speaker's thread does.
pub(super) fn let_go(element: &gst::Element) {
    if let Err(error) = element.set_state(gst::State::Null) {
        tracing::warn!(%error, "the sound output does not close");
    }
}

/// What an open sink really is; why nobody would hear it, otherwise.
pub(super) fn vet(sink: &gst::Element) -> Result<String, String> {
    let actual = match sink.downcast_ref::<gst::Bin>() {
        Some(bin) => bin.children().into_iter().next(),
        None => Some(sink.clone()),
    };
    let actual = actual.ok_or("the system has no sound output")?;
    let name = actual
        .factory()
        .map_or_else(String::new, |f| f.name().to_string());
    if !REAL_SINKS.contains(&name.as_str()) {
        return Err(format!(
            "the system has no sound output that is heard (GStreamer offers `{name}`); is a \
             sound card there, is a sound server running, or gstreamer1.0-alsa installed for \
             one without?"
        ));
    }
    let device = ["current-device", "device"]
        .into_iter()
        .filter(|property| actual.find_property(property).is_some())
        .find_map(|property| {
            actual
                .property_value(property)
                .get::<Option<String>>()
                .ok()
                .flatten()
        })
        .unwrap_or_default();
    if device.starts_with(NULL_DEVICE) || device == "null" {
        return Err(format!(
            "the sound server plays into nothing (`{device}`): it found no sound card"
        ));
    }
    Ok(format!("{name} {device}").trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_is_no_loudspeaker() {
        gst::init().expect("GStreamer");
        for stand_in in ["fakesink", "fakeaudiosink"] {
            if let Ok(sink) = make(stand_in) {
                let why = vet(&sink).expect_err(stand_in);
                assert!(why.contains(stand_in), "{why}");
            }
        }
    }
}

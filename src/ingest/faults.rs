//! Why a stream does not play, in words a technician can act on.

use gstreamer as gst;
use gstreamer::glib;
use serde::Serialize;

use super::Credentials;

/// What stopped a stream. One variant per thing a technician does about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(rename_all = "snake_case", tag = "fault", content = "detail")]
pub enum Fault {
    /// The name of the host does not resolve.
    #[error("the camera's host name is not known: check the name and the DNS server")]
    HostUnknown,
    /// No way to that address.
    #[error("no route to the camera: check address, cable and switch")]
    NoRoute,
    /// The host is there, the port is shut.
    #[error("the camera refuses the connection: check the port, and that RTSP is switched on")]
    Refused,
    /// Nobody answered the connection.
    #[error("the camera does not answer: check that it has power, its address and the firewall")]
    Timeout,
    /// Something accepts the connection but does not speak RTSP.
    #[error("connected, but no RTSP answer: check that the port is the RTSP port")]
    NoAnswer,
    /// TLS could not be set up.
    #[error("no secure connection: {0}")]
    Tls(String),
    /// The camera does not accept user name and password.
    #[error("wrong user or password (the camera answers 401)")]
    Unauthorized,
    /// The camera does not know the path of the URL.
    #[error("wrong path in the URL (the camera answers 404)")]
    NotFound,
    /// The stream carries no video.
    #[error("the stream carries no video")]
    NoVideo,
    /// The stream carries video of another kind.
    #[error("video is {0}, which cannot be kept as evidence: set the camera to H.264 or H.265")]
    Codec(String),
    /// The stream carries no sound.
    #[error("the stream carries no sound: switch the camera's microphone and its audio on")]
    NoSound,
    /// The stream carries sound of another kind.
    #[error("its sound is {0}, which is not heard here: set the camera's audio to G.711 or AAC")]
    Sound(String),
    /// The stream carries AAC, and nothing on this box decodes it.
    #[error(
        "no decoder for its AAC sound: install gstreamer1.0-libav, or set the camera's audio to G.711"
    )]
    NoAacDecoder,
    /// The connection lives, but frames stopped.
    #[error("connected, but no frame for {0} s: restart the camera if this stays")]
    Stalled(u64),
    /// Video arrives, and no picture comes of it.
    #[error(
        "video arrives, but no picture of it for {0} s: set the camera's key-frame (I-frame) interval \
         to 2 s and switch off smart coding; over UDP set transport = \"tcp\""
    )]
    NoPictures(u64),
    /// The camera says it sends, and nothing arrives.
    #[error(
        "connected, but no packet arrives by UDP: a firewall or the network drops them; set \
         transport = \"tcp\""
    )]
    NoPackets,
    /// The camera ended the stream.
    #[error("the camera ended the stream")]
    Closed,
    /// A file was played to its end.
    #[error("end of the file")]
    EndOfFile,
    /// A file broke off.
    #[error("the file is cut off or damaged: played up to there")]
    CutOff,
    /// A file or device is not there or may not be read.
    #[error("cannot be opened: {0}")]
    Unreadable(String),
    /// A file is not a recording, or is cut off too early.
    #[error("not a readable recording (MP4, MKV, AVI or MPEG-TS with H.264 or H.265)")]
    NotARecording,
    /// No decoder on this box takes the stream.
    #[error("no decoder works for this stream: install gstreamer1.0-libav")]
    NoDecoder,
    /// The stream's own thread does not come back from its pipeline.
    #[error(
        "the video pipeline does not come back: a decoder or driver hangs; restart lingmou, or the \
         box if this stays"
    )]
    Hangs,
    /// Anything else; the text is GStreamer's, without the parameters of a URL.
    #[error("video pipeline: {0}")]
    Pipeline(String),
}

/// Of a capture device that cannot be had a second time.
pub const DEVICE_BUSY: &str = "another program uses the capture device";

/// Of a capture device that was pulled, or whose driver gave up.
const DEVICE_GONE: &str = "the capture device is gone";

impl Fault {
    /// Whether the connection lived and what it is for stopped.
    pub(super) fn is_stall(&self) -> bool {
        matches!(
            self,
            Self::Stalled(_) | Self::NoPictures(_) | Self::NoPackets
        )
    }

    /// Whether trying again soon would do harm: cameras lock an account for half an hour after
    /// a handful of wrong passwords.
    pub(super) fn wants_long_pause(&self) -> bool {
        matches!(self, Self::Unauthorized)
    }

    /// Reads an error of the RTSP source. `tls`: the URL asks for it.
    pub(super) fn of_rtsp(error: &glib::Error, debug: &str, tls: bool) -> Option<Self> {
        if error.matches(gst::ResourceError::NotAuthorized) || debug.contains("Unauthorized") {
            return Some(Self::Unauthorized);
        }
        if error.matches(gst::ResourceError::NotFound) || debug.contains("Not Found") {
            return Some(Self::NotFound);
        }
        // None of them was taken; which of both says so depends on the version.
        let says = |words: &str| error.message().contains(words) || debug.contains(words);
        if says("No supported stream") || debug.contains("no streams") {
            return Some(Self::NoVideo);
        }
        if error.matches(gst::ResourceError::OpenReadWrite) {
            // The port was just seen open (`knock`), so what failed came after.
            let words = "the camera speaks no TLS at this port, or breaks off; try rtsp://";
            return Some(if tls {
                Self::Tls(words.to_owned())
            } else {
                Self::NoAnswer
            });
        }
        if error.matches(gst::ResourceError::Read) && debug.contains("Could not receive message") {
            return Some(Self::NoAnswer);
        }
        if debug.contains("Could not receive any UDP packets") {
            return Some(Self::NoPackets);
        }
        None
    }

    /// Of sound that no decoder takes, by what RTP calls it.
    pub(super) fn of_sound(coding: &str) -> Self {
        match coding {
            "MPEG4-GENERIC" | "MP4A-LATM" => Self::NoAacDecoder,
            other => Self::Sound(other.to_owned()),
        }
    }

    /// Reads an error of the chain that opens a file.
    pub(super) fn of_file(error: &glib::Error) -> Self {
        if error.matches(gst::ResourceError::NotFound) {
            return Self::Unreadable("no such file".to_owned());
        }
        if error.matches(gst::ResourceError::OpenRead) || error.matches(gst::ResourceError::Read) {
            return Self::Unreadable("no permission, or the disk does not read".to_owned());
        }
        Self::NotARecording
    }

    /// Reads an error of a capture device that was opened.
    pub(super) fn of_device(error: &glib::Error, debug: &str) -> Self {
        let words = if error.matches(gst::ResourceError::Busy) {
            DEVICE_BUSY
        } else if error.matches(gst::CoreError::Negotiation) || debug.contains("not-negotiated") {
            return Self::no_device_format();
        } else {
            DEVICE_GONE
        };
        Self::Unreadable(words.to_owned())
    }

    /// Of a capture device that gives nothing that is understood here.
    pub(super) fn no_device_format() -> Self {
        let words = "the capture device gives no format that can be used (H.264, H.265, Motion JPEG or raw)";
        Self::Unreadable(words.to_owned())
    }

    /// Why a capture device cannot be opened, before GStreamer is asked.
    pub(super) fn of_device_file(error: &std::io::Error) -> Self {
        let words = match error.kind() {
            std::io::ErrorKind::NotFound => "no such capture device: is it plugged in?",
            std::io::ErrorKind::PermissionDenied => {
                "no permission: the user must be in the group video"
            }
            std::io::ErrorKind::ResourceBusy => DEVICE_BUSY,
            std::io::ErrorKind::IsADirectory => "a folder, not a capture device",
            // Pulled while somebody has it open: its name is there for as long.
            _ if error.raw_os_error() == Some(libc::ENODEV) => DEVICE_GONE,
            _ => return Self::Unreadable(error.to_string()),
        };
        Self::Unreadable(words.to_owned())
    }

    /// Anything not known better.
    pub(super) fn other(error: &glib::Error, credentials: &Credentials) -> Self {
        Self::Pipeline(credentials.scrub(error.message()))
    }
}

/// How long the RTSP source waits for UDP packets before it gives up, seconds.
pub(super) const UDP_SILENCE_SECS: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_of_whose_streams_none_is_taken_has_no_video() {
        let words =
            "No supported stream was found. You might need to allow more transport protocols";
        for (message, debug) in [(words, ""), ("", words), ("", "no streams")] {
            let error = glib::Error::new(gst::StreamError::CodecNotFound, message);
            assert_eq!(Fault::of_rtsp(&error, debug, false), Some(Fault::NoVideo));
        }
    }

    #[test]
    fn a_capture_devices_errors_are_told_apart() {
        let error = |code: gst::ResourceError| glib::Error::new(code, "");
        let stream = glib::Error::new(gst::StreamError::Failed, "Internal data stream error.");
        for (error, debug, part) in [
            (error(gst::ResourceError::Busy), "", "another program"),
            (error(gst::ResourceError::Read), "", "is gone"),
            (
                stream.clone(),
                "streaming stopped, reason not-negotiated (-4)",
                "no format",
            ),
            (stream, "streaming stopped, reason error (-5)", "is gone"),
        ] {
            let fault = Fault::of_device(&error, debug).to_string();
            assert!(fault.contains(part), "{fault}");
        }
        for (number, part) in [
            (libc::ENOENT, "plugged in"),
            (libc::EACCES, "group video"),
            (libc::EBUSY, "another program"),
            (libc::EISDIR, "a folder"),
            (libc::ENODEV, "is gone"),
            (libc::EIO, "Input/output"),
        ] {
            let error = std::io::Error::from_raw_os_error(number);
            let fault = Fault::of_device_file(&error).to_string();
            assert!(fault.contains(part), "{fault}");
        }
    }
}

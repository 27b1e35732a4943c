//! Brings video in, and keeps trying.
//!
//! One thread per stream builds a GStreamer pipeline, watches its bus and makes it anew for as
//! long as the daemon runs. The pipeline's own thread hands every access unit, untouched, to a
//! bounded ring, and the few decoded frames that are due to the [`Slots`].
//! Of a stream nothing is copied: the ring holds references to GStreamer's buffers, a
//! [`Frame`](crate::types::Frame) is the decoder's output buffer, mapped, and goes back to the
//! decoder's pool when it is dropped.
//!
//! A camera with a substream has two streams: the main one is received but not decoded and
//! feeds the ring, the smaller one is decoded and feeds the slots. Pictures of full size are
//! then decoded on demand from the ring.
//!
//! A camera is also listened to, while something is said that it may hear ([`Camera::listen`]); no sound is kept.
//!
//! **Invariants.** Times on the boot clock rise strictly per camera. The ring starts with a key
//! frame and stays within its bytes. No user name or password reaches a log or an error text.
//! What a camera is asked over ONVIF ([`Onvif`]) holds no stream up. [`Camera::stop`] returns within [`STOP_WITHIN`], even when the network hangs.
//!
//! **Not here.** No detection, no drawing, no scaling, no file of evidence; telemetry has its
//! own stage.

mod bans;
mod camera;
mod clip;
mod codec;
mod device;
mod faults;
mod found;
mod gate;
mod intake;
mod knock;
mod onvif;
mod picture;
mod pipeline;
mod promise;
mod recording;
mod ring;
mod secret;
mod slots;
mod sound;
mod state;
mod stream;
mod time;
mod tls;
mod watch;

use std::path::PathBuf;

pub use camera::{Camera, check_roots};
pub use clip::Clip;
pub use codec::{Codec, init};
pub use faults::{DEVICE_BUSY, Fault};
pub use onvif::{Onvif, OnvifFault};
pub use recording::Recording;
pub use ring::Hold;
pub use secret::{Credentials, Secret};
pub use slots::Slots;
pub use state::{CameraState, Phase, StreamState, Unsure};
pub use stream::STOP_WITHIN;

/// Why video could not be had.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// GStreamer itself does not start.
    #[error("GStreamer does not start ({0}): reinstall libgstreamer1.0-0")]
    Framework(String),
    /// Elements are not installed; the text names them with their Debian packages.
    #[error("GStreamer elements are missing: {0}; install the packages named")]
    Missing(String),
    /// The configuration of a camera cannot work.
    #[error("camera {camera}: {why}")]
    Config {
        /// Name of the camera.
        camera: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// The file with the password cannot be read.
    #[error("camera {camera}: password file {path}: {source}")]
    Password {
        /// Name of the camera.
        camera: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The thread could not be started.
    #[error("camera {camera}: no thread: {source}")]
    Thread {
        /// Name of the camera.
        camera: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The ring holds nothing for the time asked for.
    #[error("camera {camera}: no video kept for the time asked for")]
    NotKept {
        /// Name of the camera.
        camera: String,
    },
    /// This camera gives no access units that could be kept untouched.
    #[error("camera {camera}: no clip: {why}")]
    NoClip {
        /// Name of the camera.
        camera: String,
        /// Why not.
        why: String,
    },
    /// Kept access units could not be made into a clip or a picture.
    #[error("camera {camera}: {doing}: {why}")]
    Process {
        /// Name of the camera.
        camera: String,
        /// What was being done.
        doing: &'static str,
        /// What went wrong.
        why: String,
    },
    /// A recording cannot be played.
    #[error("recording {path}: {fault}")]
    Recording {
        /// The file.
        path: PathBuf,
        /// Why not.
        fault: Fault,
    },
}

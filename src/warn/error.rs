//! Why a loudspeaker cannot be used.

use super::clip;

/// Why a loudspeaker cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WarnError {
    /// The clip's file cannot be read.
    #[error("clip {path}: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The clip's file is no clip we can play.
    #[error(
        "clip {path}: {what}; make it one with `ffmpeg -i IN -ac 1 -c:a pcm_s16le {path}` \
         (at most {} MiB)", clip::BYTES_MAX / (1024 * 1024)
    )]
    Format {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// The clip and the identity before it cannot be one sound.
    #[error(
        "clip {path}: {} Hz, channels: {}; [warn] identity {identity} has {} Hz, channels: {}; make \
         them alike with `ffmpeg -i {path} -ar {} -ac {} -c:a pcm_s16le OUT`",
        have.0, have.1, wanted.0, wanted.1, wanted.0, wanted.1
    )]
    Unlike {
        /// The clip's file.
        path: String,
        /// Its rate, Hz, and channels.
        have: (u32, u16),
        /// The identity's file.
        identity: String,
        /// Its rate, Hz, and channels.
        wanted: (u32, u16),
    },
    /// GStreamer itself does not start.
    #[error("GStreamer does not start: {0}")]
    Gstreamer(#[from] gstreamer::glib::Error),
    /// A part of GStreamer is not installed.
    #[error("GStreamer has no `{element}`; install the Debian package {package}")]
    Element {
        /// The missing element.
        element: &'static str,
        /// The package it is in.
        package: &'static str,
    },
    /// A program is not installed.
    #[error("there is no program {program}; install the Debian package {program}")]
    Program {
        /// The program.
        program: &'static str,
    },
    /// `kind = "file"` without a path.
    #[error("[warn.speaker] kind = \"file\" needs `path`, the WAV file to write")]
    NoPath,
    /// There is no real sound output, or it cannot be opened.
    #[error("{0}")]
    Silent(String),
}

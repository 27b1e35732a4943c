//! The cameras: an RTSP server in this process that knows when it sent what.

use std::path::Path;

use lingmou::demo::rtsp::{Mount, RtspServer, Show};
use lingmou::ingest::Codec;

/// Main streams and substreams of so many cameras.
#[derive(Debug)]
pub(crate) struct Stage {
    server: RtspServer,
}

impl Stage {
    /// Plays `main.mp4` and `sub.mp4` of `dir` as `cameras` cameras.
    pub(crate) fn open(dir: &Path, cameras: usize) -> anyhow::Result<Self> {
        let mount = |camera, sub| Mount {
            path: path(camera, sub),
            show: Show::Clip(
                dir.join(if sub { "sub.mp4" } else { "main.mp4" }),
                Codec::H264,
            ),
        };
        let mounts: Vec<_> = (0..cameras)
            .flat_map(|camera| [mount(camera, false), mount(camera, true)])
            .collect();
        let server = RtspServer::start(&mounts)?;
        Ok(Self { server })
    }

    /// The URL of a camera's main stream or substream.
    pub(crate) fn url(&self, camera: usize, sub: bool) -> String {
        self.server.url(&path(camera, sub))
    }

    /// When the frame of that number was last sent, on the boot clock.
    pub(crate) fn sent_ns(&self, (camera, sub): (usize, bool), frame: usize) -> Option<u64> {
        self.server.sent_ns(&path(camera, sub), frame)
    }
}

fn path(camera: usize, sub: bool) -> String {
    let kind = if sub { "sub" } else { "main" };
    format!("/{kind}{camera}")
}

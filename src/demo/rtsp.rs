//! A camera made of a file: serves MP4 clips by RTSP in real time, over and over.
//!
//! Access units go out as they are in the file, with timestamps that run on over the loop. A
//! server can also misbehave the way cameras do: stop sending while the connection lives, or
//! change its picture size.

mod feed;

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer_rtsp_server as rtsp_server;
use rtsp_server::gst_rtsp::RTSPAuthMethod;
use rtsp_server::prelude::*;

use crate::ingest::Codec;

use feed::{Feed, names};

/// Starting to listen takes no time unless the machine is stuck.
const START_WITHIN: Duration = Duration::from_secs(10);

/// Why the server does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The clip cannot be read as the codec it is said to be.
    #[error("{path}: not a clip with {codec:?} video: {why}")]
    Clip {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        codec: Codec,
        /// What went wrong.
        why: String,
    },
    /// The server does not listen.
    #[error("RTSP server: {0}")]
    Server(String),
}

/// What is served at a path.
#[derive(Clone, Debug)]
pub enum Show {
    /// A file with video of this codec, looped.
    Clip(PathBuf, Codec),
    /// Moving bars as Motion JPEG, which no evidence is made of.
    MotionJpeg,
}

/// One path of the server.
#[derive(Clone, Debug)]
pub struct Mount {
    /// Path with its leading slash.
    pub path: String,
    /// What is served.
    pub show: Show,
}

/// How a server is reached.
#[derive(Clone, Debug, Default)]
pub struct Door {
    /// The port; 0 for a free one.
    pub port: u16,
    /// User and password asked for by digest authentication; `None` lets everyone in.
    pub login: Option<(String, String)>,
    /// Certificate and key, PEM; with them it speaks `rtsps://` and nothing else.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// A running server on loopback; stops when dropped.
#[derive(Debug)]
pub struct RtspServer {
    scheme: &'static str,
    port: u16,
    feeds: Vec<(String, Arc<Feed>)>,
    main_loop: glib::MainLoop,
    thread: Option<thread::JoinHandle<()>>,
}

impl RtspServer {
    /// Serves on a free port to everyone.
    pub fn start(mounts: &[Mount]) -> Result<Self, ServeError> {
        Self::start_behind(Door::default(), mounts)
    }

    /// Serves behind this door.
    pub fn start_behind(door: Door, mounts: &[Mount]) -> Result<Self, ServeError> {
        gst::init().map_err(|error| ServeError::Server(error.to_string()))?;
        let mut feeds = Vec::new();
        for mount in mounts {
            if let Show::Clip(path, codec) = &mount.show {
                let feed = Arc::new(Feed::read(path, *codec)?);
                feeds.push((mount.path.clone(), feed));
            }
        }
        let scheme = if door.tls.is_some() { "rtsps" } else { "rtsp" };
        let context = glib::MainContext::new();
        let main_loop = glib::MainLoop::new(Some(&context), false);
        let (say, heard) = mpsc::sync_channel(1);
        let (runs, mounts, served) = (main_loop.clone(), mounts.to_vec(), feeds.clone());
        let thread = thread::Builder::new()
            .name("rtsp-server".to_owned())
            .spawn(move || serve(&runs, &door, (&mounts, &served), &say))
            .map_err(|error| ServeError::Server(error.to_string()))?;
        let mut server = Self {
            scheme,
            port: 0,
            feeds,
            main_loop,
            thread: Some(thread),
        };
        server.port = heard
            .recv_timeout(START_WITHIN)
            .map_err(|error| ServeError::Server(error.to_string()))??;
        Ok(server)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}://127.0.0.1:{}{path}", self.scheme, self.port)
    }

    /// Stops or resumes sending at a path; connections live on.
    pub fn stall(&self, path: &str, stalled: bool) {
        if let Some(feed) = self.feed(path) {
            feed.stall(stalled);
        }
    }

    /// Goes on with another clip of the same codec at a path, within the running connections.
    pub fn change(&self, path: &str, clip: &Path, codec: Codec) -> Result<(), ServeError> {
        self.feed(path)
            .map_or(Ok(()), |feed| feed.change(clip, codec))
    }

    /// When the clip's access unit of that number was last sent at a path, on the boot clock.
    pub fn sent_ns(&self, path: &str, unit: usize) -> Option<u64> {
        self.feed(path)?.sent_ns(unit)
    }

    fn feed(&self, path: &str) -> Option<&Feed> {
        let (_, feed) = self.feeds.iter().find(|(p, _)| p == path)?;
        Some(feed)
    }
}

impl Drop for RtspServer {
    fn drop(&mut self) {
        for (_, feed) in &self.feeds {
            feed.stop();
        }
        self.main_loop.quit();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("RTSP server thread panicked");
        }
    }
}

/// The server's thread: listens, says the port, and runs until quit.
fn serve(
    main_loop: &glib::MainLoop,
    door: &Door,
    (mounts, feeds): (&[Mount], &[(String, Arc<Feed>)]),
    say: &mpsc::SyncSender<Result<u16, ServeError>>,
) {
    let context = main_loop.context();
    let served = context.with_thread_default(|| {
        let server = rtsp_server::RTSPServer::new();
        server.set_address("127.0.0.1");
        server.set_service(&door.port.to_string());
        mount_all(&server, (mounts, feeds));
        let listening = guard(&server, door).and_then(|()| {
            let attached = server.attach(Some(&context));
            attached.map_err(|error| ServeError::Server(error.to_string()))
        });
        let port = u16::try_from(server.bound_port()).unwrap_or(0);
        let listens = listening.is_ok();
        // Nobody listens any more when the start took too long.
        drop(say.send(listening.map(|_| port)));
        if listens {
            main_loop.run();
        }
        server.client_filter(Some(&mut |_, _| rtsp_server::RTSPFilterResult::Remove));
    });
    if let Err(error) = served {
        drop(say.try_send(Err(ServeError::Server(error.to_string()))));
    }
}

/// Asks for a password, and proves itself, as the door says.
fn guard(server: &rtsp_server::RTSPServer, door: &Door) -> Result<(), ServeError> {
    if door.login.is_none() && door.tls.is_none() {
        return Ok(());
    }
    let auth = rtsp_server::RTSPAuth::new();
    let mut token = rtsp_server::RTSPToken::builder()
        .field("media.factory.role", VIEWER)
        .build();
    match &door.login {
        Some((user, password)) => {
            auth.set_supported_methods(RTSPAuthMethod::Digest);
            auth.add_digest(user, password, &token);
        }
        None => auth.set_default_token(Some(&mut token)),
    }
    if let Some((certificate, key)) = &door.tls {
        let certificate = gio::TlsCertificate::from_files(certificate, key)
            .map_err(|error| ServeError::Server(error.to_string()))?;
        auth.set_tls_certificate(Some(&certificate));
    }
    server.set_auth(Some(&auth));
    Ok(())
}

fn mount_all(
    server: &rtsp_server::RTSPServer,
    (mounts, feeds): (&[Mount], &[(String, Arc<Feed>)]),
) {
    let Some(points) = server.mount_points() else {
        return;
    };
    for mount in mounts {
        let factory = rtsp_server::RTSPMediaFactory::new();
        factory.set_shared(true);
        let permission = gst::Structure::builder(VIEWER)
            .field("media.factory.access", true)
            .field("media.factory.construct", true)
            .build();
        factory.add_role_from_structure(&permission);
        let feed = feeds.iter().find(|(path, _)| *path == mount.path);
        match (&mount.show, feed) {
            (Show::Clip(_, codec), Some((_, feed))) => {
                factory.set_launch(&clip_launch(*codec));
                let feed = Arc::clone(feed);
                factory.connect_media_configure(move |_, media| Feed::run(&feed, media));
            }
            _ => factory.set_launch(JPEG_LAUNCH),
        }
        points.add_factory(&mount.path, factory);
    }
}

/// The role of who has logged in.
const VIEWER: &str = "viewer";

const JPEG_LAUNCH: &str = "( videotestsrc is-live=true \
    ! video/x-raw,format=I420,width=160,height=120,framerate=5/1 \
    ! jpegenc ! rtpjpegpay name=pay0 pt=26 )";

fn clip_launch(codec: Codec) -> String {
    let (name, caps) = names(codec);
    format!(
        "( appsrc name=src is-live=true format=time caps={caps} \
         ! {name}parse ! rtp{name}pay name=pay0 pt=96 aggregate-mode=none )"
    )
}

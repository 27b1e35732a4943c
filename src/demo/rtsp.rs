//! A camera made of a file: serves MP4 clips by RTSP in real time, over and over.
//!
//! Access units go out as they are in the file, with timestamps that run on over the loop. A
//! server can also misbehave the way cameras do: stop sending while the connection lives, or
//! change its picture size.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_rtsp_server as rtsp_server;
use rtsp_server::gst_rtsp::RTSPAuthMethod;
use rtsp_server::prelude::*;

use crate::clock;
use crate::ingest::Codec;

/// Reading a clip into memory takes milliseconds per second of video.
const READ_WITHIN: gst::ClockTime = gst::ClockTime::from_seconds(20);

/// Starting to listen takes no time unless the machine is stuck.
const START_WITHIN: Duration = Duration::from_secs(10);

/// A feeder this late was stalled, not slow.
const SKIP_AFTER_NS: u64 = 1_000_000_000;

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
    /// User and password asked for by digest authentication; `None` lets everyone in.
    pub login: Option<(String, String)>,
}

/// A running server on loopback; stops when dropped.
#[derive(Debug)]
pub struct RtspServer {
    port: u16,
    feeds: Vec<(String, Arc<Feed>)>,
    main_loop: glib::MainLoop,
    thread: Option<thread::JoinHandle<()>>,
}

impl RtspServer {
    /// Serves on a free port.
    pub fn start(mounts: &[Mount]) -> Result<Self, ServeError> {
        Self::start_on(0, mounts)
    }

    /// Serves on this port.
    pub fn start_on(port: u16, mounts: &[Mount]) -> Result<Self, ServeError> {
        gst::init().map_err(|error| ServeError::Server(error.to_string()))?;
        let mut feeds = Vec::new();
        for mount in mounts {
            if let Show::Clip(path, codec) = &mount.show {
                let feed = Arc::new(Feed::new(read_clip(path, *codec)?));
                feeds.push((mount.path.clone(), feed));
            }
        }
        let context = glib::MainContext::new();
        let main_loop = glib::MainLoop::new(Some(&context), false);
        let (say, heard) = mpsc::sync_channel(1);
        let (runs, mounts, served) = (main_loop.clone(), mounts.to_vec(), feeds.clone());
        let thread = thread::Builder::new()
            .name("rtsp-server".to_owned())
            .spawn(move || serve(&runs, port, &mounts, &served, &say))
            .map_err(|error| ServeError::Server(error.to_string()))?;
        let mut server = Self {
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
        format!("rtsp://127.0.0.1:{}{path}", self.port)
    }

    /// Stops or resumes sending at a path; connections live on.
    pub fn stall(&self, path: &str, stalled: bool) {
        if let Some(feed) = self.feed(path) {
            feed.lock().stalled = stalled;
            feed.changed.notify_all();
        }
    }

    /// Goes on with another clip of the same codec at a path, within the running connections.
    pub fn change(&self, path: &str, clip: &Path, codec: Codec) -> Result<(), ServeError> {
        let reel = read_clip(clip, codec)?;
        if let Some(feed) = self.feed(path) {
            feed.lock().reel = Arc::new(reel);
        }
        Ok(())
    }

    fn feed(&self, path: &str) -> Option<&Feed> {
        let (_, feed) = self.feeds.iter().find(|(p, _)| p == path)?;
        Some(feed)
    }
}

impl Drop for RtspServer {
    fn drop(&mut self) {
        for (_, feed) in &self.feeds {
            feed.lock().stopped = true;
            feed.changed.notify_all();
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
    port: u16,
    mounts: &[Mount],
    feeds: &[(String, Arc<Feed>)],
    say: &mpsc::SyncSender<Result<u16, ServeError>>,
) {
    let context = main_loop.context();
    let served = context.with_thread_default(|| {
        let server = rtsp_server::RTSPServer::new();
        server.set_address("127.0.0.1");
        server.set_service(&port.to_string());
        mount_all(&server, mounts, feeds);
        let listening = server
            .attach(Some(&context))
            .map_err(|error| ServeError::Server(error.to_string()));
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

fn mount_all(server: &rtsp_server::RTSPServer, mounts: &[Mount], feeds: &[(String, Arc<Feed>)]) {
    let Some(points) = server.mount_points() else {
        return;
    };
    let auth = rtsp_server::RTSPAuth::new();
    auth.set_supported_methods(RTSPAuthMethod::Digest);
    let token = |role: &str| {
        rtsp_server::RTSPToken::builder()
            .field("media.factory.role", role)
            .build()
    };
    for mount in mounts {
        let factory = rtsp_server::RTSPMediaFactory::new();
        factory.set_shared(true);
        let role = match &mount.login {
            Some((user, password)) => {
                auth.add_digest(user, password, &token(user));
                user
            }
            None => ANYONE,
        };
        let permission = gst::Structure::builder(role)
            .field("media.factory.access", true)
            .field("media.factory.construct", true)
            .build();
        factory.add_role_from_structure(&permission);
        let feed = feeds.iter().find(|(path, _)| *path == mount.path);
        let (launch, feed) = match (&mount.show, feed) {
            (Show::Clip(_, codec), Some((_, feed))) => (clip_launch(*codec), Some(feed)),
            _ => (JPEG_LAUNCH.to_owned(), None),
        };
        factory.set_launch(&launch);
        if let Some(feed) = feed {
            let feed = Arc::clone(feed);
            factory.connect_media_configure(move |_, media| Feed::run(&feed, media));
        }
        points.add_factory(&mount.path, factory);
    }
    if mounts.iter().any(|mount| mount.login.is_some()) {
        auth.set_default_token(Some(&mut token(ANYONE)));
        server.set_auth(Some(&auth));
    }
}

/// The role of who has not logged in.
const ANYONE: &str = "anyone";

const JPEG_LAUNCH: &str = "( videotestsrc is-live=true \
    ! video/x-raw,format=I420,width=160,height=120,framerate=5/1 \
    ! jpegenc ! rtpjpegpay name=pay0 pt=26 )";

fn names(codec: Codec) -> (&'static str, &'static str) {
    match codec {
        Codec::H264 => ("h264", "video/x-h264,stream-format=byte-stream,alignment=au"),
        Codec::H265 => ("h265", "video/x-h265,stream-format=byte-stream,alignment=au"),
    }
}

fn clip_launch(codec: Codec) -> String {
    let (name, caps) = names(codec);
    format!(
        "( appsrc name=src is-live=true format=time caps={caps} \
         ! {name}parse ! rtp{name}pay name=pay0 pt=96 aggregate-mode=none )"
    )
}

/// A clip's access units in decoding order.
#[derive(Debug)]
struct Reel {
    /// Each with its decoding time from the start of the clip, nanoseconds.
    units: Vec<(u64, gst::Buffer)>,
    /// Time until the clip begins again.
    length_ns: u64,
}

/// Reads every access unit of a clip into memory, parameter sets before each key frame.
fn read_clip(path: &Path, codec: Codec) -> Result<Reel, ServeError> {
    let fails = |why: String| ServeError::Clip {
        path: path.to_owned(),
        codec,
        why,
    };
    let (name, caps) = names(codec);
    let launch = format!(
        "filesrc name=file ! parsebin ! {name}parse config-interval=-1 ! {caps} \
         ! appsink name=sink sync=false"
    );
    let element = gst::parse::launch(&launch).map_err(|error| fails(error.to_string()))?;
    let pipeline = element
        .downcast::<gst::Pipeline>()
        .map_err(|_| fails("no pipeline".to_owned()))?;
    if let Some(file) = pipeline.by_name("file") {
        file.set_property("location", path);
    }
    let sink = pipeline
        .by_name("sink")
        .and_then(|sink| sink.downcast::<gst_app::AppSink>().ok())
        .ok_or_else(|| fails("no sink".to_owned()))?;
    let mut buffers = Vec::new();
    if pipeline.set_state(gst::State::Playing).is_ok() {
        while let Some(sample) = sink.try_pull_sample(READ_WITHIN) {
            buffers.extend(sample.buffer_owned());
        }
    }
    pipeline
        .set_state(gst::State::Null)
        .map_err(|error| fails(error.to_string()))?;
    reel(buffers).ok_or_else(|| fails("no video frame read".to_owned()))
}

/// Brings the times of a clip to its start.
fn reel(buffers: Vec<gst::Buffer>) -> Option<Reel> {
    let decoding = |buffer: &gst::Buffer| buffer.dts_or_pts().map(gst::ClockTime::nseconds);
    let first_ns = decoding(buffers.first()?)?;
    let last_ns = decoding(buffers.last()?)?;
    let step_ns = (last_ns - first_ns) / (buffers.len() as u64 - 1).max(1);
    let units = buffers
        .into_iter()
        .filter_map(|buffer| Some((decoding(&buffer)?.saturating_sub(first_ns), buffer)))
        .collect();
    Some(Reel {
        units,
        length_ns: last_ns - first_ns + step_ns,
    })
}

/// Feeds the connections of one path.
#[derive(Debug)]
struct Feed {
    state: Mutex<FeedState>,
    changed: Condvar,
}

#[derive(Debug)]
struct FeedState {
    reel: Arc<Reel>,
    stalled: bool,
    stopped: bool,
}

impl Feed {
    fn new(reel: Reel) -> Self {
        Self {
            state: Mutex::new(FeedState {
                reel: Arc::new(reel),
                stalled: false,
                stopped: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Starts feeding a medium that was just made; its thread ends with the medium.
    fn run(feed: &Arc<Self>, media: &rtsp_server::RTSPMedia) {
        let source = media
            .element()
            .downcast::<gst::Bin>()
            .ok()
            .and_then(|bin| bin.by_name("src"))
            .and_then(|source| source.downcast::<gst_app::AppSrc>().ok());
        let Some(source) = source else {
            return;
        };
        let feed = Arc::clone(feed);
        let spawned = thread::Builder::new()
            .name("rtsp-feed".to_owned())
            .spawn(move || feed.push_all(&source));
        if let Err(error) = spawned {
            tracing::error!(%error, "no thread to feed the RTSP server");
        }
    }

    /// Pushes the reel, over and over, in real time, until nobody takes it any more.
    fn push_all(&self, source: &gst_app::AppSrc) {
        let mut round_ns = clock::boot_ns();
        let start_ns = round_ns;
        loop {
            let reel = Arc::clone(&self.lock().reel);
            for (at_ns, unit) in &reel.units {
                if !Arc::ptr_eq(&reel, &self.lock().reel) {
                    break;
                }
                let Some(late_ns) = self.wait_until(round_ns + at_ns) else {
                    return;
                };
                if late_ns > SKIP_AFTER_NS {
                    // What a camera did not send while it hung, it never sends.
                    round_ns += late_ns;
                }
                let time = gst::ClockTime::from_nseconds(round_ns + at_ns - start_ns);
                let ahead = unit.pts().zip(unit.dts()).map(|(pts, dts)| pts.saturating_sub(dts));
                let mut buffer = unit.copy();
                let mutable = buffer.make_mut();
                mutable.set_dts(time);
                mutable.set_pts(time + ahead.unwrap_or_default());
                if source.push_buffer(buffer).is_err() {
                    return;
                }
            }
            // A reel that was changed broke off early: the next begins now.
            round_ns = clock::boot_ns().min(round_ns + reel.length_ns);
        }
    }

    /// Waits for the moment and for the end of a stall. How late it then is, nanoseconds;
    /// `None` when stopped.
    fn wait_until(&self, due_ns: u64) -> Option<u64> {
        let mut state = self.lock();
        while !state.stopped {
            let now_ns = clock::boot_ns();
            if now_ns >= due_ns && !state.stalled {
                return Some(now_ns - due_ns);
            }
            let wait = if state.stalled {
                Duration::MAX
            } else {
                Duration::from_nanos(due_ns - now_ns)
            };
            (state, _) = self
                .changed
                .wait_timeout(state, wait)
                .unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, FeedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

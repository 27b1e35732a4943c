//! Listens to a camera: its own audio, for as long as somebody takes it.
//!
//! `rtspsrc ! decodebin ! audiorate ! audioconvert ! audioresample ! appsink`, in a session of its own
//! beside those of the video, which stay as they are. What a lost packet held is made silence, so that what
//! follows keeps its place.
//!
//! **Invariants.** A password that the camera refuses is not tried again before the pause that a stream makes
//! then, nor while a stream of the same camera is refused. No sound is kept here.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::clock;
use crate::types::lock;

use super::Fault;
use super::codec::element;
use super::found::Found;
use super::pipeline::{Session, Source, chain, rtspsrc};
use super::stream::{Pause, Stop};

/// Samples a second that are given.
const RATE: i32 = 16_000;
/// Pieces that wait to be taken: some seconds. What is not taken by then would leave a hole in the time.
const PIECES: usize = 256;
/// How often it is seen that nobody listens any more.
const LOOK_EVERY: gst::ClockTime = gst::ClockTime::from_mseconds(250);

/// What a camera hears, piece by piece; why there is nothing, or no more of it, is the last.
pub(super) type Pieces = Receiver<Result<Vec<u8>, String>>;

/// How a camera is listened to.
#[derive(Debug)]
pub(super) struct Sound {
    source: Source,
    refused: Mutex<Refused>,
}

/// What came of its password.
#[derive(Debug, Default)]
struct Refused {
    pause: Pause,
    /// Until then, on the boot clock, it is not tried.
    until_ns: u64,
}

/// Listens to `sound` on a thread of its own. `refused`: a stream of the same camera is, now.
pub(super) fn listen(sound: Option<&Arc<Sound>>, camera: &str, refused: bool) -> Pieces {
    let (pieces, taken) = mpsc::channel(PIECES);
    let why = match sound {
        None => "no network camera: there is nothing to listen to".to_owned(),
        Some(sound) if refused || sound.is_refused() => {
            "its password was refused: not tried again so soon".to_owned()
        }
        Some(sound) => {
            let (sound, pieces) = (Arc::clone(sound), pieces.clone());
            let thread = thread::Builder::new().name(format!("ear-{camera}"));
            match thread.spawn(move || sound.run(&pieces)) {
                Ok(_) => return taken,
                Err(error) => format!("no thread to listen: {error}"),
            }
        }
    };
    tell(&pieces, why);
    taken
}

/// The last word. Who takes nothing any more misses nothing.
fn tell(pieces: &Sender<Result<Vec<u8>, String>>, why: String) {
    drop(pieces.try_send(Err(why)));
}

impl Sound {
    /// Of what has a microphone perhaps: a network camera.
    pub(super) fn of(source: &Source) -> Option<Self> {
        matches!(source, Source::Rtsp { .. }).then(|| Self {
            source: source.clone(),
            refused: Mutex::default(),
        })
    }

    fn is_refused(&self) -> bool {
        clock::boot_ns() < lock(&self.refused).until_ns
    }

    fn run(&self, pieces: &Sender<Result<Vec<u8>, String>>) {
        let Err(fault) = self.session(pieces) else {
            return;
        };
        if fault.wants_long_pause() {
            let mut refused = lock(&self.refused);
            let pause = u64::try_from(refused.pause.next(&fault).as_nanos()).unwrap_or(u64::MAX);
            refused.until_ns = clock::boot_ns().saturating_add(pause);
        }
        tell(pieces, fault.to_string());
    }

    /// Listens until nobody takes it any more; the error says why no more comes.
    fn session(&self, pieces: &Sender<Result<Vec<u8>, String>>) -> Result<(), Fault> {
        let Source::Rtsp { endpoint, .. } = &self.source else {
            return Err(Fault::NoSound);
        };
        // Nobody stops it: it gives up by itself, soon enough.
        endpoint.knock(&Stop::default())?;
        let session = self.build(pieces)?;
        if session.pipeline.set_state(gst::State::Playing).is_err() {
            let message = session.bus.pop_filtered(&[gst::MessageType::Error]);
            let silent = || Fault::Pipeline("does not start".to_owned());
            return Err(message.map_or_else(silent, |message| self.fault_of(&session, &message)));
        }
        let kinds = [gst::MessageType::Error, gst::MessageType::Eos];
        let end = loop {
            let message = session.bus.timed_pop_filtered(LOOK_EVERY, &kinds);
            if let Some(message) = message {
                break Err(self.fault_of(&session, &message));
            }
            if pieces.is_closed() {
                break Ok(());
            }
        };
        // Where something is joined to the source, it gave a stream: the password was right. An error is the
        // usual end, too: the source's, whose sound nobody takes any more.
        if session.pipeline.children().len() > 1 {
            *lock(&self.refused) = Refused::default();
        }
        end
    }

    /// The pipeline, not yet playing, whose sound goes to `pieces`.
    fn build(&self, pieces: &Sender<Result<Vec<u8>, String>>) -> Result<Session, Fault> {
        let session = Session::empty()?;
        let rtspsrc = rtspsrc(&self.source, &session.found)?;
        let chosen = AtomicBool::new(false);
        rtspsrc.connect("select-stream", false, move |values| {
            let caps = values.get(2).and_then(|v| v.get::<gst::Caps>().ok());
            let wanted = caps.is_some_and(|caps| word(&caps, "media") == "audio")
                && !chosen.swap(true, Ordering::Relaxed);
            Some(wanted.to_value())
        });
        let (pipeline, found) = (session.pipeline.downgrade(), session.found.clone());
        let pieces = pieces.clone();
        rtspsrc.connect_pad_added(move |rtspsrc, pad| {
            if let Some(pipeline) = pipeline.upgrade() {
                found.report(rtspsrc, join(&pipeline, pad, &found, &pieces));
            }
        });
        session
            .pipeline
            .add(&rtspsrc)
            .map_err(|error| Fault::Pipeline(error.to_string()))?;
        Ok(session)
    }

    fn fault_of(&self, session: &Session, message: &gst::Message) -> Fault {
        if let Some(fault) = session.found.take() {
            return fault;
        }
        let (
            gst::MessageView::Error(view),
            Source::Rtsp {
                endpoint,
                credentials,
                ..
            },
        ) = (message.view(), &self.source)
        else {
            return Fault::Closed;
        };
        let (error, debug) = (view.error(), view.debug().unwrap_or_default());
        match Fault::of_rtsp(&error, &debug, endpoint.tls) {
            // None of its streams was taken.
            Some(Fault::NoVideo) => Fault::NoSound,
            Some(fault) => fault,
            None => Fault::other(&error, credentials),
        }
    }
}

/// Decodes what comes out of `pad`, whatever it is.
fn join(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    found: &Found,
    pieces: &Sender<Result<Vec<u8>, String>>,
) -> Result<(), Fault> {
    let decoder = element("decodebin")?;
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    let (coding, unknown) = (word(&caps, "encoding-name").to_owned(), found.clone());
    decoder.connect("unknown-type", false, move |_| {
        unknown.note::<()>(Err(Fault::of_sound(&coding)));
        None
    });
    let (whole, found) = (pipeline.downgrade(), found.clone());
    let pieces = pieces.clone();
    decoder.connect_pad_added(move |decoder, pad| {
        if let Some(pipeline) = whole.upgrade() {
            let joined = tail(&pieces).and_then(|tail| chain(&pipeline, pad, &tail));
            found.report(decoder, joined);
        }
    });
    chain(pipeline, pad, &[decoder])
}

/// What brings decoded sound to `pieces`.
fn tail(pieces: &Sender<Result<Vec<u8>, String>>) -> Result<[gst::Element; 4], Fault> {
    let rate = element("audiorate")?;
    rate.set_property("skip-to-first", true);
    let caps = gst::Caps::builder("audio/x-raw")
        .field("format", "S16LE")
        .field("layout", "interleaved")
        .field("rate", RATE)
        .field("channels", 1)
        .build();
    let pieces = pieces.clone();
    let sink = gst_app::AppSink::builder()
        .caps(&caps)
        .sync(false)
        .async_(false)
        .enable_last_sample(false)
        .callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().ok().ok_or(gst::FlowError::Eos)?;
                    let bytes = sample
                        .buffer()
                        .and_then(|buffer| buffer.map_readable().ok());
                    let bytes = bytes.ok_or(gst::FlowError::Error)?.to_vec();
                    // Nobody takes it any more, or not soon enough.
                    let given = pieces.try_send(Ok(bytes)).is_ok();
                    given
                        .then_some(gst::FlowSuccess::Ok)
                        .ok_or(gst::FlowError::Error)
                })
                .build(),
        )
        .build();
    Ok([
        rate,
        element("audioconvert")?,
        element("audioresample")?,
        sink.upcast(),
    ])
}

/// What a stream that is offered says of itself under `key`; empty when nothing.
fn word<'a>(caps: &'a gst::CapsRef, key: &str) -> &'a str {
    let first = caps.structure(0);
    first
        .and_then(|s| s.get::<&str>(key).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read as _, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;
    use crate::config::RtspTransport;
    use crate::ingest::knock::Endpoint;
    use crate::ingest::{Credentials, Secret};

    /// A camera that answers so.
    fn camera(answer: impl Fn(BufReader<TcpStream>) + Send + 'static) -> Arc<Sound> {
        crate::ingest::init().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("rtsp://{}/", listener.local_addr().unwrap());
        let source = Source::Rtsp {
            endpoint: Endpoint::parse(&url).unwrap(),
            url,
            credentials: Credentials {
                user: "box".to_owned(),
                password: Secret::new("wrong"),
            },
            transport: RtspTransport::Tcp,
            roots: std::path::PathBuf::new(),
        };
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(BufReader::new(stream.unwrap()));
            }
        });
        Arc::new(Sound::of(&source).unwrap())
    }

    /// A camera that lets nobody in; how often a password was tried on it.
    fn locked() -> (Arc<Sound>, Arc<Mutex<usize>>) {
        let tried = Arc::new(Mutex::new(0));
        let count = Arc::clone(&tried);
        (camera(move |stream| refuse(stream, &count)), tried)
    }

    /// The next request, and its number; `None` when there is no more.
    fn asked(stream: &mut BufReader<TcpStream>) -> Option<(String, String)> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).unwrap_or(0) == 0 {
                return None;
            }
        }
        let number = head.lines().find_map(|line| line.strip_prefix("CSeq: "));
        let number = number.unwrap().to_owned();
        Some((head, number))
    }

    fn refuse(mut stream: BufReader<TcpStream>, tried: &Mutex<usize>) {
        while let Some((head, number)) = asked(&mut stream) {
            *lock(tried) += usize::from(head.contains("\r\nAuthorization: "));
            let answer = format!(
                "RTSP/1.0 401 Unauthorized\r\nCSeq: {number}\r\n\
                 WWW-Authenticate: Digest realm=\"camera\", nonce=\"abc\"\r\n\r\n"
            );
            if stream.get_mut().write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    /// Lets everybody in and gives a second of silence; then it hangs up, or keeps quiet until the other hangs up.
    fn speak(mut stream: BufReader<TcpStream>, hangs_up: bool) {
        const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
                           m=audio 0 RTP/AVP 0\r\na=control:mic\r\n";
        while let Some((head, number)) = asked(&mut stream) {
            let word = head.split(' ').next().unwrap();
            let more = match word {
                "OPTIONS" => "Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n\r\n".to_owned(),
                "DESCRIBE" => format!(
                    "Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{SDP}",
                    SDP.len()
                ),
                "SETUP" => "Session: 1\r\n\
                            Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n"
                    .to_owned(),
                _ => "Session: 1\r\n\r\n".to_owned(),
            };
            let mut answer = format!("RTSP/1.0 200 OK\r\nCSeq: {number}\r\n{more}").into_bytes();
            if word == "PLAY" {
                answer.extend((0..50).flat_map(packet));
            }
            if stream.get_mut().write_all(&answer).is_err() || (word == "PLAY" && hangs_up) {
                return;
            }
            if word == "PLAY" {
                drop(stream.read_to_end(&mut Vec::new()));
                return;
            }
        }
    }

    /// 20 ms of silence, as PCMU in RTP between the answers.
    fn packet(n: u16) -> Vec<u8> {
        let mut packet = vec![b'$', 0, 0, 172, 0x80, 0];
        packet.extend(n.to_be_bytes());
        packet.extend((u32::from(n) * 160).to_be_bytes());
        packet.extend([0, 0, 0, 1]);
        packet.extend([0xff; 160]);
        packet
    }

    #[test]
    fn a_password_that_was_refused_is_not_tried_again_to_listen() {
        let (sound, tried) = locked();
        let last = |refused| {
            let mut pieces = listen(Some(&sound), "street", refused);
            let last = pieces.blocking_recv().expect("why").expect_err("no sound");
            assert!(pieces.blocking_recv().is_none());
            last
        };
        let not_tried = "its password was refused: not tried again so soon";
        // The video's is.
        assert_eq!(last(true), not_tried);
        assert_eq!(*lock(&tried), 0);
        let why = last(false);
        assert!(why.contains("wrong user or password"), "{why}");
        let once = *lock(&tried);
        assert!(once > 0);
        assert_eq!(last(false), not_tried);
        assert_eq!(*lock(&tried), once);
        let until_ns = lock(&sound.refused).until_ns;
        assert!(until_ns > clock::boot_ns() + 50_000_000_000);
    }

    /// Whether the camera hangs up or the listener does.
    #[test]
    fn what_was_heard_forgets_that_a_password_was_refused_once() {
        for hangs_up in [true, false] {
            let sound = camera(move |stream| speak(stream, hangs_up));
            lock(&sound.refused).pause.next(&Fault::Unauthorized);
            let (pieces, mut taken) = mpsc::channel(PIECES);
            thread::scope(|scope| {
                let heard = scope.spawn(|| sound.session(&pieces));
                let first = taken.blocking_recv().expect("a piece");
                assert!(first.is_ok(), "{first:?}");
                if !hangs_up {
                    drop(taken);
                }
                let ended = heard.join().unwrap();
                assert!(ended.is_err() || !hangs_up, "{ended:?}");
            });
            let pause = lock(&sound.refused).pause.next(&Fault::Unauthorized);
            assert!(pause < Duration::from_mins(2), "{pause:?}");
        }
    }

    #[test]
    fn what_is_no_network_camera_is_not_listened_to() {
        let (path, rate) = ("/dev/video0".into(), 5.0);
        assert!(Sound::of(&Source::Device { path, rate }).is_none());
        let mut pieces = listen(None, "street", false);
        let why = pieces.blocking_recv().expect("why").expect_err("no sound");
        assert!(why.contains("no network camera"), "{why}");
    }
}

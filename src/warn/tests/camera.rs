//! Cameras with a loudspeaker: a real RTSP server with an ONVIF backchannel, and ones that do what
//! no server does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread::JoinHandle;

use super::*;

impl Room {
    /// The room with the loudspeaker of a camera at `url`, and who we are to it.
    fn with_camera(clip_ms: u32, url: String, (user, password): (&str, &str)) -> Self {
        let mut room = Self::new(clip_ms);
        let secret = room.folder.path().join("camera.password");
        std::fs::File::create(&secret)
            .and_then(|mut file| file.write_all(format!("{password}\n").as_bytes()))
            .expect("room");
        room.config.margin_secs = 20.0;
        let speaker = &mut room.config.speaker;
        speaker.kind = SpeakerKind::Onvif;
        speaker.url = url;
        speaker.user = user.to_owned();
        speaker.password_file = secret;
        room
    }
}

/// GStreamer's RTSP server, as a peer.
#[cfg(feature = "demo")]
mod real {
    use gstreamer_rtsp_server as rtsp_server;
    use rtsp_server::gst_rtsp::{RTSPAuthMethod, RTSPStatusCode};
    use rtsp_server::prelude::*;

    use super::*;
    use crate::warn::clip::Sound;
    use gstreamer::glib;

    const LOGIN: (&str, &str) = ("box", "pa\"ss\\word 密码");
    /// Its picture, which nobody asks for: without the `tee` it would fail for want of a taker, and a
    /// server whose media fails while it starts answers well and takes no sound.
    const SHOWS: &str = "videotestsrc is-live=true \
        ! video/x-raw,format=I420,width=160,height=120,framerate=5/1 \
        ! jpegenc ! tee allow-not-linked=true ! rtpjpegpay name=pay0 pt=26";

    /// A server whose cameras `/mu`, `/a` and `/aac` have a loudspeaker and `/deaf` has none. What
    /// is said at the first two is written to `mu.raw` and `a.raw`.
    struct Cameras {
        port: i32,
        main_loop: glib::MainLoop,
        serving: Option<JoinHandle<()>>,
    }

    impl Cameras {
        /// They answer PLAY so late.
        fn start(folder: &std::path::Path, late: Duration) -> Self {
            gst::init().expect("GStreamer");
            let context = glib::MainContext::new();
            let main_loop = glib::MainLoop::new(Some(&context), false);
            let (say, heard) = std::sync::mpsc::sync_channel(1);
            let (runs, folder) = (main_loop.clone(), folder.to_owned());
            let serving = std::thread::spawn(move || {
                let served = context.with_thread_default(|| {
                    let server = rtsp_server::RTSPOnvifServer::new();
                    server.set_address("127.0.0.1");
                    server.set_service("0");
                    server.connect_client_connected(move |_, client| {
                        client.connect_pre_play_request(move |_, _| {
                            std::thread::park_timeout(late);
                            RTSPStatusCode::Ok
                        });
                    });
                    mount(&server, &folder);
                    let id = server.attach(Some(&context));
                    say.send(id.map(|_| server.bound_port())).expect("heard");
                    runs.run();
                    server.client_filter(Some(&mut |_, _| rtsp_server::RTSPFilterResult::Remove));
                });
                served.expect("a context of its own");
            });
            Self {
                port: heard.recv().expect("said").expect("it listens"),
                main_loop,
                serving: Some(serving),
            }
        }

        fn url(&self, path: &str) -> String {
            format!("rtsp://127.0.0.1:{}/{path}", self.port)
        }
    }

    impl Drop for Cameras {
        fn drop(&mut self) {
            self.main_loop.quit();
            if let Some(serving) = self.serving.take() {
                serving.join().expect("served");
            }
        }
    }

    fn mount(server: &rtsp_server::RTSPOnvifServer, folder: &std::path::Path) {
        let auth = rtsp_server::RTSPAuth::new();
        auth.set_supported_methods(RTSPAuthMethod::Digest);
        let token = rtsp_server::RTSPToken::builder()
            .field("media.factory.role", "guard")
            .build();
        auth.add_digest(LOGIN.0, LOGIN.1, &token);
        server.set_auth(Some(&auth));
        let permission = gst::Structure::builder("guard")
            .field("media.factory.access", true)
            .field("media.factory.construct", true)
            .build();
        let points = server.mount_points().expect("mount points");
        let written = |name: &str| folder.join(name).display().to_string();
        for (path, rtp, sink) in [
            (
                "/mu",
                "payload=0, clock-rate=8000, encoding-name=PCMU",
                format!(
                    "rtppcmudepay ! mulawdec ! filesink buffer-mode=2 async=false location={}",
                    written("mu.raw")
                ),
            ),
            (
                "/a",
                "payload=8, clock-rate=8000, encoding-name=PCMA",
                format!(
                    "rtppcmadepay ! alawdec ! filesink buffer-mode=2 async=false location={}",
                    written("a.raw")
                ),
            ),
            (
                "/aac",
                "payload=97, clock-rate=16000, encoding-name=MPEG4-GENERIC",
                "fakesink async=false".to_owned(),
            ),
        ] {
            let factory = rtsp_server::RTSPOnvifMediaFactory::new();
            factory.set_launch(&format!("( {SHOWS} )"));
            factory.set_backchannel_launch(Some(&format!(
                "( capsfilter caps=\"application/x-rtp, media=audio, {rtp}\" \
                 name=depay_backchannel ! {sink} )"
            )));
            factory.set_media_gtype(rtsp_server::RTSPOnvifMedia::static_type());
            factory.add_role_from_structure(&permission);
            points.add_factory(path, factory);
        }
        let deaf = rtsp_server::RTSPMediaFactory::new();
        deaf.set_launch(&format!("( {SHOWS} )"));
        deaf.add_role_from_structure(&permission);
        points.add_factory("/deaf", deaf);
    }

    /// Says the shipped test clip at a camera and looks for it in what arrived there.
    async fn arrives(cameras: &Cameras, folder: &std::path::Path, path: &str) {
        let mut room = Room::with_camera(100, cameras.url(path), LOGIN);
        room.with_shipped("test.wav");
        let mut speaker = room.speaker();
        let before = clock::now();
        let said = say(&mut speaker).await;
        assert_eq!(said.failure, None, "{path}");
        let clip = speaker.clip(Violation::StreetVending).expect("the clip");
        let length = clip.duration();
        let missing = length.saturating_sub(said.played);
        assert!(missing < Duration::from_millis(50), "{:?}", said.played);
        assert!(clock::now().since(before) >= length);
        let mut arrived = Sound {
            rate: 8_000,
            channels: 1,
            samples: std::fs::read(folder.join(format!("{path}.raw"))).expect("a recording"),
        };
        let lost = length.saturating_sub(arrived.time_of(arrived.samples.len()));
        assert!(lost < Duration::from_millis(100), "{path}: {lost:?} lost");
        // Silence after it, as a microphone would have.
        arrived.samples.extend(std::iter::repeat_n(0, 19_200));
        let found = echo::find(clip.sound(), &arrived, Duration::from_secs(1));
        // Short of it by what 8 kHz cuts off.
        assert!(found.is_some_and(|f| f.alike > 0.9), "{path}: {found:?}");
    }

    #[tokio::test]
    async fn a_cameras_loudspeaker_gets_the_clip() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cameras = Cameras::start(folder.path(), Duration::ZERO);
        tokio::join!(
            arrives(&cameras, folder.path(), "mu"),
            arrives(&cameras, folder.path(), "a"),
        );
    }

    /// Longer than a clip may take from loudspeaker to microphone: it counts from where playing began.
    #[tokio::test]
    async fn a_clip_is_heard_though_its_camera_opens_late() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cameras = Cameras::start(folder.path(), Duration::from_millis(3_200));
        let mut room = Room::with_camera(100, cameras.url("mu"), LOGIN);
        room.with_shipped("test.wav");
        let before = peers::nothing_until("-s", &folder.path().join("mu.raw"));
        room.with_microphone(&before, "test.wav");
        let said = say(&mut room.speaker()).await;
        assert_eq!(said.failure, None);
        let Some(Heard::PlayedHeard { delay_ms, .. }) = said.heard else {
            panic!("{said:?}");
        };
        assert!((280..3_000).contains(&delay_ms), "{delay_ms} ms");
    }

    #[tokio::test]
    async fn why_a_camera_does_not_speak_is_said() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cameras = Cameras::start(folder.path(), Duration::ZERO);
        for (path, login, part) in [
            ("mu", (LOGIN.0, "wrong"), "wrong user or password"),
            ("mu", ("", ""), "asks who it is (401)"),
            ("nobody", LOGIN, "wrong path in the url"),
            ("deaf", LOGIN, "no audio backchannel"),
            ("aac", LOGIN, "takes MPEG4-GENERIC/16000, and only G.711"),
        ] {
            let room = Room::with_camera(300, cameras.url(path), login);
            let mut speaker = room.speaker();
            let said = say(&mut speaker).await;
            let why = said.failure.expect(part);
            assert!(why.contains(part), "{path}: {why}");
            assert_eq!(said.heard, Some(Heard::NotPlayed));
            let probed = speaker.probe().await.expect_err(part).to_string();
            assert!(probed.contains(part), "{path}: {probed}");
        }
        let room = Room::with_camera(300, cameras.url("a"), LOGIN);
        let probed = room.speaker().probe().await.expect("it takes sound");
        let Probed::Ready(probed) = probed else {
            panic!("{probed:?}");
        };
        assert!(probed.contains("takes G.711 A-law, opened in"), "{probed}");
        let recorded = std::fs::metadata(folder.path().join("a.raw")).expect("opened");
        assert_eq!(recorded.len(), 0, "a probe makes no sound");
    }
}

/// What goes wrong at a camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Nothing.
    None,
    /// Accepts, and never answers.
    Mute,
    /// Speaks something else.
    NoRtsp,
    /// Somebody else talks.
    Busy,
    /// Hangs up in the middle of the clip.
    HangsUp,
    /// Takes nothing more from the middle of the clip on, and lives.
    Stalls,
    /// Takes everything, and does not say so.
    NoEnd,
}

const SDP: &str = "v=0\r\nm=audio 0 RTP/AVP 0\r\na=control:back\r\na=sendonly\r\n";

/// What a camera was asked for, as it comes, and when its last sound came.
type Served = (Arc<Mutex<Vec<String>>>, JoinHandle<Option<Stamp>>);

/// A camera that serves one caller.
fn camera(fault: Fault) -> (String, Served) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("rtsp://{}/live", listener.local_addr().expect("bound"));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let serving = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a caller");
        serve(BufReader::new(stream), fault, &noted)
    });
    (url, (asked, serving))
}

fn serve(
    mut stream: BufReader<TcpStream>,
    fault: Fault,
    noted: &Mutex<Vec<String>>,
) -> Option<Stamp> {
    let (mut packets, mut last) = (0, None);
    while let Ok([first, ..]) = stream.fill_buf() {
        if *first == b'$' {
            let mut head = [0; 4];
            stream.read_exact(&mut head).expect("a head");
            let mut packet = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
            stream.read_exact(&mut packet).expect("a packet");
            (packets, last) = (packets + 1, Some(clock::now()));
            match fault {
                Fault::HangsUp if packets == 5 => return last,
                Fault::Stalls if packets == 5 => std::thread::park(),
                _ => continue,
            }
        }
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).expect("a request") == 0 {
                return last;
            }
        }
        assert!(
            head.contains("Require: www.onvif.org/ver20/backchannel\r\n"),
            "{head}"
        );
        let method = head.split(' ').next().unwrap_or_default().to_owned();
        let number = head.lines().find_map(|line| line.strip_prefix("CSeq: "));
        let number = number.expect("a number");
        let (status, more) = match (fault, method.as_str()) {
            (Fault::Mute, _) | (Fault::NoEnd, "TEARDOWN") => {
                noted.lock().expect("whole").push(method);
                continue;
            }
            (Fault::NoRtsp, _) => {
                let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
                stream.get_mut().write_all(answer).expect("sent");
                continue;
            }
            (Fault::Busy, "SETUP") => ("453 Not Enough Bandwidth", String::new()),
            (_, "DESCRIBE") => (
                "200 OK",
                format!("Content-Length: {}\r\n\r\n{SDP}", SDP.len()),
            ),
            // Media of its own comes in between, and another channel than asked for.
            (_, "SETUP") => (
                "200 OK",
                "Session: 7;timeout=60\r\nTransport: RTP/AVP/TCP;unicast;interleaved=4-5\r\n\
                 \r\n$\x04\0\x04abcd"
                    .to_owned(),
            ),
            _ => ("200 OK", String::new()),
        };
        noted.lock().expect("whole").push(method);
        let end = if more.contains("\r\n\r\n") {
            ""
        } else {
            "\r\n"
        };
        let answer = format!("RTSP/1.0 {status}\r\nCSeq: {number}\r\n{more}{end}");
        stream.get_mut().write_all(answer.as_bytes()).expect("sent");
    }
    last
}

#[tokio::test]
async fn a_camera_that_breaks_off_or_hangs_has_not_played() {
    for (fault, part) in [
        (Fault::Mute, "does not answer"),
        (Fault::NoRtsp, "is this the RTSP port?"),
        (Fault::Busy, "refuses SETUP: 453 Not Enough Bandwidth"),
        (Fault::HangsUp, "the camera"),
        (Fault::Stalls, "all of it is not known: it does not answer"),
        (Fault::NoEnd, "all of it is not known: it does not answer"),
    ] {
        let (url, (_, serving)) = camera(fault);
        let room = Room::with_camera(600, url, ("", ""));
        let said = say(&mut room.speaker()).await;
        let why = said.failure.expect(part);
        assert!(why.contains(part), "{fault:?}: {why}");
        if fault == Fault::HangsUp {
            assert!(
                said.played < Duration::from_millis(600),
                "{:?}",
                said.played
            );
        }
        // A camera that stalls is never told to go on; its thread ends with the test.
        if fault != Fault::Stalls {
            let ended = tokio::task::spawn_blocking(move || serving.join());
            ended.await.expect("joined").expect("served");
        }
    }
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    let url = format!("rtsp://{}/live", nobody.expect("a port"));
    let room = Room::with_camera(300, url, ("", ""));
    let why = say(&mut room.speaker()).await.failure.expect("nobody");
    assert!(why.contains("refused"), "{why}");
}

#[tokio::test]
async fn a_stop_silences_a_camera_within_a_second() {
    let (url, (asked, serving)) = camera(Fault::None);
    let room = Room::with_camera(60_000, url, ("", ""));
    // Long enough for the camera to be told that its session lives.
    let lives = until(|| asked.lock().expect("whole").iter().any(|m| m == "OPTIONS"));
    let (said, ordered) = say_and_stop(&mut room.speaker(), lives).await;
    let played = said.played.as_secs_f64();
    assert!((4.5..20.0).contains(&played), "{played}");
    let ended = tokio::task::spawn_blocking(move || serving.join());
    let last = ended.await.expect("joined").expect("served");
    let after = last.expect("it sounded").since(ordered);
    assert!(after < Duration::from_secs(1), "{after:?} after the order");
    let asked = asked.lock().expect("whole");
    assert_eq!(*asked, ["DESCRIBE", "SETUP", "PLAY", "OPTIONS", "TEARDOWN"]);
}

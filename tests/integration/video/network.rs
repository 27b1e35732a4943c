//! Networks that lose everything, and cameras that must prove who they are.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use lingmou::pki::{TestPki, TestPkiPlan};

use super::*;

/// A camera whose answers arrive and whose packets do not: what a firewall that drops UDP makes
/// of any camera. Tells each PLAY it grants.
struct Muffled {
    port: u16,
    plays: Receiver<Stamp>,
}

impl Muffled {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (say, plays) = sync_channel(64);
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let say = say.clone();
                std::thread::spawn(move || converse(&stream, port, &say));
            }
        });
        Self { port, plays }
    }

    fn url(&self) -> String {
        format!("rtsp://127.0.0.1:{}/main", self.port)
    }
}

/// Answers the requests of one connection (RFC 2326) until it is closed.
fn converse(mut stream: &TcpStream, port: u16, say: &SyncSender<Stamp>) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while let Some(request) = lines.next() {
        let headers: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        let header = |name: &str| {
            headers
                .iter()
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or_default()
                .trim()
        };
        let (more, body) = match request.split(' ').next().unwrap_or_default() {
            "OPTIONS" => (
                "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN".to_owned(),
                "",
            ),
            "DESCRIBE" => (
                format!("Content-Type: application/sdp\r\nContent-Base: rtsp://127.0.0.1:{port}/"),
                "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
                 m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:video\r\n",
            ),
            "SETUP" => (
                format!(
                    "Session: 1\r\nTransport: {};server_port=9-10",
                    header("Transport:").split(',').next().unwrap_or_default()
                ),
                "",
            ),
            "PLAY" => {
                if say.try_send(clock::now()).is_err() {
                    return;
                }
                ("Session: 1".to_owned(), "")
            }
            _ => ("Session: 1".to_owned(), ""),
        };
        let (sequence, length) = (header("CSeq:"), body.len());
        let answer = format!(
            "RTSP/1.0 200 OK\r\nCSeq: {sequence}\r\n{more}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

#[test]
fn a_network_that_drops_every_packet_is_said_and_outlived() {
    let dir = tempfile::tempdir().unwrap();
    let source = h264(dir.path());
    let server = serve(&source);
    let muffled = Muffled::start();
    let udp = |url| config::Camera {
        transport: RtspTransport::Udp,
        ..rtsp(url)
    };
    let live = Rig::new(&rtsp(server.url("/main")));
    let lost = Rig::new(&udp(muffled.url()));
    let state = lost.fails_with(&Fault::NoPackets);
    assert_eq!(state.phase, Phase::Stalled);
    assert!(state.cause.unwrap().contains("transport = \"tcp\""));
    // Tried again and again, each time with a pause behind the silence that was waited for.
    let plays: Vec<Stamp> = (0..3)
        .map(|_| muffled.plays.recv_timeout(PATIENCE).unwrap())
        .collect();
    for (pair, pause) in plays.windows(2).zip([0.7, 1.4]) {
        let apart = pair[1].since(pair[0]).as_secs_f64();
        assert!(apart > 5.0 + pause, "{apart} s between two tries");
    }
    assert!(lost.camera.state().main.reconnects >= 2);
    assert_eq!(lost.camera.state().main.units_in, 0);
    // Nobody else is held up.
    let before = clock::now();
    while live.frame().at.boot_ns < before.boot_ns {}
    assert_eq!(live.camera.state().phase, Phase::Playing);
    let start = clock::now();
    lost.camera.stop();
    assert!(clock::now().since(start) < Duration::from_millis(1500));
}

/// A camera with TLS, and what issued its certificate; `of` says which it shows.
fn secured_by(
    dir: &Path,
    plan: TestPkiPlan,
    of: impl Fn(&TestPki) -> PathBuf,
) -> (RtspServer, TestPki) {
    let pki = TestPki::create_planned(&dir.join("pki"), "LM-TLS-1", plan).unwrap();
    let source = h264(dir);
    let door = Door {
        tls: Some((of(&pki), of(&pki).with_extension("key"))),
        login: Some(("admin".to_owned(), PASSWORD.to_owned())),
        ..Door::default()
    };
    let mounts = [mount("/main", &source, Codec::H264)];
    (RtspServer::start_behind(door, &mounts).unwrap(), pki)
}

/// The same with a certificate made out to its address.
fn secured(dir: &Path, plan: TestPkiPlan) -> (RtspServer, TestPki) {
    secured_by(dir, plan, |pki| pki.broker.join("server.crt"))
}

fn trusting(url: String, roots: PathBuf) -> config::Camera {
    config::Camera {
        tls_roots: roots,
        ..rtsp(url)
    }
}

#[test]
fn a_camera_with_a_certificate_of_our_root_plays() {
    let dir = tempfile::tempdir().unwrap();
    let (server, pki) = secured(dir.path(), TestPkiPlan::from_now());
    assert!(server.url("/main").starts_with("rtsps://"));
    let config = trusting(server.url("/main"), pki.root());
    lingmou::ingest::check_roots(&config).unwrap();
    let rig = Rig::with(&config, login(PASSWORD));
    rig.frames(3);
    let now = clock::now();
    rig.until("a second kept", |s| s.ring_secs > 1.0);
    assert!(rig.camera.full_frame(now).is_ok());
}

#[test]
fn a_foreign_certificate_is_refused_and_no_password_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let (server, _) = secured(dir.path(), TestPkiPlan::from_now());
    let other = TestPki::create(&dir.path().join("other"), "LM-TLS-2").unwrap();
    for roots in [other.root(), PathBuf::new()] {
        let config = trusting(server.url("/main"), roots);
        let rig = Rig::with(&config, login(PASSWORD));
        let refused = rig.until("refused", |s| s.main.fault.is_some());
        let cause = refused.cause.unwrap();
        assert!(
            cause.contains("no secure connection") && cause.contains("not trusted here"),
            "{cause}"
        );
        assert!(cause.contains("tls_roots"), "{cause}");
        assert_eq!((refused.phase, refused.main.units_in), (Phase::Failed, 0));
    }
}

#[test]
fn a_certificate_out_of_its_time_is_refused_unless_it_is_named_itself() {
    let dir = tempfile::tempdir().unwrap();
    let plan = TestPkiPlan {
        not_before: 1_600_000_000,
        not_after: 1_700_000_000,
    };
    let (server, pki) = secured(dir.path(), plan);
    let strict = trusting(server.url("/main"), pki.root());
    let rig = Rig::with(&strict, login(PASSWORD));
    let cause = rig.until("refused", |s| s.cause.is_some()).cause.unwrap();
    assert!(cause.contains("has run out"), "{cause}");
    let pinned = trusting(server.url("/main"), pki.broker.join("server.crt"));
    Rig::with(&pinned, login(PASSWORD)).frames(2);
}

#[test]
fn a_certificate_for_another_name_is_refused_unless_it_is_named_itself() {
    let dir = tempfile::tempdir().unwrap();
    let other = |pki: &TestPki| pki.device.join("transport.crt");
    let (server, pki) = secured_by(dir.path(), TestPkiPlan::from_now(), other);
    let rig = Rig::with(&trusting(server.url("/main"), pki.root()), login(PASSWORD));
    let cause = rig.until("refused", |s| s.cause.is_some()).cause.unwrap();
    assert!(cause.contains("another name"), "{cause}");
    let pinned = trusting(server.url("/main"), other(&pki));
    Rig::with(&pinned, login(PASSWORD)).frames(2);
}

#[test]
fn a_camera_without_tls_is_not_spoken_to_in_the_clear() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(&h264(dir.path()));
    let url = server.url("/main").replace("rtsp://", "rtsps://");
    let rig = Rig::with(&rtsp(url), login(PASSWORD));
    let cause = rig.until("refused", |s| s.cause.is_some()).cause.unwrap();
    assert!(cause.contains("speaks no TLS"), "{cause}");
}

#[test]
fn roots_that_are_no_certificates_are_said_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("letter.pem");
    std::fs::File::create(&text)
        .unwrap()
        .write_all(b"no certificate in here\n")
        .unwrap();
    let config = trusting("rtsps://127.0.0.1:9/main".to_owned(), text);
    let error = lingmou::ingest::check_roots(&config).unwrap_err();
    assert!(error.to_string().contains("letter.pem"), "{error}");
}

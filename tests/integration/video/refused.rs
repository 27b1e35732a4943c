//! Cameras that do not let us in, and what is said of them; no password is ever repeated.

use lingmou::ingest::IngestError;

use super::*;

/// The log, which has what streams say.
fn log_of_streams() -> String {
    let log = String::from_utf8_lossy(&logged().lock().unwrap()).into_owned();
    assert!(log.contains("camera stream changed"), "{log}");
    log
}

fn guarded(clip: &Path) -> RtspServer {
    let door = Door {
        login: Some(("admin".to_owned(), PASSWORD.to_owned())),
        ..Door::default()
    };
    RtspServer::start_behind(door, &[mount("/main", clip, Codec::H264)]).unwrap()
}

#[test]
fn any_character_may_be_in_a_password_and_no_log_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = guarded(&h264(dir.path()));
    let rig = Rig::with(&rtsp(server.url("/main")), login(PASSWORD));
    let state = rig.until("playing", |s| s.phase == Phase::Playing);
    drop(server);
    rig.until("gone", |s| s.phase != Phase::Playing);
    let told = format!("{state:?} {:?} {:?}", rig.camera.state(), rig.camera);
    let log = log_of_streams();
    for text in [told, log] {
        assert!(!text.contains("p@ss") && !text.contains("密码"), "{text}");
    }
}

#[test]
fn a_wrong_password_is_told_from_all_else() {
    let dir = tempfile::tempdir().unwrap();
    let server = guarded(&h264(dir.path()));
    for wrong in ["wrong-secret", ""] {
        let rig = Rig::with(&rtsp(server.url("/main")), login(wrong));
        let state = rig.fails_with(&Fault::Unauthorized);
        assert_eq!(state.phase, Phase::Failed);
        assert!(state.cause.unwrap().contains("wrong user or password"));
    }
    let rig = Rig::new(&rtsp(server.url("/main")));
    rig.fails_with(&Fault::Unauthorized);
    assert!(!log_of_streams().contains("wrong-secret"));
}

#[test]
fn a_wrong_path_and_nobody_listening_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(&h264(dir.path()));
    Rig::new(&rtsp(server.url("/nothing"))).fails_with(&Fault::NotFound);
    let url = server.url("/main");
    drop(server);
    Rig::new(&rtsp(url)).fails_with(&Fault::Refused);
}

#[test]
fn a_port_that_is_not_rtsp_is_said() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let rig = Rig::new(&rtsp(format!("rtsp://127.0.0.1:{port}/")));
    rig.fails_with(&Fault::NoAnswer);
}

#[test]
fn motion_jpeg_is_refused_by_name() {
    let server = RtspServer::start(&[Mount {
        path: "/jpeg".to_owned(),
        show: Show::MotionJpeg,
    }])
    .unwrap();
    let rig = Rig::new(&rtsp(server.url("/jpeg")));
    let state = rig.fails_with(&Fault::Codec("Motion JPEG".to_owned()));
    assert!(state.cause.unwrap().contains("set the camera to H.264"));
}

#[test]
fn a_url_with_a_password_is_refused_without_repeating_it() {
    logged();
    let slots = Arc::new(Slots::new(1));
    let config = rtsp("rtsp://admin:tell-nobody@127.0.0.1/".to_owned());
    let error = Camera::start(0, &config, Credentials::default(), BACK, slots).unwrap_err();
    assert!(matches!(error, IngestError::Config { .. }));
    assert!(!format!("{error} {error:?}").contains("tell-nobody"));
}

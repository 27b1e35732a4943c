//! Over UDP nobody says that packets stopped coming, and packets of two streams come by four ports.

use super::clips::clip_is_bit_exact;
use super::*;

fn udp(url: String) -> config::Camera {
    config::Camera {
        transport: RtspTransport::Udp,
        ..rtsp(url)
    }
}

#[test]
fn udp_plays_too() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(&h264(dir.path()));
    let rig = Rig::new(&udp(server.url("/main")));
    rig.frames(3);
    assert_eq!(rig.camera.state().main.reconnects, 0);
    rig.until("three seconds kept", |s| s.ring_secs > 3.0);
    let to = clock::now().shifted_ns(-500_000_000);
    let clip = rig.camera.clip(to.shifted_ns(-2_000_000_000), to).unwrap();
    assert_eq!(clip.interrupted, None, "nothing is lost on the loopback");
}

/// Whether both streams are in that phase.
fn both(state: &CameraState, phase: Phase) -> bool {
    let sub = state.sub.as_ref().map(|sub| sub.phase);
    (state.main.phase, sub) == (phase, Some(phase))
}

#[test]
fn h265_with_a_substream_over_udp_outlives_a_stall_and_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let main = clip(dir.path(), "main.mp4", Codec::H265, (320, 240), 50);
    let sub = clip(dir.path(), "sub.mp4", Codec::H265, (160, 120), 50);
    let mounts = [
        mount("/main", &main, Codec::H265),
        mount("/sub", &sub, Codec::H265),
    ];
    let server = RtspServer::start(&mounts).unwrap();
    let rig = Rig::new(&config::Camera {
        substream_url: server.url("/sub"),
        ..udp(server.url("/main"))
    });
    rig.until("both play", |s| both(s, Phase::Playing));
    clip_is_bit_exact(&rig, &main, Codec::H265);
    let picture = |after: Stamp| {
        let seen = loop {
            let seen = rig.frame();
            if seen.at.boot_ns > after.boot_ns {
                break seen;
            }
        };
        assert_eq!((seen.image.width, seen.image.height), (160, 120));
        rig.until("the main stream's", |_| {
            rig.camera.full_frame(seen.at).is_ok()
        });
        let full = rig.camera.full_frame(seen.at).unwrap();
        assert_eq!((full.image.width, full.image.height), (320, 240));
        seen
    };
    let seen = picture(clock::now());

    for path in ["/main", "/sub"] {
        server.stall(path, true);
    }
    let state = rig.until("both stalled", |s| both(s, Phase::Stalled));
    assert!(matches!(
        state.main.fault,
        Some(Fault::Stalled(_) | Fault::NoPackets)
    ));
    for path in ["/main", "/sub"] {
        server.stall(path, false);
    }
    let state = rig.until("both again", |s| both(s, Phase::Playing));
    assert!(state.main.reconnects >= 1);
    assert_eq!((state.cause, state.main.fault), (None, None));
    let again = picture(clock::now());

    let port = server.port();
    drop(server);
    rig.until("both gone", |s| {
        s.main.phase > Phase::Playing && s.sub.as_ref().is_some_and(|s| s.phase > Phase::Playing)
    });
    let gone = clock::now();
    let door = Door {
        port,
        ..Door::default()
    };
    let _server = RtspServer::start_behind(door, &mounts).unwrap();
    rig.until("both once more", |s| both(s, Phase::Playing));
    let last = picture(gone);
    assert!(seen.at.boot_ns < again.at.boot_ns && again.at.boot_ns < last.at.boot_ns);
    // The substream's picture may be there before the main stream's first key frame.
    rig.until("the main stream kept", |_| {
        rig.camera.clip(last.at, clock::now()).is_ok()
    });
    let clip = rig.camera.clip(again.at, clock::now()).unwrap();
    assert_eq!(clip.codec, Codec::H265);
    assert!(clip.interrupted.is_some(), "not the whole");
}

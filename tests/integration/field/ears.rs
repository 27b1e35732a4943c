//! A camera as the microphone: GStreamer's RTSP server gives what the loudspeaker plays back as the
//! camera's own audio.

use std::sync::mpsc;
use std::thread::JoinHandle;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_rtsp_server as rtsp_server;
use lingmou::ingest::{Camera, Credentials, Slots};
use lingmou::types::{Heard, Violation};
use lingmou::warn::{Listening, Said, Speaker};
use rtsp_server::gst_rtsp::{RTSPAuthMethod, RTSPStatusCode};
use rtsp_server::prelude::*;

use super::online::{Checked, says};
use super::*;

const LOGIN: (&str, &str) = ("box", "p@ss 密码");
/// Its picture. Nobody may ask for it, or for the sound: each has a `tee`, or it would fail for want of a taker.
const SHOWS: &str = "videotestsrc is-live=true \
    ! video/x-raw,format=I420,width=160,height=120,framerate=10/1 \
    ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 bitrate=100 \
    ! tee allow-not-linked=true ! rtph264pay name=pay0 pt=96";
/// A quiet street, 20 ms at once.
const HEARS: &str = "audiotestsrc name=mic is-live=true wave=pink-noise volume=0.001 samplesperbuffer=320 \
    ! audio/x-raw,format=S16LE,rate=16000,channels=1 ! audioconvert ! audioresample";
/// How it codes what it hears.
const PCMA: &str =
    "audio/x-raw,rate=8000 ! alawenc ! tee allow-not-linked=true ! rtppcmapay name=pay1 pt=8";
const AAC: &str = "avenc_aac ! tee allow-not-linked=true ! rtpmp4gpay name=pay1 pt=97";
/// From the loudspeaker to the microphone, in bytes of it: 0.3 s.
const WAY: usize = 9_600;

/// A camera at a loudspeaker that writes into a file.
struct Street {
    dir: TempDir,
    port: i32,
    main_loop: glib::MainLoop,
    serving: Option<JoinHandle<()>>,
}

impl Street {
    /// It hears this shipped clip after the identity as soon as something is played, codes it so (or gives
    /// no sound at all), and answers PLAY so late.
    fn start(clip: &str, coded: Option<&str>, late: Duration) -> Self {
        gst::init().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let heard = Arc::new([vec![0; WAY], taken(clip)].concat());
        let launch = match coded {
            None => format!("( {SHOWS} )"),
            Some(coded) => format!("( {SHOWS} {HEARS} ! {coded} )"),
        };
        let context = glib::MainContext::new();
        let main_loop = glib::MainLoop::new(Some(&context), false);
        let (say, bound) = mpsc::sync_channel(1);
        let (runs, begun) = (main_loop.clone(), dir.path().join("played.wav"));
        let serving = std::thread::spawn(move || {
            let served = context.with_thread_default(|| {
                let server = guarded();
                server.connect_client_connected(move |_, client| {
                    client.connect_pre_play_request(move |_, _| {
                        std::thread::park_timeout(late);
                        RTSPStatusCode::Ok
                    });
                });
                let factory = rtsp_server::RTSPMediaFactory::new();
                factory.set_launch(&launch);
                let permission = gst::Structure::builder("guard")
                    .field("media.factory.access", true)
                    .field("media.factory.construct", true)
                    .build();
                factory.add_role_from_structure(&permission);
                factory.connect_media_configure(move |_, media| {
                    let bin = media.element().downcast::<gst::Bin>().unwrap();
                    if let Some(mic) = bin.by_name("mic") {
                        hear(&mic.static_pad("src").unwrap(), &heard, &begun);
                    }
                });
                server.mount_points().unwrap().add_factory(STREAM, factory);
                server.attach(Some(&context)).unwrap();
                say.send(server.bound_port()).unwrap();
                runs.run();
                server.client_filter(Some(&mut |_, _| rtsp_server::RTSPFilterResult::Remove));
            });
            served.unwrap();
        });
        Self {
            dir,
            port: bound.recv().unwrap(),
            main_loop,
            serving: Some(serving),
        }
    }

    fn url(&self) -> String {
        format!("rtsp://127.0.0.1:{}{STREAM}", self.port)
    }

    /// The file that the loudspeaker writes into.
    fn played(&self) -> PathBuf {
        self.dir.path().join("played.wav")
    }

    /// A file with this password.
    fn password(&self, password: &str) -> PathBuf {
        let path = self.dir.path().join("street.password");
        fs::write(&path, password).unwrap();
        path
    }

    /// As a camera without power.
    fn end(&mut self) {
        self.main_loop.quit();
        if let Some(serving) = self.serving.take() {
            serving.join().unwrap();
        }
    }
}

impl Drop for Street {
    fn drop(&mut self) {
        self.end();
    }
}

/// A server that asks who one is.
fn guarded() -> rtsp_server::RTSPServer {
    let server = rtsp_server::RTSPServer::new();
    server.set_address("127.0.0.1");
    server.set_service("0");
    let auth = rtsp_server::RTSPAuth::new();
    auth.set_supported_methods(RTSPAuthMethod::Digest);
    let token = rtsp_server::RTSPToken::builder()
        .field("media.factory.role", "guard")
        .build();
    auth.add_digest(LOGIN.0, LOGIN.1, &token);
    server.set_auth(Some(&auth));
    server
}

/// What a microphone takes up of the shipped clip after the identity: quieter, 16 kHz, one channel.
fn taken(clip: &str) -> Vec<u8> {
    let clips = root().join("config/clips");
    let raw = tempfile::NamedTempFile::new().unwrap();
    let [identity, clip, to] = [&clips.join("identity.wav"), &clips.join(clip), raw.path()]
        .map(|path| path.to_str().unwrap().to_owned());
    let filter = "concat=n=2:v=0:a=1,volume=-20dB";
    let args = [
        "-v",
        "error",
        "-y",
        "-i",
        &identity,
        "-i",
        &clip,
        "-filter_complex",
        filter,
        "-ar",
        "16000",
        "-ac",
        "1",
        "-f",
        "s16le",
        &to,
    ];
    tool("ffmpeg", &args);
    fs::read(raw.path()).unwrap()
}

/// Puts `heard` over the quiet of the street from when the file `begun` has something in it.
fn hear(microphone: &gst::Pad, heard: &Arc<Vec<u8>>, begun: &Path) {
    let (heard, begun) = (Arc::clone(heard), begun.to_owned());
    let at = Mutex::new(None);
    microphone.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let mut at = at.lock().unwrap();
        let plays = || fs::metadata(&begun).is_ok_and(|file| file.len() > 0);
        if at.is_none() && plays() {
            *at = Some(0);
        }
        if let (Some(at), Some(gst::PadProbeData::Buffer(buffer))) = (&mut *at, &mut info.data) {
            let mut bytes = buffer.make_mut().map_writable().unwrap();
            let rest = &heard[heard.len().min(*at)..];
            let length = bytes.len().min(rest.len());
            bytes[..length].copy_from_slice(&rest[..length]);
            *at += bytes.len();
        }
        gst::PadProbeReturn::Ok
    });
}

/// A loudspeaker, and the camera that hears it.
struct Listener {
    camera: Arc<Camera>,
    speaker: Speaker,
}

impl Listener {
    fn new(street: &Street, password: &str) -> Self {
        let config = config::Camera {
            name: "street".to_owned(),
            url: street.url(),
            user: LOGIN.0.to_owned(),
            password_file: street.password(password),
            ..config::Camera::default()
        };
        let secrets = Credentials::read(&config).unwrap();
        let slots = Arc::new(Slots::new(1));
        let camera = Camera::start(0, &config, secrets, Duration::ZERO, slots).unwrap();
        let camera = Arc::new(camera);
        let clips = root().join("config/clips");
        let mut warn = config::Warn {
            identity: clips.join("identity.wav"),
            street_vending: clips.join("test.wav"),
            out_of_store: clips.join("out_of_store.wav"),
            ..config::Warn::default()
        };
        warn.speaker.kind = config::SpeakerKind::File;
        warn.speaker.path = street.played();
        "street".clone_into(&mut warn.microphone.camera);
        let heard = Arc::clone(&camera);
        let ears = Listening::new(move |name| (name == "street").then(|| heard.listen()));
        let speaker = Speaker::open(&warn).unwrap().hearing(ears);
        Self { camera, speaker }
    }

    /// Says the test clip.
    async fn say(&mut self) -> Said {
        let clip = self.speaker.clip(Violation::StreetVending).unwrap();
        self.speaker.say(clip, 0.8, &CancellationToken::new()).await
    }

    /// Why there is nothing to be heard.
    async fn why_silent(&self) -> String {
        let mut sounds = self.camera.listen();
        sounds.recv().await.expect("why").expect_err("no sound")
    }
}

/// What is said of the test clip where the camera hears this clip, coded so.
async fn said(clip: &str, coded: &str) -> Said {
    let street = Street::start(clip, Some(coded), Duration::ZERO);
    Listener::new(&street, LOGIN.1).say().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_hears_what_was_said_and_takes_no_other_clip_for_it() {
    let (pcma, aac, other) = tokio::join!(
        said("test.wav", PCMA),
        said("test.wav", AAC),
        said("out_of_store.wav", PCMA),
    );
    for said in [pcma, aac] {
        assert_eq!(said.failure, None);
        let Some(Heard::PlayedHeard {
            level_db, delay_ms, ..
        }) = said.heard
        else {
            panic!("{said:?}");
        };
        assert!((-60..=-25).contains(&level_db), "{level_db} dB");
        assert!((280..3_000).contains(&delay_ms), "{delay_ms} ms");
    }
    assert_eq!(other.heard, Some(Heard::PlayedNotHeard));
    let why = other.failure.as_deref();
    assert_eq!(why, Some("the microphone did not hear it"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_camera_that_cannot_be_listened_to_nothing_is_known() {
    // Later than a microphone may be.
    let late = Duration::from_millis(4_500);
    for (coded, late, password, part) in [
        (
            None,
            Duration::ZERO,
            LOGIN.1,
            Some("the stream carries no sound"),
        ),
        (
            Some(PCMA),
            Duration::ZERO,
            "wrong",
            Some("password was refused: not tried again"),
        ),
        (Some(PCMA), late, LOGIN.1, None),
    ] {
        let street = Street::start("test.wav", coded, late);
        let mut listener = Listener::new(&street, password);
        if password != LOGIN.1 {
            let refused = |cause: &String| cause.contains("wrong user or password");
            let deadline = Instant::now() + DEADLINE;
            while !listener.camera.state().cause.as_ref().is_some_and(refused) {
                assert!(Instant::now() < deadline, "{:?}", listener.camera.state());
                sleep(Duration::from_millis(20)).await;
            }
        }
        let said = listener.say().await;
        assert_eq!((said.failure, said.heard), (None, None), "{part:?}");
        if let Some(part) = part {
            let why = listener.why_silent().await;
            assert!(why.contains(part), "{why}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_camera_that_gives_out_while_it_listens_nothing_is_known() {
    let mut street = Street::start("test.wav", Some(PCMA), Duration::ZERO);
    let mut listener = Listener::new(&street, LOGIN.1);
    let played = street.played();
    let pulled = async {
        let deadline = Instant::now() + DEADLINE;
        while fs::metadata(&played).map_or(0, |file| file.len()) < 50_000 {
            assert!(Instant::now() < deadline, "it never sounded");
            sleep(Duration::from_millis(20)).await;
        }
        tokio::task::block_in_place(|| street.end());
    };
    let (said, ()) = tokio::join!(listener.say(), pulled);
    assert_eq!((said.failure, said.heard), (None, None));
}

#[test]
fn whether_a_camera_gives_sound_is_told_by_check() {
    let no_aac = "avdec_aac:NONE,avdec_aac_fixed:NONE,avdec_aac_latm:NONE,faad:NONE,fdkaacdec:NONE";
    for (coded, password, ranks, ok, part) in [
        (
            Some(PCMA),
            LOGIN.1,
            no_aac,
            Value::Bool(true),
            "gives sound, the first after ",
        ),
        (
            Some(AAC),
            LOGIN.1,
            no_aac,
            Value::Bool(false),
            "no decoder for its AAC sound: install gstreamer1.0-libav",
        ),
        (
            None,
            LOGIN.1,
            "",
            Value::Bool(false),
            "the stream carries no sound",
        ),
        (
            Some(PCMA),
            "wrong",
            "",
            Value::Null,
            "not listened to until the camera plays",
        ),
    ] {
        let street = Street::start("test.wav", coded, Duration::ZERO);
        let mut checked = Checked::new();
        checked.ranks = ranks;
        let camera = &mut checked.profile["camera"][0];
        camera["url"] = value(street.url());
        camera["user"] = value(LOGIN.0);
        camera["password_file"] = value("street.password");
        camera["onvif_url"] = value("none");
        checked.secret("street.password", password, 0o600);
        checked.profile["warn"]["microphone"]["camera"] = value("street");
        let found = checked.online("microphone of street");
        says(&found, ok.clone(), part);
        if ok == false {
            says(&found, ok, "DIR/lingmou.toml:");
            says(&found, false, ": warn.microphone.camera: ");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_hears_its_loudspeaker_by_its_camera_and_tells_no_password() {
    let street = Street::start("test.wav", Some(PCMA), Duration::ZERO);
    let field = Field::start(&street.url(), &|profile| {
        let camera = &mut profile["camera"][0];
        camera["user"] = value(LOGIN.0);
        let password = street.password(LOGIN.1);
        camera["password_file"] = value(password.to_string_lossy().into_owned());
        camera["onvif_url"] = value("none");
        let warn = &mut profile["warn"];
        warn["speaker"]["path"] = value(street.played().to_string_lossy().into_owned());
        warn["microphone"]["camera"] = value("street");
    })
    .await;
    let _daemon = field.talkative_daemon();
    command::connected(&field).await;
    let wav = fs::read(root().join("config/clips/test.wav")).unwrap();
    let words = ["speak", &witness::sha256_hex(&wav)];
    let (told, why) = command::answer(&field, command::OPERATE, &words).await;
    assert_eq!(told, "done", "{why}");
    let played = field.journal("warning.played").remove(0)["body"].clone();
    assert_eq!(played["heard"]["heard"], "played_heard", "{played}");
    assert!(!field.log().contains(LOGIN.1), "{}", field.log());
}

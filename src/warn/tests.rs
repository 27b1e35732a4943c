//! A warning is heard out, or the report says why not.

mod camera;
mod isapi;
mod peers;

use std::path::PathBuf;

use super::clip::tests::wav;
use super::*;
use gstreamer as gst;
use gstreamer::prelude::*;

const RATE: u32 = 16_000;

/// A folder with an identity and a clip, together of this many milliseconds, and the configuration
/// to play them.
struct Room {
    folder: tempfile::TempDir,
    /// Of both.
    samples: Vec<i16>,
    config: config::Warn,
}

impl Room {
    fn new(clip_ms: u32) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let samples: Vec<i16> = (0..clip_ms * RATE / 1_000)
            .map(|n| i16::try_from(n * 37 % 20_000).expect("small") - 10_000)
            .collect();
        let (first, rest) = samples.split_at(samples.len() / 4);
        let put = |name: &str, samples: &[i16]| {
            let path = folder.path().join(name);
            let mut file = std::fs::File::create(&path).expect("a file");
            std::io::Write::write_all(&mut file, &wav(RATE, 1, samples)).expect("room");
            path
        };
        let (identity, clip) = (put("identity.wav", first), put("clip.wav", rest));
        let config = config::Warn {
            speaker: config::Speaker {
                kind: SpeakerKind::File,
                path: folder.path().join("played.wav"),
                ..config::Speaker::default()
            },
            identity,
            street_vending: clip.clone(),
            out_of_store: clip,
            margin_secs: 3.0,
            ..config::Warn::default()
        };
        Self {
            folder,
            samples,
            config,
        }
    }

    /// With the shipped identity and, for street vending, this shipped clip.
    fn with_shipped(&mut self, clip: &str) {
        let clips = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/clips");
        self.config.identity = clips.join("identity.wav");
        self.config.street_vending = clips.join(clip);
        self.config.out_of_store = clips.join("out_of_store.wav");
    }

    fn speaker(&self) -> Speaker {
        Speaker::open(&self.config).expect("a speaker")
    }

    fn played(&self) -> Vec<i16> {
        let clip = Clip::read(&self.config.speaker.path).expect("a WAV file was written");
        clip.sound()
            .samples
            .chunks(2)
            .map(|b| i16::from_le_bytes([b[0], b[1]]))
            .collect()
    }
}

async fn say(speaker: &mut Speaker) -> Said {
    say_at(speaker, 1.0).await
}

async fn say_at(speaker: &mut Speaker, volume: f64) -> Said {
    let clip = speaker.clip(Violation::StreetVending).expect("a clip");
    speaker.say(clip, volume, &CancellationToken::new()).await
}

/// Says the clip and orders a stop once it sounds; with what was said the moment of the order. What
/// the far end took then, and until when, is its own to tell.
async fn say_and_stop(speaker: &mut Speaker, sounds: impl Future<Output = ()>) -> (Said, Stamp) {
    let clip = speaker.clip(Violation::StreetVending).expect("a clip");
    let stop = CancellationToken::new();
    let stopping = async {
        sounds.await;
        let ordered = clock::now();
        stop.cancel();
        ordered
    };
    let (said, ordered) = tokio::join!(speaker.say(clip, 1.0, &stop), stopping);
    assert_eq!(said.failure.as_deref(), Some(STOPPED));
    assert!(clock::now().since(ordered) < Duration::from_secs(1));
    (said, ordered)
}

/// Waits until this holds.
async fn until(holds: impl Fn() -> bool) {
    let deadline = clock::now().shifted_ns(30_000_000_000);
    while !holds() {
        assert!(clock::now().boot_ns < deadline.boot_ns, "it never came");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn the_file_holds_the_clip_and_took_its_time() {
    let room = Room::new(700);
    let before = clock::now();
    let report = say(&mut room.speaker()).await;
    assert_eq!(report.failure, None);
    assert_eq!(report.played, Duration::from_millis(700));
    assert!(clock::now().since(before) >= Duration::from_millis(600));
    assert!(report.at.boot_ns >= before.boot_ns);
    assert_eq!(room.played(), room.samples);
    assert_eq!(report.heard, Some(Heard::NoMicrophone));
    let clip = Clip::read(&room.config.street_vending).expect("the clip");
    let speaker = room.speaker();
    assert_eq!(
        speaker.clip_of(clip.sha256()),
        speaker.clip(Violation::StreetVending)
    );
    let none = speaker.clip_of("00").expect_err("another clip");
    assert_eq!(none, "this box has no such clip");
    let identity = Clip::read(&room.config.identity).expect("the identity");
    let said = speaker.clip_of(clip.sha256()).expect("the clip");
    assert_eq!(said.identity_sha256(), Some(identity.sha256()));
}

#[tokio::test]
async fn the_volume_is_applied() {
    let room = Room::new(200);
    assert_eq!(say_at(&mut room.speaker(), 0.5).await.failure, None);
    let played = room.played();
    assert_eq!(played.len(), room.samples.len());
    for (got, was) in played.iter().zip(&room.samples) {
        assert!((got - was / 2).abs() <= 1, "{got} is not half of {was}");
    }
}

#[tokio::test]
async fn a_clip_is_played_as_loud_as_the_identity_before_it() {
    for (identity, clip, wanted) in [
        // Half as loud, and twice.
        (1.0, 0.5, 1.0),
        (0.5, 1.0, 0.5),
        // Beside an identity that nobody hears the warning stays as it is.
        (0.02, 0.5, 0.5),
    ] {
        let mut room = Room::new(2_000);
        let put = |name: &str, from: &Path, volume: f64| {
            let path = room.folder.path().join(name);
            let sound = Clip::read(from).expect("a clip").sound().at(volume);
            let mut file = std::fs::File::create(&path).expect("a file");
            std::io::Write::write_all(&mut file, &sound.wav()).expect("room");
            path
        };
        let quiet = put("quiet.wav", &room.config.identity, identity);
        let said = put("said.wav", &room.config.street_vending, clip);
        (room.config.identity, room.config.street_vending) = (quiet, said.clone());
        let mut speaker = room.speaker();
        let hash = Clip::read(&said).expect("a clip").sha256().to_owned();
        assert!(speaker.clip_of(&hash).is_ok(), "by the hash of its file");
        assert_eq!(say(&mut speaker).await.failure, None);
        let played = room.played();
        let (_, played) = played.split_at(8_000);
        let (_, was) = room.samples.split_at(8_000);
        let power = |samples: &[i16]| samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>();
        let apart_db = 10.0 * (power(played) / power(was)).log10() - 20.0 * f64::log10(wanted);
        assert!(apart_db.abs() < 0.5, "{identity} {clip}: {apart_db} dB");
    }
}

#[tokio::test]
async fn a_clip_changed_on_the_disk_is_still_the_one_that_was_read() {
    let room = Room::new(200);
    let mut speaker = room.speaker();
    std::fs::remove_file(&room.config.street_vending).expect("removed");
    assert_eq!(say(&mut speaker).await.failure, None);
    assert_eq!(room.played(), room.samples);
}

#[tokio::test]
async fn a_stop_is_obeyed_within_a_second() {
    let room = Room::new(20_000);
    let played = &room.config.speaker.path;
    // The file grows once the sink plays.
    let sounds = until(|| std::fs::metadata(played).map_or(0, |m| m.len()) >= 10_000);
    let (report, _) = say_and_stop(&mut room.speaker(), sounds).await;
    assert!(report.played > Duration::ZERO && report.played < Duration::from_secs(20));
}

#[tokio::test]
async fn a_sink_that_cannot_write_is_a_failure() {
    let mut room = Room::new(200);
    room.config.speaker.path = room.folder.path().to_owned();
    let mut speaker = room.speaker();
    let report = say(&mut speaker).await;
    let why = report.failure.expect("a folder is no file");
    assert!(why.contains("filesink"), "{why}");
    assert_eq!(report.played, Duration::ZERO);
    assert!(speaker.probe().await.is_err());

    room.config.speaker.path = PathBuf::from("/nonexistent/played.wav");
    assert!(say(&mut room.speaker()).await.failure.is_some());
}

#[tokio::test]
async fn a_sink_that_hangs_is_left_behind_and_told() {
    let mut room = Room::new(200);
    room.config.margin_secs = 0.3;
    // A pipe that nobody reads: opening it for writing blocks for ever, as a wedged sound
    // driver does, and no signal of ours ends it.
    let pipe = room.folder.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .expect("a pipe");
    room.config.speaker.path.clone_from(&pipe);
    let mut speaker = room.speaker();
    let before = clock::now();
    let report = say(&mut speaker).await;
    assert!(clock::now().since(before) < Duration::from_secs(2));
    let why = report.failure.expect("it hung");
    assert!(why.contains("hangs"), "{why}");
    assert_eq!(report.played, Duration::ZERO);

    let why = say(&mut speaker).await.failure.expect("it still hangs");
    assert!(why.contains("earlier warning"), "{why}");

    // Somebody reads: the driver wakes up, and the speaker is used again.
    let reader = rustix::fs::open(
        &pipe,
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK,
        rustix::fs::Mode::empty(),
    )
    .expect("the reading end");
    let deadline = clock::now().shifted_ns(10_000_000_000);
    while say(&mut speaker)
        .await
        .failure
        .is_some_and(|why| why.contains("earlier warning"))
    {
        assert!(clock::now().boot_ns < deadline.boot_ns, "it never woke up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(reader);
}

#[tokio::test]
async fn a_device_that_does_not_exist_is_a_failure() {
    let mut room = Room::new(200);
    room.config.speaker.kind = SpeakerKind::Local;
    room.config.speaker.device = "no-such-device".to_owned();
    let mut speaker = room.speaker();
    let why = say(&mut speaker).await.failure.expect("no such device");
    assert!(why.contains("no-such-device"), "{why}");
}

#[tokio::test]
async fn a_box_without_sound_never_swears_that_it_warned() {
    gst::init().expect("GStreamer");
    // Take every real sink away: what is left is what `autoaudiosink` finds on a box without
    // sound, a stand-in that plays silently and in real time.
    let sinks = gst::ElementFactory::factories_with_type(
        gst::ElementFactoryType::SINK | gst::ElementFactoryType::MEDIA_AUDIO,
        gst::Rank::MARGINAL,
    );
    for sink in sinks {
        sink.set_rank(gst::Rank::NONE);
    }
    let mut room = Room::new(200);
    room.config.speaker.kind = SpeakerKind::Local;
    let mut speaker = room.speaker();
    let report = say(&mut speaker).await;
    let why = report.failure.expect("nobody heard it");
    assert!(why.contains("no sound output that is heard"), "{why}");
    assert_eq!(report.played, Duration::ZERO);
    assert!(matches!(speaker.probe().await, Err(WarnError::Silent(_))));
}

#[tokio::test]
async fn without_a_loudspeaker_or_a_clip_nothing_is_played() {
    let mut none = Speaker::open(&config::Warn::default()).expect("no speaker is fine");
    let why = none.clip(Violation::StreetVending).expect_err("no clips");
    assert_eq!(why, "no loudspeaker is configured");
    assert_eq!(none.clip_of("00").as_ref(), Err(&why));
    let room = Room::new(200);
    let clip = room.speaker().clip(Violation::StreetVending);
    let said = none
        .say(clip.expect("a clip"), 1.0, &CancellationToken::new())
        .await;
    assert_eq!(said.failure.as_deref(), Some(why.as_str()));
    assert_eq!(said.heard, Some(Heard::NotPlayed));
    assert!(none.probe().await.is_err());

    let why = room.speaker().clip(Violation::Spillage).expect_err("none");
    assert_eq!(why, "there is no clip for spillage");
}

#[test]
fn how_long_an_announcement_can_sound_is_known_before() {
    let mut room = Room::new(700);
    for (kind, microphone, secs) in [
        (SpeakerKind::File, false, 0),
        (SpeakerKind::File, true, 4),
        (SpeakerKind::Onvif, true, 10),
        (SpeakerKind::Hikvision, false, 6),
    ] {
        room.config.speaker.kind = kind;
        let listens = microphone.then(|| "/bin/cat".to_owned());
        room.config.microphone.command = listens.into_iter().collect();
        let speaker = room.speaker();
        let clip = speaker.warning(Violation::StreetVending).expect("a clip");
        // Identity and clip, the margin, and until a sink that hangs is let go.
        let whole = Duration::from_millis(700 + 3_000 + 600);
        let lasts = whole + Duration::from_secs(secs);
        assert_eq!(speaker.lasts(&clip), lasts, "{kind:?} {microphone}");
    }
}

#[test]
fn what_cannot_be_opened_is_said_at_the_start() {
    let mut room = Room::new(200);
    room.config.out_of_store = room.folder.path().join("missing.wav");
    let error = Speaker::open(&room.config).expect_err("a missing clip");
    assert!(error.to_string().contains("missing.wav"), "{error}");
    room.config.out_of_store = room.config.street_vending.clone();
    room.config.identity = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/clips/identity.wav");
    let error = Speaker::open(&room.config).expect_err("another rate");
    assert!(error.to_string().contains("-ar 22050"), "{error}");
    let faults = look_at_clips(&room.config).expect_err("two clips are unlike it");
    let keys: Vec<&str> = faults.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, ["warn.street_vending", "warn.out_of_store"]);
    // Half as loud as the identity before it is another voice.
    let quiet = room.folder.path().join("quiet.wav");
    let shipped = Clip::read(&room.config.identity).expect("the identity");
    let mut file = std::fs::File::create(&quiet).expect("a file");
    std::io::Write::write_all(&mut file, &shipped.sound().at(0.5).wav()).expect("room");
    room.config.street_vending = room.config.identity.clone();
    room.config.out_of_store = quiet;
    let faults = look_at_clips(&room.config).expect_err("one is too quiet beside it");
    let [(key, why)] = faults.as_slice() else {
        panic!("{faults:?}")
    };
    assert_eq!(*key, "warn.out_of_store");
    assert!(
        why.contains("-6 dB against the identity") && why.contains("loudnorm"),
        "{why}"
    );
    room.config.speaker.path = PathBuf::new();
    let error = Speaker::open(&room.config).expect_err("no path");
    assert!(matches!(error, WarnError::NoPath));
}

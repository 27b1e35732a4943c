//! The mouth: what is said, what is not, and what is told of both.

mod voiced;

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::json;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::*;
use crate::config::Budget;
use crate::types::{CaseId, FixKind, Heard, Pose, PoseSource, Tooted, Violation};
use crate::warn::{Ledger, Toots, Voices};

const RATE: u32 = 16_000;
const IDENTITY_MS: u32 = 50;

/// A mouth with a file for a loudspeaker, and everything round it.
struct Room {
    dir: tempfile::TempDir,
    store: Store,
    voices: Voices,
    poses: Arc<Poses>,
    shouts: mpsc::Sender<Shout>,
    requests: mpsc::Sender<Request>,
    reports: mpsc::Receiver<WarnReport>,
    state: Arc<Mutex<VoiceState>>,
    stop: CancellationToken,
    running: tokio::task::JoinHandle<()>,
}

/// A loudspeaker, or a horn, for all zones, and one for what is drawn on the camera `gate`.
fn config(dir: &std::path::Path, clip_ms: u32, budget: Budget, horn: bool) -> Config {
    let clip = clip(dir, ("clip", clip_ms - IDENTITY_MS));
    let warn = config::Warn {
        speaker: config::Speaker {
            kind: if horn {
                SpeakerKind::Mavlink
            } else {
                SpeakerKind::File
            },
            path: dir.join("spoken.wav"),
            ..config::Speaker::default()
        },
        identity: self::clip(dir, ("identity", IDENTITY_MS)),
        street_vending: clip.clone(),
        out_of_store: clip,
        quiet_from: "00:00".to_owned(),
        quiet_to: "00:00".to_owned(),
        budget,
        outlet: vec![config::Outlet {
            cameras: vec!["gate".to_owned()],
            speaker: config::Speaker {
                kind: SpeakerKind::File,
                path: dir.join("at-gate.wav"),
                ..config::Speaker::default()
            },
            ..config::Outlet::default()
        }],
        ..config::Warn::default()
    };
    Config {
        warn,
        zone: [
            ("gate-kerb", "gate"),
            ("gate-walk", "gate"),
            ("back-door", "back"),
        ]
        .map(|(name, camera)| config::Zone {
            name: name.to_owned(),
            camera: camera.to_owned(),
            ..config::Zone::default()
        })
        .to_vec(),
        ..Config::default()
    }
}

/// At any hour.
fn at_most(zone: &str, volume: f64) -> config::Hours {
    config::Hours {
        zones: vec![zone.to_owned()],
        volume,
        ..config::Hours::default()
    }
}

impl Room {
    /// Identity and clip together of `clip_ms`; no quiet hours, because the tests run at any hour.
    fn new(clip_ms: u32, budget: Budget) -> Self {
        Self::with(clip_ms, budget, None)
    }

    /// The same; with a horn for a loudspeaker, where there is a way to one.
    fn with(clip_ms: u32, budget: Budget, horn: Option<Toots>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), clip_ms, budget, horn.is_some());
        Self::of(dir, &config, horn)
    }

    fn of(dir: tempfile::TempDir, config: &Config, horn: Option<Toots>) -> Self {
        let store = store(dir.path());
        let mut ledger = Ledger::new(clock::boot_id());
        let recall = &mut |line: crate::journal::Entry| {
            if line.kind == kind::WARNING_STOPPED {
                ledger.recall_stopped(&line.body);
            }
        };
        store.walk_journal(recall).unwrap();
        let (shouts, shouts_in) = mpsc::channel(8);
        let (requests, requests_in) = mpsc::channel(8);
        let (reports_out, reports) = mpsc::channel(8);
        let (state, stop) = (Arc::default(), CancellationToken::new());
        let poses: Arc<Poses> = Arc::default();
        let speakers = Speakers::open(config).unwrap();
        let voices = speakers.voices();
        let speakers = match horn {
            Some(toots) => speakers.through(toots),
            None => speakers,
        };
        let mouth = Mouth {
            speakers,
            governor: Governor::new(&config.warn, "Asia/Shanghai", ledger).unwrap(),
            reports: reports_out,
            requests: requests_in,
            store: store.clone(),
            poses: Arc::clone(&poses),
            telemetry: Arc::default(),
            moves: (config.telemetry.source, false),
            state: Arc::clone(&state),
            stop: stop.clone(),
        };
        Self {
            dir,
            store,
            voices,
            poses,
            shouts,
            requests,
            reports,
            state,
            stop,
            running: tokio::spawn(mouth.run(shouts_in)),
        }
    }

    async fn warn(&mut self, case: u128) -> WarnReport {
        self.shouts.send(shout(case)).await.unwrap();
        self.reports.recv().await.unwrap()
    }

    async fn speak(&self, sha256: &str) -> Answer {
        self.say(Words::Clip(sha256.to_owned()), None).await
    }

    async fn say(&self, what: Words, camera: Option<&str>) -> Answer {
        let (answer, heard) = oneshot::channel();
        let by = "officer-7".to_owned();
        let speak = Request::Speak {
            what,
            camera: camera.map(ToOwned::to_owned),
            by,
            answer,
        };
        self.requests.send(speak).await.unwrap();
        heard.await.unwrap()
    }

    async fn silence(&self) -> Stopped {
        let (answer, heard) = oneshot::channel();
        let by = "officer-7".to_owned();
        self.requests
            .send(Request::Stop { by, answer })
            .await
            .unwrap();
        heard.await.unwrap()
    }

    /// Kind and body of every line about the voice.
    fn lines(&self) -> Vec<(String, Value)> {
        let mut lines = Vec::new();
        self.store
            .walk_journal(&mut |entry| {
                if entry.kind.starts_with("warning.") {
                    lines.push((entry.kind, entry.body));
                }
            })
            .unwrap();
        lines
    }

    fn kinds(&self) -> Vec<String> {
        self.lines().into_iter().map(|(kind, _)| kind).collect()
    }

    /// How many could not be said to the end, and what the loudspeaker is to blame for.
    fn trouble(&self) -> (u64, Option<String>) {
        let state = self.state.lock().unwrap();
        (state.failed, state.trouble.clone())
    }

    fn spoken(&self) -> PathBuf {
        self.dir.path().join("spoken.wav")
    }

    async fn end(self) -> tempfile::TempDir {
        self.stop.cancel();
        self.running.await.unwrap();
        self.dir
    }
}

fn store(dir: &std::path::Path) -> Store {
    let config = config::Store {
        dir: dir.join("store"),
        ..config::Store::default()
    };
    Store::open(&config, "LM-TEST-1").unwrap().0
}

/// A clip of noise-like samples, 16 kHz.
fn clip(dir: &std::path::Path, (name, ms): (&str, u32)) -> PathBuf {
    let samples = ms * RATE / 1_000;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + samples * 2).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend(RATE.to_le_bytes());
    bytes.extend((RATE * 2).to_le_bytes());
    bytes.extend(b"\x02\0\x10\0data");
    bytes.extend((samples * 2).to_le_bytes());
    bytes.extend((0..samples * 2).map(|n| u8::try_from(n * 37 % 251).unwrap()));
    let path = dir.join(format!("{name}.wav"));
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(&bytes).unwrap();
    path
}

fn shout(case: u128) -> Shout {
    Shout {
        case: CaseId(Uuid::from_u128(case)),
        violation: Violation::StreetVending,
        zone: "kerb".to_owned(),
        at: clock::now(),
    }
}

#[tokio::test]
async fn a_warning_is_charged_before_its_first_sound() {
    let mut room = Room::new(200, Budget::default());
    let report = room.warn(1).await;
    assert_eq!((report.failure, report.hushed), (None, None));
    assert_eq!(report.heard, Some(Heard::NoMicrophone));
    let lines = room.lines();
    let [(begun, charge), (played, told)] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert_eq!(
        (begun.as_str(), played.as_str()),
        (kind::WARNING_BEGUN, kind::WARNING_PLAYED)
    );
    for line in [charge, told] {
        assert_eq!(line["zone"], "kerb");
        assert_eq!(line["by"], "rule");
        assert_eq!(line["case"], json!(CaseId(Uuid::from_u128(1))));
        assert_eq!(line["clip_sha256"], report.clip_sha256.as_str());
    }
    let identity = Clip::read(&room.dir.path().join("identity.wav")).unwrap();
    assert_eq!(report.identity_sha256.as_deref(), Some(identity.sha256()));
    for line in [charge, told] {
        assert_eq!(line["identity_sha256"], identity.sha256());
    }
    assert_eq!(told["heard"]["heard"], "no_microphone");
    room.end().await;
}

#[tokio::test]
async fn over_its_budget_nothing_sounds_and_the_journal_says_why() {
    let budget = Budget {
        per_place_hour: 1,
        ..Budget::default()
    };
    let mut room = Room::new(200, budget);
    assert_eq!(room.warn(1).await.hushed, None);
    std::fs::remove_file(room.spoken()).unwrap();
    let report = room.warn(2).await;
    let why = "said 1 times at this place in an hour already";
    assert_eq!(report.hushed.as_deref(), Some(why));
    assert!(report.failure.is_some() && report.played.is_zero());
    assert_eq!(report.heard, Some(Heard::NotPlayed));
    assert!(!room.spoken().exists(), "the loudspeaker was not touched");
    let (kind, body) = room.lines().pop().unwrap();
    assert_eq!(kind, kind::WARNING_HUSHED);
    assert_eq!(body["why"], why);
    assert_eq!(room.state.lock().unwrap().hushed, 1);
    room.end().await;
}

#[tokio::test]
async fn a_stop_ends_the_sound_within_a_second_and_silences_the_rest() {
    let mut room = Room::new(20_000, Budget::default());
    room.shouts.send(shout(1)).await.unwrap();
    // The file grows once the sink plays.
    while std::fs::metadata(room.spoken()).map_or(0, |m| m.len()) < 10_000 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(room.state.lock().unwrap().speaking);
    let busy = room.speak("").await;
    assert_eq!(
        busy.failure.as_deref(),
        Some("something else is being said")
    );
    let asked = clock::now();
    let stopped = room.silence().await;
    assert!(stopped.sounded && stopped.journal_n.is_some());
    let took = clock::now().since(asked);
    assert!(took < Duration::from_secs(2), "{took:?}");
    let report = room.reports.recv().await.unwrap();
    assert_eq!(report.failure.as_deref(), Some("stopped before the end"));
    assert!(report.played > Duration::ZERO);
    assert_eq!(room.trouble(), (1, None), "no fault of the loudspeaker");

    let hushed = room.warn(2).await.hushed;
    assert_eq!(hushed.as_deref(), Some("stopped by officer-7"));
    let sha256 = report.clip_sha256;
    let ordered = room.speak(&sha256).await;
    assert_eq!(ordered.hushed.as_deref(), Some("stopped by officer-7"));
    let idle = room.silence().await;
    assert!(!idle.sounded);
    let shown = room.state.lock().unwrap().snapshot(clock::now());
    assert_eq!(shown["stopped_by"], "officer-7");
    assert!(shown["silent_secs"].as_u64() > Some(3_500), "{shown}");
    assert_eq!(
        room.kinds(),
        [
            kind::WARNING_BEGUN,
            kind::WARNING_STOPPED,
            kind::WARNING_FAILED,
            kind::WARNING_HUSHED,
            kind::WARNING_HUSHED,
            kind::WARNING_STOPPED,
        ]
    );
    room.end().await;
}

#[tokio::test]
async fn who_drives_off_does_not_go_on_shouting() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), 20_000, Budget::default(), false);
    config.telemetry.source = TelemetrySource::Gpsd;
    let mut room = Room::of(dir, &config, None);
    let drives = |speed_mps| Pose {
        speed_mps: Some(speed_mps),
        h_acc_mm: Some(1_000),
        ..Pose::bare(clock::now(), (0, 0), (FixKind::Full, PoseSource::Gpsd))
    };
    room.poses.put(drives(0.5));
    room.shouts.send(shout(1)).await.unwrap();
    while std::fs::metadata(room.spoken()).map_or(0, |m| m.len()) < 10_000 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    room.poses.put(drives(15.0));
    let report = room.reports.recv().await.unwrap();
    assert_eq!(
        report.failure.as_deref(),
        Some("the vehicle drives 54 km/h")
    );
    let cut = Duration::ZERO..Duration::from_secs(10);
    assert!(
        cut.contains(&report.played) && !report.played.is_zero(),
        "{report:?}"
    );
    assert_eq!(room.kinds(), [kind::WARNING_BEGUN, kind::WARNING_FAILED]);
    assert!(room.state.lock().unwrap().stops == 0, "nobody stopped it");
    assert_eq!(room.trouble(), (1, None), "no fault of the loudspeaker");
    room.end().await;
}

#[tokio::test]
async fn after_a_restart_the_status_says_who_stopped_it() {
    let room = Room::new(200, Budget::default());
    room.silence().await;
    let dir = room.end().await;
    let config = config(dir.path(), 200, Budget::default(), false);
    let mut room = Room::of(dir, &config, None);
    assert_eq!(
        room.warn(1).await.hushed.as_deref(),
        Some("stopped by officer-7")
    );
    let shown = room.state.lock().unwrap().snapshot(clock::now());
    assert_eq!(shown["stopped_by"], "officer-7");
    assert!(shown["silent_secs"].as_u64() > Some(3_500), "{shown}");
    assert_eq!(shown["stops"], 0, "in this run");
    let over = clock::now().shifted_ns(3_600_000_000_000);
    let shown = room.state.lock().unwrap().snapshot(over);
    assert_eq!(
        (&shown["stopped_by"], &shown["silent_secs"]),
        (&Value::Null, &Value::Null)
    );
    room.end().await;
}

#[tokio::test]
async fn a_stop_after_the_end_waits_for_no_microphone_and_cuts_nothing_off() {
    let dir = tempfile::tempdir().unwrap();
    let script = |text: &str| ["/bin/sh", "-c", text].map(ToOwned::to_owned).to_vec();
    let player = dir.path().join("player");
    let mut config = config(dir.path(), 200, Budget::default(), false);
    config.warn.speaker.kind = SpeakerKind::Command;
    config.warn.speaker.command = script(&format!(
        "echo $$ > {}; cat > /dev/null; sleep 0.3",
        player.display()
    ));
    // Twenty seconds of nothing: the clip would not be heard.
    config.warn.microphone.command = script("head -c 640000 /dev/zero; sleep 60");
    let mut room = Room::of(dir, &config, None);
    room.shouts.send(shout(1)).await.unwrap();
    let pid = loop {
        match std::fs::read_to_string(&player) {
            Ok(pid) if pid.ends_with('\n') => break pid,
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    // Until its end is known.
    while std::path::Path::new("/proc").join(pid.trim()).exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let stopped = room.silence().await;
    assert!(!stopped.sounded && stopped.journal_n.is_some());
    let report = room.reports.recv().await.unwrap();
    assert_eq!((report.failure, report.heard), (None, None));
    assert_eq!(report.played, Duration::from_millis(200));
    room.end().await;
}

/// A rule speaks to one zone, and the loudspeaker is heard in all of its own.
#[tokio::test]
async fn a_warning_keeps_to_the_hours_of_all_zones_in_which_it_is_heard() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), 200, Budget::default(), false);
    config.warn.hours = vec![at_most("gate-kerb", 0.0)];
    let mut room = Room::of(dir, &config, None);
    for (case, zone, silent) in [(1, "gate-walk", true), (2, "back-door", false)] {
        let shout = Shout {
            zone: zone.to_owned(),
            ..shout(case)
        };
        room.shouts.send(shout).await.unwrap();
        // Where no clock vouches for the hour it is for that reason.
        let report = room.reports.recv().await.unwrap();
        assert_eq!(report.hushed.is_some(), silent, "{zone}: {report:?}");
    }
    room.end().await;
}

#[tokio::test]
async fn a_person_has_a_clip_said_by_its_hash() {
    let room = Room::new(200, Budget::default());
    let none = room.speak("00").await;
    assert_eq!(none.failure.as_deref(), Some("this box has no such clip"));
    let sha256 = Clip::read(&room.dir.path().join("clip.wav")).unwrap();
    let said = room.speak(sha256.sha256()).await;
    assert_eq!((said.failure, said.hushed), (None, None));
    assert_eq!(said.played_ms, 200);
    let (_, body) = room.lines().pop().unwrap();
    assert_eq!(body["by"]["person"], "officer-7");
    assert_eq!(body["case"], Value::Null);
    room.end().await;
}

#[tokio::test]
async fn a_text_is_journalled_with_its_words() {
    let room = Room::new(200, Budget::default());
    let voice = room.voices.at(None).unwrap();
    let clip = voice.speak("请收摊").await.unwrap();
    let text = Words::Text(Arc::clone(&clip));
    let said = room.say(text, None).await;
    assert_eq!((said.failure, said.hushed), (None, None));
    assert_eq!(said.text.as_deref(), Some("请收摊"));
    assert_eq!(said.clip_sha256, clip.sha256());
    let played = u128::from(said.played_ms);
    assert!(
        played.abs_diff(clip.duration().as_millis()) <= 1,
        "{played}"
    );
    for (_, body) in room.lines() {
        assert_eq!(body["text"], "请收摊");
        assert_eq!(body["by"]["person"], "officer-7");
        assert_eq!(body["identity_sha256"], json!(said.identity_sha256));
    }
    room.end().await;
}

#[tokio::test]
async fn a_warning_comes_from_where_its_camera_looks() {
    let mut room = Room::new(200, Budget::default());
    let at_gate = Shout {
        zone: "gate-walk".to_owned(),
        ..shout(1)
    };
    let (main, gate) = (
        room.dir.path().join("spoken.wav"),
        room.dir.path().join("at-gate.wav"),
    );
    room.shouts.send(at_gate).await.unwrap();
    let report = room.reports.recv().await.unwrap();
    assert_eq!(report.failure, None);
    assert!(gate.is_file() && !main.exists());
    std::fs::remove_file(&gate).unwrap();
    assert_eq!(room.warn(2).await.failure, None);
    assert_eq!(room.speak(&report.clip_sha256).await.failure, None);
    assert!(main.is_file() && !gate.exists());
    let by_rule = &room.lines()[0].1;
    assert_eq!(by_rule.get("camera"), None);
    room.end().await;
}

/// A person may name a camera; one without a loudspeaker of its own has the one for all. The quietest
/// of the zones counts that this loudspeaker speaks to.
#[tokio::test]
async fn what_a_person_orders_comes_from_where_the_camera_looks_as_quietly_as_its_zones_ask() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), 200, Budget::default(), false);
    config.warn.hours = vec![at_most("gate-kerb", 0.2), at_most("back-door", 0.4)];
    let room = Room::of(dir, &config, None);
    let path = |name: &str| room.dir.path().join(name);
    let (main, gate, clip) = (path("spoken.wav"), path("at-gate.wav"), path("clip.wav"));
    let sha256 = Clip::read(&clip).unwrap().sha256().to_owned();
    let full = f64::from(peak(&clip));
    for (camera, heard, silent, volume) in [
        ("gate", &gate, &main, 0.2),
        ("yard", &main, &gate, 0.4),
        ("back", &main, &gate, 0.4),
    ] {
        drop((std::fs::remove_file(&main), std::fs::remove_file(&gate)));
        let clip = Words::Clip(sha256.clone());
        assert_eq!(room.say(clip, Some(camera)).await.failure, None);
        assert!(heard.is_file() && !silent.exists(), "{camera}");
        let peak = f64::from(peak(heard));
        assert!((peak - full * volume).abs() < 100.0, "{peak} of {full}");
        let lines = room.lines();
        let [.., (_, begun), (_, played)] = &lines[..] else {
            panic!("{lines:?}");
        };
        assert_eq!(
            (&begun["camera"], &played["camera"]),
            (&json!(camera), &json!(camera))
        );
    }
    room.end().await;
}

/// The largest sample of a WAV file.
fn peak(path: &std::path::Path) -> u16 {
    let wav = std::fs::read(path).unwrap();
    let samples = wav[44..].chunks_exact(2);
    let samples = samples.map(|b| i16::from_le_bytes([b[0], b[1]]).unsigned_abs());
    samples.max().unwrap()
}

#[tokio::test]
async fn a_tone_sounds_and_has_warned_nobody() {
    let (toots, mut called) = mpsc::channel::<(Duration, oneshot::Sender<Tooted>)>(1);
    let mut room = Room::with(200, Budget::default(), Some(toots));
    let why = room.voices.at(None).unwrap_err();
    assert!(why.contains("cannot speak"), "{why}");
    assert!(room.voices.at(Some("gate")).is_ok());
    let horn = tokio::spawn(async move {
        for failure in [None, Some("denied".to_owned())] {
            let (length, done) = called.recv().await.unwrap();
            let tooted = Tooted {
                began: Some(clock::now()),
                sounded: length,
                failure,
            };
            done.send(tooted).unwrap();
        }
    });
    for (case, expected) in [(1, kind::WARNING_TONE), (2, kind::WARNING_FAILED)] {
        let report = room.warn(case).await;
        let why = report.hushed.expect("a tone is no warning");
        assert!(why.contains("tells nobody what to do"), "{why}");
        assert!(report.failure.is_some());
        assert_eq!(
            (report.clip_sha256.as_str(), report.identity_sha256),
            ("", None)
        );
        let (told, body) = room.lines().pop().unwrap();
        assert_eq!(told, expected);
        assert_eq!(
            (&body["tone"], &body["played_ms"]),
            (&json!("relay"), &json!(2_000))
        );
    }
    horn.await.unwrap();
    room.end().await;
}

#[tokio::test]
async fn without_a_journal_warnings_go_on_and_still_count() {
    let budget = Budget {
        per_hour: 1,
        ..Budget::default()
    };
    let mut room = Room::new(200, budget);
    std::fs::remove_dir_all(room.dir.path().join("store")).unwrap();
    let report = room.warn(1).await;
    assert_eq!((report.failure, report.hushed), (None, None));
    assert!(room.warn(2).await.hushed.is_some());
    room.end().await;
}

#[test]
fn a_warning_without_room_is_reported_as_not_played_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (shouts, mut shouts_in) = mpsc::channel(1);
    let (reports, mut reports_in) = mpsc::channel(1);
    let mouthpiece = Mouthpiece::new(shouts, reports, store(dir.path()));
    mouthpiece.give(shout(1));
    mouthpiece.give(shout(2));
    let report = reports_in.try_recv().unwrap();
    assert_eq!(report.case, shout(2).case);
    assert_eq!(report.played, Duration::ZERO);
    assert!(report.failure.unwrap().contains("full"));
    assert!(report.journal_n.is_some());
    assert_eq!(shouts_in.try_recv().unwrap().case, shout(1).case);
    // While stopping it is journalled too, whether or not anybody still hears of it.
    drop(shouts_in);
    mouthpiece.give(shout(3));
    let report = reports_in.try_recv().unwrap();
    assert!(report.failure.unwrap().contains("stopping"));
    drop(reports_in);
    mouthpiece.give(shout(4));
    let mut told = Vec::new();
    let visit = &mut |line: crate::journal::Entry| told.push((line.kind, line.body));
    mouthpiece.store.walk_journal(visit).unwrap();
    told.retain(|(kind, _)| kind == kind::WARNING_FAILED);
    let cases: Vec<_> = told.iter().map(|(_, body)| &body["case"]).collect();
    let given = [2, 3, 4].map(|n| json!(shout(n).case));
    assert_eq!(cases, given.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn warnings_that_wait_when_the_daemon_stops_are_journalled_as_not_begun() {
    let mut room = Room::new(20_000, Budget::default());
    for n in 1..=3 {
        room.shouts.send(shout(n)).await.unwrap();
    }
    while !room.state.lock().unwrap().speaking {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    room.stop.cancel();
    (&mut room.running).await.unwrap();
    let lines = room.lines();
    let told = |n: u128| {
        let of = |(_, body): &&(String, Value)| body["case"] == json!(shout(n).case);
        let kinds = lines.iter().filter(of).map(|(kind, _)| kind.as_str());
        kinds.collect::<Vec<_>>()
    };
    assert_eq!(told(1), [kind::WARNING_BEGUN, kind::WARNING_FAILED]);
    for n in [2, 3] {
        assert_eq!(told(n), [kind::WARNING_FAILED], "{n}");
    }
    let (_, last) = lines.last().unwrap();
    let why = last["failure"].as_str().unwrap();
    assert!(why.contains("not begun"), "{why}");
}

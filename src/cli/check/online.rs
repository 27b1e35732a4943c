//! `lingmou check --online`: what answers only over a wire. Nothing is played.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::config::{self, CameraKind, Config, SpeakerKind};
use crate::ingest::{Camera, Credentials, DEVICE_BUSY, Phase, Slots};
use crate::link::{Endpoint, Pipe};
use crate::status::{self, StatusError};
use crate::telemetry::{self, Poses, TelemetryState};
use crate::warn::{self, Probed, Speaker};

use super::{CLIPS, Findings, Word, finding_at, nameplate};

/// How long a camera may take to show its first frame.
const CAMERA_WITHIN: Duration = Duration::from_secs(15);
/// How long a vehicle may take to be heard: it says that it is there once a second.
const VEHICLE_WITHIN: Duration = Duration::from_secs(5);
/// How often the state of either is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Cameras, broker, loudspeakers.
pub(super) async fn online(findings: &mut Findings<'_>) {
    let config = &findings.survey.loaded.config;
    cameras(findings).await;
    let keys = ["upload.host", "upload", "keys", "device.id", "store"];
    if config.upload.enabled && findings.may_see("broker", &keys) {
        add(findings, keys[0], "broker", uplink(config).await.into());
    }
    let outlets = config.warn.outlet.iter().enumerate().map(|(i, outlet)| {
        let what = format!("loudspeaker of {}", outlet.cameras.join(", "));
        (
            what,
            format!("warn.outlet[{i}].speaker"),
            config.warn.at(outlet),
        )
    });
    let main = (
        "loudspeaker".to_owned(),
        "warn.speaker".to_owned(),
        config.warn.clone(),
    );
    for (what, table, warn) in std::iter::once(main).chain(outlets) {
        let kind = warn.speaker.kind;
        let mut keys = vec![table.as_str()];
        match kind {
            SpeakerKind::None => {}
            SpeakerKind::Mavlink => keys.extend(["telemetry", "store.run_dir"]),
            _ => keys.extend(CLIPS),
        }
        if findings.may_see(&what, &keys) {
            let word = match kind {
                SpeakerKind::Mavlink => vehicle(config).await,
                _ => loudspeaker(&warn).await,
            };
            let key = format!("{table}.{}", named_by(kind));
            add(findings, &key, &what, word);
        }
    }
}

fn add(findings: &mut Findings<'_>, key: &str, what: &str, word: Word) {
    let found = finding_at(&findings.survey.loaded, key, what, word);
    findings.list.push(found);
}

async fn cameras(findings: &mut Findings<'_>) {
    let config = &findings.survey.loaded.config;
    let slots = Arc::new(Slots::new(config.camera.len()));
    for (index, camera) in config.camera.iter().enumerate() {
        let what = format!("camera {} live", camera.name);
        let table = format!("camera[{index}]");
        if !findings.may_see(&what, &[&table]) {
            continue;
        }
        let started = Credentials::read(camera).and_then(|secrets| {
            Camera::start(index, camera, secrets, Duration::ZERO, Arc::clone(&slots))
        });
        let (mut word, hears) = match started {
            Ok(live) => live_and_heard(&live, config).await,
            Err(error) => (Err(error.to_string()), None),
        };
        if word.as_ref().is_err_and(|why| why.ends_with(DEVICE_BUSY))
            && let Some(plays) = device_of_daemon(config, camera).await
        {
            word = Ok(plays);
        }
        let key = match camera.kind {
            CameraKind::Rtsp => "url",
            CameraKind::File | CameraKind::V4l2 => "path",
        };
        let plays = word.is_ok();
        add(findings, &format!("{table}.{key}"), &what, word.into());
        if let Some((key, word)) = hears {
            let what = format!("microphone of {}", camera.name);
            add(findings, &key, &what, word);
        }
        if plays && let Some(word) = nameplate::told(camera).await {
            let what = format!("camera {} says", camera.name);
            add(findings, &format!("{table}.serial"), &what, word);
        }
    }
}

/// A capture device that is in use, as the running daemon finds it: one program alone can have it.
async fn device_of_daemon(config: &Config, camera: &config::Camera) -> Option<String> {
    let status = status::ask(&config.store.run_dir).await.ok()?;
    let seen = &status["cameras"][&camera.name];
    let (width, height) = (&seen["main"]["width"], &seen["main"]["height"]);
    (seen["phase"] == "playing")
        .then(|| format!("the running daemon plays a camera of this name, {width}x{height}"))
}

/// Its first frame; and where it is a microphone, the key that says so, and whether it gives sound.
async fn live_and_heard(
    live: &Camera,
    config: &Config,
) -> (Result<String, String>, Option<(String, Word)>) {
    let frame = first_frame(live).await;
    let mut microphones = config.warn.microphones();
    let Some((table, _)) = microphones.find(|(_, at)| at.camera == live.name()) else {
        return (frame, None);
    };
    let word = match &frame {
        Ok(_) => Word::from(warn::gives_sound(live.listen()).await),
        // Its password may be wrong, and each try counts.
        Err(_) => Word::Untried("not listened to until the camera plays".to_owned()),
    };
    (frame, Some((format!("{table}.camera"), word)))
}

/// The key that says where a loudspeaker of this kind is.
fn named_by(kind: SpeakerKind) -> &'static str {
    match kind {
        SpeakerKind::None | SpeakerKind::Mavlink => "kind",
        SpeakerKind::Local => "device",
        SpeakerKind::File => "path",
        SpeakerKind::Command => "command",
        SpeakerKind::Http | SpeakerKind::Hikvision | SpeakerKind::Onvif => "url",
    }
}

async fn loudspeaker(config: &config::Warn) -> Word {
    let probed = match Speaker::open(config) {
        Ok(mut speaker) => speaker.probe().await,
        Err(error) => Err(error),
    };
    match probed {
        Ok(Probed::Ready(word)) => Word::Good(word),
        Ok(Probed::Untried(word)) => Word::Untried(word),
        Err(error) => Word::Wrong(error.to_string()),
    }
}

/// Whether the vehicle with the horn is heard: by the running daemon, which has its link, or by
/// listening for a while. The horn itself is left alone.
async fn vehicle(config: &Config) -> Word {
    let state = match status::ask(&config.store.run_dir).await {
        Ok(status) => return heard_by_daemon(&status["telemetry"]),
        Err(StatusError::NoDaemon { .. }) => Arc::new(TelemetryState::new()),
        Err(error) => return Word::Untried(format!("not listened for: {error}")),
    };
    let poses = Arc::new(Poses::new());
    let telemetry = config.telemetry.clone();
    let listening = telemetry::run(
        telemetry,
        None,
        poses,
        Arc::clone(&state),
        CancellationToken::new(),
    );
    let heard = async {
        while !state.snapshot().connected {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let heard = tokio::select! {
        heard = tokio::time::timeout(VEHICLE_WITHIN, heard) => heard.is_ok(),
        () = listening => false,
    };
    let seen = state.snapshot();
    if heard {
        let number = seen.sysid.map_or(String::new(), |id| format!(" {id}"));
        return Word::Good(format!(
            "vehicle{number} is heard; its horn was not sounded"
        ));
    }
    let cause = seen
        .cause
        .map_or(String::new(), |cause| format!(": {cause}"));
    Word::Wrong(format!(
        "no vehicle is heard at {} within {} s{cause}; check that it has power, and the link",
        config.telemetry.mavlink.address,
        VEHICLE_WITHIN.as_secs()
    ))
}

/// The same of the daemon that is running with this configuration.
fn heard_by_daemon(telemetry: &serde_json::Value) -> Word {
    if telemetry["connected"] == serde_json::Value::Bool(true) {
        return Word::Good(
            "the running daemon hears the vehicle; its horn was not sounded".to_owned(),
        );
    }
    let cause = telemetry["cause"].as_str().unwrap_or("no cause told");
    Word::Wrong(format!(
        "the running daemon does not hear the vehicle: {cause}"
    ))
}

async fn first_frame(camera: &Camera) -> Result<String, String> {
    let looking = async {
        loop {
            let state = camera.state();
            if state.phase == Phase::Playing && state.main.width > 0 {
                let main = &state.main;
                let size = format!("{}x{}", main.width, main.height);
                return Ok(match (main.codec, state.no_clip) {
                    (Some(codec), _) => format!("{} {size}", codec.name()),
                    (None, why) => format!("{size}, no clip: {}", why.unwrap_or_default()),
                });
            }
            if let (Phase::Failed | Phase::Stalled, Some(cause)) = (state.phase, state.cause) {
                return Err(cause);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let none = || Err(format!("no frame within {} s", CAMERA_WITHIN.as_secs()));
    tokio::time::timeout(CAMERA_WITHIN, looking)
        .await
        .unwrap_or_else(|_elapsed| none())
}

/// The broker, as the running daemon finds it. A second connection with this box's certificate would
/// throw the daemon out, so there is one only where none is running for certain.
async fn uplink(config: &Config) -> Result<String, String> {
    match status::ask(&config.store.run_dir).await {
        Ok(status) => running_upload(&status),
        Err(StatusError::NoDaemon { .. }) => broker(config).await,
        Err(error) => Err(error.to_string()),
    }
}

/// The upload of the daemon that is running with this configuration.
fn running_upload(status: &serde_json::Value) -> Result<String, String> {
    let upload = &status["upload"];
    if upload["connected"] == serde_json::Value::Bool(true) {
        return Ok("the running daemon is connected".to_owned());
    }
    let cause = upload["cause"].as_str().unwrap_or("no cause told");
    Err(format!("the running daemon is not connected: {cause}"))
}

/// A connection of this box's own: no daemon is running that it could throw out.
async fn broker(config: &Config) -> Result<String, String> {
    let pipe = Pipe::connect(&Endpoint::of(config), None)
        .await
        .map_err(|e| e.to_string())?;
    pipe.close().await;
    Ok(format!(
        "{}:{} accepts this box",
        config.upload.host, config.upload.port
    ))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_daemon_that_does_not_answer_keeps_its_connection() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.store.run_dir = dir.path().to_owned();
        let daemon = UnixListener::bind(dir.path().join("status.sock")).unwrap();
        let daemon = std::thread::spawn(move || {
            let (mut caller, _) = daemon.accept().unwrap();
            caller.write_all(b"busy").unwrap();
        });
        let word = uplink(&config).await.expect_err("nobody knows");
        daemon.join().unwrap();
        assert!(word.contains("does not answer"), "{word}");
    }
}

//! Checks of `[warn]`: loudspeaker, clips, how often and when it may speak.

use std::path::Path;

use super::Checker;
use super::camera::url_fault;
use crate::config::mistake::meant;
use crate::config::{
    CameraKind, Config, Day, Drive, Horn, Hours, Microphone, Span, Speaker, SpeakerKind,
    TelemetrySource, minute_of_day, secret_file,
};

pub(super) fn check(config: &Config, checker: &mut Checker<'_, '_>) {
    let warn = &config.warn;
    for (key, value) in [
        ("warn.volume", warn.volume),
        ("warn.margin_secs", warn.margin_secs),
        ("warn.speed_max_kmh", warn.speed_max_kmh),
        ("warn.stop_secs", warn.stop_secs),
    ] {
        checker.range(key, value);
    }
    let budget = &warn.budget;
    for (key, value) in [
        ("warn.budget.per_case", budget.per_case),
        ("warn.budget.per_place_hour", budget.per_place_hour),
        ("warn.budget.per_place_day", budget.per_place_day),
        ("warn.budget.per_hour", budget.per_hour),
        ("warn.budget.per_day", budget.per_day),
        ("warn.budget.per_night", budget.per_night),
    ] {
        checker.range(key, f64::from(value));
    }
    time(checker, "warn.quiet_from", &warn.quiet_from);
    time(checker, "warn.quiet_to", &warn.quiet_to);
    for (i, entry) in warn.hours.iter().enumerate() {
        hours(config, &format!("warn.hours[{i}]"), entry, checker);
    }
    speaker("warn", &warn.speaker, checker);
    for (at, listens) in warn.microphones() {
        microphone(config, &at, listens, checker);
    }
    outlets(config, checker);
    if warn.speaker.kind == SpeakerKind::Mavlink {
        horn(&warn.horn, config.telemetry.source, checker);
    }
    if !warn.plays_clips() {
        return;
    }
    // All are read at start, whichever rule is switched off.
    for (key, path) in [
        ("warn.identity", &warn.identity),
        ("warn.street_vending", &warn.street_vending),
        ("warn.out_of_store", &warn.out_of_store),
    ] {
        checker.file(key, path, "name the recorded warning, a WAV file");
    }
}

/// A program, or a camera that can be listened to.
fn microphone(config: &Config, at: &str, listens: &Microphone, checker: &mut Checker<'_, '_>) {
    program(checker, &format!("{at}.command"), &listens.command);
    let (key, name) = (format!("{at}.camera"), listens.camera.as_str());
    if name.is_empty() {
        return;
    }
    if !listens.command.is_empty() {
        checker.say(
            &key,
            "beside a command",
            "either a camera or a command",
            "remove the one that is not to listen",
        );
    }
    match config.camera.iter().find(|camera| camera.name == name) {
        None => no_camera(config, &key, name, checker),
        Some(camera) if camera.kind != CameraKind::Rtsp => checker.say(
            &key,
            format!("\"{name}\" is no network camera"),
            "a camera with kind = \"rtsp\"",
            "name another, or a command that listens",
        ),
        Some(_) => {}
    }
}

fn no_camera(config: &Config, key: &str, name: &str, checker: &mut Checker<'_, '_>) {
    let fix = match meant(name, config.camera.iter().map(|c| c.name.as_str())) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => "the name of a [[camera]]".to_owned(),
    };
    let what = format!("there is no camera \"{name}\"");
    checker.say(key, what, "names of cameras", fix);
}

/// The loudspeaker under the key `at`.
fn speaker(at: &str, speaker: &Speaker, checker: &mut Checker<'_, '_>) {
    let at = &format!("{at}.speaker");
    match speaker.kind {
        SpeakerKind::None | SpeakerKind::Local | SpeakerKind::Mavlink => {}
        SpeakerKind::File => {
            if speaker.path.as_os_str().is_empty() {
                checker.say(
                    &format!("{at}.path"),
                    "missing",
                    "the file that takes the sound, because kind = \"file\"",
                    "for example path = \"spoken.wav\"",
                );
            }
        }
        SpeakerKind::Command if speaker.command.is_empty() => checker.say(
            &format!("{at}.command"),
            "missing",
            "the program that plays, because kind = \"command\"",
            "for example command = [\"/usr/bin/aplay\", \"-q\", \"-\"]",
        ),
        SpeakerKind::Command => program(checker, &format!("{at}.command"), &speaker.command),
        SpeakerKind::Http => http(at, speaker, checker),
        SpeakerKind::Onvif => onvif(at, speaker, checker),
        SpeakerKind::Hikvision => hikvision(at, speaker, checker),
    }
}

/// Each is for cameras that are there and have no other, and is no horn: a vehicle has one.
fn outlets(config: &Config, checker: &mut Checker<'_, '_>) {
    let known: Vec<&str> = config.camera.iter().map(|c| c.name.as_str()).collect();
    let mut taken: Vec<&str> = Vec::new();
    for (i, outlet) in config.warn.outlet.iter().enumerate() {
        let at = format!("warn.outlet[{i}]");
        speaker(&at, &outlet.speaker, checker);
        if outlet.speaker.kind == SpeakerKind::Mavlink {
            checker.say(
                &format!("{at}.speaker.kind"),
                "a vehicle has one horn",
                "another kind",
                "make the horn [warn.speaker] kind = \"mavlink\"",
            );
        }
        let key = format!("{at}.cameras");
        if outlet.cameras.is_empty() {
            let fix = "name the cameras, or make it [warn.speaker]";
            checker.say(&key, "for no camera", "names of cameras", fix);
        }
        for camera in &outlet.cameras {
            if !known.contains(&camera.as_str()) {
                no_camera(config, &key, camera, checker);
            } else if taken.contains(&camera.as_str()) {
                let what = format!("\"{camera}\" has a loudspeaker already");
                let fix = "take it out of one of the tables";
                checker.say(&key, what, "each camera once", fix);
            }
            taken.push(camera);
        }
    }
}

/// What is wrong with an address of the web, said without repeating it: it may hold a password.
/// The path behind its host, otherwise.
pub(super) fn web(url: &str) -> Result<&str, &'static str> {
    let rest = ["http://", "https://"]
        .into_iter()
        .find_map(|scheme| url.strip_prefix(scheme));
    let rest = rest.ok_or("not an address of the web")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if host.is_empty() {
        return Err("without a host");
    }
    if host.contains('@') {
        return Err("with a user in it");
    }
    if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("with a blank in it");
    }
    Ok(path)
}

fn http(at: &str, speaker: &Speaker, checker: &mut Checker<'_, '_>) {
    if let Err(what) = web(&speaker.url) {
        checker.say(
            &format!("{at}.url"),
            what,
            "http://HOST/PATH or https://HOST/PATH, because kind = \"http\"",
            "for example \"http://192.168.1.70/axis-cgi/audio/transmit.cgi\"; user and \
             password_file are keys of their own",
        );
    }
    if !["POST", "PUT"].contains(&speaker.method.as_str()) {
        checker.say(
            &format!("{at}.method"),
            format!("\"{}\" is not known here", speaker.method),
            "POST or PUT",
            "method = \"POST\"",
        );
    }
    login(at, speaker, checker);
}

fn hikvision(at: &str, speaker: &Speaker, checker: &mut Checker<'_, '_>) {
    let what = match web(&speaker.url) {
        Ok("") => None,
        Ok(_) => Some("with a path in it"),
        Err(what) => Some(what),
    };
    if let Some(what) = what {
        checker.say(
            &format!("{at}.url"),
            what,
            "http://HOST or https://HOST, because kind = \"hikvision\"",
            "for example \"http://192.168.1.64\"; user and password_file are keys of their own",
        );
    }
    login(at, speaker, checker);
}

fn onvif(at: &str, speaker: &Speaker, checker: &mut Checker<'_, '_>) {
    let secure = speaker.url.starts_with("rtsps://");
    let what = url_fault(&speaker.url).or(secure.then_some("rtsps:// is not spoken here"));
    if let Some(what) = what {
        checker.say(
            &format!("{at}.url"),
            what,
            "rtsp://HOST/PATH, because kind = \"onvif\"",
            "the url of the camera's [[camera]] table; user and password_file are keys of their own",
        );
    }
    login(at, speaker, checker);
}

/// Files that need not be named, but if they are, must be there.
fn login(at: &str, speaker: &Speaker, checker: &mut Checker<'_, '_>) {
    for (name, path) in [
        ("password_file", &speaker.password_file),
        ("tls_roots", &speaker.tls_roots),
    ] {
        if !path.as_os_str().is_empty() {
            let fix = "name a file that is there, or leave it empty";
            checker.file(&format!("{at}.{name}"), &secret_file(path), fix);
        }
    }
}

/// What the vehicle is told must be sure to be a horn.
fn horn(horn: &Horn, source: TelemetrySource, checker: &mut Checker<'_, '_>) {
    /// The first eight outputs drive motors and rudders on most vehicles.
    const SERVOS: std::ops::RangeInclusive<u8> = 9..=16;
    const RELAYS: std::ops::RangeInclusive<u8> = 0..=15;
    if source != TelemetrySource::Mavlink {
        checker.say(
            "warn.speaker.kind",
            "there is no vehicle",
            "[telemetry] source = \"mavlink\", because kind = \"mavlink\"",
            "the horn is reached over the link that tells the position",
        );
    }
    checker.range("warn.horn.secs", horn.secs);
    match horn.drive {
        Drive::Relay if !RELAYS.contains(&horn.number) => checker.say(
            "warn.horn.number",
            format!("there is no relay {}", horn.number),
            "a relay's number, 0 to 15",
            "for example number = 0",
        ),
        Drive::Servo if !SERVOS.contains(&horn.number) => checker.say(
            "warn.horn.number",
            format!("output {} may drive a motor", horn.number),
            "a free output, 9 to 16",
            "for example number = 9, the first AUX output",
        ),
        Drive::Servo if horn.on_us == horn.off_us => checker.say(
            "warn.horn.off_us",
            "the same pulse sounds and silences it",
            "another number than on_us",
            "for example off_us = 1100",
        ),
        Drive::Servo => {
            checker.range("warn.horn.on_us", f64::from(horn.on_us));
            checker.range("warn.horn.off_us", f64::from(horn.off_us));
        }
        Drive::Tune => tune(&horn.tune, checker),
        Drive::Relay => {}
    }
}

fn tune(tune: &str, checker: &mut Checker<'_, '_>) {
    /// `PLAY_TUNE_V2` has room for it and its end.
    const BYTES_MAX: usize = 247;
    let plain = tune.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    if tune.is_empty() || tune.len() > BYTES_MAX || !plain {
        checker.say(
            "warn.horn.tune",
            format!("not a tune ({} bytes)", tune.len()),
            format!("1 to {BYTES_MAX} plain letters, digits and signs"),
            "for example tune = \"MFT120L4O3CGL2C\"",
        );
    }
}

/// A program that is there, by its whole path: what a service finds by name is not what a shell
/// finds.
pub(super) fn program(checker: &mut Checker<'_, '_>, key: &str, command: &[String]) {
    let Some(program) = command.first() else {
        return;
    };
    let login = |word: &String| {
        let host = word
            .split_once("://")
            .map(|(_, rest)| rest.split('/').next());
        host.flatten().is_some_and(|host| host.contains('@'))
    };
    if command.iter().any(login) {
        checker.say(
            key,
            "user and password in an address of it",
            "a command that everybody may read",
            "write the whole command into a script that only lingmou may read (chmod 700), and name \
             the script",
        );
    }
    let path = Path::new(program);
    if path.is_absolute() {
        checker.file(key, path, "install it, or correct its path");
    } else {
        checker.say(
            key,
            format!("\"{program}\" is not a whole path"),
            "a program by its whole path, then its arguments",
            format!("for example \"/usr/bin/{program}\""),
        );
    }
}

fn hours(config: &Config, table: &str, entry: &Hours, checker: &mut Checker<'_, '_>) {
    let key = |name: &str| format!("{table}.{name}");
    time(checker, &key("from"), &entry.from);
    time(checker, &key("to"), &entry.to);
    let known = minute_of_day(&entry.from).is_some() && minute_of_day(&entry.to).is_some();
    if known && Span::between(&entry.from, &entry.to).is_none() {
        checker.say(
            &key("to"),
            format!("\"{}\" is also the beginning", entry.to),
            "another time than from",
            "from = \"00:00\" and to = \"24:00\" are the whole day",
        );
    }
    checker.range(&key("volume"), entry.volume);
    for day in entry.days.iter().filter(|day| Day::parse(day).is_none()) {
        checker.say(
            &key("days"),
            format!("\"{day}\" is not a day"),
            "mon, tue, wed, thu, fri, sat, sun or YYYY-MM-DD",
            "for example days = [\"2027-06-07\", \"2027-06-08\"]",
        );
    }
    let known: Vec<&str> = config.zone.iter().map(|zone| zone.name.as_str()).collect();
    for zone in entry.zones.iter().filter(|z| !known.contains(&z.as_str())) {
        let fix = match meant(zone, known.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "the name of a [[zone]], or leave zones out for all".to_owned(),
        };
        let what = format!("there is no zone \"{zone}\"");
        checker.say(&key("zones"), what, "names of zones", fix);
    }
}

fn time(checker: &mut Checker<'_, '_>, key: &str, text: &str) {
    if minute_of_day(text).is_none() {
        checker.say(
            key,
            format!("\"{text}\" is not a time of day"),
            "HH:MM, from 00:00 to 24:00",
            "for example \"07:00\"",
        );
    }
}

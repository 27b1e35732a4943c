//! Checks of cameras and model.

use super::warn::web;
use super::{Checker, host_and_port, is_host};
use crate::config::{Camera, CameraKind, Config, RtspTransport, TelemetrySource};

pub(super) fn check(config: &Config, checker: &mut Checker<'_, '_>) {
    if config.camera.is_empty() {
        checker.say(
            "camera",
            "no camera",
            "at least one [[camera]] table",
            "add one; config/lingmou.toml shows how",
        );
    }
    for (i, camera) in config.camera.iter().enumerate() {
        one(camera, &format!("camera[{i}]"), checker);
        checker.range(
            &format!("camera[{i}].bearing_deg"),
            camera.bearing_deg.into(),
        );
        bearing(config, i, checker);
    }
    let names: Vec<&str> = config.camera.iter().map(|c| c.name.as_str()).collect();
    checker.unique(&names, |i| format!("camera[{i}].name"));
    model(config, checker);
    watch(config, checker);
}

fn one(camera: &Camera, key: &str, checker: &mut Checker<'_, '_>) {
    let key = |name: &str| format!("{key}.{name}");
    checker.name(&key("name"), &camera.name);
    match camera.kind {
        _ if checker.finder.is_spoilt(&key("kind")) => {}
        CameraKind::Rtsp => rtsp(camera, key, checker),
        CameraKind::File => checker.file(&key("path"), &camera.path, "name the recording"),
        CameraKind::V4l2 => {
            if camera.path.as_os_str().is_empty() {
                let fix = "for example path = \"/dev/video0\"";
                checker.say(
                    &key("path"),
                    "missing",
                    "the device, because kind = \"v4l2\"",
                    fix,
                );
            }
        }
    }
    checker.range(&key("detect_rate"), camera.detect_rate);
    checker.range(&key("stall_secs"), camera.stall_secs);
    clock_area(camera, &key("clock_area"), checker);
}

/// Only what stands looks to one bearing: its own, or of the only camera of a pole that of the survey.
fn bearing(config: &Config, i: usize, checker: &mut Checker<'_, '_>) {
    let camera = &config.camera[i];
    let on_pole = config.telemetry.source == TelemetrySource::Fixed;
    let alone = config.camera.len() == 1;
    let own = format!("camera[{i}].bearing_deg");
    if camera.bearing_deg >= 0.0 && !on_pole {
        return checker.say(
            &own,
            "a bearing, but the position is not that of a pole",
            "no bearing, or [telemetry] source = \"fixed\"",
            "remove it; a camera on a gimbal has mount = \"gimbal\"",
        );
    }
    let of_survey = on_pole && alone && config.telemetry.bearing_deg >= 0.0;
    for (key, told) in [
        (own.as_str(), camera.bearing_deg >= 0.0),
        ("telemetry.bearing_deg", of_survey),
    ] {
        if told && !config.is_fixed(camera) {
            checker.say(
                key,
                "a bearing, but the camera moves",
                "no bearing, or a camera with mount = \"fixed\"",
                "remove it: where a camera looks that pans nobody has surveyed",
            );
        }
    }
}

/// The clock's place must be a box in the picture.
fn clock_area(camera: &Camera, key: &str, checker: &mut Checker<'_, '_>) {
    let sound = match camera.clock_area[..] {
        [] => true,
        [x0, y0, x1, y1] => 0.0 <= x0 && x0 < x1 && x1 <= 1.0 && 0.0 <= y0 && y0 < y1 && y1 <= 1.0,
        _ => false,
    };
    if !sound {
        checker.say(
            key,
            format!("{:?} is not a part of the picture", camera.clock_area),
            "left, top, right, bottom, 0 to 1 from the top left; empty when there is no clock",
            "for example clock_area = [0.02, 0.02, 0.35, 0.08]",
        );
    }
}

/// The view's watch and the background's model.
fn watch(config: &Config, checker: &mut Checker<'_, '_>) {
    let guard = &config.guard;
    checker.range("guard.bad_secs", guard.bad_secs);
    checker.range("guard.good_secs", guard.good_secs);
    checker.range("guard.shift_max", guard.shift_max);
    checker.range("guard.frozen_secs", guard.frozen_secs);
    let background = &config.background;
    checker.range("background.still_secs", background.still_secs);
    checker.range("background.absorb_secs", background.absorb_secs);
}

fn rtsp(camera: &Camera, key: impl Fn(&str) -> String, checker: &mut Checker<'_, '_>) {
    url(&key("url"), &camera.url, checker);
    if !camera.substream_url.is_empty() {
        url(&key("substream_url"), &camera.substream_url, checker);
    }
    let has_password = !camera.password_file.as_os_str().is_empty();
    if has_password {
        let fix = "write the password, and nothing else, into that file and chmod it 600";
        checker.file(&key("password_file"), &camera.password_file, fix);
    }
    if !camera.tls_roots.as_os_str().is_empty() {
        let fix = "the root that issued the camera's certificate, or that certificate, as PEM";
        checker.file(&key("tls_roots"), &camera.tls_roots, fix);
    }
    let secure = |url: &str| url.starts_with("rtsps://");
    if camera.transport == RtspTransport::Udp
        && (secure(&camera.url) || secure(&camera.substream_url))
    {
        checker.say(
            &key("transport"),
            "udp would send the pictures beside the secure connection, for all to see",
            "\"tcp\" with rtsps://",
            "set transport = \"tcp\", or leave it out",
        );
    }
    let onvif = camera.onvif_url.as_str();
    if !["", Camera::NO_ONVIF].contains(&onvif)
        && let Err(what) = web(onvif)
    {
        checker.say(
            &key("onvif_url"),
            what,
            "http://HOST/PATH, \"none\", or empty: the camera's own address",
            "for example onvif_url = \"http://192.168.1.64:8000/onvif/device_service\"",
        );
    }
    if has_password && camera.user.is_empty() {
        checker.say(
            &key("user"),
            "missing",
            "the user the password belongs to",
            "add user = \"…\"",
        );
    }
}

/// Says what is wrong with an RTSP URL, without repeating a password in it.
fn url(key: &str, url: &str, checker: &mut Checker<'_, '_>) {
    let Some(what) = url_fault(url) else { return };
    let fix = if what.starts_with("user") {
        "set user = \"…\", write the password into a file of its own and set password_file = \"…\""
    } else {
        "for example url = \"rtsp://192.168.1.64:554/Streaming/Channels/101\""
    };
    checker.say(key, what, "rtsp://HOST/PATH or rtsps://HOST:PORT/PATH", fix);
}

/// What is wrong with an RTSP URL.
pub(super) fn url_fault(url: &str) -> Option<&'static str> {
    if url.is_empty() {
        return Some("missing");
    }
    let rest = ["rtsp://", "rtsps://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme));
    let Some(rest) = rest else {
        // Whatever it is, it may hold a password: it is not repeated.
        return Some("not an RTSP URL");
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    // A password with a slash in it moves its @ into the path.
    if authority.contains('@') || path.split('?').next().is_some_and(|p| p.contains('@')) {
        return Some("user and password in the URL");
    }
    let sound = is_host(authority) || host_and_port(authority).is_some();
    (!sound).then_some("no proper host in it")
}

fn model(config: &Config, checker: &mut Checker<'_, '_>) {
    let model = &config.model;
    checker.file(
        "model.card",
        &model.card,
        "name a model card, models/*.toml",
    );
    if !model.runtime.as_os_str().is_empty() {
        let fix = "run make setup, or leave it empty";
        checker.file("model.runtime", &model.runtime, fix);
    }
    let threads = u16::try_from(model.threads).unwrap_or(u16::MAX);
    checker.range("model.threads", f64::from(threads));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (text, wanted) in [
            ("rtsp://10.0.0.1/", None),
            ("rtsps://cam.local:322/a?b=c@d", None),
            ("rtsp://[fe80::1]:554/x", None),
            ("", Some("missing")),
            ("http://10.0.0.1/", Some("not an RTSP URL")),
            ("rtsp://", Some("no proper host in it")),
            ("rtsp://10.0.0.1:0/", Some("no proper host in it")),
            ("rtsp://u:p@10.0.0.1/", Some("user and password in the URL")),
            (
                "rtsp://u:p/w@10.0.0.1/",
                Some("user and password in the URL"),
            ),
        ] {
            assert_eq!(url_fault(text), wanted, "{text}");
        }
    }
}

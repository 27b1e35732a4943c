//! Checks of everything but cameras, model and zones.

use jiff::tz::TimeZone;

use super::{Checker, host_and_port, warn};
use crate::config::mistake::meant;
use crate::config::{
    Commands, Config, Evidence, Keys, MavlinkLink, Store, Suite, Telemetry, TelemetrySource,
    secret_file,
};

pub(super) fn check(config: &Config, checker: &mut Checker<'_, '_>) {
    checker.name("device.id", &config.device.id);
    let zone = &config.device.time_zone;
    if TimeZone::get(zone).is_err() {
        checker.say(
            "device.time_zone",
            format!("\"{zone}\" is not a time zone this box knows"),
            "an IANA name; the package tzdata must be installed",
            "for example \"Asia/Shanghai\"",
        );
    }
    checker.day("site.approval_until", &config.site.approval_until);
    keys(config, checker);
    warn::check(config, checker);
    telemetry(&config.telemetry, checker);
    evidence(&config.evidence, checker);
    c2pa(config.evidence.c2pa, cfg!(feature = "c2pa"), checker);
    store(&config.store, checker);
    commands(&config.commands, checker);
}

/// The certificates. Whoever loads the private keys says more about them.
fn keys(config: &Config, checker: &mut Checker<'_, '_>) {
    if config.keys.token.is_used() {
        token(&config.keys, checker);
    }
    let dir = &config.keys.dir;
    if !checker.seen("keys.dir", dir) {
        return;
    }
    if !dir.is_dir() {
        let what = format!("no such folder: {}", dir.display());
        let fix = "create the device's keys: lingmou enroll";
        return checker.absent(
            "keys.dir",
            what,
            "the folder with keys and certificates",
            fix,
        );
    }
    let mut wanted = vec!["evidence.crt"];
    if config.upload.enabled {
        wanted.extend(["transport.crt", "roots.crt"]);
    }
    for name in wanted {
        let fix = "put there what the bureau's certificate office returned";
        checker.file("keys.dir", &dir.join(name), fix);
    }
}

/// Where the evidence key is in a token.
fn token(keys: &Keys, checker: &mut Checker<'_, '_>) {
    const NAMED: &str = "the name the token or key was given";
    let token = &keys.token;
    if !cfg!(feature = "pkcs11") {
        return checker.say(
            "keys.token.module",
            "this program was built without PKCS#11",
            "a program built with the feature pkcs11",
            "install that one, or remove module and use a key file",
        );
    }
    if keys.suite == Suite::Sm2 {
        checker.say(
            "keys.suite",
            "\"sm2\" does not go with a token: PKCS#11 has no mechanism for it",
            "\"es256\" with a token, or a key file",
            "suite = \"es256\"",
        );
    }
    let fix = "install the driver of the token's maker";
    checker.file("keys.token.module", &token.module, fix);
    let none = |a: &str, b: &str| a.is_empty() && b.is_empty();
    if none(&token.label, &token.serial) {
        let fix = "label = \"…\" or serial = \"…\" (pkcs11-tool -L shows them)";
        checker.say("keys.token.label", "missing", NAMED, fix);
    }
    if none(&token.key_label, &token.key_id) {
        let fix = "key_label = \"evidence\"";
        checker.say("keys.token.key_label", "missing", NAMED, fix);
    }
    if token.key_id_bytes().is_none() {
        checker.say(
            "keys.token.key_id",
            format!("\"{}\" is not an identifier", token.key_id),
            "pairs of hexadecimal digits",
            "for example key_id = \"01\"",
        );
    }
    let fix = "write the PIN into a file of mode 0600 and name it";
    checker.file("keys.token.pin_file", &secret_file(&token.pin_file), fix);
}

fn telemetry(telemetry: &Telemetry, checker: &mut Checker<'_, '_>) {
    match telemetry.source {
        TelemetrySource::None => {}
        TelemetrySource::Fixed => fixed(telemetry, checker),
        TelemetrySource::Gpsd => {
            if host_and_port(&telemetry.gpsd).is_none() {
                checker.say(
                    "telemetry.gpsd",
                    format!("\"{}\" is not HOST:PORT", telemetry.gpsd),
                    "where gpsd listens, because source = \"gpsd\"",
                    "gpsd = \"127.0.0.1:2947\"",
                );
            }
        }
        TelemetrySource::Mavlink => mavlink(&telemetry.mavlink, checker),
    }
}

fn fixed(telemetry: &Telemetry, checker: &mut Checker<'_, '_>) {
    let (lat, lon) = (telemetry.lat, telemetry.lon);
    checker.range("telemetry.lat", lat);
    checker.range("telemetry.lon", lon);
    if lat == 0.0 && lon == 0.0 {
        checker.say(
            "telemetry.lat",
            "latitude and longitude are both 0, in the sea off Africa",
            "the surveyed position in WGS-84, because source = \"fixed\"",
            "set lat and lon; a position from a Chinese map (GCJ-02) must be converted first",
        );
    }
    if let Some(alt_m) = telemetry.alt_m {
        checker.range("telemetry.alt_m", alt_m);
    }
    checker.range("telemetry.accuracy_m", telemetry.accuracy_m);
    checker.range("telemetry.bearing_deg", telemetry.bearing_deg);
}

fn mavlink(link: &MavlinkLink, checker: &mut Checker<'_, '_>) {
    if let Err(what) = mavlink_address(&link.address) {
        checker.say(
            "telemetry.mavlink.address",
            what,
            "udpin:HOST:PORT, udpout:HOST:PORT, tcpin:HOST:PORT, tcpout:HOST:PORT or serial:DEVICE:BAUD",
            "for example \"udpin:0.0.0.0:14550\" or \"serial:/dev/ttyS1:921600\"",
        );
    }
    for (key, id) in [
        ("telemetry.mavlink.system_id", link.system_id),
        ("telemetry.mavlink.component_id", link.component_id),
    ] {
        checker.range(key, f64::from(id));
    }
    checker.range("telemetry.mavlink.rate_hz", link.rate_hz);
}

fn mavlink_address(address: &str) -> Result<(), String> {
    const KINDS: [&str; 5] = ["udpin", "udpout", "tcpin", "tcpout", "serial"];
    let (kind, rest) = address.split_once(':').unwrap_or((address, ""));
    if !KINDS.contains(&kind) {
        let hint = meant(kind, KINDS).map_or(String::new(), |k| format!("; did you mean {k}?"));
        return Err(format!("\"{kind}\" is no kind of link{hint}"));
    }
    let sound = if kind == "serial" {
        let parts = rest.rsplit_once(':');
        parts.is_some_and(|(device, baud)| {
            !device.is_empty() && baud.parse::<u32>().is_ok_and(|b| b > 0)
        })
    } else {
        host_and_port(rest).is_some()
    };
    if sound {
        Ok(())
    } else if kind == "serial" {
        Err(format!("\"{rest}\" is not DEVICE:BAUD"))
    } else {
        Err(format!("\"{rest}\" is not HOST:PORT"))
    }
}

fn evidence(evidence: &Evidence, checker: &mut Checker<'_, '_>) {
    checker.range("evidence.jpeg_quality", f64::from(evidence.jpeg_quality));
    for (key, value) in [
        ("evidence.clip_before_secs", evidence.clip_before_secs),
        ("evidence.clip_after_secs", evidence.clip_after_secs),
        ("evidence.best_of_secs", evidence.best_of_secs),
        ("evidence.spacing_min_secs", evidence.spacing_min_secs),
        ("evidence.displacement_min", evidence.displacement_min),
        ("evidence.focus_min", f64::from(evidence.focus_min)),
        ("evidence.exposure_min", f64::from(evidence.exposure_min)),
        ("evidence.exposure_max", f64::from(evidence.exposure_max)),
        ("evidence.clipped_max", evidence.clipped_max),
        (
            "evidence.subject_min_px",
            f64::from(evidence.subject_min_px),
        ),
        (
            "evidence.position_accuracy_max_m",
            evidence.position_accuracy_max_m,
        ),
        (
            "evidence.position_age_max_secs",
            evidence.position_age_max_secs,
        ),
        ("evidence.camera_shift_max", evidence.camera_shift_max),
        (
            "evidence.camera_similarity_min",
            evidence.camera_similarity_min,
        ),
    ] {
        checker.range(key, value);
    }
    if evidence.exposure_min >= evidence.exposure_max {
        checker.say(
            "evidence.exposure_min",
            format!("{} is not below exposure_max", evidence.exposure_min),
            "exposure_min below exposure_max",
            "leave both out for the defaults",
        );
    }
    for (key, path) in [
        ("evidence.font", &evidence.font),
        ("evidence.wording", &evidence.wording),
    ] {
        if !path.as_os_str().is_empty() {
            checker.file(
                key,
                path,
                "correct the path, or leave it empty for the built-in choice",
            );
        }
    }
}

/// `built_in`: whether the program was built with the Cargo feature `c2pa`.
fn c2pa(wanted: bool, built_in: bool, checker: &mut Checker<'_, '_>) {
    if wanted && !built_in {
        checker.say(
            "evidence.c2pa",
            "this program was built without C2PA",
            "false, or a program built with `cargo build --features c2pa`",
            "c2pa = false",
        );
    }
}

fn store(store: &Store, checker: &mut Checker<'_, '_>) {
    for (key, path) in [("store.dir", &store.dir), ("store.run_dir", &store.run_dir)] {
        if path.as_os_str().is_empty() {
            checker.say(
                key,
                "empty",
                "a folder",
                "leave the key out for the default",
            );
        }
    }
    checker.range("store.keep_free_mib", real(store.keep_free_mib));
    checker.range("store.quota_mib", real(store.quota_mib));
    checker.range("store.ballast_mib", real(store.ballast_mib));
    checker.range("store.keep_days", real(store.keep_days));
    let mirror = &store.mirror;
    if !mirror.as_os_str().is_empty()
        && (mirror.starts_with(&store.dir) || store.dir.starts_with(mirror))
    {
        checker.say(
            "store.mirror",
            format!("{} and [store] dir lie in each other", mirror.display()),
            "a folder on another medium",
            "for example mirror = \"/media/evidence\", or leave it empty for no second copy",
        );
    }
}

fn commands(commands: &Commands, checker: &mut Checker<'_, '_>) {
    checker.range("commands.trial_secs", real(commands.trial_secs));
    checker.range("commands.captures_per_day", real(commands.captures_per_day));
    warn::program(checker, "commands.reboot", &commands.reboot);
    checker.range("commands.objections_max", commands.objections_max);
    checker.range("commands.objections_back", commands.objections_back);
    let (least, window) = (commands.objections_least, commands.objections_window);
    checker.range("commands.objections_least", real(least));
    checker.range("commands.objections_window", real(window));
    if commands.objections_back >= commands.objections_max {
        checker.say(
            "commands.objections_back",
            "not below objections_max",
            "a smaller share than objections_max, or a rule would flutter",
            "for example objections_back = 0.1",
        );
    }
    if window < least {
        checker.say(
            "commands.objections_window",
            "smaller than objections_least",
            "at least objections_least, or nothing would ever change",
            format!("for example objections_window = {least}"),
        );
    }
}

/// A whole number for comparison; what 32 bits do not hold is out of every range.
pub(super) fn real(n: u64) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mavlink_addresses() {
        for (address, wanted) in [
            ("udpin:0.0.0.0:14550", Ok(())),
            ("tcpout:[::1]:5760", Ok(())),
            ("serial:/dev/ttyACM0:57600", Ok(())),
            ("serial:/dev/serial/by-id/usb-x:y:57600", Ok(())),
            (
                "udp:0.0.0.0:14550",
                Err("\"udp\" is no kind of link; did you mean udpin?"),
            ),
            ("udpin:0.0.0.0", Err("\"0.0.0.0\" is not HOST:PORT")),
            (
                "serial:/dev/ttyACM0",
                Err("\"/dev/ttyACM0\" is not DEVICE:BAUD"),
            ),
            ("", Err("\"\" is no kind of link")),
        ] {
            assert_eq!(
                mavlink_address(address),
                wanted.map_err(str::to_owned),
                "{address}"
            );
        }
    }
}

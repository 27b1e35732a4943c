//! Checks of the way to the broker.

use super::Checker;
use super::machine::real;
use crate::config::{Span, Upload};

pub(super) fn check(upload: &Upload, checker: &mut Checker<'_, '_>) {
    if upload.enabled {
        checker.host("upload.host", &upload.host);
        checker.range("upload.port", f64::from(upload.port));
    }
    checker.range("upload.keep_alive_secs", real(upload.keep_alive_secs));
    checker.range("upload.retry_max_secs", real(upload.retry_max_secs));
    for (key, value) in [
        ("upload.chunk_kib", upload.chunk_kib),
        ("upload.daily_budget_mib", upload.daily_budget_mib),
        ("upload.drain_kib_s", upload.drain_kib_s),
    ] {
        checker.range(key, f64::from(value));
    }
    checker.range("upload.drain_delay_secs", real(upload.drain_delay_secs));
    for hours in &upload.quiet_hours {
        if Span::parse(hours).is_none() {
            checker.say(
                "upload.quiet_hours",
                format!("\"{hours}\" is not a span of hours"),
                "HH:MM-HH:MM, in the time zone of device.time_zone",
                "for example quiet_hours = [\"22:00-06:00\"]",
            );
        }
    }
    interface(&upload.interface, checker);
}

/// A name as Linux takes it for a network interface; it may come and go, so that it need not be
/// there.
fn interface(name: &str, checker: &mut Checker<'_, '_>) {
    const LETTERS_MAX: usize = 15;
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | ':');
    if name.len() > LETTERS_MAX || !name.chars().all(plain) {
        checker.say(
            "upload.interface",
            format!("\"{name}\" is not the name of a network interface"),
            "a name as `ip link` shows it, or empty",
            "for example \"wwan0\"",
        );
    }
}

//! How large and how small each number may be.

/// The bounds of one key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Limit {
    /// The key, list indexes left out: `camera.stall_secs`.
    key: &'static str,
    /// Smallest value.
    pub(super) low: f64,
    /// Largest value.
    pub(super) high: f64,
    /// Unit, with a blank before it.
    pub(super) unit: &'static str,
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {}{}", self.low, self.high, self.unit)
    }
}

const DAY: f64 = 86_400.0;
const SECONDS: &str = " seconds";
const WIDTH: &str = " of the picture's width";

const fn limit(key: &'static str, low: f64, high: f64, unit: &'static str) -> Limit {
    Limit {
        key,
        low,
        high,
        unit,
    }
}

const LIMITS: &[Limit] = &[
    limit("camera.detect_rate", 0.1, 30.0, " a second"),
    limit("camera.stall_secs", 1.0, 600.0, SECONDS),
    limit(
        "camera.bearing_deg",
        -1.0,
        360.0,
        " degrees, -1 when unknown",
    ),
    limit("model.threads", 1.0, 64.0, ""),
    limit("guard.bad_secs", 1.0, 600.0, SECONDS),
    limit("guard.good_secs", 1.0, 600.0, SECONDS),
    limit("guard.shift_max", 0.01, 0.06, WIDTH),
    limit("guard.frozen_secs", 15.0, 3600.0, SECONDS),
    limit("background.still_secs", 2.0, 600.0, SECONDS),
    limit("background.absorb_secs", 60.0, 7.0 * DAY, SECONDS),
    limit("judge.street_vending.dwell_secs", 1.0, DAY, SECONDS),
    limit("judge.street_vending.grace_secs", 1.0, DAY, SECONDS),
    limit(
        "judge.street_vending.cool_down_secs",
        0.0,
        7.0 * DAY,
        SECONDS,
    ),
    limit(
        "judge.street_vending.attended_min",
        0.0,
        1.0,
        " of the time",
    ),
    limit("judge.street_vending.history_days", 0.0, 3650.0, " days"),
    limit("judge.out_of_store.history_days", 0.0, 3650.0, " days"),
    limit("zone.inertia", 0.0, 0.2, " of the picture"),
    limit("zone.margin", 0.0, 0.2, " of the picture"),
    limit("judge.out_of_store.dwell_secs", 1.0, DAY, SECONDS),
    limit("judge.out_of_store.grace_secs", 1.0, DAY, SECONDS),
    limit("judge.out_of_store.cool_down_secs", 0.0, 7.0 * DAY, SECONDS),
    limit("judge.spillage.within_secs", 0.1, 600.0, SECONDS),
    limit("judge.spillage.settle_secs", 0.1, 600.0, SECONDS),
    limit("judge.spillage.cool_down_secs", 0.0, 7.0 * DAY, SECONDS),
    limit("warn.volume", 0.0, 1.0, ""),
    limit("warn.margin_secs", 0.5, 60.0, SECONDS),
    limit("warn.speed_max_kmh", 0.0, 200.0, " km/h, 0 for any"),
    limit("warn.stop_secs", 60.0, 7.0 * DAY, SECONDS),
    limit("warn.hours.volume", 0.0, 1.0, ""),
    limit("warn.horn.secs", 0.2, 10.0, SECONDS),
    limit("warn.horn.on_us", 800.0, 2200.0, " microseconds"),
    limit("warn.horn.off_us", 800.0, 2200.0, " microseconds"),
    // A case ends when its warning failed three times: more would never be reached.
    limit("warn.budget.per_case", 1.0, 3.0, ""),
    limit("warn.budget.per_place_hour", 0.0, 60.0, ""),
    limit("warn.budget.per_place_day", 0.0, 500.0, ""),
    limit("warn.budget.per_hour", 0.0, 60.0, ""),
    limit("warn.budget.per_day", 0.0, 500.0, ""),
    limit("warn.budget.per_night", 0.0, 100.0, ""),
    limit("telemetry.lat", -90.0, 90.0, " degrees"),
    limit("telemetry.lon", -180.0, 180.0, " degrees"),
    limit("telemetry.alt_m", -500.0, 9000.0, " metres"),
    limit("telemetry.accuracy_m", 0.0, 1000.0, " metres"),
    limit(
        "telemetry.bearing_deg",
        -1.0,
        360.0,
        " degrees, -1 when unknown",
    ),
    limit("telemetry.mavlink.system_id", 1.0, 255.0, ""),
    limit("telemetry.mavlink.component_id", 1.0, 255.0, ""),
    limit("telemetry.mavlink.target_system", 0.0, 255.0, ""),
    limit("telemetry.mavlink.rate_hz", 0.1, 100.0, " a second"),
    limit("evidence.jpeg_quality", 1.0, 100.0, ""),
    limit("evidence.clip_before_secs", 0.0, 60.0, SECONDS),
    limit("evidence.clip_after_secs", 0.0, 60.0, SECONDS),
    limit("evidence.best_of_secs", 0.0, 2.0, SECONDS),
    limit(
        "evidence.spacing_min_secs",
        10.0,
        DAY,
        " seconds: pictures nearer in time do not show that something stands",
    ),
    limit("evidence.displacement_min", 0.01, 1.0, WIDTH),
    limit("evidence.focus_min", 0.0, 4000.0, ""),
    limit("evidence.exposure_min", 0.0, 255.0, ""),
    limit("evidence.exposure_max", 0.0, 255.0, ""),
    limit("evidence.clipped_max", 0.0, 1.0, ""),
    limit("evidence.subject_min_px", 1.0, 4000.0, " pixels"),
    limit("evidence.position_accuracy_max_m", 0.1, 1000.0, " metres"),
    limit("evidence.position_age_max_secs", 0.1, 60.0, SECONDS),
    limit("evidence.camera_shift_max", 0.001, 0.05, WIDTH),
    limit("evidence.camera_similarity_min", 0.1, 1.0, ""),
    limit(
        "store.keep_free_mib",
        16.0,
        1_048_576.0,
        " MiB: a full disk stops the whole system",
    ),
    limit(
        "store.quota_mib",
        0.0,
        1_073_741_824.0,
        " MiB, 0 for the whole disk",
    ),
    limit("store.ballast_mib", 0.0, 4096.0, " MiB, 0 for none"),
    limit("store.keep_days", 1.0, 3650.0, " days"),
    limit("upload.port", 1.0, 65_535.0, ""),
    limit("upload.keep_alive_secs", 5.0, 3600.0, SECONDS),
    limit("upload.retry_max_secs", 1.0, DAY, SECONDS),
    limit("upload.chunk_kib", 4.0, 1024.0, " KiB"),
    limit(
        "upload.daily_budget_mib",
        0.0,
        1_048_576.0,
        " MiB, 0 for no end",
    ),
    limit(
        "upload.drain_kib_s",
        0.0,
        1_048_576.0,
        " KiB a second, 0 for no limit",
    ),
    limit("upload.drain_delay_secs", 0.0, 3600.0, SECONDS),
    limit("commands.trial_secs", 10.0, 3600.0, SECONDS),
    limit("commands.captures_per_day", 0.0, 1000.0, ", 0 for none"),
    limit("commands.objections_max", 0.01, 1.0, ""),
    limit("commands.objections_back", 0.0, 1.0, ""),
    limit("commands.objections_least", 1.0, 10_000.0, " packages"),
    limit("commands.objections_window", 1.0, 10_000.0, " packages"),
];

/// The bounds of `key`, e.g. `camera[0].stall_secs`.
pub(super) fn limit_of(key: &str) -> Option<&'static Limit> {
    let plain: String = key
        .split('[')
        .map(|part| part.split_once(']').map_or(part, |(_, rest)| rest))
        .collect();
    LIMITS.iter().find(|l| l.key == plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_finds_its_bounds() {
        let text = |key| limit_of(key).map(ToString::to_string);
        assert_eq!(
            text("camera[12].stall_secs").as_deref(),
            Some("1 to 600 seconds")
        );
        assert_eq!(text("evidence.jpeg_quality").as_deref(), Some("1 to 100"));
        assert_eq!(text("evidence.font"), None);
    }
}

//! What the zones can give at best.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::clock;
use crate::config::{Config, TelemetrySource};
use crate::witness::{Condition, Law, Site, installation};

use super::{Finding, finding};

/// What packages of each zone can be worth at best: what the law asks of the installation is known
/// before the first.
pub(super) fn zones(config: &Config) -> impl Iterator<Item = Finding> {
    let zone = TimeZone::get(&config.device.time_zone).unwrap_or(TimeZone::UTC);
    let today = Timestamp::from_nanosecond(clock::now().utc_ns.into());
    let today = today.unwrap_or_default().to_zoned(zone).date();
    let judged = (config.zone.iter()).filter_map(|z| Some((z, z.kind.violation()?)));
    judged.map(move |(zone, violation)| {
        let site = Site::of(config, &zone.name);
        let law = Law::of(config.judge.law(violation));
        let conditions = installation(site.as_ref(), law.as_ref(), today);
        let missing = conditions.iter().filter(|c| c.pass != Some(true));
        let mut missing: Vec<String> = missing.map(unmet).collect();
        if config.telemetry.source == TelemetrySource::None {
            missing.push("[telemetry] source is \"none\"".to_owned());
        }
        let word = if violation.warns_first() && !speaks(config, &zone.camera) {
            "gives NOTHING: who cannot be warned there is not reported ([warn.speaker])".to_owned()
        } else if missing.is_empty() {
            "place, review and law are stated".to_owned()
        } else {
            format!("gives leads only, no evidence: {}", missing.join(", "))
        };
        finding(&format!("zone {}", zone.name), Ok::<_, String>(word))
    })
}

/// Whether the clips are played by the loudspeaker of this camera.
fn speaks(config: &Config, camera: &str) -> bool {
    let warn = &config.warn;
    let own = warn
        .outlet
        .iter()
        .find(|o| o.cameras.iter().any(|c| c == camera));
    own.map_or(&warn.speaker, |outlet| &outlet.speaker)
        .plays_clips()
}

fn unmet(condition: &Condition) -> String {
    let id = &condition.id;
    match &condition.value {
        None => format!("{id} not stated"),
        Some(value) => format!("{id} ({value}) does not suffice"),
    }
}

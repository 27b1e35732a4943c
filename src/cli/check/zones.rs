//! `lingmou check` on the zones: what their packages are worth, and which of them share ground.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Finding, finding};
use crate::clock;
use crate::config::{Config, Loaded, TelemetrySource};
use crate::witness::{Condition, Law, Site, installation};

/// What packages of each zone can be worth at best: what the law asks of the installation is known
/// before the first.
pub(super) fn worth(config: &Config) -> impl Iterator<Item = Finding> {
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
        missing.extend(unplaced(config));
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

/// What the configuration lacks for any package to state a position that suffices.
fn unplaced(config: &Config) -> Option<String> {
    let (telemetry, most) = (&config.telemetry, config.evidence.position_accuracy_max_m);
    match telemetry.source {
        TelemetrySource::None => Some("[telemetry] source is \"none\"".to_owned()),
        TelemetrySource::Fixed if telemetry.accuracy_m <= 0.0 => {
            Some("[telemetry] accuracy_m not stated".to_owned())
        }
        TelemetrySource::Fixed if telemetry.accuracy_m > most => Some(format!(
            "[telemetry] accuracy_m ({} m) does not suffice",
            telemetry.accuracy_m
        )),
        _ => None,
    }
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

/// Zones that share ground: judged as one there, and most likely drawn so by mistake.
pub(super) fn overlaps(loaded: &Loaded) -> impl Iterator<Item = Finding> {
    let zones = &loaded.config.zone;
    let pairs = (0..zones.len()).flat_map(|i| (0..i).map(move |n| (n, i)));
    let pairs = pairs.filter(|&(n, i)| zones[n].overlaps(&zones[i]));
    pairs.map(|(n, i)| {
        let (first, key) = (&zones[n].name, format!("zone[{i}].polygon"));
        let word = format!(
            "warning: {}: {key}: it overlaps with zone {first}: what stands in both is one case, of \
             {first}, and a permit for either covers it; draw the border between them once",
            loaded.place(&key)
        );
        finding(&format!("zone {}", zones[i].name), Ok::<_, String>(word))
    })
}

fn unmet(condition: &Condition) -> String {
    let id = &condition.id;
    match &condition.value {
        None => format!("{id} not stated"),
        Some(value) => format!("{id} ({value}) does not suffice"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_surveyed_place_says_how_far_it_may_be_off() {
        let lacks = |source, accuracy_m| {
            let mut config = Config::default();
            (config.telemetry.source, config.telemetry.accuracy_m) = (source, accuracy_m);
            config.evidence.position_accuracy_max_m = 20.0;
            unplaced(&config)
        };
        for (source, accuracy_m, told) in [
            (TelemetrySource::None, 0.5, Some("source is \"none\"")),
            (TelemetrySource::Fixed, 0.0, Some("accuracy_m not stated")),
            (TelemetrySource::Fixed, 0.5, None),
            (TelemetrySource::Fixed, 20.0, None),
            (
                TelemetrySource::Fixed,
                20.5,
                Some("accuracy_m (20.5 m) does not suffice"),
            ),
            // A receiver says it itself.
            (TelemetrySource::Gpsd, 0.0, None),
            (TelemetrySource::Mavlink, 0.0, None),
        ] {
            let told = told.map(|told| format!("[telemetry] {told}"));
            assert_eq!(lacks(source, accuracy_m), told, "{source:?} {accuracy_m}");
        }
    }

    #[test]
    fn zones_that_share_ground_are_named_with_their_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lingmou.toml");
        let zone = |name: &str, kind: &str, [x0, x1]: [f32; 2]| {
            format!(
                "[[zone]]\nname = \"{name}\"\nkind = \"{kind}\"\ncamera = \"cam0\"\n\
                 polygon = [[{x0}, 0.5], [{x1}, 0.5], [{x1}, 1.0], [{x0}, 1.0]]\n"
            )
        };
        let text = [
            "[[camera]]\nname = \"cam0\"\nurl = \"rtsp://h/\"\n[model]\ncard = \"card.toml\"\n",
            &zone("kerb", "no_vending", [0.0, 0.5]),
            &zone("corner", "no_vending", [0.4, 0.7]),
            &zone("beside", "no_vending", [0.7, 1.0]),
            &zone("shop", "shop_front", [0.0, 0.5]),
            &zone("mask", "private", [0.0, 0.5]),
        ];
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(text.concat().as_bytes()).unwrap();
        let loaded = Config::read_elsewhere(&path).unwrap();
        let told: Vec<Finding> = overlaps(&loaded).collect();
        let [one] = told.as_slice() else {
            panic!("one pair: {}", told.len())
        };
        assert_eq!(one.what, "zone corner");
        let word = one.word.as_ref().expect("a warning, no fault");
        let place = format!("warning: {}:15: zone[1].polygon: ", path.display());
        assert!(word.starts_with(&place), "{word}");
        assert!(word.contains("overlaps with zone kerb"), "{word}");
    }
}

//! `lingmou check` on the zones: what their packages are worth, which of them share ground, and what of
//! them does not work as it is written.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Finding, finding};
use crate::clock;
use crate::config::{Config, DetectOn, Loaded, TelemetrySource, ZoneKind};
use crate::types::{Role, RoleSet, Violation};
use crate::witness::{Condition, Law, Site, installation};

/// Looks a second on a road: a lorry of 8 m at 50 km/h then goes two thirds of its length between two, as far
/// as the tracker follows a box.
const ROAD_LOOKS_MIN: f64 = 2.6;

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
        let mute = mute(config, &zone.camera).filter(|_| violation.warns_first());
        let word = if let Some(why) = mute {
            format!("gives NOTHING: who cannot be warned there is not reported ({why})")
        } else if missing.is_empty() {
            "place, review and law are stated".to_owned()
        } else {
            format!("gives leads only, no evidence: {}", missing.join(", "))
        };
        finding(&format!("zone {}", zone.name), Ok::<_, String>(word))
    })
}

/// Why nobody is ever warned by this camera's loudspeaker.
fn mute(config: &Config, camera: &str) -> Option<&'static str> {
    if !speaks(config, camera) {
        return Some("[warn.speaker]");
    }
    let source = config.telemetry.source;
    let speed_matters = config.warn.speed_max_kmh > 0.0;
    let speed_unknown = source == TelemetrySource::None && config.is_moving();
    (speed_unknown && speed_matters).then_some(
        "a camera moves and nothing tells its speed: [telemetry] source, \"fixed\" where the box stands",
    )
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
        let whose = if zones[n].kind == zones[i].kind {
            format!("of {first}")
        } else {
            "of the zone whose rule finds it first".to_owned()
        };
        let word = format!(
            "warning: {}: {key}: it overlaps with zone {first}: what stands in both is one case, {whose}, \
             and a permit for either covers it; draw the border between them once",
            loaded.place(&key)
        );
        finding(&format!("zone {}", zones[i].name), Ok::<_, String>(word))
    })
}

/// Zones of two cameras that announce one place: nobody knows which of what they see is the same. Who is warned
/// in one of them is not warned in the other.
pub(super) fn shared_places(loaded: &Loaded) -> impl Iterator<Item = Finding> {
    let zones = &loaded.config.zone;
    let pairs = (0..zones.len()).flat_map(|i| (0..i).map(move |n| (n, i)));
    let pairs = pairs.filter(|&(n, i)| zones[n].shares_place(&zones[i]));
    pairs.map(|(n, i)| {
        let (first, key) = (&zones[n], format!("zone[{i}].public_id"));
        let warned = (zones[n].kind.violation()).is_some_and(Violation::warns_first);
        let what = if warned {
            "as long as there is a case in one, and until its place has rested, nobody is warned in the other; \
             where they see different ground, give each a public_id of its own, or leave it to [site]"
        } else {
            "what both cameras see is two cases; draw the border between them, in each picture"
        };
        let word = format!(
            "warning: {}: {key}: zone {} of camera {} announces the same place: {what}",
            loaded.place(&key),
            first.name,
            first.camera
        );
        finding(&format!("zone {}", zones[i].name), Ok::<_, String>(word))
    })
}

/// Shops at whose line a thing may tremble by less than their inertia says.
pub(super) fn wide_inertia(loaded: &Loaded) -> impl Iterator<Item = Finding> {
    let zones = loaded.config.zone.iter().enumerate();
    let wide = zones.filter(|(_, z)| !z.threshold.is_empty() && z.inertia > z.margin);
    wide.map(|(i, zone)| {
        let key = format!("zone[{i}].inertia");
        let word = format!(
            "warning: {}: {key}: {} is more than the margin, {}: at the threshold the margin counts; what \
             is behind the line is in the shop",
            loaded.place(&key),
            zone.inertia,
            zone.margin
        );
        finding(&format!("zone {}", zone.name), Ok::<_, String>(word))
    })
}

/// Road zones of cameras that are looked at so rarely that a lorry of ordinary speed is no track, and who
/// passes between two looks is not seen at all.
pub(super) fn slow_roads(loaded: &Loaded) -> impl Iterator<Item = Finding> {
    let config = &loaded.config;
    let roads = config.zone.iter().filter(|z| z.kind == ZoneKind::Road);
    let roads = roads.filter(|_| config.judge.spillage.enabled);
    roads.filter_map(|zone| {
        let camera = config.camera.iter().position(|c| c.name == zone.camera)?;
        let (key, told) = match &config.camera[camera] {
            c if c.detect_on == DetectOn::KeyFrames => {
                ("detect_on", "about one look a second".to_owned())
            }
            c if c.detect_rate < ROAD_LOOKS_MIN => {
                ("detect_rate", format!("{} looks a second", c.detect_rate))
            }
            _ => return None,
        };
        let key = format!("camera[{camera}].{key}");
        let word = format!(
            "warning: {}: {key}: {told} are too few for a road: a lorry at 50 km/h is not followed, and whoever \
             passes between two looks is not seen; detect_on = \"all\" and detect_rate = {ROAD_LOOKS_MIN} at least",
            loaded.place(&key)
        );
        Some(finding(&format!("zone {}", zone.name), Ok::<_, String>(word)))
    })
}

/// Permits for a zone that moves with its camera.
pub(super) fn roving_permits(loaded: &Loaded) -> impl Iterator<Item = Finding> {
    let config = &loaded.config;
    let roving = config.zone.iter().filter(|zone| !config.is_in_place(zone));
    let held = roving.map(|zone| {
        let permits = loaded.calendar.permits_in(&zone.name);
        let permits: Vec<&str> = permits.map(|(id, _)| id).collect();
        (&zone.name, permits)
    });
    let held = held.filter(|(_, permits)| !permits.is_empty());
    held.map(|(zone, permits)| {
        let word = format!(
            "warning: its camera moves, so what is permitted in it is permitted wherever the box is: {}",
            permits.join(", ")
        );
        finding(&format!("zone {zone}"), Ok::<_, String>(word))
    })
}

/// Permits that name a thing which is never seen in their zone, by a model that knows `known`: they cover
/// nothing there. A part of a stall is seen as a stall at least, and what is found before a background may be
/// what any permit is for.
pub(super) fn unseen_permits(loaded: &Loaded, known: RoleSet) -> impl Iterator<Item = Finding> {
    let config = &loaded.config;
    config.zone.iter().filter_map(move |zone| {
        let camera = config.camera.iter().find(|c| c.name == zone.camera);
        let camera = camera.filter(|camera| !config.has_background(camera))?;
        let stall = Some(Role::Stall).filter(|_| zone.kind == ZoneKind::NoVending);
        let seen: RoleSet = known.iter().chain(stall).collect();
        let permits = loaded.calendar.permits_in(&zone.name);
        let blind = permits.filter(|(_, roles)| !roles.is_empty() && !roles.meets(seen));
        let told = |(id, roles): (&str, RoleSet)| {
            format!("{id} ({roles})")
        };
        let told: Vec<String> = blind.map(told).collect();
        let word = format!(
            "warning: of what these permits name nothing can be seen before camera {}, so they cover nothing: \
             {}; name roles of the model, or none",
            camera.name,
            told.join("; ")
        );
        let found = finding(&format!("zone {}", zone.name), Ok::<_, String>(word));
        (!told.is_empty()).then_some(found)
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
    use std::path::Path;

    use super::super::Word;
    use super::*;

    fn put(path: &Path, text: &str) {
        let mut file = std::fs::File::create(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// A configuration of one camera and one zone, with a permit for it.
    fn loaded(mount: &str, source: &str) -> Loaded {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| put(&dir.path().join(name), text);
        write(
            "calendar.toml",
            "[[permit]]\nid = \"P-1\"\nzones = [\"kerb\"]\n",
        );
        let text = format!(
            "[[camera]]\nname = \"cam0\"\nurl = \"rtsp://h/\"\nmount = \"{mount}\"\n\
             [model]\ncard = \"card.toml\"\n[judge]\ncalendar = \"calendar.toml\"\n\
             [telemetry]\nsource = \"{source}\"\ngpsd = \"127.0.0.1:2947\"\n[warn.speaker]\nkind = \"local\"\n\
             [[zone]]\nname = \"kerb\"\nkind = \"no_vending\"\ncamera = \"cam0\"\n\
             polygon = [[0.0, 0.5], [1.0, 0.5], [1.0, 1.0], [0.0, 1.0]]\n"
        );
        write("lingmou.toml", &text);
        Config::read_elsewhere(&dir.path().join("lingmou.toml")).unwrap()
    }

    fn good(found: Finding) -> String {
        match found.word {
            Word::Good(word) => word,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_moves_is_told_that_it_warns_nobody_and_permits_everywhere() {
        for (mount, source, mute, everywhere) in [
            ("auto", "none", false, false),
            ("fixed", "none", false, false),
            ("moving", "none", true, true),
            ("moving", "gpsd", false, true),
            ("auto", "gpsd", false, true),
        ] {
            let loaded = loaded(mount, source);
            let told = |mut findings: Vec<Finding>| findings.pop().map(good);
            let worth = told(worth(&loaded.config).collect()).unwrap();
            let nothing = worth.starts_with("gives NOTHING") && worth.contains("its speed");
            assert_eq!(nothing, mute, "{mount} {source}: {worth}");
            let permits = told(roving_permits(&loaded).collect());
            let named = permits
                .as_ref()
                .is_some_and(|word| word.ends_with("the box is: P-1"));
            assert_eq!(named, everywhere, "{mount} {source}: {permits:?}");
        }
    }

    #[test]
    fn a_permit_for_what_nobody_can_see_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let zone = |name: &str, kind: &str| {
            format!(
                "[[zone]]\nname = \"{name}\"\nkind = \"{kind}\"\ncamera = \"cam0\"\n\
                 polygon = [[0.0, 0.5], [1.0, 0.5], [1.0, 1.0], [0.0, 1.0]]\n"
            )
        };
        let known: RoleSet = [Role::Umbrella, Role::Person].into_iter().collect();
        for (roles, background, named) in [
            ("[\"furniture\"]", false, &["zone kerb", "zone shop"][..]),
            ("[\"stall\"]", false, &["zone shop"]),
            ("[\"stall\", \"umbrella\"]", false, &[]),
            ("[]", false, &[]),
            ("[\"furniture\"]", true, &[]),
        ] {
            let permit = format!(
                "[[permit]]\nid = \"P-1\"\nzones = [\"kerb\", \"shop\"]\nroles = {roles}\n"
            );
            put(&dir.path().join("calendar.toml"), &permit);
            let text = format!(
                "[[camera]]\nname = \"cam0\"\nurl = \"rtsp://h/\"\nmount = \"fixed\"\n\
                 [model]\ncard = \"card.toml\"\n[judge]\ncalendar = \"calendar.toml\"\n\
                 [background]\nenabled = {background}\n{}{}",
                zone("kerb", "no_vending"),
                zone("shop", "shop_front")
            );
            put(&dir.path().join("lingmou.toml"), &text);
            let loaded = Config::read_elsewhere(&dir.path().join("lingmou.toml")).unwrap();
            let told: Vec<Finding> = unseen_permits(&loaded, known).collect();
            let zones: Vec<&str> = told.iter().map(|found| found.what.as_str()).collect();
            assert_eq!(zones, named, "{roles} {background}");
            for found in told {
                let word = good(found);
                assert!(word.contains("cover nothing: P-1 ("), "{word}");
            }
        }
    }

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
    fn a_road_that_is_looked_at_too_rarely_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lingmou.toml");
        for (camera, rule, key) in [
            ("detect_rate = 2.6", "", None),
            ("detect_rate = 2.5", "", Some("camera[0].detect_rate")),
            (
                "detect_on = \"key_frames\"",
                "",
                Some("camera[0].detect_on"),
            ),
            ("detect_on = \"key_frames\"", "enabled = false", None),
        ] {
            let text = format!(
                "[[camera]]\nname = \"cam0\"\nurl = \"rtsp://h/\"\n{camera}\n[model]\ncard = \"card.toml\"\n\
                 [judge.spillage]\n{rule}\n[[zone]]\nname = \"lane\"\nkind = \"road\"\ncamera = \"cam0\"\n\
                 polygon = [[0.0, 0.5], [1.0, 0.5], [1.0, 1.0], [0.0, 1.0]]\n"
            );
            put(&path, &text);
            let loaded = Config::read_elsewhere(&path).unwrap();
            let told: Vec<String> = slow_roads(&loaded).map(good).collect();
            let named = told
                .iter()
                .any(|word| key.is_some_and(|key| word.contains(key)));
            assert_eq!(
                (told.len(), named),
                (usize::from(key.is_some()), key.is_some()),
                "{camera} {rule}: {told:?}"
            );
        }
    }

    #[test]
    fn an_inertia_beyond_the_margin_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lingmou.toml");
        for (margin, line, named) in [
            ("0.0", "threshold = [[0.2, 0.6], [0.8, 0.6]]\n", true),
            ("0.01", "threshold = [[0.2, 0.6], [0.8, 0.6]]\n", false),
            ("0.0", "", false),
        ] {
            let text = format!(
                "[[camera]]\nname = \"cam0\"\nurl = \"rtsp://h/\"\n[model]\ncard = \"card.toml\"\n\
                 [[zone]]\nname = \"shop\"\nkind = \"shop_front\"\ncamera = \"cam0\"\nmargin = {margin}\n{line}\
                 polygon = [[0.0, 0.5], [1.0, 0.5], [1.0, 1.0], [0.0, 1.0]]\n"
            );
            put(&path, &text);
            let loaded = Config::read_elsewhere(&path).unwrap();
            let told: Vec<String> = wide_inertia(&loaded).map(good).collect();
            assert_eq!(!told.is_empty(), named, "{margin} {line}: {told:?}");
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
        put(&path, &text.concat());
        let loaded = Config::read_elsewhere(&path).unwrap();
        let told = overlaps(&loaded).map(|found| (found.what.clone(), good(found)));
        let told: Vec<(String, String)> = told.collect();
        let place = format!("warning: {}:15: zone[1].polygon: ", path.display());
        assert!(told[0].1.starts_with(&place), "{told:?}");
        let first = "of the zone whose rule finds it first";
        for ((what, word), (zone, other, whose)) in told.iter().zip([
            ("zone corner", "kerb", "of kerb"),
            ("zone shop", "kerb", first),
            ("zone shop", "corner", first),
        ]) {
            assert_eq!(what, zone);
            let named =
                format!("overlaps with zone {other}: what stands in both is one case, {whose}, ");
            assert!(word.contains(&named), "{word}");
        }
        assert_eq!(told.len(), 3, "{told:?}");
    }

    #[test]
    fn zones_of_two_cameras_that_announce_one_place_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lingmou.toml");
        for ([first, second], kind, named) in [
            (["P-7", "P-7"], "no_vending", true),
            (["P-7", "P-7"], "shop_front", true),
            (["P-7", "P-7"], "road", false),
            (["P-7", ""], "no_vending", false),
            (["P-7", "P-8"], "no_vending", false),
            (["", ""], "no_vending", false),
        ] {
            let camera =
                |name: &str| format!("[[camera]]\nname = \"{name}\"\nurl = \"rtsp://{name}/\"\n");
            let zone = |name: &str, camera: &str, kind: &str, id: &str| {
                format!(
                    "[[zone]]\nname = \"{name}\"\nkind = \"{kind}\"\ncamera = \"{camera}\"\npublic_id = \"{id}\"\n\
                     polygon = [[0.0, 0.5], [1.0, 0.5], [1.0, 1.0], [0.0, 1.0]]\n"
                )
            };
            let text = [
                camera("east"),
                camera("west"),
                "[model]\ncard = \"card.toml\"\n".to_owned(),
                zone("kerb", "east", "no_vending", first),
                zone("corner", "west", kind, second),
            ];
            put(&path, &text.concat());
            let loaded = Config::read_elsewhere(&path).unwrap();
            let told: Vec<String> = shared_places(&loaded).map(good).collect();
            let found = told
                .iter()
                .any(|word| word.contains("zone kerb of camera east"));
            assert_eq!(
                (told.len(), found),
                (usize::from(named), named),
                "{kind} {first} {second}: {told:?}"
            );
        }
    }
}

//! Checks of the rules' limits.

use super::Checker;
use crate::config::{Background, Config, DetectOn, FirstTime, Zone, ZoneKind};
use crate::types::Role;

/// A warning, and the looks at what became of it, take this long besides the grace time, seconds.
const WARNED_SECS: f64 = 30.0;
/// The second look waits so long for a picture in which something changes (decision 0059), seconds.
const LIVES_WITHIN_SECS: f64 = 1800.0;

pub(super) fn check(config: &Config, checker: &mut Checker<'_, '_>) {
    let judge = &config.judge;
    let (vending, shop) = (&judge.street_vending, &judge.out_of_store);
    let remind = |first: FirstTime| first == FirstTime::Remind;
    for (rule, enabled, roles, [dwell, grace, cool_down], history) in [
        (
            "street_vending",
            vending.enabled,
            &vending.roles,
            [
                vending.dwell_secs,
                vending.grace_secs,
                vending.cool_down_secs,
            ],
            (remind(vending.first_time), vending.history_days),
        ),
        (
            "out_of_store",
            shop.enabled,
            &shop.roles,
            [shop.dwell_secs, shop.grace_secs, shop.cool_down_secs],
            (remind(shop.first_time), shop.history_days),
        ),
    ] {
        let key = |name: &str| format!("judge.{rule}.{name}");
        if enabled && roles.is_empty() {
            checker.say(
                &key("roles"),
                "empty: the rule would never see anything",
                "at least one role",
                "name roles, or set enabled = false",
            );
        }
        checker.range(&key("dwell_secs"), dwell);
        checker.range(&key("grace_secs"), grace);
        checker.range(&key("cool_down_secs"), cool_down);
        checker.range(&key("history_days"), history.1.into());
        if history == (true, 0) {
            checker.say(
                &key("first_time"),
                "\"remind\" with history_days = 0: every time would be the first",
                "a history to tell the first time from the second",
                "history_days = 365, or first_time = \"record\"",
            );
        }
    }
    checker.range("judge.street_vending.attended_min", vending.attended_min);
    let spillage = &judge.spillage;
    for (key, value) in [
        ("judge.spillage.within_secs", spillage.within_secs),
        ("judge.spillage.settle_secs", spillage.settle_secs),
        ("judge.spillage.cool_down_secs", spillage.cool_down_secs),
    ] {
        checker.range(key, value);
    }
    for zone in &config.zone {
        let camera = config.camera.iter().position(|c| c.name == zone.camera);
        if let Some(camera) = camera {
            in_time(config, (zone, camera), checker);
        }
    }
    if !judge.calendar.as_os_str().is_empty() {
        let fix = "config/calendar.toml shows how it is written; empty: no calendar";
        checker.file("judge.calendar", &judge.calendar, fix);
    }
}

/// What is judged in a zone must have the time for it: before what only the background sees is taken for the
/// street, and between two looks.
fn in_time(config: &Config, (zone, index): (&Zone, usize), checker: &mut Checker<'_, '_>) {
    let camera = &config.camera[index];
    let (judge, background) = (&config.judge, &config.background);
    let (vending, shop, spillage) = (&judge.street_vending, &judge.out_of_store, &judge.spillage);
    let object = |usual: &[Role]| {
        let roles = if zone.roles.is_empty() {
            usual
        } else {
            &zone.roles
        };
        roles.contains(&Role::Object)
    };
    let takes = match zone.kind {
        ZoneKind::NoVending if vending.enabled && object(&vending.roles) => {
            vending.dwell_secs + vending.grace_secs + WARNED_SECS + LIVES_WITHIN_SECS
        }
        ZoneKind::ShopFront if shop.enabled && object(&shop.roles) => {
            shop.dwell_secs + shop.grace_secs + WARNED_SECS + LIVES_WITHIN_SECS
        }
        ZoneKind::Road if spillage.enabled => spillage.settle_secs + WARNED_SECS,
        _ => return,
    };
    let needs = (background.still_secs + takes).ceil();
    if config.has_background(camera) && background.absorb_secs < needs {
        checker.say(
            "background.absorb_secs",
            format!(
                "what stands in zone {} would be taken for the street before it is judged",
                zone.name
            ),
            format!("at least {needs} s: still_secs, and what the rule waits for"),
            format!("absorb_secs = {needs:.1}"),
        );
    }
    let slow = camera.detect_rate * Background::APART_SECS < 1.0;
    if zone.kind == ZoneKind::Road && config.has_background(camera) && slow {
        checker.say(
            &format!("camera[{index}].detect_rate"),
            format!(
                "what the background finds in zone {} would be told from the street too late to lay it to a truck",
                zone.name
            ),
            format!(
                "at least {:.1}, a look every {} s",
                1.0 / Background::APART_SECS,
                Background::APART_SECS
            ),
            "a higher detect_rate, or [background] enabled = false",
        );
    }
    let looks = camera.detect_rate * spillage.within_secs;
    if zone.kind == ZoneKind::Road && camera.detect_on == DetectOn::All && looks < 1.0 {
        checker.say(
            "judge.spillage.within_secs",
            format!(
                "camera {} is looked at more rarely: nothing is ever seen so soon behind a truck",
                camera.name
            ),
            format!("at least {:.1} s, one look", 1.0 / camera.detect_rate),
            "a longer time, or a higher detect_rate",
        );
    }
}

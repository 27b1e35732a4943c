//! Checks of the rules' limits.

use super::Checker;
use crate::config::{Config, FirstTime};

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
    if !judge.calendar.as_os_str().is_empty() {
        let fix = "config/calendar.toml shows how it is written; empty: no calendar";
        checker.file("judge.calendar", &judge.calendar, fix);
    }
}

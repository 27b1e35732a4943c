//! What in the status needs a person.

use serde_json::Value;

use crate::clock;

/// A certificate that ends in fewer days is an alarm: a third of the 90 days that those for the
/// connection commonly have.
const RENEW_DAYS: i64 = 30;

/// Packages ask for a clock that is no more wrong than this, microseconds.
const CLOCK_ERROR_MAX_US: u64 = 1_000_000;

/// A camera's times are an alarm when they were too unsure for evidence for this long, seconds: after a
/// connection and after a pause on the way they are for a moment.
const UNSURE_SECS: u64 = 60;

/// A connection on which nobody takes a package for this long is an alarm, seconds: a receiver may
/// start anew meanwhile.
const UNTAKEN_SECS: u64 = 600;

/// So is one on which packages wait and no receipt came for this long, milliseconds.
const UNRECEIPTED_MS: i64 = 24 * 60 * 60 * 1000;

/// And then also where connections come and go, and for [`UNTAKEN_SECS`] none holds for that long,
/// milliseconds.
const NEVER_MS: i64 = 3 * UNRECEIPTED_MS;

/// Something that needs a person.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alarm {
    /// What it is about: `clock`, `camera NAME`, `store`, `upload` ….
    pub name: String,
    /// What is wrong, in words.
    pub text: String,
}

impl Alarm {
    /// What tells it from another: its words without their numbers, for those count on while it is the
    /// same alarm.
    pub fn kind(&self) -> (String, String) {
        let words = self.text.split(|c: char| c.is_ascii_digit());
        let words: Vec<&str> = words.filter(|part| !part.is_empty()).collect();
        (self.name.clone(), words.join("#"))
    }
}

/// Everything in `status` that needs a person; empty while all is well.
pub fn alarms(status: &Value) -> Vec<Alarm> {
    let mut alarms = Alarms(Vec::new());
    alarms.clock(&status["clock"]);
    // A clock that may be wrong makes every camera's times unsure, and has said so.
    let clock_is_sure = alarms.0.is_empty();
    alarms.satellites(status);
    if let Some(why) = status["held"].as_str() {
        alarms.raise(
            "evidence certificate",
            format!("{why}; until then nothing is judged, nobody is warned and nothing is signed"),
        );
    }
    alarms.certificates(&status["certificates"]);
    alarms.told("roots and lists", &status["roots_trouble"]);
    for (name, camera) in status["cameras"].as_object().into_iter().flatten() {
        alarms.camera(name, camera);
        if clock_is_sure {
            alarms.times(name, camera);
        }
    }
    if status["voice"]["hour_unknown"] == Value::Bool(true) {
        let why = "nobody is warned: there are quiet hours, and the clock does not tell the hour";
        alarms.raise("loudspeaker", why);
    }
    alarms.told("loudspeaker", &status["voice"]["trouble"]);
    if status["voice"]["unheard"] == Value::Bool(true) {
        let why = "did not tell whether the last warning was heard; such packages are leads";
        alarms.raise("microphone", why);
    }
    alarms.position(&status["telemetry"]);
    alarms.store(status);
    alarms.upload(status);
    alarms.objections(&status["objections"]["rules"]);
    alarms.0
}

struct Alarms(Vec<Alarm>);

impl Alarms {
    fn raise(&mut self, name: &str, text: impl Into<String>) {
        self.0.push(Alarm {
            name: name.to_owned(),
            text: text.into(),
        });
    }

    /// A trouble the daemon words itself; `null` while there is none.
    fn told(&mut self, name: &str, why: &Value) {
        if let Some(why) = why.as_str() {
            self.raise(name, why);
        }
    }

    fn clock(&mut self, clock: &Value) {
        if clock["synced"] == Value::Bool(true) {
            let max_error_us = clock["max_error_us"].as_u64();
            if let Some(us) = max_error_us.filter(|&us| us > CLOCK_ERROR_MAX_US) {
                let secs = us.div_ceil(1_000_000);
                self.raise(
                    "clock",
                    format!("may be wrong by {secs} s; packages are leads only"),
                );
            }
            return;
        }
        let errno = clock["errno"].as_i64().and_then(|n| i32::try_from(n).ok());
        match errno {
            Some(errno) => self.raise("clock", clock::unreadable(errno)),
            None => self.raise("clock", "not synchronised; packages say so"),
        }
    }

    /// Satellites that contradict a clock which the kernel takes to be right.
    fn satellites(&mut self, status: &Value) {
        let telemetry = &status["telemetry"];
        let lasts = telemetry["gnss_apart_secs"].as_u64();
        let (true, Some(us)) = (
            status["clock"]["synced"] == Value::Bool(true) && lasts >= Some(UNSURE_SECS),
            telemetry["gnss_minus_system_us"].as_i64(),
        ) else {
            return;
        };
        let (secs, way) = (
            us.unsigned_abs() / 1_000_000,
            if us > 0 { "behind" } else { "ahead" },
        );
        self.raise(
            "clock",
            format!(
                "satellites say that it is {secs} s {way}: packages are leads, and hours are taken to be \
                 as uncertain; look at where it gets its time"
            ),
        );
    }

    /// Of a box that can move: without a position it is not known whether it does, and where. What
    /// judgement and loudspeaker make of it is asked, not what the receiver last said.
    fn position(&mut self, telemetry: &Value) {
        let is_unknown = |what: &str| telemetry[what] == Value::Bool(false);
        let (place, speed) = (is_unknown("place_known"), is_unknown("speed_known"));
        let (place, is_told) = match telemetry["source"].as_str() {
            Some("gpsd" | "mavlink") => (place, true),
            // Nothing is to tell its place: it is taken to stand.
            Some("none") => (false, false),
            _ => return,
        };
        let price = match (place, speed) {
            (true, _) => "nobody is warned, and packages are leads",
            (false, true) => "nobody is warned",
            (false, false) => return,
        };
        let cause = telemetry["cause"].as_str();
        let lost = match (&telemetry["connected"], telemetry["fix"].as_str()) {
            _ if !is_told => "a camera moves, and [telemetry] source is \"none\"",
            (Value::Bool(true), Some("none")) => "the receiver has no fix",
            (Value::Bool(true), None) => "no position is told",
            (Value::Bool(true), Some(_)) => "position or speed of now is not told, or not exact",
            _ => cause.unwrap_or("nothing is heard of it"),
        };
        self.raise(
            "position",
            format!("{lost}; while it is not known whether the box moves {price}"),
        );
    }

    /// One that ends soon is an alarm while there is time for a new one, and so is one that nobody believes.
    fn certificates(&mut self, certificates: &Value) {
        for (name, term) in certificates.as_object().into_iter().flatten() {
            let expired = term["expired"] == Value::Bool(true);
            if let Some(why) = term["untrusted"].as_str().filter(|_| !expired) {
                self.raise(
                    &format!("{name} certificate"),
                    format!(
                        "{why} (by roots.crt and revoked.crl of this box): receivers refuse what it signs; \
                         packages are made all the same, and stay here; ask the bureau"
                    ),
                );
            }
            let why = match (expired, name.as_str()) {
                // Why nothing is judged has been said.
                (true, "evidence") => continue,
                (true, _) => "has ended; packages wait on the disk".to_owned(),
                (false, _) => match term["days_left"].as_i64() {
                    Some(days) if days < RENEW_DAYS => format!("ends in {days} days; renew it"),
                    _ => continue,
                },
            };
            self.raise(&format!("{name} certificate"), why);
        }
    }

    fn camera(&mut self, name: &str, camera: &Value) {
        let name = format!("camera {name}");
        self.told(&name, &camera["cause"]);
        self.told(&name, &camera["onvif"]["stranger"]);
        if let Some(why) = camera["blind"].as_str() {
            self.raise(
                &name,
                format!("the model cannot look at its pictures: {why}"),
            );
        }
        let view = &camera["view"];
        if let Some(bad) = view["view"].as_str().filter(|v| *v != "good") {
            let since = view["since"].as_str().unwrap_or("-");
            self.raise(
                &name,
                format!(
                    "its view is {bad} since {since}: nothing is judged by it; lingmou journal show \
                     --kind view.bad"
                ),
            );
        }
    }

    /// A camera whose pictures wait on the way, or may, for as long as nobody mends it.
    fn times(&mut self, name: &str, camera: &Value) {
        let unsure = ["main", "sub"].into_iter().filter_map(|stream| {
            let unsure = &camera[stream]["unsure"];
            let lasts = unsure["secs"].as_u64()? >= UNSURE_SECS;
            unsure["error_secs"].as_u64().filter(|_| lasts)
        });
        if let Some(secs) = unsure.max() {
            self.raise(
                &format!("camera {name}"),
                format!(
                    "its pictures may be {secs} s late: packages are leads; look at its network, or \
                     lower its bit rate"
                ),
            );
        }
    }

    fn store(&mut self, status: &Value) {
        let (keeper, disk) = (&status["keeper"]["trouble"], &status["disk"]);
        self.told("store", keeper);
        self.told("store", &status["store_trouble"]);
        if disk["trouble"] != *keeper {
            self.told("store", &disk["trouble"]);
        }
        match disk["care"]["level"].as_str() {
            Some("tight") => self.raise("store", "nearly full: new packages come without video"),
            Some("shut") => {
                self.raise("store", "full: no new packages are made, warnings go on");
            }
            _ => {}
        }
        if let Some(cases @ 1..) = status["losses"]["failed"].as_u64() {
            self.raise(
                "store",
                format!(
                    "{cases} cases were decided and cannot be sealed; lingmou journal show --kind \
                     package.failed says why, and the next start tries once more"
                ),
            );
        }
        let states = &status["store"]["states"];
        if states["damaged"].is_object() {
            self.raise("store", "damaged packages; lingmou store check");
        }
        if let Some(packages) = states["refused"]["packages"].as_u64() {
            self.raise(
                "store",
                format!(
                    "{packages} packages were refused by a receiver and are only here; lingmou journal \
                     show --kind package.refused says why, lingmou command … resend offers them again"
                ),
            );
        }
        self.told("second copy", &status["mirror"]["trouble"]);
    }

    fn upload(&mut self, status: &Value) {
        let upload = &status["upload"];
        self.told("journal", &upload["foreign_head"]);
        if status["upload_enabled"] == Value::Bool(false) {
            return;
        }
        if upload["connected"] != Value::Bool(true) {
            return self.told("upload", &upload["cause"]);
        }
        // What a receiver refused, or is damaged, has an alarm of its own.
        let Some(oldest_ms) = status["store"]["oldest_due_ms"].as_i64() else {
            return;
        };
        match (upload["cause"].as_str(), upload["cause_secs"].as_u64()) {
            (Some(why), Some(UNTAKEN_SECS..)) => {
                self.raise(
                    "upload",
                    format!("connected, but no package is taken: {why}"),
                );
            }
            _ => self.unreceipted(status, oldest_ms),
        }
    }

    /// Packages go out, or seem to, and no receipt comes back. What waits for a wider link is meant to, and what
    /// waited through an outage has time; but not for ever, where one outage follows another. A box that was off
    /// or away for days has had none.
    fn unreceipted(&mut self, status: &Value, oldest_ms: i64) {
        let held = status["upload"]["link"]["held"].as_u64() > Some(0);
        let at = status["at"].as_str().and_then(|at| at.parse().ok());
        let lasts = |what: &str| status["upload"][what].as_u64() >= Some(UNTAKEN_SECS);
        let open = lasts("open_secs");
        if !open && !lasts("back_secs") {
            return;
        }
        let Some(now_ms) = at.map(jiff::Timestamp::as_millisecond).filter(|_| !held) else {
            return;
        };
        let wait_ms = if open { UNRECEIPTED_MS } else { NEVER_MS };
        let old = |ms: i64| now_ms.saturating_sub(ms) >= wait_ms;
        let last_ms = status["store"]["last_receipt_ms"].as_i64();
        if old(oldest_ms) && last_ms.is_none_or(old) {
            let link = if open {
                ""
            } else {
                "the link, which has not held for ten minutes, and at "
            };
            let since = last_ms.map(|ms| now_ms.saturating_sub(ms) / UNRECEIPTED_MS);
            let since = since.map_or_else(
                || "none has come yet".to_owned(),
                |days| format!("the last one came {days} days ago"),
            );
            self.raise(
                "upload",
                format!(
                    "connected, but packages of more than a day ago have no receipt, and {since}; \
                     look at {link}the receiver: its clock, its certificate, its disk"
                ),
            );
        }
    }

    /// Rules that reviewers object to.
    fn objections(&mut self, rules: &Value) {
        for (rule, told) in rules.as_object().into_iter().flatten() {
            if told["leads_only"] == Value::Bool(true) {
                let (rejected, judged) = (&told["rejected"], &told["judged"]);
                self.raise(
                    rule,
                    format!(
                        "reviewers object ({rejected} of {judged} rejected), so it makes leads \
                         only; look at its zone and settings, then lingmou command … rule-restore"
                    ),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What is raised about `name` by a status that is well but for `change`.
    fn raised(name: &str, change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut status = json!({
            "clock": { "synced": true, "errno": null },
            "telemetry": {
                "source": "gpsd", "connected": true, "fix": "3d", "cause": null,
                "place_known": true, "speed_known": true,
            },
            "upload_enabled": false,
        });
        assert_eq!(alarms(&status), []);
        change(&mut status);
        let raised = alarms(&status).into_iter();
        raised.filter(|a| a.name == name).map(|a| a.text).collect()
    }

    #[test]
    fn a_clock_that_may_not_be_read_is_not_one_that_nobody_sets() {
        let said = raised("clock", |s| {
            s["clock"] = json!({ "synced": false, "errno": null });
        });
        assert_eq!(said, ["not synchronised; packages say so"]);
        let said = raised("clock", |s| {
            s["clock"] = json!({ "synced": false, "errno": libc::EPERM });
        });
        assert_eq!(said, [clock::unreadable(libc::EPERM)]);
        assert!(said[0].contains("not permitted") && said[0].contains("adjtimex"));
    }

    #[test]
    fn a_lost_position_is_an_alarm_where_the_box_can_move() {
        for (source, connected, fix, cause, words) in [
            (
                "gpsd",
                true,
                json!("none"),
                None,
                "the receiver has no fix; ",
            ),
            ("mavlink", true, Value::Null, None, "no position is told; "),
            (
                "mavlink",
                true,
                json!("3d"),
                None,
                "position or speed of now ",
            ),
            (
                "mavlink",
                false,
                json!("3d"),
                Some("vehicle 1 is silent"),
                "vehicle 1 is silent; ",
            ),
            ("gpsd", false, Value::Null, None, "nothing is heard of it; "),
        ] {
            let both = Some(" nobody is warned, and packages are leads");
            for (place, speed, price) in [
                (false, json!(false), both),
                // It is told, and vague: nobody could look again at the same place.
                (false, json!(true), both),
                // Speed does not matter to this box.
                (false, Value::Null, both),
                (true, json!(false), Some(" nobody is warned")),
                (true, json!(true), None),
                (true, Value::Null, None),
            ] {
                let telemetry = |source: &str| {
                    json!({ "source": source, "connected": connected, "fix": fix, "cause": cause,
                            "place_known": place, "speed_known": speed })
                };
                let said = raised("position", |s| s["telemetry"] = telemetry(source));
                assert_eq!(said.len(), usize::from(price.is_some()), "{said:?}");
                assert!(
                    said.iter()
                        .zip(price)
                        .all(|(said, price)| said.starts_with(words) && said.ends_with(price)),
                    "{said:?}"
                );
                let said = raised("position", |s| s["telemetry"] = telemetry("fixed"));
                assert!(said.is_empty(), "{said:?}");
                // Without telemetry speed is asked of what moves only.
                let said = raised("position", |s| s["telemetry"] = telemetry("none"));
                assert_eq!(said.len(), usize::from(speed == json!(false)), "{said:?}");
                assert!(said.iter().all(|said| said.contains("source is \"none\"")));
            }
        }
    }

    #[test]
    fn satellites_that_contradict_the_clock_are_an_alarm() {
        for (secs, us, words) in [
            (json!(60), 3_600_200_000_i64, Some("3600 s behind: ")),
            (json!(60), -2_000_000, Some("2 s ahead: ")),
            (json!(59), 3_600_000_000, None),
            (Value::Null, 900_000, None),
        ] {
            let said = raised("clock", |s| {
                s["telemetry"]["gnss_apart_secs"] = secs;
                s["telemetry"]["gnss_minus_system_us"] = us.into();
            });
            assert_eq!(said.len(), usize::from(words.is_some()), "{said:?}");
            assert!(
                said.iter()
                    .zip(words)
                    .all(|(said, words)| said.contains(words)),
                "{said:?}"
            );
        }
    }

    #[test]
    fn a_list_that_cannot_be_read_is_an_alarm() {
        let why = "revoked.crl: not a list";
        let said = raised("roots and lists", |s| s["roots_trouble"] = json!(why));
        assert_eq!(said, [why]);
    }

    #[test]
    fn what_a_receiver_refused_is_an_alarm() {
        let said = raised("store", |s| {
            s["store"]["states"]["refused"] = json!({ "packages": 37, "bytes": 5 });
        });
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("37 packages were refused"), "{said:?}");
    }

    #[test]
    fn a_link_on_which_nobody_takes_packages_is_an_alarm() {
        const NOW_MS: i64 = 1_785_549_784_567;
        let nobody = json!("no receiver is listening");
        let ago = |hours: i64| json!(NOW_MS - hours * 3_600_000);
        let came = Some("came 2 days ago; ");
        // Cause, how long it lasts, oldest that is due, last receipt, held, open for; what is said.
        for (cause, lasts, oldest, receipt, held, open_secs, words) in [
            (&nobody, json!(599), ago(1), ago(2), 0, 9_000, None),
            (
                &nobody,
                json!(600),
                ago(1),
                ago(2),
                0,
                9_000,
                Some("taken: no receiver is listening"),
            ),
            (
                &nobody,
                json!(600),
                ago(1),
                ago(2),
                3,
                9_000,
                Some("taken: no receiver is listening"),
            ),
            // Nothing is due.
            (&nobody, json!(600), Value::Null, ago(2), 0, 9_000, None),
            // A receiver takes them, and signs nothing.
            (&Value::Null, Value::Null, ago(24), ago(49), 0, 9_000, came),
            (
                &Value::Null,
                Value::Null,
                ago(24),
                Value::Null,
                0,
                9_000,
                Some("none has come yet; "),
            ),
            (&Value::Null, Value::Null, ago(23), ago(49), 0, 9_000, None),
            (&Value::Null, Value::Null, ago(49), ago(23), 0, 9_000, None),
            // They wait for a wider link; the link is back from an outage of days.
            (&Value::Null, Value::Null, ago(49), ago(49), 3, 9_000, None),
            (&Value::Null, Value::Null, ago(49), ago(49), 0, 599, None),
            (&Value::Null, Value::Null, ago(49), ago(49), 0, 600, came),
        ] {
            let change = |s: &mut Value| {
                s["at"] = json!("2026-08-01T02:03:04.567Z");
                s["up_secs"] = json!(90_000);
                s["upload_enabled"] = json!(true);
                s["upload"] = json!({ "connected": true, "cause": cause, "cause_secs": lasts,
                                      "open_secs": open_secs, "link": { "held": held } });
                s["store"] = json!({ "oldest_due_ms": oldest, "last_receipt_ms": receipt });
            };
            let said = raised("upload", change);
            assert_eq!(said.len(), usize::from(words.is_some()), "{said:?}");
            assert!(
                said.iter()
                    .zip(words)
                    .all(|(said, words)| said.contains(words)),
                "{said:?}"
            );
            assert!(!said.concat().contains("  "), "{said:?}");
            let off = raised("upload", |s| {
                change(s);
                s["upload_enabled"] = json!(false);
            });
            assert!(off.is_empty(), "{off:?}");
        }
    }

    /// Up for nine minutes and away for three, for ever.
    #[test]
    fn a_receiver_that_signs_nothing_is_an_alarm_on_a_link_that_never_holds_too() {
        const NOW_MS: i64 = 1_785_549_784_567;
        let ago = |hours: i64| json!(NOW_MS - hours * 3_600_000);
        let link = "look at the link, which has not held for ten minutes, and at the receiver: ";
        let came = Some("the last one came 3 days ago; ");
        for (oldest, receipt, held, open_secs, back_secs, words) in [
            (72, Some(71), 0, Some(599), 600, None),
            (71, Some(72), 0, Some(599), 600, None),
            (72, Some(72), 3, Some(599), 600, None),
            (72, Some(72), 0, Some(599), 600, came),
            (72, None, 0, None, 600, Some("none has come yet; ")),
            // The box was off for days, or away: its packages have had no chance yet.
            (72, Some(72), 0, Some(0), 0, None),
            (72, Some(72), 0, Some(599), 599, None),
        ] {
            let said = raised("upload", |s| {
                s["at"] = json!("2026-08-01T02:03:04.567Z");
                s["upload_enabled"] = json!(true);
                s["upload"] = json!({ "connected": true, "cause": null, "open_secs": open_secs,
                                      "back_secs": back_secs, "link": { "held": held } });
                s["store"] = json!({ "oldest_due_ms": ago(oldest),
                                     "last_receipt_ms": receipt.map(ago) });
            });
            assert_eq!(said.len(), usize::from(words.is_some()), "{said:?}");
            for (said, words) in said.iter().zip(words) {
                assert!(said.contains(&format!("{words}{link}")), "{said:?}");
            }
        }
    }

    #[test]
    fn a_case_that_cannot_be_sealed_is_an_alarm() {
        let said = |failed: u64| raised("store", |s| s["losses"]["failed"] = failed.into());
        assert_eq!(said(0), [""; 0]);
        assert!(
            said(2)[0].starts_with("2 cases were decided"),
            "{:?}",
            said(2)
        );
    }

    #[test]
    fn a_microphone_that_says_nothing_is_an_alarm() {
        for (unheard, alarms) in [(true, 1), (false, 0)] {
            let said = raised("microphone", |s| s["voice"] = json!({ "unheard": unheard }));
            assert_eq!(said.len(), alarms, "{said:?}");
        }
    }

    #[test]
    fn a_camera_whose_times_stay_unsure_is_an_alarm() {
        let unsure = |secs: u64, error_secs: u64| json!({ "secs": secs, "error_secs": error_secs });
        let said = |main: Value, sub: Value, max_error_us: u64| {
            raised("camera gate", |s| {
                s["clock"]["max_error_us"] = max_error_us.into();
                s["cameras"]["gate"] = json!({
                    "cause": null, "main": { "unsure": main }, "sub": { "unsure": sub },
                });
            })
        };
        let told = |secs: u64| {
            vec![format!(
                "its pictures may be {secs} s late: packages are leads; look at its network, or \
                 lower its bit rate"
            )]
        };
        for (main, sub, max_error_us, expected) in [
            (Value::Null, Value::Null, 3_000, vec![]),
            (unsure(59, 60), Value::Null, 3_000, vec![]),
            (unsure(60, 5), Value::Null, 3_000, told(5)),
            (unsure(90, 5), unsure(600, 7), 3_000, told(7)),
            (Value::Null, unsure(600, 7), 3_000, told(7)),
            // Then it is the box's own clock, and that is said once.
            (unsure(600, 3), Value::Null, 2_000_000, vec![]),
        ] {
            assert_eq!(said(main, sub, max_error_us), expected);
        }
    }

    #[test]
    fn another_camera_than_configured_is_an_alarm_of_the_camera() {
        let said = raised("camera gate", |s| {
            s["cameras"]["gate"] = json!({ "cause": null, "onvif": { "stranger": "another" } });
        });
        assert_eq!(said, ["another"]);
    }

    #[test]
    fn a_blind_model_is_an_alarm_of_the_camera() {
        let said = raised("camera gate", |s| {
            s["cameras"]["gate"] = json!({ "cause": null, "blind": "no memory" });
        });
        assert_eq!(said, ["the model cannot look at its pictures: no memory"]);
    }
}

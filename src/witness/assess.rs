//! Holds a statement against the conditions of evidence.
//!
//! The yardstick of clock, number and spacing of pictures is GA/T 832-2014 sections 3.2, 3.3 and
//! 3.5, written for traffic and the best there is for streets; site, approval and basis are
//! article 41 of the Administrative Penalty Law. Decision 0013 argues the limits of the pictures.

use jiff::civil::Date;

use super::facts::{Camera, Warning};
use super::grade::{Condition, Grading, grade};
use super::installation::{approval, basis, site};
use super::moments::{Moments, clock};
use super::statement::{FileEntry, Statement};
use crate::config::Evidence;
use crate::types::{Heard, Outcome, PictureOf, Quality, Stillness, Violation, same_subject};

/// Fewest wide pictures (GA/T 832-2014 section 3.3).
const WIDE_MIN: usize = 2;
/// What begins like this is part of the evidence; something else may be left out.
const RELEVANT: [&str; 3] = ["frames/", "clip.mp4", "detections.jsonl"];

/// What was seen while the case was open and is in no other field of its statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What is known of all moments that are stated.
    pub moments: Moments,
    /// How far what moves moved between two wide pictures, thousandths of the picture's width.
    pub moved_permille: Option<u32>,
    /// Whether the camera looks where it looked.
    pub stillness: Option<Stillness>,
    /// How like the subject looked what stood at its place at the second look, thousandths.
    pub likeness: Option<u16>,
    /// The day on which the outcome was established, in the device's time zone.
    pub today: Date,
    /// Packages of this rule that reviewers rejected, of so many judged, when that makes leads of
    /// all of them.
    pub objected: Option<(u64, u64)>,
}

/// Holds a statement (its own grade left aside) against the conditions. What a person asked for is
/// of no violation: nothing is demanded of a warning, a subject or a second look, and one condition
/// is never met.
pub fn assess(statement: &Statement, seen: &Seen, limits: &Evidence) -> Grading {
    let wide: Vec<&FileEntry> = originals(statement).collect();
    let kind = statement.violation.as_ref().map(|v| v.kind);
    let law = statement.violation.as_ref().and_then(|v| v.law.as_ref());
    let persisted = statement.violation.as_ref();
    let persisted = persisted.filter(|v| v.outcome == Outcome::Persisted);
    let (place, today) = (statement.site.as_ref(), seen.today);
    let subject_size = at_least(limits.subject_min_px);
    let focus = at_least(limits.focus_min);
    let all = [
        Some(clock(&statement.clock, seen.moments)),
        Some(site(place)),
        Some(approval(place, today)),
        kind.map(|_| basis(law)),
        kind.map(|_| pictures(&wide)),
        kind.map(|kind| spacing(kind, &wide, seen, limits)),
        kind.map(|_| close_up(statement)),
        Some(measured("focus", &wide, focus, |q| q.focus)),
        Some(exposure(&wide, limits)),
        kind.map(|_| measured("subject_size", &wide, subject_size, |q| q.subject_px)),
        kind.map(|kind| warning(kind, &statement.warning)),
        Some(position(statement, limits)),
        kind.map(|_| camera_still(seen.stillness, limits)),
        Some(clip(statement)),
        Some(complete(statement)),
        persisted.map(|_| subject(seen.likeness)),
        same_camera(&statement.camera),
        seen.objected.map(objections),
        statement.asked.as_ref().map(|_| asked()),
    ];
    let conditions: Vec<Condition> = all.into_iter().flatten().collect();
    Grading {
        grade: grade(&conditions),
        conditions,
    }
}

pub(super) fn condition(
    id: &str,
    value: Option<String>,
    limit: impl Into<String>,
    pass: Option<bool>,
) -> Condition {
    Condition {
        id: id.to_owned(),
        value,
        limit: limit.into(),
        pass,
    }
}

fn originals(statement: &Statement) -> impl Iterator<Item = &FileEntry> {
    let original = |f: &&FileEntry| f.of == Some(PictureOf::Original);
    statement.files.iter().filter(original)
}

fn pictures(wide: &[&FileEntry]) -> Condition {
    let mut times: Vec<&str> = wide.iter().filter_map(|f| f.at.as_deref()).collect();
    times.sort_unstable();
    times.dedup();
    let value = format!("{} at {} times", wide.len(), times.len());
    let limit = format!(">= {WIDE_MIN} at different times");
    let pass = times.len() >= WIDE_MIN;
    condition("pictures", Some(value), limit, Some(pass))
}

/// What stands must be seen twice with time between; what moves at two places.
fn spacing(kind: Violation, wide: &[&FileEntry], seen: &Seen, limits: &Evidence) -> Condition {
    if kind.warns_first() {
        let limit = format!(">= {} s between first and last", limits.spacing_min_secs);
        let Some(ms) = apart_ms(wide) else {
            return condition("spacing", None, limit, None);
        };
        let value = format!("{}.{} s", ms / 1000, ms % 1000 / 100);
        let pass = std::time::Duration::from_millis(ms).as_secs_f64() >= limits.spacing_min_secs;
        return condition("spacing", Some(value), limit, Some(pass));
    }
    let limit = format!(
        ">= {} % of the width moved",
        percent(limits.displacement_min)
    );
    let value = seen
        .moved_permille
        .map(|moved| format!("{} %", tenths(moved)));
    let pass = seen
        .moved_permille
        .map(|moved| f64::from(moved) >= limits.displacement_min * 1000.0);
    condition("spacing", value, limit, pass)
}

/// Time between the first and the last of the pictures, by whichever of both clocks says less:
/// one may have been set meanwhile, the other begins anew at a boot.
fn apart_ms(wide: &[&FileEntry]) -> Option<u64> {
    let (first, last) = (wide.first()?, wide.last()?);
    let utc = |f: &FileEntry| f.at.as_deref()?.parse::<jiff::Timestamp>().ok();
    let by_utc = utc(last)?.duration_since(utc(first)?).as_millis();
    let by_boot = last.pts_ns?.saturating_sub(first.pts_ns?) / 1_000_000;
    Some(u64::try_from(by_utc).unwrap_or(0).min(by_boot))
}

fn close_up(statement: &Statement) -> Condition {
    let close = |f: &&FileEntry| f.of == Some(PictureOf::Close);
    let count = statement.files.iter().filter(close).count();
    condition(
        "close_up",
        Some(count.to_string()),
        ">= 1",
        Some(count >= 1),
    )
}

/// What a measure must lie within.
struct Within {
    low: u32,
    high: u32,
    words: String,
}

fn at_least(low: u32) -> Within {
    Within {
        low,
        high: u32::MAX,
        words: format!(">= {low}"),
    }
}

/// A measure of every wide picture: all must be within, and none may be unknown.
fn measured(
    id: &str,
    wide: &[&FileEntry],
    within: Within,
    of: impl Fn(&Quality) -> u32,
) -> Condition {
    let values = wide.iter().map(|f| (*f, f.quality.as_ref().map(&of)));
    let values: Vec<(&FileEntry, Option<u32>)> = values.collect();
    let range = within.low..=within.high;
    let pass = if values
        .iter()
        .any(|(_, v)| v.is_some_and(|v| !range.contains(&v)))
    {
        Some(false)
    } else if values.is_empty() || values.iter().any(|(_, v)| v.is_none()) {
        None
    } else {
        Some(true)
    };
    condition(id, told(&values), within.words, pass)
}

/// `01-found 312, 02-warned 287`
fn told(values: &[(&FileEntry, Option<u32>)]) -> Option<String> {
    let one = |(file, value): &(&FileEntry, Option<u32>)| {
        let name = file.name.strip_prefix("frames/").unwrap_or(&file.name);
        let name = name.strip_suffix(".jpg").unwrap_or(name);
        value.map(|value| format!("{name} {value}"))
    };
    let words: Vec<String> = values.iter().filter_map(one).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// Neither too dark nor too bright on the whole, and not washed out in parts.
fn exposure(wide: &[&FileEntry], limits: &Evidence) -> Condition {
    let (low, high) = (limits.exposure_min, limits.exposure_max);
    let mean = Within {
        low,
        high,
        words: format!(
            "{low} to {high}, clipped <= {} %",
            percent(limits.clipped_max)
        ),
    };
    let mut stated = measured("exposure", wide, mean, |q| q.exposure);
    let clipped = wide
        .iter()
        .filter_map(|f| f.quality)
        .map(|q| q.clipped_permille);
    let worst = clipped.max();
    if let (Some(value), Some(worst)) = (&stated.value, worst) {
        stated.value = Some(format!("{value}, clipped {} %", tenths(worst)));
    }
    if worst.is_some_and(|worst| f64::from(worst) > limits.clipped_max * 1000.0) {
        stated.pass = Some(false);
    }
    stated
}

/// The last warning counts: it is the one that the grace time followed. Where there is a microphone
/// that said nothing, nobody knows whether it sounded; where there is none, that is said (decision 0055).
fn warning(kind: Violation, warnings: &[Warning]) -> Condition {
    if !kind.warns_first() {
        let none = "none demanded";
        return condition("warning", Some(none.to_owned()), none, Some(true));
    }
    let limit = "played to its end";
    let Some(last) = warnings.last() else {
        return condition("warning", None, limit, Some(false));
    };
    let played = format!("played {} ms", last.played_ms);
    if let Some(why) = &last.failure {
        return condition(
            "warning",
            Some(format!("{played}: {why}")),
            limit,
            Some(false),
        );
    }
    let (value, heard) = match last.heard {
        Some(Heard::PlayedHeard { level_db, .. }) => {
            (format!("{played}, heard {level_db} dB"), Some(true))
        }
        Some(Heard::PlayedNotHeard | Heard::NotPlayed) => {
            (format!("{played}, not heard"), Some(false))
        }
        Some(Heard::NoMicrophone) => (format!("{played}, no microphone to hear it"), Some(true)),
        None => (format!("{played}, the microphone said nothing"), None),
    };
    let pass = if last.played_ms > 0 {
        heard
    } else {
        Some(false)
    };
    condition("warning", Some(value), limit, pass)
}

/// Where the box was, as near and as fresh as the limits ask; an error nobody told is unknown.
fn position(statement: &Statement, limits: &Evidence) -> Condition {
    let (accuracy_max, age_max) = (
        limits.position_accuracy_max_m,
        limits.position_age_max_secs * 1000.0,
    );
    let limit = format!("+- <= {accuracy_max} m, <= {age_max} ms old");
    let Some(p) = &statement.position else {
        return condition("position", None, limit, None);
    };
    let accuracy = p.h_acc_mm.map_or_else(
        || "accuracy not told".to_owned(),
        |mm| format!("+- {}.{} m", mm / 1000, mm % 1000 / 100),
    );
    let value = format!("{}, {accuracy}, {} ms old", p.fix, p.age_ms);
    let near = p.h_acc_mm.map(|mm| f64::from(mm) / 1000.0 <= accuracy_max);
    let fresh = std::time::Duration::from_millis(p.age_ms).as_secs_f64() * 1000.0 <= age_max;
    let pass = if fresh { near } else { Some(false) };
    condition("position", Some(value), limit, pass)
}

fn camera_still(stillness: Option<Stillness>, limits: &Evidence) -> Condition {
    let limit = format!(
        "moved <= {} % of the width, alike >= {} %",
        percent(limits.camera_shift_max),
        percent(limits.camera_similarity_min)
    );
    let Some(s) = stillness else {
        return condition("camera_still", None, limit, None);
    };
    let (shift, alike) = (s.shift_permille, s.similarity_permille);
    let value = format!("moved {} %, alike {} %", tenths(shift), tenths(alike));
    let pass = f64::from(shift) <= limits.camera_shift_max * 1000.0
        && f64::from(alike) >= limits.camera_similarity_min * 1000.0;
    condition("camera_still", Some(value), limit, Some(pass))
}

fn clip(statement: &Statement) -> Condition {
    let there = statement.files.iter().any(|f| f.name == "clip.mp4");
    let part = statement
        .omitted
        .iter()
        .any(|o| o.what.starts_with("clip.mp4"));
    let (value, pass) = match (there, part) {
        (true, false) => (Some("whole"), true),
        (true, true) => (Some("in part"), false),
        (false, _) => (None, false),
    };
    condition("clip", value.map(str::to_owned), "whole", Some(pass))
}

fn complete(statement: &Statement) -> Condition {
    let relevant = |what: &&str| RELEVANT.iter().any(|r| what.starts_with(r));
    let missing = statement.omitted.iter().map(|o| o.what.as_str());
    let missing: Vec<&str> = missing.filter(relevant).collect();
    let value = if missing.is_empty() {
        "nothing missing".to_owned()
    } else {
        format!("missing: {}", missing.join(", "))
    };
    condition(
        "complete",
        Some(value),
        "nothing missing",
        Some(missing.is_empty()),
    )
}

/// Only of what is said to have persisted: it is what was warned.
fn subject(likeness: Option<u16>) -> Condition {
    let gate = same_subject(likeness);
    let value = likeness.map(|_| gate.value);
    let pass = likeness.map(|_| gate.pass);
    condition(&gate.gate, value, gate.limit, pass)
}

/// Only stated when it is not met: the camera is another than the one that was set up there, by its
/// own word.
fn same_camera(camera: &Camera) -> Option<Condition> {
    let configured = camera.configured_serial.as_deref()?;
    let told = camera.told.as_ref();
    let told = told.filter(|told| told.is_other_than(configured))?;
    let told = told.serial.as_deref().unwrap_or_default();
    let value = format!("told over ONVIF: {told}; configured: {configured}");
    let limit = "as configured";
    Some(condition("same_camera", Some(value), limit, Some(false)))
}

/// Only stated when it is not met: the rule is one that reviewers object to.
fn objections((rejected, judged): (u64, u64)) -> Condition {
    let value = format!("rejected {rejected}, judged {judged}");
    condition("objections", Some(value), "not objected to", Some(false))
}

/// Only stated when it is not met: no rule found it.
fn asked() -> Condition {
    let value = Some("a person's command".to_owned());
    condition("asked", value, "a rule's finding", Some(false))
}

/// Thousandths as a percentage with one decimal.
fn tenths(permille: u32) -> String {
    format!("{}.{}", permille / 10, permille % 10)
}

/// A share from the configuration as a percentage, without a tail of binary dust.
fn percent(share: f64) -> f64 {
    (share * 1000.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{FixKind, Nameplate, PoseSource};
    use crate::witness::wording::Wording;
    use crate::witness::{CONDITIONS, Grade, Language, Law, Omitted, Position, Site};

    const TODAY: Date = jiff::civil::date(2026, 8, 1);

    fn picture(name: &str, of: PictureOf, at_s: u64) -> FileEntry {
        let quality = Quality {
            focus: 800,
            exposure: 110,
            clipped_permille: 12,
            subject_px: 90,
        };
        FileEntry {
            name: format!("frames/{name}.jpg"),
            media_type: "image/jpeg".to_owned(),
            size: 1,
            sha256: "ab".repeat(32),
            at: Some(format!("2026-08-01T02:00:{at_s:02}.000Z")),
            pts_ns: Some(at_s * 1_000_000_000),
            capture_source: None,
            of: Some(of),
            quality: (of == PictureOf::Original).then_some(quality),
        }
    }

    /// A warned case in which everything is as it should be.
    fn sound() -> (Statement, Seen, Evidence) {
        let mut statement = crate::witness::statement::tests::sparse();
        statement.violation.as_mut().unwrap().kind = Violation::StreetVending;
        statement.clock.max_error_us = Some(18_000);
        statement.site = Some(Site {
            public_id: Some("LC-FXC-0113".to_owned()),
            name: Some("金水路-京口路口".to_owned()),
            approval: Some("2026-12".to_owned()),
            approval_until: Some("2026-08-01".to_owned()),
        });
        statement.violation.as_mut().unwrap().law = Some(Law {
            basis: Some("某条例第二十二条".to_owned()),
            discretion: None,
            announcement: None,
        });
        statement.warning = vec![Warning {
            journal_n: Some(2),
            at: "2026-08-01T02:00:05.000Z".to_owned(),
            clip_sha256: "aa".repeat(32),
            identity_sha256: None,
            played_ms: 6200,
            acknowledged_by_amp: None,
            failure: None,
            heard: Some(Heard::NoMicrophone),
        }];
        statement.position = Some(Position {
            lat_e7: 1,
            lon_e7: 2,
            datum: "WGS-84".to_owned(),
            h_acc_mm: Some(2540),
            fix: crate::witness::wording::name_of(&FixKind::Surveyed),
            sats: None,
            source: crate::witness::wording::name_of(&PoseSource::Fixed),
            age_ms: 0,
        });
        statement.files = vec![
            picture("01-found", PictureOf::Original, 1),
            picture("01-found-close", PictureOf::Close, 1),
            picture("01-found-marked", PictureOf::Marked, 1),
            picture("02-again", PictureOf::Original, 41),
            FileEntry {
                name: "clip.mp4".to_owned(),
                of: None,
                quality: None,
                ..picture("clip", PictureOf::Original, 1)
            },
        ];
        let seen = Seen {
            moments: Moments {
                error_ms: Some(20),
                moved_ms: 0,
            },
            moved_permille: None,
            stillness: Some(Stillness {
                shift_permille: 2,
                similarity_permille: 930,
            }),
            likeness: Some(842),
            today: TODAY,
            objected: None,
        };
        (statement, seen, Evidence::default())
    }

    /// What stands against the edited case: ids with their answers.
    fn against(edit: impl FnOnce(&mut Statement, &mut Seen)) -> Vec<(String, Option<bool>)> {
        let (mut statement, mut seen, limits) = sound();
        edit(&mut statement, &mut seen);
        let grading = assess(&statement, &seen, &limits);
        assert!(grading.follows());
        let against: Vec<_> = grading.against().map(|c| (c.id.clone(), c.pass)).collect();
        assert_eq!(grading.grade == Grade::Evidence, against.is_empty());
        against
    }

    #[test]
    fn what_meets_every_condition_is_evidence() {
        assert_eq!(against(|_, _| ()), []);
        let (statement, seen, limits) = sound();
        let told = assess(&statement, &seen, &limits).conditions;
        let told: Vec<_> = told
            .iter()
            .map(|c| {
                format!(
                    "{} {} ({})",
                    c.id,
                    c.value.as_deref().unwrap_or("?"),
                    c.limit
                )
            })
            .collect();
        let wanted = [
            "clock 20 ms (<= 1000 ms)",
            "site LC-FXC-0113 金水路-京口路口 (announced number and name)",
            "approval 2026-12, until 2026-08-01 (stated, not expired on 2026-08-01)",
            "basis 某条例第二十二条 (stated by the bureau)",
            "pictures 2 at 2 times (>= 2 at different times)",
            "spacing 40.0 s (>= 10 s between first and last)",
            "close_up 1 (>= 1)",
            "focus 01-found 800, 02-again 800 (>= 350)",
            "exposure 01-found 110, 02-again 110, clipped 1.2 % (40 to 215, clipped <= 25 %)",
            "subject_size 01-found 90, 02-again 90 (>= 32)",
            "warning played 6200 ms, no microphone to hear it (played to its end)",
            "position surveyed, +- 2.5 m, 0 ms old (+- <= 20 m, <= 2000 ms old)",
            "camera_still moved 0.2 %, alike 93.0 % (moved <= 2 % of the width, alike >= 50 %)",
            "clip whole (whole)",
            "complete nothing missing (nothing missing)",
        ];
        assert_eq!(told, wanted);
        assert_eq!(told.len(), CONDITIONS.len());
    }

    #[test]
    fn another_camera_than_configured_makes_a_lead() {
        let told = |serial: Option<&str>| Nameplate {
            serial: serial.map(str::to_owned),
            ..Nameplate::default()
        };
        let told = |serial: Option<&str>, configured: Option<&str>| {
            against(|s, _| {
                s.camera.told = Some(told(serial));
                s.camera.configured_serial = configured.map(str::to_owned);
            })
        };
        for (serial, configured) in [
            (Some("DS-1"), Some("ds-1")),
            (Some("DS-1"), None),
            (None, Some("DS-1")),
        ] {
            assert_eq!(told(serial, configured), [], "{serial:?} {configured:?}");
        }
        let other = told(Some("DS-2"), Some("DS-1"));
        assert_eq!(other, [("same_camera".to_owned(), Some(false))]);
    }

    type Edit = fn(&mut Statement, &mut Seen);

    #[test]
    #[expect(clippy::too_many_lines, reason = "one row for each way to fail")]
    fn each_condition_alone_makes_a_lead() {
        let (no, unknown) = (Some(false), None);
        let table: [(&str, Option<bool>, Edit); 40] = [
            ("clock", unknown, |s, _| s.clock.max_error_us = None),
            ("clock", unknown, |_, seen| seen.moments.error_ms = None),
            ("clock", no, |_, seen| seen.moments.error_ms = Some(1001)),
            ("clock", no, |_, seen| seen.moments.moved_ms = 1001),
            ("clock", no, |s, _| s.clock.max_error_us = Some(1_000_001)),
            ("clock", no, |s, _| {
                s.clock.gnss_minus_system_us = Some(-1_000_001);
            }),
            ("site", no, |s, _| s.site.as_mut().unwrap().public_id = None),
            ("site", no, |s, _| s.site.as_mut().unwrap().name = None),
            ("approval", no, |s, _| {
                s.site.as_mut().unwrap().approval = None;
            }),
            ("approval", no, |_, seen| {
                seen.today = TODAY.tomorrow().unwrap();
            }),
            ("approval", no, |s, _| {
                s.site.as_mut().unwrap().approval_until = Some("for ever".to_owned());
            }),
            ("basis", no, |s, _| {
                s.violation.as_mut().unwrap().law = None;
            }),
            ("basis", no, |s, _| {
                let law = &mut s.violation.as_mut().unwrap().law;
                law.as_mut().unwrap().basis = None;
            }),
            ("spacing", no, |s, _| {
                s.files[3].pts_ns = Some(10_999_000_000);
            }),
            ("spacing", no, |s, _| {
                s.files[3].at = Some("2026-08-01T02:00:10.999Z".to_owned());
            }),
            ("spacing", no, |s, _| s.files[3].pts_ns = Some(0)),
            ("spacing", unknown, |s, _| s.files[3].pts_ns = None),
            ("close_up", no, |s, _| s.files[1].of = None),
            ("focus", no, |s, _| {
                s.files[0].quality.as_mut().unwrap().focus = 349;
            }),
            ("exposure", no, |s, _| {
                s.files[0].quality.as_mut().unwrap().exposure = 39;
            }),
            ("exposure", no, |s, _| {
                s.files[0].quality.as_mut().unwrap().exposure = 216;
            }),
            ("exposure", no, |s, _| {
                s.files[3].quality.as_mut().unwrap().clipped_permille = 251;
            }),
            ("subject_size", no, |s, _| {
                s.files[3].quality.as_mut().unwrap().subject_px = 31;
            }),
            ("warning", no, |s, _| s.warning.clear()),
            ("warning", no, |s, _| s.warning[0].played_ms = 0),
            ("warning", no, |s, _| {
                s.warning[0].failure = Some("no sound card".to_owned());
            }),
            ("warning", no, |s, _| {
                s.warning[0].heard = Some(Heard::PlayedNotHeard);
            }),
            // There is a microphone, and it gave nothing.
            ("warning", unknown, |s, _| s.warning[0].heard = None),
            ("position", unknown, |s, _| s.position = None),
            ("position", unknown, |s, _| {
                s.position.as_mut().unwrap().h_acc_mm = None;
            }),
            ("position", no, |s, _| {
                s.position.as_mut().unwrap().h_acc_mm = Some(20_001);
            }),
            ("position", no, |s, _| {
                s.position.as_mut().unwrap().age_ms = 2001;
            }),
            ("camera_still", unknown, |_, seen| seen.stillness = None),
            ("camera_still", no, |_, seen| {
                seen.stillness.as_mut().unwrap().shift_permille = 21;
            }),
            ("camera_still", no, |_, seen| {
                seen.stillness.as_mut().unwrap().similarity_permille = 499;
            }),
            ("clip", no, |s, _| s.files.retain(|f| f.name != "clip.mp4")),
            ("complete", no, |s, _| {
                s.omitted.push(Omitted {
                    what: "frames/02-warned.jpg".to_owned(),
                    why: "the ring had gone on".to_owned(),
                });
            }),
            ("complete", no, |s, _| {
                s.omitted.push(Omitted {
                    what: "detections.jsonl".to_owned(),
                    why: "the disk was full".to_owned(),
                });
            }),
            ("spacing", unknown, |s, _| {
                // Nothing is known of how far a truck went that was seen but once.
                s.violation.as_mut().unwrap().kind = Violation::Spillage;
            }),
            ("spacing", no, |s, seen| {
                s.violation.as_mut().unwrap().kind = Violation::Spillage;
                seen.moved_permille = Some(49);
            }),
        ];
        for (i, (id, pass, edit)) in table.into_iter().enumerate() {
            assert_eq!(against(edit), [(id.to_owned(), pass)], "row {i}");
        }
    }

    /// Whoever words a condition anew adds its words to `[phrase]` in config/wording/zh.toml.
    #[test]
    fn what_a_device_says_of_a_condition_is_read_in_chinese() {
        let edits: [Edit; 9] = [
            |_, _| (),
            |s, _| s.warning[0].heard = None,
            |s, _| s.warning[0].heard = Some(Heard::PlayedNotHeard),
            |s, _| {
                s.warning[0].heard = Some(Heard::PlayedHeard {
                    level_db: -31,
                    delay_ms: 140,
                    correlation_permille: 620,
                });
            },
            |_, seen| {
                seen.moments = Moments {
                    error_ms: None,
                    moved_ms: 5000,
                };
            },
            |s, _| s.clock.gnss_minus_system_us = Some(1),
            |s, _| {
                s.clock.max_error_us = None;
                s.clock.gnss_minus_system_us = Some(1);
                s.position.as_mut().unwrap().h_acc_mm = None;
                s.files.retain(|f| f.name != "frames/02-again.jpg");
                let omitted = |what: &str| Omitted {
                    what: what.to_owned(),
                    why: String::new(),
                };
                s.omitted.push(omitted("clip.mp4 (part)"));
                s.omitted.push(omitted("frames/01-found.jpg (main stream)"));
            },
            |s, _| s.warning.clear(),
            |s, seen| {
                s.violation.as_mut().unwrap().kind = Violation::Spillage;
                seen.moved_permille = Some(80);
            },
        ];
        let chinese = Wording::of(Language::Chinese);
        for edit in edits {
            let (mut statement, mut seen, limits) = sound();
            edit(&mut statement, &mut seen);
            for c in assess(&statement, &seen, &limits).conditions {
                let said = format!("{} ({})", c.value.unwrap_or_default(), c.limit);
                let read = chinese.phrased(&said);
                let stays = [
                    "LC-FXC-0113",
                    "frames/01-found.jpg (main stream)",
                    "01-found",
                    "02-again",
                    "clip.mp4",
                ];
                let rest = stays.iter().fold(read.clone(), |r, s| r.replace(s, ""));
                let letters = |w: &str| w.chars().filter(char::is_ascii_alphabetic).count();
                let english = rest.split_whitespace().find(|w| letters(w) > 2);
                assert_eq!(english, None, "{}: {read}", c.id);
            }
        }
    }

    #[test]
    fn what_persisted_must_be_what_was_warned() {
        for (likeness, wanted) in [
            (Some(650), None),
            (Some(649), Some(Some(false))),
            (None, Some(None)),
        ] {
            let told = against(|s, seen| {
                s.violation.as_mut().unwrap().outcome = Outcome::Persisted;
                seen.likeness = likeness;
            });
            let wanted = wanted.map(|pass| ("same_subject".to_owned(), pass));
            assert_eq!(told, Vec::from_iter(wanted), "{likeness:?}");
        }
    }

    #[test]
    fn several_reasons_are_all_told() {
        let told = against(|s, _| {
            s.files.retain(|f| f.of != Some(PictureOf::Original));
            s.omitted.push(Omitted {
                what: "clip.mp4 (part)".to_owned(),
                why: "its first 12.0 s are missing".to_owned(),
            });
        });
        let ids: Vec<&str> = told.iter().map(|(id, _)| id.as_str()).collect();
        let wanted = [
            "pictures",
            "spacing",
            "focus",
            "exposure",
            "subject_size",
            "clip",
            "complete",
        ];
        assert_eq!(ids, wanted);
    }

    #[test]
    fn what_is_recorded_at_once_needs_no_warning_and_must_have_moved() {
        let told = against(|s, seen| {
            s.violation.as_mut().unwrap().kind = Violation::Spillage;
            s.warning.clear();
            seen.moved_permille = Some(50);
        });
        assert_eq!(told, []);
    }

    #[test]
    fn what_is_left_out_without_harm_harms_nothing() {
        let told = against(|s, _| {
            s.site.as_mut().expect("a site").approval_until = None;
            s.omitted.push(Omitted {
                what: "C2PA in frames/01-found.jpg".to_owned(),
                why: "the suite sm2 has none".to_owned(),
            });
        });
        assert_eq!(told, []);
    }

    #[test]
    fn a_grade_that_was_made_up_does_not_follow() {
        let (mut statement, seen, limits) = sound();
        let fine = assess(&statement, &seen, &limits);
        let with = |edit: fn(&mut Grading)| {
            let mut grading = fine.clone();
            edit(&mut grading);
            grading.follows()
        };
        assert!(with(|_| ()));
        assert!(!with(|g| g.grade = Grade::Lead));
        assert!(!with(|g| g.conditions[0].pass = None));
        assert!(
            !with(|g| drop(g.conditions.pop())),
            "a condition is not stated"
        );
        assert!(
            !with(|g| g.conditions.push(g.conditions[0].clone())),
            "one is stated twice"
        );
        assert!(!with(|g| {
            // A condition of a later version counts as well.
            g.conditions
                .push(condition("tripod", None, "level", Some(false)));
        }));
        assert!(with(|g| g.conditions.push(condition(
            "tripod",
            None,
            "level",
            Some(true)
        ))));
        statement.grade = Some(fine);
        let bytes = statement.to_bytes().expect("a statement");
        assert_eq!(Statement::parse(&bytes).expect("it reads back"), statement);
    }

    #[test]
    fn a_capture_is_a_lead_however_good_it_is() {
        let (good, seen, limits) = sound();
        let capture = Statement {
            position: good.position.clone(),
            site: good.site.clone(),
            clock: good.clock.clone(),
            files: good.files.clone(),
            ..crate::witness::statement::tests::capture()
        };
        let graded = assess(&capture, &seen, &limits);
        assert_eq!(graded.grade, Grade::Lead);
        let against: Vec<&str> = graded.against().map(|c| c.id.as_str()).collect();
        assert_eq!(against, ["asked"], "everything else is as it should be");
        assert!(graded.follows());
    }
}

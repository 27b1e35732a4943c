//! Cameras and zones, and limits between them that nothing could meet.

use super::*;

#[test]
fn only_a_camera_that_stands_on_a_pole_looks_to_one_bearing() {
    for (bearing, mount, source, wanted) in [
        ("85.0", "auto", "fixed", None),
        ("85.0", "fixed", "fixed", None),
        ("-1.0", "auto", "mavlink", None),
        ("-1.0", "moving", "fixed", None),
        ("361.0", "auto", "fixed", Some("out of range")),
        ("85.0", "auto", "mavlink", Some("not that of a pole")),
        ("0.0", "auto", "none", Some("not that of a pole")),
        ("85.0", "moving", "fixed", Some("the camera moves")),
        ("85.0", "gimbal", "fixed", Some("the camera moves")),
    ] {
        let said = |camera: &str, survey: &str, key: &str| {
            let page = page(&format!(
                "[[camera]]\nname = \"a\"\nmount = \"{mount}\"\n{camera}\n\
                 [telemetry]\nsource = \"{source}\"\n{survey}\n"
            ));
            let said = page.lines().find_map(|line| line.split_once(key));
            said.map(|(_, said)| said.to_owned())
        };
        let key = format!("bearing_deg = {bearing}");
        let own = said(&key, "", ":4: camera[0].bearing_deg: ");
        // That of the survey is nobody's where the box is no pole.
        let survey = said("", &key, ":7: telemetry.bearing_deg: ");
        let of_survey = wanted.filter(|words| *words != "not that of a pole");
        for (said, wanted) in [(own, wanted), (survey, of_survey)] {
            match wanted {
                Some(words) => {
                    assert!(said.is_some_and(|s| s.contains(words)), "{bearing} {mount}");
                }
                None => assert_eq!(said, None, "{bearing} {mount} {source}"),
            }
        }
    }
}

#[test]
fn a_zone_says_when_and_where_it_is_judged_or_what_is_wrong() {
    let zone = |more: &str| {
        page(&format!(
            "[[zone]]\nname = \"a\"\ncamera = \"c\"\npolygon = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]\n{more}\n"
        ))
    };
    for (more, wanted) in [
        (
            "hours = [\"7-22\"]",
            ":5: zone[0].hours: \"7-22\" is no time of day",
        ),
        (
            "days = [\"Monday\"]",
            ":5: zone[0].days: \"Monday\" is not possible here",
        ),
        ("inertia = 2.0", ":5: zone[0].inertia: 2 is out of range"),
        (
            "threshold = [[0.1, 0.2], [0.3, 0.2]]",
            ":5: zone[0].threshold: only a shop",
        ),
        (
            "kind = \"shop_front\"\nthreshold = [[0.1, 0.2]]",
            ":6: zone[0].threshold: 1 points",
        ),
        (
            "kind = \"shop_front\"\nthreshold = [[0.1, 0.2], [0.1, 0.2]]",
            ":6: zone[0].threshold: the two points are as good as the same",
        ),
        (
            "approval_until = \"soon\"",
            ":5: zone[0].approval_until: \"soon\" is not a day",
        ),
    ] {
        let told = zone(more);
        assert!(told.contains(wanted), "{more}: {told}");
    }
    let remind = "[judge.out_of_store]\nfirst_time = \"remind\"\nhistory_days = 0\n";
    assert!(page(remind).contains("every time would be the first"));
}

#[test]
fn pictures_of_what_stands_are_never_asked_for_nearer_than_ten_seconds() {
    let told = |secs: &str| page(&format!("[evidence]\nspacing_min_secs = {secs}\n"));
    let refused = told("9.9");
    let mistake = ":2: evidence.spacing_min_secs: 9.9 is out of range";
    assert!(refused.contains(mistake), "{refused}");
    assert!(
        refused.contains("do not show that something stands"),
        "{refused}"
    );
    for sound in ["10", "10.0", "600"] {
        assert!(!told(sound).contains("spacing_min_secs"), "{sound}");
    }
}

/// The mistake about a limit that nothing meets, of one zone before one camera; all that is said goes with it.
fn unmet(kind: &str, camera: &str, more: &str) -> (Option<&'static str>, String) {
    let page = page(&format!(
        "[[camera]]\nname = \"c\"\n{camera}\n[[zone]]\nname = \"lane\"\ncamera = \"c\"\n\
         kind = \"{kind}\"\npolygon = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]\n{more}\n"
    ));
    let found = [ABSORBED, RARE, SLOW]
        .into_iter()
        .find(|m| page.contains(m));
    (found, page)
}

fn absorb(secs: u32) -> String {
    format!("[background]\nenabled = true\nabsorb_secs = {secs}\n")
}

const ABSORBED: &str =
    "background.absorb_secs: what stands in zone lane would be taken for the street";

const RARE: &str = "judge.spillage.within_secs: camera c is looked at more rarely";

const SLOW: &str = "camera[0].detect_rate: what the background finds in zone lane would be told";

#[test]
fn limits_that_nothing_can_ever_meet_are_refused() {
    let object = "roles = [\"goods\", \"object\"]";
    let spill = "[judge.spillage]\nsettle_secs = 40";
    // Vending waits 60 and 300 s, a shop 120 and 600; the warning and still_secs are 36 more, and for a change
    // in the picture half an hour.
    for (kind, camera, more, wanted) in [
        (
            "no_vending",
            "",
            format!("{object}\n{}", absorb(2195)),
            Some(ABSORBED),
        ),
        (
            "no_vending",
            "",
            format!("{object}\n{}", absorb(2196)),
            None,
        ),
        ("no_vending", "", absorb(60), None),
        (
            "no_vending",
            "mount = \"moving\"",
            format!("{object}\n{}", absorb(60)),
            None,
        ),
        (
            "shop_front",
            "",
            format!("{object}\n{}", absorb(2555)),
            Some(ABSORBED),
        ),
        (
            "shop_front",
            "",
            format!("{object}\n{}", absorb(2556)),
            None,
        ),
        ("road", "", format!("{}{spill}", absorb(75)), Some(ABSORBED)),
        ("road", "", format!("{}{spill}", absorb(76)), None),
    ] {
        let (found, page) = unmet(kind, camera, &more);
        assert_eq!(found, wanted, "{kind} {camera} {more}: {page}");
    }
}

#[test]
fn a_camera_that_is_looked_at_too_rarely_for_its_rule_is_refused() {
    for (kind, camera, more, wanted) in [
        ("road", "detect_rate = 0.2", String::new(), None),
        ("road", "detect_rate = 0.49", absorb(3600), Some(SLOW)),
        ("road", "detect_rate = 0.5", absorb(3600), None),
        (
            "road",
            "detect_rate = 0.49\ndetect_on = \"key_frames\"",
            absorb(3600),
            Some(SLOW),
        ),
        (
            "road",
            "detect_rate = 0.2\nmount = \"moving\"",
            absorb(3600),
            None,
        ),
        ("no_vending", "detect_rate = 0.2", absorb(3600), None),
        (
            "road",
            "detect_rate = 0.2",
            "[judge.spillage]\nwithin_secs = 4".to_owned(),
            Some(RARE),
        ),
    ] {
        let (found, page) = unmet(kind, camera, &more);
        assert_eq!(found, wanted, "{kind} {camera} {more}: {page}");
    }
}

//! The bureau's calendar of permits and holidays.

use super::*;

/// The page for a calendar beside a street with a kerb, a shop and a road.
fn calendar_page(calendar: &str) -> String {
    calendar_page_of("", calendar)
}

/// The page of a calendar beside a configuration whose camera has `mount`.
fn calendar_page_of(mount: &str, calendar: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let made = std::fs::File::create(folder.path().join("calendar.toml"));
    made.and_then(|mut f| std::io::Write::write_all(&mut f, calendar.as_bytes()))
        .expect("written");
    let zone = |name: &str, kind: &str| {
        format!(
            "[[zone]]\nname = \"{name}\"\ncamera = \"a\"\nkind = \"{kind}\"\n\
             polygon = [[0.1, 0.5], [0.9, 0.5], [0.9, 0.9]]\n"
        )
    };
    let text = [
        format!(
            "[[camera]]\nname = \"a\"\nurl = \"rtsp://h/\"\n{mount}\n[judge]\n\
             calendar = \"calendar.toml\"\n"
        ),
        zone("kerb", "no_vending"),
        zone("shop-12", "shop_front"),
        zone("lane", "road"),
    ];
    let page = match Config::parse_elsewhere(&folder.path().join("lingmou.toml"), &text.concat()) {
        Ok(_) => "no mistake".to_owned(),
        Err(mistakes) => mistakes.to_string(),
    };
    page.replace(&folder.path().display().to_string(), "/etc/lingmou")
}

#[test]
fn the_shipped_calendar_is_sound_with_its_example_on() {
    let shipped = std::fs::read_to_string(house().join("config/calendar.toml")).expect("shipped");
    assert_eq!(calendar_page(&shipped), "no mistake");
    let on = |line: &str| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => {
            key.to_owned()
        }
        _ => line.to_owned(),
    };
    let on: Vec<String> = shipped.lines().map(on).collect();
    let on = on.join("\n").replace("\"pavement\"", "\"kerb\"");
    assert_eq!(calendar_page(&on), "no mistake");
    let [mut wanted, mut written] = [BTreeSet::new(), BTreeSet::new()];
    let all = CalendarFile {
        permit: vec![calendar::PermitEntry::default()],
        ..CalendarFile::default()
    };
    keys(
        &toml::Value::try_from(&all).expect("serialises"),
        "",
        &mut wanted,
    );
    keys(&toml::from_str(&on).expect("parses"), "", &mut written);
    assert_eq!(written, wanted, "every key is in it");
}

#[test]
fn mistakes_of_the_calendar_are_named_with_file_and_line() {
    let permit = |more: &str| format!("[[permit]]\nid = \"P\"\nzones = [\"kerb\"]\n{more}");
    for (text, wanted) in [
        (
            permit("hours = [\"25:00-26:00\"]\n"),
            ":4: permit[0].hours: \"25:00-26:00\" is no time",
        ),
        (permit("hours = [\"08:00-08:00\"]\n"), ":4: permit[0].hours"),
        (
            permit("from = \"2026-02-30\"\n"),
            ":4: permit[0].from: \"2026-02-30\" is not a day",
        ),
        (
            permit("from = \"2026-05-02\"\nuntil = \"2026-05-01\"\n"),
            ":5: permit[0].until: it ends before it begins",
        ),
        (permit("roles = [\"stal\"]\n"), "did you mean \"stall\"?"),
        (
            permit("place = [[0.1, 0.1], [0.9, 0.9]]\n"),
            ":4: permit[0].place: 2 corners",
        ),
        (
            "[[permit]]\nid = \"P\"\nzones = [\"kreb\"]\n".to_owned(),
            "did you mean \"kerb\"?",
        ),
        (
            "[[permit]]\nid = \"P\"\nzones = [\"lane\"]\n".to_owned(),
            ":3: permit[0].zones: there is no such zone \"lane\"",
        ),
        ("[[permit]]\n".to_owned(), "permit[0].id: missing"),
        (
            "holidays = [\"1.10.2026\"]\n".to_owned(),
            ":1: holidays: \"1.10.2026\" is not a day",
        ),
        (
            "holidays = [\"2026-10-01\"]\nworkdays = [\"2026-10-01\"]\n".to_owned(),
            ":2: workdays: \"2026-10-01\" is a holiday as well",
        ),
    ] {
        let page = calendar_page(&text);
        assert!(page.contains(wanted), "{text}: {page}");
        assert!(page.contains("/etc/lingmou/calendar.toml:"), "{page}");
    }
}

#[test]
fn what_moves_has_no_place_in_its_picture() {
    let permit = "[[permit]]\nid = \"P\"\nzones = [\"kerb\"]\n";
    let part = format!("{permit}place = [[0.1, 0.5], [0.4, 0.5], [0.4, 0.9]]\n");
    let told = ":4: permit[0].place: the camera of zone \"kerb\" moves";
    for (mount, refused) in [
        ("", false),
        ("mount = \"fixed\"", false),
        ("mount = \"moving\"", true),
        ("mount = \"gimbal\"", true),
    ] {
        let page = calendar_page_of(mount, &part);
        assert_eq!(page.contains(told), refused, "{mount}: {page}");
        assert!(
            !calendar_page_of(mount, permit).contains("permit[0]"),
            "{mount}"
        );
    }
    let shop = |source: &str| {
        page(&format!(
            "[telemetry]\nsource = \"{source}\"\n[[camera]]\nname = \"c\"\n[[zone]]\nname = \"a\"\n\
             camera = \"c\"\nkind = \"shop_front\"\npolygon = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]\n\
             threshold = [[0.1, 0.2], [0.3, 0.2]]\n"
        ))
    };
    let told = ":10: zone[0].threshold: the camera moves";
    assert!(shop("gpsd").contains(told), "{}", shop("gpsd"));
    assert!(!shop("none").contains(told));
}

#[test]
fn two_permits_overlap_only_where_both_hold() {
    for (one, other, overlap) in [
        ("", "", true),
        (
            "hours = [\"08:00-12:00\"]",
            "hours = [\"12:00-14:00\"]",
            false,
        ),
        (
            "hours = [\"08:00-12:00\"]",
            "hours = [\"11:59-14:00\"]",
            true,
        ),
        (
            "hours = [\"22:00-02:00\"]",
            "hours = [\"01:00-03:00\"]",
            true,
        ),
        (
            "days = [\"sat\"]\nhours = [\"22:00-02:00\"]",
            "days = [\"sun\"]\nhours = [\"01:00-03:00\"]",
            true,
        ),
        (
            "days = [\"sun\"]\nhours = [\"22:00-02:00\"]",
            "days = [\"sun\"]\nhours = [\"01:00-03:00\"]",
            false,
        ),
        ("days = [\"workday\"]", "days = [\"holiday\"]", false),
        ("days = [\"mon\"]", "days = [\"holiday\"]", true),
        ("roles = [\"stall\"]", "roles = [\"umbrella\"]", false),
        ("roles = [\"stall\"]", "", true),
        ("until = \"2026-05-31\"", "from = \"2026-06-01\"", false),
        (
            "until = \"2026-05-31\"\nhours = [\"18:00-02:00\"]",
            "from = \"2026-06-01\"",
            true,
        ),
        (
            "until = \"2026-05-31\"\nhours = [\"18:00-02:00\"]",
            "from = \"2026-06-01\"\nhours = [\"08:00-20:00\"]",
            false,
        ),
        // 1 and 2 June 2026 are a Monday and a Tuesday.
        (
            "until = \"2026-06-02\"\ndays = [\"mon\", \"sat\"]",
            "from = \"2026-06-01\"\ndays = [\"tue\", \"sat\"]",
            false,
        ),
        (
            "place = [[0.1, 0.5], [0.4, 0.5], [0.4, 0.9]]",
            "place = [[0.5, 0.5], [0.9, 0.5], [0.9, 0.9]]",
            false,
        ),
    ] {
        let text = format!(
            "[[permit]]\nid = \"A\"\nzones = [\"kerb\"]\n{one}\n\
             [[permit]]\nid = \"B\"\nzones = [\"shop-12\", \"kerb\"]\n{other}\n"
        );
        let page = calendar_page(&text);
        let told = page.contains("it overlaps with \"A\" of line 1");
        assert_eq!(told, overlap, "{one} | {other}: {page}");
    }
}

#[test]
fn a_permit_that_never_holds_is_said() {
    for (times, never) in [
        (
            "from = \"2026-06-02\"\nuntil = \"2026-06-02\"\ndays = [\"mon\"]",
            true,
        ),
        (
            "from = \"2026-06-01\"\nuntil = \"2026-06-02\"\ndays = [\"mon\"]",
            false,
        ),
        ("from = \"2026-06-02\"\ndays = [\"mon\"]", false),
        (
            "from = \"2026-06-01\"\nuntil = \"2026-06-05\"\ndays = [\"holiday\"]",
            true,
        ),
    ] {
        let text = format!("[[permit]]\nid = \"A\"\nzones = [\"kerb\"]\n{times}\n");
        let page = calendar_page(&text);
        assert_eq!(page.contains("it never holds"), never, "{times}: {page}");
    }
}

//! What is shipped holds every key; what is wrong is told all at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sha2::Digest as _;

use super::*;

fn house() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn shipped() -> String {
    std::fs::read_to_string(house().join("config/lingmou.toml")).expect("the shipped file")
}

/// The shipped file with its example tables switched on: `#key = …`, not `# words`.
fn shipped_whole() -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => {
            key.to_owned()
        }
        _ => line.to_owned(),
    };
    shipped().lines().map(line).collect::<Vec<_>>().join("\n")
}

fn keys(value: &toml::Value, prefix: &str, found: &mut BTreeSet<String>) {
    match value {
        toml::Value::Table(table) => {
            for (name, value) in table {
                keys(value, &format!("{prefix}.{name}"), found);
            }
        }
        toml::Value::Array(list) if list.iter().all(toml::Value::is_table) && !list.is_empty() => {
            for value in list {
                keys(value, prefix, found);
            }
        }
        _ => {
            found.insert(prefix.to_owned());
        }
    }
}

#[test]
fn the_shipped_file_holds_every_key_with_its_default() {
    let switched_off: Config = toml::from_str(&shipped()).expect("parses");
    assert_eq!(switched_off, Config::default());

    let on: Config = toml::from_str(&shipped_whole()).expect("parses with its examples on");
    let camera = Camera {
        name: "front".to_owned(),
        ..Camera::default()
    };
    assert_eq!(on.camera, [camera]);
    assert_eq!(on.zone.len(), 1);
    assert_eq!(
        (on.zone[0].name.as_str(), on.zone[0].kind),
        ("pavement", ZoneKind::default())
    );

    let all = Config {
        camera: vec![Camera::default()],
        zone: vec![Zone::default()],
        telemetry: Telemetry {
            alt_m: Some(0.0),
            ..Telemetry::default()
        },
        warn: Warn {
            hours: vec![Hours::default()],
            outlet: vec![Outlet::default()],
            ..Warn::default()
        },
        ..Config::default()
    };
    let [mut wanted, mut written] = [BTreeSet::new(), BTreeSet::new()];
    let defaults = toml::Value::try_from(&all).expect("serialises");
    keys(&defaults, "", &mut wanted);
    let text: toml::Value = toml::from_str(&shipped_whole()).expect("parses");
    keys(&text, "", &mut written);
    assert_eq!(written, wanted);
}

#[test]
fn c2pa_is_refused_by_a_program_built_without_it() {
    let text = "[evidence]\nc2pa = true\n";
    let error = Config::parse(&house().join("x.toml"), text).expect_err("no camera");
    let told = error.list.iter().find(|m| m.key == "evidence.c2pa");
    assert_eq!(told.is_none(), cfg!(feature = "c2pa"), "{error}");
    if let Some(mistake) = told {
        assert_eq!((mistake.line, mistake.fix.as_str()), (2, "c2pa = false"));
    }
}

#[test]
fn the_shipped_file_lacks_only_what_a_box_brings() {
    let error =
        Config::parse(&house().join("config/lingmou.toml"), &shipped()).expect_err("no camera yet");
    let keys: Vec<&str> = error.list.iter().map(|m| m.key.as_str()).collect();
    assert!(keys.contains(&"camera"), "{error}");
    assert!(
        error
            .list
            .iter()
            .all(|m| m.key == "camera" || m.what.starts_with("no such")),
        "{error}"
    );
}

#[test]
fn the_profiles_lack_only_files_of_the_box() {
    for name in ["pole", "patrol-car", "drone"] {
        let path = house().join(format!("config/profiles/{name}.toml"));
        if let Err(error) = Config::read(&path) {
            let on_the_box = |m: &Mistake| {
                m.key == "keys.dir" || m.key.ends_with("password_file") || m.key == "model.card"
            };
            assert!(
                error
                    .list
                    .iter()
                    .all(|m| on_the_box(m) && m.what.starts_with("no such")),
                "{error}"
            );
        }
    }
}

/// A vendor who is promised five minutes must not be looked at again after two.
#[test]
fn each_grace_time_is_what_the_clip_says() {
    let page = std::fs::read_to_string(house().join("config/clips/README.md")).expect("the page");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let minutes: BTreeMap<&str, Option<f64>> = rows
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            (cells[0].trim_end_matches('`'), cells[3].parse().ok())
        })
        .collect();
    let mut promises = 0;
    for name in [
        "lingmou",
        "profiles/pole",
        "profiles/patrol-car",
        "profiles/drone",
        "profiles/demo",
    ] {
        let path = house().join(format!("config/{name}.toml"));
        let text = std::fs::read_to_string(&path).expect("a shipped file");
        let config: Config = toml::from_str(&text).expect("its keys are known");
        let (vending, shop) = (&config.judge.street_vending, &config.judge.out_of_store);
        for (clip, grace_secs) in [
            (&config.warn.street_vending, vending.grace_secs),
            (&config.warn.out_of_store, shop.grace_secs),
        ] {
            let clip = clip
                .file_name()
                .and_then(|name| name.to_str())
                .expect("a file");
            // One that asks for nothing promises no time.
            if let Some(minutes) = minutes[clip] {
                let promised = Duration::from_secs_f64(minutes * 60.0);
                let given = Duration::from_secs_f64(grace_secs);
                assert_eq!(given, promised, "{name}: {clip}");
                promises += 1;
            }
        }
    }
    assert_eq!(promises, 8, "the demonstration's clip asks for nothing");
}

/// The page for `text`, as if it were in a folder where nothing else is.
fn page(text: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("lingmou.toml");
    let page = match Config::parse(&path, text) {
        Ok(_) => "no mistake".to_owned(),
        Err(mistakes) => mistakes.to_string(),
    };
    page.replace(&folder.path().display().to_string(), "/etc/lingmou")
}

/// A snapshot without the whole file in its head.
macro_rules! snapshot {
    ($page:expr) => {
        insta::with_settings!({ omit_expression => true }, {
            insta::assert_snapshot!($page);
        })
    };
}

#[test]
fn ten_mistakes_are_told_at_once() {
    snapshot!(page(
        r#"
[device]
id = "pole 7"
time_zone = "Asia/Qingdao"

[[camera]]
name = "front"
url = "rtsp://admin:secret@192.168.1.64/stream1"
detect_rte = 5
password = "secret"

[[camera]]
name = "front"
kind = "rstp"

[model]
card = "models/none.toml"
threads = "two"

[[zone]]
name = "pavement"
camera = "fornt"
polygon = [[0.1, 0.1], [0.9, 0.9], [0.9, 0.1], [0.1, 0.9]]

[judge.street_vending]
roles = ["stal"]
grace_secs = -5

[warn]
volume = 11
volum = 1

[warn.speaker]
kind = "local"

[telemetry]
source = "fixed"

[evidence]
jpeg_quality = 900

[upload]
host = "mqtts://broker.example.cn"
port = 88830

[uplaod]
enabled = false
"#
    ));
}

#[test]
fn broken_lines_do_not_hide_the_rest() {
    snapshot!(page(
        r#"
[device
id = "pole 7"

[site]
name = unquoted
public_id = "1
approval = 5

[camera]
name = "front"

[[zone]]
name = "a"
polygon = [[0.1, 0.1],
  [0.9, 0.1],
  [0.9, 0.9]
kind = "rod"

[store]
keep_free_mib = 1
keep_free_mib = 2

[upload]
port = 0
enabled = yes
"#
    ));
}

#[test]
fn slips_of_a_chinese_keyboard_and_a_second_header_are_told_as_what_they_are() {
    for (text, wanted) in [
        (
            "[device]\nid = \u{201c}LC-7\u{201d}\n",
            ":2: \u{201c} is not \"",
        ),
        ("[device]\nid \u{ff1d} \"LC-7\"\n", ":2: \u{ff1d} is not ="),
        (
            "[[zone]]\npolygon = [[0.1\u{ff0c}0.1],\n [0.9,0.9]]\n",
            ":2: \u{ff0c} is not ,",
        ),
        (
            "[warn]\nstop_secs = 5\n[site]\n[warn] # again\nstop_secs = 6\n",
            ":4: [warn] is there already, on line 1",
        ),
    ] {
        let said = page(text);
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
}

#[test]
fn single_brackets_and_wrong_shapes() {
    snapshot!(page(
        r#"
warn = 3
zone = [{ name = "a", camera = "b", polygon = [[1, 2, 3], [0.5]] }]

[camera]
name = "front"

[device.id]
x = 1

[telemetry.mavlnk]
address = "x"
[telemetry.mavlnk.more]
y = 1
"#
    ));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::read(Path::new("/nowhere/lingmou.toml")).expect_err("is not there");
    assert!(
        error
            .to_string()
            .contains("/nowhere/lingmou.toml: cannot be read"),
        "{error}"
    );
}

#[test]
fn a_password_is_never_repeated() {
    for text in [
        "[[camera]]\nurl = \"rtsp://u:geheim@h/\"\n",
        "[[camera]]\npassword = \"geheim\"\n",
        "[[camera]]\nurl = \"u:geheim@h\"\n",
        "[[camera]]\nurl = \"rtsp://u:gehe/im@h/geheim\"\n",
    ] {
        assert!(!page(text).contains("geheim"), "{}", page(text));
    }
}

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
fn a_loudspeaker_on_the_network_needs_a_sound_address() {
    for (kind, url, wanted) in [
        ("onvif", "rtsp://192.0.2.1:8554/live", None),
        ("onvif", "", Some("missing")),
        ("onvif", "http://192.0.2.1/", Some("not an RTSP URL")),
        (
            "onvif",
            "rtsps://192.0.2.1/",
            Some("rtsps:// is not spoken here"),
        ),
        (
            "onvif",
            "rtsp://u:geheim@h/",
            Some("user and password in the URL"),
        ),
        ("hikvision", "http://192.0.2.1/", None),
        ("hikvision", "https://cam:8443", None),
        (
            "hikvision",
            "http://192.0.2.1/ISAPI",
            Some("with a path in it"),
        ),
        (
            "hikvision",
            "rtsp://192.0.2.1/",
            Some("not an address of the web"),
        ),
        ("http", "http://192.0.2.1/play", None),
        (
            "http",
            "rtsp://192.0.2.1/",
            Some("not an address of the web"),
        ),
        ("http", "http://u:geheim@h/", Some("with a user in it")),
    ] {
        let page = page(&format!(
            "[warn.speaker]\nkind = \"{kind}\"\nurl = \"{url}\"\n"
        ));
        let said = page
            .lines()
            .find_map(|line| line.split_once("warn.speaker.url: "));
        match wanted {
            Some(words) => assert!(said.is_some_and(|(_, s)| s.contains(words)), "{page}"),
            None => assert_eq!(said, None, "{page}"),
        }
        assert!(!page.contains("geheim"), "{page}");
    }
}

#[test]
fn paths_start_at_the_folder_of_the_file() {
    let mut config = Config::default();
    config.evidence.font = "/usr/share/fonts/x.ttf".into();
    config.resolve(Path::new("/etc/lingmou/lingmou.toml"));
    assert_eq!(config.keys.dir, Path::new("/etc/lingmou/keys"));
    assert_eq!(config.evidence.font, Path::new("/usr/share/fonts/x.ttf"));
    assert_eq!(config.evidence.wording, Path::new(""));
    assert_eq!(config.store.dir, Path::new("/var/lib/lingmou"));
    let mut config = Config::default();
    config.resolve(Path::new("lingmou.toml"));
    let here = std::env::current_dir().expect("a folder");
    assert_eq!(config.keys.dir, here.join("keys"));
}

#[test]
fn a_token_needs_names_and_a_program_that_knows_tokens() {
    let page =
        page("[keys]\nsuite = \"sm2\"\n[keys.token]\nmodule = \"driver.so\"\nkey_id = \"xyz\"\n");
    let wanted: &[&str] = if cfg!(feature = "pkcs11") {
        &[
            "keys.suite: \"sm2\" does not go with a token",
            "keys.token.module: no such file: /etc/lingmou/driver.so",
            "keys.token.label: missing",
            "keys.token.key_id: \"xyz\" is not an identifier",
            "keys.token.pin_file: no such file",
        ]
    } else {
        &["keys.token.module: this program was built without PKCS#11"]
    };
    for words in wanted {
        assert!(page.contains(words), "{words}: {page}");
    }
}

#[test]
fn a_whole_configuration_is_read_with_its_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        use std::io::Write as _;
        let path = folder.path().join(name);
        let made = std::fs::create_dir_all(path.parent().expect("has one"))
            .and_then(|()| std::fs::File::create(&path))
            .and_then(|mut f| f.write_all(text.as_bytes()));
        made.expect("written");
        path
    };
    file("keys/evidence.crt", "");
    file("card.toml", "");
    let words = include_str!("../../config/wording/caption-zh.toml");
    file("words.toml", &words.replace("首次发现", "初次发现"));
    let text = "\
[[camera]]\nname = \"a\"\nurl = \"rtsp://h/\"\n[model]\ncard = \"card.toml\"\n\
[evidence]\nwording = \"words.toml\"\n[upload]\nenabled = false\n";
    let path = file("lingmou.toml", text);
    let loaded = Config::read(&path).expect("no mistake");
    assert_eq!(
        loaded.wording.moment(crate::types::ShotKind::Found),
        "初次发现"
    );
    assert_eq!(loaded.config.model.card, folder.path().join("card.toml"));
    let by_another = sha2::Sha256::digest(text);
    assert_eq!(loaded.sha256, format!("{by_another:x}"));

    file(
        "words.toml",
        &words
            .replace("{place}", "{plaec}")
            .replace("[role]", "[rolle]"),
    );
    let error = Config::read(&path).expect_err("wrong words");
    assert!(error.to_string().contains("words.toml"), "{error}");
    file("words.toml", &words.replace("{place}", "{plaec}"));
    let error = Config::read(&path).expect_err("wrong words");
    assert!(
        error.to_string().contains("did you mean {place}?"),
        "{error}"
    );
}

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
fn no_password_is_in_a_command() {
    let told = |address: &str| {
        page(&format!(
            "[warn.microphone]\ncommand = [\"/bin/cat\", \"-i\", \"{address}\"]\n"
        ))
    };
    let with = told("rtsp://admin:secret@10.0.0.2/1");
    assert!(
        with.contains(":2: warn.microphone.command: user and password"),
        "{with}"
    );
    assert!(!with.contains("secret"), "{with}");
    for without in ["rtsp://10.0.0.2/1?at=a@b", "rtsp://10.0.0.2/a@b", "a@b"] {
        let page = told(without);
        assert!(!page.contains("warn.microphone.command"), "{page}");
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

#[test]
fn a_horn_is_on_a_vehicle_and_sure_to_be_no_motor() {
    let told = |telemetry: &str, horn: &str| {
        page(&format!(
            "[telemetry]\nsource = \"{telemetry}\"\n[warn.speaker]\nkind = \"mavlink\"\n\
             [warn.horn]\n{horn}\n"
        ))
    };
    for (telemetry, horn, wanted) in [
        ("gpsd", "", ":4: warn.speaker.kind: there is no vehicle"),
        (
            "mavlink",
            "drive = \"servo\"\nnumber = 3",
            ":7: warn.horn.number: output 3 may drive a motor",
        ),
        (
            "mavlink",
            "number = 16",
            ":6: warn.horn.number: there is no relay 16",
        ),
        (
            "mavlink",
            "drive = \"servo\"\nnumber = 9\non_us = 3000",
            ":8: warn.horn.on_us: 3000 is out of range",
        ),
        (
            "mavlink",
            "drive = \"servo\"\nnumber = 9\non_us = 1100",
            ": warn.horn.off_us: the same pulse",
        ),
        (
            "mavlink",
            "secs = 60.0",
            ":6: warn.horn.secs: 60 is out of range",
        ),
        (
            "mavlink",
            "drive = \"tune\"\ntune = \"叫\"",
            ":7: warn.horn.tune: not a tune",
        ),
    ] {
        let told = told(telemetry, horn);
        assert!(told.contains(wanted), "{horn}: {told}");
    }
    let long = |letters: usize| format!("drive = \"tune\"\ntune = \"{}\"", "C".repeat(letters));
    assert!(told("mavlink", &long(248)).contains(":7: warn.horn.tune: not a tune"));
    for horn in ["number = 0", "drive = \"servo\"\nnumber = 9", &long(247)] {
        let well = told("mavlink", horn);
        assert!(!well.contains("warn."), "{well}");
    }
}

#[test]
fn an_outlet_is_for_cameras_that_are_there_and_have_no_other() {
    let told = |outlet: &str| {
        page(&format!(
            "[[camera]]\nname = \"front\"\nurl = \"rtsp://a/b\"\n[[warn.outlet]]\n{outlet}\n"
        ))
    };
    let none = "cameras = [\"front\"]\n[warn.outlet.speaker]\n";
    for (outlet, wanted) in [
        ("", ":4: warn.outlet[0].cameras: for no camera"),
        (
            "cameras = [\"frond\"]",
            ":5: warn.outlet[0].cameras: there is no camera \"frond\"",
        ),
        (
            "cameras = [\"front\", \"front\"]",
            ":5: warn.outlet[0].cameras: \"front\" has a loudspeaker already",
        ),
        (
            &format!("{none}kind = \"mavlink\""),
            ":7: warn.outlet[0].speaker.kind: a vehicle has one horn",
        ),
        (
            &format!("{none}kind = \"onvif\"\nurl = \"http://a\""),
            ":8: warn.outlet[0].speaker.url: ",
        ),
        (
            &format!("{none}kind = \"local\""),
            "warn.identity: no such file",
        ),
    ] {
        let told = told(outlet);
        assert!(told.contains(wanted), "{outlet}: {told}");
    }
    let well = told(&format!("{none}kind = \"none\""));
    assert!(!well.contains("warn."), "{well}");
}

#[test]
fn a_microphone_is_a_program_or_a_network_camera_that_is_there() {
    let told = |microphone: &str| {
        page(&format!(
            "[[camera]]\nname = \"front\"\nurl = \"rtsp://a/b\"\n\
             [[camera]]\nname = \"film\"\nkind = \"file\"\npath = \"{}\"\n{microphone}\n",
            file!()
        ))
    };
    let outlet =
        "[[warn.outlet]]\ncameras = [\"front\"]\n[warn.outlet.microphone]\ncamera = \"frond\"";
    for (microphone, wanted) in [
        (
            "[warn.microphone]\ncamera = \"frond\"",
            ":9: warn.microphone.camera: there is no camera \"frond\"",
        ),
        (
            "[warn.microphone]\ncamera = \"film\"",
            ":9: warn.microphone.camera: \"film\" is no network camera",
        ),
        (
            "[warn.microphone]\ncamera = \"front\"\ncommand = [\"/bin/cat\"]",
            ":9: warn.microphone.camera: beside a command",
        ),
        (
            outlet,
            ":11: warn.outlet[0].microphone.camera: there is no camera \"frond\"",
        ),
    ] {
        let told = told(microphone);
        assert!(told.contains(wanted), "{microphone}: {told}");
    }
    let well = told("[warn.microphone]\ncamera = \"front\"");
    assert!(!well.contains("warn."), "{well}");
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

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..proptest::prelude::ProptestConfig::with_cases(256) })]

    #[test]
    fn no_text_makes_the_reader_panic(text in "[a-z\\[\\]={}\"'.,#0-9 \n_多-]{0,200}") {
        let _page = page(&text);
    }

    #[test]
    fn a_file_with_bytes_cut_out_is_read_or_refused(from in 0usize..6000, len in 1usize..80) {
        let text = shipped_whole();
        let cut: String = text
            .char_indices()
            .filter(|(i, _)| !(from..from + len).contains(i))
            .map(|(_, c)| c)
            .collect();
        let _page = page(&cut);
    }
}

#[test]
fn what_depends_on_no_mistake_is_told_from_what_does() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lingmou.toml");
    let put = |name: &str, text: &str| {
        let mut file = std::fs::File::create(dir.path().join(name)).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    };
    std::fs::create_dir(dir.path().join("keys")).unwrap();
    put("calendar.toml", "[[permit]]\nid = 7\n");
    for (text, spoilt, sound) in [
        (
            "[device]\nid = \"pole 7\"\n",
            "device.id",
            "device.time_zone",
        ),
        // The table that was meant is not there: its defaults say nothing.
        ("[uplaod]\nenabled = true\n", "upload.host", "warn"),
        (
            "[store]\ndir = /srv/x\nrun_dir = \"/run/x\"\n",
            "store.dir",
            "store.run_dir",
        ),
        ("[store]\nthe folder, please\n", "store.run_dir", "keys.dir"),
        (
            "[store\ndir = \"/srv/x\"\n[keys]\n",
            "store.dir",
            "keys.dir",
        ),
        ("[judge]\ncalendar = \"calendar.toml\"\n", "judge", "zone"),
        (
            "[judge.street_vending]\ngrace_secs = -5\n",
            "judge",
            "judge.calendar",
        ),
        ("[keys]\ndir = \"nowhere\"\n", "keys.dir", "keys.suite"),
        // Certificates lack in the folder of keys: each is looked at by itself.
        ("[keys]\ndir = \"keys\"\n", "camera", "keys.dir"),
    ] {
        put("lingmou.toml", text);
        let survey = Config::survey(&path).unwrap();
        assert!(survey.mistakes.is_some(), "{text}");
        let told = [spoilt, sound].map(|key| survey.spoilt(key).is_some());
        assert_eq!(told, [true, false], "{text}: {:?}", survey.spoilt);
    }
    // What is wrong elsewhere leaves the rest as it was written.
    put("lingmou.toml", "[store]\ndir = \"d\"\nmirror = 7\n");
    let survey = Config::survey(&path).unwrap();
    assert_eq!(survey.loaded.config.store.dir, dir.path().join("d"));
    let place = format!("{}:2", path.display());
    assert_eq!(survey.loaded.place("store.dir"), place);
    assert!(Config::survey(&dir.path().join("nowhere.toml")).is_err());
}

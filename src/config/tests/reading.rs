//! How a file is read: all its mistakes at once, each with its place, and never a password.

use sha2::Digest as _;

use super::*;

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
    let words = include_str!("../../../config/wording/caption-zh.toml");
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

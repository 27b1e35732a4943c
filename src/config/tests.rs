//! What is shipped holds every key; what is wrong is told all at once.

use std::collections::BTreeSet;

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
        warn: Warn {
            hours: vec![Hours::default()],
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

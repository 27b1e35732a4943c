//! The command line as a person meets it: pages, answers, exit codes.

#![expect(
    clippy::disallowed_methods,
    reason = "a test's files need not be durable"
)]

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;

use assert_cmd::Command;
use lingmou::config::Config;
use lingmou::pki::TestPki;
use lingmou::types::{CaseId, Outcome, Stamp, Violation};
use lingmou::witness::{FileEntry, Identity, Statement, ViolationFacts, seal, sha256_hex};
use serde_json::{Value, json};
use tempfile::TempDir;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The program in a bare environment: no locale, a terminal of 100 columns.
fn lingmou(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lingmou"));
    command.args(args).env_clear().env("COLUMNS", "100");
    // Coverage and sanitizers pass their own settings to children.
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command.current_dir(root());
    command
}

/// Exit code, standard output and standard error on one page, without what differs between
/// machines.
fn page(args: &[&str], dir: &Path) -> String {
    let out = lingmou(args).output().unwrap();
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes)
            .unwrap()
            .replace(&*dir.to_string_lossy(), "DIR")
            .replace(&*root().to_string_lossy(), "ROOT")
            .replace(env!("CARGO_PKG_VERSION"), "VERSION")
    };
    let (stdout, stderr) = (text(out.stdout), text(out.stderr));
    format!(
        "exit {}\n--- stdout\n{stdout}--- stderr\n{stderr}",
        out.status.code().unwrap_or(-1)
    )
}

const DEVICE: &str = "LM-CLI-1";

fn nowhere() -> &'static Path {
    Path::new("no-such-folder")
}

#[test]
fn help_of_every_command() {
    let overview = page(&["--help"], nowhere());
    insta::assert_snapshot!("help", overview);
    let listed = overview
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help");
    let mut names: Vec<&str> = listed.collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "archive",
            "check",
            "command",
            "demo",
            "enroll",
            "explain",
            "generate",
            "journal",
            "receive",
            "replay",
            "review",
            "run",
            "simulate",
            "status",
            "stop-speaking",
            "store",
            "verify",
        ]
    );
    for name in names {
        let help = page(&[name, "--help"], nowhere());
        assert!(help.contains("Examples:"), "{name} shows no example");
        insta::assert_snapshot!(format!("help-{name}"), help);
    }
}

#[test]
fn what_is_not_an_option_is_said_with_the_nearest() {
    insta::assert_snapshot!(page(&["check", "--onlin"], nowhere()), @r"
    exit 2
    --- stdout
    --- stderr
    error: unexpected argument '--onlin' found

      tip: a similar argument exists: '--online'

    Usage: lingmou check --online

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(page(&["chek"], nowhere()), @r"
    exit 2
    --- stdout
    --- stderr
    error: unrecognized subcommand 'chek'

      tip: a similar subcommand exists: 'check'

    Usage: lingmou [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
}

#[test]
fn an_error_has_its_cause_and_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("lingmou.toml");
    let shipped = fs::read_to_string(root().join("config/profiles/demo.toml")).unwrap();
    let card = root().join("models/efficientdet-lite0.toml");
    let text = shipped.replace(
        "../../models/efficientdet-lite0.toml",
        &card.to_string_lossy(),
    );
    fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let args = ["replay", "x.mp4", "--config", config, "--camera", "kitchen"];
    insta::assert_snapshot!(page(&args, dir.path()), @r#"
    exit 2
    --- stdout
    --- stderr
    error: the configuration has no camera "kitchen"
    hint: it has: street
    "#);
    let args = ["generate", "man", "/dev/null/man"];
    insta::assert_snapshot!(page(&args, dir.path()), @r"
    exit 2
    --- stdout
    --- stderr
    error: cannot make /dev/null/man
    caused by: Not a directory (os error 20)
    ");
}

#[test]
fn ten_mistakes_are_told_on_one_page() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config/lingmou.toml");
    fs::create_dir_all(dir.path().join("config/keys")).unwrap();
    fs::create_dir_all(dir.path().join("models")).unwrap();
    for (from, to) in [
        ("tests/data/config/ten-mistakes.toml", "config/lingmou.toml"),
        (
            "models/efficientdet-lite0.toml",
            "models/efficientdet-lite0.toml",
        ),
    ] {
        fs::copy(root().join(from), dir.path().join(to)).unwrap();
    }
    fs::write(dir.path().join("config/keys/evidence.crt"), "").unwrap();
    let config = config.to_str().unwrap();
    let said = page(&["check", "--config", config], dir.path());
    insta::assert_snapshot!("ten-mistakes", of_any_machine(&said));
    // A daemon that is started all the same says the same and does not start.
    let run = page(&["run", "--config", config], dir.path());
    assert!(run.starts_with("exit 2\n"), "{run}");
    assert!(
        run.contains("DIR/config/lingmou.toml:4: device.id: "),
        "{run}"
    );
    let json = lingmou(&["check", "--json", "--config", config])
        .output()
        .unwrap();
    let lines = String::from_utf8(json.stdout).unwrap();
    let keys: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| line["key"].clone())
        .filter(|key| !key.is_null())
        .collect();
    assert_eq!(keys.len(), 10, "{keys:?}");
}

/// What `lingmou check` says, without the lines about the machine it runs on.
fn of_any_machine(said: &str) -> String {
    let of_the_machine = ["ok     clock ", "ok     store ", "ok     run folder "];
    let ours = |line: &&str| !of_the_machine.iter().any(|begin| line.starts_with(begin));
    said.lines()
        .filter(ours)
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// Of a file that is no text nothing else can be looked at, and that is said.
#[test]
fn what_could_not_be_looked_at_is_said_last() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("lingmou.toml");
    fs::write(&config, b"[site]\nname = \"\xb8\xda\xcd\xa4\"\n").unwrap();
    let said = page(
        &["check", "--online", "--config", config.to_str().unwrap()],
        dir.path(),
    );
    insta::assert_snapshot!(said, @r#"
    exit 1
    --- stdout
    DIR/lingmou.toml:2: not UTF-8; it looks like GBK ("ANSI")
        expected: a text file in UTF-8
        fix: save it as UTF-8 in the editor, or: iconv -f GBK -t UTF-8 OLD > NEW
    1 mistake in DIR/lingmou.toml
    --     everything else    not looked at until the file can be read: keys, model, clips, passwords, cameras, broker, loudspeakers
    --- stderr
    "#);
}

/// What could not be told must not look like done; a reader who has enough is no fault.
#[test]
fn output_that_nobody_gets_ends_the_command() {
    let generate = |stdout: std::process::Stdio| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lingmou"));
        command
            .args(["generate", "completions", "bash"])
            .stdout(stdout);
        let out = command
            .stderr(std::process::Stdio::piped())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        (out.status.code(), said)
    };
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let (code, said) = generate(full.into());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("the output cannot be written"), "{said}");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(generate(writer.into()), (Some(141), String::new()));
}

/// Names from elsewhere need not be UTF-8; what is told of them is.
#[test]
fn a_file_name_in_another_encoding_is_no_panic() {
    use std::os::unix::ffi::OsStrExt as _;

    let dir = tempfile::tempdir().unwrap();
    let pki = TestPki::create(&dir.path().join("pki"), DEVICE).unwrap();
    let name = dir
        .path()
        .join(std::ffi::OsStr::from_bytes(b"\xd6\xd0.asice"));
    // The beginning of a package: what is none is not judged.
    fs::write(&name, b"PK\x03\x04").unwrap();
    let mut verify = lingmou(&["verify", "--json", "--roots"]);
    let out = verify.arg(pki.root()).arg(&name).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    let line: Value = serde_json::from_str(said.trim()).unwrap();
    assert_eq!(
        (out.status.code(), &line["valid"]),
        (Some(1), &false.into()),
        "{said}"
    );
}

/// The shipped profiles, each in a folder like a box's, with keys and passwords.
#[test]
fn the_shipped_profiles_pass_the_check() {
    for name in ["pole", "patrol-car", "drone"] {
        let dir = tempfile::tempdir().unwrap();
        let profiles = dir.path().join("config/profiles");
        fs::create_dir_all(&profiles).unwrap();
        fs::create_dir_all(dir.path().join("models")).unwrap();
        fs::create_dir_all(dir.path().join("config/clips")).unwrap();
        for file in [
            "models/efficientdet-lite0.toml",
            "models/efficientdet-lite0.onnx",
            "config/clips/identity.wav",
            "config/clips/street_vending.wav",
            "config/clips/out_of_store.wav",
        ] {
            fs::copy(root().join(file), dir.path().join(file)).unwrap();
        }
        let config = profiles.join(format!("{name}.toml"));
        let shipped = root().join(format!("config/profiles/{name}.toml"));
        fs::copy(shipped, &config).unwrap();
        for password in ["east", "west", "roof"] {
            let path = profiles.join(format!("{password}.password"));
            fs::write(&path, "secret\n").unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            fs::set_permissions(&path, mode).unwrap();
        }
        let read = Config::read_elsewhere(&config).unwrap().config;
        let pki = TestPki::create(&dir.path().join("pki"), &read.device.id).unwrap();
        fs::rename(&pki.device, profiles.join("keys")).unwrap();
        let said = page(&["check", "--config", config.to_str().unwrap()], dir.path());
        // 12 years less the moment since the keys were made.
        let said = said.replace("4379 more days", "4380 more days");
        insta::assert_snapshot!(format!("check-{name}"), of_any_machine(&said));
    }
}

/// Without any font there is no caption at all, ASCII or not, and that is what is said.
#[test]
fn a_box_without_a_font_is_told_that_its_pictures_have_no_caption() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[[camera]]\nname = \"gate\"\nurl = \"rtsp://h/\"\n[model]\ncard = \"card.toml\"\n\
                [warn.speaker]\nkind = \"none\"\n[upload]\nenabled = false\n";
    let config = dir.path().join("lingmou.toml");
    fs::write(&config, text).unwrap();
    for folder in ["keys", "fonts"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    for name in ["keys/evidence.crt", "card.toml"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let fonts = dir.path().join("fonts.conf");
    let folder = dir.path().join("fonts");
    let listed = format!("<fontconfig><dir>{}</dir></fontconfig>", folder.display());
    fs::write(&fonts, listed).unwrap();
    let mut check = lingmou(&["check", "--config", config.to_str().unwrap()]);
    let said = check.env("FONTCONFIG_FILE", &fonts).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let line = said.lines().find(|line| line.contains("captions")).unwrap();
    assert!(line.starts_with("WRONG"), "{line}");
    assert!(
        line.ends_with(
            " no font at all, marked pictures have neither caption nor labels; install \
             fonts-wqy-microhei or set evidence.font"
        ),
        "{line}"
    );
}

/// A key that others may read is refused; a password that they may read is at least told.
#[test]
fn a_password_that_lies_open_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("lingmou.toml");
    let text = "[[camera]]\nname = \"gate\"\nurl = \"rtsp://h/\"\nuser = \"u\"\n\
                password_file = \"gate.password\"\n[model]\ncard = \"card.toml\"\n\
                [warn.speaker]\nkind = \"none\"\n\
                password_file = \"horn.password\"\n";
    fs::create_dir(dir.path().join("keys")).unwrap();
    let empty = ["evidence.crt", "transport.crt", "roots.crt"].map(|name| format!("keys/{name}"));
    for name in empty.iter().map(String::as_str).chain(["card.toml"]) {
        fs::write(dir.path().join(name), "").unwrap();
    }
    fs::write(&config, text).unwrap();
    let check = |mode: u32| {
        for name in ["gate.password", "horn.password"] {
            let path = dir.path().join(name);
            fs::write(&path, "secret\n").unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            fs::set_permissions(&path, mode).unwrap();
        }
        page(&["check", "--config", config.to_str().unwrap()], dir.path())
    };
    for (mode, told) in [(0o600, false), (0o644, true)] {
        let said = check(mode);
        for line in [
            "WRONG  camera gate        DIR/lingmou.toml:5: camera[0].password_file: ",
            "WRONG  loudspeaker        DIR/lingmou.toml:10: warn.speaker.password_file: ",
        ] {
            assert_eq!(said.contains(line), told, "{mode:o} {line}: {said}");
        }
        assert_eq!(said.contains("mode 0644 lets others read"), told, "{said}");
    }
}

/// The unit runs `check` before each start: it must end, whatever hangs.
#[test]
fn a_second_medium_that_hangs_does_not_hold_up_the_check() {
    let dir = tempfile::tempdir().unwrap();
    let medium = dir.path().join("medium");
    fs::create_dir(&medium).unwrap();
    // Reading a pipe that nobody writes to never ends, like reading from a server that is away.
    let (pipe, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
    let marker = medium.join("lingmou-mirror.json");
    rustix::fs::mknodat(rustix::fs::CWD, &marker, pipe, mode, 0).unwrap();
    let config = dir.path().join("lingmou.toml");
    fs::create_dir(dir.path().join("keys")).unwrap();
    let empty = ["evidence.crt", "transport.crt", "roots.crt"].map(|name| format!("keys/{name}"));
    for name in empty.iter().map(String::as_str).chain(["card.toml"]) {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let text = format!(
        "[[camera]]\nname = \"gate\"\nurl = \"rtsp://h/\"\n[model]\ncard = \"card.toml\"\n\
         [store]\nmirror = {medium:?}\n"
    );
    fs::write(&config, text).unwrap();
    let said = page(&["check", "--config", config.to_str().unwrap()], dir.path());
    assert!(said.contains("WRONG  second copy "), "{said}");
    assert!(said.contains("DIR/medium does not answer"), "{said}");
}

/// A daemon that answers one caller with `text`.
fn answering(run_dir: &Path, text: String) -> std::thread::JoinHandle<()> {
    let listener = UnixListener::bind(run_dir.join("status.sock")).unwrap();
    std::thread::spawn(move || {
        let (mut caller, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut caller, text.as_bytes()).unwrap();
    })
}

fn status() -> Value {
    json!({
        "v": 1, "program": "lingmou VERSION", "device": "LC-POLE-0007", "pid": 4711,
        "at": "2026-08-01T02:03:04.567Z", "up_secs": 3600,
        "clock": { "synced": true, "max_error_us": 1500 },
        "certificates": {
            "evidence": { "not_after": "2038-08-01T00:00:00.000Z", "days_left": 4382, "expired": false },
            "transport": { "not_after": "2026-10-01T00:00:00.000Z", "days_left": 60, "expired": false },
        },
        "cameras": { "east": {
            "phase": "playing", "cause": null, "dropped": 3,
            "main": { "codec": "h264", "width": 1920, "height": 1080, "units_in": 90_000,
                "offered": 18_000, "reconnects": 0 },
        } },
        "eye": { "detected": 17_997, "gated": 0, "blind": 0, "waited_for_keeper": 0,
            "open_cases": 1, "latency_ms_p50": 21, "latency_ms_p95": 40 },
        "keeper": { "pictures": 8, "sealed": 1, "discarded": 0, "waiting": 0, "trouble": null },
        "store": { "pending": { "packages": 1, "bytes": 812_345 }, "free_bytes": 52_000_000_000_u64,
            "oldest_pending_ms": 1_785_549_700_000_i64, "stamps": { "kept": 5, "due": 2 } },
        "store_trouble": null,
        "voice": { "speaking": false, "stopped_by": null, "silent_secs": null, "stops": 0,
            "hour_unknown": false, "said": 4, "hushed": 2, "failed": 0, "trouble": null },
        "telemetry": { "source": "fixed", "fix": "surveyed", "connected": true,
            "last_message_age_ms": 250 },
        "upload": { "connected": true, "receipted": 7, "refused": 0, "cause": null,
            "stamp_cause": null, "link": { "profile": "metered", "why": "configured",
            "today_bytes": 12_900_000, "budget_bytes": 52_428_800, "held": 3 } },
    })
}

#[test]
fn the_status_of_a_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let run_dir = dir.path().to_str().unwrap();
    let args = ["status", "--run-dir", run_dir];
    insta::assert_snapshot!("status-no-daemon", page(&args, dir.path()));

    let socket = dir.path().join("status.sock");
    let daemon = answering(dir.path(), status().to_string());
    insta::assert_snapshot!("status-well", page(&args, dir.path()));
    daemon.join().unwrap();
    fs::remove_file(&socket).unwrap();

    let mut ill = status();
    ill["clock"] = json!({ "synced": false, "max_error_us": null });
    ill["certificates"] = json!({
        "evidence": { "not_after": "2026-08-01T00:00:00.000Z", "days_left": -1, "expired": true },
        "transport": { "not_after": "2026-08-14T00:00:00.000Z", "days_left": 12, "expired": false },
    });
    ill["held"] = json!(
        "/etc/lingmou/keys/evidence.crt: expired on 2026-08-01T00:00:00.000Z; have it renewed"
    );
    ill["configuration"] = json!({ "command": "0198f0a2-0000-7000-8000-000000000009" });
    ill["telemetry"] = json!({ "source": "none", "fix": null, "connected": false,
        "last_message_age_ms": null });
    ill["cameras"]["east"]["phase"] = json!("failed");
    ill["cameras"]["east"]["cause"] = json!("wrong user or password");
    ill["cameras"]["east"]["view"] =
        json!({ "view": "moved", "since": "2026-08-01T01:00:00.000Z" });
    ill["keeper"]["trouble"] = json!("the evidence disk is full");
    ill["voice"]["hour_unknown"] = json!(true);
    ill["voice"]["stopped_by"] = json!("officer-7");
    ill["voice"]["silent_secs"] = json!(3_540);
    ill["voice"]["trouble"] = json!("the sound output hangs");
    ill["upload"] = json!({ "connected": false, "receipted": 7, "refused": 0,
        "cause": "nobody listens at broker:8883",
        "link": { "profile": "quiet", "why": "budget_spent", "today_bytes": 52_533_658,
            "budget_bytes": 52_428_800, "held": 0 },
        "stamp_cause": "no receiver takes time-stamp queries" });
    let daemon = answering(dir.path(), ill.to_string());
    insta::assert_snapshot!("status-ill", page(&args, dir.path()));
    daemon.join().unwrap();
    fs::remove_file(&socket).unwrap();

    let daemon = answering(dir.path(), ill.to_string());
    let out = lingmou(&["status", "--json", "--run-dir", run_dir])
        .output()
        .unwrap();
    daemon.join().unwrap();
    assert_eq!(out.status.code(), Some(1));
    assert_eq!(serde_json::from_slice::<Value>(&out.stdout).unwrap(), ill);

    fs::remove_file(&socket).unwrap();
    let daemon = answering(dir.path(), "HTTP/1.1 400 Bad Request".to_owned());
    let said = page(&args, dir.path());
    daemon.join().unwrap();
    assert!(said.starts_with("exit 2\n"), "{said}");
    assert!(said.contains("DIR/status.sock does not answer: "), "{said}");
}

/// What is stated of a case without a warning.
fn statement(at: Stamp, files: Vec<FileEntry>) -> Statement {
    let violation = ViolationFacts {
        rule: "record-at-once".to_owned(),
        dwell_s: Some(0),
        ..ViolationFacts::bare(Violation::Spillage, Outcome::Recorded, at)
    };
    let id = CaseId(uuid::Uuid::now_v7());
    let mut statement = Statement::bare(DEVICE, id, violation, at);
    "road".clone_into(&mut statement.camera.id);
    statement.files = files;
    statement
}

/// A package of two files, sealed with the test authority's device key.
fn package(dir: &Path) -> (TestPki, std::path::PathBuf) {
    let pki = TestPki::create(&dir.join("pki"), DEVICE).unwrap();
    let at = Stamp {
        utc_ns: lingmou::clock::now().utc_ns,
        boot_ns: 1,
        error_ns: 2_000_000,
    };
    let files = [
        ("frames/01-peak.jpg", "image/jpeg", b"picture".as_slice()),
        ("detections.jsonl", "application/jsonl", b"{}\n"),
    ];
    let utc = lingmou::clock::rfc3339_ms(at.utc_ns);
    let entry = |(name, media_type, bytes): &(&str, &str, &[u8])| FileEntry {
        name: (*name).to_owned(),
        media_type: (*media_type).to_owned(),
        size: bytes.len() as u64,
        sha256: sha256_hex(bytes),
        at: Some(utc.clone()),
        pts_ns: None,
        capture_source: None,
        of: None,
        quality: None,
    };
    let statement = statement(at, files.iter().map(entry).collect());
    let identity = Identity::load(&pki.device, "evidence").unwrap();
    let sealed = seal(&statement, &identity, at).unwrap();
    let folder = dir.join("package");
    let parts = sealed.parts().into_iter();
    let files = files.iter().map(|(name, _, bytes)| (*name, *bytes));
    for (name, bytes) in parts.chain(files) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    (pki, folder)
}

/// A device numbers without gaps: what lies between two packages was not shown.
#[test]
fn verify_names_the_numbers_that_are_not_among_several_packages() {
    let dir = tempfile::tempdir().unwrap();
    let (pki, _) = package(dir.path());
    let identity = Identity::load(&pki.device, "evidence").unwrap();
    let at = Stamp {
        utc_ns: lingmou::clock::now().utc_ns,
        boot_ns: 1,
        error_ns: 2_000_000,
    };
    for seq in [9, 3, 5] {
        let mut statement = statement(at, Vec::new());
        statement.seq = seq;
        let sealed = seal(&statement, &identity, at).unwrap();
        for (name, bytes) in sealed.parts() {
            let path = dir.path().join(seq.to_string()).join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
    let verify = |packages: &[&str], args: &[&str]| {
        let packages = packages.iter().map(|name| dir.path().join(name));
        let mut verify = lingmou(&["verify", "--roots"]);
        let out = verify.arg(pki.root()).args(packages).args(args).output();
        let out = out.unwrap();
        assert_eq!(out.status.code(), Some(0), "it is no verdict");
        String::from_utf8(out.stdout).unwrap()
    };
    let english = verify(&["9", "3", "5"], &["--lang", "en"]);
    let note = format!("Note: numbers 4, 6–8 of device {DEVICE} are not among these packages");
    assert!(english.contains(&note), "{english}");
    let chinese = verify(&["9", "3", "5"], &["--lang", "zh"]);
    assert!(chinese.contains("第 4, 6–8 号"), "{chinese}");
    let alone = verify(&["9"], &["--lang", "en"]);
    assert!(!alone.contains("not among"), "{alone}");
    assert_eq!(verify(&["9", "3"], &["--json"]).lines().count(), 2);
}

#[test]
fn verify_answers_with_its_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let (pki, folder) = package(dir.path());
    let (package, roots) = (folder.to_str().unwrap(), pki.root());
    let roots = roots.to_str().unwrap();
    let verify = |args: &[&str]| {
        let all = [&["verify", package, "--roots", roots], args].concat();
        let out = lingmou(&all).output().unwrap();
        let code = out.status.code();
        (String::from_utf8(out.stdout).unwrap(), code)
    };
    let (english, code) = verify(&["--lang", "en"]);
    assert_eq!(code, Some(0), "{english}");
    assert!(english.contains("VALID"), "{english}");
    assert!(!english.contains("NOT VALID"), "{english}");
    let (chinese, code) = verify(&["--lang", "zh"]);
    assert_eq!(code, Some(0));
    assert_ne!(chinese, english);
    let (json, code) = verify(&["--json"]);
    assert_eq!(code, Some(0));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["valid"], &json["package"]),
        (&json!(true), &json!(package))
    );

    fs::write(folder.join("detections.jsonl"), "{ }\n").unwrap();
    let (page, code) = verify(&["--lang", "en"]);
    assert_eq!(code, Some(1), "{page}");
    assert!(page.contains("detections.jsonl"), "{page}");
    let (json, code) = verify(&["--json"]);
    assert_eq!(code, Some(1));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["valid"], json!(false));

    // Another bureau's roots; one bad package among good ones; nothing to check.
    let other = TestPki::create(&dir.path().join("other"), "LM-X").unwrap();
    let args = ["verify", package, "--roots", other.root().to_str().unwrap()].map(str::to_owned);
    let out = lingmou(&args.each_ref().map(String::as_str))
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(1));
    // What is not there, or is no package, is not judged; what comes after it is.
    let missing = dir.path().join("nothing");
    let letter = dir.path().join("letter.txt");
    fs::write(&letter, "no package").unwrap();
    let pki = dir.path().join("pki");
    let nothing = [&missing, &letter, &pki].map(|path| path.to_str().unwrap());
    let out = lingmou(&["verify", "--json", "--roots", roots])
        .args(nothing)
        .arg(package)
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(2));
    let said = String::from_utf8(out.stderr).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    for (line, path) in lines.iter().zip(nothing) {
        assert!(line.starts_with(&format!("error: {path}")), "{said}");
    }
    let judged: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(judged["package"], json!(package), "one line, of the last");
}

#[test]
fn keys_are_made_once() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    let args = [
        "enroll",
        "--dir",
        keys.to_str().unwrap(),
        "--device",
        "LC-POLE-0007",
        "--organisation",
        "Licang Urban Management",
    ];
    insta::assert_snapshot!("enroll-first", page(&args, dir.path()));
    let key = |name: &str| fs::read(keys.join(name)).unwrap();
    let made = [key("evidence.key"), key("transport.key")];
    insta::assert_snapshot!("enroll-again", page(&args, dir.path()));
    assert_eq!([key("evidence.key"), key("transport.key")], made);
}

#[test]
fn man_pages_and_completions_are_made() {
    let dir = TempDir::new().unwrap();
    let man = dir.path().join("man1");
    let out = lingmou(&["generate", "man", man.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(out.status.success());
    let mut pages: Vec<String> = fs::read_dir(&man)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    for name in ["lingmou.1", "lingmou-run.1", "lingmou-verify.1"] {
        assert!(pages.iter().any(|p| p == name), "{pages:?}");
    }
    let text = fs::read_to_string(man.join("lingmou-verify.1")).unwrap();
    assert!(text.starts_with(".ie") || text.contains(".TH"), "{text}");
    assert!(text.contains("Exit code: 0 all valid"), "{text}");
    let typed = ".SH EXAMPLES\n.nf\n  lingmou verify case.asice";
    assert!(text.contains(typed) && text.contains("\n.fi\n"), "{text}");

    let out = lingmou(&["generate", "completions", "bash"])
        .output()
        .unwrap();
    let script = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success());
    for word in ["_lingmou()", "--roots", "complete -F _lingmou"] {
        assert!(script.contains(word), "{word}");
    }
    let checked = std::process::Command::new("bash")
        .args(["-n", "-c", &script])
        .status()
        .unwrap();
    assert!(checked.success(), "bash does not read it");
}

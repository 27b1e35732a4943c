//! `lingmou check` before a box is hung up: every mistake in one round, and what answers over a wire.

use std::io::{Read as _, Write as _};

use super::*;

/// A box in a folder, and what `lingmou check` says of it.
pub(super) struct Checked {
    dir: TempDir,
    pub(super) profile: DocumentMut,
    /// Which of GStreamer's elements is taken before which; `NONE`: as if it were not installed.
    pub(super) ranks: &'static str,
}

impl Checked {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pki = TestPki::create(&dir.path().join("pki"), DEVICE).unwrap();
        let mut profile = profile(dir.path(), &pki.device);
        profile["upload"]["enabled"] = value(false);
        Self {
            dir,
            profile,
            ranks: "",
        }
    }

    pub(super) fn secret(&self, name: &str, text: &str, mode: u32) {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(&path, mode).unwrap();
    }

    fn check(&self, more: &[&str]) -> (String, Option<i32>) {
        let config = self.dir.path().join("lingmou.toml");
        fs::write(&config, self.profile.to_string()).unwrap();
        let out = Command::new(env!("CARGO_BIN_EXE_lingmou"))
            .args(["check", "--config"])
            .arg(config)
            .args(more)
            .current_dir(root())
            .env_remove("JOURNAL_STREAM")
            .env("GST_PLUGIN_FEATURE_RANK", self.ranks)
            .output()
            .unwrap();
        // Findings say what is wrong; a log would say it again, between them.
        assert_eq!(String::from_utf8_lossy(&out.stderr), "");
        let said = String::from_utf8(out.stdout).unwrap();
        let said = said.replace(&*self.dir.path().to_string_lossy(), "DIR");
        (said, out.status.code())
    }

    /// The finding of `--online` that is called `what`.
    pub(super) fn online(&self, what: &str) -> Value {
        let (said, code) = self.check(&["--online", "--json"]);
        let found: Vec<Value> = said
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let wrong = found.iter().any(|f| f["ok"] == false);
        assert_eq!(code, Some(i32::from(wrong)), "{said}");
        found.into_iter().find(|f| f["what"] == what).expect(&said)
    }
}

/// Whether it is `ok`, and has these words.
pub(super) fn says(found: &Value, ok: impl Into<Value>, words: &str) {
    let word = found["word"].as_str().unwrap();
    assert!(found["ok"] == ok.into() && word.contains(words), "{found}");
}

#[test]
fn one_mistake_in_the_file_hides_no_other() {
    let mut checked = Checked::new();
    for (name, mode) in [
        ("street.password", 0o644),
        ("pki/device/evidence.key", 0o644),
    ] {
        let path = checked.dir.path().join(name);
        let text = fs::read_to_string(path).unwrap_or_else(|_| "secret\n".to_owned());
        checked.secret(name, &text, mode);
    }
    fs::write(checked.dir.path().join("noise.wav"), "no sound\n").unwrap();
    fs::write(checked.dir.path().join("card.toml"), "no card\n").unwrap();
    let profile = &mut checked.profile;
    profile["camera"][0]["password_file"] = value("street.password");
    profile["camera"][0]["user"] = value("box");
    profile["model"]["card"] = value("card.toml");
    profile["warn"]["street_vending"] = value("noise.wav");
    profile["upload"]["enabled"] = value(true);
    profile["upload"]["hots"] = value("broker");
    let (said, code) = checked.check(&[]);
    assert_eq!(code, Some(1), "{said}");
    for line in [
        "upload.hots: unknown key hots",
        "1 mistake in DIR/lingmou.toml",
        "WRONG  evidence key       DIR/lingmou.toml:",
        "--     transport key      not looked at until upload.hots is mended",
        "ok     root certificates  ",
        "WRONG  model              DIR/lingmou.toml:",
        "--     rules              not looked at until the model is mended",
        "WRONG  clips              DIR/lingmou.toml:",
        "WRONG  camera street      DIR/lingmou.toml:",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
}

#[test]
fn a_camera_is_found_refused_or_does_not_let_us_in() {
    let mut checked = Checked::new();
    let door = Door {
        login: Some(("box".to_owned(), "p@ss 密码".to_owned())),
        ..Door::default()
    };
    let mount = Mount {
        path: STREAM.to_owned(),
        show: Show::Clip(footage().path().to_owned(), Codec::H264),
    };
    let server = RtspServer::start_behind(door, &[mount]).unwrap();
    let camera = &mut checked.profile["camera"][0];
    camera["url"] = value(server.url(STREAM));
    camera["user"] = value("box");
    camera["password_file"] = value("street.password");
    checked.secret("street.password", "p@ss 密码\n", 0o600);
    let live = "camera street live";
    says(&checked.online(live), true, "h264 ");
    checked.secret("street.password", "another\n", 0o600);
    let refused = checked.online(live);
    says(&refused, false, "wrong user or password");
    says(&refused, false, "DIR/lingmou.toml:");
    says(&refused, false, ": camera[0].url: ");
    drop(server);
    says(
        &checked.online(live),
        false,
        "the camera refuses the connection",
    );
}

#[test]
fn a_loudspeaker_is_tried_or_said_not_to_be() {
    let mut checked = Checked::new();
    // Nobody is at the camera's address, which is not the question here.
    checked.profile["camera"][0]["url"] = value("rtsp://127.0.0.1:9/");
    let speaker = &mut checked.profile["warn"]["speaker"];
    speaker["kind"] = value("http");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = listener.local_addr().unwrap();
    speaker["url"] = value(format!("http://{at}/play"));
    let horn = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer).unwrap();
    });
    says(
        &checked.online("loudspeaker"),
        true,
        "it answers (404); nothing was played",
    );
    horn.join().unwrap();
    let refused = checked.online("loudspeaker");
    says(&refused, false, "check its address, that it has power");
    says(&refused, false, ": warn.speaker.url: ");
    let speaker = &mut checked.profile["warn"]["speaker"];
    speaker["kind"] = value("command");
    let player: toml_edit::Array = ["/bin/false", "-"].into_iter().collect();
    speaker["command"] = value(player);
    let found = checked.online("loudspeaker");
    says(
        &found,
        Value::Null,
        "program /bin/false is there; it was not started",
    );
}

#[test]
fn a_vehicle_with_a_horn_is_heard_or_not() {
    let mut checked = Checked::new();
    checked.profile["camera"][0]["url"] = value("rtsp://127.0.0.1:9/");
    checked.profile["warn"]["speaker"]["kind"] = value("mavlink");
    let port = {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.local_addr().unwrap()
    };
    checked.profile["telemetry"]["mavlink"]["address"] = value(format!("udpin:{port}"));
    let silent = checked.online("loudspeaker");
    says(&silent, false, "no vehicle is heard at udpin:127.0.0.1:");
    says(&silent, false, ": warn.speaker.kind: ");
    let _vehicle = Vehicle::start(port, CENTRE).unwrap();
    let heard = checked.online("loudspeaker");
    says(&heard, true, "vehicle 1 is heard; its horn was not sounded");
}

/// A label that is longer than its column does not run into what follows.
#[test]
fn a_long_label_keeps_its_distance() {
    let mut checked = Checked::new();
    add_street_speaker(&mut checked.profile);
    let (said, _) = checked.check(&[]);
    let label = "ok     spoken texts of street ";
    assert!(said.lines().any(|line| line.starts_with(label)), "{said}");
}

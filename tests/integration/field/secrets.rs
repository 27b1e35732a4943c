//! No key and no password is in the log, however much that says.

use base64ct::{Base64, Encoding};
use p256::SecretKey;
use p256::pkcs8::DecodePrivateKey;

use super::*;

const USER: &str = "box";
const PASSWORD: &str = "p@ss 密码-1953";

/// The ways in which a program might write these bytes.
fn ways(bytes: &[u8]) -> Vec<Vec<u8>> {
    let hex = bytes
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let listed = format!("{bytes:?}");
    let listed = listed.trim_matches(['[', ']']).to_owned();
    let encoded = Base64::encode_string(bytes);
    let texts = [hex.to_uppercase(), hex, listed, encoded];
    let texts = texts.into_iter().map(String::into_bytes);
    texts.chain([bytes.to_vec()]).collect()
}

/// Each way of writing one of the keys in `keys`, with the name of its file.
fn keys_of(keys: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let mut all = Vec::new();
    for name in ["evidence.key", "transport.key"] {
        let pem = fs::read_to_string(keys.join(name)).unwrap();
        let lines = pem.lines().filter(|line| !line.starts_with("-----"));
        all.extend(lines.map(|line| (name, line.as_bytes().to_vec())));
        let secret = SecretKey::from_pkcs8_pem(&pem).unwrap().to_bytes();
        all.extend(ways(&secret).into_iter().map(|way| (name, way)));
    }
    all
}

/// Each way of writing the camera's password, alone and as HTTP has it with its user.
fn passwords() -> Vec<(&'static str, Vec<u8>)> {
    let escaped = "p%40ss%20%E5%AF%86%E7%A0%81-1953".as_bytes().to_vec();
    let mut all = ways(PASSWORD.as_bytes());
    all.extend([escaped.to_ascii_lowercase(), escaped]);
    all.extend(ways(format!("{USER}:{PASSWORD}").as_bytes()));
    // Part of it would be as bad.
    all.push("密码".as_bytes().to_vec());
    all.into_iter().map(|way| ("password", way)).collect()
}

/// The box has done with its secrets whatever it does with them: proved itself to camera and broker,
/// signed, and answered.
#[tokio::test(flavor = "multi_thread")]
async fn no_key_and_no_password_is_in_the_log() {
    let door = Door {
        login: Some((USER.to_owned(), PASSWORD.to_owned())),
        ..Door::default()
    };
    let mount = Mount {
        path: STREAM.to_owned(),
        show: Show::Clip(footage().path().to_owned(), Codec::H264),
    };
    let camera = RtspServer::start_behind(door, &[mount]).unwrap();
    let field = Field::start(&camera.url(STREAM), &|profile| {
        profile["camera"][0]["user"] = value(USER);
        profile["camera"][0]["password_file"] = value("street.password");
    })
    .await;
    let file = field.dir.path().join("street.password");
    fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&file, mode).unwrap();
    let mut daemon = field.talkative_daemon();
    until(&field, "a receipt on the device", async || {
        !field.receipted().is_empty()
    })
    .await;
    daemon.signal(Signal::TERM);
    daemon
        .ended(Duration::from_secs(30))
        .await
        .expect("it stops");
    let log = fs::read(field.dir.path().join("daemon.log")).unwrap();
    assert!(field.log().contains("DEBUG"), "it says all it can");
    for (what, secret) in keys_of(&field.pki.device).into_iter().chain(passwords()) {
        let mut places = log.windows(secret.len());
        let place = places.position(|bytes| bytes == secret);
        assert_eq!(place, None, "{what} is in the log at this byte");
    }
}

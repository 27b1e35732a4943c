//! Cameras asked over ONVIF who they are, by real HTTP.

#![expect(
    clippy::disallowed_methods,
    reason = "a test's files need not be durable"
)]

pub(crate) mod peer;

use std::fs;

use lingmou::clock;
use lingmou::config::{Camera, Config};
use lingmou::ingest::{Onvif, OnvifFault};
use lingmou::types::Nameplate;

use self::peer::{Manner, PASSWORD, Peer, USER};

const SERIAL: &str = "LC2-0042";

/// Asks the camera at `url`, as a user with this password where there is one.
fn ask(url: &str, password: Option<&str>) -> Result<Nameplate, OnvifFault> {
    let dir = tempfile::tempdir().unwrap();
    let mut camera = Camera {
        onvif_url: url.to_owned(),
        ..Camera::default()
    };
    if let Some(password) = password {
        USER.clone_into(&mut camera.user);
        camera.password_file = dir.path().join("password");
        fs::write(&camera.password_file, format!("{password}\n")).unwrap();
    }
    Onvif::of(&camera).unwrap().expect("it is asked").ask()
}

fn steps(peer: &Peer) -> Vec<(String, &'static str)> {
    let seen = peer.seen().into_iter();
    seen.map(|request| (request.operation, request.proof))
        .collect()
}

/// Operations and proofs of a whole conversation.
fn wanted(steps: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
    let own = |(operation, proof): &(&str, &'static str)| ((*operation).to_owned(), *proof);
    steps.iter().map(own).collect()
}

#[test]
fn a_camera_says_who_it_is_and_its_password_is_proved_once() {
    let who = ("GetDeviceInformation", "none");
    let when = ("GetSystemDateAndTime", "none");
    for (manner, conversation) in [
        (Manner::Open, &[who][..]),
        (Manner::Token, &[who, when, (who.0, "token")]),
        (Manner::TokenAndBasic, &[who, when, (who.0, "token")]),
        (Manner::Digest, &[who, (who.0, "digest")]),
    ] {
        let peer = Peer::start(manner, SERIAL);
        let known = |text: &str| Some(text.to_owned());
        let told = Nameplate {
            manufacturer: known("Lichen"),
            model: known("LC-2"),
            firmware: known("V1.2 build 3"),
            serial: known(SERIAL),
        };
        assert_eq!(ask(&peer.url(), Some(PASSWORD)), Ok(told), "{manner:?}");
        assert_eq!(steps(&peer), wanted(conversation), "{manner:?}");
        for request in peer.seen() {
            assert!(!request.text.contains("密码"), "{}", request.text);
            assert!(!request.text.contains("Basic"), "{}", request.text);
        }
    }
}

#[test]
fn a_wrong_password_is_tried_once_and_without_one_none() {
    for manner in [Manner::Token, Manner::TokenAndBasic, Manner::Digest] {
        let peer = Peer::start(manner, SERIAL);
        let said = ask(&peer.url(), Some("wrong"));
        assert!(matches!(said, Err(OnvifFault::Refused(_))), "{said:?}");
        let tried = steps(&peer)
            .into_iter()
            .filter(|(_, proof)| *proof != "none");
        let tried: Vec<_> = tried.collect();
        assert_eq!(
            tried,
            wanted(&[("GetDeviceInformation", "wrong")]),
            "{manner:?}"
        );
        let peer = Peer::start(manner, SERIAL);
        assert_eq!(ask(&peer.url(), None), Err(OnvifFault::Unknown));
        assert_eq!(steps(&peer), wanted(&[("GetDeviceInformation", "none")]));
    }
}

/// Whatever follows a password is an answer to it: it is not tried again soon.
#[test]
fn a_password_that_nothing_comes_of_is_refused() {
    let peer = Peer::start(Manner::Locked, SERIAL);
    let said = ask(&peer.url(), Some(PASSWORD)).unwrap_err().to_string();
    let words = "refuses user and password over ONVIF (no device information in its answer, 403): ";
    assert!(said.starts_with(words), "{said}");
}

#[test]
fn whatever_else_answers_is_no_camera_that_says_who_it_is() {
    for (manner, words) in [
        (Manner::NotFound, "no device information in its answer, 404"),
        (Manner::Moved, "no device information in its answer, 301"),
        (Manner::Garbage, "no device information in its answer, 200"),
        (Manner::Huge, "its answer is longer than 64 KiB"),
        (Manner::HangsUp, "curl: (52)"),
        (Manner::Hangs, "curl: (28)"),
    ] {
        let peer = Peer::start(manner, SERIAL);
        let began = clock::now();
        let said = ask(&peer.url(), Some(PASSWORD)).unwrap_err().to_string();
        let secs = clock::now().since(began).as_secs();
        assert!(
            said.starts_with("does not answer ONVIF at http://127.0.0.1:"),
            "{said}"
        );
        assert!(said.contains(words), "{manner:?}: {said}");
        assert!(secs < 20, "{manner:?}: {secs} s");
        assert_eq!(
            steps(&peer),
            wanted(&[("GetDeviceInformation", "none")]),
            "no password"
        );
    }
}

#[test]
fn who_is_not_there_and_who_is_not_to_be_asked() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    // What follows the address may hold a password.
    let url = format!("http://127.0.0.1:{port}/onvif?pwd=123456");
    let said = ask(&url, None).unwrap_err().to_string();
    assert!(said.contains("/onvif: curl: (7)"), "{said}");
    assert!(!said.contains("123456"), "{said}");
    let not_asked = Camera {
        url: "rtsp://127.0.0.1/1".to_owned(),
        onvif_url: Camera::NO_ONVIF.to_owned(),
        ..Camera::default()
    };
    assert!(Onvif::of(&not_asked).unwrap().is_none());
}

#[test]
fn the_address_is_one_of_the_web() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lingmou.toml");
    let mistakes = |onvif_url: &str| {
        let text = format!(
            "[[camera]]\nname = \"a\"\nurl = \"rtsp://10.0.0.21/1\"\nonvif_url = \"{onvif_url}\"\n"
        );
        fs::write(&path, text).unwrap();
        let mistakes = Config::read(&path).unwrap_err().list;
        let own = mistakes.into_iter().filter(|m| m.key.contains("onvif_url"));
        own.map(|m| m.what).collect::<Vec<_>>()
    };
    for sound in [
        "",
        "none",
        "http://10.0.0.21:8000/onvif/device_service",
        "https://cam/o",
    ] {
        assert!(mistakes(sound).is_empty(), "{sound}");
    }
    for (url, what) in [
        ("10.0.0.21", "not an address of the web"),
        ("rtsp://10.0.0.21/", "not an address of the web"),
        ("http://admin:secret@10.0.0.21/", "with a user in it"),
        ("http:///onvif", "without a host"),
    ] {
        assert_eq!(mistakes(url), [what], "{url}");
    }
}

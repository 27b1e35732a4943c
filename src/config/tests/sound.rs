//! What a box speaks through and listens with.

use super::*;

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

//! A device that speaks ISAPI, as its makers and those who use it describe it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;

use super::*;

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Device {
    /// As it should.
    Well,
    /// Somebody else talks.
    Busy,
    /// Its sound is set to something else.
    Aac,
    /// Hangs up in the middle of the clip.
    HangsUp,
    /// Never answers when it is asked to open the channel.
    Mute,
    /// Does not end the session well.
    NoEnd,
}

/// What it was asked, by whom and what it heard.
#[derive(Debug, Default)]
struct Took {
    asked: Vec<String>,
    sound: Vec<u8>,
    /// When the sound ended.
    ended: Option<Stamp>,
}

const CHANNELS: &str = "<TwoWayAudioChannelList><TwoWayAudioChannel><id>1</id>\
    <audioCompressionType>CODEC</audioCompressionType></TwoWayAudioChannel></TwoWayAudioChannelList>";
const OPENED: &str = "<TwoWayAudioSession><sessionId>2093716360</sessionId></TwoWayAudioSession>";

/// A device behind digest authentication. Its threads end with their callers.
fn device(kind: Device) -> (String, Arc<Mutex<Took>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let took = Arc::new(Mutex::new(Took::default()));
    let shared = Arc::clone(&took);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, took) = (stream.expect("a caller"), Arc::clone(&shared));
            std::thread::spawn(move || serve(BufReader::new(stream), kind, &took));
        }
    });
    (url, took)
}

fn serve(mut stream: BufReader<TcpStream>, kind: Device, took: &Mutex<Took>) {
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).is_ok_and(|n| n == 0) {
                return;
            }
        }
        let mut answer = |status: &str, body: &str| {
            let length = body.len();
            let text = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
            stream.get_mut().write_all(text.as_bytes())
        };
        if !head.contains("\nAuthorization: Digest username=\"box\"") {
            let challenge = "401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"cam\", \
                qop=\"auth\", nonce=\"abc\"";
            answer(challenge, "").expect("sent");
            continue;
        }
        assert!(
            head.contains("\r\nContent-Length: 0\r\n") || head.starts_with("GET"),
            "{head}"
        );
        let line = head.split(" HTTP").next().unwrap_or_default().to_owned();
        let last = line.rsplit('/').next().unwrap_or_default().to_owned();
        took.lock().expect("whole").asked.push(line);
        let codec = if kind == Device::Aac {
            "AAC"
        } else {
            "G.711alaw"
        };
        let told = match (last.as_str(), kind) {
            ("open", Device::Mute) => return park(&mut stream),
            ("open", Device::Busy) => answer("403 Forbidden", "<ResponseStatus/>"),
            ("close", Device::NoEnd) => answer("500 Internal Server Error", ""),
            ("channels", _) => answer("200 OK", &CHANNELS.replace("CODEC", codec)),
            ("open", _) => answer("200 OK", OPENED),
            ("close", _) => answer("200 OK", "<ResponseStatus/>"),
            (data, _) => {
                assert_eq!(data, "audioData?sessionId=2093716360");
                answer("200 OK", "").expect("sent");
                return hear(&mut stream, kind, took);
            }
        };
        told.expect("sent");
    }
}

/// Until the caller gives up.
fn park(stream: &mut BufReader<TcpStream>) {
    let _ended: std::io::Result<usize> = stream.read(&mut [0]);
}

/// Takes sound until the connection ends.
fn hear(stream: &mut BufReader<TcpStream>, kind: Device, took: &Mutex<Took>) {
    let mut piece = [0; 400];
    while let Ok(n @ 1..) = stream.read(&mut piece) {
        let mut took = took.lock().expect("whole");
        took.sound.extend(&piece[..n]);
        if kind == Device::HangsUp && took.sound.len() > 1_000 {
            return;
        }
    }
    took.lock().expect("whole").ended = Some(clock::now());
}

/// A room with such a device that has this much to say.
fn room_with(kind: Device, clip_ms: u32) -> (Arc<Mutex<Took>>, Room) {
    let mut room = Room::new(clip_ms);
    let (url, took) = device(kind);
    let secret = room.folder.path().join("password");
    std::fs::File::create(&secret)
        .and_then(|mut file| file.write_all(b"secret\n"))
        .expect("room");
    room.config.margin_secs = 20.0;
    let speaker = &mut room.config.speaker;
    speaker.kind = SpeakerKind::Hikvision;
    speaker.url = url;
    speaker.user = "box".to_owned();
    speaker.password_file = secret;
    (took, room)
}

/// Says a second of sound at such a device.
async fn said_at(
    kind: Device,
    edit: impl FnOnce(&mut config::Speaker),
) -> (Said, Arc<Mutex<Took>>, Room) {
    let (took, mut room) = room_with(kind, 1_000);
    edit(&mut room.config.speaker);
    let said = say(&mut room.speaker()).await;
    (said, took, room)
}

const BASE: &str = "/ISAPI/System/TwoWayAudio/channels";

#[tokio::test]
async fn an_isapi_device_is_opened_spoken_to_and_closed() {
    let (said, took, room) = said_at(Device::Well, |_| ()).await;
    assert_eq!(said.failure, None);
    assert_eq!(said.played, Duration::from_secs(1));
    // Its own threads may still be reading.
    let heard = || took.lock().expect("whole").sound.len();
    until(|| heard() >= 7_900).await;
    assert!((7_900..=8_100).contains(&heard()), "{}", heard());
    assert_eq!(
        took.lock().expect("whole").asked,
        [
            format!("GET {BASE}"),
            format!("PUT {BASE}/1/open"),
            format!("PUT {BASE}/1/audioData?sessionId=2093716360"),
            format!("PUT {BASE}/1/close"),
        ]
    );
    let probed = room.speaker().probe().await.expect("it answers");
    let Probed::Ready(probed) = probed else {
        panic!("{probed:?}");
    };
    assert!(
        probed.ends_with(": channel 1 takes G.711 A-law"),
        "{probed}"
    );
}

#[tokio::test]
async fn a_stop_silences_an_isapi_device_within_a_second_and_closes_its_channel() {
    let (took, room) = room_with(Device::Well, 60_000);
    // A second of G.711.
    let sounds = until(|| took.lock().expect("whole").sound.len() >= 8_000);
    let (said, ordered) = say_and_stop(&mut room.speaker(), sounds).await;
    assert!(said.played < Duration::from_secs(30), "{:?}", said.played);
    until(|| took.lock().expect("whole").ended.is_some()).await;
    let took = took.lock().expect("whole");
    let after = took.ended.expect("ended").since(ordered);
    assert!(after < Duration::from_secs(1), "{after:?} after the order");
    let last = took.asked.last().map(String::as_str);
    assert_eq!(last, Some(format!("PUT {BASE}/1/close").as_str()));
}

#[tokio::test]
async fn an_isapi_device_that_refuses_stalls_or_hangs_up_has_not_played() {
    for (kind, part) in [
        (Device::Busy, "open of channel 1: curl: exit status: 22"),
        (Device::Aac, "takes AAC, and only G.711 is sent"),
        (Device::HangsUp, "curl"),
        (Device::Mute, "open of channel 1: curl: exit status: 28"),
        (Device::NoEnd, "close of channel 1: curl: exit status: 22"),
    ] {
        let (said, took, _) = said_at(kind, |_| ()).await;
        let why = said.failure.expect(part);
        assert!(why.contains(part), "{kind:?}: {why}");
        let took = took.lock().expect("whole");
        assert!(!format!("{:?}{why}", took.asked).contains("secret"));
        let closed = took.asked.iter().any(|line| line.ends_with("close"));
        let opened = [Device::HangsUp, Device::NoEnd].contains(&kind);
        assert_eq!(closed, opened, "{kind:?}: what was opened is closed");
    }
    let nobody = |speaker: &mut config::Speaker| speaker.user = "nobody".to_owned();
    let (said, took, _) = said_at(Device::Well, nobody).await;
    let why = said.failure.expect("nobody knows him");
    assert!(why.contains("401"), "{why}");
    assert!(took.lock().expect("whole").asked.is_empty());
}

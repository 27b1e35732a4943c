//! Loudspeakers and microphones that are programs or on the network: ones that accept, refuse,
//! stay silent, and are slow.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use super::*;
use crate::config::SoundFormat;

/// A script as a command.
pub(super) fn script(text: &str) -> Vec<String> {
    ["/bin/sh", "-c", text].map(ToOwned::to_owned).to_vec()
}

/// A script that gives nothing in its own time until this holds of the file, as a microphone does: 32
/// bytes a millisecond, the first two at once.
pub(super) fn nothing_until(holds: &str, file: &std::path::Path) -> String {
    format!(
        "began=$(date +%s%3N); head -c 2 /dev/zero; until [ {holds} {} ]; do sleep 0.02; done; \
         head -c $((($(date +%s%3N) - began) * 32)) /dev/zero",
        file.display()
    )
}

impl Room {
    /// The room with this script for a loudspeaker; it starts in the room's folder.
    fn with_program(clip_ms: u32, text: &str) -> Self {
        let mut room = Self::new(clip_ms);
        room.config.speaker.kind = SpeakerKind::Command;
        let folder = room.folder.path().display().to_string();
        room.config.speaker.command = script(&format!("cd {folder}; {text}"));
        room
    }

    /// What is really said for this shipped clip, at the microphone's rate and quieter, by ffmpeg.
    fn taken(&self, clip: &str) -> std::path::PathBuf {
        let clips = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/clips");
        let taken = self.folder.path().join("taken.wav");
        let made = std::process::Command::new("ffmpeg")
            .args(["-v", "error", "-i"])
            .arg(&self.config.identity)
            .arg("-i")
            .arg(clips.join(clip))
            .args(["-filter_complex", "concat=n=2:v=0:a=1,volume=-20dB"])
            .args(["-ar", "16000", "-ac", "1"])
            .arg(&taken)
            .status();
        assert!(made.expect("ffmpeg").success());
        taken
    }

    /// A microphone that gives what this script gives, then 0.3 s of nothing, this shipped clip after
    /// the identity, and then nothing more.
    pub(super) fn with_microphone(&mut self, before: &str, clip: &str) {
        let wav = Clip::read(&self.taken(clip)).expect("a sound");
        let mut taken = vec![0; 9_600];
        taken.extend(wav.sound().samples.iter());
        taken.extend(vec![0; 320_000]);
        let raw = self.folder.path().join("taken.raw");
        std::io::Write::write_all(&mut std::fs::File::create(&raw).expect("a file"), &taken)
            .expect("room");
        let raw = raw.display();
        self.config.microphone.command = script(&format!("{before}; cat {raw}; sleep 60"));
    }
}

#[tokio::test]
async fn a_program_that_plays_the_clip_has_played_it() {
    let room = Room::with_program(500, "cat > played.wav; sleep 0.5");
    let report = say_at(&mut room.speaker(), 0.5).await;
    assert_eq!(report.failure, None);
    assert_eq!(report.played, Duration::from_millis(500));
    assert_eq!(report.heard, Some(Heard::NoMicrophone));
    let played = room.played();
    assert_eq!(played.len(), room.samples.len());
    for (got, was) in played.iter().zip(&room.samples) {
        assert!((got - was / 2).abs() <= 1, "{got} is not half of {was}");
    }
}

#[tokio::test]
async fn a_program_that_does_not_play_it_is_a_failure_with_its_own_words() {
    for (text, why) in [
        (
            "cat > /dev/null; echo no sound card >&2; exit 3",
            "no sound card",
        ),
        ("exit 0", "so nobody heard it"),
        ("cat > /dev/null; kill -9 $$", "signal: 9"),
        // Never reads, never ends.
        ("sleep 60", "after the clip's own length"),
    ] {
        let mut room = Room::with_program(300, text);
        room.config.margin_secs = 0.7;
        let report = say(&mut room.speaker()).await;
        let said = report.failure.expect(text);
        assert!(said.contains(why), "{text}: {said}");
        assert!(report.played <= Duration::from_millis(300));
    }
    let mut room = Room::with_program(300, "");
    room.config.speaker.command = vec!["/nonexistent/player".to_owned()];
    let report = say(&mut room.speaker()).await;
    let why = report.failure.expect("it is not there");
    assert!(
        why.contains("/nonexistent/player cannot be started"),
        "{why}"
    );
    assert_eq!(
        (report.played, report.heard),
        (Duration::ZERO, Some(Heard::NotPlayed))
    );
}

#[tokio::test]
async fn a_stop_ends_a_program_and_what_it_started() {
    let room = Room::with_program(30_000, "sleep 61 & echo $! > child; cat > /dev/null; wait");
    let child = room.folder.path().join("child");
    let written = || std::fs::read_to_string(&child).is_ok_and(|pid| pid.ends_with('\n'));
    let (_, ordered) = say_and_stop(&mut room.speaker(), until(written)).await;
    let pid = std::fs::read_to_string(&child).expect("its child");
    let state = format!("/proc/{}/stat", pid.trim());
    // Ended, or waiting to be collected.
    until(|| !std::fs::read_to_string(&state).is_ok_and(|stat| !stat.contains(") Z "))).await;
    assert!(clock::now().since(ordered) < Duration::from_secs(1));
}

/// The shipped warning, played by a program, with a microphone in the room.
async fn heard(taken: &str) -> Said {
    let mut room = Room::with_program(100, "touch begun; cat > /dev/null; sleep 7.2");
    room.with_shipped("test.wav");
    let clip = room.speaker().clip(Violation::StreetVending);
    let length = clip.expect("it").duration();
    assert!(length < Duration::from_millis(7_500), "{length:?}");
    let before = nothing_until("-e", &room.folder.path().join("begun"));
    room.with_microphone(&before, taken);
    say(&mut room.speaker()).await
}

#[tokio::test]
async fn a_microphone_hears_the_clip_with_level_and_delay() {
    let said = heard("test.wav").await;
    assert_eq!(said.failure, None);
    let Some(Heard::PlayedHeard {
        level_db,
        delay_ms,
        correlation_permille,
    }) = said.heard
    else {
        panic!("{said:?}");
    };
    assert!((-60..=-25).contains(&level_db), "{level_db} dB");
    assert!((280..3_000).contains(&delay_ms), "{delay_ms} ms");
    assert!(correlation_permille > 800, "{correlation_permille}");
}

/// What a microphone says of the shipped clip that arrives so long after the order, when playing
/// began that long after it.
async fn heard_after(arrives_ms: u32, opening_ms: u64) -> Heard {
    let mut room = Room::new(100);
    room.with_shipped("test.wav");
    let ordered = room.folder.path().join("ordered");
    // Its first sound, and the rest of what it hears once playing was ordered.
    let before = format!(
        "head -c 2 /dev/zero; until [ -e {} ]; do sleep 0.02; done; head -c {} /dev/zero",
        ordered.display(),
        (arrives_ms - 300) * 32
    );
    room.with_microphone(&before, "test.wav");
    let mut ear = Ear::open(&room.config.microphone, None)
        .await
        .expect("it hears");
    ear.order();
    std::fs::File::create(&ordered).expect("a file");
    let clip = room.speaker().clip(Violation::StreetVending);
    let opening = Duration::from_millis(opening_ms);
    let heard = ear.judge(clip.expect("the clip"), opening).await;
    heard.expect("it listens to the end")
}

#[tokio::test]
async fn a_microphone_counts_from_where_playing_began() {
    let [at_once, late, early, before, never]: [Heard; 5] = tokio::join!(
        heard_after(300, 0),
        heard_after(4_300, 4_000),
        // A sink tells where it began a little late.
        heard_after(1_050, 1_100),
        heard_after(500, 4_000),
        heard_after(4_300, 0),
    )
    .into();
    let delay = |heard: Heard| match heard {
        Heard::PlayedHeard { delay_ms, .. } => Some(delay_ms),
        _ => None,
    };
    for heard in [at_once, late] {
        let delay = delay(heard).expect("heard");
        assert!((280..=320).contains(&delay), "{delay} ms");
    }
    assert_eq!(delay(early), Some(0), "{early:?}");
    for heard in [before, never] {
        assert_eq!(heard, Heard::PlayedNotHeard);
    }
}

#[tokio::test]
async fn what_the_microphone_does_not_hear_was_not_said() {
    let said = heard("out_of_store.wav").await;
    assert_eq!(said.heard, Some(Heard::PlayedNotHeard));
    assert_eq!(
        said.failure.as_deref(),
        Some("the microphone did not hear it")
    );
}

#[tokio::test]
async fn of_a_microphone_that_does_not_work_nothing_is_known() {
    let mut room = Room::with_program(300, "cat > /dev/null; sleep 0.3");
    for command in [script("exit 1"), vec!["/nonexistent/microphone".to_owned()]] {
        room.config.microphone.command = command;
        let said = say(&mut room.speaker()).await;
        assert_eq!((said.failure, said.heard), (None, None));
    }
}

#[tokio::test]
async fn of_a_microphone_that_gives_out_while_it_listens_nothing_is_known() {
    let mut room = Room::with_program(1_500, "touch begun; cat > /dev/null; sleep 1.5");
    let begun = room.folder.path().join("begun");
    let begun = begun.display();
    // Half a second of silence, and then its program ends, or hangs.
    for end in ["", "; sleep 60"] {
        room.config.microphone.command = script(&format!(
            "head -c 2 /dev/zero; until [ -e {begun} ]; do sleep 0.02; done; \
             head -c 16000 /dev/zero{end}"
        ));
        let said = say(&mut room.speaker()).await;
        assert_eq!((said.failure, said.heard), (None, None));
    }
}

/// What an HTTP loudspeaker was sent.
#[derive(Debug, Default)]
struct Sent {
    head: String,
    body: Vec<u8>,
}

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    /// Takes the sound and says so.
    Well,
    /// The same, behind digest authentication.
    ToWhoLogsIn,
    /// No, after everything was sent.
    Busy,
    /// Never.
    Not,
    /// It hangs up in the middle of the sound.
    HangsUp,
}

/// An HTTP loudspeaker that serves until it has taken one sound, or refused it.
fn horn(answers: Answers) -> (String, JoinHandle<Sent>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/play", listener.local_addr().expect("bound"));
    let serving = std::thread::spawn(move || {
        loop {
            let (stream, _) = listener.accept().expect("a caller");
            let mut stream = BufReader::new(stream);
            if answers == Answers::HangsUp {
                stream.read_exact(&mut [0; 1_500]).expect("some sound");
                return Sent::default();
            }
            while let Some(sent) = request(&mut stream) {
                let asked = answers == Answers::ToWhoLogsIn
                    && !sent.head.contains("\nAuthorization: Digest");
                if asked {
                    let challenge = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest \
                        realm=\"horn\", qop=\"auth\", nonce=\"abc\"\r\nContent-Length: 0\r\n\r\n";
                    stream
                        .get_mut()
                        .write_all(challenge.as_bytes())
                        .expect("sent");
                    continue;
                }
                let line = match answers {
                    Answers::Well | Answers::ToWhoLogsIn => "200 OK",
                    Answers::Busy => "503 Service Unavailable",
                    Answers::Not | Answers::HangsUp => {
                        // Until the caller gives up.
                        let _ended: std::io::Result<usize> = stream.read(&mut [0]);
                        return sent;
                    }
                };
                let answer = format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n");
                stream.get_mut().write_all(answer.as_bytes()).expect("sent");
                return sent;
            }
        }
    });
    (url, serving)
}

/// The next request with its body; `None` when the caller hung up.
fn request(stream: &mut BufReader<TcpStream>) -> Option<Sent> {
    let mut sent = Sent::default();
    while !sent.head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut sent.head).ok()? == 0 {
            return None;
        }
    }
    let length = sent
        .head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))
        .map_or(0, |length| length.trim().parse().expect("a number"));
    sent.body = vec![0; length];
    stream.read_exact(&mut sent.body).ok()?;
    Some(sent)
}

/// Says half a second by HTTP to a horn that answers so.
async fn horned(answers: Answers, edit: impl FnOnce(&mut config::Speaker)) -> (Said, Sent) {
    let mut room = Room::new(500);
    let (url, serving) = horn(answers);
    room.config.margin_secs = 2.0;
    let secret = room.folder.path().join("horn.password");
    std::io::Write::write_all(
        &mut std::fs::File::create(&secret).expect("a file"),
        b"pa\"ss\\word\n",
    )
    .expect("room");
    let speaker = &mut room.config.speaker;
    speaker.kind = SpeakerKind::Http;
    speaker.url = url;
    speaker.password_file = secret;
    edit(speaker);
    let before = clock::now();
    let said = say(&mut room.speaker()).await;
    assert!(clock::now().since(before) < Duration::from_mins(1));
    let sent = tokio::task::spawn_blocking(move || serving.join().expect("served"));
    (said, sent.await.expect("joined"))
}

#[tokio::test]
async fn a_horn_on_the_network_takes_the_sound_in_its_own_time() {
    let (said, sent) = horned(Answers::Well, |_| ()).await;
    assert_eq!(said.failure, None);
    assert_eq!(said.played, Duration::from_millis(500));
    assert!(
        sent.head.starts_with("POST /play HTTP/1.1\r\n"),
        "{}",
        sent.head
    );
    assert!(sent.head.contains("\r\nContent-Type: audio/basic\r\n"));
    // Half a second of G.711: 8,000 bytes a second.
    assert!(
        (3_900..=4_100).contains(&sent.body.len()),
        "{}",
        sent.body.len()
    );

    let wav = |speaker: &mut config::Speaker| {
        speaker.format = SoundFormat::Wav;
        speaker.method = "PUT".to_owned();
        speaker.content_type = "audio/wav".to_owned();
    };
    let (said, sent) = horned(Answers::Well, wav).await;
    assert_eq!(said.failure, None);
    assert!(sent.head.starts_with("PUT /play "), "{}", sent.head);
    assert_eq!(sent.body.len(), 44 + 16_000);
}

#[tokio::test]
async fn a_horn_that_wants_a_login_gets_one_and_no_password_in_clear() {
    let (said, sent) = horned(Answers::ToWhoLogsIn, |s| s.user = "box".to_owned()).await;
    assert_eq!(said.failure, None);
    assert!(sent.head.contains("username=\"box\""), "{}", sent.head);
    assert!(!sent.head.contains("word"), "{}", sent.head);
    assert!(
        (3_900..=4_100).contains(&sent.body.len()),
        "{}",
        sent.body.len()
    );
}

#[tokio::test]
async fn a_horn_that_refuses_or_stays_silent_has_not_played() {
    for (answers, why) in [
        (Answers::Busy, "503"),
        (Answers::Not, "after the clip's own length"),
        (Answers::HangsUp, "curl: exit status: "),
    ] {
        let (said, _) = horned(answers, |_| ()).await;
        let told = said.failure.expect("not played");
        assert!(told.contains(why), "{answers:?}: {told}");
    }
    let mut room = Room::new(300);
    room.config.speaker.kind = SpeakerKind::Http;
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    room.config.speaker.url = format!("http://{}/", nobody.expect("a port"));
    let why = say(&mut room.speaker())
        .await
        .failure
        .expect("nobody there");
    assert!(why.contains("curl: exit status: 7"), "{why}");
}

/// A horn that plays as it takes: it says when it has taken a second of sound, and gives when the sound
/// ended, and how much there was.
fn timed_horn() -> (String, oneshot::Receiver<()>, JoinHandle<(Stamp, usize)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/play", listener.local_addr().expect("bound"));
    let (says, sounds) = oneshot::channel();
    let serving = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a caller");
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.read_line(&mut head).expect("a head") > 0);
        }
        let mut taken = 8_000;
        stream
            .read_exact(&mut vec![0; taken])
            .expect("a second of sound");
        says.send(()).expect("somebody waits");
        let mut piece = [0; 400];
        while let Ok(n @ 1..) = stream.read(&mut piece) {
            taken += n;
        }
        (clock::now(), taken)
    });
    (url, sounds, serving)
}

#[tokio::test]
async fn a_stop_silences_a_horn_on_the_network_within_a_second() {
    let mut room = Room::new(60_000);
    let (url, sounds, serving) = timed_horn();
    room.config.speaker.kind = SpeakerKind::Http;
    room.config.speaker.url = url;
    let sounds = async { sounds.await.expect("it sounds") };
    let (said, ordered) = say_and_stop(&mut room.speaker(), sounds).await;
    let ended = tokio::task::spawn_blocking(move || serving.join().expect("served"));
    let (ended, taken) = ended.await.expect("joined");
    let after = ended.since(ordered);
    assert!(after < Duration::from_secs(1), "{after:?} after the order");
    // 8,000 bytes a second.
    let sounded = said.played.as_millis() * 8;
    assert!(taken as u128 <= sounded + 8_000, "{taken} of {sounded}");
}

/// A horn that answers every question so, or not at all, and what it was asked.
fn asked_horn(answer: Option<&'static str>) -> (String, JoinHandle<Sent>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/play", listener.local_addr().expect("bound"));
    let serving = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a caller");
        let mut stream = BufReader::new(stream);
        let asked = request(&mut stream).expect("a question");
        match answer {
            Some(answer) => {
                let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
                stream.get_mut().write_all(answer.as_bytes()).expect("sent");
            }
            // Until the caller gives up.
            None => drop(stream.read(&mut [0])),
        }
        asked
    });
    (url, serving)
}

#[tokio::test]
async fn a_horn_on_the_network_is_asked_and_nothing_is_played() {
    let mut room = Room::new(300);
    room.config.speaker.kind = SpeakerKind::Http;
    for (answer, well, told) in [
        (Some("200 OK"), true, "it answers (200)"),
        (Some("405 Method Not Allowed"), true, "it answers (405)"),
        (
            Some("401 Unauthorized"),
            false,
            "check user and password_file",
        ),
        (None, false, "check its address, that it has power"),
    ] {
        let (url, serving) = asked_horn(answer);
        room.config.speaker.url = url;
        let (good, word) = match room.speaker().probe().await {
            Ok(Probed::Ready(word)) => (true, word),
            other => (false, format!("{other:?}")),
        };
        assert!(good == well && word.contains(told), "{answer:?}: {word}");
        let asked = tokio::task::spawn_blocking(move || serving.join().expect("served"));
        let asked = asked.await.expect("joined");
        assert!(
            asked.head.starts_with("OPTIONS * HTTP/1.1\r\n"),
            "{}",
            asked.head
        );
        assert!(asked.body.is_empty(), "{asked:?}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    let nobody = nobody.expect("a port");
    // One that speaks no TLS hangs up on it.
    let plain = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = plain.local_addr().expect("bound");
    let serving = std::thread::spawn(move || drop(plain.accept().expect("a caller")));
    for url in [
        format!("http://{nobody}/play"),
        format!("https://{at}/play"),
    ] {
        room.config.speaker.url = url;
        let why = room.speaker().probe().await.expect_err("no such horn");
        assert!(why.to_string().contains("curl: exit status: "), "{why}");
    }
    serving.join().expect("served");
}

#[tokio::test]
async fn a_program_is_looked_for_and_not_started() {
    let mut room = Room::with_program(300, "touch started");
    let probed = room.speaker().probe().await.expect("it is there");
    let Probed::Untried(word) = probed else {
        panic!("{probed:?}");
    };
    assert!(word.starts_with("program /bin/sh is there"), "{word}");
    assert!(!room.folder.path().join("started").exists());
    room.config.speaker.command = vec!["/nonexistent/player".to_owned()];
    let why = room.speaker().probe().await.expect_err("it is not");
    assert!(why.to_string().contains("cannot be started"), "{why}");
}

//! A camera's own loudspeaker, by the audio backchannel of its RTSP stream (ONVIF Streaming
//! Specification 5.3).
//!
//! ```text
//! DESCRIBE ─▶ which stream, which law ─▶ SETUP ─▶ PLAY ─▶ a packet each 20 ms ─▶ TEARDOWN
//! ```
//! The session is opened for one announcement and closed after it: a camera has one backchannel,
//! and the guard at his desk may want it. Sound goes as RTP within the RTSP connection, so that
//! the camera's answer to TEARDOWN proves that it took all that was sent before.
//!
//! GStreamer's `rtspsrc` is not used: `docs/decisions/0023` says why.

mod rtsp;
mod sdp;

use std::path::PathBuf;
use std::time::Duration;

use gstreamer::glib;

use self::rtsp::{Connection, Login};
use self::sdp::Backchannel;
use super::clip::Clip;
use super::play::{Played, Until, shortfall};
use super::{LETTING_GO, STOPPED, convert};
use crate::clock;
use crate::config;
use crate::http;

/// Everything up to the first sound.
pub(super) const OPEN_WITHIN: Duration = Duration::from_secs(6);
/// The end of an announcement is answered within this time, or the camera hangs.
const END_WITHIN: Duration = Duration::from_secs(2);
/// The camera plays a little later than it takes; TEARDOWN would cut that off.
const TAIL: Duration = Duration::from_millis(400);
/// Sound in one packet (RFC 3551 4.2).
const PACKET: Duration = Duration::from_millis(20);
/// Its bytes: G.711 has one byte a sample.
const PACKET_BYTES: usize = 160;
/// At 8 kHz.
const SAMPLE_MICROS: u64 = 125;
/// So many packets apart the camera is told that the session lives; they end after a minute.
const ALIVE_EACH: u16 = 250;

/// The camera, and who we are to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Onvif {
    url: String,
    user: String,
    password_file: PathBuf,
}

/// A backchannel that waits for sound.
struct Session {
    connection: Connection,
    back: Backchannel,
    /// Address of the whole, for what concerns all streams.
    whole: String,
    /// Channel of the connection that the sound goes by.
    channel: u8,
    /// Bytes of sound that went out.
    sent: usize,
}

impl Onvif {
    pub(super) fn new(speaker: &config::Speaker) -> Self {
        Self {
            url: speaker.url.clone(),
            user: speaker.user.clone(),
            password_file: speaker.password_file.clone(),
        }
    }

    /// Opens the backchannel without a sound and closes it again.
    pub(super) async fn probe(&self) -> Result<String, String> {
        let began = clock::now();
        let mut session = self.session().await?;
        let took = clock::now().since(began).as_secs_f64();
        session.end().await?;
        let law = session.back.law.name();
        Ok(format!("{}: takes {law}, opened in {took:.1} s", self.url))
    }

    /// Plays `clip`; the limit is from the first sound on.
    pub(super) async fn play(&self, clip: &Clip, volume: f64, until: Until<'_>) -> Played {
        let Until { limit, stop } = until;
        let opened = tokio::select! {
            opened = self.session() => opened,
            () = stop.cancelled() => Err(STOPPED.to_owned()),
        };
        let mut session = match opened {
            Ok(session) => session,
            Err(why) => return Played::refused(&why),
        };
        let (sound, law) = (clip.sound().at(volume), session.back.law);
        let bytes = match convert::g711_aside(sound, law).await {
            Ok(bytes) => bytes,
            Err(why) => return Played::refused(&why),
        };
        let began = clock::now();
        let ended = tokio::select! {
            ended = session.talk(&bytes, clip.duration()) => ended,
            () = stop.cancelled() => Err(STOPPED.to_owned()),
            () = tokio::time::sleep(limit + TAIL) => Err("the camera takes no more sound".to_owned()),
        };
        let took = clock::now().since(began);
        let sent = length_of(session.sent).min(clip.duration()).min(took);
        let failure = match ended {
            Ok(()) => tokio::select! {
                ended = session.end() => ended.err(),
                () = stop.cancelled() => Some(STOPPED.to_owned()),
            }
            .or_else(|| shortfall(clip.duration(), sent, took)),
            Err(why) => {
                // So that it falls silent at once and takes the next one; more than asking for it
                // cannot be done.
                drop(tokio::time::timeout(LETTING_GO, session.end()).await);
                Some(why)
            }
        };
        Played {
            began: Some(began),
            sounded: sent,
            failure,
        }
    }

    async fn session(&self) -> Result<Session, String> {
        let opening = self.open();
        match tokio::time::timeout(OPEN_WITHIN, opening).await {
            Ok(opened) => opened,
            Err(_elapsed) => Err("the camera does not answer: is this the RTSP port?".to_owned()),
        }
    }

    async fn open(&self) -> Result<Session, String> {
        let login = Login {
            user: self.user.clone(),
            password: http::password(&self.password_file)?,
        };
        let mut connection = Connection::open(&self.url, login).await?;
        let told = connection
            .ask("DESCRIBE", &self.url, "Accept: application/sdp\r\n")
            .await?;
        let back = sdp::backchannel(&told.body)?;
        let base = told.header("content-base").unwrap_or(&self.url);
        let base = sdp::resolve(&self.url, base);
        let whole = sdp::resolve(&base, &back.whole);
        let stream = sdp::resolve(&base, &back.control);
        let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
        let set = connection.ask("SETUP", &stream, transport).await?;
        let session = set.header("session").and_then(|s| s.split(';').next());
        connection.session = session.map(|s| s.trim().to_owned());
        let channel = set.header("transport").map_or(0, channel);
        connection
            .ask("PLAY", &whole, "Range: npt=0.000-\r\n")
            .await?;
        Ok(Session {
            connection,
            back,
            whole,
            channel,
            sent: 0,
        })
    }
}

impl Session {
    /// Sends `bytes` of G.711 at their pace, and waits until they were played.
    async fn talk(&mut self, bytes: &[u8], length: Duration) -> Result<(), String> {
        let (source, from) = (glib::random_int(), glib::random_int());
        let began = tokio::time::Instant::now();
        let mut tick = tokio::time::interval(PACKET);
        for (n, sound) in (0_u16..=u16::MAX).cycle().zip(bytes.chunks(PACKET_BYTES)) {
            self.until(tick.tick()).await?;
            let at = u32::try_from(self.sent).unwrap_or(u32::MAX);
            let mut packet = vec![0x80, self.back.payload];
            // The first after silence is marked (RFC 3551 4.1).
            packet[1] |= if self.sent == 0 { 0x80 } else { 0 };
            packet.extend(n.to_be_bytes());
            packet.extend(from.wrapping_add(at).to_be_bytes());
            packet.extend(source.to_be_bytes());
            packet.extend(sound);
            self.connection.packet(self.channel, &packet).await?;
            self.sent += sound.len();
            if n % ALIVE_EACH == ALIVE_EACH - 1 {
                self.connection.request("OPTIONS", &self.whole, "").await?;
            }
        }
        self.until(tokio::time::sleep_until(began + length + TAIL))
            .await
    }

    /// Waits for `due`; fails when the camera goes away meanwhile.
    async fn until<T>(&mut self, due: impl Future<Output = T>) -> Result<(), String> {
        tokio::pin!(due);
        loop {
            tokio::select! {
                biased;
                _ = &mut due => return Ok(()),
                // Answers to what keeps the session alive are nobody's.
                answer = self.connection.next() => { answer?; }
            }
        }
    }

    /// Ends the session; an answer to that means that the camera took everything before it.
    async fn end(&mut self) -> Result<(), String> {
        let whole = self.whole.clone();
        let ending = self.connection.ask("TEARDOWN", &whole, "");
        let unknown = "whether the camera took all of it is not known";
        match tokio::time::timeout(END_WITHIN, ending).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(why)) => Err(format!("{unknown}: {why}")),
            Err(_elapsed) => Err(format!("{unknown}: it does not answer")),
        }
    }
}

/// The time that so many bytes of G.711 last.
fn length_of(bytes: usize) -> Duration {
    let samples = u64::try_from(bytes).unwrap_or(u64::MAX);
    Duration::from_micros(samples.saturating_mul(SAMPLE_MICROS))
}

/// The channel a device gave: `RTP/AVP/TCP;unicast;interleaved=2-3`.
fn channel(transport: &str) -> u8 {
    let given = transport
        .split(';')
        .find_map(|part| part.trim().strip_prefix("interleaved="));
    let first = given.and_then(|given| given.split('-').next());
    first.and_then(|first| first.parse().ok()).unwrap_or(0)
}

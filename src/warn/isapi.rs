//! The loudspeaker of a camera or horn that speaks ISAPI (Hikvision, "Intelligent Security API",
//! two-way audio).
//!
//! ```text
//! GET channels ─▶ PUT ID/open ─▶ PUT ID/audioData: G.711 at its pace ─▶ PUT ID/close
//! ```
//! The device answers `audioData` before it hears anything, and takes raw sound on that connection
//! until it ends. That the device still answers `close` well is all that comes back: whether it
//! sounded only a microphone knows.

use std::time::Duration;

use roxmltree::Document;

use super::clip::Clip;
use super::convert::{self, Law};
use super::play::{Played, Until};
use super::program::{self, Input};
use super::{LETTING_GO, STOPPED};
use crate::config;
use crate::http::{Login, quoted};

/// A question is answered within this time, seconds.
const ANSWER_SECS: u64 = 3;
/// Both questions before the sound.
pub(super) const OPEN_WITHIN: Duration = Duration::from_secs(2 * ANSWER_SECS);
/// What stands before the channel in every address.
const CHANNELS: &str = "/ISAPI/System/TwoWayAudio/channels";

/// The device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Isapi {
    /// `http://HOST`
    url: String,
    login: Login,
}

/// A channel that takes sound.
#[derive(Debug, PartialEq, Eq)]
struct Channel {
    id: String,
    law: Law,
}

/// A channel that is open for us.
struct Session {
    channel: Channel,
    /// What the device calls it; empty when it does not name it.
    id: String,
}

impl Isapi {
    pub(super) fn new(speaker: &config::Speaker) -> Self {
        Self {
            url: speaker.url.trim_end_matches('/').to_owned(),
            login: Login::new(speaker),
        }
    }

    /// Asks what the device takes, and opens nothing.
    pub(super) async fn probe(&self) -> Result<String, String> {
        let channel = self.channel().await?;
        let (id, law) = (&channel.id, channel.law.name());
        Ok(format!("{}: channel {id} takes {law}", self.url))
    }

    /// Plays `clip`; the limit is from the first sound on.
    pub(super) async fn play(&self, clip: &Clip, volume: f64, until: Until<'_>) -> Played {
        let opened = tokio::select! {
            opened = self.open() => opened,
            () = until.stop.cancelled() => Err(STOPPED.to_owned()),
        };
        let session = match opened {
            Ok(session) => session,
            Err(why) => return Played::refused(&why),
        };
        let mut played = self.send(clip, volume, &session, until).await;
        let closing = self.put(&session.channel.id, "close");
        let closed = if played.failure.is_none() {
            tokio::select! {
                closed = closing => closed,
                () = until.stop.cancelled() => Err(STOPPED.to_owned()),
            }
        } else {
            let closing = tokio::time::timeout(LETTING_GO, closing).await;
            closing.unwrap_or_else(|_elapsed| Ok(String::new()))
        };
        played.failure = played.failure.or(closed.err());
        played
    }

    async fn open(&self) -> Result<Session, String> {
        let channel = self.channel().await?;
        let told = self.put(&channel.id, "open").await?;
        let id = value(&told, "sessionId").unwrap_or_default();
        Ok(Session { channel, id })
    }

    async fn send(&self, clip: &Clip, volume: f64, session: &Session, until: Until<'_>) -> Played {
        let channel = &session.channel;
        let bytes = convert::g711_aside(clip.sound().at(volume), channel.law).await;
        let query = match session.id.as_str() {
            "" => String::new(),
            id => format!("?sessionId={id}"),
        };
        let url = format!("{}{CHANNELS}/{}/audioData{query}", self.url, channel.id);
        // No length is announced: what follows the head is the sound, for as long as it lasts.
        let request = format!(
            "output = \"/dev/null\"\nurl = {}\nrequest = \"PUT\"\nupload-file = \"-\"\n\
             header = \"Content-Type: application/octet-stream\"\n\
             header = \"Content-Length: 0\"\nheader = \"Transfer-Encoding:\"\n\
             header = \"Expect:\"\n",
            quoted(&url)
        );
        let made = bytes.and_then(|bytes| Ok((bytes, self.login.orders(&request)?)));
        let (bytes, orders) = match made {
            Ok(made) => made,
            Err(why) => return Played::refused(&why),
        };
        let input = Input {
            bytes,
            pace: Some(convert::G711_RATE),
            length: clip.duration(),
        };
        program::play(&orders.command(), input, until).await
    }

    async fn channel(&self) -> Result<Channel, String> {
        let url = format!("{}{CHANNELS}", self.url);
        let told = self.ask(&format!("url = {}\n", quoted(&url))).await?;
        channel(&told)
    }

    async fn put(&self, id: &str, what: &str) -> Result<String, String> {
        let url = format!("{}{CHANNELS}/{id}/{what}", self.url);
        let request = format!(
            "url = {}\nrequest = \"PUT\"\ndata = \"\"\nheader = \"Content-Type:\"\n",
            quoted(&url)
        );
        let told = self.ask(&request).await;
        told.map_err(|why| format!("{what} of channel {id}: {why}"))
    }

    async fn ask(&self, request: &str) -> Result<String, String> {
        let orders = self
            .login
            .orders(&format!("max-time = {ANSWER_SECS}\n{request}"))?;
        program::told(&orders.command()).await
    }
}

/// The first channel that `xml` tells of.
fn channel(xml: &str) -> Result<Channel, String> {
    let id = value(xml, "id").ok_or("the device tells of no two-way audio channel")?;
    match value(xml, "audioCompressionType").as_deref() {
        Some("G.711ulaw") => Ok(Channel { id, law: Law::Mu }),
        Some("G.711alaw") => Ok(Channel { id, law: Law::A }),
        other => Err(format!(
            "channel {id} takes {}, and only G.711 is sent: set its two-way audio to G.711ulaw",
            other.unwrap_or("nothing that is known here")
        )),
    }
}

/// The text of the first element of that name in the first channel, or in the whole; only what may
/// stand in an address.
fn value(xml: &str, name: &str) -> Option<String> {
    let document = Document::parse(xml).ok()?;
    let mut all = document.descendants();
    let text = all.find(|node| node.tag_name().name() == name)?.text()?;
    let text = text.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    (!text.is_empty() && text.len() <= 64 && text.chars().all(plain)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_read() {
        let list = |inside: &str| {
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<TwoWayAudioChannelList \
                 xmlns=\"http://www.hikvision.com/ver20/XMLSchema\">{inside}</TwoWayAudioChannelList>"
            )
        };
        let one = |id: &str, codec: &str| {
            list(&format!(
                "<TwoWayAudioChannel><id>{id}</id><enabled>false</enabled>\
                 <audioCompressionType>{codec}</audioCompressionType></TwoWayAudioChannel>"
            ))
        };
        for (xml, law) in [
            (one("1", "G.711ulaw"), Law::Mu),
            (one(" 1 ", "G.711alaw"), Law::A),
        ] {
            let wanted = Channel {
                id: "1".to_owned(),
                law,
            };
            assert_eq!(channel(&xml), Ok(wanted), "{xml}");
        }
        for (xml, part) in [
            (one("1", "AAC"), "takes AAC, and only G.711"),
            (one("1", ""), "takes nothing that is known here"),
            (
                one("1/../../reboot", "G.711ulaw"),
                "no two-way audio channel",
            ),
            (list(""), "no two-way audio channel"),
            ("<html>".to_owned(), "no two-way audio channel"),
            (String::new(), "no two-way audio channel"),
        ] {
            let said = channel(&xml).expect_err(part);
            assert!(said.contains(part), "{xml}: {said}");
        }
    }
}

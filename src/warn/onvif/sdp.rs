//! What a session description (RFC 8866) says of an audio backchannel (ONVIF Streaming
//! Specification 5.3): an audio stream with `a=sendonly`, that is sent by whoever asked.

use crate::warn::convert::Law;

/// A backchannel that takes what we can send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Backchannel {
    /// RTP payload type.
    pub(super) payload: u8,
    pub(super) law: Law,
    /// `a=control` of the stream; empty: that of the whole.
    pub(super) control: String,
    /// `a=control` of the whole; empty: the address that was asked.
    pub(super) whole: String,
}

/// Sampling rate of G.711 as it is sent, hertz.
const RATE: &str = "8000";

/// One `m=` section.
#[derive(Default)]
struct Media<'a> {
    audio: bool,
    payloads: Vec<u8>,
    names: Vec<(u8, &'a str)>,
    sent_by_us: bool,
    control: &'a str,
}

/// The first backchannel in `text` that takes G.711; why there is none, otherwise.
pub(super) fn backchannel(text: &str) -> Result<Backchannel, String> {
    let mut whole = "";
    let mut all: Vec<Media<'_>> = Vec::new();
    for line in text.lines().map(str::trim_end) {
        if let Some(media) = line.strip_prefix("m=") {
            all.push(Media::begin(media));
        } else if let Some(attribute) = line.strip_prefix("a=") {
            match (all.last_mut(), attribute.strip_prefix("control:")) {
                (None, Some(control)) => whole = control.trim(),
                (None, None) => {}
                (Some(media), _) => media.take(attribute),
            }
        }
    }
    let mut back = all.iter().filter(|m| m.audio && m.sent_by_us).peekable();
    if back.peek().is_none() {
        return Err("the camera offers no audio backchannel at this url".to_owned());
    }
    let mut other = Vec::new();
    for media in back {
        match media.g711() {
            Ok((payload, law)) => {
                return Ok(Backchannel {
                    payload,
                    law,
                    control: media.control.to_owned(),
                    whole: whole.to_owned(),
                });
            }
            Err(mut names) => other.append(&mut names),
        }
    }
    Err(format!(
        "the camera's audio backchannel takes {}, and only G.711 (PCMU or PCMA, 8 kHz) is sent: \
         set the camera's audio to G.711",
        other.join(", ")
    ))
}

impl<'a> Media<'a> {
    /// `audio 0 RTP/AVP 0 97`
    fn begin(line: &'a str) -> Self {
        let mut words = line.split_whitespace();
        Self {
            audio: words.next() == Some("audio"),
            payloads: words.skip(2).filter_map(|p| p.parse().ok()).collect(),
            ..Self::default()
        }
    }

    fn take(&mut self, attribute: &'a str) {
        if attribute == "sendonly" {
            self.sent_by_us = true;
        } else if let Some(control) = attribute.strip_prefix("control:") {
            self.control = control.trim();
        } else if let Some(map) = attribute.strip_prefix("rtpmap:")
            && let Some((payload, name)) = map.split_once(' ')
            && let Ok(payload) = payload.parse()
        {
            self.names.push((payload, name.trim()));
        }
    }

    /// Payload and law of G.711; the names of what is taken instead, otherwise.
    fn g711(&self) -> Result<(u8, Law), Vec<String>> {
        let named = |payload: u8| {
            let name = self.names.iter().find(|(p, _)| *p == payload);
            // RFC 3551, table 4: these two need no name.
            match (name, payload) {
                (Some((_, name)), _) => (*name).to_owned(),
                (None, 0) => format!("PCMU/{RATE}"),
                (None, 8) => format!("PCMA/{RATE}"),
                (None, other) => format!("payload type {other}"),
            }
        };
        let law = |name: &str| {
            let mut parts = name.split('/');
            let codec = parts.next().unwrap_or_default().to_ascii_uppercase();
            let one_channel =
                parts.next() == Some(RATE) && matches!(parts.next(), None | Some("1"));
            match codec.as_str() {
                "PCMU" if one_channel => Some(Law::Mu),
                "PCMA" if one_channel => Some(Law::A),
                _ => None,
            }
        };
        let payloads = self.payloads.iter().filter(|payload| **payload < 128);
        let names: Vec<_> = payloads
            .map(|payload| (*payload, named(*payload)))
            .collect();
        let found = names.iter().find_map(|(p, name)| Some((*p, law(name)?)));
        found.ok_or_else(|| names.into_iter().map(|(_, name)| name).collect())
    }
}

/// The address of `control`, seen from `base` (RFC 2326 C.1.1).
pub(super) fn resolve(base: &str, control: &str) -> String {
    let clean = !control.chars().any(|c| c.is_whitespace() || c.is_control());
    if control.is_empty() || control == "*" || !clean {
        base.to_owned()
    } else if control.starts_with("rtsp://") {
        control.to_owned()
    } else {
        format!(
            "{}/{}",
            base.trim_end_matches('/'),
            control.trim_start_matches('/')
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=cam\r\nt=0 0\r\na=control:*\r\n\
        m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=1\r\na=recvonly\r\n\
        m=audio 0 RTP/AVP 0\r\na=control:trackID=2\r\na=recvonly\r\n";

    #[test]
    fn the_stream_that_we_send_is_found() {
        let found = |payload, law, control: &str| {
            Ok(Backchannel {
                payload,
                law,
                control: control.to_owned(),
                whole: "*".to_owned(),
            })
        };
        let refused = |words: &str| Err(words.to_owned());
        for (rest, wanted) in [
            ("", refused("offers no audio backchannel")),
            // Video that we would have to send is none.
            (
                "m=video 0 RTP/AVP 96\r\na=sendonly\r\n",
                refused("offers no audio backchannel"),
            ),
            (
                "m=audio 0 RTP/AVP 0\r\na=control:trackID=5\r\na=sendonly\r\n",
                found(0, Law::Mu, "trackID=5"),
            ),
            (
                "m=audio 0 RTP/AVP 8\na=sendonly\na=control:rtsp://cam/back\n",
                found(8, Law::A, "rtsp://cam/back"),
            ),
            (
                "m=audio 0 RTP/AVP 104 97\r\na=rtpmap:104 mpeg4-generic/16000/1\r\n\
                 a=rtpmap:97 pcma/8000/1\r\na=sendonly\r\n",
                found(97, Law::A, ""),
            ),
            (
                "m=audio 0 RTP/AVP 104\r\na=rtpmap:104 mpeg4-generic/16000/1\r\na=sendonly\r\n\
                 m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=sendonly\r\na=control:2\r\n",
                found(0, Law::Mu, "2"),
            ),
            (
                "m=audio 0 RTP/AVP 104\r\na=rtpmap:104 mpeg4-generic/16000/1\r\na=sendonly\r\n",
                refused("takes mpeg4-generic/16000/1, and only G.711"),
            ),
            (
                "m=audio 0 RTP/AVP 0 9 200\r\na=rtpmap:0 PCMU/16000\r\na=sendonly\r\n",
                refused("takes PCMU/16000, payload type 9, and only G.711"),
            ),
        ] {
            match (backchannel(&format!("{HEAD}{rest}")), wanted) {
                (Err(said), Err(part)) => assert!(said.contains(&part), "{said}"),
                (said, wanted) => assert_eq!(said, wanted, "{rest}"),
            }
        }
    }

    #[test]
    fn controls_are_addresses() {
        for (base, control, wanted) in [
            ("rtsp://cam/live", "trackID=5", "rtsp://cam/live/trackID=5"),
            ("rtsp://cam/live/", "trackID=5", "rtsp://cam/live/trackID=5"),
            ("rtsp://cam/live", "*", "rtsp://cam/live"),
            ("rtsp://cam/live", "", "rtsp://cam/live"),
            ("rtsp://cam/live", "rtsp://cam/x", "rtsp://cam/x"),
            ("rtsp://cam/live", "a RTSP/1.0", "rtsp://cam/live"),
        ] {
            assert_eq!(resolve(base, control), wanted, "{base} {control}");
        }
    }

    proptest! {
        #[test]
        fn any_description_is_survived(text in "(m=audio|m=|a=sendonly|a=rtpmap:|a=control:|[ -~]{0,9}|\r\n){0,40}") {
            if let Ok(found) = backchannel(&text) {
                prop_assert!(found.payload < 128);
                prop_assert!(!resolve("rtsp://cam/1", &found.control).contains(['\r', '\n', ' ']));
            }
        }
    }
}

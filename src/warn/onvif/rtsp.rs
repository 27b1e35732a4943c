//! As much of RTSP 1.0 (RFC 2326) as sending one sound takes: requests one after the other over
//! TCP, with digest authentication, and media between them (section 10.12).

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http::Challenge;

/// Largest head of an answer, bytes.
const HEAD_MAX: usize = 16 * 1024;
/// Largest body: a session description.
const BODY_MAX: usize = 64 * 1024;
/// A device accepts a connection within this time, or is away.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
const DEFAULT_PORT: u16 = 554;
/// Asks for what is no part of plain RTSP; a device without it must refuse.
const REQUIRE: &str = "Require: www.onvif.org/ver20/backchannel\r\n";

/// Who we are to the device; empty when it asks nobody.
#[derive(Clone, Default)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
}

/// An answer of the device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) code: u16,
    reason: String,
    headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Answer {
    /// The value of the header of this name, in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(n, _)| n == name);
        header.map(|(_, value)| value.as_str())
    }

    fn all(&self, name: &str) -> Vec<&str> {
        let headers = self.headers.iter().filter(|(n, _)| n == name);
        headers.map(|(_, value)| value.as_str()).collect()
    }
}

/// A connection to a device.
pub(super) struct Connection {
    stream: TcpStream,
    /// What came and is not yet read.
    taken: Vec<u8>,
    login: Login,
    challenge: Option<Challenge>,
    asked: u32,
    /// The session's name, once there is one.
    pub(super) session: Option<String>,
}

impl Connection {
    /// Connects to the host of `url`.
    pub(super) async fn open(url: &str, login: Login) -> Result<Self, String> {
        let address = address(url)?;
        let connecting = TcpStream::connect(&address);
        let stream = match tokio::time::timeout(CONNECT_WITHIN, connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(format!("{address}: {error}")),
            Err(_elapsed) => return Err(format!("{address} does not answer")),
        };
        // Each piece is due now, not when a packet is full.
        stream
            .set_nodelay(true)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            stream,
            taken: Vec::new(),
            login,
            challenge: None,
            asked: 0,
            session: None,
        })
    }

    /// Asks, logs in when asked to, and gives the answer of a success.
    pub(super) async fn ask(
        &mut self,
        method: &str,
        uri: &str,
        headers: &str,
    ) -> Result<Answer, String> {
        let mut answer = self.exchange(method, uri, headers).await?;
        if answer.code == 401 && !self.login.user.is_empty() {
            let challenge = Challenge::of(&answer.all("www-authenticate"));
            self.challenge = Some(challenge.ok_or(
                "the camera wants the password in clear: switch digest authentication on in it",
            )?);
            answer = self.exchange(method, uri, headers).await?;
        }
        if (200..300).contains(&answer.code) {
            return Ok(answer);
        }
        Err(refusal(&answer, method, &self.login))
    }

    async fn exchange(&mut self, method: &str, uri: &str, headers: &str) -> Result<Answer, String> {
        self.request(method, uri, headers).await?;
        loop {
            let answer = self.next().await?;
            let to = answer.header("cseq").and_then(|n| n.trim().parse().ok());
            if to == Some(self.asked) {
                return Ok(answer);
            }
        }
    }

    /// Sends a request and waits for nothing.
    pub(super) async fn request(
        &mut self,
        method: &str,
        uri: &str,
        headers: &str,
    ) -> Result<(), String> {
        self.asked += 1;
        let login = (self.login.user.as_str(), self.login.password.as_str());
        let proof = self.challenge.as_mut();
        let proof = proof.map(|challenge| challenge.answer(login, method, uri));
        let line = |name: &str, value: Option<&String>| {
            value.map_or(String::new(), |value| format!("{name}: {value}\r\n"))
        };
        let text = format!(
            "{method} {uri} RTSP/1.0\r\nCSeq: {}\r\nUser-Agent: lingmou/{}\r\n{REQUIRE}{}{}{headers}\r\n",
            self.asked,
            env!("CARGO_PKG_VERSION"),
            line("Session", self.session.as_ref()),
            line("Authorization", proof.as_ref()),
        );
        self.write(text.as_bytes()).await
    }

    /// Sends one packet of media on `channel`.
    pub(super) async fn packet(&mut self, channel: u8, packet: &[u8]) -> Result<(), String> {
        let length = u16::try_from(packet.len()).map_err(|_too_long| "packet too long")?;
        let mut framed = vec![b'$', channel];
        framed.extend(length.to_be_bytes());
        framed.extend(packet);
        self.write(&framed).await
    }

    /// The next answer, whatever to. May be dropped at any moment: what came is kept.
    pub(super) async fn next(&mut self) -> Result<Answer, String> {
        loop {
            while let Some((length, answer)) = parse(&self.taken)? {
                self.taken.drain(..length);
                if let Some(answer) = answer {
                    return Ok(answer);
                }
            }
            match self.stream.read_buf(&mut self.taken).await {
                Ok(0) => return Err("the camera ended the connection".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(broken(&error)),
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let written = self.stream.write_all(bytes).await;
        written.map_err(|error| broken(&error))
    }
}

fn broken(error: &std::io::Error) -> String {
    format!("the camera broke off the connection: {error}")
}

/// `HOST:PORT` of an RTSP URL.
fn address(url: &str) -> Result<String, String> {
    let rest = url
        .strip_prefix("rtsp://")
        .ok_or("the url is not rtsp://")?;
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let port = match host.rsplit_once(':') {
        Some((_, port)) => port.parse::<u16>().ok(),
        None => None,
    };
    Ok(match port {
        Some(_) => host.to_owned(),
        None => format!("{host}:{DEFAULT_PORT}"),
    })
}

/// What a technician does about an answer.
fn refusal(answer: &Answer, method: &str, login: &Login) -> String {
    match answer.code {
        401 if login.user.is_empty() => {
            "the camera asks who it is (401): set user and password_file".to_owned()
        }
        401 => "wrong user or password (the camera answers 401)".to_owned(),
        404 => "wrong path in the url (the camera answers 404)".to_owned(),
        // RFC 2326 11.3.14: what was required is not there.
        551 => "the camera offers no audio backchannel at this url (it answers 551)".to_owned(),
        461 => "the camera takes the sound by UDP only (it answers 461)".to_owned(),
        code => format!("the camera refuses {method}: {code} {}", answer.reason),
    }
}

/// The first message in `bytes`: its length, and the answer when it is one; `None` when it is not
/// all there. Media and requests of the device are passed over.
fn parse(bytes: &[u8]) -> Result<Option<(usize, Option<Answer>)>, String> {
    match bytes {
        [b'$', _, high, low, rest @ ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            return Ok((rest.len() >= length).then_some((4 + length, None)));
        }
        [] | [b'$', ..] => return Ok(None),
        [b'\r' | b'\n', ..] => return Ok(Some((1, None))),
        _ => {}
    }
    let seen = bytes.get(..HEAD_MAX).unwrap_or(bytes);
    let Some(end) = seen.windows(4).position(|w| w == b"\r\n\r\n") else {
        if bytes.len() >= HEAD_MAX {
            return Err("the camera's answer has no end: is this the RTSP port?".to_owned());
        }
        return Ok(None);
    };
    let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default());
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let mut answer = Answer {
        headers: lines.filter_map(header).collect(),
        ..Answer::default()
    };
    let length = answer.header("content-length").map_or(Ok(0), str::parse);
    let length = length.ok().filter(|length| *length <= BODY_MAX);
    let length = length.ok_or("the camera's answer is too long")?;
    let start = end + 4;
    let Some(body) = bytes.get(start..start + length) else {
        return Ok(None);
    };
    let whole = start + length;
    let Some(status) = first.strip_prefix("RTSP/1.0 ") else {
        let asks_us = first.ends_with(" RTSP/1.0").then_some((whole, None));
        let asks_us = asks_us.ok_or("no RTSP answer: is this the RTSP port?")?;
        return Ok(Some(asks_us));
    };
    let (code, reason) = status.split_once(' ').unwrap_or((status, ""));
    let code = code.parse().ok();
    answer.code = code.ok_or("an RTSP answer without a code")?;
    answer.reason = reason
        .chars()
        .filter(|c| !c.is_control())
        .take(80)
        .collect();
    answer.body = String::from_utf8_lossy(body).into_owned();
    Ok(Some((whole, Some(answer))))
}

fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers_are_found_among_media_and_requests() {
        let stream = b"$\x00\x00\x03abc\r\nRTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: 3\r\n\r\nv=0\
            ANNOUNCE rtsp://cam RTSP/1.0\r\nCSeq: 7\r\n\r\nRTSP/1.0 454 Session Not Found\r\nCSeq:3\r\n\r\n";
        let mut taken = stream.to_vec();
        let mut found = Vec::new();
        while let Some((length, answer)) = parse(&taken).expect("well formed") {
            taken.drain(..length);
            found.extend(answer);
        }
        assert!(taken.is_empty());
        let said: Vec<_> = found
            .iter()
            .map(|a| (a.code, a.reason.as_str(), a.header("cseq"), a.body.as_str()))
            .collect();
        assert_eq!(
            said,
            [
                (200, "OK", Some("2"), "v=0"),
                (454, "Session Not Found", Some("3"), "")
            ]
        );
        for cut in 0..stream.len() {
            // A part is never taken for an answer of its own, nor for an error.
            let mut taken = stream[..cut].to_vec();
            while let Some((length, _)) = parse(&taken).expect("well formed") {
                taken.drain(..length);
            }
        }
    }

    #[test]
    fn what_is_no_rtsp_is_said() {
        for (bytes, part) in [
            (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "RTSP port"),
            (b"RTSP/1.0 abc\r\n\r\n".to_vec(), "without a code"),
            (
                b"RTSP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n".to_vec(),
                "too long",
            ),
            (vec![b'x'; HEAD_MAX], "no end"),
        ] {
            let said = parse(&bytes).expect_err(part);
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn the_port_is_554_unless_said() {
        for (url, wanted) in [
            ("rtsp://cam/live", "cam:554"),
            ("rtsp://192.0.2.1:8554/live?a=b:7", "192.0.2.1:8554"),
            ("rtsp://[2001:db8::1]/live", "[2001:db8::1]:554"),
            ("rtsp://[2001:db8::1]:8554", "[2001:db8::1]:8554"),
        ] {
            assert_eq!(address(url).as_deref(), Ok(wanted), "{url}");
        }
        assert!(address("rtsps://cam/live").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0_usize..60) {
            let mut torn = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 5\r\n\r\nhello".to_vec();
            torn.splice(at.min(torn.len()).., bytes);
            if let Ok(Some((length, _))) = parse(&torn) {
                prop_assert!((1..=torn.len()).contains(&length));
            }
        }
    }
}

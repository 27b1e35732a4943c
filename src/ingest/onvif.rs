//! Asks a camera who it is: `GetDeviceInformation` of the Device Management service, SOAP 1.2 over
//! HTTP POST (ONVIF Core Specification, Device Management, System).
//!
//! ```text
//! GetDeviceInformation, without a password ─▶ told
//!    ├─ 401 with a digest challenge ─▶ again, with HTTP digest (RFC 7616)
//!    └─ 401 without one, or the fault ter:NotAuthorized
//!         └─▶ GetSystemDateAndTime ─▶ again, with a UsernameToken (WSS UsernameToken Profile 1.0, 3.1)
//! ```
//! The way is asked for first, so that the password is proved once at most: a camera that takes the
//! other way would count a wrong one. A token is dated by the camera's own clock, which everybody may
//! ask for: cameras refuse one that is some seconds off theirs, and their clocks often are.

mod soap;

use std::fmt::Write as _;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

use self::soap::{Answer, envelope, token};
use super::knock::Endpoint;
use super::{Credentials, IngestError};
use crate::clock;
use crate::config::{self, CameraKind};
use crate::http::{Challenge, Orders, quoted};
use crate::types::Nameplate;

/// All of it is answered within this time.
const WITHIN: Duration = Duration::from_secs(5);
/// Longest answer, its head included.
const ANSWER_MAX: u64 = 64 * 1024;
/// Words of an error that are told.
const WORDS_MAX: u64 = 300;
/// Where the service is, unless the configuration says otherwise (Core Specification, Service address).
const PATH: &str = "/onvif/device_service";
/// What it is asked for.
const INFORMATION: &str = "GetDeviceInformation";

/// Why a camera does not say who it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnvifFault {
    /// Nobody there speaks ONVIF, or not well.
    #[error("does not answer ONVIF at {url}: {why}")]
    Silent {
        /// Where it was asked.
        url: String,
        /// What came instead.
        why: String,
    },
    /// It tells known users only.
    #[error("tells known users only (ONVIF): set user and password_file")]
    Unknown,
    /// It does not take user and password.
    #[error(
        "refuses user and password over ONVIF ({0}): allow this user ONVIF in the camera, which may keep \
         users of its own for it"
    )]
    Refused(String),
}

/// Where a camera is asked, and as whom.
#[derive(Clone, Debug)]
pub struct Onvif {
    url: String,
    path: String,
    credentials: Credentials,
    roots: String,
}

impl Onvif {
    /// Of a network camera; `None` when it is not to be asked.
    pub fn of(camera: &config::Camera) -> Result<Option<Self>, IngestError> {
        let url = match (camera.kind, camera.onvif_url.as_str()) {
            (CameraKind::File | CameraKind::V4l2, _) | (_, config::Camera::NO_ONVIF) => None,
            (CameraKind::Rtsp, "") => derived(&camera.url),
            (CameraKind::Rtsp, url) => Some(url.to_owned()),
        };
        let Some(url) = url else { return Ok(None) };
        let rest = url.split_once("://").map_or("", |(_, rest)| rest);
        let path = rest.split_once('/').map_or("", |(_, path)| path);
        Ok(Some(Self {
            path: format!("/{path}"),
            credentials: Credentials::read(camera)?,
            roots: camera.tls_roots.to_string_lossy().into_owned(),
            url,
        }))
    }

    /// Asks, and waits for up to five seconds.
    pub fn ask(&self) -> Result<Nameplate, OnvifFault> {
        let until_ns = clock::boot_ns() + u64::try_from(WITHIN.as_nanos()).unwrap_or(0);
        let silent = |why| OnvifFault::Silent {
            url: config::without_parameters(&self.url).to_owned(),
            why,
        };
        let question = envelope("", INFORMATION);
        let answer = self.post(&question, None, until_ns).map_err(silent)?;
        if !answer.wants_login() {
            return answer.nameplate().map_err(silent);
        }
        if self.credentials.user.is_empty() {
            return Err(OnvifFault::Unknown);
        }
        let told = self.ask_known(&question, &answer, until_ns);
        // Whatever came instead: the password was tried.
        told.and_then(|answer| answer.nameplate())
            .map_err(OnvifFault::Refused)
    }

    /// Asks as the camera wants it, which `answer` says.
    fn ask_known(&self, question: &str, answer: &Answer, until_ns: u64) -> Result<Answer, String> {
        let Credentials { user, password } = &self.credentials;
        let login = (user.as_str(), password.expose());
        let challenges: Vec<&str> = answer.challenges.iter().map(String::as_str).collect();
        if let Some(mut challenge) = Challenge::of(&challenges) {
            let proof = challenge.answer(login, "POST", &self.path);
            return self.post(question, Some(&proof), until_ns);
        }
        let now = self.post(&envelope("", "GetSystemDateAndTime"), None, until_ns);
        let now = now.ok().and_then(|answer| answer.date());
        let now = now.unwrap_or_else(|| clock::rfc3339_ms(clock::now().utc_ns));
        let header = token(login, &now, nonce()?);
        self.post(&envelope(&header, INFORMATION), None, until_ns)
    }

    /// One request, by `curl`.
    fn post(&self, body: &str, proof: Option<&str>, until_ns: u64) -> Result<Answer, String> {
        let left_ms = until_ns.saturating_sub(clock::boot_ns()) / 1_000_000;
        if left_ms == 0 {
            return Err(format!("not within {} s", WITHIN.as_secs()));
        }
        let mut text = format!(
            "silent\nshow-error\ninclude\ngloboff\nproto = \"=http,https\"\nnoproxy = \"*\"\n\
             max-time = {}.{:03}\nurl = {}\ndata-binary = {}\n\
             header = \"Content-Type: application/soap+xml; charset=utf-8\"\nheader = \"Expect:\"\n",
            left_ms / 1000,
            left_ms % 1000,
            quoted(&self.url),
            quoted(body),
        );
        let more = [
            (
                "header",
                proof.map(|proof| format!("Authorization: {proof}")),
            ),
            (
                "cacert",
                Some(self.roots.clone()).filter(|roots| !roots.is_empty()),
            ),
        ];
        for (name, value) in more {
            if let Some(value) = value {
                writeln!(text, "{name} = {}", quoted(&value)).map_err(|e| e.to_string())?;
            }
        }
        let told = run(&Orders::new(&text)?)?;
        Answer::read(&told).ok_or_else(|| "no answer of the web".to_owned())
    }
}

/// The device service of the camera that this RTSP URL leads to; over TLS if the video is.
fn derived(rtsp: &str) -> Option<String> {
    let Endpoint { host, tls, .. } = Endpoint::parse(rtsp).ok()?;
    let scheme = if tls { "https" } else { "http" };
    Some(if host.contains(':') {
        format!("{scheme}://[{host}]{PATH}")
    } else {
        format!("{scheme}://{host}{PATH}")
    })
}

/// What curl brings.
fn run(orders: &Orders) -> Result<Vec<u8>, String> {
    let [program, arguments @ ..] = orders.command();
    let mut child = Command::new(&program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{program} cannot be started: {error}"))?;
    let mut told = Vec::new();
    let read = child.stdout.take().map_or(Ok(0), |output| {
        output.take(ANSWER_MAX + 1).read_to_end(&mut told)
    });
    // It has closed its output; or it is told too much, and is not to bring the rest.
    let too_long = told.len() as u64 > ANSWER_MAX;
    if too_long {
        child.kill().map_err(|error| error.to_string())?;
    }
    let mut words = String::new();
    if let Some(errors) = child.stderr.take() {
        // What is cut off in the middle of a character is not told.
        let _cut: std::io::Result<usize> = errors.take(WORDS_MAX).read_to_string(&mut words);
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    if too_long {
        return Err(format!(
            "its answer is longer than {} KiB",
            ANSWER_MAX / 1024
        ));
    }
    if !status.success() {
        let words = words.trim();
        return Err(if words.is_empty() {
            status.to_string()
        } else {
            words.to_owned()
        });
    }
    read.map_err(|error| error.to_string())?;
    Ok(told)
}

fn nonce() -> Result<[u8; 16], String> {
    let mut nonce = [0; 16];
    match SystemRandom::new().fill(&mut nonce) {
        Ok(()) => Ok(nonce),
        Err(_unspecified) => Err("the system has no random numbers".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_is_where_the_video_comes_from() {
        for (rtsp, wanted) in [
            (
                "rtsp://10.0.0.21:8554/a?b=c",
                "http://10.0.0.21/onvif/device_service",
            ),
            ("rtsps://cam/1", "https://cam/onvif/device_service"),
            (
                "rtsp://[fe80::1]:554/x",
                "http://[fe80::1]/onvif/device_service",
            ),
        ] {
            assert_eq!(derived(rtsp).as_deref(), Some(wanted));
        }
    }
}

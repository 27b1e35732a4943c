//! A horn loudspeaker with a network address: takes the sound in one HTTP request and plays it as
//! it comes (Axis VAPIX "Audio API", `transmit.cgi`, and others alike).
//!
//! `curl` makes the request: it knows digest authentication, TLS and what devices do to both. It
//! reads its orders from a file in memory that only this user can open, so that no password is on
//! a command line.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use tokio_util::sync::CancellationToken;

use super::clip::Clip;
use super::convert;
use super::play::Played;
use super::program::{self, Input};
use crate::config::{self, SoundFormat, secret_file};

/// The program that makes the request.
pub(super) const CURL: &str = "curl";
/// Time to reach the device.
const CONNECT_SECS: u32 = 3;

/// Where the sound goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Http {
    url: String,
    method: String,
    content_type: String,
    format: SoundFormat,
    user: String,
    password_file: PathBuf,
    tls_roots: PathBuf,
}

impl std::fmt::Display for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

impl Http {
    pub(super) fn new(speaker: &config::Speaker) -> Self {
        Self {
            url: speaker.url.clone(),
            method: speaker.method.clone(),
            content_type: speaker.content_type.clone(),
            format: speaker.format,
            user: speaker.user.clone(),
            password_file: speaker.password_file.clone(),
            tls_roots: speaker.tls_roots.clone(),
        }
    }

    pub(super) async fn play(
        &self,
        clip: &Clip,
        volume: f64,
        (limit, stop): (Duration, &CancellationToken),
    ) -> Played {
        let sound = clip.sound().at(volume);
        let (bytes, pace) = match self.format {
            SoundFormat::Wav => {
                let bytes = sound.wav();
                let length = clip.duration().as_secs_f64().max(0.1);
                let pace = convert::per_second(bytes.len(), length);
                (bytes, pace)
            }
            SoundFormat::Mulaw => {
                let converting = tokio::task::spawn_blocking(move || convert::mulaw(&sound));
                match converting.await {
                    Ok(Ok(bytes)) => (bytes, convert::MULAW_RATE),
                    Ok(Err(why)) => return Played::refused(&why),
                    Err(_panic) => return Played::refused("the sound could not be converted"),
                }
            }
        };
        let orders = match self.orders(bytes.len()) {
            Ok(orders) => orders,
            Err(why) => return Played::refused(&why),
        };
        let path = format!("/proc/{}/fd/{}", std::process::id(), orders.as_raw_fd());
        let command = [CURL, "-q", "-K", &path].map(ToOwned::to_owned);
        let input = Input {
            bytes,
            pace: Some(pace),
            length: clip.duration(),
        };
        program::play(&command, input, limit, stop).await
    }

    /// curl's configuration, in memory.
    fn orders(&self, bytes: usize) -> Result<File, String> {
        let mut text = format!(
            "silent\nshow-error\nfail\noutput = \"/dev/null\"\nconnect-timeout = {CONNECT_SECS}\n\
             url = {}\nrequest = {}\nupload-file = \"-\"\nheader = {}\n\
             header = \"Content-Length: {bytes}\"\nheader = \"Transfer-Encoding:\"\n\
             header = \"Expect:\"\n",
            quoted(&self.url),
            quoted(&self.method),
            quoted(&format!("Content-Type: {}", self.content_type)),
        );
        if !self.user.is_empty() {
            let password = self.password()?;
            let login = quoted(&format!("{}:{password}", self.user));
            text.push_str("digest\nuser = ");
            text.push_str(&login);
            text.push('\n');
        }
        if !self.tls_roots.as_os_str().is_empty() {
            text.push_str("cacert = ");
            text.push_str(&quoted(&self.tls_roots.to_string_lossy()));
            text.push('\n');
        }
        let memory = memfd_create("speaker", MemfdFlags::CLOEXEC)
            .map_err(|error| format!("no memory for the request: {error}"))?;
        let mut file = File::from(memory);
        file.write_all(text.as_bytes())
            .map_err(|error| format!("no memory for the request: {error}"))?;
        Ok(file)
    }

    fn password(&self) -> Result<String, String> {
        if self.password_file.as_os_str().is_empty() {
            return Ok(String::new());
        }
        let path = secret_file(&self.password_file);
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("password file {}: {error}", path.display()))?;
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }
}

/// A value as curl's configuration writes it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_end_its_line() {
        assert_eq!(quoted("a\"b\\c\nurl = x"), r#""a\"b\\c\nurl = x""#);
    }
}

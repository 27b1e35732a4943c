//! Requests to devices on the network, by the program `curl`: it knows digest authentication, TLS
//! and what devices do to both.
//!
//! It reads its orders from a file in memory that only this user can open, so that no password is
//! on a command line.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, memfd_create};

use crate::config::{self, secret_file};

/// The program that makes the request.
pub const CURL: &str = "curl";
/// Time to reach the device.
const CONNECT_SECS: u32 = 3;

/// Who we are to a device, and how it proves itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    user: String,
    password_file: PathBuf,
    tls_roots: PathBuf,
}

impl Login {
    /// As the table of a loudspeaker says.
    pub fn new(speaker: &config::Speaker) -> Self {
        Self {
            user: speaker.user.clone(),
            password_file: speaker.password_file.clone(),
            tls_roots: speaker.tls_roots.clone(),
        }
    }

    /// Orders for one request, in memory: `request` is lines of curl's configuration.
    pub fn orders(&self, request: &str) -> Result<Orders, String> {
        let mut text =
            format!("silent\nshow-error\nfail\nconnect-timeout = {CONNECT_SECS}\n{request}");
        if !self.user.is_empty() {
            let password = password(&self.password_file)?;
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
        Orders::new(&text)
    }
}

/// What curl is to do; gone when dropped.
#[derive(Debug)]
pub struct Orders(File);

impl Orders {
    /// `text` is lines of curl's configuration.
    pub fn new(text: &str) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("no memory for the request: {error}");
        let memory = memfd_create("curl", MemfdFlags::CLOEXEC);
        let mut file = File::from(memory.map_err(|error| failed(error.into()))?);
        file.write_all(text.as_bytes()).map_err(failed)?;
        Ok(Self(file))
    }

    /// curl with these orders.
    pub fn command(&self) -> [String; 4] {
        let path = format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd());
        [CURL, "-q", "-K", &path].map(ToOwned::to_owned)
    }
}

/// The password in `file`; none without a file.
pub fn password(file: &Path) -> Result<String, String> {
    if file.as_os_str().is_empty() {
        return Ok(String::new());
    }
    let path = secret_file(file);
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("password file {}: {error}", path.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// A value as curl's configuration writes it.
pub fn quoted(text: &str) -> String {
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

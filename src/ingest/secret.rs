//! User names and passwords, kept out of every text.

use std::fmt;
use std::path::Path;

use crate::config::{self, without_parameters};

use super::IngestError;

/// A text that is never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one call that needs it.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// How to log in to a camera.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// User name; empty when the camera asks for none.
    pub user: String,
    /// Password.
    pub password: Secret,
}

impl Credentials {
    /// The user name of `camera` with the password its file holds, without the line end.
    pub fn read(camera: &config::Camera) -> Result<Self, IngestError> {
        let path = &camera.password_file;
        let password = if path.as_os_str().is_empty() {
            Secret::default()
        } else {
            read_line(path).map_err(|source| IngestError::Password {
                camera: camera.name.clone(),
                path: path.clone(),
                source,
            })?
        };
        Ok(Self {
            user: camera.user.clone(),
            password,
        })
    }

    /// `text` with the password, any `user:password@` of a URL and any parameters struck out.
    ///
    /// GStreamer puts URLs into its messages, and a camera may send the URL back, or its path.
    pub(super) fn scrub(&self, text: &str) -> String {
        let password = self.password.expose();
        let text = if password.is_empty() {
            text.to_owned()
        } else {
            text.replace(password, "***")
        };
        strike_parameters(&strike_userinfo(&text))
    }
}

fn read_line(path: &Path) -> std::io::Result<Secret> {
    let text = std::fs::read_to_string(path)?;
    let line = text.trim_end_matches(['\r', '\n']);
    // A camera that is asked with a wrong one locks its user out for half an hour.
    let fault = match line {
        "" => "it is empty",
        line if line.contains(['\r', '\n']) => "it has more than one line",
        line => return Ok(Secret::new(line)),
    };
    Err(std::io::Error::new(std::io::ErrorKind::InvalidData, fault))
}

/// Replaces what stands between `://` and the last `@` before the path by `***`.
fn strike_userinfo(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        clean.push_str(before);
        clean.push_str("://");
        let end = after
            .find(|c: char| c.is_whitespace())
            .unwrap_or(after.len());
        let (url, tail) = after.split_at(end);
        if let Some((_, host)) = url.rsplit_once('@') {
            clean.push_str("***@");
            clean.push_str(host);
        } else {
            clean.push_str(url);
        }
        rest = tail;
    }
    clean.push_str(rest);
    clean
}

/// Replaces what follows where the parameters of a URL or path begin by `***`: recorders call user
/// and password there what they like. Elsewhere an `=` is enough.
fn strike_parameters(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for piece in text.split_inclusive(char::is_whitespace) {
        let (word, space) = piece.split_at(piece.trim_end().len());
        let told = without_parameters(word);
        if told.len() < word.len() && word.contains(['/', '=']) {
            clean.push_str(told);
            clean.push_str("***");
        } else {
            clean.push_str(word);
        }
        clean.push_str(space);
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_file_has_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        for (text, read) in [
            ("secret\n", Some("secret")),
            (" with blanks \r\n", Some(" with blanks ")),
            ("", None),
            ("\n", None),
            ("secret\nsecond\n", None),
        ] {
            std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), text.as_bytes())
                .unwrap();
            let password = read_line(&path).ok();
            assert_eq!(password.as_ref().map(Secret::expose), read, "{text:?}");
        }
    }

    #[test]
    fn a_secret_never_shows() {
        let credentials = Credentials {
            user: "admin".into(),
            password: Secret::new("hunter2@中"),
        };
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }

    #[test]
    fn texts_lose_passwords_and_userinfo() {
        let credentials = Credentials {
            user: "admin".into(),
            password: Secret::new("p@ss/#?:%"),
        };
        for (text, clean) in [
            ("nothing here", "nothing here"),
            ("rtsp://cam/1 failed", "rtsp://cam/1 failed"),
            ("rtsp://u:p@cam/1 failed", "rtsp://***@cam/1 failed"),
            ("rtsp://u:p@@x/y@cam/1", "rtsp://***@cam/1"),
            ("said p@ss/#?:% twice p@ss/#?:%", "said *** twice ***"),
            (
                "a rtsp://a:b@c b rtsp://d:e@f",
                "a rtsp://***@c b rtsp://***@f",
            ),
            (
                "rtsp://cam/user=u&Password=x1&channel=1&pwd= no",
                "rtsp://cam/user*** no",
            ),
            (
                "rtsp://u:p@cam/live?loginuse=u&loginpas=x1\nno; why?",
                "rtsp://***@cam/live***\nno; why?",
            ),
            (
                "SETUP /user=u_psw=x1_stream=0.sdp failed",
                "SETUP /user*** failed",
            ),
            ("token=x1, auth;pw=x1", "token*** auth***"),
        ] {
            assert_eq!(credentials.scrub(text), clean);
        }
    }

    #[test]
    fn the_password_file_loses_only_its_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        std::fs::File::create(&path)
            .and_then(|mut f| std::io::Write::write_all(&mut f, " 密码@#/?:% \r\n".as_bytes()))
            .unwrap();
        let camera = config::Camera {
            user: "admin".into(),
            password_file: path,
            ..config::Camera::default()
        };
        assert_eq!(
            Credentials::read(&camera).unwrap().password,
            Secret::new(" 密码@#/?:% ")
        );
    }
}

//! Whether the passwords of cameras and loudspeakers can be read, and by nobody else.

use std::path::Path;

use crate::config::{self, Loaded, secret_file};
use crate::ingest::{self, Credentials};
use crate::witness::check_private;

use super::{Finding, finding_at};

/// A line for each camera.
pub(super) fn cameras(loaded: &Loaded) -> Vec<Finding> {
    let cameras = loaded.config.camera.iter().enumerate();
    let finding = |(index, camera): (usize, &config::Camera)| {
        let in_url = [&camera.url, &camera.substream_url];
        let has_parameters = |url: &String| config::without_parameters(url) != url;
        let word = if in_url.into_iter().any(has_parameters) {
            "its URL has parameters: if a password is among them, let nobody but the daemon's user \
             read this file"
        } else {
            "password readable or not needed"
        };
        let password = Credentials::read(camera).map_err(anyhow::Error::from);
        let password = password.and_then(|_| private(&camera.password_file));
        let (key, word) = match (password, ingest::check_roots(camera)) {
            (Err(error), _) => ("password_file", Err(error)),
            (Ok(()), Err(error)) => ("tls_roots", Err(error.into())),
            (Ok(()), Ok(())) => ("password_file", Ok(word.to_owned())),
        };
        let key = format!("camera[{index}].{key}");
        finding_at(loaded, &key, &format!("camera {}", camera.name), word)
    };
    cameras.map(finding).collect()
}

/// Those of loudspeakers that others may read.
pub(super) fn speakers(loaded: &Loaded) -> Vec<Finding> {
    let warn = &loaded.config.warn;
    let outlets = warn.outlet.iter().enumerate();
    let outlets = outlets.map(|(i, at)| (format!("warn.outlet[{i}].speaker"), &at.speaker));
    let first = [("warn.speaker".to_owned(), &warn.speaker)];
    let finding = |(table, speaker): (String, &config::Speaker)| {
        let open = private(&secret_file(&speaker.password_file)).err()?;
        let key = format!("{table}.password_file");
        Some(finding_at(loaded, &key, "loudspeaker", Err(open)))
    };
    first
        .into_iter()
        .chain(outlets)
        .filter_map(finding)
        .collect()
}

/// Whether nobody but its owner may read the file with a password, where one is named. The daemon
/// takes it all the same: a camera that nobody watches would be worse.
fn private(password: &Path) -> anyhow::Result<()> {
    if password.as_os_str().is_empty() {
        return Ok(());
    }
    Ok(check_private(password)?)
}

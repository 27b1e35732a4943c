//! Whether the passwords of cameras and loudspeakers can be read, and by nobody else.

use std::path::Path;

use crate::config::{self, secret_file};
use crate::ingest::{self, Credentials};
use crate::witness::check_private;

use super::{Findings, finding_at};

/// A line for each camera.
pub(super) fn cameras(findings: &mut Findings<'_>) {
    let loaded = &findings.survey.loaded;
    if loaded.config.camera.is_empty() {
        // None, or none that could be read.
        findings.may_see("cameras", &["camera"]);
    }
    for (index, camera) in loaded.config.camera.iter().enumerate() {
        let what = format!("camera {}", camera.name);
        let table = format!("camera[{index}]");
        if !findings.may_see(&what, &[&table]) {
            continue;
        }
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
        let found = finding_at(loaded, &format!("{table}.{key}"), &what, word);
        findings.list.push(found);
    }
}

/// Those of loudspeakers that others may read.
pub(super) fn speakers(findings: &mut Findings<'_>) {
    let loaded = &findings.survey.loaded;
    let warn = &loaded.config.warn;
    let outlets = warn.outlet.iter().enumerate();
    let outlets = outlets.map(|(i, at)| (format!("warn.outlet[{i}].speaker"), &at.speaker));
    let first = ("warn.speaker".to_owned(), &warn.speaker);
    for (table, speaker) in std::iter::once(first).chain(outlets) {
        let key = format!("{table}.password_file");
        let open = private(&secret_file(&speaker.password_file)).err();
        if let Some(open) = open.filter(|_| findings.survey.spoilt(&key).is_none()) {
            let found = finding_at(loaded, &key, "loudspeaker", Err::<String, _>(open));
            findings.list.push(found);
        }
    }
}

/// Whether nobody but its owner may read the file with a password, where one is named. The daemon
/// takes it all the same: a camera that nobody watches would be worse.
fn private(password: &Path) -> anyhow::Result<()> {
    if password.as_os_str().is_empty() {
        return Ok(());
    }
    Ok(check_private(password)?)
}

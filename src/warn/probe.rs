//! A look at a loudspeaker, for `lingmou check`. Nothing is played.

use std::path::Path;
use std::time::Duration;

use tokio::sync::oneshot;

use super::spawn;

/// A sink that is opened to be looked at has this long.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a look at a loudspeaker showed, without a sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probed {
    /// It is there: what it is.
    Ready(String),
    /// Only a sound would tell: what is known without.
    Untried(String),
}

/// Opens the sound output `device`, on a thread that may hang.
pub(super) async fn card(device: String) -> Result<String, String> {
    let (done, answer) = oneshot::channel();
    spawn(move || drop(done.send(super::card::probe(&device)))).map_err(|e| e.to_string())?;
    match tokio::time::timeout(PROBE_TIMEOUT, answer).await {
        Ok(Ok(probed)) => probed,
        Ok(Err(_)) | Err(_) => Err("the sound output hangs when it is opened".to_owned()),
    }
}

/// Whether the file `path` can be written as far as its folder tells.
pub(super) fn folder(path: &Path) -> Result<String, String> {
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if path.is_dir() || !folder.is_dir() {
        return Err(format!(
            "[warn.speaker] path {} is not a file in an existing folder",
            path.display()
        ));
    }
    Ok(format!("WAV file {}", path.display()))
}

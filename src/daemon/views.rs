//! What the cameras' views are worth: told in the journal and in the status, and the references
//! they are held against, kept across restarts.
//!
//! A reference is the file `references/CAMERA` in the store's folder: a line that says for which
//! camera and zones it was taken, then the reference. Another address, or other zones, and a new one
//! is taken; so is it when the file is removed.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::clock;
use crate::config::{Camera, Config};
use crate::disk::{self, DiskError};
use crate::journal::kind;
use crate::perceive::{Reference, Watched};
use crate::store::{Store, StoreError};
use crate::types::{Stamp, View, lock};

use super::keeper::{Keeper, Message};

/// Folder of the references below the store's.
const FOLDER: &str = "references";
/// Lines that wait for a journal that cannot be written; then the oldest is given up.
const WAITING_MAX: usize = 64;

/// What the status says of each camera's view.
#[derive(Debug)]
pub(super) struct Views(Mutex<Vec<Value>>);

impl Views {
    pub(super) fn new(cameras: usize) -> Self {
        Self(Mutex::new(vec![Value::Null; cameras]))
    }

    /// What the status says of the view of camera `index`; null before its first frame.
    pub(super) fn of(&self, index: usize) -> Value {
        let views = lock(&self.0);
        views.get(index).cloned().unwrap_or_default()
    }

    fn put(&self, index: usize, view: Value) {
        let mut views = lock(&self.0);
        if let Some(slot) = views.get_mut(index) {
            *slot = view;
        }
    }
}

/// One camera's view as the eye knows it.
pub(super) struct ViewWatch {
    camera: usize,
    name: String,
    view: View,
    since: Option<Stamp>,
}

impl ViewWatch {
    pub(super) fn new(camera: usize, name: &str) -> Self {
        Self {
            camera,
            name: name.to_owned(),
            view: View::Good,
            since: None,
        }
    }

    /// Takes in what the guard said of the frame of moment `at`; gives what the keeper is to do.
    pub(super) fn take(
        &mut self,
        at: Stamp,
        watched: &Watched,
        reference: Option<&Reference>,
        views: &Views,
    ) -> Vec<Message> {
        let mut messages = Vec::new();
        let first = self.since.is_none();
        if let Some(why) = &watched.changed {
            messages.push(self.turned(at, watched.view, why));
        }
        if first || watched.changed.is_some() {
            self.view = watched.view;
            self.since = Some(at);
        }
        if watched.learned
            && let Some(reference) = reference
        {
            let name = &self.name;
            tracing::info!(camera = name, looks = reference.looks(), "view learned");
            messages.push(Message::Reference {
                camera: self.camera,
                looks: reference.looks(),
                text: reference.text(),
            });
        }
        if first || !messages.is_empty() {
            let when = |utc_ns| clock::rfc3339_ms(utc_ns);
            views.put(
                self.camera,
                json!({
                    "view": self.view,
                    "since": self.since.map(|at| when(at.utc_ns)),
                    "why": watched.changed,
                    "reference": reference.map(|r| when(r.taken_utc_ns())),
                    "looks": reference.map(Reference::looks),
                }),
            );
        }
        messages
    }

    fn turned(&self, at: Stamp, view: View, why: &str) -> Message {
        let when = |at: Stamp| clock::rfc3339_ms(at.utc_ns);
        let (camera, view_name) = (&self.name, view.name());
        let (kind, body) = if view.is_good() {
            tracing::info!(camera, why, "view good again");
            let since = self.since.map(when);
            let was = self.view;
            (
                kind::VIEW_GOOD,
                json!({ "camera": camera, "at": when(at), "was": was, "since": since, "why": why }),
            )
        } else {
            tracing::error!(camera, view = view_name, why, "view bad: nothing is judged");
            (
                kind::VIEW_BAD,
                json!({ "camera": camera, "at": when(at), "view": view, "why": why }),
            )
        };
        Message::View { kind, body }
    }
}

/// The reference that was kept of `camera` and its zones.
pub(super) fn kept(config: &Config, camera: &Camera) -> Option<Reference> {
    read(&config.store.dir, camera, &key(config, camera))
}

/// What a reference was taken for: the camera's address and its zones.
fn key(config: &Config, camera: &Camera) -> String {
    let zones: Vec<_> = config
        .zone
        .iter()
        .filter(|z| z.camera == camera.name)
        .map(|z| (&z.name, z.kind, &z.polygon))
        .collect();
    let address = (
        camera.kind,
        &camera.url,
        &camera.substream_url,
        &camera.path,
    );
    let text = json!([camera.name, address, zones]).to_string();
    Sha256::digest(text)
        .iter()
        .fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("invariant: a String takes everything");
            hex
        })
}

fn place(dir: &Path, camera: &str) -> PathBuf {
    dir.join(FOLDER).join(camera)
}

fn read(dir: &Path, camera: &Camera, key: &str) -> Option<Reference> {
    let path = place(dir, &camera.name);
    let text = std::fs::read_to_string(&path).ok()?;
    let (taken_for, reference) = text.split_once('\n')?;
    if taken_for != key {
        tracing::info!(
            camera = camera.name,
            "camera or zones were changed; the view is learned anew"
        );
        return None;
    }
    let reference = Reference::read(reference);
    if reference.is_none() {
        tracing::warn!(path = %path.display(), "no reference; the view is learned anew");
    }
    reference
}

/// Keeps the reference of `camera`.
fn keep(config: &Config, camera: usize, text: &str) -> Result<(), DiskError> {
    let Some(camera) = config.camera.get(camera) else {
        return Ok(());
    };
    let place = place(&config.store.dir, &camera.name);
    if let Some(folder) = place.parent().filter(|folder| !folder.is_dir()) {
        disk::create_dir(folder)?;
    }
    let text = format!("{}\n{text}", key(config, camera));
    disk::replace(&place.with_extension("draft"), &place, text.as_bytes())
}

/// Lines about views that the journal could not take yet.
#[derive(Debug, Default)]
pub(super) struct ViewLines(VecDeque<(&'static str, Value)>);

impl ViewLines {
    fn put(&mut self, kind: &'static str, body: Value) {
        if self.0.len() == WAITING_MAX {
            self.0.pop_front();
        }
        self.0.push_back((kind, body));
    }

    /// Writes what waits.
    fn flush(&mut self, store: &Store) -> Result<(), StoreError> {
        while let Some((kind, body)) = self.0.front() {
            store.note(clock::now(), kind, body.clone())?;
            self.0.pop_front();
        }
        Ok(())
    }
}

impl Keeper {
    /// Tells the journal of a view; while it cannot take the line, it waits.
    pub(super) fn tell_view(&mut self, kind: &'static str, body: Value) {
        self.views.put(kind, body);
        self.tell_views();
    }

    /// Writes the lines that had to wait.
    pub(super) fn tell_views(&mut self) {
        let told = self.views.flush(&self.store);
        if told.is_err() {
            self.note(told, "what became of a view could not be journalled");
        }
    }

    /// Keeps a reference. One that cannot be kept is used all the same, and taken anew at the next
    /// start.
    pub(super) fn keep_reference(&mut self, camera: usize, looks: usize, text: &str) {
        let name = self.facts.config.camera.get(camera).map(|c| &c.name);
        let body = json!({ "camera": name, "looks": looks });
        match keep(&self.facts.config, camera, text) {
            Ok(()) => self.tell_view(kind::VIEW_REFERENCE, body),
            Err(error) => tracing::warn!(%error, "a camera's reference could not be kept"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Zone;
    use crate::types::Point;

    /// A reference as it is kept, of a place of one grey: 80 by 3 cells.
    fn reference() -> Reference {
        let look = json!({
            "at_utc_ns": 0, "height": 3, "luma": "AAAA".repeat(80), "acutance_permille": null,
        });
        Reference::read(&json!({ "v": 1, "looks": [look] }).to_string()).expect("a reference")
    }

    #[test]
    fn a_reference_is_kept_for_one_camera_and_its_zones() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.store.dir = dir.path().to_owned();
        config.camera.push(Camera {
            name: "east".to_owned(),
            url: "rtsp://h/1".to_owned(),
            ..Camera::default()
        });
        config.zone.push(Zone {
            name: "kerb".to_owned(),
            camera: "east".to_owned(),
            polygon: vec![Point { x: 0.5, y: 0.5 }],
            ..Zone::default()
        });
        let kept = |config: &Config| kept(config, &config.camera[0]);
        assert_eq!(kept(&config), None);
        let text = reference().text();
        for _ in 0..2 {
            keep(&config, 0, &text).unwrap();
            assert_eq!(kept(&config), Some(reference()));
        }
        // Another zone is another view; a key that has nothing to do with the view is not.
        let mut other = config.clone();
        other.zone[0].polygon[0].x = 0.6;
        assert_eq!(kept(&other), None);
        let mut other = config.clone();
        other.camera[0].url = "rtsp://h/2".to_owned();
        assert_eq!(kept(&other), None);
        let mut other = config.clone();
        other.camera[0].detect_rate = 1.0;
        assert_eq!(kept(&other), Some(reference()));
        keep(&config, 0, "{").unwrap();
        assert_eq!(kept(&config), None);
    }
}

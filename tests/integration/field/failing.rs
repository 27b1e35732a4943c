//! Disks that fail for real under the whole program: warnings go on, status and state say so, what was
//! sealed is there, and evidence is kept again as soon as the disk is well.

use std::collections::BTreeSet;

use super::kill_loop::{end_in_order, fast, sealed};
use super::trouble::status_page;
use super::*;
use crate::failing_disk::{Disk, Nature};
use crate::skip::skipped;

/// How a place rests: long enough that all four rest at once.
const REST_SECS: f64 = 15.0;

/// A box at work on a disk of its own, while four people stand at the kerb.
struct Scene {
    daemon: Daemon,
    disk: Disk,
    _camera: RtspServer,
    _films: TempDir,
    field: Field,
}

impl Scene {
    /// `None` without the right to mount.
    async fn begin(nature: Nature) -> Option<Self> {
        let films = tempfile::tempdir().unwrap();
        let camera = camera_of(&standing(films.path()), 0);
        let field = Field::start(&camera.url(STREAM), &|profile| {
            fast(profile, films.path());
            profile["judge"]["street_vending"]["cool_down_secs"] = value(REST_SECS);
            profile["store"]["ballast_mib"] = value(0);
        })
        .await;
        let disk = Disk::mount(field.dir.path(), "device", nature)?;
        Some(Self {
            daemon: field.daemon(),
            disk,
            _camera: camera,
            _films: films,
            field,
        })
    }

    /// Waits until something is sealed and receipted, and `holds`; what is sealed then.
    async fn sealed_and(&self, what: &str, holds: impl Fn(&Field) -> bool) -> BTreeSet<String> {
        let field = &self.field;
        let mut ids = BTreeSet::new();
        until(field, what, async || {
            // First: what ends between the two is among the sealed.
            let holds = holds(field);
            ids = sealed(field);
            let receipt = |id: &String| field.packages().join(id).join(witness::RECEIPT);
            holds && !ids.is_empty() && ids.iter().all(|id| receipt(id).is_file())
        })
        .await;
        ids
    }

    /// The disk fails since just now.
    async fn goes_on_without_evidence(&mut self, before: &BTreeSet<String>) {
        let spoken = self.field.dir.path().join("spoken.wav");
        fs::remove_file(&spoken).unwrap();
        let discarded = |status: &Value| status["keeper"]["discarded"].as_u64();
        let discarded_before = discarded(&self.field.status().await);
        let field = &self.field;
        until(field, "the alarm", async || {
            let (page, code) = status_page(field);
            page.contains("\n! store: the evidence disk ") && code == Some(1)
        })
        .await;
        until(field, "a warning all the same", async || spoken.exists()).await;
        until(field, "the end of a case that is not kept", async || {
            let status = field.status().await;
            let waiting = status["keeper"]["waiting"].as_u64();
            waiting >= Some(1) || discarded(&status) > discarded_before
        })
        .await;
        assert_eq!(
            field.status().await["cameras"]["street"]["phase"],
            "playing"
        );
        assert_eq!(packages(field), *before, "nothing new");
        // The box says so each two minutes and when it connects.
        self.field.broker.kill().unwrap();
        self.field.broker.restart().await.unwrap();
        let told = |event: &Event| matches!(event, Event::Presence { presence, .. } if presence.not_kept >= Some(1));
        until(&self.field, "the word to the bureau", async || {
            self.field.events.lock().unwrap().iter().any(told)
        })
        .await;
    }

    /// The disk is well since just now.
    async fn keeps_evidence_again(self, before: &BTreeSet<String>) {
        let field = &self.field;
        until(field, "a status without trouble", async || {
            let status = field.status().await;
            let (keeper, disk) = (&status["keeper"], &status["disk"]);
            let trouble = [&keeper["trouble"], &disk["trouble"]];
            trouble.iter().all(|it| it.is_null()) && keeper["waiting"] == 0
        })
        .await;
        let (page, _) = status_page(field);
        assert!(!page.contains("\n! store: the evidence disk "), "{page}");
        let new = |package: &PathBuf| !before.contains(&name_of(package));
        until(field, "a new package", async || {
            field.receipted().iter().any(new)
        })
        .await;
        let Self {
            field,
            disk,
            daemon,
            ..
        } = self;
        end_in_order(&field, daemon).await;
        // What the medium has, not what the kernel remembers of it.
        disk.take_out();
        assert!(disk.put_in());
        let ids = sealed(&field);
        assert!(ids.is_superset(before));
        is_whole(&field, &ids);
        for package in field.receipted() {
            field.audit(&package);
        }
    }
}

/// The packages that lie on the box.
fn packages(field: &Field) -> BTreeSet<String> {
    let entries = fs::read_dir(field.packages()).unwrap();
    entries
        .map(|entry| name_of(&entry.unwrap().path()))
        .collect()
}

fn name_of(package: &Path) -> String {
    package.file_name().unwrap().to_str().unwrap().to_owned()
}

fn is_whole(field: &Field, ids: &BTreeSet<String>) {
    let roots = Roots::load(&field.receiver_keys.join("roots.crt")).unwrap();
    for id in ids {
        let verdict = verify_path(&field.packages().join(id), &roots).unwrap();
        assert!(
            verdict.valid(),
            "{id}: {:?}",
            verdict.failed().collect::<Vec<_>>()
        );
    }
}

const NO_RIGHT: &str = "a disk that fails needs root and a loop device";

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_gives_errors_stops_capture_but_not_warnings_and_heals() {
    let Some(mut scene) = Scene::begin(Nature::GoesOn).await else {
        skipped(NO_RIGHT);
        return;
    };
    let none_open = |field: &Field| field.book()["open"].as_array().is_some_and(Vec::is_empty);
    let before = scene.sealed_and("packages, and no case", none_open).await;
    scene.disk.fail();
    scene.goes_on_without_evidence(&before).await;
    scene.disk.work_again();
    scene.keeps_evidence_again(&before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_turns_read_only_stops_capture_but_not_warnings_and_comes_back() {
    let Some(mut scene) = Scene::begin(Nature::TurnsReadOnly).await else {
        skipped(NO_RIGHT);
        return;
    };
    let warned = |field: &Field| field.open_case("warning").is_some();
    let before = scene.sealed_and("packages, and a case", warned).await;
    if !scene.disk.abort() {
        skipped("this kernel does not abort a file system when it is told to");
        return;
    }
    scene.goes_on_without_evidence(&before).await;
    // What is sealed can be read meanwhile.
    is_whole(&scene.field, &before);
    scene.disk.put_in_anew();
    scene.keeps_evidence_again(&before).await;
}

//! A camera plugged into the box: what `check`, the daemon and a package have of it.

use super::command::{OPERATE, connected, told};
use super::*;
use crate::skip::skipped;
use crate::video::device::devices;

/// What `lingmou check --online` says of the camera.
fn live(field: &Field) -> (bool, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_lingmou"))
        .args(["check", "--online", "--json", "--config"])
        .arg(field.config())
        .current_dir(root())
        .output()
        .unwrap();
    let said = String::from_utf8(out.stdout).unwrap();
    let mut found = said
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let found = found.find(|found| found["what"] == "camera street live");
    let found = found.expect(&said);
    let word = found["word"].as_str().unwrap().to_owned();
    (found["ok"] == true, word)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugged_camera_is_found_watched_and_pictured() {
    let Some(path) = devices().into_iter().next() else {
        skipped("no /dev/video* on this machine; make device has one");
        return;
    };
    let field = Field::start("", &|profile| {
        let camera = profile["camera"][0].as_table_mut().unwrap();
        camera.remove("url");
        camera["kind"] = value("v4l2");
        camera["path"] = value(path.to_string_lossy().into_owned());
    })
    .await;
    let (ok, found) = live(&field);
    assert!(ok && found.contains('x'), "{found}");

    let _daemon = field.daemon();
    connected(&field).await;
    until(&field, "a frame looked at", async || {
        field.status().await["eye"]["detected"].as_u64() > Some(0)
    })
    .await;
    let camera = field.status().await["cameras"]["street"].clone();
    let [width, height] = ["width", "height"].map(|side| camera["main"][side].as_u64().unwrap());
    // The daemon alone can have it, which is nothing wrong.
    let (ok, word) = live(&field);
    assert!(ok && word.contains("the running daemon"), "{word}");
    assert!(word.contains(&format!("{width}x{height}")), "{word}");
    assert!(found.contains(&format!("{width}x{height}")), "{found}");

    let keys = &field.pki.operators[OPERATE];
    let (_, reply) = told(&field, keys, &["capture", "street"]).await;
    assert_eq!(reply["outcome"], "done", "{reply:#}");
    let package = field.package(&reply["result"]["package"]);
    until(&field, "its receipt", async || {
        field.receipted().contains(&package)
    })
    .await;
    field.audit(&package);
    let picture = fs::read(package.join("frames/01-asked.jpg")).unwrap();
    let picture = turbojpeg::decompress(&picture, turbojpeg::PixelFormat::GRAY).unwrap();
    let size = [picture.width, picture.height].map(|side| side as u64);
    assert_eq!(size, [width & !1, height & !1]);
    let darkest = picture.pixels.iter().min();
    assert!(darkest < picture.pixels.iter().max(), "nothing is in it");
    // Untouched video, or a word on why there is none.
    let statement = fs::read(package.join("evidence.json")).unwrap();
    let statement: Value = serde_json::from_slice(&statement).unwrap();
    let has_clip = package.join("clip.mp4").is_file();
    let omitted = statement["omitted"].to_string();
    assert_eq!(has_clip, camera["no_clip"].is_null());
    assert!(
        has_clip || omitted.contains("the capture device gives"),
        "{omitted}"
    );
}

//! The demonstration's configuration: the shipped profile with its addresses filled in.

use std::path::Path;

use anyhow::Context;
use toml_edit::{DocumentMut, value};

/// The shipped profile and what it names.
const PROFILE: &str = include_str!("../../config/profiles/demo.toml");
const IDENTITY: &[u8] = include_bytes!("../../config/clips/identity.wav");
const CLIP: &[u8] = include_bytes!("../../config/clips/test.wav");
const CARD: &str = include_str!("../../models/efficientdet-lite0.toml");
const MODEL: &[u8] = include_bytes!("../../models/efficientdet-lite0.onnx");

/// What only the running demonstration knows.
pub(super) struct Addresses<'a> {
    pub(super) camera: &'a str,
    pub(super) mavlink_port: u16,
    pub(super) broker_port: u16,
    pub(super) keys: &'a Path,
}

/// Writes `lingmou.toml` and everything it names into `dir`, so that `lingmou check`, `run` and
/// `status` can be tried on it afterwards.
pub(super) fn write(dir: &Path, addresses: &Addresses<'_>) -> anyhow::Result<std::path::PathBuf> {
    let mut profile: DocumentMut = PROFILE.parse().context("the shipped profile")?;
    let text = |path: &Path| value(path.to_string_lossy().into_owned());
    profile["camera"][0]["url"] = value(addresses.camera);
    profile["keys"]["dir"] = text(addresses.keys);
    profile["model"]["card"] = value("models/efficientdet-lite0.toml");
    profile["warn"]["identity"] = value("clips/identity.wav");
    profile["warn"]["street_vending"] = value("clips/test.wav");
    profile["warn"]["out_of_store"] = value("clips/test.wav");
    profile["telemetry"]["mavlink"]["address"] =
        value(format!("udpin:127.0.0.1:{}", addresses.mavlink_port));
    profile["store"]["dir"] = value("device");
    profile["store"]["run_dir"] = value("run");
    profile["upload"]["port"] = value(i64::from(addresses.broker_port));
    if cfg!(feature = "c2pa") {
        profile["evidence"]["c2pa"] = value(true);
    }
    put(&dir.join("models/efficientdet-lite0.toml"), CARD.as_bytes())?;
    put(&dir.join("models/efficientdet-lite0.onnx"), MODEL)?;
    put(&dir.join("clips/identity.wav"), IDENTITY)?;
    put(&dir.join("clips/test.wav"), CLIP)?;
    let path = dir.join("lingmou.toml");
    put(&path, profile.to_string().as_bytes())?;
    Ok(path)
}

fn put(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::io::Write;
    let fail = || format!("cannot write {}", path.display());
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).with_context(fail)?;
    }
    std::fs::File::create(path)
        .and_then(|mut f| f.write_all(bytes))
        .with_context(fail)
}

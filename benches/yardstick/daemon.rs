//! `lingmou run` as a system under test: keys, a configuration, and its own status.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use lingmou::pki::TestPki;
use lingmou::{disk, status};
use serde_json::Value;

use super::watch::KERB;

const DEVICE: &str = "LM-BENCH-1";

/// Who comes to the street.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Street {
    /// People who stay, with times as short as the demonstration's: cases are opened, pictured,
    /// sealed and kept while it is measured.
    SomebodyStays,
    /// The same people, none of whom stays long enough: no case is opened, no picture is made.
    NobodyStays,
}

impl Street {
    /// From when on a person who stands counts as a stall; the clips last a minute.
    fn dwell_secs(self) -> f64 {
        match self {
            Self::SomebodyStays => 3.0,
            Self::NobodyStays => 3_600.0,
        }
    }
}

/// Writes keys and a configuration below `dir` and gives the configuration's path: main streams,
/// their substreams to detect on, if any, and whether only key frames are looked at. A person who stands
/// counts as a stall, at any hour; nothing is sent.
pub(crate) fn configure(
    dir: &Path,
    card: &Path,
    (urls, subs, key_frames): (&[String], &[String], bool),
    street: Street,
) -> anyhow::Result<PathBuf> {
    let pki = TestPki::create(&dir.join("pki"), DEVICE)?;
    let clips = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/clips");
    let mut text = format!(
        "[device]\nid = '{DEVICE}'\n\
         [keys]\ndir = '{keys}'\n\
         [model]\ncard = '{card}'\n\
         [judge.street_vending]\nroles = ['person']\n\
         dwell_secs = {dwell:?}\ngrace_secs = 2.0\ncool_down_secs = 60.0\n\
         [warn]\nquiet_from = '00:00'\nquiet_to = '00:00'\nidentity = '{clips}/identity.wav'\n\
         street_vending = '{clips}/test.wav'\nout_of_store = '{clips}/test.wav'\n\
         [warn.budget]\nper_place_hour = 60\nper_place_day = 500\nper_hour = 60\nper_day = 500\n\
         [warn.speaker]\nkind = 'file'\npath = '{dir}/spoken.wav'\n\
         [store]\ndir = '{dir}/store'\nrun_dir = '{dir}/run'\n\
         [upload]\nenabled = false\n",
        keys = pki.device.display(),
        card = card.display(),
        dwell = street.dwell_secs(),
        clips = clips.display(),
        dir = dir.display(),
    );
    for (index, url) in urls.iter().enumerate() {
        let sub = subs.get(index).map_or("", String::as_str);
        let looks = if key_frames { "key_frames" } else { "all" };
        write!(
            text,
            "[[camera]]\nname = \"camera-{index}\"\nurl = \"{url}\"\n\
             substream_url = \"{sub}\"\ndetect_on = \"{looks}\"\n\
             [[zone]]\nname = \"zone-{index}\"\ncamera = \"camera-{index}\"\n\
             kind = \"no_vending\"\n\
             polygon = {:?}\n",
            KERB.map(|(x, y)| [x, y])
        )?;
    }
    let path = dir.join("lingmou.toml");
    disk::write_new(&path, text.as_bytes())?;
    Ok(path)
}

/// What the daemon below `dir` says of itself.
pub(crate) fn ask(dir: &Path) -> anyhow::Result<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(status::ask(&dir.join("run")))?)
}

/// A number of the status.
pub(crate) fn number(status: &Value, pointer: &str) -> anyhow::Result<f64> {
    status
        .pointer(pointer)
        .and_then(Value::as_f64)
        .with_context(|| format!("no {pointer} in the status"))
}

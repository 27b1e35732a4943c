//! The configuration file: strict, defaulted, all mistakes at once.
//!
//! One struct per table, one file per group of tables. Every key is documented here and again,
//! in a technician's words, in `config/lingmou.toml`; a test holds the two equal.
//!
//! **Invariants.** Unknown keys are mistakes. No secret is in the file: passwords and keys are
//! named by path. Relative paths are relative to the file's own folder.
//!
//! **Not here.** No network, no camera, no model is opened; `lingmou check` does that in `cli`.

mod camera;
mod judge;
mod link;
mod machine;

use serde::{Deserialize, Serialize};

pub use camera::{
    Camera, CameraKind, DetectOn, ExecutionProvider, Model, RtspTransport, Zone, ZoneKind,
};
pub use judge::{Judge, OutOfStore, Spillage, StreetVending};
pub use link::{Receive, Upload};
pub use machine::{
    Device, Evidence, Keys, MavlinkLink, Site, Speaker, SpeakerKind, Store, Telemetry,
    TelemetrySource, Warn,
};

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `[device]`: who this box is.
    pub device: Device,
    /// `[site]`: the announced place it watches.
    pub site: Site,
    /// `[keys]`: certificates and where the private keys are.
    pub keys: Keys,
    /// `[[camera]]`.
    pub camera: Vec<Camera>,
    /// `[model]`: the detector.
    pub model: Model,
    /// `[[zone]]`.
    pub zone: Vec<Zone>,
    /// `[judge]`: the three rules.
    pub judge: Judge,
    /// `[warn]`: loudspeaker and clips.
    pub warn: Warn,
    /// `[telemetry]`: where the position comes from.
    pub telemetry: Telemetry,
    /// `[evidence]`: pictures and clip.
    pub evidence: Evidence,
    /// `[store]`: where packages are kept.
    pub store: Store,
    /// `[upload]`: the broker.
    pub upload: Upload,
}

//! What every dossier is filled from, gathered once at the start.

use std::sync::Arc;

use anyhow::Context;

use crate::config::{Loaded, Wording};
use crate::develop::Developer;
use crate::perceive::Detector;
use crate::store::Store;
use crate::telemetry::TelemetryState;
use crate::witness::Identity;

use super::clerk::Objections;
use super::dossier::{self, Facts};
use super::nameplates::Nameplates;

/// Everything a dossier says that does not change while the daemon runs.
pub(super) fn gather(
    loaded: &Loaded,
    detector: &Detector,
    developer: &Developer,
    (identity, store): (Arc<Identity>, &Store),
    telemetry: Arc<TelemetryState>,
) -> anyhow::Result<Facts> {
    let zone = &loaded.config.device.time_zone;
    let wording = if let Some(lack) = developer.lacks() {
        tracing::warn!("{lack}");
        Wording::ascii()
    } else {
        &loaded.wording
    };
    Ok(Facts {
        config: loaded.config.clone(),
        config_sha256: loaded.sha256.clone(),
        calendar_sha256: loaded.calendar.sha256.clone(),
        binary_sha256: dossier::program_sha256().ok(),
        model: dossier::model(detector.card()),
        wording: wording.clone(),
        time_zone: jiff::tz::TimeZone::get(zone)
            .with_context(|| format!("device.time_zone: {zone:?} is not known here"))?,
        identity,
        telemetry,
        clock_state: Arc::default(),
        objections: Arc::new(Objections::read(
            store,
            &loaded.config.commands,
            detector.card().sha256(),
        )?),
        nameplates: Arc::new(Nameplates::new(&loaded.config.camera)?),
    })
}

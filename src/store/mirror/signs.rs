//! What can be told of the second medium while a step on it is under way, and perhaps never ends.

use std::time::Duration;

use super::{MirrorState, mirroring};
use crate::clock;
use crate::store::{Store, StoreError, lines};
use crate::types::{Stamp, lock};

/// Reading or writing one package, or the journal, takes no longer on a medium that is of any use.
const ANSWERS_WITHIN: Duration = Duration::from_mins(2);

/// The state of the medium; locked for a moment only, so that whoever asks never waits for it.
#[derive(Debug, Default)]
pub(in crate::store) struct Signs {
    /// What is wrong with it; `None` while it works, or before the first look.
    trouble: Option<String>,
    /// Boot clock, nanoseconds: since when something is read or written there.
    busy_since: Option<u64>,
}

/// Something is read or written on the medium for as long as this lives.
pub(super) struct Busy<'a>(&'a Store);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        lock(&self.0.shared.signs).busy_since = None;
    }
}

impl Store {
    /// How the second copy stands; `None` when none is configured.
    pub fn mirror_state(&self) -> Result<Option<MirrorState>, StoreError> {
        let dir = self.shared.config.mirror.clone();
        if dir.as_os_str().is_empty() {
            return Ok(None);
        }
        let mirroring = mirroring(&self.inner().conn)?;
        let trouble = lock(&self.shared.signs).trouble.clone();
        Ok(Some(MirrorState {
            dir,
            trouble,
            mirroring,
        }))
    }

    /// Whether the step under way waits for a medium that does not answer; then that is its trouble. To
    /// be called now and then while [`Store::mirror_step`] lasts.
    pub fn mirror_hangs(&self, now: Stamp) -> Result<bool, StoreError> {
        let since = lock(&self.shared.signs).busy_since;
        let hangs = since.is_some_and(|since| {
            let lasts = Duration::from_nanos(now.boot_ns.saturating_sub(since));
            lasts >= ANSWERS_WITHIN
        });
        if hangs {
            self.in_trouble(format!(
                "the second medium at {} does not answer: a network that is away, or a disk that hangs",
                self.shared.config.mirror.display()
            ))?;
        }
        Ok(hangs)
    }

    pub(super) fn busy(&self) -> Busy<'_> {
        lock(&self.shared.signs).busy_since = Some(clock::boot_ns());
        Busy(self)
    }

    /// The first time a trouble is met the journal says so.
    pub(super) fn in_trouble(&self, why: String) -> Result<(), StoreError> {
        if lock(&self.shared.signs).trouble.is_none() {
            tracing::warn!(why, "the second medium is missing");
            let body = serde_json::json!({ "why": why });
            self.inner()
                .say(clock::now(), lines::MIRROR_MISSING, body)?;
        }
        lock(&self.shared.signs).trouble = Some(why);
        Ok(())
    }

    /// The medium works; whether it did not before.
    pub(super) fn out_of_trouble(&self) -> bool {
        lock(&self.shared.signs).trouble.take().is_some()
    }
}

//! The keeper by itself, with a camera that plays: so `benches/seal.rs` measures what a case costs from its
//! trigger to the sealed package, and so the keeper's own tests have it.
//!
//! Everything is opened as the daemon opens it, and an order goes through the same hands. There is no eye,
//! no mouth and no telemetry: nothing is detected or judged, no warning is said, no place is known.
//!
//! **Not here.** The keeper's thread and its channel: an order is carried out when it is given.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::config::Loaded;
use crate::develop::Developer;
use crate::ingest::{Camera, Slots};
use crate::status::Progress;
use crate::store::Store;
use crate::types::{Area, CaseId, Frame, Order, RoleSet};

use super::dossier::Facts;
use super::hits::Hits;
use super::keeper::Keeper;
use super::mouth::{Mouthpiece, Shout};
use super::refusals::Refusals;
use super::views::ViewLines;
use super::work::{Boxed, Work};

/// The keeper of a daemon of which nothing else runs but its cameras.
pub struct Rehearsal {
    keeper: Keeper,
    slots: Arc<Slots>,
    book: String,
}

impl Rehearsal {
    /// Opens what the daemon of this configuration opens, and starts its cameras.
    pub fn open(loaded: &Loaded) -> anyhow::Result<Self> {
        let opened = super::open(loaded)?;
        let slots = Arc::new(Slots::new(loaded.config.camera.len()));
        let cameras = super::cameras(&loaded.config, &slots)?;
        let (store, shouts) = (opened.store, mpsc::channel(1).0);
        Ok(Self {
            keeper: Keeper::alone((store, shouts), opened.developer, cameras, opened.facts),
            slots,
            book: opened.judge.book(),
        })
    }

    /// The next frame that is due for a look; `None` when none comes for so long.
    pub fn frame(&self, wait: Duration) -> Option<Frame> {
        self.slots.take(wait)
    }

    /// Carries out what is ordered at a frame, in which these things were seen.
    pub fn carry(
        &mut self,
        frame: &Frame,
        seen: &[(Area, RoleSet)],
        orders: Vec<Order>,
    ) -> anyhow::Result<()> {
        self.keeper.carry(Work {
            camera: frame.camera,
            at: frame.at,
            time_source: Some(frame.time_source),
            frame: Some(frame.clone()),
            places: Vec::new(),
            orders,
            book: self.book.clone(),
            seen: Vec::new(),
            boxes: seen.iter().map(|it| Boxed::on(frame, *it)).collect(),
        });
        let trouble = self.keeper.state().trouble.clone();
        trouble.map_or(Ok(()), |why| Err(anyhow::Error::msg(why)))
    }

    /// Where the package of a sealed case lies.
    pub fn package(&self, case: CaseId) -> PathBuf {
        self.keeper.store.package_dir(case)
    }
}

impl Keeper {
    /// A keeper to whom nobody gives orders over a channel.
    pub(super) fn alone(
        (store, shouts): (Store, mpsc::Sender<Shout>),
        developer: Developer,
        cameras: Vec<Camera>,
        facts: Facts,
    ) -> Self {
        Self {
            orders: sync_channel(1).1,
            hits: Hits::new(store.clone(), &facts.config.camera),
            refusals: Refusals::default(),
            views: ViewLines::default(),
            developer,
            cameras: Arc::new(cameras),
            facts,
            mouth: Mouthpiece::new(shouts, mpsc::channel(1).0, store.clone()),
            store,
            waiting: Vec::new(),
            unsaved: None,
            half_made: Vec::new(),
            state: Arc::default(),
            beat: Progress::default().watch("keeper"),
        }
    }
}

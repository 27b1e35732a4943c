//! What one camera's picture tells without a model, frame by frame, for the daemon and for a
//! replay alike: what the view is worth, how the picture of a moving camera moved, and what stands
//! there new.

use crate::config::{Camera, Config, ZoneKind};
use crate::types::{Detection, Image, Motion, RoleSet, Stamp, Track, View};

use super::appearance::describe;
use super::background::Background;
use super::drift::Drift;
use super::guard::{Guard, Reference, Watched};
use super::luma::Luma;

/// The outlook of one camera.
#[derive(Debug)]
pub struct Outlook {
    luma: Luma,
    guard: Option<Guard>,
    background: Option<Background>,
    drift: Option<Drift>,
    /// The movement since it was last asked for.
    motion: Option<Motion>,
    view: View,
    /// What is warned before it is recorded: only of this does it matter what it looks like.
    warned: RoleSet,
}

impl Outlook {
    /// The outlook of `camera`, with the reference that was kept of it.
    pub fn new(config: &Config, camera: &Camera, reference: Option<Reference>) -> Self {
        let fixed = config.is_fixed(camera);
        let guard = || Guard::new(&config.guard, camera, fixed, reference);
        let watches = config.background.enabled && fixed;
        Self {
            luma: Luma::new(),
            background: watches
                .then(|| Background::new(config, &camera.name))
                .flatten(),
            drift: (!fixed).then(Drift::default),
            motion: None,
            view: View::Good,
            warned: warned(config, camera),
            guard: config.guard.enabled.then(guard),
        }
    }

    /// Takes in the frame of moment `at`.
    pub fn look(&mut self, at: Stamp, image: &Image) -> Watched {
        self.luma.draw(image);
        let guard = self.guard.as_mut();
        let watched = guard.map_or_else(Watched::default, |g| g.look(at, image, &self.luma));
        self.view = watched.view;
        if let Some(moved) = self.drift.as_mut().and_then(|d| d.look(&self.luma)) {
            self.motion = Some(self.motion.map_or(moved, |before| before.then(&moved)));
        }
        watched
    }

    /// How the picture moved since this was last asked.
    pub fn take_motion(&mut self) -> Option<Motion> {
        self.motion.take()
    }

    /// The things of no known class in the frame last looked at, in which the detector found
    /// `detections`. A bad view has none, and no background.
    pub fn new_things(&mut self, at: Stamp, detections: &[Detection]) -> Vec<Detection> {
        match &mut self.background {
            Some(background) if self.view.is_good() && self.luma.height() > 0 => {
                background.look(at, &self.luma, detections)
            }
            Some(background) => {
                background.forget();
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// Takes down what each of `tracks` looks like that is seen in the frame and could come to a
    /// second look. [`Outlook::look`] and this are given the same frame, whose moment is `at`.
    pub fn describe(&self, at: Stamp, image: &Image, tracks: &mut [Track]) {
        for track in tracks {
            let d = &track.detection;
            if track.last_seen == at && d.roles.meets(self.warned) {
                track.appearance = describe(image, d.area);
            }
        }
    }

    /// The reference of a fixed camera, once there is one.
    pub fn reference(&self) -> Option<&Reference> {
        self.guard.as_ref()?.reference()
    }
}

/// The roles that a rule which warns first looks for in a zone of `camera`.
fn warned(config: &Config, camera: &Camera) -> RoleSet {
    let mut roles = RoleSet::EMPTY;
    for zone in config.zone.iter().filter(|z| z.camera == camera.name) {
        let usual = match zone.kind {
            ZoneKind::NoVending => &config.judge.street_vending.roles,
            ZoneKind::ShopFront => &config.judge.out_of_store.roles,
            ZoneKind::Road | ZoneKind::Private => continue,
        };
        let own = if zone.roles.is_empty() {
            usual
        } else {
            &zone.roles
        };
        roles = roles.with(own.iter().copied().collect());
    }
    roles
}

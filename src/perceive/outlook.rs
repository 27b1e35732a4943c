//! What one camera's picture tells without a model, frame by frame, for the daemon and for a
//! replay alike: what the view is worth.

use crate::config::{Camera, Config};
use crate::types::{Image, Stamp};

use super::guard::{Guard, Reference, Watched};
use super::luma::Luma;

/// The outlook of one camera.
#[derive(Debug)]
pub struct Outlook {
    luma: Luma,
    guard: Option<Guard>,
}

impl Outlook {
    /// The outlook of `camera`, with the reference that was kept of it.
    pub fn new(config: &Config, camera: &Camera, reference: Option<Reference>) -> Self {
        let fixed = config.is_fixed(camera);
        let guard = || Guard::new(&config.guard, camera, fixed, reference);
        Self {
            luma: Luma::new(),
            guard: config.guard.enabled.then(guard),
        }
    }

    /// Takes in the frame of moment `at`.
    pub fn look(&mut self, at: Stamp, image: &Image) -> Watched {
        self.luma.draw(image);
        let guard = self.guard.as_mut();
        guard.map_or_else(Watched::default, |g| g.look(at, image, &self.luma))
    }

    /// The reference of a fixed camera, once there is one.
    pub fn reference(&self) -> Option<&Reference> {
        self.guard.as_ref()?.reference()
    }
}

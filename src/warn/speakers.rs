//! The loudspeakers of a box: one for all zones, and some where particular cameras look.
//!
//! One thing is said at a time all the same: who is spoken to shall understand it.

use super::{Speaker, Toots, WarnError};
use crate::config::Config;

/// The loudspeakers of a box.
#[derive(Debug)]
pub struct Speakers {
    main: Speaker,
    /// Each with the names of the zones it speaks to.
    outlets: Vec<(Vec<String>, Speaker)>,
}

impl Speakers {
    /// Opens all of them, as [`Speaker::open`] does.
    ///
    /// # Errors
    /// Those of [`Speaker::open`].
    pub fn open(config: &Config) -> Result<Self, WarnError> {
        let mut outlets = Vec::with_capacity(config.warn.outlet.len());
        for outlet in &config.warn.outlet {
            let zones = config.zone.iter();
            let zones = zones.filter(|zone| outlet.cameras.contains(&zone.camera));
            let names = zones.map(|zone| zone.name.clone()).collect();
            outlets.push((names, Speaker::open(&config.warn.at(outlet))?));
        }
        let main = Speaker::open(&config.warn)?;
        Ok(Self { main, outlets })
    }

    /// The same with the way to the vehicle, where one of them is its horn.
    #[must_use]
    pub fn through(mut self, toots: Toots) -> Self {
        self.main = self.main.through(toots);
        self
    }

    /// The one for what persons order.
    pub fn main(&self) -> &Speaker {
        &self.main
    }

    /// The one that speaks to `zone`; for none in particular, that for what persons order.
    pub fn of(&mut self, zone: &str) -> &mut Speaker {
        let mut outlets = self.outlets.iter_mut();
        let outlet = outlets.find(|(zones, _)| zones.iter().any(|name| name == zone));
        outlet.map_or(&mut self.main, |(_, speaker)| speaker)
    }
}

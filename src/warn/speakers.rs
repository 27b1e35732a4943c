//! The loudspeakers of a box: one for all zones, and some where particular cameras look.
//!
//! One thing is said at a time all the same: who is spoken to shall understand it.

use super::{Listening, Speaker, Toots, Voice, WarnError};
use crate::config::Config;

/// The loudspeakers of a box.
#[derive(Debug)]
pub struct Speakers {
    main: Speaker,
    /// Names of the zones it speaks to: those drawn on cameras without an outlet.
    zones: Vec<String>,
    outlets: Vec<Outlet>,
}

/// One where particular cameras look.
#[derive(Debug)]
struct Outlet {
    cameras: Vec<String>,
    /// Names of the zones it speaks to: those drawn on its cameras.
    zones: Vec<String>,
    speaker: Speaker,
}

/// What speaks texts, for each of the loudspeakers.
#[derive(Clone, Debug)]
pub struct Voices {
    main: Result<Voice, String>,
    /// Each with the cameras of its loudspeaker.
    outlets: Vec<(Vec<String>, Result<Voice, String>)>,
}

impl Speakers {
    /// Opens all of them, as [`Speaker::open`] does.
    ///
    /// # Errors
    /// Those of [`Speaker::open`].
    pub fn open(config: &Config) -> Result<Self, WarnError> {
        let mut outlets = Vec::with_capacity(config.warn.outlet.len());
        for outlet in &config.warn.outlet {
            outlets.push(Outlet {
                cameras: outlet.cameras.clone(),
                zones: zones(config, |camera| outlet.cameras.contains(camera)),
                speaker: Speaker::open(&config.warn.at(outlet))?,
            });
        }
        Ok(Self {
            main: Speaker::open(&config.warn)?,
            zones: zones(config, |camera| {
                !outlets.iter().any(|o| o.cameras.contains(camera))
            }),
            outlets,
        })
    }

    /// The same with the way to the vehicle, where one of them is its horn.
    #[must_use]
    pub fn through(mut self, toots: Toots) -> Self {
        self.main = self.main.through(toots);
        self
    }

    /// The same with the way to what cameras hear, for those whose microphone is one's.
    #[must_use]
    pub fn hearing(mut self, cameras: &Listening) -> Self {
        self.main = self.main.hearing(cameras.clone());
        let hearing = |outlet: Outlet| Outlet {
            speaker: outlet.speaker.hearing(cameras.clone()),
            ..outlet
        };
        self.outlets = self.outlets.into_iter().map(hearing).collect();
        self
    }

    /// What speaks texts for each of them.
    pub fn voices(&self) -> Voices {
        let outlets = self.outlets.iter();
        Voices {
            main: self.main.voice(),
            outlets: outlets
                .map(|outlet| (outlet.cameras.clone(), outlet.speaker.voice()))
                .collect(),
        }
    }

    /// The one that speaks to `zone`; for none in particular, `[warn.speaker]`.
    pub fn of(&mut self, zone: &str) -> &mut Speaker {
        let mut outlets = self.outlets.iter_mut();
        let outlet = outlets.find(|outlet| outlet.zones.iter().any(|name| name == zone));
        outlet.map_or(&mut self.main, |outlet| &mut outlet.speaker)
    }

    /// Names of the zones in which the one is heard that speaks to `zone`: all that it speaks to.
    pub fn zones_with(&self, zone: &str) -> &[String] {
        let mut outlets = self.outlets.iter();
        let outlet = outlets.find(|outlet| outlet.zones.iter().any(|name| name == zone));
        outlet.map_or(&self.zones, |outlet| &outlet.zones)
    }

    /// Names of the zones in which the one is heard that speaks where `camera` looks.
    pub fn zones_at(&self, camera: &str) -> &[String] {
        let mut outlets = self.outlets.iter();
        let outlet = outlets.find(|outlet| outlet.cameras.iter().any(|name| name == camera));
        outlet.map_or(&self.zones, |outlet| &outlet.zones)
    }

    /// The one that speaks where `camera` looks.
    pub fn at(&mut self, camera: &str) -> &mut Speaker {
        let mut outlets = self.outlets.iter_mut();
        let outlet = outlets.find(|outlet| outlet.cameras.iter().any(|name| name == camera));
        outlet.map_or(&mut self.main, |outlet| &mut outlet.speaker)
    }
}

/// Names of the zones drawn on those of the cameras.
fn zones(config: &Config, of: impl Fn(&String) -> bool) -> Vec<String> {
    let zones = config.zone.iter().filter(|zone| of(&zone.camera));
    zones.map(|zone| zone.name.clone()).collect()
}

impl Voices {
    /// What speaks texts where `camera` looks; for none in particular, from `[warn.speaker]`.
    ///
    /// # Errors
    /// Why nothing does.
    pub fn at(&self, camera: Option<&str>) -> Result<&Voice, &str> {
        let at = |(cameras, _): &&(Vec<String>, _)| {
            camera.is_some_and(|camera| cameras.iter().any(|name| name == camera))
        };
        let outlet = self.outlets.iter().find(at);
        let voice = outlet.map_or(&self.main, |(_, voice)| voice);
        voice.as_ref().map_err(String::as_str)
    }
}

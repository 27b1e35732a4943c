//! The clips as `lingmou check` looks at them: all of them, with every fault.

use std::path::Path;

use super::Clip;
use super::clip::LOUDNORM;
use crate::config;

/// A clip further than this from the identity before it, decibels, is heard as another voice: too
/// quiet to be understood, or a fright.
const APART_MAX: f64 = 4.0;

/// Reads the clips of `config` for `lingmou check`: how long and how loud each is.
///
/// # Errors
/// The key and the fault of each that is no clip, cannot follow the identity in the same sound, is
/// not about as loud as it, or is much too quiet or cut off at full scale; and how to mend it.
pub fn look_at_clips(config: &config::Warn) -> Result<String, Vec<(&'static str, String)>> {
    if !config.plays_clips() {
        return Ok("none".to_owned());
    }
    let identity = Clip::read(&config.identity);
    let look = |path: &Path| {
        let clip = Clip::read(path).map_err(|error| error.to_string())?;
        if let Ok(identity) = &identity {
            let alike = clip.check_alike(identity);
            alike.map_err(|error| error.to_string())?;
            let said = clip.describe()?;
            let apart = clip.sound().loudness().0 - identity.sound().loudness().0;
            return if apart.abs() <= APART_MAX {
                Ok(said)
            } else {
                Err(format!(
                    "{}: {apart:+.0} dB against the identity before it, not within {APART_MAX} dB; \
                     make both anew: {LOUDNORM}",
                    path.display()
                ))
            };
        }
        clip.describe()
    };
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (key, path) in [
        ("warn.identity", &config.identity),
        ("warn.street_vending", &config.street_vending),
        ("warn.out_of_store", &config.out_of_store),
    ] {
        match look(path) {
            Ok(word) => good.push(word),
            Err(why) => bad.push((key, why)),
        }
    }
    if bad.is_empty() {
        Ok(good.join(", "))
    } else {
        Err(bad)
    }
}

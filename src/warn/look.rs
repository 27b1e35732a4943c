//! The clips as `lingmou check` looks at them: all of them, with every fault.

use std::path::Path;

use super::Clip;
use crate::config;

/// Reads the clips of `config` for `lingmou check`: how long and how loud each is.
///
/// # Errors
/// The key and the fault of each that is no clip, cannot follow the identity in the same sound, or
/// is much too quiet or cut off at full scale; and how to mend it.
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

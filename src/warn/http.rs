//! A horn loudspeaker with a network address: takes the sound in one HTTP request and plays it as
//! it comes (Axis VAPIX "Audio API", `transmit.cgi`, and others alike).

use super::clip::Clip;
use super::convert::{self, Law};
use super::curl::{Login, quoted};
use super::play::{Played, Until};
use super::program::{self, Input};
use crate::config::{self, SoundFormat};

/// Where the sound goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Http {
    url: String,
    method: String,
    content_type: String,
    format: SoundFormat,
    login: Login,
}

impl std::fmt::Display for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

impl Http {
    pub(super) fn new(speaker: &config::Speaker) -> Self {
        Self {
            url: speaker.url.clone(),
            method: speaker.method.clone(),
            content_type: speaker.content_type.clone(),
            format: speaker.format,
            login: Login::new(speaker),
        }
    }

    pub(super) async fn play(&self, clip: &Clip, volume: f64, until: Until<'_>) -> Played {
        let sound = clip.sound().at(volume);
        let (bytes, pace) = match self.format {
            SoundFormat::Wav => {
                let bytes = sound.wav();
                let length = clip.duration().as_secs_f64().max(0.1);
                let pace = convert::per_second(bytes.len(), length);
                (bytes, pace)
            }
            SoundFormat::Mulaw => match convert::g711_aside(sound, Law::Mu).await {
                Ok(bytes) => (bytes, convert::G711_RATE),
                Err(why) => return Played::refused(&why),
            },
        };
        let orders = match self.login.orders(&self.request(bytes.len())) {
            Ok(orders) => orders,
            Err(why) => return Played::refused(&why),
        };
        let input = Input {
            bytes,
            pace: Some(pace),
            length: clip.duration(),
        };
        program::play(&orders.command(), input, until).await
    }

    fn request(&self, bytes: usize) -> String {
        format!(
            "output = \"/dev/null\"\nurl = {}\nrequest = {}\nupload-file = \"-\"\nheader = {}\n\
             header = \"Content-Length: {bytes}\"\nheader = \"Transfer-Encoding:\"\n\
             header = \"Expect:\"\n",
            quoted(&self.url),
            quoted(&self.method),
            quoted(&format!("Content-Type: {}", self.content_type)),
        )
    }
}

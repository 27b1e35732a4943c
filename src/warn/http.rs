//! A horn loudspeaker with a network address: takes the sound in one HTTP request and plays it as
//! it comes (Axis VAPIX "Audio API", `transmit.cgi`, and others alike).

use super::clip::Clip;
use super::convert::{self, Law};
use super::play::{Played, Until};
use super::program::{self, Input};
use crate::config::{self, SoundFormat};
use crate::http::{Login, quoted};

/// A device that is asked whether it is there answers within this, seconds.
const ANSWER_SECS: u64 = 5;

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

    /// Asks whether the device answers. The question is about all of it (`OPTIONS *`), so that nothing
    /// at the address of the sound begins to play, and any answer will do but one that bars us.
    pub(super) async fn probe(&self) -> Result<String, String> {
        let request = format!(
            "max-time = {ANSWER_SECS}\nno-fail\noutput = \"/dev/null\"\nurl = {}\n\
             request = \"OPTIONS\"\nrequest-target = \"*\"\nwrite-out = \"%{{http_code}}\"\n",
            quoted(&self.url)
        );
        let orders = self.login.orders(&request)?;
        match program::told(&orders.command()).await.as_deref() {
            Ok("401") => Err(format!(
                "{self}: it answers 401: check user and password_file"
            )),
            Ok(code) => Ok(format!("{self}: it answers ({code}); nothing was played")),
            Err(why) => Err(format!(
                "{self}: {why}; check its address, that it has power and that its web server is on"
            )),
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

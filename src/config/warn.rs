//! What the box speaks with, how loud, how often and when not.

use std::path::PathBuf;

use jiff::civil::{Date, Weekday};
use serde::{Deserialize, Serialize};

use super::Horn;
use super::hours::Span;

/// `[warn]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Warn {
    /// The loudspeaker.
    pub speaker: Speaker,
    /// The microphone that listens whether it was heard.
    pub microphone: Microphone,
    /// Clip that says who speaks; played before each of the others, in the same sound.
    pub identity: PathBuf,
    /// Clip played for street vending.
    pub street_vending: PathBuf,
    /// Clip played for out-of-store business.
    pub out_of_store: PathBuf,
    /// Volume, 0.0 silent, 1.0 as recorded.
    pub volume: f64,
    /// A clip is cut off this many seconds after its own length.
    pub margin_secs: f64,
    /// Local time of day, `HH:MM`, from which nothing is said by itself.
    pub quiet_from: String,
    /// Local time of day until which nothing is said by itself; the same as `quiet_from` means
    /// that there are no quiet hours.
    pub quiet_to: String,
    /// Above this speed of the vehicle nothing is said, km/h; 0: speed does not matter.
    pub speed_max_kmh: f64,
    /// After a person stopped it, the loudspeaker is silent for this long, seconds.
    pub stop_secs: f64,
    /// How often it may speak.
    pub budget: Budget,
    /// `[[warn.hours]]`: further hours that are quieter, or quiet.
    pub hours: Vec<Hours>,
    /// A vehicle's horn.
    pub horn: Horn,
    /// `[[warn.outlet]]`: further loudspeakers, where some of the cameras look.
    pub outlet: Vec<Outlet>,
}

impl Default for Warn {
    fn default() -> Self {
        Self {
            speaker: Speaker::default(),
            microphone: Microphone::default(),
            identity: "clips/identity.wav".into(),
            street_vending: "clips/street_vending.wav".into(),
            out_of_store: "clips/out_of_store.wav".into(),
            volume: 0.8,
            margin_secs: 3.0,
            quiet_from: "22:00".to_owned(),
            quiet_to: "07:00".to_owned(),
            speed_max_kmh: 20.0,
            stop_secs: 3600.0,
            budget: Budget::default(),
            hours: Vec::new(),
            horn: Horn::default(),
            outlet: Vec::new(),
        }
    }
}

impl Warn {
    /// Whether what may be said depends on the hour. Then nothing is said by itself while the clock
    /// does not tell it.
    pub fn needs_the_hour(&self) -> bool {
        let quiet = Span::between(&self.quiet_from, &self.quiet_to).is_some();
        quiet || !self.hours.is_empty()
    }

    /// What holds where `outlet` speaks.
    #[must_use]
    pub fn at(&self, outlet: &Outlet) -> Self {
        Self {
            speaker: outlet.speaker.clone(),
            microphone: outlet.microphone.clone(),
            outlet: Vec::new(),
            ..self.clone()
        }
    }

    /// The microphones, each with the key of its table.
    pub fn microphones(&self) -> impl Iterator<Item = (String, &Microphone)> {
        let outlets = self.outlet.iter().enumerate();
        let outlets =
            outlets.map(|(i, at)| (format!("warn.outlet[{i}].microphone"), &at.microphone));
        std::iter::once(("warn.microphone".to_owned(), &self.microphone)).chain(outlets)
    }

    /// Whether there is a loudspeaker that plays the clips.
    pub fn plays_clips(&self) -> bool {
        let outlets = self.outlet.iter().map(|outlet| &outlet.speaker);
        outlets.chain([&self.speaker]).any(Speaker::plays_clips)
    }
}

/// `[warn.budget]`: the most announcements that may begin in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// For one case, in all.
    pub per_case: u32,
    /// In one zone, in any hour; what persons order counts as one more zone.
    pub per_place_hour: u32,
    /// In one zone, in any 24 hours, likewise.
    pub per_place_day: u32,
    /// In any hour, whatever for.
    pub per_hour: u32,
    /// In any 24 hours, whatever for.
    pub per_day: u32,
    /// Within quiet hours, in any 24 hours: what persons order.
    pub per_night: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            per_case: 3,
            per_place_hour: 4,
            per_place_day: 12,
            per_hour: 12,
            per_day: 60,
            per_night: 3,
        }
    }
}

/// `[[warn.hours]]`: hours with a lower volume, or with none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hours {
    /// The zones they hold for; empty: for all.
    pub zones: Vec<String>,
    /// The days they begin on, `mon` … `sun` or `YYYY-MM-DD`; empty: every day.
    pub days: Vec<String>,
    /// Local time of day, `HH:MM`.
    pub from: String,
    /// Local time of day, `HH:MM` up to `24:00`; earlier than `from` means the next day.
    pub to: String,
    /// Volume at most; 0: nothing is said by itself.
    pub volume: f64,
}

impl Default for Hours {
    fn default() -> Self {
        Self {
            zones: Vec::new(),
            days: Vec::new(),
            from: "00:00".to_owned(),
            to: "24:00".to_owned(),
            volume: 0.0,
        }
    }
}

/// A day as `[[warn.hours]] days` writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Day {
    /// Every week on this day.
    Weekly(Weekday),
    /// Once.
    Date(Date),
}

impl Day {
    /// The day `text` names: `mon` … `sun`, or `YYYY-MM-DD`.
    pub fn parse(text: &str) -> Option<Self> {
        const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let place = (1_i8..).zip(NAMES).find(|(_, name)| *name == text);
        match place {
            Some((number, _)) => Weekday::from_monday_one_offset(number)
                .ok()
                .map(Self::Weekly),
            None => text.parse().ok().map(Self::Date),
        }
    }

    /// Whether `date` is such a day.
    pub fn is(self, date: Date) -> bool {
        match self {
            Self::Weekly(day) => date.weekday() == day,
            Self::Date(day) => date == day,
        }
    }
}

/// `[warn.speaker]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Speaker {
    /// What kind of loudspeaker.
    pub kind: SpeakerKind,
    /// `kind = "file"`: the WAV file each played clip is written to.
    pub path: PathBuf,
    /// `kind = "local"`: the PulseAudio/PipeWire/ALSA device; empty for the system's default.
    pub device: String,
    /// `kind = "command"`: program and arguments; it reads a WAV file from its input, and ends
    /// well when it has played it.
    pub command: Vec<String>,
    /// `kind = "http"`, `"onvif"` or `"hikvision"`: where the sound is sent, without user and
    /// password.
    pub url: String,
    /// `kind = "http"`: `POST` or `PUT`.
    pub method: String,
    /// `kind = "http"`: what the device calls the sound.
    pub content_type: String,
    /// `kind = "http"`: what the sound is made into.
    pub format: SoundFormat,
    /// The same kinds: user name for digest authentication; empty: none is asked for.
    pub user: String,
    /// The same kinds: file that holds the password and nothing else (mode 0600).
    pub password_file: PathBuf,
    /// `https://`: certificates (PEM) trusted for this device. Empty: the system's roots.
    pub tls_roots: PathBuf,
}

impl Speaker {
    /// Whether it plays the clips: a horn's tone is none.
    pub fn plays_clips(&self) -> bool {
        !matches!(self.kind, SpeakerKind::None | SpeakerKind::Mavlink)
    }
}

impl Default for Speaker {
    fn default() -> Self {
        Self {
            kind: SpeakerKind::None,
            path: PathBuf::new(),
            device: String::new(),
            command: Vec::new(),
            url: String::new(),
            method: "POST".to_owned(),
            content_type: "audio/basic".to_owned(),
            format: SoundFormat::Mulaw,
            user: String::new(),
            password_file: PathBuf::new(),
            tls_roots: PathBuf::new(),
        }
    }
}

/// `[[warn.outlet]]`: a loudspeaker where some of the cameras look. `[warn.speaker]` is for the
/// others, and for what persons order who name no camera.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outlet {
    /// Names of the cameras; it speaks to the zones drawn on them.
    pub cameras: Vec<String>,
    /// The loudspeaker.
    pub speaker: Speaker,
    /// The microphone that listens whether it was heard.
    pub microphone: Microphone,
}

/// The kinds of loudspeaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpeakerKind {
    /// No loudspeaker: nothing is played, so no warn-first case becomes evidence.
    #[default]
    None,
    /// The box's own sound output (GStreamer `autoaudiosink`).
    Local,
    /// A WAV file, for tests and demonstrations.
    File,
    /// A program that plays.
    Command,
    /// A loudspeaker or camera that takes the sound by HTTP and plays it as it comes.
    Http,
    /// A MAVLink vehicle's horn: a tone, which is no warning.
    Mavlink,
    /// A camera's own loudspeaker, by ONVIF audio backchannel.
    Onvif,
    /// A camera or horn by ISAPI two-way audio (Hikvision).
    Hikvision,
}

/// What a sound is sent as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SoundFormat {
    /// G.711 mu-law, 8 kHz, one channel, without a header.
    #[default]
    Mulaw,
    /// A WAV file as the clip is.
    Wav,
}

/// `[warn.microphone]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Microphone {
    /// Program and arguments that write what they hear: 16-bit little-endian samples, one channel,
    /// 16 kHz, no header.
    pub command: Vec<String>,
    /// Name of the camera whose own audio is listened to instead. Both empty: nobody listens.
    pub camera: String,
}

impl Microphone {
    /// Whether somebody listens.
    pub fn listens(&self) -> bool {
        !self.command.is_empty() || !self.camera.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days() {
        let date = |text: &str| text.parse::<Date>().expect("a date");
        for (text, is, is_not) in [
            ("mon", "2026-11-23", "2026-11-24"),
            ("sun", "2026-11-29", "2026-11-28"),
            ("2027-06-07", "2027-06-07", "2027-06-08"),
        ] {
            let day = Day::parse(text).expect(text);
            assert!(day.is(date(is)) && !day.is(date(is_not)), "{text}");
        }
        for wrong in ["", "Mon", "monday", "2027-02-30", "7"] {
            assert_eq!(Day::parse(wrong), None, "{wrong}");
        }
    }
}

//! The configuration file: strict, defaulted, all mistakes at once.
//!
//! One struct per table, one file per group of tables. Every key is documented here and again,
//! in a technician's words, in `config/lingmou.toml`; a test holds the two equal. Reading goes
//! through `parse` (form: syntax, names, types) and `check` (meaning: ranges, references,
//! files); both note what they find and go on.
//!
//! **Invariants.** Unknown keys are mistakes. No secret is in the file: passwords and keys are
//! named by path. Relative paths are relative to the file's own folder, and absolute once read.
//! A mistake never repeats a password that was written where it does not belong.
//!
//! **Not here.** No network, no camera, no model is opened; `lingmou check` does that in `cli`.

mod calendar;
mod camera;
mod check;
mod commands;
mod horn;
mod hours;
mod judge;
mod keys;
mod limits;
mod link;
mod machine;
mod mistake;
mod parse;
mod source;
#[cfg(test)]
mod tests;
mod text;
mod warn;
mod watch;
mod wording;
mod zone;

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

pub use calendar::Calendar;
pub use camera::{
    Camera, CameraKind, DetectOn, ExecutionProvider, Model, Mount, RtspTransport,
    without_parameters,
};
pub(crate) use check::is_host;
pub(crate) use check::polygon::overlap as share_ground;
pub use commands::Commands;
pub use horn::{Drive, Horn};
pub use hours::{Span, Times, minute_of_day};
pub use judge::{FirstTime, Judge, Law, OutOfStore, Spillage, StreetVending};
pub use keys::{KeyName, Keys, StandIn, Suite, Token, secret_file};
pub use link::{Profile, Receive, Upload};
pub use machine::{
    Device, Evidence, MavlinkLink, PruneNeeds, Site, Store, Telemetry, TelemetrySource,
};
pub use mistake::{Mistake, Mistakes};
pub use warn::{Budget, Day, Hours, Microphone, Outlet, SoundFormat, Speaker, SpeakerKind, Warn};
pub use watch::{Background, Guard};
pub use wording::Wording;
pub use zone::{Side, Zone, ZoneKind};

use calendar::CalendarFile;
use mistake::{Finder, is_within};
use source::Source;

use crate::types::sha256_hex;

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `[device]`: who this box is.
    pub device: Device,
    /// `[site]`: the announced place it watches.
    pub site: Site,
    /// `[keys]`: certificates and where the private keys are.
    pub keys: Keys,
    /// `[[camera]]`.
    pub camera: Vec<Camera>,
    /// `[model]`: the detector.
    pub model: Model,
    /// `[[zone]]`.
    pub zone: Vec<Zone>,
    /// `[guard]`: whether the cameras see what they were set up to see.
    pub guard: Guard,
    /// `[background]`: new things of no known class.
    pub background: Background,
    /// `[judge]`: the three rules.
    pub judge: Judge,
    /// `[warn]`: loudspeaker and clips.
    pub warn: Warn,
    /// `[telemetry]`: where the position comes from.
    pub telemetry: Telemetry,
    /// `[evidence]`: pictures and clip.
    pub evidence: Evidence,
    /// `[store]`: where packages are kept.
    pub store: Store,
    /// `[upload]`: the broker.
    pub upload: Upload,
    /// `[commands]`: what others may have this box do.
    pub commands: Commands,
}

/// A file as it was read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values; every path in it is absolute or empty.
    pub config: Config,
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of the file's bytes, lower-case hex.
    pub sha256: String,
    /// The words of the captions.
    pub wording: Wording,
    /// Local time, holidays and permits.
    pub calendar: Calendar,
    /// What of the file's text was understood, on its own lines.
    text: String,
}

impl Loaded {
    /// The file and the line on which `key`, or the table it belongs in, stands: `FILE:LINE`.
    pub fn place(&self, key: &str) -> String {
        match Source::new(self.text.clone()).line_of(key) {
            0 => self.path.display().to_string(),
            line => format!("{}:{line}", self.path.display()),
        }
    }
}

/// What a file says in spite of its mistakes, for who looks at everything at once.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The values; where one is wrong, its default or what was written out of range. Nothing may be
    /// made of those that depend on a [spoilt](Self::spoilt) key.
    pub loaded: Loaded,
    /// What is wrong; `None`: nothing.
    pub mistakes: Option<Mistakes>,
    /// The keys and tables that are.
    spoilt: Vec<String>,
}

impl Survey {
    /// The first key that is wrong and is `key`, stands in it or holds it.
    pub fn spoilt(&self, key: &str) -> Option<&str> {
        let mut spoilt = self.spoilt.iter().map(String::as_str);
        spoilt.find(|bad| is_within(key, bad) || is_within(bad, key))
    }
}

impl Config {
    /// Reads the file and whatever it names that must exist.
    pub fn read(path: &Path) -> Result<Loaded, Mistakes> {
        Self::parse(path, &text::read(path)?)
    }

    /// Reads the file on a machine that is not the box: the keys, passwords and clips it names
    /// need not be there. Whoever needs one of them says so when it opens it.
    pub fn read_elsewhere(path: &Path) -> Result<Loaded, Mistakes> {
        Self::parse_elsewhere(path, &text::read(path)?)
    }

    /// Reads `text` as if it were the file at `path`, on a machine that is not the box.
    pub fn parse_elsewhere(path: &Path, text: &str) -> Result<Loaded, Mistakes> {
        Self::judge_text(path, text, |mistake| !mistake.absent)
    }

    /// Reads `text` as if it were the file at `path`.
    pub fn parse(path: &Path, text: &str) -> Result<Loaded, Mistakes> {
        Self::judge_text(path, text, |_| true)
    }

    /// Reads the file as far as it can be understood.
    ///
    /// # Errors
    /// It cannot be read at all, or is nothing but mistakes.
    pub fn survey(path: &Path) -> Result<Survey, Mistakes> {
        let (survey, understood) = Self::take(path, &text::read(path)?);
        match survey.mistakes {
            Some(mistakes) if !understood => Err(mistakes),
            _ => Ok(survey),
        }
    }

    /// Reads `text`; of its mistakes those count that `counts` says.
    fn judge_text(
        path: &Path,
        text: &str,
        counts: impl Fn(&Mistake) -> bool,
    ) -> Result<Loaded, Mistakes> {
        let (survey, _) = Self::take(path, text);
        let Some(mut mistakes) = survey.mistakes else {
            return Ok(survey.loaded);
        };
        mistakes.list.retain(counts);
        if mistakes.list.is_empty() {
            Ok(survey.loaded)
        } else {
            Err(mistakes)
        }
    }

    /// Takes from `text` what it says and what is wrong in it; and whether it says anything.
    fn take(path: &Path, text: &str) -> (Survey, bool) {
        let mut finder = Finder::new(path);
        let (config, source) = parse::read(text.to_owned(), &mut finder, example);
        let understood = config.is_some();
        let mut config: Self = config.unwrap_or_default();
        config.resolve(path);
        check::check(&config, &source, &mut finder);
        finder.list.sort_by_key(|m| m.line);
        // Each file in the folder of keys is looked at by itself.
        let there = config.keys.dir.is_dir();
        let mut spoilt =
            finder.spoilt_keys(&source, |m| !(there && m.absent && m.key == "keys.dir"));
        let list = &mut finder.list;
        let wording = noting(list, &mut spoilt, "evidence.wording", |l| config.wording(l));
        let calendar = noting(list, &mut spoilt, "judge.calendar", |l| config.calendar(l));
        let mistakes = (!finder.list.is_empty()).then(|| Mistakes {
            path: path.to_owned(),
            list: finder.list,
        });
        let loaded = Loaded {
            path: path.to_owned(),
            config,
            sha256: sha256_hex(text.as_bytes()),
            wording,
            calendar,
            text: source.text,
        };
        let survey = Survey {
            loaded,
            mistakes,
            spoilt,
        };
        (survey, understood)
    }

    /// Makes every path absolute, as seen from the folder of the file.
    fn resolve(&mut self, file: &Path) {
        // The file, not its folder: that of a bare name is empty, and no path.
        let file = std::path::absolute(file).unwrap_or_else(|_e| file.to_owned());
        let folder = file.parent().unwrap_or(Path::new(""));
        let cameras = self.camera.iter_mut();
        let cameras = cameras.flat_map(|c| [&mut c.password_file, &mut c.tls_roots, &mut c.path]);
        let outlets = self
            .warn
            .outlet
            .iter_mut()
            .map(|outlet| &mut outlet.speaker);
        let speakers = outlets.chain([&mut self.warn.speaker]);
        let speakers = speakers.flat_map(|s| [&mut s.path, &mut s.password_file, &mut s.tls_roots]);
        for path in cameras.chain(speakers).chain([
            &mut self.keys.dir,
            &mut self.keys.token.module,
            &mut self.keys.token.pin_file,
            &mut self.model.card,
            &mut self.model.runtime,
            &mut self.judge.calendar,
            &mut self.warn.identity,
            &mut self.warn.street_vending,
            &mut self.warn.out_of_store,
            &mut self.evidence.font,
            &mut self.evidence.wording,
            &mut self.store.dir,
            &mut self.store.run_dir,
            &mut self.store.mirror,
        ]) {
            if !path.as_os_str().is_empty() {
                *path = folder.join(&path);
            }
        }
    }

    /// The words `evidence.wording` names; its mistakes go to `list`.
    fn wording(&self, list: &mut Vec<Mistake>) -> Wording {
        let path = &self.evidence.wording;
        let Some(text) = beside(path, list) else {
            return Wording::chinese().clone();
        };
        let mut finder = Finder::new(path);
        let (words, source) = parse::read::<Wording>(text, &mut finder, |_| None);
        if let Some(words) = &words {
            words.check(&mut finder, |key| source.line_of(key));
        }
        list.append(&mut finder.list);
        words.unwrap_or_else(|| Wording::chinese().clone())
    }

    /// The calendar `judge.calendar` names; its mistakes go to `list`.
    fn calendar(&self, list: &mut Vec<Mistake>) -> Calendar {
        // What is no time zone was noted by the check.
        let time_zone = TimeZone::get(&self.device.time_zone).unwrap_or(TimeZone::UTC);
        let path = &self.judge.calendar;
        let Some(text) = beside(path, list) else {
            return Calendar::plain(time_zone);
        };
        let sha256 = sha256_hex(text.as_bytes());
        let mut finder = Finder::new(path);
        let (file, source) = parse::read::<CalendarFile>(text, &mut finder, |_| None);
        let file = file.unwrap_or_default();
        check::calendar(&file, self, &source, &mut finder);
        finder.list.sort_by_key(|m| m.line);
        list.append(&mut finder.list);
        Calendar::new(&file, time_zone, Some(sha256))
    }
}

/// What `read` gives of the file that `key` names; its mistakes go to `list` and spoil the key.
fn noting<T>(
    list: &mut Vec<Mistake>,
    spoilt: &mut Vec<String>,
    key: &str,
    read: impl FnOnce(&mut Vec<Mistake>) -> T,
) -> T {
    let before = list.len();
    let value = read(list);
    if list.len() > before {
        spoilt.push(key.to_owned());
    }
    value
}

/// The text of another file the configuration names. A missing one is named with the other
/// missing files.
fn beside(path: &Path, list: &mut Vec<Mistake>) -> Option<String> {
    if !path.is_file() {
        return None;
    }
    match text::read(path) {
        Ok(text) => Some(text),
        Err(mut mistakes) => {
            list.append(&mut mistakes.list);
            None
        }
    }
}

/// The default of `key`, as it would be written.
fn example(key: &str) -> Option<String> {
    let whole = Config {
        camera: vec![Camera::default()],
        zone: vec![Zone {
            polygon: vec![],
            ..Zone::default()
        }],
        warn: Warn {
            hours: vec![Hours::default()],
            ..Warn::default()
        },
        ..Config::default()
    };
    let whole = toml::Value::try_from(whole).ok()?;
    let steps = key
        .split('.')
        .map(|step| step.split('[').next().unwrap_or(step));
    let value = steps
        .into_iter()
        .try_fold(whole, |value, step| match value {
            toml::Value::Table(mut table) => table.remove(step),
            toml::Value::Array(mut list) => list.pop()?.as_table_mut()?.remove(step),
            _ => None,
        })?;
    // A list of nothing shows nothing, and one of whole tables too much.
    let list = |list: &Vec<toml::Value>| list.iter().all(toml::Value::is_table);
    let empty = value.as_array().is_some_and(list) || value.is_table();
    (!empty).then(|| value.to_string())
}

//! The disk as a power cut leaves it: all that was flushed, and any part of what was not.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::hands::Dice;
use crate::log::{Log, SECTOR};
use crate::promise;

/// What becomes of the writes after the last flush.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// All of them are lost.
    Lost,
    /// All of them reached the disk.
    Kept,
    /// Each for itself, by a throw of the dice.
    Some,
    /// Of each that survives any of its sectors, by a throw for each: writes are torn.
    Torn,
}

/// Chooses cut points among the entries from the first promise on, with what each leaves, in
/// the order of the log.
pub(crate) fn points(log: &Log, count: usize, dice: &mut Dice) -> Vec<(usize, Fate)> {
    let first = promise::in_log(log).first().map_or(0, |(at, _)| *at);
    let span = (log.entries.len() - first) as u64;
    let mut points: Vec<_> = (0..count)
        .map(|n| {
            let at = first + usize::try_from(dice.below(span)).unwrap();
            let fate = [Fate::Some, Fate::Torn, Fate::Lost, Fate::Some, Fate::Kept][n % 5];
            (at, fate)
        })
        .collect();
    points.sort_by_key(|(at, _)| *at);
    points
}

/// Makes the disk of one cut point after the other, which must come in the order of the log.
pub(crate) struct Replay<'a> {
    log: &'a Log,
    rolling: PathBuf,
    disk: File,
    /// Entries before this one are on the rolling disk: all are flushed.
    flushed: usize,
}

impl<'a> Replay<'a> {
    /// Begins with the disk as it was before the machine started.
    pub(crate) fn new(log: &'a Log, pristine: &Path, rolling: &Path) -> io::Result<Self> {
        copy(pristine, rolling)?;
        Ok(Self {
            log,
            rolling: rolling.to_owned(),
            disk: OpenOptions::new().write(true).open(rolling)?,
            flushed: 0,
        })
    }

    /// Makes `image` the disk after a cut behind entry `cut`; gives how many of the writes that
    /// were not flushed it has.
    pub(crate) fn cut(
        &mut self,
        cut: usize,
        fate: Fate,
        dice: &mut Dice,
        image: &Path,
    ) -> io::Result<String> {
        let before = &self.log.entries[..=cut];
        let flushed = before.iter().rposition(|entry| entry.flush).unwrap_or(0);
        for entry in &before[self.flushed.min(flushed)..flushed] {
            let bytes = self.log.bytes(entry)?;
            self.disk.write_all_at(&bytes, entry.sector * SECTOR)?;
        }
        self.flushed = self.flushed.max(flushed);
        copy(&self.rolling, image)?;
        let disk = OpenOptions::new().write(true).open(image)?;
        let open: Vec<_> = before[flushed..].iter().filter(|e| e.sectors > 0).collect();
        let mut survivors = 0;
        for entry in &open {
            let survives = match fate {
                Fate::Lost => false,
                Fate::Kept => true,
                Fate::Some | Fate::Torn => dice.below(2) == 0,
            };
            if !survives {
                continue;
            }
            survivors += 1;
            let bytes = self.log.bytes(entry)?;
            let at = entry.sector * SECTOR;
            let sector = usize::try_from(SECTOR).map_err(io::Error::other)?;
            for (n, part) in (0..).zip(bytes.chunks(sector)) {
                if !matches!(fate, Fate::Torn) || dice.below(2) == 0 {
                    disk.write_all_at(part, at + n * SECTOR)?;
                }
            }
        }
        Ok(format!("{survivors} of {} open writes", open.len()))
    }
}

/// Copies a disk and leaves its holes holes.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let status = Command::new("cp")
        .arg("--sparse=always")
        .args([from, to])
        .status()?;
    let failed = || io::Error::other(format!("copying {} failed", from.display()));
    status.success().then_some(()).ok_or_else(failed)
}

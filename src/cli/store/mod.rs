//! `lingmou store`: what is kept on this box, whether or not the daemon runs.

mod export;
mod look;
mod repair;
mod requeue;

use std::path::{Path, PathBuf};

use crate::clock;
use crate::config::{self, Config};
use crate::store::{StoreError, View, device_of, mirror_init};

use super::places::ConfigFile;
use super::{Answer, out};

const EXAMPLES: &str = "\
Examples:
  lingmou store pending                 # what is only on this box, and for how long there is room
  lingmou store status --json
  lingmou store check                   # every package against its signed manifest
  lingmou store export /media/usb       # every package as one .asice file
  lingmou store export /media/usb --id 0198f0a2-0000-7000-8000-000000000001
  lingmou store repair                  # what a start of the daemon does, by hand and explained
  lingmou store requeue --refused       # what a receiver refused for a reason that is put right
  lingmou store mirror-init /media/evidence
  lingmou store check --dir /mnt/old-box/lingmou

All but `repair` and `requeue` leave the store as it is, and work beside a running daemon.
Exit code: 0 all well, nothing pending; 1 something needs attention, or is pending; 2 could not
be done.";

const STATUS: &str = "\
Example:
  lingmou store status --dir /mnt/old-box/lingmou

Exit code: 0 all well, 1 something needs attention, 2 could not look.";
const PENDING: &str = "\
Example:
  lingmou store pending --json

Exit code: 0 nothing is only on this box, 1 something is, 2 could not look.";
const CHECK: &str = "\
Example:
  lingmou store check --dir /mnt/old-box/lingmou

Exit code: 0 all is as it should be, 1 not all, 2 could not look.";
const REPAIR: &str = "\
Examples:
  lingmou store repair                              # as the daemon's user, the daemon stopped
  lingmou store repair --dir /mnt/old-box/lingmou   # also when its q.db is broken or gone

Exit code: 0 all is as it should be now, 1 not all, 2 could not be done.";
const MIRROR: &str = "\
Example:
  lingmou store mirror-init /media/evidence

Exit code: 0 prepared, or it was already, 2 could not be done.";

/// Show, check, repair and export what is kept on this box
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    file: ConfigFile,
    /// A store elsewhere, instead of the configured one
    #[arg(long, global = true, value_name = "DIR", conflicts_with = "config")]
    dir: Option<PathBuf>,
    /// Print everything as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show how full it is, what it holds, and what needs attention
    #[command(after_help = STATUS)]
    Status,
    /// Show what is only on this box, and for how long there is room
    #[command(after_help = PENDING)]
    Pending,
    /// Read every package against its signed manifest, the database and the journal
    #[command(after_help = CHECK)]
    Check,
    /// Do by hand what a start of the daemon does, and say what was done; removes no evidence
    #[command(after_help = REPAIR)]
    Repair,
    /// Put packages that a receiver has refused back into the queue
    Requeue(requeue::Args),
    /// Write packages as .asice files into a folder; marks nothing, may be called again
    Export(export::Args),
    /// Prepare the medium mounted at a folder for the second copy
    #[command(after_help = MIRROR)]
    MirrorInit {
        /// Where the medium is mounted
        folder: PathBuf,
    },
}

pub(super) fn run(args: &Args) -> anyhow::Result<Answer> {
    let (config, device) = configured(args)?;
    match &args.what {
        What::Status => look::status(&view(&config)?, args.json),
        What::Pending => look::pending(&view(&config)?, args.json),
        What::Check => look::check(&view(&config)?, args.json),
        What::Repair => repair::run(&config, &whose(&config, device)?, args.json),
        What::Requeue(which) => requeue::run((&config, &whose(&config, device)?), which, args.json),
        What::Export(export) => export::run(&view(&config)?, export, args.json),
        What::MirrorInit { folder } => init(&config, device, folder),
    }
}

/// The `[store]` to look at, and whose it is where the configuration says so.
fn configured(args: &Args) -> anyhow::Result<(config::Store, Option<String>)> {
    if let Some(dir) = &args.dir {
        let store = config::Store {
            dir: dir.clone(),
            ..config::Store::default()
        };
        return Ok((store, None));
    }
    let loaded = Config::read_elsewhere(&args.file.config)?;
    Ok((loaded.config.store, Some(loaded.config.device.id)))
}

fn view(config: &config::Store) -> anyhow::Result<View> {
    View::open(config).map_err(hinted)
}

fn hinted(error: StoreError) -> anyhow::Error {
    match error {
        StoreError::Corrupt(why) => out::Hint::error(
            format!("the store's database cannot be read: {why}"),
            "start the daemon, or run `lingmou store repair`: it is made again from the files",
        ),
        StoreError::Absent(_) => out::Hint::error(
            error.to_string(),
            "the daemon has not run yet; or name the store's folder by --dir, or the configuration \
             of its box by --config",
        ),
        other => other.into(),
    }
}

/// The device a store belongs to: by the configuration, else by its own word, in the database or,
/// where that is lost, in the files.
fn whose(config: &config::Store, device: Option<String>) -> anyhow::Result<String> {
    if let Some(device) = device {
        return Ok(device);
    }
    let device = match View::open(config).and_then(|view| view.device()) {
        Ok(Some(device)) => Some(device),
        Err(error @ StoreError::Absent(_)) => return Err(hinted(error)),
        Ok(None) | Err(_) => device_of(&config.dir)?,
    };
    device.ok_or_else(|| {
        out::Hint::error(
            format!("{} does not say whose store it is", config.dir.display()),
            "name the configuration of its box instead: --config FILE",
        )
    })
}

fn init(config: &config::Store, device: Option<String>, folder: &Path) -> anyhow::Result<Answer> {
    let device = whose(config, device)?;
    let id = mirror_init(folder, &config.dir, &device)?;
    let place = folder.display();
    out::data(&format!(
        "{place} is the medium {id} for the second copy of {device}"
    ));
    if config.mirror != folder {
        out::word(&format!(
            "put into the configuration: [store] mirror = \"{place}\""
        ));
    }
    Ok(Answer::Yes)
}

/// A number of bytes as people read it.
fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (unit, name) in UNITS {
        if bytes >= unit {
            let tenths = u128::from(bytes) * 10 / u128::from(unit);
            return format!("{}.{} {name}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes} bytes")
}

/// A moment given in UTC milliseconds.
fn moment(utc_ms: i64) -> String {
    clock::rfc3339_ms(utc_ms.saturating_mul(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_readable() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (1_572_864, "1.5 MiB"),
            (u64::MAX, "17179869183.9 GiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}

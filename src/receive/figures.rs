//! What a receiver counts, in the text form that Prometheus reads (version 0.0.4).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{Event, ReceiveError};
use crate::disk;
use crate::types::lock;

/// Begin of every name.
const PREFIX: &str = "lingmou_receive_";

/// What is counted, in the order of [`SERIES`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Count {
    Stored,
    Refused,
    Repeated,
    Announced,
    Late,
    Broken,
    Mended,
    Pieces,
    PieceBytes,
    Answers,
    Stamped,
    Unstamped,
    Checkpoints,
    HeadsRefused,
    Ignored,
    Connections,
    DiskErrors,
    FullErrors,
    IndexErrors,
    CopyErrors,
    LinkErrors,
    OtherErrors,
    SignErrors,
    ClocksDiffer,
}

/// Name, label and help of each count.
const SERIES: [(&str, &str, &str); 24] = [
    (
        "packages_total",
        r#"{result="stored"}"#,
        "Packages by what became of them; repeated: its receipt was sent again",
    ),
    ("packages_total", r#"{result="refused"}"#, ""),
    ("packages_total", r#"{result="repeated"}"#, ""),
    (
        "announced_total",
        "",
        "Verified heads of packages not stored yet",
    ),
    (
        "late_total",
        "",
        "Of these, packages that came late by their box's clock: history, not news",
    ),
    (
        "broken_total",
        "",
        "Times a stored package was found not to be whole any more: look at the disk",
    ),
    (
        "mended_total",
        "",
        "Of these, packages that were mended from their second copies",
    ),
    (
        "pieces_total",
        "",
        "Pieces of files that came, repeated ones too",
    ),
    ("piece_bytes_total", "", "Their bytes"),
    (
        "answers_total",
        "",
        "Answers that the broker took: wants, receipts, refusals, time-stamps",
    ),
    (
        "stamps_total",
        r#"{result="sent"}"#,
        "Queries for time-stamps by what became of them",
    ),
    ("stamps_total", r#"{result="failed"}"#, ""),
    ("checkpoints_total", "", "Newer heads of devices' journals"),
    (
        "heads_refused_total",
        "",
        "Heads of journals that do not fit the known one: look at once",
    ),
    ("ignored_total", "", "Messages that mean nothing here"),
    ("connections_total", "", "Connections to the broker"),
    (
        "errors_total",
        r#"{kind="disk"}"#,
        "Messages that could not be dealt with, by cause; the device tries again",
    ),
    ("errors_total", r#"{kind="full"}"#, ""),
    ("errors_total", r#"{kind="index"}"#, ""),
    ("errors_total", r#"{kind="copy"}"#, ""),
    ("errors_total", r#"{kind="link"}"#, ""),
    ("errors_total", r#"{kind="other"}"#, ""),
    ("errors_total", r#"{kind="sign"}"#, ""),
    (
        "clocks_differ_total",
        "",
        "Packages sealed by a synchronised clock later than it is here",
    ),
];

/// What is so at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Gauges {
    /// Whether the broker is connected.
    pub(super) connected: bool,
    /// Devices in the index.
    pub(super) devices: u64,
    /// Packages in the index that are there.
    pub(super) packages: u64,
    /// Of these, without a second copy.
    pub(super) uncopied: u64,
    /// Unfinished packages.
    pub(super) open: u64,
    /// How long the oldest of them is under way in this run, seconds.
    pub(super) oldest_secs: u64,
    /// How long the certificate that signs receipts is still valid, seconds.
    pub(super) certificate_secs: u64,
    /// Whether the clock of this machine is synchronised.
    pub(super) clock_synced: bool,
    /// Bytes free on the medium for second copies, when it was last looked at and was there.
    pub(super) copies_free: Option<u64>,
}

impl Gauges {
    /// Name, help and value of each that has no label.
    fn named(&self) -> [(&'static str, &'static str, u64); 8] {
        [
            (
                "connected",
                "Whether the broker is connected",
                u64::from(self.connected),
            ),
            ("devices", "Devices known", self.devices),
            (
                "packages",
                "Packages kept in the folder, by all its receivers",
                self.packages,
            ),
            (
                "packages_uncopied",
                "Of these, without a second copy",
                self.uncopied,
            ),
            (
                "open_transfers",
                "Packages under way to this receiver",
                self.open,
            ),
            (
                "oldest_open_seconds",
                "How long the oldest of them is under way",
                self.oldest_secs,
            ),
            (
                "certificate_seconds_left",
                "How long the certificate that signs receipts is valid; 0: nothing is signed",
                self.certificate_secs,
            ),
            (
                "clock_synchronised",
                "Whether something synchronises this machine's clock",
                u64::from(self.clock_synced),
            ),
        ]
    }
}

/// The figures of one receiver.
#[derive(Debug)]
pub(super) struct Figures {
    counts: [AtomicU64; SERIES.len()],
    gauges: Mutex<Gauges>,
    /// The folder whose room is told.
    dir: PathBuf,
}

impl Figures {
    /// All zero.
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            gauges: Mutex::default(),
            dir: dir.to_owned(),
        }
    }

    /// So many more.
    pub(super) fn add(&self, count: Count, more: u64) {
        if let Some(counter) = self.counts.get(count as usize) {
            counter.fetch_add(more, Relaxed);
        }
    }

    /// Something failed.
    pub(super) fn failed(&self, error: &ReceiveError) {
        let count = match error {
            ReceiveError::Disk(_) => Count::DiskErrors,
            ReceiveError::Full { .. } => Count::FullErrors,
            ReceiveError::Index(_) => Count::IndexErrors,
            _ => Count::OtherErrors,
        };
        self.add(count, 1);
    }

    /// Counts what is told to whoever watches.
    pub(super) fn note(&self, event: &Event) {
        let count = match event {
            Event::Stored { .. } => Count::Stored,
            Event::Refused { .. } => Count::Refused,
            Event::Announced { .. } => Count::Announced,
            Event::Broken { .. } | Event::Mended { .. } => Count::Broken,
            Event::Stamped { .. } => Count::Stamped,
            Event::Unstamped { .. } => Count::Unstamped,
            Event::Checkpoint { .. } => Count::Checkpoints,
            Event::HeadRefused { .. } => Count::HeadsRefused,
            Event::Ignored { .. } => Count::Ignored,
            Event::Connected { .. } => Count::Connections,
            Event::Disconnected { .. } => Count::LinkErrors,
            Event::Presence { .. } | Event::Trouble { .. } => return,
        };
        self.add(count, 1);
        match event {
            Event::Connected { .. } => self.change(|gauges| gauges.connected = true),
            Event::Disconnected { .. } => self.change(|gauges| gauges.connected = false),
            _ => {}
        }
    }

    /// Changes what is so at the moment.
    pub(super) fn change(&self, change: impl FnOnce(&mut Gauges)) {
        change(&mut lock(&self.gauges));
    }

    /// The page.
    pub(super) fn page(&self) -> String {
        let mut text = String::new();
        let mut say = |name: &str, label: &str, (kind, help, value): (&str, &str, u64)| {
            if !help.is_empty() {
                writeln!(
                    text,
                    "# HELP {PREFIX}{name} {help}.\n# TYPE {PREFIX}{name} {kind}"
                )
                .expect("invariant: a String takes everything");
            }
            writeln!(text, "{PREFIX}{name}{label} {value}")
                .expect("invariant: a String takes everything");
        };
        for ((name, label, help), count) in SERIES.iter().zip(&self.counts) {
            say(name, label, ("counter", help, count.load(Relaxed)));
        }
        let now = lock(&self.gauges).clone();
        for (name, help, value) in now.named() {
            say(name, "", ("gauge", help, value));
        }
        let mut help = "Room on the disk";
        // The medium is not asked here: it may not answer.
        for (what, free) in [
            ("dir", disk::free_bytes(&self.dir).ok()),
            ("copies", now.copies_free),
        ] {
            if let Some(free) = free {
                let label = format!("{{folder=\"{what}\"}}");
                say(
                    "free_bytes",
                    &label,
                    ("gauge", std::mem::take(&mut help), free),
                );
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_has_its_series() {
        let figures = Figures::new(Path::new("/"));
        figures.add(Count::Stored, 3);
        figures.add(Count::OtherErrors, 7);
        figures.failed(&ReceiveError::Full { need: 2, free: 1 });
        figures.note(&Event::Connected {
            peer: String::new(),
        });
        let page = figures.page();
        for line in [
            "# TYPE lingmou_receive_packages_total counter",
            r#"lingmou_receive_packages_total{result="stored"} 3"#,
            r#"lingmou_receive_packages_total{result="refused"} 0"#,
            r#"lingmou_receive_errors_total{kind="full"} 1"#,
            r#"lingmou_receive_errors_total{kind="other"} 7"#,
            "lingmou_receive_connections_total 1",
            "lingmou_receive_connected 1",
            "# TYPE lingmou_receive_open_transfers gauge",
        ] {
            assert!(page.lines().any(|l| l == line), "{line}\n{page}");
        }
        assert!(page.contains(r#"lingmou_receive_free_bytes{folder="dir"} "#));
        let names = page.lines().filter(|line| line.starts_with("# TYPE"));
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "a name is told twice");
    }
}

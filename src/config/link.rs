//! The broker, seen from the box and from the receiver.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[upload]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Upload {
    /// Whether packages are sent at all; without, they wait on the disk.
    pub enabled: bool,
    /// Broker host name or address; must match its certificate.
    pub host: String,
    /// Broker port.
    pub port: u16,
    /// MQTT keep-alive, seconds.
    pub keep_alive_secs: u64,
    /// Longest pause between two tries to connect, seconds.
    pub retry_max_secs: u64,
    /// Largest piece of a file sent in one message, KiB.
    pub chunk_kib: u32,
    /// What may be sent over this link.
    pub profile: Profile,
    /// With `metered`: MiB the link may carry in a day, both ways, TLS included; 0 without end.
    pub daily_budget_mib: u32,
    /// Hours of the day, `"22:00-06:00"`, in which the link is `quiet`.
    pub quiet_hours: Vec<String>,
    /// Packages sealed a while ago go no faster than this, KiB a second; 0 without limit.
    pub drain_kib_s: u32,
    /// After connecting such packages wait up to this long, each box another while, seconds.
    pub drain_delay_secs: u64,
    /// The network interface to use; empty: the system's choice.
    pub interface: String,
}

/// What may be sent over a link. State, journal, answers to commands and heads of packages
/// always may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Nothing more.
    Quiet,
    /// Pictures too; video when somebody asks for it.
    Metered,
    /// Everything.
    #[default]
    Full,
}

impl Default for Upload {
    fn default() -> Self {
        Self {
            enabled: true,
            host: "127.0.0.1".to_owned(),
            port: 8883,
            keep_alive_secs: 30,
            retry_max_secs: 300,
            chunk_kib: 128,
            profile: Profile::Full,
            daily_budget_mib: 0,
            quiet_hours: Vec::new(),
            drain_kib_s: 512,
            drain_delay_secs: 30,
            interface: String::new(),
        }
    }
}

/// What `lingmou receive` is told on its command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receive {
    /// Name of this receiver, `[A-Za-z0-9-]`, unique in its group.
    pub name: String,
    /// Broker host name or address.
    pub host: String,
    /// Broker port.
    pub port: u16,
    /// Folder with `receiver.key`, `receiver.crt`, `transport.key`, `transport.crt`, `roots.crt`.
    pub keys: PathBuf,
    /// File with lists of revoked certificates; `None`: nothing counts as revoked.
    pub crl: Option<PathBuf>,
    /// Where packages are written; receivers of one group may share it.
    pub dir: PathBuf,
    /// Prepared folder on another medium for a second copy; `None`: one copy is kept.
    pub copy_to: Option<PathBuf>,
    /// Loopback address that serves figures to a monitoring system; `None`: none does.
    pub metrics: Option<SocketAddr>,
    /// Whether receipts are signed though nothing synchronises the clock.
    pub any_clock: bool,
    /// Program and arguments of the time-stamping authority: an RFC 3161 query on its standard
    /// input, the answer on its standard output. Empty: there is none.
    pub tsa_command: Vec<String>,
}

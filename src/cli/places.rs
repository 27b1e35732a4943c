//! Where a box keeps its things, and which case is meant, as the commands ask for it.

use std::path::PathBuf;

use crate::types::CaseId;

// Plain comments here: clap would make a doc comment the words about each command.

// The file of a daemon or of a box; also after a command's own subcommand.
#[derive(Debug, clap::Args)]
pub(super) struct ConfigFile {
    /// The configuration file
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        default_value = "/etc/lingmou/lingmou.toml"
    )]
    pub(super) config: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct StoreDir {
    /// The daemon's store, `store.dir` of its configuration, or a copy
    #[arg(long, value_name = "DIR", default_value = "/var/lib/lingmou")]
    pub(super) store: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct RunDir {
    /// The daemon's run folder, `store.run_dir` of its configuration
    #[arg(long, value_name = "DIR", default_value = "/run/lingmou")]
    pub(super) run_dir: PathBuf,
}

/// The id of a case or package as it is typed.
#[derive(Clone, Copy, Debug)]
pub(super) struct CaseArg(pub(super) CaseId);

impl std::str::FromStr for CaseArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        uuid::Uuid::parse_str(text)
            .map(|id| Self(CaseId(id)))
            .map_err(|_no_id| "not a case id like 0198f0a2-0000-7000-8000-000000000001".to_owned())
    }
}

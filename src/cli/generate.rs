//! `lingmou generate`: man pages and shell completions, made from the command line itself.

use std::path::PathBuf;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use super::{Answer, Cli, out};

const EXAMPLES: &str = "\
Examples:
  lingmou generate man /usr/share/man/man1
  lingmou generate completions bash > /usr/share/bash-completion/completions/lingmou";

/// Make man pages or shell completions
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Write the man pages into a folder
    Man {
        /// The folder
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Print a completion script
    Completions {
        /// The shell
        shell: Shell,
    },
}

pub(super) fn run(args: &Args) -> anyhow::Result<Answer> {
    let mut command = Cli::command();
    match &args.what {
        What::Man { dir } => {
            std::fs::create_dir_all(dir)
                .with_context(|| format!("cannot make {}", dir.display()))?;
            clap_mangen::generate_to(command, dir)
                .with_context(|| format!("cannot write man pages into {}", dir.display()))?;
        }
        What::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut command, "lingmou", &mut script);
            out::data(&String::from_utf8_lossy(&script));
        }
    }
    Ok(Answer::Yes)
}

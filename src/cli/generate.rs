//! `lingmou generate`: man pages and shell completions, made from the command line itself.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::{Answer, Cli, out};

const MAN: &str = "\
Example:
  lingmou generate man /usr/share/man/man1

Exit code: 0 they are written, 2 they could not be.";
const COMPLETIONS: &str = "\
Example:
  lingmou generate completions bash > /usr/share/bash-completion/completions/lingmou

Exit code: 0 it is printed, 2 it could not be.";
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
    #[command(after_help = MAN)]
    Man {
        /// The folder
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Print a completion script
    #[command(after_help = COMPLETIONS)]
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
            let mut command = command.disable_help_subcommand(true);
            command.build();
            pages(&command, dir)
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

/// The page of a command and those of its subcommands.
fn pages(command: &Command, dir: &Path) -> io::Result<()> {
    for subcommand in command.get_subcommands() {
        pages(subcommand, dir)?;
    }
    let man = Man::new(command.clone());
    let mut page = std::fs::File::create(dir.join(man.get_filename()))?;
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(words) = command.get_after_help() {
        after_help(&words.to_string()).to_writer(&mut page)?;
    }
    if command.get_version().is_some() {
        man.render_version_section(&mut page)?;
    }
    page.flush()
}

/// What stands under a command's help: examples line by line as they are typed, and the rest. As the
/// library has it the lines of examples would run together.
fn after_help(words: &str) -> Roff {
    let mut roff = Roff::default();
    let mut noted = false;
    for part in words.split("\n\n") {
        let examples = part.lines().skip(1).filter(|_| part.starts_with("Example"));
        let mut examples = examples.peekable();
        if examples.peek().is_some() {
            roff.control("SH", ["EXAMPLES"]).control("nf", []);
            for line in examples {
                roff.text([roman(line)]);
            }
            roff.control("fi", []);
            continue;
        }
        if noted {
            roff.control("PP", []);
        } else {
            roff.control("SH", ["NOTES"]);
            noted = true;
        }
        for line in part.lines() {
            if line.starts_with("Exit code") {
                roff.control("PP", []);
            }
            roff.text([roman(line)]);
        }
    }
    roff
}

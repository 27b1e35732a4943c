//! The command line: one subcommand, one file, one function.
//!
//! Data goes to standard output, words about it to standard error. Errors are said here, once,
//! as `error: … / caused by: … / hint: …`.
//!
//! **Invariants.** Exit code 0: done and good. 1: done, and the answer is no (not valid, mistakes
//! found, nothing sealed). 2: could not be done, or not all of it.
//!
//! **Not here.** Everything that is done: it lives in the stages and in `daemon`.

mod archive;
mod check;
mod command;
#[cfg(feature = "demo")]
mod demo;
mod enroll;
mod explain;
mod generate;
mod journal;
mod log;
mod out;
mod places;
mod reasons;
mod receive;
mod replay;
mod review;
mod run;
#[cfg(feature = "demo")]
mod simulate;
mod status;
mod stop_speaking;
mod store;
mod verify;
mod what_if;

use std::process::ExitCode;

use clap::{ArgAction, Parser, Subcommand};

/// What a command answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Done, and good.
    Yes,
    /// Done, and the answer is no.
    No,
    /// Done as far as it could be; what could not be was said.
    InPart,
}

const DEMO_EXAMPLE: &str = if cfg!(feature = "demo") {
    "  lingmou demo                                  # see the whole way work on this machine\n"
} else {
    ""
};

const EXAMPLES: &str = "  lingmou check --config /etc/lingmou/lingmou.toml --online
  lingmou run --config /etc/lingmou/lingmou.toml
  lingmou status                                # what the running daemon does and lacks
  lingmou store pending                         # what is still only on this box
  lingmou verify case.asice --roots roots.crt   # check a package, offline

Each command has its own --help with examples.";

/// Edge capture daemon for off-site enforcement: sees, warns first, and seals evidence that
/// anyone can verify.
#[derive(Debug, Parser)]
#[command(name = "lingmou", version, after_help = format!("Examples:\n{DEMO_EXAMPLE}{EXAMPLES}"))]
struct Cli {
    /// Say more in the log (-v debug, -vv trace)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
#[expect(
    clippy::enum_variant_names,
    reason = "one of the subcommands is called command"
)]
enum Command {
    Run(run::Args),
    Check(check::Args),
    Status(status::Args),
    StopSpeaking(stop_speaking::Args),
    Store(store::Args),
    Replay(replay::Args),
    Explain(explain::Args),
    Verify(verify::Args),
    Review(review::Args),
    Journal(journal::Args),
    Receive(receive::Args),
    Archive(archive::Args),
    Command(command::Args),

    #[cfg(feature = "demo")]
    Demo(demo::Args),
    #[cfg(feature = "demo")]
    Simulate(simulate::Args),
    Enroll(enroll::Args),
    Generate(generate::Args),
}

/// Runs the command line and says how it went.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let answer = match &cli.command {
        Command::Run(args) => run::run(args, cli.verbose),
        Command::Check(args) => check::run(args, cli.verbose),
        Command::Status(args) => status::run(args),
        Command::StopSpeaking(args) => stop_speaking::run(args),
        Command::Store(args) => store::run(args),
        Command::Replay(args) => replay::run(args, cli.verbose),
        Command::Explain(args) => explain::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Review(args) => review::run(args),
        Command::Journal(args) => journal::run(args),
        Command::Receive(args) => receive::run(args, cli.verbose),
        Command::Archive(args) => archive::run(args, cli.verbose),
        Command::Command(args) => command::run(args, cli.verbose),

        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(args, cli.verbose),
        #[cfg(feature = "demo")]
        Command::Simulate(args) => simulate::run(args, cli.verbose),
        Command::Enroll(args) => enroll::run(args),
        Command::Generate(args) => generate::run(args),
    };
    match answer {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Ok(Answer::InPart) => ExitCode::from(2),
        Err(error) => {
            out::error(&error);
            ExitCode::from(2)
        }
    }
}

/// A runtime for commands that wait for things.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    use anyhow::Context;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// Every command and subcommand, without the library's `help`.
    fn each(command: &clap::Command, see: &mut dyn FnMut(&clap::Command)) {
        see(command);
        for inner in command.get_subcommands().filter(|c| c.get_name() != "help") {
            each(inner, see);
        }
    }

    /// The words behind the first `lingmou` of a line, as a shell takes them.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut quoted) = (vec![String::new()], false);
        let line = line.split_once("lingmou ").map_or("", |(_, rest)| rest);
        for c in line.chars() {
            let fresh = words.last().is_some_and(String::is_empty);
            match c {
                '\'' => quoted = !quoted,
                '#' if fresh && !quoted => break,
                '|' | '>' if !quoted => break,
                ' ' if !quoted && fresh => {}
                ' ' if !quoted => words.push(String::new()),
                c => words.last_mut().unwrap().push(c),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    /// What is shown to be typed can be typed, and the page is not wrapped.
    #[test]
    fn every_example_of_every_help_is_a_command() {
        let mut seen = 0;
        let mut program = Cli::command();
        program.build();
        each(&program, &mut |command| {
            let name = command.get_display_name().unwrap_or_default();
            let help = command.get_after_help();
            let help = help.map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Example"), "{name}: no example");
            let tells = command.has_subcommands() || help.contains("Exit code: 0");
            assert!(tells, "{name}: no exit code");
            for line in help.lines() {
                assert!(line.chars().count() <= 100, "{name}: too wide: {line}");
            }
            let joined = help.replace("\\\n", " ");
            let examples = joined.lines().filter(|line| line.starts_with("  "));
            for line in examples.filter(|line| line.contains("lingmou ")) {
                seen += 1;
                let typed = ["lingmou".to_owned()].into_iter().chain(words(line));
                let parsed = Cli::command().try_get_matches_from(typed);
                assert!(parsed.is_ok(), "{name}: {line}: {}", parsed.unwrap_err());
            }
        });
        assert!(seen > 70, "{seen}");
    }

    #[test]
    fn who_lacks_the_demonstration_does_not_hear_of_it() {
        let page = Cli::command().render_long_help().to_string();
        assert_eq!(page.contains("demo"), cfg!(feature = "demo"), "{page}");
    }
}

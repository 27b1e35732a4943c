//! The `lingmou` program; the library holds everything it does.

use std::process::ExitCode;

fn main() -> ExitCode {
    lingmou::cli::main()
}

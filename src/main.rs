//! The `lingmou` program; the library holds everything it does.

use std::process::ExitCode;

use lingmou::perceive::NO_REPORTS;

#[expect(
    unsafe_code,
    clippy::disallowed_methods,
    reason = "the library that is loaded later looks at the environment and at nothing else"
)]
fn main() -> ExitCode {
    let (name, value) = NO_REPORTS;
    // SAFETY: this is the first thing the process does: no other thread is there to read the environment.
    unsafe { std::env::set_var(name, value) };
    lingmou::cli::main()
}

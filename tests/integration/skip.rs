//! Tests that cannot run on this machine say so where somebody sees it: what a passing test prints
//! is shown by neither test runner, so `make test` prints this list at its end.

use std::io::Write as _;
use std::path::Path;

/// Notes that the running test, or a part of it, was left out, and why.
pub(crate) fn skipped(why: &str) {
    let thread = std::thread::current();
    let line = format!("{}: {why}\n", thread.name().unwrap_or("a test"));
    let list = Path::new(env!("CARGO_TARGET_TMPDIR")).join("skipped");
    let file = std::fs::File::options()
        .create(true)
        .append(true)
        .open(list);
    // One write of one line: tests run beside each other.
    file.unwrap().write_all(line.as_bytes()).unwrap();
}

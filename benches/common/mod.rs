//! Shared by the benches: CPU time of a piece of work, and a markdown table of ratios.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::hint::black_box;

use rustix::time::{ClockId, clock_gettime};

/// CPU time of this process so far, user and system, all threads, milliseconds.
pub(crate) fn cpu_ms() -> f64 {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    let whole = u32::try_from(t.tv_sec).unwrap_or(u32::MAX);
    let part = u32::try_from(t.tv_nsec).unwrap_or(0);
    f64::from(whole) * 1e3 + f64::from(part) / 1e6
}

/// The least CPU time of `work` over `runs` runs, milliseconds, after one that does not count.
///
/// The least, not the mean: other work on the machine only ever adds.
pub(crate) fn least<T>(runs: u32, mut work: impl FnMut() -> T) -> f64 {
    black_box(work());
    (0..runs).fold(f64::INFINITY, |best, _| {
        let start = cpu_ms();
        black_box(work());
        best.min(cpu_ms() - start)
    })
}

/// Prints `rows` (what, milliseconds) with their ratio to the row named `unit`.
pub(crate) fn table(title: &str, unit: &str, rows: &[(&str, f64)]) {
    let one = rows
        .iter()
        .find(|(what, _)| *what == unit)
        .map_or(f64::NAN, |(_, ms)| *ms);
    println!("\n### {title}\n\n| step | CPU ms | × {unit} |\n|---|---|---|");
    for (what, ms) in rows {
        println!("| {what} | {ms:.3} | {:.2} |", ms / one);
    }
}

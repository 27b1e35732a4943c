//! What a process has used, from `/proc` (proc(5)).

use anyhow::Context as _;

use super::{Cost, proc};

/// Units of processor time in a second: Linux tells programs 100, whatever its own clock is.
const TICKS_PER_S: f64 = 100.0;

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    cpu_s: f64,
    peak_mib: f64,
}

impl Usage {
    /// Of this process.
    pub(super) fn of_self() -> anyhow::Result<Self> {
        Self::of(std::process::id())
    }

    /// Of the process `pid`.
    pub(super) fn of(pid: u32) -> anyhow::Result<Self> {
        Self::read(&proc(pid, "stat")?, &proc(pid, "status")?)
    }

    fn read(stat: &str, status: &str) -> anyhow::Result<Self> {
        // The name in brackets may hold spaces; user and system time are fields 14 and 15.
        let after = stat.rsplit_once(')').context("stat without a name")?.1;
        let ticks = after.split_whitespace().skip(11).take(2);
        let ticks: f64 = ticks.filter_map(|field| field.parse::<f64>().ok()).sum();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        Ok(Self {
            cpu_s: ticks / TICKS_PER_S,
            peak_mib: kib.context("status without VmHWM")? / 1024.0,
        })
    }

    /// Processor time since `before`; the peak stays.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            cpu_s: self.cpu_s - before.cpu_s,
            ..self
        }
    }

    pub(super) fn cost(self, who: &str) -> Cost {
        Cost {
            who: who.to_owned(),
            cpu_s: self.cpu_s,
            peak_mib: self.peak_mib,
        }
    }
}

/// Waiting processes, mean over a minute.
pub(super) fn load_average() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").context("reading /proc/loadavg")?;
    let first = text.split_whitespace().next();
    first
        .and_then(|load| load.parse().ok())
        .context("/proc/loadavg begins with no number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_a_strange_name_is_read() {
        let stat = "12 (a) b) S 1 12 12 0 -1 4194560 900 0 0 0 250 50 0 0 20 0 4 0 77 1 2";
        let status = "Name:\ta) b\nVmPeak:\t  9999 kB\nVmHWM:\t  2048 kB\n";
        let usage = Usage::read(stat, status).unwrap();
        assert!((usage.cpu_s - 3.0).abs() < 1e-9, "{usage:?}");
        assert!((usage.peak_mib - 2.0).abs() < 1e-9, "{usage:?}");
        assert!(Usage::read(stat, "").is_err());
        assert!(Usage::of_self().unwrap().peak_mib > 1.0);
    }
}

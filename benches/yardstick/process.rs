//! A system under test: its own process, whose costs are the kernel's figures.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

/// The kernel's unit of CPU time towards programs, `USER_HZ`: 100 on every platform of ours.
const TICKS_PER_SEC: f64 = 100.0;

/// The allocator's settings of `systemd/lingmou.service`, under which all are measured.
const ALLOCATOR: [(&str, &str); 3] = [
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
];

/// A running process; it and what it says end when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

/// What a process holds in memory, MiB.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// Now.
    pub(crate) resident: f64,
    /// At most so far.
    pub(crate) peak: f64,
    /// Of what it holds now, what is no file's: heap, stacks, pictures.
    pub(crate) anonymous: f64,
}

impl Process {
    /// Starts `command`, and hands its output to be read.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<(Self, ChildStdout)> {
        let mut child = command
            .envs(ALLOCATOR)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let out = child.stdout.take().context("its output is piped")?;
        Ok((Self { child }, out))
    }

    /// CPU time so far, user and system, all threads, seconds.
    pub(crate) fn cpu_secs(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The second field is the name in brackets, which may hold anything.
        let (_, fields) = stat.rsplit_once(')').context("a name in brackets")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |field: usize| fields[field - 3].parse::<u32>();
        // Fields 14 and 15 of proc(5): utime, stime.
        Ok(f64::from(ticks(14)? + ticks(15)?) / TICKS_PER_SEC)
    }

    /// Memory of the process.
    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let mib = |key: &str| {
            let line = status.lines().find(|line| line.starts_with(key));
            let kib = line.and_then(|line| line.split_whitespace().nth(1));
            Ok::<_, anyhow::Error>(kib.context("a size")?.parse::<f64>()? / 1024.0)
        };
        Ok(Memory {
            resident: mib("VmRSS:")?,
            peak: mib("VmHWM:")?,
            anonymous: mib("RssAnon:")?,
        })
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.runs() {
            return;
        }
        let told = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
        if !told || self.child.wait().is_err() {
            eprintln!("yardstick: a process could not be ended");
        }
    }
}

/// Every line a process says, until it ends.
pub(crate) fn lines(out: ChildStdout, mut hear: impl FnMut(&str)) {
    for line in BufReader::new(out).lines().map_while(Result::ok) {
        hear(&line);
    }
}

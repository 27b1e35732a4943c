//! A program that speaks or listens for us, started for one announcement.
//!
//! It runs in a process group of its own, which is ended as a whole: whatever the program started
//! falls silent with it.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::{Access, access};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, Command};

use super::WarnError;
use super::play::{Played, Until, shortfall};
use crate::clock;

/// Words of a program's own that are kept.
const WORDS_MAX: u64 = 2_048;
/// Of these the last that are told.
const TOLD_MAX: usize = 200;
/// What a program answers that is kept.
const OUTPUT_MAX: u64 = 64 * 1024;
/// After its input ended or it was told to end, a program has this long for its last words.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// Paced input is handed over in so many pieces a second.
const PIECES: usize = 10;

/// Looks whether `program` is installed.
pub(super) fn check_installed(program: &'static str) -> Result<(), WarnError> {
    let there = std::process::Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    match there {
        Ok(_) => Ok(()),
        Err(_not_there) => Err(WarnError::Program { program }),
    }
}

/// Whether this user may start `command`, which is not done: it would make a sound.
pub(super) fn look_at(command: &[String]) -> Result<String, String> {
    let (program, _) = command.split_first().ok_or("no program is named")?;
    access(program.as_str(), Access::EXEC_OK)
        .map_err(|error| format!("{program} cannot be started: {error}"))?;
    Ok(format!(
        "program {program} is there; it was not started, and nothing was played"
    ))
}

/// A program that runs; it and all it started end when this is dropped.
pub(super) struct Running {
    pub(super) child: Child,
    group: Option<Pid>,
}

impl Running {
    /// Starts `command` (program and arguments), its input and output as given.
    pub(super) fn start(command: &[String], ends: [Stdio; 2]) -> Result<Self, String> {
        let (program, arguments) = command.split_first().ok_or("no program is named")?;
        let [input, output] = ends;
        let child = Command::new(program)
            .args(arguments)
            .stdin(input)
            .stdout(output)
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{program} cannot be started: {error}"))?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        Ok(Self {
            child,
            group: pid.and_then(Pid::from_raw),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // It may have ended by itself.
            let _gone: rustix::io::Result<()> = kill_process_group(group, Signal::KILL);
        }
    }
}

/// What a program is given to play.
pub(super) struct Input {
    pub(super) bytes: Vec<u8>,
    /// Bytes a second, for a far end that plays as it receives; `None`: as fast as it takes them.
    pub(super) pace: Option<usize>,
    /// How long the sound is.
    pub(super) length: Duration,
}

/// Has a program play `input`, until it ends or `until`. Only one that ended well, and in
/// no less than the sound's own time, has played it.
pub(super) async fn play(
    command: &[String],
    input: Input,
    Until { limit, stop }: Until<'_>,
) -> Played {
    let began = clock::now();
    let mut running = match Running::start(command, [Stdio::piped(), Stdio::null()]) {
        Ok(running) => running,
        Err(why) => return Played::refused(&why),
    };
    let words = running
        .child
        .stderr
        .take()
        .map(|words| tokio::spawn(last(words)));
    let stdin = running.child.stdin.take();
    let length = input.length;
    let ended = tokio::select! {
        ended = feed_and_wait(&mut running.child, stdin, input) => ended,
        () = stop.cancelled() => Err(super::STOPPED.to_owned()),
        () = tokio::time::sleep(limit) => Err(format!(
            "not at the end {:.1} s after the clip's own length",
            limit.saturating_sub(length).as_secs_f64()
        )),
    };
    let took = clock::now().since(began);
    drop(running);
    let words = match words {
        Some(words) => tokio::time::timeout(LAST_WORDS, words).await,
        None => Ok(Ok(String::new())),
    };
    let words = words.ok().and_then(Result::ok).unwrap_or_default();
    let failure = match ended {
        Ok(status) if status.success() => shortfall(length, length, took),
        Ok(status) => Some(failed(command, status, &words)),
        Err(why) => Some(why),
    };
    Played {
        began: Some(began),
        // How much of it sounded before it failed only the far end knows: no more than this.
        sounded: took.min(length),
        failure,
    }
}

/// What a program says on its output, when it ends well.
pub async fn told(command: &[String]) -> Result<String, String> {
    let mut running = Running::start(command, [Stdio::null(), Stdio::piped()])?;
    let words = running.child.stderr.take().ok_or("it has no output")?;
    let output = running.child.stdout.take().ok_or("it has no output")?;
    let mut text = String::new();
    let mut output = output.take(OUTPUT_MAX);
    let (read, words) = tokio::join!(output.read_to_string(&mut text), last(words));
    drop(output);
    let status = running.child.wait().await.map_err(|e| e.to_string())?;
    match read {
        _ if !status.success() => Err(failed(command, status, &words)),
        Ok(_) => Ok(text),
        Err(error) => Err(error.to_string()),
    }
}

async fn feed_and_wait(
    child: &mut Child,
    stdin: Option<ChildStdin>,
    input: Input,
) -> Result<ExitStatus, String> {
    if let Some(mut stdin) = stdin {
        let piece = input.pace.map_or(input.bytes.len(), |pace| pace / PIECES);
        let mut tick = tokio::time::interval(Duration::from_secs(1) / 10);
        // The first tick comes at once; with it the last piece would go before the sound is over.
        tick.tick().await;
        for bytes in input.bytes.chunks(piece.max(1)) {
            if input.pace.is_some() {
                tick.tick().await;
            }
            // A program that wants no more says by its exit code whether that is well.
            if stdin.write_all(bytes).await.is_err() {
                break;
            }
        }
    }
    child.wait().await.map_err(|error| error.to_string())
}

/// The first words a program says; the rest is read and forgotten, so that it never waits for us.
async fn last(mut words: ChildStderr) -> String {
    let mut text = Vec::new();
    let kept = (&mut words).take(WORDS_MAX).read_to_end(&mut text).await;
    if kept.is_ok() {
        let _rest: std::io::Result<u64> = tokio::io::copy(&mut words, &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn failed(command: &[String], status: ExitStatus, words: &str) -> String {
    let program = command.first().map_or("", String::as_str);
    let last = words.trim().lines().last().unwrap_or_default();
    let last: String = last
        .chars()
        .filter(|c| !c.is_control())
        .take(TOLD_MAX)
        .collect();
    if last.is_empty() {
        format!("{program}: {status}")
    } else {
        format!("{program}: {status}: {last}")
    }
}

//! Makes the N-th step on this thread fail, in unit tests.

use std::cell::Cell;
use std::io;

use rustix::io::Errno;

/// How a struck step fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// This step only; the next works again.
    Once(Errno),
    /// This step and every later one: the medium, or the process, is gone.
    Forever(Errno),
}

thread_local! {
    /// Steps still allowed, how the next one fails, whether one has failed.
    static PLAN: Cell<Option<(u32, Mode, bool)>> = const { Cell::new(None) };
    /// Readings still allowed, and how the next one fails.
    static READING: Cell<Option<(u32, Errno)>> = const { Cell::new(None) };
}

/// The `n`-th reading of a file or folder from now (0 is the next) fails, once.
pub(crate) fn plan_reading(n: u32, errno: Errno) {
    READING.set(Some((n, errno)));
}

/// Ends that plan; tells whether no reading was made to fail.
pub(crate) fn clear_reading() -> bool {
    READING.take().is_some()
}

/// Counts one reading, and fails as it was planned.
pub(crate) fn strike_reading() -> io::Result<()> {
    match READING.take() {
        None => Ok(()),
        Some((0, errno)) => Err(errno.into()),
        Some((n, errno)) => {
            READING.set(Some((n - 1, errno)));
            Ok(())
        }
    }
}

/// The `n`-th step from now (0 is the next) fails as `mode` says.
pub(crate) fn plan(n: u32, mode: Mode) {
    PLAN.set(Some((n, mode, false)));
}

/// Ends the plan; tells whether no step was made to fail.
pub(crate) fn clear() -> bool {
    PLAN.take().is_some_and(|(_, _, struck)| !struck)
}

/// Counts one step that another library takes.
pub(crate) fn commit(path: &std::path::Path) -> Result<(), super::DiskError> {
    strike().map_err(|e| super::DiskError::new("commit to", path, 0, e))
}

/// Counts one step.
pub(crate) fn strike() -> io::Result<()> {
    match PLAN.get() {
        None | Some((_, Mode::Once(_), true)) => Ok(()),
        Some((n, mode, _)) if n > 0 => {
            PLAN.set(Some((n - 1, mode, false)));
            Ok(())
        }
        Some((n, mode @ (Mode::Once(errno) | Mode::Forever(errno)), _)) => {
            PLAN.set(Some((n, mode, true)));
            Err(errno.into())
        }
    }
}

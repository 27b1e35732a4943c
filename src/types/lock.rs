//! Taking a lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Waits for `mutex`. One is poisoned in tests only: a panic ends the released program, so nobody
/// is left to meet what it left half done.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

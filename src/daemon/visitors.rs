//! Who asked for the status, by user id: one line per user and hour, so that a page that is
//! refreshed every second does not fill the disk.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock;
use crate::journal::kind;
use crate::store::Store;
use crate::types::lock;

/// One line in this time for each user.
const AGAIN_AFTER: Duration = Duration::from_hours(1);
/// Users told apart; the others share one line.
const USERS_MAX: usize = 64;

/// Who came, and how often.
#[derive(Debug, Default)]
struct Visits {
    /// By user id (`None`: the kernel did not say, or too many were told apart): when the last
    /// line was written, nanoseconds on the boot clock, and the visits since.
    users: BTreeMap<Option<u32>, (u64, u64)>,
}

impl Visits {
    /// Takes in a visit; gives the line's body when one is due.
    fn take(&mut self, uid: Option<u32>, now_ns: u64) -> Option<Value> {
        let known = self.users.contains_key(&uid);
        let uid = uid.filter(|_| known || self.users.len() < USERS_MAX);
        let hour = u64::try_from(AGAIN_AFTER.as_nanos()).unwrap_or(u64::MAX);
        let (told, since) = self.users.get(&uid).copied().unzip();
        let count = since.unwrap_or(0) + 1;
        if told.is_some_and(|told| now_ns.saturating_sub(told) < hour) {
            self.users.insert(uid, (told.unwrap_or(now_ns), count));
            return None;
        }
        self.users.insert(uid, (now_ns, 0));
        Some(json!({ "what": "status", "uid": uid, "count": count }))
    }
}

/// The journal of visits.
#[derive(Debug)]
pub(super) struct Visitors {
    store: Store,
    visits: Mutex<Visits>,
}

impl Visitors {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            visits: Mutex::default(),
        }
    }

    /// Somebody asked for the status.
    pub(super) fn came(&self, uid: Option<u32>) {
        let mut visits = lock(&self.visits);
        let line = visits.take(uid, clock::boot_ns());
        drop(visits);
        if let Some(body) = line
            && let Err(error) = self.store.note(clock::now(), kind::ACCESS, body)
        {
            tracing::warn!(%error, "a visit could not be journalled");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_per_user_and_hour_with_a_count() {
        const HOUR: u64 = 3_600_000_000_000;
        let mut visits = Visits::default();
        let mut told = |uid, at| visits.take(uid, at).map(|line| line["count"].as_u64());
        assert_eq!(told(Some(0), 5), Some(Some(1)));
        assert_eq!(told(Some(0), 6), None);
        assert_eq!(told(Some(1000), 6), Some(Some(1)));
        assert_eq!(told(Some(0), HOUR + 4), None);
        assert_eq!(told(Some(0), HOUR + 5), Some(Some(3)));
        assert_eq!(told(None, HOUR + 5), Some(Some(1)));
    }

    #[test]
    fn many_users_share_a_line() {
        let mut visits = Visits::default();
        let lines = (0..1000).filter_map(|uid| visits.take(Some(uid), 1));
        let lines: Vec<Value> = lines.collect();
        assert_eq!(lines.len(), USERS_MAX + 1);
        assert_eq!(lines.last().unwrap()["uid"], Value::Null);
    }
}

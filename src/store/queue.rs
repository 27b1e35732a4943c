//! Which of the queued packages is next, and what waits for a wider link.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::compare::{Unlike, compare};
use super::outbox::{boot_ns, this_boot};
use super::package::{self, PackageFile};
use super::{Inner, Store, StoreError, lines, set_meta};
use crate::disk;
use crate::types::{CaseId, Stamp};

/// What [`Inner::row`] reads.
const OUTGOING: &str = "SELECT id, seq, sig_sha256, attempts, journal_n, severity, sealed_ms, \
     sealed_boot, sealed_ns FROM package";
/// How many wait for lanes beyond one.
const HELD: &str = "SELECT count(*) FROM package INDEXED BY package_gravest \
     WHERE state = 'queued' AND told >= ?1";

/// A held package is told again after this, milliseconds: a receiver has forgotten it by then, which keeps
/// what is unfinished for three days.
const TELL_AGAIN_MS: i64 = 4 * 24 * 3_600_000;
/// And after no longer than this, whatever its age, milliseconds.
const TELL_AGAIN_MAX_MS: i64 = 8 * TELL_AGAIN_MS;
/// The held package that was told longest ago, when that is as long as it was old then.
const TOLD_LONG_AGO: &str = "SELECT id FROM package INDEXED BY package_gravest \
     WHERE state = 'queued' AND told >= ?1 \
     AND told_ms + min(max(told_ms - sealed_ms, ?3), ?4) <= ?2 ORDER BY told_ms, seq LIMIT 1";

/// Key of what the upload notes about its link in `meta`.
pub(super) const LINK_ACCOUNT: &str = "link";

/// A package that is due, with all that sending it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The package.
    pub id: CaseId,
    /// Its number on this device.
    pub seq: u64,
    /// Where its files are.
    pub dir: PathBuf,
    /// Every file, those of the head included, by lane and name.
    pub files: Vec<PackageFile>,
    /// SHA-256 of its signature, lower-case hex: what a receipt must name.
    pub sig_sha256: String,
    /// Name and content of the head: `mimetype`, `evidence.json`, `META-INF/*`.
    pub head: Vec<(String, Vec<u8>)>,
    /// How often it was tried before.
    pub attempts: u32,
    /// The journal line that says it is sealed.
    pub journal_n: Option<u64>,
    /// How grave it is, 0–9.
    pub severity: u8,
    /// When it was sealed, UTC milliseconds.
    pub sealed_ms: i64,
    /// When it was, nanoseconds since boot; `None` when that was in another boot, or is not known.
    pub sealed_ns: Option<u64>,
}

impl Outgoing {
    /// How long ago it was sealed: by the boot clock within its boot, else by this box's UTC, by which
    /// what is of a time to come is new.
    pub fn age(&self, now: Stamp) -> Duration {
        let by_utc_ms = || now.utc_ms().saturating_sub(self.sealed_ms);
        match self.sealed_ns {
            Some(sealed) => Duration::from_nanos(now.boot_ns.saturating_sub(sealed)),
            None => Duration::from_millis(u64::try_from(by_utc_ms()).unwrap_or(0)),
        }
    }
}

/// Which of the queued packages is meant; all of them, by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The last lane that may be sent now, 1 to 3: packages of which a receiver has asked nothing
    /// more up to this lane are passed over.
    pub open: u8,
    /// Only such as were sealed no longer ago than this.
    pub within: Option<Duration>,
    /// Only such as go before one of this severity and number.
    pub before: Option<(u8, u64)>,
    /// The oldest of them, whatever its severity, instead of the gravest, then newest.
    pub oldest: bool,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            open: 3,
            within: None,
            before: None,
            oldest: false,
        }
    }
}

impl Store {
    /// The gravest, then newest, queued package that is meant and whose time has come, with its
    /// files compared with their hashes just now. Packages found damaged on the way are marked and
    /// passed over.
    pub fn next_of(&self, now: Stamp, wish: &Wish) -> Result<Option<Outgoing>, StoreError> {
        self.checked(|inner| inner.due(now, wish))
    }

    /// The package `id` when it is queued, whatever its time, checked as by [`Store::next_of`].
    pub fn queued(&self, id: CaseId) -> Result<Option<Outgoing>, StoreError> {
        self.checked(|inner| inner.due_as(id))
    }

    /// What `find` finds, with its files compared with their hashes.
    fn checked(
        &self,
        find: impl Fn(&Inner) -> Result<Option<Outgoing>, StoreError>,
    ) -> Result<Option<Outgoing>, StoreError> {
        loop {
            let due = find(self.inner().settled()?)?;
            let Some(mut due) = due else {
                return Ok(None);
            };
            // Without the lock: reading megabytes must not hold up a seal.
            match compare(&due.dir, &due.files).and_then(|()| read_head(&due)) {
                Ok(head) => {
                    due.head = head;
                    return Ok(Some(due));
                }
                Err(unlike) if unlike.passing => return Err(StoreError::Io(unlike.why)),
                Err(unlike) => {
                    let mut inner = self.inner();
                    inner.present()?;
                    inner.damaged(due.id, &unlike.why)?;
                }
            }
        }
    }

    /// Puts a package back into the queue: a receiver has asked nothing more of it up to the lane
    /// `told`, 1 or 2, and the others are closed for now, `at`.
    pub fn hold(&self, at: Stamp, id: CaseId, told: u8) -> Result<(), StoreError> {
        let mut inner = self.inner();
        inner.settled()?.transact(|tx| {
            package::put_back(tx, id)?;
            tx.execute(
                "UPDATE package SET told = ?2, told_ms = ?3 WHERE id = ?1",
                params![id.to_string(), told, at.utc_ms()],
            )?;
            Ok(())
        })
    }

    /// Has one package that waits for lanes beyond `open` announced anew, as if no receiver had heard
    /// of it: the one that was told longest ago, when by now none can have it any more. `None`: not yet.
    ///
    /// That is after four days, and then each time when the package has become twice as old: however long a
    /// link stays narrow, what is repeated of a package grows like the logarithm of its age. By this box's
    /// clock: one that was set forward repeats too early once, one that was set back later.
    pub fn tell_again(&self, now: Stamp, open: u8) -> Result<Option<CaseId>, StoreError> {
        let mut inner = self.inner();
        let inner = inner.settled()?;
        let name: Option<String> = {
            let mut query = inner.conn.prepare_cached(TOLD_LONG_AGO)?;
            let values = params![open, now.utc_ms(), TELL_AGAIN_MS, TELL_AGAIN_MAX_MS];
            query.query_row(values, |row| row.get(0)).optional()?
        };
        let Some(id) = name.as_deref().and_then(super::case_id) else {
            return Ok(None);
        };
        inner.transact(|tx| {
            let sql = "UPDATE package SET told = 0 WHERE id = ?1";
            tx.execute(sql, [id.to_string()])?;
            Ok(())
        })?;
        Ok(Some(id))
    }

    /// How many queued packages wait for lanes beyond `open`.
    pub fn held(&self, open: u8) -> Result<u64, StoreError> {
        let inner = self.inner();
        let mut query = inner.conn.prepare_cached(HELD)?;
        let count: i64 = query.query_row([open], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// Writes down that `by` asked by `command` for a package with everything the link's profile
    /// holds back; durable on return. Asking again changes nothing. [`StoreError::Unknown`] when it is
    /// not kept here.
    pub fn want(
        &self,
        at: Stamp,
        id: CaseId,
        (command, by): (Uuid, &str),
    ) -> Result<(), StoreError> {
        let mut inner = self.inner();
        inner.settled()?;
        package::state(&inner.conn, id)?.ok_or(StoreError::Unknown(id))?;
        if inner.wanted()?.contains(&id) {
            return Ok(());
        }
        let line = lines::Wanted {
            id,
            command,
            by: by.to_owned(),
        };
        inner.say(at, lines::WANTED, lines::body(&line))?;
        inner.transact(|tx| write_wanted(tx, id))
    }

    /// The packages that were asked for and that no receiver has answered, oldest first.
    pub fn wanted(&self) -> Result<Vec<CaseId>, StoreError> {
        self.inner().wanted()
    }

    /// What the upload noted about its link; `None` before the first time.
    pub fn link_account(&self) -> Result<Option<String>, StoreError> {
        self.inner().meta(LINK_ACCOUNT)
    }

    /// Keeps what the upload notes about its link, durable on return.
    pub fn save_link_account(&self, account: &str) -> Result<(), StoreError> {
        let mut inner = self.inner();
        inner
            .settled()?
            .transact(|tx| set_meta(tx, LINK_ACCOUNT, account))
    }
}

impl Inner {
    fn wanted(&self) -> Result<Vec<CaseId>, StoreError> {
        let sql = "SELECT id FROM package WHERE wanted = 1 \
             AND state IN ('sealed', 'queued', 'sending', 'sent') ORDER BY seq";
        let mut query = self.conn.prepare_cached(sql)?;
        let names = query.query_map([], |row| row.get::<_, String>(0))?;
        let names: Vec<String> = names.collect::<Result<_, _>>()?;
        Ok(names.iter().filter_map(|n| super::case_id(n)).collect())
    }

    fn due(&self, now: Stamp, wish: &Wish) -> Result<Option<Outgoing>, StoreError> {
        let (severity, seq) = wish.before.unwrap_or((0, 0));
        let (sql, seq) = (due_sql(wish), package::sql_int(seq));
        let Some(within) = wish.within else {
            return self.row(&sql, params![boot_ns(now), wish.open, severity, seq]);
        };
        let ns = i64::try_from(within.as_nanos()).unwrap_or(i64::MAX);
        let (from_ns, from_ms) = (
            boot_ns(now).saturating_sub(ns),
            now.utc_ms().saturating_sub(ns / 1_000_000),
        );
        let boot = this_boot();
        self.row(
            &sql,
            params![
                boot_ns(now),
                wish.open,
                severity,
                seq,
                boot,
                from_ns,
                from_ms
            ],
        )
    }

    fn due_as(&self, id: CaseId) -> Result<Option<Outgoing>, StoreError> {
        let id = id.to_string();
        let sql = format!("{OUTGOING} WHERE state = 'queued' AND id = ?1");
        self.row(&sql, params![id])
    }

    /// The first package that `sql` finds; its head is not read.
    fn row(
        &self,
        sql: &str,
        values: &[&dyn rusqlite::ToSql],
    ) -> Result<Option<Outgoing>, StoreError> {
        let mut query = self.conn.prepare_cached(sql)?;
        let row = query.query_row(values, |row| {
            let name: String = row.get(0)?;
            let due = Outgoing {
                id: CaseId(uuid::Uuid::nil()),
                seq: row.get::<_, i64>(1)?.unsigned_abs(),
                dir: PathBuf::new(),
                files: Vec::new(),
                sig_sha256: row.get(2)?,
                head: Vec::new(),
                attempts: row.get(3)?,
                journal_n: row.get::<_, Option<i64>>(4)?.map(i64::unsigned_abs),
                severity: row.get(5)?,
                sealed_ms: row.get(6)?,
                sealed_ns: sealed_here(row)?,
            };
            Ok((name, due))
        });
        let Some((name, mut due)) = row.optional()? else {
            return Ok(None);
        };
        due.id = super::case_id(&name)
            .ok_or_else(|| StoreError::Corrupt(format!("{name} is not the id of a package")))?;
        due.dir = self.package_dir(due.id);
        due.files = package::files(&self.conn, due.id)?;
        Ok(Some(due))
    }
}

/// Finds the package that is meant. The index is named: left to itself SQLite reads and sorts every
/// row that waits, for each package that is sent.
fn due_sql(wish: &Wish) -> String {
    let by = |index: &str| {
        format!(
            "{OUTGOING} INDEXED BY {index} WHERE state = 'queued' AND next_try_ns <= ?1 \
             AND told < ?2 AND (severity, seq) > (?3, ?4)"
        )
    };
    let gravest = "ORDER BY severity DESC, seq DESC LIMIT 1";
    if wish.oldest {
        format!("{} ORDER BY seq LIMIT 1", by("package_oldest"))
    } else if wish.within.is_some() {
        // Those that are fresh are few.
        let (here, before) = (by("package_fresh_here"), by("package_fresh"));
        format!(
            "{here} AND sealed_boot = ?5 AND sealed_ns >= ?6 UNION ALL \
             {before} AND (?5 IS NULL OR sealed_boot IS NOT ?5) AND sealed_ms >= ?7 {gravest}"
        )
    } else {
        format!("{} {gravest}", by("package_gravest"))
    }
}

/// When the package of a row of [`OUTGOING`] was sealed by the clock of this boot.
fn sealed_here(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<u64>> {
    let (boot, ns): (Option<String>, Option<i64>) = (row.get(7)?, row.get(8)?);
    let here = boot.is_some() && boot.as_deref() == this_boot();
    Ok(ns.filter(|_| here).and_then(|ns| u64::try_from(ns).ok()))
}

/// Marks a package as asked for.
pub(super) fn write_wanted(tx: &Connection, id: CaseId) -> Result<(), StoreError> {
    let sql = "UPDATE package SET wanted = 1 WHERE id = ?1";
    tx.execute(sql, [id.to_string()])?;
    Ok(())
}

fn read_head(due: &Outgoing) -> Result<Vec<(String, Vec<u8>)>, Unlike> {
    let head = due.files.iter().filter(|file| file.lane == 1);
    head.map(|file| {
        let bytes = disk::read(&due.dir.join(&file.name))?;
        Ok((file.name.clone(), bytes))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::additions::NEXT_STAMP;
    use crate::store::tests::{OLDEST, case, folder, keep_and_seal, open};

    /// Where the kernel does not tell which boot this is: in a container without that file.
    #[test]
    fn without_the_name_of_its_boot_a_package_is_fresh_by_utc() {
        let dir = folder();
        let store = open(dir.path());
        keep_and_seal(&store, case(1));
        let due = store.queued(case(1)).unwrap().unwrap();
        let inner = store.inner();
        let fresh = Wish {
            within: Some(Duration::from_mins(5)),
            ..Wish::default()
        };
        let found = |age_ms: i64| {
            let now = crate::clock::now();
            let (boot, from_ms) = (None::<&str>, due.sealed_ms + age_ms);
            let values = params![boot_ns(now), 3, 0, 0, boot, 0, from_ms];
            inner.row(&due_sql(&fresh), values).unwrap().is_some()
        };
        // Sealed in a boot that was known, and in this one.
        for sql in [
            "",
            "UPDATE package SET sealed_boot = NULL, sealed_ns = NULL",
        ] {
            inner.conn.execute_batch(sql).unwrap();
            assert!(found(0) && !found(1), "{sql}");
        }
    }

    /// With ten thousand packages waiting, a query that reads and sorts them all takes a hundred
    /// milliseconds, and each package that is sent asks several.
    #[test]
    fn what_is_next_is_found_by_an_index_and_not_sorted_for() {
        let dir = folder();
        let store = open(dir.path());
        let inner = store.inner();
        let any = Wish::default();
        let fresh = Wish {
            within: Some(Duration::from_mins(5)),
            ..any
        };
        for (sql, index, sorted) in [
            (due_sql(&any), "package_gravest", false),
            (due_sql(&OLDEST), "package_oldest", false),
            // Only what is fresh, and that is little.
            (due_sql(&fresh), "package_fresh (sealed_ms>?)", true),
            (
                due_sql(&fresh),
                "package_fresh_here (sealed_boot=? AND sealed_ns>?)",
                true,
            ),
            (HELD.to_owned(), "package_gravest", false),
            (NEXT_STAMP.to_owned(), "stamp_next", false),
        ] {
            let mut query = inner
                .conn
                .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
                .unwrap();
            for n in 1..=query.parameter_count() {
                query.raw_bind_parameter(n, 1).unwrap();
            }
            let mut rows = query.raw_query();
            let mut plan = String::new();
            while let Some(row) = rows.next().unwrap() {
                plan += &row.get::<_, String>(3).unwrap();
            }
            assert!(plan.contains(index), "{sql}: {plan}");
            assert_eq!(plan.contains("B-TREE"), sorted, "{sql}: {plan}");
        }
    }
}

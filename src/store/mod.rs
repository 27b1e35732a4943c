//! Keeps evidence until the receiver has signed for it, over power cuts and full disks.
//!
//! ```text
//! DIR/staging/<case>/     drafts of an open case, each synced before its row is written
//! DIR/packages/<id>/      a sealed package: never changed; pictures and video go after the receipt
//! DIR/journal/            what happened (`crate::journal`)
//! DIR/checkpoints/        signatures over the journal's head, one file each
//! DIR/q.db                queue and index, made again from the two above when it is broken
//! DIR/references/         what fixed cameras look at (`daemon::views`)
//! DIR/config/             configuration and certificates that commands brought (`command::settings`)
//! DIR/ballast             room in reserve for journal and queue on a full disk (`ballast.rs`)
//! DIR/lock                held by the one process that has the store
//! ```
//! Sealing writes in one order only: files, signature last, each synced; the directory is
//! renamed into `packages/` and that synced; the journal line; one FULL transaction. A crash
//! between any two of these leaves either an open case or a package that start-up takes in.
//!
//! What comes later is added to a package in `additions.rs`, which draws its order.
//!
//! **Invariants.** A package whose `package.sealed` line is in the journal is never lost: it is
//! in `packages/`, and start-up makes every row that is missing. Bytes are compared with their
//! hashes before they are sent. One writer: a mutex inside, a lock file outside. The steps of a
//! package are those of `schema.sql`. Retry times are on the boot clock and end with the run.
//! Pictures and video are removed only after the receipt (`quota.rs` says which, `prune.rs` how);
//! statement, signatures and journal stay for good.
//!
//! **Not here.** Making and checking signatures (`witness`): the store believes the receipt
//! that `upload` has checked. When to look after the store: `daemon` calls [`Store::care`] and
//! [`Store::mirror_step`].

mod additions;
mod ballast;
mod care;
mod check;
mod checkpoints;
mod clocks;
mod commands;
mod compare;
mod database;
mod draft;
mod error;
mod evict;
mod export;
mod heal;
mod ledger;
mod lines;
mod lock;
mod losses;
mod migrate;
mod mirror;
mod outbox;
mod package;
mod prune;
mod queue;
mod quota;
mod reading;
mod recover;
mod refusal;
mod room;
mod seal;
mod state;
mod verdicts;
mod view;

#[cfg(test)]
pub(crate) mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use serde_json::Value;
use tokio::sync::Notify;

use crate::config;
use crate::disk;
use crate::journal::{Head, Journal, Place};
use crate::types::{CaseId, Stamp, lock};

pub use additions::StampDue;
pub use care::Care;
pub use check::Finding;
pub use commands::{Ended, Known, ReplyDue, UnderWay};
pub use draft::Draft;
pub use error::StoreError;
pub use export::{Export, Exported};
pub use heal::Healed;
pub use lines::{Commanded, LeadsOnly};
pub use losses::Losses;
pub use mirror::{MirrorError, MirrorState, MirrorStep, Mirroring, mirror_init, recognise_in_time};
pub use outbox::{Counts, ReceiptFacts, StampCount, StateCount};
pub use package::PackageFile;
pub use prune::Pruned;
pub use queue::{Outgoing, Wish};
pub use quota::{Level, Room};
pub use recover::{Database, Recovery};
pub use seal::SealContext;
pub use state::State;
pub use verdicts::{Objections, Taken, Tally, VerdictFacts};
pub use view::{InUse, Listed, View, device_of, in_use};

/// Bytes in the unit of `keep_free_mib`.
const MIB: u64 = 1024 * 1024;

/// Journal lines that wait for the next transaction at most; then they get one of their own.
const UNINDEXED_MAX: usize = 64;

/// The store: a handle, cheap to clone. Calls block on the disk; the slowest, [`Store::open`]
/// on a lost database and [`Store::check`], read every package.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    config: config::Store,
    device: String,
    inner: Mutex<Inner>,
    /// What is known of the second medium; taken before `inner`, never after.
    mirror: Mutex<mirror::Watch>,
    /// What can be told of it meanwhile; taken for a moment, and nothing after it.
    signs: Mutex<mirror::Signs>,
    /// What could not be kept since the start; taken for a moment, and nothing after it.
    losses: Mutex<losses::Losses>,
    /// When the database was seen to; taken for a moment, after `inner` where both are.
    seen_to: Mutex<care::SeenTo>,
    /// When something was last heard of the store's being put right while all wait for it, boot clock,
    /// nanoseconds; 0 while it is not.
    put_right_ns: AtomicU64,
    queued: Notify,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    config: config::Store,
    ballast: ballast::Ballast,
    conn: Connection,
    journal: Journal,
    /// A package that is in `packages/` but not yet in journal and database.
    pending: Option<seal::Pending>,
    /// The receiver's clock, when a receipt has told it.
    heard: Option<clocks::Heard>,
    /// The newest checkpoint.
    checkpoint: checkpoints::Newest,
    /// Journal lines for the index, written with the next transaction.
    unindexed: Vec<Indexed>,
    /// Files of open cases that were found missing or changed since the start.
    files_lost: u64,
    /// Held; also tells whether the store at `dir` is still the one that was opened.
    lock: File,
}

/// A journal line as the index has it.
#[derive(Clone, Debug)]
struct Indexed {
    head: Head,
    at: String,
    kind: String,
    place: Place,
}

impl Store {
    /// Opens the store in `config.dir`, makes it when missing, and puts right whatever the last
    /// run left: see [`Recovery`].
    ///
    /// Errors: [`StoreError::Locked`], [`StoreError::OtherDevice`], and those of the disk. What
    /// is in the files is never a reason not to open.
    pub fn open(config: &config::Store, device_id: &str) -> Result<(Self, Recovery), StoreError> {
        Self::open_telling(config, device_id, &|_, _| ())
    }

    /// [`Store::open`], which tells before each package that has to be read, and after the last,
    /// how many are read and how many there are.
    pub fn open_telling(
        config: &config::Store,
        device_id: &str,
        tell: &dyn Fn(usize, usize),
    ) -> Result<(Self, Recovery), StoreError> {
        let dir = &config.dir;
        std::fs::create_dir_all(dir)
            .map_err(|e| StoreError::Io(format!("cannot create {}: {e}", dir.display())))?;
        let (inner, recovery) = Inner::open(config, device_id, tell)?;
        let store = Self {
            shared: Arc::new(Shared {
                dir: dir.clone(),
                config: config.clone(),
                device: device_id.to_owned(),
                inner: Mutex::new(inner),
                mirror: Mutex::default(),
                signs: Mutex::default(),
                losses: Mutex::default(),
                seen_to: Mutex::default(),
                put_right_ns: AtomicU64::default(),
                queued: Notify::new(),
            }),
        };
        store.shared.queued.notify_one();
        Ok((store, recovery))
    }

    /// Makes one call where it may block.
    pub async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Self) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.clone();
        blocking(move || call(&store)).await
    }

    /// The judge's open cases as last saved.
    pub fn book(&self) -> Result<Option<String>, StoreError> {
        self.inner().meta("book")
    }

    /// Saves the judge's open cases, durable on return.
    pub fn save_book(&self, book: &str) -> Result<(), StoreError> {
        let mut inner = self.inner();
        inner.settled()?.transact(|tx| save_book(tx, Some(book)))
    }

    /// Writes a line into the journal, durable on return. `body` holds no secret and no floats.
    pub fn note(&self, at: Stamp, kind: &str, body: Value) -> Result<Head, StoreError> {
        let mut inner = self.inner();
        if inner.unindexed.len() >= UNINDEXED_MAX {
            inner.transact(|_| Ok(()))?;
        }
        inner.say(at, kind, body)
    }

    /// The last journal line.
    pub fn head(&self) -> Head {
        self.inner().journal.head()
    }

    /// Where a package lies, whether or not it exists.
    pub fn package_dir(&self, id: CaseId) -> PathBuf {
        package_dir(&self.shared.dir, id)
    }

    /// The state of a package; `None` when there is none of this id.
    pub fn state(&self, id: CaseId) -> Result<Option<State>, StoreError> {
        package::state(&self.inner().conn, id)
    }

    /// Returns when something may be due since the last return: a package was queued, or the
    /// store was opened. Meant for one waiter.
    pub async fn changed(&self) {
        self.shared.queued.notified().await;
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.shared.inner)
    }
}

/// Runs what blocks on the disk where it may.
pub(crate) async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(call)
        .await
        .unwrap_or_else(|error| Err(StoreError::Invariant(error.to_string())))
}

impl Inner {
    /// Fails when the folder is gone or another one is in its place: the disk was pulled or
    /// unmounted. What is missing then is not damaged.
    fn present(&self) -> Result<(), StoreError> {
        if disk::is_same_file(&self.lock, &self.dir.join("lock")) {
            return Ok(());
        }
        let place = self.dir.display();
        Err(StoreError::Io(format!(
            "the store is no longer at {place}: its disk was taken away"
        )))
    }

    /// Runs a small write; on a full disk the ballast makes room for it.
    fn with_ballast<T>(
        &mut self,
        run: impl Fn(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match run(self) {
            Err(StoreError::Full { .. }) if self.ballast.let_go()? => run(self),
            done => done,
        }
    }

    /// One FULL transaction, with the waiting lines of the journal index. Undone as a whole
    /// when anything in it fails.
    fn transact<T>(
        &mut self,
        run: impl Fn(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.with_ballast(|inner| inner.transact_once(&run))
    }

    fn transact_once<T>(
        &mut self,
        run: &impl Fn(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let tx = self
            .conn
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = run(&tx)?;
        for line in &self.unindexed {
            ledger::index(&tx, line)?;
        }
        #[cfg(test)]
        crate::disk::fault::commit(&self.dir.join("q.db"))?;
        tx.commit()?;
        self.unindexed.clear();
        Ok(done)
    }

    /// Appends a journal line and remembers it for the index.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the callers' bodies are made for it"
    )]
    fn say(&mut self, at: Stamp, kind: &str, body: Value) -> Result<Head, StoreError> {
        let head =
            self.with_ballast(|inner| Ok(inner.journal.append(at, kind, body.clone())?))?;
        let place = self.journal.place().cloned();
        self.unindexed.push(Indexed {
            head: head.clone(),
            at: crate::clock::rfc3339_ms(at.utc_ns),
            kind: kind.to_owned(),
            place: place.expect("invariant: a line was just appended"),
        });
        Ok(head)
    }

    fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        meta(&self.conn, key)
    }

    fn staging(&self, case: CaseId) -> PathBuf {
        self.dir.join("staging").join(case.to_string())
    }

    fn package_dir(&self, id: CaseId) -> PathBuf {
        package_dir(&self.dir, id)
    }
}

/// The id a file name spells, when it spells one exactly as we do.
fn case_id(name: &str) -> Option<CaseId> {
    let id = CaseId(uuid::Uuid::parse_str(name).ok()?);
    (id.to_string() == name).then_some(id)
}

fn package_dir(dir: &Path, id: CaseId) -> PathBuf {
    dir.join("packages").join(id.to_string())
}

fn meta(conn: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    let mut query = conn.prepare_cached("SELECT v FROM meta WHERE k = ?1")?;
    Ok(query.query_row([key], |row| row.get(0)).optional()?)
}

fn set_meta(tx: &Connection, key: &str, value: &str) -> Result<(), StoreError> {
    let mut insert = tx.prepare_cached("INSERT OR REPLACE INTO meta(k, v) VALUES(?1, ?2)")?;
    insert.execute([key, value])?;
    Ok(())
}

fn save_book(tx: &Transaction<'_>, book: Option<&str>) -> Result<(), StoreError> {
    book.map_or(Ok(()), |book| set_meta(tx, "book", book))
}

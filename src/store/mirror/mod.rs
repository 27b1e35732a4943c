//! The second copy: every package and the journal once more, on another medium.
//!
//! ```text
//! MEDIUM/lingmou-mirror.json   whose medium this is; made by `mirror-init`, never by the daemon
//! MEDIUM/packages/<id>/        copied after sealing, oldest first; later additions follow
//! MEDIUM/journal/              the lines, as far as they are durable here
//! MEDIUM/checkpoints/          the signatures over them
//! MEDIUM/staging/              a copy under way
//! ```
//! A medium is there when its marker is: the daemon makes no folder at the top, so the empty
//! mount point of a medium that was pulled is never filled. A copy counts when it was synced,
//! read back from the medium and hashed; then the journal says `mirror.copied` and the row has
//! it. Nothing on the medium is ever removed, and nothing there is believed without its hash.
//!
//! What is damaged here comes back from there when its copy still verifies (`heal.rs`). What an
//! administrator had evicted does not: the medium keeps it, and it is read there by hand.

mod copying;
mod medium;
mod signs;

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::MutexGuard;

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::package::{self, PackageFile, sql_int};
use super::{Healed, Inner, State, Store, StoreError, lines};
use crate::clock;
use crate::types::{CaseId, lock};
use copying::CopyFault;
pub(super) use copying::move_in;
#[cfg(test)]
pub(super) use medium::prepare;
use medium::recognise;
pub use medium::{MirrorError, mirror_init, recognise_in_time};
pub(super) use signs::Signs;

/// Key of the media that were in place before in `meta`, a list as JSON.
const MEDIA: &str = "media";

/// What the daemon knows of the medium, in one run.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The medium looked at last; `None` when it was not there.
    medium: Option<uuid::Uuid>,
    /// How much of the journal it has: segment and bytes.
    journal: Option<(u32, u64)>,
    /// Packages that could neither be copied nor healed; another medium may do it.
    hopeless: HashSet<CaseId>,
}

/// What one step of mirroring did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MirrorStep {
    /// No second medium is configured.
    Off,
    /// It is not there.
    Missing(String),
    /// It is there, and full, read-only or failing: looking again costs reading and writing.
    Failed(String),
    /// It has everything.
    Idle,
    /// It has one package more, or what was added to one.
    Copied(CaseId),
    /// A damaged package here is whole again.
    Restored(CaseId),
}

/// How far the second copy is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Mirroring {
    /// Packages the medium has.
    pub copied: u64,
    /// Packages it lacks and should have.
    pub due: u64,
    /// Their bytes.
    pub due_bytes: u64,
}

/// How the second copy stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MirrorState {
    /// Where it is.
    pub dir: PathBuf,
    /// What is wrong with the medium; `None` while it works.
    pub trouble: Option<String>,
    /// How far it is.
    pub mirroring: Mirroring,
}

/// A package of which the medium lacks something.
#[derive(Debug)]
struct Due {
    id: CaseId,
    additions: u64,
    first: bool,
    files: Vec<PackageFile>,
}

impl Store {
    /// Copies one package to the second medium, or brings one back from it. To be called again
    /// at once after [`MirrorStep::Copied`] and [`MirrorStep::Restored`], else after a while. A medium
    /// that hangs holds it up: see [`Store::mirror_hangs`].
    ///
    /// Errors are those of the store itself; trouble with the medium is [`MirrorStep::Missing`] or
    /// [`MirrorStep::Failed`].
    pub fn mirror_step(&self) -> Result<MirrorStep, StoreError> {
        let dir = self.shared.config.mirror.clone();
        if dir.as_os_str().is_empty() {
            return Ok(MirrorStep::Off);
        }
        let mut watch = self.watch();
        let looked = {
            let _busy = self.busy();
            recognise(&dir, &self.shared.device)
        };
        let medium = match looked {
            Ok(medium) => medium,
            Err(error) => {
                let why = error.to_string();
                *watch = Watch::default();
                self.in_trouble(why.clone())?;
                return Ok(MirrorStep::Missing(why));
            }
        };
        if watch.medium != Some(medium) {
            self.inner().meet(medium)?;
            *watch = Watch {
                medium: Some(medium),
                ..Watch::default()
            };
        }
        match self.copy_one(&dir, medium, &mut watch) {
            Ok(step) => {
                if self.out_of_trouble() {
                    tracing::info!(medium = %medium, "the second medium is back");
                }
                Ok(step)
            }
            Err(CopyFault::Medium(why)) => {
                self.in_trouble(why.clone())?;
                Ok(MirrorStep::Failed(why))
            }
            Err(CopyFault::Store(error)) => Err(error),
        }
    }

    pub(super) fn watch(&self) -> MutexGuard<'_, Watch> {
        lock(&self.shared.mirror)
    }

    fn copy_one(
        &self,
        dir: &Path,
        medium: uuid::Uuid,
        watch: &mut Watch,
    ) -> Result<MirrorStep, CopyFault> {
        let (due, damaged) = {
            let mut inner = self.inner();
            inner.settled()?;
            (inner.due_for_mirror(watch)?, inner.damaged_ones(watch)?)
        };
        self.copy_journal(dir, watch)?;
        if let Some(id) = damaged {
            let healed = {
                let _busy = self.busy();
                self.heal_from(id, Some(dir))?
            };
            if matches!(healed, Healed::Whole(_)) {
                self.shared.queued.notify_one();
                return Ok(MirrorStep::Restored(id));
            }
            watch.hopeless.insert(id);
        }
        let Some(due) = due else {
            return Ok(MirrorStep::Idle);
        };
        // Without the lock of the store: a slow medium must not hold up a seal.
        let source = self.package_dir(due.id);
        let copied = {
            let _busy = self.busy();
            copying::copy(&source, &due.files, (dir, due.id, due.first))?
        };
        match copied {
            Ok(()) => {
                self.inner().copied(&due, medium)?;
                self.copy_journal(dir, watch)?;
                Ok(MirrorStep::Copied(due.id))
            }
            Err(why) => self.cannot_copy(&due, dir, &why, watch),
        }
    }

    /// The package itself is not what it should be.
    fn cannot_copy(
        &self,
        due: &Due,
        dir: &Path,
        why: &str,
        watch: &mut Watch,
    ) -> Result<MirrorStep, CopyFault> {
        let damaged = {
            let mut inner = self.inner();
            inner.present()?;
            inner.damaged(due.id, why)?;
            package::state(&inner.conn, due.id)? == Some(State::Damaged)
        };
        let healed = {
            let _busy = self.busy();
            self.heal_from(due.id, Some(dir))?
        };
        if let Healed::Whole(files) = healed
            && (damaged || !files.is_empty())
        {
            return Ok(MirrorStep::Restored(due.id));
        }
        // Not mended, or nothing was found to mend: trying again at once would go on for ever.
        tracing::warn!(id = %due.id, why, "a package is not copied");
        watch.hopeless.insert(due.id);
        Ok(MirrorStep::Idle)
    }

    fn copy_journal(&self, dir: &Path, watch: &mut Watch) -> Result<(), CopyFault> {
        let (durable, journal) = {
            let inner = self.inner();
            (inner.journal.durable(), inner.dir.join("journal"))
        };
        if watch.journal != Some(durable) {
            let from = watch.journal.map_or(1, |(segment, _)| segment);
            let _busy = self.busy();
            copying::copy_journal(&journal, from, durable, dir)?;
            copying::copy_checkpoints(&self.shared.dir, dir)?;
            watch.journal = Some(durable);
        }
        Ok(())
    }
}

impl Inner {
    /// A medium is in place. One that was never seen stands in for another that may be dead: what
    /// nobody else has comes onto it as well (`docs/decisions/0030`).
    fn meet(&mut self, medium: uuid::Uuid) -> Result<(), StoreError> {
        let before = media(&self.conn)?;
        if before.contains(&medium) {
            return Ok(());
        }
        self.settled()?.transact(|tx| {
            if !before.is_empty() {
                let sql = "UPDATE package SET mirror = NULL WHERE state IN \
                     ('sealed', 'queued', 'sending', 'sent', 'refused')";
                tx.execute(sql, [])?;
            }
            know(tx, medium)
        })
    }

    /// The oldest package of which the medium lacks something.
    fn due_for_mirror(&self, watch: &Watch) -> Result<Option<Due>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT id, additions, mirror IS NULL FROM package WHERE state <> 'damaged' AND \
             (mirror < additions OR (mirror IS NULL AND state <> 'pruned')) ORDER BY seq",
        )?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let name: String = row.get(0)?;
            if let Some(id) = super::case_id(&name).filter(|id| !watch.hopeless.contains(id)) {
                return Ok(Some(Due {
                    id,
                    additions: row.get::<_, i64>(1)?.unsigned_abs(),
                    first: row.get(2)?,
                    files: package::files(&self.conn, id)?,
                }));
            }
        }
        Ok(None)
    }

    /// The oldest damaged package that may yet be healed; what was evicted is as it should be.
    fn damaged_ones(&self, watch: &Watch) -> Result<Option<CaseId>, StoreError> {
        let sql = "SELECT id FROM package WHERE state = 'damaged' \
             AND id NOT IN (SELECT package_id FROM evicted) ORDER BY seq";
        let mut query = self.conn.prepare_cached(sql)?;
        let names = query.query_map([], |row| row.get::<_, String>(0))?;
        let names: Vec<String> = names.collect::<Result<_, _>>()?;
        let ids = names.iter().filter_map(|name| super::case_id(name));
        Ok(ids.into_iter().find(|id| !watch.hopeless.contains(id)))
    }

    /// The medium has what the package was when it was `due`.
    fn copied(&mut self, due: &Due, medium: uuid::Uuid) -> Result<(), StoreError> {
        if due.first {
            let line = lines::Copied { id: due.id, medium };
            self.say(clock::now(), lines::COPIED, lines::body(&line))?;
        }
        self.transact(|tx| {
            tx.execute(
                "UPDATE package SET mirror = ?2 WHERE id = ?1",
                params![due.id.to_string(), sql_int(due.additions)],
            )?;
            Ok(())
        })
    }
}

/// The media that were in place before.
fn media(conn: &Connection) -> Result<BTreeSet<uuid::Uuid>, StoreError> {
    let text = super::meta(conn, MEDIA)?;
    Ok(text
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default())
}

/// A medium is known from now on.
pub(super) fn know(tx: &Connection, medium: uuid::Uuid) -> Result<(), StoreError> {
    let mut known = media(tx)?;
    known.insert(medium);
    let text = serde_json::to_string(&known).expect("invariant: a list of ids serialises");
    super::set_meta(tx, MEDIA, &text)
}

/// How far the second copy is, by the rows.
pub(super) fn mirroring(conn: &Connection) -> Result<Mirroring, StoreError> {
    let mut query = conn.prepare_cached(
        "SELECT count(mirror), \
         count(*) FILTER (WHERE mirror IS NULL AND state NOT IN ('damaged', 'pruned')), \
         coalesce(sum(bytes) FILTER (WHERE mirror IS NULL AND state NOT IN ('damaged', 'pruned')), 0) \
         FROM package",
    )?;
    let row = query.query_row([], |row| {
        let number = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
        Ok(Mirroring {
            copied: number(0)?,
            due: number(1)?,
            due_bytes: number(2)?,
        })
    });
    Ok(row.optional()?.unwrap_or_default())
}

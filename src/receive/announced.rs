//! What was announced and is not here whole: cases the bureau knows of and cannot look at yet.
//!
//! A verified head has a row in the index until its package is stored or refused. So a package that
//! waits in its box for a wider link has a name here, and keeps it when the receiver has forgotten what
//! it had of it: by its id somebody can have it fetched. How much of it is here is looked for in
//! `incoming/` at each question; what lies there gets its row again when the index was made anew.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::params;

use super::index::{Entry, Index, IndexError};
use super::kept::Announced;
use super::layout;
use super::rows::{announced, case_id, unsigned, whole};
use super::transfer::Found;
use crate::types::{CaseId, Stamp};

impl Index {
    /// Gives what lies unfinished in `dir` its rows, where it has none.
    pub(super) fn level_announced(&mut self, dir: &Path, at: Stamp) -> Result<(), IndexError> {
        let mut entries = Vec::new();
        for receiver in layout::named(&layout::incoming(dir))? {
            let of_receiver = layout::incoming(dir).join(receiver);
            for device in layout::named(&of_receiver)? {
                let sql = "SELECT id FROM announced WHERE device = ?1";
                let known = BTreeSet::from_iter(self.all(sql, [&device], |row| case_id(row, 0))?);
                for id in layout::ids_of_any(&of_receiver.join(&device))? {
                    if !known.contains(&id)
                        && let Some(found) = Found::at(&layout::under(&of_receiver, &device, id))
                    {
                        entries.push(Entry::Found(Announced::of(&found.head, None, at)));
                    }
                }
            }
        }
        if entries.is_empty() {
            return Ok(());
        }
        self.enter(&entries)
    }

    /// How late the first head of a package came, `late` when this is the first that is known of; `None`: it came
    /// in time.
    pub(super) fn first_late(
        &self,
        (device, id): (&str, CaseId),
        late: u64,
    ) -> Result<Option<u64>, IndexError> {
        let sql = "SELECT CASE WHEN EXISTS(SELECT 1 FROM announced WHERE device = ?1 AND id = ?2) \
            OR EXISTS(SELECT 1 FROM package WHERE device = ?1 AND id = ?2) \
            THEN (SELECT iif(secs < 0, ?3, secs) FROM late WHERE device = ?1 AND id = ?2) ELSE ?3 END";
        let args = params![device, id.to_string(), whole(late)];
        let first = self.all(sql, args, |row| row.get::<_, Option<i64>>(0))?;
        Ok(first.into_iter().flatten().next().map(unsigned))
    }

    /// What a device announced that is not here whole, by number, with what is here of it.
    pub(super) fn announced(&self, device: &str) -> Result<Vec<Announced>, IndexError> {
        let sql = "SELECT seq, id, sig_sha256, kind, outcome, at, heard, (SELECT secs FROM late \
            WHERE late.device = announced.device AND late.id = announced.id AND secs >= 0) FROM announced \
            WHERE device = ?1 AND NOT EXISTS(SELECT 1 FROM package \
            WHERE package.device = ?1 AND package.id = announced.id) ORDER BY seq, id";
        let mut rows = self.all(sql, [device], |row| announced(device, row))?;
        let incoming = layout::incoming(self.dir());
        for receiver in layout::named(&incoming)? {
            for row in &mut rows {
                let place = layout::under(&incoming.join(&receiver), device, row.id);
                if let Some(found) = Found::at(&place).filter(|_| !row.pictures) {
                    row.receiver = Some(receiver.clone());
                    row.pictures = found.pictures;
                }
            }
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::head::tests::{head, head_of, zip_of};
    use super::super::index::tests::package;
    use super::super::kept::{Kept, Refusal};
    use super::super::mend::tests::{DEVICE, Pair};
    use super::super::rows::ANNOUNCED_MAX;
    use super::super::transfer::Transfer;
    use super::*;
    use crate::witness::sha256_hex;

    const AT: Stamp = Stamp {
        utc_ns: 1_785_549_784_567_000_000,
        boot_ns: 7,
        error_ns: 0,
    };

    fn row(n: u64) -> Announced {
        Announced {
            id: CaseId(Uuid::from_u128(n.into())),
            seq: n,
            ..Announced::of(&head(&[]), None, AT)
        }
    }

    fn told(index: &Index) -> Vec<(u64, Option<String>, bool)> {
        let told = index.announced("LM-1").unwrap().into_iter();
        told.map(|a| (a.seq, a.receiver, a.pictures)).collect()
    }

    #[test]
    fn what_was_announced_is_named_until_it_is_whole_and_after_it_was_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let mut index = Index::open(dir.path()).unwrap();
        let picture: &[u8] = b"a picture";
        let files: [(&str, &[u8]); 2] = [("image/jpeg", picture), ("video/mp4", b"a video")];
        let (head, zip) = (head_of(&files), zip_of(&files));
        let id = head.statement.id;
        let place = layout::under(&layout::incoming(dir.path()).join("rx-1"), "LM-1", id);
        let mut transfer = Transfer::begin(&place, head.clone(), &zip).unwrap();
        index.level(dir.path(), AT).unwrap();
        let here = || Some("rx-1".to_owned());
        assert_eq!(told(&index), [(1, here(), false)]);
        assert_eq!(index.device("LM-1").unwrap().unwrap().seq_max, 1);
        assert!(transfer.take(&sha256_hex(picture), 0, picture).unwrap());
        transfer.look().unwrap();
        assert_eq!(told(&index), [(1, here(), true)]);

        // The receiver forgets it.
        std::fs::remove_dir_all(&place).unwrap();
        index.level(dir.path(), AT).unwrap();
        assert_eq!(told(&index), [(1, None, false)]);
        let announced = &index.announced("LM-1").unwrap()[0];
        assert_eq!((announced.id, &*announced.kind), (id, "capture"));

        let stored = Kept { id, ..package() };
        index.enter(&[Entry::Stored(stored)]).unwrap();
        assert_eq!(told(&index), []);
        // A level that read it just before it was stored.
        let late = Announced::of(&head, None, AT);
        index.enter(&[Entry::Announced(late)]).unwrap();
        assert_eq!(told(&index), []);
    }

    /// It may be history, and a person would be sent there.
    #[test]
    fn of_what_was_only_found_the_next_head_says_whether_it_is_history() {
        const DAYS: u64 = 4 * 86_400;
        let dir = tempfile::tempdir().unwrap();
        let mut index = Index::open(dir.path()).unwrap();
        let name = |n: u64| ("LM-1", row(n).id);
        let late = |n: u64, late: Option<u64>, heard: &str| {
            let heard = heard.to_owned();
            Entry::Announced(Announced {
                heard,
                late,
                ..row(n)
            })
        };
        let first = |index: &Index, n: u64| index.first_late(name(n), DAYS).unwrap();
        let told = |index: &Index| {
            let told = index.announced("LM-1").unwrap().into_iter();
            told.map(|a| (a.seq, a.late)).collect::<Vec<_>>()
        };
        // The first was found, the second heard in time before it was looked for.
        let (before, later) = ("2026-08-01T00:00:00Z", "2026-08-09T00:00:00Z");
        index.enter(&[late(2, None, before)]).unwrap();
        let found = [1, 2, 3].map(|n| Entry::Found(row(n)));
        index.enter(&found).unwrap();
        assert_eq!(first(&index, 1), Some(DAYS));
        assert_eq!(first(&index, 2), None);
        assert_eq!(told(&index), [(1, None), (2, None), (3, None)]);
        // What that head says stays, whether late or not.
        index.enter(&[late(1, Some(DAYS), later)]).unwrap();
        index.enter(&[late(3, None, later)]).unwrap();
        assert_eq!(told(&index), [(1, Some(DAYS)), (2, None), (3, None)]);
        assert_eq!(index.first_late(name(1), 2 * DAYS).unwrap(), Some(DAYS));
        assert_eq!(first(&index, 3), None);
    }

    /// The same of a package in its place, when the index was made anew.
    #[test]
    fn of_what_lies_whole_in_its_place_nobody_knows_how_late_it_came() {
        let pair = Pair::new();
        let (office, _desk) = pair.open();
        let id = pair.lay(&office, 1).statement.id;
        let mut index = Index::open(&pair.config.dir).unwrap();
        index.level(&pair.config.dir, AT).unwrap();
        let first = index.first_late((DEVICE, id), 345_600).unwrap();
        assert_eq!(first, Some(345_600));
        assert_eq!(index.packages(DEVICE).unwrap()[0].late, None);
    }

    #[test]
    fn a_refusal_ends_an_announcement_of_the_same_signature_only() {
        let dir = tempfile::tempdir().unwrap();
        let mut index = Index::open(dir.path()).unwrap();
        index.enter(&[Entry::Announced(row(1))]).unwrap();
        let refusal = |sig_sha256: &str| {
            let row = row(1);
            Entry::Refused(Refusal {
                device: row.device,
                id: row.id,
                seq: 1,
                sig_sha256: sig_sha256.to_owned(),
                why: String::new(),
                at: row.at,
                receiver: String::new(),
            })
        };
        index.enter(&[refusal("another")]).unwrap();
        assert_eq!(told(&index), [(1, None, false)]);
        index.enter(&[refusal(&row(1).sig_sha256)]).unwrap();
        assert_eq!(told(&index), []);
    }

    #[test]
    fn what_a_device_can_have_remembered_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut index = Index::open(dir.path()).unwrap();
        let max = u64::from(ANNOUNCED_MAX);
        let entries: Vec<Entry> = (1..=max + 3).map(|n| Entry::Announced(row(n))).collect();
        index.enter(&entries).unwrap();
        let numbers: Vec<u64> = told(&index).iter().map(|told| told.0).collect();
        assert_eq!(numbers, (4..=max + 3).collect::<Vec<_>>());
    }
}

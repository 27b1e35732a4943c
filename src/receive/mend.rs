//! Mending: the second copy of a package, when it is whole, takes the place of a first that is not
//! (decision 0062).
//!
//! ```text
//! copy hashed from its medium ─▶ beside, in incoming/NAME.mended/, synced and hashed ─▶ what is broken goes
//!   to broken/ ─▶ the whole one appears in its place, in one step
//! ```
//! Killed before the last step, the next start takes it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::copies::{Copies, Wanted, additions, lay, wanted_and_added, words};
use super::figures::Count;
use super::keep::publish;
use super::office::Office;
use super::removed::removed;
use super::{ReceiveError, layout, whole};
use crate::disk::{self, DiskError};
use crate::types::{CaseId, lock};
use crate::witness::{Container, SIGNATURE, STATEMENT, Statement, whole_reviews};

/// A box that waits for an answer offers its package again after ten seconds; what comes later than this is
/// taken then.
const WITHIN: Duration = Duration::from_secs(5);

/// A package that is to come back from the medium.
pub(super) struct Whole {
    pub(super) device: String,
    pub(super) id: CaseId,
    /// SHA-256 of the signature that holds it together.
    pub(super) sig_sha256: String,
    /// Where the broken one lies.
    pub(super) place: PathBuf,
    /// Where it comes to lie.
    pub(super) draft: PathBuf,
}

impl Copies {
    /// Lays a package that is whole on the medium into a folder beside the first copies, durable and hashed
    /// once more: its files, its receipts and what was added to it, also to the broken one alone.
    pub(super) fn bring(&self, wanted: &Whole) -> Result<(), String> {
        self.there()?;
        let copy = layout::place(self.dir(), &wanted.device, wanted.id);
        let whole = |place: &Path| {
            whole::check(place)
                .map_err(|e| words(&e))
                .and_then(|found| found)
        };
        whole(&copy)?;
        if whole::is_another(&copy, &wanted.sig_sha256).map_err(|e| words(&e))? {
            return Err(format!("{} is another package", copy.display()));
        }
        let draft = &wanted.draft;
        disk::remove_dir_all(draft).map_err(|e| words(&e))?;
        let statement = disk::read(&copy.join(STATEMENT)).map_err(|e| words(&e))?;
        let statement = Statement::parse(&statement).map_err(|e| e.to_string())?;
        let mut files = wanted_and_added(&copy, &statement).map_err(|e| words(&e))?;
        // With the others, before the pictures: a kill leaves no half of a review in what is whole.
        files.extend(reviews_beyond(&wanted.place, &copy)?);
        lay(&copy, draft, &files).map_err(|e| words(&e))?;
        whole(draft)
    }

    /// Whether neither the broken package nor the copy has a review that the draft lacks.
    fn adds_nothing(&self, wanted: &Whole) -> Result<bool, String> {
        self.there()?;
        let copy = layout::place(self.dir(), &wanted.device, wanted.id);
        let beyond = |package| reviews_beyond(package, &wanted.draft);
        Ok(beyond(&wanted.place)?.is_empty() && beyond(&copy)?.is_empty())
    }
}

impl Whole {
    /// Whether all of it lies in the draft: a call that was not waited for has brought it since.
    fn is_ready(&self) -> Result<bool, DiskError> {
        let whole = whole::check(&self.draft)?.is_ok();
        Ok(whole && !whole::is_another(&self.draft, &self.sig_sha256)?)
    }
}

/// The files of reviews in the folder `package`, as far as they are whole there, that the package in the folder
/// `there` lacks.
fn reviews_beyond(package: &Path, there: &Path) -> Result<Vec<Wanted>, String> {
    let mut all = Container::new();
    for folder in [there, package] {
        let added = readable(additions(folder))?.unwrap_or_default();
        for name in [SIGNATURE.to_owned()].into_iter().chain(added) {
            if all.get(&name).is_none()
                && let Some(bytes) = readable(disk::read(&folder.join(&name)))?
            {
                all.insert(&name, bytes).map_err(|e| e.to_string())?;
            }
        }
    }
    let lacking = whole_reviews(&all).into_iter();
    let lacking = lacking.filter(|name| !there.join(name).exists());
    let lacking = lacking.filter_map(|name| Some((all.get(&name)?.to_vec(), name)));
    Ok(lacking
        .map(|(bytes, name)| Wanted::of(name, bytes))
        .collect())
}

/// What can be read; an error when that cannot be said at the moment.
fn readable<T>(read: Result<T, DiskError>) -> Result<Option<T>, String> {
    match read {
        Err(error) if disk::is_passing(&error.source) => Err(words(&error)),
        read => Ok(read.ok()),
    }
}

impl Office {
    /// Puts the second copy of a package in the place of what is broken there; false when there is none
    /// that is whole, or its medium does not give it in time. The package is the one that this
    /// signature holds together.
    pub(super) fn mend(
        &self,
        device: &str,
        id: CaseId,
        sig_sha256: &str,
    ) -> Result<bool, ReceiveError> {
        let Some(copies) = &self.copies else {
            return Ok(false);
        };
        let _one_at_a_time = lock(&self.mending);
        let mended = layout::mended(&self.dir, &self.name);
        let (place, draft) = (self.place(device, id), layout::under(&mended, device, id));
        for folder in [&mended, &mended.join(device)] {
            disk::create_dir(folder)?;
        }
        let wanted = Whole {
            device: device.to_owned(),
            id,
            sig_sha256: sig_sha256.to_owned(),
            place: place.clone(),
            draft: draft.clone(),
        };
        let ready = wanted.is_ready()?;
        let brought = copies.within(WITHIN, move |copies| {
            if ready && copies.adds_nothing(&wanted)? {
                return Ok(());
            }
            copies.bring(&wanted)
        });
        if let Err(why) = brought {
            tracing::warn!(device, %id, why, "a broken package is not mended from its copy");
            return Ok(false);
        }
        self.make_way(device, id, sig_sha256)?;
        if let Err(error) = publish(&draft, &place) {
            // Another receiver may have been quicker.
            if !place.exists() || whole::check(&place)?.is_err() {
                return Err(error.into());
            }
            disk::remove_dir_all(&draft)?;
        }
        tracing::warn!(device, %id, "a broken package was mended from its second copy");
        self.figures.add(Count::Mended, 1);
        Ok(true)
    }

    /// Ends what a run before had begun to mend: what is whole takes its place when that is free, and nobody
    /// removed it on purpose.
    pub(super) fn end_mending(&self) -> Result<(), ReceiveError> {
        let mended = layout::mended(&self.dir, &self.name);
        for device in layout::named(&mended)? {
            let removed = removed(&self.dir, &device)?;
            for id in layout::ids_of_any(&mended.join(&device))? {
                let draft = layout::under(&mended, &device, id);
                let place = self.place(&device, id);
                let wanted = !place.exists() && !removed.iter().any(|line| line.id == id);
                if wanted && whole::check(&draft)?.is_ok() {
                    publish(&draft, &place)?;
                } else {
                    disk::remove_dir_all(&draft)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;
    use std::sync::Arc;

    use tempfile::TempDir;

    use super::super::desk::Desk;
    use super::super::desks::desk_of;
    use super::super::figures::Figures;
    use super::super::head::Head;
    use super::super::medium::mark;
    use super::super::receipt::{Word, sign};
    use super::super::removed::remove;
    use super::super::tests::with_pictures;
    use super::*;
    use crate::pki::TestPki;
    use crate::types::Stamp;
    use crate::witness::{self, Identity, Opinion, RECEIPT, ReviewVerdict, Roots, review_files};
    use crate::{clock, config};

    pub(in crate::receive) const DEVICE: &str = "LM-1";
    const PICTURE: &[u8] = b"one picture";

    /// Now, by a clock that is synchronised.
    pub(in crate::receive) fn now() -> Stamp {
        Stamp {
            error_ns: 1_000_000,
            ..clock::now()
        }
    }

    /// A receiver with a second medium.
    pub(in crate::receive) struct Pair {
        pub(in crate::receive) dir: TempDir,
        pub(in crate::receive) pki: TestPki,
        pub(in crate::receive) config: config::Receive,
    }

    impl Pair {
        pub(in crate::receive) fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let pki = TestPki::create(&dir.path().join("pki"), DEVICE).unwrap();
            let medium = dir.path().join("medium");
            disk::create_dir(&medium).unwrap();
            mark(&medium).unwrap();
            let config = config::Receive {
                name: "receiver-1".to_owned(),
                host: "127.0.0.1".to_owned(),
                keys: pki.receiver.clone(),
                dir: dir.path().join("received"),
                copy_to: Some(medium),
                ..config::Receive::default()
            };
            Self { dir, pki, config }
        }

        pub(in crate::receive) fn open(&self) -> (Arc<Office>, Desk) {
            let figures = Arc::new(Figures::new(&self.config.dir));
            let (office, mut desks) = Desk::open_all(&self.config, figures).unwrap();
            (office, desks.swap_remove(desk_of(DEVICE)))
        }

        pub(in crate::receive) fn medium(&self) -> &Path {
            self.config.copy_to.as_ref().unwrap()
        }

        /// Where a package lies, and its second copy.
        pub(in crate::receive) fn places(&self, id: CaseId) -> [PathBuf; 2] {
            [&self.config.dir, self.medium()].map(|dir| layout::place(dir, DEVICE, id))
        }

        pub(in crate::receive) fn roots(&self) -> Roots {
            Roots::load(&self.pki.root()).unwrap()
        }

        /// A package with one picture, laid with its receipt in its place and on the medium; its head.
        pub(in crate::receive) fn lay(&self, office: &Office, seq: u64) -> Head {
            let package = with_pictures(&self.pki, seq, &[PICTURE]);
            let head = Head::open(&package.head().to_zip(), DEVICE, &self.roots());
            let head = head.ok().expect("a head that holds");
            let stored = Word::Stored { copies: 2 };
            let receipt = sign(&office.identity, &head, stored, (None, now())).unwrap();
            for place in self.places(head.statement.id) {
                fs::create_dir_all(&place).unwrap();
                let files = package.files().chain([(RECEIPT, &*receipt)]);
                disk::write_all_under(&place, &files.collect::<Vec<_>>()).unwrap();
            }
            head
        }

        /// What a call to the medium brought that was not waited for: the package waits to be put in its
        /// place.
        fn bring(&self, office: &Office, head: &Head) -> PathBuf {
            let (name, id) = (&self.config.name, head.statement.id);
            let mended = layout::mended(&self.config.dir, name);
            let draft = layout::under(&mended, DEVICE, id);
            fs::create_dir_all(draft.parent().unwrap()).unwrap();
            let wanted = Whole {
                device: DEVICE.to_owned(),
                id,
                sig_sha256: head.sig_sha256.clone(),
                place: office.place(DEVICE, id),
                draft: draft.clone(),
            };
            office.copies.as_ref().unwrap().bring(&wanted).unwrap();
            draft
        }

        fn mend(office: &Office, head: &Head) -> bool {
            let mended = office.mend(DEVICE, head.statement.id, &head.sig_sha256);
            mended.unwrap()
        }

        /// Adds a review by the reviewer `n` to the package at `place`.
        fn review(&self, place: &Path, n: usize) {
            let reviewer = Identity::load(&self.pki.reviewers[n], "reviewer").unwrap();
            let opinion = Opinion {
                verdict: ReviewVerdict::Accept,
                reason: "clear",
            };
            let files = Container::from_dir(place).unwrap();
            for (name, bytes) in witness::review(&files, opinion, &reviewer, now()).unwrap() {
                disk::write_under(place, &name, &bytes).unwrap();
            }
        }
    }

    fn put(file: &Path, bytes: &[u8]) {
        disk::replace(&file.with_extension("draft"), file, bytes).unwrap();
    }

    pub(in crate::receive) fn spoil(file: &Path) {
        put(file, b"rot");
    }

    /// Its pictures would be on the disk once more, and at the next start in its place again.
    #[test]
    fn what_was_removed_on_purpose_does_not_come_back() {
        let pair = Pair::new();
        let (office, desk) = pair.open();
        let heads = [1, 2, 3].map(|seq| pair.lay(&office, seq));
        let drafts = heads.each_ref().map(|head| pair.bring(&office, head));
        // Another receiver of the folder had begun to mend the first, too.
        let other = layout::mended(&pair.config.dir, "receiver-2");
        let other = layout::under(&other, DEVICE, heads[0].statement.id);
        fs::create_dir_all(other.join("frames")).unwrap();
        spoil(&other.join("frames/00.jpg"));
        let name = |n: usize| format!("{DEVICE}/{}", heads[n].statement.id);
        let removal = |names: &[String]| {
            let said = ("90 days", now());
            remove(&pair.config.dir, Some(pair.medium()), names, said).unwrap()
        };
        assert_eq!(removal(&[name(0)]).len(), 1);
        assert!(!drafts[0].exists() && !other.exists());
        assert!(drafts[1].exists(), "of another package");
        // The second is removed, and then brought by a call that hung so long; of the third only the
        // place was lost.
        let kept = pair.dir.path().join("kept");
        disk::rename(&drafts[1], &kept).unwrap();
        removal(&[name(1)]);
        disk::rename(&kept, &drafts[1]).unwrap();
        fs::remove_dir_all(&pair.places(heads[2].statement.id)[0]).unwrap();
        drop((office, desk));
        let _office = pair.open();
        assert!(drafts.iter().all(|draft| !draft.exists()));
        let there = heads.each_ref().map(|head| {
            let [place, _] = pair.places(head.statement.id);
            place.exists()
        });
        assert_eq!(there, [false, false, true]);
    }

    /// They come to the second copy in rounds, which take hours.
    #[test]
    fn reviews_that_only_the_broken_package_has_outlive_its_mending() {
        let pair = Pair::new();
        let (office, _desk) = pair.open();
        for spoilt in [None, Some(4), Some(3)] {
            let head = pair.lay(&office, spoilt.map_or(1, u64::from));
            let [place, copy] = pair.places(head.statement.id);
            pair.review(&place, 0);
            // A copy that has a part of the first.
            let [document, ..] = review_files(3);
            fs::copy(place.join(&document), copy.join(&document)).unwrap();
            pair.review(&place, 1);
            spoil(&place.join("frames/00.jpg"));
            let holds = match spoilt {
                None => 2,
                Some(number) => {
                    // The second is over the first's signature.
                    let [_, signature, _] = review_files(number);
                    spoil(&place.join(signature));
                    usize::from(number == 4)
                }
            };
            if holds == 0 {
                fs::remove_file(copy.join(&document)).unwrap();
            }
            assert!(Pair::mend(&office, &head));
            let verdict = witness::verify_path(&place, &pair.roots()).unwrap();
            assert!(verdict.valid(), "{spoilt:?}: {verdict:?}");
            assert_eq!(verdict.reviews.len(), holds, "{spoilt:?}");
            let aside = layout::set_aside(&pair.config.dir, DEVICE, head.statement.id).unwrap();
            assert!(aside[0].join(document).is_file(), "all of it is kept there");
        }
    }

    /// A large package, or a slow network: what was brought too late is there at the next try.
    #[test]
    fn what_the_medium_gave_too_late_is_taken_as_it_is() {
        let pair = Pair::new();
        let (office, _desk) = pair.open();
        let head = pair.lay(&office, 1);
        let [place, copy] = pair.places(head.statement.id);
        let valid = || {
            let verdict = witness::verify_path(&place, &pair.roots()).unwrap();
            (verdict.valid(), verdict.reviews.len())
        };
        let broken = || spoil(&place.join("frames/00.jpg"));
        let whole = || put(&copy.join("frames/00.jpg"), PICTURE);
        let draft = pair.bring(&office, &head);
        broken();
        // It was read once, and is not read again.
        spoil(&copy.join("frames/00.jpg"));
        assert!(Pair::mend(&office, &head));
        assert_eq!(valid(), (true, 0));
        assert!(!draft.exists());
        // Not when it is not whole itself, is another package, or lacks a review that came since.
        whole();
        for change in 0..3 {
            let draft = pair.bring(&office, &head);
            match change {
                0 => spoil(&draft.join("frames/00.jpg")),
                1 => {
                    let other = with_pictures(&pair.pki, 1, &[PICTURE]);
                    for (name, bytes) in other.files() {
                        put(&draft.join(name), bytes);
                    }
                }
                _ => pair.review(&place, 0),
            }
            broken();
            assert!(Pair::mend(&office, &head));
            assert_eq!(valid(), (true, usize::from(change == 2)), "{change}");
            assert!(!whole::is_another(&place, &head.sig_sha256).unwrap());
        }
    }
}

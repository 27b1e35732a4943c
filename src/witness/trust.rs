//! Whom a program that runs for long believes: its roots, and the lists of what was revoked as they are at
//! each moment.
//!
//! A list that is being copied, or is broken, must not stop what runs: what cannot be read changes nothing,
//! and why is told. It is tried again when its file changes, and now and then: where it hangs, or is long, whoever
//! asks meanwhile would else wait for each try. Whoever reads holds the lock, so that nobody puts back what was before.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::chain::Roots;
use super::identity::KeyError;
use super::revoked::beside;
use crate::clock;
use crate::types::lock;

/// How soon what could not be read is tried again although the file of the lists is what it was.
const AGAIN_AFTER_NS: u64 = 1_000_000_000;

/// Roots, and lists of revoked certificates that are read again when their file changes.
#[derive(Debug)]
pub struct Trust {
    files: Files,
    read: Mutex<Read>,
}

/// The files that say who is believed.
#[derive(Debug)]
struct Files {
    roots: PathBuf,
    /// Lists of what was revoked.
    lists: Option<PathBuf>,
    /// Whether there may be no such file: then nothing is revoked.
    may_lack: bool,
}

/// What came of reading them.
#[derive(Debug)]
struct Read {
    roots: Arc<Roots>,
    /// The file of the lists as it was then.
    mark: Mark,
    /// Why all stays what it was.
    failed: Option<String>,
    /// When that is tried again, on the boot clock.
    again_ns: u64,
}

/// Inode, length and time of change (of its rights, too) of a file; `None` while it is not there.
type Mark = Option<(u64, u64, i64, i64)>;

impl Trust {
    /// Reads roots, and lists when they have a file: a receiver's, which does not start without.
    pub fn of_receiver(roots: PathBuf, lists: Option<PathBuf>) -> Result<Self, KeyError> {
        let files = Files {
            roots,
            lists,
            may_lack: false,
        };
        let mark = files.mark();
        let roots = files.load()?;
        Ok(Self::of(files, roots, mark))
    }

    /// Reads roots, and lists beside them when there are some: a box's, which starts with roots alone when
    /// the lists cannot be read.
    pub fn of_box(roots: &Path) -> Result<Self, KeyError> {
        let files = Files {
            roots: roots.to_owned(),
            lists: Some(beside(roots)),
            may_lack: true,
        };
        let trust = Self::of(files, Roots::load(roots)?, None);
        trust.now();
        Ok(trust)
    }

    fn of(files: Files, roots: Roots, mark: Mark) -> Self {
        let read = Mutex::new(Read {
            roots: Arc::new(roots),
            mark,
            failed: None,
            again_ns: 0,
        });
        Self { files, read }
    }

    /// Who is believed, by the lists as they are at this moment. What could not be read is tried again each second.
    pub fn now(&self) -> Arc<Roots> {
        let mut read = lock(&self.read);
        let is_due = read.failed.is_some() && clock::boot_ns() >= read.again_ns;
        if is_due || self.files.mark() != read.mark {
            read.again(&self.files);
        }
        Arc::clone(&read.roots)
    }

    /// The same, with roots and lists read again in any case: a bureau adds a root while programs run.
    pub fn anew(&self) -> Arc<Roots> {
        let mut read = lock(&self.read);
        read.again(&self.files);
        Arc::clone(&read.roots)
    }

    /// Why roots and lists are not what their files say; `None` while they are.
    pub fn trouble(&self) -> Option<String> {
        self.now();
        lock(&self.read).failed.clone()
    }
}

impl Read {
    fn again(&mut self, files: &Files) {
        self.mark = files.mark();
        self.failed = match files.load() {
            Ok(roots) => {
                self.roots = Arc::new(roots);
                None
            }
            Err(error) => {
                let told = Some(format!("{error}; until then {}", self.stays()));
                if self.failed != told {
                    tracing::warn!(%error, "roots and lists stay what they were");
                }
                told
            }
        };
        // Counted from the end of the try: it may have taken long.
        self.again_ns = clock::boot_ns().saturating_add(AGAIN_AFTER_NS);
    }

    fn stays(&self) -> &'static str {
        if self.roots.revoked.is_empty() {
            "nothing counts as revoked"
        } else {
            "what was read before counts"
        }
    }
}

impl Files {
    fn load(&self) -> Result<Roots, KeyError> {
        let roots = Roots::load(&self.roots)?;
        match &self.lists {
            Some(lists) if lists.exists() || !self.may_lack => roots.with_revoked(lists),
            _ => Ok(roots),
        }
    }

    fn mark(&self) -> Mark {
        let meta = std::fs::metadata(self.lists.as_ref()?).ok()?;
        Some((meta.ino(), meta.len(), meta.ctime(), meta.ctime_nsec()))
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own files")]
#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::sync::TryLockError;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;
    use crate::pki::TestPki;
    use crate::witness::{ChainFault, Identity};

    /// 2026-01-01, Unix seconds.
    const DAY: u64 = 1_767_225_600;

    fn pki(dir: &Path) -> (TestPki, PathBuf, Identity) {
        let pki = TestPki::create(dir, "LM-TEST-1").unwrap();
        let roots = pki.receiver.join("roots.crt");
        let identity = Identity::load(&pki.receiver, "receiver").unwrap();
        (pki, roots, identity)
    }

    /// Somebody copies the list onto a box over a slow line, and takes it away in the end.
    #[test]
    fn a_list_that_is_half_copied_changes_nothing_and_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (pki, roots, receiver) = pki(dir.path());
        let theirs = pki.receiver.join("receiver.crt");
        let list = pki.revoke(&[(&theirs, DAY)]).unwrap();
        let half = &list.as_bytes()[..list.len() / 2];
        let file = beside(&roots);
        fs::write(&file, half).unwrap();
        let trust = Trust::of_box(&roots).unwrap();
        let judged = || receiver.check_chain(&trust.now(), clock::now()).err();
        let told = |words: &str| {
            let trouble = trust.trouble().unwrap();
            assert!(
                trouble.contains("revoked.crl: ") && trouble.ends_with(words),
                "{trouble}"
            );
        };
        assert_eq!(judged(), None);
        told("until then nothing counts as revoked");
        fs::write(&file, &list).unwrap();
        let revoked = Some(ChainFault::Revoked("2026-01-01".to_owned()));
        assert_eq!((judged(), trust.trouble()), (revoked.clone(), None));
        fs::write(&file, half).unwrap();
        assert_eq!(judged(), revoked);
        told("until then what was read before counts");
        trust.anew();
        assert_eq!(judged(), revoked);
        fs::remove_file(&file).unwrap();
        assert_eq!((judged(), trust.trouble()), (None, None));
        // A receiver was told where its list is, and does not start without.
        assert!(Trust::of_receiver(roots.clone(), Some(file)).is_err());
        assert!(Trust::of_receiver(roots, None).is_ok());
    }

    /// The file of the lists did not change, and only once could the roots not be read.
    #[test]
    fn what_could_not_be_read_is_tried_again_now_and_then() {
        let dir = tempfile::tempdir().unwrap();
        let (_, roots, receiver) = pki(dir.path());
        let whole = fs::read(&roots).unwrap();
        let trust = Trust::of_box(&roots).unwrap();
        fs::write(&roots, b"half a file").unwrap();
        let before_ns = clock::boot_ns();
        trust.anew();
        let again_ns = lock(&trust.read).again_ns;
        assert!(
            (before_ns + AGAIN_AFTER_NS..=clock::boot_ns() + AGAIN_AFTER_NS).contains(&again_ns)
        );
        let trouble = trust.trouble().unwrap();
        assert!(trouble.contains("roots.crt"), "{trouble}");
        assert_eq!(receiver.check_chain(&trust.now(), clock::now()), Ok(()));
        fs::write(&roots, whole).unwrap();
        // Not for each question.
        lock(&trust.read).again_ns = u64::MAX;
        assert_eq!(trust.trouble(), Some(trouble));
        lock(&trust.read).again_ns = clock::boot_ns();
        assert_eq!(trust.trouble(), None);
    }

    /// Two desks read at once while the list is replaced: the slower must not put the older one back.
    #[test]
    fn nobody_reads_while_another_reads() {
        let dir = tempfile::tempdir().unwrap();
        let (pki, roots, receiver) = pki(dir.path());
        let file = dir.path().join("lists.crl");
        fs::write(&file, pki.revoke(&[]).unwrap()).unwrap();
        let trust = Trust::of_receiver(roots, Some(file.clone())).unwrap();
        fs::remove_file(&file).unwrap();
        mknodat(CWD, &file, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let theirs = pki.receiver.join("receiver.crt");
        let list = pki.revoke(&[(&theirs, DAY)]).unwrap();
        std::thread::scope(|scope| {
            let reads = scope.spawn(|| trust.anew());
            // There once it is opened for reading.
            let mut pipe = fs::File::options().write(true).open(&file).unwrap();
            let held = trust.read.try_lock();
            assert!(matches!(held, Err(TryLockError::WouldBlock)));
            pipe.write_all(list.as_bytes()).unwrap();
            drop(pipe);
            let roots = reads.join().unwrap();
            assert!(receiver.check_chain(&roots, clock::now()).is_err());
        });
    }
}

//! The second copy of each package, on another medium.
//!
//! A copy counts when it was written, synced, put in its place in one step, and every byte of it
//! was read back from the medium and had its hash. A medium is there when its marker file is:
//! an empty mount point is no medium. The marker's id tells it from another that stands in its place
//! ([`super::index`] knows what it has met). Receivers may share one.
//!
//! A medium may also be there and not answer: a network that is away, a disk that hangs. Calls to it
//! then never return, so each is made by a thread that nobody has to wait for.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use uuid::Uuid;

use super::Event;
use super::layout;
use super::medium::recognise;
use crate::disk::{self, DiskError, DiskKind};
use crate::types::{CaseId, lock};
use crate::witness::{
    Container, LATER_RECEIPT, MANIFEST, MIMETYPE, RECEIPT, SIGNATURE, STATEMENT, Statement,
    is_addition, is_signed, sha256_hex,
};

/// The medium.
pub(super) struct Copies {
    dir: PathBuf,
    /// Name of this receiver: others stage their copies beside ours.
    name: String,
    /// What was complained about last: the same is not told again and again.
    told: Mutex<Option<String>>,
    /// The calls that were not waited for to their end.
    late: Mutex<Vec<JoinHandle<()>>>,
}

/// A copy to be made.
pub(super) struct Order {
    /// Where the package lies.
    pub(super) package: PathBuf,
    pub(super) statement: Statement,
    /// The receipt it is to have.
    pub(super) receipt: Vec<u8>,
}

impl Copies {
    /// Second copies go to `dir`.
    pub(super) fn new(dir: &Path, name: &str) -> Self {
        Self {
            dir: dir.to_owned(),
            name: name.to_owned(),
            told: Mutex::default(),
            late: Mutex::default(),
        }
    }

    /// The folder.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Which medium is in place, as far as its marker says, or what is wrong.
    pub(super) fn there(&self) -> Result<Option<Uuid>, String> {
        recognise(&self.dir)
    }

    /// Whether a call that was not waited for hangs still: then no other is made.
    pub(super) fn hangs(&self) -> bool {
        let mut late = lock(&self.late);
        late.retain(|call| !call.is_finished());
        !late.is_empty()
    }

    /// [`Self::take`], waited for no longer than `within`. One that ends later counts for nothing: it is
    /// made or read once more.
    pub(super) fn take_within(
        self: &Arc<Self>,
        within: Duration,
        order: Order,
    ) -> Result<(), String> {
        self.within(within, move |copies| {
            copies.take(&order.package, &order.statement, Some(&order.receipt))
        })
    }

    /// What the medium is to do, waited for no longer than `within`.
    pub(super) fn within(
        self: &Arc<Self>,
        within: Duration,
        work: impl FnOnce(&Self) -> Result<(), String> + Send + 'static,
    ) -> Result<(), String> {
        let silent = || format!("the medium at {} does not answer", self.dir.display());
        if self.hangs() {
            return Err(silent());
        }
        let (tell, told) = mpsc::sync_channel(1);
        let copies = Arc::clone(self);
        let call = move || {
            if tell.send(work(&copies)).is_err() {
                tracing::debug!("the medium answered too late");
            }
        };
        let thread = std::thread::Builder::new().name("second copy".to_owned());
        let thread = thread.spawn(call).map_err(|error| error.to_string())?;
        told.recv_timeout(within).unwrap_or_else(|_late| {
            let mut late = lock(&self.late);
            late.push(thread);
            Err(silent())
        })
    }

    /// Makes the copy of the package in the folder `package`, with `receipt` instead of the one
    /// that may lie there, and reads it back.
    pub(super) fn take(
        &self,
        package: &Path,
        statement: &Statement,
        receipt: Option<&[u8]>,
    ) -> Result<(), String> {
        self.there()?;
        let (device, id) = (statement.device.id.as_str(), statement.id);
        let files = wanted(package, statement, receipt).map_err(|e| words(&e))?;
        let place = layout::place(&self.dir, device, id);
        if place.exists() && !is_same(&place, package)? {
            return Err(format!("{} is another package", place.display()));
        }
        if place.exists() && !holds(&place, &files) {
            self.renew(&place, (device, id), &files)
                .map_err(|e| words(&e))?;
        }
        if !place.exists() {
            self.room_for(statement)?;
            let written = self.write(package, (device, id), &files);
            written.map_err(|e| self.no_room_or(&e))?;
        }
        if !holds(&place, &files) {
            return Err(format!("{} does not read back as written", place.display()));
        }
        *self.told() = None;
        Ok(())
    }

    /// Whether the medium has room for a package: on one that is full nothing is begun. What a copy of ours
    /// left unfinished makes room first.
    fn room_for(&self, statement: &Statement) -> Result<(), String> {
        let draft = self.draft(&statement.device.id, statement.id);
        let cleared = draft.and_then(|draft| disk::remove_dir_all(&draft));
        cleared.map_err(|e| self.no_room_or(&e))?;
        let files = statement.files.iter();
        let need = files.fold(0_u64, |sum, file| sum.saturating_add(file.size));
        let free = disk::free_bytes(&self.dir).map_err(|e| words(&e))?;
        if free < need {
            return Err(self.full());
        }
        Ok(())
    }

    fn no_room_or(&self, error: &DiskError) -> String {
        match error.kind {
            DiskKind::Full => self.full(),
            DiskKind::ReadOnly | DiskKind::Failing => words(error),
        }
    }

    /// In the same words for each package: it is told once.
    fn full(&self) -> String {
        let dir = self.dir.display();
        format!("the medium at {dir} is full: put in another and prepare it")
    }

    /// Brings to the copy what was added to the package in the folder `package` since: reviews. Nothing that
    /// lies there is replaced.
    pub(super) fn add(&self, package: &Path, (device, id): (&str, CaseId)) -> Result<(), String> {
        let place = layout::place(&self.dir, device, id);
        for name in additions(package).map_err(|e| words(&e))? {
            let there = place.join(&name);
            if there.exists() {
                continue;
            }
            self.there()?;
            let bytes = disk::read(&package.join(&name)).map_err(|e| words(&e))?;
            let draft = self.draft(device, id).map_err(|e| words(&e))?;
            let draft = draft.with_file_name(format!("{device}-{id}.added"));
            disk::replace(&draft, &there, &bytes).map_err(|e| words(&e))?;
            let sha256 = sha256_hex(&bytes);
            let bytes = None;
            let file = Wanted {
                name,
                sha256,
                bytes,
            };
            if !is_there(&place, &file) {
                return Err(format!("{} does not read back as written", there.display()));
            }
        }
        Ok(())
    }

    /// What lies at `place` is the package and does not hold. With another receiver's receipt, or
    /// without the later one, it may be counted: that alone is put right. Else it makes room in one step, so that a kill leaves
    /// either all that was there or a free place.
    fn renew(
        &self,
        place: &Path,
        (device, id): (&str, CaseId),
        files: &[Wanted],
    ) -> Result<(), DiskError> {
        let draft = self.draft(device, id)?;
        let mut amiss = files.iter().filter(|file| !is_there(place, file));
        if let (Some(file), None) = (amiss.next(), amiss.next())
            && [RECEIPT, LATER_RECEIPT].contains(&&*file.name)
            && let Some(receipt) = &file.bytes
        {
            let draft = draft.with_file_name(format!("{device}-{id}.receipt"));
            return disk::replace(&draft, &place.join(&file.name), receipt);
        }
        disk::remove_dir_all(&draft)?;
        disk::rename(place, &draft)?;
        place.parent().map_or(Ok(()), disk::sync_dir)
    }

    /// Where a copy of this receiver's comes into being; the folders on the way are made.
    fn draft(&self, device: &str, id: CaseId) -> Result<PathBuf, DiskError> {
        let staging = layout::incoming(&self.dir).join(&self.name);
        for folder in [&layout::incoming(&self.dir), &staging] {
            disk::create_dir(folder)?;
        }
        // An id is one device's only as long as all devices are honest.
        Ok(staging.join(format!("{device}-{id}")))
    }

    fn write(
        &self,
        package: &Path,
        (device, id): (&str, CaseId),
        files: &[Wanted],
    ) -> Result<(), DiskError> {
        let draft = self.draft(device, id)?;
        lay(package, &draft, files)?;
        for folder in [
            layout::packages(&self.dir),
            layout::packages(&self.dir).join(device),
        ] {
            disk::create_dir(&folder)?;
        }
        disk::publish(&draft, &layout::place(&self.dir, device, id))
    }

    /// What to tell about a copy that could not be made: nothing when it was told before.
    pub(super) fn complain(&self, why: &str) -> Option<Event> {
        let mut told = self.told();
        if told.as_deref() == Some(why) {
            return None;
        }
        *told = Some(why.to_owned());
        let why = format!("no second copy, receipts say one: {why}");
        Some(Event::Trouble { why })
    }

    fn told(&self) -> MutexGuard<'_, Option<String>> {
        lock(&self.told)
    }
}

/// A file that a copy must have.
pub(super) struct Wanted {
    name: String,
    sha256: String,
    /// Its bytes, when they are not those in the package's folder.
    bytes: Option<Vec<u8>>,
}

impl Wanted {
    /// One with these bytes.
    pub(super) fn of(name: String, bytes: Vec<u8>) -> Self {
        Self {
            name,
            sha256: sha256_hex(&bytes),
            bytes: Some(bytes),
        }
    }
}

fn wanted(
    package: &Path,
    statement: &Statement,
    receipt: Option<&[u8]>,
) -> Result<Vec<Wanted>, DiskError> {
    let mut files = Vec::new();
    let later = package.join(LATER_RECEIPT).is_file();
    let head = [MIMETYPE, STATEMENT, MANIFEST, SIGNATURE, RECEIPT];
    for name in head.into_iter().chain(later.then_some(LATER_RECEIPT)) {
        let bytes = match receipt.filter(|_| name == RECEIPT) {
            Some(receipt) => receipt.to_vec(),
            None => disk::read(&package.join(name))?,
        };
        files.push(Wanted::of(name.to_owned(), bytes));
    }
    files.extend(statement.files.iter().map(|file| Wanted {
        name: file.name.clone(),
        sha256: file.sha256.clone(),
        bytes: None,
    }));
    Ok(files)
}

/// Every file that belongs to the package in this folder, with what was added to it.
pub(super) fn wanted_and_added(
    package: &Path,
    statement: &Statement,
) -> Result<Vec<Wanted>, DiskError> {
    let mut files = wanted(package, statement, None)?;
    for name in additions(package)? {
        let bytes = disk::read(&package.join(&name))?;
        files.push(Wanted::of(name, bytes));
    }
    Ok(files)
}

/// Lays these files of the package in the folder `package` into a new folder.
pub(super) fn lay(package: &Path, draft: &Path, files: &[Wanted]) -> Result<(), DiskError> {
    disk::create_dir(draft)?;
    let head = files.iter();
    let head = head.filter_map(|file| Some((&*file.name, file.bytes.as_deref()?)));
    disk::write_all_under(draft, &head.collect::<Vec<_>>())?;
    for file in files.iter().filter(|file| file.bytes.is_none()) {
        // A package is held to 256 MiB, a file in memory to less.
        let bytes = disk::read(&package.join(&file.name))?;
        disk::write_under(draft, &file.name, &bytes)?;
    }
    Ok(())
}

/// What was added to a package after its receipts, the manifest that makes it count last.
pub(super) fn additions(package: &Path) -> Result<Vec<String>, DiskError> {
    let ours = [MANIFEST, SIGNATURE, RECEIPT, LATER_RECEIPT];
    let names = disk::list(&package.join("META-INF"))?;
    let names = names.iter().map(|name| format!("META-INF/{name}"));
    let added = names.filter(|name| is_addition(name) && !ours.contains(&&**name));
    let mut added: Vec<String> = added.collect();
    added.sort_by_key(|name| name.contains("/ASiCManifest"));
    Ok(added)
}

/// Whether what lies at `place` is the package in the folder `package`, or what is left of one: what
/// nobody's signature holds together is no package, whatever a cut cable left of it.
fn is_same(place: &Path, package: &Path) -> Result<bool, String> {
    let mut there = Container::new();
    for name in [STATEMENT, MANIFEST, SIGNATURE] {
        let bytes = match disk::read(&place.join(name)) {
            Err(error) if error.source.kind() == ErrorKind::NotFound => return Ok(true),
            bytes => bytes.map_err(|e| words(&e))?,
        };
        there.insert(name, bytes).map_err(|e| e.to_string())?;
    }
    let ours = disk::read(&package.join(SIGNATURE)).map_err(|e| words(&e))?;
    Ok(there.get(SIGNATURE) == Some(&*ours) || !is_signed(&there))
}

/// Whether the medium itself has every file as it must be.
fn holds(place: &Path, files: &[Wanted]) -> bool {
    files.iter().all(|file| is_there(place, file))
}

fn is_there(place: &Path, file: &Wanted) -> bool {
    let read = disk::digest_from_medium(&place.join(&file.name));
    read.is_ok_and(|(_, sha256)| sha256 == file.sha256)
}

pub(super) fn words(error: &DiskError) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::io::Errno;
    use tempfile::TempDir;

    use super::super::head::tests::head;
    use super::super::medium::{MARKER, mark};
    use super::super::tests::sealed;
    use super::*;
    use crate::disk::fault::{self, Mode};
    use crate::pki::TestPki;
    use crate::witness::review_files;

    const PICTURE: &[u8] = b"one picture";

    /// A received package in `package`, a medium, and what is stated.
    fn received() -> (TempDir, Copies, Statement) {
        let dir = tempfile::tempdir().unwrap();
        let package = dir.path().join("package");
        let files = [MIMETYPE, STATEMENT, MANIFEST, SIGNATURE, RECEIPT];
        let files = files.map(|name| (name, name.as_bytes()));
        disk::create_dir(&package).unwrap();
        disk::write_all_under(&package, &files).unwrap();
        disk::write_under(&package, "frames/00.jpg", PICTURE).unwrap();
        let medium = dir.path().join("medium");
        disk::create_dir(&medium).unwrap();
        mark(&medium).unwrap();
        let copies = Copies::new(&medium, "receiver-1");
        (dir, copies, head(&[PICTURE]).statement)
    }

    fn place(copies: &Copies, statement: &Statement) -> PathBuf {
        layout::place(&copies.dir, &statement.device.id, statement.id)
    }

    #[test]
    fn a_copy_of_which_a_kill_left_half_is_made_anew() {
        let (dir, copies, statement) = received();
        let package = dir.path().join("package");
        copies.take(&package, &statement, None).unwrap();
        let place = place(&copies, &statement);
        disk::remove_file(&place.join(SIGNATURE)).unwrap();
        disk::remove_file(&place.join("frames/00.jpg")).unwrap();
        copies.take(&package, &statement, None).unwrap();
        assert_eq!(fs::read(place.join("frames/00.jpg")).unwrap(), PICTURE);
        assert!(place.join(SIGNATURE).is_file());
        // Another package is left alone.
        let pki = TestPki::create(&dir.path().join("pki"), &statement.device.id).unwrap();
        let another = sealed(&pki, 2);
        for (name, bytes) in another.files() {
            disk::replace(&dir.path().join("draft"), &place.join(name), bytes).unwrap();
        }
        let refused = copies.take(&package, &statement, None).unwrap_err();
        assert!(refused.contains("another package"), "{refused}");
    }

    /// Two receivers may have a package whole at the same moment: the receipt of the one says two
    /// copies while the other still makes the second.
    #[test]
    fn a_copy_that_is_counted_stays_whole_while_another_receipt_comes_to_it() {
        for n in 0.. {
            let (dir, copies, statement) = received();
            let package = dir.path().join("package");
            copies.take(&package, &statement, Some(b"first")).unwrap();
            let place = place(&copies, &statement);
            fault::plan(n, Mode::Forever(Errno::IO));
            let taken = copies.take(&package, &statement, Some(b"second"));
            let through = fault::clear();
            let receipt = fs::read(place.join(RECEIPT)).unwrap();
            let files = wanted(&package, &statement, Some(receipt.as_slice())).unwrap();
            assert!(holds(&place, &files), "step {n}");
            if through {
                taken.unwrap();
                assert_eq!(receipt, b"second");
                break;
            }
        }
    }

    /// What was told of a package, and to whom, is part of it.
    #[test]
    fn a_copy_that_is_made_anew_has_the_later_receipt_too() {
        let (dir, copies, statement) = received();
        let package = dir.path().join("package");
        copies.take(&package, &statement, None).unwrap();
        let later = place(&copies, &statement).join(LATER_RECEIPT);
        assert!(!later.exists());
        disk::write_under(&package, LATER_RECEIPT, b"two copies").unwrap();
        copies.take(&package, &statement, None).unwrap();
        assert_eq!(
            fs::read(&later).unwrap(),
            b"two copies",
            "that alone lacked"
        );
        disk::remove_dir_all(&place(&copies, &statement)).unwrap();
        copies.take(&package, &statement, None).unwrap();
        assert_eq!(fs::read(&later).unwrap(), b"two copies");
    }

    /// Reading a pipe that nobody writes to never ends, like reading from a server that is away.
    #[test]
    fn a_medium_that_hangs_holds_up_nobody() {
        const LONG: Duration = Duration::from_mins(1);
        let (dir, copies, statement) = received();
        let copies = Arc::new(copies);
        let order = || Order {
            package: dir.path().join("package"),
            statement: statement.clone(),
            receipt: b"two copies".to_vec(),
        };
        let (marker, kept) = (copies.dir.join(MARKER), dir.path().join("marker"));
        disk::rename(&marker, &kept).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &marker,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        let silent = copies.take_within(Duration::from_millis(50), order());
        assert!(silent.unwrap_err().contains("does not answer"));
        assert!(copies.hangs());
        // Not one call more, however long it might be waited for.
        let silent = copies.take_within(LONG, order());
        assert!(silent.unwrap_err().contains("does not answer"));

        // It answers again; what hung ends.
        let pipe = fs::File::options().read(true).write(true).open(&marker);
        disk::rename(&kept, &marker).unwrap();
        drop(pipe.unwrap());
        let late = std::mem::take(&mut *lock(&copies.late));
        for call in late {
            call.join().unwrap();
        }
        assert!(!copies.hangs());
        copies.take_within(LONG, order()).unwrap();
        let receipt = fs::read(place(&copies, &statement).join(RECEIPT)).unwrap();
        assert_eq!(receipt, b"two copies");
    }

    #[test]
    fn a_medium_is_known_by_its_marker() {
        let (_dir, copies, _) = received();
        let id = copies.there().unwrap();
        assert!(id.is_some());
        let marker = copies.dir.join(MARKER);
        for (text, there) in [
            ("{\"v\":1,\"type\":\"lingmou.copies\"}\n", true),
            ("{\"v\":2,\"type\":\"lingmou.copies\"}", false),
            ("{\"v\":1,\"type\":\"lingmou.mirror\"}", false),
            ("{\"v\":1,\"type\":\"lingmou.copies\",\"id\":7}", false),
            ("", false),
        ] {
            disk::remove_file(&marker).unwrap();
            disk::write_new(&marker, text.as_bytes()).unwrap();
            let known = copies.there();
            assert_eq!(known.is_ok(), there, "{text}");
            assert_eq!(known.ok().flatten(), None, "{text}");
        }
        mark(&copies.dir).unwrap();
        assert_ne!(copies.there().unwrap(), id, "another medium");
    }

    /// A copy of which a cut cable left a file empty, or half, is no package of anybody's.
    #[test]
    fn a_copy_with_any_file_spoilt_is_made_anew() {
        let (dir, copies, statement) = received();
        let package = dir.path().join("package");
        let names = [MIMETYPE, STATEMENT, MANIFEST, SIGNATURE, RECEIPT];
        for name in names.into_iter().chain(["frames/00.jpg"]) {
            for left in [&b""[..], &name.as_bytes()[..3]] {
                copies.take(&package, &statement, None).unwrap();
                let file = place(&copies, &statement).join(name);
                disk::replace(&dir.path().join("draft"), &file, left).unwrap();
                copies.take(&package, &statement, None).unwrap();
                let whole = fs::read(package.join(name)).unwrap();
                assert_eq!(fs::read(&file).unwrap(), whole, "{name}");
            }
        }
    }

    #[test]
    fn what_was_added_to_a_package_comes_to_its_copy_and_replaces_nothing() {
        let (dir, copies, statement) = received();
        let package = dir.path().join("package");
        copies.take(&package, &statement, None).unwrap();
        let add = || copies.add(&package, (&statement.device.id, statement.id));
        add().unwrap();
        let (first, second) = (review_files(10), review_files(11));
        let place = place(&copies, &statement);
        for name in &first {
            disk::write_under(&package, name, b"ours").unwrap();
        }
        disk::write_under(&package, "META-INF/notes.txt", b"no part of it").unwrap();
        disk::write_under(&place, &first[0], b"was there").unwrap();
        // Killed in between, the next round ends it.
        fault::plan(8, Mode::Forever(Errno::IO));
        add().unwrap_err();
        assert!(!fault::clear());
        add().unwrap();
        let [there, added, manifest] = first.map(|name| fs::read(place.join(name)).unwrap());
        assert_eq!(there, b"was there");
        assert_eq!((&*added, &*manifest), (&b"ours"[..], &b"ours"[..]));
        assert!(!place.join("META-INF/notes.txt").exists());
        assert!(!place.join(&second[0]).exists());
    }

    #[test]
    fn on_a_full_medium_no_copy_is_begun_and_it_is_told_in_the_same_words() {
        let (dir, copies, mut statement) = received();
        let package = dir.path().join("package");
        let full = copies.full();
        // The disk says so while it is written.
        for n in 0.. {
            fault::plan(n, Mode::Forever(Errno::NOSPC));
            let taken = copies.take(&package, &statement, None);
            if fault::clear() {
                taken.unwrap();
                break;
            }
            assert_eq!(taken, Err(full.clone()), "step {n}");
        }
        // It is known before.
        disk::remove_dir_all(&place(&copies, &statement)).unwrap();
        statement.files[0].size = u64::MAX;
        assert_eq!(copies.take(&package, &statement, None), Err(full));
        let staging = layout::incoming(&copies.dir).join("receiver-1");
        assert_eq!(disk::list(&staging).unwrap(), [""; 0]);
    }

    /// What makes room for a copy goes in one step.
    #[test]
    fn a_copy_that_rotted_makes_room_as_a_whole() {
        for n in 0.. {
            let (dir, copies, statement) = received();
            let package = dir.path().join("package");
            copies.take(&package, &statement, None).unwrap();
            let place = place(&copies, &statement);
            disk::remove_file(&place.join("frames/00.jpg")).unwrap();
            disk::write_new(&place.join("frames/00.jpg"), b"rot").unwrap();
            fault::plan(n, Mode::Forever(Errno::IO));
            let taken = copies.take(&package, &statement, None);
            let through = fault::clear();
            assert!(
                !place.exists() || place.join(SIGNATURE).is_file(),
                "step {n}"
            );
            if through {
                taken.unwrap();
                break;
            }
            copies.take(&package, &statement, None).unwrap();
            assert_eq!(fs::read(place.join("frames/00.jpg")).unwrap(), PICTURE);
        }
    }
}

//! Random sequences against a model in memory; any operation may be struck by a fault first.

use proptest::prelude::*;
use rustix::io::Errno;

use super::*;
use crate::disk::fault::{self, Mode};

/// Cases a sequence plays with.
const CASES: u8 = 4;

#[derive(Clone, Debug)]
enum Op {
    Keep(u8, usize),
    Note(u8),
    Seal(u8),
    Discard(u8),
    Send,
    Sent(u8),
    Back(u8),
    Defer(u8),
    Receipt(u8),
    Refuse(u8),
    Requeue(u8),
    Evict(u8),
    Prune,
    Mirror,
    Pull,
    Return,
    Reopen,
    LoseDatabase,
}

fn op() -> impl Strategy<Value = Op> {
    let case = 0..CASES;
    prop_oneof![
        6 => (case.clone(), 0..NAMES.len()).prop_map(|(c, f)| Op::Keep(c, f)),
        1 => case.clone().prop_map(Op::Note),
        5 => case.clone().prop_map(Op::Seal),
        1 => case.clone().prop_map(Op::Discard),
        3 => Just(Op::Send),
        2 => case.clone().prop_map(Op::Sent),
        1 => case.clone().prop_map(Op::Back),
        1 => case.clone().prop_map(Op::Defer),
        2 => case.clone().prop_map(Op::Receipt),
        1 => case.clone().prop_map(Op::Refuse),
        1 => case.clone().prop_map(Op::Requeue),
        1 => case.prop_map(Op::Evict),
        2 => Just(Op::Prune),
        3 => Just(Op::Mirror),
        1 => Just(Op::Pull),
        1 => Just(Op::Return),
        2 => Just(Op::Reopen),
        1 => Just(Op::LoseDatabase),
    ]
}

/// What should be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    open: BTreeMap<CaseId, BTreeSet<usize>>,
    sealed: BTreeMap<CaseId, State>,
    deferred: BTreeSet<CaseId>,
    /// Packages on the second medium; whether that is in place is no matter for them.
    mirrored: BTreeSet<CaseId>,
    pulled: bool,
    book: Option<String>,
}

/// Whether an operation was carried out, or refused by a rule.
type Done = bool;

impl Model {
    fn keep(&mut self, id: CaseId, file: usize, book: &str) -> Done {
        if self.sealed.contains_key(&id) {
            return false;
        }
        self.open.entry(id).or_default().insert(file);
        self.book = Some(book.to_owned());
        true
    }

    fn seal(&mut self, id: CaseId, book: &str) -> Done {
        if !self.sealed.contains_key(&id) {
            if self.open.get(&id).is_none_or(BTreeSet::is_empty) {
                return false;
            }
            self.open.remove(&id);
            self.sealed.insert(id, State::Queued);
        }
        self.book = Some(book.to_owned());
        true
    }

    fn discard(&mut self, id: CaseId, book: &str) -> Done {
        if self.sealed.contains_key(&id) {
            return false;
        }
        self.open.remove(&id);
        self.book = Some(book.to_owned());
        true
    }

    fn step(&mut self, id: CaseId, from: &[State], to: State) -> Done {
        match self.sealed.get_mut(&id) {
            Some(state) if from.contains(state) => {
                *state = to;
                true
            }
            Some(state) => *state == to,
            None => false,
        }
    }

    fn restart(&mut self) {
        self.deferred.clear();
        for state in self.sealed.values_mut() {
            if state.is_open() {
                *state = State::Queued;
            }
        }
    }
}

/// Runs something that must, or must not, succeed.
type Attempt<'a> = &'a dyn Fn(&dyn Fn() -> Result<(), StoreError>, Done);

/// Runs one operation on both; the store gets a second chance when the disk failed.
fn play(op: &Op, book: &str, strike: Option<u32>, model: &mut Model, store: &Store) {
    let attempt = |run: &dyn Fn() -> Result<(), StoreError>, expected: Done| {
        if let Some(n) = strike {
            fault::plan(n, Mode::Once(Errno::NOSPC));
        }
        let mut result = run();
        fault::clear();
        if matches!(result, Err(StoreError::Full { .. })) {
            result = run();
        }
        assert_eq!(result.is_ok(), expected, "{op:?}: {result:?}");
    };
    match *op {
        Op::Keep(c, file) => {
            let expected = model.keep(case(c), file, book);
            attempt(
                &|| store.keep(case(c), &[draft(NAMES[file])], Some(book)),
                expected,
            );
        }
        Op::Note(c) => {
            let expected = !model.sealed.contains_key(&case(c));
            if expected {
                model.open.entry(case(c)).or_default();
            }
            attempt(&|| store.save_draft_note(case(c), book), expected);
        }
        Op::Seal(c) => {
            let expected = model.seal(case(c), book);
            let make = |context: SealContext| Ok(make(case(c), &context));
            attempt(&|| store.seal(case(c), make, Some(book)), expected);
        }
        Op::Discard(c) => {
            let expected = model.discard(case(c), book);
            attempt(&|| store.discard(case(c), book, Some(book)), expected);
        }
        Op::Prune => {
            for (id, state) in &mut model.sealed {
                if *state == State::Receipted && model.mirrored.contains(id) {
                    *state = State::Pruned;
                }
            }
            attempt(&|| store.prune(later()).map(drop), true);
        }
        Op::Mirror => {
            // What has been pruned has been mirrored.
            if !model.pulled {
                model.mirrored = model.sealed.keys().copied().collect();
            }
            attempt(&|| copy_all(store), !model.pulled);
        }
        _ => send(op, model, store, &attempt),
    }
}

/// Copies until the second medium has everything; a failing medium is told like a full disk.
fn copy_all(store: &Store) -> Result<(), StoreError> {
    loop {
        match store.mirror_step()? {
            MirrorStep::Copied(_) => {}
            MirrorStep::Idle => return Ok(()),
            MirrorStep::Missing(why) if why.contains("mirror-init") => {
                return Err(StoreError::Io(why));
            }
            MirrorStep::Failed(_) => return Err(StoreError::Full { free: 0, need: 1 }),
            other => panic!("{other:?}"),
        }
    }
}

/// Where the medium is mounted, and where it lies when it was pulled.
fn media(dir: &Path) -> [std::path::PathBuf; 2] {
    ["medium", "shelf"].map(|name| dir.join(name))
}

fn begin(dir: &Path) -> Store {
    let [medium, _] = media(dir);
    Store::open(&mirrored(dir, &medium), DEVICE).unwrap().0
}

/// The operations on sealed packages.
fn send(op: &Op, model: &mut Model, store: &Store, attempt: Attempt<'_>) {
    use State::{Damaged, Queued, Receipted, Refused, Sending, Sent};
    if let Op::Back(c) | Op::Defer(c) | Op::Receipt(c) = *op
        && model.sealed.get(&case(c)) == Some(&Damaged)
    {
        // What is evicted is in nobody's hands, and no answer comes about it.
        return;
    }
    match *op {
        Op::Send => {
            let queued = |(id, state): (&CaseId, &State)| {
                (*state == Queued && !model.deferred.contains(id)).then_some(*id)
            };
            let due = store.next_of(NOW, &Wish::default()).unwrap();
            let ids: Vec<CaseId> = model.sealed.iter().filter_map(queued).collect();
            assert_eq!(due.is_some(), !ids.is_empty());
            if let Some(due) = due {
                assert!(ids.contains(&due.id));
                model.sealed.insert(due.id, Sending);
                attempt(&|| store.step(due.id, Sending), true);
            }
        }
        Op::Sent(c) => {
            let expected = model.step(case(c), &[Sending], Sent);
            attempt(&|| store.step(case(c), Sent), expected);
        }
        Op::Back(c) => {
            let expected = model.step(case(c), &[Sending, Sent], Queued);
            attempt(&|| store.step(case(c), Queued), expected);
        }
        Op::Defer(c) => {
            let expected = model.step(case(c), &[Sending, Sent], Queued);
            if expected {
                model.deferred.insert(case(c));
            }
            attempt(&|| store.defer(case(c), NOW.shifted_ns(1), "why"), expected);
        }
        Op::Receipt(c) => {
            let pruned = model.sealed.get(&case(c)) == Some(&State::Pruned);
            let answered = model.step(case(c), &[Queued, Sending, Sent, Refused], Receipted);
            let expected = answered || pruned;
            if model.sealed.contains_key(&case(c)) {
                attempt(&|| receipt(store, case(c)), expected);
            }
        }
        Op::Refuse(c) => {
            let expected = model.step(case(c), &[Queued, Sending, Sent], Refused);
            if model.sealed.contains_key(&case(c)) {
                let sig = sig(store, case(c));
                attempt(&|| store.refused(case(c), b"no", &sig, "why"), expected);
            }
        }
        Op::Requeue(c) => {
            let state = model.sealed.get(&case(c)).copied();
            let refused = model.step(case(c), &[Refused], Queued) && state == Some(Refused);
            let expected = refused || state.is_some_and(State::is_open);
            attempt(&|| store.requeue(NOW, case(c), None).map(drop), expected);
        }
        Op::Evict(c) => {
            let expected = model.step(case(c), &[Queued, Refused], Damaged);
            let by = (uuid::Uuid::from_u128(9), "CN=admin-1,OU=admin");
            attempt(&|| store.evict(NOW, case(c), by).map(drop), expected);
        }
        _ => unreachable!("played by the callers"),
    }
}

fn compare(model: &Model, store: &Store) {
    assert_eq!(store.book().unwrap(), model.book);
    for (id, state) in &model.sealed {
        assert_eq!(store.state(*id).unwrap(), Some(*state), "{id}");
    }
    let open: Vec<CaseId> = model.open.keys().copied().collect();
    assert_eq!(store.open_cases().unwrap(), open);
    for (id, files) in &model.open {
        let mut names: Vec<_> = files.iter().map(|&file| NAMES[file]).collect();
        names.sort_unstable();
        let kept = store.drafts(*id).unwrap();
        let kept: Vec<_> = kept.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(kept, names);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_store_does_what_the_model_does(
        ops in prop::collection::vec((op(), prop::option::weighted(0.3, 0u32..30)), 1..40)
    ) {
        let dir = folder();
        let mut model = Model::default();
        let [medium, shelf] = media(dir.path());
        fs::create_dir(&medium).unwrap();
        super::super::mirror::prepare(&medium, DEVICE).unwrap();
        let mut store = begin(dir.path());
        for (turn, (op, strike)) in ops.iter().enumerate() {
            match op {
                Op::Reopen => {
                    drop(store);
                    store = begin(dir.path());
                    model.restart();
                }
                Op::LoseDatabase => {
                    drop(store);
                    fs::remove_file(dir.path().join("q.db")).unwrap();
                    store = begin(dir.path());
                    model.restart();
                    model.open.clear();
                    model.book = None;
                }
                Op::Pull if !model.pulled => {
                    disk::rename(&medium, &shelf).unwrap();
                    model.pulled = true;
                }
                Op::Return if model.pulled => {
                    disk::rename(&shelf, &medium).unwrap();
                    model.pulled = false;
                }
                Op::Pull | Op::Return => {}
                op => play(op, &format!("book {turn}"), *strike, &mut model, &store),
            }
            compare(&model, &store);
        }
        drop(store);
        let store = begin(dir.path());
        model.restart();
        compare(&model, &store);
        let states = model.sealed.clone();
        prop_assert_eq!(audit(&store), states);
    }
}

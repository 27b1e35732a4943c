//! What the journal says of earlier runs, read once at the start.

use std::collections::BTreeMap;

use serde::{Deserialize as _, Serialize};
use serde_json::{Value, json};

use crate::clock;
use crate::config::Loaded;
use crate::journal::{Entry, kind};
use crate::judge::{Ended, Judge};
use crate::store::{Store, StoreError};
use crate::types::{CaseId, RoleSet};
use crate::warn::Ledger;

use super::clerk::{Begun, Reboots};
use super::clock_watch::{ClockLine, ClockWatch};
use super::hits::Told;

/// How the run before ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LastRun {
    /// There was none.
    #[default]
    None,
    /// In order.
    Closed,
    /// It was killed, or the power went.
    NotClosed,
}

/// What the journal says.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) last_run: LastRun,
    /// What became of hits.
    pub(super) hits: Told,
    /// What was said and stopped.
    voice: Ledger,
    /// The clock of this boot.
    pub(super) clock: ClockWatch,
    /// SHA-256 of the certificates last said to be installed, by name.
    pub(super) certificates: BTreeMap<String, String>,
    /// Why no verifier takes what the evidence certificate signs, as last said; `None`: it does.
    pub(super) untrusted: Option<String>,
    /// Restarts of the box that were ordered.
    reboots: Reboots,
}

impl Past {
    /// Reads the journal.
    pub(super) fn read(store: &Store) -> Result<Self, StoreError> {
        let mut past = Self {
            last_run: LastRun::default(),
            hits: Told::default(),
            voice: Ledger::new(clock::boot_id()),
            clock: ClockWatch::new(clock::boot_id()),
            certificates: BTreeMap::new(),
            untrusted: None,
            reboots: Reboots::default(),
        };
        store.walk_journal(&mut |entry| past.take(entry))?;
        Ok(past)
    }

    /// Judgement with the book of the last run; `decided`: whether a case's end waits for the store.
    /// A book that cannot be read is journalled and left
    /// behind: its cases cannot be finished, and nothing else may stop for that.
    pub(super) fn judge(
        &self,
        (loaded, known): (&Loaded, RoleSet),
        store: &Store,
        decided: impl Fn(CaseId) -> bool,
    ) -> anyhow::Result<Judge> {
        let mut judge = Judge::new(&loaded.config, &loaded.calendar, known, clock::boot_id())?;
        if let Some(saved) = store.book()? {
            let sealed = |case: CaseId| matches!(store.state(case), Ok(Some(_))) || decided(case);
            let sealed = |case: CaseId| sealed(case).then_some(Ended::Sealed);
            let ended = |case: CaseId| sealed(case).or_else(|| self.hits.ended(case));
            let lost = match judge.resume(&saved, ended) {
                Ok(0) => None,
                Ok(lost) => Some(format!("{lost} entries of the case book cannot be read")),
                Err(error) => Some(error.to_string()),
            };
            if let Some(why) = lost {
                tracing::error!(why, "of the case book of the last run something is lost");
                store.note(clock::now(), kind::BOOK_LOST, json!({ "why": why }))?;
            }
        }
        Ok(judge)
    }

    /// What was said and stopped, for the governor; afterwards nothing is left here.
    pub(super) fn take_voice(&mut self) -> Ledger {
        let empty = Ledger::new(clock::boot_id());
        std::mem::replace(&mut self.voice, empty)
    }

    /// The restarts that were ordered, for the clerk; afterwards nothing is left here.
    pub(super) fn take_reboots(&mut self) -> Reboots {
        std::mem::take(&mut self.reboots)
    }

    fn take(&mut self, entry: Entry) {
        let Entry {
            head,
            at,
            kind,
            body,
            ..
        } = entry;
        let at_work = kind != kind::BOOT && !kind::BEFORE_BOOT.contains(&kind.as_str());
        if at_work {
            self.clock.looked(&at);
        }
        match kind.as_str() {
            kind::BOOT => {
                self.last_run = LastRun::NotClosed;
                self.clock.begin();
            }
            kind::SHUTDOWN => self.last_run = LastRun::Closed,
            kind::RULE_HIT => self.hits.take(body),
            kind::WARNING_BEGUN => self.voice.recall_said(&body),
            kind::WARNING_STOPPED => self.voice.recall_stopped(&body),
            kind::CLOCK => {
                // Lines of older programs say less and are passed over.
                if let Ok(line) = ClockLine::deserialize(&body) {
                    if let Some(utc_ns) = line.utc_by_ns() {
                        self.voice.no_later_than(utc_ns);
                    }
                    self.clock.take(head.n, line);
                }
            }
            kind::CLOCK_CORRECTED => self.clock.corrected(&body),
            kind::CERT_INSTALLED => {
                let text = |key: &str| body.get(key).and_then(Value::as_str).map(ToOwned::to_owned);
                let named = text("name").zip(text("certificate_sha256"));
                self.certificates.extend(named);
            }
            kind::CERT_UNTRUSTED => {
                let why = body.get("why").and_then(Value::as_str);
                self.untrusted = why.map(ToOwned::to_owned);
            }
            kind::REBOOT_BEGUN => {
                if let Ok(begun) = Begun::deserialize(&body) {
                    self.reboots.recall(&at, begun);
                }
            }
            _ => {}
        }
    }
}

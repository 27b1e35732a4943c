//! The clerk: takes commands and verdicts as they come down, has them done, and sees to it that
//! each command is answered once.
//!
//! ```text
//! upload ─Inbound─▶ examine ─▶ row ─▶ errand (a task) ─▶ outcome ─▶ reply signed ─Answer─▶ upload
//! ```
//! Everything between two arrows may be cut short: what is durable goes on at the next start, what
//! is not comes again from whoever waits for a reply. Errands are tasks, so that a long one does not
//! hold up a word to stop.

mod errands;
mod nonces;
mod objections;
mod office;
mod reboot;
mod replies;
mod trial;
mod tries;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock;
use crate::command::{Chosen, Verb};
use crate::journal::kind;
use crate::store::{Ended, blocking};
use crate::upload::{Desk, Inbound};
use crate::warn::Voices;
use crate::witness::{Fate, Identity};

use super::asks::Ways;
use super::gauges::Gauges;
use errands::Errands;
use nonces::Nonces;
use office::{Errand, Office, Step};
use replies::Replies;
use trial::Watch;

pub(super) use objections::Objections;
pub(super) use reboot::{Begun, Reboots};

/// Messages between upload and clerk, each way.
const MESSAGES: usize = 16;
/// Errands under way at once; beyond it a command is answered that the box is busy. Only a stop is
/// carried out all the same.
const ERRANDS_MAX: usize = 8;
/// How often is looked for replies that are due, and after the trial.
const LOOK: Duration = Duration::from_secs(1);
/// Journal lines about strangers' messages: one in this time, with a count.
const STRANGERS_LINES: Duration = Duration::from_mins(1);

/// Everything the clerk works with.
pub(super) struct Clerk {
    office: Office,
    errands: Arc<Errands>,
    watch: Watch,
    nonces: Nonces,
    inbound: mpsc::Receiver<Inbound>,
    replies: Replies,
}

/// What the clerk has things done by.
pub(super) struct Means {
    /// The ways to loudspeaker and eye.
    pub(super) ways: Ways,
    /// Speak texts for the loudspeaker.
    pub(super) voices: Voices,
    /// What was ordered before.
    pub(super) reboots: Reboots,
}

/// The clerk, and the upload's end of the way to it. `again` is told when the daemon shall start
/// again, with something on trial.
pub(super) fn hire(
    gauges: &Arc<Gauges>,
    chosen: &Chosen,
    identity: Arc<Identity>,
    again: CancellationToken,
    means: Means,
) -> (Clerk, Desk) {
    let config = &chosen.loaded.config;
    let (inbound_to, inbound) = mpsc::channel(MESSAGES);
    let (answers, answers_to) = mpsc::channel(MESSAGES);
    let (wanted_to, wanted) = mpsc::channel(MESSAGES);
    let (nonces, nonce) = Nonces::new();
    let settings = gauges.settings.clone();
    let office = Office {
        device: config.device.id.clone(),
        trust: Arc::clone(&gauges.trust),
        enabled: config.commands.enabled,
        store: gauges.store.clone(),
        identity,
        objections: Arc::clone(&gauges.objections),
    };
    let clerk = Clerk {
        replies: Replies::new(office.clone(), answers),
        office,
        errands: Arc::new(Errands {
            gauges: Arc::clone(gauges),
            loaded: chosen.loaded.clone(),
            settings: settings.clone(),
            again: again.clone(),
            ways: means.ways,
            voices: means.voices,
            reboots: means.reboots,
            wanted: wanted_to,
        }),
        watch: Watch {
            trial: chosen.trial.clone(),
            owed: chosen.owed.clone(),
            settings,
            again,
            began_ns: clock::boot_ns(),
            well_since_ns: None,
            passed: false,
        },
        nonces,
        inbound,
    };
    let desk = Desk {
        inbound: inbound_to,
        answers: answers_to,
        nonce,
        wanted,
    };
    (clerk, desk)
}

/// What goes on meanwhile.
#[derive(Default)]
struct Going {
    errands: JoinSet<(Uuid, Option<Ended>)>,
    /// When a stranger's message was last journalled, and how many came since, by kind.
    strangers: [(Option<Instant>, u64); 2],
}

impl Clerk {
    /// Works until `stop`. Errands under way then are told as interrupted at the next start.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut going = Going::default();
        self.settle(&mut going).await;
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                inbound = self.inbound.recv() => match inbound {
                    Some(inbound) => self.take(inbound, &mut going).await,
                    // The upload has ended, and with it the way here.
                    None => return,
                },
                Some(done) = going.errands.join_next() => {
                    if let Ok((id, Some(ended))) = done {
                        self.end(id, ended).await;
                    }
                }
                Some(told) = self.replies.next() => self.replies.told(told).await,
                _ = look.tick() => {
                    self.nonces.turn(clock::now(), clock::trust().synced);
                    self.watch.look(&self.errands).await;
                    self.errands.look_at_alarms().await;
                }
            }
            self.replies.offer_due().await;
        }
    }

    /// What the last run left: commands cut short are done again where that harms nobody, and
    /// told as interrupted where it might.
    async fn settle(&mut self, going: &mut Going) {
        self.watch.tell(&self.errands).await;
        let office = self.office.clone();
        let follows = move || office.objections.settle(&office.store, clock::now());
        if let Err(error) = blocking(follows).await {
            tracing::error!(%error, "what follows from verdicts is not written down");
        }
        let (office, errands) = (self.office.clone(), Arc::clone(&self.errands));
        let synced = clock::trust().synced;
        let left = blocking(move || office.left_over(&errands, synced)).await;
        match left {
            Ok(left) => left
                .into_iter()
                .for_each(|errand| carry(&self.errands, errand, going)),
            Err(error) => tracing::error!(%error, "commands of the last run are not settled"),
        }
    }

    async fn take(&mut self, inbound: Inbound, going: &mut Going) {
        let office = self.office.clone();
        // The one word on the clock by which the nonces were turned and the command is judged.
        let synced = clock::trust().synced;
        self.nonces.turn(clock::now(), synced);
        let nonces = self.nonces.present();
        let step = match inbound {
            Inbound::Command(p7m) => {
                blocking(move || office.command(&p7m, (synced, &nonces))).await
            }
            Inbound::Verdict(p7m) => blocking(move || office.verdict(&p7m, synced)).await,
        };
        match step {
            Ok(Step::Nothing) => {}
            Ok(Step::Again(id)) => self.replies.again(id).await,
            Ok(Step::Carry(errand))
                if going.errands.len() >= ERRANDS_MAX && errand.verb != (Verb::Stop {}) =>
            {
                let ended = ended(Fate::Failed, "too much is being done for others just now");
                self.end(errand.id, ended).await;
            }
            Ok(Step::Carry(errand)) => carry(&self.errands, errand, going),
            Ok(Step::Tell(bytes)) => self.replies.offer(None, bytes),
            Ok(Step::Stranger(kind, why)) => self.stranger(kind, &why, going).await,
            // It is not answered, so it comes again.
            Err(error) => tracing::error!(%error, "a command or verdict cannot be written down"),
        }
    }

    /// Writes down how an errand ended; what the store cannot take is told as interrupted later.
    async fn end(&self, id: Uuid, ended: Ended) {
        let store = self.office.store.clone();
        let outcome = ended.outcome.name();
        tracing::info!(%id, outcome, why = ended.why, "command ended");
        let done = blocking(move || store.command_done(clock::now(), id, &ended)).await;
        if let Err(error) = done {
            tracing::error!(%error, %id, "what became of a command cannot be written down");
        }
    }

    /// A message nobody is answered for: counted, and now and then a line in the journal.
    async fn stranger(&self, kind: &'static str, why: &str, going: &mut Going) {
        let place = usize::from(kind == kind::VERDICT_REFUSED);
        let (last, count) = &mut going.strangers[place];
        *count += 1;
        if last.is_some_and(|last| last.elapsed() < STRANGERS_LINES) {
            return;
        }
        *last = Some(Instant::now());
        tracing::warn!(kind, why, "not believed");
        let body = json!({ "why": why, "count": std::mem::take(count) });
        let store = self.office.store.clone();
        let noted = blocking(move || store.note(clock::now(), kind, body)).await;
        if let Err(error) = noted {
            tracing::error!(%error, "a stranger's message cannot be journalled");
        }
    }
}

fn carry(errands: &Arc<Errands>, errand: Errand, going: &mut Going) {
    let errands = Arc::clone(errands);
    going.errands.spawn(async move {
        let id = errand.id;
        (id, errands.carry(errand).await)
    });
}

/// An end without a result.
fn ended(outcome: Fate, why: impl Into<String>) -> Ended {
    Ended {
        outcome,
        why: Some(why.into()),
        result: None,
    }
}

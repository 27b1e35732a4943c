//! Sends what the store keeps, and forgets nothing before the receiver has signed for it.
//!
//! Of each package in hand the head goes out signed; the receiver that takes it says which bytes
//! it misses; pieces follow in a small window; then the receiver is asked again, until its signed
//! receipt comes ([`delivery`] is that dialogue as a pure machine, [`session`] drives it over one
//! [`crate::link::Pipe`]). A few packages are in hand at once ([`hands`]), and [`lanes`] says whose
//! message is next, so that a fresh head never waits behind old video. [`profile`] says what the
//! link may carry now, by configuration, hour and [`account`]; what may not go is held, and told
//! again in time ([`retelling`]). [`drain`] slows what waited through an outage. What was sent is
//! never written down here: after any break the receiver knows. Before a head goes a checkpoint of
//! the journal that signs the package's line ([`journal`]); what the receiver says it has of the
//! journal is held against it.
//!
//! Once a package is receipted its time-stamp is asked for over the same connection
//! ([`stamping`]).
//!
//! **Invariants.** An acknowledgement of the broker moves nothing out of the store; only a
//! receipt does that has a receiver's signature under our roots and names this package, device,
//! number and signature. Nothing is removed by time. Every wait has an end, and hears the stop.
//!
//! Commands and verdicts come down, and signed answers go up, over the same connection: [`Desk`].
//!
//! **Not here.** No quota, no reading of commands.

mod account;
mod asked;
mod delivery;
mod desk;
mod drain;
mod hands;
mod hearing;
mod journal;
mod lanes;
mod places;
mod presence;
mod profile;
mod rate;
mod retelling;
mod sending;
mod session;
mod stamping;
mod state;
mod weighing;

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::config;
use crate::link::{ATTEMPT, Endpoint, LinkError, Pause};
use crate::store::Store;
use crate::witness::{Identity, Trust};

pub use desk::{Answer, Desk, Inbound};
pub use profile::Why;
pub use state::{InHand, LinkState, UploadSnapshot, UploadState};

use session::{Carry, Session};

/// First pause before another try to connect.
const RETRY_FIRST: Duration = Duration::from_secs(1);

/// Everything the upload works with.
#[derive(Debug)]
pub struct Uplink {
    /// `[upload]`.
    pub config: config::Upload,
    /// The broker, and the box as itself: its client id is the device id of every package.
    pub endpoint: Endpoint,
    /// Where the box is: its midnight ends the day of the budget.
    pub time_zone: TimeZone,
    /// Where the packages are.
    pub store: Store,
    /// The evidence key, for the journal's checkpoints.
    pub identity: Arc<Identity>,
    /// Who may sign receipts.
    pub trust: Arc<Trust>,
    /// Where it is said how things stand.
    pub state: Arc<UploadState>,
    /// Where commands and verdicts go; `None`: what comes is dropped.
    pub desk: Option<Desk>,
}

impl Uplink {
    /// The device id.
    fn device(&self) -> &str {
        &self.endpoint.client_id
    }
}

/// Uploads until `stop`, then finishes the pieces under way, for 5 s at most.
pub async fn run(mut uplink: Uplink, stop: CancellationToken) {
    if !uplink.config.enabled {
        let cause = "upload.enabled is false: packages wait on the disk".to_owned();
        uplink.state.change(|s| s.cause = Some(cause));
        stop.cancelled().await;
        return;
    }
    let longest = Duration::from_secs(uplink.config.retry_max_secs);
    let mut pause = Pause::new(RETRY_FIRST, longest);
    let mut carry = Carry::new(uplink.desk.take());
    while !stop.is_cancelled() {
        uplink.state.turns(clock::now(), ATTEMPT);
        let ended = Session::run(&uplink, &mut carry, &stop).await;
        let Err(why) = ended else { break };
        if carry.connected {
            pause.reset();
        }
        let wait = if why.needs_a_person() {
            longest.min(pause.step().max(NEEDS_A_PERSON))
        } else {
            pause.step()
        };
        say(&uplink, &why);
        uplink.state.turns(clock::now(), wait);
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(wait) => {}
        }
    }
    uplink.state.change(|s| {
        s.connected = false;
        s.cause = Some("stopped".to_owned());
    });
    uplink.state.rests();
}

/// Shortest pause when trying again cannot help by itself.
const NEEDS_A_PERSON: Duration = Duration::from_secs(15);

/// Puts the cause into the state; a log line only when it is another than before.
fn say(uplink: &Uplink, why: &LinkError) {
    let cause = why.to_string();
    let mut news = false;
    uplink.state.change(|s| {
        news = s.connected || s.cause.as_ref() != Some(&cause);
        s.connected = false;
        s.needs_a_person = why.needs_a_person();
        s.cause = Some(cause);
    });
    if news {
        tracing::warn!(error = %why, "upload disconnected");
    }
}

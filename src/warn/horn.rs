//! A horn on a vehicle, sounded by who has the link to it.
//!
//! It makes a tone. A tone tells nobody what to do: what is made of it is the caller's.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::config::{self, Drive};
use crate::types::Tooted;

/// The vehicle confirms *on* and *off* within this, beside the tone itself; after it the call is
/// given up, which switches the horn off too.
const CONFIRMS_WITHIN: Duration = Duration::from_secs(8);

/// Calls for a tone of this length; who drops the end that is answered has it switched off.
pub type Toots = mpsc::Sender<(Duration, oneshot::Sender<Tooted>)>;

/// The horn, as it is seen from here.
#[derive(Clone, Debug)]
pub(super) struct Horn {
    pub(super) drive: Drive,
    length: Duration,
    /// The way to the vehicle; `None` where nobody has one, as in `lingmou check`.
    pub(super) calls: Option<Toots>,
}

impl Horn {
    pub(super) fn new(config: &config::Horn) -> Self {
        Self {
            drive: config.drive,
            length: Duration::try_from_secs_f64(config.secs).unwrap_or_default(),
            calls: None,
        }
    }

    /// From an order to the end of its tone, at the longest.
    pub(super) fn lasts(&self) -> Duration {
        self.length + CONFIRMS_WITHIN
    }

    /// Sounds it once; within a second of `stop` it is told to be silent.
    pub(super) async fn sound(&self, stop: &CancellationToken) -> Tooted {
        let began = clock::now();
        let (done, answer) = oneshot::channel();
        let called = (self.calls.as_ref()).map(|calls| calls.try_send((self.length, done)));
        if !matches!(called, Some(Ok(()))) {
            return silent("there is no link to the vehicle with the horn");
        }
        // What it did until then is not known: it may have sounded.
        let cut = |why: &str| Tooted {
            began: Some(began),
            sounded: clock::now().since(began).min(self.length),
            failure: Some(why.to_owned()),
        };
        tokio::select! {
            tooted = answer => tooted.unwrap_or_else(|_gone| cut("the link to the vehicle ended")),
            () = stop.cancelled() => cut(super::STOPPED),
            () = tokio::time::sleep(self.lasts()) => {
                cut("the link to the vehicle hangs")
            }
        }
    }
}

fn silent(why: &str) -> Tooted {
    Tooted {
        began: None,
        sounded: Duration::ZERO,
        failure: Some(why.to_owned()),
    }
}

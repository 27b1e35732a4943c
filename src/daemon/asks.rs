//! What persons ask of the eye: a picture of what a camera shows now, and what is seen of its open
//! cases. The next frame of the camera answers.
//!
//! ```text
//! clerk ─Ask─▶ eye ─(next frame)─┬ recheck: read in the book, answered at once
//!                                └ capture: ─Message─▶ keeper, which answers when it is sealed
//! ```
//! **Invariants.** No ask changes what is judged: the book is read after the step that the frame
//! takes anyway. An ask for which no frame comes in time is dropped, and whoever asked sees that
//! nobody will answer; one that was handed on is answered by the keeper.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::clock;
use crate::judge::Recheck;
use crate::store::Ended;
use crate::types::{CaseId, Frame, Scene};
use crate::witness::Asked;

use super::capture::{Capture, refused};
use super::eye::{Eye, lines};
use super::keeper::Message;
use super::mouth::Request;
use super::work::Work;

/// What persons ask of the eye: as many as the clerk has errands under way.
const ASKS: usize = 8;
/// What persons order of the mouth; it hears them also while it speaks.
const REQUESTS: usize = 8;

/// Tells what became of it.
pub(super) type Answer = oneshot::Sender<Result<Value, Ended>>;

/// The ways in for what persons order.
pub(super) struct Ways {
    /// To the loudspeaker.
    pub(super) mouth: mpsc::Sender<Request>,
    /// To the eye.
    pub(super) eye: mpsc::Sender<Ask>,
}

impl Ways {
    /// The ways, and their ends.
    pub(super) fn open() -> (Self, mpsc::Receiver<Request>, mpsc::Receiver<Ask>) {
        let (mouth, requests) = mpsc::channel(REQUESTS);
        let (eye, asks) = mpsc::channel(ASKS);
        (Self { mouth, eye }, requests, asks)
    }
}

/// What a person asks of one camera's next frame.
pub(super) struct Ask {
    /// Index of the camera in the configuration.
    pub(super) camera: usize,
    /// Boot clock, nanoseconds: after this no frame is waited for any more.
    pub(super) until_ns: u64,
    pub(super) what: What,
    pub(super) answer: Answer,
}

/// What is asked.
pub(super) enum What {
    /// What is seen of its open cases.
    Recheck,
    /// A package of what it shows.
    Capture {
        /// The package's id.
        id: CaseId,
        /// Who asks.
        asked: Asked,
        /// How much of the video before is wanted.
        before: Duration,
    },
}

impl Eye {
    /// Takes in what is asked, and drops that for which no frame came in time; refuses it while nothing
    /// is judged.
    pub(super) fn hear_asks(&mut self) {
        while let Ok(ask) = self.asks.try_recv() {
            self.asked.push(ask);
        }
        if let Some(why) = &self.held {
            for ask in self.asked.drain(..) {
                // Who asked may have gone meanwhile.
                drop(ask.answer.send(Err(refused(why.clone()))));
            }
        }
        let now_ns = clock::boot_ns();
        self.asked.retain(|ask| now_ns < ask.until_ns);
    }

    /// Answers what was asked of the frame's camera; false when the keeper is gone.
    pub(super) fn answer_asks(&mut self, frame: &Frame, scene: &Scene) -> bool {
        let due = self.asked.extract_if(.., |ask| ask.camera == frame.camera);
        for ask in due.collect::<Vec<_>>() {
            let Ask { what, answer, .. } = ask;
            match what {
                What::Recheck => {
                    let cases = self.judge.recheck(scene);
                    // Who asked may have gone meanwhile.
                    drop(answer.send(Ok(seen(scene, &cases))));
                }
                What::Capture { id, asked, before } => {
                    let before_ns = i64::try_from(before.as_nanos()).unwrap_or(i64::MAX);
                    let from = frame.at.shifted_ns(-before_ns);
                    let looks = &self.lookouts[frame.camera].looks;
                    let seen = vec![(id, lines(looks, from, frame.at))];
                    let work = Work {
                        seen,
                        frame: Some(frame.copied()),
                        ..self.work(frame, scene, Vec::new())
                    };
                    let capture = Capture {
                        id,
                        asked,
                        view: scene.view,
                        from,
                        work,
                        answer,
                    };
                    let held = self.cameras[frame.camera].hold();
                    if !self.tell(Message::Capture(Box::new(capture), held)) {
                        return false;
                    }
                }
            }
        }
        true
    }
}

/// The answer to a recheck.
fn seen(scene: &Scene, cases: &[Recheck]) -> Value {
    let cases: Vec<Value> = cases.iter().map(told).collect();
    json!({ "at": clock::rfc3339_ms(scene.at.utc_ns), "view": scene.view, "cases": cases })
}

fn told(case: &Recheck) -> Value {
    json!({
        "case": case.case,
        "violation": case.violation,
        "zone": case.zone,
        "first_seen": clock::rfc3339_ms(case.first_seen.utc_ns),
        "phase": case.phase,
        "grace_left_secs": case.grace_left.map(|left| left.as_secs()),
        "warned": case.warned.map(|at| clock::rfc3339_ms(at.utc_ns)),
        "seen": case.seen,
        "gates": case.gates,
    })
}

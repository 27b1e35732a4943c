//! The vehicle's horn: on, and off again for certain. No input or output, no clock.
//!
//! ```text
//!        call            accepted, or a tune        over, or who called has gone
//! Idle ───────▶ Begins ────────────────────▶ Sounds ──────────────────────────▶ Ends ──▶ Idle
//!                  └─ refused, or no answer ──────────────────────────────────▶  ▲  accepted
//!                                                         the start of a run ────┘
//! ```
//! MAVLink Command Protocol: a command without an answer is sent again, with `confirmation` counted
//! up. A relay or servo is switched off at the start, because a run before may have been cut off
//! while it sounded, and *off* is said until the vehicle accepts it. An answer names its command and
//! not its parameters, so that a late one to *on* looks like one to *off*: as many answers as may
//! still come to earlier orders are not taken for one to the last.
//!
//! To a tune nothing is answered: it is cut short by an empty one, said three times.

use std::time::Duration;

use mavlink::MavlinkVersion;
use mavlink::dialects::ardupilotmega::{
    COMMAND_LONG_DATA, MavCmd, MavMessage, MavResult, PLAY_TUNE_V2_DATA, TuneFormat,
};
use tokio::sync::{mpsc, oneshot};

use crate::config::{self, Drive};
use crate::types::{Stamp, Tooted};

/// An order is said again after this long without an answer.
const AGAIN_NS: u64 = 700_000_000;
/// An answer later than this does not come.
const LATE_NS: u64 = 3_000_000_000;
/// *On* is said this often; after as many *off* who called is told that it may still sound.
const TRIES: u8 = 3;
/// *Off* is said this rarely then.
const OFF_AGAIN_NS: u64 = 5_000_000_000;

/// A call for a tone of some length, and who waits for its end.
pub type Call = (Duration, oneshot::Sender<Tooted>);

#[derive(Debug)]
enum State {
    Idle,
    Begins { call: Call, tries: u8, due_ns: u64 },
    Sounds { call: Call, since: Stamp },
    Ends(Ending),
}

/// *Off* is being said.
#[derive(Debug, Default)]
struct Ending {
    /// Who waits for it, and what is told them.
    told: Option<(oneshot::Sender<Tooted>, Tooted)>,
    tries: u8,
    due_ns: u64,
    /// How the vehicle refused.
    refused: Option<MavResult>,
}

/// The horn of the chosen vehicle.
#[derive(Debug)]
pub(super) struct Horn {
    config: config::Horn,
    calls: mpsc::Receiver<Call>,
    state: State,
    /// Orders that were not answered yet, and when the last one was sent.
    unanswered: u8,
    sent_ns: u64,
    /// Answers that may still come to orders before the present one.
    strays: u8,
}

impl Horn {
    pub(super) fn new(config: config::Horn, calls: mpsc::Receiver<Call>) -> Self {
        let state = match config.drive {
            Drive::Relay | Drive::Servo => State::Ends(Ending::default()),
            Drive::Tune => State::Idle,
        };
        Self {
            config,
            calls,
            state,
            unanswered: 0,
            sent_ns: 0,
            strays: 0,
        }
    }

    /// What is to be sent now, if anything, to `vehicle` (system and component). One that is not
    /// `heard` is not called, and told *off* all the same: it may hear us.
    pub(super) fn due(
        &mut self,
        now: Stamp,
        vehicle: Option<(u8, u8)>,
        heard: bool,
    ) -> Option<MavMessage> {
        self.take_call(heard && vehicle.is_some());
        let vehicle = vehicle?;
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => None,
            State::Begins { call, .. } if call.1.is_closed() => {
                self.end(Ending::default(), now, vehicle)
            }
            State::Begins {
                call,
                tries,
                due_ns,
            } => self.begin((call, tries, due_ns), now, vehicle),
            State::Sounds { call, since } => {
                let sounded = now.since(since);
                if sounded < call.0 && !call.1.is_closed() {
                    self.state = State::Sounds { call, since };
                    return None;
                }
                let tooted = Tooted {
                    began: Some(since),
                    sounded,
                    failure: None,
                };
                let told = Some((call.1, tooted));
                let ending = Ending {
                    told,
                    ..Ending::default()
                };
                self.end(ending, now, vehicle)
            }
            State::Ends(ending) => self.end(ending, now, vehicle),
        }
    }

    /// Takes a call, when there is one and it need not wait for the end of the one before.
    fn take_call(&mut self, heard: bool) {
        let may = match &self.state {
            _ if !heard => Err("the vehicle with the horn is not heard"),
            State::Idle => Ok(()),
            State::Ends(ending) if ending.told.is_none() && ending.tries > TRIES => {
                Err("the vehicle does not confirm that its horn is off, so it is not sounded")
            }
            State::Begins { .. } | State::Sounds { .. } | State::Ends(_) => return,
        };
        let Ok(call) = self.calls.try_recv() else {
            return;
        };
        match may {
            Ok(()) => {
                self.state = State::Begins {
                    call,
                    tries: 0,
                    due_ns: 0,
                }
            }
            Err(why) => refuse(call, why),
        }
    }

    /// The vehicle answered *on* or *off*.
    pub(super) fn answered(&mut self, result: MavResult, now: Stamp) {
        if result == MavResult::MAV_RESULT_IN_PROGRESS {
            if let State::Begins { due_ns, .. } = &mut self.state {
                *due_ns = now.boot_ns + AGAIN_NS;
            }
            return;
        }
        self.unanswered = self.unanswered.saturating_sub(1);
        if self.strays > 0 {
            self.strays -= 1;
            return;
        }
        let accepted = result == MavResult::MAV_RESULT_ACCEPTED;
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Begins { call, .. } if accepted => {
                self.state = State::Sounds { call, since: now };
            }
            State::Begins { call, .. } => {
                let why = format!("the vehicle refuses to sound its horn: {}", name(result));
                refuse(call, &why);
                self.state = State::Ends(Ending::default());
            }
            State::Ends(Ending { told, .. }) if accepted => {
                if let Some((waits, tooted)) = told {
                    // Who called may have gone.
                    drop(waits.send(tooted));
                }
            }
            State::Ends(mut ending) => {
                ending.refused = Some(result);
                self.state = State::Ends(ending);
            }
            // To an order that was said twice.
            state @ (State::Idle | State::Sounds { .. }) => self.state = state,
        }
    }

    /// What silences it when the program ends now; `None` when it does not sound.
    pub(super) fn last(&mut self, now: Stamp, vehicle: (u8, u8)) -> Option<MavMessage> {
        (!matches!(self.state, State::Idle)).then(|| self.order(false, 0, (now, vehicle)))
    }

    fn begin(
        &mut self,
        (call, tries, due_ns): (Call, u8, u64),
        now: Stamp,
        vehicle: (u8, u8),
    ) -> Option<MavMessage> {
        if now.boot_ns < due_ns {
            self.state = State::Begins {
                call,
                tries,
                due_ns,
            };
            return None;
        }
        if tries == TRIES {
            refuse(call, "the vehicle does not answer to its horn");
            // It may have heard, and its answers be lost.
            return self.end(Ending::default(), now, vehicle);
        }
        self.state = if self.config.drive == Drive::Tune {
            State::Sounds { call, since: now }
        } else {
            State::Begins {
                call,
                tries: tries + 1,
                due_ns: now.boot_ns + AGAIN_NS,
            }
        };
        Some(self.order(true, tries, (now, vehicle)))
    }

    /// *Off*, when it is due.
    fn end(&mut self, mut ending: Ending, now: Stamp, vehicle: (u8, u8)) -> Option<MavMessage> {
        if now.boot_ns < ending.due_ns {
            self.state = State::Ends(ending);
            return None;
        }
        if self.config.drive == Drive::Tune {
            if let Some((waits, tooted)) = ending.told.take() {
                drop(waits.send(tooted));
            }
            if ending.tries == TRIES {
                return None;
            }
        } else if ending.tries == TRIES {
            let refused = ending.refused.map_or("no answer", name);
            tracing::error!(refused, "the vehicle does not confirm that its horn is off");
            if let Some((waits, mut tooted)) = ending.told.take() {
                tooted.failure = Some(format!(
                    "the vehicle does not confirm that its horn is off, and it may still sound: \
                     {refused}"
                ));
                drop(waits.send(tooted));
            }
        }
        let tries = ending.tries;
        let pause = if tries < TRIES {
            AGAIN_NS
        } else {
            OFF_AGAIN_NS
        };
        ending.due_ns = now.boot_ns + pause;
        ending.tries = tries.saturating_add(1);
        self.state = State::Ends(ending);
        Some(self.order(false, tries, (now, vehicle)))
    }

    fn order(
        &mut self,
        on: bool,
        tries: u8,
        (now, (system, component)): (Stamp, (u8, u8)),
    ) -> MavMessage {
        if tries == 0 {
            let late = now.boot_ns.saturating_sub(self.sent_ns) > LATE_NS;
            self.strays = if late { 0 } else { self.unanswered };
            self.unanswered = self.strays;
        }
        self.unanswered = self.unanswered.saturating_add(1);
        self.sent_ns = now.boot_ns;
        let config = &self.config;
        let (command, value) = match config.drive {
            Drive::Relay => (MavCmd::MAV_CMD_DO_SET_RELAY, u16::from(on)),
            Drive::Servo if on => (MavCmd::MAV_CMD_DO_SET_SERVO, config.on_us),
            Drive::Servo => (MavCmd::MAV_CMD_DO_SET_SERVO, config.off_us),
            Drive::Tune => {
                return MavMessage::PLAY_TUNE_V2(PLAY_TUNE_V2_DATA {
                    format: TuneFormat::TUNE_FORMAT_QBASIC1_1,
                    target_system: system,
                    target_component: component,
                    tune: if on { config.tune.as_str() } else { "" }.into(),
                });
            }
        };
        MavMessage::COMMAND_LONG(COMMAND_LONG_DATA {
            param1: f32::from(config.number),
            param2: f32::from(value),
            command,
            target_system: system,
            target_component: component,
            confirmation: tries,
            ..COMMAND_LONG_DATA::DEFAULT
        })
    }
}

/// The version in which `order` is sent to a vehicle that speaks `spoken`.
pub(super) fn version(order: &MavMessage, spoken: MavlinkVersion) -> MavlinkVersion {
    match order {
        // Version 1 has no numbers as high as this message's.
        MavMessage::PLAY_TUNE_V2(_) => MavlinkVersion::V2,
        _ => spoken,
    }
}

/// Tells who called that nothing sounded.
fn refuse((_, waits): Call, why: &str) {
    let nothing = Tooted {
        began: None,
        sounded: Duration::ZERO,
        failure: Some(why.to_owned()),
    };
    // Who called may have gone.
    drop(waits.send(nothing));
}

fn name(result: MavResult) -> &'static str {
    match result {
        MavResult::MAV_RESULT_TEMPORARILY_REJECTED => "not now",
        MavResult::MAV_RESULT_DENIED => "denied",
        MavResult::MAV_RESULT_UNSUPPORTED => "unsupported",
        MavResult::MAV_RESULT_FAILED => "failed",
        _ => "for a reason of its own",
    }
}

#[cfg(test)]
mod tests;

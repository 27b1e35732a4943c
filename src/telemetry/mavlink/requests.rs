//! Which messages are wanted, and asking for those that do not come.
//!
//! MAVLink Command Protocol: one command at a time, the next after its acknowledgement or a
//! time-out. `MAV_CMD_SET_MESSAGE_INTERVAL` first; where it is refused or never answered, the
//! older `REQUEST_DATA_STREAM` for the group the message is in.

use mavlink::MessageData;
use mavlink::dialects::ardupilotmega::{
    ATTITUDE_DATA, COMMAND_LONG_DATA, GIMBAL_DEVICE_ATTITUDE_STATUS_DATA, GLOBAL_POSITION_INT_DATA,
    GPS_RAW_INT_DATA, HEARTBEAT_DATA, MOUNT_ORIENTATION_DATA, MOUNT_STATUS_DATA, MavAutopilot,
    MavCmd, MavDataStream, MavMessage, MavModeFlag, MavResult, MavState, MavType,
    REQUEST_DATA_STREAM_DATA, SYSTEM_TIME_DATA,
};

/// A message not heard for this long has stopped.
const STOPPED_NS: u64 = 3_000_000_000;
/// An acknowledgement later than this does not come.
const ACK_WAIT_NS: u64 = 700_000_000;
/// First pause before the same message is asked for again; doubled each time.
const AGAIN_MIN_NS: u64 = 2_000_000_000;
/// Longest such pause for a message every autopilot has.
const AGAIN_MAX_NS: u64 = 10_000_000_000;
/// Longest such pause for a gimbal's messages: most vehicles have no gimbal.
const GIMBAL_AGAIN_MAX_NS: u64 = 60_000_000_000;
/// Satellite state and time change slowly; no more than this many a second are asked for.
const SLOW_HZ: f64 = 2.0;
/// Version field of `HEARTBEAT`.
const HEARTBEAT_VERSION: u8 = 3;

/// One thing to ask the vehicle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ask {
    /// `MAV_CMD_SET_MESSAGE_INTERVAL`; to every component of the vehicle when `broadcast` (a
    /// gimbal is its own component and may not have been heard yet).
    Interval {
        message_id: u32,
        interval_us: f32,
        broadcast: bool,
    },
    /// `REQUEST_DATA_STREAM`.
    Stream { stream: MavDataStream, hz: u16 },
}

#[derive(Debug)]
struct Want {
    message_id: u32,
    stream: MavDataStream,
    gimbal: bool,
    hz: f64,
    heard_ns: Option<u64>,
    /// Asked for again not before this time.
    due_ns: u64,
    /// How often it was asked for since it was last heard.
    asked: u32,
}

/// The messages wanted from the chosen vehicle.
#[derive(Debug)]
pub(super) struct Requests {
    wants: Vec<Want>,
    /// The command under way: which want, since when.
    under_way: Option<(usize, u64)>,
}

impl Requests {
    /// Position and attitude `rate_hz` times a second, the rest slower.
    pub(super) fn new(rate_hz: f64) -> Self {
        use MavDataStream as S;
        let rate_hz = rate_hz.clamp(0.1, 100.0);
        let slow = rate_hz.min(SLOW_HZ);
        let want = |message_id, stream, hz, gimbal| Want {
            message_id,
            stream,
            gimbal,
            hz,
            heard_ns: None,
            due_ns: 0,
            asked: 0,
        };
        let (position, attitude) = (GLOBAL_POSITION_INT_DATA::ID, ATTITUDE_DATA::ID);
        let (gps, time) = (GPS_RAW_INT_DATA::ID, SYSTEM_TIME_DATA::ID);
        let device = GIMBAL_DEVICE_ATTITUDE_STATUS_DATA::ID;
        let (orientation, status) = (MOUNT_ORIENTATION_DATA::ID, MOUNT_STATUS_DATA::ID);
        Self {
            wants: vec![
                want(position, S::MAV_DATA_STREAM_POSITION, rate_hz, false),
                want(attitude, S::MAV_DATA_STREAM_EXTRA1, rate_hz, false),
                want(gps, S::MAV_DATA_STREAM_EXTENDED_STATUS, slow, false),
                want(time, S::MAV_DATA_STREAM_EXTRA3, slow, false),
                want(device, S::MAV_DATA_STREAM_EXTRA3, rate_hz, true),
                want(orientation, S::MAV_DATA_STREAM_EXTRA3, rate_hz, true),
                want(status, S::MAV_DATA_STREAM_EXTRA3, rate_hz, true),
            ],
            under_way: None,
        }
    }

    /// A message came from the vehicle.
    pub(super) fn heard(&mut self, message_id: u32, now_ns: u64) {
        if let Some(want) = self.wants.iter_mut().find(|w| w.message_id == message_id) {
            want.heard_ns = Some(now_ns);
            want.asked = 0;
            want.due_ns = 0;
        }
    }

    /// The vehicle answered the command under way. A refusal makes the older way of asking due
    /// at once.
    pub(super) fn answered(&mut self, result: MavResult, now_ns: u64) {
        let Some((index, _)) = self.under_way else {
            return;
        };
        match result {
            MavResult::MAV_RESULT_IN_PROGRESS => return,
            MavResult::MAV_RESULT_ACCEPTED | MavResult::MAV_RESULT_TEMPORARILY_REJECTED => {}
            _ => {
                if let Some(want) = self.wants.get_mut(index)
                    && want.asked == 1
                {
                    want.due_ns = now_ns;
                }
            }
        }
        self.under_way = None;
    }

    /// What to ask now, if anything.
    pub(super) fn due(&mut self, now_ns: u64) -> Option<Ask> {
        if let Some((_, since)) = self.under_way
            && now_ns.saturating_sub(since) < ACK_WAIT_NS
        {
            return None;
        }
        self.under_way = None;
        let fresh = |w: &Want| {
            w.heard_ns
                .is_some_and(|t| now_ns.saturating_sub(t) < STOPPED_NS)
        };
        let gimbal_speaks = self.wants.iter().any(|w| w.gimbal && fresh(w));
        let index = self.wants.iter().position(|w| {
            let wanted = !w.gimbal || !gimbal_speaks;
            wanted && !fresh(w) && w.due_ns <= now_ns
        })?;
        let want = self.wants.get_mut(index)?;
        let cap = if want.gimbal {
            GIMBAL_AGAIN_MAX_NS
        } else {
            AGAIN_MAX_NS
        };
        let pause = AGAIN_MIN_NS << want.asked.min(5);
        want.due_ns = now_ns.saturating_add(pause.min(cap));
        want.asked = want.asked.saturating_add(1);
        // Every other time by the older way: it is not acknowledged, so silence tells nothing.
        if want.asked.is_multiple_of(2) {
            return Some(Ask::Stream {
                stream: want.stream,
                hz: super::scaled(want.hz.ceil(), 1.0)
                    .unsigned_abs()
                    .try_into()
                    .unwrap_or(u16::MAX),
            });
        }
        self.under_way = Some((index, now_ns));
        Some(Ask::Interval {
            message_id: want.message_id,
            interval_us: super::narrowed(1e6 / want.hz),
            broadcast: want.gimbal,
        })
    }
}

/// We, an onboard computer that flies nothing.
pub(super) fn heartbeat() -> MavMessage {
    MavMessage::HEARTBEAT(HEARTBEAT_DATA {
        custom_mode: 0,
        mavtype: MavType::MAV_TYPE_ONBOARD_CONTROLLER,
        autopilot: MavAutopilot::MAV_AUTOPILOT_INVALID,
        base_mode: MavModeFlag::empty(),
        system_status: MavState::MAV_STATE_ACTIVE,
        mavlink_version: HEARTBEAT_VERSION,
    })
}

/// `ask` as a message to `vehicle`: system and component.
pub(super) fn request(ask: Ask, vehicle: (u8, u8)) -> MavMessage {
    match ask {
        Ask::Interval {
            message_id,
            interval_us,
            broadcast,
        } => MavMessage::COMMAND_LONG(COMMAND_LONG_DATA {
            param1: super::narrowed(f64::from(message_id)),
            param2: interval_us,
            command: MavCmd::MAV_CMD_SET_MESSAGE_INTERVAL,
            target_system: vehicle.0,
            target_component: if broadcast { 0 } else { vehicle.1 },
            ..COMMAND_LONG_DATA::DEFAULT
        }),
        Ask::Stream { stream, hz } => MavMessage::REQUEST_DATA_STREAM(REQUEST_DATA_STREAM_DATA {
            req_message_rate: hz,
            target_system: vehicle.0,
            target_component: vehicle.1,
            req_stream_id: stream,
            start_stop: 1,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn intervals(requests: &mut Requests, now_ns: u64) -> Vec<u32> {
        let mut ids = Vec::new();
        while let Some(ask) = requests.due(now_ns) {
            if let Ask::Interval { message_id, .. } = ask {
                ids.push(message_id);
                requests.answered(MavResult::MAV_RESULT_ACCEPTED, now_ns);
            }
        }
        ids
    }

    #[test]
    fn everything_is_asked_for_once_one_at_a_time() {
        let mut requests = Requests::new(10.0);
        let first = requests.due(SECOND);
        assert_eq!(
            first,
            Some(Ask::Interval {
                message_id: GLOBAL_POSITION_INT_DATA::ID,
                interval_us: 100_000.0,
                broadcast: false
            })
        );
        assert_eq!(requests.due(SECOND), None, "the answer is waited for");
        requests.answered(MavResult::MAV_RESULT_ACCEPTED, SECOND);
        let rest = intervals(&mut requests, SECOND);
        assert_eq!(
            rest,
            [
                ATTITUDE_DATA::ID,
                GPS_RAW_INT_DATA::ID,
                SYSTEM_TIME_DATA::ID,
                GIMBAL_DEVICE_ATTITUDE_STATUS_DATA::ID,
                MOUNT_ORIENTATION_DATA::ID,
                MOUNT_STATUS_DATA::ID
            ]
        );
        assert_eq!(requests.due(SECOND), None);
    }

    #[test]
    fn a_refusal_leads_to_the_older_way_at_once() {
        let mut requests = Requests::new(10.0);
        assert!(matches!(requests.due(SECOND), Some(Ask::Interval { .. })));
        requests.answered(MavResult::MAV_RESULT_UNSUPPORTED, SECOND);
        assert_eq!(
            requests.due(SECOND),
            Some(Ask::Stream {
                stream: MavDataStream::MAV_DATA_STREAM_POSITION,
                hz: 10
            })
        );
    }

    #[test]
    fn silence_goes_on_to_the_next_and_comes_back_the_older_way() {
        let mut requests = Requests::new(5.0);
        let mut streams = 0;
        for step in 0..100 {
            if matches!(
                requests.due(SECOND + step * ACK_WAIT_NS),
                Some(Ask::Stream { .. })
            ) {
                streams += 1;
            }
        }
        assert!(streams >= 7, "{streams} asked the older way");
    }

    #[test]
    fn what_comes_is_not_asked_for_and_what_stops_is_asked_for_again() {
        let mut requests = Requests::new(10.0);
        intervals(&mut requests, SECOND);
        requests.heard(GLOBAL_POSITION_INT_DATA::ID, SECOND);
        requests.heard(ATTITUDE_DATA::ID, 9 * SECOND);
        requests.heard(GIMBAL_DEVICE_ATTITUDE_STATUS_DATA::ID, 9 * SECOND);
        let asked = intervals(&mut requests, 9 * SECOND);
        assert!(asked.contains(&GLOBAL_POSITION_INT_DATA::ID));
        assert!(!asked.contains(&ATTITUDE_DATA::ID));
        assert!(
            !asked.contains(&MOUNT_STATUS_DATA::ID),
            "one kind of gimbal message is enough"
        );
    }

    #[test]
    fn a_missing_gimbal_is_asked_for_ever_more_rarely() {
        let mut requests = Requests::new(10.0);
        let mut asks = 0;
        for second in 1..600 {
            let now = second * SECOND;
            for id in [
                GLOBAL_POSITION_INT_DATA::ID,
                ATTITUDE_DATA::ID,
                GPS_RAW_INT_DATA::ID,
                SYSTEM_TIME_DATA::ID,
            ] {
                requests.heard(id, now);
            }
            while requests.due(now).is_some() {
                requests.answered(MavResult::MAV_RESULT_FAILED, now);
                asks += 1;
            }
        }
        assert!((30..80).contains(&asks), "{asks} asks in ten minutes");
    }
}

//! Listens to one MAVLink vehicle and asks it for what is needed.
//!
//! Bytes from the link ([`link`]) become frames ([`decoder`]), the chosen vehicle's frames
//! become poses ([`autopilot`]), and what does not come is asked for ([`requests`]). We show
//! ourselves once a second as an onboard computer.
//!
//! **Invariants.** Only one vehicle's autopilot and the gimbals beside it are believed. Its number is
//! chosen once per run, and so is its address; another one has the number only while that is silent
//! ([`peers::Voice`]). What is sent goes to the autopilot. Senders are told apart, so that one's noise
//! does not tear another's frames, and no more than eight are remembered. Every wait ends with the
//! stop; a horn is silenced before, in less than a second.
//!
//! **Not here.** No commands but for message rates and the configured horn ([`horn`]): this box
//! never moves a vehicle. No message signing yet: signed frames are accepted, not verified.

mod autopilot;
mod boot_clock;
mod decoder;
mod gimbal;
mod gps;
mod horn;
mod link;
mod mode;
mod peers;
mod requests;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mavlink::dialects::ardupilotmega::{MavCmd, MavMessage};
use mavlink::{MavHeader, MavlinkVersion};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

pub use horn::Call;
pub use link::{Address, AddressError};

use self::autopilot::{Autopilot, Heard};
use self::decoder::Frame;
use self::horn::Horn;
use self::link::Link;
use self::peers::{Peer, Voice, place};
use self::requests::{Requests, heartbeat, request};
use super::{Pauses, Poses, TelemetryState, narrowed, scaled};
use crate::clock;
use crate::config;
use crate::types::Stamp;

/// How often requests, heartbeat and silence are looked at.
const TICK: Duration = Duration::from_millis(100);
/// MAVLink Heartbeat Protocol: once a second.
const HEARTBEAT_NS: u64 = 1_000_000_000;
/// A link that brought nothing for this long is opened again.
const SILENCE_NS: u64 = 10_000_000_000;
/// The vehicle counts as lost after this long without a word of its autopilot.
const LOST_NS: u64 = 5_000_000_000;
/// One read: a datagram of any size.
const READ_BYTES: usize = 65_536;
/// What silences the horn at the end is said so often, because no answer is waited for.
const LAST_WORDS: u32 = 3;
/// With this pause between.
const LAST_WORDS_EVERY: Duration = Duration::from_millis(50);
/// A link that does not take one within this does not take it.
const LAST_WORD_WITHIN: Duration = Duration::from_millis(200);

/// Listens until `stop`. An address that is none is told in the state; then nothing is done.
pub(super) async fn run(
    config: &config::MavlinkLink,
    horn: Option<(config::Horn, mpsc::Receiver<Call>)>,
    poses: &Poses,
    state: &TelemetryState,
    stop: &CancellationToken,
) {
    let address = match config.address.parse::<Address>() {
        Ok(address) => address,
        Err(e) => {
            tracing::error!(error = %e, "telemetry address is wrong");
            state.down(e.to_string());
            return;
        }
    };
    let mut listener = Listener::new(config, horn, poses, state);
    let mut pauses = Pauses::new();
    let mut told = None;
    loop {
        let opened = tokio::select! {
            () = stop.cancelled() => return,
            opened = Link::open(&address) => opened,
        };
        let before = listener.bytes;
        let lost = match opened {
            Ok(mut link) => {
                state.update(|s| s.listening = link.listening());
                tokio::select! {
                    () = stop.cancelled() => return listener.silence(&mut link).await,
                    lost = listener.serve(&mut link) => lost,
                }
            }
            Err(e) => e,
        };
        if listener.bytes > before {
            pauses.succeeded();
            told = None;
        }
        let cause = format!("{address}: {lost}");
        if told.as_ref() != Some(&cause) {
            tracing::warn!(link = %address, error = %lost, "telemetry link is down");
            told = Some(cause.clone());
        }
        state.down(cause);
        state.update(|s| s.counters.reconnects += 1);
        if !pauses.wait(stop).await {
            return;
        }
    }
}

struct Listener<'a> {
    poses: &'a Poses,
    state: &'a TelemetryState,
    own: MavHeader,
    autopilot: Autopilot,
    requests: Requests,
    horn: Option<Horn>,
    peers: Vec<Peer>,
    voice: Voice,
    /// Which peer the vehicle speaks through.
    through: Option<SocketAddr>,
    bytes: u64,
    heartbeat_ns: u64,
    /// When the vehicle was last heard, and whether its loss was told.
    vehicle_ns: u64,
    lost: bool,
}

impl<'a> Listener<'a> {
    fn new(
        config: &config::MavlinkLink,
        horn: Option<(config::Horn, mpsc::Receiver<Call>)>,
        poses: &'a Poses,
        state: &'a TelemetryState,
    ) -> Self {
        Self {
            poses,
            state,
            own: MavHeader {
                system_id: u32::from(config.system_id),
                component_id: config.component_id,
                sequence: 0,
            },
            autopilot: Autopilot::new(
                config.target_system,
                (config.system_id, config.component_id),
            ),
            requests: Requests::new(config.rate_hz),
            horn: horn.map(|(config, calls)| Horn::new(config, calls)),
            peers: Vec::new(),
            voice: Voice::default(),
            through: None,
            bytes: 0,
            heartbeat_ns: 0,
            vehicle_ns: clock::boot_ns(),
            lost: false,
        }
    }

    /// Reads and writes until the link is gone; says why.
    async fn serve(&mut self, link: &mut Link) -> io::Error {
        self.peers.clear();
        let mut buf = vec![0; READ_BYTES];
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard_ns = clock::boot_ns();
        loop {
            let result = tokio::select! {
                read = link.read(&mut buf) => read.map(Some),
                _ = tick.tick() => Ok(None),
            };
            let done = match result {
                Ok(Some((n, peer))) => {
                    let at = clock::now();
                    heard_ns = at.boot_ns;
                    self.take(at, buf.get(..n).unwrap_or_default(), peer);
                    Ok(())
                }
                Ok(None) if link.can_go_stale() && silent(heard_ns, SILENCE_NS) => {
                    Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "nothing received for ten seconds; is the vehicle on?",
                    ))
                }
                Ok(None) => {
                    if !link.can_go_stale() {
                        heard_ns = clock::boot_ns();
                    }
                    self.say(link).await
                }
                Err(e) => Err(e),
            };
            if let Err(e) = done {
                return e;
            }
        }
    }

    /// Takes received bytes apart and keeps what they say.
    fn take(&mut self, at: Stamp, bytes: &[u8], address: Option<SocketAddr>) {
        let mut peers = std::mem::take(&mut self.peers);
        let place = place(&mut peers, at.boot_ns, address);
        let mut framed = 0;
        if let Some(peer) = peers.get_mut(place) {
            peer.decoder.push(bytes);
            while let Some(frame) = peer.decoder.next_frame() {
                framed += frame.len();
                self.hear(at, &frame, address);
            }
        }
        self.peers = peers;
        self.bytes += bytes.len() as u64;
        self.state.update(|s| {
            s.counters.bytes += bytes.len() as u64;
            s.counters.unframed_bytes =
                (s.counters.unframed_bytes + bytes.len() as u64).saturating_sub(framed as u64);
        });
    }

    fn hear(&mut self, at: Stamp, frame: &Frame, address: Option<SocketAddr>) {
        let sender = frame.system().zip(Some(frame.component()));
        let speaks = |autopilot: &Autopilot| sender.is_some() && sender == autopilot.id();
        let is_strange = if speaks(&self.autopilot) {
            self.voice.is_another(at.boot_ns, address)
        } else {
            !self.voice.is_beside(at.boot_ns, address)
        };
        let heard = if is_strange {
            Ok(Heard::Foreign)
        } else {
            let host = |address: SocketAddr| address.ip();
            if speaks(&self.autopilot) && self.through.map(host) != address.map(host) {
                self.autopilot.begin_anew();
                // No line joins the places of two vehicles.
                self.poses.forget();
            }
            self.autopilot.hear(at, frame)
        };
        match heard {
            Err(_contents) => self.state.update(|s| {
                s.counters.messages += 1;
                s.counters.parse_errors += 1;
            }),
            Ok(Heard::Foreign) => self.state.update(|s| {
                s.counters.messages += 1;
                s.counters.ignored += 1;
            }),
            Ok(Heard::Ours {
                chosen,
                pose,
                answer,
            }) => {
                self.requests.heard(frame.message_id(), at.boot_ns);
                match (answer, &mut self.horn) {
                    (Some((MavCmd::MAV_CMD_SET_MESSAGE_INTERVAL, result)), _) => {
                        self.requests.answered(result, at.boot_ns);
                    }
                    (Some((_, result)), Some(horn)) => horn.answered(result, at),
                    (_, _) => {}
                }
                if let Some(pose) = pose {
                    self.poses.put(pose);
                }
                self.state.update(|s| {
                    s.counters.messages += 1;
                    s.counters.poses += u64::from(pose.is_some());
                });
                if speaks(&self.autopilot) {
                    self.voice.heard(at.boot_ns, address);
                    self.through = address;
                    self.vehicle_ns = at.boot_ns;
                    self.tell(chosen);
                }
            }
        }
    }

    /// Brings the state up to date with the autopilot that spoke; one log line per change.
    fn tell(&mut self, chosen: bool) {
        let (id, facts) = (self.autopilot.id(), self.autopilot.facts());
        self.state.heard(self.vehicle_ns);
        self.state.update(|s| {
            (s.sysid, s.compid) = id.unzip();
            s.fix = facts.fix;
            s.sats = facts.sats;
            s.mode = facts.mode.map(str::to_owned);
        });
        self.state.tell_time(facts.time);
        if chosen && let Some((sysid, compid)) = id {
            tracing::info!(sysid, compid, "telemetry vehicle chosen");
        } else if self.lost {
            tracing::info!("telemetry vehicle is back");
        }
        self.lost = false;
    }

    /// Heartbeat, requests and horn, when due.
    async fn say(&mut self, link: &mut Link) -> io::Result<()> {
        let now_ns = clock::boot_ns();
        if silent(self.vehicle_ns, LOST_NS) && !self.lost {
            self.lost = true;
            let cause = match self.autopilot.id() {
                Some((sysid, _)) => format!("vehicle {sysid} is silent; look at its radio"),
                None => "no autopilot heard yet; is the vehicle on?".to_owned(),
            };
            tracing::warn!(cause, "telemetry vehicle is not heard");
            self.state.down(cause);
        }
        if now_ns.saturating_sub(self.heartbeat_ns) >= HEARTBEAT_NS {
            self.heartbeat_ns = now_ns;
            // A vehicle that may speak both changes to version 2 when it hears it, and sends
            // accuracies only then; one that cannot needs to see us in version 1.
            self.send(link, MavlinkVersion::V2, &heartbeat()).await?;
            if self.autopilot.version() == MavlinkVersion::V1 {
                self.send(link, MavlinkVersion::V1, &heartbeat()).await?;
            }
        }
        let heard = !silent(self.vehicle_ns, LOST_NS);
        if let Some(vehicle) = self.autopilot.id()
            && heard
            && let Some(ask) = self.requests.due(now_ns)
        {
            let version = self.autopilot.version();
            self.send(link, version, &request(ask, vehicle)).await?;
        }
        if let Some(horn) = &mut self.horn
            && let Some(order) = horn.due(clock::now(), self.autopilot.id(), heard)
        {
            let version = horn::version(&order, self.autopilot.version());
            self.send(link, version, &order).await?;
        }
        Ok(())
    }

    /// Silences the horn when the program ends.
    async fn silence(&mut self, link: &mut Link) {
        let vehicle = self.autopilot.id();
        let horn = self.horn.as_mut().zip(vehicle);
        let Some(order) = horn.and_then(|(horn, vehicle)| horn.last(clock::now(), vehicle)) else {
            return;
        };
        let version = horn::version(&order, self.autopilot.version());
        for _ in 0..LAST_WORDS {
            let sending = self.send(link, version, &order);
            let sent = tokio::time::timeout(LAST_WORD_WITHIN, sending).await;
            if let Err(error) = sent.unwrap_or_else(|late| Err(late.into())) {
                tracing::error!(%error, "the vehicle's horn may still sound");
                return;
            }
            tokio::time::sleep(LAST_WORDS_EVERY).await;
        }
    }

    /// Sends to the vehicle; before one is chosen, to everybody heard on the link.
    async fn send(
        &mut self,
        link: &mut Link,
        version: MavlinkVersion,
        message: &MavMessage,
    ) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(mavlink::consts::MAX_FRAME_SIZE);
        mavlink::write_versioned_msg(&mut bytes, version, self.own, message)
            .map_err(io::Error::other)?;
        self.own.sequence = self.own.sequence.wrapping_add(1);
        if self.through.is_some() || self.peers.is_empty() {
            return link.write(&bytes, self.through).await;
        }
        for peer in &self.peers {
            link.write(&bytes, peer.address).await?;
        }
        Ok(())
    }
}

fn silent(heard_ns: u64, limit_ns: u64) -> bool {
    clock::boot_ns().saturating_sub(heard_ns) > limit_ns
}

#[cfg(test)]
mod tests;

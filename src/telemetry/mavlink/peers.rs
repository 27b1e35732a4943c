//! Who speaks on the link: senders told apart, and where the chosen vehicle speaks from.

use std::net::{IpAddr, SocketAddr};

use super::LOST_NS;
use super::decoder::Decoder;

/// Senders told apart on a datagram socket.
const PEERS_MAX: usize = 8;

/// One sender on the link.
pub(super) struct Peer {
    pub(super) address: Option<SocketAddr>,
    pub(super) decoder: Decoder,
    heard_ns: u64,
}

/// The place of this sender in the list; the one silent longest makes room.
pub(super) fn place(peers: &mut Vec<Peer>, now_ns: u64, address: Option<SocketAddr>) -> usize {
    let known = peers.iter().position(|p| p.address == address);
    let place = known.unwrap_or_else(|| {
        let fresh = Peer {
            address,
            decoder: Decoder::new(),
            heard_ns: now_ns,
        };
        if peers.len() < PEERS_MAX {
            peers.push(fresh);
            return peers.len() - 1;
        }
        let oldest = (0..peers.len())
            .min_by_key(|i| peers.get(*i).map(|p| p.heard_ns))
            .unwrap_or(0);
        if let Some(peer) = peers.get_mut(oldest) {
            *peer = fresh;
        }
        oldest
    });
    if let Some(peer) = peers.get_mut(place) {
        peer.heard_ns = now_ns;
    }
    place
}

/// Where the chosen autopilot speaks from, and when it last did (boot clock).
///
/// Every autopilot comes out of its box as system 1. Two of them on one network would become one
/// vehicle between the two, so while the chosen one speaks nobody else has its number. The first that
/// spoke is the chosen one for good: another stands in for it only while it is silent, as a radio or
/// router with a new address does, and gives way at its next word. A host is known by its IP address:
/// its port changes with each start of a router.
#[derive(Debug, Default)]
pub(super) struct Voice {
    first: Option<(IpAddr, u64)>,
    stand_in: Option<(IpAddr, u64)>,
}

impl Voice {
    /// Whether a message of the chosen one's number is somebody else's.
    pub(super) fn is_another(&self, now_ns: u64, address: Option<SocketAddr>) -> bool {
        let (Some(from), Some((first, _))) = (address, self.first) else {
            return false;
        };
        let current = self.current(now_ns);
        from.ip() != first && current.is_some_and(|ip| from.ip() != ip)
    }

    /// Whether something of the vehicle that is not its autopilot, a gimbal, speaks from where the
    /// autopilot does.
    pub(super) fn is_beside(&self, now_ns: u64, address: Option<SocketAddr>) -> bool {
        let (Some(from), Some(_)) = (address, self.first) else {
            return true;
        };
        self.current(now_ns) == Some(from.ip())
    }

    /// The chosen one spoke.
    pub(super) fn heard(&mut self, now_ns: u64, address: Option<SocketAddr>) {
        let Some(from) = address else {
            return;
        };
        let voice = Some((from.ip(), now_ns));
        if self.first.is_none_or(|(first, _)| first == from.ip()) {
            *self = Self {
                first: voice,
                stand_in: None,
            };
        } else {
            self.stand_in = voice;
        }
    }

    /// Who speaks as the chosen one now; `None` while it is silent.
    fn current(&self, now_ns: u64) -> Option<IpAddr> {
        let speaks = |(_, heard_ns): &(_, u64)| now_ns.saturating_sub(*heard_ns) <= LOST_NS;
        let voices = [self.first, self.stand_in].into_iter().flatten();
        voices.filter(speaks).map(|(ip, _)| ip).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn one_number_is_one_vehicle_while_it_speaks() {
        let mut voice = Voice::default();
        assert!(!voice.is_another(S, Some(at("10.0.0.1:14550"))));
        voice.heard(S, Some(at("10.0.0.1:14550")));
        for (secs, from, another) in [
            (1, "10.0.0.1:14550", false),
            (1, "10.0.0.1:9", false),
            (1, "10.0.0.2:14550", true),
            (6, "10.0.0.2:14550", true),
            (7, "10.0.0.2:14550", false),
        ] {
            assert_eq!(
                voice.is_another(secs * S, Some(at(from))),
                another,
                "{secs} {from}"
            );
        }
        // A serial line and a TCP connection have one sender.
        assert!(!voice.is_another(S, None));
    }

    #[test]
    fn the_first_one_takes_back_at_once() {
        let mut voice = Voice::default();
        let (ours, theirs, third) = ("10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1");
        // Who speaks when, and whether it is another; who is not, has spoken.
        for (secs, from, another) in [
            (1, ours, false),
            (7, theirs, false),
            (8, third, true),
            (9, theirs, false),
            (9, ours, false),
            (10, theirs, true),
            (13, theirs, true),
            (15, third, false),
            (16, theirs, true),
            (17, ours, false),
            (17, third, true),
        ] {
            let told = voice.is_another(secs * S, Some(at(from)));
            assert_eq!(told, another, "{secs} {from}");
            // A gimbal is the vehicle's own only where the vehicle speaks now.
            if !another {
                voice.heard(secs * S, Some(at(from)));
            }
            let beside = voice.is_beside(secs * S, Some(at(from)));
            assert_eq!(beside, !another, "{secs} {from}");
        }
        assert!(voice.is_beside(18 * S, None));
        assert!(!voice.is_beside(30 * S, Some(at(theirs))), "nobody speaks");
        assert!(
            Voice::default().is_beside(S, Some(at(ours))),
            "nobody spoke yet"
        );
    }
}

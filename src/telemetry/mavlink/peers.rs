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
/// vehicle between the two, so while the chosen one speaks nobody else has its number. A host is
/// known by its IP address: its port changes with each start of a router.
#[derive(Debug, Default)]
pub(super) struct Voice(Option<(IpAddr, u64)>);

impl Voice {
    /// Whether a message of the chosen one's number is somebody else's.
    pub(super) fn is_another(&self, now_ns: u64, address: Option<SocketAddr>) -> bool {
        let (Some((ip, heard_ns)), Some(from)) = (self.0, address) else {
            return false;
        };
        from.ip() != ip && now_ns.saturating_sub(heard_ns) <= LOST_NS
    }

    /// The chosen one spoke.
    pub(super) fn heard(&mut self, now_ns: u64, address: Option<SocketAddr>) {
        self.0 = address.map(|from| (from.ip(), now_ns));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_is_one_vehicle_while_it_speaks() {
        const S: u64 = 1_000_000_000;
        let at = |text: &str| Some(text.parse::<SocketAddr>().expect("an address"));
        let mut voice = Voice::default();
        assert!(!voice.is_another(S, at("10.0.0.1:14550")));
        voice.heard(S, at("10.0.0.1:14550"));
        for (secs, from, another) in [
            (1, "10.0.0.1:14550", false),
            (1, "10.0.0.1:9", false),
            (1, "10.0.0.2:14550", true),
            (6, "10.0.0.2:14550", true),
            (7, "10.0.0.2:14550", false),
        ] {
            assert_eq!(
                voice.is_another(secs * S, at(from)),
                another,
                "{secs} {from}"
            );
        }
        // A serial line and a TCP connection have one sender.
        assert!(!voice.is_another(S, None));
    }
}

//! Finds MAVLink frames in bytes that come in any pieces.

use std::io::{self, Read};

use mavlink::dialects::ardupilotmega::MavMessage;
use mavlink::{MAVLinkMessageRaw, MavlinkReader, MavlinkVersion};

/// One checksummed message, its contents not yet looked at.
pub(super) struct Frame {
    raw: MAVLinkMessageRaw,
}

impl Frame {
    /// Sender's system id; `None` for the 32-bit ids of newer routers, which no autopilot has.
    pub(super) fn system(&self) -> Option<u8> {
        u8::try_from(self.raw.system_id()).ok()
    }

    /// Sender's component id.
    pub(super) fn component(&self) -> u8 {
        self.raw.component_id()
    }

    pub(super) fn message_id(&self) -> u32 {
        self.raw.message_id()
    }

    pub(super) fn payload(&self) -> &[u8] {
        self.raw.payload()
    }

    pub(super) fn version(&self) -> MavlinkVersion {
        self.raw.version()
    }

    /// Bytes of the whole frame.
    pub(super) fn len(&self) -> usize {
        match &self.raw {
            MAVLinkMessageRaw::V1(raw) => raw.raw_bytes().len(),
            MAVLinkMessageRaw::V2(raw) => raw.raw_bytes().len(),
        }
    }
}

/// Turns one sender's bytes into frames; MAVLink 1 and 2 mixed.
///
/// A torn frame waits for its rest, noise is skipped to the next valid checksum, and nothing
/// grows: what is not taken out by [`Decoder::next_frame`] before the next push is bounded by
/// one read of the link.
pub(super) struct Decoder {
    reader: MavlinkReader<Fed>,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self {
            reader: MavlinkReader::new(Fed::default()),
        }
    }

    /// Adds what was received.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let fed = self.reader.get_mut();
        fed.bytes.drain(..fed.taken);
        fed.taken = 0;
        fed.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame; `None` when more bytes are needed.
    pub(super) fn next_frame(&mut self) -> Option<Frame> {
        // The only error is the end of what was pushed: the reader keeps its half frame then.
        self.reader
            .read_any_raw_message::<MavMessage>()
            .ok()
            .map(|raw| Frame { raw })
    }
}

/// Bytes pushed and not yet read.
#[derive(Default)]
struct Fed {
    bytes: Vec<u8>,
    taken: usize,
}

impl Read for Fed {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let rest = self.bytes.get(self.taken..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        let (Some(from), Some(to)) = (rest.get(..n), buf.get_mut(..n)) else {
            return Ok(0);
        };
        to.copy_from_slice(from);
        self.taken += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use mavlink::dialects::ardupilotmega::{GLOBAL_POSITION_INT_DATA, HEARTBEAT_DATA};
    use mavlink::{MavHeader, MessageData};
    use proptest::prelude::*;

    use super::*;

    fn frames() -> Vec<u8> {
        let header = MavHeader {
            system_id: 7,
            component_id: 1,
            sequence: 9,
        };
        let mut bytes = Vec::new();
        mavlink::write_v2_msg(
            &mut bytes,
            header,
            &MavMessage::HEARTBEAT(HEARTBEAT_DATA::DEFAULT),
        )
        .expect("memory");
        mavlink::write_v1_msg(
            &mut bytes,
            header,
            &MavMessage::GLOBAL_POSITION_INT(GLOBAL_POSITION_INT_DATA {
                lat: 360_000_000,
                ..GLOBAL_POSITION_INT_DATA::DEFAULT
            }),
        )
        .expect("memory");
        bytes
    }

    fn ids(decoder: &mut Decoder) -> Vec<u32> {
        std::iter::from_fn(|| decoder.next_frame().map(|f| f.message_id())).collect()
    }

    #[test]
    fn both_versions_are_found_byte_by_byte() {
        let mut decoder = Decoder::new();
        let mut found = Vec::new();
        for byte in frames() {
            decoder.push(&[byte]);
            found.extend(ids(&mut decoder));
        }
        assert_eq!(found, [HEARTBEAT_DATA::ID, GLOBAL_POSITION_INT_DATA::ID]);
    }

    #[test]
    fn a_flipped_bit_costs_its_own_frame_only() {
        let clean = frames();
        for place in 0..clean.len() {
            let mut bytes = clean.clone();
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= 0x10;
            }
            bytes.extend_from_slice(&clean);
            // A length made larger must not swallow what follows for ever.
            bytes.extend_from_slice(&[0; 300]);
            let mut decoder = Decoder::new();
            decoder.push(&bytes);
            let found = ids(&mut decoder);
            assert!(
                found.ends_with(&[HEARTBEAT_DATA::ID, GLOBAL_POSITION_INT_DATA::ID]),
                "bit in byte {place}: {found:?}"
            );
        }
    }

    #[test]
    fn the_length_of_a_frame_is_that_of_its_bytes() {
        let bytes = frames();
        let mut decoder = Decoder::new();
        decoder.push(&bytes);
        let total: usize = std::iter::from_fn(|| decoder.next_frame().map(|f| f.len())).sum();
        assert_eq!(total, bytes.len());
    }

    proptest! {
        #[test]
        fn garbage_is_survived_and_good_frames_are_found(
            noise in proptest::collection::vec(any::<u8>(), 0..2_000),
            pieces in 1..97_usize,
        ) {
            // Noise can carry a right checksum by chance (one in 2^16) and then take with it what
            // it covers: at most one longest frame. So the promise is for what comes after that.
            let mut bytes = noise;
            for _ in 0..2 {
                bytes.extend(frames());
                bytes.extend([0; 300]);
            }
            let mut decoder = Decoder::new();
            let mut found = Vec::new();
            for piece in bytes.chunks(pieces) {
                decoder.push(piece);
                found.extend(ids(&mut decoder));
            }
            prop_assert!(found.ends_with(&[HEARTBEAT_DATA::ID, GLOBAL_POSITION_INT_DATA::ID]));
        }

        #[test]
        fn markers_everywhere_are_survived(
            bytes in proptest::collection::vec(prop_oneof![Just(0xFD_u8), Just(0xFE), Just(0xFF), any::<u8>()], 0..4_000),
        ) {
            let mut decoder = Decoder::new();
            for piece in bytes.chunks(280) {
                decoder.push(piece);
                while decoder.next_frame().is_some() {}
            }
        }
    }
}

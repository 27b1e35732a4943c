//! Decoders of one camera that have failed a moment ago.
//!
//! A hardware decoder that opens may fail on the data all the same: its driver does not do this
//! profile, or other cameras have all of its sessions. Whoever finds that out, a live stream or a
//! picture decoded on demand, spares the other the same. After an hour it is tried again, for what was
//! taken may be free.

use std::sync::Mutex;

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::clock;
use crate::types::lock;

/// How long a decoder that failed is passed over.
const BANNED_FOR_NS: u64 = 3_600_000_000_000;

/// The decoders that are passed over, and since when on the boot clock.
#[derive(Debug, Default)]
pub(super) struct Bans(Mutex<Vec<(String, u64)>>);

impl Bans {
    pub(super) fn names(&self) -> Vec<String> {
        self.names_at(clock::boot_ns())
    }

    fn names_at(&self, now_ns: u64) -> Vec<String> {
        let mut bans = lock(&self.0);
        bans.retain(|(_, since_ns)| now_ns.saturating_sub(*since_ns) < BANNED_FOR_NS);
        bans.iter().map(|(name, _)| name.clone()).collect()
    }

    /// It has failed now.
    pub(super) fn add(&self, decoder: String) {
        tracing::warn!(decoder, "a decoder fails, and is passed over for an hour");
        lock(&self.0).push((decoder, clock::boot_ns()));
    }

    /// All have failed: perhaps the stream was to blame.
    pub(super) fn clear(&self) {
        lock(&self.0).clear();
    }
}

/// The factory of the decoder that posted this message.
pub(super) fn decoder_of(message: &gst::Message) -> Option<String> {
    let element = message.src()?.downcast_ref::<gst::Element>()?;
    let factory = element.factory()?;
    factory
        .has_type(gst::ElementFactoryType::DECODER)
        .then(|| factory.name().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoder_is_passed_over_for_an_hour() {
        let bans = Bans::default();
        let now_ns = clock::boot_ns();
        bans.add("a".to_owned());
        assert_eq!(bans.names(), ["a"]);
        assert_eq!(bans.names_at(now_ns + BANNED_FOR_NS - 1), ["a"]);
        let minute_ns = 60_000_000_000;
        assert!(bans.names_at(now_ns + BANNED_FOR_NS + minute_ns).is_empty());
        bans.add("b".to_owned());
        bans.clear();
        assert!(bans.names().is_empty());
    }
}

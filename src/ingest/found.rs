//! A fault met on the pipeline's own threads, for who watches its bus.

use std::sync::{Arc, Mutex};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::Fault;
use crate::types::lock;

/// The fault met while linking, on the pipeline's thread, for who watches the bus.
#[derive(Clone, Debug, Default)]
pub(super) struct Found(Arc<Mutex<Option<Fault>>>);

impl Found {
    /// Takes the fault out.
    pub(super) fn take(&self) -> Option<Fault> {
        lock(&self.0).take()
    }

    /// A stream was chosen: another one's codec explains no error any more.
    pub(super) fn forget_codec(&self) {
        let mut found = lock(&self.0);
        found.take_if(|fault| matches!(fault, Fault::Codec(_)));
    }

    /// Keeps the first fault; tells whether there was none.
    pub(super) fn note<T>(&self, result: Result<T, Fault>) -> bool {
        let Err(fault) = result else {
            return true;
        };
        let mut found = lock(&self.0);
        found.get_or_insert(fault);
        false
    }

    /// The same, and wakes who watches the bus.
    pub(super) fn report(&self, source: &gst::Element, result: Result<(), Fault>) {
        if self.note(result) {
            return;
        }
        let message = gst::message::Error::builder(gst::StreamError::Failed, "cannot be joined")
            .src(source)
            .build();
        if let Err(error) = source.post_message(message) {
            tracing::debug!(%error, "bus takes no message");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::Codec;

    #[test]
    fn a_stream_that_was_not_chosen_explains_no_error() {
        let found = Found::default();
        assert!(!found.note::<()>(Err(Fault::Codec("Motion JPEG".to_owned()))));
        assert!(found.note(Ok(Codec::H264)));
        found.forget_codec();
        assert_eq!(found.take(), None);
        assert!(!found.note::<()>(Err(Fault::Tls("no".to_owned()))));
        found.forget_codec();
        assert_eq!(found.take(), Some(Fault::Tls("no".to_owned())));
    }
}

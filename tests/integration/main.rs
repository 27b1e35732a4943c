//! The one integration test program: links GStreamer and ONNX Runtime once.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the lint's own exception knows #[test] functions, not the helpers they share"
)]

mod witness;

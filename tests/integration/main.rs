//! The one integration test program: links GStreamer and ONNX Runtime once.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the lint's own exception knows #[test] functions, not the helpers they share"
)]

#[cfg(feature = "demo")]
mod telemetry;
mod perceive;

mod video;
mod develop;

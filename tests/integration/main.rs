//! The one integration test program: links GStreamer and ONNX Runtime once.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the lint's own exception knows #[test] functions, not the helpers they share"
)]

mod perceive;

mod video;
mod develop;
    clippy::panic,
    reason = "a test's helpers may fail the test"
)]

#[cfg(feature = "demo")]
mod uplink;
mod witness;
mod crash;

//! The one integration test program: links GStreamer and ONNX Runtime once.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the lint's own exception knows #[test] functions, not the helpers they share"
)]

mod cli;
mod crash;
mod develop;
mod explain;
mod failing_disk;
#[cfg(feature = "demo")]
mod field;
#[cfg(feature = "demo")]
mod fleet;
mod hands;
mod journal;
#[cfg(feature = "demo")]
mod kill_loop;
mod perceive;
mod skip;
mod store_cli;
mod systemd;
#[cfg(feature = "demo")]
mod telemetry;
mod tidy;
#[cfg(feature = "demo")]
mod uplink;
#[cfg(feature = "demo")]
mod video;
mod witness;

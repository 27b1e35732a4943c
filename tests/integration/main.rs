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
mod field;
mod fleet;
mod hands;
mod journal;
mod kill_loop;
mod onvif;
mod perceive;
mod reasons;
mod skip;
mod store_cli;
mod systemd;
mod telemetry;
mod tidy;
mod uplink;
mod video;
mod witness;

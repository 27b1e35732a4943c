//! The one integration test program: links GStreamer and ONNX Runtime once.

mod crash;
#[cfg(feature = "demo")]
mod uplink;
mod witness;

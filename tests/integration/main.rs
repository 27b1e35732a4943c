//! The one integration test program: links GStreamer and ONNX Runtime once.

#[cfg(feature = "demo")]
mod uplink;
mod witness;
mod crash;

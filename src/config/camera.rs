//! Cameras and the detector.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[[camera]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Camera {
    /// Short name, `[A-Za-z0-9-]`, unique.
    pub name: String,
    /// What kind of source.
    pub kind: CameraKind,
    /// `rtsp`: the URL of the main stream, without user and password where the camera can do
    /// without; others are told [`Camera::told_url`].
    pub url: String,
    /// `rtsp`: the URL of a smaller stream to detect on; evidence still comes from the main one.
    pub substream_url: String,
    /// `rtsp`: user name.
    pub user: String,
    /// `rtsp`: file that holds the password and nothing else (mode 0600).
    pub password_file: PathBuf,
    /// `rtsps://`: certificates (PEM) trusted for this camera: its root, or its own. Empty: the
    /// system's roots.
    pub tls_roots: PathBuf,
    /// `rtsp`: how the media travels.
    pub transport: RtspTransport,
    /// `file`: the recording. `v4l2`: the device.
    pub path: PathBuf,
    /// `file`: play it again from the start when it ends.
    pub repeat: bool,
    /// Which frames are decoded for detection.
    pub detect_on: DetectOn,
    /// Detections per second at most.
    pub detect_rate: f64,
    /// Look at no frame in which nothing moves, unless one is wanted.
    pub motion_gate: bool,
    /// No frame for this long means stalled: the connection is made anew.
    pub stall_secs: f64,
    /// The camera's own serial number: what is stated where it does not tell one, and what it is held
    /// against where it does.
    pub serial: String,
    /// `rtsp`: where it is asked who it is; empty: at the device service of its own address,
    /// [`Camera::NO_ONVIF`]: not at all.
    pub onvif_url: String,
    /// Whether it looks at the same place for good.
    pub mount: Mount,
    /// On a pole: compass bearing it looks to, degrees; negative when not surveyed.
    pub bearing_deg: f32,
    /// Where the camera writes its clock into the picture: left, top, right, bottom, relative;
    /// empty when it does not.
    pub clock_area: Vec<f32>,
}

impl Camera {
    /// As `onvif_url`: it is not asked who it is.
    pub const NO_ONVIF: &str = "none";

    /// The URL as it may be told to others: up to where parameters begin, for some recorders will
    /// have user and password among them, in the query or in the path itself.
    pub fn told_url(&self) -> &str {
        without_parameters(&self.url)
    }
}

/// A URL, or a part of one, up to where parameters begin.
pub fn without_parameters(url: &str) -> &str {
    let end = url.find(['?', '&', '=', ';']);
    end.map_or(url, |end| url.split_at(end).0)
}

impl Default for Camera {
    fn default() -> Self {
        Self {
            name: String::new(),
            kind: CameraKind::Rtsp,
            url: String::new(),
            substream_url: String::new(),
            user: String::new(),
            password_file: PathBuf::new(),
            tls_roots: PathBuf::new(),
            transport: RtspTransport::Tcp,
            path: PathBuf::new(),
            repeat: false,
            detect_on: DetectOn::All,
            detect_rate: 5.0,
            motion_gate: false,
            stall_secs: 10.0,
            serial: String::new(),
            onvif_url: String::new(),
            mount: Mount::Auto,
            bearing_deg: -1.0,
            clock_area: Vec::new(),
        }
    }
}

/// What a camera is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CameraKind {
    /// A network camera.
    #[default]
    Rtsp,
    /// A recording, played in real time.
    File,
    /// A local capture device.
    V4l2,
}

/// How a camera is fastened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mount {
    /// As the source of the position says: moving with gpsd and MAVLink, else fixed.
    #[default]
    Auto,
    /// On a pole or wall.
    Fixed,
    /// On a vehicle or drone, or it pans.
    Moving,
    /// On the gimbal whose axis MAVLink tells.
    Gimbal,
}

/// How RTSP media travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RtspTransport {
    /// Interleaved in the RTSP connection.
    #[default]
    Tcp,
    /// Its own UDP ports.
    Udp,
}

/// Which frames are decoded for detection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DetectOn {
    /// Every frame is decoded, `detect_rate` of them are looked at.
    #[default]
    All,
    /// Key frames only: for weak boxes.
    KeyFrames,
}

/// `[model]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Model {
    /// The model card (`models/*.toml`).
    pub card: PathBuf,
    /// The ONNX Runtime shared library; empty means the one `make setup` or the package put in
    /// place, then the system's.
    pub runtime: PathBuf,
    /// Execution providers, best first; `cpu` always comes last by itself.
    pub execution_providers: Vec<ExecutionProvider>,
    /// Threads per inference. One is cheapest per frame.
    pub threads: usize,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            card: "../models/efficientdet-lite0.toml".into(),
            runtime: PathBuf::new(),
            execution_providers: vec![ExecutionProvider::Cpu],
            threads: 1,
        }
    }
}

/// ONNX Runtime execution providers that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionProvider {
    /// The built-in kernels.
    Cpu,
    /// XNNPACK (ARM).
    Xnnpack,
    /// NVIDIA CUDA.
    Cuda,
    /// NVIDIA TensorRT.
    Tensorrt,
    /// Arm Compute Library.
    Acl,
    /// Rockchip NPU.
    Rknpu,
    /// Huawei Ascend.
    Cann,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_parameter_of_a_url_is_told() {
        for (url, told) in [
            ("rtsp://10.0.0.21/stream1", "rtsp://10.0.0.21/stream1"),
            (
                "rtsp://10.0.0.21:554/user=admin&password=123456&channel=1&stream=0.sdp",
                "rtsp://10.0.0.21:554/user",
            ),
            (
                "rtsps://cam/live?username=a&password=123456",
                "rtsps://cam/live",
            ),
            ("rtsp://cam/live;pwd=123456", "rtsp://cam/live"),
            ("", ""),
        ] {
            let camera = Camera {
                url: url.to_owned(),
                ..Camera::default()
            };
            assert_eq!(camera.told_url(), told);
        }
    }
}

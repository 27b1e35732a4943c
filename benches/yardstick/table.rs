//! What was measured, as a markdown table.

use super::process::Memory;

/// One system's figures over its window.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) system: String,
    pub(crate) cameras: usize,
    /// CPU seconds per camera and minute.
    pub(crate) cpu: f64,
    /// Looks per second: of the camera that got fewest, and of the one that got most.
    pub(crate) rate: Option<(f64, f64)>,
    /// From sending a frame to its detections, milliseconds: median and 95 of 100.
    pub(crate) latency: Option<(f64, f64)>,
    pub(crate) memory: Memory,
    /// What else is worth saying.
    pub(crate) note: String,
}

/// The live limit, CPU seconds per stream and minute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) decode: f64,
    pub(crate) inference: f64,
}

impl Limit {
    fn whole(self) -> f64 {
        self.decode + self.inference
    }
}

/// Prints the head of the table.
pub(crate) fn head() {
    println!(
        "\n| system | cameras | CPU s / camera-minute | × live limit | looks/s | latency p50 / p95 ms \
         | RSS, peak MiB | |\n|---|---|---|---|---|---|---|---|"
    );
}

/// Prints one system.
pub(crate) fn row(row: &Row, limit: Limit) {
    let dash = || "–".to_owned();
    let rate = row.rate.map_or_else(dash, |(least, most)| {
        if row.cameras == 1 {
            format!("{least:.2}")
        } else {
            format!("{least:.2}–{most:.2}")
        }
    });
    let latency = row
        .latency
        .map_or_else(dash, |(half, most)| format!("{half:.0} / {most:.0}"));
    println!(
        "| {} | {} | {:.2} | {:.2} | {rate} | {latency} | {:.0}, {:.0} | {} |",
        row.system,
        row.cameras,
        row.cpu,
        row.cpu / limit.whole(),
        row.memory.resident,
        row.memory.peak,
        row.note,
    );
}

/// Prints what the limit is made of.
pub(crate) fn limit(limit: Limit, decodes: &[f64]) {
    let each: Vec<String> = decodes.iter().map(|cpu| format!("{cpu:.2}")).collect();
    println!(
        "\nlive limit = decoding alone {:.2} (runs: {}) + inference alone {:.2} = {:.2} CPU s per \
         stream-minute",
        limit.decode,
        each.join(", "),
        limit.inference,
        limit.whole(),
    );
}

//! The two halves of the live limit: receiving and decoding alone, inference alone.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use gstreamer as gst;
use gstreamer::prelude::*;
use lingmou::perceive::Card;
use ort::session::Session;
use ort::value::Tensor;
use rustix::time::{ClockId, clock_gettime};

/// Inferences per round.
const RUNS: u32 = 20;
/// Rounds; the least is taken, because other work on the machine only ever adds.
const ROUNDS: u32 = 8;
/// Where `make setup` puts the runtime.
const RUNTIME: &str = ".setup/onnxruntime/libonnxruntime.so";

/// Receives and decodes as a plain GStreamer pipeline does, with one thread, until killed.
pub(crate) fn decode(url: &str) -> anyhow::Result<()> {
    gst::init()?;
    let pipeline = gst::parse::launch(&format!(
        "rtspsrc location={url} protocols=tcp latency=0 ! rtph264depay ! h264parse \
         ! avdec_h264 max-threads=1 ! fakesink sync=false"
    ))?;
    pipeline.set_state(gst::State::Playing)?;
    let bus = pipeline.bus().context("a pipeline has a bus")?;
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(gst::ClockTime::NONE, &ends);
    bail!("decoding ended: {message:?}")
}

/// CPU seconds of a minute's inferences alone, so many a second, in a process of its own.
pub(crate) fn inferences(card: &Path, rate: f64) -> anyhow::Result<f64> {
    let output = Command::new(std::env::current_exe()?)
        .arg("infer")
        .arg(card)
        .stderr(std::process::Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let ms: f64 = text.trim().parse().context("inference alone")?;
    Ok(ms / 1e3 * rate * 60.0)
}

/// Runs the model on grey pictures and prints the least CPU milliseconds of one run.
pub(crate) fn infer(card: &Path) -> anyhow::Result<()> {
    let card = Card::read(card)?;
    let runtime = Path::new(env!("CARGO_MANIFEST_DIR")).join(RUNTIME);
    let environment = ort::init_from(runtime)?.with_telemetry(false).build()?;
    let words = |error: ort::Error<_>| anyhow::anyhow!("{error}");
    let mut session = Session::builder(&environment)?
        .with_intra_threads(1)
        .map_err(words)?
        .commit_from_file(card.model())?;
    let input = card.input();
    let pixels = vec![0.5_f32; 3 * input.height * input.width];
    let tensor = Tensor::from_array(([1, 3, input.height, input.width], pixels))?;
    let mut round = || -> anyhow::Result<f64> {
        let before = cpu_ms();
        for _ in 0..RUNS {
            session.run(ort::inputs![input.name.as_str() => &tensor])?;
        }
        Ok((cpu_ms() - before) / f64::from(RUNS))
    };
    round()?;
    let mut least = f64::INFINITY;
    for _ in 0..ROUNDS {
        least = least.min(round()?);
    }
    println!("{least}");
    Ok(())
}

/// CPU time of this process, milliseconds.
#[expect(clippy::cast_precision_loss, reason = "minutes of a benchmark")]
fn cpu_ms() -> f64 {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    t.tv_sec as f64 * 1e3 + t.tv_nsec as f64 / 1e6
}

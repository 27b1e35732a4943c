//! A model at work: a frame in, detections out.

use std::num::NonZeroUsize;

use ort::ErrorCode;
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::builder::SessionBuilder;
use ort::session::{IoBinding, NoSelectedOutputs, RunOptions, Session};
use ort::value::{Outlet, Tensor, TensorElementType, ValueType};

use crate::config;
use crate::config::ExecutionProvider;
use crate::types::{Detection, Image};

use super::card::{Card, Input};
use super::decode::{Decoder, Raw};
use super::error::ModelError;
use super::letterbox::Letterbox;
use super::providers::{self, Placements};
use super::runtime;

/// One model, opened once and run on every frame.
pub struct Detector {
    card: Card,
    providers: Vec<ExecutionProvider>,
    session: Session,
    binding: IoBinding,
    /// Outputs whose size differs from frame to frame.
    growing: Vec<String>,
    memory: MemoryInfo<'static>,
    options: RunOptions<NoSelectedOutputs>,
    /// The input tensor; every frame is drawn onto the same one.
    tensor: Tensor<f32>,
    letterbox: Letterbox,
    decoder: Decoder,
}

impl std::fmt::Debug for Detector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Detector({:?}, {:?})", self.card, self.providers)
    }
}

impl Detector {
    /// Opens the card's model, runs it once on a grey picture, and holds its tensors to the card.
    ///
    /// # Errors
    /// When there is no runtime, or when the model is not ONNX, is refused by the runtime, or
    /// has other inputs, outputs or classes than its card says. A provider that cannot be used is
    /// no error: it is warned of, and [`Detector::providers`] says what is used instead.
    pub fn open(config: &config::Model, mut card: Card) -> Result<Self, ModelError> {
        let environment = runtime::environment(&config.runtime)?;
        let bytes = card.take_bytes();
        let (mut session, providers) = commit(&environment, config, &card, &bytes)?;
        drop(bytes);
        check_input(&card, session.inputs())?;
        check_outputs(&card, session.outputs())?;
        let failed = |e: ort::Error| inference_error(&card, &e);

        let input = card.input();
        let shape = [1, 3, input.height, input.width];
        let mut tensor = Tensor::<f32>::new(&Allocator::default(), shape).map_err(failed)?;
        tensor.extract_tensor_mut().1.fill(f32::from(input.pad));
        let shapes = warm_up(&mut session, &card, &tensor)?;
        let decoder = Decoder::new(&card, &shapes).map_err(|problem| ModelError::Output {
            path: card.model().to_owned(),
            problem,
        })?;
        let memory = cpu_memory().map_err(failed)?;
        let (binding, growing) = bind(&session, &card, &shapes).map_err(failed)?;
        let mut options = RunOptions::new().map_err(failed)?;
        options.set_log_level(LogLevel::Warning).map_err(failed)?;
        tracing::info!(
            model = card.name(), width = input.width, height = input.height,
            providers = ?providers, threads = config.threads,
            "detector ready"
        );
        Ok(Self {
            letterbox: Letterbox::new(input.clone()),
            card,
            providers,
            session,
            binding,
            growing,
            memory,
            options,
            tensor,
            decoder,
        })
    }

    /// The card.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// The execution providers really used, best first; the CPU is always the last.
    pub fn providers(&self) -> &[ExecutionProvider] {
        &self.providers
    }

    /// What is in `image`, best first, down to [`Card::score_floor`]; what has no role comes last.
    ///
    /// # Errors
    /// [`ModelError::Frame`] when this frame cannot be looked at, [`ModelError::Inference`] when
    /// the runtime fails.
    pub fn detect(&mut self, image: &Image) -> Result<Vec<Detection>, ModelError> {
        let Self {
            card,
            session,
            binding,
            growing,
            memory,
            options,
            tensor,
            letterbox,
            decoder,
            ..
        } = self;
        let fit = letterbox.draw(image, tensor.extract_tensor_mut().1)?;
        let failed = |e: ort::Error| inference_error(card, &e);
        // Bound anew each time: on a device of its own, binding is what copies the frame there.
        // On the CPU it only names the tensor.
        binding
            .bind_input(card.input().name.as_str(), tensor)
            .map_err(failed)?;
        for name in growing.iter() {
            // What was bound by the last frame has that frame's size and would be refused.
            binding
                .bind_output_to_device(name.as_str(), memory)
                .map_err(failed)?;
        }
        let outputs = session
            .run_binding_with_options(binding, options)
            .map_err(failed)?;
        let mut raw = Vec::with_capacity(outputs.len());
        for name in card.format().outputs() {
            let value = outputs.get(name).ok_or_else(|| missing(card, name))?;
            let (shape, data) = value.try_extract_tensor::<f32>().map_err(failed)?;
            raw.push(Raw { shape, data });
        }
        Ok(decoder.decode(&raw, fit))
    }
}

/// Makes the session with what of the asked providers can be used.
fn commit(
    environment: &Environment,
    config: &config::Model,
    card: &Card,
    bytes: &[u8],
) -> Result<(Session, Vec<ExecutionProvider>), ModelError> {
    let threads = NonZeroUsize::new(config.threads).unwrap_or(NonZeroUsize::MIN);
    let make = |asked: &[ExecutionProvider]| -> Result<_, ort::Error> {
        let xnnpack = asked.contains(&ExecutionProvider::Xnnpack);
        let own_threads = if xnnpack { NonZeroUsize::MIN } else { threads };
        let mut builder = builder(environment, own_threads)?;
        let registered = providers::register(&mut builder, asked, threads);
        let placements = Placements::default();
        if !registered.is_empty() {
            builder = builder
                .with_log_level(LogLevel::Verbose)?
                .with_logger(placements.logger())?;
        }
        Ok((builder.commit_from_memory(bytes)?, registered, placements))
    };
    let wants_more = (config.execution_providers.iter()).any(|p| *p != ExecutionProvider::Cpu);
    let (session, registered, placements) = match make(&config.execution_providers) {
        Ok(made) => made,
        Err(error) if wants_more => {
            // The model itself may be at fault; then the CPU says the same.
            let made = make(&[]).map_err(|e| refusal(card, &e))?;
            tracing::warn!(
                model = card.name(), %error,
                "the execution providers refuse the model, the CPU runs it"
            );
            made
        }
        Err(error) => return Err(refusal(card, &error)),
    };
    Ok((session, used(card.name(), registered, &placements)))
}

/// Makes x86 processors without VNNI add int8 products exactly (`onnxruntime_session_options_
/// config_keys.h`). Without it their 16-bit sums clip: the default model then finds three
/// quarters of what it finds elsewhere, for a third less time. Others ignore it.
const EXACT_INT8: &str = "session.x64quantprecision";

/// The session's settings: few threads that do not spin, because cycles are the camera's.
///
/// The memory arena and its pattern stay on; it is the environment's (`runtime`).
fn builder(environment: &Environment, threads: NonZeroUsize) -> Result<SessionBuilder, ort::Error> {
    Ok(Session::builder(environment)?
        .with_log_level(LogLevel::Warning)?
        .with_intra_threads(threads.get())?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        .with_env_allocators()?
        .with_config_entry(EXACT_INT8, "1")?)
}

/// The registered providers that are known to have got at least one node of `model`, and the CPU.
fn used(
    model: &str,
    registered: Vec<ExecutionProvider>,
    placements: &Placements,
) -> Vec<ExecutionProvider> {
    let mut used = Vec::new();
    for provider in registered {
        match placements.nodes(provider) {
            None => tracing::warn!(
                provider = providers::name(provider),
                model,
                "execution provider is there; this ONNX Runtime does not tell whether it takes a part"
            ),
            Some(0) => tracing::warn!(
                provider = providers::name(provider),
                model,
                "execution provider takes no part of this model, the next one does"
            ),
            Some(nodes) => {
                tracing::info!(
                    provider = providers::name(provider),
                    model,
                    nodes,
                    on_cpu = placements.nodes(ExecutionProvider::Cpu),
                    "execution provider in use"
                );
                used.push(provider);
            }
        }
    }
    used.push(ExecutionProvider::Cpu);
    used
}

/// Why no session could be made of the model.
fn refusal(card: &Card, error: &ort::Error) -> ModelError {
    let path = card.model().to_owned();
    let reason = error.message().to_owned();
    if error.code() == ErrorCode::InvalidProtobuf {
        ModelError::NotOnnx { path, reason }
    } else {
        ModelError::Refused { path, reason }
    }
}

/// The runtime failed.
fn inference_error(card: &Card, error: &ort::Error) -> ModelError {
    ModelError::Inference {
        model: card.name().to_owned(),
        reason: error.message().to_owned(),
    }
}

/// An output that was there at start is gone.
fn missing(card: &Card, output: &str) -> ModelError {
    ModelError::Inference {
        model: card.name().to_owned(),
        reason: format!("no output {output:?}"),
    }
}

/// Refuses a model that wants another input than its card says.
fn check_input(card: &Card, inputs: &[Outlet]) -> Result<(), ModelError> {
    let Input {
        name,
        width,
        height,
        ..
    } = card.input();
    let bad = |problem: String| ModelError::Input {
        path: card.model().to_owned(),
        problem,
    };
    let [input] = inputs else {
        let names: Vec<&str> = inputs.iter().map(Outlet::name).collect();
        return Err(bad(format!(
            "one input is expected, the model has {}: {names:?}",
            names.len()
        )));
    };
    if input.name() != name {
        return Err(bad(format!(
            "the card calls the input {name:?}, the model {:?}",
            input.name()
        )));
    }
    let shape: Vec<i64> = input.dtype().tensor_shape().map_or(vec![], |s| s.to_vec());
    let fits = |(have, want): (&i64, usize)| *have < 0 || usize::try_from(*have) == Ok(want);
    let wanted = [1, 3, *height, *width];
    let same = shape.len() == wanted.len() && shape.iter().zip(wanted).all(fits);
    if !same || input.dtype().tensor_type() != Some(TensorElementType::Float32) {
        return Err(bad(format!(
            "input {name:?} is expected to be float32 {wanted:?}, the model wants {}",
            input.dtype()
        )));
    }
    Ok(())
}

/// Refuses a model that lacks an output the card names, or gives no floats there.
fn check_outputs(card: &Card, outputs: &[Outlet]) -> Result<(), ModelError> {
    let bad = |problem: String| ModelError::Output {
        path: card.model().to_owned(),
        problem,
    };
    for name in card.format().outputs() {
        let Some(output) = outputs.iter().find(|o| o.name() == name) else {
            let names: Vec<&str> = outputs.iter().map(Outlet::name).collect();
            return Err(bad(format!(
                "the card names the output {name:?}, the model has {names:?}"
            )));
        };
        let is_float = matches!(
            output.dtype(),
            ValueType::Tensor {
                ty: TensorElementType::Float32,
                ..
            }
        );
        if !is_float {
            return Err(bad(format!(
                "output {name:?} is expected to be float32, it is {}",
                output.dtype()
            )));
        }
    }
    Ok(())
}

/// Runs the model once and gives its outputs' shapes.
fn warm_up(
    session: &mut Session,
    card: &Card,
    tensor: &Tensor<f32>,
) -> Result<Vec<Vec<i64>>, ModelError> {
    let failed = |e: ort::Error| inference_error(card, &e);
    let outputs = session
        .run(ort::inputs![card.input().name.as_str() => tensor])
        .map_err(failed)?;
    let shape = |name: &str| {
        let value = outputs.get(name).ok_or_else(|| missing(card, name))?;
        let (shape, _) = value.try_extract_tensor::<f32>().map_err(failed)?;
        Ok(shape.to_vec())
    };
    card.format().outputs().into_iter().map(shape).collect()
}

/// Binds the outputs of fixed shape to tensors of ours, so that nothing is allocated per frame;
/// gives the names of the others with the binding.
fn bind(
    session: &Session,
    card: &Card,
    shapes: &[Vec<i64>],
) -> Result<(IoBinding, Vec<String>), ort::Error> {
    let mut binding = session.create_binding()?;
    let mut growing = Vec::new();
    for (name, shape) in card.format().outputs().into_iter().zip(shapes) {
        let declared = session.outputs().iter().find(|o| o.name() == name);
        let fixed = declared.and_then(|o| o.dtype().tensor_shape());
        if fixed.is_some_and(|declared| declared.iter().eq(shape)) {
            let tensor = Tensor::<f32>::new(&Allocator::default(), shape.as_slice())?;
            binding.bind_output(name, tensor)?;
        } else {
            growing.push(name.to_owned());
        }
    }
    Ok((binding, growing))
}

/// The memory that outputs are wanted in.
fn cpu_memory() -> Result<MemoryInfo<'static>, ort::Error> {
    MemoryInfo::new(
        AllocationDevice::CPU,
        0,
        AllocatorType::Device,
        MemoryType::CPUOutput,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A release of the runtime that says nothing of placements.
    #[test]
    fn what_the_runtime_does_not_tell_is_not_said_to_be_in_use() {
        use ExecutionProvider::{Cpu, Cuda, Xnnpack};
        let placements = Placements::default();
        let of_both = || used("a model", vec![Cuda, Xnnpack], &placements);
        assert_eq!(of_both(), [Cpu]);
        let told = " Node(s) placed on [XnnpackExecutionProvider]. Number of nodes: 3";
        placements.logger()(LogLevel::Verbose, "", "", "", told);
        assert_eq!(of_both(), [Xnnpack, Cpu]);
    }
}

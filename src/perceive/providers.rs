//! Execution providers: which are asked for, and which are really used.
//!
//! A provider can be missing in three ways, found out one after the other: the library was built
//! without it, or lacks its companion library (registration fails); its device does not answer
//! (the session cannot be made); it takes none of the model's operators (everything lands on the
//! CPU, and nobody says so). The last is only visible in the runtime's verbose log, where it
//! counts the nodes each provider got; that line is read here.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use ort::ep::{self, ExecutionProviderDispatch};
use ort::logging::{LogLevel, LoggerFunction};
use ort::session::builder::SessionBuilder;

use crate::config::ExecutionProvider;
use crate::types::lock;

use super::runtime;

/// The provider's name as ONNX Runtime writes it.
pub(super) fn name(provider: ExecutionProvider) -> &'static str {
    match provider {
        ExecutionProvider::Cpu => "CPUExecutionProvider",
        ExecutionProvider::Xnnpack => "XnnpackExecutionProvider",
        ExecutionProvider::Cuda => "CUDAExecutionProvider",
        ExecutionProvider::Tensorrt => "TensorrtExecutionProvider",
        ExecutionProvider::Acl => "ACLExecutionProvider",
        ExecutionProvider::Rknpu => "RknpuExecutionProvider",
        ExecutionProvider::Cann => "CANNExecutionProvider",
    }
}

/// Registers what of `asked` can be registered, in order; gives those that took it.
///
/// One that cannot is warned of and left out. The CPU is always there and needs no registration.
pub(super) fn register(
    builder: &mut SessionBuilder,
    asked: &[ExecutionProvider],
    threads: NonZeroUsize,
) -> Vec<ExecutionProvider> {
    let mut registered = Vec::new();
    for provider in asked {
        let Some(dispatch) = dispatch(*provider, threads) else {
            // What stands behind the CPU in the list would never get a node.
            break;
        };
        match dispatch.register(builder) {
            Ok(()) => registered.push(*provider),
            Err(error) => tracing::warn!(
                provider = name(*provider), %error,
                "execution provider cannot be used, the next one takes its place"
            ),
        }
    }
    registered
}

/// The provider with its settings; `None` for the CPU.
fn dispatch(
    provider: ExecutionProvider,
    threads: NonZeroUsize,
) -> Option<ExecutionProviderDispatch> {
    Some(match provider {
        ExecutionProvider::Cpu => return None,
        // It brings its own threads; the session's stay at one beside them.
        ExecutionProvider::Xnnpack => ep::XNNPACK::default()
            .with_intra_op_num_threads(threads)
            .build(),
        ExecutionProvider::Cuda => ep::CUDA::default().build(),
        ExecutionProvider::Tensorrt => ep::TensorRT::default().build(),
        ExecutionProvider::Acl => ep::ACL::default().build(),
        ExecutionProvider::Rknpu => ep::RKNPU::default().build(),
        ExecutionProvider::Cann => ep::CANN::default().build(),
    })
}

/// Nodes each provider got, by the runtime's name of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Placements(Arc<Mutex<Vec<(String, usize)>>>);

impl Placements {
    /// A logger for a session that is made at verbose level: remembers the placements, passes
    /// warnings and errors on, and drops the flood.
    pub(super) fn logger(&self) -> LoggerFunction {
        let placements = self.clone();
        Arc::new(move |level, category, id, location, message| {
            if let Some((provider, nodes)) = placement(message) {
                let mut known = lock(&placements.0);
                known.push((provider.to_owned(), nodes));
            }
            if !matches!(level, LogLevel::Verbose | LogLevel::Info) {
                runtime::log(level, category, id, location, message);
            }
        })
    }

    /// Nodes that `provider` got; `None` when the runtime said nothing of placements at all.
    pub(super) fn nodes(&self, provider: ExecutionProvider) -> Option<usize> {
        let known = lock(&self.0);
        if known.is_empty() {
            return None;
        }
        let of_it = known.iter().filter(|(n, _)| n == name(provider));
        Some(of_it.map(|(_, nodes)| nodes).sum())
    }
}

/// Reads `… placed on [SomeProvider]. Number of nodes: 12`.
fn placement(message: &str) -> Option<(&str, usize)> {
    let (_, rest) = message.split_once("placed on [")?;
    let (provider, rest) = rest.split_once(']')?;
    let (_, count) = rest.split_once("Number of nodes:")?;
    Some((provider, count.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ort::session::Session;

    use super::*;

    #[test]
    fn placements_are_read_from_the_runtimes_words() {
        let table = [
            (
                " All nodes placed on [CPUExecutionProvider]. Number of nodes: 214",
                Some(("CPUExecutionProvider", 214)),
            ),
            (
                " Node(s) placed on [XnnpackExecutionProvider]. Number of nodes: 3",
                Some(("XnnpackExecutionProvider", 3)),
            ),
            ("Node placements", None),
            ("placed on [X]. Number of nodes: many", None),
        ];
        for (message, expected) in table {
            assert_eq!(placement(message), expected, "{message}");
        }
    }

    /// The words are the runtime's, not its interface: a release that changes them fails here.
    #[test]
    fn the_runtime_at_hand_tells_its_placements() {
        let environment =
            runtime::environment(Path::new("")).expect("ONNX Runtime (run: make setup)");
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models/yolox.onnx");
        let placements = Placements::default();
        let session = Session::builder(&environment)
            .expect("a builder")
            .with_log_level(LogLevel::Verbose)
            .expect("a level")
            .with_logger(placements.logger())
            .expect("a logger")
            .commit_from_file(model);
        assert!(session.is_ok());
        assert_eq!(placements.nodes(ExecutionProvider::Cuda), Some(0));
        assert!(placements.nodes(ExecutionProvider::Cpu) > Some(0));
    }

    #[test]
    fn a_provider_without_nodes_is_told_from_silence() {
        let placements = Placements::default();
        assert_eq!(placements.nodes(ExecutionProvider::Cuda), None);
        let log = placements.logger();
        log(
            LogLevel::Verbose,
            "",
            "",
            "",
            " All nodes placed on [CPUExecutionProvider]. Number of nodes: 7",
        );
        assert_eq!(placements.nodes(ExecutionProvider::Cuda), Some(0));
        assert_eq!(placements.nodes(ExecutionProvider::Cpu), Some(7));
    }
}

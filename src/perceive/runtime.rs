//! Finds and loads ONNX Runtime's shared library; one per process, and none that was not told to
//! keep to itself what it sees ([`NO_REPORTS`]).

use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ort::AsPointer;
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};

use super::error::ModelError;
use crate::types::lock;

/// The library's file name, also as the system's linker knows it.
const LIBRARY: &str = "libonnxruntime.so";
/// Where `make setup` puts it, below the project's root.
const SET_UP: &str = ".setup/onnxruntime/libonnxruntime.so";
/// Where the package puts it.
const PACKAGED: &str = "/usr/lib/lingmou/libonnxruntime.so";

/// Variable of the environment, and its value, without which no runtime is loaded.
///
/// From 1.29 on, ONNX Runtime as it is published for Linux tells Microsoft by HTTPS in which process it runs,
/// on which machine and with which models, and keeps what it could not send on the disk. The first report goes out
/// while the library is set up, before any of its calls could forbid it; only this variable does
/// (`docs/Privacy.md` of 1.29, "`ORT_DISABLE_TELEMETRY`"). Earlier versions do not look at it. Decision 0076.
pub const NO_REPORTS: (&str, &str) = ("ORT_DISABLE_TELEMETRY", "1");

/// What was loaded. The runtime allows one environment per process, for its whole life.
static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// The runtime's environment; loads the library the first time.
///
/// `configured` is `[model] runtime`: when it is not empty, only there is looked.
pub(super) fn environment(configured: &Path) -> Result<Environment, ModelError> {
    let mut loaded = lock(&LOADED);
    if let Some((path, environment)) = &*loaded {
        if !configured.as_os_str().is_empty() && configured != path {
            tracing::warn!(
                loaded = %path.display(), asked = %configured.display(),
                "another ONNX Runtime is already loaded, it stays"
            );
        }
        return Ok(environment.clone());
    }
    let (name, value) = NO_REPORTS;
    if std::env::var_os(name).is_none_or(|is| is != value) {
        return Err(ModelError::Reports);
    }
    let mut looked = Vec::new();
    for path in candidates(configured) {
        match load(&path) {
            Ok(environment) => {
                tracing::info!(
                    path = %path.display(), build = ort::info(),
                    "ONNX Runtime loaded"
                );
                *loaded = Some((path, environment.clone()));
                return Ok(environment);
            }
            Err(why) => looked.push(format!("{} ({why})", path.display())),
        }
    }
    Err(ModelError::Runtime {
        looked: looked.join(", "),
    })
}

/// Where the library may be, best first.
fn candidates(configured: &Path) -> Vec<PathBuf> {
    if !configured.as_os_str().is_empty() {
        return vec![configured.to_owned()];
    }
    let mut paths = Vec::new();
    let executable = std::env::current_exe().unwrap_or_default();
    if let Some(dir) = executable.parent() {
        paths.push(dir.join(LIBRARY));
    }
    if let Ok(dir) = std::env::current_dir() {
        paths.push(dir.join(SET_UP));
    }
    paths.extend(executable.ancestors().skip(1).map(|dir| dir.join(SET_UP)));
    paths.push(PACKAGED.into());
    let mut once = Vec::new();
    paths.retain(|path| {
        let new = !once.contains(path);
        if new {
            once.push(path.clone());
        }
        new
    });
    // Last, and without a folder: the linker's own search.
    paths.push(LIBRARY.into());
    paths
}

/// Loads the library at `path`, or says why not.
fn load(path: &Path) -> Result<Environment, String> {
    let plain_name = path.parent().is_none_or(|p| p.as_os_str().is_empty());
    if !plain_name && !path.exists() {
        return Err("not there".to_owned());
    }
    // Relative paths would be taken from the executable's folder first.
    let path = if plain_name {
        path.to_owned()
    } else {
        std::path::absolute(path).map_err(|e| e.to_string())?
    };
    let environment = ort::init_from(path)
        .map_err(|e| e.to_string())?
        .with_name("lingmou")
        .with_telemetry(false)
        .with_logger(Arc::new(log))
        .build()
        .map_err(|e| e.to_string())?;
    environment.set_log_level(LogLevel::Warning);
    if let Err(error) = share_arena(&environment) {
        tracing::debug!(%error, "each model gets an arena of its own");
    }
    Ok(environment)
}

/// Room that the arena of all models takes at once, bytes: more than the shipped model ever uses. What
/// no model writes to is only an address; a larger model gets more.
const ARENA: c_int = 32 << 20;

/// Gives the runtime one arena for what models compute on the processor, in one piece.
///
/// Left to itself each session has an arena that begins with one mebibyte and doubles: the
/// shipped model's large buffers do not fit into the first pieces, which stay empty but were
/// written to. Decision 0075 has the figures.
#[expect(
    unsafe_code,
    reason = "the binding has the calls but no safe words for them"
)]
fn share_arena(environment: &Environment) -> Result<(), ort::Error> {
    // As the header names them: no limit, the runtime's own way to grow, and when to split.
    const NO_LIMIT: usize = 0;
    const DEFAULT: c_int = -1;
    let memory = MemoryInfo::new(
        AllocationDevice::CPU,
        0,
        AllocatorType::Arena,
        MemoryType::Default,
    )?;
    let api = ort::api();
    let mut settings = std::ptr::null_mut();
    // SAFETY: the environment, the memory's name and the settings live until the calls return,
    // which copy what they need of them; the settings are read only after they were made, are given
    // back once, and nobody else has them. A status is handed on once, to who releases it.
    unsafe {
        let made = (api.CreateArenaCfg)(NO_LIMIT, DEFAULT, ARENA, DEFAULT, &raw mut settings);
        ort::Error::result_from_status(made)?;
        let registered =
            (api.CreateAndRegisterAllocator)(environment.ptr().cast_mut(), memory.ptr(), settings);
        (api.ReleaseArenaCfg)(settings);
        ort::Error::result_from_status(registered)
    }
}

/// Passes the runtime's own words on. What matters comes back as an error as well; its warnings
/// are about graph details and missing graphics cards, for those who look for them.
pub(super) fn log(level: LogLevel, _category: &str, id: &str, location: &str, message: &str) {
    match level {
        LogLevel::Error | LogLevel::Fatal => {
            tracing::warn!(
                session = id,
                location,
                said = message,
                "ONNX Runtime complains"
            );
        }
        LogLevel::Verbose | LogLevel::Info | LogLevel::Warning => {
            tracing::debug!(session = id, location, said = message, "ONNX Runtime notes");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_path_is_the_only_one_looked_at() {
        assert_eq!(
            candidates(Path::new("/opt/x.so")),
            [PathBuf::from("/opt/x.so")]
        );
    }

    #[test]
    fn without_one_every_known_place_is_looked_at_once_and_the_system_last() {
        let paths = candidates(Path::new(""));
        let set_up = std::env::current_dir()
            .expect("a working folder")
            .join(SET_UP);
        assert_eq!(paths.iter().filter(|p| **p == set_up).count(), 1);
        assert!(paths.contains(&PathBuf::from(PACKAGED)));
        assert_eq!(paths.last(), Some(&PathBuf::from(LIBRARY)));
    }

    /// Without it the daemon works as well, and nobody would notice that it takes more.
    #[test]
    fn the_runtime_at_hand_takes_the_arena() {
        let environment = environment(Path::new("")).expect("ONNX Runtime (run: make setup)");
        share_arena(&environment).expect("an arena");
    }

    #[test]
    fn what_cannot_be_loaded_says_why() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let absent = load(&dir.path().join(LIBRARY)).expect_err("not there");
        assert_eq!(absent, "not there");
        // Not a library at all: this test's own source.
        let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let refused = load(&text).expect_err("not a library");
        // Where all tests share a process, another may have loaded the one there can be.
        let taken = LOADED.lock().is_ok_and(|loaded| loaded.is_some());
        assert!(taken || refused.contains("Cargo.toml"), "{refused}");
    }
}

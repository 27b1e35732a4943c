//! A package as files in memory: read from a folder or an ASiC-E zip, written as one.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write as _};
use std::path::{Path, PathBuf};

use zip::read::{ArchiveOffset, Config};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::name::{NameError, check_name};
use super::{ASIC_E, MANIFEST, MIMETYPE, SIGNATURE, STATEMENT, zip_end};

/// Folder of what signs a package.
const META_INF: &str = "META-INF";
/// Deepest folder read below a package's own.
const DEPTH_MAX: usize = 3;
/// How much of a foreign container is taken into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of all files together, and of the zip itself.
    pub bytes_max: u64,
    /// Most files.
    pub entries_max: usize,
}

impl Limits {
    /// A whole package: pictures and a clip.
    pub const PACKAGE: Self = Self {
        bytes_max: 256 << 20,
        entries_max: 256,
    };
    /// A package's head: statement and META-INF only.
    pub const HEAD: Self = Self {
        bytes_max: 1 << 20,
        entries_max: 32,
    };
}

/// Why a container cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The disk or folder failed; says nothing about the package.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It has nothing of a package; says nothing about any.
    #[error("{} is no evidence package; give a package's folder or its .asice file", .0.display())]
    NoPackage(PathBuf),
    /// It is not a zip of the plain kind, or it is cut off or damaged.
    #[error("not a readable package: {0}")]
    Form(String),
    /// A file has an illegal name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Two files have the same name.
    #[error("{name} occurs twice in the package")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// Something is not a plain file.
    #[error("{name} is a {what}; a package holds plain, stored files only")]
    NotPlain {
        /// The name.
        name: String,
        /// What it is.
        what: &'static str,
    },
    /// A limit is exceeded.
    #[error("the package has more than {max} {unit}; refused unread")]
    TooLarge {
        /// The limit.
        max: u64,
        /// What is counted.
        unit: &'static str,
    },
}

/// The files of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    files: BTreeMap<String, Vec<u8>>,
}

impl Container {
    /// An empty container.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file; a name may be used once.
    pub fn insert(&mut self, name: &str, bytes: Vec<u8>) -> Result<(), ContainerError> {
        check_name(name)?;
        if self.files.contains_key(name) {
            return Err(ContainerError::Duplicate {
                name: name.to_owned(),
            });
        }
        self.files.insert(name.to_owned(), bytes);
        Ok(())
    }

    /// The bytes of file `name`.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }

    /// Every file, in the order of its name's bytes.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
    }

    /// What a receiver needs to judge the case before the pictures come: `mimetype`,
    /// `evidence.json`, manifest and signature.
    #[must_use]
    pub fn head(&self) -> Self {
        let head = [MIMETYPE, STATEMENT, MANIFEST, SIGNATURE];
        let files = self
            .files
            .iter()
            .filter(|(name, _)| head.contains(&name.as_str()));
        Self {
            files: files.map(|(n, b)| (n.clone(), b.clone())).collect(),
        }
    }

    /// Reads a package: a folder, or a file with a zip in it.
    pub fn open(path: &Path) -> Result<Self, ContainerError> {
        let io = |source| io_error(path, source);
        let meta = std::fs::metadata(path).map_err(io)?;
        if meta.is_dir() {
            let lacks = |part| path.join(part).try_exists().is_ok_and(|there| !there);
            return if [MIMETYPE, STATEMENT, META_INF].into_iter().all(lacks) {
                Err(ContainerError::NoPackage(path.to_owned()))
            } else {
                Self::from_dir(path)
            };
        }
        let limits = Limits::PACKAGE;
        if meta.len() > limits.bytes_max {
            return Err(too_many_bytes(limits));
        }
        let mut bytes = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(limits.bytes_max + 1).read_to_end(&mut bytes))
            .map_err(io)?;
        if !zip_end::is_like_a_zip(&bytes) {
            return Err(ContainerError::NoPackage(path.to_owned()));
        }
        Self::from_zip(&bytes, limits)
    }

    /// Reads the folder of a package, at most [`Limits::PACKAGE`] of it. Links are refused.
    pub fn from_dir(path: &Path) -> Result<Self, ContainerError> {
        let mut container = Self::new();
        let mut budget = Budget::new(Limits::PACKAGE);
        container.add_dir(path, "", 0, &mut budget)?;
        Ok(container)
    }

    fn add_dir(
        &mut self,
        dir: &Path,
        prefix: &str,
        depth: usize,
        budget: &mut Budget,
    ) -> Result<(), ContainerError> {
        if depth > DEPTH_MAX {
            return Err(ContainerError::Form(format!(
                "{prefix} lies deeper than {DEPTH_MAX} folders"
            )));
        }
        for entry in std::fs::read_dir(dir).map_err(|e| io_error(dir, e))? {
            let entry = entry.map_err(|e| io_error(dir, e))?;
            let path = entry.path();
            let part = entry.file_name();
            let part = part.to_string_lossy();
            let name = format!("{prefix}{part}");
            let kind = entry.file_type().map_err(|e| io_error(&path, e))?;
            if kind.is_dir() {
                self.add_dir(&path, &format!("{name}/"), depth + 1, budget)?;
                continue;
            }
            if !kind.is_file() {
                return Err(ContainerError::NotPlain {
                    name,
                    what: "link or device",
                });
            }
            let mut bytes = Vec::new();
            std::fs::File::open(&path)
                .and_then(|file| file.take(budget.bytes_left() + 1).read_to_end(&mut bytes))
                .map_err(|e| io_error(&path, e))?;
            budget.take(bytes.len() as u64)?;
            self.insert(&name, bytes)?;
        }
        Ok(())
    }

    /// Reads a zip whose entries are all stored, within `limits`.
    pub fn from_zip(zip: &[u8], limits: Limits) -> Result<Self, ContainerError> {
        if zip.len() as u64 > limits.bytes_max {
            return Err(too_many_bytes(limits));
        }
        let start = zip_end::directory(zip, limits)?;
        let form = |e: zip::result::ZipError| ContainerError::Form(e.to_string());
        let config = Config {
            archive_offset: ArchiveOffset::Known(0),
        };
        let mut archive = ZipArchive::with_config(config, Cursor::new(zip)).map_err(form)?;
        if archive.central_directory_start() != start {
            return Err(zip_end::another_directory());
        }
        // Refuses what two readers could read as two packages: one name twice, a local header
        // that tells another story than the directory, entries that overlap or are unlisted.
        archive.validate_header_consistency().map_err(form)?;
        let mut container = Self::new();
        let mut budget = Budget::new(limits);
        let mut behind = 0;
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).map_err(form)?;
            let name = std::str::from_utf8(entry.name_raw())
                .map_err(|_invalid| ContainerError::Form("a name is not UTF-8".to_owned()))?
                .to_owned();
            check_name(&name)?;
            if let Some(what) = not_plain(&entry) {
                return Err(ContainerError::NotPlain { name, what });
            }
            // EN 319 162-1 annex A.1; and the file is no other one to whoever looks at its beginning.
            if index == 0 && name != MIMETYPE {
                let why = format!("{name} comes first, not {MIMETYPE}");
                return Err(ContainerError::Form(why));
            }
            let ends = entry.data_start().zip(Some(entry.compressed_size()));
            let ends = ends.and_then(|(at, size)| at.checked_add(size));
            let Some(end) = ends.filter(|_| entry.header_start() == behind) else {
                return Err(ContainerError::Form(format!(
                    "there is something before {name}"
                )));
            };
            behind = end;
            budget.take(entry.size())?;
            let mut bytes = Vec::new();
            entry
                .by_ref()
                .take(limits.bytes_max)
                .read_to_end(&mut bytes)
                .map_err(|e| ContainerError::Form(format!("{name} cannot be read: {e}")))?;
            if bytes.len() as u64 != entry.size() {
                return Err(ContainerError::Form(format!("{name} is cut off")));
            }
            container.insert(&name, bytes)?;
        }
        if behind != start {
            let why = "there is something before its directory";
            return Err(ContainerError::Form(why.to_owned()));
        }
        Ok(container)
    }

    /// Writes the ASiC-E zip: entries stored, dated 1980-01-01, mode 0644, `mimetype` first and
    /// the others in the order of their names' bytes. Equal files give equal bytes.
    pub fn to_zip(&self) -> Vec<u8> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::default())
            .unix_permissions(0o644);
        let first = self.files.get_key_value(MIMETYPE);
        let others = self.files.iter().filter(|(name, _)| *name != MIMETYPE);
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in first.into_iter().chain(others) {
            writer
                .start_file(name.as_str(), options)
                .and_then(|()| Ok(writer.write_all(bytes)?))
                .expect("invariant: names are checked and unique, memory does not fail");
        }
        writer
            .finish()
            .expect("invariant: memory does not fail")
            .into_inner()
    }

    /// Whether `mimetype` says ASiC-E, and nothing else.
    pub(super) fn is_asic_e(&self) -> bool {
        self.get(MIMETYPE) == Some(ASIC_E.as_bytes())
    }
}

fn io_error(path: &Path, source: std::io::Error) -> ContainerError {
    ContainerError::Io {
        path: path.to_owned(),
        source,
    }
}

fn not_plain<R: Read>(entry: &zip::read::ZipFile<'_, R>) -> Option<&'static str> {
    if entry.encrypted() {
        Some("encrypted file")
    } else if entry.is_symlink() {
        Some("link")
    } else if entry.is_dir() {
        Some("folder")
    } else if entry.compression() != CompressionMethod::Stored {
        Some("compressed file")
    } else {
        None
    }
}

pub(super) fn too_many_files(limits: Limits) -> ContainerError {
    ContainerError::TooLarge {
        max: limits.entries_max as u64,
        unit: "files",
    }
}

fn too_many_bytes(limits: Limits) -> ContainerError {
    ContainerError::TooLarge {
        max: limits.bytes_max,
        unit: "bytes",
    }
}

/// What may still be read.
struct Budget {
    limits: Limits,
    bytes: u64,
    entries: usize,
}

impl Budget {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            bytes: 0,
            entries: 0,
        }
    }

    fn bytes_left(&self) -> u64 {
        self.limits.bytes_max.saturating_sub(self.bytes)
    }

    /// Books one file of `size` bytes.
    fn take(&mut self, size: u64) -> Result<(), ContainerError> {
        self.entries += 1;
        if self.entries > self.limits.entries_max {
            return Err(too_many_files(self.limits));
        }
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.limits.bytes_max {
            return Err(too_many_bytes(self.limits));
        }
        Ok(())
    }
}

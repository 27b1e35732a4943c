//! What the C2PA manifests inside pictures and clip are worth to a verifier.
//!
//! They inform, they do not decide: the package's own digests cover the same bytes, and a program
//! built without C2PA must come to the same verdict.

use serde::Serialize;

use super::chain::Roots;
use super::container::Container;
use super::verdict::Verdict;
use super::wording::{Language, Wording, fill, name_of, word};

/// How a file's manifest was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialState {
    /// The file has none.
    Absent,
    /// It fits the file and was signed under one of the roots.
    Trusted,
    /// It fits the file, but who signed it is not known to the roots.
    Untrusted,
    /// It does not fit the file, its certificate has run out, or it cannot be read.
    Broken,
}

/// What a file's manifest is worth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Credential {
    /// How it was found.
    pub state: CredentialState,
    /// What is wrong: C2PA status codes, or why it cannot be read. Each once.
    pub faults: Vec<String>,
}

#[cfg(feature = "c2pa")]
impl Credential {
    pub(super) fn new(state: CredentialState, faults: impl IntoIterator<Item = String>) -> Self {
        let mut faults: Vec<String> = faults.into_iter().collect();
        faults.sort();
        faults.dedup();
        Self { state, faults }
    }

    pub(super) fn absent() -> Self {
        Self::new(CredentialState::Absent, [])
    }
}

/// A file of a package with its manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileCredential {
    /// Name in the package.
    pub name: String,
    /// What its manifest is worth.
    pub credential: Credential,
}

/// The manifests in the pictures and the clip of a package that was found valid; `None`, not
/// checked, for any other and from a program built without C2PA. Only bytes that a trusted device
/// signed come before the reader of pictures.
#[cfg(feature = "c2pa")]
pub fn credentials(
    container: &Container,
    verdict: &Verdict,
    roots: &Roots,
) -> Option<Vec<FileCredential>> {
    let statement = verdict.statement.as_ref().filter(|_| verdict.valid())?;
    let carries = |media_type: &str| ["image/jpeg", "video/mp4"].contains(&media_type);
    let files = statement.files.iter().filter(|f| carries(&f.media_type));
    let found = files.filter_map(|file| {
        let bytes = container.get(&file.name)?;
        Some(FileCredential {
            name: file.name.clone(),
            credential: super::c2pa::examine(bytes, &file.media_type, roots),
        })
    });
    Some(found.collect())
}

/// `None`: this program was built without C2PA.
#[cfg(not(feature = "c2pa"))]
pub fn credentials(
    _container: &Container,
    _verdict: &Verdict,
    _roots: &Roots,
) -> Option<Vec<FileCredential>> {
    None
}

/// Lines for a human being, each ended by a newline; `None` is told as not checked.
pub fn tell_credentials(found: Option<&[FileCredential]>, language: Language) -> String {
    let words = &Wording::of(language).credential;
    let mut lines = vec![word(words, found.map_or("not_checked", |_| "heading")).to_owned()];
    for FileCredential { name, credential } in found.unwrap_or_default() {
        let state = word(words, &name_of(&credential.state)).to_owned();
        let line = if credential.faults.is_empty() {
            "line"
        } else {
            "line_faults"
        };
        let fields = [
            ("name", name.clone()),
            ("state", state),
            ("faults", credential.faults.join(", ")),
        ];
        lines.push(fill(word(words, line), &fields));
    }
    lines.push(String::new());
    lines.join("\n")
}

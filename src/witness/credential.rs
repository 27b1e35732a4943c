//! What the C2PA manifest inside a picture or a clip is worth to a verifier.

use serde::Serialize;

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

//! Content credentials of what the keeper keeps: the one place that knows whether they are built
//! in and wanted.

use super::dossier::Facts;
use crate::store::Draft;
use crate::types::{CaseId, Placed, Violation};
use crate::witness::Omitted;

/// Puts a C2PA manifest into each picture and clip of `files`, in place; an original stands
/// before what was made from it. What could not get one stays as it was and is returned.
#[cfg(feature = "c2pa")]
pub(super) fn add(
    facts: &Facts,
    case: (CaseId, Violation),
    placed: Option<&Placed>,
    files: &mut [Draft],
) -> Vec<Omitted> {
    if !facts.config.evidence.c2pa {
        return Vec::new();
    }
    let mut missing = Vec::new();
    for i in 0..files.len() {
        let (before, rest) = files.split_at_mut(i);
        let Some(file) = rest.first_mut() else { break };
        if let Some(Err(error)) = made::manifest(&facts.identity, (case, placed), before, file) {
            missing.push(Omitted {
                what: format!("{} (C2PA manifest)", file.name),
                why: error.to_string(),
            });
        }
    }
    missing
}

/// Built without C2PA: nothing is added and nothing is missing, for the configuration cannot ask
/// for it.
#[cfg(not(feature = "c2pa"))]
pub(super) fn add(
    _facts: &Facts,
    _case: (CaseId, Violation),
    _placed: Option<&Placed>,
    _files: &mut [Draft],
) -> Vec<Omitted> {
    Vec::new()
}

#[cfg(feature = "c2pa")]
mod made {
    use super::{CaseId, Draft, Placed, Violation};
    use crate::witness::Identity;
    use crate::witness::c2pa::{Change, Claim, CredentialError, Origin, embed};

    /// Ending of the name of a picture that was drawn on.
    const MARKED: &str = "-marked.jpg";

    /// Puts a manifest into `file`; `None` when it is of a kind that carries none. `before` are
    /// the files kept with it and done already.
    pub(super) fn manifest(
        identity: &Identity,
        ((package, kind), placed): ((CaseId, Violation), Option<&Placed>),
        before: &[Draft],
        file: &mut Draft,
    ) -> Option<Result<(), CredentialError>> {
        if !["image/jpeg", "video/mp4"].contains(&file.media_type.as_str()) {
            return None;
        }
        let claim = Claim {
            name: &file.name,
            media_type: &file.media_type,
            package,
            kind,
            at: file.at?,
            placed,
            origin: origin(before, &file.name),
        };
        let made = embed(identity, &file.bytes, &claim);
        Some(made.map(|bytes| file.bytes = bytes))
    }

    fn origin<'a>(before: &'a [Draft], name: &str) -> Origin<'a> {
        let original = name.strip_suffix(MARKED).map(|stem| format!("{stem}.jpg"));
        let original = original.and_then(|name| before.iter().find(|f| f.name == name));
        original.map_or(Origin::Camera, |original| Origin::Picture {
            name: &original.name,
            bytes: &original.bytes,
            change: Change::Drawn,
        })
    }
}

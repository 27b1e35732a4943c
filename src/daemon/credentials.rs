//! Content credentials of what the keeper keeps: the one place that knows whether they are built
//! in and wanted.

use super::dossier::Facts;
use crate::store::Draft;
use crate::types::{CaseId, Placed, Violation};
use crate::witness::Omitted;

/// What a file was made from.
#[derive(Clone, Copy)]
#[cfg_attr(
    not(feature = "c2pa"),
    expect(dead_code, reason = "only a manifest tells where a file comes from")
)]
pub(super) enum Made<'a> {
    /// From nothing else in the package.
    Captured,
    /// From this original, by drawing on it.
    Drawn(&'a Draft),
    /// From this original, by cutting out a part.
    Cropped(&'a Draft),
}

/// Puts C2PA manifests into the files of one case and remembers which could not get one.
#[cfg_attr(
    not(feature = "c2pa"),
    expect(dead_code, reason = "only a manifest tells of case and place")
)]
pub(super) struct Credits<'a> {
    facts: &'a Facts,
    case: (CaseId, Option<Violation>),
    placed: Option<&'a Placed>,
    /// Manifests that could not be made.
    pub(super) missing: Vec<Omitted>,
}

impl<'a> Credits<'a> {
    /// For files of `case` that show what was seen from `placed`.
    pub(super) fn new(
        facts: &'a Facts,
        case: (CaseId, Option<Violation>),
        placed: Option<&'a Placed>,
    ) -> Self {
        Self {
            facts,
            case,
            placed,
            missing: Vec::new(),
        }
    }

    /// Puts a manifest into `file`, where that is wanted. A file that could not get one stays as
    /// it was.
    #[cfg(feature = "c2pa")]
    pub(super) fn add(&mut self, file: &mut Draft, made: Made<'_>) {
        use crate::clock;
        use crate::witness::c2pa::embed;

        if !self.facts.config.evidence.c2pa {
            return;
        }
        let Some(claim) = self.claim(file, made) else {
            return;
        };
        let identity = &self.facts.identity;
        let holds = identity.check_signing(clock::now());
        let made = holds
            .map_err(|error| error.to_string())
            .and_then(|()| embed(identity, &file.bytes, &claim).map_err(|error| error.to_string()));
        match made {
            Ok(bytes) => file.bytes = bytes,
            Err(why) => self.missing.push(Omitted {
                what: format!("C2PA manifest ({})", file.name),
                why,
            }),
        }
    }

    /// Built without C2PA: nothing is added and nothing is missing, for the configuration cannot
    /// ask for it.
    #[cfg(not(feature = "c2pa"))]
    #[expect(clippy::unused_self, reason = "what is built with C2PA needs it")]
    pub(super) fn add(&mut self, _file: &mut Draft, _made: Made<'_>) {}

    /// What the manifest says; `None` for a file of no moment.
    #[cfg(feature = "c2pa")]
    fn claim<'f>(&self, file: &'f Draft, made: Made<'f>) -> Option<crate::witness::c2pa::Claim<'f>>
    where
        'a: 'f,
    {
        use crate::witness::c2pa::{Change, Claim, Origin};

        let from = |original: &'f Draft, change| Origin::Picture {
            name: &original.name,
            bytes: &original.bytes,
            change,
        };
        Some(Claim {
            name: &file.name,
            media_type: &file.media_type,
            package: self.case.0,
            kind: self.case.1,
            at: file.at?,
            placed: self.placed,
            origin: match made {
                Made::Captured => Origin::Camera,
                Made::Drawn(original) => from(original, Change::Drawn),
                Made::Cropped(original) => from(original, Change::Cropped),
            },
        })
    }
}

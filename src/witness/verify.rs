//! Judges a package.

use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::additions::{Additions, is_addition};
use super::chain::Roots;
use super::container::{Container, ContainerError, Limits};
use super::finding::Finding;
use super::lines::{JournalLines, LinesError};
use super::manifest::Manifest;
use super::opened::{Opened, open};
use super::receipt::{Receipt, ReceiptError};
use super::review::{Reviewed, Reviewing, check_reviews};
use super::revoked::date;
use super::signer::{Signer, Usage};
use super::statement::Statement;
use super::verdict::{Bounds, Check, CheckId, Status, Verdict};
use super::wording::name_of;
use super::{CHAIN, LATER_RECEIPT, MANIFEST, MIMETYPE, RECEIPT, SIGNATURE, STATEMENT, sha256_hex};

/// Judges a whole package.
pub fn verify(container: &Container, roots: &Roots) -> Verdict {
    Examination::new(container, roots, Scope::Whole).verdict()
}

/// Judges a package's head before its pictures came: what is not here is unknown, not missing.
pub fn verify_head(container: &Container, roots: &Roots) -> Verdict {
    Examination::new(container, roots, Scope::Head).verdict()
}

/// Reads and judges the package in a zip; one that cannot be read is not valid.
pub fn verify_zip(zip: &[u8], roots: &Roots) -> Verdict {
    match Container::from_zip(zip, Limits::PACKAGE) {
        Ok(container) => verify(&container, roots),
        Err(error) => Verdict::unreadable(&error),
    }
}

/// Reads and judges the package at `path`, folder or zip. An error means that the disk could
/// not be read, or that there is none: that says nothing about any package.
pub fn verify_path(path: &Path, roots: &Roots) -> Result<Verdict, ContainerError> {
    match Container::open(path) {
        Ok(container) => Ok(verify(&container, roots)),
        Err(error @ (ContainerError::Io { .. } | ContainerError::NoPackage(_))) => Err(error),
        Err(error) => Ok(Verdict::unreadable(&error)),
    }
}

/// Whether somebody, trusted or not, signed the manifest that is there, and with it the statement.
pub fn is_signed(head: &Container) -> bool {
    let (Some(manifest), Some(statement)) = (head.get(MANIFEST), head.get(STATEMENT)) else {
        return false;
    };
    let signature = head.get(SIGNATURE).unwrap_or_default();
    let lists = |manifest: Manifest| {
        let entry = manifest.entry(STATEMENT);
        entry.is_some_and(|it| it.sha256 == <[u8; 32]>::from(Sha256::digest(statement)))
    };
    open(signature, Some(manifest)).is_ok() && Manifest::parse_sealed(manifest).is_ok_and(lists)
}

/// How much of the package is at hand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Whole,
    Head,
}

/// A package with its parts opened, each once.
pub(super) struct Examination<'a> {
    pub(super) container: &'a Container,
    pub(super) roots: &'a Roots,
    scope: Scope,
    manifest: Result<Manifest, Finding>,
    pub(super) signature: Result<Opened, Finding>,
    pub(super) statement: Result<Statement, Finding>,
    pub(super) receipt: Option<Result<(Receipt, Signer), ReceiptError>>,
    pub(super) later_receipt: Option<Result<(Receipt, Signer), ReceiptError>>,
    pub(super) lines: Option<Result<JournalLines, LinesError>>,
    pub(super) additions: Additions<'a>,
    reviews: Vec<Reviewed>,
}

fn part<'a>(container: &'a Container, name: &str) -> Result<&'a [u8], Finding> {
    container.get(name).ok_or_else(|| Finding::PartMissing {
        name: name.to_owned(),
    })
}

impl<'a> Examination<'a> {
    fn new(container: &'a Container, roots: &'a Roots, scope: Scope) -> Self {
        let manifest = part(container, MANIFEST).and_then(|bytes| {
            Manifest::parse_sealed(bytes)
                .map_err(|e| Finding::ManifestUnreadable { why: e.to_string() })
        });
        let signature = part(container, MANIFEST).and_then(|manifest| {
            let signature = part(container, SIGNATURE)?;
            open(signature, Some(manifest)).map_err(|e| Finding::from(&e))
        });
        let statement = part(container, STATEMENT).and_then(|bytes| {
            Statement::parse(bytes).map_err(|e| Finding::StatementUnreadable { why: e.to_string() })
        });
        let receipt = |name| container.get(name).map(|p7m| Receipt::open(p7m, roots));
        let mut additions = Additions::read(container, roots);
        let signed = std::mem::take(&mut additions.signed);
        let reviewing = Reviewing {
            container,
            roots,
            statement: statement.as_ref().ok(),
        };
        let reviews = reviewing.all(&signed, &mut additions);
        Self {
            container,
            roots,
            scope,
            manifest,
            signature,
            statement,
            receipt: receipt(RECEIPT),
            later_receipt: receipt(LATER_RECEIPT),
            lines: container.get(CHAIN).map(JournalLines::parse),
            additions,
            reviews,
        }
    }

    fn verdict(self) -> Verdict {
        let checks = vec![
            self.check_container(),
            self.check_manifest(),
            self.check_signature(),
            self.check_chain(),
            self.check_purpose(),
            self.check_files(),
            self.check_nothing(),
            self.check_statement(),
            self.check_device(),
            self.check_receipt(),
            self.check_journal(),
            self.additions.check(),
            self.check_time(),
            check_reviews(&self.reviews),
            self.check_grade(),
        ];
        let valid = checks.iter().all(|check| {
            !check.required
                || check.status == Status::Pass
                || (check.status == Status::Unknown && may_be_unknown(check.id, self.scope))
        });
        let correction = self.correction();
        Verdict {
            valid,
            checks,
            qualities: Vec::new(),
            bounds: Bounds::default(),
            stamp: self.additions.earliest().cloned(),
            sig_sha256: self.container.get(SIGNATURE).map(sha256_hex),
            signer: self.signature.ok().map(|opened| opened.signer),
            statement: self.statement.ok(),
            receipt: held(self.receipt),
            later_receipt: held(self.later_receipt),
            reviews: self.reviews,
        }
        .concluded(correction)
    }

    fn check_container(&self) -> Check {
        if self.container.is_asic_e() {
            Check::pass(CheckId::Container)
        } else {
            Check::fail(CheckId::Container, vec![Finding::NotAsicE])
        }
    }

    fn check_manifest(&self) -> Check {
        match &self.manifest {
            Err(finding) => Check::fail(CheckId::Manifest, vec![finding.clone()]),
            Ok(manifest) if manifest.entry(STATEMENT).is_none() => Check::fail(
                CheckId::Manifest,
                vec![Finding::NotCovered {
                    name: STATEMENT.to_owned(),
                }],
            ),
            Ok(_) => Check::pass(CheckId::Manifest),
        }
    }

    fn check_signature(&self) -> Check {
        match &self.signature {
            Ok(_) => Check::pass(CheckId::Signature),
            Err(finding) => Check::fail(CheckId::Signature, vec![finding.clone()]),
        }
    }

    fn check_chain(&self) -> Check {
        let Ok(opened) = &self.signature else {
            return Check::not_reached(CheckId::Chain);
        };
        match opened.chain(self.roots) {
            Ok(None) => Check::pass(CheckId::Chain),
            Ok(Some(on)) => self.check_revoked(on),
            Err(fault) => Check::fail(CheckId::Chain, vec![Finding::from(&fault)]),
        }
    }

    /// Whoever has a key writes any time into what he signs. So what was signed with one that was revoked
    /// counts when somebody else had signed before that it is there: a receiver or an authority.
    fn check_revoked(&self, on: Duration) -> Check {
        let (on, day) = (on.as_secs(), date(on.as_secs()));
        let there = self.there_by().and_then(|there| u64::try_from(there).ok());
        match there.filter(|there| *there < on) {
            Some(there) => {
                let there = date(there);
                let told = Finding::ChainRevokedLater { on: day, there };
                Check::pass_noting(CheckId::Chain, vec![told])
            }
            None => Check::fail(CheckId::Chain, vec![Finding::ChainRevoked { on: day }]),
        }
    }

    fn check_purpose(&self) -> Check {
        let Ok(opened) = &self.signature else {
            return Check::not_reached(CheckId::Purpose);
        };
        match opened.purpose(Usage::Evidence) {
            Ok(()) => Check::pass(CheckId::Purpose),
            Err(fault) => Check::fail(CheckId::Purpose, vec![Finding::from(&fault)]),
        }
    }

    fn check_files(&self) -> Check {
        let Ok(manifest) = &self.manifest else {
            return Check::not_reached(CheckId::Files);
        };
        let pruned = self.pruned(manifest);
        let later = self.scope == Scope::Head || pruned.is_some();
        let mut findings = Vec::new();
        let mut absent = 0;
        for entry in &manifest.entries {
            let name = entry.name.clone();
            match self.container.get(&entry.name) {
                None if later && entry.name != STATEMENT => absent += 1,
                None => findings.push(Finding::FileMissing { name }),
                Some(bytes) if <[u8; 32]>::from(Sha256::digest(bytes)) != entry.sha256 => {
                    findings.push(Finding::FileChanged { name });
                }
                Some(_) => {}
            }
        }
        if !findings.is_empty() {
            return Check::fail(CheckId::Files, findings);
        }
        if absent > 0 {
            let not_here = pruned.unwrap_or(Finding::FileNotHere { count: absent });
            return Check::unknown(CheckId::Files, vec![not_here]);
        }
        Check::pass(CheckId::Files)
    }

    /// Whether the package is as a box leaves it that has removed pictures and clip: all of them are
    /// gone, and a receiver has signed that it has them. Whoever takes them out of a package of the
    /// receiver's leaves the same, so that it is not valid either.
    fn pruned(&self, manifest: &Manifest) -> Option<Finding> {
        let mut others = manifest.entries.iter().filter(|it| it.name != STATEMENT);
        if self.scope == Scope::Head
            || others.any(|it| self.container.get(&it.name).is_some())
            || self.check_receipt().status != Status::Pass
        {
            return None;
        }
        let (receipt, _) = self.receipt.as_ref()?.as_ref().ok()?;
        Some(Finding::Pruned {
            receiver: receipt.receiver.clone(),
            at: receipt.at.clone(),
        })
    }

    fn check_nothing(&self) -> Check {
        let Ok(manifest) = &self.manifest else {
            return Check::not_reached(CheckId::Nothing);
        };
        let mut unsigned = self.additions.unreadable.clone();
        let mut additions = Vec::new();
        let chained = self.check_journal().status == Status::Pass;
        for (name, _) in self.container.files() {
            // What is wrong with a receipt is said by its own check.
            let known = [MIMETYPE, MANIFEST, SIGNATURE, RECEIPT, LATER_RECEIPT].contains(&name);
            let proved = self.additions.covers(name) || (chained && name == CHAIN);
            if known || manifest.entry(name).is_some() {
                continue;
            }
            // Whatever a stamp or a review lists besides: pictures are the device's alone.
            if !is_addition(name) {
                unsigned.push(Finding::FileUnsigned {
                    name: name.to_owned(),
                });
            } else if !proved {
                additions.push(Finding::AdditionUnchecked {
                    name: name.to_owned(),
                });
            }
        }
        if !unsigned.is_empty() {
            return Check::fail(CheckId::Nothing, unsigned);
        }
        Check::pass_noting(CheckId::Nothing, additions)
    }

    fn check_statement(&self) -> Check {
        let statement = match &self.statement {
            Ok(statement) => statement,
            Err(finding) => return Check::fail(CheckId::Statement, vec![finding.clone()]),
        };
        let Ok(manifest) = &self.manifest else {
            return Check::not_reached(CheckId::Statement);
        };
        let mut differing: Vec<String> = Vec::new();
        for file in &statement.files {
            let same = manifest.entry(&file.name).is_some_and(|entry| {
                entry.sha256_hex() == file.sha256 && entry.media_type == file.media_type
            });
            // A changed file is `files`' finding; here it is the stated size that is wrong.
            let size = self.container.get(&file.name).is_none_or(|bytes| {
                bytes.len() as u64 == file.size || sha256_hex(bytes) != file.sha256
            });
            if !same || !size {
                differing.push(file.name.clone());
            }
        }
        for entry in &manifest.entries {
            let listed = statement.files.iter().any(|file| file.name == entry.name);
            if entry.name != STATEMENT && !listed {
                differing.push(entry.name.clone());
            }
        }
        if differing.is_empty() {
            return Check::pass(CheckId::Statement);
        }
        let findings = differing
            .into_iter()
            .map(|name| Finding::ListsDiffer { name });
        Check::fail(CheckId::Statement, findings.collect())
    }

    fn check_device(&self) -> Check {
        let (Ok(statement), Ok(opened)) = (&self.statement, &self.signature) else {
            return Check::not_reached(CheckId::Device);
        };
        let certified = opened.signer.serial_number.clone().unwrap_or_default();
        if statement.device.id == certified {
            return Check::pass(CheckId::Device);
        }
        Check::fail(
            CheckId::Device,
            vec![Finding::DeviceDiffers {
                stated: statement.device.id.clone(),
                certified,
            }],
        )
    }

    fn check_grade(&self) -> Check {
        let Ok(statement) = &self.statement else {
            return Check::not_reached(CheckId::Grade);
        };
        match &statement.grade {
            None => Check::unknown(CheckId::Grade, vec![Finding::GradeNotStated]),
            Some(grading) if grading.follows() => Check::pass(CheckId::Grade),
            Some(grading) => Check::fail(
                CheckId::Grade,
                vec![Finding::GradeContradicted {
                    stated: name_of(&grading.grade),
                }],
            ),
        }
    }
}

/// The receipt, when it could be opened.
fn held(receipt: Option<Result<(Receipt, Signer), ReceiptError>>) -> Option<Receipt> {
    let (receipt, _) = receipt?.ok()?;
    Some(receipt)
}

/// What comes later, and what older packages do not state; of a head, the pictures come later.
fn may_be_unknown(id: CheckId, scope: Scope) -> bool {
    CheckId::OPTIONAL.contains(&id) || (id == CheckId::Files && scope == Scope::Head)
}

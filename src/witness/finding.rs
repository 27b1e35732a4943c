//! What checks find, as codes that programs and translations can tell apart.

use serde::Serialize;

use super::chain::ChainFault;
use super::cms::SignatureError;
use super::lines::LinesError;
use super::signer::PurposeFault;
use super::timestamp::StampError;

/// What a check found; the wording is in `config/wording/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "code")]
pub enum Finding {
    /// The container cannot be read.
    ContainerUnreadable {
        /// Why.
        why: String,
    },
    /// `mimetype` is missing or says something else.
    NotAsicE,
    /// A part of META-INF or the statement is missing.
    PartMissing {
        /// Its name.
        name: String,
    },
    /// The manifest cannot be read.
    ManifestUnreadable {
        /// Why.
        why: String,
    },
    /// The manifest does not cover a file it must.
    NotCovered {
        /// Its name.
        name: String,
    },
    /// The signature cannot be read.
    SignatureUnreadable {
        /// Why.
        why: String,
    },
    /// What was signed is not what is there.
    SignedContentChanged,
    /// The signature was not made with its certificate's key.
    SignatureForged,
    /// The signature names another certificate.
    SignatureOtherCertificate,
    /// No trusted root issued the certificate.
    ChainUnknownIssuer,
    /// Signed after a certificate's end.
    ChainExpired,
    /// Signed before a certificate's start.
    ChainNotYetValid,
    /// A certificate is not signed by its issuer.
    ChainForged,
    /// An issuer was not allowed to issue.
    ChainIssuerNotAllowed,
    /// The certificate is a CA's.
    ChainSignerIsCa,
    /// A certificate is carried that the way to the root does not need.
    ChainSurplus,
    /// The certificate was revoked, and nobody else's signature says that this one is older.
    ChainRevoked {
        /// The day, UTC.
        on: String,
    },
    /// The certificate was revoked, and somebody else had signed by then that this signature is there.
    ChainRevokedLater {
        /// The day, UTC.
        on: String,
        /// When that was, the day, UTC.
        there: String,
    },
    /// Another fault of the chain.
    ChainOther {
        /// Why.
        why: String,
    },
    /// The certificate is not for documents.
    PurposeNotDocuments,
    /// The certificate is not for signatures.
    PurposeNotSignatures,
    /// The certificate names no device.
    PurposeNoDevice,
    /// The certificate is a person's or a receiver's.
    PurposeNotDevice {
        /// The role it gives.
        role: String,
    },
    /// The certificate is of another role.
    PurposeRole {
        /// The role it had to have.
        role: String,
    },
    /// An extension of the certificate is unreadable.
    PurposeUnreadable {
        /// Which.
        extension: String,
    },
    /// A signed file is missing.
    FileMissing {
        /// Its name.
        name: String,
    },
    /// A signed file was changed.
    FileChanged {
        /// Its name.
        name: String,
    },
    /// A signed file is not part of a head.
    FileNotHere {
        /// How many.
        count: usize,
    },
    /// All that is signed beside the statement is gone, as a box leaves it that has its receipt.
    Pruned {
        /// Who has it whole, by the receipt.
        receiver: String,
        /// When that was signed, RFC 3339.
        at: String,
    },
    /// A file is outside the signature.
    FileUnsigned {
        /// Its name.
        name: String,
    },
    /// A later addition that this version does not check.
    AdditionUnchecked {
        /// Its name.
        name: String,
    },
    /// The statement cannot be read.
    StatementUnreadable {
        /// Why.
        why: String,
    },
    /// The statement and the manifest list different files or digests.
    ListsDiffer {
        /// The file.
        name: String,
    },
    /// The statement names another device than the certificate.
    DeviceDiffers {
        /// As stated.
        stated: String,
        /// As certified.
        certified: String,
    },
    /// There is no receipt yet.
    NoReceipt,
    /// The receipt says that the package was refused.
    ReceiptRefuses {
        /// Why.
        why: String,
    },
    /// The receipt cannot be trusted or read.
    ReceiptUnusable {
        /// Why.
        why: String,
    },
    /// The receipt names something else.
    ReceiptNames {
        /// Which field.
        field: String,
        /// What it says.
        found: String,
        /// What the package says.
        expected: String,
    },
    /// Nobody has reviewed it yet.
    NoReview,
    /// A review does not count; what is wrong with it follows.
    ReviewRefused {
        /// Its name.
        name: String,
    },
    /// A review cannot be read.
    ReviewUnreadable {
        /// Why.
        why: String,
    },
    /// A review names something else.
    ReviewNames {
        /// Which field.
        field: String,
        /// What it says.
        found: String,
        /// What the package says.
        expected: String,
    },
    /// The statement says nothing of a grade.
    GradeNotStated,
    /// The grade stated is not the one that follows from the conditions stated.
    GradeContradicted {
        /// The grade stated.
        stated: String,
    },
    /// There are no journal lines.
    NoJournalLines,
    /// No receipt names a journal line to hold them against.
    JournalHeadUnknown,
    /// There are too many journal lines to read.
    JournalTooLong,
    /// What should be journal lines is something else.
    JournalUnreadable,
    /// A journal line does not follow the one before.
    JournalBroken,
    /// The journal lines begin elsewhere than the statement says.
    JournalElsewhere,
    /// No journal line names the package.
    JournalUnnamed,
    /// The journal lines end elsewhere than the receipt says.
    JournalOtherHead,
    /// There is no time-stamp.
    NoStamp,
    /// The time-stamp has not come yet.
    StampAwaited,
    /// A time-stamp cannot be read.
    StampUnreadable {
        /// Why.
        why: String,
    },
    /// A time-stamp is over something else.
    StampOtherContent,
    /// A time-stamp was not made by a time-stamping authority.
    StampNotStamper,
    /// A time-stamp belongs to no manifest.
    StampOrphan {
        /// Its name.
        name: String,
    },
    /// Nobody vouches for the clock that the device signed by.
    ClockUnsynced,
    /// An earlier event is told later than a later one.
    TimeContradiction {
        /// What should be earlier.
        earlier: String,
        /// What should be later.
        later: String,
    },
    /// An earlier check failed, so this one could not be made.
    NotReached,
}

impl From<&SignatureError> for Finding {
    fn from(error: &SignatureError) -> Self {
        match error {
            SignatureError::Form(why) => Self::SignatureUnreadable { why: why.clone() },
            SignatureError::Content => Self::SignedContentChanged,
            SignatureError::Value => Self::SignatureForged,
            SignatureError::Certificate => Self::SignatureOtherCertificate,
            SignatureError::Chain(fault) => fault.into(),
            SignatureError::Purpose(fault) => fault.into(),
        }
    }
}

impl From<&ChainFault> for Finding {
    fn from(fault: &ChainFault) -> Self {
        match fault {
            ChainFault::UnknownIssuer => Self::ChainUnknownIssuer,
            ChainFault::Expired => Self::ChainExpired,
            ChainFault::NotYetValid => Self::ChainNotYetValid,
            ChainFault::Forged => Self::ChainForged,
            ChainFault::IssuerNotAllowed => Self::ChainIssuerNotAllowed,
            ChainFault::SignerIsCa => Self::ChainSignerIsCa,
            ChainFault::Surplus => Self::ChainSurplus,
            ChainFault::Revoked(on) => Self::ChainRevoked { on: on.clone() },
            ChainFault::Other(why) => Self::ChainOther { why: why.clone() },
        }
    }
}

impl From<&PurposeFault> for Finding {
    fn from(fault: &PurposeFault) -> Self {
        match fault {
            PurposeFault::NotDocuments => Self::PurposeNotDocuments,
            PurposeFault::NotSignatures => Self::PurposeNotSignatures,
            PurposeFault::NoDevice => Self::PurposeNoDevice,
            PurposeFault::NotDevice(role) => Self::PurposeNotDevice {
                role: (*role).to_owned(),
            },
            PurposeFault::Role(role) => Self::PurposeRole {
                role: role.join("/"),
            },
            PurposeFault::Unreadable(extension) => Self::PurposeUnreadable {
                extension: (*extension).to_owned(),
            },
        }
    }
}

impl From<LinesError> for Finding {
    fn from(error: LinesError) -> Self {
        match error {
            LinesError::TooLong => Self::JournalTooLong,
            LinesError::Form => Self::JournalUnreadable,
            LinesError::Broken => Self::JournalBroken,
            LinesError::Elsewhere => Self::JournalElsewhere,
            LinesError::Unnamed => Self::JournalUnnamed,
            LinesError::OtherHead => Self::JournalOtherHead,
        }
    }
}

impl From<&StampError> for Finding {
    fn from(error: &StampError) -> Self {
        match error {
            StampError::OtherContent => Self::StampOtherContent,
            StampError::NotStamper => Self::StampNotStamper,
            StampError::Signature(error) => error.into(),
            StampError::Form(why) | StampError::Rejected(why) => {
                Self::StampUnreadable { why: why.clone() }
            }
            StampError::OtherNonce => Self::StampUnreadable {
                why: error.to_string(),
            },
        }
    }
}

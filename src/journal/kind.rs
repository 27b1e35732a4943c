//! The kinds of lines, in one place. `docs/EVIDENCE.md` has their bodies; a test holds the two
//! equal.

/// The daemon started. How the run before ended is said here: it could not say so itself.
pub const BOOT: &str = "boot";
/// The daemon ended in order.
pub const SHUTDOWN: &str = "shutdown";
/// What the clock says, when the daemon starts and whenever that changes.
pub const CLOCK: &str = "clock";
/// The clock is trusted now, and was wrong before: by how much, and whom that concerns.
pub const CLOCK_CORRECTED: &str = "clock.corrected";
/// The configuration that was read.
pub const CONFIG_LOADED: &str = "config.loaded";
/// The detector that was opened.
pub const MODEL_LOADED: &str = "model.loaded";
/// Another certificate than before is in place.
pub const CERT_INSTALLED: &str = "cert.installed";
/// No verifier with the box's roots and lists takes what it signs any more, or one does again.
pub const CERT_UNTRUSTED: &str = "cert.untrusted";
/// A warning was played to its end.
pub const WARNING_PLAYED: &str = "warning.played";
/// A warning was not played, or not to its end.
pub const WARNING_FAILED: &str = "warning.failed";
/// Something is going to be said: charged before its first sound.
pub const WARNING_BEGUN: &str = "warning.begun";
/// A warning was not to be said at this time and place.
pub const WARNING_HUSHED: &str = "warning.hushed";
/// A horn sounded: a tone, which is no warning.
pub const WARNING_TONE: &str = "warning.tone";
/// A person stopped the loudspeaker.
pub const WARNING_STOPPED: &str = "warning.stopped";
/// What became of a hit of a rule.
pub const RULE_HIT: &str = "rule.hit";
/// An open case was thrown away by order.
pub const CASE_DISCARDED: &str = "case.discarded";
/// Drafts of an open case were not what they should be.
pub const CASE_DROPPED: &str = "case.dropped";
/// New evidence could not be kept; counted.
pub const CAPTURE_REFUSED: &str = "capture.refused";
/// The clip of a case was left out for want of room.
pub const CLIP_LEFT_OUT: &str = "clip.left_out";
/// A package became a fact.
pub const PACKAGE_SEALED: &str = "package.sealed";
/// A package that a crash left without its line was found and taken in.
pub const PACKAGE_ADOPTED: &str = "package.adopted";
/// The broker acknowledged every byte of a package.
pub const PACKAGE_SENT: &str = "package.sent";
/// The receiver's signed receipt is kept.
pub const PACKAGE_RECEIPTED: &str = "package.receipted";
/// The receiver signed that it refuses.
pub const PACKAGE_REFUSED: &str = "package.refused";
/// A person had a refused package queued again.
pub const PACKAGE_REQUEUED: &str = "package.requeued";
/// A file of a package is missing or changed.
pub const PACKAGE_DAMAGED: &str = "package.damaged";
/// The time-stamp of a package is kept.
pub const STAMP: &str = "stamp";
/// Pictures and video of a package were removed after the receipt.
pub const PACKAGE_PRUNED: &str = "package.pruned";
/// A damaged package is whole again.
pub const PACKAGE_RESTORED: &str = "package.restored";
/// The second medium has a package, read back.
pub const MIRROR_COPIED: &str = "mirror.copied";
/// The second medium is not there, or cannot be written.
pub const MIRROR_MISSING: &str = "mirror.missing";
/// A case was decided and cannot be sealed.
pub const PACKAGE_FAILED: &str = "package.failed";
/// What claims to be a receipt and is not believed; counted.
pub const RECEIPT_IGNORED: &str = "receipt.ignored";
/// The head of the journal was signed.
pub const CHECKPOINT: &str = "checkpoint";
/// A receiver signed for a head that this journal never had.
pub const HEAD_FOREIGN: &str = "head.foreign";
/// A receiver that did so has since signed for a head of this journal.
pub const HEAD_OURS: &str = "head.ours";
/// Another profile of the uplink than before is in force.
pub const LINK_PROFILE: &str = "link.profile";
/// A camera's view is bad: nothing is judged by it.
pub const VIEW_BAD: &str = "view.bad";
/// A camera's view is good again.
pub const VIEW_GOOD: &str = "view.good";
/// A camera's view was learned, or another light of it.
pub const VIEW_REFERENCE: &str = "view.reference";
/// A camera said who it is, and it is not what it said before in this run.
pub const CAMERA_TOLD: &str = "camera.told";
/// Somebody asked the daemon for its status.
pub const ACCESS: &str = "access";
/// The database was made again.
pub const STORE_REBUILT: &str = "store.rebuilt";
/// The open cases of the run before cannot be read.
pub const BOOK_LOST: &str = "book.lost";
/// A torn end of the journal was set aside.
pub const JOURNAL_REPAIRED: &str = "journal.repaired";
/// The database knows lines that the journal no longer has.
pub const JOURNAL_LOST: &str = "journal.lost";
/// A permitted person's command was accepted.
pub const COMMAND_RECEIVED: &str = "command.received";
/// What claims to be a command was not carried out; strangers' counted.
pub const COMMAND_REFUSED: &str = "command.refused";
/// What became of an accepted command.
pub const COMMAND_DONE: &str = "command.done";
/// Somebody took note of an alarm.
pub const ALARM_ACKNOWLEDGED: &str = "alarm.acknowledged";
/// Pictures and video nobody has signed for were removed by an administrator.
pub const PACKAGE_EVICTED: &str = "package.evicted";
/// A person asked for a package with its video.
pub const PACKAGE_WANTED: &str = "package.wanted";
/// A reviewer's verdict came back.
pub const VERDICT_RECEIVED: &str = "verdict.received";
/// What claims to be a verdict is not believed; counted.
pub const VERDICT_REFUSED: &str = "verdict.refused";
/// A rule makes leads only from now on, or evidence again.
pub const RULE_LEADS_ONLY: &str = "rule.leads_only";
/// A configuration sent by an administrator is tried.
pub const CONFIG_TRIAL: &str = "config.trial";
/// The configuration that was tried is kept.
pub const CONFIG_KEPT: &str = "config.kept";
/// The configuration before is in force again.
pub const CONFIG_ROLLED_BACK: &str = "config.rolled_back";
/// A certificate sent by an administrator is tried.
pub const CERT_TRIAL: &str = "cert.trial";
/// The certificate that was tried is kept.
pub const CERT_KEPT: &str = "cert.kept";
/// The certificate before is in force again.
pub const CERT_ROLLED_BACK: &str = "cert.rolled_back";
/// An administrator has the whole box restarted.
pub const REBOOT_BEGUN: &str = "reboot.begun";

/// Lines that may come before the line [`BOOT`]: of the opening of the store, before a daemon can say
/// what its clock is worth, and of `lingmou store` without a daemon. What the run before said of its
/// clock does not hold for them.
pub const BEFORE_BOOT: &[&str] = &[
    JOURNAL_REPAIRED,
    JOURNAL_LOST,
    STORE_REBUILT,
    BOOK_LOST,
    CASE_DROPPED,
    PACKAGE_ADOPTED,
    PACKAGE_DAMAGED,
    PACKAGE_RESTORED,
    PACKAGE_REQUEUED,
];

/// Every kind.
pub const ALL: &[&str] = &[
    BOOT,
    SHUTDOWN,
    CLOCK,
    CLOCK_CORRECTED,
    CONFIG_LOADED,
    MODEL_LOADED,
    CERT_INSTALLED,
    CERT_UNTRUSTED,
    WARNING_PLAYED,
    WARNING_FAILED,
    WARNING_BEGUN,
    WARNING_HUSHED,
    WARNING_TONE,
    WARNING_STOPPED,
    RULE_HIT,
    CASE_DISCARDED,
    CASE_DROPPED,
    CAPTURE_REFUSED,
    CLIP_LEFT_OUT,
    PACKAGE_SEALED,
    PACKAGE_ADOPTED,
    PACKAGE_SENT,
    PACKAGE_RECEIPTED,
    PACKAGE_REFUSED,
    PACKAGE_REQUEUED,
    PACKAGE_DAMAGED,
    STAMP,
    PACKAGE_PRUNED,
    PACKAGE_RESTORED,
    MIRROR_COPIED,
    MIRROR_MISSING,
    PACKAGE_FAILED,
    RECEIPT_IGNORED,
    CHECKPOINT,
    HEAD_FOREIGN,
    HEAD_OURS,
    LINK_PROFILE,
    VIEW_BAD,
    VIEW_GOOD,
    VIEW_REFERENCE,
    CAMERA_TOLD,
    ACCESS,
    STORE_REBUILT,
    BOOK_LOST,
    JOURNAL_REPAIRED,
    JOURNAL_LOST,
    COMMAND_RECEIVED,
    COMMAND_REFUSED,
    COMMAND_DONE,
    ALARM_ACKNOWLEDGED,
    PACKAGE_EVICTED,
    PACKAGE_WANTED,
    VERDICT_RECEIVED,
    VERDICT_REFUSED,
    RULE_LEADS_ONLY,
    CONFIG_TRIAL,
    CONFIG_KEPT,
    CONFIG_ROLLED_BACK,
    CERT_TRIAL,
    CERT_KEPT,
    CERT_ROLLED_BACK,
    REBOOT_BEGUN,
];

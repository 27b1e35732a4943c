//! The words stages speak to each other in.
//!
//! Plain data only: a stage is handed these and hands these on, and knows nothing of the
//! stage before or behind it. What lives here is meaningful to at least two stages.
//!
//! **Invariants.** Image coordinates are relative: `0.0..=1.0`, x to the right, y down, origin
//! at the top-left corner of the camera's picture. Positions are WGS-84. Times are [`Stamp`]s.
//!
//! **Not here.** No I/O, no clock, no configuration, no behaviour beyond arithmetic on the data.

mod appearance;
mod bytes;
mod case;
mod colour;
mod heard;
mod hit;
mod horn;
mod lock;
mod nameplate;
mod picture;
mod place;
mod scene;
mod time;
mod view;

pub use appearance::{Appearance, same_subject};
pub use bytes::{base64, hex, sha256_hex};
pub use case::{
    CaseId, CaseRecord, Frame, Image, Order, Outcome, PixelFormat, Plane, ShotKind, Violation,
};
pub use colour::{Colours, Matrix, Range};
pub use heard::{Heard, WarnReport};
pub use hit::{Gate, Hit, HitOutcome};
pub use horn::Tooted;
pub use lock::lock;
pub use nameplate::Nameplate;
pub use picture::{PictureOf, Quality, Stillness};
pub use place::{Attitude, FixKind, Placed, Pose, PoseSource, is_old, is_vague};
pub use scene::{Area, Detection, Point, Role, RoleSet, Scene, Track};
pub use time::{Stamp, TimeSource, UNKNOWN_BOOT, is_same_boot};
pub use view::{Change, Motion, Moved, View};

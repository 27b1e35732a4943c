//! One step's orders, with all that the keeper needs to carry them out.

use crate::develop::Patch;
use crate::telemetry::Poses;
use crate::types::{Area, CaseId, Frame, Order, Placed, RoleSet, Stamp, TimeSource};

/// One step's orders with all they need.
pub(super) struct Work {
    /// Index of the camera in the configuration.
    pub(super) camera: usize,
    /// Capture time of the frame that was looked at.
    pub(super) at: Stamp,
    /// Where the times of what detection looks at come from; `None` while that has given no frame.
    pub(super) time_source: Option<TimeSource>,
    /// The frame, copied, where a picture is ordered: a late keeper must not hold more of them. The last
    /// picture may take it.
    pub(super) frame: Option<Frame>,
    /// Where the box was round the moments of the frame and of the orders.
    pub(super) places: Vec<(Stamp, Poses)>,
    /// What to do, in order.
    pub(super) orders: Vec<Order>,
    /// The book after the step.
    pub(super) book: String,
    /// `detections.jsonl` of each clip that is ordered.
    pub(super) seen: Vec<(CaseId, String)>,
    /// What the eye saw in the frame, for the marked copy.
    pub(super) boxes: Vec<Boxed>,
}

impl Work {
    /// Where the box was at `at`, which is near `moment`, one of its own; `None` when it did not know.
    pub(super) fn placed_at(&self, moment: Stamp, at: Stamp) -> Option<Placed> {
        let (_, poses) = self.places.iter().find(|(own, _)| *own == moment)?;
        poses.at(at)
    }
}

/// Something that the eye saw.
pub(super) struct Boxed {
    pub(super) area: Area,
    pub(super) roles: RoleSet,
    /// What the frame shows there.
    pub(super) patch: Option<Patch>,
}

impl Boxed {
    /// Something seen in this frame.
    pub(super) fn on(frame: &Frame, (area, roles): (Area, RoleSet)) -> Self {
        let patch = Patch::of(&frame.image, area);
        Self { area, roles, patch }
    }
}

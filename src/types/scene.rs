//! What is seen: areas, detections, tracks, scenes.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Appearance, Change, Moved, Placed, Stamp, View};

/// A point of the picture, relative coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// 0.0 left edge, 1.0 right edge.
    pub x: f32,
    /// 0.0 top edge, 1.0 bottom edge.
    pub y: f32,
}

impl Point {
    /// Whether it lies inside the polygon, by the even-odd rule: a ray to the right crosses the
    /// outline an odd number of times.
    pub fn is_in(self, polygon: &[Self]) -> bool {
        let Some(last) = polygon.last() else {
            return false;
        };
        let mut inside = false;
        let mut a = *last;
        for &b in polygon {
            if (a.y > self.y) != (b.y > self.y) {
                let x = a.x + (self.y - a.y) * (b.x - a.x) / (b.y - a.y);
                if self.x < x {
                    inside = !inside;
                }
            }
            a = b;
        }
        inside
    }

    /// Distance to the segment from `a` to `b`, relative coordinates on both axes.
    pub fn distance_to(self, a: Self, b: Self) -> f32 {
        let (dx, dy) = (b.x - a.x, b.y - a.y);
        let length2 = dx * dx + dy * dy;
        let along = if length2 > 0.0 {
            (((self.x - a.x) * dx + (self.y - a.y) * dy) / length2).clamp(0.0, 1.0)
        } else {
            0.0
        };
        (self.x - a.x - along * dx).hypot(self.y - a.y - along * dy)
    }
}

/// An upright box in the picture, relative coordinates, `x0 <= x1` and `y0 <= y1`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Area {
    /// Left edge.
    pub x0: f32,
    /// Top edge.
    pub y0: f32,
    /// Right edge.
    pub x1: f32,
    /// Bottom edge.
    pub y1: f32,
}

impl Area {
    /// Width, relative.
    pub fn width(self) -> f32 {
        (self.x1 - self.x0).max(0.0)
    }

    /// Height, relative.
    pub fn height(self) -> f32 {
        (self.y1 - self.y0).max(0.0)
    }

    /// Where the thing stands: the middle of the lower edge.
    pub fn foot(self) -> Point {
        Point {
            x: f32::midpoint(self.x0, self.x1),
            y: self.y1,
        }
    }

    /// The middle.
    pub fn centre(self) -> Point {
        Point {
            x: f32::midpoint(self.x0, self.x1),
            y: f32::midpoint(self.y0, self.y1),
        }
    }

    /// Intersection over union with `other`, 0.0..=1.0.
    pub fn iou(self, other: Self) -> f32 {
        let w = self.x1.min(other.x1) - self.x0.max(other.x0);
        let h = self.y1.min(other.y1) - self.y0.max(other.y0);
        if w <= 0.0 || h <= 0.0 {
            return 0.0;
        }
        let inter = w * h;
        let union = self.width() * self.height() + other.width() * other.height() - inter;
        if union > 0.0 { inter / union } else { 0.0 }
    }

    /// The share of this box that lies in `other`, 0.0..=1.0.
    pub fn share_in(self, other: Self) -> f32 {
        let w = (self.x1.min(other.x1) - self.x0.max(other.x0)).max(0.0);
        let h = (self.y1.min(other.y1) - self.y0.max(other.y0)).max(0.0);
        let whole = self.width() * self.height();
        if whole > 0.0 { w * h / whole } else { 0.0 }
    }

    /// The smallest box round both.
    #[must_use]
    pub fn joined(self, other: Self) -> Self {
        Self {
            x0: self.x0.min(other.x0),
            y0: self.y0.min(other.y0),
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
        }
    }

    /// The box cut to the picture.
    #[must_use]
    pub fn clamped(self) -> Self {
        Self {
            x0: self.x0.clamp(0.0, 1.0),
            y0: self.y0.clamp(0.0, 1.0),
            x1: self.x1.clamp(0.0, 1.0),
            y1: self.y1.clamp(0.0, 1.0),
        }
    }

    /// The box grown on every side by `fraction` of its own size, cut to the picture.
    #[must_use]
    pub fn grown(self, fraction: f32) -> Self {
        let (dx, dy) = (self.width() * fraction, self.height() * fraction);
        Self {
            x0: self.x0 - dx,
            y0: self.y0 - dy,
            x1: self.x1 + dx,
            y1: self.y1 + dy,
        }
        .clamped()
    }
}

/// What a thing is to a rule. Model cards map a model's labels to roles; rules know only roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Role {
    /// A human being. Never identified, only counted and followed.
    Person,
    /// A street stall.
    Stall,
    /// Wares, heaped or boxed.
    Goods,
    /// Tables, chairs, racks.
    Furniture,
    /// A sun or stall umbrella.
    Umbrella,
    /// A cargo tricycle or hand cart.
    Tricycle,
    /// A lorry or other large vehicle.
    Truck,
    /// Any other vehicle.
    Vehicle,
    /// Something spilled on the road.
    Debris,
    /// A number plate.
    Plate,
    /// A new thing of no known class that stands still: what the background model finds.
    Object,
}

impl Role {
    /// Every role, in the order of their bits.
    pub const ALL: [Self; 11] = [
        Self::Person,
        Self::Stall,
        Self::Goods,
        Self::Furniture,
        Self::Umbrella,
        Self::Tricycle,
        Self::Truck,
        Self::Vehicle,
        Self::Debris,
        Self::Plate,
        Self::Object,
    ];
}

impl Role {
    /// The name used in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Stall => "stall",
            Self::Goods => "goods",
            Self::Furniture => "furniture",
            Self::Umbrella => "umbrella",
            Self::Tricycle => "tricycle",
            Self::Truck => "truck",
            Self::Vehicle => "vehicle",
            Self::Debris => "debris",
            Self::Plate => "plate",
            Self::Object => "object",
        }
    }
}

/// A set of roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Role>", into = "Vec<Role>")]
pub struct RoleSet(u16);

impl RoleSet {
    /// No role.
    pub const EMPTY: Self = Self(0);

    /// Whether `role` is in the set.
    pub fn has(self, role: Role) -> bool {
        self.0 & (1 << role as u16) != 0
    }

    /// Whether `role` is the only one in the set.
    pub fn is_only(self, role: Role) -> bool {
        self.0 == 1 << role as u16
    }

    /// Whether the two sets share a role.
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The roles that are in either set.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The roles that are in both sets.
    #[must_use]
    pub fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// How many roles are in the set.
    pub fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether no role is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The roles in the set.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |r| self.has(*r))
    }
}

/// Their names, as files have them: `debris, truck`.
impl fmt::Display for RoleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Role::name).collect();
        f.write_str(&names.join(", "))
    }
}

impl FromIterator<Role> for RoleSet {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(roles.into_iter().fold(0, |bits, r| bits | 1 << r as u16))
    }
}

impl From<Vec<Role>> for RoleSet {
    fn from(roles: Vec<Role>) -> Self {
        roles.into_iter().collect()
    }
}

impl From<RoleSet> for Vec<Role> {
    fn from(set: RoleSet) -> Self {
        set.iter().collect()
    }
}

/// One box of one inference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// Index of the label in the model card.
    pub label: u16,
    /// What that label is to the rules; nothing where its card gives it no role.
    pub roles: RoleSet,
    /// The model's score, 0.0..=1.0.
    pub score: f32,
    /// Where.
    pub area: Area,
}

/// A thing followed from frame to frame.
///
/// The id is unique within one run of the daemon and one camera; a case's identity never
/// depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// Unique per camera and run.
    pub id: u64,
    /// The latest detection matched to it.
    pub detection: Detection,
    /// When it was first seen.
    pub first_seen: Stamp,
    /// When it came to light, where it was told from the street only later; `None` where it was seen
    /// for what it is at once.
    #[serde(skip)]
    pub came: Option<Stamp>,
    /// When it was last matched to a detection.
    pub last_seen: Stamp,
    /// Detections matched so far.
    pub hits: u32,
    /// What it looks like in this frame; `None` where nobody asked, or nobody can tell.
    #[serde(skip)]
    pub appearance: Option<Appearance>,
}

/// The proportions of most cameras.
fn wide() -> f32 {
    16.0 / 9.0
}

/// Everything known about one camera's picture at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scene {
    /// Index of the camera in the configuration.
    pub camera: usize,
    /// Capture time of the frame.
    pub at: Stamp,
    /// Every track alive, those not matched in this frame included (`last_seen < at`).
    pub tracks: Vec<Track>,
    /// Who is seen in this frame and is not judged: boxes that are no track yet, and what is before a
    /// privacy mask. He may have lost what lies on a road.
    #[serde(default)]
    pub passing: Vec<Track>,
    /// Where in this frame the model knows a thing that has no role. It is no subject of any rule, but
    /// what is seen there is no thing of no known class, and a second look at a case of such a thing there is none.
    #[serde(default)]
    pub roleless: Vec<Area>,
    /// Where the box was, when known.
    pub place: Option<Placed>,
    /// What the picture is worth; nothing is judged by one that is not good.
    #[serde(default)]
    pub view: View,
    /// Whether a view that counts as good has begun to look otherwise: what is not seen in it need not
    /// have gone.
    #[serde(default)]
    pub doubted: bool,
    /// When something last changed in the picture for certain.
    #[serde(default)]
    pub changed: Change,
    /// The picture's width over its height.
    #[serde(default = "wide")]
    pub aspect: f32,
    /// How the picture moved since this camera's scene before.
    #[serde(default)]
    pub moved: Moved,
    /// Since when new things are told from the street where the background is watched; what stood
    /// there already is a part of it. `None` where nobody watches it.
    #[serde(default)]
    pub background_since: Option<Stamp>,
    /// Where in this picture new things stood that were taken for the street since this camera's scene
    /// before, because they have stood for long: that they are not seen any more tells nothing.
    #[serde(default)]
    pub absorbed: Vec<Area>,
    /// For how long before this moment nothing moved in the picture and nobody looked, since the
    /// look before: what stood there then stood there meanwhile.
    #[serde(default)]
    pub held: Duration,
}

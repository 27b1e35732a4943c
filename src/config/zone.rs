//! `[[zone]]`: where a rule looks, and what holds there.

use serde::{Deserialize, Serialize};

use super::check::polygon::overlap;
use super::hours::{Day, Times};
use super::{Config, Site};
use crate::types::{Point, Role, Violation};

/// `[[zone]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Zone {
    /// Short name, unique.
    pub name: String,
    /// The camera it is drawn on.
    pub camera: String,
    /// What is judged in it.
    pub kind: ZoneKind,
    /// Corners, relative coordinates, at least three, not crossing.
    pub polygon: Vec<Point>,
    /// What the rule looks for here; empty: the rule's own roles.
    pub roles: Vec<Role>,
    /// The days on which it is judged; empty: every day.
    pub days: Vec<Day>,
    /// The hours in which it is judged, `HH:MM-HH:MM`; empty: the whole day.
    pub hours: Vec<String>,
    /// What stood in the zone is gone from it only this far outside, share of the picture.
    pub inertia: f64,
    /// `shop_front`: two points of the shop's threshold line; empty: the polygon alone counts.
    pub threshold: Vec<Point>,
    /// `shop_front`: the side of the line on which nothing may stand.
    pub forbidden_side: Side,
    /// `shop_front`: so far beyond the line nothing is said yet, share of the picture.
    pub margin: f64,
    /// The announced number of the place; empty: that of `[site]`, and so on below.
    pub public_id: String,
    /// The announced name of the place.
    pub place: String,
    /// Reference of the legal and technical review.
    pub approval: String,
    /// Last day on which the review holds, `YYYY-MM-DD`; empty when it has no end.
    pub approval_until: String,
}

impl Default for Zone {
    fn default() -> Self {
        Self {
            name: String::new(),
            camera: String::new(),
            kind: ZoneKind::default(),
            polygon: Vec::new(),
            roles: Vec::new(),
            days: Vec::new(),
            hours: Vec::new(),
            inertia: 0.01,
            threshold: Vec::new(),
            forbidden_side: Side::default(),
            margin: 0.02,
            public_id: String::new(),
            place: String::new(),
            approval: String::new(),
            approval_until: String::new(),
        }
    }
}

impl Zone {
    /// When it is judged.
    pub fn times(&self) -> Times {
        Times::new(&self.days, &self.hours)
    }

    /// Whether one thing may be judged in it and in `other`, on ground that both have in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        let same = self.camera == other.camera && self.judges_as(other);
        same && overlap(&self.polygon, &other.polygon)
    }

    /// Whether `other`, of another camera, announces the same place, and one thing may be judged in both.
    pub fn shares_place(&self, other: &Self) -> bool {
        let same = !self.public_id.is_empty() && self.public_id == other.public_id;
        same && self.camera != other.camera && self.judges_as(other)
    }

    /// Whether the same is judged in both, or something that is warned in both.
    fn judges_as(&self, other: &Self) -> bool {
        let judged = |zone: &Self| zone.kind.violation();
        let both = judged(self).zip(judged(other));
        both.is_some_and(|(a, b)| a == b || a.warns_first() && b.warns_first())
    }
}

impl Config {
    /// The announced place of a zone, or of the whole box where the zone has none of its own.
    pub fn place(&self, zone: &str) -> Site {
        let own = self.zone.iter().find(|z| z.name == zone);
        let own = own.filter(|z| !z.public_id.is_empty());
        own.map_or_else(
            || self.site.clone(),
            |z| Site {
                public_id: z.public_id.clone(),
                name: z.place.clone(),
                approval: z.approval.clone(),
                approval_until: z.approval_until.clone(),
            },
        )
    }
}

/// What is judged in a zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZoneKind {
    /// No vending here.
    #[default]
    NoVending,
    /// The ground before a shop's threshold.
    ShopFront,
    /// The carriageway.
    Road,
    /// A privacy mask: nothing in it is judged.
    Private,
}

impl ZoneKind {
    /// What is judged in it; `None` when nothing is.
    pub fn violation(self) -> Option<Violation> {
        match self {
            Self::NoVending => Some(Violation::StreetVending),
            Self::ShopFront => Some(Violation::OutOfStore),
            Self::Road => Some(Violation::Spillage),
            Self::Private => None,
        }
    }
}

/// A side of a line, as seen when one walks from its first point to its second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The left hand's side: in the picture above a line drawn from left to right.
    Left,
    /// The right hand's side: in the picture below a line drawn from left to right.
    #[default]
    Right,
}

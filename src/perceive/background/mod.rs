//! New things of no known class, found before the street's own background.
//!
//! ```text
//! cell ──differs from the background, at rest, not under a known thing──▶ stands ──still_secs──▶
//!      blob of such cells, more than an outline, its foot in a zone ──▶ detection
//! ```
//! What is compared is slopes of the luma's logarithm: light that doubles changes none of them, a
//! thing has edges of its own. Two memories: a *fast* one of seconds, in which whoever passes, rain and
//! the light of lamps that sweep by are averaged away, and a *slow* one, the background, which
//! follows only where nothing new stands. Where a person or vehicle that the detector knows stands
//! or stood a moment ago, nothing new begins; but since when the street is not seen there is
//! remembered: then the thing came to light. It is forgotten only when the street was seen there for
//! a while: a truck's plain side looks like one in a look in which the detector misses it. How much
//! a cell moves by itself (a tree's leaves) is remembered and allowed for.
//!
//! A place that a thing has *left* differs from the background too: there the background had the
//! stronger slopes. It is taken over at once. A plain sheet over a cart looks the same: so where as much as a
//! thing is taken over is told. Everything is when a third of the picture changes.
//!
//! **Invariants.** The same frames and detections give the same things. Nothing of a frame's size is
//! allocated in the steady state. What is not seen is not said: a thing behind a passer-by is not
//! among the detections meanwhile.
//!
//! **Not here.** Whether it is a stall or a load spilled (`judge`).

mod blobs;
mod cell;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::config::{self, Config, ZoneKind};
use crate::types::{Area, Detection, Point, Role, RoleSet, Stamp};

use super::luma::{Luma, WIDTH};
use blobs::{Blob, Blobs};
use cell::{Cell, Slope, differ};

/// The label of a thing that no model named: no card has so many.
pub const UNNAMED: u16 = u16::MAX;

/// What the fast memory keeps, seconds.
const FAST_SECS: f32 = 1.5;
/// What the background follows within, seconds.
const SLOW_SECS: f32 = 30.0;
/// A cell's background is known when it was free for this long, seconds.
const LEARN_SECS: f32 = 20.0;
/// Nothing new begins where a known thing was within this time, seconds.
#[expect(clippy::cast_possible_truncation, reason = "a few seconds")]
const KNOWN_SECS: f32 = config::Background::KNOWN_SECS as f32;
/// Room round a known thing for its shadow, share of its size.
const KNOWN_MARGIN: f32 = 0.15;
/// A slope has changed when it differs by this: 64 times the logarithm, so about an edge of 17 %.
const CHANGE: f32 = 10.0;
/// What has changed once stays so down to this share of the difference.
const STAYS: f32 = 0.6;
/// Allowed for what moves by itself: so many times its mean deviation.
const SWAY: f32 = 3.0;
/// So much change from one frame to the mean of seconds is movement.
const MOVING: f32 = 14.0;
/// More new cells than this share: the light or the view changed, not the street.
const CHANGED_MAX: f32 = 0.35;
/// A place was left when its background's slopes are so many times those of now.
const LEFT: f32 = 1.3;
/// A longer pause than this between two frames counts as this long, seconds.
const PAUSE_MAX: f32 = 1.0;

/// The background of one fixed camera.
#[derive(Debug)]
pub(super) struct Background {
    zones: Vec<(Vec<Point>, Role)>,
    still: f32,
    absorb: f32,
    logarithm: [f32; 256],
    height: usize,
    now: Vec<f32>,
    cells: Vec<Cell>,
    blobs: Blobs,
    /// Of the things found last: where, and when they came to light.
    came: Vec<(Area, Stamp)>,
    /// What was taken for the street since that was asked.
    absorbed: Vec<Area>,
    looked: Option<Stamp>,
    /// When it was begun, or learned anew as a whole.
    since: Option<Stamp>,
}

impl Background {
    /// A background of the camera `name`, which has seen nothing; `None` where nobody asks for it: it
    /// has no zone.
    pub(super) fn new(config: &Config, name: &str) -> Option<Self> {
        let role = |kind| match kind {
            ZoneKind::NoVending | ZoneKind::ShopFront => Some(Role::Object),
            ZoneKind::Road => Some(Role::Debris),
            ZoneKind::Private => None,
        };
        let zones = config.zone.iter().filter(|z| z.camera == name);
        let zones: Vec<_> = zones
            .filter_map(|z| Some((z.polygon.clone(), role(z.kind)?)))
            .collect();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "seconds of a configuration"
        )]
        let [still, absorb] =
            [config.background.still_secs, config.background.absorb_secs].map(|secs| secs as f32);
        let mut logarithm = [0.0; 256];
        for (value, log) in (0_u8..=255).zip(&mut logarithm) {
            *log = 64.0 * (f32::from(value) / 16.0).ln_1p();
        }
        (!zones.is_empty()).then_some(Self {
            zones,
            still,
            absorb,
            logarithm,
            height: 0,
            now: Vec::new(),
            cells: Vec::new(),
            blobs: Blobs::default(),
            came: Vec::new(),
            absorbed: Vec::new(),
            looked: None,
            since: None,
        })
    }

    /// Forgets everything: another view, another background.
    pub(super) fn forget(&mut self) {
        self.height = 0;
        self.absorbed.clear();
    }

    /// Since when it is learned: what stood there already is a part of it, and no new thing. `None`
    /// before the first frame.
    pub(super) fn since(&self) -> Option<Stamp> {
        self.since
    }

    /// When the thing at `area` came to light, which was found in the last frame: seen for the first time,
    /// though not yet told from whoever passed.
    pub(super) fn came(&self, area: Area) -> Option<Stamp> {
        let mut found = self.came.iter();
        found.find(|(of, _)| *of == area).map(|(_, at)| *at)
    }

    /// Which places were taken for the street since this was asked before: what stands there has stood too
    /// long to be new, or it seems that something has left. Something may stand there still.
    pub(super) fn absorbed(&mut self) -> Vec<Area> {
        std::mem::take(&mut self.absorbed)
    }

    /// Takes in the frame of moment `at` with what the detector found in it; gives the new things.
    pub(super) fn look(
        &mut self,
        at: Stamp,
        luma: &Luma,
        detections: &[Detection],
    ) -> Vec<Detection> {
        let since = self.looked.map_or(Duration::ZERO, |then| at.since(then));
        self.looked = Some(at);
        let (secs, passed) = (since.as_secs_f32().min(PAUSE_MAX), since.as_secs_f32());
        self.came.clear();
        if self.height != luma.height() {
            self.since = Some(at);
        }
        self.take(luma, secs);
        self.hide(detections, secs);
        let changed = self.follow(secs, passed);
        if changed > CHANGED_MAX {
            // Learned anew from here.
            self.since = Some(at);
            for cell in &mut self.cells {
                (cell.learned, cell.stood) = (0.0, 0.0);
            }
            return Vec::new();
        }
        self.things(at)
    }

    /// Takes the luma into the fast memory.
    fn take(&mut self, luma: &Luma, secs: f32) {
        let logarithm = &self.logarithm;
        self.now.clear();
        let logs = luma.cells().iter().map(|c| logarithm[usize::from(*c)]);
        self.now.extend(logs);
        if self.height != luma.height() {
            self.height = luma.height();
            self.cells.clear();
            self.cells.extend(self.now.iter().map(|now| Cell {
                fast: *now,
                ..Cell::default()
            }));
            return;
        }
        let weight = (secs / FAST_SECS).min(1.0);
        for (cell, now) in self.cells.iter_mut().zip(&self.now) {
            cell.fast += (now - cell.fast) * weight;
        }
    }

    /// Marks what belongs to known things.
    fn hide(&mut self, detections: &[Detection], secs: f32) {
        let moves: RoleSet = [Role::Person, Role::Vehicle, Role::Truck, Role::Tricycle]
            .into_iter()
            .collect();
        for cell in &mut self.cells {
            cell.known = (cell.known - secs).max(0.0);
            cell.hidden = false;
        }
        for detection in detections.iter().filter(|d| d.roles.meets(moves)) {
            let area = detection.area.grown(KNOWN_MARGIN);
            let (left, right) = (cell_at(area.x0, WIDTH), cell_at(area.x1, WIDTH));
            let (top, bottom) = (cell_at(area.y0, self.height), cell_at(area.y1, self.height));
            for row in self.cells.chunks_mut(WIDTH).take(bottom + 1).skip(top) {
                for cell in row.iter_mut().take(right + 1).skip(left) {
                    (cell.known, cell.hidden) = (KNOWN_SECS, true);
                }
            }
        }
    }

    /// Lets each cell's memory follow; gives the share of cells that are new.
    fn follow(&mut self, secs: f32, passed: f32) -> f32 {
        let mut new_cells = 0_u16;
        for y in 1..self.height.saturating_sub(1) {
            for i in y * WIDTH + 1..(y + 1) * WIDTH - 1 {
                let fast = self.fast_slope(i);
                let now = [
                    self.now[i + 1] - self.now[i - 1],
                    self.now[i + WIDTH] - self.now[i - WIDTH],
                ];
                let cell = &mut self.cells[i];
                if cell.came > 0.0 {
                    cell.came += passed;
                }
                if cell.hidden {
                    cell.bare = 0.0;
                    continue;
                }
                if cell.learned < LEARN_SECS {
                    cell.learn(fast, secs);
                    continue;
                }
                let stands = if cell.stood > 0.0 { STAYS } else { 1.0 };
                let limit = CHANGE.max(SWAY * cell.sway) * stands;
                // New is what is seen now, too: behind a drop of rain memory is new, the street is not.
                let seen = differ(now, cell.slow) > limit;
                let new = differ(fast, cell.slow) > limit;
                cell.date(new, seen, secs);
                if new {
                    new_cells += 1;
                    let begins = cell.known > 0.0 && cell.stood < self.still;
                    let quiet = differ(now, fast) < MOVING && seen;
                    if begins || !(quiet || cell.stood >= self.still) {
                        cell.stood = 0.0;
                    } else if quiet {
                        cell.stood = (cell.stood + secs).min(self.absorb);
                    }
                } else {
                    cell.stood = 0.0;
                    let weight = (secs / SLOW_SECS).min(1.0);
                    let deviation = differ(now, cell.slow);
                    cell.sway += (deviation - cell.sway) * weight;
                    for (slow, fast) in cell.slow.iter_mut().zip(fast) {
                        *slow += (fast - *slow) * weight;
                    }
                }
            }
        }
        f32::from(new_cells) / f32::from(u16::try_from(self.cells.len()).unwrap_or(u16::MAX).max(1))
    }

    fn fast_slope(&self, i: usize) -> Slope {
        let fast = |i: usize| self.cells[i].fast;
        [fast(i + 1) - fast(i - 1), fast(i + WIDTH) - fast(i - WIDTH)]
    }

    /// The things that stand, in the zones; what was left or has stood too long is taken over.
    fn things(&mut self, at: Stamp) -> Vec<Detection> {
        let mut blobs = std::mem::take(&mut self.blobs);
        let (cells, still) = (&self.cells, self.still);
        blobs.find(self.height, |i| !cells[i].hidden && cells[i].stood >= still);
        let mut things = Vec::new();
        for blob in blobs.found() {
            let cells = blobs.cells(blob);
            let (mut now, mut before, mut stood, mut came) = (0.0, 0.0, 0.0_f32, 0.0_f32);
            for &i in cells {
                let [x, y] = self.fast_slope(i);
                now += x.hypot(y);
                before += self.cells[i].slow[0].hypot(self.cells[i].slow[1]);
                stood = stood.max(self.cells[i].stood);
                // In doubt it is older: then nobody is the last who was there.
                came = came.max(self.cells[i].came);
            }
            let role = self.role(blob);
            let left = before > LEFT * now;
            if left || stood >= self.absorb {
                // Also what is no thing of a zone: it may be a part of one before which somebody stands. And what
                // seems to have been left may be a plain sheet over one, if it is as large.
                if !left || role.is_some() {
                    self.absorbed.push(blob.area(self.height));
                }
                for &i in cells {
                    self.cells[i].slow = self.fast_slope(i);
                    (self.cells[i].stood, self.cells[i].came) = (0.0, 0.0);
                }
            } else if let Some(role) = role {
                let area = blob.area(self.height);
                self.came.push((area, ago(at, came)));
                things.push(Detection {
                    label: UNNAMED,
                    roles: [role].into_iter().collect(),
                    score: 0.5 + 0.5 * ((stood - self.still) / self.still).clamp(0.0, 1.0),
                    area,
                });
            }
        }
        self.blobs = blobs;
        things
    }

    /// What a blob is to the zone it stands in; `None` when it stands in none or is no thing.
    fn role(&self, blob: &Blob) -> Option<Role> {
        let foot = blob.area(self.height).foot();
        let (_, role) = self.zones.iter().find(|(zone, role)| {
            let thing = match role {
                Role::Debris => blob.is_lump(),
                _ => blob.is_thing(),
            };
            thing && foot.is_in(zone)
        })?;
        Some(*role)
    }
}

/// The moment `secs` before `at`.
fn ago(at: Stamp, secs: f32) -> Stamp {
    let passed = Duration::try_from_secs_f32(secs).unwrap_or_default();
    at.shifted_ns(-i64::try_from(passed.as_nanos()).unwrap_or(i64::MAX))
}

/// The cell a relative coordinate lies in.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of at most 320 cells; casts saturate"
)]
fn cell_at(share: f32, cells: usize) -> usize {
    ((share * cells as f32) as usize).min(cells.saturating_sub(1))
}

//! What the background remembers of one cell of the picture.

/// The street is there again when it was seen for this long, in each look, seconds.
const BARE_SECS: f32 = 1.0;

/// A slope along rows and along columns.
pub(super) type Slope = [f32; 2];

/// What is remembered of one cell.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cell {
    /// The luma's logarithm, over the last seconds.
    pub(super) fast: f32,
    /// The background's slope.
    pub(super) slow: Slope,
    /// How much it differs from that by itself.
    pub(super) sway: f32,
    /// For how long its background was learned, seconds.
    pub(super) learned: f32,
    /// How long ago it ceases to belong to something known, seconds.
    pub(super) known: f32,
    /// How long something new has stood there, seconds.
    pub(super) stood: f32,
    /// How long ago it came to light that the street is not seen there, seconds, whatever was before
    /// it meanwhile; 0 where the street has been seen for a while.
    pub(super) came: f32,
    /// For how long the street has been seen in each look, seconds; 0 when it was not in the last.
    pub(super) bare: f32,
    /// Whether a known thing is there now.
    pub(super) hidden: bool,
}

impl Cell {
    /// Dates what came to light: from when it was `new` and `seen` until the street has been seen for a while.
    pub(super) fn date(&mut self, new: bool, seen: bool, secs: f32) {
        self.bare = match (seen, self.bare > 0.0) {
            (true, _) => 0.0,
            (false, true) => self.bare + secs,
            (false, false) => f32::MIN_POSITIVE,
        };
        if new && seen {
            self.came = self.came.max(f32::MIN_POSITIVE);
        } else if self.bare >= BARE_SECS {
            self.came = 0.0;
        }
    }

    /// Learns its background: a mean while nothing known is there.
    pub(super) fn learn(&mut self, fast: Slope, secs: f32) {
        self.learned += secs;
        (self.stood, self.came) = (0.0, 0.0);
        if self.known > 0.0 {
            self.learned = 0.0;
            return;
        }
        let weight = if self.learned > 0.0 {
            (2.0 * secs / self.learned).min(1.0)
        } else {
            1.0
        };
        self.sway += (differ(fast, self.slow) - self.sway) * weight;
        for (slow, fast) in self.slow.iter_mut().zip(fast) {
            *slow += (fast - *slow) * weight;
        }
    }
}

/// How far two slopes are apart.
pub(super) fn differ(a: Slope, b: Slope) -> f32 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

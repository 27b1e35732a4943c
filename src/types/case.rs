//! Frames on their way to become evidence, and what judgement orders.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Area, Colours, Gate, Hit, Stamp, TimeSource, WarnReport, same_subject};

/// How the planes of an [`Image`] are laid out. Both are 8 bit, 4:2:0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelFormat {
    /// Y, U, V planes (`I420`, `yuv420p`).
    I420,
    /// Y plane, then interleaved UV.
    Nv12,
}

/// Where one plane lies in an [`Image`]'s bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plane {
    /// First byte of the plane.
    pub offset: usize,
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// A decoded picture as the decoder left it: shared, never drawn on.
#[derive(Clone)]
pub struct Image {
    /// Layout of the planes.
    pub format: PixelFormat,
    /// What the samples mean, as the stream says.
    pub colours: Colours,
    /// Pixels per row; even.
    pub width: usize,
    /// Rows; even.
    pub height: usize,
    /// Y, U, V for I420; Y, UV and a default third for NV12.
    pub planes: [Plane; 3],
    /// The bytes, often the decoder's own buffer.
    pub data: Arc<dyn AsRef<[u8]> + Send + Sync>,
}

impl Image {
    /// A picture of these bytes: `width × height × 3 / 2` of them, both sides even, the planes one
    /// after the other without a gap, and the colours usual for its height.
    pub fn packed(format: PixelFormat, width: usize, height: usize, data: Vec<u8>) -> Self {
        let luma = width * height;
        let plane = |offset, stride| Plane { offset, stride };
        let planes = match format {
            PixelFormat::I420 => [
                plane(0, width),
                plane(luma, width / 2),
                plane(luma + luma / 4, width / 2),
            ],
            PixelFormat::Nv12 => [plane(0, width), plane(luma, width), Plane::default()],
        };
        Self {
            format,
            colours: Colours::usual(height),
            width,
            height,
            planes,
            data: Arc::new(data),
        }
    }

    /// The same in bytes of its own, for who keeps it: of a decoder's buffers as many stay, for good, as
    /// were ever held at one time.
    #[must_use]
    pub fn copied(&self) -> Self {
        Self {
            data: Arc::new(self.bytes().to_vec()),
            ..self.clone()
        }
    }

    /// The whole buffer.
    pub fn bytes(&self) -> &[u8] {
        (*self.data).as_ref()
    }

    /// Row `y` of plane `plane`, `len` bytes long; `None` when it lies outside the buffer.
    pub fn row(&self, plane: usize, y: usize, len: usize) -> Option<&[u8]> {
        let p = self.planes.get(plane)?;
        let start = p.offset.checked_add(p.stride.checked_mul(y)?)?;
        self.bytes().get(start..start.checked_add(len)?)
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Image({:?} {}x{})", self.format, self.width, self.height)
    }
}

/// A decoded frame with its time.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Index of the camera in the configuration.
    pub camera: usize,
    /// Counts the decoded frames of this camera in this run, from 0.
    pub number: u64,
    /// Capture time.
    pub at: Stamp,
    /// Where `at` comes from.
    pub time_source: TimeSource,
    /// Presentation time of its access unit in the camera's ring, nanoseconds.
    pub pts_ns: u64,
    /// The pixels.
    pub image: Image,
}

impl Frame {
    /// The same with [`Image::copied`] pixels.
    #[must_use]
    pub fn copied(&self) -> Self {
        Self {
            image: self.image.copied(),
            ..self.clone()
        }
    }
}

/// The three violations judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Violation {
    /// Street vending where it is not allowed. Warn first.
    StreetVending,
    /// A haul truck losing its load. Recorded at once.
    Spillage,
    /// Business beyond the shop's threshold. Warn first.
    OutOfStore,
}

impl Violation {
    /// Every violation.
    pub const ALL: [Self; 3] = [Self::StreetVending, Self::Spillage, Self::OutOfStore];

    /// The name used in files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::StreetVending => "street_vending",
            Self::Spillage => "spillage",
            Self::OutOfStore => "out_of_store",
        }
    }

    /// Whether the law wants a warning and a second look before a record is made.
    pub fn warns_first(self) -> bool {
        self != Self::Spillage
    }
}

/// Identity of a case and of the package it becomes: a `UUIDv7` (RFC 9562).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CaseId(pub Uuid);

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// Which moment of a case a picture shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShotKind {
    /// Before the offence: what led to it.
    Before,
    /// The same vehicle at another place: it moves.
    Moved,
    /// The vehicle where it was largest in the picture, with its plate or where that is.
    Plate,
    /// When the rule first fired.
    Found,
    /// When the warning had been played.
    Warned,
    /// The second look, after the grace time.
    Again,
    /// The offence itself, for what is recorded at once.
    Peak,
    /// Shortly after the offence.
    After,
    /// When a person asked for it; of no offence.
    Asked,
}

impl ShotKind {
    /// The name used in file names and captions.
    pub fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Moved => "moved",
            Self::Plate => "plate",
            Self::Found => "found",
            Self::Warned => "warned",
            Self::Again => "again",
            Self::Peak => "peak",
            Self::After => "after",
            Self::Asked => "asked",
        }
    }
}

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Warned, looked again, gone.
    Corrected,
    /// Warned, looked again, still there.
    Persisted,
    /// Recorded without a warning, as the rule demands.
    Recorded,
}

impl Outcome {
    /// The name used in files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Corrected => "corrected",
            Self::Persisted => "persisted",
            Self::Recorded => "recorded",
        }
    }
}

/// What is known of a case when it is sealed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseRecord {
    /// The violation.
    pub violation: Violation,
    /// Index of the camera in the configuration.
    pub camera: usize,
    /// Name of the zone.
    pub zone: String,
    /// When the subject was first seen at the place.
    pub first_seen: Stamp,
    /// When the rule fired.
    pub confirmed: Stamp,
    /// The warning, as the loudspeaker reported it; `None` for what is recorded at once.
    pub warning: Option<WarnReport>,
    /// When it was looked at again; `None` for what is recorded at once.
    pub looked_again: Option<Stamp>,
    /// How it ended.
    pub outcome: Outcome,
    /// Earlier cases of the same violation at the same place that are remembered; `None` when
    /// none is kept in mind.
    pub prior: Option<u32>,
    /// How like it looked what stood there at the second look, thousandths; `None` when nobody can
    /// tell, or nothing stood there.
    #[serde(default)]
    pub likeness: Option<u16>,
    /// How the second look came to its end; empty for what is recorded at once.
    #[serde(default)]
    pub gates: Vec<Gate>,
    /// Whether its moments are of two boots: then the time between them by the boot clock says
    /// nothing.
    #[serde(default)]
    pub crossed: bool,
}

impl CaseRecord {
    /// The end of the case as the journal tells it.
    pub fn hit(&self) -> Hit {
        Hit {
            outcome: self.outcome.into(),
            violation: self.violation,
            camera: self.camera,
            zone: self.zone.clone(),
            since: self.first_seen,
            at: self.looked_again.unwrap_or(self.confirmed),
            permit: None,
            gates: {
                let persisted = self.outcome == Outcome::Persisted;
                let subject = persisted.then(|| same_subject(self.likeness));
                self.gates.iter().cloned().chain(subject).collect()
            },
        }
    }
}

/// What judgement wants done. Orders to the keeper are never dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "order")]
pub enum Order {
    /// Develop a picture and keep it with the case.
    Snap {
        /// The case.
        case: CaseId,
        /// Its violation.
        violation: Violation,
        /// Which moment it is.
        kind: ShotKind,
        /// Capture time of the frame to develop: the one at hand, or an earlier one that the
        /// camera's ring still holds.
        at: Stamp,
        /// The subject in that frame; `None` when it is no longer there.
        subject: Option<Area>,
        /// Where to look: the subject, or the place where it was.
        place: Area,
        /// Name of the zone.
        zone: String,
        /// How the case ends, where that is known already: at the second look, and of what is recorded at
        /// once.
        #[serde(default)]
        outcome: Option<Outcome>,
    },
    /// Cut the clip of the case from the camera's untouched access units.
    Clip {
        /// The case.
        case: CaseId,
        /// What is suspected.
        violation: Violation,
        /// Start of the clip.
        from: Stamp,
        /// End of the clip; already past.
        to: Stamp,
    },
    /// Play the warning.
    Warn {
        /// The case.
        case: CaseId,
        /// Selects the clip.
        violation: Violation,
        /// Name of the zone: the place that is spoken to.
        zone: String,
    },
    /// Seal what was kept.
    Seal {
        /// The case.
        case: CaseId,
        /// What is known of it.
        record: Box<CaseRecord>,
    },
    /// Throw away what was kept, and say why in the journal.
    Discard {
        /// The case.
        case: CaseId,
        /// A short reason, English, for the journal.
        why: String,
        /// The end of the case as the journal tells it.
        hit: Box<Hit>,
    },
    /// Say in the journal what became of a hit; once per episode, not once per scene.
    Hit {
        /// The case it opened, belongs to, or rests after.
        case: CaseId,
        /// What became of it.
        hit: Box<Hit>,
    },
}

impl Order {
    /// The case it belongs to.
    pub fn case(&self) -> CaseId {
        match self {
            Self::Snap { case, .. }
            | Self::Clip { case, .. }
            | Self::Warn { case, .. }
            | Self::Seal { case, .. }
            | Self::Discard { case, .. }
            | Self::Hit { case, .. } => *case,
        }
    }

    /// What the journal is told about a hit when the order is carried out.
    pub fn hit(&self) -> Option<Hit> {
        match self {
            Self::Seal { record, .. } => Some(record.hit()),
            Self::Discard { hit, .. } | Self::Hit { hit, .. } => Some(Hit::clone(hit)),
            Self::Snap { .. } | Self::Clip { .. } | Self::Warn { .. } => None,
        }
    }
}

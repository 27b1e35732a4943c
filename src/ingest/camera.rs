//! One camera: its streams, its ring, and what can be had from them.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::config;
use crate::config::{CameraKind, DetectOn};
use crate::types::{Frame, Image, Stamp, lock};

use super::bans::Bans;
use super::clip::{interruption, mux, size};
use super::intake::{Intake, Purpose};
use super::knock::Endpoint;
use super::picture::{decode, decode_last};
use super::pipeline::Source;
use super::ring::{Hold, Ring, Unit};
use super::sound::{self, Sound};
use super::state::{Phase, Status};
use super::stream::{Label, Stream};
use super::time::Clockwork;
use super::tls::certificates;
use super::{CameraState, Clip, Credentials, Fault, IngestError, Slots, init};

/// Clips and pictures are ordered some looks after their moment.
const RING_MARGIN: Duration = Duration::from_secs(5);

/// And made when what was ordered before them has been carried out.
const HELD_MARGIN: Duration = Duration::from_secs(20);

/// Memory for one camera's untouched video: a minute at 8 Mbit/s.
const RING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// More access units than this are not decoded to choose among frames: two seconds' work for a
/// small box.
const CHOICE_UNITS_MAX: usize = 150;

/// A running camera. Dropping it stops it.
#[derive(Debug)]
pub struct Camera {
    index: usize,
    name: String,
    slots: Arc<Slots>,
    ring: Arc<Mutex<Ring>>,
    bans: Arc<Bans>,
    main: Stream,
    sub: Option<Stream>,
    /// `None` where there is nothing to be heard: it is no network camera.
    sound: Option<Arc<Sound>>,
}

impl Camera {
    /// Starts receiving. Returns at once; [`Camera::state`] tells how it goes.
    ///
    /// `index` is the camera's place in the configuration and its slot; `back` is how far from the
    /// newest moment clips and pictures may be asked for, as far as [`RING_BYTES_MAX`] goes; whoever
    /// asks later than some looks after that [holds](Camera::hold) it. The error is a mistake in the
    /// configuration or a missing GStreamer element; a camera that is away is no error.
    pub fn start(
        index: usize,
        config: &config::Camera,
        secrets: Credentials,
        back: Duration,
        slots: Arc<Slots>,
    ) -> Result<Self, IngestError> {
        init()?;
        let sources = sources(config, secrets)?;
        let has_sub = sources.sub.is_some();
        let sound = Sound::of(&sources.main).map(Arc::new);
        let span_ns = |margin| {
            let span = back.saturating_add(margin);
            u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
        };
        let spans_ns = (span_ns(RING_MARGIN), span_ns(HELD_MARGIN));
        let ring = Arc::new(Mutex::new(Ring::new(spans_ns, RING_BYTES_MAX)));
        let bans = Arc::new(Bans::default());
        let stall = Duration::try_from_secs_f64(config.stall_secs).unwrap_or(Duration::MAX);
        let open = |label, source: Source, keep: bool, detect: bool| {
            let clockwork = match source {
                Source::File { .. } => Clockwork::File,
                _ => Clockwork::Live,
            };
            let purpose = Purpose {
                camera: index,
                ring: keep.then(|| Arc::clone(&ring)),
                slots: detect.then(|| Arc::clone(&slots)),
                key_frames_only: config.detect_on == DetectOn::KeyFrames,
                detect_rate: config.detect_rate,
                clockwork,
            };
            let label = Label {
                camera: config.name.clone(),
                stream: label,
            };
            let intake = Intake::new(purpose, Arc::new(Status::default()));
            Stream::start(label, source, intake, stall, Arc::clone(&bans))
        };
        let main = open("main", sources.main, true, !has_sub)?;
        let sub = sources
            .sub
            .map(|source| open("sub", source, false, true))
            .transpose()?;
        Ok(Self {
            index,
            name: config.name.clone(),
            slots,
            ring,
            bans,
            main,
            sub,
            sound,
        })
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Listens to it, in a session of its own, until what this gives is dropped: 16-bit little-endian
    /// samples, one channel, 16 kHz, as they come. Why there are none, or no more, is the last.
    ///
    /// Its password is not tried while a stream of it is refused, nor soon after it was refused here.
    pub fn listen(&self) -> sound::Pieces {
        let mut streams = std::iter::once(&self.main).chain(&self.sub);
        let refused = |stream: &Stream| {
            let facts = stream.status.facts();
            facts.fault.as_ref().is_some_and(Fault::wants_long_pause)
        };
        let refused = streams.any(refused);
        sound::listen(self.sound.as_ref(), &self.name, refused)
    }

    /// How the camera is now.
    pub fn state(&self) -> CameraState {
        let main = self.main.status.snapshot();
        let sub = self.sub.as_ref().map(|stream| stream.status.snapshot());
        let worst = sub
            .as_ref()
            .filter(|sub| sub.phase > main.phase)
            .unwrap_or(&main);
        let (phase, cause) = (worst.phase, worst.cause.clone());
        let ring = self.ring();
        let (ring_ns, ring_bytes) = (ring.span_ns(), ring.bytes());
        drop(ring);
        CameraState {
            phase,
            cause: cause.filter(|_| phase != Phase::Playing),
            dropped: self.slots.dropped(self.index),
            ring_secs: Duration::from_nanos(ring_ns).as_secs_f64(),
            ring_bytes,
            no_clip: self.main.status.facts().no_clip.clone(),
            main,
            sub,
        }
    }

    /// Cuts the video from `from` to `to`, which should be past, out of the ring.
    ///
    /// Begins at the key frame at or before `from`. Costs no decoding. When the stream was connected
    /// to anew within that time, the longest piece of one connection is given; [`Clip::interrupted`]
    /// says that, and what is missing inside.
    pub fn clip(&self, from: Stamp, to: Stamp) -> Result<Clip, IngestError> {
        let no_clip = self.main.status.facts().no_clip.clone();
        if let Some(why) = no_clip {
            return Err(IngestError::NoClip {
                camera: self.name.clone(),
                why,
            });
        }
        let stretch = self.ring().between(from, to);
        let stretch = stretch.ok_or_else(|| self.not_kept())?;
        let mp4 = mux(&stretch).map_err(|why| self.process("writing the clip", why))?;
        let times = || stretch.units.iter().map(|unit| unit.at);
        let shown = |unit: &&Unit| unit.pts_ns;
        let first = stretch.units.iter().min_by_key(shown);
        let (first, first_pts_ns) = first
            .map(|unit| (unit.at, unit.pts_ns))
            .ok_or_else(|| self.not_kept())?;
        let last = times()
            .max_by_key(|at| at.boot_ns)
            .ok_or_else(|| self.not_kept())?;
        let (width, height) = size(&stretch.run.caps);
        Ok(Clip {
            mp4,
            codec: stretch.run.codec,
            width,
            height,
            frames: stretch.units.len(),
            first,
            first_pts_ns,
            last,
            interrupted: interruption(&stretch, from, to),
        })
    }

    /// Decodes the frame captured nearest to `at`, and no more than a second from it, from the main
    /// stream's untouched access units, at full size. Its `number` counts access units of the main
    /// stream. [`IngestError::NotKept`] when that moment is not held: the stream was away, it is long
    /// ago, or it has not come yet.
    ///
    /// Costs the decoding of up to one group of pictures.
    pub fn full_frame(&self, at: Stamp) -> Result<Frame, IngestError> {
        let stretch = self.ring().upto(at).ok_or_else(|| self.not_kept())?;
        let image = decode_last(&stretch, &self.bans)
            .map_err(|why| self.process("decoding a picture", why))?;
        let unit = stretch.units.last().ok_or_else(|| self.not_kept())?;
        Ok(self.frame(unit, image))
    }

    /// Decodes up to `at_most` frames, evenly spread over the time from `around` before `at` to
    /// `around` after it as far as that is kept already, the frame nearest to `at` among them, in
    /// the order of their times, from the main stream at full size, and lets `look` have one after
    /// the other. They lie in buffers of the decoder's, which may have few: whoever keeps one
    /// [copies](Image::copied) it.
    ///
    /// Costs the decoding from the key frame before the first; nothing is decoded and nothing
    /// given when that is more than [`CHOICE_UNITS_MAX`] access units.
    pub fn frames_round(
        &self,
        at: Stamp,
        around: Duration,
        at_most: usize,
        mut look: impl FnMut(Frame),
    ) -> Result<(), IngestError> {
        let reach = i64::try_from(around.as_nanos()).unwrap_or(i64::MAX);
        let (from, to) = (at.shifted_ns(-reach), at.shifted_ns(reach));
        let stretch = self.ring().between(from, to);
        let stretch = stretch.ok_or_else(|| self.not_kept())?;
        if stretch.units.len() > CHOICE_UNITS_MAX {
            return Ok(());
        }
        let wanted = spread(&stretch.units, (from, at, to), at_most);
        decode(&stretch, &wanted, &self.bans, &mut |index, image| {
            if let Some(unit) = stretch.units.get(index) {
                look(self.frame(unit, image));
            }
        })
        .map_err(|why| self.process("decoding pictures to choose from", why))
    }

    fn frame(&self, unit: &Unit, image: Image) -> Frame {
        Frame {
            camera: self.index,
            number: unit.number,
            at: unit.at,
            time_source: unit.source,
            pts_ns: unit.pts_ns,
            image,
        }
    }

    /// Until this is dropped, nothing is let go that is not [`HELD_MARGIN`] older than what may be asked
    /// for: who has to wait before it can ask holds on to it, as far as [`RING_BYTES_MAX`] goes.
    pub fn hold(&self) -> Hold {
        Hold::on(&self.ring)
    }

    /// Stops receiving; returns within [`STOP_WITHIN`](super::STOP_WITHIN) per stream.
    pub fn stop(self) {
        self.main.signal();
        if let Some(sub) = &self.sub {
            sub.signal();
        }
        // Dropping the streams waits for their threads.
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        lock(&self.ring)
    }

    fn not_kept(&self) -> IngestError {
        IngestError::NotKept {
            camera: self.name.clone(),
        }
    }

    fn process(&self, doing: &'static str, why: String) -> IngestError {
        IngestError::Process {
            camera: self.name.clone(),
            doing,
            why,
        }
    }
}

/// Reads the certificates that `tls_roots` of a camera names; the error says why it cannot.
pub fn check_roots(config: &config::Camera) -> Result<(), IngestError> {
    certificates(&config.tls_roots)
        .map(drop)
        .map_err(|why| IngestError::Config {
            camera: config.name.clone(),
            why: format!("tls_roots: {why}"),
        })
}

/// The indexes of up to `at_most` of the units shown between `from` and `to`, the one nearest to
/// `at` among them and the others evenly spread on both sides, in the order in which they are
/// shown.
fn spread(units: &[Unit], (from, at, to): (Stamp, Stamp, Stamp), at_most: usize) -> Vec<usize> {
    let within = |&i: &usize| {
        let shown = units.get(i).map(|unit| unit.at.boot_ns);
        shown.is_some_and(|ns| (from.boot_ns..=to.boot_ns).contains(&ns))
    };
    let mut order: Vec<usize> = (0..units.len()).filter(within).collect();
    order.sort_by_key(|&i| units.get(i).map(|unit| unit.pts_ns));
    let away = |&i: &usize| {
        units
            .get(i)
            .map(|unit| unit.at.boot_ns.abs_diff(at.boot_ns))
    };
    let Some(own) = (0..order.len()).min_by_key(|&n| order.get(n).and_then(away)) else {
        return Vec::new();
    };
    let step = order.len().div_ceil(at_most.max(1)).max(1);
    let every = |n: &usize| n.abs_diff(own) % step == 0;
    (0..order.len())
        .filter(every)
        .filter_map(|n| order.get(n).copied())
        .collect()
}

/// Where the camera's streams come from.
struct Sources {
    main: Source,
    sub: Option<Source>,
}

fn sources(config: &config::Camera, credentials: Credentials) -> Result<Sources, IngestError> {
    let rtsp = |url: &str, credentials| {
        let endpoint = Endpoint::parse(url).map_err(|why| IngestError::Config {
            camera: config.name.clone(),
            why: why.to_owned(),
        })?;
        Ok(Source::Rtsp {
            url: url.to_owned(),
            endpoint,
            credentials,
            transport: config.transport,
            roots: config.tls_roots.clone(),
        })
    };
    let alone = |main| Sources { main, sub: None };
    Ok(match config.kind {
        CameraKind::Rtsp => Sources {
            sub: match config.substream_url.as_str() {
                "" => None,
                url => Some(rtsp(url, credentials.clone())?),
            },
            main: rtsp(&config.url, credentials)?,
        },
        CameraKind::File => alone(Source::File {
            path: config.path.clone(),
            repeat: config.repeat,
        }),
        CameraKind::V4l2 => alone(Source::Device {
            path: config.path.clone(),
            rate: config.detect_rate,
        }),
    })
}

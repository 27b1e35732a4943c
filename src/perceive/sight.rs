//! How a frame becomes a [`Scene`], for the daemon, a replay and the yardstick alike.
//!
//! ```text
//! frame ──look──▶ what the view is worth, how the picture moved
//!           ├ detected ──see──▶ new things among it, tracks, what they look like: the scene
//!           ├ not worth a detection ──pass──▶ the background is learned all the same
//!           └ nothing is judged ──rest──▶ the background is forgotten
//! ```
//! Every frame is looked at, in the order of time. Then it is seen, with what a detector found in
//! it, or passed over, or rested; or nothing, where the detector could not look at it.

use std::time::Duration;

use crate::config::{Camera, Config, ZoneKind};
use crate::types::{Change, Detection, Frame, Image, Moved, RoleSet, Scene, Stamp, Track, View};

use super::appearance::describe;
use super::background::{Background, UNNAMED};
use super::drift::Drift;
use super::guard::{Guard, Reference, Watched};
use super::luma::Luma;
use super::track::Tracker;

/// How one camera's frames become scenes.
#[derive(Debug)]
pub struct Sight {
    camera: usize,
    luma: Luma,
    guard: Option<Guard>,
    background: Option<Background>,
    drift: Option<Drift>,
    /// The movement since the scene before.
    moved: Moved,
    view: View,
    /// What is warned before it is recorded: only of this does it matter what it looks like.
    warned: RoleSet,
    tracker: Tracker,
    /// Follows what has no role, so that it is known in a look in which the model is hardly sure.
    roleless: Tracker,
    /// What the detector found last that has a role.
    last: Vec<Detection>,
}

impl Sight {
    /// The sight of the camera that has this `index` in the configuration, with the reference that was
    /// kept of its view. Detections from `score_threshold` on start tracks
    /// ([`super::Card::score_threshold`]).
    pub fn new(
        config: &Config,
        index: usize,
        reference: Option<Reference>,
        score_threshold: f32,
    ) -> Self {
        let camera = &config.camera[index];
        let fixed = config.is_fixed(camera);
        let guard = || Guard::new(&config.guard, camera, fixed, reference);
        Self {
            camera: index,
            luma: Luma::new(),
            background: config
                .has_background(camera)
                .then(|| Background::new(config, &camera.name))
                .flatten(),
            drift: (!fixed).then(Drift::default),
            moved: Moved::Still,
            view: View::Good,
            warned: warned(config, camera),
            guard: config.guard.enabled.then(guard),
            tracker: Tracker::new(score_threshold),
            roleless: Tracker::new(score_threshold),
            last: Vec::new(),
        }
    }

    /// Takes in a frame; says what the view is worth.
    pub fn look(&mut self, frame: &Frame) -> Watched {
        let image = &frame.image;
        self.luma.draw(image);
        let guard = self.guard.as_mut();
        let watched = guard.map_or_else(Watched::default, |g| g.look(frame.at, image, &self.luma));
        self.view = watched.view;
        if let Some(drift) = &mut self.drift {
            self.moved = self.moved.then(drift.look(&self.luma));
        }
        watched
    }

    /// The scene of the frame that was looked at last, in which a detector found `detections`; what has
    /// no role is taken out, and the things of no known class are added. Where the box was, and for how
    /// long nobody had looked ([`Scene::held`]), is not known here.
    pub fn see(&mut self, frame: &Frame, detections: &mut Vec<Detection>) -> Scene {
        let roleless: Vec<_> = (detections.extract_if(.., |d| d.roles.is_empty())).collect();
        self.last.clone_from(detections);
        detections.extend(self.new_things(frame.at));
        let moved = std::mem::take(&mut self.moved);
        if let Moved::By(motion) = &moved {
            self.tracker.carry(motion);
            self.roleless.carry(motion);
        }
        let mut tracks = self.tracker.update(frame.at, detections);
        let roleless = self.roleless.update(frame.at, &roleless).into_iter();
        let roleless = roleless.filter(|t| t.last_seen == frame.at);
        self.describe(frame.at, &frame.image, &mut tracks);
        self.date(frame.at, &mut tracks);
        Scene {
            camera: self.camera,
            at: frame.at,
            tracks,
            passing: self.tracker.unconfirmed(frame.at).collect(),
            roleless: roleless.map(|t| t.detection.area).collect(),
            place: None,
            view: self.view,
            doubted: self.guard.as_ref().is_some_and(Guard::doubts),
            changed: self
                .guard
                .as_ref()
                .map_or(Change::NotWatched, Guard::changed),
            aspect: aspect(&frame.image),
            moved,
            background_since: self.background.as_ref().and_then(Background::since),
            absorbed: (self.background.as_mut())
                .map(Background::absorbed)
                .unwrap_or_default(),
            held: Duration::ZERO,
        }
    }

    /// Passes over the frame of moment `at`, which was looked at last: what was detected before
    /// counts as standing there still, for the background only.
    pub fn pass(&mut self, at: Stamp) {
        // What is new in it is found again when it is seen.
        drop(self.new_things(at));
    }

    /// Nobody looks at the frame that was looked at last, nor at those before and after it: what was
    /// detected before tells nothing of who hides the street meanwhile, so its background is begun
    /// anew when somebody looks again.
    pub fn rest(&mut self) {
        if let Some(background) = &mut self.background {
            background.forget();
        }
    }

    /// The reference of a fixed camera, once there is one.
    pub fn reference(&self) -> Option<&Reference> {
        self.guard.as_ref()?.reference()
    }

    /// The things of no known class in the frame looked at last. A bad view has none, and no
    /// background.
    fn new_things(&mut self, at: Stamp) -> Vec<Detection> {
        match &mut self.background {
            Some(background) if self.view.is_good() && self.luma.height() > 0 => {
                background.look(at, &self.luma, &self.last)
            }
            _ => {
                self.rest();
                Vec::new()
            }
        }
    }

    /// Takes down when each of `tracks` came to light that only the background knows.
    fn date(&self, at: Stamp, tracks: &mut [Track]) {
        let Some(background) = &self.background else {
            return;
        };
        let of_none = tracks.iter_mut().filter(|t| t.detection.label == UNNAMED);
        for track in of_none.filter(|t| t.last_seen == at) {
            track.came = background.came(track.detection.area);
        }
    }

    /// Takes down what each of `tracks` looks like that is seen in the frame and could come to a
    /// second look.
    fn describe(&self, at: Stamp, image: &Image, tracks: &mut [Track]) {
        for track in tracks {
            let d = &track.detection;
            if track.last_seen == at && d.roles.meets(self.warned) {
                track.appearance = describe(image, d.area);
            }
        }
    }
}

/// Width over height.
#[expect(clippy::cast_precision_loss, reason = "pixels of a picture")]
fn aspect(image: &Image) -> f32 {
    image.width as f32 / image.height.max(1) as f32
}

/// The roles that a rule which warns first looks for in a zone of `camera`.
fn warned(config: &Config, camera: &Camera) -> RoleSet {
    let mut roles = RoleSet::EMPTY;
    for zone in config.zone.iter().filter(|z| z.camera == camera.name) {
        let usual = match zone.kind {
            ZoneKind::NoVending => &config.judge.street_vending.roles,
            ZoneKind::ShopFront => &config.judge.out_of_store.roles,
            ZoneKind::Road | ZoneKind::Private => continue,
        };
        let own = if zone.roles.is_empty() {
            usual
        } else {
            &zone.roles
        };
        roles = roles.with(own.iter().copied().collect());
    }
    roles
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::super::film::{Street, at_ms, hash, picture};
    use super::*;
    use crate::config::{Mount, Zone};
    use crate::types::{Area, Point, Role, TimeSource};

    const SIZE: (usize, usize) = (320, 180);

    /// The second of two cameras, the picture of which moves or not, with a zone against stalls.
    fn sight(mount: Mount) -> Sight {
        let mut config = Config::default();
        for name in ["west", "east"] {
            config.camera.push(Camera {
                name: name.to_owned(),
                mount,
                ..Camera::default()
            });
        }
        config.zone.push(Zone {
            camera: "east".to_owned(),
            roles: vec![Role::Tricycle],
            ..Zone::default()
        });
        Sight::new(&config, 1, None, 0.4)
    }

    /// A frame of a camera that looks `right` pixels further along the street, in which a gaudy stall
    /// stands at the pixels `stall` from the left.
    fn frame(street: &Street, number: u64, right: usize, stall: Range<usize>) -> Frame {
        let image = picture(SIZE.0, SIZE.1, |x, y| {
            let albedo = if stall.contains(&x) && (54..126).contains(&y) {
                f32::from(hash(x / 11, y / 11, 9))
            } else {
                street.albedo(x + 300 + right, y + 100)
            };
            let n = usize::try_from(number).unwrap();
            street.lit(albedo, (1.0, 0.0), 3.0, (x, y, n))
        });
        Frame {
            camera: 1,
            number,
            at: at_ms(200 * number),
            time_source: TimeSource::Recording,
            pts_ns: 0,
            image,
        }
    }

    /// A thing at so many pixels from the left.
    #[expect(clippy::cast_precision_loss, reason = "pixels of a picture")]
    fn thing(left: usize, role: Role) -> Detection {
        let x0 = left as f32 / SIZE.0 as f32;
        Detection {
            label: 0,
            roles: [role].into_iter().collect(),
            score: 0.8,
            area: Area {
                x0,
                y0: 0.3,
                x1: x0 + 0.2,
                y1: 0.7,
            },
        }
    }

    #[test]
    fn what_is_detected_again_and_again_becomes_a_track_of_the_scene() {
        let street = Street::new();
        let mut sight = sight(Mount::Fixed);
        let mut scenes = Vec::new();
        for number in 0..4 {
            let frame = frame(&street, number, 0, 230..294);
            assert_eq!(sight.look(&frame).view, View::Good);
            let mut found = vec![thing(230, Role::Tricycle), thing(100, Role::Person)];
            scenes.push(sight.see(&frame, &mut found));
            assert_eq!(found.len(), 2, "nothing else stands there");
        }
        let seen: Vec<usize> = scenes.iter().map(|scene| scene.tracks.len()).collect();
        assert_eq!(seen, [0, 0, 2, 2]);
        let last = scenes.last().unwrap();
        assert_eq!((last.camera, last.at), (1, at_ms(600)));
        assert_eq!((last.moved, last.place.is_some()), (Moved::Still, false));
        // Only of what may be warned is it taken down what it looks like.
        let described = |role| {
            let track = last.tracks.iter().find(|t| t.detection.roles.has(role));
            track.unwrap().appearance.is_some()
        };
        assert_eq!([Role::Tricycle, Role::Person].map(described), [true, false]);
    }

    /// A dog: the model has a word for it, and its card no role.
    #[test]
    fn what_has_no_role_is_no_track_and_is_known_all_the_same() {
        let street = Street::new();
        let mut sight = sight(Mount::Fixed);
        let mut known = Vec::new();
        for number in 0..6 {
            let frame = frame(&street, number, 0, 230..294);
            sight.look(&frame);
            // Hardly sure of it in the end.
            let dog = Detection {
                roles: RoleSet::EMPTY,
                score: if number < 4 { 0.8 } else { 0.25 },
                ..thing(230, Role::Person)
            };
            let mut found = vec![thing(100, Role::Person), dog];
            let scene = sight.see(&frame, &mut found);
            assert_eq!(found, [thing(100, Role::Person)]);
            let mut tracks = scene.tracks.iter().chain(&scene.passing);
            assert!(tracks.all(|t| t.detection.roles.has(Role::Person)));
            known.push(scene.roleless);
        }
        let area = thing(230, Role::Person).area;
        let looks: Vec<&[Area]> = known.iter().map(Vec::as_slice).collect();
        let (none, there): (&[Area], &[Area]) = (&[], &[area]);
        assert_eq!(looks, [none, none, there, there, there, there]);
    }

    /// A person stood where the picture changes while nobody looks: a shadow, or other goods.
    #[test]
    fn who_was_seen_before_a_rest_hides_nothing_of_the_street_after_it() {
        let street = Street::new();
        let mut config = Config::default();
        config.background.enabled = true;
        for name in ["west", "east"] {
            config.camera.push(Camera {
                name: name.to_owned(),
                mount: Mount::Fixed,
                ..Camera::default()
            });
        }
        config.zone.push(Zone {
            camera: "east".to_owned(),
            polygon: [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
                .map(|(x, y)| Point { x, y })
                .to_vec(),
            ..Zone::default()
        });
        let found = |meanwhile: fn(&mut Sight, Stamp)| {
            let mut sight = Sight::new(&config, 1, None, 0.4);
            let mut found = 0;
            for second in 0..100 {
                let changed = if second < 30 { 0..0 } else { 230..294 };
                let frame = frame(&street, 5 * second, 0, changed);
                sight.look(&frame);
                if (30..60).contains(&second) {
                    meanwhile(&mut sight, frame.at);
                    continue;
                }
                let person = (25..30).contains(&second);
                let person = person.then(|| thing(230, Role::Person));
                let mut things: Vec<Detection> = person.into_iter().collect();
                sight.see(&frame, &mut things);
                found += things.iter().filter(|d| d.label == UNNAMED).count();
            }
            found
        };
        assert_eq!(found(|sight, _| sight.rest()), 0);
        // Where that person goes on standing for the background, it is new when he has gone.
        assert!(found(Sight::pass) > 0);
    }

    /// The picture moves by 30 pixels a frame; every other frame is passed over.
    #[test]
    fn tracks_move_with_the_picture_also_over_frames_that_nobody_sees() {
        let street = Street::new();
        let mut sight = sight(Mount::Moving);
        let mut scenes = Vec::new();
        for number in 0..8_u8 {
            let right = 30 * usize::from(number);
            let frame = frame(&street, number.into(), right, 0..0);
            sight.look(&frame);
            if number % 2 == 1 {
                sight.pass(frame.at);
                continue;
            }
            let mut found = vec![thing(230 - right, Role::Tricycle)];
            scenes.push(sight.see(&frame, &mut found));
        }
        let scene = scenes.last().unwrap();
        let tracks: Vec<_> = scene.tracks.iter().map(|t| (t.id, t.hits)).collect();
        assert_eq!(tracks, [(1, 4)]);
        let mut moved = thing(110, Role::Tricycle).area;
        assert!(scene.moved.carry(&mut moved));
        let off = (moved.x0 - thing(50, Role::Tricycle).area.x0).abs();
        assert!(
            off < 0.01,
            "60 pixels to the left since the scene before: {off}"
        );
    }
}

//! The eye: newest frame in, orders out. One thread for all cameras, in turn.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::config::Config;
use crate::ingest::{Camera, Hold, Slots};
use crate::judge::Judge;
use crate::perceive::{Card, Detector, MotionGate, Sight, UNNAMED};
use crate::status::Beat;
use crate::telemetry::Poses;
use crate::types::{
    CaseId, Detection, Frame, Order, Scene, Stamp, TimeSource, Track, View, WarnReport,
};

use crate::witness::Identity;

use super::asks::Ask;
use super::counters::EyeCounters;
use super::dossier::established;
use super::keeper::Message;
use super::views::{self, ViewWatch, Views};
use super::work::{Boxed, Work};

/// How long the eye waits for a frame before it turns idle.
const FRAME_WAIT: Duration = Duration::from_millis(200);
/// How often what waits for a camera is looked after.
const IDLE_EVERY: Duration = Duration::from_secs(1);
/// No picture is further from the moment it was ordered of: `best_of_secs` is no more.
const PICTURE_WITHIN: Duration = Duration::from_secs(2);
/// Looks are remembered so long for a clip's detections: a camera's outage makes it late.
const LOOKS_FOR: Duration = Duration::from_mins(5);
/// But no more of them per camera: more than two minutes at the highest detection rate.
const LOOKS_MAX: usize = 4096;

/// One line of `detections.jsonl`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Look {
    #[serde(skip)]
    stamp: Stamp,
    at: String,
    pts_ns: u64,
    detections: Vec<Seen>,
}

#[derive(Clone, Debug, Serialize)]
struct Seen {
    label: String,
    score_e4: u32,
    /// Left, top, right, bottom × 10⁴ of the picture's size.
    box_e4: [i32; 4],
    track: Option<u64>,
}

/// What the eye keeps per camera.
pub(super) struct Lookout {
    sight: Sight,
    gate: Option<MotionGate>,
    /// For how long nothing has moved and nobody has looked.
    held: Duration,
    pub(super) looks: VecDeque<Look>,
    /// Its video, while a case waits for its clip.
    video: Option<Hold>,
    /// Where the times of its latest frame come from; `None` before the first.
    time_source: Option<TimeSource>,
    view: ViewWatch,
}

impl Lookout {
    /// One for each camera, whose detections the model of `card` makes.
    pub(super) fn all(config: &Config, card: &Card) -> Vec<Self> {
        let one = |index| Self::new(config, index, card);
        (0..config.camera.len()).map(one).collect()
    }

    fn new(config: &Config, index: usize, card: &Card) -> Self {
        let camera = &config.camera[index];
        let kept = views::kept(config, camera);
        Self {
            sight: Sight::new(config, index, kept, card.score_threshold()),
            gate: camera.motion_gate.then(MotionGate::new),
            held: Duration::ZERO,
            looks: VecDeque::new(),
            video: None,
            time_source: None,
            view: ViewWatch::new(index, &camera.name),
        }
    }
}

/// Everything the eye works with.
pub(super) struct Eye {
    pub(super) cameras: Arc<Vec<Camera>>,
    pub(super) slots: Arc<Slots>,
    pub(super) poses: Arc<Poses>,
    pub(super) detector: Detector,
    pub(super) lookouts: Vec<Lookout>,
    pub(super) judge: Judge,
    /// Nothing is judged while its certificate does not hold.
    pub(super) identity: Arc<Identity>,
    /// Why nothing is judged.
    pub(super) held: Option<String>,
    pub(super) reports: Receiver<WarnReport>,
    pub(super) asks: Receiver<Ask>,
    /// Asks that wait for a frame of their camera.
    pub(super) asked: Vec<Ask>,
    pub(super) keeper: SyncSender<Message>,
    pub(super) counters: Arc<EyeCounters>,
    pub(super) views: Arc<Views>,
    pub(super) beat: Beat,
    pub(super) stop: CancellationToken,
    /// When what waits for a camera was last looked after.
    pub(super) idled: Option<Stamp>,
}

impl Eye {
    /// Looks until `stop`; then hands the keeper the book and ends.
    pub(super) fn run(mut self) {
        while !self.stop.is_cancelled() {
            self.beat.turn();
            self.look_at_certificate();
            while let Ok(report) = self.reports.try_recv() {
                self.judge.hear(report);
            }
            self.hear_asks();
            if let Some(frame) = self.slots.take(FRAME_WAIT)
                && !self.look(&frame)
            {
                return;
            }
            if !self.idle() {
                return;
            }
            // Cases open and end without a look too.
            self.counters.judged(self.judge.open_cases());
        }
        self.tell(Message::Book(self.judge.book()));
    }

    /// Who is warned on evidence that no verifier would take is warned for nothing.
    fn look_at_certificate(&mut self) {
        let held = self.identity.check_validity(clock::now()).err();
        let held = held.map(|error| error.to_string());
        if held == self.held {
            return;
        }
        if let Some(why) = &held {
            tracing::error!(why, "nothing is judged, and nobody is warned");
        } else {
            tracing::info!("the evidence certificate holds: cameras are judged again");
        }
        self.held = held;
    }

    /// Ends what waits for a camera that gives no pictures; false when the keeper is gone.
    fn idle(&mut self) -> bool {
        let now = clock::now();
        if self.idled.is_some_and(|last| now.since(last) < IDLE_EVERY) {
            return true;
        }
        self.idled = Some(now);
        (0..self.lookouts.len()).all(|camera| {
            let orders = self.judge.idle(camera, now);
            if orders.is_empty() {
                return true;
            }
            let lookout = &self.lookouts[camera];
            let work = Work {
                camera,
                at: now,
                time_source: lookout.time_source,
                frame: None,
                places: places(&self.poses, now, &orders),
                seen: seen_in_clips(&lookout.looks, &orders),
                orders,
                book: self.judge.book(),
                boxes: Vec::new(),
            };
            self.hand_over(work)
        })
    }

    /// One frame; false when the keeper is gone.
    fn look(&mut self, frame: &Frame) -> bool {
        let lookout = &mut self.lookouts[frame.camera];
        lookout.time_source = Some(frame.time_source);
        let watched = lookout.sight.look(frame);
        let reference = lookout.sight.reference();
        let told = (lookout.view).take(frame.at, &watched, reference, &self.views);
        if !told.into_iter().all(|message| self.tell(message)) {
            return false;
        }
        if self.held.is_some() {
            self.lookouts[frame.camera].sight.rest();
            return true;
        }
        if self.holds_back(frame, watched.view) {
            return true;
        }
        let Some(mut detections) = self.detect(frame) else {
            return true;
        };
        let lookout = &mut self.lookouts[frame.camera];
        let mut scene = lookout.sight.see(frame, &mut detections);
        scene.held = std::mem::take(&mut lookout.held);
        scene.place = self.poses.at(frame.at);
        let shown = |d: &&Detection| !self.judge.hides(frame.camera, d.area);
        let shown: Vec<Detection> = detections.iter().filter(shown).copied().collect();
        let look = look(frame, &shown, &scene.tracks, self.detector.card());
        remember(&mut lookout.looks, look);
        let orders = self.judge.step(&scene);
        self.counters.looked(frame.at, clock::boot_ns());
        if !self.answer_asks(frame, &scene) {
            return false;
        }
        if orders.is_empty() {
            return true;
        }
        let work = self.work(frame, &scene, orders);
        self.hand_over(work)
    }

    /// Gives the keeper its orders, and holds the video for it and for clips to come; false when it is
    /// gone.
    fn hand_over(&mut self, work: Work) -> bool {
        let held = self.cameras[work.camera].hold();
        let told = self.tell(Message::Work(Box::new(work), held));
        // No case opens or ends, and no clip is cut, without orders.
        for (index, lookout) in self.lookouts.iter_mut().enumerate() {
            if !self.judge.awaits_clip(index) {
                lookout.video = None;
            } else if lookout.video.is_none() {
                lookout.video = Some(self.cameras[index].hold());
            }
        }
        told
    }

    /// Whether the frame is done without, because nothing moves in it and nobody wants a look.
    /// Then it is not judged: what was detected before would count as seen again.
    fn holds_back(&mut self, frame: &Frame, view: View) -> bool {
        let asked = self.asked.iter().any(|ask| ask.camera == frame.camera);
        let wanted = asked || self.judge.wants_look(frame.camera, frame.at);
        let lookout = &mut self.lookouts[frame.camera];
        let gate = lookout.gate.as_mut();
        let held = gate.and_then(|gate| gate.hold_back(frame.at, &frame.image, wanted));
        let Some(held) = held else {
            return false;
        };
        // Through a bad view nobody knows what went on standing.
        if view.is_good() {
            lookout.held = held;
        }
        lookout.sight.pass(frame.at);
        self.counters.gated();
        true
    }

    /// The frame's detections; `None` when the model could not look at it.
    fn detect(&mut self, frame: &Frame) -> Option<Vec<Detection>> {
        match self.detector.detect(&frame.image) {
            Ok(found) => {
                self.counters.detected(frame.camera);
                Some(found)
            }
            Err(error) => {
                if self.counters.blind(frame.camera, error.to_string()) {
                    tracing::warn!(camera = frame.camera, %error, "a frame could not be looked at");
                }
                None
            }
        }
    }

    pub(super) fn work(&self, frame: &Frame, scene: &Scene, orders: Vec<Order>) -> Work {
        let seen = seen_in_clips(&self.lookouts[frame.camera].looks, &orders);
        let boxes = scene
            .tracks
            .iter()
            .filter(|t| t.last_seen == scene.at && !t.detection.roles.is_empty())
            .filter(|t| !self.judge.hides(scene.camera, t.detection.area))
            .map(|t| Boxed::on(frame, (t.detection.area, t.detection.roles)))
            .collect();
        let pictured = orders.iter().any(|o| matches!(o, Order::Snap { .. }));
        Work {
            camera: frame.camera,
            at: frame.at,
            time_source: Some(frame.time_source),
            frame: pictured.then(|| frame.copied()),
            places: places(&self.poses, frame.at, &orders),
            orders,
            book: self.judge.book(),
            seen,
            boxes,
        }
    }

    /// Hands over and waits when the keeper is behind; false when it is gone.
    pub(super) fn tell(&self, message: Message) -> bool {
        match self.keeper.try_send(message) {
            Ok(()) => true,
            Err(TrySendError::Full(message)) => {
                self.counters.waited();
                self.keeper.send(message).is_ok()
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}

fn remember(looks: &mut VecDeque<Look>, look: Look) {
    if looks.len() == LOOKS_MAX {
        looks.pop_front();
    }
    let old = |first: &mut Look| look.stamp.since(first.stamp) > LOOKS_FOR;
    while looks.pop_front_if(old).is_some() {}
    looks.push_back(look);
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0.0..=1.0 × 10⁴"
)]
fn look(frame: &Frame, detections: &[Detection], tracks: &[Track], card: &Card) -> Look {
    let e4 = |v: f32| (v * 10_000.0).round() as i32;
    let seen = |d: &Detection| Seen {
        label: match d.label {
            UNNAMED => "unnamed",
            label => card.label(label),
        }
        .to_owned(),
        score_e4: e4(d.score).max(0) as u32,
        box_e4: [d.area.x0, d.area.y0, d.area.x1, d.area.y1].map(e4),
        track: tracks
            .iter()
            .find(|t| t.last_seen == frame.at && t.detection == *d)
            .map(|t| t.id),
    };
    Look {
        stamp: frame.at,
        at: clock::rfc3339_ms(frame.at.utc_ns),
        pts_ns: frame.pts_ns,
        detections: detections.iter().map(seen).collect(),
    }
}

/// Where the box was round `at` and round the moments of the orders: a picture of ten seconds ago shows
/// where a car was then, and the best of some frames is not of the moment itself.
pub(super) fn places(poses: &Poses, at: Stamp, orders: &[Order]) -> Vec<(Stamp, Poses)> {
    let moments = orders.iter().filter_map(|order| match order {
        Order::Snap { at, .. } => Some(*at),
        // A moment of another boot is none of this boot's clock.
        Order::Seal { record, .. } if record.looked_again.is_none() && record.crossed => None,
        Order::Seal { record, .. } => Some(established(record)),
        _ => None,
    });
    let mut places: Vec<(Stamp, Poses)> = Vec::new();
    for moment in std::iter::once(at).chain(moments) {
        if !places.iter().any(|(known, _)| *known == moment) {
            places.push((moment, poses.round(moment, PICTURE_WITHIN)));
        }
    }
    places
}

/// `detections.jsonl` of each clip that is ordered: of its own time.
fn seen_in_clips(looks: &VecDeque<Look>, orders: &[Order]) -> Vec<(CaseId, String)> {
    let clips = orders.iter().filter_map(|order| match order {
        Order::Clip { case, from, to, .. } => Some((*case, lines(looks, *from, *to))),
        _ => None,
    });
    clips.collect()
}

/// The lines of `detections.jsonl` between two moments.
pub(super) fn lines(looks: &VecDeque<Look>, from: Stamp, to: Stamp) -> String {
    let within = |l: &&Look| (from.boot_ns..=to.boot_ns).contains(&l.stamp.boot_ns);
    let mut text = String::new();
    for look in looks.iter().filter(within) {
        text.push_str(&serde_json::to_string(look).expect("invariant: a look is plain data"));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Area, FixKind, Pose, PoseSource, ShotKind, Violation};

    fn moment(secs: u64) -> Stamp {
        Stamp {
            utc_ns: 1_785_549_784_000_000_000 + i64::try_from(secs).unwrap() * 1_000_000_000,
            boot_ns: (1_000 + secs) * 1_000_000_000,
            error_ns: 0,
        }
    }

    fn at(secs: u64) -> Look {
        Look {
            stamp: moment(secs),
            at: clock::rfc3339_ms(moment(secs).utc_ns),
            pts_ns: secs,
            detections: Vec::new(),
        }
    }

    #[test]
    fn looks_are_remembered_for_five_minutes_and_no_more_than_there_is_room_for() {
        let mut looks = VecDeque::new();
        for secs in 0..=400 {
            remember(&mut looks, at(secs));
            let oldest = looks.front().map(|look| look.pts_ns);
            assert_eq!(oldest, Some(secs.saturating_sub(300)));
        }
        assert_eq!(looks.len(), 301);
        for _ in 0..LOOKS_MAX + 10 {
            remember(&mut looks, at(400));
        }
        assert_eq!(looks.len(), LOOKS_MAX);
        // The camera was away for an hour.
        remember(&mut looks, at(4_000));
        assert_eq!(looks.len(), 1);
    }

    #[test]
    fn each_of_two_clips_has_the_detections_of_its_own_time() {
        let looks: VecDeque<Look> = (0..60).map(at).collect();
        let [first, second] = [1, 2].map(|n| CaseId(uuid::Uuid::from_u128(n)));
        let clip = |case, from| Order::Clip {
            case,
            violation: Violation::StreetVending,
            from: moment(from),
            to: moment(from + 10),
        };
        let seen = seen_in_clips(&looks, &[clip(first, 5), clip(second, 40)]);
        for ((case, lines), (wanted, from)) in seen.iter().zip([(first, 5), (second, 40)]) {
            assert_eq!(*case, wanted);
            let lines: Vec<serde_json::Value> = lines
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            assert_eq!(lines.len(), 11);
            assert_eq!(lines[0]["pts_ns"], from);
        }
        assert_eq!(seen.len(), 2);
    }

    #[test]
    fn a_picture_of_an_earlier_moment_is_placed_where_the_box_was_then() {
        let poses = Poses::new();
        for secs in 0..20 {
            let place = (0, i32::try_from(secs).unwrap() * 1_000);
            poses.put(Pose::bare(
                moment(secs),
                place,
                (FixKind::Full, PoseSource::Gpsd),
            ));
        }
        let area = Area {
            x0: 0.1,
            y0: 0.1,
            x1: 0.2,
            y1: 0.2,
        };
        let case = CaseId(uuid::Uuid::from_u128(1));
        let snap = |kind, secs| Order::Snap {
            case,
            violation: Violation::Spillage,
            kind,
            at: moment(secs),
            subject: None,
            place: area,
            zone: "lane".to_owned(),
            outcome: None,
        };
        let orders = [snap(ShotKind::Moved, 3), snap(ShotKind::Peak, 15)];
        let places = places(&poses, moment(15), &orders);
        let moments: Vec<Stamp> = places.iter().map(|(at, _)| *at).collect();
        assert_eq!(moments, [moment(15), moment(3)]);
        let round = |secs| places.iter().find(|(at, _)| *at == moment(secs));
        let east = |secs, later_ms: i64| {
            let at = moment(secs).shifted_ns(later_ms * 1_000_000);
            Some(round(secs)?.1.at(at)?.pose.lon_e7)
        };
        assert_eq!((east(3, 0), east(15, 0)), (Some(3_000), Some(15_000)));
        // The frame that was chosen is of another moment.
        assert_eq!((east(3, -600), east(15, 600)), (Some(2_400), Some(15_600)));
        let longer = format!(
            "[evidence]\nbest_of_secs = {}.01\n",
            PICTURE_WITHIN.as_secs()
        );
        let refused = Config::parse(std::path::Path::new("lingmou.toml"), &longer).unwrap_err();
        assert!(refused.to_string().contains("evidence.best_of_secs"));
    }
}

//! The thread of one stream: connects, watches, and tries again for as long as it may.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::clock;
use crate::types::lock;

use super::bans::{Bans, decoder_of};
use super::intake::Intake;
use super::pipeline::{Session, Source, wake};
use super::promise;
use super::state::{Phase, Status, count};
use super::watch::{Sign, Watch};
use super::{Fault, IngestError};

/// Longest time [`Camera::stop`](super::Camera::stop) waits for a stream's thread.
pub const STOP_WITHIN: Duration = Duration::from_secs(2);

/// First and longest pause between two tries.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// The pause that those after wrong passwords grow to: the least of it is longer than the half hour for
/// which cameras lock an account, and which each further try begins anew.
const PAUSE_LOCKED_MAX: Duration = Duration::from_mins(32);

/// A stream that played this long has recovered: the next pause is the first again.
const RECOVERED_AFTER_NS: u64 = 10_000_000_000;

/// How often a quiet bus is left to look for a stall.
const LOOK_EVERY: gst::ClockTime = gst::ClockTime::from_mseconds(250);

/// The signal to stop; hears both who waits for time and who waits on a bus.
#[derive(Debug, Default)]
pub(super) struct Stop {
    state: Mutex<StopState>,
    stopped: Condvar,
}

#[derive(Debug, Default)]
struct StopState {
    stop: bool,
    bus: Option<gst::Bus>,
}

impl Stop {
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.stop = true;
        let bus = state.bus.take();
        drop(state);
        self.stopped.notify_all();
        if let Some(bus) = bus {
            wake(&bus);
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.lock().stop
    }

    /// Waits; true when stopped meanwhile.
    pub(super) fn wait(&self, time: Duration) -> bool {
        let going = |state: &mut StopState| !state.stop;
        let waited = self.stopped.wait_timeout_while(self.lock(), time, going);
        waited.unwrap_or_else(PoisonError::into_inner).0.stop
    }

    /// From now on a stop also wakes who waits on this bus.
    fn watch(&self, bus: Option<&gst::Bus>) {
        self.lock().bus = bus.cloned();
    }

    fn lock(&self) -> MutexGuard<'_, StopState> {
        lock(&self.state)
    }
}

/// A running stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) status: Arc<Status>,
    stop: Arc<Stop>,
    thread: Option<thread::JoinHandle<()>>,
    /// Closed when the thread ends. Behind a mutex so that cameras can be shared by threads.
    ended: Mutex<mpsc::Receiver<()>>,
}

/// Who a stream is, for log lines.
#[derive(Clone, Debug)]
pub(super) struct Label {
    pub(super) camera: String,
    pub(super) stream: &'static str,
}

impl Stream {
    pub(super) fn start(
        label: Label,
        source: Source,
        intake: Intake,
        stall: Duration,
        bans: Arc<Bans>,
    ) -> Result<Self, IngestError> {
        let status = Arc::clone(&intake.status);
        let stop = Arc::new(Stop::default());
        let (end, ended) = mpsc::sync_channel(1);
        let camera = label.camera.clone();
        let worker = Worker {
            label,
            source,
            intake: Arc::new(intake),
            stop: Arc::clone(&stop),
            bans,
            stall_ns: u64::try_from(stall.as_nanos()).unwrap_or(u64::MAX),
        };
        let thread = thread::Builder::new()
            .name(format!("cam-{camera}"))
            .spawn(move || {
                worker.run();
                drop(end);
            })
            .map_err(|source| IngestError::Thread { camera, source })?;
        Ok(Self {
            status,
            stop,
            thread: Some(thread),
            ended: Mutex::new(ended),
        })
    }

    /// Asks the thread to end, without waiting.
    pub(super) fn signal(&self) {
        self.stop.stop();
    }

    /// Waits for the thread to end, at most [`STOP_WITHIN`].
    fn join(&mut self) {
        self.signal();
        let Some(thread) = self.thread.take() else {
            return;
        };
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(STOP_WITHIN) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("camera thread does not end; left behind");
            return;
        }
        if thread.join().is_err() {
            tracing::error!("camera thread panicked");
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.join();
    }
}

/// How a session ended.
enum End {
    Stopped,
    /// A recording was played as far as it goes.
    Played(Fault),
    Fault(Fault),
}

/// The thread's own things.
struct Worker {
    label: Label,
    source: Source,
    intake: Arc<Intake>,
    stop: Arc<Stop>,
    bans: Arc<Bans>,
    stall_ns: u64,
}

impl Worker {
    fn run(&self) {
        let mut pause = Pause::default();
        let mut watch = None;
        let status = &self.intake.status;
        while !self.stop.is_stopped() {
            let began = status.progress();
            let began_ns = clock::boot_ns();
            status.turn();
            let end = self.session(&mut watch);
            status.rest();
            let played = status.progress() > began;
            let (fault, over) = match end {
                End::Stopped => break,
                End::Played(fault) => (fault, played),
                End::Fault(fault) => (fault, false),
            };
            if over && self.ends() {
                self.say(Phase::Ended, Some(fault));
                return;
            }
            if played && clock::boot_ns() - began_ns > RECOVERED_AFTER_NS {
                pause = Pause::default();
            }
            if !over {
                watch = None;
                let wait = pause.next(&fault);
                self.give_up(&fault);
                if self.stop.wait(wait) {
                    break;
                }
            }
            count(&status.reconnects, 1);
        }
    }

    /// Whether the end of the source is the end of the stream.
    fn ends(&self) -> bool {
        matches!(self.source, Source::File { repeat: false, .. })
    }

    /// One connection from its making to its end. `watch` is what looked at the one before, when
    /// that was the same film.
    fn session(&self, watch: &mut Option<Watch>) -> End {
        if let Source::Rtsp { endpoint, .. } = &self.source {
            match endpoint.knock(&self.stop) {
                Ok(true) => {}
                Ok(false) => return End::Stopped,
                Err(fault) => return End::Fault(fault),
            }
        }
        self.intake.begin_session();
        let session = match Session::build(&self.source, &self.intake, self.bans.names()) {
            Ok(session) => session,
            Err(fault) => return End::Fault(fault),
        };
        self.stop.watch(Some(&session.bus));
        let end = self.play(&session, watch);
        self.stop.watch(None);
        // Said before the pipeline is taken down: what hangs in a decoder or driver hangs there too.
        if let End::Fault(fault) = &end {
            self.give_up(fault);
        }
        if matches!(end, End::Fault(Fault::NoDecoder)) {
            // Every decoder has failed once: perhaps the stream was to blame. Begin anew.
            self.bans.clear();
        }
        end
    }

    fn play(&self, session: &Session, watch: &mut Option<Watch>) -> End {
        let status = &self.intake.status;
        let counts = || (status.progress(), status.pictures());
        let is_looked_at = self.intake.slots.is_some();
        let now_ns = clock::boot_ns();
        let watch = match watch {
            Some(watch) => {
                watch.again(now_ns, status.progress());
                watch
            }
            None => watch.insert(Watch::new(now_ns, counts(), self.stall_ns, is_looked_at)),
        };
        if session.pipeline.set_state(gst::State::Playing).is_err() {
            let message = session.bus.pop_filtered(&[gst::MessageType::Error]);
            return End::Fault(match message {
                Some(message) => self.fault_of(session, &message),
                None => Fault::Pipeline("does not start".to_owned()),
            });
        }
        let kinds = [
            gst::MessageType::Error,
            gst::MessageType::Eos,
            gst::MessageType::Application,
        ];
        loop {
            let message = session.bus.timed_pop_filtered(LOOK_EVERY, &kinds);
            status.turn();
            if self.stop.is_stopped() {
                return End::Stopped;
            }
            if let Some(message) = message {
                match message.type_() {
                    gst::MessageType::Error => {
                        return End::Fault(self.fault_of(session, &message));
                    }
                    gst::MessageType::Eos => return self.end_of_stream(session),
                    _ => {}
                }
            }
            match watch.look(clock::boot_ns(), counts()) {
                Sign::Plays => self.say(Phase::Playing, None),
                Sign::Waits => {}
                Sign::Over(fault) => return End::Fault(fault),
            }
        }
    }

    fn end_of_stream(&self, session: &Session) -> End {
        if let Some(fault) = session.found.take() {
            return End::Fault(fault);
        }
        match &self.source {
            // A film that is played for ever has no end to tell of.
            Source::File {
                path,
                repeat: false,
            } if promise::is_cut_off(path) => End::Played(Fault::CutOff),
            Source::File { .. } => End::Played(Fault::EndOfFile),
            Source::Rtsp { .. } | Source::Device { .. } => End::Fault(Fault::Closed),
        }
    }

    /// Reads an error message, and bans the decoder it came from.
    fn fault_of(&self, session: &Session, message: &gst::Message) -> Fault {
        if let Some(fault) = session.found.take() {
            return fault;
        }
        let gst::MessageView::Error(view) = message.view() else {
            return Fault::Pipeline("no error".to_owned());
        };
        let error = view.error();
        let debug = view.debug().unwrap_or_default();
        if let Some(decoder) = decoder_of(message) {
            self.bans.add(decoder);
        }
        match &self.source {
            Source::Rtsp {
                endpoint,
                credentials,
                ..
            } => Fault::of_rtsp(&error, &debug, endpoint.tls)
                .unwrap_or_else(|| Fault::other(&error, credentials)),
            Source::File { .. } if self.intake.status.facts().phase == Phase::Playing => {
                Fault::CutOff
            }
            Source::File { .. } => Fault::of_file(&error),
            Source::Device { .. } => Fault::of_device(&error, &debug),
        }
    }

    /// Says what ended the connection.
    fn give_up(&self, fault: &Fault) {
        let phase = if fault.is_stall() {
            Phase::Stalled
        } else {
            Phase::Failed
        };
        self.say(phase, Some(fault.clone()));
    }

    /// Notes the phase; one log line per change.
    fn say(&self, phase: Phase, fault: Option<Fault>) {
        let mut facts = self.intake.status.facts();
        if facts.phase == phase && facts.fault == fault {
            return;
        }
        facts.phase = phase;
        facts.fault.clone_from(&fault);
        drop(facts);
        let Label { camera, stream } = &self.label;
        match fault {
            None => tracing::info!(camera, stream, ?phase, "camera stream changed"),
            Some(fault) => {
                tracing::warn!(camera, stream, ?phase, cause = %fault, "camera stream changed");
            }
        }
    }
}

/// Pauses between tries: doubling up to a bound, spread by a quarter so that a street of cameras does
/// not come back in step after a power cut. After wrong passwords they are longer than that by the quarter,
/// else shorter.
#[derive(Debug, Default)]
pub(super) struct Pause {
    tries: u32,
    /// Tries that the camera answered with a wrong password.
    refused: u32,
}

impl Pause {
    pub(super) fn next(&mut self, fault: &Fault) -> Duration {
        let (first, max, tries, least) = if fault.wants_long_pause() {
            (PAUSE_MAX, PAUSE_LOCKED_MAX, &mut self.refused, 1.0)
        } else {
            (PAUSE_FIRST, PAUSE_MAX, &mut self.tries, 0.75)
        };
        let doubled = first.saturating_mul(1u32.checked_shl(*tries).unwrap_or(u32::MAX));
        let full = doubled.min(max);
        *tries = tries.saturating_add(1);
        // A fresh `RandomState` is seeded by the system: good enough to spread, no dependency.
        let roll = RandomState::new().build_hasher().finish() % 256;
        full.mul_f64(least) + full.mul_f64(0.25) * u32::try_from(roll).unwrap_or(0) / 256
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RtspTransport;
    use crate::ingest::intake::Purpose;
    use crate::ingest::knock::Endpoint;
    use crate::ingest::ring::Ring;
    use crate::ingest::time::Clockwork;
    use crate::ingest::{Credentials, Slots};

    #[test]
    fn pauses_double_to_a_bound_and_spread() {
        let mut pause = Pause::default();
        for full in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let wait = pause.next(&Fault::Timeout).as_secs_f64();
            let full = f64::from(full);
            assert!(wait > full * 0.74 && wait <= full, "{wait} of {full}");
        }
        let mut waits: Vec<_> = (0..8).map(|_| pause.next(&Fault::Timeout)).collect();
        waits.dedup();
        assert!(waits.len() > 1);
        pause.tries = u32::MAX;
        assert!(pause.next(&Fault::Timeout) <= PAUSE_MAX);
    }

    #[test]
    fn a_wrong_password_is_not_repeated_before_a_lock_of_half_an_hour_ends() {
        let mut pause = Pause::default();
        for mins in [1, 2, 4, 8, 16, 32, 32] {
            let wait = pause.next(&Fault::Unauthorized).as_secs_f64();
            let least = f64::from(mins) * 60.0;
            assert!(wait >= least && wait <= least * 1.25, "{wait} of {least}");
        }
        let half_an_hour = Duration::from_mins(30);
        for _ in 0..50 {
            assert!(pause.next(&Fault::Unauthorized) > half_an_hour);
        }
        // A camera that was off is soon tried again.
        assert!(pause.next(&Fault::Timeout) <= PAUSE_FIRST);
    }

    #[test]
    fn a_stop_wakes_who_waits() {
        let stop = Arc::new(Stop::default());
        let waiter = {
            let stop = Arc::clone(&stop);
            thread::spawn(move || stop.wait(Duration::from_mins(1)))
        };
        stop.stop();
        assert!(waiter.join().unwrap());
        assert!(stop.is_stopped());
    }

    fn count(folder: &str) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    /// What is at this port of this machine.
    fn camera(port: u16) -> Source {
        let url = format!("rtsp://127.0.0.1:{port}/");
        Source::Rtsp {
            endpoint: Endpoint::parse(&url).unwrap(),
            url,
            credentials: Credentials::default(),
            transport: RtspTransport::Tcp,
            roots: std::path::PathBuf::new(),
        }
    }

    /// A worker that is not yet started as a thread.
    fn worker(source: Source, ring: Option<Arc<Mutex<Ring>>>) -> Worker {
        crate::ingest::init().unwrap();
        let purpose = Purpose {
            camera: 0,
            ring,
            slots: Some(Arc::new(Slots::new(1))),
            key_frames_only: false,
            detect_rate: 5.0,
            clockwork: Clockwork::Live,
        };
        Worker {
            label: Label {
                camera: "test".to_owned(),
                stream: "main",
            },
            source,
            intake: Arc::new(Intake::new(purpose, Arc::new(Status::default()))),
            stop: Arc::new(Stop::default()),
            bans: Arc::default(),
            stall_ns: 1_000_000_000,
        }
    }

    #[test]
    fn hundreds_of_failed_sessions_leave_nothing_behind() {
        // A camera that takes every connection and hangs up: the farthest a failure can get
        // before anything is received.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let worker = worker(camera(listener.local_addr().unwrap().port()), None);
        thread::spawn(move || listener.incoming().for_each(drop));
        let fail = |times: usize| {
            for _ in 0..times {
                assert!(matches!(
                    worker.session(&mut None),
                    End::Fault(Fault::NoAnswer)
                ));
            }
        };
        fail(20);
        let (files, threads) = (count("/proc/self/fd"), count("/proc/self/task"));
        fail(300);
        // GStreamer ends idle threads of its pool in its own time.
        assert!(count("/proc/self/fd") < files + 30);
        assert!(count("/proc/self/task") < threads + 30);
    }

    /// Two seconds of moving pictures as a file.
    fn film(path: &std::path::Path) {
        let line = format!(
            "videotestsrc num-buffers=50 ! video/x-raw,width=64,height=48,framerate=25/1 ! \
             x264enc speed-preset=ultrafast key-int-max=25 ! h264parse ! mp4mux ! \
             filesink location={}",
            path.display()
        );
        let pipeline = gst::parse::launch(&line).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        let bus = pipeline.bus().unwrap();
        let end = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds);
        assert_eq!(end.unwrap().type_(), gst::MessageType::Eos);
        pipeline.set_state(gst::State::Null).unwrap();
    }

    fn until(what: &str, holds: impl Fn() -> bool) {
        let begun_ns = clock::boot_ns();
        while !holds() {
            assert!(
                clock::boot_ns() - begun_ns < 60_000_000_000,
                "never: {what}"
            );
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_fault_is_said_before_a_pipeline_that_hangs_is_taken_down() {
        crate::ingest::init().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("film.mp4");
        film(&path);
        let repeat = true;
        let ring = Arc::new(Mutex::new(Ring::new((u64::MAX, u64::MAX), 1 << 20)));
        let worker = worker(Source::File { path, repeat }, Some(Arc::clone(&ring)));
        let (status, stop) = (Arc::clone(&worker.intake.status), Arc::clone(&worker.stop));
        // The pipeline's own thread does not come back from the first unit, as from a driver.
        let held = ring.lock().unwrap();
        let thread = thread::spawn(move || worker.run());
        until("a unit", || status.progress() > 0);
        let bus = stop.lock().bus.clone().unwrap();
        let error = gst::message::Error::builder(gst::StreamError::Decode, "the device is gone");
        bus.post(error.build()).unwrap();
        until("the fault", || status.facts().phase == Phase::Failed);
        assert!(!thread.is_finished(), "it hangs");
        drop(held);
        stop.stop();
        thread.join().unwrap();
    }
}

//! Telemetry against real peers: pymavlink vehicles on every kind of link, gpsd, a flight log.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::skip::skipped;
use lingmou::clock;
use lingmou::config::{self, Drive, MavlinkLink, SpeakerKind, Telemetry, TelemetrySource};
use lingmou::demo::vehicle::Vehicle;
use lingmou::telemetry::{self, Poses, TelemetrySnapshot, TelemetryState};
use lingmou::types::{FixKind, Placed, PoseSource, Stamp, Violation};
use lingmou::warn::{Said, Speaker};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Nothing here takes this long, even on a crowded machine.
const DEADLINE: Duration = Duration::from_mins(1);

/// Waits until `condition` holds.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = clock::now();
    while !condition() {
        assert!(clock::now().since(begun) < DEADLINE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn mavlink(address: &str) -> Telemetry {
    Telemetry {
        source: TelemetrySource::Mavlink,
        mavlink: MavlinkLink {
            address: address.to_owned(),
            ..MavlinkLink::default()
        },
        ..Telemetry::default()
    }
}

/// The telemetry task under test.
struct Running {
    poses: Arc<Poses>,
    state: Arc<TelemetryState>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn start(config: Telemetry) -> Self {
        Self::with_horn(config, None)
    }

    fn with_horn(
        config: Telemetry,
        horn: Option<(config::Horn, mpsc::Receiver<telemetry::Call>)>,
    ) -> Self {
        let (poses, state) = (Arc::new(Poses::new()), Arc::new(TelemetryState::new()));
        let stop = CancellationToken::new();
        let task = tokio::spawn(telemetry::run(
            config,
            horn,
            Arc::clone(&poses),
            Arc::clone(&state),
            stop.clone(),
        ));
        Self {
            poses,
            state,
            stop,
            task,
        }
    }

    fn mavlink(address: &str) -> Self {
        Self::start(mavlink(address))
    }

    fn snapshot(&self) -> TelemetrySnapshot {
        self.state.snapshot()
    }

    fn now(&self) -> Option<Placed> {
        self.poses.at(clock::now())
    }

    async fn listening(&self) -> SocketAddr {
        until("it listens", || self.snapshot().listening.is_some()).await;
        self.snapshot().listening.unwrap()
    }

    /// Waits for a fresh pose that has everything the vehicle tells.
    async fn placed(&self) -> Placed {
        until("a fresh and full pose", || {
            self.now().is_some_and(|p| {
                p.age_ms < 2_000
                    && p.pose.camera.is_some()
                    && p.pose.attitude.is_some()
                    && p.pose.fix == FixKind::Full
            })
        })
        .await;
        self.now().unwrap()
    }

    async fn end(self) {
        let begun = clock::now();
        self.stop.cancel();
        self.task.await.unwrap();
        assert!(
            clock::now().since(begun) < Duration::from_secs(1),
            "it stops at once"
        );
    }
}

/// A peer in its own process; ended when dropped.
struct Peer {
    child: Child,
    events: Arc<Mutex<Vec<Value>>>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Peer {
    fn vehicle(args: &[&str]) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = root.join(".setup/venv/bin/python");
        assert!(
            python.exists(),
            "{} is missing: run make setup",
            python.display()
        );
        let mut child = Command::new(python)
            .arg(root.join("tests/integration/peers/mavlink_vehicle.py"))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let events = Arc::new(Mutex::new(Vec::new()));
        let (lines, told) = (child.stdout.take().unwrap(), Arc::clone(&events));
        std::thread::spawn(move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                told.lock()
                    .unwrap()
                    .push(serde_json::from_str(&line).unwrap());
            }
        });
        Self { child, events }
    }

    fn event(&self, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        self.events
            .lock()
            .unwrap()
            .iter()
            .find(|e| wanted(e))
            .cloned()
    }

    /// Where it listens, as it tells.
    async fn listening(&self) -> Value {
        let listens = |e: &Value| e["event"] == "listening";
        until("the peer listens", || self.event(listens).is_some()).await;
        self.event(listens).unwrap()["at"].clone()
    }

    /// Waits until it got a message like this.
    async fn got(&self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let is = |e: &Value| e["name"] == name && wanted(&e["fields"]);
        until(name, || self.event(is).is_some()).await;
        self.event(is).unwrap()
    }
}

/// What every link must bring from the pymavlink vehicle.
async fn check_pose(running: &Running) {
    let pose = running.placed().await.pose;
    assert!(
        (360_662_345..360_800_000).contains(&pose.lat_e7),
        "{pose:?}"
    );
    assert_eq!(pose.lon_e7, 1_203_821_234);
    assert_eq!(
        (pose.alt_mm, pose.heading_deg, pose.speed_mps),
        (Some(42_000), Some(90.0), Some(5.0))
    );
    assert_eq!((pose.hdop_e2, pose.sats), (Some(85), Some(14)));
    assert_eq!((pose.source, pose.sysid), (PoseSource::Mavlink, Some(1)));
    let attitude = pose.attitude.unwrap();
    assert!((attitude.yaw_deg - 90.0).abs() < 0.1, "{attitude:?}");
    let knows = || running.snapshot().gnss_minus_system_us.is_some();
    until("the vehicle tells the time", knows).await;
    let snapshot = running.snapshot();
    assert!(
        snapshot.connected && snapshot.cause.is_none(),
        "{snapshot:?}"
    );
    assert_eq!((snapshot.sysid, snapshot.compid), (Some(1), Some(1)));
    let offset = snapshot
        .gnss_minus_system_us
        .expect("the vehicle knows the time");
    assert!(offset.abs() < 5_000_000, "the same clock: {offset} us");
}

#[tokio::test]
async fn a_version_2_vehicle_is_asked_for_everything_and_heard() {
    let running = Running::mavlink("udpin:127.0.0.1:0");
    let link = format!("udpout:{}", running.listening().await);
    let peer = Peer::vehicle(&[&link, "--on-request"]);
    check_pose(&running).await;
    let pose = running.placed().await.pose;
    assert_eq!(pose.h_acc_mm, Some(1_250));
    let camera = pose.camera.unwrap();
    assert!((camera.yaw_deg - 60.0).abs() < 0.1, "{camera:?}");

    let heartbeat = peer.got("HEARTBEAT", |f| f["type"] == 18).await;
    assert_eq!(
        (&heartbeat["system"], &heartbeat["component"]),
        (&1.into(), &191.into())
    );
    assert_eq!(heartbeat["fields"]["autopilot"], 8);
    let asked = peer
        .got("COMMAND_LONG", |f| {
            f["command"] == 511 && f["param1"] == 33.0
        })
        .await;
    assert_eq!(asked["fields"]["param2"], 100_000.0);
    assert_eq!(
        (
            &asked["fields"]["target_system"],
            &asked["fields"]["target_component"]
        ),
        (&1.into(), &1.into())
    );
    // A frame seen between two reports lies between them.
    until("an interpolated pose", || {
        let newest = running.now().unwrap();
        let between = newest.pose.at.shifted_ns(-50_000_000);
        running
            .poses
            .at(between)
            .is_some_and(|p| p.interpolated && p.age_ms <= 100)
    })
    .await;
    running.end().await;
}

#[tokio::test]
async fn a_version_1_vehicle_is_spoken_to_in_version_1() {
    let running = Running::mavlink("udpin:127.0.0.1:0");
    let link = format!("udpout:{}", running.listening().await);
    let peer = Peer::vehicle(&[&link, "--on-request", "--version", "1", "--mount"]);
    check_pose(&running).await;
    let pose = running.placed().await.pose;
    assert_eq!(pose.h_acc_mm, None, "version 1 has no accuracy");
    let camera = pose.camera.unwrap();
    assert!((camera.yaw_deg - 120.0).abs() < 0.1 && (camera.pitch_deg + 45.0).abs() < 0.1);
    peer.got("HEARTBEAT", |f| f["type"] == 18).await;
    running.end().await;
}

#[tokio::test]
async fn a_vehicle_that_refuses_intervals_is_asked_for_streams() {
    let running = Running::mavlink("udpin:127.0.0.1:0");
    let link = format!("udpout:{}", running.listening().await);
    let peer = Peer::vehicle(&[&link, "--on-request", "--ack", "3"]);
    check_pose(&running).await;
    peer.got("REQUEST_DATA_STREAM", |f| f["req_stream_id"] == 6)
        .await;
    running.end().await;
}

#[tokio::test]
async fn every_link_brings_the_same_pose() {
    let peer = Peer::vehicle(&["udpin:127.0.0.1:0"]);
    let running = Running::mavlink(&format!("udpout:127.0.0.1:{}", peer.listening().await));
    check_pose(&running).await;
    running.end().await;

    let peer = Peer::vehicle(&["tcpin:127.0.0.1:0"]);
    let running = Running::mavlink(&format!("tcpout:127.0.0.1:{}", peer.listening().await));
    check_pose(&running).await;
    running.end().await;

    let running = Running::mavlink("tcpin:127.0.0.1:0");
    let peer = Peer::vehicle(&[&format!("tcp:{}", running.listening().await)]);
    check_pose(&running).await;
    drop(peer);
    running.end().await;

    let peer = Peer::vehicle(&["pty", "--on-request"]);
    let device = peer.listening().await;
    let running = Running::mavlink(&format!("serial:{}:57600", device.as_str().unwrap()));
    check_pose(&running).await;
    running.end().await;
}

#[tokio::test]
async fn noise_and_others_on_the_link_change_nothing() {
    for link in ["udpin:127.0.0.1:0", "tcpin:127.0.0.1:0"] {
        let running = Running::mavlink(link);
        let at = running.listening().await;
        let to = match link {
            "tcpin:127.0.0.1:0" => format!("tcp:{at}"),
            _ => format!("udpout:{at}"),
        };
        let peer = Peer::vehicle(&[&to, "--noise", "--others"]);
        // And somebody else sends garbage to the same port.
        let garbage = UdpSocket::bind("127.0.0.1:0").unwrap();
        for n in 0..200_u8 {
            drop(garbage.send_to(&[0xFD, n, 0, 0, n, 1, 1, 33, 0, 0, n], at));
        }
        check_pose(&running).await;
        until("others are counted", || {
            let counters = running.snapshot().counters;
            counters.ignored > 20 && counters.unframed_bytes > 1_000 && counters.poses > 5
        })
        .await;
        assert_eq!(running.snapshot().sysid, Some(1));
        drop(peer);
        running.end().await;
    }
}

#[tokio::test]
async fn a_vehicle_that_leaves_is_told_and_one_that_returns_is_heard_and_asked_again() {
    let running = Running::mavlink("udpin:127.0.0.1:0");
    let link = format!("udpout:{}", running.listening().await);
    let peer = Peer::vehicle(&[&link, "--on-request", "--up", "100"]);
    running.placed().await;
    drop(peer);
    until("the loss is told", || {
        let snapshot = running.snapshot();
        !snapshot.connected && snapshot.cause.is_some_and(|c| c.contains("silent"))
    })
    .await;
    let stale = running.now().expect("the last pose, with its age");
    assert!(stale.age_ms > 3_000 && !stale.interpolated, "{stale:?}");
    // It comes back on another port, having forgotten what it was asked.
    let _peer = Peer::vehicle(&[&link, "--on-request"]);
    check_pose(&running).await;
    running.end().await;
}

#[tokio::test]
async fn a_server_that_is_away_or_leaves_is_connected_to_again() {
    // The port is free now and a moment later taken by the peer.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let running = Running::mavlink(&format!("tcpout:127.0.0.1:{port}"));
    until("the failure is told", || {
        running
            .snapshot()
            .cause
            .is_some_and(|c| c.contains("refused"))
    })
    .await;
    // Booted anew each time, long after the boot before.
    for up in ["100", "50"] {
        let peer = Peer::vehicle(&[&format!("tcpin:127.0.0.1:{port}"), "--up", up]);
        check_pose(&running).await;
        drop(peer);
        until("the loss is told", || !running.snapshot().connected).await;
    }
    assert!(running.snapshot().counters.reconnects >= 2);
    running.end().await;
}

#[tokio::test]
async fn an_unusable_address_is_told_and_waited_with() {
    let running = Running::mavlink("serial:/dev/nonexistent:57600");
    until("the cause is told", || {
        running
            .snapshot()
            .cause
            .is_some_and(|c| c.contains("/dev/nonexistent"))
    })
    .await;
    running.end().await;
    let running = Running::mavlink("udp:14550");
    until("the forms are told", || {
        running
            .snapshot()
            .cause
            .is_some_and(|c| c.contains("udpin:HOST:PORT"))
    })
    .await;
    assert!(!running.task.is_finished());
    running.end().await;
}

/// A loudspeaker that is the horn of a pymavlink vehicle.
struct HornRoom {
    running: Running,
    peer: Peer,
    speaker: Speaker,
}

impl HornRoom {
    async fn new(drive: Drive, secs: f64, vehicle: &[&str]) -> Self {
        let mut warn = config::Warn::default();
        warn.speaker.kind = SpeakerKind::Mavlink;
        (warn.horn.drive, warn.horn.number, warn.horn.secs) = (drive, 9, secs);
        let (calls, calls_in) = mpsc::channel(1);
        let horn = Some((warn.horn.clone(), calls_in));
        let running = Running::with_horn(mavlink("udpin:127.0.0.1:0"), horn);
        let link = format!("udpout:{}", running.listening().await);
        let peer = Peer::vehicle(&[&[link.as_str()][..], vehicle].concat());
        running.placed().await;
        let speaker = Speaker::open(&warn).unwrap().through(calls);
        Self {
            running,
            peer,
            speaker,
        }
    }

    async fn toot(&mut self, stop: &CancellationToken) -> Said {
        let tone = self.speaker.warning(Violation::StreetVending).unwrap();
        self.speaker.utter(tone, 1.0, stop).await
    }

    /// What the vehicle was told about output 9, in order; what was said again, once.
    fn orders(&self) -> Vec<String> {
        let events = self.peer.events.lock().unwrap();
        let fields = events.iter().map(|e| &e["fields"]);
        let orders = fields.filter(|f| f["command"] == 181 || f["command"] == 183);
        let orders = orders.filter(|f| f["param1"] == 9.0);
        let mut values: Vec<String> = orders.map(|f| f["param2"].to_string()).collect();
        values.dedup();
        values
    }

    fn is_off(&self) -> bool {
        self.orders().last().is_some_and(|value| value == "0.0")
    }

    /// When the vehicle first heard, after `ordered`, that its horn is to be silent.
    fn silenced_ns(&self, ordered: Stamp) -> Option<u64> {
        let events = self.peer.events.lock().unwrap();
        let silences = |event: &&Value| {
            let fields = &event["fields"];
            let off = |command: i32, value: f64| {
                fields["command"] == command && fields["param1"] == 9.0 && fields["param2"] == value
            };
            let cut = event["name"] == "PLAY_TUNE_V2" && fields["tune"] == "";
            off(181, 0.0) || off(183, 1100.0) || cut
        };
        let heard_ns = events.iter().filter(silences);
        let heard_ns = heard_ns.filter_map(|event| event["boot_ns"].as_u64());
        heard_ns.into_iter().find(|ns| *ns >= ordered.boot_ns)
    }
}

/// Whether this vehicle was told to sound.
fn sounds(events: &Mutex<Vec<Value>>) -> bool {
    let events = events.lock().unwrap();
    events.iter().any(|event| {
        let fields = &event["fields"];
        let on =
            |command: i32, value: f64| fields["command"] == command && fields["param2"] == value;
        let tune = event["name"] == "PLAY_TUNE_V2" && fields["tune"] != "";
        on(181, 1.0) || on(183, 1900.0) || tune
    })
}

#[tokio::test]
async fn a_vehicles_horn_sounds_for_its_time_and_is_off_at_start_and_end() {
    for (drive, command, on, off) in [
        (Drive::Relay, 181, "1.0", "0.0"),
        (Drive::Servo, 183, "1900.0", "1100.0"),
    ] {
        let mut room = HornRoom::new(drive, 0.5, &[]).await;
        let said = room.toot(&CancellationToken::new()).await;
        assert_eq!(said.failure, None);
        assert!(said.played >= Duration::from_millis(500), "{said:?}");
        until("the orders", || room.orders() == [off, on, off]).await;
        room.peer
            .got("COMMAND_LONG", |f| {
                f["command"] == command && f["target_system"] == 1
            })
            .await;
        room.running.end().await;
    }
}

#[tokio::test]
async fn a_vehicle_that_refuses_or_is_silent_has_not_sounded_its_horn() {
    let mut room = HornRoom::new(Drive::Relay, 0.5, &["--horn", "2"]).await;
    let said = room.toot(&CancellationToken::new()).await;
    let why = said.failure.expect("refused");
    assert!(why.contains("denied") && said.played.is_zero(), "{why}");
    until("it is off all the same", || {
        room.orders() == ["0.0", "1.0", "0.0"]
    })
    .await;
    room.running.end().await;

    let mut room = HornRoom::new(Drive::Relay, 0.5, &["--horn", "-1"]).await;
    let said = room.toot(&CancellationToken::new()).await;
    let why = said.failure.expect("silent");
    assert!(
        why.contains("does not answer") && said.played.is_zero(),
        "{why}"
    );
    let third = |f: &Value| f["command"] == 181 && f["param2"] == 1.0 && f["confirmation"] == 2;
    room.peer.got("COMMAND_LONG", third).await;
    // It may have heard all the same.
    until("it is told to be silent", || room.is_off()).await;
    room.running.end().await;
}

#[tokio::test]
async fn a_stop_and_the_end_of_the_program_silence_a_vehicles_horn_within_a_second() {
    for (drive, program_ends) in [
        (Drive::Relay, false),
        (Drive::Relay, true),
        (Drive::Servo, false),
        (Drive::Servo, true),
        (Drive::Tune, false),
        (Drive::Tune, true),
    ] {
        let mut room = HornRoom::new(drive, 10.0, &[]).await;
        let (stop, end) = (CancellationToken::new(), room.running.stop.clone());
        let events = Arc::clone(&room.peer.events);
        let stopper = stop.clone();
        let stopping = tokio::spawn(async move {
            until("the horn is on", || sounds(&events)).await;
            let told = if program_ends { end } else { stopper };
            let ordered = clock::now();
            told.cancel();
            ordered
        });
        let said = room.toot(&stop).await;
        let ordered = stopping.await.unwrap();
        assert!(
            said.failure.is_some() && said.played < Duration::from_secs(9),
            "{said:?}"
        );
        until("it is off", || room.silenced_ns(ordered).is_some()).await;
        let late_ns = room.silenced_ns(ordered).unwrap() - ordered.boot_ns;
        let case = (drive, program_ends);
        assert!(late_ns <= 1_000_000_000, "{case:?}: {late_ns} ns");
        room.running.end().await;
    }
}

#[tokio::test]
async fn a_tune_is_played_and_cut_short_by_an_empty_one() {
    let mut room = HornRoom::new(Drive::Tune, 10.0, &[]).await;
    let stop = CancellationToken::new();
    let events = Arc::clone(&room.peer.events);
    let stopper = stop.clone();
    let stopping = tokio::spawn(async move {
        until("the tune", || sounds(&events)).await;
        stopper.cancel();
    });
    let said = room.toot(&stop).await;
    stopping.await.unwrap();
    assert_eq!(said.failure.as_deref(), Some("stopped before the end"));
    let tune = room.peer.got("PLAY_TUNE_V2", |f| f["tune"] != "").await;
    let fields = &tune["fields"];
    assert_eq!(
        (&fields["tune"], &fields["format"]),
        (&"MFT120L4O3CGL2C".into(), &1.into())
    );
    room.peer.got("PLAY_TUNE_V2", |f| f["tune"] == "").await;
    room.running.end().await;
}

#[tokio::test]
async fn the_demo_vehicle_circles_its_point() {
    let running = Running::mavlink("udpin:127.0.0.1:0");
    let vehicle = Vehicle::start(running.listening().await, (36.066, 120.382)).unwrap();
    let pose = running.placed().await.pose;
    let north_m = (f64::from(pose.lat_e7) / 1e7 - 36.066) * 111_195.0;
    let east_m =
        (f64::from(pose.lon_e7) / 1e7 - 120.382) * 111_195.0 * 36.066_f64.to_radians().cos();
    assert!(
        (north_m.hypot(east_m) - 4.0).abs() < 0.2,
        "{north_m} {east_m}"
    );
    assert_eq!((pose.alt_mm, pose.h_acc_mm), (Some(40_000), Some(1_200)));
    // The camera looks at the centre.
    let to_centre = (-east_m).atan2(-north_m).to_degrees().rem_euclid(360.0);
    let camera = pose.camera.unwrap();
    assert!(
        (f64::from(camera.yaw_deg) - to_centre).abs() < 1.0,
        "{camera:?} {to_centre}"
    );
    assert!((camera.pitch_deg + 45.0).abs() < 0.1);
    drop(vehicle);
    running.end().await;
}

#[tokio::test]
async fn a_recorded_flight_comes_out_as_it_was() {
    let log = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data/telemetry/uavlogviewer_vtol.tlog");
    let Ok(log) = std::fs::read(&log) else {
        skipped(&format!("{} is not there", log.display()));
        return;
    };
    let running = Running::mavlink("udpin:127.0.0.1:0");
    let at = running.listening().await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (mut sent, mut last) = (0_u64, None);
    for frame in tlog(&log) {
        socket.send_to(frame, at).unwrap();
        sent += frame.len() as u64;
        // GLOBAL_POSITION_INT of the autopilot, either version.
        match frame {
            [0xFD, _, _, _, _, _, 1, 33, 0, 0, body @ ..] | [0xFE, _, _, _, 1, 33, body @ ..] => {
                let field = |at: usize| {
                    i32::from_le_bytes(body.get(at..at + 4).unwrap().try_into().unwrap())
                };
                last = Some((field(4), field(8)));
            }
            _ => {}
        }
        // The socket's buffer holds a few hundred datagrams: stay close behind it.
        until("the log is heard", || {
            running.snapshot().counters.bytes + 4_000 > sent
        })
        .await;
    }
    until("the end of the log", || {
        let pose = running.now().map(|p| (p.pose.lat_e7, p.pose.lon_e7));
        pose.is_some() && pose == last
    })
    .await;
    let counters = running.snapshot().counters;
    println!("{counters:?}");
    assert!(
        counters.messages > 20_000 && counters.poses > 500,
        "{counters:?}"
    );
    // Three of its frames are not understood; the others do not suffer from it.
    assert_eq!(counters.parse_errors, 3);
    running.end().await;
}

/// The frames of a telemetry log: eight bytes of time before each.
fn tlog(log: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = log;
    std::iter::from_fn(move || {
        let body = rest.get(8..)?;
        let len = match body {
            [0xFD, len, flags, ..] => usize::from(*len) + 12 + usize::from(flags & 1) * 13,
            [0xFE, len, ..] => usize::from(*len) + 8,
            _ => return None,
        };
        let frame = body.get(..len)?;
        rest = body.get(len..)?;
        Some(frame)
    })
}

/// A real gpsd, fed by NMEA over UDP; ended when dropped.
struct Gpsd {
    child: Child,
    port: u16,
    feed: UdpSocket,
}

impl Drop for Gpsd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Gpsd {
    fn start(port: u16) -> Self {
        let gpsd: PathBuf = ["/usr/sbin/gpsd", "/usr/bin/gpsd"]
            .iter()
            .map(PathBuf::from)
            .find(|p| p.exists())
            .expect("gpsd is not installed: run make setup");
        let nmea_port = free_udp_port();
        let child = Command::new(gpsd)
            .args(["-N", "-n", "-b", "-S", &port.to_string()])
            .arg(format!("udp://127.0.0.1:{nmea_port}"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let feed = UdpSocket::bind("127.0.0.1:0").unwrap();
        feed.connect(("127.0.0.1", nmea_port)).unwrap();
        Self { child, port, feed }
    }

    /// One second of a receiver's sentences; `second` of the minute.
    fn tell(&self, second: u32) {
        let time = format!("0203{:02}.00", second % 60);
        let mut bytes = Vec::new();
        for sentence in [
            format!("GPGGA,{time},3603.97407,N,12022.92740,E,1,09,0.84,12.5,M,5.0,M,,"),
            "GPGSA,A,3,05,07,09,11,13,15,17,19,21,,,,1.60,0.84,1.36".to_owned(),
            format!("GPRMC,{time},A,3603.97407,N,12022.92740,E,010.1,271.5,010826,,,A"),
        ] {
            let sum = sentence.bytes().fold(0_u8, |sum, byte| sum ^ byte);
            write!(bytes, "${sentence}*{sum:02X}\r\n").unwrap();
        }
        // Nobody listens until gpsd is up.
        drop(self.feed.send(&bytes));
    }
}

fn free_udp_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

#[tokio::test]
async fn gpsd_is_heard_and_heard_again_after_it_restarted() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let running = Running::start(Telemetry {
        source: TelemetrySource::Gpsd,
        gpsd: format!("127.0.0.1:{port}"),
        ..Telemetry::default()
    });
    until("gpsd is away", || {
        running
            .snapshot()
            .cause
            .is_some_and(|c| c.contains("refused"))
    })
    .await;
    for round in 0..2 {
        let gpsd = Gpsd::start(port);
        assert_eq!(gpsd.port, port);
        let (before, mut second) = (running.snapshot().counters.poses, 0);
        until("poses from gpsd", || {
            second += 1;
            if second % 5 == 0 {
                gpsd.tell(second / 5);
            }
            running.snapshot().counters.poses >= before + 3
        })
        .await;
        let placed = running.now().unwrap();
        let pose = placed.pose;
        assert!((pose.lat_e7 - 360_662_345).abs() < 20, "{pose:?}");
        assert!((pose.lon_e7 - 1_203_821_233).abs() < 20, "{pose:?}");
        assert_eq!((pose.source, pose.fix), (PoseSource::Gpsd, FixKind::Full));
        assert_eq!(pose.alt_mm, Some(12_500));
        assert!(
            pose.speed_mps.is_some_and(|v| (v - 5.196).abs() < 0.01),
            "{pose:?}"
        );
        assert!(
            placed.age_ms < 5_000,
            "a replayed time is not believed: {placed:?}"
        );
        assert!(running.snapshot().connected, "round {round}");
        drop(gpsd);
        until("the loss is told", || !running.snapshot().connected).await;
    }
    running.end().await;
}

//! Everything round the daemon, and the daemon.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Loaded, Receive};
use crate::ingest::Codec;
use crate::pki::TestPki;
use crate::receive::{self, Event};
use crate::types::CaseId;
use crate::{daemon, status, witness};

use super::broker::{Broker, BrokerKeys};
use super::footage::Footage;
use super::profile::{self, Addresses};
use super::rtsp::{Mount, RtspServer, Show};
use super::tsa;
use super::vehicle::Vehicle;

/// The device's name in its certificates; the profile's `device.id`.
const DEVICE: &str = "LM-DEMO-0001";
/// The receiver's name.
const RECEIVER: &str = "receiver-1";
/// Path of the camera's stream.
const STREAM: &str = "/street";
/// Where the vehicle flies: the sea off Licang, where no vendor stands.
const CENTRE: (f64, f64) = (36.128_0, 120.300_0);
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// How long a receipt and the time-stamp over it may take to be filed on the device.
const FILED_WITHIN: Duration = Duration::from_secs(10);

type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// The running town. Peers stop when dropped.
pub(super) struct Town {
    loaded: Loaded,
    roots: PathBuf,
    daemon: JoinHandle<anyhow::Result<()>>,
    receiver: JoinHandle<Result<(), receive::ReceiveError>>,
    teller: JoinHandle<()>,
    stop: CancellationToken,
    _broker: Broker,
    _camera: RtspServer,
    _vehicle: Vehicle,
}

impl Town {
    /// Starts the peers, then the daemon. Stored packages are told to `stored`.
    pub(super) async fn start(
        dir: &Path,
        footage: &Footage,
        say: Say,
        stored: Sender<(CaseId, PathBuf)>,
    ) -> anyhow::Result<Self> {
        let pki = TestPki::create(&dir.join("pki"), DEVICE)?;
        say("keys made: root, device, receiver, broker, time-stamper");
        let broker = Broker::start(&dir.join("broker"), &BrokerKeys::of(&pki), &[RECEIVER]).await?;
        say(&format!(
            "broker (mosquitto, TLS, client certificates) on port {}",
            broker.port()
        ));
        let show = Show::Clip(footage.path().to_owned(), Codec::H264);
        let camera = RtspServer::start(&[Mount {
            path: STREAM.to_owned(),
            show,
        }])?;
        say(&format!("camera streams {}", camera.url(STREAM)));
        let mavlink_port = free_udp_port()?;
        let vehicle = Vehicle::start((Ipv4Addr::LOCALHOST, mavlink_port).into(), CENTRE)?;
        say(&format!("vehicle sends MAVLink to port {mavlink_port}"));
        let addresses = Addresses {
            camera: &camera.url(STREAM),
            mavlink_port,
            broker_port: broker.port(),
            keys: &pki.device,
        };
        let config = profile::write(dir, &addresses)?;
        let loaded = Config::read(&config)?;
        let stop = CancellationToken::new();
        let desk = receive_config(dir, &pki, broker.port())?;
        let receiver = receiver(desk, (Arc::clone(&say), stored), &stop);
        say(&format!("daemon starts with {}", config.display()));
        let daemon = tokio::spawn({
            let (loaded, stop) = (loaded.clone(), stop.clone());
            async move { daemon::run(&loaded.into(), stop).await.map(|_end| ()) }
        });
        let teller = tokio::spawn(tell(loaded.config.store.run_dir.clone(), say));
        Ok(Self {
            loaded,
            roots: pki.root(),
            daemon,
            receiver,
            teller,
            stop,
            _broker: broker,
            _camera: camera,
            _vehicle: vehicle,
        })
    }

    /// The device's packages.
    pub(super) fn packages(&self) -> PathBuf {
        self.loaded.config.store.dir.join("packages")
    }

    /// The root certificate.
    pub(super) fn roots(&self) -> PathBuf {
        self.roots.clone()
    }

    /// Returns when the daemon ends, which it should not.
    pub(super) async fn daemon_ended(&mut self) -> anyhow::Result<()> {
        (&mut self.daemon).await.context("the daemon panicked")?
    }

    /// Waits until the device has filed receipts and time-stamps of these packages.
    pub(super) async fn filed(&self, packages: &[(CaseId, PathBuf)]) {
        let all = async {
            for (id, _) in packages {
                let stamp = self
                    .packages()
                    .join(id.to_string())
                    .join(witness::TIMESTAMP);
                while !stamp.is_file() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        };
        if tokio::time::timeout(FILED_WITHIN, all).await.is_err() {
            tracing::warn!("a receipt or a time-stamp has not come back to the device");
        }
    }

    /// Stops the daemon in order, then the peers.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.teller.abort();
        self.stop.cancel();
        self.daemon.await.context("the daemon panicked")??;
        self.receiver.await.context("the receiver panicked")??;
        Ok(())
    }
}

fn receive_config(dir: &Path, pki: &TestPki, port: u16) -> anyhow::Result<Receive> {
    Ok(Receive {
        name: RECEIVER.to_owned(),
        host: "127.0.0.1".to_owned(),
        port,
        keys: pki.receiver.clone(),
        dir: dir.join("receiver"),
        tsa_command: tsa::command(&dir.join("tsa"), pki)?,
        // A demonstration may run where nothing synchronises the clock.
        any_clock: true,
        ..Receive::default()
    })
}

fn receiver(
    config: Receive,
    (say, stored): (Say, Sender<(CaseId, PathBuf)>),
    stop: &CancellationToken,
) -> JoinHandle<Result<(), receive::ReceiveError>> {
    let on_event = move |event: Event| match event {
        Event::Announced { id, bytes, .. } => {
            say(&format!(
                "receiver: case {id} announced, {bytes} bytes to come"
            ));
        }
        Event::Stored { id, path, .. } => {
            say(&format!(
                "receiver: case {id} verified, stored, receipt signed"
            ));
            if stored.try_send((id, path)).is_err() {
                tracing::debug!("enough was shown already");
            }
        }
        Event::Refused { id, why, .. } => say(&format!("receiver: case {id} refused: {why}")),
        Event::Stamped { .. } => say("receiver: time-stamp fetched from the authority and sent"),
        Event::Unstamped { why, .. } => say(&format!("receiver: no time-stamp: {why}")),
        Event::Mended { id, why, .. } => say(&format!("receiver: case {id} was mended: {why}")),
        Event::Broken { id, why, .. } => say(&format!("receiver: case {id} is broken: {why}")),
        Event::HeadRefused { device, why, .. } => {
            say(&format!("receiver: journal of {device} refused: {why}"));
        }
        Event::Trouble { why } => say(&format!("receiver: {why}")),
        Event::Connected { .. }
        | Event::Disconnected { .. }
        | Event::Presence { .. }
        | Event::Checkpoint { .. }
        | Event::Ignored { .. } => {}
    };
    tokio::spawn(receive::run(config, on_event, stop.clone()))
}

/// Tells every few seconds what the daemon says of itself.
async fn tell(run_dir: PathBuf, say: Say) {
    loop {
        tokio::time::sleep(TELL_EVERY).await;
        let Ok(status) = status::ask(&run_dir).await else {
            continue;
        };
        let eye = &status["eye"];
        say(&format!(
            "daemon: camera {}, {} frames looked at, {} open cases, {} pictures, {} packages sealed",
            status["cameras"]["street"]["phase"].as_str().unwrap_or("?"),
            eye["detected"],
            eye["open_cases"],
            status["keeper"]["pictures"],
            status["keeper"]["sealed"],
        ));
    }
}

/// A UDP port nobody uses at this moment.
fn free_udp_port() -> anyhow::Result<u16> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("no UDP port is free")?;
    Ok(socket.local_addr()?.port())
}

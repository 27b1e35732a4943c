//! The upload: how long a fresh case waits for its announcement while video drains over a narrow
//! link, and how fast a package goes on loopback against a plain TLS copy of the same bytes.
//!
//! A real mosquitto, the reference receiver, a relay at 1 Mbit/s. `notice` is the time from the
//! end of sealing to the receiver's word that it knows the case; `ahead` the bytes that went to
//! the broker meanwhile, which no load on this machine changes.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(
    clippy::unwrap_used,
    reason = "the relay is the tests' own, which fail by panicking"
)]

#[path = "../tests/integration/uplink/relay.rs"]
#[expect(dead_code, reason = "the tests lose segments too, this bench does not")]
mod relay;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::tz::TimeZone;
use lingmou::clock;
use lingmou::config;
use lingmou::demo::broker::{Broker, BrokerKeys};
use lingmou::pki::TestPki;
use lingmou::receive::{self, Event};
use lingmou::store::{Draft, SealContext, Store};
use lingmou::types::{CaseId, Outcome, Violation};
use lingmou::upload::{self, Uplink, UploadState};
use lingmou::witness::{
    Camera, Clock, Device, Identity, Software, Statement, ViolationFacts, seal,
};
use relay::Relay;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const DEVICE: &str = "LM-BENCH-1";
const RECEIVER: &str = "receiver-1";
/// 1 Mbit/s in bytes a second.
const MEGABIT: u32 = 125_000;
/// Video that drains meanwhile, bytes: more than the link takes in a run.
const BACKLOG: usize = 24_000_000;
/// Fresh cases announced meanwhile.
const NOTICES: usize = 12;
/// The package for the way on loopback, bytes.
const LARGE: usize = 48_000_000;
/// Nothing here takes longer.
const DEADLINE: Duration = Duration::from_mins(3);

fn main() -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()?.block_on(async {
        notices().await?;
        goodput().await
    })
}

/// Box, broker and receiver.
struct Scene {
    dir: tempfile::TempDir,
    pki: TestPki,
    broker: Broker,
    store: Store,
    events: mpsc::Receiver<Event>,
    state: Arc<UploadState>,
    stop: CancellationToken,
}

impl Scene {
    async fn new() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let pki = TestPki::create(&dir.path().join("pki"), DEVICE)?;
        let place = dir.path().join("broker");
        let broker = Broker::start(&place, &BrokerKeys::of(&pki), &[RECEIVER]).await?;
        let config = config::Store {
            dir: dir.path().join("store"),
            keep_free_mib: 0,
            ..config::Store::default()
        };
        let (store, _) = Store::open(&config, DEVICE)?;
        let receive = config::Receive {
            name: RECEIVER.to_owned(),
            host: "127.0.0.1".to_owned(),
            port: broker.port(),
            keys: pki.receiver.clone(),
            dir: dir.path().join("received"),
            ..config::Receive::default()
        };
        let (tell, events) = mpsc::channel(1024);
        let stop = CancellationToken::new();
        let tell = move |event| {
            if tell.try_send(event).is_err() {
                println!("events were missed");
            }
        };
        tokio::spawn(receive::run(receive, tell, stop.clone()));
        Ok(Self {
            dir,
            pki,
            broker,
            store,
            events,
            state: Arc::new(UploadState::new()),
            stop,
        })
    }

    /// Begins to upload to the broker, or the relay before it, at `port`.
    fn upload(&self, port: u16) -> anyhow::Result<()> {
        let uplink = Uplink {
            config: config::Upload {
                port,
                ..config::Upload::default()
            },
            keys: self.pki.device.clone(),
            device: DEVICE.to_owned(),
            time_zone: TimeZone::UTC,
            store: self.store.clone(),
            identity: Arc::new(Identity::load(&self.pki.device, "evidence")?),
            state: Arc::clone(&self.state),
            desk: None,
        };
        tokio::spawn(upload::run(uplink, self.stop.clone()));
        Ok(())
    }

    fn seal(&self, clip: usize) -> anyhow::Result<CaseId> {
        let id = CaseId(Uuid::now_v7());
        let draft = |name: &str, media_type: &str, bytes: usize| Draft {
            bytes: id.to_string().bytes().cycle().take(bytes).collect(),
            name: name.to_owned(),
            media_type: media_type.to_owned(),
            at: Some(clock::now()),
            pts_ns: None,
        };
        let drafts = [
            draft("frames/01-found.jpg", "image/jpeg", 90_000),
            draft("clip.mp4", "video/mp4", clip),
        ];
        self.store.keep(id, &drafts, None)?;
        let identity = Identity::load(&self.pki.device, "evidence")?;
        let make = |context| seal(&statement(id, context), &identity, clock::now());
        self.store.seal(id, make, None)?;
        Ok(id)
    }

    /// Waits for an event about a package.
    async fn event(&mut self, is: impl Fn(&Event) -> bool) -> anyhow::Result<()> {
        let found = async {
            while let Some(event) = self.events.recv().await {
                if is(&event) {
                    return Ok(());
                }
            }
            anyhow::bail!("the receiver ended")
        };
        timeout(DEADLINE, found).await.context("it never came")?
    }
}

/// The table of notices.
async fn notices() -> anyhow::Result<()> {
    let mut scene = Scene::new().await?;
    let relay = Relay::start(scene.broker.port()).await;
    relay.limit(MEGABIT);
    scene.upload(relay.port())?;
    scene.seal(BACKLOG)?;
    // Past the pictures, with the pieces grown to the link.
    while relay.up() < 10 * u64::from(MEGABIT) {
        sleep(Duration::from_millis(20)).await;
    }
    let mut found = Vec::new();
    for _ in 0..NOTICES {
        let id = scene.seal(1000)?;
        let (begun, before) = (Instant::now(), relay.up());
        let known = |event: &Event| matches!(event, Event::Announced { id: it, .. } if *it == id);
        scene.event(known).await?;
        found.push((begun.elapsed().as_millis(), relay.up() - before));
        let stored = |event: &Event| matches!(event, Event::Stored { id: it, .. } if *it == id);
        scene.event(stored).await?;
    }
    scene.stop.cancel();
    found.sort_unstable();
    let at = |part: usize| found[(found.len() - 1) * part / 100];
    println!(
        "\n### a fresh case while {BACKLOG} bytes of video drain at 1 Mbit/s, {NOTICES} times\n"
    );
    println!("| | notice ms | bytes ahead |\n|---|---|---|");
    for (what, part) in [("least", 0), ("median", 50), ("most", 100)] {
        let (ms, ahead) = at(part);
        println!("| {what} | {ms} | {ahead} |");
    }
    Ok(())
}

/// The way of one large package, and a plain copy.
async fn goodput() -> anyhow::Result<()> {
    let mut scene = Scene::new().await?;
    scene.upload(scene.broker.port())?;
    // Connected and known.
    let first = scene.seal(1000)?;
    let is = |id: CaseId| move |e: &Event| matches!(e, Event::Stored { id: it, .. } if *it == id);
    scene.event(is(first)).await?;
    let begun = Instant::now();
    let large = scene.seal(LARGE)?;
    scene.event(is(large)).await?;
    let whole = begun.elapsed().as_secs_f64();
    scene.stop.cancel();
    let copy = copy(&scene.pki, scene.dir.path()).await?;
    println!("\n### one package of {LARGE} bytes on loopback\n");
    println!("| | s | × TLS copy |\n|---|---|---|");
    println!("| TLS copy, nothing else | {copy:.2} | 1.00 |");
    println!(
        "| sealed, sent, stored, receipted | {whole:.2} | {:.1} |",
        whole / copy
    );
    Ok(())
}

/// Seconds for a TLS copy of as many bytes from memory to a file on loopback.
async fn copy(pki: &TestPki, dir: &Path) -> anyhow::Result<f64> {
    let keys = BrokerKeys::of(pki);
    let chain = CertificateDer::pem_file_iter(&keys.certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&keys.key)?;
    let provider = Arc::new(ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    let mut roots = rustls::RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(&keys.roots)? {
        roots.add(root?)?;
    }
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let to = dir.join("copy");
    let taker = tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let mut stream = acceptor.accept(stream).await?;
        let mut file = tokio::fs::File::create(to).await?;
        tokio::io::copy(&mut stream, &mut file).await?;
        file.sync_all().await?;
        stream.write_all(&[1]).await?;
        stream.shutdown().await
    });
    let bytes = vec![7; LARGE];
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::try_from("127.0.0.1")?;
    let mut stream = TlsConnector::from(Arc::new(client))
        .connect(name, tcp)
        .await?;
    let begun = Instant::now();
    stream.write_all(&bytes).await?;
    stream.shutdown().await?;
    // One byte says that all is on the disk.
    stream.read_u8().await?;
    let secs = begun.elapsed().as_secs_f64();
    taker.await??;
    Ok(secs)
}

fn statement(id: CaseId, context: SealContext) -> Statement {
    let (v, kind) = Statement::HEAD;
    let at = clock::now();
    let now = clock::rfc3339_ms(at.utc_ns);
    Statement {
        v,
        kind: kind.to_owned(),
        id,
        device: Device {
            id: DEVICE.to_owned(),
            model: None,
            tz: "Asia/Shanghai".to_owned(),
            boot_id: None,
        },
        seq: context.seq,
        journal: context.journal,
        after: context.last_receipt,
        site: None,
        violation: Some(ViolationFacts {
            kind: Violation::StreetVending,
            rule: "warn-then-recheck".to_owned(),
            outcome: Outcome::Persisted,
            zone: None,
            first_seen: now.clone(),
            confirmed: now,
            dwell_s: None,
            prior: None,
            law: None,
        }),
        asked: None,
        warning: Vec::new(),
        clock: Clock::at(at),
        position: None,
        heading: None,
        altitude: None,
        mavlink: None,
        camera: Camera {
            id: "bench".to_owned(),
            rtsp: None,
            onvif_serial: None,
            codec: None,
            clip: None,
        },
        software: Software {
            name: "lingmou".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            binary_sha256: None,
            config_sha256: None,
            model: None,
        },
        omitted: Vec::new(),
        grade: None,
        files: context.files,
    }
}

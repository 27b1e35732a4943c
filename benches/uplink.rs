//! The upload: how long a fresh case waits for its announcement while video drains over a narrow
//! link; how fast a package goes on loopback against a plain TLS copy of the same bytes and against
//! mosquitto's own programs; and how many packages one and two receivers take from a fleet, at once
//! and for a minute.
//!
//! A real mosquitto, the reference receiver, a relay at 1 Mbit/s. `notice` is the time from the
//! end of sealing to the receiver's word that it knows the case; `ahead` the bytes that went to
//! the broker meanwhile, which no load on this machine changes. The same broker and certificates
//! carry the same bytes from `mosquitto_pub` to `mosquitto_sub`, which writes them to a file and
//! neither checks, nor syncs, nor answers.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(
    clippy::unwrap_used,
    reason = "the relay is the tests' own, which fail by panicking"
)]

#[path = "../tests/integration/hands.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod hands;
#[path = "uplink/receivers.rs"]
mod receivers;
#[path = "../tests/integration/uplink/relay.rs"]
#[expect(dead_code, reason = "the tests lose segments too, this bench does not")]
mod relay;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hands::blank;
use jiff::tz::TimeZone;
use lingmou::clock;
use lingmou::config::{self, Config};
use lingmou::demo::broker::{Broker, BrokerKeys};
use lingmou::disk;
use lingmou::link::Endpoint;
use lingmou::pki::TestPki;
use lingmou::receive::{self, Event};
use lingmou::store::{Draft, Store};
use lingmou::types::CaseId;
use lingmou::upload::{self, Uplink, UploadState};
use lingmou::witness::{Identity, Trust, seal};
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

/// Bytes of a message of `mosquitto_pub`'s: as many as a piece of ours has.
const LINE: usize = 128 * 1024;

fn main() -> anyhow::Result<()> {
    println!("\n## Upload and receivers");
    tokio::runtime::Runtime::new()?.block_on(async {
        notices().await?;
        goodput().await?;
        receivers::table().await?;
        receivers::for_a_minute().await
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
            any_clock: true,
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
        let mut config = Config::default();
        config.upload.port = port;
        config.keys.dir.clone_from(&self.pki.device);
        DEVICE.clone_into(&mut config.device.id);
        let uplink = Uplink {
            endpoint: Endpoint::of(&config),
            config: config.upload,
            time_zone: TimeZone::UTC,
            store: self.store.clone(),
            identity: Arc::new(Identity::load(&self.pki.device, "evidence")?),
            trust: Arc::new(Trust::of_box(&self.pki.device.join("roots.crt"))?),
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
        let make = |context| {
            let at = clock::now();
            seal(&blank(DEVICE, id, at, &context), &identity, at)
        };
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

/// The way of one large package, and the same bytes by others.
async fn goodput() -> anyhow::Result<()> {
    let mut scene = Scene::new().await?;
    scene.upload(scene.broker.port())?;
    // Connected and known.
    let first = scene.seal(1000)?;
    let is = |id: CaseId| move |e: &Event| matches!(e, Event::Stored { id: it, .. } if *it == id);
    scene.event(is(first)).await?;
    let large = scene.seal(LARGE)?;
    let begun = Instant::now();
    scene.event(is(large)).await?;
    let ours = begun.elapsed().as_secs_f64();
    scene.stop.cancel();
    let copy = copy(&scene.pki, scene.dir.path()).await?;
    let theirs = mosquitto(&scene).await?;
    println!("\n### {LARGE} bytes over TLS on loopback\n");
    println!("| | s | MB/s | × TLS copy | × mosquitto_pub |\n|---|---|---|---|---|");
    for (what, secs) in [
        ("TLS copy to a synced file, nothing else", copy),
        ("mosquitto_pub, broker, mosquitto_sub to a file", theirs),
        ("a package sent, checked, stored, receipted", ours),
    ] {
        let (rate, copies, pubs) = (megabytes(LARGE) / secs, secs / copy, secs / theirs);
        println!("| {what} | {secs:.2} | {rate:.0} | {copies:.1} | {pubs:.1} |");
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a figure of a benchmark")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

/// Seconds for as many bytes from `mosquitto_pub` to `mosquitto_sub`, with the keys of the box and
/// the receiver, whose place it takes.
async fn mosquitto(scene: &Scene) -> anyhow::Result<f64> {
    let (lines, taken) = (scene.dir.path().join("lines"), scene.dir.path().join("sub"));
    let line = [vec![b'x'; LINE - 1], vec![b'\n']].concat();
    disk::write_new(&lines, &line.repeat(LARGE / LINE))?;
    let client = |program: &str, keys: &Path, topic: &str| {
        // Into a file it would keep back what it says until much of it has come.
        let mut command = std::process::Command::new("stdbuf");
        command
            .args([
                "-oL",
                program,
                "-V",
                "mqttv5",
                "-q",
                "1",
                "-h",
                "127.0.0.1",
                "-p",
            ])
            .arg(scene.broker.port().to_string())
            .args(["-t", topic, "--cafile"])
            .arg(keys.join("roots.crt"))
            .arg("--cert")
            .arg(keys.join("transport.crt"))
            .arg("--key")
            .arg(keys.join("transport.key"));
        command
    };
    let topic = format!("ev1/{DEVICE}/c/{RECEIVER}");
    let mut sub = client("mosquitto_sub", &scene.pki.receiver, &format!("{topic}/#"))
        // Debugging tells when it is subscribed.
        .args(["-d", "-C", &(LARGE / LINE).to_string()])
        .stdout(std::fs::File::create(&taken)?)
        .spawn()
        .context("mosquitto_sub (Debian: mosquitto-clients)")?;
    let begun = Instant::now();
    while !String::from_utf8_lossy(&std::fs::read(&taken)?).contains("Subscribed") {
        anyhow::ensure!(begun.elapsed() < DEADLINE, "mosquitto_sub never subscribed");
        sleep(Duration::from_millis(20)).await;
    }
    let begun = Instant::now();
    let mut publisher = client("mosquitto_pub", &scene.pki.device, &format!("{topic}/x/0"))
        .arg("-l")
        .stdin(std::fs::File::open(&lines)?)
        .spawn()?;
    let (published, subscribed) = tokio::task::spawn_blocking(move || {
        let published = publisher.wait();
        (published, sub.wait())
    })
    .await?;
    anyhow::ensure!(
        published?.success() && subscribed?.success(),
        "mosquitto's programs"
    );
    Ok(begun.elapsed().as_secs_f64())
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

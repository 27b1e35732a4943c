//! The whole daemon over a backlog: what `lingmou run` holds with packages that wait, and while they are sent.
//!
//! It sees the demonstration's footage from a file, again and again, and has no zone: so it decodes and
//! detects as it would, and what waits grows by nothing. The same with a handful of packages is what it
//! holds by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use lingmou::demo::Footage;
use lingmou::demo::broker::{Broker, BrokerKeys};
use lingmou::disk;
use lingmou::pki::TestPki;
use toml_edit::{DocumentMut, value};

use super::hands::{DEVICE, Hands};
use super::{
    ALLOCATOR, RECEIVER, Running, SMALL, an_outage_ago, held, keep_and_seal, roomy, start_receiver,
    store_config, stored,
};

/// What waits where nothing does.
const HANDFUL: u64 = 10;
/// What the daemon needs to load its model and to see for a while.
const SETTLED: Duration = Duration::from_secs(15);

/// Prints the table; each backlog is watched for so long.
pub(super) async fn table(packages: u64, watched: Duration) {
    println!(
        "\n### Memory of the whole daemon with a backlog, MiB\n\n\
         | wait | {} s after the start, no receiver | after {} s of sending | the most | stored by then |\n\
         |---|---|---|---|---|",
        SETTLED.as_secs(),
        watched.as_secs()
    );
    let few = one(HANDFUL.min(packages), watched).await;
    let many = one(packages, watched).await;
    println!(
        "| ratio | {:.2} | {:.2} | {:.2} | |",
        many[0] / few[0],
        many[1] / few[1],
        many[2] / few[2]
    );
}

/// A row: at rest, after the sending, the most.
async fn one(packages: u64, watched: Duration) -> [f64; 3] {
    let dir = roomy();
    let dir = dir.path();
    let pki = TestPki::create(&dir.join("keys"), DEVICE).unwrap();
    let broker = Broker::start(&dir.join("broker"), &BrokerKeys::of(&pki), &[RECEIVER])
        .await
        .unwrap();
    let hands = Hands::open(&dir.join("keys"), &store_config(dir)).unwrap();
    for _ in 0..packages {
        keep_and_seal(&hands, SMALL);
    }
    drop(hands);
    an_outage_ago(&dir.join("store/q.db"));
    let daemon = Running(
        Command::new(env!("CARGO_BIN_EXE_lingmou"))
            .args(["run", "--config"])
            .arg(configure(dir, broker.port()))
            .envs(ALLOCATOR)
            .env_remove("NOTIFY_SOCKET")
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.join("daemon.log")).unwrap())
            .spawn()
            .unwrap(),
    );
    let rss = || held(&daemon.0, "VmRSS:");
    tokio::time::sleep(SETTLED).await;
    let at_rest = rss();
    let _receiver = start_receiver(dir, broker.port());
    tokio::time::sleep(watched).await;
    let (sent, most) = (rss(), held(&daemon.0, "VmHWM:"));
    let stored = stored(dir);
    println!("| {packages} | {at_rest:.1} | {sent:.1} | {most:.1} | {stored} |");
    assert!(stored > 0, "it sends nothing: see the log of the daemon");
    [at_rest, sent, most]
}

/// Writes the demonstration's profile as this bench wants it.
fn configure(dir: &Path, port: u16) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let footage = Footage::street(&root.join(".setup/demo"), &|_| ()).expect("run: make setup");
    let text = |path: PathBuf| value(path.to_string_lossy().into_owned());
    let shipped = fs::read_to_string(root.join("config/profiles/demo.toml")).unwrap();
    let mut profile: DocumentMut = shipped.parse().unwrap();
    profile.remove("zone");
    profile["device"]["id"] = value(DEVICE);
    let camera = &mut profile["camera"][0];
    camera["kind"] = value("file");
    camera["path"] = text(footage.path().to_owned());
    camera["repeat"] = value(true);
    camera.as_table_like_mut().unwrap().remove("url");
    profile["model"]["card"] = text(root.join("models/efficientdet-lite0.toml"));
    for clip in ["identity", "street_vending", "out_of_store"] {
        let file = if clip == "identity" { clip } else { "test" };
        profile["warn"][clip] = text(root.join(format!("config/clips/{file}.wav")));
    }
    profile["telemetry"]["source"] = value("none");
    profile["keys"]["dir"] = text(dir.join("keys/device"));
    profile["store"]["dir"] = text(dir.join("store"));
    profile["store"]["run_dir"] = text(dir.join("run"));
    profile["store"]["keep_free_mib"] = value(16);
    profile["store"]["ballast_mib"] = value(0);
    for (key, number) in [
        ("port", i64::from(port)),
        ("drain_delay_secs", 0),
        ("drain_kib_s", 0),
    ] {
        profile["upload"][key] = value(number);
    }
    let path = dir.join("lingmou.toml");
    disk::write_new(&path, profile.to_string().as_bytes()).unwrap();
    path
}

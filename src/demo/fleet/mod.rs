//! A fleet on one machine: many light boxes with real keys and real sealed packages, one broker,
//! receivers that share a folder, the real protocol between them.
//!
//! A light box has no camera and no store: it holds its packages in memory and forgets none before
//! the receiver's signed receipt was checked. Receivers are processes of their own, so that one can
//! be killed as the kernel kills, and so that what they cost can be read from `/proc`.
//! In the end every package must lie once in the folder and verify.

mod made;
mod receiver;
mod sender;
mod usage;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde::Serialize;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::broker::{Broker, BrokerKeys};
use crate::clock;
use crate::pki::TestPki;
use crate::receive::archive::Archive;
use crate::types::CaseId;
use crate::witness::{Roots, verify_path};

use made::{Album, Made};
use receiver::Receiver;
use sender::Sender;
use usage::{Usage, load_average};

/// Boxes that may be connecting at once: a broker's queue of new connections is short.
const CONNECTING: usize = 32;
/// Files that may be open: two sockets and more for each box.
const FILES_PER_BOX: u64 = 8;
/// The same without any box.
const FILES: u64 = 512;

/// What to simulate.
#[derive(Clone, Debug)]
pub struct FleetPlan {
    /// Boxes.
    pub devices: u32,
    /// Packages of each.
    pub packages: u32,
    /// Receivers in one folder.
    pub receivers: u32,
    /// Whether the last of the receivers is killed when half of the receipts have come.
    pub kill_receiver: bool,
    /// Everything must be receipted within this time.
    pub limit: Duration,
    /// Folder for everything.
    pub dir: PathBuf,
    /// The program whose `receive` is run: this one.
    pub program: PathBuf,
}

/// What one of the processes cost.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    /// Who.
    pub who: String,
    /// Processor time, seconds.
    pub cpu_s: f64,
    /// Most memory it had, MiB.
    pub peak_mib: f64,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct FleetReport {
    /// Boxes.
    pub devices: u32,
    /// Packages of all together.
    pub packages: u64,
    /// Packages whose receipt came back and is right.
    pub receipted: u64,
    /// Packages that are not in the folder, or do not verify there.
    pub lost: u64,
    /// Packages in the folder that nobody sealed, or sealed once and are there twice.
    pub doubled: u64,
    /// The receiver that was killed.
    pub killed: Option<String>,
    /// From the first head to the last receipt, seconds.
    pub seconds: f64,
    /// Receipted packages each second.
    pub packages_per_s: f64,
    /// Packages that were receipted in each ten seconds; the last may be less than ten.
    pub receipted_each_10_s: Vec<u64>,
    /// Bytes of the packages' files, MiB.
    pub payload_mib: f64,
    /// Bytes the boxes sent over TLS, MiB.
    pub sent_mib: f64,
    /// Heads sent more than once for each package: nobody had answered in time.
    pub heads_again: u64,
    /// From a package's first head to its receipt, milliseconds: half of them, 99 of 100, all.
    pub receipt_ms: [u64; 3],
    /// Broker, receivers, all boxes together.
    pub costs: Vec<Cost>,
    /// Waiting processes on this machine before it began, mean over a minute.
    pub load_before: f64,
}

impl FleetReport {
    /// Nothing lost and nothing twice.
    pub fn good(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.receipted == self.packages
    }
}

/// Simulates a fleet; tells its progress to `say`.
pub async fn run(
    plan: FleetPlan,
    say: impl Fn(&str) + Send + Sync + 'static,
) -> anyhow::Result<FleetReport> {
    allow_files(u64::from(plan.devices))?;
    let load_before = load_average()?;
    std::fs::create_dir_all(&plan.dir)
        .with_context(|| format!("cannot make {}", plan.dir.display()))?;
    if plan.dir.join("pki").exists() {
        bail!(
            "{} holds another fleet; give an empty folder",
            plan.dir.display()
        );
    }
    if plan.kill_receiver && plan.receivers < 2 {
        bail!("the only receiver would be killed; give two");
    }
    say(&format!(
        "{} boxes seal {} packages each, in {}",
        plan.devices,
        plan.packages,
        plan.dir.display()
    ));
    let (pki, senders) = seal_all(&plan).await?;
    let names: Vec<String> = (1..=plan.receivers)
        .map(|n| format!("receiver-{n}"))
        .collect();
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let broker = Broker::start(&plan.dir.join("broker"), &BrokerKeys::of(&pki), &known).await?;
    let archive = plan.dir.join("received");
    let mut receivers = Vec::new();
    for name in known {
        let keys = pki.add_receiver(name)?;
        receivers
            .push(Receiver::start(&plan.program, name, (&keys, &archive), broker.port()).await?);
    }
    say("broker and receivers run; the boxes begin");
    let run = Run {
        broker,
        receivers,
        roots: Arc::new(Roots::load(&pki.root())?),
        archive,
    };
    run.go(&plan, senders, (load_before, &say)).await
}

/// Everything that runs.
struct Run {
    broker: Broker,
    receivers: Vec<Receiver>,
    roots: Arc<Roots>,
    archive: PathBuf,
}

impl Run {
    async fn go(
        mut self,
        plan: &FleetPlan,
        senders: Vec<Sender>,
        (load_before, say): (f64, &impl Fn(&str)),
    ) -> anyhow::Result<FleetReport> {
        let made: Vec<Made> = senders.iter().flat_map(|s| s.packages.clone()).collect();
        let total = made.len() as u64;
        let own = Usage::of_self()?;
        let (count, mut receipted) = watch::channel(0);
        let count = Arc::new(count);
        let connecting = Arc::new(Semaphore::new(CONNECTING));
        let begun = clock::boot_ns();
        let mut boxes = JoinSet::new();
        for sender in senders {
            let port = self.broker.port();
            let shared = (
                Arc::clone(&self.roots),
                Arc::clone(&count),
                Arc::clone(&connecting),
            );
            boxes.spawn(sender.send_all(port, shared));
        }
        let mut killed = None;
        let mut sums = sender::Sums::default();
        let all = async {
            while !boxes.is_empty() {
                let half = tokio::select! {
                    Some(sent) = boxes.join_next() => {
                        sums.add(sent.context("a box panicked")??);
                        continue;
                    }
                    half = receipted.wait_for(|n| n * 2 >= total),
                        if plan.kill_receiver && killed.is_none() => half.is_ok(),
                };
                if let Some(victim) = self.receivers.last_mut().filter(|_| half) {
                    victim.kill()?;
                    say(&format!("{} is killed", victim.name));
                    killed = Some(victim.name.clone());
                }
            }
            anyhow::Ok(())
        };
        match timeout(plan.limit, all).await {
            Ok(done) => done?,
            Err(_elapsed) => say("not everything was receipted in time"),
        }
        let seconds = Duration::from_nanos(clock::boot_ns() - begun).as_secs_f64();
        boxes.abort_all();
        let mut costs = vec![Usage::of(self.broker.pid())?.cost("mosquitto")];
        for receiver in &mut self.receivers {
            costs.push(receiver.stop()?);
        }
        costs.push(Usage::of_self()?.since(own).cost("all boxes together"));
        say("checking what lies in the folder");
        let [lost, doubled] = self.audit(&made)?;
        let receipted = *receipted.borrow();
        Ok(FleetReport {
            devices: plan.devices,
            packages: total,
            receipted,
            lost,
            doubled,
            killed,
            seconds,
            packages_per_s: ratio(receipted, seconds),
            receipted_each_10_s: sums.parts(begun),
            payload_mib: mib(made.iter().map(Made::payload).sum()),
            sent_mib: mib(sums.bytes),
            heads_again: sums.heads.saturating_sub(total),
            receipt_ms: sums.percentiles(),
            costs,
            load_before,
        })
    }

    /// How many packages are lost, and how many are there that should not be.
    fn audit(&self, made: &[Made]) -> anyhow::Result<[u64; 2]> {
        let archive = Archive::open(std::slice::from_ref(&self.archive), clock::now())?;
        let mut there: Vec<(String, CaseId)> = Vec::new();
        for device in archive.devices()? {
            for kept in archive.packages(&device)? {
                there.push((device.clone(), kept.id));
            }
        }
        let packages = self.archive.join("packages");
        let valid = |made: &&Made| {
            let place = packages.join(&made.device).join(made.id.to_string());
            verify_path(&place, &self.roots).is_ok_and(|verdict| verdict.valid())
        };
        let found = made.iter().filter(valid).count() as u64;
        let lost = made.len() as u64 - found;
        Ok([lost, (there.len() as u64).saturating_sub(found)])
    }
}

/// Makes keys and packages of all boxes, on the threads for blocking work.
async fn seal_all(plan: &FleetPlan) -> anyhow::Result<(Arc<TestPki>, Vec<Sender>)> {
    let (dir, devices, packages) = (plan.dir.join("pki"), plan.devices, plan.packages);
    let made = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
        let pki = TestPki::create(&dir, &name(0))?;
        let album = Album::new()?;
        let mut senders = Vec::new();
        for n in 0..devices {
            let keys = match n {
                0 => pki.device.clone(),
                n => pki.add_device(&name(n))?,
            };
            let packages = made::seal_some(&keys, &name(n), packages, &album)?;
            senders.push(Sender {
                device: name(n),
                keys,
                packages,
            });
        }
        Ok((Arc::new(pki), senders))
    });
    made.await.context("sealing panicked")?
}

fn name(n: u32) -> String {
    format!("LM-SIM-{n:05}")
}

/// Lets this process, and those it starts, open as many files as so many boxes need.
fn allow_files(devices: u64) -> anyhow::Result<()> {
    let need = FILES + devices * FILES_PER_BOX;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|now| now >= need) {
        return Ok(());
    }
    if limit.maximum.is_some_and(|most| most < need) {
        bail!("{devices} boxes need {need} open files, and this system allows fewer (ulimit -Hn)");
    }
    limit.current = Some(need);
    setrlimit(Resource::Nofile, limit).context("cannot raise the number of open files")
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn ratio(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds.max(1e-3)
}

/// A file of `/proc` about a process, as text.
fn proc(pid: u32, file: &str) -> anyhow::Result<String> {
    let path = Path::new("/proc").join(pid.to_string()).join(file);
    std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

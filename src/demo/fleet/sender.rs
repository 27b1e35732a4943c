//! A light box: says the upload's side of the dialogue, one package after the other.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::made::Made;
use crate::clock;
use crate::link::message::{Finished, Range, Subject, Topic, Want};
use crate::link::{Acked, Acks, Carried, Endpoint, LinkError, Pause, Pipe};
use crate::witness::{Receipt, ReceiptVerdict, Roots};

/// A receiver answers within this; the same as the real box's patience.
const ANSWER: Duration = Duration::from_secs(10);
/// First and longest pause after a try that nobody answered, or a lost connection.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// Bytes of a piece.
const PIECE: usize = 64 * 1024;
/// What is told of a run, one after the other: what a disk takes in a burst it need not take for long.
const PART: Duration = Duration::from_secs(10);

/// What the boxes share: roots, count of receipts, leave to connect.
pub(super) type Shared = (Arc<Roots>, Arc<watch::Sender<u64>>, Arc<Semaphore>);

/// A box before it begins.
pub(super) struct Sender {
    pub(super) device: String,
    pub(super) keys: PathBuf,
    pub(super) packages: Vec<Made>,
}

/// What boxes did.
#[derive(Default)]
pub(super) struct Sums {
    /// Heads sent.
    pub(super) heads: u64,
    /// Bytes sent over TLS.
    pub(super) bytes: u64,
    /// Of each package when its receipt came, nanoseconds since boot, and how long after its first head,
    /// milliseconds.
    receipts: Vec<(u64, u64)>,
}

impl Sums {
    pub(super) fn add(&mut self, other: Self) {
        self.heads += other.heads;
        self.bytes += other.bytes;
        self.receipts.extend(other.receipts);
    }

    /// Half of the receipts took at most so long, 99 of 100, all.
    pub(super) fn percentiles(&self) -> [u64; 3] {
        let mut took: Vec<u64> = self.receipts.iter().map(|(_, ms)| *ms).collect();
        took.sort_unstable();
        let last = took.len().saturating_sub(1);
        [last / 2, last * 99 / 100, last].map(|n| took.get(n).copied().unwrap_or(0))
    }

    /// Receipts that came in each [`PART`] since `begun`, nanoseconds since boot; the last may be a piece of one.
    pub(super) fn parts(&self, begun: u64) -> Vec<u64> {
        let mut parts = Vec::new();
        for (at, _) in &self.receipts {
            let part = Duration::from_nanos(at.saturating_sub(begun)).as_secs() / PART.as_secs();
            let part = usize::try_from(part).unwrap_or(0);
            parts.resize(parts.len().max(part + 1), 0);
            if let Some(count) = parts.get_mut(part) {
                *count += 1;
            }
        }
        parts
    }
}

/// What came in.
enum Heard {
    Want(Want),
    Receipted,
}

impl Sender {
    /// Sends every package until its receipt is there.
    pub(super) async fn send_all(
        self,
        port: u16,
        (roots, receipted, connecting): Shared,
    ) -> anyhow::Result<Sums> {
        let endpoint = Endpoint {
            host: "127.0.0.1".to_owned(),
            port,
            keys: self.keys,
            client_id: self.device,
            keep_alive: Duration::from_mins(1),
            interface: String::new(),
            sent: None,
        };
        let mut trip = Trip {
            left: self.packages.into(),
            since: None,
            sums: Sums::default(),
            pause: Pause::new(RETRY.0, RETRY.1),
            receipted,
        };
        while !trip.left.is_empty() {
            let leave = connecting.acquire().await?;
            let carried = Arc::new(Carried::default());
            let pipe = Pipe::connect_counting(&endpoint, None, Arc::clone(&carried)).await;
            drop(leave);
            let ended = match pipe {
                Ok(pipe) => trip.on(pipe, &roots, &endpoint.client_id).await,
                Err(why) => Err(why),
            };
            trip.sums.bytes += carried.sent();
            let Err(why) = ended else { break };
            if why.needs_a_person() {
                return Err(why).with_context(|| format!("box {}", endpoint.client_id));
            }
            tracing::debug!(device = endpoint.client_id, error = %why, "box disconnected");
            sleep(trip.pause.step()).await;
        }
        Ok(trip.sums)
    }
}

/// What outlives a connection of a box.
struct Trip {
    left: VecDeque<Made>,
    /// When the first of these was first announced, nanoseconds since boot.
    since: Option<u64>,
    sums: Sums,
    pause: Pause,
    receipted: Arc<watch::Sender<u64>>,
}

impl Trip {
    /// Sends over one connection; `Ok` when nothing is left.
    async fn on(&mut self, pipe: Pipe, roots: &Roots, device: &str) -> Result<(), LinkError> {
        let mut line = Line {
            pipe,
            roots,
            acks: Acks::default(),
        };
        let ended = self.over(&mut line, device).await;
        line.pipe.close().await;
        ended
    }

    async fn over(&mut self, line: &mut Line<'_>, device: &str) -> Result<(), LinkError> {
        line.pipe.subscribe(&Topic::all_down(device)).await?;
        while let Some(package) = self.left.front() {
            let began = *self.since.get_or_insert_with(clock::boot_ns);
            self.sums.heads += 1;
            if !line.send(package).await? {
                sleep(self.pause.step()).await;
                continue;
            }
            self.receipted.send_modify(|n| *n += 1);
            let at = clock::boot_ns();
            let took = Duration::from_nanos(at - began).as_millis();
            let took = u64::try_from(took).unwrap_or(u64::MAX);
            self.sums.receipts.push((at, took));
            self.left.pop_front();
            self.since = None;
            self.pause.reset();
        }
        Ok(())
    }
}

/// One connection.
struct Line<'a> {
    pipe: Pipe,
    roots: &'a Roots,
    acks: Acks<()>,
}

impl Line<'_> {
    /// One try to bring a package over; false when nobody answered.
    async fn send(&mut self, package: &Made) -> Result<bool, LinkError> {
        self.say(package, Subject::Head, package.head.to_vec())
            .await?;
        if !self.taken().await? {
            return Ok(false);
        }
        loop {
            let Ok(heard) = timeout(ANSWER, self.hear(package)).await else {
                return Ok(false);
            };
            let want = match heard? {
                Heard::Receipted => return Ok(true),
                Heard::Want(want) => want,
            };
            for range in &want.missing {
                self.give(package, &want.sink, range).await?;
            }
            let id = package.id.to_string();
            let body = serde_json::to_vec(&Finished { id }).unwrap_or_default();
            let sink = want.sink;
            self.say(package, Subject::Finished { sink }, body).await?;
            // The receiver that took it is gone: another may.
            if !self.taken().await? {
                return Ok(false);
            }
        }
    }

    async fn give(
        &mut self,
        package: &Made,
        sink: &str,
        Range(sha256, from, to): &Range,
    ) -> Result<(), LinkError> {
        let bytes = package.files.get(sha256).map_or(&[][..], |bytes| bytes);
        let place = |n: &u64| usize::try_from(*n).unwrap_or(usize::MAX).min(bytes.len());
        let (from, to) = (place(from), place(to));
        for at in (from..to).step_by(PIECE) {
            let subject = Subject::Chunk {
                sink: sink.to_owned(),
                sha256: sha256.clone(),
                offset: at as u64,
            };
            let piece = bytes.get(at..to.min(at + PIECE)).unwrap_or_default();
            self.say(package, subject, piece.to_vec()).await?;
        }
        Ok(())
    }

    async fn say(
        &mut self,
        package: &Made,
        subject: Subject,
        payload: Vec<u8>,
    ) -> Result<(), LinkError> {
        while self.acks.len() >= self.pipe.window() {
            self.acks.next().await.1?;
        }
        let topic = Topic::new(&package.device, subject).to_string();
        let ack = self.pipe.publish(&topic, payload, false).await?;
        self.acks.push((), ack);
        Ok(())
    }

    /// Waits for the broker to take everything said; whether the last had a listener.
    async fn taken(&mut self) -> Result<bool, LinkError> {
        let mut last = true;
        while !self.acks.is_empty() {
            last = self.acks.next().await.1? == Acked::Taken;
        }
        Ok(last)
    }

    /// The next word about `package`; others are left over from tries that were given up.
    async fn hear(&mut self, package: &Made) -> Result<Heard, LinkError> {
        loop {
            let message = self.pipe.recv().await?;
            let heard = self.meaning(message.topic(), message.payload(), package);
            self.pipe.done(&message)?;
            if let Some(heard) = heard {
                return Ok(heard);
            }
        }
    }

    fn meaning(&self, topic: &str, payload: &[u8], package: &Made) -> Option<Heard> {
        match topic.parse::<Topic>().ok()?.subject {
            Subject::Want => {
                let want: Want = serde_json::from_slice(payload).ok()?;
                (want.id == package.id.to_string()).then_some(Heard::Want(want))
            }
            Subject::Receipt => {
                let (receipt, _) = Receipt::open(payload, self.roots).ok()?;
                let Made {
                    device,
                    id,
                    seq,
                    sig_sha256,
                    ..
                } = package;
                let ours = receipt.check_names(*id, device, *seq, sig_sha256).is_ok();
                let stored = receipt.verdict == ReceiptVerdict::Stored;
                (ours && stored).then_some(Heard::Receipted)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_are_counted_by_when_they_came() {
        let secs = |secs: u64| (5 + secs) * 1_000_000_000;
        let mut sums = Sums::default();
        assert_eq!(sums.parts(secs(0)), Vec::<u64>::new());
        for (at, ms) in [(0, 7), (9, 3), (31, 5), (10, 1)] {
            let receipts = vec![(secs(at), ms)];
            sums.add(Sums {
                receipts,
                ..Sums::default()
            });
        }
        assert_eq!(sums.parts(secs(0)), [2, 1, 0, 1]);
        assert_eq!(sums.percentiles(), [3, 5, 7]);
    }
}

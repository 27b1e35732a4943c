//! A bad network between box and broker, on loopback: narrow, losing, swallowing.
//!
//! The narrow link is made by reading slowly from a small receive buffer, so that the box's TCP
//! feels it. Loss is real: a packet filter (classic BPF) on the relay's socket throws segments
//! away before TCP sees them, and the box's TCP sends them again. This is used and not `tc netem`
//! because many kernels, the one of small virtual machines among them, come without netem.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use lingmou::link::Bucket;
use socket2::{SockFilter, SockRef, Socket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// Bytes read at once: a small part of a second on the narrowest link.
const STEP: usize = 1024;
/// The relay's receive buffer, as it is asked for; the kernel doubles it.
const BUFFER: usize = 8 * 1024;

/// What a packet filter does with segments from the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    None,
    /// Three in ten are lost, by lot.
    Third,
    /// All are: the link is dead and says nothing.
    All,
}

/// A relay; it ends when dropped.
pub(super) struct Relay {
    port: u16,
    up: Arc<AtomicU64>,
    /// Bytes a second towards the broker; 0 without limit.
    rate: Arc<AtomicU32>,
    loss: watch::Sender<Loss>,
    task: JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Relay {
    /// A relay to the broker at `port` of loopback.
    pub(super) async fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        SockRef::from(&listener)
            .set_recv_buffer_size(BUFFER)
            .unwrap();
        let own = listener.local_addr().unwrap().port();
        let (up, rate) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU32::new(0)));
        let (loss, losing) = watch::channel(Loss::None);
        let counts = (Arc::clone(&up), Arc::clone(&rate));
        let task = tokio::spawn(async move {
            let mut ways = tokio::task::JoinSet::new();
            while let Ok((inside, _)) = listener.accept().await {
                let Ok(outside) = TcpStream::connect(("127.0.0.1", port)).await else {
                    continue;
                };
                ways.spawn(carry(inside, outside, counts.clone(), losing.clone()));
            }
        });
        Self {
            port: own,
            up,
            rate,
            loss,
            task,
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Bytes that went towards the broker.
    pub(super) fn up(&self) -> u64 {
        self.up.load(Ordering::Relaxed)
    }

    /// From now on so many bytes a second go towards the broker; 0: as many as come.
    pub(super) fn limit(&self, bytes_per_sec: u32) {
        self.rate.store(bytes_per_sec, Ordering::Relaxed);
    }

    /// From now on segments from the box are lost so.
    pub(super) fn lose(&self, loss: Loss) {
        self.loss.send_replace(loss);
    }
}

/// Carries one connection until either side ends.
async fn carry(
    inside: TcpStream,
    outside: TcpStream,
    (up, rate): (Arc<AtomicU64>, Arc<AtomicU32>),
    mut loss: watch::Receiver<Loss>,
) {
    let socket = SockRef::from(&inside).try_clone().unwrap();
    let filtered = async {
        loop {
            let now = *loss.borrow_and_update();
            throw_away(&socket, now);
            if loss.changed().await.is_err() {
                return;
            }
        }
    };
    let (mut in_read, mut in_write) = inside.into_split();
    let (mut out_read, mut out_write) = outside.into_split();
    let upward = async {
        let mut buffer = vec![0; STEP];
        let mut bucket: Option<(u32, Bucket)> = None;
        while let Ok(n) = in_read.read(&mut buffer).await
            && n > 0
        {
            let rate = rate.load(Ordering::Relaxed);
            let now = Instant::now();
            if bucket.as_ref().is_none_or(|(of, _)| *of != rate) {
                bucket = (rate > 0).then(|| (rate, Bucket::new(rate, 1, now)));
            }
            if let Some((_, bucket)) = &mut bucket {
                sleep_until(bucket.ready_at(now)).await;
                bucket.take(n as u64, Instant::now());
            }
            up.fetch_add(n as u64, Ordering::Relaxed);
            if out_write.write_all(&buffer[..n]).await.is_err() {
                return;
            }
        }
    };
    let downward = tokio::io::copy(&mut out_read, &mut in_write);
    tokio::select! {
        () = upward => {}
        _ = downward => {}
        () = filtered => {}
    }
}

/// Puts a packet filter on a socket.
fn throw_away(socket: &Socket, loss: Loss) {
    /// Load a word of the packet, or one that the kernel offers.
    const LOAD: u16 = 0x20;
    const JUMP_IF_NOT_BELOW: u16 = 0x35;
    const RETURN: u16 = 0x06;
    /// `SKF_AD_OFF + SKF_AD_RANDOM`: a random number.
    const RANDOM: u32 = 0xffff_f000 + 56;
    const PASS: SockFilter = SockFilter::new(RETURN, 0, 0, u32::MAX);
    const DROP: SockFilter = SockFilter::new(RETURN, 0, 0, 0);
    match loss {
        Loss::None => socket.attach_filter(&[PASS]),
        Loss::All => socket.attach_filter(&[DROP]),
        Loss::Third => socket.attach_filter(&[
            SockFilter::new(LOAD, 0, 0, RANDOM),
            SockFilter::new(JUMP_IF_NOT_BELOW, 0, 1, u32::MAX / 10 * 3),
            PASS,
            DROP,
        ]),
    }
    .unwrap();
}

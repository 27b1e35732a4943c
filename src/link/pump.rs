//! Carries bytes between the private socket and TLS, and counts them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::socket::Private;

/// Bytes moved at once in each direction; about one TLS record's worth of chunks.
const BUFFER: usize = 64 * 1024;
/// After one direction ended: time for the other to say why (a TLS alert may still be read).
const OTHER_SIDE: Duration = Duration::from_millis(500);

/// Bytes carried on the wire, TLS overhead included; what TCP and IP add is not counted.
#[derive(Debug, Default)]
pub struct Carried {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Carried {
    /// Bytes sent.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Bytes received.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

/// A TCP stream that counts.
pub(super) struct Counted {
    stream: TcpStream,
    carried: Arc<Carried>,
}

impl Counted {
    pub(super) fn new(stream: TcpStream, carried: Arc<Carried>) -> Self {
        Self { stream, carried }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let n = (buf.filled().len() - before) as u64;
        self.carried.received.fetch_add(n, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let n = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.carried.sent.fetch_add(n as u64, Ordering::Relaxed);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// How the carrying ended.
#[derive(Debug)]
pub(super) enum PumpEnd {
    /// Our own side closed.
    Ours,
    /// The broker closed without a word.
    Theirs,
    /// The connection failed.
    Failed(io::Error),
}

/// Carries bytes both ways until either side ends.
pub(super) async fn carry(inside: Private, outside: TlsStream<Counted>) -> PumpEnd {
    let inside = match inside.accept().await {
        Ok(inside) => inside,
        Err(error) => return PumpEnd::Failed(error),
    };
    let (mut in_read, mut in_write) = inside.into_split();
    let (mut out_read, mut out_write) = tokio::io::split(outside);
    let mut up = std::pin::pin!(upward(&mut in_read, &mut out_write));
    let mut down = std::pin::pin!(downward(&mut out_read, &mut in_write));
    tokio::select! {
        end = &mut up => match end {
            // A write failed: the broker may have told why before it closed.
            PumpEnd::Failed(error) => match timeout(OTHER_SIDE, down).await {
                Ok(PumpEnd::Failed(reason)) => PumpEnd::Failed(reason),
                _ => PumpEnd::Failed(error),
            },
            end => end,
        },
        end = &mut down => end,
    }
}

/// From `rumqttc` to the broker.
async fn upward(
    from: &mut tokio::net::unix::OwnedReadHalf,
    to: &mut WriteHalf<TlsStream<Counted>>,
) -> PumpEnd {
    let mut buffer = vec![0; BUFFER];
    loop {
        let n = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => {
                // Our side is over; close_notify is a courtesy.
                return match to.shutdown().await {
                    Ok(()) | Err(_) => PumpEnd::Ours,
                };
            }
            Ok(n) => n,
        };
        let part = buffer.get(..n).unwrap_or_default();
        let written = async {
            to.write_all(part).await?;
            to.flush().await
        };
        if let Err(error) = written.await {
            return PumpEnd::Failed(error);
        }
    }
}

/// From the broker to `rumqttc`.
async fn downward(
    from: &mut ReadHalf<TlsStream<Counted>>,
    to: &mut tokio::net::unix::OwnedWriteHalf,
) -> PumpEnd {
    let mut buffer = vec![0; BUFFER];
    loop {
        let n = match from.read(&mut buffer).await {
            Ok(0) => return PumpEnd::Theirs,
            Ok(n) => n,
            // Many brokers close without TLS close_notify.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return PumpEnd::Theirs,
            Err(error) => return PumpEnd::Failed(error),
        };
        let part = buffer.get(..n).unwrap_or_default();
        if to.write_all(part).await.is_err() {
            return PumpEnd::Ours;
        }
    }
}

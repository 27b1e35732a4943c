//! The figures by HTTP, for a monitoring system on the same machine.
//!
//! One page and one method: too little for an HTTP library, and nothing of the request is looked
//! at but its first line. On loopback only: there is no login. Whoever wants it elsewhere puts
//! their own proxy before it.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::figures::Figures;

/// Longest request read, bytes.
const REQUEST_MAX: usize = 8 * 1024;
/// Time for one request and its answer; one is answered at a time.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pause after a request that came to nothing.
const BREATH: Duration = Duration::from_millis(100);

/// Answers requests until `stop`.
pub(super) async fn serve(listener: TcpListener, figures: Arc<Figures>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let answered = match accepted {
            Ok((stream, _)) => timeout(PATIENCE, answer(stream, &figures)).await,
            Err(error) => Ok(Err(error)),
        };
        if !matches!(answered, Ok(Ok(()))) {
            tracing::debug!(?answered, "a request for figures came to nothing");
            // Out of file descriptors, for one: not round and round at full speed.
            sleep(BREATH).await;
        }
    }
}

async fn answer(mut stream: TcpStream, figures: &Figures) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < REQUEST_MAX {
        if stream.read_buf(&mut request).await? == 0 {
            break;
        }
    }
    let first = request.split(|byte| *byte == b'\r').next();
    let first = String::from_utf8_lossy(first.unwrap_or_default()).into_owned();
    let (status, page) = match first.split(' ').collect::<Vec<_>>()[..] {
        ["GET", "/metrics", _] => ("200 OK", figures.page()),
        ["GET", ..] => ("404 Not Found", "the figures are at /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", String::new()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        page.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(page.as_bytes()).await?;
    stream.shutdown().await
}

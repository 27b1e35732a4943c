//! A receiver as a process of its own.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::Cost;
use super::usage::Usage;

/// Time for it to be connected to the broker.
const START: Duration = Duration::from_mins(1);
/// How often it is asked meanwhile.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// A running receiver; killed when dropped.
pub(super) struct Receiver {
    pub(super) name: String,
    child: Child,
    /// What it had used when it was killed.
    last: Option<Usage>,
}

impl Receiver {
    /// Starts one with its keys and folder, and waits until it is connected. Its log lies beside
    /// the folder.
    pub(super) async fn start(
        program: &Path,
        name: &str,
        (keys, dir): (&Path, &Path),
        port: u16,
    ) -> anyhow::Result<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
        let metrics = free.local_addr()?;
        drop(free);
        let log = File::create(dir.with_file_name(format!("{name}.log")))?;
        let child = Command::new(program)
            .args(["receive", "--host", "127.0.0.1", "--name", name])
            // A simulation may run where nothing synchronises the clock.
            .args(["--any-clock", "--port", &port.to_string()])
            .args(["--metrics", &metrics.to_string()])
            .args([Path::new("--keys"), keys, Path::new("--dir"), dir])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {} receive", program.display()))?;
        let mut receiver = Self {
            name: name.to_owned(),
            child,
            last: None,
        };
        receiver.connected(metrics).await?;
        Ok(receiver)
    }

    async fn connected(&mut self, metrics: SocketAddr) -> anyhow::Result<()> {
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at once: {status}", self.name);
            }
            let page = figures(metrics).await.unwrap_or_default();
            if page.contains("lingmou_receive_connected 1\n") {
                return Ok(());
            }
            sleep(ASK_EVERY).await;
        }
        bail!("{} does not connect to the broker", self.name)
    }

    /// Ends it as SIGKILL does.
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        self.last = Some(Usage::of(self.child.id())?);
        self.child.kill().context("killing a receiver")?;
        self.child.wait().context("waiting for a receiver")?;
        Ok(())
    }

    /// Ends it, if it still runs; what it cost.
    pub(super) fn stop(&mut self) -> anyhow::Result<Cost> {
        if self.last.is_none() {
            self.kill()?;
        }
        let last = self.last.context("what a receiver had used")?;
        Ok(last.cost(&self.name))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if self.last.is_none()
            && let Err(error) = self.kill()
        {
            tracing::debug!(%error, "receiver already gone");
        }
    }
}

async fn figures(addr: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(addr).await?;
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await?;
    let mut page = String::new();
    stream.read_to_string(&mut page).await?;
    Ok(page)
}

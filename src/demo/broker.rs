//! A mosquitto broker of our own: TLS, client certificates, the access rules of
//! `docs/BROKER.md`, on a free port of loopback.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::pki::TestPki;

/// Time for mosquitto to accept its first connection.
const START: Duration = Duration::from_secs(10);
/// How often it is tried meanwhile.
const TRY_EVERY: Duration = Duration::from_millis(20);
/// Other ports tried when the one found free was taken meanwhile.
const PORTS_TRIED: usize = 5;
/// Debian installs it outside an ordinary user's search path.
const PROGRAMS: [&str; 3] = [
    "mosquitto",
    "/usr/sbin/mosquitto",
    "/usr/local/sbin/mosquitto",
];

/// Certificate, key and authority the broker works with.
#[derive(Clone, Debug)]
pub struct BrokerKeys {
    /// Authority that signed the clients' certificates, PEM.
    pub roots: PathBuf,
    /// The broker's certificate, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

impl BrokerKeys {
    /// Those of the test authority.
    pub fn of(pki: &TestPki) -> Self {
        Self {
            roots: pki.root(),
            certificate: pki.broker.join("server.crt"),
            key: pki.broker.join("server.key"),
        }
    }
}

/// The configuration file of a broker for this system; `docs/BROKER.md` explains each line.
pub fn mosquitto_config(port: u16, keys: &BrokerKeys, acl: &Path) -> String {
    format!(
        "listener {port} 127.0.0.1\n\
         cafile {}\n\
         certfile {}\n\
         keyfile {}\n\
         tls_version tlsv1.2\n\
         require_certificate true\n\
         use_identity_as_username true\n\
         use_username_as_clientid true\n\
         allow_anonymous false\n\
         acl_file {}\n\
         max_packet_size 262144\n\
         max_inflight_messages 20\n\
         max_queued_messages 1000\n\
         set_tcp_nodelay true\n\
         persistence false\n\
         user root\n\
         log_dest stderr\n\
         log_type error\n\
         log_type warning\n\
         log_type notice\n",
        keys.roots.display(),
        keys.certificate.display(),
        keys.key.display(),
        acl.display(),
    )
}

/// Who may command boxes, and who may tell them verdicts, by the names of the test authority.
const PEOPLE: [(&str, &str); 5] = [
    ("viewer-1", "cmd"),
    ("operator-1", "cmd"),
    ("admin-1", "cmd"),
    ("reviewer-1", "verdict"),
    ("reviewer-2", "verdict"),
];

/// The access list: devices by pattern, each receiver and each person by name.
pub fn mosquitto_acl(receivers: &[&str]) -> String {
    let mut text = String::from(
        "pattern write ev1/%u/state\n\
         pattern write ev1/%u/n\n\
         pattern write ev1/%u/c/#\n\
         pattern write ev1/%u/f/+\n\
         pattern write ev1/%u/j\n\
         pattern write ev1/%u/ts\n\
         pattern write ev1/%u/r\n\
         pattern read ev1/%u/d/#\n",
    );
    for name in receivers {
        write!(
            text,
            "\nuser {name}\n\
             topic read ev1/+/state\n\
             topic read ev1/+/n\n\
             topic read ev1/+/c/{name}/#\n\
             topic read ev1/+/f/{name}\n\
             topic read ev1/+/j\n\
             topic read ev1/+/ts\n\
             topic read ev1/+/r\n\
             topic write ev1/+/d/#\n"
        )
        .expect("invariant: writing to a String cannot fail");
    }
    for (name, may) in PEOPLE {
        write!(
            text,
            "\nuser {name}\n\
             topic read ev1/+/state\n\
             topic read ev1/+/r\n\
             topic write ev1/+/d/{may}\n"
        )
        .expect("invariant: writing to a String cannot fail");
    }
    text
}

/// A running broker; killed when dropped.
#[derive(Debug)]
pub struct Broker {
    child: Child,
    port: u16,
    config: PathBuf,
    log: PathBuf,
}

impl Broker {
    /// Starts one on a free port. Its files go to `dir`.
    ///
    /// # Errors
    /// mosquitto is not installed, or does not accept connections in time (its log is quoted).
    pub async fn start(dir: &Path, keys: &BrokerKeys, receivers: &[&str]) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        let acl = dir.join("acl");
        put(&acl, &mosquitto_acl(receivers))?;
        let config = dir.join("mosquitto.conf");
        let mut tried = 0;
        loop {
            let port = free_port()?;
            put(&config, &mosquitto_config(port, keys, &acl))?;
            let mut broker = Self {
                child: spawn(&config, &dir.join("mosquitto.log"))?,
                port,
                config: config.clone(),
                log: dir.join("mosquitto.log"),
            };
            tried += 1;
            match broker.accepts().await {
                Ok(()) => return Ok(broker),
                Err(error) if tried >= PORTS_TRIED => return Err(error),
                Err(_port_taken_meanwhile) => {}
            }
        }
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as SIGKILL does.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().context("killing mosquitto")?;
        self.child.wait().context("waiting for mosquitto")?;
        Ok(())
    }

    /// Starts it again on the same port, after [`Broker::kill`].
    ///
    /// # Errors
    /// It does not accept connections in time.
    pub async fn restart(&mut self) -> Result<()> {
        self.child = spawn(&self.config, &self.log)?;
        self.accepts().await
    }

    async fn accepts(&mut self) -> Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                bail!("mosquitto ended at once ({status}): {}", log.trim());
            }
            if TcpStream::connect(address).await.is_ok() {
                return Ok(());
            }
            sleep(TRY_EVERY).await;
        }
        bail!("mosquitto does not accept connections on {address}")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            tracing::debug!(%error, "broker already gone");
        }
    }
}

fn free_port() -> Result<u16> {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
    Ok(probe.local_addr()?.port())
}

fn spawn(config: &Path, log: &Path) -> Result<Child> {
    for program in PROGRAMS {
        let out = fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("opening {}", log.display()))?;
        let started = Command::new(program)
            .arg("-c")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(out)
            // Ctrl-C is for us: the broker goes last, when nobody needs it any more.
            .process_group(0)
            .spawn();
        match started {
            Ok(child) => return Ok(child),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("starting {program}")),
        }
    }
    bail!("mosquitto is not installed; `make setup` (or apt-get install mosquitto) gets it")
}

pub(super) fn put(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    let mut file =
        fs::File::create(path).with_context(|| format!("creating {}", path.display()))?;
    file.write_all(text.as_bytes())
        .with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of a configuration file that say something.
    fn lines(text: &str) -> Vec<&str> {
        let lines = text.lines().map(str::trim);
        lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect()
    }

    /// What is shipped for mosquitto is what the tests run with.
    #[test]
    fn the_shipped_files_are_what_is_tested() {
        let shipped = include_str!("../../config/mosquitto/acl");
        let tested = mosquitto_acl(&["receiver-1", "receiver-2"]);
        assert_eq!(lines(shipped), lines(&tested));
        let keys = BrokerKeys {
            roots: "/etc/lingmou-broker/roots.crt".into(),
            certificate: "/etc/lingmou-broker/broker.crt".into(),
            key: "/etc/lingmou-broker/broker.key".into(),
        };
        let tested = mosquitto_config(8883, &keys, Path::new("/etc/lingmou-broker/acl"));
        // One host, no service user, no journal: of the test bench.
        let bench = ["listener", "user", "log_dest", "log_type"];
        let common = |text| {
            let key = |line: &&str| line.split(' ').next().unwrap_or_default().to_owned();
            let lines: Vec<&str> = lines(text);
            let kept = lines
                .into_iter()
                .filter(|l| !bench.contains(&key(l).as_str()));
            kept.map(ToOwned::to_owned).collect::<Vec<_>>()
        };
        let shipped = include_str!("../../config/mosquitto/lingmou.conf");
        assert_eq!(common(shipped), common(&tested));
        assert!(lines(shipped).contains(&"listener 8883"));
    }

    /// The page shown to administrators holds exactly what the tests run with.
    #[test]
    fn the_broker_page_shows_what_is_tested() {
        let page = include_str!("../../docs/BROKER.md");
        for line in mosquitto_acl(&["receiver-1"]).lines() {
            assert!(page.contains(line), "docs/BROKER.md lacks `{line}`");
        }
        let keys = BrokerKeys {
            roots: "/etc/lingmou-broker/roots.crt".into(),
            certificate: "/etc/lingmou-broker/broker.crt".into(),
            key: "/etc/lingmou-broker/broker.key".into(),
        };
        let tested = mosquitto_config(8883, &keys, Path::new("/etc/lingmou-broker/acl"));
        // These four are of the test bench: one host, no service user, no journal.
        let bench = ["listener", "user", "log_dest", "log_type"];
        for line in tested.lines() {
            let key = line.split(' ').next().unwrap_or_default();
            assert!(
                bench.contains(&key) || page.contains(line),
                "docs/BROKER.md lacks `{line}`"
            );
        }
    }
}

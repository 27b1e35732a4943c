//! Receivers: several behind one broker, their archive, second copies, lists of what is revoked,
//! and figures.

mod archive;
mod copies;
mod revoked;
mod several;
mod start;

use std::io::{Read as _, Write as _};

use lingmou::receive::archive::Archive;

use super::hand::ByHand;
use super::*;

const SECOND: &str = "receiver-2";

impl Bench {
    /// Its second receiver's configuration; it works in `folder`.
    fn second(&self, folder: &str) -> config::Receive {
        let keys = self.dir.path().join("pki").join(SECOND);
        if !keys.exists() {
            self.pki.add_receiver(SECOND).unwrap();
        }
        config::Receive {
            name: SECOND.to_owned(),
            keys,
            dir: self.dir.path().join(folder),
            ..self.receive_config()
        }
    }

    /// Starts a receiver and waits until it is connected.
    async fn start(&self, config: config::Receive) -> Running {
        let connected = |e: &Event| matches!(e, Event::Connected { .. });
        let before = self.events(connected);
        let stop = CancellationToken::new();
        let events = Arc::clone(&self.events);
        let on_event = move |event| events.lock().unwrap().push(event);
        let run = receive::run(config, on_event, stop.clone());
        let task = tokio::spawn(async { run.await.unwrap() });
        until("the receiver", || self.events(connected) > before).await;
        Running { task, stop }
    }

    fn archive(&self, folders: &[&str]) -> Archive {
        let dirs: Vec<PathBuf> = folders.iter().map(|f| self.dir.path().join(f)).collect();
        Archive::open(&dirs, clock::now()).unwrap()
    }

    fn received(&self, id: CaseId) -> PathBuf {
        let packages = self.dir.path().join("received").join("packages");
        packages.join(DEVICE).join(id.to_string())
    }
}

impl ByHand {
    /// The next answer that is not read yet.
    async fn answer(&mut self) -> (String, Vec<u8>) {
        let message = self.pipe.recv().await.unwrap();
        self.pipe.done(&message).unwrap();
        (message.topic().to_owned(), message.payload().to_vec())
    }

    /// Announces until `sink` takes the package; what it wants.
    async fn taken_by(&mut self, bench: &Bench, sink: &str) -> Want {
        loop {
            self.announce(bench).await;
            let (topic, payload) = self.answer().await;
            assert_eq!(topic, "ev1/LM-TEST-1/d/want");
            let want: Want = serde_json::from_slice(&payload).unwrap();
            if want.sink == sink {
                return want;
            }
        }
    }

    /// Sends what is wanted, to whom it wants it.
    async fn give(&self, want: &Want) {
        for Range(sha256, from, to) in &want.missing {
            let at = usize::try_from(*from).unwrap()..usize::try_from(*to).unwrap();
            let subject = Subject::Chunk {
                sink: want.sink.clone(),
                sha256: sha256.clone(),
                offset: *from,
            };
            self.say(subject, self.contents[sha256][at].to_vec()).await;
        }
    }

    async fn finish(&mut self, sink: &str) -> (String, Vec<u8>) {
        let body = format!(r#"{{"id":"{}"}}"#, self.id).into_bytes();
        let sink = sink.to_owned();
        self.say(Subject::Finished { sink }, body).await;
        self.answer().await
    }
}

/// `lingmou archive …` on the bench's folder: exit code and JSON lines.
fn asked(bench: &Bench, question: &str) -> (i32, Vec<serde_json::Value>) {
    let out = Command::new(env!("CARGO_BIN_EXE_lingmou"))
        .args(["archive", question, "--json", "--dir"])
        .arg(bench.dir.path().join("received"))
        .output()
        .unwrap();
    let lines = String::from_utf8(out.stdout).unwrap();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let code = out.status.code().unwrap();
    assert!(code < 2, "{}", String::from_utf8_lossy(&out.stderr));
    (code, lines.collect())
}

/// One request, as an HTTP client makes it.
fn request(addr: std::net::SocketAddr, line: &str) -> String {
    let mut stream = std::net::TcpStream::connect(addr).unwrap();
    write!(stream, "{line} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// A receiver that serves figures, and where.
fn with_figures(bench: &Bench) -> (config::Receive, std::net::SocketAddr) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = free.local_addr().unwrap();
    let config = config::Receive {
        metrics: Some(addr),
        ..bench.receive_config()
    };
    (config, addr)
}

/// Whether the figures have this line.
fn told(addr: std::net::SocketAddr, line: &str) -> bool {
    let page = request(addr, "GET /metrics");
    page.lines().any(|l| l == line)
}

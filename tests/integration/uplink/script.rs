//! A broker that does as it is told, where no real one can be brought to: MQTT 5 over TLS, one
//! device, just enough of the protocol (OASIS MQTT 5.0, sections named below).

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Reason code "quota exceeded" (section 3.4.2.1).
const QUOTA_EXCEEDED: u8 = 0x97;

/// To publish once a message of this kind was taken.
type Later = Arc<Mutex<Vec<(String, String, Vec<u8>)>>>;

/// What the broker does besides the protocol.
#[derive(Clone, Default)]
struct Play {
    /// So many pieces are not taken.
    refuse: Arc<AtomicU32>,
    /// Pieces and questions are taken, and that is not said.
    withhold: Arc<AtomicBool>,
    later: Later,
}

/// A message that came.
struct Heard {
    /// Without `ev1/DEVICE/`.
    topic: String,
    taken: bool,
    /// Its expiry, seconds.
    expiry: Option<u32>,
}

/// The broker; it ends when dropped.
pub(super) struct Script {
    port: u16,
    play: Play,
    heard: mpsc::Receiver<Heard>,
    task: JoinHandle<()>,
}

impl Drop for Script {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Script {
    pub(super) async fn start(bench: &Bench) -> Self {
        let keys = BrokerKeys::of(&bench.pki);
        let chain = CertificateDer::pem_file_iter(&keys.certificate).unwrap();
        let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_file(&keys.key).unwrap();
        let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, heard) = mpsc::channel(1024);
        let play = Play::default();
        let played = play.clone();
        let task = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            serve(&mut stream, &played, &tell).await;
        });
        Self {
            port,
            play,
            heard,
            task,
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// So many pieces from now on are not taken.
    pub(super) fn refuse_next(&self, pieces: u32) {
        self.play.refuse.store(pieces, Ordering::SeqCst);
    }

    /// From now on pieces and questions are acknowledged, or not; what was not is later.
    pub(super) fn withhold(&self, withheld: bool) {
        self.play.withhold.store(withheld, Ordering::SeqCst);
    }

    /// When the next message of `kind` is taken, `payload` is sent down.
    pub(super) fn publish_after(&self, kind: &str, topic: &str, payload: Vec<u8>) {
        let later = (kind.to_owned(), topic.to_owned(), payload);
        self.play.later.lock().unwrap().push(later);
    }

    /// Waits for a message of `kind`; whether it was taken.
    pub(super) async fn next(&mut self, kind: &str) -> bool {
        self.message(kind).await.taken
    }

    /// Waits for a message of `kind`; how long it may be given out, seconds.
    pub(super) async fn expiry(&mut self, kind: &str) -> Option<u32> {
        self.message(kind).await.expiry
    }

    async fn message(&mut self, kind: &str) -> Heard {
        loop {
            let heard = tokio::time::timeout(DEADLINE, self.heard.recv());
            let heard = heard.await.expect("a message").expect("a connection");
            if heard.topic.starts_with(kind) {
                return heard;
            }
        }
    }
}

/// Plays the broker on one connection until it ends.
async fn serve(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    play: &Play,
    tell: &mpsc::Sender<Heard>,
) {
    let prefix = format!("ev1/{DEVICE}/");
    let mut withheld: Vec<[u8; 5]> = Vec::new();
    while let Some((kind, body)) = packet(stream).await {
        if !play.withhold.load(Ordering::SeqCst) {
            for ack in withheld.drain(..) {
                stream.write_all(&ack).await.unwrap();
            }
        }
        match kind >> 4 {
            // CONNECT: CONNACK without properties (3.2).
            1 => stream.write_all(&[0x20, 3, 0, 0, 0]).await.unwrap(),
            // PUBLISH (3.3).
            3 => {
                let len = usize::from(u16::from_be_bytes([body[0], body[1]]));
                let topic = String::from_utf8(body[2..2 + len].to_vec()).unwrap();
                let topic = topic.strip_prefix(&prefix).unwrap().to_owned();
                let no = |n: u32| n.checked_sub(1);
                let refused = topic.starts_with("c/")
                    && play
                        .refuse
                        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, no)
                        .is_ok();
                let reason = if refused { QUOTA_EXCEEDED } else { 0 };
                let ack = [0x40, 3, body[2 + len], body[3 + len], reason];
                if play.withhold.load(Ordering::SeqCst)
                    && (topic.starts_with("c/") || topic.starts_with("f/"))
                {
                    withheld.push(ack);
                } else {
                    stream.write_all(&ack).await.unwrap();
                }
                let due = {
                    let mut later = play.later.lock().unwrap();
                    let at = later
                        .iter()
                        .position(|(of, ..)| topic.starts_with(of.as_str()));
                    at.filter(|_| !refused).map(|at| later.remove(at))
                };
                let heard = Heard {
                    topic,
                    taken: !refused,
                    expiry: expiry(&body[4 + len..]),
                };
                tell.send(heard).await.unwrap();
                if let Some((_, topic, payload)) = due {
                    stream.write_all(&publish(&topic, &payload)).await.unwrap();
                }
            }
            // SUBSCRIBE: SUBACK granting QoS 1 (3.9).
            8 => stream
                .write_all(&[0x90, 4, body[0], body[1], 0, 1])
                .await
                .unwrap(),
            // PINGREQ: PINGRESP (3.13).
            12 => stream.write_all(&[0xd0, 0]).await.unwrap(),
            // PUBACK for what was sent down.
            4 => {}
            _ => return,
        }
        stream.flush().await.unwrap();
    }
}

/// The expiry in the properties of a PUBLISH (3.3.2.3.3); where it is not alone it is not looked for.
fn expiry(properties: &[u8]) -> Option<u32> {
    match properties {
        [5, 2, a, b, c, d, ..] => Some(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => None,
    }
}

/// The first byte and the rest of the next packet; `None` at the end.
async fn packet(stream: &mut (impl AsyncRead + Unpin)) -> Option<(u8, Vec<u8>)> {
    let kind = stream.read_u8().await.ok()?;
    let mut len = 0;
    for shift in [0, 7, 14, 21] {
        let byte = stream.read_u8().await.ok()?;
        len |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await.ok()?;
    Some((kind, body))
}

/// A PUBLISH at `QoS` 1 without properties.
fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut body = u16::try_from(topic.len()).unwrap().to_be_bytes().to_vec();
    body.extend(topic.as_bytes());
    body.extend([0, 1, 0]);
    body.extend(payload);
    let mut packet = vec![0x32];
    let mut len = body.len();
    while len >= 0x80 {
        packet.push(u8::try_from(len % 0x80).unwrap() | 0x80);
        len /= 0x80;
    }
    packet.push(u8::try_from(len).unwrap());
    packet.extend(body);
    packet
}

//! A broker that does as it is told, where no real one can be brought to: MQTT 5 over TLS, one
//! device, just enough of the protocol (OASIS MQTT 5.0, sections named below).

use std::sync::atomic::{AtomicU32, Ordering};

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

/// The broker; it ends when dropped.
pub(super) struct Script {
    port: u16,
    refuse: Arc<AtomicU32>,
    later: Later,
    /// The topic of each message without `ev1/DEVICE/`, and whether it was taken.
    heard: mpsc::Receiver<(String, bool)>,
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
        let (refuse, later) = (Arc::new(AtomicU32::new(0)), Later::default());
        let play = (Arc::clone(&refuse), Arc::clone(&later));
        let task = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            serve(&mut stream, &play, &tell).await;
        });
        Self {
            port,
            refuse,
            later,
            heard,
            task,
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// So many pieces from now on are not taken.
    pub(super) fn refuse_next(&self, pieces: u32) {
        self.refuse.store(pieces, Ordering::SeqCst);
    }

    /// When the next message of `kind` is taken, `payload` is sent down.
    pub(super) fn publish_after(&self, kind: &str, topic: &str, payload: Vec<u8>) {
        let later = (kind.to_owned(), topic.to_owned(), payload);
        self.later.lock().unwrap().push(later);
    }

    /// Waits for a message of `kind`; whether it was taken.
    pub(super) async fn next(&mut self, kind: &str) -> bool {
        loop {
            let heard = tokio::time::timeout(DEADLINE, self.heard.recv());
            let (topic, taken) = heard.await.expect("a message").expect("a connection");
            if topic.starts_with(kind) {
                return taken;
            }
        }
    }
}

/// Plays the broker on one connection until it ends.
async fn serve(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    (refuse, later): &(Arc<AtomicU32>, Later),
    tell: &mpsc::Sender<(String, bool)>,
) {
    let prefix = format!("ev1/{DEVICE}/");
    while let Some((kind, body)) = packet(stream).await {
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
                    && refuse
                        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, no)
                        .is_ok();
                let reason = if refused { QUOTA_EXCEEDED } else { 0 };
                let ack = [0x40, 3, body[2 + len], body[3 + len], reason];
                stream.write_all(&ack).await.unwrap();
                let due = {
                    let mut later = later.lock().unwrap();
                    let at = later
                        .iter()
                        .position(|(of, ..)| topic.starts_with(of.as_str()));
                    at.filter(|_| !refused).map(|at| later.remove(at))
                };
                tell.send((topic, !refused)).await.unwrap();
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

//! TCP and mutual TLS to the broker.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use const_oid::db::rfc4519;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_cert::Certificate;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::Decode;

use super::pump::{Carried, Counted};
use super::{Endpoint, LinkError};
use crate::clock;
use crate::config::secret_file;

/// Time for one address to accept, and for the TLS handshake.
const CONNECT: Duration = Duration::from_secs(10);
/// Time for all addresses of a host together.
const ADDRESSES: Duration = Duration::from_secs(40);
/// Sent bytes not acknowledged by the peer's TCP for this long end the connection (RFC 5482).
const USER_TIMEOUT: Duration = Duration::from_secs(15);
/// An idle connection is probed after this long, and this often.
const PROBE: Duration = Duration::from_secs(15);

/// File names in the keys folder.
const KEY: &str = "transport.key";
const CERTIFICATE: &str = "transport.crt";
const ROOTS: &str = "roots.crt";

impl Endpoint {
    /// Host and port, as messages name it.
    pub fn peer(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The certificate in force at this moment.
    pub fn certificate(&self) -> PathBuf {
        let file = self.keys.join(CERTIFICATE);
        match &self.sent {
            Some(sent) if sent.holds_for(&file) => sent.path.clone(),
            _ => file,
        }
    }
}

/// A TLS connection with our certificate shown and the broker's checked.
pub(super) async fn connect(
    endpoint: &Endpoint,
    carried: Arc<Carried>,
) -> Result<TlsStream<Counted>, LinkError> {
    let config = config(endpoint)?;
    check_name(endpoint)?;
    let peer = endpoint.peer();
    let name =
        ServerName::try_from(endpoint.host.clone()).map_err(|error| LinkError::NotResolved {
            host: endpoint.host.clone(),
            why: error.to_string(),
        })?;
    let tcp = dial(endpoint).await?;
    prepare(&tcp).map_err(|error| LinkError::of_tcp(&peer, &error))?;
    let connector = TlsConnector::from(Arc::new(config));
    match timeout(CONNECT, connector.connect(name, Counted::new(tcp, carried))).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(handshake_failed(endpoint, &error)),
        Err(_elapsed) => Err(LinkError::Tls {
            peer,
            why: "no answer to the handshake; is this port TLS?".to_owned(),
        }),
    }
}

fn handshake_failed(endpoint: &Endpoint, error: &io::Error) -> LinkError {
    match LinkError::of_stream(&endpoint.peer(), error) {
        LinkError::Lost { peer, why } => LinkError::Tls {
            peer,
            why: format!("{why}; is this port TLS?"),
        },
        LinkError::OursRefused { peer, alert } => {
            ours_expired(endpoint).unwrap_or(LinkError::OursRefused { peer, alert })
        }
        other => other,
    }
}

/// Tries the addresses of the host one after the other.
async fn dial(endpoint: &Endpoint) -> Result<TcpStream, LinkError> {
    let not_resolved = |why: String| LinkError::NotResolved {
        host: endpoint.host.clone(),
        why,
    };
    let asked = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port));
    let addresses: Vec<SocketAddr> = match timeout(CONNECT, asked).await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => return Err(not_resolved(error.to_string())),
        Err(_elapsed) => return Err(not_resolved("the resolver does not answer".to_owned())),
    };
    let mut last = not_resolved("it has no address".to_owned());
    let each = each(addresses.len());
    for address in addresses {
        let socket = match socket(endpoint, address) {
            Ok(socket) => socket,
            Err(error) => {
                last = error;
                continue;
            }
        };
        match timeout(each, socket.connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = LinkError::of_tcp(&endpoint.peer(), &error),
            Err(_elapsed) => {
                last = LinkError::Unreachable {
                    peer: endpoint.peer(),
                    why: format!("{address} does not answer"),
                }
            }
        }
    }
    Err(last)
}

/// Time for each of so many addresses: a host with many that are dead must not hold up the loop that
/// waits for it.
fn each(addresses: usize) -> Duration {
    let addresses = u32::try_from(addresses).unwrap_or(u32::MAX).max(1);
    CONNECT.min(ADDRESSES / addresses)
}

/// A socket for `address`, bound to the interface that is configured.
fn socket(endpoint: &Endpoint, address: SocketAddr) -> Result<TcpSocket, LinkError> {
    let made = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = made.map_err(|error| LinkError::of_tcp(&endpoint.peer(), &error))?;
    let name = &endpoint.interface;
    if !name.is_empty() {
        // Permitted to everybody on a socket that is not bound yet (Linux 5.7).
        let bound = socket.bind_device(Some(name.as_bytes()));
        bound.map_err(|error| LinkError::Interface {
            name: name.clone(),
            why: error.to_string(),
        })?;
    }
    Ok(socket)
}

/// A stalled link must be noticed by the kernel, and small packets must not wait.
fn prepare(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let socket = SockRef::from(tcp);
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(PROBE).with_interval(PROBE))
}

fn config(endpoint: &Endpoint) -> Result<ClientConfig, LinkError> {
    let keys = &endpoint.keys;
    let mut roots = RootCertStore::empty();
    for root in certificates(&keys.join(ROOTS))? {
        roots
            .add(root)
            .map_err(|error| unfit(&keys.join(ROOTS), &error))?;
    }
    let chain = certificates(&endpoint.certificate())?;
    let key_file = secret_file(&keys.join(KEY));
    let key = PrivateKeyDer::from_pem_file(&key_file).map_err(|error| unfit(&key_file, &error))?;
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unfit(&key_file, &error))?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => LinkError::Key {
                file: key_file.display().to_string(),
                why: format!("does not belong to {CERTIFICATE}; enrol again"),
            },
            other => unfit(&key_file, &other),
        })
}

/// All certificates of a PEM file; at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, LinkError> {
    let found: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| unfit(file, &error))?;
    if found.is_empty() {
        return Err(LinkError::Key {
            file: file.display().to_string(),
            why: "holds no PEM certificate".to_owned(),
        });
    }
    Ok(found)
}

fn unfit(file: &Path, error: &dyn std::error::Error) -> LinkError {
    LinkError::Key {
        file: file.display().to_string(),
        why: format!("not usable ({error}); enrol this box or install the file"),
    }
}

/// The broker goes by the common name of our certificate: with another one its access list would
/// silently keep our messages from us.
fn check_name(endpoint: &Endpoint) -> Result<(), LinkError> {
    let file = endpoint.certificate();
    let refuse = |why: String| LinkError::Key {
        file: file.display().to_string(),
        why,
    };
    let leaf = leaf(&file).ok_or_else(|| refuse("is not an X.509 certificate".to_owned()))?;
    let name = common_name(&leaf).unwrap_or_default();
    if name == endpoint.client_id {
        return Ok(());
    }
    Err(refuse(format!(
        "is for {name:?}, but this is {:?}; install its own certificate or correct the id",
        endpoint.client_id
    )))
}

/// The first common name of the subject (RFC 5280 section 4.1.2.6).
fn common_name(certificate: &Certificate) -> Option<String> {
    let names = &certificate.tbs_certificate.subject.0;
    let of_name = |a: &&AttributeTypeAndValue| a.oid == rfc4519::CN;
    let attribute = names.iter().flat_map(|rdn| rdn.0.iter()).find(of_name)?;
    String::from_utf8(attribute.value.value().to_vec()).ok()
}

fn leaf(file: &Path) -> Option<Certificate> {
    Certificate::from_der(certificates(file).ok()?.first()?).ok()
}

/// End of the certificate in `file`, seconds since 1970.
fn not_after(file: &Path) -> Option<i64> {
    let end = leaf(file)?
        .tbs_certificate
        .validity
        .not_after
        .to_unix_duration();
    i64::try_from(end.as_secs()).ok()
}

/// Whole days until the certificate in `file` ends, negative when it has; `None` when it cannot
/// be read. `now` is seconds since 1970.
pub fn certificate_days_left(file: &Path, now: i64) -> Option<i64> {
    const DAY: i64 = 86_400;
    Some((not_after(file)? - now).div_euclid(DAY))
}

/// Whether the files in `keys` would do for a connection as `client_id` at `now`, seconds since
/// 1970, without making one; the whole days until the certificate ends.
pub fn check_keys(endpoint: &Endpoint, now: i64) -> Result<i64, LinkError> {
    config(endpoint)?;
    check_name(endpoint)?;
    let file = endpoint.certificate();
    let start = leaf(&file).map(|leaf| leaf.tbs_certificate.validity.not_before);
    let start = start.map_or(0, |at| {
        i64::try_from(at.to_unix_duration().as_secs()).unwrap_or(0)
    });
    if now < start {
        let from = clock::rfc3339_ms(start.saturating_mul(1_000_000_000));
        return Err(LinkError::Key {
            file: file.display().to_string(),
            why: format!("valid only from {from}; check the clock"),
        });
    }
    match ours_expired(endpoint) {
        Some(error) => Err(error),
        None => Ok(certificate_days_left(&file, now).unwrap_or(0)),
    }
}

/// The error for our own certificate when it has ended by our clock.
pub(super) fn ours_expired(endpoint: &Endpoint) -> Option<LinkError> {
    let file = endpoint.certificate();
    let end_ns = not_after(&file)?.saturating_mul(1_000_000_000);
    (clock::now().utc_ns > end_ns).then(|| LinkError::OursExpired {
        file: file.display().to_string(),
        not_after: clock::rfc3339_ms(end_ns),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_dead_addresses_take_no_longer_than_one_try_may() {
        assert_eq!((each(0), each(1), each(4)), (CONNECT, CONNECT, CONNECT));
        for addresses in 1..200 {
            let all = each(addresses) * u32::try_from(addresses).unwrap();
            assert!(all <= ADDRESSES, "{addresses}");
            // The resolver, TLS, and CONNECT.
            assert!(CONNECT + all + CONNECT + super::super::GREETING <= super::super::ATTEMPT);
        }
    }
}

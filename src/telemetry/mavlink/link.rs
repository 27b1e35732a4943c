//! The wire to the vehicle: UDP, TCP or a serial line, as one thing to read and write.
//!
//! The sockets are tokio's and the serial line an ordinary nonblocking descriptor, so that every
//! wait ends when the task is stopped; of the `mavlink` crate only the parser is used.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::str::FromStr;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::termios::{ControlModes, OptionalActions, SpecialCodeIndex};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// A connection that is not made by then is tried again.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// A peer that takes no bytes for this long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// Where the vehicle is reached: `[telemetry.mavlink] address`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `udpin:HOST:PORT`: we listen for datagrams and answer who sent them.
    UdpIn(String),
    /// `udpout:HOST:PORT`: we send first.
    UdpOut(String),
    /// `tcpin:HOST:PORT`: we accept one connection at a time, the newest.
    TcpIn(String),
    /// `tcpout:HOST:PORT`: we connect.
    TcpOut(String),
    /// `serial:DEVICE:BAUD`, 8N1 without flow control.
    Serial(String, u32),
}

/// An address that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a MAVLink address; write udpin:HOST:PORT, udpout:HOST:PORT, tcpin:HOST:PORT, \
     tcpout:HOST:PORT or serial:DEVICE:BAUD, for example udpin:0.0.0.0:14550"
)]
pub struct AddressError(String);

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError(text.to_owned());
        let (kind, rest) = text.split_once(':').ok_or_else(wrong)?;
        let (place, number) = rest.rsplit_once(':').ok_or_else(wrong)?;
        if place.is_empty() {
            return Err(wrong());
        }
        if kind == "serial" {
            let baud = number.parse().ok().filter(|baud| *baud > 0);
            return Ok(Self::Serial(place.to_owned(), baud.ok_or_else(wrong)?));
        }
        number.parse::<u16>().ok().ok_or_else(wrong)?;
        let peer = rest.to_owned();
        match kind {
            "udpin" => Ok(Self::UdpIn(peer)),
            "udpout" => Ok(Self::UdpOut(peer)),
            "tcpin" => Ok(Self::TcpIn(peer)),
            "tcpout" => Ok(Self::TcpOut(peer)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UdpIn(peer) => write!(f, "udpin:{peer}"),
            Self::UdpOut(peer) => write!(f, "udpout:{peer}"),
            Self::TcpIn(peer) => write!(f, "tcpin:{peer}"),
            Self::TcpOut(peer) => write!(f, "tcpout:{peer}"),
            Self::Serial(device, baud) => write!(f, "serial:{device}:{baud}"),
        }
    }
}

/// An open link.
pub(super) enum Link {
    UdpIn(UdpSocket),
    UdpOut(UdpSocket),
    TcpIn {
        listener: TcpListener,
        client: Option<(TcpStream, SocketAddr)>,
    },
    TcpOut(TcpStream),
    Serial(AsyncFd<OwnedFd>),
}

impl Link {
    /// Opens the link within five seconds.
    pub(super) async fn open(address: &Address) -> io::Result<Self> {
        let opened = async {
            Ok(match address {
                Address::UdpIn(at) => Self::UdpIn(UdpSocket::bind(at).await?),
                Address::UdpOut(peer) => Self::UdpOut(connected(peer).await?),
                Address::TcpIn(at) => Self::TcpIn {
                    listener: TcpListener::bind(at).await?,
                    client: None,
                },
                Address::TcpOut(peer) => {
                    let stream = TcpStream::connect(peer).await?;
                    stream.set_nodelay(true)?;
                    Self::TcpOut(stream)
                }
                Address::Serial(device, baud) => Self::Serial(serial(device, *baud)?),
            })
        };
        tokio::time::timeout(OPEN_TIMEOUT, opened)
            .await
            .unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
    }

    /// The address listened on, where we listen.
    pub(super) fn listening(&self) -> Option<SocketAddr> {
        match self {
            Self::UdpIn(socket) => socket.local_addr().ok(),
            Self::TcpIn { listener, .. } => listener.local_addr().ok(),
            Self::UdpOut(_) | Self::TcpOut(_) | Self::Serial(_) => None,
        }
    }

    /// Whether silence is a reason to open the link again. A bound datagram socket only waits.
    pub(super) fn can_go_stale(&self) -> bool {
        !matches!(self, Self::UdpIn(_) | Self::TcpIn { client: None, .. })
    }

    /// Waits for bytes; who sent them, where there can be several. Safe to cancel.
    ///
    /// # Errors
    /// The link is gone and must be opened again.
    pub(super) async fn read(&mut self, buf: &mut [u8]) -> io::Result<(usize, Option<SocketAddr>)> {
        loop {
            match self {
                Self::UdpIn(socket) => match socket.recv_from(buf).await {
                    Ok((n, peer)) => return Ok((n, Some(peer))),
                    Err(e) if is_refusal(&e) => {}
                    Err(e) => return Err(e),
                },
                Self::UdpOut(socket) => match socket.recv(buf).await {
                    Ok(n) => return Ok((n, None)),
                    // Nobody listens there yet; the next heartbeat asks again.
                    Err(e) if is_refusal(&e) => {}
                    Err(e) => return Err(e),
                },
                Self::TcpIn { listener, client } => {
                    if let Some(read) = read_newest(listener, client, buf).await? {
                        return Ok(read);
                    }
                }
                Self::TcpOut(stream) => return Ok((some(stream.read(buf).await?)?, None)),
                Self::Serial(line) => {
                    let mut ready = line.readable().await?;
                    match ready.try_io(|fd| Ok(rustix::io::read(fd, &mut *buf)?)) {
                        Ok(n) => return Ok((some(n?)?, None)),
                        Err(_would_block) => {}
                    }
                }
            }
        }
    }

    /// Sends `bytes`, to `peer` where there can be several.
    ///
    /// # Errors
    /// The link is gone, or took nothing for a second. A datagram that cannot be sent is only
    /// lost, as datagrams are.
    pub(super) async fn write(&mut self, bytes: &[u8], peer: Option<SocketAddr>) -> io::Result<()> {
        let written = async {
            match self {
                Self::UdpIn(socket) => match peer {
                    Some(peer) => datagram(socket.send_to(bytes, peer).await),
                    None => Ok(()),
                },
                Self::UdpOut(socket) => datagram(socket.send(bytes).await),
                Self::TcpIn {
                    client: Some((stream, _)),
                    ..
                }
                | Self::TcpOut(stream) => stream.write_all(bytes).await,
                Self::TcpIn { client: None, .. } => Ok(()),
                Self::Serial(line) => write_line(line, bytes).await,
            }
        };
        let result = tokio::time::timeout(WRITE_TIMEOUT, written)
            .await
            .unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
        match self {
            // The listener stays; only this client is gone.
            Self::TcpIn { client, .. } if result.is_err() => {
                *client = None;
                Ok(())
            }
            _ => result,
        }
    }
}

/// Reads from the client, or takes a newer one; `None` when the client left or changed.
async fn read_newest(
    listener: &TcpListener,
    client: &mut Option<(TcpStream, SocketAddr)>,
    buf: &mut [u8],
) -> io::Result<Option<(usize, Option<SocketAddr>)>> {
    let Some((stream, peer)) = client else {
        *client = Some(listener.accept().await?);
        return Ok(None);
    };
    let peer = *peer;
    tokio::select! {
        newer = listener.accept() => *client = Some(newer?),
        read = stream.read(buf) => match read {
            Ok(0) | Err(_) => *client = None,
            Ok(n) => return Ok(Some((n, Some(peer)))),
        },
    }
    Ok(None)
}

/// A read of nothing is the end of a stream.
fn some(n: usize) -> io::Result<usize> {
    if n == 0 {
        Err(ErrorKind::UnexpectedEof.into())
    } else {
        Ok(n)
    }
}

/// An ICMP answer to an earlier datagram, told on the next call.
fn is_refusal(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
    )
}

fn datagram(sent: io::Result<usize>) -> io::Result<()> {
    match sent {
        Err(e) if is_refusal(&e) || e.kind() == ErrorKind::WouldBlock => Ok(()),
        other => other.map(drop),
    }
}

async fn connected(peer: &str) -> io::Result<UdpSocket> {
    let address = tokio::net::lookup_host(peer)
        .await?
        .next()
        .ok_or(ErrorKind::AddrNotAvailable)?;
    let any: SocketAddr = if address.is_ipv4() {
        ([0; 4], 0).into()
    } else {
        ([0_u16; 8], 0).into()
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    Ok(socket)
}

/// Opens a serial line raw, 8N1, no flow control, at any speed the driver takes.
fn serial(device: &str, baud: u32) -> io::Result<AsyncFd<OwnedFd>> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let line = rustix::fs::open(device, flags, Mode::empty())?;
    let mut settings = rustix::termios::tcgetattr(&line)?;
    settings.make_raw();
    settings.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
    settings.control_modes -= ControlModes::CRTSCTS | ControlModes::CSTOPB | ControlModes::HUPCL;
    settings.special_codes[SpecialCodeIndex::VMIN] = 1;
    settings.special_codes[SpecialCodeIndex::VTIME] = 0;
    settings.set_speed(baud)?;
    rustix::termios::tcsetattr(&line, OptionalActions::Now, &settings)?;
    #[expect(
        deprecated,
        reason = "the successor is unsafe to call; its condition, one descriptor owned by the \
                  registration for its whole life, is kept by `OwnedFd`"
    )]
    AsyncFd::new(line)
}

async fn write_line(line: &AsyncFd<OwnedFd>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let mut ready = line.writable().await?;
        match ready.try_io(|fd| Ok(rustix::io::write(fd, bytes)?)) {
            Ok(n) => bytes = bytes.get(some(n?)?..).unwrap_or_default(),
            Err(_would_block) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_they_are_written() {
        for text in [
            "udpin:0.0.0.0:14550",
            "udpout:[::1]:14550",
            "tcpin:127.0.0.1:0",
            "tcpout:drone.local:5760",
            "serial:/dev/serial/by-id/usb-Holybro_x:921600",
        ] {
            assert_eq!(
                text.parse::<Address>().map(|a| a.to_string()),
                Ok(text.to_owned())
            );
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_forms() {
        for text in [
            "",
            "udpin",
            "udpin:",
            "udpin::14550",
            "udpin:host:port",
            "udpin:host:70000",
            "serial:/dev/ttyS0",
            "serial:/dev/ttyS0:0",
            "udp:1.2.3.4:1",
        ] {
            let error = text.parse::<Address>().expect_err(text).to_string();
            assert!(
                error.contains(text) && error.contains("serial:DEVICE:BAUD"),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn a_file_is_no_serial_line() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let address = Address::Serial(file.path().display().to_string(), 57_600);
        assert!(Link::open(&address).await.is_err());
    }
}

//! Tries the camera's port before GStreamer does.
//!
//! GStreamer reports every failed connection with the same words. One plain TCP connection
//! first tells no route, refused and timeout apart, costs nothing when the camera is away for
//! hours, and hears the stop signal at once.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::Fault;
use super::stream::Stop;

/// A camera that does not accept within this time is away.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How often the pending connection is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

const RTSP_PORT: u16 = 554;
const RTSPS_PORT: u16 = 322;

/// Where an RTSP URL points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
}

impl Endpoint {
    /// Reads `rtsp://host[:port]/path`; the error says what is wrong with the URL.
    pub(super) fn parse(url: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or("url must start with rtsp:// or rtsps://")?;
        let tls = match scheme {
            "rtsp" => false,
            "rtsps" => true,
            _ => return Err("url must start with rtsp:// or rtsps://"),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err("url must not hold user or password: use user and password_file");
        }
        let (host, port) = split_port(authority).ok_or("url has a port that is not a number")?;
        if host.is_empty() {
            return Err("url has no host");
        }
        let default = if tls { RTSPS_PORT } else { RTSP_PORT };
        Ok(Self {
            host: host.to_owned(),
            port: port.unwrap_or(default),
            tls,
        })
    }

    /// Tries to connect. `Ok(false)` when stopped meanwhile.
    pub(super) fn knock(&self, stop: &Stop) -> Result<bool, Fault> {
        let Some(addresses) = self.resolve(stop)? else {
            return Ok(false);
        };
        let mut fault = Fault::HostUnknown;
        for address in addresses {
            match connect(address, stop) {
                Ok(connected) => return Ok(connected),
                Err(error) => fault = of_io(&error),
            }
        }
        Err(fault)
    }

    /// The addresses of the host; `None` when stopped meanwhile.
    fn resolve(&self, stop: &Stop) -> Result<Option<Vec<SocketAddr>>, Fault> {
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return Ok(Some(vec![SocketAddr::new(ip, self.port)]));
        }
        // The C library's resolver cannot be interrupted: it gets a thread that nobody joins.
        let (sender, receiver) = mpsc::sync_channel(1);
        let target = (self.host.clone(), self.port);
        thread::Builder::new()
            .name("resolve".to_owned())
            .spawn(move || {
                let found = target.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
                // Nobody listens any more when it took too long.
                drop(sender.send(found));
            })
            .map_err(|error| Fault::Pipeline(error.to_string()))?;
        let mut waited = Duration::ZERO;
        while waited < CONNECT_WITHIN {
            match receiver.try_recv() {
                Ok(Ok(found)) if !found.is_empty() => return Ok(Some(found)),
                Ok(_) | Err(mpsc::TryRecvError::Disconnected) => return Err(Fault::HostUnknown),
                Err(mpsc::TryRecvError::Empty) => {}
            }
            if stop.wait(LOOK_EVERY) {
                return Ok(None);
            }
            waited += LOOK_EVERY;
        }
        Err(Fault::HostUnknown)
    }
}

/// Splits `host:port`, `[v6]:port` and their forms without a port.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    if let Some(v6) = authority.strip_prefix('[') {
        let (host, rest) = v6.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port.parse().ok()?))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
        None => Some((authority, None)),
    }
}

/// One connection, made and closed. `Ok(false)` when stopped meanwhile.
fn connect(address: SocketAddr, stop: &Stop) -> io::Result<bool> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Ok(()) => return Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    let mut waited = Duration::ZERO;
    while waited < CONNECT_WITHIN {
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        if socket.peer_addr().is_ok() {
            return Ok(true);
        }
        if stop.wait(LOOK_EVERY) {
            return Ok(false);
        }
        waited += LOOK_EVERY;
    }
    Err(io::ErrorKind::TimedOut.into())
}

fn of_io(error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => Fault::Refused,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Fault::NoRoute,
        io::ErrorKind::TimedOut => Fault::Timeout,
        _ => Fault::Pipeline(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn urls_are_read() {
        let ok = |host: &str, port, tls| {
            Ok(Endpoint {
                host: host.to_owned(),
                port,
                tls,
            })
        };
        for (url, expected) in [
            ("rtsp://10.0.0.7/a", ok("10.0.0.7", 554, false)),
            (
                "rtsp://cam-1.local:8554/a?b=c",
                ok("cam-1.local", 8554, false),
            ),
            ("rtsp://cam", ok("cam", 554, false)),
            ("rtsps://cam/a", ok("cam", 322, true)),
            ("rtsp://[fe80::1]:8554/a@b", ok("fe80::1", 8554, false)),
            ("rtsp://[fe80::1]/", ok("fe80::1", 554, false)),
        ] {
            assert_eq!(Endpoint::parse(url), expected, "{url}");
        }
    }

    #[test]
    fn wrong_urls_say_why() {
        for (url, part) in [
            ("http://cam/", "must start with"),
            ("cam/1", "must start with"),
            ("rtsp://user:secret@cam/", "must not hold user"),
            ("rtsp:///path", "no host"),
            ("rtsp://cam:port/", "not a number"),
            ("rtsp://cam:99999/", "not a number"),
            ("rtsp://[::1/", "not a number"),
        ] {
            let why = Endpoint::parse(url).unwrap_err();
            assert!(why.contains(part), "{url}: {why}");
            assert!(!why.contains("secret"));
        }
    }

    fn knock(host: &str, port: u16) -> Result<bool, Fault> {
        Endpoint {
            host: host.to_owned(),
            port,
            tls: false,
        }
        .knock(&Stop::default())
    }

    #[test]
    fn an_open_and_a_shut_port_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(knock("127.0.0.1", port), Ok(true));
        drop(listener);
        assert_eq!(knock("127.0.0.1", port), Err(Fault::Refused));
    }

    #[test]
    fn the_systems_errors_are_told_apart() {
        for (number, fault) in [
            (libc::ECONNREFUSED, Fault::Refused),
            (libc::EHOSTUNREACH, Fault::NoRoute),
            (libc::ENETUNREACH, Fault::NoRoute),
            (libc::ETIMEDOUT, Fault::Timeout),
        ] {
            assert_eq!(of_io(&io::Error::from_raw_os_error(number)), fault);
        }
    }

    #[test]
    fn hundreds_of_failed_knocks_leave_no_file_open() {
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let sockets = || {
            std::fs::read_dir("/proc/self/fd")
                .unwrap()
                .filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok())
                .filter(|target| target.to_string_lossy().starts_with("socket:"))
                .count()
        };
        let before = sockets();
        for _ in 0..500 {
            assert_eq!(knock("127.0.0.1", port), Err(Fault::Refused));
        }
        // Other tests of this program open sockets too, but not hundreds.
        assert!(sockets() < before + 50);
    }

    /// A port that takes no connection any more: its queue is full and nobody accepts.
    fn full_port() -> (Socket, Vec<Socket>, u16) {
        let socket = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let listener = socket();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        listener.bind(&any.into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let waiting = (0..4)
            .map(|_| {
                let client = socket();
                client.set_nonblocking(true).unwrap();
                // Most of these stay in progress, which is what they are for.
                drop(client.connect(&address));
                client
            })
            .collect();
        (listener, waiting, address.as_socket().unwrap().port())
    }

    #[test]
    fn nobody_answering_is_a_timeout_and_a_stop_ends_the_wait() {
        let (_listener, _waiting, port) = full_port();
        assert_eq!(knock("127.0.0.1", port), Err(Fault::Timeout));
        let stop = Stop::default();
        stop.stop();
        let endpoint = Endpoint {
            host: "127.0.0.1".to_owned(),
            port,
            tls: false,
        };
        assert_eq!(endpoint.knock(&stop), Ok(false));
    }

    #[test]
    fn a_name_is_resolved_or_said_to_be_unknown() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(knock("localhost", port), Ok(true));
        // The top level domain is reserved for names that do not exist (RFC 6761 section 6.4).
        assert_eq!(knock("camera.invalid", port), Err(Fault::HostUnknown));
    }
}

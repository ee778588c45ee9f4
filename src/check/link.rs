//! A connection to a service that ends by itself: over TCP or a unix socket, every wait bounded by one deadline.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Occasion;
use super::found::Trouble;
use super::resolve;

/// Where a service listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Name or address, and port.
    Tcp(String, u16),
    /// A unix socket.
    Unix(PathBuf),
}

impl Place {
    /// From `socket=` or `address=`.
    pub fn of(at: &Occasion) -> Result<Self, Trouble> {
        match at.order.attribute("socket") {
            Some(path) => Ok(Self::Unix(PathBuf::from(path))),
            None => Self::parse(at.needed("address")?, None),
        }
    }

    /// `host:port` or `[::1]:port`; the port may be left out where there is a usual one.
    pub fn parse(text: &str, usual: Option<u16>) -> Result<Self, Trouble> {
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(usual, |port| port.parse().ok());
        match port {
            Some(port) if !host.is_empty() && !host.starts_with('[') => Ok(Self::Tcp(host.to_owned(), port)),
            _ => Err(Trouble::unsupported(format!("\"{text}\" is no host:port"))),
        }
    }

    /// What a server there is asked to be; nothing for a socket.
    pub fn name(&self) -> String {
        match self {
            Self::Tcp(host, _) => host.clone(),
            Self::Unix(_) => String::new(),
        }
    }

    /// For people.
    pub fn shown(&self) -> String {
        match self {
            Self::Tcp(host, port) if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp(host, port) => format!("{host}:{port}"),
            Self::Unix(path) => path.display().to_string(),
        }
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// An open connection.
pub(super) struct Link {
    stream: Stream,
    until: Instant,
    /// How long the name took to become an address.
    pub dns: Duration,
    /// How long the connection took.
    pub connect: Duration,
}

impl Link {
    /// Connects before the occasion ends.
    pub fn open(place: &Place, until: Instant, root: &Path) -> Result<Self, Trouble> {
        let begin = Instant::now();
        match place {
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).map_err(|error| Trouble::line(&place.shown(), &error))?;
                let connect = begin.elapsed();
                Ok(Self { stream: Stream::Unix(stream), until, dns: Duration::ZERO, connect })
            }
            Place::Tcp(host, port) => {
                let addresses = resolve::addresses(host, until, root)?;
                let dns = begin.elapsed();
                let stream = first(&addresses, *port, until).map_err(|error| Trouble::line(&place.shown(), &error))?;
                let connect = begin.elapsed() - dns;
                // Small questions and answers: waiting for more to send only costs time.
                let _ = stream.set_nodelay(true);
                Ok(Self { stream: Stream::Tcp(stream), until, dns, connect })
            }
        }
    }
}

/// The first address that answers; the time that is left is shared among those not tried yet.
fn first(addresses: &[IpAddr], port: u16, until: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
    for (tried, address) in addresses.iter().enumerate() {
        let share = left(until)? / u32::try_from(addresses.len() - tried).unwrap_or(1);
        match TcpStream::connect_timeout(&SocketAddr::new(*address, port), share.max(Duration::from_millis(1))) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left < Duration::from_millis(1) { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// A socket whose time is over says so as "would block".
fn timed(result: io::Result<usize>) -> io::Result<usize> {
    result.map_err(|error| if error.kind() == ErrorKind::WouldBlock { ErrorKind::TimedOut.into() } else { error })
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = Some(left(self.until)?);
        timed(match &mut self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(left).and_then(|()| stream.read(buffer)),
            Stream::Unix(stream) => stream.set_read_timeout(left).and_then(|()| stream.read(buffer)),
        })
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = Some(left(self.until)?);
        timed(match &mut self.stream {
            Stream::Tcp(stream) => stream.set_write_timeout(left).and_then(|()| stream.write(bytes)),
            Stream::Unix(stream) => stream.set_write_timeout(left).and_then(|()| stream.write(bytes)),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let tcp = |host: &str, port| Ok(Place::Tcp(host.into(), port));
        assert_eq!(Place::parse("127.0.0.1:6379", None), tcp("127.0.0.1", 6379));
        assert_eq!(Place::parse("[::1]:80", None), tcp("::1", 80));
        assert_eq!(Place::parse("db", Some(5432)), tcp("db", 5432));
        assert_eq!(Place::parse("[::1]", Some(1)), tcp("::1", 1));
        for bad in ["", ":80", "db", "db:x", "db:70000", "[::1", "[]:1"] {
            assert!(Place::parse(bad, None).is_err(), "{bad}");
        }
        assert_eq!(Place::Tcp("::1".into(), 80).shown(), "[::1]:80");
    }

    #[test]
    fn a_silent_service_costs_the_timeout_and_no_more() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let place = Place::Tcp("localhost".into(), silent.local_addr().unwrap().port());
        let begin = Instant::now();
        let mut link = Link::open(&place, begin + Duration::from_millis(200), Path::new("/")).unwrap();
        let error = link.read(&mut [0; 8]).unwrap_err();
        assert!(matches!(Trouble::line("x", &error), Trouble::Bad(crate::model::sample::FaultKind::Hung, _)));
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
}

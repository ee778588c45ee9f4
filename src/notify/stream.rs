//! A line to a server: TCP, or TLS over it. Every wait ends at one moment, which a server that drips cannot push back.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// A socket on which nothing lasts beyond `until`.
struct Timed {
    tcp: TcpStream,
    until: Instant,
}

impl Timed {
    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(late()) } else { Ok(left) }
    }
}

fn late() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "the server took too long")
}

/// A program that was stopped and goes on finds its waits interrupted, which says nothing of the server.
fn again<T>(mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match work() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// A socket's own time limit has another name on Linux.
fn named(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::WouldBlock { late() } else { error }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tcp.set_read_timeout(Some(self.left()?))?;
        self.tcp.read(buffer).map_err(named)
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.tcp.set_write_timeout(Some(self.left()?))?;
        self.tcp.write(buffer).map_err(named)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Inner {
    Plain(Timed),
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

/// An open line.
pub struct Stream(Inner);

impl Stream {
    /// Connects to the first address that answers, all of them within `timeout`.
    ///
    /// # Errors
    /// Of the last address, or of the name.
    pub fn connect(host: &str, port: u16, timeout: Duration) -> io::Result<Self> {
        let until = Instant::now() + timeout;
        let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for address in again(|| (host, port).to_socket_addrs())? {
            let left = || match until.saturating_duration_since(Instant::now()) {
                left if left.is_zero() => Err(late()),
                left => Ok(left),
            };
            match again(|| TcpStream::connect_timeout(&address, left()?)) {
                Ok(tcp) => {
                    // What is written whole goes at once: waiting for more costs 40 ms a mail (Nagle, delayed ACK).
                    tcp.set_nodelay(true)?;
                    return Ok(Self(Inner::Plain(Timed { tcp, until })));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Whatever is read and written from now on ends within `timeout`.
    pub fn allow(&mut self, timeout: Duration) {
        self.timed().until = Instant::now() + timeout;
    }

    /// Begins TLS. The certificate must be for `host` and from an authority of the system or of the file; nothing but the
    /// handshake is sent before that is proven.
    ///
    /// # Errors
    /// For people.
    pub fn secure(self, host: &str, authorities: Option<&Path>) -> Result<Self, String> {
        let Inner::Plain(mut timed) = self.0 else { return Ok(self) };
        let config = config(authorities)?;
        let name = ServerName::try_from(host.to_owned()).map_err(|error| format!("{host}: {error}"))?;
        let mut tls = ClientConnection::new(config, name).map_err(|error| error.to_string())?;
        while tls.is_handshaking() {
            tls.complete_io(&mut timed).map_err(|error| error.to_string())?;
        }
        Ok(Self(Inner::Tls(Box::new(StreamOwned::new(tls, timed)))))
    }

    /// Whether nobody on the way can read it.
    pub fn is_secure(&self) -> bool {
        matches!(self.0, Inner::Tls(_))
    }

    /// Our own end.
    pub fn local(&mut self) -> Option<SocketAddr> {
        self.timed().tcp.local_addr().ok()
    }

    fn timed(&mut self) -> &mut Timed {
        match &mut self.0 {
            Inner::Plain(timed) => timed,
            Inner::Tls(tls) => &mut tls.sock,
        }
    }
}

fn config(authorities: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = authorities {
        let failed = |text: String| format!("ca-file {}: {text}", file.display());
        let found = CertificateDer::pem_file_iter(file).map_err(|error| failed(error.to_string()))?;
        let found = found.collect::<Result<Vec<_>, _>>().map_err(|error| failed(error.to_string()))?;
        if found.is_empty() {
            return Err(failed("holds no certificate in PEM".to_owned()));
        }
        for certificate in found {
            roots.add(certificate).map_err(|error| failed(error.to_string()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(config))
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Inner::Plain(timed) => timed.read(buffer),
            Inner::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Inner::Plain(timed) => timed.write(buffer),
            Inner::Tls(tls) => tls.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Inner::Plain(timed) => timed.flush(),
            Inner::Tls(tls) => tls.flush(),
        }
    }
}

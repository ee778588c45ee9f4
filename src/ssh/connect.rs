//! TCP: name to addresses, addresses to a connection, all within one deadline.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt;

use super::SshError;
use crate::model::cause::Cause;

/// A silent host is asked whether it is still there after so long, and so often.
const ASK_AFTER: Duration = Duration::from_secs(5);

/// Milliseconds without a sign of life, not even TCP's own, after which it is gone.
const GONE_AFTER: u32 = 20_000;

/// For resolving and connecting, over all addresses of a name.
pub(super) const CONNECT: Duration = Duration::from_secs(5);

/// Connects to the first address that answers.
pub(super) fn connect(address: &str, port: u16, deadline: Instant) -> Result<TcpStream, SshError> {
    let addresses = resolve(address, port, deadline)?;
    let mut last = None;
    for (number, target) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let others = u32::try_from(addresses.len() - number).unwrap_or(u32::MAX);
        // Each address has its fair share, so that one black hole does not use up the time of the others.
        let share = left / others.max(1);
        if share < Duration::from_millis(1) {
            break;
        }
        match TcpStream::connect_timeout(target, share) {
            Ok(stream) => {
                tune(&stream);
                return Ok(stream);
            }
            Err(error) => last = Some(failure(target, &error)),
        }
    }
    Err(last.unwrap_or_else(|| {
        SshError::new(Cause::ConnectTimeout, format!("no time was left to connect to {address} port {port}"))
    }))
}

/// Sends at once, and notices a host that vanished before its whole time is over. Where an option is not known, the
/// deadline does the same, later.
fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, ASK_AFTER);
    let _ = sockopt::set_tcp_keepintvl(stream, ASK_AFTER);
    let _ = sockopt::set_tcp_user_timeout(stream, GONE_AFTER);
}

/// The system's resolver cannot be given a deadline, so it runs in a thread that is left behind when it is late.
fn resolve(address: &str, port: u16, deadline: Instant) -> Result<Vec<SocketAddr>, SshError> {
    if let Ok(ip) = address.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let (sender, receiver) = mpsc::channel();
    let name = address.to_owned();
    let started = thread::Builder::new().name("resolver".to_owned()).spawn(move || {
        let _ = sender.send((name.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>));
    });
    if let Err(error) = started {
        return Err(SshError::new(Cause::LocalSetup, format!("no thread for the resolver: {error}")));
    }
    match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(Ok(found)) if !found.is_empty() => Ok(found),
        Ok(Ok(_)) => Err(SshError::new(Cause::Dns, format!("{address}: the name has no address"))),
        Ok(Err(error)) => Err(SshError::new(Cause::Dns, format!("{address}: {error}"))),
        Err(_) => Err(SshError::new(Cause::Dns, format!("{address}: the resolver did not answer in time"))),
    }
}

fn failure(target: &SocketAddr, error: &io::Error) -> SshError {
    let cause = match error.kind() {
        ErrorKind::ConnectionRefused => Cause::Refused,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => Cause::NoRoute,
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Cause::ConnectTimeout,
        // Too many descriptors, no permission: something on this side.
        _ => Cause::LocalSetup,
    };
    SshError::new(cause, format!("{target}: {error}"))
}

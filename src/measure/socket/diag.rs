//! Asks the kernel for TCP sockets by netlink, as `ss` does: one walk through its table for both versions of IP, where
//! /proc/net/tcp and tcp6 are two slower ones, and only the states that are not counted elsewhere.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, netlink, socket_with};

/// TCPDIAG_GETSOCK, which asks for both families at once, and NLM_F_REQUEST with NLM_F_DUMP.
const GET_SOCKETS: u16 = 18;
const DUMP: u16 = 0x301;
const HEADER: usize = 16;
const REQUEST: usize = HEADER + 60;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const FOUR: u8 = 2;
const SIX: u8 = 10;
const PATIENCE: Duration = Duration::from_secs(2);

/// Shows state (from 1, as the kernel numbers them), local address and port of each socket whose state is in the mask.
///
/// # Errors
/// Those of the socket; `Unsupported` where the kernel does not answer this question.
pub(super) fn each(states: u32, mut show: impl FnMut(u8, IpAddr, u16)) -> io::Result<()> {
    let socket = open()?;
    rustix::io::write(&socket, &request(states))?;
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let length = rustix::io::read(&socket, &mut buffer[..])?;
        let mut rest = buffer.get(..length).unwrap_or_default();
        if rest.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while let Some((kind, body, after)) = message(rest) {
            match kind {
                DONE => return Ok(()),
                ERROR => return Err(io::ErrorKind::Unsupported.into()),
                _ => {
                    if let Some((state, address, port)) = parse(body) {
                        show(state, address, port);
                    }
                }
            }
            rest = after;
        }
    }
}

fn open() -> io::Result<OwnedFd> {
    let protocol = Some(netlink::SOCK_DIAG);
    let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, protocol)?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    Ok(socket)
}

/// A header and inet_diag_req: family, lengths and extensions, a socket's name of 48 bytes, states, and a cursor.
fn request(states: u32) -> [u8; REQUEST] {
    let mut bytes = [0; REQUEST];
    let length = u32::try_from(REQUEST).unwrap_or_default();
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes[4..6].copy_from_slice(&GET_SOCKETS.to_ne_bytes());
    bytes[6..8].copy_from_slice(&DUMP.to_ne_bytes());
    bytes[HEADER] = FOUR;
    bytes[HEADER + 52..HEADER + 56].copy_from_slice(&states.to_ne_bytes());
    bytes
}

/// Kind and body of a message, and what follows it.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?);
    let length = usize::try_from(length).ok().filter(|length| *length >= HEADER)?;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let body = bytes.get(HEADER..length)?;
    Some((kind, body, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

/// inet_diag_msg: family, state, timer, repeats, local and remote port, local address.
fn parse(body: &[u8]) -> Option<(u8, IpAddr, u16)> {
    let &[family, state, _, _, high, low, _, _, ref rest @ ..] = body else { return None };
    let address = match family {
        FOUR => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(rest.get(..4)?).ok()?)),
        SIX => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(rest.get(..16)?).ok()?)),
        _ => return None,
    };
    Some((state, address, u16::from_be_bytes([high, low])))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use proptest::prelude::*;

    use super::*;

    /// LISTEN and ESTABLISHED.
    const MASK: u32 = 1 << 10 | 1 << 1;

    #[test]
    fn sockets_of_this_test_are_found() {
        let four = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = four.local_addr().unwrap().port();
        let peer = std::net::TcpStream::connect(four.local_addr().unwrap()).unwrap();
        let mut found = Vec::new();
        each(MASK, |state, address, port| found.push((state, address, port))).unwrap();
        let own: IpAddr = "127.0.0.1".parse().unwrap();
        assert!(found.contains(&(10, own, port)), "{found:?}");
        assert!(found.contains(&(1, own, peer.local_addr().unwrap().port())));
        if let Ok(six) = TcpListener::bind("[::1]:0") {
            let mut found = Vec::new();
            each(1 << 10, |state, address, port| found.push((state, address, port))).unwrap();
            assert!(found.contains(&(10, "::1".parse().unwrap(), six.local_addr().unwrap().port())));
            assert!(found.iter().all(|(state, ..)| *state == 10), "only the states that were asked for");
        }
    }

    proptest! {
        #[test]
        fn no_answer_stops_it(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut rest = bytes.as_slice();
            while let Some((_, body, after)) = message(rest) {
                parse(body);
                prop_assert!(after.len() < rest.len());
                rest = after;
            }
            parse(&bytes);
        }
    }
}

//! chronyd: asked by its own protocol on loopback, and through `chronyc` where it listens on its socket only.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::Clock;
use crate::measure::root::Root;

const PROGRAM: &[&str] = &["/usr/bin/chronyc"];
/// What `chronyc` asks where nobody answers on the port; others than root and chrony's own user do not even see it.
const SOCKET: &str = "/run/chrony/chronyd.sock";
/// Where chronyd answers everybody of the machine, unless it was told otherwise.
const PORT: u16 = 323;
const PATIENCE: Duration = Duration::from_millis(500);
/// The version of the protocol, since chrony 2.0.
const VERSION: u8 = 6;
const QUESTION: u8 = 1;
const ANSWER: u8 = 2;
/// What the clock follows.
const TRACKING: u16 = 33;
/// The answer to it.
const TRACKED: u16 = 5;
/// The whole answer; the question is as long, so that nobody can make chronyd say more than was said to it.
const LENGTH: usize = 104;

/// Where chrony is installed and its daemon runs. A program started to ask costs twenty times as much as a packet.
pub(super) fn ask(root: &Root) -> Option<Clock> {
    let program = crate::measure::command::find(root, PROGRAM)?;
    let own = if root.is_this_machine() { packet(PORT).ok().flatten() } else { None };
    own.or_else(|| {
        root.path(SOCKET).exists().then(|| super::ask(root, &[program], &["-n", "-c", "tracking"], chronyc))?
    })
}

/// `None` for an answer that is none.
fn packet(port: u16) -> io::Result<Option<Clock>> {
    let end = Instant::now() + PATIENCE;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    // From here on only its packets arrive, and that nobody is there.
    socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    let mut question = [0; LENGTH];
    let number = socket.local_addr()?.port().to_be_bytes();
    for (place, value) in
        [(0, VERSION), (1, QUESTION), (5, TRACKING.to_be_bytes()[1]), (10, number[0]), (11, number[1])]
    {
        if let Some(byte) = question.get_mut(place) {
            *byte = value;
        }
    }
    socket.send(&question)?;
    let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    socket.set_read_timeout(Some(left))?;
    let mut answer = [0; LENGTH];
    let length = socket.recv(&mut answer)?;
    Ok(answer.get(..length).filter(|answer| answer.get(18..20) == Some(&number)).and_then(tracked))
}

/// A header of 28 bytes, then who is followed (its number, address, kind of address), stratum, leap status, a time, the
/// offset, the last offset and its mean, three of the frequency, delay and dispersion of the root, an interval.
fn tracked(bytes: &[u8]) -> Option<Clock> {
    let short = |at: usize| Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    let long = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    let head = (*bytes.first()?, *bytes.get(1)?, short(4)?, short(6)?, short(8)?);
    if head != (VERSION, ANSWER, TRACKING, TRACKED, 0) || bytes.len() < LENGTH {
        return None;
    }
    let address = match short(48)? {
        1 => Ipv4Addr::from(long(32)?).to_string(),
        2 => Ipv6Addr::from(*bytes.get(32..)?.first_chunk::<16>()?).to_string(),
        // A clock of the machine's own says what it is: GPS, PPS.
        _ => String::from_utf8_lossy(bytes.get(28..32)?).chars().filter(char::is_ascii_alphanumeric).collect(),
    };
    let (stratum, leap) = (short(52)?, short(54)?);
    let (offset, delay, dispersion) = (real(long(68)?), real(long(92)?), real(long(96)?));
    Some(clock(&address, u64::from(stratum), leap != 3, offset, delay / 2.0 + dispersion))
}

/// Seven bits of exponent and 25 of the fraction, both with their sign.
fn real(bits: u32) -> f64 {
    let signed = bits.cast_signed();
    let (exponent, fraction) = (signed >> 25, (signed << 7) >> 7);
    f64::from(fraction) * f64::from(exponent - 25).exp2()
}

fn clock(address: &str, stratum: u64, leap: bool, offset: f64, error: f64) -> Clock {
    let synchronized = stratum > 0 && leap;
    Clock {
        synchronized,
        offset: Some(offset.abs()).filter(|offset| offset.is_finite() && synchronized),
        error: Some(error + offset.abs()),
        stratum: Some(stratum),
        source: if address.is_empty() { "chrony".to_owned() } else { format!("chrony, {address}") },
    }
}

/// `C0A80001,192.168.0.1,3,1795000000.1,-0.000012,...,Normal`: as above.
pub(super) fn chronyc(text: &str) -> Option<Clock> {
    let fields: Vec<&str> = text.trim().split(',').collect();
    let &[_, address, stratum, _, offset, ref rest @ .., leap] = fields.as_slice() else { return None };
    let real = |text: &str| text.parse::<f64>().ok();
    let (delay, dispersion) = (real(rest.get(5)?)?, real(rest.get(6)?)?);
    let synchronized = leap != "Not synchronised";
    Some(clock(address, stratum.parse().ok()?, synchronized, real(offset)?, delay / 2.0 + dispersion))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn chronyc_that_follows_and_that_does_not() {
        // chrony 4.3.
        let text = "A9FEA97B,169.254.169.123,4,1700000000.123456789,-0.000012345,0.000001,0.00002,1.5,0.0,0.01,0.0003,\
                    0.0002,64.2,Normal\n";
        let clock = chronyc(text).unwrap();
        assert_eq!((clock.synchronized, clock.offset, clock.stratum), (true, Some(0.000_012_345), Some(4)));
        assert_eq!(clock.source, "chrony, 169.254.169.123");
        // Half of 0.0003, 0.0002 and the offset.
        assert!((clock.error.unwrap() - 0.000_362_345).abs() < 1e-12, "{clock:?}");
        let lost = chronyc("7F7F0101,,0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised\n").unwrap();
        assert_eq!((lost.synchronized, lost.offset), (false, None));
        assert_eq!(chronyc("506 Cannot talk to daemon\n"), None);
    }

    /// 1, -2, a quarter, the smallest step below one.
    #[test]
    fn numbers_of_the_protocol() {
        let bits = |exponent: i32, fraction: i32| ((exponent << 25) | (fraction & 0x1ff_ffff)).cast_unsigned();
        let found = [bits(2, 1 << 23), bits(3, -(1 << 23)), bits(0, 1 << 23), bits(1, (1 << 24) - 1), 0].map(real);
        assert_eq!(found, [1.0, -2.0, 0.25, 1.0 - 1.0 / 16_777_216.0, 0.0]);
        assert!(real(bits(-64, -(1 << 24))).is_finite() && real(u32::MAX).is_finite());
    }

    #[test]
    fn nobody_there_is_known_at_once() {
        let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        assert_eq!(packet(port).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    proptest! {
        #[test]
        fn any_packet_is_a_clock_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = tracked(&bytes);
            let mut near = [0; LENGTH];
            near.iter_mut().zip(&bytes).for_each(|(near, byte)| *near = *byte);
            near[..10].copy_from_slice(&[VERSION, ANSWER, 0, 0, 0, 33, 0, 5, 0, 0]);
            prop_assert!(tracked(&near).is_some());
        }

        #[test]
        fn any_line_is_a_clock_or_none(text in ".{0,200}") {
            let _ = chronyc(&text);
        }
    }
}

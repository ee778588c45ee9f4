//! A connection to a service that speaks TLS where the order wants it.

use std::io::{self, Read, Write};

use super::link::{Link, Place};
use super::tls::{Greeted, Pin, greet};
use super::{Occasion, Trouble};

/// Whatever a protocol is spoken over.
pub(super) trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

/// A connection, in clear or not.
pub(super) type Line = Box<dyn Wire>;

/// Connects; where `tls=` or `fingerprint=` wants it and it is no unix socket, `ask` may say before the handshake that TLS
/// follows.
pub(super) fn open(
    at: &Occasion,
    place: &Place,
    ask: impl FnOnce(&mut Link) -> io::Result<bool>,
) -> Result<Line, Trouble> {
    let mut link = Link::open(place, at.until, at.root)?;
    let pin = Pin::of(at)?;
    let wanted = pin.is_some() || at.order.attribute("tls") == Some("true");
    if !wanted || matches!(place, Place::Unix(_)) {
        return Ok(Box::new(link));
    }
    let said = |error: io::Error| Trouble::line(&place.shown(), &error);
    if !ask(&mut link).map_err(said)? {
        let text = format!("{}: offers no TLS, and in clear nothing is said; switch it on there", place.shown());
        return Err(Trouble::denied(text));
    }
    match greet(link, &place.name(), pin.as_ref()).map_err(said)? {
        Greeted::Open(tls, _) => Ok(tls),
        Greeted::Older(_) => {
            let text = format!("{}: speaks TLS 1.2 or older only, which this probe does not", place.shown());
            Err(Trouble::unsupported(text))
        }
    }
}

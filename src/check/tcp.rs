//! `tcp`: connects; may say something and wait for an answer.

use std::io::{Read, Write};
use std::time::Instant;

use super::answer::{excerpt, gather, position, unescaped};
use super::link::{Link, Place};
use super::{Check, Found, Occasion, Trouble};

/// A banner is short.
const MAX_ANSWER: usize = 64 * 1024;

pub(super) struct Tcp;

impl Check for Tcp {
    fn kind(&self) -> &'static str {
        "tcp"
    }

    fn look(&self, at: &Occasion, found: &mut Found) -> Result<(), Trouble> {
        let place = Place::of(at)?;
        let begin = Instant::now();
        let mut link = Link::open(&place, at.until, at.root)?;
        found.seconds("tcp.connect", link.connect.as_secs_f64());
        converse(&mut link, at.order.attribute("send"), at.order.attribute("expect"), &place.shown())?;
        found.seconds("tcp.latency", begin.elapsed().as_secs_f64());
        Ok(())
    }
}

fn converse(
    link: &mut (impl Read + Write),
    send: Option<&str>,
    expect: Option<&str>,
    place: &str,
) -> Result<(), Trouble> {
    if let Some(send) = send {
        link.write_all(&unescaped(send)).map_err(|error| Trouble::line(place, &error))?;
    }
    let Some(expect) = expect else { return Ok(()) };
    let wanted = unescaped(expect);
    let told = gather(link, MAX_ANSWER, |bytes| position(bytes, &wanted).is_some());
    let told = told.map_err(|error| Trouble::line(place, &error))?;
    if position(&told, &wanted).is_none() {
        return Err(Trouble::wrong(format!("{place}: answered \"{}\", not \"{expect}\"", excerpt(&told))));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::answer::Scripted;

    #[test]
    fn says_and_expects() {
        let peer = Scripted::new;
        let mut smtp = peer(b"220 mail ready\r\n250 ok\r\n");
        assert_eq!(converse(&mut smtp, Some(r"EHLO x\r\n"), Some("250 "), "p"), Ok(()));
        assert_eq!(smtp.said(), "EHLO x\r\n");
        let wrong = converse(&mut peer(b"554 go away\x1b\r\n"), None, Some("220 "), "p").unwrap_err();
        let Trouble::Bad(_, text) = wrong else { panic!("{wrong:?}") };
        assert_eq!(text, "p: answered \"554 go away\", not \"220 \"");
        assert!(converse(&mut peer(b""), None, Some("x"), "p").is_err());
    }
}

//! `http`: one question over HTTP/1.1, its time by phase, what it answered. Redirects are not followed: they are answers.

use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::answer::{excerpt, gather, position};
use super::certificate::der;
use super::link::{Link, Place};
use super::tls::{self, Greeted};
use super::{Check, Found, Occasion, Trouble};

/// The most bytes of a status line and its headers.
const MAX_HEAD: usize = 32 * 1024;
/// The most bytes of a page that is searched for a text.
const MAX_PAGE: usize = 1 << 20;

pub(super) struct Http;

impl Check for Http {
    fn kind(&self) -> &'static str {
        "http"
    }

    fn look(&self, at: &Occasion, found: &mut Found) -> Result<(), Trouble> {
        let method = at.order.attribute("method").unwrap_or("GET");
        let page = fetch(at, at.needed("url")?, method, MAX_PAGE)?;
        found.seconds("http.latency.dns", page.dns.as_secs_f64());
        found.seconds("http.latency.connect", page.connect.as_secs_f64());
        if let Some(tls) = page.tls {
            found.seconds("http.latency.tls", tls.as_secs_f64());
        }
        let certificate = page.certificate(at.now, found);
        let answer = page.answer()?;
        found.seconds("http.latency", page.total.as_secs_f64());
        found.seconds("http.latency.first-byte", page.first.as_secs_f64());
        found.whole("http.status", u64::from(answer.status));
        found.whole("http.size", answer.body.len() as u64);
        certificate?;
        judge(answer, at.order.attribute("expect"), at.order.attribute("contains"))
    }
}

fn judge(page: &Answer, expect: Option<&str>, contains: Option<&str>) -> Result<(), Trouble> {
    let expect = expect.unwrap_or("200-399");
    if !expected(page.status, expect) {
        let said = excerpt(&page.body);
        let said = if said.is_empty() { said } else { format!(": \"{said}\"") };
        return Err(Trouble::wrong(format!("status {}, not {expect}{said}", page.status)));
    }
    match contains {
        Some(text) if position(&page.body, text.as_bytes()).is_none() => {
            let cut = if page.cut { " in its first MiB" } else { "" };
            Err(Trouble::wrong(format!("status {}, but the page holds no \"{text}\"{cut}", page.status)))
        }
        _ => Ok(()),
    }
}

/// Whether a status is one of `200 204 300-399`.
fn expected(status: u16, expect: &str) -> bool {
    expect.split_ascii_whitespace().any(|word| {
        let (low, high) = word.split_once('-').unwrap_or((word, word));
        matches!((low.parse::<u16>(), high.parse::<u16>()), (Ok(low), Ok(high)) if (low..=high).contains(&status))
    })
}

/// What came back, and how long each phase took.
pub(super) struct Page {
    /// `None` where the server only showed its certificate.
    answer: Option<Answer>,
    dns: Duration,
    connect: Duration,
    tls: Option<Duration>,
    /// When the certificate ends, in seconds since 1970.
    certificate: Option<i64>,
    /// From the question to the first byte of the answer.
    first: Duration,
    total: Duration,
}

impl Page {
    /// The answer; that there is none is the probe's shortcoming, not the server's.
    pub fn answer(&self) -> Result<&Answer, Trouble> {
        let why = "the server speaks TLS 1.2 or older only: its certificate was read, and nothing asked";
        self.answer.as_ref().ok_or_else(|| Trouble::unsupported(why))
    }

    /// The time that is left to the certificate; one that is over is a trouble.
    #[allow(clippy::cast_precision_loss, reason = "seconds until a certificate ends")]
    pub fn certificate(&self, now: i64, found: &mut Found) -> Result<(), Trouble> {
        let Some(end) = self.certificate else { return Ok(()) };
        found.put("http.certificate.left", end.saturating_sub(now).max(0) as f64);
        if end < now {
            return Err(Trouble::wrong(format!("the certificate ended at {}", der::shown(end))));
        }
        Ok(())
    }
}

/// A URL in its parts.
#[derive(Debug, PartialEq, Eq)]
struct Url<'a> {
    secure: bool,
    /// Host and port as typed.
    authority: &'a str,
    /// Path and query.
    path: &'a str,
}

impl<'a> Url<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (secure, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return None,
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        // A line break would let a configuration write headers of its own by accident.
        let sound = !authority.is_empty() && text.bytes().all(|b| (0x21..0x7f).contains(&b));
        sound.then_some(Self { secure, authority, path })
    }

    fn request(&self, method: &str) -> String {
        let slash = if self.path.starts_with('/') { "" } else { "/" };
        format!(
            "{method} {slash}{} HTTP/1.1\r\nHost: {}\r\nUser-Agent: fleet-probe/{}\r\nAccept: */*\r\nConnection: close\r\n\r\n",
            self.path,
            self.authority,
            env!("CARGO_PKG_VERSION")
        )
    }
}

/// Asks for a page over TCP, or over the unix socket of `socket=`.
pub(super) fn fetch(at: &Occasion, url: &str, method: &str, limit: usize) -> Result<Page, Trouble> {
    let Some(parts) = Url::parse(url) else { return Err(Trouble::unsupported(format!("\"{url}\" is no URL"))) };
    let place = match at.order.attribute("socket") {
        Some(path) => Place::Unix(PathBuf::from(path)),
        None => Place::parse(parts.authority, Some(if parts.secure { 443 } else { 80 }))?,
    };
    let begin = Instant::now();
    let mut link = Link::open(&place, at.until, at.root)?;
    let (dns, connect) = (link.dns, link.connect);
    let said = |error: io::Error| Trouble::line(&place.shown(), &error);
    let (request, head_only) = (parts.request(method), method == "HEAD");
    let greeting = Instant::now();
    let (answer, asked, certificate) = if parts.secure {
        let name = Place::parse(parts.authority, Some(443))?.name();
        match tls::greet(link, &name, tls::Pin::of(at)?.as_ref()).map_err(said)? {
            Greeted::Open(mut tls, certificate) => {
                let asked = Instant::now();
                (Some(exchange(&mut *tls, &request, head_only, limit).map_err(said)?), asked, certificate)
            }
            Greeted::Older(certificate) => (None, Instant::now(), certificate),
        }
    } else {
        (Some(exchange(&mut link, &request, head_only, limit).map_err(said)?), greeting, None)
    };
    let certificate = certificate.as_deref().and_then(der::ends);
    let tls = parts.secure.then(|| asked - greeting);
    let first = answer.as_ref().map_or(Duration::ZERO, |answer| answer.first - asked);
    Ok(Page { answer, dns, connect, tls, certificate, first, total: begin.elapsed() })
}

/// What the server said.
pub(super) struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// Whether the page was longer than what is kept.
    pub cut: bool,
    first: Instant,
}

fn exchange(link: &mut (impl Read + Write), request: &str, head_only: bool, limit: usize) -> io::Result<Answer> {
    link.write_all(request.as_bytes())?;
    link.flush()?;
    let mut first = None;
    let mut start = gather(link, MAX_HEAD, |bytes| {
        if !bytes.is_empty() {
            first.get_or_insert_with(Instant::now);
        }
        position(bytes, b"\r\n\r\n").is_some()
    })?;
    let bad = |text: &str| io::Error::new(ErrorKind::InvalidData, text.to_owned());
    let end = position(&start, b"\r\n\r\n").ok_or_else(|| match start.is_empty() {
        true => io::Error::from(ErrorKind::UnexpectedEof),
        false => bad("the answer is no HTTP"),
    })?;
    let rest = start.split_off(end + 4);
    let head = Head::parse(&start).ok_or_else(|| bad("the answer is no HTTP"))?;
    let first = first.unwrap_or_else(Instant::now);
    let (body, cut) = if head_only || matches!(head.status, 100..=199 | 204 | 304) {
        (Vec::new(), false)
    } else if head.chunked {
        let raw = read_on(link, rest, limit.saturating_mul(2), |bytes| position(bytes, b"\r\n0\r\n").is_some())?;
        unchunk(&raw, limit).ok_or_else(|| bad("a chunk of the page is damaged"))?
    } else {
        let most = head.length.unwrap_or(usize::MAX).min(limit);
        let mut body = read_on(link, rest, most, |_| false)?;
        body.truncate(most);
        if head.length.is_some_and(|length| body.len() < length.min(limit)) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let cut = head.length.is_none_or(|length| length > limit) && body.len() == limit;
        (body, cut)
    };
    Ok(Answer { status: head.status, body, cut, first })
}

/// What follows, behind what was read already.
fn read_on(
    link: &mut impl Read,
    mut begun: Vec<u8>,
    limit: usize,
    enough: impl Fn(&[u8]) -> bool,
) -> io::Result<Vec<u8>> {
    if !enough(&begun) {
        let room = limit.saturating_sub(begun.len());
        // The end mark is short: it is looked for where something new came.
        let rest = gather(link, room, |new| enough(new.get(new.len().saturating_sub(8200)..).unwrap_or(new)))?;
        begun.extend_from_slice(&rest);
    }
    Ok(begun)
}

struct Head {
    status: u16,
    length: Option<usize>,
    chunked: bool,
}

impl Head {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.split("\r\n");
        let mut words = lines.next()?.split(' ');
        words.next().filter(|version| version.starts_with("HTTP/1."))?;
        let status = words.next()?.parse().ok().filter(|status| (100..600).contains(status))?;
        let (mut length, mut chunked) = (None, false);
        for line in lines {
            let Some((name, value)) = line.split_once(':') else { continue };
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse().ok()?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                chunked = value.to_ascii_lowercase().contains("chunked");
            }
        }
        Some(Self { status, length, chunked })
    }
}

/// The page without its chunks, and whether it was cut.
fn unchunk(mut raw: &[u8], limit: usize) -> Option<(Vec<u8>, bool)> {
    let mut body = Vec::new();
    loop {
        let end = position(raw, b"\r\n")?;
        let size = std::str::from_utf8(raw.get(..end)?).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some((body, false));
        }
        raw = raw.get(end + 2..)?;
        let have = &raw[..size.min(raw.len())];
        body.extend_from_slice(&have[..have.len().min(limit - body.len())]);
        if body.len() == limit || raw.len() < size.checked_add(2)? {
            return (body.len() == limit).then_some((body, true));
        }
        raw = &raw[size + 2..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::answer::Scripted;

    fn asked(text: &[u8], limit: usize) -> io::Result<Answer> {
        exchange(&mut Scripted::new(text), "GET / HTTP/1.1\r\n\r\n", false, limit)
    }

    fn body(text: &str) -> Vec<u8> {
        asked(text.as_bytes(), 100).unwrap().body
    }

    #[test]
    fn urls() {
        let url = Url::parse("https://shop.lan:8443/a/b?c=d#e").unwrap();
        assert_eq!(url, Url { secure: true, authority: "shop.lan:8443", path: "/a/b?c=d" });
        assert!(Url::parse("http://x?y").unwrap().request("GET").starts_with("GET /?y HTTP/1.1\r\nHost: x\r\n"));
        for bad in ["ftp://x", "http://", "http://x/\r\nEvil: 1", "http:///x"] {
            assert!(Url::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn bodies_by_length_by_chunks_and_by_the_end() {
        assert_eq!(body("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokXX"), b"ok");
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n3\r\n ok\r\n0\r\n\r\n";
        assert_eq!(body(chunked), b"ok ok");
        assert_eq!(body("HTTP/1.0 200 OK\r\n\r\nall of it"), b"all of it");
        assert_eq!(body("HTTP/1.1 204 No Content\r\n\r\n"), b"");
        let long = asked(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(500)).as_bytes(), 100).unwrap();
        assert_eq!((long.body.len(), long.cut), (100, true));
        let fat =
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1f4\r\n{}\r\n0\r\n\r\n", "x".repeat(500));
        let fat = asked(fat.as_bytes(), 100).unwrap();
        assert_eq!((fat.body.len(), fat.cut), (100, true));
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let huge = "ffffffffffffffff";
        for bad in [
            "",
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/1.1 999 No\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            &format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{huge}\r\nx\r\n0\r\n"),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ] {
            assert!(asked(bad.as_bytes(), 100).is_err(), "{bad}");
        }
        assert!(asked(&vec![b'x'; 100_000], 100).is_err());
    }

    #[test]
    fn the_status_and_the_text_are_judged() {
        let page = |status, body: &str| Answer { status, body: body.into(), cut: false, first: Instant::now() };
        assert!(judge(&page(302, ""), None, None).is_ok() && judge(&page(404, ""), None, None).is_err());
        assert!(judge(&page(404, ""), Some("404 410-420"), None).is_ok());
        assert!(judge(&page(200, "all ok"), None, Some("ok")).is_ok());
        assert!(judge(&page(200, "down"), None, Some("ok")).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_an_error(bytes: Vec<u8>, text in "(HTTP/1.1 200 OK\r\n)?[ -~\r\n]{0,60}") {
            let _ = (asked(&bytes, 50), asked(text.as_bytes(), 50), unchunk(&bytes, 50), Url::parse(&text));
        }
    }
}

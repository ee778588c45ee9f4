//! The few lines of HTTP/1.1 that a webhook and a dead-man switch need: one request, the head of its answer.

use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, FixedOffset};

use super::stream::Stream;
use crate::model::clean::clean;

/// No more of an answer is read.
const MOST: usize = 16 * 1024;

/// A url taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Url<'a> {
    tls: bool,
    host: &'a str,
    port: u16,
    /// As it stands in the url, with a port only where one is written.
    place: &'a str,
    path: &'a str,
}

fn parse(url: &str) -> Result<Url<'_>, String> {
    let wrong = || "not an address as https://example.net/path".to_owned();
    let (tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Err(wrong()),
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (place, path) = (rest.get(..end).unwrap_or_default(), rest.get(end..).unwrap_or_default());
    if !url.bytes().all(|b| b.is_ascii_graphic()) || place.contains('@') || url.contains('#') {
        return Err(wrong());
    }
    let (host, port) = match place.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
        Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
        None => (place, if tls { 443 } else { 80 }),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() { Err(wrong()) } else { Ok(Url { tls, host, port, place, path }) }
}

/// Whether it can be asked for.
///
/// # Errors
/// What is wrong, for people.
pub fn check(url: &str) -> Result<(), String> {
    parse(url).map(|_| ())
}

/// `https://example.net:8443` of a url: what may be shown and stored, for the path may be a secret.
#[must_use]
pub fn origin(url: &str) -> String {
    parse(url).map_or_else(|_| String::new(), |it| format!("http{}://{}", if it.tls { "s" } else { "" }, it.place))
}

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// 200 to 999.
    pub code: u16,
    /// The first line, cleaned.
    pub line: String,
    /// What the server asks for before the next try. A date counts from the answer's own `Date`, so that no clock of ours
    /// has to be right; without that it says nothing.
    pub retry_after: Option<Duration>,
}

/// A request without an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Lost {
    /// Whether the server may have taken it.
    pub maybe: bool,
    /// Why, for people; without the path.
    pub text: String,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Where.
    pub url: &'a str,
    /// Lines of the head, `Name: value`; their values must hold no line ends.
    pub headers: &'a [String],
    /// Posted where there is one.
    pub body: Option<&'a [u8]>,
    /// A PEM file of certificates to trust besides the system's.
    pub authorities: Option<&'a Path>,
    /// For connecting and TLS together, and again for request and answer.
    pub timeout: Duration,
}

/// Asks for a url and wants a 2xx answer. The path is kept out of errors: of a dead-man switch it is the secret.
///
/// # Errors
/// What happened, for people.
pub fn get(url: &str, timeout: Duration) -> Result<(), String> {
    let answer =
        ask(&Request { url, headers: &[], body: None, authorities: None, timeout }).map_err(|lost| lost.text)?;
    match answer.code {
        200..300 => Ok(()),
        _ => Err(format!("{} answered \"{}\", wanted is 200", origin(url), answer.line)),
    }
}

/// One request on a line of its own. Redirects are not followed.
///
/// # Errors
/// [`Lost`], where there is no answer.
pub fn ask(request: &Request<'_>) -> Result<Answer, Lost> {
    let it = parse(request.url).map_err(|text| Lost { maybe: false, text })?;
    let lost = |maybe| move |text: String| Lost { maybe, text: format!("{}:{}: {}", it.host, it.port, clean(&text)) };
    let mut stream = line(&it, request.authorities, request.timeout).map_err(|text| Lost { maybe: false, text })?;
    stream.allow(request.timeout);
    let (path, slash) = (it.path, if it.path.starts_with('/') { "" } else { "/" });
    let method = if request.body.is_some() { "POST" } else { "GET" };
    let mut bytes = format!("{method} {slash}{path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: fleet-health\r\n", it.place);
    for header in request.headers.iter().filter(|header| !header.contains(['\r', '\n'])) {
        bytes.push_str(&format!("{header}\r\n"));
    }
    if let Some(body) = request.body {
        bytes.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    }
    bytes.push_str("Connection: close\r\n\r\n");
    let mut bytes = bytes.into_bytes();
    bytes.extend(request.body.unwrap_or_default());
    // A server that refuses early may hang up before it has read all, and still say why.
    let written = stream.write_all(&bytes).and_then(|()| stream.flush());
    match (head(&mut stream), written) {
        (Ok(answer), _) => Ok(answer),
        (Err(_), Err(error)) => Err(lost(false)(error.to_string())),
        (Err(text), Ok(())) => Err(lost(true)(text)),
    }
}

/// A line to where a url leads, with TLS where it says so; nothing is asked.
///
/// # Errors
/// For people; without the path.
pub fn connect(url: &str, authorities: Option<&Path>, timeout: Duration) -> Result<(), String> {
    line(&parse(url)?, authorities, timeout).map(drop)
}

fn line(it: &Url<'_>, authorities: Option<&Path>, timeout: Duration) -> Result<Stream, String> {
    let lost = |text: String| format!("{}:{}: {}", it.host, it.port, clean(&text));
    let stream = Stream::connect(it.host, it.port, timeout).map_err(|error| lost(error.to_string()))?;
    if it.tls { stream.secure(it.host, authorities).map_err(lost) } else { Ok(stream) }
}

/// Reads until the head is whole; what a server says while it still thinks (1xx) is passed over.
fn head(stream: &mut impl Read) -> Result<Answer, String> {
    let mut heard: Vec<u8> = Vec::new();
    loop {
        if let Some(end) = heard.windows(4).position(|four| four == b"\r\n\r\n") {
            let head: Vec<u8> = heard.drain(..end + 4).collect();
            match answer(&String::from_utf8_lossy(&head))? {
                Answer { code: 100..200, .. } => continue,
                answer => return Ok(answer),
            }
        }
        if heard.len() > MOST {
            return Err("the answer's head has no end".to_owned());
        }
        let mut chunk = [0; 1024];
        match stream.read(&mut chunk) {
            Ok(0) => return Err("the server hung up without an answer".to_owned()),
            Ok(count) => heard.extend(chunk.iter().take(count)),
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn answer(head: &str) -> Result<Answer, String> {
    let line = clean(head.lines().next().unwrap_or_default());
    let code = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|code| code.parse().ok());
    let Some(code) = code.filter(|code| (100..1000).contains(code)) else {
        return Err(format!("answers what is no HTTP: \"{line}\""));
    };
    let value = |wanted: &str| {
        let values = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        values.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim()).next()
    };
    let retry_after = value("retry-after").and_then(|after| match after.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => (date(after)? - date(value("date")?)?).to_std().ok(),
    });
    Ok(Answer { code, line, retry_after })
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn date(text: &str) -> Option<DateTime<FixedOffset>> {
    DateTime::parse_from_rfc2822(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_or_refused() {
        let url = |tls, host, port, place, path| Ok(Url { tls, host, port, place, path });
        let long = parse("https://hc.example.net/ping/x?y");
        assert_eq!(long, url(true, "hc.example.net", 443, "hc.example.net", "/ping/x?y"));
        assert_eq!(parse("http://[::1]:8080"), url(false, "::1", 8080, "[::1]:8080", ""));
        assert_eq!(parse("http://[::1]/a"), url(false, "::1", 80, "[::1]", "/a"));
        for bad in
            ["", "ftp://x/", "https://", "https://a b/", "https://user@x/", "http://x:99999/", "http://x/\r\nA: b"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(origin("https://chat.example.net:8443/hook/secret"), "https://chat.example.net:8443");
    }

    #[test]
    fn heads_are_read_or_refused() {
        let read = |bytes: &str| head(&mut bytes.as_bytes());
        let busy = read("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Slow\r\nretry-AFTER: 90\r\n\r\nbody").unwrap();
        assert_eq!((busy.code, busy.retry_after), (429, Some(Duration::from_secs(90))));
        assert_eq!(read("HTTP/1.0 204 No\r\nRetry-After: Fri, 31 Dec\r\n\r\n").unwrap().retry_after, None);
        let after = |date: &str, after: &str| {
            read(&format!("HTTP/1.1 503 No\r\n{date}Retry-After: {after}\r\n\r\n")).unwrap().retry_after
        };
        let (date, later) = ("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "Sun, 06 Nov 1994 08:51:07 GMT");
        assert_eq!(after(date, later), Some(Duration::from_secs(90)));
        assert_eq!(after("", later), None, "our clock may be any time off");
        assert_eq!(after(date, "Sun, 06 Nov 1994 08:49:00 GMT"), None, "over already");
        for bad in ["", "hello", "HTTP/1.1 200 OK\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "SSH-2.0\r\n\r\n"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(read(&"x".repeat(20_000)).unwrap_err().contains("no end"));
    }

    #[test]
    fn an_answer_counts_only_when_it_is_good() {
        for (answer, good) in [("HTTP/1.1 204 No\r\n\r\n", true), ("HTTP/1.1 404 No\r\n\r\n", false), ("hello", false)]
        {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = [0; 1000];
                let count = stream.read(&mut asked).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                String::from_utf8_lossy(&asked[..count]).into_owned()
            });
            let result = get(&format!("http://127.0.0.1:{port}/secret"), Duration::from_secs(5));
            assert_eq!(result.is_ok(), good, "{result:?}");
            assert!(result.err().is_none_or(|text| !text.contains("secret")));
            let asked = server.join().unwrap();
            assert!(asked.starts_with(&format!("GET /secret HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n")), "{asked}");
        }
        assert!(get("http://127.0.0.1:1/", Duration::from_secs(1)).is_err());
    }
}

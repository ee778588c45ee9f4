//! The few lines of HTTP/1.1 that a dead-man switch needs, over TLS with the system's certificates.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::model::clean::clean;

/// The answer's first line is all that is read.
const MOST: u64 = 4096;

/// A url taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Url<'a> {
    tls: bool,
    host: &'a str,
    port: u16,
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
    if !url.bytes().all(|b| b.is_ascii_graphic()) || place.contains('@') {
        return Err(wrong());
    }
    let (host, port) = match place.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
        Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
        None => (place, if tls { 443 } else { 80 }),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() { Err(wrong()) } else { Ok(Url { tls, host, port, path }) }
}

/// Whether [`get`] can ask for it.
///
/// # Errors
/// What is wrong, for people.
pub fn check(url: &str) -> Result<(), String> {
    parse(url).map(|_| ())
}

/// Asks for a url and wants a 2xx answer; each step may take `timeout`. The path is kept out of errors: of a dead-man
/// switch it is the secret.
///
/// # Errors
/// What happened, for people.
pub fn get(url: &str, timeout: Duration) -> Result<(), String> {
    let it = parse(url)?;
    let failed = |text: String| format!("{}:{}: {}", it.host, it.port, clean(&text));
    let addresses = (it.host, it.port).to_socket_addrs().map_err(|error| failed(error.to_string()))?;
    let mut last = "the name has no address".to_owned();
    let mut stream = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(open) => {
                stream = Some(open);
                break;
            }
            Err(error) => last = error.to_string(),
        }
    }
    let stream = stream.ok_or_else(|| failed(last))?;
    for set in [TcpStream::set_read_timeout, TcpStream::set_write_timeout] {
        set(&stream, Some(timeout)).map_err(|error| failed(error.to_string()))?;
    }
    let path = if it.path.starts_with('/') { it.path.to_owned() } else { format!("/{}", it.path) };
    let ask =
        format!("GET {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: fleet-health\r\nConnection: close\r\n\r\n", it.host);
    let answer = if it.tls { exchange(secure(stream, it.host).map_err(failed)?, &ask) } else { exchange(stream, &ask) };
    let answer = answer.map_err(|error| failed(error.to_string()))?;
    let first = answer.lines().next().unwrap_or_default();
    match first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..3)) {
        Some("2") => Ok(()),
        _ => Err(failed(format!("answered \"{first}\", wanted is 200"))),
    }
}

fn secure(stream: TcpStream, host: &str) -> Result<StreamOwned<ClientConnection, TcpStream>, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let tls = ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
    Ok(StreamOwned::new(tls, stream))
}

/// Reads until the first line is whole.
fn exchange(mut stream: impl Read + Write, ask: &str) -> std::io::Result<String> {
    stream.write_all(ask.as_bytes())?;
    stream.flush()?;
    let mut answer = Vec::new();
    let mut chunk = [0; 256];
    while !answer.contains(&b'\n') && (answer.len() as u64) < MOST {
        match stream.read(&mut chunk)? {
            0 => break,
            count => answer.extend(chunk.iter().take(count)),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_or_refused() {
        let url = |tls, host, port, path| Ok(Url { tls, host, port, path });
        assert_eq!(parse("https://hc.example.net/ping/x?y"), url(true, "hc.example.net", 443, "/ping/x?y"));
        assert_eq!(parse("http://[::1]:8080"), url(false, "::1", 8080, ""));
        assert_eq!(parse("http://[::1]/a"), url(false, "::1", 80, "/a"));
        for bad in
            ["", "ftp://x/", "https://", "https://a b/", "https://user@x/", "http://x:99999/", "http://x/\r\nA: b"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
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
            assert!(server.join().unwrap().starts_with("GET /secret HTTP/1.1\r\nHost: 127.0.0.1\r\n"));
        }
        assert!(get("http://127.0.0.1:1/", Duration::from_secs(1)).is_err());
    }
}

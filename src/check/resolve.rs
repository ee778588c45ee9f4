//! Names to addresses without libc's resolver, which a static program cannot rely on: literal addresses, `/etc/hosts`,
//! then the name servers of `/etc/resolv.conf` over UDP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use super::answer::small_file;
use super::found::Trouble;
use crate::model::sample::FaultKind;

/// The usual patience with one name server.
const PATIENCE: Duration = Duration::from_millis(1500);
const MAX_ADDRESSES: usize = 8;

/// The addresses of a name, at least one.
pub(super) fn addresses(host: &str, until: Instant, root: &Path) -> Result<Vec<IpAddr>, Trouble> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let mut found = in_hosts(&text(root, "etc/hosts"), host);
    if found.is_empty() && (host.eq_ignore_ascii_case("localhost") || host.ends_with(".localhost")) {
        found = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    if found.is_empty() {
        found = ask(&text(root, "etc/resolv.conf"), host, until);
    }
    found.truncate(MAX_ADDRESSES);
    if found.is_empty() {
        return Err(Trouble::Unknown(FaultKind::Absent, format!("{host}: no address is known for this name")));
    }
    Ok(found)
}

fn text(root: &Path, name: &str) -> String {
    String::from_utf8_lossy(&small_file(&root.join(name))).into_owned()
}

fn in_hosts(hosts: &str, name: &str) -> Vec<IpAddr> {
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    let mut found = Vec::new();
    for line in lines {
        let mut words = line.split_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse) else { continue };
        if words.any(|word| word.eq_ignore_ascii_case(name)) {
            found.push(address);
        }
    }
    found
}

/// Name servers and the domains to try behind a name without dots.
fn servers(conf: &str) -> (Vec<IpAddr>, Vec<String>) {
    let (mut servers, mut search) = (Vec::new(), Vec::new());
    for line in conf.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => servers.extend(words.next().and_then(|word| word.parse::<IpAddr>().ok())),
            Some("search" | "domain") => search = words.map(str::to_owned).take(6).collect(),
            _ => {}
        }
    }
    servers.truncate(3);
    (servers, search)
}

fn ask(conf: &str, host: &str, until: Instant) -> Vec<IpAddr> {
    let (servers, search) = servers(conf);
    let mut names = vec![host.to_owned()];
    if host.contains('.') || host.ends_with('.') {
        names.truncate(1);
    } else {
        names = search.iter().map(|domain| format!("{host}.{domain}")).chain(names).collect();
    }
    for name in &names {
        for server in &servers {
            let found: Vec<IpAddr> =
                [1, 28].into_iter().filter_map(|kind| exchange(*server, name, kind, until)).flatten().collect();
            if !found.is_empty() {
                return found;
            }
        }
    }
    Vec::new()
}

/// One question over UDP; the answer must carry its number.
fn exchange(server: IpAddr, name: &str, kind: u16, until: Instant) -> Option<Vec<IpAddr>> {
    let mut id = [0; 2];
    getrandom::fill(&mut id).ok()?;
    let question = question(id, name, kind)?;
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    socket.connect(SocketAddr::new(server, 53)).ok()?;
    let left = until.saturating_duration_since(Instant::now()).min(PATIENCE);
    socket.set_read_timeout(Some(left.max(Duration::from_millis(1)))).ok()?;
    socket.send(&question).ok()?;
    let mut buffer = [0; 1500];
    let count = socket.recv(&mut buffer).ok()?;
    answer(buffer.get(..count)?, id, kind)
}

fn question(id: [u8; 2], name: &str, kind: u16) -> Option<Vec<u8>> {
    // One question, recursion desired.
    let mut out = vec![id[0], id[1], 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length))?;
        out.push(length);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&[0, 1]);
    (out.len() < 300).then_some(out)
}

/// The addresses of an answer, whatever names (aliases) stand before them.
fn answer(bytes: &[u8], id: [u8; 2], kind: u16) -> Option<Vec<IpAddr>> {
    let short = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    if bytes.get(..2)? != id || bytes.get(2)? & 0x80 == 0 || bytes.get(3)? & 0x0f != 0 {
        return None;
    }
    let (questions, answers) = (short(4)?, short(6)?);
    let mut at = 12;
    for _ in 0..questions.min(4) {
        at = past_name(bytes, at)? + 4;
    }
    let mut found = Vec::new();
    for _ in 0..answers.min(64) {
        at = past_name(bytes, at)?;
        let (this, length) = (short(at)?, usize::from(short(at + 8)?));
        let data = bytes.get(at + 10..at + 10 + length)?;
        if this == kind {
            match (kind, data.len()) {
                (1, 4) => found.push(<[u8; 4]>::try_from(data).ok()?.into()),
                (28, 16) => found.push(<[u8; 16]>::try_from(data).ok()?.into()),
                _ => {}
            }
        }
        at += 10 + length;
    }
    Some(found)
}

/// Behind a name: labels up to an empty one or a pointer.
fn past_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_servers() {
        let hosts = "127.0.0.1 localhost\n10.0.0.5\tDB db.lan # cache\n::1 localhost\nbroken db\n";
        assert_eq!(in_hosts(hosts, "db"), ["10.0.0.5".parse::<IpAddr>().unwrap()]);
        assert_eq!(in_hosts(hosts, "localhost").len(), 2);
        assert!(in_hosts(hosts, "cache").is_empty());
        let conf = "# x\nnameserver 10.0.0.1\nnameserver junk\nsearch a.lan b.lan\noptions rotate\n";
        assert_eq!(servers(conf), (vec!["10.0.0.1".parse().unwrap()], vec!["a.lan".into(), "b.lan".into()]));
    }

    #[test]
    fn questions_and_answers() {
        let asked = question([7, 9], "web.lan", 1).unwrap();
        assert!(question([0, 0], "a..b", 1).is_none() && question([0, 0], &"a".repeat(64), 1).is_none());
        let mut told = asked.clone();
        told[2] = 0x81;
        told[7] = 2;
        // An alias, then the address.
        told.extend_from_slice(&[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 1, b'x']);
        told.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 5]);
        assert_eq!(answer(&told, [7, 9], 1), Some(vec![Ipv4Addr::new(10, 0, 0, 5).into()]));
        assert_eq!(answer(&told, [7, 8], 1), None);
        for cut in 0..told.len() {
            let _ = answer(&told[..cut], [7, 9], 1);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_no_panic(bytes: Vec<u8>, text in ".{0,80}") {
            let id = [bytes.first().copied().unwrap_or(0), bytes.get(1).copied().unwrap_or(0)];
            let _ = (answer(&bytes, id, 1), answer(&bytes, id, 28), in_hosts(&text, "a"), servers(&text), question(id, &text, 1));
        }
    }
}

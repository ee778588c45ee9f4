//! Sockets: TCP by state, what was lost on the way, and which ports are served.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::out::Out;
use super::root::Root;
use super::text::{hexadecimal, keyed, lines, whole, words};
use crate::model::sample::FaultKind;

/// More connections than this are not looked at one by one: each line costs the kernel and us time.
const MAX_CONNECTIONS: u64 = 20_000;
/// The most ports that are named.
const MAX_PORTS: usize = 64;
/// The kernel's numbers of the states, from 1.
const STATES: [&str; 12] = [
    "established",
    "syn-sent",
    "syn-received",
    "fin-wait-1",
    "fin-wait-2",
    "time-wait",
    "closed",
    "close-wait",
    "last-ack",
    "listen",
    "closing",
    "new",
];
const ESTABLISHED: usize = 0;
const TIME_WAIT: usize = 5;
const SYN_RECEIVED: usize = 2;
const LISTEN: usize = 9;
const NEW: usize = 11;

pub(super) fn collect(root: &Root, out: &mut Out) {
    let sockstat = read(root, "/proc/net/sockstat", out);
    let snmp = read(root, "/proc/net/snmp", out);
    let netstat = read(root, "/proc/net/netstat", out);
    let six = root.read("/proc/net/snmp6").unwrap_or_default();
    memory(root, &sockstat, out);
    for (metric, text, line, key) in [
        ("tcp.segments.sent", &snmp, "Tcp:", "OutSegs"),
        ("tcp.segments.repeated", &snmp, "Tcp:", "RetransSegs"),
        ("tcp.connects.failed", &snmp, "Tcp:", "AttemptFails"),
        ("tcp.listen.overflows", &netstat, "TcpExt:", "ListenOverflows"),
        ("tcp.listen.drops", &netstat, "TcpExt:", "ListenDrops"),
    ] {
        if let Some(value) = paired(text, line, key) {
            out.whole(metric, "", value);
        }
    }
    for (metric, key) in [
        ("udp.receive.errors", "InErrors"),
        ("udp.receive.overflows", "RcvbufErrors"),
        ("udp.send.overflows", "SndbufErrors"),
    ] {
        if let Some(value) = paired(&snmp, "Udp:", key) {
            let six = lines(&six).find_map(|line| {
                let mut words = words(line);
                let name = words.next()?.strip_prefix(b"Udp6")?;
                (name == key.as_bytes()).then(|| words.next().and_then(whole))?
            });
            out.whole(metric, "", value.saturating_add(six.unwrap_or(0)));
        }
    }
    let in_use = member(&sockstat, "TCP:", "inuse").unwrap_or(0);
    let waiting = member(&sockstat, "TCP:", "tw").unwrap_or(0);
    let established = paired(&snmp, "Tcp:", "CurrEstab");
    if in_use.saturating_add(waiting) > MAX_CONNECTIONS {
        out.fault("", FaultKind::Cut, format!("more than {MAX_CONNECTIONS} TCP sockets: only two states are counted"));
        out.whole("tcp.connections", STATES[ESTABLISHED], established.unwrap_or(0));
        out.whole("tcp.connections", STATES[TIME_WAIT], waiting);
    } else {
        connections(root, out);
    }
}

fn read(root: &Root, path: &str, out: &mut Out) -> Vec<u8> {
    root.read(path).unwrap_or_else(|error| {
        out.unread("", path, &error);
        Vec::new()
    })
}

#[allow(clippy::cast_precision_loss, reason = "pages and sockets are far below 2^53")]
fn memory(root: &Root, sockstat: &[u8], out: &mut Out) {
    let limit = |path: &str, place: usize| {
        let text = root.read_at_most(path, 256).ok()?;
        words(text.trim_ascii()).nth(place).and_then(whole).filter(|limit| *limit > 0)
    };
    if let Some(count) = keyed(sockstat, "sockets").or_else(|| member(sockstat, "sockets:", "used")) {
        out.whole("socket.count", "", count);
    }
    if let Some(orphans) = member(sockstat, "TCP:", "orphan") {
        out.whole("tcp.orphans", "", orphans);
        if let Some(most) = limit("/proc/sys/net/ipv4/tcp_max_orphans", 0) {
            out.share("tcp.orphans.used", "", orphans as f64 / most as f64);
        }
    }
    let pages = member(sockstat, "TCP:", "mem");
    if let Some((pages, most)) = pages.zip(limit("/proc/sys/net/ipv4/tcp_mem", 2)) {
        out.share("tcp.memory.used", "", pages as f64 / most as f64);
    }
}

/// `TCP: inuse 10 orphan 0 tw 10`: the number behind a word of a line.
fn member(text: &[u8], line: &str, key: &str) -> Option<u64> {
    let rest = lines(text).find_map(|candidate| candidate.strip_prefix(line.as_bytes()))?;
    let mut words = words(rest);
    while let Some(word) = words.next() {
        let value = words.next()?;
        if word == key.as_bytes() {
            return whole(value);
        }
    }
    None
}

/// `Tcp: A B` and below it `Tcp: 1 2`: the number below a heading.
fn paired(text: &[u8], line: &str, key: &str) -> Option<u64> {
    let mut rows = lines(text).filter_map(|row| row.strip_prefix(line.as_bytes()));
    while let (Some(heads), Some(values)) = (rows.next(), rows.next()) {
        if let Some(at) = words(heads).position(|head| head == key.as_bytes()) {
            return words(values).nth(at).and_then(whole);
        }
    }
    None
}

fn connections(root: &Root, out: &mut Out) {
    let mut counts = [0_u64; STATES.len()];
    let mut ports: BTreeMap<u16, BTreeSet<IpAddr>> = BTreeMap::new();
    let mut odd = 0_u64;
    let mut read = false;
    for path in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let file = match File::open(root.path(path)) {
            Ok(file) => file,
            // Without IPv6 there is no second list.
            Err(error) => {
                if path == "/proc/net/tcp" {
                    out.unread("", path, &error);
                }
                continue;
            }
        };
        read = true;
        let mut reader = BufReader::with_capacity(32 * 1024, file);
        let mut line = Vec::with_capacity(256);
        // Connections may come while we read; the bound holds all the same.
        for number in 0..=MAX_CONNECTIONS * 2 {
            line.clear();
            match reader.by_ref().take(1024).read_until(b'\n', &mut line) {
                Ok(length) if length > 0 => {}
                _ => break,
            }
            if number == 0 {
                continue;
            }
            match connection(&line) {
                Some((state, address, port)) => {
                    if let Some(count) = counts.get_mut(state) {
                        *count += 1;
                    }
                    if state == LISTEN {
                        ports.entry(port).or_default().insert(address);
                    }
                }
                None => odd += 1,
            }
        }
    }
    if odd > 0 {
        out.malformed("", format!("/proc/net/tcp: {odd} lines not understood"));
    }
    if !read {
        return;
    }
    // A request that waits is one that is received.
    counts[SYN_RECEIVED] += counts[NEW];
    for (name, count) in STATES.iter().zip(counts).take(NEW) {
        out.whole("tcp.connections", name, count);
    }
    let own = |address: &IpAddr| address.is_loopback() || address.to_canonical().is_loopback();
    let exposed = ports.values().filter(|addresses| addresses.iter().any(|address| !own(address))).count();
    out.whole("port.exposed", "", exposed as u64);
    if ports.len() > MAX_PORTS {
        out.fault("", FaultKind::Cut, format!("{} ports are served, {MAX_PORTS} are named", ports.len()));
    }
    for (port, addresses) in ports.iter().take(MAX_PORTS) {
        let addresses: Vec<String> = addresses.iter().take(16).map(IpAddr::to_string).collect();
        out.fact("port.served", &format!("tcp/{port}"), &addresses.join(", "));
    }
}

/// `0: 0100007F:0016 00000000:0000 0A ...`: state, local address and port.
fn connection(line: &[u8]) -> Option<(usize, IpAddr, u16)> {
    let mut words = words(line);
    let local = words.nth(1)?;
    let state = hexadecimal(words.nth(1)?)?;
    let colon = local.iter().position(|&b| b == b':')?;
    let (address, port) = (local.get(..colon)?, local.get(colon + 1..)?);
    let state = usize::try_from(state).ok()?.checked_sub(1).filter(|state| *state < STATES.len())?;
    Some((state, address_of(address)?, u16::try_from(hexadecimal(port)?).ok()?))
}

/// Each group of eight digits is a number as it lies in the memory of the machine.
fn address_of(digits: &[u8]) -> Option<IpAddr> {
    let mut bytes = Vec::with_capacity(16);
    for group in digits.chunks(8) {
        let number = u32::try_from(hexadecimal(group).filter(|_| group.len() == 8)?).ok()?;
        bytes.extend(number.to_ne_bytes());
    }
    if let Ok(four) = <[u8; 4]>::try_from(bytes.as_slice()) {
        return Some(IpAddr::V4(Ipv4Addr::from(four)));
    }
    <[u8; 16]>::try_from(bytes.as_slice()).ok().map(|six| IpAddr::V6(Ipv6Addr::from(six)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn lines_of_the_kernel() {
        let four = b"   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1\n";
        assert_eq!(connection(four), Some((LISTEN, "127.0.0.1".parse().unwrap(), 22)));
        let six = b"   0: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 01 0:0 0 0\n";
        let (state, address, port) = connection(six).unwrap();
        assert_eq!((state, port), (ESTABLISHED, 8080));
        assert!(address.to_canonical().is_loopback());
        for bad in
            [&b""[..], b"0: 0100007F:0016 0:0 00", b"0: 7F:16 0:0 0A", b"0: 0100007F:FFFFF 0:0 0A", b"0: x:y z w"]
        {
            assert_eq!(connection(bad), None);
        }
    }

    #[test]
    fn pairs_and_members() {
        let snmp = b"Ip: Forwarding\nIp: 1\nTcp: RtoMin OutSegs RetransSegs\nTcp: 200 900 7\n";
        assert_eq!((paired(snmp, "Tcp:", "RetransSegs"), paired(snmp, "Tcp:", "X")), (Some(7), None));
        assert_eq!(paired(b"Tcp: A B\nTcp: 1\n", "Tcp:", "B"), None);
        let sockstat = b"sockets: used 47\nTCP: inuse 10 orphan 2 tw 5 alloc 10 mem 160\n";
        assert_eq!((member(sockstat, "TCP:", "orphan"), member(sockstat, "TCP:", "mem")), (Some(2), Some(160)));
        assert_eq!(member(sockstat, "sockets:", "used"), Some(47));
    }

    #[test]
    fn very_many_connections_are_not_looked_at_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let net = folder.path().join("proc/net");
        std::fs::create_dir_all(&net).unwrap();
        std::fs::write(net.join("sockstat"), "TCP: inuse 20000 orphan 0 tw 400 alloc 1 mem 1\n").unwrap();
        std::fs::write(net.join("snmp"), "Tcp: CurrEstab\nTcp: 19000\n").unwrap();
        std::fs::write(net.join("tcp"), "x\n".repeat(50_000)).unwrap();
        let mut out = Out::default();
        collect(&Root::at(folder.path()), &mut out);
        let got = out.into_measured();
        let value = |item: &str| got.readings.iter().find(|r| r.item == item).map(|r| r.value);
        assert_eq!((value("established"), value("time-wait"), value("listen")), (Some(19_000.0), Some(400.0), None));
        assert!(got.faults.iter().any(|fault| fault.kind == FaultKind::Cut));
    }

    proptest! {
        #[test]
        fn no_text_stops_it(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            connection(&bytes);
            paired(&bytes, "", "x");
            member(&bytes, "", "x");
        }
    }
}

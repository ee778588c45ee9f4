//! Sockets: TCP by state, what was lost on the way, and which ports are served.

mod diag;

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
const CLOSE_WAIT: usize = 7;
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
    let counted = Counted {
        in_use: member(&sockstat, "TCP:", "inuse"),
        time_wait: member(&sockstat, "TCP:", "tw"),
        established: paired(&snmp, "Tcp:", "CurrEstab"),
    };
    let mut table = Table::default();
    // The sockets of another machine, made of files, are not ours to ask for.
    let asked = root.is_this_machine() && counted.established.zip(counted.time_wait).is_some();
    if !(asked && by_netlink(&counted, &mut table)) {
        table = Table::default();
        by_files(root, &counted, &mut table, out);
    }
    table.put(out);
}

/// What the kernel counts by itself.
struct Counted {
    in_use: Option<u64>,
    time_wait: Option<u64>,
    /// Those that the other side has closed are among them.
    established: Option<u64>,
}

/// TCP sockets by state, and what is served where.
#[derive(Default)]
struct Table {
    counts: [Option<u64>; STATES.len()],
    ports: BTreeMap<u16, BTreeSet<IpAddr>>,
}

impl Table {
    fn add(&mut self, state: usize, address: IpAddr, port: u16) {
        // A request that waits is one that is received.
        let state = if state == NEW { SYN_RECEIVED } else { state };
        if let Some(count) = self.counts.get_mut(state) {
            *count = Some(count.unwrap_or(0) + 1);
        }
        if state == LISTEN {
            self.ports.entry(port).or_default().insert(address);
        }
    }

    /// States of which no socket was seen have none.
    fn complete(&mut self) {
        self.counts.iter_mut().take(NEW).for_each(|count| *count = count.or(Some(0)));
    }

    fn put(&self, out: &mut Out) {
        for (name, count) in STATES.iter().zip(self.counts) {
            if let Some(count) = count {
                out.whole("tcp.connections", name, count);
            }
        }
        if self.counts[LISTEN].is_none() {
            return;
        }
        let own = |address: &IpAddr| address.is_loopback() || address.to_canonical().is_loopback();
        let exposed = self.ports.values().filter(|addresses| addresses.iter().any(|address| !own(address))).count();
        out.whole("port.exposed", "", exposed as u64);
        if self.ports.len() > MAX_PORTS {
            out.fault("", FaultKind::Cut, format!("{} ports are served, {MAX_PORTS} are named", self.ports.len()));
        }
        for (port, addresses) in self.ports.iter().take(MAX_PORTS) {
            let addresses: Vec<String> = addresses.iter().take(16).map(IpAddr::to_string).collect();
            out.fact("port.served", &format!("tcp/{port}"), &addresses.join(", "));
        }
    }
}

/// All states but the two that may be very many and are counted already; false where the kernel does not answer.
fn by_netlink(counted: &Counted, table: &mut Table) -> bool {
    let all = (1_u32 << (STATES.len() + 1)) - 2;
    let mask = all & !(1 << (ESTABLISHED + 1)) & !(1 << (TIME_WAIT + 1));
    let answered = diag::each(mask, |state, address, port| {
        if let Some(state) = usize::from(state).checked_sub(1) {
            table.add(state, address, port);
        }
    });
    table.complete();
    let half_closed = table.counts[CLOSE_WAIT].unwrap_or(0);
    table.counts[ESTABLISHED] = counted.established.map(|both| both.saturating_sub(half_closed));
    table.counts[TIME_WAIT] = counted.time_wait;
    answered.is_ok()
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

/// Line by line, on kernels that do not answer by netlink.
fn by_files(root: &Root, counted: &Counted, table: &mut Table, out: &mut Out) {
    if counted.in_use.unwrap_or(0).saturating_add(counted.time_wait.unwrap_or(0)) > MAX_CONNECTIONS {
        out.fault("", FaultKind::Cut, format!("more than {MAX_CONNECTIONS} TCP sockets: only two states are counted"));
        table.counts[ESTABLISHED] = counted.established;
        table.counts[TIME_WAIT] = counted.time_wait;
        return;
    }
    let mut odd = 0_u64;
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
        table.complete();
        let mut reader = BufReader::with_capacity(32 * 1024, file);
        let mut line = Vec::with_capacity(256);
        // Connections may come while we read; the bound holds all the same.
        for number in 0..=MAX_CONNECTIONS * 2 {
            line.clear();
            match reader.by_ref().take(1024).read_until(b'\n', &mut line) {
                Ok(length) if length > 0 => {}
                _ => break,
            }
            match connection(&line) {
                _ if number == 0 => {}
                Some((state, address, port)) => table.add(state, address, port),
                None => odd += 1,
            }
        }
    }
    if odd > 0 {
        out.malformed("", format!("/proc/net/tcp: {odd} lines not understood"));
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
    fn netlink_and_files_say_the_same_of_this_machine() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let counted = Counted { in_use: Some(0), time_wait: Some(0), established: Some(0) };
        let (mut quick, mut slow) = (Table::default(), Table::default());
        assert!(by_netlink(&counted, &mut quick), "this kernel has tcp_diag");
        by_files(&Root::default(), &counted, &mut slow, &mut Out::default());
        // Other tests listen too, and come and go.
        assert_eq!(quick.ports.get(&port), slow.ports.get(&port));
        assert!(quick.ports.contains_key(&port) && quick.counts[LISTEN] > Some(0));
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

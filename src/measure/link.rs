//! Links of interfaces, bonds, and the way out.

use super::folder::{self, Folder, shown};
use super::out::Out;
use super::root::Root;
use super::text::{hexadecimal, lines, words};
use crate::model::sample::FaultKind;

/// The most interfaces that are measured.
pub(super) const MAX_INTERFACES: usize = 64;
/// Megabits a second in bytes a second.
const MEGABIT: f64 = 125_000.0;
/// IFF_UP: somebody switched the interface on.
const UP: u64 = 1;
/// RTF_UP, and RTF_REJECT of routes that lead nowhere.
const ROUTE_UP: u64 = 1;
const ROUTE_REJECT: u64 = 0x200;

pub(super) fn collect(root: &Root, out: &mut Out) {
    match Folder::open(root, "/sys/class/net") {
        Ok(net) => links(root, &net, out),
        Err(error) => out.unread("", "/sys/class/net", &error),
    }
    for name in folder::names(root, "/proc/net/bonding").into_iter().take(MAX_INTERFACES) {
        let name = shown(&name);
        match root.read(format!("/proc/net/bonding/{name}")) {
            Ok(text) => bond(&name, &text, out),
            Err(error) => out.unread(&name, &format!("/proc/net/bonding/{name}"), &error),
        }
    }
    let four = root.read("/proc/net/route");
    let six = root.read("/proc/net/ipv6_route");
    match (four, six) {
        (Err(error), Err(_)) => out.unread("", "/proc/net/route", &error),
        (four, six) => {
            let leads = four.is_ok_and(|text| leads_out(&text)) || six.is_ok_and(|text| leads_out_by_six(&text));
            out.whole("network.route.default", "", u64::from(leads));
        }
    }
}

fn links(root: &Root, net: &Folder, out: &mut Out) {
    let mut names = net.names();
    // The host's own loop, one end of each container's cable, and files such as bonding_masters.
    names.retain(|name| name != b"lo" && !name.starts_with(b"veth") && net.folder(name).is_ok());
    let kept = names.len().min(MAX_INTERFACES);
    if chosen(root, &mut names, |name| shown(name)) {
        out.fault("", FaultKind::Cut, format!("more than {MAX_INTERFACES} interfaces"));
    }
    for name in names {
        let Ok(folder) = net.folder(&name) else { continue };
        let item = shown(&name);
        if let Some(changes) = folder.whole("carrier_changes") {
            out.whole("network.carrier-changes", &item, changes);
        }
        if let Some(mtu) = folder.whole("mtu") {
            out.whole("network.mtu", &item, mtu);
        }
        let flags = folder.text("flags").and_then(|text| hexadecimal(text.trim_start_matches("0x").as_bytes()));
        let switched_on = flags.is_some_and(|flags| flags & UP != 0);
        // A bridge without anybody behind it has no link and needs none.
        let bridge = root.path(format!("/sys/class/net/{item}/bridge")).is_dir();
        if !switched_on || bridge {
            continue;
        }
        let state = folder.text("operstate").unwrap_or_default();
        let up = state == "up" || state == "unknown" && folder.whole("carrier") != Some(0);
        out.whole("network.up", &item, u64::from(up));
        // Virtual interfaces have none, or -1.
        #[allow(clippy::cast_precision_loss, reason = "megabits are few")]
        if let Some(speed) = folder.signed("speed").filter(|speed| *speed > 0) {
            out.put("network.speed", &item, speed as f64 * MEGABIT);
        }
        if let Some(duplex) = folder.text("duplex").filter(|duplex| duplex == "full" || duplex == "half") {
            out.whole("network.half-duplex", &item, u64::from(duplex == "half"));
        }
    }
    if kept == 0 {
        out.fault("", FaultKind::Absent, "/sys/class/net shows no interface but the host's own loop");
    }
}

/// Leaves as many interfaces as are measured, the cards of the machine first, then what is made of them, and tells
/// whether any was left out: the cables of containers and guests have names that come before those of cards.
pub(super) fn chosen<T>(root: &Root, all: &mut Vec<T>, name: impl Fn(&T) -> String) -> bool {
    if all.len() <= MAX_INTERFACES {
        return false;
    }
    let rank = |one: &T| {
        let folder = format!("/sys/class/net/{}", name(one));
        let made = || root.read_at_most(format!("{folder}/uevent"), 4096).unwrap_or_default();
        let of_cards =
            |line: &[u8]| matches!(line, b"DEVTYPE=bond" | b"DEVTYPE=team" | b"DEVTYPE=vlan" | b"DEVTYPE=bridge");
        match root.path(format!("{folder}/device")).exists() {
            true => 0,
            false if lines(&made()).any(of_cards) => 1,
            false => 2,
        }
    };
    let mut ranked: Vec<(u8, T)> = all.drain(..).map(|one| (rank(&one), one)).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    all.extend(ranked.into_iter().take(MAX_INTERFACES).map(|(_, one)| one));
    true
}

/// The states stand in blocks: first the bond's own, then one for each slave.
fn bond(name: &str, text: &[u8], out: &mut Out) {
    let value = |line: &[u8], key: &str| line.strip_prefix(key.as_bytes()).map(|rest| shown(rest.trim_ascii()));
    let (mut up, mut down, mut slave) = (0, 0, false);
    for line in lines(text) {
        if let Some(active) = value(line, "Currently Active Slave:").filter(|active| active != "None") {
            out.fact("bond.active", name, &active);
        }
        if line.starts_with(b"Slave Interface:") {
            slave = true;
        } else if let Some(state) = value(line, "MII Status:").filter(|_| slave) {
            if state == "up" {
                up += 1
            } else {
                down += 1
            }
            slave = false;
        }
    }
    out.whole("bond.slaves", name, up);
    out.whole("bond.slaves.down", name, down);
}

/// A route to everywhere in /proc/net/route: `Iface Destination Gateway Flags RefCnt Use Metric Mask ...`.
fn leads_out(text: &[u8]) -> bool {
    lines(text).skip(1).any(|line| {
        let fields: Vec<&[u8]> = words(line).collect();
        let &[_, destination, _, flags, _, _, _, mask, ..] = fields.as_slice() else { return false };
        destination == b"00000000" && mask == b"00000000" && usable(flags)
    })
}

/// The same in /proc/net/ipv6_route: `destination length source length next metric references uses flags interface`.
fn leads_out_by_six(text: &[u8]) -> bool {
    lines(text).any(|line| {
        let fields: Vec<&[u8]> = words(line).collect();
        let &[destination, length, _, _, _, _, _, _, flags, interface, ..] = fields.as_slice() else { return false };
        destination.iter().all(|&b| b == b'0') && length == b"00" && interface != b"lo" && usable(flags)
    })
}

fn usable(flags: &[u8]) -> bool {
    hexadecimal(flags).is_some_and(|flags| flags & ROUTE_UP != 0 && flags & ROUTE_REJECT == 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Linux 6.1, two slaves of which one lost its cable.
    const BOND: &[u8] = b"Ethernet Channel Bonding Driver: v6.1.0\n\nBonding Mode: fault-tolerance (active-backup)\n\
        Primary Slave: None\nCurrently Active Slave: eno1\nMII Status: up\nMII Polling Interval (ms): 100\n\n\
        Slave Interface: eno1\nMII Status: up\nSpeed: 10000 Mbps\nLink Failure Count: 0\n\n\
        Slave Interface: eno2\nMII Status: down\nSpeed: Unknown\nLink Failure Count: 3\n";

    fn values(out: Out) -> Vec<(String, String, f64)> {
        out.into_measured().readings.into_iter().map(|r| (r.metric, r.item, r.value)).collect()
    }

    #[test]
    fn a_bond_and_its_slaves() {
        let mut out = Out::default();
        bond("bond0", BOND, &mut out);
        let got = out.into_measured();
        let found: Vec<_> = got.readings.iter().map(|r| (r.metric.as_str(), r.value)).collect();
        assert_eq!(found, [("bond.slaves", 1.0), ("bond.slaves.down", 1.0)]);
        assert_eq!((got.facts[0].item.as_str(), got.facts[0].text.as_str()), ("bond0", "eno1"));
    }

    #[test]
    fn the_way_out() {
        let head = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n";
        let route = |line: &str| leads_out(format!("{head}{line}\n").as_bytes());
        assert!(route("eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0"));
        assert!(!route("eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0"));
        assert!(!route("eth0\t00000000\t00000000\t0201\t0\t0\t0\t00000000\t0\t0\t0"));
        assert!(!route("") && !leads_out(b""));
        let zero = "0".repeat(32);
        let six = |flags: &str, interface: &str| {
            let line = format!("{zero} 00 {zero} 00 {zero} 00000400 00000001 00000000 {flags} {interface}\n");
            leads_out_by_six(line.as_bytes())
        };
        assert!(six("00450003", "eth0") && !six("00200200", "lo") && !six("00000200", "eth0"));
    }

    #[test]
    fn of_too_many_interfaces_the_cards_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let net = folder.path().join("sys/class/net");
        for name in (0..100).map(|at| format!("cali{at:03}")).chain(["ens3".into(), "vlan7".into()]) {
            std::fs::create_dir_all(net.join(&name)).unwrap();
            std::fs::write(net.join(&name).join("mtu"), "1500\n").unwrap();
        }
        std::fs::create_dir(net.join("ens3/device")).unwrap();
        std::fs::write(net.join("vlan7/uevent"), "DEVTYPE=vlan\nINTERFACE=vlan7\n").unwrap();
        let mut out = Out::default();
        collect(&Root::at(folder.path()), &mut out);
        let got = out.into_measured();
        let items: Vec<&str> =
            got.readings.iter().filter(|r| r.metric == "network.mtu").map(|r| r.item.as_str()).collect();
        assert_eq!((items.len(), &items[..3]), (MAX_INTERFACES, &["ens3", "vlan7", "cali000"][..]));
        assert!(got.faults.iter().any(|fault| fault.kind == FaultKind::Cut));
    }

    #[test]
    fn links_of_several_kinds() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join("sys/class/net").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let interface = |name: &str, flags: &str, state: &str| {
            write(&format!("{name}/flags"), flags);
            write(&format!("{name}/operstate"), state);
        };
        interface("eno1", "0x1003\n", "up\n");
        for (file, text) in [("speed", "10000\n"), ("duplex", "full\n"), ("mtu", "9000\n"), ("carrier_changes", "4\n")]
        {
            write(&format!("eno1/{file}"), text);
        }
        interface("eno2", "0x1003\n", "down\n");
        write("eno2/speed", "-1\n");
        interface("off", "0x1002\n", "down\n");
        interface("tun0", "0x10d1\n", "unknown\n");
        write("tun0/carrier", "1\n");
        interface("docker0", "0x1003\n", "down\n");
        write("docker0/bridge/bridge_id", "x\n");
        interface("veth12", "0x1003\n", "up\n");
        write("bonding_masters", "bond0\n");
        let mut out = Out::default();
        collect(&Root::at(folder.path()), &mut out);
        let mut found = values(out);
        found.retain(|(metric, ..)| metric != "network.route.default");
        let found: Vec<_> =
            found.iter().map(|(metric, item, value)| (metric.as_str(), item.as_str(), *value)).collect();
        assert_eq!(
            found,
            [
                ("network.carrier-changes", "eno1", 4.0),
                ("network.mtu", "eno1", 9000.0),
                ("network.up", "eno1", 1.0),
                ("network.speed", "eno1", 1.25e9),
                ("network.half-duplex", "eno1", 0.0),
                ("network.up", "eno2", 0.0),
                ("network.up", "tun0", 1.0),
            ]
        );
    }

    proptest! {
        #[test]
        fn no_text_stops_it(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            leads_out(&bytes);
            leads_out_by_six(&bytes);
            let mut text = b"Slave Interface: x\nMII Status:".to_vec();
            text.extend(&bytes);
            bond("b", &text, &mut Out::default());
        }
    }
}

//! Networks that swallow packets, in namespaces of their own: black holes, a dead first address, a host that vanishes.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "support/bench.rs"]
mod bench;
#[path = "support/sshd.rs"]
mod sshd;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bench::{Bench, shown, single, sweep};
use sshd::{Options, Sshd, sh};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Two machines on a wire of their own: `near` has 10.66.0.1, `far` has 10.66.0.2. Nobody else answers on 10.66.0.0/24
/// nor on 2001:db8:66::/64: the packets go out and nothing comes back.
struct Wire {
    near: String,
    far: String,
}

impl Wire {
    fn new() -> Self {
        let tag = format!("{}x{}", std::process::id() % 100_000, NUMBER.fetch_add(1, Ordering::Relaxed));
        let wire = Self { near: format!("fhn{tag}"), far: format!("fhf{tag}") };
        let (near, far) = (&wire.near, &wire.far);
        sh(&format!(
            "ip netns add {near} && ip netns add {far} && ip -n {near} link set lo up && ip -n {far} link set lo up && \
             ip -n {near} link add wire type veth peer name wire netns {far}"
        ));
        for (name, number) in [(near, 1), (far, 2)] {
            sh(&format!(
                "ip -n {name} address add 10.66.0.{number}/24 dev wire && \
                 ip -n {name} address add 2001:db8:66::{number}/64 dev wire nodad && ip -n {name} link set wire up"
            ));
        }
        // An address that nobody has would be reported by ARP after 3 s; a swallowed packet is never.
        sh(&format!(
            "ip -n {near} neigh add 10.66.0.9 lladdr 02:00:00:00:00:09 dev wire nud permanent && \
             ip -n {near} -6 neigh add 2001:db8:66::9 lladdr 02:00:00:00:00:09 dev wire nud permanent"
        ));
        wire
    }

    /// The words that start a program on the near machine.
    fn here(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.near]
    }

    /// A name with these addresses, on the near machine.
    fn name(&self, name: &str, addresses: &[&str]) {
        let folder = self.names();
        fs::create_dir_all(&folder).unwrap();
        let lines: String = addresses.iter().map(|address| format!("{address} {name}\n")).collect();
        fs::write(folder.join("hosts"), lines).unwrap();
    }

    fn names(&self) -> PathBuf {
        PathBuf::from(format!("/etc/netns/{}", self.near))
    }

    fn sshd(&self, lines: &[&str]) -> Sshd {
        Sshd::start(&Options {
            address: "10.66.0.2".into(),
            namespace: Some(self.far.clone()),
            lines: lines.iter().map(|&line| line.to_owned()).collect(),
            ..Options::default()
        })
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for name in [&self.near, &self.far] {
            let _ = std::process::Command::new("ip").args(["netns", "delete", name]).output();
        }
        let _ = fs::remove_dir_all(self.names());
    }
}

fn ssh(sshd: &Sshd, known_hosts: &str) -> String {
    format!("port=\"2222\" user=\"{}\" key-file=\"{}\" known-hosts=\"{known_hosts}\"", sshd.user, shown(&sshd.key))
}

#[test]
fn o10_a_black_hole_costs_five_seconds_and_only_itself() {
    let wire = Wire::new();
    let sshd = wire.sshd(&[]);
    let hosts = "<host name=\"hole\" address=\"10.66.0.9\"/><host name=\"good\" address=\"10.66.0.2\"/>\
                 <host name=\"routeless\" address=\"192.0.2.1\"/>";
    let bench = Bench::new("20s", &ssh(&sshd, &shown(&sshd.known_hosts)), hosts);
    for told in sweep(&mut bench.command(&wire.here())) {
        let seconds = told["seconds"].as_f64().unwrap();
        match told["host"].as_str().unwrap() {
            "good" => assert_eq!(told["outcome"], "collected", "{told}"),
            "hole" => {
                assert_eq!(told["cause"], "connect-timeout", "{told}");
                assert!((4.5..6.5).contains(&seconds), "{told}");
            }
            _ => assert_eq!(told["cause"], "no-route", "{told}"),
        }
    }
}

#[test]
fn o10_a_dead_first_address_leaves_time_for_the_second() {
    let wire = Wire::new();
    let sshd = wire.sshd(&[]);
    // IPv6 comes first, here and everywhere.
    wire.name("twofold", &["2001:db8:66::9", "10.66.0.2"]);
    let key = fs::read_to_string(sshd.folder.join("hostkey.pub")).unwrap();
    let host = "<host name=\"h\" address=\"twofold\"/>";
    let bench = Bench::new("20s", &ssh(&sshd, "known_hosts"), host);
    bench.write("known_hosts", &format!("[twofold]:2222 {key}"));
    let told = single(&mut bench.command(&wire.here()));
    assert_eq!(told["outcome"], "collected", "{told}");
    assert!(told["seconds"].as_f64().unwrap() > 2.0, "the first address was not dead: {told}");
    wire.name("twofold", &["2001:db8:66::9", "10.66.0.9"]);
    let told = single(&mut bench.command(&wire.here()));
    assert_eq!(told["cause"], "connect-timeout", "{told}");
    assert!((4.5..6.5).contains(&told["seconds"].as_f64().unwrap()), "over all addresses: {told}");
}

#[test]
fn o10_a_host_that_vanishes_after_login_ends_with_its_deadline() {
    let wire = Wire::new();
    let sshd = wire.sshd(&["ForceCommand sleep 1000"]);
    let host = "<host name=\"h\" address=\"10.66.0.2\"/>";
    let bench = Bench::new("6s", &ssh(&sshd, &shown(&sshd.known_hosts)), host);
    let mut command = bench.command(&wire.here());
    let told = thread::scope(|scope| {
        let running = scope.spawn(|| single(&mut command));
        let until = Instant::now() + Duration::from_secs(10);
        while !sshd.log_text().contains("Accepted publickey") {
            assert!(Instant::now() < until, "{}", sshd.log_text());
            thread::sleep(Duration::from_millis(10));
        }
        sh(&format!("ip -n {} link set wire down", wire.far));
        running.join().unwrap()
    });
    // Whichever step the host vanished in.
    assert!(["exec", "deadline"].contains(&told["cause"].as_str().unwrap()), "{told}");
    assert!((5.5..7.0).contains(&told["seconds"].as_f64().unwrap()), "{told}");
}

#[test]
fn o10_a_resolver_that_never_answers_costs_the_hosts_own_time() {
    let wire = Wire::new();
    wire.name("other", &["10.66.0.2"]);
    // The questions go out and nothing comes back: libc alone would wait much longer.
    fs::write(wire.names().join("resolv.conf"), "nameserver 10.66.0.9\noptions timeout:30 attempts:2\n").unwrap();
    let hosts = "<host name=\"h\" address=\"nowhere.example.net\"/>";
    let bench = Bench::new("3s", "user=\"u\" key-file=\"none\" known-hosts=\"known_hosts\"", hosts);
    let told = single(&mut bench.command(&wire.here()));
    assert_eq!(told["cause"], "dns", "{told}");
    assert!(told["text"].as_str().unwrap().contains("the resolver did not answer in time"), "{told}");
    assert!((2.5..4.0).contains(&told["seconds"].as_f64().unwrap()), "{told}");
}

use proptest::prelude::*;

use super::*;
use crate::model::catalogue;
use crate::model::sample::FaultKind;

#[test]
fn this_machine_is_measured_and_every_metric_is_in_the_catalogue() {
    let got = measure(&Root::default(), Past::default());
    for reading in &got.readings {
        assert!(catalogue::find(&reading.metric).is_some(), "{} is not in the catalogue", reading.metric);
        assert!(reading.value >= 0.0 || catalogue::is_signed(&reading.metric), "{reading:?}");
    }
    for metric in ["cpu.used", "load.1m", "memory.used", "filesystem.used", "process.count", "uptime"] {
        assert!(got.readings.iter().any(|r| r.metric == metric), "{metric} is missing: {:?}", got.faults);
    }
    assert!(got.totals.is_some());
}

#[test]
fn every_metric_of_the_catalogue_but_the_reckoned_ones_has_a_source() {
    let folder = tempfile::tempdir().unwrap();
    machine(folder.path());
    let mut past = past(4_000_000);
    past.totals = Some(Totals { cores: vec![[0, 0, 0]], ..Totals::kept([0; 8], 4_000_000) });
    let got = measure(&Root::at(folder.path()), past);
    let missing: Vec<&str> = catalogue::METRICS
        .iter()
        .filter(|metric| !metric.is_of_service())
        .map(|metric| metric.name)
        // Reckoned elsewhere, and that of a machine that is a container.
        .filter(|name| !["host.silent", "probe.cpu", "probe.seconds", "memory.limit"].contains(name))
        .filter(|name| !got.readings.iter().any(|r| r.metric == *name))
        .collect();
    assert!(missing.is_empty(), "{missing:?} {:?}", got.faults);
    assert!(got.faults.is_empty(), "{:?}", got.faults);
}

#[test]
fn an_empty_machine_has_no_values_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let got = measure(&Root::at(folder.path()), Past::default());
    assert!(got.readings.iter().all(|reading| reading.metric == "probe.section.seconds"), "{:?}", got.readings);
    for collector in COLLECTORS {
        assert!(got.faults.iter().any(|fault| fault.section == collector.name), "{} is silent", collector.name);
    }
    assert!(got.faults.iter().any(|f| f.section == "pressure" && f.kind == FaultKind::Unsupported));
    assert!(got.faults.iter().any(|f| f.section == "load" && f.kind == FaultKind::Absent));
    assert_eq!(boot_id(&Root::at(folder.path())), "00000000-unknown");
}

#[test]
fn earlier_totals_serve_only_within_their_time() {
    let folder = tempfile::tempdir().unwrap();
    machine(folder.path());
    let root = Root::at(folder.path());
    let used = |at: u64| {
        let got = measure(&root, past(at));
        got.readings.iter().find(|r| r.metric == "cpu.used").map(|r| r.value)
    };
    // Uptime is 5000 s; the totals of the fixture stand still, so the window gives nothing.
    assert_eq!(used(4_990_000), Some(0.5));
    assert_eq!(used(4_999_500), None);
    assert_eq!(used(100_000), None);
}

#[test]
fn without_a_boot_id_the_time_of_boot_stands_for_it() {
    let folder = tempfile::tempdir().unwrap();
    machine(folder.path());
    assert_eq!(boot_id(&Root::at(folder.path())), "65000000-btime");
}

/// What an earlier sample left, at this time after boot in milliseconds.
fn past(at: u64) -> Past {
    let processes = Processes::parse(format!("{at}\n").as_bytes());
    let updates = Updates::parse(b"1700000000 5 1 vim\n");
    let answers = Answers::parse(ANSWERS.as_bytes());
    let mut restarts = Restarts::default();
    restarts.look(at, Vec::new(), false);
    Past {
        now: 1_700_000_100,
        totals: Some(Totals::kept([0; 8], at)),
        processes,
        updates,
        smart: smart(),
        answers,
        restarts,
        command_lines: false,
    }
}

/// Of a machine with all that can be asked; the values are those of the questions' own tests.
const ANSWERS: &str = r#"[
    {"of": "pool.lvm", "at": 1700000000, "silent": "", "values": [["lvm.alarm", "v/p", 0], ["lvm.used", "v/p", 0.5], ["lvm.metadata.used", "v/p", 0.1]]},
    {"of": "ipmi", "at": 1700000000, "silent": "", "values": [["ipmi.alarm", "ipmi/Fan1", 0], ["power.draw", "ipmi/Pwr", 168]]},
    {"of": "kernel.log", "at": 1700000000, "silent": "", "values": [["kernel.crashes", "", 0]]},
    {"of": "port", "at": 1700000000, "silent": "", "facts": [["port.process", "tcp/22", "sshd"]]},
    {"of": "reboot.services", "at": 1700000000, "silent": "", "values": [["reboot.services.outdated", "", 0]]},
    {"of": "security.firewall", "at": 1700000000, "silent": "", "values": [["security.firewall.rules", "", 9]]},
    {"of": "security.sshd", "at": 1700000000, "silent": "", "values": [["security.sshd.root-password", "", 0]]}
]"#;

/// Of a disk that says everything that any kind of disk says.
fn smart() -> Option<Smart> {
    let health = r#""is":"naa.5000c500a1b2c3d4","failed":false,"critical":0,"reallocated":0,"pending":0,"media_errors":0,"crc_errors":0,"power_on_hours":7,"wear":3"#;
    Smart::parse(format!(r#"{{"at":1700000000,"disks":[["sda",{{{health}}}]]}}"#).as_bytes())
}

/// What is neither a processor, memory nor a disk.
fn surroundings(folder: &std::path::Path, write: &dyn Fn(&str, &str)) {
    use std::os::unix::fs::PermissionsExt;
    write("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
    write("proc/sys/kernel/hostname", "web1\n");
    write("proc/sys/kernel/threads-max", "1000\n");
    write("proc/sys/kernel/pid_max", "1000\n");
    write("proc/1/fd/0", "");
    write("proc/1/io", "read_bytes: 1\nwrite_bytes: 1\n");
    write("etc/machine-id", "0123456789abcdef0123456789abcdef\n");
    write("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
    write("etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    write("sys/fs/selinux/enforce", "1");
    write("sys/module/apparmor/parameters/enabled", "N\n");
    for (file, text) in [
        ("flags", "0x1003"),
        ("operstate", "up"),
        ("carrier_changes", "2"),
        ("speed", "1000"),
        ("duplex", "full"),
        ("mtu", "1500"),
    ] {
        write(&format!("sys/class/net/eth0/{file}"), text);
    }
    write("proc/net/bonding/bond0", "Currently Active Slave: eth0\nSlave Interface: eth0\nMII Status: up\n");
    write("proc/net/route", "Iface\neth0 00000000 0 0003 0 0 0 00000000 0 0 0\n");
    write("proc/net/sockstat", "sockets: used 9\nTCP: inuse 1 orphan 1 tw 0 alloc 1 mem 1\n");
    write("proc/sys/net/ipv4/tcp_max_orphans", "100\n");
    write("proc/sys/net/ipv4/tcp_mem", "10 20 30\n");
    let tcp = "Tcp: OutSegs RetransSegs AttemptFails CurrEstab\nTcp: 9 1 1 1\n";
    write("proc/net/snmp", &format!("{tcp}Udp: InErrors RcvbufErrors SndbufErrors\nUdp: 1 1 1\n"));
    write("proc/net/netstat", "TcpExt: ListenOverflows ListenDrops\nTcpExt: 1 2\n");
    write("proc/net/tcp", "head\n 0: 00000000:0016 00000000:0000 0A 0 0 0\n");
    write("proc/net/softnet_stat", "1 2 3\n");
    write("proc/sys/net/netfilter/nf_conntrack_count", "1\n");
    write("proc/sys/net/netfilter/nf_conntrack_max", "10\n");
    write("etc/kernel/postinst.d/unattended-upgrades", "");
    write("lib/modules/6.1.0-18-amd64/modules.dep", "");
    write("run/systemd/sessions/3", "USER=ada\nTTY=pts/0\nCLASS=user\nSTATE=active\n");
    write("dev/pts/0", "");
    write("var/log/btmp", "");
    container::tests::docker(folder);
    write("var/lib/apt/lists/lock", "");
    write("etc/nginx/ssl/a.pem", include_str!("certificate/fleet.pem"));
    write("run/systemd/system/x", "");
    std::fs::create_dir_all(folder.join("run/systemd/units")).unwrap();
    std::os::unix::fs::symlink("0", folder.join("run/systemd/units/invocation:a.service")).unwrap();
    for (file, text) in [
        ("random/entropy_avail", "256"),
        ("sem", "32000 1024000000 500 8"),
        ("shmmni", "4096"),
        ("msgmni", "32000"),
        ("pty/nr", "3"),
        ("pty/max", "4096"),
    ] {
        write(&format!("proc/sys/kernel/{file}"), text);
    }
    for list in ["sem", "shm", "msg"] {
        write(&format!("proc/sysvipc/{list}"), "key\n");
    }
    write("proc/key-users", "0: 75 74/74 72/1000000 1474/25000000\n");
    write("dev/ipmi0", "");
    for program in ["lvs", "nft", "sshd"] {
        write(&format!("usr/sbin/{program}"), "");
    }
    for program in ["ipmitool", "dmesg", "ss"] {
        write(&format!("usr/bin/{program}"), "");
    }
    let clock = "echo A,10.0.0.1,2,0.0,0.001,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,Normal";
    systemd::pretended(folder);
    write("run/chrony/chronyd.sock", "");
    for (program, script) in [("chronyc", clock), ("apt-get", "")] {
        write(&format!("usr/bin/{program}"), &format!("#!/bin/sh\n{script}\n"));
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.join("usr/bin").join(program), executable).unwrap();
    }
}

fn machine(folder: &std::path::Path) {
    let write = |path: &str, text: &str| {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("proc/uptime", "5000.00 100.00\n");
    write("proc/loadavg", "0.10 0.20 0.30 1/2 3\n");
    for resource in ["cpu", "memory", "io"] {
        let line = "avg10=0.00 avg60=1.00 avg300=0.00 total=1000000";
        write(&format!("proc/pressure/{resource}"), &format!("some {line}\nfull {line}\n"));
    }
    write("proc/1/stat", "1 (init) S 0 1 1 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 5 1 1\n");
    surroundings(folder, &write);
    write("proc/net/dev", "h\nh\neth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n");
    write("proc/self/mountinfo", "1 0 8:0 / / rw - ext4 /dev/sda rw\n");
    fixture::add(folder, include_str!("fixtures/machine.txt"));
    fixture::add(folder, include_str!("fixtures/cgroup-v2.txt"));
    fixture::add(folder, include_str!("fixtures/hwmon.txt"));
    write("proc/mdstat", include_str!("fixtures/mdstat"));
}

/// Docker with cgroup v2: no pressure, no disks, no sysfs of devices; what is there is the host's but the limit.
#[test]
fn a_container_without_parts_of_proc_says_what_it_lacks_and_is_measured_against_its_limit() {
    let (_folder, root) = fixture::machine(include_str!("fixtures/container.txt"));
    let got = measure(&root, past(4_000_000));
    let value = |metric: &str| got.readings.iter().find(|r| r.metric == metric).map(|r| r.value);
    assert_eq!((value("memory.used"), value("memory.limit")), (Some(0.5), Some(536_870_912.0)));
    assert_eq!((value("memory.total"), value("memory.available")), (Some(536_870_912.0), Some(268_435_456.0)));
    assert!(value("cpu.used").is_some() && value("load.1m").is_some() && value("process.count").is_some());
    let filesystems: Vec<&str> =
        got.readings.iter().filter(|r| r.metric == "filesystem.hung").map(|r| r.item.as_str()).collect();
    assert_eq!(filesystems, ["/"]);
    for (section, kind) in [
        ("pressure", FaultKind::Unsupported),
        ("disk", FaultKind::Absent),
        ("raid", FaultKind::Absent),
        ("temperature", FaultKind::Absent),
        ("vm", FaultKind::Absent),
        ("cpu.frequency", FaultKind::Unsupported),
    ] {
        assert!(got.faults.iter().any(|fault| fault.section == section && fault.kind == kind), "{section}");
    }
    // What is not there has no value: no zeros.
    for prefix in ["pressure.", "disk.", "raid.", "temperature", "vm."] {
        assert!(!got.readings.iter().any(|r| r.metric.starts_with(prefix)), "{prefix}");
    }
}

/// In the shapes of CentOS 7 (Linux 3.10): cgroup v1, no pressure, no OOM kills, direct reclaim by zone.
#[test]
fn an_old_kernel_gives_what_it_has_and_no_zeros_for_the_rest() {
    let (_folder, root) = fixture::machine(include_str!("fixtures/linux-3.10.txt"));
    let got = measure(&root, past(4_000_000));
    let value =
        |metric: &str, item: &str| got.readings.iter().find(|r| r.metric == metric && r.item == item).map(|r| r.value);
    for (metric, item, expected) in [
        ("memory.used", "", 0.25),
        ("vm.major-faults", "", 1093.0),
        ("vm.allocation-stalls", "", 5.0),
        ("vm.direct-scans", "", 10.0),
        ("swap.in", "", 7.0),
        ("disk.reads", "sda", 9521.0),
        ("disk.queue.seconds", "sda", 40.42),
        ("network.receive.bytes", "eth0", 64_107_236.0),
        ("softnet.squeezes", "", 2.0),
        ("tcp.segments.repeated", "", 12.0),
        ("port.exposed", "", 1.0),
        ("process.count", "", 1.0),
        ("limit.entropy", "", 162.0),
        ("cgroup.memory", "sshd.service", 1_048_576.0),
        ("cgroup.cpu.seconds", "sshd.service", 7.25),
    ] {
        assert_eq!(value(metric, item).map(|value| (value * 1000.0).round() / 1000.0), Some(expected), "{metric}");
    }
    for metric in
        ["disk.discards", "disk.flushes", "pressure.some", "vm.oom-kills", "cgroup.oom-kills", "cgroup.pressure"]
    {
        assert!(!got.readings.iter().any(|r| r.metric == metric), "{metric}");
    }
    let end = got.facts.iter().find(|fact| fact.name == "host.support.end").map(|fact| fact.text.as_str());
    assert_eq!(end, Some("2024-06-30"));
    let vm = got.faults.iter().find(|fault| fault.section == "vm");
    assert_eq!(vm.map(|fault| fault.kind), Some(FaultKind::Unsupported), "{:?}", got.faults);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn no_content_of_proc_stops_the_probe(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let folder = tempfile::tempdir().unwrap();
        machine(folder.path());
        let files = ["loadavg", "meminfo", "vmstat", "pressure/cpu", "1/stat", "net/dev", "diskstats", "uptime"];
        let more = ["swaps", "mdstat", "interrupts", "sys/fs/file-nr", "sys/kernel/tainted", "spl/kstat/zfs/arcstats", "stat"];
        let own = ["1/io", "net/tcp", "net/snmp", "net/netstat", "net/sockstat", "net/softnet_stat", "net/route"];
        for path in files.into_iter().chain(more).chain(own) {
            std::fs::write(folder.path().join("proc").join(path), &bytes).unwrap();
        }
        let mut broken = b"1 0 8:0 / /".to_vec();
        broken.extend(&bytes);
        std::fs::write(folder.path().join("proc/self/mountinfo"), &broken).unwrap();
        let mut out = Out::default();
        for collector in COLLECTORS {
            (collector.collect)(&Root::at(folder.path()), &mut out);
        }
    }

    /// A driver, a firmware or whoever made a cgroup may say anything, and name anything so.
    #[test]
    fn no_content_of_sys_stops_the_probe(
        bytes in proptest::collection::vec(any::<u8>(), 0..120),
        name in proptest::collection::vec(any::<u8>().prop_filter("no path", |b| *b != 0 && *b != b'/'), 1..40),
    ) {
        use std::os::unix::ffi::OsStringExt;
        let folder = tempfile::tempdir().unwrap();
        machine(folder.path());
        let sys = folder.path().join("sys");
        let mut waiting = vec![sys.clone()];
        while let Some(place) = waiting.pop() {
            for entry in std::fs::read_dir(&place).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    waiting.push(path);
                } else if path.file_name().is_some_and(|name| name != "cgroup.controllers") {
                    std::fs::write(path, &bytes).unwrap();
                }
            }
        }
        for (place, file) in [("fs/cgroup/system.slice", "memory.current"), ("class/hwmon", "temp1_input"), ("block", "size")] {
            let named = sys.join(place).join(std::ffi::OsString::from_vec([&name[..], b".service"].concat()));
            std::fs::create_dir_all(&named).unwrap();
            std::fs::write(named.join(file), &bytes).unwrap();
        }
        let mut out = Out::default();
        for collector in COLLECTORS {
            (collector.collect)(&Root::at(folder.path()), &mut out);
        }
        let got = out.into_measured();
        prop_assert!(got.readings.len() < 1000);
        for reading in &got.readings {
            prop_assert!(reading.value.is_finite() && !reading.item.chars().any(crate::model::clean::is_hostile));
            prop_assert!(reading.value >= 0.0 || reading.metric == "temperature", "{reading:?}");
        }
    }
}

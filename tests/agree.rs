//! The probe's readings beside those of psutil and of node_exporter on this machine at the same moment. Load moves
//! between two looks, so each bound says how far apart they may be; totals that only grow must lie between two looks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// What `psutil` says, in the probe's names: `metric item` and a number.
const PSUTIL: &str = r#"
import json, os, psutil
out = {}
def put(metric, value, item=""):
    out[metric + " " + item] = value
memory, swap = psutil.virtual_memory(), psutil.swap_memory()
put("memory.total", memory.total); put("memory.available", memory.available); put("memory.free", memory.free)
put("swap.total", swap.total)
put("cpu.count", psutil.cpu_count())
for mode, name in [("user", "user"), ("system", "system"), ("idle", "idle"), ("iowait", "iowait")]:
    put("cpu.seconds", getattr(psutil.cpu_times(), name), mode)
for n, load in zip(("1m", "5m", "15m"), psutil.getloadavg()):
    put("load." + n, load)
usage = psutil.disk_usage("/")
put("filesystem.size", usage.total, "/"); put("filesystem.available", usage.free, "/"); put("filesystem.used", usage.percent / 100, "/")
for name, disk in psutil.disk_io_counters(perdisk=True, nowrap=False).items():
    put("disk.read.bytes", disk.read_bytes, name); put("disk.written.bytes", disk.write_bytes, name)
    put("disk.reads", disk.read_count, name); put("disk.writes", disk.write_count, name)
for name, net in psutil.net_io_counters(pernic=True, nowrap=False).items():
    put("network.receive.bytes", net.bytes_recv, name); put("network.transmit.bytes", net.bytes_sent, name)
    put("network.receive.packets", net.packets_recv, name); put("network.transmit.packets", net.packets_sent, name)
    put("network.receive.errors", net.errin, name); put("network.receive.drops", net.dropin, name)
for name, net in psutil.net_if_stats().items():
    put("network.mtu", net.mtu, name)
put("process.count", len(psutil.pids()))
print(json.dumps(out))
"#;

type Readings = BTreeMap<String, f64>;

fn psutil() -> Readings {
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/target/venv/bin/python");
    let said = Command::new(python).args(["-c", PSUTIL]).output().expect("scripts/deps makes target/venv");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let value: BTreeMap<String, f64> = serde_json::from_slice(&said.stdout).unwrap();
    value.into_iter().map(|(name, value)| (name.trim_end().to_owned(), value)).collect()
}

fn probe() -> Readings {
    let said = Command::new(env!("CARGO_BIN_EXE_fleet-probe")).arg("--json").output().unwrap();
    let value: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(value["version"], 1);
    let named = |reading: &Value| {
        let name = format!("{} {}", reading["metric"].as_str().unwrap(), reading["item"].as_str().unwrap());
        (name.trim_end().to_owned(), reading["value"].as_f64().unwrap())
    };
    value["readings"].as_array().unwrap().iter().map(named).collect()
}

/// How far two looks at one thing may be apart.
enum Bound {
    /// Exactly the same.
    Same,
    /// A total: between a look before and a look after, give or take its own step.
    Between(f64),
    /// This share of the greater, and this much.
    Near(f64, f64),
}

fn bound(name: &str) -> Option<Bound> {
    let metric = name.split(' ').next().unwrap_or_default();
    Some(match metric {
        "memory.total" | "swap.total" | "cpu.count" | "filesystem.size" | "network.mtu" => Bound::Same,
        "cpu.seconds" => Bound::Between(0.03),
        "disk.read.bytes" | "disk.written.bytes" | "disk.reads" | "disk.writes" => Bound::Between(0.0),
        name if name.starts_with("network.") => Bound::Between(0.0),
        "memory.available" | "memory.free" => Bound::Near(0.05, 600e6),
        "filesystem.available" => Bound::Near(0.01, 600e6),
        "filesystem.used" => Bound::Near(0.0, 0.02),
        "load.1m" | "load.5m" | "load.15m" => Bound::Near(0.15, 0.5),
        "process.count" => Bound::Near(0.15, 40.0),
        _ => return None,
    })
}

/// Compares what both name; returns how many that were.
fn compare(who: &str, before: &Readings, ours: &Readings, after: &Readings) -> usize {
    let mut compared = 0;
    let mut apart = Vec::new();
    for (name, &first) in before {
        let (Some(bound), Some(&own), Some(&last)) = (bound(name), ours.get(name), after.get(name)) else { continue };
        compared += 1;
        let fits = match bound {
            Bound::Same => own == first,
            Bound::Between(step) => first - step <= own && own <= last + step,
            Bound::Near(share, much) => {
                let (low, high) = (first.min(last), first.max(last));
                let room = high.max(own) * share + much;
                low - room <= own && own <= high + room
            }
        };
        if !fits {
            apart.push(format!("{name}: {who} says {first} and then {last}, the probe {own}"));
        }
    }
    assert!(apart.is_empty(), "\n{}", apart.join("\n"));
    compared
}

#[test]
fn the_probe_agrees_with_psutil() {
    let before = psutil();
    let ours = probe();
    let after = psutil();
    let compared = compare("psutil", &before, &ours, &after);
    assert!(compared >= 25, "only {compared} of {} readings of psutil have a name of ours", before.len());
    // psutil's interface of the host itself and its partitions are not shown by the probe; all else of it is.
    for subject in ["cpu.seconds user", "memory.available", "filesystem.used /", "process.count", "load.5m"] {
        assert!(before.contains_key(subject) && ours.contains_key(subject), "{subject}");
    }
}

/// Shares of the processor time, over a time in which the machine is kept busy by us.
#[test]
fn a_busy_processor_is_as_busy_for_both() {
    let spin = Spin(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap());
    std::thread::sleep(Duration::from_millis(300));
    let ours = probe();
    let share = ours["cpu.used"];
    drop(spin);
    let least = 0.8 / ours["cpu.count"];
    assert!(share >= least, "one processor of {} was kept busy, the probe saw {share}", ours["cpu.count"]);
}

struct Spin(Child);

impl Drop for Spin {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// node_exporter's names in ours.
fn exporter_name(line: &str) -> Option<(String, f64)> {
    let (series, value) = line.rsplit_once(' ')?;
    let value: f64 = value.parse().ok()?;
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let label = |key: &str| labels.split(&format!("{key}=\"")).nth(1)?.split('"').next().map(str::to_owned);
    let device = || label("device");
    let item = |metric: &str, item: Option<String>| Some((format!("{metric} {}", item?), value));
    let plain = |metric: &str| Some((metric.to_owned(), value));
    match name {
        "node_memory_MemTotal_bytes" => plain("memory.total"),
        "node_memory_MemAvailable_bytes" => plain("memory.available"),
        "node_memory_MemFree_bytes" => plain("memory.free"),
        "node_memory_SwapTotal_bytes" => plain("swap.total"),
        "node_load1" => plain("load.1m"),
        "node_load5" => plain("load.5m"),
        "node_load15" => plain("load.15m"),
        "node_filesystem_size_bytes" if label("mountpoint")? == "/" => item("filesystem.size", Some("/".into())),
        "node_filesystem_avail_bytes" if label("mountpoint")? == "/" => item("filesystem.available", Some("/".into())),
        "node_disk_read_bytes_total" => item("disk.read.bytes", device()),
        "node_disk_written_bytes_total" => item("disk.written.bytes", device()),
        "node_disk_reads_completed_total" => item("disk.reads", device()),
        "node_disk_writes_completed_total" => item("disk.writes", device()),
        "node_network_receive_bytes_total" => item("network.receive.bytes", device()),
        "node_network_transmit_bytes_total" => item("network.transmit.bytes", device()),
        "node_network_receive_packets_total" => item("network.receive.packets", device()),
        "node_network_receive_drop_total" => item("network.receive.drops", device()),
        "node_network_carrier_changes_total" => item("network.carrier-changes", device()),
        "node_network_mtu_bytes" => item("network.mtu", device()),
        _ => None,
    }
}

struct Exporter {
    child: Child,
    port: u16,
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Exporter {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("prometheus-node-exporter");
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).stdout(Stdio::null()).stderr(Stdio::null());
        let exporter = Self { child: command.spawn().expect("scripts/deps installs it"), port };
        let end = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "node_exporter does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        exporter
    }

    fn readings(&self) -> Readings {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.") && text.contains("200 OK"), "{}", &text[..text.len().min(200)]);
        text.lines().filter(|line| !line.starts_with('#')).filter_map(exporter_name).collect()
    }
}

#[test]
fn the_probe_agrees_with_node_exporter() {
    let exporter = Exporter::start();
    let before = exporter.readings();
    let ours = probe();
    let after = exporter.readings();
    let compared = compare("node_exporter", &before, &ours, &after);
    assert!(compared >= 12, "only {compared} of {} readings of node_exporter have a name of ours", before.len());
}

//! Sweeps over a simulated fleet with latency, dead hosts and hanging ones: wall time, processor time, memory and round
//! trips, and how they grow with the fleet. `make bench-scale` writes docs/benchmarks-scale.md; without `--bench` it only
//! runs once, over a few hosts. `BENCH_SCALE=50,500` names other sizes; `--hold` keeps the first of them there for a profiler.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark fails loudly, and is about the clock"
)]

#[path = "../tests/support/bench.rs"]
mod bench;
#[path = "../tests/support/processes.rs"]
mod processes;
#[path = "../tests/support/simulated/mod.rs"]
mod simulated;

use std::process::Stdio;
use std::time::{Duration, Instant};

use bench::Bench;
use processes::{Watch, own_cpu};
use serde_json::Value;
use simulated::site::site;
use simulated::{Behaviour, Fleet, Options};

/// Half of the round trip.
const ONE_WAY: Duration = Duration::from_millis(25);
const COLLECTOR: &str = "jobs=\"256\" timeout=\"15s\" deadline=\"4m\" interval=\"5m\"";

/// What one sweep cost.
struct Cost {
    wall: f64,
    /// Seconds of all of the collector's processes, and of the simulated fleet.
    cpu: f64,
    fleet_cpu: f64,
    /// MiB at most, all processes added up.
    memory: f64,
    processes: usize,
    collected: usize,
    trips: f64,
}

/// A fleet of which two of a hundred are dead and one hangs, and how it is collected from.
struct Ground {
    hosts: usize,
    good: usize,
    fleet: Fleet,
    bench: Bench,
}

impl Ground {
    fn new(hosts: usize, post_quantum: bool) -> Self {
        let (dead, hanging) = (hosts / 50, hosts / 100);
        let stages = [Behaviour::Silent, Behaviour::HangsAtLogin, Behaviour::HangsBeforeFrame, Behaviour::HangsInFrame];
        let mut odd = vec![(Behaviour::Refuses, dead / 2), (Behaviour::BlackHole, dead - dead / 2)];
        odd.extend(stages.iter().enumerate().map(|(stage, &behaviour)| (behaviour, (hanging + stage) / 4)));
        let good = hosts - odd.iter().map(|(_, count)| count).sum::<usize>();
        let options = Options { hosts, odd, one_way: ONE_WAY, deployed: true, post_quantum, ..Options::default() };
        let fleet = Fleet::start(&options);
        let bench = site(&fleet, COLLECTOR);
        Self { hosts, good, fleet, bench }
    }

    /// One sweep, with the cost of it.
    fn sweep(&self) -> Cost {
        let before = own_cpu();
        let begun = Instant::now();
        let out = self.bench.path("told.json");
        let mut command = self.bench.command(&[]);
        command.stdout(std::fs::File::create(&out).unwrap()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let watch = Watch::start(child.id());
        child.wait().unwrap();
        let wall = begun.elapsed().as_secs_f64();
        let after = own_cpu();
        let seen = watch.end();
        let told: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
        let hosts = told["hosts"].as_array().unwrap();
        assert_eq!(hosts.len(), self.fleet.hosts.len());
        let collected: Vec<&Value> = hosts.iter().filter(|host| host["outcome"] == "collected").collect();
        if collected.len() != self.good {
            let lost = hosts.iter().filter(|host| host["outcome"] != "collected");
            lost.for_each(|host| eprintln!("{host}"));
        }
        let trips: f64 = collected.iter().map(|host| host["round_trips"].as_f64().unwrap()).sum();
        Cost {
            wall,
            cpu: after.children - before.children,
            fleet_cpu: after.own - before.own,
            memory: seen.memory,
            processes: seen.processes,
            collected: collected.len(),
            trips: trips / collected.len() as f64,
        }
    }
}

/// A line of the table; ratios are a host's share beside that of the smallest fleet.
fn row(ground: &Ground, name: &str, cost: &Cost, least: &Cost, of: usize) -> String {
    let hosts = ground.hosts as f64;
    let each = |cost: f64| cost / hosts;
    let ratio = |cost: f64, least: f64| each(cost) / (least / of as f64);
    format!(
        "| {name} | {}/{} | {:.1} | {:.0} | {:.2} | {:.2} | {:.1} | {:.0} | {:.2} | {:.2} | {:.2} |",
        cost.collected,
        ground.good,
        cost.wall,
        hosts / cost.wall,
        each(cost.cpu * 1000.0),
        ratio(cost.cpu, least.cpu),
        cost.memory,
        each(cost.memory * 1024.0),
        ratio(cost.memory, least.memory),
        cost.trips,
        each(cost.fleet_cpu * 1000.0),
    )
}

const HEAD: &str = "| hosts | collected, of those that could be | wall, s | hosts/s | collector's CPU, ms a host | \
                    a host beside the smallest | peak memory, MiB | KiB a host | a host beside the smallest | \
                    round trips a host | the fleet's own CPU, ms a host |\n|---|---|---|---|---|---|---|---|---|---|---|";

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let real = words.iter().any(|word| word == "--bench");
    let document = words.iter().position(|word| word == "--write").and_then(|at| words.get(at + 1));
    let sizes: Vec<usize> = match std::env::var("BENCH_SCALE") {
        Ok(text) => text.split(',').map(|size| size.trim().parse().unwrap()).collect(),
        Err(_) if real => vec![50, 500, 5000],
        Err(_) => vec![20],
    };
    processes::raise_descriptors();
    if words.iter().any(|word| word == "--hold") {
        return hold(&Ground::new(sizes[0], false));
    }
    let load = processes::load();
    let mut lines = vec![HEAD.to_owned()];
    let mut smallest: Option<(usize, Cost)> = None;
    for &size in &sizes {
        let ground = Ground::new(size, false);
        let first = ground.sweep();
        let warm = ground.sweep();
        eprintln!(
            "{size} hosts: first sweep {:.1} s, second {:.1} s, {} processes",
            first.wall, warm.wall, warm.processes
        );
        let (of, least) = smallest.as_ref().map_or((size, &warm), |(of, least)| (*of, least));
        lines.push(row(&ground, &size.to_string(), &warm, least, of));
        println!("{}", lines.last().unwrap());
        smallest.get_or_insert((size, warm));
    }
    if let (Some((of, least)), true) = (&smallest, sizes.len() > 1) {
        let ground = Ground::new(sizes[1], true);
        ground.sweep();
        let cost = ground.sweep();
        lines.push(row(&ground, &format!("{}, by mlkem768x25519", ground.hosts), &cost, least, *of));
    }
    let table = lines.join("\n");
    println!("{table}");
    if let Some(document) = document {
        std::fs::write(document, page(&table, load)).unwrap();
    }
}

/// Keeps a fleet there for a profiler until standard input ends.
fn hold(ground: &Ground) {
    println!("{:?}", ground.bench.command(&[]));
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
}

fn page(table: &str, load: f64) -> String {
    let machine = processes::machine();
    let trip = ONE_WAY.as_millis() * 2;
    format!(
        "# Benchmarks of scale\n\n\
         Written by `make bench-scale` in one run. Machine: {machine}. The load average was {load:.1} before it began: the\n\
         nearer to 0, the better the figures. The simulated fleet (tests/support/simulated) shares the processors with the\n\
         collector: its own cost stands in the last column.\n\n\
         Each host has an address, a host key and a line in known_hosts of its own, its probe in place, {trip} ms of round trip\n\
         (paid for each, TCP's included), and hands over a sealed sample of 100 readings. 2 % of the hosts are dead, one half\n\
         refusing, one half black holes; 1 % hang: after connect, at the login, after the command, in the middle of the frame.\n\
         `<collector {collector}>`. The second sweep of a fresh store is shown.\n\n{table}\n\n\
         - CPU is user and system time of the collector and its children, by the kernel's count when they end.\n\
         - Memory is VmHWM of each of its processes, looked at every 20 ms and added up; shared pages count in each.\n\
         - Ratios are a host's share beside that of the smallest fleet: 1 is linear, less is better.\n\
         - Round trips are the collector's own count of the hosts that were collected.\n\
         - Goals: 5,000 hosts within 60 s, under 300 MB on 2 processors; CPU and memory grow no faster than the hosts; at\n  \
         most 2 ms of CPU a host.\n",
        collector = COLLECTOR.replace('\\', "")
    )
}

//! What the machines of the demo say: quiet waves by day, a few that have trouble. The same moment always gives the same
//! sample, so that telling it twice adds nothing.

use std::f64::consts::TAU;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::cause::Cause;
use crate::model::sample::{By, Fact, Process, Reading, Sample, SampleKey};
use crate::model::spec::HostSpec;

/// Between two samples.
pub const STEP: TimeDelta = TimeDelta::minutes(5);
const GIB: f64 = 1_073_741_824.0;
/// A machine reboots never, and was up for so long when the demo was made, each a little longer than the one before.
const UP: TimeDelta = TimeDelta::days(19);

/// The moments of sweeps after one and up to another.
pub fn times(after: DateTime<Utc>, until: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let step = STEP.num_seconds();
    let first = after.timestamp().div_euclid(step) + 1;
    // The newest lies a little back: its visit is over.
    let last = (until - TimeDelta::seconds(5)).timestamp().div_euclid(step);
    (first..=last).filter_map(|n| DateTime::from_timestamp(n * step, 0)).collect()
}

/// One machine.
pub struct Machine {
    /// As in the configuration.
    pub name: String,
    number: usize,
    group: String,
    made: DateTime<Utc>,
    services: Vec<(String, String)>,
}

/// A number from 0 to 1 that looks like chance and is none.
fn noise(seed: u64) -> f64 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

impl Machine {
    /// The machine of a host of the configuration; `made` is the beginning of the demo.
    pub fn new(number: usize, host: &HostSpec, made: DateTime<Utc>) -> Self {
        let checks = |service: &crate::model::service::ServiceSpec| {
            service.checks.iter().map(|check| (service.name.clone(), check.label().to_owned())).collect::<Vec<_>>()
        };
        Self {
            name: host.name.clone(),
            number,
            group: host.groups.last().cloned().unwrap_or_default(),
            made,
            services: host.services.iter().flat_map(checks).collect(),
        }
    }

    /// How long before the demo was made, or after it, in hours.
    fn hours(&self, at: DateTime<Utc>) -> f64 {
        (at - self.made).num_seconds() as f64 / 3600.0
    }

    /// Why the machine cannot be reached then.
    pub fn failure(&self, at: DateTime<Utc>) -> Option<(Cause, String)> {
        let hours = self.hours(at);
        let text = |text: &str| text.to_owned();
        match self.name.as_str() {
            "print" if hours > -0.7 => Some((Cause::NoRoute, text("192.0.2.51:22: No route to host (os error 113)"))),
            "cache2" if (-20.0..-19.2).contains(&hours) => {
                Some((Cause::ConnectTimeout, text("192.0.2.32:22: no answer within 20 s")))
            }
            _ => None,
        }
    }

    /// What it says at a moment.
    pub fn sample(&self, at: DateTime<Utc>) -> Sample {
        let sequence = u64::try_from(at.timestamp() / STEP.num_seconds()).unwrap_or_default();
        let up =
            (at - self.made + UP + TimeDelta::hours(7) * i32::try_from(self.number).unwrap_or_default()).num_seconds();
        Sample {
            key: SampleKey { boot: format!("00000000-0000-4000-8000-{:012}", self.number), sequence },
            taken: at,
            hostname: self.name.clone(),
            probe: env!("CARGO_PKG_VERSION").to_owned(),
            readings: self.readings(at, sequence, up as f64),
            faults: Vec::new(),
            facts: self.facts(),
            top: self.top(at, sequence),
        }
    }

    /// Processor time in use: people come by day, reports run by night, and two machines have trouble.
    fn cpu(&self, at: DateTime<Utc>, sequence: u64) -> f64 {
        let day = at.timestamp().rem_euclid(86_400) as f64 / 86_400.0;
        let people = 0.5 - 0.5 * (TAU * (day - 0.08)).cos();
        let jitter = noise(sequence.wrapping_mul(64) + self.number as u64) - 0.5;
        let base = match self.group.as_str() {
            "web" => 0.12 + 0.38 * people,
            "data" => 0.10 + 0.28 * people,
            "batch" => 0.08 + if (0.04..0.19).contains(&day) { 0.7 } else { 0.0 },
            _ => 0.05 + 0.06 * people,
        };
        let trouble = match self.name.as_str() {
            "web03" if self.hours(at) > -0.6 => 0.96 - base,
            "batch1" if (-9.0..-7.5).contains(&self.hours(at)) => 0.91 - base,
            _ => 0.0,
        };
        (base + trouble + 0.05 * jitter).clamp(0.01, 0.995)
    }

    /// The use of the fullest filesystem: a database that grows into its end, and what others have.
    fn disk(&self, at: DateTime<Utc>) -> (&'static str, f64) {
        match self.name.as_str() {
            "db1" => ("/var/lib/postgresql", (0.925 + 0.004 * self.hours(at)).clamp(0.5, 0.995)),
            "db2" => ("/var/lib/postgresql", 0.58 + 0.001 * self.hours(at).clamp(-48.0, 48.0)),
            "backup" => ("/srv/backup", 0.79 + 0.02 * (self.hours(at) / 24.0).sin()),
            _ => ("/var", 0.31 + 0.04 * noise(self.number as u64)),
        }
    }

    fn readings(&self, at: DateTime<Utc>, sequence: u64, up: f64) -> Vec<Reading> {
        let mut list = Vec::new();
        let mut put = |metric: &str, item: &str, value: f64| {
            list.push(Reading { metric: metric.to_owned(), item: item.to_owned(), value });
        };
        let cpu = self.cpu(at, sequence);
        let jitter = noise(sequence.wrapping_mul(128) + self.number as u64);
        let cores = if self.group == "data" { 8.0 } else { 4.0 };
        put("cpu.used", "", cpu);
        put("cpu.iowait", "", if self.group == "data" { 0.03 + 0.02 * jitter } else { 0.004 * jitter });
        put("cpu.count", "", cores);
        let load = cpu * cores * 1.1;
        put("load.1m", "", load + 0.3 * jitter);
        put("load.5m", "", load);
        put("load.15m", "", load * 0.95);
        let total = if self.group == "data" { 32.0 } else { 8.0 } * GIB;
        let memory = match self.name.as_str() {
            "cache1" => 0.84 + 0.01 * jitter,
            _ => 0.35 + 0.25 * noise(self.number as u64 + 7) + 0.1 * cpu,
        };
        put("memory.total", "", total);
        put("memory.available", "", total * (1.0 - memory));
        put("memory.used", "", memory);
        put("swap.total", "", 2.0 * GIB);
        put("swap.used", "", 0.02);
        let (mount, used) = self.disk(at);
        for (mount, size, used) in [("/", 40.0 * GIB, 0.42), (mount, 200.0 * GIB, used)] {
            put("filesystem.size", mount, size);
            put("filesystem.available", mount, size * (1.0 - used));
            put("filesystem.used", mount, used);
            put("filesystem.inodes.used", mount, 0.08);
        }
        // Totals grow evenly, with the hour's wave upon them.
        let wave =
            1.0 + 0.1 * (TAU * at.timestamp().rem_euclid(86_400) as f64 / 86_400.0).sin() * 86_400.0 / up.max(86_400.0);
        for (metric, item, rate) in [
            ("network.receive.bytes", "eth0", 4e5),
            ("network.transmit.bytes", "eth0", 9e5),
            ("disk.read.bytes", "sda", 2e5),
            ("disk.written.bytes", "sda", 6e5),
            ("disk.io.seconds", "sda", 0.04),
            ("cpu.context-switches", "", 3e3),
        ] {
            put(metric, item, (up * rate * (1.0 + self.number as f64 / 10.0) * wave).floor());
        }
        put("pressure.some.5m", "cpu", cpu * 0.2);
        put("pressure.some.5m", "io", 0.01 + 0.02 * jitter);
        put("temperature", "cpu", 38.0 + 30.0 * cpu);
        put("process.count", "", (110.0 + 40.0 * cpu).round());
        put("time.synchronized", "", 1.0);
        put("update.pending", "", if self.group == "office" { 14.0 } else { 2.0 });
        put("update.security", "", 0.0);
        put("reboot.required", "", 0.0);
        put("uptime", "", up);
        for (service, check) in &self.services {
            self.service(service, check, cpu, jitter, up, &mut put);
        }
        list
    }

    fn service(
        &self,
        service: &str,
        check: &str,
        cpu: f64,
        jitter: f64,
        up: f64,
        put: &mut dyn FnMut(&str, &str, f64),
    ) {
        put("check.ok", &format!("{service}/{check}"), 1.0);
        put("check.seconds", &format!("{service}/{check}"), 0.02 + 0.05 * jitter);
        put("process.watched.memory", service, (0.9 + 0.7 * cpu) * GIB);
        match check {
            "http" => {
                put("http.latency", service, 0.06 + 0.5 * cpu.powi(4) + 0.03 * jitter);
                put("http.status", service, 200.0);
            }
            "postgres" => {
                put("postgres.latency", service, 0.008 + 0.004 * jitter);
                put("postgres.connections", service, (20.0 + 60.0 * cpu).round());
                put("postgres.connections.used", service, 0.2 + 0.6 * cpu);
                put("postgres.hit-ratio", service, 0.993);
            }
            "redis" => {
                put("redis.latency", service, 0.001);
                put("redis.memory", service, (1.1 + 0.2 * jitter) * GIB);
                put("redis.clients", service, (40.0 + 80.0 * cpu).round());
                put("redis.hits", service, (up * 900.0).floor());
                put("redis.misses", service, (up * 12.0).floor());
            }
            _ => {}
        }
    }

    fn facts(&self) -> Vec<Fact> {
        let fact = |name: &str, text: &str| Fact { name: name.to_owned(), item: String::new(), text: text.to_owned() };
        vec![
            fact("host.kernel", "6.1.0-32-amd64"),
            fact("host.distribution.name", "Debian GNU/Linux 12 (bookworm)"),
            fact("host.architecture", "x86_64"),
            fact("time.source", "chrony, 192.0.2.1"),
        ]
    }

    fn top(&self, at: DateTime<Utc>, sequence: u64) -> Vec<Process> {
        let cpu = self.cpu(at, sequence);
        let list: &[(&str, &str, &str)] = match self.group.as_str() {
            "web" => &[("www-data", "shop", "shop.service"), ("www-data", "nginx", "nginx.service")],
            "data" => &[("postgres", "postgres", "postgresql.service"), ("root", "walreceiver", "postgresql.service")],
            "cache" => &[("redis", "redis-server", "redis.service"), ("root", "sshd", "ssh.service")],
            "batch" => &[("batch", "report", "report.service"), ("root", "cron", "cron.service")],
            _ => &[("root", "rsync", "backup.service"), ("root", "cron", "cron.service")],
        };
        let mut found = Vec::new();
        for (n, (user, comm, unit)) in list.iter().enumerate() {
            let share = 1.0 / (n as f64 + 1.4);
            for (by, value) in [(By::Cpu, cpu * share * 4.0), (By::Memory, share * 2.0 * GIB), (By::Io, share * 4e5)] {
                found.push(Process {
                    by,
                    pid: 700 + 37 * u32::try_from(n + self.number).unwrap_or_default(),
                    user: (*user).to_owned(),
                    comm: (*comm).to_owned(),
                    unit: (*unit).to_owned(),
                    command: String::new(),
                    value,
                });
            }
        }
        found.sort_by_key(|process| process.by);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::catalogue;

    #[test]
    fn a_moment_always_gives_the_same_sample_of_known_metrics() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.xml");
        std::fs::write(&file, super::super::CONFIG).unwrap();
        let spec = crate::config::load(&file).map_err(|report| report.to_string()).unwrap();
        let at = DateTime::from_timestamp(1_790_000_100, 0).unwrap();
        assert_eq!(spec.hosts.len(), 12);
        for (n, host) in spec.hosts.iter().enumerate() {
            let machine = Machine::new(n, host, at);
            let sample = machine.sample(at - TimeDelta::hours(3));
            assert_eq!(sample, machine.sample(at - TimeDelta::hours(3)));
            for reading in &sample.readings {
                assert!(catalogue::measured(&reading.metric).is_some() && reading.value.is_finite(), "{reading:?}");
            }
            let later = machine.sample(at);
            let total = |sample: &Sample| sample.value("network.receive.bytes", "eth0").unwrap();
            assert!(total(&later) > total(&sample), "totals only grow");
        }
        assert_eq!(times(at, at + TimeDelta::minutes(11)).len(), 2);
    }
}

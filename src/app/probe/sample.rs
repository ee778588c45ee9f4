//! Takes one sample of this machine.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::guard;
use crate::app::clock;
use crate::check::{self, Done, Memory};
use crate::measure::{self, Past, Processes, Restarts, Root, Totals};
use crate::model::check::Order;
use crate::model::clean::clean_bytes;
use crate::model::sample::{Reading, Sample, SampleKey};

/// A sample, and what the next one of this boot starts from.
pub struct Taken {
    /// The sample.
    pub sample: Sample,
    /// Processor totals at its time.
    pub totals: Option<Totals>,
    /// What its processes had used by then.
    pub processes: Option<Processes>,
    /// How often services were restarted by then.
    pub restarts: Option<Restarts>,
    /// What checks want to remember.
    pub memory: Memory,
}

/// The checks of a sample.
#[derive(Default)]
pub struct Checks {
    /// What is ordered.
    pub orders: Vec<Order>,
    /// What they remember of the last sample.
    pub memory: Memory,
    /// For all of them.
    pub time: Duration,
}

/// What the sections say, for `--explain`.
pub fn measured(root: &Root) -> measure::Measured {
    measure::measure(root, Past { now: clock::now().timestamp(), ..Past::default() })
}

/// Measures, checks beside it; what `past` holds is of the same boot, but for its time, which is set here.
pub fn take(root: &Root, past: Past, sequence: u64, checks: Checks) -> Taken {
    let taken = clock::now();
    let begin = Instant::now();
    let ordered = !checks.orders.is_empty();
    let until = Instant::now() + checks.time;
    let running = ordered.then(|| check::start(checks.orders, checks.memory, taken.timestamp(), until, guard::spawn));
    let mut measured = measure::measure(root, Past { now: taken.timestamp(), ..past });
    let Done { readings, faults, memory } = running.map(check::Running::finish).unwrap_or_default();
    measured.readings.extend(readings);
    measured.faults.extend(faults);
    let wall = (begin.elapsed().as_secs_f64() * 1e4).round() / 1e4;
    measured.readings.push(Reading { metric: "probe.seconds".into(), item: String::new(), value: wall });
    #[allow(clippy::cast_precision_loss, reason = "seconds of this process are few")]
    let cpu = {
        let spent = clock_gettime(ClockId::ProcessCPUTime);
        (spent.tv_sec as f64 * 1e4 + spent.tv_nsec as f64 / 1e5).round() / 1e4
    };
    measured.readings.push(Reading { metric: "probe.cpu".into(), item: String::new(), value: cpu });
    let sample = Sample {
        key: SampleKey { boot: measure::boot_id(root), sequence },
        taken,
        hostname: clean_bytes(rustix::system::uname().nodename().to_bytes()),
        probe: env!("CARGO_PKG_VERSION").to_owned(),
        readings: measured.readings,
        faults: measured.faults,
        facts: measured.facts,
        top: measured.top,
    };
    let measure::Measured { totals, processes, restarts, .. } = measured;
    Taken { sample, totals, processes, restarts, memory }
}

//! Takes one sample of this machine.

use rustix::time::{ClockId, clock_gettime};

use crate::app::clock;
use crate::measure::{self, Past, Processes, Root, Totals};
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
}

/// Measures; what `past` holds is of the same boot, but for its time, which is set here.
pub fn take(root: &Root, past: Past, sequence: u64) -> Taken {
    let taken = clock::now();
    let mut measured = measure::measure(root, Past { now: taken.timestamp(), ..past });
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
    Taken { sample, totals: measured.totals, processes: measured.processes }
}

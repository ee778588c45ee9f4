//! Runs the collectors one after the other, where each can be left behind.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::out::Out;
use super::{Collector, Past, Root};
use crate::model::sample::FaultKind;

/// How long one section may take, and all together. Sections that know what may hang have shorter deadlines inside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) section: Duration,
    pub(super) all: Duration,
}

pub(super) const PATIENCE: Patience = Patience { section: Duration::from_secs(8), all: Duration::from_secs(20) };

/// A section that came to its end.
struct Part {
    out: Out,
    took: Duration,
}

/// Runs all. The work is done in another thread: one that hangs is left behind and a new one takes up the rest.
pub(super) fn all(root: &Root, collectors: &'static [Collector], patience: Patience, out: &mut Out) {
    let end = Instant::now() + patience.all;
    let mut parts = None;
    for (at, collector) in collectors.iter().enumerate() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            out.section(collector.name);
            let text = format!("not looked at: all sections together took {} s", patience.all.as_secs_f32());
            out.fault("", FaultKind::Hung, text);
            continue;
        }
        let receiver = match parts.take() {
            Some(receiver) => receiver,
            None => match start(root, &collectors[at..], out.cores, &out.past) {
                Some(receiver) => receiver,
                // No thread to be had: better without a deadline than not at all.
                None => {
                    take(one(root, collector, out.cores, &out.past), collector, out);
                    continue;
                }
            },
        };
        match receiver.recv_timeout(patience.section.min(left)) {
            Ok(part) => {
                take(part, collector, out);
                parts = Some(receiver);
            }
            Err(error) => {
                out.section(collector.name);
                match error {
                    RecvTimeoutError::Timeout => {
                        let text = format!("no end within {} s; it was left behind", patience.section.as_secs_f32());
                        out.fault("", FaultKind::Hung, text);
                    }
                    RecvTimeoutError::Disconnected => out.malformed("", "the section ended without an answer"),
                }
            }
        }
    }
}

fn start(
    root: &Root,
    collectors: &'static [Collector],
    cores: Option<u32>,
    past: &Arc<Past>,
) -> Option<Receiver<Part>> {
    let (sender, receiver) = mpsc::channel();
    let (root, mut cores, past) = (root.clone(), cores, Arc::clone(past));
    let work = move || {
        for collector in collectors {
            let part = one(&root, collector, cores, &past);
            cores = cores.or(part.out.cores);
            if sender.send(part).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().stack_size(256 * 1024).spawn(work).ok()?;
    Some(receiver)
}

fn one(root: &Root, collector: &Collector, cores: Option<u32>, past: &Arc<Past>) -> Part {
    let begin = Instant::now();
    let mut out = Out::beside(cores, past);
    out.section(collector.name);
    (collector.collect)(root, &mut out);
    Part { out, took: begin.elapsed() }
}

fn take(part: Part, collector: &Collector, out: &mut Out) {
    out.sections.push((collector.name, part.out.count()));
    out.absorb(part.out);
    // In tenths of milliseconds.
    let seconds = (part.took.as_secs_f64() * 1e4).round() / 1e4;
    out.put("probe.section.seconds", collector.name, seconds);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Patience = Patience { section: Duration::from_millis(200), all: Duration::from_secs(5) };

    fn quick(_: &Root, out: &mut Out) {
        out.whole("uptime", "", u64::from(out.cores.unwrap_or(0)));
    }

    fn cores(_: &Root, out: &mut Out) {
        out.cores = Some(7);
    }

    fn hangs(_: &Root, out: &mut Out) {
        std::thread::sleep(Duration::from_secs(3));
        out.whole("uptime", "late", 1);
    }

    fn run(collectors: &'static [Collector], patience: Patience) -> super::super::Measured {
        let mut out = Out::default();
        all(&Root::default(), collectors, patience, &mut out);
        out.into_measured()
    }

    #[test]
    fn a_section_that_hangs_costs_its_own_values_only() {
        const LIST: &[Collector] = &[
            Collector { name: "cores", help: "", collect: cores },
            Collector { name: "hangs", help: "", collect: hangs },
            Collector { name: "quick", help: "", collect: quick },
        ];
        let got = run(LIST, SHORT);
        let values: Vec<(&str, f64)> =
            got.readings.iter().filter(|r| r.metric == "uptime").map(|r| (r.item.as_str(), r.value)).collect();
        assert_eq!(values, [("", 7.0)]);
        let faults: Vec<_> = got.faults.iter().map(|f| (f.section.as_str(), f.kind)).collect();
        assert_eq!(faults, [("hangs", FaultKind::Hung)]);
        let costs: Vec<&str> =
            got.readings.iter().filter(|r| r.metric.starts_with("probe.")).map(|r| r.item.as_str()).collect();
        assert_eq!(costs, ["cores", "quick"]);
    }

    #[test]
    fn all_together_are_bounded_and_the_rest_is_told() {
        const LIST: &[Collector] = &[
            Collector { name: "a", help: "", collect: hangs },
            Collector { name: "b", help: "", collect: hangs },
            Collector { name: "c", help: "", collect: quick },
        ];
        let got = run(LIST, Patience { section: Duration::from_secs(9), all: Duration::from_millis(200) });
        assert!(got.readings.is_empty());
        assert!(got.faults.len() == 3 && got.faults.iter().all(|fault| fault.kind == FaultKind::Hung));
    }
}

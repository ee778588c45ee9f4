//! Runs the collectors one after the other, where each can be left behind.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// Work that another thread does.
struct Work {
    progress: Arc<Mutex<Progress>>,
    /// Says nothing; its other end is gone when the thread is.
    ended: Receiver<()>,
}

/// How far the work is.
struct Progress {
    parts: Vec<Part>,
    /// When the section under way began.
    since: Instant,
}

/// Runs all. The work is done in another thread: one that hangs is left behind and a new one takes up the rest.
pub(super) fn all(root: &Root, collectors: &'static [Collector], patience: Patience, out: &mut Out) {
    let end = Instant::now() + patience.all;
    let mut rest = collectors.iter();
    while let Some(collector) = rest.as_slice().first() {
        if Instant::now() >= end {
            out.section(collector.name);
            let text = format!("not looked at: all sections together took {} s", patience.all.as_secs_f32());
            out.fault("", FaultKind::Hung, text);
            rest.next();
            continue;
        }
        let Some(work) = Work::start(root, rest.as_slice(), out.cores, &out.past) else {
            // No thread to be had: better without a deadline than not at all.
            take(one(root, collector, out.cores, &out.past), collector, out);
            rest.next();
            continue;
        };
        let (parts, hung) = work.wait(patience.section, end);
        for (part, collector) in parts.into_iter().zip(&mut rest) {
            take(part, collector, out);
        }
        let Some(collector) = rest.next() else { return };
        out.section(collector.name);
        if hung {
            let text = format!("no end within {} s; it was left behind", patience.section.as_secs_f32());
            out.fault("", FaultKind::Hung, text);
        } else {
            out.malformed("", "the section ended without an answer");
        }
    }
}

impl Work {
    fn start(root: &Root, collectors: &'static [Collector], cores: Option<u32>, past: &Arc<Past>) -> Option<Self> {
        let progress = Arc::new(Mutex::new(Progress { parts: Vec::new(), since: Instant::now() }));
        let (alive, ended) = mpsc::channel();
        let (root, mut cores, past) = (root.clone(), cores, Arc::clone(past));
        let told = Arc::downgrade(&progress);
        let work = move || {
            let _alive: Sender<()> = alive;
            for collector in collectors {
                let part = one(&root, collector, cores, &past);
                cores = cores.or(part.out.cores);
                // Left behind meanwhile.
                let Some(progress) = told.upgrade() else { return };
                let mut progress = lock(&progress);
                progress.parts.push(part);
                progress.since = Instant::now();
            }
        };
        std::thread::Builder::new().stack_size(256 * 1024).spawn(work).ok()?;
        Some(Self { progress, ended })
    }

    /// Waits for the end of the work, or until one section or all together took too long: that is the second answer.
    /// It sleeps through: to be woken for each section would cost more than most of them.
    fn wait(self, section: Duration, end: Instant) -> (Vec<Part>, bool) {
        loop {
            let until = end.min(lock(&self.progress).since + section);
            let said = self.ended.recv_timeout(until.saturating_duration_since(Instant::now()));
            let hung = said == Err(RecvTimeoutError::Timeout);
            let mut progress = lock(&self.progress);
            if !hung || Instant::now() >= end.min(progress.since + section) {
                return (std::mem::take(&mut progress.parts), hung);
            }
        }
    }
}

fn lock(progress: &Mutex<Progress>) -> MutexGuard<'_, Progress> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn breaks(_: &Root, _: &mut Out) {
        panic!("a mistake in a section");
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

    #[test]
    fn a_section_that_breaks_is_told_and_the_rest_goes_on() {
        const LIST: &[Collector] = &[
            Collector { name: "cores", help: "", collect: cores },
            Collector { name: "breaks", help: "", collect: breaks },
            Collector { name: "quick", help: "", collect: quick },
        ];
        let got = run(LIST, Patience { section: Duration::from_secs(60), all: Duration::from_secs(60) });
        assert!(got.readings.iter().any(|reading| reading.metric == "uptime"));
        let faults: Vec<_> = got.faults.iter().map(|f| (f.section.as_str(), f.kind)).collect();
        assert_eq!(faults, [("breaks", FaultKind::Malformed)]);
    }
}

//! Whole sweeps with dialers that die or do not come up.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use super::crew::Dialers;
use super::hire::{Hire, Hired};
use super::keeper::sweep;
use super::played::{named, planned_far};
use super::report::{Progress, SweepResult};
use crate::app::clock;
use crate::app::dialer::fence::Fence;
use crate::app::dialer::frames::{Frames, framed};
use crate::app::dialer::message::{MAX_ORDER, Order, READY, SET};
use crate::app::dialer::serve::serve;
use crate::app::exit::Exit;
use crate::config;
use crate::model::cause::Cause;
use crate::model::job::{FromDialer, Job, ToDialer, Traffic};
use crate::model::turn::Begun;
use crate::store::memory::Memory;

fn swept(folder: &Path, count: u32, jobs: usize, hire: Hire) -> SweepResult {
    let file = folder.join("config.xml");
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<fleet-health version=\"1\">\
         <collector jobs=\"{jobs}\"/><host name=\"a\" transport=\"local\"/></fleet-health>"
    );
    std::fs::write(&file, text).unwrap();
    let spec = config::load(&file).unwrap();
    let names: Vec<String> = (0..count).map(|n| format!("h{n:03}")).collect();
    let hosts = named(&spec, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let plan = planned_far(&hosts, Begun::plain(clock::now(), count));
    let dialers = Dialers { hire, fence: Fence::default(), local: Box::new(|_, _, _| panic!("nothing is local here")) };
    let stop = Arc::new(AtomicBool::new(false));
    sweep(&spec, plan, &[], dialers, &mut Memory::default(), &stop, &mut Progress(None)).unwrap()
}

/// Takes so many hosts and dies.
fn doomed(mut far: UnixStream, hosts: usize) {
    io::Write::write_all(&mut far, &[framed(READY), framed(SET)].concat()).unwrap();
    let (mut frames, mut told) = (Frames::new(MAX_ORDER), 0);
    while told < hosts && frames.fill(&mut far).is_ok_and(|count| count > 0) {
        while let Some(order) = frames.next().unwrap() {
            told += usize::from(matches!(Order::decode(order).unwrap(), Order::Visit(_)));
        }
    }
}

fn down(job: &Job, say: &mut dyn FnMut(FromDialer), _: &Receiver<ToDialer>) {
    let (host, traffic) = (job.host.clone(), Traffic::default());
    say(FromDialer::Failed { host, cause: Cause::Refused, text: "down".into(), traffic });
}

#[test]
fn a_dialer_that_dies_once_does_not_slow_down_those_that_come_after() {
    let dir = tempfile::tempdir().unwrap();
    let (peak, first) = (Arc::new(AtomicUsize::new(0)), AtomicBool::new(true));
    let seen = Arc::clone(&peak);
    let hire: Hire = Box::new(move || {
        let (line, far) = UnixStream::pair()?;
        if first.swap(false, Ordering::Relaxed) {
            thread::spawn(move || doomed(far, 64));
            return Ok(Hired::played(line));
        }
        let (now, peak, begun) = (AtomicUsize::new(0), Arc::clone(&seen), Instant::now());
        let dial = move |job: &Job, say: &mut dyn FnMut(FromDialer), answer: &Receiver<ToDialer>| {
            peak.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            // Nobody leaves before there are enough, as long as that may still come to be.
            while peak.load(Ordering::Relaxed) <= 48 && begun.elapsed() < Duration::from_secs(5) {
                thread::sleep(Duration::from_millis(5));
            }
            now.fetch_sub(1, Ordering::Relaxed);
            down(job, say, answer);
        };
        thread::spawn(move || serve(far, Box::new(dial)));
        Ok(Hired::played(line))
    });
    let result = swept(dir.path(), 400, 64, hire);
    assert_eq!((result.hosts.len(), result.failed()), (400, 400));
    let peak = peak.load(Ordering::Relaxed);
    assert!((49..=64).contains(&peak), "{peak} at once");
}

#[test]
fn a_dialer_that_cannot_be_started_is_tried_twice_and_then_the_collectors_failure() {
    let dir = tempfile::tempdir().unwrap();
    for (failures, exit) in [(1, Exit::Partly), (9, Exit::Failed)] {
        let tries = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&tries);
        let hire: Hire = Box::new(move || {
            if count.fetch_add(1, Ordering::Relaxed) < failures {
                return Err(io::Error::other("no more processes"));
            }
            let (line, far) = UnixStream::pair()?;
            thread::spawn(move || serve(far, Box::new(down)));
            Ok(Hired::played(line))
        });
        let result = swept(dir.path(), 5, 2, hire);
        assert_eq!((result.hosts.len(), tries.load(Ordering::Relaxed)), (5, 2));
        assert_eq!(result.exit().unwrap(), exit);
        assert_eq!(result.trouble().contains("no more processes"), exit == Exit::Failed, "{}", result.trouble());
    }
}

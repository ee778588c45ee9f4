//! Runs the checks that are due, a bounded number at once, each in a thread that is left behind when it hangs.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::memory::Kept;
use super::{CHECKS, Found, Memory, Occasion, Trouble};
use crate::model::check::Order;
use crate::model::sample::{Fault, FaultKind, Reading};
use crate::model::start::Starter;

/// Checks at once.
const PARALLEL: usize = 8;
/// Deep enough for every check; the memory is only taken where it is used.
const STACK: usize = 512 * 1024;
/// What a check may take beyond its timeout to say so itself.
const GRACE: Duration = Duration::from_millis(300);
/// A check with an interval of its own runs this much early rather than an interval late: sweeps are not punctual.
const EARLY: i64 = 30;

/// What all checks of a sample found.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// Values, in the order of the task.
    pub readings: Vec<Reading>,
    /// What could not be told, and why.
    pub faults: Vec<Fault>,
    /// To keep for the next sample.
    pub memory: Memory,
}

/// Checks under way beside everything else.
pub struct Running {
    result: Receiver<Done>,
    until: Instant,
    orders: Arc<Vec<Order>>,
}

/// Starts the checks of a task. `now` is the host's clock in seconds since 1970; whatever runs at `until` is left behind.
#[must_use]
pub fn start(orders: Vec<Order>, memory: Memory, now: i64, until: Instant, starter: Starter) -> Running {
    let orders = Arc::new(orders);
    let shared = Arc::clone(&orders);
    let (say, result) = mpsc::channel();
    // Where no thread can be had the channel ends at once, and that is told.
    let _ = thread::Builder::new().stack_size(STACK).spawn(move || {
        let _ = say.send(all(&shared, &memory, now, until, starter));
    });
    Running { result, until, orders }
}

impl Running {
    /// Waits for the end, at the latest until the deadline.
    #[must_use]
    pub fn finish(self) -> Done {
        let left = self.until.saturating_duration_since(Instant::now()) + GRACE * 2;
        self.result.recv_timeout(left).unwrap_or_else(|_| {
            let mut done = Done::default();
            for order in self.orders.iter() {
                let mut found = Found::new(order);
                found.fault(FaultKind::Cut, "the checks could not be run: no thread");
                done.faults.append(&mut found.faults);
            }
            done
        })
    }
}

/// What one run of one check came to.
struct Outcome {
    found: Found,
    took: Duration,
    result: Result<(), Trouble>,
}

fn all(orders: &Arc<Vec<Order>>, memory: &Memory, now: i64, until: Instant, starter: Starter) -> Done {
    let mut outcomes: Vec<Option<Outcome>> = orders.iter().map(|_| None).collect();
    let due = |order: &Order| match (order.every, memory.last(order)) {
        // A clock that was set back must not silence a check for years.
        (Some(every), Some(kept)) => {
            let every = i64::try_from(every.as_secs()).unwrap_or(i64::MAX);
            kept.at > now || now - kept.at >= (every - EARLY).max(1)
        }
        _ => true,
    };
    let mut waiting: VecDeque<usize> = (0..orders.len()).filter(|&i| due(&orders[i])).collect();
    let mut live: Vec<(usize, Instant)> = Vec::new();
    let (say, heard) = mpsc::channel();
    loop {
        while live.len() < PARALLEL && Instant::now() < until {
            let Some(next) = waiting.pop_front() else { break };
            let order = &orders[next];
            let end = (Instant::now() + order.timeout).min(until);
            let note = memory.last(order).map(|kept| kept.note.clone()).unwrap_or_default();
            let (say, orders) = (say.clone(), Arc::clone(orders));
            let started = thread::Builder::new().stack_size(STACK).spawn(move || {
                let outcome = one(&orders[next], end, now, &note, starter);
                let _ = say.send((next, outcome));
            });
            match started {
                Ok(_) => live.push((next, end + GRACE)),
                Err(error) => {
                    outcomes[next] = Some(unknown(order, memory, format!("no thread: {error}")));
                }
            }
        }
        let Some(first) = live.iter().map(|(_, end)| *end).min() else { break };
        match heard.recv_timeout(first.saturating_duration_since(Instant::now())) {
            Ok((which, outcome)) => {
                // One that was given up may still speak; its time is over.
                if let Some(place) = live.iter().position(|(live, _)| *live == which) {
                    live.swap_remove(place);
                    outcomes[which] = Some(outcome);
                }
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                let over = Instant::now();
                for (which, _) in live.extract_if(.., |(_, end)| *end <= over) {
                    let text = "hung, and was left behind".to_owned();
                    let result = Err(Trouble::Bad(FaultKind::Hung, text));
                    let order = &orders[which];
                    outcomes[which] = Some(Outcome { found: blank(order, memory), took: order.timeout, result });
                }
            }
        }
    }
    for late in waiting {
        let text = "no time was left for it; give fewer or quicker checks, or a greater timeout= of <collector>";
        outcomes[late] = Some(unknown(&orders[late], memory, text.to_owned()));
    }
    told(orders, outcomes, memory, now)
}

/// Nothing found; what was remembered stays so.
fn blank(order: &Order, memory: &Memory) -> Found {
    let mut found = Found::new(order);
    found.note = memory.last(order).map(|kept| kept.note.clone()).unwrap_or_default();
    found
}

/// A check that was not run.
fn unknown(order: &Order, memory: &Memory, text: String) -> Outcome {
    let result = Err(Trouble::Unknown(FaultKind::Cut, text));
    Outcome { found: blank(order, memory), took: Duration::ZERO, result }
}

fn one(order: &Order, until: Instant, now: i64, note: &str, starter: Starter) -> Outcome {
    let begin = Instant::now();
    let mut found = Found::new(order);
    // What is not said anew stays remembered.
    found.note = note.to_owned();
    let result = match (&order.refused, CHECKS.iter().find(|check| check.kind() == order.kind)) {
        (Some(text), _) => Err(Trouble::denied(text.clone())),
        (None, None) => Err(Trouble::unsupported(format!("this probe knows no check \"{}\"", order.kind))),
        (None, Some(check)) => {
            let occasion = Occasion { order, until, now, note, root: Path::new("/"), starter };
            check.look(&occasion, &mut found)
        }
    };
    Outcome { found, took: begin.elapsed(), result }
}

/// Outcomes as readings and faults; checks that were not due tell what they found last.
fn told(orders: &[Order], outcomes: Vec<Option<Outcome>>, memory: &Memory, now: i64) -> Done {
    let mut done = Done::default();
    for (order, outcome) in orders.iter().zip(outcomes) {
        let item = crate::model::clean::clean(&order.name());
        let mut age = 0;
        match (outcome, memory.last(order)) {
            (Some(outcome), _) => {
                let Outcome { mut found, took, result } = outcome;
                let mut put = |metric: &str, value: f64| {
                    found.readings.push(Reading { metric: metric.to_owned(), item: item.clone(), value });
                };
                match &result {
                    Ok(()) => put("check.ok", 1.0),
                    Err(Trouble::Bad(..)) => put("check.ok", 0.0),
                    Err(Trouble::Unknown(..)) => {}
                }
                put("check.unknown", f64::from(u8::from(matches!(result, Err(Trouble::Unknown(..))))));
                put("check.seconds", (took.as_secs_f64() * 1e6).round() / 1e6);
                if let Err(Trouble::Bad(kind, text) | Trouble::Unknown(kind, text)) = result {
                    found.fault(kind, text);
                }
                let note = std::mem::take(&mut found.note);
                done.memory.keep(order, Kept::new(order, now, note, &found.readings, &found.faults));
                done.readings.append(&mut found.readings);
                done.faults.append(&mut found.faults);
            }
            (None, Some(kept)) => {
                done.readings.extend(kept.readings());
                done.faults.extend(kept.faults());
                age = now - kept.at;
                done.memory.keep(order, kept.clone());
            }
            (None, None) => {}
        }
        if order.every.is_some() {
            #[allow(clippy::cast_precision_loss, reason = "seconds since a check ran are few")]
            let value = age.max(0) as f64;
            done.readings.push(Reading { metric: "check.age".to_owned(), item, value });
        }
    }
    done
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::Check;
    use super::*;

    /// One look of a check at a machine that is made of files.
    pub fn look(check: &dyn Check, attributes: &[(&str, &str)], root: &Path) -> (Found, Result<(), Trouble>) {
        let order = Order {
            service: "s".into(),
            check: check.kind().into(),
            item: "s".into(),
            kind: check.kind().into(),
            attributes: attributes.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            ..Order::default()
        };
        #[allow(clippy::disallowed_methods, reason = "files of a test are of now")]
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        again(check, &order, root, now.cast_signed(), "")
    }

    /// As [`look`], at a time, with what an earlier run left.
    pub fn again(check: &dyn Check, order: &Order, root: &Path, now: i64, note: &str) -> (Found, Result<(), Trouble>) {
        let until = Instant::now() + Duration::from_secs(5);
        let occasion = Occasion { order, until, now, note, root, starter: std::process::Command::spawn };
        let mut found = Found::new(order);
        found.note = note.to_owned();
        let result = check.look(&occasion, &mut found);
        (found, result)
    }

    fn order(service: &str, address: &str) -> Order {
        let mut order = Order {
            service: service.into(),
            check: "tcp".into(),
            item: service.into(),
            kind: "tcp".into(),
            timeout: Duration::from_millis(300),
            ..Order::default()
        };
        order.attributes.insert("address".into(), address.into());
        order
    }

    fn value(done: &Done, metric: &str, item: &str) -> Option<f64> {
        done.readings.iter().find(|r| r.metric == metric && r.item == item).map(|r| r.value)
    }

    fn run(orders: Vec<Order>, memory: Memory, now: i64) -> Done {
        start(orders, memory, now, Instant::now() + Duration::from_secs(5), std::process::Command::spawn).finish()
    }

    #[test]
    fn good_bad_and_unknown_are_three_answers() {
        let open = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = open.local_addr().unwrap().to_string();
        let mut foreign = order("foreign", &address);
        foreign.kind = "quantum".into();
        let mut unread = order("unread", &address);
        unread.refused = Some("the secret in /x cannot be read".into());
        let done =
            run(vec![order("good", &address), order("bad", "127.0.0.1:1"), foreign, unread], Memory::default(), 9);
        assert_eq!(
            (value(&done, "check.ok", "good/tcp"), value(&done, "check.unknown", "good/tcp")),
            (Some(1.0), Some(0.0))
        );
        assert_eq!(
            (value(&done, "check.ok", "bad/tcp"), value(&done, "check.unknown", "bad/tcp")),
            (Some(0.0), Some(0.0))
        );
        for service in ["foreign/tcp", "unread/tcp"] {
            assert_eq!((value(&done, "check.ok", service), value(&done, "check.unknown", service)), (None, Some(1.0)));
        }
        assert_eq!(done.faults.len(), 3);
    }

    #[test]
    fn many_silent_services_cost_little_more_than_one() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap().to_string();
        let orders: Vec<Order> = (0..12)
            .map(|n| {
                let mut order = order(&format!("s{n}"), &address);
                order.attributes.insert("expect".into(), "never".into());
                order
            })
            .collect();
        let begin = Instant::now();
        let done = run(orders, Memory::default(), 9);
        assert!(begin.elapsed() < Duration::from_secs(4));
        assert_eq!(done.faults.iter().filter(|fault| fault.kind == FaultKind::Hung).count(), 12);
    }

    #[test]
    fn an_interval_of_its_own_is_kept_and_the_age_is_told() {
        let open = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut slow = order("slow", &open.local_addr().unwrap().to_string());
        slow.every = Some(Duration::from_secs(3600));
        let first = run(vec![slow.clone()], Memory::default(), 100_000);
        drop(open);
        let kept = run(vec![slow.clone()], first.memory, 101_000);
        assert_eq!(
            (value(&kept, "check.ok", "slow/tcp"), value(&kept, "check.age", "slow/tcp")),
            (Some(1.0), Some(1000.0))
        );
        let due = run(vec![slow.clone()], kept.memory.clone(), 103_580);
        assert_eq!((value(&due, "check.ok", "slow/tcp"), value(&due, "check.age", "slow/tcp")), (Some(0.0), Some(0.0)));
        let set_back = run(vec![slow], kept.memory, 50);
        assert_eq!(value(&set_back, "check.ok", "slow/tcp"), Some(0.0));
    }
}

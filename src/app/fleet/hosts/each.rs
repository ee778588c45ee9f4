//! Several hosts at once, as many as the collector visits; a fleet with dead hosts would take an hour one by one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use crate::app::descriptors;
use crate::app::exit::{Exit, Failure};

/// Does the work for each item, at most `jobs` beside each other, and hands over what came of it in the items' order,
/// each as soon as those before it are done.
///
/// # Errors
/// What `done` says, or that no thread can be had; then no further item is begun.
pub fn each<I: Sync, T: Send>(
    items: &[I],
    jobs: usize,
    work: impl Fn(&I) -> T + Sync,
    mut done: impl FnMut(&I, T) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let next = AtomicUsize::new(0);
    let (say, said) = mpsc::channel();
    std::thread::scope(|scope| {
        for number in 0..descriptors::visits(jobs.min(items.len())) {
            let (say, next, work) = (say.clone(), &next, &work);
            let started = std::thread::Builder::new().spawn_scoped(scope, move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { return };
                    if say.send((at, work(item))).is_err() {
                        return;
                    }
                }
            });
            match started {
                Ok(_) => {}
                // Fewer threads only take longer.
                Err(_) if number > 0 => break,
                Err(error) => return Err(Failure::new(Exit::Failed, format!("no thread can be started: {error}"))),
            }
        }
        drop(say);
        let mut early = BTreeMap::new();
        let mut told = 0;
        for (at, result) in &said {
            early.insert(at, result);
            while let Some(result) = early.remove(&told) {
                let ended = items.get(told).map_or(Ok(()), |item| done(item, result));
                if ended.is_err() {
                    next.store(items.len(), Ordering::Relaxed);
                    return ended;
                }
                told += 1;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn all_at_once_and_told_in_order() {
        // Nobody passes before all four have come: one by one this would never end.
        let barrier = Barrier::new(4);
        let mut told = Vec::new();
        let work = |item: &u64| {
            barrier.wait();
            std::thread::sleep(std::time::Duration::from_millis(40 - 10 * item));
            item * 2
        };
        let done = |item: &u64, result: u64| {
            told.push((*item, result));
            Ok(())
        };
        each(&[0, 1, 2, 3], 64, work, done).unwrap();
        assert_eq!(told, [(0, 0), (1, 2), (2, 4), (3, 6)]);
    }

    #[test]
    fn a_closed_pipe_ends_it() {
        let items: Vec<usize> = (0..1000).collect();
        let begun = AtomicUsize::new(0);
        let work = |_: &usize| begun.fetch_add(1, Ordering::Relaxed);
        let ended = each(&items, 1, work, |_, _| Err(Failure::new(Exit::Failed, "enough")));
        assert_eq!(ended.unwrap_err().text, "enough");
        each(&[] as &[usize], 4, work, |_, _| Ok(())).unwrap();
    }
}

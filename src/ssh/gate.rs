//! Who computes: of the sessions that are being opened only a few at once, those before others that have begun before.
//!
//! Key exchange and login are the one part of a visit that costs the processor something. Hundreds that meet there would
//! all get on equally slowly, and all be late together; so who begins waits until those who are further on have nothing to
//! compute. While a session waits for the network it holds nobody up.

use std::cell::Cell;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Sessions that compute at once, for each processor: one that is interrupted leaves none idle.
const FOR_EACH: usize = 2;
/// After that one goes in, whoever is inside: evenness is worth no failure.
const PATIENCE: Duration = Duration::from_secs(1);

static GATE: LazyLock<Gate> =
    LazyLock::new(|| Gate::new(FOR_EACH * std::thread::available_parallelism().map_or(1, usize::from)));

thread_local! {
    /// Whether this thread is counted as one that computes.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Waits for the right to begin; it ends when it is dropped.
pub(super) fn enter() -> Pass {
    let before = INSIDE.replace(true);
    if !before {
        GATE.enter(false);
    }
    Pass { before }
}

/// Waits for something else than the processor, and lets others compute meanwhile.
pub(super) fn outside<T>(wait: impl FnOnce() -> T) -> T {
    if !INSIDE.replace(false) {
        return wait();
    }
    GATE.leave();
    let result = wait();
    GATE.enter(true);
    INSIDE.set(true);
    result
}

/// The right to compute.
pub(super) struct Pass {
    /// Somebody further out holds the right already.
    before: bool,
}

impl Drop for Pass {
    fn drop(&mut self) {
        if !self.before && INSIDE.replace(false) {
            GATE.leave();
        }
    }
}

struct Gate {
    most: usize,
    state: Mutex<State>,
    /// For those who go on, and for those who begin.
    news: [Condvar; 2],
}

#[derive(Default)]
struct State {
    inside: usize,
    /// Who waits to go on.
    going_on: usize,
    /// Who waits to begin.
    beginning: usize,
}

impl Gate {
    fn new(most: usize) -> Self {
        Self { most, state: Mutex::default(), news: [Condvar::new(), Condvar::new()] }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, again: bool) {
        let until = Instant::now() + PATIENCE;
        let mut state = self.state();
        let free = |state: &State| state.inside < self.most && (again || state.going_on == 0);
        if !free(&state) {
            *Self::queue(&mut state, again) += 1;
            while !free(&state) {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                let news = if again { &self.news[0] } else { &self.news[1] };
                state = news.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            }
            *Self::queue(&mut state, again) -= 1;
        }
        state.inside += 1;
        // One that went on may have left room, and was all that those who begin waited for.
        self.wake(&state);
    }

    fn leave(&self) {
        let mut state = self.state();
        state.inside -= 1;
        self.wake(&state);
    }

    fn queue(state: &mut State, again: bool) -> &mut usize {
        if again { &mut state.going_on } else { &mut state.beginning }
    }

    fn wake(&self, state: &State) {
        if state.inside >= self.most {
            return;
        }
        if state.going_on > 0 {
            self.news[0].notify_one();
        } else if state.beginning > 0 {
            self.news[1].notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn never_more_than_a_few_compute_and_everybody_gets_through() {
        let gate = Gate::new(3);
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let compute = || {
            most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::yield_now();
            inside.fetch_sub(1, Ordering::SeqCst);
        };
        thread::scope(|scope| {
            for _ in 0..24 {
                scope.spawn(|| {
                    gate.enter(false);
                    for _ in 0..50 {
                        compute();
                        gate.leave();
                        thread::yield_now();
                        gate.enter(true);
                    }
                    gate.leave();
                });
            }
        });
        assert!((1..=3).contains(&most.load(Ordering::SeqCst)), "{most:?}");
        let state = gate.state();
        assert_eq!((state.inside, state.going_on, state.beginning), (0, 0, 0));
    }

    #[test]
    fn who_has_begun_goes_first_and_nobody_waits_for_ever() {
        let gate = Arc::new(Gate::new(1));
        gate.enter(false);
        let (say, order) = std::sync::mpsc::channel();
        let waiting = |again: bool| {
            let (gate, say) = (Arc::clone(&gate), say.clone());
            thread::spawn(move || {
                gate.enter(again);
                say.send(again).unwrap();
                gate.leave();
            });
        };
        waiting(false);
        while gate.state().beginning == 0 {
            thread::yield_now();
        }
        waiting(true);
        while gate.state().going_on == 0 {
            thread::yield_now();
        }
        gate.leave();
        assert_eq!([order.recv(), order.recv()], [Ok(true), Ok(false)]);
        // Whoever is inside never leaves.
        gate.enter(false);
        gate.enter(true);
        assert_eq!(gate.state().inside, 2);
    }

    #[test]
    fn a_thread_counts_once_and_not_while_it_waits_for_something_else() {
        let outer = enter();
        let inner = enter();
        assert!(INSIDE.get());
        outside(|| {
            assert!(!INSIDE.get());
            outside(|| assert!(!INSIDE.get()));
        });
        drop(inner);
        assert!(INSIDE.get());
        drop(outer);
        assert!(!INSIDE.get());
    }
}

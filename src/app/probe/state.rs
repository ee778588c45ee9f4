//! What the probe remembers between runs: the sequence, processor totals, and how many files the spool dropped.

use serde::{Deserialize, Serialize};

use crate::measure::{Restarts, Totals};

/// The file `state` of a spool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The boot that the rest belongs to.
    pub boot: String,
    /// The last sequence that was given away.
    pub sequence: u64,
    /// Files dropped for want of room since the collector was last told.
    pub dropped: u64,
    ticks: [u64; 8],
    at_millis: u64,
    /// Number, ticks used and all ticks of each core.
    cores: Vec<[u64; 3]>,
    /// How often services were restarted by earlier samples.
    pub restarts: Restarts,
}

impl State {
    /// From the file's bytes; a damaged file is as none.
    pub fn parse(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_default()
    }

    /// The file's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Moves to the next sequence of this boot and returns the processor totals to start from.
    ///
    /// The sequence is the boot's age in tenths of seconds, and always more than the one before: so it is never given
    /// twice and never goes back, even where the state was lost, could not be written, or a machine has two spools.
    pub fn advance(&mut self, boot: &str, uptime_millis: u64) -> Option<Totals> {
        // File names have ten digits.
        let age = (uptime_millis / 100).clamp(1, 9_000_000_000);
        if self.boot == boot && self.sequence < 9_999_999_999 {
            self.sequence = age.max(self.sequence + 1);
            let cores = self.cores.clone();
            return (self.at_millis > 0).then(|| Totals { cores, ..Totals::kept(self.ticks, self.at_millis) });
        }
        self.boot = boot.to_owned();
        self.sequence = age;
        self.at_millis = 0;
        self.restarts = Restarts::default();
        None
    }

    /// True where a sample of this boot is so old that the host is visited time and again.
    pub fn is_visited_again(&self, uptime_millis: u64) -> bool {
        self.at_millis > 0 && uptime_millis.saturating_sub(self.at_millis) >= 60_000
    }

    /// Keeps totals for the next run.
    pub fn keep(&mut self, totals: &Totals) {
        self.ticks = totals.ticks;
        self.at_millis = totals.at_millis;
        self.cores.clone_from(&totals.cores);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_processors_as_are_kept_fit_the_file() {
        let totals = Totals { cores: vec![[u64::MAX; 3]; 256], ..Totals::kept([u64::MAX; 8], u64::MAX) };
        let mut state = State::default();
        state.keep(&totals);
        assert!(state.bytes().len() < 32 * 1024, "{}", state.bytes().len());
    }

    #[test]
    fn the_sequence_grows_and_a_lost_state_or_another_spool_never_repeats_one() {
        let mut state = State::default();
        assert_eq!(state.advance("boot", 100_000), None);
        assert_eq!(state.sequence, 1000);
        let totals = Totals { cores: vec![[0, 5, 9], [1, 6, 9]], ..Totals::kept([1; 8], 100_000) };
        state.keep(&totals);
        assert!(state.is_visited_again(160_000) && !state.is_visited_again(159_999));
        assert!(!State::default().is_visited_again(160_000));
        let mut again = State::parse(&state.bytes());
        assert_eq!(again.advance("boot", 102_000), Some(totals));
        assert_eq!(again.sequence, 1020);
        again.advance("boot", 102_000);
        assert_eq!(again.sequence, 1021, "two in the same moment");
        let mut lost = State::parse(b"{\"boot\":");
        lost.advance("boot", 103_000);
        assert!(lost.sequence > again.sequence);
        again.advance("next", 5);
        assert_eq!((again.boot.as_str(), again.sequence), ("next", 1));
    }
}

//! The task: what the collector asks of the probe, one JSON line on standard input.

use serde::{Deserialize, Serialize};

use super::{WireError, is_nonce, orders};
use crate::model::check::{MAX_CHECKS, Order};

/// The most bytes of a task line.
pub const MAX_TASK: usize = 256 * 1024;
/// The version of the task that is written and read.
pub const VERSION: u8 = 1;
/// The most public keys that stats are sealed to.
pub const MAX_RECIPIENTS: usize = 32;
/// The longest time of a probe, in seconds.
pub const MAX_DEADLINE: u32 = 3600;

/// What the probe is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The version of the format: 1.
    pub v: u8,
    /// 32 hexadecimal digits, fresh for this host and run; comes back in the frame and inside the sealed stats.
    pub nonce: String,
    /// age public keys that the stats are sealed to, 1 to 32.
    pub recipients: Vec<String>,
    /// The most bytes of pending files handed over in one run.
    pub pull_bytes: u64,
    /// The most pending files handed over in one run.
    pub pull_files: u32,
    /// The most bytes that pending files may take on the host; the oldest go first.
    pub spool_bytes: u64,
    /// The probe ends itself after this many seconds, 1 to 3600.
    pub deadline_secs: u32,
    /// Whether the processes that take most come with their command lines, which may hold secrets.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub command_lines: bool,
    /// Checks of this host's services, at most [`MAX_CHECKS`]; their secrets stand here and nowhere else.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "orders")]
    pub checks: Vec<Order>,
}

impl Task {
    /// One line of JSON, without line break.
    #[must_use]
    pub fn encode(&self) -> String {
        // A struct of strings and numbers always serialises; an empty line would be refused by the reader.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a task line. Unknown fields are ignored, so that newer collectors may say more.
    ///
    /// # Errors
    /// [`WireError`] for a line that is too long, no task, of another version, or out of range.
    pub fn decode(line: &str) -> Result<Self, WireError> {
        #[derive(Deserialize)]
        struct Version {
            v: u64,
        }
        if line.len() > MAX_TASK {
            return Err(WireError::Oversize { what: "task", limit: MAX_TASK });
        }
        let json = |error: serde_json::Error| WireError::Json(error.to_string());
        let Version { v } = serde_json::from_str(line).map_err(json)?;
        if v != u64::from(VERSION) {
            return Err(WireError::Version { found: v, known: VERSION });
        }
        let task: Self = serde_json::from_str(line).map_err(json)?;
        task.check()?;
        Ok(task)
    }

    fn check(&self) -> Result<(), WireError> {
        if !is_nonce(&self.nonce) {
            return Err(WireError::field("nonce", "must be 32 hexadecimal digits"));
        }
        if self.recipients.is_empty() || self.recipients.len() > MAX_RECIPIENTS {
            return Err(WireError::field("recipients", format!("must be 1 to {MAX_RECIPIENTS} public keys")));
        }
        if self.recipients.iter().any(|key| key.len() > 128 || !key.starts_with("age1")) {
            return Err(WireError::field("recipients", "each must be an age public key (age1...)"));
        }
        if !(1..=MAX_DEADLINE).contains(&self.deadline_secs) {
            return Err(WireError::field("deadline_secs", format!("must be 1 to {MAX_DEADLINE}")));
        }
        if self.checks.len() > MAX_CHECKS {
            return Err(WireError::Oversize { what: "checks", limit: MAX_CHECKS });
        }
        if self.pull_bytes == 0 || self.pull_files == 0 || self.spool_bytes == 0 {
            return Err(WireError::field("pull_bytes, pull_files, spool_bytes", "must be at least 1"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::secret::Secret;

    fn task() -> Task {
        Task {
            v: 1,
            nonce: "0123456789abcdef0123456789abcdef".into(),
            recipients: vec!["age1abc".into()],
            pull_bytes: 1 << 20,
            pull_files: 64,
            spool_bytes: 4 << 20,
            deadline_secs: 20,
            command_lines: false,
            checks: Vec::new(),
        }
    }

    #[test]
    fn a_task_survives_the_line() {
        let line = task().encode();
        assert!(!line.contains('\n'));
        assert_eq!(Task::decode(&line), Ok(task()));
    }

    #[test]
    fn a_newer_collector_may_say_more_but_not_speak_another_version() {
        let more = task().encode().replacen('{', "{\"chores\":[[[{}]]],", 1);
        assert_eq!(Task::decode(&more), Ok(task()));
        let other = task().encode().replace("\"v\":1", "\"v\":2");
        assert_eq!(Task::decode(&other), Err(WireError::Version { found: 2, known: 1 }));
    }

    /// What a collector and a probe of different age make of each other's tasks.
    #[test]
    fn command_lines_are_wanted_only_where_both_know_of_them() {
        let wanted = Task { command_lines: true, ..task() };
        assert_eq!(Task::decode(&wanted.encode()), Ok(wanted.clone()));
        // An older collector says nothing of them, and nor does a newer one that does not want them.
        assert!(!task().encode().contains("command_lines"));
        // An older probe reads the same line without the field.
        let older = wanted.encode().replace("\"command_lines\":true", "\"unheard_of\":true");
        assert_eq!(Task::decode(&older), Ok(task()));
    }

    #[test]
    fn checks_travel_with_their_secrets_which_never_show() {
        let mut order = Order {
            service: "cache".into(),
            check: "redis".into(),
            item: "cache".into(),
            kind: "redis".into(),
            timeout: std::time::Duration::from_millis(1500),
            every: Some(std::time::Duration::from_secs(3600)),
            script: Some("#!/bin/sh\necho \u{1b}\n".into()),
            ..Order::default()
        };
        order.attributes.insert("address".into(), "127.0.0.1:6379".into());
        order.secrets.insert("password".into(), Secret::new("kanarienvogel".into()));
        let mut task = task();
        task.checks = vec![order; 2];
        let line = task.encode();
        assert!(line.contains("kanarienvogel") && !line.contains('\n'));
        assert!(!format!("{task:?}").contains("kanarienvogel"));
        assert_eq!(Task::decode(&line), Ok(task.clone()));
        task.checks = vec![Order::default(); MAX_CHECKS + 1];
        assert!(Task::decode(&task.encode()).is_err());
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for (from, to) in [
            ("\"deadline_secs\":20", "\"deadline_secs\":0"),
            ("\"deadline_secs\":20", "\"deadline_secs\":99999999999"),
            ("\"age1abc\"", ""),
            ("age1abc", "ssh-ed25519 AAAA"),
            ("0123456789abcdef0123456789abcdef", "../../../../etc/passwd"),
            ("\"pull_files\":64", "\"pull_files\":-1"),
        ] {
            assert!(Task::decode(&task().encode().replace(from, to)).is_err(), "{from} -> {to}");
        }
        assert!(Task::decode(&"x".repeat(MAX_TASK + 1)).is_err());
    }

    proptest! {
        #[test]
        fn any_line_is_a_task_or_an_error(line in ".{0,300}") {
            let _ = Task::decode(&line);
        }
    }
}

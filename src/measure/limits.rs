//! How near the host is to limits of the kernel that nothing else tells of: what is shared between processes, keys,
//! terminals, and the randomness at hand.

use super::out::Out;
use super::root::Root;
use super::text::{lines, whole, words};
use crate::model::sample::FaultKind;

/// Metric, the list whose lines count (but its heading), and where the limit is the which of several numbers.
const LISTS: [(&str, &str, &str, usize); 3] = [
    ("limit.semaphores.used", "/proc/sysvipc/sem", "/proc/sys/kernel/sem", 3),
    ("limit.shared-memory.used", "/proc/sysvipc/shm", "/proc/sys/kernel/shmmni", 0),
    ("limit.message-queues.used", "/proc/sysvipc/msg", "/proc/sys/kernel/msgmni", 0),
];

pub(super) fn collect(root: &Root, out: &mut Out) {
    let number = |path: &str, place: usize| {
        let text = root.read_at_most(path, 256)?;
        Ok::<_, std::io::Error>(words(text.trim_ascii()).nth(place).and_then(whole))
    };
    match number("/proc/sys/kernel/random/entropy_avail", 0) {
        Ok(Some(bits)) => out.whole("limit.entropy", "", bits),
        Ok(None) => out.malformed("entropy", "/proc/sys/kernel/random/entropy_avail: not a number"),
        Err(error) => out.unread("entropy", "/proc/sys/kernel/random/entropy_avail", &error),
    }
    for (metric, list, limit, place) in LISTS {
        match (root.read(list), number(limit, place)) {
            (Ok(text), Ok(Some(most))) => share(metric, lines(&text).skip(1).count() as u64, most, out),
            (Err(error), _) => out.unread("ipc", list, &error),
            (_, Err(error)) => out.unread("ipc", limit, &error),
            _ => out.malformed("ipc", format!("{limit}: not a number")),
        }
    }
    match (number("/proc/sys/kernel/pty/nr", 0), number("/proc/sys/kernel/pty/max", 0)) {
        (Ok(Some(used)), Ok(Some(most))) => share("limit.terminals.used", used, most, out),
        (Err(error), _) | (_, Err(error)) => out.unread("terminals", "/proc/sys/kernel/pty", &error),
        _ => out.malformed("terminals", "/proc/sys/kernel/pty: not numbers"),
    }
    match root.read("/proc/key-users").map(|text| keys(&text)) {
        Ok(Some(used)) => out.share("limit.keys.used", "", used),
        Ok(None) => out.fault("keys", FaultKind::Absent, "/proc/key-users: nobody has keys"),
        Err(error) => out.unread("keys", "/proc/key-users", &error),
    }
}

#[allow(clippy::cast_precision_loss, reason = "limits are far below 2^53")]
fn share(metric: &str, used: u64, most: u64, out: &mut Out) {
    if most > 0 {
        out.share(metric, "", used as f64 / most as f64);
    }
}

/// `    0:    75 74/74 72/1000000 1474/25000000`: of each user, keys and bytes of the quota; the greatest share.
#[allow(clippy::cast_precision_loss, reason = "limits are far below 2^53")]
fn keys(text: &[u8]) -> Option<f64> {
    let part = |word: &[u8]| {
        let slash = word.iter().position(|&b| b == b'/')?;
        let (used, most) = (whole(word.get(..slash)?)?, whole(word.get(slash + 1..)?)?);
        (most > 0).then(|| used as f64 / most as f64)
    };
    let quotas = lines(text).flat_map(|line| words(line).skip(3).take(2).filter_map(part));
    quotas.reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measure::fixture::machine;

    #[test]
    fn a_server_of_linux_5_10() {
        let (_folder, root) = machine(
            "== /proc/sys/kernel/random/entropy_avail\n3718\n\
             == /proc/sysvipc/sem\n       key      semid perms      nsems   uid\n  5432001  0 600 17 104\n  5432002  1 600 17 104\n\
             == /proc/sys/kernel/sem\n32000\t1024000000\t500\t8\n\
             == /proc/sysvipc/shm\n       key      shmid\n  5432001  6 600 56\n== /proc/sys/kernel/shmmni\n4096\n\
             == /proc/sysvipc/msg\n       key      msqid\n== /proc/sys/kernel/msgmni\n32000\n\
             == /proc/sys/kernel/pty/nr\n3\n== /proc/sys/kernel/pty/max\n4096\n\
             == /proc/key-users\n    0:    75 74/74 72/1000000 1474/25000000\n 1000:     4 4/4 150/200 57/20000\n",
        );
        let mut out = Out::default();
        collect(&root, &mut out);
        let got = out.into_measured();
        let values: Vec<_> = got.readings.iter().map(|r| (r.metric.as_str(), r.value)).collect();
        let expected = [
            ("limit.entropy", 3718.0),
            ("limit.semaphores.used", 0.25),
            ("limit.shared-memory.used", 0.000_244_14),
            ("limit.message-queues.used", 0.0),
            ("limit.terminals.used", 0.000_732_42),
            ("limit.keys.used", 0.75),
        ];
        assert_eq!((values, got.faults), (expected.to_vec(), vec![]));
    }

    #[test]
    fn a_container_without_them_says_so() {
        let (_folder, root) = machine("== /proc/x\n");
        let mut out = Out::default();
        collect(&root, &mut out);
        let got = out.into_measured();
        assert!(got.readings.is_empty() && got.faults.iter().all(|fault| fault.kind == FaultKind::Absent));
        assert_eq!(got.faults.len(), 6);
    }

    proptest! {
        #[test]
        fn any_list_of_keys_is_a_share_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(keys(&bytes).is_none_or(|share| share >= 0.0));
        }
    }
}

//! Open files of the whole system, and limits of inotify.

use super::out::Out;
use super::root::Root;
use super::text::{whole, words};

pub(super) fn collect(root: &Root, out: &mut Out) {
    const OPEN: &str = "/proc/sys/fs/file-nr";
    match root.read_at_most(OPEN, 256) {
        Ok(bytes) => match parse(&bytes) {
            Some((open, most)) => put(open, most, out),
            None => out.malformed("", format!("{OPEN}: not three numbers")),
        },
        Err(error) => out.unread("", OPEN, &error),
    }
    out.section("inotify");
    for (metric, name) in
        [("inotify.watches.limit", "max_user_watches"), ("inotify.instances.limit", "max_user_instances")]
    {
        let path = format!("/proc/sys/fs/inotify/{name}");
        match root.read_at_most(&path, 64) {
            Ok(bytes) => match words(bytes.trim_ascii()).next().and_then(whole) {
                Some(limit) => out.whole(metric, "", limit),
                None => out.malformed("", format!("{path}: not a number")),
            },
            Err(error) => out.unread("", &path, &error),
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a share of five digits")]
fn put(open: u64, most: u64, out: &mut Out) {
    out.whole("files.open", "", open);
    if most > 0 {
        out.share("files.used", "", open as f64 / most as f64);
    }
}

/// Allocated, unused (0 since Linux 2.6), limit. What was allocated and is free again counts as unused.
fn parse(bytes: &[u8]) -> Option<(u64, u64)> {
    let mut words = words(bytes.trim_ascii()).map(whole);
    let (allocated, unused, most) = (words.next()??, words.next()??, words.next()??);
    Some((allocated.saturating_sub(unused), most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_files_against_their_limit() {
        assert_eq!(parse(b"1216\t0\t9223372036854775807\n"), Some((1216, 9_223_372_036_854_775_807)));
        assert_eq!(parse(b"1500\t500\t2000\n"), Some((1000, 2000)));
        for bad in [&b""[..], b"1 2", b"1 x 3", b"99999999999999999999 0 1", b"\xff"] {
            assert_eq!(parse(bad), None);
        }
        let mut out = Out::default();
        put(1000, 2000, &mut out);
        assert_eq!(out.into_measured().readings[1].value, 0.5);
    }
}

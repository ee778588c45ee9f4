//! Load averages, and how many threads there are.

use super::out::Out;
use super::root::Root;
use super::text::{number, whole, words};

pub(super) fn collect(root: &Root, out: &mut Out) {
    let bytes = match root.read_at_most("/proc/loadavg", 256) {
        Ok(bytes) => bytes,
        Err(error) => return out.unread("", "/proc/loadavg", &error),
    };
    let Some([one, five, fifteen]) = parse(&bytes) else {
        return out.malformed("", "/proc/loadavg: not three numbers");
    };
    out.put("load.1m", "", one);
    out.put("load.5m", "", five);
    out.put("load.15m", "", fifteen);
    if let Some(cores) = out.cores {
        out.seconds("load.per-core", "", fifteen / f64::from(cores));
    }
    match threads(&bytes) {
        Some((running, all)) => {
            // The probe itself always runs while it looks.
            out.whole("load.running", "", running.saturating_sub(1));
            out.whole("load.threads", "", all);
        }
        None => out.malformed("", "/proc/loadavg: no number of threads"),
    }
}

fn parse(bytes: &[u8]) -> Option<[f64; 3]> {
    let mut words = words(bytes).map(number);
    Some([words.next()??, words.next()??, words.next()??])
}

/// Running and all: `2/345`.
fn threads(bytes: &[u8]) -> Option<(u64, u64)> {
    let word = words(bytes).nth(3)?;
    let slash = word.iter().position(|&b| b == b'/')?;
    Some((whole(&word[..slash])?, whole(&word[slash + 1..])?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_numbers_or_nothing() {
        assert_eq!(parse(b"0.52 1.05 12.00 2/345 6789\n"), Some([0.52, 1.05, 12.0]));
        for bad in [&b""[..], b"0.1 0.2", b"0.1 nan 0.2", b"-1 0 0", b"\xff 1 2", b"inf 1 2"] {
            assert_eq!(parse(bad), None);
        }
    }

    #[test]
    fn threads_behind_the_averages() {
        assert_eq!(threads(b"0.52 1.05 12.00 2/345 6789\n"), Some((2, 345)));
        for bad in [&b"1 2 3"[..], b"1 2 3 4", b"1 2 3 /", b"1 2 3 4/", b"1 2 3 x/4", b"1 2 3 \xff/\xff"] {
            assert_eq!(threads(bad), None);
        }
    }
}

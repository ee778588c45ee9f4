//! Load averages.

use super::out::Out;
use super::root::Root;
use super::text::{number, words};

pub(super) fn collect(root: &Root, out: &mut Out) {
    let bytes = match root.read("/proc/loadavg") {
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
}

fn parse(bytes: &[u8]) -> Option<[f64; 3]> {
    let mut words = words(bytes).map(number);
    Some([words.next()??, words.next()??, words.next()??])
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn three_numbers_or_nothing() {
        assert_eq!(parse(b"0.52 1.05 12.00 2/345 6789\n"), Some([0.52, 1.05, 12.0]));
        for bad in [&b""[..], b"0.1 0.2", b"0.1 nan 0.2", b"-1 0 0", b"\xff 1 2", b"inf 1 2"] {
            assert_eq!(parse(bad), None);
        }
    }
}

//! Pressure stall information: time in which tasks waited for a resource.

use super::out::{self, Out, kind_of};
use super::root::Root;
use super::text::{lines, number, words};
use crate::model::sample::FaultKind;

/// Resource, and since when kernels tell of it.
const RESOURCES: [(&str, &str); 4] = [("cpu", "4.20"), ("memory", "4.20"), ("io", "4.20"), ("irq", "6.1")];

/// The names of the readings of one line.
struct Names {
    minute: &'static str,
    short: &'static str,
    long: &'static str,
    total: &'static str,
}

const SOME: Names = Names {
    minute: "pressure.some",
    short: "pressure.some.10s",
    long: "pressure.some.5m",
    total: "pressure.some.seconds",
};
const FULL: Names = Names {
    minute: "pressure.full",
    short: "pressure.full.10s",
    long: "pressure.full.5m",
    total: "pressure.full.seconds",
};

pub(super) fn collect(root: &Root, out: &mut Out) {
    for (resource, since) in RESOURCES {
        let path = format!("/proc/pressure/{resource}");
        let error = match root.read_at_most(&path, 4096) {
            Ok(bytes) => {
                put(resource, &bytes, out);
                continue;
            }
            Err(error) => error,
        };
        // Not there, or there and switched off: neither is a pressure of zero.
        let words = out::words(&error);
        let unsupported = matches!(kind_of(&error), FaultKind::Absent | FaultKind::Unsupported);
        if !unsupported {
            out.unread(resource, &path, &error);
        } else if resource == "irq" {
            out.fault(resource, FaultKind::Unsupported, format!("{path}: {words} (it came with Linux {since})"));
        } else {
            let text = format!("{path}: {words} (it came with Linux {since}; boot with psi=1)");
            return out.fault("", FaultKind::Unsupported, text);
        }
    }
}

fn put(resource: &str, bytes: &[u8], out: &mut Out) {
    let mut any = false;
    for line in lines(bytes) {
        let Some((kind, [short, minute, long], seconds)) = parse(line) else { continue };
        any = true;
        let names = match kind {
            b"some" => SOME,
            // For processors of a whole system the kernel prints zeros that mean nothing.
            b"full" if resource != "cpu" => FULL,
            _ => continue,
        };
        out.share(names.minute, resource, minute);
        out.share(names.short, resource, short);
        out.share(names.long, resource, long);
        out.seconds(names.total, resource, seconds);
    }
    if !any {
        out.malformed(resource, format!("/proc/pressure/{resource}: no line of \"some\" or \"full\""));
    }
}

/// Kind; shares over ten seconds, a minute and five; total seconds.
fn parse(line: &[u8]) -> Option<(&[u8], [f64; 3], f64)> {
    let mut words = words(line);
    let kind = words.next()?;
    let mut shares = [None; 3];
    let mut seconds = None;
    for word in words {
        let (key, value) = word.split_at(word.iter().position(|&b| b == b'=')? + 1);
        let value = number(value)?;
        match key {
            b"avg10=" => shares[0] = Some(value / 100.0),
            b"avg60=" => shares[1] = Some(value / 100.0),
            b"avg300=" => shares[2] = Some(value / 100.0),
            b"total=" => seconds = Some(value / 1e6),
            _ => {}
        }
    }
    let [short, minute, long] = shares;
    Some((kind, [short?, minute?, long?], seconds?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measure::fixture::machine;

    #[test]
    fn shares_and_totals() {
        let line = b"some avg10=0.12 avg60=25.00 avg300=0.01 total=1500000";
        assert_eq!(parse(line), Some((&b"some"[..], [0.0012, 0.25, 0.0001], 1.5)));
        for bad in [
            &b""[..],
            b"some",
            b"some avg10=1 avg60=x avg300=1 total=1",
            b"some avg60=1",
            b"some avg10=1 avg60=-1 avg300=1 total=1",
            b"some total",
        ] {
            assert_eq!(parse(bad), None);
        }
    }

    const LINE: &str = "avg10=1.00 avg60=2.00 avg300=3.00 total=1000000\n";

    #[test]
    fn interrupts_came_later_and_have_one_line() {
        let files: String = ["cpu", "memory", "io"]
            .map(|resource| format!("== /proc/pressure/{resource}\nsome {LINE}full {LINE}"))
            .concat();
        let run = |text: &str| {
            let (_folder, root) = machine(text);
            let mut out = Out::default();
            collect(&root, &mut out);
            out.into_measured()
        };
        let old = run(&files);
        assert_eq!(old.readings.len(), 4 + 8 + 8);
        assert_eq!((old.faults.len(), old.faults[0].item.as_str()), (1, "irq"));
        let new = run(&format!("{files}== /proc/pressure/irq\nfull {LINE}"));
        assert!(new.faults.is_empty());
        let irq: Vec<(&str, f64)> =
            new.readings.iter().filter(|r| r.item == "irq").map(|r| (r.metric.as_str(), r.value)).collect();
        let expected = [
            ("pressure.full", 0.02),
            ("pressure.full.10s", 0.01),
            ("pressure.full.5m", 0.03),
            ("pressure.full.seconds", 1.0),
        ];
        assert_eq!(irq, expected);
        assert!(!new.readings.iter().any(|r| r.item == "cpu" && r.metric.starts_with("pressure.full")));
    }

    proptest! {
        #[test]
        fn no_text_stops_it(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut out = Out::default();
            put("io", &[b"some avg10=".as_slice(), &bytes].concat(), &mut out);
            put("io", &bytes, &mut out);
            prop_assert!(out.into_measured().readings.iter().all(|r| r.value >= 0.0));
        }
    }
}

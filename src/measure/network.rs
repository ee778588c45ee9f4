//! Traffic by interface.

use super::link::{MAX_INTERFACES, chosen};
use super::out::Out;
use super::root::Root;
use super::text::{lines, whole, words};
use crate::model::sample::FaultKind;

/// Metric and its column behind the colon of /proc/net/dev.
const COLUMNS: [(&str, usize); 10] = [
    ("network.receive.bytes", 0),
    ("network.transmit.bytes", 8),
    ("network.receive.packets", 1),
    ("network.transmit.packets", 9),
    ("network.receive.errors", 2),
    ("network.transmit.errors", 10),
    ("network.receive.drops", 3),
    ("network.transmit.drops", 11),
    ("network.receive.overruns", 4),
    ("network.transmit.overruns", 12),
];

pub(super) fn collect(root: &Root, out: &mut Out) {
    match root.read("/proc/net/dev") {
        Ok(bytes) => put(root, &bytes, out),
        Err(error) => out.unread("", "/proc/net/dev", &error),
    }
}

fn put(root: &Root, bytes: &[u8], out: &mut Out) {
    let mut all = Vec::new();
    // Two lines of headings.
    for line in lines(bytes).skip(2) {
        let Some((name, counts)) = parse(line) else {
            out.malformed("", "/proc/net/dev: a line without its sixteen numbers");
            continue;
        };
        // The host's own loop, and one end of each container's cable, which come and go.
        if name == "lo" || name.starts_with("veth") {
            continue;
        }
        all.push((name, counts));
    }
    if chosen(root, &mut all, |(name, _)| name.clone()) {
        out.fault("", FaultKind::Cut, format!("more than {MAX_INTERFACES} interfaces"));
    }
    for (name, counts) in all {
        for (metric, column) in COLUMNS {
            out.whole(metric, &name, counts[column]);
        }
    }
}

fn parse(line: &[u8]) -> Option<(String, [u64; 16])> {
    // A name may hold a colon (an alias of old), the numbers never do.
    let colon = line.iter().rposition(|&b| b == b':')?;
    let (name, rest) = line.split_at(colon);
    let name = String::from_utf8_lossy(name).trim().to_owned();
    let mut counts = [0; 16];
    let mut words = words(rest.get(1..)?);
    for count in &mut counts {
        *count = whole(words.next()?)?;
    }
    (!name.is_empty()).then_some((name, counts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> super::super::Measured {
        let mut out = Out::default();
        put(&Root::default(), text.as_bytes(), &mut out);
        out.into_measured()
    }

    #[test]
    fn columns_are_the_right_ones() {
        let numbers = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16";
        let got = run(&format!("head\nhead\n    lo: {numbers}\nveth1a: {numbers}\n  eth0:{numbers}\n"));
        let values: Vec<f64> = got.readings.iter().map(|r| r.value).collect();
        assert_eq!(values, [1.0, 9.0, 2.0, 10.0, 3.0, 11.0, 4.0, 12.0, 5.0, 13.0]);
        assert!(got.readings.iter().all(|r| r.item == "eth0") && got.faults.is_empty());
    }

    #[test]
    fn hostile_names_and_lines() {
        let numbers = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16";
        let got = run(&format!("h\nh\n e\u{1b}[2J:{numbers}\neth1: 1 2 3\nnothing\n: {numbers}\na:0: {numbers}\n"));
        assert_eq!(got.readings[0].item, "e?[2J");
        assert_eq!(got.readings[10].item, "a:0");
        assert_eq!(got.faults.len(), 3);
        let many: String = (0..100).map(|i| format!("e{i}: {numbers}\n")).collect();
        let got = run(&format!("h\nh\n{many}"));
        assert_eq!((got.readings.len(), got.faults[0].kind), (64 * 10, FaultKind::Cut));
    }
}

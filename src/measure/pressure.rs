//! Pressure stall information: time in which tasks waited for a resource.

use super::out::{Out, kind_of};
use super::root::Root;
use super::text::{lines, number, words};
use crate::model::sample::FaultKind;

pub(super) fn collect(root: &Root, out: &mut Out) {
    for resource in ["cpu", "memory", "io"] {
        let path = format!("/proc/pressure/{resource}");
        match root.read_at_most(&path, 4096) {
            Ok(bytes) => put(resource, &bytes, out),
            Err(error) => {
                let kind = match kind_of(&error) {
                    FaultKind::Absent | FaultKind::Unsupported => FaultKind::Unsupported,
                    kind => kind,
                };
                let hint = if kind == FaultKind::Unsupported { " (boot with psi=1)" } else { "" };
                return out.fault("", kind, format!("{path}: {error}{hint}"));
            }
        }
    }
}

fn put(resource: &str, bytes: &[u8], out: &mut Out) {
    let mut some = false;
    for line in lines(bytes) {
        let Some((kind, share, seconds)) = parse(line) else { continue };
        match kind {
            b"some" => {
                some = true;
                out.share("pressure.some", resource, share);
                out.seconds("pressure.some.seconds", resource, seconds);
            }
            // For processors of a whole system the kernel prints zeros that mean nothing.
            b"full" if resource != "cpu" => {
                out.share("pressure.full", resource, share);
                out.seconds("pressure.full.seconds", resource, seconds);
            }
            _ => {}
        }
    }
    if !some {
        out.malformed(resource, format!("/proc/pressure/{resource}: no line of \"some\""));
    }
}

/// Kind, share over a minute, total seconds.
fn parse(line: &[u8]) -> Option<(&[u8], f64, f64)> {
    let mut words = words(line);
    let kind = words.next()?;
    let (mut share, mut seconds) = (None, None);
    for word in words {
        if let Some(value) = word.strip_prefix(b"avg60=") {
            share = Some(number(value)? / 100.0);
        } else if let Some(value) = word.strip_prefix(b"total=") {
            seconds = Some(number(value)? / 1e6);
        }
    }
    Some((kind, share?, seconds?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_totals() {
        let line = b"some avg10=0.12 avg60=25.00 avg300=0.01 total=1500000";
        assert_eq!(parse(line), Some((&b"some"[..], 0.25, 1.5)));
        for bad in [&b""[..], b"some", b"some avg60=x total=1", b"some avg60=1", b"some avg60=-1 total=1"] {
            assert_eq!(parse(bad), None);
        }
    }
}

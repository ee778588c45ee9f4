//! Whether the clock follows a source of time, and how far it is from it.

use std::time::Duration;

use super::command;
use super::out::Out;
use super::root::Root;
use crate::model::sample::FaultKind;

const PATIENCE: Duration = Duration::from_secs(2);
/// systemd-timesyncd's folder, and the file that it makes once the clock is right.
const TIMESYNC: &str = "/run/systemd/timesync";
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";

/// What a time service says.
#[derive(Debug, Default, PartialEq)]
struct Clock {
    synchronized: bool,
    /// Seconds, without sign.
    offset: Option<f64>,
    stratum: Option<u64>,
    source: String,
}

pub(super) fn collect(root: &Root, out: &mut Out) {
    let clock = ask(root, "/usr/bin/chronyc", &["-n", "-c", "tracking"], chrony)
        .or_else(|| ask(root, "/usr/bin/ntpq", &["-n", "-c", "rv"], ntp))
        .or_else(|| {
            let clock = Clock { synchronized: root.path(SYNCHRONIZED).exists(), ..Clock::default() };
            root.path(TIMESYNC).is_dir().then(|| Clock { source: "systemd-timesyncd".to_owned(), ..clock })
        });
    let Some(clock) = clock else {
        return out.fault("", FaultKind::Absent, "neither chronyd, ntpd nor systemd-timesyncd answers here");
    };
    out.whole("time.synchronized", "", u64::from(clock.synchronized));
    if let Some(offset) = clock.offset {
        // To a microsecond.
        out.put("time.offset", "", (offset * 1e6).round() / 1e6);
    }
    if let Some(stratum) = clock.stratum {
        out.whole("time.stratum", "", stratum);
    }
    out.fact("time.source", "", &clock.source);
}

/// The answer of a program that is there and speaks to its daemon.
fn ask(root: &Root, program: &'static str, arguments: &[&str], read: fn(&str) -> Option<Clock>) -> Option<Clock> {
    command::find(root, &[program])?;
    let said = command::run(root, program, arguments, PATIENCE).ok()?;
    read(&String::from_utf8_lossy(&said.output))
}

/// `C0A80001,192.168.0.1,3,1795000000.1,-0.000012,...,Normal`: number, address, stratum, time, offset, ... leap status.
fn chrony(text: &str) -> Option<Clock> {
    let fields: Vec<&str> = text.trim().split(',').collect();
    let &[_, address, stratum, _, offset, .., leap] = fields.as_slice() else { return None };
    let stratum = stratum.parse().ok()?;
    let synchronized = stratum > 0 && leap != "Not synchronised";
    Some(Clock {
        synchronized,
        offset: offset.parse().ok().map(f64::abs).filter(|offset| offset.is_finite() && synchronized),
        stratum: Some(stratum),
        source: if address.is_empty() { "chrony".to_owned() } else { format!("chrony, {address}") },
    })
}

/// `associd=0 status=0615 leap_none, ... leap=00, stratum=2, refid=10.0.0.1, offset=-0.123, ...`; milliseconds.
fn ntp(text: &str) -> Option<Clock> {
    let value = |key: &str| {
        let found = text.split([',', '\n']).find_map(|part| part.trim().strip_prefix(key)?.strip_prefix('='));
        found.map(|value| value.trim().to_owned())
    };
    let stratum: u64 = value("stratum")?.parse().ok()?;
    let leap = value("leap")?;
    let synchronized = !matches!(leap.as_str(), "11" | "3") && stratum < 16;
    let offset = value("offset").and_then(|offset| offset.parse::<f64>().ok());
    Some(Clock {
        synchronized,
        offset: offset.map(|offset| offset.abs() / 1000.0).filter(|offset| offset.is_finite() && synchronized),
        stratum: Some(stratum),
        source: value("refid").map_or_else(|| "ntp".to_owned(), |source| format!("ntp, {source}")),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn chrony_that_follows_and_that_does_not() {
        // chrony 4.3.
        let text = "A9FEA97B,169.254.169.123,4,1700000000.123456789,-0.000012345,0.000001,0.00002,1.5,0.0,0.01,0.0003,\
                    0.0002,64.2,Normal\n";
        let clock = chrony(text).unwrap();
        assert_eq!((clock.synchronized, clock.offset, clock.stratum), (true, Some(0.000_012_345), Some(4)));
        assert_eq!(clock.source, "chrony, 169.254.169.123");
        let lost = chrony("7F7F0101,,0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised\n").unwrap();
        assert_eq!((lost.synchronized, lost.offset), (false, None));
        assert_eq!(chrony("506 Cannot talk to daemon\n"), None);
    }

    #[test]
    fn ntp_that_follows_and_that_does_not() {
        // ntp 4.2.8.
        let text = "associd=0 status=0615 leap_none, sync_ntp, 1 event, clock_sync,\nversion=\"ntpd 4.2.8p15\",\n\
                    system=\"Linux/5.10\", leap=00, stratum=2, precision=-24, refid=10.0.0.1,\noffset=-0.523, sys_jitter=0.1\n";
        let clock = ntp(text).unwrap();
        assert_eq!((clock.synchronized, clock.stratum, clock.source.as_str()), (true, Some(2), "ntp, 10.0.0.1"));
        assert!((clock.offset.unwrap() - 0.000_523).abs() < 1e-12);
        assert!(!ntp("leap=11, stratum=16, refid=INIT, offset=0.0").unwrap().synchronized);
        assert_eq!(ntp("ntpq: read: Connection refused"), None);
    }

    #[test]
    fn timesyncd_tells_by_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let value = || {
            let mut out = Out::default();
            collect(&Root::at(folder.path()), &mut out);
            let got = out.into_measured();
            (got.readings.first().map(|r| r.value), got.faults.first().map(|fault| fault.kind))
        };
        assert_eq!(value(), (None, Some(FaultKind::Absent)));
        std::fs::create_dir_all(folder.path().join("run/systemd/timesync")).unwrap();
        assert_eq!(value(), (Some(0.0), None));
        std::fs::write(folder.path().join("run/systemd/timesync/synchronized"), "").unwrap();
        assert_eq!(value(), (Some(1.0), None));
    }

    proptest! {
        #[test]
        fn any_answer_is_a_clock_or_none(text in ".{0,200}") {
            let _ = (chrony(&text), ntp(&text));
        }
    }
}

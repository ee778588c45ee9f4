//! Whether the clock follows a source of time, and how far it is from it.

mod chrony;

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use super::asked;
use super::command;
use super::out::Out;
use super::root::Root;
use super::systemd::timesync;
use crate::model::sample::FaultKind;

const PATIENCE: Duration = Duration::from_secs(2);
/// systemd-timesyncd's folder, and the file that it makes once the clock is right.
pub(super) const TIMESYNC: &str = "/run/systemd/timesync";
/// After so many seconds without being set the kernel no longer trusts its clock: it reckons with 500 millionths of
/// error, and with 16 s of it the clock is no more synchronized.
const FORGOTTEN: i64 = 32_000;
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";

/// What a time service says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Clock {
    synchronized: bool,
    /// Seconds, without sign.
    offset: Option<f64>,
    /// The most that the clock may be off, in seconds.
    error: Option<f64>,
    stratum: Option<u64>,
    pub(super) source: String,
}

pub(super) fn collect(root: &Root, out: &mut Out) {
    let service = chrony::ask(root)
        .or_else(|| ask(root, &["/usr/bin/ntpq", "/usr/sbin/ntpq"], &["-n", "-c", "rv"], ntp))
        .or_else(|| timesyncd(root, out.past.now));
    if service.is_none() && asked::clock(out) {
        return;
    }
    let Some(clock) = service.or_else(|| kernel(root)) else {
        let text = "neither chronyd, ntpd nor systemd-timesyncd answers here, nor is there a program that tells what the \
                    kernel says: adjtimex, busybox or timedatectl";
        return out.fault("", FaultKind::Absent, text);
    };
    for (metric, value) in clock.values().into_iter().flatten() {
        out.put(metric, "", value);
    }
    // A rule of the offset would be silent for ever, and nobody knew why.
    if clock.offset.is_none() && clock.synchronized {
        out.fault("offset", FaultKind::Unsupported, format!("{} does not tell the offset", clock.source));
    }
    out.fact("time.source", "", &clock.source);
}

impl Clock {
    /// What is known of it; times to a microsecond.
    #[allow(clippy::cast_precision_loss, reason = "a stratum is 16 at most")]
    pub(super) fn values(&self) -> [Option<(&'static str, f64)>; 4] {
        let exact = |seconds: f64| (seconds * 1e6).round() / 1e6;
        let error = self.error.filter(|error| error.is_finite() && *error >= 0.0 && self.synchronized);
        [
            Some(("time.synchronized", f64::from(u8::from(self.synchronized)))),
            self.offset.map(|offset| ("time.offset", exact(offset))),
            error.map(|error| ("time.error", exact(error))),
            self.stratum.map(|stratum| ("time.stratum", stratum as f64)),
        ]
    }
}

/// systemd-timesyncd touches its file whenever it sets the clock right, and tells over D-Bus what it heard last.
fn timesyncd(root: &Root, now: i64) -> Option<Clock> {
    if !root.path(TIMESYNC).is_dir() {
        return None;
    }
    let touched = std::fs::metadata(root.path(SYNCHRONIZED)).ok().map(|meta| meta.mtime());
    let synchronized = touched.is_some_and(|at| now.saturating_sub(at) < FORGOTTEN);
    let (offset, stratum) = synchronized.then(|| timesync::heard(root, now, FORGOTTEN)).flatten().unzip();
    Some(Clock { synchronized, offset, stratum, error: None, source: "systemd-timesyncd".to_owned() })
}

/// What the kernel itself says, whoever set its clock: adjtimex(2), by a program that calls it, because Rust can only do
/// that unsafely. `timedatectl` comes last: it may start a service that answers.
pub(super) const KERNEL: &[(&str, &[&str])] = &[
    ("/usr/bin/busybox", &["adjtimex"]),
    ("/bin/busybox", &["adjtimex"]),
    ("/usr/sbin/adjtimex", &["--print"]),
    ("/sbin/adjtimex", &["--print"]),
    ("/usr/bin/timedatectl", &["show", "--property=NTPSynchronized"]),
];

fn kernel(root: &Root) -> Option<Clock> {
    KERNEL.iter().find_map(|(program, words)| ask(root, &[*program], words, kernel_said))
}

/// Of whichever program.
pub(super) fn kernel_said(text: &str) -> Option<Clock> {
    adjtimex(text).or_else(|| timedatectl(text))
}

/// The answer of a program that is there and speaks to its daemon.
fn ask(root: &Root, programs: &[&'static str], words: &[&str], read: fn(&str) -> Option<Clock>) -> Option<Clock> {
    let program = command::find(root, programs)?;
    let said = command::run(root, program, words, PATIENCE).ok()?;
    read(&String::from_utf8_lossy(&said.output))
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
    let milliseconds = |key: &str| value(key).and_then(|value| value.parse::<f64>().ok());
    let offset = milliseconds("offset");
    Some(Clock {
        synchronized,
        offset: offset.map(|offset| offset.abs() / 1000.0).filter(|offset| offset.is_finite() && synchronized),
        error: milliseconds("rootdelay")
            .zip(milliseconds("rootdisp"))
            .map(|(delay, disp)| (delay / 2.0 + disp) / 1000.0),
        stratum: Some(stratum),
        source: value("refid").map_or_else(|| "ntp".to_owned(), |source| format!("ntp, {source}")),
    })
}

/// `  status:       64 (UNSYNC)` of busybox, and adjtimex's own `       status: 64`; microseconds.
fn adjtimex(text: &str) -> Option<Clock> {
    /// STA_UNSYNC, and STA_NANO: then the offset is in nanoseconds.
    const UNSYNCHRONIZED: i64 = 0x40;
    const NANOSECONDS: i64 = 0x2000;
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.split_once(key).map(|(_, rest)| rest))?;
        line.split_whitespace().next()?.parse::<i64>().ok()
    };
    let (status, error) = (value("status:")?, value("maxerror:")?);
    let synchronized = status & UNSYNCHRONIZED == 0;
    let scale = if status & NANOSECONDS == 0 { 1e6 } else { 1e9 };
    #[allow(clippy::cast_precision_loss, reason = "a clock that is off by 2^53 ns is off by a season")]
    let offset = value("offset:").map(|offset| (offset as f64).abs() / scale).filter(|_| synchronized);
    #[allow(clippy::cast_precision_loss, reason = "likewise")]
    let error = Some(error as f64 / 1e6);
    Some(Clock { synchronized, offset, error, stratum: None, source: "the kernel".to_owned() })
}

fn timedatectl(text: &str) -> Option<Clock> {
    let synchronized = match text.trim().strip_prefix("NTPSynchronized=")? {
        "yes" => true,
        "no" => false,
        _ => return None,
    };
    Some(Clock { synchronized, source: "the kernel".to_owned(), ..Clock::default() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ntp_that_follows_and_that_does_not() {
        // ntp 4.2.8.
        let text = "associd=0 status=0615 leap_none, sync_ntp, 1 event, clock_sync,\nversion=\"ntpd 4.2.8p15\",\n\
                    system=\"Linux/5.10\", leap=00, stratum=2, precision=-24, rootdelay=12.0, rootdisp=24.5, refid=10.0.0.1,\noffset=-0.523, sys_jitter=0.1\n";
        let clock = ntp(text).unwrap();
        assert_eq!((clock.synchronized, clock.stratum, clock.source.as_str()), (true, Some(2), "ntp, 10.0.0.1"));
        assert!((clock.offset.unwrap() - 0.000_523).abs() < 1e-12 && clock.error == Some(0.0305), "{clock:?}");
        assert!(!ntp("leap=11, stratum=16, refid=INIT, offset=0.0").unwrap().synchronized);
        assert_eq!(ntp("ntpq: read: Connection refused"), None);
    }

    #[test]
    fn the_kernel_that_is_right_and_that_is_not() {
        // adjtimex 1.29 on Linux 6.18, and busybox 1.35 beside it.
        let text = "         mode: 0\n       offset: 0\n    frequency: 0\n     maxerror: 16000000\n     esterror: 16000000\n\
                    \x20      status: 64\ntime_constant: 2\n return value = 5\n";
        let own = adjtimex(text).unwrap();
        assert_eq!((own.synchronized, own.offset), (false, None));
        let text = "    mode:         0\n-o  offset:       -52000 ns\n-f  freq.adjust:  0 (65536 = 1ppm)\n    maxerror:     137500\n\
                    \x20   esterror:     0\n    status:       8193 (PLL | NANO)\n";
        let clock = adjtimex(text).unwrap();
        assert_eq!((clock.synchronized, clock.offset, clock.error), (true, Some(0.000_052), Some(0.1375)));
        assert_eq!(adjtimex("adjtimex: invalid option\n"), None);
        let said = |text: &str| timedatectl(text).map(|clock| clock.synchronized);
        assert_eq!(
            (said("NTPSynchronized=yes\n"), said("NTPSynchronized=no\n"), said("Failed")),
            (Some(true), Some(false), None)
        );
    }

    /// busybox is here (scripts/deps): a machine without any service of time is still told about.
    #[test]
    fn this_machine_has_a_clock_whoever_sets_it() {
        assert!(kernel(&Root::default()).is_some());
    }

    #[test]
    fn timesyncd_tells_by_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let value = |later: i64| {
            let now = std::fs::metadata(folder.path()).unwrap().mtime() + later;
            let mut out = Out::beside(None, &std::sync::Arc::new(super::super::Past { now, ..Default::default() }));
            collect(&Root::at(folder.path()), &mut out);
            let got = out.into_measured();
            (got.readings.first().map(|r| r.value), got.faults.first().map(|fault| fault.kind))
        };
        assert_eq!(value(0), (None, Some(FaultKind::Absent)));
        std::fs::create_dir_all(folder.path().join("run/systemd/timesync")).unwrap();
        assert_eq!(value(0), (Some(0.0), None));
        std::fs::write(folder.path().join("run/systemd/timesync/synchronized"), "").unwrap();
        assert_eq!(value(60), (Some(1.0), Some(FaultKind::Unsupported)), "that there is no offset is said");
        assert_eq!(value(40_000), (Some(0.0), None), "and not for ever");
    }

    proptest! {
        #[test]
        fn any_answer_is_a_clock_or_none(text in ".{0,200}") {
            let _ = (ntp(&text), adjtimex(&text), timedatectl(&text));
        }
    }
}

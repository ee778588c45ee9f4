use proptest::prelude::*;

use super::*;
use crate::model::catalogue;
use crate::model::sample::FaultKind;

#[test]
fn this_machine_is_measured_and_every_metric_is_in_the_catalogue() {
    let got = measure(&Root::default(), None);
    for reading in &got.readings {
        assert!(catalogue::find(&reading.metric).is_some(), "{} is not in the catalogue", reading.metric);
        assert!(reading.value >= 0.0);
    }
    for metric in ["cpu.used", "load.1m", "memory.used", "filesystem.used", "process.count", "uptime"] {
        assert!(got.readings.iter().any(|r| r.metric == metric), "{metric} is missing: {:?}", got.faults);
    }
    assert!(got.totals.is_some());
}

#[test]
fn every_metric_of_the_catalogue_but_the_reckoned_ones_has_a_source() {
    let folder = tempfile::tempdir().unwrap();
    machine(folder.path());
    let got = measure(&Root::at(folder.path()), Some(&Totals::kept([0; 8], 4_000_000)));
    let missing: Vec<&str> = catalogue::METRICS
        .iter()
        .filter(|metric| !metric.is_of_service())
        .map(|metric| metric.name)
        .filter(|name| !["host.silent", "probe.cpu"].contains(name))
        .filter(|name| !got.readings.iter().any(|r| r.metric == *name))
        .collect();
    assert!(missing.is_empty(), "{missing:?} {:?}", got.faults);
    assert!(got.faults.is_empty(), "{:?}", got.faults);
}

#[test]
fn an_empty_machine_has_no_values_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let got = measure(&Root::at(folder.path()), None);
    assert!(got.readings.is_empty());
    for collector in COLLECTORS {
        assert!(got.faults.iter().any(|fault| fault.section == collector.name), "{} is silent", collector.name);
    }
    assert!(got.faults.iter().any(|f| f.section == "pressure" && f.kind == FaultKind::Unsupported));
    assert!(got.faults.iter().any(|f| f.section == "load" && f.kind == FaultKind::Absent));
    assert_eq!(boot_id(&Root::at(folder.path())), "00000000-unknown");
}

#[test]
fn earlier_totals_serve_only_within_their_time() {
    let folder = tempfile::tempdir().unwrap();
    machine(folder.path());
    let root = Root::at(folder.path());
    let used = |at: u64| {
        let got = measure(&root, Some(&Totals::kept([0; 8], at)));
        got.readings.iter().find(|r| r.metric == "cpu.used").map(|r| r.value)
    };
    // Uptime is 5000 s; the totals of the fixture stand still, so the window gives nothing.
    assert_eq!(used(4_990_000), Some(0.5));
    assert_eq!(used(4_999_500), None);
    assert_eq!(used(100_000), None);
}

#[test]
fn without_a_boot_id_the_time_of_boot_stands_for_it() {
    let folder = tempfile::tempdir().unwrap();
    machine(folder.path());
    assert_eq!(boot_id(&Root::at(folder.path())), "65000000-btime");
}

fn machine(folder: &std::path::Path) {
    let write = |path: &str, text: &str| {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("proc/stat", "cpu  50 0 0 40 10 0 0 0\ncpu0 50 0 0 40 10 0 0 0\nbtime 1694498816\nprocesses 77\n");
    write("proc/uptime", "5000.00 100.00\n");
    write("proc/loadavg", "0.10 0.20 0.30 1/2 3\n");
    write("proc/meminfo", "MemTotal: 100 kB\nMemAvailable: 50 kB\nSwapTotal: 10 kB\nSwapFree: 5 kB\n");
    write("proc/vmstat", "pswpin 1\npswpout 2\n");
    for resource in ["cpu", "memory", "io"] {
        let line = "avg10=0.00 avg60=1.00 avg300=0.00 total=1000000";
        write(&format!("proc/pressure/{resource}"), &format!("some {line}\nfull {line}\n"));
    }
    write("proc/1/stat", "1 (init) S 0 1 1 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 5\n");
    write("proc/net/dev", "h\nh\neth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n");
    write("proc/diskstats", "8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n");
    write("proc/self/mountinfo", "1 0 8:0 / / rw - ext4 /dev/sda rw\n");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn no_content_of_proc_stops_the_probe(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let folder = tempfile::tempdir().unwrap();
        machine(folder.path());
        for path in ["loadavg", "meminfo", "vmstat", "pressure/cpu", "1/stat", "net/dev", "diskstats", "uptime"] {
            std::fs::write(folder.path().join("proc").join(path), &bytes).unwrap();
        }
        let mut broken = b"1 0 8:0 / /".to_vec();
        broken.extend(&bytes);
        std::fs::write(folder.path().join("proc/self/mountinfo"), &broken).unwrap();
        let mut out = Out::default();
        for collector in COLLECTORS {
            (collector.collect)(&Root::at(folder.path()), &mut out);
        }
    }
}

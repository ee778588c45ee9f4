//! Whatever a file of /proc or /sys holds, measuring ends and says only finite numbers. The first byte of the input
//! chooses the file; the others are those of a small machine.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use fleet_health::measure::{self, COLLECTORS, Out, Root};
use libfuzzer_sys::fuzz_target;

const FILES: &[(&str, &str)] = &[
    (
        "proc/stat",
        "cpu  10 0 20 300 5 0 1 0 0 0\ncpu0 10 0 20 300 5 0 1 0 0 0\nctxt 100\nbtime 1700000000\nprocesses 9\n",
    ),
    ("proc/loadavg", "0.50 0.40 0.30 2/345 6789\n"),
    ("proc/meminfo", "MemTotal: 1000 kB\nMemFree: 500 kB\nMemAvailable: 700 kB\nSwapTotal: 10 kB\nSwapFree: 5 kB\n"),
    ("proc/vmstat", "pswpin 3\npswpout 4\noom_kill 0\n"),
    ("proc/uptime", "12345.67 20000.00\n"),
    ("proc/pressure/cpu", "some avg10=0.10 avg60=0.20 avg300=0.30 total=400\n"),
    (
        "proc/pressure/memory",
        "some avg10=0.10 avg60=0.20 avg300=0.30 total=4\nfull avg10=0.1 avg60=0.2 avg300=0.3 total=4\n",
    ),
    (
        "proc/pressure/io",
        "some avg10=0.10 avg60=0.20 avg300=0.30 total=4\nfull avg10=0.1 avg60=0.2 avg300=0.3 total=4\n",
    ),
    ("proc/1/stat", "1 (init) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 5 1000 100 18446744073709551615\n"),
    ("proc/net/dev", "Inter-| Receive | Transmit\n face |bytes\n  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"),
    ("proc/diskstats", "   8       0 sda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n"),
    ("proc/self/mountinfo", "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"),
    ("proc/sys/kernel/random/boot_id", "0d2f7d1a-8a5e-4c8e-9d42-0123456789ab\n"),
];

static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = std::env::temp_dir().join(format!("fleet-fuzz-proc-{}", std::process::id()));
    for (name, text) in FILES {
        let file = root.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    root
});

fuzz_target!(|data: &[u8]| {
    let Some((&choice, text)) = data.split_first() else { return };
    let (name, usual) = FILES[usize::from(choice) % FILES.len()];
    fs::write(ROOT.join(name), text).unwrap();
    let root = Root::at(ROOT.clone());
    let mut out = Out::default();
    // To look at file systems is slow, and only one file has to do with it.
    let all = name == "proc/self/mountinfo";
    for collector in COLLECTORS.iter().filter(|collector| all || collector.name != "filesystem") {
        (collector.collect)(&root, &mut out);
    }
    let _ = (measure::boot_id(&root), measure::uptime_millis(&root));
    fs::write(ROOT.join(name), usual).unwrap();
});

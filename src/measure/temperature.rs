//! Temperatures and fans, from hwmon and the thermal zones.

use super::folder::{Folder, names, shown};
use super::out::Out;
use super::root::Root;
use super::text::whole;
use crate::model::order;
use crate::model::sample::FaultKind;

const HWMON: &str = "/sys/class/hwmon";
const ZONES: &str = "/sys/class/thermal";
/// The most chips and zones, and the most sensors of all.
const MAX_CHIPS: usize = 64;
const MAX_SENSORS: usize = 128;
/// Limits outside of these, in thousandths of a degree, are registers that nobody set.
const LIKELY: std::ops::Range<i64> = 1..200_000;

/// One temperature in thousandths of a degree.
#[derive(Debug, Default)]
struct Sensor {
    now: i64,
    max: Option<i64>,
    crit: Option<i64>,
    /// What the chip says itself.
    alarm: bool,
    crit_alarm: bool,
}

impl Sensor {
    /// 0, 1 or 2; `None` where neither limits nor flags are there to judge by.
    fn alarm(&self) -> u64 {
        let past = |limit: Option<i64>| limit.is_some_and(|limit| self.now >= limit);
        if self.crit_alarm || past(self.crit) { 2 } else { u64::from(self.alarm || past(self.max)) }
    }

    #[allow(clippy::cast_precision_loss, reason = "a few digits")]
    fn put(&self, item: &str, judged: bool, out: &mut Out) {
        out.put("temperature", item, self.now as f64 / 1000.0);
        if judged || self.max.is_some() || self.crit.is_some() {
            out.whole("temperature.alarm", item, self.alarm());
        }
    }
}

pub(super) fn collect(root: &Root, out: &mut Out) {
    let mut drivers: Vec<String> = Vec::new();
    let (mut sensors, mut fans) = (0, 0);
    for name in names(root, HWMON).iter().take(MAX_CHIPS) {
        let path = format!("{HWMON}/{}", shown(name));
        let Ok(folder) = Folder::open(root, &path) else { continue };
        let driver = folder.text("name").unwrap_or_else(|| shown(name));
        let chip = chip(&driver, root, &path);
        let files = folder.names();
        sensors += temperatures(&folder, &chip, &files, MAX_SENSORS.saturating_sub(sensors), out);
        fans += speeds(&folder, &chip, &files, MAX_SENSORS.saturating_sub(fans), out);
        drivers.push(driver);
    }
    for name in names(root, ZONES).iter().filter(|name| name.starts_with(b"thermal_zone")).take(MAX_CHIPS) {
        if let Ok(folder) = Folder::open(root, format!("{ZONES}/{}", shown(name))) {
            sensors += zone(&folder, name, &drivers, out);
        }
    }
    if sensors >= MAX_SENSORS {
        out.fault("", FaultKind::Cut, format!("more than {MAX_SENSORS} temperatures"));
    } else if sensors == 0 {
        out.fault("", FaultKind::Absent, "no temperatures, as in most virtual machines");
    }
    out.section("fan");
    if fans == 0 {
        out.fault("", FaultKind::Absent, "no fans that a driver knows");
    }
}

/// A name that is the same after the next boot, when chips are found in another order: of two chips of one kind the
/// device tells them apart.
fn chip(driver: &str, root: &Root, path: &str) -> String {
    let device = std::fs::read_link(root.path(format!("{path}/device"))).ok();
    let device = device.as_ref().and_then(|device| device.file_name()).map(|name| name.to_string_lossy());
    match device {
        Some(device) if device.starts_with(driver) => device.into_owned(),
        Some(device) => format!("{driver}-{device}"),
        None => driver.to_owned(),
    }
}

/// The numbers of `temp1_input`, `temp2_input` ..., in their order.
fn inputs(files: &[Vec<u8>], kind: &[u8]) -> Vec<u64> {
    let number = |file: &Vec<u8>| whole(file.strip_prefix(kind)?.strip_suffix(b"_input")?);
    let mut numbers: Vec<u64> = files.iter().filter_map(number).collect();
    order::sort(&mut numbers);
    numbers
}

fn has(files: &[Vec<u8>], file: &str) -> bool {
    files.binary_search_by(|other| other.as_slice().cmp(file.as_bytes())).is_ok()
}

fn temperatures(folder: &Folder, chip: &str, files: &[Vec<u8>], room: usize, out: &mut Out) -> usize {
    let labels: Vec<(u64, Option<String>)> = inputs(files, b"temp")
        .into_iter()
        .map(|number| (number, Some(format!("temp{number}_label")).filter(|file| has(files, file))))
        .map(|(number, file)| (number, file.and_then(|file| folder.text(&file))))
        .collect();
    // The cores' package is as hot as the hottest of them.
    let package = labels.iter().any(|(_, label)| label.as_ref().is_some_and(|label| label.starts_with("Package")));
    let mut found = 0;
    for (number, label) in labels {
        if found == room {
            break;
        }
        if package && label.as_ref().is_some_and(|label| label.starts_with("Core ")) {
            continue;
        }
        let file = |what: &str| format!("temp{number}_{what}");
        let of = |what: &str| Some(file(what)).filter(|file| has(files, file)).and_then(|file| folder.signed(&file));
        // A sensor that is there and cannot be read is one of a device that sleeps or is not plugged in.
        let Some(now) = of("input") else { continue };
        let limit = |what: &str| of(what).filter(|limit| LIKELY.contains(limit));
        let flag = |what: &str| of(what).is_some_and(|flag| flag != 0);
        let judged = has(files, &file("alarm")) || has(files, &file("crit_alarm"));
        let sensor = Sensor {
            now,
            max: limit("max"),
            crit: limit("crit"),
            alarm: flag("alarm") || flag("max_alarm"),
            crit_alarm: flag("crit_alarm"),
        };
        let label = label.unwrap_or_else(|| format!("temp{number}"));
        sensor.put(&format!("{chip} {label}"), judged, out);
        found += 1;
    }
    found
}

fn speeds(folder: &Folder, chip: &str, files: &[Vec<u8>], room: usize, out: &mut Out) -> usize {
    let mut found = 0;
    for number in inputs(files, b"fan").into_iter().take(room) {
        let file = |what: &str| format!("fan{number}_{what}");
        let of = |what: &str| Some(file(what)).filter(|file| has(files, file)).and_then(|file| folder.whole(&file));
        let Some(speed) = of("input") else { continue };
        let label = Some(file("label")).filter(|file| has(files, file)).and_then(|file| folder.text(&file));
        let item = format!("{chip} {}", label.unwrap_or_else(|| format!("fan{number}")));
        out.whole("fan.speed", &item, speed);
        let flags: Vec<u64> = ["alarm", "min_alarm", "fault"].into_iter().filter_map(of).collect();
        if !flags.is_empty() {
            out.whole("fan.alarm", &item, u64::from(flags.iter().any(|flag| *flag != 0)));
        }
        found += 1;
    }
    found
}

/// A zone, unless its sensor was read as a chip already.
fn zone(folder: &Folder, name: &[u8], drivers: &[String], out: &mut Out) -> usize {
    let kind = folder.text("type").unwrap_or_else(|| shown(name));
    // Where the kernel makes a chip of a zone it writes underlines for dashes.
    let same = |driver: &String| *driver == kind.replace('-', "_") || *driver == kind;
    if drivers.iter().any(same) || (kind == "x86_pkg_temp" && drivers.iter().any(|driver| driver == "coretemp")) {
        return 0;
    }
    let Some(now) = folder.signed("temp") else { return 0 };
    let mut sensor = Sensor { now, ..Sensor::default() };
    for trip in 0..12 {
        let Some(kind) = folder.text(&format!("trip_point_{trip}_type")) else { break };
        let limit = folder.signed(&format!("trip_point_{trip}_temp")).filter(|limit| LIKELY.contains(limit));
        match kind.as_str() {
            "critical" => sensor.crit = limit,
            "hot" => sensor.max = limit,
            _ => {}
        }
    }
    let number = String::from_utf8_lossy(name.strip_prefix(b"thermal_").unwrap_or(name)).into_owned();
    sensor.put(&format!("{kind} {number}"), false, out);
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Measured;
    use crate::measure::fixture::machine;

    /// A desktop of two sockets' kind: coretemp, an NVMe disk, a Super I/O chip with fans, ACPI and a package's zone.
    const DESKTOP: &str = include_str!("fixtures/hwmon.txt");

    fn run(text: &str, links: &[(&str, &str)]) -> Measured {
        let (folder, root) = machine(text);
        for (link, target) in links {
            std::os::unix::fs::symlink(target, folder.path().join(link)).unwrap();
        }
        let mut out = Out::default();
        collect(&root, &mut out);
        out.into_measured()
    }

    fn of(got: &Measured, metric: &str) -> Vec<(String, f64)> {
        got.readings.iter().filter(|r| r.metric == metric).map(|r| (r.item.clone(), r.value)).collect()
    }

    #[test]
    fn chips_zones_and_fans() {
        let links = [
            ("sys/class/hwmon/hwmon1/device", "../../../coretemp.0"),
            ("sys/class/hwmon/hwmon2/device", "../../nvme0"),
            ("sys/class/hwmon/hwmon3/device", "../../../nct6775.656"),
        ];
        let got = run(DESKTOP, &links);
        let temperatures = [
            ("acpitz temp1", 27.8),
            ("coretemp.0 Package id 0", 101.0),
            ("nvme0 Composite", 80.85),
            ("nvme0 Sensor 1", -5.0),
            ("nct6775.656 SYSTIN", 33.0),
            ("cpu-thermal zone1", 45.25),
        ];
        assert_eq!(of(&got, "temperature"), temperatures.map(|(item, value)| (item.to_owned(), value)));
        let alarms = [
            ("coretemp.0 Package id 0", 2.0),
            ("nvme0 Composite", 1.0),
            ("nct6775.656 SYSTIN", 1.0),
            ("cpu-thermal zone1", 0.0),
        ];
        assert_eq!(of(&got, "temperature.alarm"), alarms.map(|(item, value)| (item.to_owned(), value)));
        let fans = [("nct6775.656 fan1", 1200.0), ("nct6775.656 CPU fan", 0.0)];
        assert_eq!(of(&got, "fan.speed"), fans.map(|(item, value)| (item.to_owned(), value)));
        assert_eq!(of(&got, "fan.alarm"), [("nct6775.656 CPU fan".to_owned(), 1.0)]);
        assert!(got.faults.is_empty(), "{:?}", got.faults);
    }

    #[test]
    fn a_virtual_machine_has_none_and_says_so() {
        let got = run("== /sys/class/thermal/cooling_device0/type\nProcessor\n", &[]);
        let kinds: Vec<(&str, FaultKind)> = got.faults.iter().map(|f| (f.section.as_str(), f.kind)).collect();
        assert_eq!(kinds, [("", FaultKind::Absent), ("fan", FaultKind::Absent)]);
    }

    #[test]
    fn hostile_labels_numbers_and_amounts() {
        let mut text = String::from(
            "== /sys/class/hwmon/hwmon0/name\nx\u{1b}[2Jy\n== /sys/class/hwmon/hwmon0/temp1_input\n40000\n\
             == /sys/class/hwmon/hwmon0/temp1_label\na\u{202e}b\n== /sys/class/hwmon/hwmon0/temp2_input\n9e9\n\
             == /sys/class/hwmon/hwmon0/temp99999999999999999999_input\n1\n\
             == /sys/class/hwmon/hwmon0/temp3_input\n99999999999999999999\n",
        );
        for i in 10..300 {
            text.push_str(&format!("== /sys/class/hwmon/hwmon0/temp{i}_input\n1000\n"));
        }
        let got = run(&text, &[]);
        assert_eq!(got.readings[0].item, "x?[2Jy a?b");
        assert_eq!(got.readings.len(), MAX_SENSORS);
        assert!(got.faults.iter().any(|fault| fault.kind == FaultKind::Cut));
    }
}

//! What disks say of their own health, asked by smartctl. Asking takes long and root, so it is done now and then, after
//! a sample was handed over; a sample shows the last answers with their age. A disk that sleeps is not woken.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::asked::LATER;
use super::command;
use super::folder::{Folder, names, shown};
use super::out::Out;
use super::privileged::{self, Right};
use super::root::Root;
use crate::model::sample::FaultKind;

const PROGRAMS: [&str; 3] = ["/usr/sbin/smartctl", "/usr/local/sbin/smartctl", "/usr/bin/smartctl"];
const QUESTION: [&str; 5] = ["-j", "-n", "standby", "-H", "-A"];
const PATIENCE: Duration = Duration::from_secs(15);
/// All disks together end within the time of the process that asks.
const MAX_DISKS: usize = 32;
const ALL_PATIENCE: Duration = Duration::from_secs(90);
/// An answer serves this long, in seconds; one that nobody could give is asked for again as late.
const FRESH: i64 = 6 * 3600;
/// The most bytes of a file of answers.
pub const MAX_SMART_FILE: u64 = 64 * 1024;

/// The last answers of all disks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Smart {
    /// When they were asked, in seconds since 1970.
    pub at: i64,
    /// Of each disk that answered, by its name.
    disks: Vec<(String, Health)>,
    /// Whether root was needed and not to be had.
    #[serde(default)]
    denied: bool,
}

/// What one disk says; what it does not say is not there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Health {
    failed: Option<bool>,
    critical: Option<u64>,
    reallocated: Option<u64>,
    pending: Option<u64>,
    media_errors: Option<u64>,
    power_on_hours: Option<u64>,
    /// In percent; over 100 past the expected life.
    wear: Option<u64>,
    /// Transfers between disk and controller that went wrong.
    crc_errors: Option<u64>,
    /// In degrees Celsius.
    celsius: Option<f64>,
    /// Fewer spare blocks than the disk's own limit.
    spare_low: Option<bool>,
}

pub(super) fn collect(root: &Root, out: &mut Out) {
    let disks = disks(root);
    let Some(program) = command::find(root, &PROGRAMS).filter(|_| !disks.is_empty()) else {
        let text = if disks.is_empty() {
            "no disks that could say"
        } else {
            "smartctl is not there; it comes with smartmontools"
        };
        return out.fault("", FaultKind::Absent, text);
    };
    let smart = out.past.smart.clone();
    // Sudo compares arguments as they are, so that each disk needs its own line.
    let refuse = |out: &mut Out| {
        for disk in &disks {
            let device = format!("/dev/{disk}");
            let question: Vec<&str> = QUESTION.into_iter().chain([device.as_str()]).collect();
            out.fault(disk, FaultKind::Denied, privileged::denied(program, &question));
        }
    };
    match smart {
        Some(smart) => {
            let age = out.past.now.saturating_sub(smart.at);
            smart.put(age, out);
            if smart.denied {
                refuse(out);
            }
        }
        None if privileged::right(root) == Right::None => refuse(out),
        None => out.fault("", FaultKind::Absent, format!("smartctl: {LATER}")),
    }
}

/// Whole disks of kinds that can be asked.
fn disks(root: &Root) -> Vec<String> {
    let asked = |name: &&Vec<u8>| name.starts_with(b"sd") || name.starts_with(b"nvme") || name.starts_with(b"hd");
    let all = names(root, "/sys/block");
    let real = |name: &&Vec<u8>| Folder::open(root, format!("/sys/block/{}/device", shown(name))).is_ok();
    all.iter().filter(asked).filter(real).take(MAX_DISKS).map(|name| shown(name)).collect()
}

/// True where there is a program to ask and its last answers have grown old.
#[must_use]
pub fn disks_wait(root: &Root, last: Option<&Smart>, now: i64) -> bool {
    !last.is_some_and(|last| last.is_fresh(now)) && command::find(root, &PROGRAMS).is_some()
}

/// Asks each disk; `None` where there is nobody to ask, or the last answers still serve.
#[must_use]
pub fn ask_disks(root: &Root, last: Option<&Smart>, now: i64) -> Option<Smart> {
    let program = command::find(root, &PROGRAMS).filter(|_| disks_wait(root, last, now))?;
    let begin = std::time::Instant::now();
    let mut smart = Smart { at: now, ..Smart::default() };
    let right = privileged::right(root);
    if right == Right::None {
        return Some(Smart { denied: true, ..smart });
    }
    for disk in disks(root) {
        let device = format!("/dev/{disk}");
        let question: Vec<&str> = QUESTION.into_iter().chain([device.as_str()]).collect();
        let said = privileged::run(root, program, &question, PATIENCE);
        // A disk that sleeps or does not answer keeps what it said before.
        let health = said.ok().and_then(|said| parse(&said.output));
        let kept = || last?.disks.iter().find(|(name, _)| *name == disk).map(|(_, health)| health.clone());
        smart.denied |= right != Right::Root && health.is_none();
        if let Some(health) = health.or_else(kept) {
            smart.disks.push((disk, health));
        }
        if begin.elapsed() > ALL_PATIENCE {
            break;
        }
    }
    Some(smart)
}

impl Smart {
    /// True while the disks need not be asked again.
    #[must_use]
    pub fn is_fresh(&self, now: i64) -> bool {
        (0..FRESH).contains(&now.saturating_sub(self.at))
    }

    /// The file's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// From the file's bytes; a damaged file is as none.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    #[allow(clippy::cast_precision_loss, reason = "seconds and percents are small")]
    fn put(&self, age: i64, out: &mut Out) {
        if self.disks.is_empty() {
            return;
        }
        out.put("disk.smart.age", "", age.max(0) as f64);
        for (disk, health) in &self.disks {
            for (metric, value) in [
                ("disk.smart.failed", health.failed.map(u64::from)),
                ("disk.smart.critical", health.critical),
                ("disk.smart.reallocated", health.reallocated),
                ("disk.smart.pending", health.pending),
                ("disk.smart.media-errors", health.media_errors),
                ("disk.smart.crc-errors", health.crc_errors),
                ("disk.smart.power-on", health.power_on_hours.map(|hours| hours.saturating_mul(3600))),
                ("disk.spare.alarm", health.spare_low.map(|low| if low { 2 } else { 0 })),
            ] {
                if let Some(value) = value {
                    out.whole(metric, disk, value);
                }
            }
            if let Some(celsius) = health.celsius {
                out.put("temperature", &format!("smart/{disk}"), celsius);
            }
            if let Some(percent) = health.wear {
                out.share("disk.wear", disk, percent as f64 / 100.0);
            }
        }
    }
}

/// The parts of smartctl's answer that are used.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    smart_status: Option<Status>,
    ata_smart_attributes: Option<Table>,
    nvme_smart_health_information_log: Option<Nvme>,
    power_on_time: Option<Hours>,
    temperature: Option<Temperature>,
    scsi_grown_defect_list: Option<u64>,
    /// Since smartmontools 7.5, for disks of every kind.
    endurance_used: Option<Percent>,
}

#[derive(Deserialize)]
struct Status {
    passed: bool,
}

#[derive(Deserialize)]
struct Table {
    table: Vec<Attribute>,
}

#[derive(Deserialize)]
struct Attribute {
    id: u64,
    value: u64,
    raw: Raw,
}

#[derive(Deserialize)]
struct Raw {
    value: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Nvme {
    critical_warning: Option<u64>,
    available_spare: Option<u64>,
    available_spare_threshold: Option<u64>,
    percentage_used: Option<u64>,
    power_on_hours: Option<u64>,
    media_errors: Option<u64>,
}

#[derive(Deserialize)]
struct Hours {
    hours: u64,
}

#[derive(Deserialize)]
struct Temperature {
    current: f64,
}

#[derive(Deserialize)]
struct Percent {
    current_percent: u64,
}

/// `None` where the disk said nothing: it sleeps, or smartctl could not open it.
fn parse(bytes: &[u8]) -> Option<Health> {
    let answer: Answer = serde_json::from_slice(bytes).ok()?;
    let mut health = Health {
        failed: answer.smart_status.map(|status| !status.passed),
        reallocated: answer.scsi_grown_defect_list,
        celsius: answer.temperature.map(|temperature| temperature.current),
        power_on_hours: answer.power_on_time.map(|time| time.hours),
        wear: answer.endurance_used.map(|percent| percent.current_percent),
        ..Health::default()
    };
    if let Some(nvme) = answer.nvme_smart_health_information_log {
        health.critical = nvme.critical_warning;
        health.media_errors = nvme.media_errors;
        health.wear = health.wear.or(nvme.percentage_used);
        health.power_on_hours = health.power_on_hours.or(nvme.power_on_hours);
        health.spare_low = nvme.available_spare.zip(nvme.available_spare_threshold).map(|(spare, least)| spare < least);
    }
    for attribute in answer.ata_smart_attributes.map(|table| table.table).unwrap_or_default() {
        // Makers pack other counts above the lower four bytes.
        let count = Some(attribute.raw.value & 0xffff_ffff);
        match attribute.id {
            5 => health.reallocated = count,
            197 => health.pending = count,
            198 => health.media_errors = count,
            199 => health.crc_errors = count,
            // Life left, in percent, under the numbers that makers of flash give it.
            169 | 202 | 231 | 233 if attribute.value <= 100 => {
                health.wear = health.wear.or(Some(100 - attribute.value));
            }
            _ => {}
        }
    }
    (health != Health::default()).then_some(health)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;
    use crate::measure::fixture::machine;

    const SATA: &str = include_str!("fixtures/smartctl-sata.json");
    const NVME: &str = include_str!("fixtures/smartctl-nvme.json");

    #[test]
    fn answers_of_two_kinds_of_disks() {
        let sata = parse(SATA.as_bytes()).unwrap();
        let expected = Health {
            failed: Some(true),
            reallocated: Some(8),
            pending: Some(2),
            media_errors: Some(1),
            crc_errors: Some(4),
            celsius: Some(36.0),
            power_on_hours: Some(27_561),
            wear: Some(11),
            ..Health::default()
        };
        assert_eq!(sata, expected);
        let nvme = parse(NVME.as_bytes()).unwrap();
        let expected = Health {
            failed: Some(false),
            critical: Some(0),
            media_errors: Some(0),
            celsius: Some(34.0),
            power_on_hours: Some(1211),
            wear: Some(3),
            spare_low: Some(false),
            ..Health::default()
        };
        assert_eq!(nvme, expected);
        for none in ["", "{}", "[]", r#"{"smartctl":{"exit_status":2}}"#, r#"{"smart_status":{"passed":5}}"#] {
            assert_eq!(parse(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn answers_are_kept_and_shown_with_their_age() {
        let disks = vec![("sda".to_owned(), parse(SATA.as_bytes()).unwrap())];
        let smart = Smart { at: 1000, disks, denied: false };
        assert_eq!(Smart::parse(&smart.bytes()), Some(smart.clone()));
        assert_eq!(Smart::parse(b"{\"at\":"), None);
        assert!(smart.is_fresh(1000) && smart.is_fresh(1000 + FRESH - 1) && !smart.is_fresh(1000 + FRESH));
        // The clock was set back: nobody knows how old it is.
        assert!(!smart.is_fresh(999));
        let mut out = Out::default();
        smart.put(60, &mut out);
        let got = out.into_measured();
        let value = |metric: &str| got.readings.iter().find(|r| r.metric == metric).map(|r| r.value);
        assert_eq!((value("disk.smart.age"), value("disk.smart.failed")), (Some(60.0), Some(1.0)));
        assert_eq!((value("disk.wear"), value("disk.smart.power-on")), (Some(0.11), Some(27_561.0 * 3600.0)));
    }

    /// As root the disks are asked; otherwise nothing is tried that root would get a mail of.
    #[test]
    fn disks_are_asked_where_that_is_allowed() {
        let (folder, root) =
            machine("== /sys/block/sda/device/model\nx\n== /sys/block/sdb/size\n1\n== /usr/sbin/smartctl\n#!/bin/sh\n");
        let program = folder.path().join("usr/sbin/smartctl");
        let answer = folder.path().join("answer");
        std::fs::write(&answer, NVME).unwrap();
        let script = format!("#!/bin/sh\n[ \"$*\" = '-j -n standby -H -A /dev/sda' ] && cat {}\n", answer.display());
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let got = ask_disks(&root, None, 5000).unwrap();
        if rustix::process::geteuid().is_root() {
            assert_eq!((got.disks.len(), got.disks[0].0.as_str(), got.denied), (1, "sda", false));
            // Asleep: what it said before still stands.
            std::fs::write(&answer, "{}").unwrap();
            let again = ask_disks(&root, Some(&got), 5000 + FRESH).unwrap();
            assert_eq!(again.disks, got.disks);
        } else {
            assert!(got.denied && got.disks.is_empty());
        }
        assert_eq!(ask_disks(&root, Some(&got), 5001), None);
        std::fs::remove_file(&program).unwrap();
        assert_eq!(ask_disks(&root, None, 5000), None);
    }

    #[test]
    fn the_line_that_would_allow_it_is_told_whole() {
        let question: Vec<&str> = QUESTION.into_iter().chain(["/dev/nvme0n1"]).collect();
        let text = privileged::denied("/usr/sbin/smartctl", &question);
        assert!(text.ends_with(" ALL=(root) NOPASSWD: /usr/sbin/smartctl -j -n standby -H -A /dev/nvme0n1"));
        assert!(text.len() < crate::model::clean::MAX_TEXT);
    }

    proptest! {
        #[test]
        fn no_answer_stops_it(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (parse(&bytes), Smart::parse(&bytes));
        }
    }
}

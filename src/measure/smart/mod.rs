//! What disks say of their own health, asked by smartctl. Asking takes long and root, so it is done now and then, after
//! a sample was handed over; a sample shows the last answers with their age. A disk that sleeps is not woken.

mod said;

use std::io;
use std::time::Duration;

use serde_json::{Value, json};

use super::asked::LATER;
use super::boot::boot_id;
use super::command;
use super::folder::{Folder, names, shown};
use super::out::Out;
use super::privileged::{self, Right};
use super::root::Root;
use crate::model::sample::FaultKind;
use said::parse;

const PROGRAMS: [&str; 3] = ["/usr/sbin/smartctl", "/usr/local/sbin/smartctl", "/usr/bin/smartctl"];
const QUESTION: [&str; 5] = ["-j", "-n", "standby", "-H", "-A"];
const PATIENCE: Duration = Duration::from_secs(15);
/// All disks together end within the time of the process that asks.
const MAX_DISKS: usize = 64;
const ALL_PATIENCE: Duration = Duration::from_secs(90);
/// An answer serves this long, in seconds; one that nobody could give is asked for again as late.
const FRESH: i64 = 6 * 3600;
/// The word of a disk that has been silent this long, in seconds, no longer stands; only one that sleeps may be silent.
const STANDS: i64 = 7 * 86_400;
/// The most bytes of a file of answers.
pub const MAX_SMART_FILE: u64 = 128 * 1024;

/// Why a disk did not answer: a word, or a text for people that begins with [`CLOSED`] where it could not be opened.
const ASLEEP: &str = "asleep";
const REFUSED: &str = "refused";
const LATE: &str = "late";
const LEFT: &str = "left";
const CLOSED: &str = "smartctl could not open it";

/// The last answers of all disks. Taken apart and put together by hand, here and in `said`: what serde derives for as
/// many small types is 20 KB of program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Smart {
    /// When disks were asked last, in seconds since 1970.
    at: i64,
    /// Of each disk, by its name.
    disks: Vec<(String, Health)>,
}

/// What one disk says; what it does not say is not there.
#[derive(Clone, Debug, Default, PartialEq)]
struct Health {
    /// When it answered last, in seconds since 1970; 0: never.
    at: i64,
    /// When it was asked last, likewise.
    asked: i64,
    /// Why it did not answer then; empty where it did.
    silent: String,
    /// The process that asked it and was left behind because no signal ends it, see [`command::lives`]; mostly empty.
    left: String,
    /// Which disk that was; names go to others at a boot or in a slot.
    is: String,
    /// In the order of [`VALUES`].
    values: [Option<f64>; VALUES.len()],
}

/// The names of values in the file, and their metrics.
const VALUES: [(&str, &str); 10] = [
    ("failed", "disk.smart.failed"),
    ("critical", "disk.smart.critical"),
    ("reallocated", "disk.smart.reallocated"),
    ("pending", "disk.smart.pending"),
    ("media_errors", "disk.smart.media-errors"),
    // Transfers between disk and controller that went wrong.
    ("crc_errors", "disk.smart.crc-errors"),
    ("power_on_hours", "disk.smart.power-on"),
    // In percent; over 100 past the expected life.
    ("wear", "disk.wear"),
    ("celsius", "temperature"),
    // Fewer spare blocks than the disk's own limit.
    ("spare_low", "disk.spare.alarm"),
];

pub(super) fn collect(root: &Root, out: &mut Out) {
    let (disks, more) = disks(root);
    let Some(program) = command::find(root, &PROGRAMS).filter(|_| !disks.is_empty()) else {
        let text = if disks.is_empty() {
            "no disks that could say"
        } else {
            "smartctl is not there; it comes with smartmontools"
        };
        return out.fault("", FaultKind::Absent, text);
    };
    if more > 0 {
        out.fault("", FaultKind::Cut, format!("{} disks, {MAX_DISKS} are asked", disks.len() + more));
    }
    let smart = out.past.smart.clone();
    if smart.is_none() && privileged::right(root) != Right::None {
        return out.fault("", FaultKind::Absent, format!("smartctl: {LATER}"));
    }
    let smart = smart.unwrap_or_default();
    for disk in &disks {
        match smart.of(root, disk) {
            Some(health) => health.put(disk, program, out),
            None if privileged::right(root) == Right::None => refuse(disk, program, out),
            None => out.fault(disk, FaultKind::Absent, format!("smartctl: {LATER}")),
        }
    }
}

/// Sudo compares arguments as they are, so that each disk needs its own line.
fn refuse(disk: &str, program: &str, out: &mut Out) {
    let device = format!("/dev/{disk}");
    let question: Vec<&str> = QUESTION.into_iter().chain([device.as_str()]).collect();
    out.fault(disk, FaultKind::Denied, privileged::denied(program, &question));
}

/// Whole disks of kinds that can be asked, and how many more there are than are asked.
fn disks(root: &Root) -> (Vec<String>, usize) {
    let asked = |name: &&Vec<u8>| name.starts_with(b"sd") || name.starts_with(b"nvme") || name.starts_with(b"hd");
    let all = names(root, "/sys/block");
    let real = |name: &&Vec<u8>| Folder::open(root, format!("/sys/block/{}/device", shown(name))).is_ok();
    let mut disks: Vec<String> = all.iter().filter(asked).filter(real).map(|name| shown(name)).collect();
    let more = disks.len().saturating_sub(MAX_DISKS);
    disks.truncate(MAX_DISKS);
    (disks, more)
}

/// What tells a disk from the next one of its name: its own number in the world, or its serial number; where it has none
/// that is to be seen, the kernel's model of it, for this boot.
fn identity(root: &Root, disk: &str) -> String {
    let word = |name: &str| {
        let text = root.read_at_most(format!("/sys/block/{disk}/{name}"), 256).unwrap_or_default();
        text.trim_ascii().escape_ascii().to_string()
    };
    let own = ["device/wwid", "wwid", "device/serial"].into_iter().map(word).find(|word| !word.is_empty());
    own.unwrap_or_else(|| format!("{} {}", word("device/model"), boot_id(root)))
}

/// True where there is a program to ask and the answer of a disk has grown old.
#[must_use]
pub fn disks_wait(root: &Root, last: Option<&Smart>, now: i64) -> bool {
    let fresh = |disk: &String| last.and_then(|last| last.of(root, disk)).is_some_and(|health| health.is_fresh(now));
    command::find(root, &PROGRAMS).is_some() && !disks(root).0.iter().all(fresh)
}

/// Asks each disk whose answer has grown old, and hands over all answers after each; `None` where there is nobody to ask,
/// or the last answers still serve.
pub fn ask_disks(root: &Root, last: Option<&Smart>, now: i64, keep: &mut dyn FnMut(&Smart)) -> Option<Smart> {
    let program = command::find(root, &PROGRAMS).filter(|_| disks_wait(root, last, now))?;
    let begin = std::time::Instant::now();
    let known = |disk: String| {
        let health = last.and_then(|last| last.of(root, &disk)).cloned().unwrap_or_default();
        let health = Health { is: identity(root, &disk), ..health };
        (disk, health)
    };
    let mut smart = Smart { at: now, disks: disks(root).0.into_iter().map(known).collect() };
    for place in 0..smart.disks.len() {
        let Some((disk, health)) = smart.disks.get_mut(place).filter(|(_, health)| !health.is_fresh(now)) else {
            continue;
        };
        if begin.elapsed() > ALL_PATIENCE {
            // Not counted as asked: it comes first the next time.
            LEFT.clone_into(&mut health.silent);
        } else {
            // One that no signal ended is not joined by another.
            let stuck = command::lives(&health.left);
            match if stuck { Err((LATE.to_owned(), health.left.clone())) } else { ask(root, program, disk) } {
                Ok(said) => *health = Health { at: now, asked: now, is: std::mem::take(&mut health.is), ..said },
                Err((silent, left)) => (health.asked, health.silent, health.left) = (now, silent, left),
            }
        }
        keep(&smart);
    }
    Some(smart)
}

/// What a disk says now, or why it says nothing, and what was left behind.
fn ask(root: &Root, program: &str, disk: &str) -> Result<Health, (String, String)> {
    let device = format!("/dev/{disk}");
    let question: Vec<&str> = QUESTION.into_iter().chain([device.as_str()]).collect();
    privileged::run(root, program, &question, PATIENCE)
        .map_err(|error| {
            let silent = match error.kind() {
                io::ErrorKind::PermissionDenied => REFUSED.to_owned(),
                io::ErrorKind::TimedOut => LATE.to_owned(),
                _ => format!("{program}: {error}"),
            };
            (silent, command::left(&error))
        })
        .and_then(|said| parse(&said.output, said.status).map_err(|silent| (silent, String::new())))
}

impl Smart {
    /// The file's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let one = |(disk, health): &(String, Health)| json!([disk, health.json()]);
        let disks: Value = self.disks.iter().map(one).collect();
        json!({"at": self.at, "disks": disks}).to_string().into_bytes()
    }

    /// From the file's bytes; a damaged file is as none.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let file: Value = serde_json::from_slice(bytes).ok()?;
        let mut smart = Self { at: file.get("at")?.as_i64()?, disks: Vec::new() };
        for one in file.get("disks")?.as_array()? {
            let mut health = Health::of_json(one.get(1)?);
            // Older probes kept one time for all disks.
            if health.asked == 0 && health.silent.is_empty() && health != Health::default() {
                (health.at, health.asked) = (smart.at, smart.at);
            }
            smart.disks.push((one.get(0)?.as_str()?.to_owned(), health));
        }
        Some(smart)
    }

    /// What the disk said that has this name now.
    fn of(&self, root: &Root, disk: &str) -> Option<&Health> {
        let found = self.disks.iter().find(|(name, _)| name == disk).map(|(_, health)| health);
        // Older probes did not say which it was.
        found.filter(|health| !health.is.is_empty() && health.is == identity(root, disk))
    }
}

impl Health {
    /// As it was always written: yes and no as such, and whole numbers without a point.
    fn json(&self) -> Value {
        let mut json =
            json!({"at": self.at, "asked": self.asked, "silent": self.silent, "left": self.left, "is": self.is});
        for ((name, _), value) in VALUES.iter().zip(self.values) {
            let Some(value) = value else { continue };
            #[allow(clippy::cast_possible_truncation, reason = "a number over 2^63 becomes that")]
            let number = if value.fract() == 0.0 { Value::from(value as i64) } else { Value::from(value) };
            let yes_or_no = matches!(*name, "failed" | "spare_low");
            json[*name] = if yes_or_no { Value::Bool(value > 0.0) } else { number };
        }
        json
    }

    fn of_json(json: &Value) -> Self {
        let whole = |name: &str| json.get(name).and_then(Value::as_i64).unwrap_or_default();
        let number = |value: &Value| value.as_f64().or_else(|| value.as_bool().map(|yes| f64::from(u8::from(yes))));
        let word = |name: &str| json.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let values = VALUES.map(|(name, _)| json.get(name).and_then(number));
        Self {
            at: whole("at"),
            asked: whole("asked"),
            silent: word("silent"),
            left: word("left"),
            is: word("is"),
            values,
        }
    }

    /// True while the disk need not be asked again.
    fn is_fresh(&self, now: i64) -> bool {
        self.asked > 0 && (0..FRESH).contains(&now.saturating_sub(self.asked))
    }

    fn put(&self, disk: &str, program: &str, out: &mut Out) {
        match self.silent.as_str() {
            "" => {}
            ASLEEP => out.fault(disk, FaultKind::Absent, "it sleeps and is not woken; it is asked again later"),
            REFUSED => refuse(disk, program, out),
            LATE => {
                // Of one that is stuck, its number.
                let pid = command::pid(&self.left);
                let stuck = if pid.is_empty() {
                    String::new()
                } else {
                    format!("; process {pid} cannot be ended, and it is not asked again before that is gone")
                };
                out.fault(disk, FaultKind::Hung, format!("no answer in time; see what dmesg says of the disk{stuck}"));
            }
            LEFT => out.fault(disk, FaultKind::Cut, "other disks took all the time; it is asked first the next time"),
            text if text.starts_with(CLOSED) => out.malformed(disk, text),
            text => out.fault(disk, FaultKind::Unsupported, text),
        }
        if self.at == 0 {
            return;
        }
        let age = out.past.now.saturating_sub(self.at).max(0);
        out.whole("disk.smart.age", disk, age.unsigned_abs());
        if age > STANDS && !matches!(self.silent.as_str(), "" | ASLEEP) {
            return;
        }
        for ((name, metric), value) in VALUES.into_iter().zip(self.values) {
            let Some(value) = value else { continue };
            match name {
                "power_on_hours" => out.put(metric, disk, value * 3600.0),
                "wear" => out.share(metric, disk, value / 100.0),
                "spare_low" => out.put(metric, disk, value * 2.0),
                // How warm it was before it fell silent says nothing of now.
                "celsius" if !self.silent.is_empty() => {}
                "celsius" => out.put(metric, &format!("smart/{disk}"), value),
                _ => out.put(metric, disk, value),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;
    use crate::measure::fixture::machine;

    const SATA: &str = include_str!("../fixtures/smartctl-sata.json");
    const NVME: &str = include_str!("../fixtures/smartctl-nvme.json");

    fn shown(health: &Health, now: i64) -> crate::measure::Measured {
        let mut out = Out::beside(None, &std::sync::Arc::new(crate::measure::Past { now, ..Default::default() }));
        health.put("sda", "/usr/sbin/smartctl", &mut out);
        out.into_measured()
    }

    fn value(got: &crate::measure::Measured, metric: &str) -> Option<f64> {
        got.readings.iter().find(|r| r.metric == metric).map(|r| r.value)
    }

    #[test]
    fn answers_are_kept_and_shown_with_their_age() {
        let health = Health { at: 1000, asked: 1000, ..parse(SATA.as_bytes(), Some(0)).unwrap() };
        let smart = Smart { at: 1000, disks: vec![("sda".to_owned(), health.clone())] };
        assert_eq!(Smart::parse(&smart.bytes()), Some(smart.clone()));
        let text = String::from_utf8(smart.bytes()).unwrap();
        assert!(text.contains(r#""failed":true"#) && text.contains(r#""wear":11"#), "as older probes read it: {text}");
        assert_eq!(Smart::parse(b"{\"at\":"), None);
        assert!(health.is_fresh(1000) && health.is_fresh(1000 + FRESH - 1) && !health.is_fresh(1000 + FRESH));
        // The clock was set back: nobody knows how old it is.
        assert!(!health.is_fresh(999));
        let got = shown(&health, 1060);
        assert_eq!((value(&got, "disk.smart.age"), value(&got, "disk.smart.failed")), (Some(60.0), Some(1.0)));
        assert_eq!(
            (value(&got, "disk.wear"), value(&got, "disk.smart.power-on")),
            (Some(0.11), Some(27_561.0 * 3600.0))
        );
        assert_eq!(value(&got, "temperature"), Some(36.0));
        // What a probe left that kept one time for all.
        let older = br#"{"at":1000,"disks":[["sda",{"failed":true,"wear":null}]],"denied":false}"#;
        let older = Smart::parse(older).unwrap();
        let mut values = [None; VALUES.len()];
        values[0] = Some(1.0);
        assert_eq!(older.disks[0].1, Health { at: 1000, asked: 1000, values, ..Health::default() });
    }

    /// It was shown as if it had been said just now, and as healthy for ever.
    #[test]
    fn a_disk_that_answered_and_was_silent_a_day_later_shows_the_age_of_what_it_said() {
        const DAY: i64 = 86_400;
        let said = Health { at: 1000, asked: 1000, ..parse(NVME.as_bytes(), Some(0)).unwrap() };
        for (silent, kind) in [
            (ASLEEP, FaultKind::Absent),
            (REFUSED, FaultKind::Denied),
            (LATE, FaultKind::Hung),
            (LEFT, FaultKind::Cut),
            (CLOSED, FaultKind::Malformed),
            ("it tells smartctl nothing of its health", FaultKind::Unsupported),
        ] {
            let silent = Health { asked: 1000 + DAY, silent: silent.to_owned(), ..said.clone() };
            let got = shown(&silent, 1060 + DAY);
            assert_eq!(
                got.faults.iter().map(|fault| (fault.item.as_str(), fault.kind)).collect::<Vec<_>>(),
                [("sda", kind)]
            );
            assert_eq!(value(&got, "disk.smart.age"), Some(86_460.0));
            assert_eq!((value(&got, "disk.smart.failed"), value(&got, "temperature")), (Some(0.0), None));
            let got = shown(&silent, 1000 + STANDS + 1);
            let stands = (kind == FaultKind::Absent).then_some(0.0);
            assert_eq!((value(&got, "disk.smart.failed"), got.faults.len()), (stands, 1), "{kind:?}");
        }
        let never = shown(&Health { asked: 1000, silent: LATE.to_owned(), ..Health::default() }, 1060);
        assert!(never.readings.is_empty() && never.faults.len() == 1);
    }

    #[test]
    fn more_disks_than_are_asked_are_told() {
        let files: String = (0..70).map(|n| format!("== /sys/block/sd{n}/device/model\nx\n")).collect();
        let (_folder, root) = machine(&format!("{files}== /usr/sbin/smartctl\n#!/bin/sh\n"));
        let mut out = Out::beside(None, &std::sync::Arc::default());
        collect(&root, &mut out);
        let faults = out.into_measured().faults;
        assert_eq!((faults[0].kind, faults[0].text.as_str()), (FaultKind::Cut, "70 disks, 64 are asked"));
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
        let mut kept = Vec::new();
        let got = ask_disks(&root, None, 5000, &mut |smart| kept.push(smart.clone())).unwrap();
        assert_eq!(kept, vec![got.clone()], "handed over as it came");
        let of =
            |smart: &Smart| smart.disks.iter().map(|(disk, it)| (disk.clone(), it.at, it.asked)).collect::<Vec<_>>();
        let ignore = &mut |_: &Smart| {};
        if rustix::process::geteuid().is_root() {
            assert_eq!(of(&got), [("sda".to_owned(), 5000, 5000)]);
            // Silent: what it said before still stands, of then.
            std::fs::write(&answer, "{}").unwrap();
            let again = ask_disks(&root, Some(&got), 5000 + FRESH, ignore).unwrap();
            assert_eq!(of(&again), [("sda".to_owned(), 5000, 5000 + FRESH)]);
            assert_eq!(again.disks[0].1.values, got.disks[0].1.values);
        } else {
            assert_eq!(of(&got), [("sda".to_owned(), 0, 5000)]);
        }
        assert_eq!(ask_disks(&root, Some(&got), 5001, ignore), None);
        // One in its slot, which is silent, does not inherit its word.
        std::fs::write(folder.path().join("sys/block/sda/device/wwid"), "naa.5000c500a1b2c3d4\n").unwrap();
        std::fs::write(&answer, "{}").unwrap();
        let swapped = ask_disks(&root, Some(&got), 5001, ignore).unwrap();
        assert_eq!(of(&swapped), [("sda".to_owned(), 0, 5001)]);
        let past = |smart: &Smart| crate::measure::Past { now: 5001, smart: Some(smart.clone()), ..Default::default() };
        let mut out = Out::beside(None, &std::sync::Arc::new(past(&got)));
        collect(&root, &mut out);
        let shown = out.into_measured();
        assert!(shown.readings.is_empty() && shown.faults.len() == 1, "{:?}", shown.readings);
        assert_eq!(Smart::parse(&swapped.bytes()), Some(swapped.clone()));
        std::fs::remove_file(folder.path().join("sys/block/sda/device/wwid")).unwrap();
        // Without a number of its own it is the same for this boot.
        std::fs::create_dir_all(folder.path().join("proc/sys/kernel/random")).unwrap();
        assert!(!disks_wait(&root, Some(&got), 5001));
        std::fs::write(folder.path().join("proc/sys/kernel/random/boot_id"), "b2ccd7d0-another").unwrap();
        assert!(disks_wait(&root, Some(&got), 5001));
        std::fs::remove_file(folder.path().join("proc/sys/kernel/random/boot_id")).unwrap();
        // Another disk is asked as soon as it is there.
        std::fs::create_dir_all(folder.path().join("sys/block/sdc/device")).unwrap();
        let more = ask_disks(&root, Some(&got), 5001, ignore).unwrap();
        assert_eq!(of(&more).iter().map(|(_, _, asked)| *asked).collect::<Vec<_>>(), [5000, 5001]);
        std::fs::remove_file(&program).unwrap();
        assert_eq!(ask_disks(&root, None, 5000, ignore), None);
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
        fn any_file_is_answers_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Smart::parse(&bytes);
        }
    }
}

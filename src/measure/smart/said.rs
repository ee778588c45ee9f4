//! What smartctl prints, as JSON, of one disk.

use serde::Deserialize;

use super::{ASLEEP, CLOSED, Health};
use crate::model::clean::clean;

/// The most characters of smartctl's own reason that are kept.
const MAX_REASON: usize = 120;

/// The parts of smartctl's answer that are used.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    smartctl: Own,
    smart_status: Option<Status>,
    ata_smart_attributes: Option<Table>,
    nvme_smart_health_information_log: Option<Nvme>,
    power_on_time: Option<Hours>,
    temperature: Option<Temperature>,
    scsi_grown_defect_list: Option<u64>,
    /// Since smartmontools 7.5, for disks of every kind.
    endurance_used: Option<Percent>,
}

/// What smartctl says of itself.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Own {
    messages: Vec<Message>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message {
    string: String,
    severity: String,
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

/// What a disk said, or why it said nothing.
pub(super) fn parse(bytes: &[u8], status: Option<i32>) -> Result<Health, String> {
    let Ok(answer) = serde_json::from_slice::<Answer>(bytes) else {
        return Err("smartctl's answer is not understood; it speaks JSON since 7.0".to_owned());
    };
    let silent = why(&answer.smartctl.messages, status);
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
    if health == Health::default() { Err(silent) } else { Ok(health) }
}

/// Why a disk said nothing, by smartctl's words and its exit status: its second bit tells of a disk that sleeps or could
/// not be opened, and where it could not, smartctl says what went wrong.
fn why(messages: &[Message], status: Option<i32>) -> String {
    let error = messages.iter().find(|message| message.severity == "error").map(|message| message.string.as_str());
    let silent = status.is_some_and(|status| status & 2 != 0);
    // `Device is in STANDBY mode, exit(2)`, which before 7.3 is left out.
    if messages.iter().any(|message| message.string.contains(" mode, exit(")) || silent && error.is_none() {
        return ASLEEP.to_owned();
    }
    let text = if silent { CLOSED } else { "it tells smartctl nothing of its health" };
    let reason: String = error.unwrap_or_default().chars().take(MAX_REASON).collect();
    if reason.is_empty() { text.to_owned() } else { clean(&format!("{text}: {reason}")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SATA: &str = include_str!("../fixtures/smartctl-sata.json");
    const NVME: &str = include_str!("../fixtures/smartctl-nvme.json");

    #[test]
    fn answers_of_two_kinds_of_disks() {
        let sata = parse(SATA.as_bytes(), Some(0)).unwrap();
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
        let nvme = parse(NVME.as_bytes(), Some(0)).unwrap();
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
    }

    /// Words of smartctl 7.2 to 7.4.
    #[test]
    fn why_a_disk_says_nothing() {
        let message = |text: &str, severity: &str, status: i32| {
            let text = format!(
                r#"{{"smartctl":{{"messages":[{{"string":"{text}","severity":"{severity}"}}],"exit_status":{status}}}}}"#
            );
            parse(text.as_bytes(), Some(status)).unwrap_err()
        };
        assert_eq!(message("Device is in STANDBY mode, exit(2)", "information", 2), ASLEEP);
        assert_eq!(parse(br#"{"smartctl":{"exit_status":2}}"#, Some(2)).unwrap_err(), ASLEEP, "before 7.3");
        let closed = message("Smartctl open device: /dev/sda failed: No such device", "error", 2);
        assert_eq!(closed, "smartctl could not open it: Smartctl open device: /dev/sda failed: No such device");
        assert_eq!(
            message("/dev/sdc: Unknown USB bridge [0x1234:0x5678]", "error", 1),
            "it tells smartctl nothing of its health: /dev/sdc: Unknown USB bridge [0x1234:0x5678]"
        );
        assert!(message(&"\\u001b".repeat(5000), "error", 2).len() < 200);
        for none in ["", "{}", "[]", r#"{"smart_status":{"passed":5}}"#, r#"{"smartctl":7}"#] {
            assert!(parse(none.as_bytes(), Some(4)).is_err_and(|why| why.contains("smartctl")), "{none}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_stops_it(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes, None);
        }
    }
}

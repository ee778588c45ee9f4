//! What smartctl prints, as JSON, of one disk.

use serde_json::Value;

use super::{ASLEEP, CLOSED, Health, VALUES};
use crate::model::clean::clean;

/// The most characters of smartctl's own reason that are kept.
const MAX_REASON: usize = 120;

/// What a disk said, or why it said nothing.
pub(super) fn parse(bytes: &[u8], status: Option<i32>) -> Result<Health, String> {
    let Ok(answer) = serde_json::from_slice::<Value>(bytes) else {
        return Err("smartctl's answer is not understood; it speaks JSON since 7.0".to_owned());
    };
    let at = |path: &str| path.split('/').try_fold(&answer, |value, key| value.get(key));
    let number = |path: &str| at(path).and_then(Value::as_f64);
    let count = |path: &str| number(path).filter(|count| *count >= 0.0);
    let nvme = |name: &str| count(&format!("nvme_smart_health_information_log/{name}"));
    let yes = |yes: bool| f64::from(u8::from(yes));
    let failed = at("smart_status/passed").and_then(Value::as_bool).map(|passed| yes(!passed));
    let critical = nvme("critical_warning");
    let (mut reallocated, mut pending, mut crc_errors) = (count("scsi_grown_defect_list"), None, None);
    let mut media_errors = nvme("media_errors");
    let hours = count("power_on_time/hours").or_else(|| nvme("power_on_hours"));
    // The first since smartmontools 7.5, for disks of every kind.
    let mut wear = count("endurance_used/current_percent").or_else(|| nvme("percentage_used"));
    let celsius = number("temperature/current");
    let spare_low =
        nvme("available_spare").zip(nvme("available_spare_threshold")).map(|(spare, least)| yes(spare < least));
    for attribute in at("ata_smart_attributes/table").and_then(Value::as_array).into_iter().flatten() {
        let whole = |value: Option<&Value>| value.and_then(Value::as_u64);
        // Makers pack other counts above the lower four bytes.
        let raw = whole(attribute.get("raw").and_then(|raw| raw.get("value")));
        let raw = raw.and_then(|raw| u32::try_from(raw & 0xffff_ffff).ok()).map(f64::from);
        match whole(attribute.get("id")) {
            Some(5) => reallocated = raw,
            Some(197) => pending = raw,
            Some(198) => media_errors = raw,
            Some(199) => crc_errors = raw,
            // Life left, in percent, under the numbers that makers of flash give it.
            Some(169 | 202 | 231 | 233) => {
                let left = attribute.get("value").and_then(Value::as_f64).filter(|left| (0.0..=100.0).contains(left));
                wear = wear.or(left.map(|left| 100.0 - left));
            }
            _ => {}
        }
    }
    let values = [failed, critical, reallocated, pending, media_errors, crc_errors, hours, wear, celsius, spare_low];
    if values == [None; VALUES.len()] { Err(why(&answer, status)) } else { Ok(Health { values, ..Health::default() }) }
}

/// Why a disk said nothing, by smartctl's words and its exit status: its second bit tells of a disk that sleeps or could
/// not be opened, and where it could not, smartctl says what went wrong.
fn why(answer: &Value, status: Option<i32>) -> String {
    let messages = answer.get("smartctl").and_then(|own| own.get("messages")).and_then(Value::as_array);
    let (mut asleep, mut error) = (false, "");
    for message in messages.into_iter().flatten() {
        let word = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default();
        // `Device is in STANDBY mode, exit(2)`, which before 7.3 is left out.
        asleep |= word("string").contains(" mode, exit(");
        if word("severity") == "error" && error.is_empty() {
            error = word("string");
        }
    }
    let silent = status.is_some_and(|status| status & 2 != 0);
    if asleep || silent && error.is_empty() {
        return ASLEEP.to_owned();
    }
    let text = if silent { CLOSED } else { "it tells smartctl nothing of its health" };
    let reason: String = error.chars().take(MAX_REASON).collect();
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
        let sata = parse(SATA.as_bytes(), Some(0)).unwrap().values;
        let expected =
            [Some(1.0), None, Some(8.0), Some(2.0), Some(1.0), Some(4.0), Some(27_561.0), Some(11.0), Some(36.0), None];
        assert_eq!(sata, expected);
        let nvme = parse(NVME.as_bytes(), Some(0)).unwrap().values;
        let expected =
            [Some(0.0), Some(0.0), None, None, Some(0.0), None, Some(1211.0), Some(3.0), Some(34.0), Some(0.0)];
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

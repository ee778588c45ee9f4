use chrono::{TimeZone, Utc};
use proptest::prelude::*;

use super::*;

const NONCE: &str = "0123456789abcdef0123456789abcdef";

fn sample() -> Sample {
    let reading = |metric: &str, item: &str, value| Reading { metric: metric.into(), item: item.into(), value };
    Sample {
        key: SampleKey { boot: "0d2f7d1a-8a5e-4c8e-9d42-0123456789ab".into(), sequence: 7 },
        taken: Utc.timestamp_millis_opt(1_795_000_000_123).single().unwrap(),
        hostname: "web1".into(),
        probe: "0.1.0".into(),
        readings: vec![
            reading("cpu.used", "", 0.12345),
            reading("filesystem.size", "/", 123_456_789_012.0),
            reading("zz.new-metric", "a \"quoted\" \\ item", -3.5),
        ],
        faults: vec![Fault {
            section: "filesystem".into(),
            item: "/mnt".into(),
            kind: FaultKind::Hung,
            text: "no answer".into(),
        }],
    }
}

fn with(readings: &str) -> String {
    format!(r#"{{"v":1,"boot":"12345678","seq":1,"taken":1795000000000,"readings":[{readings}]}}"#)
}

#[test]
fn a_sample_survives() {
    let bytes = encode(Some(NONCE), &sample());
    assert_eq!(decode(&bytes), Ok((Some(NONCE.to_owned()), sample())));
    assert!(String::from_utf8(bytes).unwrap().contains("\"n\":123456789012}"));
}

#[test]
fn newer_fields_are_ignored_older_ones_have_defaults_other_versions_are_refused() {
    let newer = String::from_utf8(encode(None, &sample())).unwrap();
    let newer =
        newer.replacen('{', "{\"tables\":[{\"deep\":[[[[[1]]]]]}],", 1).replace("\"m\":", "\"unit\":\"x\",\"m\":");
    assert_eq!(decode(newer.as_bytes()), Ok((None, sample())));
    let (_, older) = decode(br#"{"v":1,"boot":"12345678","seq":1,"taken":0}"#).unwrap();
    assert!(older.readings.is_empty() && older.faults.is_empty() && older.hostname.is_empty());
    let other = decode(br#"{"v":2,"everything":"else"}"#);
    assert_eq!(other, Err(WireError::Version { found: 2, known: 1 }));
}

#[test]
fn a_kind_of_fault_that_is_not_known_yet_is_still_told() {
    let text = r#"{"v":1,"boot":"12345678","seq":1,"taken":0,"faults":[{"s":"raid","k":"melted","t":"hot"}]}"#;
    let (_, sample) = decode(text.as_bytes()).unwrap();
    assert_eq!((sample.faults[0].kind, sample.faults[0].text.as_str()), (FaultKind::Malformed, "hot"));
}

#[test]
fn values_that_cannot_be_are_left_out_and_told() {
    let text = with(
        r#"{"m":"cpu.used","n":1.5},{"m":"memory.used","n":-0.1},{"m":"load.1m","n":-1},{"m":"UPPER","n":1},
           {"m":"uptime","n":5},{"m":"uptime","n":6},{"m":"swap.used","n":1.0000001},{"m":"x\u001b[31m","n":1},
           {"m":"disk.reads","i":"sda","n":18446744073709551615},{"m":"","n":1}"#,
    );
    let (_, sample) = decode(text.as_bytes()).unwrap();
    let kept: Vec<_> = sample.readings.iter().map(|r| (r.metric.as_str(), r.value)).collect();
    assert_eq!(kept, [("uptime", 5.0), ("swap.used", 1.0)]);
    assert_eq!(sample.faults.len(), 1);
    assert!(sample.faults[0].text.starts_with("8 readings"), "{}", sample.faults[0].text);
}

#[test]
fn numbers_that_are_none_break_the_sample() {
    for number in ["1e400", "NaN", "Infinity", "\"1\"", "null", "[]", "{}", "true"] {
        let text = with(&format!(r#"{{"m":"uptime","n":{number}}}"#));
        assert!(matches!(decode(text.as_bytes()), Err(WireError::Json(_))), "{number}");
    }
}

#[test]
fn bounds_hold() {
    let many = |count: usize| {
        let list: Vec<String> = (0..count).map(|i| format!(r#"{{"m":"a","i":"{i}","n":1}}"#)).collect();
        with(&list.join(","))
    };
    assert_eq!(decode(many(MAX_READINGS).as_bytes()).unwrap().1.readings.len(), MAX_READINGS);
    assert!(matches!(decode(many(MAX_READINGS + 1).as_bytes()), Err(WireError::Oversize { .. })));
    assert!(matches!(decode(&vec![b' '; MAX_FILE + 1]), Err(WireError::Oversize { .. })));
    let deep = format!(r#"{{"v":1,"x":{}"#, "[".repeat(200_000));
    assert!(matches!(decode(deep.as_bytes()), Err(WireError::Json(_))));
    for (field, value) in [
        ("\"taken\":1795000000000", "\"taken\":9223372036854775807"),
        ("\"taken\":1795000000000", "\"taken\":-1"),
        ("\"seq\":1", "\"seq\":18446744073709551615"),
        ("12345678", "../../x/y"),
        ("12345678", ""),
        ("\"seq\":1", "\"seq\":1,\"nonce\":\"short\""),
        ("\"seq\":1", "\"seq\":1,\"seq\":2"),
    ] {
        assert!(decode(with("").replace(field, value).as_bytes()).is_err(), "{value}");
    }
}

#[test]
fn names_are_cleaned() {
    let text = with(&format!(r#"{{"m":"filesystem.used","i":"/m\u001b[2J\r\n\u202ex{}","n":0.5}}"#, "y".repeat(999)));
    let (_, sample) = decode(text.as_bytes()).unwrap();
    assert!(sample.readings[0].item.starts_with("/m?[2J???x") && sample.readings[0].item.len() == 255);
}

#[test]
fn what_is_written_always_fits_what_is_read() {
    let mut sample = sample();
    for i in 0..5000 {
        let item = format!("{i}{}", "\\\"".repeat(120));
        sample.readings.push(Reading { metric: "filesystem.used".into(), item: item.clone(), value: 0.123_456_789 });
        sample.faults.push(Fault { section: "s".into(), item: item.clone(), kind: FaultKind::Cut, text: item });
    }
    sample.readings.push(Reading { metric: "uptime".into(), item: String::new(), value: f64::NAN });
    let bytes = encode(Some(NONCE), &sample);
    assert!(bytes.len() <= MAX_FILE, "{}", bytes.len());
    let (_, read) = decode(&bytes).unwrap();
    assert!(read.readings.len() > 200);
    assert!(read.faults.iter().any(|fault| fault.kind == FaultKind::Cut && fault.text.contains("did not fit")));
}

proptest! {
    #[test]
    fn any_bytes_are_a_sample_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn any_changed_sample_is_a_sample_or_an_error(at in 0_usize..400, byte in any::<u8>()) {
        let mut bytes = encode(Some(NONCE), &sample());
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = decode(&bytes);
    }

    #[test]
    fn any_value_survives(value in -1e17_f64..1e17, item in "[a-z/ \"\\\\é]{0,60}") {
        let mut sample = sample();
        sample.readings = vec![Reading { metric: "any".into(), item, value }];
        let (_, mut read) = decode(&encode(None, &sample)).unwrap();
        // serde_json may be wrong in the last bit of a fraction.
        prop_assert!((read.readings[0].value - value).abs() <= value.abs() * 1e-15);
        read.readings[0].value = value;
        prop_assert_eq!(read, sample);
    }
}

//! CLEAN keeps its promise for any bytes.
#![no_main]

use fleet_health::model::clean::{MAX_TEXT, clean, clean_bytes, is_hostile};
use fleet_health::model::pattern;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = clean_bytes(data);
    assert!(text.len() <= MAX_TEXT && !text.contains(is_hostile));
    assert_eq!(clean(&text), text);
    let (glob, name) = data.split_at(data.len() / 2);
    let (glob, name) = (String::from_utf8_lossy(glob), String::from_utf8_lossy(name));
    let _ = pattern::matches(&glob, &name);
    assert!(pattern::matches("*", &name));
});

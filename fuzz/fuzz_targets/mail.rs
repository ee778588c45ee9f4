//! No text breaks a mail: what is not ASCII, not a line of its own, or a line's end alone never reaches the server.
#![no_main]

use chrono::DateTime;
use fleet_health::notify::message::{Letter, address, compose};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let all = String::from_utf8_lossy(data).into_owned();
    let mut parts = all.splitn(6, '\u{1}').map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    let letter = Letter {
        subject: next(),
        text: next(),
        from: next(),
        to: vec![next()],
        headers: vec![("X-Fleet-Host", next())],
        html: next(),
        root: Some(all.clone()),
        ..Letter::default()
    };
    let _ = address(&letter.from);
    let (id, bytes) = compose(&letter, DateTime::UNIX_EPOCH);
    assert!(id.is_ascii() && !id.contains(['\r', '\n', '<', '>', ' ']));
    let mail = String::from_utf8(bytes).unwrap();
    assert!(mail.is_ascii(), "{mail:?}");
    assert!(!mail.replace("\r\n", "").contains(['\r', '\n', '\0', '\u{1b}']), "{mail:?}");
    assert!(mail.split("\r\n").all(|line| line.len() <= 998 && !line.starts_with('.')), "{mail:?}");
    let head = mail.split_once("\r\n\r\n").unwrap().0;
    for name in ["From: ", "To: ", "Subject: ", "Message-ID: ", "Date: ", "X-Fleet-Host: "] {
        assert_eq!(head.split("\r\n").filter(|line| line.starts_with(name)).count(), 1, "{name}: {head:?}");
    }
});

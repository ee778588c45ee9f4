//! Any stream is a frame or an error; what is handed out keeps the bounds.
#![no_main]

use fleet_health::wire::frame::{Item, Limits, Reader, is_file_name, read_answer};
use libfuzzer_sys::fuzz_target;

const NONCE: &str = "0123456789abcdef0123456789abcdef";

fuzz_target!(|data: &[u8]| {
    let limits = Limits { noise: 512, file: 1024, total: 4096, files: 4 };
    for begun in [&b""[..], b"FLEET1 0123456789abcdef0123456789abcdef\n"] {
        let stream = [begun, data].concat();
        let mut reader = Reader::new(stream.as_slice(), NONCE, limits);
        let (mut files, mut total) = (0, 0);
        loop {
            match reader.next() {
                Ok(Item::File { name, bytes }) => {
                    assert!(is_file_name(&name) && bytes.len() <= limits.file);
                    files += 1;
                    total += bytes.len() as u64;
                    assert!(files <= limits.files && total <= limits.total);
                }
                Ok(Item::End { .. }) => break,
                Err(error) => {
                    assert!(!error.to_string().contains(['\n', '\u{1b}']));
                    let _ = reader.noise();
                    break;
                }
            }
        }
    }
    for name in read_answer(&mut &data[..]).unwrap_or_default() {
        assert!(is_file_name(&name));
    }
});

//! Any bytes from a dialer are messages or the end of it; each message has one form.
#![no_main]

use fleet_health::app::dialer::frames::{Frames, framed};
use fleet_health::app::dialer::message::{MAX_SAID, Order, Said};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(said) = Said::decode(data) {
        assert_eq!(said.encode(), data);
    }
    if let Ok(order) = Order::decode(data) {
        assert_eq!(order.encode(), data);
    }
    // As a stream, and as one message of it.
    for stream in [data.to_vec(), framed(data)] {
        let (mut rest, mut frames) = (stream.as_slice(), Frames::new(MAX_SAID));
        'stream: while frames.fill(&mut rest).unwrap() > 0 {
            loop {
                match frames.next() {
                    Ok(Some(message)) => assert!(!message.is_empty() && message.len() <= MAX_SAID),
                    Ok(None) => break,
                    Err(_) => break 'stream,
                }
            }
        }
    }
});

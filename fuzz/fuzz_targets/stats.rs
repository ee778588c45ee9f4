//! Any bytes are a sample or an error; a sample is clean and survives being written again.
#![no_main]

use fleet_health::model::clean::is_hostile;
use fleet_health::wire::v1;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok((nonce, sample)) = v1::decode(data) else { return };
    let texts = [&sample.hostname, &sample.probe, &sample.key.boot].into_iter();
    let texts = texts.chain(sample.readings.iter().flat_map(|r| [&r.metric, &r.item]));
    for text in texts.chain(sample.faults.iter().flat_map(|f| [&f.section, &f.item, &f.text])) {
        assert!(!text.contains(is_hostile) && text.len() <= 255, "{text:?}");
    }
    assert!(sample.readings.iter().all(|reading| reading.value.is_finite()));
    let (again, same) = v1::decode(&v1::encode(nonce.as_deref(), &sample)).unwrap();
    assert_eq!((again, same.key, same.taken), (nonce, sample.key, sample.taken));
});

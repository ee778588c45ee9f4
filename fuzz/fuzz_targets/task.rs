//! Any line is a task or an error.
#![no_main]

use fleet_health::wire::task::Task;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(task) = Task::decode(&String::from_utf8_lossy(data)) {
        assert_eq!(Task::decode(&task.encode()), Ok(task));
    }
});

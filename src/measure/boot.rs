//! Which boot this is, and for how long it has lasted.

use super::root::Root;
use super::text::{keyed, number, words};

/// The kernel's boot id. Where there is none: the time of boot in hexadecimal with `-btime`; where that is hidden too,
/// `00000000-unknown`. 8 to 64 letters, digits and dashes; the first eight are lower-case letters and digits.
#[must_use]
pub fn boot_id(root: &Root) -> String {
    let id = root.read_at_most("/proc/sys/kernel/random/boot_id", 64).unwrap_or_default();
    let id = String::from_utf8_lossy(&id).trim().to_ascii_lowercase();
    let head = |id: &str| id.len() >= 8 && id.bytes().take(8).all(|b| b.is_ascii_alphanumeric());
    if head(&id) && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return id;
    }
    let btime = root.read("/proc/stat").ok().and_then(|stat| keyed(&stat, "btime"));
    match btime.and_then(|btime| u32::try_from(btime).ok()) {
        Some(btime) => format!("{btime:08x}-btime"),
        None => "00000000-unknown".to_owned(),
    }
}

/// Milliseconds since boot, asleep or not; 0 where it cannot be read.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float to u64 saturates")]
pub fn uptime_millis(root: &Root) -> u64 {
    let bytes = root.read_at_most("/proc/uptime", 256).unwrap_or_default();
    words(&bytes).next().and_then(number).map_or(0, |seconds| (seconds * 1000.0) as u64)
}

//! Time since boot.

use super::boot::uptime_millis;
use super::out::Out;
use super::root::Root;

#[allow(clippy::cast_precision_loss, reason = "milliseconds are far below 2^53")]
pub(super) fn collect(root: &Root, out: &mut Out) {
    match root.read_at_most("/proc/uptime", 256) {
        Err(error) => out.unread("", "/proc/uptime", &error),
        Ok(_) => match uptime_millis(root) {
            0 => out.malformed("", "/proc/uptime: not a number"),
            millis => out.seconds("uptime", "", millis as f64 / 1000.0),
        },
    }
}

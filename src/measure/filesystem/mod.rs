//! Space and inodes of mounted filesystems.

mod ask;
mod table;

use std::io;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::out::{Out, kind_of};
use super::root::Root;
use crate::model::sample::FaultKind;

use ask::{Deadline, Outcome, Space};
use table::Mount;

pub use ask::{ASK, answer};

/// How long one mount may take to answer; a dead NFS server never does.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long all mounts together may take.
const ALL_PATIENCE: Duration = Duration::from_secs(6);
/// The most mounts of which is told what they are; a sample has room for 256 facts of all kinds.
const MAX_FACTS: usize = 32;
/// 5,000 lines of a table are about half of it.
const MAX_TABLE: usize = 2 << 20;

pub(super) fn collect(root: &Root, out: &mut Out) {
    let bytes = match root.read_at_most("/proc/self/mountinfo", MAX_TABLE) {
        Ok(bytes) => bytes,
        Err(error) => return out.unread("", "/proc/self/mountinfo", &error),
    };
    if bytes.len() == MAX_TABLE {
        out.fault("", FaultKind::Cut, format!("/proc/self/mountinfo: more than {MAX_TABLE} bytes"));
    }
    let mounts = table::chosen(&bytes, out);
    for mount in mounts.iter().take(MAX_FACTS) {
        let point = String::from_utf8_lossy(&mount.point);
        out.fact("filesystem.type", &point, &String::from_utf8_lossy(&mount.kind));
        out.fact("filesystem.device", &point, &String::from_utf8_lossy(&mount.source));
        out.fact("filesystem.options", &point, &String::from_utf8_lossy(&mount.options));
    }
    let (risky, local): (Vec<Mount>, Vec<Mount>) = mounts.into_iter().partition(|mount| mount.risky);
    let deadline = Deadline { each: PATIENCE, end: Instant::now() + ALL_PATIENCE };
    let by_thread = |mounts: &[Mount]| ask::by_thread(root, mounts, ask::statvfs);
    ask::all(&local, by_thread, deadline, |mount, outcome| tell(mount, outcome, out));
    match root.helper() {
        Some(program) => {
            let by_process = |mounts: &[Mount]| ask::by_process(root, mounts, program);
            ask::all(&risky, by_process, deadline, |mount, outcome| tell(mount, outcome, out));
        }
        None => ask::all(&risky, by_thread, deadline, |mount, outcome| tell(mount, outcome, out)),
    }
}

fn tell(mount: &Mount, outcome: Outcome, out: &mut Out) {
    let name = &String::from_utf8_lossy(&mount.point);
    match outcome {
        Outcome::Answered(Ok(space)) => put(name, mount.readonly, space, out),
        Outcome::Answered(Err(error)) if error.raw_os_error() == Some(Errno::NOLCK.raw_os_error()) => {
            let text =
                "not asked: neither the spool nor /dev/shm takes a lock, without which those that hang would pile up";
            out.fault(name, FaultKind::Hung, text);
        }
        Outcome::Answered(Err(error)) => refused(name, mount, &error, out),
        Outcome::Hung => {
            out.whole("filesystem.hung", name, 1);
            out.fault(name, FaultKind::Hung, "no answer in time; see whether its server or program still lives");
        }
        Outcome::NotAsked => out.fault(name, FaultKind::Hung, "not asked, because others took too long"),
        Outcome::Broken(error) => out.unread(name, "asking it", &error),
    }
}

fn refused(name: &str, mount: &Mount, error: &io::Error, out: &mut Out) {
    // It answers, only not to us.
    out.whole("filesystem.hung", name, 0);
    match kind_of(error) {
        FaultKind::Denied if mount.risky => {
            let text = format!("statvfs: {error}; its owner may let others look: mount it with -o allow_other");
            out.fault(name, FaultKind::Denied, text);
        }
        FaultKind::Denied => {
            out.fault(
                name,
                FaultKind::Denied,
                format!("statvfs: {error}; a directory above it bars this user: chmod o+x"),
            );
        }
        _ => out.unread(name, "statvfs", error),
    }
}

#[allow(clippy::cast_precision_loss, reason = "a share of five digits")]
fn put(name: &str, readonly: bool, space: Space, out: &mut Out) {
    // No space at all: a filesystem of the kernel's that the lists do not know.
    if space.size == 0 {
        return;
    }
    let used = space.size.saturating_sub(space.free);
    out.whole("filesystem.size", name, space.size);
    out.whole("filesystem.free", name, space.free);
    out.whole("filesystem.available", name, space.available);
    // As df does: of what ordinary users may use.
    let usable = used.saturating_add(space.available);
    if usable > 0 {
        out.share("filesystem.used", name, used as f64 / usable as f64);
    }
    // btrfs and some network filesystems have no fixed number of inodes.
    if space.inodes > 0 {
        let used = space.inodes.saturating_sub(space.inodes_free);
        out.share("filesystem.inodes.used", name, used as f64 / space.inodes as f64);
        out.whole("filesystem.inodes", name, space.inodes);
        out.whole("filesystem.inodes.available", name, space.inodes_free);
    }
    out.whole("filesystem.readonly", name, u64::from(readonly));
    out.whole("filesystem.hung", name, 0);
}

#[cfg(test)]
mod tests;

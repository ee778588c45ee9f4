//! Space and inodes of mounted filesystems.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::out::Out;
use super::root::Root;
use super::text::{lines, unescape, words};
use crate::model::sample::FaultKind;

const MAX_MOUNTS: usize = 256;
/// How long one mount may take to answer; a dead NFS server never does.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long all mounts together may take.
const ALL_PATIENCE: Duration = Duration::from_secs(6);

/// Filesystems that hold no data of people: node_exporter's list, and never autofs, which mounts when it is looked at.
const PSEUDO: &[&[u8]] = &[
    b"autofs",
    b"binfmt_misc",
    b"bpf",
    b"cgroup",
    b"cgroup2",
    b"configfs",
    b"debugfs",
    b"devpts",
    b"devtmpfs",
    b"efivarfs",
    b"erofs",
    b"fuse.lxcfs",
    b"fuse.gvfsd-fuse",
    b"fuse.portal",
    b"fusectl",
    b"hugetlbfs",
    b"iso9660",
    b"mqueue",
    b"nsfs",
    b"overlay",
    b"proc",
    b"procfs",
    b"pstore",
    b"ramfs",
    b"rpc_pipefs",
    b"securityfs",
    b"selinuxfs",
    b"squashfs",
    b"sysfs",
    b"tracefs",
];
/// Mount points under which only the system and containers mount: node_exporter's list.
const INTERNAL: &[&[u8]] =
    &[b"/dev", b"/proc", b"/sys", b"/run/credentials", b"/var/lib/docker", b"/var/lib/containers/storage"];

#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    device: Vec<u8>,
    point: Vec<u8>,
    readonly: bool,
}

/// What statvfs says, in bytes and inodes.
#[derive(Clone, Copy, Debug)]
struct Space {
    size: u64,
    free: u64,
    available: u64,
    inodes: u64,
    inodes_free: u64,
}

type Ask = fn(&std::path::Path) -> io::Result<Space>;

pub(super) fn collect(root: &Root, out: &mut Out) {
    match root.read("/proc/self/mountinfo") {
        Ok(bytes) => {
            let mounts = chosen(&bytes, out);
            ask_all(root, &mounts, statvfs, PATIENCE, ALL_PATIENCE, out);
        }
        Err(error) => out.unread("", "/proc/self/mountinfo", &error),
    }
}

/// Mounts to look at: no pseudo filesystems, each device once, under its shortest name.
fn chosen(bytes: &[u8], out: &mut Out) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    let mut odd = 0;
    for line in lines(bytes) {
        let Some((mount, kind)) = parse(line) else {
            odd += 1;
            continue;
        };
        // What is mounted later at the same place hides what was there.
        mounts.retain(|other| other.point != mount.point);
        let inside = |dir: &&&[u8]| mount.point.strip_prefix(**dir).is_some_and(|r| r.is_empty() || r[0] == b'/');
        // A container's own root is an overlay.
        let pseudo = PSEUDO.contains(&kind.as_slice()) && !(kind == b"overlay" && mount.point == b"/");
        if pseudo || INTERNAL.iter().any(|dir| inside(&dir)) {
            continue;
        }
        match mounts.iter_mut().find(|other| other.device == mount.device) {
            Some(other) if other.point.len() > mount.point.len() => *other = mount,
            Some(_) => {}
            None => mounts.push(mount),
        }
    }
    if odd > 0 {
        out.malformed("", format!("/proc/self/mountinfo: {odd} lines not understood"));
    }
    if mounts.len() > MAX_MOUNTS {
        out.fault("", FaultKind::Cut, format!("{} mounts, {MAX_MOUNTS} were looked at", mounts.len()));
        mounts.truncate(MAX_MOUNTS);
    }
    mounts
}

/// `36 35 98:0 /root /point rw,noatime [fields] - type source rw`.
fn parse(line: &[u8]) -> Option<(Mount, Vec<u8>)> {
    let mut words = words(line).skip(2);
    let device = words.next()?.to_vec();
    let point = unescape(words.nth(1)?);
    let options = words.next()?;
    let kind = words.by_ref().skip_while(|word| *word != b"-").nth(1)?.to_vec();
    let super_options = words.nth(1).unwrap_or_default();
    let readonly = [options, super_options].iter().any(|list| list.split(|&b| b == b',').any(|o| o == b"ro"));
    point.starts_with(b"/").then_some((Mount { device, point, readonly }, kind))
}

/// Asks in a thread, because statvfs may never return; a thread that hangs is left behind and another takes its place.
fn ask_all(root: &Root, mounts: &[Mount], ask: Ask, patience: Duration, all: Duration, out: &mut Out) {
    let end = Instant::now() + all;
    let mut answers: Option<Receiver<io::Result<Space>>> = None;
    for (at, mount) in mounts.iter().enumerate() {
        let name = String::from_utf8_lossy(&mount.point).into_owned();
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            out.fault(&name, FaultKind::Hung, "not asked, because others took too long");
            continue;
        }
        let receiver = match answers.take() {
            Some(receiver) => receiver,
            None => match start(root, &mounts[at..], ask) {
                Ok(receiver) => receiver,
                Err(error) => return out.unread("", "a thread", &error),
            },
        };
        match receiver.recv_timeout(patience.min(left)) {
            Ok(answer) => {
                answers = Some(receiver);
                match answer {
                    Ok(space) => put(&name, mount.readonly, space, out),
                    Err(error) => out.unread(&name, "statvfs", &error),
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                out.fault(&name, FaultKind::Hung, format!("no answer within {} s", patience.as_secs_f32()));
            }
            Err(RecvTimeoutError::Disconnected) => out.malformed(&name, "the asking thread ended"),
        }
    }
}

fn start(root: &Root, mounts: &[Mount], ask: Ask) -> io::Result<Receiver<io::Result<Space>>> {
    use std::os::unix::ffi::OsStringExt;
    let paths: Vec<PathBuf> =
        mounts.iter().map(|m| root.path(PathBuf::from(std::ffi::OsString::from_vec(m.point.clone())))).collect();
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new().stack_size(128 * 1024).spawn(move || {
        for path in paths {
            if sender.send(ask(&path)).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

fn statvfs(path: &std::path::Path) -> io::Result<Space> {
    let answer = rustix::fs::statvfs(path)?;
    Ok(Space {
        size: answer.f_blocks.saturating_mul(answer.f_frsize),
        free: answer.f_bfree.saturating_mul(answer.f_frsize),
        available: answer.f_bavail.saturating_mul(answer.f_frsize),
        inodes: answer.f_files,
        inodes_free: answer.f_ffree,
    })
}

#[allow(clippy::cast_precision_loss, reason = "a share of five digits")]
fn put(name: &str, readonly: bool, space: Space, out: &mut Out) {
    // No space at all: a filesystem of the kernel's that the lists do not know.
    if space.size == 0 {
        return;
    }
    let used = space.size.saturating_sub(space.free);
    out.whole("filesystem.size", name, space.size);
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
    }
    out.whole("filesystem.readonly", name, u64::from(readonly));
}

#[cfg(test)]
#[path = "filesystem_tests.rs"]
mod tests;

//! Which mounts are looked at, and which of them may never answer.

use std::collections::HashMap;

use super::super::out::Out;
use super::super::text::{lines, unescape, words};
use crate::model::sample::FaultKind;

pub(super) const MAX_MOUNTS: usize = 256;

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
/// Filesystems that answer from memory or from a disk of the machine. All others are asked where they can be killed.
const LOCAL: &[&[u8]] = &[
    b"bcachefs",
    b"btrfs",
    b"exfat",
    b"ext2",
    b"ext3",
    b"ext4",
    b"f2fs",
    b"jffs2",
    b"jfs",
    b"msdos",
    b"nilfs2",
    b"ntfs3",
    b"overlay",
    b"reiserfs",
    b"rootfs",
    b"tmpfs",
    b"ubifs",
    b"udf",
    b"vfat",
    b"xfs",
    b"zfs",
];
/// Mount points under which only the system and containers mount: node_exporter's list, the pods of Kubernetes, and the
/// three files that containers are given.
const INTERNAL: &[&[u8]] = &[
    b"/dev",
    b"/etc/hostname",
    b"/etc/hosts",
    b"/etc/resolv.conf",
    b"/proc",
    b"/sys",
    b"/run/credentials",
    b"/var/lib/docker",
    b"/var/lib/containers/storage",
    b"/var/lib/kubelet/pods",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// `8:1`.
    pub(super) device: Vec<u8>,
    pub(super) point: Vec<u8>,
    pub(super) kind: Vec<u8>,
    /// What is mounted: a device, `server:/export`.
    pub(super) source: Vec<u8>,
    /// How it is mounted, without what the filesystem itself was told: that may be very long.
    pub(super) options: Vec<u8>,
    pub(super) readonly: bool,
    /// It, or what lies on the way to it, may never answer: a network, a program.
    pub(super) risky: bool,
}

/// Mounts to look at: no pseudo filesystems, each device once, under its shortest name.
pub(super) fn chosen(bytes: &[u8], out: &mut Out) -> Vec<Mount> {
    let mut seen: Vec<Option<(Mount, &[u8])>> = Vec::new();
    let mut at_point: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut risks: Vec<Vec<u8>> = Vec::new();
    let mut odd = 0;
    for line in lines(bytes) {
        let Some((mount, kind)) = parse(line) else {
            odd += 1;
            continue;
        };
        if mount.risky && !PSEUDO.contains(&kind) {
            risks.push(mount.point.clone());
        }
        // What is mounted later at the same place hides what was there.
        if let Some(hidden) = at_point.insert(mount.point.clone(), seen.len())
            && let Some(place) = seen.get_mut(hidden)
        {
            *place = None;
        }
        seen.push(Some((mount, kind)));
    }
    let mut mounts: Vec<Mount> = Vec::new();
    let mut by_device: HashMap<Vec<u8>, usize> = HashMap::new();
    for (mut mount, kind) in seen.into_iter().flatten() {
        // A container's own root is an overlay.
        let pseudo = PSEUDO.contains(&kind) && !(kind == b"overlay" && mount.point == b"/");
        if pseudo || INTERNAL.iter().any(|dir| inside(&mount.point, dir)) {
            continue;
        }
        mount.risky |= risks.iter().any(|risk| inside(&mount.point, risk));
        match by_device.get(&mount.device).and_then(|at| mounts.get_mut(*at)) {
            Some(other) if other.point.len() > mount.point.len() => *other = mount,
            Some(_) => {}
            None => {
                by_device.insert(mount.device.clone(), mounts.len());
                mounts.push(mount);
            }
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

fn inside(point: &[u8], dir: &[u8]) -> bool {
    point.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/") || dir == b"/")
}

/// `36 35 98:0 /root /point rw,noatime [fields] - type source rw`.
fn parse(line: &[u8]) -> Option<(Mount, &[u8])> {
    let mut words = words(line).skip(2);
    let device = words.next()?.to_vec();
    let point = unescape(words.nth(1)?);
    let options = words.next()?;
    let kind = words.by_ref().skip_while(|word| *word != b"-").nth(1)?;
    let source = words.next().map(unescape).unwrap_or_default();
    let super_options = words.next().unwrap_or_default();
    let readonly = [options, super_options].iter().any(|list| list.split(|&b| b == b',').any(|o| o == b"ro"));
    let risky = !LOCAL.contains(&kind);
    let (options, name) = (options.to_vec(), kind.to_vec());
    point.starts_with(b"/").then_some((Mount { device, point, kind: name, source, options, readonly, risky }, kind))
}

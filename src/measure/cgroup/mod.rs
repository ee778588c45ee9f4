//! Slices, services and containers, by their cgroups (v2, or the trees of v1).

mod groups;
mod own;
mod values;

use super::folder::{Folder, shown};
use super::out::Out;
use super::root::Root;
use crate::model::sample::FaultKind;

use groups::{Group, Kind};

pub(super) use own::{Own, own};

/// The most groups that are measured.
const MAX_GROUPS: usize = 64;

/// Where the trees of cgroups are.
pub(super) enum Trees {
    /// One tree for all.
    V2(Folder),
    /// One for each controller; what is not mounted is not measured.
    V1 {
        memory: Option<Folder>,
        cpu: Option<Folder>,
        cpuacct: Option<Folder>,
        pids: Option<Folder>,
        blkio: Option<Folder>,
    },
}

impl Trees {
    pub(super) fn open(root: &Root) -> Option<Self> {
        let base = Folder::open(root, "/sys/fs/cgroup").ok()?;
        // The file is empty where all controllers are in the trees of v1.
        if base.stat(b"cgroup.controllers").is_ok() {
            return Some(Self::V2(base));
        }
        // Controllers share a tree under both names, `cpu,cpuacct`, and systemd links each to it.
        let tree = |name: &str| base.folder(name.as_bytes()).ok();
        let (memory, cpu, cpuacct, pids) = (tree("memory"), tree("cpu"), tree("cpuacct"), tree("pids"));
        let blkio = tree("blkio");
        let any = memory.is_some() || cpu.is_some() || cpuacct.is_some() || pids.is_some();
        any.then_some(Self::V1 { memory, cpu, cpuacct, pids, blkio })
    }

    /// The tree whose folders are the groups.
    fn walked(&self) -> Option<&Folder> {
        match self {
            Self::V2(tree) => Some(tree),
            Self::V1 { memory, cpu, cpuacct, pids, .. } => {
                memory.as_ref().or(cpu.as_ref()).or(cpuacct.as_ref()).or(pids.as_ref())
            }
        }
    }
}

pub(super) fn collect(root: &Root, out: &mut Out) {
    let trees = Trees::open(root);
    let Some((trees, tree)) = trees.as_ref().and_then(|trees| Some((trees, trees.walked()?))) else {
        return out.fault("", FaultKind::Absent, "/sys/fs/cgroup: no tree of cgroups is mounted there");
    };
    let (mut groups, cut) = groups::find(tree);
    if cut {
        out.fault("", FaultKind::Cut, "/sys/fs/cgroup: too many folders; some were not looked into");
    }
    count(&groups, out);
    if groups.len() > MAX_GROUPS {
        out.fault("", FaultKind::Cut, format!("{} groups, {MAX_GROUPS} were measured", groups.len()));
        groups.truncate(MAX_GROUPS);
    }
    for group in &groups {
        match trees {
            Trees::V2(tree) => values::v2(tree, group, out),
            Trees::V1 { memory, cpu, cpuacct, pids, blkio } => {
                values::v1([memory, cpu, cpuacct, pids, blkio].map(Option::as_ref), group, out);
            }
        }
    }
}

fn count(groups: &[Group], out: &mut Out) {
    let mut runtimes: Vec<(&str, u64)> = Vec::new();
    for group in groups {
        let Kind::Container(runtime) = group.kind else { continue };
        match runtimes.iter_mut().find(|(name, _)| *name == runtime) {
            Some((_, count)) => *count += 1,
            None => runtimes.push((runtime, 1)),
        }
    }
    for (runtime, count) in runtimes {
        out.whole("container.count", runtime, count);
    }
}

#[cfg(test)]
mod tests;

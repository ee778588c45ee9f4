//! Which cgroups are worth a look: slices, services, containers.

use super::{Folder, shown};
use crate::model::order;

/// How deep the tree is walked: rootless containers lie six folders down.
const MAX_DEPTH: usize = 7;
/// The most folders that are listed.
const MAX_FOLDERS: usize = 512;
/// The most groups that are found; more are cut.
const MAX_FOUND: usize = 4096;

/// In the order in which they are kept where there are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Slice,
    /// By the name of what runs it.
    Container(&'static str),
    Service,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// `nginx.service`, `docker/0123456789ab`.
    pub(super) item: String,
    pub(super) kind: Kind,
    /// Below the tree, without a slash at its start.
    pub(super) path: Vec<u8>,
}

/// What a folder is.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Group {
        item: String,
        kind: Kind,
    },
    /// Nothing itself, but what is below may be.
    Way,
    /// Nothing, and nothing below it.
    Nothing,
}

/// The groups, slices first, and whether some were left out.
pub(super) fn find(tree: &Folder) -> (Vec<Group>, bool) {
    let mut groups: Vec<Group> = Vec::new();
    let mut waiting: Vec<Vec<u8>> = vec![Vec::new()];
    let mut cut = false;
    let mut at = 0;
    // Broad before deep, so that what is cut is what is far down.
    while let Some(path) = waiting.get(at).cloned() {
        at += 1;
        let names = if path.is_empty() {
            tree.folders()
        } else {
            // Gone since it was listed: no fault.
            tree.folder(&path).map(|folder| folder.folders()).unwrap_or_default()
        };
        let depth = path.split(|&b| b == b'/').filter(|piece| !piece.is_empty()).count();
        let parent = path.rsplit(|&b| b == b'/').next().unwrap_or_default();
        for name in names {
            let found = classify(&name, parent, depth);
            let mut below = path.clone();
            if !below.is_empty() {
                below.push(b'/');
            }
            below.extend_from_slice(&name);
            let descend = found == Found::Way || goes_on(&name, &found);
            if let Found::Group { item, kind } = found {
                if groups.len() < MAX_FOUND {
                    groups.push(Group { item, kind, path: below.clone() });
                } else {
                    cut = true;
                }
            }
            if descend && depth + 1 < MAX_DEPTH {
                if waiting.len() < MAX_FOLDERS {
                    waiting.push(below);
                } else {
                    cut = true;
                }
            }
        }
    }
    order::sort_by(&mut groups, |a, b| (a.kind, &a.item).cmp(&(b.kind, &b.item)));
    // Two services of one name: those of two users. The first one found speaks for it.
    groups.dedup_by(|a, b| a.item == b.item);
    (groups, cut)
}

/// Slices hold more; so do the services that run a user's own services, for the sake of containers.
fn goes_on(name: &[u8], found: &Found) -> bool {
    matches!(found, Found::Group { kind: Kind::Slice, .. }) && name.ends_with(b".slice")
}

fn classify(name: &[u8], parent: &[u8], depth: usize) -> Found {
    if let Some((runtime, id)) = container(name, parent) {
        let id = shown(id);
        return Found::Group { item: format!("{runtime}/{id}"), kind: Kind::Container(runtime) };
    }
    let group = |kind| Found::Group { item: shown(name), kind };
    if name.ends_with(b".slice") {
        // Of the slices within slices only those of users; the others are ways to their services.
        return if depth == 0 || parent == b"user.slice" { group(Kind::Slice) } else { Found::Way };
    }
    if name.starts_with(b"user@") && name.ends_with(b".service") {
        return Found::Way;
    }
    if name.ends_with(b".service") {
        // A user's own services are the user's slice.
        return if below_user(parent) { Found::Nothing } else { group(Kind::Service) };
    }
    // Where containers are kept without systemd.
    let ways: [&[u8]; 8] =
        [b"docker", b"lxc", b"kubepods", b"burstable", b"besteffort", b"guaranteed", b"libpod_parent", b"machine"];
    if ways.contains(&name) || (name.starts_with(b"pod") && (parent == b"kubepods" || ways.contains(&parent))) {
        return Found::Way;
    }
    // Sessions come and go, mounts and sockets use nothing.
    let uninteresting: [&[u8]; 5] = [b".scope", b".mount", b".socket", b".swap", b".automount"];
    if depth == 0 && !uninteresting.iter().any(|end| name.ends_with(end)) && !name.starts_with(b"lxc.") {
        return group(Kind::Slice);
    }
    Found::Nothing
}

fn below_user(parent: &[u8]) -> bool {
    // `app.slice` and its like lie within `user@1000.service`.
    parent == b"app.slice" || parent == b"session.slice" || parent == b"background.slice" || parent.starts_with(b"app-")
}

/// What runs a container, and its id or name.
fn container<'a>(name: &'a [u8], parent: &[u8]) -> Option<(&'static str, &'a [u8])> {
    let short = |id: &'a [u8]| {
        let hex = id.len() >= 12 && id.iter().all(u8::is_ascii_hexdigit);
        hex.then(|| &id[..12])
    };
    let scopes: [(&[u8], &'static str); 5] = [
        (b"docker-", "docker"),
        (b"libpod-", "podman"),
        (b"cri-containerd-", "containerd"),
        (b"crio-", "cri-o"),
        (b"nerdctl-", "containerd"),
    ];
    if let Some(scope) = name.strip_suffix(b".scope") {
        if let Some(machine) = scope.strip_prefix(b"machine-") {
            return Some(("machine", machine));
        }
        return scopes.iter().find_map(|(start, runtime)| Some((*runtime, short(scope.strip_prefix(*start)?)?)));
    }
    if let Some(payload) = name.strip_prefix(b"lxc.payload.") {
        return Some(("lxc", payload));
    }
    match parent {
        b"docker" => Some(("docker", short(name)?)),
        b"libpod_parent" => Some(("podman", short(name.strip_prefix(b"libpod-")?)?)),
        b"lxc" => Some(("lxc", name)),
        _ if parent.starts_with(b"pod") => Some(("kubernetes", short(name)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_known_by_their_names() {
        let id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        for (name, parent, expected) in [
            (format!("docker-{id}.scope"), "system.slice", Some(("docker", "0123456789ab"))),
            (id.to_owned(), "docker", Some(("docker", "0123456789ab"))),
            (format!("libpod-{id}.scope"), "machine.slice", Some(("podman", "0123456789ab"))),
            (format!("libpod-conmon-{id}.scope"), "machine.slice", None),
            (format!("cri-containerd-{id}.scope"), "kubepods-pod1.slice", Some(("containerd", "0123456789ab"))),
            (format!("crio-{id}.scope"), "x.slice", Some(("cri-o", "0123456789ab"))),
            (id.to_owned(), "pod12345678-1234", Some(("kubernetes", "0123456789ab"))),
            ("lxc.payload.web1".to_owned(), "", Some(("lxc", "web1"))),
            ("db".to_owned(), "lxc", Some(("lxc", "db"))),
            ("machine-vm1.scope".to_owned(), "machine.slice", Some(("machine", "vm1"))),
            ("docker-short.scope".to_owned(), "system.slice", None),
            ("docker.service".to_owned(), "system.slice", None),
        ] {
            let got = container(name.as_bytes(), parent.as_bytes());
            assert_eq!(got.map(|(r, id)| (r, std::str::from_utf8(id).unwrap())), expected, "{name}");
        }
    }

    #[test]
    fn what_is_worth_a_look() {
        let kind = |name: &str, parent: &str, depth| match classify(name.as_bytes(), parent.as_bytes(), depth) {
            Found::Group { kind, .. } => format!("{kind:?}"),
            other => format!("{other:?}"),
        };
        for (name, parent, depth, expected) in [
            ("system.slice", "", 0, "Slice"),
            ("user-1000.slice", "user.slice", 1, "Slice"),
            ("system-getty.slice", "system.slice", 1, "Way"),
            ("nginx.service", "system.slice", 1, "Service"),
            ("user@1000.service", "user-1000.slice", 2, "Way"),
            ("gpg-agent.service", "app.slice", 4, "Nothing"),
            ("session-3.scope", "user-1000.slice", 2, "Nothing"),
            ("init.scope", "", 0, "Nothing"),
            ("dev-hugepages.mount", "", 0, "Nothing"),
            ("docker", "", 0, "Way"),
            ("podabc", "burstable", 2, "Way"),
            ("process_api", "", 0, "Slice"),
        ] {
            assert_eq!(kind(name, parent, depth), expected, "{name}");
        }
    }
}

//! The limit of memory that the whole machine has, where it is a container.

use super::values::is_limit;
use super::{Folder, Root, Trees};
use crate::measure::text::{keyed, lines};

/// The deepest path that is followed.
const MAX_DEPTH: usize = 16;

/// What a container may use and uses, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::measure) struct Own {
    pub(in crate::measure) limit: u64,
    /// Without caches that go without being written first.
    pub(in crate::measure) used: u64,
}

/// The tightest limit over the first process, where it is lower than the memory of the machine. On a machine of its own
/// there is none; that of our own login session is none of the machine's.
pub(in crate::measure) fn own(root: &Root, total: u64) -> Option<Own> {
    let (tree, names, line): (Folder, [&str; 3], _) = match Trees::open(root)? {
        Trees::V2(tree) => (tree, ["memory.max", "memory.current", "inactive_file"], None),
        Trees::V1 { memory, .. } => {
            (memory?, ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"], Some(&b"memory"[..]))
        }
    };
    let [limit_file, used_file, caches_key] = names;
    let text = root.read_at_most("/proc/1/cgroup", 16 * 1024).unwrap_or_default();
    let path = path_of(&text, line).unwrap_or_default();
    let mut tightest: Option<(u64, Folder)> = None;
    for folder in ways(&tree, &path) {
        let limit = folder.whole(limit_file).filter(|limit| *limit > 0 && is_limit(*limit));
        if let Some(limit) = limit.filter(|limit| tightest.as_ref().is_none_or(|(least, _)| limit < least)) {
            tightest = Some((limit, folder));
        }
    }
    let (limit, folder) = tightest.filter(|(limit, _)| *limit < total)?;
    let used = folder.whole(used_file)?;
    let mut buffer = [0; 4096];
    let stat = folder.read(b"memory.stat", &mut buffer).unwrap_or_default();
    Some(Own { limit, used: used.saturating_sub(keyed(stat, caches_key).unwrap_or(0)) })
}

/// The tree itself and each folder on the way down the path, as far as it is there: in a container the tree may begin
/// where the path ends.
fn ways(tree: &Folder, path: &[u8]) -> Vec<Folder> {
    let mut found: Vec<Folder> = tree.folder(b".").into_iter().collect();
    let pieces = path.split(|&b| b == b'/').filter(|piece| !piece.is_empty());
    for piece in pieces.take(MAX_DEPTH) {
        let above = found.last().unwrap_or(tree);
        match above.folder(piece).ok().filter(|_| piece != b"..") {
            Some(folder) => found.push(folder),
            None => break,
        }
    }
    found
}

/// The path in `0::/path`, or in `4:memory:/path` where a controller is named.
fn path_of(text: &[u8], controller: Option<&[u8]>) -> Option<Vec<u8>> {
    lines(text).find_map(|line| {
        let mut fields = line.splitn(3, |&b| b == b':');
        let (_, list, path) = (fields.next()?, fields.next()?, fields.next()?);
        let fits = match controller {
            None => list.is_empty(),
            Some(name) => list.split(|&b| b == b',').any(|other| other == name),
        };
        fits.then(|| path.to_vec())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_both_versions() {
        let text = b"12:pids:/a\n4:cpu,memory:/docker/0f\n0::/init.scope:x\n";
        assert_eq!(path_of(text, None).as_deref(), Some(&b"/init.scope:x"[..]));
        assert_eq!(path_of(text, Some(b"memory")).as_deref(), Some(&b"/docker/0f"[..]));
        assert_eq!(path_of(text, Some(b"blkio")), None);
        assert_eq!(path_of(b"\xff\n::\n:", Some(b"memory")), None);
    }
}

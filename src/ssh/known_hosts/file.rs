//! The files of known_hosts: read once for all visits, and changed so that nobody sees half of one.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::super::hostkey::HostKey;
use super::line::{Hosts, parse};
use super::{KnownHosts, name};

/// The largest file that is read: three hashed keys of a host take about 1 kB.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// What tells one state of a file from another; the fourth are seconds since 1970.
type Stamp = (u64, u64, u64, i64, i64);
/// Lists of files, each with the states in which its files were read.
type Kept = BTreeMap<Vec<PathBuf>, (Vec<Option<Stamp>>, Arc<KnownHosts>)>;
/// What was read, so that a sweep over thousands of hosts reads it once.
static READ: Mutex<Kept> = Mutex::new(BTreeMap::new());
/// More lists of files than this are of no fleet.
const MOST_KEPT: usize = 64;
/// What was written less than so many seconds ago may be written again within the same tick of the file system's clock.
const SETTLED: i64 = 2;

/// Reads files; one that is not there has no lines.
///
/// # Errors
/// A text for people that names the file.
pub fn read(files: &[PathBuf]) -> Result<Arc<KnownHosts>, String> {
    // Held to the end: of all visits that begin at once, one reads, and the others wait for that.
    let mut kept = READ.lock().unwrap_or_else(PoisonError::into_inner);
    // Looked at before they are read: what is written meanwhile shows the next time.
    let stamps: Vec<Option<Stamp>> = files.iter().map(|file| stamp(file)).collect();
    if let Some((its, known)) = kept.get(files)
        && *its == stamps
    {
        return Ok(Arc::clone(known));
    }
    let known = KnownHosts::default();
    for file in files {
        match (read_bytes(file), kept.get(files)) {
            (Ok(bytes), _) => known.add(&String::from_utf8_lossy(&bytes)),
            // The dialer may read what was there when it came up, and not what takes its place (`app::dialer::fence`): what
            // it said before holds.
            (Err(_), Some((_, old))) => return Ok(Arc::clone(old)),
            (Err(text), None) => return Err(text),
        }
    }
    let known = Arc::new(known);
    let now = now();
    if stamps.iter().flatten().all(|stamp| now.saturating_sub(stamp.3) > SETTLED) {
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.insert(files.to_vec(), (stamps, Arc::clone(&known)));
    }
    Ok(known)
}

/// Seconds since 1970.
pub fn now() -> i64 {
    rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec
}

fn stamp(file: &Path) -> Option<Stamp> {
    fs::metadata(file).ok().as_ref().map(stamp_of)
}

fn stamp_of(facts: &fs::Metadata) -> Stamp {
    (facts.dev(), facts.ino(), facts.len(), facts.mtime(), facts.mtime_nsec())
}

fn read_bytes(file: &Path) -> Result<Vec<u8>, String> {
    let say = |error: io::Error| format!("{}: cannot be read: {error}", file.display());
    let opened = match File::open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(say(error)),
    };
    let mut bytes = Vec::new();
    opened.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(say)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("{}: is larger than {MAX_FILE} bytes", file.display()));
    }
    Ok(bytes)
}

/// Writes a key down as the one of a host. With `replace`, other keys of that host are taken away first: names are taken
/// out of lists, hashed lines of the host go; wildcard and `@` lines stay. Under a lock, by renaming, so that no reader
/// sees half a file; a key that is only added is a line more, and half a line is none. Other lines keep their bytes, and the file its mode, its owner and the link that leads to it.
///
/// # Errors
/// A text for people that names the file.
pub fn change(file: &Path, host: &str, port: u16, key: &HostKey, replace: bool) -> Result<(), String> {
    let say = |error: io::Error| format!("{}: cannot be written: {error}", file.display());
    fs::create_dir_all(folder(file)).map_err(say)?;
    let file = &match fs::canonicalize(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(file.to_owned()),
        found => found,
    }
    .map_err(say)?;
    let folder = folder(file);
    let file_name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let lock_file = folder.join(format!(".{file_name}.lock"));
    let private = || -> OpenOptions {
        let mut options = OpenOptions::new();
        options.write(true).mode(0o600);
        options
    };
    let lock = private().create(true).truncate(false).open(&lock_file).map_err(say)?;
    let old = fs::metadata(file).ok();
    keep_owner(&lock, old.as_ref()).map_err(say)?;
    lock.lock().map_err(say)?;
    let name = name(host, port);
    if !replace {
        let before = stamp(file);
        if read(std::slice::from_ref(file))?.holds(&name, key) {
            return Ok(());
        }
        match add(file, before, &format!("{name} {}\n", key.words())) {
            // The file may not be written, but its folder may.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            done => return done.map_err(say),
        }
    }
    let mut text = Vec::new();
    for line in read_bytes(file)?.split_inclusive(|&byte| byte == b'\n') {
        text.extend(if replace { without(line, &name) } else { line.to_owned() });
    }
    if text.last().is_some_and(|&byte| byte != b'\n') {
        text.push(b'\n');
    }
    let known = KnownHosts::default();
    known.add(&String::from_utf8_lossy(&text));
    if !known.holds(&name, key) {
        text.extend(format!("{name} {}\n", key.words()).bytes());
    }
    let fresh = folder.join(format!(".{file_name}.new"));
    // Only the holder of the lock uses this name; what is there was left by one that was killed.
    let _ = fs::remove_file(&fresh);
    let mut out = private().create_new(true).open(&fresh).map_err(say)?;
    keep_owner(&out, old.as_ref()).map_err(say)?;
    if let Some(old) = &old {
        out.set_permissions(old.permissions()).map_err(say)?;
    }
    out.write_all(&text).and_then(|()| out.sync_all()).map_err(say)?;
    // A name is on disk only once its folder is.
    fs::rename(&fresh, file).and_then(|()| File::open(folder)?.sync_all()).map_err(say)
}

/// Writes a line behind all others; the caller holds the lock. Thousands of hosts may be new in one sweep: the file is
/// neither written nor read anew for each.
fn add(file: &Path, before: Option<Stamp>, line: &str) -> io::Result<()> {
    let mut out = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(file)?;
    let found = stamp_of(&out.metadata()?);
    let length = found.2;
    let mut last = [b'\n'];
    if length > 0 {
        out.read_exact_at(&mut last, length - 1)?;
    }
    let line = format!("{}{line}", if last == *b"\n" { "" } else { "\n" });
    let longer = length + line.len() as u64;
    if longer > MAX_FILE {
        return Err(io::Error::other(format!("it would be larger than {MAX_FILE} bytes")));
    }
    out.write_all(line.as_bytes())?;
    // ssh knows nothing of our lock: what it wrote meanwhile must be read.
    let ours = before.map_or(length == 0, |before| before == found);
    let after = stamp(file).filter(|it| ours && (it.0, it.1, it.2) == (found.0, found.1, longer));
    if let Some(after) = after {
        remember(file, before, after, &line);
    }
    out.sync_data()?;
    // A name is on disk only once its folder is.
    if before.is_none() { File::open(folder(file))?.sync_all() } else { Ok(()) }
}

/// Adds a line that this process has just written to what was read of its file, where that is the file as it was before.
fn remember(file: &Path, before: Option<Stamp>, after: Stamp, line: &str) {
    let mut kept = READ.lock().unwrap_or_else(PoisonError::into_inner);
    for (files, (stamps, known)) in kept.iter_mut() {
        let mut places = files.iter().zip(stamps.iter_mut());
        // A file that was not there is known by its name alone.
        let its = |(path, stamp): &(&PathBuf, &mut Option<Stamp>)| {
            **stamp == before && (before.is_some() || path.as_path() == file)
        };
        let Some((_, stamp)) = places.find(its) else { continue };
        *stamp = Some(after);
        known.add(line);
    }
}

fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What root makes in place of another user's file is that user's.
fn keep_owner(new: &File, old: Option<&fs::Metadata>) -> io::Result<()> {
    match old {
        Some(old) if rustix::process::geteuid().is_root() => {
            std::os::unix::fs::fchown(new, Some(old.uid()), Some(old.gid()))
        }
        _ => Ok(()),
    }
}

/// The line, with its end, without that name; empty where nothing is left of it.
fn without(line: &[u8], name: &str) -> Vec<u8> {
    let trimmed = line.trim_ascii_start();
    let end = trimmed.iter().position(|byte| b" \t".contains(byte)).unwrap_or(trimmed.len());
    let (hosts, rest) = trimmed.split_at(end);
    let (Ok(hosts), Some(_)) = (std::str::from_utf8(hosts), parse(&String::from_utf8_lossy(line.trim_ascii_end())))
    else {
        return line.to_owned();
    };
    if hosts.starts_with('@') || !Hosts::parse(hosts).hold(name) {
        return line.to_owned();
    }
    let kept: Vec<&str> = hosts.split(',').filter(|one| !one.eq_ignore_ascii_case(name)).collect();
    match kept.as_slice() {
        [] => Vec::new(),
        _ if hosts.starts_with("|1|") => Vec::new(),
        kept => [kept.join(",").as_bytes(), rest].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::super::tests::key;
    use super::*;

    #[test]
    fn change_replaces_only_this_host() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("known_hosts");
        let text = format!("# mine\na,h {0}\n*.net {0}\nh {0}\n@revoked h {1}\n", key(2).words(), key(3).words());
        fs::write(&file, text).unwrap();
        change(&file, "h", 22, &key(1), true).unwrap();
        let now = fs::read_to_string(&file).unwrap();
        let wanted = format!(
            "# mine\na {0}\n*.net {0}\n@revoked h {2}\nh {1}\n",
            key(2).words(),
            key(1).words(),
            key(3).words()
        );
        assert_eq!(now, wanted);
        change(&file, "h", 22, &key(1), false).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), wanted, "nothing doubles");
    }

    #[test]
    fn change_keeps_bytes_mode_owner_and_link() {
        assert!(rustix::process::geteuid().is_root(), "only root has files of others: run the tests as root");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("real");
        // A comment in Latin-1, a line end of Windows, no end at all.
        let text = [b"# caf\xe9\r\na,h ", key(2).words().as_bytes(), b" J\xfcrgen\r\n# end"].concat();
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        std::os::unix::fs::chown(&file, Some(4711), Some(4712)).unwrap();
        let link = folder.path().join("known_hosts");
        std::os::unix::fs::symlink("real", &link).unwrap();
        change(&link, "h", 22, &key(1), true).unwrap();
        let wanted = [
            b"# caf\xe9\r\na ",
            key(2).words().as_bytes(),
            b" J\xfcrgen\r\n# end\nh ",
            key(1).words().as_bytes(),
            b"\n",
        ]
        .concat();
        assert_eq!(fs::read(&file).unwrap(), wanted);
        assert!(link.symlink_metadata().unwrap().is_symlink());
        let meta = fs::metadata(&file).unwrap();
        assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o777), (4711, 4712, 0o644));
    }

    #[test]
    fn keys_that_are_only_added_are_lines_more_in_the_same_file_and_what_was_read_of_it_goes_along() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("known_hosts");
        let other = folder.path().join("other");
        fs::write(&other, format!("g {}\n", key(250).words())).unwrap();
        let files = [file.clone(), other];
        let add = |number: u8| change(&file, &format!("h{number}"), 22, &key(number), false).unwrap();
        let knows = |number: u8| read(&files).unwrap().check(&format!("h{number}"), 22, &key(number)) == Verdict::Known;
        let kept = || READ.lock().unwrap().get(files.as_slice()).is_some_and(|(stamps, _)| stamps[0] == stamp(&file));
        let settle = |file: &Path| {
            let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(u64::try_from(now()).unwrap() - 100);
            File::options().write(true).open(file).unwrap().set_modified(at).unwrap();
        };
        settle(&files[1]);
        assert!(!knows(0));
        add(0);
        assert!(kept() && knows(0), "of a file that was not there");
        let first = fs::metadata(&file).unwrap();
        assert_eq!(first.mode() & 0o777, 0o600);
        std::thread::scope(|scope| {
            for part in 0..4 {
                scope.spawn(move || (0..40).for_each(|number| add(part * 20 + number)));
            }
        });
        assert!((0..100).all(knows) && kept(), "nothing was read again");
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text.lines().count(), 100, "each once: {text}");
        assert_eq!(fs::metadata(&file).unwrap().ino(), first.ino());
        // What somebody else adds without an end of its line, and without our lock, is seen and kept.
        let theirs = format!("h200 {}", key(200).words());
        File::options().append(true).open(&file).unwrap().write_all(theirs.as_bytes()).unwrap();
        assert!(knows(200));
        add(201);
        assert!(knows(200) && knows(201) && knows(99));
        assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 102);
        assert_eq!(read(&files).unwrap().check("g", 22, &key(250)), Verdict::Known);
    }

    #[test]
    fn a_file_is_read_anew_once_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let files = [folder.path().join("known_hosts"), folder.path().join("missing")];
        let write = |byte, age| {
            fs::write(&files[0], format!("h {}\n", key(byte).words())).unwrap();
            let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(u64::try_from(now()).unwrap() - age);
            File::options().write(true).open(&files[0]).unwrap().set_modified(at).unwrap();
        };
        let knows = |byte| read(&files).unwrap().check("h", 22, &key(byte)) == Verdict::Known;
        write(1, 100);
        assert!(knows(1));
        assert!(Arc::ptr_eq(&read(&files).unwrap(), &read(&files).unwrap()), "read once");
        write(2, 50);
        assert!(knows(2), "of the same length, in the same place");
        // What cannot be read any more; a folder, because root can read any file.
        fs::remove_file(&files[0]).unwrap();
        fs::create_dir(&files[0]).unwrap();
        assert!(knows(2), "what it said before holds");
        fs::remove_dir(&files[0]).unwrap();
        // So fresh that a second writer could leave the same stamp: not relied on.
        write(1, 0);
        assert!(!Arc::ptr_eq(&read(&files).unwrap(), &read(&files).unwrap()));
        fs::remove_file(&files[0]).unwrap();
        assert!(!knows(1) && !knows(2));
    }

    #[test]
    fn the_file_of_a_large_fleet_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("known_hosts");
        let words = key(1).words();
        let text: String = (0..60_000).map(|number| format!("host{number:06}.example.net {words}\n")).collect();
        assert!(text.len() > 5 << 20);
        fs::write(&file, text).unwrap();
        let known = read(std::slice::from_ref(&file)).unwrap();
        assert_eq!(known.check("host059999.example.net", 22, &key(1)), Verdict::Known);
        change(&file, "new", 22, &key(2), false).unwrap();
        assert_eq!(read(&[file]).unwrap().check("new", 22, &key(2)), Verdict::Known);
    }
}

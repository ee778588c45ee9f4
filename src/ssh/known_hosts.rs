//! known_hosts with OpenSSH's semantics, pure but for [`read`] and [`change`]: libssh2's own matcher says yes to revoked
//! keys, ignores wildcards and negation, and refuses a file for one bad line (design/trust.md, point 4).

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha1::Sha1;

use super::hostkey::{HostKey, Shown};

/// The largest file that is read: three hashed keys of a host take about 1 kB.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// What the files say of a host's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A line holds exactly this key for this host.
    Known,
    /// No line is for this host.
    Unknown,
    /// There are lines for this host, all with other keys.
    Changed(Vec<HostKey>),
    /// A line says that this key must never be trusted.
    Revoked,
    /// A line names the authority that signed its certificate, but that does not prove the key: why.
    Unproven(String),
}

/// What stands before the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    None,
    Revoked,
    Authority,
}

/// For whom a line is.
#[derive(Debug)]
enum Hosts {
    /// Names as they are, patterns and exceptions.
    Listed(String),
    /// One name, which only who knows it can tell.
    Hashed { salt: [u8; 20], digest: [u8; 20] },
    /// What looks hashed and is not.
    Nobody,
}

#[derive(Debug)]
struct Line {
    mark: Mark,
    hosts: Hosts,
    key: HostKey,
}

/// The lines of one or several files that can be understood; others are passed over, as ssh does.
#[derive(Debug, Default)]
pub struct KnownHosts {
    lines: Vec<Arc<Line>>,
    /// Where the lines with just this name among theirs stand: a fleet of thousands has a line for each of its hosts.
    named: HashMap<String, Vec<usize>>,
    /// Where the others stand, which must be asked one by one: wildcards, exceptions, hashed names.
    others: Vec<usize>,
    /// What was found for a name: to ask thousands of hashed lines takes as long as a visit, and each visit asks twice.
    found: Mutex<HashMap<String, Arc<[usize]>>>,
}

/// `host`, or `[host]:port` where the port is not 22, in lower case: the name under which lines are looked up.
#[must_use]
pub fn name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == 22 { host } else { format!("[{host}]:{port}") }
}

impl KnownHosts {
    /// Adds the lines of a text.
    pub fn add(&mut self, text: &str) {
        for line in text.lines().filter_map(parse) {
            let at = self.lines.len();
            match &line.hosts {
                Hosts::Listed(list) if is_plain(list) => {
                    for name in list.split(',') {
                        let places = self.named.entry(name.to_ascii_lowercase()).or_default();
                        if places.last() != Some(&at) {
                            places.push(at);
                        }
                    }
                }
                _ => self.others.push(at),
            }
            self.lines.push(Arc::new(line));
        }
        self.found.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The same, to be added to. What was found for names is found again when it is asked for.
    fn more(&self) -> Self {
        let (lines, named, others) = (self.lines.clone(), self.named.clone(), self.others.clone());
        Self { lines, named, others, found: Mutex::default() }
    }

    /// The lines for a name, which is in lower case, in their order.
    fn of(&self, name: &str) -> Vec<&Line> {
        self.places(name).iter().map(|&at| self.lines[at].as_ref()).collect()
    }

    /// Where they stand.
    fn places(&self, name: &str) -> Arc<[usize]> {
        let found = || self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = found().get(name) {
            return Arc::clone(places);
        }
        let mut places = self.named.get(name).cloned().unwrap_or_default();
        places.extend(self.others.iter().copied().filter(|&at| self.lines[at].hosts.hold(name)));
        places.sort_unstable();
        let places: Arc<[usize]> = places.into();
        found().insert(name.to_owned(), Arc::clone(&places));
        places
    }

    /// Judges a key.
    #[must_use]
    pub fn check(&self, host: &str, port: u16, key: &HostKey) -> Verdict {
        match self.check_name(&name(host, port), key) {
            // As ssh does: a line without port serves a host on another port if the key is the same.
            Verdict::Unknown if port != 22 => match self.check_name(&name(host, 22), key) {
                Verdict::Changed(_) => Verdict::Unknown,
                other => other,
            },
            other => other,
        }
    }

    /// Judges what a host shows, at a time in seconds since 1970. As ssh does: a certificate whose authority no line
    /// names counts for nothing, and the key in it is judged by itself.
    #[must_use]
    pub fn judge(&self, host: &str, port: u16, shown: &Shown, now: u64) -> Verdict {
        let plain = self.check(host, port, &shown.key);
        let Some(certificate) = shown.certificate.as_ref().filter(|_| plain != Verdict::Revoked) else { return plain };
        let marked = |mark| self.marked(host, port, mark).iter().any(|line| line.key == certificate.authority);
        match (marked(Mark::Revoked), marked(Mark::Authority)) {
            (true, _) => Verdict::Revoked,
            // The key was proved with the certificate, and a line may hold it by itself.
            (false, true) if plain == Verdict::Known => plain,
            (false, true) => certificate.proves(host, now).map_or_else(Verdict::Unproven, |()| Verdict::Known),
            (false, false) => plain,
        }
    }

    /// Whether a line names an authority for a host, so that the server is asked for a certificate.
    #[must_use]
    pub fn has_authority(&self, host: &str, port: u16) -> bool {
        !self.marked(host, port, Mark::Authority).is_empty()
    }

    fn marked(&self, host: &str, port: u16, mark: Mark) -> Vec<&Line> {
        // Few lines have a mark, and many may have hashed names, which cost the most to ask.
        let marked = self.lines.iter().map(Arc::as_ref).filter(|line| line.mark == mark);
        let names = [name(host, port), name(host, 22)];
        marked.filter(|line| names.iter().any(|name| line.hosts.hold(name))).collect()
    }

    fn check_name(&self, name: &str, key: &HostKey) -> Verdict {
        let mut others = Vec::new();
        let mut known = false;
        for line in self.of(name) {
            match (line.mark, line.key == *key) {
                (Mark::Revoked, true) => return Verdict::Revoked,
                (Mark::Revoked, false) | (Mark::Authority, _) => {}
                (Mark::None, true) => known = true,
                (Mark::None, false) => others.push(line.key.clone()),
            }
        }
        match (known, others.is_empty()) {
            (true, _) => Verdict::Known,
            (false, true) => Verdict::Unknown,
            (false, false) => Verdict::Changed(others),
        }
    }

    /// The types of the keys known for a host, so that the server is asked for one of these first.
    #[must_use]
    pub fn kinds(&self, host: &str, port: u16) -> Vec<&str> {
        let full = name(host, port);
        let bare = name(host, 22);
        let of = |name: &str| -> Vec<&str> {
            let mut kinds: Vec<&str> = Vec::new();
            for line in self.of(name).into_iter().filter(|line| line.mark == Mark::None) {
                if !kinds.contains(&line.key.kind()) {
                    kinds.push(line.key.kind());
                }
            }
            kinds
        };
        let found = of(&full);
        if found.is_empty() { of(&bare) } else { found }
    }
}

fn parse(line: &str) -> Option<Line> {
    let line = line.trim_matches([' ', '\t', '\r']);
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
    let mut hosts = words.next()?;
    let mut mark = Mark::None;
    if hosts.starts_with('@') {
        mark = match hosts {
            "@revoked" => Mark::Revoked,
            "@cert-authority" => Mark::Authority,
            _ => return None,
        };
        hosts = words.next()?;
    }
    let key = HostKey::from_words(words.next()?, words.next()?)?;
    Some(Line { mark, hosts: Hosts::parse(hosts), key })
}

/// Longer patterns make ssh give up on their list.
const MAX_PATTERN: usize = 1023;

/// Whether a list has nothing but names as they are.
fn is_plain(list: &str) -> bool {
    !list.contains(['*', '?', '!']) && list.len() < MAX_PATTERN
}

impl Hosts {
    fn parse(hosts: &str) -> Self {
        let Some(hashed) = hosts.strip_prefix("|1|") else { return Self::Listed(hosts.to_owned()) };
        let bytes = |text: &str| <[u8; 20]>::try_from(STANDARD.decode(text).ok()?).ok();
        let parts = hashed.split_once('|').and_then(|(salt, digest)| Some((bytes(salt)?, bytes(digest)?)));
        parts.map_or(Self::Nobody, |(salt, digest)| Self::Hashed { salt, digest })
    }

    /// Whether they hold for a name, which is in lower case.
    fn hold(&self, name: &str) -> bool {
        match self {
            Self::Listed(list) => lists(list, name),
            Self::Hashed { salt, digest } => Hmac::<Sha1>::new_from_slice(salt)
                .is_ok_and(|mac| mac.chain_update(name.as_bytes()).verify_slice(digest).is_ok()),
            Self::Nobody => false,
        }
    }
}

fn lists(list: &str, name: &str) -> bool {
    let mut found = false;
    for pattern in list.split(',') {
        let (negated, pattern) = pattern.strip_prefix('!').map_or((false, pattern), |rest| (true, rest));
        if pattern.len() >= MAX_PATTERN {
            return false;
        }
        if glob(pattern.to_ascii_lowercase().as_bytes(), name.as_bytes()) {
            if negated {
                return false;
            }
            found = true;
        }
    }
    found
}

/// `*` and `?`, in time that does not explode.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                p = at + 1;
                t = from + 1;
            }
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

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
    let mut known = KnownHosts::default();
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
pub(super) fn now() -> i64 {
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
        if read(std::slice::from_ref(file))?.check_name(&name, key) == Verdict::Known {
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
    let mut known = KnownHosts::default();
    known.add(&String::from_utf8_lossy(&text));
    if known.check_name(&name, key) != Verdict::Known {
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
        let mut more = known.more();
        more.add(line);
        *known = Arc::new(more);
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
    use super::*;

    fn key(byte: u8) -> HostKey {
        let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
        blob.extend([byte; 32]);
        HostKey::from_blob(&blob).unwrap()
    }

    fn verdict(text: &str, host: &str, port: u16) -> Verdict {
        let mut known = KnownHosts::default();
        known.add(text);
        known.check(host, port, &key(1))
    }

    #[test]
    fn openssh_semantics() {
        let one = key(1).words();
        let two = key(2).words();
        let changed = || Verdict::Changed(vec![key(2)]);
        let cases = [
            (format!("h {one}"), "h", 22, Verdict::Known),
            (format!("H {one} a comment"), "h", 22, Verdict::Known),
            (format!("h {one}"), "H", 22, Verdict::Known),
            (format!("\t h\t{one}\r\n"), "h", 22, Verdict::Known),
            (format!("h {two}"), "h", 22, changed()),
            (format!("h {two}\nh {one}"), "h", 22, Verdict::Known),
            (format!("g {one}"), "h", 22, Verdict::Unknown),
            (format!("# h {one}"), "h", 22, Verdict::Unknown),
            (format!("a,b,h {one}"), "h", 22, Verdict::Known),
            (format!("*.net,!bad.net {one}"), "good.net", 22, Verdict::Known),
            (format!("*.net,!bad.net {one}"), "bad.net", 22, Verdict::Unknown),
            (format!("!bad.net {one}"), "good.net", 22, Verdict::Unknown),
            (format!("h? {one}"), "h1", 22, Verdict::Known),
            (format!("[h]:2222 {one}"), "h", 2222, Verdict::Known),
            (format!("[h]:2222 {one}"), "h", 22, Verdict::Unknown),
            (format!("h {one}"), "h", 2222, Verdict::Known),
            (format!("h {two}"), "h", 2222, Verdict::Unknown),
            (format!("[h]:2222 {two}\nh {one}"), "h", 2222, changed()),
            (format!("[*]:2222 {one}"), "h", 2222, Verdict::Known),
            (format!("@revoked * {one}\nh {one}"), "h", 22, Verdict::Revoked),
            (format!("h {one}\n@revoked h {one}"), "h", 22, Verdict::Revoked),
            (format!("@revoked h {two}"), "h", 22, Verdict::Unknown),
            (format!("@cert-authority h {one}"), "h", 22, Verdict::Unknown),
            (format!("@odd h {one}"), "h", 22, Verdict::Unknown),
            (format!("h ssh-ed25519 AAAA\nnonsense\n\u{fffd}\nh {one}"), "h", 22, Verdict::Known),
            ("h".to_owned(), "h", 22, Verdict::Unknown),
            (format!("{} {one}", "x".repeat(2000)), "h", 22, Verdict::Unknown),
        ];
        for (text, host, port, wanted) in cases {
            assert_eq!(verdict(&text, host, port), wanted, "{text} for {host}:{port}");
        }
    }

    #[test]
    fn hashed_names() {
        let mut mac = Hmac::<Sha1>::new_from_slice(&[9; 20]).unwrap();
        mac.update(b"[h]:2222");
        let hosts = format!("|1|{}|{}", STANDARD.encode([9; 20]), STANDARD.encode(mac.finalize().into_bytes()));
        let text = format!("{hosts} {}", key(1).words());
        assert_eq!(verdict(&text, "h", 2222), Verdict::Known);
        assert_eq!(verdict(&text, "h", 22), Verdict::Unknown);
        let nobody =
            ["|1|x|y".to_owned(), "|1|".to_owned(), format!("{hosts}A"), format!("|1|{}|", STANDARD.encode([9; 20]))];
        for hosts in nobody {
            assert_eq!(verdict(&format!("{hosts} {}", key(1).words()), "h", 2222), Verdict::Unknown, "{hosts}");
        }
        // What is found once is found again without asking each line; what is added is asked too.
        let mut known = KnownHosts::default();
        known.add(&text);
        let places = known.places("[h]:2222");
        assert!(Arc::ptr_eq(&places, &known.places("[h]:2222")));
        assert!(known.places("h").is_empty());
        known.add(&format!("@revoked {text}"));
        assert_eq!(known.places("[h]:2222").as_ref(), [0, 1]);
        assert_eq!(known.check("h", 2222, &key(1)), Verdict::Revoked);
    }

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
    fn lines_are_found_by_name_and_one_by_one_in_their_order() {
        let mut known = KnownHosts::default();
        known.add(&format!("g,H,h {0}\nh* {1}\nh {2}", key(2).words(), key(3).words(), key(4).words()));
        assert_eq!(known.check("h", 22, &key(1)), Verdict::Changed(vec![key(2), key(3), key(4)]));
        assert_eq!((known.named.len(), known.others.as_slice()), (2, &[1][..]));
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

    #[test]
    fn a_glob_of_many_stars_is_quick() {
        assert!(!glob("*a".repeat(200).as_bytes(), "b".repeat(5000).as_bytes()));
    }
}

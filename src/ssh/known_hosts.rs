//! known_hosts with OpenSSH's semantics, pure but for what `file` has: libssh2's own matcher says yes to revoked keys,
//! ignores wildcards and negation, and refuses a file for one bad line (design/trust.md, point 4).
//!
//! To ask a hashed line for a name costs an HMAC, and a fleet of thousands may have thousands of such lines. So what a host
//! shows is looked for among the lines with that very key first. Only a key that no line has for it makes us ask all lines,
//! to tell a changed key from an unknown host. Which types of keys a host is known by is guessed before ([`likely_kinds`]).
//!
//! [`likely_kinds`]: KnownHosts::likely_kinds

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use super::hostkey::{HostKey, Shown};

mod file;
mod line;

pub(super) use file::now;
pub use file::{change, read};
use line::{Hosts, Line, Mark, is_plain, parse};

/// So many hashed lines are asked without a thought.
const FEW_HASHED: usize = 256;
/// Wrong guesses cost a connection each; after so many in a run nothing is guessed any more. An sshd with
/// PerSourcePenalties shuts out who comes 15 times without logging in, and may be many hosts at once.
const MOST_SURPRISES: usize = 8;

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

/// The lines of one or several files that can be understood; others are passed over, as ssh does.
#[derive(Debug, Default)]
pub struct KnownHosts {
    lines: RwLock<Lines>,
    /// Which of the lines that must be asked hold for a name: each visit wants to know it twice, and it may take as long as
    /// the visit.
    found: Mutex<HashMap<String, Arc<[usize]>>>,
    /// Guesses that went wrong.
    surprises: AtomicUsize,
}

/// Lines in their order, and where they stand.
#[derive(Debug, Default)]
struct Lines {
    all: Vec<Line>,
    /// Those with just this name among theirs: a fleet of thousands has a line for each of its hosts.
    named: HashMap<String, Vec<usize>>,
    /// The others, which must be asked: wildcards and exceptions.
    patterns: Vec<usize>,
    /// And hashed names.
    hashed: Vec<usize>,
    /// Both of them by their key.
    keys: HashMap<Arc<HostKey>, Vec<usize>>,
    /// Those with a mark.
    marked: Vec<usize>,
    /// The types of keys on hashed lines without a mark.
    hashed_kinds: Vec<&'static str>,
}

/// `host`, or `[host]:port` where the port is not 22, in lower case: the name under which lines are looked up.
#[must_use]
pub fn name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == 22 { host } else { format!("[{host}]:{port}") }
}

impl Lines {
    /// Whether a line came that must be asked.
    fn add(&mut self, text: &str) -> bool {
        let before = self.patterns.len() + self.hashed.len();
        for line in text.lines().filter_map(parse) {
            let at = self.all.len();
            match &line.hosts {
                Hosts::Listed(list) if is_plain(list) => {
                    for name in list.split(',') {
                        let places = self.named.entry(name.to_owned()).or_default();
                        if places.last() != Some(&at) {
                            places.push(at);
                        }
                    }
                }
                hosts => {
                    let hashed = matches!(hosts, Hosts::Hashed(_));
                    let places = if hashed { &mut self.hashed } else { &mut self.patterns };
                    places.push(at);
                    self.keys.entry(Arc::clone(&line.key)).or_default().push(at);
                    add_kind(&mut self.hashed_kinds, Some(&line).filter(|_| hashed));
                }
            }
            if line.mark != Mark::None {
                self.marked.push(at);
            }
            self.all.push(line);
        }
        before != self.patterns.len() + self.hashed.len()
    }

    fn named(&self, name: &str) -> &[usize] {
        self.named.get(name).map_or(&[], Vec::as_slice)
    }

    /// What the lines with this very key say; `None` where none of them is for that name.
    fn by_key(&self, name: &str, key: &HostKey) -> Option<Verdict> {
        let named = self.named(name).iter().map(|at| &self.all[*at]).filter(|line| *line.key == *key);
        let asked = self.keys.get(key).into_iter().flatten().map(|at| &self.all[*at]);
        let asked = asked.map(|line| (line, true));
        let mut verdict = None;
        for (line, ask) in named.map(|line| (line, false)).chain(asked) {
            let counts = match line.mark {
                Mark::None => verdict.is_none(),
                Mark::Revoked => true,
                Mark::Authority => false,
            };
            if counts && (!ask || line.hosts.hold(name)) {
                if line.mark == Mark::Revoked {
                    return Some(Verdict::Revoked);
                }
                verdict = Some(Verdict::Known);
            }
        }
        verdict
    }
}

/// Adds the type of a line's key, if the line has no mark.
fn add_kind<'a>(kinds: &mut Vec<&'static str>, lines: impl IntoIterator<Item = &'a Line>) {
    for line in lines {
        let kind = line.key.kind();
        if line.mark == Mark::None && !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
}

impl KnownHosts {
    /// Adds the lines of a text.
    pub fn add(&mut self, text: &str) {
        self.append(text);
    }

    /// The same while others read.
    fn append(&self, text: &str) {
        let mut lines = self.lines.write().unwrap_or_else(PoisonError::into_inner);
        if lines.add(text) {
            self.found.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    fn lines(&self) -> RwLockReadGuard<'_, Lines> {
        self.lines.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the lines for a name stand, which is in lower case, in their order.
    fn places(&self, lines: &Lines, name: &str) -> Vec<usize> {
        let mut places = lines.named(name).to_vec();
        if !lines.patterns.is_empty() || !lines.hashed.is_empty() {
            places.extend(self.asked(lines, name).iter());
            places.sort_unstable();
        }
        places
    }

    /// Those among them that must be asked.
    fn asked(&self, lines: &Lines, name: &str) -> Arc<[usize]> {
        let found = || self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = found().get(name) {
            return Arc::clone(places);
        }
        let all = lines.patterns.iter().chain(&lines.hashed).copied();
        let places: Arc<[usize]> = all.filter(|at| lines.all[*at].hosts.hold(name)).collect();
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

    fn check_name(&self, name: &str, key: &HostKey) -> Verdict {
        let lines = self.lines();
        if let Some(verdict) = lines.by_key(name, key) {
            return verdict;
        }
        let places = self.places(&lines, name);
        let others = places.iter().map(|at| &lines.all[*at]).filter(|line| line.mark == Mark::None);
        let others: Vec<HostKey> = others.map(|line| line.key.as_ref().clone()).collect();
        if others.is_empty() { Verdict::Unknown } else { Verdict::Changed(others) }
    }

    /// Whether a line has this key for a name, which is in lower case.
    fn holds(&self, name: &str, key: &HostKey) -> bool {
        self.lines().by_key(name, key) == Some(Verdict::Known)
    }

    /// Judges what a host shows, at a time in seconds since 1970. As ssh does: a certificate whose authority no line
    /// names counts for nothing, and the key in it is judged by itself.
    #[must_use]
    pub fn judge(&self, host: &str, port: u16, shown: &Shown, now: u64) -> Verdict {
        if self.is_revoked(host, port, shown) {
            return Verdict::Revoked;
        }
        let authority =
            shown.certificate.as_ref().filter(|it| self.has_mark(host, port, Mark::Authority, &it.authority));
        match authority {
            None => self.check(host, port, &shown.key),
            // The key was proved with the certificate, and a line may hold it by itself.
            Some(_) if self.holds(&name(host, port), &shown.key) => Verdict::Known,
            Some(certificate) => match certificate.proves(host, now) {
                Ok(()) => Verdict::Known,
                Err(_) if self.check(host, port, &shown.key) == Verdict::Known => Verdict::Known,
                Err(why) => Verdict::Unproven(why),
            },
        }
    }

    /// Whether what a host shows must never be trusted.
    #[must_use]
    pub fn is_revoked(&self, host: &str, port: u16, shown: &Shown) -> bool {
        if shown.certificate.as_ref().is_some_and(|it| self.has_mark(host, port, Mark::Revoked, &it.authority)) {
            return true;
        }
        let by_key = |port| self.lines().by_key(&name(host, port), &shown.key);
        match by_key(port) {
            Some(verdict) => verdict == Verdict::Revoked,
            // What is said without port counts only where nothing is said with it.
            None => {
                port != 22
                    && by_key(22) == Some(Verdict::Revoked)
                    && self.check(host, port, &shown.key) == Verdict::Revoked
            }
        }
    }

    /// Whether a line names an authority for a host, so that the server is asked for a certificate.
    #[must_use]
    pub fn has_authority(&self, host: &str, port: u16) -> bool {
        self.any_marked(host, port, |line| line.mark == Mark::Authority)
    }

    fn has_mark(&self, host: &str, port: u16, mark: Mark, key: &HostKey) -> bool {
        self.any_marked(host, port, |line| line.mark == mark && *line.key == *key)
    }

    fn any_marked(&self, host: &str, port: u16, wanted: impl Fn(&Line) -> bool) -> bool {
        let lines = self.lines();
        let names = [name(host, port), name(host, 22)];
        let mut marked = lines.marked.iter().map(|at| &lines.all[*at]).filter(|line| wanted(line));
        marked.any(|line| names.iter().any(|name| line.hosts.hold(name)))
    }

    /// The types of the keys known for a host, so that the server is asked for one of these first.
    #[must_use]
    pub fn kinds(&self, host: &str, port: u16) -> Vec<&'static str> {
        let lines = self.lines();
        let of = |name: &str| {
            let mut kinds = Vec::new();
            add_kind(&mut kinds, self.places(&lines, name).iter().map(|at| &lines.all[*at]));
            kinds
        };
        let found = of(&name(host, port));
        if found.is_empty() { of(&name(host, 22)) } else { found }
    }

    /// What [`KnownHosts::kinds`] is likely to say, without asking thousands of hashed lines; `None` where it may be asked
    /// itself. Whoever relies on it and is shown a key that is not known must look at the truth, and ask once more if that
    /// makes a difference.
    #[must_use]
    pub fn likely_kinds(&self, host: &str, port: u16) -> Option<Vec<&'static str>> {
        let lines = self.lines();
        if lines.hashed.len() <= FEW_HASHED || self.surprises.load(Ordering::Relaxed) >= MOST_SURPRISES {
            return None;
        }
        let mut kinds = Vec::new();
        for name in [name(host, port), name(host, 22)] {
            let patterns = lines.patterns.iter().filter(|at| lines.all[**at].hosts.hold(&name));
            add_kind(&mut kinds, lines.named(&name).iter().chain(patterns).map(|at| &lines.all[*at]));
            if !kinds.is_empty() {
                return Some(kinds);
            }
        }
        Some(lines.hashed_kinds.clone())
    }

    /// Takes note of a guess that led to the wrong key.
    pub(super) fn surprised(&self) {
        self.surprises.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use hmac::{Hmac, Mac};
    use sha1::Sha1;

    use super::*;

    pub(super) fn key(byte: u8) -> HostKey {
        let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
        blob.extend([byte; 32]);
        HostKey::from_blob(&blob).unwrap()
    }

    fn rsa() -> String {
        let fields = [&b"ssh-rsa"[..], &[1, 0, 1], &[0x80; 256]];
        let length = |field: &[u8]| u32::try_from(field.len()).unwrap().to_be_bytes();
        HostKey::from_blob(&fields.map(|field| [&length(field), field].concat()).concat()).unwrap().words()
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
        let asked = |known: &KnownHosts, name| known.asked(&known.lines(), name);
        let places = asked(&known, "[h]:2222");
        assert!(Arc::ptr_eq(&places, &asked(&known, "[h]:2222")));
        assert!(asked(&known, "h").is_empty());
        known.add(&format!("@revoked {text}"));
        assert_eq!(asked(&known, "[h]:2222").as_ref(), [0, 1]);
        assert_eq!(known.check("h", 2222, &key(1)), Verdict::Revoked);
    }

    fn hashed(name: &str, salt: u8, key: &HostKey) -> String {
        let mac = Hmac::<Sha1>::new_from_slice(&[salt; 20]).unwrap().chain_update(name.as_bytes());
        let (salt, digest) = (STANDARD.encode([salt; 20]), STANDARD.encode(mac.finalize().into_bytes()));
        format!("|1|{salt}|{digest} {}\n", key.words())
    }

    #[test]
    fn a_host_with_a_known_key_asks_no_line_of_another_key_and_its_line_is_asked_for_nobody_else() {
        let mut known = KnownHosts::default();
        known.add(&(0..=255).map(|n| hashed(&format!("h{n}"), n, &key(n))).collect::<String>());
        known.add(&hashed("h7", 100, &key(100)));
        let asked = |known: &KnownHosts| {
            let lines = known.lines();
            let hashed = |line: &Line| matches!(&line.hosts, Hosts::Hashed(hashed) if hashed.was_asked());
            lines.all.iter().filter(|line| hashed(line)).count()
        };
        let judge = |host: &str, key: HostKey| known.judge(host, 22, &Shown { key, certificate: None }, 0);
        assert_eq!(known.likely_kinds("h7", 22).as_deref(), Some(["ssh-ed25519"].as_slice()));
        assert_eq!(judge("h7", key(7)), Verdict::Known);
        assert_eq!(asked(&known), 1);
        // All are asked only to tell a changed key, each line once for a name, and with all of its lines.
        assert_eq!(judge("h7", key(8)), Verdict::Changed(vec![key(7), key(100)]));
        assert_eq!((asked(&known), known.check("h8", 22, &key(8))), (257, Verdict::Known));
        assert_eq!(judge("new", key(8)), Verdict::Unknown);
        // Whoever was misled too often looks at the truth.
        (0..MOST_SURPRISES).for_each(|_| known.surprised());
        assert_eq!((known.likely_kinds("h7", 22), known.kinds("h7", 22)), (None, vec!["ssh-ed25519"]));
    }

    #[test]
    fn names_in_the_clear_are_guessed_by_their_own_lines() {
        let mut known = KnownHosts::default();
        known.add(&format!("[a]:2222 {0}\n*.net {0}\n", rsa()));
        assert_eq!(known.likely_kinds("a", 2222), None, "few lines are asked at once");
        known.add(&(0..=255).chain([9]).map(|n| hashed("b", n, &key(n))).collect::<String>());
        for (host, port, kind) in [("a", 2222, "ssh-rsa"), ("a.net", 22, "ssh-rsa"), ("b", 22, "ssh-ed25519")] {
            assert_eq!(known.likely_kinds(host, port), Some(vec![kind]), "{host}");
            assert_eq!(known.kinds(host, port), [kind], "{host}");
        }
        assert_eq!(known.likely_kinds("c", 22), Some(vec!["ssh-ed25519"]));
        assert!(known.kinds("c", 22).is_empty());
    }

    #[test]
    fn lines_are_found_by_name_and_one_by_one_in_their_order() {
        let mut known = KnownHosts::default();
        known.add(&format!("g,H,h {0}\nh* {1}\nh {2}", key(2).words(), key(3).words(), key(4).words()));
        assert_eq!(known.check("h", 22, &key(1)), Verdict::Changed(vec![key(2), key(3), key(4)]));
        let lines = known.lines();
        assert_eq!((lines.named.len(), lines.patterns.as_slice()), (2, &[1][..]));
    }

    /// The verdict by all lines for a name, in their order.
    fn by_all(known: &KnownHosts, name: &str, key: &HostKey) -> Verdict {
        let lines = known.lines();
        let its: Vec<&Line> = lines.all.iter().filter(|line| line.hosts.hold(name)).collect();
        let with = |mark| its.iter().filter(move |line| line.mark == mark);
        if with(Mark::Revoked).any(|line| *line.key == *key) {
            return Verdict::Revoked;
        }
        let keys: Vec<HostKey> = with(Mark::None).map(|line| line.key.as_ref().clone()).collect();
        match keys.contains(key) {
            true => Verdict::Known,
            false if keys.is_empty() => Verdict::Unknown,
            false => Verdict::Changed(keys),
        }
    }

    proptest::proptest! {
        #[test]
        fn lines_found_by_key_say_what_all_lines_say(picks in proptest::collection::vec((0..12_usize, 0..8_u8, 0..6_usize), 0..9)) {
            let names = ["h", "[h]:2222", "g", "[g]:2222"];
            let lines = picks.iter().map(|&(hosts, byte, mark)| {
                let mark = ["", "", "", "", "@revoked ", "@cert-authority "][mark];
                let key = key(byte % 4);
                match hosts {
                    0..4 => format!("{mark}{} {}", names[hosts], key.words()),
                    4..8 => format!("{mark}{}", hashed(names[hosts - 4], byte, &key).trim_end()),
                    _ => format!("{mark}{} {}", ["*", "[*]:2222", "g,!h", "!h,*"][hosts - 8], key.words()),
                }
            });
            let mut known = KnownHosts::default();
            known.add(&lines.map(|line| line + "\n").collect::<String>());
            // In every order of asking, for a hashed line remembers whose it is.
            for number in 0..16_u8 {
                let (name, key) = (names[usize::from((number * 7) % 16 / 4)], key(number % 4));
                proptest::prop_assert_eq!(known.check_name(name, &key), by_all(&known, name, &key));
            }
        }
    }
}

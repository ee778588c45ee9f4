//! known_hosts with OpenSSH's semantics, pure but for what `file` has: libssh2's own matcher says yes to revoked keys,
//! ignores wildcards and negation, and refuses a file for one bad line (design/trust.md, point 4).
//!
//! To ask a hashed line for a name costs an HMAC, and a fleet of thousands may have thousands of such lines. So each name is
//! asked for once, and a line that is known to be somebody else's no more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use super::hostkey::{HostKey, Shown};

mod file;
mod line;

pub(super) use file::now;
pub use file::{change, read};
use line::{Hosts, Line, Mark, is_plain, parse};

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
    /// Which of the lines that must be asked hold for a name: each visit wants to know it several times, and it may take as
    /// long as the visit.
    found: Mutex<HashMap<String, Arc<[usize]>>>,
}

/// Lines in their order, and where they stand.
#[derive(Debug, Default)]
struct Lines {
    all: Vec<Line>,
    /// Those with just this name among theirs: a fleet of thousands has a line for each of its hosts.
    named: HashMap<String, Vec<usize>>,
    /// The others, which must be asked: wildcards, exceptions and hashed names.
    asked: Vec<usize>,
    /// Those with a mark.
    marked: Vec<usize>,
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
        let before = self.asked.len();
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
                _ => self.asked.push(at),
            }
            if line.mark != Mark::None {
                self.marked.push(at);
            }
            self.all.push(line);
        }
        before != self.asked.len()
    }

    fn named(&self, name: &str) -> &[usize] {
        self.named.get(name).map_or(&[], Vec::as_slice)
    }
}

impl KnownHosts {
    /// Adds the lines of a text, also while others read.
    pub fn add(&self, text: &str) {
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
        if !lines.asked.is_empty() {
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
        let places: Arc<[usize]> = lines.asked.iter().copied().filter(|at| lines.all[*at].hosts.hold(name)).collect();
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
        let places = self.places(&lines, name);
        let with = |mark| places.iter().map(|at| &lines.all[*at]).filter(move |line| line.mark == mark);
        let has = |mark| with(mark).any(|line| line.key == *key);
        if has(Mark::Revoked) {
            return Verdict::Revoked;
        }
        if has(Mark::None) {
            return Verdict::Known;
        }
        let others: Vec<HostKey> = with(Mark::None).map(|line| line.key.clone()).collect();
        if others.is_empty() { Verdict::Unknown } else { Verdict::Changed(others) }
    }

    /// Whether a line has this key for a name, which is in lower case.
    fn holds(&self, name: &str, key: &HostKey) -> bool {
        self.check_name(name, key) == Verdict::Known
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
        self.check(host, port, &shown.key) == Verdict::Revoked
    }

    /// Whether a line names an authority for a host, so that the server is asked for a certificate.
    #[must_use]
    pub fn has_authority(&self, host: &str, port: u16) -> bool {
        self.any_marked(host, port, |line| line.mark == Mark::Authority)
    }

    fn has_mark(&self, host: &str, port: u16, mark: Mark, key: &HostKey) -> bool {
        self.any_marked(host, port, |line| line.mark == mark && line.key == *key)
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
            for line in self.places(&lines, name).iter().map(|at| &lines.all[*at]) {
                if line.mark == Mark::None && !kinds.contains(&line.key.kind()) {
                    kinds.push(line.key.kind());
                }
            }
            kinds
        };
        let found = of(&name(host, port));
        if found.is_empty() { of(&name(host, 22)) } else { found }
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

    fn verdict(text: &str, host: &str, port: u16) -> Verdict {
        let known = KnownHosts::default();
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
        let known = KnownHosts::default();
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
    fn each_line_is_asked_once_for_a_name_and_for_nobody_else_once_it_is_known_whose_it_is() {
        let known = KnownHosts::default();
        known.add(&(0..=255).map(|n| hashed(&format!("h{n}"), n, &key(n))).collect::<String>());
        known.add(&hashed("h7", 100, &key(100)));
        let asked = |known: &KnownHosts| known.lines().all.iter().map(|line| line.hosts.asked()).sum::<usize>();
        let judge = |host: &str, key: HostKey| known.judge(host, 22, &Shown { key, certificate: None }, 0);
        assert_eq!((known.kinds("h7", 22), asked(&known)), (vec!["ssh-ed25519"], 257));
        assert_eq!((judge("h7", key(7)), judge("h7", key(100))), (Verdict::Known, Verdict::Known));
        assert_eq!(judge("h7", key(8)), Verdict::Changed(vec![key(7), key(100)]));
        assert_eq!(asked(&known), 257, "nobody is asked again");
        assert_eq!((judge("h8", key(8)), asked(&known)), (Verdict::Known, 257 + 255), "two are known to be h7");
        known.add(&format!("new {}", key(9).words()));
        assert_eq!((judge("h8", key(8)), asked(&known)), (Verdict::Known, 257 + 255), "a line more in the clear");
    }

    #[test]
    fn lines_are_found_by_name_and_one_by_one_in_their_order() {
        let known = KnownHosts::default();
        known.add(&format!("g,H,h {0}\nh* {1}\nh {2}", key(2).words(), key(3).words(), key(4).words()));
        assert_eq!(known.check("h", 22, &key(1)), Verdict::Changed(vec![key(2), key(3), key(4)]));
        let lines = known.lines();
        assert_eq!((lines.named.len(), lines.asked.as_slice()), (2, &[1][..]));
    }

    /// The verdict by all lines for a name, in their order.
    fn by_all(known: &KnownHosts, name: &str, key: &HostKey) -> Verdict {
        let lines = known.lines();
        let its: Vec<&Line> = lines.all.iter().filter(|line| line.hosts.hold(name)).collect();
        let with = |mark| its.iter().filter(move |line| line.mark == mark);
        if with(Mark::Revoked).any(|line| line.key == *key) {
            return Verdict::Revoked;
        }
        let keys: Vec<HostKey> = with(Mark::None).map(|line| line.key.clone()).collect();
        match keys.contains(key) {
            true => Verdict::Known,
            false if keys.is_empty() => Verdict::Unknown,
            false => Verdict::Changed(keys),
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_kept_by_name_says_what_all_lines_say(picks in proptest::collection::vec((0..12_usize, 0..8_u8, 0..6_usize), 0..9)) {
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
            let known = KnownHosts::default();
            known.add(&lines.map(|line| line + "\n").collect::<String>());
            // In every order of asking, for a hashed line remembers whose it is.
            for number in 0..16_u8 {
                let (name, key) = (names[usize::from((number * 7) % 16 / 4)], key(number % 4));
                proptest::prop_assert_eq!(known.check_name(name, &key), by_all(&known, name, &key));
            }
        }
    }
}

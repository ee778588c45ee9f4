//! A line of known_hosts: whom it is for, and the key.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha1::Sha1;

use super::super::hostkey::HostKey;

/// What stands before the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    None,
    Revoked,
    Authority,
}

/// For whom a line is.
#[derive(Debug)]
pub(super) enum Hosts {
    /// Names as they are, patterns and exceptions, in lower case.
    Listed(String),
    /// One name, which only who knows it can tell.
    Hashed(Hashed),
    /// What looks hashed and is not.
    Nobody,
}

#[derive(Debug)]
pub(super) struct Line {
    pub mark: Mark,
    pub hosts: Hosts,
    pub key: HostKey,
}

/// `None` where ssh would pass over it too.
pub(super) fn parse(line: &str) -> Option<Line> {
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
pub(super) fn is_plain(list: &str) -> bool {
    !list.contains(['*', '?', '!']) && list.len() < MAX_PATTERN
}

impl Hosts {
    pub fn parse(hosts: &str) -> Self {
        let Some(hashed) = hosts.strip_prefix("|1|") else { return Self::Listed(hosts.to_ascii_lowercase()) };
        let bytes = |text: &str| <[u8; 20]>::try_from(STANDARD.decode(text).ok()?).ok();
        let parts = hashed.split_once('|').and_then(|(salt, digest)| Some((bytes(salt)?, bytes(digest)?)));
        parts.map_or(Self::Nobody, |(salt, digest)| Self::Hashed(Hashed::new(salt, digest)))
    }

    /// Whether they hold for a name, which is in lower case.
    pub fn hold(&self, name: &str) -> bool {
        match self {
            Self::Listed(list) => lists(list, name),
            Self::Hashed(hashed) => hashed.is(name),
            Self::Nobody => false,
        }
    }

    /// How many HMACs that took so far.
    #[cfg(test)]
    pub fn asked(&self) -> usize {
        match self {
            Self::Hashed(hashed) => hashed.asked.load(std::sync::atomic::Ordering::Relaxed),
            _ => 0,
        }
    }
}

/// A name of which the file has only the HMAC.
#[derive(Debug)]
pub(super) struct Hashed {
    salt: [u8; 20],
    digest: [u8; 20],
    /// The HMAC once the salt went in, which is half of its work.
    keyed: OnceLock<Box<Hmac<Sha1>>>,
    /// The name, once it was asked for: then no other one is.
    name: OnceLock<Box<str>>,
    #[cfg(test)]
    asked: std::sync::atomic::AtomicUsize,
}

impl Hashed {
    fn new(salt: [u8; 20], digest: [u8; 20]) -> Self {
        Self {
            salt,
            digest,
            keyed: OnceLock::new(),
            name: OnceLock::new(),
            #[cfg(test)]
            asked: Default::default(),
        }
    }

    fn is(&self, name: &str) -> bool {
        if let Some(known) = self.name.get() {
            return known.as_ref() == name;
        }
        let keyed = self.keyed.get_or_init(|| {
            // HMAC fills a short key up with zeros.
            let mut key = hmac::digest::Key::<Hmac<Sha1>>::default();
            key.iter_mut().zip(self.salt).for_each(|(to, from)| *to = from);
            Box::new(hmac::digest::KeyInit::new(&key))
        });
        #[cfg(test)]
        self.asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let fits = keyed.as_ref().clone().chain_update(name.as_bytes()).finalize().into_bytes()[..] == self.digest;
        if fits {
            self.name.get_or_init(|| name.into());
        }
        fits
    }
}

fn lists(list: &str, name: &str) -> bool {
    let mut found = false;
    for pattern in list.split(',') {
        let (negated, pattern) = pattern.strip_prefix('!').map_or((false, pattern), |rest| (true, rest));
        if pattern.len() >= MAX_PATTERN {
            return false;
        }
        if glob(pattern.as_bytes(), name.as_bytes()) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_of_many_stars_is_quick() {
        assert!(!glob("*a".repeat(200).as_bytes(), "b".repeat(5000).as_bytes()));
    }
}

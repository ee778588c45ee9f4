//! Sessions of people who signed in: in memory, so that a restart ends them all.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

/// A session that nobody uses for so long ends.
const IDLE: TimeDelta = TimeDelta::hours(12);
/// And every session after this.
pub const LONGEST: TimeDelta = TimeDelta::days(7);
/// At most so many; the one that was not used for longest goes first.
const MOST: usize = 1024;

#[derive(Debug)]
struct Session {
    user: String,
    csrf: String,
    opened: DateTime<Utc>,
    used: DateTime<Utc>,
}

/// Every session, by the digest of its token: what is in memory opens nothing.
#[derive(Debug, Default)]
pub struct Sessions(HashMap<Vec<u8>, Session>);

fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn digest(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

impl Sessions {
    /// Opens one; returns its token.
    pub fn open(&mut self, user: &str, now: DateTime<Utc>) -> Result<String, getrandom::Error> {
        self.0.retain(|_, session| alive(session, now));
        if self.0.len() >= MOST
            && let Some(oldest) = self.0.iter().min_by_key(|(_, session)| session.used).map(|(key, _)| key.clone())
        {
            self.0.remove(&oldest);
        }
        let (token, csrf) = (random()?, random()?);
        self.0.insert(digest(&token), Session { user: user.to_owned(), csrf, opened: now, used: now });
        Ok(token)
    }

    /// User and CSRF token of a session that lives.
    pub fn find(&mut self, token: &str, now: DateTime<Utc>) -> Option<(String, String)> {
        let session = self.0.get_mut(&digest(token)).filter(|session| alive(session, now))?;
        session.used = now;
        Some((session.user.clone(), session.csrf.clone()))
    }

    /// Ends one.
    pub fn close(&mut self, token: &str) {
        self.0.remove(&digest(token));
    }
}

fn alive(session: &Session, now: DateTime<Utc>) -> bool {
    now - session.used < IDLE && now - session.opened < LONGEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_end_and_are_not_many() {
        let start = DateTime::from_timestamp(1_789_992_000, 0).unwrap();
        let mut all = Sessions::default();
        let token = all.open("ops", start).unwrap();
        assert_eq!(all.find(&token, start).unwrap().0, "ops");
        assert!(all.find("other", start).is_none());
        let mut at = start;
        for _ in 0..16 {
            at += TimeDelta::hours(11);
            assert_eq!(all.find(&token, at).is_some(), at - start < LONGEST, "{at}");
        }
        let token = all.open("ops", start).unwrap();
        assert!(all.find(&token, start + IDLE).is_none(), "idle");
        all.close(&token);
        assert!(all.find(&token, start).is_none(), "closed");
        let first = all.open("ops", start).unwrap();
        for n in 0..MOST {
            all.open("ops", start + TimeDelta::seconds(n as i64)).unwrap();
        }
        assert_eq!(all.0.len(), MOST);
        assert!(all.find(&first, start).is_none(), "the oldest went");
    }
}

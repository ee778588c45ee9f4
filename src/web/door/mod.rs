//! Who asks: bearer tokens, sessions and signing in.

use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::request::{Incoming, Visitor};
use super::response::{Answer, Response, Trouble};
use crate::model::clean::clean;
use crate::model::secret::Secret;

mod brake;
pub mod password;
mod session;

use brake::Brake;
use session::{LONGEST, Sessions};

/// Passwords that are looked at or wait for it at once; each costs a core and 19 MiB for a moment.
const AT_ONCE: u32 = 2;

/// Who may come in; all secrets are read.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// Name and Argon2 hash.
    pub users: Vec<(String, Secret)>,
    /// Name, token, and whether it may act.
    pub tokens: Vec<(String, Secret, bool)>,
    /// Browsers come over TLS, ours or a proxy's: cookies go over nothing else.
    pub secure: bool,
}

/// The door, and who is inside.
#[derive(Debug)]
pub struct Door {
    keys: Keys,
    sessions: Mutex<Sessions>,
    brake: Mutex<Brake>,
    busy: AtomicU32,
    turn: Mutex<()>,
}

/// What a sign-in form brings.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// Where from.
    pub peer: IpAddr,
    /// The name that was typed.
    pub user: &'a str,
    /// The password that was typed.
    pub password: &'a str,
    /// The clock.
    pub now: DateTime<Utc>,
}

impl Door {
    /// A door with nobody inside.
    #[must_use]
    pub fn new(keys: Keys) -> Self {
        Self {
            keys,
            sessions: Mutex::default(),
            brake: Mutex::default(),
            busy: AtomicU32::new(0),
            turn: Mutex::new(()),
        }
    }

    /// Whether somebody can sign in at all.
    #[must_use]
    pub fn has_users(&self) -> bool {
        !self.keys.users.is_empty()
    }

    fn cookie_name(&self) -> &'static str {
        // With this prefix browsers take it only over TLS and for this host alone.
        if self.keys.secure { "__Host-fleet" } else { "fleet" }
    }

    /// Who sends a request.
    ///
    /// # Errors
    /// 401 for a bearer token that is not known, so that a program notices.
    pub fn visitor(&self, incoming: &Incoming) -> Result<Visitor, Trouble> {
        if self.keys.users.is_empty() && self.keys.tokens.is_empty() {
            return Ok(Visitor::Open);
        }
        if let Some(given) = incoming.header("authorization") {
            let token = given.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
            let digest = Sha256::digest(token.map_or("", |(_, token)| token.trim()).as_bytes());
            // Of digests nothing is learned from how long it takes to tell two apart.
            let found = self.keys.tokens.iter().find(|it| Sha256::digest(it.1.expose().as_bytes()) == digest);
            return match found {
                Some((name, _, acts)) => Ok(Visitor::Token { name: name.clone(), acts: *acts }),
                None => Err(unknown("this bearer token is not known; see <token> of <web> in the configuration")),
            };
        }
        let Some(cookie) = incoming.cookie(self.cookie_name()) else { return Ok(Visitor::Stranger) };
        let Ok(mut sessions) = self.sessions.lock() else { return Ok(Visitor::Stranger) };
        let found = sessions.find(cookie, incoming.now);
        Ok(found.map_or(Visitor::Stranger, |(name, csrf)| Visitor::User { name, csrf }))
    }

    /// Looks at name and password; who is right gets a cookie and goes on to `back`.
    ///
    /// # Errors
    /// 401 where they are wrong, in the same words and with the same work for a name that nobody has; 429 after too many.
    pub fn sign_in(&self, attempt: &Attempt<'_>, back: &str) -> Answer {
        let wait =
            || Trouble::new(503, "many are signing in right now; try again in a moment").with("retry-after", "2");
        self.braked(|brake| brake.check(attempt))?;
        if self.busy.fetch_add(1, Ordering::AcqRel) >= AT_ONCE {
            self.busy.fetch_sub(1, Ordering::AcqRel);
            return Err(wait());
        }
        let right = {
            let _turn = self.turn.lock();
            let user = self.keys.users.iter().find(|(name, _)| name == attempt.user);
            // Nobody has the name: the same work for nothing.
            let hash = user.or(self.keys.users.first()).map_or("", |(_, hash)| hash.expose());
            password::fits(hash, attempt.password) && user.is_some()
        };
        self.busy.fetch_sub(1, Ordering::AcqRel);
        if !right {
            let user = clean(attempt.user).chars().take(64).collect::<String>();
            log::warn!("sign-in refused: user {user:?} from {}", attempt.peer);
            self.braked(|brake| {
                brake.failed(attempt);
                Ok(())
            })?;
            return Err(Trouble::new(401, "name or password is wrong"));
        }
        self.braked(|brake| {
            brake.passed(attempt);
            Ok(())
        })?;
        log::info!("signed in: {} from {}", attempt.user, attempt.peer);
        let mut sessions = self.sessions.lock().map_err(|_| wait())?;
        let token = sessions.open(attempt.user, attempt.now).map_err(|_| wait())?;
        let seconds = LONGEST.num_seconds();
        Ok(Response::see_other(back).with("set-cookie", self.cookie(&format!("{token}; Max-Age={seconds}"))))
    }

    fn braked(&self, work: impl FnOnce(&mut Brake) -> Result<(), Trouble>) -> Result<(), Trouble> {
        let mut brake =
            self.brake.lock().map_err(|_| Trouble::new(503, "signing in is out of order; start it again"))?;
        work(&mut brake)
    }

    fn cookie(&self, value: &str) -> String {
        let secure = if self.keys.secure { "; Secure" } else { "" };
        format!("{}={value}; Path=/; HttpOnly; SameSite=Strict{secure}", self.cookie_name())
    }

    /// The token of a request's session; empty where it has none.
    #[must_use]
    pub fn session(&self, incoming: &Incoming) -> Secret {
        Secret::new(incoming.cookie(self.cookie_name()).unwrap_or_default().to_owned())
    }

    /// Ends a session.
    pub fn sign_out(&self, session: &Secret) -> Response {
        if let Ok(mut sessions) = self.sessions.lock() {
            sessions.close(session.expose());
        }
        Response::see_other("/sign-in")
            .with("set-cookie", self.cookie("; Max-Age=0"))
            .with("clear-site-data", "\"cache\"")
    }
}

/// 401 with what a program must send.
#[must_use]
pub fn unknown(text: &str) -> Trouble {
    Trouble::new(401, text).with("www-authenticate", "Bearer realm=\"fleet-health\"")
}

#[cfg(test)]
mod tests;

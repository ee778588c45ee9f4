//! What is asked, read and bounded.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::percent;
use super::response::Trouble;
use crate::model::secret::Secret;

/// A request as it came from the socket, of which nothing is believed yet.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// As sent: `GET`.
    pub method: String,
    /// The host that an absolute target names (`GET http://host/path`).
    pub authority: Option<String>,
    /// Path and query, undecoded.
    pub target: String,
    /// Names in lower case; values that are no UTF-8 are left out.
    pub headers: Vec<(String, String)>,
    /// At most [`MAX_BODY`] bytes.
    pub body: Vec<u8>,
    /// Where it came from.
    pub peer: IpAddr,
    /// The clock.
    pub now: DateTime<Utc>,
}

/// The greatest body that is read: forms, and orders in JSON.
pub const MAX_BODY: usize = 64 << 10;
/// The greatest number of values in a query or form.
const MAX_VALUES: usize = 256;

impl Incoming {
    /// The only header of that name; of several none.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter().filter(|(known, _)| known == name);
        let first = all.next()?;
        if all.next().is_some() { None } else { Some(&first.1) }
    }

    /// A cookie.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let all = self.headers.iter().filter(|(header, _)| header == "cookie");
        all.flat_map(|(_, value)| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }
}

/// What is done with what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads; HEAD too.
    Get,
    /// Changes something.
    Post,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visitor {
    /// Nobody can sign in here: whoever reaches the address reads.
    Open,
    /// Has not signed in.
    Stranger,
    /// Has signed in.
    User {
        /// The name of the configuration.
        name: String,
        /// Must come back with every form, in the field `csrf`.
        csrf: String,
    },
    /// A program with a bearer token.
    Token {
        /// The name of the configuration.
        name: String,
        /// Whether it may acknowledge and silence.
        acts: bool,
    },
}

impl Visitor {
    /// Whether pages are shown.
    #[must_use]
    pub fn reads(&self) -> bool {
        *self != Self::Stranger
    }

    /// The name under which acknowledgements and silences are recorded, of those who may make them.
    #[must_use]
    pub fn acts_as(&self) -> Option<&str> {
        match self {
            Self::User { name, .. } | Self::Token { name, acts: true } => Some(name),
            _ => None,
        }
    }

    /// What forms must carry; empty where there are none.
    #[must_use]
    pub fn csrf(&self) -> &str {
        match self {
            Self::User { csrf, .. } => csrf,
            _ => "",
        }
    }
}

/// Names and values of a query or form, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Reads `a=1&b=2`. `None` where it is malformed or too long.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let mut all = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            all.push((percent::decode(name, true)?, percent::decode(value, true)?));
            if all.len() > MAX_VALUES {
                return None;
            }
        }
        Some(Self(all))
    }

    /// The first value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A moment: `2026-11-21T20:00:00Z` or seconds since 1970. `None` where it is not there.
    ///
    /// # Errors
    /// 400 where it is neither.
    pub fn moment(&self, name: &str) -> Result<Option<DateTime<Utc>>, Trouble> {
        let Some(text) = self.get(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        let seconds = text.parse::<i64>().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        let at = seconds.or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc)));
        // Beyond these years no store has anything, and sums of times would overflow.
        let at = at.filter(|at| (0..=253_402_300_799).contains(&at.timestamp()));
        let said = || Trouble::bad(format!("{name}= is no moment; write 2026-11-21T20:00:00Z or seconds since 1970"));
        at.map(Some).ok_or_else(said)
    }

    /// A whole number within bounds. `None` where it is not there.
    ///
    /// # Errors
    /// 400 where it is none, or out of bounds.
    pub fn number(&self, name: &str, least: i64, most: i64) -> Result<Option<i64>, Trouble> {
        let Some(text) = self.get(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        let number = text.parse::<i64>().ok().filter(|number| (least..=most).contains(number));
        number.map(Some).ok_or_else(|| Trouble::bad(format!("{name}= is no whole number from {least} to {most}")))
    }
}

/// A request whose way is clear: its route is found, and whoever asks may.
#[derive(Clone, Debug)]
pub struct Request {
    /// Reads or changes.
    pub method: Method,
    /// Decoded, without query; starts with `/`.
    pub path: String,
    /// Path and query as sent, for links back to it.
    pub target: String,
    /// What the route's `{name}`s stand for.
    pub captures: Vec<(&'static str, String)>,
    /// The query.
    pub query: Params,
    /// The fields of a form.
    pub form: Params,
    /// The body of an order in JSON.
    pub json: Option<Value>,
    /// Who asks.
    pub visitor: Visitor,
    /// The address of the client, by which failures to sign in are counted.
    pub peer: IpAddr,
    /// The token of the session, by which signing out ends it.
    pub session: Secret,
    /// The clock.
    pub now: DateTime<Utc>,
    /// The `Accept` header, or empty.
    pub accept: String,
}

impl Request {
    /// What a `{name}` of the route stands for.
    #[must_use]
    pub fn capture(&self, name: &str) -> &str {
        self.captures.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_in_order_and_bounded() {
        let all = Params::read("a=1&b=x%20y&a=2&c").unwrap();
        assert_eq!((all.get("a"), all.get("b"), all.get("c"), all.get("d")), (Some("1"), Some("x y"), Some(""), None));
        assert_eq!(all.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert!(Params::read("a=%").is_none());
        assert!(Params::read(&"a=1&".repeat(257)).is_none());
    }

    #[test]
    fn moments_and_numbers_say_what_is_wrong() {
        let all = Params::read("a=2026-11-21T20:00:00Z&b=1789992000&c=soon&d=99999999999999&e=").unwrap();
        assert_eq!(all.moment("a").unwrap().unwrap().timestamp(), 1_795_291_200);
        assert_eq!(all.moment("b").unwrap().unwrap().timestamp(), 1_789_992_000);
        assert!(all.moment("c").is_err() && all.moment("d").is_err());
        assert!(all.moment("e").unwrap().is_none());
        assert_eq!(all.number("b", 0, i64::MAX).unwrap(), Some(1_789_992_000));
        assert!(all.number("b", 0, 5).is_err() && all.number("c", 0, 5).is_err());
    }
}

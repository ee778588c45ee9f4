//! `redis`: AUTH and INFO over RESP; Valkey, KeyDB and their kin answer alike.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::time::Instant;

use super::answer::{excerpt, gather, position};
use super::link::Place;
use super::{Check, Found, Occasion, Trouble, secure};

/// INFO of a server with many databases has some ten KiB.
const MAX_ANSWER: usize = 512 * 1024;

pub(super) struct Redis;

impl Check for Redis {
    fn kind(&self) -> &'static str {
        "redis"
    }

    fn look(&self, at: &Occasion, found: &mut Found) -> Result<(), Trouble> {
        let place = Place::of(at)?;
        let begin = Instant::now();
        let mut line = secure::open(at, &place, |_| Ok(true))?;
        let password = at.order.secrets.get("password").map(crate::model::secret::Secret::expose);
        let info = converse(&mut line, at.order.attribute("user"), password, &place.shown())?;
        found.seconds("redis.latency", begin.elapsed().as_secs_f64());
        found.note = read(&Info::parse(&info), at.note, found)?;
        Ok(())
    }
}

/// Logs in where there is a password, and asks for the usual sections, which every version has.
fn converse(
    link: &mut (impl Read + Write),
    user: Option<&str>,
    password: Option<&str>,
    place: &str,
) -> Result<Vec<u8>, Trouble> {
    let line = |error: io::Error| Trouble::line(place, &error);
    if let Some(password) = password {
        let words: Vec<&str> = ["AUTH"].into_iter().chain(user).chain([password]).collect();
        if let Reply::Error(text) = ask(link, &words).map_err(line)? {
            return Err(refused(place, &text));
        }
    }
    match ask(link, &["INFO"]).map_err(line)? {
        Reply::Bulk(info) => Ok(info),
        Reply::Error(text) => Err(refused(place, &text)),
        Reply::Line(text) => Err(Trouble::wrong(format!("{place}: answered \"{text}\" to INFO"))),
    }
}

/// A server that is loading or full answers, and is not well; one that wants another login cannot be told.
fn refused(place: &str, text: &str) -> Trouble {
    let text = format!("{place}: {}", excerpt(text.as_bytes()));
    match text.split([' ', ':']).find(|word| word.chars().all(|c| c.is_ascii_uppercase()) && word.len() > 3) {
        Some("LOADING" | "MASTERDOWN" | "MISCONF") => Trouble::wrong(text),
        // It says so with no more than ERR in front.
        _ if text.contains("max number of clients") => Trouble::wrong(text),
        _ => Trouble::denied(text),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Reply {
    Line(String),
    Error(String),
    Bulk(Vec<u8>),
}

fn ask(link: &mut (impl Read + Write), words: &[&str]) -> io::Result<Reply> {
    let mut request = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        request.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    link.write_all(&request)?;
    let bytes = gather(link, MAX_ANSWER, |bytes| !matches!(reply(bytes), Ok(None)))?;
    match reply(&bytes)? {
        Some(reply) => Ok(reply),
        None if bytes.len() >= MAX_ANSWER => Err(io::Error::new(ErrorKind::InvalidData, "the answer is endless")),
        None => Err(ErrorKind::UnexpectedEof.into()),
    }
}

/// One reply, once it is whole.
fn reply(bytes: &[u8]) -> io::Result<Option<Reply>> {
    let bad = || io::Error::new(ErrorKind::InvalidData, "the answer is no RESP");
    let Some(&kind) = bytes.first() else { return Ok(None) };
    if !b"+-$:=".contains(&kind) {
        return Err(bad());
    }
    let Some(end) = position(bytes, b"\r\n") else { return Ok(None) };
    let line = String::from_utf8_lossy(&bytes[1..end]).into_owned();
    match kind {
        b'-' => Ok(Some(Reply::Error(line))),
        b'$' | b'=' => {
            let length = line.parse::<usize>().ok().filter(|length| *length <= MAX_ANSWER).ok_or_else(bad)?;
            Ok(bytes.get(end + 2..end + 2 + length).map(|bulk| Reply::Bulk(bulk.to_vec())))
        }
        _ => Ok(Some(Reply::Line(line))),
    }
}

/// The lines `name:value` of INFO.
struct Info(HashMap<String, String>);

impl Info {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let pairs = text.lines().filter_map(|line| line.trim_end().split_once(':'));
        Self(pairs.take(4096).map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.text(name).parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0)
    }
}

/// Straight from a line to a metric.
const PLAIN: &[(&str, &str)] = &[
    ("uptime_in_seconds", "redis.uptime"),
    ("used_memory", "redis.memory"),
    ("connected_clients", "redis.clients"),
    ("blocked_clients", "redis.clients.blocked"),
    ("rejected_connections", "redis.rejected"),
    ("evicted_keys", "redis.evicted"),
    ("expired_keys", "redis.expired"),
    ("total_commands_processed", "redis.commands"),
    ("keyspace_hits", "redis.hits"),
    ("keyspace_misses", "redis.misses"),
    ("instantaneous_ops_per_sec", "redis.operations"),
    ("rdb_changes_since_last_save", "redis.unsaved"),
    ("connected_slaves", "redis.replicas"),
];

/// Everything from INFO; returns what the next run needs.
fn read(info: &Info, note: &str, found: &mut Found) -> Result<String, Trouble> {
    if info.number("uptime_in_seconds").is_none() {
        return Err(Trouble::wrong("INFO holds no uptime: this is no Redis"));
    }
    for (name, metric) in PLAIN {
        if let Some(value) = info.number(name) {
            found.put(metric, value);
        }
    }
    if let (Some(used), Some(most)) = (info.number("used_memory"), info.number("maxmemory")) {
        found.share("redis.memory.used", used, most);
    }
    if let (Some(clients), Some(most)) = (info.number("connected_clients"), info.number("maxclients")) {
        found.share("redis.clients.used", clients, most);
    }
    if let (Some(system), Some(user)) = (info.number("used_cpu_sys"), info.number("used_cpu_user")) {
        found.seconds("redis.cpu.seconds", system + user);
    }
    let keys = info
        .0
        .iter()
        .filter(|(name, _)| name.starts_with("db"))
        .filter_map(|(_, value)| value.split(',').find_map(|part| part.strip_prefix("keys="))?.parse::<f64>().ok());
    found.put("redis.keys", keys.filter(|keys| keys.is_finite() && *keys >= 0.0).sum());
    persistence(info, found);
    replication(info, found);
    Ok(hit_ratio(info, note, found))
}

fn persistence(info: &Info, found: &mut Found) {
    let saves = ["rdb_last_bgsave_status", "aof_last_bgrewrite_status", "aof_last_write_status"];
    let bad = saves.iter().any(|name| !matches!(info.text(name), "" | "ok"));
    found.put("redis.persistence.ok", f64::from(u8::from(!bad)));
}

fn replication(info: &Info, found: &mut Found) {
    if info.text("role") == "slave" {
        found.put("redis.replication.ok", f64::from(u8::from(info.text("master_link_status") == "up")));
        if let Some(seconds) = info.number("master_last_io_seconds_ago") {
            found.put("redis.replication.silent", seconds);
        }
    }
    // slave0:ip=10.0.0.2,port=6379,state=online,offset=1234,lag=0
    let replicas = (0..16).map(|n| info.text(&format!("slave{n}")).to_owned());
    let Some(own) = info.number("master_repl_offset") else { return };
    let behind = replicas.filter_map(|line| {
        let offset = line.split(',').find_map(|part| part.strip_prefix("offset="))?.parse::<f64>().ok()?;
        Some((own - offset).max(0.0))
    });
    if let Some(worst) = behind.filter(|bytes| bytes.is_finite()).reduce(f64::max) {
        found.put("redis.replication.lag", worst);
    }
}

/// The ratio since the last run, where anything was asked meanwhile; since the server's start otherwise.
fn hit_ratio(info: &Info, note: &str, found: &mut Found) -> String {
    let (Some(hits), Some(misses)) = (info.number("keyspace_hits"), info.number("keyspace_misses")) else {
        return String::new();
    };
    let earlier: Option<(f64, f64)> =
        note.split_once(' ').and_then(|(hits, misses)| Some((hits.parse().ok()?, misses.parse().ok()?)));
    let (new_hits, new_misses) = match earlier {
        // A restart begins at zero again.
        Some((old_hits, old_misses))
            if old_hits <= hits && old_misses <= misses && hits + misses > old_hits + old_misses =>
        {
            (hits - old_hits, misses - old_misses)
        }
        _ => (hits, misses),
    };
    found.share("redis.hit-ratio", new_hits, new_hits + new_misses);
    format!("{hits} {misses}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::answer::Scripted;
    use crate::model::check::Order;
    use crate::model::sample::FaultKind;

    const INFO: &str = "# Server\r\nredis_version:7.0.15\r\nuptime_in_seconds:77\r\n# Clients\r\nconnected_clients:10\r\n\
        maxclients:100\r\nused_memory:500\r\nmaxmemory:1000\r\nevicted_keys:3\r\nkeyspace_hits:90\r\nkeyspace_misses:10\r\n\
        rdb_last_bgsave_status:err\r\nused_cpu_sys:1.5\r\nused_cpu_user:0.25\r\nrole:master\r\nmaster_repl_offset:2000\r\n\
        slave0:ip=10.0.0.2,port=6379,state=online,offset=1500,lag=0\r\ndb0:keys=5,expires=1\r\ndb1:keys=7,expires=0\r\n";

    fn found() -> Found {
        Found::new(&Order { item: "cache".into(), ..Order::default() })
    }

    fn value(found: &Found, metric: &str) -> Option<f64> {
        found.readings.iter().find(|r| r.metric == metric).map(|r| r.value)
    }

    #[test]
    fn info_becomes_readings() {
        let mut found = found();
        assert_eq!(read(&Info::parse(INFO.as_bytes()), "", &mut found).unwrap(), "90 10");
        for (metric, expected) in [
            ("redis.hit-ratio", 0.9),
            ("redis.memory.used", 0.5),
            ("redis.clients.used", 0.1),
            ("redis.cpu.seconds", 1.75),
            ("redis.keys", 12.0),
            ("redis.persistence.ok", 0.0),
            ("redis.replication.lag", 500.0),
            ("redis.evicted", 3.0),
        ] {
            assert_eq!(value(&found, metric), Some(expected), "{metric}");
        }
        assert_eq!(value(&found, "redis.replication.ok"), None);
    }

    #[test]
    fn the_hit_ratio_is_of_the_time_since_the_last_run() {
        let ratio = |note: &str| {
            let mut found = found();
            read(&Info::parse(INFO.as_bytes()), note, &mut found).unwrap();
            value(&found, "redis.hit-ratio")
        };
        assert_eq!(ratio("80 0"), Some(0.5));
        assert_eq!((ratio("90 10"), ratio("900 10"), ratio("x y")), (Some(0.9), Some(0.9), Some(0.9)));
    }

    #[test]
    fn login_and_its_refusal() {
        let bulk = format!("${}\r\n{INFO}\r\n", INFO.len());
        let mut peer = Scripted::answers(&["+OK\r\n", &bulk]);
        assert_eq!(converse(&mut peer, Some("u"), Some("pw"), "p").unwrap(), INFO.as_bytes());
        assert!(peer.said().starts_with("*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$2\r\npw\r\n"));
        let told = |answer: &str| converse(&mut Scripted::answers(&[answer]), None, None, "p").unwrap_err();
        assert!(matches!(told("-NOAUTH Authentication required.\r\n"), Trouble::Unknown(FaultKind::Denied, _)));
        assert!(matches!(told("-LOADING Redis is loading\r\n"), Trouble::Bad(..)));
        assert!(matches!(told("-ERR max number of clients reached\r\n"), Trouble::Bad(..)));
        assert!(matches!(told("HTTP/1.1 400\r\n"), Trouble::Bad(FaultKind::Malformed, _)));
        assert!(matches!(told("$100\r\nshort"), Trouble::Bad(..)));
        assert!(matches!(told("$99999999999\r\n"), Trouble::Bad(..)));
    }

    proptest::proptest! {
        #[test]
        fn any_answer_is_bounded(bytes: Vec<u8>, note in ".{0,20}") {
            let _ = reply(&bytes);
            let _ = read(&Info::parse(&bytes), &note, &mut found());
        }
    }
}

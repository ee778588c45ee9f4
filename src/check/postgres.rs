//! `postgres`: connections, hits, locks, transactions, replication and size, asked over the wire protocol.

mod login;
mod wire;

use std::path::PathBuf;
use std::time::Instant;

use super::link::Place;
use super::secure::{self, Line};
use super::{Check, Found, Occasion, Trouble};
use crate::model::order;
use crate::model::sample::FaultKind;
use crate::model::secret::Secret;
use wire::{Row, Session};

/// The most databases, and the most replicas, of one server.
const MAX_DATABASES: usize = 20;
const MAX_REPLICAS: usize = 16;

pub(super) struct Postgres;

impl Check for Postgres {
    fn kind(&self) -> &'static str {
        "postgres"
    }

    fn look(&self, at: &Occasion, found: &mut Found) -> Result<(), Trouble> {
        let place = match at.order.attribute("socket") {
            Some(path) => Place::Unix(socket(path)),
            None => Place::parse(at.needed("address")?, Some(5432))?,
        };
        let own = own_name(at);
        let user = at.order.attribute("user").or(own.as_deref());
        let user = user.ok_or_else(|| Trouble::unsupported("this user has no name; give user="))?;
        let database = at.order.attribute("database").unwrap_or("postgres");
        let password = at.order.secrets.get("password").map(Secret::expose);
        let begin = Instant::now();
        let mut line = secure::open(at, &place, wire::ask_for_tls)?;
        let mut session = Session::begin(&mut line, user, database, password, &place.shown())?;
        found.seconds("postgres.latency", begin.elapsed().as_secs_f64());
        // What we no longer wait for the server need not finish.
        let left = at.until.saturating_duration_since(Instant::now()).as_millis().max(1);
        session.query(&format!("set statement_timeout = {left}"))?;
        let recovering = server(&mut session, found)?;
        found.note = databases(&mut session, at.note, found)?;
        // What follows needs rights or versions that not every server gives: each answers for itself.
        let more: [Look; 3] = [written, locks, if recovering { standby } else { replicas }];
        for look in more {
            match look(&mut session, found) {
                Err(Trouble::Unknown(kind, text)) => found.fault(kind, text),
                other => other?,
            }
        }
        session.end();
        Ok(())
    }
}

/// One more subject of a session.
type Look = fn(&mut Session<Line>, &mut Found) -> Result<(), Trouble>;

/// The socket in its folder; the usual port names it. A path of a socket is taken as it is.
fn socket(path: &str) -> PathBuf {
    if path.contains("/.s.PGSQL.") {
        return PathBuf::from(path);
    }
    let folder = PathBuf::from(path);
    let usual = folder.join(".s.PGSQL.5432");
    if usual.exists() {
        return usual;
    }
    // A server on another port: the first by name.
    let mut sockets: Vec<PathBuf> = std::fs::read_dir(&folder)
        .map(|entries| entries.flatten().take(1000).map(|entry| entry.path()).collect())
        .unwrap_or_default();
    sockets.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix(".s.PGSQL.").is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
    });
    order::sort(&mut sockets);
    sockets.into_iter().next().unwrap_or(usual)
}

/// The login name, as psql takes it where none is given.
fn own_name(at: &Occasion) -> Option<String> {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let users = super::answer::small_file(&at.path("/etc/passwd"));
    let text = String::from_utf8_lossy(&users).into_owned();
    let mut lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines.find_map(|words| (words.get(2) == Some(&uid.as_str())).then(|| words[0].to_owned()))
}

fn number(row: &Row, at: usize) -> Option<f64> {
    row.get(at)?.as_deref()?.parse().ok().filter(|value: &f64| value.is_finite())
}

fn text(row: &Row, at: usize) -> &str {
    row.get(at).and_then(Option::as_deref).unwrap_or_default()
}

/// Connections and transactions; returns whether it is a standby.
fn server(session: &mut Session<Line>, found: &mut Found) -> Result<bool, Trouble> {
    let rows = session.query(
        "select current_setting('max_connections')::float8, \
         extract(epoch from clock_timestamp() - pg_postmaster_start_time()), pg_is_in_recovery()::int",
    )?;
    let row = rows.first().ok_or_else(|| Trouble::wrong("no answer to a query"))?;
    let most = number(row, 0).unwrap_or(0.0);
    if let Some(uptime) = number(row, 1) {
        found.seconds("postgres.uptime", uptime);
    }
    let recovering = number(row, 2) == Some(1.0);
    let rows = session.query(
        "select coalesce(state, 'hidden'), count(*), \
         coalesce(extract(epoch from max(clock_timestamp() - xact_start)), 0), \
         count(*) filter (where wait_event_type = 'Lock') \
         from pg_stat_activity where (backend_type = 'client backend' or backend_type is null and datid is not null) \
         and pid <> pg_backend_pid() group by 1",
    )?;
    // Our own connection counts, for it takes a place.
    let (mut all, mut oldest, mut blocked) = (1.0, 0.0_f64, 0.0);
    for row in &rows {
        let count = number(row, 1).unwrap_or(0.0);
        all += count;
        oldest = oldest.max(number(row, 2).unwrap_or(0.0));
        blocked += number(row, 3).unwrap_or(0.0);
        let state = text(row, 0);
        if state == "hidden" {
            let grant = "the sessions of other roles are hidden; as their administrator: GRANT pg_monitor TO this role";
            found.fault(FaultKind::Denied, grant);
        } else {
            found.put_part("postgres.connections.state", state, count);
        }
    }
    found.put("postgres.connections", all);
    found.share("postgres.connections.used", all, most);
    found.seconds("postgres.transaction.oldest", oldest);
    found.put("postgres.blocked", blocked);
    Ok(recovering)
}

/// Column and metric of each database's totals.
const TOTALS: &[(usize, &str)] = &[
    (1, "postgres.commits"),
    (2, "postgres.rollbacks"),
    (3, "postgres.blocks.read"),
    (4, "postgres.blocks.hit"),
    (5, "postgres.read.seconds"),
    (6, "postgres.write.seconds"),
    (7, "postgres.deadlocks"),
    (8, "postgres.temporary.bytes"),
    (9, "postgres.size"),
];

/// Totals by database, and the hit ratio since the last run.
fn databases(session: &mut Session<Line>, note: &str, found: &mut Found) -> Result<String, Trouble> {
    let mut rows = session.query(
        "select datname, xact_commit, xact_rollback, blks_read, blks_hit, blk_read_time / 1000, blk_write_time / 1000, \
         deadlocks, temp_bytes, case when has_database_privilege(datname, 'connect') then pg_database_size(datname) end \
         from pg_stat_database where datname is not null and datname not in ('template0', 'template1') \
         order by blks_hit desc limit 21",
    )?;
    cut(&mut rows, MAX_DATABASES, "databases, and the busiest", found);
    let (mut read, mut hit) = (0.0, 0.0);
    for row in &rows {
        for (column, metric) in TOTALS {
            if let Some(value) = number(row, *column) {
                found.put_part(metric, text(row, 0), value);
            }
        }
        read += number(row, 3).unwrap_or(0.0);
        hit += number(row, 4).unwrap_or(0.0);
    }
    let earlier: Option<(f64, f64)> =
        note.split_once(' ').and_then(|(read, hit)| Some((read.parse().ok()?, hit.parse().ok()?)));
    match earlier {
        Some((old_read, old_hit)) if old_read <= read && old_hit <= hit && read + hit > old_read + old_hit => {
            found.share("postgres.hit-ratio", hit - old_hit, read + hit - old_read - old_hit);
        }
        _ => found.share("postgres.hit-ratio", hit, read + hit),
    }
    Ok(format!("{read} {hit}"))
}

/// Keeps so many rows and tells where there were more.
fn cut(rows: &mut Vec<Row>, most: usize, what: &str, found: &mut Found) {
    if rows.len() > most {
        rows.truncate(most);
        found.fault(FaultKind::Cut, format!("more than {most} {what} are told of"));
    }
}

/// Blocks written; the view that tells moved in version 17.
fn written(session: &mut Session<Line>, found: &mut Found) -> Result<(), Trouble> {
    let rows = session.query(if session.version() >= 17 {
        "select (select buffers_written from pg_stat_checkpointer) + (select buffers_clean from pg_stat_bgwriter)"
    } else {
        "select buffers_checkpoint + buffers_clean + buffers_backend from pg_stat_bgwriter"
    })?;
    if let Some(value) = rows.first().and_then(|row| number(row, 0)) {
        found.put("postgres.blocks.written", value);
    }
    Ok(())
}

fn locks(session: &mut Session<Line>, found: &mut Found) -> Result<(), Trouble> {
    let rows = session.query(
        "select count(*), count(*) filter (where not granted), current_setting('max_locks_per_transaction')::float8 * \
         (current_setting('max_connections')::float8 + current_setting('max_prepared_transactions')::float8) \
         from pg_locks where pid <> pg_backend_pid()",
    )?;
    if let Some(row) = rows.first() {
        found.put("postgres.locks", number(row, 0).unwrap_or(0.0));
        found.put("postgres.locks.waiting", number(row, 1).unwrap_or(0.0));
        found.share("postgres.locks.used", number(row, 0).unwrap_or(0.0), number(row, 2).unwrap_or(0.0));
    }
    Ok(())
}

/// How far each replica of a primary is behind.
fn replicas(session: &mut Session<Line>, found: &mut Found) -> Result<(), Trouble> {
    let mut rows = session.query(
        "select coalesce(nullif(application_name, ''), 'replica'), pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn), \
         coalesce(extract(epoch from replay_lag), 0) from pg_stat_replication limit 17",
    )?;
    cut(&mut rows, MAX_REPLICAS, "replicas, and so many", found);
    found.put("postgres.replicas", rows.len() as f64);
    for row in &rows {
        if let (Some(bytes), Some(seconds)) = (number(row, 1), number(row, 2)) {
            found.put_part("postgres.replication.behind", text(row, 0), bytes.max(0.0));
            found.put_part("postgres.replication.lag", text(row, 0), seconds.max(0.0));
        }
    }
    Ok(())
}

/// How far this standby is behind; one that has replayed all it got is not, however quiet its primary is.
fn standby(session: &mut Session<Line>, found: &mut Found) -> Result<(), Trouble> {
    let rows = session.query(
        "select case when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0 else \
         coalesce(extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()), 0) end",
    )?;
    if let Some(value) = rows.first().and_then(|row| number(row, 0)) {
        found.put("postgres.replication.lag", value.max(0.0));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_beyond_the_bound_are_cut_and_that_is_told() {
        let mut found = Found::default();
        let mut rows: Vec<Row> = vec![Vec::new(); MAX_DATABASES];
        cut(&mut rows, MAX_DATABASES, "databases, and the busiest", &mut found);
        assert_eq!((rows.len(), found.faults.len()), (20, 0));
        rows.push(Vec::new());
        cut(&mut rows, MAX_DATABASES, "databases, and the busiest", &mut found);
        assert_eq!((rows.len(), found.faults[0].kind), (20, FaultKind::Cut));
        assert_eq!(found.faults[0].text, "more than 20 databases, and the busiest are told of");
    }
}

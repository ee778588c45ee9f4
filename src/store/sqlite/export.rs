//! Everything of a host, a part at a time: no transaction stays open while somebody reads slowly, and no part is large.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, params};

use super::codec;
use super::samples::{host_id, hours_before};
use crate::model::fleet::{Grain, Point};
use crate::store::Place;
use crate::store::shape::{HOUR_MS, first_hour, ms, time};

/// Samples of a part.
const PART: i64 = 64;

/// What positions of a layout are wanted, ascending, with metric and item.
type Wanted = Vec<(usize, String, String)>;

/// The next part: the hours of one metric and item, and once there are no more, some samples. False after the last.
pub(super) fn part(
    conn: &Connection,
    host: &str,
    (since, until): (DateTime<Utc>, DateTime<Utc>),
    wanted: &dyn Fn(&str) -> bool,
    place: &mut Place,
    each: &mut dyn FnMut(&str, &str, Point),
) -> rusqlite::Result<bool> {
    let Some(host) = host_id(conn, host)? else { return Ok(false) };
    let edge = match place.edge {
        Some(edge) => edge,
        None => *place.edge.insert(hours_before(conn, host, Grain::Whole)?),
    };
    if !place.hours_are_done {
        let next: Option<i64> = conn
            .prepare_cached("SELECT name FROM hourly WHERE host = ?1 AND name > ?2 ORDER BY name LIMIT 1")?
            .query_row([host, place.name], |row| row.get(0))
            .optional()?;
        if let Some(name) = next {
            place.name = name;
            hours(conn, host, name, (first_hour(ms(since)), first_hour(ms(until)).min(edge)), wanted, each)?;
            return Ok(true);
        }
        place.hours_are_done = true;
    }
    let (at, id) = place.sample.unwrap_or((ms(since).max(edge.saturating_mul(HOUR_MS)), i64::MIN));
    let mut layouts: HashMap<i64, Wanted> = HashMap::new();
    let sql = "SELECT at, id, layout, readings FROM sample
               WHERE host = ?1 AND at >= ?2 AND (at, id) > (?2, ?3) AND at < ?4 ORDER BY at, id LIMIT ?5";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params![host, at, id, ms(until), PART])?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        count += 1;
        let (at, layout): (i64, i64) = (row.get(0)?, row.get(2)?);
        place.sample = Some((at, row.get(1)?));
        let positions = match layouts.entry(layout) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => new.insert(positions(conn, layout, wanted)?),
        };
        let mut values = codec::values(row.get_ref(3)?.as_str()?);
        let mut next = 0;
        for (position, metric, item) in positions.iter() {
            let Some(value) = values.nth(position - next) else { break };
            next = position + 1;
            each(metric, item, Point::new(time(at), value?));
        }
    }
    Ok(count == PART)
}

fn hours(
    conn: &Connection,
    host: i64,
    name: i64,
    (first, end): (i64, i64),
    wanted: &dyn Fn(&str) -> bool,
    each: &mut dyn FnMut(&str, &str, Point),
) -> rusqlite::Result<()> {
    let (metric, item): (String, String) = conn
        .prepare_cached("SELECT metric, item FROM name WHERE id = ?1")?
        .query_row([name], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if !wanted(&metric) {
        return Ok(());
    }
    let sql = "SELECT hour, min, mean, max FROM hourly
               WHERE host = ?1 AND name = ?2 AND hour >= ?3 AND hour < ?4 ORDER BY hour";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([host, name, first, end])?;
    while let Some(row) = rows.next()? {
        let at = time(row.get::<_, i64>(0)?.saturating_mul(HOUR_MS));
        let point = Point { at, min: row.get(1)?, mean: row.get(2)?, max: row.get(3)?, boot: false, hour: true };
        each(&metric, &item, point);
    }
    Ok(())
}

/// Of a metric and item that is there twice, the first counts.
fn positions(conn: &Connection, layout: i64, wanted: &dyn Fn(&str) -> bool) -> rusqlite::Result<Wanted> {
    let mut seen = HashSet::new();
    let names = codec::names(conn, layout)?.into_iter().enumerate();
    let list = names.filter(|(_, name)| wanted(&name.0) && seen.insert(name.clone()));
    Ok(list.map(|(position, (metric, item))| (position, metric, item)).collect())
}

//! How a sample lies in a row: values as a JSON array, everything that repeats by number.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::rc::Rc;

use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest, Sha256};

use super::error::malformed;
use super::texts::read_top;
use crate::model::sample::{Fault, FaultKind, Reading, Sample, SampleKey};
use crate::store::shape::time;

/// Metric and item of each position.
pub(super) type Names = Vec<(String, String)>;

/// The values of a sample as JSON and the names as JSON; what is not finite is left out.
pub(super) fn encode(readings: &[Reading]) -> (String, String) {
    let mut values = String::with_capacity(readings.len() * 9 + 2);
    values.push('[');
    let mut names: Vec<(&str, &str)> = Vec::with_capacity(readings.len());
    for reading in readings.iter().filter(|reading| reading.value.is_finite()) {
        if !names.is_empty() {
            values.push(',');
        }
        names.push((&reading.metric, &reading.item));
        number(&mut values, reading.value);
    }
    values.push(']');
    (values, serde_json::json!(names).to_string())
}

/// The shortest text that reads back as the same number.
fn number(out: &mut String, value: f64) {
    let size = value.abs();
    // Writing to a String cannot fail.
    let _ = if value.fract() == 0.0 && size < 9e15 {
        write!(out, "{}", value as i64)
    } else if (1e-5..9e15).contains(&size) {
        write!(out, "{value}")
    } else {
        write!(out, "{value:e}")
    };
}

/// The values in order; a row that is not an array of numbers is damage.
pub(super) fn values(json: &str) -> impl Iterator<Item = rusqlite::Result<f64>> + '_ {
    words(json).map(value)
}

/// The values in order, not looked at yet.
fn words(json: &str) -> impl Iterator<Item = &str> {
    let inner = json.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or("?");
    let empty = inner.is_empty();
    inner.split(',').filter(move |_| !empty)
}

fn value(word: &str) -> rusqlite::Result<f64> {
    word.parse::<f64>().map_err(|error| malformed("readings", error))
}

/// The number of a text that is kept once, added where it is new.
fn intern(conn: &Connection, find: &str, add: &str, text: &str) -> rusqlite::Result<i64> {
    let digest = Sha256::digest(text.as_bytes());
    let hash = digest.get(..16).unwrap_or_default();
    if let Some(id) = conn.prepare_cached(find)?.query_row([hash], |row| row.get(0)).optional()? {
        return Ok(id);
    }
    conn.prepare_cached(add)?.execute(params![hash, text])?;
    Ok(conn.last_insert_rowid())
}

/// The number of a layout.
pub(super) fn layout(conn: &Connection, names: &str) -> rusqlite::Result<i64> {
    intern(conn, "SELECT id FROM layout WHERE hash = ?1", "INSERT INTO layout (hash, names) VALUES (?1, ?2)", names)
}

/// The number of a list of faults, none for none: most samples repeat the list of the one before.
pub(super) fn faults(conn: &Connection, faults: &[Fault]) -> rusqlite::Result<Option<i64>> {
    if faults.is_empty() {
        return Ok(None);
    }
    let list: Vec<[&str; 4]> =
        faults.iter().map(|f| [f.section.as_str(), f.item.as_str(), f.kind.word(), f.text.as_str()]).collect();
    let text = serde_json::json!(list).to_string();
    intern(conn, "SELECT id FROM fault WHERE hash = ?1", "INSERT INTO fault (hash, list) VALUES (?1, ?2)", &text)
        .map(Some)
}

/// The number of a host's own name together with a probe's version.
pub(super) fn maker(conn: &Connection, hostname: &str, probe: &str) -> rusqlite::Result<i64> {
    let found = conn
        .prepare_cached("SELECT id FROM maker WHERE hostname = ?1 AND probe = ?2")?
        .query_row([hostname, probe], |row| row.get(0))
        .optional()?;
    match found {
        Some(id) => Ok(id),
        None => {
            conn.prepare_cached("INSERT INTO maker (hostname, probe) VALUES (?1, ?2)")?.execute([hostname, probe])?;
            Ok(conn.last_insert_rowid())
        }
    }
}

/// The names of a layout.
pub(super) fn names(conn: &Connection, layout: i64) -> rusqlite::Result<Names> {
    let json: String =
        conn.prepare_cached("SELECT names FROM layout WHERE id = ?1")?.query_row([layout], |row| row.get(0))?;
    serde_json::from_str(&json).map_err(|error| malformed("layout", error))
}

/// The columns that [`Decoder::sample`] reads, from `sample AS s`.
pub(super) const COLUMNS: &str = "s.boot, s.sequence, coalesce(s.taken, s.at), s.layout, s.maker, s.fault, s.readings,
     (SELECT list FROM top WHERE top.sample = s.id)";

/// Puts samples together again; remembers for one call what many samples share.
pub(super) struct Decoder<'c> {
    conn: &'c Connection,
    boots: HashMap<i64, Rc<String>>,
    layouts: HashMap<i64, Rc<Names>>,
    makers: HashMap<i64, Rc<(String, String)>>,
    faults: HashMap<i64, Rc<Vec<Fault>>>,
    processes: super::texts::Names,
    /// Only readings of these metrics, and no faults and processes.
    only: Option<&'c [&'c str]>,
    /// Of each layout the positions that are wanted then.
    wanted: HashMap<i64, Rc<Vec<usize>>>,
}

/// What a map remembers, or what is read now.
fn remember<T>(
    map: &mut HashMap<i64, Rc<T>>,
    id: i64,
    read: impl FnOnce() -> rusqlite::Result<T>,
) -> rusqlite::Result<Rc<T>> {
    if let Some(found) = map.get(&id) {
        return Ok(Rc::clone(found));
    }
    let made = Rc::new(read()?);
    map.insert(id, Rc::clone(&made));
    Ok(made)
}

impl<'c> Decoder<'c> {
    pub fn new(conn: &'c Connection) -> Self {
        Self {
            conn,
            boots: HashMap::new(),
            layouts: HashMap::new(),
            makers: HashMap::new(),
            faults: HashMap::new(),
            processes: HashMap::new(),
            only: None,
            wanted: HashMap::new(),
        }
    }

    /// One that puts samples together only as far as these metrics go, without faults and processes.
    pub fn only(conn: &'c Connection, metrics: &'c [&'c str]) -> Self {
        Self { only: Some(metrics), ..Self::new(conn) }
    }

    pub fn layout(&mut self, id: i64) -> rusqlite::Result<Rc<Names>> {
        remember(&mut self.layouts, id, || names(self.conn, id))
    }

    /// A sample from [`COLUMNS`], of which the first is at `from`.
    pub fn sample(&mut self, row: &Row<'_>, from: usize) -> rusqlite::Result<Sample> {
        let conn = self.conn;
        let boot = row.get(from)?;
        let boot = remember(&mut self.boots, boot, || {
            conn.prepare_cached("SELECT name FROM boot WHERE id = ?1")?.query_row([boot], |r| r.get(0))
        })?;
        let sequence: i64 = row.get(from + 1)?;
        let layout = row.get(from + 3)?;
        let names = self.layout(layout)?;
        let maker = row.get(from + 4)?;
        let maker = remember(&mut self.makers, maker, || {
            conn.prepare_cached("SELECT hostname, probe FROM maker WHERE id = ?1")?
                .query_row([maker], |r| Ok((r.get(0)?, r.get(1)?)))
        })?;
        let faults = match row.get::<_, Option<i64>>(from + 5)?.filter(|_| self.only.is_none()) {
            Some(id) => remember(&mut self.faults, id, || read_faults(conn, id))?.to_vec(),
            None => Vec::new(),
        };
        let json = row.get_ref(from + 6)?.as_str()?;
        let reading = |(metric, item): &(String, String), word: &str| {
            value(word).map(|value| Reading { metric: metric.clone(), item: item.clone(), value })
        };
        let readings: Vec<Reading> = match self.only {
            None => words(json).zip(names.iter()).map(|(word, name)| reading(name, word)).collect::<Result<_, _>>()?,
            Some(metrics) => {
                let wanted = remember(&mut self.wanted, layout, || {
                    let known = names.iter().enumerate();
                    Ok(known.filter(|(_, name)| metrics.contains(&name.0.as_str())).map(|(at, _)| at).collect())
                })?;
                let (mut list, mut next) = (words(json), 0);
                let mut found = Vec::with_capacity(wanted.len());
                for &at in wanted.iter() {
                    let (Some(word), Some(name)) = (list.nth(at - next), names.get(at)) else { break };
                    next = at + 1;
                    found.push(reading(name, word)?);
                }
                found
            }
        };
        let top = row.get_ref(from + 7)?.as_str_or_null()?.filter(|_| self.only.is_none());
        let top = top.map_or(Ok(Vec::new()), |list| read_top(conn, list, &mut self.processes))?;
        Ok(Sample {
            key: SampleKey { boot: boot.to_string(), sequence: sequence.unsigned_abs() },
            taken: time(row.get(from + 2)?),
            hostname: maker.0.clone(),
            probe: maker.1.clone(),
            readings,
            faults,
            facts: Vec::new(),
            top,
        })
    }
}

fn read_faults(conn: &Connection, id: i64) -> rusqlite::Result<Vec<Fault>> {
    let json: String = conn.prepare_cached("SELECT list FROM fault WHERE id = ?1")?.query_row([id], |r| r.get(0))?;
    let list: Vec<(String, String, String, String)> =
        serde_json::from_str(&json).map_err(|error| malformed("faults", error))?;
    list.into_iter()
        .map(|(section, item, kind, text)| {
            let kind = FaultKind::from_word(&kind).ok_or_else(|| malformed("fault", kind))?;
            Ok(Fault { section, item, kind, text })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_finite_number_comes_back(list in prop::collection::vec(any::<f64>(), 0..9)) {
            let readings: Vec<Reading> = list.iter()
                .map(|&value| Reading { metric: "m".into(), item: String::new(), value }).collect();
            let (json, _) = encode(&readings);
            let back: Vec<f64> = values(&json).map(Result::unwrap).collect();
            let kept: Vec<f64> = list.into_iter().filter(|v| v.is_finite()).collect();
            prop_assert_eq!(back, kept);
            prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
        }

        #[test]
        fn any_text_is_an_error_or_numbers(text in ".{0,40}") {
            let _: Vec<_> = values(&text).collect();
        }
    }

    #[test]
    fn numbers_are_short() {
        let mut out = String::new();
        for value in [0.0, 5.0, -3.0, 0.12345, 1e300, 123_456_789_012.0, 2.5e-9] {
            number(&mut out, value);
            out.push(' ');
        }
        assert_eq!(out, "0 5 -3 0.12345 1e300 123456789012 2.5e-9 ");
    }
}

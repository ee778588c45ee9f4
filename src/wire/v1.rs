//! The stats as JSON, version 1. A newer probe may add fields; an older one may leave out what has a default.

use std::borrow::Cow;
use std::collections::HashSet;

use chrono::DateTime;
use serde::{Deserialize, Serialize};

use super::{MAX_FILE, WireError, is_nonce};
use crate::model::clean::clean;
use crate::model::metric::Unit;
use crate::model::order;
use crate::model::sample::{By, Fact, Fault, FaultKind, Process, Reading, Sample, SampleKey};
use crate::model::{catalogue, derive};

/// The version that is written and read.
pub const VERSION: u8 = 1;
/// The most readings of a sample.
pub const MAX_READINGS: usize = 4096;
/// The most faults of a sample.
pub const MAX_FAULTS: usize = 256;
/// The most facts of a sample.
pub const MAX_FACTS: usize = 256;
/// The most processes of a sample.
pub const MAX_PROCESSES: usize = 32;
/// The year 9999 ends; later stamps are nonsense that some formats cannot write.
const MAX_MILLIS: i64 = 253_402_300_799_999;

#[derive(Serialize, Deserialize)]
struct Stats<'a> {
    v: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nonce: Option<Cow<'a, str>>,
    boot: Cow<'a, str>,
    seq: u64,
    /// Milliseconds since 1970 by the host's clock.
    taken: i64,
    #[serde(default)]
    host: Cow<'a, str>,
    #[serde(default)]
    probe: Cow<'a, str>,
    #[serde(default)]
    readings: Vec<Value<'a>>,
    #[serde(default)]
    faults: Vec<Problem<'a>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    facts: Vec<Text<'a>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    top: Vec<Taker<'a>>,
}

#[derive(Serialize, Deserialize)]
struct Value<'a> {
    m: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    i: Cow<'a, str>,
    n: Number,
}

/// Whole numbers travel as such: shorter, and exact.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum Number {
    Whole(u64),
    Broken(f64),
}

#[derive(Serialize, Deserialize)]
struct Problem<'a> {
    s: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    i: Cow<'a, str>,
    k: Cow<'a, str>,
    #[serde(default)]
    t: Cow<'a, str>,
}

/// A fact.
#[derive(Serialize, Deserialize)]
struct Text<'a> {
    f: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    i: Cow<'a, str>,
    t: Cow<'a, str>,
}

/// One of the processes that took most.
#[derive(Serialize, Deserialize)]
struct Taker<'a> {
    b: Cow<'a, str>,
    p: u32,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    u: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    c: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    g: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    a: Cow<'a, str>,
    n: Number,
}

/// Writes a sample, at most [`MAX_FILE`] bytes: readings that do not fit are left out and a fault says so.
#[must_use]
pub fn encode(nonce: Option<&str>, sample: &Sample) -> Vec<u8> {
    // Half of what is there for names that JSON must escape; the common case never comes near.
    const BUDGET: usize = MAX_FILE - 8 * 1024;
    let mut faults: Vec<Problem> = Vec::new();
    let mut room = BUDGET;
    for fault in sample.faults.iter().take(MAX_FAULTS - 1) {
        let cost = 40 + 2 * (fault.section.len() + fault.item.len() + fault.text.len());
        // Values matter more than the reasons for those that are missing.
        if cost > room.saturating_sub(BUDGET / 4 * 3) {
            break;
        }
        room -= cost;
        let Fault { section, item, kind, text } = fault;
        faults.push(Problem { s: section.into(), i: item.into(), k: kind.word().into(), t: text.into() });
    }
    let (facts, top) = texts(sample, &mut room);
    let mut readings: Vec<Value> = Vec::new();
    for reading in sample.readings.iter().filter(|reading| reading.value.is_finite()).take(MAX_READINGS) {
        let cost = 48 + reading.metric.len() + escaped_len(&reading.item);
        if cost > room {
            break;
        }
        room -= cost;
        readings.push(Value { m: (&reading.metric).into(), i: (&reading.item).into(), n: number(reading.value) });
    }
    let left_out = [
        (sample.readings.len() - readings.len(), "readings"),
        (sample.faults.len() - faults.len(), "faults"),
        (sample.facts.len() - facts.len(), "facts"),
        (sample.top.len() - top.len(), "processes"),
    ];
    if left_out.iter().any(|(count, _)| *count > 0) {
        let list: Vec<String> =
            left_out.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        let text = format!("{} did not fit", list.join(", "));
        faults.push(Problem { s: "probe".into(), i: "".into(), k: FaultKind::Cut.word().into(), t: text.into() });
    }
    let stats = Stats {
        v: u64::from(VERSION),
        nonce: nonce.map(Cow::from),
        boot: (&sample.key.boot).into(),
        seq: sample.key.sequence,
        taken: sample.taken.timestamp_millis(),
        host: (&sample.hostname).into(),
        probe: (&sample.probe).into(),
        readings,
        faults,
        facts,
        top,
    };
    // Strings and finite numbers always serialise; an empty file would be refused by the reader.
    serde_json::to_vec(&stats).unwrap_or_default()
}

/// Facts and processes, within a bounded part of what is there: values matter more.
fn texts<'a>(sample: &'a Sample, room: &mut usize) -> (Vec<Text<'a>>, Vec<Taker<'a>>) {
    let mut fits = |cost: usize, share: &mut usize| {
        let fits = cost <= (*share).min(*room);
        if fits {
            *share -= cost;
            *room -= cost;
        }
        fits
    };
    let (mut for_top, mut for_facts) = (MAX_FILE / 16, MAX_FILE / 8);
    let mut top = Vec::new();
    for it in sample.top.iter().filter(|it| it.value.is_finite()).take(MAX_PROCESSES) {
        let lengths = [&it.user, &it.comm, &it.unit, &it.command].map(|text| escaped_len(text));
        if fits(90 + lengths.iter().sum::<usize>(), &mut for_top) {
            let (u, c, g, a) = ((&it.user).into(), (&it.comm).into(), (&it.unit).into(), (&it.command).into());
            top.push(Taker { b: it.by.word().into(), p: it.pid, u, c, g, a, n: number(it.value) });
        }
    }
    let mut facts = Vec::new();
    for fact in sample.facts.iter().take(MAX_FACTS) {
        if fits(30 + fact.name.len() + escaped_len(&fact.item) + escaped_len(&fact.text), &mut for_facts) {
            facts.push(Text { f: (&fact.name).into(), i: (&fact.item).into(), t: (&fact.text).into() });
        }
    }
    (facts, top)
}

/// Reads a sample: bounded, texts cleaned, ranges checked. A reading that cannot be (negative, a ratio over 1, twice)
/// is left out and a fault says so; what breaks the format breaks the sample.
///
/// # Errors
/// [`WireError`].
pub fn decode(bytes: &[u8]) -> Result<(Option<String>, Sample), WireError> {
    if bytes.len() > MAX_FILE {
        return Err(WireError::Oversize { what: "stats", limit: MAX_FILE });
    }
    let json = |error: serde_json::Error| WireError::Json(clean(&error.to_string()));
    #[derive(Deserialize)]
    struct Version {
        v: u64,
    }
    let Version { v } = serde_json::from_slice(bytes).map_err(json)?;
    if v != u64::from(VERSION) {
        return Err(WireError::Version { found: v, known: VERSION });
    }
    let stats: Stats = serde_json::from_slice(bytes).map_err(json)?;
    let key = SampleKey { boot: boot(&stats.boot)?, sequence: stats.seq };
    // The store keeps it as a signed number.
    if i64::try_from(key.sequence).is_err() {
        return Err(WireError::field("seq", "out of range"));
    }
    let taken = Some(stats.taken).filter(|millis| (0..=MAX_MILLIS).contains(millis));
    let Some(taken) = taken.and_then(DateTime::from_timestamp_millis) else {
        return Err(WireError::field("taken", "out of range"));
    };
    let nonce = match stats.nonce {
        Some(nonce) if !is_nonce(&nonce) => return Err(WireError::field("nonce", "must be 32 hexadecimal digits")),
        nonce => nonce.map(Cow::into_owned),
    };
    if stats.readings.len() > MAX_READINGS {
        return Err(WireError::Oversize { what: "readings", limit: MAX_READINGS });
    }
    if stats.faults.len() > MAX_FAULTS {
        return Err(WireError::Oversize { what: "faults", limit: MAX_FAULTS });
    }
    if stats.facts.len() > MAX_FACTS {
        return Err(WireError::Oversize { what: "facts", limit: MAX_FACTS });
    }
    if stats.top.len() > MAX_PROCESSES {
        return Err(WireError::Oversize { what: "processes", limit: MAX_PROCESSES });
    }
    let (readings, refused) = readings(stats.readings);
    let mut faults: Vec<Fault> = stats.faults.into_iter().map(fault).collect();
    if let Some(text) = refused {
        let fault = Fault { section: "probe".into(), item: String::new(), kind: FaultKind::Malformed, text };
        faults.truncate(MAX_FAULTS - 1);
        faults.push(fault);
    }
    let (hostname, probe) = (clean(&stats.host), clean(&stats.probe));
    let (facts, top) = (facts(stats.facts), top(stats.top));
    Ok((nonce, Sample { key, taken, hostname, probe, readings, faults, facts, top }))
}

/// True for what can be a metric's name: 1 to 64 of `a-z 0-9 . -`.
#[must_use]
pub fn is_metric_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-')
}

fn boot(text: &str) -> Result<String, WireError> {
    let fits = (8..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if fits { Ok(text.to_owned()) } else { Err(WireError::field("boot", "must be 8 to 64 letters, digits or dashes")) }
}

fn readings(values: Vec<Value>) -> (Vec<Reading>, Option<String>) {
    let mut seen: HashSet<(String, String)> = HashSet::with_capacity(values.len());
    let mut kept = Vec::with_capacity(values.len());
    let mut refused = 0_usize;
    let mut first = String::new();
    for value in values {
        let item = clean(&value.i);
        let number = in_range(&value.m, value.n);
        match number {
            Some(number) if is_metric_name(&value.m) && seen.insert((value.m.to_string(), item.clone())) => {
                kept.push(Reading { metric: value.m.into_owned(), item, value: number });
            }
            _ => {
                refused += 1;
                if refused == 1 {
                    first = clean(&format!("{} {item}", value.m));
                }
            }
        }
    }
    let text = (refused > 0).then(|| clean(&format!("{refused} readings out of range or twice, first: {first}")));
    (kept, text)
}

/// Each name and item once; without a text there is nothing to know.
fn facts(list: Vec<Text>) -> Vec<Fact> {
    let mut kept: Vec<Fact> = Vec::with_capacity(list.len());
    for Text { f, i, t } in list {
        let fact = Fact { name: f.into_owned(), item: clean(&i), text: clean(&t) };
        let twice = || kept.iter().any(|other| other.name == fact.name && other.item == fact.item);
        if is_metric_name(&fact.name) && !fact.text.is_empty() && !twice() {
            kept.push(fact);
        }
    }
    kept
}

/// What a newer probe takes for worth a list of its own is left out.
fn top(list: Vec<Taker>) -> Vec<Process> {
    let mut kept: Vec<Process> = list
        .into_iter()
        .filter_map(|Taker { b, p, u, c, g, a, n }| {
            let value = plausible(n).filter(|value| *value >= 0.0)?;
            let (user, comm, unit, command) = (clean(&u), clean(&c), clean(&g), clean(&a));
            Some(Process { by: By::from_word(&b)?, pid: p, user, comm, unit, command, value })
        })
        .collect();
    order::sort_by(&mut kept, |a, b| a.by.cmp(&b.by));
    kept
}

fn plausible(number: Number) -> Option<f64> {
    let value = match number {
        #[allow(clippy::cast_precision_loss, reason = "totals over 2^53 may lose their last bits")]
        Number::Whole(value) => value as f64,
        Number::Broken(value) => value,
    };
    (value.is_finite() && value.abs() <= 1e18).then_some(value)
}

fn in_range(metric: &str, number: Number) -> Option<f64> {
    let value = plausible(number)?;
    // What a newer probe brings may be negative, as a temperature is.
    let Some(known) = catalogue::measured(metric) else {
        // What is derived at home is never taken from a host.
        return derive::find(metric).is_none().then_some(value);
    };
    match known.unit {
        Unit::Celsius => (value >= -273.15).then_some(value),
        _ if value < 0.0 && !catalogue::is_signed(metric) => None,
        Unit::Ratio if value > 1.000_001 => None,
        Unit::Ratio => Some(value.min(1.0)),
        _ => Some(value),
    }
}

fn fault(problem: Problem) -> Fault {
    // A kind that only a newer probe knows is still told, by its text.
    let kind = FaultKind::from_word(&problem.k).unwrap_or(FaultKind::Malformed);
    Fault { section: clean(&problem.s), item: clean(&problem.i), kind, text: clean(&problem.t) }
}

fn escaped_len(text: &str) -> usize {
    text.bytes()
        .map(|b| {
            if b == b'"' || b == b'\\' {
                2
            } else if b < 0x20 {
                6
            } else {
                1
            }
        })
        .sum()
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and in range")]
fn number(value: f64) -> Number {
    let whole = (0.0..9e15).contains(&value) && value.fract() == 0.0;
    if whole { Number::Whole(value as u64) } else { Number::Broken(value) }
}

#[cfg(test)]
#[path = "v1_tests.rs"]
mod tests;

//! Units of systemd that failed, linger or start again and again; asked of systemd itself.

mod bus;
mod message;
pub(super) mod timesync;

use std::io;
use std::time::Duration;

use bus::Bus;
use message::{Call, Given, Reply};

use super::boot::uptime_millis;
use super::folder;
use super::out::Out;
use super::root::Root;
use crate::model::order;
use crate::model::sample::FaultKind;

/// It is there while systemd is the first process (sd_booted).
const BOOTED: &str = "/run/systemd/system";
/// A link for each running unit, named `invocation:UNIT`, made when the unit started.
const INVOCATIONS: &str = "/run/systemd/units";
const PATIENCE: Duration = Duration::from_secs(3);
/// The most failed units that are named.
const MAX_FAILED: usize = 64;
/// The most units whose particulars are asked: each costs the first process time.
const MAX_ASKED: usize = 16;
/// Services that started within this many seconds after boot were started by the boot.
const SETTLED: i64 = 60;
/// The states of units that are worth a word.
const STATES: &[&str] = &["failed", "activating", "deactivating", "reloading", "maintenance"];

const OBJECT: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";

pub(super) fn collect(root: &Root, out: &mut Out) {
    within(PATIENCE, root, out);
}

fn within(patience: Duration, root: &Root, out: &mut Out) {
    if !root.path(BOOTED).is_dir() {
        return out.fault("", FaultKind::Absent, format!("{BOOTED}: systemd is not the first process here"));
    }
    let told = |error: io::Error, out: &mut Out| match error.kind() {
        io::ErrorKind::TimedOut => out.fault("", FaultKind::Hung, format!("systemd: {error}")),
        _ => out.unread("", "systemd over D-Bus", &error),
    };
    let mut bus = match Bus::open(root, patience, true) {
        Ok(bus) => bus,
        Err(error) => return told(error, out),
    };
    let list = call(OBJECT, MANAGER, "ListUnitsFiltered", Given::List(STATES));
    let state = ["org.freedesktop.systemd1.Manager", "SystemState"];
    let answers = match bus.ask(&[list, property(OBJECT, &state)]) {
        Ok(answers) => answers,
        Err(error) => return told(error, out),
    };
    let mut answers = answers.into_iter();
    let mut next = || answers.next().flatten();
    let listed = next();
    if let Some(state) = next().and_then(|reply| reply.values().any_text()) {
        out.fact("systemd.state", "", &state);
    }
    // It answered, but not to this.
    let Some(listed) = listed else {
        return out.fault("", FaultKind::Denied, "systemd: the list of its units was refused to this user");
    };
    let Some(listed) = units(&listed) else {
        return out.malformed("", "systemd: its list of units is not understood");
    };
    let (failed, lingering): (Vec<_>, Vec<_>) = listed.into_iter().partition(|(_, state)| state == "failed");
    out.whole("systemd.units.failed", "", failed.len() as u64);
    out.whole("systemd.timers.failed", "", failed.iter().filter(|(name, _)| timed(root, name)).count() as u64);
    for (name, _) in failed.iter().take(MAX_FAILED) {
        out.whole("systemd.unit.failed", name, 1);
    }
    if failed.len() > MAX_FAILED {
        out.fault("", FaultKind::Cut, format!("{} units failed, {MAX_FAILED} are named", failed.len()));
    }
    let uptime = uptime_millis(root);
    let mut lingering: Vec<String> = lingering.into_iter().map(|(name, _)| name).collect();
    let mut services = started_late(root, out.past.now, uptime);
    let mut full = false;
    for (names, what) in [(&mut lingering, "units start or stop"), (&mut services, "services started after the boot")] {
        if names.len() > MAX_ASKED {
            full = true;
            out.fault("", FaultKind::Cut, format!("{} {what}, {MAX_ASKED} are asked for more", names.len()));
            names.truncate(MAX_ASKED);
        }
    }
    services.extend(lingering.iter().filter(|name| name.ends_with(".service")).cloned());
    order::sort(&mut services);
    services.dedup();
    match particulars(&mut bus, &lingering, &services, uptime, out) {
        Ok(counts) => lately(counts, full, uptime, out),
        Err(error) => told(error, out),
    }
}

const fn call<'a>(path: &'a str, interface: &'a str, member: &'a str, given: Given<'a>) -> Call<'a> {
    Call { destination: "org.freedesktop.systemd1", path, interface, member, given }
}

/// Asks for a property: its interface and its name.
const fn property<'a>(path: &'a str, named: &'a [&'a str]) -> Call<'a> {
    call(path, "org.freedesktop.DBus.Properties", "Get", Given::Texts(named))
}

/// The path of a unit's object: what is no letter or digit is written as its number.
fn object(unit: &str) -> String {
    let mut path = format!("{OBJECT}/unit/");
    for (at, byte) in unit.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => path.push(char::from(byte)),
            b'0'..=b'9' if at > 0 => path.push(char::from(byte)),
            _ => path.push_str(&format!("_{byte:02x}")),
        }
    }
    path
}

/// Name and state of each unit of a list: name, what it is, two states, a third, another unit, path, a job's number,
/// kind and path.
fn units(reply: &Reply) -> Option<Vec<(String, String)>> {
    let mut values = reply.values();
    let end = values.list()?;
    let mut units = Vec::new();
    while values.before(end) {
        values.align(8)?;
        let name = values.text()?;
        let (_what, _loaded, state) = (values.text()?, values.text()?, values.text()?);
        units.push((name, state));
        for _ in 0..3 {
            values.text()?;
        }
        values.number()?;
        for _ in 0..2 {
            values.text()?;
        }
    }
    Some(units)
}

/// How long units have been starting or stopping, and how often services were restarted, which comes back.
fn particulars(
    bus: &mut Bus,
    lingering: &[String],
    services: &[String],
    uptime_millis: u64,
    out: &mut Out,
) -> io::Result<Vec<(String, u64)>> {
    if lingering.is_empty() && services.is_empty() {
        return Ok(Vec::new());
    }
    let paths: Vec<String> = lingering.iter().chain(services).map(|unit| object(unit)).collect();
    let what = |at: usize| match at < lingering.len() {
        true => &[UNIT, "StateChangeTimestampMonotonic"],
        false => &[SERVICE, "NRestarts"],
    };
    let calls: Vec<Call> = paths.iter().enumerate().map(|(at, path)| property(path, what(at))).collect();
    let numbers: Vec<Option<u64>> =
        bus.ask(&calls)?.iter().map(|reply| reply.as_ref().and_then(|reply| reply.values().any_number())).collect();
    let (since, restarts) = numbers.split_at_checked(lingering.len()).unwrap_or_default();
    for (unit, since) in lingering.iter().zip(since).filter_map(|(unit, since)| Some((unit, (*since)?))) {
        #[allow(clippy::cast_precision_loss, reason = "milliseconds of an uptime are far below 2^53")]
        out.seconds("systemd.unit.activating", unit, uptime_millis.saturating_sub(since / 1000) as f64 / 1000.0);
    }
    let mut counts = Vec::new();
    for (unit, count) in services.iter().zip(restarts).filter_map(|(unit, count)| Some((unit, (*count)?))) {
        if count > 0 {
            out.whole("systemd.unit.restarts", unit, count);
            counts.push((unit.clone(), count));
        }
    }
    Ok(counts)
}

/// True for a timer, and for a service that a timer starts.
fn timed(root: &Root, unit: &str) -> bool {
    let Some(name) = unit.strip_suffix(".service") else { return unit.ends_with(".timer") };
    let folders = ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
    !name.contains('/') && folders.iter().any(|folder| root.path(format!("{folder}/{name}.timer")).exists())
}

/// Services that started when the boot was long over, newest first: only these can have been restarted.
fn started_late(root: &Root, now: i64, uptime_millis: u64) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let boot = now.saturating_sub_unsigned(uptime_millis / 1000);
    let mut late = Vec::new();
    for file in folder::names(root, INVOCATIONS) {
        let file = folder::shown(&file);
        let Some(unit) = file.strip_prefix("invocation:").filter(|unit| unit.ends_with(".service")) else { continue };
        let Ok(meta) = std::fs::symlink_metadata(root.path(format!("{INVOCATIONS}/{file}"))) else { continue };
        if meta.mtime() > boot.saturating_add(SETTLED) {
            late.push((std::cmp::Reverse(meta.mtime()), unit.to_owned()));
        }
    }
    order::sort(&mut late);
    late.into_iter().map(|(_, unit)| unit).collect()
}

/// Sets the counts of restarts beside those of earlier measurements.
fn lately(counts: Vec<(String, u64)>, full: bool, uptime_millis: u64, out: &mut Out) {
    let mut restarts = out.past.restarts.clone();
    for (unit, count) in restarts.look(uptime_millis, counts, full) {
        out.whole("systemd.unit.restarts.recent", &unit, count);
    }
    out.restarts = Some(restarts);
}

#[cfg(test)]
pub(super) use tests::systemd as pretended;

#[cfg(test)]
mod tests;

//! `<collector>`, `<keys>`, `<store>` and `<consent>`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::files::resolve_path;
use super::super::raw::{Typed, parsed, path};
use super::super::report::Report;
use super::super::tree::Node;
use crate::config::INTERVAL;
use crate::model::amount::{self, Wrong, show_duration, wrong};
use crate::model::spec::{CollectorSpec, KeySpec, StoreSpec};
use crate::model::suggest::did_you_mean;

/// An attribute of an element that need not be there at all.
fn optional<T>(
    node: Option<&Node>,
    name: &str,
    report: &mut Report,
    parse: impl FnOnce(&str) -> Result<T, Wrong>,
) -> Option<Typed<T>> {
    parsed(node?, name, report, parse)
}

/// A length of time of at least a second.
fn time(text: &str) -> Result<Duration, Wrong> {
    let value = amount::duration(text)?;
    if value < Duration::from_secs(1) {
        return wrong(format!("\"{text}\" is too short"), "write at least 1s");
    }
    Ok(value)
}

pub(super) fn collector(node: Option<&Node>, folder: &Path, report: &mut Report) -> CollectorSpec {
    let jobs = optional(node, "jobs", report, |text| amount::whole(text, 1, 1024));
    let interval = optional(node, "interval", report, time);
    let deadline = optional(node, "deadline", report, time);
    let timeout = optional(node, "timeout", report, time);
    let every = interval.as_ref().map_or(INTERVAL, |typed| typed.value);
    // The whole sweep ends before the next one starts.
    let whole = deadline.as_ref().map_or((every * 4 / 5).min(Duration::from_secs(240)), |typed| typed.value);
    let each = timeout.as_ref().map_or(whole.min(Duration::from_secs(20)), |typed| typed.value);
    if let Some(typed) = deadline.filter(|typed| typed.value > every) {
        let text = format!(
            "a deadline of {} is over the interval of {}: sweeps would meet",
            show_duration(whole),
            show_duration(every)
        );
        report.error(typed.at, text, format!("write at most {}", show_duration(every)));
    }
    if let Some(typed) = timeout.filter(|typed| typed.value > whole) {
        let text = format!(
            "a timeout of {} for one host is over the deadline of {} for all",
            show_duration(each),
            show_duration(whole)
        );
        report.error(typed.at, text, format!("write at most {}", show_duration(whole)));
    }
    CollectorSpec {
        jobs: jobs.map_or(64, |typed| usize::try_from(typed.value).unwrap_or(64)),
        timeout: each,
        deadline: whole,
        interval: every,
        state_dir: given(node, "state-dir", report).unwrap_or_else(|| folder.join("state")),
        probe_dir: given(node, "probe-dir", report),
    }
}

fn given(node: Option<&Node>, name: &str, report: &mut Report) -> Option<PathBuf> {
    path(node?, name, report).map(|typed| typed.value)
}

pub(super) fn keys(node: Option<&Node>, folder: &Path, report: &mut Report) -> KeySpec {
    KeySpec {
        recipient_file: given(node, "recipient-file", report).unwrap_or_else(|| folder.join("keys/fleet.pub")),
        identity_file: given(node, "identity-file", report).unwrap_or_else(|| folder.join("keys/fleet.key")),
    }
}

pub(super) fn store(node: Option<&Node>, folder: &Path, report: &mut Report) -> StoreSpec {
    // A relative path starts at the file that names it.
    let attr = node.and_then(|node| node.attr("url"));
    let source = attr.and_then(|attr| report.source(attr.value_at.file as usize)).map(|source| source.folder.clone());
    let base = source.unwrap_or_else(|| folder.to_owned());
    let url = optional(node, "url", report, |text| location(&base, text));
    let keep = optional(node, "keep", report, time);
    let hourly = optional(node, "keep-hourly", report, amount::duration);
    let (backend, location) = url.map_or_else(
        || ("sqlite".to_owned(), folder.join("fleet.db").to_string_lossy().into_owned()),
        |typed| typed.value,
    );
    let keep_for = keep.as_ref().map_or(Duration::from_secs(14 * 86_400), |typed| typed.value);
    if let Some(typed) = hourly.as_ref().filter(|typed| !typed.value.is_zero() && typed.value < keep_for) {
        let text = format!("keep-hourly {} is under keep {}", show_duration(typed.value), show_duration(keep_for));
        report.error(typed.at, text, "write more, or 0s to keep no hourly values");
    }
    let keep_hourly = hourly.map_or(Duration::from_secs(400 * 86_400).max(keep_for), |typed| typed.value);
    StoreSpec { backend, location, keep: keep_for, keep_hourly }
}

/// Backend and location; error texts leave the location out, for one of a server may hold a password.
fn location(base: &Path, text: &str) -> Result<(String, String), Wrong> {
    let (scheme, rest) = match text.split_once(':') {
        Some((scheme, rest)) => (scheme, rest),
        None => return wrong("the url of the store names no backend", "write it as sqlite:fleet.db"),
    };
    match scheme {
        "sqlite" => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            Ok((scheme.to_owned(), resolve_path(base, path)?.to_string_lossy().into_owned()))
        }
        // For tests: what it took would be gone with the process, and gone from the hosts.
        "memory" => wrong("a store in memory keeps nothing", "write it as sqlite:fleet.db"),
        "postgres" | "postgresql" => wrong("PostgreSQL comes with a later version", "write it as sqlite:fleet.db"),
        other => wrong(
            "the url of the store names no backend that is known",
            did_you_mean(other, ["sqlite"], "write it as sqlite:fleet.db"),
        ),
    }
}

pub(super) fn consent(node: Option<&Node>, report: &mut Report) -> bool {
    let Some(node) = node else { return false };
    if node.attr("require").is_none() {
        report.error(node.at, "<consent> has no require=", "give require=\"true\" or require=\"false\"");
    }
    parsed(node, "require", report, amount::flag).is_some_and(|typed| typed.value)
}

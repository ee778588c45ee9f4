//! `<silence>`, and the days and hours that it shares with `<route>`.

use super::super::calendar::{days, hours, instant, zone};
use super::super::raw::{Typed, parsed, text};
use super::super::report::Report;
use super::super::tree::Node;
use super::alerts::scope;
use crate::model::silence::{Calendar, Silence, When};
use crate::model::spec::HostSpec;

/// days=, hours= and time-zone=; `None` where neither days nor hours are given.
pub(super) fn calendar(node: &Node, report: &mut Report) -> Option<Calendar> {
    let days = parsed(node, "days", report, days);
    let hours = parsed(node, "hours", report, hours);
    let zone = parsed(node, "time-zone", report, zone);
    if node.attr("days").is_none() && node.attr("hours").is_none() {
        if let Some(typed) = zone.filter(|_| node.attr("from").is_none()) {
            report.error(typed.at, "a time zone without days= or hours=", "give hours=\"08:00-18:00\" or remove it");
        }
        return None;
    }
    let (from, until) = hours.map_or((0, 1440), |typed| typed.value);
    let zone = zone.map_or_else(|| "UTC".to_owned(), |typed| typed.value);
    Some(Calendar { days: days.map_or(127, |typed| typed.value), from, until, zone })
}

pub(super) fn silence(node: &Node, hosts: &[HostSpec], groups: &[String], report: &mut Report) -> Option<Silence> {
    let scope = scope(node, hosts, groups, report);
    let weekly = calendar(node, report);
    let zone = node.attr("time-zone").map_or("UTC", |attr| attr.value.as_str());
    let from = parsed(node, "from", report, |text| instant(text, zone));
    let until = parsed(node, "until", report, |text| instant(text, zone));
    let once = node.attr("from").is_some() || node.attr("until").is_some();
    let when = match (weekly, from, until) {
        (Some(_), ..) if once => {
            report.error(
                node.at,
                "a silence is weekly or once, not both",
                "keep days= and hours=, or from= and until=",
            );
            return None;
        }
        (Some(calendar), ..) => When::Weekly(calendar),
        (None, Some(from), Some(until)) => {
            if until.value <= from.value {
                report.error(until.at, "this silence ends before it starts", "write an until= after from=");
            }
            When::Once { from: from.value, until: until.value }
        }
        // The words themselves were wrong, which is said already.
        _ if once && node.attr("from").is_some() && node.attr("until").is_some() => return None,
        _ => {
            let mend = "give days= and hours=, or from= and until=";
            report.error(node.at, "this silence has no time", mend);
            return None;
        }
    };
    let reason = text(node, "reason", report).map_or_else(String::new, |Typed { value, .. }| value);
    let created = chrono::DateTime::UNIX_EPOCH;
    Some(Silence { id: 0, scope, when, by: "config.xml".to_owned(), reason, created, ended: None })
}

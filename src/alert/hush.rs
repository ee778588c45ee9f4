//! Why a problem is not told now. Found anew in each run and never stored.

use chrono::{DateTime, Utc};

use crate::model::alert::Subject;
use crate::model::pattern::matches;
use crate::model::silence::{Scope, Silence};

use super::calendar;

/// A reason to say nothing of a problem; none of them keeps back its end but the route's hours and flapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// A silence or maintenance window.
    Silenced {
        /// Its end.
        until: DateTime<Utc>,
        /// Who made it and why.
        text: String,
    },
    /// The host itself, a parent or something greater is failing.
    Inhibited {
        /// What fails, for people.
        by: String,
    },
    /// Nothing was heard of it since what kept it back came to an end.
    Stale {
        /// The parent's last failure, or the silence's end.
        since: DateTime<Utc>,
    },
    /// It comes and goes.
    Flapping,
}

impl Why {
    /// A sentence without its full stop.
    #[must_use]
    pub fn sentence(&self) -> String {
        let clock = |at: &DateTime<Utc>| at.format("%Y-%m-%d %H:%M UTC").to_string();
        match self {
            Self::Silenced { until, text } => format!("it is silenced until {} ({text})", clock(until)),
            Self::Inhibited { by } => format!("{by}, so nothing below it is told"),
            Self::Stale { since } => {
                format!("no sample of it is newer than {}, when what kept it back ended", clock(since))
            }
            Self::Flapping => "it comes and goes: it was told once, and is told again once it settles".to_owned(),
        }
    }
}

/// The service that a subject is about: the part of its item before a slash.
#[must_use]
pub fn service(subject: &Subject) -> &str {
    subject.item.split('/').next().unwrap_or_default()
}

/// Whether a subject of a host in these groups is covered.
#[must_use]
pub fn covers(scope: &Scope, subject: &Subject, groups: &[String]) -> bool {
    let any = |patterns: &[String], text: &str| patterns.is_empty() || patterns.iter().any(|p| matches(p, text));
    any(&scope.hosts, &subject.host)
        && (scope.groups.is_empty() || scope.groups.iter().any(|name| groups.contains(name)))
        && any(&scope.services, service(subject))
        && any(&scope.rules, &subject.rule)
}

/// A silence with its windows reckoned for one moment.
#[derive(Clone, Debug)]
pub struct Window {
    scope: Scope,
    until: Option<DateTime<Utc>>,
    ended: Option<DateTime<Utc>>,
    text: String,
}

/// Reckons all silences once for a run.
#[must_use]
pub fn windows<'a>(silences: impl Iterator<Item = &'a Silence>, now: DateTime<Utc>) -> Vec<Window> {
    silences
        .map(|silence| Window {
            scope: silence.scope.clone(),
            until: calendar::holds(silence, now),
            ended: calendar::ended(silence, now),
            text: format!("{}, by {}", silence.reason, silence.by),
        })
        .filter(|window| window.until.is_some() || window.ended.is_some())
        .collect()
}

/// The silence that covers a subject now: the one that lasts longest.
#[must_use]
pub fn silenced(windows: &[Window], subject: &Subject, groups: &[String]) -> Option<Why> {
    let covering = windows.iter().filter(|window| covers(&window.scope, subject, groups));
    let longest = covering.filter_map(|window| Some((window.until?, window))).max_by_key(|(until, _)| *until);
    longest.map(|(until, window)| Why::Silenced { until, text: window.text.clone() })
}

/// When the last silence over a subject ended.
#[must_use]
pub fn silence_end(windows: &[Window], subject: &Subject, groups: &[String]) -> Option<DateTime<Utc>> {
    windows.iter().filter(|window| covers(&window.scope, subject, groups)).filter_map(|window| window.ended).max()
}

/// What a fresh sample must be newer than; `None`: it is fresh.
#[must_use]
pub fn stale(last: Option<DateTime<Utc>>, bounds: impl Iterator<Item = DateTime<Utc>>) -> Option<Why> {
    let since = bounds.max()?;
    last.is_none_or(|last| last <= since).then_some(Why::Stale { since })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_covers_what_fits_all_its_lists() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let subject = Subject { host: "web01".into(), rule: "http.latency".into(), item: "shop/http".into() };
        let covered = |hosts, groups, services, rules| {
            let scope =
                Scope { hosts: words(hosts), groups: words(groups), services: words(services), rules: words(rules) };
            covers(&scope, &subject, &words("web eu"))
        };
        assert!(covered("", "", "", "") && covered("web*", "eu", "shop", "http.*"));
        assert!(!covered("db*", "", "", "") && !covered("", "us", "", ""));
        assert!(!covered("", "", "cart", "") && !covered("", "", "", "cpu.used"));
    }

    #[test]
    fn fresh_means_newer_than_every_bound() {
        let at = |s| DateTime::from_timestamp(s, 0);
        assert_eq!(stale(at(5), [].into_iter()), None);
        assert_eq!(stale(at(5), at(4).into_iter()), None);
        assert!(stale(at(5), at(5).into_iter().chain(at(3))).is_some());
        assert!(stale(None, at(5).into_iter()).is_some());
    }
}

//! The one language in which people choose hosts, services and problems: `web*`, `group=web level>=warning cpu.used>80%`.
//!
//! Terms stand between spaces and all must hold. A term is a word (part of a host's name, or a pattern with `*` and `?`;
//! `!` before it turns it round), `field=pattern,pattern`, `field!=pattern`, `level>=warning`, or a metric, with an item
//! in brackets where one is meant, compared with a value in the metric's unit: `filesystem.used[/var*]>=90%`. Where a
//! metric has many items, one that fits is enough. Quotes keep spaces together.

use std::fmt;

use super::alert::Incident;
use super::level::Level;
use super::pattern::matches;
use super::snapshot::{HostRow, Problem, ServiceRow, State, rank};

mod parse;
#[cfg(test)]
mod tests;

/// Words that take the place of a metric's name, as tables have them.
pub const SHORT: &[(&str, &str)] = &[
    ("cpu", "cpu.used"),
    ("memory", "memory.used"),
    ("mem", "memory.used"),
    ("swap", "swap.used"),
    ("load", "load.1m"),
    ("disk", "filesystem.used"),
    ("age", AGE),
];
/// The metric of a host's age: reckoned here, never measured.
const AGE: &str = "host.silent";

/// What is compared with patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The host's name.
    Host,
    /// A group around it.
    Group,
    /// A service it has.
    Service,
    /// A label, as `tier=db`.
    Label,
    /// `fresh`, `stale`, `failed` or `never`.
    State,
    /// Why the last attempt failed.
    Cause,
    /// The rule of an open problem.
    Rule,
}

impl Field {
    /// Every one with its word.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("host", Self::Host),
        ("group", Self::Group),
        ("service", Self::Service),
        ("label", Self::Label),
        ("state", Self::State),
        ("cause", Self::Cause),
        ("rule", Self::Rule),
    ];
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// `=`
    Is,
    /// `!=`
    IsNot,
    /// `<`
    Under,
    /// `<=`
    AtMost,
    /// `>`
    Over,
    /// `>=`
    AtLeast,
}

impl Sign {
    fn holds<T: PartialOrd>(self, a: &T, b: &T) -> bool {
        match self {
            Self::Is => a == b,
            Self::IsNot => a != b,
            Self::Under => a < b,
            Self::AtMost => a <= b,
            Self::Over => a > b,
            Self::AtLeast => a >= b,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Term {
    /// Part of the host's name in any case, or a pattern.
    Word { text: String, not: bool },
    /// One of the patterns fits.
    Text { field: Field, patterns: Vec<String>, not: bool },
    /// By [`rank`].
    Level { sign: Sign, rank: u8 },
    /// In base units.
    Metric { metric: String, item: Option<String>, sign: Sign, value: f64 },
}

/// What is chosen; the empty one chooses everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    terms: Vec<Term>,
}

/// Why a filter is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// The filter as typed.
    pub filter: String,
    /// Where the mistake begins, in characters.
    pub at: usize,
    /// Over how many characters it goes, at least 1.
    pub length: usize,
    /// What is wrong.
    pub text: String,
    /// What to write instead.
    pub mend: String,
}

impl fmt::Display for FilterError {
    /// Three lines: what is wrong, the filter, and marks under the place with what to write.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let safe: String = self.filter.chars().map(|c| if super::clean::is_hostile(c) { '?' } else { c }).collect();
        writeln!(f, "{}", self.text)?;
        writeln!(f, "  {safe}")?;
        write!(f, "  {}{} {}", " ".repeat(self.at), "^".repeat(self.length), self.mend)
    }
}

impl std::error::Error for FilterError {}

/// One thing that a filter may choose: a host, a service on it, or one of its problems.
#[derive(Clone, Copy, Debug)]
pub struct Chosen<'a> {
    /// The host; `None` for a problem of the fleet.
    pub host: Option<&'a HostRow>,
    /// Only this of its services.
    pub service: Option<&'a ServiceRow>,
    /// Only this of its problems, whose level then counts.
    pub problem: Option<&'a Problem>,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// The first mistake with its place and what to write instead.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        parse::filter(text)
    }

    /// The same, but only hosts whose name fits one of the patterns, and that are in one of the groups; where no pattern
    /// or group is given, all of them.
    #[must_use]
    pub fn and(mut self, hosts: &[String], groups: &[String]) -> Self {
        for (field, patterns) in [(Field::Host, hosts), (Field::Group, groups)] {
            if !patterns.is_empty() {
                self.terms.push(Term::Text { field, patterns: patterns.to_vec(), not: false });
            }
        }
        self
    }

    /// Whether the configuration alone tells what is chosen.
    #[must_use]
    pub fn is_of_configuration(&self) -> bool {
        self.terms.iter().all(|term| match term {
            Term::Word { .. } => true,
            Term::Text { field, .. } => {
                matches!(field, Field::Host | Field::Group | Field::Service | Field::Label)
            }
            Term::Level { .. } | Term::Metric { .. } => false,
        })
    }

    /// Whether it chooses everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The metrics that it compares, for whoever gets the values: a snapshot has only some by itself.
    pub fn metrics(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().filter_map(|term| match term {
            Term::Metric { metric, .. } if metric != AGE => Some(metric.as_str()),
            _ => None,
        })
    }

    /// The first name, group, service or label asked for that none of these hosts has, not even without the other terms.
    #[must_use]
    pub fn nowhere(&self, hosts: &[HostRow]) -> Option<(Field, String)> {
        self.terms.iter().find_map(|term| {
            let (field, text) = match term {
                Term::Word { text, not: false } => (Field::Host, text.clone()),
                Term::Text { field, patterns, not: false } => (*field, patterns.join(",")),
                _ => return None,
            };
            let configured = matches!(field, Field::Host | Field::Group | Field::Service | Field::Label);
            let fits = |host: Option<&HostRow>| holds(term, &Chosen { host, service: None, problem: None });
            // The fleet's own problems are asked for as if it were a host.
            let known = fits(None) || hosts.iter().any(|host| fits(Some(host)));
            (configured && !known).then_some((field, text))
        })
    }

    /// Whether a host is chosen.
    #[must_use]
    pub fn host(&self, host: &HostRow) -> bool {
        self.any(&Chosen { host: Some(host), service: None, problem: None })
    }

    /// Whether a problem is chosen of which only its host is known besides, as of one that ended.
    #[must_use]
    pub fn incident(&self, it: &Incident, host: Option<&HostRow>) -> bool {
        let asked = || Problem { incident: it.clone(), ack: None, silenced: None };
        self.is_empty() || self.any(&Chosen { host, service: None, problem: Some(&asked()) })
    }

    /// Whether something is chosen: all terms hold.
    #[must_use]
    pub fn any(&self, it: &Chosen<'_>) -> bool {
        self.terms.iter().all(|term| holds(term, it))
    }
}

fn holds(term: &Term, it: &Chosen<'_>) -> bool {
    match term {
        Term::Word { text, not } => {
            let name = it.host.map_or("fleet", |host| &host.name);
            let found = if text.contains(['*', '?']) {
                matches(text, name)
            } else {
                name.to_lowercase().contains(&text.to_lowercase())
            };
            found != *not
        }
        Term::Text { field, patterns, not } => {
            let fits = |text: &str| patterns.iter().any(|pattern| matches(pattern, text));
            has(*field, it, fits) != *not
        }
        Term::Level { sign, rank: wanted } => {
            let level = it.problem.map(|problem| Some(problem.incident.shown()));
            let level = level.or_else(|| it.host.map(|host| host.level)).unwrap_or_default();
            sign.holds(&rank(level), wanted)
        }
        Term::Metric { metric, item, sign, value } => {
            let Some(host) = it.host else { return false };
            if metric == AGE {
                return host.age.is_some_and(|age| sign.holds(&age, value));
            }
            let meant = |name: &str| item.as_ref().is_none_or(|pattern| matches(pattern, name));
            host.values(metric).any(|(name, found)| meant(name) && sign.holds(&found, value))
        }
    }
}

/// Whether one of the texts of a field fits.
fn has(field: Field, it: &Chosen<'_>, fits: impl Fn(&str) -> bool) -> bool {
    let rule = |problem: &Problem| fits(&problem.incident.subject.rule);
    let Some(host) = it.host else {
        return match field {
            Field::Host => fits("fleet"),
            Field::Rule => it.problem.is_some_and(rule),
            Field::Service => it.problem.is_some_and(|problem| fits(of_service(problem))),
            Field::Group | Field::Label | Field::State | Field::Cause => false,
        };
    };
    match field {
        Field::Host => fits(&host.name),
        Field::Group => host.groups.iter().any(|group| fits(group)),
        Field::Service => match (it.service, it.problem) {
            (Some(service), _) => fits(&service.name),
            (_, Some(problem)) => fits(of_service(problem)),
            _ => host.services.iter().any(|service| fits(&service.name)),
        },
        Field::Label => host.labels.iter().any(|(name, value)| fits(&format!("{name}={value}")) || fits(name)),
        Field::State => fits(host.state.word()),
        Field::Cause => host.failure().is_some_and(|(cause, _)| fits(cause.word())),
        Field::Rule => match it.problem {
            Some(problem) => rule(problem),
            None => host.problems.iter().any(rule),
        },
    }
}

/// The service that a problem is about: the part of its item before a slash.
fn of_service(problem: &Problem) -> &str {
    problem.incident.subject.item.split('/').next().unwrap_or_default()
}

/// The words that a field may be compared with, where only some make sense.
fn words_of(field: Field) -> Option<Vec<&'static str>> {
    match field {
        Field::State => Some(State::ALL.iter().map(|state| state.word()).collect()),
        Field::Cause => Some(super::cause::Cause::ALL.iter().map(|cause| cause.word()).collect()),
        _ => None,
    }
}

/// The words of levels, with those of tables, and where they stand.
const LEVELS: &[(&str, Option<Level>)] = &[
    ("ok", Some(Level::Ok)),
    ("unknown", None),
    ("warning", Some(Level::Warning)),
    ("critical", Some(Level::Critical)),
    ("new", None),
    ("warn", Some(Level::Warning)),
    ("crit", Some(Level::Critical)),
];

//! What is said of one value under one rule.

use super::super::alerts::{capital, stamp};
use crate::alert::words;
use crate::config::show_duration;
use crate::model::alert::{Incident, RuleState, Subject};
use crate::model::level::Level;
use crate::model::rule::{Condition, Role, RuleKind};
use crate::model::spec::RuleSpec;
use crate::rule::{self, Judge};

/// Samples that are drawn.
const DRAWN: u32 = 12;

/// Value, thresholds with the place where each was written, what opens and ends it, and the samples so far. `risen`: the
/// size in bytes that raised the levels, and the rule as it is written.
pub(super) fn judged(
    subject: &Subject,
    state: &RuleState,
    spec: Option<&RuleSpec>,
    risen: Option<(f64, &RuleSpec)>,
    incident: Option<&Incident>,
) -> Vec<String> {
    let mut out = Vec::new();
    let since = incident.map(|incident| {
        let opened = stamp(incident.opened);
        let changed = if incident.changed > incident.opened {
            format!(", last changed on {}", stamp(incident.changed))
        } else {
            String::new()
        };
        format!("It is {} since {opened}{changed}.", incident.level)
    });
    let Some(spec) = spec else {
        out.extend(incident.map(|incident| format!("{}.", capital(&incident.text))));
        out.extend(since);
        match state.bad {
            _ if incident.is_some() => {}
            Some(bad) => out.push(format!("A rule that is built in; it was last broken on {}.", stamp(bad))),
            None => out.push("A rule that is built in; it was never broken.".to_owned()),
        }
        return out;
    };
    let amount = |value: f64| words::amount(&subject.rule, value);
    out.push(format!(
        "{}.",
        rule::sentence(spec, &subject.item, state.value, state.level.max(Level::Warning), &amount)
    ));
    out.extend(since);
    out.push(limits(spec, &amount));
    if let Some((size, written)) = risen {
        let levels: Vec<String> = [written.warning, written.critical].into_iter().flatten().map(amount).collect();
        let size = words::amount("filesystem.size", size);
        out.push(format!("A size of {size} raised them from {} (scale=).", levels.join(" and ")));
    }
    out.extend(spec.conditions.iter().map(condition));
    out.push(course(spec, state.level, &amount));
    out.push(samples(state));
    out
}

/// `Warning begins at 80 % (config.xml:12), critical at 90 % (as shipped).`
fn limits(spec: &RuleSpec, amount: &dyn Fn(f64) -> String) -> String {
    let limit = |level: &str, threshold: Option<f64>| {
        let origin = spec.origins.get(level).filter(|origin| origin.line > 0);
        let file = origin.and_then(|origin| Some((origin.file.file_name()?.to_string_lossy(), origin.line)));
        let place = file.map_or_else(|| "as shipped".to_owned(), |(file, line)| format!("{file}:{line}"));
        Some(format!("{level} begins at {} ({place})", amount(threshold?)))
    };
    let all: Vec<String> =
        [limit("warning", spec.warning), limit("critical", spec.critical)].into_iter().flatten().collect();
    format!("{}.", capital(&all.join(", ")))
}

/// What opens it, or ends it.
fn course(spec: &RuleSpec, level: Level, amount: &dyn Fn(f64) -> String) -> String {
    if spec.kind == RuleKind::Absent {
        return "Only its return ends it.".to_owned();
    }
    if level == Level::Ok {
        return match spec.hold {
            Some(hold) if hold.is_zero() => "One such sample is a problem.".to_owned(),
            Some(hold) => format!("It is a problem when all samples of {} are so.", show_duration(hold)),
            None => format!("It is a problem when {} of {} samples are so.", spec.raise, spec.of),
        };
    }
    let ends = Judge::new(spec).ends().map_or_else(String::new, |end| format!(" at {} or better", amount(end)));
    let samples = if spec.fall == 1 { "one sample".to_owned() } else { format!("{} samples in a row", spec.fall) };
    format!("It ends with {samples}{ends}.")
}

/// `It counts only while memory.available is at 5 GiB or worse.`
fn condition(it: &Condition) -> String {
    let item = it.item.as_ref().map_or_else(String::new, |item| format!(" of {item}"));
    let what = match it.role {
        Role::And => "It counts only while",
        Role::AndCritical => "It is critical only while",
        Role::Unless => "It does not count while",
    };
    format!("{what} {}{item} is at {} or worse.", it.metric, words::amount(&it.metric, it.threshold))
}

/// The last samples as letters, the newest at the right.
fn samples(state: &RuleState) -> String {
    let count = state.seen.min(DRAWN);
    let last = state.last.map_or_else(String::new, |at| format!(", the last on {}", stamp(at)));
    if count == 0 {
        return "There was no sample of it since it ended.".to_owned();
    }
    let letter = |n: u32| match (state.critical_bits >> n & 1, state.warning_bits >> n & 1) {
        (1, _) => 'C',
        (_, 1) => 'W',
        _ => '.',
    };
    let drawn: String = (0..count).rev().map(letter).collect();
    format!("Samples so far, newest right: {drawn} (C critical, W warning){last}.")
}

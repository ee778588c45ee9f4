//! Rules of defaults, groups and host laid over each other: per metric and item pattern, and per attribute.

use std::collections::BTreeMap;

use super::super::raw::{Rule, Typed};
use super::super::report::{At, Report};
use super::super::rule::CONDITIONS;
use crate::model::amount::show;
use crate::model::metric::Direction;
use crate::model::rule::{Role, RuleKind};
use crate::model::spec::{Origin, RuleSpec};

/// A rule while layers are laid over each other, and how near its nearest layer is.
#[derive(Clone, Debug)]
struct Draft {
    rule: Rule,
    key: Vec<String>,
    depth: usize,
}

/// The rules of the layers so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Stack {
    drafts: Vec<Draft>,
    depth: usize,
}

fn nearer<T: Clone>(far: &mut Option<T>, near: &Option<T>) {
    if near.is_some() {
        far.clone_from(near);
    }
}

fn farther<T: Clone>(near: &mut Option<T>, far: &Option<T>) {
    if near.is_none() {
        near.clone_from(far);
    }
}

impl Stack {
    /// This stack with a nearer layer on it.
    pub fn with(&self, rules: &[Rule]) -> Stack {
        let mut next = self.clone();
        next.depth += 1;
        for rule in rules {
            next.lay(rule);
        }
        next
    }

    fn lay(&mut self, rule: &Rule) {
        let (key, depth) = (rule.key(), self.depth);
        if rule.off && rule.items.is_none() {
            // Whatever farther layers said of this metric, for whatever item. A rule of this layer stays.
            self.drafts.retain(|draft| {
                let other_kind = rule.kinded && draft.rule.kind != rule.kind;
                !std::ptr::eq(draft.rule.metric, rule.metric) || other_kind || draft.depth == depth
            });
            return;
        }
        let same = |draft: &&mut Draft| draft.rule.same(rule);
        match self.drafts.iter_mut().find(same) {
            // What was removed, or is removed here, starts anew.
            Some(draft) if rule.off || draft.rule.off => *draft = Draft { rule: rule.clone(), key, depth },
            Some(draft) => {
                let far = &mut draft.rule;
                far.at = rule.at;
                nearer(&mut far.items, &rule.items);
                nearer(&mut far.not_items, &rule.not_items);
                nearer(&mut far.warning, &rule.warning);
                nearer(&mut far.critical, &rule.critical);
                nearer(&mut far.clear, &rule.clear);
                nearer(&mut far.hold, &rule.hold);
                nearer(&mut far.raise, &rule.raise);
                nearer(&mut far.of, &rule.of);
                nearer(&mut far.fall, &rule.fall);
                nearer(&mut far.scale, &rule.scale);
                for (far, near) in far.conditions.iter_mut().zip(&rule.conditions) {
                    nearer(far, near);
                }
                draft.depth = depth;
            }
            None => self.drafts.push(Draft { rule: rule.clone(), key, depth }),
        }
    }

    /// The rules as they are judged: the most specific first, so that the first that fits a metric and item is right.
    pub fn finish(&self, report: &mut Report) -> Vec<RuleSpec> {
        let mut drafts = self.drafts.clone();
        for draft in &mut drafts {
            let (metric, kind) = (draft.rule.metric, draft.rule.kind);
            let general = |other: &&Draft| {
                std::ptr::eq(other.rule.metric, metric) && other.rule.kind == kind && other.key == ["*"]
            };
            let Some(general) = self.drafts.iter().find(general).map(|other| &other.rule) else { continue };
            if draft.rule.off || general.off || draft.key == ["*"] {
                continue;
            }
            // A rule for one item need not repeat what the rule for all says.
            let rule = &mut draft.rule;
            farther(&mut rule.warning, &general.warning);
            farther(&mut rule.critical, &general.critical);
            farther(&mut rule.clear, &general.clear);
            farther(&mut rule.hold, &general.hold);
            farther(&mut rule.raise, &general.raise);
            farther(&mut rule.of, &general.of);
            farther(&mut rule.fall, &general.fall);
            farther(&mut rule.scale, &general.scale);
            for (near, far) in rule.conditions.iter_mut().zip(&general.conditions) {
                farther(near, far);
            }
        }
        // Stable: what is equally specific and near keeps the order of the file.
        drafts.sort_by_cached_key(|draft| (std::cmp::Reverse(specific(&draft.key)), std::cmp::Reverse(draft.depth)));
        let mut done = Vec::new();
        let mut removed: Vec<Rule> = Vec::new();
        for draft in drafts {
            if draft.rule.off {
                removed.push(draft.rule);
                continue;
            }
            check(&draft.rule, report);
            let draft = Draft { rule: meant(draft.rule), ..draft };
            let mut spec = spec(&draft.rule, report);
            let gone = removed.iter().filter(|off| {
                std::ptr::eq(off.metric, draft.rule.metric) && (!off.kinded || off.kind == draft.rule.kind)
            });
            spec.not_items.extend(gone.flat_map(Rule::key));
            done.push(spec);
        }
        done
    }
}

/// Who writes a level means it: what ships beside the shipped levels does not hold beside others. A forecast keeps its
/// floors, and what is read-only stays out.
fn meant(mut rule: Rule) -> Rule {
    let typed = |level: &Option<Typed<f64>>| level.as_ref().is_some_and(|level| !level.at.is_built_in());
    let (any, critical) = (typed(&rule.warning) || typed(&rule.critical), typed(&rule.critical));
    if any && rule.scale.as_ref().is_some_and(|scale| scale.at.is_built_in()) {
        rule.scale = None;
    }
    for (place, (_, role)) in rule.conditions.iter_mut().zip(CONDITIONS) {
        let ships = place.as_ref().is_some_and(|condition| condition.at.is_built_in());
        let over = (role == Role::And && any) || (role == Role::AndCritical && critical);
        if ships && over && rule.kind != RuleKind::Forecast {
            *place = None;
        }
    }
    rule
}

/// Exact patterns before those with wildcards, then the longer before the shorter; a list is as vague as its vaguest.
fn specific(key: &[String]) -> (bool, usize) {
    let of = |pattern: &String| {
        let literal = pattern.chars().filter(|c| !matches!(c, '*' | '?')).count();
        (literal == pattern.chars().count(), literal)
    };
    key.iter().map(of).min().unwrap_or((false, 0))
}

fn spec(rule: &Rule, report: &Report) -> RuleSpec {
    let mut origins: BTreeMap<String, Origin> = BTreeMap::new();
    let mut note = |name: &str, at: Option<At>| {
        if let Some(at) = at {
            origins.insert(name.to_owned(), report.origin(at));
        }
    };
    note("warning", rule.warning.as_ref().map(|typed| typed.at));
    note("critical", rule.critical.as_ref().map(|typed| typed.at));
    note("clear", rule.clear.as_ref().map(|typed| typed.at));
    note("for", rule.hold.as_ref().map(|typed| typed.at));
    note("item", rule.items.as_ref().map(|typed| typed.at));
    note("not-item", rule.not_items.as_ref().map(|typed| typed.at));
    note("raise", rule.raise.as_ref().map(|typed| typed.at));
    note("of", rule.of.as_ref().map(|typed| typed.at));
    note("scale", rule.scale.as_ref().map(|typed| typed.at));
    note("fall", rule.fall.as_ref().map(|typed| typed.at));
    for (typed, (name, _)) in rule.conditions.iter().zip(CONDITIONS) {
        note(name, typed.as_ref().map(|typed| typed.at));
    }
    let value = |typed: &Option<Typed<f64>>| typed.as_ref().map(|typed| typed.value);
    let raise = rule.raise.as_ref().map(|typed| typed.value);
    RuleSpec {
        items: rule.items.as_ref().map_or_else(|| vec!["*".to_owned()], |typed| typed.value.clone()),
        not_items: rule.not_items.as_ref().map(|typed| typed.value.clone()).unwrap_or_default(),
        warning: value(&rule.warning),
        critical: value(&rule.critical),
        clear: value(&rule.clear),
        hold: rule.hold.as_ref().map(|typed| typed.value),
        raise: raise.unwrap_or(2),
        of: rule.of.as_ref().map_or_else(|| raise.unwrap_or(2).max(3), |typed| typed.value),
        fall: rule.fall.as_ref().map_or(2, |typed| typed.value),
        scale: value(&rule.scale).filter(|scale| *scale < 1.0),
        conditions: rule.conditions.iter().flatten().filter_map(|typed| typed.value.clone()).collect(),
        origins,
        ..RuleSpec::new(rule.metric, rule.kind)
    }
}

/// What can only be seen when all layers are together.
fn check(rule: &Rule, report: &mut Report) {
    let metric = rule.metric;
    let name = metric.name;
    if rule.warning.is_none() && rule.critical.is_none() {
        report.error(rule.at, format!("the rule for {name} has no level"), "give warning= or critical=");
        return;
    }
    let (unit, direction) = (rule.unit(), rule.kind.direction(rule.metric));
    let worse = |a: f64, b: f64| match direction {
        Direction::HighIsBad => a > b,
        Direction::LowIsBad => a < b,
    };
    let (over, under) = match direction {
        Direction::HighIsBad => ("over", "at most"),
        Direction::LowIsBad => ("under", "at least"),
    };
    if let (Some(warning), Some(critical)) = (&rule.warning, &rule.critical)
        && worse(warning.value, critical.value)
    {
        let (w, c) = (show(warning.value, unit), show(critical.value, unit));
        let at = if warning.at.is_built_in() { critical.at } else { warning.at };
        let text = format!(
            "for {name} warning {w} ({}) is {over} critical {c} ({})",
            report.named(warning.at),
            report.named(critical.at)
        );
        report.error(at, text, format!("warning comes first: write {under} {c} for it"));
    }
    if let (Some(clear), Some(first)) = (&rule.clear, rule.warning.as_ref().or(rule.critical.as_ref()))
        && worse(clear.value, first.value)
    {
        let (c, l) = (show(clear.value, unit), show(first.value, unit));
        let at = if clear.at.is_built_in() { first.at } else { clear.at };
        let text = format!("for {name} clear {c} is {over} the level {l} ({}) that it ends", report.named(first.at));
        report.error(at, text, format!("write {under} {l}"));
    }
    if let (Some(raise), Some(of)) = (&rule.raise, &rule.of)
        && raise.value > of.value
    {
        let text = format!("for {name} raise {} of the last {} samples cannot be", raise.value, of.value);
        report.error(raise.at, text, format!("write at most {}", of.value));
    }
}

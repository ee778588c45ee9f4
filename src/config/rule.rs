//! `<rule>` as typed.

use std::time::Duration;

use super::raw::{Typed, parsed, required};
use super::report::{At, Report};
use super::tree::Node;
use crate::model::amount::{self, Wrong, wrong};
use crate::model::catalogue;
use crate::model::metric::{Metric, Unit};
use crate::model::rule::{self, Condition, Role, RuleKind};
use crate::model::suggest::did_you_mean;

/// The conditions that an attribute can say; `none` takes one away that was inherited.
pub(super) const CONDITIONS: [(&str, Role); 4] =
    [("and", Role::And), ("and-below-free", Role::And), ("and-critical", Role::AndCritical), ("unless", Role::Unless)];

/// `<rule>`.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub metric: &'static Metric,
    pub kind: RuleKind,
    /// Whether the kind was typed: `off="true"` without it means every kind.
    pub kinded: bool,
    pub at: At,
    pub items: Option<Typed<Vec<String>>>,
    pub not_items: Option<Typed<Vec<String>>>,
    pub warning: Option<Typed<f64>>,
    pub critical: Option<Typed<f64>>,
    pub clear: Option<Typed<f64>>,
    pub hold: Option<Typed<Duration>>,
    pub raise: Option<Typed<u32>>,
    pub of: Option<Typed<u32>>,
    pub fall: Option<Typed<u32>>,
    /// Over 0 and at most 1, which is no scaling.
    pub scale: Option<Typed<f64>>,
    /// In the order of [`CONDITIONS`]; none inside: `none` was typed.
    pub conditions: [Option<Typed<Option<Condition>>>; 4],
    pub off: bool,
}

impl Rule {
    /// A rule for a metric that says nothing yet.
    pub fn blank(metric: &'static Metric, at: At) -> Self {
        Self {
            metric,
            kind: RuleKind::of(metric),
            kinded: false,
            at,
            items: None,
            not_items: None,
            warning: None,
            critical: None,
            clear: None,
            hold: None,
            raise: None,
            of: None,
            fall: None,
            scale: None,
            conditions: Default::default(),
            off: false,
        }
    }

    /// What it is called.
    fn named(&self) -> String {
        rule::name(self.metric, self.kind)
    }

    /// The unit of its levels.
    pub fn unit(&self) -> Unit {
        self.kind.unit(self.metric)
    }

    pub fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let named = required(node, "metric", report)?;
        let Some(metric) = catalogue::find(&named.value) else {
            let mend =
                did_you_mean(&named.value, catalogue::all().map(|metric| metric.name), "list them with: fleet metrics");
            report.error(named.at, format!("\"{}\" is not a metric", named.value), mend);
            return None;
        };
        let mut rule = Self::blank(metric, node.at);
        if node.attr("kind").is_some() {
            rule.kind = parsed(node, "kind", report, |value| kind(value, metric))?.value;
            rule.kinded = true;
        }
        let unit = rule.unit();
        let mut level = |name: &str| parsed(node, name, report, |value| amount::level(value, metric.name, unit));
        (rule.warning, rule.critical, rule.clear) = (level("warning"), level("critical"), level("clear"));
        if let Some(clear) = rule.clear.as_ref().filter(|_| rule.kind == RuleKind::Absent) {
            report.error(clear.at, "clear= of what is absent", "remove it: only its return ends it");
        }
        if rule.warning.is_none()
            && rule.critical.is_none()
            && (node.attr("warning").or(node.attr("critical"))).is_some()
        {
            // What is wrong with them was said.
            return None;
        }
        let mut count = |name: &str| {
            let typed = parsed(node, name, report, |value| amount::whole(value, 1, 64))?;
            Some(Typed { value: u32::try_from(typed.value).unwrap_or(64), at: typed.at })
        };
        (rule.raise, rule.of, rule.fall) = (count("raise"), count("of"), count("fall"));
        rule.items = parsed(node, "item", report, |value| {
            if value.trim().is_empty() {
                return wrong("item= is empty", "write * for all items");
            }
            Ok(amount::words(value))
        });
        rule.not_items = parsed(node, "not-item", report, |value| Ok(amount::words(value)));
        for typed in [&rule.items, &rule.not_items].into_iter().flatten() {
            if metric.item.is_empty() {
                report.error(typed.at, format!("{} has no items", metric.name), "remove it");
            }
        }
        rule.hold = parsed(node, "for", report, amount::duration);
        if let Some(hold) = rule.hold.as_ref().filter(|_| rule.kind == RuleKind::Absent) {
            let mend = format!("write warning=\"{}\"", amount::show_duration(hold.value));
            report.error(hold.at, "for= of what is absent: its levels say already how long", mend);
        }
        rule.scale = parsed(node, "scale", report, amount::share);
        if let Some(scale) = rule.scale.as_ref().filter(|_| rule::size_of(metric.name, rule.kind).is_none()) {
            report.error(scale.at, format!("{} has no size that levels could follow", rule.named()), "remove scale=");
        }
        for (place, (name, role)) in rule.conditions.iter_mut().zip(CONDITIONS) {
            *place = parsed(node, name, report, |value| match value {
                "none" => Ok(None),
                _ if name == "and-below-free" => below_free(value, metric).map(Some),
                _ => condition(value, metric, name, role).map(Some),
            });
        }
        rule.off = parsed(node, "off", report, amount::flag).is_some_and(|typed| typed.value);
        if rule.off && node.attrs.iter().any(|attr| !matches!(attr.name.as_str(), "metric" | "kind" | "item" | "off")) {
            report.error(node.at, "off=\"true\" together with levels", "a removed rule has only metric, kind and item");
        }
        Some(rule)
    }

    /// Whether both judge the same: metric, kind and item patterns.
    pub fn same(&self, other: &Self) -> bool {
        std::ptr::eq(self.metric, other.metric) && self.kind == other.kind && self.key() == other.key()
    }

    /// Its item patterns, in a fixed order.
    pub fn key(&self) -> Vec<String> {
        match &self.items {
            Some(items) => {
                let mut key = items.value.clone();
                key.sort();
                key.dedup();
                key
            }
            None => vec!["*".to_owned()],
        }
    }
}

fn kind(value: &str, metric: &Metric) -> Result<RuleKind, Wrong> {
    let fitting: Vec<&str> = RuleKind::ALL.iter().filter(|kind| kind.fits(metric)).map(|kind| kind.word()).collect();
    let Some(kind) = RuleKind::from_word(value) else {
        let mend = did_you_mean(value, fitting.iter().copied(), &format!("write {}", fitting.join(" or ")));
        return wrong(format!("\"{value}\" is not a kind of rule"), mend);
    };
    if kind.fits(metric) {
        return Ok(kind);
    }
    if kind == RuleKind::Forecast {
        let known: Vec<&str> = catalogue::all().filter(|metric| kind.fits(metric)).map(|metric| metric.name).collect();
        return wrong(
            format!("there is no forecast of {}", metric.name),
            format!("write metric=\"{}\"", known.join("\" or \"")),
        );
    }
    wrong(format!("{} cannot have a rule of the kind {value}", metric.name), format!("write {}", fitting.join(" or ")))
}

/// `and-below-free="5GiB"`: so much is left and no more.
pub(super) fn below_free(value: &str, metric: &Metric) -> Result<Condition, Wrong> {
    let Some(free) = rule::free_of(metric.name) else {
        return wrong(
            format!("{} has no free bytes beside it", metric.name),
            "it goes with filesystem.used or memory.used; for others write and=\"METRIC LEVEL\"",
        );
    };
    let threshold = amount::level(value, "and-below-free", Unit::Bytes)?;
    Ok(Condition { attribute: "and-below-free", role: Role::And, metric: free.to_owned(), item: None, threshold })
}

/// `pressure.some[cpu] 50%`: a metric, its item where it is not the one that is judged, and a level.
pub(super) fn condition(value: &str, judged: &Metric, attribute: &'static str, role: Role) -> Result<Condition, Wrong> {
    let Some((left, level)) = value.trim().rsplit_once(' ') else {
        return wrong(format!("\"{value}\" is not a condition"), "write it as METRIC LEVEL, such as swap.in.rate 10/s");
    };
    let left = left.trim();
    let (name, item) = match left.split_once('[').map(|(name, rest)| (name, rest.strip_suffix(']'))) {
        Some((name, Some(item))) => (name, Some(item.to_owned())),
        Some((name, None)) => return wrong(format!("\"{left}\": [ without ]"), format!("write it as {name}[ITEM]")),
        None => (left, None),
    };
    let Some(metric) = catalogue::find(name) else {
        let names = catalogue::all().map(|metric| metric.name);
        return wrong(
            format!("\"{name}\" is not a metric"),
            did_you_mean(name, names, "list them with: fleet metrics"),
        );
    };
    if item.is_none() && !metric.item.is_empty() && metric.item != judged.item {
        return wrong(
            format!("{name} has one value for each {}", metric.item),
            format!("name one: {name}[{}] {level}", metric.item.to_uppercase().replace(' ', "-")),
        );
    }
    if item.is_some() && metric.item.is_empty() {
        return wrong(format!("{name} has no items"), format!("write it as {name} {level}"));
    }
    let threshold = amount::level(level, name, RuleKind::of(metric).unit(metric))?;
    Ok(Condition { attribute, role, metric: name.to_owned(), item, threshold })
}

/// The rules directly inside of an element; the same rule twice is a mistake.
pub(super) fn rules(node: &Node, report: &mut Report) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for child in node.children.iter().filter(|child| child.name == "rule") {
        let Some(rule) = Rule::read(child, report) else { continue };
        if let Some(first) = rules.iter().find(|other| other.same(&rule)) {
            let first = report.named(first.at);
            let text = format!("a second rule for {} and the same items, first at {first}", rule.metric.name);
            report.error(child.at, text, "put both into one");
            continue;
        }
        rules.push(rule);
    }
    rules
}

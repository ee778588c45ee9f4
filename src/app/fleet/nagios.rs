//! `fleet nagios`: one line with performance data, as plugins of Nagios, Icinga and their kin answer. Every failure is 3.

use super::health;
use crate::app::alerter::readings::fits;
use crate::app::clock;
use crate::app::context::{Common, open_store};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::app::snapshot;
use crate::config;
use crate::model::catalogue;
use crate::model::clean::is_hostile;
use crate::model::filter::Filter;
use crate::model::level::Level;
use crate::model::metric::{Direction, Metric, Unit};
use crate::model::snapshot::{HostRow, Limits, Problem, Snapshot, State};
use crate::model::spec::{FleetSpec, HostSpec, RuleSpec};
use crate::view;

/// What a host's performance data holds.
const SHOWN: &[&str] = &["cpu.used", "memory.used", "swap.used", "load.1m", "filesystem.used", "uptime"];
/// Problems that are told in the line.
const MOST: usize = 5;

/// Flags.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
pub struct Args {
    /// A host
    #[arg(value_name = "HOST")]
    host: Option<String>,
    /// A service: whether enough of its servers are healthy
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// The whole fleet, collector and alerter too; what is meant where nothing is named
    #[arg(long)]
    fleet: bool,
}

/// How a plugin ends.
struct Answer {
    /// 0 ok, 1 warning, 2 critical, 3 unknown.
    code: u8,
    text: String,
    data: Vec<String>,
}

pub fn run(common: &Common, args: Args) -> Outcome {
    let answer = match answer(common, &args) {
        Ok(answer) => answer,
        Err(failure) => return health::unknown(&failure.text),
    };
    let word = ["OK", "WARNING", "CRITICAL"].get(usize::from(answer.code)).unwrap_or(&"UNKNOWN");
    // A bar begins the performance data, a line break what is shown only in full.
    let text: String = answer.text.chars().map(|c| if is_hostile(c) || c == '|' { '?' } else { c }).collect();
    exit::print(&format!("{word} - {text} | {}\n", answer.data.join(" ")))?;
    Ok(Exit::Nagios(answer.code))
}

fn answer(common: &Common, args: &Args) -> Result<Answer, Failure> {
    let spec = common.spec()?;
    let store = open_store(&spec)?;
    let now = clock::now();
    let snapshot = snapshot::read(&spec, store.as_ref(), now, &Filter::default(), Limits::default())?;
    match (&args.host, &args.service) {
        (Some(name), _) => {
            let found = snapshot.host(name).zip(spec.host(name));
            let (row, host) = found.ok_or_else(|| super::hosts::unknown(&spec, name))?;
            Ok(of_host(row, host))
        }
        (_, Some(name)) => of_service(&snapshot, name, &spec),
        _ => {
            let sweeps = store.sweeps(view::health::SWEEPS)?;
            let parts = view::health::judge(now, spec.collector.interval, &store.beats()?, &sweeps, &store.queued()?);
            Ok(of_fleet(&snapshot, &parts))
        }
    }
}

fn told(problems: &[Problem]) -> Vec<String> {
    let one = |problem: &Problem| match (&problem.ack, &problem.silenced) {
        (Some(ack), _) => format!("{} (taken by {})", problem.incident.text, ack.by),
        (_, Some(_)) => format!("{} (silenced)", problem.incident.text),
        _ => problem.incident.text.clone(),
    };
    problems.iter().map(one).collect()
}

fn shortened(mut texts: Vec<String>) -> String {
    let more = texts.len().saturating_sub(MOST);
    texts.truncate(MOST);
    if more > 0 {
        texts.push(format!("and {more} more"));
    }
    texts.join("; ")
}

fn of_host(row: &HostRow, host: &HostSpec) -> Answer {
    let critical = row.level == Some(Level::Critical);
    // What is old says nothing of now; a problem that stood then is still the best guess.
    let code = match row.state {
        State::Never => 3,
        State::Stale if !critical => 3,
        _ => row.level.map_or(3, Level::number),
    };
    let mut texts = told(&row.problems);
    match (row.state, row.failure()) {
        (_, Some((cause, text))) => texts.insert(0, format!("{cause}: {text}")),
        (State::Stale, _) => texts.insert(0, "what is known is old, see: fleet health".to_owned()),
        (State::Never, _) => texts.push(format!("never collected, try: fleet hosts test {}", row.name)),
        _ => {}
    }
    if texts.is_empty() {
        let age = view::units::seconds(row.age.unwrap_or_default().floor());
        texts.push(format!("no problems, seen {age} ago"));
    }
    let mut data = Vec::new();
    if row.state == State::Fresh {
        for name in SHOWN {
            let Some(metric) = catalogue::find(name) else { continue };
            data.extend(row.values(name).map(|(item, value)| {
                let rule = host.rules.iter().find(|rule| rule.name == *name && fits(rule, item));
                one(metric, item, value, rule)
            }));
        }
    }
    Answer { code, text: format!("{}: {}", row.name, shortened(texts)), data }
}

/// `'filesystem.used /var'=91%;80;90;0;100`.
fn one(metric: &Metric, item: &str, value: f64, rule: Option<&RuleSpec>) -> String {
    let (scale, unit, bounds) = match metric.unit {
        Unit::Ratio => (100.0, "%", "0;100"),
        Unit::Bytes => (1.0, "B", "0;"),
        Unit::Seconds => (1.0, "s", "0;"),
        _ => (1.0, "", ";"),
    };
    let rounded = |value: f64| (value * scale * 1000.0).round() / 1000.0;
    // Good is from the threshold upward where low is bad.
    let colon = if metric.direction == Direction::LowIsBad { ":" } else { "" };
    let limit = |limit: Option<f64>| limit.map_or_else(String::new, |limit| format!("{}{colon}", rounded(limit)));
    let (warning, critical) = (limit(rule.and_then(|rule| rule.warning)), limit(rule.and_then(|rule| rule.critical)));
    let label = if item.is_empty() { metric.name.to_owned() } else { format!("{} {item}", metric.name) };
    format!("{}={}{unit};{warning};{critical};{bounds}", quoted(&label), rounded(value))
}

/// A label; no program reads one with an equals sign.
fn quoted(label: &str) -> String {
    let safe = |c: char| if is_hostile(c) || matches!(c, '=' | '|') { '?' } else { c };
    format!("'{}'", label.chars().map(safe).collect::<String>().replace('\'', "''"))
}

fn of_service(snapshot: &Snapshot, name: &str, spec: &FleetSpec) -> Result<Answer, Failure> {
    let services = Snapshot::services(&snapshot.hosts);
    let Some(service) = services.iter().find(|service| service.name == name) else {
        let known = services.iter().map(|service| service.name);
        let mend = config::did_you_mean(name, known, "see which there are: fleet services");
        return Err(Failure::new(
            Exit::Usage,
            format!("no service is named {name} in {}; {mend}", spec.file.display()),
        ));
    };
    let (all, wanted) = (service.servers.len(), service.wanted());
    let bad: Vec<String> = service
        .servers
        .iter()
        .filter(|(_, row)| !row.why.is_empty())
        .map(|(host, row)| format!("{}: {}", host.name, row.why.join(", ")))
        .collect();
    let mut text = format!("{name}: {} of {all} servers healthy, wanted are {wanted}", service.healthy);
    if !bad.is_empty() {
        text.push_str(&format!("; {}", shortened(bad)));
    }
    let mut data = vec![format!("'healthy'={};{wanted}:;1:;0;{all}", service.healthy)];
    for (metric, mean) in [("cpu.used", service.cpu), ("memory.used", service.memory)] {
        if let Some((metric, mean)) = catalogue::find(metric).zip(mean) {
            data.push(one(metric, "", mean, None));
        }
    }
    Ok(Answer { code: service.level().number(), text, data })
}

fn of_fleet(snapshot: &Snapshot, parts: &[view::health::Part]) -> Answer {
    let count = |level: Option<Level>| snapshot.hosts.iter().filter(|host| host.level == level).count();
    let [ok, warning, critical] = [Level::Ok, Level::Warning, Level::Critical].map(|level| count(Some(level)));
    let unknown = count(None);
    let mut level = parts.iter().map(|part| part.level).max().unwrap_or_default();
    level = level.max(if critical > 0 { Level::Critical } else { Level::Ok });
    level = level.max(if warning > 0 { Level::Warning } else { Level::Ok });
    level = level.max(snapshot.fleet.iter().map(|problem| problem.incident.level).max().unwrap_or_default());
    let mut texts: Vec<String> =
        parts.iter().filter(|part| part.level > Level::Ok).map(|part| part.text.clone()).collect();
    texts.extend(told(&snapshot.fleet));
    let bad = snapshot.hosts.iter().filter(|host| host.level > Some(Level::Ok));
    texts.extend(bad.map(|host| format!("{}: {}", host.name, host.sentences().into_iter().next().unwrap_or_default())));
    let all = snapshot.hosts.len();
    let hosts = view::units::counted(all, "host");
    let mut text = format!("{hosts}: {ok} ok, {warning} warning, {critical} critical, {unknown} unknown");
    if !texts.is_empty() {
        text.push_str(&format!("; {}", shortened(texts)));
    }
    let stale = snapshot.hosts.iter().filter(|host| host.state == State::Stale).count();
    let counts = [("ok", ok), ("warning", warning), ("critical", critical), ("unknown", unknown), ("stale", stale)];
    let data = counts.iter().map(|(name, count)| format!("'{name}'={count};;;0;{all}")).collect();
    let code = if level == Level::Ok && unknown > 0 { 3 } else { level.number() };
    Answer { code, text, data }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rule::RuleKind;

    #[test]
    fn performance_data_is_read_as_it_is_meant() {
        let metric = |name| catalogue::find(name).unwrap();
        let mut rule = RuleSpec::new(metric("filesystem.used"), RuleKind::Above);
        (rule.warning, rule.critical, rule.not_items) = (Some(0.8), Some(0.9), vec!["/snap*".into()]);
        let of = |name, item, value, rule| one(metric(name), item, value, rule);
        assert_eq!(of("filesystem.used", "/var", 0.9123, Some(&rule)), "'filesystem.used /var'=91.23%;80;90;0;100");
        assert!(fits(&rule, "/var") && !fits(&rule, "/snap/x"));
        assert_eq!(of("load.1m", "", 1.25, None), "'load.1m'=1.25;;;;");
        assert_eq!(of("filesystem.used", "it's a=b|c\n", 0.5, None), "'filesystem.used it''s a?b?c?'=50%;;;0;100");
        let mut low = RuleSpec::new(metric("memory.available"), RuleKind::Below);
        low.critical = Some(1000.0);
        assert!(of("memory.available", "", 5.0, Some(&low)).ends_with("=5B;;1000:;0;"));
    }
}

//! The services: each over all its servers, the worst first, and below it how every server fares.

use chrono::{DateTime, Utc};
use ratatui::text::{Line, Span};

use crate::model::filter::{Chosen, Filter};
use crate::model::snapshot::{HostRow, Service, ServiceRow, Snapshot};
use crate::view::units;

use super::hosts;
use super::paint::{self, STRONG, left, right};
use super::rows::{Row, Target};

/// The page. A service is summed over all its servers, also over those that the filter leaves out.
#[must_use]
pub fn rows(snapshot: &Snapshot, filter: &Filter, now: DateTime<Utc>, width: usize) -> Vec<Row> {
    let all = Snapshot::services(&snapshot.hosts);
    let chosen = |(host, it): &&(&HostRow, &ServiceRow)| {
        filter.any(&Chosen { host: Some(host), service: Some(it), problem: None })
    };
    let names = all.iter().flat_map(|service| &service.servers).map(|(host, _)| host.name.len());
    let wide = names.max().unwrap_or_default().clamp(8, 24);
    let mut out = Vec::new();
    for service in &all {
        let servers: Vec<Row> =
            service.servers.iter().filter(chosen).map(|it| server(*it, now, (wide, width))).collect();
        if !servers.is_empty() {
            out.push(sum(service));
            out.extend(servers);
        }
    }
    if out.is_empty() {
        let none = "no services yet; docs/checks.md shows how to name one";
        out.push(Row::plain(&format!(" {}", if all.is_empty() { none } else { "none that the filter chooses" })));
    }
    out
}

/// `shop  WARN  1 of 4 healthy, 3 wanted  cpu 34%  memory 52%`.
fn sum(service: &Service<'_>) -> Row {
    let level = Some(service.level());
    let mean = |name: &str, value: Option<f64>| {
        value.map(|value| format!("  {name} {}", units::ratio(value))).unwrap_or_default()
    };
    let (healthy, servers, wanted) = (service.healthy, service.servers.len(), service.wanted());
    let text = format!(
        "  {healthy} of {servers} healthy, {wanted} wanted{}{}",
        mean("cpu", service.cpu),
        mean("memory", service.memory)
    );
    let spans = vec![
        Span::raw(format!(" {}  ", paint::safe(service.name))),
        Span::styled(paint::tag(level), paint::level(level)),
        Span::raw(text),
    ];
    Row { line: Line::from(spans).style(STRONG), target: None, heading: true }
}

fn server((host, it): (&HostRow, &ServiceRow), now: DateTime<Utc>, (wide, width): (usize, usize)) -> Row {
    let share = |metric: &str| right(&host.value(metric).map(units::ratio).unwrap_or_default(), 6);
    // Why it is ill is worth more than what it takes.
    let memory = it.memory.map(units::bytes).unwrap_or_default();
    let memory = if width < 60 { String::new() } else { format!(" {}", right(&memory, 8)) };
    let spans = vec![
        Span::raw(format!("  {} ", left(&host.name, wide))),
        Span::styled(left(it.health.word(), 9), paint::health(it.health)),
        Span::raw(format!(" {}{}", share("cpu.used"), share("memory.used"))),
        Span::raw(format!("{memory} {} ", right(&hosts::age(host, now), 6))),
        Span::raw(paint::safe(&it.why.join(", "))),
    ];
    Row::of(spans, Some(Target::Host(host.name.clone())))
}

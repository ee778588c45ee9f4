//! A source for tests: a fleet without a store that writes down what it is ordered.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::request::Incoming;
use super::source::{AckOrder, Health, Host, Hush, Listed, SilenceOrder, Source, Story, Stretch, Told, Which};
use crate::model::filter::Filter;
use crate::model::fleet::{HostFact, HostNow, Series};
use crate::model::level::Level;
use crate::model::sample::Process;
use crate::model::snapshot::{HostRow, Snapshot};

/// What it shows, and what was ordered.
#[derive(Default)]
pub struct Fake {
    /// Worst first; none at first.
    pub hosts: Vec<HostRow>,
    /// Newest first; none at first.
    pub ended: Vec<Listed>,
    pub orders: Vec<String>,
}

impl Source for Fake {
    fn fleet(&mut self, _: &Filter) -> Told<Arc<Snapshot>> {
        let interval = Duration::from_secs(300);
        Ok(Arc::new(Snapshot { now: now(), interval, hosts: self.hosts.clone(), fleet: Vec::new() }))
    }
    fn latest(&mut self, _: &[&str]) -> Told<Vec<HostNow>> {
        Ok(Vec::new())
    }
    fn facts_now(&mut self, _: &[&str]) -> Told<Vec<(String, HostFact)>> {
        Ok(Vec::new())
    }
    fn host(&mut self, _: &str) -> Told<Option<Host>> {
        Ok(None)
    }
    fn series(&mut self, _: &Stretch<'_>) -> Told<Vec<Vec<Series>>> {
        Ok(Vec::new())
    }
    fn top(&mut self, _: &str, _: DateTime<Utc>) -> Told<Option<(DateTime<Utc>, Vec<Process>)>> {
        Ok(None)
    }
    fn incidents(&mut self, which: Which<'_>) -> Told<Vec<Listed>> {
        let most = if which.ended || which.before.is_some() { which.most } else { 0 };
        let before = |it: &&Listed| which.before.is_none_or(|before| it.incident.id < before);
        Ok(self.ended.iter().filter(before).take(most).cloned().collect())
    }
    fn incident(&mut self, _: i64) -> Told<Option<Story>> {
        Ok(None)
    }
    fn silences(&mut self) -> Told<Vec<Hush>> {
        Ok(Vec::new())
    }
    fn health(&mut self) -> Told<Health> {
        let (parts, sweeps, beats) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Health { level: Level::Ok, line: "OK - ".into(), parts, sweeps, beats, queued: 0 })
    }
    fn acknowledge(&mut self, order: &AckOrder) -> Told<()> {
        self.orders.push(format!("{} takes {:?} {:?}", order.by, order.ids, order.note));
        Ok(())
    }
    fn silence(&mut self, order: &SilenceOrder) -> Told<i64> {
        self.orders.push(format!("{} silences {:?} for {:?}", order.by, order.hosts, order.span));
        Ok(7)
    }
    fn end_silence(&mut self, id: i64) -> Told<()> {
        self.orders.push(format!("end {id}"));
        Ok(())
    }
}

pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_291_200, 0).unwrap()
}

/// A request of a browser on this machine, with more headers.
pub fn ask(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Incoming {
    let mut all = vec![("host".to_owned(), "localhost:8980".to_owned())];
    if method == "POST" && !headers.iter().any(|(name, _)| *name == "content-type") {
        all.push(("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
    }
    for (name, value) in headers {
        all.retain(|(known, _)| known != name || *name == "x-twice");
        all.push(((*name).to_owned(), (*value).to_owned()));
    }
    Incoming {
        method: method.to_owned(),
        authority: None,
        target: target.to_owned(),
        headers: all,
        body: body.as_bytes().to_vec(),
        peer: "127.0.0.1".parse().unwrap(),
        now: now(),
    }
}

//! What pages ask, answered from the store: reading through a handle that cannot write, acting as the commands do.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, Utc};

use super::fleet::Fleet;
use super::thin::thin;
use crate::alert::calendar::{holds, lives};
use crate::alert::words;
use crate::app::exit::{Exit, Failure};
use crate::app::fleet::{ack, alerts, silence};
use crate::app::{context, past, snapshot};
use crate::model::alert::{Ack, Incident};
use crate::model::clean::clean;
use crate::model::filter::Filter;
use crate::model::fleet::{Grain, HostFact, HostNow, Series};
use crate::model::level::Level;
use crate::model::sample::Process;
use crate::model::silence::Silence;
use crate::model::snapshot::{KEY_METRICS, Limits, Snapshot};
use crate::model::spec::FleetSpec;
use crate::store::{self, Store, StoreError};
use crate::view::health;
use crate::web::response::Trouble;
use crate::web::site::Site;
use crate::web::source::{
    AckOrder, Health, Host, Hush, Letter, Listed, Part, SilenceOrder, Source, Story, Stretch, Told, Which,
};

/// A handle does not live longer: the file may have been set aside, or restored.
const HANDLE: Duration = Duration::from_secs(60);
/// How often the configuration is looked at for changes.
const LOOK: Duration = Duration::from_secs(5);
/// Attempts that a host's page is given.
const ATTEMPTS: usize = 50;
/// Sweeps that the page about ourselves is given.
const SWEEPS: usize = 20;

/// What all readers share.
pub struct Shared {
    site: Site,
    fleet: Fleet,
    idle: Mutex<Vec<(Instant, Box<dyn Store>)>>,
    config: Mutex<Config>,
}

struct Config {
    file: PathBuf,
    spec: Arc<FleetSpec>,
    looked: Instant,
    /// The files that were read, and when each was written.
    written: Vec<(PathBuf, Option<SystemTime>)>,
}

fn written(files: impl IntoIterator<Item = PathBuf>) -> Vec<(PathBuf, Option<SystemTime>)> {
    let time = |file: &PathBuf| std::fs::metadata(file).and_then(|meta| meta.modified()).ok();
    files.into_iter().map(|file| (file.clone(), time(&file))).collect()
}

impl Shared {
    /// Nothing is read yet.
    pub fn new(file: PathBuf, spec: FleetSpec, site: Site) -> Self {
        // Includes are known after the first look, which is soon.
        let config = Config { written: Vec::new(), file, spec: Arc::new(spec), looked: Instant::now() };
        Self { site, fleet: Fleet::default(), idle: Mutex::default(), config: Mutex::new(config) }
    }

    /// The site that is served.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The configuration, read again where it was changed. One with mistakes is not taken; `<web>` itself is read once.
    fn spec(&self) -> Arc<FleetSpec> {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        if config.looked.elapsed() < LOOK {
            return Arc::clone(&config.spec);
        }
        config.looked = Instant::now();
        let now = written(config.written.iter().map(|(file, _)| file.clone()));
        if config.written.is_empty() || now != config.written {
            match crate::config::read(&config.file) {
                Ok(loaded) => {
                    config.written = written(loaded.files);
                    config.spec = Arc::new(loaded.spec);
                }
                Err(report) => {
                    config.written = now;
                    log::warn!("the configuration was changed and has mistakes; going on with the old one:\n{report}");
                }
            }
        }
        Arc::clone(&config.spec)
    }
}

/// One request's look into the store.
pub struct Reader<'a> {
    shared: &'a Shared,
    spec: Arc<FleetSpec>,
    now: DateTime<Utc>,
    handle: Option<(Instant, Box<dyn Store>)>,
}

impl<'a> Reader<'a> {
    /// Opens nothing yet.
    pub fn new(shared: &'a Shared, now: DateTime<Utc>) -> Self {
        Self { shared, spec: shared.spec(), now, handle: None }
    }

    fn store(&mut self) -> Told<&dyn Store> {
        if self.handle.is_none() {
            let idle = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let young = idle.filter(|(opened, _)| opened.elapsed() < HANDLE);
            self.handle = Some(match young {
                Some(handle) => handle,
                None => (Instant::now(), store::open_reading(&self.spec.store).map_err(broken)?),
            });
        }
        let handle = self.handle.as_ref().map(|(_, store)| store.as_ref());
        handle.ok_or_else(|| Trouble::store("the store cannot be read"))
    }

    /// A person's order: refused with what is wrong, or carried out through a handle of its own.
    fn order<T>(&self, work: impl FnOnce(&mut dyn Store) -> Result<T, Failure>) -> Told<T> {
        let mut store = context::open_store(&self.spec).map_err(failed)?;
        let done = work(store.as_mut()).map_err(failed);
        self.shared.fleet.forget();
        done
    }

    fn listed(&self, incident: Incident, ack: Option<Ack>, silenced: bool, told: bool) -> Listed {
        let state = match (incident.ending, &ack) {
            (Some(ending), _) => ending.word(),
            (_, Some(_)) => "taken",
            _ if silenced => "silenced",
            _ if told => "told",
            _ => "not told",
        };
        Listed { name: words::name(&incident.subject), state: state.to_owned(), incident, ack }
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
        }
    }
}

fn broken(error: StoreError) -> Trouble {
    log::error!("{error}");
    Trouble::store(format!("the store cannot be read: {error}"))
}

fn failed(failure: Failure) -> Trouble {
    match failure.exit {
        Exit::Usage => Trouble::new(422, failure.text),
        _ => {
            log::error!("{}", failure.text);
            Trouble::store(failure.text)
        }
    }
}

impl Source for Reader<'_> {
    fn fleet(&mut self, filter: &Filter) -> Told<Arc<Snapshot>> {
        if filter.metrics().all(|metric| KEY_METRICS.contains(&metric)) {
            return self.shared.fleet.get(&self.spec, self.now).map_err(broken);
        }
        let (spec, now) = (Arc::clone(&self.spec), self.now);
        snapshot::read(&spec, self.store()?, now, filter, Limits::default()).map(Arc::new).map_err(broken)
    }

    fn latest(&mut self, metrics: &[&str]) -> Told<Vec<HostNow>> {
        let spec = Arc::clone(&self.spec);
        let mut all = self.store()?.latest(metrics).map_err(broken)?;
        let known: std::collections::HashSet<&str> = spec.hosts.iter().map(|host| host.name.as_str()).collect();
        // What was taken out of the configuration is nobody's business any more.
        all.retain(|host| known.contains(host.host.as_str()));
        Ok(all)
    }

    fn facts_now(&mut self, names: &[&str]) -> Told<Vec<(String, HostFact)>> {
        self.store()?.facts_now(names).map_err(broken)
    }

    fn host(&mut self, name: &str) -> Told<Option<Host>> {
        let spec = Arc::clone(&self.spec);
        let Some(host) = spec.host(name) else { return Ok(None) };
        let fleet = self.fleet(&Filter::default())?;
        let Some(row) = fleet.host(name) else { return Ok(None) };
        let store = self.store()?;
        let newest = store.newest(name).map_err(broken)?;
        Ok(Some(Host {
            row: row.clone(),
            spec: host.clone(),
            sample: newest.and_then(|newest| newest.sample).map(|(_, sample)| sample),
            facts: store.facts(name).map_err(broken)?,
            attempts: store.attempts(name, ATTEMPTS).map_err(broken)?,
        }))
    }

    fn series(&mut self, stretch: &Stretch<'_>) -> Told<Vec<Vec<Series>>> {
        let (since, until) = (stretch.since, stretch.until);
        let grain = Grain::of(until - since, stretch.most);
        let all = past::all(self.store()?, stretch.host, stretch.metrics, (since, until), grain).map_err(broken)?;
        let wanted = |series: &Series| stretch.item.is_none_or(|item| item == series.item);
        let thinned = |series: Series| Series { points: thin(series.points, since, until, stretch.most), ..series };
        Ok(all.into_iter().map(|list| list.into_iter().filter(wanted).map(thinned).collect()).collect())
    }

    fn top(&mut self, host: &str, at: DateTime<Utc>) -> Told<Option<(DateTime<Utc>, Vec<Process>)>> {
        self.store()?.top(host, at).map_err(broken)
    }

    fn incidents(&mut self, which: Which<'_>) -> Told<Vec<Listed>> {
        let span = (which.since.unwrap_or(DateTime::UNIX_EPOCH), which.until.unwrap_or(DateTime::<Utc>::MAX_UTC));
        // Only as many as are wanted are read, however many there are.
        let most = if which.ended || which.before.is_some() { which.most } else { 0 };
        let ended = self.store()?.ended(which.host, span, which.before, most).map_err(broken)?;
        if which.before.is_some() {
            return Ok(ended.into_iter().map(|incident| self.listed(incident, None, false, false)).collect());
        }
        let fleet = self.fleet(&Filter::default())?;
        let told = self.store()?.told().map_err(broken)?.into_iter().filter(|(told, _)| told.level > Level::Ok);
        let told: std::collections::HashSet<i64> = told.map(|(told, _)| told.incident).collect();
        let wanted = |it: &Incident| {
            which.host.is_none_or(|host| it.subject.host == host)
                && which.until.is_none_or(|until| it.opened < until)
                && which.since.is_none_or(|since| it.closed.is_none_or(|closed| closed >= since))
        };
        let mut open: Vec<_> = fleet.hosts.iter().flat_map(|host| &host.problems).chain(&fleet.fleet).collect();
        open.sort_by_key(|problem| (std::cmp::Reverse(problem.incident.level), problem.incident.id));
        let open = open.into_iter().filter(|problem| wanted(&problem.incident)).map(|problem| {
            let told = told.contains(&problem.incident.id);
            self.listed(problem.incident.clone(), problem.ack.clone(), problem.silenced.is_some(), told)
        });
        let ended = ended.into_iter().map(|incident| self.listed(incident, None, false, false));
        Ok(open.chain(ended).collect())
    }

    fn incident(&mut self, id: i64) -> Told<Option<Story>> {
        let spec = Arc::clone(&self.spec);
        let store = self.store()?;
        let Some(incident) = store.incident(id).map_err(broken)? else { return Ok(None) };
        let events = store.events(id).map_err(broken)?;
        let letters = store.mails_telling(id).map_err(broken)?;
        let present = alerts::Present::read(&spec, store).map_err(failed)?;
        let quiet = present.quiet(&spec);
        let open = incident.closed.is_none();
        let why = if open { present.why(&quiet, &incident) } else { Vec::new() };
        let ack = present.world.acks.get(&id).filter(|ack| open && ack.holds(incident.level, present.now)).cloned();
        let silenced = open && quiet.why(&incident.subject).is_some();
        let told = present.stored.told.iter().any(|(told, _)| told.incident == id && told.level > Level::Ok);
        let letters = letters.into_iter().map(|mail| Letter {
            at: mail.created,
            destination: mail.destination,
            recipient: mail.recipient,
            subject: mail.subject,
            state: mail.state.word(),
            error: mail.error,
        });
        let (letters, listed) = (letters.collect(), self.listed(incident, ack, silenced, told));
        Ok(Some(Story { listed, events, letters, why }))
    }

    fn silences(&mut self) -> Told<Vec<Hush>> {
        let (spec, now) = (Arc::clone(&self.spec), self.now);
        let stored = self.store()?.silences().map_err(broken)?;
        let live = stored.into_iter().chain(spec.silences.iter().cloned()).filter(|silence| lives(silence, now));
        let state = |silence: &Silence| if holds(silence, now).is_some() { "holds" } else { "waits" };
        Ok(live.map(|silence| Hush { state: state(&silence), silence }).collect())
    }

    fn health(&mut self) -> Told<Health> {
        let (now, interval) = (self.now, self.spec.collector.interval);
        let store = self.store()?;
        let mut sweeps = store.sweeps(health::SWEEPS).map_err(broken)?;
        let beats = health::current(store.beats().map_err(broken)?);
        let queued = store.queued().map_err(broken)?;
        let parts = health::judge(now, interval, &beats, &sweeps, &queued);
        let (level, line) = health::line(&parts);
        sweeps.truncate(SWEEPS);
        let parts =
            parts.into_iter().map(|part| Part { name: part.name, level: part.level, text: part.text }).collect();
        Ok(Health { level, line, parts, sweeps, beats, queued: queued.len() })
    }

    fn acknowledge(&mut self, order: &AckOrder) -> Told<()> {
        let taking = ack::Taking {
            ids: &order.ids,
            by: &clean(&order.by),
            until: order.until.as_deref(),
            sticky: order.sticky,
            note: &order.note,
        };
        self.order(|store| ack::take(store, &taking, self.now))
    }

    fn silence(&mut self, order: &SilenceOrder) -> Told<i64> {
        let add = silence::Add {
            host: order.hosts.clone(),
            group: order.groups.clone(),
            service: order.services.clone(),
            rule: order.rules.clone(),
            span: Some(order.span.clone()),
            time_zone: "UTC".to_owned(),
            reason: order.reason.clone(),
            by: Some(order.by.clone()),
            ..silence::Add::default()
        };
        let silence = silence::silence(&self.spec, add, self.now).map_err(failed)?;
        self.order(|store| Ok(store.add_silence(&silence)?))
    }

    fn end_silence(&mut self, id: i64) -> Told<()> {
        if self.order(|store| Ok(store.end_silence(id, self.now)?))? {
            return Ok(());
        }
        Err(Trouble::missing(format!("no silence {id} holds or waits")))
    }
}

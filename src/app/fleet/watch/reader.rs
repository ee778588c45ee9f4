//! Reads what the screen wants, on a thread of its own, so that a store which is locked or slow holds no key back. A
//! look at one number tells whether anything was written; only then is more read.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, Utc};

use super::signals::Waker;
use super::whole;
use crate::app::{clock, snapshot};
use crate::config;
use crate::model::snapshot::Limits;
use crate::model::spec::FleetSpec;
use crate::store::{self, Store, StoreError};
use crate::view::health;
use crate::view::screen::data::{Fleet, News, Want};

/// Without news the fleet is judged again after this time, as what is known grows old.
const AGES: Duration = Duration::from_secs(30);
/// Reading takes at most one part in so many of the time, however large the fleet and however often it changes.
const SHARE: u32 = 10;
/// Problems that ended lately and are there to be chosen from.
const ENDED: usize = 200;

/// The two ends that the screen has.
pub struct Reader {
    wants: Sender<Want>,
    news: Receiver<News>,
    busy: Arc<AtomicI64>,
}

impl Reader {
    /// Starts the thread; it ends when this is dropped.
    pub fn start(spec: FleetSpec, files: Vec<PathBuf>, every: Duration, waker: Waker) -> Self {
        let (wants, wanted) = channel();
        let (told, news) = channel();
        let (changed, busy) = (times(&files), Arc::new(AtomicI64::new(0)));
        let mut work = Work {
            spec,
            files,
            changed,
            misread: None,
            told,
            waker,
            busy: Arc::clone(&busy),
            store: None,
            seen: None,
            want: Want::default(),
        };
        std::thread::spawn(move || work.goes_on(&wanted, every));
        Self { wants, news, busy }
    }

    /// Since when the store owes an answer.
    pub fn busy(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(self.busy.load(Ordering::Relaxed)).filter(|at| *at > DateTime::UNIX_EPOCH)
    }

    /// Asks for something else.
    pub fn asks(&self, want: Want) {
        // A thread that is gone told why.
        let _ = self.wants.send(want);
    }

    /// What was read since.
    pub fn news(&self) -> impl Iterator<Item = News> + '_ {
        self.news.try_iter()
    }
}

/// When something was read, of which state of the store.
struct Seen {
    changes: i64,
    at: Instant,
    took: Duration,
}

struct Work {
    spec: FleetSpec,
    files: Vec<PathBuf>,
    changed: Vec<Option<SystemTime>>,
    /// Why the configuration is not the newest.
    misread: Option<String>,
    told: Sender<News>,
    waker: Waker,
    busy: Arc<AtomicI64>,
    store: Option<Box<dyn Store>>,
    seen: Option<Seen>,
    want: Want,
}

/// Nobody listens any more.
struct Over;

impl Work {
    fn goes_on(&mut self, wanted: &Receiver<Want>, every: Duration) {
        loop {
            let asked = match wanted.recv_timeout(every) {
                Ok(want) => Some(wanted.try_iter().last().unwrap_or(want)),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let again = asked.as_ref().is_some_and(|want| want.again != self.want.again);
            let new = asked.is_some();
            self.want = asked.unwrap_or_else(|| self.want.clone());
            self.busy.store(clock::now().timestamp_millis(), Ordering::Relaxed);
            let turned = self.turn(new, again);
            self.busy.store(0, Ordering::Relaxed);
            if turned.is_err() {
                return;
            }
        }
    }

    fn tell(&mut self, news: News) -> Result<(), Over> {
        let told = self.told.send(news).map_err(|_| Over);
        self.waker.wake();
        told
    }

    /// Reads what is due; trouble is told, and the next turn tries again.
    fn turn(&mut self, new: bool, again: bool) -> Result<(), Over> {
        self.configure(again);
        match self.due(new, again).and_then(|due| if due { self.read(new && !again) } else { Ok(Vec::new()) }) {
            Ok(all) if all.is_empty() => Ok(()),
            Ok(all) => {
                for news in all {
                    self.tell(news)?;
                }
                let end = self.misread.clone().map_or(News::Done, News::Trouble);
                self.tell(end)
            }
            Err(error) => {
                if !matches!(error, StoreError::Busy { .. }) {
                    self.store = None;
                }
                self.seen = None;
                self.tell(News::Trouble(error.to_string()))
            }
        }
    }

    /// Reads the configuration again where its files changed.
    fn configure(&mut self, again: bool) {
        let now = times(&self.files);
        let Some(file) = self.files.first().filter(|_| again || now != self.changed) else { return };
        self.seen = None;
        match config::read(file) {
            Ok(loaded) => {
                if loaded.spec.store != self.spec.store {
                    self.store = None;
                }
                (self.spec, self.files, self.misread) = (loaded.spec, loaded.files, None);
                self.changed = times(&self.files);
            }
            Err(report) => {
                self.changed = now;
                let report = report.to_string();
                let first = report.lines().next().unwrap_or_default();
                self.misread = Some(format!("what was configured before holds: {first}; see all: fleet check-config"));
            }
        }
    }

    /// Whether something is to be read; opens the store where it is not open.
    fn due(&mut self, new: bool, again: bool) -> Result<bool, StoreError> {
        if self.store.is_none() {
            if !store::begun(&self.spec.store) {
                let text = "there is no store yet; the first sweep begins it: fleet-collector".to_owned();
                return Err(StoreError::Other { location: self.spec.store.location.clone(), text });
            }
            self.store = Some(store::open(&self.spec.store)?);
        }
        let Some(store) = &self.store else { return Ok(false) };
        let changes = store.changes()?;
        let Some(seen) = &self.seen else { return Ok(true) };
        let since = seen.at.elapsed();
        Ok(new || again || since >= AGES || (changes != seen.changes && since >= seen.took * SHARE))
    }

    /// Everything that is wanted. What somebody has just asked for comes first.
    fn read(&mut self, asked: bool) -> Result<Vec<News>, StoreError> {
        let Some(store) = self.store.as_deref() else { return Ok(Vec::new()) };
        let (started, now) = (Instant::now(), clock::now());
        let changes = store.changes()?;
        let mut all = Vec::new();
        if let Some(name) = &self.want.host {
            all.push(News::Host(Box::new(whole::host(&self.spec, store, name, now)?)));
        }
        if let Some(id) = self.want.problem
            && let Some(story) = whole::problem(store, id)?
        {
            all.push(News::Problem(Box::new(story)));
        }
        if let Some(past) = &self.want.past {
            all.push(News::Past(Box::new(whole::past(&self.spec, store, past, now)?)));
        }
        let beside = asked && !all.is_empty() && self.seen.is_some();
        if !beside {
            all.push(News::Fleet(Arc::new(self.fleet(store)?)));
        }
        let took = started.elapsed();
        match &mut self.seen {
            // The fleet is as old as it was.
            Some(seen) if beside => seen.took = seen.took.max(took),
            seen => *seen = Some(Seen { changes, at: started, took }),
        }
        Ok(all)
    }

    fn fleet(&self, store: &dyn Store) -> Result<Fleet, StoreError> {
        let now = clock::now();
        let snapshot = snapshot::read(&self.spec, store, now, &self.want.filter, Limits::default())?;
        let ended = store.ended(None, (DateTime::UNIX_EPOCH, DateTime::<Utc>::MAX_UTC), None, ENDED)?;
        let sweeps = store.sweeps(health::SWEEPS)?;
        let health = health::judge(now, self.spec.collector.interval, &store.beats()?, &sweeps, &store.queued()?);
        Ok(Fleet { snapshot, ended, health })
    }
}

/// When files were changed last.
fn times(files: &[PathBuf]) -> Vec<Option<SystemTime>> {
    files.iter().map(|file| std::fs::metadata(file).and_then(|it| it.modified()).ok()).collect()
}

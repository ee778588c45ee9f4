//! The fleet as it was a moment ago, read once for everybody who looks.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::app::snapshot;
use crate::model::filter::Filter;
use crate::model::snapshot::{Limits, Snapshot};
use crate::model::spec::FleetSpec;
use crate::store::{self, Result, Store};

/// Not read more often than this, and
const LEAST: Duration = Duration::from_secs(1);
/// for a large fleet not so often that reading takes more than a tenth of the time.
const SHARE: u32 = 10;
/// Ages and silences change without the store.
const OLDEST: Duration = Duration::from_secs(10);
/// A handle does not live longer: the file may have been set aside, or restored.
const HANDLE: Duration = Duration::from_secs(60);

struct Watch {
    store: Box<dyn Store>,
    opened: Instant,
    changes: i64,
    /// The configuration that it was read with.
    spec: Arc<FleetSpec>,
    read: Instant,
    took: Duration,
}

/// The last reading.
#[derive(Default)]
pub struct Fleet {
    watch: Mutex<Option<Watch>>,
    last: RwLock<Option<Arc<Snapshot>>>,
}

impl Fleet {
    /// Somebody changed something and looks at it now: the next reading is a new one.
    pub fn forget(&self) {
        *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The last reading, or a new one where the store changed since. While one thread reads, the others are given the last.
    ///
    /// # Errors
    /// The store's.
    pub fn get(&self, spec: &Arc<FleetSpec>, now: DateTime<Utc>) -> Result<Arc<Snapshot>> {
        let last = || self.last.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut watch = match (self.watch.try_lock(), last()) {
            (Ok(watch), _) => watch,
            (Err(_), Some(last)) => return Ok(last),
            (Err(_), None) => self.watch.lock().unwrap_or_else(PoisonError::into_inner),
        };
        if let (Some(watch), Some(last)) = (watch.as_mut(), last())
            && Arc::ptr_eq(&watch.spec, spec)
        {
            let age = watch.read.elapsed();
            if age < LEAST.max(watch.took * SHARE) {
                return Ok(last);
            }
            let fresh = watch.opened.elapsed() < HANDLE && age < OLDEST;
            if fresh && watch.store.changes().is_ok_and(|changes| changes == watch.changes) {
                return Ok(last);
            }
        }
        // Whatever goes wrong here, the next one begins anew.
        // So does one whose file was replaced.
        let kept = watch.take().filter(|watch| watch.opened.elapsed() < HANDLE && watch.store.changes().is_ok());
        let (store, opened) = match kept {
            Some(kept) => (kept.store, kept.opened),
            None => (store::open_reading(&spec.store)?, Instant::now()),
        };
        let begun = Instant::now();
        let changes = store.changes()?;
        let read = Arc::new(snapshot::read(spec, store.as_ref(), now, &Filter::default(), Limits::default())?);
        let took = begun.elapsed();
        *watch = Some(Watch { store, opened, changes, spec: Arc::clone(spec), read: Instant::now(), took });
        *self.last.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&read));
        Ok(read)
    }
}

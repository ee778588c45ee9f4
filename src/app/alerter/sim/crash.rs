//! A store and a mail server that die at a given step, as a process does under `kill -9`.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::super::lines::Post;
use crate::model::alert::*;
use crate::model::fleet::{Attempt, Consent, Grain, Heartbeat, HostFact, HostNow, Point, Pruned, Row, Series, Sweep};
use crate::model::sample::{Process, Sample, SampleKey};
use crate::model::silence::Silence;
use crate::model::turn::{Begun, Claim, Leased, Standing};
use crate::notify::{Class, Refusal};
use crate::store::memory::Memory;
use crate::store::{Place, Result, Span, Store, StoreError};

/// Steps until the process dies; every write has one before and one after it.
#[derive(Default)]
pub struct Fate {
    /// Below zero: for ever.
    left: AtomicI64,
    dead: AtomicBool,
}

impl Fate {
    pub fn set(&self, left: Option<u32>) {
        self.left.store(left.map_or(-1, i64::from), SeqCst);
        self.dead.store(false, SeqCst);
    }
    pub fn dead(&self) -> bool {
        self.dead.load(SeqCst)
    }
    fn alive(&self) -> Result<()> {
        if self.dead.load(SeqCst) {
            return Err(StoreError::Other { location: "sim".into(), text: "dead".into() });
        }
        Ok(())
    }
    fn step(&self) -> Result<()> {
        self.alive()?;
        match self.left.load(SeqCst) {
            0 => self.dead.store(true, SeqCst),
            left if left > 0 => self.left.store(left - 1, SeqCst),
            _ => {}
        }
        self.alive()
    }
}

pub struct Mortal {
    pub inner: Memory,
    pub fate: Arc<Fate>,
    /// What was committed as plans.
    pub plans: RefCell<Vec<Plan>>,
    /// How many things were read, but for the fold's memory, which every run takes up whole.
    pub read: Cell<usize>,
}

/// How many things an answer of the store holds.
trait Size {
    fn size(&self) -> usize;
}

impl<T> Size for Vec<T> {
    fn size(&self) -> usize {
        self.len()
    }
}

impl<T> Size for Option<T> {
    fn size(&self) -> usize {
        1
    }
}

impl Size for i64 {
    fn size(&self) -> usize {
        1
    }
}

impl Size for bool {
    fn size(&self) -> usize {
        1
    }
}

impl Size for () {
    fn size(&self) -> usize {
        0
    }
}

macro_rules! mortal {
    (read { $($read:ident($($r:ident: $rt:ty),*) -> $ro:ty;)* } write { $($write:ident($($w:ident: $wt:ty),*) -> $wo:ty;)* }) => {
        impl Store for Mortal {
            $(fn $read(&self, $($r: $rt),*) -> Result<$ro> {
                self.fate.alive()?;
                let found = self.inner.$read($($r),*)?;
                self.read.set(self.read.get() + found.size());
                Ok(found)
            })*
            $(fn $write(&mut self, $($w: $wt),*) -> Result<$wo> {
                self.fate.step()?;
                let done = self.inner.$write($($w),*);
                self.fate.step()?;
                done
            })*
            fn states(&self) -> Result<Vec<(Subject, RuleState)>> {
                self.fate.alive()?;
                self.inner.states()
            }
            fn commit_plan(&mut self, plan: &Plan) -> Result<()> {
                self.fate.step()?;
                self.inner.commit_plan(plan)?;
                self.plans.borrow_mut().push(plan.clone());
                self.fate.step()
            }
        }
    };
}

mortal! {
    read {
        sweeps(limit: usize) -> Vec<Sweep>;
        last_sweeps() -> Vec<Sweep>;
        standings() -> Vec<Standing>;
        rows_after(after: i64, limit: usize) -> Vec<Row>;
        now() -> Vec<HostNow>;
        latest(metrics: &[&str]) -> Vec<HostNow>;
        newest(host: &str) -> Option<HostNow>;
        changes() -> i64;
        tried() -> Vec<Attempt>;
        attempts(host: &str, limit: usize) -> Vec<Attempt>;
        series(host: &str, metric: &str, span: Span, grain: Grain) -> Vec<Series>;
        edge(host: &str, grain: Grain) -> Option<DateTime<Utc>>;
        samples(host: &str, metrics: &[&str], since: DateTime<Utc>, until: DateTime<Utc>) -> Vec<(DateTime<Utc>, Sample)>;
        part(host: &str, span: Span, wanted: &dyn Fn(&str) -> bool, place: &mut Place, each: &mut dyn FnMut(&str, &str, Point)) -> bool;
        before(host: &str, key: &SampleKey, metrics: &[&str]) -> Option<Sample>;
        facts(host: &str) -> Vec<HostFact>;
        facts_now(names: &[&str]) -> Vec<(String, HostFact)>;
        top(host: &str, at: DateTime<Utc>) -> Option<(DateTime<Utc>, Vec<Process>)>;
        at(host: &str, at: DateTime<Utc>) -> Option<(DateTime<Utc>, Sample)>;
        cursor() -> i64;
        open_incidents() -> Vec<Incident>;
        incidents(limit: usize) -> Vec<Incident>;
        incident(id: i64) -> Option<Incident>;
        closed_since(at: DateTime<Utc>) -> Vec<Incident>;
        ended(host: Option<&str>, span: Span, before: Option<i64>, limit: usize) -> Vec<Incident>;
        incidents_of(host: &str, since: DateTime<Utc>, until: DateTime<Utc>) -> Vec<Incident>;
        last_incident() -> i64;
        events(incident: i64) -> Vec<Event>;
        told() -> Vec<(Told, Incident)>;
        told_since(at: DateTime<Utc>) -> Vec<Told>;
        queued() -> Vec<Mail>;
        mails_telling(incident: i64) -> Vec<Mail>;
        pauses() -> Vec<Pause>;
        summaries() -> Vec<(String, String, DateTime<Utc>)>;
        acks() -> Vec<Ack>;
        silences() -> Vec<Silence>;
        beats() -> Vec<Heartbeat>;
        consented(host: &str) -> bool;
        consents() -> Vec<Consent>;
        backup(target: &Path) -> ();
    }
    write {
        begin(sweep: &Begun) -> i64;
        end_sweep(sweep: i64, ended: DateTime<Utc>, failed: u32) -> ();
        lease(claim: &Claim, hosts: &[&str]) -> Vec<Leased>;
        record_all(sweep: i64, visits: &[(&Attempt, &[Sample])]) -> Vec<usize>;
        settle(sweep: i64, attempts: &[Attempt]) -> ();
        commit_evaluation(evaluation: &Evaluation<'_>) -> ();
        update_mail(mail: &Mail) -> ();
        rewrite_mail(mail: &Mail) -> ();
        pause(pause: &Pause) -> ();
        acknowledge(ack: &Ack, event: &Event) -> ();
        add_silence(silence: &Silence) -> i64;
        end_silence(id: i64, at: DateTime<Utc>) -> bool;
        beat(beat: &Heartbeat) -> ();
        grant(consent: &Consent) -> ();
        revoke(host: &str, at: DateTime<Utc>) -> bool;
        forget(host: &str) -> u64;
        prune(now: DateTime<Utc>, keep: Duration, keep_hourly: Duration) -> Pruned;
        would_prune(now: DateTime<Utc>, keep: Duration, keep_hourly: Duration) -> Pruned;
    }
}

/// How the mail server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    Up,
    Down,
    WrongPassword,
    /// One recipient is refused, for now or for good.
    Refuses(u8, bool),
    /// It takes the mail and hangs up before it says so.
    Swallows,
    /// It hangs up before it takes the mail, after the final dot.
    Drops,
    /// Only short mails are taken.
    Narrow,
}

pub struct Server {
    pub fate: Arc<Fate>,
    pub weather: Weather,
    /// In the order of acceptance.
    pub accepted: Vec<Mail>,
    /// Every Message-ID that was seen, with its bytes.
    pub seen: BTreeMap<String, Vec<u8>>,
    pub trouble: Vec<String>,
}

impl Server {
    fn answer(&mut self, mail: &Mail) -> std::result::Result<(), Refusal> {
        let refuse = |class, stage| Err(Refusal { class, stage, text: "scripted".into() });
        match self.weather {
            Weather::Down => return refuse(Class::Transport, "connect"),
            Weather::WrongPassword => return refuse(Class::Configuration, "auth"),
            Weather::Refuses(who, good) if mail.recipient.as_bytes().first() == Some(&(b'a' + who)) => {
                return refuse(if good { Class::RowDead } else { Class::RowTemporary }, "rcpt");
            }
            _ => {}
        }
        // From here on the server has seen the bytes.
        let before = self.seen.insert(mail.message_id.clone(), mail.body.clone());
        if before.is_some_and(|before| before != mail.body) {
            self.trouble.push(format!("I6: {} has two contents", mail.message_id));
        }
        match self.weather {
            Weather::Narrow if !mail.short => refuse(Class::Content, "message"),
            Weather::Drops => refuse(Class::Ambiguous, "message"),
            Weather::Swallows => {
                self.accepted.push(mail.clone());
                refuse(Class::Ambiguous, "message")
            }
            _ => {
                self.accepted.push(mail.clone());
                Ok(())
            }
        }
    }
}

impl Post for Server {
    fn line(&self, _: &Mail) -> String {
        "smtp sim:25".to_owned()
    }
    fn send(&mut self, mail: &Mail) -> std::result::Result<(), Refusal> {
        let gone = Refusal { class: Class::Transport, stage: "connect", text: "dead".into() };
        if self.fate.step().is_err() {
            return Err(gone);
        }
        let answer = self.answer(mail);
        if self.fate.step().is_err() { Err(gone) } else { answer }
    }
    fn close(&mut self) {}
}

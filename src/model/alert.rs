//! The truth about problems (incidents), what each destination was told of it, and the mail under way.

use std::borrow::Cow;

use chrono::{DateTime, TimeDelta, Utc};

use super::level::Level;

/// What is judged: one rule for one item of one host. `rule` is a metric's name, or one of the built-in rules. Rules
/// about the whole fleet (`mass-unreachable`, `mail-undeliverable` and others) have an empty host.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    /// The host.
    pub host: String,
    /// The rule.
    pub rule: String,
    /// The item, or empty.
    pub item: String,
}

/// What a rule says of one value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// At or over warning (critical implies it).
    pub warning: bool,
    /// At or over critical.
    pub critical: bool,
    /// Beyond the threshold that ends a warning.
    pub clear_warning: bool,
    /// Beyond the threshold that ends a critical.
    pub clear_critical: bool,
}

/// The fold's memory for one subject (design/alerting.md, "Evaluation").
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleState {
    /// Level now.
    pub level: Level,
    /// Bit 0 is the newest sample: at or over warning.
    pub warning_bits: u64,
    /// Bit 0 is the newest sample: at or over critical.
    pub critical_bits: u64,
    /// Samples seen, up to 64: how many of the bits mean something.
    pub seen: u32,
    /// Samples in a row beyond the clear threshold of warning.
    pub below_warning: u32,
    /// Samples in a row beyond the clear threshold of critical.
    pub below_critical: u32,
    /// Since when every sample was at or over warning / critical, for `for=`.
    pub warning_since: Option<DateTime<Utc>>,
    /// As `warning_since`.
    pub critical_since: Option<DateTime<Utc>>,
    /// Time of the last sample; never goes back.
    pub last: Option<DateTime<Utc>>,
    /// Successful samples in a row in which the item was missing.
    pub missing: u32,
    /// Time of the last of them.
    pub missed: Option<DateTime<Utc>>,
    /// The last value.
    pub value: f64,
    /// Time of the last sample that was at or over warning: of `unreachable` the last failure.
    pub bad: Option<DateTime<Utc>>,
    /// The open incident.
    pub incident: Option<i64>,
}

/// Why an incident ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The value came back.
    Recovered,
    /// The item is gone from the host: no longer monitored.
    Gone,
    /// Rule or host was taken out of the configuration: no longer monitored.
    Config,
}

impl Ending {
    /// The word that is stored.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Recovered => "recovered",
            Self::Gone => "gone",
            Self::Config => "config",
        }
    }

    /// The reverse of [`Ending::word`].
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Recovered, Self::Gone, Self::Config].into_iter().find(|ending| ending.word() == word)
    }
}

/// A problem, from its opening to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    /// Number; given by the alerter, grows.
    pub id: i64,
    /// What it is about.
    pub subject: Subject,
    /// Level now; `Ok` once closed.
    pub level: Level,
    /// The worst it was.
    pub worst: Level,
    /// Event time of the opening.
    pub opened: DateTime<Utc>,
    /// Event time of the last change of level.
    pub changed: DateTime<Utc>,
    /// Event time of the end.
    pub closed: Option<DateTime<Utc>>,
    /// How it ended.
    pub ending: Option<Ending>,
    /// The value at the last change.
    pub value: f64,
    /// One sentence for people: what, value, threshold.
    pub text: String,
}

impl Incident {
    /// The level to show and to be asked for: of one that ended the worst that it was. Its own is ok then.
    #[must_use]
    pub fn shown(&self) -> Level {
        if self.closed.is_some() { self.worst } else { self.level }
    }
}

/// A change of an incident, for its history.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The incident.
    pub incident: i64,
    /// Event time.
    pub at: DateTime<Utc>,
    /// The new level.
    pub level: Level,
    /// The value.
    pub value: f64,
    /// For people.
    pub text: String,
}

/// Somebody took a problem: it is not repeated to anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The incident.
    pub incident: i64,
    /// Who.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Until then; `None`: until the problem ends.
    pub until: Option<DateTime<Utc>>,
    /// Whether it holds when the problem gets worse.
    pub sticky: bool,
    /// The level that was acknowledged.
    pub level: Level,
    /// For people.
    pub note: String,
}

impl Ack {
    /// Whether it holds while the incident is that bad. One that was given while a run was under way knows nothing of the
    /// rise which that run saw.
    #[must_use]
    pub fn holds(&self, level: Level, now: DateTime<Utc>) -> bool {
        self.until.is_none_or(|until| until > now) && (self.sticky || level <= self.level)
    }
}

/// What one recipient of a destination was last told of one incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The incident.
    pub incident: i64,
    /// Name of the destination.
    pub destination: String,
    /// Mail address or directory: each hears its own story, so that a broken mailbox spoils nobody else's.
    pub recipient: String,
    /// The level that was told; `Ok`: told that it ended.
    pub level: Level,
    /// Wall time of the telling.
    pub at: DateTime<Utc>,
    /// How often it was repeated, for the doubling interval.
    pub reminders: u32,
    /// Whether it was told that the problem comes and goes.
    pub flapping: bool,
    /// The incident whose mails began the thread: another one, where the problem ended and came back unheard.
    pub thread: i64,
}

/// One incident in one mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tells {
    /// The incident.
    pub incident: i64,
    /// The kind of news: `problem`, `escalated`, `reminder`, `lowered`, `flapping`, `recovered`.
    pub action: String,
    /// The level that is told.
    pub level: Level,
    /// What the recipient knew before, to be restored if the mail dies; `None`: nothing.
    pub before: Option<Told>,
}

/// A way that is not tried for a while: a mail server, a directory or one broken mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// `smtp HOST:PORT`, `directory PATH`, or `mailbox DESTINATION RECIPIENT`.
    pub what: String,
    /// Since when nothing came through.
    pub since: DateTime<Utc>,
    /// Failures in a row; 0 ends the pause.
    pub failures: u32,
    /// Not before.
    pub until: DateTime<Utc>,
    /// The last error, for people.
    pub error: String,
}

impl Pause {
    /// The longest pause of a mailbox.
    pub const MAILBOX: TimeDelta = TimeDelta::hours(24);
    /// The longest of any other way.
    pub const WAY: TimeDelta = TimeDelta::minutes(30);

    /// Whether it holds now: not where a clock that was ahead began or lengthened it.
    #[must_use]
    pub fn holds(&self, now: DateTime<Utc>) -> bool {
        let longest = if self.what.starts_with("mailbox ") { Self::MAILBOX } else { Self::WAY };
        self.since <= now && now < self.until && self.until - now <= longest
    }
}

/// State of an outbox row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailState {
    /// Waits for its turn.
    Queued,
    /// Accepted by the server.
    Sent,
    /// Given up; what it told was restored.
    Dead,
    /// Replaced by the present truth before it was accepted.
    Superseded,
}

impl MailState {
    /// The word that is stored.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Dead => "dead",
            Self::Superseded => "superseded",
        }
    }

    /// The reverse of [`MailState::word`].
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Queued, Self::Sent, Self::Dead, Self::Superseded].into_iter().find(|state| state.word() == word)
    }
}

/// One mail for one recipient, its bytes frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Number of the row; the store gives it when it is 0.
    pub id: i64,
    /// Name of the destination: mails of one destination go in the order of their numbers.
    pub destination: String,
    /// Mail address, or directory.
    pub recipient: String,
    /// Derived from the content, so that a second delivery is recognised.
    pub message_id: String,
    /// The subject, for lists.
    pub subject: String,
    /// The whole message as it goes over the wire (before dot-stuffing).
    pub body: Vec<u8>,
    /// Wall time of planning.
    pub created: DateTime<Utc>,
    /// State.
    pub state: MailState,
    /// Attempts that the server answered for this row.
    pub attempts: u32,
    /// Committed before a send: the server may have it.
    pub maybe: bool,
    /// How often a send ended so that nobody knows whether it was accepted.
    pub unclear: u32,
    /// Not before.
    pub next: DateTime<Utc>,
    /// The last error, for people.
    pub error: String,
    /// What it tells, incident by incident.
    pub tells: Vec<Tells>,
    /// Whether these are the few words that took the place of a mail that the server did not want.
    pub short: bool,
}

/// Everything one evaluation step changes; committed in one transaction with the cursor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation<'a> {
    /// The id of the last row that was treated.
    pub cursor: i64,
    /// States that changed; `None` removes. Borrowed where they stand, for there are many.
    pub states: Vec<(Cow<'a, Subject>, Option<Cow<'a, RuleState>>)>,
    /// Incidents that opened or changed.
    pub incidents: Vec<Incident>,
    /// What happened.
    pub events: Vec<Event>,
    /// Acknowledgements that ended because the problem got worse.
    pub unacked: Vec<i64>,
}

/// Everything one plan changes; committed in one transaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// New truth about what was told; replaces (incident, destination, recipient).
    pub told: Vec<Told>,
    /// Tellings that are forgotten: (incident, destination, recipient).
    pub untold: Vec<(i64, String, String)>,
    /// New outbox rows (id 0) and old ones with a new state.
    pub mails: Vec<Mail>,
    /// Ways that are paused from now on.
    pub pauses: Vec<Pause>,
    /// When each recipient was last given the summary of the day: (destination, recipient, at).
    pub summaries: Vec<(String, String, DateTime<Utc>)>,
}

//! What takes long, or root, and changes slowly: asked by another process after a sample was handed over, and shown by
//! the next samples with its age. One file for each question, one line of [`QUESTIONS`] for each.

mod firewall;
mod ipmi;
mod log;
mod lvm;
mod outdated;
mod packages;
mod ports;
mod sshd;
mod time;

use std::io;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::command::{self, Said};
use super::out::Out;
use super::privileged::{self, Right};
use super::root::Root;
use crate::model::sample::FaultKind;

/// What has no value because nobody has asked yet: it is neither missing nor refused.
pub const LATER: &str = "asked now and then, after a visit of the collector";
/// The most bytes of a file of answers.
pub const MAX_ANSWERS_FILE: u64 = 256 * 1024;
/// All questions together end within the time of the process that asks.
const ALL_PATIENCE: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(30);
/// The most values, and the most texts, of one answer.
const MOST: usize = 256;

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// Everybody; root sees more only where the answer says so itself.
    Anybody,
    /// Everybody may try; what is refused is asked again as root.
    Perhaps,
    /// Everybody is answered in part, root whole.
    Partly,
    /// Root.
    Root,
}

/// One question.
struct Question {
    /// The section in which its answer shows.
    name: &'static str,
    who: Who,
    /// Why there is nothing to ask about, if so.
    idle: fn(&Root) -> Option<String>,
    /// What is run: the first that is there. None where it is looked at without a program.
    asked: &'static [(&'static str, &'static [&'static str])],
    /// What brings such a program.
    from: &'static str,
    /// An answer serves so many seconds.
    fresh: i64,
    /// Reads what was said; `None` where it is no answer.
    read: fn(&Root, &Said) -> Option<Answer>,
}

const QUESTIONS: &[&Question] = &[
    &lvm::QUESTION,
    &ipmi::QUESTION,
    &log::QUESTION,
    &firewall::QUESTION,
    &sshd::QUESTION,
    &ports::QUESTION,
    &outdated::QUESTION,
    &packages::QUESTION,
    &time::QUESTION,
];

/// What was answered.
#[derive(Clone, Debug, Default, PartialEq)]
struct Answer {
    /// When, in seconds since 1970.
    at: i64,
    /// Whether root was needed, in all or for a part, and not to be had.
    denied: bool,
    /// Nobody answered in a way that is understood.
    failed: bool,
    /// More was said than is read.
    cut: bool,
    /// What is not known although there is an answer, and why.
    lacks: String,
    /// Metric, item, value.
    values: Vec<(String, String, f64)>,
    /// Name, item, text.
    facts: Vec<(String, String, String)>,
    /// What this goes back to, in seconds since 1970: 0 where it is nothing.
    since: i64,
}

impl Answer {
    /// With the name of its question.
    fn parse(one: &Value) -> Option<(String, Self)> {
        let word = |value: &Value| value.as_str().map(str::to_owned);
        let whole = |key: &str| one.get(key).map_or(Some(0), Value::as_i64);
        let flag = |key: &str| one.get(key).is_some_and(|flag| *flag == Value::Bool(true));
        let list = |key: &str| one.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut answer = Self {
            at: whole("at")?,
            since: whole("since")?,
            denied: flag("denied"),
            failed: flag("failed"),
            cut: flag("cut"),
            lacks: one.get("lacks").and_then(word).unwrap_or_default(),
            ..Self::default()
        };
        for one in list("values") {
            answer.values.push((word(one.get(0)?)?, word(one.get(1)?)?, one.get(2)?.as_f64()?));
        }
        for one in list("facts") {
            answer.facts.push((word(one.get(0)?)?, word(one.get(1)?)?, word(one.get(2)?)?));
        }
        Some((word(one.get("of")?)?, answer))
    }

    fn value(&mut self, metric: &str, item: &str, value: f64) {
        if self.values.len() < MOST {
            self.values.push((metric.to_owned(), item.to_owned(), value));
        }
    }

    fn fact(&mut self, name: &str, item: &str, text: &str) {
        if self.facts.len() < MOST {
            self.facts.push((name.to_owned(), item.to_owned(), text.to_owned()));
        }
    }
}

/// The last answers, by the name of the question.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers(Vec<(String, Answer)>);

impl Answers {
    /// The file's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let one = |(name, answer): &(String, Answer)| {
            let Answer { at, denied, failed, cut, lacks, values, facts, since } = answer;
            let values = values.iter().map(|(metric, item, value)| json!([metric, item, value]));
            let facts = facts.iter().map(|(name, item, text)| json!([name, item, text]));
            let (values, facts) = (Value::from_iter(values), Value::from_iter(facts));
            json!({"of": name, "at": at, "denied": denied, "failed": failed, "cut": cut, "lacks": lacks, "values": values, "facts": facts, "since": since})
        };
        self.0.iter().map(one).collect::<Value>().to_string().into_bytes()
    }

    /// From the file's bytes; a damaged file is as none.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let Value::Array(list) = serde_json::from_slice(bytes).ok()? else { return None };
        Some(Self(list.iter().map(Answer::parse).collect::<Option<_>>()?))
    }

    fn of(&self, name: &str) -> Option<&Answer> {
        self.0.iter().find(|(of, _)| of == name).map(|(_, answer)| answer)
    }
}

/// Since when packages that only a reboot puts to use are installed, in seconds since 1970, and their names; 0 where none
/// is. `None` where that is not known.
pub(super) fn newer_packages(out: &Out) -> Option<(i64, String)> {
    let answer = out.past.answers.as_ref()?.of(packages::QUESTION.name).filter(|answer| !answer.failed)?;
    let names = answer.facts.first().map(|(_, _, names)| names.clone()).unwrap_or_default();
    Some((answer.since, names))
}

/// Shows the last answer to the question of this name, which is its section's too.
pub(super) fn show(root: &Root, name: &str, out: &mut Out) {
    let Some(question) = QUESTIONS.iter().find(|question| question.name == name) else { return };
    if let Some(why) = (question.idle)(root) {
        return out.fault("", FaultKind::Absent, why);
    }
    let Some((program, arguments)) = question.program(root) else {
        return out.fault("", FaultKind::Absent, format!("{} is not there", question.from));
    };
    let line = || match program {
        "" => format!("other users' processes show it only to root; {}", question.from),
        _ => privileged::denied(program, arguments),
    };
    let answer = out.past.answers.as_ref().and_then(|answers| answers.of(question.name)).cloned();
    let Some(answer) = answer else {
        if matches!(question.who, Who::Root | Who::Partly) && privileged::right(root) == Right::None {
            return out.fault("", FaultKind::Denied, line());
        }
        let what = if program.is_empty() { question.from } else { program };
        return out.fault("", FaultKind::Absent, format!("{what}: {LATER}"));
    };
    if answer.denied {
        out.fault("", FaultKind::Denied, line());
    }
    if answer.failed {
        return out.malformed("", format!("{program} did not answer as expected; it is asked again later"));
    }
    if answer.cut {
        out.fault("", FaultKind::Cut, format!("{program} said more than 1 MiB; only the end of it counts"));
    }
    if !answer.lacks.is_empty() {
        out.malformed("", &answer.lacks);
    }
    put(question, &answer, out);
}

fn put(question: &Question, answer: &Answer, out: &mut Out) {
    for (metric, item, value) in &answer.values {
        out.put(metric, item, *value);
    }
    for (name, item, text) in &answer.facts {
        out.fact(name, item, text);
    }
    out.whole("probe.answer.age", question.name, out.past.now.saturating_sub(answer.at).max(0).unsigned_abs());
}

/// Shows what the kernel said last of its clock; false where that is not known, and the sample should ask by itself.
pub(super) fn clock(out: &mut Out) -> bool {
    let answer = out.past.answers.as_ref().and_then(|answers| answers.of(time::QUESTION.name)).cloned();
    let answer = answer.filter(|answer| !answer.failed);
    if let Some(answer) = &answer {
        put(&time::QUESTION, answer, out);
    }
    answer.is_some()
}

impl Question {
    /// The first of the programs that is there; an empty one where none is needed.
    fn program(&self, root: &Root) -> Option<(&'static str, &'static [&'static str])> {
        if self.asked.is_empty() {
            return Some(("", &[]));
        }
        self.asked.iter().copied().find(|(program, _)| root.path(program).is_file())
    }

    fn waits(&self, root: &Root, last: Option<&Answers>, now: i64) -> bool {
        let fresh = |answer: &Answer| (0..self.fresh).contains(&now.saturating_sub(answer.at));
        !last.and_then(|last| last.of(self.name)).is_some_and(fresh)
            && (self.idle)(root).is_none()
            && self.program(root).is_some()
    }

    fn ask(&self, root: &Root, now: i64) -> Answer {
        let Some((program, arguments)) = self.program(root) else { return Answer::default() };
        let good = |said: &Said| self.who == Who::Anybody || said.cut || said.status == Some(0);
        let read = |said: Said| Some(Answer { cut: said.cut, ..(self.read)(root, &said)? });
        let plainly = || match program {
            "" => read(Said { status: Some(0), ..Said::default() }),
            _ => command::run(root, program, arguments, PATIENCE).ok().filter(good).and_then(read),
        };
        let is_root = privileged::right(root) == Right::Root;
        let mut refused = false;
        let mut as_root = || {
            let said = privileged::run(root, program, arguments, PATIENCE);
            refused = !is_root && said.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
            said.ok().filter(good).and_then(read)
        };
        let answer = match self.who {
            Who::Root => as_root(),
            _ if is_root || program.is_empty() => plainly(),
            Who::Anybody => plainly(),
            Who::Perhaps | Who::Partly => match plainly() {
                Some(whole) if !whole.denied => Some(whole),
                plain => {
                    // What root is not shown either, nobody is.
                    let whole = as_root().map(|answer| Answer { denied: false, ..answer });
                    let lacks = if refused { String::new() } else { format!("{program} failed when root asked") };
                    whole.or_else(|| plain.map(|plain| Answer { denied: refused, lacks, ..plain }))
                }
            },
        };
        let unanswered = answer.is_none();
        let answer = answer.unwrap_or_default();
        Answer {
            at: now,
            denied: !is_root && answer.denied || unanswered && refused,
            failed: answer.failed || unanswered && !refused,
            ..answer
        }
    }
}

/// True where some answer has grown old.
#[must_use]
pub fn questions_wait(root: &Root, last: Option<&Answers>, now: i64) -> bool {
    QUESTIONS.iter().any(|question| question.waits(root, last, now))
}

/// Asks what has grown old, and hands over all answers after each; `None` where nothing has. What there was not time for
/// keeps its last answer.
pub fn ask_questions(root: &Root, last: Option<&Answers>, now: i64, keep: &mut dyn FnMut(&Answers)) -> Option<Answers> {
    if !questions_wait(root, last, now) {
        return None;
    }
    let begin = Instant::now();
    let mut answers = last.cloned().unwrap_or_default();
    answers.0.retain(|(name, _)| QUESTIONS.iter().any(|question| question.name == name));
    for question in QUESTIONS {
        if question.waits(root, last, now) && begin.elapsed() < ALL_PATIENCE {
            let answer = question.ask(root, now);
            answers.0.retain(|(name, _)| name != question.name);
            answers.0.push((question.name.to_owned(), answer));
            keep(&answers);
        }
    }
    Some(answers)
}

#[cfg(test)]
mod tests;

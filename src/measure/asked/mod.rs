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
use crate::model::order;
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
    /// Why there is no answer, or a part of it is not known: *denied*, *hung* or *malformed*.
    silent: Option<FaultKind>,
    /// What is not known although there is an answer, in words; empty where the kind says all.
    lacks: String,
    /// The process that was left behind because no signal ends it, see [`command::lives`]; mostly empty.
    left: String,
    /// More was said than is read.
    cut: bool,
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
        let list = |key: &str| one.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut answer = Self {
            at: whole("at")?,
            since: whole("since")?,
            // Older probes have no such word: they are asked for another answer.
            silent: FaultKind::from_word(one.get("silent")?.as_str()?),
            lacks: one.get("lacks").and_then(word).unwrap_or_default(),
            left: one.get("left").and_then(word).unwrap_or_default(),
            cut: one.get("cut").and_then(Value::as_bool).unwrap_or_default(),
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
            let Answer { at, silent, lacks, left, cut, values, facts, since } = answer;
            let silent = silent.map_or("", FaultKind::word);
            let values = values.iter().map(|(metric, item, value)| json!([metric, item, value]));
            let facts = facts.iter().map(|(name, item, text)| json!([name, item, text]));
            let (values, facts) = (Value::from_iter(values), Value::from_iter(facts));
            json!({"of": name, "at": at, "silent": silent, "lacks": lacks, "left": left, "cut": cut, "values": values, "facts": facts, "since": since})
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
    let answer = out.past.answers.as_ref()?.of(packages::QUESTION.name).filter(|answer| answer.silent.is_none())?;
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
    if let Some(kind) = answer.silent {
        let pid = command::pid(&answer.left);
        let text = match kind {
            _ if !answer.lacks.is_empty() => answer.lacks.clone(),
            FaultKind::Denied => line(),
            FaultKind::Hung if pid.is_empty() => {
                format!("{program} did not answer within {} s; it is asked again later", PATIENCE.as_secs())
            }
            FaultKind::Hung => format!(
                "{program} does not answer and cannot be ended: see what dmesg says; it is asked again once process {pid} is gone"
            ),
            _ => format!("{program} did not answer as expected; it is asked again later"),
        };
        out.fault("", kind, text);
        if kind != FaultKind::Denied && answer.lacks.is_empty() {
            return;
        }
    }
    if answer.cut {
        out.fault("", FaultKind::Cut, format!("{program} said more than 1 MiB; only the end of it counts"));
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
    let answer = answer.filter(|answer| answer.silent.is_none());
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

    fn ask(&self, root: &Root, last: Option<&Answer>, now: i64) -> Answer {
        let Some((program, arguments)) = self.program(root) else { return Answer::default() };
        // One that no signal ended is not joined by another.
        if let Some(left) = last.map(|last| &last.left).filter(|left| command::lives(left)) {
            return Answer { at: now, left: left.clone(), ..none(FaultKind::Hung) };
        }
        let is_root = privileged::right(root) == Right::Root;
        let as_root = || {
            let refusal = if is_root { FaultKind::Malformed } else { FaultKind::Denied };
            self.heard(root, privileged::run(root, program, arguments, PATIENCE), refusal)
        };
        let plainly = || {
            let said = match program {
                "" => Ok(Said { status: Some(0), ..Said::default() }),
                _ => command::run(root, program, arguments, PATIENCE),
            };
            self.heard(root, said, FaultKind::Malformed)
        };
        let answer = match self.who {
            Who::Root => as_root().1,
            _ if is_root || program.is_empty() => plainly().1,
            Who::Anybody => plainly().1,
            Who::Perhaps | Who::Partly => match plainly() {
                (true, whole) if whole.silent.is_none() => whole,
                // Root would wait for the same.
                (false, hung) if hung.silent == Some(FaultKind::Hung) => hung,
                (answered, plain) => match as_root() {
                    // What root is not shown either, nobody is.
                    (true, whole) => Answer { silent: whole.silent.filter(|kind| *kind != FaultKind::Denied), ..whole },
                    (false, none) if answered => {
                        let lacks = match none.silent {
                            Some(FaultKind::Denied) => String::new(),
                            Some(FaultKind::Hung) => format!("{program} did not answer when root asked"),
                            _ => format!("{program} failed when root asked"),
                        };
                        Answer { silent: none.silent, left: none.left, lacks, ..plain }
                    }
                    (false, none) => none,
                },
            },
        };
        let silent = answer.silent.filter(|kind| !is_root || *kind != FaultKind::Denied);
        Answer { at: now, silent, ..answer }
    }

    /// Whether this is an answer, and which; otherwise why it is none. What was not allowed has a kind of its own.
    fn heard(&self, root: &Root, said: io::Result<Said>, refusal: FaultKind) -> (bool, Answer) {
        let said = match said {
            Ok(said) => said,
            Err(error) => {
                let kind = match error.kind() {
                    io::ErrorKind::TimedOut => FaultKind::Hung,
                    io::ErrorKind::PermissionDenied => refusal,
                    _ => FaultKind::Malformed,
                };
                return (false, Answer { left: command::left(&error), ..none(kind) });
            }
        };
        // One that was stopped in the middle of its answer has no status.
        let good = self.who == Who::Anybody || said.status == Some(0) || said.cut && said.status.is_none();
        match if good { (self.read)(root, &said) } else { None } {
            Some(answer) => (true, Answer { cut: said.cut || answer.cut, ..answer }),
            None => (false, none(FaultKind::Malformed)),
        }
    }
}

/// No answer.
fn none(kind: FaultKind) -> Answer {
    Answer { silent: Some(kind), ..Answer::default() }
}

/// The questions with the oldest answer first: what hangs each time takes the time of none twice.
fn by_age(answers: &Answers) -> Vec<&'static Question> {
    let mut questions = QUESTIONS.to_vec();
    let at = |question: &Question| answers.of(question.name).map_or(0, |answer| answer.at);
    order::sort_by(&mut questions, |a, b| at(a).cmp(&at(b)));
    questions
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
    for question in by_age(&answers) {
        if question.waits(root, last, now) && begin.elapsed() < ALL_PATIENCE {
            let answer = question.ask(root, answers.of(question.name), now);
            answers.0.retain(|(name, _)| name != question.name);
            answers.0.push((question.name.to_owned(), answer));
            keep(&answers);
        }
    }
    Some(answers)
}

#[cfg(test)]
mod tests;

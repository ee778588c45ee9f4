//! Reading a filter, with the place of a mistake and what to write instead.

use super::{Field, Filter, FilterError, LEVELS, SHORT, Sign, Term, words_of};
use crate::model::metric::Unit;
use crate::model::rule::RuleKind;
use crate::model::snapshot::rank;
use crate::model::suggest::did_you_mean;
use crate::model::{amount, catalogue};

/// The longest filter, in characters: it may come out of an address.
const LONGEST: usize = 1000;

/// A term as typed: its characters without quotes, each with its place and whether it was quoted.
type Typed = Vec<(usize, char, bool)>;

pub(super) fn filter(text: &str) -> Result<Filter, FilterError> {
    let whole: String = text.chars().take(LONGEST).collect();
    let error = |at: usize, length: usize, wrong: String, mend: String| FilterError {
        filter: whole.clone(),
        at,
        length: length.max(1),
        text: wrong,
        mend,
    };
    if text.chars().nth(LONGEST).is_some() {
        let wrong = format!("a filter has at most {LONGEST} characters");
        return Err(error(0, 1, wrong, "write less".to_owned()));
    }
    let mut terms = Vec::new();
    for typed in
        split(text).map_err(|at| error(at, 1, "a quote is not closed".to_owned(), "write \" at its end".to_owned()))?
    {
        let at = |n: usize| typed.get(n).map_or_else(|| typed.last().map_or(0, |last| last.0 + 1), |it| it.0);
        let made = term(&typed)
            .map_err(|Mistake { from, to, text, mend }| error(at(from), at(to).saturating_sub(at(from)), text, mend))?;
        terms.push(made);
    }
    Ok(Filter { terms })
}

/// What is wrong in a term, in its own characters.
struct Mistake {
    from: usize,
    to: usize,
    text: String,
    mend: String,
}

/// The terms between spaces; the place of a quote that is not closed.
fn split(text: &str) -> Result<Vec<Typed>, usize> {
    let mut all: Vec<Typed> = Vec::new();
    let mut open: Option<usize> = None;
    let mut inside = false;
    for (at, c) in text.chars().enumerate() {
        match (c, open) {
            ('"', Some(_)) => open = None,
            ('"', None) => {
                open = Some(at);
                if !inside {
                    all.push(Vec::new());
                    inside = true;
                }
            }
            (c, None) if c.is_whitespace() => inside = false,
            (c, quoted) => {
                if !inside {
                    all.push(Vec::new());
                    inside = true;
                }
                if let Some(term) = all.last_mut() {
                    term.push((at, c, quoted.is_some()));
                }
            }
        }
    }
    open.map_or(Ok(all), Err)
}

fn plain(typed: &[(usize, char, bool)]) -> String {
    typed.iter().map(|(_, c, _)| *c).collect()
}

const SIGNS: &[(&str, Sign)] = &[
    ("!=", Sign::IsNot),
    ("<=", Sign::AtMost),
    (">=", Sign::AtLeast),
    ("=", Sign::Is),
    ("<", Sign::Under),
    (">", Sign::Over),
];

/// The first sign outside of quotes and brackets: where it stands, how long it is.
fn sign(typed: &Typed) -> Option<(usize, usize, Sign)> {
    let mut depth = 0usize;
    for (n, (_, c, quoted)) in typed.iter().enumerate() {
        match c {
            _ if *quoted => {}
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            _ => {
                let next = typed.get(n + 1).filter(|it| !it.2).map(|it| it.1);
                let here: String = std::iter::once(*c).chain(next).collect();
                if let Some((word, sign)) = SIGNS.iter().find(|(word, _)| here.starts_with(word)) {
                    return Some((n, word.len(), *sign));
                }
            }
        }
    }
    None
}

fn term(typed: &Typed) -> Result<Term, Mistake> {
    let Some((at, length, sign)) = sign(typed) else { return word(typed) };
    let (name, value) = (plain(&typed[..at]), plain(&typed[at + length..]));
    let whole = typed.len();
    let lower = name.to_lowercase();
    if name.is_empty() {
        let text = "nothing stands before the sign".to_owned();
        return Err(Mistake {
            from: 0,
            to: at + length,
            text,
            mend: "write as level>=warning or cpu.used>80%".to_owned(),
        });
    }
    if value.is_empty() {
        let mend = match Field::ALL.iter().find(|(word, _)| *word == lower) {
            Some((word, _)) => format!("write as {word}=web*"),
            None if lower == "level" => "write as level>=warning".to_owned(),
            None => format!("write a value after it, as {name}>80%"),
        };
        return Err(Mistake { from: at, to: at + length, text: format!("nothing stands after {name}"), mend });
    }
    let value_at = at + length;
    if lower == "level" {
        let found = LEVELS.iter().find(|(word, _)| value.eq_ignore_ascii_case(word));
        let Some((_, level)) = found else {
            let mend = did_you_mean(&value, LEVELS.iter().map(|it| it.0), "write ok, unknown, warning or critical");
            return Err(Mistake { from: value_at, to: whole, text: format!("\"{value}\" is not a level"), mend });
        };
        return Ok(Term::Level { sign, rank: rank(*level) });
    }
    if let Some((word, field)) = Field::ALL.iter().find(|(word, _)| *word == lower) {
        if !matches!(sign, Sign::Is | Sign::IsNot) {
            let text = format!("{word} has no order");
            return Err(Mistake {
                from: at,
                to: value_at,
                text,
                mend: format!("write {word}={value} or {word}!={value}"),
            });
        }
        return texts(*field, sign == Sign::IsNot, &typed[value_at..], value_at);
    }
    metric(&name, sign, &value, (at, value_at, whole))
}

fn word(typed: &Typed) -> Result<Term, Mistake> {
    let not = typed.first().is_some_and(|(_, c, quoted)| *c == '!' && !quoted);
    let text = plain(&typed[usize::from(not)..]);
    if text.is_empty() {
        let mend = "write a part of a host's name, or !name for all others".to_owned();
        return Err(Mistake { from: 0, to: typed.len(), text: "no name is written here".to_owned(), mend });
    }
    // A metric alone is a comparison that was not finished.
    if let Some(metric) = known(&text) {
        let unit = catalogue::find(metric).map_or(Unit::Count, |it| RuleKind::of(it).unit(it));
        let text = format!("{text} is a metric and is compared with nothing");
        let mend = format!("write as {metric}>{}", example(unit));
        return Err(Mistake { from: 0, to: typed.len(), text, mend });
    }
    Ok(Term::Word { text, not })
}

/// Patterns between commas.
fn texts(field: Field, not: bool, typed: &[(usize, char, bool)], from: usize) -> Result<Term, Mistake> {
    let mut patterns = Vec::new();
    let mut at = from;
    for part in typed.split(|(_, c, quoted)| *c == ',' && !quoted) {
        let text = plain(part);
        let to = at + part.len();
        if text.is_empty() {
            let mend = "write patterns with one comma between two".to_owned();
            return Err(Mistake { from: at, to: to.max(at + 1), text: "a pattern is empty".to_owned(), mend });
        }
        if let Some(known) = words_of(field).filter(|known| !text.contains(['*', '?']) && !known.contains(&&*text)) {
            let mend = did_you_mean(&text, known.iter().copied(), &format!("write one of {}", known.join(", ")));
            return Err(Mistake { from: at, to, text: format!("\"{text}\" is never so"), mend });
        }
        patterns.push(text);
        at = to + 1;
    }
    Ok(Term::Text { field, patterns, not })
}

/// A metric by its name or short name.
fn known(name: &str) -> Option<&'static str> {
    let lower = name.to_lowercase();
    let long = SHORT.iter().find(|(short, _)| *short == lower).map(|(_, long)| *long);
    long.or_else(|| name.contains('.').then(|| catalogue::find(name)).flatten().map(|metric| metric.name))
}

fn metric(typed: &str, sign: Sign, value: &str, (at, value_at, whole): (usize, usize, usize)) -> Result<Term, Mistake> {
    let (name, item) = match typed.strip_suffix(']').and_then(|inner| inner.split_once('[')) {
        Some((name, item)) => (name, Some(item.to_owned())),
        None => (typed, None),
    };
    let found = known(name).or_else(|| catalogue::find(name).map(|metric| metric.name));
    let Some(metric) = found.and_then(catalogue::find) else {
        let words = Field::ALL.iter().map(|it| it.0).chain(["level"]).chain(SHORT.iter().map(|it| it.0));
        let all = words.chain(catalogue::all().map(|metric| metric.name));
        let mend = did_you_mean(name, all, "write host, group, service, label, level, or a metric of: fleet metrics");
        let text = format!("\"{name}\" is nothing to filter by");
        return Err(Mistake { from: 0, to: name.chars().count().min(at), text, mend });
    };
    if item.is_some() && metric.item.is_empty() {
        let text = format!("{} has no items", metric.name);
        let mend = format!("write it without {}", &typed[name.len()..]);
        return Err(Mistake { from: name.chars().count(), to: at, text, mend });
    }
    let unit = RuleKind::of(metric).unit(metric);
    let wrong = |inner: amount::Wrong| {
        let text = format!("\"{value}\" cannot be compared with {}", metric.name);
        Mistake { from: value_at, to: whole, text, mend: inner.mend }
    };
    let value = amount::level(value, metric.name, unit).map_err(wrong)?;
    Ok(Term::Metric { metric: metric.name.to_owned(), item, sign, value })
}

/// A value of a unit, to show how it is written.
fn example(unit: Unit) -> &'static str {
    match unit {
        Unit::Ratio => "80%",
        Unit::Bytes => "10GiB",
        Unit::Seconds => "10m",
        Unit::Celsius => "75C",
        Unit::Count => "2",
        Unit::BytesPerSecond => "5MiB/s",
        Unit::PerSecond => "10/s",
    }
}

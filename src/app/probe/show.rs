//! What a person sees of a sample.

use std::fmt::Write as _;

use super::words::{cut, human, shortened, unit};
use crate::measure::LATER;
use crate::model::sample::{By, Fault, Sample};

/// With two blanks between each, 80 columns.
const NAME: usize = 28;
const ITEM: usize = 36;
const VALUE: usize = 12;
/// Of a fact's name.
const FACT: usize = 34;

/// An aligned table of 80 columns: values by subject, then who takes most, facts, and what could not be measured.
pub fn table(sample: &Sample) -> String {
    // The only form of a time that the probe needs anyway.
    let time = sample.taken.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let mut text = format!("{} at {time}, probe {}\n", sample.hostname, sample.probe);
    let subject = |metric: &str| metric.split('.').next().unwrap_or_default().to_owned();
    // Subjects in the order in which they were measured, each once; what the probe itself cost comes last.
    let mut subjects: Vec<String> = Vec::new();
    for reading in &sample.readings {
        let subject = subject(&reading.metric);
        if !subjects.contains(&subject) {
            subjects.push(subject);
        }
    }
    let (own, others): (Vec<String>, Vec<String>) = subjects.into_iter().partition(|name| name == "probe");
    for name in others.into_iter().chain(own) {
        let _ = write!(text, "\n{}\n", name.to_uppercase());
        for r in sample.readings.iter().filter(|reading| subject(&reading.metric) == name) {
            let (metric, item, value) = (cut(&r.metric, NAME), shortened(&r.item, ITEM), human(&r.metric, r.value));
            let _ = writeln!(text, "{metric:<NAME$}  {item:<ITEM$}  {value:>VALUE$}");
        }
    }
    top(sample, &mut text);
    if !sample.facts.is_empty() {
        text.push_str("\nFACTS\n");
        for fact in &sample.facts {
            let name = if fact.item.is_empty() { fact.name.clone() } else { format!("{} {}", fact.name, fact.item) };
            let _ = write!(text, "{:<FACT$}", shortened(&name, FACT));
            let mut lines = String::new();
            wrapped(&fact.text, &" ".repeat(FACT + 2), &mut lines);
            text.push_str(lines.get(FACT..).unwrap_or("\n"));
        }
    }
    if !sample.faults.is_empty() {
        text.push_str("\nNOT MEASURED\n");
        sample.faults.iter().for_each(|fact| fault(fact, &mut text));
    }
    text
}

fn top(sample: &Sample, text: &mut String) {
    for &by in By::ALL {
        let list: Vec<_> = sample.top.iter().filter(|process| process.by == by).collect();
        if list.is_empty() {
            continue;
        }
        let what = match by {
            By::Cpu => "PROCESSES BY PROCESSOR TIME, of one core",
            By::Memory => "PROCESSES BY MEMORY",
            By::Io => "PROCESSES BY I/O, a second",
        };
        let _ = writeln!(text, "\n{what}");
        for p in list {
            let value = human(if by == By::Cpu { "cpu.used" } else { "memory.total" }, p.value);
            let (user, comm, unit) = (cut(&p.user, 14), cut(&p.comm, 16), cut(&p.unit, 23));
            let _ = writeln!(text, "{:>10}  {user:<14}  {comm:<16}  {unit:<23}  {value:>7}", p.pid);
            if !p.command.is_empty() {
                let _ = writeln!(text, "{:>10}  {}", "", cut(&p.command, 68));
            }
        }
    }
}

/// One reason, on as many lines as it needs.
pub fn fault(fault: &Fault, text: &mut String) {
    let place = if fault.item.is_empty() { String::new() } else { format!(" {}", fault.item) };
    // What was not asked yet is there all the same.
    let kind = if is_later(fault) { "later" } else { fault.kind.word() };
    let line = format!("{}{place}: {kind}: {}", fault.section, fault.text);
    wrapped(&line, "  ", text);
}

/// Whether it only was not asked yet.
pub fn is_later(fault: &Fault) -> bool {
    fault.text.ends_with(LATER)
}

/// Text in lines of at most 80 columns; a word that is longer stays whole.
pub fn wrapped(line: &str, indent: &str, text: &mut String) {
    let mut column = 0;
    for word in line.split_whitespace() {
        let length = word.chars().count();
        if column == 0 {
            text.push_str(indent);
            column = indent.len();
        } else if column + 1 + length > 80 {
            text.push('\n');
            text.push_str(indent);
            text.push_str("  ");
            column = indent.len() + 2;
        } else {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text.push('\n');
}

/// One JSON object.
pub fn json(sample: &Sample) -> String {
    let readings: Vec<_> = sample
        .readings
        .iter()
        .map(|r| serde_json::json!({"metric": r.metric, "item": r.item, "value": r.value, "unit": unit(&r.metric)}))
        .collect();
    let faults: Vec<_> = sample
        .faults
        .iter()
        .map(|f| serde_json::json!({"section": f.section, "item": f.item, "kind": f.kind.word(), "text": f.text}))
        .collect();
    let facts: Vec<_> =
        sample.facts.iter().map(|f| serde_json::json!({"name": f.name, "item": f.item, "text": f.text})).collect();
    let top: Vec<_> = sample
        .top
        .iter()
        .map(|p| {
            serde_json::json!({"by": p.by.word(), "pid": p.pid, "user": p.user, "comm": p.comm, "unit": p.unit,
                "command": p.command, "value": p.value})
        })
        .collect();
    let taken = sample.taken.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let value = serde_json::json!({
        "version": 1, "hostname": sample.hostname, "taken": taken, "probe": sample.probe, "boot": sample.key.boot,
        "readings": readings, "facts": facts, "top": top, "faults": faults,
    });
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        let mut text = String::new();
        wrapped(&"word ".repeat(40), "  ", &mut text);
        wrapped(&"x".repeat(100), "", &mut text);
        assert!(text.lines().all(|line| line.chars().count() <= 80 || !line.contains(' ')), "{text}");
        assert!(text.lines().nth(1).is_some_and(|line| line.starts_with("    word")));
    }
}

//! `nagios`: a plugin of the host or a script shipped from the configuration; its status and the values it tells.
//!
//! The only check that runs anything: what the configuration orders by absolute path, or ships itself (trust B5).

mod child;
mod output;

use super::{Check, Found, Occasion, Trouble};
use crate::model::sample::FaultKind;
use output::{Local, State};

pub(super) struct Nagios;

impl Check for Nagios {
    fn kind(&self) -> &'static str {
        super::PLUGIN
    }

    fn look(&self, at: &Occasion, found: &mut Found) -> Result<(), Trouble> {
        let words = output::words(at.order.attribute("args").unwrap_or_default());
        let ended = match (&at.order.script, at.order.attribute("plugin")) {
            (Some(script), _) => child::script(script, &words, at)?,
            (None, Some(plugin)) => child::plugin(plugin, &words, at)?,
            (None, None) => return Err(Trouble::unsupported("the task gives neither plugin= nor script=")),
        };
        match at.order.attribute("format") {
            Some("checkmk") => checkmk(&ended, found),
            _ => nagios(&ended, found),
        }
    }
}

fn nagios(ended: &child::Ended, found: &mut Found) -> Result<(), Trouble> {
    let said = output::nagios(&ended.output);
    let state = ended.code.and_then(State::of_code);
    for (label, value) in &said.values {
        found.put_part("nagios.value", label, *value);
    }
    let text = if said.text.is_empty() { ended.complaint.clone() } else { said.text };
    match state {
        Some(State::Unknown) => Err(Trouble::Unknown(FaultKind::Unsupported, text)),
        Some(state) => {
            put_state(found, None, state);
            judged(state, text, found)
        }
        None => {
            let how = ended.code.map_or_else(|| "a signal".to_owned(), |code| format!("status {code}"));
            Err(Trouble::unsupported(format!("ended with {how}, which is no answer of a plugin: {text}")))
        }
    }
}

/// A script that tells of several services, one line each; the worst is the check's.
fn checkmk(ended: &child::Ended, found: &mut Found) -> Result<(), Trouble> {
    let lines = output::checkmk(&ended.output);
    if lines.is_empty() {
        return Err(Trouble::unsupported(format!("printed no local line: {}", ended.complaint)));
    }
    let mut worst: Option<Local> = None;
    for line in lines {
        for (label, value) in &line.values {
            found.put_part("nagios.value", &format!("{}/{label}", line.name), *value);
        }
        if line.state == State::Unknown {
            found.fault(FaultKind::Unsupported, format!("{}: {}", line.name, line.text));
            continue;
        }
        put_state(found, Some(&line.name), line.state);
        if worst.as_ref().is_none_or(|worst| worst.state < line.state) {
            worst = Some(line);
        }
    }
    worst.map_or(Ok(()), |line| judged(line.state, format!("{}: {}", line.name, line.text), found))
}

fn put_state(found: &mut Found, part: Option<&str>, state: State) {
    let values =
        [("nagios.status", f64::from(state as u8)), ("nagios.warning", f64::from(u8::from(state == State::Warning)))];
    for (metric, value) in values {
        match part {
            Some(part) => found.put_part(metric, part, value),
            None => found.put(metric, value),
        }
    }
}

/// A critical state is a bad service; a warning is a value, and its text is kept beside it.
fn judged(state: State, text: String, found: &mut Found) -> Result<(), Trouble> {
    match state {
        State::Critical => Err(Trouble::wrong(text)),
        State::Warning => {
            found.fault(FaultKind::Malformed, text);
            Ok(())
        }
        State::Ok | State::Unknown => Ok(()),
    }
}

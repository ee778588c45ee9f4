//! Every host: its last attempt, what to do where it failed, and its clock beside ours.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Look, store};
use crate::app::collector::back_off;
use crate::model::fleet::{Attempt, HostNow, Outcome};
use crate::model::level::Level;
use crate::model::sample::Sample;
use crate::view::units;

/// Clocks further apart than this mislead people.
const APART: TimeDelta = TimeDelta::seconds(30);
/// Clocks further apart than this mislead programs: such a sample stands at the time of its receipt.
const FAR_APART: TimeDelta = TimeDelta::minutes(5);

pub fn look(look: &Look) {
    let Some(store) = store::open(look) else { return };
    let (now, held) = match (store.now(), store.standings()) {
        (Ok(now), Ok(standings)) => (now, back_off::held(&standings, look.now)),
        (Err(error), _) | (_, Err(error)) => return look.say(Level::Critical, error.to_string(), "fleet health"),
    };
    let known: HashMap<&str, &HostNow> = now.iter().map(|host| (host.host.as_str(), host)).collect();
    let (mut good, mut oldest) = (0, None);
    for host in &look.spec.hosts {
        let name = host.name.as_str();
        let Some(it) = known.get(name) else {
            look.say(Level::Warning, format!("{name}: never collected"), format!("fleet hosts test {name}"));
            continue;
        };
        match &it.attempt {
            None => look.say(Level::Warning, format!("{name}: never collected"), format!("fleet hosts test {name}")),
            Some(attempt) => match &attempt.outcome {
                Outcome::Collected => {
                    good += 1;
                    oldest = oldest.max(Some(look.now - attempt.at));
                    if let Some((received, sample)) = &it.sample {
                        clock(look, name, attempt, *received, sample);
                    }
                }
                Outcome::Failed { cause, text } => {
                    let since = it.sample.as_ref().map_or_else(
                        || "; nothing was ever collected".to_owned(),
                        |(at, _)| format!("; last collected {} ago", ago(look.now, *at)),
                    );
                    let wait = held.get(name).map_or_else(String::new, |text| format!("; left alone: {text}"));
                    let tried = ago(look.now, attempt.at);
                    let text = format!("{name}: {cause} {tried} ago: {text}{since}{wait}");
                    look.say(level(look, it), text, cause.remedy().replace("HOST", name));
                }
            },
        }
    }
    if good > 0 {
        let age = oldest.map_or_else(String::new, |age| format!(", the oldest {} ago", span(age)));
        look.good(format!(
            "{good} of {}: the last attempt brought a sample{age}",
            units::counted(look.spec.hosts.len(), "host")
        ));
    }
}

/// A host that was there lately may be back soon.
fn level(look: &Look, host: &HostNow) -> Level {
    let patience = TimeDelta::from_std(look.spec.collector.interval * 3).unwrap_or(TimeDelta::MAX);
    match &host.sample {
        Some((at, _)) if look.now - *at < patience => Level::Warning,
        _ => Level::Critical,
    }
}

fn span(age: TimeDelta) -> String {
    units::seconds((age.num_milliseconds().max(0) as f64 / 1000.0).floor())
}

fn ago(now: DateTime<Utc>, at: DateTime<Utc>) -> String {
    span(now - at)
}

/// How far the host's clock was from ours when it measured: the visit is a window in which it must lie. A sample that was
/// waiting on the host says nothing.
fn skew(attempt: &Attempt, received: DateTime<Utc>, taken: DateTime<Utc>) -> Option<TimeDelta> {
    let took = TimeDelta::from_std(attempt.took).ok()?;
    let began = attempt.at.checked_sub_signed(took)?;
    if received != attempt.at {
        return None;
    }
    Some(if taken > attempt.at {
        taken - attempt.at
    } else if taken < began {
        taken - began
    } else {
        TimeDelta::zero()
    })
}

fn clock(look: &Look, name: &str, attempt: &Attempt, received: DateTime<Utc>, sample: &Sample) {
    let Some(skew) = skew(attempt, received, sample.taken) else { return };
    let level = match skew.abs() {
        apart if apart > FAR_APART => Level::Critical,
        apart if apart > APART => Level::Warning,
        _ => return,
    };
    let way = if skew > TimeDelta::zero() { "ahead of" } else { "behind" };
    let text = format!("{name}: its clock is {} {way} ours", span(skew.abs()));
    look.say(level, text, format!("compare both with the time, then on {name}: timedatectl set-ntp true"));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::job::Traffic;

    #[test]
    fn a_clock_is_wrong_only_where_no_moment_of_the_visit_fits() {
        let at = |seconds: i64| DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap();
        let took = Duration::from_secs(4);
        let attempt =
            Attempt { host: "a".into(), at: at(0), took, outcome: Outcome::Collected, traffic: Traffic::default() };
        assert_eq!(skew(&attempt, at(0), at(-3)), Some(TimeDelta::zero()));
        assert_eq!(skew(&attempt, at(0), at(40)), Some(TimeDelta::seconds(40)));
        assert_eq!(skew(&attempt, at(0), at(-64)), Some(TimeDelta::seconds(-60)));
        assert_eq!(skew(&attempt, at(-300), at(-400)), None);
    }
}

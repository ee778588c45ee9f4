//! Whether collector and alerter did their job lately, and whether something starts them.

use super::{Look, store};
use crate::app::fleet::schedule;
use crate::model::level::Level;
use crate::view::{health, units};

pub fn look(look: &Look) {
    let Some(store) = store::open(look) else { return };
    let read = || {
        let sweeps = store.sweeps(health::SWEEPS)?;
        Ok((sweeps, store.beats()?, store.queued()?, store.pauses()?))
    };
    let (sweeps, beats, queued, pauses) = match read() {
        Ok(read) => read,
        Err(error) => {
            let error: crate::store::StoreError = error;
            return look.say(Level::Critical, error.to_string(), "fleet health");
        }
    };
    for part in health::judge(look.now, look.spec.collector.interval, &beats, &sweeps, &queued) {
        let next = match part.name {
            _ if part.level == Level::Ok => "",
            "collector" => "see why it does not run: fleet schedule show, then by hand: fleet-collector -v",
            "alerter" => "see why it does not run: fleet schedule show, then by hand: fleet-alerter -v",
            "outbox" => "fleet mail test",
            _ => "fleet health",
        };
        look.say(part.level, part.text, next);
    }
    for pause in pauses.iter().filter(|pause| pause.failures > 0) {
        let until = pause.until.format("%H:%M UTC");
        let text = format!("{}: failed {} times and waits until {until}: {}", pause.what, pause.failures, pause.error);
        look.say(Level::Warning, text, "mend it, then: fleet mail test");
    }
}

pub fn schedule(look: &Look) {
    let file = std::path::absolute(&look.spec.file).unwrap_or_else(|_| look.spec.file.clone());
    let found = schedule::installed(&file);
    let every = units::seconds(look.spec.collector.interval.as_secs_f64());
    match &found[..] {
        [] => {
            let text = "nothing that this user can see starts the collector: no crontab, no timer";
            look.say(Level::Warning, text, "fleet schedule install");
        }
        [one] => look.good(format!("{one}: meant is every {every}")),
        more => {
            let text = format!("the collector is started by several: {}", more.join(", "));
            look.say(Level::Warning, text, "keep one: fleet schedule remove --cron, or --systemd");
        }
    }
}

//! Every way to tell people, gone as far as it can be gone without telling them anything.

use std::collections::BTreeSet;

use super::Look;
use crate::app::alerter::lines;
use crate::model::level::Level;
use crate::notify::{self, Setup};

pub fn look(look: &Look) {
    let spec = look.spec.as_ref();
    if spec.alerts.destinations.is_empty() {
        let next = "add <to name=\"ops\" mail=\"you@example.net\"/> to <alerts> in the configuration";
        return look.say(Level::Warning, "nobody is told of problems: <alerts> names no <to>", next);
    }
    let mut seen = BTreeSet::new();
    let ways: Vec<_> = spec
        .alerts
        .destinations
        .iter()
        .filter_map(|to| {
            let (channel, recipients) = notify::of(&to.channel)?;
            let way = lines::way(spec, to, recipients.first().map_or("", String::as_str));
            // All mail goes by one server.
            seen.insert(way.clone()).then_some((to, channel, way))
        })
        .collect();
    std::thread::scope(|scope| {
        for (to, channel, way) in &ways {
            scope.spawn(move || {
                let password = match lines::password(&spec.alerts, &to.channel) {
                    Ok(password) => password,
                    Err(text) => return look.fault(Level::Critical, &format!("{way}: {text}"), "fleet check-config"),
                };
                let (smtp, password) = (spec.alerts.smtp.as_ref(), password.as_ref());
                let setup = Setup { smtp, channel: &to.channel, password, timeout: look.patience };
                let mut last = String::new();
                match channel.reach(&setup, &mut |line| last = line.to_owned()) {
                    Ok(()) => look.good(format!("{way}: ready; nothing was sent")),
                    Err(refusal) => look.say(
                        Level::Critical,
                        format!("{way}: failed at {}: {}", refusal.stage, refusal.text),
                        format!("mend it, then: fleet mail test --to {}", to.name),
                    ),
                }
            });
        }
    });
}

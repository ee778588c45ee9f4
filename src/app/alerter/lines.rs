//! The ways out of a run: sessions opened once, and once only if that fails.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::app::secrets;
use crate::model::alert::Mail;
use crate::model::secret::Secret;
use crate::model::spec::{AlertSpec, ChannelSpec, DestinationSpec, FleetSpec};
use crate::notify::{self, Class, Parcel, Refusal, Session, Setup};

/// For each stage of SMTP; after the final dot ten times as long.
pub const STAGE: std::time::Duration = std::time::Duration::from_secs(30);

/// What takes mail away.
pub trait Post {
    /// The name of the way that a mail takes: what fails for one mail fails for all that take it.
    fn line(&self, mail: &Mail) -> String;
    /// Delivers one mail.
    ///
    /// # Errors
    /// [`Refusal`].
    fn send(&mut self, mail: &Mail) -> Result<(), Refusal>;
    /// Ends in order.
    fn close(&mut self);
}

/// The SMTP password, or the webhook's token, if one is configured.
///
/// # Errors
/// What is wrong with its source, for people.
pub fn password(alerts: &AlertSpec, channel: &ChannelSpec) -> Result<Option<Secret>, String> {
    let source = match channel {
        ChannelSpec::Mail(_) => alerts.smtp.as_ref().and_then(|smtp| smtp.password.as_ref()),
        ChannelSpec::Webhook(hook) => hook.token.as_ref(),
        ChannelSpec::Directory(_) | ChannelSpec::Sendmail(_) => None,
    };
    source.map(secrets::read).transpose()
}

/// The name of the way to a recipient of a destination.
pub fn way(spec: &FleetSpec, to: &DestinationSpec, recipient: &str) -> String {
    match (&to.channel, &spec.alerts.smtp) {
        (ChannelSpec::Mail(_), Some(smtp)) => format!("smtp {}:{}", smtp.host, smtp.port),
        (ChannelSpec::Sendmail(it), _) => format!("sendmail {}", it.program.display()),
        // Each hook has its own path and token: what one refuses says nothing of another at the same server.
        (ChannelSpec::Webhook(_), _) => format!("webhook {} {recipient}", to.name),
        (channel, _) => format!("{} {recipient}", notify::of(channel).map_or("", |(channel, _)| channel.name())),
    }
}

/// The channels of the configuration.
pub struct Lines<'a> {
    spec: &'a FleetSpec,
    /// One for SMTP, one for each other destination.
    open: BTreeMap<String, Box<dyn Session>>,
}

impl<'a> Lines<'a> {
    /// Opens nothing yet.
    pub fn new(spec: &'a FleetSpec) -> Self {
        Self { spec, open: BTreeMap::new() }
    }

    fn destination(&self, mail: &Mail) -> Option<&'a DestinationSpec> {
        self.spec.alerts.destinations.iter().find(|to| to.name == mail.destination)
    }
}

impl Post for Lines<'_> {
    fn line(&self, mail: &Mail) -> String {
        self.destination(mail).map_or_else(String::new, |to| way(self.spec, to, &mail.recipient))
    }

    fn send(&mut self, mail: &Mail) -> Result<(), Refusal> {
        let setting = |stage, text| Refusal { class: Class::Configuration, stage, text };
        let spec = self.destination(mail).map(|to| &to.channel).ok_or_else(|| Refusal {
            class: Class::RowDead,
            stage: "connect",
            text: "the destination is no longer in the configuration".to_owned(),
        })?;
        let (channel, _) =
            notify::of(spec).ok_or_else(|| setting("connect", "no channel for this destination".to_owned()))?;
        let name = channel.name();
        let mut say = |line: &str| log::debug!("{name}: {line}");
        let key = match spec {
            ChannelSpec::Mail(_) => String::new(),
            _ => mail.destination.clone(),
        };
        let session = match self.open.entry(key.clone()) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => {
                let alerts = &self.spec.alerts;
                let password = password(alerts, spec).map_err(|text| setting("auth", text))?;
                let (smtp, password) = (alerts.smtp.as_ref(), password.as_ref());
                let setup = Setup { smtp, channel: spec, password, timeout: STAGE };
                place.insert(channel.open(&setup, &mut say)?)
            }
        };
        let parcel = Parcel { recipient: &mail.recipient, message_id: &mail.message_id, bytes: &mail.body };
        let sent = session.send(&parcel, &mut say);
        if let Err(refusal) = &sent
            && matches!(refusal.class, Class::Transport | Class::Configuration | Class::Ambiguous)
            && refusal.stage != "write"
        {
            self.open.remove(&key);
        }
        sent
    }

    fn close(&mut self) {
        for session in self.open.values_mut() {
            session.close(&mut |line| log::debug!("{line}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::alerter::tests::spec;
    use crate::model::spec::{HookFormat, WebhookSpec};

    #[test]
    fn two_hooks_at_one_server_are_two_ways_and_mailboxes_there_are_one() {
        let spec = spec(25, &["a@example.net", "b@example.net"]);
        let hook = |name: &str| DestinationSpec {
            name: name.into(),
            channel: ChannelSpec::Webhook(WebhookSpec {
                url: format!("https://chat.example.net/{name}"),
                format: HookFormat::Json,
                token: None,
                ca_file: None,
            }),
        };
        let to = |name: &str| way(&spec, &hook(name), "https://chat.example.net");
        assert_eq!(to("one"), "webhook one https://chat.example.net");
        assert_ne!(to("one"), to("two"));
        let ops = &spec.alerts.destinations[0];
        assert_eq!(way(&spec, ops, "a@example.net"), way(&spec, ops, "b@example.net"));
    }
}

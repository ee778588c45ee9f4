//! Channels: how people are told.

use std::time::Duration;

use crate::model::secret::Secret;
use crate::model::spec::{ChannelSpec, SmtpSpec};

mod directory;
pub mod http;
pub mod message;
pub mod picture;
mod sendmail;
mod smtp;
mod stream;
mod webhook;

/// What a failed delivery means for the mail (design/alerting.md, the table under "Mail").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The line or the server: all mail stays queued, attempts do not count.
    Transport,
    /// A setting is wrong: as transport, and a person must act.
    Configuration,
    /// This recipient, for now.
    RowTemporary,
    /// As `RowTemporary`, and the receiver said how long.
    Later(Duration),
    /// This recipient, for good.
    RowDead,
    /// The server does not want these bytes.
    Content,
    /// Nobody knows whether it was accepted: the same bytes again.
    Ambiguous,
}

/// A delivery that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What it means.
    pub class: Class,
    /// The stage: `connect`, `tls`, `starttls`, `auth`, `mail`, `rcpt`, `data`, `message`, `write`, `sendmail`, `answer`.
    pub stage: &'static str,
    /// What happened and what to do next, without secrets.
    pub text: String,
}

/// One mail for one recipient.
#[derive(Clone, Copy, Debug)]
pub struct Parcel<'a> {
    /// Mail address, directory, or where a webhook is.
    pub recipient: &'a str,
    /// Without angle brackets.
    pub message_id: &'a str,
    /// The message with CRLF line ends; for a webhook JSON.
    pub bytes: &'a [u8],
}

/// What channels need to open.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// The mail server, if one is configured.
    pub smtp: Option<&'a SmtpSpec>,
    /// How the destination is told.
    pub channel: &'a ChannelSpec,
    /// Its password, or the webhook's token.
    pub password: Option<&'a Secret>,
    /// For each stage; after the final dot ten times as long.
    pub timeout: Duration,
}

/// Hears the dialogue line by line, without secrets.
pub type Say<'a> = &'a mut dyn FnMut(&str);

/// An open way to recipients.
pub trait Session {
    /// Delivers one parcel.
    ///
    /// # Errors
    /// [`Refusal`]; after `Transport`, `Configuration` and `Ambiguous` the session is of no more use.
    fn send(&mut self, parcel: &Parcel<'_>, say: Say<'_>) -> Result<(), Refusal>;
    /// Ends in order, if it can.
    fn close(&mut self, say: Say<'_>);
}

/// A kind of destination.
pub trait Channel: Sync {
    /// Its name: `smtp`, `sendmail`, `webhook`, `directory`.
    fn name(&self) -> &'static str;
    /// The recipients of a destination, if it is of this kind.
    fn recipients(&self, channel: &ChannelSpec) -> Option<Vec<String>>;
    /// Opens a session.
    ///
    /// # Errors
    /// [`Refusal`].
    fn open(&self, setup: &Setup<'_>, say: Say<'_>) -> Result<Box<dyn Session>, Refusal>;
    /// Goes as far as it can be gone without telling anybody anything.
    ///
    /// # Errors
    /// [`Refusal`].
    fn reach(&self, setup: &Setup<'_>, say: Say<'_>) -> Result<(), Refusal> {
        self.open(setup, say)?.close(say);
        Ok(())
    }
}

/// Every channel.
pub const CHANNELS: &[&dyn Channel] = &[&smtp::Smtp, &sendmail::Sendmail, &webhook::Webhook, &directory::Directory];

/// The channel of a destination with its recipients.
#[must_use]
pub fn of(spec: &ChannelSpec) -> Option<(&'static dyn Channel, Vec<String>)> {
    CHANNELS.iter().find_map(|channel| channel.recipients(spec).map(|recipients| (*channel, recipients)))
}

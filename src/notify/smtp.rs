//! SMTP driven stage by stage, so that a wrong password, a wrong mailbox and a dead server are three different things.

use std::error::Error as _;
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{Certificate, SmtpConnection, TlsParameters, TlsParametersBuilder};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;

use super::message::address;
use super::{Channel, Class, Parcel, Refusal, Say, Session, Setup};
use crate::model::clean::clean;
use crate::model::spec::{ChannelSpec, SmtpSpec, Tls};

pub struct Smtp;

struct Open {
    connection: SmtpConnection,
    from: Address,
    timeout: Duration,
}

impl Channel for Smtp {
    fn name(&self) -> &'static str {
        "smtp"
    }

    fn recipients(&self, channel: &ChannelSpec) -> Option<Vec<String>> {
        match channel {
            ChannelSpec::Mail(addresses) => Some(addresses.clone()),
            ChannelSpec::Directory(_) => None,
        }
    }

    fn open(&self, setup: &Setup<'_>, say: Say<'_>) -> Result<Box<dyn Session>, Refusal> {
        let spec = setup.smtp.ok_or_else(|| {
            setting("connect", "no <smtp> in <alerts>: add <smtp host=\"...\" from=\"...\"/> to config.xml".to_owned())
        })?;
        let from = address(&spec.from).parse::<Address>();
        let from = from.map_err(|error| setting("mail", format!("from=\"{}\": {error}", clean(&spec.from))))?;
        let mut open = Open { connection: connect(spec, setup.timeout, say)?, from, timeout: setup.timeout };
        login(&mut open.connection, spec, setup, say)?;
        Ok(Box::new(open))
    }
}

fn setting(stage: &'static str, text: String) -> Refusal {
    Refusal { class: Class::Configuration, stage, text }
}

/// The error and its causes, cleaned; the server's words may be hostile.
fn words(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source().and_then(std::error::Error::source);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    clean(&text)
}

fn code(error: &Error) -> Option<String> {
    error.status().map(|code| code.to_string())
}

/// Sorts an answer: 421 and everything that is no answer is the line's; 4xx and 5xx are as the stage says.
fn refusal(stage: &'static str, error: &Error, temporary: Class, permanent: Class) -> Refusal {
    let class = match code(error).as_deref() {
        Some("421") | None => Class::Transport,
        Some(_) if error.is_permanent() => permanent,
        Some(_) => temporary,
    };
    Refusal { class, stage, text: words(error) }
}

fn parameters(spec: &SmtpSpec) -> Result<TlsParameters, Refusal> {
    let mut builder = TlsParametersBuilder::new(spec.host.clone());
    if let Some(file) = &spec.ca_file {
        let failed = |text: String| setting("tls", format!("ca-file {}: {text}", file.display()));
        let pem = std::fs::read(file).map_err(|error| failed(error.to_string()))?;
        let roots = Certificate::from_pem(&pem).map_err(|error| failed(words(&error)))?;
        builder = builder.add_root_certificate(roots);
    }
    builder.build().map_err(|error| setting("tls", words(&error)))
}

fn connect(spec: &SmtpSpec, timeout: Duration, say: Say<'_>) -> Result<SmtpConnection, Refusal> {
    let hello = ClientId::default();
    let tls = match spec.tls {
        Tls::None => None,
        Tls::Implicit | Tls::StartTls => Some(parameters(spec)?),
    };
    let wrapped = tls.as_ref().filter(|_| spec.tls == Tls::Implicit);
    say(&format!("connect {}:{}{}", spec.host, spec.port, if wrapped.is_some() { " with TLS" } else { "" }));
    let server = (spec.host.as_str(), spec.port);
    let connected = SmtpConnection::connect(server, Some(timeout), &hello, wrapped, None);
    let mut connection = connected.map_err(|error| refusal("connect", &error, Class::Transport, Class::Transport))?;
    say(&format!("EHLO {hello}: {}", clean(connection.server_info().name())));
    if let Some(tls) = tls.as_ref().filter(|_| spec.tls == Tls::StartTls) {
        say("STARTTLS");
        if !connection.can_starttls() {
            let text = "the server does not offer STARTTLS; set tls=\"implicit\" (port 465) or, on a trusted line \
                        without login, tls=\"none\"";
            connection.abort();
            return Err(setting("starttls", text.to_owned()));
        }
        connection
            .starttls(tls, &hello)
            .map_err(|error| refusal("starttls", &error, Class::Transport, Class::Configuration))?;
        say("TLS begun, EHLO again");
    }
    Ok(connection)
}

fn login(connection: &mut SmtpConnection, spec: &SmtpSpec, setup: &Setup<'_>, say: Say<'_>) -> Result<(), Refusal> {
    let Some(user) = &spec.user else { return Ok(()) };
    if !connection.is_encrypted() {
        connection.abort();
        let text = "user and password are never sent over a line without TLS; set tls=\"starttls\" or \"implicit\"";
        return Err(setting("auth", text.to_owned()));
    }
    let Some(password) = setup.password else {
        connection.abort();
        return Err(setting("auth", format!("user=\"{}\" needs a password; set password-file=", clean(user))));
    };
    say(&format!("AUTH as {} with a password of {} bytes", clean(user), password.expose().len()));
    let credentials = Credentials::new(user.clone(), password.expose().to_owned());
    match connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials) {
        Ok(answer) => {
            say(&heard(&answer));
            Ok(())
        }
        Err(error) if error.is_client() => Err(setting("auth", words(&error))),
        Err(error) => {
            connection.abort();
            Err(refusal("auth", &error, Class::Transport, Class::Configuration))
        }
    }
}

fn heard(answer: &Response) -> String {
    format!("{} {}", answer.code(), clean(answer.first_line().unwrap_or_default()))
}

/// The body with leading dots doubled, and the final dot, in one write: apart they cost 40 ms (Nagle, delayed ACK).
fn data(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 8);
    for line in String::from_utf8_lossy(bytes).lines() {
        if line.starts_with('.') {
            out.push('.');
        }
        out.push_str(line);
        out.push_str("\r\n");
    }
    out.push_str(".\r\n");
    out
}

impl Session for Open {
    fn send(&mut self, parcel: &Parcel<'_>, say: Say<'_>) -> Result<(), Refusal> {
        let to = parcel.recipient.parse::<Address>().map_err(|error| Refusal {
            class: Class::RowDead,
            stage: "rcpt",
            text: format!("{}: {error}", clean(parcel.recipient)),
        })?;
        let connection = &mut self.connection;
        say(&format!("MAIL FROM:<{}>", self.from));
        let answer = connection
            .command(Mail::new(Some(self.from.clone()), Vec::new()))
            .map_err(|error| refusal("mail", &error, Class::Transport, Class::Configuration))?;
        say(&heard(&answer));
        say(&format!("RCPT TO:<{to}>"));
        let answer = match connection.command(Rcpt::new(to, Vec::new())) {
            Ok(answer) => answer,
            Err(error) => {
                let refused = refusal("rcpt", &error, Class::RowTemporary, Class::RowDead);
                return Err(self.reset(refused));
            }
        };
        say(&heard(&answer));
        say("DATA");
        if let Err(error) = connection.command(Data) {
            let refused = refusal("data", &error, Class::RowTemporary, Class::RowDead);
            return Err(self.reset(refused));
        }
        say(&format!("message of {} bytes and the final dot", parcel.bytes.len()));
        // A failure to set it is one of the line, which the write will tell.
        let _ = connection.set_timeout(Some(self.timeout * 10));
        let answer = connection.command(data(parcel.bytes));
        let _ = connection.set_timeout(Some(self.timeout));
        match answer {
            Ok(answer) => {
                say(&heard(&answer));
                Ok(())
            }
            // From here on silence says nothing: the server may have taken it.
            Err(error) if error.status().is_none() => {
                Err(Refusal { class: Class::Ambiguous, stage: "message", text: words(&error) })
            }
            Err(error) => Err(refusal("message", &error, Class::RowTemporary, Class::Content)),
        }
    }

    fn close(&mut self, say: Say<'_>) {
        if !self.connection.has_broken() {
            say("QUIT");
            let _ = self.connection.quit();
        }
    }
}

impl Open {
    /// After a refused recipient the session goes on with the next mail, if the server still talks.
    fn reset(&mut self, refused: Refusal) -> Refusal {
        if refused.class != Class::Transport {
            // Where it fails, the next MAIL tells.
            let _ = self.connection.command(Rset);
        }
        refused
    }
}

#[cfg(test)]
mod tests {
    use super::data;

    #[test]
    fn dots_are_stuffed_and_line_ends_are_crlf() {
        assert_eq!(data(b"a\r\n.\r\n..b\nc"), "a\r\n..\r\n...b\r\nc\r\n.\r\n");
    }
}

//! SMTP driven stage by stage, so that a wrong password, a wrong mailbox and a dead server are three different things.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::message::address;
use super::stream::Stream;
use super::{Channel, Class, Parcel, Refusal, Say, Session, Setup};
use crate::model::clean::clean;
use crate::model::spec::{ChannelSpec, SmtpSpec, Tls};

mod talk;

use talk::{Reply, Talk, data};

pub struct Smtp;

struct Open {
    talk: Talk,
    from: String,
    timeout: std::time::Duration,
}

impl Channel for Smtp {
    fn name(&self) -> &'static str {
        "smtp"
    }

    fn recipients(&self, channel: &ChannelSpec) -> Option<Vec<String>> {
        match channel {
            ChannelSpec::Mail(addresses) => Some(addresses.clone()),
            _ => None,
        }
    }

    fn open(&self, setup: &Setup<'_>, say: Say<'_>) -> Result<Box<dyn Session>, Refusal> {
        let spec = setup.smtp.ok_or_else(|| {
            setting("connect", "no <smtp> in <alerts>: add <smtp host=\"...\" from=\"...\"/> to config.xml".to_owned())
        })?;
        let from = address(&spec.from).to_owned();
        if !is_plain(&from) {
            return Err(setting("mail", format!("from=\"{}\" is not a mail address", clean(&spec.from))));
        }
        let (mut talk, offers) = connect(spec, setup, say)?;
        login(&mut talk, &offers, spec, setup, say)?;
        Ok(Box::new(Open { talk, from, timeout: setup.timeout }))
    }
}

/// An address that is no more than an address.
fn is_plain(address: &str) -> bool {
    let (user, domain) = address.rsplit_once('@').unwrap_or_default();
    !user.is_empty() && !domain.is_empty() && address.bytes().all(|b| b.is_ascii_graphic() && b != b'<' && b != b'>')
}

fn setting(stage: &'static str, text: String) -> Refusal {
    Refusal { class: Class::Configuration, stage, text }
}

fn line(stage: &'static str, text: String) -> Refusal {
    Refusal { class: Class::Transport, stage, text }
}

/// Sorts an answer: 421 and everything that is no answer is the line's; 4xx and 5xx are as the stage says.
fn sort(
    stage: &'static str,
    answer: Result<Reply, String>,
    temporary: Class,
    permanent: Class,
) -> Result<Reply, Refusal> {
    let reply = answer.map_err(|text| line(stage, text))?;
    let class = match reply.code {
        421 => Class::Transport,
        500.. => permanent,
        400.. => temporary,
        _ => return Ok(reply),
    };
    Err(Refusal { class, stage, text: reply.text() })
}

/// What a server offers: the words of its answer to EHLO, in capitals.
fn hello(talk: &mut Talk, say: Say<'_>) -> Result<Vec<String>, Refusal> {
    let name = talk.name();
    let reply = sort("connect", talk.command(&format!("EHLO {name}")), Class::Transport, Class::Transport)?;
    say(&format!("EHLO {name}: {}", reply.text()));
    Ok(reply.lines.iter().skip(1).map(|line| line.to_ascii_uppercase()).collect())
}

fn connect(spec: &SmtpSpec, setup: &Setup<'_>, say: Say<'_>) -> Result<(Talk, Vec<String>), Refusal> {
    let implicit = spec.tls == Tls::Implicit;
    say(&format!("connect {}:{}{}", spec.host, spec.port, if implicit { " with TLS" } else { "" }));
    let authorities = spec.ca_file.as_deref();
    let stream = Stream::connect(&spec.host, spec.port, setup.timeout);
    let stream = stream.map_err(|error| line("connect", format!("{}:{}: {error}", spec.host, spec.port)))?;
    let mut talk = Talk::new(stream, setup.timeout);
    if implicit {
        talk = talk.secure(&spec.host, authorities).map_err(|text| line("tls", text))?;
    }
    sort("connect", talk.reply(), Class::Transport, Class::Transport)?;
    let offers = hello(&mut talk, say)?;
    if spec.tls != Tls::StartTls {
        return Ok((talk, offers));
    }
    say("STARTTLS");
    if !offers.iter().any(|offer| offer == "STARTTLS") {
        let text = "the server does not offer STARTTLS; set tls=\"implicit\" (port 465) or, on a trusted line without \
                    login, tls=\"none\"";
        return Err(setting("starttls", text.to_owned()));
    }
    sort("starttls", talk.command("STARTTLS"), Class::Transport, Class::Configuration)?;
    let mut talk = talk.secure(&spec.host, authorities).map_err(|text| line("tls", text))?;
    say("TLS begun, EHLO again");
    // What was offered before TLS may be anybody's words.
    let offers = hello(&mut talk, say)?;
    Ok((talk, offers))
}

fn login(talk: &mut Talk, offers: &[String], spec: &SmtpSpec, setup: &Setup<'_>, say: Say<'_>) -> Result<(), Refusal> {
    let Some(user) = &spec.user else { return Ok(()) };
    if !talk.is_secure() {
        let text = "user and password are never sent over a line without TLS; set tls=\"starttls\" or \"implicit\"";
        return Err(setting("auth", text.to_owned()));
    }
    let Some(password) = setup.password else {
        return Err(setting("auth", format!("user=\"{}\" needs a password; set password-file=", clean(user))));
    };
    let mechanisms =
        offers.iter().find_map(|offer| offer.strip_prefix("AUTH").filter(|rest| rest.starts_with([' ', '='])));
    let offered = |name: &str| mechanisms.is_some_and(|all| all.split([' ', '=']).any(|word| word == name));
    say(&format!("AUTH as {} with a password of {} bytes", clean(user), password.expose().len()));
    let answer = if offered("PLAIN") {
        let words = STANDARD.encode(format!("\0{user}\0{}", password.expose()));
        talk.command(&format!("AUTH PLAIN {words}"))
    } else if offered("LOGIN") {
        let mut answer = talk.command("AUTH LOGIN");
        for words in [user.as_str(), password.expose()] {
            if !answer.as_ref().is_ok_and(|reply| reply.code == 334) {
                break;
            }
            answer = talk.command(&STANDARD.encode(words));
        }
        answer
    } else {
        let text = "the server offers no login by AUTH PLAIN or LOGIN here; look whether port and tls= are right, or \
                    remove user= where it wants none";
        return Err(setting("auth", text.to_owned()));
    };
    let reply = sort("auth", answer, Class::Transport, Class::Configuration)?;
    if reply.code != 235 {
        return Err(line("auth", reply.text()));
    }
    say(&reply.text());
    Ok(())
}

impl Session for Open {
    fn send(&mut self, parcel: &Parcel<'_>, say: Say<'_>) -> Result<(), Refusal> {
        let to = parcel.recipient;
        if !is_plain(to) {
            let text = format!("\"{}\" is not a mail address", clean(to));
            return Err(Refusal { class: Class::RowDead, stage: "rcpt", text });
        }
        let talk = &mut self.talk;
        say(&format!("MAIL FROM:<{}>", self.from));
        let answer = talk.command(&format!("MAIL FROM:<{}>", self.from));
        say(&sort("mail", answer, Class::Transport, Class::Configuration)?.text());
        say(&format!("RCPT TO:<{to}>"));
        match sort("rcpt", talk.command(&format!("RCPT TO:<{to}>")), Class::RowTemporary, Class::RowDead) {
            Ok(reply) => say(&reply.text()),
            Err(refused) => return Err(self.reset(refused)),
        }
        say("DATA");
        match sort("data", talk.command("DATA"), Class::RowTemporary, Class::RowDead) {
            Ok(reply) if reply.code == 354 => {}
            Ok(reply) => {
                talk.broken = true;
                return Err(line("data", reply.text()));
            }
            Err(refused) => return Err(self.reset(refused)),
        }
        say(&format!("message of {} bytes and the final dot", parcel.bytes.len()));
        let answer = talk.say_within(&data(parcel.bytes), self.timeout * 10);
        // From here on silence says nothing: the server may have taken it.
        let answer = answer.map_err(|text| Refusal { class: Class::Ambiguous, stage: "message", text })?;
        let reply = sort("message", Ok(answer), Class::RowTemporary, Class::Content)?;
        say(&reply.text());
        Ok(())
    }

    fn close(&mut self, say: Say<'_>) {
        if !self.talk.broken {
            say("QUIT");
            let _ = self.talk.command("QUIT");
        }
    }
}

impl Open {
    /// After a refused recipient the session goes on with the next mail, if the server still talks.
    fn reset(&mut self, refused: Refusal) -> Refusal {
        if refused.class != Class::Transport {
            // Where it fails, the next MAIL tells.
            let _ = self.talk.command("RSET");
        }
        refused
    }
}

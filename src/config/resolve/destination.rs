//! `<to>`: who can be told, and how.

use super::super::raw::{self, Typed, parsed, path, required, secret};
use super::super::report::{At, Report};
use super::super::tree::Node;
use crate::model::amount::{Wrong, wrong};
use crate::model::secret::SecretSource;
use crate::model::spec::{ChannelSpec, DestinationSpec, HookFormat, SendmailSpec, WebhookSpec};
use crate::model::suggest::did_you_mean;

/// What goes only with another attribute.
const COMPANIONS: &[(&str, &str)] = &[
    ("sendmail", "mail"),
    ("from", "sendmail"),
    ("format", "webhook"),
    ("token", "webhook"),
    ("token-file", "webhook"),
    ("token-env", "webhook"),
    ("token-command", "webhook"),
    ("token-credential", "webhook"),
    ("ca-file", "webhook"),
];

pub(super) fn url(value: &str) -> Result<String, Wrong> {
    let rest = value.strip_prefix("https://").or(value.strip_prefix("http://"));
    let good = value.bytes().all(|b| b.is_ascii_graphic()) && rest.is_some_and(|rest| !rest.is_empty());
    if good && !rest.is_some_and(|rest| rest.starts_with(['/', ':', '?']) || rest.contains('@')) {
        return Ok(value.to_owned());
    }
    wrong("this is not an address to ask for", "write it as https://example.net/ping/...")
}

/// One address, as it can stand in an envelope.
fn mailbox(value: &str) -> Result<String, Wrong> {
    let fits = |b: u8| b.is_ascii_graphic() && !b"<>()[],;:\\\"@".contains(&b);
    let good = value.len() <= 254
        && value.split_once('@').is_some_and(|(user, domain)| {
            !user.is_empty()
                && user.len() <= 64
                && user.bytes().all(fits)
                && !domain.is_empty()
                && domain.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
                && !domain.starts_with('.')
                && !domain.ends_with('.')
        });
    if good {
        return Ok(value.to_owned());
    }
    wrong(format!("\"{value}\" is not a mail address"), "write it as ops@example.net")
}

/// `Name <mail@example.net>` or the address alone.
pub(super) fn sender(value: &str) -> Result<String, Wrong> {
    let value = value.trim();
    match value.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
        Some((name, address)) if !name.contains(['<', '>', '"']) => mailbox(address).map(|_| value.to_owned()),
        Some(_) => wrong(format!("\"{value}\" is not a sender"), "write it as Fleet &lt;fleet@example.net&gt;"),
        None => mailbox(value),
    }
}

fn addresses(value: &str) -> Result<Vec<String>, Wrong> {
    let all: Vec<&str> = value.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    if all.is_empty() {
        return wrong("mail= is empty", "write mail=\"ops@example.net\"");
    }
    all.into_iter().map(mailbox).collect()
}

/// Whether only this machine can hear what is sent there.
fn is_here(url: &str) -> bool {
    let host = url.strip_prefix("http://").unwrap_or_default().split(['/', '?']).next().unwrap_or_default();
    let host = host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map_or(host, |(host, _)| host);
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

fn webhook(node: &Node, report: &mut Report) -> Option<ChannelSpec> {
    let url = parsed(node, "webhook", report, url);
    let format = parsed(node, "format", report, |value| match value {
        "json" => Ok(HookFormat::Json),
        "alertmanager" => Ok(HookFormat::Alertmanager),
        _ => wrong(
            format!("\"{value}\" is not a format of webhooks"),
            did_you_mean(value, ["json", "alertmanager"], "write json or alertmanager"),
        ),
    });
    let token: Option<Typed<SecretSource>> = secret(node, "token", report);
    let ca_file = path(node, "ca-file", report);
    let url = url?.value;
    if let Some(token) = token.as_ref().filter(|_| !url.starts_with("https://") && !is_here(&url)) {
        report.error(token.at, "a token over a line without TLS is refused", "write webhook=\"https://...\"");
    }
    Some(ChannelSpec::Webhook(WebhookSpec {
        url,
        format: format.map_or(HookFormat::Json, |typed| typed.value),
        token: token.map(|typed| typed.value),
        ca_file: ca_file.map(|typed| typed.value),
    }))
}

fn sendmail(node: &Node, addresses: Vec<String>, server: Option<&Node>, report: &mut Report) -> Option<ChannelSpec> {
    let program = parsed(node, "sendmail", report, |value| match value.starts_with('/') {
        true => Ok(std::path::PathBuf::from(value)),
        false => wrong(format!("\"{value}\" is not an absolute path"), "write sendmail=\"/usr/sbin/sendmail\""),
    });
    let own = parsed(node, "from", report, sender);
    let shared = server.and_then(|server| server.attr("from")).map(|attr| attr.value.clone());
    let Some(from) = own.map(|typed| typed.value).or(shared) else {
        if node.attr("from").is_none() {
            report.error(node.at, "sendmail= without a sender", "add from=\"fleet@example.net\"");
        }
        return None;
    };
    Some(ChannelSpec::Sendmail(SendmailSpec { program: program?.value, addresses, from }))
}

/// A destination and where its name stands; `server` is `<smtp>`.
pub(super) fn destination(node: &Node, server: Option<&Node>, report: &mut Report) -> Option<(DestinationSpec, At)> {
    let _ = required(node, "name", report);
    let name = parsed(node, "name", report, raw::name);
    let mail = parsed(node, "mail", report, addresses);
    let directory = path(node, "directory", report);
    let ways = ["mail", "directory", "webhook"];
    if node.attrs.iter().filter(|attr| ways.contains(&attr.name.as_str())).count() != 1 {
        let text = "a destination has exactly one of mail=, directory= and webhook=";
        report.error(node.at, text, "write one <to> for each");
        return None;
    }
    for (one, other) in COMPANIONS {
        if let Some(attr) = node.attr(one).filter(|_| node.attr(other).is_none()) {
            report.error(attr.name_at, format!("{one}= goes with {other}="), "remove it");
        }
    }
    let channel = if node.attr("webhook").is_some() {
        webhook(node, report)?
    } else if let Some(directory) = directory {
        ChannelSpec::Directory(directory.value)
    } else if node.attr("sendmail").is_some() {
        sendmail(node, mail?.value, server, report)?
    } else {
        ChannelSpec::Mail(mail?.value)
    };
    let name = name?;
    Some((DestinationSpec { name: name.value, channel }, name.at))
}

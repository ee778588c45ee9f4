//! `<web>`: where the dashboard is served, and who may come in.

use std::net::{IpAddr, SocketAddr};

use super::super::raw::{self, parsed, path, required, secret};
use super::super::report::Report;
use super::super::tree::Node;
use crate::model::amount::{self, Wrong, words, wrong};
use crate::model::spec::{TlsFiles, TokenSpec, UserSpec, WebSpec};

pub(super) fn web(node: Option<&Node>, report: &mut Report) -> WebSpec {
    let mut spec = WebSpec::default();
    let Some(node) = node else { return spec };
    if let Some(typed) = parsed(node, "listen", report, address) {
        spec.listen = typed.value;
    }
    if let Some(typed) = parsed(node, "hosts", report, names) {
        spec.names = typed.value;
    }
    spec.behind_proxy = parsed(node, "behind-proxy", report, amount::flag).is_some_and(|typed| typed.value);
    spec.tls = match (path(node, "tls-cert", report), path(node, "tls-key", report)) {
        (Some(cert), Some(key)) => Some(TlsFiles { cert: cert.value, key: key.value }),
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => {
            report.error(one.at, "tls-cert= and tls-key= belong together", "give both");
            None
        }
    };
    let mut seen: Vec<String> = Vec::new();
    for child in &node.children {
        let Some(name) = parsed(child, "name", report, raw::name).or_else(|| {
            // Said already where it is malformed.
            if child.attr("name").is_none() { required(child, "name", report) } else { None }
        }) else {
            continue;
        };
        if seen.contains(&name.value) {
            report.error(name.at, format!("a second <{}> \"{}\"", child.name, name.value), "give each its own name");
        }
        seen.push(name.value.clone());
        let stem = if child.name == "user" { "password-hash" } else { "token" };
        let Some(source) = secret(child, stem, report) else {
            if !child.attrs.iter().any(|attr| attr.name.starts_with(stem)) {
                report.error(child.at, format!("<{}> has no {stem}", child.name), format!("give {stem}-file=\"...\""));
            }
            continue;
        };
        if child.name == "user" {
            spec.users.push(UserSpec { name: name.value, hash: source.value });
        } else {
            let acts = parsed(child, "acts", report, amount::flag).is_some_and(|typed| typed.value);
            spec.tokens.push(TokenSpec { name: name.value, token: source.value, acts });
        }
    }
    if let Some((text, mend)) = spec.too_open() {
        report.error(node.attr("listen").map_or(node.at, |attr| attr.value_at), text, mend);
    }
    spec
}

/// `127.0.0.1:8980`, `[::1]:8980`, `localhost:8980`.
pub(in crate::config) fn address(text: &str) -> Result<SocketAddr, Wrong> {
    let named = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let read = named.as_deref().unwrap_or(text).parse();
    read.or_else(|_| wrong(format!("\"{text}\" is not an address with a port"), "write 127.0.0.1:8980 or [::1]:8980"))
}

/// Names as a browser sends them, without port.
fn names(text: &str) -> Result<Vec<String>, Wrong> {
    let all: Vec<String> = words(text).iter().map(|word| word.trim_end_matches('.').to_ascii_lowercase()).collect();
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    for name in &all {
        if name.parse::<IpAddr>().is_err() && (name.len() > 253 || !name.bytes().all(fits)) {
            return wrong(format!("\"{name}\" is not the name of a machine"), "write it without http:// and port");
        }
    }
    Ok(all)
}
